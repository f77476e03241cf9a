// SPDX-License-Identifier: Apache-2.0
/* From the command line's words to a command, by the table of verbs. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "cli/syntax/verbs.h"

enum args_action {
    ARGS_RUN,
    ARGS_HELP, /* command->verb, or all of vferry when NULL */
    ARGS_VERSION,
};

/* Fills *command, on which the caller calls args_free in any case. VF_USAGE with one line for
 * whatever is wrong. `help_group` gets the first of two words when help is asked for a group
 * ("vferry partition --help"), else NULL. */
int args_parse(int argc, char **argv, struct command *command, enum args_action *action,
               const char **help_group, struct vf_error *err);
void args_free(struct command *command);
/* The workload's words as options; its input is not read yet. VF_USAGE as guest_options_parse. */
int args_work(const struct command *command, struct guest_options *options, struct vf_error *err);

#endif
