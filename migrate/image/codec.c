// SPDX-License-Identifier: Apache-2.0
/* See codec.h; the layout is docs/image-format.md's. */
#include "migrate/image/codec.h"

#include "migrate/wire/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define MAGIC "VFRYIMG\n"
#define END_MAGIC "VFRYEND\n"
#define MAGIC_BYTES 8u
#define SUM_AT 24u
#define MANDATORY_PACKED 1u
#define KNOWN_FEATURES (MANDATORY_PACKED)
#define OPTIONAL_KEPT 1u

/* Of all but the sum itself. */
static uint64_t head_sum(const uint8_t *head, uint32_t bytes)
{
    const uint64_t parts[2] = {
        htole64(XXH3_64bits(head, SUM_AT)),
        htole64(XXH3_64bits(head + IMAGE_FIXED_BYTES, bytes - IMAGE_FIXED_BYTES))};

    return XXH3_64bits(parts, sizeof parts);
}

void image_head_encode(const struct image_origin *origin, struct wire_writer *w)
{
    wire_put_bytes(w, MAGIC, MAGIC_BYTES);
    wire_put_u32(w, IMAGE_VERSION);
    wire_put_u32(w, 0); /* length */
    wire_put_u32(w, origin->packed ? MANDATORY_PACKED : 0);
    wire_put_u32(w, origin->kept ? OPTIONAL_KEPT : 0);
    wire_put_u64(w, 0); /* sum */
    wire_put_u64(w, origin->saved_ns);
    wire_put_bytes(w, origin->id, sizeof origin->id);
    wire_put_text(w, origin->host_name);
    wire_put_text(w, origin->version);
    wire_put_text(w, origin->device);
    wire_put_text(w, origin->driver);
    wire_put_text(w, origin->description);
    if (w->failed)
        return;
    vf_store_u32(w->data + 12, (uint32_t)w->bytes);
    vf_store_u64(w->data + SUM_AT, head_sum(w->data, (uint32_t)w->bytes));
}

int image_head_length(const uint8_t fixed[IMAGE_FIXED_BYTES], uint32_t *bytes, struct vf_error *err)
{
    *bytes = vf_load_u32(fixed + 12);
    if (memcmp(fixed, MAGIC, MAGIC_BYTES) != 0)
        return vf_fail(err, VF_FAILED,
                       "is no image of a partition" VF_REMEDY
                       "make one with \"vferry save NAME --output FILE\"");
    if (*bytes < IMAGE_FIXED_BYTES || *bytes > IMAGE_MAX_HEAD_BYTES)
        return vf_fail(err, VF_FAILED, "its head was changed: %u bytes long", *bytes);
    return 0;
}

int image_head_decode(const uint8_t *head, uint32_t bytes, uint32_t *version,
                      struct image_origin *out, struct vf_error *err)
{
    const uint32_t features = vf_load_u32(head + 16);
    struct wire_reader r;

    *version = vf_load_u32(head + 8);
    /* First: only a head that is whole may claim to be from the future. */
    if (head_sum(head, bytes) != vf_load_u64(head + SUM_AT))
        return vf_fail(err, VF_FAILED, "its head was changed (checksum)");
    if (*version != IMAGE_VERSION)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "is from the future: format version %u, this vferry knows version %u; use a "
                       "newer vferry",
                       *version, IMAGE_VERSION);
    if ((features & ~KNOWN_FEATURES) != 0)
        return vf_fail(
            err, VF_INCOMPATIBLE,
            "is from the future: it needs features 0x%x that this vferry lacks; use a newer vferry",
            features & ~KNOWN_FEATURES);
    wire_reader_init(&r, head + IMAGE_FIXED_BYTES, bytes - IMAGE_FIXED_BYTES);
    out->packed = (features & MANDATORY_PACKED) != 0;
    out->kept = (vf_load_u32(head + 20) & OPTIONAL_KEPT) != 0;
    out->saved_ns = wire_get_u64(&r);
    wire_get_bytes(&r, out->id, sizeof out->id);
    wire_get_text(&r, out->host_name, sizeof out->host_name);
    wire_get_text(&r, out->version, sizeof out->version);
    wire_get_text(&r, out->device, sizeof out->device);
    wire_get_text(&r, out->driver, sizeof out->driver);
    wire_get_text(&r, out->description, sizeof out->description);
    return wire_reader_end(&r, "its head", err);
}

void image_trailer_encode(const struct image_trailer *trailer,
                          uint8_t out[IMAGE_SUMMED_TRAILER_BYTES])
{
    memcpy(out, END_MAGIC, MAGIC_BYTES);
    vf_store_u64(out + 8, trailer->file_bytes);
    vf_store_u64(out + 16, trailer->frames);
    vf_store_u64(out + 24, trailer->pages);
    memcpy(out + 32, trailer->root, sizeof trailer->root);
}

bool image_trailer_decode(const uint8_t bytes[IMAGE_TRAILER_BYTES], struct image_trailer *out)
{
    out->file_bytes = vf_load_u64(bytes + 8);
    out->frames = vf_load_u64(bytes + 16);
    out->pages = vf_load_u64(bytes + 24);
    memcpy(out->root, bytes + 32, sizeof out->root);
    memcpy(out->sum, bytes + IMAGE_SUMMED_TRAILER_BYTES, sizeof out->sum);
    return memcmp(bytes, END_MAGIC, MAGIC_BYTES) == 0;
}

/* The streams speak of peers: "peer NAME: …", "peer NAME sent …". */
static const char *without_peer(const struct tp *tp, const char *text)
{
    const size_t length = strlen(tp->peer);

    if (strncmp(text, "peer ", 5) == 0 && strncmp(text + 5, tp->peer, length) == 0)
        text += 5 + length;
    while (*text == ':' || *text == ' ')
        text++;
    return text;
}

int image_fault(const struct tp *tp, const char *name, uint64_t at, struct vf_error *err)
{
    char text[sizeof err->text]; /* with its remedy told apart */

    if (err == NULL || err->code == VF_CANCELLED)
        return -1;
    vf_error_pack(err, text, sizeof text);
    return vf_fail(err, err->code, "image %s, at byte %" PRIu64 ": %s", name, at,
                   without_peer(tp, text));
}
