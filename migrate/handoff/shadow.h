// SPDX-License-Identifier: Apache-2.0
/*
 * Holds the hand-off's core (core.h) against the code that decides today: that code tells what has
 * happened and what it does, and the core must have asked for exactly that. A difference is an
 * error in the log, and the end of a vferryd that was built with faults (docs/faults.md).
 *
 * All functions: the job's own thread, or who has claimed the job; job->lock is not held.
 */
#ifndef MIGRATE_HANDOFF_SHADOW_H
#define MIGRATE_HANDOFF_SHADOW_H

#include "migrate/handoff/core.h"

struct mig_job;
struct vf_partition_info;

struct shadow {
    struct handoff core;
    struct handoff_action due; /* what the core waits for; HANDOFF_NOTHING = an event */
};

/* How many differences this process has seen; for tests. Any thread. */
unsigned shadow_differences(void);

/* What the kernel side showed of the hand-off's own copy. `found` as handoff_copy returns it. */
enum handoff_copy shadow_copy(struct mig_job *job, int found, const struct vf_partition_info *copy);

/* This has happened. While a series of actions is under way it is part of that, and ignored. */
void shadow_event(struct mig_job *job, enum handoff_event_kind kind, enum handoff_copy copy);
/* HANDOFF_RESUME, HANDOFF_START or HANDOFF_DESTROY was done here, or failed. */
void shadow_called(struct mig_job *job, enum handoff_action_kind kind, bool done);
/* That message is sent on the connection that is there, or (ASK) is what a new one is made for. */
void shadow_sent(struct mig_job *job, enum handoff_message message, bool done);
void shadow_asks(struct mig_job *job, enum handoff_message message);
/* A record was written (EVENT_DID), could not be, or may have been; `owed` as it says. Before
 * job_recorded. */
void shadow_journal(struct mig_job *job, enum handoff_record record, bool owed,
                    enum handoff_event_kind result);
/* COMMIT is durable. `late`: after --max-blackout; `here`: the kernel side still has the copy. */
void shadow_committed(struct mig_job *job, bool late, bool here);

#endif
