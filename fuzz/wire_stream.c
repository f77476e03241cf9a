// SPDX-License-Identifier: Apache-2.0
/*
 * A stream of records and page frames from a hostile peer. Input: for each piece u8 tag, u8 how,
 * u16 length and so many bytes of payload. The target puts a right header and right checksums
 * around it, so that the fuzzer gets behind them, unless `how` says otherwise.
 */
#include "fuzz/memory_stream.h"
#include "fuzz/target.h"
#include "fuzz/wire_samples.h"
#include "migrate/pack/frames.h"
#include "migrate/wire/internal.h"

#include <xxhash.h>

#define HOW_MANDATORY 1u
#define HOW_RAW 2u  /* the bytes as they are, no header */
#define HOW_LIE 4u  /* the header's length comes from the payload's first four bytes */
#define HOW_SUM 8u  /* a wrong checksum */
#define HOW_FIT 16u /* a frame's length is what its head says, there or not */
#define PIECE_BYTES 4u
#define PAGE 64u
#define SLOT 1024u

/* How far the checksum reaches: a frame's does not cover its payload. */
static size_t summed(const uint8_t *payload, uint32_t tag, size_t bytes)
{
    size_t count, reach;

    if (!wire_is_frame(tag) || bytes < WIRE_FRAME_HEAD_BYTES)
        return bytes;
    count = vf_load_u32(payload + 48);
    reach = WIRE_FRAME_HEAD_BYTES + 16 * count + (tag == WIRE_PACKED ? 8 : 0);
    return reach <= bytes ? reach : bytes;
}

/* What the header says of the payload's length. */
static uint32_t announced(const uint8_t *payload, uint32_t tag, uint32_t how, size_t bytes)
{
    if ((how & HOW_LIE) != 0 && bytes >= 4)
        return vf_load_u32(payload);
    if ((how & HOW_FIT) != 0 && tag == WIRE_PAGES && bytes >= WIRE_FRAME_HEAD_BYTES)
        return WIRE_FRAME_HEAD_BYTES + 16 * vf_load_u32(payload + 48) + vf_load_u32(payload + 52);
    return (uint32_t)bytes;
}

/* The next piece as it goes over the wire; its bytes. */
static size_t put_piece(struct fuzz_input *in, uint8_t *to)
{
    uint32_t tag = (uint32_t)fuzz_number(in, 1);
    uint32_t how = (uint32_t)fuzz_number(in, 1);
    size_t bytes = fuzz_number(in, 2);
    uint8_t *payload = to + WIRE_HEADER_BYTES;
    uint32_t length;

    if (bytes > in->left)
        bytes = in->left;
    if (how & HOW_RAW) {
        memcpy(to, fuzz_take(in, bytes), bytes);
        return bytes;
    }
    memcpy(payload, fuzz_take(in, bytes), bytes);
    length = announced(payload, tag, how, bytes);
    if (bytes >= 8)
        vf_store_u64(payload, XXH3_64bits(payload + 8, summed(payload, tag, bytes) - 8) +
                                  (how & HOW_SUM ? 1 : 0));
    wire_header_encode(to, tag, how & HOW_MANDATORY, length);
    return WIRE_HEADER_BYTES + bytes;
}

static bool read_frame(struct tp *tp, const struct wire_header *header, struct frames_in *frames,
                       uint8_t *slot)
{
    static const struct wire_geometry geometry = {
        .page_bytes = PAGE, .pages_total = 1ull << 40, .slot_bytes = SLOT};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;
    struct wire_frame frame;
    uint32_t places = 0;

    if (wire_recv_frame_head(tp, header, &frame, &packed, &geometry, TP_NEVER, &err) != 0) {
        fuzz_must(frame.count == 0 && frame.payload_bytes == 0);
        return false;
    }
    fuzz_must(frame.count > 0 && frame.count <= WIRE_FRAME_PAGES && frame.payload_bytes <= SLOT);
    for (uint32_t i = 0; i < frame.count; i++) {
        fuzz_must((frame.pages[i] & ~WIRE_PAGE_ZERO) < geometry.pages_total);
        if ((frame.pages[i] & WIRE_PAGE_ZERO) == 0)
            fuzz_must(frame.place[i] == places++);
    }
    fuzz_must(places * PAGE == frame.payload_bytes);
    fuzz_must((packed.packing == WIRE_PLAIN) == (header->tag == WIRE_PAGES) &&
              (packed.packing == WIRE_PLAIN || packed.bytes < frame.payload_bytes));
    return frames_in_take(frames, tp, &frame, &packed, slot, &geometry, &err) == 0;
}

/* One record or frame; false at the stream's end, which any error is. */
static bool read_one(struct tp *tp, struct frames_in *frames, uint8_t *slot)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message message;
    struct wire_header header;

    if (wire_recv_header(tp, &header, TP_NEVER, &err) != 0) {
        fuzz_must(err.code != VF_OK && err.text[0] != '\0');
        return false;
    }
    fuzz_must(header.length <= wire_tag_cap(header.tag));
    if (wire_is_frame(header.tag))
        return read_frame(tp, &header, frames, slot);
    if (wire_hear_body(tp, &header, &message, TP_NEVER, &err) != 0)
        return false;
    wire_message_free(&message);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    /* A piece of four bytes of input becomes at most a header. */
    uint8_t *stream = malloc((size / PIECE_BYTES + 1) * WIRE_HEADER_BYTES + size);
    uint8_t *slot = malloc(SLOT);
    struct frames_in frames = {NULL};
    size_t bytes = 0;
    struct tp *tp;

    fuzz_must(stream != NULL && slot != NULL);
    while (in.left >= PIECE_BYTES)
        bytes += put_piece(&in, stream + bytes);
    tp = memory_stream(stream, bytes);
    while (read_one(tp, &frames, slot))
        continue;
    frames_in_free(&frames);
    fuzz_must(memory_stream_read(tp) <= bytes);
    tp_close(tp);
    free(slot);
    free(stream);
    return 0;
}

static size_t put_head(uint8_t *to, uint32_t tag, uint32_t how, size_t bytes)
{
    to[0] = (uint8_t)tag;
    to[1] = (uint8_t)how;
    to[2] = (uint8_t)bytes;
    to[3] = (uint8_t)(bytes >> 8);
    return PIECE_BYTES + bytes;
}

/* Pages 0 (zero), 1 and 5. */
static size_t put_frame(uint8_t *to)
{
    static const uint64_t pages[3] = {0 | WIRE_PAGE_ZERO, 1, 5};
    uint8_t *payload = to + PIECE_BYTES;

    memset(payload, 0, WIRE_FRAME_HEAD_BYTES + 48 + 2 * PAGE);
    vf_store_u32(payload + 48, 3);
    vf_store_u32(payload + 52, 2 * PAGE);
    for (unsigned i = 0; i < 3; i++)
        vf_store_u64(payload + WIRE_FRAME_HEAD_BYTES + 8 * i, pages[i]);
    return put_head(to, WIRE_PAGES, HOW_MANDATORY, WIRE_FRAME_HEAD_BYTES + 48 + 2 * PAGE);
}

/* Sixteen pages from page 3 on, packed. */
static size_t put_packed(uint8_t *to, struct pack_way way)
{
    uint8_t *payload = to + PIECE_BYTES;
    uint8_t content[SLOT] = {1, 2, 3};
    const struct iovec part = {content, sizeof content};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;
    struct packer *packer;
    size_t at = WIRE_FRAME_HEAD_BYTES;

    fuzz_must(packer_new(SLOT, &packer, &err) == 0 && pack(packer, way, &part, 1, SLOT, &packed));
    memset(payload, 0, WIRE_FRAME_HEAD_BYTES + 16 * SLOT / PAGE);
    vf_store_u32(payload + 48, SLOT / PAGE);
    vf_store_u32(payload + 52, SLOT);
    for (unsigned i = 0; i < SLOT / PAGE; i++, at += 8)
        vf_store_u64(payload + at, 3 + i);
    at += 8 * SLOT / PAGE; /* digests */
    vf_store_u32(payload + at, packed.packing);
    vf_store_u32(payload + at + 4, packed.bytes);
    memcpy(payload + at + 8, packed.data, packed.bytes);
    at += 8 + packed.bytes;
    packer_free(packer);
    return put_head(to, WIRE_PACKED, HOW_MANDATORY, at);
}

/* As many zero pages as a frame holds. */
static size_t put_full_frame(uint8_t *to)
{
    const size_t bytes = WIRE_FRAME_HEAD_BYTES + 16 * WIRE_FRAME_PAGES;
    uint8_t *payload = to + PIECE_BYTES;

    memset(payload, 0, bytes);
    vf_store_u32(payload + 48, WIRE_FRAME_PAGES);
    for (unsigned i = 0; i < WIRE_FRAME_PAGES; i++)
        vf_store_u64(payload + WIRE_FRAME_HEAD_BYTES + 8 * i, i | WIRE_PAGE_ZERO);
    return put_head(to, WIRE_PAGES, HOW_MANDATORY | HOW_FIT, bytes);
}

/* Room for the checksum is part of a piece's payload. */
static size_t put_sample(uint8_t *to, enum wire_tag tag)
{
    size_t bytes = 8 + wire_sample_payload(tag, to + PIECE_BYTES + 8, 4096);

    memset(to + PIECE_BYTES, 0, 8);
    return put_head(to, tag, HOW_MANDATORY, bytes);
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const enum wire_tag control[] = {WIRE_HELLO,     WIRE_ADMIT, WIRE_ROUND, WIRE_PING,
                                            WIRE_ROUND_END, WIRE_STATE, WIRE_COMMIT};
    size_t used = 0;

    switch (index) {
    case 0: /* a source's control stream */
        for (size_t i = 0; i < sizeof control / sizeof control[0]; i++)
            used += put_sample(data + used, control[i]);
        return used;
    case 1: /* a data stream */
        used = put_sample(data, WIRE_HELLO);
        for (int i = 0; i < 3; i++)
            used += put_frame(data + used);
        used += put_packed(data + used, (struct pack_way){WIRE_LZ4, 0});
        used += put_packed(data + used, (struct pack_way){WIRE_ZSTD, 1});
        return used + put_sample(data + used, WIRE_ROUND_END);
    case 2: /* an unknown optional record, then one that lies */
        used = put_head(data, 200, 0, 0);
        used += put_sample(data + used, WIRE_ABORT);
        data[used + PIECE_BYTES] = 0xff;
        data[used + PIECE_BYTES + 1] = 0xff;
        data[used + PIECE_BYTES + 2] = 0x0f;
        data[used + PIECE_BYTES + 3] = 0;
        return used + put_head(data + used, WIRE_STATE, HOW_LIE, 64);
    case 3:
        used = put_full_frame(data);
        return used + put_full_frame(data + used);
    case 4: /* a target's answer to a source that comes back */
        used = put_sample(data, WIRE_HELLO);
        used += put_sample(data + used, WIRE_RESUMED);
        return used + put_sample(data + used, WIRE_TABLE);
    default:
        return 0;
    }
}
