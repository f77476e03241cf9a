// SPDX-License-Identifier: Apache-2.0
/* See wire.h. */
#include "kernel/wire.h"

#include "base/unix_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int kw_buffer_reserve(struct kw_buffer *buffer, size_t bytes)
{
    unsigned char *larger;

    if (bytes <= buffer->capacity)
        return 0;
    larger = realloc(buffer->data, bytes);
    if (larger == NULL)
        return -ENOMEM;
    buffer->data = larger;
    buffer->capacity = bytes;
    return 0;
}

void kw_buffer_free(struct kw_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct kw_buffer){NULL, 0};
}

static size_t packet_part(size_t left)
{
    return left < KCALL_PACKET_BODY ? left : KCALL_PACKET_BODY;
}

/* SEQPACKET sends a packet whole or not at all. */
static int send_packet(int fd, const struct msghdr *msg)
{
    for (;;) {
        if (sendmsg(fd, msg, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return errno == ECONNRESET ? -EPIPE : -errno;
    }
}

int kw_send(int fd, const struct kcall_head *head, const void *body, int pass_fd)
{
    size_t part = packet_part(head->body_bytes);
    size_t sent = part;
    struct kcall_head copy = *head;
    struct iovec parts[2] = {{&copy, sizeof copy}, {(void *)(uintptr_t)body, part}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = part > 0 ? 2 : 1};
    union vf_fd_room room;
    int failed;

    if (pass_fd >= 0)
        vf_fd_attach(&msg, &room, pass_fd);
    failed = send_packet(fd, &msg);
    while (failed == 0 && sent < head->body_bytes) {
        struct iovec rest = {(unsigned char *)(uintptr_t)body + sent,
                             packet_part(head->body_bytes - sent)};
        struct msghdr more = {.msg_iov = &rest, .msg_iovlen = 1};

        failed = send_packet(fd, &more);
        sent += rest.iov_len;
    }
    return failed;
}

/* Number of bytes received, at least 1, or a negative errno. A packet longer than asked for is
 * broken framing. */
static ssize_t recv_packet(int fd, struct msghdr *msg)
{
    ssize_t got;

    /* ECONNRESET (a peer closed with our packets unread) is told once, ahead of the peer's last
     * words: read on. */
    do {
        got = recvmsg(fd, msg, MSG_CMSG_CLOEXEC);
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0)
        return -errno;
    if (got == 0)
        return -ENODATA;
    return (msg->msg_flags & MSG_TRUNC) != 0 ? -EPROTO : got;
}

int kw_recv_head(int fd, uint32_t magic, struct kcall_head *head, struct kw_buffer *buffer,
                 size_t *have, int *passed_fd)
{
    int failed = kw_buffer_reserve(buffer, KCALL_PACKET_BODY);
    struct iovec parts[2] = {{head, sizeof *head}, {buffer->data, KCALL_PACKET_BODY}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    union vf_fd_room room;
    ssize_t got;

    if (failed != 0)
        return failed;
    if (passed_fd != NULL) {
        msg.msg_control = &room;
        msg.msg_controllen = sizeof room.space;
    }
    got = recv_packet(fd, &msg);
    if (passed_fd != NULL)
        *passed_fd = got > 0 || got == -EPROTO ? vf_fd_take(&msg) : -1;
    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof *head || head->magic != magic)
        return -EPROTO;
    *have = (size_t)got - sizeof *head;
    return *have == packet_part(head->body_bytes) ? 0 : -EPROTO;
}

int kw_recv_rest(int fd, const struct kcall_head *head, struct kw_buffer *buffer, size_t have)
{
    int failed = kw_buffer_reserve(buffer, head->body_bytes);

    while (failed == 0 && have < head->body_bytes) {
        struct iovec part = {buffer->data + have, packet_part(head->body_bytes - have)};
        struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t got = recv_packet(fd, &msg);

        if (got < 0)
            failed = (int)got;
        else if ((size_t)got != part.iov_len)
            failed = -EPROTO;
        else
            have += (size_t)got;
    }
    return failed;
}

void kw_socket_prepare(int fd)
{
    int bytes = 4 * (int)KCALL_PACKET_BODY;

    /* Capped by net.core.wmem_max; too little room shows as EMSGSIZE in the first large call. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}
