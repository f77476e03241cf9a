// SPDX-License-Identifier: Apache-2.0
/* The inside of struct history, for history.c and writer.c. */
#ifndef DAEMON_HISTORY_PRIVATE_H
#define DAEMON_HISTORY_PRIVATE_H

#include "base/service.h"
#include "daemon/history/store.h"

#include <limits.h>
#include <pthread.h>

struct history {
    char directory[PATH_MAX];
    struct history_limits limits;
    uint64_t last_event, last_job; /* before this start */

    pthread_mutex_t disk; /* held over SQL; never taken with service.lock held */
    struct store *store;  /* disk; NULL = there is none at present */

    struct vf_service service; /* its lock is a leaf; guards what follows */
    pthread_cond_t handled;    /* CLOCK_MONOTONIC; `done` or `ailing` changed */
    struct store_entry *first, **end;
    char kernel_side[64];
    size_t waiting;       /* entries in the queue */
    uint64_t added, done; /* entries that were ever queued, and written */
    uint64_t dropped;     /* and those that found no room, since the last word about it */
    uint64_t retry_ns;    /* CLOCK_MONOTONIC; not before */
    bool ailing;          /* the last write failed */
    bool look;            /* a reader found damage */

    /* The thread's own. */
    uint64_t wait_ns, told_ns;
    uint64_t trim_ns; /* CLOCK_MONOTONIC; at the latest */
    unsigned written; /* since it trimmed */
    bool told;        /* that it fails */
};

/* Under `disk`: opens the file (again) unless it is fine. One that appears late must not hold
 * numbers that this start has given already. */
int history_stand(struct history *history, struct vf_error *err);
/* That the history is not kept is told once a minute at most, however it comes and goes. Thread, or
 * before it began. */
bool history_may_tell(struct history *history);
/* The thread; arg is the struct history. */
void *history_writer(void *arg);
void history_free_list(struct store_entry *list);

#endif
