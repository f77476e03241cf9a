// SPDX-License-Identifier: Apache-2.0
/* The limits of a move that is under way: a person changes them here; its thread reads them anew
 * before each decision (source/limits.c). */
#define LOG_ROOM "migrate"
#include "migrate/mig.h"

#include "base/size.h"
#include "base/thread.h"

#include <inttypes.h>

void mig_change_init(struct mig_change *change)
{
    *change = (struct mig_change){MIG_AS_IT_IS, MIG_AS_IT_IS, MIG_AS_IT_IS};
}

static int refuse(const struct mig_job *job, const char *why, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "job %" PRIu64 ": %s; nothing was changed", job->id, why);
}

/* Under job->lock. */
static void take(struct mig_job *job, const struct mig_change *change)
{
    if (change->bandwidth != MIG_AS_IT_IS)
        job->options.bandwidth = change->bandwidth;
    if (change->max_blackout_ns != MIG_AS_IT_IS)
        job->options.max_blackout_ns = change->max_blackout_ns;
    if (change->max_time_ns != MIG_AS_IT_IS)
        job->options.max_time_ns = change->max_time_ns;
    if (job->retune != NULL)
        job->retune(job->wake_ctx);
    job->change++;
    vf_cond_broadcast(&job->changed);
}

int mig_job_set(struct mig_job *job, const struct mig_change *change, struct vf_error *err)
{
    const char *why = NULL;

    if (change->max_blackout_ns == 0)
        return vf_fail(err, VF_USAGE, "job set: --max-blackout 0: a move needs some blackout");
    if (change->bandwidth == MIG_AS_IT_IS && change->max_blackout_ns == MIG_AS_IT_IS &&
        change->max_time_ns == MIG_AS_IT_IS)
        return vf_fail(err, VF_USAGE,
                       "job set: says nothing to change; give --bandwidth, --max-blackout or "
                       "--max-time");
    if (job_with_file(job) || job->options.dry_run)
        return refuse(job, "only a move has such limits", err);
    if (job->side == MIG_TARGET)
        return refuse(job, "its limits are the source's; say it there", err);
    vf_lock(&job->lock);
    if (job_ended(job))
        why = "is over";
    else if (vf_fsm_get(&job->fsm) >= JOB_PAUSED)
        why = "the pause has begun, its limits are fixed";
    else
        take(job, change);
    vf_unlock(&job->lock);
    return why == NULL ? 0 : refuse(job, why, err);
}
