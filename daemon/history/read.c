// SPDX-License-Identifier: Apache-2.0
/* What is asked of the history's file. See store.h. */
#include "daemon/history/job.h"
#include "daemon/history/store_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_at(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text != NULL ? (const char *)text : "";
}

/* NULL stays NULL: any. */
static bool bind_word(sqlite3_stmt *statement, int at, const char *word)
{
    return word == NULL ||
           sqlite3_bind_text(statement, at, word, -1, SQLITE_TRANSIENT) == SQLITE_OK;
}

/* Parameters 1 to 6 of both questions. */
static bool bind_filter(sqlite3_stmt *statement, const struct history_filter *filter,
                        const json_t *ids)
{
    char *list = json_dumps(ids, JSON_COMPACT);
    bool bound = list != NULL &&
                 sqlite3_bind_int64(statement, 1, store_integer(filter->since_ns)) == SQLITE_OK &&
                 sqlite3_bind_int64(statement, 2, store_integer(filter->until_ns)) == SQLITE_OK &&
                 bind_word(statement, 3, filter->kind) &&
                 bind_word(statement, 4, filter->partition) && bind_word(statement, 5, list) &&
                 sqlite3_bind_int64(statement, 6, store_integer(filter->limit)) == SQLITE_OK;

    free(list);
    return bound;
}

void store_events(struct store *store, const struct history_filter *filter, const json_t *jobs,
                  history_each_event *each, void *ctx)
{
    cleanup_statement sqlite3_stmt *statement = store_prepare(
        store,
        "SELECT * FROM (SELECT number, time_ns, source, kind, text FROM events"
        " WHERE time_ns BETWEEN ?1 AND ?2 AND (?3 IS NULL OR kind = ?3)"
        " AND (?4 IS NULL OR names_partition(text, ?4) OR job IN (SELECT value FROM json_each(?5))"
        " OR job IN (SELECT id FROM jobs WHERE partition = ?4))"
        " ORDER BY time_ns DESC, number DESC LIMIT ?6) ORDER BY time_ns, number",
        NULL);
    struct event event = {0};

    if (statement == NULL || !bind_filter(statement, filter, jobs))
        return;
    while (store_next(store, statement)) {
        event.number = store_unsigned(sqlite3_column_int64(statement, 0));
        event.time_ns = store_unsigned(sqlite3_column_int64(statement, 1));
        (void)snprintf(event.source, sizeof event.source, "%s", text_at(statement, 2));
        (void)snprintf(event.kind, sizeof event.kind, "%s", text_at(statement, 3));
        (void)snprintf(event.text, sizeof event.text, "%s", text_at(statement, 4));
        each(ctx, &event);
    }
}

/* NULL when it is no report of that job. */
static json_t *report_at(sqlite3_stmt *statement, int column, uint64_t id)
{
    json_t *report = json_loads(text_at(statement, column), JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(report) || history_job_id(report) != id) {
        json_decref(report);
        return NULL;
    }
    return report;
}

void store_jobs(struct store *store, const struct history_filter *filter, const json_t *without,
                history_each_job *each, void *ctx)
{
    cleanup_statement sqlite3_stmt *statement = store_prepare(
        store,
        "SELECT id, report FROM jobs WHERE coalesce(started_ns, ended_ns, 0) BETWEEN ?1 AND ?2"
        " AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR partition = ?4)"
        " AND id NOT IN (SELECT value FROM json_each(?5)) ORDER BY id DESC LIMIT ?6",
        NULL);

    if (statement == NULL || !bind_filter(statement, filter, without))
        return;
    while (store_next(store, statement)) {
        json_t *report =
            report_at(statement, 1, store_unsigned(sqlite3_column_int64(statement, 0)));

        if (report != NULL)
            each(ctx, report);
        json_decref(report);
    }
}

json_t *store_job(struct store *store, uint64_t id)
{
    json_t *report = NULL;

    if (sqlite3_bind_int64(store->get_job, 1, store_integer(id)) == SQLITE_OK &&
        store_next(store, store->get_job))
        report = report_at(store->get_job, 0, id);
    (void)sqlite3_reset(store->get_job);
    return report;
}

bool store_moved_to(struct store *store, const char *partition, char *to, size_t to_bytes)
{
    cleanup_statement sqlite3_stmt *statement =
        store_prepare(store,
                      "SELECT id, report, direction FROM jobs WHERE partition = ?1"
                      " AND status = 'completed' AND kind <> 'check' ORDER BY id DESC LIMIT 1",
                      NULL);
    const char *target = NULL;
    json_t *report = NULL;

    if (statement != NULL && bind_word(statement, 1, partition) && store_next(store, statement) &&
        strcmp(text_at(statement, 2), "out") == 0)
        report = report_at(statement, 1, store_unsigned(sqlite3_column_int64(statement, 0)));
    target = json_string_value(json_object_get(report, "target"));
    if (target != NULL)
        (void)snprintf(to, to_bytes, "%s", target);
    json_decref(report);
    return target != NULL;
}

uint64_t store_number_note(struct store *store, const char *key)
{
    char text[24];

    return store_note(store, key, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* The greater of the note and the table: the table may have been written to by a person. */
static uint64_t last_of(struct store *store, const char *key, const char *sql)
{
    uint64_t noted = store_number_note(store, key);
    uint64_t there = store_number(store, sql);

    return noted > there ? noted : there;
}

uint64_t store_last_event(struct store *store)
{
    return last_of(store, NOTE_LAST_EVENT, "SELECT max(number) FROM events");
}

uint64_t store_last_job(struct store *store)
{
    return last_of(store, NOTE_LAST_JOB, "SELECT max(id) FROM jobs");
}

uint64_t store_kernel_seen(struct store *store, const char *kernel_side)
{
    char known[64];

    return store_note(store, NOTE_KERNEL_SIDE, known, sizeof known) &&
                   strcmp(known, kernel_side) == 0
               ? store_number_note(store, NOTE_KERNEL_SEEN)
               : 0;
}
