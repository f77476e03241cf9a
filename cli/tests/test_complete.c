// SPDX-License-Identifier: Apache-2.0
/* What is offered at the cursor, for half-written command lines. */
#include "cli/completion/complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_WORDS 12

/* What was offered, a blank behind each; names as <KIND@HOST>, paths as <files>
 * or <directories>. */
struct offered {
    char text[2048];
    size_t length;
    bool about; /* each word came with a few words about it */
};

static void add(struct offered *offered, const char *word)
{
    int length = snprintf(offered->text + offered->length, sizeof offered->text - offered->length,
                          "%s ", word);

    assert_true(length > 0 && offered->length + (size_t)length < sizeof offered->text);
    offered->length += (size_t)length;
}

static void take_word(void *ctx, const char *word, const char *about)
{
    struct offered *offered = ctx;

    add(offered, word);
    offered->about = offered->about && about[0] != '\0';
}

static void take_files(void *ctx, bool directories)
{
    add(ctx, directories ? "<directories>" : "<files>");
}

static void take_names(const struct complete_sink *sink, enum cli_names names, const char *host,
                       const char *before, const char *typed)
{
    static const char *const kinds[] = {"none", "partition", "job", "adapter", "peer", "workload"};
    char text[128];

    (void)snprintf(text, sizeof text, "<%s%s%s>", kinds[names], host != NULL ? "@" : "",
                   host != NULL ? host : "");
    add(sink->ctx, text);
    complete_offer(sink, before, typed, "one", "");
    complete_offer(sink, before, typed, "two", "");
}

static struct offered offer(const char *line)
{
    struct offered offered = {.about = true};
    const struct complete_sink sink = {&offered, take_word, take_names, take_files};
    const char *words[MAX_WORDS];
    char copy[256];
    char *rest = copy;
    size_t count = 0;

    (void)snprintf(copy, sizeof copy, "%s", line);
    while (rest != NULL) {
        assert_true(count < MAX_WORDS);
        words[count++] = strsep(&rest, " ");
    }
    complete_line(&sink, words, count);
    if (offered.length > 0)
        offered.text[offered.length - 1] = '\0';
    return offered;
}

static void what_may_follow(void **state)
{
    static const struct {
        const char *line, *want;
    } lines[] = {
        {"ho", "host"},
        {"no-such", ""},
        {"r", "run read reference restore"},
        {"host ", "show cordon uncordon stop evacuate"},
        {"host s", "show stop"},
        {"host sh", "show"},
        {"host nothing ", ""},
        {"nothing ", ""},
        {"help mig", "migrate"},
        {"--json mig", "migrate"},
        /* Names, and where they are asked for. */
        {"partition show ", "<partition> one two"},
        {"partition show t", "<partition> two"},
        {"partition show p ", "--host --timeout --json --help --version"},
        {"--host /a partition show ", "<partition@/a> one two"},
        {"--host=/a partition show ", "<partition@/a> one two"},
        {"partition show --host /b ", "<partition@/b> one two"},
        {"--host ", "<files>"},
        {"partition create ", ""}, /* a new name */
        {"job cancel ", "<job> one two"},
        {"adapter show ", "<adapter> one two"},
        {"run p ", "<workload> one two"},
        {"partition create p --adapter ", "<adapter> one two"},
        {"check p --to ", "<peer> one two"},
        {"check p --to=", "<peer> --to=one --to=two"},
        {"check p --to=t", "<peer> --to=two"},
        {"check --to h:1 ", "<partition> one two"},
        /* Options, each once. */
        {"host stop -", "--force --host --timeout --json --help --version"},
        {"host stop --force -", "--host --timeout --json --help --version"},
        {"host stop --f", "--force"},
        {"host stop -- --", ""},
        {"host stop --no-such ", ""},
        {"cert add d --for a --f", "--for"},   /* a list */
        {"migrate a ", "<partition> one two"}, /* and more of them */
        {"migrate a b -- t", "<partition> two"},
        {"save p ", "--output --keep --compress --host --timeout --json --help --version"},
        {"job resolve 3 --source-runs --ta", "--target-runs"},
        /* Values. */
        {"migrate p --verify ", "delta full"},
        {"migrate p --verify d", "delta"},
        {"migrate p --verify=", "--verify=delta --verify=full"},
        {"migrate p --compress z", "zstd"},
        {"migrate p --throttle ", "off auto"},
        {"migrate p --streams ", "auto"},
        {"migrate p --dry-run=", ""},
        {"save p --output ", "<files>"},
        {"restore p --input ", "<files>"},
        {"image info ", "<files>"},
        {"cert init ", "<directories>"},
        {"driver update 0 --driver ", "<files>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct offered offered = offer(lines[i].line);

        if (strcmp(offered.text, lines[i].want) != 0)
            fail_msg("\"%s\": offers \"%s\", not \"%s\"", lines[i].line, offered.text,
                     lines[i].want);
    }
}

static void every_verb_and_option_is_offered_with_its_help(void **state)
{
    char line[128];

    (void)state;
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        struct offered offered = offer(verb->words);

        assert_non_null(strstr(offered.text, strrchr(verb->words, ' ') != NULL
                                                 ? strrchr(verb->words, ' ') + 1
                                                 : verb->words));
        for (const struct cli_option *o = verb->options; o != NULL && o->kind != VALUE_END; o++) {
            char wanted[64];

            (void)snprintf(line, sizeof line, "%s --%s", verb->words, o->word);
            (void)snprintf(wanted, sizeof wanted, "--%s", o->word);
            offered = offer(line);
            assert_non_null(strstr(offered.text, wanted));
            assert_true(offered.about);
        }
    }
}

static void a_word_as_long_as_no_candidate_is_harmless(void **state)
{
    static char line[250];

    (void)state;
    memset(line, 'x', sizeof line - 1);
    assert_string_equal(offer(line).text, "");
    memcpy(line, "--", 2);
    assert_string_equal(offer(line).text, "");
    line[100] = '=';
    assert_string_equal(offer(line).text, "");
    line[100] = ' ';
    assert_string_equal(offer(line).text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_follow),
        cmocka_unit_test(every_verb_and_option_is_offered_with_its_help),
        cmocka_unit_test(a_word_as_long_as_no_candidate_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
