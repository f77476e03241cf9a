// SPDX-License-Identifier: Apache-2.0
/* A history in a directory of its own, for its tests: what goes in, and what is found. What fails
 * ends the test. */
#ifndef DAEMON_TESTS_HISTORY_BENCH_H
#define DAEMON_TESTS_HISTORY_BENCH_H

#include "daemon/history/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
    char dir[32];
    struct history *history;
};

/* Once, before any test: warnings of the history are counted. */
void watch_log(void);
/* Since the test's set_up. */
unsigned warning_count(void);
/* Until there were so many, and exactly so many. */
void wait_for_warnings(unsigned count);
/* CLOCK_MONOTONIC; a deadline that only a broken history misses. */
uint64_t wait_end(void);

int set_up(void **state);
int tear_down(void **state);
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

void path_of(const struct bench *bench, const char *name, char path[128]);
bool there(const struct bench *bench, const char *name);

/* Opens it (again), with the usual limits or others. */
extern const struct history_limits usual;
void begin(struct bench *bench);
void begin_with(struct bench *bench, const struct history_limits *limits);
void end(struct bench *bench);

void add_event(struct bench *bench, uint64_t number, uint64_t time_ns, const char *kind,
               const char *text);
/* The same of one that is about a job. */
void add_job_event(struct bench *bench, uint64_t number, uint64_t time_ns, const char *kind,
                   uint64_t job, const char *text);
json_t *report(uint64_t id, const char *kind, const char *partition, const char *status,
               uint64_t started_ns);
/* One that completed. */
void add_job(struct bench *bench, uint64_t id, const char *kind, const char *partition,
             uint64_t started_ns);
/* history_sync gives up after some seconds; a test does not. */
void sync_all(struct bench *bench);
/* Until it finds so many events. */
void wait_for_events(struct bench *bench, unsigned count);

/* What was found, in that order: "1 2 3". */
struct found {
    char numbers[512];
    unsigned count;
    struct event last;
};

/* With job 7 listed; what is left out of a filter is any. */
struct found events(struct bench *bench, struct history_filter filter);
/* Without job 99. */
struct found jobs(struct bench *bench, struct history_filter filter);
unsigned event_count(struct bench *bench);
#define EVENTS(bench, ...) events(bench, (struct history_filter){__VA_ARGS__}).numbers
#define JOBS(bench, ...) jobs(bench, (struct history_filter){__VA_ARGS__}).numbers

#endif
