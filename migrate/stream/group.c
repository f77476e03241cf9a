// SPDX-License-Identifier: Apache-2.0
/* The source's streams as a whole: opening them, commands and their barrier, their end;
 * see stream.h. */
#define LOG_ROOM "migrate"
#include "migrate/stream/stream.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "migrate/net/peer.h"

#include <string.h>

static int open_stream(struct stream_group *group, uint32_t index, const struct wire_hello *hello,
                       const char *address, uint64_t latest, struct vf_error *err)
{
    struct send_stream *stream = &group->stream[index];
    struct wire_message message = {.tag = WIRE_HELLO, .hello = *hello};
    uint64_t within = vf_now_ns() + group->plan.silence_ns;
    uint64_t deadline = within < latest ? within : latest;

    stream->group = group;
    stream->index = index;
    message.hello.role = WIRE_DATA;
    message.hello.stream_index = index;
    if (mig_dial(group->job->mig, address, deadline, &stream->tp, err) != 0 ||
        mig_know_peer(group->job, stream->tp, err) != 0 ||
        wire_say(stream->tp, &message, deadline, err) != 0) {
        vf_lock(&group->lock);
        group->lost = true;
        vf_unlock(&group->lock);
        return -1;
    }
    if (kc_channel_open(group->plan.kernel_socket, group->plan.partition,
                        stream_slots(&group->plan), group->plan.geometry.slot_bytes,
                        group->plan.geometry.page_bytes, &stream->channel, err) != 0)
        return -1;
    vf_lock(&group->lock);
    if (group->aborted)
        vf_fail(err, VF_CANCELLED, "stopped");
    else if (pthread_create(&stream->thread, NULL, send_stream_main, stream) != 0)
        vf_fail(err, VF_FAILED, "data stream %u: " VF_NO_THREAD, index);
    else
        stream->started = true;
    vf_unlock(&group->lock);
    return stream->started ? 0 : -1;
}

void stream_group_init(struct stream_group *group, struct mig_job *job, uint64_t bandwidth)
{
    memset(group, 0, sizeof *group);
    group->job = job;
    group->pacer.bytes_per_s = bandwidth;
    vf_lock_init(&group->pacer.lock);
    vf_lock_init(&group->lock);
    vf_cond_init(&group->changed);
}

void stream_group_set_rate(struct stream_group *group, uint64_t bytes_per_s)
{
    vf_lock(&group->pacer.lock);
    group->pacer.bytes_per_s = bytes_per_s;
    group->pacer.next_ns = 0;
    group->pacer.changes++;
    vf_unlock(&group->pacer.lock);
}

void stream_group_set_deadline(struct stream_group *group, uint64_t deadline_ns)
{
    vf_lock(&group->lock);
    group->until_ns = deadline_ns;
    vf_cond_broadcast(&group->changed);
    vf_unlock(&group->lock);
}

int stream_group_open(struct stream_group *group, const struct stream_plan *plan,
                      struct digest_table *table, const struct wire_hello *hello,
                      const char *address, uint64_t deadline_ns, struct vf_error *err)
{
    group->plan = *plan;
    group->table = table;
    for (uint32_t i = 0; i < plan->streams; i++) {
        if (open_stream(group, i, hello, address, deadline_ns, err) != 0)
            return vf_context(err, "data stream %u", i);
    }
    return 0;
}

/* Under group->lock: the time is up; the first to say so ends the streams. */
static void expire(struct stream_group *group, const struct stream_group_limit *limit)
{
    if (group->error.code == VF_OK)
        vf_fail(&group->error, limit->code, "%s", limit->text);
    vf_unlock(&group->lock);
    stream_group_abort(group);
    vf_lock(&group->lock);
}

static void wait_idle(struct stream_group *group, const struct stream_group_limit *limit)
{
    bool late = false;

    while (group->busy > 0) {
        if (!vf_cond_wait_until(&group->changed, &group->lock, late ? TP_NEVER : group->until_ns)) {
            late = true;
            expire(group, limit);
        }
    }
}

static int command(struct stream_group *group, enum stream_group_command what,
                   const struct stream_group_limit *limit, struct vf_error *err)
{
    int result = 0;

    vf_lock(&group->lock);
    group->command = what;
    group->busy = group->plan.streams;
    group->command_number++;
    group->until_ns = limit != NULL ? limit->deadline_ns : TP_NEVER;
    vf_cond_broadcast(&group->changed);
    if (what != STREAM_QUIT)
        wait_idle(group, limit);
    if (group->error.code != VF_OK) {
        if (err != NULL)
            *err = group->error;
        result = -1;
    }
    vf_unlock(&group->lock);
    return result;
}

int stream_group_round(struct stream_group *group, uint32_t round, const uint64_t *bits,
                       bool paused, const struct stream_group_limit *limit, struct job_round *out,
                       struct vf_error *err)
{
    uint64_t start = vf_now_ns();

    group->bits = bits;
    group->round = round;
    group->paused = paused;
    if (command(group, STREAM_ROUND, limit, err) != 0)
        return -1;
    stream_group_count(group, out);
    out->duration_ns = vf_now_ns() - start;
    return 0;
}

void stream_group_count(const struct stream_group *group, struct job_round *out)
{
    out->pages = 0;
    out->known = 0;
    out->bytes = 0;
    out->content = 0;
    for (uint32_t i = 0; i < group->plan.streams; i++) {
        out->pages += group->stream[i].pages;
        out->known += group->stream[i].gathered - group->stream[i].pages;
        out->bytes += group->stream[i].bytes;
        out->content += group->stream[i].content;
    }
}

int stream_group_rehash(struct stream_group *group, const struct stream_group_limit *limit,
                        struct vf_error *err)
{
    return command(group, STREAM_REHASH, limit, err);
}

void stream_group_abort(struct stream_group *group)
{
    vf_lock(&group->lock);
    group->aborted = true;
    for (uint32_t i = 0; i < STREAM_MAX; i++) {
        if (group->stream[i].started)
            tp_abort(group->stream[i].tp);
    }
    vf_unlock(&group->lock);
}

bool stream_group_lost(struct stream_group *group)
{
    return vf_locked(&group->lock, group->lost);
}

bool stream_group_refused(struct stream_group *group)
{
    return vf_locked(&group->lock, group->refused);
}

void stream_group_stop(struct stream_group *group)
{
    if (group->job == NULL)
        return;
    stream_group_abort(group);
    (void)command(group, STREAM_QUIT, NULL, NULL);
    for (uint32_t i = 0; i < STREAM_MAX; i++) {
        struct send_stream *stream = &group->stream[i];
        bool started;

        vf_lock(&group->lock);
        started = stream->started;
        stream->started = false; /* from here stream_group_abort leaves its stream alone */
        vf_unlock(&group->lock);
        if (started)
            (void)pthread_join(stream->thread, NULL);
        kc_channel_close(stream->channel);
        tp_close(stream->tp);
        stream->channel = NULL;
        stream->tp = NULL;
    }
}

void stream_group_renew(struct stream_group *group)
{
    vf_lock(&group->lock);
    memset(group->stream, 0, sizeof group->stream);
    group->command = STREAM_IDLE;
    group->command_number = 0;
    group->busy = 0;
    group->aborted = false;
    group->lost = false;
    group->refused = false;
    group->error = (struct vf_error){.code = VF_OK};
    vf_unlock(&group->lock);
}

void stream_group_close(struct stream_group *group)
{
    if (group->job == NULL)
        return;
    stream_group_stop(group);
    vf_cond_fini(&group->changed);
    vf_lock_fini(&group->lock);
    vf_lock_fini(&group->pacer.lock);
    memset(group, 0, sizeof *group);
}
