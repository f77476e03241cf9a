// SPDX-License-Identifier: Apache-2.0
/*
 * The arithmetic of the commands, on plain memory: the only code built at -O3. Variants for
 * wider vectors are compiled from the same bodies, integers only, so which one runs cannot show
 * in a result.
 */
#include "softgpu.h"

#include <string.h>

#if defined(__x86_64__)
#define HAVE_WIDE 1
#define WIDE __attribute__((target("avx2")))
#endif
#define BODY static inline __attribute__((always_inline))

static inline uint64_t mix(uint64_t z)
{
    z ^= z >> 30;
    z *= SG_MIX_1;
    z ^= z >> 27;
    z *= SG_MIX_2;
    return z ^ z >> 31;
}

uint64_t sg_kernel_random_word(uint64_t seed, uint64_t stream, uint64_t index)
{
    return mix(mix(seed + SG_GOLDEN * (stream + 1)) + SG_GOLDEN * (index + 1));
}

/* Writes VRAM in place. Scalar on purpose: a 64-bit multiply is one instruction there and a dozen
 * in SSE2. */
SG_RACES_AS_HARDWARE
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("no-tree-vectorize")))
#endif
void sg_kernel_random(uint64_t *to, uint64_t words, uint64_t seed, uint64_t stream, uint64_t first)
{
    uint64_t z = mix(seed + SG_GOLDEN * (stream + 1)) + SG_GOLDEN * (first + 1);

#if defined(__clang__)
#pragma clang loop vectorize(disable)
#endif
    for (uint64_t i = 0; i < words; i++, z += SG_GOLDEN)
        to[i] = mix(z);
}

SG_RACES_AS_HARDWARE void sg_kernel_fill(uint64_t *to, uint64_t words, uint64_t pattern)
{
    for (uint64_t i = 0; i < words; i++)
        to[i] = pattern;
}

uint64_t sg_kernel_hash(const uint64_t *from, uint64_t words, uint64_t h)
{
    for (uint64_t i = 0; i < words; i++)
        h = mix(h ^ from[i]);
    return h;
}

BODY void stencil_body(int32_t *restrict to, const int32_t *restrict up,
                       const int32_t *restrict mid, const int32_t *restrict down, uint32_t cells,
                       uint32_t shift)
{
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t u = (uint32_t)mid[i];
        uint32_t n = (uint32_t)up[i] + (uint32_t)down[i] + (uint32_t)mid[(int64_t)i - 1] +
                     (uint32_t)mid[i + 1];

        to[i] = (int32_t)(u + (uint32_t)((int32_t)(n - 4 * u) >> shift));
    }
}

/* Four rows of c at a time keep a row of b in registers' reach. */
BODY void gemm_body(uint32_t *restrict c, const uint32_t *restrict a, const uint32_t *restrict b,
                    uint32_t rows, uint32_t depth, uint32_t cols)
{
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t k = 0; k + 4 <= depth; k += 4) {
            const uint32_t *x = a + (size_t)r * SG_GEMM_DEPTH + k;
            const uint32_t *y = b + (size_t)k * SG_GEMM_COLS;
            uint32_t *z = c + (size_t)r * SG_GEMM_COLS;

            for (uint32_t j = 0; j < cols; j++)
                z[j] += x[0] * y[j] + x[1] * y[j + SG_GEMM_COLS] + x[2] * y[j + 2 * SG_GEMM_COLS] +
                        x[3] * y[j + 3 * SG_GEMM_COLS];
        }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t k = depth & ~3u; k < depth; k++) {
            uint32_t x = a[(size_t)r * SG_GEMM_DEPTH + k];

            for (uint32_t j = 0; j < cols; j++)
                c[(size_t)r * SG_GEMM_COLS + j] += x * b[(size_t)k * SG_GEMM_COLS + j];
        }
}

#ifdef HAVE_WIDE
WIDE static void stencil_wide(int32_t *to, const int32_t *up, const int32_t *mid,
                              const int32_t *down, uint32_t cells, uint32_t shift)
{
    stencil_body(to, up, mid, down, cells, shift);
}

WIDE static void gemm_wide(uint32_t *c, const uint32_t *a, const uint32_t *b, uint32_t rows,
                           uint32_t depth, uint32_t cols)
{
    gemm_body(c, a, b, rows, depth, cols);
}
#endif

void sg_kernel_stencil(int32_t *to, const int32_t *up, const int32_t *mid, const int32_t *down,
                       uint32_t cells, uint32_t shift)
{
#ifdef HAVE_WIDE
    if (__builtin_cpu_supports("avx2")) {
        stencil_wide(to, up, mid, down, cells, shift);
        return;
    }
#endif
    stencil_body(to, up, mid, down, cells, shift);
}

void sg_kernel_gemm(uint32_t *c, const uint32_t *a, const uint32_t *b, uint32_t rows,
                    uint32_t depth, uint32_t cols)
{
#ifdef HAVE_WIDE
    if (__builtin_cpu_supports("avx2")) {
        gemm_wide(c, a, b, rows, depth, cols);
        return;
    }
#endif
    gemm_body(c, a, b, rows, depth, cols);
}
