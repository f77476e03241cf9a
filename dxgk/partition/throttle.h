// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of a partition's throttle: how much it is slowed, whether it stands for that, who
 * wants its lock or its door meanwhile. A leaf: what lets it stand is beats.h.
 */
#ifndef DXGK_PARTITION_THROTTLE_H
#define DXGK_PARTITION_THROTTLE_H

#include "dxgk/internal.h"

/* Of a new partition: none. */
void dxgk_throttle_init(struct dxgk_throttle *throttle);
void dxgk_throttle_fini(struct dxgk_throttle *throttle);

/* The move begins: nothing has stood for it yet. The move is over: there is no throttle any more,
 * and none stands. partition->lock is held. */
void dxgk_throttle_begin_move(struct dxgk_partition *partition);
void dxgk_throttle_end_move(struct dxgk_partition *partition);

/* The calling thread wants partition->lock, and has it or has given up: between the two no stand
 * keeps it waiting. In pairs. */
void dxgk_throttle_yield(struct dxgk_partition *partition);
void dxgk_throttle_yielded(struct dxgk_partition *partition);

/* A guest's access finds the door shut by a stand, and is through it, or has given up: in pairs.
 * Between two stands the partition runs until it is through, within reason. */
void dxgk_throttle_guest_waits(struct dxgk_partition *partition);
void dxgk_throttle_guest_passed(struct dxgk_partition *partition);
/* Returns when no stand keeps the door shut (any more). Takes neither lock nor gate. */
void dxgk_throttle_await(struct dxgk_partition *partition);

/* May the partition's lock be the throttle's for a moment? Any thread. */
bool dxgk_throttle_runs(struct dxgk_partition *partition);
/* Percent of each beat that it stands, and for how long it has stood since Prepare. Any thread. */
void dxgk_throttle_tell(struct dxgk_partition *partition, uint32_t *percent, uint64_t *stood_ns);

/* ---- for beats.c ---- */

/* From now on so many percent. True: there is no thread yet, and the caller is to start it. */
bool dxgk_throttle_set(struct dxgk_partition *partition, uint32_t percent);
/* The throttle's percent; 0: its thread is over, another may start. Unless it `goes_on`, what was
 * asked for and served as `percent` is over; what was asked for since is not. */
uint32_t dxgk_throttle_next(struct dxgk_throttle *throttle, uint32_t percent, bool goes_on);
/* The partition comes to stand, or runs again. */
void dxgk_throttle_say_stands(struct dxgk_throttle *throttle, bool stands);
/* Stands until then, as long as the throttle is `percent` and nobody wants partition->lock, which
 * is held; and counts the time. */
void dxgk_throttle_stand_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns);
/* Runs until then, and for guests that wait a little longer, as long as the throttle is
 * `percent`. */
void dxgk_throttle_run_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns);

#endif
