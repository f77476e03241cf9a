// SPDX-License-Identifier: Apache-2.0
/* The client library: page channels. See client.h, and call.h for what crosses the line. */
#include "kernel/client_impl.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct kc_channel {
    struct kc *kc; /* its connection; no calls after the opening one */
    unsigned char *ring;
    size_t ring_bytes;
    uint64_t slot_bytes;
    uint64_t max_pages; /* in a slot */
    uint32_t slots;
    uint64_t flying; /* bit s: slot s is submitted and its completion not yet read */
    uint32_t tag;
    uint64_t *message; /* room for a submission with max_pages pages */
};

static int map_ring(struct kc_channel *channel, int memfd, struct vf_error *err)
{
    struct stat about;
    size_t bytes = (size_t)channel->slots * channel->slot_bytes;

    if (memfd == -EMFILE)
        return vf_fail_errno(err, VF_FAILED, EMFILE, "page channel: its memory cannot be taken");
    /* Memory that ends early would end this process at the first touch. */
    if (memfd < 0 || fstat(memfd, &about) != 0 || about.st_size < 0 ||
        (uint64_t)about.st_size < bytes)
        return vf_fail(err, VF_FAILED,
                       "page channel: the kernel side gave none that holds it" VF_REMEDY
                       "restart the host");
    channel->ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (channel->ring == MAP_FAILED) {
        channel->ring = NULL;
        return vf_fail_errno(err, VF_FAILED, errno, "page channel: map %zu bytes", bytes);
    }
    channel->ring_bytes = bytes;
    return 0;
}

static int open_call(struct kc_channel *channel, uint64_t id, uint32_t slots, uint64_t slot_bytes,
                     uint64_t page_bytes, struct vf_error *err)
{
    struct kcall_channel_open args = {
        .id = id, .slot_bytes = slot_bytes, .page_bytes = page_bytes, .slots = slots};
    struct kcall_channel_result result;
    cleanup_close int memfd = -1;
    struct kc_call call = {.op = KCALL_CHANNEL_OPEN,
                           .what = "open page channel",
                           .in = {{&args, sizeof args}},
                           .result = &result,
                           .result_bytes = sizeof result,
                           .passed_fd = &memfd};

    if (kc_call(channel->kc, &call, err) != 0)
        return -1;
    if (result.slots != slots || result.slot_bytes != slot_bytes || slots == 0 ||
        slots > KCALL_MAX_SLOTS || slot_bytes > KCALL_MAX_SLOT_BYTES ||
        result.page_bytes < KCALL_MIN_PAGE || (page_bytes != 0 && result.page_bytes != page_bytes))
        return vf_fail(
            err, VF_FAILED,
            "page channel: the kernel side opened another one than asked for; restart the host");
    channel->slots = slots;
    channel->slot_bytes = slot_bytes;
    channel->max_pages = slot_bytes / result.page_bytes;
    return map_ring(channel, memfd, err);
}

VF_CLEANUP(struct kc_channel, kc_channel_close)

int kc_channel_open(const char *socket_path, uint64_t id, uint32_t slots, uint64_t slot_bytes,
                    uint64_t page_bytes, struct kc_channel **out, struct vf_error *err)
{
    cleanup_with(kc_channel_close) struct kc_channel *channel = calloc(1, sizeof *channel);

    if (channel == NULL)
        return vf_fail(err, VF_FAILED, "page channel: " VF_NO_MEMORY);
    if (kc_connect(socket_path, &channel->kc, err) != 0 ||
        open_call(channel, id, slots, slot_bytes, page_bytes, err) != 0)
        return -1;
    channel->message =
        calloc(1, sizeof(struct kcall_submit) + channel->max_pages * sizeof(uint64_t));
    if (channel->message == NULL)
        return vf_fail(err, VF_FAILED, "page channel: " VF_NO_MEMORY);
    *out = vf_take_ptr(channel);
    return 0;
}

void kc_channel_close(struct kc_channel *channel)
{
    if (channel == NULL)
        return;
    kc_close(channel->kc);
    if (channel->ring != NULL)
        (void)munmap(channel->ring, channel->ring_bytes);
    free(channel->message);
    free(channel);
}

void *kc_channel_slot(struct kc_channel *channel, uint32_t slot)
{
    return slot < channel->slots ? channel->ring + slot * channel->slot_bytes : NULL;
}

int kc_channel_submit(struct kc_channel *channel, enum kc_transfer op, uint32_t slot,
                      const uint64_t *pages, uint32_t count, struct vf_error *err)
{
    struct kcall_submit *submit = (struct kcall_submit *)(void *)channel->message;
    struct kcall_head head = {.magic = KCALL_MAGIC_CALL, .op = KCALL_SUBMIT};
    int failed;

    if (slot >= channel->slots || count == 0 || count > channel->max_pages)
        return vf_fail(err, VF_USAGE,
                       "page transfer: slot %" PRIu32 " of %" PRIu32 ", %" PRIu32
                       " pages of at most %" PRIu64,
                       slot, channel->slots, count, channel->max_pages);
    if ((channel->flying & (1ull << slot)) != 0)
        return vf_fail(err, VF_USAGE, "page transfer: slot %" PRIu32 " is still in flight", slot);
    *submit = (struct kcall_submit){(uint32_t)op, slot, count, 0};
    memcpy(submit + 1, pages, count * sizeof *pages);
    head.tag = ++channel->tag;
    head.body_bytes = (uint32_t)(sizeof *submit + count * sizeof *pages);
    failed = kw_send(channel->kc->fd, &head, submit, -1);
    if (failed == -EPIPE)
        return vf_fail(err, VF_FAILED, "page transfer: " KC_GONE);
    if (failed != 0)
        return vf_fail_errno(err, VF_FAILED, -failed, "page transfer");
    channel->flying |= 1ull << slot;
    return 0;
}

/* 1 = *out filled, 0 = nothing there yet, -1 = error. */
static int take_done(struct kc_channel *channel, struct kc_done *out, struct vf_error *err)
{
    struct kcall_done packet;
    ssize_t got;

    do {
        got = recv(channel->kc->fd, &packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);
    } while (got < 0 &&
             (errno == EINTR || errno == ECONNRESET)); /* told once; completions may still follow */
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return vf_fail(err, VF_FAILED, "page transfer: " KC_GONE);
    if (got != (ssize_t)sizeof packet || packet.slot >= channel->slots ||
        (channel->flying & (1ull << packet.slot)) == 0)
        return vf_fail(err, VF_FAILED,
                       "page transfer: the kernel side broke the call protocol; restart the host");
    channel->flying &= ~(1ull << packet.slot);
    *out = (struct kc_done){packet.slot, packet.status};
    return 1;
}

int kc_channel_wait(struct kc_channel *channel, int timeout_ms, struct kc_done *out,
                    struct vf_error *err)
{
    uint64_t end = vf_now_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000u : 0);

    for (;;) {
        struct pollfd look = {.fd = channel->kc->fd, .events = POLLIN};
        int wait_ms = timeout_ms;
        int taken = take_done(channel, out, err);
        uint64_t now;

        if (taken != 0 || timeout_ms == 0)
            return taken;
        if (timeout_ms > 0) {
            now = vf_now_ns();
            if (now >= end)
                return 0;
            wait_ms = (int)((end - now + 999999u) / 1000000u);
        }
        if (poll(&look, 1, wait_ms) < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "page transfer: wait");
    }
}

int kc_channel_fd(const struct kc_channel *channel)
{
    return channel->kc->fd;
}
