// SPDX-License-Identifier: Apache-2.0
/* See meant.h. */
#include "cli/syntax/meant.h"

#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

#define MAX_VERBS 128u

static const char *say(const char *before, const char *meant, char text[MEANT_BYTES])
{
    text[0] = '\0';
    if (meant != NULL)
        (void)snprintf(text, MEANT_BYTES, "did you mean \"%s%s\"? else ", before, meant);
    return text;
}

/* "create" alone, where one verb only ends so. */
static const char *only_verb_ending(const char *word)
{
    const char *found = NULL;

    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        const char *space = strchr(verb->words, ' ');

        if (space == NULL || strcmp(space + 1, word) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = verb->words;
    }
    return found;
}

/* The verbs' first words, or the second ones of a group. */
static const char *nearest_word(const char *word, const char *group)
{
    static char words[MAX_VERBS][24];
    struct vf_nearest nearest = {.word = word, .length = strlen(word)};
    size_t length = group != NULL ? strlen(group) : 0;
    size_t count = 0;

    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL && count < MAX_VERBS;
         verb++) {
        const char *from = verb->words;

        if (group != NULL) {
            if (strncmp(from, group, length) != 0 || from[length] != ' ')
                continue;
            from += length + 1;
        }
        (void)snprintf(words[count], sizeof words[count], "%.*s", (int)strcspn(from, " "), from);
        vf_nearest_try(&nearest, words[count++]);
    }
    return vf_nearest(&nearest);
}

const char *meant_verb(int count, char **words, char text[MEANT_BYTES])
{
    char before[32] = "";
    const char *meant;

    if (!cli_is_group(words[0])) {
        meant = nearest_word(words[0], NULL);
        return say("", meant != NULL ? meant : only_verb_ending(words[0]), text);
    }
    (void)snprintf(before, sizeof before, "%.30s ", words[0]);
    return say(before, count > 1 ? nearest_word(words[1], words[0]) : NULL, text);
}

const char *meant_option(const struct cli_verb *verb, const char *word, size_t length,
                         char text[MEANT_BYTES])
{
    static const char *const common[] = {"host", "json", "timeout", "help", "version"};
    struct vf_nearest nearest = {.word = word, .length = length};

    for (size_t i = 0; verb != NULL && verb->options != NULL && verb->options[i].kind != VALUE_END;
         i++)
        vf_nearest_try(&nearest, verb->options[i].word);
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        vf_nearest_try(&nearest, common[i]);
    return say("--", vf_nearest(&nearest), text);
}
