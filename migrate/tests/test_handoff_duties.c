// SPDX-License-Identifier: Apache-2.0
/*
 * What each event must lead to when every action goes well, in every state that can be: a second
 * account of the hand-off, written from docs/handoff.md and not from the tables, row by row. What
 * no row speaks of must change nothing. test_handoff_core.c says what must never be; this says what
 * must come.
 */
#include "migrate/tests/handoff_states.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define R(name) (1u << RECORD_##name)
#define E(name) (1u << EVENT_##name)
#define UNSEEN (1u << COPY_UNSEEN)
#define GONE (1u << COPY_GONE)
#define WENT_ON (1u << COPY_WENT_ON)
#define PARTIAL (1u << COPY_PARTIAL)
#define PAUSED (1u << COPY_PAUSED)
#define RUNS (1u << COPY_RUNS)
#define HERE (PARTIAL | PAUSED | RUNS)
#define SEEN (HERE | GONE | WENT_ON)
#define ANY (SEEN | UNSEEN)

/* Which rows: of either side; of a file or a host at the other end, or both. */
enum who { SOURCE = 1, TARGET = 2, BOTH = 3 };
enum end { HOST = 1, OF_FILE = 2, EITHER = 3 };
enum copy_then { AS_IS, WORKS, NOT_HERE }; /* WORKS: whole copies run, or are told to */
enum owed_then { KEPT, NO_MORE, YES, IF_ADMITTED };
enum then {
    NOTHING_MORE,
    SAYS,      /* .message, on the connection that is there */
    ASKS,      /* .message, on a new one */
    AGAIN,     /* it is tried again */
    IS_UNKNOWN /* the job shows it, and it is tried again */
};

struct duty {
    enum who who;
    enum end end;
    unsigned records, events, copies;
    int owed; /* only when it is; -1: only when not; 0: either way */
    enum handoff_record record; /* RECORD_NONE: the same as before */
    enum copy_then copy;
    enum owed_then owed_then;
    enum then then;
    enum handoff_message message;
};

#define SAME RECORD_NONE
#define TOLD (R(OPEN) | R(ABORTED) | R(SOURCE_RUNS))
#define READY_ONES (R(PREPARED) | R(COMMITTED))

/* The first row that fits counts. Laid out by hand: a row is a line or two. */
/* clang-format off */
static const struct duty duties[] = {
    /* The source up to COMMIT. */
    {SOURCE, EITHER, R(OPEN), E(READY), ANY & ~RUNS, 0, RECORD_COMMIT, AS_IS, KEPT, SAYS,
     SAY_COMMIT},
    {SOURCE, EITHER, R(NONE), E(GIVES_UP), ANY, 0, SAME, WORKS, KEPT, NOTHING_MORE, 0},
    {SOURCE, EITHER, R(OPEN), E(GIVES_UP), ANY, 0, RECORD_ABORTED, WORKS, IF_ADMITTED, SAYS,
     SAY_ABORT},
    {SOURCE, EITHER, R(OPEN), E(RESTART), ANY, 0, RECORD_ABORTED, WORKS, IF_ADMITTED, SAYS,
     SAY_ABORT},
    /* Past it. A file that is whole has it. */
    {SOURCE, OF_FILE, R(COMMIT), E(RESTART), SEEN, 0, RECORD_DONE, NOT_HERE, KEPT, NOTHING_MORE, 0},
    {SOURCE, EITHER, R(COMMIT), E(RESTART) | E(DUE), RUNS, 0, RECORD_ABORTED, WORKS, YES,
     NOTHING_MORE, 0},
    {SOURCE, EITHER, R(COMMIT), E(GIVES_UP) | E(RESTART), ANY, 0, SAME, AS_IS, KEPT, IS_UNKNOWN, 0},
    {SOURCE, EITHER, R(COMMIT) | R(TARGET_RUNS), E(RUNNING), SEEN, 0, RECORD_DONE, NOT_HERE, KEPT,
     SAYS, SAY_DONE},
    {SOURCE, EITHER, R(COMMIT), E(NEVER_RAN) | E(CLOSE), SEEN, 0, RECORD_ABORTED, WORKS, NO_MORE,
     NOTHING_MORE, 0},
    {SOURCE, EITHER, R(COMMIT), E(NEVER_RAN) | E(CLOSE) | E(RUNNING), UNSEEN, 0, SAME, AS_IS,
     KEPT, AGAIN, 0},
    {SOURCE, EITHER, R(COMMIT), E(CANNOT) | E(NO_RECORD) | E(RUNS_THERE), ANY, 0, SAME, AS_IS,
     KEPT, AGAIN, 0},
    {SOURCE, EITHER, R(TARGET_RUNS), E(CANNOT) | E(NO_RECORD) | E(RUNS_THERE), ANY, 1, SAME,
     AS_IS, KEPT, AGAIN, 0},
    {SOURCE, EITHER, R(TARGET_RUNS), E(RUNNING), UNSEEN, 0, SAME, AS_IS, KEPT, AGAIN, 0},
    {SOURCE, EITHER, R(TARGET_RUNS), E(NEVER_RAN), ANY, 1, SAME, AS_IS, NO_MORE, NOTHING_MORE, 0},
    /* What a target is owed. */
    {SOURCE, EITHER, R(OPEN), E(CLOSE) | E(NO_RECORD) | E(RUNS_THERE) | E(FORGET), ANY, 1,
     RECORD_ABORTED, AS_IS, NO_MORE, NOTHING_MORE, 0},
    {SOURCE, EITHER, TOLD, E(CLOSE) | E(NO_RECORD) | E(RUNS_THERE), ANY, 1, SAME, AS_IS, NO_MORE,
     NOTHING_MORE, 0},
    {SOURCE, EITHER, TOLD | R(TARGET_RUNS), E(FORGET), ANY, 1, SAME, AS_IS, NO_MORE, NOTHING_MORE,
     0},
    {SOURCE, EITHER, TOLD, E(CANNOT), ANY, 1, SAME, AS_IS, KEPT, AGAIN, 0},
    {SOURCE, EITHER, TOLD, E(DUE), ANY, 1, SAME, AS_IS, KEPT, ASKS, SAY_ABORT},
    {SOURCE, EITHER, R(COMMIT), E(DUE) | E(AGREE_TARGET), ANY & ~RUNS, 0, SAME, AS_IS, KEPT, ASKS,
     SAY_COMMIT},
    {SOURCE, EITHER, R(TARGET_RUNS), E(DUE), ANY & ~RUNS, 1, SAME, AS_IS, KEPT, ASKS, SAY_COMMIT},
    {SOURCE, EITHER, R(COMMIT), E(AGREE_SOURCE), ANY, 0, SAME, AS_IS, KEPT, ASKS, SAY_ABORT},
    {SOURCE, EITHER, R(COMMIT), E(RESOLVE_SOURCE), SEEN, 0, RECORD_SOURCE_RUNS, WORKS, YES,
     NOTHING_MORE, 0},
    {SOURCE, EITHER, R(COMMIT), E(RESOLVE_TARGET), SEEN, 0, RECORD_TARGET_RUNS, NOT_HERE, YES,
     NOTHING_MORE, 0},

    /* The target up to PREPARED. */
    {TARGET, EITHER, R(OPEN), E(PROVEN), PAUSED, 0, RECORD_PREPARED, AS_IS, KEPT, SAYS, SAY_READY},
    {TARGET, EITHER, R(NONE), E(GIVES_UP), ANY, 0, SAME, NOT_HERE, KEPT, NOTHING_MORE, 0},
    {TARGET, EITHER, R(OPEN), E(GIVES_UP) | E(RESTART), ANY, 0, RECORD_ABORTED, NOT_HERE, KEPT,
     SAYS, SAY_CLOSE},
    {TARGET, EITHER, R(PREPARED), E(RESTART), GONE, 0, RECORD_ABORTED, NOT_HERE, KEPT, SAYS,
     SAY_CLOSE},
    {TARGET, EITHER, R(PREPARED), E(GIVES_UP) | E(RESTART), ANY, 0, SAME, AS_IS, KEPT, IS_UNKNOWN,
     0},
    /* COMMIT. */
    {TARGET, EITHER, R(OPEN) | READY_ONES, E(COMMIT) | E(ABORT), UNSEEN, 0, SAME, AS_IS, KEPT,
     SAYS, SAY_NOT_NOW},
    {TARGET, EITHER, R(PREPARED), E(COMMIT), PAUSED, 0, RECORD_COMMITTED, WORKS, KEPT, SAYS,
     SAY_RUNNING},
    {TARGET, EITHER, R(PREPARED), E(AGREE_TARGET), PAUSED, 0, RECORD_COMMITTED, WORKS, KEPT, SAYS,
     SAY_RUNNING},
    {TARGET, EITHER, R(PREPARED), E(COMMIT), GONE, 0, RECORD_ABORTED, NOT_HERE, KEPT, SAYS,
     SAY_NEVER_RAN},
    {TARGET, EITHER, R(OPEN), E(COMMIT), SEEN, 0, RECORD_ABORTED, NOT_HERE, KEPT, SAYS,
     SAY_NEVER_RAN},
    {TARGET, EITHER, R(COMMITTED), E(COMMIT) | E(AGREE_TARGET) | E(DUE) | E(RESTART),
     PAUSED | RUNS | WENT_ON, 0, RECORD_DONE, WORKS, KEPT, SAYS, SAY_RUNNING},
    {TARGET, EITHER, R(COMMITTED), E(COMMIT), GONE, 0, SAME, AS_IS, KEPT, SAYS, SAY_LOST},
    {TARGET, EITHER, R(DONE) | R(TARGET_RUNS), E(COMMIT), ANY, 0, SAME, AS_IS, KEPT, SAYS,
     SAY_RUNNING},
    {TARGET, EITHER, R(ABORTED) | R(SOURCE_RUNS), E(COMMIT), ANY, 0, SAME, AS_IS, KEPT, SAYS,
     SAY_NEVER_RAN},
    /* ABORT. */
    {TARGET, EITHER, R(OPEN) | R(PREPARED), E(ABORT), SEEN, 0, RECORD_ABORTED, NOT_HERE, KEPT,
     SAYS, SAY_CLOSE},
    {TARGET, EITHER, R(PREPARED), E(AGREE_SOURCE), SEEN, 0, RECORD_ABORTED, NOT_HERE, KEPT, SAYS,
     SAY_CLOSE},
    {TARGET, EITHER, R(COMMITTED), E(ABORT) | E(AGREE_SOURCE), GONE, 0, RECORD_SOURCE_RUNS, AS_IS,
     KEPT, SAYS, SAY_CLOSE},
    {TARGET, EITHER, R(COMMITTED) | R(DONE) | R(TARGET_RUNS), E(ABORT), ANY, 0, SAME, AS_IS, KEPT,
     SAYS, SAY_RUNS_HERE},
    {TARGET, EITHER, R(ABORTED) | R(SOURCE_RUNS), E(ABORT), ANY, 0, SAME, AS_IS, KEPT, SAYS,
     SAY_CLOSE},
    /* The end. */
    {TARGET, EITHER, R(COMMITTED), E(DONE), ANY, 0, RECORD_DONE, AS_IS, KEPT, SAYS, SAY_ENDED},
    {TARGET, EITHER, R(DONE) | R(TARGET_RUNS), E(DONE), ANY, 0, SAME, AS_IS, KEPT, SAYS, SAY_ENDED},
    {TARGET, EITHER, R(COMMITTED), E(GIVES_UP), RUNS | WENT_ON, 0, RECORD_DONE, AS_IS, KEPT, SAYS,
     SAY_ENDED},
    {TARGET, EITHER, R(COMMITTED), E(GIVES_UP), ANY, 0, SAME, AS_IS, KEPT, IS_UNKNOWN, 0},
    {TARGET, EITHER, R(COMMITTED), E(SOURCE_DONE), GONE, 0, RECORD_DONE, AS_IS, KEPT, SAYS,
     SAY_ENDED},
    {TARGET, EITHER, R(COMMITTED), E(SOURCE_NOT_DONE) | E(CANNOT) | E(NO_RECORD), ANY, 0, SAME,
     AS_IS, KEPT, AGAIN, 0},
    {TARGET, EITHER, R(COMMITTED), E(DUE), GONE, 0, SAME, AS_IS, KEPT, ASKS, SAY_INQUIRE},
    {TARGET, EITHER, R(COMMITTED), E(DUE), UNSEEN, 0, SAME, AS_IS, KEPT, AGAIN, 0},
    {TARGET, OF_FILE, R(COMMITTED), E(RESTART), GONE, 0, RECORD_SOURCE_RUNS, AS_IS, KEPT,
     NOTHING_MORE, 0},
    {TARGET, EITHER, R(COMMITTED), E(RESTART), ANY, 0, SAME, AS_IS, KEPT, IS_UNKNOWN, 0},
    {TARGET, EITHER, READY_ONES, E(AGREE_TARGET), GONE, 0, RECORD_TARGET_RUNS, AS_IS, KEPT,
     NOTHING_MORE, 0},
    {TARGET, EITHER, READY_ONES, E(RESOLVE_SOURCE), SEEN, 0, RECORD_SOURCE_RUNS, NOT_HERE, KEPT,
     NOTHING_MORE, 0},
    {TARGET, EITHER, READY_ONES, E(RESOLVE_TARGET), SEEN, 0, RECORD_TARGET_RUNS, WORKS, KEPT,
     NOTHING_MORE, 0},

    /* What was decided, and may not have been carried out. */
    {SOURCE, EITHER, R(ABORTED) | R(SOURCE_RUNS), E(RESTART), ANY, 0, SAME, WORKS, KEPT,
     NOTHING_MORE, 0},
    {SOURCE, EITHER, R(DONE) | R(TARGET_RUNS), E(RESTART), ANY, 0, SAME, NOT_HERE, KEPT,
     NOTHING_MORE, 0},
    {TARGET, EITHER, R(ABORTED) | R(SOURCE_RUNS), E(RESTART), ANY, 0, SAME, NOT_HERE, KEPT,
     NOTHING_MORE, 0},
    {TARGET, EITHER, R(DONE) | R(TARGET_RUNS), E(RESTART), ANY, 0, SAME, WORKS, KEPT,
     NOTHING_MORE, 0},
};
/* clang-format on */

/* ---- what came of an event ---- */

struct came {
    struct handoff h;
    bool resumed, wrote, wrote_owed, again, unknown, contradiction;
    enum handoff_message said, asked;
};

static struct came carry_out(const struct handoff *first, struct handoff_event event)
{
    struct came came = {.h = *first};
    struct handoff_action action = handoff_step(&came.h, event);

    for (unsigned i = 0; action.kind != HANDOFF_NOTHING && i < 16; i++) {
        came.resumed = came.resumed || action.kind == HANDOFF_RESUME;
        came.again = came.again || action.kind == HANDOFF_RETRY;
        if (action.kind == HANDOFF_JOURNAL) {
            came.wrote = true;
            came.wrote_owed = action.owed;
        }
        if (action.kind == HANDOFF_SEND)
            came.said = action.message;
        if (action.kind == HANDOFF_REPORT) {
            came.unknown = came.unknown || action.outcome == OUTCOME_UNKNOWN;
            came.contradiction = came.contradiction || action.outcome == OUTCOME_CONTRADICTION;
        }
        if (action.kind == HANDOFF_ASK) {
            came.asked = action.message;
            break;
        }
        action = handoff_step(&came.h, (struct handoff_event){EVENT_DID, COPY_AS_KNOWN});
    }
    return came;
}

static const struct duty *duty_of(const struct handoff *h, enum handoff_event_kind kind)
{
    unsigned who = h->side == MIG_SOURCE ? SOURCE : TARGET;
    unsigned end = h->with_file ? OF_FILE : HOST;

    for (size_t i = 0; i < sizeof duties / sizeof duties[0]; i++) {
        const struct duty *d = &duties[i];

        if ((d->who & who) != 0 && (d->end & end) != 0 && (d->records >> h->record & 1u) != 0 &&
            (d->events >> kind & 1u) != 0 && (d->copies >> h->copy & 1u) != 0 &&
            (d->owed == 0 || (d->owed > 0) == h->owed))
            return d;
    }
    return NULL;
}

#define MUST(condition, what)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s%s, %s, copy %s%s%s, %s: %s; now %s, copy %s, said %s, asked %s",          \
                     first->side == MIG_SOURCE ? "source" : "target",                              \
                     first->with_file ? " of a file" : "", handoff_record_name(first->record),     \
                     handoff_copy_name(first->copy), first->owed ? ", owed" : "",                  \
                     first->admitted ? ", admitted" : "", handoff_event_name(kind), what,          \
                     handoff_record_name(came.h.record), handoff_copy_name(came.h.copy),           \
                     handoff_message_name(came.said), handoff_message_name(came.asked));           \
    } while (0)

static void copy_is(const struct handoff *first, enum handoff_event_kind kind,
                    const struct came came, enum copy_then then)
{
    bool gone = first->copy == COPY_GONE || first->copy == COPY_WENT_ON;

    if (then == AS_IS || gone)
        MUST(came.h.copy == first->copy, "the copy must stay as it is");
    else if (then == NOT_HERE)
        MUST(came.h.copy == COPY_GONE, "the copy must go");
    else
        MUST(came.h.copy == COPY_RUNS, "the copy must work");
    if (then == WORKS && !gone && first->side == MIG_SOURCE)
        MUST(came.resumed, "the move must be ended");
}

static void owed_is(const struct handoff *first, enum handoff_event_kind kind,
                    const struct came came, enum owed_then then)
{
    bool may = first->side == MIG_SOURCE && !first->with_file;
    bool owed = then == YES           ? may
                : then == IF_ADMITTED ? may && first->admitted
                                      : then == KEPT && first->owed;

    MUST(came.h.owed == owed, "what is owed is wrong");
    if (came.wrote && came.h.record != RECORD_COMMIT && came.h.record != RECORD_DONE)
        MUST(came.wrote_owed == owed, "what the journal says is owed is wrong");
    if (then == NO_MORE)
        MUST(came.wrote, "that nothing is owed must be in the journal");
}

static void says(const struct handoff *first, enum handoff_event_kind kind, const struct came came,
                 const struct duty *d)
{
    bool talks = !first->with_file;

    MUST(came.said == (d->then == SAYS && talks ? d->message : SAY_NOTHING), "it must say else");
    MUST(came.asked == (d->then == ASKS && talks ? d->message : SAY_NOTHING), "it must ask else");
    MUST(came.again == ((d->then == AGAIN || d->then == IS_UNKNOWN) && talks),
         "when it is tried again is wrong");
    MUST(came.unknown == (d->then == IS_UNKNOWN), "what the job shows is wrong");
    MUST(came.contradiction ==
             ((kind == EVENT_RUNS_THERE && d->owed_then == NO_MORE) ||
              (kind == EVENT_NEVER_RAN && first->record == RECORD_TARGET_RUNS) ||
              (kind == EVENT_ABORT && d->message == SAY_RUNS_HERE)),
         "a contradiction must be told, and only that");
}

static void check(const struct handoff *first, enum handoff_event_kind kind)
{
    const struct duty *d = duty_of(first, kind);
    struct came came = carry_out(first, (struct handoff_event){kind, COPY_AS_KNOWN});

    if (d == NULL) {
        bool same = came.h.record == first->record && came.h.copy == first->copy &&
                    came.h.owed == first->owed;

        MUST(same && !came.wrote && !came.resumed && came.said == SAY_NOTHING &&
                 came.asked == SAY_NOTHING,
             "nothing must come of it");
        return;
    }
    MUST(came.h.record == (d->record == SAME ? first->record : d->record), "the record is wrong");
    copy_is(first, kind, came, d->copy);
    owed_is(first, kind, came, d->owed_then);
    says(first, kind, came, d);
}

/* A source has no partial copy, and none that went on by a move after this one; a target owes
 * nothing, nor does who has a file at the other end; and so on. */
static bool can_be(const struct handoff *h)
{
    bool may_owe = h->record == RECORD_OPEN || h->record == RECORD_ABORTED ||
                   h->record == RECORD_SOURCE_RUNS || h->record == RECORD_TARGET_RUNS;

    if (h->side == MIG_SOURCE && (h->copy == COPY_PARTIAL || h->copy == COPY_WENT_ON))
        return false;
    if (h->side == MIG_TARGET && h->copy == COPY_PARTIAL && h->record != RECORD_OPEN &&
        h->record != RECORD_NONE)
        return false;
    if (h->side == MIG_TARGET && h->copy == COPY_WENT_ON && h->record != RECORD_COMMITTED)
        return false;
    if (h->side == MIG_TARGET && h->copy == COPY_RUNS &&
        (h->record == RECORD_OPEN || h->record == RECORD_PREPARED || h->record == RECORD_NONE))
        return false;
    if (h->owed && (h->side == MIG_TARGET || h->with_file || !h->admitted || !may_owe))
        return false;
    if (h->admitted && (h->side == MIG_TARGET || h->with_file))
        return false;
    return h->side == MIG_SOURCE ? h->record != RECORD_PREPARED && h->record != RECORD_COMMITTED
                                 : h->record != RECORD_COMMIT;
}

static unsigned states;

static void check_events(const struct handoff *h)
{
    if (h->record == RECORD_UNSURE || !can_be(h))
        return;
    states++;
    for (unsigned kind = EVENT_ADMITTED + 1; kind < HANDOFF_EVENTS; kind++)
        check(h, (enum handoff_event_kind)kind);
}

static void every_event_leads_to_what_it_must(void **state)
{
    (void)state;
    states = 0;
    each_state(check_events);
    print_message("# %u states\n", states);
    assert_true(states > 100);
}

/* ---- actions that fail ---- */

struct failing {
    enum mig_side side;
    enum handoff_record record;
    enum handoff_copy copy;
    enum handoff_event_kind event;
    enum handoff_action_kind fails; /* the first of these; the others go well */
    enum handoff_record then;
    enum handoff_copy copy_then;
    bool owed_then;
    enum handoff_message said;
};

/* clang-format off */
static const struct failing failing[] = {
    {MIG_SOURCE, RECORD_OPEN, COPY_PAUSED, EVENT_READY, HANDOFF_JOURNAL, RECORD_ABORTED,
     COPY_RUNS, true, SAY_ABORT},
    {MIG_SOURCE, RECORD_OPEN, COPY_PAUSED, EVENT_GIVES_UP, HANDOFF_RESUME, RECORD_ABORTED,
     COPY_PAUSED, true, SAY_ABORT},
    {MIG_SOURCE, RECORD_OPEN, COPY_PAUSED, EVENT_GIVES_UP, HANDOFF_JOURNAL, RECORD_OPEN,
     COPY_RUNS, true, SAY_ABORT},
    {MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_RUNNING, HANDOFF_DESTROY, RECORD_COMMIT,
     COPY_PAUSED, false, SAY_NOTHING},
    {MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_RUNNING, HANDOFF_JOURNAL, RECORD_COMMIT,
     COPY_GONE, false, SAY_NOTHING},
    {MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_NEVER_RAN, HANDOFF_JOURNAL, RECORD_COMMIT,
     COPY_PAUSED, false, SAY_NOTHING},
    {MIG_SOURCE, RECORD_COMMIT, COPY_RUNS, EVENT_RESTART, HANDOFF_JOURNAL, RECORD_COMMIT,
     COPY_RUNS, true, SAY_NOTHING},
    {MIG_TARGET, RECORD_OPEN, COPY_PAUSED, EVENT_PROVEN, HANDOFF_JOURNAL, RECORD_ABORTED,
     COPY_GONE, false, SAY_CLOSE},
    {MIG_TARGET, RECORD_OPEN, COPY_PAUSED, EVENT_PROVEN, HANDOFF_SEND, RECORD_ABORTED,
     COPY_GONE, false, SAY_CLOSE},
    {MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_GIVES_UP, HANDOFF_DESTROY, RECORD_ABORTED,
     COPY_PARTIAL, false, SAY_CLOSE},
    {MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_GIVES_UP, HANDOFF_JOURNAL, RECORD_OPEN,
     COPY_GONE, false, SAY_NOTHING},
    {MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_RESTART, HANDOFF_DESTROY, RECORD_ABORTED,
     COPY_PARTIAL, false, SAY_CLOSE},
    {MIG_TARGET, RECORD_PREPARED, COPY_GONE, EVENT_RESTART, HANDOFF_JOURNAL, RECORD_PREPARED,
     COPY_GONE, false, SAY_NOTHING},
    {MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_COMMIT, HANDOFF_DESTROY, RECORD_OPEN,
     COPY_PARTIAL, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_COMMIT, HANDOFF_JOURNAL, RECORD_OPEN,
     COPY_GONE, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_ABORT, HANDOFF_DESTROY, RECORD_PREPARED,
     COPY_PAUSED, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_ABORT, HANDOFF_JOURNAL, RECORD_PREPARED,
     COPY_GONE, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_COMMIT, HANDOFF_JOURNAL, RECORD_PREPARED,
     COPY_PAUSED, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_COMMIT, HANDOFF_START, RECORD_COMMITTED,
     COPY_PAUSED, false, SAY_NOTHING},
    {MIG_TARGET, RECORD_COMMITTED, COPY_PAUSED, EVENT_RESTART, HANDOFF_START,
     RECORD_COMMITTED, COPY_PAUSED, false, SAY_NOTHING},
    {MIG_TARGET, RECORD_COMMITTED, COPY_GONE, EVENT_ABORT, HANDOFF_JOURNAL, RECORD_COMMITTED,
     COPY_GONE, false, SAY_NOT_NOW},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_RESOLVE_SOURCE, HANDOFF_JOURNAL,
     RECORD_PREPARED, COPY_PAUSED, false, SAY_NOTHING},
    {MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_RESOLVE_TARGET, HANDOFF_JOURNAL,
     RECORD_PREPARED, COPY_PAUSED, false, SAY_NOTHING},
};
/* clang-format on */

static void what_fails_leads_to_the_next_safe_thing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        const struct failing *f = &failing[i];
        struct handoff h = {.side = f->side,
                            .admitted = f->side == MIG_SOURCE,
                            .record = f->record,
                            .copy = f->copy};
        struct handoff_action action =
            handoff_step(&h, (struct handoff_event){f->event, COPY_AS_KNOWN});
        enum handoff_message said = SAY_NOTHING;
        bool failed = false;

        while (action.kind != HANDOFF_NOTHING && action.kind != HANDOFF_ASK) {
            bool fails = !failed && action.kind == f->fails;

            if (action.kind == HANDOFF_SEND && !fails)
                said = action.message;
            failed = failed || fails;
            action = handoff_step(
                &h, (struct handoff_event){fails ? EVENT_FAILED : EVENT_DID, COPY_AS_KNOWN});
        }
        if (!failed || h.record != f->then || h.copy != f->copy_then || h.owed != f->owed_then ||
            said != f->said)
            fail_msg("row %zu: %s, copy %s, %s, %s failed: now %s, copy %s%s, said %s", i,
                     handoff_record_name(f->record), handoff_copy_name(f->copy),
                     handoff_event_name(f->event), handoff_action_name(f->fails),
                     handoff_record_name(h.record), handoff_copy_name(h.copy),
                     h.owed ? ", owed" : "", handoff_message_name(said));
    }
}

/* COMMIT came later than --max-blackout allows, and has not left: it is taken back on disk first;
 * where that fails it stands, and is sent. */
static void a_late_commit_is_taken_back_or_stands(void **state)
{
    for (unsigned fails = 0; fails < 2; fails++) {
        struct handoff h = {
            .side = MIG_SOURCE, .admitted = true, .record = RECORD_OPEN, .copy = COPY_PAUSED};
        struct handoff_action a =
            handoff_step(&h, (struct handoff_event){EVENT_READY, COPY_AS_KNOWN});

        (void)state;
        a = handoff_step(&h, (struct handoff_event){EVENT_DID_LATE, COPY_AS_KNOWN});
        assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_ABORTED && a.owed);
        a = handoff_step(&h,
                         (struct handoff_event){fails ? EVENT_FAILED : EVENT_DID, COPY_AS_KNOWN});
        if (fails) {
            assert_true(a.kind == HANDOFF_SEND && a.message == SAY_COMMIT && !h.owed);
            continue;
        }
        assert_int_equal(a.kind, HANDOFF_RESUME);
        a = handoff_step(&h, (struct handoff_event){EVENT_DID, COPY_AS_KNOWN});
        assert_true(a.kind == HANDOFF_REPORT && a.outcome == OUTCOME_FAILED);
        a = handoff_step(&h, (struct handoff_event){EVENT_DID, COPY_AS_KNOWN});
        assert_true(a.kind == HANDOFF_SEND && a.message == SAY_ABORT && h.owed);
    }
}

/* The VF works again before anything is written or told (SRC-7). */
static void a_source_that_gives_up_resumes_first(void **state)
{
    struct handoff h = {.side = MIG_SOURCE, .record = RECORD_OPEN, .copy = COPY_PAUSED};

    (void)state;
    assert_int_equal(handoff_step(&h, (struct handoff_event){EVENT_GIVES_UP, COPY_AS_KNOWN}).kind,
                     HANDOFF_RESUME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_leads_to_what_it_must),
        cmocka_unit_test(what_fails_leads_to_the_next_safe_thing),
        cmocka_unit_test(a_source_that_gives_up_resumes_first),
        cmocka_unit_test(a_late_commit_is_taken_back_or_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
