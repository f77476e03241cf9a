// SPDX-License-Identifier: Apache-2.0
/* What may stand at the cursor of a half-written command line, by the table of verbs. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/syntax/verbs.h"

#include <stdbool.h>
#include <stddef.h>

/* Where candidates go. All are called on the caller's thread, in the order of the table. */
struct complete_sink {
    void *ctx;
    /* A word that fits what is typed, and a few words about it ("" = none). */
    void (*word)(void *ctx, const char *word, const char *about);
    /* A name is due, and `typed` is what there is of it: give those that begin so to
     * complete_offer. `host`: what --host said, or NULL. */
    void (*names)(const struct complete_sink *sink, enum cli_names names, const char *host,
                  const char *before, const char *typed);
    /* A path is due. */
    void (*files)(void *ctx, bool directories);
};

/* `words` follow "vferry"; the last one, which may be empty, is the one under the cursor. */
void complete_line(const struct complete_sink *sink, const char *const *words, size_t count);
/* Passes `before` and `word` on as one when `word` begins with `typed`. */
void complete_offer(const struct complete_sink *sink, const char *before, const char *typed,
                    const char *word, const char *about);

/* A shell's script, out of this folder. */
struct completion_script {
    const char *shell; /* NULL = there is no more */
    const char *text;
};
extern const struct completion_script completion_scripts[];

/* The commands that no help lists: "completion SHELL" prints a shell's script, "__complete -- WORD
 * ..." is what the scripts ask. -1 = it is neither, else the exit code. */
int completion_command(int argc, char **argv);

#endif
