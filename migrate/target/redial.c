// SPDX-License-Identifier: Apache-2.0
/*
 * A source whose connection broke during the hand-off comes back (docs/wire-format.md, "Redial"):
 * to say ABORT when it runs the partition itself, or COMMIT again when it cannot know whether the
 * first one arrived. The token that ADMITTED gave it says who it is.
 */
#define LOG_ROOM "migrate"
#include "migrate/net/peer.h"
#include "migrate/job/stand.h"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void target_control_down(void *ctx)
{
    struct target *t = ctx;

    /* Waiters of the attachment look at the link again. */
    vf_lock(&t->lock);
    target_call_off(t);
    vf_cond_broadcast(&t->changed);
    vf_unlock(&t->lock);
}

void target_wake(void *ctx)
{
    struct target *t = ctx;

    vf_lock(&t->lock);
    t->woken = true;
    target_call_off(t);
    if (t->linked)
        control_wake(&t->control);
    vf_cond_broadcast(&t->changed);
    vf_unlock(&t->lock);
}

void target_note(void *ctx, const char *text)
{
    struct target *t = ctx;

    vf_lock(&t->lock);
    if (t->linked)
        control_note(&t->control, text);
    vf_unlock(&t->lock);
}

void target_hear_note(void *ctx, const char *text)
{
    stand_peer(((struct target *)ctx)->job, text);
}

/* The new connection, with what was said there first; or NULL. */
static struct tp *await_again(struct target *t, uint64_t deadline, struct wire_message *said)
{
    struct tp *tp;

    vf_lock(&t->lock);
    while (t->again == NULL && !t->woken && !t->superseded &&
           vf_cond_wait_until(&t->changed, &t->lock, deadline))
        continue;
    tp = t->again;
    *said = t->said;
    t->again = NULL;
    t->said = (struct wire_message){0};
    vf_unlock(&t->lock);
    return tp;
}

uint64_t target_redial_deadline(const struct target *t)
{
    const struct mig *mig = t->job->mig;

    /* Longer than the source tries: it may notice the loss later than this side. */
    return vf_now_ns() + mig->redial_ns + 4 * mig->silence_ns;
}

void target_welcome_back(struct target *t)
{
    vf_lock(&t->lock);
    t->redial = true;
    vf_unlock(&t->lock);
}

int target_relink(struct target *t, uint64_t deadline, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message said;
    struct tp *tp;
    int result;

    log_warn("job %" PRIu64 ": waiting for the source: %s", job->id, err->text);
    stand_peer(job, "");
    stand_waits(job, "host %s to come back on a new connection", job->peer_name);
    job_update(job, (void)snprintf(job->phase, sizeof job->phase, "link-lost"));
    control_cut(&t->control);
    tp = await_again(t, deadline, &said);
    stand_calls(job, NULL);
    if (tp == NULL)
        return -1;
    vf_lock(&t->lock);
    t->linked = false;
    vf_unlock(&t->lock);
    control_stop(&t->control);
    result = control_start_heard(&t->control, tp, &said, job->mig->silence_ns, target_control_down,
                                 t, err);
    if (result == 0)
        control_on_note(&t->control, target_hear_note);
    vf_lock(&t->lock);
    t->linked = result == 0;
    if (t->linked && t->woken)
        control_wake(&t->control); /* it fell between two links and is not repeated */
    vf_unlock(&t->lock);
    return result;
}

void target_end_redial(struct target *t)
{
    struct wire_message said;
    struct tp *tp;

    vf_lock(&t->lock);
    t->redial = false;
    tp = t->again;
    said = t->said;
    t->again = NULL;
    t->said = (struct wire_message){0};
    vf_unlock(&t->lock);
    wire_message_free(&said);
    tp_close(tp);
}

/* Under mig's lock: is it the hand-off of a job that still runs? Then connection and message
 * are its. */
static bool give(struct mig *mig, struct tp *tp, const struct wire_hello *hello,
                 struct wire_message *said)
{
    bool given = false;

    for (struct target *t = mig->targets; t != NULL && !given; t = t->next) {
        vf_lock(&t->lock);
        /* A RESUME that comes late must not take the line from the one after it. */
        given = t->redial &&
                (said->tag != WIRE_RESUME || said->resume.generation > t->plan.generation) &&
                memcmp(t->token, hello->token, sizeof t->token) == 0 &&
                memcmp(t->job->uuid, hello->job, sizeof t->job->uuid) == 0 &&
                mig_same_peer(t->job, tp);
        if (given) {
            tp_close(t->again); /* the source has left that one */
            wire_message_free(&t->said);
            t->again = tp;
            t->said = *said;
            *said = (struct wire_message){0};
            /* The source knows best that the old connection is of no use. */
            if (t->linked)
                control_cut(&t->control);
            vf_cond_broadcast(&t->changed);
        }
        vf_unlock(&t->lock);
    }
    return given;
}

void target_redialled(struct mig *mig, struct tp *tp, const struct mig_peer *peer)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message said;
    bool given;

    /* First what it wants: a question must not take the line from a hand-off that goes well. */
    if (wire_hear(tp, &said, vf_now_ns() + mig->silence_ns, &err) != 0) {
        log_info("%s", err.text);
        tp_close(tp);
        return;
    }
    vf_lock(&mig->lock);
    given = said.tag != WIRE_INQUIRE && give(mig, tp, &peer->hello, &said);
    vf_unlock(&mig->lock);
    if (!given)
        reply_to(mig, tp, peer, &said);
    wire_message_free(&said);
}
