// SPDX-License-Identifier: Apache-2.0
/*
 * What the hand-off's core asks of a target whose thread lives (handoff/shell.h), and how an
 * arrival that did not come about is told. The core decides whether the partition may start, must
 * stay or goes; this file does it, finds what really ended the move, and puts that into words.
 */
#define LOG_ROOM "migrate"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/copy.h"
#include "migrate/job/ending.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CLOSE_NS 5000000000ull

/* ---- in words ---- */

int target_cancelled(const struct target *t, struct vf_error *err)
{
    if (job_interrupted(t->job))
        return vf_fail(err, VF_FAILED, "the daemon of host %s is ending", t->job->mig->host_name);
    return vf_fail(err, VF_CANCELLED, "cancelled at host %s", t->job->mig->host_name);
}

/* What really ended it: a cancel, a stream, or what the peer says about a stream that broke. */
static void find_cause(struct target *t, struct vf_error *err)
{
    struct vf_error stream;
    enum target_streams state;

    vf_lock(&t->lock);
    state = vf_fsm_get(&t->streams);
    stream = t->stream_error;
    vf_unlock(&t->lock);
    if ((state == STREAMS_FAILED || state == STREAMS_LOST) && stream.code != VF_OK)
        *err = stream;
    /* Only then: a failure of our own must reach the source while its partition is paused. */
    if (state == STREAMS_LOST)
        (void)control_explain(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS, err);
    if (job_cancel_asked(t->job))
        target_cancelled(t, err);
}

static bool host_stopped(struct mig *mig)
{
    return vf_locked(&mig->lock, mig->stopping > 0);
}

/* It is this host's, or may be, and does not run. */
static void tell_unknown(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    char cause[sizeof err->text + ENDING_WHERE];

    (void)snprintf(cause, sizeof cause, "%s", err->text);
    if (job_unsure(job)) {
        ending_unsure(job, "in the hand-off, after COMMIT", err);
    } else if (job_committed(job)) {
        (void)vf_fail(err, VF_UNKNOWN,
                      "in the hand-off, after COMMIT: %.200s; partition %s is host %s's now and "
                      "could not be started" VF_REMEDY "restart vferryd there, which tries again",
                      cause, job->partition, job->host_name);
    } else if (host_stopped(job->mig)) {
        (void)vf_fail(err, VF_UNKNOWN,
                      "in the hand-off, before COMMIT: host %s was stopped by force; partition %s "
                      "never runs there" VF_REMEDY "host %s lets it go on once host %s is started "
                      "again and says so",
                      job->host_name, job->partition, ending_peer(job), job->host_name);
    } else {
        (void)snprintf(cause, sizeof cause, "the link to host %s was lost (%s)", ending_peer(job),
                       err->text);
        (void)ending_unknown(job, "in the hand-off, before COMMIT", cause, true, err);
    }
}

/* Once: why nothing of it stays here, t->why; and the source hears the cause. */
static void tell_end(struct target *t)
{
    char where[ENDING_WHERE];

    if (t->why.code != VF_OK)
        return;
    find_cause(t, &t->cause);
    t->why = t->cause; /* the source hears the bare one: it knows where the partition is */
    ending_tell(t->job, ending_there(t->job, where), &t->why);
    t->job->called_off = t->why.code == VF_CANCELLED;
    (void)job_fail(t->job, &t->why);
    control_abort(&t->control, &t->cause);
}

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    struct target *t = run->ctx;

    out[0] = '\0';
    if (record != RECORD_ABORTED)
        return;
    if (t->cause.code == VF_OK) /* PREPARED could not be written, or READY not be sent */
        t->cause = run->why;
    tell_end(t);
    (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", t->why.text);
}

/* ---- the acts ---- */

int target_start(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    uint64_t resume;
    int result;

    job_enter(job, JOB_COMMITTED, "commit");
    resume = vf_now_ns();
    stand_calls(job, "DxgkDdiSetVirtualFunctionPauseState");
    result = job->stays_paused ? kc_partition_pause(t->kc, t->partition.id, err)
                               : kc_partition_resume(t->kc, t->partition.id, err);
    if (result != 0)
        return -1;
    job_update(job, {
        job->t.resume = resume;
        job->t.first_run = vf_now_ns();
    });
    stand_calls(job, NULL);
    stand_ends(job);
    return 0;
}

static int start(struct handoff_run *run, struct vf_error *err)
{
    return target_start(run->ctx, err);
}

static int destroy(struct handoff_run *run, struct vf_error *err)
{
    struct target *t = run->ctx;
    struct vf_error also = VF_ERROR_INIT;

    if (t->cause.code == VF_OK)
        t->cause = run->why;
    tell_end(t);
    (void)target_stop_streams(t, &also);
    if (target_discard(t) == 0)
        return 0;
    return vf_fail(err, VF_FAILED, "the incoming partition stays behind at host %s",
                   t->job->host_name);
}

static int say_ready(struct target *t, struct vf_error *err)
{
    t->ready.ready.state_ns = vf_now_ns() - t->verified_ns;
    return control_say(&t->control, &t->ready, vf_now_ns() + t->job->mig->silence_ns, err);
}

int target_say_running(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    const struct wire_message message = handoff_running(job);

    return control_say(&t->control, &message, vf_now_ns() + job->mig->silence_ns, err);
}

/* The answer to an ABORT: the source need not come back for this one. One that took its COMMIT back
 * resumes on it: the journal says by now that it never runs here. */
static int say_gone(struct target *t, struct vf_error *err)
{
    const struct wire_message gone = {.tag = WIRE_CLOSE};

    return control_aborted(&t->control)
               ? control_say(&t->control, &gone, vf_now_ns() + CONTROL_EXPLAIN_NS, err)
               : 0;
}

/* The answer to DONE; nobody else hears it. */
static int say_ended(struct target *t, struct vf_error *err)
{
    struct wire_message message;

    if (!t->done_heard)
        return 0;
    message = handoff_ended(t->job, t->kc, t->partition.id);
    if (control_say(&t->control, &message, vf_now_ns() + CLOSE_NS, err) != 0)
        return -1;
    control_linger(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS);
    return 0;
}

static int send_handoff(struct handoff_run *run, enum handoff_message message, struct vf_error *err)
{
    struct target *t = run->ctx;

    switch (message) {
    case SAY_READY:
        return say_ready(t, err);
    case SAY_RUNNING:
        return target_say_running(t, err);
    case SAY_CLOSE:
        return say_gone(t, err);
    case SAY_ENDED:
        return say_ended(t, err);
    default: /* SAY_NOT_NOW: whoever does not hear it asks again */
        return 0;
    }
}

static void report(struct handoff_run *run, enum handoff_outcome outcome)
{
    struct target *t = run->ctx;

    switch (outcome) {
    case OUTCOME_COMPLETED:
        t->end = JOB_COMPLETED;
        break;
    case OUTCOME_FAILED:
        tell_end(t);
        t->end = t->why.code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
        break;
    case OUTCOME_UNKNOWN:
    case OUTCOME_CONTRADICTION:
    case HANDOFF_OUTCOMES:
        t->why = run->failed != HANDOFF_NOTHING ? run->why : t->cause;
        tell_unknown(t, &t->why);
        (void)job_fail(t->job, &t->why);
        t->end = JOB_UNKNOWN;
        break;
    }
}

int target_tell(struct target *t, enum handoff_event_kind kind, enum handoff_copy copy,
                struct vf_error *err)
{
    static const struct handoff_ops ops = {.text = text, .start = start, .destroy = destroy,
                                           .send = send_handoff, .report = report};
    struct handoff_run run;

    handoff_run_init(&run, t->job, t->kc, &ops, t);
    run.core.copy = copy;
    (void)handoff_tell(&run, kind);
    if (run.failed == HANDOFF_NOTHING)
        return 0;
    *err = run.why;
    return -1;
}

static enum handoff_copy copy_of(const struct target *t)
{
    if (t->partition.id == 0)
        return COPY_GONE;
    return job_commit_begun(t->job) ? COPY_PAUSED : COPY_PARTIAL;
}

void target_give_up(struct target *t, const struct vf_error *err)
{
    const bool journalled = job_in_journal(t->job);
    const bool called_off = journalled && control_aborted(&t->control);
    struct vf_error also = VF_ERROR_INIT;

    t->cause = *err;
    (void)target_tell(t, called_off ? EVENT_ABORT : EVENT_GIVES_UP, copy_of(t), &also);
    if (!journalled) /* nothing was promised, so nothing is asked of the core for it */
        (void)say_gone(t, &also);
    if (!job_state_ends(
            t->end)) { /* to a source that asks, it is not gone before it is: it asks again */
        tell_end(t);
        t->end = t->why.code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
    }
}
