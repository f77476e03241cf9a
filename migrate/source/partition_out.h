// SPDX-License-Identifier: Apache-2.0
/*
 * A partition on its way out of this host: what a move and a save do alike with it and its
 * driver (SRC-1…3, SRC-7, SRC-8). Each call tells the job, and who watches it, what it does.
 * The job's thread.
 */
#ifndef MIGRATE_SOURCE_PARTITION_OUT_H
#define MIGRATE_SOURCE_PARTITION_OUT_H

#include "kernel/client.h"
#include "migrate/job/job.h"
#include "migrate/wire/wire.h"

/* Finds the job's partition, sees that it may leave, and gives the job its identity, size and next
 * epoch. `what` fits "only a running or paused one can ...". After -1 too the caller closes *kc,
 * unless it is NULL. */
int partition_out_open(struct mig_job *job, const char *what, struct kc **kc,
                       struct vf_partition_info *p, struct vf_error *err);
/* What a target, or an image, is told of it; the driver's data and the job's options are the
 * caller's to add. */
int partition_out_describe(const struct mig_job *job, struct kc *kc,
                           const struct vf_partition_info *p, struct wire_admit *out,
                           struct vf_error *err);
/* Prepare and SaveImmutable. *prepared: Prepare succeeded and needs its End. The caller frees the
 * blobs, which begin zeroed, also after -1. */
int partition_out_prepare(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                          bool *prepared, struct kc_blob *kmd, struct kc_blob *umed,
                          struct vf_error *err);
/* From here on it stands, unless it did already by a person's word; *paused: by this call. */
int partition_out_pause(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                        bool *paused, struct vf_error *err);
/* All that STATE carries but the root, which the caller adds. */
struct partition_out_state {
    struct wire_state state; /* its blobs are those below */
    struct kc_blob kmd, msix, umed;
};
/* SaveMutable, once it stands. The driver's answer may come however late: after `deadline_ns`
 * (TP_NEVER = none) this fails, for the limit is hard. After 0 the caller frees *out. */
int partition_out_state(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                        uint64_t deadline_ns, struct partition_out_state *out,
                        struct vf_error *err);
void partition_out_state_free(struct partition_out_state *state);
/* Back to "never happened", for one that was prepared: it works again, and Prepare has its End.
 * -1: it does not, *err says so for people. */
int partition_out_run_on(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                         bool paused, struct vf_error *err);

#endif
