// SPDX-License-Identifier: Apache-2.0
/*
 * Memory as a busy partition shows it to a migration: churn fills a region with noise and then
 * rewrites one random page a step, as fast as it goes or paced; fill only makes the noise, which no
 * compressor makes smaller, and idles.
 */
#include "base/size.h"
#include "guest/internal.h"

#include <inttypes.h>

#define NS_PER_S 1000000000ull

/* Nanoseconds a step; 0 when the rate asks for more than one page a nanosecond. */
static uint64_t pace_ns(uint64_t rate)
{
    return GUEST_PAGE_BYTES * NS_PER_S / rate;
}

static int check_bytes(const char *workload, const char *key, uint64_t bytes, struct vf_error *err)
{
    char text[32];

    if (bytes % GUEST_PAGE_BYTES != 0)
        return vf_fail(err, VF_USAGE,
                       "%s: --%s %" PRIu64 " is no whole number of pages" VF_REMEDY
                       "give a multiple of %u",
                       workload, key, bytes, GUEST_PAGE_BYTES);
    if (bytes > GUEST_VRAM_MAX)
        return vf_fail(err, VF_USAGE,
                       "%s: --%s %" PRIu64 " is larger than any partition" VF_REMEDY
                       "give less than %s",
                       workload, key, bytes, vf_size_format(GUEST_VRAM_MAX, text, sizeof text));
    return 0;
}

static int check_size(const struct guest_job *job, const char *workload, struct vf_error *err)
{
    if (job->options.size == 0)
        return vf_fail(err, VF_USAGE,
                       "%s: --size is missing or 0, there is nothing to fill" VF_REMEDY
                       "give e.g. --size 64M",
                       workload);
    return check_bytes(workload, "size", job->options.size, err);
}

static int churn_check(struct guest_job *job, struct vf_error *err)
{
    struct guest_options *options = &job->options;

    if (check_size(job, "churn", err) != 0 || check_bytes("churn", "hot", options->hot, err) != 0 ||
        guest_check_steps(job, err) != 0)
        return -1;
    if (options->hot > options->size)
        return vf_fail(err, VF_USAGE,
                       "churn: --hot %" PRIu64 " is more than --size %" PRIu64
                       ", of which it is a part" VF_REMEDY "give less",
                       options->hot, options->size);
    if (options->hot == 0)
        options->hot = options->size;
    /* PACE multiplies steps by nanoseconds in 64 bits. */
    if (options->rate != 0 && pace_ns(options->rate) != 0 &&
        options->steps > UINT64_MAX / pace_ns(options->rate))
        return vf_fail(err, VF_USAGE,
                       "churn: %" PRIu64 " steps at --rate %" PRIu64 " last more than 500 years: "
                       "give a higher rate or fewer steps",
                       options->steps, options->rate);
    return 0;
}

static uint64_t data_bytes(const struct guest_job *job)
{
    return job->options.size;
}

static void emit_noise(const struct guest_job *job, struct guest_ring *ring)
{
    uint64_t stream = 0;

    (void)guest_emit(ring, SG_OP_RANDOM, GUEST_DATA_GPA, job->options.size, job->options.seed,
                     stream, 0);
}

static void churn_build(const struct guest_job *job, struct guest_ring *ring)
{
    const struct guest_options *options = &job->options;
    uint64_t counter = GUEST_COUNTERS_GPA + offsetof(struct guest_counters, steps);
    unsigned loop;

    emit_noise(job, ring);
    loop = guest_emit_loop(ring, options->steps);
    if (options->rate != 0 && pace_ns(options->rate) != 0)
        (void)guest_emit(ring, SG_OP_PACE, counter, pace_ns(options->rate), 0, 0, 0);
    (void)guest_emit(ring, SG_OP_SCATTER, GUEST_DATA_GPA, options->hot / GUEST_PAGE_BYTES,
                     GUEST_PAGE_BYTES, GUEST_SCATTER_SEED(options->seed), counter);
    guest_emit_step(ring);
    guest_emit_end(ring, loop);
}

static void describe(const struct guest_job *job, struct guest_description *description)
{
    description->seed = job->options.seed;
    description->size = job->options.size;
    description->hot = job->options.hot;
    description->rate = job->options.rate;
    description->result_gpa = GUEST_DATA_GPA;
    description->result_bytes = job->options.size;
}

static bool churn_sane(const struct guest_description *description)
{
    return description->size == description->result_bytes && description->hot <= description->size;
}

const struct guest_workload_ops guest_churn_ops = {
    .name = "churn",
    .keys = " size hot rate steps seed ",
    .check = churn_check,
    .data_bytes = data_bytes,
    .build = churn_build,
    .describe = describe,
    .sane = churn_sane,
    .reference = guest_reference_churn,
};

static int fill_check(struct guest_job *job, struct vf_error *err)
{
    job->options.steps = 1;
    job->options.hot = 0;
    job->options.rate = 0;
    return check_size(job, "fill", err);
}

static void fill_build(const struct guest_job *job, struct guest_ring *ring)
{
    unsigned loop = guest_emit_loop(ring, 1);

    emit_noise(job, ring);
    guest_emit_step(ring);
    guest_emit_end(ring, loop);
}

static bool fill_sane(const struct guest_description *description)
{
    return description->size == description->result_bytes && description->steps == 1;
}

const struct guest_workload_ops guest_fill_ops = {
    .name = "fill",
    .keys = " size seed ",
    .check = fill_check,
    .data_bytes = data_bytes,
    .build = fill_build,
    .describe = describe,
    .sane = fill_sane,
    .reference = guest_reference_fill,
};
