// SPDX-License-Identifier: Apache-2.0
/* The server: lock, socket, accepting and reaping connections. See server.h. */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

static const char *const state_names[KS_STATES] = {"new", "calls", "channel", "closed"};
static const uint64_t state_arcs[KS_STATES] = {
    [KS_NEW] = VF_ARC(KS_CALLS) | VF_ARC(KS_CLOSED),
    [KS_CALLS] = VF_ARC(KS_CHANNEL) | VF_ARC(KS_CLOSED),
    [KS_CHANNEL] = VF_ARC(KS_CLOSED),
};
static const struct vf_fsm_table conn_table = {"connection", state_names, state_arcs, KS_STATES};

/* ---- opening ---- */

static int take_lock(struct ks_server *server, const char *state_dir, struct vf_error *err)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/%s", state_dir, KS_LOCK_NAME) < 0) {
        path = NULL;
        return vf_fail(err, VF_FAILED, "start of the kernel side: " VF_NO_MEMORY);
    }
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (server->lock_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "open %s", path);
    if (flock(server->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return vf_fail(
            err, VF_FAILED,
            "state directory %s: another vferry-kernel runs on it; use it or end it first",
            state_dir);
    return vf_fail_errno(err, VF_FAILED, errno, "lock %s", path);
}

VF_CLEANUP(struct ks_server, ks_close)

int ks_open(const struct ks_config *config, struct ks_server **out, struct vf_error *err)
{
    cleanup_with(ks_close) struct ks_server *server = calloc(1, sizeof *server);

    if (server == NULL)
        return vf_fail(err, VF_FAILED, "start of the kernel side: " VF_NO_MEMORY);
    server->lock_fd = server->listen_fd = server->wake_fd = server->farewell_fd = -1;
    server->signal_fd = config->signal_fd;
    server->idle_ms = config->idle_ms;
    server->hello_ms = config->hello_ms > 0 ? config->hello_ms : KS_HELLO_MS;
    (void)snprintf(server->specs, sizeof server->specs, "%s",
                   config->specs != NULL ? config->specs : "");
    vf_lock_init(&server->lock);
    vf_cond_init(&server->changed);
    ks_events_init(&server->events);
    vf_spare_open(&server->spare);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make an eventfd");
    if (take_lock(server, config->state_dir, err) != 0)
        return -1;
    if (asprintf(&server->socket_path, "%s/%s", config->state_dir, KS_SOCKET_NAME) < 0) {
        server->socket_path = NULL;
        return vf_fail(err, VF_FAILED, "start of the kernel side: " VF_NO_MEMORY);
    }
    if (vf_socket_listen("socket", server->socket_path, SOCK_SEQPACKET, (int)KS_MAX_CONNECTIONS,
                         &server->listen_fd, err) != 0)
        return -1;
    *out = vf_take_ptr(server);
    return 0;
}

static void stop_listening(struct ks_server *server)
{
    if (server->listen_fd < 0)
        return;
    (void)close(vf_take_fd(&server->listen_fd));
    if (unlink(server->socket_path) != 0 && errno != ENOENT)
        log_warn("cannot remove %s: %s", server->socket_path, strerrordesc_np(errno));
}

void ks_close(struct ks_server *server)
{
    if (server == NULL)
        return;
    stop_listening(server);
    if (server->lock_fd >= 0)
        (void)close(server->lock_fd);
    if (server->farewell_fd >= 0)
        (void)close(server->farewell_fd);
    vf_spare_close(&server->spare);
    if (server->wake_fd >= 0)
        (void)close(server->wake_fd);
    ks_events_destroy(&server->events);
    vf_cond_fini(&server->changed);
    vf_lock_fini(&server->lock);
    free(server->socket_path);
    free(server);
}

/* ---- when it may end ---- */

static void take_signal(struct ks_server *server)
{
    struct signalfd_siginfo info;
    size_t partitions;

    if (read(server->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (ks_begin_end(server, false, &partitions)) {
        log_info("signal %" PRIu32 ": ending", info.ssi_signo);
        ks_stop(server);
    } else {
        log_warn("signal %" PRIu32
                 " ignored: partitions live here, and a host does not end by accident; "
                 "use \"vferry host stop --force\"",
                 info.ssi_signo);
    }
}

/* ---- connections ---- */

static void *conn_thread(void *arg)
{
    struct ks_conn *conn = arg;
    struct ks_server *server = conn->server;

    (void)prctl(PR_SET_NAME, conn->state.id);
    ks_conn_serve(conn);
    vf_lock(&server->lock);
    conn->finished = true;
    if (!conn->farewell)
        (void)shutdown(conn->fd, SHUT_RDWR); /* its client learns now, not at the reaping */
    vf_cond_broadcast(&server->changed);
    vf_unlock(&server->lock);
    ks_wake(server);
    return NULL;
}

static void reap(struct ks_server *server)
{
    struct ks_conn *gone = NULL;

    vf_lock(&server->lock);
    for (struct ks_conn **link = &server->conns; *link != NULL;) {
        struct ks_conn *conn = *link;

        if (!conn->finished) {
            link = &conn->next;
            continue;
        }
        *link = conn->next;
        conn->next = gone;
        gone = conn;
        server->conn_count--;
    }
    vf_unlock(&server->lock);
    while (gone != NULL) {
        struct ks_conn *conn = gone;

        gone = conn->next;
        (void)pthread_join(conn->thread, NULL);
        (void)close(conn->fd);
        kw_buffer_free(&conn->in);
        kw_buffer_free(&conn->out);
        free(conn);
    }
}

/* Tells a client why it is not served; tag 0 = about the connection. It is closed right after, and
 * it is new: the socket has room, so nothing blocks. */
static void refuse(int fd, enum vf_code code, const char *why)
{
    struct kcall_failure failure = {0};
    struct kcall_head head = {KCALL_MAGIC_REPLY, 0, 0, sizeof failure, (uint32_t)code, 0};
    struct vf_error err = VF_ERROR_INIT;

    (void)vf_fail(&err, code, "%s", why);
    vf_error_pack(&err, failure.text, sizeof failure.text);
    if (kw_send(fd, &head, &failure, -1) != 0)
        log_debug("a refused client did not wait for the reason");
    log_warn("connection refused: %s", err.text);
}

/* The socket's mode says the same; a directory that was opened to others must not change it. */
static bool peer_allowed(int fd)
{
    struct ucred peer;

    return vf_socket_peer(fd, &peer) && vf_socket_own_user(&peer);
}

static int start_conn(struct ks_server *server, int fd)
{
    static uint32_t numbers; /* accepting thread only */
    struct ks_conn *conn = calloc(1, sizeof *conn);
    char id[16];
    int failed;

    if (conn == NULL)
        return ENOMEM;
    conn->server = server;
    conn->fd = fd;
    conn->number = ++numbers;
    (void)snprintf(id, sizeof id, "kc-%" PRIu32, conn->number);
    vf_fsm_init(&conn->state, &conn_table, id, KS_NEW);
    vf_lock(&server->lock);
    conn->next = server->conns;
    server->conns = conn;
    server->conn_count++;
    failed = pthread_create(&conn->thread, NULL, conn_thread, conn);
    if (failed != 0) {
        server->conns = conn->next;
        server->conn_count--;
        free(conn);
    }
    vf_unlock(&server->lock);
    return failed;
}

/* Says so once, and how often it was when there is room again. */
static void on_accept_failed(struct ks_server *server, int errnum)
{
    int fd;

    if (vf_accept_withdrawn(errnum))
        return;
    fd = vf_spare_accept(&server->spare, server->listen_fd, errnum, "kernel side");
    server->accept_pause = fd < 0;
    if (fd < 0)
        return;
    kw_socket_prepare(fd);
    refuse(fd, VF_REFUSED_NOW, "the kernel side, asked for another connection: " VF_NO_DESCRIPTOR);
    vf_spare_done(&server->spare, fd);
}

static void accept_one(struct ks_server *server)
{
    cleanup_close int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    unsigned count;

    if (fd < 0) {
        on_accept_failed(server, errno);
        return;
    }
    vf_spare_roomy(&server->spare, "kernel side");
    vf_lock(&server->lock);
    count = server->conn_count;
    vf_unlock(&server->lock);
    kw_socket_prepare(fd);
    if (!peer_allowed(fd)) {
        refuse(fd, VF_FAILED, "the kernel side serves its own user only; run as that user");
    } else if (count >= KS_MAX_CONNECTIONS) {
        refuse(fd, VF_REFUSED_NOW,
               "the kernel side has too many connections (512); close some and try again");
    } else if (start_conn(server, fd) != 0) {
        refuse(fd, VF_REFUSED_NOW, "the kernel side, asked for another connection: " VF_NO_THREAD);
    } else {
        fd = -1;
    }
}

static void end_connections(struct ks_server *server)
{
    bool left = true;

    stop_listening(server);
    while (left) {
        vf_lock(&server->lock);
        for (struct ks_conn *conn = server->conns; conn != NULL; conn = conn->next) {
            if (!conn->farewell)
                (void)shutdown(conn->fd, SHUT_RDWR);
        }
        for (struct ks_conn *conn = server->conns; conn != NULL; conn = conn->next) {
            while (!conn->finished)
                vf_cond_wait(&server->changed, &server->lock);
        }
        left = server->conns != NULL;
        vf_unlock(&server->lock);
        reap(server);
    }
}

/* ---- the accepting thread ---- */

static bool stop_wanted(struct ks_server *server)
{
    bool stop;

    vf_lock(&server->lock);
    stop = server->stop;
    vf_unlock(&server->lock);
    return stop;
}

/* Milliseconds to wait for work: -1 while anyone or anything needs this kernel, 0 when it was idle
 * for long enough. Without a connection nothing can make a partition, so looking again at each
 * wake-up is enough. */
static int idle_left(struct ks_server *server, uint64_t *idle_since)
{
    unsigned conns;
    uint64_t now = vf_now_ns();
    uint64_t passed;

    vf_lock(&server->lock);
    conns = server->conn_count;
    vf_unlock(&server->lock);
    if (conns > 0 || ks_partition_count(server) > 0) {
        *idle_since = 0;
        return -1;
    }
    if (*idle_since == 0)
        *idle_since = now;
    passed = (now - *idle_since) / 1000000u;
    return passed >= (uint64_t)server->idle_ms ? 0 : server->idle_ms - (int)passed;
}

static int wait_for_work(struct ks_server *server, uint64_t *idle_since, struct vf_error *err)
{
    struct pollfd fds[3] = {
        {.fd = server->accept_pause ? -1 : server->listen_fd, .events = POLLIN},
        {.fd = server->wake_fd, .events = POLLIN},
        {.fd = server->signal_fd, .events = POLLIN},
    };
    int idle = idle_left(server, idle_since);
    int timeout = server->accept_pause ? VF_ACCEPT_PAUSE_MS : idle;
    int ready = poll(fds, 3, timeout);
    eventfd_t count;

    if (ready < 0)
        return errno == EINTR ? 0 : vf_fail_errno(err, VF_FAILED, errno, "poll");
    server->accept_pause = false;
    if (ready == 0 && timeout == 0) {
        log_info("no daemon and no partitions for %d ms: ending", server->idle_ms);
        ks_stop(server);
    }
    if ((fds[1].revents & POLLIN) != 0)
        (void)eventfd_read(server->wake_fd, &count);
    reap(server); /* before accepting: a client that closed its connection has its place back */
    if ((fds[2].revents & POLLIN) != 0)
        take_signal(server);
    if ((fds[0].revents & POLLIN) != 0)
        accept_one(server);
    return 0;
}

int ks_run(struct ks_server *server, struct dxgk *dxgk, struct vf_error *err)
{
    uint64_t idle_since = 0;
    int result = 0;

    server->dxgk = dxgk;
    while (result == 0 && !stop_wanted(server))
        result = wait_for_work(server, &idle_since, err);
    end_connections(server);
    return result;
}
