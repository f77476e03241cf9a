// SPDX-License-Identifier: Apache-2.0
/* One event: what happened on the host, when, and who says so. */
#ifndef DAEMON_EVENT_H
#define DAEMON_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct event {
    uint64_t number;        /* counts up, over restarts of vferryd too */
    uint64_t time_ns;       /* CLOCK_REALTIME of when it happened */
    uint64_t kernel_number; /* its number on the kernel side; 0 = it is not from there */
    uint64_t job;           /* that it is about; 0 = none */
    char source[16];        /* "vferryd", "kernel", "migrate", …: who tells of it */
    char kind[32];
    char text[800];
};

/* Does the text name the partition, as a word of its own? */
bool event_names(const char *text, const char *partition);

#endif
