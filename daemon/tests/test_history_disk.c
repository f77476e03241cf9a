// SPDX-License-Identifier: Apache-2.0
/* The history on a disk that is full, damaged, removed or read-only: it costs history and
 * nothing else. */
#include "daemon/tests/history_bench.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void damage(const struct bench *bench, const char *bytes, size_t count, off_t size)
{
    char path[128];
    int fd;

    path_of(bench, HISTORY_FILE, path);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    if (size >= 0)
        assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(pwrite(fd, bytes, count, 0), count);
    (void)close(fd);
}

static void starts_anew(struct bench *bench)
{
    begin(bench);
    assert_true(there(bench, HISTORY_BROKEN));
    assert_int_equal(warning_count(), 1);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    begin(bench);
    assert_string_equal(EVENTS(bench), "1");
    assert_int_equal(warning_count(), 1);
}

static void fill(struct bench *bench)
{
    begin(bench);
    for (unsigned i = 1; i <= 500; i++)
        add_event(bench, i, vf_realtime_ns(), "old", "an event that takes a little room");
    end(bench);
}

static void garbage_is_moved_aside(void **state)
{
    damage(*state, "garbage garbage garbage", 23, 100000);
    starts_anew(*state);
}

static void a_file_with_a_damaged_start_is_moved_aside(void **state)
{
    fill(*state);
    damage(*state, "SQLite format 4", 16, -1);
    starts_anew(*state);
}

static void a_truncated_file_is_moved_aside(void **state)
{
    fill(*state);
    damage(*state, "", 0, 4096);
    starts_anew(*state);
}

static void a_directory_in_its_place_is_moved_aside(void **state)
{
    struct bench *bench = *state;
    char path[128];

    path_of(bench, HISTORY_FILE, path);
    assert_int_equal(mkdir(path, 0700), 0);
    starts_anew(bench);
}

static void execute(const struct bench *bench, const char *sql)
{
    char path[128];
    sqlite3 *db;

    path_of(bench, HISTORY_FILE, path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void another_version_is_moved_aside_and_replaces_an_older_one(void **state)
{
    struct bench *bench = *state;
    char path[128];
    struct stat info;

    path_of(bench, HISTORY_BROKEN, path);
    fill(bench);
    damage(bench, "garbage", 7, 100);
    begin(bench);
    end(bench);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 100);
    execute(bench, "PRAGMA user_version = 2");
    begin(bench);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > 4096);
    assert_int_equal(event_count(bench), 0);
    assert_int_equal(warning_count(), 2);
}

static void a_trigger_and_other_tables_are_not_ours(void **state)
{
    struct bench *bench = *state;

    fill(bench);
    execute(bench, "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM jobs; END");
    starts_anew(bench);
    end(bench);
    execute(bench, "DROP TABLE jobs; CREATE TABLE jobs (a, b)");
    begin(bench);
    assert_int_equal(event_count(bench), 0);
    assert_int_equal(warning_count(), 2);
}

static void a_report_that_is_none_is_left_out(void **state)
{
    struct bench *bench = *state;

    begin(bench);
    for (unsigned id = 1; id <= 5; id++)
        add_job(bench, id, "move", "p", vf_realtime_ns());
    end(bench);
    execute(bench, "UPDATE jobs SET report = 'no JSON' WHERE id = 1;"
                   "UPDATE jobs SET report = '[1]' WHERE id = 2;"
                   "UPDATE jobs SET report = '{\"job\": 7}' WHERE id = 3;"
                   "UPDATE jobs SET report = x'ff00' WHERE id = 4");
    begin(bench);
    assert_string_equal(JOBS(bench), "5");
    assert_null(history_job(bench->history, 1));
    assert_null(history_job(bench->history, 3));
    assert_false(there(bench, HISTORY_BROKEN));
}

static void damage_while_it_runs_costs_what_was_kept(void **state)
{
    struct bench *bench = *state;
    const char zeros[4096] = "";

    fill(bench);
    begin(bench);
    damage(bench, zeros, sizeof zeros, 4096);
    add_event(bench, 501, vf_realtime_ns(), "new", "x");
    /* SQLite may have pages in its memory, and sees the damage when it reads or writes the rest. */
    for (unsigned i = 502; i < 3000 && !there(bench, HISTORY_BROKEN); i++) {
        add_event(bench, i, vf_realtime_ns(), "new", "x");
        (void)event_count(bench);
    }
    assert_true(there(bench, HISTORY_BROKEN));
    add_event(bench, 3000, vf_realtime_ns(), "new", "x");
    begin(bench);
    assert_int_equal(history_last_event(bench->history), 3000);
}

static void a_file_that_was_removed_is_made_again(void **state)
{
    struct bench *bench = *state;
    char path[128];

    fill(bench);
    begin(bench);
    path_of(bench, HISTORY_FILE, path);
    assert_int_equal(unlink(path), 0);
    add_event(bench, 501, vf_realtime_ns(), "new", "x");
    wait_for_events(bench, 1);
    begin(bench);
    assert_string_equal(EVENTS(bench), "501");
}

static void a_directory_that_was_removed_costs_one_warning(void **state)
{
    struct bench *bench = *state;
    char away[80];

    begin(bench);
    (void)snprintf(away, sizeof away, "%s.away", bench->dir);
    assert_int_equal(rename(bench->dir, away), 0);
    for (unsigned i = 1; i <= 100; i++) {
        add_event(bench, i, vf_realtime_ns(), "a", "x");
        sync_all(bench);
    }
    wait_for_warnings(1);
    assert_int_equal(event_count(bench), 0);
    assert_int_equal(rename(away, bench->dir), 0);
    wait_for_events(bench, 100);
    assert_int_equal(warning_count(), 1);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_costs_one_warning_and_nothing_once_it_has_room(void **state)
{
    struct bench *bench = *state;

    begin(bench);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    wait_for_events(bench, 1);
    limit_files(1);
    for (unsigned i = 2; i <= 1000; i++)
        add_event(bench, i, vf_realtime_ns(), "a", "x");
    wait_for_warnings(1);
    assert_int_equal(event_count(bench), 1);
    limit_files(RLIM_INFINITY);
    wait_for_events(bench, 1000);
    assert_int_equal(warning_count(), 1);
    assert_false(there(bench, HISTORY_BROKEN));
}

static void what_finds_no_room_in_the_queue_is_counted_and_told(void **state)
{
    struct bench *bench = *state;
    uint64_t late = wait_end();

    begin(bench);
    limit_files(1);
    for (unsigned i = 1; i <= 5000; i++)
        add_event(bench, i, vf_realtime_ns(), "a", "x");
    assert_true(vf_now_ns() < late); /* nobody waited for the disk */
    wait_for_warnings(1);
    limit_files(RLIM_INFINITY);
    while (event_count(bench) == 0 && vf_now_ns() < late)
        (void)usleep(1000);
    assert_in_range(event_count(bench), 4096, 4999);
    wait_for_warnings(2); /* that it fails, and how many were dropped */
}

static void a_disk_that_is_full_at_the_start_is_tried_again(void **state)
{
    struct bench *bench = *state;

    limit_files(1);
    begin(bench);
    assert_int_equal(warning_count(), 1);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    limit_files(RLIM_INFINITY);
    wait_for_events(bench, 1);
}

/* Root may write anywhere. */
static void a_read_only_directory_costs_one_warning(void **state)
{
    struct bench *bench = *state;
    bool root = geteuid() == 0;

    if (root) {
        assert_int_equal(chown(bench->dir, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    assert_int_equal(chmod(bench->dir, 0500), 0);
    begin(bench);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    sync_all(bench);
    assert_int_equal(event_count(bench), 0);
    assert_int_equal(warning_count(), 1);
    assert_int_equal(chmod(bench->dir, 0700), 0);
    wait_for_events(bench, 1);
    end(bench);
    assert_int_equal(root ? seteuid(0) : 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(garbage_is_moved_aside),
        ON_A_BENCH(a_file_with_a_damaged_start_is_moved_aside),
        ON_A_BENCH(a_truncated_file_is_moved_aside),
        ON_A_BENCH(a_directory_in_its_place_is_moved_aside),
        ON_A_BENCH(another_version_is_moved_aside_and_replaces_an_older_one),
        ON_A_BENCH(a_trigger_and_other_tables_are_not_ours),
        ON_A_BENCH(a_report_that_is_none_is_left_out),
        ON_A_BENCH(damage_while_it_runs_costs_what_was_kept),
        ON_A_BENCH(a_file_that_was_removed_is_made_again),
        ON_A_BENCH(a_directory_that_was_removed_costs_one_warning),
        ON_A_BENCH(a_full_disk_costs_one_warning_and_nothing_once_it_has_room),
        ON_A_BENCH(what_finds_no_room_in_the_queue_is_counted_and_told),
        ON_A_BENCH(a_disk_that_is_full_at_the_start_is_tried_again),
        ON_A_BENCH(a_read_only_directory_costs_one_warning),
    };

    watch_log();
    return cmocka_run_group_tests_name("history disk", tests, NULL, NULL);
}
