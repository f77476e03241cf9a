// SPDX-License-Identifier: Apache-2.0
/* Who connects to the migration port: TLS and a HELLO in time, then a data stream, a source that
 * redials, or a new arrival. */
#define LOG_ROOM "migrate"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/retry.h"
#include "migrate/net/capacity.h"
#include "migrate/net/peer.h"
#include "migrate/target/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Evicted ones that may not have gone yet. */
#define LEAVING 16u
/* From the connection to its HELLO, the handshake of TLS included. */
#define HELLO_NS 10000000000ull
/* Refusals that are told of in so long. */
#define TELL_MOST 30u
#define TELL_NS 10000000000ull

struct handshake {
    struct mig *mig;
    uint64_t network; /* tp_peer_network's */
    const char *lacks; /* what the system does not give to serve it, as VF_NO_THREAD */
    /* mig's lock guards what follows. */
    struct tp *tp;         /* NULL while its thread wraps it: nobody else may have it then */
    struct handshake *next; /* mig's list, newest first */
    bool evicted;
    bool proven; /* by its certificate: only silent */
};

/* Under mig->lock. */
static void evict_one(struct handshake *handshake)
{
    handshake->evicted = true;
    if (handshake->tp != NULL)
        tp_abort(handshake->tp);
}

void mig_abort_handshakes(struct mig *mig)
{
    for (struct handshake *handshake = mig->handshakes; handshake != NULL;
         handshake = handshake->next)
        evict_one(handshake);
}

/* It has said who it is, or never will: takes it off the list. */
static void known(struct handshake *handshake)
{
    struct mig *mig = handshake->mig;
    struct handshake **at = &mig->handshakes;

    vf_lock(&mig->lock);
    while (*at != handshake)
        at = &(*at)->next;
    *at = handshake->next;
    mig->handshake_count--;
    vf_unlock(&mig->lock);
    free(handshake);
}

/* `places`: mig's arrivals or redials. */
static bool take_place(struct mig *mig, unsigned *places)
{
    bool room;

    vf_lock(&mig->lock);
    /* A source that comes back to its job is still answered while a stop goes on. */
    room =
        !mig->closing && (places != &mig->inbound || !mig_ending(mig)) && *places < MIG_MAX_INBOUND;
    if (room)
        (*places)++;
    vf_unlock(&mig->lock);
    return room;
}

static void give_place(struct mig *mig, unsigned *places)
{
    vf_lock(&mig->lock);
    (*places)--;
    vf_unlock(&mig->lock);
}

/* Peers that nobody knows shall not fill the disk with what is said of them: their texts may all
 * differ, so the log's own limit (base/log_limit.h) does not count them. */
static void tell(struct mig *mig, const char *peer, const char *text)
{
    const uint64_t now = vf_now_ns();
    unsigned silent = 0;
    bool say;

    vf_lock(&mig->lock);
    if (now - mig->refused_since_ns > TELL_NS) {
        silent = mig->refused > TELL_MOST ? mig->refused - TELL_MOST : 0;
        mig->refused_since_ns = now;
        mig->refused = 0;
    }
    say = ++mig->refused <= TELL_MOST;
    vf_unlock(&mig->lock);
    if (silent > 0)
        log_warn("and %u more connections were refused", silent);
    if (say && peer == NULL)
        log_warn("%s", text);
    else if (say)
        log_warn("peer %s: %s", peer, text);
}

/* `named`: its text names the peer. */
static void refuse(struct mig *mig, struct tp *tp, const struct vf_error *why, bool named)
{
    tell(mig, named ? NULL : tp->peer, why->text);
    wire_refuse(tp, why);
    tp_close(tp);
}

/* To a job that there is. */
static bool comes_back(const struct wire_hello *hello)
{
    static const uint8_t none[WIRE_ID_BYTES];

    return memcmp(hello->token, none, sizeof none) != 0;
}

/* A control connection: a source that comes back to its job, a new one, or somebody who only asks
 * what is free. Takes tp over. */
static void serve_control(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
                          uint64_t deadline)
{
    static const uint8_t none[WIRE_ID_BYTES];
    const bool again = comes_back(&peer->hello);
    const bool asks = memcmp(peer->hello.job, none, sizeof none) == 0; /* it has no job */
    /* The places of those that come back are not taken by the jobs that wait for them. */
    unsigned *places = again || asks ? &mig->redials : &mig->inbound;
    struct wire_message ours = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;

    mig_hello(mig, peer->hello.job, &ours.hello);
    if (!take_place(mig, places)) {
        vf_fail(&err, VF_REFUSED_NOW,
                "host %s takes no more arrivals at the moment; try again later", mig->host_name);
        refuse(mig, tp, &err, false);
        return;
    }
    if (!again && !asks && mig_job_came_home(mig, &peer->hello)) {
        vf_fail(&err, VF_INCOMPATIBLE, "host %s is to move a partition to itself",
                mig->host_name);
        refuse(mig, tp, &err, false);
    } else if (wire_say(tp, &ours, deadline, &err) != 0)
        refuse(mig, tp, &err, true);
    else if (again)
        target_redialled(mig, tp, peer);
    else if (asks)
        capacity_reply(mig, tp, deadline);
    else
        target_serve(mig, tp, &peer->hello, peer->version);
    give_place(mig, places);
}

/* Others see it and may abort it, from here on. */
static void show(struct handshake *handshake, struct tp *tp)
{
    vf_lock(&handshake->mig->lock);
    handshake->tp = tp;
    if (handshake->evicted && tp != NULL)
        tp_abort(tp);
    vf_unlock(&handshake->mig->lock);
}

/* Plain TCP or TLS, as it must be here; *tp is replaced by what lies over it, NULL when nothing
 * is left. */
static int secure(struct handshake *handshake, struct tp **tp, uint64_t deadline,
                  struct vf_error *err)
{
    struct mig *mig = handshake->mig;
    struct tp_tls *tls;
    int result = mig_look(mig, *tp, deadline, &tls, err);

    if (result == 0 && tls != NULL) {
        show(handshake, NULL);
        result = tp_tls_wrap(tls, *tp, NULL, tp, err);
        show(handshake, *tp);
        if (result == 0)
            result = tp_handshake(*tp, deadline, err);
        vf_lock(&mig->lock);
        handshake->proven = result == 0;
        vf_unlock(&mig->lock);
    }
    tp_tls_unref(tls);
    return result;
}

/* Hears who it is. Only then it is refused, if it is to be: `no` says why. Frees the handshake. */
static void receive(struct handshake *handshake, const struct vf_error *no)
{
    struct mig *mig = handshake->mig;
    struct tp *tp = handshake->tp;
    struct wire_message message = {.tag = WIRE_TAG_END};
    struct vf_error err = VF_ERROR_INIT;
    uint64_t deadline = vf_now_ns() + (mig->silence_ns < HELLO_NS ? mig->silence_ns : HELLO_NS);
    struct wire_hello ours;
    struct mig_peer peer;
    int heard;

    tp_set_silence(tp, mig->silence_ns);
    heard = secure(handshake, &tp, deadline, &err);
    if (heard == 0)
        heard = wire_expect(tp, WIRE_HELLO, &message, deadline, &err);
    known(handshake);
    if (heard == 0) {
        peer.hello = message.hello;
        mig_hello(mig, peer.hello.job, &ours);
        tp_peer_listens(tp, message.hello.listen_address, peer.hello.listen_address,
                        sizeof peer.hello.listen_address);
        mig_name_peer(tp, peer.hello.host_name, peer.hello.listen_address);
    }
    if (tp == NULL) {
        tell(mig, NULL, err.text);
    } else if (heard != 0 || wire_hello_agree(&peer.hello, &ours, 0, &peer.version, &err) != 0) {
        refuse(mig, tp, &err, heard != 0);
    } else if (no != NULL && peer.hello.role != WIRE_CONTROL) {
        tell(mig, tp->peer, no->text);
        target_refuse_stream(mig, tp, &peer.hello, no);
        tp_close(tp); /* ABORT would end a job that goes on: it tries again */
    } else if (no != NULL) {
        refuse(mig, tp, no, false); /* in place of HELLO: who comes back to its job tries again */
    } else if (peer.hello.role == WIRE_CONTROL) {
        retry_peer_is_back(mig, peer.hello.listen_address);
        serve_control(mig, tp, &peer, deadline);
    } else if (!target_attach(mig, tp, &peer.hello)) {
        vf_fail(&err, VF_FAILED, "no job here waits for this data stream");
        refuse(mig, tp, &err, false);
    }
    wire_message_free(&message);
}

static void *handshake_main(void *arg)
{
    struct handshake *handshake = arg;
    struct mig *mig = handshake->mig;

    (void)prctl(PR_SET_NAME, "handshake");
    receive(handshake, NULL);
    mig_thread_over(mig);
    return NULL;
}

/* The thread kept back says what there is none of. */
static void handshake_refused(void *arg)
{
    struct handshake *handshake = arg;
    struct vf_error no = VF_ERROR_INIT;

    vf_fail(&no, VF_REFUSED_NOW, "host %s cannot take it: %s", handshake->mig->host_name,
            handshake->lacks);
    receive(handshake, &no);
}

static unsigned from_network(const struct mig *mig, uint64_t network)
{
    unsigned count = 0;

    for (const struct handshake *other = mig->handshakes; other != NULL; other = other->next)
        count += !other->evicted && other->network == network;
    return count;
}

/* Under mig->lock: one handshake makes room, so that connections that say nothing keep nobody out.
 * One that has proven nothing goes before one that has, then one of the network that most of them
 * come from, so that a flood from one network wears out itself only; of those, the one that has
 * been silent longest. */
static void evict(struct mig *mig)
{
    struct handshake *goes = NULL;
    unsigned largest = 0;

    for (struct handshake *handshake = mig->handshakes; handshake != NULL;
         handshake = handshake->next) {
        unsigned size;

        if (handshake->evicted || (handshake->proven && goes != NULL && !goes->proven))
            continue;
        size = from_network(mig, handshake->network);
        if (size >= largest || (goes != NULL && goes->proven && !handshake->proven)) {
            goes = handshake;
            largest = size;
        }
    }
    if (goes != NULL)
        evict_one(goes);
}

static bool enlist(struct mig *mig, struct handshake *handshake)
{
    bool room;

    vf_lock(&mig->lock);
    if (mig->handshake_count >= MIG_MAX_HANDSHAKES)
        evict(mig);
    /* Those that go need a moment. */
    room = !mig->closing && mig->handshake_count < MIG_MAX_HANDSHAKES + LEAVING;
    if (room) {
        mig->handshake_count++;
        mig->threads++;
        handshake->next = mig->handshakes;
        mig->handshakes = handshake;
    }
    vf_unlock(&mig->lock);
    return room;
}

/* NULL: it is closed already. */
static struct handshake *take(struct mig *mig, int fd, const char *peer)
{
    struct handshake *handshake = calloc(1, sizeof *handshake);
    struct vf_error err = VF_ERROR_INIT;

    if (handshake == NULL) {
        log_error("%s: closed: " VF_NO_MEMORY, peer);
        (void)close(fd);
        return NULL;
    }
    handshake->mig = mig;
    if (tp_from_fd(fd, peer, &handshake->tp, &err) != 0) {
        tell(mig, NULL, err.text);
        free(handshake);
        return NULL;
    }
    handshake->network = tp_peer_network(handshake->tp);
    if (!enlist(mig, handshake)) {
        tell(mig, peer, "closed: too many connections that say nothing");
        tp_close(handshake->tp);
        free(handshake);
        return NULL;
    }
    return handshake;
}

/* One is told at a time. */
static void turn_away(struct handshake *handshake, const char *lacks)
{
    struct tp *tp = handshake->tp;

    handshake->lacks = lacks;
    if (vf_spare_thread_give(handshake->mig->spare, 0, handshake_refused, handshake))
        return;
    tell(handshake->mig, tp->peer, "closed: others are being told that there is no room");
    known(handshake);
    tp_close(tp);
}

void mig_accept(struct mig *mig, int fd, const char *peer)
{
    struct handshake *handshake = take(mig, fd, peer);

    if (handshake != NULL && mig_spawn(mig, handshake_main, handshake) != 0)
        turn_away(handshake, VF_NO_THREAD);
}

void mig_refuse(struct mig *mig, int fd, const char *peer)
{
    struct handshake *handshake = take(mig, fd, peer);

    if (handshake == NULL)
        return;
    mig_thread_over(mig); /* it has none of its own */
    turn_away(handshake, VF_NO_DESCRIPTOR);
}
