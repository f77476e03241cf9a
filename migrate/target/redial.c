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

static const char *const link_names[TARGET_LINKS] = {
    "none", "first", "up", "awaited", "owed", "superseded", "starts", "down", "closed"};

static const uint64_t link_arcs[TARGET_LINKS] = {
    [LINK_NONE] = VF_ARC(LINK_FIRST) | VF_ARC(LINK_CLOSED),
    [LINK_FIRST] = VF_ARC(LINK_UP) | VF_ARC(LINK_CLOSED),
    /* Before STATE, and again in the hand-off: the source may come back to both. */
    [LINK_UP] = VF_ARC(LINK_UP) | VF_ARC(LINK_AWAITED) | VF_ARC(LINK_OWED) | VF_ARC(LINK_CLOSED),
    [LINK_AWAITED] = VF_ARC(LINK_SUPERSEDED) | VF_ARC(LINK_STARTS) | VF_ARC(LINK_DOWN),
    [LINK_OWED] = VF_ARC(LINK_STARTS) | VF_ARC(LINK_DOWN),
    /* It came back after all, a moment earlier. */
    [LINK_SUPERSEDED] = VF_ARC(LINK_STARTS) | VF_ARC(LINK_CLOSED),
    [LINK_STARTS] = VF_ARC(LINK_UP) | VF_ARC(LINK_DOWN),
    [LINK_DOWN] = VF_ARC(LINK_CLOSED),
};

static const struct vf_fsm_table link_table = {"link", link_names, link_arcs, TARGET_LINKS};

void target_init_link(struct target *t)
{
    vf_fsm_init(&t->link, &link_table, t->job->fsm.id, LINK_NONE);
}

static bool link_is(const struct target *t, uint64_t states)
{
    return (states & VF_ARC(vf_fsm_get(&t->link))) != 0;
}

static void set_link(struct target *t, enum target_link state, const char *why)
{
    (void)vf_fsm_set(&t->link, state, why);
}

bool target_linked(const struct target *t)
{
    return !link_is(t, VF_ARC(LINK_NONE) | VF_ARC(LINK_STARTS) | VF_ARC(LINK_DOWN));
}

void target_first_link(struct target *t)
{
    set_link(t, LINK_FIRST, "started");
}

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
    if (target_linked(t))
        control_wake(&t->control);
    vf_cond_broadcast(&t->changed);
    vf_unlock(&t->lock);
}

void target_note(void *ctx, const char *text)
{
    struct target *t = ctx;

    vf_lock(&t->lock);
    if (target_linked(t))
        control_note(&t->control, text);
    vf_unlock(&t->lock);
}

void target_hear_note(void *ctx, const char *text)
{
    stand_peer(((struct target *)ctx)->job, text);
}

/* Under t->lock: the new connection, with what was said there first; NULL: there is none. */
static struct tp *take_again(struct target *t, struct wire_message *said)
{
    struct tp *tp = t->again;

    *said = t->said;
    t->again = NULL;
    t->said = (struct wire_message){0};
    return tp;
}

/* The source on a new connection; NULL: it did not come. */
static struct tp *await_again(struct target *t, enum target_link as, uint64_t deadline,
                              struct wire_message *said)
{
    struct tp *tp;

    vf_lock(&t->lock);
    set_link(t, as, "lost");
    while (t->again == NULL && !t->woken && link_is(t, VF_ARC(as)) &&
           vf_cond_wait_until(&t->changed, &t->lock, deadline))
        continue;
    tp = take_again(t, said);
    if (tp != NULL)
        set_link(t, LINK_STARTS, "the source is back");
    else if (link_is(t, VF_ARC(as)))
        set_link(t, LINK_DOWN, "the source did not come back");
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
    set_link(t, LINK_UP, "the source has a token");
    vf_unlock(&t->lock);
}

int target_relink(struct target *t, enum target_link as, uint64_t deadline, struct vf_error *err)
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
    tp = await_again(t, as, deadline, &said);
    stand_calls(job, NULL);
    if (tp == NULL)
        return -1;
    control_stop(&t->control);
    result = control_start_heard(&t->control, tp, &said, job->mig->silence_ns, target_control_down,
                                 t, err);
    if (result == 0)
        control_on_note(&t->control, target_hear_note);
    vf_lock(&t->lock);
    set_link(t, result == 0 ? LINK_UP : LINK_DOWN, result == 0 ? "started" : err->text);
    if (result == 0 && t->woken)
        control_wake(&t->control); /* it fell between two links and is not repeated */
    vf_unlock(&t->lock);
    return result;
}

void target_close_link(struct target *t)
{
    struct wire_message said;
    struct tp *tp;

    vf_lock(&t->lock);
    if (!link_is(t, VF_ARC(LINK_CLOSED)))
        set_link(t, LINK_CLOSED, "the job is over");
    tp = take_again(t, &said);
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
        given = !link_is(t, VF_ARC(LINK_NONE) | VF_ARC(LINK_FIRST) | VF_ARC(LINK_CLOSED)) &&
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
            if (target_linked(t))
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
