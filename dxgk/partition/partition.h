// SPDX-License-Identifier: Apache-2.0
/* Partitions to the other files of dxgk, besides internal.h. */
#ifndef DXGK_PARTITION_PARTITION_H
#define DXGK_PARTITION_PARTITION_H

#include "dxgk/internal.h"

static inline enum vf_partition_state dxgk_partition_state(const struct dxgk_partition *partition)
{
    return (enum vf_partition_state)vf_fsm_get(&partition->fsm);
}

/* Refuses a call that does not fit the state: "partition NAME is STATE; WHAT"; returns -1. */
int dxgk_partition_wrong_state(const struct dxgk_partition *partition, const char *what,
                               struct vf_error *err);

/* The partition as the host program sees it. Any thread, any lock. */
void dxgk_partition_describe(struct dxgk_partition *partition, struct vf_partition_info *out);

/* Wakes whoever watches it (dxgk_partition_watch). Any thread, any lock. */
void dxgk_partition_signal(struct dxgk_partition *partition);

/* ---- the table (table.c) ---- */

/* Puts it into the table, which then holds a reference, and gives it its id; its name and UUID are
 * its own from here on. -1: another one has them, or there are too many. */
int dxgk_partition_enter(struct dxgk *dxgk, struct dxgk_partition *partition, struct vf_error *err);
/* Takes it out; the caller still holds a reference of its own and partition->lock. */
void dxgk_partition_leave(struct dxgk *dxgk, struct dxgk_partition *partition);
/* As dxgk_partition_lock, but a stand of the partition's throttle goes on to its end. */
struct dxgk_partition *dxgk_partition_lock_slowly(struct dxgk *dxgk, uint64_t id,
                                                  struct vf_error *err);
/* As dxgk_partition_lock, but waits for no other call on the partition, which may never come back;
 * a move of its reserve, or its throttle, alone is waited for. */
struct dxgk_partition *dxgk_partition_lock_to_remove(struct dxgk *dxgk, uint64_t id,
                                                     struct vf_error *err);

/* ---- making and unmaking (build.c) ---- */

/* VF, vGPU, VRAM, tracking, interrupts, power: all that the driver has a part in (build.c); paused
 * at its end when incoming. Undoes itself when it fails. Lock held. */
int dxgk_partition_build(struct dxgk_partition *partition, bool incoming, struct vf_error *err);
/* Undoes what build did, also half of it. What the driver will not let go stays locked up with the
 * adapter, which is the failure this returns. Lock held, channels are closed, the door is shut. */
int dxgk_partition_dismantle(struct dxgk_partition *partition, struct vf_error *err);

#endif
