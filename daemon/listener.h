// SPDX-License-Identifier: Apache-2.0
/* The port at which other hosts send partitions. */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include "daemon/daemon.h"

/* Takes one connection from the listening socket and hands it to the migration side. False: there
 * is one, but the machine has no descriptor or memory for it; leave it waiting for a while. Main
 * thread. */
bool listener_accept(struct daemon *daemon, int listen_fd);

#endif
