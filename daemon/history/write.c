// SPDX-License-Identifier: Apache-2.0
/* What goes into the history's file, and what leaves it again. See store.h. */
#include "daemon/history/job.h"
#include "daemon/history/store_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (86400ull * 1000000000ull)

static int step(struct store *store, sqlite3_stmt *statement, struct vf_error *err)
{
    int result = sqlite3_step(statement) == SQLITE_DONE ? 0 : store_fail(store, HISTORY_FILE, err);

    (void)sqlite3_reset(statement); /* tells what the step told */
    (void)sqlite3_clear_bindings(statement);
    return result;
}

/* Bindings fail for want of memory only; a column that stayed NULL then fails the step, as no
 * column but the two times of a job may be NULL. */
static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text != NULL ? text : "", -1, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *statement, int at, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, at, store_integer(value));
}

static int put_note(struct store *store, const char *key, const char *value, struct vf_error *err)
{
    bind_text(store->put_note, 1, key);
    bind_text(store->put_note, 2, value);
    return step(store, store->put_note, err);
}

static int put_number_note(struct store *store, const char *key, uint64_t value,
                           struct vf_error *err)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return put_note(store, key, text, err);
}

static int put_event(struct store *store, const struct event *event, struct vf_error *err)
{
    bind_number(store->put_event, 1, event->number);
    bind_number(store->put_event, 2, event->time_ns);
    bind_text(store->put_event, 3, event->source);
    bind_text(store->put_event, 4, event->kind);
    bind_text(store->put_event, 5, event->text);
    bind_number(store->put_event, 6, event->job);
    return step(store, store->put_event, err);
}

static const char *text_of(const json_t *report, const char *key)
{
    return json_string_value(json_object_get(report, key));
}

/* A time that is not known stays NULL. */
static void bind_time(sqlite3_stmt *statement, int at, const json_t *report, const char *key)
{
    const json_t *time = json_object_get(report, key);

    if (json_is_integer(time))
        (void)sqlite3_bind_int64(statement, at, json_integer_value(time));
}

static int put_report(struct store *store, const json_t *report, struct vf_error *err)
{
    char *text = json_dumps(report, JSON_COMPACT | JSON_PRESERVE_ORDER);
    int result;

    if (text == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    bind_number(store->put_job, 1, history_job_id(report));
    bind_text(store->put_job, 2, text_of(report, "kind"));
    bind_text(store->put_job, 3, text_of(report, "direction"));
    bind_text(store->put_job, 4, text_of(report, "partition"));
    bind_text(store->put_job, 5, text_of(report, "uuid"));
    bind_text(store->put_job, 6, text_of(report, "status"));
    bind_time(store->put_job, 7, report, "started_unix_ns");
    bind_time(store->put_job, 8, report, "ended_unix_ns");
    bind_text(store->put_job, 9, text);
    result = step(store, store->put_job, err);
    free(text);
    return result;
}

/* What the journal alone knows of a job comes on top of what is kept. */
static int put_job(struct store *store, const struct store_entry *entry, struct vf_error *err)
{
    json_t *kept = entry->recalled ? store_job(store, history_job_id(entry->report)) : NULL;
    json_t *merged = history_job_merge(entry->report, kept);
    int result = kept != NULL && json_equal(merged, kept) ? 0 : put_report(store, merged, err);

    json_decref(kept);
    json_decref(merged);
    return result;
}

/* The highest numbers of a list; 0 = none. */
struct highest {
    uint64_t event, job, kernel;
};

static void note_highest(struct highest *highest, const struct store_entry *entry)
{
    if (entry->report != NULL) {
        if (history_job_id(entry->report) > highest->job)
            highest->job = history_job_id(entry->report);
        return;
    }
    if (entry->event.number > highest->event)
        highest->event = entry->event.number;
    if (entry->event.kernel_number > highest->kernel)
        highest->kernel = entry->event.kernel_number;
}

/* They stay when the entries themselves go. */
static int put_highest(struct store *store, const struct highest *highest, const char *kernel_side,
                       struct vf_error *err)
{
    if (highest->event > store_number_note(store, NOTE_LAST_EVENT) &&
        put_number_note(store, NOTE_LAST_EVENT, highest->event, err) != 0)
        return -1;
    if (highest->job > store_number_note(store, NOTE_LAST_JOB) &&
        put_number_note(store, NOTE_LAST_JOB, highest->job, err) != 0)
        return -1;
    if (highest->kernel == 0)
        return 0;
    return put_note(store, NOTE_KERNEL_SIDE, kernel_side, err) != 0
               ? -1
               : put_number_note(store, NOTE_KERNEL_SEEN, highest->kernel, err);
}

static int put_list(struct store *store, const struct store_entry *list, const char *kernel_side,
                    struct vf_error *err)
{
    struct highest highest = {0};

    for (; list != NULL; list = list->next) {
        if (list->report != NULL ? put_job(store, list, err) != 0
                                 : put_event(store, &list->event, err) != 0)
            return -1;
        note_highest(&highest, list);
    }
    return put_highest(store, &highest, kernel_side, err);
}

int store_write(struct store *store, const struct store_entry *list, const char *kernel_side,
                struct vf_error *err)
{
    if (store_leave_room(store, err) != 0 || store_run(store, "BEGIN IMMEDIATE", err) != 0)
        return -1;
    if (put_list(store, list, kernel_side, err) == 0 && store_run(store, "COMMIT", err) == 0)
        return 0;
    /* An error may have rolled it back already. */
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

/* ---- retention ---- */

/* Runs it with one number; *gone rows went. */
static int drop(struct store *store, const char *sql, uint64_t number, int *gone,
                struct vf_error *err)
{
    cleanup_statement sqlite3_stmt *statement = store_prepare(store, sql, err);

    if (statement == NULL)
        return -1;
    bind_number(statement, 1, number);
    if (sqlite3_step(statement) != SQLITE_DONE)
        return store_fail(store, HISTORY_FILE, err);
    *gone = sqlite3_changes(store->db);
    return 0;
}

/* In portions: nobody waits long behind one. */
#define EVENTS_AT_ONCE 512
#define JOBS_AT_ONCE 64
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
static const char drop_events[] =
    "DELETE FROM events WHERE number IN (SELECT number FROM events WHERE time_ns < ?1"
    " ORDER BY time_ns, number LIMIT " TEXT(EVENTS_AT_ONCE) ")";
static const char drop_jobs[] =
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE coalesce(ended_ns, started_ns, 0) < ?1"
    " ORDER BY coalesce(ended_ns, started_ns, 0) LIMIT " TEXT(JOBS_AT_ONCE) ")";

static int trim_by_age(struct store *store, uint64_t before_ns, bool *more, struct vf_error *err)
{
    int events;
    int jobs;

    if (drop(store, drop_events, before_ns, &events, err) != 0 ||
        drop(store, drop_jobs, before_ns, &jobs, err) != 0)
        return -1;
    *more = events == EVENTS_AT_ONCE || jobs == JOBS_AT_ONCE;
    return 0;
}

/* The oldest, whatever they are; *gone = how many. */
static int drop_oldest(struct store *store, int *gone, struct vf_error *err)
{
    uint64_t event = store_number(store, "SELECT min(time_ns) FROM events");
    uint64_t job = store_number(store, "SELECT min(coalesce(ended_ns, started_ns, 0)) FROM jobs");
    bool events = event != 0 && (job == 0 || event <= job);

    return drop(store, events ? drop_events : drop_jobs, INT64_MAX, gone, err);
}

/* Pages that hold something go down to the limit; those that hold nothing are used again, and given
 * back when the limit itself went down. What cannot be had is not tried again. */
static int trim_by_size(struct store *store, uint64_t limit, bool *more, struct vf_error *err)
{
    const uint64_t page = store_number(store, "PRAGMA page_size");
    const uint64_t pages = store_number(store, "PRAGMA page_count");
    const uint64_t spare = store_number(store, "PRAGMA freelist_count");
    const uint64_t most = page == 0 ? 0 : limit / page;
    char sql[64];
    int gone = 0;
    int result;

    if (pages <= most || page == 0)
        return 0;
    if (pages - spare > most) {
        result = drop_oldest(store, &gone, err);
        *more = *more || gone > 0;
        return result;
    }
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%" PRIu64 ")", pages - most);
    result = store_run(store, sql, err);
    *more = *more || store_number(store, "PRAGMA page_count") < pages;
    return result;
}

int store_trim(struct store *store, const struct history_limits *limits, uint64_t now_ns,
               bool *more, struct vf_error *err)
{
    const uint64_t age = limits->days * DAY_NS;

    *more = false;
    if (now_ns > age && trim_by_age(store, now_ns - age, more, err) != 0)
        return -1;
    return trim_by_size(store, limits->bytes, more, err);
}
