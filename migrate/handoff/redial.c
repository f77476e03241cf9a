// SPDX-License-Identifier: Apache-2.0
/* See redial.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/redial.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/reply.h"
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

enum handoff_message redial_owed(struct mig_job *job)
{
    static const uint8_t none[sizeof job->token];
    enum handoff_message word = SAY_NOTHING;

    vf_lock(&job->lock);
    if (job->unsure) {
        word = SAY_NOTHING;
    } else if (job->source && job->recorded && memcmp(job->token, none, sizeof none) != 0) {
        if (job->last_kind == JOURNAL_COMMIT)
            word = SAY_COMMIT;
        else if (job->owes && (job->last_kind == JOURNAL_ABORTED || job->last_kind == JOURNAL_OPEN))
            word = SAY_ABORT; /* OPEN: the disk was full when ABORTED should have followed */
        else if (job->owes && job->last_kind == JOURNAL_SETTLED)
            word = job->last_runs == JOURNAL_TARGET ? SAY_COMMIT : SAY_ABORT;
    } else if (!job->source && job->recorded && job->last_kind == JOURNAL_COMMITTED &&
               job_status(job) == MIG_UNKNOWN && memcmp(job->token, none, sizeof none) != 0) {
        word = SAY_INQUIRE;
    }
    vf_unlock(&job->lock);
    return word;
}

int redial_drop(struct mig_job *job, struct vf_error *err)
{
    char text[sizeof job->last_text];
    enum journal_kind kind;
    bool owed;

    vf_lock(&job->lock);
    owed = job->owes;
    job->owes = false;
    kind = job->last_kind == JOURNAL_OPEN ? JOURNAL_ABORTED : job->last_kind;
    memcpy(text, job->last_text, sizeof text);
    vf_unlock(&job->lock);
    if (mig_journal(job, kind, text, err) == 0)
        return 0;
    job_update(job, job->owes = owed);
    return -1;
}

void redial_acknowledged(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    if (redial_drop(job, &err) != 0) {
        log_warn("job %" PRIu64 ": %s", job->id, err.text);
        job_update(job, job->owes = false);
    }
}

int redial_release(struct mig_job *job, struct kc *kc, struct vf_error *err)
{
    struct vf_partition_info copy;
    int found = handoff_copy(job, kc, &copy, err);
    bool gone = found == 0;

    shadow_event(job, EVENT_RUNNING, shadow_copy(job, found, &copy));
    if (found > 0) {
        gone = copy_destroy(kc, &copy, err) == 0;
        shadow_called(job, HANDOFF_DESTROY, gone);
    }
    if (!gone) {
        struct vf_error why = *err;

        return vf_fail(err, why.code,
                       "after the hand-off: partition %s runs at host %s, but its old copy, paused "
                       "at host %s, could not be removed (%.200s)" VF_REMEDY
                       "never resume it; its removal is tried again and again",
                       job->partition, ending_peer(job), job->host_name, why.text);
    }
    return mig_journal(job, JOURNAL_DONE, "", err);
}

/* Both sides were settled, and differently: said as loudly as can be, once. */
static void contradiction(struct mig_job *job, const char *what)
{
    log_error("job %" PRIu64 ": partition %s: CONTRADICTION: %s", job->id, job->partition, what);
    mig_event(job->mig, "job", "job %" PRIu64 " (partition %s, peer %s): CONTRADICTION: %s",
              job->id, job->partition, job->peer, what);
    job_update(job, {
        (void)vf_fail(&job->error, job->error.code, "CONTRADICTION: %s", what);
        (void)snprintf(job->last_text + strlen(job->last_text),
                       sizeof job->last_text - strlen(job->last_text), "; CONTRADICTION: %s", what);
    });
    mig_tell_ended(job);
    redial_acknowledged(job);
}

/* ---- what follows from an answer ---- */

static int it_runs_there(struct mig_job *job, struct kc *kc, struct tp *tp,
                         const struct wire_running *running, enum job_state *end,
                         struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_DONE, .handoff = handoff_of(job)};
    uint64_t deadline = vf_now_ns() + job->mig->silence_ns;
    struct vf_error also = VF_ERROR_INIT;

    if (!handoff_same(job, &running->id))
        return vf_fail(err, VF_FAILED, "peer %s: runs another hand-off than was committed",
                       job->peer);
    handoff_take_running(job, running);
    if (redial_release(job, kc, err) != 0)
        return -1;
    *end = JOB_COMPLETED;
    /* The rest is courtesy. */
    if (wire_say(tp, &message, deadline, &also) == 0 &&
        wire_expect(tp, WIRE_CLOSE, &message, deadline, &also) == 0) {
        handoff_take_close(job, &message.close);
        wire_message_free(&message);
    }
    return 0;
}

/* What a person decided, and the target now says otherwise. */
static void lost_by_resolve(struct mig_job *job)
{
    char what[400];

    (void)snprintf(what, sizeof what,
                   "it was resolved that host %s runs partition %s, and the copy at host %s was "
                   "given up; but host %s never ran it: the partition is lost",
                   ending_peer(job), job->partition, job->host_name, ending_peer(job));
    contradiction(job, what);
}

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
    ending_tell_in(job, "in the hand-off, after COMMIT", where, err);
}

static int it_never_ran_there(struct mig_job *job, struct kc *kc, enum handoff_event_kind said,
                              enum job_state *end, struct vf_error *err)
{
    struct vf_partition_info copy;
    int found;

    *end = JOB_FAILED;
    if (handoff_owner_of(job) == OWNER_TARGET) {
        shadow_event(job, said, COPY_UNSEEN);
        lost_by_resolve(job);
        *end = JOB_COMPLETED; /* as it was */
        return 0;
    }
    found = handoff_copy(job, kc, &copy, err);
    shadow_event(job, said, shadow_copy(job, found, &copy));
    if (found < 0)
        return -1;
    tell_never_ran(job, found > 0, err);
    job_update(job, job->owes = false);
    /* First on disk: a partition that runs here beside a COMMIT would be one too many. */
    if (mig_journal(job, JOURNAL_ABORTED, err->text, err) != 0)
        return -1;
    if (found) {
        struct vf_error also = VF_ERROR_INIT;

        int result = copy_run_on(kc, &copy, job->stays_paused, &also);

        shadow_called(job, HANDOFF_RESUME, result == 0);
        if (result == 0)
            return 0;
        if (also.code == VF_STANDS)
            copy_stands(err, &also);
        else
            vf_fail(err, VF_FAILED,
                    "in the hand-off, after COMMIT: host %s never ran partition %s, and it could "
                    "not be resumed at host %s: %.300s",
                    ending_peer(job), job->partition, job->host_name, also.text);
    }
    return 0;
}

/* The target's ABORT: it knows of no such hand-off, or says its last word in the matter; anything
 * else may change. */
static int it_refuses(struct mig_job *job, enum handoff_message word,
                      const struct wire_abort *abort, enum job_state *end, struct vf_error *err)
{
    vf_fail(err, wire_error_code(abort->code), "peer %s: %.500s", job->peer, abort->text);
    shadow_event(job,
                 abort->code == WIRE_CODE_NO_RECORD   ? EVENT_NO_RECORD
                 : abort->code == WIRE_CODE_COMMITTED ? EVENT_RUNS_THERE
                                                      : EVENT_CANNOT,
                 COPY_UNSEEN);
    /* A host without a record has no copy either: its daemon clears what it cannot explain. Of a
     * COMMIT that proves nothing: it may be another host now. */
    if (abort->code == WIRE_CODE_NO_RECORD && word == SAY_ABORT &&
        job->last_kind != JOURNAL_COMMIT) {
        log_info("job %" PRIu64 ": %s", job->id, err->text);
        redial_acknowledged(job);
        *end = JOB_FAILED;
        return 0;
    }
    if (abort->code == WIRE_CODE_COMMITTED && word == SAY_ABORT &&
        job->last_kind != JOURNAL_COMMIT) {
        char what[480];

        (void)snprintf(what, sizeof what, "partition %s runs at host %s, and %.250s",
                       job->partition, job->host_name, err->text);
        contradiction(job, what);
        *end = JOB_FAILED;
        return 0;
    }
    return -1;
}

/* The source has seen RUNNING: what happened to the partition after that is no hand-off's matter.
 */
static int it_ran_here(struct mig_job *job, const struct wire_account *account, enum job_state *end,
                       struct vf_error *err)
{
    bool done = account->record == WIRE_JOURNAL_DONE ||
                (account->record == WIRE_JOURNAL_SETTLED && account->runs == WIRE_SIDE_TARGET);

    done = done && handoff_same(job, &account->id) && account->side == WIRE_SIDE_SOURCE;
    shadow_event(job, done ? EVENT_SOURCE_DONE : EVENT_SOURCE_NOT_DONE, COPY_GONE);
    if (!done)
        return vf_fail(err, VF_FAILED, "peer %s: its journal does not settle it", job->peer);
    *end = JOB_COMPLETED;
    return mig_journal(job, JOURNAL_DONE, "it ran here, and was lost with the kernel side", err);
}

static int act(struct mig_job *job, struct kc *kc, struct tp *tp, enum handoff_message word,
               const struct wire_message *answer, enum job_state *end, struct vf_error *err)
{
    if (word == SAY_COMMIT && answer->tag == WIRE_RUNNING)
        return it_runs_there(job, kc, tp, &answer->running, end, err);
    if (word == SAY_COMMIT && answer->tag == WIRE_NEVER_RAN && handoff_same(job, &answer->handoff))
        return it_never_ran_there(job, kc, EVENT_NEVER_RAN, end, err);
    if (word == SAY_ABORT && answer->tag == WIRE_CLOSE) {
        /* A COMMIT that is taken back: its ABORTED is what this side needs to resume. */
        if (job->last_kind == JOURNAL_COMMIT)
            return it_never_ran_there(job, kc, EVENT_CLOSE, end, err);
        shadow_event(job, EVENT_CLOSE, COPY_UNSEEN);
        redial_acknowledged(job);
        *end = JOB_FAILED;
        return 0;
    }
    if (word == SAY_INQUIRE && answer->tag == WIRE_ACCOUNT)
        return it_ran_here(job, &answer->account, end, err);
    if (answer->tag == WIRE_ABORT)
        return it_refuses(job, word, &answer->abort, end, err);
    return vf_fail(err, VF_FAILED, "peer %s: answers %s by %s", job->peer,
                   wire_tag_name(tags[word]), wire_tag_name(answer->tag));
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

int redial_bring_as(struct mig_job *job, struct kc *kc, enum handoff_message word,
                    enum job_state *end, struct vf_error *err)
{
    struct wire_message said;
    struct wire_message answer;
    uint16_t version;
    struct tp *tp;
    uint64_t deadline;
    int result = -1;

    if (word == SAY_NOTHING)
        return vf_fail(err, VF_FAILED, "job %" PRIu64 ": owes its peer no word", job->id);
    shadow_asks(job, word == SAY_COMMIT ? SAY_COMMIT : word == SAY_ABORT ? SAY_ABORT : SAY_INQUIRE);
    said = message_of(job, word);
    if (redial_call(job, &version, &tp, err) != 0)
        return -1;
    deadline = vf_now_ns() + job->mig->silence_ns;
    if (word == SAY_INQUIRE && version < WIRE_VERSION_RESUME)
        vf_fail(err, VF_FAILED, "peer %s: its vferryd is too old to be asked", job->peer);
    else if (wire_say(tp, &said, deadline, err) == 0 &&
             wire_hear(tp, &answer, deadline, err) == 0) {
        result = act(job, kc, tp, word, &answer, end, err);
        wire_message_free(&answer);
    }
    redial_hang_up(job, tp);
    return result;
}

int redial_bring(struct mig_job *job, struct kc *kc, enum job_state *end, struct vf_error *err)
{
    enum handoff_message word = redial_owed(job);
    struct vf_partition_info copy;
    int found = word == SAY_INQUIRE ? handoff_copy(job, kc, &copy, err) : -1;

    if (word == SAY_INQUIRE && found < 0)
        return -1;
    /* It is still there and was only not to be started, or went on from here: that needs nobody. */
    if (found > 0 || (found == 0 && handoff_went_on(job))) {
        *end = JOB_COMPLETED;
        return reply_commit(job, kc, err);
    }
    shadow_event(job, EVENT_DUE, found == 0 ? COPY_GONE : COPY_UNSEEN);
    return redial_bring_as(job, kc, word, end, err);
}

uint64_t redial_back_off(uint64_t *wait_ns)
{
    uint64_t now = *wait_ns == 0 ? REDIAL_WAIT_NS : *wait_ns;

    *wait_ns = now > REDIAL_MAX_WAIT_NS / 2 ? REDIAL_MAX_WAIT_NS : 2 * now;
    return now;
}

int redial_bring_until(struct mig_job *job, struct kc *kc, uint64_t deadline_ns,
                       enum job_state *end, struct vf_error *err)
{
    uint64_t wait_ns = 0;

    while (job_sleep(job, vf_now_ns() + redial_back_off(&wait_ns)) && vf_now_ns() < deadline_ns) {
        if (redial_bring(job, kc, end, err) == 0)
            return 0;
        log_debug("job %" PRIu64 ": %s", job->id, err->text);
    }
    return -1;
}
