// SPDX-License-Identifier: Apache-2.0
/*
 * Who keeps a partition from running, one bit each (enum vf_holder): it runs only when nobody is
 * left. A person, a move, a defragmentation and a fault each take away their own hold and no other,
 * so that a pause which one of them needs for a while never undoes, and never passes for,
 * another's. No other code pauses or resumes a VF that lives. The bit is set before the VF is
 * paused and cleared once it runs again: who finds vCPU access shut also finds who shut it.
 */
#ifndef DXGK_PARTITION_HOLD_H
#define DXGK_PARTITION_HOLD_H

#include "dxgk/internal.h"

/* The partition stands once it returns 0: vCPU access is shut, the VF is quiet (SRC-5, DBT-10).
 * RUNNING -> PAUSED, OUTGOING -> OUTGOING_PAUSED; one that stands already is only held by one more.
 * -1: the driver would not; it runs on and nobody holds it. Lock held. */
int dxgk_hold(struct dxgk_partition *partition, enum vf_holder who, const char *why,
              struct vf_error *err);

/* Takes those holds away (bits of enum vf_holder); the last one lets it run: PAUSED, READY,
 * FAULTED -> RUNNING, OUTGOING_PAUSED -> OUTGOING. A driver that fails is asked again, for 150 ms
 * in all. VF_STANDS: it would not, the partition is held by VF_HOLD_FAULT instead, which is told as
 * event "state". One that comes in (READY) is held by its move as before. Lock held. */
int dxgk_release(struct dxgk_partition *partition, uint32_t who, const char *why,
                 struct vf_error *err);

/* A stand of some milliseconds in the middle of a move (partition/beats.h): from dxgk_stand to
 * dxgk_stand_over the lock is held and nothing else is done with the partition, so its state stays
 * OUTGOING. -1 of dxgk_stand: the driver would not pause it; it runs on. -1 of dxgk_stand_over: the
 * driver would not resume it; as with dxgk_release it stands, held by VF_HOLD_FAULT. Lock held. */
int dxgk_stand(struct dxgk_partition *partition, struct vf_error *err);
int dxgk_stand_over(struct dxgk_partition *partition, struct vf_error *err);

/* During such a stand; nobody outside is told of it, and guest accesses wait for its end. */
#define DXGK_HOLD_STAND (1u << 8)

/* The bits alone, for whoever pauses or lets go by other means: a partition that is built, a reset
 * that failed. Lock held. */
void dxgk_holders_set(struct dxgk_partition *partition, uint32_t holders);

static inline uint32_t dxgk_holders(const struct dxgk_partition *partition)
{
    return atomic_load(&partition->holders);
}

#endif
