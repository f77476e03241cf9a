// SPDX-License-Identifier: Apache-2.0
/*
 * How a move that did not complete is told, by either end and on every way that fails: in which
 * phase, what happened, where the partition is now, how long it stood, what to do.
 */
#ifndef MIGRATE_JOB_ENDING_H
#define MIGRATE_JOB_ENDING_H

#include "kernel/client.h"
#include "migrate/job/job.h"

#define ENDING_WHERE (3 * VF_NAME_BYTES + 64)
/* So long after a daemon's end the next one starts its moves over (handoff/restart.h); later nobody
 * expects the move any more. */
#define RESTART_WITHIN_NS 600000000000ull

/* The peer's name, or its address as long as it told none (after a restart). Points into
 * the job. */
const char *ending_peer(const struct mig_job *job);
/* "in round 3", by the job's present state; "" for one that is over. */
const char *ending_phase(struct mig_job *job, char *out, size_t bytes);
/* "partition p runs on at host A", as this host's kernel side says it; returns `out`. */
const char *ending_here(const struct mig_job *job, struct kc *kc, uint64_t id,
                        char out[ENDING_WHERE]);
/* The same of a source that is just about to let it go on: "runs on", or "stays paused" when a
 * person had paused it. */
const char *ending_stays(const struct mig_job *job, char out[ENDING_WHERE]);
/* The same for a target that has nothing left of it. */
const char *ending_there(const struct mig_job *job, char out[ENDING_WHERE]);
/* The bare cause of a job that was called off: by a person (VF_CANCELLED), or by this daemon's end
 * (VF_FAILED: nobody wanted it to end). `again`: the next daemon starts it over. Returns -1. */
int ending_called_off(const struct mig_job *job, bool again, struct vf_error *err);
/* *err, the bare cause, becomes the whole: phase, cause, `where` ("" = not known), how long it
 * stood, and the cause's remedy last. A partition that stands (VF_STANDS) says so by itself: its
 * text stays. Before the job is over; its thread. */
void ending_tell(struct mig_job *job, const char *where, struct vf_error *err);
/* The same of a job whose thread is gone, in the phase that its last record tells; "" = the cause
 * says so itself. */
void ending_tell_in(struct mig_job *job, const char *phase, const char *where,
                    struct vf_error *err);
/* "; more" behind what *err says, ahead of its remedy. */
void ending_add(struct vf_error *err, const char *more);
/* The journal may have the record that was to decide, or not (job_unsure): *err, why it could not
 * be written, becomes that, with what to do. */
void ending_unsure(struct mig_job *job, const char *phase, struct vf_error *err);
/* Nobody here knows who runs it: *err becomes phase, cause, where this host keeps it paused or that
 * it has none (`held`), until what, and what a person can do; VF_UNKNOWN. Returns -1. */
int ending_unknown(struct mig_job *job, const char *phase, const char *cause, bool held,
                   struct vf_error *err);

#endif
