// SPDX-License-Identifier: Apache-2.0
/* A move's progress on stdout: one live line on a terminal, else a plain line a phase or round;
 * nothing with --json. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROGRESS_LINE 256u
#define PROGRESS_BAR 40u

struct progress {
    bool quiet;
    bool terminal;
    bool line_open; /* terminal: something stands on the present line */
    char phase[24]; /* of the last line written */
    json_int_t round;
    char waits[224]; /* the same: what it waited for */
};

/* `quiet`: nothing will be shown (--json). */
void progress_init(struct progress *progress, bool quiet);
/* Shows a "progress" object of vferryd (borrowed): on a terminal in the live line, elsewhere only
 * what belongs into a plain line of its own. */
void progress_show(struct progress *progress, const json_t *numbers);
/* Clears the live line, so that what follows begins at the left. */
void progress_end(struct progress *progress);

/* The line for these numbers, cut to `width` columns (0 = not cut). Returns `line`. */
const char *progress_line(const json_t *numbers, size_t width, char line[PROGRESS_LINE]);
/* "[########............]  40 %  ": how much of all that is known to have to cross has. Returns its
 * length, 0 when nothing is known or the terminal has no room for it. */
size_t progress_bar(const json_t *numbers, size_t width, char bar[PROGRESS_BAR]);

#endif
