// SPDX-License-Identifier: Apache-2.0
/* What the other files of dxgk need of partition.c besides internal.h. */
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
void dxgk_partition_describe(const struct dxgk_partition *partition, struct vf_partition_info *out);

/* Refuses guest writes from here on and waits for those under way; lets them in again.
 * Lock held. */
void dxgk_vcpu_shut(struct dxgk_partition *partition);
void dxgk_vcpu_open(struct dxgk_partition *partition);

/* Wakes whoever watches it (dxgk_partition_watch). Any thread, any lock. */
void dxgk_partition_signal(struct dxgk_partition *partition);

/* VF, vGPU, VRAM, tracking, interrupts, power: all that the driver has a part in (build.c); paused
 * at its end when incoming. Undoes itself when it fails. Lock held. */
int dxgk_partition_build(struct dxgk_partition *partition, bool incoming, struct vf_error *err);
/* Undoes what build did, also half of it. What the driver will not let go stays locked up with the
 * adapter, which is the failure this returns. Lock held, channels are closed, the door is shut. */
int dxgk_partition_dismantle(struct dxgk_partition *partition, struct vf_error *err);

#endif
