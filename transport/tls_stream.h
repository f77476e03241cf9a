// SPDX-License-Identifier: Apache-2.0
/*
 * The stream of TLS, for the files that make it up. OpenSSL's SSL may be used by one thread at a
 * time, a stream by one that sends and one that receives: a lock per stream, held for a step that
 * never waits. What OpenSSL writes goes into a buffer first, so that no record of it is ever half
 * taken (neither direction has to wait for the other's, nor to be called again with the same
 * bytes) and many records leave with one system call.
 */
#ifndef TRANSPORT_TLS_STREAM_H
#define TRANSPORT_TLS_STREAM_H

#include "transport/tls_internal.h"

#include <pthread.h>

struct tls_stream {
    struct tp tp; /* first: ops get its address */
    struct tp *inner;
    struct tp_tls *tls;
    char host[TP_NAME_BYTES]; /* what was dialled, normal; "" = this side was */

    pthread_mutex_t lock; /* guards what follows; never held while waiting */
    SSL *ssl;
    uint8_t *out; /* records on their way to inner: from..to of capacity bytes */
    size_t capacity, from, to;
    size_t accepted;  /* bytes of the sender that lie in `out` and are not reported as sent yet */
    size_t flushed;   /* bytes that went to inner since the last report */
    uint64_t records; /* under the present key, and when it is changed */
    uint64_t records_a_key;
    bool shaken; /* the handshake is done, but may not have left yet */
    bool proven; /* both sides' certificates are good, and both know it */
    bool heard;  /* inner gave a byte */
    bool ended;  /* inner came to its end */
    bool over;   /* ssl is of no more use: `error`, or 0 for a clean end */
    int error;
    char why[400]; /* with EPROTO */
};

/* The reason that counts, unless there is one already. */
void tls_say(struct tls_stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* SSL_set_verify's. */
int tls_verify(int good, X509_STORE_CTX *context);
/* Why OpenSSL failed, in words; forgets its errors. */
void tls_say_complaint(struct tls_stream *stream);
/* For tests: change the key after so many records. Before threads share the stream. */
void tls_set_records_a_key(struct tp *tp, uint64_t records);

#endif
