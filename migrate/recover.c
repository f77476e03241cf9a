// SPDX-License-Identifier: Apache-2.0
/*
 * After a restart of the daemon (the kernel side lived on):
 *   source, no COMMIT in the journal      the partition runs on here: End, resume
 *   source, COMMIT                        unknown: kept paused, nobody here may resume it
 *   a save, COMMIT                        its file is whole: destroy
 *   target, not PREPARED                  nothing stays: End, destroy
 *   target, PREPARED without COMMITTED    unknown: kept paused
 *   target or restore, COMMITTED          rolled forward: it runs here
 */
#define LOG_ROOM "migrate"
#include "migrate/recover.h"

#include "base/log.h"
#include "kernel/client.h"
#include "migrate/restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct recovery {
    struct mig *mig;
    struct kc *kc;
    struct vf_partition_info *list;
    size_t count;
    bool failed;
    struct vf_error err;
};

static uint64_t now_realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const struct vf_partition_info *find(const struct recovery *r,
                                            const uint8_t uuid[VF_UUID_BYTES])
{
    for (size_t i = 0; i < r->count; i++) {
        if (memcmp(r->list[i].uuid, uuid, VF_UUID_BYTES) == 0)
            return &r->list[i];
    }
    return NULL;
}

/* Brings the partition to rest on the source side. */
static int run_on(struct recovery *r, const struct vf_partition_info *p, bool stays_paused,
                  struct vf_error *err)
{
    bool paused = p->state == VF_PARTITION_OUTGOING_PAUSED && !stays_paused;

    if (kc_end(r->kc, p->id, err) != 0)
        return -1;
    return paused ? kc_partition_resume(r->kc, p->id, err) : 0;
}

static int discard(struct recovery *r, const struct vf_partition_info *p, struct vf_error *err)
{
    if (p->state == VF_PARTITION_INCOMING)
        (void)kc_end(r->kc, p->id,
                     err); /* it may not have been prepared yet: then there is nothing to end */
    return kc_partition_destroy(r->kc, p->id, err);
}

static bool in_move(const struct vf_partition_info *p)
{
    return p != NULL &&
           (p->state == VF_PARTITION_OUTGOING || p->state == VF_PARTITION_OUTGOING_PAUSED ||
            p->state == VF_PARTITION_INCOMING || p->state == VF_PARTITION_READY);
}

/* Its file is whole and named: what is still here of the partition goes, in whatever state the save
 * left it. One of a later epoch is not it: it was restored since. */
static int finish_save(struct recovery *r, const struct mig_job *job,
                       const struct vf_partition_info *p, struct vf_error *err)
{
    if (p == NULL || p->epoch >= job->epoch || p->state == VF_PARTITION_DYING)
        return 0;
    return kc_end(r->kc, p->id, err) != 0 ? -1 : kc_partition_destroy(r->kc, p->id, err);
}

/* What became of a job, by its last record and the state of its partition; acts where one side may.
 */
static enum job_state settle(struct recovery *r, struct mig_job *job,
                             const struct journal_record *last, struct vf_error *err)
{
    const struct vf_partition_info *p = find(r, last->uuid);
    bool source = last->side == JOURNAL_SOURCE;
    bool here = in_move(p);
    bool stays_paused = strcmp(last->text, MIG_STAYS_PAUSED) == 0;

    switch (last->kind) {
    case JOURNAL_DONE:
        return JOB_COMPLETED;
    case JOURNAL_ABORTED:
        job->start_over = source && restart_wanted(last->text, &job->options) && p != NULL &&
                          now_realtime_ns() - last->time_ns < RESTART_WITHIN_NS;
        (void)snprintf(job->options.to, sizeof job->options.to, "%s", job->peer);
        /* fall through */
    case JOURNAL_SETTLED:
        vf_fail(err, VF_FAILED, "%s", last->text[0] != '\0' ? last->text : "aborted");
        return JOB_FAILED;
    case JOURNAL_OPEN:
        if (here && (source ? run_on(r, p, stays_paused, err) : discard(r, p, err)) != 0) {
            log_error("job %llu: %s", (unsigned long long)last->id, err->text);
            return JOB_FAILED;
        }
        vf_fail(err, VF_FAILED, "the daemon ended during the %s; %s",
                job_with_file(job) ? job_kind(job) : "move",
                source ? "the partition runs on here" : "nothing is left of it here");
        (void)mig_journal(job, JOURNAL_ABORTED, err->text, NULL);
        return JOB_FAILED;
    case JOURNAL_COMMITTED:
        if (p != NULL && p->state == VF_PARTITION_READY &&
            (stays_paused ? kc_partition_pause(r->kc, p->id, err)
                          : kc_partition_resume(r->kc, p->id, err)) != 0)
            return JOB_UNKNOWN;
        if (p == NULL) {
            vf_fail(err, VF_UNKNOWN,
                    "committed to run here, but the kernel side no longer holds the partition");
            return JOB_UNKNOWN;
        }
        (void)mig_journal(job, JOURNAL_DONE, "rolled forward after a restart", NULL);
        return JOB_COMPLETED;
    case JOURNAL_COMMIT:
        if (job_with_file(job)) {
            if (finish_save(r, job, p, err) != 0)
                return JOB_UNKNOWN;
            (void)mig_journal(job, JOURNAL_DONE, "rolled forward after a restart", NULL);
            return JOB_COMPLETED;
        }
        /* fall through */
    case JOURNAL_PREPARED:
    default:
        vf_fail(err, VF_UNKNOWN,
                "the daemon ended between %s and the peer's answer; the partition is kept paused",
                journal_kind_name(last->kind));
        return JOB_UNKNOWN;
    }
}

static void recover_job(void *ctx, const struct journal_record *last)
{
    struct recovery *r = ctx;
    struct mig_job **jobs = &r->mig->jobs;
    struct mig_job *job = job_new(r->mig, last->id, last->job, last->side == JOURNAL_SOURCE);

    if (job == NULL) {
        r->failed = true;
        return;
    }
    job->recovered = true;
    memcpy(job->partition, last->partition, sizeof job->partition);
    memcpy(job->partition_uuid, last->uuid, sizeof job->partition_uuid);
    memcpy(job->peer, last->peer, sizeof job->peer);
    job->epoch = last->epoch;
    job->next = *jobs; /* by rising id: the newest ends up first */
    *jobs = job;
    /* Acting writes to the journal, which must not happen inside its own walk: remembered here,
     * done after it. */
    job->last_kind = (int)last->kind;
    job->last_ns = last->time_ns;
    (void)snprintf(job->error.text, sizeof job->error.text, "%s", last->text);
}

static void settle_all(struct recovery *r)
{
    for (struct mig_job *job = r->mig->jobs; job != NULL; job = job->next) {
        struct journal_record last = {.id = job->id,
                                      .kind = (enum journal_kind)job->last_kind,
                                      .side = job->source ? JOURNAL_SOURCE : JOURNAL_TARGET};
        struct vf_error err = VF_ERROR_INIT;
        enum job_state end;

        last.time_ns = job->last_ns;
        memcpy(last.uuid, job->partition_uuid, sizeof last.uuid);
        memcpy(last.text, job->error.text, sizeof last.text);
        end = settle(r, job, &last, &err);
        job->error = err;
        (void)vf_fsm_set(&job->fsm, end, "journal");
        (void)snprintf(job->phase, sizeof job->phase, "%s", vf_fsm_name(&job->fsm));
        job->t.end = job->t.start;
        job->over = true;
    }
}

/* A prepared trial of a check, or a create that was cut off, has no journal record: nothing but the
 * daemon knew of it. */
static void sweep(struct recovery *r)
{
    struct vf_error err = VF_ERROR_INIT;

    for (size_t i = 0; i < r->count; i++) {
        const struct vf_partition_info *p = &r->list[i];
        struct vf_partition_info now;
        bool known = false;

        for (struct mig_job *job = r->mig->jobs; job != NULL; job = job->next)
            known = known || (job_status(job) == MIG_UNKNOWN &&
                              memcmp(job->partition_uuid, p->uuid, VF_UUID_BYTES) == 0);
        if (known || kc_partition_info(r->kc, p->id, &now, &err) != 0 || !in_move(&now))
            continue;
        if (now.state == VF_PARTITION_OUTGOING || now.state == VF_PARTITION_OUTGOING_PAUSED
                ? run_on(r, &now, false, &err) != 0
                : discard(r, &now, &err) != 0)
            log_error("partition %s: left over from an earlier daemon: %s", now.name, err.text);
        else
            log_info("partition %s: a move or check that an earlier daemon began is undone",
                     now.name);
    }
}

int mig_recover(struct mig *mig, struct vf_error *err)
{
    struct recovery r = {.mig = mig};
    int result;

    if (kc_connect(mig->kernel_socket, &r.kc, err) != 0)
        return -1;
    result = kc_partition_list(r.kc, &r.list, &r.count, err);
    if (result == 0) {
        journal_each(mig->journal, recover_job, &r);
        settle_all(&r);
        sweep(&r);
        if (r.failed)
            result = vf_fail(err, VF_FAILED, "out of memory while reading the journal");
    }
    free(r.list);
    kc_close(r.kc);
    return result;
}
