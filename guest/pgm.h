// SPDX-License-Identifier: Apache-2.0
/*
 * Greyscale pictures as binary PGM ("P5"): a strict reader over untrusted bytes, and the pieces of
 * a writer.
 */
#ifndef GUEST_PGM_H
#define GUEST_PGM_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct guest_image {
    uint32_t width;
    uint32_t height;
    uint32_t maxval;        /* 1..65535; samples take one byte up to 255, else two, big endian */
    const uint8_t *samples; /* borrowed from the parsed bytes; row-major, width * height of them */
};

/*
 * Reads one picture from exactly `n` bytes; comments are allowed wherever the header has white
 * space. Refuses (VF_FAILED, one line) other formats, numbers out of range, a truncated picture,
 * bytes behind it and samples above maxval.
 */
int guest_pgm_parse(const void *bytes, size_t n, struct guest_image *image, struct vf_error *err);

static inline uint32_t guest_pgm_sample_bytes(uint32_t maxval)
{
    return maxval < 256 ? 1 : 2;
}

/* Sample `i` of a parsed picture; the caller keeps i below width * height. */
uint32_t guest_pgm_sample(const struct guest_image *image, uint64_t i);

#define GUEST_PGM_HEADER_BYTES 48u

/* Writes the header of a picture; returns its length. */
size_t guest_pgm_header(char header[GUEST_PGM_HEADER_BYTES], uint32_t width, uint32_t height,
                        uint32_t maxval);

/* Writes one sample at `at` and returns the place of the next one. */
uint8_t *guest_pgm_put(uint8_t *at, uint32_t sample, uint32_t maxval);

#endif
