// SPDX-License-Identifier: Apache-2.0
/* A stream of the source: gather, digest, send; see stream.h. Who commands it: group.c. */
#define LOG_ROOM "migrate"
#include "migrate/stream/stream.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/pack/frames.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Who waits for the rate's sake looks so often whether it is another one now. */
#define LOOK_NS 50000000ull

/* What a stream's thread fills again and again: on the heap, a frame would crowd a stack. */
struct round_work {
    struct send_stream *stream;
    struct wire_frame frame;
    struct frames_out out;
    uint64_t frames; /* of the present round */
};

/* When so many bytes may go, by the rate of *changes. */
static uint64_t book(struct pacer *pacer, uint64_t bytes, uint64_t *changes)
{
    uint64_t now = vf_now_ns();
    uint64_t at = 0;

    vf_lock(&pacer->lock);
    *changes = pacer->changes;
    if (pacer->bytes_per_s != 0) {
        at = pacer->next_ns < now ? now : pacer->next_ns;
        pacer->next_ns = at + (uint64_t)((double)bytes * 1e9 / (double)pacer->bytes_per_s);
    }
    vf_unlock(&pacer->lock);
    return at;
}

static bool rate_changed(struct pacer *pacer, uint64_t seen)
{
    return vf_locked(&pacer->lock, pacer->changes != seen);
}

static int pace(struct stream_group *group, struct tp *tp, uint64_t bytes, struct vf_error *err)
{
    uint64_t changes;
    uint64_t at = book(&group->pacer, bytes, &changes);
    uint64_t now = vf_now_ns();

    while (now < at) {
        struct pollfd fd = {.fd = tp->abort_fd, .events = POLLIN};
        uint64_t left = at - now < LOOK_NS ? at - now : LOOK_NS;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u),
                                .tv_nsec = (long)(left % 1000000000u)};

        if (ppoll(&fd, 1, &wait, NULL) > 0)
            return vf_fail(err, VF_CANCELLED, "stopped");
        if (rate_changed(&group->pacer, changes))
            at = book(&group->pacer, bytes, &changes);
        now = vf_now_ns();
    }
    return 0;
}

/* A gathered slot becomes a frame on the stream. */
static int ship(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                struct vf_error *err)
{
    struct round_work *work = ctx;
    struct send_stream *stream = work->stream;
    struct stream_group *group = stream->group;
    const struct wire_geometry *geometry = &group->plan.geometry;
    struct wire_frame *frame = &work->frame;
    struct wire_packed packed;
    uint64_t sent = 0;
    bool is_packed;
    /* What the rounds before proved at the target, or an earlier connection, is not sent again:
     * after a driver update all pages count as dirty (HOT-5). But a stream that sent nothing for
     * long would pass for dead. */
    bool leave_out = (group->round > 0 || group->plan.generation > 0) &&
                     vf_now_ns() - stream->last_frame_ns < group->plan.silence_ns / 4;

    stream->gathered += count;
    if (stream_frame(frame, pages, count, slot, group->plan.geometry.page_bytes, group->table,
                     leave_out, err) != 0)
        return -1;
    if (frame->count < count)
        job_known(group->job, count - frame->count);
    if (frame->count == 0) {
        frames_out_skip(&work->out);
        return 0;
    }
    frame->round = group->round;
    frame->sequence = stream->sequence++;
    stream->last_frame_ns = vf_now_ns();
    is_packed = frames_out_pack(&work->out, frame, slot, geometry, &packed);
    if (pace(group, stream->tp, wire_frame_bytes(frame, is_packed ? &packed : NULL), err) != 0 ||
        frames_out_send(&work->out, stream->tp, frame, slot, is_packed ? &packed : NULL, geometry,
                        &sent, err) != 0)
        return -1;
    work->frames++;
    stream->bytes += sent;
    stream->content += frame->payload_bytes;
    stream->pages += frame->count;
    job_sent(group->job, sent, frame->count);
    return 0;
}

static void note_turned_away(struct stream_group *group)
{
    vf_lock(&group->lock);
    group->refused = true;
    vf_unlock(&group->lock);
}

/* The target's word that all frames of this stream's round lie proven in its VRAM. */
static int expect_ack(struct send_stream *stream, const struct wire_count *want,
                      struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_TAG_END};
    int result = 0;

    if (wire_expect(stream->tp, WIRE_ACK, &message, TP_NEVER, err) != 0) {
        if (message.tag == WIRE_ABORT)
            note_turned_away(stream->group);
        return -1;
    }
    if (message.count.round != want->round || message.count.frames != want->frames ||
        message.count.pages != want->pages)
        result = vf_fail(err, VF_FAILED,
                         "data stream %u: the target acknowledged another round than was sent",
                         stream->index);
    wire_message_free(&message);
    return result;
}

static int run_round(struct send_stream *stream, struct round_work *work, struct vf_error *err)
{
    struct wire_message end = {.tag = WIRE_ROUND_END};

    work->frames = 0;
    stream->bytes = 0;
    stream->content = 0;
    stream->pages = 0;
    stream->gathered = 0;
    stream->last_frame_ns = vf_now_ns();
    frames_out_begin(&work->out, stream->group->paused);
    if (stream_gather(stream->channel, stream->tp, &stream->group->plan, stream->index,
                      stream->group->bits, ship, work, err) != 0)
        return -1;
    end.count = (struct wire_count){
        .round = stream->group->round, .frames = work->frames, .pages = stream->pages};
    if (wire_say(stream->tp, &end, TP_NEVER, err) != 0)
        return -1;
    return expect_ack(stream, &end.count, err);
}

static int run_rehash(struct send_stream *stream, struct vf_error *err)
{
    struct wire_message ask = {.tag = WIRE_REHASH, .rehash = {.round = stream->group->round}};
    struct wire_count want = {.round = stream->group->round};

    /* The target may need longer than this side, without a word: the blackout's limit bounds it. */
    tp_set_silence(stream->tp, 0);
    if (wire_say(stream->tp, &ask, TP_NEVER, err) != 0 ||
        stream_rehash(stream->channel, stream->tp, &stream->group->plan, stream->index,
                      stream->group->table, "changed on the source without its dirty bit",
                      err) != 0)
        return -1;
    return expect_ack(stream, &want, err);
}

static void report(struct stream_group *group, const struct vf_error *err, bool lost)
{
    vf_lock(&group->lock);
    group->lost = group->lost || lost;
    if (err != NULL && group->error.code == VF_OK) {
        group->error = *err;
        if (group->error.code == VF_OK)
            group->error.code = VF_FAILED;
    }
    group->busy--;
    vf_cond_broadcast(&group->changed);
    vf_unlock(&group->lock);
    /* One stream's end is the end of all: nobody shall wait for pages that never come. */
    if (err != NULL)
        stream_group_abort(group);
}

void *send_stream_main(void *arg)
{
    struct send_stream *stream = arg;
    struct stream_group *group = stream->group;
    struct round_work *work = calloc(1, sizeof *work);
    uint64_t number = 0;

    (void)prctl(PR_SET_NAME, "stream-out");
    if (work != NULL &&
        frames_out_init(&work->out, group->compress, group->plan.geometry.slot_bytes, NULL) != 0) {
        free(work);
        work = NULL;
    }
    if (work != NULL) {
        work->stream = stream;
        memcpy(work->frame.job, group->plan.job, sizeof work->frame.job);
        work->frame.epoch = group->plan.epoch;
        work->frame.generation = group->plan.generation;
    }
    for (;;) {
        struct vf_error err = VF_ERROR_INIT;
        enum stream_group_command command;
        int result;

        vf_lock(&group->lock);
        while (group->command_number == number)
            vf_cond_wait(&group->changed, &group->lock);
        number = group->command_number;
        command = group->command;
        vf_unlock(&group->lock);
        if (command == STREAM_QUIT)
            break;
        if (work == NULL)
            result = vf_fail(&err, VF_FAILED, "data stream %u: " VF_NO_MEMORY, stream->index);
        else
            result =
                command == STREAM_ROUND ? run_round(stream, work, &err) : run_rehash(stream, &err);
        report(group, result == 0 ? NULL : &err, result != 0 && tp_lost(stream->tp));
    }
    if (work != NULL)
        frames_out_free(&work->out);
    free(work);
    return NULL;
}
