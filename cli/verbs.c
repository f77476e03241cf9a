// SPDX-License-Identifier: Apache-2.0
/* The table of verbs. See verbs.h. */
#include "cli/verbs.h"

#include "cli/print.h"

#include <string.h>

#define NAME {"NAME", "name", VALUE_TEXT}
#define JOB {"ID", "job", VALUE_NUMBER}
#define ADAPTER {"N", "adapter", VALUE_NUMBER}

static const struct cli_option stop_options[] = {
    {VALUE_FLAG, "force", NULL, "force", "drop the partitions that are still there", false},
    {VALUE_END},
};

static const struct cli_option create_options[] = {
    {VALUE_NUMBER, "adapter", "N", "adapter", "the adapter that gives it a VF and VRAM", true},
    {VALUE_SIZE, "vram", "SIZE", "vram", "its VRAM, zero-filled; K/M/G", true},
    {VALUE_END},
};

#define WORK_OPTIONS                                                                                                       \
    {VALUE_INPUT, "input", "FILE.pgm", NULL, "diffuse: the picture", false},                                               \
    {VALUE_WORKLOAD, "steps", "N", NULL, "diffuse, gemm, churn: how many steps", false},                                   \
    {VALUE_WORKLOAD, "n", "N", NULL, "gemm: rows and columns", false},                                                     \
    {VALUE_WORKLOAD, "seed", "S", NULL, "gemm, churn, fill: where the content begins; default 0", false},                  \
    {VALUE_WORKLOAD, "size", "SIZE", NULL, "churn, fill: bytes of VRAM", false},                                           \
    {VALUE_WORKLOAD, "hot", "SIZE", NULL, "churn: the part that is rewritten; default all", false},                        \
    {VALUE_WORKLOAD, "rate", "BYTES/S", NULL, "churn: paces the writes, and changes nothing else", false}

static const struct cli_option run_options[] = {WORK_OPTIONS, {VALUE_END}};

static const struct cli_option reference_options[] = {
    WORK_OPTIONS,
    {VALUE_OUTPUT, "output", "FILE", NULL, "write the result there", false},
    {VALUE_END},
};

static const char work_text[] =
    "Workloads:\n"
    "  diffuse --input FILE.pgm --steps N                               heat diffusion over a picture\n"
    "  gemm --n N --steps K [--seed S]                                  repeated matrix products\n"
    "  churn --size SIZE [--hot SIZE] [--rate BYTES/S] --steps N [--seed S]   one page write a step\n"
    "  fill --size SIZE [--seed S]                                      incompressible content, then idle\n";

static const struct cli_option wait_options[] = {
    {VALUE_NUMBER, "timeout", "SEC", "timeout", "give up after so many seconds (exit 1)", false},
    {VALUE_END},
};

static const struct cli_option read_options[] = {
    {VALUE_OUTPUT, "output", "FILE", NULL, "write the result there", true},
    {VALUE_END},
};

static const struct cli_option check_options[] = {
    {VALUE_TEXT, "to", "HOST:PORT", "to", "where the other vferryd listens", true},
    {VALUE_END},
};

static const struct cli_option migrate_options[] = {
    {VALUE_TEXT, "to", "HOST:PORT", "to", "where the other vferryd listens", true},
    {VALUE_NUMBER, "max-blackout", "MS", "max_blackout_ms", "longest pause, hard until the hand-off; default 750", false},
    {VALUE_NUMBER, "max-time", "SEC", "max_time_s", "give up when it is not done by then; default: no limit", false},
    {VALUE_SIZE, "bandwidth", "BYTES/S", "bandwidth", "send no faster; default: no limit", false},
    {VALUE_TEXT, "verify", "delta|full", "verify", "full also rehashes both paused sides; default delta", false},
    {VALUE_NUMBER, "streams", "N", "streams", "data streams, 1 to 8; default 2", false},
    {VALUE_TEXT, "compress", "none", "compress", "zstd, lz4 and auto are not built yet", false},
    {VALUE_FLAG, "dry-run", NULL, NULL, "only check, as \"vferry check\"", false},
    {VALUE_FLAG, "detach", NULL, NULL, "return once it has begun; see \"vferry job\"", false},
    {VALUE_END},
};

static const struct cli_option resolve_options[] = {
    {VALUE_FLAG, "source-runs", NULL, NULL, "it runs at the source", false},
    {VALUE_FLAG, "target-runs", NULL, NULL, "it runs at the target", false},
    {VALUE_END},
};

static const struct cli_option save_options[] = {
    {VALUE_OUTPUT, "output", "FILE", NULL, "the image", true},
    {VALUE_FLAG, "keep", NULL, NULL, "let the partition run on", false},
    {VALUE_END},
};

static const struct cli_option restore_options[] = {
    {VALUE_INPUT, "input", "FILE", NULL, "the image", true},
    {VALUE_NUMBER, "adapter", "N", "adapter", "the adapter that takes it", true},
    {VALUE_END},
};

static const struct cli_option update_options[] = {
    {VALUE_INPUT, "driver", "FILE.so", NULL, "the new driver", true},
    {VALUE_FLAG, "dry-run", NULL, NULL, "only check", false},
    {VALUE_END},
};

static const struct cli_option events_options[] = {
    {VALUE_FLAG, "follow", NULL, "follow", "go on until interrupted", false},
    {VALUE_END},
};

const struct cli_verb cli_verbs[] = {
    {"host show", {{0}}, NULL, "the host: its name, processes and address", NULL, "host show", cmd_request, print_host},
    {"host stop", {{0}}, stop_options, "end vferryd and its kernel side",
     "Refused while there are partitions, unless --force drops them.\n", "host stop --force", cmd_host_stop, NULL},
    {"adapter list", {{0}}, NULL, "the host's GPUs", NULL, "adapter list", cmd_request, print_adapters},
    {"adapter show", {ADAPTER}, NULL, "one GPU: VFs, VRAM, what it can do", NULL, "adapter show 0", cmd_request, print_adapter},
    {"partition create", {NAME}, create_options, "make a partition: a VF with VRAM of its own", NULL,
     "partition create p1 --adapter 0 --vram 1G", cmd_request, print_created},
    {"partition list", {{0}}, NULL, "the host's partitions", NULL, "partition list", cmd_request, print_partitions},
    {"partition show", {NAME}, NULL, "one partition: where, how large, what it does", NULL, "partition show p1", cmd_request,
     print_partition},
    {"partition pause", {NAME}, NULL, "take it out of the GPU's schedule", NULL, "partition pause p1", cmd_request, NULL},
    {"partition resume", {NAME}, NULL, "let it run again", NULL, "partition resume p1", cmd_request, NULL},
    {"partition remove", {NAME}, NULL, "end it; its VRAM is lost", NULL, "partition remove p1", cmd_request, NULL},
    {"run", {NAME, {"WORKLOAD", "workload", VALUE_TEXT}}, run_options, "start a workload in a partition, return at once", work_text,
     "run p1 churn --size 512M --rate 100M --steps 200000 --seed 7", cmd_run, print_run},
    {"wait", {NAME}, wait_options, "wait for the workload's end; gives steps and digest",
     "Exit 1 when it is not done in time, or when the partition moved (\"moved to HOST:PORT\": wait there).\n", "wait p1 --timeout 60",
     cmd_request, print_work},
    {"read", {NAME}, read_options, "fetch the result of a finished workload", NULL, "read p1 --output after.pgm", cmd_read, print_read},
    {"reference", {{"WORKLOAD", "workload", VALUE_TEXT}}, reference_options, "the same work on the CPU; needs no host", work_text,
     "reference diffuse --input before.pgm --steps 100 --output after.pgm", cmd_reference, print_work},
    {"check", {NAME}, check_options, "could it move? every reason if not", "Exit 3 when it cannot.\n", "check p1 --to 10.0.0.2:7001",
     cmd_request, print_check},
    {"migrate", {NAME}, migrate_options, "move a running partition to another host",
     "Ctrl-C cancels: the partition runs on here (exit 4), unless it was handed over already.\n",
     "migrate p1 --to 10.0.0.2:7001 --max-blackout 200 --verify full", cmd_migrate, print_moved},
    {"job list", {{0}}, NULL, "moves from and to this host, newest first", NULL, "job list", cmd_request, print_jobs},
    {"job show", {JOB}, NULL, "one move with all its figures", NULL, "job show 3", cmd_request, print_job},
    {"job watch", {JOB}, NULL, "follow a move to its end; exits as \"migrate\" would", NULL, "job watch 3", cmd_watch, print_moved},
    {"job cancel", {JOB}, NULL, "end a move: the partition runs on at its source", NULL, "job cancel 3", cmd_request, NULL},
    {"job resolve", {JOB}, resolve_options, "settle a move whose outcome is unknown (not built yet)", NULL, "job resolve 3 --source-runs",
     cmd_not_built, NULL},
    {"save", {NAME}, save_options, "save a partition to a file (not built yet)", NULL, "save p1 --output p1.image", cmd_not_built, NULL},
    {"restore", {NAME}, restore_options, "bring a saved partition back (not built yet)", NULL,
     "restore p1 --input p1.image --adapter 0", cmd_not_built, NULL},
    {"image info", {{"FILE", NULL, VALUE_TEXT}}, NULL, "what a saved partition is (not built yet)", NULL, "image info p1.image",
     cmd_not_built, NULL},
    {"image verify", {{"FILE", NULL, VALUE_TEXT}}, NULL, "is a saved partition whole? (not built yet)", NULL, "image verify p1.image",
     cmd_not_built, NULL},
    {"driver show", {ADAPTER}, NULL, "the driver of an adapter", NULL, "driver show 0", cmd_request, print_driver},
    {"driver update", {ADAPTER}, update_options, "replace a driver while partitions work (not built yet)", NULL,
     "driver update 0 --driver new.so", cmd_not_built, NULL},
    {"events", {{0}}, events_options, "what happened on the host", NULL, "events --follow", cmd_events, print_events},
    {NULL},
};

/* Length of the first of two words, 0 when there is one only. */
static size_t group_length(const char *words)
{
    const char *space = strchr(words, ' ');

    return space == NULL ? 0 : (size_t)(space - words);
}

static bool starts_with_group(const struct cli_verb *verb, const char *word)
{
    size_t length = group_length(verb->words);

    return length > 0 && strlen(word) == length && strncmp(verb->words, word, length) == 0;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *used)
{
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        size_t group = group_length(verb->words);

        *used = group > 0 ? 2 : 1;
        if (argc < *used)
            continue;
        if (group > 0 ? starts_with_group(verb, argv[0]) && strcmp(verb->words + group + 1, argv[1]) == 0
                      : strcmp(verb->words, argv[0]) == 0)
            return verb;
    }
    return NULL;
}

bool cli_is_group(const char *word)
{
    for (const struct cli_verb *verb = cli_verbs; verb->words != NULL; verb++) {
        if (starts_with_group(verb, word))
            return true;
    }
    return false;
}
