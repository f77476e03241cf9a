// SPDX-License-Identifier: Apache-2.0
/* Help texts, made from the table of verbs. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/syntax/verbs.h"

/* Prints help to stdout: of one verb, of the verbs of a group, or of all when both are NULL. */
void help_print(const struct cli_verb *verb, const char *group);

#endif
