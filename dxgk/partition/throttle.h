// SPDX-License-Identifier: Apache-2.0
/*
 * Slows a partition that is moving, so that it dirties no more pages than the move can send: in
 * each beat of 5 ms its VF and its vCPUs stand for a part of it (VF-4, SRC-5) and run for the rest.
 * Other VFs are not touched (VF-6). No stand is longer than a beat.
 *
 * A stand is one short call on the partition: partition->lock and the adapter's gate are held
 * throughout, so no other call ever meets a partition that a throttle holds, and a driver update
 * waits for a stand at most. Whoever asks for the lock meanwhile ends the stand.
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

/* All partitions are gone: waits for the last thread of a throttle. False: one is in a driver's
 * call that does not come back; dxgk must stay. */
bool dxgk_throttles_wait(struct dxgk *dxgk);

#endif
