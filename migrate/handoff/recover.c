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
#include "migrate/handoff/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_BYTES (2 * ENDING_WHERE)

#define NEVER_LEFT_PHASE "in the hand-off, before COMMIT left"
#define PREPARED_PHASE "in the hand-off, before COMMIT"
#define COMMITTED_PHASE "in the hand-off, after COMMIT"

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

/* The copy that the restart is about. Past PREPARED it is the hand-off's; before it, and once
 * somebody's word was taken, only what is still in this job's move: what was brought to its end
 * before the daemon died may be in a later move by now. DONE asks for nothing. */
static void look(struct recovery *r, struct handoff_run *run)
{
    struct vf_error err = VF_ERROR_INIT;
    bool found;

    switch (run->core.record) {
    case RECORD_PREPARED:
    case RECORD_COMMIT:
    case RECORD_COMMITTED:
        if (handoff_run_look(run, &err) != 0)
            log_error("job %" PRIu64 ": %s", run->job->id, err.text);
        break;
    case RECORD_DONE:
        run->core.copy = COPY_GONE;
        break;
    default:
        found = find_moving(r, run->job, &run->copy);
        run->core.copy = found ? handoff_copy_state(run->job, 1, &run->copy) : COPY_GONE;
        break;
    }
}

/* How far a job without a hand-off had come, as the kernel side shows it. */
static const char *phase_open(const struct recovery *r, const struct mig_job *job)
{
    struct vf_partition_info p;
    bool file = job_with_file(job);

    if (!find_moving(r, job, &p) || (job->side == MIG_SOURCE && job->stays_paused))
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

    if (job->side == MIG_SOURCE && !is_here(r, job)) {
        (void)snprintf(where, WHERE_BYTES, "the kernel side of host %s has lost partition %s too",
                       host, job->partition);
        return "create it anew, or restore an image of it";
    }
    if (job->side == MIG_SOURCE)
        (void)snprintf(where, WHERE_BYTES, "%s%s", ending_stays(job, stays),
                       job_with_file(job) ? " and there is no image" : "");
    else if (job_with_file(job))
        (void)snprintf(where, WHERE_BYTES,
                       "nothing is left of it at host %s, the image is as it was", host);
    else
        (void)snprintf(where, WHERE_BYTES, "%s, and nothing is left of it at host %s",
                       ending_there(job, stays), host);
    if (job_with_file(job))
        return job->side == MIG_SOURCE ? "save it again" : "restore it again";
    return job->side == MIG_SOURCE ? "move it again" : NULL;
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

/* ---- what the journal says of it ---- */

struct recovered {
    struct recovery *recovery;
    const char *phase;      /* how far a job without a hand-off had come */
    enum handoff_copy seen; /* of the copy, before anything was done */
    struct vf_error end;    /* why the job ended as it did, for people */
};

static void text_open(struct handoff_run *run, struct recovered *c)
{
    struct mig_job *job = run->job;
    const char *kind = job_with_file(job) ? job_kind(job) : "move";
    char where[WHERE_BYTES];
    const char *remedy;

    if (run->failed != HANDOFF_NOTHING) { /* the next restart tries it again */
        c->end = run->why;
        tell_refused(job, c->phase, job->side == MIG_SOURCE ? "let go on" : "removed", &c->end);
        return;
    }
    remedy = where_open(c->recovery, job, where);
    if (remedy != NULL)
        vf_fail(&c->end, VF_FAILED, "the daemon of host %s ended during the %s" VF_REMEDY "%s",
                job->host_name, kind, remedy);
    else
        vf_fail(&c->end, VF_FAILED, "the daemon of host %s ended during the %s", job->host_name,
                kind);
    ending_tell_in(job, c->phase, where, &c->end);
}

/* A COMMIT that never left this host. */
static void text_commit(struct handoff_run *run, struct recovered *c)
{
    char where[ENDING_WHERE];

    vf_fail(&c->end, VF_FAILED,
            "the daemon of host %s ended as it called the move off" VF_REMEDY "move it again",
            run->job->host_name);
    ending_tell_in(run->job, NEVER_LEFT_PHASE, ending_stays(run->job, where), &c->end);
}

static void text_prepared(struct handoff_run *run, struct recovered *c)
{
    char where[ENDING_WHERE];

    vf_fail(&c->end, VF_FAILED, "the kernel side of host %s lost it before it could run",
            run->job->host_name);
    ending_tell_in(run->job, PREPARED_PHASE, ending_there(run->job, where), &c->end);
}

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    struct recovered *c = run->ctx;

    if (record == RECORD_DONE) {
        (void)snprintf(out, JOURNAL_TEXT_BYTES, "rolled forward after a restart");
        return;
    }
    if (record == RECORD_SOURCE_RUNS)
        vf_fail(&c->end, VF_FAILED,
                "it was restored, and the kernel side of host %s has lost partition %s "
                "since" VF_REMEDY "restore it again",
                run->job->host_name, run->job->partition);
    else if (run->core.record == RECORD_COMMIT)
        text_commit(run, c);
    else if (run->core.record == RECORD_PREPARED)
        text_prepared(run, c);
    else
        text_open(run, c);
    (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", c->end.text);
}

static const struct handoff_ops ops = {.text = text};

/* ---- what the job shows ---- */

static void unknown(struct handoff_run *run, struct recovered *c)
{
    struct mig_job *job = run->job;
    const bool held = c->seen != COPY_GONE;
    char cause[128];

    (void)snprintf(cause, sizeof cause, "the daemon of host %s ended before %s came",
                   job->host_name, run->core.record == RECORD_COMMIT ? "RUNNING" : "COMMIT");
    if (run->failed == HANDOFF_JOURNAL) {
        c->end = run->why;
    } else if (run->failed == HANDOFF_DESTROY) {
        c->end = run->why;
        tell_refused(job, "after the image had its name, in which the partition is now whole",
                     "removed", &c->end);
    } else if (run->failed == HANDOFF_START) {
        c->end = run->why;
        tell_refused(job, job_with_file(job) ? "when it was to run" : COMMITTED_PHASE, "started",
                     &c->end);
    } else if (run->core.record == RECORD_PREPARED) {
        (void)ending_unknown(job, PREPARED_PHASE, cause, true, &c->end);
    } else {
        (void)ending_unknown(job, COMMITTED_PHASE,
                             run->core.record == RECORD_COMMIT ? cause : "it was to run here", held,
                             &c->end);
    }
    c->end.code = VF_UNKNOWN;
}

/* Ended already, by the source's own record: it may have died before the partition was told. */
static void aborted(struct handoff_run *run, struct recovered *c)
{
    struct mig_job *job = run->job;
    bool wanted = restart_wanted(job);
    char where[WHERE_BYTES];

    job->start_over =
        wanted && vf_realtime_ns() - job->last_ns < RESTART_WITHIN_NS && is_here(c->recovery, job);
    if (wanted) {
        const char *remedy = where_open(c->recovery, job, where);

        vf_fail(&c->end, VF_FAILED, "the daemon of host %s was ended during the move%s%s",
                job->host_name, job->start_over ? "" : VF_REMEDY, job->start_over ? "" : remedy);
        ending_tell_in(job, "", where, &c->end);
    } else {
        vf_fail(&c->end, job->called_off ? VF_CANCELLED : VF_FAILED, "%s",
                job->last_text[0] != '\0' ? job->last_text : "aborted");
    }
}

static enum job_state failed(struct handoff_run *run, struct recovered *c, enum handoff_record was)
{
    struct mig_job *job = run->job;

    if (was == RECORD_ABORTED)
        aborted(run, c);
    else if (was == RECORD_SOURCE_RUNS)
        vf_fail(&c->end, VF_FAILED, "%s", job->last_text);
    if (run->failed == HANDOFF_RESUME && was == RECORD_COMMIT) {
        c->end = run->why;
        tell_refused(job, NEVER_LEFT_PHASE, "let go on", &c->end);
    } else if (run->failed != HANDOFF_NOTHING && run->why.code == VF_STANDS && was != RECORD_OPEN) {
        copy_stands(&c->end, &run->why);
    }
    return was == RECORD_ABORTED && job->called_off ? JOB_CANCELLED : JOB_FAILED;
}

/* What became of a job, by its last record and the kernel side's partition; acts where one side
 * may. */
static enum job_state recover(struct recovery *r, struct mig_job *job, struct vf_error *err)
{
    struct recovered c = {.recovery = r, .end = VF_ERROR_INIT};
    enum job_state end = JOB_COMPLETED;
    struct handoff_run run;
    enum handoff_record was;

    handoff_run_init(&run, job, r->kc, &ops, &c);
    was = run.core.record;
    c.phase = was == RECORD_OPEN ? phase_open(r, job) : "";
    look(r, &run);
    c.seen = run.core.copy;
    (void)handoff_tell(&run, EVENT_RESTART);
    if (run.outcome == OUTCOME_UNKNOWN) {
        unknown(&run, &c);
        end = JOB_UNKNOWN;
    } else if (run.outcome == OUTCOME_FAILED) {
        end = failed(&run, &c, was);
    }
    if (run.failed != HANDOFF_NOTHING)
        log_error("job %" PRIu64 ": %s", job->id,
                  was == RECORD_OPEN ? c.end.text : run.why.text);
    *err = c.end;
    return end;
}

/* NULL without memory. */
static struct mig_job *job_of(struct mig *mig, const struct journal_record *last)
{
    struct mig_job *job = job_new(mig, last->id, last->job, last->side);

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
            log_warn("job %" PRIu64 " (partition %s, peer %s): unknown: %s", job->id,
                     job->partition, job->peer, err.text);
        job->t.end = job->t.start;
        job->t.ended_unix = end == JOB_UNKNOWN ? 0 : job->last_ns;
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
            result = vf_fail(err, VF_FAILED, "reading the journal: " VF_NO_MEMORY);
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

    if (over && last->side == MIG_TARGET && memcmp(last->job, wanted->job, sizeof last->job) == 0 &&
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
    return job;
}
