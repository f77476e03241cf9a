// SPDX-License-Identifier: Apache-2.0
/* What the handlers of verbs share. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/syntax/verbs.h"

/* Prints a result as the command line wishes: as one object, or for people. `result` may
 * be NULL. */
void show_result(const struct command *command, const json_t *result);
/* Prints how a command ended: its result, or the error with what there is of the result; `result`
 * may be NULL. `print_failed`: people see the result of a failure too. */
void show_outcome(const struct command *command, int status, json_t *result, bool print_failed,
                  const struct vf_error *err);
/* With --json: prints the error as the one object of a command that has failed, unless show_outcome
 * has printed one. */
void show_error(const struct vf_error *err);
/* Starts the job that the command's verb asks for, with the descriptor it needs (-1 = none), and
 * follows it to its end; Ctrl-C cancels it. With --detach returns once it has begun. */
int run_job(const struct command *command, int file, struct vf_error *err);
/* migrate of more than one partition: --all, --partition, or several names. */
int migrate_several(const struct command *command, struct vf_error *err);
/* The workload's words as options; its input is not read yet. VF_USAGE as guest_options_parse. */
int work_options(const struct command *command, struct guest_options *options,
                 struct vf_error *err);

#endif
