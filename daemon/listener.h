// SPDX-License-Identifier: Apache-2.0
/* The port at which other hosts send partitions. */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include "daemon/daemon.h"

/* Keeps back the descriptors with which hosts are told that no other is left, and closes them.
 * Main thread. */
void listener_open(struct daemon *daemon);
void listener_close(struct daemon *daemon);

/* Replaces descriptors that were used up, once there is room. False: there is none yet; call again
 * in a while. Main thread. */
bool listener_restock(struct daemon *daemon);

/* Takes one connection from the listening socket and hands it to the migration side; when no
 * descriptor is left to serve it, it is told so. False: it cannot even be told; leave it waiting
 * for a while. Main thread. */
bool listener_accept(struct daemon *daemon, int listen_fd);

#endif
