// SPDX-License-Identifier: Apache-2.0
/* The host's kernel side as a process: found where it runs, started where it does not. */
#ifndef DAEMON_KERNEL_PROCESS_H
#define DAEMON_KERNEL_PROCESS_H

#include "daemon/config.h"
#include "daemon/daemon.h"

/*
 * Fills daemon->kc, kernel_pid and kernel_pidfd. A kernel side that runs on the directory is used
 * if the config asks for no devices or for those it has, else refused with both named. Before
 * threads start: it forks. A started kernel side logs to state_dir/kernel.log and outlives this
 * process.
 */
int kernel_process_find_or_start(struct daemon *daemon, const struct config *config,
                                 struct vf_error *err);

/* Waits until it has ended: 0, or -1 after timeout_ms. */
int kernel_process_wait(const struct daemon *daemon, int timeout_ms);

#endif
