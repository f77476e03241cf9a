// SPDX-License-Identifier: Apache-2.0
/* See stand.h. */
#define LOG_ROOM "migrate"
#include "migrate/job/stand.h"

#include "base/clock.h"
#include "base/size.h"
#include "base/thread.h"
#include "base/trace.h"
#include "migrate/mig.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* A wait that is over sooner is nobody's matter. */
#define WORTH_NS 200000000ull
/* Who exceeds his limit by less is just ending. */
#define GRACE_NS 100000000ull
/* What has no limit of its own is told of after so long. */
#define LONG_NS 5000000000ull

/* The watcher looks again: there may be something sooner than it thought. */
static void kick(struct mig *mig)
{
    vf_lock(&mig->lock);
    vf_cond_broadcast(&mig->stands);
    vf_unlock(&mig->lock);
}

void stand_begins(struct mig_job *job, uint64_t since_ns)
{
    job_update(job, {
        if (job->stand.since_ns == 0)
            vf_trace(blackout_begin, job->id, job->side == MIG_SOURCE, job->partition);
        job->stand.since_ns = since_ns;
        job->t.stood = 0;
    });
    kick(job->mig);
}

void stand_ends(struct mig_job *job)
{
    job_update(job, {
        if (job->stand.since_ns != 0)
            vf_trace(blackout_end, job->id, job->side == MIG_SOURCE, job->partition, stand_ns(job));
        /* A target does not know when the source let it run again. */
        if (job->stand.since_ns != 0 && job->side == MIG_SOURCE)
            job->t.stood = vf_now_ns() - job->stand.since_ns;
        job->stand.since_ns = 0;
        job->stand.tell_ns = 0;
    });
}

uint64_t stand_ns(const struct mig_job *job)
{
    return job->stand.since_ns != 0 ? vf_now_ns() - job->stand.since_ns : job->t.stood;
}

void stand_driver(struct mig_job *job, struct kc *kc, uint32_t adapter)
{
    struct vf_adapter_info info;
    const char *name;

    if (kc_adapter_info(kc, adapter, &info, NULL) != 0)
        return;
    name = strrchr(info.driver, '/');
    job_update(job, (void)snprintf(job->stand.driver, sizeof job->stand.driver, "%.63s",
                                   name != NULL ? name + 1 : info.driver));
}

/* Under job->lock. */
static void set(struct mig_job *job, bool own, const char *text)
{
    struct job_stand *stand = &job->stand;

    if (stand->noted && stand->note != NULL)
        stand->note(stand->note_ctx, "");
    stand->noted = stand->noted_mute = false;
    stand->own = own;
    stand->in_driver = false;
    stand->waits_ns = vf_now_ns();
    (void)snprintf(stand->waits, sizeof stand->waits, "%s", text);
    if (stand->since_ns == 0)
        stand->tell_ns = 0;
}

void stand_calls(struct mig_job *job, const char *ddi)
{
    char text[sizeof job->stand.waits] = "";

    if (ddi != NULL)
        (void)snprintf(text, sizeof text, "DDI %s of driver %s at host %s", ddi,
                       job->stand.driver[0] != '\0' ? job->stand.driver : "?", job->host_name);
    job_update(job, {
        set(job, true, text);
        job->stand.in_driver = ddi != NULL;
    });
    if (ddi != NULL)
        kick(job->mig);
}

static void set_format(struct mig_job *job, bool own, const char *format, va_list args)
{
    char text[sizeof job->stand.waits];

    (void)vsnprintf(text, sizeof text, format, args);
    job_update(job, set(job, own, text));
    kick(job->mig);
}

void stand_does(struct mig_job *job, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_format(job, true, format, args);
    va_end(args);
}

void stand_waits(struct mig_job *job, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_format(job, false, format, args);
    va_end(args);
}

void stand_peer(struct mig_job *job, const char *text)
{
    job_update(job, (void)snprintf(job->stand.peer, sizeof job->stand.peer, "%s", text));
}

void stand_set_note(struct mig_job *job, void (*note)(void *ctx, const char *text), void *ctx)
{
    vf_lock(&job->lock);
    job->stand.note = note;
    job->stand.note_ctx = ctx;
    vf_unlock(&job->lock);
}

/* How far back one looks for whether the kernel side answers now, and for how much of that it must
 * have been silent. */
#define MUTE_LOOK_NS 1500000000ull
#define MUTE_NS 1000000000ull

/* Under job->lock: does the job seem to wait for a driver while its kernel side answers nobody? */
static bool kernel_is_mute(const struct mig_job *job, uint64_t now_ns)
{
    const struct mig *mig = job->mig;

    return job->stand.in_driver && mig->kernel_mute_ns != NULL &&
           now_ns >= job->stand.waits_ns + MUTE_NS &&
           mig->kernel_mute_ns(mig->kernel_mute_ctx, now_ns - MUTE_LOOK_NS) >= MUTE_NS;
}

/* Under job->lock: what this host is in itself. */
static const char *own_text(const struct mig_job *job, bool mute, char *text, size_t bytes)
{
    if (!mute)
        return job->stand.waits;
    (void)snprintf(text, bytes, "the kernel side of host %s, which answers nothing",
                   job->host_name);
    return text;
}

bool stand_was_mute(const struct mig_job *job, uint64_t since_ns, struct vf_error *err)
{
    const struct mig *mig = job->mig;
    uint64_t mute_ns =
        mig->kernel_mute_ns != NULL ? mig->kernel_mute_ns(mig->kernel_mute_ctx, since_ns) : 0;
    char time[32];

    if (mute_ns == 0 || mute_ns < (vf_now_ns() - since_ns) / 2)
        return false;
    (void)vf_fail(err, VF_FAILED,
                  "the blackout would exceed --max-blackout: the kernel side of host %s answered "
                  "nothing for %s" VF_REMEDY
                  "see what stopped or starved vferry-kernel there, then move again",
                  job->host_name, vf_time_format(mute_ns, time, sizeof time));
    return true;
}

void stand_line(const struct mig_job *job, uint64_t now_ns, char *out, size_t bytes)
{
    const struct job_stand *stand = &job->stand;
    char text[sizeof stand->waits];

    out[0] = '\0';
    if (job_ended(job) || stand->waits[0] == '\0' || now_ns < stand->waits_ns + WORTH_NS)
        return;
    /* The peer knows better than we what it is that we wait for. */
    (void)snprintf(out, bytes, "%s",
                   !stand->own && stand->peer[0] != '\0'
                       ? stand->peer
                       : own_text(job, kernel_is_mute(job, now_ns), text, sizeof text));
}

/* ---- the watcher ---- */

struct stand_event {
    bool due;
    uint64_t id, time_ns; /* the job; CLOCK_REALTIME */
    char text[800]; /* mig_event takes no more */
};

/* Under job->lock: the event of a partition that stands for too long, or of a call that does. */
static void say(struct mig_job *job, uint64_t now, struct stand_event *event)
{
    const struct job_stand *stand = &job->stand;
    uint64_t span = now - (stand->since_ns != 0 ? stand->since_ns : stand->waits_ns);
    char waits[sizeof stand->waits + sizeof stand->peer];
    char limit[64] = "", time[32], most[32];

    stand_line(job, now, waits, sizeof waits);
    if (stand->since_ns != 0 && job->options.max_blackout_ns != 0)
        (void)snprintf(limit, sizeof limit, "; --max-blackout is %s",
                       vf_time_format(job->options.max_blackout_ns, most, sizeof most));
    (void)vf_time_format(span, time, sizeof time);
    event->due = true;
    event->id = job->id;
    event->time_ns = vf_realtime_ns();
    (void)snprintf(event->text, sizeof event->text,
                   "job %" PRIu64 " (%s of %s, peer %.200s): %s%s so far%s%.300s%s", job->id,
                   job->side == MIG_SOURCE || job_with_file(job) ? job_kind(job) : "arrival",
                   job->partition, job->peer, stand->since_ns != 0 ? "blackout: " : "", time,
                   waits[0] != '\0' ? ", waiting for " : "", waits, limit);
}

/* Under job->lock: when it is to be told of next. */
static uint64_t event_due(const struct mig_job *job)
{
    const struct job_stand *stand = &job->stand;
    bool limited = stand->since_ns != 0 && job->options.max_blackout_ns != 0;

    if (job_ended(job) || (!limited && (!stand->own || stand->waits[0] == '\0')))
        return TP_NEVER;
    if (stand->tell_ns != 0)
        return stand->tell_ns;
    return limited ? stand->since_ns + job->options.max_blackout_ns + GRACE_NS
                   : stand->waits_ns + LONG_NS;
}

/* Under job->lock: tells the peer what this host is in itself, once that takes long, and when it
 * turns out to be something else. When to look again. */
static uint64_t tell_peer(struct mig_job *job, uint64_t now)
{
    struct job_stand *stand = &job->stand;
    bool mute = kernel_is_mute(job, now);
    char text[sizeof stand->waits];

    if (!stand->own || stand->waits[0] == '\0' || stand->note == NULL)
        return TP_NEVER;
    if (now < stand->waits_ns + WORTH_NS / 2)
        return stand->waits_ns + WORTH_NS / 2;
    if (!stand->noted || mute != stand->noted_mute)
        stand->note(stand->note_ctx, own_text(job, mute, text, sizeof text));
    stand->noted = true;
    stand->noted_mute = mute;
    return stand->in_driver ? now + MUTE_NS : TP_NEVER;
}

/* Under mig->lock: does for the job what is due, and says when to look again. */
static uint64_t look(struct mig_job *job, struct stand_event *event)
{
    struct job_stand *stand = &job->stand;
    uint64_t now = vf_now_ns();
    uint64_t next, peer;

    vf_lock(&job->lock);
    next = event_due(job);
    if (next <= now) {
        uint64_t since = stand->since_ns != 0 ? stand->since_ns : stand->waits_ns;

        say(job, now, event);
        next = stand->tell_ns = now + (now - since); /* less and less often */
    }
    peer = tell_peer(job, now);
    next = peer < next ? peer : next;
    vf_unlock(&job->lock);
    return next;
}

static void *watcher_main(void *arg)
{
    struct mig *mig = arg;

    (void)prctl(PR_SET_NAME, "stand-watch");
    vf_lock(&mig->lock);
    while (!mig->closing) {
        struct stand_event event = {.due = false};
        uint64_t next = TP_NEVER;

        for (struct mig_job *job = mig->jobs; job != NULL && !event.due; job = job->next) {
            uint64_t due = look(job, &event);

            next = due < next ? due : next;
        }
        if (event.due) {
            vf_unlock(&mig->lock);
            mig_event(mig, event.id, event.time_ns, "%s", event.text);
            vf_lock(&mig->lock);
        } else {
            (void)vf_cond_wait_until(&mig->stands, &mig->lock, next);
        }
    }
    vf_unlock(&mig->lock);
    mig_thread_over(mig);
    return NULL;
}

int stand_start(struct mig *mig, struct vf_error *err)
{
    return mig_spawn_own(mig, watcher_main, "watching partitions that stand", err);
}
