// SPDX-License-Identifier: Apache-2.0
/*
 * The host's last 1024 events in one numbered list: the daemon's warnings and errors, its jobs, and
 * what the kernel side tells (triage events, breached rules, faults). For whoever follows; nothing
 * waits for a reader. What lies further back is in the history.
 */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include "base/log.h"
#include "daemon/history/event.h"
#include "daemon/history/history.h"
#include "kernel/client.h"
#include "migrate/migrate.h"

#include <pthread.h>
#include <stdint.h>

#define EVENTS_KEPT 1024u

struct events {
    pthread_mutex_t lock;        /* a leaf: nothing is called with it held */
    uint64_t last;               /* lock: newest number */
    struct event *ring;          /* lock: event n lies at n % EVENTS_KEPT */
    struct history *history;     /* lock: gets each of them; NULL = there is none */
    pthread_mutex_t kernel_lock; /* a leaf: guards what follows */
    pthread_cond_t fetched;      /* a fetch from the kernel side has ended */
    bool fetching;               /* one at a time */
    uint64_t kernel_seen;        /* newest number of the kernel side that was told */
};

/* Brings the kernel side's events in five times a second, whether anybody asks or not: the list is
 * in the order in which things happened, and nothing is lost when nobody looks for long. */
struct events_collector;
/* Main thread; the thread is named "events". The kernel side is process `kernel_pid`: what the
 * history has of it already is not told again. */
int events_collect(struct events *events, const char *kernel_socket, int32_t kernel_pid,
                   struct events_collector **out, struct vf_error *err);
/* Returns when the thread is gone, at once even while the kernel side answers nothing. NULL
 * is allowed. */
void events_collect_stop(struct events_collector *collector);

/* -1: no memory. */
int events_init(struct events *events);
void events_fini(struct events *events);
/* From here on the history gets each event, and those that there are already; numbers go on
 * behind its own. Before anybody has seen one. NULL: it goes away, nobody adds any more but
 * this thread. */
void events_keep(struct events *events, struct history *history);
/* It happens now. `job`: the one that it is about, 0 = none; `source`: who tells of it. Any thread;
 * overlong text is cut. */
void events_add(struct events *events, const char *source, const char *kind, uint64_t job,
                const char *text);
/* For vf_log_tap and mig_config.event; ctx is the struct events. A line of the log has no job but
 * the one that it begins with ("job 7: …"). */
void events_log_tap(void *ctx, enum vf_log_level level, const char *room, const char *text);
void events_mig(void *ctx, const struct mig_event *told);
/* Brings in what the kernel side has told since the last call, each with the time it had there.
 * Leaves it to another thread that does so already and hangs in it. */
int events_fetch(struct events *events, struct kc *kc, struct vf_error *err);
/* Copies events with number > after, oldest first, up to capacity; returns how many. */
size_t events_read(struct events *events, uint64_t after, struct event *out, size_t capacity);

#endif
