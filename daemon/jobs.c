// SPDX-License-Identifier: Apache-2.0
/* See jobs.h. */
#include "daemon/jobs.h"

#include "daemon/history/job.h"

#include <string.h>

static const char *text_of(const json_t *report, const char *key)
{
    const char *text = json_string_value(json_object_get(report, key));

    return text != NULL ? text : "";
}

void jobs_ended(void *ctx, struct mig_job *job)
{
    struct daemon *daemon = ctx;
    json_t *report = mig_job_report(job);

    /* A stranger who never said what he brings is no job that anybody looks for. */
    if (text_of(report, "partition")[0] != '\0')
        history_add_job(daemon->history, report, mig_job_recalled(job));
    else
        json_decref(report);
}

void jobs_began(struct daemon *daemon, struct mig_job *job)
{
    jobs_ended(daemon, job);
    /* Its end may have been told while its beginning was written down: then that is the
     * last word. */
    if (mig_job_wait(job, 0, UINT64_MAX))
        jobs_ended(daemon, job);
    history_sync(daemon->history);
}

/* A report that is kept, of a job that nobody lists. One that was at work then has no record in the
 * journal: its daemon ended before it had changed anything, unless its end found no room in the
 * history and the journal has dropped it since. New reference. */
static json_t *told(json_t *report)
{
    const bool restores = strcmp(text_of(report, "kind"), "restore") == 0;
    json_t *ended;

    ended = json_copy(report);
    (void)json_object_set_new(ended, "owes", json_null()); /* what owes something is in the list */
    if (json_object_get(ended, "started_over_as") == NULL) /* kept by an older vferryd */
        (void)json_object_set_new(ended, "started_over_as", json_null());
    if (strcmp(text_of(report, "status"), "running") != 0)
        return ended;
    (void)json_object_set_new(ended, "status", json_string("failed"));
    (void)json_object_set_new(ended, "phase", json_string("failed"));
    (void)json_object_set_new(
        ended, "reason",
        json_sprintf("the journal has no record of it and its end was not kept: vferryd ended in "
                     "its first phase, when nothing %s yet; \"vferry partition list\" shows what "
                     "is here",
                     restores ? "had come" : "had changed"));
    return ended;
}

void jobs_recall(struct daemon *daemon)
{
    json_t *list = mig_jobs(daemon->mig);
    json_t *entry;
    size_t index;

    json_array_foreach(list, index, entry) {
        struct mig_job *job = mig_job_get(daemon->mig, history_job_id(entry));

        if (job != NULL && mig_job_recalled(job))
            jobs_ended(daemon, job);
        mig_job_put(job);
    }
    json_decref(list);
}

json_t *jobs_report(struct daemon *daemon, struct mig_job *job)
{
    json_t *report = mig_job_report(job);
    json_t *kept;
    json_t *merged;

    if (!mig_job_recalled(job))
        return report;
    kept = history_job(daemon->history, mig_job_id(job));
    merged = history_job_merge(report, kept);
    json_decref(kept);
    json_decref(report);
    return merged;
}

json_t *jobs_old_report(struct daemon *daemon, uint64_t id)
{
    json_t *kept, *report;

    history_sync(daemon->history);
    kept = history_job(daemon->history, id);
    report = kept != NULL ? told(kept) : NULL;
    json_decref(kept);
    return report;
}

void jobs_settle(struct daemon *daemon, struct mig_job *job)
{
    /* Its own thread may be on the way to say the same: once more is no harm. */
    jobs_ended(daemon, job);
    history_sync(daemon->history);
}

static bool fits(const json_t *entry, const struct history_filter *filter)
{
    const json_t *began = json_object_get(entry, "started_unix_ns");
    uint64_t at;

    if (!json_is_integer(began))
        began = json_object_get(entry, "ended_unix_ns");
    at = json_is_integer(began) ? (uint64_t)json_integer_value(began) : 0;
    return at >= filter->since_ns && at <= filter->until_ns &&
           (filter->partition == NULL ||
            strcmp(text_of(entry, "partition"), filter->partition) == 0) &&
           (filter->kind == NULL || strcmp(text_of(entry, "kind"), filter->kind) == 0);
}

/* What migrate/ lists, with what the history has of those that were recalled. */
static json_t *listed(struct daemon *daemon)
{
    json_t *list = mig_jobs(daemon->mig);
    json_t *entry;
    size_t index;

    json_array_foreach(list, index, entry) {
        struct mig_job *job = mig_job_get(daemon->mig, history_job_id(entry));

        if (job != NULL && mig_job_recalled(job)) {
            json_t *report = jobs_report(daemon, job);

            (void)json_array_set_new(list, index, history_job_short(report));
            json_decref(report);
        }
        mig_job_put(job);
    }
    return list;
}

/* Newest first, as all but a few come. */
static void insert(json_t *list, json_t *entry)
{
    size_t at = json_array_size(list);

    while (at > 0 && history_job_id(json_array_get(list, at - 1)) < history_job_id(entry))
        at--;
    (void)json_array_insert(list, at, entry);
}

static void insert_short(void *list, json_t *report)
{
    json_t *ended = told(report);
    json_t *entry = history_job_short(ended);

    insert(list, entry);
    json_decref(entry);
    json_decref(ended);
}

json_t *jobs_list(struct daemon *daemon, const struct history_filter *filter)
{
    json_t *known = listed(daemon);
    json_t *ids = json_array();
    json_t *list = json_array();
    json_t *entry;
    size_t index;

    json_array_foreach(known, index, entry) {
        (void)json_array_append(ids, json_object_get(entry, "job"));
        if (fits(entry, filter))
            insert(list, entry);
    }
    history_jobs(daemon->history, filter, ids, insert_short, list);
    while (json_array_size(list) > filter->limit)
        (void)json_array_remove(list, json_array_size(list) - 1);
    json_decref(known);
    json_decref(ids);
    return list;
}

json_t *jobs_of(struct daemon *daemon, const char *partition)
{
    json_t *list = mig_jobs(daemon->mig);
    json_t *ids = json_array();
    json_t *entry;
    size_t index;

    json_array_foreach(list, index, entry) {
        if (partition != NULL && strcmp(text_of(entry, "partition"), partition) == 0)
            (void)json_array_append(ids, json_object_get(entry, "job"));
    }
    json_decref(list);
    return ids;
}

bool jobs_moved_to(struct daemon *daemon, const char *partition, char *to, size_t to_bytes)
{
    int moved = mig_moved_to(daemon->mig, partition, to, to_bytes);

    return moved > 0 || (moved == 0 && history_moved_to(daemon->history, partition, to, to_bytes));
}
