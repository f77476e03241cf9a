// SPDX-License-Identifier: Apache-2.0
/*
 * A partition that stands, and what its job waits for meanwhile: told while it happens, to whoever
 * watches (mig_job_progress), as an event once it takes longer than it may, and to the peer, which
 * would else be left to guess. Any thread unless said otherwise; each takes the job's lock itself.
 */
#ifndef MIGRATE_JOB_STAND_H
#define MIGRATE_JOB_STAND_H

#include "kernel/client.h"
#include "migrate/job/job.h"

/* The partition does not work since then, for this job's sake; until stand_ends. The second of two
 * begins only corrects the moment. */
void stand_begins(struct mig_job *job, uint64_t since_ns);
/* It works again, or for good elsewhere: t.stood is how long it stood. Without a begin nothing. */
void stand_ends(struct mig_job *job);
/* Under job->lock: for how long it has stood, or had when it ended; 0 = it never did. */
uint64_t stand_ns(const struct mig_job *job);

/* Remembers whose DDIs the job's partition is served by. */
void stand_driver(struct mig_job *job, struct kc *kc, uint32_t adapter);
/* The job's thread enters this DDI of the driver; NULL: it is back. */
void stand_calls(struct mig_job *job, const char *ddi);
/* The same for other work of this host, in words that fit "waiting for ...". */
void stand_does(struct mig_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What it waits for from others; ends as they do, by stand_calls(job, NULL). */
void stand_waits(struct mig_job *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What the peer says that it is in; "" = nothing that takes long. */
void stand_peer(struct mig_job *job, const char *text);
/* Who tells the peer; called under the job's lock and must not block. NULL: nobody. */
void stand_set_note(struct mig_job *job, void (*note)(void *ctx, const char *text), void *ctx);

/* Under job->lock: what it waits for, when that takes long by now; "" = nothing worth telling. */
void stand_line(const struct mig_job *job, uint64_t now_ns, char *out, size_t bytes);

/* Was it for the most of the time since then that the host's own kernel side answered nobody?
 * Then true, and *err says so of a blackout that took too long: no driver is to blame.
 * Without job->lock. */
bool stand_was_mute(const struct mig_job *job, uint64_t since_ns, struct vf_error *err);

/* The thread that notices; ends with the host (mig_end_jobs). */
int stand_start(struct mig *mig, struct vf_error *err);

#endif
