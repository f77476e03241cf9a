// SPDX-License-Identifier: Apache-2.0
/*
 * Who owns the partition: the one place that decides it. handoff_step is a pure function: what this
 * host knows of a hand-off and what has just happened go in, the new state and the next action come
 * out. It takes no lock, reads no clock, does no I/O and allocates nothing, so that a test can try
 * every state with every event, and the model (models/handoff.pml) runs this very code.
 *
 * Who carries the actions out is a shell: the threads of source and target while they live, later
 * the ones that retry, reply, recover after a restart, or act for a person. A shell calls
 * handoff_step with an event, does what the action says, and calls it again with the result, until
 * the action is HANDOFF_NOTHING:
 *
 *     action = handoff_step(&handoff, event);
 *     while (action.kind != HANDOFF_NOTHING)
 *         action = handoff_step(&handoff, carry_out(action));
 *
 * One thread at a time: the job's own, or whoever has claimed the job (job/job.h).
 */
#ifndef MIGRATE_HANDOFF_CORE_H
#define MIGRATE_HANDOFF_CORE_H

#include "migrate/side.h"

#include <stdbool.h>

/* The last record of the hand-off in this host's journal, which decides after a restart. */
enum handoff_record {
    RECORD_NONE,
    RECORD_OPEN,        /* begun; the source runs the partition */
    RECORD_PREPARED,    /* target: whole and proven; only the unpause is left */
    RECORD_COMMIT,      /* source: COMMIT may have left this host */
    RECORD_COMMITTED,   /* target: it runs here, or is about to */
    RECORD_DONE,        /* the target runs it, and both know */
    RECORD_ABORTED,     /* source: it runs on here; target: it never ran here and never will */
    RECORD_SOURCE_RUNS, /* a person said so; for a restore: the image has it */
    RECORD_TARGET_RUNS, /* likewise */
    RECORD_UNSURE,      /* a write failed and could not be taken back: only a restart, which reads
                           the journal, can tell. Until then nothing is done and nothing is said */
    HANDOFF_RECORDS,
};

/* Who runs the partition, as far as a record tells. OPEN: it takes the other end's word. */
enum handoff_owner { OWNER_OPEN, OWNER_SOURCE, OWNER_TARGET };

/* What the kernel side holds of this very hand-off; what came back by a later one is no copy. */
enum handoff_copy {
    COPY_AS_KNOWN, /* in an event: as it was last seen */
    COPY_UNSEEN,   /* the kernel side could not be asked */
    COPY_GONE,
    COPY_WENT_ON, /* target: gone from here by a later move or save, so it did run */
    COPY_PARTIAL, /* target: still being filled */
    COPY_PAUSED,  /* whole, and paused for the hand-off */
    COPY_RUNS,    /* source: in brownout, or resumed; target: unpaused */
    HANDOFF_COPIES,
};

enum handoff_message {
    SAY_NOTHING,
    SAY_READY,     /* target: PREPARED is on disk */
    SAY_COMMIT,    /* source */
    SAY_RUNNING,   /* target */
    SAY_NEVER_RAN, /* target: nor will it; ABORTED is on disk */
    SAY_ABORT,     /* source: it runs here */
    SAY_CLOSE,     /* target: nothing is left here, and nothing of it will run */
    SAY_ENDED,     /* target: to DONE, on whose connection CLOSE says it */
    SAY_DONE,      /* source: the copy here is gone */
    SAY_INQUIRE,   /* target: is the source done with it? */
    SAY_NOT_NOW,   /* target: cannot serve it at present; ask again */
    SAY_RUNS_HERE, /* target: to an ABORT: it was committed, and runs here */
    SAY_LOST,      /* target: to a COMMIT: it was committed here, and lost since */
    HANDOFF_MESSAGES,
};

enum handoff_event_kind {
    /* How the last action ended. */
    EVENT_DID,      /* it is done; for a write: durable */
    EVENT_DID_LATE, /* COMMIT is durable, but took longer than --max-blackout allows */
    EVENT_FAILED,   /* it is not done, and changed nothing */
    EVENT_UNSURE,   /* a write that may or may not be found by a restart */

    /* On this host. */
    EVENT_ADMITTED,     /* source: the target knows of the hand-off from here on */
    EVENT_PROVEN,       /* target: pages and state are whole, and equal to the source's */
    EVENT_GIVES_UP,     /* a failure, a cancel, a lost link: the thread cannot go on */
    EVENT_RESTART,      /* a new daemon found it in the journal */
    EVENT_DUE,          /* time to tell or ask the peer what is owed */
    EVENT_FORGET,       /* a person: what the peer is owed need not be told any more */
    EVENT_AGREE_SOURCE, /* a person: the source runs it; the peer was asked, and does not object */
    EVENT_AGREE_TARGET, /* likewise */
    EVENT_RESOLVE_SOURCE, /* a person: the source runs it; the peer could not be asked */
    EVENT_RESOLVE_TARGET, /* likewise */

    /* From the target. */
    EVENT_READY,
    EVENT_RUNNING,
    EVENT_NEVER_RAN,
    EVENT_CLOSE,      /* also the target's ABORT on the move's own link: it has let go */
    EVENT_NO_RECORD,  /* it knows of no such hand-off */
    EVENT_RUNS_THERE, /* its last word: SAY_RUNS_HERE, SAY_LOST */
    EVENT_CANNOT,     /* SAY_NOT_NOW, or no answer */

    /* From the source. */
    EVENT_COMMIT,
    EVENT_ABORT,
    EVENT_DONE,
    EVENT_SOURCE_DONE,     /* its answer to INQUIRE: it knows that it ran here */
    EVENT_SOURCE_NOT_DONE, /* likewise: it does not say so */
    HANDOFF_EVENTS,
};

struct handoff_event {
    enum handoff_event_kind kind;
    enum handoff_copy copy;
};

enum handoff_action_kind {
    HANDOFF_NOTHING, /* wait for the next event */
    HANDOFF_JOURNAL, /* write .record, with .owed; result: DID, DID_LATE, FAILED or UNSURE */
    HANDOFF_RESUME,  /* source: end the move, the copy works again (SRC-7); DID or FAILED */
    HANDOFF_START,   /* target: unpause (TGT-5); DID or FAILED */
    HANDOFF_DESTROY, /* the copy here goes; DID or FAILED */
    HANDOFF_SEND,    /* .message on the connection that is there; only READY's result counts */
    HANDOFF_ASK,     /* .message on a new connection; result: the answer, as an event */
    HANDOFF_RETRY,   /* EVENT_DUE after a while; result: DID */
    HANDOFF_REPORT,  /* .outcome is what the job shows; result: DID */
};

enum handoff_outcome {
    OUTCOME_COMPLETED,     /* it runs on the target */
    OUTCOME_FAILED,        /* it runs on the source, or nowhere; or was cancelled */
    OUTCOME_UNKNOWN,       /* open until the peer's word */
    OUTCOME_CONTRADICTION, /* both sides were settled, differently: a person must look */
    HANDOFF_OUTCOMES,
};

struct handoff_action {
    enum handoff_action_kind kind;
    enum handoff_record record;
    bool owed;
    enum handoff_message message;
    enum handoff_outcome outcome;
};

/* Everything that the decision rests on. The caller fills side, with_file, admitted, owed, record
 * and copy (from the journal and the kernel side after a restart); the rest is handoff_step's. */
struct handoff {
    enum mig_side side;
    bool with_file; /* a save or a restore: the other end is a file, which says nothing */
    bool admitted;  /* source: the target knows of it, so it must be told how it ends */
    bool owed;      /* source: the target may still have to be told */
    enum handoff_record record;
    enum handoff_copy copy;
    unsigned char series; /* under way (table.h); 0 = none, the next event decides */
    unsigned char at;     /* its action that is being carried out */
};

/* The next action. `h` is changed in place. An event that means nothing in this state changes
 * nothing and leads to HANDOFF_NOTHING. */
struct handoff_action handoff_step(struct handoff *h, struct handoff_event event);

enum handoff_owner handoff_owner(enum handoff_record record);
/* That write may have been made or not: do the two readings of the journal give the partition to
 * different ends, so that nobody may act before a restart has read it? DONE only notes what has
 * happened, and nobody was told of a PREPARED that could not be written. */
bool handoff_splits(enum handoff_record is, enum handoff_record becomes);
/* Does what follows from that event depend on the copy? Then it is looked for first. */
bool handoff_needs_copy(const struct handoff *h, enum handoff_event_kind kind);
/* What EVENT_DUE would have this side say on a connection of its own. SAY_NOTHING: nothing is
 * owed. */
enum handoff_message handoff_owes(const struct handoff *h);

const char *handoff_record_name(enum handoff_record record);
const char *handoff_event_name(enum handoff_event_kind kind);
const char *handoff_action_name(enum handoff_action_kind kind);
const char *handoff_message_name(enum handoff_message message);
const char *handoff_series_name(unsigned series);
const char *handoff_copy_name(enum handoff_copy copy);

#endif
