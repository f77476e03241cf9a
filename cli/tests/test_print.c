// SPDX-License-Identifier: Apache-2.0
/* What people see: cells with units, the progress line, nothing that could drive a terminal. */
#include "cli/move/progress.h"
#include "cli/output/error_object.h"
#include "cli/output/plain_json.h"
#include "cli/output/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static json_t *numbers(void)
{
    json_t *object =
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "phase", "round", "round", 3,
                  "sent_bytes", (json_int_t)3 << 30, "left_bytes", (json_int_t)5 << 20,
                  "rate_bytes_per_s", (json_int_t)2 << 30, "dirty_bytes_per_s",
                  (json_int_t)100 << 20, "predicted_blackout_ns", (json_int_t)14000000,
                  "max_blackout_ns", (json_int_t)750000000, "eta_ns", (json_int_t)2500000000);

    assert_non_null(object);
    return object;
}

static void cells_have_units(void **state)
{
    json_t *object =
        json_pack("{s:i, s:b, s:s, s:f, s:i, s:I}", "size", 65536, "flag", 1, "text", "word",
                  "share", 0.5, "percent", 42, "when", (json_int_t)1700000000000000000);
    char text[CELL_BYTES];

    (void)state;
    assert_string_equal(table_cell(object, CELL_SIZE, "size", text), "64.0 KiB");
    assert_string_equal(table_cell(object, CELL_RATE, "size", text), "64.0 KiB/s");
    assert_string_equal(table_cell(object, CELL_TIME, "size", text), "65.5 us");
    assert_string_equal(table_cell(object, CELL_TEXT, "size", text), "65536");
    assert_string_equal(table_cell(object, CELL_TEXT, "flag", text), "yes");
    assert_string_equal(table_cell(object, CELL_TEXT, "text", text), "word");
    assert_string_equal(table_cell(object, CELL_SHARE, "share", text), "50 %");
    assert_string_equal(table_cell(object, CELL_PERCENT, "percent", text), "42 %");
    (void)setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(table_cell(object, CELL_WHEN, "when", text), "2023-11-14 22:13:20");
    json_decref(object);
}

static void a_state_that_a_verb_holds_is_told_as_that(void **state)
{
    static const struct {
        const char *state, *holder, *shown;
    } cases[] = {
        {"paused", NULL, "paused"},
        {"running", NULL, "running"},
        {"paused", "defrag", "moving inside VRAM"},
        {"paused", "fault", "stands paused"},
        {"faulted", "fault", "faulted"},
        {"outgoing-paused", "move", "outgoing-paused"},
    };
    char text[CELL_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *object =
            json_pack("{s:s, s:s?}", "state", cases[i].state, "held_by", cases[i].holder);

        assert_string_equal(table_cell(object, CELL_STATE, "state", text), cases[i].shown);
        json_decref(object);
    }
}

static void a_phase_is_told_in_plain_words(void **state)
{
    static const struct {
        const char *phase, *status, *cell, *line;
    } cases[] = {
        {"round", "running", "copying", "copying, round 4: sent 0 B"},
        {"last-round", "running", "paused, last pages", "paused, last pages, round 4: sent 0 B"},
        {"recommit", "running", "asking the target", "link lost, asking the target whether it ru"},
        {"completed", "completed", "-", "completed: sent 0 B"},
        {"of-a-later-version", "running", "of-a-later-version", "of-a-later-version: sent 0 B"},
    };
    char cell[CELL_BYTES];
    char line[PROGRESS_LINE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *object = json_pack("{s:s, s:s, s:i, s:i}", "phase", cases[i].phase, "status",
                                   cases[i].status, "round", 3, "sent_bytes", 0);

        assert_string_equal(table_cell(object, CELL_PHASE, "phase", cell), cases[i].cell);
        (void)progress_line(object, 0, line);
        assert_memory_equal(line, cases[i].line, strlen(cases[i].line));
        json_decref(object);
    }
}

static void missing_members_show_as_a_dash(void **state)
{
    json_t *object = json_pack("{s:s, s:n, s:[]}", "empty", "", "null", "list");
    char text[CELL_BYTES];

    (void)state;
    assert_string_equal(table_cell(object, CELL_SIZE, "nix", text), "-");
    assert_string_equal(table_cell(object, CELL_TIME, "null", text), "-");
    assert_string_equal(table_cell(object, CELL_WHEN, "null", text), "-");
    assert_string_equal(table_cell(object, CELL_PERCENT, "null", text), "-");
    assert_string_equal(table_cell(object, CELL_TEXT, "empty", text), "-");
    assert_string_equal(table_cell(object, CELL_TEXT, "null", text), "-");
    assert_string_equal(table_cell(object, CELL_TEXT, "list", text), "-");
    assert_string_equal(table_cell(NULL, CELL_TEXT, "any", text), "-");
    json_decref(object);
}

static void control_characters_never_reach_a_terminal(void **state)
{
    json_t *object = json_pack("{s:s}", "text", "a\x1b[2Jb\nc\rd\x7f");
    char text[CELL_BYTES];

    (void)state;
    assert_string_equal(table_cell(object, CELL_TEXT, "text", text), "a [2Jb c d ");
    json_decref(object);
}

static void long_text_is_cut(void **state)
{
    char big[2 * CELL_BYTES];
    char text[CELL_BYTES];
    json_t *object;

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    object = json_pack("{s:s}", "text", big);
    assert_int_equal(strlen(table_cell(object, CELL_TEXT, "text", text)), CELL_BYTES - 1);
    json_decref(object);
}

static void the_progress_line_tells_all(void **state)
{
    char line[PROGRESS_LINE];
    json_t *object = numbers();

    (void)state;
    assert_string_equal(progress_line(object, 0, line),
                        "copying, round 4: sent 3.00 GiB, left 5.00 MiB, at 2.00 GiB/s, its work "
                        "rewrites 100.0 MiB/s, pause would be 14.0 ms of at most 750.0 ms, done in "
                        "2.5 s");
    assert_string_equal(progress_line(object, 90, line),
                        "round 4: sent 3.00G left 5.00M at 2.00G/s rewritten 100M/s "
                        "pause 14ms/750ms ETA 2.5s");
    /* What has no room is left out whole. */
    assert_string_equal(progress_line(object, 60, line),
                        "round 4: sent 3.00G left 5.00M at 2.00G/s rewritten 100M/s");
    json_decref(object);
}

static void the_progress_line_says_what_keeps_a_job(void **state)
{
    char line[PROGRESS_LINE];
    json_t *object = numbers();

    (void)state;
    (void)json_object_set_new(object, "waits_for", json_string("DDI X of driver d.so at host A"));
    (void)json_object_set_new(object, "stands", json_true());
    (void)json_object_set_new(object, "stood_ns", json_integer(12000000000));
    assert_string_equal(progress_line(object, 0, line),
                        "blackout: 12.0 s so far, waiting for DDI X of driver d.so at host A");
    assert_string_equal(progress_line(object, 50, line),
                        "blackout 12s: DDI X of driver d.so at host A");
    (void)json_object_set_new(object, "stands", json_false());
    assert_string_equal(progress_line(object, 0, line),
                        "copying, round 4: waiting for DDI X of driver d.so at host A; "
                        "it stood for 12.0 s");
    json_decref(object);
}

static void the_progress_line_is_cut_to_the_width(void **state)
{
    char line[PROGRESS_LINE];
    json_t *object = numbers();

    (void)state;
    for (size_t width = 1; width < PROGRESS_LINE; width++)
        assert_in_range(strlen(progress_line(object, width, line)), 0, width);
    json_decref(object);
}

static void the_progress_line_leaves_out_what_is_unknown(void **state)
{
    char line[PROGRESS_LINE];
    json_t *object =
        json_pack("{s:s, s:i, s:i}", "phase", "connect", "sent_bytes", 0, "left_bytes", 0);

    (void)state;
    assert_string_equal(progress_line(object, 0, line), "connecting: sent 0 B, left 0 B");
    json_decref(object);
}

static void the_bar_shows_how_much_has_crossed(void **state)
{
    char bar[PROGRESS_BAR];
    json_t *object = json_pack("{s:i, s:i}", "done_bytes", 999, "left_bytes", 1);

    (void)state;
    assert_int_equal(progress_bar(object, 80, bar), strlen("[....................] 100 %  "));
    assert_string_equal(bar, "[###################.]  99 %  ");
    (void)json_object_set_new(object, "left_bytes", json_integer(0));
    (void)progress_bar(object, 80, bar);
    assert_string_equal(bar, "[####################] 100 %  ");
    assert_int_equal(progress_bar(object, 40, bar), 0); /* no room */
    (void)json_object_set_new(object, "done_bytes", json_integer(0));
    assert_int_equal(progress_bar(object, 80, bar), 0); /* nothing is known */
    json_decref(object);
}

static void an_error_object_has_its_remedy_beside_its_text(void **state)
{
    json_t *reasons = json_pack("[s]", "why");
    struct vf_error err = VF_ERROR_INIT;
    json_t *object;

    (void)state;
    (void)vf_fail(&err, VF_REFUSED_NOW, "is full" VF_REMEDY "wait");
    object = error_object(&err, reasons);
    assert_int_equal(json_integer_value(json_object_get(object, "code")), VF_REFUSED_NOW);
    assert_string_equal(json_string_value(json_object_get(object, "text")), "is full");
    assert_string_equal(json_string_value(json_object_get(object, "remedy")), "wait");
    assert_true(json_equal(json_object_get(object, "reasons"), reasons));
    json_decref(object);
    (void)vf_fail(&err, VF_FAILED, "is full");
    object = error_object(&err, NULL);
    assert_true(json_is_null(json_object_get(object, "remedy")));
    assert_int_equal(json_array_size(json_object_get(object, "reasons")), 0);
    assert_true(json_is_array(json_object_get(object, "reasons")));
    json_decref(object);
    json_decref(reasons);
}

static void an_error_whose_words_are_no_text_is_an_object_all_the_same(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    json_t *object;

    (void)state;
    (void)vf_fail(&err, VF_USAGE, "f\xff.img: no such file" VF_REMEDY "give \xc3");
    object = error_object(&err, NULL);
    assert_string_equal(json_string_value(json_object_get(object, "text")),
                        "f\\xff.img: no such file");
    assert_string_equal(json_string_value(json_object_get(object, "remedy")), "give \\xc3");
    json_decref(object);
}

static void what_a_daemon_or_a_peer_says_is_obeyed_by_no_terminal(void **state)
{
    json_t *answer = json_pack("{s:s, s:[{s:s}, s], s:i}", "text", "a\033[2Jb", "reasons", "field",
                               "x\nvferry: y", "gr\xc3\xbc\xc3\x9f", "job", 7);
    json_t *want = json_pack("{s:s, s:[{s:s}, s], s:i}", "text", "a\\x1b[2Jb", "reasons", "field",
                             "x\\nvferry: y", "gr\xc3\xbc\xc3\x9f", "job", 7);

    (void)state;
    plain_json(answer);
    plain_json(NULL);
    assert_true(json_equal(answer, want));
    json_decref(want);
    json_decref(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_have_units),
        cmocka_unit_test(a_state_that_a_verb_holds_is_told_as_that),
        cmocka_unit_test(a_phase_is_told_in_plain_words),
        cmocka_unit_test(missing_members_show_as_a_dash),
        cmocka_unit_test(control_characters_never_reach_a_terminal),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(the_progress_line_tells_all),
        cmocka_unit_test(the_progress_line_says_what_keeps_a_job),
        cmocka_unit_test(the_progress_line_is_cut_to_the_width),
        cmocka_unit_test(the_progress_line_leaves_out_what_is_unknown),
        cmocka_unit_test(the_bar_shows_how_much_has_crossed),
        cmocka_unit_test(an_error_object_has_its_remedy_beside_its_text),
        cmocka_unit_test(an_error_whose_words_are_no_text_is_an_object_all_the_same),
        cmocka_unit_test(what_a_daemon_or_a_peer_says_is_obeyed_by_no_terminal),
    };

    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
