// SPDX-License-Identifier: Apache-2.0
/*
 * Byte streams between hosts behind one ops struct: tcp, unix, pipe (tests and fuzzing) and file;
 * tls (tls.h) lies over any of them. A stream is used by at most one sending and one receiving
 * thread at a time; tp_abort may be called by any thread. Deadlines are CLOCK_MONOTONIC nanoseconds
 * (vf_now_ns); TP_NEVER waits for ever. Every wait also ends when nothing moves for `silence`
 * (tp_set_silence): a silent peer counts as lost.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define TP_NEVER UINT64_MAX
#define TP_NAME_BYTES 256u /* a DNS name or an address */

struct tp;

/* What a kind of stream implements; the wrappers below never call a NULL. */
struct tp_ops {
    const char *name;
    /* Up to all of iov; > 0 bytes moved, 0 = would block (send) , -errno. */
    long (*send)(struct tp *tp, const struct iovec *iov, int count);
    /* > 0 bytes, 0 = end of stream, -EAGAIN = nothing there, -errno. */
    long (*recv)(struct tp *tp, void *data, size_t bytes);
    int (*fd)(const struct tp *tp); /* to poll; one fd for both directions */
    void (*shutdown)(struct tp *tp);
    void (*close)(struct tp *tp); /* frees tp */
    /* What follows may be NULL. One step of what comes before the first byte: 0 = done, > 0 = poll
     * for these events and call again, -errno. */
    int (*handshake)(struct tp *tp);
    /* After a send or recv that would block (`direction` POLLOUT or POLLIN): what to poll for. */
    short (*events)(struct tp *tp, short direction);
    /* Would recv return something at once, which poll cannot know of? */
    bool (*ready)(struct tp *tp);
    /* Why a call gave -EPROTO: the rest of "peer PEER: ...". */
    void (*why)(struct tp *tp, char *text, size_t bytes);
    /* tp_is. */
    bool (*is)(const struct tp *tp, const char *name);
};

struct tp {
    const struct tp_ops *ops;
    _Atomic bool aborted; /* set once by tp_abort, looked at before every step */
    _Atomic bool lost;    /* see tp_lost */
    _Atomic bool ended;   /* see tp_ended */
    int abort_fd;         /* eventfd, readable once tp_abort was called: wakes whoever waits */
    uint64_t silence_ns;  /* set before threads share the stream */
    char peer[128];       /* "10.0.0.2:7001" */
#ifdef VF_FAULTS
    struct filter *filter; /* transport/filter.h */
#endif
    /* Whom a certificate proves the peer to be; "" = nobody does. Set by tp_handshake. */
    char identity[TP_NAME_BYTES];
};

/* "HOST:PORT" or "[V6]:PORT"; waits for the connection until the deadline (only a name that needs a
 * slow resolver takes longer: give numeric addresses where it matters). */
int tp_tcp_connect(const char *address, uint64_t deadline_ns, struct tp **out,
                   struct vf_error *err);
/* The same for an address that means this machine whatever it resolves to; any other is refused
 * before a packet is sent. */
int tp_tcp_connect_loopback(const char *address, uint64_t deadline_ns, struct tp **out,
                            struct vf_error *err);
/* Refuses what those two could not even try: what is no address (VF_USAGE), a name that does not
 * resolve and, with `loopback`, what tp_tcp_connect_loopback refuses (VF_FAILED). Sends nothing to
 * that address; waits for the resolver, as they do. */
int tp_tcp_may_try(const char *address, bool loopback, struct vf_error *err);
/* The HOST of "HOST:PORT" or "[V6]:PORT", without brackets. VF_USAGE for what is neither. */
int tp_address_host(const char *address, char host[TP_NAME_BYTES], struct vf_error *err);
/* Takes over a connected stream socket (closed with the stream, also on failure). Both directions
 * are non-blocking by flag, so the fd's own mode is left alone. */
int tp_from_fd(int fd, const char *peer, struct tp **out, struct vf_error *err);
/* Gets every byte that moves through a file's stream, in order; the stream's thread. */
typedef void tp_seen(void *ctx, const void *data, size_t bytes);
/* A regular file, from its start on: sent bytes are written there, received ones read; its end is
 * the end of the stream. Takes over fd (closed with the stream, also on failure). `seen` may be
 * NULL. An error that a disk gives (ENOSPC, EIO) fails the send as a broken connection would. */
int tp_file(int fd, const char *name, tp_seen *seen, void *ctx, struct tp **out,
            struct vf_error *err);
/* The offset in the file at which the next byte is written or read; only for streams of tp_file. */
uint64_t tp_file_offset(const struct tp *tp);
/* Sets it. */
void tp_file_seek(struct tp *tp, uint64_t offset);
/* Opens a listening socket on "HOST:PORT" (PORT 0 = any), the caller's to close; `bound` gets the
 * address it really has, as HOST:PORT. VF_USAGE for what is no address, VF_FAILED when it cannot be
 * listened on. */
int tp_tcp_listen(const char *address, int *fd, char *bound, size_t bound_bytes,
                  struct vf_error *err);
/* "10.0.0.2:4711", "[::1]:4711". 0 or an errno: it is no address of IP, or `bytes` are too few. */
int tp_address_format(const struct sockaddr_storage *address, socklen_t length, char *text,
                      size_t bytes);
/* Is the socket's other end on this machine (loopback, or no network at all)? */
bool tp_peer_is_loopback(const struct tp *tp);
/* Where the other end can be reached that says it listens on `listen`: there, or if that means
 * every address of its machine ("0.0.0.0:7001", "[::]:7001"), where this connection comes from. */
void tp_peer_listens(const struct tp *tp, const char *listen, char *out, size_t bytes);
/* The network that the other end of the socket is in, as a number to compare: its IPv4 address, the
 * first 64 bits of IPv6, which are one site's to fill; 0 = none. */
uint64_t tp_peer_network(const struct tp *tp);
/* Does "HOST:PORT" mean this machine by a loopback address? -1 when HOST cannot be resolved. */
int tp_is_loopback(const char *address, bool *loopback, struct vf_error *err);

/* How long nothing may move during a wait; 0 = no limit. A new stream has TP_SILENCE_NS. */
#define TP_SILENCE_NS 5000000000ull
void tp_set_silence(struct tp *tp, uint64_t silence_ns);
/* For kinds of streams: sets up the common part, with its eventfd; and releases it again
 * (from ops->close). */
int tp_init(struct tp *tp, const struct tp_ops *ops, const char *peer, struct vf_error *err);
void tp_fini(struct tp *tp);
/* Move all of the bytes, or fail. VF_FAILED "peer PEER …: closed the connection | fell silent for
 * 5.0 s | …"; VF_CANCELLED after tp_abort. */
int tp_send(struct tp *tp, const struct iovec *iov, int count, uint64_t deadline_ns,
            struct vf_error *err);
int tp_recv(struct tp *tp, void *data, size_t bytes, uint64_t deadline_ns, struct vf_error *err);
/* Is there something to read (data or end of stream)? 1, 0 after the deadline, -1 error. A deadline
 * of 0 looks without waiting. */
int tp_wait_readable(struct tp *tp, uint64_t deadline_ns, struct vf_error *err);
/* The descriptor to poll, together with tp_poll_events. The stream's own. */
int tp_fd(const struct tp *tp);
/* For who polls several things at once: the events of tp_fd after which a receive may get on; 0 =
 * there is something already, do not wait. The receiving thread. */
short tp_poll_events(struct tp *tp);
/* What the kind of stream does before its first byte (TLS: both sides prove who they are); nothing
 * for most. */
int tp_handshake(struct tp *tp, uint64_t deadline_ns, struct vf_error *err);
/* Is `name` one of those that the other end has proven to have? tp->identity is only the first that
 * counts: which one that is changes with a renewed certificate, or with whom this host allows. Any
 * thread; waits for nothing. */
bool tp_is(const struct tp *tp, const char *name);
/* Did a call fail because of the other side or the way there (closed, reset, silent), not by a
 * deadline or tp_abort? Then somebody else may know why. Any thread. */
bool tp_lost(const struct tp *tp);
/* Did a receive fail because nothing comes any more (closed; a file's end)? Any thread. */
bool tp_ended(const struct tp *tp);
/* Makes every present and future call on the stream fail at once. Any thread. */
void tp_abort(struct tp *tp);
/* Frees the stream; no other thread may use it any more. NULL is allowed. */
void tp_close(struct tp *tp);

#endif
