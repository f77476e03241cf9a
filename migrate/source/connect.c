// SPDX-License-Identifier: Apache-2.0
/* The source's control connection: the first one, and those after it was lost in the middle of a
 * hand-off (docs/wire-format.md, "Redial"). */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/job/ending.h"
#include "migrate/net/peer.h"
#include "migrate/job/stand.h"
#include "migrate/handoff/redial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_NS 5000000000ull

/* The link ended: nobody waits for pages any more. The reader's thread. */
static void stop_streams(void *ctx)
{
    struct source *s = ctx;

    stream_group_abort(&s->group);
    send_slots_wake(&s->job->mig->send_slots);
}

/* What the target is in for long. */
static void hear_note(void *ctx, const char *text)
{
    stand_peer(((struct source *)ctx)->job, text);
}

int source_control(struct source *s, struct tp *tp, struct vf_error *err)
{
    stand_peer(s->job, "");
    if (control_start(&s->control, tp, s->job->mig->silence_ns, stop_streams, s, err) != 0)
        return -1;
    control_on_note(&s->control, hear_note);
    return 0;
}

/* The target is this very host. */
static int refuse_itself(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    static const char remedy[] = "name another host";

    job_update(job, {
        vf_reason_add(&job->reasons, "host", job->host_name, "this host itself", remedy);
        job->judged = true;
    });
    return vf_fail(err, VF_INCOMPATIBLE,
                   "%s is this host itself; partition %s is here already" VF_REMEDY "%s",
                   job->options.to, job->partition, remedy);
}

/* Connects, exchanges HELLO, starts the link. */
static int dial(struct source *s, uint64_t deadline, struct vf_error *err)
{
    struct mig_peer peer;
    struct tp *tp;

    if (mig_dial(s->job->mig, s->job->options.to, deadline, &tp, err) != 0)
        return -1;
    if (mig_know_peer(s->job, tp, err) != 0 ||
        mig_greet(tp, &s->hello, deadline, &peer, err) != 0) {
        tp_close(tp);
        return atomic_load(&s->job->came_home) ? refuse_itself(s, err) : -1;
    }
    s->peer = peer.hello;
    s->version = peer.version;
    return source_control(s, tp, err);
}

int source_connect(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    mig_hello(job->mig, job->uuid, &s->hello);
    stand_waits(job, "host %s to answer", job->peer);
    if (dial(s, vf_now_ns() + CONNECT_NS, err) != 0)
        return -1;
    stand_calls(job, NULL);
    job_update(job, {
        memcpy(job->peer_name, s->peer.host_name, sizeof job->peer_name);
        job->shared_clock =
            memcmp(s->peer.boot_id, job->mig->boot_id, sizeof job->mig->boot_id) == 0;
        /* From here a cancel also ends waits on the link; one that came earlier is seen by
         * the caller. */
        s->linked = true;
    });
    return 0;
}

/* The partition works again, and whoever waits for the job waits for a courtesy: the retry thread
 * goes on with it. */
#define RECALL_NS 5000000000ull

/* What may be on its way while ours is: ADMITTED or READY, and one more for luck. */
#define CROSSING 3u

/* ABORT, and the target's word that nothing is left there. Its own ABORT says the same. */
static bool recalled(struct source *s, const struct vf_error *why)
{
    uint64_t deadline = vf_now_ns() + s->job->mig->silence_ns;

    control_abort(&s->control, why);
    for (unsigned i = 0; i <= CROSSING; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct wire_message message;

        if (control_expect(&s->control, WIRE_CLOSE, 0, deadline, &message, &err) == 0) {
            wire_message_free(&message);
            return true;
        }
    }
    /* On the first link an ABORT is that of the hand-off's own target. */
    return control_aborted(&s->control);
}

/* Nothing of this move may be in the way of what the word's answer asks for. */
static void let_go(struct source *s, const char *phase)
{
    stream_group_stop(&s->group);
    if (s->linked)
        control_stop(&s->control);
    s->linked = false;
    job_update(s->job, (void)snprintf(s->job->phase, sizeof s->job->phase, "%s", phase));
}

void source_recall(struct source *s, const struct vf_error *why)
{
    struct mig_job *job = s->job;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t span = job->mig->redial_ns < RECALL_NS ? job->mig->redial_ns : RECALL_NS;
    char where[ENDING_WHERE], late[ENDING_WHERE];
    enum job_state end;

    stand_does(job, "host %s to hear that the move was called off; %s", ending_peer(job),
               ending_stays(job, where));
    if (s->linked && recalled(s, why)) {
        if (job->owes)
            (void)redial_heard(job, s->kc, EVENT_CLOSE, &end, &err);
        return;
    }
    /* A copy without state cannot run: nobody waits here until the target has heard. */
    if (redial_owed(job) == SAY_NOTHING || !s->state_sent)
        return;
    log_warn("job %" PRIu64 ": the link was lost; %s, telling host %s so", job->id, where,
             ending_peer(job));
    let_go(s, "recall");
    if (redial_until(job, s->kc, vf_now_ns() + span, &end, &err) == 0)
        return;
    log_warn("job %" PRIu64
             ": host %s could not be told yet; if it was prepared, it keeps its copy "
             "paused until it is: %s",
             job->id, ending_peer(job), err.text);
    (void)snprintf(late, sizeof late, "host %.63s is told so as soon as it can be reached",
                   ending_peer(job));
    job_update(job, ending_add(&job->error, late));
}

enum job_state source_recommit(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    enum job_state end = JOB_UNKNOWN;

    log_warn("job %" PRIu64 ": the link was lost after COMMIT; asking again: %s", job->id,
             err->text);
    let_go(s, "recommit");
    stand_waits(job, "host %s to say whether it runs partition %s", job->peer_name, job->partition);
    if (redial_until(job, s->kc, vf_now_ns() + job->mig->redial_ns, &end, err) != 0) {
        source_give_up(s, err);
        return source_end(s);
    }
    if (end != JOB_COMPLETED)
        (void)job_fail(job, err);
    return end;
}
