// SPDX-License-Identifier: Apache-2.0
/* The wrappers over struct tp_ops: partial moves, deadlines, silent peers and aborts are handled
 * here, once for all kinds. */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/size.h"
#include "transport/filter.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* iovecs given to the kernel at once: below IOV_MAX, and small enough for the stack. */
#define WINDOW 128

int tp_init(struct tp *tp, const struct tp_ops *ops, const char *peer, struct vf_error *err)
{
    tp->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tp->abort_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "peer %s: no eventfd", peer);
    tp->ops = ops;
    atomic_init(&tp->aborted, false);
    atomic_init(&tp->lost, false);
    tp->silence_ns = TP_SILENCE_NS;
    (void)snprintf(tp->peer, sizeof tp->peer, "%s", peer);
    tp->identity[0] = '\0';
    if (filter_init(tp) != 0) {
        (void)close(tp->abort_fd);
        return vf_fail(err, VF_FAILED, "peer %s: " VF_NO_MEMORY, peer);
    }
    return 0;
}

void tp_fini(struct tp *tp)
{
    filter_fini(tp);
    (void)close(tp->abort_fd);
}

void tp_set_silence(struct tp *tp, uint64_t silence_ns)
{
    tp->silence_ns = silence_ns;
}

int tp_fd(const struct tp *tp)
{
    return filter_fd(tp);
}

bool tp_is(const struct tp *tp, const char *name)
{
    return tp->ops->is != NULL && tp->ops->is(tp, name);
}

bool tp_lost(const struct tp *tp)
{
    return atomic_load_explicit(&tp->lost, memory_order_acquire);
}

void tp_abort(struct tp *tp)
{
    if (atomic_exchange_explicit(&tp->aborted, true, memory_order_release))
        return;
    /* The flag came first: whoever the eventfd or the shutdown wakes must find it. */
    (void)eventfd_write(tp->abort_fd, 1); /* the first and only write: it cannot overflow */
    tp->ops->shutdown(tp);
}

void tp_close(struct tp *tp)
{
    if (tp != NULL)
        tp->ops->close(tp);
}

static bool aborted(const struct tp *tp)
{
    return atomic_load_explicit(&tp->aborted, memory_order_acquire);
}

static int fail_aborted(const struct tp *tp, struct vf_error *err)
{
    return vf_fail(err, VF_CANCELLED, "peer %s: the connection was given up on this side",
                   tp->peer);
}

static int fail_errno(struct tp *tp, const char *doing, int errnum, struct vf_error *err)
{
    if (aborted(tp))
        return fail_aborted(tp, err);
    atomic_store_explicit(&tp->lost, true, memory_order_release);
    if (errnum == EPROTO && tp->ops->why != NULL) {
        char why[400];

        tp->ops->why(tp, why, sizeof why);
        return vf_fail(err, VF_FAILED, "peer %s: %s", tp->peer, why);
    }
    if (errnum == EPIPE || errnum == ECONNRESET)
        return vf_fail(err, VF_FAILED, "peer %s: closed the connection", tp->peer);
    return vf_fail_errno(err, VF_FAILED, errnum, "peer %s: %s", tp->peer, doing);
}

static int fail_deadline(const struct tp *tp, const char *doing, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "peer %s: out of time while %s", tp->peer, doing);
}

static int fail_silent(struct tp *tp, struct vf_error *err)
{
    char text[32];

    atomic_store_explicit(&tp->lost, true, memory_order_release);
    return vf_fail(err, VF_FAILED, "peer %s: fell silent for %s", tp->peer,
                   vf_time_format(tp->silence_ns, text, sizeof text));
}

/* When does the peer count as silent, if something last moved at `moved`? */
static uint64_t silent_at(const struct tp *tp, uint64_t moved)
{
    if (tp->silence_ns == 0 || tp->silence_ns > UINT64_MAX - 1 - moved)
        return TP_NEVER;
    return moved + tp->silence_ns;
}

enum wait_end { WAIT_READY, WAIT_DEADLINE, WAIT_SILENT, WAIT_ABORTED, WAIT_ERROR };

/* Waits for `fd` of the stream (errors and hang-ups count: the next call tells). WAIT_ERROR:
 * see errno. */
static enum wait_end wait_for(const struct tp *tp, struct pollfd fd, uint64_t deadline,
                              uint64_t silent)
{
    struct pollfd fds[2] = {fd, {.fd = tp->abort_fd, .events = POLLIN}};
    const uint64_t end = deadline < silent ? deadline : silent;

    for (;;) {
        const uint64_t now = vf_now_ns();
        const uint64_t left = end > now ? end - now : 0;
        const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000u),
                                         .tv_nsec = (long)(left % 1000000000u)};
        int n;

        if (aborted(tp))
            return WAIT_ABORTED;
        n = ppoll(fds, 2, end == TP_NEVER ? NULL : &timeout, NULL);
        if (n < 0 && errno != EINTR)
            return WAIT_ERROR;
        if (n > 0)
            return fds[1].revents != 0 ? WAIT_ABORTED : WAIT_READY;
        if (n == 0 && left == 0)
            return deadline <= silent ? WAIT_DEADLINE : WAIT_SILENT;
    }
}

/* What the other direction of the stream may have to do first is its kind's to know. */
static short events_for(struct tp *tp, short direction)
{
    return tp->ops->events != NULL ? tp->ops->events(tp, direction) : direction;
}

static struct pollfd pollfd_for(struct tp *tp, short direction)
{
    return filter_pollfd(tp, direction, events_for(tp, direction));
}

/* As wait_for; 0 when it is worth trying again. */
static int wait_more(struct tp *tp, struct pollfd fd, uint64_t deadline, uint64_t moved,
                     const char *doing, struct vf_error *err)
{
    switch (wait_for(tp, fd, deadline, silent_at(tp, moved))) {
    case WAIT_READY:
        return 0;
    case WAIT_DEADLINE:
        return fail_deadline(tp, doing, err);
    case WAIT_SILENT:
        return fail_silent(tp, err);
    case WAIT_ABORTED:
        return fail_aborted(tp, err);
    case WAIT_ERROR:
        break;
    }
    return fail_errno(tp, doing, errno, err);
}

/* Where a send has come to: iov[at], `skip` bytes into it. */
struct cursor {
    const struct iovec *iov;
    int count, at;
    size_t skip;
};

static void advance(struct cursor *c, size_t bytes)
{
    while (c->at < c->count && bytes >= c->iov[c->at].iov_len - c->skip) {
        bytes -= c->iov[c->at].iov_len - c->skip;
        c->skip = 0;
        c->at++;
    }
    c->skip += bytes;
}

/* What is still to be sent, as far as it fits into the window. */
static int window(const struct cursor *c, struct iovec out[WINDOW])
{
    int n = 0;

    for (int i = c->at; i < c->count && n < WINDOW; i++, n++)
        out[n] = c->iov[i];
    out[0].iov_base = (char *)out[0].iov_base + c->skip;
    out[0].iov_len -= c->skip;
    return n;
}

int tp_send(struct tp *tp, const struct iovec *iov, int count, uint64_t deadline_ns,
            struct vf_error *err)
{
    struct cursor cursor = {.iov = iov, .count = count};
    uint64_t moved = vf_now_ns();

    advance(&cursor, 0); /* empty iovecs at the start */
    while (cursor.at < count) {
        struct iovec out[WINDOW];
        const int n = window(&cursor, out);
        long done;

        if (aborted(tp))
            return fail_aborted(tp, err);
        done = filter_send(tp, out, n);
        if (done < 0 && done != -EINTR)
            return fail_errno(tp, "sending", (int)-done, err);
        if (done > 0) {
            advance(&cursor, (size_t)done);
            moved = vf_now_ns();
            if (cursor.at < count && moved >= deadline_ns)
                return fail_deadline(tp, "sending", err);
        } else if (done == 0 && wait_more(tp, pollfd_for(tp, POLLOUT), deadline_ns, moved,
                                          "sending", err) != 0) {
            return -1;
        }
    }
    return 0;
}

int tp_recv(struct tp *tp, void *data, size_t bytes, uint64_t deadline_ns, struct vf_error *err)
{
    size_t have = 0;
    uint64_t moved = vf_now_ns();

    while (have < bytes) {
        long done;

        if (aborted(tp))
            return fail_aborted(tp, err);
        done = filter_recv(tp, (char *)data + have, bytes - have);
        if (done == 0 && aborted(tp))
            return fail_aborted(tp, err);
        if (done == 0) {
            atomic_store_explicit(&tp->lost, true, memory_order_release);
            return vf_fail(err, VF_FAILED, "peer %s: closed the connection%s", tp->peer,
                           have > 0 ? " in the middle of a message" : "");
        }
        if (done < 0 && done != -EINTR && done != -EAGAIN)
            return fail_errno(tp, "receiving", (int)-done, err);
        if (done > 0) {
            have += (size_t)done;
            moved = vf_now_ns();
            if (have < bytes && moved >= deadline_ns)
                return fail_deadline(tp, "receiving", err);
        } else if (done == -EAGAIN && wait_more(tp, pollfd_for(tp, POLLIN), deadline_ns, moved,
                                                "receiving", err) != 0) {
            return -1;
        }
    }
    return 0;
}

short tp_poll_events(struct tp *tp)
{
    if (tp->ops->ready != NULL && tp->ops->ready(tp))
        return 0;
    return events_for(tp, POLLIN);
}

int tp_wait_readable(struct tp *tp, uint64_t deadline_ns, struct vf_error *err)
{
    const uint64_t silent = silent_at(tp, vf_now_ns());

    for (;;) {
        const short events = tp_poll_events(tp);

        if (events == 0)
            return 1;
        switch (wait_for(tp, filter_pollfd(tp, POLLIN, events), deadline_ns, silent)) {
        case WAIT_READY:
            /* Bytes for the stream itself are nothing to read: look again. */
            if (tp->ops->ready == NULL)
                return 1;
            continue;
        case WAIT_DEADLINE:
            return 0;
        case WAIT_SILENT:
            return fail_silent(tp, err);
        case WAIT_ABORTED:
            return fail_aborted(tp, err);
        case WAIT_ERROR:
            break;
        }
        return fail_errno(tp, "waiting", errno, err);
    }
}

int tp_handshake(struct tp *tp, uint64_t deadline_ns, struct vf_error *err)
{
    const uint64_t begun = vf_now_ns();

    while (tp->ops->handshake != NULL) {
        struct pollfd fd = {.fd = tp->ops->fd(tp)};
        int step;

        if (aborted(tp))
            return fail_aborted(tp, err);
        step = tp->ops->handshake(tp);
        if (step == 0)
            break;
        if (step < 0)
            return fail_errno(tp, "shaking hands", -step, err);
        /* Silent since the start: a byte now and then buys no time. */
        fd.events = (short)step;
        if (wait_more(tp, fd, deadline_ns, begun, "shaking hands", err) != 0)
            return -1;
    }
    return 0;
}
