// SPDX-License-Identifier: Apache-2.0
/*
 * The hand-off's decision, enumerated: every state at rest with every event, and every way in which
 * the actions that follow can end. `owned` says what must hold whenever an action is to be carried
 * out; nothing here looks at the tables.
 */
#include "migrate/tests/handoff_states.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define LONGEST_WALK 16u

struct walk {
    struct handoff first; /* the state at rest that it began in */
    struct handoff_event event;
    struct handoff now;
    struct handoff_action action;
    enum handoff_event_kind result; /* that led to `action`; the event itself at first */
    enum handoff_record heard;      /* the record when the event came */
    unsigned steps;
    bool start_failed;
};

static uint64_t tried;

static bool in(unsigned value, unsigned set)
{
    return (set >> value & 1u) != 0;
}

#define R(name) (1u << RECORD_##name)
#define E(name) (1u << EVENT_##name)
#define SOURCE_OWNS (R(NONE) | R(OPEN) | R(ABORTED) | R(SOURCE_RUNS))
#define TARGET_OWNS (R(COMMITTED) | R(DONE) | R(TARGET_RUNS))

static void say_walk(const struct walk *w, const char *rule)
{
    print_message("%s: %s%s: %s, copy %s%s%s, event %s (copy %s): now %s, copy %s: %s %s\n", rule,
                  w->now.side == MIG_SOURCE ? "source" : "target",
                  w->now.with_file ? " of a file" : "", handoff_record_name(w->first.record),
                  handoff_copy_name(w->first.copy), w->first.owed ? ", owed" : "",
                  w->first.admitted ? ", admitted" : "", handoff_event_name(w->event.kind),
                  handoff_copy_name(w->event.copy), handoff_record_name(w->now.record),
                  handoff_copy_name(w->now.copy), handoff_action_name(w->action.kind),
                  w->action.kind == HANDOFF_JOURNAL ? handoff_record_name(w->action.record)
                                                    : handoff_message_name(w->action.message));
}

#define MUST(condition, rule)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            say_walk(w, rule);                                                                     \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void source_owned(const struct walk *w)
{
    enum handoff_record record = w->now.record;
    enum handoff_event_kind event = w->event.kind;
    bool asked = w->action.kind == HANDOFF_ASK || w->action.kind == HANDOFF_SEND;

    MUST(w->action.kind != HANDOFF_START, "a source unpauses nothing");
    if (w->action.kind == HANDOFF_RESUME)
        MUST(in(record, SOURCE_OWNS), "a source resumes only what its journal says is its own");
    if (w->action.kind == HANDOFF_DESTROY)
        MUST(record == RECORD_TARGET_RUNS || record == RECORD_DONE ||
                 (record == RECORD_COMMIT &&
                  (event == EVENT_RUNNING || (w->now.with_file && event == EVENT_RESTART))),
             "a source's copy goes only once the target is known to run, or the file to be whole");
    if (asked && w->action.message == SAY_COMMIT)
        MUST(in(record, R(COMMIT) | R(TARGET_RUNS)) && w->now.copy != COPY_RUNS,
             "COMMIT is said only once it is in the journal, and of what does not run here");
    if (asked && w->action.message == SAY_ABORT)
        MUST(in(record, SOURCE_OWNS) || (record == RECORD_COMMIT && event == EVENT_AGREE_SOURCE &&
                                         w->action.kind == HANDOFF_ASK),
             "ABORT is said only by the owner, or by a person who asks whether it may be");
    if (asked && w->action.message == SAY_DONE)
        MUST(record == RECORD_DONE && w->now.copy != COPY_PAUSED, "DONE is said when it is so");
    if (w->action.kind == HANDOFF_JOURNAL && record == RECORD_COMMIT) {
        bool never_ran = event == EVENT_NEVER_RAN || event == EVENT_CLOSE;
        bool not_sent = event == EVENT_READY && w->result == EVENT_DID_LATE;
        bool never_stopped = in(event, E(RESTART) | E(DUE)) && w->now.copy == COPY_RUNS;

        if (w->action.record == RECORD_ABORTED)
            MUST(never_ran || not_sent || never_stopped,
                 "COMMIT is never taken back but for cause");
        else if (w->action.record == RECORD_DONE)
            MUST(w->now.copy == COPY_GONE || w->now.copy == COPY_WENT_ON,
                 "no copy is left behind a hand-off that is done");
        else
            MUST((w->action.record == RECORD_SOURCE_RUNS && event == EVENT_RESOLVE_SOURCE) ||
                     (w->action.record == RECORD_TARGET_RUNS && event == EVENT_RESOLVE_TARGET),
                 "only a person settles a COMMIT otherwise");
    }
    if (w->action.kind == HANDOFF_JOURNAL && w->action.record == RECORD_COMMIT)
        MUST(record == RECORD_OPEN && event == EVENT_READY, "COMMIT follows READY alone");
    if (w->action.kind == HANDOFF_JOURNAL)
        MUST(!in(w->action.record, R(PREPARED) | R(COMMITTED)), "those are the target's records");
}

static void target_owned(const struct walk *w)
{
    enum handoff_record record = w->now.record;
    enum handoff_event_kind event = w->event.kind;

    MUST(w->action.kind != HANDOFF_RESUME, "a target resumes nothing");
    if (w->action.kind == HANDOFF_START)
        MUST(in(record, TARGET_OWNS), "a target unpauses only what its journal says is its own");
    if (w->action.kind == HANDOFF_DESTROY)
        MUST(in(record, SOURCE_OWNS) ||
                 (record == RECORD_PREPARED && in(event, E(ABORT) | E(AGREE_SOURCE) | E(PROVEN))),
             "a target lets go only of what was never ready, or on the source's word");
    if (w->action.kind == HANDOFF_SEND)
        switch (w->action.message) {
        case SAY_READY:
            MUST(record == RECORD_PREPARED && w->now.copy == COPY_PAUSED,
                 "READY is said only once PREPARED is in the journal");
            break;
        case SAY_RUNNING:
            MUST(in(record, TARGET_OWNS) &&
                     (w->now.copy != COPY_PAUSED || record != RECORD_COMMITTED),
                 "RUNNING is said of what runs");
            break;
        case SAY_NEVER_RAN:
            MUST(in(record, R(ABORTED) | R(SOURCE_RUNS)),
                 "NEVER_RAN is said only once the journal says so");
            break;
        case SAY_CLOSE:
            MUST(in(record, R(ABORTED) | R(SOURCE_RUNS)),
                 "CLOSE is said only once the journal says that it never runs here");
            break;
        case SAY_ENDED:
            MUST(in(record, TARGET_OWNS), "the end follows DONE");
            break;
        case SAY_RUNS_HERE:
        case SAY_LOST:
            MUST(in(record, TARGET_OWNS), "a last word needs a record");
            break;
        case SAY_NOT_NOW:
            break;
        default:
            MUST(false, "the source says that");
        }
    if (w->action.kind == HANDOFF_JOURNAL) {
        MUST(w->action.record != RECORD_COMMIT, "COMMIT is the source's record");
        if (w->action.record == RECORD_PREPARED)
            MUST(record == RECORD_OPEN && event == EVENT_PROVEN && w->now.copy == COPY_PAUSED,
                 "PREPARED is what was proven");
        if (w->action.record == RECORD_COMMITTED)
            MUST(record == RECORD_PREPARED && in(event, E(COMMIT) | E(AGREE_TARGET)) &&
                     w->now.copy == COPY_PAUSED,
                 "COMMITTED follows PREPARED, and the source's word");
        if (w->action.record == RECORD_ABORTED)
            MUST(!in(record, TARGET_OWNS), "what ran is never called off");
        if (w->action.record == RECORD_DONE)
            MUST(in(record, TARGET_OWNS), "DONE is what ran");
        if (w->action.record == RECORD_SOURCE_RUNS)
            MUST(event == EVENT_RESOLVE_SOURCE ||
                     (record == RECORD_COMMITTED && w->now.copy == COPY_GONE),
                 "only a person gives the source what was committed here, or its loss");
    }
}

/* What holds before every action. */
static void owned(const struct walk *w)
{
    const struct handoff_action *action = &w->action;

    if (w->now.record == RECORD_UNSURE)
        MUST(action->kind == HANDOFF_NOTHING ||
                 (action->kind == HANDOFF_REPORT && action->outcome == OUTCOME_UNKNOWN),
             "nothing is done while the journal is unsure");
    if (action->kind == HANDOFF_REPORT) {
        if (action->outcome == OUTCOME_COMPLETED)
            MUST(in(w->now.record, TARGET_OWNS) ||
                     (w->now.side == MIG_SOURCE && w->event.kind == EVENT_RUNNING),
                 "completed is what the target runs");
        if (action->outcome == OUTCOME_FAILED)
            MUST(in(w->now.record, SOURCE_OWNS) ||
                     (w->now.record == RECORD_PREPARED && w->now.copy != COPY_RUNS &&
                      in(w->event.kind, E(PROVEN) | E(RESTART))),
                 "failed is what the source runs, or what was lost here before it could run");
    }
    if (w->now.with_file)
        MUST(action->kind != HANDOFF_SEND && action->kind != HANDOFF_ASK, "a file hears nothing");
    if (w->now.side == MIG_SOURCE)
        source_owned(w);
    else
        target_owned(w);
}

/* What holds when it is at rest again. */
static void rests(const struct walk *w)
{
    enum handoff_message owes = handoff_owes(&w->now);
    bool heard =
        in(w->event.kind, E(CLOSE) | E(NO_RECORD) | E(RUNS_THERE) | E(NEVER_RAN) | E(FORGET));

    if (w->first.record == RECORD_COMMIT && w->now.record == RECORD_OPEN)
        MUST(false, "COMMIT is never forgotten");
    if (w->first.owed && !w->now.owed)
        MUST(heard || w->event.kind == EVENT_READY || w->event.kind == EVENT_GIVES_UP ||
                 w->event.kind == EVENT_RESTART || w->now.side == MIG_TARGET || w->now.with_file,
             "what is owed is never forgotten");
    if (w->now.side == MIG_SOURCE && !w->now.with_file) {
        if (w->now.record == RECORD_COMMIT)
            MUST(owes == SAY_COMMIT, "after COMMIT the source goes on asking");
        else if (w->now.owed && in(w->now.record, R(OPEN) | R(ABORTED) | R(SOURCE_RUNS)))
            MUST(owes == SAY_ABORT, "a target that was let in is told");
        else if (w->now.owed && w->now.record == RECORD_TARGET_RUNS)
            MUST(owes == SAY_COMMIT || w->now.copy == COPY_RUNS, "a person's word is told");
        else
            MUST(owes == SAY_NOTHING, "nothing is owed that is known");
    }
    if (w->now.side == MIG_TARGET && w->now.record != RECORD_COMMITTED)
        MUST(owes == SAY_NOTHING, "a target owes nothing");
}

static void follow(struct walk *w)
{
    static const enum handoff_event_kind results[] = {EVENT_DID, EVENT_DID_LATE, EVENT_FAILED,
                                                      EVENT_UNSURE};

    tried++;
    MUST(++w->steps <= LONGEST_WALK, "a walk ends");
    owned(w);
    if (w->action.kind == HANDOFF_NOTHING || w->action.kind == HANDOFF_ASK) {
        MUST(w->now.series == 0, "at rest no series is under way");
        rests(w);
        return;
    }
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct walk next = *w;

        next.result = results[i];
        next.action = handoff_step(&next.now, (struct handoff_event){results[i], COPY_AS_KNOWN});
        follow(&next);
    }
}

static void try_events(const struct handoff *first)
{
    for (unsigned kind = EVENT_UNSURE + 1; kind < HANDOFF_EVENTS; kind++) {
        for (unsigned copy = 0; copy < HANDOFF_COPIES; copy++) {
            struct walk w = {.first = *first, .now = *first};

            w.event =
                (struct handoff_event){(enum handoff_event_kind)kind, (enum handoff_copy)copy};
            w.result = w.event.kind;
            w.action = handoff_step(&w.now, w.event);
            follow(&w);
        }
    }
}

static void every_state_meets_every_event_safely(void **state)
{
    (void)state;
    tried = 0;
    each_state(try_events); /* those that nothing leads to must be safe as well */
    print_message("# %" PRIu64 " steps\n", tried);
    assert_true(tried > 100000);
}

static struct handoff_action step(struct handoff *h, enum handoff_event_kind kind,
                                  enum handoff_copy copy)
{
    return handoff_step(h, (struct handoff_event){kind, copy});
}

/* The whole way of a move that goes well, told by the two ends' actions. */
static void a_move_that_goes_well_takes_its_known_way(void **state)
{
    struct handoff s = {.side = MIG_SOURCE, .record = RECORD_OPEN, .copy = COPY_RUNS};
    struct handoff t = {.side = MIG_TARGET, .record = RECORD_OPEN, .copy = COPY_PARTIAL};
    struct handoff_action a;

    (void)state;
    (void)step(&s, EVENT_ADMITTED, COPY_AS_KNOWN);
    a = step(&t, EVENT_PROVEN, COPY_PAUSED);
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_PREPARED);
    a = step(&t, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_SEND && a.message == SAY_READY);
    a = step(&t, EVENT_DID, COPY_AS_KNOWN);
    assert_int_equal(a.kind, HANDOFF_NOTHING);
    a = step(&s, EVENT_READY, COPY_PAUSED);
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_COMMIT);
    a = step(&s, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_SEND && a.message == SAY_COMMIT);
    (void)step(&s, EVENT_DID, COPY_AS_KNOWN);
    a = step(&t, EVENT_COMMIT, COPY_PAUSED);
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_COMMITTED);
    a = step(&t, EVENT_DID, COPY_AS_KNOWN);
    assert_int_equal(a.kind, HANDOFF_START);
    a = step(&t, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_SEND && a.message == SAY_RUNNING);
    (void)step(&t, EVENT_DID, COPY_AS_KNOWN);
    a = step(&s, EVENT_RUNNING, COPY_PAUSED);
    assert_int_equal(a.kind, HANDOFF_DESTROY);
    a = step(&s, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_DONE);
    a = step(&s, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_REPORT && a.outcome == OUTCOME_COMPLETED);
    a = step(&s, EVENT_DID, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_SEND && a.message == SAY_DONE);
    a = step(&t, EVENT_DONE, COPY_RUNS);
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_DONE);
}

/* Issue: a journal whose COMMIT can be neither written nor taken back. */
static void after_a_commit_that_may_be_written_nothing_resumes_and_nothing_is_sent(void **state)
{
    struct handoff s = {
        .side = MIG_SOURCE, .admitted = true, .record = RECORD_OPEN, .copy = COPY_PAUSED};
    struct handoff_action a = step(&s, EVENT_READY, COPY_PAUSED);

    (void)state;
    assert_int_equal(a.kind, HANDOFF_JOURNAL);
    a = step(&s, EVENT_UNSURE, COPY_AS_KNOWN);
    assert_true(a.kind == HANDOFF_REPORT && a.outcome == OUTCOME_UNKNOWN);
    (void)step(&s, EVENT_DID, COPY_AS_KNOWN);
    for (unsigned kind = EVENT_UNSURE + 1; kind < HANDOFF_EVENTS; kind++)
        assert_int_equal(step(&s, (enum handoff_event_kind)kind, COPY_PAUSED).kind,
                         HANDOFF_NOTHING);
    assert_int_equal(handoff_owes(&s), SAY_NOTHING);
}

static void what_is_owed_for_ever_can_be_dropped_by_a_person(void **state)
{
    struct handoff s = {
        .side = MIG_SOURCE, .owed = true, .record = RECORD_ABORTED, .copy = COPY_GONE};
    struct handoff_action a = step(&s, EVENT_FORGET, COPY_AS_KNOWN);

    (void)state;
    assert_true(a.kind == HANDOFF_JOURNAL && a.record == RECORD_ABORTED && !a.owed);
    (void)step(&s, EVENT_DID, COPY_AS_KNOWN);
    assert_int_equal(handoff_owes(&s), SAY_NOTHING);
    s.record = RECORD_COMMIT;
    assert_int_equal(step(&s, EVENT_FORGET, COPY_AS_KNOWN).kind, HANDOFF_NOTHING);
}

static void what_cannot_be_dropped_on_disk_is_owed_still(void **state)
{
    struct handoff s = {
        .side = MIG_SOURCE, .owed = true, .record = RECORD_ABORTED, .copy = COPY_GONE};

    (void)state;
    (void)step(&s, EVENT_FORGET, COPY_AS_KNOWN);
    assert_int_equal(step(&s, EVENT_FAILED, COPY_AS_KNOWN).kind, HANDOFF_NOTHING);
    assert_int_equal(handoff_owes(&s), SAY_ABORT);
}

static void only_who_may_have_to_act_on_the_copy_looks_for_it(void **state)
{
    struct handoff s = {.side = MIG_SOURCE, .owed = true, .record = RECORD_COMMIT};

    (void)state;
    assert_true(handoff_needs_copy(&s, EVENT_RUNNING));
    assert_true(handoff_needs_copy(&s, EVENT_NEVER_RAN));
    s.record = RECORD_ABORTED;
    assert_false(handoff_needs_copy(&s, EVENT_CLOSE));
    assert_false(handoff_needs_copy(&s, EVENT_NO_RECORD));
    s = (struct handoff){.side = MIG_TARGET, .record = RECORD_PREPARED};
    assert_true(handoff_needs_copy(&s, EVENT_COMMIT));
    s.record = RECORD_DONE;
    assert_false(handoff_needs_copy(&s, EVENT_COMMIT));
}

/* `from` and an event end in `record`, with every action going well. */
static void ends(enum mig_side side, enum handoff_record from, enum handoff_copy copy,
                 enum handoff_event_kind kind, enum handoff_record record, enum handoff_copy left)
{
    struct handoff h = {.side = side, .admitted = true, .record = from, .copy = copy};
    struct handoff_action a = step(&h, kind, copy);

    while (a.kind != HANDOFF_NOTHING && a.kind != HANDOFF_ASK)
        a = step(&h, EVENT_DID, COPY_AS_KNOWN);
    assert_int_equal(h.record, record);
    assert_int_equal(h.copy, left);
}

/* docs/handoff.md, "Who dies when". */
static void a_restart_brings_each_record_to_its_end(void **state)
{
    (void)state;
    ends(MIG_SOURCE, RECORD_OPEN, COPY_PAUSED, EVENT_RESTART, RECORD_ABORTED, COPY_RUNS);
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_RESTART, RECORD_COMMIT, COPY_PAUSED);
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_GONE, EVENT_RESTART, RECORD_COMMIT, COPY_GONE);
    ends(MIG_SOURCE, RECORD_ABORTED, COPY_PAUSED, EVENT_RESTART, RECORD_ABORTED, COPY_RUNS);
    ends(MIG_SOURCE, RECORD_TARGET_RUNS, COPY_PAUSED, EVENT_RESTART, RECORD_TARGET_RUNS, COPY_GONE);
    ends(MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_RESTART, RECORD_ABORTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_RESTART, RECORD_PREPARED, COPY_PAUSED);
    ends(MIG_TARGET, RECORD_PREPARED, COPY_GONE, EVENT_RESTART, RECORD_ABORTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_PAUSED, EVENT_RESTART, RECORD_DONE, COPY_RUNS);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_GONE, EVENT_RESTART, RECORD_COMMITTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_TARGET_RUNS, COPY_PAUSED, EVENT_RESTART, RECORD_TARGET_RUNS, COPY_RUNS);
    ends(MIG_TARGET, RECORD_SOURCE_RUNS, COPY_PAUSED, EVENT_RESTART, RECORD_SOURCE_RUNS, COPY_GONE);
}

static void the_other_ends_word_brings_each_record_to_its_end(void **state)
{
    (void)state;
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_RUNNING, RECORD_DONE, COPY_GONE);
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_NEVER_RAN, RECORD_ABORTED, COPY_RUNS);
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_RUNS_THERE, RECORD_COMMIT, COPY_PAUSED);
    ends(MIG_SOURCE, RECORD_COMMIT, COPY_PAUSED, EVENT_NO_RECORD, RECORD_COMMIT, COPY_PAUSED);
    ends(MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_COMMIT, RECORD_COMMITTED, COPY_RUNS);
    ends(MIG_TARGET, RECORD_PREPARED, COPY_GONE, EVENT_COMMIT, RECORD_ABORTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_PREPARED, COPY_PAUSED, EVENT_ABORT, RECORD_ABORTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_OPEN, COPY_PARTIAL, EVENT_COMMIT, RECORD_ABORTED, COPY_GONE);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_PAUSED, EVENT_COMMIT, RECORD_DONE, COPY_RUNS);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_RUNS, EVENT_ABORT, RECORD_COMMITTED, COPY_RUNS);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_GONE, EVENT_ABORT, RECORD_SOURCE_RUNS, COPY_GONE);
    ends(MIG_TARGET, RECORD_COMMITTED, COPY_GONE, EVENT_SOURCE_DONE, RECORD_DONE, COPY_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_meets_every_event_safely),
        cmocka_unit_test(a_move_that_goes_well_takes_its_known_way),
        cmocka_unit_test(after_a_commit_that_may_be_written_nothing_resumes_and_nothing_is_sent),
        cmocka_unit_test(what_is_owed_for_ever_can_be_dropped_by_a_person),
        cmocka_unit_test(what_cannot_be_dropped_on_disk_is_owed_still),
        cmocka_unit_test(only_who_may_have_to_act_on_the_copy_looks_for_it),
        cmocka_unit_test(a_restart_brings_each_record_to_its_end),
        cmocka_unit_test(the_other_ends_word_brings_each_record_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
