// SPDX-License-Identifier: Apache-2.0
/* The queue before the history's file and the thread behind it. See history.h. */
#define LOG_ROOM "history"
#include "daemon/history.h"

#include "base/log.h"
#include "base/size.h"
#include "daemon/history_store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define SECOND_NS 1000000000ull
#define QUEUE_MAX 4096u            /* entries; about a kilobyte each */
#define TRIM_NS (3600 * SECOND_NS) /* by age, also when nothing happens */
#define TRIM_EVERY 64u             /* entries that were written */
#define RETRY_NS SECOND_NS         /* after a failure; twice as long each time, up to */
#define RETRY_MAX_NS (30 * SECOND_NS)
#define TELL_NS (60 * SECOND_NS) /* a disk that fails and works in turns is told once a minute */
#define SYNC_NS (2 * SECOND_NS)
#define READ_S 2 /* how long a question waits behind the disk */

struct history {
    char directory[PATH_MAX];
    struct history_limits limits;
    uint64_t last_event, last_job; /* before this start */
    pthread_t thread;

    pthread_mutex_t disk; /* held over SQL; never taken with `lock` held */
    struct store *store;  /* disk; NULL = there is none at present */

    pthread_mutex_t lock;   /* a leaf; guards what follows */
    pthread_cond_t wake;    /* CLOCK_MONOTONIC; the thread has something to do */
    pthread_cond_t handled; /* CLOCK_MONOTONIC; `done` or `ailing` changed */
    struct store_entry *first, **end;
    char kernel_side[64];
    size_t waiting;       /* entries in the queue */
    uint64_t added, done; /* entries that were ever queued, and written */
    uint64_t dropped;     /* and those that found no room, since the last word about it */
    uint64_t retry_ns;    /* CLOCK_MONOTONIC; not before */
    bool ailing;          /* the last write failed */
    bool look;            /* a reader found damage */
    bool closing;

    /* The thread's own. */
    uint64_t wait_ns, told_ns;
    uint64_t trim_ns; /* CLOCK_MONOTONIC; at the latest */
    unsigned written; /* since it trimmed */
    bool told;        /* that it fails */
};

static void free_list(struct store_entry *list)
{
    while (list != NULL) {
        struct store_entry *next = list->next;

        json_decref(list->report);
        free(list);
        list = next;
    }
}

/* ---- the file, as far as there is one ---- */

/* Under `disk`: opens it (again) unless it is fine. One that appears late must not hold numbers
 * that this start has given already. */
static int stand(struct history *history, struct vf_error *err)
{
    if (history->store != NULL && !store_damaged(history->store) && store_stands(history->store))
        return 0;
    store_close(history->store);
    history->store = NULL;
    if (store_open(history->directory, &history->store, err) != 0)
        return -1;
    if (store_last_event(history->store) <= history->last_event)
        return 0;
    store_close(history->store);
    history->store = NULL;
    return vf_fail(err, VF_FAILED,
                   "%s/" HISTORY_FILE ": was not there when vferryd started" VF_REMEDY
                   "restart vferryd to go on with it",
                   history->directory);
}

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
    (void)pthread_mutex_unlock(&history->disk);
    return false;
}

static void asked(struct history *history)
{
    bool damaged = store_damaged(history->store);

    (void)pthread_mutex_unlock(&history->disk);
    if (!damaged)
        return;
    /* The thread sees to it, not when the next entry comes but now. */
    (void)pthread_mutex_lock(&history->lock);
    history->look = true;
    (void)pthread_cond_signal(&history->wake);
    (void)pthread_mutex_unlock(&history->lock);
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
    (void)pthread_mutex_lock(&history->lock);
    (void)snprintf(history->kernel_side, sizeof history->kernel_side, "%s", kernel_side);
    (void)pthread_mutex_unlock(&history->lock);
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

    (void)pthread_mutex_lock(&history->lock);
    room = entry != NULL && history->waiting < QUEUE_MAX;
    if (room) {
        *history->end = entry;
        history->end = &entry->next;
        history->waiting++;
        history->added++;
        (void)pthread_cond_signal(&history->wake);
    } else {
        history->dropped++;
    }
    (void)pthread_mutex_unlock(&history->lock);
    if (!room)
        free_list(entry);
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
    struct timespec until = vf_timespec(vf_now_ns() + SYNC_NS);
    uint64_t mine;

    if (history == NULL)
        return;
    (void)pthread_mutex_lock(&history->lock);
    mine = history->added;
    while (history->done < mine && !history->ailing &&
           pthread_cond_timedwait(&history->handled, &history->lock, &until) == 0)
        continue;
    (void)pthread_mutex_unlock(&history->lock);
}

/* ---- the thread ---- */

/* All that waits, once there is something to do: write, try again, trim, end. */
static struct store_entry *take(struct history *history, char *kernel_side, bool *closing)
{
    struct store_entry *batch;

    (void)pthread_mutex_lock(&history->lock);
    while (!history->closing && !history->look) {
        uint64_t until_ns = history->trim_ns;
        struct timespec until;

        if (history->waiting > 0 || history->ailing)
            until_ns = history->retry_ns;
        if (until_ns <= vf_now_ns())
            break;
        until = vf_timespec(until_ns);
        (void)pthread_cond_timedwait(&history->wake, &history->lock, &until);
    }
    batch = history->first;
    history->first = NULL;
    history->end = &history->first;
    memcpy(kernel_side, history->kernel_side, sizeof history->kernel_side);
    history->look = false;
    *closing = history->closing;
    (void)pthread_mutex_unlock(&history->lock);
    return batch;
}

/* Portions, with the disk let go in between, until the limits are kept. There is a file: it was
 * written to just now. */
static int trim(struct history *history, struct vf_error *err)
{
    bool more = true;
    int result = 0;

    while (more && result == 0) {
        (void)pthread_mutex_lock(&history->disk);
        result = store_trim(history->store, &history->limits, vf_realtime_ns(), &more, err);
        (void)pthread_mutex_unlock(&history->disk);
        (void)pthread_mutex_lock(&history->lock);
        more = more && !history->closing;
        (void)pthread_mutex_unlock(&history->lock);
    }
    history->trim_ns = vf_now_ns() + TRIM_NS;
    history->written = 0;
    return result;
}

static int write_batch(struct history *history, const struct store_entry *batch,
                       const char *kernel_side, struct vf_error *err)
{
    int result;

    (void)pthread_mutex_lock(&history->disk);
    result = stand(history, err);
    if (result == 0 && batch != NULL)
        result = store_write(history->store, batch, kernel_side, err);
    /* What the damage cost is lost; what comes now goes into a new file. */
    if (result != 0 && history->store != NULL && store_damaged(history->store)) {
        result = stand(history, err);
        if (result == 0 && batch != NULL)
            result = store_write(history->store, batch, kernel_side, err);
    }
    (void)pthread_mutex_unlock(&history->disk);
    return result;
}

static size_t length(const struct store_entry *list)
{
    size_t count = 0;

    for (; list != NULL; list = list->next)
        count++;
    return count;
}

/* It was written. Returns how many entries were dropped before, if that is to be told now. */
static uint64_t gone_well(struct history *history, struct store_entry *batch, bool *was_ailing)
{
    size_t count = length(batch);
    uint64_t dropped = 0;

    free_list(batch);
    history->written += (unsigned)count;
    history->wait_ns = 0;
    (void)pthread_mutex_lock(&history->lock);
    *was_ailing = history->ailing;
    history->ailing = false;
    history->retry_ns = 0;
    history->waiting -= count;
    history->done += count;
    if (history->dropped > 0 &&
        (*was_ailing || history->told_ns == 0 || vf_now_ns() - history->told_ns > TELL_NS)) {
        dropped = history->dropped;
        history->dropped = 0;
    }
    (void)pthread_cond_broadcast(&history->handled);
    (void)pthread_mutex_unlock(&history->lock);
    return dropped;
}

/* It waits in front of what came since. */
static void gone_wrong(struct history *history, struct store_entry *batch)
{
    struct store_entry **end = &batch;

    while (*end != NULL)
        end = &(*end)->next;
    history->wait_ns = history->wait_ns == 0 ? RETRY_NS : 2 * history->wait_ns;
    if (history->wait_ns > RETRY_MAX_NS)
        history->wait_ns = RETRY_MAX_NS;
    (void)pthread_mutex_lock(&history->lock);
    *end = history->first;
    if (history->first == NULL)
        history->end = end == &batch ? &history->first : end;
    history->first = batch;
    history->ailing = true;
    history->retry_ns = vf_now_ns() + history->wait_ns;
    (void)pthread_cond_broadcast(&history->handled);
    (void)pthread_mutex_unlock(&history->lock);
}

/* Once a minute at most, however it comes and goes. */
static bool may_tell(struct history *history)
{
    uint64_t now = vf_now_ns();

    if (history->told_ns != 0 && now - history->told_ns < TELL_NS)
        return false;
    history->told_ns = now;
    history->told = true;
    return true;
}

static void tell_dropped(struct history *history, uint64_t dropped)
{
    history->told_ns = vf_now_ns();
    log_warn("%" PRIu64 " entries of the history were dropped: its disk did not keep up", dropped);
}

/* Who heard that it fails hears that it works. */
static void tell_again(struct history *history, uint64_t dropped)
{
    if (dropped > 0)
        tell_dropped(history, dropped);
    if (history->told)
        log_info("the history is kept again");
    history->told = false;
}

/* False when it is over. */
static bool turn(struct history *history)
{
    char kernel_side[sizeof history->kernel_side];
    struct vf_error err = VF_ERROR_INIT;
    bool closing;
    bool was_ailing = false;
    struct store_entry *batch = take(history, kernel_side, &closing);
    int result = write_batch(history, batch, kernel_side, &err);
    uint64_t dropped = 0;

    if (result == 0)
        dropped = gone_well(history, batch, &was_ailing);
    else
        gone_wrong(history, batch);
    if (result == 0 && (history->written >= TRIM_EVERY || vf_now_ns() >= history->trim_ns))
        result = trim(history, &err);
    if (result != 0 && may_tell(history))
        log_warn("the history is not kept at present, all else goes on: %s", err.text);
    if (result == 0 && was_ailing)
        tell_again(history, dropped);
    else if (dropped > 0)
        tell_dropped(history, dropped);
    return !closing;
}

static void *writer(void *arg)
{
    (void)prctl(PR_SET_NAME, "history");
    while (turn(arg))
        continue;
    return NULL;
}

static void discard(struct history *history)
{
    free_list(history->first);
    store_close(history->store);
    (void)pthread_cond_destroy(&history->handled);
    (void)pthread_cond_destroy(&history->wake);
    (void)pthread_mutex_destroy(&history->lock);
    (void)pthread_mutex_destroy(&history->disk);
    free(history);
}

/* What it holds from before; nothing, if it cannot be used. */
static void look_back(struct history *history)
{
    struct vf_error err = VF_ERROR_INIT;

    history->last_event = UINT64_MAX; /* whatever it holds is from before */
    if (stand(history, &err) == 0) {
        history->last_event = store_last_event(history->store);
        history->last_job = store_last_job(history->store);
        return;
    }
    history->last_event = 0;
    if (may_tell(history))
        log_warn("the history is not kept at present, all else goes on: %s", err.text);
}

int history_open(const char *directory, const struct history_limits *limits, struct history **out,
                 struct vf_error *err)
{
    struct history *history = calloc(1, sizeof *history);

    if (history == NULL)
        return vf_fail(err, VF_FAILED, "history: out of memory");
    (void)snprintf(history->directory, sizeof history->directory, "%s", directory);
    history->limits = *limits;
    history->end = &history->first;
    (void)pthread_mutex_init(&history->disk, NULL);
    (void)pthread_mutex_init(&history->lock, NULL);
    vf_cond_init(&history->wake);
    vf_cond_init(&history->handled);
    look_back(history);
    if (pthread_create(&history->thread, NULL, writer, history) != 0) {
        discard(history);
        return vf_fail(err, VF_FAILED, "history: no thread to be had");
    }
    *out = history;
    return 0;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    (void)pthread_mutex_lock(&history->lock);
    history->closing = true;
    (void)pthread_cond_signal(&history->wake);
    (void)pthread_mutex_unlock(&history->lock);
    (void)pthread_join(history->thread, NULL);
    if (history->waiting > 0)
        log_info("%zu entries of the history could not be kept", history->waiting);
    discard(history);
}
