// SPDX-License-Identifier: Apache-2.0
/* See help.h. */
#include "cli/syntax/help.h"

#include <stdio.h>
#include <string.h>

#define USAGE_COLUMNS 80u
#define USAGE_INDENT 7u   /* as wide as "usage: " */
#define SUMMARY_COLUMN 18 /* the longest verb and two blanks */

/* Appends a piece to the present line, or begins another one where the first word stands. */
static void put_piece(size_t *column, const char *piece)
{
    if (*column + 1 + strlen(piece) > USAGE_COLUMNS) {
        (void)printf("\n%*s", (int)USAGE_INDENT - 1, "");
        *column = USAGE_INDENT - 1;
    }
    (void)fputc(' ', stdout);
    (void)fputs(piece, stdout);
    *column += 1 + strlen(piece);
}

static void print_usage(const struct cli_verb *verb)
{
    char piece[64];
    size_t column = USAGE_INDENT - 1;

    (void)printf("usage:");
    put_piece(&column, "vferry [--host HOST] [--json]");
    put_piece(&column, verb->words);
    for (const struct cli_positional *p = verb->positionals; p->metavar != NULL; p++)
        put_piece(&column, p->metavar);
    for (const struct cli_option *o = verb->options; o != NULL && o->kind != VALUE_END; o++) {
        (void)snprintf(piece, sizeof piece, "%s--%s%s%s%s%s", o->required ? "" : "[", o->word,
                       o->metavar != NULL ? " " : "", o->metavar != NULL ? o->metavar : "",
                       o->required ? "" : "]", o->kind == VALUE_LIST ? "..." : "");
        put_piece(&column, piece);
    }
    (void)printf("\n");
}

static void print_verb(const struct cli_verb *verb)
{
    print_usage(verb);
    (void)printf("\n%s: %s\n", verb->words, verb->summary);
    if (verb->more != NULL)
        (void)printf("%s", verb->more);
    if (verb->options != NULL)
        (void)printf("\n");
    for (const struct cli_option *o = verb->options; o != NULL && o->kind != VALUE_END; o++) {
        char left[48];

        (void)snprintf(left, sizeof left, "--%s%s%s", o->word, o->metavar != NULL ? " " : "",
                       o->metavar != NULL ? o->metavar : "");
        (void)printf("  %-22s %s%s\n", left, o->help, o->required ? " (required)" : "");
    }
    (void)printf("\n--json prints %s\n\nexample: vferry %s\n", verb->json, verb->example);
}

static void print_list(const char *group)
{
    size_t length = group != NULL ? strlen(group) : 0;

    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        if (group == NULL ||
            (strncmp(verb->words, group, length) == 0 && verb->words[length] == ' '))
            (void)printf("  %-*s%s\n", SUMMARY_COLUMN, verb->words, verb->summary);
    }
}

static void print_all(void)
{
    (void)printf(
        "usage: vferry [--host HOST] [--timeout TIME] [--json] VERB ...\n"
        "\n"
        "Moves running GPU partitions between hosts, and looks after them. HOST is the directory "
        "that\n"
        "its vferryd has as --state, the socket in there, or the name of a running host of yours;\n"
        "without --host $VFERRY_HOST counts, else the system's service, else the only host of "
        "yours.\n"
        "\n");
    print_list(NULL);
    (void)printf(
        "\n"
        "vferry VERB --help explains a verb; --json prints one object and nothing else.\n"
        "Sizes: 512M, 1.5GiB (K M G T and KiB ... are powers of 1024), 1GB (kB MB GB TB of 1000).\n"
        "Rates: 100MB/s. Times: 200ms, 1m30s, or a plain number in the unit that the help names.\n"
        "A vferryd that says nothing is given up after --timeout (15s; 0: never), with exit code "
        "5;\n"
        "\"wait\" has a --timeout of its own, so say the common one before the verb.\n"
        "vferry completion bash|zsh|fish prints a script that has the shell complete all this.\n"
        "\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 incompatible, 4 cancelled or not\n"
        "converged, 5 the host's vferryd is unreachable or silent, 6 outcome unknown (see job "
        "show),\n"
        "7 full now, may fit later, 61 the partition is here, whole and paused, 130 given up by "
        "Ctrl-C.\n"
        "\n"
        "example: vferry --host A migrate p1 --to 127.0.0.1:7002\n");
}

void help_print(const struct cli_verb *verb, const char *group)
{
    if (verb != NULL) {
        print_verb(verb);
    } else if (group != NULL) {
        (void)printf("usage: vferry [--host HOST] [--json] %s VERB ...\n\n", group);
        print_list(group);
    } else {
        print_all();
    }
}
