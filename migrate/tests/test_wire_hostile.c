// SPDX-License-Identifier: Apache-2.0
/*
 * The decoders against random and forged input (SEED=N repeats a run): nothing crashes under the
 * sanitizers, what is accepted keeps its promises, and lengths are refused before anything is read
 * or allocated for them.
 */
#include "transport/tests/pipe.h"
#include "migrate/pack/frames.h"
#include "migrate/wire/internal.h"
#include "base/tests/chance.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include <cmocka.h>

#define PAGE 64u /* of the forged frames */

static uint64_t random_state;

static uint32_t next(void)
{
    return chance_bits(&random_state);
}

/* One valid message of every kind, with something in every field. */
static struct wire_message sample(enum wire_tag tag)
{
    struct wire_message m;

    memset(&m, 0, sizeof m);
    m.tag = tag;
    switch (tag) {
    case WIRE_HELLO:
        m.hello = (struct wire_hello){
            .version_min = 1, .version_max = 2, .host_name = "a", .listen_address = "b:1"};
        break;
    case WIRE_ADMIT:
        m.admit = (struct wire_admit){.params.name = "vm",
                                      .epoch = 1,
                                      .params.vram_bytes = 1u << 30,
                                      .page_bytes = 65536,
                                      .slot_bytes = 1u << 20,
                                      .sent_page_bytes = 4096,
                                      .key = {1, 2, 3},
                                      .streams = 2,
                                      .kmd = {"kkkk", 4},
                                      .umed = {"uu", 2}};
        break;
    case WIRE_REFUSED:
    case WIRE_VERDICT:
        m.verdict.code = VF_INCOMPATIBLE;
        vf_reason_add(&m.verdict.reasons, "driver", "1.2", "1.1", "update the target");
        vf_reason_add(&m.verdict.reasons, "vram", "4 GiB", "2 GiB", "free some");
        break;
    case WIRE_STATE:
        m.state = (struct wire_state){
            .kmd = {"kkkk", 4}, .msix = {"mmm", 3}, .pages_total_sent = 5, .umed = {"uu", 2}};
        break;
    case WIRE_ACCOUNT:
        m.account = (struct wire_account){.id.epoch = 2, .record = 2, .side = 1, .text = "why"};
        break;
    case WIRE_RESUME:
        m.resume = (struct wire_resume){.id.epoch = 2, .generation = 1, .next_round = 3};
        break;
    case WIRE_TABLE:
        m.table = (struct wire_table){.first = 7, .count = 2, .digests = "digest 7digest 8"};
        break;
    case WIRE_ABORT:
        m.abort = (struct wire_abort){.code = VF_FAILED, .text = "why"};
        break;
    default:
        break;
    }
    return m;
}

static bool is_control(uint32_t tag)
{
    return !wire_is_frame(tag) && (tag < WIRE_INQUIRE || tag > WIRE_NEVER_RAN);
}

/* Decodes a copy on the heap, whose end the sanitizer guards. */
static int decode(uint32_t tag, const uint8_t *data, size_t bytes, struct wire_message *out)
{
    struct wire_record record = {
        .tag = tag, .payload = malloc(bytes > 0 ? bytes : 1), .bytes = (uint32_t)bytes};
    struct vf_error err;

    assert_non_null(record.payload);
    if (bytes > 0)
        memcpy(record.payload, data, bytes);
    return wire_decode(&record, out, &err);
}

static bool terminated(const char *text, size_t capacity)
{
    return memchr(text, '\0', capacity) != NULL;
}

static bool inside(const struct wire_message *m, const struct wire_blob *blob)
{
    const uint8_t *start = blob->data;

    return blob->bytes <= VF_MAX_MIGRATION_BLOB &&
           (blob->bytes == 0 || (start >= m->record.payload &&
                                 start + blob->bytes <= m->record.payload + m->record.bytes));
}

/* What everyone after the decoder relies on. */
static void assert_promises(const struct wire_message *m)
{
    switch (m->tag) {
    case WIRE_HELLO:
        assert_int_equal(m->hello.magic, WIRE_MAGIC);
        assert_true(m->hello.version_min <= m->hello.version_max && m->hello.role <= WIRE_DATA);
        assert_true(terminated(m->hello.host_name, sizeof m->hello.host_name));
        assert_true(terminated(m->hello.listen_address, sizeof m->hello.listen_address));
        break;
    case WIRE_ADMIT:
        assert_true(vf_name_valid(m->admit.params.name));
        assert_true(inside(m, &m->admit.kmd) && inside(m, &m->admit.umed));
        assert_true(m->admit.page_bytes >= 4096 && m->admit.slot_bytes % m->admit.page_bytes == 0);
        assert_true(m->admit.slot_bytes <= WIRE_MAX_SLOT_BYTES && m->admit.streams > 0);
        break;
    case WIRE_REFUSED:
    case WIRE_VERDICT:
        assert_in_range(m->verdict.reasons.count, 0, VF_MAX_REASONS);
        assert_in_range(m->verdict.code, VF_OK, VF_REFUSED_NOW);
        assert_true(terminated(m->verdict.text, sizeof m->verdict.text));
        for (uint32_t i = 0; i < m->verdict.reasons.count; i++)
            assert_true(terminated(m->verdict.reasons.list[i].remedy,
                                   sizeof m->verdict.reasons.list[i].remedy));
        break;
    case WIRE_STATE:
        assert_true(inside(m, &m->state.kmd) && inside(m, &m->state.msix) &&
                    inside(m, &m->state.umed));
        break;
    case WIRE_ACCOUNT:
        assert_in_range(m->account.record, 0, WIRE_JOURNAL_SETTLED);
        assert_in_range(m->account.held, 0, WIRE_COPY_DYING);
        assert_true(m->account.side < MIG_SIDES && m->account.job_running <= 1);
        assert_true(terminated(m->account.text, sizeof m->account.text));
        break;
    case WIRE_RESUME:
        assert_true(m->resume.generation > 0);
        break;
    case WIRE_TABLE: {
        const struct wire_blob digests = {m->table.digests, 8 * m->table.count};

        assert_in_range(m->table.count, 1, WIRE_TABLE_DIGESTS);
        assert_true(inside(m, &digests));
        (void)wire_table_digest(&m->table, m->table.count - 1);
        break;
    }
    case WIRE_ABORT:
        assert_in_range(m->abort.code, VF_FAILED, VF_REFUSED_NOW);
        assert_true(terminated(m->abort.text, sizeof m->abort.text));
        break;
    default:
        break;
    }
}

/* Fields that a peer of an older version does not send. */
static size_t appended_bytes(uint32_t tag)
{
    switch (tag) {
    case WIRE_HELLO:
        return sizeof(uint32_t);
    case WIRE_ADMIT:
        return 2 * sizeof(uint64_t) + sizeof(uint8_t) + WIRE_ID_BYTES;
    case WIRE_ADMITTED:
        return sizeof(uint64_t);
    case WIRE_REFUSED:
    case WIRE_VERDICT:
        return sizeof(uint8_t);
    default:
        return 0;
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (uint32_t tag = 1; tag < WIRE_TAG_END; tag++) {
        const struct wire_message m = sample((enum wire_tag)tag);
        struct wire_message out;
        struct wire_writer w;
        struct vf_error err;

        if (!is_control(tag))
            continue;
        wire_writer_init(&w);
        assert_int_equal(wire_encode(&m, &w, &err), 0);
        for (size_t bytes = 0; bytes < w.bytes - appended_bytes(tag); bytes++) {
            assert_int_equal(decode(tag, w.data, bytes, &out), -1);
            assert_null(out.record.payload);
        }
        assert_int_equal(decode(tag, w.data, w.bytes, &out), 0);
        wire_message_free(&out);
        wire_writer_free(&w);
    }
}

static void random_payloads_never_break_a_promise(void **state)
{
    uint8_t data[2048];

    (void)state;
    random_state = chance_seed();
    for (int i = 0; i < 100000; i++) {
        const uint32_t tag = next() % (WIRE_TAG_END + 2);
        const size_t bytes = next() % sizeof data;
        struct wire_message out;

        for (size_t k = 0; k < bytes; k++)
            data[k] = next() % 4 == 0 ? (uint8_t)next() : 0; /* zeros: lengths that fit */
        if (decode(tag, data, bytes, &out) == 0)
            assert_promises(&out);
        wire_message_free(&out);
    }
}

static void mutated_records_never_break_a_promise(void **state)
{
    (void)state;
    random_state = chance_seed();
    for (int i = 0; i < 100000; i++) {
        const uint32_t tag = 1 + next() % (WIRE_TAG_END - 1);
        const struct wire_message m = sample((enum wire_tag)tag);
        struct wire_message out;
        struct wire_writer w;
        struct vf_error err;

        if (!is_control(tag))
            continue;
        wire_writer_init(&w);
        assert_int_equal(wire_encode(&m, &w, &err), 0);
        for (uint32_t k = next() % 4; k > 0 && w.bytes > 0; k--)
            w.data[next() % w.bytes] =
                next() % 2 == 0 ? (uint8_t)next() : (uint8_t)(next() % 2 == 0 ? 0xff : 0);
        if (decode(tag, w.data, w.bytes, &out) == 0)
            assert_promises(&out);
        wire_message_free(&out);
        wire_writer_free(&w);
    }
}

/* A frame that is right more often than not: a rising list and its payload, each now and then a
 * lie. Returns its bytes. */
static uint32_t forge_frame(uint8_t *payload)
{
    const uint32_t count = next() % 4;
    uint32_t pages_with_payload = 0;

    for (uint32_t i = 0; i < count; i++) {
        const bool zero = next() % 2 == 0;
        const uint64_t page = next() % 32 == 0 ? (uint64_t)next() << 16 : i;

        vf_store_u64(payload + WIRE_FRAME_HEAD_BYTES + 8 * i, page | (zero ? WIRE_PAGE_ZERO : 0));
        pages_with_payload += !zero;
    }
    vf_store_u32(payload + 48, next() % 16 == 0 ? next() >> next() % 32 : count);
    vf_store_u32(payload + 52,
                 next() % 16 == 0 ? next() >> next() % 32 : pages_with_payload * PAGE);
    return WIRE_FRAME_HEAD_BYTES + 16 * count + pages_with_payload * PAGE;
}

/* Behind the lists of a frame: how it is packed, and less than there was, of anything. */
static uint32_t forge_packed(uint8_t *payload, uint32_t bytes)
{
    const uint64_t lists = WIRE_FRAME_HEAD_BYTES + 16 * (uint64_t)vf_load_u32(payload + 48);
    uint32_t packed;

    if (lists >= bytes)
        return bytes;
    packed = next() % (bytes - (uint32_t)lists);
    vf_store_u32(payload + lists, next() % 4);
    vf_store_u32(payload + lists + 4, next() % 8 == 0 ? next() : packed);
    return (uint32_t)lists + 8 + packed;
}

/* How far the checksum reaches: a frame's does not cover its payload. */
static uint32_t summed(const uint8_t *payload, uint32_t tag, uint32_t bytes)
{
    const uint64_t count = wire_is_frame(tag) ? vf_load_u32(payload + 48) : UINT32_MAX;
    const uint64_t reach = WIRE_FRAME_HEAD_BYTES + 16 * count + (tag == WIRE_PACKED ? 8 : 0);

    return reach <= bytes ? (uint32_t)reach : bytes;
}

/* Everything a stream may hold, with right checksums around wrong contents; read until it is
 * refused or at its end. */
static size_t forge_stream(uint8_t *data, size_t capacity)
{
    size_t used = 0;

    while (used + WIRE_HEADER_BYTES + 512 < capacity && next() % 8 != 0) {
        const uint32_t tag = next() % 2 != 0   ? next() % (WIRE_TAG_END + 2)
                             : next() % 2 == 0 ? WIRE_PAGES
                                               : WIRE_PACKED;
        uint8_t *payload = data + used + WIRE_HEADER_BYTES;
        uint32_t bytes = next() % 512, lie;

        for (uint32_t k = 0; k < 512; k++)
            payload[k] = next() % 4 == 0 ? (uint8_t)next() : 0;
        if (wire_is_frame(tag))
            bytes = forge_frame(payload);
        if (tag == WIRE_PACKED)
            bytes = forge_packed(payload, bytes);
        lie = next() % 16 == 0 ? next() >> next() % 32 : bytes;
        if (bytes >= 8)
            vf_store_u64(payload, XXH3_64bits(payload + 8, summed(payload, tag, bytes) - 8));
        wire_header_encode(data + used, tag, next() % 2, lie);
        used += WIRE_HEADER_BYTES + bytes;
    }
    return used;
}

/* One record or frame; false at the end. */
static bool read_one(struct tp *tp, const struct wire_geometry *geometry, uint8_t *slot,
                     struct frames_in *in, unsigned *frames)
{
    struct wire_header header;
    struct wire_packed packed;
    struct wire_message message;
    struct wire_frame frame;
    struct vf_error err = VF_ERROR_INIT;

    if (wire_recv_header(tp, &header, TP_NEVER, &err) != 0)
        return false;
    assert_true(header.length <= wire_tag_cap(header.tag));
    if (wire_is_frame(header.tag)) {
        if (wire_recv_frame_head(tp, &header, &frame, &packed, geometry, TP_NEVER, &err) != 0)
            return false;
        assert_true(frame.count > 0 && frame.count <= WIRE_FRAME_PAGES &&
                    frame.payload_bytes <= geometry->slot_bytes);
        for (uint32_t i = 0; i < frame.count; i++)
            assert_true((frame.pages[i] & ~WIRE_PAGE_ZERO) < geometry->pages_total);
        (*frames)++;
        return frames_in_take(in, tp, &frame, &packed, slot, geometry, &err) == 0;
    }
    if (wire_hear_body(tp, &header, &message, TP_NEVER, &err) != 0)
        return false;
    assert_promises(&message);
    wire_message_free(&message);
    return true;
}

static void forged_streams_end_in_an_error_or_at_their_end(void **state)
{
    const struct wire_geometry geometry = {
        .page_bytes = PAGE, .pages_total = 1ull << 40, .slot_bytes = 1024};
    static uint8_t data[8192];
    uint8_t *slot = malloc(geometry.slot_bytes); /* on the heap: the sanitizer guards its end */
    struct frames_in in = {NULL};
    unsigned frames = 0;

    (void)state;
    assert_non_null(slot);
    random_state = chance_seed();
    for (int i = 0; i < 5000; i++) {
        struct tp *ends[2];
        struct vf_error err = VF_ERROR_INIT;
        const size_t bytes = forge_stream(data, sizeof data);

        assert_int_equal(tp_pipe(ends, &err), 0);
        assert_int_equal(tp_send(ends[0], &(struct iovec){data, bytes}, 1, TP_NEVER, &err), 0);
        tp_close(ends[0]);
        while (read_one(ends[1], &geometry, slot, &in, &frames))
            continue;
        tp_close(ends[1]);
    }
    frames_in_free(&in);
    assert_true(frames > 100); /* else the forger never got as far as a frame that is taken */
    free(slot);
}

/* The peer stays connected and sends no more: if a length were believed, the reader would wait for
 * it (and fall silent). */
static void believed_lengths_would_hang_and_none_is(void **state)
{
    (void)state;
    random_state = chance_seed();
    for (int i = 0; i < 2000; i++) {
        struct tp *ends[2];
        struct vf_error err = VF_ERROR_INIT;
        struct wire_record record;
        const uint32_t tag = next() % (WIRE_TAG_END + 2);
        const uint32_t cap = wire_tag_cap(tag);
        uint8_t header[WIRE_HEADER_BYTES];

        wire_header_encode(header, tag, 0, cap + 1 + next() % (UINT32_MAX - cap));
        assert_int_equal(tp_pipe(ends, &err), 0);
        assert_int_equal(
            tp_send(ends[0], &(struct iovec){header, sizeof header}, 1, TP_NEVER, &err), 0);
        assert_int_equal(wire_recv(ends[1], &record, TP_NEVER, &err), -1);
        assert_null(strstr(err.text, "silent"));
        assert_null(record.payload);
        tp_close(ends[0]);
        tp_close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(random_payloads_never_break_a_promise),
        cmocka_unit_test(mutated_records_never_break_a_promise),
        cmocka_unit_test(forged_streams_end_in_an_error_or_at_their_end),
        cmocka_unit_test(believed_lengths_would_hang_and_none_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
