// SPDX-License-Identifier: Apache-2.0
/* See table.h. Laid out by hand: a row is a line. */
#include "migrate/handoff/table.h"

/* ---- the series ---- */

#define NEXT ACT_NEXT
#define STOP ACT_STOP
#define INSTEAD(name) (ACT_OTHER + SERIES_##name)

#define JOURNAL(name, failed) {HANDOFF_JOURNAL, RECORD_##name, failed}
#define RESUME {HANDOFF_RESUME, 0, NEXT}
#define START(failed) {HANDOFF_START, 0, failed}
#define DESTROY(failed) {HANDOFF_DESTROY, 0, failed}
#define FOLLOW {ACT_FOLLOW, 0, ACT_NEXT}
#define SEND(name) {HANDOFF_SEND, SAY_##name, NEXT}
#define SEND_OR(name, failed) {HANDOFF_SEND, SAY_##name, failed}
#define ASK(name) {HANDOFF_ASK, SAY_##name, NEXT}
#define REPORT(name) {HANDOFF_REPORT, OUTCOME_##name, NEXT}
#define RETRY {HANDOFF_RETRY, 0, NEXT}

#define SERIES(name, owed, ...) [SERIES_##name] = {#name, OWED_##owed, {__VA_ARGS__}}

/* clang-format off */
const struct handoff_series handoff_series[SERIES_COUNT] = {
    SERIES(NONE,          KEEP,  {HANDOFF_NOTHING, 0, 0}),

    /* Source: nothing resumes after COMMIT unless ABORTED is durable, nothing sends COMMIT unless
     * COMMIT is, and no copy goes before the target's RUNNING. */
    SERIES(COMMIT,        KEEP,  JOURNAL(COMMIT, INSTEAD(CALL_OFF)), SEND(COMMIT)),
    SERIES(COMMIT_STANDS, CLEAR, SEND(COMMIT)),
    SERIES(TAKE_BACK,     SET,   JOURNAL(ABORTED, INSTEAD(COMMIT_STANDS)), RESUME, REPORT(FAILED),
                          SEND(ABORT)),
    SERIES(CALL_OFF,      IF_ADMITTED, RESUME, JOURNAL(ABORTED, NEXT), REPORT(FAILED), SEND(ABORT)),
    SERIES(LET_GO,        KEEP,  RESUME, REPORT(FAILED)), /* nothing is in the journal yet */
    SERIES(RELEASE,       KEEP,  DESTROY(INSTEAD(UNKNOWN)), JOURNAL(DONE, INSTEAD(UNKNOWN)),
                          REPORT(COMPLETED), SEND(DONE)),
    SERIES(RECLAIM,       CLEAR, JOURNAL(ABORTED, INSTEAD(RETRY)), RESUME, REPORT(FAILED)),
    SERIES(NEVER_LEFT,    SET,   JOURNAL(ABORTED, INSTEAD(UNKNOWN)), RESUME, REPORT(FAILED)),
    SERIES(TOLD,          CLEAR, JOURNAL(SAME, NEXT), REPORT(FAILED)),
    SERIES(FORGET,        CLEAR, JOURNAL(SAME, STOP)),
    SERIES(CONTRADICTION, CLEAR, JOURNAL(SAME, NEXT), REPORT(CONTRADICTION)),
    SERIES(ASK_COMMIT,    KEEP,  ASK(COMMIT)),
    SERIES(ASK_ABORT,     KEEP,  ASK(ABORT)),

    /* Target: nothing starts unless COMMITTED is durable, nothing says that it never ran unless
     * ABORTED is, and nothing lets a PREPARED copy go but the source's word. */
    SERIES(PREPARE,       KEEP, JOURNAL(PREPARED, INSTEAD(GIVE_UP)),
                          SEND_OR(READY, INSTEAD(GIVE_UP))),
    SERIES(TAKE_OVER,     KEEP, JOURNAL(COMMITTED, INSTEAD(NOT_NOW)), START(INSTEAD(UNKNOWN)),
                          SEND(RUNNING)),
    SERIES(ROLL_FORWARD,  KEEP, START(INSTEAD(UNKNOWN)), JOURNAL(DONE, NEXT), REPORT(COMPLETED),
                          SEND(RUNNING)),
    SERIES(CLOSE_BOOKS,   KEEP, JOURNAL(DONE, NEXT), REPORT(COMPLETED), SEND(ENDED)),
    SERIES(SAY_RUNNING,   KEEP, REPORT(COMPLETED), SEND(RUNNING)),
    SERIES(GIVE_UP,       KEEP, DESTROY(NEXT), JOURNAL(ABORTED, INSTEAD(FAILED)), REPORT(FAILED),
                          SEND(CLOSE)),
    SERIES(DISCARD,       KEEP, DESTROY(NEXT), REPORT(FAILED)), /* likewise */
    SERIES(CLEAR,         KEEP, DESTROY(INSTEAD(NOT_NOW)), JOURNAL(ABORTED, INSTEAD(NOT_NOW)),
                          REPORT(FAILED), SEND(CLOSE)),
    SERIES(NEVER_RAN,     KEEP, DESTROY(INSTEAD(NOT_NOW)), JOURNAL(ABORTED, INSTEAD(NOT_NOW)),
                          REPORT(FAILED), SEND(NEVER_RAN)),
    SERIES(SAY_NEVER_RAN, KEEP, REPORT(FAILED), SEND(NEVER_RAN)),
    SERIES(SAY_CLOSE,     KEEP, SEND(CLOSE)),
    SERIES(SAY_ENDED,     KEEP, SEND(ENDED)),
    SERIES(SAY_LOST,      KEEP, SEND(LOST)),
    SERIES(REFUSE_ABORT,  KEEP, REPORT(CONTRADICTION), SEND(RUNS_HERE)),
    SERIES(UNDO_LOST,     KEEP, JOURNAL(SOURCE_RUNS, INSTEAD(NOT_NOW)), REPORT(FAILED),
                          SEND(CLOSE)),
    SERIES(FILE_HAS_IT,   KEEP, JOURNAL(SOURCE_RUNS, INSTEAD(UNKNOWN)), REPORT(FAILED)),
    SERIES(NOT_NOW,       KEEP, SEND(NOT_NOW)),
    SERIES(INQUIRE,       KEEP, ASK(INQUIRE)),

    /* Either side. SETTLE_: a person's word. END_: what was recorded before a restart. */
    SERIES(RESOLVE_SOURCE, SET,  JOURNAL(SOURCE_RUNS, STOP), FOLLOW, REPORT(FAILED)),
    SERIES(RESOLVE_TARGET, SET,  JOURNAL(TARGET_RUNS, STOP), FOLLOW, REPORT(COMPLETED)),
    SERIES(END_SOURCE,    KEEP, FOLLOW, REPORT(FAILED)),
    SERIES(END_TARGET,    KEEP, FOLLOW, REPORT(COMPLETED)),
    SERIES(RETRY,         KEEP, RETRY),
    SERIES(UNKNOWN,       KEEP, REPORT(UNKNOWN), RETRY),
    SERIES(FAILED,        KEEP, REPORT(FAILED)),
    SERIES(UNSURE,        KEEP, REPORT(UNKNOWN)),
};
/* clang-format on */

/* ---- the rules ---- */

#define S RULE_SOURCE
#define T RULE_TARGET
#define F RULE_FILE

#define NONE (1u << RECORD_NONE)
#define OPEN (1u << RECORD_OPEN)
#define PREPARED (1u << RECORD_PREPARED)
#define COMMIT (1u << RECORD_COMMIT)
#define COMMITTED (1u << RECORD_COMMITTED)
#define DONE (1u << RECORD_DONE)
#define ABORTED (1u << RECORD_ABORTED)
#define SRC_RUNS (1u << RECORD_SOURCE_RUNS)
#define TGT_RUNS (1u << RECORD_TARGET_RUNS)

#define UNSEEN (1u << COPY_UNSEEN)
#define GONE (1u << COPY_GONE)
#define WENT_ON (1u << COPY_WENT_ON)
#define PARTIAL (1u << COPY_PARTIAL)
#define PAUSED (1u << COPY_PAUSED)
#define RUNS (1u << COPY_RUNS)
#define HERE (PARTIAL | PAUSED | RUNS)
#define ANY (HERE | UNSEEN | GONE | WENT_ON)

#define RULE(side, records, event, copies, series)                                                 \
    {side, EVENT_##event, records, copies, SERIES_##series}

/* clang-format off */
const struct handoff_rule handoff_rules[] = {
    /* The source, up to COMMIT. */
    RULE(S, OPEN,            READY,     ANY & ~RUNS,   COMMIT),
    RULE(S, NONE,            GIVES_UP,  ANY,           LET_GO),
    RULE(S, OPEN,            GIVES_UP,  ANY,           CALL_OFF),
    /* Past it, only the target's word. */
    RULE(S, COMMIT,          GIVES_UP,  ANY,           UNKNOWN),
    RULE(S, COMMIT | TGT_RUNS, RUNNING, ANY & ~UNSEEN, RELEASE),
    RULE(S, COMMIT,          NEVER_RAN, ANY & ~UNSEEN, RECLAIM),
    /* to an ABORT that took COMMIT back */
    RULE(S, COMMIT,          CLOSE,     ANY & ~UNSEEN, RECLAIM),
    RULE(S, TGT_RUNS,        NEVER_RAN, ANY,           CONTRADICTION),
    RULE(S, OPEN | ABORTED | SRC_RUNS, CLOSE,      ANY, TOLD),
    /* a host without record has no copy */
    RULE(S, OPEN | ABORTED | SRC_RUNS, NO_RECORD,  ANY, TOLD),
    RULE(S, OPEN | ABORTED | SRC_RUNS, RUNS_THERE, ANY, CONTRADICTION),
    RULE(S, COMMIT | OPEN | ABORTED | SRC_RUNS | TGT_RUNS, CANNOT, ANY, RETRY),
    RULE(S, COMMIT | TGT_RUNS, NO_RECORD,  ANY,        RETRY), /* it may be another host now */
    RULE(S, COMMIT | TGT_RUNS, RUNS_THERE, ANY,        RETRY),
    RULE(S, COMMIT | TGT_RUNS, RUNNING,    UNSEEN,     RETRY),
    RULE(S, COMMIT,            NEVER_RAN,  UNSEEN,     RETRY),
    RULE(S, COMMIT,            CLOSE,      UNSEEN,     RETRY),

    /* The target, up to PREPARED. */
    RULE(T, OPEN,            PROVEN,    PAUSED,        PREPARE),
    RULE(T, NONE,            GIVES_UP,  ANY,           DISCARD),
    RULE(T, OPEN,            GIVES_UP,  ANY,           GIVE_UP),
    /* From there on only the source's word. */
    RULE(T, PREPARED,        GIVES_UP,  ANY,           UNKNOWN),
    RULE(T, PREPARED,        COMMIT,    PAUSED,        TAKE_OVER),
    RULE(T, PREPARED,        COMMIT,    GONE,          NEVER_RAN),
    RULE(T, OPEN,            COMMIT,    ANY & ~UNSEEN, NEVER_RAN),
    RULE(T, COMMITTED,       COMMIT,    PAUSED | RUNS | WENT_ON, ROLL_FORWARD),
    RULE(T, COMMITTED,       COMMIT,    GONE,          SAY_LOST),
    RULE(T, DONE | TGT_RUNS, COMMIT,    ANY,           SAY_RUNNING),
    RULE(T, ABORTED | SRC_RUNS, COMMIT, ANY,           SAY_NEVER_RAN),
    RULE(T, OPEN | PREPARED, ABORT,     ANY & ~UNSEEN, CLEAR),
    RULE(T, COMMITTED,       ABORT,     GONE,          UNDO_LOST),
    RULE(T, COMMITTED,       ABORT,     HERE | WENT_ON, REFUSE_ABORT),
    RULE(T, DONE | TGT_RUNS, ABORT,     ANY,           REFUSE_ABORT),
    RULE(T, ABORTED | SRC_RUNS, ABORT,  ANY,           SAY_CLOSE),
    RULE(T, OPEN | PREPARED | COMMITTED, COMMIT, UNSEEN, NOT_NOW),
    RULE(T, OPEN | PREPARED | COMMITTED, ABORT,  UNSEEN, NOT_NOW),
    RULE(T, COMMITTED,       DONE,      ANY,           CLOSE_BOOKS),
    RULE(T, DONE | TGT_RUNS, DONE,      ANY,           SAY_ENDED),
    RULE(T, COMMITTED,       GIVES_UP,  RUNS | WENT_ON, CLOSE_BOOKS), /* it runs, DONE or not */
    RULE(T, COMMITTED,       GIVES_UP,  ANY,           UNKNOWN),
    /* It ran here and was lost since: is the source done with it? */
    RULE(T, COMMITTED,       SOURCE_DONE, GONE,        CLOSE_BOOKS),
    RULE(T, COMMITTED,       SOURCE_NOT_DONE, ANY,     RETRY),
    RULE(T, COMMITTED,       CANNOT,    ANY,           RETRY),
    RULE(T, COMMITTED,       NO_RECORD, ANY,           RETRY),

    /* What is owed. */
    RULE(S, COMMIT,          DUE,       RUNS,          NEVER_LEFT),
    RULE(S, COMMIT | TGT_RUNS, DUE,     ANY & ~RUNS,   ASK_COMMIT),
    RULE(S, OPEN | ABORTED | SRC_RUNS, DUE, ANY,       ASK_ABORT),
    RULE(T, COMMITTED,       DUE,       PAUSED | RUNS | WENT_ON, ROLL_FORWARD),
    RULE(T, COMMITTED,       DUE,       GONE,          INQUIRE),
    RULE(T, COMMITTED,       DUE,       UNSEEN,        RETRY),

    /* A restart. */
    RULE(S | F, COMMIT,      RESTART,   ANY & ~UNSEEN, RELEASE), /* the file is whole */
    RULE(T | F, COMMITTED,   RESTART,   GONE,          FILE_HAS_IT),
    RULE(S, OPEN,            RESTART,   ANY,           CALL_OFF),
    /* nothing resumes after a COMMIT that was sent */
    RULE(S, COMMIT,          RESTART,   RUNS,          NEVER_LEFT),
    RULE(T, OPEN,            RESTART,   ANY,           GIVE_UP),
    RULE(T, PREPARED,        RESTART,   GONE,          GIVE_UP), /* it never ran */
    RULE(T, COMMITTED,       RESTART,   PAUSED | RUNS | WENT_ON, ROLL_FORWARD),
    RULE(S | T, COMMIT | PREPARED | COMMITTED, RESTART, ANY, UNKNOWN),
    RULE(S | T, ABORTED | SRC_RUNS, RESTART, ANY,      END_SOURCE),
    RULE(S | T, DONE | TGT_RUNS, RESTART, ANY,         END_TARGET),

    /* A person. */
    RULE(S, COMMIT,          AGREE_SOURCE, ANY,        ASK_ABORT),
    RULE(S, COMMIT,          AGREE_TARGET, ANY & ~RUNS, ASK_COMMIT),
    RULE(T, PREPARED,        AGREE_SOURCE, ANY & ~UNSEEN, CLEAR),
    RULE(T, COMMITTED,       AGREE_SOURCE, GONE,       UNDO_LOST),
    RULE(T, PREPARED,        AGREE_TARGET, PAUSED,     TAKE_OVER),
    RULE(T, COMMITTED,       AGREE_TARGET, PAUSED | RUNS | WENT_ON, ROLL_FORWARD),
    RULE(T, PREPARED | COMMITTED, AGREE_TARGET, GONE,  RESOLVE_TARGET),
    RULE(S, COMMIT,          RESOLVE_SOURCE, ANY & ~UNSEEN, RESOLVE_SOURCE),
    RULE(S, COMMIT,          RESOLVE_TARGET, ANY & ~UNSEEN, RESOLVE_TARGET),
    RULE(T, PREPARED | COMMITTED, RESOLVE_SOURCE, ANY & ~UNSEEN, RESOLVE_SOURCE),
    RULE(T, PREPARED | COMMITTED, RESOLVE_TARGET, ANY & ~UNSEEN, RESOLVE_TARGET),
    RULE(S, OPEN | ABORTED | SRC_RUNS | TGT_RUNS, FORGET, ANY, FORGET),
};
/* clang-format on */

const size_t handoff_rule_count = sizeof handoff_rules / sizeof handoff_rules[0];
