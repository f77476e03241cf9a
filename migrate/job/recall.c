// SPDX-License-Identifier: Apache-2.0
/* What this host knows of jobs and of where partitions went: by its list, and behind that by
 * its journal. */
#include "migrate/mig.h"

#include "base/thread.h"

#include <stdio.h>
#include <string.h>

struct mig_job *mig_job_get(struct mig *mig, uint64_t id)
{
    struct mig_job *job;

    vf_lock(&mig->lock);
    job = mig->jobs;
    while (job != NULL && job->id != id)
        job = job->next;
    if (job != NULL)
        atomic_fetch_add(&job->refs, 1u);
    vf_unlock(&mig->lock);
    return job;
}

bool mig_job_recalled(const struct mig_job *job)
{
    return job->recalled;
}

/* What the journal's newest word is about a partition of that name. */
struct whereabouts {
    const char *partition;
    uint64_t id;
    enum mig_side side;
    char peer[sizeof((struct journal_record *)0)->peer];
};

static void look_where(void *ctx, const struct journal_record *last)
{
    struct whereabouts *where = ctx;
    bool handed_over = last->kind == JOURNAL_DONE ||
                       (last->kind == JOURNAL_COMMITTED && last->side == MIG_TARGET) ||
                       (last->kind == JOURNAL_SETTLED && last->runs == MIG_TARGET);

    if (!handed_over || last->id < where->id || strcmp(last->partition, where->partition) != 0)
        return;
    where->id = last->id;
    where->side = last->side;
    memcpy(where->peer, last->peer, sizeof where->peer);
}

int mig_moved_to(struct mig *mig, const char *partition, char *to, size_t to_bytes)
{
    struct whereabouts where = {.partition = partition};

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && where.id == 0; job = job->next) {
        /* The newest completed word about this name is the one that counts. */
        if (strcmp(job->partition, partition) != 0 || job->options.dry_run ||
            job_status(job) != MIG_COMPLETED)
            continue;
        where.id = job->id;
        where.side = job->side;
        (void)snprintf(where.peer, sizeof where.peer, "%s", job->peer);
    }
    vf_unlock(&mig->lock);
    if (where.id == 0) /* the journal remembers more jobs than are listed */
        journal_each(mig->journal, look_where, &where);
    if (where.id == 0)
        return 0;
    (void)snprintf(to, to_bytes, "%s", where.peer);
    return where.side == MIG_SOURCE ? 1 : -1;
}

bool mig_had_since(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES], uint64_t epoch)
{
    bool had = false;

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && !had; job = job->next)
        had = job->side == MIG_TARGET && job_status(job) == MIG_COMPLETED && job->epoch >= epoch &&
              memcmp(job->partition_uuid, uuid, VF_UUID_BYTES) == 0;
    vf_unlock(&mig->lock);
    return had;
}

uint64_t mig_handed_over(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES])
{
    uint64_t id = 0;

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && id == 0; job = job->next) {
        vf_lock(&job->lock);
        if (job->side == MIG_SOURCE && !job_with_file(job) && job->journal != JOB_UNRECORDED &&
            job->last_kind == JOURNAL_COMMIT &&
            memcmp(job->partition_uuid, uuid, VF_UUID_BYTES) == 0)
            id = job->id;
        vf_unlock(&job->lock);
    }
    vf_unlock(&mig->lock);
    return id;
}
