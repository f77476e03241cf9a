// SPDX-License-Identifier: Apache-2.0
/* What the system allows a process. */
#ifndef VF_BASE_LIMITS_H
#define VF_BASE_LIMITS_H

#include "base/error.h"

#include <stdbool.h>

/* Takes as many open files as the hard limit grants: the soft one is low for the sake of select(2),
 * which nothing here uses. Before threads and children; best effort. */
void vf_raise_open_files(void);
/* -1 and VF_FAILED when this process may have fewer than `least` open files; `who` needs them ("a
 * host with 2 adapters"). */
int vf_need_open_files(unsigned least, const char *who, struct vf_error *err);

/* How many processors this process may use: 1 at least. */
unsigned vf_processors(void);

/* Did accept fail because the client has gone again (or a signal came)? Any other errno means that
 * the machine has no room for the connection: it stays in the queue, and whoever accepts must pause
 * for VF_ACCEPT_PAUSE_MS or spin. */
bool vf_accept_withdrawn(int errnum);
#define VF_ACCEPT_PAUSE_MS 200

/* The end of a text about a thread that did not start. */
#define VF_NO_THREAD                                                                               \
    "the system gives no more threads" VF_REMEDY                                                   \
    "give the host a higher limit (TasksMax=, ulimit -u), or try again when less goes on"

/* The end of a text about something for which no descriptor is left. */
#define VF_NO_DESCRIPTOR                                                                           \
    "no descriptor is left" VF_REMEDY                                                              \
    "give the host a higher limit (LimitNOFILE=, ulimit -n), or try again when less goes on"

#endif
