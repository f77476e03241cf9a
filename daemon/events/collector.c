// SPDX-License-Identifier: Apache-2.0
/* The thread that brings the kernel side's events in. See events.h. */
#define LOG_ROOM "events"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/service.h"
#include "daemon/events/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_NS 200000000u

struct events_collector {
    struct events *events;
    struct kc *kc; /* of its own: a call that hangs here holds nobody else up */
    struct vf_service service;
};

static void *collect(void *arg)
{
    struct events_collector *collector = arg;
    struct vf_error err = VF_ERROR_INIT;

    /* A kernel side that is gone ends the host, and with it this thread; said for who looks. */
    do {
        if (events_fetch(collector->events, collector->kc, &err) != 0) {
            log_debug("no more events of the kernel side: %s", err.text);
            break;
        }
    } while (vf_service_nap(&collector->service, EVERY_NS));
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

void events_collect_stop(struct events_collector *collector)
{
    if (collector == NULL)
        return;
    if (collector->kc != NULL)
        kc_abort(collector->kc);
    vf_service_stop(&collector->service);
    kc_close(collector->kc);
    free(collector);
}
VF_CLEANUP(struct events_collector, events_collect_stop)

int events_collect(struct events *events, const char *kernel_socket, int32_t kernel_pid,
                   struct events_collector **out, struct vf_error *err)
{
    cleanup_with(events_collect_stop) struct events_collector *collector =
        calloc(1, sizeof *collector);
    char kernel_side[64];
    uint64_t seen;

    if (collector == NULL)
        return vf_fail(err, VF_FAILED, "events: " VF_NO_MEMORY);
    collector->events = events;
    name_kernel_side(kernel_pid, kernel_side, sizeof kernel_side);
    seen = history_kernel_seen(events->history, kernel_side);
    vf_lock(&events->kernel_lock);
    events->kernel_seen = seen;
    vf_unlock(&events->kernel_lock);
    if (kc_connect(kernel_socket, &collector->kc, err) != 0 ||
        vf_service_start(&collector->service, "events", collect, collector, err) != 0)
        return -1;
    *out = vf_take_ptr(collector);
    return 0;
}
