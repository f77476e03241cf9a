// SPDX-License-Identifier: Apache-2.0
/* See reply.h: who is asked, and what is told of it. What a COMMIT or an ABORT does:
 * reply_handoff.c.
 */
#define LOG_ROOM "migrate"
#include "migrate/handoff/reply.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/account.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/recover.h"
#include "migrate/net/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A job's last steps after its hand-off: its channels close, its books too. */
#define ENDING_NS 1000000000ull

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
    *out = (struct wire_account){.id = handoff_of(job), .side = job->side};
    if (found > 0)
        out->held = wire_copy_of((enum vf_partition_state)copy.state);
    vf_lock(&job->lock);
    out->record =
        job->journal != JOB_UNRECORDED ? wire_journal_of(job->last_kind) : WIRE_JOURNAL_NONE;
    out->runs = job->last_runs;
    out->job_running = !job_ended(job);
    out->time_ns = job->last_ns;
    (void)snprintf(out->text, sizeof out->text, "%s", job->last_text);
    vf_unlock(&job->lock);
    return 0;
}

/* ---- who is asked ---- */

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

/* COMMIT or ABORT, one at a time. */
static int serve_claimed(struct mig_job *job, struct tp *tp, uint16_t version,
                         const struct wire_message *message, struct vf_error *err)
{
    struct kc *kc;
    int result;

    if (job_unsure(job))
        return vf_fail(err, VF_FAILED,
                       "the journal of host %s does not tell until its vferryd is restarted",
                       job->host_name);
    if (message->tag == WIRE_COMMIT && !handoff_same(job, &message->handoff))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is about another hand-off", job->id);
    if (kc_connect(job->mig->kernel_socket, &kc, err) != 0)
        return -1;
    result = reply_handoff(job, kc, tp, version, message, err);
    kc_close(kc);
    return result;
}

static int serve_inquiry(struct mig_job *job, struct tp *tp, const struct wire_message *message,
                         struct vf_error *err)
{
    struct wire_message account = {.tag = WIRE_ACCOUNT};

    if (!handoff_same(job, &message->handoff))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is about another hand-off", job->id);
    if (reply_account(job, &account.account, err) != 0)
        return -1;
    return wire_say(tp, &account, vf_now_ns() + job->mig->silence_ns, err);
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
                 const struct wire_message *message, struct vf_error *err)
{
    uint64_t now = vf_now_ns();
    int result;

    log_info("job %" PRIu64 ": its %s asks: %s", job->id,
             job->side == MIG_SOURCE ? "target" : "source", wire_tag_name(message->tag));
    if (message->tag == WIRE_INQUIRE)
        return serve_inquiry(job, tp, message, err);
    if (message->tag == WIRE_RESUME && job->side == MIG_TARGET)
        return serve_resume(job, err);
    if (job->side == MIG_SOURCE || (message->tag != WIRE_COMMIT && message->tag != WIRE_ABORT))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is %s here, %s changes nothing", job->id,
                       vf_fsm_name(&job->fsm), wire_tag_name(message->tag));
    /* Whoever has it may be asking that very peer in vain; it waits for us no longer than that. */
    if (!mig_job_wait(job, now + ENDING_NS, UINT64_MAX) ||
        !job_claim(job, now + job->mig->silence_ns / 4 * 3))
        return vf_fail(err, VF_FAILED, "job %" PRIu64 " is just ending; try again", job->id);
    result = serve_claimed(job, tp, version, message, err);
    job_unclaim(job);
    return result;
}

/* What a message that was not served is answered with. About a hand-off, only "committed" is the
 * last word, which reply_handoff says itself: that something failed here on the way to it may be
 * over the next time. */
static enum wire_code code_of(const struct wire_message *message, const struct vf_error *err)
{
    return message->tag == WIRE_RESUME ? wire_code_of(err->code) : WIRE_CODE_NOT_NOW;
}

void reply_to(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
              const struct wire_message *message)
{
    struct mig_job *job = find(mig, tp, &peer->hello);
    struct vf_error err = VF_ERROR_INIT;

    if (job == NULL)
        vf_fail(&err, VF_FAILED, "host %s has no record of that job", mig->host_name);
    if (job == NULL || serve(job, tp, peer->version, message, &err) != 0) {
        log_info("%s: %s", tp->peer, err.text); /* it may ask for ever: no event each time */
        wire_say_abort_as(tp, job == NULL ? WIRE_CODE_NO_RECORD : code_of(message, &err), err.text);
    }
    mig_job_put(job);
    tp_close(tp);
}
