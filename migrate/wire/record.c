// SPDX-License-Identifier: Apache-2.0
/* Records on a stream: the header that catches lost framing, the cap of every tag, the checksum of
 * control payloads. */
#include "migrate/wire/wire.h"

#include "base/trace.h"
#include "migrate/wire/internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SUM_BYTES 8u
#define SKIP_CAP (1u << 20) /* largest unknown optional record that is skipped */

static const struct {
    const char *name;
    uint32_t cap;
} tags[WIRE_TAG_END] = {
    [WIRE_HELLO] = {"HELLO", 4096},
    [WIRE_PING] = {"PING", 256},
    [WIRE_ADMIT] = {"ADMIT", 2 * VF_MAX_MIGRATION_BLOB + 4096},
    [WIRE_ADMITTED] = {"ADMITTED", 256},
    [WIRE_REFUSED] = {"REFUSED", 32768},
    [WIRE_VERDICT] = {"VERDICT", 32768},
    [WIRE_ROUND] = {"ROUND", 256},
    [WIRE_PAGES] = {"PAGES", WIRE_FRAME_HEAD_BYTES + 16 * WIRE_FRAME_PAGES + WIRE_MAX_SLOT_BYTES},
    [WIRE_PACKED] = {"PACKED",
                     WIRE_FRAME_HEAD_BYTES + 16 * WIRE_FRAME_PAGES + 8 + WIRE_MAX_SLOT_BYTES},
    [WIRE_ROUND_END] = {"ROUND_END", 256},
    [WIRE_ACK] = {"ACK", 256},
    [WIRE_REHASH] = {"REHASH", 256},
    [WIRE_STATE] = {"STATE", 3 * VF_MAX_MIGRATION_BLOB + 4096},
    [WIRE_READY] = {"READY", 256},
    [WIRE_COMMIT] = {"COMMIT", 256},
    [WIRE_RUNNING] = {"RUNNING", 256},
    [WIRE_DONE] = {"DONE", 256},
    [WIRE_CLOSE] = {"CLOSE", 256},
    [WIRE_ABORT] = {"ABORT", 4096},
    [WIRE_INQUIRE] = {"INQUIRE", 256},
    [WIRE_ACCOUNT] = {"ACCOUNT", 4096},
    [WIRE_NEVER_RAN] = {"NEVER_RAN", 256},
    [WIRE_RESUME] = {"RESUME", 256},
    [WIRE_RESUMED] = {"RESUMED", 256},
    [WIRE_TABLE] = {"TABLE", 65536},
    [WIRE_ASK_CAPACITY] = {"ASK_CAPACITY", 256},
    [WIRE_CAPACITY] = {"CAPACITY", 8192},
};

static bool known(uint32_t tag)
{
    return tag > 0 && tag < WIRE_TAG_END;
}

const char *wire_tag_name(uint32_t tag)
{
    return known(tag) ? tags[tag].name : "tag ?";
}

uint32_t wire_tag_cap(uint32_t tag)
{
    return known(tag) ? tags[tag].cap : SKIP_CAP;
}

static uint32_t header_check(const uint8_t bytes[12])
{
    return (uint32_t)XXH3_64bits(bytes, 12);
}

void wire_header_encode(uint8_t out[WIRE_HEADER_BYTES], uint32_t tag, uint32_t flags,
                        uint32_t length)
{
    vf_store_u32(out, tag);
    vf_store_u32(out + 4, flags);
    vf_store_u32(out + 8, length);
    vf_store_u32(out + 12, header_check(out));
}

int wire_send(struct tp *tp, uint32_t tag, uint32_t flags, const struct wire_writer *w,
              uint64_t deadline_ns, struct vf_error *err)
{
    uint8_t head[WIRE_HEADER_BYTES + SUM_BYTES];
    const size_t bytes = w != NULL ? w->bytes : 0;
    const struct iovec iov[2] = {{head, sizeof head}, {w != NULL ? w->data : NULL, bytes}};

    if ((w != NULL && w->failed) || bytes > wire_tag_cap(tag) - SUM_BYTES)
        return vf_fail(err, VF_FAILED, "%s is too large to be sent to peer %s", wire_tag_name(tag),
                       tp->peer);
    wire_header_encode(head, tag, flags, (uint32_t)bytes + SUM_BYTES);
    vf_store_u64(head + WIRE_HEADER_BYTES, XXH3_64bits(iov[1].iov_base, bytes));
    if (tp_send(tp, iov, 2, deadline_ns, err) != 0)
        return -1;
    vf_trace(message_sent, tp->peer, wire_tag_name(tag), bytes);
    return 0;
}

static int skip(struct tp *tp, uint32_t bytes, uint64_t deadline_ns, struct vf_error *err)
{
    uint8_t waste[4096];

    while (bytes > 0) {
        const uint32_t part = bytes < sizeof waste ? bytes : (uint32_t)sizeof waste;

        if (tp_recv(tp, waste, part, deadline_ns, err) != 0)
            return -1;
        bytes -= part;
    }
    return 0;
}

static int check_header(const struct tp *tp, const struct wire_header *header, struct vf_error *err)
{
    if (!known(header->tag) && (header->flags & WIRE_MANDATORY) != 0)
        return vf_fail(
            err, VF_INCOMPATIBLE,
            "peer %s sent a mandatory record of the unknown kind %u" VF_REMEDY
            "update vferry on the host that got it",
            tp->peer, (unsigned)header->tag);
    if (header->length > wire_tag_cap(header->tag))
        return vf_fail(err, VF_FAILED, "peer %s: %s of %u bytes, at most %u are allowed", tp->peer,
                       wire_tag_name(header->tag), (unsigned)header->length,
                       (unsigned)wire_tag_cap(header->tag));
    return 0;
}

/* A PING with content: its text, or "" when it makes no sense. */
static int hear_ping(struct tp *tp, const struct wire_header *header,
                     const struct wire_pings *pings, uint64_t deadline_ns, struct vf_error *err)
{
    char text[WIRE_PING_TEXT] = "";
    struct wire_record record;
    struct wire_reader reader;

    if (wire_recv_body(tp, header, &record, deadline_ns, err) != 0)
        return -1;
    wire_reader_init(&reader, record.payload, record.bytes);
    if (record.bytes > 0)
        wire_get_text(&reader, text, sizeof text);
    pings->heard(pings->ctx, reader.bad ? "" : text);
    wire_record_free(&record);
    return 0;
}

int wire_recv_header(struct tp *tp, struct wire_header *out, uint64_t deadline_ns,
                     struct vf_error *err)
{
    return wire_recv_header_and_pings(tp, out, NULL, deadline_ns, err);
}

int wire_recv_header_and_pings(struct tp *tp, struct wire_header *out,
                               const struct wire_pings *pings, uint64_t deadline_ns,
                               struct vf_error *err)
{
    for (;;) {
        uint8_t bytes[WIRE_HEADER_BYTES];

        *out = (struct wire_header){0};
        if (tp_recv(tp, bytes, sizeof bytes, deadline_ns, err) != 0)
            return -1;
        if (vf_load_u32(bytes + 12) != header_check(bytes))
            return vf_fail(err, VF_FAILED,
                           "peer %s: not a record of this protocol, or one that was damaged",
                           tp->peer);
        *out = (struct wire_header){vf_load_u32(bytes), vf_load_u32(bytes + 4),
                                    vf_load_u32(bytes + 8)};
        if (check_header(tp, out, err) != 0)
            return -1;
        if (known(out->tag) && out->tag != WIRE_PING)
            return 0;
        if ((known(out->tag) && pings != NULL ? hear_ping(tp, out, pings, deadline_ns, err)
                                              : skip(tp, out->length, deadline_ns, err)) != 0)
            return -1;
    }
}

int wire_recv_body(struct tp *tp, const struct wire_header *header, struct wire_record *out,
                   uint64_t deadline_ns, struct vf_error *err)
{
    const char *name = wire_tag_name(header->tag);
    uint8_t sum[SUM_BYTES];

    *out = (struct wire_record){.tag = header->tag, .flags = header->flags};
    if (wire_is_frame(header->tag))
        return vf_fail(err, VF_FAILED, "peer %s sent %s on a stream for control", tp->peer, name);
    if (header->length < SUM_BYTES || header->length > wire_tag_cap(header->tag))
        return vf_fail(err, VF_FAILED, "peer %s: %s has an impossible length", tp->peer, name);
    if (tp_recv(tp, sum, sizeof sum, deadline_ns, err) != 0)
        return -1;
    out->bytes = header->length - SUM_BYTES;
    out->payload = malloc(out->bytes > 0 ? out->bytes : 1);
    if (out->payload == NULL) {
        wire_record_free(out);
        return vf_fail(err, VF_FAILED, "the %s of peer %s: " VF_NO_MEMORY, name, tp->peer);
    }
    if (tp_recv(tp, out->payload, out->bytes, deadline_ns, err) != 0) {
        wire_record_free(out);
        return -1;
    }
    if (XXH3_64bits(out->payload, out->bytes) != vf_load_u64(sum)) {
        wire_record_free(out);
        return vf_fail(err, VF_FAILED, "peer %s: %s was damaged on the way (checksum)", tp->peer,
                       name);
    }
    vf_trace(message_heard, tp->peer, name, out->bytes);
    return 0;
}

int wire_recv(struct tp *tp, struct wire_record *out, uint64_t deadline_ns, struct vf_error *err)
{
    struct wire_header header;

    *out = (struct wire_record){0};
    if (wire_recv_header(tp, &header, deadline_ns, err) != 0)
        return -1;
    return wire_recv_body(tp, &header, out, deadline_ns, err);
}

void wire_record_free(struct wire_record *record)
{
    free(record->payload);
    *record = (struct wire_record){0};
}
