// SPDX-License-Identifier: Apache-2.0
/* What a person may resolve, for every pair of journals, and what it says when not. */
#include "migrate/handoff/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "migrate/handoff/account.h"
#include "migrate/mig.h"

#define NONE (-1)
#define AWAY (-2)

enum { SOURCE = 1, TARGET = 2, BOTH = 3 };

struct row {
    bool source;
    enum journal_kind mine;
    bool held;
    int peer; /* its last record, or NONE, or AWAY */
    bool peer_held;
    enum mig_side runs; /* of SETTLED */
    int allowed;      /* who may be said to run it */
};

static const struct row rows[] = {
    /* The source has said COMMIT. */
    {true, JOURNAL_COMMIT, true, JOURNAL_PREPARED, true, 0, BOTH},
    {true, JOURNAL_COMMIT, true, JOURNAL_PREPARED, false, 0, SOURCE},
    {true, JOURNAL_COMMIT, true, JOURNAL_COMMITTED, true, 0, TARGET},
    {true, JOURNAL_COMMIT, true, JOURNAL_COMMITTED, false, 0, SOURCE},
    {true, JOURNAL_COMMIT, true, JOURNAL_DONE, true, 0, TARGET},
    {true, JOURNAL_COMMIT, true, JOURNAL_DONE, false, 0, TARGET}, /* it has gone on since */
    {true, JOURNAL_COMMIT, true, JOURNAL_ABORTED, false, 0, SOURCE},
    {true, JOURNAL_COMMIT, true, JOURNAL_OPEN, true, 0, SOURCE},
    {true, JOURNAL_COMMIT, true, NONE, false, 0, SOURCE},
    {true, JOURNAL_COMMIT, true, JOURNAL_SETTLED, false, MIG_SOURCE, SOURCE},
    {true, JOURNAL_COMMIT, true, JOURNAL_SETTLED, true, MIG_TARGET, TARGET},
    {true, JOURNAL_COMMIT, true, AWAY, false, 0, BOTH},
    /* And its kernel side has lost the copy. */
    {true, JOURNAL_COMMIT, false, JOURNAL_PREPARED, true, 0, TARGET},
    {true, JOURNAL_COMMIT, false, JOURNAL_COMMITTED, true, 0, TARGET},
    {true, JOURNAL_COMMIT, false, JOURNAL_COMMITTED, false, 0, BOTH}, /* nobody has it */
    {true, JOURNAL_COMMIT, false, JOURNAL_ABORTED, false, 0, SOURCE},
    {true, JOURNAL_COMMIT, false, AWAY, false, 0, TARGET},
    /* The target waits. */
    {false, JOURNAL_PREPARED, true, JOURNAL_COMMIT, true, 0, BOTH},
    {false, JOURNAL_PREPARED, true, JOURNAL_COMMIT, false, 0, TARGET},
    {false, JOURNAL_PREPARED, true, JOURNAL_OPEN, true, 0, SOURCE},
    {false, JOURNAL_PREPARED, true, JOURNAL_ABORTED, true, 0, SOURCE},
    {false, JOURNAL_PREPARED, true, JOURNAL_ABORTED, false, 0, SOURCE}, /* ours may be stale */
    {false, JOURNAL_PREPARED, true, JOURNAL_DONE, false, 0, TARGET},
    {false, JOURNAL_PREPARED, true, JOURNAL_SETTLED, true, MIG_SOURCE, SOURCE},
    {false, JOURNAL_PREPARED, true, JOURNAL_SETTLED, false, MIG_TARGET, TARGET},
    {false, JOURNAL_PREPARED, true, NONE, true, 0, SOURCE},
    {false, JOURNAL_PREPARED, true, AWAY, false, 0, BOTH},
    /* The target ran it, and its kernel side has lost it. */
    {false, JOURNAL_COMMITTED, false, JOURNAL_COMMIT, true, 0, SOURCE},
    {false, JOURNAL_COMMITTED, false, JOURNAL_COMMIT, false, 0, BOTH},
    {false, JOURNAL_COMMITTED, false, JOURNAL_DONE, false, 0, TARGET},
    {false, JOURNAL_COMMITTED, false, AWAY, false, 0, SOURCE},
};

static struct resolve_view view_of(const struct row *row)
{
    struct resolve_view view = {.side = row->source ? MIG_SOURCE : MIG_TARGET,
                                .mine = row->mine,
                                .held = row->held,
                                .peer_known = row->peer != AWAY,
                                .partition = "p",
                                .host = row->source ? "A" : "B",
                                .other = row->source ? "B" : "A"};

    view.peer.side = row->source ? MIG_TARGET : MIG_SOURCE;
    if (row->peer >= 0)
        view.peer.record = wire_journal_of((enum journal_kind)row->peer);
    view.peer.held = row->peer_held ? WIRE_COPY_READY : WIRE_COPY_NONE;
    view.peer.runs = row->runs;
    return view;
}

static enum mig_side side_of(int choice)
{
    return choice == SOURCE ? MIG_SOURCE : MIG_TARGET;
}

static void only_what_no_journal_contradicts_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resolve_view view = view_of(&rows[i]);

        for (int choice = SOURCE; choice <= TARGET; choice++) {
            struct vf_error err = VF_ERROR_INIT;
            int result = resolve_allows(&view, side_of(choice), &err);

            if ((result == 0) != ((rows[i].allowed & choice) != 0))
                fail_msg("row %zu, %s: %d (%s)", i, choice == SOURCE ? "source" : "target", result,
                         err.text);
            if (result != 0) {
                assert_int_equal(err.code, VF_FAILED);
                assert_non_null(
                    strstr(err.text, choice == SOURCE ? "use --target-runs" : "use --source-runs"));
            }
        }
        /* Somebody at three in the morning must not be sent round in circles. */
        assert_in_range(rows[i].allowed, SOURCE, BOTH);
    }
}

static void a_refusal_names_what_the_peers_journal_says(void **state)
{
    struct resolve_view view = view_of(&rows[2]);
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(resolve_allows(&view, MIG_SOURCE, &err), -1);
    assert_string_equal(err.text,
                        "the journal of host B, its target, says COMMITTED, so partition p "
                        "runs on the target; use --target-runs");
    view = view_of(&rows[20]);
    assert_int_equal(resolve_allows(&view, MIG_TARGET, &err), -1);
    assert_string_equal(err.text,
                        "the journal of host A, its source, says ABORTED, so partition p never ran "
                        "on the target; use --source-runs");
}

static void whoever_cannot_know_is_warned(void **state)
{
    char text[MIG_WARNING_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resolve_view view = view_of(&rows[i]);

        for (int choice = SOURCE; choice <= TARGET; choice++) {
            if ((rows[i].allowed & choice) == 0)
                continue;
            if (rows[i].peer != AWAY)
                continue;
            (void)resolve_warning(&view, side_of(choice), text);
            /* Whose copy is gone or doubled, by its name, and what to do. */
            assert_non_null(strstr(text, rows[i].source ? "host B" : "host A"));
            assert_non_null(strstr(text, "vferry partition show p"));
            assert_null(strstr(text, "here:"));
            assert_null(strstr(text, "copy here"));
        }
    }
}

static void where_both_agree_and_nothing_is_lost_there_is_no_warning(void **state)
{
    char text[MIG_WARNING_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct resolve_view view = view_of(&rows[i]);

        if (rows[i].peer == AWAY || !rows[i].held || rows[i].peer == JOURNAL_COMMITTED)
            continue;
        assert_string_equal(resolve_warning(&view, MIG_SOURCE, text), "");
        assert_string_equal(resolve_warning(&view, MIG_TARGET, text), "");
    }
}

static void work_that_is_lost_is_told(void **state)
{
    struct resolve_view view = view_of(&rows[3]);
    char text[MIG_WARNING_BYTES];

    (void)state;
    assert_non_null(strstr(resolve_warning(&view, MIG_SOURCE, text), "what it did there is lost"));
    view = view_of(&rows[27]);
    assert_int_equal(view.mine, JOURNAL_COMMITTED);
    assert_non_null(strstr(resolve_warning(&view, MIG_SOURCE, text), "what it did there is lost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_no_journal_contradicts_is_allowed),
        cmocka_unit_test(a_refusal_names_what_the_peers_journal_says),
        cmocka_unit_test(whoever_cannot_know_is_warned),
        cmocka_unit_test(where_both_agree_and_nothing_is_lost_there_is_no_warning),
        cmocka_unit_test(work_that_is_lost_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
