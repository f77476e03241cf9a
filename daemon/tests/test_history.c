// SPDX-License-Identifier: Apache-2.0
/* The history: what was kept is found again, by every filter, after every kind of end; and a disk
 * that does not work costs history and nothing else. */
#include "daemon/history.h"

#include "base/log.h"
#include "base/size.h"
#include "base/tests/tool.h"
#include "daemon/history_job.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_NS (86400ull * 1000000000ull)
#define WAIT_NS (30000000000ull * TEST_TOOL_FACTOR)

static const struct history_limits usual = {HISTORY_DAYS, HISTORY_BYTES};
static _Atomic unsigned warnings;

static void count_warnings(void *ctx, enum vf_log_level level, const char *room, const char *text)
{
    (void)ctx;
    (void)text;
    if (level >= VF_LOG_WARN && strcmp(room, "history") == 0)
        atomic_fetch_add(&warnings, 1u);
}

/* ---- a directory and a history in it ---- */

struct bench {
    char dir[32];
    struct history *history;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/history-test-XXXXXX");
    atomic_store(&warnings, 0);
    *state = bench;
    return mkdtemp(bench->dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    char command[128];

    history_close(bench->history);
    (void)snprintf(command, sizeof command, "chmod -R u+rwx %s 2>/dev/null; rm -rf %s", bench->dir,
                   bench->dir);
    free(bench);
    return system(command) == 0 ? 0 : -1;
}

static void path_of(const struct bench *bench, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", bench->dir, name);
}

static bool there(const struct bench *bench, const char *name)
{
    char path[128];
    struct stat info;

    path_of(bench, name, path);
    return lstat(path, &info) == 0;
}

static void begin_with(struct bench *bench, const struct history_limits *limits)
{
    struct vf_error err = VF_ERROR_INIT;

    history_close(bench->history);
    bench->history = NULL;
    assert_int_equal(history_open(bench->dir, limits, &bench->history, &err), 0);
}

static void begin(struct bench *bench)
{
    begin_with(bench, &usual);
}

static void end(struct bench *bench)
{
    history_close(bench->history);
    bench->history = NULL;
}

static void add_event(struct bench *bench, uint64_t number, uint64_t time_ns, const char *kind,
                      const char *text)
{
    struct event event = {.number = number, .time_ns = time_ns};

    (void)snprintf(event.source, sizeof event.source, "vferryd");
    (void)snprintf(event.kind, sizeof event.kind, "%s", kind);
    (void)snprintf(event.text, sizeof event.text, "%s", text);
    history_add_event(bench->history, &event);
}

static json_t *report(uint64_t id, const char *kind, const char *partition, const char *status,
                      uint64_t started_ns)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "job",
                     (json_int_t)id, "kind", kind, "partition", partition, "uuid", "u-1",
                     "direction", "out", "status", status, "phase", status, "reason", "why",
                     "started_unix_ns", (json_int_t)started_ns, "ended_unix_ns",
                     (json_int_t)started_ns + 5, "target", "10.0.0.2:7001", "bytes_sent",
                     (json_int_t)(id * 1000));
}

static void add_job(struct bench *bench, uint64_t id, const char *kind, const char *partition,
                    uint64_t started_ns)
{
    history_add_job(bench->history, report(id, kind, partition, "completed", started_ns), false);
}

/* ---- what is found, as text: "1 2 3" ---- */

struct found {
    char numbers[512];
    unsigned count;
    struct event last;
};

static void note(struct found *found, uint64_t number)
{
    size_t used = strlen(found->numbers);

    if (used < sizeof found->numbers)
        (void)snprintf(found->numbers + used, sizeof found->numbers - used, "%s%llu",
                       found->count > 0 ? " " : "", (unsigned long long)number);
    found->count++;
}

static void on_event(void *ctx, const struct event *event)
{
    struct found *found = ctx;

    note(found, event->number);
    found->last = *event;
}

static void on_job(void *ctx, json_t *job)
{
    note(ctx, history_job_id(job));
}

/* history_sync gives up after some seconds; a test does not. */
static void sync_all(struct bench *bench)
{
    uint64_t began;

    do {
        began = vf_now_ns();
        history_sync(bench->history);
    } while (vf_now_ns() - began > 1000000000u);
}

static void wait_for_warnings(unsigned count)
{
    uint64_t late = vf_now_ns() + WAIT_NS;

    while (atomic_load(&warnings) < count && vf_now_ns() < late)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&warnings), count);
}

/* What is left out of a filter is any. */
static void complete(struct history_filter *filter)
{
    if (filter->until_ns == 0)
        filter->until_ns = UINT64_MAX;
    if (filter->limit == 0)
        filter->limit = 1000000;
}

static struct found events(struct bench *bench, struct history_filter filter)
{
    struct found found = {0};
    json_t *jobs = json_pack("[I]", (json_int_t)7);

    complete(&filter);
    sync_all(bench);
    history_events(bench->history, &filter, jobs, on_event, &found);
    json_decref(jobs);
    return found;
}

static struct found jobs(struct bench *bench, struct history_filter filter)
{
    struct found found = {0};
    json_t *without = json_pack("[I]", (json_int_t)99);

    complete(&filter);
    sync_all(bench);
    history_jobs(bench->history, &filter, without, on_job, &found);
    json_decref(without);
    return found;
}

#define EVENTS(bench, ...) events(bench, (struct history_filter){__VA_ARGS__}).numbers
#define JOBS(bench, ...) jobs(bench, (struct history_filter){__VA_ARGS__}).numbers

static unsigned event_count(struct bench *bench)
{
    return events(bench, (struct history_filter){0}).count;
}

/* ---- kept and found ---- */

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
    assert_int_equal(atomic_load(&warnings), 0);
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
    add_event(bench, 4, t, "job", "job 1: the link to h was lost");
    add_event(bench, 5, t, "warning", "migrate: job 7: cannot be told");
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
    for (uint64_t late = vf_now_ns() + WAIT_NS; vf_now_ns() < late;) {
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

static void the_oldest_go_when_it_gets_too_large(void **state)
{
    struct bench *bench = *state;
    const struct history_limits small = {HISTORY_DAYS, HISTORY_MIN_BYTES};
    const uint64_t now = vf_realtime_ns();
    const unsigned count = 12000; /* about 8 MiB */
    struct found found;
    char text[600];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    begin_with(bench, &small);
    add_job(bench, 1, "move", "p", now - DAY_NS);
    for (unsigned i = 1; i <= count; i++) {
        add_event(bench, i, now + i, "a", text);
        if (i % 500 == 0)
            sync_all(bench);
    }
    end(bench);
    assert_in_range(file_bytes(bench), HISTORY_MIN_BYTES / 4, 2 * HISTORY_MIN_BYTES);
    begin(bench);
    found = events(bench, (struct history_filter){0});
    assert_in_range(found.count, 300, 3500);
    assert_int_equal(found.last.number, count);
    assert_string_equal(JOBS(bench), "");
    assert_int_equal(history_last_event(bench->history), count);
    assert_int_equal(history_last_job(bench->history), 1);
}

/* ---- never in the way ---- */

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
    assert_int_equal(atomic_load(&warnings), 1);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    begin(bench);
    assert_string_equal(EVENTS(bench), "1");
    assert_int_equal(atomic_load(&warnings), 1);
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
    assert_int_equal(atomic_load(&warnings), 2);
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
    assert_int_equal(atomic_load(&warnings), 2);
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

/* Until the thread has dealt with what is queued, one way or the other. */
static void wait_for_events(struct bench *bench, unsigned count)
{
    uint64_t late = vf_now_ns() + WAIT_NS;

    while (event_count(bench) != count && vf_now_ns() < late)
        (void)usleep(1000);
    assert_int_equal(event_count(bench), count);
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
    assert_int_equal(atomic_load(&warnings), 1);
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
    assert_int_equal(atomic_load(&warnings), 1);
    assert_false(there(bench, HISTORY_BROKEN));
}

static void what_finds_no_room_in_the_queue_is_counted_and_told(void **state)
{
    struct bench *bench = *state;
    uint64_t late = vf_now_ns() + WAIT_NS;
    uint64_t began;

    begin(bench);
    limit_files(1);
    began = vf_now_ns();
    for (unsigned i = 1; i <= 5000; i++)
        add_event(bench, i, vf_realtime_ns(), "a", "x");
    assert_true(vf_now_ns() - began < WAIT_NS / 2); /* nobody waited for the disk */
    wait_for_warnings(1);
    limit_files(RLIM_INFINITY);
    while (event_count(bench) == 0 && vf_now_ns() < late)
        (void)usleep(1000);
    assert_in_range(event_count(bench), 4096, 4999);
    wait_for_warnings(2); /* that it fails, and how many were dropped */
}

/* A disk of its own in a mount namespace of its own, by whoever may have one. */
static void the_last_of_a_disk_is_left_to_the_journal(void **state)
{
    struct bench *bench = *state;
    char path[128];
    int fd;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", bench->dir, "tmpfs", 0, "size=10m,mode=0700") != 0)
        skip();
    begin(bench);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    wait_for_events(bench, 1);
    path_of(bench, "journal", path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, 3 << 20), 0);
    assert_int_equal(close(fd), 0);
    add_event(bench, 2, vf_realtime_ns(), "a", "x");
    wait_for_warnings(1);
    assert_int_equal(event_count(bench), 1);
    assert_int_equal(unlink(path), 0);
    wait_for_events(bench, 2);
    end(bench);
    assert_int_equal(umount2(bench->dir, MNT_DETACH), 0);
}

static void a_disk_that_is_full_at_the_start_is_tried_again(void **state)
{
    struct bench *bench = *state;

    limit_files(1);
    begin(bench);
    assert_int_equal(atomic_load(&warnings), 1);
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
    assert_int_equal(atomic_load(&warnings), 1);
    assert_int_equal(chmod(bench->dir, 0700), 0);
    wait_for_events(bench, 1);
    end(bench);
    assert_int_equal(root ? seteuid(0) : 0, 0);
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

#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
        ON_A_BENCH(the_last_of_a_disk_is_left_to_the_journal),
        ON_A_BENCH(a_disk_that_is_full_at_the_start_is_tried_again),
        ON_A_BENCH(a_read_only_directory_costs_one_warning),
        ON_A_BENCH(nobody_else_may_read_it),
        cmocka_unit_test(without_a_history_nothing_is_known),
    };

    (void)signal(SIGXFSZ, SIG_IGN); /* as vferryd does */
    vf_log_init("test", VF_LOG_WARN);
    vf_log_tap(count_warnings, NULL);
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
