// SPDX-License-Identifier: Apache-2.0
/*
 * The host's history: every job with all its figures, every event, over restarts of vferryd, in
 * DIR/history.db. Whoever has something to keep puts it into a queue and goes on; a thread of its
 * own writes. A disk that is slow, full, broken or gone costs history and nothing else: what finds
 * no room in the queue is dropped and counted, and a warning tells.
 *
 * The journal (migrate/) says who runs what; this is for people. Any thread; a struct history that
 * is NULL keeps nothing and knows nothing.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "base/error.h"
#include "daemon/history/event.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_FILE "history.db"
#define HISTORY_BROKEN HISTORY_FILE ".broken"
#define HISTORY_DAYS 30u
#define HISTORY_BYTES (64ull << 20)
#define HISTORY_MIN_BYTES (1ull << 20)
#define HISTORY_MOST_BYTES (1ull << 40)

struct history;

struct history_limits {
    unsigned days;  /* older entries go */
    uint64_t bytes; /* of the file; the oldest entries go. Its log takes 1 MiB more */
};

/* What is asked for. */
struct history_filter {
    uint64_t since_ns, until_ns; /* events: when it happened; jobs: when it began; both included */
    const char *partition;       /* its name; NULL = any */
    const char *kind;            /* NULL = any */
    uint64_t limit;              /* the newest so many, > 0 */
};

typedef void history_each_event(void *ctx, const struct event *event);
/* `report` is borrowed. */
typedef void history_each_job(void *ctx, json_t *report);

/* -1 only without memory or a thread: a file that cannot be used is a warning, and is tried again
 * now and then. `directory` is copied. */
int history_open(const char *directory, const struct history_limits *limits, struct history **out,
                 struct vf_error *err);
/* Writes what is queued, as far as that goes at once. Nobody else uses it any more. */
void history_close(struct history *history);

/* The highest number that an event, or a job, was given before this start; 0 = none is known. New
 * ones get higher numbers. */
uint64_t history_last_event(struct history *history);
uint64_t history_last_job(struct history *history);
/* The newest event of this kernel side (a text that no other one ever has) that is kept, by its own
 * number there; 0 = none. Events with a kernel_number are that kernel side's from here on. Before
 * the first of these. */
uint64_t history_kernel_seen(struct history *history, const char *kernel_side);

/* Keeps an event (copied). Never waits for the disk. */
void history_add_event(struct history *history, const struct event *event);
/* Keeps a job's report as it is now (vferry.job/1; stolen), in the place of an older one. Never
 * waits for the disk. `recalled`: the report is made from the journal only; then the figures that
 * the history has stay, and how the job ended is taken from the report. */
void history_add_job(struct history *history, json_t *report, bool recalled);
/* Waits until all that was added before is kept or given up, but not for long: whoever is told
 * something finds it again after a crash. */
void history_sync(struct history *history);

/* Events that fit, oldest first by the time when they happened, then by number. An event is a
 * partition's when its text names it or one of its jobs: those in `jobs` (an array of ids) and
 * those that are kept. */
void history_events(struct history *history, const struct history_filter *filter,
                    const json_t *jobs, history_each_event *each, void *ctx);
/* Reports of jobs that fit, newest first, without those whose ids are in the array `without`. */
void history_jobs(struct history *history, const struct history_filter *filter,
                  const json_t *without, history_each_job *each, void *ctx);
/* The report of that job; new reference, NULL when none is kept. */
json_t *history_job(struct history *history, uint64_t id);
/* Where the newest completed job of a partition of that name brought it, if away from here. */
bool history_moved_to(struct history *history, const char *partition, char *to, size_t to_bytes);

#endif
