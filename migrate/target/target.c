// SPDX-License-Identifier: Apache-2.0
/*
 * The target's line of phases (TGT-5): admission, pages, state, READY, COMMIT, unpause. Until
 * PREPARED is journalled here every failure ends with nothing left on this host.
 */
#define LOG_ROOM "migrate"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/size.h"
#include "base/thread.h"
#include "migrate/handoff/retry.h"
#include "migrate/job/ending.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The source prepares and saves its immutable data before it asks. */
#define ASK_NS 30000000000ull
#define CLOSE_NS 5000000000ull
#define STALLED 24u /* times the silence after which a peer that says nothing is lost */

/* Full now, or never? */
static enum vf_code refusal(const struct target *t, const struct vf_reasons *reasons)
{
    return t->passing == reasons->count ? VF_REFUSED_NOW : VF_INCOMPATIBLE;
}

static int answer(struct target *t, const struct vf_reasons *reasons, bool check,
                  struct vf_error *err)
{
    struct wire_message message = {.tag = check ? WIRE_VERDICT : WIRE_REFUSED};
    char more[40] = "";

    message.verdict.reasons = *reasons;
    message.verdict.code = wire_code_of(reasons->count == 0 ? VF_OK : refusal(t, reasons));
    if (reasons->count > 1)
        (void)snprintf(more, sizeof more, " (the first of %u reasons)", reasons->count);
    if (reasons->count > 0)
        (void)snprintf(message.verdict.text, sizeof message.verdict.text,
                       "host %s cannot take it: %s: source %s, target %s; %s%s",
                       t->job->mig->host_name, reasons->list[0].field, reasons->list[0].source,
                       reasons->list[0].target, reasons->list[0].remedy, more);
    if (control_say(&t->control, &message, vf_now_ns() + t->job->mig->silence_ns, err) != 0)
        return -1;
    control_linger(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS);
    return 0;
}

/* Asks what wants to come, and answers. 0 = admitted, 1 = answered and over, -1. */
static int admission(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct vf_reasons reasons = {0};
    struct wire_message ask;
    int result;

    if (control_expect(&t->control, WIRE_ADMIT, 0, vf_now_ns() + ASK_NS, &ask, err) != 0)
        return -1;
    job_set_partition(job, ask.admit.params.uuid, ask.admit.epoch, ask.admit.params.vram_bytes,
                      ask.admit.sent_page_bytes);
    job_update(job, {
        memcpy(job->partition, ask.admit.params.name, sizeof job->partition);
        job->options.streams = ask.admit.streams;
        job->options.max_blackout_ns = ask.admit.max_blackout_ns;
        job->options.max_time_ns = ask.admit.max_time_ns;
        job->options.verify =
            ask.admit.verify == MIG_VERIFY_FULL ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
        job->options.dry_run = ask.admit.check_only != 0;
    });
    job->stays_paused = ask.admit.stay_paused != 0;
    t->queued = ask.admit.queued != 0;
    memcpy(t->digest_key, ask.admit.key, sizeof t->digest_key);
    /* From here on it can be seen and cancelled: to make room may take long. */
    if (!job->options.dry_run && !mig_list_job(job->mig, job)) {
        wire_message_free(&ask);
        return vf_fail(err, VF_FAILED, "host %s is shutting down", job->mig->host_name);
    }
    if (ask.admit.streams == 0 || ask.admit.streams > STREAM_MAX)
        vf_reason_add(&reasons, "streams", "-", "1..8", "use --streams 1 to 8");
    result = reasons.count > 0 ? 0 : target_admit(t, &ask.admit, &reasons, err);
    if (result == 0 && reasons.count == 0 && !job->options.dry_run &&
        ask.admit.slot_bytes != stream_slot_bytes(t->partition.page_bytes))
        vf_reason_add(&reasons, "slot", "-", "-", "both hosts need the same version");
    wire_message_free(&ask);
    if (result != 0)
        return -1;
    if (job_cancel_asked(job))
        return target_cancelled(t, err);
    job_judged(job, &reasons);
    if (reasons.count == 0 && !job->options.dry_run)
        return 0;
    (void)target_discard(t);
    mig_unlist_job(job->mig, job); /* whoever wants to come again and again fills no list */
    if (answer(t, &reasons, job->options.dry_run, err) != 0)
        return -1;
    if (reasons.count > 0) {
        vf_fail(err, refusal(t, &reasons), "refused: %s: source %s, target %s",
                reasons.list[0].field, reasons.list[0].source, reasons.list[0].target);
        (void)job_fail(job, err);
    }
    return 1;
}

void target_round_done(struct target *t)
{
    struct job_round round = t->open;

    if (!t->opened)
        return;
    t->opened = false;
    vf_lock(&t->job->lock);
    round.pages = t->job->came[t->rounds - 1].pages;
    round.bytes = t->job->came[t->rounds - 1].bytes;
    vf_unlock(&t->job->lock);
    vf_trace(round_end, t->job->id, t->job->side == MIG_SOURCE, t->rounds - 1, round.dirty_pages,
             round.pages, round.bytes);
    job_round_done(t->job, &round);
}

static int note_round(struct target *t, const struct wire_round *round, struct vf_error *err)
{
    struct mig_job *job = t->job;

    bool paused = vf_fsm_get(&job->fsm) == JOB_PAUSED;

    /* Paused is the last one; only when its link was lost it comes again. */
    if ((paused && !(t->resumed && round->paused)) || round->round != t->rounds ||
        t->rounds >= MIG_MAX_ROUNDS || round->pages > t->plan.geometry.pages_total)
        return vf_fail(err, VF_FAILED,
                       "peer %s: announces round %u of %" PRIu64 " pages out of turn", job->peer,
                       round->round, round->pages);
    target_round_done(t); /* the source has its ACKs, else it would not go on */
    t->rounds++;
    t->resumed = false;
    t->queued = false;
    t->open = (struct job_round){.dirty_pages = round->pages};
    t->opened = true;
    vf_trace(round_begin, job->id, job->side == MIG_SOURCE, round->round, round->pages,
             round->paused);
    job_update(job, { job->left_bytes = round->pages * job->page_bytes; });
    if (round->paused) {
        job_enter(job, JOB_PAUSED, "last-round");
        if (!job->stays_paused)
            stand_begins(job, vf_now_ns());
    }
    return 0;
}

/* The next record. A source that lives and neither sends a page nor begins a round keeps a place
 * that others could have: not for ever, also when it waits for its turn. */
static int next_record(struct target *t, struct wire_message *out, struct vf_error *err)
{
    uint64_t span = t->queued ? TARGET_KEPT_NS : STALLED * t->job->mig->silence_ns, until, taken;
    char text[32];

    do {
        taken = atomic_load(&t->job->taken);
        until = vf_now_ns() + span;
        if (control_expect(&t->control, WIRE_ROUND, WIRE_STATE, until, out, err) == 0)
            return 0;
        if (vf_now_ns() < until || control_ended(&t->control) || job_cancel_asked(t->job))
            return -1;
    } while (atomic_load(&t->job->taken) != taken);
    return vf_fail(err, VF_FAILED,
                   "peer %s: lives, and has sent nothing of the partition for %s; its place is "
                   "given back",
                   t->job->peer, vf_time_format(span, text, sizeof text));
}

/* Rounds as they are announced, one of them paused and the last, until the mutable state comes. */
static int receive(struct target *t, struct wire_message *state, struct vf_error *err)
{
    for (;;) {
        struct wire_message message;
        int result;

        if (next_record(t, &message, err) != 0) {
            if (!target_lost(t, err) || target_resume(t, err) != 0)
                return -1;
            continue;
        }
        if (message.tag == WIRE_STATE && vf_fsm_get(&t->job->fsm) == JOB_PAUSED && !t->resumed) {
            target_round_done(t);
            *state = message;
            return 0;
        }
        if (message.tag == WIRE_STATE)
            result = vf_fail(err, VF_FAILED,
                             "peer %s: sends STATE without a paused round before it", t->job->peer);
        else
            result = note_round(t, &message.round, err);
        wire_message_free(&message);
        if (result != 0)
            return -1;
    }
}

static int hand_over(struct target *t, struct wire_message *state, struct vf_error *err)
{
    int result;

    /* From here the source may have to come back to say how it ended. */
    target_welcome_back(t);
    job_enter(t->job, JOB_STATE, "state");
    result = target_close_pages(t, err);
    if (result == 0)
        result = target_prepare(t, &state->state, err);
    wire_message_free(state);
    if (result != 0)
        return -1;
    job_enter(t->job, JOB_PREPARED, "ready");
    return target_take_over(t, err);
}

/* 0 = runs here, 1 = a check or a refusal was answered, -1. */
static int run(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    struct wire_message state;
    int result;

    job_enter(job, JOB_ADMIT, "admit");
    result = admission(t, err);
    if (result != 0)
        return result;
    /* With the token: should this daemon die at any moment from here on, the next one knows the
     * source by it. */
    if (target_make_token(t, err) != 0 || mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    if (t->version >= WIRE_VERSION_RESUME)
        target_welcome_back(t);
    result = target_open_streams(t, err);
    job_enter(job, JOB_ROUNDS, "round");
    /* The source may be in its rounds already. */
    if (result != 0 && (!target_lost(t, err) || target_resume(t, err) != 0))
        return -1;
    if (receive(t, &state, err) != 0)
        return -1;
    return hand_over(t, &state, err);
}

static enum job_state finish(struct target *t, int result, const struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    if (result == 1)
        return t->job->error.code == VF_OK ? JOB_COMPLETED : JOB_FAILED;
    if (!job_state_ends(t->end) && !job_committed(t->job))
        target_give_up(t, err);
    (void)target_stop_streams(t, &also);
    if (!job_state_ends(t->end))
        target_close_books(t);
    else if (t->end != JOB_UNKNOWN)
        control_linger(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS);
    /* Unknown, where the core has not said how it ended. */
    return job_state_ends(t->end) ? t->end : JOB_UNKNOWN;
}

static bool target_list(struct target *t, bool add)
{
    struct mig *mig = t->job->mig;
    bool listed = true;

    vf_lock(&mig->lock);
    if (add && mig_ending(mig)) {
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
    vf_unlock(&mig->lock);
    return listed;
}

static void serve_job(struct target *t, struct tp *tp)
{
    struct mig *mig = t->job->mig;
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end;
    int result = -1;

    if (control_start_new(&t->control, tp, mig->silence_ns, target_control_down, t, &err) != 0) {
        (void)job_fail(t->job, &err);
        retry_job_over(t->job, JOB_FAILED);
        return;
    }
    control_on_note(&t->control, target_hear_note);
    target_first_link(t);
    job_set_wake(t->job, target_wake, t);
    stand_set_note(t->job, target_note, t);
    if (!target_list(t, true))
        vf_fail(&err, VF_FAILED, "host %s is shutting down", mig->host_name);
    else if (kc_connect(mig->kernel_socket, &t->kc, &err) == 0)
        result = run(t, &err);
    end = finish(t, result, &err);
    target_close_link(t);
    job_set_wake(t->job, NULL, NULL);
    stand_set_note(t->job, NULL, NULL);
    (void)target_list(t, false);
    control_stop(&t->control);
    if (t->kc != NULL)
        kc_close(t->kc);
    digest_table_free(t->table);
    retry_job_over(t->job, end);
}

void target_serve(struct mig *mig, struct tp *tp, const struct wire_hello *hello, uint16_t version)
{
    struct target *t = calloc(1, sizeof *t);

    if (t == NULL ||
        (t->job = job_new(mig, journal_take_id(mig->journal), hello->job, MIG_TARGET)) == NULL) {
        free(t);
        tp_close(tp);
        return;
    }
    vf_lock_init(&t->lock);
    vf_cond_init(&t->changed);
    target_init_streams(t);
    target_init_link(t);
    (void)snprintf(t->job->peer, sizeof t->job->peer, "%s",
                   hello->listen_address[0] != '\0' ? hello->listen_address : tp->peer);
    memcpy(t->job->identity, tp->identity, sizeof t->job->identity);
    (void)snprintf(t->job->peer_name, sizeof t->job->peer_name, "%s", hello->host_name);
    t->version = version;
    t->job->shared_clock = memcmp(hello->boot_id, mig->boot_id, sizeof mig->boot_id) == 0;
    serve_job(t, tp);
    vf_cond_fini(&t->changed);
    vf_lock_fini(&t->lock);
    mig_job_put(t->job);
    free(t);
}
