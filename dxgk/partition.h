// SPDX-License-Identifier: Apache-2.0
/* What the other files of dxgk need of partition.c besides internal.h. */
#ifndef DXGK_PARTITION_H
#define DXGK_PARTITION_H

#include "dxgk/internal.h"

/* What params would get now: 0, or the reason why a partition like it cannot be created here (name, UUID, VF, VRAM). */
extern const struct vf_fsm_table dxgk_partition_states;

static inline enum vf_partition_state dxgk_partition_state(const struct dxgk_partition *partition)
{
    return (enum vf_partition_state)vf_fsm_get(&partition->fsm);
}

/* Refusal text for a call that does not fit the state: "partition NAME is STATE; WHAT"; returns -1. */
int dxgk_partition_wrong_state(const struct dxgk_partition *partition, const char *what, struct vf_error *err);

/* Closes the door for guest writes and waits for those under way; opens it. partition->lock held. */
void dxgk_vcpu_shut(struct dxgk_partition *partition);
void dxgk_vcpu_open(struct dxgk_partition *partition);

/* Takes it down whatever state it is in; for dxgk_close. partition->lock held, channels are closed. */
int dxgk_partition_take_down(struct dxgk_partition *partition, struct vf_error *err);

/* reserve.c's VRAM for a partition, its bases and zero-filling (build.c). partition->lock held. */
int dxgk_partition_build(struct dxgk_partition *partition, bool incoming, struct vf_error *err);
/* Undoes what build did, also half of it. What the driver keeps stays locked up; VF_FAILED then. */
int dxgk_partition_dismantle(struct dxgk_partition *partition, struct vf_error *err);

#endif
