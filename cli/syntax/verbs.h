// SPDX-License-Identifier: Apache-2.0
/*
 * The table of verbs: what a person may say, what it means, how it is explained. Parser, help and
 * the test that compares the man page read the same table.
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "base/error.h"
#include "guest/guest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct command;

enum value_kind {
    VALUE_END, /* ends a list */
    VALUE_FLAG,
    VALUE_TEXT,
    VALUE_LIST, /* texts: may be given several times */
    VALUE_NUMBER,
    VALUE_SIZE,     /* vf_size_parse */
    VALUE_RATE,     /* vf_rate_parse */
    VALUE_MS,       /* vf_duration_parse: a plain number is milliseconds; in the request too */
    VALUE_SECONDS,  /* the same with seconds */
    VALUE_WHEN,     /* a moment (base/when.h), as nanoseconds since 1970 */
    VALUE_WORKLOAD, /* goes to guest/ as it is */
    VALUE_INPUT,    /* a path to read */
    VALUE_OUTPUT,   /* a path to write */
};

/* Whose names a value is one of; completion asks the host for them. */
enum cli_names {
    NAMES_NONE, /* anything else, e.g. a name that is not there yet */
    NAMES_PARTITION,
    NAMES_JOB,
    NAMES_ADAPTER,
    NAMES_PEER, /* HOST:PORT of another host */
    NAMES_WORKLOAD,
};

struct cli_option {
    enum value_kind kind;
    const char *word;    /* without dashes */
    const char *metavar; /* NULL for flags */
    const char
        *key; /* of the request's arguments; NULL: the handler alone uses it, under its word */
    const char *help;
    bool required;
    enum cli_names names;
    bool instead; /* given, the VALUE_LIST of the positionals may be empty */
};

struct cli_positional {
    const char *metavar; /* NULL = there is no more */
    const char *key;
    /* VALUE_TEXT, VALUE_NUMBER, VALUE_LIST (all the rest) or, without key, VALUE_INPUT. */
    enum value_kind kind;
    enum cli_names names;
};

struct cli_verb {
    const char *words; /* "partition create" */
    struct cli_positional positionals[3];
    const struct cli_option *options; /* ends with VALUE_END; NULL = none */
    const char *summary;              /* one line */
    const char *more;                 /* further lines of its help, or NULL */
    const char *json;                 /* the schema of what --json prints; docs/schema/ has it */
    const char *example;              /* what follows "vferry " */
    int (*run)(const struct command *command, struct vf_error *err);
    void (*print)(const json_t *result); /* for people; NULL = says nothing when all is well */
    bool many_hosts;                     /* takes --host more than once */
    bool shows;                          /* changes nothing: what it prints is all there is of it */
    bool slow; /* may take long though nothing is wrong: waited for as long as vferryd lives */
};

#define CLI_MAX_HOSTS 64u

/* What a command line came to. */
struct command {
    const struct cli_verb *verb;
    const char *host;                 /* --host, else $VFERRY_HOST, else NULL; see host/find.h */
    const char *hosts[CLI_MAX_HOSTS]; /* every --host, for a verb with many_hosts */
    size_t host_count;
    bool json;
    uint64_t timeout_ns; /* --timeout: how long a silent vferryd is waited for; 0 = for ever */
    json_t *args;        /* the request's arguments; owned */
    const char *input;   /* paths as given */
    const char *output;
    struct guest_pair work[16]; /* options of a workload, in order */
    size_t work_count;
};

#define CLI_TIMEOUT_NS 15000000000ull /* without --timeout */
#define CLI_MAX_WORK (sizeof((struct command *)0)->work / sizeof((struct command *)0)->work[0])

extern const struct cli_verb cli_verbs[]; /* ends with words NULL */

/* The verb whose words are the first of `argv`; *used = how many. NULL when none is. */
const struct cli_verb *cli_verb_find(int argc, char **argv, int *used);
/* The verb of these words, as the table has them; there must be one. */
const struct cli_verb *cli_verb_named(const char *words);
/* Is `word` the first of a verb of two words? */
bool cli_is_group(const char *word);

/* The handlers of the table's verbs: each does what the command says and prints its result. 0, or
 * -1 with *err, whose code is the exit code. cmd_request is the one of all verbs that need no more
 * than to ask the daemon and to print its answer. */
int cmd_request(const struct command *command, struct vf_error *err);
int cmd_driver_update(const struct command *command, struct vf_error *err);
int cmd_resolve(const struct command *command, struct vf_error *err);
int cmd_host_stop(const struct command *command, struct vf_error *err);
int cmd_run(const struct command *command, struct vf_error *err);
int cmd_read(const struct command *command, struct vf_error *err);
int cmd_reference(const struct command *command, struct vf_error *err);
int cmd_migrate(const struct command *command, struct vf_error *err);
int cmd_evacuate(const struct command *command, struct vf_error *err);
int cmd_trace_record(const struct command *command, struct vf_error *err);
int cmd_plan(const struct command *command, struct vf_error *err);
int cmd_save(const struct command *command, struct vf_error *err);
int cmd_restore(const struct command *command, struct vf_error *err);
int cmd_image_info(const struct command *command, struct vf_error *err);
int cmd_image_verify(const struct command *command, struct vf_error *err);
int cmd_cert_init(const struct command *command, struct vf_error *err);
int cmd_cert_add(const struct command *command, struct vf_error *err);
int cmd_cert_show(const struct command *command, struct vf_error *err);
int cmd_watch(const struct command *command, struct vf_error *err);
int cmd_top(const struct command *command, struct vf_error *err);
int cmd_events(const struct command *command, struct vf_error *err);

#endif
