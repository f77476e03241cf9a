// SPDX-License-Identifier: Apache-2.0
/* The source's lanes as a whole: opening them, commands and their barrier, their end; see stream.h.
 */
#define LOG_ROOM "migrate"
#include "migrate/stream/stream.h"

#include "base/limits.h"
#include "base/size.h"
#include "migrate/net/peer.h"

#include <string.h>

static int open_lane(struct lanes *lanes, uint32_t index, const struct wire_hello *hello,
                     const char *address, uint64_t latest, struct vf_error *err)
{
    struct lane_source *lane = &lanes->lane[index];
    struct wire_message message = {.tag = WIRE_HELLO, .hello = *hello};
    uint64_t within = vf_now_ns() + lanes->plan.silence_ns;
    uint64_t deadline = within < latest ? within : latest;

    lane->lanes = lanes;
    lane->index = index;
    message.hello.role = WIRE_DATA;
    message.hello.stream_index = index;
    if (mig_dial(lanes->job->mig, address, deadline, &lane->tp, err) != 0 ||
        mig_know_peer(lanes->job, lane->tp, err) != 0 ||
        wire_say(lane->tp, &message, deadline, err) != 0) {
        (void)pthread_mutex_lock(&lanes->lock);
        lanes->lost = true;
        (void)pthread_mutex_unlock(&lanes->lock);
        return -1;
    }
    if (kc_channel_open(lanes->plan.kernel_socket, lanes->plan.partition, lane_slots(&lanes->plan),
                        lanes->plan.geometry.slot_bytes, &lane->channel, err) != 0)
        return -1;
    (void)pthread_mutex_lock(&lanes->lock);
    if (lanes->aborted)
        vf_fail(err, VF_CANCELLED, "stopped");
    else if (pthread_create(&lane->thread, NULL, lane_source_main, lane) != 0)
        vf_fail(err, VF_FAILED, "lane %u: " VF_NO_THREAD, index);
    else
        lane->started = true;
    (void)pthread_mutex_unlock(&lanes->lock);
    return lane->started ? 0 : -1;
}

void lanes_init(struct lanes *lanes, struct mig_job *job, uint64_t bandwidth)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->job = job;
    lanes->pacer.bytes_per_s = bandwidth;
    (void)pthread_mutex_init(&lanes->pacer.lock, NULL);
    (void)pthread_mutex_init(&lanes->lock, NULL);
    vf_cond_init(&lanes->changed);
}

void lanes_set_rate(struct lanes *lanes, uint64_t bytes_per_s)
{
    (void)pthread_mutex_lock(&lanes->pacer.lock);
    lanes->pacer.bytes_per_s = bytes_per_s;
    lanes->pacer.next_ns = 0;
    lanes->pacer.changes++;
    (void)pthread_mutex_unlock(&lanes->pacer.lock);
}

void lanes_set_deadline(struct lanes *lanes, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&lanes->lock);
    lanes->until_ns = deadline_ns;
    (void)pthread_cond_broadcast(&lanes->changed);
    (void)pthread_mutex_unlock(&lanes->lock);
}

int lanes_open(struct lanes *lanes, const struct lane_plan *plan, struct digest_table *table,
               const struct wire_hello *hello, const char *address, uint64_t deadline_ns,
               struct vf_error *err)
{
    lanes->plan = *plan;
    lanes->table = table;
    for (uint32_t i = 0; i < plan->lanes; i++) {
        if (open_lane(lanes, i, hello, address, deadline_ns, err) != 0)
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
    bool late = false;

    while (lanes->busy > 0) {
        struct timespec until = vf_timespec(lanes->until_ns);

        if (late || lanes->until_ns == TP_NEVER) {
            (void)pthread_cond_wait(&lanes->changed, &lanes->lock);
        } else if (pthread_cond_timedwait(&lanes->changed, &lanes->lock, &until) != 0) {
            late = true;
            expire(lanes, limit);
        }
    }
}

static int command(struct lanes *lanes, enum lanes_command what, const struct lanes_limit *limit,
                   struct vf_error *err)
{
    int result = 0;

    (void)pthread_mutex_lock(&lanes->lock);
    lanes->command = what;
    lanes->busy = lanes->plan.lanes;
    lanes->turn++;
    lanes->until_ns = limit != NULL ? limit->deadline_ns : TP_NEVER;
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

int lanes_round(struct lanes *lanes, uint32_t round, const uint64_t *bits,
                const struct lanes_limit *limit, struct job_round *out, struct vf_error *err)
{
    uint64_t start = vf_now_ns();

    lanes->bits = bits;
    lanes->round = round;
    if (command(lanes, LANES_ROUND, limit, err) != 0)
        return -1;
    lanes_count(lanes, out);
    out->duration_ns = vf_now_ns() - start;
    return 0;
}

void lanes_count(const struct lanes *lanes, struct job_round *out)
{
    out->pages = 0;
    out->known = 0;
    out->bytes = 0;
    for (uint32_t i = 0; i < lanes->plan.lanes; i++) {
        out->pages += lanes->lane[i].pages;
        out->known += lanes->lane[i].gathered - lanes->lane[i].pages;
        out->bytes += lanes->lane[i].bytes;
    }
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

bool lanes_turned_away(struct lanes *lanes)
{
    bool turned_away;

    (void)pthread_mutex_lock(&lanes->lock);
    turned_away = lanes->turned_away;
    (void)pthread_mutex_unlock(&lanes->lock);
    return turned_away;
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

void lanes_renew(struct lanes *lanes)
{
    (void)pthread_mutex_lock(&lanes->lock);
    memset(lanes->lane, 0, sizeof lanes->lane);
    lanes->command = LANES_IDLE;
    lanes->turn = 0;
    lanes->busy = 0;
    lanes->aborted = false;
    lanes->lost = false;
    lanes->turned_away = false;
    lanes->error = (struct vf_error){.code = VF_OK};
    (void)pthread_mutex_unlock(&lanes->lock);
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
