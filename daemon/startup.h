// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that is told to end before it is up. Until the main loop reads signals a thread does: it
 * asks the start to end, and ends the process when a step of the start hangs (a driver's call that
 * recovery waits for, a kernel side that was stopped).
 */
#ifndef DAEMON_STARTUP_H
#define DAEMON_STARTUP_H

#include "daemon/daemon.h"

/* A start that was told to end has so long for it. */
#define STARTUP_END_NS 8000000000ull

/* Main thread. Reads `signal_fd` from here on until startup_over. Fills daemon->startup. */
int startup_watch(struct daemon *daemon, int signal_fd, struct vf_error *err);
/* Main thread: the main loop reads signals from here on; a SIGHUP that came meanwhile comes again.
 * Without a startup_watch nothing. */
void startup_over(struct daemon *daemon);

#endif
