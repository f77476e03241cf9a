// SPDX-License-Identifier: Apache-2.0
/* What a command has come to, printed as its command line wishes. One thread. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/syntax/verbs.h"

/* Prints a result: as one object, or for people. `result` may be NULL. */
void show_result(const struct command *command, const json_t *result);
/* Prints an object of a stream (--json --follow): one a line. */
void show_object(const json_t *object);
/* Prints how a command ended: its result, or the error with what there is of the result; `result`
 * may be NULL. `print_failed`: people see the result of a failure too. */
void show_outcome(const struct command *command, int status, json_t *result, bool print_failed,
                  const struct vf_error *err);
/* With --json: prints the error as the one object of a command that has failed, unless show_outcome
 * has printed one. */
void show_error(const struct vf_error *err);

#endif
