// SPDX-License-Identifier: Apache-2.0
/* The state directory: made, checked and locked, so that one vferryd at a time works on it. */
#ifndef DAEMON_STATE_DIR_H
#define DAEMON_STATE_DIR_H

#include "daemon/daemon.h"

/* Fills state_dir, state_fd, lock_fd and kernel_socket. A directory that others may write is
 * refused, not changed. */
int state_dir_open(struct daemon *daemon, const char *path, struct vf_error *err);

#endif
