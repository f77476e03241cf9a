// SPDX-License-Identifier: Apache-2.0
/*
 * Between tp_send/tp_recv and the kind of stream: nothing, except in a test build (-DVF_FAULTS),
 * where transport/filter.c disturbs records there, above any encryption.
 */
#ifndef TRANSPORT_FILTER_H
#define TRANSPORT_FILTER_H

#include "transport/transport.h"

#include <poll.h>

#ifndef VF_FAULTS

static inline int filter_init(struct tp *tp)
{
    (void)tp;
    return 0;
}

static inline void filter_fini(struct tp *tp)
{
    (void)tp;
}

static inline long filter_send(struct tp *tp, const struct iovec *iov, int count)
{
    return tp->ops->send(tp, iov, count);
}

static inline long filter_recv(struct tp *tp, void *data, size_t bytes)
{
    return tp->ops->recv(tp, data, bytes);
}

static inline struct pollfd filter_pollfd(const struct tp *tp, short direction, short events)
{
    (void)direction;
    return (struct pollfd){.fd = tp->ops->fd(tp), .events = events};
}

static inline int filter_fd(const struct tp *tp)
{
    return tp->ops->fd(tp);
}

#else

/* What records are called; set before the first stream (migrate knows, which transport may
 * not include). */
extern const char *(*filter_tag_name)(uint32_t tag);

/* From tp_init and tp_fini. 0, or -1 without memory. */
int filter_init(struct tp *tp);
void filter_fini(struct tp *tp);
/* As the ops of the same names. */
long filter_send(struct tp *tp, const struct iovec *iov, int count);
long filter_recv(struct tp *tp, void *data, size_t bytes);
/* What to poll in place of the stream's own fd: while `direction` (POLLIN or POLLOUT) stands, the
 * end of that. */
struct pollfd filter_pollfd(const struct tp *tp, short direction, short events);
/* The descriptor for callers that poll by themselves for something to receive; before the first
 * record it is the stream's own. */
int filter_fd(const struct tp *tp);

#endif

#endif
