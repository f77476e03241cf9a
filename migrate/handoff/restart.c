// SPDX-License-Identifier: Apache-2.0
/* See restart.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/restart.h"

#include "base/log.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NOTE "interrupted by the daemon's end; the next one starts it over: "
#define FIELDS                                                                                     \
    "max_blackout_ns %" SCNu64 " max_time_ns %" SCNu64 " bandwidth %" SCNu64                       \
    " verify %u streams %" SCNu32

void restart_note(const struct mig_options *options, char *text, size_t bytes)
{
    (void)snprintf(text, bytes,
                   NOTE "max_blackout_ns %" PRIu64 " max_time_ns %" PRIu64 " bandwidth %" PRIu64
                        " verify %u streams %" PRIu32,
                   options->max_blackout_ns, options->max_time_ns, options->bandwidth,
                   (unsigned)options->verify, options->streams);
}

bool restart_wanted(const char *text, struct mig_options *options)
{
    unsigned verify;

    mig_options_init(options);
    if (strncmp(text, NOTE, strlen(NOTE)) != 0 ||
        sscanf(text + strlen(NOTE), FIELDS, &options->max_blackout_ns, &options->max_time_ns,
               &options->bandwidth, &verify, &options->streams) != 5)
        return false;
    options->verify = verify == MIG_VERIFY_FULL ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
    return true;
}

/* The wish is used up before it is followed: a daemon that dies here must not move twice. */
static bool settle(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    if (mig_journal(job, JOURNAL_SETTLED, "interrupted by the daemon's end; started over", &err) ==
        0)
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
                job_update(old, (void)vf_fail(&old->error, old->error.code,
                                              "the daemon of host %s was ended during the move; "
                                              MIG_STARTED_OVER "%" PRIu64,
                                              old->host_name, job->id));
                mig_event(mig, "job", "job %" PRIu64 " starts over as job %" PRIu64, old->id,
                          job->id);
                mig_job_put(job);
            } else {
                mig_event(mig, "job", "job %" PRIu64 " is not started over: %s", old->id, err.text);
            }
        }
        mig_job_put(old);
    }
}
