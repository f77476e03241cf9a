// SPDX-License-Identifier: Apache-2.0
/* See style.h. */
#include "cli/output/style.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define CYAN "\033[36m"

static const struct {
    const char *word, *colour;
} colours[] = {
    {"running", GREEN},        {"completed", GREEN},  {"replaced", GREEN}, {"moved", GREEN},
    {"paused", YELLOW},        {"cancelled", YELLOW}, {"unknown", YELLOW}, {"skipped", YELLOW},
    {"outgoing", CYAN},        {"incoming", CYAN},    {"ready", CYAN},     {"building", CYAN},
    {"outgoing-paused", CYAN}, {"failed", RED},       {"faulted", RED},    {"lost", RED},
    {"rolled-back", RED},      {"refused", RED},
};

bool style_terminal(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) == 1 && term != NULL && term[0] != '\0' &&
           strcmp(term, "dumb") != 0;
}

/* Is it such a terminal, and does its person want colours (NO_COLOR is not set, or empty)? */
static bool wants_colours(void)
{
    const char *none = getenv("NO_COLOR");

    return style_terminal() && (none == NULL || none[0] == '\0');
}

const char *style_of(const char *word)
{
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        if (strcmp(colours[i].word, word) == 0)
            return wants_colours() ? colours[i].colour : "";
    }
    return "";
}

const char *style_end(const char *begun)
{
    return begun[0] != '\0' ? "\033[0m" : "";
}
