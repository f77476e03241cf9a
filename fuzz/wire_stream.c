// SPDX-License-Identifier: Apache-2.0
/*
 * A stream of records and page frames from a hostile peer. Input: for each piece u8 tag, u8 how,
 * u16 length and so many bytes of payload. The target puts a right header and right checksums
 * around it, so that the fuzzer gets behind them, unless `how` says otherwise.
 */
#include "fuzz/memory_stream.h"
#include "fuzz/target.h"
#include "fuzz/wire_samples.h"
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
    uint32_t count;

    if (tag != WIRE_PAGES || bytes < WIRE_FRAME_HEAD_BYTES)
        return bytes;
    count = vf_load_u32(payload + 48);
    return count <= (bytes - WIRE_FRAME_HEAD_BYTES) / 16 ? WIRE_FRAME_HEAD_BYTES + 16 * count
                                                         : bytes;
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

static bool read_frame(struct tp *tp, const struct wire_header *header, uint8_t *slot)
{
    static const struct wire_geometry geometry = {
        .page_bytes = PAGE, .pages_total = 1ull << 40, .slot_bytes = SLOT};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_frame frame;
    uint32_t places = 0;

    if (wire_recv_frame_head(tp, header, &frame, &geometry, TP_NEVER, &err) != 0) {
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
    return wire_recv_frame_payload(tp, &frame, slot, &geometry, TP_NEVER, &err) == 0;
}

/* One record or frame; false at the stream's end, which any error is. */
static bool read_one(struct tp *tp, uint8_t *slot)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message message;
    struct wire_header header;

    if (wire_recv_header(tp, &header, TP_NEVER, &err) != 0) {
        fuzz_must(err.code != VF_OK && err.text[0] != '\0');
        return false;
    }
    fuzz_must(header.length <= wire_tag_cap(header.tag));
    if (header.tag == WIRE_PAGES)
        return read_frame(tp, &header, slot);
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
    size_t bytes = 0;
    struct tp *tp;

    fuzz_must(stream != NULL && slot != NULL);
    while (in.left >= PIECE_BYTES)
        bytes += put_piece(&in, stream + bytes);
    tp = memory_stream(stream, bytes);
    while (read_one(tp, slot))
        continue;
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
