// SPDX-License-Identifier: Apache-2.0
/* The target's streams: frames off a connection, round by round; what becomes of a frame
 * is page_sink.h's. */
#define LOG_ROOM "migrate"
#include "migrate/stream/page_sink.h"
#include "migrate/pack/frames.h"

#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* What a stream takes in; on the heap, a page sink is large. */
struct intake {
    struct receive_stream *stream;
    uint64_t sequence;
    uint64_t frames, pages; /* of the present round */
    struct frames_in in;
    struct page_sink sink;
};

static int take_frame(struct intake *in, const struct wire_header *header, struct vf_error *err)
{
    const struct stream_plan *plan = in->stream->plan;
    struct wire_frame *frame = &in->sink.frame;
    struct wire_packed packed;
    struct stream_feed own;
    uint32_t index;

    if (page_sink_room(&in->sink, &index, err) != 0 ||
        wire_recv_frame_head(in->stream->tp, header, frame, &packed, &plan->geometry, TP_NEVER,
                             err) != 0 ||
        frames_in_take(&in->in, in->stream->tp, frame, &packed, page_sink_slot(&in->sink, index),
                       &plan->geometry, err) != 0)
        return -1;
    if (memcmp(frame->job, plan->job, sizeof plan->job) != 0 || frame->epoch != plan->epoch ||
        frame->generation != plan->generation || frame->sequence != in->sequence ||
        frame->round != atomic_load(&in->stream->rounds))
        return vf_fail(
            err, VF_FAILED,
            "data stream %u: a frame of another job, epoch, generation, round or place in the "
            "stream",
            in->stream->index);
    stream_feed_init(&own, plan, in->stream->index, NULL);
    for (uint32_t i = 0; i < frame->count; i++) {
        /* A page on a foreign stream could overtake its newer self. */
        if ((frame->pages[i] & ~WIRE_PAGE_ZERO) / own.group_pages % own.count != own.index)
            return vf_fail(err, VF_FAILED,
                           "data stream %u: page %" PRIu64 " belongs to another stream",
                           in->stream->index, (uint64_t)(frame->pages[i] & ~WIRE_PAGE_ZERO));
    }
    in->sequence++;
    (void)atomic_fetch_add(&in->stream->job->taken, 1);
    in->frames++;
    in->pages += frame->count;
    job_received(in->stream->job, frame->round, WIRE_HEADER_BYTES + header->length, frame->count);
    /* No page comes twice in a round: with the cap on rounds that bounds what a source can
     * ask for. */
    if (in->pages > plan->geometry.pages_total)
        return vf_fail(err, VF_FAILED,
                       "data stream %u: more pages in a round than the partition has",
                       in->stream->index);
    return page_sink_write(&in->sink, index, err);
}

static int end_round(struct intake *in, const struct wire_message *end, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK};

    if (page_sink_drain(&in->sink, err) != 0)
        return -1;
    if (end->count.round != atomic_load(&in->stream->rounds) || end->count.frames != in->frames ||
        end->count.pages != in->pages)
        return vf_fail(err, VF_FAILED, "data stream %u: round %u lost frames on the way",
                       in->stream->index, end->count.round);
    ack.count = end->count;
    in->frames = 0;
    in->pages = 0;
    /* Before the ACK: STATE may follow on the control connection as soon as the source has it. */
    (void)atomic_fetch_add(&in->stream->rounds, 1u);
    return wire_say(in->stream->tp, &ack, TP_NEVER, err);
}

static int rehash(struct intake *in, const struct wire_message *ask, struct vf_error *err)
{
    struct wire_message ack = {.tag = WIRE_ACK, .count = {.round = ask->rehash.round}};

    if (in->sink.busy > 0 || in->frames > 0 || atomic_load(&in->stream->rehashed))
        return vf_fail(err, VF_FAILED,
                       "data stream %u: asked to rehash in the middle of a round, or twice",
                       in->stream->index);
    if (stream_rehash(in->stream->channel, in->stream->tp, in->stream->plan, in->stream->index,
                      in->stream->table, "differs in the target's VRAM from what was received",
                      err) != 0)
        return -1;
    atomic_store(&in->stream->rehashed, true);
    return wire_say(in->stream->tp, &ack, TP_NEVER, err);
}

/* Until a record begins on the stream; completions go on meanwhile. Between rounds a data stream
 * may be quiet for long: the control connection's pings tell whether the peer lives. */
static int wait_record(struct intake *in, struct vf_error *err)
{
    struct kc_channel *channel = in->stream->channel;
    struct tp *tp = in->stream->tp;

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
            if (page_sink_advance(&in->sink, &done, err) != 0)
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
            wire_recv_header(in->stream->tp, &header, TP_NEVER, err) != 0)
            return -1;
        if (wire_is_frame(header.tag)) {
            if (take_frame(in, &header, err) != 0)
                return -1;
            continue;
        }
        if (wire_hear_body(in->stream->tp, &header, &message, TP_NEVER, err) != 0)
            return -1;
        if (message.tag == WIRE_ROUND_END)
            result = end_round(in, &message, err);
        else if (message.tag == WIRE_REHASH)
            result = rehash(in, &message, err);
        else
            result = vf_fail(err, VF_FAILED, "data stream %u: %s on a data stream",
                             in->stream->index, wire_tag_name(message.tag));
        wire_message_free(&message);
        if (result != 0)
            return -1;
    }
}

/* What is on its way to VRAM lands, whoever is gone: the table must tell of it to a source that
 * comes back. */
static void land(struct intake *in, const struct vf_error *ended)
{
    struct receive_stream *stream = in->stream;

    stream->unproven = !tp_lost(stream->tp) && ended->code != VF_CANCELLED;
    stream->why = *ended;
    in->sink.tp = NULL;
    if (!stream->unproven && page_sink_drain(&in->sink, &stream->why) != 0)
        stream->unproven = true;
}

static void *stream_loop(void *arg)
{
    struct receive_stream *stream = arg;
    struct intake *in = calloc(1, sizeof *in);
    struct vf_error err = VF_ERROR_INIT;

    (void)prctl(PR_SET_NAME, "stream-in");
    if (in == NULL) {
        vf_fail(&err, VF_FAILED, "data stream %u: " VF_NO_MEMORY, stream->index);
        stream->unproven = true;
        stream->why = err;
    } else {
        in->stream = stream;
        in->sink.channel = stream->channel;
        in->sink.tp = stream->tp;
        in->sink.plan = stream->plan;
        in->sink.table = stream->table;
        in->sink.items = page_sink_items(stream->plan);
        (void)serve(in, &err);
        land(in, &err);
        frames_in_free(&in->in);
    }
    free(in);
    stream->failed(stream->ctx, &err, tp_lost(stream->tp));
    return NULL;
}

int receive_stream_start(struct receive_stream *stream, struct vf_error *err)
{
    uint32_t items = page_sink_items(stream->plan);

    tp_set_silence(stream->tp, stream->plan->silence_ns);
    if (kc_channel_open(stream->plan->kernel_socket, stream->plan->partition, 2 * items,
                        stream->plan->geometry.slot_bytes, stream->plan->geometry.page_bytes,
                        &stream->channel, err) != 0)
        return -1;
    if (pthread_create(&stream->thread, NULL, stream_loop, stream) != 0)
        return vf_fail(err, VF_FAILED, "data stream %u: " VF_NO_THREAD, stream->index);
    stream->started = true;
    return 0;
}

void receive_stream_abort(struct receive_stream *stream)
{
    if (stream->tp != NULL)
        tp_abort(stream->tp);
}

int receive_stream_stop(struct receive_stream *stream, struct vf_error *err)
{
    bool unproven;

    receive_stream_abort(stream);
    if (stream->started)
        (void)pthread_join(stream->thread, NULL);
    if (stream->channel != NULL)
        kc_channel_close(stream->channel);
    tp_close(stream->tp);
    unproven = stream->unproven;
    if (unproven)
        *err = stream->why;
    memset(stream, 0, sizeof *stream);
    return unproven ? -1 : 0;
}
