// SPDX-License-Identifier: Apache-2.0
/* The verb events: what lies back, from the history and the list of this start, and what comes. */
#define LOG_ROOM "host"
#include "base/log.h"
#include "daemon/control/protocol.h"
#include "daemon/jobs.h"
#include "daemon/kernel/watchdog.h"
#include "daemon/verbs/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_MS 100

static json_t *event_object(const struct event *event)
{
    json_t *object = new_result("vferry.event/1");

    put_number(object, "number", event->number);
    put_number(object, "time_ns", event->time_ns);
    put_text(object, "source", event->source);
    put_text(object, "kind", event->kind);
    put_text(object, "text", event->text);
    return object;
}

/* What is asked for, and the events that were found. */
struct search {
    struct request *request;
    struct history_filter filter;
    json_t *jobs;        /* ids of the partition's jobs that are listed */
    struct event *found; /* owned */
    size_t count, capacity;
    bool failed; /* no memory */
};

static void take(void *ctx, const struct event *event)
{
    struct search *search = ctx;

    if (search->count == search->capacity) {
        size_t more = search->capacity == 0 ? EVENTS_KEPT : 2 * search->capacity;
        struct event *found = realloc(search->found, more * sizeof *found);

        if (found == NULL) {
            search->failed = true;
            return;
        }
        search->found = found;
        search->capacity = more;
    }
    search->found[search->count++] = *event;
}

static bool about(const struct search *search, const struct event *event)
{
    json_t *id;
    size_t index;

    if (event_names(event->text, search->filter.partition))
        return true;
    json_array_foreach(search->jobs, index, id) {
        if ((uint64_t)json_integer_value(id) == event->job)
            return true;
    }
    return false;
}

/* The filter of the history's file, for events that did not get there (yet). */
static bool fits(const struct search *search, const struct event *event)
{
    const struct history_filter *filter = &search->filter;

    return event->time_ns >= filter->since_ns && event->time_ns <= filter->until_ns &&
           (filter->kind == NULL || strcmp(event->kind, filter->kind) == 0) &&
           (filter->partition == NULL || about(search, event));
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* All that fit, oldest first; an event may be in the history and in the list. `seen` = newest
 * number of the list. */
static int find(struct search *search, struct event *room, uint64_t *seen, struct vf_error *err)
{
    struct daemon *daemon = search->request->daemon;
    size_t count, kept = 0;

    history_sync(daemon->history);
    count = events_read(&daemon->events, 0, room, EVENTS_KEPT);
    *seen = count > 0 ? room[count - 1].number : 0;
    history_events(daemon->history, &search->filter, search->jobs, take, search);
    for (size_t i = 0; i < count; i++) {
        if (fits(search, &room[i]))
            take(search, &room[i]);
    }
    if (search->failed)
        return vf_fail(err, VF_FAILED, "events: " VF_NO_MEMORY);
    if (search->count > 1)
        qsort(search->found, search->count, sizeof *search->found, by_time);
    for (size_t i = 0; i < search->count; i++) {
        if (kept == 0 || search->found[kept - 1].number != search->found[i].number)
            search->found[kept++] = search->found[i];
    }
    search->count = kept;
    return 0;
}

/* The newest so many of those that were found. */
static size_t first_shown(const struct search *search)
{
    return search->count > search->filter.limit ? search->count - (size_t)search->filter.limit : 0;
}

/* An event is not dropped as a number that the next one replaces: a slow reader is waited for, on
 * this thread. False: it has left. */
static bool send_event(const struct request *request, const struct event *event)
{
    json_t *line = json_pack("{s:o}", "progress", event_object(event));

    return request_send(request, line, CTL_SEND_MS) == 0;
}

/* The partition's jobs come and go while it is followed. */
static void look_at_jobs(struct search *search)
{
    json_decref(search->jobs);
    search->jobs = jobs_of(search->request->daemon, search->filter.partition);
}

/* Brings the kernel side's newest in at once. What it cannot tell now comes by the collector, and
 * the daemon's own events are told whatever it does. */
static void fetch_newest(struct request *request)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc;

    if (watchdog_silent_ns(request->daemon) == 0 &&
        (request_kc(request, &kc, &err) != 0 ||
         events_fetch(&request->daemon->events, kc, &err) != 0))
        log_debug("the kernel side's events come later: %s", err.text);
}

/* Sends what was found and then what is new as progress, until the client leaves. The collector
 * brings the kernel side's. */
static void follow(struct search *search, struct event *room, uint64_t seen)
{
    struct request *request = search->request;
    struct events *events = &request->daemon->events;
    bool reads = true;

    for (size_t i = first_shown(search); i < search->count && reads; i++)
        reads = send_event(request, &search->found[i]);
    while (reads && !request_abandoned(request, FOLLOW_MS)) {
        size_t count;

        /* What was told once keeps its number: it is in the history first. */
        history_sync(request->daemon->history);
        count = events_read(events, seen, room, EVENTS_KEPT);
        if (count > 0)
            look_at_jobs(search);
        for (size_t i = 0; i < count && reads; i++) {
            seen = room[i].number;
            if (fits(search, &room[i]))
                reads = send_event(request, &room[i]);
        }
    }
}

static json_t *answer(const struct search *search)
{
    json_t *result = new_result("vferry.events/1");
    json_t *list = json_array();

    for (size_t i = first_shown(search); i < search->count; i++)
        (void)json_array_append_new(list, event_object(&search->found[i]));
    (void)json_object_set_new(result, "events", list);
    return result;
}

int verb_events(struct request *request, struct vf_error *err)
{
    struct search search = {.request = request};
    struct event *room = calloc(EVENTS_KEPT, sizeof *room);
    uint64_t seen;
    bool wants_more;
    int result = -1;

    if (room == NULL)
        vf_fail(err, VF_FAILED, "events: " VF_NO_MEMORY);
    else if (request_flag(request, "follow", &wants_more, err) == 0 &&
             request_filter(request, EVENTS_KEPT, &search.filter, err) == 0) {
        fetch_newest(request);
        look_at_jobs(&search);
        result = find(&search, room, &seen, err);
        if (result == 0 && wants_more)
            follow(&search, room, seen);
        else if (result == 0)
            request->result = answer(&search);
    }
    json_decref(search.jobs);
    free(search.found);
    free(room);
    return result;
}
