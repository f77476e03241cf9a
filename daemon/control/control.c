// SPDX-License-Identifier: Apache-2.0
/* Accepting, serving and ending control connections. See control.h. */
#define LOG_ROOM "control"
#include "daemon/control/control.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/spare_fd.h"
#include "base/spare_thread.h"
#include "base/thread.h"
#include "base/unix_socket.h"
#include "daemon/control/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* So long a client waits for the thread that is kept back, when the system gives no other. */
#define KEPT_THREAD_MS 300u
/* Threads that leave have a few lines to run. On a loaded machine a newcomer waits for that. */
#define LEAVE_MS 2000u

struct conn {
    struct control *control;
    int fd;            /* closed by its thread, under the lock */
    bool kept;         /* control->lock: the thread that is kept back serves it */
    bool busy;         /* control->lock: a request is being answered */
    bool leaving;      /* control->lock: shut down; its thread is about to end */
    uint64_t quiet;    /* control->lock: control->turns when its last answer was ready */
    struct conn *next; /* control->lock */
};

struct control {
    struct daemon *daemon;
    verb_finder *find;
    int fd;
    struct vf_spare_fd spare;            /* accepting thread */
    struct vf_spare_thread *kept_thread; /* serves one client when the system gives no other */
    pthread_mutex_t lock;                /* guards what follows; never held over I/O */
    pthread_cond_t fewer;                /* a thread ended */
    struct conn *conns;
    unsigned count;  /* all threads */
    unsigned places; /* threads that are not leaving */
    struct vf_spare_fd kept; /* serves one client when no other descriptor is left */
    uint64_t turns;  /* counts changes from busy to idle: orders idle connections by age */
};

static int bind_socket(struct control *control, struct vf_error *err)
{
    const struct daemon *daemon = control->daemon;
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/%s", daemon->state_dir, CTL_SOCKET_NAME) < 0) {
        path = NULL;
        return vf_fail(err, VF_FAILED, "control socket: " VF_NO_MEMORY);
    }
    if (vf_socket_listen("control socket", path, SOCK_STREAM, 128, &control->fd, err) != 0)
        return -1;
    /* In this order: at no moment may anybody else than the owner and the group connect. */
    if (daemon->group_access &&
        (chown(path, (uid_t)-1, daemon->socket_gid) != 0 || chmod(path, 0660) != 0))
        return vf_fail_errno(err, VF_FAILED, errno, "give %s to group %u", path,
                             (unsigned)daemon->socket_gid);
    return 0;
}

int control_open(struct daemon *daemon, verb_finder *find, struct control **out,
                 struct vf_error *err)
{
    struct control *control = calloc(1, sizeof *control);

    if (control == NULL)
        return vf_fail(err, VF_FAILED, "control socket: " VF_NO_MEMORY);
    control->daemon = daemon;
    control->find = find;
    control->fd = -1;
    vf_spare_open(&control->spare);
    vf_spare_open(&control->kept);
    vf_lock_init(&control->lock);
    vf_cond_init(&control->fewer);
    if (vf_spare_thread_open(&control->kept_thread, err) != 0 || bind_socket(control, err) != 0) {
        control_close(control);
        return -1;
    }
    *out = control;
    return 0;
}

int control_fd(const struct control *control)
{
    return control->fd;
}

/* Says why, and never waits: the socket is new, or its client reads nothing anyway. */
static void say_error(int fd, enum vf_code code, const char *text)
{
    struct vf_error err = VF_ERROR_INIT;
    json_t *line;

    (void)vf_fail(&err, code, "%s", text);
    line = ctl_error(&err, NULL);
    if (line != NULL && ctl_send(fd, line, -1, 0) != 0)
        log_debug("a client did not wait for: %s", err.text);
    json_decref(line);
}

/* From here on it is silent. Noted before the client can see the answer: whoever connects after it
 * has seen it comes later. */
static void set_quiet(struct conn *conn)
{
    vf_lock(&conn->control->lock);
    conn->quiet = ++conn->control->turns;
    vf_unlock(&conn->control->lock);
}

static bool answer_line(struct conn *conn, const char *line, size_t bytes, int file)
{
    struct pulse_beat beat = PULSE_BEAT_INIT(conn->fd);
    json_error_t where;
    json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &where);
    struct vf_error err = VF_ERROR_INIT;
    json_t *reply;
    int sent;

    if (object != NULL) {
        reply = request_reply(conn->control->daemon, conn->control->find, &beat, object, file);
    } else {
        (void)vf_fail(&err, VF_USAGE, "request: is no line of JSON: %s at byte %d", where.text,
                      where.position);
        reply = ctl_error(&err, NULL);
    }
    json_decref(object);
    if (reply == NULL)
        return false;
    set_quiet(conn);
    sent = ctl_send(conn->fd, reply, -1, CTL_SEND_MS);
    json_decref(reply);
    return sent == 0;
}

/* False when the connection is to end: it was told to go, or the daemon ends. */
static bool set_busy(struct conn *conn, bool busy)
{
    struct control *control = conn->control;
    bool stay;

    vf_lock(&control->lock);
    conn->busy = busy;
    stay = !conn->leaving && !atomic_load(&control->daemon->stop);
    vf_unlock(&control->lock);
    return stay;
}

static void serve(struct conn *conn)
{
    struct ctl_reader reader;
    enum ctl_read got = CTL_LINE;
    bool stay = true;
    char *line;
    size_t bytes;

    ctl_reader_init(&reader, conn->fd, CTL_MAX_REQUEST);
    while (stay && (got = ctl_read_line(&reader, &line, &bytes, -1)) == CTL_LINE) {
        cleanup_close int file = vf_take_fd(&reader.passed_fd);

        stay = set_busy(conn, true) && answer_line(conn, line, bytes, file);
        stay = set_busy(conn, false) && stay;
    }
    if (got == CTL_TOO_LONG)
        say_error(conn->fd, VF_USAGE,
                  "request: longer than 64 KiB; large data passes as a file descriptor");
    ctl_reader_fini(&reader);
}

/* Under the lock. */
static void delist(struct control *control, const struct conn *conn)
{
    struct conn **at = &control->conns;

    while (*at != NULL && *at != conn)
        at = &(*at)->next;
    if (*at != NULL)
        *at = conn->next;
}

static void serve_and_end(void *arg)
{
    struct conn *conn = arg;
    struct control *control = conn->control;

    serve(conn);
    vf_lock(&control->lock);
    delist(control, conn);
    (void)close(conn->fd);
    (void)vf_spare_restock(&control->kept);
    control->count--;
    if (!conn->leaving)
        control->places--;
    vf_cond_broadcast(&control->fewer);
    vf_unlock(&control->lock);
    free(conn);
}

static void *conn_main(void *arg)
{
    (void)prctl(PR_SET_NAME, "control");
    serve_and_end(arg);
    return NULL;
}

/* Under the lock: its thread sees the end of its stream. */
static void send_away(struct control *control, struct conn *conn)
{
    if (!conn->leaving)
        control->places--;
    conn->leaving = true;
    (void)shutdown(conn->fd, SHUT_RDWR);
}

/* Under the lock: who was idle longest goes, unless all are busy. */
static void send_oldest_away(struct control *control)
{
    struct conn *oldest = NULL;

    for (struct conn *conn = control->conns; conn != NULL; conn = conn->next) {
        if (!conn->busy && !conn->leaving && (oldest == NULL || conn->quiet < oldest->quiet))
            oldest = conn;
    }
    if (oldest != NULL)
        send_away(control, oldest);
}

/* A place for one more: free, or that of the connection that was idle longest. False when all
 * are busy. */
static bool take_place(struct control *control)
{
    const uint64_t until_ns = vf_now_ns() + LEAVE_MS * 1000000ull;
    bool room;

    vf_lock(&control->lock);
    if (control->places >= CONTROL_MAX)
        send_oldest_away(control);
    /* Those who leave still count a moment: threads stay bounded under any flood. */
    while (control->places < CONTROL_MAX && control->count >= 2 * CONTROL_MAX &&
           vf_cond_wait_until(&control->fewer, &control->lock, until_ns))
        continue;
    room = control->places < CONTROL_MAX && control->count < 2 * CONTROL_MAX;
    if (room) {
        control->places++;
        control->count++;
    }
    vf_unlock(&control->lock);
    return room;
}

static void give_place(struct control *control)
{
    vf_lock(&control->lock);
    control->places--;
    control->count--;
    vf_unlock(&control->lock);
}

/* Under the lock. */
static void enlist(struct control *control, struct conn *conn)
{
    conn->quiet = ++control->turns;
    conn->next = control->conns;
    control->conns = conn;
}

/* By the thread that is kept back, so that a host without threads can be looked at and stopped. Who
 * has it and asks nothing goes. */
static bool start_kept(struct control *control, struct conn *conn)
{
    bool given;

    vf_lock(&control->lock);
    for (struct conn *other = control->conns; other != NULL; other = other->next) {
        if (other->kept && !other->busy)
            send_away(control, other);
    }
    conn->kept = true;
    enlist(control, conn);
    vf_unlock(&control->lock);
    given = vf_spare_thread_give(control->kept_thread, KEPT_THREAD_MS, serve_and_end, conn);
    if (given)
        return true;
    vf_lock(&control->lock);
    delist(control, conn);
    vf_unlock(&control->lock);
    return false;
}

static int start(struct control *control, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);
    bool started;

    if (conn == NULL)
        return -1;
    conn->control = control;
    conn->fd = fd;
    vf_lock(&control->lock);
    started = vf_thread_detached(conn_main, conn) == 0;
    if (started)
        enlist(control, conn);
    vf_unlock(&control->lock);
    if (started || start_kept(control, conn))
        return 0;
    free(conn);
    return -1;
}

static bool in_group(int fd, gid_t group)
{
    gid_t groups[NGROUPS_MAX];
    socklen_t bytes = sizeof groups;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0)
        return false;
    for (size_t i = 0; i < bytes / sizeof *groups; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* The socket's mode says the same; a file that was opened to others must not change it. */
static bool peer_allowed(const struct daemon *daemon, int fd)
{
    struct ucred peer;

    return vf_socket_peer(fd, &peer) &&
           (vf_socket_own_user(&peer) ||
            (daemon->group_access &&
             (peer.gid == daemon->socket_gid || in_group(fd, daemon->socket_gid))));
}

/* One is served all the same, so that a host in that state can be looked at and stopped. True: the
 * connection is no longer the caller's. */
static bool serve_kept(struct control *control, int fd)
{
    bool kept;

    if (!peer_allowed(control->daemon, fd) || !take_place(control))
        return false;
    vf_lock(&control->lock);
    kept = control->kept.fd >= 0;
    vf_spare_close(&control->kept);
    vf_unlock(&control->lock);
    if (kept && start(control, fd) == 0) {
        vf_spare_open(&control->spare); /* with the number that became free */
        return true;
    }
    give_place(control);
    return false;
}

/* False: the connection could not even be taken to be told why. */
static bool turn_away(struct control *control, int errnum)
{
    int fd;

    if (vf_accept_withdrawn(errnum))
        return true;
    fd = vf_spare_accept(&control->spare, control->fd, errnum, "control");
    if (fd < 0)
        return false;
    if (serve_kept(control, fd))
        return true;
    say_error(fd, VF_FAILED,
              "the host has no descriptor left for another request; try again later, or give "
              "vferryd a higher limit (ulimit -n, LimitNOFILE=)");
    vf_spare_done(&control->spare, fd);
    return true;
}

bool control_accept(struct control *control)
{
    cleanup_close int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return turn_away(control, errno);
    vf_spare_roomy(&control->spare, "control");
    vf_lock(&control->lock);
    (void)vf_spare_restock(&control->kept);
    vf_unlock(&control->lock);
    if (!peer_allowed(control->daemon, fd)) {
        say_error(fd, VF_FAILED,
                  "this host serves its own user and its --socket-group only; run as one of them");
    } else if (!take_place(control)) {
        say_error(fd, VF_FAILED,
                  "too many requests are being answered (64); try again when some are done");
    } else if (start(control, fd) == 0) {
        (void)vf_take_fd(&fd);
    } else {
        give_place(control);
        say_error(fd, VF_FAILED, "the host cannot answer: " VF_NO_THREAD);
    }
    return true;
}

void control_close(struct control *control)
{
    cleanup_free char *path = NULL;

    if (control == NULL)
        return;
    if (control->fd >= 0) {
        (void)close(vf_take_fd(&control->fd));
        if (asprintf(&path, "%s/%s", control->daemon->state_dir, CTL_SOCKET_NAME) < 0)
            path = NULL;
        else if (unlink(path) != 0 && errno != ENOENT)
            log_warn("cannot remove %s: %s", path, strerrordesc_np(errno));
    }
    vf_spare_close(&control->spare);
    vf_lock(&control->lock);
    for (struct conn *conn = control->conns; conn != NULL; conn = conn->next) {
        if (!conn->busy)
            send_away(control, conn);
    }
    while (control->count > 0)
        vf_cond_wait(&control->fewer, &control->lock);
    vf_spare_close(&control->kept);
    vf_unlock(&control->lock);
    vf_spare_thread_close(control->kept_thread);
    vf_cond_fini(&control->fewer);
    vf_lock_fini(&control->lock);
    free(control);
}
