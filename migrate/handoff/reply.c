// SPDX-License-Identifier: Apache-2.0
/* See reply.h. The journal decides; the kernel side's copy follows it. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/reply.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/recover.h"
#include "migrate/net/peer.h"
#include "migrate/wire/account.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A job's last steps after its hand-off: its channels close, its books too. */
#define ENDING_NS 1000000000ull

/* ---- the target's acts ---- */

static void settled(struct mig_job *job, enum job_state state, const struct vf_error *err)
{
    if (job_status(job) == MIG_UNKNOWN)
        job_outcome_known(job, state, err);
}

/* It never ran here and never will. */
static int never_ran(struct mig_job *job, const char *why, struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    char where[ENDING_WHERE];

    vf_fail(&also, VF_FAILED, "%s", why);
    ending_tell_in(job, "in the hand-off, before COMMIT", ending_there(job, where), &also);
    if (handoff_owner_of(job) != OWNER_SOURCE &&
        mig_journal(job, JOURNAL_ABORTED, also.text, err) != 0)
        return -1;
    settled(job, JOB_FAILED, &also);
    return vf_fail(err, VF_CANCELLED, "%s", why);
}

/* It runs here, or went on from here. */
static void close_books(struct mig_job *job)
{
    struct vf_error also = VF_ERROR_INIT;

    shadow_event(job, EVENT_GIVES_UP, COPY_RUNS);
    if (mig_journal(job, JOURNAL_DONE, "", &also) != 0)
        log_error("job %" PRIu64 ": %s", job->id, also.text);
    settled(job, JOB_COMPLETED, NULL);
}

static int start_committed(struct mig_job *job, struct kc *kc, const struct vf_partition_info *copy,
                           struct vf_error *err)
{
    uint64_t resume;
    int result;

    shadow_event(job, EVENT_COMMIT, shadow_copy(job, 1, copy));
    if (handoff_owner_of(job) == OWNER_OPEN && mig_journal(job, JOURNAL_COMMITTED, "", err) != 0)
        return -1;
    resume = vf_now_ns();
    result = copy_start(kc, copy, job->stays_paused, err);
    if (copy->state == VF_PARTITION_READY)
        shadow_called(job, HANDOFF_START, result == 0);
    if (result != 0)
        return -1;
    job_update(job, {
        job->t.resume = resume;
        job->t.first_run = vf_now_ns();
    });
    close_books(job);
    return 0;
}

static int destroy(struct mig_job *job, struct kc *kc, const struct vf_partition_info *copy,
                   struct vf_error *err)
{
    int result = copy_destroy(kc, copy, err);

    shadow_called(job, HANDOFF_DESTROY, result == 0);
    return result;
}

static int start(struct mig_job *job, struct kc *kc, const struct vf_partition_info *copy,
                 struct vf_error *err)
{
    int result;

    if (mig_commit_begin(job->mig, err) != 0)
        return -1;
    result = start_committed(job, kc, copy, err);
    mig_commit_end(job->mig);
    return result;
}

int reply_commit(struct mig_job *job, struct kc *kc, struct vf_error *err)
{
    struct vf_partition_info copy;
    int found;

    if (handoff_owner_of(job) == OWNER_SOURCE || job->last_kind == JOURNAL_DONE ||
        job->last_kind == JOURNAL_SETTLED)
        shadow_event(job, EVENT_COMMIT, COPY_UNSEEN);
    if (handoff_owner_of(job) == OWNER_SOURCE)
        return never_ran(job, "it was called off at its target and never ran there", err);
    /* What ran may have gone on since, to another host or for good. */
    if (handoff_owner_of(job) == OWNER_TARGET && job->last_kind != JOURNAL_COMMITTED)
        return 0;
    found = handoff_copy(job, kc, &copy, err);
    if (found > 0 && job->last_kind != JOURNAL_OPEN)
        return start(job, kc, &copy, err);
    shadow_event(job, EVENT_COMMIT, shadow_copy(job, found, &copy));
    if (found >= 0 && job->last_kind == JOURNAL_OPEN)
        return found > 0 && destroy(job, kc, &copy, err) != 0
                   ? -1
                   : never_ran(job, "its target was never ready for it", err);
    if (found == 0 && handoff_owner_of(job) == OWNER_TARGET && handoff_went_on(job)) {
        close_books(job);
        return 0;
    }
    if (found == 0 && handoff_owner_of(job) == OWNER_OPEN)
        return never_ran(job, "the target's kernel side lost it before it could run", err);
    return found < 0
               ? -1
               : vf_fail(err, VF_UNKNOWN,
                         "partition %s was committed to run at host %s, whose kernel side has lost "
                         "it since",
                         job->partition, job->host_name);
}

int reply_abort(struct mig_job *job, struct kc *kc, const char *why, struct vf_error *err)
{
    struct vf_partition_info copy;
    struct vf_error text = VF_ERROR_INIT;
    char where[ENDING_WHERE];
    int found, result;

    if (handoff_owner_of(job) == OWNER_SOURCE)
        return 0;
    found = handoff_copy(job, kc, &copy, err);
    shadow_event(job, EVENT_ABORT, shadow_copy(job, found, &copy));
    if (found < 0)
        return -1;
    if (handoff_owner_of(job) == OWNER_TARGET &&
        (found > 0 || job->last_kind != JOURNAL_COMMITTED || handoff_went_on(job)))
        return vf_fail(err, VF_UNKNOWN, "it was committed and runs at host %s",
                       job->mig->host_name);
    vf_fail(&text, VF_FAILED, "called off by its source: %.400s", why);
    ending_tell_in(job, "", ending_there(job, where), &text);
    if (found > 0 && destroy(job, kc, &copy, err) != 0)
        return -1;
    /* One that was committed and lost did run: it is settled, not undone. */
    result = handoff_owner_of(job) == OWNER_TARGET
                 ? mig_journal_settled(job, JOURNAL_SOURCE, "resolved: the source runs it", err)
                 : mig_journal(job, JOURNAL_ABORTED, text.text, err);
    if (result != 0)
        return -1;
    settled(job, JOB_FAILED, &text);
    return 0;
}

int reply_account(struct mig_job *job, struct wire_account *out, struct vf_error *err)
{
    struct vf_partition_info copy;
    struct kc *kc;
    int found;

    if (kc_connect(job->mig->kernel_socket, &kc, err) != 0)
        return -1;
    found = handoff_copy(job, kc, &copy, err);
    kc_close(kc);
    if (found < 0)
        return -1;
    *out = (struct wire_account){.id = handoff_of(job),
                                 .side = job->source ? WIRE_SIDE_SOURCE : WIRE_SIDE_TARGET};
    if (found > 0)
        out->held = wire_copy_of((enum vf_partition_state)copy.state);
    vf_lock(&job->lock);
    out->record = job->recorded ? wire_journal_of(job->last_kind) : WIRE_JOURNAL_NONE;
    out->runs = wire_side_of(job->last_runs);
    out->job_running = !job->over;
    out->time_ns = job->last_ns;
    (void)snprintf(out->text, sizeof out->text, "%s", job->last_text);
    vf_unlock(&job->lock);
    return 0;
}

/* ---- the wire ---- */

/* The job that the peer means, with a reference. */
static struct mig_job *find(struct mig *mig, const struct tp *tp, const struct wire_hello *hello)
{
    struct mig_job *found = NULL;

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && found == NULL; job = job->next) {
        vf_lock(&job->lock);
        if (memcmp(job->uuid, hello->job, sizeof job->uuid) == 0 &&
            memcmp(job->token, hello->token, sizeof job->token) == 0)
            found = job;
        vf_unlock(&job->lock);
    }
    if (found != NULL)
        atomic_fetch_add(&found->refs, 1u);
    vf_unlock(&mig->lock);
    if (found == NULL)
        found = mig_remember(mig, hello->job, hello->token);
    if (found != NULL && !mig_same_peer(found, tp)) {
        mig_job_put(found);
        found = NULL;
    }
    return found;
}

static int say_running(struct mig_job *job, struct kc *kc, struct tp *tp, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_RUNNING, .running.id = handoff_of(job)};
    uint64_t deadline = vf_now_ns() + job->mig->silence_ns;
    struct vf_partition_info copy;
    struct vf_partition_clock clock;

    message.running.resume_ns = job->t.resume;
    message.running.first_run_ns = job->t.first_run;
    if (wire_say(tp, &message, deadline, err) != 0 ||
        wire_expect(tp, WIRE_DONE, &message, deadline, err) != 0)
        return 0; /* it will ask again, if it did not hear */
    wire_message_free(&message);
    message = (struct wire_message){.tag = WIRE_CLOSE};
    if (handoff_copy(job, kc, &copy, NULL) > 0 &&
        kc_partition_clock(kc, copy.id, &clock, NULL) == 0 && job->t.resume != 0 &&
        clock.first_run_ns >= job->t.resume)
        message.close.first_run_ns = clock.first_run_ns;
    (void)wire_say(tp, &message, deadline, err);
    return 0;
}

static int serve_commit(struct mig_job *job, struct kc *kc, struct tp *tp, uint16_t version,
                        struct vf_error *err)
{
    const struct wire_message never = {.tag = WIRE_NEVER_RAN, .handoff = handoff_of(job)};

    if (reply_commit(job, kc, err) == 0)
        return say_running(job, kc, tp, err);
    if (err->code != VF_CANCELLED)
        return -1;
    if (version >= WIRE_VERSION_RESUME)
        return wire_say(tp, &never, vf_now_ns() + job->mig->silence_ns, err);
    err->code = VF_UNKNOWN; /* an older one knows no better word */
    return -1;
}

static int serve_abort(struct mig_job *job, struct kc *kc, struct tp *tp,
                       const struct wire_abort *abort, struct vf_error *err)
{
    const struct wire_message gone = {.tag = WIRE_CLOSE};

    if (reply_abort(job, kc, abort->text, err) == 0)
        return wire_say(tp, &gone, vf_now_ns() + job->mig->silence_ns, err);
    if (err->code == VF_UNKNOWN)
        mig_event(job->mig, "job",
                  "job %" PRIu64 " (partition %s, peer %s): CONTRADICTION: it runs here, and its "
                  "source says that it runs there: %.200s",
                  job->id, job->partition, job->peer, abort->text);
    return -1;
}

/* COMMIT or ABORT, one at a time. */
static int serve_claimed(struct mig_job *job, struct tp *tp, uint16_t version,
                         const struct wire_message *word, struct vf_error *err)
{
    struct kc *kc;
    int result;

    if (job_unsure(job))
        return vf_fail(err, VF_FAILED,
                       "the journal of host %s does not tell until its vferryd is restarted",
                       job->host_name);
    if (word->tag == WIRE_COMMIT && !handoff_same(job, &word->handoff))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is about another hand-off", job->id);
    if (kc_connect(job->mig->kernel_socket, &kc, err) != 0)
        return -1;
    result = word->tag == WIRE_COMMIT ? serve_commit(job, kc, tp, version, err)
                                      : serve_abort(job, kc, tp, &word->abort, err);
    kc_close(kc);
    return result;
}

static int serve_inquiry(struct mig_job *job, struct tp *tp, const struct wire_message *word,
                         struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_ACCOUNT};

    if (!handoff_same(job, &word->handoff))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is about another hand-off", job->id);
    if (reply_account(job, &message.account, err) != 0)
        return -1;
    return wire_say(tp, &message, vf_now_ns() + job->mig->silence_ns, err);
}

/* A pre-copy that cannot go on, since its job is over here. While it is not, nothing is said: an
 * ABORT would be taken for the last word. */
static int serve_resume(struct mig_job *job, struct vf_error *err)
{
    if (!mig_job_wait(job, 0, UINT64_MAX))
        return 0;
    vf_lock(&job->lock);
    *err = job->error;
    vf_unlock(&job->lock);
    if (err->code == VF_OK)
        return vf_fail(err, VF_FAILED, "the move is over on host %s", job->host_name);
    return vf_context(err, "the move is over on host %s", job->host_name);
}

static int serve(struct mig_job *job, struct tp *tp, uint16_t version,
                 const struct wire_message *word, struct vf_error *err)
{
    uint64_t now = vf_now_ns();
    int result;

    log_info("job %" PRIu64 ": its %s asks: %s", job->id, job->source ? "target" : "source",
             wire_tag_name(word->tag));
    if (word->tag == WIRE_INQUIRE)
        return serve_inquiry(job, tp, word, err);
    if (word->tag == WIRE_RESUME && !job->source)
        return serve_resume(job, err);
    if (job->source || (word->tag != WIRE_COMMIT && word->tag != WIRE_ABORT))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is %s here, %s changes nothing", job->id,
                       vf_fsm_name(&job->fsm), wire_tag_name(word->tag));
    /* Whoever has it may be asking that very peer in vain; it waits for us no longer than that. */
    if (!mig_job_wait(job, now + ENDING_NS, UINT64_MAX) ||
        !job_claim(job, now + job->mig->silence_ns / 4 * 3))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is just ending; try again", job->id);
    result = serve_claimed(job, tp, version, word, err);
    job_unclaim(job);
    return result;
}

/* What a word that was not served is answered with. About a hand-off, only "committed" is the last
 * word: that something failed here on the way to it, whatever it was, may be over the next time. */
static enum wire_code code_of(const struct wire_message *word, const struct vf_error *err)
{
    if (word->tag == WIRE_RESUME)
        return wire_code_of(err->code);
    return err->code == VF_UNKNOWN ? WIRE_CODE_COMMITTED : WIRE_CODE_NOT_NOW;
}

void reply_to(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
              const struct wire_message *word)
{
    struct mig_job *job = find(mig, tp, &peer->hello);
    struct vf_error err = VF_ERROR_INIT;

    if (job == NULL)
        vf_fail(&err, VF_FAILED, "host %s has no record of that job", mig->host_name);
    if (job == NULL || serve(job, tp, peer->version, word, &err) != 0) {
        log_info("%s: %s", tp->peer, err.text); /* it may ask for ever: no event each time */
        wire_say_abort_as(tp, job == NULL ? WIRE_CODE_NO_RECORD : code_of(word, &err), err.text);
    }
    mig_job_put(job);
    tp_close(tp);
}
