// SPDX-License-Identifier: Apache-2.0
/* TLS 1.3 as a kind of stream over another one; see tls_stream.h for how two threads share it. */
#include "transport/tls_stream.h"

#include "base/plain.h"
#include "base/thread.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_BYTES 16384u               /* most that one record carries */
#define RECORD_ROOM (RECORD_BYTES + 256u) /* and what it may take, with a change of key */
#define OUT_BYTES (8u * RECORD_ROOM)      /* leave at once */
#define HANDSHAKE_OUT_BYTES (2u * RECORD_ROOM)
/* AES-GCM's keys are good for some 2^24 records (RFC 8446, 5.5). */
#define RECORDS_A_KEY (1ull << 23)
#define TLS_HANDSHAKE 22u /* the kind of a client's first record */
#define WELCOME 1u        /* the first byte that who was dialled sends: "and I know who you are" */

static struct tls_stream *stream_of(const struct tp *tp)
{
    return (struct tls_stream *)(uintptr_t)tp;
}

/* ---- between OpenSSL and the stream below ---- */

/* Hands on what lies in `out`, as far as it is taken. -errno, else 0. */
static int flush(struct tls_stream *stream)
{
    while (stream->from < stream->to) {
        const struct iovec iov = {stream->out + stream->from, stream->to - stream->from};
        const long done = stream->inner->ops->send(stream->inner, &iov, 1);

        if (done == -EINTR)
            continue;
        if (done < 0)
            return (int)done;
        if (done == 0)
            return 0;
        stream->from += (size_t)done;
        stream->flushed += (size_t)done;
    }
    stream->from = stream->to = 0;
    return 0;
}

static int bio_write(BIO *bio, const char *data, int bytes)
{
    struct tls_stream *stream = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (stream->from > 0) {
        memmove(stream->out, stream->out + stream->from, stream->to - stream->from);
        stream->to -= stream->from;
        stream->from = 0;
    }
    if (stream->capacity - stream->to < (size_t)bytes) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(stream->out + stream->to, data, (size_t)bytes);
    stream->to += (size_t)bytes;
    return bytes;
}

/* Every record of TLS begins with its kind, 20 to 23; those of vferry's own do not. */
static bool begins_tls(uint8_t first)
{
    return first >= 20 && first <= 23;
}

static int bio_read(BIO *bio, char *data, int bytes)
{
    struct tls_stream *stream = BIO_get_data(bio);
    long done;

    BIO_clear_retry_flags(bio);
    do
        done = stream->inner->ops->recv(stream->inner, data, (size_t)bytes);
    while (done == -EINTR);
    if (done == -EAGAIN)
        BIO_set_retry_read(bio);
    else if (done < 0)
        stream->error = (int)-done;
    else if (done == 0)
        stream->ended = true;
    else if (!stream->heard && !begins_tls((uint8_t)data[0]))
        tls_say(stream, "speaks plain TCP, and this host speaks TLS only; give both hosts "
                        "certificates (--tls-cert, --tls-key, --tls-ca) or neither");
    else
        stream->heard = true;
    return done > 0 && stream->heard ? (int)done : done == 0 ? 0 : -1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH ? 1 : 0; /* it is flushed after every step */
}

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method; /* for the process's life */

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vferry stream");
    if (bio_method == NULL || BIO_meth_set_write(bio_method, bio_write) != 1 ||
        BIO_meth_set_read(bio_method, bio_read) != 1 ||
        BIO_meth_set_ctrl(bio_method, bio_ctrl) != 1) {
        BIO_meth_free(bio_method);
        bio_method = NULL;
    }
}

/* ---- steps, under the lock ---- */

static int set_over(struct tls_stream *stream, int error)
{
    stream->over = true;
    stream->error = error;
    return -error;
}

/* After a call of OpenSSL that did not succeed: -EAGAIN, 0 for a clean end, or -errno. */
static int unsuccessful(struct tls_stream *stream, int result)
{
    const int how = SSL_get_error(stream->ssl, result);

    if (how == SSL_ERROR_WANT_READ || how == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (how == SSL_ERROR_ZERO_RETURN && stream->proven)
        return set_over(stream, 0);
    if (how == SSL_ERROR_SYSCALL && stream->error != 0 && stream->why[0] == '\0')
        return set_over(stream, stream->error);
    if (how == SSL_ERROR_ZERO_RETURN || stream->ended)
        tls_say(stream, stream->proven ? "was cut off: the connection ended without TLS's farewell"
                                       : "closed the connection in the middle of the handshake");
    tls_say_complaint(stream);
    /* Its alert tells the peer. */
    (void)flush(stream);
    return set_over(stream, EPROTO);
}

static int step_handshake(struct tls_stream *stream)
{
    uint8_t welcome = WELCOME;
    size_t bytes = 0;
    int result;

    if (stream->shaken)
        return 0;
    result = SSL_do_handshake(stream->ssl);
    if (result == 1 && stream->host[0] == '\0')
        result = SSL_write_ex(stream->ssl, &welcome, 1, &bytes);
    else if (result == 1)
        result = SSL_read_ex(stream->ssl, &welcome, 1, &bytes);
    if (result != 1)
        return unsuccessful(stream, result);
    stream->shaken = true;
    if (welcome == WELCOME)
        return 0;
    tls_say(stream, "speaks TLS, but is no vferryd");
    return set_over(stream, EPROTO);
}

/* Who it is, as tls_verify has found good; and more room for what is to come. */
static int take_peer(struct tls_stream *stream)
{
    const X509 *cert = SSL_get0_peer_certificate(stream->ssl);
    uint8_t *out = realloc(stream->out, OUT_BYTES);

    if (out == NULL)
        return set_over(stream, ENOMEM);
    stream->out = out;
    stream->capacity = OUT_BYTES;
    if (cert != NULL && SSL_get_verify_result(stream->ssl) == X509_V_OK)
        tls_identity(stream->tls, cert, stream->tp.identity);
    if (stream->tp.identity[0] == '\0') {
        tls_say(stream, "has not proven who it is");
        return set_over(stream, EPROTO);
    }
    stream->proven = true;
    return 0;
}

/* A record out of the sender's pieces: straight from a large one, else gathered, so that a frame's
 * head and its first page share one. */
static int encrypt_one(struct tls_stream *stream, const struct iovec **iov, int *count,
                       size_t *skip)
{
    uint8_t gathered[RECORD_BYTES];
    const uint8_t *from = (const uint8_t *)(*iov)->iov_base + *skip;
    size_t bytes = (*iov)->iov_len - *skip;
    size_t written = 0;
    int result;

    if (bytes >= RECORD_BYTES || *count == 1) {
        bytes = bytes < RECORD_BYTES ? bytes : RECORD_BYTES;
        *skip += bytes;
    } else {
        from = gathered;
        for (bytes = 0; *count > 0 && bytes < RECORD_BYTES;) {
            const size_t there = (*iov)->iov_len - *skip;
            const size_t part = there < RECORD_BYTES - bytes ? there : RECORD_BYTES - bytes;

            if (part > 0)
                memcpy(gathered + bytes, (const uint8_t *)(*iov)->iov_base + *skip, part);
            bytes += part;
            *skip += part;
            if (*skip < (*iov)->iov_len)
                break;
            (*iov)++;
            (*count)--;
            *skip = 0;
        }
    }
    if (*count > 0 && *skip == (*iov)->iov_len) {
        (*iov)++;
        (*count)--;
        *skip = 0;
    }
    if (bytes == 0)
        return 0;
    result = SSL_write_ex(stream->ssl, from, bytes, &written);
    if (result != 1)
        return unsuccessful(stream, result);
    stream->accepted += written;
    return 0;
}

/* As much as leaves at once. */
static int encrypt(struct tls_stream *stream, const struct iovec *iov, int count)
{
    size_t skip = 0;

    stream->flushed = 0;
    while (count > 0 && stream->capacity - (stream->to - stream->from) >= RECORD_ROOM) {
        int result;

        if (++stream->records >= stream->records_a_key) {
            if (SSL_key_update(stream->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
                return unsuccessful(stream, -1);
            stream->records = 0;
        }
        result = encrypt_one(stream, &iov, &count, &skip);
        if (result != 0)
            return result;
    }
    return 0;
}

static long step_send(struct tls_stream *stream, const struct iovec *iov, int count)
{
    size_t done;
    int result;

    if (stream->over || !stream->proven)
        return stream->error != 0 ? -stream->error : -EPIPE;
    if (stream->accepted == 0) {
        result = encrypt(stream, iov, count);
        if (result != 0)
            return result;
    }
    result = flush(stream);
    if (result != 0)
        return set_over(stream, -result);
    done = stream->accepted;
    if (stream->from < stream->to) {
        /* Not all of it: tell that something moved, but keep a byte, so that the sender comes back
         * for the rest. */
        done = stream->flushed < done ? stream->flushed : done - 1;
        stream->flushed = 0;
    }
    stream->accepted -= done;
    return (long)done;
}

/* ---- ops ---- */

static int tls_handshake(struct tp *tp)
{
    struct tls_stream *stream = stream_of(tp);
    int result, sent;

    vf_lock(&stream->lock);
    ERR_clear_error();
    result = stream->over ? -stream->error : stream->proven ? 0 : step_handshake(stream);
    sent = stream->over ? 0 : flush(stream);
    if (sent != 0)
        result = set_over(stream, -sent);
    else if (result == -EAGAIN)
        result = stream->from < stream->to ? POLLIN | POLLOUT : POLLIN;
    else if (result == 0 && stream->from < stream->to)
        result = POLLOUT;
    else if (result == 0 && !stream->proven)
        result = take_peer(stream);
    vf_unlock(&stream->lock);
    return result;
}

static long tls_send(struct tp *tp, const struct iovec *iov, int count)
{
    struct tls_stream *stream = stream_of(tp);
    long done;

    vf_lock(&stream->lock);
    ERR_clear_error();
    done = step_send(stream, iov, count);
    vf_unlock(&stream->lock);
    return done == -EAGAIN ? 0 : done;
}

static long step_recv(struct tls_stream *stream, void *data, size_t bytes, bool look)
{
    size_t done = 0;
    int result;

    if (stream->over || !stream->proven)
        return -stream->error;
    /* What the receiving side has to say for itself (a change of key) waits for no sender. */
    result = flush(stream);
    if (result != 0 && result != -EPIPE && result != -ECONNRESET)
        return set_over(stream, -result);
    result = look ? SSL_peek_ex(stream->ssl, data, bytes, &done)
                  : SSL_read_ex(stream->ssl, data, bytes, &done);
    return result == 1 ? (long)done : unsuccessful(stream, result);
}

static long tls_recv(struct tp *tp, void *data, size_t bytes)
{
    struct tls_stream *stream = stream_of(tp);
    long done;

    vf_lock(&stream->lock);
    ERR_clear_error();
    done = step_recv(stream, data, bytes, false);
    vf_unlock(&stream->lock);
    return done;
}

static bool tls_ready(struct tp *tp)
{
    struct tls_stream *stream = stream_of(tp);
    uint8_t byte;
    bool ready;

    vf_lock(&stream->lock);
    ERR_clear_error();
    ready = step_recv(stream, &byte, 1, true) != -EAGAIN;
    vf_unlock(&stream->lock);
    return ready;
}

static short tls_events(struct tp *tp, short direction)
{
    struct tls_stream *stream = stream_of(tp);

    vf_lock(&stream->lock);
    if (stream->from < stream->to)
        direction |= POLLOUT;
    vf_unlock(&stream->lock);
    return direction;
}

static void tls_why(struct tp *tp, char *text, size_t bytes)
{
    struct tls_stream *stream = stream_of(tp);

    vf_lock(&stream->lock);
    (void)snprintf(text, bytes, "%s", stream->why[0] != '\0' ? stream->why : "protocol error");
    vf_unlock(&stream->lock);
}

static bool tls_is(const struct tp *tp, const char *name)
{
    struct tls_stream *stream = stream_of(tp);
    char normal[TP_NAME_BYTES];
    bool is = false;

    vf_lock(&stream->lock);
    ERR_clear_error();
    if (stream->proven && tls_name_normal(name, normal))
        is = tls_has_name(SSL_get0_peer_certificate(stream->ssl), normal);
    vf_unlock(&stream->lock);
    return is;
}

static int tls_fd(const struct tp *tp)
{
    return tp_fd(stream_of(tp)->inner);
}

static void tls_shutdown(struct tp *tp)
{
    tp_abort(stream_of(tp)->inner);
}

static void tls_close(struct tp *tp)
{
    struct tls_stream *stream = stream_of(tp);

    if (stream->proven && !stream->over && !atomic_load(&tp->aborted)) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl); /* only says farewell, waits for none */
        (void)flush(stream);             /* a peer that takes nothing is cut off */
    }
    ERR_clear_error();
    SSL_free(stream->ssl); /* NULL is allowed */
    tp_fini(tp);           /* first: it may still shut down what lies below */
    tp_close(stream->inner);
    tp_tls_unref(stream->tls);
    free(stream->out);
    vf_lock_fini(&stream->lock);
    free(stream);
}

static const struct tp_ops tls_ops = {
    .name = "tls",
    .send = tls_send,
    .recv = tls_recv,
    .fd = tls_fd,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .handshake = tls_handshake,
    .events = tls_events,
    .ready = tls_ready,
    .why = tls_why,
    .is = tls_is,
};

/* ---- making one ---- */

static int start_ssl(struct tls_stream *stream, struct vf_error *err)
{
    BIO *bio;

    (void)pthread_once(&bio_once, make_bio_method);
    ERR_clear_error();
    bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    stream->ssl = SSL_new(tls_context(stream->tls));
    stream->out = malloc(HANDSHAKE_OUT_BYTES);
    if (bio == NULL || stream->ssl == NULL || stream->out == NULL) {
        (void)BIO_free(bio);
        return vf_fail(err, VF_FAILED, "peer %s: TLS: " VF_NO_MEMORY, stream->tp.peer);
    }
    stream->capacity = HANDSHAKE_OUT_BYTES;
    stream->records_a_key = RECORDS_A_KEY;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_app_data(stream->ssl, stream);
    /* Senders come again with the same bytes, if not with the same pieces. */
    (void)SSL_set_mode(stream->ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_verify(stream->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_verify);
    if (stream->host[0] != '\0')
        SSL_set_connect_state(stream->ssl);
    else
        SSL_set_accept_state(stream->ssl);
    return 0;
}

int tp_tls_wrap(struct tp_tls *tls, struct tp *inner, const char *host, struct tp **out,
                struct vf_error *err)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);

    *out = NULL;
    if (stream == NULL) {
        tp_close(inner);
        return vf_fail(err, VF_FAILED, "TLS: " VF_NO_MEMORY);
    }
    if (tp_init(&stream->tp, &tls_ops, inner->peer, err) != 0) {
        tp_close(inner);
        free(stream);
        return -1;
    }
    stream->tp.silence_ns = inner->silence_ns;
    stream->inner = inner;
    stream->tls = tp_tls_ref(tls);
    vf_lock_init(&stream->lock);
    if (host != NULL && !tls_name_normal(host, stream->host))
        vf_fail(err, VF_USAGE, "peer %s: '%s' is no name that a certificate could have",
                inner->peer, VF_SHOWN(host));
    else if (start_ssl(stream, err) == 0) {
        *out = &stream->tp;
        return 0;
    }
    tls_close(&stream->tp);
    return -1;
}

int tp_tls_offered(struct tp *tp, uint64_t deadline_ns, bool *offered, struct vf_error *err)
{
    uint8_t first = 0;
    int result = tp_wait_readable(tp, deadline_ns, err);

    *offered = false;
    if (result < 0)
        return -1;
    if (result == 0)
        return vf_fail(err, VF_FAILED, "peer %s: connected and said nothing", tp->peer);
    /* Whatever else there is to say about the connection, who reads it will. */
    *offered = recv(tp_fd(tp), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first == TLS_HANDSHAKE;
    return 0;
}

void tls_set_records_a_key(struct tp *tp, uint64_t records)
{
    stream_of(tp)->records_a_key = records;
}
