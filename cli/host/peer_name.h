// SPDX-License-Identifier: Apache-2.0
/* Where a host is reached that a command names as its target: by HOST:PORT, or by a name of the
 * hosts file, or by the name of a running host of this user. */
#ifndef CLI_PEER_NAME_H
#define CLI_PEER_NAME_H

#include "cli/syntax/verbs.h"

/* Replaces names by HOST:PORT in every argument of the command that is another host's. VF_USAGE
 * when nobody is called so, or takes no partitions; VF_UNREACHABLE when a host that runs here does
 * not answer. Says nothing of what is HOST:PORT: the daemon judges that. */
int peer_names_resolve(struct command *command, struct vf_error *err);

#endif
