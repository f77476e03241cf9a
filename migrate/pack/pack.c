// SPDX-License-Identifier: Apache-2.0
/* See pack.h. */
#include "migrate/pack/pack.h"

#include "base/bytes.h"
#include "base/limits.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* Whether data gets smaller is seen from so many samples of it, spread evenly. */
#define SAMPLES 4u
#define SAMPLE_BYTES 4096u
/* Packed data that saves less is not worth unpacking. */
#define WORTH_PERCENT 90u

struct packer {
    uint64_t most;
    uint8_t *flat;   /* `most` bytes: parts that do not lie side by side; made when first used */
    uint8_t *packed; /* `most` bytes */
    ZSTD_CCtx *out;  /* made when first used */
    ZSTD_DCtx *in;   /* likewise */
};

int packer_new(uint64_t most_bytes, struct packer **out, struct vf_error *err)
{
    struct packer *packer = calloc(1, sizeof *packer);

    *out = NULL;
    if (packer == NULL || most_bytes > WIRE_MAX_SLOT_BYTES ||
        (packer->packed = malloc(most_bytes)) == NULL) {
        packer_free(packer);
        return vf_fail(err, VF_FAILED, "compression: " VF_NO_MEMORY);
    }
    packer->most = most_bytes;
    *out = packer;
    return 0;
}

void packer_free(struct packer *packer)
{
    if (packer == NULL)
        return;
    (void)ZSTD_freeCCtx(packer->out);
    (void)ZSTD_freeDCtx(packer->in);
    free(packer->packed);
    free(packer->flat);
    free(packer);
}

/* NULL: no memory. */
static const uint8_t *flatten(struct packer *packer, const struct iovec *parts, int count)
{
    uint8_t *at;

    if (count == 1)
        return parts[0].iov_base;
    if (packer->flat == NULL)
        packer->flat = malloc(packer->most);
    at = packer->flat;
    if (at == NULL)
        return NULL;
    for (int i = 0; i < count; i++) {
        memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    return packer->flat;
}

static bool worth(uint64_t packed, uint64_t plain)
{
    return packed * 100 < plain * WORTH_PERCENT;
}

/* Bytes in packer->packed; 0 = it does not fit into `most`, or failed. */
static size_t run(struct packer *packer, struct pack_way way, const uint8_t *data, uint32_t bytes,
                  uint32_t most)
{
    size_t got;
    int small;

    if (way.packing == WIRE_LZ4) {
        small =
            LZ4_compress_default((const char *)data, (char *)packer->packed, (int)bytes, (int)most);
        return small > 0 ? (size_t)small : 0;
    }
    if (packer->out == NULL)
        packer->out = ZSTD_createCCtx();
    if (packer->out == NULL)
        return 0;
    got = ZSTD_compressCCtx(packer->out, packer->packed, most, data, bytes, way.level);
    return ZSTD_isError(got) ? 0 : got;
}

/* By the same way: what one cannot make smaller another may. A sample that does not fit into what
 * is worth it counts as no smaller. */
static bool looks_worth(struct packer *packer, struct pack_way way, const uint8_t *data,
                        uint32_t bytes)
{
    uint64_t packed = 0;

    if (bytes < 4 * SAMPLES * SAMPLE_BYTES)
        return true;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const uint8_t *from = data + (uint64_t)(bytes - SAMPLE_BYTES) * i / (SAMPLES - 1);
        const size_t got = run(packer, way, from, SAMPLE_BYTES, SAMPLE_BYTES * WORTH_PERCENT / 100);

        packed += got > 0 ? got : SAMPLE_BYTES;
    }
    return worth(packed, SAMPLES * SAMPLE_BYTES);
}

bool pack(struct packer *packer, struct pack_way way, const struct iovec *parts, int count,
          uint32_t bytes, struct wire_packed *out)
{
    const uint8_t *data;
    size_t got;

    if (way.packing == WIRE_PLAIN || count <= 0 || bytes > packer->most)
        return false;
    data = flatten(packer, parts, count);
    if (data == NULL || !looks_worth(packer, way, data, bytes))
        return false;
    got = run(packer, way, data, bytes, (uint32_t)((uint64_t)bytes * WORTH_PERCENT / 100));
    if (got == 0)
        return false;
    *out = (struct wire_packed){
        .packing = way.packing, .bytes = (uint32_t)got, .data = packer->packed};
    return true;
}

void *packer_room(struct packer *packer, uint32_t bytes)
{
    return bytes <= packer->most ? packer->packed : NULL;
}

/* One frame of today's format that says its size: nothing else reaches the decoder, which knows
 * formats of old, and any number of frames, too. */
static bool is_one_zstd(const struct wire_packed *in, uint32_t bytes)
{
    return in->bytes >= 4 && vf_load_u32(in->data) == ZSTD_MAGICNUMBER &&
           ZSTD_findFrameCompressedSize(in->data, in->bytes) == in->bytes &&
           ZSTD_getFrameContentSize(in->data, in->bytes) == bytes;
}

/* What unpacked, or a number that no payload has. */
static size_t unpack_run(struct packer *packer, const struct wire_packed *in, void *to,
                         uint32_t bytes)
{
    size_t got;
    int large;

    switch (in->packing) {
    case WIRE_LZ4:
        large = LZ4_decompress_safe(in->data, to, (int)in->bytes, (int)bytes);
        return large >= 0 ? (size_t)large : SIZE_MAX;
    case WIRE_ZSTD:
        if (packer->in == NULL)
            packer->in = ZSTD_createDCtx();
        if (packer->in == NULL || !is_one_zstd(in, bytes))
            return SIZE_MAX;
        got = ZSTD_decompressDCtx(packer->in, to, bytes, in->data, in->bytes);
        return ZSTD_isError(got) ? SIZE_MAX : got;
    case WIRE_PLAIN:
    case WIRE_PACKINGS:
        break;
    }
    return SIZE_MAX;
}

int unpack(struct packer *packer, const struct wire_packed *in, void *to, uint32_t bytes,
           struct vf_error *err)
{
    if (unpack_run(packer, in, to, bytes) == bytes)
        return 0;
    return vf_fail(err, VF_FAILED, "compression: %u bytes do not unpack to the %u announced",
                   (unsigned)in->bytes, (unsigned)bytes);
}
