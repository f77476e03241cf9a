// SPDX-License-Identifier: Apache-2.0
/* The client library: a connection's beginning and end, and how long is waited on it.
 * See client.h. */
#define LOG_ROOM "kernel-client"
#include "kernel/client_impl.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process_state.h"
#include "base/thread.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* How long the socket's sends, receives and connect wait for the other side; 0 = for ever. */
static void set_patience(int fd, unsigned ms)
{
    const struct timeval wait = {.tv_sec = ms / 1000u, .tv_usec = (ms % 1000u) * 1000u};

    /* Fails for no socket of ours: it is open and the time is legal. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

/* Not VF_UNREACHABLE: there is a kernel side, and nobody shall start another next to it. Whose it
 * is the connection knows, if there is one. */
static int no_answer(int fd, const char *socket_path, unsigned patience_ms, struct vf_error *err)
{
    char state[VF_PROCESS_STATE_BYTES];
    struct ucred peer;

    if (fd >= 0 && vf_socket_peer(fd, &peer) && peer.pid > 0)
        return vf_fail(err, VF_FAILED,
                       "kernel side at %s: did not answer within %u.%u s (pid %d: %s)" VF_REMEDY
                       "if it was stopped let it go on with \"kill -CONT %d\", then try again",
                       socket_path, patience_ms / 1000u, patience_ms % 1000u / 100u, (int)peer.pid,
                       vf_process_state(peer.pid, state, sizeof state), (int)peer.pid);
    return vf_fail(
        err, VF_FAILED,
        "kernel side at %s: did not answer within %u.%u s; it hangs or is stopped" VF_REMEDY
        "look at its process vferry-kernel and its log, then try again",
        socket_path, patience_ms / 1000u, patience_ms % 1000u / 100u);
}

int kc_dial(const char *socket_path, unsigned patience_ms, int *fd, struct vf_error *err)
{
    struct sockaddr_un address;
    cleanup_close int dir_fd = -1;
    cleanup_close int dialled = -1;
    int failed = vf_socket_address(socket_path, &address, &dir_fd);

    if (failed != 0)
        return vf_fail_errno(err, VF_UNREACHABLE, -failed, "kernel side at %s", socket_path);
    dialled = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (dialled < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a socket");
    kw_socket_prepare(dialled);
    set_patience(dialled, patience_ms); /* a full queue makes connect wait */
    if (connect(dialled, (const struct sockaddr *)&address, sizeof address) != 0)
        return errno == EAGAIN
                   ? no_answer(-1, socket_path, patience_ms, err)
                   : vf_fail_errno(err, VF_UNREACHABLE, errno, "kernel side at %s", socket_path);
    *fd = vf_take_fd(&dialled);
    return 0;
}

static int hello(struct kc *kc, const char *socket_path, unsigned patience_ms, struct vf_error *err)
{
    struct kcall_hello args = {KCALL_VERSION, KCALL_VERSION};
    struct kcall_hello_result result;
    struct kc_call call = {.op = KCALL_HELLO,
                           .what = "connect to the kernel side",
                           .in = {{&args, sizeof args}},
                           .result = &result,
                           .result_bytes = sizeof result};

    if (kc_call(kc, &call, err) != 0)
        return kc->timed_out ? no_answer(kc->fd, socket_path, patience_ms, err) : -1;
    set_patience(kc->fd, 0); /* a call takes what it takes: kc_abort or kc_set_patience ends it */
    if (result.version != KCALL_VERSION)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "kernel side at %s: it speaks call interface %u, this vferryd %u" VF_REMEDY
                       "start the vferryd that came with it",
                       socket_path, result.version, KCALL_VERSION);
    kc->connection = result.connection;
    return 0;
}

void kc_set_patience(struct kc *kc, kc_patience patience, void *ctx)
{
    vf_lock(&kc->lock);
    kc->patience = patience;
    kc->patience_ctx = ctx;
    set_patience(kc->fd, patience != NULL ? KC_STALL_MS : 0);
    vf_unlock(&kc->lock);
}

void kc_abort(struct kc *kc)
{
    /* The descriptor is constant until kc_close. It may be closed at the other end already. */
    (void)shutdown(kc->fd, SHUT_RDWR);
}

void kc_call_off(struct kc *kc)
{
    /* The kernel side sees that nothing more will come; its answer still does. */
    (void)shutdown(kc->fd, SHUT_WR);
}

int kc_connect(const char *socket_path, struct kc **out, struct vf_error *err)
{
    return kc_connect_within(socket_path, KC_PATIENCE_MS, out, err);
}

int kc_connect_within(const char *socket_path, unsigned patience_ms, struct kc **out,
                      struct vf_error *err)
{
    struct kc *kc = calloc(1, sizeof *kc);

    if (kc == NULL)
        return vf_fail(err, VF_FAILED, "connect to the kernel side: " VF_NO_MEMORY);
    kc->fd = -1;
    vf_lock_init(&kc->lock);
    if (kc_dial(socket_path, patience_ms, &kc->fd, err) != 0 ||
        hello(kc, socket_path, patience_ms, err) != 0) {
        kc_close(kc);
        return -1;
    }
    *out = kc;
    return 0;
}

void kc_close(struct kc *kc)
{
    if (kc == NULL)
        return;
    if (kc->fd >= 0)
        (void)close(kc->fd);
    vf_lock_fini(&kc->lock);
    kw_buffer_free(&kc->body);
    free(kc);
}
