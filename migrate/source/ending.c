// SPDX-License-Identifier: Apache-2.0
/*
 * What the hand-off's core asks of a source whose thread lives (handoff/shell.h), and how a move
 * that ends here is told. The core decides whether the partition may resume; this file brings it
 * back to work, finds what really ended the move, and puts that into words.
 */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/restart.h"
#include "migrate/job/ending.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RUNNING_NS                                                                                 \
    30000000000ull /* an unpause is quick; this only bounds how long an outcome stays open */

void source_unwatch(struct source *s)
{
    job_update(s->job, s->job->retune = NULL);
    job_set_wake(s->job, NULL, NULL);
    stand_set_note(s->job, NULL, NULL);
}

/* Back to "never happened" (SRC-7): the VF runs again before anybody is told. */
int source_bring_back(struct source *s, struct vf_error *why)
{
    stream_group_abort(&s->group);
    return s->prepared ? partition_out_run_on(s->job, s->kc, &s->partition, s->paused, why) : 0;
}

/* ---- in words ---- */

/* What really ended it: a cancel, or what the link says about streams that broke, were
 * refused or were stopped with it. Any other error is the cause itself, also when the link has
 * ended since. */
static void find_cause(struct source *s, bool again, struct vf_error *err)
{
    struct vf_error lost;

    if (job_cancel_asked(s->job))
        (void)ending_called_off(s->job, again, err);
    else if (s->linked && stream_group_refused(&s->group))
        (void)control_explain(&s->control, vf_now_ns() + s->job->mig->silence_ns, err);
    else if (s->linked && (stream_group_lost(&s->group) ||
                           (err->code == VF_CANCELLED && control_ended(&s->control))))
        (void)control_explain(&s->control, vf_now_ns() + CONTROL_EXPLAIN_NS, err);
    if (s->linked && control_lost(&s->control) && control_explain(&s->control, 0, &lost) &&
        strcmp(lost.text, err->text) == 0)
        vf_context(err, "the link was lost");
}

/* Both builds could have gone on, were one not so old: that can be helped. */
static void tell_too_old(const struct source *s, struct vf_error *err)
{
    struct vf_error cause = *err;

    vf_fail(err, cause.code,
            "%.300s; host %s speaks version %u of the migration protocol, which cannot go on over "
            "a new link" VF_REMEDY "move it again, or update vferry there first",
            cause.text, s->peer.host_name, (unsigned)s->version);
}

/* s->cause, the bare cause, and s->why, the whole: once the partition is back at work, or was not
 * brought there. `again`: the next daemon starts the move over. */
static void tell_end(struct source *s, bool again)
{
    char where[ENDING_WHERE] = "";

    find_cause(s, again, &s->cause);
    if (s->too_old && s->cause.code == VF_FAILED)
        tell_too_old(s, &s->cause);
    /* The target hears the bare one: it knows for itself what that means there. */
    s->why = s->cause;
    if (s->found)
        ending_tell(s->job, ending_here(s->job, s->kc, s->partition.id, where), &s->why);
    if (s->stands.code == VF_STANDS)
        copy_stands(&s->why, &s->stands);
    else if (s->stands.code != VF_OK)
        vf_context(&s->why, "%s", s->stands.text);
    s->job->called_off = s->why.code == VF_CANCELLED;
}

static void text_aborted(struct source *s, char out[JOURNAL_TEXT_BYTES])
{
    bool again = s->stands.code == VF_OK && job_interrupted(s->job);

    tell_end(s, again);
    if (again)
        restart_wish(s->job);
    (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", s->why.text);
}

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    struct source *s = run->ctx;

    out[0] = '\0';
    if (record != RECORD_ABORTED)
        return;
    if (s->cause.code == VF_OK) /* COMMIT could not be written */
        s->cause = run->why;
    if (run->core.record == RECORD_COMMIT)
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", s->cause.text);
    else
        text_aborted(s, out);
}

/* ---- the acts ---- */

/* Where the kernel side has just lost the partition, the target's copy is the only one left: then
 * COMMIT stands, however late. */
static bool still_here(const struct source *s)
{
    struct vf_partition_info p;

    return kc_partition_info(s->kc, s->partition.id, &p, NULL) == 0;
}

/* The last moment at which the limit still binds: COMMIT has not left this host, so ABORTED may
 * follow it in the journal. */
static enum handoff_event_kind committed(struct handoff_run *run)
{
    struct source *s = run->ctx;

    if (vf_now_ns() <= s->deadline_ns)
        return EVENT_DID;
    if (!still_here(s))
        run->core.copy = COPY_GONE;
    vf_fail(&s->cause, VF_FAILED,
            "the blackout would exceed --max-blackout; allow more, or move to a faster disk's "
            "host");
    return EVENT_DID_LATE;
}

static int resume(struct handoff_run *run, struct vf_error *err)
{
    struct source *s = run->ctx;
    int result = source_bring_back(s, err);

    s->stands = *err;
    return result;
}

static int say_commit(struct source *s, struct vf_error *err)
{
    const struct wire_message message = {.tag = WIRE_COMMIT, .handoff = handoff_of(s->job)};

    s->cause = (struct vf_error)VF_ERROR_INIT;
    job_enter(s->job, JOB_COMMITTED, "commit");
    stand_waits(s->job, "host %s to say that it runs there", s->job->peer_name);
    s->running_ns = vf_now_ns() + RUNNING_NS;
    if (control_say(&s->control, &message, s->running_ns, err) == 0)
        return 0;
    s->cause = *err;
    return -1;
}

static int send_handoff(struct handoff_run *run, enum handoff_message message, struct vf_error *err)
{
    struct source *s = run->ctx;

    if (message == SAY_COMMIT)
        return say_commit(s, err);
    s->recall = message == SAY_ABORT; /* once this run is over: it takes a while */
    return 0;
}

static void report_failed(struct source *s)
{
    struct vf_error also = VF_ERROR_INIT;

    if (s->why.code == VF_OK) {
        tell_end(s, false);
        /* The journal has the bare cause of a COMMIT that was taken back. */
        if (job_in_journal(s->job) && mig_journal_end(s->job, &s->why, &also) != 0)
            log_error("job %" PRIu64 ": %s", s->job->id, also.text);
    }
    s->end = s->why.code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

static void report(struct handoff_run *run, enum handoff_outcome outcome)
{
    struct source *s = run->ctx;

    if (outcome == OUTCOME_FAILED) {
        report_failed(s);
    } else if (run->core.record == RECORD_UNSURE) {
        /* The partition stands here, and the target, which was told neither COMMIT nor ABORT, keeps
         * its own paused. */
        s->why = run->why;
        ending_unsure(s->job, "in the hand-off, at COMMIT", &s->why);
        s->end = JOB_UNKNOWN;
    } else {
        char bare[sizeof s->cause.text + 32];

        (void)snprintf(bare, sizeof bare, "no RUNNING came (%s)", s->cause.text);
        (void)ending_unknown(s->job, "in the hand-off, after COMMIT", bare, true, &s->why);
        s->end = JOB_UNKNOWN;
    }
    source_unwatch(s);
    (void)job_fail(s->job, &s->why);
}

void source_tell(struct source *s, enum handoff_event_kind kind)
{
    static const struct handoff_ops ops = {.text = text,
                                           .committed = committed,
                                           .resume = resume,
                                           .send = send_handoff,
                                           .report = report};
    struct handoff_run run;

    handoff_run_init(&run, s->job, s->kc, &ops, s);
    /* Its state was taken: it stands, whoever paused it. */
    run.core.copy = !s->prepared ? COPY_GONE : s->paused || s->state_sent ? COPY_PAUSED : COPY_RUNS;
    (void)handoff_tell(&run, kind);
}

enum job_state source_end(const struct source *s)
{
    return job_state_ends(s->end) ? s->end : JOB_UNKNOWN;
}

void source_give_up(struct source *s, const struct vf_error *why)
{
    s->cause = *why;
    stream_group_abort(&s->group);
    source_tell(s, EVENT_GIVES_UP);
}
