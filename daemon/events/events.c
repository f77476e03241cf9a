// SPDX-License-Identifier: Apache-2.0
/* The ring of events. See events.h. */
#include "daemon/events/events.h"

#include "base/clock.h"
#include "base/plain.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH 32u
#define OTHER_FETCH_NS 1000000000ull

int events_init(struct events *events)
{
    *events = (struct events){.ring = calloc(EVENTS_KEPT, sizeof *events->ring)};
    vf_lock_init(&events->lock);
    vf_lock_init(&events->kernel_lock);
    vf_cond_init(&events->fetched);
    return events->ring != NULL ? 0 : -1;
}

void events_fini(struct events *events)
{
    vf_cond_fini(&events->fetched);
    vf_lock_fini(&events->kernel_lock);
    vf_lock_fini(&events->lock);
    free(events->ring);
    events->ring = NULL;
}

/* All but its number is filled in. */
static void add(struct events *events, struct event *event)
{
    struct history *history;

    vf_lock(&events->lock);
    event->number = ++events->last;
    events->ring[event->number % EVENTS_KEPT] = *event;
    history = events->history;
    vf_unlock(&events->lock);
    history_add_event(history, event);
}

static void add_text(struct events *events, struct event *event, const char *source,
                     const char *kind, const char *text)
{
    (void)snprintf(event->source, sizeof event->source, "%s", source);
    (void)snprintf(event->kind, sizeof event->kind, "%s", kind);
    (void)vf_plain(text, event->text, sizeof event->text);
    add(events, event);
}

void events_add(struct events *events, const char *source, const char *kind, uint64_t job,
                const char *text)
{
    struct event event = {.time_ns = vf_realtime_ns(), .job = job};

    add_text(events, &event, source, kind, text);
}

void events_keep(struct events *events, struct history *history)
{
    struct event *early = calloc(EVENTS_KEPT, sizeof *early);
    size_t count =
        early != NULL && history != NULL ? events_read(events, 0, early, EVENTS_KEPT) : 0;

    vf_lock(&events->lock);
    events->history = history;
    if (history != NULL) {
        events->last = history_last_event(history);
        memset(events->ring, 0, EVENTS_KEPT * sizeof *events->ring);
    }
    vf_unlock(&events->lock);
    for (size_t i = 0; i < count; i++)
        add(events, &early[i]);
    free(early);
}

void events_log_tap(void *ctx, enum vf_log_level level, const char *room, const char *text)
{
    char line[sizeof((struct event *)0)->text];
    bool moving = strcmp(room, "migrate") == 0 || strcmp(room, "journal") == 0;
    uint64_t job = 0;

    if (level < VF_LOG_WARN)
        return;
    (void)snprintf(line, sizeof line, "%s: %s", room, text);
    if (sscanf(text, "job %" SCNu64, &job) != 1)
        job = 0;
    events_add(ctx, moving ? "migrate" : "vferryd", level == VF_LOG_WARN ? "warning" : "error", job,
               line);
}

void events_mig(void *ctx, const struct mig_event *told)
{
    struct event event = {.time_ns = told->time_ns, .job = told->job};

    add_text(ctx, &event, "migrate", "job", told->text);
}

static void add_kernel(struct events *events, const struct kc_event *told)
{
    struct event event = {.time_ns = told->time_ns, .kernel_number = told->number};

    (void)snprintf(event.source, sizeof event.source, "kernel");
    (void)snprintf(event.kind, sizeof event.kind, "%s", told->kind);
    (void)snprintf(event.text, sizeof event.text, "%s", told->text);
    add(events, &event);
}

/* False when another fetch takes so long that it must be waiting for a kernel side that
 * answers nothing. */
static bool begin_fetch(struct events *events, uint64_t *seen)
{
    const uint64_t until_ns = vf_now_ns() + OTHER_FETCH_NS;
    bool begun;

    vf_lock(&events->kernel_lock);
    while (events->fetching && vf_cond_wait_until(&events->fetched, &events->kernel_lock, until_ns))
        continue;
    begun = !events->fetching;
    events->fetching = true;
    *seen = events->kernel_seen;
    vf_unlock(&events->kernel_lock);
    return begun;
}

static void end_fetch(struct events *events, uint64_t seen)
{
    vf_lock(&events->kernel_lock);
    events->fetching = false;
    events->kernel_seen = seen;
    vf_cond_signal(&events->fetched);
    vf_unlock(&events->kernel_lock);
}

int events_fetch(struct events *events, struct kc *kc, struct vf_error *err)
{
    struct kc_event *list = calloc(FETCH, sizeof *list);
    uint64_t seen;
    size_t count = 0;
    int result = 0;

    if (list == NULL)
        return vf_fail(err, VF_FAILED, "events: " VF_NO_MEMORY);
    if (!begin_fetch(events, &seen)) {
        free(list);
        return 0;
    }
    do {
        result = kc_events(kc, seen, list, FETCH, &count, err);
        for (size_t i = 0; result == 0 && i < count; i++) {
            seen = list[i].number;
            add_kernel(events, &list[i]);
        }
    } while (result == 0 && count == FETCH);
    end_fetch(events, seen);
    free(list);
    return result;
}

size_t events_read(struct events *events, uint64_t after, struct event *out, size_t capacity)
{
    size_t count = 0;
    uint64_t oldest;

    vf_lock(&events->lock);
    oldest = events->last >= EVENTS_KEPT ? events->last - EVENTS_KEPT + 1 : 1;
    for (uint64_t n = after + 1 > oldest ? after + 1 : oldest;
         n <= events->last && count < capacity; n++) {
        /* A place that has another number is from before this start. */
        if (events->ring[n % EVENTS_KEPT].number == n)
            out[count++] = events->ring[n % EVENTS_KEPT];
    }
    vf_unlock(&events->lock);
    return count;
}
