// SPDX-License-Identifier: Apache-2.0
/* Streams over a connected socket: TCP and UNIX sockets, and the pair that tests and fuzzing use as
 * a pipe. */
#include "transport/transport.h"

#include "base/cleanup.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fd_stream {
    struct tp tp; /* first: ops get its address */
    int fd;
};

static const struct fd_stream *stream_of(const struct tp *tp)
{
    return (const struct fd_stream *)tp;
}

static long fd_send(struct tp *tp, const struct iovec *iov, int count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                                   .msg_iovlen = (size_t)count};
    const ssize_t done = sendmsg(stream_of(tp)->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (done >= 0)
        return done;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

static long fd_recv(struct tp *tp, void *data, size_t bytes)
{
    const ssize_t done = recv(stream_of(tp)->fd, data, bytes, MSG_DONTWAIT);

    return done >= 0 ? done : -errno;
}

static int fd_fd(const struct tp *tp)
{
    return stream_of(tp)->fd;
}

static void fd_shutdown(struct tp *tp)
{
    (void)shutdown(stream_of(tp)->fd, SHUT_RDWR); /* ENOTCONN: the peer was faster */
}

static void fd_close(struct tp *tp)
{
    const int fd = stream_of(tp)->fd;

    tp_fini(tp); /* first: nobody may shut down a number that is another's by now */
    (void)close(fd);
    free(tp); /* the start of its fd_stream */
}

static const struct tp_ops fd_ops = {
    .name = "fd",
    .send = fd_send,
    .recv = fd_recv,
    .fd = fd_fd,
    .shutdown = fd_shutdown,
    .close = fd_close,
};

/* Small records must not wait for more (the blackout pays for it), and a dead peer's silence is
 * measured above. */
static int tune(int fd, const char *peer, struct vf_error *err)
{
    const int on = 1;
    int domain = AF_UNSPEC, type = 0;
    socklen_t bytes = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "peer %s: not a socket", peer);
    if (type != SOCK_STREAM)
        return vf_fail(err, VF_FAILED, "peer %s: not a stream socket", peer);
    bytes = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "peer %s: getsockopt", peer);
    if ((domain == AF_INET || domain == AF_INET6) &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "peer %s: TCP_NODELAY", peer);
    return 0;
}

int tp_from_fd(int fd, const char *peer, struct tp **out, struct vf_error *err)
{
    cleanup_close int owned = fd;
    cleanup_free struct fd_stream *stream = NULL;

    *out = NULL;
    if (tune(owned, peer, err) != 0)
        return -1;
    stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return vf_fail(err, VF_FAILED, "peer %s: " VF_NO_MEMORY, peer);
    if (tp_init(&stream->tp, &fd_ops, peer, err) != 0)
        return -1;
    stream->fd = vf_take_fd(&owned);
    *out = &vf_take_ptr(stream)->tp;
    return 0;
}

int tp_pipe(struct tp *ends[2], struct vf_error *err)
{
    int fds[2];

    ends[0] = ends[1] = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "no socket pair");
    if (tp_from_fd(fds[0], "pipe:0", &ends[0], err) != 0) {
        (void)close(fds[1]);
        return -1;
    }
    if (tp_from_fd(fds[1], "pipe:1", &ends[1], err) != 0) {
        tp_close(ends[0]);
        ends[0] = NULL;
        return -1;
    }
    return 0;
}
