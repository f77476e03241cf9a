// SPDX-License-Identifier: Apache-2.0
/* The target's data streams: who may attach, when their account of the pages is complete. */
#define LOG_ROOM "migrate"
#include "migrate/net/peer.h"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/thread.h"

#include <string.h>
#include <sys/random.h>

#define ATTACH_NS 5000000000ull

static const char *const state_names[TARGET_STREAMS] = {"idle", "invited", "run", "failed", "lost"};

static const uint64_t state_arcs[TARGET_STREAMS] = {
    [STREAMS_IDLE] = VF_ARC(STREAMS_IDLE) | VF_ARC(STREAMS_INVITED),
    [STREAMS_INVITED] = VF_ARC(STREAMS_RUN) | VF_ARC(STREAMS_FAILED) | VF_ARC(STREAMS_LOST) |
                        VF_ARC(STREAMS_IDLE), /* the link ended */
    [STREAMS_RUN] = VF_ARC(STREAMS_IDLE) | VF_ARC(STREAMS_FAILED) | VF_ARC(STREAMS_LOST),
    [STREAMS_FAILED] = VF_ARC(STREAMS_IDLE),
    [STREAMS_LOST] = VF_ARC(STREAMS_IDLE),
};

static const struct vf_fsm_table streams_table = {"streams", state_names, state_arcs,
                                                  TARGET_STREAMS};

void target_init_streams(struct target *t)
{
    vf_fsm_init(&t->streams, &streams_table, t->job->fsm.id, STREAMS_IDLE);
}

static void set_streams(struct target *t, enum target_streams state, const char *why)
{
    (void)vf_fsm_set(&t->streams, state, why);
}

void target_invite_streams(struct target *t, const char *why)
{
    t->stream_error.code = VF_OK;
    set_streams(t, STREAMS_INVITED, why);
}

static bool streams_are(const struct target *t, enum target_streams state)
{
    return vf_fsm_get(&t->streams) == state;
}

/* A stream ended: by the peer's close (the link will say why) or by a failure of ours. Any
 * stream's thread. */
static void stream_failed(void *ctx, const struct vf_error *err, bool lost)
{
    struct target *t = ctx;
    bool wake;

    vf_lock(&t->lock);
    wake = !streams_are(t, STREAMS_IDLE);
    if (streams_are(t, STREAMS_RUN)) {
        t->stream_error = *err;
        if (t->stream_error.code == VF_OK)
            t->stream_error.code = VF_FAILED;
        set_streams(t, lost ? STREAMS_LOST : STREAMS_FAILED, t->stream_error.text);
    }
    vf_unlock(&t->lock);
    if (wake)
        control_wake(&t->control);
}

static int plan_streams(struct target *t, struct vf_error *err)
{
    t->plan = stream_plan_of(t->job, &t->partition, t->job->options.streams, t->job->page_bytes);
    return digest_table_new_keyed(t->plan.geometry.pages_total, t->plan.geometry.page_bytes,
                                  t->digest_key, &t->table, err);
}

int target_make_token(struct target *t, struct vf_error *err)
{
    if (getrandom(t->token, sizeof t->token, 0) != (ssize_t)sizeof t->token)
        return vf_fail(err, VF_FAILED, "no random bytes for a token");
    job_update(t->job, memcpy(t->job->token, t->token, sizeof t->job->token));
    return 0;
}

/* Until every data stream is attached, or one was turned away. */
static int await_streams(struct target *t, uint64_t deadline, struct vf_error *err)
{
    enum target_streams state;

    vf_lock(&t->lock);
    while (t->attached < t->plan.streams && streams_are(t, STREAMS_INVITED) &&
           !control_ended(&t->control) && !job_cancel_asked(t->job)) {
        if (!vf_cond_wait_until(&t->changed, &t->lock, deadline))
            break;
    }
    if (streams_are(t, STREAMS_FAILED))
        *err = t->stream_error;
    else if (t->attached == t->plan.streams)
        set_streams(t, STREAMS_RUN, "all are here");
    else if (control_ended(&t->control))
        set_streams(t, STREAMS_IDLE, "the link ended");
    else
        set_streams(t, STREAMS_LOST, "somewhere on their way");
    state = vf_fsm_get(&t->streams);
    vf_unlock(&t->lock);
    if (state == STREAMS_RUN)
        return 0;
    if (job_cancel_asked(t->job))
        return target_cancelled(t, err);
    if (state == STREAMS_FAILED)
        return -1;
    /* Why the link ended says more: the source's own word most of all. */
    if (control_ended(&t->control) && control_explain(&t->control, 0, err))
        return -1;
    return vf_fail(err, VF_FAILED, "peer %s: its data streams did not come", t->job->peer);
}

int target_open_streams(struct target *t, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_ADMITTED};
    uint64_t deadline = vf_now_ns() + ATTACH_NS;

    if (plan_streams(t, err) != 0)
        return -1;
    vf_lock(&t->lock);
    target_invite_streams(t, "admitted");
    vf_unlock(&t->lock);
    memcpy(message.admitted.token, t->token, sizeof message.admitted.token);
    message.admitted.slot_bytes = t->plan.geometry.slot_bytes;
    message.admitted.sent_page_bytes = t->plan.geometry.page_bytes;
    if (control_say(&t->control, &message, deadline, err) != 0)
        return -1;
    return target_start_streams(t, err);
}

int target_start_streams(struct target *t, struct vf_error *err)
{
    if (await_streams(t, vf_now_ns() + ATTACH_NS, err) != 0)
        return -1;
    for (uint32_t i = 0; i < t->plan.streams; i++) {
        if (receive_stream_start(&t->stream[i], err) != 0)
            return -1;
    }
    return 0;
}

int target_close_pages(struct target *t, struct vf_error *err)
{
    bool whole;

    vf_lock(&t->lock);
    whole = streams_are(t, STREAMS_RUN);
    if (whole)
        set_streams(t, STREAMS_IDLE, "all pages are in");
    vf_unlock(&t->lock);
    if (!whole)
        return vf_fail(err, VF_FAILED, "a data stream failed"); /* its own error is told */
    for (uint32_t i = 0; i < t->plan.streams; i++) {
        if (atomic_load(&t->stream[i].rounds) != t->rounds ||
            (t->job->options.verify == MIG_VERIFY_FULL && !atomic_load(&t->stream[i].rehashed)))
            return vf_fail(err, VF_FAILED,
                           "peer %s: sends its state before all its pages are proven",
                           t->job->peer);
    }
    return 0;
}

int target_stop_streams(struct target *t, struct vf_error *err)
{
    int result = 0;

    vf_lock(&t->lock);
    set_streams(t, STREAMS_IDLE, "stopped");
    vf_unlock(&t->lock);
    /* All at once: each may have transfers that have to land. */
    for (uint32_t i = 0; i < STREAM_MAX; i++)
        receive_stream_abort(&t->stream[i]);
    for (uint32_t i = 0; i < STREAM_MAX; i++) {
        if (receive_stream_stop(&t->stream[i], err) != 0)
            result = -1;
    }
    return result;
}

/* Under mig's and the target's lock. */
static bool takes(const struct target *t, const struct wire_hello *hello)
{
    return streams_are(t, STREAMS_INVITED) && hello->generation == t->plan.generation &&
           memcmp(t->token, hello->token, sizeof t->token) == 0 &&
           memcmp(t->job->uuid, hello->job, sizeof t->job->uuid) == 0 &&
           hello->stream_index < t->plan.streams && t->stream[hello->stream_index].tp == NULL;
}

bool target_attach(struct mig *mig, struct tp *tp, const struct wire_hello *hello)
{
    bool taken = false;

    vf_lock(&mig->lock);
    for (struct target *t = mig->targets; t != NULL && !taken; t = t->next) {
        vf_lock(&t->lock);
        taken = takes(t, hello) && mig_same_peer(t->job, tp);
        if (taken) {
            struct receive_stream *stream = &t->stream[hello->stream_index];

            stream->job = t->job;
            stream->plan = &t->plan;
            stream->table = t->table;
            stream->index = hello->stream_index;
            atomic_store(&stream->rounds, t->rounds);
            stream->tp = tp;
            stream->failed = stream_failed;
            stream->ctx = t;
            t->attached++;
            t->known = true;
            vf_cond_broadcast(&t->changed);
        }
        vf_unlock(&t->lock);
    }
    vf_unlock(&mig->lock);
    return taken;
}

void target_refuse_stream(struct mig *mig, const struct tp *tp, const struct wire_hello *hello,
                          const struct vf_error *why)
{
    vf_lock(&mig->lock);
    for (struct target *t = mig->targets; t != NULL; t = t->next) {
        vf_lock(&t->lock);
        /* A later generation's source tries again by itself. */
        if (hello->generation == 0 && takes(t, hello) && mig_same_peer(t->job, tp)) {
            t->stream_error = *why;
            set_streams(t, STREAMS_FAILED, why->text);
            vf_cond_broadcast(&t->changed);
        }
        vf_unlock(&t->lock);
    }
    vf_unlock(&mig->lock);
}
