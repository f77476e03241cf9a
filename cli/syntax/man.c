// SPDX-License-Identifier: Apache-2.0
/*
 * vferry-man: makes the manual page from its hand-written part, when vferry is built. A line
 * "@VERB partition create@" becomes that verb's entry, out of the table that --help reads too: its
 * words, what it does, its options. What stands below such a line adds to the entry.
 * Usage: vferry-man vferry.1.in, the page goes to stdout.
 */
#include "cli/syntax/verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options that a verb may have besides the required ones until its entry says "options" only. */
#define OPTIONS_IN_HEAD 3u
#define MARK "@VERB "

/* Does a sentence end before the blank at `at`? */
static bool ends_sentence(const char *text, size_t at, size_t length)
{
    return at > 0 && at + 1 < length && text[at] == ' ' && strchr(".?!", text[at - 1]) != NULL &&
           isupper((unsigned char)text[at + 1]);
}

/* Text as mdoc takes it: no backslash or leading dot means anything, dashes stay dashes, a sentence
 * begins a line. */
static void put_text(const char *text, size_t length)
{
    if (length > 0 && (text[0] == '.' || text[0] == '\''))
        (void)fputs("\\&", stdout);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\')
            (void)fputs("\\e", stdout);
        else if (text[i] == '-' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '-'))
            (void)fputs("\\-", stdout);
        else
            (void)fputc(ends_sentence(text, i, length) ? '\n' : text[i], stdout);
    }
}

/* A line of the table as a sentence. "diffuse: the picture" begins with a word of its own. */
static void put_sentence(const char *text)
{
    size_t length = strlen(text);
    size_t word = strcspn(text, " ");
    bool named = word > 0 && (text[word - 1] == ':' || text[word - 1] == ',');

    if (!named && islower((unsigned char)text[0])) {
        (void)fputc(toupper((unsigned char)text[0]), stdout);
        text++;
        length--;
    }
    put_text(text, length);
    if (length > 0 && strchr(".?!", text[length - 1]) == NULL)
        (void)fputc('.', stdout);
    (void)fputc('\n', stdout);
}

/* The lines of verb->more: indented ones keep their places. */
static void put_more(const char *more)
{
    bool literal = false;

    while (*more != '\0') {
        size_t length = strcspn(more, "\n");
        bool indented = more[0] == ' ';

        if (indented != literal)
            (void)puts(indented ? ".Bd -literal" : ".Ed");
        literal = indented;
        put_text(more, length);
        (void)fputc('\n', stdout);
        more += length + (more[length] == '\n');
    }
    if (literal)
        (void)puts(".Ed");
}

static void put_option(const struct cli_option *option)
{
    (void)printf("Fl Fl %s", option->word);
    if (option->metavar != NULL)
        (void)printf(" Ar %s", option->metavar);
}

static void put_head(const struct cli_verb *verb)
{
    size_t optional = 0;

    (void)printf(".It Cm %s", verb->words);
    for (const struct cli_positional *p = verb->positionals; p->metavar != NULL; p++)
        (void)printf(" Ar %s", p->metavar);
    for (const struct cli_option *o = verb->options; o != NULL && o->kind != VALUE_END; o++) {
        optional += !o->required;
        if (!o->required)
            continue;
        (void)fputc(' ', stdout);
        put_option(o);
        (void)fputs(o->kind == VALUE_LIST ? " ..." : "", stdout);
    }
    if (optional > OPTIONS_IN_HEAD)
        (void)fputs(" Op Ar options", stdout);
    for (const struct cli_option *o = verb->options;
         optional <= OPTIONS_IN_HEAD && o != NULL && o->kind != VALUE_END; o++) {
        if (o->required)
            continue;
        (void)fputs(" Oo ", stdout);
        put_option(o);
        (void)fputs(o->kind == VALUE_LIST ? " Oc ..." : " Oc", stdout);
    }
    (void)fputc('\n', stdout);
}

static void put_options(const struct cli_option *options)
{
    if (options == NULL || options->kind == VALUE_END)
        return;
    (void)puts(".Bl -tag -width Ds -compact");
    for (; options->kind != VALUE_END; options++) {
        (void)fputs(".It ", stdout);
        put_option(options);
        (void)fputc('\n', stdout);
        put_sentence(options->help);
    }
    (void)puts(".El");
}

static void put_verb(const struct cli_verb *verb)
{
    put_head(verb);
    put_sentence(verb->summary);
    if (verb->more != NULL)
        put_more(verb->more);
    put_options(verb->options);
}

/* `words` is what stands between "@VERB " and "@". */
static const struct cli_verb *verb_of(const char *words)
{
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        if (strcmp(verb->words, words) == 0)
            return verb;
    }
    return NULL;
}

static int put_line(const char *path, unsigned number, char *line)
{
    const struct cli_verb *verb;
    char *end;

    if (strncmp(line, MARK, sizeof MARK - 1) != 0) {
        (void)fputs(line, stdout);
        return 0;
    }
    end = strchr(line + sizeof MARK - 1, '@');
    if (end != NULL)
        *end = '\0';
    verb = verb_of(line + sizeof MARK - 1);
    if (end == NULL || verb == NULL) {
        (void)fprintf(stderr, "%s:%u: no such verb in cli/syntax/verb_table.c\n", path, number);
        return -1;
    }
    put_verb(verb);
    return 0;
}

int main(int argc, char **argv)
{
    FILE *page = argc == 2 ? fopen(argv[1], "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    unsigned number = 0;
    int result = 0;

    if (page == NULL) {
        (void)fprintf(stderr, "usage: vferry-man vferry.1.in\n");
        return VF_USAGE;
    }
    while (result == 0 && getline(&line, &room, page) > 0)
        result = put_line(argv[1], ++number, line);
    free(line);
    if (fclose(page) != 0 || fflush(stdout) != 0)
        result = -1;
    return result == 0 ? VF_OK : VF_FAILED;
}
