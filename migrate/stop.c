// SPDX-License-Identifier: Apache-2.0
/* A forced stop of the host, which drops its partitions: what it waits for, what it calls off, and
 * what may not begin any more. */
#define LOG_ROOM "migrate"
#include "migrate/mig.h"

#include "base/log.h"
#include "base/thread.h"
#include "migrate/target/target.h"

int mig_commit_begin(struct mig *mig, struct vf_error *err)
{
    bool stopping;

    vf_lock(&mig->lock);
    stopping = mig->stopping > 0;
    mig->commits += !stopping;
    vf_unlock(&mig->lock);
    return !stopping ? 0
                     : vf_fail(err, VF_FAILED,
                               "host %s is being stopped and drops its partitions; none is taken "
                               "over any more",
                               mig->host_name);
}

void mig_commit_end(struct mig *mig)
{
    vf_lock(&mig->lock);
    mig->commits--;
    vf_cond_broadcast(&mig->idle);
    vf_unlock(&mig->lock);
}

/* A target that is PREPARED cannot call the move off, and waits for a COMMIT that it would not
 * take. Whoever has committed, or asks whether it was, ends by itself. */
static void stop_job(struct mig_job *job)
{
    if (mig_job_wait(job, 0, UINT64_MAX))
        return;
    (void)mig_job_cancel(job, NULL);
    if (job->side == MIG_TARGET && !job_with_file(job) && vf_fsm_get(&job->fsm) != JOB_COMMITTED)
        job_leave(job);
}

void mig_stop_begin(struct mig *mig, uint64_t deadline_ns)
{
    vf_lock(&mig->lock);
    mig->stopping++;
    vf_cond_broadcast(&mig->idle);
    vf_unlock(&mig->lock);
    log_info("stopped by force: no partition is taken over any more");
    vf_lock(&mig->lock);
    while (mig->commits > 0 && vf_cond_wait_until(&mig->idle, &mig->lock, deadline_ns))
        continue;
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next)
        stop_job(job);
    for (struct target *t = mig->targets; t != NULL; t = t->next)
        stop_job(t->job);
    vf_unlock(&mig->lock);
}

void mig_stop_undo(struct mig *mig)
{
    vf_lock(&mig->lock);
    mig->stopping--;
    vf_unlock(&mig->lock);
}
