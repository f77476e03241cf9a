// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that is told to end before it is up. Until the main loop reads signals a thread does: it
 * asks the start to end, and ends the process when a step of the start hangs (a driver's call that
 * recovery waits for, a kernel side that was stopped).
 */
#ifndef DAEMON_STARTUP_H
#define DAEMON_STARTUP_H

#include "daemon/daemon.h"

/* How long a start that was told to end may take for that. */
#define STARTUP_END_NS 8000000000ull

/* Starts the thread that reads `signal_fd` until startup_over. Fills daemon->startup.
 * Main thread. */
int startup_watch(struct daemon *daemon, int signal_fd, struct vf_error *err);
/* Ends that thread: the main loop reads signals from here on. A SIGHUP that came meanwhile is sent
 * again. Does nothing unless startup_watch was called. Main thread. */
void startup_over(struct daemon *daemon);

#endif
