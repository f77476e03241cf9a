// SPDX-License-Identifier: Apache-2.0
/*
 * A lost link does not lose the work (docs/wire-format.md, "Resume"): the source dials again, takes
 * the target's word for what arrived, and goes on with the rest. The partition stays prepared and
 * its writes tracked all the while.
 */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "migrate/digest/difference.h"
#include "migrate/job/ending.h"
#include "migrate/net/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXPLAIN_NS 100000000ull
#define DIAL_NS 2000000000ull /* nothing ends it, so a cancel may have to wait for it */
#define BACKOFF_NS 50000000ull
#define BACKOFF_MAX_NS 2000000000ull

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until when the target's next record, or ours, may take: the blackout does not wait for
 * a silence. */
static uint64_t patience(const struct source *s, uint64_t deadline)
{
    return sooner(vf_now_ns() + s->job->mig->silence_ns, deadline);
}

void source_progressed(struct source *s)
{
    s->give_up_ns = 0;
    s->wait_ns = 0;
}

void source_hang_up(struct source *s)
{
    if (s->calling != NULL)
        tp_abort(s->calling);
}

/* Is it the way between the hosts that failed, and nothing else? */
static bool was_lost(struct source *s)
{
    /* A target that gives up says so before it closes; this only saves asking it. */
    if (vf_fsm_get(&s->job->fsm) == JOB_ROUNDS)
        control_linger(&s->control, vf_now_ns() + EXPLAIN_NS);
    return !job_cancel_asked(s->job) && !control_aborted(&s->control) &&
           (control_lost(&s->control) || stream_group_lost(&s->group));
}

/* Nothing of the old connections is left; the streams may be opened again. */
static void hang_up_all(struct source *s)
{
    job_update(s->job, s->linked = false);
    control_stop(&s->control);
    stream_group_stop(&s->group);
    stream_group_renew(&s->group);
}

static uint64_t give_up_at(struct source *s)
{
    const struct mig_job *job = s->job;
    uint64_t limit = source_limits(s).max_time_ns;

    if (vf_fsm_get(&job->fsm) == JOB_PAUSED)
        return s->deadline_ns;
    if (limit != 0)
        return job->t.start + limit;
    if (s->give_up_ns == 0)
        s->give_up_ns = vf_now_ns() + job->mig->redial_ns;
    return s->give_up_ns;
}

static int no_hope(struct source *s, const struct vf_error *first, struct vf_error *err)
{
    const char *limit = vf_fsm_get(&s->job->fsm) == JOB_PAUSED ? "--max-blackout"
                        : source_limits(s).max_time_ns != 0    ? "--max-time"
                                                               : "the daemon's --redial time";
    struct vf_error last = *err;

    return vf_fail(err, VF_FAILED,
                   "the link was lost (%.250s) and could not be made good within %s%s%.200s",
                   first->text, limit, last.text[0] != '\0' ? ": " : "", last.text);
}

/* The connection that is being made, or NULL when a cancel was first: it would not have
 * found it. */
static struct tp *hold(struct source *s, struct tp *tp)
{
    bool cancelled;

    job_update(s->job, s->calling = tp);
    cancelled = job_cancel_asked(s->job) || job_leaving(s->job);
    if (cancelled) {
        job_update(s->job, s->calling = NULL);
        tp_close(tp);
    }
    return cancelled ? NULL : tp;
}

/* What the target knows of this hand-off: 0, or -1. *over: by its own word, so that asking again is
 * of no use. */
static int hear(struct source *s, struct tp *tp, uint64_t deadline, enum wire_tag want,
                struct wire_message *out, bool *over, struct vf_error *err)
{
    if (wire_hear(tp, out, patience(s, deadline), err) != 0)
        return -1;
    if (out->tag == want)
        return 0;
    *over = true;
    if (out->tag == WIRE_ABORT)
        vf_fail(err, wire_error_code(out->abort.code), "peer %s: %s", s->job->peer,
                out->abort.text);
    else
        vf_fail(err, VF_FAILED, "peer %s: sent %s where %s was due", s->job->peer,
                wire_tag_name(out->tag), wire_tag_name(want));
    wire_message_free(out);
    return -1;
}

static int ask(struct source *s, struct tp *tp, uint64_t deadline, bool *over, struct vf_error *err)
{
    struct wire_message message = {
        .tag = WIRE_RESUME,
        .resume = {.id.epoch = s->job->epoch, .generation = s->generation, .next_round = s->round}};
    struct wire_resume asked;

    memcpy(message.resume.id.job, s->job->uuid, sizeof message.resume.id.job);
    memcpy(message.resume.id.uuid, s->job->partition_uuid, sizeof message.resume.id.uuid);
    asked = message.resume;
    if (wire_say(tp, &message, patience(s, deadline), err) != 0 ||
        hear(s, tp, deadline, WIRE_RESUMED, &message, over, err) != 0)
        return -1;
    if (memcmp(&message.resume.id, &asked.id, sizeof asked.id) != 0 ||
        message.resume.generation != asked.generation) {
        *over = true;
        vf_fail(err, VF_FAILED, "peer %s: resumes something else than was asked for", s->job->peer);
    }
    wire_message_free(&message);
    return *over ? -1 : 0;
}

/* The target's table becomes ours; what differs is owed. Interrupted it does no harm: it begins
 * anew with the next attempt, and what is owed stays so. */
static int take_table(struct source *s, struct tp *tp, uint64_t deadline, bool *over,
                      struct vf_error *err)
{
    uint64_t pages = digest_table_pages(s->table);
    uint64_t next = 0;

    while (next < pages) {
        struct wire_message message;
        int result;

        if (hear(s, tp, deadline, WIRE_TABLE, &message, over, err) != 0)
            return -1;
        result = resume_take(s->table, &message.table, &next, s->bits, err);
        wire_message_free(&message);
        if (result != 0) {
            *over = true;
            return vf_context(err, "peer %s", s->job->peer);
        }
        /* The other side listens for signs of life while it tells. */
        if (wire_send(tp, WIRE_PING, 0, NULL, patience(s, deadline), err) != 0)
            return -1;
    }
    return 0;
}

/* Has the target more than when it was last asked? */
static void look_for_progress(struct source *s)
{
    uint8_t root[DIGEST_ROOT_BYTES];

    digest_root(s->table, root, NULL);
    if (memcmp(root, s->their_root, sizeof root) != 0)
        source_progressed(s);
    memcpy(s->their_root, root, sizeof root);
}

/* Both HELLOs, then RESUME and its answer. */
static int talk(struct source *s, struct tp *tp, uint64_t deadline, bool *over,
                struct vf_error *err)
{
    struct mig_peer peer;

    if (mig_greet(tp, &s->hello, patience(s, deadline), &peer, err) != 0)
        return -1;
    if (peer.version < WIRE_VERSION_RESUME) {
        *over = true;
        return vf_fail(err, VF_FAILED, "peer %s: speaks an older version now and cannot resume",
                       s->job->peer);
    }
    s->version = peer.version;
    return ask(s, tp, deadline, over, err) != 0 ? -1 : take_table(s, tp, deadline, over, err);
}

/* A connection on which the target goes on. */
static int call(struct source *s, uint64_t deadline, bool *over, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct tp *tp;
    int result;

    if (mig_dial_again(job, sooner(vf_now_ns() + DIAL_NS, deadline), &tp, err) != 0)
        return -1;
    if (mig_know_peer(job, tp, err) != 0) { /* the token is for the hand-off's own target */
        tp_close(tp);
        return -1;
    }
    if (hold(s, tp) == NULL)
        return vf_fail(err, VF_CANCELLED, "cancelled");
    result = talk(s, tp, deadline, over, err);
    job_update(job, s->calling = NULL);
    if (result != 0) {
        tp_close(tp);
        return -1;
    }
    look_for_progress(s);
    if (source_control(s, tp, err) != 0)
        return -1;
    job_update(job, s->linked = true);
    return 0;
}

/* One attempt. */
static int reconnect(struct source *s, uint64_t deadline, bool *over, struct vf_error *err)
{
    struct stream_plan plan = s->group.plan;
    int result;

    plan.generation = ++s->generation;
    s->hello.generation = s->generation;
    result = call(s, deadline, over, err);
    if (result == 0)
        result = stream_group_open(&s->group, &plan, s->table, &s->hello, s->job->options.to,
                                   deadline, err);
    s->hello.generation = 0;
    if (result == 0)
        return 0;
    if (!s->linked)
        return -1;
    *over = !was_lost(s); /* a page channel that does not open is not the link's fault */
    if (!*over)
        hang_up_all(s);
    return -1;
}

static bool wait_for_slot(struct source *s, uint64_t deadline)
{
    uint64_t until = vf_now_ns() + s->wait_ns;
    bool go = job_doze(s->job, sooner(until, deadline)) && vf_now_ns() < deadline;

    s->wait_ns = s->wait_ns == 0                   ? BACKOFF_NS
                 : s->wait_ns > BACKOFF_MAX_NS / 2 ? BACKOFF_MAX_NS
                                                   : 2 * s->wait_ns;
    return go;
}

static void tell_lost(struct source *s, const struct vf_error *why)
{
    struct mig_job *job = s->job;
    char phase[80];

    job_update(job, (void)snprintf(job->phase, sizeof job->phase, "reconnect"));
    mig_event(job->mig, job->id, vf_realtime_ns(),
              "job %" PRIu64 ": the link to host %s was lost %s, dialling again: %s", job->id,
              ending_peer(job), ending_phase(job, phase, sizeof phase), why->text);
}

static void tell_back(struct source *s, uint64_t since_ns)
{
    struct mig_job *job = s->job;
    char text[32];

    job_update(job, {
        job->reconnects++;
        (void)snprintf(job->phase, sizeof job->phase, "%s",
                       vf_fsm_get(&job->fsm) == JOB_PAUSED ? "last-round" : "round");
    });
    mig_event(job->mig, job->id, vf_realtime_ns(),
              "job %" PRIu64 ": the link to host %s is back after %s", job->id, ending_peer(job),
              vf_time_format(vf_now_ns() - since_ns, text, sizeof text));
}

int source_resume(struct source *s, struct vf_error *err)
{
    uint64_t since = vf_now_ns();
    struct vf_error said = VF_ERROR_INIT; /* why the target cannot now, in its own words */
    struct vf_error first;
    uint64_t deadline;

    if (!was_lost(s))
        return -1;
    s->too_old = s->version < WIRE_VERSION_RESUME;
    if (s->too_old)
        return -1;
    /* The link's own end is the better explanation, if it has one already. */
    (void)control_explain(&s->control, 0, err);
    first = *err;
    err->text[0] = '\0';
    deadline = give_up_at(s);
    tell_lost(s, &first);
    hang_up_all(s);
    while (wait_for_slot(s, deadline)) {
        bool over = false;

        if (reconnect(s, deadline, &over, err) == 0) {
            tell_back(s, since);
            return 0;
        }
        log_debug("job %" PRIu64 ": reconnect: %s", s->job->id, err->text);
        if (err->code == VF_REFUSED_NOW)
            said = *err;
        if (over)
            return vf_context(err, "the link was lost, and the work cannot go on");
    }
    if (job_cancel_asked(s->job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    if (said.code != VF_OK) /* the last attempt may have ended without a word */
        *err = said;
    return no_hope(s, &first, err);
}
