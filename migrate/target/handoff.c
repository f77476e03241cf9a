// SPDX-License-Identifier: Apache-2.0
/*
 * The target's half of the hand-off: STATE in, READY out, COMMIT in, RUNNING out. Never two: it
 * unpauses only after COMMITTED is on disk. Never none: once it has said READY only the source's
 * own word, or a person's, makes it let go of the partition.
 */
#define LOG_ROOM "migrate"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/copy.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <string.h>

#define DONE_NS 30000000000ull
#define CLOSE_NS 5000000000ull

int target_prepare(struct target *t, const struct wire_state *state, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message message = {.tag = WIRE_READY};
    struct kc_blob kmd = {(void *)(uintptr_t)state->kmd.data, state->kmd.bytes};
    struct kc_blob msix = {(void *)(uintptr_t)state->msix.data, state->msix.bytes};
    struct kc_blob umed = {(void *)(uintptr_t)state->umed.data, state->umed.bytes};
    uint64_t begin = vf_now_ns();
    uint64_t verified;
    int result;

    digest_root(t->table, message.ready.root, NULL);
    if (memcmp(message.ready.root, state->root, DIGEST_ROOT_BYTES) != 0)
        return vf_fail(
            err, VF_FAILED,
            "proof: the digest of the VRAM here is not the source's; refusing to run it");
    verified = vf_now_ns();
    stand_calls(job, "DxgkDdiRestoreMutableMigrationData");
    result = kc_restore_mutable(t->kc, t->partition.id, &kmd, &msix, &umed, err);
    stand_calls(job, "DxgkDdiEndLiveMigration");
    if (result == 0)
        result = kc_end(t->kc, t->partition.id, err);
    stand_calls(job, NULL);
    if (result != 0)
        return -1;
    t->prepared = false;
    if (kc_partition_set_epoch(t->kc, t->partition.id, job->epoch, err) != 0)
        return -1;
    if (!job_begin_commit(job))
        return target_cancelled(t, err);
    shadow_event(job, EVENT_PROVEN, COPY_PAUSED);
    if (mig_journal(job, JOURNAL_PREPARED, "", err) != 0)
        return -1;
    message.ready.id = handoff_of(job);
    message.ready.verify_ns = verified - begin;
    message.ready.state_ns = vf_now_ns() - verified;
    job_update(job, digest_format(message.ready.root, job->digest));
    /* A READY that was not sent whole cannot have been taken for one: the source will not commit,
     * so this side may still let go. */
    result = control_say(&t->control, &message, vf_now_ns() + job->mig->silence_ns, err);
    shadow_sent(job, SAY_READY, result == 0);
    return result;
}

/* The source's COMMIT, on this connection or, while there is hope, on another one. */
static int await_commit(struct target *t, struct vf_error *err)
{
    for (;;) {
        struct wire_message message;
        bool same = false;

        if (control_expect(&t->control, WIRE_COMMIT, 0, TP_NEVER, &message, err) == 0) {
            same = handoff_same(t->job, &message.handoff);
            wire_message_free(&message);
            if (!same)
                vf_fail(err, VF_FAILED, "peer %s: commits another hand-off than was prepared",
                        t->job->peer);
        }
        if (same)
            return 0;
        if (control_aborted(&t->control) || target_relink(t, target_redial_deadline(t), err) != 0)
            return -1;
    }
}

/* COMMITTED says that it may have run: not for a partition that the kernel side has lost
 * meanwhile. */
static int record_commit(struct target *t, struct vf_error *err)
{
    struct vf_partition_info p;

    if (kc_partition_info(t->kc, t->partition.id, &p, err) != 0)
        return -1;
    shadow_event(t->job, EVENT_COMMIT, COPY_PAUSED);
    return mig_journal(t->job, JOURNAL_COMMITTED, "", err);
}

/* Without COMMITTED on disk the partition stays as it is; the source asks again. After 0 a stop of
 * the host waits for mig_commit_end. */
static int commit(struct target *t, struct vf_error *err)
{
    for (;;) {
        if (await_commit(t, err) != 0)
            return -1;
        if (mig_commit_begin(t->job->mig, err) != 0)
            return -1;
        if (record_commit(t, err) == 0)
            return 0;
        mig_commit_end(t->job->mig);
        log_error("job %" PRIu64 ": cannot commit: %s", t->job->id, err->text);
        if (job_unsure(t->job))
            return -1;
        control_cut(&t->control);
        if (target_relink(t, target_redial_deadline(t), err) != 0)
            return -1;
    }
}

static int say_running(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message message = {.tag = WIRE_RUNNING};

    message.running.id = handoff_of(job);
    message.running.resume_ns = job->t.resume;
    message.running.first_run_ns = job->t.first_run;
    return control_say(&t->control, &message, vf_now_ns() + job->mig->silence_ns, err);
}

/* COMMITTED is on disk. */
static int take_over(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    uint64_t resume;
    int result;

    job_enter(job, JOB_COMMITTED, "commit");
    resume = vf_now_ns();
    stand_calls(job, "DxgkDdiSetVirtualFunctionPauseState");
    result = job->stays_paused ? kc_partition_pause(t->kc, t->partition.id, err)
                               : kc_partition_resume(t->kc, t->partition.id, err);
    shadow_called(job, HANDOFF_START, result == 0);
    if (result != 0)
        return -1;
    job_update(job, {
        job->t.resume = resume;
        job->t.first_run = vf_now_ns();
    });
    stand_calls(job, NULL);
    stand_ends(job);
    return say_running(t, err);
}

int target_take_over(struct target *t, bool *committed, struct vf_error *err)
{
    int result;

    if (commit(t, err) != 0)
        return -1;
    *committed = true;
    result = take_over(t, err);
    mig_commit_end(t->job->mig);
    return result;
}

/* When the VF really ran first, if it has; the unpause's return, which RUNNING told, is an upper
 * bound. */
static void say_close(struct target *t)
{
    struct wire_message message = {.tag = WIRE_CLOSE};
    struct vf_partition_clock clock;
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_clock(t->kc, t->partition.id, &clock, &err) == 0 &&
        clock.first_run_ns >= t->job->t.resume)
        message.close.first_run_ns = clock.first_run_ns;
    if (control_say(&t->control, &message, vf_now_ns() + CLOSE_NS, &err) == 0)
        control_linger(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS);
}

void target_close_books(struct target *t)
{
    uint64_t deadline = vf_now_ns() + DONE_NS;
    struct vf_error err = VF_ERROR_INIT;
    enum wire_tag heard = WIRE_COMMIT;

    /* A source that lost RUNNING says COMMIT again, on a new connection when this one broke. */
    while (heard == WIRE_COMMIT) {
        struct wire_message message;

        if (control_expect(&t->control, WIRE_DONE, WIRE_COMMIT, deadline, &message, &err) == 0) {
            heard = handoff_same(t->job, &message.handoff) ? message.tag : WIRE_ABORT;
            wire_message_free(&message);
        } else {
            bool back;

            vf_lock(&t->lock);
            back = t->again != NULL;
            vf_unlock(&t->lock);
            if (!back || target_relink(t, target_redial_deadline(t), &err) != 0)
                heard = WIRE_ABORT;
            continue;
        }
        if (heard == WIRE_COMMIT)
            (void)say_running(t, &err);
    }
    if (heard == WIRE_DONE)
        say_close(t);
    else
        log_info("job %" PRIu64 ": the source did not say DONE (%s); the partition runs here",
                 t->job->id, err.text);
    shadow_event(t->job, heard == WIRE_DONE ? EVENT_DONE : EVENT_GIVES_UP, COPY_RUNS);
    if (mig_journal(t->job, JOURNAL_DONE, "", &err) != 0)
        log_error("job %" PRIu64 ": %s", t->job->id, err.text);
}
