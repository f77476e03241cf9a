// SPDX-License-Identifier: Apache-2.0
/* The kernel side's last 1024 events, numbered from 1, kept for clients that ask for them. An event
 * that repeats itself, as a guest's or a driver's fault may without end, is kept less and less
 * often, with a count (base/log_limit.h). Any thread; adding never waits for a reader's I/O. */
#ifndef KERNEL_EVENTS_H
#define KERNEL_EVENTS_H

#include "base/log_limit.h"
#include "kernel/call.h"

#include <pthread.h>

struct ks_events {
    pthread_mutex_t lock;
    uint64_t last;                          /* lock: number of the newest, 0 = none yet */
    struct kc_event ring[KCALL_MAX_EVENTS]; /* lock: event n lies at n % KCALL_MAX_EVENTS */
    struct vf_limit limit;                  /* lock: of one kind, about one adapter or partition */
};

/* Before other threads know of it, and when they do no longer. */
void ks_events_init(struct ks_events *events);
void ks_events_destroy(struct ks_events *events);
/* Overlong text is cut; control characters become spaces, so that an event stays one line. */
void ks_events_add(struct ks_events *events, const char *kind, const char *text);
/* Copies events with number > after, oldest first, up to capacity; returns how many. */
uint32_t ks_events_read(struct ks_events *events, uint64_t after, struct kc_event *out,
                        uint32_t capacity);

#endif
