// SPDX-License-Identifier: Apache-2.0
/* The one way out to another host: every connection of a job, and of what outlives it, is
 * made here. */
#include "base/clock.h"
#include "base/size.h"
#include "base/thread.h"
#include "migrate/mig.h"
#include "migrate/net/peer.h"
#include "migrate/wire/wire.h"

#include <stdio.h>
#include <string.h>

static int dial_tls(struct tp_tls *tls, struct tp *plain, const char *name, uint64_t deadline_ns,
                    struct tp **out, struct vf_error *err)
{
    struct tp *tp;

    if (tp_tls_wrap(tls, plain, name, &tp, err) != 0)
        return -1;
    if (tp_handshake(tp, deadline_ns, err) != 0) {
        tp_close(tp);
        return -1;
    }
    *out = tp;
    return 0;
}

/* `name` is what the peer's certificate must say. */
static int dial(struct mig *mig, const char *address, const char *name, uint64_t deadline_ns,
                struct tp **out, struct vf_error *err)
{
    struct tp_tls *tls = mig_tls(mig);
    struct tp *plain;
    int result;

    *out = NULL;
    /* What leaves unencrypted stays on this machine, unless somebody said otherwise aloud. */
    result = tls != NULL || mig->insecure
                 ? tp_tcp_connect(address, deadline_ns, &plain, err)
                 : tp_tcp_connect_loopback(address, deadline_ns, &plain, err);
    if (result == 0) {
        tp_set_silence(plain, mig->silence_ns);
        if (tls != NULL)
            result = dial_tls(tls, plain, name, deadline_ns, out, err);
        else
            *out = plain;
    }
    tp_tls_unref(tls);
    return result;
}

int mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
             struct vf_error *err)
{
    char host[TP_NAME_BYTES];

    *out = NULL;
    return tp_address_host(address, host, err) != 0
               ? -1
               : dial(mig, address, host, deadline_ns, out, err);
}

int mig_check_peer(struct mig *mig, const char *address, struct vf_error *err)
{
    struct tp_tls *tls = mig_tls(mig);
    int result = tp_tcp_may_try(address, tls == NULL && !mig->insecure, err);

    tp_tls_unref(tls);
    return result;
}

int mig_dial_again(struct mig_job *job, uint64_t deadline_ns, struct tp **out, struct vf_error *err)
{
    return job->identity[0] == '\0'
               ? mig_dial(job->mig, job->peer, deadline_ns, out, err)
               : dial(job->mig, job->peer, job->identity, deadline_ns, out, err);
}

void mig_hello(const struct mig *mig, const uint8_t job[16], struct wire_hello *out)
{
    wire_hello_init(out);
    out->role = WIRE_CONTROL;
    memcpy(out->host_name, mig->host_name, sizeof out->host_name);
    memcpy(out->boot_id, mig->boot_id, sizeof out->boot_id);
    memcpy(out->job, job, sizeof out->job);
    memcpy(out->listen_address, mig->listen, sizeof out->listen_address);
}

bool mig_job_came_home(struct mig *mig, const struct wire_hello *hello)
{
    bool ours = false;

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && !ours; job = job->next) {
        ours = job->side == MIG_SOURCE && memcmp(job->uuid, hello->job, sizeof job->uuid) == 0;
        if (ours)
            atomic_store(&job->came_home, true);
    }
    vf_unlock(&mig->lock);
    return ours;
}

bool mig_looks_like_us(const struct mig *mig, const struct wire_hello *hello)
{
    return memcmp(hello->boot_id, mig->boot_id, sizeof mig->boot_id) == 0 &&
           strcmp(hello->host_name, mig->host_name) == 0 &&
           strcmp(hello->listen_address, mig->listen) == 0;
}

void mig_name_peer(struct tp *tp, const char *host_name, const char *address)
{
    char name[sizeof tp->peer];

    if (host_name[0] == '\0')
        return;
    (void)snprintf(name, sizeof name, "%.63s%s%.50s", host_name, address[0] != '\0' ? " at " : "",
                   address);
    memcpy(tp->peer, name, sizeof tp->peer);
}

int mig_greet(struct tp *tp, const struct wire_hello *ours, uint64_t deadline_ns,
              struct mig_peer *peer, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_HELLO, .hello = *ours};

    uint64_t begin = vf_now_ns();
    char time[32];

    if (wire_say(tp, &message, deadline_ns, err) != 0)
        return -1;
    if (wire_expect(tp, WIRE_HELLO, &message, deadline_ns, err) != 0)
        return vf_now_ns() < deadline_ns || err->code != VF_FAILED
                   ? -1
                   : vf_fail(err, VF_FAILED,
                             "peer %s: accepted the connection and said nothing for %s" VF_REMEDY
                             "look there: its vferryd may be stopped, or it is no vferryd",
                             tp->peer, vf_time_format(vf_now_ns() - begin, time, sizeof time));
    peer->hello = message.hello;
    wire_message_free(&message);
    mig_name_peer(tp, peer->hello.host_name, tp->peer);
    return wire_hello_agree(&peer->hello, ours, 0, &peer->version, err);
}
