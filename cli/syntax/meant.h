// SPDX-License-Identifier: Apache-2.0
/* What a person may have meant by words that the table of verbs does not have. */
#ifndef CLI_MEANT_H
#define CLI_MEANT_H

#include "cli/syntax/verbs.h"

#define MEANT_BYTES 64u

/* Each writes "did you mean "...": else " for a remedy, or "" when nothing is close; returns
 * `text`. `words` are the first words of the command line that are no options. */
const char *meant_verb(int count, char **words, char text[MEANT_BYTES]);
/* `word` is without its dashes; verb NULL: only what every verb takes. */
const char *meant_option(const struct cli_verb *verb, const char *word, size_t length,
                         char text[MEANT_BYTES]);

#endif
