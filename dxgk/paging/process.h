// SPDX-License-Identifier: Apache-2.0
/* The paging process to the driver: process, system device and system context, as far as the driver
 * has the DDIs for them. */
#ifndef DXGK_PAGING_PROCESS_H
#define DXGK_PAGING_PROCESS_H

#include "dxgk/internal.h"

/* Driver's handles; NULL where the driver keeps none. */
struct dxgk_process {
    HANDLE process; /* DXGK_BUILDPAGINGBUFFER_UPDATEPAGETABLE.hProcess */
    HANDLE device;
    HANDLE context; /* what paging buffers are built for and submitted on */
};

/* PASSIVE_LEVEL; on failure nothing stays. */
int dxgk_process_create(struct dxgk_adapter *adapter, uint32_t node, struct dxgk_process *out,
                        struct vf_error *err);
/* Nothing of it is in flight. A driver that fails here is reported. */
void dxgk_process_destroy(struct dxgk_adapter *adapter, struct dxgk_process *process);

#endif
