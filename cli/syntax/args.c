// SPDX-License-Identifier: Apache-2.0
/* The parser. Options may stand before or after the verb's words; "--key value" and "--key=value"
 * are the same. See args.h. */
#include "cli/syntax/args.h"

#include "base/clock.h"
#include "base/plain.h"
#include "base/size.h"
#include "base/when.h"
#include "cli/syntax/meant.h"

#include <stdlib.h>
#include <string.h>

struct parse {
    int argc;
    char **argv;
    int at;
    struct command *command;
    enum args_action *action;
    bool options_over; /* after "--" */
    size_t positionals;
    uint64_t seen; /* bit i: the verb's i-th option was given */
    struct vf_error *err;
};

/* Key under which the handler finds an option. */
static const char *key_of(const struct cli_option *option)
{
    return option->key != NULL ? option->key : option->word;
}

static int put(struct parse *parse, const char *shown, const char *key, json_t *value)
{
    /* jansson refuses text that is not UTF-8; the protocol could not carry it. */
    if (value == NULL || json_object_set_new(parse->command->args, key, value) != 0)
        return vf_fail(parse->err, VF_USAGE,
                       "%s: is no text in UTF-8" VF_REMEDY "write it in plain letters", shown);
    return 0;
}

static int put_more(struct parse *parse, const char *shown, const char *key, const char *value)
{
    json_t *list = json_object_get(parse->command->args, key);
    json_t *text = json_string(value);

    if (list == NULL) {
        list = json_array();
        if (put(parse, shown, key, list) != 0) {
            json_decref(text);
            return -1;
        }
    }
    if (text == NULL || json_array_append_new(list, text) != 0)
        return vf_fail(parse->err, VF_USAGE,
                       "%s: is no text in UTF-8" VF_REMEDY "write it in plain letters", shown);
    return 0;
}

/* How a value that is a number is read, what is said of one that is none, and in which unit the
 * request has it. */
static const struct number_kind {
    int (*parse)(const char *text, uint64_t *value); /* NULL: a time */
    uint64_t unit_ns;
    const char *what, *example, *finest;
    const char *largest; /* that INT64_MAX has room for, which is what JSON carries */
} number_kinds[] = {
    [VALUE_NUMBER] = {vf_number_parse, 1, "whole number", "4", NULL, "9223372036854775807"},
    [VALUE_SIZE] = {vf_size_parse, 1, "size", "512M or 1.5GiB", NULL, "8388607T"},
    [VALUE_RATE] = {vf_rate_parse, 1, "rate", "100MB/s", NULL, "8388607T/s"},
    [VALUE_MS] = {NULL, 1000000, "time", "200ms", "milliseconds", "9223372036854ms"},
    [VALUE_SECONDS] = {NULL, 1000000000, "time", "1m30s", "seconds", "9223372036s"},
};

static int read_number(const char *shown, const char *text, const struct number_kind *kind,
                       uint64_t *value, struct vf_error *err)
{
    int failed = kind->parse != NULL ? kind->parse(text, value)
                                     : vf_duration_parse(text, kind->unit_ns, value);

    if (failed == VF_TOO_LARGE || (failed == 0 && *value > INT64_MAX))
        return vf_fail(err, VF_USAGE, "%s: \"%s\" is too large" VF_REMEDY "the largest is %s",
                       shown, VF_SHOWN(text), kind->largest);
    if (failed != 0)
        return vf_fail(err, VF_USAGE, "%s: \"%s\" is no %s" VF_REMEDY "give e.g. %s", shown,
                       VF_SHOWN(text), kind->what, kind->example);
    if (*value % kind->unit_ns != 0)
        return vf_fail(err, VF_USAGE,
                       "%s: \"%s\" is finer than it can be" VF_REMEDY "give whole %s", shown,
                       VF_SHOWN(text), kind->finest);
    *value /= kind->unit_ns;
    return 0;
}

static int put_number(struct parse *parse, const char *shown, const char *key, const char *text,
                      enum value_kind kind)
{
    uint64_t value;

    if (read_number(shown, text, &number_kinds[kind], &value, parse->err) != 0)
        return -1;
    return put(parse, shown, key, json_integer((json_int_t)value));
}

static int put_when(struct parse *parse, const char *shown, const char *key, const char *text)
{
    uint64_t ns;

    if (vf_when_parse(text, vf_realtime_ns(), &ns) != 0)
        return vf_fail(parse->err, VF_USAGE, "%s: \"%s\" is no time" VF_REMEDY VF_WHEN_FORMS, shown,
                       VF_SHOWN(text));
    return put(parse, shown, key, json_integer((json_int_t)ns));
}

static int put_path(struct parse *parse, const char *shown, const char **to, const char *path)
{
    if (path[0] == '\0')
        return vf_fail(parse->err, VF_USAGE, "%s: names no file" VF_REMEDY "give a path", shown);
    *to = path;
    return 0;
}

static int put_option(struct parse *parse, const struct cli_option *option, const char *value)
{
    struct command *command = parse->command;
    char shown[64];

    (void)snprintf(shown, sizeof shown, "--%s", option->word);
    switch (option->kind) {
    case VALUE_FLAG:
        return put(parse, shown, key_of(option), json_true());
    case VALUE_TEXT:
        return put(parse, shown, key_of(option), json_string(value));
    case VALUE_LIST:
        return put_more(parse, shown, key_of(option), value);
    case VALUE_NUMBER:
    case VALUE_SIZE:
    case VALUE_RATE:
    case VALUE_MS:
    case VALUE_SECONDS:
        return put_number(parse, shown, key_of(option), value, option->kind);
    case VALUE_WHEN:
        return put_when(parse, shown, key_of(option), value);
    case VALUE_INPUT:
        if (put_path(parse, shown, &command->input, value) != 0)
            return -1;
        value = "file"; /* its path is nobody's business but ours */
        break;
    case VALUE_OUTPUT:
        return put_path(parse, shown, &command->output, value);
    case VALUE_WORKLOAD:
        break;
    case VALUE_END:
        return vf_fail(parse->err, VF_USAGE, "%s: no such option", shown);
    }
    if (command->work_count == CLI_MAX_WORK)
        return vf_fail(parse->err, VF_USAGE, "%s: too many options", shown);
    command->work[command->work_count++] = (struct guest_pair){option->word, value};
    return 0;
}

static const struct cli_option *find_option(const struct cli_verb *verb, const char *word,
                                            size_t length, size_t *index)
{
    if (verb == NULL || verb->options == NULL)
        return NULL;
    for (*index = 0; verb->options[*index].kind != VALUE_END; (*index)++) {
        const struct cli_option *option = &verb->options[*index];

        if (strlen(option->word) == length && strncmp(option->word, word, length) == 0)
            return option;
    }
    return NULL;
}

static bool is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && strncmp(word, name, length) == 0;
}

/* The value of the option at parse->at: after its '=', or the next word. */
static int take_value(struct parse *parse, const char *equals, const char **value)
{
    const char *argument = parse->argv[parse->at];

    if (equals != NULL) {
        *value = equals + 1;
        return 0;
    }
    if (parse->at + 1 >= parse->argc)
        return vf_fail(parse->err, VF_USAGE, "%s: its value is missing" VF_REMEDY "give one",
                       argument);
    *value = parse->argv[++parse->at];
    return 0;
}

static int no_value(struct parse *parse, const char *equals)
{
    if (equals == NULL)
        return 0;
    return vf_fail(parse->err, VF_USAGE, "%s: the option takes no value" VF_REMEDY "leave it out",
                   VF_SHOWN(parse->argv[parse->at]));
}

/* Every one is kept; which verb takes several is known at the end only. */
static int take_host(struct parse *parse, const char *equals)
{
    struct command *command = parse->command;

    if (command->host_count == CLI_MAX_HOSTS)
        return vf_fail(parse->err, VF_USAGE, "--host: at most %u", CLI_MAX_HOSTS);
    if (take_value(parse, equals, &command->host) != 0)
        return -1;
    command->hosts[command->host_count++] = command->host;
    return 0;
}

static int take_timeout(struct parse *parse, const char *equals)
{
    const char *value;
    int failed;

    if (take_value(parse, equals, &value) != 0)
        return -1;
    failed = vf_duration_parse(value, 1000000000u, &parse->command->timeout_ns);
    if (failed == VF_TOO_LARGE)
        return vf_fail(parse->err, VF_USAGE,
                       "--timeout: \"%s\" is too large" VF_REMEDY "give 0 to wait without end",
                       VF_SHOWN(value));
    if (failed != 0)
        return vf_fail(parse->err, VF_USAGE,
                       "--timeout: \"%s\" is no time" VF_REMEDY
                       "give seconds, e.g. 30, or 0 to wait without end",
                       VF_SHOWN(value));
    return 0;
}

/* What every verb takes: --host, --timeout, --json, --help and --version. 1 = it was one
 * of them. */
static int take_common(struct parse *parse, const char *word, size_t length, const char *equals)
{
    if (is(word, length, "host"))
        return take_host(parse, equals) != 0 ? -1 : 1;
    if (is(word, length, "timeout"))
        return take_timeout(parse, equals) != 0 ? -1 : 1;
    if (!is(word, length, "json") && !is(word, length, "help") && !is(word, length, "version"))
        return 0;
    if (no_value(parse, equals) != 0)
        return -1;
    if (is(word, length, "json"))
        parse->command->json = true;
    else
        *parse->action = is(word, length, "help") ? ARGS_HELP : ARGS_VERSION;
    return 1;
}

static int take_own(struct parse *parse, const struct cli_option *option, size_t index,
                    const char *equals)
{
    const char *value = NULL;

    if ((option->kind == VALUE_FLAG ? no_value(parse, equals)
                                    : take_value(parse, equals, &value)) != 0)
        return -1;
    if ((parse->seen & (1ull << index)) != 0 && option->kind != VALUE_LIST)
        return vf_fail(parse->err, VF_USAGE, "--%s: given twice" VF_REMEDY "give it once",
                       option->word);
    parse->seen |= 1ull << index;
    return put_option(parse, option, value);
}

/* The verb's own options first: "wait p1 --timeout 60" is the wait's, "--timeout 5 wait
 * p1" ours. */
static int take_option(struct parse *parse)
{
    const struct cli_verb *verb = parse->command->verb;
    const char *argument = parse->argv[parse->at];
    const char *word = argument + 2;
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    size_t index;
    const struct cli_option *option = find_option(verb, word, length, &index);
    char shown[2 * VF_SHOWN_BYTES];
    char meant[MEANT_BYTES];
    int common;

    if (option != NULL)
        return take_own(parse, option, index, equals);
    common = take_common(parse, word, length, equals);
    if (common != 0)
        return common < 0 ? -1 : 0;
    (void)snprintf(shown, sizeof shown, "%.*s", (int)length + 2, argument);
    return vf_fail(parse->err, VF_USAGE, "%s: no such option" VF_REMEDY "%ssee vferry %s%s--help",
                   VF_SHOWN(shown), meant_option(verb, word, length, meant),
                   verb != NULL ? verb->words : "", verb != NULL ? " " : "");
}

static int take_positional(struct parse *parse)
{
    const struct cli_verb *verb = parse->command->verb;
    const char *argument = parse->argv[parse->at];
    const struct cli_positional *positional = &verb->positionals[parse->positionals];

    if (positional->metavar == NULL)
        return vf_fail(parse->err, VF_USAGE,
                       "%s: one word too many" VF_REMEDY "see vferry %s --help", VF_SHOWN(argument),
                       verb->words);
    if (positional->kind == VALUE_LIST && argument[0] != '\0')
        return put_more(parse, positional->metavar, positional->key, argument);
    parse->positionals++;
    if (positional->kind == VALUE_INPUT)
        return put_path(parse, positional->metavar, &parse->command->input, argument);
    if (positional->key == NULL)
        return 0;
    if (argument[0] == '\0')
        return vf_fail(parse->err, VF_USAGE, "%s: is empty" VF_REMEDY "see vferry %s --help",
                       positional->metavar, verb->words);
    if (positional->kind == VALUE_NUMBER)
        return put_number(parse, positional->metavar, positional->key, argument, VALUE_NUMBER);
    return put(parse, positional->metavar, positional->key, json_string(argument));
}

/* Is the list of positionals filled, or does an option stand for it? */
static bool list_complete(const struct parse *parse)
{
    const struct cli_verb *verb = parse->command->verb;
    const char *key = verb->positionals[parse->positionals].key;

    if (json_object_get(parse->command->args, key) != NULL)
        return true;
    for (size_t i = 0; verb->options[i].kind != VALUE_END; i++) {
        if (verb->options[i].instead && (parse->seen & (1ull << i)) != 0)
            return true;
    }
    return false;
}

static int check_complete(struct parse *parse)
{
    const struct cli_verb *verb = parse->command->verb;

    if (parse->command->host_count > 1 && !verb->many_hosts)
        return vf_fail(parse->err, VF_USAGE,
                       "--host: given twice, and %s asks one host" VF_REMEDY
                       "say it once; only top takes several",
                       verb->words);
    if (verb->positionals[parse->positionals].metavar != NULL &&
        (verb->positionals[parse->positionals].kind != VALUE_LIST || !list_complete(parse)))
        return vf_fail(parse->err, VF_USAGE, "%s: %s is missing" VF_REMEDY "e.g. vferry %s",
                       verb->words, verb->positionals[parse->positionals].metavar, verb->example);
    for (size_t i = 0; verb->options != NULL && verb->options[i].kind != VALUE_END; i++) {
        if (verb->options[i].required && (parse->seen & (1ull << i)) == 0)
            return vf_fail(parse->err, VF_USAGE,
                           "%s: --%s %s is missing" VF_REMEDY "e.g. vferry %s", verb->words,
                           verb->options[i].word, verb->options[i].metavar, verb->example);
    }
    return 0;
}

/* The verb's words are the first that are no options. */
static int take_verb(struct parse *parse, const char **help_group)
{
    char **words = parse->argv + parse->at;
    int count = parse->argc - parse->at;
    char meant[MEANT_BYTES];
    int used;

    parse->command->verb = cli_verb_find(count, words, &used);
    if (parse->command->verb != NULL) {
        parse->at += used - 1;
        return 0;
    }
    if (!cli_is_group(words[0]))
        return vf_fail(parse->err, VF_USAGE, "%s: no such verb" VF_REMEDY "%ssee vferry --help",
                       VF_SHOWN(words[0]), meant_verb(count, words, meant));
    if (*parse->action == ARGS_HELP || (count > 1 && strcmp(words[1], "--help") == 0)) {
        *help_group = words[0];
        *parse->action = ARGS_HELP;
        return 0;
    }
    if (count < 2)
        return vf_fail(parse->err, VF_USAGE,
                       "%s: a verb is missing" VF_REMEDY "see vferry %s --help", words[0],
                       words[0]);
    return vf_fail(parse->err, VF_USAGE, "%s %s: no such verb" VF_REMEDY "%ssee vferry %s --help",
                   words[0], VF_SHOWN(words[1]), meant_verb(count, words, meant), words[0]);
}

static int parse_all(struct parse *parse, const char **help_group)
{
    for (; parse->at < parse->argc; parse->at++) {
        const char *argument = parse->argv[parse->at];
        bool option = !parse->options_over && strncmp(argument, "--", 2) == 0;
        int result;

        if (option && argument[2] == '\0') {
            parse->options_over = true;
            continue;
        }
        if (!option && parse->command->verb == NULL && strcmp(argument, "help") == 0) {
            *parse->action = ARGS_HELP;
            continue;
        }
        result = option                         ? take_option(parse)
                 : parse->command->verb == NULL ? take_verb(parse, help_group)
                                                : take_positional(parse);
        if (result != 0)
            return -1;
        if (*help_group != NULL)
            return 0;
    }
    return 0;
}

int args_parse(int argc, char **argv, struct command *command, enum args_action *action,
               const char **help_group, struct vf_error *err)
{
    struct parse parse = {
        .argc = argc, .argv = argv, .at = 1, .command = command, .action = action, .err = err};

    *command = (struct command){.args = json_object(), .timeout_ns = CLI_TIMEOUT_NS};
    *action = ARGS_RUN;
    *help_group = NULL;
    if (command->args == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    if (parse_all(&parse, help_group) != 0)
        return -1;
    if (*action != ARGS_RUN)
        return 0;
    if (command->verb == NULL)
        return vf_fail(err, VF_USAGE, "no verb" VF_REMEDY "see vferry --help");
    if (command->host == NULL)
        command->host = getenv("VFERRY_HOST");
    return check_complete(&parse);
}

void args_free(struct command *command)
{
    json_decref(command->args);
    command->args = NULL;
}

int args_work(const struct command *command, struct guest_options *options, struct vf_error *err)
{
    const char *workload = json_string_value(json_object_get(command->args, "workload"));

    if (guest_options_parse(workload, command->work, command->work_count, options, err) != 0)
        return -1;
    if (options->workload == GUEST_DIFFUSE && command->input == NULL)
        return vf_fail(err, VF_USAGE,
                       "diffuse: --input is missing" VF_REMEDY
                       "give a picture, e.g. --input before.pgm");
    return 0;
}
