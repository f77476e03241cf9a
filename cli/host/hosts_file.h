// SPDX-License-Identifier: Apache-2.0
/*
 * The hosts file: what people call their hosts. One section a host:
 *
 *     [left]
 *     socket = /var/lib/vferry      its state directory or control socket, if it is on this machine
 *     address = 10.0.0.1:7001       where others reach it
 *
 * It is $VFERRY_HOSTS when that is set, else $XDG_CONFIG_HOME/vferry/hosts
 * (~/.config/vferry/hosts), else /etc/vferry/hosts: the first that is there, and no other.
 */
#ifndef CLI_HOSTS_H
#define CLI_HOSTS_H

#include "base/error.h"
#include "vferry/vferry.h"

#include <limits.h>
#include <stddef.h>

#define HOSTS_MAX 256u

struct host_entry {
    char name[VF_NAME_BYTES];
    char socket[PATH_MAX]; /* "" = not on this machine */
    char address[256];     /* HOST:PORT; "" = takes no partitions */
};

/* All of them, in the file's order; the caller frees *list, which is NULL when there are none.
 * Without a file there are none. VF_USAGE, with file and line, when it is wrong. */
int hosts_read(struct host_entry **list, size_t *count, struct vf_error *err);
/* One of them: 1 and *out, 0 when no host is called so, -1 as hosts_read. */
int hosts_find(const char *name, struct host_entry *out, struct vf_error *err);

#endif
