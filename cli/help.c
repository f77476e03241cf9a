// SPDX-License-Identifier: Apache-2.0
/* See help.h. */
#include "cli/help.h"

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
    put_piece(&column, "vferry [--host SOCKET] [--json]");
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
        "usage: vferry [--host SOCKET] [--json] VERB ...\n"
        "\n"
        "Moves running GPU partitions between hosts, and looks after them. SOCKET is a host's\n"
        "DIR/control.sock; without --host, $VFERRY_HOST names it.\n"
        "\n");
    print_list(NULL);
    (void)printf(
        "\n"
        "vferry VERB --help explains a verb; --json prints one object and nothing else; sizes take "
        "K/M/G.\n"
        "vferry completion bash|zsh|fish prints a script that has the shell complete all this.\n"
        "Exit codes: 0 done, 1 failed, 2 usage or not built yet, 3 incompatible, 4 cancelled or "
        "not\n"
        "converged, 5 the host's vferryd is unreachable, 6 outcome unknown (see job show), 7 full\n"
        "now, may fit later.\n"
        "\n"
        "example: VFERRY_HOST=/tmp/A/control.sock vferry migrate p1 --to 127.0.0.1:7002\n");
}

void help_print(const struct cli_verb *verb, const char *group)
{
    if (verb != NULL) {
        print_verb(verb);
    } else if (group != NULL) {
        (void)printf("usage: vferry [--host SOCKET] [--json] %s VERB ...\n\n", group);
        print_list(group);
    } else {
        print_all();
    }
}
