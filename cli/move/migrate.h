// SPDX-License-Identifier: Apache-2.0
/* Jobs begun and followed from the command line: a move, a save, a restore, or several moves. */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include "cli/syntax/verbs.h"

/* Starts the job that the command's verb asks for, with the descriptor it needs (-1 = none), and
 * follows it to its end; Ctrl-C cancels it. With --detach returns once it has begun. */
int run_job(const struct command *command, int file, struct vf_error *err);
/* migrate of more than one partition: --all, --partition, or several names. */
int migrate_several(const struct command *command, struct vf_error *err);

#endif
