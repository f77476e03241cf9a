// SPDX-License-Identifier: Apache-2.0
/* The command line's parser: what is right comes out typed, what is wrong is one line and exit
 * code 2. */
#include "cli/syntax/args.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MAX_WORDS 24

/* Splits at blanks; "''" stands for an empty word. Words live in `buffer`. */
static int split(const char *line, char *buffer, size_t bytes, char *argv[MAX_WORDS])
{
    char *rest = NULL;
    int argc = 0;

    (void)snprintf(buffer, bytes, "vferry %s", line);
    for (char *word = strtok_r(buffer, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < MAX_WORDS - 1);
        argv[argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
    }
    argv[argc] = NULL;
    return argc;
}

struct parsed {
    struct command command;
    enum args_action action;
    const char *group;
    struct vf_error err;
    char buffer[1024];
    int status;
};

static void parse(const char *line, struct parsed *parsed)
{
    char *argv[MAX_WORDS];
    int argc = split(line, parsed->buffer, sizeof parsed->buffer, argv);

    parsed->err = (struct vf_error)VF_ERROR_INIT;
    parsed->status =
        args_parse(argc, argv, &parsed->command, &parsed->action, &parsed->group, &parsed->err);
}

static void assert_usage_error(const char *line, const struct parsed *parsed)
{
    if (parsed->status != -1 || parsed->err.code != VF_USAGE || parsed->err.text[0] == '\0' ||
        strchr(parsed->err.text, '\n') != NULL)
        fail_msg("\"vferry %s\": status %d, code %d, \"%s\"", line, parsed->status,
                 (int)parsed->err.code, parsed->err.text);
}

static void every_wrong_line_is_a_usage_error_of_one_line(void **state)
{
    static const char *const wrong[] = {
        "",
        "nix",
        "''",
        "-x",
        "--nix",
        "--host",
        "--host a --host b host show",
        "--json=1 host show",
        "--json",
        "host",
        "host nix",
        "host show p1",
        "host show --force",
        "host stop --force=yes",
        "host stop --force --force",
        "adapter show",
        "cert init",
        "cert init a b",
        "cert add certs",
        "cert init certs --for",
        "adapter show x",
        "adapter show -1",
        "adapter show 1 2",
        "adapter show 99999999999999999999",
        "partition",
        "partition create",
        "partition create p1",
        "partition create p1 --adapter 0",
        "partition create p1 --vram 1G",
        "partition create p1 --adapter 0 --vram",
        "partition create p1 --adapter 0 --vram=",
        "partition create p1 --adapter 0 --vram 1X",
        "partition create p1 --adapter 0 --vram -1",
        "partition create p1 --adapter 0 --vram 99999999999G",
        "partition create p1 --adapter 0 --adapter 1 --vram 1G",
        "partition create p1 p2 --adapter 0 --vram 1G",
        "partition create '' --adapter 0 --vram 1G",
        "partition show",
        "run p1",
        "run p1 churn --steps",
        "run p1 churn --size 1M --size 2M",
        "run p1 diffuse --input ''",
        "wait",
        "wait p1 --timeout soon",
        "read p1",
        "read p1 --output ''",
        "reference",
        "reference churn --nix 3",
        "check p1",
        "migrate p1",
        "migrate --to h:1",
        "migrate p1 --to",
        "migrate p1 --to h:1 --max-blackout 1.5",
        "migrate p1 --to h:1 --bandwidth fast",
        "migrate p1 --to h:1 --detach=now",
        "partition show p1 -- --json",
        "migrate --detach --to h:1",
        "job show",
        "job show one",
        "job watch 1 2",
        "save p1",
        "restore p1 --input f",
        "driver update 0",
        "adapter defrag",
        "adapter defrag 0 --dry-run=no",
        "partition reset",
        "events 3",
        "help nix",
        "partition nix --help",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct parsed parsed;

        parse(wrong[i], &parsed);
        assert_usage_error(wrong[i], &parsed);
        args_free(&parsed.command);
    }
}

static void every_example_of_the_table_parses(void **state)
{
    (void)state;
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        struct parsed parsed;

        parse(verb->example, &parsed);
        if (parsed.status != 0)
            fail_msg("%s: %s", verb->example, parsed.err.text);
        assert_ptr_equal(parsed.command.verb, verb);
        assert_int_equal(parsed.action, ARGS_RUN);
        args_free(&parsed.command);
    }
}

static void every_verb_has_summary_and_handler_and_few_enough_options(void **state)
{
    (void)state;
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        size_t options = 0;

        assert_non_null(verb->summary);
        assert_non_null(verb->run);
        while (verb->options != NULL && verb->options[options].kind != VALUE_END)
            options++;
        assert_in_range(options, 0, 63); /* a bit each in the parser */
        assert_null(verb->positionals[2].metavar);
    }
}

static void values_come_out_typed(void **state)
{
    struct parsed parsed;

    (void)state;
    parse("partition create p1 --adapter 3 --vram 2M", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_string_equal(json_string_value(json_object_get(parsed.command.args, "name")), "p1");
    assert_int_equal(json_integer_value(json_object_get(parsed.command.args, "adapter")), 3);
    assert_int_equal(json_integer_value(json_object_get(parsed.command.args, "vram")), 2 << 20);
    args_free(&parsed.command);
}

static void a_moment_comes_out_as_nanoseconds(void **state)
{
    const json_int_t before = (json_int_t)vf_realtime_ns() - 90 * 1000000000ll;
    struct parsed parsed;
    json_int_t since;

    (void)state;
    parse("events --since 90s --until 2025-11-29T04:00:00Z", &parsed);
    assert_int_equal(parsed.status, 0);
    since = json_integer_value(json_object_get(parsed.command.args, "since_ns"));
    assert_in_range(since, before, before + 60 * 1000000000ll);
    assert_int_equal(json_integer_value(json_object_get(parsed.command.args, "until_ns")),
                     1764388800 * 1000000000ll);
    args_free(&parsed.command);
    parse("job list --since soon", &parsed);
    assert_usage_error("job list --since soon", &parsed);
    assert_non_null(strstr(parsed.err.text, "3d"));
    args_free(&parsed.command);
}

static void options_stand_anywhere_and_take_both_forms(void **state)
{
    struct parsed parsed;

    (void)state;
    parse("--host=/h migrate --to=x:1 p1 --json --streams=4", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_true(parsed.command.json);
    assert_string_equal(parsed.command.host, "/h");
    assert_int_equal(json_array_size(json_object_get(parsed.command.args, "names")), 1);
    assert_string_equal(json_string_value(json_object_get(parsed.command.args, "to")), "x:1");
    assert_string_equal(json_string_value(json_object_get(parsed.command.args, "streams")), "4");
    args_free(&parsed.command);
}

static void names_may_be_many_or_an_option_in_their_place(void **state)
{
    struct parsed parsed;
    const json_t *list;

    (void)state;
    parse("migrate p1 --to x:1 p2 -- --p3", &parsed);
    assert_int_equal(parsed.status, 0);
    list = json_object_get(parsed.command.args, "names");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(json_string_value(json_array_get(list, 2)), "--p3");
    args_free(&parsed.command);
    parse("migrate --all --to x:1", &parsed);
    assert_int_equal(parsed.status, 0);
    args_free(&parsed.command);
    parse("migrate --partition web* --partition db* --to x:1", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_int_equal(json_array_size(json_object_get(parsed.command.args, "partitions")), 2);
    args_free(&parsed.command);
}

static void a_list_grows_with_every_mention(void **state)
{
    struct parsed parsed;
    const json_t *list;

    (void)state;
    parse("cert init certs --for a,b --for=c", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_string_equal(parsed.command.input, "certs");
    list = json_object_get(parsed.command.args, "for");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "a,b");
    assert_string_equal(json_string_value(json_array_get(list, 1)), "c");
    args_free(&parsed.command);
}

static void two_dashes_end_the_options(void **state)
{
    struct parsed parsed;

    (void)state;
    parse("partition show -- --odd", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_string_equal(json_string_value(json_object_get(parsed.command.args, "name")), "--odd");
    args_free(&parsed.command);
}

static void words_of_a_workload_stay_as_they_are(void **state)
{
    struct parsed parsed;

    (void)state;
    parse("run p1 churn --size 512M --rate 1K --input a.pgm", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_int_equal(parsed.command.work_count, 3);
    assert_string_equal(parsed.command.work[0].key, "size");
    assert_string_equal(parsed.command.work[0].value, "512M");
    assert_string_equal(parsed.command.work[2].key, "input");
    assert_string_equal(parsed.command.input, "a.pgm");
    args_free(&parsed.command);
}

static void the_host_comes_from_the_environment_unless_said(void **state)
{
    struct parsed parsed;

    (void)state;
    assert_int_equal(setenv("VFERRY_HOST", "/env", 1), 0);
    parse("host show", &parsed);
    assert_string_equal(parsed.command.host, "/env");
    args_free(&parsed.command);
    parse("host show --host /said", &parsed);
    assert_string_equal(parsed.command.host, "/said");
    args_free(&parsed.command);
    assert_int_equal(unsetenv("VFERRY_HOST"), 0);
    parse("host show", &parsed);
    assert_null(parsed.command.host);
    args_free(&parsed.command);
}

static void a_verb_of_many_hosts_gets_them_all(void **state)
{
    struct parsed parsed;

    (void)state;
    parse("--host a top --host=b --host a", &parsed);
    assert_int_equal(parsed.status, 0);
    assert_int_equal(parsed.command.host_count, 3);
    assert_string_equal(parsed.command.hosts[0], "a");
    assert_string_equal(parsed.command.hosts[1], "b");
    assert_string_equal(parsed.command.hosts[2], "a");
    args_free(&parsed.command);
}

static void help_is_found_for_all_a_group_and_a_verb(void **state)
{
    static const struct {
        const char *line;
        const char *group;
        const char *verb;
    } cases[] = {
        {"--help", NULL, NULL},
        {"help", NULL, NULL},
        {"help run", NULL, "run"},
        {"run --help", NULL, "run"},
        {"partition --help", "partition", NULL},
        {"help partition", "partition", NULL},
        {"--help job", "job", NULL},
        {"help partition show", NULL, "partition show"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;

        parse(cases[i].line, &parsed);
        assert_int_equal(parsed.status, 0);
        assert_int_equal(parsed.action, ARGS_HELP);
        if (cases[i].group != NULL)
            assert_string_equal(parsed.group, cases[i].group);
        else
            assert_null(parsed.group);
        if (cases[i].verb != NULL)
            assert_string_equal(parsed.command.verb->words, cases[i].verb);
        else
            assert_null(parsed.command.verb);
        args_free(&parsed.command);
    }
}

/* Property: whatever the words, the parser ends with a complete command or one line of usage. */
static void random_lines_end_well(void **state)
{
    static const char *const words[] = {
        "partition",
        "create",
        "show",
        "p1",
        "--adapter",
        "0",
        "--vram",
        "1G",
        "run",
        "churn",
        "--size",
        "--steps",
        "=",
        "--",
        "--json",
        "--host",
        "--help",
        "help",
        "migrate",
        "--to",
        "x:1",
        "--to=",
        "--streams=9",
        "job",
        "watch",
        "''",
        "-",
        "--=",
        "wait",
        "--timeout",
        "\xff",
        "host",
        "stop",
        "--force",
        "--version",
        "read",
        "--output",
        "reference",
        "18446744073709551616",
        "9223372036854775808",
    };
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("# seed %u\n", seed);
    for (int run = 0; run < 20000; run++) {
        struct parsed parsed;
        char line[512] = "";
        int count = rand_r(&seed) % 9;

        for (int i = 0; i < count; i++) {
            size_t at = strlen(line);

            (void)snprintf(line + at, sizeof line - at, "%s ",
                           words[(size_t)rand_r(&seed) % (sizeof words / sizeof words[0])]);
        }
        parse(line, &parsed);
        if (parsed.status != 0)
            assert_usage_error(line, &parsed);
        else if (parsed.action == ARGS_RUN)
            assert_non_null(parsed.command.verb);
        args_free(&parsed.command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_line_is_a_usage_error_of_one_line),
        cmocka_unit_test(every_example_of_the_table_parses),
        cmocka_unit_test(every_verb_has_summary_and_handler_and_few_enough_options),
        cmocka_unit_test(values_come_out_typed),
        cmocka_unit_test(a_moment_comes_out_as_nanoseconds),
        cmocka_unit_test(options_stand_anywhere_and_take_both_forms),
        cmocka_unit_test(names_may_be_many_or_an_option_in_their_place),
        cmocka_unit_test(a_list_grows_with_every_mention),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(words_of_a_workload_stay_as_they_are),
        cmocka_unit_test(the_host_comes_from_the_environment_unless_said),
        cmocka_unit_test(a_verb_of_many_hosts_gets_them_all),
        cmocka_unit_test(help_is_found_for_all_a_group_and_a_verb),
        cmocka_unit_test(random_lines_end_well),
    };

    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
