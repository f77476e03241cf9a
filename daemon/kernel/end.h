// SPDX-License-Identifier: Apache-2.0
/* How the kernel side came to its end: by the status of its process, and by the line that a crash
 * leaves in its log. */
#ifndef DAEMON_KERNEL_END_H
#define DAEMON_KERNEL_END_H

#include "daemon/daemon.h"

/* To call when the kernel side's process has ended and nobody asked it to. Fills *err (VF_FAILED)
 * with the signal or exit code that ended it, and with the DDI that a driver was in, if any.
 * Returns -1. Main thread; reaps the child. */
int kernel_end_fail(const struct daemon *daemon, struct vf_error *err);

#endif
