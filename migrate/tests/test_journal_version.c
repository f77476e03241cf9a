// SPDX-License-Identifier: Apache-2.0
/*
 * What version 1 of the journal told in its texts is in a record's own fields once it is read
 * (frozen/README.md: lines that a vferryd of then wrote), and what version 2 writes comes back,
 * however its texts are worded. Lines of the future are left alone.
 */
#include "migrate/journal/line.h"

#include "base/tests/folder.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#define LINES 10u
#define LINE_END ",\"sum\":\"%016" PRIx64 "\"}"

static struct journal_record old[LINES + 1]; /* by id */

static int thaw(void **state)
{
    char path[4096], line[JOURNAL_LINE_BYTES];
    const char *folder = getenv("VF_FROZEN");
    FILE *file;
    uint64_t id = 0;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/journal", folder != NULL ? folder : "");
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        id++;
        assert_in_range(id, 1, LINES);
        assert_int_equal(journal_line_parse(line, strlen(line) - 1, &old[id]), JOURNAL_LINE_READ);
        assert_int_equal(old[id].id, id);
    }
    assert_int_equal(id, LINES);
    return fclose(file);
}

static void version_1_is_read_as_it_was(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= LINES; id++) {
        assert_int_equal(old[id].job[0], id);
        assert_int_equal(old[id].uuid[0], 0xab);
        assert_int_equal(old[id].epoch, 10 + id);
        assert_int_equal(old[id].time_ns, 1700000000000000000u + id);
        assert_string_equal(old[id].partition, "vm-1");
    }
    assert_string_equal(old[7].text, "in round 3: the link was lost");
    assert_false(old[7].cancelled || old[7].restart.wanted || old[7].owed);
    assert_int_equal(old[7].token[15], 0x2e);
}

static void version_1_told_in_its_text_who_runs_it(void **state)
{
    (void)state;
    assert_int_equal(old[2].kind, JOURNAL_SETTLED);
    assert_int_equal(old[2].runs, MIG_TARGET);
    assert_int_equal(old[3].runs, MIG_SOURCE);
    assert_int_equal(old[4].runs, MIG_SOURCE); /* a move that was started over */
    assert_int_equal(old[9].runs, MIG_SOURCE); /* a restore: its image has it */
}

static void version_1_told_in_its_text_that_a_person_cancelled(void **state)
{
    (void)state;
    assert_true(old[5].cancelled);
    assert_string_equal(old[5].text, "cancelled in round 2; partition vm-1 runs on at host A");
}

static void version_1_told_in_its_text_what_is_to_be_started_over(void **state)
{
    const struct journal_restart *restart = &old[6].restart;

    (void)state;
    assert_true(restart->wanted && restart->verify_full);
    assert_int_equal(restart->max_blackout_ns, 750000000);
    assert_int_equal(restart->max_time_ns, 60000000000);
    assert_int_equal(restart->bandwidth, 12500000);
    assert_int_equal(restart->streams, 3);
    assert_null(strstr(old[6].text, "max_blackout_ns"));
    assert_false(old[6].cancelled);
}

static void version_1_told_in_its_peer_that_it_is_a_file(void **state)
{
    (void)state;
    assert_int_equal(old[1].operation, JOURNAL_MOVE);
    assert_int_equal(old[8].operation, JOURNAL_SAVE);
    assert_int_equal(old[9].operation, JOURNAL_RESTORE);
    assert_int_equal(old[10].operation, JOURNAL_MOVE); /* of a host called "file" */
}

/* As compaction writes an old journal anew. */
static void what_version_1_said_is_the_same_in_version_2(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= LINES; id++) {
        char line[JOURNAL_LINE_BYTES];
        const size_t bytes = journal_line_format(&old[id], line);
        struct journal_record again;

        assert_in_range(bytes, 1, sizeof line);
        assert_memory_equal(line, "{\"v\":2,", 7);
        assert_int_equal(journal_line_parse(line, bytes - 1, &again), JOURNAL_LINE_READ);
        assert_memory_equal(&again, &old[id], sizeof again);
    }
}

static void in_version_2_no_text_decides(void **state)
{
    static const char *const texts[] = {"",
                                        "[cancelled] by nobody",
                                        "stays paused",
                                        "resolved: the target runs it",
                                        "resolved: the source runs it",
                                        "file:/there",
                                        "interrupted by the daemon's end; the next one starts it "
                                        "over: max_blackout_ns 1 max_time_ns 1 bandwidth 1 "
                                        "verify 1 streams 1"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (int kind = JOURNAL_OPEN; kind < JOURNAL_KINDS; kind++) {
            for (int with = 0; with < 2; with++) {
                struct journal_record record, again;
                char line[JOURNAL_LINE_BYTES];

                memset(&record, 0, sizeof record);
                record.id = 1;
                record.kind = (enum journal_kind)kind;
                record.operation = with != 0 ? JOURNAL_SAVE : JOURNAL_MOVE;
                record.runs = with != 0 && kind == JOURNAL_SETTLED ? MIG_TARGET : MIG_SOURCE;
                record.cancelled = with != 0 && kind == JOURNAL_ABORTED;
                if (record.cancelled)
                    record.restart =
                        (struct journal_restart){.wanted = true,
                                                 .verify_full = true,
                                                 .streams = 8,
                                                 .throttle = (uint32_t)i % 100,
                                                 .compress = (enum pack_wish)(i % PACK_WISHES),
                                                 .max_blackout_ns = 1,
                                                 .max_time_ns = INT64_MAX};
                (void)snprintf(record.peer, sizeof record.peer, "%s", texts[i]);
                (void)snprintf(record.text, sizeof record.text, "%s", texts[i]);
                assert_int_equal(
                    journal_line_parse(line, journal_line_format(&record, line) - 1, &again),
                    JOURNAL_LINE_READ);
                assert_int_equal(again.operation, record.operation);
                assert_int_equal(again.runs, record.runs);
                assert_int_equal(again.cancelled, record.cancelled);
                assert_int_equal(again.restart.wanted, record.restart.wanted);
                assert_int_equal(again.restart.verify_full, record.restart.verify_full);
                assert_int_equal(again.restart.streams, record.restart.streams);
                assert_int_equal(again.restart.throttle, record.restart.throttle);
                assert_int_equal(again.restart.compress, record.restart.compress);
                assert_int_equal(again.restart.max_time_ns, record.restart.max_time_ns);
                assert_false(again.stays_paused);
                assert_string_equal(again.text, texts[i]);
            }
        }
    }
}

#define START                                                                                      \
    ",\"time_ns\":5,\"id\":3,\"job\":\"01000000-0000-0000-0000-000000000000\","                    \
    "\"side\":\"source\",\"partition\":\"p\",\"uuid\":\"02000000-0000-0000-0000-000000000000\","   \
    "\"epoch\":4,\"peer\":\"10.0.0.2:7001\",\"text\":\"\""
#define MOVE ",\"operation\":\"move\""
#define WISH                                                                                       \
    ",\"restart\":{\"max_blackout_ns\":1,\"max_time_ns\":0,\"bandwidth\":0,\"verify\":\"delta\","  \
    "\"streams\":2"

static enum journal_line parse_sealed(const char *text)
{
    struct journal_record record;
    char line[JOURNAL_LINE_BYTES];
    const int bytes =
        snprintf(line, sizeof line, "%s" LINE_END, text, (uint64_t)XXH3_64bits(text, strlen(text)));

    assert_in_range(bytes, 1, sizeof line - 1);
    return journal_line_parse(line, (size_t)bytes, &record);
}

static void a_fact_that_is_missing_or_out_of_place_is_damage(void **state)
{
    static const char *const good[] = {
        "{\"v\":2,\"kind\":\"OPEN\"" START MOVE,
        "{\"v\":2,\"kind\":\"SETTLED\"" START MOVE ",\"runs\":\"source\"",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE ",\"cancelled\":true" WISH "}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE WISH ",\"throttle\":0,\"compress\":\"zstd\"}",
        "{\"v\":1,\"kind\":\"SETTLED\"" START,
    };
    static const char *const bad[] = {
        "{\"v\":2,\"kind\":\"OPEN\"" START,
        "{\"v\":2,\"kind\":\"OPEN\"" START ",\"operation\":\"check\"",
        "{\"v\":2,\"kind\":\"OPEN\"" START MOVE ",\"runs\":\"source\"",
        "{\"v\":2,\"kind\":\"OPEN\"" START MOVE ",\"cancelled\":true",
        "{\"v\":2,\"kind\":\"SETTLED\"" START MOVE,
        "{\"v\":2,\"kind\":\"SETTLED\"" START MOVE ",\"runs\":\"both\"",
        "{\"v\":2,\"kind\":\"SETTLED\"" START MOVE ",\"runs\":\"target\"" WISH "}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE WISH ",\"more\":1}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE WISH ",\"throttle\":100}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE WISH ",\"compress\":\"gzip\"}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE ",\"restart\":{}",
        "{\"v\":2,\"kind\":\"ABORTED\"" START MOVE ",\"restart\":true",
        "{\"v\":1,\"kind\":\"SETTLED\"" START ",\"runs\":\"target\"",
        "{\"v\":1,\"kind\":\"OPEN\"" START MOVE,
        "{\"v\":0,\"kind\":\"OPEN\"" START,
        "{\"v\":\"3\",\"kind\":\"OPEN\"" START,
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (parse_sealed(good[i]) != JOURNAL_LINE_READ)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse_sealed(bad[i]) != JOURNAL_LINE_DAMAGED)
            fail_msg("taken: %s", bad[i]);
}

static void a_journal_of_a_newer_version_is_refused_and_left_as_it_is(void **state)
{
    static const char text[] = "{\"v\":3,\"kind\":\"WHATEVER\"";
    char dir[64], path[80], line[200], after[200];
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;
    FILE *file;
    int bytes;

    (void)state;
    test_template_in_memory(dir, "vferry-journal");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/journal", dir);
    bytes = snprintf(line, sizeof line, "%s" LINE_END "\n", text,
                     (uint64_t)XXH3_64bits(text, strlen(text)));
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(line, 1, (size_t)bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(journal_open(dir, &journal, &err), -1);
    assert_non_null(strstr(err.text, "line 1 was written by a newer vferryd"));
    assert_string_equal(vf_remedy(&err), "start the newer vferryd again");
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(after, 1, sizeof after, file), bytes);
    assert_memory_equal(after, line, (size_t)bytes);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_is_read_as_it_was),
        cmocka_unit_test(version_1_told_in_its_text_who_runs_it),
        cmocka_unit_test(version_1_told_in_its_text_that_a_person_cancelled),
        cmocka_unit_test(version_1_told_in_its_text_what_is_to_be_started_over),
        cmocka_unit_test(version_1_told_in_its_peer_that_it_is_a_file),
        cmocka_unit_test(what_version_1_said_is_the_same_in_version_2),
        cmocka_unit_test(in_version_2_no_text_decides),
        cmocka_unit_test(a_fact_that_is_missing_or_out_of_place_is_damage),
        cmocka_unit_test(a_journal_of_a_newer_version_is_refused_and_left_as_it_is),
    };

    return cmocka_run_group_tests(tests, thaw, NULL);
}
