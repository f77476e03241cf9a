// SPDX-License-Identifier: Apache-2.0
/*
 * Dirty tracking of one partition (DBT-1..11): its memory basis, the history that CLEARDATA
 * destroys (`touched`), and what the first round of a move has to carry. All functions:
 * PASSIVE_LEVEL, partition->lock held.
 */
#ifndef DXGK_TRACKING_TRACKING_H
#define DXGK_TRACKING_TRACKING_H

#include "dxgk/internal.h"

/* CreateMemoryBasis over the reserve; StartDirtyTracking now when the adapter tracks performantly
 * (CAP-4). Sets partition->tracking. The reserve is zero-filled already: what paging wrote before
 * is no history. */
int dxgk_tracking_create(struct dxgk_partition *partition, struct vf_error *err);
/* Stops and destroys the basis. A failure is reported as a broken invariant (DBT-8), never
 * retried. NULL-safe. */
void dxgk_tracking_destroy(struct dxgk_partition *partition);

/* A move begins at the source: the next query is its first. Starts tracking when not performant;
 * then all counts as dirty. */
int dxgk_tracking_begin_move(struct dxgk_partition *partition, struct vf_error *err);
/* The move ended, well or not. Stops tracking when not performant. */
void dxgk_tracking_end_move(struct dxgk_partition *partition);

/* Bits of the whole reserve, one a page, LSB first, query and clear in one step (DBT-5); the first
 * after begin_move gives touched | new (DBT-9). A query that fails gives all bits and is reported.
 * bytes >= pages / 8 rounded up; what lies behind the last page in the last byte is 0. *dirty =
 * number of set bits. `bits` is the kernel's own memory: nobody else writes it. */
int dxgk_tracking_query(struct dxgk_partition *partition, void *bits, size_t bytes, uint64_t *dirty,
                        struct vf_error *err);

/* Between moves, for who only wants to know: what was written since the last query. It goes into
 * the history, so a later move sends it all the same. VF_INCOMPATIBLE where tracking begins with
 * a move. */
int dxgk_tracking_sample(struct dxgk_partition *partition, void *bits, size_t bytes,
                         struct dxgk_sample *sample, struct vf_error *err);

/* A driver update (HOT-5): the handle died with the old driver. Makes the basis anew, tracked as it
 * was; all pages count as dirty. The driver's reserve is in place. On failure there is no basis. */
int dxgk_tracking_take_over(struct dxgk_partition *partition, struct vf_error *err);
/* ---- the reserve gets another place; the VF is paused, in no move (VF-4) ---- */

/* Before anything is copied: takes the bits out of hardware into the history (DBT-9), which goes by
 * page of the reserve and so holds for both places, and makes a basis over the new one, not tracked
 * yet; `ranges` outlive it. Nothing to do (handle NULL) where nothing is tracked. */
struct dxgk_basis;
int dxgk_tracking_prepare_place(struct dxgk_partition *partition, const DXGK_MEMORYRANGE *ranges,
                                uint32_t count, struct dxgk_basis *basis, struct vf_error *err);
/* The reserve stays where it is: destroys the basis that dxgk_tracking_prepare_place made. */
void dxgk_tracking_drop_place(struct dxgk_partition *partition, struct dxgk_basis *basis);
/* The content lies at the new place: gives the old basis back and tracks the new one as the old
 * was. What paging wrote is no history: pages that no guest ever wrote stay so. */
void dxgk_tracking_change_place(struct dxgk_partition *partition, const struct dxgk_basis *basis);

/* Largest buffer one query may use; more pages are asked for piecewise, as under low memory
 * (DBT-4). 0 = no limit. */
void dxgk_tracking_limit_buffer(struct dxgk_partition *partition, size_t bytes);

#endif
