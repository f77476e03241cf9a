// SPDX-License-Identifier: Apache-2.0
/*
 * From the command line's words to a checked request: which workloads there are, which options each
 * takes, what they need.
 */
#include "base/plain.h"
#include "base/size.h"
#include "guest/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct guest_workload_ops *const all_ops[] = {
    [GUEST_DIFFUSE] = &guest_diffuse_ops,
    [GUEST_GEMM] = &guest_gemm_ops,
    [GUEST_CHURN] = &guest_churn_ops,
    [GUEST_FILL] = &guest_fill_ops,
};
#define WORKLOADS (sizeof all_ops / sizeof all_ops[0])

const struct guest_workload_ops *guest_workload_ops(uint32_t workload)
{
    return workload < WORKLOADS ? all_ops[workload] : NULL;
}

const char *guest_workload_name(enum guest_workload workload)
{
    const struct guest_workload_ops *ops = guest_workload_ops((uint32_t)workload);

    return ops != NULL ? ops->name : "none";
}

static int find_workload(const char *name, enum guest_workload *workload, struct vf_error *err)
{
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        if (all_ops[i] != NULL && strcmp(all_ops[i]->name, name) == 0) {
            *workload = (enum guest_workload)i;
            return 0;
        }
    }
    return vf_fail(err, VF_USAGE,
                   "%s: no such workload" VF_REMEDY "give diffuse, gemm, churn or fill",
                   VF_SHOWN(name));
}

enum value_kind { NUMBER, SIZE, RATE, TEXT };

/* How a value is read, and what is said of one that cannot be. */
static const struct {
    int (*parse)(const char *text, uint64_t *value);
    const char *what, *example, *largest;
} kinds[] = {
    [NUMBER] = {vf_number_parse, "whole number", "100", "18446744073709551615"},
    [SIZE] = {vf_size_parse, "size", "64M", "16777215T"},
    [RATE] = {vf_rate_parse, "rate", "100MB/s", "16777215T/s"},
};

static const struct {
    const char *key;
    enum value_kind kind;
    size_t offset;
} known[] = {
    {"input", TEXT, 0},
    {"steps", NUMBER, offsetof(struct guest_options, steps)},
    {"n", NUMBER, offsetof(struct guest_options, n)},
    {"seed", NUMBER, offsetof(struct guest_options, seed)},
    {"size", SIZE, offsetof(struct guest_options, size)},
    {"hot", SIZE, offsetof(struct guest_options, hot)},
    {"rate", RATE, offsetof(struct guest_options, rate)},
};
#define KNOWN (sizeof known / sizeof known[0])

/* The index in `known` of a key that the workload has, or KNOWN. */
static size_t find_key(const struct guest_workload_ops *ops, const char *key)
{
    char word[16];
    size_t i;

    for (i = 0; i < KNOWN; i++) {
        if (strcmp(known[i].key, key) == 0)
            break;
    }
    if (i == KNOWN)
        return KNOWN;
    (void)snprintf(word, sizeof word, " %s ", key);
    return strstr(ops->keys, word) != NULL ? i : KNOWN;
}

static int set_value(const struct guest_workload_ops *ops, size_t i, const char *text,
                     struct guest_options *options, struct vf_error *err)
{
    uint64_t value = 0;
    int parsed;

    if (known[i].kind == TEXT)
        return 0; /* the caller has read the file */
    parsed = kinds[known[i].kind].parse(text, &value);
    if (parsed == VF_TOO_LARGE)
        return vf_fail(err, VF_USAGE, "%s: --%s \"%s\" is too large" VF_REMEDY "the largest is %s",
                       ops->name, known[i].key, VF_SHOWN(text), kinds[known[i].kind].largest);
    if (parsed != 0)
        return vf_fail(err, VF_USAGE, "%s: --%s \"%s\" is no %s" VF_REMEDY "give e.g. %s",
                       ops->name, known[i].key, VF_SHOWN(text), kinds[known[i].kind].what,
                       kinds[known[i].kind].example);
    /* A default stands for 0 inside; said aloud it is a mistake. */
    if (value == 0 && strcmp(known[i].key, "seed") != 0)
        return vf_fail(err, VF_USAGE, "%s: --%s must not be 0" VF_REMEDY "%s", ops->name,
                       known[i].key,
                       strcmp(known[i].key, "rate") == 0 || strcmp(known[i].key, "hot") == 0
                           ? "leave it out for the default"
                           : "give at least 1");
    memcpy((char *)options + known[i].offset, &value, sizeof value);
    return 0;
}

static int fail_unknown(const struct guest_workload_ops *ops, const char *key, struct vf_error *err)
{
    char takes[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < KNOWN; i++) {
        if (find_key(ops, known[i].key) < KNOWN && used < sizeof takes)
            used += (size_t)snprintf(takes + used, sizeof takes - used, "%s--%s",
                                     used > 0 ? ", " : "", known[i].key);
    }
    return vf_fail(err, VF_USAGE, "%s: it has no option --%s" VF_REMEDY "it takes %s", ops->name,
                   VF_SHOWN(key), takes);
}

int guest_options_parse(const char *workload, const struct guest_pair *pairs, size_t count,
                        struct guest_options *options, struct vf_error *err)
{
    bool given[KNOWN] = {false};
    const struct guest_workload_ops *ops;

    *options = (struct guest_options){.workload = GUEST_NONE};
    if (find_workload(workload, &options->workload, err) != 0)
        return -1;
    ops = guest_workload_ops((uint32_t)options->workload);
    for (size_t p = 0; p < count; p++) {
        size_t i = find_key(ops, pairs[p].key);

        if (i == KNOWN)
            return fail_unknown(ops, pairs[p].key, err);
        if (given[i])
            return vf_fail(err, VF_USAGE, "%s: --%s is given twice" VF_REMEDY "give it once",
                           ops->name, pairs[p].key);
        given[i] = true;
        if (set_value(ops, i, pairs[p].value, options, err) != 0)
            return -1;
    }
    return 0;
}

int guest_check_steps(const struct guest_job *job, struct vf_error *err)
{
    if (job->options.steps == 0)
        return vf_fail(err, VF_USAGE,
                       "%s: --steps is missing or 0, the work would have no end" VF_REMEDY
                       "give e.g. --steps 100",
                       guest_workload_name(job->options.workload));
    return 0;
}

int guest_job_init(struct guest_job *job, const struct guest_options *options, struct vf_error *err)
{
    const struct guest_workload_ops *ops = guest_workload_ops((uint32_t)options->workload);

    if (ops == NULL)
        return vf_fail(err, VF_USAGE,
                       "no workload is named" VF_REMEDY "give diffuse, gemm, churn or fill");
    *job = (struct guest_job){.options = *options};
    if (ops->check(job, err) != 0)
        return -1;
    /* Here and not in each check: beyond it the page tables end. */
    if (ops->data_bytes(job) > GUEST_VRAM_MAX - GUEST_DATA_GPA)
        return vf_fail(err, VF_USAGE,
                       "%s: it needs more VRAM than the %" PRIu64 " GiB that a workload can map: "
                       "give a smaller problem",
                       ops->name, GUEST_VRAM_MAX >> 30);
    return 0;
}

int guest_options_check(const struct guest_options *options, struct vf_error *err)
{
    struct guest_job job;

    return guest_job_init(&job, options, err);
}

uint64_t guest_vram_needed(const struct guest_options *options)
{
    struct guest_job job;

    if (guest_job_init(&job, options, NULL) != 0)
        return UINT64_MAX;
    return GUEST_DATA_GPA + guest_workload_ops((uint32_t)options->workload)->data_bytes(&job);
}
