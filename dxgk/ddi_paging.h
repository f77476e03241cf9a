// SPDX-License-Identifier: Apache-2.0
/*
 * The DDIs of paging, memory bases and interrupts, each in the call checker: level before and
 * after, order, results. What the OS side would do wrong is refused before the driver sees it; what
 * the driver does wrong is reported with its rule.
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
/* The last fence the engine completed, interrupts or not. False when the driver cannot tell.
 * PASSIVE_LEVEL. */
bool dxgk_ddi_query_current_fence(struct dxgk_adapter *adapter, uint32_t node, uint32_t *fence);
/* TDR of one engine. STATUS_NOT_SUPPORTED when the driver has none; *last = last fence that was
 * aborted. PASSIVE_LEVEL. */
NTSTATUS dxgk_ddi_reset_engine(struct dxgk_adapter *adapter, uint32_t node, uint32_t *last);

/* A memory basis as the OS knows it. */
struct dxgk_basis {
    HANDLE handle; /* NULL = none */
    uint32_t segment;
    bool tracked; /* between Start- and StopDirtyTracking */
    uint64_t page_bytes;
    uint64_t pages;                 /* of all ranges */
    const DXGK_MEMORYRANGE *ranges; /* the caller's, outlives the basis */
    uint32_t range_count;
};

/* DBT-1: checks the ranges (inside the segment, disjoint, multiples of page_bytes), then asks the
 * driver. PASSIVE_LEVEL. */
int dxgk_ddi_create_memory_basis(struct dxgk_adapter *adapter, uint32_t segment,
                                 uint64_t page_bytes, const DXGK_MEMORYRANGE *ranges,
                                 uint32_t count, struct dxgk_basis *out, struct vf_error *err);
/* DBT-8: a failure is reported as a broken invariant; the handle is gone either way. */
void dxgk_ddi_destroy_memory_basis(struct dxgk_adapter *adapter, struct dxgk_basis *basis);
int dxgk_ddi_start_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                  struct vf_error *err);
int dxgk_ddi_stop_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                 struct vf_error *err);
/* Query and clear (DBT-4, DBT-5). `bytes` 0: the whole basis. `bits` comes from
 * dxgk_guarded_alloc(bits_bytes). */
int dxgk_ddi_query_dirty_bits(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                              uint64_t range, uint64_t offset, uint64_t bytes, void *bits,
                              size_t bits_bytes, struct vf_error *err);

/* INT-2: host's message for one vector of a VF. PASSIVE_LEVEL. */
int dxgk_ddi_write_virtualized_interrupt(struct dxgk_adapter *adapter, uint32_t vf, uint16_t index,
                                         const DXGK_INTERRUPT_TABLE_ENTRY *entry,
                                         struct vf_error *err);

#endif
