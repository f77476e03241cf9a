// SPDX-License-Identifier: Apache-2.0
/* See restart.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/restart.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The journal's numbers are signed; nobody can tell such a limit from none. */
static uint64_t below_2_63(uint64_t value)
{
    return value <= INT64_MAX ? value : INT64_MAX;
}

void restart_wish(struct mig_job *job)
{
    vf_lock(&job->lock);
    job->restart =
        (struct journal_restart){.wanted = true,
                                 .verify_full = job->options.verify == MIG_VERIFY_FULL,
                                 .streams = job->options.streams,
                                 .throttle = job->options.throttle,
                                 .compress = job->options.compress,
                                 .max_blackout_ns = below_2_63(job->options.max_blackout_ns),
                                 .max_time_ns = below_2_63(job->options.max_time_ns),
                                 .bandwidth = below_2_63(job->options.bandwidth)};
    vf_unlock(&job->lock);
}

bool restart_wanted(struct mig_job *job)
{
    const struct journal_restart *restart = &job->restart;

    mig_options_init(&job->options);
    (void)snprintf(job->options.to, sizeof job->options.to, "%s", job->peer);
    if (!restart->wanted)
        return false;
    job->options.max_blackout_ns = restart->max_blackout_ns;
    job->options.max_time_ns = restart->max_time_ns;
    job->options.bandwidth = restart->bandwidth;
    job->options.verify = restart->verify_full ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
    job->options.streams = restart->streams;
    job->options.throttle = restart->throttle;
    job->options.compress = restart->compress;
    return true;
}

/* The wish is used up before it is followed: a daemon that dies here must not move twice. */
static bool settle(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    if (mig_journal_settled(job, MIG_SOURCE, "interrupted by the daemon's end; started over",
                            &err) == 0)
        return true;
    log_error("job %" PRIu64 ": not started over: %s", job->id, err.text);
    return false;
}

void restart_moves(struct mig *mig)
{
    uint64_t ids[MIG_KEPT_JOBS];
    size_t count = 0;

    /* Starting changes the list: first whom, then how. The newest come first. */
    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && count < MIG_KEPT_JOBS; job = job->next) {
        if (job->start_over)
            ids[count++] = job->id;
    }
    vf_unlock(&mig->lock);
    while (count-- > 0) {
        struct mig_job *old = mig_job_get(mig, ids[count]);
        struct vf_error err = VF_ERROR_INIT;
        struct mig_job *job;

        if (old == NULL)
            continue;
        if (settle(old)) {
            if (mig_source_start(mig, old->partition, &old->options, &job, &err) == 0) {
                job_update(old, {
                    old->started_over_as = job->id;
                    (void)vf_fail(&old->error, old->error.code,
                                  "the daemon of host %s was ended during the move; started over "
                                  "as job %" PRIu64,
                                  old->host_name, job->id);
                });
                mig_event(mig, old->id, vf_realtime_ns(),
                          "job %" PRIu64 " starts over as job %" PRIu64, old->id, job->id);
                mig_job_put(job);
            } else {
                mig_event(mig, old->id, vf_realtime_ns(), "job %" PRIu64 " is not started over: %s",
                          old->id, err.text);
            }
        }
        mig_job_put(old);
    }
}
