// SPDX-License-Identifier: Apache-2.0
/* See events.h. */
#include "kernel/events.h"

#include "base/size.h"

#include <stdio.h>
#include <string.h>

void ks_events_init(struct ks_events *events)
{
    (void)pthread_mutex_init(&events->lock, NULL);
    events->last = 0;
}

void ks_events_destroy(struct ks_events *events)
{
    (void)pthread_mutex_destroy(&events->lock);
}

static void make_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            *text = ' ';
    }
}

void ks_events_add(struct ks_events *events, const char *kind, const char *text)
{
    struct kc_event event = {0};

    event.time_ns = vf_realtime_ns();
    (void)snprintf(event.kind, sizeof event.kind, "%s", kind);
    (void)snprintf(event.text, sizeof event.text, "%s", text);
    make_line(event.kind);
    make_line(event.text);
    (void)pthread_mutex_lock(&events->lock);
    event.number = ++events->last;
    events->ring[event.number % KCALL_MAX_EVENTS] = event;
    (void)pthread_mutex_unlock(&events->lock);
}

uint32_t ks_events_read(struct ks_events *events, uint64_t after, struct kc_event *out,
                        uint32_t capacity)
{
    uint32_t count = 0;
    uint64_t first;

    (void)pthread_mutex_lock(&events->lock);
    first = events->last > KCALL_MAX_EVENTS ? events->last - KCALL_MAX_EVENTS + 1 : 1;
    if (after >= first)
        first = after < events->last ? after + 1 : events->last + 1;
    for (; first <= events->last && count < capacity; first++)
        out[count++] = events->ring[first % KCALL_MAX_EVENTS];
    (void)pthread_mutex_unlock(&events->lock);
    return count;
}

void ks_events_untimed(const struct kc_event *events, uint32_t count, struct kcall_event *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i].number = events[i].number;
        memcpy(out[i].kind, events[i].kind, sizeof out[i].kind);
        memcpy(out[i].text, events[i].text, sizeof out[i].text);
    }
}
