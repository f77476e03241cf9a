// SPDX-License-Identifier: Apache-2.0
/*
 * Slows a partition that is moving, so that it dirties no more pages than the move can send: in
 * each beat of 5 ms its VF and its vCPUs stand for a part of it (VF-4, SRC-5) and run for the rest.
 * Other VFs are not touched (VF-6). No stand is longer than a beat. One thread for each partition
 * that is slowed, which ends with the throttle (throttle.h); dxgk_partition_throttle starts it.
 *
 * A stand is one short call on the partition: partition->lock and the adapter's gate are held
 * throughout, so no other call ever meets a partition that a throttle holds, and a driver update
 * waits for a stand at most. Whoever asks for the lock meanwhile ends the stand.
 */
#ifndef DXGK_PARTITION_BEATS_H
#define DXGK_PARTITION_BEATS_H

#include "dxgk/internal.h"

/* All partitions are gone: waits for the last thread. False: one is in a driver's call that does
 * not come back; dxgk must stay. */
bool dxgk_throttles_wait(struct dxgk *dxgk);

#endif
