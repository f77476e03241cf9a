// SPDX-License-Identifier: Apache-2.0
/* See complete.h. */
#include "cli/completion/complete.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Longest word that is offered: an address, or a socket's path. */
#define WORD_BYTES 4200u

/* Options of every verb; args.c takes them. */
static const struct cli_option common[] = {
    {VALUE_INPUT, "host", "HOST", NULL, "which host", false},
    {VALUE_SECONDS, "timeout", "TIME", NULL, "how long a silent vferryd is waited for", false},
    {VALUE_FLAG, "json", NULL, NULL, "print one JSON object", false},
    {VALUE_FLAG, "help", NULL, NULL, "explain the verb", false},
    {VALUE_FLAG, "version", NULL, NULL, "print the version", false},
    {VALUE_END},
};

/* What the words before the cursor came to. */
struct place {
    const struct complete_sink *sink;
    const struct cli_verb *verb;
    const char *group;                /* the first of two words, while the second is due */
    const struct cli_option *pending; /* its value is due */
    const char *host;
    size_t positionals;
    uint64_t seen; /* bit i: the verb's i-th option was given */
    bool options_over;
    bool lost; /* nothing can be said of what follows */
};

void complete_offer(const struct complete_sink *sink, const char *before, const char *typed,
                    const char *word, const char *about)
{
    char whole[WORD_BYTES];
    int length = snprintf(whole, sizeof whole, "%s%s", before, word);

    if (strncmp(word, typed, strlen(typed)) == 0 && length > 0 && (size_t)length < sizeof whole)
        sink->word(sink->ctx, whole, about);
}

/* The option that "--word" or "--word=value" names. */
static const struct cli_option *option_of(struct place *place, const char *argument)
{
    const struct cli_option *lists[] = {common, place->verb != NULL ? place->verb->options : NULL};
    size_t length = strcspn(argument + 2, "=");

    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (const struct cli_option *o = lists[l]; o != NULL && o->kind != VALUE_END; o++) {
            if (strlen(o->word) != length || strncmp(o->word, argument + 2, length) != 0)
                continue;
            if (lists[l] != common && o->kind != VALUE_LIST)
                place->seen |= 1ull << (o - lists[l]);
            return o;
        }
    }
    return NULL;
}

static void pass_value(struct place *place, const struct cli_option *option, const char *value)
{
    if (option == &common[0])
        place->host = value;
    place->pending = NULL;
}

static void pass_option(struct place *place, const char *argument)
{
    const struct cli_option *option = option_of(place, argument);
    const char *equals = strchr(argument, '=');

    if (argument[2] == '\0')
        place->options_over = true;
    else if (option == NULL)
        place->lost = true;
    else if (equals != NULL)
        pass_value(place, option, equals + 1);
    else if (option->kind != VALUE_FLAG)
        place->pending = option;
}

static void pass_word(struct place *place, const char *word)
{
    char first[64];
    char second[64];
    int used;

    if (place->verb != NULL) {
        place->positionals++;
        return;
    }
    (void)snprintf(first, sizeof first, "%s", place->group != NULL ? place->group : word);
    (void)snprintf(second, sizeof second, "%s", word);
    place->verb = cli_verb_find(place->group != NULL ? 2 : 1, (char *[]){first, second}, &used);
    if (place->verb == NULL && place->group == NULL && cli_is_group(word))
        place->group = word;
    else if (place->verb == NULL && strcmp(word, "help") != 0)
        place->lost = true;
}

/* "delta|full" names all that the value can be, "HOST:PORT" does not. */
static void offer_choices(const struct complete_sink *sink, const char *metavar, const char *before,
                          const char *typed)
{
    char word[64];

    for (const char *at = metavar; at != NULL; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (!islower((unsigned char)*at))
            continue;
        (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(at, "|"), at);
        complete_offer(sink, before, typed, word, "");
    }
}

/* `before`: what of the word under the cursor is no part of the value, as "--to=". */
static void offer_value(const struct place *place, enum value_kind kind, enum cli_names names,
                        const char *metavar, const char *before, const char *typed)
{
    if (names != NAMES_NONE)
        place->sink->names(place->sink, names, place->host, before, typed);
    else if (kind == VALUE_INPUT || kind == VALUE_OUTPUT)
        place->sink->files(place->sink->ctx, strcmp(metavar, "DIR") == 0);
    else
        offer_choices(place->sink, metavar, before, typed);
}

static void offer_option_value(struct place *place, const char *argument)
{
    const struct cli_option *option = option_of(place, argument);
    size_t length = strcspn(argument, "=") + 1;
    char before[64];

    (void)snprintf(before, sizeof before, "%.*s", (int)length, argument);
    if (option != NULL && option->kind != VALUE_FLAG)
        offer_value(place, option->kind, option->names, option->metavar, before, argument + length);
}

static void offer_options(const struct place *place, const char *typed)
{
    const struct cli_option *own = place->verb != NULL ? place->verb->options : NULL;
    char word[64];

    for (size_t i = 0; own != NULL && own[i].kind != VALUE_END; i++) {
        (void)snprintf(word, sizeof word, "--%s", own[i].word);
        if ((place->seen & 1ull << i) == 0)
            complete_offer(place->sink, "", typed, word, own[i].help);
    }
    for (const struct cli_option *o = common; o->kind != VALUE_END; o++) {
        (void)snprintf(word, sizeof word, "--%s", o->word);
        complete_offer(place->sink, "", typed, word, o->help);
    }
}

/* The first words of all verbs, each once, or the second ones of a group. */
static void offer_verbs(const struct place *place, const char *typed)
{
    size_t group = place->group != NULL ? strlen(place->group) : 0;
    char last[64] = "";
    char word[64];

    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        size_t first = strcspn(verb->words, " ");
        bool two = verb->words[first] == ' ';

        (void)snprintf(word, sizeof word, "%.*s", (int)first, verb->words);
        if (group > 0 && two && strcmp(word, place->group) == 0)
            complete_offer(place->sink, "", typed, verb->words + first + 1, verb->summary);
        else if (group == 0 && strcmp(word, last) != 0)
            complete_offer(place->sink, "", typed, word, two ? "" : verb->summary);
        (void)snprintf(last, sizeof last, "%s", word);
    }
}

static void offer_here(struct place *place, const char *typed)
{
    const struct cli_positional *due =
        place->verb != NULL ? place->verb->positionals : &(struct cli_positional){"", NULL};

    for (size_t i = 0; i < place->positionals && due->metavar != NULL && due->kind != VALUE_LIST;
         i++)
        due++;
    if (place->lost)
        return;
    if (place->pending != NULL)
        offer_value(place, place->pending->kind, place->pending->names, place->pending->metavar, "",
                    typed);
    else if (!place->options_over && strncmp(typed, "--", 2) == 0 && strchr(typed, '=') != NULL)
        offer_option_value(place, typed);
    else if (!place->options_over && typed[0] == '-')
        offer_options(place, typed);
    else if (place->verb == NULL)
        offer_verbs(place, typed);
    else if (due->metavar != NULL)
        offer_value(place, due->kind, due->names, due->metavar, "", typed);
    else if (!place->options_over && typed[0] == '\0')
        offer_options(place, typed);
}

void complete_line(const struct complete_sink *sink, const char *const *words, size_t count)
{
    struct place place = {.sink = sink};

    for (size_t i = 0; i + 1 < count && !place.lost; i++) {
        if (place.pending != NULL)
            pass_value(&place, place.pending, words[i]);
        else if (!place.options_over && strncmp(words[i], "--", 2) == 0)
            pass_option(&place, words[i]);
        else
            pass_word(&place, words[i]);
    }
    if (count > 0)
        offer_here(&place, words[count - 1]);
}
