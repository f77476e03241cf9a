// SPDX-License-Identifier: Apache-2.0
/*
 * The hand-off's two tables, for core.c that walks them and for tests that look at them.
 * handoff_series: what a series of actions consists of, in which order, and what follows when one
 * of them fails. handoff_rules: which event begins which series in which state.
 */
#ifndef MIGRATE_HANDOFF_TABLE_H
#define MIGRATE_HANDOFF_TABLE_H

#include "migrate/handoff/core.h"

#include <stddef.h>

enum series {
    SERIES_NONE,
    SERIES_COMMIT,
    SERIES_COMMIT_STANDS,
    SERIES_TAKE_BACK,
    SERIES_CALL_OFF,
    SERIES_LET_GO,
    SERIES_RELEASE,
    SERIES_RECLAIM,
    SERIES_NEVER_LEFT,
    SERIES_TOLD,
    SERIES_FORGET,
    SERIES_CONTRADICTION,
    SERIES_ASK_COMMIT,
    SERIES_ASK_ABORT,
    SERIES_PREPARE,
    SERIES_TAKE_OVER,
    SERIES_ROLL_FORWARD,
    SERIES_CLOSE_BOOKS,
    SERIES_SAY_RUNNING,
    SERIES_GIVE_UP,
    SERIES_DISCARD,
    SERIES_CLEAR,
    SERIES_NEVER_RAN,
    SERIES_SAY_NEVER_RAN,
    SERIES_SAY_CLOSE,
    SERIES_SAY_ENDED,
    SERIES_SAY_LOST,
    SERIES_REFUSE_ABORT,
    SERIES_UNDO_LOST,
    SERIES_FILE_HAS_IT,
    SERIES_NOT_NOW,
    SERIES_INQUIRE,
    SERIES_RESOLVE_SOURCE,
    SERIES_RESOLVE_TARGET,
    SERIES_END_SOURCE,
    SERIES_END_TARGET,
    SERIES_RETRY,
    SERIES_UNKNOWN,
    SERIES_FAILED,
    SERIES_UNSURE,
    SERIES_COUNT,
};

/* An act's kind: enum handoff_action_kind, or this: the copy follows the record, that is, it works
 * where its side owns the partition, and goes where the other one does. */
#define ACT_FOLLOW (HANDOFF_REPORT + 1)
/* An act's record: the last one once more, since its `owed` has changed; of OPEN becomes
 * ABORTED. */
#define RECORD_SAME HANDOFF_RECORDS

/* What follows when an act has failed. */
enum act_failed {
    ACT_NEXT,  /* the one after it, all the same */
    ACT_STOP,  /* nothing */
    ACT_OTHER, /* ACT_OTHER + a series: that one instead */
};

struct act {
    unsigned char kind;
    unsigned char what; /* record, message or outcome */
    unsigned char failed;
};

/* What becomes of `owed` as a series begins. */
enum series_owed { OWED_KEEP, OWED_CLEAR, OWED_SET, OWED_IF_ADMITTED };

#define SERIES_ACTS 5u /* the last one is HANDOFF_NOTHING */

struct handoff_series {
    const char *name;
    enum series_owed owed;
    struct act acts[SERIES_ACTS];
};

extern const struct handoff_series handoff_series[SERIES_COUNT];

#define RULE_SOURCE 1u
#define RULE_TARGET 2u
#define RULE_FILE 4u /* only when the other end is a file */

struct handoff_rule {
    unsigned char side;
    unsigned char event;
    unsigned short records; /* a bit each */
    unsigned char copies;   /* likewise */
    unsigned char series;
};

/* The first that fits. What fits none changes nothing: it came too late, or twice. */
extern const struct handoff_rule handoff_rules[];
extern const size_t handoff_rule_count;

#endif
