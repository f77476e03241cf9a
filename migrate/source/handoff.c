// SPDX-License-Identifier: Apache-2.0
/*
 * The source's half of the hand-off: STATE out, READY in, COMMIT journalled then sent, RUNNING in.
 * What may follow from each is the core's to decide (handoff/core.h).
 */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/handoff/copy.h"
#include "migrate/job/stand.h"

#include <string.h>

static int send_state(struct source *s, uint8_t root[DIGEST_ROOT_BYTES], struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_STATE};
    struct partition_out_state saved;
    uint64_t before;
    int result;

    if (partition_out_state(s->job, s->kc, &s->partition, s->deadline_ns, &saved, err) != 0)
        return -1;
    before = vf_now_ns();
    digest_root(s->table, root, NULL);
    job_update(s->job, s->job->t.verify_ns += vf_now_ns() - before);
    message.state = saved.state;
    memcpy(message.state.root, root, sizeof message.state.root);
    s->state_sent = true;
    result = control_say(&s->control, &message, s->deadline_ns, err);
    partition_out_state_free(&saved);
    return result;
}

/* The target's promise: newest epoch, digests equal, state restored; only the unpause is left. */
static int await_ready(struct source *s, const uint8_t root[DIGEST_ROOT_BYTES],
                       struct vf_error *err)
{
    struct wire_message message;
    int result = 0;

    stand_waits(s->job, "host %s to be ready for it", s->job->peer_name);
    if (control_expect(&s->control, WIRE_READY, 0, s->deadline_ns, &message, err) != 0) {
        if (err->code == VF_FAILED && vf_now_ns() >= s->deadline_ns) {
            (void)source_late(s, err);
            vf_context(err, "the blackout would exceed --max-blackout");
        }
        stand_calls(s->job, NULL);
        return -1;
    }
    stand_calls(s->job, NULL);
    if (!handoff_same(s->job, &message.ready.id) ||
        memcmp(message.ready.root, root, DIGEST_ROOT_BYTES) != 0)
        result = vf_fail(err, VF_FAILED, "peer %s: is ready for something else than was sent",
                         s->job->peer);
    else
        job_update(s->job, {
            s->job->t.verify_ns += message.ready.verify_ns;
            s->job->t.ready = vf_now_ns();
            digest_format(root, s->job->digest);
        });
    wire_message_free(&message);
    return result;
}

/* The point of no return: the core journals COMMIT and sends it, or ends the move (s->end). */
static int commit(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    /* First, so that nothing wakes the waits for RUNNING; a cancel before this line has set
     * its mark. */
    source_unwatch(s);
    if (!job_begin_commit(job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    source_tell(s, EVENT_READY);
    if (!job_state_ends(s->end) && !job_committed(job))
        return vf_fail(err, VF_FAILED, "the hand-off cannot begin as things stand");
    *err = s->cause;
    return job_state_ends(s->end) || err->code != VF_OK ? -1 : 0;
}

static int await_running(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct wire_message message;
    bool same;

    if (control_expect(&s->control, WIRE_RUNNING, 0, s->running_ns, &message, err) != 0)
        return -1;
    stand_calls(job, NULL);
    same = handoff_same(job, &message.running.id);
    if (same) {
        handoff_take_running(job, &message.running);
        stand_ends(job); /* what is left to do here costs it nothing */
    }
    wire_message_free(&message);
    return same ? 0
                : vf_fail(err, VF_FAILED, "peer %s: runs another hand-off than was committed",
                          job->peer);
}

int source_handoff(struct source *s, struct vf_error *err)
{
    uint8_t root[DIGEST_ROOT_BYTES];

    if (send_state(s, root, err) != 0 || await_ready(s, root, err) != 0)
        return -1;
    send_slots_give(&s->job->mig->send_slots, &s->slot); /* the rest is words and the disk */
    job_enter(s->job, JOB_PREPARED, "ready");
    return commit(s, err) != 0 ? -1 : await_running(s, err);
}
