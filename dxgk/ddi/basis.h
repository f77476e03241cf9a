// SPDX-License-Identifier: Apache-2.0
/* The DDIs of memory bases and dirty tracking, each in the call checker, as in ddi.h. */
#ifndef DXGK_DDI_BASIS_H
#define DXGK_DDI_BASIS_H

#include "dxgk/internal.h"

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

#endif
