// SPDX-License-Identifier: Apache-2.0
/* Page frames: pages arrive packed and in order with zero pages left out, and whatever does not fit
 * the geometry is refused. */
#include "transport/tests/pipe.h"
#include "migrate/wire/internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#define PAGE 4096u

static const struct wire_geometry geometry = {
    .page_bytes = PAGE, .pages_total = 5000, .slot_bytes = 1024 * PAGE};

struct fixture {
    struct tp *ends[2];
    struct wire_frame in, out;
    uint8_t *source, *target; /* slots */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vf_error err;

    if (f == NULL || tp_pipe(f->ends, &err) != 0)
        return -1;
    f->source = malloc(geometry.slot_bytes);
    f->target = malloc(geometry.slot_bytes);
    if (f->source == NULL || f->target == NULL)
        return -1;
    for (size_t i = 0; i < geometry.slot_bytes; i++)
        f->source[i] = (uint8_t)(i / PAGE * 31 + i);
    memset(f->target, 0xee, geometry.slot_bytes);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tp_close(f->ends[0]);
    tp_close(f->ends[1]);
    free(f->source);
    free(f->target);
    free(f);
    return 0;
}

static void *send_in(void *arg)
{
    struct fixture *f = arg;
    struct vf_error err;

    if (wire_send_frame(f->ends[0], &f->in, f->source, &geometry, NULL, TP_NEVER, &err) != 0)
        return f;
    return NULL;
}

static int receive_out(struct fixture *f, struct vf_error *err)
{
    struct wire_header header;
    struct wire_packed packed;

    if (wire_recv_header(f->ends[1], &header, TP_NEVER, err) != 0 ||
        wire_recv_frame_head(f->ends[1], &header, &f->out, &packed, &geometry, TP_NEVER, err) != 0)
        return -1;
    return wire_recv_frame_payload(f->ends[1], &f->out, f->target, &geometry, TP_NEVER, err);
}

/* A frame can be larger than the socket's buffer, so it is sent by a thread of its own. */
static void carry(struct fixture *f)
{
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;
    void *bad;

    assert_int_equal(pthread_create(&thread, NULL, send_in, f), 0);
    if (receive_out(f, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(pthread_join(thread, &bad), 0);
    assert_null(bad);
}

static void frame_arrives_packed_without_its_zero_pages(void **state)
{
    struct fixture *f = *state;
    uint32_t packed = 0;

    memset(f->in.job, 7, sizeof f->in.job);
    f->in.epoch = 1ull << 40;
    f->in.generation = 3;
    f->in.round = 4;
    f->in.sequence = 5;
    for (uint32_t i = 0; i < 900; i++) /* gathered: 1024 places, some zero, some not sent at all */
        if (i % 5 != 0)
            assert_true(wire_frame_add(&f->in, i * 3, i * 1000003ull, i % 7 == 0, i, PAGE));
    carry(f);
    assert_memory_equal(f->out.job, f->in.job, sizeof f->in.job);
    assert_int_equal(f->out.epoch, f->in.epoch);
    assert_int_equal(f->out.generation, 3);
    assert_int_equal(f->out.round, 4);
    assert_int_equal(f->out.sequence, 5);
    assert_int_equal(f->out.count, f->in.count);
    assert_memory_equal(f->out.pages, f->in.pages, f->in.count * sizeof *f->in.pages);
    assert_memory_equal(f->out.digests, f->in.digests, f->in.count * sizeof *f->in.digests);
    for (uint32_t i = 0; i < f->out.count; i++) {
        if ((f->in.pages[i] & WIRE_PAGE_ZERO) != 0) {
            assert_int_equal(f->out.place[i], UINT32_MAX);
            continue;
        }
        assert_int_equal(f->out.place[i], packed);
        assert_memory_equal(f->target + packed * PAGE, f->source + f->in.place[i] * PAGE, PAGE);
        packed++;
    }
    assert_int_equal(f->target[packed * PAGE], 0xee); /* and not a byte more */
}

static void full_and_scattered_frame_arrives(void **state)
{
    struct fixture *f = *state;

    /* Every second place first: as many pieces as can be. */
    for (uint32_t i = 0; i < WIRE_FRAME_PAGES; i++)
        assert_true(wire_frame_add(&f->in, i, i, false, i * 2 % 1024 + (i >= 512), PAGE));
    carry(f);
    for (uint32_t i = 0; i < WIRE_FRAME_PAGES; i++)
        assert_memory_equal(f->target + i * PAGE, f->source + f->in.place[i] * PAGE, PAGE);
}

static void frame_of_zero_pages_has_no_payload(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 0; i < WIRE_FRAME_PAGES; i++)
        assert_true(wire_frame_add(&f->in, i, 1, true, i, PAGE));
    assert_int_equal(f->in.payload_bytes, 0);
    carry(f);
    assert_int_equal(f->out.count, WIRE_FRAME_PAGES);
    assert_int_equal(f->target[0], 0xee);
}

static void sent_counts_all_bytes_on_the_wire(void **state)
{
    struct fixture *f = *state;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t sent = 0;
    void *data;

    (void)wire_frame_add(&f->in, 1, 1, false, 0, PAGE);
    (void)wire_frame_add(&f->in, 2, 1, true, 1, PAGE);
    assert_int_equal(
        wire_send_frame(f->ends[0], &f->in, f->source, &geometry, &sent, TP_NEVER, &err), 0);
    assert_int_equal(sent, WIRE_HEADER_BYTES + WIRE_FRAME_HEAD_BYTES + 2 * 16 + PAGE);
    data = malloc(sent);
    assert_non_null(data);
    assert_int_equal(tp_recv(f->ends[1], data, sent, TP_NEVER, &err), 0);
    assert_int_equal(tp_wait_readable(f->ends[1], 0, &err), 0);
    free(data);
}

static void add_refuses_what_has_no_room(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 0; i < WIRE_FRAME_PAGES; i++)
        assert_true(wire_frame_add(&f->in, i, 1, true, i, PAGE));
    assert_false(wire_frame_add(&f->in, 4000, 1, true, 0, PAGE));
    f->in.count = 0;
    assert_true(wire_frame_add(&f->in, 0, 1, false, 0, WIRE_MAX_SLOT_BYTES));
    assert_false(wire_frame_add(&f->in, 1, 1, false, 1, WIRE_MAX_SLOT_BYTES));
    assert_int_equal(f->in.count, 1);
}

static void assert_bad(const struct wire_frame *frame, const char *why)
{
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(wire_frame_check(frame, &geometry, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    if (strstr(err.text, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void check_holds_every_number_against_the_geometry(void **state)
{
    struct fixture *f = *state;
    struct wire_frame *frame = &f->in;
    struct vf_error err;

    assert_bad(frame, "0 pages");
    (void)wire_frame_add(frame, 10, 1, false, 0, PAGE);
    (void)wire_frame_add(frame, 4999, 1, true, 1, PAGE);
    assert_int_equal(wire_frame_check(frame, &geometry, &err), 0);
    frame->count = WIRE_FRAME_PAGES + 1;
    assert_bad(frame, "1025 pages");
    frame->count = 2;
    frame->pages[1] = 5000;
    assert_bad(frame, "page 5000 of");
    frame->pages[1] = 5000 | WIRE_PAGE_ZERO;
    assert_bad(frame, "page 5000 of");
    frame->pages[1] = 10 | WIRE_PAGE_ZERO; /* the flag does not make it another page */
    assert_bad(frame, "out of order");
    frame->pages[1] = 9;
    assert_bad(frame, "out of order");
    frame->pages[1] = 11;
    assert_bad(frame, "4096 bytes of payload for 2 pages");
    frame->payload_bytes = 2 * PAGE + 1;
    assert_bad(frame, "bytes of payload");
    frame->payload_bytes = 2 * PAGE;
    assert_int_equal(wire_frame_check(frame, &geometry, &err), 0);
    /* Smaller slots. */
    assert_int_equal(wire_frame_check(frame, &(struct wire_geometry){PAGE, 5000, PAGE}, &err), -1);
}

static void place_outside_the_slot_is_never_read(void **state)
{
    struct fixture *f = *state;
    struct vf_error err = VF_ERROR_INIT;

    (void)wire_frame_add(&f->in, 1, 1, false, 1024, PAGE);
    assert_int_equal(
        wire_send_frame(f->ends[0], &f->in, f->source, &geometry, NULL, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "outside its slot"));
}

/* Head and lists carry a checksum, the payload is proven by its digests: only the former can be
 * told here. */
static void every_flipped_bit_of_head_and_lists_is_refused(void **state)
{
    enum { META = WIRE_FRAME_HEAD_BYTES + 3 * 16, TOTAL = WIRE_HEADER_BYTES + META + 2 * PAGE };
    struct fixture *f = *state;
    static uint8_t bytes[TOTAL];
    struct vf_error err = VF_ERROR_INIT;

    (void)wire_frame_add(&f->in, 1, 11, false, 0, PAGE);
    (void)wire_frame_add(&f->in, 2, 22, true, 1, PAGE);
    (void)wire_frame_add(&f->in, 3, 33, false, 2, PAGE);
    for (size_t bit = 0; bit < 8 * META; bit++) {
        struct tp *ends[2];
        struct wire_header header;
        struct wire_packed packed;

        assert_int_equal(
            wire_send_frame(f->ends[0], &f->in, f->source, &geometry, NULL, TP_NEVER, &err), 0);
        assert_int_equal(tp_recv(f->ends[1], bytes, TOTAL, TP_NEVER, &err), 0);
        bytes[WIRE_HEADER_BYTES + bit / 8] =
            (uint8_t)(bytes[WIRE_HEADER_BYTES + bit / 8] ^ (1 << bit % 8));
        assert_int_equal(tp_pipe(ends, &err), 0);
        assert_int_equal(tp_send(ends[0], &(struct iovec){bytes, TOTAL}, 1, TP_NEVER, &err), 0);
        assert_int_equal(wire_recv_header(ends[1], &header, TP_NEVER, &err), 0);
        assert_int_equal(
            wire_recv_frame_head(ends[1], &header, &f->out, &packed, &geometry, TP_NEVER, &err),
            -1);
        assert_int_equal(f->out.count, 0);
        assert_non_null(strstr(err.text, "peer pipe:1"));
        tp_close(ends[0]);
        tp_close(ends[1]);
    }
}

/* A frame with a right checksum and wrong numbers: what a hostile peer sends. */
static void forged_count_is_refused_before_its_lists_are_read(void **state)
{
    static const uint32_t counts[] = {0, WIRE_FRAME_PAGES + 1, 0x10000000, UINT32_MAX};
    struct vf_error err = VF_ERROR_INIT;

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct fixture *f = *state;
        uint8_t bytes[WIRE_HEADER_BYTES + WIRE_FRAME_HEAD_BYTES] = {0};
        uint8_t *head = bytes + WIRE_HEADER_BYTES;
        struct wire_header header;
        struct wire_packed packed;

        wire_header_encode(bytes, WIRE_PAGES, WIRE_MANDATORY, WIRE_FRAME_HEAD_BYTES);
        vf_store_u32(head + 48, counts[i]);
        vf_store_u64(head, XXH3_64bits(head + 8, WIRE_FRAME_HEAD_BYTES - 8));
        assert_int_equal(
            tp_send(f->ends[0], &(struct iovec){bytes, sizeof bytes}, 1, TP_NEVER, &err), 0);
        assert_int_equal(wire_recv_header(f->ends[1], &header, TP_NEVER, &err), 0);
        assert_int_equal(
            wire_recv_frame_head(f->ends[1], &header, &f->out, &packed, &geometry, TP_NEVER, &err),
            -1);
        assert_non_null(strstr(err.text, "frame: "));
    }
}

static void frame_on_a_control_stream_is_refused(void **state)
{
    struct fixture *f = *state;
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message out;

    (void)wire_frame_add(&f->in, 1, 11, false, 0, PAGE);
    assert_int_equal(
        wire_send_frame(f->ends[0], &f->in, f->source, &geometry, NULL, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(f->ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "PAGES on a stream for control"));
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(frame_arrives_packed_without_its_zero_pages),
        IN_FIXTURE(full_and_scattered_frame_arrives),
        IN_FIXTURE(frame_of_zero_pages_has_no_payload),
        IN_FIXTURE(sent_counts_all_bytes_on_the_wire),
        IN_FIXTURE(add_refuses_what_has_no_room),
        IN_FIXTURE(check_holds_every_number_against_the_geometry),
        IN_FIXTURE(place_outside_the_slot_is_never_read),
        IN_FIXTURE(every_flipped_bit_of_head_and_lists_is_refused),
        IN_FIXTURE(forged_count_is_refused_before_its_lists_are_read),
        IN_FIXTURE(frame_on_a_control_stream_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
