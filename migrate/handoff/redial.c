// SPDX-License-Identifier: Apache-2.0
/* See redial.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/redial.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/reply.h"
#include "migrate/handoff/shell.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/copy.h"
#include "migrate/mig.h"
#include "migrate/net/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of a try that the retry thread makes, nobody waits for: one unreachable peer must not hold up the
 * words to others. */
#define CONNECT_NS 2000000000ull

static const enum wire_tag tags[] = {
    [SAY_ABORT] = WIRE_ABORT, [SAY_COMMIT] = WIRE_COMMIT, [SAY_INQUIRE] = WIRE_INQUIRE};

#define AFTER_COMMIT "in the hand-off, after COMMIT"

enum handoff_message redial_owed(struct mig_job *job)
{
    struct handoff state;

    handoff_state(job, &state);
    if (!state.admitted || (job->side == MIG_TARGET && job_status(job) != MIG_UNKNOWN))
        return SAY_NOTHING;
    return handoff_owes(&state);
}

/* ---- what follows from the answer, in words ---- */

struct redial {
    struct tp *tp; /* NULL = the answer did not come by a connection of its own */
    enum handoff_event_kind event;
    char said[480];      /* by a peer that refuses; "" = it does not */
    struct vf_error end; /* why the job ended as it did, for people */
};

/* `held`: the copy here is about to go on. */
static void tell_never_ran(struct mig_job *job, bool held, struct vf_error *err)
{
    char where[ENDING_WHERE];

    vf_fail(err, VF_FAILED, "host %s never ran it", ending_peer(job));
    if (held)
        (void)ending_stays(job, where);
    else
        (void)snprintf(where, sizeof where,
                       "the kernel side of host %s has lost partition %s, it is on neither host",
                       job->host_name, job->partition);
    ending_tell_in(job, AFTER_COMMIT, where, err);
}

/* Both sides were settled, and differently. */
static void tell_contradiction(struct mig_job *job, const struct redial *redial, char *out,
                               size_t bytes)
{
    const char *peer = ending_peer(job);

    if (redial->event == EVENT_RUNS_THERE)
        (void)snprintf(out, bytes, "partition %s runs at host %s, and %.250s", job->partition,
                       job->host_name, redial->said);
    else
        (void)snprintf(
            out, bytes,
            "it was resolved that host %s runs partition %s, and the copy at host %s was "
            "given up; but host %s never ran it: the partition is lost",
            peer, job->partition, job->host_name, peer);
}

static bool contradicts(const struct handoff_run *run, enum handoff_event_kind event)
{
    return event == EVENT_RUNS_THERE ||
           (event == EVENT_NEVER_RAN && run->core.record == RECORD_TARGET_RUNS);
}

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    struct redial *redial = run->ctx;
    char what[480];

    if (run->core.record == RECORD_COMMIT && record == RECORD_ABORTED) {
        tell_never_ran(run->job, run->core.copy != COPY_GONE, &redial->end);
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", redial->end.text);
    } else if (redial->event == EVENT_SOURCE_DONE) {
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "it ran here, and was lost with the kernel side");
    } else if (contradicts(run, redial->event)) {
        tell_contradiction(run->job, redial, what, sizeof what);
        (void)snprintf(out + strlen(out), JOURNAL_TEXT_BYTES - strlen(out), "; CONTRADICTION: %s",
                       what);
    }
}

/* Said as loudly as can be, once. */
static void shout(struct handoff_run *run)
{
    struct mig_job *job = run->job;
    char what[480];

    tell_contradiction(job, run->ctx, what, sizeof what);
    log_error("job %" PRIu64 ": partition %s: CONTRADICTION: %s", job->id, job->partition, what);
    mig_event(job->mig, job->id, vf_realtime_ns(),
              "job %" PRIu64 " (partition %s, peer %s): CONTRADICTION: %s", job->id, job->partition,
              job->peer, what);
    job_update(job, (void)vf_fail(&job->error, job->error.code, "CONTRADICTION: %s", what));
    mig_tell_ended(job);
}

static void report(struct handoff_run *run, enum handoff_outcome outcome)
{
    if (outcome == OUTCOME_CONTRADICTION)
        shout(run);
}

/* Only DONE is left to be said on the connection of the answer, and CLOSE to be heard: the target
 * knows already. */
static int send_done(struct handoff_run *run, enum handoff_message message, struct vf_error *err)
{
    struct redial *redial = run->ctx;
    struct wire_message done = {.tag = WIRE_DONE, .handoff = handoff_of(run->job)};
    uint64_t deadline = vf_now_ns() + run->job->mig->silence_ns;

    if (message != SAY_DONE || redial->tp == NULL)
        return 0;
    if (wire_say(redial->tp, &done, deadline, err) != 0 ||
        wire_expect(redial->tp, WIRE_CLOSE, &done, deadline, err) != 0)
        return -1;
    handoff_take_close(run->job, &done.close);
    wire_message_free(&done);
    return 0;
}

static const struct handoff_ops ops = {.text = text, .send = send_done, .report = report};

/* What the last event came to: 0, *end and *err as the job is to show them; -1: nothing is settled
 * by it, *err says why if an action failed. */
static int conclude(struct handoff_run *run, enum job_state *end, struct vf_error *err)
{
    struct redial *redial = run->ctx;
    struct mig_job *job = run->job;

    if (run->failed == HANDOFF_DESTROY)
        vf_fail(err, run->why.code,
                "after the hand-off: partition %s runs at host %s, but its old copy, paused at "
                "host %s, could not be removed (%.200s)" VF_REMEDY
                "never resume it; its removal is tried again and again",
                job->partition, ending_peer(job), job->host_name, run->why.text);
    else if (run->failed != HANDOFF_NOTHING)
        *err = run->why;
    if (!run->reported || run->outcome == OUTCOME_UNKNOWN)
        return -1;
    if (redial->event == EVENT_NO_RECORD)
        log_info("job %" PRIu64 ": %s", job->id, redial->said);
    *end = handoff_owner(run->core.record) == OWNER_TARGET ? JOB_COMPLETED : JOB_FAILED;
    if (redial->end.code != VF_OK)
        *err = redial->end;
    if (run->failed == HANDOFF_RESUME && run->why.code == VF_STANDS)
        copy_stands(err, &run->why);
    else if (run->failed == HANDOFF_RESUME)
        vf_fail(err, VF_FAILED,
                AFTER_COMMIT ": host %s never ran partition %s, and it could not be resumed at "
                             "host %s: %.300s",
                ending_peer(job), job->partition, job->host_name, run->why.text);
    return 0;
}

int redial_heard(struct mig_job *job, struct kc *kc, enum handoff_event_kind event,
                 enum job_state *end, struct vf_error *err)
{
    struct redial redial = {.event = event, .end = VF_ERROR_INIT};
    struct handoff_run run;

    handoff_run_init(&run, job, kc, &ops, &redial);
    if (handoff_needs_copy(&run.core, event))
        (void)handoff_run_look(&run, err);
    (void)handoff_tell(&run, event);
    return conclude(&run, end, err);
}

/* ---- the answer as an event ---- */

/* The target's ABORT: it knows of no such hand-off, or says its last word in the matter; anything
 * else may change. */
static enum handoff_event_kind refusal(struct mig_job *job, const struct wire_abort *abort,
                                       struct redial *redial, struct vf_error *err)
{
    vf_fail(err, wire_error_code(abort->code), "peer %s: %.500s", job->peer, abort->text);
    (void)snprintf(redial->said, sizeof redial->said, "%.470s", err->text);
    switch (abort->code) {
    case WIRE_CODE_NO_RECORD:
        return EVENT_NO_RECORD;
    case WIRE_CODE_COMMITTED:
        return EVENT_RUNS_THERE;
    default:
        return EVENT_CANNOT;
    }
}

/* Has the source seen RUNNING? What happened to the partition after that is no hand-off's matter.
 */
static bool source_is_done(struct mig_job *job, const struct wire_account *account)
{
    return handoff_same(job, &account->id) && account->side == MIG_SOURCE &&
           (account->record == WIRE_JOURNAL_DONE ||
            (account->record == WIRE_JOURNAL_SETTLED && account->runs == MIG_TARGET));
}

/* EVENT_CANNOT: *err says why it is no answer. */
static enum handoff_event_kind event_of(struct mig_job *job, enum handoff_message asked,
                                        const struct wire_message *answer, struct redial *redial,
                                        struct vf_error *err)
{
    if (answer->tag == WIRE_ABORT)
        return refusal(job, &answer->abort, redial, err);
    if (asked == SAY_COMMIT && answer->tag == WIRE_RUNNING) {
        if (handoff_same(job, &answer->running.id)) {
            handoff_take_running(job, &answer->running);
            return EVENT_RUNNING;
        }
        vf_fail(err, VF_FAILED, "peer %s: runs another hand-off than was committed", job->peer);
        return EVENT_CANNOT;
    }
    if (asked == SAY_COMMIT && answer->tag == WIRE_NEVER_RAN && handoff_same(job, &answer->handoff))
        return EVENT_NEVER_RAN;
    if (asked == SAY_ABORT && answer->tag == WIRE_CLOSE)
        return EVENT_CLOSE;
    if (asked == SAY_INQUIRE && answer->tag == WIRE_ACCOUNT) {
        if (source_is_done(job, &answer->account))
            return EVENT_SOURCE_DONE;
        vf_fail(err, VF_FAILED, "peer %s: its journal does not settle it", job->peer);
        return EVENT_SOURCE_NOT_DONE;
    }
    vf_fail(err, VF_FAILED, "peer %s: answers %s by %s", job->peer, wire_tag_name(tags[asked]),
            wire_tag_name(answer->tag));
    return EVENT_CANNOT;
}

/* ---- one try ---- */

static struct wire_message message_of(struct mig_job *job, enum handoff_message word)
{
    struct wire_message message = {.tag = tags[word], .handoff = handoff_of(job)};

    if (word == SAY_ABORT) {
        message = (struct wire_message){.tag = WIRE_ABORT};
        vf_lock(&job->lock);
        message.abort.code =
            job->error.code != VF_OK ? wire_code_of(job->error.code) : WIRE_CODE_FAILED;
        (void)snprintf(message.abort.text, sizeof message.abort.text, "%s", job->error.text);
        vf_unlock(&job->lock);
    }
    return message;
}

static void wake(void *ctx)
{
    tp_abort(ctx);
}

int redial_call(struct mig_job *job, uint16_t *version, struct tp **out, struct vf_error *err)
{
    uint64_t deadline = vf_now_ns() + CONNECT_NS;
    struct wire_hello hello;
    struct mig_peer peer;

    mig_hello(job->mig, job->uuid, &hello);
    vf_lock(&job->lock);
    memcpy(hello.token, job->token, sizeof hello.token);
    vf_unlock(&job->lock);
    if (mig_dial_again(job, deadline, out, err) != 0)
        return -1;
    if (!mig_same_peer(job, *out)) { /* the token is for the hand-off's own target */
        vf_fail(err, VF_FAILED, "peer %s: is another host than the one the partition moved to",
                job->peer);
        tp_close(*out);
        return -1;
    }
    job_set_wake(job, wake, *out);
    if (job_leaving(job)) /* before it could be woken */
        tp_abort(*out);
    if (mig_greet(*out, &hello, deadline, &peer, err) != 0) {
        redial_hang_up(job, *out);
        return -1;
    }
    *version = peer.version;
    return 0;
}

void redial_hang_up(struct mig_job *job, struct tp *tp)
{
    job_set_wake(job, NULL, NULL);
    tp_close(tp);
}

/* Says it, and hears what the peer has to say to it. */
static enum handoff_event_kind converse(struct mig_job *job, enum handoff_message asked,
                                        uint16_t version, struct redial *redial,
                                        struct vf_error *err)
{
    const struct wire_message said = message_of(job, asked);
    uint64_t deadline = vf_now_ns() + job->mig->silence_ns;
    enum handoff_event_kind event;
    struct wire_message answer;

    if (asked == SAY_INQUIRE && version < WIRE_VERSION_RESUME) {
        vf_fail(err, VF_FAILED, "peer %s: its vferryd is too old to be asked", job->peer);
        return EVENT_CANNOT;
    }
    if (wire_say(redial->tp, &said, deadline, err) != 0 ||
        wire_hear(redial->tp, &answer, deadline, err) != 0)
        return EVENT_CANNOT;
    event = event_of(job, asked, &answer, redial, err);
    wire_message_free(&answer);
    return event;
}

/* The core has something to ask. */
static int ask(struct handoff_run *run, enum handoff_message asked, enum job_state *end,
               struct vf_error *err)
{
    struct redial *redial = run->ctx;
    struct mig_job *job = run->job;
    uint16_t version;
    int result;

    if (redial_call(job, &version, &redial->tp, err) != 0)
        return -1;
    redial->event = converse(job, asked, version, redial, err);
    /* What cannot be seen changes nothing: the core has the peer asked again. */
    if (handoff_needs_copy(&run->core, redial->event))
        (void)handoff_run_look(run, err);
    (void)handoff_tell(run, redial->event);
    result = conclude(run, end, err);
    redial_hang_up(job, redial->tp);
    return result;
}

int redial_try(struct mig_job *job, struct kc *kc, enum handoff_event_kind why, enum job_state *end,
               struct vf_error *err)
{
    struct redial redial = {.event = why, .end = VF_ERROR_INIT};
    struct handoff_action action;
    struct handoff_run run;

    handoff_run_init(&run, job, kc, &ops, &redial);
    if (job->side == MIG_TARGET && handoff_run_look(&run, err) != 0)
        return -1;
    /* It is still there and was only not to be started, or went on from here: that needs nobody. */
    if (job->side == MIG_TARGET && run.core.copy != COPY_GONE)
        return reply_act(job, kc, why, end, err);
    action = handoff_tell(&run, why);
    if (action.kind != HANDOFF_ASK)
        return vf_fail(err, VF_FAILED, "job %" PRIu64 ": owes its peer no word", job->id);
    return ask(&run, action.message, end, err);
}

int redial_forget(struct mig_job *job, struct vf_error *err)
{
    struct redial redial = {.event = EVENT_FORGET};
    struct handoff_run run;

    handoff_run_init(&run, job, NULL, &ops, &redial);
    (void)handoff_tell(&run, EVENT_FORGET);
    if (run.failed == HANDOFF_NOTHING)
        return 0;
    *err = run.why;
    return -1;
}

uint64_t redial_back_off(uint64_t *wait_ns)
{
    uint64_t now = *wait_ns == 0 ? REDIAL_WAIT_NS : *wait_ns;

    *wait_ns = now > REDIAL_MAX_WAIT_NS / 2 ? REDIAL_MAX_WAIT_NS : 2 * now;
    return now;
}

int redial_until(struct mig_job *job, struct kc *kc, uint64_t deadline_ns, enum job_state *end,
                 struct vf_error *err)
{
    uint64_t wait_ns = 0;

    while (job_sleep(job, vf_now_ns() + redial_back_off(&wait_ns)) && vf_now_ns() < deadline_ns) {
        if (redial_try(job, kc, EVENT_DUE, end, err) == 0)
            return 0;
        log_debug("job %" PRIu64 ": %s", job->id, err->text);
    }
    return -1;
}
