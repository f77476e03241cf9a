// SPDX-License-Identifier: Apache-2.0
/*
 * The hand-off's shell: tells the core (core.h) what has happened and carries out what the core
 * asks for, action by action. What is done in the same way wherever a hand-off stands is done here:
 * the journal's records, the copy's resume, start and end. What differs (who says a message on
 * which connection, what the journal says for people) its user gives as struct handoff_ops.
 *
 * The core's state is not kept between two events: the job's last record, what it owes and the
 * kernel side's copy are the state, and are read anew each time.
 *
 * All functions: the job's own thread, or who has claimed the job (job/job.h); no lock held.
 */
#ifndef MIGRATE_HANDOFF_SHELL_H
#define MIGRATE_HANDOFF_SHELL_H

#include "kernel/client.h"
#include "migrate/handoff/core.h"
#include "migrate/job/job.h"

struct handoff_run;

/* Each may be NULL. */
struct handoff_ops {
    /* The record's text for people. `text` holds what it says unless this changes it: nothing, or
     * the last record's text when the same is written once more. */
    void (*text)(struct handoff_run *run, enum handoff_record record,
                 char text[JOURNAL_TEXT_BYTES]);
    /* COMMIT is durable: EVENT_DID, or EVENT_DID_LATE. May change run->core.copy. */
    enum handoff_event_kind (*committed)(struct handoff_run *run);
    /* In place of what copy.h does with run->copy. */
    int (*resume)(struct handoff_run *run, struct vf_error *err);
    int (*start)(struct handoff_run *run, struct vf_error *err);
    int (*destroy)(struct handoff_run *run, struct vf_error *err);
    /* Says it on the connection that is there; without this nobody hears it. */
    int (*send)(struct handoff_run *run, enum handoff_message message, struct vf_error *err);
    /* What the job shows from here on. */
    void (*report)(struct handoff_run *run, enum handoff_outcome outcome);
};

struct handoff_run {
    struct mig_job *job;
    struct kc *kc; /* NULL = no action can need it */
    const struct handoff_ops *ops;
    void *ctx; /* the user's */
    struct handoff core;
    struct vf_partition_info copy; /* while core.copy says that there is one */
    /* Of the last event: the first action that failed, and why; HANDOFF_NOTHING = none did. */
    enum handoff_action_kind failed;
    struct vf_error why;
    bool reported; /* likewise: the job's outcome is known, it is this: */
    enum handoff_outcome outcome;
};

/* Reads the job; its copy is not looked for yet. */
void handoff_run_init(struct handoff_run *run, struct mig_job *job, struct kc *kc,
                      const struct handoff_ops *ops, void *ctx);
/* Asks the kernel side for the hand-off's copy. -1: it cannot be asked, core.copy is COPY_UNSEEN.
 */
int handoff_run_look(struct handoff_run *run, struct vf_error *err);
/* This has happened: all that follows is carried out, up to where the core waits for the next event
 * (HANDOFF_NOTHING) or has something to ask the peer on a new connection (HANDOFF_ASK). */
struct handoff_action handoff_tell(struct handoff_run *run, enum handoff_event_kind kind);

#endif
