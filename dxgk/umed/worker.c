// SPDX-License-Identifier: Apache-2.0
/* See worker.h. */
#define LOG_ROOM "umed"
#include "dxgk/umed/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_MS 1000

/* ---- start ---- */

/* stderr and the socket, nothing else: stdin and stdout are closed, not /dev/null. */
static int set_files(posix_spawn_file_actions_t *actions, int fd)
{
    int rc = posix_spawn_file_actions_adddup2(actions, fd, UMED_CALL_FD);

    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, UMED_CALL_FD + 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclose(actions, STDIN_FILENO);
    return rc != 0 ? rc : posix_spawn_file_actions_addclose(actions, STDOUT_FILENO);
}

/* As a fresh process has them, whatever this one blocks or ignores. */
static int set_signals(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    int rc;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    return rc != 0 ? rc
                   : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(pid_t *pid, int fd, const char *program, const char *path, const char *name)
{
    char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)path,
                          (char *)(uintptr_t)name, NULL};
    char *const no_environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    rc = set_files(&actions, fd);
    if (rc == 0)
        rc = set_signals(&attr);
    if (rc == 0)
        rc = posix_spawn(pid, program, &actions, &attr, argv, no_environment);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int dxgk_worker_start(struct dxgk_worker *worker, const char *program, const char *path,
                      const char *name, struct vf_error *err)
{
    cleanup_close int theirs = -1;
    int pair[2];
    int rc;

    *worker = (struct dxgk_worker){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "a socket for the UMED's worker");
    theirs = pair[1];
    /* dup2 onto itself would leave close-on-exec set. */
    if (theirs == UMED_CALL_FD) {
        theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, UMED_CALL_FD + 1);
        (void)close(pair[1]);
    }
    rc = theirs < 0 ? EMFILE : spawn(&worker->pid, theirs, program, path, name);
    if (rc != 0) {
        (void)close(pair[0]);
        worker->pid = 0;
        return vf_fail_errno(err, VF_FAILED, rc, "cannot start %s", program);
    }
    worker->fd = pair[0];
    return 0;
}

/* ---- calls ---- */

static int lose(struct dxgk_worker *worker, const char *why)
{
    worker->why = why;
    return -1;
}

/* Waits for the socket until the deadline; 0 when it can be tried again. */
static int await(struct dxgk_worker *worker, short events, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd wait = {.fd = worker->fd, .events = events};
        uint64_t now = vf_now_ns();
        int ready;

        if (now >= deadline_ns)
            return lose(worker, "gave no answer in time and was ended");
        ready = poll(&wait, 1, (int)((deadline_ns - now) / 1000000u) + 1);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return lose(worker, "could not be waited for");
    }
}

static int transmit(struct dxgk_worker *worker, const void *data, size_t bytes,
                    uint64_t deadline_ns)
{
    const uint8_t *at = data;

    while (bytes > 0) {
        ssize_t sent = send(worker->fd, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (await(worker, POLLOUT, deadline_ns) != 0)
                return -1;
        } else if (errno != EINTR) {
            return lose(worker, NULL);
        }
    }
    return 0;
}

static int receive(struct dxgk_worker *worker, void *data, size_t bytes, uint64_t deadline_ns)
{
    uint8_t *at = data;

    while (bytes > 0) {
        ssize_t got = recv(worker->fd, at, bytes, MSG_DONTWAIT);

        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        } else if (got == 0) {
            return lose(worker, NULL);
        } else if (errno == EAGAIN) {
            if (await(worker, POLLIN, deadline_ns) != 0)
                return -1;
        } else if (errno != EINTR) {
            return lose(worker, NULL);
        }
    }
    return 0;
}

static bool head_good(const struct umed_head *head, const struct umed_head *call, uint32_t allowed)
{
    return head->magic == UMED_CALL_MAGIC && head->version == UMED_CALL_VERSION &&
           head->op == call->op && head->sequence == call->sequence && head->bytes <= allowed &&
           head->breach < UMED_BREACHES;
}

int dxgk_worker_call(struct dxgk_worker *worker, enum umed_op op, const void *body, uint32_t bytes,
                     uint32_t allowed, struct dxgk_worker_reply *reply)
{
    struct umed_head call = {.magic = UMED_CALL_MAGIC,
                             .version = UMED_CALL_VERSION,
                             .op = (uint16_t)op,
                             .sequence = ++worker->sequence,
                             .bytes = bytes};
    uint64_t limit_ms = op == UMED_CREATE ? DXGK_WORKER_START_MS : DXGK_WORKER_CALL_MS;
    uint64_t deadline_ns = vf_now_ns() + limit_ms * 1000000u;
    cleanup_free void *data = NULL;
    struct umed_head head;

    *reply = (struct dxgk_worker_reply){0};
    worker->during = op;
    if (transmit(worker, &call, sizeof call, deadline_ns) != 0 ||
        transmit(worker, body, bytes, deadline_ns) != 0 ||
        receive(worker, &head, sizeof head, deadline_ns) != 0)
        return -1;
    if (!head_good(&head, &call, allowed))
        return lose(worker, "broke the protocol and was ended");
    if (head.bytes > 0) {
        data = malloc(head.bytes);
        if (data == NULL)
            return lose(worker, "answered more than there is memory for, and was ended");
        if (receive(worker, data, head.bytes, deadline_ns) != 0)
            return -1;
    }
    worker->during = 0;
    *reply = (struct dxgk_worker_reply){head.result, head.breach, vf_take_ptr(data), head.bytes};
    return 0;
}

/* ---- end ---- */

/* The method of the UMED that a call goes to. */
static const char *const methods[UMED_OPS] = {
    [UMED_CREATE] = "Initialize",
    [UMED_SAVE_IMMUTABLE] = "SaveImmutableGpup",
    [UMED_RESTORE_IMMUTABLE] = "RestoreImmutableGpup",
    [UMED_SAVE] = "SaveGpupBegin or SaveGpupContinue",
    [UMED_RESTORE] = "RestoreGpup",
    [UMED_READ] = "ReadInterceptedGpup",
    [UMED_WRITE] = "WriteInterceptedGpup",
    [UMED_POWER] = "PowerTransitionComplete",
};

static void describe(const struct dxgk_worker *worker, int status, char *how, size_t how_bytes)
{
    const char *in = worker->during != 0 ? " in " : " between two calls";
    const char *method = worker->during != 0 ? methods[worker->during] : "";

    if (how == NULL)
        return;
    if (worker->why != NULL)
        (void)snprintf(how, how_bytes, "%s,%s%s", worker->why, in, method);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        (void)snprintf(how, how_bytes, "made a forbidden system call (SIGSYS)%s%s", in, method);
    else if (WIFSIGNALED(status))
        (void)snprintf(how, how_bytes, "was killed by signal %d (%s)%s%s%s", WTERMSIG(status),
                       strsignal(WTERMSIG(status)), in, method,
                       WTERMSIG(status) == SIGKILL ? ", by somebody or for want of memory" : "");
    else
        (void)snprintf(how, how_bytes, "ended with status %d%s%s", WEXITSTATUS(status), in, method);
}

/* Waits until the process has ended, END_MS at most; has it? */
static bool await_end(const struct dxgk_worker *worker)
{
    cleanup_close int pid_fd = pidfd_open(worker->pid, 0);
    struct pollfd ended = {.fd = pid_fd, .events = POLLIN};

    return pid_fd >= 0 && poll(&ended, 1, END_MS) == 1;
}

bool dxgk_worker_end(struct dxgk_worker *worker, bool politely, char *how, size_t how_bytes)
{
    bool outside;
    int status = 0;

    if (worker->pid == 0)
        return false;
    /* It ends when its socket does. One whose socket has closed by itself is on its way out:
     * killing it now could hide what ended it. */
    (void)shutdown(worker->fd, SHUT_WR);
    if ((politely || worker->why == NULL) && !await_end(worker))
        worker->why = "let go of its socket, did not end and was ended";
    /* Until it is waited for the id is its own, ended or not. */
    (void)kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            log_error("UMED worker %d: %s", (int)worker->pid, strerror(errno));
            break;
        }
    }
    outside = worker->why == NULL && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    describe(worker, status, how, how_bytes);
    (void)close(worker->fd);
    *worker = (struct dxgk_worker){.fd = -1};
    return outside;
}
