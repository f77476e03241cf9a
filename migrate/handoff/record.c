// SPDX-License-Identifier: Apache-2.0
/* What a job has in the journal: each of its records is made here (mig.h). */
#include "migrate/mig.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"
#include "migrate/handoff/copy.h"

#include <stdio.h>
#include <string.h>

/* A record was not written; `perhaps`: or it was. Where the two readings of the journal give the
 * partition to different ends, nothing may be done before a restart has read it. */
static void fail_record(struct mig_job *job, const struct journal_record *record, bool perhaps)
{
    enum handoff_record becomes = handoff_record_of(record->kind, record->runs);
    enum handoff_record is = RECORD_NONE;

    vf_lock(&job->lock);
    if (job->journal != JOB_UNRECORDED)
        is = handoff_record_of(job->last_kind, job->last_runs);
    vf_unlock(&job->lock);
    if (perhaps && handoff_splits(is, becomes))
        job_update(job, job->journal = JOB_UNSURE);
}

static int write_record(struct mig_job *job, enum journal_kind kind, enum mig_side runs,
                        const char *text, struct vf_error *err)
{
    struct journal_record record = {.id = job->id,
                                    .kind = kind,
                                    .side = job->side,
                                    .operation = job->operation,
                                    .runs = runs,
                                    .cancelled = kind == JOURNAL_ABORTED && job->called_off,
                                    .epoch = job->epoch,
                                    .stays_paused = job->stays_paused};
    struct vf_error why = VF_ERROR_INIT;

    memcpy(record.job, job->uuid, sizeof record.job);
    memcpy(record.partition, job->partition, sizeof record.partition);
    memcpy(record.uuid, job->partition_uuid, sizeof record.uuid);
    memcpy(record.peer, job->peer, sizeof record.peer);
    (void)snprintf(record.identity, sizeof record.identity, "%s", job->identity);
    (void)snprintf(record.text, sizeof record.text, "%s", text);
    VF_FAULT_REWORD(record.text);
    record.time_ns = vf_realtime_ns();
    vf_lock(&job->lock);
    memcpy(record.token, job->token, sizeof record.token);
    record.owed = job->owes && kind != JOURNAL_DONE;
    if (kind == JOURNAL_ABORTED)
        record.restart = job->restart;
    vf_unlock(&job->lock);
    if (journal_write(job->mig->journal, &record, &why) != 0) {
        fail_record(job, &record, why.code == VF_UNKNOWN);
        return vf_fail(err, VF_FAILED, "%s", why.text);
    }
    job_recorded(job, &record);
    return 0;
}

int mig_journal(struct mig_job *job, enum journal_kind kind, const char *text, struct vf_error *err)
{
    return write_record(job, kind, MIG_SOURCE, text, err);
}

int mig_journal_settled(struct mig_job *job, enum mig_side runs, const char *text,
                        struct vf_error *err)
{
    return write_record(job, JOURNAL_SETTLED, runs, text, err);
}

int mig_journal_end(struct mig_job *job, const struct vf_error *end, struct vf_error *err)
{
    job->called_off = end->code == VF_CANCELLED;
    return write_record(job, JOURNAL_ABORTED, MIG_SOURCE, end->text, err);
}
