// SPDX-License-Identifier: Apache-2.0
/* Random numbers of tests: the same from the same seed. A test that takes its seed from
 * chance_seed() is repeated by SEED=N, which it has printed. */
#ifndef VF_BASE_TESTS_CHANCE_H
#define VF_BASE_TESTS_CHANCE_H

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* SEED of the environment, else the time; printed. */
static inline uint64_t chance_seed(void)
{
    const char *given = getenv("SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

    (void)printf("# SEED=%" PRIu64 "\n", seed);
    return seed;
}

static inline uint32_t chance_bits(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 32);
}

static inline uint64_t chance_below(uint64_t *seed, uint64_t limit)
{
    return ((uint64_t)chance_bits(seed) << 32 | chance_bits(seed)) % limit;
}

/* From 0 to 1. */
static inline double chance(uint64_t *seed)
{
    return (double)chance_bits(seed) / (double)(1ull << 32);
}

/* From `low` to `high`, each order of magnitude as likely as the next. */
static inline double chance_magnitude(uint64_t *seed, double low, double high)
{
    return low * pow(high / low, chance(seed));
}

#endif
