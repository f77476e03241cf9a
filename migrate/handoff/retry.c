// SPDX-License-Identifier: Apache-2.0
/* See retry.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/retry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/redial.h"

#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>

/* A peer that comes is asked at once, but one that was asked just now is not: it may have come to
 * ask us, and two that cannot help each other would go on asking for ever. */
#define AGAIN_NS 1000000000ull

void retry_init(struct mig *mig)
{
    vf_cond_init(&mig->retry_due);
}

void retry_kick_locked(struct mig *mig)
{
    vf_cond_broadcast(&mig->retry_due);
}

void retry_kick(struct mig *mig)
{
    vf_lock(&mig->lock);
    retry_kick_locked(mig);
    vf_unlock(&mig->lock);
}

void retry_peer_is_back(struct mig *mig, const char *address)
{
    if (address[0] == '\0')
        return;
    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        if (strcmp(job->peer, address) == 0 && job->due_ns > job->tried_ns + AGAIN_NS)
            job->due_ns = job->tried_ns + AGAIN_NS;
    }
    retry_kick_locked(mig);
    vf_unlock(&mig->lock);
}

/* Under mig->lock: whose turn it is, with a reference, and whether it is its first; or NULL and
 * *until = when to look again. */
static struct mig_job *next_due(struct mig *mig, uint64_t *until, bool *first)
{
    struct mig_job *best = NULL;
    uint64_t now = vf_now_ns();

    *until = TP_NEVER;
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        /* A job whose thread lives brings its words itself. */
        if (!mig_job_wait(job, 0, UINT64_MAX) || redial_owed(job) == SAY_NOTHING)
            continue;
        if (job->due_ns > now)
            *until = job->due_ns < *until ? job->due_ns : *until;
        else if (best == NULL || job->due_ns < best->due_ns)
            best = job;
    }
    if (best != NULL) {
        *first = best->wait_ns == 0;
        atomic_fetch_add(&best->refs, 1u);
    }
    return best;
}

/* A peer that could not be reached for one job is not tried for the next one at once. */
static void postpone(struct mig *mig, struct mig_job *failed)
{
    uint64_t due;

    vf_lock(&mig->lock);
    failed->tried_ns = vf_now_ns();
    due = failed->tried_ns + redial_back_off(&failed->wait_ns);
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        if (job == failed || (strcmp(job->peer, failed->peer) == 0 && job->due_ns < due))
            job->due_ns = due;
    }
    vf_unlock(&mig->lock);
}

/* The job's state follows what has become known. */
static void conclude(struct mig_job *job, enum job_state end, const struct vf_error *err)
{
    if (job_status(job) == MIG_UNKNOWN)
        job_outcome_known(job, end, err);
    else
        log_info("job %" PRIu64 ": host %s knows now how the move of partition %s ended", job->id,
                 ending_peer(job), job->partition);
}

static void try_once(struct mig *mig, struct mig_job *job, bool first)
{
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end = JOB_UNKNOWN;
    struct kc *kc = NULL;
    bool done = false;

    if (job_claim(job, 0)) {
        /* Its last look was without the claim. */
        done = redial_owed(job) == SAY_NOTHING;
        if (!done && kc_connect(mig->kernel_socket, &kc, &err) == 0 &&
            redial_try(job, kc, EVENT_DUE, &end, &err) == 0) {
            conclude(job, end, &err);
            done = true;
        }
        kc_close(kc);
        job_unclaim(job);
    }
    if (done)
        return;
    if (first)
        log_warn("job %" PRIu64 ": host %s is to be %s the move of partition %s ended, which is "
                 "tried again and again: %s",
                 job->id, ending_peer(job),
                 job_status(job) == MIG_UNKNOWN ? "asked how" : "told that", job->partition,
                 err.text);
    else
        log_debug("job %" PRIu64 ": host %s cannot be told or asked yet: %s", job->id,
                  ending_peer(job), err.text);
    postpone(mig, job);
}

static void *retry_main(void *arg)
{
    struct mig *mig = arg;

    (void)prctl(PR_SET_NAME, "retry");
    vf_lock(&mig->lock);
    while (!mig->closing) {
        uint64_t until;
        bool first = false;
        struct mig_job *job = next_due(mig, &until, &first);

        if (job != NULL) {
            vf_unlock(&mig->lock);
            try_once(mig, job, first);
            mig_job_put(job);
            vf_lock(&mig->lock);
        } else {
            (void)vf_cond_wait_until(&mig->retry_due, &mig->lock, until);
        }
    }
    vf_unlock(&mig->lock);
    mig_thread_over(mig);
    return NULL;
}

int retry_start(struct mig *mig, struct vf_error *err)
{
    return mig_spawn_own(mig, retry_main, "retry thread", err);
}

void retry_job_over(struct mig_job *job, enum job_state state)
{
    job_over(job, state);
    if (redial_owed(job) != SAY_NOTHING)
        retry_kick(job->mig);
}
