// SPDX-License-Identifier: Apache-2.0
/* From what a person calls a host to its control socket; and whether one that is not there may be
 * just coming up. */
#ifndef CLI_FIND_HOST_H
#define CLI_FIND_HOST_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* What "vferryd --state" of docs/vferryd.service.in says. */
#define FIND_HOST_SERVICE "/var/lib/vferry/control.sock"

/*
 * The control socket of `host`: a state directory, a socket, or a name: of the hosts file
 * (hosts_file.h) or of a running host of this user; the first two need not be there yet. NULL or
 * "": the system's service if it may be used, else the only running host of this user. VF_USAGE
 * when that leaves no or several hosts, VF_UNREACHABLE when none of this name runs.
 */
int find_host(const char *host, char socket[PATH_MAX], struct vf_error *err);

/* The wait for a host that comes up. */
struct host_wait {
    uint64_t begin_ns;
    uint64_t limit_ns; /* of the whole command; 0 = none */
    bool told;
};

/*
 * Nobody answers for `host` (NULL: none was named) at `socket` ("" when not even its place is
 * known). Is it worth another try in a moment? A host that was named may be just starting, as after
 * "vferryd ... &" in the line before: some seconds when there is a sign of it, a word after the
 * first. When false, *err says what to do.
 */
bool host_may_come(struct host_wait *wait, const char *host, const char *socket,
                   struct vf_error *err);

#endif
