// SPDX-License-Identifier: Apache-2.0
/*
 * Repeated matrix products, X = A x X modulo 2^32. A and the first X come from RANDOM; X and its
 * successor change places with every step.
 */
#include "guest/internal.h"

#include <inttypes.h>

static uint64_t matrix_bytes(uint64_t n)
{
    return n * n * sizeof(uint32_t);
}

/*
 * RANDOM writes whole 64-bit words: an odd matrix has four bytes of slack, which the alignment
 * always leaves.
 */
static uint64_t random_bytes(uint64_t n)
{
    return guest_align(matrix_bytes(n), sizeof(uint64_t));
}

static uint64_t buffer_bytes(const struct guest_job *job)
{
    return guest_align(matrix_bytes(job->options.n), GUEST_DATA_ALIGN);
}

/* A lies first, then X of even and X of odd steps. */
static uint64_t x_gpa(const struct guest_job *job, uint64_t step)
{
    return GUEST_DATA_GPA + (1 + step % 2) * buffer_bytes(job);
}

static int check(struct guest_job *job, struct vf_error *err)
{
    uint64_t n = job->options.n;

    if (n == 0)
        return vf_fail(err, VF_USAGE,
                       "gemm: --n is missing or 0, the matrices have no size" VF_REMEDY
                       "give e.g. --n 512");
    if (n > GUEST_GEMM_MAX_N)
        return vf_fail(err, VF_USAGE,
                       "gemm: --n %" PRIu64
                       " is too large, three such matrices fit no device" VF_REMEDY
                       "give at most %u",
                       n, GUEST_GEMM_MAX_N);
    return guest_check_steps(job, err);
}

static uint64_t data_bytes(const struct guest_job *job)
{
    return 3 * buffer_bytes(job);
}

static void build(const struct guest_job *job, struct guest_ring *ring)
{
    uint64_t n = job->options.n;
    uint64_t seed = job->options.seed;
    uint64_t even = x_gpa(job, 0);
    uint64_t odd = x_gpa(job, 1);
    unsigned loop;

    (void)guest_emit(ring, SG_OP_RANDOM, GUEST_DATA_GPA, random_bytes(n), seed, GUEST_STREAM_A, 0);
    (void)guest_emit(ring, SG_OP_RANDOM, even, random_bytes(n), seed, GUEST_STREAM_X, 0);
    loop = guest_emit_loop(ring, job->options.steps);
    (void)guest_emit(ring, SG_OP_GEMM, odd, GUEST_DATA_GPA, even, n, 0);
    guest_emit_step(ring);
    (void)guest_emit_loop(ring, job->options.steps);
    (void)guest_emit(ring, SG_OP_GEMM, even, GUEST_DATA_GPA, odd, n, 0);
    guest_emit_step(ring);
    guest_emit_end(ring, loop);
}

static void describe(const struct guest_job *job, struct guest_description *description)
{
    description->n = job->options.n;
    description->seed = job->options.seed;
    description->result_gpa = x_gpa(job, job->options.steps);
    description->result_bytes = matrix_bytes(job->options.n);
}

static bool sane(const struct guest_description *description)
{
    return description->n <= GUEST_GEMM_MAX_N &&
           description->result_bytes == matrix_bytes(description->n);
}

const struct guest_workload_ops guest_gemm_ops = {
    .name = "gemm",
    .keys = " n steps seed ",
    .check = check,
    .data_bytes = data_bytes,
    .build = build,
    .describe = describe,
    .sane = sane,
    .reference = guest_reference_gemm,
};
