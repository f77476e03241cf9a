// SPDX-License-Identifier: Apache-2.0
/* Long texts on a terminal: broken between words, so that no line is wider than it. */
#ifndef CLI_WRAP_H
#define CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

/* How many columns the terminal has that `to` is; SIZE_MAX where nobody minds (a file, a pipe). */
size_t wrap_room(FILE *to);

/* Writes the text to `to`, where `used` columns of the line are taken already; what does not fit
 * goes on in further lines, `indent` columns from the left. A word that is wider than a line is
 * broken too. Ends no line. */
void wrap_text(FILE *to, const char *text, size_t used, size_t indent);

#endif
