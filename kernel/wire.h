// SPDX-License-Identifier: Apache-2.0
/*
 * How messages of the call interface cross the line: both ends use it. Functions return 0 or a
 * negative errno; -ENODATA = the peer has closed (-EPIPE when sending), -EPROTO = broken framing
 * (nothing more can be read from the connection).
 */
#ifndef KERNEL_WIRE_H
#define KERNEL_WIRE_H

#include "kernel/call.h"

#include <stddef.h>
#include <sys/socket.h>

/* A body's memory, kept between messages; starts zeroed, ends with kw_buffer_free. */
struct kw_buffer {
    unsigned char *data;
    size_t capacity;
};

/* Makes room for so many bytes; what the buffer held stays. -ENOMEM. */
int kw_buffer_reserve(struct kw_buffer *buffer, size_t bytes);
void kw_buffer_free(struct kw_buffer *buffer);

/* Sends head and body, head->body_bytes long; pass_fd, when not -1, goes along with the first
 * packet. Blocks while the peer does not read. */
int kw_send(int fd, const struct kcall_head *head, const void *body, int pass_fd);

/* Receives a message's first packet: its head, and *have bytes of body. The head's op and size are
 * still to be checked by the caller, before kw_recv_rest. *passed_fd, when not NULL, gets a
 * descriptor that came along, -EMFILE (this process had none left to take it with), or -1; without
 * it such descriptors are closed by the system. */
int kw_recv_head(int fd, uint32_t magic, struct kcall_head *head, struct kw_buffer *buffer,
                 size_t *have, int *passed_fd);

/* Receives what is missing of head->body_bytes. */
int kw_recv_rest(int fd, const struct kcall_head *head, struct kw_buffer *buffer, size_t have);

/* Makes room in the socket for the packets of this interface. */
void kw_socket_prepare(int fd);

#endif
