// SPDX-License-Identifier: Apache-2.0
/* Jobs as JSON: the names are fixed by the project's outside (docs/json.md). Bytes and nanoseconds, integers. */
#include "migrate/job.h"

#include "base/size.h"
#include "migrate/mig.h"

#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {
    [MIG_RUNNING] = "running", [MIG_COMPLETED] = "completed", [MIG_FAILED] = "failed",
    [MIG_CANCELLED] = "cancelled", [MIG_UNKNOWN] = "unknown",
};

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static uint64_t between(uint64_t from, uint64_t to)
{
    return from != 0 && to > from ? to - from : 0;
}

static void put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, number(value));
}

static json_t *rounds(const struct mig_job *job)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < job->round_count; i++) {
        const struct job_round *round = &job->rounds[i];
        json_t *object = json_object();

        put(object, "pages", round->pages);
        put(object, "bytes", round->bytes);
        put(object, "dirty_pages", round->dirty_pages);
        put(object, "duration_ns", round->duration_ns);
        (void)json_array_append_new(array, object);
    }
    return array;
}

/* Consecutive pieces: they add up to blackout_ns whatever was measured coarsely. */
static json_t *blackout(const struct mig_job *job)
{
    const struct job_times *t = &job->t;
    json_t *object = json_object();
    uint64_t after_pages = between(t->pages, t->ready);
    uint64_t verify = t->verify_ns < after_pages ? t->verify_ns : after_pages;

    put(object, "pause_ns", between(t->last_run, t->quiet));
    put(object, "pages_ns", between(t->quiet, t->pages));
    put(object, "state_ns", after_pages - verify);
    put(object, "verify_ns", verify);
    put(object, "commit_ns", between(t->ready, t->resume));
    put(object, "start_ns", between(t->resume, t->first_run));
    return object;
}

/* Marks in rising order, so that the pieces have no negative ones. */
static uint64_t blackout_ns(const struct mig_job *job)
{
    return between(job->t.last_run, job->t.first_run);
}

static uint64_t average_rate(const struct mig_job *job)
{
    uint64_t span = between(job->t.first_frame, job->t.last_frame);

    return span == 0 ? 0 : (uint64_t)((double)job->bytes_sent * 1e9 / (double)span);
}

static void put_identity(json_t *object, const struct mig_job *job)
{
    char uuid[VF_UUID_TEXT];

    vf_uuid_format(job->partition_uuid, uuid);
    put(object, "job", job->id);
    (void)json_object_set_new(object, "partition", json_string(job->partition));
    (void)json_object_set_new(object, "uuid", json_string(uuid));
    put(object, "epoch", job->epoch);
    (void)json_object_set_new(object, "status", json_string(status_names[job->over ? job_status(job) : MIG_RUNNING]));
    (void)json_object_set_new(object, "reason", json_string(job->over ? job->error.text : ""));
    (void)json_object_set_new(object, "direction", json_string(job->source ? "out" : "in"));
    (void)json_object_set_new(object, "phase", json_string(job->phase));
    (void)json_object_set_new(object, "source", json_string(job->source ? job->mig->host_name : job->peer));
    (void)json_object_set_new(object, "target", json_string(job->source ? job->peer : job->mig->host_name));
}

json_t *mig_job_report(struct mig_job *job)
{
    json_t *object = json_object();

    (void)json_object_set_new(object, "schema", json_string("vferry.job/1"));
    (void)pthread_mutex_lock(&job->lock);
    put_identity(object, job);
    put(object, "vram_bytes", job->vram_bytes);
    put(object, "bytes_sent", job->bytes_sent);
    put(object, "pages_sent", job->pages_sent);
    (void)json_object_set_new(object, "rounds", rounds(job));
    put(object, "total_ns", between(job->t.start, job->over ? job->t.end : vf_now_ns()));
    put(object, "brownout_ns", between(job->t.prepared, job->t.last_run));
    put(object, "blackout_ns", blackout_ns(job));
    (void)json_object_set_new(object, "blackout", blackout(job));
    (void)json_object_set_new(object, "blackout_clock", json_string(job->shared_clock ? "shared" : "bound"));
    put(object, "predicted_blackout_ns", job->predicted_ns);
    put(object, "rate_bytes_per_s", average_rate(job));
    put(object, "dirty_bytes_per_s", job->dirty_rate);
    (void)json_object_set_new(object, "throttle_max", json_real(0.0)); /* the VF's slice is never throttled yet */
    put(object, "streams", job->options.streams);
    (void)json_object_set_new(object, "compression", json_string("none"));
    (void)json_object_set_new(object, "verify", json_string(job->options.verify == MIG_VERIFY_FULL ? "full" : "delta"));
    (void)json_object_set_new(object, "digest", json_string(job->digest));
    (void)pthread_mutex_unlock(&job->lock);
    return object;
}

json_t *mig_job_verdict(struct mig_job *job)
{
    json_t *object;
    json_t *list;

    if (!job->options.dry_run)
        return NULL;
    object = json_object();
    list = json_array();
    (void)json_object_set_new(object, "schema", json_string("vferry.check/1"));
    (void)pthread_mutex_lock(&job->lock);
    (void)json_object_set_new(object, "partition", json_string(job->partition));
    (void)json_object_set_new(object, "target", json_string(job->peer));
    (void)json_object_set_new(object, "compatible", json_boolean(job->judged && job->reasons.count == 0));
    for (uint32_t i = 0; i < job->reasons.count; i++) {
        const struct vf_reason *reason = &job->reasons.list[i];

        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "field", reason->field, "source", reason->source,
                                                    "target", reason->target, "remedy", reason->remedy));
    }
    (void)json_object_set_new(object, "reasons", list);
    (void)pthread_mutex_unlock(&job->lock);
    return object;
}

json_t *mig_jobs(struct mig *mig)
{
    json_t *array = json_array();

    (void)pthread_mutex_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        json_t *object = json_object();

        (void)pthread_mutex_lock(&job->lock);
        put_identity(object, job);
        (void)pthread_mutex_unlock(&job->lock);
        (void)json_array_append_new(array, object);
    }
    (void)pthread_mutex_unlock(&mig->lock);
    return array;
}
