// SPDX-License-Identifier: Apache-2.0
/* The port at which other hosts send partitions. */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include "daemon/daemon.h"

/* Keeps descriptors back, and gives them up. Main thread. */
void listener_open(struct daemon *daemon);
void listener_close(struct daemon *daemon);

/* Keeps back again what was used, once there is room. False: not yet, ask again in a while. Main
 * thread. */
bool listener_restock(struct daemon *daemon);

/* Takes one connection from the listening socket and hands it to the migration side; when no
 * descriptor is left to serve it, it is told so. False: it cannot even be told; leave it waiting
 * for a while. Main thread. */
bool listener_accept(struct daemon *daemon, int listen_fd);

#endif
