// SPDX-License-Identifier: Apache-2.0
/*
 * The target's line of phases (TGT-5): admission, pages, state, READY, COMMIT, unpause. Until COMMIT is journalled here every
 * failure ends with nothing left on this host.
 */
#define LOG_ROOM "migrate"
#include "migrate/target.h"

#include "base/log.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ASK_NS 30000000000ull     /* the source prepares and saves its immutable data before it asks */
#define ATTACH_NS 5000000000ull
#define CLOSE_NS 5000000000ull

static void link_down(void *ctx)
{
    struct target *t = ctx;

    /* Waiters of the attachment look at the link again. */
    (void)pthread_mutex_lock(&t->lock);
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

static void wake(void *ctx)
{
    link_wake(&((struct target *)ctx)->link);
}

/* A lane ended: by the peer's close (the link will say why) or by a failure of ours. */
static void lane_failed(void *ctx, const struct vf_error *err)
{
    struct target *t = ctx;

    if (atomic_load(&t->lanes_idle))
        return;
    if (err->code != VF_CANCELLED)
        (void)job_fail(t->job, err);
    link_wake(&t->link);
}

static int answer(struct target *t, const struct vf_reasons *reasons, bool check, struct vf_error *err)
{
    struct wire_message message = {.tag = check ? WIRE_VERDICT : WIRE_REFUSED};

    message.verdict.reasons = *reasons;
    message.verdict.code = reasons->count == 0 ? VF_OK : VF_INCOMPATIBLE;
    if (reasons->count > 0)
        (void)snprintf(message.verdict.text, sizeof message.verdict.text,
                       "host %s cannot take it: %s: source %s, target %s; %s%s", t->job->mig->host_name, reasons->list[0].field,
                       reasons->list[0].source, reasons->list[0].target, reasons->list[0].remedy,
                       reasons->count > 1 ? " (and more: see check)" : "");
    return link_say(&t->link, &message, vf_now_ns() + LINK_SILENCE_NS, err);
}

/* Asks what wants to come, and answers. 0 = admitted, 1 = answered and over, -1. */
static int admission(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct vf_reasons reasons = {0};
    struct wire_message ask;
    int result;

    if (link_expect(&t->link, WIRE_ADMIT, 0, vf_now_ns() + ASK_NS, &ask, err) != 0)
        return -1;
    job_update(job, {
        memcpy(job->partition, ask.admit.params.name, sizeof job->partition);
        memcpy(job->partition_uuid, ask.admit.params.uuid, sizeof job->partition_uuid);
        job->epoch = ask.admit.epoch;
        job->vram_bytes = ask.admit.params.vram_bytes;
        job->page_bytes = ask.admit.page_bytes;
        job->options.streams = ask.admit.streams;
        job->options.max_blackout_ns = ask.admit.max_blackout_ns;
        job->options.verify = ask.admit.verify == MIG_VERIFY_FULL ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
        job->options.dry_run = ask.admit.check_only != 0;
    });
    t->stay_paused = ask.admit.stay_paused != 0;
    if (ask.admit.streams == 0 || ask.admit.streams > LANE_MAX)
        vf_reason_add(&reasons, "streams", "-", "1..8", "use --streams 1 to 8");
    result = reasons.count > 0 ? 0 : target_admit(t, &ask.admit, &reasons, err);
    if (result == 0 && reasons.count == 0 && !job->options.dry_run &&
        ask.admit.slot_bytes != lane_slot_bytes(t->partition.page_bytes))
        vf_reason_add(&reasons, "slot", "-", "-", "both hosts need the same version");
    wire_message_free(&ask);
    if (result != 0)
        return -1;
    job_update(job, {
        job->reasons = reasons;
        job->judged = true;
    });
    if (reasons.count == 0 && !job->options.dry_run)
        return 0;
    target_discard(t);
    if (answer(t, &reasons, job->options.dry_run, err) != 0)
        return -1;
    if (reasons.count > 0) {
        vf_fail(err, VF_INCOMPATIBLE, "refused: %s: source %s, target %s", reasons.list[0].field, reasons.list[0].source,
                reasons.list[0].target);
        (void)job_fail(job, err);
    }
    return 1;
}

/* Invites the data streams and waits until all are there. */
static int open_lanes(struct target *t, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_ADMITTED};
    uint64_t deadline = vf_now_ns() + ATTACH_NS;
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u), .tv_nsec = (long)(deadline % 1000000000u)};
    bool all;

    t->plan = (struct lane_plan){
        .geometry = {.page_bytes = t->partition.page_bytes,
                     .pages_total = t->partition.vram_bytes / t->partition.page_bytes,
                     .slot_bytes = lane_slot_bytes(t->partition.page_bytes)},
        .lanes = t->job->options.streams,
        .epoch = t->job->epoch,
        .partition = t->partition.id,
        .kernel_socket = t->job->mig->kernel_socket,
    };
    memcpy(t->plan.job, t->job->uuid, sizeof t->plan.job);
    if (digest_table_new(t->plan.geometry.pages_total, t->plan.geometry.page_bytes, &t->table, err) != 0)
        return -1;
    if (getrandom(t->token, sizeof t->token, 0) != (ssize_t)sizeof t->token)
        return vf_fail(err, VF_FAILED, "no random bytes for a token");
    (void)pthread_mutex_lock(&t->lock);
    t->attaching = true;
    (void)pthread_mutex_unlock(&t->lock);
    memcpy(message.admitted.token, t->token, sizeof message.admitted.token);
    message.admitted.slot_bytes = t->plan.geometry.slot_bytes;
    if (link_say(&t->link, &message, deadline, err) != 0)
        return -1;

    (void)pthread_mutex_lock(&t->lock);
    while (t->attached < t->plan.lanes && !link_ended(&t->link) && !job_cancel_asked(t->job)) {
        if (pthread_cond_timedwait(&t->changed, &t->lock, &until) != 0)
            break;
    }
    t->attaching = false;
    all = t->attached == t->plan.lanes;
    (void)pthread_mutex_unlock(&t->lock);
    if (!all)
        return vf_fail(err, VF_FAILED, "peer %s: its data streams did not come", t->job->peer);
    for (uint32_t i = 0; i < t->plan.lanes; i++) {
        if (lane_target_start(&t->lane[i], err) != 0)
            return -1;
    }
    return 0;
}

/* Rounds as they are announced, until the mutable state comes. */
static int receive(struct target *t, struct wire_message *state, struct vf_error *err)
{
    for (;;) {
        struct wire_message message;

        if (link_expect(&t->link, WIRE_ROUND, WIRE_STATE, TP_NEVER, &message, err) != 0)
            return -1;
        if (message.tag == WIRE_STATE) {
            *state = message;
            return 0;
        }
        job_update(t->job, {
            t->job->left_bytes = message.round.pages * t->job->page_bytes;
            if (t->job->round_count < MIG_MAX_ROUNDS)
                t->job->rounds[t->job->round_count++].dirty_pages = message.round.pages;
        });
        if (message.round.paused && vf_fsm_get(&t->job->fsm) == JOB_ROUNDS)
            job_enter(t->job, JOB_PAUSED, "last-round");
        wire_message_free(&message);
    }
}

/* Digests equal, state restored, interrupts replayed, End done, PREPARED on disk: then READY (TGT-4). */
static int prepare(struct target *t, const struct wire_state *state, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message message = {.tag = WIRE_READY};
    struct kc_blob kmd = {(void *)(uintptr_t)state->kmd.data, state->kmd.bytes};
    struct kc_blob msix = {(void *)(uintptr_t)state->msix.data, state->msix.bytes};
    uint64_t begin = vf_now_ns();
    uint64_t verified;

    digest_root(t->table, message.ready.root, NULL);
    if (memcmp(message.ready.root, state->root, DIGEST_ROOT_BYTES) != 0)
        return vf_fail(err, VF_FAILED, "proof: the digest of the VRAM here is not the source's; refusing to run it");
    verified = vf_now_ns();
    if (kc_restore_mutable(t->kc, t->partition.id, &kmd, &msix, err) != 0 || kc_end(t->kc, t->partition.id, err) != 0)
        return -1;
    t->prepared = false;
    if (kc_partition_set_epoch(t->kc, t->partition.id, job->epoch, err) != 0)
        return -1;
    if (!job_begin_commit(job))
        return vf_fail(err, VF_CANCELLED, "cancelled on the target");
    if (mig_journal(job, JOURNAL_PREPARED, "", err) != 0)
        return -1;
    memcpy(message.ready.id.job, job->uuid, sizeof message.ready.id.job);
    memcpy(message.ready.id.uuid, job->partition_uuid, sizeof message.ready.id.uuid);
    message.ready.id.epoch = job->epoch;
    message.ready.verify_ns = verified - begin;
    message.ready.state_ns = vf_now_ns() - verified;
    job_update(job, digest_format(message.ready.root, job->digest));
    return link_say(&t->link, &message, vf_now_ns() + LINK_SILENCE_NS, err);
}

/* COMMIT in, COMMITTED on disk, unpause, RUNNING out. *committed: the partition is ours now. */
static int take_over(struct target *t, bool *committed, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message message;
    struct wire_message running = {.tag = WIRE_RUNNING};
    bool same;

    if (link_expect(&t->link, WIRE_COMMIT, 0, TP_NEVER, &message, err) != 0)
        return -1;
    same = memcmp(message.handoff.job, job->uuid, sizeof job->uuid) == 0 &&
           memcmp(message.handoff.uuid, job->partition_uuid, sizeof job->partition_uuid) == 0 &&
           message.handoff.epoch == job->epoch;
    running.running.id = message.handoff;
    wire_message_free(&message);
    if (!same)
        return vf_fail(err, VF_FAILED, "peer %s: commits another hand-off than was prepared", job->peer);
    if (mig_journal(job, JOURNAL_COMMITTED, "", err) != 0)
        return -1;
    *committed = true;
    job_enter(job, JOB_COMMITTED, "commit");
    running.running.resume_ns = vf_now_ns();
    if ((t->stay_paused ? kc_partition_pause(t->kc, t->partition.id, err) : kc_partition_resume(t->kc, t->partition.id, err)) != 0)
        return -1;
    job_update(job, {
        job->t.resume = running.running.resume_ns;
        job->t.first_run = vf_now_ns();
    });
    running.running.first_run_ns = job->t.first_run;
    return link_say(&t->link, &running, vf_now_ns() + LINK_SILENCE_NS, err);
}

/* The partition runs here whatever happens now; this only tells the source when it first ran, and closes the books. */
static void close_books(struct target *t)
{
    struct wire_message message;
    struct vf_partition_clock clock;
    struct vf_error err = VF_ERROR_INIT;

    if (link_expect(&t->link, WIRE_DONE, 0, vf_now_ns() + ASK_NS, &message, &err) == 0) {
        wire_message_free(&message);
        message = (struct wire_message){.tag = WIRE_CLOSE};
        if (kc_partition_clock(t->kc, t->partition.id, &clock, &err) == 0 && clock.first_run_ns >= t->job->t.resume)
            message.close.first_run_ns = clock.first_run_ns;
        (void)link_say(&t->link, &message, vf_now_ns() + CLOSE_NS, &err);
    } else {
        log_info("job %" PRIu64 ": the source did not say DONE (%s); the partition runs here", t->job->id, err.text);
    }
    if (mig_journal(t->job, JOURNAL_DONE, "", &err) != 0)
        log_error("job %" PRIu64 ": %s", t->job->id, err.text);
}

/* 0 = runs here, 1 = a check or a refusal was answered, -1. */
static int run(struct target *t, bool *prepared, bool *committed, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message state;
    int result;

    job_enter(job, JOB_ADMIT, "admit");
    result = admission(t, err);
    if (result != 0)
        return result;
    if (!mig_list_job(job->mig, job))
        return vf_fail(err, VF_FAILED, "host %s is shutting down", job->mig->host_name);
    if (mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    t->journalled = true;
    if (open_lanes(t, err) != 0)
        return -1;
    job_enter(job, JOB_ROUNDS, "round");
    if (receive(t, &state, err) != 0)
        return -1;
    atomic_store(&t->lanes_idle, true);
    if (vf_fsm_get(&job->fsm) == JOB_ROUNDS)
        job_enter(job, JOB_PAUSED, "last-round");
    job_enter(job, JOB_STATE, "state");
    result = prepare(t, &state.state, err);
    wire_message_free(&state);
    if (result != 0)
        return -1;
    job_enter(job, JOB_PREPARED, "ready");
    *prepared = true;
    return take_over(t, committed, err);
}

static void stop_lanes(struct target *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->attaching = false;
    (void)pthread_mutex_unlock(&t->lock);
    for (uint32_t i = 0; i < LANE_MAX; i++)
        lane_target_stop(&t->lane[i]);
}

/* Nothing stays on this host. */
static enum job_state give_up(struct target *t, struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    (void)link_explain(&t->link, vf_now_ns() + LINK_PING_NS, err);
    if (job_cancel_asked(t->job))
        vf_fail(err, VF_CANCELLED, "cancelled on the target");
    (void)job_fail(t->job, err);
    (void)pthread_mutex_lock(&t->job->lock);
    *err = t->job->error; /* a lane may have said it first, and better */
    (void)pthread_mutex_unlock(&t->job->lock);
    link_abort(&t->link, err);
    stop_lanes(t);
    target_discard(t);
    if (t->journalled && mig_journal(t->job, JOURNAL_ABORTED, err->text, &also) != 0)
        log_error("job %" PRIu64 ": %s", t->job->id, also.text);
    return err->code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

/* Was it the peer's own word that ended it? Only then a prepared target knows that it will never run. */
static bool peer_aborted(struct target *t)
{
    bool aborted;

    (void)pthread_mutex_lock(&t->link.lock);
    aborted = t->link.aborted;
    (void)pthread_mutex_unlock(&t->link.lock);
    return aborted;
}

static enum job_state finish(struct target *t, int result, bool prepared, bool committed, struct vf_error *err)
{
    if (result == 1)
        return t->job->error.code == VF_OK ? JOB_COMPLETED : JOB_FAILED;
    if (committed) {
        stop_lanes(t);
        if (vf_fsm_get(&t->job->fsm) == JOB_COMMITTED && t->job->t.first_run != 0) {
            close_books(t);
            return JOB_COMPLETED;
        }
        (void)job_fail(t->job, err);
        return JOB_UNKNOWN;
    }
    if (prepared && !peer_aborted(t)) {
        stop_lanes(t);
        vf_context(err, "prepared, but the link was lost before COMMIT came; the partition is kept paused here until its fate is known");
        err->code = VF_UNKNOWN;
        (void)job_fail(t->job, err);
        return JOB_UNKNOWN;
    }
    return give_up(t, err);
}

static bool target_list(struct target *t, bool add)
{
    struct mig *mig = t->job->mig;
    bool listed = true;

    (void)pthread_mutex_lock(&mig->lock);
    if (add && mig->closing) {
        listed = false;
    } else if (add) {
        t->next = mig->targets;
        mig->targets = t;
    } else {
        struct target **at = &mig->targets;

        while (*at != NULL && *at != t)
            at = &(*at)->next;
        if (*at == t)
            *at = t->next;
    }
    (void)pthread_mutex_unlock(&mig->lock);
    return listed;
}

bool target_attach(struct mig *mig, struct tp *tp, const struct wire_hello *hello)
{
    bool taken = false;

    (void)pthread_mutex_lock(&mig->lock);
    for (struct target *t = mig->targets; t != NULL && !taken; t = t->next) {
        uint32_t index = hello->stream_index;

        (void)pthread_mutex_lock(&t->lock);
        if (t->attaching && memcmp(t->token, hello->token, sizeof t->token) == 0 && index < t->plan.lanes &&
            t->lane[index].tp == NULL) {
            t->lane[index] = (struct lane_target){.job = t->job, .plan = &t->plan, .table = t->table, .index = index, .tp = tp,
                                                  .failed = lane_failed, .ctx = t};
            t->attached++;
            taken = true;
            (void)pthread_cond_broadcast(&t->changed);
        }
        (void)pthread_mutex_unlock(&t->lock);
    }
    (void)pthread_mutex_unlock(&mig->lock);
    return taken;
}

static void serve_job(struct target *t, struct tp *tp)
{
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end;
    bool prepared = false;
    bool committed = false;
    int result = -1;

    if (link_start(&t->link, tp, link_down, t, &err) != 0) {
        (void)job_fail(t->job, &err);
        job_over(t->job, JOB_FAILED);
        return;
    }
    job_set_wake(t->job, wake, t);
    if (!target_list(t, true))
        vf_fail(&err, VF_FAILED, "host %s is shutting down", t->job->mig->host_name);
    else if (kc_connect(t->job->mig->kernel_socket, &t->kc, &err) == 0)
        result = run(t, &prepared, &committed, &err);
    end = finish(t, result, prepared, committed, &err);
    job_set_wake(t->job, NULL, NULL);
    (void)target_list(t, false);
    link_stop(&t->link);
    if (t->kc != NULL)
        kc_close(t->kc);
    digest_table_free(t->table);
    job_over(t->job, end);
}

void target_serve(struct mig *mig, struct tp *tp, const struct wire_hello *hello)
{
    struct target *t = calloc(1, sizeof *t);
    pthread_condattr_t attr;

    if (t == NULL || (t->job = job_new(mig, journal_take_id(mig->journal), hello->job, false)) == NULL) {
        free(t);
        tp_close(tp);
        return;
    }
    t->hello = *hello;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)snprintf(t->job->peer, sizeof t->job->peer, "%s", hello->listen_address[0] != '\0' ? hello->listen_address : tp->peer);
    (void)snprintf(t->job->peer_name, sizeof t->job->peer_name, "%s", hello->host_name);
    t->job->shared_clock = memcmp(hello->boot_id, mig->boot_id, sizeof mig->boot_id) == 0;
    serve_job(t, tp);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    mig_job_put(t->job);
    free(t);
}
