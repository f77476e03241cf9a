// SPDX-License-Identifier: Apache-2.0
/*
 * DIR/history.db: the file of the history and all SQL about it. SQLite in WAL mode, held by this
 * process alone (no shared memory that somebody could truncate under it), never synced but when the
 * log goes into the file: what a kill leaves is whole, a power cut may cost the last entries.
 *
 * One thread at a time: history.c has the lock. Nothing that is read is trusted more than any file:
 * a report that is no JSON object is left out, and a file that is no history is moved aside.
 */
#ifndef DAEMON_HISTORY_STORE_H
#define DAEMON_HISTORY_STORE_H

#include "daemon/history/history.h"

struct store;

/* What waits to be written. */
struct store_entry {
    struct store_entry *next;
    json_t *report;     /* a job's (vferry.job/1); NULL: it is an event */
    bool recalled;      /* the report has no figures: those that are kept stay */
    struct event event; /* without a report */
};

/* Opens directory/history.db (0600) or begins it. One that is damaged, of another kind or version
 * is moved aside to history.db.broken, which a warning tells, and a new one begun. */
int store_open(const char *directory, struct store **out, struct vf_error *err);
void store_close(struct store *store); /* NULL is allowed */

/* Is the file still the one under its name? One that was removed or replaced keeps nothing. */
bool store_stands(const struct store *store);
/* Was damage found since it was opened? It is to be closed and opened again then. */
bool store_damaged(const struct store *store);

/* All of the list, or nothing of it; nothing when the disk is nearly full. `kernel_side` (see
 * history_kernel_seen) is kept with the number of the newest event that came from there. */
int store_write(struct store *store, const struct store_entry *list, const char *kernel_side,
                struct vf_error *err);
/* Drops some of what is older than the limits allow (oldest first). *more: there is more
 * to drop. */
int store_trim(struct store *store, const struct history_limits *limits, uint64_t now_ns,
               bool *more, struct vf_error *err);

/* The highest number of an event, and of a job, that was ever kept; 0 = none. */
uint64_t store_last_event(struct store *store);
uint64_t store_last_job(struct store *store);
/* See history_kernel_seen. */
uint64_t store_kernel_seen(struct store *store, const char *kernel_side);

/* See history_events, history_jobs, history_job, history_moved_to. */
void store_events(struct store *store, const struct history_filter *filter, const json_t *jobs,
                  history_each_event *each, void *ctx);
void store_jobs(struct store *store, const struct history_filter *filter, const json_t *without,
                history_each_job *each, void *ctx);
json_t *store_job(struct store *store, uint64_t id);
bool store_moved_to(struct store *store, const char *partition, char *to, size_t to_bytes);

#endif
