// SPDX-License-Identifier: Apache-2.0
/*
 * A hand-off as both ends name it, and what may become of this host's copy of the partition at its
 * end. Whoever acts on a copy here is the job's own thread, or has claimed the job (job/job.h).
 */
#ifndef MIGRATE_HANDOFF_COPY_H
#define MIGRATE_HANDOFF_COPY_H

#include "kernel/client.h"
#include "migrate/handoff/core.h"
#include "migrate/job/job.h"
#include "migrate/wire/wire.h"

/* Who runs the partition, as far as the job's last record tells. Takes the lock of the job. */
enum handoff_owner handoff_owner_of(struct mig_job *job);

/* A journal's record as the core knows it (`runs` counts for SETTLED), and the kind of record that
 * says so in the journal. */
enum handoff_record handoff_record_of(enum journal_kind kind, enum mig_side runs);
enum journal_kind handoff_journal_kind(enum handoff_record record);
/* The job as the core knows it; its copy is COPY_UNSEEN. Takes the lock of the job. */
void handoff_state(struct mig_job *job, struct handoff *out);
/* The same of its copy: `found` and *copy as handoff_copy gave them. */
enum handoff_copy handoff_copy_state(struct mig_job *job, int found,
                                     const struct vf_partition_info *copy);

struct wire_handoff handoff_of(const struct mig_job *job);
bool handoff_same(const struct mig_job *job, const struct wire_handoff *id);
/* RUNNING came: the target's own moments on a shared clock, where they can be true; else what this
 * side can know, an upper bound. And CLOSE, which tells when the VF really ran first. */
void handoff_take_running(struct mig_job *job, const struct wire_running *running);
void handoff_take_close(struct mig_job *job, const struct wire_close *close);
/* What a target says of it: RUNNING, and CLOSE as the answer to DONE, with the moment at which the
 * copy (the kernel side's handle `id`) really ran first, if that can be told. */
struct wire_message handoff_running(const struct mig_job *job);
struct wire_message handoff_ended(const struct mig_job *job, struct kc *kc, uint64_t id);

/* Is it the copy that this hand-off left here: at the source of an older epoch, at the target of
 * the hand-off's own? What came back by a later move is none. */
bool handoff_is_copy(const struct mig_job *job, const struct vf_partition_info *p);
/* That copy: 1, 0 = there is none, -1. */
int handoff_copy(const struct mig_job *job, struct kc *kc, struct vf_partition_info *out,
                 struct vf_error *err);

/* Target, COMMITTED: it did run here, for it went on from here by a later move or save. */
bool handoff_went_on(struct mig_job *job);

/* Source: as if the move had never been (SRC-7). Resumed first, then ended: should this daemon die
 * in between, the partition still says that it is in a move. */
int copy_run_on(struct kc *kc, const struct vf_partition_info *p, bool stays_paused,
                struct vf_error *err);
/* What copy_run_on said with VF_STANDS comes first, the cause in *err after it. */
void copy_stands(struct vf_error *err, const struct vf_error *stands);
/* Target: the unpause. One that runs already is left alone. */
int copy_start(struct kc *kc, const struct vf_partition_info *p, bool stays_paused,
               struct vf_error *err);
/* Either side: it goes. */
int copy_destroy(struct kc *kc, const struct vf_partition_info *p, struct vf_error *err);

#endif
