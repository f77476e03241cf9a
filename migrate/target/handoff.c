// SPDX-License-Identifier: Apache-2.0
/*
 * The target's half of the hand-off: STATE in, READY out, COMMIT in, RUNNING out. What may follow
 * from each is the core's to decide (handoff/core.h).
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

int target_restore_state(struct target *t, const struct wire_state *state, const char *whose,
                         uint8_t root[DIGEST_ROOT_BYTES], struct vf_error *err)
{
    struct kc_blob kmd = {(void *)(uintptr_t)state->kmd.data, state->kmd.bytes};
    struct kc_blob msix = {(void *)(uintptr_t)state->msix.data, state->msix.bytes};
    struct kc_blob umed = {(void *)(uintptr_t)state->umed.data, state->umed.bytes};
    int result;

    digest_root(t->table, root, NULL);
    if (memcmp(root, state->root, DIGEST_ROOT_BYTES) != 0)
        return vf_fail(err, VF_FAILED,
                       "proof: the digest of the VRAM here is not the %s; refusing to run it",
                       whose);
    t->verified_ns = vf_now_ns();
    stand_calls(t->job, "DxgkDdiRestoreMutableMigrationData");
    result = kc_restore_mutable(t->kc, t->partition.id, &kmd, &msix, &umed, err);
    stand_calls(t->job, "DxgkDdiEndLiveMigration");
    if (result == 0)
        result = kc_end(t->kc, t->partition.id, err);
    stand_calls(t->job, NULL);
    if (result != 0)
        return -1;
    t->prepared = false;
    return kc_partition_set_epoch(t->kc, t->partition.id, t->job->epoch, err);
}

int target_prepare(struct target *t, const struct wire_state *state, struct vf_error *err)
{
    struct mig_job *job = t->job;
    uint64_t begin = vf_now_ns();

    t->ready = (struct wire_message){.tag = WIRE_READY, .ready.id = handoff_of(job)};
    if (target_restore_state(t, state, "source's", t->ready.ready.root, err) != 0)
        return -1;
    t->ready.ready.verify_ns = t->verified_ns - begin;
    if (!job_begin_commit(job))
        return target_cancelled(t, err);
    job_update(job, digest_format(t->ready.ready.root, job->digest));
    /* A READY that was not sent whole cannot have been taken for one: the source will not commit,
     * so this side may still let go. */
    (void)target_tell(t, EVENT_PROVEN, COPY_PAUSED, err);
    return job_state_ends(t->end) ? -1 : 0;
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
        if (control_aborted(&t->control) ||
            target_relink(t, LINK_OWED, target_redial_deadline(t), err) != 0)
            return -1;
    }
}

/* COMMITTED says that it may have run: not for a partition that the kernel side has
 * lost meanwhile. */
static int commit_once(struct target *t, struct vf_error *err)
{
    struct vf_partition_info p;

    if (kc_partition_info(t->kc, t->partition.id, &p, err) != 0)
        return -1;
    return target_tell(t, EVENT_COMMIT, COPY_PAUSED, err);
}

int target_take_over(struct target *t, struct vf_error *err)
{
    for (;;) {
        int result;

        /* A stop of the host waits for mig_commit_end. */
        if (await_commit(t, err) != 0 || mig_commit_begin(t->job->mig, err) != 0)
            return -1;
        result = commit_once(t, err);
        mig_commit_end(t->job->mig);
        if (job_state_ends(t->end))
            return -1;
        if (result == 0 || job_committed(t->job))
            return 0;
        /* It stays as it is, for COMMITTED is not on disk; the source asks again. */
        log_error("job %" PRIu64 ": cannot commit: %s", t->job->id, err->text);
        control_cut(&t->control);
        if (target_relink(t, LINK_OWED, target_redial_deadline(t), err) != 0)
            return -1;
    }
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
            if (!back || target_relink(t, LINK_OWED, target_redial_deadline(t), &err) != 0)
                heard = WIRE_ABORT;
            continue;
        }
        if (heard == WIRE_COMMIT)
            (void)target_say_running(t, &err);
    }
    t->done_heard = heard == WIRE_DONE;
    if (!t->done_heard)
        log_info("job %" PRIu64 ": the source did not say DONE (%s); the partition runs here",
                 t->job->id, err.text);
    (void)target_tell(t, t->done_heard ? EVENT_DONE : EVENT_GIVES_UP, COPY_RUNS, &err);
}
