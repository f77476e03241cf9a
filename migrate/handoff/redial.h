// SPDX-License-Identifier: Apache-2.0
/*
 * What a source owes its target once the hand-off has begun: ABORT when the partition runs on here,
 * COMMIT when it may run there. Brought on a connection of its own (docs/wire-format.md, "Redial"),
 * by the job's own thread as long as it lives, after it by the retry thread.
 */
#ifndef MIGRATE_HANDOFF_REDIAL_H
#define MIGRATE_HANDOFF_REDIAL_H

#include "kernel/client.h"
#include "migrate/handoff/core.h"
#include "migrate/job/job.h"

#define REDIAL_WAIT_NS 50000000ull /* before the second try; doubles each time */
#define REDIAL_MAX_WAIT_NS 10000000000ull

/* What the job still has to say to its peer, by its last record. INQUIRE: a target that committed,
 * and whose kernel side then lost the partition, asks whether the source is done with it. Any
 * thread; takes the lock of the job. */
enum handoff_message redial_owed(struct mig_job *job);

/*
 * One try: says what is owed (`why` is EVENT_DUE) or what a person decided (EVENT_AGREE_SOURCE,
 * EVENT_AGREE_TARGET; source), hears the answer and does here what follows from it. 0: nothing is
 * owed any more; *end is how the job ended, with the reason in err when it is JOB_FAILED. -1: still
 * open, err tells why. The caller is the job's thread, with its channels closed, or has claimed the
 * job; job_leave ends the waits.
 */
int redial_try(struct mig_job *job, struct kc *kc, enum handoff_event_kind why, enum job_state *end,
               struct vf_error *err);
/* The same with what is owed, less and less often, until it is done, the deadline has passed or the
 * daemon ends. */
int redial_until(struct mig_job *job, struct kc *kc, uint64_t deadline_ns, enum job_state *end,
                 struct vf_error *err);
/* The same for what was heard on the move's own connection: EVENT_RUNNING (the copy here goes, DONE
 * is recorded; -1: it is still here), or EVENT_CLOSE (the target knows that it runs on here). */
int redial_heard(struct mig_job *job, struct kc *kc, enum handoff_event_kind event,
                 enum job_state *end, struct vf_error *err);
/* Nothing is owed any more, a person says. -1: that cannot be written, and it stays owed. */
int redial_forget(struct mig_job *job, struct vf_error *err);
/* How long to wait after a try in vain; doubles *wait_ns for the next one. */
uint64_t redial_back_off(uint64_t *wait_ns);

/* A connection to the peer for this hand-off, HELLOs said; job_leave breaks it. */
int redial_call(struct mig_job *job, uint16_t *version, struct tp **out, struct vf_error *err);
void redial_hang_up(struct mig_job *job, struct tp *tp);

#endif
