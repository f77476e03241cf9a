// SPDX-License-Identifier: Apache-2.0
/* Finding verbs in the table. See verbs.h. */
#include "cli/syntax/verbs.h"

#include <string.h>

/* Length of the first of two words, 0 when there is one only. */
static size_t group_length(const char *words)
{
    const char *space = strchr(words, ' ');

    return space == NULL ? 0 : (size_t)(space - words);
}

static bool starts_with_group(const struct cli_verb *verb, const char *word)
{
    size_t length = group_length(verb->words);

    return length > 0 && strlen(word) == length && strncmp(verb->words, word, length) == 0;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *used)
{
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        size_t group = group_length(verb->words);

        *used = group > 0 ? 2 : 1;
        if (argc < *used)
            continue;
        if (group > 0 ? starts_with_group(verb, argv[0]) &&
                            strcmp(verb->words + group + 1, argv[1]) == 0
                      : strcmp(verb->words, argv[0]) == 0)
            return verb;
    }
    return NULL;
}

const struct cli_verb *cli_verb_named(const char *words)
{
    const struct cli_verb *verb = cli_verbs;

    while (verb->words != NULL && strcmp(verb->words, words) != 0)
        verb++;
    return verb;
}

bool cli_is_group(const char *word)
{
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        if (starts_with_group(verb, word))
            return true;
    }
    return false;
}
