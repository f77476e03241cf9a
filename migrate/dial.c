// SPDX-License-Identifier: Apache-2.0
/* The one way out to another host: every connection of a job, and of what outlives it, is made
 * here. */
#include "migrate/mig.h"
#include "migrate/wire.h"

#include <string.h>

int mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
             struct vf_error *err)
{
    if (tp_tcp_connect(address, deadline_ns, out, err) != 0)
        return -1;
    tp_set_silence(*out, mig->silence_ns);
    return 0;
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

int mig_call(struct mig *mig, const char *address, const struct wire_hello *ours,
             uint64_t deadline_ns, struct mig_peer *peer, struct tp **out, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_HELLO, .hello = *ours};
    struct tp *tp;

    if (mig_dial(mig, address, deadline_ns, &tp, err) != 0)
        return -1;
    if (wire_say(tp, &message, deadline_ns, err) != 0 ||
        wire_expect(tp, WIRE_HELLO, &message, deadline_ns, err) != 0) {
        tp_close(tp);
        return -1;
    }
    peer->hello = message.hello;
    wire_message_free(&message);
    if (wire_hello_agree(&peer->hello, 0, &peer->version, err) != 0) {
        tp_close(tp);
        return -1;
    }
    *out = tp;
    return 0;
}
