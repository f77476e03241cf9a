// SPDX-License-Identifier: Apache-2.0
/*
 * A partition made of plain memory, for tests: registers are remembered, an engine is absent,
 * failures can be ordered.
 */
#ifndef GUEST_TESTS_PLAIN_H
#define GUEST_TESTS_PLAIN_H

#include "guest/internal.h"

struct plain {
    uint8_t *bytes;
    struct guest_memory memory;
    uint64_t root, ip;
    uint64_t started; /* how often the compute queue was started */
    uint64_t status[SG_QUEUES];
    uint64_t halt_after; /* status reads that pass before an ordered halt is seen */
    bool halting;
    uint64_t
        writes_left; /* VRAM and register writes that succeed before one fails; UINT64_MAX: all */
};

/* `bytes` of zeros, queues halted. Stays where it is until plain_close. */
void plain_open(struct plain *plain, uint64_t bytes);
void plain_close(struct plain *plain);

/* A growing byte string as guest_sink's ctx. */
struct bytes {
    uint8_t *data;
    size_t n;
};
int bytes_sink(void *ctx, const void *data, size_t n, struct vf_error *err);

/* Independent of the room's digest code. */
void digest_of(const void *data, size_t n, char digest[GUEST_DIGEST_BYTES]);

/* A picture file with noise in it; the caller frees. */
uint8_t *noise_picture(uint32_t width, uint32_t height, uint32_t maxval, uint64_t seed, size_t *n);

/* The manual's RANDOM, straight from its text. */
uint64_t sg_random(uint64_t seed, uint64_t stream, uint64_t word);

#endif
