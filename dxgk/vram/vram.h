// SPDX-License-Identifier: Apache-2.0
/*
 * One adapter's VRAM as partitions get it: taken, proven to be zero, used, given back (VF-2, VF-3).
 * Nobody uses a granule that was not zero-filled and read back since its last user. A thread does
 * that for what is free, so that a creation or an arrival seldom has to wait for it: piece by
 * piece, and slowly where somebody else pages. Whoever takes VRAM goes through here, so that the
 * thread's piece is never written by two.
 *
 * All functions are thread-safe, run at PASSIVE_LEVEL and take adapter->lock, which the caller does
 * not hold. Those that page are called inside the gate.
 */
#ifndef DXGK_VRAM_VRAM_H
#define DXGK_VRAM_VRAM_H

#include "dxgk/internal.h"
#include "dxgk/vram/reserve.h"

/* Makes the adapter's map. -1: no memory. */
int dxgk_vram_create(struct dxgk_adapter *adapter, struct vf_error *err);
void dxgk_vram_destroy(struct dxgk_adapter *adapter);
/* The thread, once the adapter can page. Without it (it cannot be started, or was not asked for)
 * all is proven when it is taken. */
void dxgk_vram_background_start(struct dxgk_adapter *adapter);
/* Before paging stops; waits for the piece at hand. Neither fails where there is none. */
void dxgk_vram_background_stop(struct dxgk_adapter *adapter);

/* As dxgk_reserve_check. */
int dxgk_vram_check(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                    struct vf_error *err);
/* As dxgk_reserve_take. Not to be written before dxgk_vram_clean and dxgk_vram_use. */
int dxgk_vram_take(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                   DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err);
/* As dxgk_reserve_claim; for whoever overwrites all of it, so it may be written at once. */
bool dxgk_vram_claim(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range);
/* Zero-fills and proves what of these taken ranges is not proven. -1 when a byte is not zero, or
 * cannot be read: *dirty then tells whether the fill said that it was done and was not, so that
 * nobody may get that VRAM. -1 with VF_CANCELLED when it is not wanted any more (NULL: it is); what
 * was proven by then stays so. */
int dxgk_vram_clean(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err);
/* Somebody may write these taken ranges from now on. */
void dxgk_vram_use(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count);
/* Gives back what was taken. */
void dxgk_vram_give(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count);

#endif
