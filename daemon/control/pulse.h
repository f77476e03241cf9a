// SPDX-License-Identifier: Apache-2.0
/*
 * Signs of life: while a request is worked on, a client that asked for it ("alive": true) is told
 * once a second that this vferryd lives, and what it waits for if that ought to have answered long
 * ago. So a command waits as long as its work takes, and no longer when nothing works.
 */
#ifndef DAEMON_PULSE_H
#define DAEMON_PULSE_H

#include "base/error.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* One request whose client wants signs of life. Its owner makes it with PULSE_BEAT_INIT. */
struct pulse_beat {
    int fd;                  /* the client's socket */
    pthread_mutex_t sending; /* held while a line is sent there: lines never mix */
    char waits[256];         /* sending: what this request waits for */
    uint64_t waits_ns;       /* sending: when that was so */
    struct pulse_beat *next; /* pulse's lock */
};

#define PULSE_BEAT_INIT(socket)                                                                    \
    {                                                                                              \
        .fd = (socket), .sending = VF_LOCK_INITIALIZER                                             \
    }

struct pulse;

/* Starts the thread that sends signs of life, named "pulse". The caller closes *out. */
int pulse_open(struct pulse **out, struct vf_error *err);
/* Ends that thread, once all requests have ended. NULL is allowed. */
void pulse_close(struct pulse *pulse);

/* The client of `beat` gets signs of life from here on until pulse_end. A NULL pulse sends none. */
void pulse_begin(struct pulse *pulse, struct pulse_beat *beat);
/* Returns when no sign of life is under way to that client, and none will follow. */
void pulse_end(struct pulse *pulse, struct pulse_beat *beat);

/*
 * Any thread: what the host waits for that ought to answer at once, as one clause ("the kernel
 * side, pid 7, has not answered for 4 s"); NULL = nothing, it answers again. Clients hear it with
 * the next sign of life, and do not take that for progress. A NULL pulse is allowed.
 */
void pulse_stuck(struct pulse *pulse, const char *what);

/* The request's thread: what it waits for itself, as such a clause. Told for as long as it is said
 * twice a second. */
void pulse_waits(struct pulse_beat *beat, const char *what);

#endif
