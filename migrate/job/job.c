// SPDX-License-Identifier: Apache-2.0
/* Jobs: states, the first error, progress for whoever watches. */
#define LOG_ROOM "migrate"
#include "migrate/job/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/trace.h"
#include "migrate/mig.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below this a rate says more about buffers than about the link. */
#define MEANINGFUL_NS 200000000ull

static const char *const state_names[JOB_STATES] = {
    [JOB_CONNECT] = "connect",     [JOB_ADMIT] = "admit",         [JOB_ROUNDS] = "rounds",
    [JOB_PAUSED] = "paused",       [JOB_STATE] = "state",         [JOB_PREPARED] = "prepared",
    [JOB_COMMITTED] = "committed", [JOB_COMPLETED] = "completed", [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled", [JOB_UNKNOWN] = "unknown",
};

/* UNKNOWN, wherever the core has not said how it ended. */
#define ENDS_BEFORE_COMMIT (VF_ARC(JOB_FAILED) | VF_ARC(JOB_CANCELLED) | VF_ARC(JOB_UNKNOWN))

static const uint64_t state_arcs[JOB_STATES] = {
    [JOB_CONNECT] =
        VF_ARC(JOB_ADMIT) | ENDS_BEFORE_COMMIT | VF_ARC(JOB_COMPLETED), /* also: recovered */
    [JOB_ADMIT] = VF_ARC(JOB_ROUNDS) | VF_ARC(JOB_COMPLETED) | ENDS_BEFORE_COMMIT,
    [JOB_ROUNDS] = VF_ARC(JOB_PAUSED) | ENDS_BEFORE_COMMIT,
    [JOB_PAUSED] = VF_ARC(JOB_STATE) | ENDS_BEFORE_COMMIT,
    [JOB_STATE] = VF_ARC(JOB_PREPARED) | ENDS_BEFORE_COMMIT,
    [JOB_PREPARED] = VF_ARC(JOB_COMMITTED) | ENDS_BEFORE_COMMIT,
    /* FAILED: the target showed that it never ran there. */
    [JOB_COMMITTED] = VF_ARC(JOB_COMPLETED) | VF_ARC(JOB_UNKNOWN) | VF_ARC(JOB_FAILED),
    [JOB_UNKNOWN] = VF_ARC(JOB_COMPLETED) | VF_ARC(JOB_FAILED),
};

static const struct vf_fsm_table job_table = {"job", state_names, state_arcs, JOB_STATES};

struct mig_job *job_new(struct mig *mig, uint64_t id, const uint8_t uuid[16], enum mig_side side)
{
    struct mig_job *job = calloc(1, sizeof *job);
    char name[32];

    if (job == NULL)
        return NULL;
    job->mig = mig;
    job->id = id;
    job->side = side;
    memcpy(job->host_name, mig->host_name, sizeof job->host_name);
    memcpy(job->uuid, uuid, sizeof job->uuid);
    (void)snprintf(name, sizeof name, "%" PRIu64, id);
    vf_fsm_init(&job->fsm, &job_table, name, JOB_CONNECT);
    atomic_init(&job->point, JOB_OPEN);
    atomic_init(&job->refs, 1u);
    vf_lock_init(&job->lock);
    vf_cond_init(&job->changed);
    (void)snprintf(job->phase, sizeof job->phase, "connect");
    job->t.start = vf_now_ns();
    job->t.started_unix = vf_realtime_ns();
    return job;
}

void mig_job_put(struct mig_job *job)
{
    if (job == NULL || atomic_fetch_sub(&job->refs, 1u) != 1u)
        return;
    vf_cond_fini(&job->changed);
    vf_lock_fini(&job->lock);
    free(job);
}

uint64_t mig_job_id(const struct mig_job *job)
{
    return job->id;
}

const char *mig_job_partition(const struct mig_job *job)
{
    return job->partition;
}

bool job_with_file(const struct mig_job *job)
{
    return job->operation != JOURNAL_MOVE;
}

bool job_has_token(struct mig_job *job)
{
    static const uint8_t none[sizeof job->token];

    return vf_locked(&job->lock, memcmp(job->token, none, sizeof none) != 0);
}

bool job_unsure(struct mig_job *job)
{
    return vf_locked(&job->lock, job->journal == JOB_UNSURE);
}

bool job_in_journal(struct mig_job *job)
{
    return vf_locked(&job->lock, job->journal != JOB_UNRECORDED);
}

const char *job_kind(const struct mig_job *job)
{
    switch (job->operation) {
    case JOURNAL_SAVE:
        return "save";
    case JOURNAL_RESTORE:
        return "restore";
    case JOURNAL_MOVE:
    case JOURNAL_OPERATIONS:
        break;
    }
    return job->options.dry_run ? "check" : "move";
}

void job_enter(struct mig_job *job, enum job_state state, const char *phase)
{
    job_update(job, {
        if ((enum job_state)vf_fsm_get(&job->fsm) != state)
            (void)vf_fsm_set(&job->fsm, state, phase);
        (void)snprintf(job->phase, sizeof job->phase, "%s", phase);
    });
    vf_trace(job_phase, job->id, job->side == MIG_SOURCE, job->partition, phase);
}

void job_set_partition(struct mig_job *job, const uint8_t uuid[VF_UUID_BYTES], uint64_t epoch,
                       uint64_t vram_bytes, uint64_t page_bytes)
{
    job_update(job, {
        memcpy(job->partition_uuid, uuid, sizeof job->partition_uuid);
        job->epoch = epoch;
        job->vram_bytes = vram_bytes;
        job->page_bytes = page_bytes;
    });
}

void job_judged(struct mig_job *job, const struct vf_reasons *reasons)
{
    job_update(job, {
        job->reasons = *reasons;
        job->judged = true;
    });
}

void job_recorded(struct mig_job *job, const struct journal_record *record)
{
    vf_lock(&job->lock);
    if (job->journal == JOB_UNRECORDED)
        job->journal = JOB_RECORDED;
    job->last_kind = record->kind;
    job->last_runs = record->runs;
    job->restart = record->restart;
    job->last_ns = record->time_ns;
    job->called_off = record->cancelled;
    memcpy(job->last_text, record->text, sizeof job->last_text);
    memcpy(job->token, record->token, sizeof job->token);
    job->owes = record->owed;
    vf_unlock(&job->lock);
}

int job_fail(struct mig_job *job, const struct vf_error *err)
{
    bool first;

    vf_lock(&job->lock);
    first = job->error.code == VF_OK;
    if (first) {
        job->error = *err;
        /* Unreachable is for who cannot reach the daemon, and it is the daemon that tells of its
         * kernel side. */
        if (job->error.code == VF_OK || job->error.code == VF_UNREACHABLE)
            job->error.code = VF_FAILED;
    }
    vf_unlock(&job->lock);
    if (!first)
        log_debug("job %" PRIu64 ": also: %s", job->id, err->text);
    return -1;
}

/* Under job->lock. An outcome that is not known has no time of its end. */
static void tell_over(const struct mig_job *job, const char *state)
{
    const bool failed = job->error.code != VF_OK;

    mig_event(job->mig, job->id, job->t.ended_unix != 0 ? job->t.ended_unix : vf_realtime_ns(),
              "job %" PRIu64 " (%s of %s, peer %s): %s%s%s", job->id,
              job->side == MIG_SOURCE || strcmp(job_kind(job), "move") != 0 ? job_kind(job)
                                                                            : "arrival",
              job->partition, job->peer, state, failed ? ": " : "", failed ? job->error.text : "");
}

void job_over(struct mig_job *job, enum job_state state)
{
    if (state != JOB_UNKNOWN)
        stand_ends(job);
    job_update(job, {
        /* An end that the table does not have is a bug, for which nobody waits for ever. */
        if (!vf_fsm_set(&job->fsm, state, state_names[state]))
            (void)vf_fsm_set(&job->fsm, JOB_UNKNOWN, state_names[state]);
        (void)snprintf(job->phase, sizeof job->phase, "%s", state_names[state]);
        job->t.end = vf_now_ns();
        /* An unknown outcome has not ended: it does when it is settled. */
        job->t.ended_unix = state == JOB_UNKNOWN ? 0 : vf_realtime_ns();
        /* With the end: whoever hears of one finds the other. */
        tell_over(job, state_names[state]);
    });
    mig_tell_ended(job);
}

void job_outcome_known(struct mig_job *job, enum job_state state, const struct vf_error *err)
{
    stand_ends(job);
    job_update(job, {
        (void)vf_fsm_set(&job->fsm, state, "settled");
        (void)snprintf(job->phase, sizeof job->phase, "%s", state_names[state]);
        job->t.ended_unix = vf_realtime_ns();
        if (state == JOB_COMPLETED)
            job->error = (struct vf_error)VF_ERROR_INIT;
        else
            job->error = *err;
        mig_event(job->mig, job->id, job->t.ended_unix,
                  "job %" PRIu64 " (partition %s, peer %s): is settled: %s%s%s", job->id,
                  job->partition, job->peer, state_names[state], state == JOB_FAILED ? ": " : "",
                  state == JOB_FAILED ? err->text : "");
    });
    mig_tell_ended(job);
}

bool job_claim(struct mig_job *job, uint64_t deadline_ns)
{
    bool mine;

    vf_lock(&job->lock);
    while (job->claimed && vf_cond_wait_until(&job->changed, &job->lock, deadline_ns))
        continue;
    mine = !job->claimed;
    job->claimed = true;
    vf_unlock(&job->lock);
    return mine;
}

void job_unclaim(struct mig_job *job)
{
    job_update(job, job->claimed = false);
}

bool job_cancel_asked(struct mig_job *job)
{
    int point = atomic_load(&job->point);

    return point == JOB_CANCEL_ASKED || point == JOB_INTERRUPTED;
}

bool job_interrupted(const struct mig_job *job)
{
    return atomic_load(&job->point) == JOB_INTERRUPTED;
}

bool job_begin_commit(struct mig_job *job)
{
    int open = JOB_OPEN;

    return atomic_compare_exchange_strong(&job->point, &open, JOB_COMMIT_BEGUN);
}

bool job_commit_begun(const struct mig_job *job)
{
    return atomic_load(&job->point) == JOB_COMMIT_BEGUN;
}

/* Where a partition that left can be sent back to, as far as this host knows its own address. */
static const char *way_back(const struct mig *mig)
{
    const bool any =
        strncmp(mig->listen, "0.0.0.0:", 8) == 0 || strncmp(mig->listen, "[::]:", 5) == 0;

    return mig->listen[0] == '\0' || any ? "HOST:PORT" : mig->listen;
}

static int fail_too_late(const struct mig_job *job, struct vf_error *err)
{
    uint64_t id = job->id;
    const char *peer = job->peer_name[0] != '\0' ? job->peer_name : job->peer;

    if (job_with_file(job))
        return vf_fail(err, VF_FAILED,
                       "job %" PRIu64 ": has committed" VF_REMEDY "wait for its end", id);
    if (job->side == MIG_SOURCE)
        return vf_fail(err, VF_FAILED,
                       "job %" PRIu64 ": has committed, the partition is host %s's now" VF_REMEDY
                       "move it back from there: \"vferry migrate %s --to %s\"",
                       id, peer, job->partition, way_back(job->mig));
    if (vf_fsm_get(&job->fsm) >= JOB_COMMITTED)
        return vf_fail(err, VF_FAILED,
                       "job %" PRIu64 ": has committed, the partition is this host's now" VF_REMEDY
                       "move it back: \"vferry migrate %s --to %s\"",
                       id, job->partition, job->peer);
    return vf_fail(err, VF_FAILED,
                   "job %" PRIu64 ": is prepared, only its source can call it off" VF_REMEDY
                   "cancel it at host %s, whose \"vferry job list\" has it",
                   id, peer);
}

static int call_off(struct mig_job *job, enum job_point why, struct vf_error *err)
{
    int open = JOB_OPEN;

    if (mig_job_wait(job, 0, UINT64_MAX))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 ": is over already; nothing to cancel",
                       job->id);
    if (!atomic_compare_exchange_strong(&job->point, &open, why) && open == JOB_COMMIT_BEGUN)
        return fail_too_late(job, err);
    vf_lock(&job->lock);
    if (job->wake != NULL)
        job->wake(job->wake_ctx);
    vf_cond_broadcast(&job->changed);
    vf_unlock(&job->lock);
    return 0;
}

int mig_job_cancel(struct mig_job *job, struct vf_error *err)
{
    return call_off(job, JOB_CANCEL_ASKED, err);
}

void job_interrupt(struct mig_job *job)
{
    (void)call_off(job, JOB_INTERRUPTED, NULL);
}

void job_leave(struct mig_job *job)
{
    job_update(job, {
        job->leaving = true;
        if (job->wake != NULL)
            job->wake(job->wake_ctx);
    });
}

bool job_leaving(struct mig_job *job)
{
    return vf_locked(&job->lock, job->leaving);
}

/* Under job->lock: until then, or until the daemon ends, or, if it may, until a cancel. */
static bool sleep_locked(struct mig_job *job, uint64_t until_ns, bool may_cancel)
{
    while (!job->leaving && !(may_cancel && job_cancel_asked(job)) &&
           vf_cond_wait_until(&job->changed, &job->lock, until_ns))
        continue;
    return !job->leaving && !(may_cancel && job_cancel_asked(job));
}

bool job_sleep(struct mig_job *job, uint64_t until_ns)
{
    return vf_locked(&job->lock, sleep_locked(job, until_ns, false));
}

bool job_doze(struct mig_job *job, uint64_t until_ns)
{
    return vf_locked(&job->lock, sleep_locked(job, until_ns, true));
}

void job_set_wake(struct mig_job *job, void (*wake)(void *ctx), void *ctx)
{
    vf_lock(&job->lock);
    job->wake = wake;
    job->wake_ctx = ctx;
    vf_unlock(&job->lock);
}

bool mig_job_wait(struct mig_job *job, uint64_t deadline_ns, uint64_t seen)
{
    bool over;

    vf_lock(&job->lock);
    while (!job_ended(job) && job->change <= seen &&
           vf_cond_wait_until(&job->changed, &job->lock, deadline_ns))
        continue;
    over = job_ended(job);
    vf_unlock(&job->lock);
    return over;
}

int mig_job_result(struct mig_job *job, struct vf_error *err)
{
    int result = 0;

    vf_lock(&job->lock);
    if (job_ended(job) && job->error.code != VF_OK) {
        if (err != NULL)
            *err = job->error;
        result = -1;
    }
    vf_unlock(&job->lock);
    return result;
}

enum mig_status job_status(const struct mig_job *job)
{
    switch (vf_fsm_get(&job->fsm)) {
    case JOB_COMPLETED:
        return MIG_COMPLETED;
    case JOB_FAILED:
        return MIG_FAILED;
    case JOB_CANCELLED:
        return MIG_CANCELLED;
    case JOB_UNKNOWN:
        return MIG_UNKNOWN;
    default:
        return MIG_RUNNING;
    }
}

void job_round_done(struct mig_job *job, const struct job_round *round)
{
    job_update(job, {
        /* A person who lets more rounds happen than the report holds still gets the sums of the
         * last one. */
        uint32_t at = job->round_count < MIG_MAX_ROUNDS ? job->round_count++ : MIG_MAX_ROUNDS - 1;

        job->rounds[at] = *round;
    });
}

/* Under job->lock. */
static void note_done(struct mig_job *job, uint64_t pages)
{
    uint64_t bytes = pages * job->page_bytes;

    job->left_bytes -= bytes < job->left_bytes ? bytes : job->left_bytes;
}

void job_known(struct mig_job *job, uint64_t pages)
{
    job_update(job, note_done(job, pages));
}

/* Under job->lock. */
static void note_frame(struct mig_job *job, uint64_t bytes, uint64_t pages)
{
    uint64_t now = vf_now_ns();

    if (job->t.first_frame == 0)
        job->t.first_frame = now;
    job->t.last_frame = now;
    job->bytes_sent += bytes;
    job->pages_sent += pages;
    note_done(job, pages);
}

void job_received(struct mig_job *job, uint32_t round, uint64_t bytes, uint64_t pages)
{
    job_update(job, {
        note_frame(job, bytes, pages);
        if (round < MIG_MAX_ROUNDS) {
            job->came[round].pages += pages;
            job->came[round].bytes += bytes;
        }
    });
}

void job_sent(struct mig_job *job, uint64_t bytes, uint64_t pages)
{
    send_slots_note_sent(&job->mig->send_slots);
    job_update(job, note_frame(job, bytes, pages));
}

/* Under job->lock: the first round is the longest, and no decision has measured anything before its
 * end. Its end is that of a file's only round, and says nothing of a move's: how fast pages get
 * dirty is not known yet. */
static void estimate_first_round(const struct mig_job *job, uint64_t now, struct mig_progress *out)
{
    uint64_t span = now - job->t.first_frame;

    if (job->rate != 0 || job->t.first_frame == 0 || span < MEANINGFUL_NS)
        return;
    out->rate_bytes_per_s = (uint64_t)((double)job->bytes_sent * 1e9 / (double)span);
    if (job->pages_sent != 0 && job_with_file(job))
        out->eta_ns = (uint64_t)((double)job->left_bytes * (double)span /
                                 ((double)job->pages_sent * (double)job->page_bytes));
}

void mig_job_progress(struct mig_job *job, struct mig_progress *out)
{
    uint64_t now = vf_now_ns();

    memset(out, 0, sizeof *out);
    vf_lock(&job->lock);
    out->change = job->change;
    out->status = job_status(job);
    memcpy(out->phase, job->phase, sizeof out->phase);
    out->round = job->round_count;
    out->sent_bytes = job->bytes_sent;
    out->done_bytes = job->pages_sent * job->page_bytes;
    out->left_bytes = job->left_bytes;
    out->rate_bytes_per_s = job->rate;
    out->dirty_bytes_per_s = job->dirty_rate;
    out->predicted_blackout_ns = job->predicted_ns;
    out->max_blackout_ns = job->options.max_blackout_ns;
    /* The estimate was made for the rounds; from the pause on the end is near. */
    if (vf_fsm_get(&job->fsm) == JOB_ROUNDS) {
        out->throttle = job->throttle;
        out->eta_ns = job->arrival_ns > now ? job->arrival_ns - now : 0;
        estimate_first_round(job, now, out);
    }
    out->stands = job->stand.since_ns != 0 && !job_ended(job);
    out->stood_ns = stand_ns(job);
    stand_line(job, now, out->waits_for, sizeof out->waits_for);
    out->elapsed_ns = (job_ended(job) ? job->t.end : now) - job->t.start;
    vf_unlock(&job->lock);
}
