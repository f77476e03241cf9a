// SPDX-License-Identifier: Apache-2.0
/*
 * What the hand-off's core asks of a target whose thread is gone (shell.h): for a source that comes
 * back, which hears the answer, for a person, or for the job itself, which found its copy here.
 */
#define LOG_ROOM "migrate"
#include "migrate/handoff/reply.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/shell.h"
#include "migrate/job/ending.h"

#include <inttypes.h>
#include <stdio.h>

/* Who asks, and on which connection the answer is said. */
struct reply {
    struct tp *tp; /* NULL = a person at this host, or the job itself: nobody hears it */
    uint16_t version;
    const char *why;       /* the source's own word for an ABORT */
    bool said;             /* something was */
    bool running;          /* RUNNING was */
    struct vf_error error; /* why the kernel side could not be asked */
    struct vf_error end;   /* why the job ended as it did, for people */
};

/* ---- in words ---- */

static const char *never_ran_because(const struct handoff_run *run)
{
    switch (run->core.record) {
    case RECORD_OPEN:
        return "its target was never ready for it";
    case RECORD_PREPARED:
        return "the target's kernel side lost it before it could run";
    default:
        return "it was called off at its target and never ran there";
    }
}

/* ABORTED, while the record is still the one before: why it never ran here, and never will. */
static void text_aborted(struct handoff_run *run, struct reply *reply)
{
    char where[ENDING_WHERE];

    if (reply->why != NULL)
        vf_fail(&reply->end, VF_FAILED, "called off by its source: %.400s", reply->why);
    else
        vf_fail(&reply->end, VF_FAILED, "%s", never_ran_because(run));
    ending_tell_in(run->job, reply->why != NULL ? "" : "in the hand-off, before COMMIT",
                   ending_there(run->job, where), &reply->end);
}

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    struct reply *reply = run->ctx;

    switch (record) {
    case RECORD_ABORTED:
        text_aborted(run, reply);
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", reply->end.text);
        break;
    case RECORD_SOURCE_RUNS: /* it was committed and lost, so it did run: settled, not undone */
        text_aborted(run, reply);
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "resolved: the source runs it");
        break;
    case RECORD_TARGET_RUNS:
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "resolved: the target runs it; it was lost since");
        break;
    default:
        out[0] = '\0';
        break;
    }
}

/* ---- the wire ---- */

static int say(struct reply *reply, const struct mig_job *job, const struct wire_message *message,
               struct vf_error *err)
{
    reply->said = true;
    return wire_say(reply->tp, message, vf_now_ns() + job->mig->silence_ns, err);
}

static int refuse(struct reply *reply, enum wire_code code, const char *why)
{
    reply->said = true;
    log_info("%s: %s", reply->tp->peer, why); /* it may ask for ever: no event each time */
    wire_say_abort_as(reply->tp, code, why);
    return 0;
}

static int say_running(struct handoff_run *run, struct vf_error *err)
{
    struct mig_job *job = run->job;
    const struct wire_message message = handoff_running(job);

    ((struct reply *)run->ctx)->running = true;
    return say(run->ctx, job, &message, err);
}

/* The answer to DONE: when it really ran first, if that can be told. */
static int say_ended(struct handoff_run *run, struct vf_error *err)
{
    struct mig_job *job = run->job;
    struct wire_message message = {.tag = WIRE_CLOSE};
    struct vf_partition_info copy;

    if (handoff_copy(job, run->kc, &copy, NULL) > 0)
        message = handoff_ended(job, run->kc, copy.id);
    return say(run->ctx, job, &message, err);
}

static int say_never_ran(struct handoff_run *run, struct vf_error *err)
{
    struct reply *reply = run->ctx;
    const struct wire_message never = {.tag = WIRE_NEVER_RAN, .handoff = handoff_of(run->job)};

    if (reply->version >= WIRE_VERSION_RESUME)
        return say(reply, run->job, &never, err);
    /* an older one knows no better word */
    return refuse(reply, WIRE_CODE_COMMITTED, never_ran_because(run));
}

static int say_refusal(struct handoff_run *run, enum handoff_message message)
{
    struct reply *reply = run->ctx;
    const struct mig_job *job = run->job;
    struct vf_error why = VF_ERROR_INIT;
    enum wire_code code = WIRE_CODE_COMMITTED;

    if (message == SAY_RUNS_HERE)
        vf_fail(&why, VF_UNKNOWN, "it was committed and runs at host %s", job->host_name);
    else if (message == SAY_LOST)
        vf_fail(&why, VF_UNKNOWN,
                "partition %s was committed to run at host %s, whose kernel side has lost it since",
                job->partition, job->host_name);
    else {
        why = run->failed != HANDOFF_NOTHING ? run->why : reply->error;
        code = WIRE_CODE_NOT_NOW;
    }
    return refuse(reply, code, why.text);
}

static int send_reply(struct handoff_run *run, enum handoff_message message, struct vf_error *err)
{
    const struct wire_message gone = {.tag = WIRE_CLOSE};
    struct reply *reply = run->ctx;

    if (reply->tp == NULL)
        return 0;
    switch (message) {
    case SAY_RUNNING:
        return say_running(run, err);
    case SAY_ENDED:
        return say_ended(run, err);
    case SAY_NEVER_RAN:
        return say_never_ran(run, err);
    case SAY_CLOSE:
        return say(reply, run->job, &gone, err);
    default:
        return say_refusal(run, message);
    }
}

/* ---- the acts ---- */

static int start(struct handoff_run *run, struct vf_error *err)
{
    uint64_t resume = vf_now_ns();

    if (copy_start(run->kc, &run->copy, run->job->stays_paused, err) != 0)
        return -1;
    job_update(run->job, {
        run->job->t.resume = resume;
        run->job->t.first_run = vf_now_ns();
    });
    return 0;
}

static void tell_contradiction(const struct mig_job *job, const char *says)
{
    mig_event(job->mig, job->id, vf_realtime_ns(),
              "job %" PRIu64 " (partition %s, peer %s): CONTRADICTION: it runs here, and its "
              "source says that it runs there: %.200s",
              job->id, job->partition, job->peer, says);
}

/* To a peer the job's state is known before it is answered; a person's verb sets it itself. */
static void report(struct handoff_run *run, enum handoff_outcome outcome)
{
    struct reply *reply = run->ctx;

    if (reply->tp == NULL)
        return;
    if (outcome == OUTCOME_CONTRADICTION) {
        tell_contradiction(run->job, reply->why != NULL ? reply->why : "");
        return;
    }
    if (job_status(run->job) != MIG_UNKNOWN || outcome == OUTCOME_UNKNOWN)
        return;
    if (outcome == OUTCOME_FAILED && reply->end.code == VF_OK)
        text_aborted(run, reply);
    job_outcome_known(run->job, outcome == OUTCOME_COMPLETED ? JOB_COMPLETED : JOB_FAILED,
                      outcome == OUTCOME_COMPLETED ? NULL : &reply->end);
}

static const struct handoff_ops ops = {
    .text = text, .start = start, .send = send_reply, .report = report};

/* May the event let the partition run? */
static bool may_start(const struct handoff_run *run, enum handoff_event_kind kind)
{
    return run->core.copy == COPY_PAUSED && kind != EVENT_ABORT && kind != EVENT_AGREE_SOURCE;
}

/* -1: it was not told, since this host is being stopped by force. A stop that comes later waits. */
static int tell(struct handoff_run *run, enum handoff_event_kind kind, struct vf_error *err)
{
    struct reply *reply = run->ctx;
    bool starts;

    if (handoff_needs_copy(&run->core, kind))
        (void)handoff_run_look(run, &reply->error);
    starts = may_start(run, kind);
    if (starts && mig_commit_begin(run->job->mig, err) != 0)
        return -1;
    (void)handoff_tell(run, kind);
    if (starts)
        mig_commit_end(run->job->mig);
    return 0;
}

/* RUNNING was said: the source's DONE is what it waits for, but it runs here, DONE or not. */
static void close_books(struct handoff_run *run)
{
    struct reply *reply = run->ctx;
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message done;
    bool heard = false;

    if (reply->running && wire_expect(reply->tp, WIRE_DONE, &done,
                                      vf_now_ns() + run->job->mig->silence_ns, &err) == 0) {
        heard = handoff_same(run->job, &done.handoff);
        wire_message_free(&done);
    }
    if (heard)
        (void)handoff_tell(run, EVENT_DONE);
    else if (run->core.record == RECORD_COMMITTED && run->core.copy == COPY_RUNS)
        (void)handoff_tell(run, EVENT_GIVES_UP);
}

int reply_act(struct mig_job *job, struct kc *kc, enum handoff_event_kind kind, enum job_state *end,
              struct vf_error *err)
{
    struct reply reply = {.why = kind == EVENT_AGREE_SOURCE ? "resolved by a person" : NULL,
                          .error = VF_ERROR_INIT,
                          .end = VF_ERROR_INIT};
    struct handoff_run run;

    handoff_run_init(&run, job, kc, &ops, &reply);
    if (tell(&run, kind, err) != 0)
        return -1;
    if (!run.reported && run.failed == HANDOFF_NOTHING)
        close_books(&run);
    if (!run.reported || run.outcome == OUTCOME_UNKNOWN) {
        *err = run.failed != HANDOFF_NOTHING ? run.why : reply.error;
        return err->code != VF_OK ? -1
                                  : vf_fail(err, VF_FAILED,
                                            "job %" PRIu64 ": nothing follows from "
                                            "it while partition %s is as it is",
                                            job->id, job->partition);
    }
    *err = reply.end;
    *end = run.outcome == OUTCOME_COMPLETED ? JOB_COMPLETED : JOB_FAILED;
    return 0;
}

int reply_handoff(struct mig_job *job, struct kc *kc, struct tp *tp, uint16_t version,
                  const struct wire_message *message, struct vf_error *err)
{
    const bool commits = message->tag == WIRE_COMMIT;
    struct reply reply = {.tp = tp,
                          .version = version,
                          .why = commits ? NULL : message->abort.text,
                          .error = VF_ERROR_INIT,
                          .end = VF_ERROR_INIT};
    struct handoff_run run;

    handoff_run_init(&run, job, kc, &ops, &reply);
    if (tell(&run, commits ? EVENT_COMMIT : EVENT_ABORT, err) != 0)
        return -1;
    if (reply.running)
        close_books(&run);
    if (reply.said)
        return 0;
    *err = run.failed != HANDOFF_NOTHING ? run.why : reply.error;
    return err->code != VF_OK
               ? -1
               : vf_fail(err, VF_FAILED,
                         "job %" PRIu64 " is %s here, %s changes "
                         "nothing",
                         job->id, vf_fsm_name(&job->fsm), wire_tag_name(message->tag));
}
