// SPDX-License-Identifier: Apache-2.0
/*
 * The target's lanes. A frame passes through three stages, several frames at a time:
 *
 *   FREE -> WRITING (SCATTER or ZERO in flight) -> READING (GATHER into a second slot in flight) ->
 * FREE, digest known
 *
 * The read-back goes to another slot than the payload came in, so that a transfer that did nothing
 * cannot pass for one that did.
 */
#define LOG_ROOM "migrate"
#include "migrate/lane.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum stage { STAGE_FREE, STAGE_WRITING, STAGE_READING };

/* Work item i owns the channel's slots 2i (payload, zero) and 2i + 1 (read-back). */
struct item {
    enum stage stage;
    uint32_t pending; /* transfers in flight for this stage */
    uint32_t count;
    uint64_t pages[WIRE_FRAME_PAGES]; /* without the zero mark */
    uint64_t digests[WIRE_FRAME_PAGES];
};

struct receiver {
    struct lane_target *lane;
    uint32_t items;
    uint32_t busy;
    uint64_t sequence;
    uint64_t frames, pages; /* of the present round */
    struct wire_frame frame;
    uint64_t list[WIRE_FRAME_PAGES];
    struct item item[LANE_SLOTS];
};

static int read_back(struct receiver *r, uint32_t index, struct vf_error *err)
{
    struct item *item = &r->item[index];

    item->stage = STAGE_READING;
    item->pending = 1;
    return kc_channel_submit(r->lane->channel, KC_GATHER, 2 * index + 1, item->pages, item->count,
                             err);
}

static int prove(struct receiver *r, uint32_t index, struct vf_error *err)
{
    struct item *item = &r->item[index];
    uint64_t page_bytes = r->lane->plan->geometry.page_bytes;
    const uint8_t *data = kc_channel_slot(r->lane->channel, 2 * index + 1);

    for (uint32_t i = 0; i < item->count; i++) {
        const uint8_t *page = data + i * page_bytes;
        uint64_t digest = digest_is_zero_page(page, page_bytes) ? digest_table_zero(r->lane->table)
                                                                : digest_page(page, page_bytes);

        if (digest != item->digests[i])
            return vf_fail(
                err, VF_FAILED,
                "page %llu: its digest in the target's VRAM is not the one the source announced",
                (unsigned long long)item->pages[i]);
        digest_set(r->lane->table, item->pages[i], digest);
    }
    item->stage = STAGE_FREE;
    r->busy--;
    return 0;
}

/* One completion moves one item on. */
static int advance(struct receiver *r, const struct kc_done *done, struct vf_error *err)
{
    uint32_t index = done->slot / 2;
    struct item *item;

    if (index >= r->items)
        return vf_fail(err, VF_FAILED, "page channel: completion for slot %u that is not ours",
                       done->slot);
    item = &r->item[index];
    if (--item->pending > 0)
        return 0;
    if (item->stage == STAGE_WRITING)
        return read_back(r, index, err);
    return prove(r, index, err);
}

static int wait_one(struct receiver *r, struct vf_error *err)
{
    struct kc_done done;

    return lane_wait(r->lane->channel, r->lane->tp, &done, err) != 0 ? -1 : advance(r, &done, err);
}

/* An item that is free, after waiting for one if need be. */
static int free_item(struct receiver *r, uint32_t *index, struct vf_error *err)
{
    for (;;) {
        for (uint32_t i = 0; i < r->items; i++) {
            if (r->item[i].stage == STAGE_FREE) {
                *index = i;
                return 0;
            }
        }
        if (wait_one(r, err) != 0)
            return -1;
    }
}

/* Sends the frame's pages to VRAM: payload pages from slot 2i; zero pages by a fill, unless they
 * are zero already. */
static int write_pages(struct receiver *r, uint32_t index, struct vf_error *err)
{
    struct wire_frame *frame = &r->frame;
    struct item *item = &r->item[index];
    uint32_t payload = 0;
    uint32_t zeros = 0;

    item->count = 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        uint64_t page = frame->pages[i] & ~WIRE_PAGE_ZERO;
        bool zero = (frame->pages[i] & WIRE_PAGE_ZERO) != 0;

        if (zero && frame->digests[i] != digest_table_zero(r->lane->table))
            return vf_fail(err, VF_FAILED,
                           "page %llu: announced as zero with the digest of something else",
                           (unsigned long long)page);
        if (zero && digest_get(r->lane->table, page) == digest_table_zero(r->lane->table))
            continue; /* never written here, or proven zero: the reserve began zero-filled (VF-2) */
        if (zero)
            r->list[WIRE_FRAME_PAGES - ++zeros] = page;
        else
            r->list[payload++] = page;
        item->pages[item->count] = page;
        item->digests[item->count++] = frame->digests[i];
    }
    item->pending = (payload > 0 ? 1u : 0u) + (zeros > 0 ? 1u : 0u);
    if (item->pending == 0)
        return 0;
    item->stage = STAGE_WRITING;
    r->busy++;
    if (zeros > 0 && kc_channel_submit(r->lane->channel, KC_ZERO, 2 * index + 1,
                                       &r->list[WIRE_FRAME_PAGES - zeros], zeros, err) != 0)
        return -1;
    if (payload > 0 &&
        kc_channel_submit(r->lane->channel, KC_SCATTER, 2 * index, r->list, payload, err) != 0)
        return -1;
    return 0;
}

static int take_frame(struct receiver *r, const struct wire_header *header, struct vf_error *err)
{
    const struct lane_plan *plan = r->lane->plan;
    struct lane_feed own;
    uint32_t index;

    if (free_item(r, &index, err) != 0 ||
        wire_recv_frame_head(r->lane->tp, header, &r->frame, &plan->geometry, TP_NEVER, err) != 0 ||
        wire_recv_frame_payload(r->lane->tp, &r->frame,
                                kc_channel_slot(r->lane->channel, 2 * index), &plan->geometry,
                                TP_NEVER, err) != 0)
        return -1;
    if (memcmp(r->frame.job, plan->job, sizeof plan->job) != 0 || r->frame.epoch != plan->epoch ||
        r->frame.sequence != r->sequence || r->frame.round != atomic_load(&r->lane->rounds))
        return vf_fail(err, VF_FAILED,
                       "lane %u: a frame of another job, epoch, round or place in the stream",
                       r->lane->index);
    lane_feed_init(&own, plan, r->lane->index, NULL);
    for (uint32_t i = 0; i < r->frame.count; i++) {
        /* A page on a foreign lane could overtake its newer self. */
        if ((r->frame.pages[i] & ~WIRE_PAGE_ZERO) / own.group_pages % own.count != own.index)
            return vf_fail(err, VF_FAILED, "lane %u: page %llu belongs to another stream",
                           r->lane->index,
                           (unsigned long long)(r->frame.pages[i] & ~WIRE_PAGE_ZERO));
    }
    r->sequence++;
    r->frames++;
    r->pages += r->frame.count;
    return write_pages(r, index, err);
}

static int end_round(struct receiver *r, const struct wire_message *end, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK};

    while (r->busy > 0) {
        if (wait_one(r, err) != 0)
            return -1;
    }
    if (end->count.round != atomic_load(&r->lane->rounds) || end->count.frames != r->frames ||
        end->count.pages != r->pages)
        return vf_fail(err, VF_FAILED, "lane %u: round %u lost frames on the way", r->lane->index,
                       end->count.round);
    ack.count = end->count;
    r->frames = 0;
    r->pages = 0;
    /* Before the ACK: STATE may follow on the control connection as soon as the source has it. */
    (void)atomic_fetch_add(&r->lane->rounds, 1u);
    return wire_say(r->lane->tp, &ack, TP_NEVER, err);
}

static int rehash(struct receiver *r, const struct wire_message *ask, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK, .count = {.round = ask->rehash.round}};

    if (r->busy > 0 || r->frames > 0 || atomic_load(&r->lane->rehashed))
        return vf_fail(err, VF_FAILED,
                       "lane %u: asked to rehash in the middle of a round, or twice",
                       r->lane->index);
    if (lane_rehash(r->lane->channel, r->lane->tp, r->lane->plan, r->lane->index, r->lane->table,
                    "differs in the target's VRAM from what was received", err) != 0)
        return -1;
    atomic_store(&r->lane->rehashed, true);
    return wire_say(r->lane->tp, &ack, TP_NEVER, err);
}

/* Until a record begins on the stream; completions go on meanwhile. Between rounds a data stream
 * may be quiet for long: the control connection's pings tell whether the peer lives. */
static int wait_record(struct receiver *r, struct vf_error *err)
{
    struct kc_channel *channel = r->lane->channel;
    struct tp *tp = r->lane->tp;

    for (;;) {
        struct pollfd fds[3] = {{.fd = tp_fd(tp), .events = POLLIN},
                                {.fd = kc_channel_fd(channel), .events = POLLIN},
                                {.fd = tp->abort_fd, .events = POLLIN}};
        struct kc_done done;
        int got = kc_channel_wait(channel, 0, &done, err);

        if (got < 0)
            return -1;
        if (got > 0) {
            if (done.status != 0)
                return vf_fail_errno(err, VF_FAILED, -done.status,
                                     "page channel: the paging engine failed a transfer");
            if (advance(r, &done, err) != 0)
                return -1;
            continue;
        }
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "data stream");
        if ((fds[2].revents & POLLIN) != 0)
            return vf_fail(err, VF_CANCELLED, "stopped");
        if (fds[0].revents != 0)
            return 0;
    }
}

static int serve(struct receiver *r, struct vf_error *err)
{
    for (;;) {
        struct wire_header header;
        struct wire_message message;
        int result;

        if (wait_record(r, err) != 0 || wire_recv_header(r->lane->tp, &header, TP_NEVER, err) != 0)
            return -1;
        if (header.tag == WIRE_PAGES) {
            if (take_frame(r, &header, err) != 0)
                return -1;
            continue;
        }
        if (wire_hear_body(r->lane->tp, &header, &message, TP_NEVER, err) != 0)
            return -1;
        if (message.tag == WIRE_ROUND_END)
            result = end_round(r, &message, err);
        else if (message.tag == WIRE_REHASH)
            result = rehash(r, &message, err);
        else
            result = vf_fail(err, VF_FAILED, "lane %u: %s on a data stream", r->lane->index,
                             wire_tag_name(message.tag));
        wire_message_free(&message);
        if (result != 0)
            return -1;
    }
}

static void *lane_loop(void *arg)
{
    struct lane_target *lane = arg;
    struct receiver *receiver = calloc(1, sizeof *receiver);
    struct vf_error err = VF_ERROR_INIT;

    (void)prctl(PR_SET_NAME, "lane-in");
    if (receiver == NULL) {
        vf_fail(&err, VF_FAILED, "lane %u: out of memory", lane->index);
    } else {
        receiver->lane = lane;
        receiver->items = lane_slots(lane->plan) / 2;
        (void)serve(receiver, &err);
    }
    free(receiver);
    lane->failed(lane->ctx, &err, tp_lost(lane->tp));
    return NULL;
}

int lane_target_start(struct lane_target *lane, struct vf_error *err)
{
    uint32_t items = lane_slots(lane->plan) / 2;

    tp_set_silence(lane->tp, lane->plan->silence_ns);
    if (kc_channel_open(lane->plan->kernel_socket, lane->plan->partition, 2 * items,
                        lane->plan->geometry.slot_bytes, &lane->channel, err) != 0)
        return -1;
    if (pthread_create(&lane->thread, NULL, lane_loop, lane) != 0)
        return vf_fail(err, VF_FAILED, "lane %u: no thread to be had", lane->index);
    lane->started = true;
    return 0;
}

void lane_target_abort(struct lane_target *lane)
{
    if (lane->tp != NULL)
        tp_abort(lane->tp);
}

void lane_target_stop(struct lane_target *lane)
{
    lane_target_abort(lane);
    if (lane->started)
        (void)pthread_join(lane->thread, NULL);
    if (lane->channel != NULL)
        kc_channel_close(lane->channel);
    tp_close(lane->tp);
    memset(lane, 0, sizeof *lane);
}
