// SPDX-License-Identifier: Apache-2.0
/* See proxy.h. Two threads a connection, one a direction, each walking the records of
 * its stream. */
#include "migrate/tests/rig/proxy.h"

#include "base/clock.h"
#include "base/bytes.h"
#include "base/tests/tool.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_NS (20000000000ull * TEST_TOOL_FACTOR)

struct conn;

struct pump {
    struct conn *conn;
    enum proxy_way way;
    int from, to;
    pthread_t thread;
};

struct conn {
    struct proxy *proxy;
    struct conn *next;
    int source, target;
    struct tp *tp; /* owns `target` */
    bool mute;     /* guarded by the proxy's lock */
    struct pump pump[2];
};

struct proxy {
    char address[64], target[64];
    int listener;
    int stop[2];
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct conn *conns;
    unsigned pumping;
    struct proxy_fault fault;
    unsigned skip; /* what is left of the fault's */
    bool armed, fired, held, released, cut, refusing, paused;
    uint32_t rounds; /* that the control channel has begun since a fault was armed */
};

const char *proxy_act_name(enum proxy_act act)
{
    static const char *const names[PROXY_ACTS] = {"pass",     "cut",  "silence",
                                                  "truncate", "flip", "hold"};

    return names[act];
}

static bool take_all(int fd, uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t got = recv(fd, data, bytes, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        data += got;
        bytes -= (size_t)got;
    }
    return true;
}

static bool mute(struct conn *conn)
{
    bool is;

    vf_lock(&conn->proxy->lock);
    is = conn->mute;
    vf_unlock(&conn->proxy->lock);
    return is;
}

static bool give_all(struct pump *pump, const uint8_t *data, size_t bytes)
{
    if (mute(pump->conn))
        return true;
    while (bytes > 0) {
        ssize_t put = send(pump->to, data, bytes, MSG_NOSIGNAL);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        data += put;
        bytes -= (size_t)put;
    }
    return true;
}

/* What happens to this record; the fault is used up. */
static enum proxy_act judge(struct pump *pump, uint32_t tag)
{
    struct proxy *proxy = pump->conn->proxy;
    enum proxy_act act = PROXY_PASS;

    vf_lock(&proxy->lock);
    if (proxy->armed && proxy->fault.way == pump->way && (uint32_t)proxy->fault.tag == tag &&
        (proxy->paused || !proxy->fault.paused)) {
        if (proxy->skip > 0) {
            proxy->skip--;
        } else {
            act = proxy->fault.act;
            proxy->fired = true;
            proxy->armed = proxy->fault.again > 0;
            proxy->fault.again -= proxy->armed;
            proxy->skip = proxy->fault.skip;
        }
    }
    if (act == PROXY_SILENCE) {
        for (struct conn *conn = proxy->conns; conn != NULL; conn = conn->next)
            conn->mute = true;
    }
    if (act == PROXY_HOLD) {
        proxy->held = true;
        vf_cond_broadcast(&proxy->changed);
        while (!proxy->released)
            vf_cond_wait(&proxy->changed, &proxy->lock);
        act = proxy->cut ? PROXY_CUT : PROXY_PASS;
        proxy->held = proxy->released = proxy->cut = false;
    }
    vf_unlock(&proxy->lock);
    return act;
}

/* ROUND: after its checksum its number, a u64, and whether the partition is paused. */
static void note_round(struct proxy *proxy, const uint8_t *data, uint32_t bytes)
{
    vf_lock(&proxy->lock);
    if (bytes > 20) {
        proxy->paused = data[20] != 0;
        proxy->rounds = vf_load_u32(data + 8) + 1;
        vf_cond_broadcast(&proxy->changed);
    }
    vf_unlock(&proxy->lock);
}

/* A data stream's ROUND_END may come before the control channel's ROUND, which was sent first: only
 * that says whether it is one of the blackout's. */
static void await_its_round(struct pump *pump)
{
    const uint64_t until_ns = vf_now_ns() + PATIENCE_NS;
    struct proxy *proxy = pump->conn->proxy;
    uint8_t start[12]; /* checksum, number */

    if (recv(pump->from, start, sizeof start, MSG_PEEK | MSG_WAITALL) != sizeof start)
        return; /* passing the payload meets the same end */
    vf_lock(&proxy->lock);
    while (proxy->armed && proxy->fault.paused && proxy->rounds <= vf_load_u32(start + 8) &&
           vf_cond_wait_until(&proxy->changed, &proxy->lock, until_ns))
        continue;
    vf_unlock(&proxy->lock);
}

static bool pass_payload(struct pump *pump, uint32_t tag, uint32_t length, enum proxy_act act)
{
    uint8_t data[16384];
    uint32_t left = act == PROXY_TRUNCATE ? length / 2 : length;
    uint32_t flip_at = length / 2;
    uint32_t at = 0;

    while (left > 0) {
        uint32_t part = left < sizeof data ? left : (uint32_t)sizeof data;

        if (!take_all(pump->from, data, part))
            return false;
        if (tag == WIRE_ROUND)
            note_round(pump->conn->proxy, data, part);
        if (act == PROXY_FLIP && flip_at >= at && flip_at < at + part)
            data[flip_at - at] ^= 0x10;
        if (!give_all(pump, data, part))
            return false;
        at += part;
        left -= part;
    }
    return act != PROXY_TRUNCATE;
}

static void end_both(struct conn *conn)
{
    (void)shutdown(conn->source, SHUT_RDWR);
    (void)shutdown(conn->target, SHUT_RDWR);
}

static void *pump_loop(void *arg)
{
    struct pump *pump = arg;
    struct proxy *proxy = pump->conn->proxy;
    uint8_t head[WIRE_HEADER_BYTES];
    bool on = true;

    while (on && take_all(pump->from, head, sizeof head)) {
        enum proxy_act act;

        if (vf_load_u32(head) == WIRE_ROUND_END && pump->way == TO_TARGET)
            await_its_round(pump);
        act = judge(pump, vf_load_u32(head));
        if (act == PROXY_CUT)
            break;
        on = give_all(pump, head, sizeof head) &&
             pass_payload(pump, vf_load_u32(head), vf_load_u32(head + 8), act);
    }
    if (mute(pump->conn))
        (void)shutdown(pump->from, SHUT_RDWR); /* the other end must not hear of it */
    else
        end_both(pump->conn);
    vf_lock(&proxy->lock);
    proxy->pumping--;
    vf_cond_broadcast(&proxy->changed);
    vf_unlock(&proxy->lock);
    return NULL;
}

static void serve(struct proxy *proxy, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);
    struct vf_error err = VF_ERROR_INIT;
    bool refusing;

    vf_lock(&proxy->lock);
    refusing = proxy->refusing;
    vf_unlock(&proxy->lock);
    if (conn == NULL || refusing ||
        tp_tcp_connect(proxy->target, vf_now_ns() + PATIENCE_NS, &conn->tp, &err) != 0) {
        (void)close(fd);
        free(conn);
        return;
    }
    conn->proxy = proxy;
    conn->source = fd;
    conn->target = tp_fd(conn->tp);
    assert_int_equal(fcntl(conn->target, F_SETFL, 0),
                     0); /* it was connected without blocking; the pumps block */
    conn->pump[TO_TARGET] = (struct pump){conn, TO_TARGET, conn->source, conn->target, 0};
    conn->pump[TO_SOURCE] = (struct pump){conn, TO_SOURCE, conn->target, conn->source, 0};
    vf_lock(&proxy->lock);
    conn->next = proxy->conns;
    proxy->conns = conn;
    proxy->pumping += 2;
    /* Under the lock: whoever finds the connection calm joins both. */
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&conn->pump[i].thread, NULL, pump_loop, &conn->pump[i]), 0);
    vf_unlock(&proxy->lock);
}

static void *accept_loop(void *arg)
{
    struct proxy *proxy = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = proxy->listener, .events = POLLIN},
                                {.fd = proxy->stop[0], .events = POLLIN}};
        int fd;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents != 0)
            return NULL;
        fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve(proxy, fd);
    }
}

struct proxy *proxy_open(const char *target, char *address)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(proxy);
    (void)snprintf(proxy->target, sizeof proxy->target, "%s", target);
    vf_lock_init(&proxy->lock);
    vf_cond_init(&proxy->changed);
    assert_int_equal(tp_tcp_listen("127.0.0.1:0", &proxy->listener, address, 64, &err), 0);
    memcpy(proxy->address, address, sizeof proxy->address);
    assert_int_equal(pipe(proxy->stop), 0);
    assert_int_equal(pthread_create(&proxy->thread, NULL, accept_loop, proxy), 0);
    return proxy;
}

void proxy_close(struct proxy *proxy)
{
    assert_int_equal(write(proxy->stop[1], "x", 1), 1);
    (void)pthread_join(proxy->thread, NULL);
    proxy_cut_all(proxy);
    assert_true(proxy_calm(proxy));
    (void)close(proxy->listener);
    (void)close(proxy->stop[0]);
    (void)close(proxy->stop[1]);
    vf_cond_fini(&proxy->changed);
    vf_lock_fini(&proxy->lock);
    free(proxy);
}

void proxy_arm(struct proxy *proxy, const struct proxy_fault *fault)
{
    vf_lock(&proxy->lock);
    proxy->fault = *fault;
    proxy->skip = fault->skip;
    proxy->armed = true;
    proxy->fired = false;
    proxy->paused = false;
    proxy->rounds = 0;
    vf_unlock(&proxy->lock);
}

bool proxy_fired(struct proxy *proxy)
{
    bool fired;

    vf_lock(&proxy->lock);
    fired = proxy->fired;
    proxy->armed = false;
    vf_unlock(&proxy->lock);
    return fired;
}

bool proxy_await_hold(struct proxy *proxy)
{
    const uint64_t until_ns = vf_now_ns() + PATIENCE_NS;
    bool held;

    vf_lock(&proxy->lock);
    while (!proxy->held && vf_cond_wait_until(&proxy->changed, &proxy->lock, until_ns))
        continue;
    held = proxy->held;
    vf_unlock(&proxy->lock);
    return held;
}

void proxy_release(struct proxy *proxy)
{
    vf_lock(&proxy->lock);
    proxy->released = true;
    vf_cond_broadcast(&proxy->changed);
    vf_unlock(&proxy->lock);
}

void proxy_cut_held(struct proxy *proxy)
{
    vf_lock(&proxy->lock);
    proxy->cut = true;
    vf_unlock(&proxy->lock);
    proxy_release(proxy);
}

const char *proxy_address(const struct proxy *proxy)
{
    return proxy->address;
}

void proxy_refuse(struct proxy *proxy, bool refuse)
{
    vf_lock(&proxy->lock);
    proxy->refusing = refuse;
    vf_unlock(&proxy->lock);
}

void proxy_cut_all(struct proxy *proxy)
{
    vf_lock(&proxy->lock);
    for (struct conn *conn = proxy->conns; conn != NULL; conn = conn->next)
        end_both(conn);
    vf_unlock(&proxy->lock);
}

bool proxy_calm(struct proxy *proxy)
{
    const uint64_t until_ns = vf_now_ns() + PATIENCE_NS;
    struct conn *gone = NULL;
    bool calm;

    vf_lock(&proxy->lock);
    while (proxy->pumping > 0 && vf_cond_wait_until(&proxy->changed, &proxy->lock, until_ns))
        continue;
    calm = proxy->pumping == 0;
    if (calm) {
        gone = proxy->conns;
        proxy->conns = NULL;
    }
    vf_unlock(&proxy->lock);
    while (gone != NULL) {
        struct conn *next = gone->next;

        (void)pthread_join(gone->pump[0].thread, NULL);
        (void)pthread_join(gone->pump[1].thread, NULL);
        (void)close(gone->source);
        tp_close(gone->tp);
        free(gone);
        gone = next;
    }
    return calm;
}
