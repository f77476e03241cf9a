// SPDX-License-Identifier: Apache-2.0
/* What a terminal can do, and colours for words that say how something stands. Nothing of it goes
 * to a file or a pipe. */
#ifndef CLI_STYLE_H
#define CLI_STYLE_H

#include <stdbool.h>

/* Is stdout a terminal that takes escape sequences (TERM is set and not "dumb")? */
bool style_terminal(void);

/* The sequence before a status or state, e.g. "failed": "" without colours and for other words. End
 * it by style_end. Both are static. */
const char *style_of(const char *word);
const char *style_end(const char *begun);

#endif
