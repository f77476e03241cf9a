// SPDX-License-Identifier: Apache-2.0
/*
 * TLS 1.3 over any stream, both sides proven by certificates of one CA. The names of a certificate
 * are its subject alternative names, DNS and IP; a name means exactly itself, no wildcards, and the
 * subject is not looked at.
 */
#ifndef TRANSPORT_TLS_H
#define TRANSPORT_TLS_H

#include "transport/transport.h"

/* Who this host is and whom it talks to: constant, counted; any thread. */
struct tp_tls;

struct tp_tls_files {
    const char *cert; /* PEM: this host's certificate, then those between it and the CA */
    const char *key;  /* PEM, unencrypted, for nobody else to read */
    const char *ca;   /* PEM: whose certificates count */
    const char *const
        *peers; /* names that may talk to this host; none: any certificate of the CA */
    size_t peer_count;
};

/* Reads and checks them, once: VF_USAGE for files that are missing, wrong or readable by others,
 * VF_FAILED for a certificate that is not valid now. */
int tp_tls_open(const struct tp_tls_files *files, struct tp_tls **out, struct vf_error *err);
/* Counts one user more, and one less; the last one frees it. */
struct tp_tls *tp_tls_ref(struct tp_tls *tls);
void tp_tls_unref(struct tp_tls *tls); /* NULL is allowed */
/* The first name of this host's own certificate, valid as long as `tls`. */
const char *tp_tls_name(const struct tp_tls *tls);
/* Until when that certificate is valid, in seconds since 1970. */
int64_t tp_tls_until(const struct tp_tls *tls);

/* TLS over `inner`, which is taken over (closed with the stream, also on failure). `host` is what
 * was dialled, and must be a name of the other side's certificate; NULL for the side that was
 * connected to. Nothing is sent before tp_handshake, which proves who the peer is; afterwards
 * tp->identity is the name of its certificate that --tls-peer allows, its first one without. */
int tp_tls_wrap(struct tp_tls *tls, struct tp *inner, const char *host, struct tp **out,
                struct vf_error *err);

/* Does the peer begin with TLS? Waits for its first byte, and leaves it to be received. Only for
 * streams of a socket. -1 after the deadline, and when the peer closed. */
int tp_tls_offered(struct tp *tp, uint64_t deadline_ns, bool *offered, struct vf_error *err);

#endif
