// SPDX-License-Identifier: Apache-2.0
/*
 * Page frames. The payload goes between socket and shared slot without a copy; only the head and
 * the two lists pass through a buffer of their own. Head and lists carry a checksum; the payload is
 * proven page by page, by digests of what was read back.
 */
#include "migrate/wire/internal.h"

#include <inttypes.h>
#include <xxhash.h>

#define SUM_BYTES 8u
#define LIST_ENTRY_BYTES 16u /* page and digest */
#define PACKED_BYTES 8u      /* PACKED: how, and to how many bytes */
#define META_BYTES (WIRE_FRAME_HEAD_BYTES + LIST_ENTRY_BYTES * WIRE_FRAME_PAGES + PACKED_BYTES)
#define HEAD_BYTES (WIRE_HEADER_BYTES + META_BYTES)

static bool is_zero(const struct wire_frame *frame, uint32_t i)
{
    return (frame->pages[i] & WIRE_PAGE_ZERO) != 0;
}

bool wire_frame_add(struct wire_frame *frame, uint64_t page, uint64_t digest, bool zero,
                    uint32_t place, uint64_t page_bytes)
{
    const uint32_t i = frame->count;

    if (i >= WIRE_FRAME_PAGES || (!zero && page_bytes > WIRE_MAX_SLOT_BYTES - frame->payload_bytes))
        return false;
    frame->pages[i] = zero ? page | WIRE_PAGE_ZERO : page;
    frame->digests[i] = digest;
    frame->place[i] = zero ? UINT32_MAX : place;
    frame->payload_bytes += zero ? 0 : (uint32_t)page_bytes;
    frame->count = i + 1;
    return true;
}

/* No count here sizes or indexes anything before it was compared: the lists are fixed arrays. */
int wire_frame_check(const struct wire_frame *frame, const struct wire_geometry *geometry,
                     struct vf_error *err)
{
    uint64_t with_payload = 0;

    if (frame->count == 0 || frame->count > WIRE_FRAME_PAGES)
        return vf_fail(err, VF_FAILED, "frame: %u pages, 1 to %u are allowed",
                       (unsigned)frame->count, WIRE_FRAME_PAGES);
    for (uint32_t i = 0; i < frame->count; i++) {
        const uint64_t page = frame->pages[i] & ~WIRE_PAGE_ZERO;

        if (page >= geometry->pages_total)
            return vf_fail(err, VF_FAILED, "frame: page %" PRIu64 " of a partition with %" PRIu64,
                           page, geometry->pages_total);
        if (i > 0 && page <= (frame->pages[i - 1] & ~WIRE_PAGE_ZERO))
            return vf_fail(err, VF_FAILED, "frame: page %" PRIu64 " out of order", page);
        with_payload += !is_zero(frame, i);
    }
    if (geometry->page_bytes == 0 || geometry->page_bytes > WIRE_MAX_SLOT_BYTES ||
        frame->payload_bytes != with_payload * geometry->page_bytes ||
        frame->payload_bytes > geometry->slot_bytes)
        return vf_fail(err, VF_FAILED,
                       "frame: %u bytes of payload for %" PRIu64 " pages of %" PRIu64
                       ", slots have %" PRIu64,
                       (unsigned)frame->payload_bytes, with_payload, geometry->page_bytes,
                       geometry->slot_bytes);
    return 0;
}

/* All that goes before a frame's payload. */
static uint32_t meta_bytes(uint32_t count, bool packed)
{
    return WIRE_FRAME_HEAD_BYTES + LIST_ENTRY_BYTES * count + (packed ? PACKED_BYTES : 0);
}

uint64_t wire_frame_bytes(const struct wire_frame *frame, const struct wire_packed *packed)
{
    return WIRE_HEADER_BYTES + meta_bytes(frame->count, packed != NULL) +
           (uint64_t)(packed != NULL ? packed->bytes : frame->payload_bytes);
}

static uint32_t encode_meta(const struct wire_frame *frame, const struct wire_packed *packed,
                            uint8_t out[META_BYTES])
{
    const uint32_t bytes = meta_bytes(frame->count, packed != NULL);
    uint8_t *lists = out + WIRE_FRAME_HEAD_BYTES;

    memcpy(out + 8, frame->job, WIRE_ID_BYTES);
    vf_store_u64(out + 24, frame->epoch);
    vf_store_u32(out + 32, frame->generation);
    vf_store_u32(out + 36, frame->round);
    vf_store_u64(out + 40, frame->sequence);
    vf_store_u32(out + 48, frame->count);
    vf_store_u32(out + 52, frame->payload_bytes);
    for (uint32_t i = 0; i < frame->count; i++) {
        vf_store_u64(lists + 8 * i, frame->pages[i]);
        vf_store_u64(lists + 8 * (frame->count + i), frame->digests[i]);
    }
    if (packed != NULL) {
        vf_store_u32(out + bytes - 8, packed->packing);
        vf_store_u32(out + bytes - 4, packed->bytes);
    }
    vf_store_u64(out, XXH3_64bits(out + SUM_BYTES, bytes - SUM_BYTES));
    return bytes;
}

static void decode_head(const uint8_t *in, struct wire_frame *out)
{
    memcpy(out->job, in + 8, WIRE_ID_BYTES);
    out->epoch = vf_load_u64(in + 24);
    out->generation = vf_load_u32(in + 32);
    out->round = vf_load_u32(in + 36);
    out->sequence = vf_load_u64(in + 40);
    out->count = vf_load_u32(in + 48);
    out->payload_bytes = vf_load_u32(in + 52);
}

int wire_frame_parts(const struct wire_frame *frame, const void *slot,
                     const struct wire_geometry *geometry, struct iovec parts[WIRE_FRAME_PAGES])
{
    const uint64_t places = geometry->slot_bytes / geometry->page_bytes;
    int n = 0;

    for (uint32_t i = 0; i < frame->count; i++) {
        uint8_t *from;

        if (is_zero(frame, i))
            continue;
        if (frame->place[i] >= places)
            return -1;
        from = (uint8_t *)(uintptr_t)slot + frame->place[i] * geometry->page_bytes;
        if (n > 0 && (uint8_t *)parts[n - 1].iov_base + parts[n - 1].iov_len == from)
            parts[n - 1].iov_len += geometry->page_bytes;
        else
            parts[n++] = (struct iovec){from, geometry->page_bytes};
    }
    return n;
}

/* The payload is iov[1 … parts]; iov[0] is for what goes before it, which is put into `head`. */
static int send_frame(struct tp *tp, const struct wire_frame *frame,
                      const struct wire_packed *packed, uint8_t head[HEAD_BYTES], struct iovec *iov,
                      int parts, uint64_t *sent, uint64_t deadline_ns, struct vf_error *err)
{
    const uint32_t payload = packed != NULL ? packed->bytes : frame->payload_bytes;
    uint32_t meta = encode_meta(frame, packed, head + WIRE_HEADER_BYTES);

    wire_header_encode(head, packed != NULL ? WIRE_PACKED : WIRE_PAGES, WIRE_MANDATORY,
                       meta + payload);
    iov[0] = (struct iovec){head, WIRE_HEADER_BYTES + meta};
    if (tp_send(tp, iov, 1 + parts, deadline_ns, err) != 0)
        return -1;
    if (sent != NULL)
        *sent = wire_frame_bytes(frame, packed);
    return 0;
}

int wire_send_frame(struct tp *tp, const struct wire_frame *frame, const void *slot,
                    const struct wire_geometry *geometry, uint64_t *sent, uint64_t deadline_ns,
                    struct vf_error *err)
{
    uint8_t head[HEAD_BYTES];
    struct iovec iov[1 + WIRE_FRAME_PAGES];
    int parts;

    if (sent != NULL)
        *sent = 0;
    if (wire_frame_check(frame, geometry, err) != 0)
        return -1;
    parts = wire_frame_parts(frame, slot, geometry, iov + 1);
    if (parts < 0)
        return vf_fail(err, VF_FAILED, "frame: a page lies outside its slot");
    return send_frame(tp, frame, NULL, head, iov, parts, sent, deadline_ns, err);
}

int wire_send_packed(struct tp *tp, const struct wire_frame *frame,
                     const struct wire_packed *packed, const struct wire_geometry *geometry,
                     uint64_t *sent, uint64_t deadline_ns, struct vf_error *err)
{
    uint8_t head[HEAD_BYTES];
    struct iovec iov[2] = {[1] = {(void *)(uintptr_t)packed->data, packed->bytes}};

    if (sent != NULL)
        *sent = 0;
    if (wire_frame_check(frame, geometry, err) != 0)
        return -1;
    if (packed->bytes == 0 || packed->bytes >= frame->payload_bytes)
        return vf_fail(err, VF_FAILED, "frame: packed to no less than it was");
    return send_frame(tp, frame, packed, head, iov, 1, sent, deadline_ns, err);
}

static void decode_lists(const uint8_t *lists, struct wire_frame *out)
{
    uint32_t place = 0;

    for (uint32_t i = 0; i < out->count; i++) {
        out->pages[i] = vf_load_u64(lists + 8 * i);
        out->digests[i] = vf_load_u64(lists + 8 * (out->count + i));
        out->place[i] = is_zero(out, i) ? UINT32_MAX : place++;
    }
}

/* Behind the lists; `length` bytes of payload follow. NULL, or what is wrong. */
static const char *decode_packed(const uint8_t *in, const struct wire_frame *frame, uint32_t length,
                                 struct wire_packed *out)
{
    const uint32_t packing = vf_load_u32(in);

    out->bytes = vf_load_u32(in + 4);
    if (packing <= WIRE_PLAIN || packing >= WIRE_PACKINGS)
        return "packed in a way that is not known here";
    out->packing = (enum wire_packing)packing;
    if (out->bytes != length || length == 0 || length >= frame->payload_bytes)
        return "its packed payload is of no possible size";
    return NULL;
}

static int refuse(const struct tp *tp, const char *what, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "peer %s: frame: %s", tp->peer, what);
}

static int recv_meta(struct tp *tp, const struct wire_header *header, struct wire_frame *out,
                     struct wire_packed *packed, const struct wire_geometry *geometry,
                     uint64_t deadline_ns, struct vf_error *err)
{
    const bool is_packed = header->tag == WIRE_PACKED;
    const char *wrong = NULL;
    uint8_t meta[META_BYTES];
    uint32_t bytes;

    if (!wire_is_frame(header->tag) || header->length < WIRE_FRAME_HEAD_BYTES)
        return vf_fail(err, VF_FAILED, "peer %s: %s of %u bytes where a frame was due", tp->peer,
                       wire_tag_name(header->tag), (unsigned)header->length);
    if (tp_recv(tp, meta, WIRE_FRAME_HEAD_BYTES, deadline_ns, err) != 0)
        return -1;
    decode_head(meta, out);
    if (out->count > WIRE_FRAME_PAGES) /* before it says how much to read */
        return vf_fail(err, VF_FAILED, "peer %s: frame: %u pages are too many", tp->peer,
                       (unsigned)out->count);
    bytes = meta_bytes(out->count, is_packed);
    if (header->length < bytes || (!is_packed && header->length - bytes != out->payload_bytes))
        return refuse(tp, "its parts do not add up to its length", err);
    if (tp_recv(tp, meta + WIRE_FRAME_HEAD_BYTES, bytes - WIRE_FRAME_HEAD_BYTES, deadline_ns,
                err) != 0)
        return -1;
    if (XXH3_64bits(meta + SUM_BYTES, bytes - SUM_BYTES) != vf_load_u64(meta))
        return refuse(tp, "damaged on the way (checksum)", err);
    decode_lists(meta + WIRE_FRAME_HEAD_BYTES, out);
    if (wire_frame_check(out, geometry, err) != 0)
        return vf_context(err, "peer %s", tp->peer);
    if (is_packed)
        wrong = decode_packed(meta + bytes - PACKED_BYTES, out, header->length - bytes, packed);
    return wrong == NULL ? 0 : refuse(tp, wrong, err);
}

int wire_recv_frame_head(struct tp *tp, const struct wire_header *header, struct wire_frame *out,
                         struct wire_packed *packed, const struct wire_geometry *geometry,
                         uint64_t deadline_ns, struct vf_error *err)
{
    out->count = 0;
    out->payload_bytes = 0;
    *packed = (struct wire_packed){.packing = WIRE_PLAIN};
    if (recv_meta(tp, header, out, packed, geometry, deadline_ns, err) == 0)
        return 0;
    out->count = 0; /* nobody shall walk lists that were refused */
    out->payload_bytes = 0;
    return -1;
}

int wire_recv_frame_payload(struct tp *tp, const struct wire_frame *frame, void *slot,
                            const struct wire_geometry *geometry, uint64_t deadline_ns,
                            struct vf_error *err)
{
    if (frame->payload_bytes > geometry->slot_bytes)
        return vf_fail(err, VF_FAILED, "peer %s: a frame larger than the slot", tp->peer);
    return tp_recv(tp, slot, frame->payload_bytes, deadline_ns, err);
}
