// SPDX-License-Identifier: Apache-2.0
/* How the kernel side came to its end: by the status of its process, and by the line that a crash
 * leaves in its log. */
#ifndef DAEMON_KERNEL_END_H
#define DAEMON_KERNEL_END_H

#include "daemon/daemon.h"

/* Its process has ended, unasked: fills *err (VF_FAILED) with the signal, and where a driver was in
 * a DDI, with that. Main thread; takes the child's status. Returns -1. */
int kernel_end_fail(const struct daemon *daemon, struct vf_error *err);

#endif
