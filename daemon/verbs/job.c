// SPDX-License-Identifier: Apache-2.0
/* Verbs about moves: check, migrate, job. A job lives in migrate/; here it is started, watched,
 * cancelled, shown. */
#include "base/clock.h"
#include "base/plain.h"
#include "base/size.h"
#include "daemon/jobs.h"
#include "daemon/kernel/watchdog.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How often a watcher hears of new numbers (its leaving is seen as soon), and of a new phase. */
#define TELL_NS 100000000ull
#define LOOK_NS 10000000ull
#define STREAMS_BEYOND 1000u /* far more than mig_check_options lets pass */
#define JOBS_LISTED 1000u /* unless --limit says more */

/* "off", "auto" or a percentage, with or without its sign. */
static int take_throttle(struct request *request, struct mig_options *options, struct vf_error *err)
{
    const char *text;
    char *end;
    unsigned long percent;

    if (request_text_or(request, "throttle", "auto", &text, err) != 0)
        return -1;
    if (strcmp(text, "auto") == 0)
        return 0;
    percent = strtoul(text, &end, 10);
    if (strcmp(text, "off") == 0) {
        options->throttle = 0;
    } else if (text[0] < '0' || text[0] > '9' || (strcmp(end, "%") != 0 && *end != '\0') ||
               percent == 0 || percent > VF_THROTTLE_MOST) {
        return vf_fail(err, VF_USAGE,
                       "--throttle %s: is no part of the time that a partition may stand" VF_REMEDY
                       "say off, auto or 1%% to %u%%",
                       VF_SHOWN(text), VF_THROTTLE_MOST);
    } else {
        options->throttle = (uint32_t)percent;
    }
    return 0;
}

/* "auto" or a number, as a text or as one. */
static int take_streams(struct request *request, struct mig_options *options, struct vf_error *err)
{
    const char *text;
    uint64_t streams;

    if (json_is_integer(json_object_get(request->args, "streams"))) {
        if (request_number(request, "streams", &streams, err) != 0)
            return -1;
        options->streams = streams > STREAMS_BEYOND ? STREAMS_BEYOND : (uint32_t)streams;
        return 0;
    }
    if (request_text_or(request, "streams", "auto", &text, err) != 0)
        return -1;
    if (strcmp(text, "auto") == 0) {
        options->streams = mig_streams_auto(options->bandwidth);
        return 0;
    }
    if (vf_number_parse(text, &streams) != 0 || streams > STREAMS_BEYOND)
        return vf_fail(err, VF_USAGE,
                       "--streams %s: is no number of streams" VF_REMEDY "say auto, or 1 to 8",
                       VF_SHOWN(text));
    options->streams = (uint32_t)streams;
    return 0;
}

static int take_options(struct request *request, struct mig_options *options, struct vf_error *err)
{
    const char *to;
    const char *verify;
    uint64_t max_blackout_ms;
    uint64_t max_time_s;

    mig_options_init(options);
    if (request_text(request, "to", &to, err) != 0 ||
        request_text_or(request, "verify", "delta", &verify, err) != 0 ||
        take_compress(request, &options->compress, err) != 0 ||
        request_number_or(request, "max_blackout_ms", options->max_blackout_ns / 1000000u,
                          &max_blackout_ms, err) != 0 ||
        request_number_or(request, "max_time_s", 0, &max_time_s, err) != 0 ||
        request_number_or(request, "bandwidth", 0, &options->bandwidth, err) != 0 ||
        take_streams(request, options, err) != 0 || take_throttle(request, options, err) != 0)
        return -1;
    if (strlen(to) >= sizeof options->to)
        return vf_fail(err, VF_USAGE, "--to %s: is longer than an address can be", VF_SHOWN(to));
    if (strcmp(verify, "delta") != 0 && strcmp(verify, "full") != 0)
        return vf_fail(err, VF_USAGE,
                       "--verify %s: is no way to verify" VF_REMEDY "say delta or full",
                       VF_SHOWN(verify));
    if (max_blackout_ms > UINT64_MAX / 1000000u || max_time_s > UINT64_MAX / 1000000000u)
        return vf_fail(err, VF_USAGE, "migrate: a number is beyond all sense; give smaller ones");
    memcpy(options->to, to, strlen(to) + 1);
    options->max_blackout_ns = max_blackout_ms * 1000000u;
    options->max_time_ns = max_time_s * 1000000000u;
    options->verify = strcmp(verify, "full") == 0 ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
    return 0;
}

/* Starts it. The partition must be here: else its name alone says nothing. */
static int start(struct request *request, bool dry_run, struct vf_partition_info *info,
                 struct mig_job **job, struct vf_error *err)
{
    struct mig_options options;

    if (take_options(request, &options, err) != 0 ||
        mig_check_options(request->daemon->mig, &options, err) != 0 ||
        find_partition(request, info, err) != 0 ||
        mig_check_peer(request->daemon->mig, options.to, err) != 0)
        return -1;
    options.dry_run = dry_run;
    return mig_source_start(request->daemon->mig, info->name, &options, job, err);
}

static json_t *progress_object(const struct mig_job *job, const struct mig_progress *progress)
{
    json_t *object = json_object();

    put_number(object, "job", mig_job_id(job));
    put_text(object, "phase", progress->phase);
    put_number(object, "round", progress->round);
    put_number(object, "sent_bytes", progress->sent_bytes);
    put_number(object, "done_bytes", progress->done_bytes);
    put_number(object, "left_bytes", progress->left_bytes);
    put_number(object, "rate_bytes_per_s", progress->rate_bytes_per_s);
    put_number(object, "dirty_bytes_per_s", progress->dirty_bytes_per_s);
    put_number(object, "predicted_blackout_ns", progress->predicted_blackout_ns);
    put_number(object, "max_blackout_ns", progress->max_blackout_ns);
    (void)json_object_set_new(object, "throttle", json_real((double)progress->throttle / 100.0));
    put_number(object, "eta_ns", progress->eta_ns);
    put_number(object, "elapsed_ns", progress->elapsed_ns);
    put_flag(object, "stands", progress->stands);
    put_number(object, "stood_ns", progress->stood_ns);
    put_text(object, "waits_for", progress->waits_for);
    return object;
}

/* Waits for a change worth telling: the phase or the round at once (to LOOK_NS), the numbers every
 * TELL_NS. True = over. */
static bool await_news(struct mig_job *job, const struct mig_progress *told, uint64_t told_ns,
                       struct mig_progress *now)
{
    for (;;) {
        bool over = mig_job_wait(job, vf_now_ns() + TELL_NS, told->change);

        mig_job_progress(job, now);
        if (over || now->round != told->round || strcmp(now->phase, told->phase) != 0 ||
            vf_now_ns() - told_ns >= TELL_NS)
            return over;
        /* Every frame is a change: whoever watches must not cost the move its processor. */
        if (mig_job_wait(job, vf_now_ns() + LOOK_NS, UINT64_MAX))
            return true;
    }
}

enum watched { WATCHED_END, WATCHED_LEFT, WATCHED_SILENT };

/* With the next sign of life this makes a word after 3 s. */
#define WORD_NS 2000000000ull

/* False when the client has left. Who follows a job sees all of it; whoever only wants its end
 * hears what that waits for. */
static bool tell_client(const struct request *request, const struct mig_job *job, bool follows,
                        const struct mig_progress *now, uint64_t waited_ns)
{
    if (follows)
        return request_progress(request, progress_object(job, now));
    if (waited_ns >= WORD_NS && now->waits_for[0] != '\0')
        pulse_waits(request->beat, now->waits_for);
    return true;
}

/*
 * Until the job's end, telling of its progress to who `follows` it; or until the client has left;
 * or, for who does not, until the kernel side or the driver that the job waits for hangs, with
 * *err. A daemon that ends cancels its jobs, so that it does not end a watch early.
 */
static enum watched watch(const struct request *request, struct mig_job *job, bool follows,
                          struct vf_error *err)
{
    const struct watchdog_waiter who = {.partition = mig_job_partition(job)};
    struct mig_progress told = {0};
    struct mig_progress now;
    const uint64_t begin = vf_now_ns();
    uint64_t told_ns = 0;

    while (!await_news(job, &told, told_ns, &now)) {
        bool news = now.change != told.change || now.waits_for[0] != '\0' || now.stands;

        if (news && !tell_client(request, job, follows, &now, vf_now_ns() - begin))
            return WATCHED_LEFT;
        told = now;
        told_ns = vf_now_ns();
        if (request_abandoned(request, 0) && !atomic_load(&request->daemon->stop))
            return WATCHED_LEFT;
        if (!follows && watchdog_patience_of(request->daemon, &who, vf_now_ns() - begin, err) != 0)
            return WATCHED_SILENT;
    }
    return WATCHED_END;
}

/* The job's object and, unless it ended well, why not. */
static int outcome(struct request *request, struct mig_job *job, struct vf_error *err)
{
    jobs_settle(request->daemon, job);
    request->result = jobs_report(request->daemon, job);
    return mig_job_result(job, err);
}

int verb_peer_show(struct request *request, struct vf_error *err)
{
    const char *address;

    return request_text(request, "address", &address, err) != 0
               ? -1
               : mig_ask_capacity(request->daemon->mig, address, &request->result, err);
}

int verb_migrate(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;
    char uuid[VF_UUID_TEXT];
    struct mig_job *job;

    if (start(request, false, &info, &job, err) != 0)
        return -1;
    jobs_began(request->daemon, job);
    request->result = jobs_report(request->daemon, job);
    /* The job has only just begun; who detaches wants to know at once. */
    vf_uuid_format(info.uuid, uuid);
    put_text(request->result, "uuid", uuid);
    mig_job_put(job);
    return 0;
}

/* A verdict must name a reason: some refusals come before both sides' values were put side
 * by side. */
static void add_missing_reason(json_t *verdict, const struct vf_error *err)
{
    json_t *reasons = json_object_get(verdict, "reasons");
    const char *remedy = vf_remedy(err);
    char what[sizeof err->text];
    json_t *reason;

    if (json_array_size(reasons) > 0)
        return;
    (void)snprintf(what, sizeof what, "%.*s", vf_bare_bytes(err), err->text);
    reason = json_object();
    put_text(reason, "field", "partition");
    put_text(reason, "source", what);
    put_text(reason, "target", "was not asked");
    put_text(reason, "remedy", remedy != NULL ? remedy : "");
    (void)json_array_append_new(reasons, reason);
}

int verb_check(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;
    enum watched watched;
    struct mig_job *job;
    int result;

    if (start(request, true, &info, &job, err) != 0)
        return -1;
    watched = watch(request, job, false, err);
    if (watched != WATCHED_END)
        (void)mig_job_cancel(job, NULL); /* nobody wants to know any more */
    if (watched == WATCHED_SILENT) {
        mig_job_put(job);
        return -1;
    }
    (void)mig_job_wait(job, UINT64_MAX, UINT64_MAX);
    jobs_settle(request->daemon, job);
    result = mig_job_result(job, err);
    if (result == 0 || err->code == VF_INCOMPATIBLE || err->code == VF_REFUSED_NOW)
        request->result = mig_job_verdict(job);
    if (result != 0 && request->result != NULL)
        add_missing_reason(request->result, err);
    mig_job_put(job);
    return result;
}

/* A job that is listed, or the report of one that the history alone remembers. */
static int find_any(const struct request *request, struct mig_job **job, json_t **old,
                    struct vf_error *err)
{
    uint64_t id;

    if (request_number(request, "job", &id, err) != 0)
        return -1;
    *job = mig_job_get(request->daemon->mig, id);
    *old = *job == NULL ? jobs_old_report(request->daemon, id) : NULL;
    return *job != NULL || *old != NULL
               ? 0
               : vf_fail(err, VF_FAILED, "no job %" PRIu64 VF_REMEDY "see \"vferry job list\"", id);
}

/* One that something can be done with. */
static int find_job(const struct request *request, struct mig_job **job, struct vf_error *err)
{
    json_t *old;

    if (find_any(request, job, &old, err) != 0)
        return -1;
    if (*job != NULL)
        return 0;
    vf_fail(err, VF_FAILED, "job %" PRId64 ": is long over; nothing can be done with it",
            (int64_t)json_integer_value(json_object_get(old, "job")));
    json_decref(old);
    return -1;
}

static bool is_kind(const char *kind)
{
    static const char *const kinds[] = {"move", "check", "save", "restore"};
    bool found = false;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        found = found || strcmp(kind, kinds[i]) == 0;
    return found;
}

int verb_job_list(struct request *request, struct vf_error *err)
{
    struct history_filter filter;

    if (request_filter(request, JOBS_LISTED, &filter, err) != 0)
        return -1;
    if (filter.kind != NULL && !is_kind(filter.kind))
        return vf_fail(err, VF_USAGE, "--kind %s: a job is a move, check, save or restore",
                       VF_SHOWN(filter.kind));
    history_sync(request->daemon->history);
    request->result = new_result("vferry.jobs/1");
    (void)json_object_set_new(request->result, "jobs", jobs_list(request->daemon, &filter));
    return 0;
}

int verb_job_show(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    json_t *old;

    if (find_any(request, &job, &old, err) != 0)
        return -1;
    history_sync(request->daemon->history);
    request->result = job != NULL ? jobs_report(request->daemon, job) : old;
    mig_job_put(job);
    return 0;
}

/* How a job ended that is not listed any more. */
static int old_outcome(const json_t *report, struct vf_error *err)
{
    const char *status = json_string_value(json_object_get(report, "status"));
    const char *reason = json_string_value(json_object_get(report, "reason"));

    if (status != NULL && strcmp(status, "completed") == 0)
        return 0;
    return vf_fail(err,
                   status != NULL && strcmp(status, "cancelled") == 0 ? VF_CANCELLED : VF_FAILED,
                   "%s", reason != NULL ? reason : "it failed");
}

int verb_job_watch(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    json_t *old;
    int result;

    if (find_any(request, &job, &old, err) != 0)
        return -1;
    if (job == NULL) {
        request->result = old;
        return old_outcome(old, err);
    }
    if (watch(request, job, true, err) == WATCHED_END)
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
    if (result == 0) {
        enum watched watched = watch(request, job, false, err);

        if (watched == WATCHED_LEFT)
            result = vf_fail(err, VF_FAILED, "job cancel: the client left");
        else if (watched == WATCHED_SILENT)
            result =
                vf_context(err, "job %" PRIu64 ": is called off, but not over", mig_job_id(job));
    }
    if (result == 0) {
        jobs_settle(request->daemon, job);
        request->result = jobs_report(request->daemon, job);
        /* Cancelled is what was asked for; anything else is not. */
        if (mig_job_result(job, err) != 0)
            result = err->code == VF_CANCELLED ? 0 : -1;
        else
            result = vf_fail(err, VF_FAILED,
                             "job %" PRIu64 ": had ended well before the cancel reached it",
                             mig_job_id(job));
    }
    mig_job_put(job);
    return result;
}

int verb_job_set(struct request *request, struct vf_error *err)
{
    uint64_t ms, seconds;
    struct mig_change change;
    struct mig_job *job;
    int result;

    mig_change_init(&change);
    if (request_number_or(request, "max_blackout_ms", MIG_AS_IT_IS, &ms, err) != 0 ||
        request_number_or(request, "max_time_s", MIG_AS_IT_IS, &seconds, err) != 0 ||
        request_number_or(request, "bandwidth", MIG_AS_IT_IS, &change.bandwidth, err) != 0)
        return -1;
    if ((ms != MIG_AS_IT_IS && ms > UINT64_MAX / 1000000u) ||
        (seconds != MIG_AS_IT_IS && seconds > UINT64_MAX / 1000000000u))
        return vf_fail(err, VF_USAGE, "job set: a number is beyond all sense; give smaller ones");
    if (ms != MIG_AS_IT_IS)
        change.max_blackout_ns = ms * 1000000u;
    if (seconds != MIG_AS_IT_IS)
        change.max_time_ns = seconds * 1000000000u;
    if (find_job(request, &job, err) != 0)
        return -1;
    result = mig_job_set(job, &change, err);
    if (result == 0) {
        request->result = mig_job_report(job);
        tell(request, "job", mig_job_id(job), "job %" PRIu64 " has new limits by \"job set\"",
             mig_job_id(job));
    }
    mig_job_put(job);
    return result;
}

int verb_job_resolve(struct request *request, struct vf_error *err)
{
    char warning[MIG_WARNING_BYTES];
    struct mig_job *job;
    bool source;
    bool target;
    int result;

    if (request_flag(request, "source_runs", &source, err) != 0 ||
        request_flag(request, "target_runs", &target, err) != 0)
        return -1;
    if (source == target)
        return vf_fail(err, VF_USAGE,
                       "job resolve: --source-runs or --target-runs is missing" VF_REMEDY
                       "say who runs the partition; "
                       "\"vferry job list\" tells what is known");
    if (find_job(request, &job, err) != 0)
        return -1;
    result = mig_job_resolve(job, source ? MIG_SOURCE : MIG_TARGET, warning, err);
    if (result == 0) {
        request->result = jobs_report(request->daemon, job);
        put_text(request->result, "warning", warning);
        tell(request, "job", mig_job_id(job), "job %" PRIu64 " was resolved: the %s runs it%s%s",
             mig_job_id(job), source ? "source" : "target", warning[0] != '\0' ? "; " : "",
             warning);
    }
    mig_job_put(job);
    return result;
}

int verb_job_forget(struct request *request, struct vf_error *err)
{
    char warning[MIG_WARNING_BYTES];
    struct mig_job *job;
    int result;

    if (find_job(request, &job, err) != 0)
        return -1;
    result = mig_job_forget(job, warning, err);
    if (result == 0) {
        request->result = jobs_report(request->daemon, job);
        put_text(request->result, "warning", warning);
        tell(request, "job", mig_job_id(job), "job %" PRIu64 " was forgotten: %s", mig_job_id(job),
             warning);
    }
    mig_job_put(job);
    return result;
}
