// SPDX-License-Identifier: Apache-2.0
/*
 * The two commands behind the completion of shells. Names come from the host, which gets a second
 * to answer: whoever presses the tab key waits for it. Without an answer nothing is offered, and
 * nothing is ever said. See complete.h.
 */
#include "cli/completion/complete.h"

#include "cli/host/glance.h"
#include "cli/host/hosts_file.h"
#include "cli/output/table.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define DEADLINE_S 1

/* A list of the host's, as candidates: what is shown of each is "ABOUT: STATE". */
struct source {
    enum cli_names names;
    const char *verb;
    const char *list;
    const char *name;
    const char *about, *state;
};

static const struct source sources[] = {
    {NAMES_PARTITION, "partition list", "partitions", "name", "workload", "state"},
    {NAMES_JOB, "job list", "jobs", "job", "partition", "status"},
    {NAMES_ADAPTER, "adapter list", "adapters", "adapter", "device", "driver"},
};

/* A line a candidate, what it is behind a tab. Texts come from the host: none begins a line. */
static void print_word(void *ctx, const char *word, const char *about)
{
    (void)ctx;
    (void)fputs(word, stdout);
    if (about[0] != '\0')
        (void)fputc('\t', stdout);
    for (; *about != '\0'; about++)
        (void)fputc((unsigned char)*about < 0x20 ? ' ' : *about, stdout);
    (void)fputc('\n', stdout);
}

static void print_files(void *ctx, bool directories)
{
    (void)ctx;
    (void)puts(directories ? ":directories" : ":files");
}

static json_t *ask(const char *host, const char *verb)
{
    struct glance glance = GLANCE_INIT;
    struct vf_error ignored;
    json_t *result = NULL;

    (void)fflush(stdout); /* the deadline ends this program where it stands */
    if (glance_open(&glance, host != NULL ? host : getenv("VFERRY_HOST"), &ignored) == 0 &&
        glance_ask(&glance, verb, &ignored) == 0)
        (void)glance_answer(&glance, -1, &result, &ignored);
    glance_close(&glance);
    return result;
}

static void offer_workloads(const struct complete_sink *sink, const char *before, const char *typed)
{
    for (int workload = GUEST_DIFFUSE; workload <= GUEST_FILL; workload++)
        complete_offer(sink, before, typed, guest_workload_name((enum guest_workload)workload), "");
}

/* Who is in the hosts file, and who this host has had moves with. */
static void offer_peers(const struct complete_sink *sink, const char *host, const char *before,
                        const char *typed)
{
    struct host_entry *list = NULL;
    struct vf_error ignored;
    json_t *told = json_object();
    size_t count = 0;
    size_t index;
    json_t *jobs;
    json_t *job;

    if (hosts_read(&list, &count, &ignored) != 0)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].address[0] != '\0')
            complete_offer(sink, before, typed, list[i].address, list[i].name);
        (void)json_object_set_new(told, list[i].address, json_true());
    }
    free(list);
    jobs = ask(host, "job list");
    json_array_foreach(json_object_get(jobs, "jobs"), index, job) {
        bool out = strcmp(table_text(job, "direction"), "out") == 0;
        const char *peer = table_text(job, out ? "target" : "source");

        const char *kind = table_text(job, "kind");
        bool host_there = strcmp(kind, "move") == 0 || strcmp(kind, "check") == 0;

        if (host_there && json_object_get(told, peer) == NULL)
            complete_offer(sink, before, typed, peer, "");
        (void)json_object_set_new(told, peer, json_true());
    }
    json_decref(jobs);
    json_decref(told);
}

static void offer_list(const struct complete_sink *sink, const struct source *source,
                       const char *host, const char *before, const char *typed)
{
    json_t *result = ask(host, source->verb);
    char name[CELL_BYTES];
    char about[2 * CELL_BYTES];
    size_t index;
    json_t *item;

    json_array_foreach(json_object_get(result, source->list), index, item) {
        (void)snprintf(about, sizeof about, "%s: %s", table_text(item, source->about),
                       table_text(item, source->state));
        complete_offer(sink, before, typed, table_cell(item, CELL_TEXT, source->name, name), about);
    }
    json_decref(result);
}

static void offer_names(const struct complete_sink *sink, enum cli_names names, const char *host,
                        const char *before, const char *typed)
{
    if (names == NAMES_WORKLOAD)
        offer_workloads(sink, before, typed);
    if (names == NAMES_PEER)
        offer_peers(sink, host, before, typed);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (sources[i].names == names)
            offer_list(sink, &sources[i], host, before, typed);
    }
}

static void give_up(int signal)
{
    (void)signal;
    _exit(VF_OK);
}

static int complete(int argc, char **argv)
{
    static const struct complete_sink sink = {NULL, print_word, offer_names, print_files};
    const struct itimerval deadline = {.it_value = {.tv_sec = DEADLINE_S}};
    int first = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;

    (void)signal(SIGALRM, give_up);
    (void)setitimer(ITIMER_REAL, &deadline, NULL);
    complete_line(&sink, (const char *const *)argv + first, (size_t)(argc - first));
    (void)fflush(stdout);
    clearerr(stdout); /* a shell that does not listen is not told */
    return VF_OK;
}

static int print_script(int argc, char **argv)
{
    for (const struct completion_script *s = completion_scripts; argc == 3 && s->shell != NULL;
         s++) {
        if (strcmp(argv[2], s->shell) == 0) {
            (void)fputs(s->text, stdout); /* main tells of what was not taken */
            return VF_OK;
        }
    }
    (void)fprintf(stderr, "vferry: completion: for which shell? say bash, zsh or fish, e.g. "
                          "source <(vferry completion bash)\n");
    return VF_USAGE;
}

int completion_command(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__complete") == 0)
        return complete(argc, argv);
    if (argc > 1 && strcmp(argv[1], "completion") == 0)
        return print_script(argc, argv);
    return -1;
}
