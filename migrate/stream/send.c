// SPDX-License-Identifier: Apache-2.0
/* A lane of the source: gather, digest, send; see stream.h. Who commands it: group.c. */
#define LOG_ROOM "migrate"
#include "migrate/stream/stream.h"

#include "base/log.h"
#include "base/size.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Who waits for the rate's sake looks so often whether it is another one now. */
#define LOOK_NS 50000000ull

/* What a lane's thread fills again and again: on the heap, a frame would crowd a stack. */
struct round_work {
    struct lane_source *lane;
    struct wire_frame frame;
    uint64_t frames; /* of the present round */
};

/* When so many bytes may go, by the rate of *changes. */
static uint64_t book(struct pacer *pacer, uint64_t bytes, uint64_t *changes)
{
    uint64_t now = vf_now_ns();
    uint64_t at = 0;

    (void)pthread_mutex_lock(&pacer->lock);
    *changes = pacer->changes;
    if (pacer->bytes_per_s != 0) {
        at = pacer->next_ns < now ? now : pacer->next_ns;
        pacer->next_ns = at + (uint64_t)((double)bytes * 1e9 / (double)pacer->bytes_per_s);
    }
    (void)pthread_mutex_unlock(&pacer->lock);
    return at;
}

static bool rate_changed(struct pacer *pacer, uint64_t seen)
{
    bool changed;

    (void)pthread_mutex_lock(&pacer->lock);
    changed = pacer->changes != seen;
    (void)pthread_mutex_unlock(&pacer->lock);
    return changed;
}

static int pace(struct lanes *lanes, struct tp *tp, uint64_t bytes, struct vf_error *err)
{
    uint64_t changes;
    uint64_t at = book(&lanes->pacer, bytes, &changes);
    uint64_t now = vf_now_ns();

    while (now < at) {
        struct pollfd fd = {.fd = tp->abort_fd, .events = POLLIN};
        uint64_t left = at - now < LOOK_NS ? at - now : LOOK_NS;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u),
                                .tv_nsec = (long)(left % 1000000000u)};

        if (ppoll(&fd, 1, &wait, NULL) > 0)
            return vf_fail(err, VF_CANCELLED, "stopped");
        if (rate_changed(&lanes->pacer, changes))
            at = book(&lanes->pacer, bytes, &changes);
        now = vf_now_ns();
    }
    return 0;
}

/* A gathered slot becomes a frame on the stream. */
static int ship(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                struct vf_error *err)
{
    struct round_work *work = ctx;
    struct lane_source *lane = work->lane;
    struct lanes *lanes = lane->lanes;
    struct wire_frame *frame = &work->frame;
    uint64_t sent = 0;
    /* What the rounds before proved at the target, or an earlier connection, is not sent again:
     * after a driver update all pages count as dirty (HOT-5). But a lane that sent nothing for long
     * would pass for dead. */
    bool leave_out = (lanes->round > 0 || lanes->plan.generation > 0) &&
                     vf_now_ns() - lane->last_frame_ns < lanes->plan.silence_ns / 4;

    lane->gathered += count;
    if (lane_frame(frame, pages, count, slot, lanes->plan.geometry.page_bytes, lanes->table,
                   leave_out, err) != 0)
        return -1;
    if (frame->count < count)
        job_known(lanes->job, count - frame->count);
    if (frame->count == 0)
        return 0;
    frame->round = lanes->round;
    frame->sequence = lane->sequence++;
    lane->last_frame_ns = vf_now_ns();
    if (pace(lanes, lane->tp, frame->payload_bytes, err) != 0 ||
        wire_send_frame(lane->tp, frame, slot, &lanes->plan.geometry, &sent, TP_NEVER, err) != 0)
        return -1;
    work->frames++;
    lane->bytes += sent;
    lane->pages += frame->count;
    job_sent(lanes->job, sent, frame->count);
    return 0;
}

static void note_turned_away(struct lanes *lanes)
{
    (void)pthread_mutex_lock(&lanes->lock);
    lanes->turned_away = true;
    (void)pthread_mutex_unlock(&lanes->lock);
}

/* The target's word that all frames of this lane's round lie proven in its VRAM. */
static int expect_ack(struct lane_source *lane, const struct wire_count *want, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_TAG_END};
    int result = 0;

    if (wire_expect(lane->tp, WIRE_ACK, &message, TP_NEVER, err) != 0) {
        if (message.tag == WIRE_ABORT)
            note_turned_away(lane->lanes);
        return -1;
    }
    if (message.count.round != want->round || message.count.frames != want->frames ||
        message.count.pages != want->pages)
        result =
            vf_fail(err, VF_FAILED, "lane %u: the target acknowledged another round than was sent",
                    lane->index);
    wire_message_free(&message);
    return result;
}

static int run_round(struct lane_source *lane, struct round_work *work, struct vf_error *err)
{
    struct wire_message end = {.tag = WIRE_ROUND_END};

    work->frames = 0;
    lane->bytes = 0;
    lane->pages = 0;
    lane->gathered = 0;
    lane->last_frame_ns = vf_now_ns();
    if (lane_gather(lane->channel, lane->tp, &lane->lanes->plan, lane->index, lane->lanes->bits,
                    ship, work, err) != 0)
        return -1;
    end.count = (struct wire_count){
        .round = lane->lanes->round, .frames = work->frames, .pages = lane->pages};
    if (wire_say(lane->tp, &end, TP_NEVER, err) != 0)
        return -1;
    return expect_ack(lane, &end.count, err);
}

static int run_rehash(struct lane_source *lane, struct vf_error *err)
{
    struct wire_message ask = {.tag = WIRE_REHASH, .rehash = {.round = lane->lanes->round}};
    struct wire_count want = {.round = lane->lanes->round};

    /* The target may need longer than this side, without a word: the blackout's limit bounds it. */
    tp_set_silence(lane->tp, 0);
    if (wire_say(lane->tp, &ask, TP_NEVER, err) != 0 ||
        lane_rehash(lane->channel, lane->tp, &lane->lanes->plan, lane->index, lane->lanes->table,
                    "changed on the source without its dirty bit", err) != 0)
        return -1;
    return expect_ack(lane, &want, err);
}

static void report(struct lanes *lanes, const struct vf_error *err, bool lost)
{
    (void)pthread_mutex_lock(&lanes->lock);
    lanes->lost = lanes->lost || lost;
    if (err != NULL && lanes->error.code == VF_OK) {
        lanes->error = *err;
        if (lanes->error.code == VF_OK)
            lanes->error.code = VF_FAILED;
    }
    lanes->busy--;
    (void)pthread_cond_broadcast(&lanes->changed);
    (void)pthread_mutex_unlock(&lanes->lock);
    /* One lane's end is the end of all: nobody shall wait for pages that never come. */
    if (err != NULL)
        lanes_abort(lanes);
}

void *lane_source_main(void *arg)
{
    struct lane_source *lane = arg;
    struct lanes *lanes = lane->lanes;
    struct round_work *work = calloc(1, sizeof *work);
    uint64_t turn = 0;

    (void)prctl(PR_SET_NAME, "lane-out");
    if (work != NULL) {
        work->lane = lane;
        memcpy(work->frame.job, lanes->plan.job, sizeof work->frame.job);
        work->frame.epoch = lanes->plan.epoch;
        work->frame.generation = lanes->plan.generation;
    }
    for (;;) {
        struct vf_error err = VF_ERROR_INIT;
        enum lanes_command command;
        int result;

        (void)pthread_mutex_lock(&lanes->lock);
        while (lanes->turn == turn)
            (void)pthread_cond_wait(&lanes->changed, &lanes->lock);
        turn = lanes->turn;
        command = lanes->command;
        (void)pthread_mutex_unlock(&lanes->lock);
        if (command == LANES_QUIT)
            break;
        if (work == NULL)
            result = vf_fail(&err, VF_FAILED, "lane %u: out of memory", lane->index);
        else
            result = command == LANES_ROUND ? run_round(lane, work, &err) : run_rehash(lane, &err);
        report(lanes, result == 0 ? NULL : &err, result != 0 && tp_lost(lane->tp));
    }
    free(work);
    return NULL;
}
