// SPDX-License-Identifier: Apache-2.0
/* The target's lanes: frames off a stream, round by round; what becomes of a frame is
 * page_sink.h's.
 */
#define LOG_ROOM "migrate"
#include "migrate/stream/page_sink.h"

#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* What a lane takes in; on the heap, the receiver is large. */
struct intake {
    struct lane_target *lane;
    uint64_t sequence;
    uint64_t frames, pages; /* of the present round */
    struct receiver receiver;
};

static int take_frame(struct intake *in, const struct wire_header *header, struct vf_error *err)
{
    const struct lane_plan *plan = in->lane->plan;
    struct wire_frame *frame = &in->receiver.frame;
    struct lane_feed own;
    uint32_t index;

    if (receiver_room(&in->receiver, &index, err) != 0 ||
        wire_recv_frame_head(in->lane->tp, header, frame, &plan->geometry, TP_NEVER, err) != 0 ||
        wire_recv_frame_payload(in->lane->tp, frame, receiver_slot(&in->receiver, index),
                                &plan->geometry, TP_NEVER, err) != 0)
        return -1;
    if (memcmp(frame->job, plan->job, sizeof plan->job) != 0 || frame->epoch != plan->epoch ||
        frame->generation != plan->generation || frame->sequence != in->sequence ||
        frame->round != atomic_load(&in->lane->rounds))
        return vf_fail(err, VF_FAILED,
                       "lane %u: a frame of another job, epoch, generation, round or place in the "
                       "stream",
                       in->lane->index);
    lane_feed_init(&own, plan, in->lane->index, NULL);
    for (uint32_t i = 0; i < frame->count; i++) {
        /* A page on a foreign lane could overtake its newer self. */
        if ((frame->pages[i] & ~WIRE_PAGE_ZERO) / own.group_pages % own.count != own.index)
            return vf_fail(err, VF_FAILED, "lane %u: page %llu belongs to another stream",
                           in->lane->index,
                           (unsigned long long)(frame->pages[i] & ~WIRE_PAGE_ZERO));
    }
    in->sequence++;
    (void)atomic_fetch_add(&in->lane->job->taken, 1);
    in->frames++;
    in->pages += frame->count;
    job_received(in->lane->job, frame->round, WIRE_HEADER_BYTES + header->length, frame->count);
    /* No page comes twice in a round: with the cap on rounds that bounds what a source can ask for.
     */
    if (in->pages > plan->geometry.pages_total)
        return vf_fail(err, VF_FAILED, "lane %u: more pages in a round than the partition has",
                       in->lane->index);
    return receiver_write(&in->receiver, index, err);
}

static int end_round(struct intake *in, const struct wire_message *end, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK};

    if (receiver_drain(&in->receiver, err) != 0)
        return -1;
    if (end->count.round != atomic_load(&in->lane->rounds) || end->count.frames != in->frames ||
        end->count.pages != in->pages)
        return vf_fail(err, VF_FAILED, "lane %u: round %u lost frames on the way", in->lane->index,
                       end->count.round);
    ack.count = end->count;
    in->frames = 0;
    in->pages = 0;
    /* Before the ACK: STATE may follow on the control connection as soon as the source has it. */
    (void)atomic_fetch_add(&in->lane->rounds, 1u);
    return wire_say(in->lane->tp, &ack, TP_NEVER, err);
}

static int rehash(struct intake *in, const struct wire_message *ask, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK, .count = {.round = ask->rehash.round}};

    if (in->receiver.busy > 0 || in->frames > 0 || atomic_load(&in->lane->rehashed))
        return vf_fail(err, VF_FAILED,
                       "lane %u: asked to rehash in the middle of a round, or twice",
                       in->lane->index);
    if (lane_rehash(in->lane->channel, in->lane->tp, in->lane->plan, in->lane->index,
                    in->lane->table, "differs in the target's VRAM from what was received",
                    err) != 0)
        return -1;
    atomic_store(&in->lane->rehashed, true);
    return wire_say(in->lane->tp, &ack, TP_NEVER, err);
}

/* Until a record begins on the stream; completions go on meanwhile. Between rounds a data stream
 * may be quiet for long: the control connection's pings tell whether the peer lives. */
static int wait_record(struct intake *in, struct vf_error *err)
{
    struct kc_channel *channel = in->lane->channel;
    struct tp *tp = in->lane->tp;

    for (;;) {
        struct pollfd fds[3] = {{.fd = tp_fd(tp)},
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
            if (receiver_advance(&in->receiver, &done, err) != 0)
                return -1;
            continue;
        }
        fds[0].events = tp_poll_events(tp);
        if (fds[0].events == 0)
            return 0;
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "data stream");
        if ((fds[2].revents & POLLIN) != 0)
            return vf_fail(err, VF_CANCELLED, "stopped");
        if (fds[0].revents != 0)
            return 0;
    }
}

static int serve(struct intake *in, struct vf_error *err)
{
    for (;;) {
        struct wire_header header;
        struct wire_message message;
        int result;

        if (wait_record(in, err) != 0 ||
            wire_recv_header(in->lane->tp, &header, TP_NEVER, err) != 0)
            return -1;
        if (header.tag == WIRE_PAGES) {
            if (take_frame(in, &header, err) != 0)
                return -1;
            continue;
        }
        if (wire_hear_body(in->lane->tp, &header, &message, TP_NEVER, err) != 0)
            return -1;
        if (message.tag == WIRE_ROUND_END)
            result = end_round(in, &message, err);
        else if (message.tag == WIRE_REHASH)
            result = rehash(in, &message, err);
        else
            result = vf_fail(err, VF_FAILED, "lane %u: %s on a data stream", in->lane->index,
                             wire_tag_name(message.tag));
        wire_message_free(&message);
        if (result != 0)
            return -1;
    }
}

/* What is on its way to VRAM lands, whoever is gone: the table must tell of it to a source that
 * comes back. */
static void land(struct intake *in, const struct vf_error *ended)
{
    struct lane_target *lane = in->lane;

    lane->unproven = !tp_lost(lane->tp) && ended->code != VF_CANCELLED;
    lane->why = *ended;
    in->receiver.tp = NULL;
    if (!lane->unproven && receiver_drain(&in->receiver, &lane->why) != 0)
        lane->unproven = true;
}

static void *lane_loop(void *arg)
{
    struct lane_target *lane = arg;
    struct intake *in = calloc(1, sizeof *in);
    struct vf_error err = VF_ERROR_INIT;

    (void)prctl(PR_SET_NAME, "lane-in");
    if (in == NULL) {
        vf_fail(&err, VF_FAILED, "lane %u: out of memory", lane->index);
        lane->unproven = true;
        lane->why = err;
    } else {
        in->lane = lane;
        in->receiver.channel = lane->channel;
        in->receiver.tp = lane->tp;
        in->receiver.plan = lane->plan;
        in->receiver.table = lane->table;
        in->receiver.items = receiver_items(lane->plan);
        (void)serve(in, &err);
        land(in, &err);
    }
    free(in);
    lane->failed(lane->ctx, &err, tp_lost(lane->tp));
    return NULL;
}

int lane_target_start(struct lane_target *lane, struct vf_error *err)
{
    uint32_t items = receiver_items(lane->plan);

    tp_set_silence(lane->tp, lane->plan->silence_ns);
    if (kc_channel_open(lane->plan->kernel_socket, lane->plan->partition, 2 * items,
                        lane->plan->geometry.slot_bytes, &lane->channel, err) != 0)
        return -1;
    if (pthread_create(&lane->thread, NULL, lane_loop, lane) != 0)
        return vf_fail(err, VF_FAILED, "lane %u: " VF_NO_THREAD, lane->index);
    lane->started = true;
    return 0;
}

void lane_target_abort(struct lane_target *lane)
{
    if (lane->tp != NULL)
        tp_abort(lane->tp);
}

int lane_target_stop(struct lane_target *lane, struct vf_error *err)
{
    bool unproven;

    lane_target_abort(lane);
    if (lane->started)
        (void)pthread_join(lane->thread, NULL);
    if (lane->channel != NULL)
        kc_channel_close(lane->channel);
    tp_close(lane->tp);
    unproven = lane->unproven;
    if (unproven)
        *err = lane->why;
    memset(lane, 0, sizeof *lane);
    return unproven ? -1 : 0;
}
