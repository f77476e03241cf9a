// SPDX-License-Identifier: Apache-2.0
/* The queue before the history's file, and the questions to it. See history.h. */
#define LOG_ROOM "history"
#include "daemon/history/private.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define QUEUE_MAX 4096u /* entries; about a kilobyte each */
#define SYNC_NS (2 * SECOND_NS)
#define READ_S 5 /* how long a question waits behind the disk */

/* ---- questions ---- */

/* For a question: false when there is no file, or the disk does not answer. */
static bool ask(struct history *history)
{
    struct timespec until;

    if (history == NULL || clock_gettime(CLOCK_REALTIME, &until) != 0)
        return false;
    until.tv_sec += READ_S;
    if (pthread_mutex_timedlock(&history->disk, &until) != 0)
        return false;
    if (history->store != NULL)
        return true;
    vf_unlock(&history->disk);
    return false;
}

static void asked(struct history *history)
{
    bool damaged = store_damaged(history->store);

    vf_unlock(&history->disk);
    if (!damaged)
        return;
    /* The thread sees to it, not when the next entry comes but now. */
    vf_lock(&history->service.lock);
    history->look = true;
    vf_cond_signal(&history->service.wake);
    vf_unlock(&history->service.lock);
}

void history_events(struct history *history, const struct history_filter *filter,
                    const json_t *jobs, history_each_event *each, void *ctx)
{
    if (!ask(history))
        return;
    store_events(history->store, filter, jobs, each, ctx);
    asked(history);
}

void history_jobs(struct history *history, const struct history_filter *filter,
                  const json_t *without, history_each_job *each, void *ctx)
{
    if (!ask(history))
        return;
    store_jobs(history->store, filter, without, each, ctx);
    asked(history);
}

json_t *history_job(struct history *history, uint64_t id)
{
    json_t *report;

    if (!ask(history))
        return NULL;
    report = store_job(history->store, id);
    asked(history);
    return report;
}

bool history_moved_to(struct history *history, const char *partition, char *to, size_t to_bytes)
{
    bool moved;

    if (!ask(history))
        return false;
    moved = store_moved_to(history->store, partition, to, to_bytes);
    asked(history);
    return moved;
}

uint64_t history_last_event(struct history *history)
{
    return history != NULL ? history->last_event : 0;
}

uint64_t history_last_job(struct history *history)
{
    return history != NULL ? history->last_job : 0;
}

uint64_t history_kernel_seen(struct history *history, const char *kernel_side)
{
    uint64_t seen = 0;

    if (history == NULL)
        return 0;
    vf_lock(&history->service.lock);
    (void)snprintf(history->kernel_side, sizeof history->kernel_side, "%s", kernel_side);
    vf_unlock(&history->service.lock);
    if (ask(history)) {
        seen = store_kernel_seen(history->store, kernel_side);
        asked(history);
    }
    return seen;
}

/* ---- the queue ---- */

static void add(struct history *history, struct store_entry *entry)
{
    bool room;

    vf_lock(&history->service.lock);
    room = entry != NULL && history->waiting < QUEUE_MAX;
    if (room) {
        *history->end = entry;
        history->end = &entry->next;
        history->waiting++;
        history->added++;
        vf_cond_signal(&history->service.wake);
    } else {
        history->dropped++;
    }
    vf_unlock(&history->service.lock);
    if (!room)
        history_free_list(entry);
}

void history_add_event(struct history *history, const struct event *event)
{
    struct store_entry *entry;

    if (history == NULL)
        return;
    entry = calloc(1, sizeof *entry);
    if (entry != NULL)
        entry->event = *event;
    add(history, entry);
}

void history_add_job(struct history *history, json_t *report, bool recalled)
{
    struct store_entry *entry = NULL;

    if (history != NULL && report != NULL)
        entry = calloc(1, sizeof *entry);
    if (entry != NULL) {
        entry->report = report;
        entry->recalled = recalled;
    } else {
        json_decref(report);
    }
    if (history != NULL)
        add(history, entry);
}

void history_sync(struct history *history)
{
    const uint64_t until_ns = vf_now_ns() + SYNC_NS;
    uint64_t mine;

    if (history == NULL)
        return;
    vf_lock(&history->service.lock);
    mine = history->added;
    while (history->done < mine && !history->ailing &&
           vf_cond_wait_until(&history->handled, &history->service.lock, until_ns))
        continue;
    vf_unlock(&history->service.lock);
}

static void discard(struct history *history)
{
    history_free_list(history->first);
    store_close(history->store);
    vf_cond_fini(&history->handled);
    vf_lock_fini(&history->disk);
    free(history);
}

/* What it holds from before; nothing, if it cannot be used. */
static void look_back(struct history *history)
{
    struct vf_error err = VF_ERROR_INIT;

    history->last_event = UINT64_MAX; /* whatever it holds is from before */
    if (history_stand(history, &err) == 0) {
        history->last_event = store_last_event(history->store);
        history->last_job = store_last_job(history->store);
        return;
    }
    history->last_event = 0;
    if (history_may_tell(history))
        log_warn("the history is not kept at present, all else goes on: %s", err.text);
}

int history_open(const char *directory, const struct history_limits *limits, struct history **out,
                 struct vf_error *err)
{
    struct history *history = calloc(1, sizeof *history);

    if (history == NULL)
        return vf_fail(err, VF_FAILED, "history: " VF_NO_MEMORY);
    (void)snprintf(history->directory, sizeof history->directory, "%s", directory);
    history->limits = *limits;
    history->end = &history->first;
    vf_lock_init(&history->disk);
    vf_cond_init(&history->handled);
    look_back(history);
    if (vf_service_start(&history->service, "history", history_writer, history, err) != 0) {
        discard(history);
        return -1;
    }
    *out = history;
    return 0;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    vf_service_stop(&history->service);
    if (history->waiting > 0)
        log_info("%zu entries of the history could not be kept", history->waiting);
    discard(history);
}
