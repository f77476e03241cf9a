// SPDX-License-Identifier: Apache-2.0
/* What repeats itself is counted, and a storm fills no disk; what differs is told. */
#define LOG_ROOM "test"
#include "base/log.h"

#include "base/error.h"
#include "base/log_limit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull
#define STORM 1000000u

static struct vf_limit limit;

struct heard {
    uint64_t told, counted, summaries;
};

/* As base/log.c does it. */
static void say_at(uint64_t now_ns, const char *text, struct heard *heard)
{
    struct vf_limit_summary out;

    while (vf_limit_due(&limit, now_ns, false, &out)) {
        heard->summaries++;
        heard->counted += out.left_out;
    }
    if (vf_limit_take(&limit, vf_limit_key(2, "room", text, false), now_ns, 2, "room", text))
        heard->told++;
}

static void take_rest(uint64_t now_ns, struct heard *heard)
{
    struct vf_limit_summary out;

    while (vf_limit_due(&limit, now_ns, true, &out)) {
        heard->summaries++;
        heard->counted += out.left_out;
    }
}

static void a_storm_is_told_in_few_lines_and_its_count_is_right(void **state)
{
    struct heard heard = {0};
    char text[64];

    (void)state;
    memset(&limit, 0, sizeof limit);
    for (unsigned i = 1; i <= STORM; i++) {
        (void)snprintf(text, sizeof text, "connection kc-%u refused at 0x%x", i, i * 77);
        say_at(i * MS, text, &heard); /* a quarter of an hour of it */
    }
    take_rest(STORM * MS, &heard);
    assert_int_equal(heard.told + heard.counted, STORM);
    assert_in_range(heard.told, VF_LIMIT_BURST, 10 * VF_LIMIT_BURST);
    assert_in_range(heard.summaries, 1, 10);
}

static void other_texts_are_told_in_the_middle_of_a_storm(void **state)
{
    static const char *const other[] = {"a disk is full", "a peer is lost", "a driver hangs"};
    struct heard storm = {0};
    struct heard others = {0};

    (void)state;
    memset(&limit, 0, sizeof limit);
    for (unsigned i = 1; i <= 30000; i++) {
        say_at(i * MS, "no descriptor is left", &storm);
        if (i % 10000 == 0)
            say_at(i * MS, other[i / 10000 - 1], &others);
    }
    assert_int_equal(others.told, 3);
    assert_true(storm.told < 100);
}

static void more_texts_than_are_remembered_lose_no_count(void **state)
{
    struct heard heard = {0};
    char text[3] = "";
    unsigned said = 0;

    (void)state;
    memset(&limit, 0, sizeof limit);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < VF_LIMIT_TEXTS + 50; i++) {
            text[0] = (char)('a' + i / 20);
            text[1] = (char)('A' + i % 20);
            say_at(++said * MS, text, &heard);
        }
    }
    take_rest(said * MS, &heard);
    assert_int_equal(heard.told + heard.counted, said);
}

static void after_silence_it_is_told_at_once(void **state)
{
    struct heard heard = {0};

    (void)state;
    memset(&limit, 0, sizeof limit);
    for (unsigned i = 1; i <= 1000; i++)
        say_at(i * MS, "again", &heard);
    assert_int_equal(heard.told, VF_LIMIT_BURST);
    say_at(1000 * MS + 2 * VF_LIMIT_PERIOD_NS, "again", &heard);
    assert_int_equal(heard.told, VF_LIMIT_BURST + 1);
    assert_int_equal(heard.told + heard.counted, 1001);
}

static void what_differs_in_words_is_no_repetition(void **state)
{
    (void)state;
    assert_true(vf_limit_key(2, "a", "job 1: x", false) ==
                vf_limit_key(2, "a", "job 22: x", false));
    assert_true(vf_limit_key(2, "a", "job 1: x", true) != vf_limit_key(2, "a", "job 22: x", true));
    assert_true(vf_limit_key(2, "a", "job 1: x", false) != vf_limit_key(2, "a", "job 1: y", false));
    assert_true(vf_limit_key(2, "a", "x", false) != vf_limit_key(3, "a", "x", false));
    assert_true(vf_limit_key(2, "a", "x", false) != vf_limit_key(2, "b", "x", false));
}

static unsigned tapped;

static void tap(void *ctx, enum vf_log_level level, const char *room, const char *text)
{
    (void)level;
    (void)room;
    tapped++;
    (void)snprintf(ctx, 400, "%s", text);
}

static void what_to_do_is_read_behind_a_semicolon(void **state)
{
    char last[400] = "";
    char longer[1200];

    (void)state;
    vf_log_tap(tap, last);
    log_error("a driver gets no thread" VF_REMEDY "give a higher limit");
    assert_string_equal(last, "a driver gets no thread; give a higher limit");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int room = 890; room < 902; room++) /* where the text ends */
        log_error("%.*s" VF_REMEDY "wait", room, longer);
    vf_log_tap(NULL, NULL);
}

static void the_log_and_who_listens_to_it_hear_the_same_few_lines(void **state)
{
    char path[] = "/tmp/vferry-log-XXXXXX";
    char last[400] = "";
    int saved = dup(STDERR_FILENO);
    int fd = mkstemp(path);
    struct stat info;

    (void)state;
    assert_true(fd >= 0 && saved >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    vf_log_tap(tap, last);
    for (unsigned i = 0; i < STORM; i++)
        log_warn("it happens for the %u. time", i);
    vf_log_end();
    vf_log_tap(NULL, NULL);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fstat(fd, &info), 0);
    assert_in_range(info.st_size, 1, 64 * 1024);
    assert_in_range(tapped, VF_LIMIT_BURST + 1, 10 * VF_LIMIT_BURST);
    assert_non_null(strstr(last, " more like this in "));
    (void)close(fd);
    (void)close(saved);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_is_told_in_few_lines_and_its_count_is_right),
        cmocka_unit_test(other_texts_are_told_in_the_middle_of_a_storm),
        cmocka_unit_test(more_texts_than_are_remembered_lose_no_count),
        cmocka_unit_test(after_silence_it_is_told_at_once),
        cmocka_unit_test(what_differs_in_words_is_no_repetition),
        cmocka_unit_test(what_to_do_is_read_behind_a_semicolon),
        cmocka_unit_test(the_log_and_who_listens_to_it_hear_the_same_few_lines),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
