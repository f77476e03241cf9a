// SPDX-License-Identifier: Apache-2.0
/*
 * One adapter's VRAM as partitions get it: taken, proven to be zero, used, given back (VF-2, VF-3).
 * Nobody uses a granule that was not read back as zero since its last user. A thread does that for
 * what is free, so that a creation or an arrival seldom has to wait for it: piece by piece, and
 * slowly where somebody else pages. It fills only what is not zero, and only between the places
 * where its driver has let partitions lie; until then it reads. Whoever takes VRAM goes through
 * here, so that the thread's piece is never written by two.
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
/* Before paging stops; waits for the piece at hand, so for ever where the driver does not come back
 * from it: a forced stop ends the process. Neither fails where there is none. */
void dxgk_vram_background_stop(struct dxgk_adapter *adapter);

/* As dxgk_reserve_check. */
int dxgk_vram_check(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                    struct vf_error *err);
/* As dxgk_reserve_take, and waits for the thread where it has one of the pieces. Not to be written
 * before dxgk_vram_clean. */
int dxgk_vram_take(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                   DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err);
/* As dxgk_reserve_claim, and waits likewise; for whoever overwrites all of it, so it may be written
 * at once. */
bool dxgk_vram_claim(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range);
/* Proves what of these taken ranges is not proven, and fills what is not zero. -1 with VF_CANCELLED
 * when it is not wanted any more (NULL: it is). -1 too where a piece was filled and is not zero, or
 * driver or engine failed on it twice: *bad is that piece then, else it has no bytes. */
int dxgk_vram_clean(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const struct dxgk_wanted *wanted, DXGK_MEMORYRANGE *bad, struct vf_error *err);
/* Another driver has come, inside its update's gate: nothing is known any more of what is free, nor
 * of where partitions may lie. Does nothing where there is no VRAM. */
void dxgk_vram_forget(struct dxgk_adapter *adapter);
/* Gives back what was taken, to be proven again, but for a bad piece of it (NULL or no bytes: there
 * is none), which nobody gets any more. */
void dxgk_vram_give(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const DXGK_MEMORYRANGE *bad);

#endif
