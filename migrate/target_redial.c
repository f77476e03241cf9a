// SPDX-License-Identifier: Apache-2.0
/*
 * A source whose connection broke during the hand-off comes back (docs/wire-format.md, "Redial"):
 * to say ABORT when it runs the partition itself, or COMMIT again when it cannot know whether the
 * first one arrived. The token that ADMITTED gave it says who it is.
 */
#define LOG_ROOM "migrate"
#include "migrate/target.h"

#include "base/log.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void target_link_down(void *ctx)
{
    struct target *t = ctx;

    /* Waiters of the attachment look at the link again. */
    (void)pthread_mutex_lock(&t->lock);
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

void target_wake(void *ctx)
{
    struct target *t = ctx;

    (void)pthread_mutex_lock(&t->lock);
    t->woken = true;
    if (t->linked)
        link_wake(&t->link);
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

/* The new connection, or NULL. */
static struct tp *await_again(struct target *t, uint64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                             .tv_nsec = (long)(deadline % 1000000000u)};
    struct tp *tp;

    (void)pthread_mutex_lock(&t->lock);
    while (t->again == NULL && !t->woken && !t->superseded &&
           pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0)
        continue;
    tp = t->again;
    t->again = NULL;
    (void)pthread_mutex_unlock(&t->lock);
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
    (void)pthread_mutex_lock(&t->lock);
    t->redial = true;
    (void)pthread_mutex_unlock(&t->lock);
}

int target_relink(struct target *t, uint64_t deadline, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct tp *tp;
    int result;

    log_warn("job %" PRIu64 ": waiting for the source: %s", job->id, err->text);
    job_update(job, (void)snprintf(job->phase, sizeof job->phase, "link-lost"));
    link_cut(&t->link);
    tp = await_again(t, deadline);
    if (tp == NULL)
        return -1;
    (void)pthread_mutex_lock(&t->lock);
    t->linked = false;
    (void)pthread_mutex_unlock(&t->lock);
    link_stop(&t->link);
    result = link_start(&t->link, tp, job->mig->silence_ns, target_link_down, t, err);
    (void)pthread_mutex_lock(&t->lock);
    t->linked = result == 0;
    if (t->linked && t->woken)
        link_wake(&t->link); /* it fell between two links and is not repeated */
    (void)pthread_mutex_unlock(&t->lock);
    return result;
}

void target_end_redial(struct target *t)
{
    struct tp *tp;

    (void)pthread_mutex_lock(&t->lock);
    t->redial = false;
    tp = t->again;
    t->again = NULL;
    (void)pthread_mutex_unlock(&t->lock);
    tp_close(tp);
}

/* Under mig's lock: is it the hand-off of a job that still runs? Then the connection is its. */
static bool give(struct mig *mig, struct tp *tp, const struct wire_hello *hello)
{
    bool given = false;

    for (struct target *t = mig->targets; t != NULL && !given; t = t->next) {
        (void)pthread_mutex_lock(&t->lock);
        given = t->redial &&
                (hello->generation == 0 || hello->generation > t->plan.generation) &&
                memcmp(t->token, hello->token, sizeof t->token) == 0 &&
                memcmp(t->job->uuid, hello->job, sizeof t->job->uuid) == 0;
        if (given) {
            tp_close(t->again); /* the later one is the one that the source is on */
            t->again = tp;
            /* The source knows best that the old connection is of no use. */
            if (t->linked)
                link_cut(&t->link);
            (void)pthread_cond_broadcast(&t->changed);
        }
        (void)pthread_mutex_unlock(&t->lock);
    }
    return given;
}

/* Under mig's lock: the job that the source means, with a reference. */
static struct mig_job *find(struct mig *mig, const struct wire_hello *hello)
{
    static const uint8_t none[WIRE_ID_BYTES];

    if (memcmp(hello->token, none, sizeof none) == 0)
        return NULL;
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        bool same;

        (void)pthread_mutex_lock(&job->lock);
        same = !job->source && memcmp(job->uuid, hello->job, sizeof job->uuid) == 0 &&
               memcmp(job->token, hello->token, sizeof job->token) == 0;
        (void)pthread_mutex_unlock(&job->lock);
        if (same) {
            atomic_fetch_add(&job->refs, 1u);
            return job;
        }
    }
    return NULL;
}

/* COMMIT came again and the partition runs here; or ABORT, and nothing is left here. Anything else:
 * this side cannot help. */
static int answer_over(struct mig_job *job, struct tp *tp, const struct wire_message *asked,
                       struct vf_error *err)
{
    struct wire_message answer = {.tag = WIRE_CLOSE};
    uint64_t deadline = vf_now_ns() + job->mig->silence_ns;
    enum mig_status status = job_status(job);

    if (asked->tag == WIRE_ABORT && (status == MIG_FAILED || status == MIG_CANCELLED))
        return wire_say(tp, &answer, deadline, err);
    if (asked->tag == WIRE_COMMIT && status == MIG_COMPLETED &&
        asked->handoff.epoch == job->epoch &&
        memcmp(asked->handoff.uuid, job->partition_uuid, sizeof job->partition_uuid) == 0) {
        struct wire_message done;

        answer.tag = WIRE_RUNNING;
        answer.running.id = asked->handoff;
        memcpy(answer.running.id.job, job->uuid, sizeof job->uuid);
        answer.running.resume_ns = job->t.resume;
        answer.running.first_run_ns = job->t.first_run;
        if (wire_say(tp, &answer, deadline, err) != 0 ||
            wire_expect(tp, WIRE_DONE, &done, deadline, err) != 0)
            return -1;
        wire_message_free(&done);
        answer = (struct wire_message){.tag = WIRE_CLOSE};
        return wire_say(tp, &answer, deadline, err);
    }
    if (asked->tag == WIRE_RESUME) {
        *err = job->error;
        return vf_context(err, "job %" PRIu64 " is over on host %s", job->id, job->host_name);
    }
    return vf_fail(err, VF_UNKNOWN, "job %" PRIu64 " is %s here, %s changes nothing", job->id,
                   vf_fsm_name(&job->fsm), wire_tag_name(asked->tag));
}

static void serve_over(struct mig_job *job, struct tp *tp)
{
    struct wire_message asked;
    struct vf_error err = VF_ERROR_INIT;

    if (!mig_job_wait(job, 0, UINT64_MAX)) {
        /* It is just ending, or this connection is an old one: not a word that might be taken for
         * the last. When the source tries again it is over. */
        log_info("job %" PRIu64 ": a connection that comes too early or too late", job->id);
    } else if (wire_hear(tp, &asked, vf_now_ns() + job->mig->silence_ns, &err) == 0) {
        log_info("job %" PRIu64 ": the source asks again: %s", job->id, wire_tag_name(asked.tag));
        if (answer_over(job, tp, &asked, &err) == 0)
            err.code = VF_OK;
        wire_message_free(&asked);
    }
    if (err.code != VF_OK) {
        log_warn("%s", err.text);
        wire_say_abort(tp, &err);
    }
    tp_close(tp);
}

bool target_redialled(struct mig *mig, struct tp *tp, const struct wire_hello *hello)
{
    struct mig_job *job = NULL;
    bool given;

    (void)pthread_mutex_lock(&mig->lock);
    given = give(mig, tp, hello);
    if (!given)
        job = find(mig, hello);
    (void)pthread_mutex_unlock(&mig->lock);
    if (job != NULL)
        serve_over(job, tp);
    mig_job_put(job);
    return given || job != NULL;
}
