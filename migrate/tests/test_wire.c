// SPDX-License-Identifier: Apache-2.0
/* Records: what is said is heard unchanged, what is unknown is skipped or refused by its flag, what
 * is damaged is refused. */
#include "transport/tests/pipe.h"
#include "base/size.h"
#include "migrate/wire/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

static int make_pipe(void **state)
{
    static struct tp *ends[2];
    struct vf_error err;

    if (tp_pipe(ends, &err) != 0)
        return -1;
    *state = ends;
    return 0;
}

static int drop_pipe(void **state)
{
    struct tp **ends = *state;

    tp_close(ends[0]);
    tp_close(ends[1]);
    return 0;
}

static void send_raw(struct tp *tp, const void *data, size_t bytes)
{
    struct vf_error err;

    assert_int_equal(
        tp_send(tp, &(struct iovec){(void *)(uintptr_t)data, bytes}, 1, TP_NEVER, &err), 0);
}

static void send_header(struct tp *tp, uint32_t tag, uint32_t flags, uint32_t length)
{
    uint8_t header[WIRE_HEADER_BYTES];

    wire_header_encode(header, tag, flags, length);
    send_raw(tp, header, sizeof header);
}

/* Says `in` at one end and hears it at the other. */
static void carry(struct tp **ends, const struct wire_message *in, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_say(ends[0], in, TP_NEVER, &err) != 0 || wire_hear(ends[1], out, TP_NEVER, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(out->tag, in->tag);
}

static void numbers_are_little_endian(void **state)
{
    static const uint8_t expected[] = {1,  3,  2,  7, 6, 5, 4, 15,  14, 13,
                                       12, 11, 10, 9, 8, 2, 0, 'h', 'i'};
    struct wire_writer w;

    (void)state;
    wire_writer_init(&w);
    wire_put_u8(&w, 0x01);
    wire_put_u16(&w, 0x0203);
    wire_put_u32(&w, 0x04050607);
    wire_put_u64(&w, 0x08090a0b0c0d0e0f);
    wire_put_text(&w, "hi");
    assert_false(w.failed);
    assert_int_equal(w.bytes, sizeof expected);
    assert_memory_equal(w.data, expected, sizeof expected);
    wire_writer_free(&w);
}

static void writer_fails_instead_of_growing_for_ever(void **state)
{
    struct wire_writer w;
    uint8_t *block = calloc(1, 1u << 20);

    (void)state;
    assert_non_null(block);
    wire_writer_init(&w);
    for (int i = 0; i < 100; i++)
        wire_put_bytes(&w, block, 1u << 20);
    assert_true(w.failed);
    assert_in_range(w.bytes, 0, 16u << 20);
    wire_writer_free(&w);
    free(block);
}

static void reader_stops_at_its_end_and_stays_bad(void **state)
{
    const uint8_t data[5] = {1, 2, 3, 4, 5};
    struct wire_reader r;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t bytes[3] = {9, 9, 9};

    (void)state;
    wire_reader_init(&r, data, sizeof data);
    assert_int_equal(wire_get_u32(&r), 0x04030201);
    assert_int_equal(wire_reader_end(&r, "X", &err), 0); /* one byte more is a newer peer's */
    assert_int_equal(wire_get_u16(&r), 0);
    /* Though a byte is there: after an overrun nothing has a meaning. */
    assert_int_equal(wire_get_u8(&r), 0);
    wire_get_bytes(&r, bytes, sizeof bytes);
    assert_int_equal(bytes[0] | bytes[1] | bytes[2], 0);
    assert_int_equal(wire_reader_end(&r, "X", &err), -1);
    assert_non_null(strstr(err.text, "X: too short"));
}

static void text_is_bounded_and_cleaned(void **state)
{
    const uint8_t data[] = {5, 0, 'a', '\n', 0x1b, 0, 'z', 4, 0, 'l', 'o', 'n', 'g', 255, 255, 'x'};
    char text[6], small[4];
    struct wire_reader r;

    (void)state;
    wire_reader_init(&r, data, sizeof data);
    wire_get_text(&r, text, sizeof text);
    assert_string_equal(text, "a???z");
    wire_get_text(&r, small, sizeof small);
    assert_true(r.bad);
    assert_string_equal(small, "");
    wire_reader_init(&r, data + 13, 3);
    wire_get_text(&r, text, sizeof text);
    assert_true(r.bad);
}

static void blob_over_its_cap_is_refused(void **state)
{
    const uint8_t data[] = {4, 0, 0, 0, 1, 2, 3, 4};
    struct wire_reader r;
    const void *blob;
    uint32_t bytes;

    (void)state;
    wire_reader_init(&r, data, sizeof data);
    wire_get_blob(&r, &blob, &bytes, 4);
    assert_false(r.bad);
    assert_ptr_equal(blob, data + 4);
    assert_int_equal(bytes, 4);
    wire_reader_init(&r, data, sizeof data);
    wire_get_blob(&r, &blob, &bytes, 3);
    assert_true(r.bad);
    assert_null(blob);
    assert_int_equal(bytes, 0);
}

static void hello_is_heard_as_said(void **state)
{
    struct wire_message in = {.tag = WIRE_HELLO,
                              .hello = {.version_min = 1,
                                        .version_max = 3,
                                        .features_mandatory = 5,
                                        .features_optional = 6,
                                        .role = WIRE_DATA,
                                        .host_name = "host-a",
                                        .stream_index = 7,
                                        .generation = 8,
                                        .listen_address = "192.0.2.1:7001"}};
    struct wire_message out;

    memset(in.hello.boot_id, 1, WIRE_ID_BYTES);
    memset(in.hello.job, 2, WIRE_ID_BYTES);
    memset(in.hello.token, 3, WIRE_ID_BYTES);
    carry(*state, &in, &out);
    in.hello.magic = WIRE_MAGIC;
    assert_memory_equal(&out.hello, &in.hello, sizeof in.hello);
    wire_message_free(&out);
}

static struct wire_message typical_admit(void)
{
    struct wire_message m = {
        .tag = WIRE_ADMIT,
        .admit = {.params = {.name = "vm-1", .adapter = 2, .vram_bytes = 1ull << 32, .epoch = 4},
                  .page_bytes = 65536,
                  .slot_bytes = 1u << 20,
                  .sent_page_bytes = 4096,
                  .key = {1, [15] = 16},
                  .streams = 4,
                  .check_only = 1,
                  .verify = 1,
                  .epoch = 5,
                  .stay_paused = 1,
                  .max_blackout_ns = 750000000,
                  .max_time_ns = 30000000000,
                  .queued = 1,
                  .kmd = {"kmd-data", 8},
                  .umed = {"umed", 4}}};

    memset(m.admit.params.uuid, 0xaa, VF_UUID_BYTES);
    memset(m.admit.params.umed_class, 0xbb, 16);
    return m;
}

static void admit_is_heard_as_said_with_its_blobs(void **state)
{
    const struct wire_message in = typical_admit();
    struct wire_message out;

    carry(*state, &in, &out);
    assert_memory_equal(&out.admit.params, &in.admit.params, sizeof in.admit.params);
    assert_int_equal(out.admit.page_bytes, 65536);
    assert_int_equal(out.admit.slot_bytes, 1u << 20);
    assert_int_equal(out.admit.sent_page_bytes, 4096);
    assert_memory_equal(out.admit.key, in.admit.key, sizeof in.admit.key);
    assert_int_equal(out.admit.streams, 4);
    assert_int_equal(out.admit.check_only, 1);
    assert_int_equal(out.admit.verify, 1);
    assert_int_equal(out.admit.epoch, 5);
    assert_int_equal(out.admit.stay_paused, 1);
    assert_int_equal(out.admit.max_blackout_ns, 750000000);
    assert_int_equal(out.admit.max_time_ns, 30000000000);
    assert_int_equal(out.admit.queued, 1);
    assert_int_equal(out.admit.kmd.bytes, 8);
    assert_memory_equal(out.admit.kmd.data, "kmd-data", 8);
    assert_int_equal(out.admit.umed.bytes, 4);
    assert_memory_equal(out.admit.umed.data, "umed", 4);
    wire_message_free(&out);
}

static void largest_blobs_fit_into_admit_and_state(void **state)
{
    uint8_t *data = malloc(VF_MAX_MIGRATION_BLOB + 1);
    struct wire_message m = typical_admit();
    struct wire_record record = {.tag = WIRE_ADMIT};
    struct wire_writer w;
    struct vf_error err;

    (void)state;
    assert_non_null(data);
    memset(data, 0x5a, VF_MAX_MIGRATION_BLOB + 1);
    for (uint32_t more = 0; more < 2; more++) {
        struct wire_message out;

        m.admit.kmd = (struct wire_blob){data, VF_MAX_MIGRATION_BLOB};
        m.admit.umed = (struct wire_blob){data, VF_MAX_MIGRATION_BLOB + more};
        wire_writer_init(&w);
        assert_int_equal(wire_encode(&m, &w, &err), 0);
        assert_true(w.bytes + 8 <= wire_tag_cap(WIRE_ADMIT));
        record =
            (struct wire_record){.tag = WIRE_ADMIT, .payload = w.data, .bytes = (uint32_t)w.bytes};
        assert_int_equal(wire_decode(&record, &out, &err), more == 0 ? 0 : -1);
        assert_null(record.payload);
        wire_message_free(&out);
    }
    free(data);
}

static void impossible_admits_are_refused(void **state)
{
    enum { BAD = 11 };
    struct wire_message bad[BAD];

    for (size_t i = 0; i < BAD; i++)
        bad[i] = typical_admit();
    bad[0].admit.params.name[0] = '/';
    bad[1].admit.page_bytes = 65535;
    bad[2].admit.page_bytes = 0;
    bad[3].admit.slot_bytes = 65536 + 1;
    bad[4].admit.slot_bytes = 8u << 20;
    bad[5].admit.streams = 0;
    bad[6].admit.streams = UINT32_MAX;
    bad[7].admit.verify = 2;
    bad[8].admit.sent_page_bytes = 2048;
    bad[9].admit.sent_page_bytes = 12288;
    bad[10].admit.sent_page_bytes = 131072; /* more than a dirty bit covers */
    for (size_t i = 0; i < BAD; i++) {
        struct tp **ends = *state;
        struct wire_message out;
        struct vf_error err = VF_ERROR_INIT;

        assert_int_equal(wire_say(ends[0], &bad[i], TP_NEVER, &err), 0);
        assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
        assert_int_equal(err.code, VF_FAILED);
        assert_non_null(strstr(err.text, "peer pipe:1: ADMIT: "));
    }
}

static void verdict_carries_every_reason(void **state)
{
    struct wire_message in = {.tag = WIRE_VERDICT,
                              .verdict = {.code = VF_INCOMPATIBLE, .text = "no"}};
    struct wire_message out;

    for (unsigned i = 0; i < VF_MAX_REASONS; i++) {
        struct vf_reason *reason = &in.verdict.reasons.list[i];

        memset(reason->field, 'a' + (int)i, sizeof reason->field - 1);
        memset(reason->source, 's', sizeof reason->source - 1);
        memset(reason->target, 't', sizeof reason->target - 1);
        memset(reason->remedy, 'r', sizeof reason->remedy - 1);
    }
    in.verdict.reasons.count = VF_MAX_REASONS;
    carry(*state, &in, &out);
    assert_memory_equal(&out.verdict, &in.verdict, sizeof in.verdict);
    wire_message_free(&out);
}

static void state_and_ready_are_heard_as_said(void **state)
{
    struct wire_message in = {.tag = WIRE_STATE,
                              .state = {.kmd = {"k", 1},
                                        .msix = {"mm", 2},
                                        .pages_total_sent = 9,
                                        .umed = {"uuu", 3}}};
    struct wire_message out;

    memset(in.state.root, 0x77, WIRE_ID_BYTES);
    carry(*state, &in, &out);
    assert_int_equal(out.state.kmd.bytes, 1);
    assert_int_equal(out.state.msix.bytes, 2);
    assert_memory_equal(out.state.msix.data, "mm", 2);
    assert_memory_equal(out.state.root, in.state.root, WIRE_ID_BYTES);
    assert_int_equal(out.state.pages_total_sent, 9);
    assert_int_equal(out.state.umed.bytes, 3);
    assert_memory_equal(out.state.umed.data, "uuu", 3);
    wire_message_free(&out);
    in = (struct wire_message){.tag = WIRE_READY,
                               .ready = {.id.epoch = 3, .verify_ns = 4, .state_ns = 5}};
    memset(in.ready.id.job, 1, WIRE_ID_BYTES);
    memset(in.ready.id.uuid, 2, WIRE_ID_BYTES);
    memset(in.ready.root, 3, WIRE_ID_BYTES);
    carry(*state, &in, &out);
    assert_memory_equal(&out.ready, &in.ready, sizeof in.ready);
    wire_message_free(&out);
}

static void small_records_are_heard_as_said(void **state)
{
    const struct wire_message in[] = {
        {.tag = WIRE_ADMITTED, .admitted = {.token = {1, 2, 3}, .slot_bytes = 1u << 20}},
        {.tag = WIRE_ROUND, .round = {.round = 3, .pages = 1ull << 40, .paused = 1}},
        {.tag = WIRE_ROUND_END, .count = {.round = 3, .frames = 5, .pages = 7}},
        {.tag = WIRE_ACK, .count = {.round = 4, .frames = 6, .pages = 8}},
        {.tag = WIRE_REHASH, .rehash = {.round = 6}},
        {.tag = WIRE_COMMIT, .handoff = {.job = {1}, .uuid = {2}, .epoch = 3}},
        {.tag = WIRE_RUNNING, .running = {.id = {.epoch = 3}, .resume_ns = 4, .first_run_ns = 5}},
        {.tag = WIRE_DONE, .handoff = {.job = {4}, .uuid = {5}, .epoch = 6}},
        {.tag = WIRE_CLOSE, .close = {.first_run_ns = 11}},
        {.tag = WIRE_ABORT, .abort = {.code = VF_CANCELLED, .text = "cancelled by a person"}},
        {.tag = WIRE_REFUSED, .verdict = {.code = VF_INCOMPATIBLE, .text = "no VF free"}},
    };

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct wire_message out;
        struct wire_record none = {0};

        carry(*state, &in[i], &out);
        wire_record_free(&out.record);
        out.record = none;
        assert_memory_equal(&out, &in[i], sizeof out);
    }
}

static void capacity_is_heard_as_said(void **state)
{
    struct wire_message in = {.tag = WIRE_CAPACITY,
                              .capacity = {.version = "0.1.0",
                                           .why = "full",
                                           .partitions = 3,
                                           .count = 2,
                                           .adapters = {{"softgpu", 8, 5, 4096, 2048, 1024, 1},
                                                        {"softgpu,vfs=2", 2, 0, 9, 8, 7, 0}}}};
    struct wire_message out;

    carry(*state, &in, &out);
    assert_memory_equal(&out.capacity, &in.capacity, sizeof in.capacity);
    wire_message_free(&out);
}

static void pings_are_swallowed(void **state)
{
    struct tp **ends = *state;
    const struct wire_message ping = {.tag = WIRE_PING},
                              close_ = {.tag = WIRE_CLOSE, .close.first_run_ns = 1};
    struct wire_message out;
    struct vf_error err;

    assert_int_equal(wire_say(ends[0], &ping, TP_NEVER, &err), 0);
    assert_int_equal(wire_say(ends[0], &ping, TP_NEVER, &err), 0);
    carry(ends, &close_, &out);
    wire_message_free(&out);
}

static void unknown_optional_records_are_skipped(void **state)
{
    static const uint8_t waste[10000];
    struct tp **ends = *state;
    const struct wire_message close_ = {.tag = WIRE_CLOSE, .close.first_run_ns = 1};
    struct wire_message out;

    send_header(ends[0], 4711, 0, sizeof waste);
    send_raw(ends[0], waste, sizeof waste);
    send_header(ends[0], WIRE_TAG_END, 0xfffffffe, 0);
    carry(ends, &close_, &out);
    wire_message_free(&out);
}

static void unknown_mandatory_record_is_refused(void **state)
{
    struct tp **ends = *state;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    send_header(ends[0], 4711, WIRE_MANDATORY, 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_non_null(strstr(err.text, "unknown kind 4711"));
}

static void length_over_the_cap_is_refused_for_every_tag(void **state)
{
    for (uint32_t tag = 0; tag <= WIRE_TAG_END; tag++) {
        struct tp **ends = *state;
        struct wire_message out;
        struct vf_error err = VF_ERROR_INIT;

        send_header(ends[0], tag, 0, wire_tag_cap(tag) + 1);
        assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
        assert_non_null(strstr(err.text, "are allowed"));
    }
}

static void every_flipped_bit_of_a_record_is_refused(void **state)
{
    const struct wire_message in = {.tag = WIRE_COMMIT,
                                    .handoff = {.job = {1}, .uuid = {2}, .epoch = 3}};
    struct tp **ends = *state;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t bytes[WIRE_HEADER_BYTES + 8 + 40];

    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        assert_int_equal(wire_say(ends[0], &in, TP_NEVER, &err), 0);
        assert_int_equal(tp_recv(ends[1], bytes, sizeof bytes, TP_NEVER, &err), 0);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1 << bit % 8));
        send_raw(ends[1], bytes, sizeof bytes);
        assert_int_equal(wire_hear(ends[0], &out, TP_NEVER, &err), -1);
        if (bit < 8 * WIRE_HEADER_BYTES) { /* refused before its payload: read that away */
            assert_non_null(strstr(err.text, "not a record of this protocol"));
            assert_int_equal(
                tp_recv(ends[0], bytes, sizeof bytes - WIRE_HEADER_BYTES, TP_NEVER, &err), 0);
        } else {
            assert_non_null(strstr(err.text, "COMMIT was damaged"));
        }
    }
}

static void record_too_short_for_its_fields_is_refused(void **state)
{
    struct tp **ends = *state;
    struct wire_writer w;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    wire_writer_init(&w);
    wire_put_u32(&w, 1);
    assert_int_equal(wire_send(ends[0], WIRE_COMMIT, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "COMMIT: too short"));
    send_header(ends[0], WIRE_COMMIT, WIRE_MANDATORY, 7); /* shorter than its checksum */
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "impossible length"));
    wire_writer_free(&w);
}

static void fields_appended_by_a_newer_peer_are_ignored(void **state)
{
    const struct wire_message in = {.tag = WIRE_CLOSE, .close.first_run_ns = 42};
    struct tp **ends = *state;
    struct wire_message out;
    struct wire_writer w;
    struct vf_error err = VF_ERROR_INIT;

    wire_writer_init(&w);
    assert_int_equal(wire_encode(&in, &w, &err), 0);
    wire_put_text(&w, "from the future");
    assert_int_equal(wire_send(ends[0], WIRE_CLOSE, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), 0);
    assert_int_equal(out.close.first_run_ns, 42);
    wire_message_free(&out);
    wire_writer_free(&w);
}

static void expect_turns_an_abort_into_its_error(void **state)
{
    struct tp **ends = *state;
    struct vf_error why = {VF_CANCELLED, 0, "cancelled by a person"}, err = VF_ERROR_INIT;
    struct wire_message out;

    wire_say_abort(ends[0], &why);
    assert_int_equal(wire_expect(ends[1], WIRE_READY, &out, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    assert_string_equal(err.text, "peer pipe:1: cancelled by a person");
}

static void expect_names_what_came_instead(void **state)
{
    const struct wire_message in = {.tag = WIRE_ACK};
    struct tp **ends = *state;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(wire_say(ends[0], &in, TP_NEVER, &err), 0);
    assert_int_equal(wire_expect(ends[1], WIRE_READY, &out, TP_NEVER, &err), -1);
    assert_string_equal(err.text, "peer pipe:1 sent ACK where READY was due");
}

static void abort_never_reads_as_success(void **state)
{
    const struct wire_message in[] = {{.tag = WIRE_ABORT, .abort.code = VF_OK},
                                      {.tag = WIRE_ABORT, .abort.code = VF_USAGE},
                                      {.tag = WIRE_ABORT, .abort.code = VF_UNREACHABLE},
                                      {.tag = WIRE_ABORT, .abort.code = 99}};

    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        struct wire_message out;

        carry(*state, &in[i], &out);
        assert_int_equal(out.abort.code, VF_FAILED);
        wire_message_free(&out);
    }
}

static void hello_of_a_stranger_is_refused(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct tp **ends = *state;
    struct wire_message out;
    struct wire_writer w;
    struct vf_error err = VF_ERROR_INIT;
    const struct wire_message in = {.tag = WIRE_HELLO, .hello = {.version_max = 1}};

    wire_writer_init(&w);
    assert_int_equal(wire_encode(&in, &w, &err), 0);
    w.data[0] ^= 1; /* right in all but the magic */
    assert_int_equal(wire_send(ends[0], WIRE_HELLO, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "not a vferry peer"));
    send_raw(ends[0], request, sizeof request);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "not a record of this protocol"));
    wire_writer_free(&w);
}

#define WITH_PIPE(f) cmocka_unit_test_setup_teardown(f, make_pipe, drop_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(writer_fails_instead_of_growing_for_ever),
        cmocka_unit_test(reader_stops_at_its_end_and_stays_bad),
        cmocka_unit_test(text_is_bounded_and_cleaned),
        cmocka_unit_test(blob_over_its_cap_is_refused),
        WITH_PIPE(hello_is_heard_as_said),
        WITH_PIPE(admit_is_heard_as_said_with_its_blobs),
        cmocka_unit_test(largest_blobs_fit_into_admit_and_state),
        WITH_PIPE(impossible_admits_are_refused),
        WITH_PIPE(verdict_carries_every_reason),
        WITH_PIPE(state_and_ready_are_heard_as_said),
        WITH_PIPE(small_records_are_heard_as_said),
        WITH_PIPE(capacity_is_heard_as_said),
        WITH_PIPE(pings_are_swallowed),
        WITH_PIPE(unknown_optional_records_are_skipped),
        WITH_PIPE(unknown_mandatory_record_is_refused),
        WITH_PIPE(length_over_the_cap_is_refused_for_every_tag),
        WITH_PIPE(every_flipped_bit_of_a_record_is_refused),
        WITH_PIPE(record_too_short_for_its_fields_is_refused),
        WITH_PIPE(fields_appended_by_a_newer_peer_are_ignored),
        WITH_PIPE(expect_turns_an_abort_into_its_error),
        WITH_PIPE(expect_names_what_came_instead),
        WITH_PIPE(abort_never_reads_as_success),
        WITH_PIPE(hello_of_a_stranger_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
