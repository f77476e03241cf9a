// SPDX-License-Identifier: Apache-2.0
/* See events.h. */
#include "kernel/events.h"

#include "base/clock.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ks_events_init(struct ks_events *events)
{
    vf_lock_init(&events->lock);
    events->last = 0;
    memset(&events->limit, 0, sizeof events->limit);
}

void ks_events_destroy(struct ks_events *events)
{
    vf_lock_fini(&events->lock);
}

static void make_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            *text = ' ';
    }
}

/* Under the lock. */
static void add(struct ks_events *events, const char *kind, const char *text)
{
    struct kc_event *event = &events->ring[++events->last % KCALL_MAX_EVENTS];

    *event = (struct kc_event){.number = events->last, .time_ns = vf_realtime_ns()};
    (void)snprintf(event->kind, sizeof event->kind, "%s", kind);
    (void)snprintf(event->text, sizeof event->text, "%s", text);
    make_line(event->kind);
    make_line(event->text);
}

/* Whom it is about stands before the first colon and counts as it is; of the rest, numbers
 * do not. */
static uint64_t key_of(const char *kind, const char *text)
{
    char whom[128];
    size_t length = strcspn(text, ":");
    uint64_t key;

    if (text[length] == '\0' || length >= sizeof whom)
        length = 0; /* about nobody in particular */
    (void)snprintf(whom, sizeof whom, "%.*s", (int)length, text);
    key = vf_limit_key(0, kind, whom, true) ^ vf_limit_key(1, kind, text + length, false);
    return key != 0 ? key : 1;
}

/* Under the lock: what was left out meanwhile. */
static void add_counts(struct ks_events *events)
{
    struct vf_limit_summary out;
    char text[VF_LIMIT_SAMPLE + 80];

    while (vf_limit_due(&events->limit, vf_now_ns(), false, &out)) {
        (void)snprintf(text, sizeof text, "%s (and %" PRIu64 " more like this in %" PRIu64 " s)",
                       out.sample, out.left_out, out.span_ns / 1000000000u);
        add(events, out.room, text);
    }
}

void ks_events_add(struct ks_events *events, const char *kind, const char *text)
{
    vf_lock(&events->lock);
    add_counts(events);
    if (vf_limit_take(&events->limit, key_of(kind, text), vf_now_ns(), 0, kind, text))
        add(events, kind, text);
    vf_unlock(&events->lock);
}

uint32_t ks_events_read(struct ks_events *events, uint64_t after, struct kc_event *out,
                        uint32_t capacity)
{
    uint32_t count = 0;
    uint64_t first;

    vf_lock(&events->lock);
    add_counts(events);
    first = events->last > KCALL_MAX_EVENTS ? events->last - KCALL_MAX_EVENTS + 1 : 1;
    if (after >= first)
        first = after < events->last ? after + 1 : events->last + 1;
    for (; first <= events->last && count < capacity; first++)
        out[count++] = events->ring[first % KCALL_MAX_EVENTS];
    vf_unlock(&events->lock);
    return count;
}
