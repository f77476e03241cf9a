// SPDX-License-Identifier: Apache-2.0
/* The thread that brings the kernel side's events in. See events.h. */
#define LOG_ROOM "events"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/events/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define EVERY_NS 200000000u

struct events_collector {
    struct events *events;
    struct kc *kc; /* of its own: a call that hangs here holds nobody else up */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* CLOCK_MONOTONIC; `stop` was set */
    bool stop;           /* lock */
};

/* False once it is to end. */
static bool nap(struct events_collector *collector)
{
    const uint64_t until_ns = vf_now_ns() + EVERY_NS;
    bool stop;

    vf_lock(&collector->lock);
    while (!collector->stop && vf_cond_wait_until(&collector->wake, &collector->lock, until_ns))
        continue;
    stop = collector->stop;
    vf_unlock(&collector->lock);
    return !stop;
}

static void *collect(void *arg)
{
    struct events_collector *collector = arg;
    struct vf_error err = VF_ERROR_INIT;

    (void)prctl(PR_SET_NAME, "events");
    /* A kernel side that is gone ends the host, and with it this thread; said for who looks. */
    do {
        if (events_fetch(collector->events, collector->kc, &err) != 0) {
            log_debug("no more events of the kernel side: %s", err.text);
            break;
        }
    } while (nap(collector));
    return NULL;
}

/* A text that no other kernel side ever has: its number, and when it began (in clock ticks since
 * the machine's start). */
static void name_kernel_side(int32_t pid, char *name, size_t bytes)
{
    uint64_t began = 0;
    char path[32];
    char line[512] = "";
    const char *fields;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (file != NULL) {
        /* Its name stands in brackets and may hold anything; 19 fields lie between it and ours. */
        if (fgets(line, sizeof line, file) == NULL || (fields = strrchr(line, ')')) == NULL ||
            sscanf(fields + 1,
                   " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                   "%" SCNu64,
                   &began) != 1)
            began = 0;
        (void)fclose(file);
    }
    (void)snprintf(name, bytes, "%d@%" PRIu64, pid, began);
}

/* Its thread does not run. NULL is allowed. */
static void collector_free(struct events_collector *collector)
{
    if (collector == NULL)
        return;
    kc_close(collector->kc);
    vf_cond_fini(&collector->wake);
    vf_lock_fini(&collector->lock);
    free(collector);
}
VF_CLEANUP(struct events_collector, collector_free)

int events_collect(struct events *events, const char *kernel_socket, int32_t kernel_pid,
                   struct events_collector **out, struct vf_error *err)
{
    cleanup_with(collector_free) struct events_collector *collector = calloc(1, sizeof *collector);
    char kernel_side[64];
    uint64_t seen;

    if (collector == NULL)
        return vf_fail(err, VF_FAILED, "events: " VF_NO_MEMORY);
    vf_lock_init(&collector->lock);
    vf_cond_init(&collector->wake);
    collector->events = events;
    name_kernel_side(kernel_pid, kernel_side, sizeof kernel_side);
    seen = history_kernel_seen(events->history, kernel_side);
    vf_lock(&events->kernel_lock);
    events->kernel_seen = seen;
    vf_unlock(&events->kernel_lock);
    if (kc_connect(kernel_socket, &collector->kc, err) != 0)
        return -1;
    if (pthread_create(&collector->thread, NULL, collect, collector) != 0)
        return vf_fail(err, VF_FAILED, "events: " VF_NO_THREAD);
    *out = vf_take_ptr(collector);
    return 0;
}

void events_collect_stop(struct events_collector *collector)
{
    if (collector == NULL)
        return;
    vf_lock(&collector->lock);
    collector->stop = true;
    vf_cond_broadcast(&collector->wake);
    vf_unlock(&collector->lock);
    kc_abort(collector->kc);
    (void)pthread_join(collector->thread, NULL);
    collector_free(collector);
}
