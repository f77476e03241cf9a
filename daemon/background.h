// SPDX-License-Identifier: Apache-2.0
/*
 * vferryd --background: the process that a person started returns when the daemon, its child in a
 * session of its own, is ready, or says why it is not. All functions: main thread.
 */
#ifndef DAEMON_BACKGROUND_H
#define DAEMON_BACKGROUND_H

#include "base/error.h"

#include <stdbool.h>

/*
 * Forks; before threads and children. In the child: 0, and it is detached from terminal and
 * session, with stdin and stdout at /dev/null. The parent does not return: it waits for the child's
 * word, prints its line, and exits with its code.
 */
int background_start(struct vf_error *err);

/* From here on stderr is DIR/vferryd.log, appended to. Does nothing in the foreground. */
int background_log(const char *state_dir, int state_fd, struct vf_error *err);

/* The daemon is ready: has the parent say so and exit with 0. -1 when somebody has ended the parent
 * meanwhile: then nobody wants this daemon. Does nothing in the foreground. */
int background_ready(const char *host, const char *state_dir, struct vf_error *err);

/* The daemon ends: a parent that still waits says why. True when there was one; else it is for the
 * caller to say. */
bool background_failed(const struct vf_error *why);

#endif
