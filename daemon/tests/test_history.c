// SPDX-License-Identifier: Apache-2.0
/* The history: what was kept is found again, by every filter, and goes when its time has come. */
#include "daemon/tests/history_bench.h"

#include "base/clock.h"
#include "daemon/history/job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_NS (86400ull * 1000000000ull)

static void what_was_kept_is_there_after_a_restart(void **state)
{
    struct bench *bench = *state;
    struct found found;
    json_t *job;

    begin(bench);
    assert_int_equal(history_last_event(bench->history), 0);
    add_event(bench, 1, vf_realtime_ns(), "job", "first");
    add_event(bench, 2, vf_realtime_ns(), "warning", "second, not in ASCII: \xc3\xa4");
    add_job(bench, 3, "move", "p", vf_realtime_ns());
    begin(bench);
    found = events(bench, (struct history_filter){0});
    assert_string_equal(found.numbers, "1 2");
    assert_string_equal(found.last.source, "vferryd");
    assert_string_equal(found.last.kind, "warning");
    assert_string_equal(found.last.text, "second, not in ASCII: \xc3\xa4");
    job = history_job(bench->history, 3);
    assert_int_equal(json_integer_value(json_object_get(job, "bytes_sent")), 3000);
    json_decref(job);
    assert_null(history_job(bench->history, 4));
    assert_int_equal(history_last_event(bench->history), 2);
    assert_int_equal(history_last_job(bench->history), 3);
    assert_int_equal(warning_count(), 0);
}

static void events_are_found_by_the_time_when_they_happened(void **state)
{
    struct bench *bench = *state;
    const uint64_t t = vf_realtime_ns();

    begin(bench);
    add_event(bench, 1, t + 30, "a", "x");
    add_event(bench, 2, t + 10, "a", "x"); /* told late */
    add_event(bench, 3, t + 20, "a", "x");
    add_event(bench, 4, t + 20, "a", "x");
    assert_string_equal(EVENTS(bench), "2 3 4 1");
    assert_string_equal(EVENTS(bench, .since_ns = t + 20), "3 4 1");
    assert_string_equal(EVENTS(bench, .until_ns = t + 20), "2 3 4");
    assert_string_equal(EVENTS(bench, .since_ns = t + 11, .until_ns = t + 29), "3 4");
    assert_string_equal(EVENTS(bench, .limit = 2), "4 1");
    assert_string_equal(EVENTS(bench, .since_ns = t + 31), "");
}

static void events_are_found_by_kind_and_partition(void **state)
{
    struct bench *bench = *state;
    const uint64_t t = vf_realtime_ns();

    begin(bench);
    add_event(bench, 1, t, "job", "job 1 (move of p1, peer h): completed");
    add_event(bench, 2, t, "job", "job 2 (move of p10, peer h): completed");
    add_event(bench, 3, t, "tdr", "adapter 0 VF 1: partition p1: a command hung");
    add_job_event(bench, 4, t, "job", 1, "the link to h was lost");
    add_job_event(bench, 5, t, "warning", 7, "migrate: cannot be told");
    add_event(bench, 6, t, "job", "job 70 (move of my-p1, peer h): completed");
    add_event(bench, 7, t, "job", "it was p1.");
    add_event(bench, 8, t, "job", "p1-old and p1.new are others");
    add_job(bench, 1, "move", "p1", t);
    assert_string_equal(EVENTS(bench, .kind = "job"), "1 2 4 6 7 8");
    assert_string_equal(EVENTS(bench, .kind = "' OR 1 --"), "");
    /* 4: a job that is kept. 5: one that is listed. */
    assert_string_equal(EVENTS(bench, .partition = "p1"), "1 3 4 5 7");
    assert_string_equal(EVENTS(bench, .partition = "p1", .kind = "job"), "1 4 7");
    assert_string_equal(EVENTS(bench, .partition = "p10"), "2 5");
}

static void jobs_are_found_by_every_filter_newest_first(void **state)
{
    struct bench *bench = *state;
    const uint64_t t = vf_realtime_ns();

    begin(bench);
    add_job(bench, 1, "move", "p", t);
    add_job(bench, 2, "check", "p", t + 10);
    add_job(bench, 3, "save", "q", t + 20);
    add_job(bench, 99, "move", "p", t + 30); /* the caller has it already */
    assert_string_equal(JOBS(bench), "3 2 1");
    assert_string_equal(JOBS(bench, .kind = "check"), "2");
    assert_string_equal(JOBS(bench, .partition = "p"), "2 1");
    assert_string_equal(JOBS(bench, .partition = "p' OR '1'='1"), "");
    assert_string_equal(JOBS(bench, .since_ns = t + 10), "3 2");
    assert_string_equal(JOBS(bench, .until_ns = t + 10), "2 1");
    assert_string_equal(JOBS(bench, .limit = 1), "3");
}

static void the_newest_hand_over_says_where_a_partition_went(void **state)
{
    struct bench *bench = *state;
    const uint64_t t = vf_realtime_ns();
    json_t *arrival = report(3, "move", "q", "completed", t);
    char to[64] = "";

    begin(bench);
    add_job(bench, 1, "move", "p", t);
    add_job(bench, 2, "move", "q", t);
    (void)json_object_set_new(arrival, "direction", json_string("in"));
    history_add_job(bench->history, arrival, false);
    add_job(bench, 4, "check", "q", t);
    history_add_job(bench->history, report(5, "move", "p", "failed", t), false);
    sync_all(bench);
    assert_true(history_moved_to(bench->history, "p", to, sizeof to));
    assert_string_equal(to, "10.0.0.2:7001");
    assert_false(history_moved_to(bench->history, "q", to, sizeof to));
    assert_false(history_moved_to(bench->history, "r", to, sizeof to));
}

static void a_kernel_sides_events_are_counted_apart(void **state)
{
    struct bench *bench = *state;
    struct event event = {.number = 1, .time_ns = vf_realtime_ns(), .kernel_number = 17};

    begin(bench);
    assert_int_equal(history_kernel_seen(bench->history, "12@34"), 0);
    history_add_event(bench->history, &event);
    add_event(bench, 2, event.time_ns, "job", "of the daemon");
    begin(bench);
    assert_int_equal(history_kernel_seen(bench->history, "12@34"), 17);
    begin(bench);
    assert_int_equal(history_kernel_seen(bench->history, "12@35"), 0);
}

/* ---- what the journal says of it ---- */

static json_t *recalled(uint64_t id, const char *status)
{
    json_t *job = report(id, "move", "p", status, vf_realtime_ns());

    (void)json_object_set_new(job, "started_unix_ns", json_null());
    (void)json_object_set_new(job, "bytes_sent", json_null());
    (void)json_object_set_new(job, "reason", json_string("the journal's"));
    return job;
}

static void check_merged(struct bench *bench, uint64_t id, const char *status, const char *reason,
                         bool figures)
{
    json_t *job = history_job(bench->history, id);

    assert_non_null(job);
    assert_string_equal(json_string_value(json_object_get(job, "status")), status);
    assert_string_equal(json_string_value(json_object_get(job, "reason")), reason);
    assert_int_equal(json_is_integer(json_object_get(job, "bytes_sent")), figures);
    json_decref(job);
}

static void the_journal_says_how_it_ended_and_the_figures_stay(void **state)
{
    struct bench *bench = *state;

    begin(bench);
    add_job(bench, 1, "move", "p", vf_realtime_ns());
    history_add_job(bench->history, report(2, "move", "p", "unknown", vf_realtime_ns()), false);
    add_job(bench, 4, "check", "p", vf_realtime_ns());
    history_add_job(bench->history, recalled(1, "completed"), true);
    history_add_job(bench->history, recalled(2, "failed"), true);
    history_add_job(bench->history, recalled(3, "failed"), true);
    history_add_job(bench->history, recalled(4, "failed"), true);
    sync_all(bench);
    check_merged(bench, 1, "completed", "why", true);
    check_merged(bench, 2, "failed", "the journal's", true);
    check_merged(bench, 3, "failed", "the journal's", false);
    check_merged(bench, 4, "failed", "the journal's", false); /* another one: it was a check */
}

/* ---- retention ---- */

static void what_is_too_old_goes(void **state)
{
    struct bench *bench = *state;
    const struct history_limits week = {7, HISTORY_BYTES};
    const uint64_t now = vf_realtime_ns();

    begin_with(bench, &usual);
    add_event(bench, 1, now - 8 * DAY_NS, "a", "x");
    add_event(bench, 2, now - 6 * DAY_NS, "a", "x");
    add_job(bench, 1, "move", "p", now - 8 * DAY_NS);
    add_job(bench, 2, "move", "p", now - 6 * DAY_NS);
    begin_with(bench, &week);
    /* The thread trims as it begins. */
    for (uint64_t late = wait_end(); vf_now_ns() < late;) {
        if (event_count(bench) == 1 && strcmp(JOBS(bench), "2") == 0)
            break;
        (void)usleep(1000);
    }
    assert_string_equal(EVENTS(bench), "2");
    assert_string_equal(JOBS(bench), "2");
    /* Numbers do not come again, though nothing has them any more. */
    begin(bench);
    assert_int_equal(history_last_event(bench->history), 2);
}

static off_t file_bytes(const struct bench *bench)
{
    char path[128];
    struct stat info;

    path_of(bench, HISTORY_FILE, path);
    return stat(path, &info) == 0 ? info.st_size : -1;
}

#define MUCH 12000u /* events of about 8 MiB */

static void add_much(struct bench *bench)
{
    const uint64_t now = vf_realtime_ns();
    char text[600];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (unsigned i = 1; i <= MUCH; i++) {
        add_event(bench, i, now + i, "a", text);
        if (i % 500 == 0)
            sync_all(bench);
    }
}

static void the_oldest_go_when_it_gets_too_large(void **state)
{
    struct bench *bench = *state;
    const struct history_limits small = {HISTORY_DAYS, HISTORY_MIN_BYTES};
    struct found found;

    begin_with(bench, &small);
    add_job(bench, 1, "move", "p", vf_realtime_ns() - DAY_NS);
    add_much(bench);
    end(bench);
    assert_in_range(file_bytes(bench), HISTORY_MIN_BYTES / 4, 2 * HISTORY_MIN_BYTES);
    begin(bench);
    found = events(bench, (struct history_filter){0});
    assert_in_range(found.count, 300, 3500);
    assert_int_equal(found.last.number, MUCH);
    assert_string_equal(JOBS(bench), "");
    assert_int_equal(history_last_event(bench->history), MUCH);
    assert_int_equal(history_last_job(bench->history), 1);
}

static void a_lower_limit_makes_the_file_smaller(void **state)
{
    struct bench *bench = *state;
    const struct history_limits small = {HISTORY_DAYS, HISTORY_MIN_BYTES};
    uint64_t late = wait_end();

    begin(bench);
    add_much(bench);
    end(bench);
    assert_true(file_bytes(bench) > 4 * (off_t)HISTORY_MIN_BYTES);
    begin_with(bench, &small);
    /* The thread trims as it begins, and is not kept from its end by it. */
    while (events(bench, (struct history_filter){0}).count > MUCH / 3 && vf_now_ns() < late)
        (void)usleep(1000);
    add_event(bench, MUCH + 1, vf_realtime_ns(), "a", "x");
    while (vf_now_ns() < late) {
        end(bench);
        if (file_bytes(bench) <= 2 * (off_t)HISTORY_MIN_BYTES)
            break;
        begin_with(bench, &small);
        sync_all(bench);
        (void)usleep(100000);
    }
    assert_in_range(file_bytes(bench), HISTORY_MIN_BYTES / 4, 2 * HISTORY_MIN_BYTES);
    begin(bench);
    assert_int_equal(events(bench, (struct history_filter){0}).last.number, MUCH + 1);
}

static void nobody_else_may_read_it(void **state)
{
    struct bench *bench = *state;
    char path[128];
    struct stat info;
    mode_t mask = umask(0);

    begin(bench);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    sync_all(bench);
    (void)umask(mask);
    path_of(bench, HISTORY_FILE, path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    path_of(bench, HISTORY_FILE "-wal", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_false(there(bench, HISTORY_FILE "-shm"));
}

static void without_a_history_nothing_is_known(void **state)
{
    struct bench bench = {0};

    (void)state;
    add_event(&bench, 1, 1, "a", "x");
    add_job(&bench, 1, "move", "p", 1);
    history_sync(NULL);
    assert_int_equal(event_count(&bench), 0);
    assert_null(history_job(NULL, 1));
    assert_int_equal(history_last_event(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(what_was_kept_is_there_after_a_restart),
        ON_A_BENCH(events_are_found_by_the_time_when_they_happened),
        ON_A_BENCH(events_are_found_by_kind_and_partition),
        ON_A_BENCH(jobs_are_found_by_every_filter_newest_first),
        ON_A_BENCH(the_newest_hand_over_says_where_a_partition_went),
        ON_A_BENCH(a_kernel_sides_events_are_counted_apart),
        ON_A_BENCH(the_journal_says_how_it_ended_and_the_figures_stay),
        ON_A_BENCH(what_is_too_old_goes),
        ON_A_BENCH(the_oldest_go_when_it_gets_too_large),
        ON_A_BENCH(a_lower_limit_makes_the_file_smaller),
        ON_A_BENCH(nobody_else_may_read_it),
        cmocka_unit_test(without_a_history_nothing_is_known),
    };

    watch_log();
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
