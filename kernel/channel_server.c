// SPDX-License-Identifier: Apache-2.0
/*
 * A connection turned into a page channel: submissions in, completions out, pages through shared
 * memory that this file never reads. Page lists come with the message, so that a client cannot
 * change one after it was checked.
 *
 * Completions are sent by the context that completes (a DPC at DISPATCH_LEVEL), which must not
 * wait: MSG_DONTWAIT. A slot has one submission at a time, so at most 64 completions of a client
 * that keeps to the protocol are unread, less than 100 KiB of socket memory with all overhead, and
 * the socket has asked for 256 KiB. Should the host allow less, EAGAIN leaves the slot UNSENT and
 * hands it to the connection's own thread, which sends it when the socket has room.
 */
#define LOG_ROOM "channel"
#include "kernel/server_impl.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

/* So that a client that is wrong in every submission does not fill the log. */
#define MAX_LOGGED_REFUSALS 8u

/* FREE -> FLYING by the connection's thread alone; FLYING -> FREE by the completing context; FREE
 * <-> UNSENT by whoever could not, or then could, send the completion. */
enum slot_state { SLOT_FREE, SLOT_FLYING, SLOT_UNSENT };

struct slot {
    _Atomic unsigned state;
    _Atomic int32_t status; /* valid while UNSENT: stored before the state */
};

struct ks_channel {
    struct ks_conn *conn;
    struct dxgk_channel *channel;
    int wake_fd;        /* eventfd: a slot is UNSENT, or the channel is broken */
    atomic_bool broken; /* its client used a slot whose completion it had not read */
    uint32_t slots;
    uint64_t max_pages; /* in a slot */
    unsigned refusals;  /* own thread */
    struct slot slot[KCALL_MAX_SLOTS];
};

/* 0, or EAGAIN when the socket has no room. A client that is gone gets nothing, and its thread sees
 * the end itself. */
static int send_done(struct ks_channel *channel, uint32_t slot, int32_t status)
{
    struct kcall_done packet = {slot, status};

    for (;;) {
        if (send(channel->conn->fd, &packet, sizeof packet, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? EAGAIN : 0;
    }
}

/* Any context; does not wait. The slot is FREE already: the client may answer a completion with the
 * slot's next submission before send_done has returned. */
static void post(struct ks_channel *channel, uint32_t slot, int32_t status)
{
    unsigned expected = SLOT_FREE;

    if (send_done(channel, slot, status) == 0)
        return;
    atomic_store(&channel->slot[slot].status, status);
    if (!atomic_compare_exchange_strong(&channel->slot[slot].state, &expected, SLOT_UNSENT))
        atomic_store(&channel->broken, true);
    (void)eventfd_write(channel->wake_fd, 1);
}

static void done(void *ctx, uint64_t cookie, int status)
{
    struct ks_channel *channel = ctx;

    atomic_store(&channel->slot[cookie].state, SLOT_FREE);
    post(channel, (uint32_t)cookie, status);
}

/* ---- opening ---- */

/* A client that could shrink the memory would make the paging engine fault. */
static int seal(int memfd, struct vf_error *err)
{
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW;
    int seals = fcntl(memfd, F_GET_SEALS);

    if (seals >= 0 && (seals & needed) == needed)
        return 0;
    if (fcntl(memfd, F_ADD_SEALS, needed | F_SEAL_SEAL) != 0)
        return vf_fail_errno(
            err, VF_FAILED, errno,
            "page channel: its memory cannot be sealed (memfd without MFD_ALLOW_SEALING)");
    return 0;
}

/* *page_bytes = what its lists count in. */
static int check_shape(const struct ks_call *call, uint64_t *page_bytes, struct vf_error *err)
{
    const struct kcall_channel_open *args = call->args;
    struct vf_partition_info info;

    if (args->slots == 0 || args->slots > KCALL_MAX_SLOTS)
        return vf_fail(err, VF_USAGE, "page channel: 1 to %u slots", KCALL_MAX_SLOTS);
    if (args->slot_bytes == 0 || args->slot_bytes > KCALL_MAX_SLOT_BYTES)
        return vf_fail(err, VF_USAGE, "page channel: a slot has at most %u bytes",
                       KCALL_MAX_SLOT_BYTES);
    if (dxgk_partition_info(call->server->dxgk, args->id, &info, err) != 0)
        return -1;
    *page_bytes = args->page_bytes != 0 ? args->page_bytes : info.page_bytes;
    if (*page_bytes < KCALL_MIN_PAGE || args->slot_bytes % *page_bytes != 0)
        return vf_fail(err, VF_USAGE,
                       "page channel: slots of %" PRIu64
                       " bytes are no multiple of pages of %" PRIu64,
                       args->slot_bytes, *page_bytes);
    return 0;
}

static void claim(struct ks_conn *conn, uint64_t partition)
{
    vf_lock(&conn->server->lock);
    conn->channel_of = partition;
    if (partition == 0)
        vf_cond_broadcast(&conn->server->changed);
    vf_unlock(&conn->server->lock);
}

VF_CLEANUP(struct ks_channel, ks_channel_close)

int ks_channel_open(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_channel_open *args = call->args;
    struct dxgk_channel_config config = {
        .slots = args->slots, .slot_bytes = args->slot_bytes, .done = done};
    cleanup_with(ks_channel_close) struct ks_channel *channel = NULL;
    struct kcall_channel_result *result;
    int memfd = -1;

    if (check_shape(call, &config.page_bytes, err) != 0)
        return -1;
    result = ks_result(call, sizeof *result, err);
    if (result == NULL)
        return -1;
    channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return vf_fail(err, VF_FAILED, "page channel of the kernel side: " VF_NO_MEMORY);
    channel->conn = call->conn;
    channel->slots = args->slots;
    channel->max_pages = args->slot_bytes / config.page_bytes;
    channel->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    config.ctx = channel;
    if (channel->wake_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "page channel: make an eventfd");
    if (dxgk_channel_open(call->server->dxgk, args->id, &config, &channel->channel, &memfd, err) !=
        0) {
        channel->channel = NULL;
        return -1;
    }
    if (seal(memfd, err) != 0)
        return -1;
    *result = (struct kcall_channel_result){args->slot_bytes, config.page_bytes, args->slots, 0};
    claim(call->conn, args->id);
    (void)vf_fsm_set(&call->conn->state, KS_CHANNEL, "channel opened");
    call->pass_fd = memfd;
    call->channel = vf_take_ptr(channel);
    return 0;
}

void ks_channel_close(struct ks_channel *channel)
{
    if (channel == NULL)
        return;
    if (channel->channel != NULL)
        dxgk_channel_close(channel->channel);
    claim(channel->conn, 0);
    if (channel->wake_fd >= 0)
        (void)close(channel->wake_fd);
    free(channel);
}

/* ---- serving ---- */

static void refuse(struct ks_channel *channel, uint32_t slot, int32_t status, const char *why)
{
    if (channel->refusals++ < MAX_LOGGED_REFUSALS)
        log_warn("%s: slot %" PRIu32 ": %s", channel->conn->state.id, slot, why);
    post(channel, slot, status);
}

static void start_transfer(struct ks_channel *channel, const struct kcall_submit *submit)
{
    static const enum dxgk_transfer transfers[] = {[KC_GATHER] = DXGK_GATHER,
                                                   [KC_SCATTER] = DXGK_SCATTER,
                                                   [KC_ZERO] = DXGK_ZERO,
                                                   [KC_SCATTER_READ] = DXGK_SCATTER_READ};
    const uint64_t *pages = (const uint64_t *)(const void *)(submit + 1);
    struct vf_error err = VF_ERROR_INIT;

    if (submit->transfer >= sizeof transfers / sizeof transfers[0]) {
        refuse(channel, submit->slot, -EINVAL, "unknown transfer");
    } else if (submit->count == 0 || submit->count > channel->max_pages) {
        refuse(channel, submit->slot, -EINVAL, "no pages, or more than the slot holds");
    } else {
        /* FLYING before the submission: it may complete before the call returns. */
        atomic_store(&channel->slot[submit->slot].state, SLOT_FLYING);
        if (dxgk_channel_submit(channel->channel, transfers[submit->transfer], submit->slot, pages,
                                submit->count, submit->slot, &err) != 0) {
            atomic_store(&channel->slot[submit->slot].state, SLOT_FREE);
            refuse(channel, submit->slot, err.code == VF_USAGE ? -EINVAL : -EIO, err.text);
        }
    }
}

/* Takes one submission. NULL, or why the connection must end: without a free slot there is no
 * completion to answer with. */
static const char *take_submission(struct ks_channel *channel)
{
    struct ks_conn *conn = channel->conn;
    const struct kcall_submit *submit;
    struct kcall_head head;
    size_t have;
    int failed = kw_recv_head(conn->fd, KCALL_MAGIC_CALL, &head, &conn->in, &have, NULL);

    if (failed != 0)
        return failed == -EPROTO ? "broken framing" : "client gone";
    submit = (const struct kcall_submit *)(const void *)conn->in.data;
    if (head.op != KCALL_SUBMIT || have != head.body_bytes || have < sizeof *submit ||
        have - sizeof *submit != (uint64_t)submit->count * sizeof(uint64_t))
        return "broken submission";
    if (submit->slot >= channel->slots)
        return "no such slot";
    if (atomic_load(&channel->slot[submit->slot].state) != SLOT_FREE)
        return "slot submitted twice";
    start_transfer(channel, submit);
    return NULL;
}

/* Sends what the completing contexts could not; true when something is still left. */
static bool send_unsent(struct ks_channel *channel)
{
    for (uint32_t i = 0; i < channel->slots; i++) {
        struct slot *slot = &channel->slot[i];

        if (atomic_load(&slot->state) != SLOT_UNSENT)
            continue;
        /* FREE first, as in post; only this thread starts transfers, so nothing happens to the slot
         * in between. */
        atomic_store(&slot->state, SLOT_FREE);
        if (send_done(channel, i, atomic_load(&slot->status)) != 0) {
            atomic_store(&slot->state, SLOT_UNSENT);
            return true;
        }
    }
    return false;
}

void ks_channel_serve(struct ks_channel *channel)
{
    const char *end = NULL;
    bool unsent = false;

    while (end == NULL) {
        struct pollfd fds[2] = {
            {.fd = channel->conn->fd, .events = (short)(POLLIN | (unsent ? POLLOUT : 0))},
            {.fd = channel->wake_fd, .events = POLLIN},
        };
        eventfd_t count;

        if (poll(fds, 2, -1) < 0) {
            end = errno == EINTR ? NULL : "poll failed";
            continue;
        }
        if ((fds[1].revents & POLLIN) != 0)
            (void)eventfd_read(channel->wake_fd, &count);
        if (unsent || (fds[1].revents & POLLIN) != 0)
            unsent = send_unsent(channel);
        if (atomic_load(&channel->broken))
            end = "slot submitted before its completion was read";
        else if ((fds[0].revents & (POLLHUP | POLLERR)) != 0)
            end = "client gone"; /* what it still had submitted is of no use to anyone */
        else if ((fds[0].revents & POLLIN) != 0)
            end = take_submission(channel);
    }
    log_debug("%s: page channel ends: %s", channel->conn->state.id, end);
    /* A client that is still there learns now; what is in flight is waited for afterwards
     * and dropped. */
    (void)shutdown(channel->conn->fd, SHUT_RDWR);
}
