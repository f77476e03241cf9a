// SPDX-License-Identifier: Apache-2.0
/* The host's kernel side as a process: found where it runs, started where it does not. */
#ifndef DAEMON_KERNEL_PROCESS_H
#define DAEMON_KERNEL_PROCESS_H

#include "daemon/config.h"
#include "daemon/daemon.h"

/*
 * Fills daemon->kc, kernel_pid and kernel_pidfd. A kernel side that runs on the directory is used
 * if the config asks for no devices or for those it has, else refused with both named. It forks:
 * the child makes async-signal-safe calls only. It logs to state_dir/kernel.log and outlives this
 * process.
 */
int kernel_process_find_or_start(struct daemon *daemon, const struct config *config,
                                 struct vf_error *err);

/*
 * For a daemon that never became ready: ends the kernel side that it started itself, which nobody
 * else knows of. One that was found stays as it was, and so does one that has got a partition.
 */
void kernel_process_end_started(struct daemon *daemon);

/* Waits until it has ended: 0, or -1 after timeout_ms. */
int kernel_process_wait(const struct daemon *daemon, int timeout_ms);

/* Ends a kernel side that answers nothing, by SIGTERM and then SIGKILL; through its pidfd, so that
 * no other process is met. Returns once it has ended; -1 when even SIGKILL does not end it (it
 * waits for a device). Any thread. */
int kernel_process_kill(const struct daemon *daemon, struct vf_error *err);

#endif
