// SPDX-License-Identifier: Apache-2.0
/* Jobs as JSON: the names are fixed by the project's outside (docs/json.md). Bytes and
 * nanoseconds, integers. */
#include "migrate/job/job.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "base/thread.h"
#include "migrate/mig.h"
#include "migrate/job/stand.h"
#include "migrate/handoff/redial.h"

#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {
    [MIG_RUNNING] = "running",     [MIG_COMPLETED] = "completed", [MIG_FAILED] = "failed",
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

static void put_known(json_t *object, const char *key, bool known, uint64_t value)
{
    (void)json_object_set_new(object, key, known ? number(value) : json_null());
}

/* Before a link was lost the source may have sent more than ever came: the target cannot know. */
static bool sent_known(const struct mig_job *job)
{
    return !job->recalled && (job->side == MIG_SOURCE || job->reconnects == 0);
}

static json_t *rounds(const struct mig_job *job)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < job->round_count; i++) {
        const struct job_round *round = &job->rounds[i];
        json_t *object = json_object();

        put_known(object, "pages", sent_known(job), round->pages);
        put_known(object, "bytes", sent_known(job), round->bytes);
        put(object, "dirty_pages", round->dirty_pages);
        /* From the announcement to the last ACK: the source's to measure. */
        put_known(object, "duration_ns", job->side == MIG_SOURCE || job_with_file(job),
                  round->duration_ns);
        (void)json_array_append_new(array, object);
    }
    return array;
}

/* Why the target refuses: both sides' values, one object a reason. Under job->lock. */
static json_t *reasons(const struct mig_job *job)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < job->reasons.count; i++) {
        const struct vf_reason *reason = &job->reasons.list[i];

        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o}", "field", vf_json_text(reason->field), "source",
                            vf_json_text(reason->source), "target", vf_json_text(reason->target),
                            "remedy", vf_json_text(reason->remedy)));
    }
    return list;
}

/* A mark within its neighbours: pieces between such marks are never negative and add up exactly. */
static uint64_t clamp(uint64_t mark, uint64_t low, uint64_t high)
{
    return mark < low ? low : mark > high ? high : mark;
}

static uint64_t blackout_ns(const struct mig_job *job)
{
    return between(job->t.last_run, job->t.first_run);
}

/* Only who saw the VF stop and start knows; a save that stops for good has none. */
static bool blackout_known(const struct mig_job *job)
{
    if (job->recalled)
        return false;
    if (job->side == MIG_SOURCE && job_with_file(job) && job_status(job) == MIG_COMPLETED)
        return true;
    return blackout_ns(job) != 0;
}

/* Consecutive pieces that add up to blackout_ns whatever was measured coarsely. Only the source has
 * all marks, and only of a move that came to its end. */
static json_t *blackout(const struct mig_job *job, bool known)
{
    static const char *const names[] = {"pause_ns",  "pages_ns",  "state_ns",
                                        "verify_ns", "commit_ns", "start_ns"};
    enum { MARKS = sizeof names / sizeof *names };
    const struct job_times *t = &job->t;
    uint64_t end = t->last_run + blackout_ns(job);
    uint64_t pages = clamp(t->pages, clamp(t->quiet, t->last_run, end), end);
    uint64_t ready = clamp(t->ready, pages, end);
    /* verify is measured as a share of pages..ready, here and there: put last, the rest is
     * the state's. */
    uint64_t verify = t->verify_ns < ready - pages ? t->verify_ns : ready - pages;
    const uint64_t marks[MARKS] = {t->quiet, t->pages, ready - verify, ready, t->resume, end};
    json_t *object = json_object();
    uint64_t at = t->last_run;

    for (size_t i = 0; i < MARKS; i++) {
        uint64_t next = clamp(marks[i], at, end);

        put_known(object, names[i], known, next - at);
        at = next;
    }
    return object;
}

static uint64_t average_rate(const struct mig_job *job)
{
    uint64_t span = between(job->t.first_frame, job->t.last_frame);

    return span == 0 ? 0 : (uint64_t)((double)job->bytes_sent * 1e9 / (double)span);
}

static void put_identity(json_t *object, const struct mig_job *job)
{
    /* Both are known once the job has looked at the partition; an epoch is never 0 then. */
    const bool known = job->epoch != 0;
    char uuid[VF_UUID_TEXT];

    vf_uuid_format(job->partition_uuid, uuid);
    put(object, "job", job->id);
    (void)json_object_set_new(object, "partition", json_string(job->partition));
    (void)json_object_set_new(object, "uuid", known ? json_string(uuid) : json_null());
    (void)json_object_set_new(object, "epoch",
                              known ? json_integer((json_int_t)job->epoch) : json_null());
    (void)json_object_set_new(object, "status", json_string(status_names[job_status(job)]));
    (void)json_object_set_new(object, "reason",
                              vf_json_text(job_ended(job) ? job->error.text : ""));
    (void)json_object_set_new(object, "warning", vf_json_text(job_ended(job) ? job->warning : ""));
    (void)json_object_set_new(object, "kind", json_string(job_kind(job)));
    (void)json_object_set_new(object, "direction",
                              json_string(job->side == MIG_SOURCE ? "out" : "in"));
    (void)json_object_set_new(object, "phase", json_string(job->phase));
    put_known(object, "started_unix_ns", job->t.started_unix != 0, job->t.started_unix);
    put_known(object, "ended_unix_ns", job->t.ended_unix != 0, job->t.ended_unix);
    (void)json_object_set_new(object, "source",
                              vf_json_text(job->side == MIG_SOURCE ? job->host_name : job->peer));
    (void)json_object_set_new(object, "target",
                              vf_json_text(job->side == MIG_SOURCE ? job->peer : job->host_name));
    (void)json_object_set_new(object, "peer_identity",
                              job->identity[0] != '\0' ? json_string(job->identity) : json_null());
}

/* Under job->lock: did the source ask what is dirty, after a round, and decide by it? */
static bool asked(const struct mig_job *job)
{
    return job->side == MIG_SOURCE && !job_with_file(job) && job->round_count > 0;
}

/* Under job->lock: what crossed. */
static void put_figures(json_t *object, const struct mig_job *job)
{
    /* The rate is 0 when there was no second frame to measure to. */
    uint64_t rate = average_rate(job);

    put_known(object, "vram_bytes", job->vram_bytes != 0, job->vram_bytes);
    put_known(object, "bytes_sent", sent_known(job), job->bytes_sent);
    put_known(object, "pages_sent", sent_known(job), job->pages_sent);
    put_known(object, "page_bytes", sent_known(job) && job->page_bytes != 0, job->page_bytes);
    (void)json_object_set_new(object, "rounds", job->recalled ? json_null() : rounds(job));
    put_known(object, "reconnects", !job->recalled, job->reconnects);
    put_known(object, "predicted_blackout_ns", job->predicted_ns != 0, job->predicted_ns);
    put_known(object, "rate_bytes_per_s", sent_known(job) && rate != 0, rate);
    put_known(object, "dirty_bytes_per_s", asked(job), job->dirty_rate);
    (void)json_object_set_new(
        object, "throttle_max",
        asked(job) ? json_real((double)job->throttle_max / 100.0) : json_null());
}

/* Under job->lock. */
static void put_times(json_t *object, const struct mig_job *job)
{
    uint64_t brownout = between(job->t.prepared, job->t.last_run);
    bool known = blackout_known(job);

    put_known(object, "total_ns", !job->recalled,
              between(job->t.start, job_ended(job) ? job->t.end : vf_now_ns()));
    put_known(object, "brownout_ns", brownout != 0, brownout);
    put_known(object, "blackout_ns", known, blackout_ns(job));
    (void)json_object_set_new(object, "blackout", blackout(job, known));
    /* A target does not know when the source let it run on. */
    put_known(object, "stood_ns", known || (job->side == MIG_SOURCE && stand_ns(job) != 0),
              known ? blackout_ns(job) : stand_ns(job));
    put_known(object, "throttled_ns", asked(job), job->t.throttled);
    (void)json_object_set_new(object, "blackout_clock",
                              job->recalled || job->side == MIG_TARGET
                                  ? json_null()
                                  : json_string(job->shared_clock ? "shared" : "bound"));
}

/* Under job->lock: as used. The journal does not tell. */
static void put_options(json_t *object, const struct mig_job *job)
{
    const char *verify = job->options.verify == MIG_VERIFY_FULL ? "full" : "delta";

    put_known(object, "streams", job->options.streams != 0, job->options.streams);
    put_known(object, "max_blackout_ns", job->options.max_blackout_ns != 0,
              job->options.max_blackout_ns);
    put_known(object, "max_time_ns", job->options.max_time_ns != 0, job->options.max_time_ns);
    put_known(object, "bandwidth_bytes_per_s", job->options.bandwidth != 0, job->options.bandwidth);
    (void)json_object_set_new(
        object, "compression",
        job->recalled || job->side == MIG_TARGET
            ? json_null()
            : json_string(pack_wish_name(job->packs_nothing ? PACK_NONE : job->options.compress)));
    (void)json_object_set_new(object, "verify", job->recalled ? json_null() : json_string(verify));
}

json_t *mig_job_report(struct mig_job *job)
{
    static const char *const words[] = {
        [SAY_ABORT] = "abort", [SAY_COMMIT] = "commit", [SAY_INQUIRE] = "inquire"};
    json_t *object = json_object();
    enum handoff_message word = mig_job_wait(job, 0, UINT64_MAX) ? redial_owed(job) : SAY_NOTHING;

    (void)json_object_set_new(object, "schema", json_string("vferry.job/1"));
    (void)json_object_set_new(object, "owes",
                              word != SAY_NOTHING ? json_string(words[word]) : json_null());
    vf_lock(&job->lock);
    put_identity(object, job);
    put_known(object, "started_over_as", job->started_over_as != 0, job->started_over_as);
    (void)json_object_set_new(object, "reasons", reasons(job));
    put_figures(object, job);
    put_times(object, job);
    put_options(object, job);
    (void)json_object_set_new(object, "digest", json_string(job->digest));
    vf_unlock(&job->lock);
    return object;
}

json_t *mig_job_verdict(struct mig_job *job)
{
    json_t *object;

    if (!job->options.dry_run)
        return NULL;
    object = json_object();
    (void)json_object_set_new(object, "schema", json_string("vferry.check/1"));
    vf_lock(&job->lock);
    (void)json_object_set_new(object, "partition", json_string(job->partition));
    (void)json_object_set_new(object, "target", vf_json_text(job->peer));
    (void)json_object_set_new(object, "compatible",
                              json_boolean(job->judged && job->reasons.count == 0));
    (void)json_object_set_new(object, "full_now", json_boolean(job->error.code == VF_REFUSED_NOW));
    (void)json_object_set_new(object, "reasons", reasons(job));
    vf_unlock(&job->lock);
    return object;
}

/* Under job->lock: of all that is known to have to cross; what gets dirty meanwhile comes on top.
 * Nothing crosses for a check. */
static void put_percent(json_t *object, const struct mig_job *job)
{
    bool completed = job_status(job) == MIG_COMPLETED;
    uint64_t done = job->pages_sent * job->page_bytes;
    uint64_t all = done + job->left_bytes;
    bool known = !job->options.dry_run && (completed || (!job_ended(job) && all != 0));

    put_known(object, "percent", known,
              completed || all == 0 ? 100 : (uint64_t)((double)done * 100.0 / (double)all));
}

/* How a job that is under way goes at the moment. */
static void put_pace(json_t *object, struct mig_job *job)
{
    struct mig_progress now;
    bool running;

    mig_job_progress(job, &now);
    running = now.status == MIG_RUNNING;
    put_known(object, "rate_bytes_per_s", running && now.rate_bytes_per_s != 0,
              now.rate_bytes_per_s);
    put_known(object, "dirty_bytes_per_s", running && now.predicted_blackout_ns != 0,
              now.dirty_bytes_per_s);
    put_known(object, "eta_ns", running && now.eta_ns != 0, now.eta_ns);
}

json_t *mig_jobs(struct mig *mig)
{
    json_t *array = json_array();

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        json_t *object = json_object();

        vf_lock(&job->lock);
        put_identity(object, job);
        put_percent(object, job);
        vf_unlock(&job->lock);
        put_pace(object, job);
        (void)json_array_append_new(array, object);
    }
    vf_unlock(&mig->lock);
    return array;
}
