// SPDX-License-Identifier: Apache-2.0
/* The source's lanes: gather, digest, send; see lane.h. */
#define LOG_ROOM "migrate"
#include "migrate/lane.h"

#include "base/log.h"
#include "base/size.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* What a lane's thread fills again and again: on the heap, a frame would crowd a stack. */
struct round_work {
    struct lane_source *lane;
    struct wire_frame frame;
    uint64_t frames; /* of the present round */
};

static int pace(struct lanes *lanes, struct tp *tp, uint64_t bytes, struct vf_error *err)
{
    struct pacer *pacer = &lanes->pacer;
    uint64_t now = vf_now_ns();
    uint64_t at;

    if (pacer->bytes_per_s == 0)
        return 0;
    (void)pthread_mutex_lock(&pacer->lock);
    if (pacer->next_ns < now)
        pacer->next_ns = now;
    at = pacer->next_ns;
    pacer->next_ns += (uint64_t)((double)bytes * 1e9 / (double)pacer->bytes_per_s);
    (void)pthread_mutex_unlock(&pacer->lock);

    while (now < at) {
        struct pollfd fd = {.fd = tp->abort_fd, .events = POLLIN};
        uint64_t left = at - now;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};

        if (ppoll(&fd, 1, &wait, NULL) > 0)
            return vf_fail(err, VF_CANCELLED, "stopped");
        now = vf_now_ns();
    }
    return 0;
}

/* A gathered slot becomes a frame on the stream. */
static int ship(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot, struct vf_error *err)
{
    struct round_work *work = ctx;
    struct lane_source *lane = work->lane;
    struct lanes *lanes = lane->lanes;
    struct wire_frame *frame = &work->frame;
    uint64_t sent = 0;

    frame->round = lanes->round;
    frame->sequence = lane->sequence++;
    if (lane_frame(frame, pages, count, slot, lanes->plan.geometry.page_bytes, lanes->table, true, err) != 0 ||
        pace(lanes, lane->tp, frame->payload_bytes, err) != 0 ||
        wire_send_frame(lane->tp, frame, slot, &lanes->plan.geometry, &sent, TP_NEVER, err) != 0)
        return -1;
    work->frames++;
    lane->bytes += sent;
    lane->pages += frame->count;
    job_sent(lanes->job, sent, frame->count);
    return 0;
}

/* The target's word that all frames of this lane's round lie proven in its VRAM. */
static int expect_ack(struct lane_source *lane, const struct wire_count *want, struct vf_error *err)
{
    struct wire_message message;
    int result = 0;

    if (wire_expect(lane->tp, WIRE_ACK, &message, TP_NEVER, err) != 0)
        return -1;
    if (message.count.round != want->round || message.count.frames != want->frames || message.count.pages != want->pages)
        result = vf_fail(err, VF_FAILED, "lane %u: the target acknowledged another round than was sent", lane->index);
    wire_message_free(&message);
    return result;
}

static int run_round(struct lane_source *lane, struct round_work *work, struct vf_error *err)
{
    struct wire_message end = {.tag = WIRE_ROUND_END};

    work->frames = 0;
    lane->bytes = 0;
    lane->pages = 0;
    if (lane_gather(lane->channel, lane->tp, &lane->lanes->plan, lane->index, lane->lanes->bits, ship, work, err) != 0)
        return -1;
    end.count = (struct wire_count){.round = lane->lanes->round, .frames = work->frames, .pages = lane->pages};
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

static void *lane_loop(void *arg)
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

static int open_lane(struct lanes *lanes, uint32_t index, const struct wire_hello *hello, const char *address,
                     struct vf_error *err)
{
    struct lane_source *lane = &lanes->lane[index];
    struct wire_message message = {.tag = WIRE_HELLO, .hello = *hello};
    uint64_t deadline = vf_now_ns() + lanes->plan.silence_ns;

    lane->lanes = lanes;
    lane->index = index;
    message.hello.role = WIRE_DATA;
    message.hello.stream_index = index;
    if (tp_tcp_connect(address, deadline, &lane->tp, err) != 0)
        return -1;
    tp_set_silence(lane->tp, lanes->plan.silence_ns);
    if (wire_say(lane->tp, &message, deadline, err) != 0 ||
        kc_channel_open(lanes->plan.kernel_socket, lanes->plan.partition, lane_slots(&lanes->plan),
                        lanes->plan.geometry.slot_bytes, &lane->channel, err) != 0)
        return -1;
    (void)pthread_mutex_lock(&lanes->lock);
    if (lanes->aborted)
        vf_fail(err, VF_CANCELLED, "stopped");
    else if (pthread_create(&lane->thread, NULL, lane_loop, lane) != 0)
        vf_fail(err, VF_FAILED, "lane %u: no thread to be had", index);
    else
        lane->started = true;
    (void)pthread_mutex_unlock(&lanes->lock);
    return lane->started ? 0 : -1;
}

void lanes_init(struct lanes *lanes, struct mig_job *job, uint64_t bandwidth)
{
    pthread_condattr_t attr;

    memset(lanes, 0, sizeof *lanes);
    lanes->job = job;
    lanes->pacer.bytes_per_s = bandwidth;
    (void)pthread_mutex_init(&lanes->pacer.lock, NULL);
    (void)pthread_mutex_init(&lanes->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lanes->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
}

int lanes_open(struct lanes *lanes, const struct lane_plan *plan, struct digest_table *table, const struct wire_hello *hello,
               const char *address, struct vf_error *err)
{
    lanes->plan = *plan;
    lanes->table = table;
    for (uint32_t i = 0; i < plan->lanes; i++) {
        if (open_lane(lanes, i, hello, address, err) != 0)
            return vf_context(err, "data stream %u", i);
    }
    return 0;
}

/* Under lanes->lock: the time is up; the first to say so ends the lanes. */
static void expire(struct lanes *lanes, const struct lanes_limit *limit)
{
    if (lanes->error.code == VF_OK)
        vf_fail(&lanes->error, limit->code, "%s", limit->text);
    (void)pthread_mutex_unlock(&lanes->lock);
    lanes_abort(lanes);
    (void)pthread_mutex_lock(&lanes->lock);
}

static void wait_idle(struct lanes *lanes, const struct lanes_limit *limit)
{
    struct timespec until = {.tv_sec = (time_t)(limit->deadline_ns / 1000000000u),
                             .tv_nsec = (long)(limit->deadline_ns % 1000000000u)};
    bool late = false;

    while (lanes->busy > 0) {
        if (late || limit->deadline_ns == TP_NEVER) {
            (void)pthread_cond_wait(&lanes->changed, &lanes->lock);
        } else if (pthread_cond_timedwait(&lanes->changed, &lanes->lock, &until) != 0) {
            late = true;
            expire(lanes, limit);
        }
    }
}

static int command(struct lanes *lanes, enum lanes_command what, const struct lanes_limit *limit, struct vf_error *err)
{
    int result = 0;

    (void)pthread_mutex_lock(&lanes->lock);
    lanes->command = what;
    lanes->busy = lanes->plan.lanes;
    lanes->turn++;
    (void)pthread_cond_broadcast(&lanes->changed);
    if (what != LANES_QUIT)
        wait_idle(lanes, limit);
    if (lanes->error.code != VF_OK) {
        if (err != NULL)
            *err = lanes->error;
        result = -1;
    }
    (void)pthread_mutex_unlock(&lanes->lock);
    return result;
}

int lanes_round(struct lanes *lanes, uint32_t round, const uint64_t *bits, const struct lanes_limit *limit,
                struct job_round *out, struct vf_error *err)
{
    uint64_t start = vf_now_ns();

    lanes->bits = bits;
    lanes->round = round;
    if (command(lanes, LANES_ROUND, limit, err) != 0)
        return -1;
    out->duration_ns = vf_now_ns() - start;
    out->pages = 0;
    out->bytes = 0;
    for (uint32_t i = 0; i < lanes->plan.lanes; i++) {
        out->pages += lanes->lane[i].pages;
        out->bytes += lanes->lane[i].bytes;
    }
    return 0;
}

int lanes_rehash(struct lanes *lanes, const struct lanes_limit *limit, struct vf_error *err)
{
    return command(lanes, LANES_REHASH, limit, err);
}

void lanes_abort(struct lanes *lanes)
{
    (void)pthread_mutex_lock(&lanes->lock);
    lanes->aborted = true;
    for (uint32_t i = 0; i < LANE_MAX; i++) {
        if (lanes->lane[i].started)
            tp_abort(lanes->lane[i].tp);
    }
    (void)pthread_mutex_unlock(&lanes->lock);
}

bool lanes_lost(struct lanes *lanes)
{
    bool lost;

    (void)pthread_mutex_lock(&lanes->lock);
    lost = lanes->lost;
    (void)pthread_mutex_unlock(&lanes->lock);
    return lost;
}

void lanes_stop(struct lanes *lanes)
{
    if (lanes->job == NULL)
        return;
    lanes_abort(lanes);
    (void)command(lanes, LANES_QUIT, NULL, NULL);
    for (uint32_t i = 0; i < LANE_MAX; i++) {
        struct lane_source *lane = &lanes->lane[i];
        bool started;

        (void)pthread_mutex_lock(&lanes->lock);
        started = lane->started;
        lane->started = false; /* from here lanes_abort leaves its stream alone */
        (void)pthread_mutex_unlock(&lanes->lock);
        if (started)
            (void)pthread_join(lane->thread, NULL);
        kc_channel_close(lane->channel);
        tp_close(lane->tp);
        lane->channel = NULL;
        lane->tp = NULL;
    }
}

void lanes_close(struct lanes *lanes)
{
    if (lanes->job == NULL)
        return;
    lanes_stop(lanes);
    (void)pthread_cond_destroy(&lanes->changed);
    (void)pthread_mutex_destroy(&lanes->lock);
    (void)pthread_mutex_destroy(&lanes->pacer.lock);
    memset(lanes, 0, sizeof *lanes);
}
