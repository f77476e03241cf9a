// SPDX-License-Identifier: Apache-2.0
/* See history_bench.h. */
#include "daemon/tests/history_bench.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/tests/tool.h"
#include "daemon/history/job.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_NS (30000000000ull * TEST_TOOL_FACTOR)

const struct history_limits usual = {HISTORY_DAYS, HISTORY_BYTES};
static _Atomic unsigned warnings;

static void count_warnings(void *ctx, enum vf_log_level level, const char *room, const char *text)
{
    (void)ctx;
    (void)text;
    if (level >= VF_LOG_WARN && strcmp(room, "history") == 0)
        atomic_fetch_add(&warnings, 1u);
}

int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    (void)snprintf(bench->dir, sizeof bench->dir, "/tmp/history-test-XXXXXX");
    atomic_store(&warnings, 0);
    *state = bench;
    return mkdtemp(bench->dir) != NULL ? 0 : -1;
}

int tear_down(void **state)
{
    struct bench *bench = *state;
    char command[128];

    history_close(bench->history);
    (void)snprintf(command, sizeof command, "chmod -R u+rwx %s 2>/dev/null; rm -rf %s", bench->dir,
                   bench->dir);
    free(bench);
    return system(command) == 0 ? 0 : -1;
}

void path_of(const struct bench *bench, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", bench->dir, name);
}

bool there(const struct bench *bench, const char *name)
{
    char path[128];
    struct stat info;

    path_of(bench, name, path);
    return lstat(path, &info) == 0;
}

void begin_with(struct bench *bench, const struct history_limits *limits)
{
    struct vf_error err = VF_ERROR_INIT;

    history_close(bench->history);
    bench->history = NULL;
    assert_int_equal(history_open(bench->dir, limits, &bench->history, &err), 0);
}

void begin(struct bench *bench)
{
    begin_with(bench, &usual);
}

void end(struct bench *bench)
{
    history_close(bench->history);
    bench->history = NULL;
}

void add_event(struct bench *bench, uint64_t number, uint64_t time_ns, const char *kind,
               const char *text)
{
    add_job_event(bench, number, time_ns, kind, 0, text);
}

void add_job_event(struct bench *bench, uint64_t number, uint64_t time_ns, const char *kind,
                   uint64_t job, const char *text)
{
    struct event event = {.number = number, .time_ns = time_ns, .job = job};

    (void)snprintf(event.source, sizeof event.source, "vferryd");
    (void)snprintf(event.kind, sizeof event.kind, "%s", kind);
    (void)snprintf(event.text, sizeof event.text, "%s", text);
    history_add_event(bench->history, &event);
}

json_t *report(uint64_t id, const char *kind, const char *partition, const char *status,
               uint64_t started_ns)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "job",
                     (json_int_t)id, "kind", kind, "partition", partition, "uuid", "u-1",
                     "direction", "out", "status", status, "phase", status, "reason", "why",
                     "started_unix_ns", (json_int_t)started_ns, "ended_unix_ns",
                     (json_int_t)started_ns + 5, "target", "10.0.0.2:7001", "bytes_sent",
                     1000 * (json_int_t)id);
}

void add_job(struct bench *bench, uint64_t id, const char *kind, const char *partition,
             uint64_t started_ns)
{
    history_add_job(bench->history, report(id, kind, partition, "completed", started_ns), false);
}

static void note(struct found *found, uint64_t number)
{
    size_t used = strlen(found->numbers);

    if (used < sizeof found->numbers)
        (void)snprintf(found->numbers + used, sizeof found->numbers - used, "%s%" PRIu64,
                       found->count > 0 ? " " : "", number);
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

void sync_all(struct bench *bench)
{
    uint64_t began;

    do {
        began = vf_now_ns();
        history_sync(bench->history);
    } while (vf_now_ns() - began > 1000000000u);
}

void wait_for_warnings(unsigned count)
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

struct found events(struct bench *bench, struct history_filter filter)
{
    struct found found = {0};
    json_t *jobs = json_pack("[I]", (json_int_t)7);

    complete(&filter);
    sync_all(bench);
    history_events(bench->history, &filter, jobs, on_event, &found);
    json_decref(jobs);
    return found;
}

struct found jobs(struct bench *bench, struct history_filter filter)
{
    struct found found = {0};
    json_t *without = json_pack("[I]", (json_int_t)99);

    complete(&filter);
    sync_all(bench);
    history_jobs(bench->history, &filter, without, on_job, &found);
    json_decref(without);
    return found;
}

unsigned event_count(struct bench *bench)
{
    return events(bench, (struct history_filter){0}).count;
}

/* Until the thread has dealt with what is queued, one way or the other. */
void wait_for_events(struct bench *bench, unsigned count)
{
    uint64_t late = vf_now_ns() + WAIT_NS;

    while (event_count(bench) != count && vf_now_ns() < late)
        (void)usleep(1000);
    assert_int_equal(event_count(bench), count);
}

unsigned warning_count(void)
{
    return atomic_load(&warnings);
}

uint64_t wait_end(void)
{
    return vf_now_ns() + WAIT_NS;
}

void watch_log(void)
{
    (void)signal(SIGXFSZ, SIG_IGN); /* as vferryd does */
    vf_log_init("test", VF_LOG_WARN);
    vf_log_tap(count_warnings, NULL);
}
