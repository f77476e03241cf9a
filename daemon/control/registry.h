// SPDX-License-Identifier: Apache-2.0
/*
 * The running hosts of this user, by name: vferryd enters itself at its start, vferry finds it by
 * "--host NAME". A directory of symbolic links NAME -> DIR/control.sock, $XDG_RUNTIME_DIR/vferry
 * or, without that, $TMPDIR/vferry-UID (/tmp where TMPDIR is not set). It must be ours alone:
 * whatever else lies there is not looked at. Any thread; no lock, the file system is the datum.
 */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include "base/error.h"
#include "vferry/vferry.h"

#include <limits.h>
#include <stddef.h>

struct registry_entry {
    char name[VF_NAME_BYTES];
    char socket[PATH_MAX]; /* its control socket */
};

/* Enters a host under its name. -1 when there is no safe directory, or when another host that runs
 * has the name: it is not found by it then, and no worse off otherwise. */
int registry_enter(const char *name, const char *socket, struct vf_error *err);
/* Takes the entry away again, if it still leads to this socket. */
void registry_leave(const char *name, const char *socket);
/* The hosts that run, by name, up to capacity; returns how many. Entries of those that have ended
 * without a word are removed. */
size_t registry_list(struct registry_entry *out, size_t capacity);

#endif
