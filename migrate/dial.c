// SPDX-License-Identifier: Apache-2.0
/* The one way out to another host: every connection of a job, and of what outlives it, is made
 * here. */
#include "migrate/mig.h"
#include "migrate/security.h"

static int dial_tls(struct tp_tls *tls, struct tp *plain, const char *address, uint64_t deadline_ns,
                    struct tp **out, struct vf_error *err)
{
    char host[TP_NAME_BYTES];
    struct tp *tp;

    if (tp_address_host(address, host, err) != 0) {
        tp_close(plain);
        return -1;
    }
    if (tp_tls_wrap(tls, plain, host, &tp, err) != 0)
        return -1;
    if (tp_handshake(tp, deadline_ns, err) != 0) {
        tp_close(tp);
        return -1;
    }
    *out = tp;
    return 0;
}

int mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
             struct vf_error *err)
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
            result = dial_tls(tls, plain, address, deadline_ns, out, err);
        else
            *out = plain;
    }
    tp_tls_unref(tls);
    return result;
}
