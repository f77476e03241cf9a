// SPDX-License-Identifier: Apache-2.0
/*
 * A move as an older version sent it, byte for byte (frozen/README.md): today's code reads every
 * record of it, and a target of today takes the partition from it, to the same bits.
 */
#include "migrate/tests/rig/hosts.h"

#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#define VRAM (64u << 20)
#define PAGE 65536u
#define SILENCE_NS 3000000000ull
/* What tools/freeze_stream.py printed. */
#define WORKLOAD_DIGEST "xxh3-128:11fc4c49a54e0cb601aef25947a06fc3"
#define FILE_BYTES (1u << 20)

/* One way of one connection, as recorded. */
struct frozen {
    uint8_t *bytes;
    size_t size, at;
};

static struct frozen control_source, control_target, data_source, data_target;
static struct host host;

static void thaw(const char *name, struct frozen *out)
{
    char path[4096];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", need("VF_FROZEN"), name);
    file = fopen(path, "rb");
    assert_non_null(file);
    out->bytes = malloc(FILE_BYTES);
    assert_non_null(out->bytes);
    out->size = fread(out->bytes, 1, FILE_BYTES, file);
    assert_true(out->size > 0 && out->size < FILE_BYTES);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    thaw("control.source", &control_source);
    thaw("control.target", &control_target);
    thaw("data.source", &data_source);
    thaw("data.target", &data_target);
    host_start(&host, "right", SILENCE_NS, 1000000000ull);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&host);
    free(control_source.bytes);
    free(control_target.bytes);
    free(data_source.bytes);
    free(data_target.bytes);
    return 0;
}

/* ---- reading it ---- */

/* The recording as a stream; the caller closes it. */
static struct tp *play(const struct frozen *frozen)
{
    FILE *file = tmpfile();
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    assert_non_null(file);
    assert_int_equal(fwrite(frozen->bytes, 1, frozen->size, file), frozen->size);
    assert_int_equal(fflush(file), 0);
    if (tp_file(dup(fileno(file)), "frozen", NULL, NULL, &tp, &err) != 0)
        die("play", &err);
    assert_int_equal(fclose(file), 0);
    return tp;
}

static void expect_end(struct tp *tp)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(wire_hear(tp, &message, soon(), &err), -1);
    assert_true(tp_lost(tp));
    tp_close(tp);
}

static void expect_hello(struct tp *tp, const char *name, enum wire_role role,
                         struct wire_hello *out)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    struct wire_hello ours;
    uint16_t version;

    wire_hello_init(&ours);
    hear(tp, WIRE_HELLO, &message);
    assert_int_equal(message.hello.version_min, 1);
    assert_int_equal(message.hello.version_max, 1);
    assert_int_equal(message.hello.features_mandatory, 0);
    assert_int_equal(message.hello.role, role);
    assert_string_equal(message.hello.host_name, name);
    assert_int_equal(wire_hello_agree(&message.hello, &ours, 0, &version, &err), 0);
    assert_int_equal(version, 1);
    *out = message.hello;
    wire_message_free(&message);
}

/* HELLO and ADMIT; the id of the hand-off that all later records must carry. */
static void read_begin(struct tp *tp, struct wire_handoff *id)
{
    struct wire_message message;
    struct wire_hello hello;

    expect_hello(tp, "A", WIRE_CONTROL, &hello);
    hear(tp, WIRE_ADMIT, &message);
    assert_string_equal(message.admit.params.name, "frozen");
    assert_int_equal(message.admit.params.vram_bytes, VRAM);
    assert_int_equal(message.admit.page_bytes, PAGE);
    assert_int_equal(message.admit.streams, 1);
    assert_int_equal(message.admit.check_only, 0);
    assert_int_equal(message.admit.stay_paused, 0);
    assert_int_equal(message.admit.max_blackout_ns, 750000000ull);
    assert_int_equal(message.admit.max_time_ns, 0); /* version 1 does not tell it */
    assert_true(message.admit.epoch > message.admit.params.epoch);
    assert_true(message.admit.kmd.bytes > 0);
    memcpy(id->job, hello.job, sizeof id->job);
    memcpy(id->uuid, message.admit.params.uuid, sizeof id->uuid);
    id->epoch = message.admit.epoch;
    wire_message_free(&message);
}

static void expect_id(const struct wire_handoff *id, const struct wire_handoff *expected)
{
    assert_memory_equal(id->job, expected->job, sizeof id->job);
    assert_memory_equal(id->uuid, expected->uuid, sizeof id->uuid);
    assert_int_equal(id->epoch, expected->epoch);
}

/* Rounds, the last one paused, and STATE. */
static uint32_t read_rounds(struct tp *tp, uint8_t root[WIRE_ID_BYTES])
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    bool paused = false;

    for (uint32_t rounds = 0;; rounds++) {
        assert_int_equal(wire_hear(tp, &message, soon(), &err), 0);
        if (message.tag != WIRE_ROUND) {
            assert_int_equal(message.tag, WIRE_STATE);
            assert_true(paused);
            assert_true(message.state.kmd.bytes > 0 && message.state.msix.bytes > 0);
            memcpy(root, message.state.root, WIRE_ID_BYTES);
            wire_message_free(&message);
            return rounds;
        }
        assert_false(paused);
        assert_int_equal(message.round.round, rounds);
        paused = message.round.paused;
        wire_message_free(&message);
    }
}

static void its_control_records_are_read(void **state)
{
    struct tp *source = play(&control_source);
    struct tp *target = play(&control_target);
    struct wire_message message;
    struct wire_handoff id;
    struct wire_hello hello;
    uint8_t root[WIRE_ID_BYTES];

    (void)state;
    read_begin(source, &id);
    assert_true(read_rounds(source, root) >= 2);
    hear(source, WIRE_COMMIT, &message);
    expect_id(&message.handoff, &id);
    wire_message_free(&message);
    hear(source, WIRE_DONE, &message);
    expect_id(&message.handoff, &id);
    wire_message_free(&message);
    expect_end(source);

    expect_hello(target, "B", WIRE_CONTROL, &hello);
    hear(target, WIRE_ADMITTED, &message);
    assert_true(message.admitted.slot_bytes >= PAGE);
    wire_message_free(&message);
    hear(target, WIRE_READY, &message);
    expect_id(&message.ready.id, &id);
    assert_memory_equal(message.ready.root, root, sizeof root);
    wire_message_free(&message);
    hear(target, WIRE_RUNNING, &message);
    expect_id(&message.running.id, &id);
    assert_true(message.running.first_run_ns >= message.running.resume_ns);
    wire_message_free(&message);
    hear(target, WIRE_CLOSE, &message);
    wire_message_free(&message);
    expect_end(target);
}

static void its_page_frames_are_read(void **state)
{
    const struct wire_geometry geometry = {PAGE, VRAM / PAGE, WIRE_MAX_SLOT_BYTES};
    struct tp *tp = play(&data_source);
    uint8_t *slot = malloc(WIRE_MAX_SLOT_BYTES);
    struct wire_frame *frame = malloc(sizeof *frame);
    struct wire_header header;
    struct wire_packed packed;
    struct wire_message message;
    struct wire_hello hello;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t pages = 0, ended = 0;

    (void)state;
    assert_true(slot != NULL && frame != NULL);
    expect_hello(tp, "A", WIRE_DATA, &hello);
    assert_int_equal(hello.generation, 0);
    while (wire_recv_header(tp, &header, soon(), &err) == 0) {
        if (header.tag != WIRE_PAGES) {
            assert_int_equal(wire_hear_body(tp, &header, &message, soon(), &err), 0);
            assert_int_equal(message.tag, WIRE_ROUND_END);
            ended += message.count.pages;
            wire_message_free(&message);
            continue;
        }
        assert_int_equal(wire_recv_frame_head(tp, &header, frame, &packed, &geometry, soon(), &err),
                         0);
        assert_int_equal(wire_recv_frame_payload(tp, frame, slot, &geometry, soon(), &err), 0);
        assert_memory_equal(frame->job, hello.job, sizeof frame->job);
        for (uint32_t i = 0; i < frame->count; i++) {
            if ((frame->pages[i] & WIRE_PAGE_ZERO) == 0)
                assert_int_equal(
                    XXH3_64bits(slot + (size_t)frame->place[i] * PAGE, PAGE), frame->digests[i]);
        }
        pages += frame->count;
    }
    assert_true(tp_lost(tp));
    assert_true(pages > 0);
    assert_int_equal(ended, pages);
    tp_close(tp);
    free(frame);
    free(slot);
}

/* ---- playing it to a host ---- */

static uint32_t u32_at(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The tag of the next record; 0 at the end. */
static uint32_t next_tag(const struct frozen *frozen)
{
    return frozen->at < frozen->size ? u32_at(frozen->bytes + frozen->at) : 0;
}

/* Sends the next record as it was. */
static void pass_on(struct frozen *frozen, struct tp *tp)
{
    uint8_t *record = frozen->bytes + frozen->at;
    size_t bytes = WIRE_HEADER_BYTES + u32_at(record + 8);
    struct iovec iov = {record, bytes};
    struct vf_error err = VF_ERROR_INIT;

    assert_true(bytes <= frozen->size - frozen->at);
    if (tp_send(tp, &iov, 1, soon(), &err) != 0)
        die("send", &err);
    frozen->at += bytes;
}

static struct tp *dial(void)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    if (tp_tcp_connect(host.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    return tp;
}

/* The only thing that its source would have said otherwise: the token that this target gave. */
static void put_token(const uint8_t was[WIRE_ID_BYTES], const uint8_t now[WIRE_ID_BYTES])
{
    uint8_t *payload = data_source.bytes + WIRE_HEADER_BYTES;
    size_t bytes = u32_at(data_source.bytes + 8);
    uint8_t *at = memmem(payload, bytes, was, WIRE_ID_BYTES);
    uint64_t sum;

    assert_non_null(at);
    memcpy(at, now, WIRE_ID_BYTES);
    sum = XXH3_64bits(payload + sizeof sum, bytes - sizeof sum);
    for (size_t i = 0; i < sizeof sum; i++)
        payload[i] = (uint8_t)(sum >> (8 * i));
}

/* Up to ADMITTED; its answer is the caller's. */
static struct tp *knock(enum wire_tag due, struct wire_message *out)
{
    struct wire_message message;
    struct tp *control = dial();

    control_source.at = data_source.at = 0;
    pass_on(&control_source, control);
    hear(control, WIRE_HELLO, &message);
    assert_true(message.hello.version_min <= 1 && message.hello.version_max >= 1);
    wire_message_free(&message);
    assert_int_equal(next_tag(&control_source), WIRE_ADMIT);
    pass_on(&control_source, control);
    hear(control, due, out);
    return control;
}

/* Each round announced, its pages, the target's account of it; then STATE. */
static void send_rounds(struct tp *control, struct tp *data)
{
    struct wire_message message;

    for (uint32_t rounds = 0; next_tag(&control_source) == WIRE_ROUND; rounds++) {
        pass_on(&control_source, control);
        while (next_tag(&data_source) != WIRE_ROUND_END)
            pass_on(&data_source, data);
        pass_on(&data_source, data);
        hear(data, WIRE_ACK, &message);
        assert_int_equal(message.count.round, rounds);
        wire_message_free(&message);
    }
    assert_int_equal(next_tag(&control_source), WIRE_STATE);
    pass_on(&control_source, control);
}

static void a_target_of_today_runs_what_it_brings(void **state)
{
    struct tp *recorded = play(&control_target);
    struct wire_message was, ready, message;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char digest[GUEST_DIGEST_BYTES];
    struct tp *control, *data;

    (void)state;
    hear(recorded, WIRE_HELLO, &was);
    wire_message_free(&was);
    hear(recorded, WIRE_ADMITTED, &was);
    control = knock(WIRE_ADMITTED, &message);
    put_token(was.admitted.token, message.admitted.token);
    wire_message_free(&was);
    wire_message_free(&message);
    data = dial();
    pass_on(&data_source, data); /* HELLO */
    send_rounds(control, data);
    hear(recorded, WIRE_READY, &was);
    hear(control, WIRE_READY, &ready);
    expect_id(&ready.ready.id, &was.ready.id);
    assert_memory_equal(ready.ready.root, was.ready.root, sizeof was.ready.root);
    wire_message_free(&ready);
    pass_on(&control_source, control); /* COMMIT */
    hear(control, WIRE_RUNNING, &message);
    expect_id(&message.running.id, &was.ready.id);
    wire_message_free(&message);
    pass_on(&control_source, control); /* DONE */
    hear(control, WIRE_CLOSE, &message);
    wire_message_free(&message);
    tp_close(data);
    tp_close(control);
    tp_close(recorded);

    assert_int_equal(kc_partition_find(host.kc, "frozen", &p, &err), 0);
    assert_int_equal(p.state, VF_PARTITION_RUNNING);
    assert_int_equal(p.epoch, was.ready.id.epoch);
    wire_message_free(&was);
    await_done(&host, &p, digest);
    assert_string_equal(digest, WORKLOAD_DIGEST);
    assert_int_equal(kc_partition_destroy(host.kc, p.id, &err), 0);
}

/* After the test above: the host has seen this hand-off, and keeps nothing of it. */
static void played_again_it_is_a_stale_copy(void **state)
{
    struct wire_message message;
    struct tp *control = knock(WIRE_REFUSED, &message);

    (void)state;
    assert_int_equal(message.verdict.reasons.count, 1);
    assert_string_equal(message.verdict.reasons.list[0].field, "epoch");
    wire_message_free(&message);
    tp_close(control);
    expect_empty(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_control_records_are_read),
        cmocka_unit_test(its_page_frames_are_read),
        cmocka_unit_test(a_target_of_today_runs_what_it_brings),
        cmocka_unit_test(played_again_it_is_a_stale_copy),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
