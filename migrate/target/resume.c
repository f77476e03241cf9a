// SPDX-License-Identifier: Apache-2.0
/*
 * A source whose link was lost before it sent STATE comes back and goes on (docs/wire-format.md,
 * "Resume"). Until then the partition stays reserved; what the old connections carried has landed
 * or never will.
 */
#define LOG_ROOM "migrate"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/digest/difference.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A source that may never have heard of its admission cannot come back; one that has does so
 * at once. */
#define UNKNOWN_NS 5000000000ull

bool target_lost(struct target *t, struct vf_error *err)
{
    bool stream, own, again;

    vf_lock(&t->lock);
    stream = vf_fsm_get(&t->streams) == STREAMS_LOST;
    own = vf_fsm_get(&t->streams) == STREAMS_FAILED;
    again = t->again != NULL;
    vf_unlock(&t->lock);
    if (t->version < WIRE_VERSION_RESUME || own || job_cancel_asked(t->job))
        return false;
    /* A source that aborts closes its streams too; its word is on the way. */
    if (stream && !again)
        (void)control_explain(&t->control, vf_now_ns() + CONTROL_EXPLAIN_NS, err);
    return !control_aborted(&t->control) && (stream || again || control_lost(&t->control));
}

/* As long as the source may try, and more: it may notice the loss later than this side. */
static uint64_t patience(struct target *t)
{
    const struct mig *mig = t->job->mig;
    uint64_t now = vf_now_ns();
    uint64_t limit = now + mig->redial_ns;
    uint64_t most = t->job->options.max_time_ns;
    bool known;

    vf_lock(&t->lock);
    known = t->known;
    vf_unlock(&t->lock);
    if (!known)
        return now + UNKNOWN_NS;
    /* The time is the source's own word: one that has sent no page has nothing to come back to. */
    if (most != 0 && atomic_load(&t->job->taken) != 0)
        limit = most > UINT64_MAX - 1 - t->job->t.start ? TP_NEVER - 1 : t->job->t.start + most;
    if (limit < now)
        limit = now;
    if (limit - now > TARGET_KEPT_NS)
        limit = now + TARGET_KEPT_NS;
    return limit < TP_NEVER - 1 - 2 * mig->silence_ns ? limit + 2 * mig->silence_ns : limit;
}

/* The old streams end; -1 when what lies in VRAM now is not what the table says. */
static int end_streams(struct target *t, struct resume_point *at, struct vf_error *err)
{
    uint32_t proven = UINT32_MAX;
    int result;

    for (uint32_t i = 0; i < t->plan.streams; i++) {
        uint32_t rounds = atomic_load(&t->stream[i].rounds);

        /* One that did not even start again has what the last connection had. */
        if (!t->stream[i].started)
            rounds = t->proven;
        proven = rounds < proven ? rounds : proven;
    }
    result = target_stop_streams(t, err);
    memcpy(at->id.job, t->job->uuid, sizeof at->id.job);
    memcpy(at->id.uuid, t->job->partition_uuid, sizeof at->id.uuid);
    at->id.epoch = t->job->epoch;
    at->generation = t->plan.generation;
    at->rounds = t->rounds;
    at->proven = t->proven = proven;
    return result;
}

static int tell_table(struct target *t, struct vf_error *err)
{
    uint64_t digests[WIRE_TABLE_DIGESTS];
    struct wire_message message = {.tag = WIRE_TABLE, .table = {.digests = digests}};
    uint64_t pages = digest_table_pages(t->table);

    for (uint64_t first = 0; first < pages; first += message.table.count) {
        message.table.first = first;
        message.table.count = resume_tell(t->table, first, digests);
        if (control_say(&t->control, &message, TP_NEVER, err) != 0)
            return -1;
    }
    return 0;
}

/* The streams of the new connection, ready for it. */
static void invite(struct target *t, const struct wire_resume *asked)
{
    /* One that is proven whole counts; one that comes again is announced again. */
    if (asked->next_round == t->rounds)
        target_round_done(t);
    t->opened = false;
    vf_lock(&t->lock);
    t->plan.generation = asked->generation;
    t->rounds = t->proven = asked->next_round;
    t->attached = 0;
    target_invite_streams(t, "resumed");
    t->resumed = true;
    vf_unlock(&t->lock);
}

static int answer(struct target *t, const struct wire_resume *asked, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_RESUMED, .resume = *asked};

    return control_say(&t->control, &message, vf_now_ns() + t->job->mig->silence_ns, err) != 0 ||
                   tell_table(t, err) != 0
               ? -1
               : 0;
}

/* On a new link: 0 = the streams run, 1 = it was lost too, -1 = it is over. */
static int go_on(struct target *t, struct resume_point *at, uint64_t deadline, struct vf_error *err)
{
    struct wire_message message;
    struct wire_resume asked;
    int result;

    if (control_expect(&t->control, WIRE_RESUME, 0, deadline, &message, err) != 0)
        return target_lost(t, err) ? 1 : -1;
    asked = message.resume;
    wire_message_free(&message);
    if (resume_check(at, &asked, err) != 0)
        return vf_context(err, "peer %s", t->job->peer);
    invite(t, &asked);
    if (answer(t, &asked, err) == 0 && target_start_streams(t, err) == 0)
        result = 0;
    else
        result = target_lost(t, err) ? 1 : -1;
    return result;
}

static int await_source(struct target *t, uint64_t deadline, struct vf_error *err)
{
    bool superseded;

    if (target_relink(t, LINK_AWAITED, deadline, err) == 0)
        return 0;
    superseded = vf_locked(&t->lock, vf_fsm_get(&t->link) == LINK_SUPERSEDED);
    if (job_cancel_asked(t->job))
        return target_cancelled(t, err);
    if (superseded)
        return vf_fail(err, VF_FAILED, "the link was lost, and its source began a new move");
    return vf_context(err, "the link was lost and the source did not come back in time");
}

void target_supersede(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES], const char *source)
{
    vf_lock(&mig->lock);
    for (struct target *t = mig->targets; t != NULL; t = t->next) {
        vf_lock(&t->lock);
        /* What is compared was written before it began to wait. */
        if (vf_fsm_get(&t->link) == LINK_AWAITED &&
            memcmp(t->job->partition_uuid, uuid, VF_UUID_BYTES) == 0 &&
            strcmp(t->job->peer_name, source) == 0) {
            (void)vf_fsm_set(&t->link, LINK_SUPERSEDED, "a new move");
            vf_cond_broadcast(&t->changed);
        }
        vf_unlock(&t->lock);
    }
    vf_unlock(&mig->lock);
}

int target_resume(struct target *t, struct vf_error *err)
{
    struct mig_job *job = t->job;
    uint64_t deadline = patience(t);
    struct resume_point at = {0};
    int result = 1;

    while (result == 1) {
        if (end_streams(t, &at, err) != 0)
            return -1;
        if (await_source(t, deadline, err) != 0)
            return -1;
        result = go_on(t, &at, deadline, err);
    }
    if (result != 0)
        return -1;
    job_update(job, {
        job->reconnects++;
        (void)snprintf(job->phase, sizeof job->phase, "%s",
                       vf_fsm_get(&job->fsm) == JOB_PAUSED ? "last-round" : "round");
    });
    log_info("job %" PRIu64 ": the source is back on connection %" PRIu32, job->id,
             t->plan.generation);
    return 0;
}
