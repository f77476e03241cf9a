// SPDX-License-Identifier: Apache-2.0
/* See plain.h. */
#include "guest/tests/plain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_write(struct plain *plain, struct vf_error *err)
{
    if (plain->writes_left == UINT64_MAX)
        return 0;
    if (plain->writes_left == 0)
        return vf_fail(err, VF_FAILED, "ordered to fail");
    plain->writes_left--;
    return 0;
}

static int plain_read(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    struct plain *plain = ctx;

    if (gpa > plain->memory.bytes || n > plain->memory.bytes - gpa)
        return vf_fail(err, VF_FAILED, "read outside the partition");
    memcpy(buf, plain->bytes + gpa, n);
    return 0;
}

static int plain_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    struct plain *plain = ctx;

    if (gpa > plain->memory.bytes || n > plain->memory.bytes - gpa)
        return vf_fail(err, VF_FAILED, "write outside the partition");
    if (take_write(plain, err) != 0)
        return -1;
    memcpy(plain->bytes + gpa, buf, n);
    return 0;
}

static int plain_reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                           struct vf_error *err)
{
    struct plain *plain = ctx;

    (void)width;
    if (take_write(plain, err) != 0)
        return -1;
    if (offset == SG_VF_ROOT64)
        plain->root = value;
    else if (offset == SG_VF_QUEUE(SG_QUEUE_COMPUTE) + SG_Q_IP64)
        plain->ip = value;
    else if (offset == SG_VF_QUEUE(SG_QUEUE_COMPUTE) + SG_Q_CTRL && value == 1)
        plain->started++;
    else if ((offset & 0x3f) == SG_Q_CTRL && value == 0)
        plain->halting = true;
    return 0;
}

static int plain_reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                          struct vf_error *err)
{
    struct plain *plain = ctx;

    (void)width;
    (void)err;
    *value = 0;
    if (offset == SG_VF_ID)
        *value = SG_ID_VALUE;
    for (unsigned q = 0; q < SG_QUEUES; q++) {
        if (plain->halting && plain->halt_after-- == 0)
            plain->status[q] = SG_Q_HALTED;
        if (offset == SG_VF_QUEUE(q) + SG_Q_STATUS)
            *value = plain->status[q];
    }
    return 0;
}

void plain_open(struct plain *plain, uint64_t bytes)
{
    *plain = (struct plain){.bytes = calloc(1, bytes), .writes_left = UINT64_MAX};
    if (plain->bytes == NULL)
        abort();
    plain->memory = (struct guest_memory){plain,       bytes,           plain_read,
                                          plain_write, plain_reg_write, plain_reg_read};
}

void plain_close(struct plain *plain)
{
    free(plain->bytes);
}

int bytes_sink(void *ctx, const void *data, size_t n, struct vf_error *err)
{
    struct bytes *bytes = ctx;
    uint8_t *more = realloc(bytes->data, bytes->n + n);

    if (more == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    memcpy(more + bytes->n, data, n);
    bytes->data = more;
    bytes->n += n;
    return 0;
}

void digest_of(const void *data, size_t n, char digest[GUEST_DIGEST_BYTES])
{
    XXH128_hash_t hash = XXH3_128bits(data, n);

    (void)snprintf(digest, GUEST_DIGEST_BYTES, "xxh3-128:%016" PRIx64 "%016" PRIx64, hash.high64,
                   hash.low64);
}

uint64_t sg_random(uint64_t seed, uint64_t stream, uint64_t word)
{
    uint64_t z = seed + SG_GOLDEN * (stream + 1);

    z ^= z >> 30;
    z *= SG_MIX_1;
    z ^= z >> 27;
    z *= SG_MIX_2;
    z ^= z >> 31;
    z += SG_GOLDEN * (word + 1);
    z ^= z >> 30;
    z *= SG_MIX_1;
    z ^= z >> 27;
    z *= SG_MIX_2;
    z ^= z >> 31;
    return z;
}

uint8_t *noise_picture(uint32_t width, uint32_t height, uint32_t maxval, uint64_t seed, size_t *n)
{
    size_t sample_bytes = maxval < 256 ? 1 : 2;
    size_t count = (size_t)width * height;
    uint8_t *file = malloc(64 + count * sample_bytes);
    uint8_t *at = file;

    if (file == NULL)
        abort();
    at += sprintf((char *)file, "P5 %u %u # by a test\n%u\n", width, height, maxval);
    for (size_t i = 0; i < count; i++) {
        uint32_t sample = (uint32_t)(sg_random(seed, 99, i) % ((uint64_t)maxval + 1));

        if (sample_bytes == 2)
            *at++ = (uint8_t)(sample >> 8);
        *at++ = (uint8_t)sample;
    }
    *n = (size_t)(at - file);
    return file;
}
