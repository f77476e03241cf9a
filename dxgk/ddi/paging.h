// SPDX-License-Identifier: Apache-2.0
/*
 * The DDIs of paging, each in the call checker: level before and after, order, results. What the OS
 * side would do wrong is refused before the driver sees it; what the driver does wrong is reported
 * with its rule.
 */
#ifndef DXGK_DDI_PAGING_H
#define DXGK_DDI_PAGING_H

#include "dxgk/internal.h"

/* UPDATE_PAGE_TABLE in CPU mode: the driver stores `count` entries from `index` on into the table
 * at `table` before it returns. `fresh`: a first fill of a new table. level 0 = leaf. `process` is
 * the driver's handle or NULL. PASSIVE_LEVEL. */
int dxgk_ddi_update_page_table(struct dxgk_adapter *adapter, HANDLE process, uint32_t level,
                               void *table, uint32_t index, const DXGK_PTE *entries, uint32_t count,
                               bool fresh, struct vf_error *err);

/* One DxgkDdiBuildPagingBuffer call: STATUS_SUCCESS, STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER
 * (PAG-2), or a failure. Reports a driver that leaves the buffer or asks for more room without
 * having used any. PASSIVE_LEVEL. */
NTSTATUS dxgk_ddi_build_paging_buffer(struct dxgk_adapter *adapter,
                                      DXGKARG_BUILDPAGINGBUFFER *args);
/* DISPATCH_LEVEL at most. Fences must grow: the caller holds the lock that orders them. */
NTSTATUS dxgk_ddi_submit_command_virtual(struct dxgk_adapter *adapter,
                                         const DXGKARG_SUBMITCOMMANDVIRTUAL *args);
int dxgk_ddi_set_root_page_table(struct dxgk_adapter *adapter, HANDLE context, uint64_t iova,
                                 uint32_t entries, struct vf_error *err);
/* The last fence the engine completed, interrupts or not. False when the driver cannot
 * tell. PASSIVE_LEVEL. */
bool dxgk_ddi_query_current_fence(struct dxgk_adapter *adapter, uint32_t node, uint32_t *fence);
/* TDR of one engine. STATUS_NOT_SUPPORTED when the driver has none; *last = last fence that was
 * aborted. PASSIVE_LEVEL. */
NTSTATUS dxgk_ddi_reset_engine(struct dxgk_adapter *adapter, uint32_t node, uint32_t *last);

#endif
