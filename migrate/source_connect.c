// SPDX-License-Identifier: Apache-2.0
/* The source's control connection: the first one, and those after it was lost in the middle of a
 * hand-off (docs/wire-format.md, "Redial"). */
#define LOG_ROOM "migrate"
#include "migrate/source.h"

#include "base/log.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

#define CONNECT_NS 5000000000ull
#define BACKOFF_NS 50000000ull
#define BACKOFF_MAX_NS 2000000000ull

/* The link ended: nobody waits for pages any more. The reader's thread. */
static void stop_lanes(void *ctx)
{
    lanes_abort(&((struct source *)ctx)->lanes);
}

static void fill_hello(const struct mig *mig, const struct mig_job *job, struct wire_hello *hello)
{
    wire_hello_init(hello);
    hello->role = WIRE_CONTROL;
    memcpy(hello->host_name, mig->host_name, sizeof hello->host_name);
    memcpy(hello->boot_id, mig->boot_id, sizeof hello->boot_id);
    memcpy(hello->job, job->uuid, sizeof hello->job);
    memcpy(hello->listen_address, mig->listen, sizeof hello->listen_address);
}

int source_call(struct source *s, uint64_t deadline, struct tp **out, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_HELLO};
    struct tp *tp;

    if (mig_dial(s->job->mig, s->job->options.to, deadline, &tp, err) != 0)
        return -1;
    message.hello = s->hello;
    if (wire_say(tp, &message, deadline, err) != 0 ||
        wire_expect(tp, WIRE_HELLO, &message, deadline, err) != 0) {
        tp_close(tp);
        return -1;
    }
    s->peer = message.hello;
    wire_message_free(&message);
    if (wire_hello_agree(&s->peer, 0, &s->version, err) != 0) {
        tp_close(tp);
        return -1;
    }
    *out = tp;
    return 0;
}

int source_link(struct source *s, struct tp *tp, struct vf_error *err)
{
    return link_start(&s->link, tp, s->job->mig->silence_ns, stop_lanes, s, err);
}

static int dial(struct source *s, uint64_t deadline, struct vf_error *err)
{
    struct tp *tp;

    return source_call(s, deadline, &tp, err) != 0 ? -1 : source_link(s, tp, err);
}

int source_connect(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    fill_hello(job->mig, job, &s->hello);
    if (dial(s, vf_now_ns() + CONNECT_NS, err) != 0)
        return -1;
    job_update(job, {
        memcpy(job->peer_name, s->peer.host_name, sizeof job->peer_name);
        job->shared_clock =
            memcmp(s->peer.boot_id, job->mig->boot_id, sizeof job->mig->boot_id) == 0;
        /* From here a cancel also ends waits on the link; one that came earlier is seen by the
         * caller. */
        s->linked = true;
    });
    return 0;
}

/* A new link within the deadline, trying less and less often; false when there is no more hope. */
static bool redial(struct source *s, uint64_t deadline, uint64_t *wait_ns)
{
    if (s->linked)
        link_stop(&s->link);
    s->linked = false;
    while (job_sleep(s->job, vf_now_ns() + *wait_ns) && vf_now_ns() < deadline) {
        struct vf_error err = VF_ERROR_INIT;
        uint64_t limit = vf_now_ns() + CONNECT_NS;

        *wait_ns = *wait_ns > BACKOFF_MAX_NS / 2 ? BACKOFF_MAX_NS : 2 * *wait_ns;
        s->linked = dial(s, limit < deadline ? limit : deadline, &err) == 0;
        if (s->linked)
            return true;
        log_debug("job %llu: redial: %s", (unsigned long long)s->job->id, err.text);
    }
    return false;
}

/* What may be on its way while ours is: ADMITTED or READY, and one more for luck. */
#define CROSSING 3u

/* ABORT, and the target's word that nothing is left there. Its own ABORT says the same. */
static bool recalled(struct source *s, const struct vf_error *why, uint64_t deadline)
{
    link_abort(&s->link, why);
    for (unsigned i = 0; i <= CROSSING; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct wire_message message;

        if (link_expect(&s->link, WIRE_CLOSE, 0, deadline, &message, &err) == 0) {
            wire_message_free(&message);
            return true;
        }
    }
    return false;
}

void source_recall(struct source *s, const struct vf_error *why)
{
    uint64_t silence_ns = s->job->mig->silence_ns;
    uint64_t deadline = vf_now_ns() + s->job->mig->redial_ns;
    uint64_t wait_ns = BACKOFF_NS;

    /* A copy without state cannot run, so nobody redials for it; but who hears that the move is
     * over shall find nothing of it on the target, nor be refused there when he tries again. */
    if (!s->state_sent) {
        (void)recalled(s, why, vf_now_ns() + silence_ns);
        return;
    }
    /* On the first link an ABORT is that of the hand-off's own target; later ones may only say that
     * it cannot help. */
    if (recalled(s, why, vf_now_ns() + silence_ns) || link_aborted(&s->link))
        return;
    job_update(s->job, (void)snprintf(s->job->phase, sizeof s->job->phase, "recall"));
    log_warn("job %llu: the link was lost; partition %s runs on here, telling the target so",
             (unsigned long long)s->job->id, s->job->partition);
    while (redial(s, deadline, &wait_ns)) {
        if (recalled(s, why, vf_now_ns() + silence_ns))
            return;
    }
    log_warn("job %llu: the target could not be told; if it was prepared, it keeps its copy paused",
             (unsigned long long)s->job->id);
}

int source_recommit(struct source *s, struct vf_error *err)
{
    uint64_t deadline = vf_now_ns() + s->job->mig->redial_ns;
    uint64_t wait_ns = BACKOFF_NS;

    job_update(s->job, (void)snprintf(s->job->phase, sizeof s->job->phase, "recommit"));
    log_warn("job %llu: the link was lost after COMMIT; asking again: %s",
             (unsigned long long)s->job->id, err->text);
    while (redial(s, deadline, &wait_ns)) {
        if (source_ask_running(s, err) == 0)
            return 0;
    }
    return -1;
}
