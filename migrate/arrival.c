// SPDX-License-Identifier: Apache-2.0
/* Who connects to the migration port: a HELLO in time, then a data stream, a source that redials,
 * or a new arrival. */
#define LOG_ROOM "migrate"
#include "base/log.h"
#include "base/size.h"
#include "migrate/mig.h"
#include "migrate/settle.h"
#include "migrate/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Evicted ones that may not have gone yet. */
#define LEAVING 16u

struct stranger {
    struct mig *mig;
    struct tp *tp;
    struct stranger *next; /* mig's list, guarded by its lock; newest first */
    bool evicted;          /* likewise */
};

void mig_abort_strangers(struct mig *mig)
{
    for (struct stranger *stranger = mig->strangers; stranger != NULL; stranger = stranger->next)
        tp_abort(stranger->tp);
}

/* It has said who it is, or never will: takes it off the list. */
static void known(struct stranger *stranger)
{
    struct mig *mig = stranger->mig;
    struct stranger **at = &mig->strangers;

    (void)pthread_mutex_lock(&mig->lock);
    while (*at != stranger)
        at = &(*at)->next;
    *at = stranger->next;
    mig->stranger_count--;
    (void)pthread_mutex_unlock(&mig->lock);
    free(stranger);
}

static bool take_place(struct mig *mig)
{
    bool room;

    (void)pthread_mutex_lock(&mig->lock);
    room = !mig->closing && mig->arrivals < MIG_MAX_ARRIVALS;
    if (room)
        mig->arrivals++;
    (void)pthread_mutex_unlock(&mig->lock);
    return room;
}

static void give_place(struct mig *mig)
{
    (void)pthread_mutex_lock(&mig->lock);
    mig->arrivals--;
    (void)pthread_mutex_unlock(&mig->lock);
}

static void refuse(struct tp *tp, const struct vf_error *why)
{
    log_info("%s: %s", tp->peer, why->text);
    wire_say_abort(tp, why);
    tp_close(tp);
}

/* A control connection: a source that comes back to its job, or a new one. Takes tp over. */
static void serve_control(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
                          uint64_t deadline)
{
    static const uint8_t none[WIRE_ID_BYTES];
    struct wire_message ours = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;

    mig_hello(mig, peer->hello.job, &ours.hello);
    if (!take_place(mig)) {
        vf_fail(&err, VF_FAILED, "host %s takes no more arrivals at the moment; try again later",
                mig->host_name);
        refuse(tp, &err);
        return;
    }
    if (wire_say(tp, &ours, deadline, &err) != 0)
        refuse(tp, &err);
    else if (memcmp(peer->hello.token, none, sizeof none) != 0)
        target_redialled(mig, tp, peer);
    else
        target_serve(mig, tp, &peer->hello, peer->version);
    give_place(mig);
}

static void *stranger_main(void *arg)
{
    struct stranger *stranger = arg;
    struct mig *mig = stranger->mig;
    struct tp *tp = stranger->tp;
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t deadline = vf_now_ns() + mig->silence_ns;
    struct mig_peer peer;
    int heard;

    (void)prctl(PR_SET_NAME, "arrival");
    tp_set_silence(tp, mig->silence_ns);
    heard = wire_expect(tp, WIRE_HELLO, &message, deadline, &err);
    known(stranger);
    if (heard == 0)
        peer.hello = message.hello;
    if (heard != 0 || wire_hello_agree(&peer.hello, 0, &peer.version, &err) != 0) {
        refuse(tp, &err);
    } else if (peer.hello.role == WIRE_CONTROL) {
        settle_peer_is_back(mig, peer.hello.listen_address);
        serve_control(mig, tp, &peer, deadline);
    } else if (!target_attach(mig, tp, &peer.hello)) {
        vf_fail(&err, VF_FAILED, "no job here waits for this data stream");
        refuse(tp, &err);
    }
    wire_message_free(&message);
    mig_thread_over(mig);
    return NULL;
}

/* Under mig->lock: whoever has been silent longest makes room, so that connections that say nothing
 * keep nobody out. */
static void evict(struct mig *mig)
{
    struct stranger *oldest = NULL;

    for (struct stranger *stranger = mig->strangers; stranger != NULL; stranger = stranger->next) {
        if (!stranger->evicted)
            oldest = stranger;
    }
    if (oldest != NULL) {
        oldest->evicted = true;
        tp_abort(oldest->tp);
    }
}

static bool enlist(struct mig *mig, struct stranger *stranger)
{
    bool room;

    (void)pthread_mutex_lock(&mig->lock);
    if (mig->stranger_count >= MIG_MAX_STRANGERS)
        evict(mig);
    /* Those that go need a moment. */
    room = !mig->closing && mig->stranger_count < MIG_MAX_STRANGERS + LEAVING;
    if (room) {
        mig->stranger_count++;
        mig->threads++;
        stranger->next = mig->strangers;
        mig->strangers = stranger;
    }
    (void)pthread_mutex_unlock(&mig->lock);
    return room;
}

void mig_accept(struct mig *mig, int fd, const char *peer)
{
    struct stranger *stranger = calloc(1, sizeof *stranger);
    struct vf_error err = VF_ERROR_INIT;

    if (stranger == NULL) {
        log_error("%s: closed: out of memory", peer);
        (void)close(fd);
        return;
    }
    stranger->mig = mig;
    if (tp_from_fd(fd, peer, &stranger->tp, &err) != 0) {
        log_warn("%s", err.text);
        free(stranger);
        return;
    }
    if (!enlist(mig, stranger)) {
        log_warn("%s: closed: too many connections that say nothing", peer);
        tp_close(stranger->tp);
        free(stranger);
        return;
    }
    if (mig_spawn(mig, stranger_main, stranger) != 0) {
        struct tp *tp = stranger->tp;

        log_error("%s: closed: no thread to be had", peer);
        known(stranger);
        tp_close(tp);
    }
}
