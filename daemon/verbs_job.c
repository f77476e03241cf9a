// SPDX-License-Identifier: Apache-2.0
/* Verbs about moves: check, migrate, job. A job lives in migrate/; here it is started, watched, cancelled, shown. */
#include "base/size.h"
#include "daemon/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_NS 100000000ull /* how often a watcher hears of changes, and how soon its leaving is seen */

static int take_options(struct request *request, struct mig_options *options, struct vf_error *err)
{
    const char *to;
    const char *verify;
    const char *compress;
    uint64_t max_blackout_ms;
    uint64_t max_time_s;
    uint64_t streams;

    mig_options_init(options);
    if (request_text(request, "to", &to, err) != 0 || request_text_or(request, "verify", "delta", &verify, err) != 0 ||
        request_text_or(request, "compress", "none", &compress, err) != 0 ||
        request_number_or(request, "max_blackout_ms", options->max_blackout_ns / 1000000u, &max_blackout_ms, err) != 0 ||
        request_number_or(request, "max_time_s", 0, &max_time_s, err) != 0 ||
        request_number_or(request, "bandwidth", 0, &options->bandwidth, err) != 0 ||
        request_number_or(request, "streams", options->streams, &streams, err) != 0)
        return -1;
    if (strlen(to) >= sizeof options->to)
        return vf_fail(err, VF_USAGE, "--to %.40s...: is longer than an address can be", to);
    if (strcmp(verify, "delta") != 0 && strcmp(verify, "full") != 0)
        return vf_fail(err, VF_USAGE, "--verify %.40s: is neither delta nor full", verify);
    if (strcmp(compress, "none") != 0)
        return vf_fail(err, VF_USAGE, "not built yet: --compress %.20s; leave it out or say none", compress);
    if (max_blackout_ms > UINT64_MAX / 1000000u || max_time_s > UINT64_MAX / 1000000000u || streams > UINT32_MAX)
        return vf_fail(err, VF_USAGE, "migrate: a number is beyond all sense; give smaller ones");
    memcpy(options->to, to, strlen(to) + 1);
    options->max_blackout_ns = max_blackout_ms * 1000000u;
    options->max_time_ns = max_time_s * 1000000000u;
    options->streams = (uint32_t)streams;
    options->verify = strcmp(verify, "full") == 0 ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
    return 0;
}

/* Starts it. The partition must be here: else its name alone says nothing. */
static int start(struct request *request, bool dry_run, struct mig_job **job, struct vf_error *err)
{
    struct vf_partition_info info;
    struct mig_options options;

    if (take_options(request, &options, err) != 0 || find_partition(request, &info, err) != 0)
        return -1;
    options.dry_run = dry_run;
    return mig_source_start(request->daemon->mig, info.name, &options, job, err);
}

static json_t *progress_object(struct mig_job *job, const struct mig_progress *p)
{
    return json_pack("{s:o, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job", json_number(mig_job_id(job)), "phase", p->phase,
                     "round", (int)p->round, "sent_bytes", json_number(p->sent_bytes), "left_bytes", json_number(p->left_bytes),
                     "rate_bytes_per_s", json_number(p->rate_bytes_per_s), "dirty_bytes_per_s", json_number(p->dirty_bytes_per_s),
                     "predicted_blackout_ns", json_number(p->predicted_blackout_ns), "max_blackout_ns", json_number(p->max_blackout_ns),
                     "eta_ns", json_number(p->eta_ns), "elapsed_ns", json_number(p->elapsed_ns));
}

/*
 * Until the job's end, telling of its progress. False: the client has left. A daemon that ends cancels its jobs, so that it
 * does not end a watch early.
 */
static bool watch(const struct request *request, struct mig_job *job)
{
    struct mig_progress progress;
    uint64_t told = UINT64_MAX;

    for (;;) {
        bool over = mig_job_wait(job, vf_now_ns() + PROGRESS_NS, UINT64_MAX);

        mig_job_progress(job, &progress);
        if (progress.change != told && !request_progress(request, progress_object(job, &progress)))
            return false;
        told = progress.change;
        if (over)
            return true;
        if (request_abandoned(request, 0) && !atomic_load(&request->daemon->stop))
            return false;
    }
}

/* The job's object and, unless it ended well, why not. */
static int outcome(struct request *request, struct mig_job *job, struct vf_error *err)
{
    request->result = mig_job_report(job);
    return mig_job_result(job, err);
}

int verb_migrate(struct request *request, struct vf_error *err)
{
    struct mig_job *job;

    if (start(request, false, &job, err) != 0)
        return -1;
    request->result = mig_job_report(job);
    mig_job_put(job);
    return 0;
}

/* A verdict must name a reason: some refusals come before both sides' values were put side by side. */
static void add_missing_reason(json_t *verdict, const struct vf_error *err)
{
    json_t *reasons = json_object_get(verdict, "reasons");

    if (json_array_size(reasons) == 0)
        (void)json_array_append_new(reasons, json_pack("{s:s, s:o, s:s, s:s}", "field", "partition", "source", json_text(err->text), "target",
                                                       "", "remedy", ""));
}

int verb_check(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    int result;

    if (start(request, true, &job, err) != 0)
        return -1;
    if (!watch(request, job))
        (void)mig_job_cancel(job, NULL); /* nobody wants to know any more */
    (void)mig_job_wait(job, UINT64_MAX, UINT64_MAX);
    result = mig_job_result(job, err);
    if (result == 0 || err->code == VF_INCOMPATIBLE)
        request->result = mig_job_verdict(job);
    if (result != 0 && request->result != NULL)
        add_missing_reason(request->result, err);
    mig_job_put(job);
    return result;
}

static int find_job(const struct request *request, struct mig_job **job, struct vf_error *err)
{
    uint64_t id;

    if (request_number(request, "job", &id, err) != 0)
        return -1;
    *job = mig_job_get(request->daemon->mig, id);
    return *job != NULL ? 0 : vf_fail(err, VF_FAILED, "no job %" PRIu64 "; see \"vferry job list\"", id);
}

int verb_job_list(struct request *request, struct vf_error *err)
{
    request->result = json_pack("{s:s, s:o}", "schema", "vferry.jobs/1", "jobs", mig_jobs(request->daemon->mig));
    return request->result != NULL ? 0 : vf_fail(err, VF_FAILED, "job list: out of memory");
}

int verb_job_show(struct request *request, struct vf_error *err)
{
    struct mig_job *job;

    if (find_job(request, &job, err) != 0)
        return -1;
    request->result = mig_job_report(job);
    mig_job_put(job);
    return 0;
}

int verb_job_watch(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    int result;

    if (find_job(request, &job, err) != 0)
        return -1;
    if (watch(request, job))
        result = outcome(request, job, err);
    else
        result = vf_fail(err, VF_FAILED, "job watch: the client left");
    mig_job_put(job);
    return result;
}

/* Returns once it has ended, so that who cancels knows what became of it. */
int verb_job_cancel(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    int result;

    if (find_job(request, &job, err) != 0)
        return -1;
    result = mig_job_cancel(job, err);
    if (result == 0 && !watch(request, job))
        result = vf_fail(err, VF_FAILED, "job cancel: the client left");
    if (result == 0) {
        request->result = mig_job_report(job);
        /* Cancelled is what was asked for; anything else is not. */
        if (mig_job_result(job, err) != 0)
            result = err->code == VF_CANCELLED ? 0 : -1;
        else
            result = vf_fail(err, VF_FAILED, "job %" PRIu64 ": had ended well before the cancel reached it", mig_job_id(job));
    }
    mig_job_put(job);
    return result;
}
