// SPDX-License-Identifier: Apache-2.0
/* See job.h. */
#include "daemon/history/job.h"

#include "migrate/migrate.h"

#include <string.h>

uint64_t history_job_id(const json_t *report)
{
    json_int_t id = json_integer_value(json_object_get(report, "job"));

    return id < 0 ? 0 : (uint64_t)id;
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *value = json_object_get(a, key);

    return value != NULL && json_equal(value, json_object_get(b, key));
}

static bool is(const json_t *report, const char *key, const char *word)
{
    const char *value = json_string_value(json_object_get(report, key));

    return value != NULL && strcmp(value, word) == 0;
}

/* As which job it goes on is news: what is kept was written before. */
static bool started_over(const json_t *journal)
{
    return json_is_integer(json_object_get(journal, "started_over_as"));
}

json_t *history_job_merge(json_t *journal, json_t *kept)
{
    /* How it ended, and since when that is known. (What it owes only the journal knows.) */
    static const char *const words[] = {"status", "phase", "reason", "ended_unix_ns",
                                        "started_over_as"};
    json_t *merged;

    if (kept == NULL || !same(journal, kept, "job") || !same(journal, kept, "uuid") ||
        !same(journal, kept, "direction") || !same(journal, kept, "kind"))
        return json_incref(journal);
    merged = json_copy(kept);
    (void)json_object_set(merged, "owes", json_object_get(journal, "owes"));
    if (same(journal, kept, "status") && !is(kept, "status", "unknown") && !started_over(journal))
        return merged;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        (void)json_object_set(merged, words[i], json_object_get(journal, words[i]));
    return merged;
}

/* 100 of a completed job's; what did not complete, and a check, have none. */
static json_t *percent(const json_t *report)
{
    return is(report, "status", "completed") && !is(report, "kind", "check") ? json_integer(100)
                                                                             : json_null();
}

json_t *history_job_short(const json_t *report)
{
    static const char *const keys[] = {
        "job",     "partition", "uuid",         "epoch", "status",          "reason",
        "warning", "kind",      "direction",    "phase", "started_unix_ns", "ended_unix_ns",
        "source",  "target",    "peer_identity"};
    /* How a job goes: of those that are over nothing. */
    static const char *const paces[] = {"rate_bytes_per_s", "dirty_bytes_per_s", "eta_ns"};
    json_t *object = json_object();

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(report, keys[i]);

        (void)json_object_set_new(object, keys[i],
                                  value != NULL ? json_incref(value) : json_null());
    }
    (void)json_object_set_new(object, "percent", percent(report));
    for (size_t i = 0; i < sizeof paces / sizeof *paces; i++)
        (void)json_object_set_new(object, paces[i], json_null());
    return object;
}
