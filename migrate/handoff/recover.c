// SPDX-License-Identifier: Apache-2.0
/*
 * After a restart of the daemon (the kernel side lived on, or did not):
 *   source, no COMMIT in the journal      the partition runs on here; the target is owed an ABORT
 *   source, COMMIT                        unknown: kept paused; the target is owed the COMMIT
 *   a save, COMMIT                        its file is whole: destroy
 *   target, not PREPARED                  nothing stays: End, destroy
 *   target, PREPARED without COMMITTED    unknown: kept paused, waits for its source's word; if the
 *                                         kernel side lost it, it never ran
 *   target or restore, COMMITTED          rolled forward: it runs here, or went on from here; if
 *                                         the kernel side lost it, unknown
 *   settled by a person                   what was settled, if it was not done yet
 * What is owed is brought by the retry thread (retry.h), words that come are answered (reply.h).
 */
#define LOG_ROOM "migrate"
#include "migrate/handoff/recover.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/restart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_BYTES (2 * ENDING_WHERE)

struct recovery {
    struct mig *mig;
    struct kc *kc;
    struct vf_partition_info *list; /* as they were found; whoever acts on one looks again */
    size_t count;
    bool failed;
};

static bool in_move(const struct vf_partition_info *p)
{
    return p->state == VF_PARTITION_OUTGOING || p->state == VF_PARTITION_OUTGOING_PAUSED ||
           p->state == VF_PARTITION_INCOMING || p->state == VF_PARTITION_READY;
}

static bool outgoing(const struct vf_partition_info *p)
{
    return p->state == VF_PARTITION_OUTGOING || p->state == VF_PARTITION_OUTGOING_PAUSED;
}

/* The partition that this very job has in a move: its number was given to the kernel side at
 * Prepare. */
static bool find_moving(const struct recovery *r, const struct mig_job *job,
                        struct vf_partition_info *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct vf_partition_info *p = &r->list[i];

        if (memcmp(p->uuid, job->partition_uuid, VF_UUID_BYTES) == 0 && p->job == job->id)
            return kc_partition_info(r->kc, p->id, out, NULL) == 0 && in_move(out);
    }
    return false;
}

/* Ends what the job has in a move here, on either side. */
static int undo(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    struct vf_partition_info p;
    bool found = find_moving(r, job, &p);
    int result;

    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &p));
    if (!found)
        return 0;
    result = outgoing(&p) ? copy_run_on(r->kc, &p, job->stays_paused, err)
                          : copy_destroy(r->kc, &p, err);
    shadow_called(job, outgoing(&p) ? HANDOFF_RESUME : HANDOFF_DESTROY, result == 0);
    return result;
}

/* How far a job without a hand-off had come, as the kernel side shows it. */
static const char *phase_open(const struct recovery *r, const struct mig_job *job)
{
    struct vf_partition_info p;
    bool file = job_with_file(job);

    if (!find_moving(r, job, &p) || (job->source && job->stays_paused))
        return file ? "before it was done" : "before COMMIT";
    switch (p.state) {
    case VF_PARTITION_OUTGOING:
        return file ? "before the blackout" : "in the brownout";
    case VF_PARTITION_OUTGOING_PAUSED:
        return file ? "in the blackout" : "in the blackout, before COMMIT";
    default:
        return file ? "while it was restored" : "before READY";
    }
}

static enum job_state fail(struct mig_job *job, const struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    if (mig_journal(job, JOURNAL_ABORTED, err->text, &also) != 0)
        log_error("job %llu: %s", (unsigned long long)job->id, also.text);
    return JOB_FAILED;
}

static enum job_state complete(struct mig_job *job)
{
    struct vf_error also = VF_ERROR_INIT;

    if (mig_journal(job, JOURNAL_DONE, "rolled forward after a restart", &also) != 0)
        log_error("job %llu: %s", (unsigned long long)job->id, also.text);
    return JOB_COMPLETED;
}

static bool is_here(const struct recovery *r, const struct mig_job *job)
{
    bool here = false;

    for (size_t i = 0; i < r->count; i++)
        here = here || memcmp(r->list[i].uuid, job->partition_uuid, VF_UUID_BYTES) == 0;
    return here;
}

/* What an end without a hand-off means for the partition, and what can be done; returns the latter,
 * NULL = nothing. */
static const char *where_open(const struct recovery *r, const struct mig_job *job,
                              char where[WHERE_BYTES])
{
    const char *host = job->host_name;
    char stays[ENDING_WHERE];

    if (job->source && !is_here(r, job)) {
        (void)snprintf(where, WHERE_BYTES, "the kernel side of host %s has lost partition %s too",
                       host, job->partition);
        return "create it anew, or restore an image of it";
    }
    if (job->source)
        (void)snprintf(where, WHERE_BYTES, "%s%s", ending_stays(job, stays),
                       job_with_file(job) ? " and there is no image" : "");
    else if (job_with_file(job))
        (void)snprintf(where, WHERE_BYTES,
                       "nothing is left of it at host %s, the image is as it was", host);
    else
        (void)snprintf(where, WHERE_BYTES, "%s, and nothing is left of it at host %s",
                       ending_there(job, stays), host);
    if (job_with_file(job))
        return job->source ? "save it again" : "restore it again";
    return job->source ? "move it again" : NULL;
}

/* The kernel side refused what follows from the journal: *err, its bare text, becomes phase, what
 * could not be done and the way out. One that stands says so by itself. */
static void tell_refused(struct mig_job *job, const char *phase, const char *what,
                         struct vf_error *err)
{
    struct vf_error cause = *err;

    if (cause.code == VF_STANDS)
        return;
    vf_fail(err, VF_FAILED,
            "partition %s could not be %s at host %s after a restart (%.300s)" VF_REMEDY
            "restart the vferryd of host %s, which tries it again",
            job->partition, what, job->host_name, cause.text, job->host_name);
    ending_tell_in(job, phase, "", err);
    err->status = cause.status;
}

static enum job_state recover_open(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    const char *phase = phase_open(r, job);
    const char *kind = job_with_file(job) ? job_kind(job) : "move";
    char where[WHERE_BYTES];
    const char *remedy;

    if (undo(r, job, err) != 0) {
        tell_refused(job, phase, job->source ? "let go on" : "removed", err);
        log_error("job %llu: %s", (unsigned long long)job->id, err->text);
        job->owes = job->source && !job_with_file(job) && job_has_token(job);
        return fail(job, err); /* the next restart tries it again */
    }
    remedy = where_open(r, job, where);
    if (remedy != NULL)
        vf_fail(err, VF_FAILED, "the daemon of host %s ended during the %s" VF_REMEDY "%s",
                job->host_name, kind, remedy);
    else
        vf_fail(err, VF_FAILED, "the daemon of host %s ended during the %s", job->host_name, kind);
    ending_tell_in(job, phase, where, err);
    job->owes = job->source && !job_with_file(job) && job_has_token(job);
    return fail(job, err);
}

/* Its file is whole and named: what is still here of the partition goes, in whatever state the save
 * left it. One of a later epoch is not it: it was restored since. */
static enum job_state recover_save(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    struct vf_partition_info copy;
    int found = handoff_copy(job, r->kc, &copy, err);
    bool gone = found == 0;

    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &copy));
    if (found > 0) {
        gone = copy_destroy(r->kc, &copy, err) == 0;
        shadow_called(job, HANDOFF_DESTROY, gone);
    }
    if (!gone) {
        tell_refused(job, "after the image had its name, in which the partition is now whole",
                     "removed", err);
        err->code = VF_UNKNOWN;
        return JOB_UNKNOWN;
    }
    return complete(job);
}

static enum job_state recover_commit(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    struct vf_partition_info copy;
    struct vf_error also = VF_ERROR_INIT;
    char where[ENDING_WHERE], cause[128];
    int found, result;

    if (job_with_file(job))
        return recover_save(r, job, err);
    found = handoff_copy(job, r->kc, &copy, err);
    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &copy));
    /* Nothing here resumes after a COMMIT that may have left this host: this one never did. */
    if (found > 0 && (copy.state == VF_PARTITION_RUNNING || copy.state == VF_PARTITION_OUTGOING)) {
        vf_fail(err, VF_FAILED,
                "the daemon of host %s ended as it called the move off" VF_REMEDY "move it again",
                job->host_name);
        ending_tell_in(job, "in the hand-off, before COMMIT left", ending_stays(job, where), err);
        job->owes = true;
        if (mig_journal(job, JOURNAL_ABORTED, err->text, &also) != 0) {
            job->owes = false;
            *err = also;
            return JOB_UNKNOWN;
        }
        result = copy_run_on(r->kc, &copy, job->stays_paused, &also);
        shadow_called(job, HANDOFF_RESUME, result == 0);
        if (result != 0) {
            *err = also;
            tell_refused(job, "in the hand-off, before COMMIT left", "let go on", err);
        }
        return JOB_FAILED;
    }
    (void)snprintf(cause, sizeof cause, "the daemon of host %s ended before RUNNING came",
                   job->host_name);
    (void)ending_unknown(job, "in the hand-off, after COMMIT", cause, found != 0, err);
    return JOB_UNKNOWN;
}

static enum job_state recover_prepared(struct recovery *r, struct mig_job *job,
                                       struct vf_error *err)
{
    static const char phase[] = "in the hand-off, before COMMIT";
    struct vf_partition_info copy;
    char where[ENDING_WHERE], cause[128];
    int found = handoff_copy(job, r->kc, &copy, err);

    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &copy));
    if (found != 0) {
        (void)snprintf(cause, sizeof cause, "the daemon of host %s ended before COMMIT came",
                       job->host_name);
        (void)ending_unknown(job, phase, cause, true, err);
        return JOB_UNKNOWN;
    }
    vf_fail(err, VF_FAILED, "the kernel side of host %s lost it before it could run",
            job->host_name);
    ending_tell_in(job, phase, ending_there(job, where), err);
    return fail(job, err);
}

static enum job_state recover_committed(struct recovery *r, struct mig_job *job,
                                        struct vf_error *err)
{
    struct vf_partition_info copy;
    int found = handoff_copy(job, r->kc, &copy, err);
    int result = 0;

    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &copy));
    if (found > 0)
        result = copy_start(r->kc, &copy, job->stays_paused, err);
    if (found > 0 && copy.state == VF_PARTITION_READY)
        shadow_called(job, HANDOFF_START, result == 0);
    if (result != 0) {
        tell_refused(job,
                     job_with_file(job) ? "when it was to run" : "in the hand-off, after COMMIT",
                     "started", err);
        err->code = VF_UNKNOWN;
        return JOB_UNKNOWN;
    }
    if (found > 0 || (found == 0 && handoff_went_on(job)))
        return complete(job);
    if (found == 0 && job_with_file(job)) {
        vf_fail(err, VF_FAILED,
                "it was restored, and the kernel side of host %s has lost partition %s "
                "since" VF_REMEDY "restore it again",
                job->host_name, job->partition);
        (void)mig_journal_settled(job, JOURNAL_SOURCE, err->text, NULL);
        return JOB_FAILED;
    }
    (void)ending_unknown(job, "in the hand-off, after COMMIT", "it was to run here", found != 0,
                         err);
    return JOB_UNKNOWN;
}

/* A person's word, which the daemon may not have lived to carry out. */
static enum job_state recover_resolved(struct recovery *r, struct mig_job *job,
                                       struct vf_error *err)
{
    bool mine = (handoff_owner_of(job) == OWNER_SOURCE) == job->source;
    struct vf_partition_info copy;
    struct vf_error also = VF_ERROR_INIT;
    int found = handoff_copy(job, r->kc, &copy, &also);
    int result = found < 0 ? -1 : 0;

    /* What runs since may be in a later move by now. */
    if (found > 0 && copy.job != job->id)
        found = 0;
    if (found > 0 && mine && job->source && !outgoing(&copy))
        found = 0;
    shadow_event(job, EVENT_RESTART, shadow_copy(job, found, &copy));
    if (found > 0 && !mine)
        result = copy_destroy(r->kc, &copy, &also);
    else if (found > 0 && job->source)
        result = copy_run_on(r->kc, &copy, job->stays_paused, &also);
    else if (found > 0)
        result = copy_start(r->kc, &copy, job->stays_paused, &also);
    if (found > 0 && (!mine || job->source || copy.state == VF_PARTITION_READY))
        shadow_called(job,
                      !mine         ? HANDOFF_DESTROY
                      : job->source ? HANDOFF_RESUME
                                    : HANDOFF_START,
                      result == 0);
    if (result != 0)
        log_error("job %llu: %s", (unsigned long long)job->id, also.text);
    if (handoff_owner_of(job) == OWNER_TARGET)
        return JOB_COMPLETED;
    vf_fail(err, VF_FAILED, "%s", job->last_text);
    if (also.code == VF_STANDS)
        copy_stands(err, &also);
    return JOB_FAILED;
}

static enum job_state recover_aborted(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    bool wanted = restart_wanted(job);
    struct vf_error also = VF_ERROR_INIT;
    char where[WHERE_BYTES];

    /* It may have died before the partition was told. */
    if (undo(r, job, &also) != 0)
        log_error("job %llu: %s", (unsigned long long)job->id, also.text);
    job->start_over =
        wanted && vf_realtime_ns() - job->last_ns < RESTART_WITHIN_NS && is_here(r, job);
    if (wanted) {
        const char *remedy = where_open(r, job, where);

        if (job->start_over)
            vf_fail(err, VF_FAILED, "the daemon of host %s was ended during the move",
                    job->host_name);
        else
            vf_fail(err, VF_FAILED,
                    "the daemon of host %s was ended during the move" VF_REMEDY "%s",
                    job->host_name, remedy);
        ending_tell_in(job, "", where, err);
    } else {
        vf_fail(err, job->called_off ? VF_CANCELLED : VF_FAILED, "%s",
                job->last_text[0] != '\0' ? job->last_text : "aborted");
    }
    if (also.code == VF_STANDS)
        copy_stands(err, &also);
    return job->called_off ? JOB_CANCELLED : JOB_FAILED;
}

/* What became of a job, by its last record and the kernel side's partition; acts where one side
 * may. */
static enum job_state recover(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    switch (job->last_kind) {
    case JOURNAL_OPEN:
        return recover_open(r, job, err);
    case JOURNAL_PREPARED:
        return recover_prepared(r, job, err);
    case JOURNAL_COMMIT:
        return recover_commit(r, job, err);
    case JOURNAL_COMMITTED:
        return recover_committed(r, job, err);
    case JOURNAL_ABORTED:
        return recover_aborted(r, job, err);
    case JOURNAL_SETTLED:
        return recover_resolved(r, job, err);
    case JOURNAL_DONE:
    case JOURNAL_KINDS:
        break;
    }
    return JOB_COMPLETED;
}

/* NULL without memory. */
static struct mig_job *job_of(struct mig *mig, const struct journal_record *last)
{
    struct mig_job *job = job_new(mig, last->id, last->job, last->side == JOURNAL_SOURCE);

    if (job == NULL)
        return NULL;
    memcpy(job->partition, last->partition, sizeof job->partition);
    memcpy(job->partition_uuid, last->uuid, sizeof job->partition_uuid);
    memcpy(job->peer, last->peer, sizeof job->peer);
    memcpy(job->identity, last->identity, sizeof job->identity);
    job->operation = last->operation;
    job->epoch = last->epoch;
    job->recalled = true;
    job->t.started_unix = 0;
    job->stays_paused = last->stays_paused;
    job_recorded(job, last);
    return job;
}

static void list_job(void *ctx, const struct journal_record *last)
{
    struct recovery *r = ctx;
    struct mig_job **jobs = &r->mig->jobs;
    struct mig_job *job = job_of(r->mig, last);

    if (job == NULL) {
        r->failed = true;
        return;
    }
    job->next = *jobs; /* by rising id: the newest ends up first */
    *jobs = job;
}

/* Acting writes to the journal, which must not happen inside its own walk. */
static void recover_all(struct recovery *r)
{
    for (struct mig_job *job = r->mig->jobs; job != NULL; job = job->next) {
        struct vf_error err = VF_ERROR_INIT;
        enum job_state end = recover(r, job, &err);

        job->error = err;
        (void)vf_fsm_set(&job->fsm, end, "journal");
        (void)snprintf(job->phase, sizeof job->phase, "%s", vf_fsm_name(&job->fsm));
        if (end == JOB_UNKNOWN)
            log_warn("job %llu (partition %s, peer %s): unknown: %s", (unsigned long long)job->id,
                     job->partition, job->peer, err.text);
        job->t.end = job->t.start;
        job->t.ended_unix = end == JOB_UNKNOWN ? 0 : job->last_ns;
        job->over = true;
    }
}

/* A prepared trial of a check, or a create that was cut off, has no journal record: nothing but the
 * daemon knew of it. What is paused stays so: a check pauses nothing, so a person had; or the
 * journal was lost, and it may run elsewhere. */
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
        if (outgoing(&now) ? copy_run_on(r->kc, &now, true, &err) != 0
                           : copy_destroy(r->kc, &now, &err) != 0)
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
        journal_each(mig->journal, list_job, &r);
        recover_all(&r);
        sweep(&r);
        if (r.failed)
            result = vf_fail(err, VF_FAILED, "out of memory while reading the journal");
    }
    free(r.list);
    kc_close(r.kc);
    return result;
}

struct wanted {
    const uint8_t *job, *token;
    struct journal_record record; /* id 0 = not found */
};

static void look_for(void *ctx, const struct journal_record *last)
{
    struct wanted *wanted = ctx;
    bool over = last->kind == JOURNAL_DONE || last->kind == JOURNAL_ABORTED ||
                last->kind == JOURNAL_SETTLED;

    if (over && last->side == JOURNAL_TARGET &&
        memcmp(last->job, wanted->job, sizeof last->job) == 0 &&
        memcmp(last->token, wanted->token, sizeof last->token) == 0)
        wanted->record = *last;
}

struct mig_job *mig_remember(struct mig *mig, const uint8_t uuid[16], const uint8_t token[16])
{
    struct wanted wanted = {.job = uuid, .token = token};
    struct mig_job *job;

    journal_each(mig->journal, look_for, &wanted);
    job = wanted.record.id != 0 ? job_of(mig, &wanted.record) : NULL;
    if (job == NULL)
        return NULL;
    (void)vf_fsm_set(&job->fsm, handoff_owner_of(job) == OWNER_TARGET ? JOB_COMPLETED : JOB_FAILED,
                     "journal");
    job->t.end = job->t.start;
    job->over = true;
    return job;
}
