// SPDX-License-Identifier: Apache-2.0
/* Packed payloads: what goes in comes out, on the wire too; what does not get smaller is left as it
 * is; and what was changed on the way is refused or comes out as something else, never beyond its
 * room. */
#include "migrate/pack/frames.h"
#include "transport/tests/pipe.h"
#include "base/tests/chance.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE 4096u
#define SLOT (1u << 20)

static const struct pack_way ways[] = {{WIRE_LZ4, 0}, {WIRE_ZSTD, 1}, {WIRE_ZSTD, 3}};

#define WAYS (sizeof ways / sizeof *ways)

static struct packer *packer;
static uint8_t data[SLOT], back[SLOT + 64];

static int set_up(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    return packer_new(SLOT, &packer, &err);
}

static int tear_down(void **state)
{
    (void)state;
    packer_free(packer);
    return 0;
}

/* Bytes that repeat themselves, as tables and pictures do. */
static void fill_tame(uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i / 64 % 7 + i % 4);
}

static void fill_wild(uint32_t bytes)
{
    uint64_t seed = 5;

    for (uint32_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)chance_bits(&seed);
}

static bool pack_all(struct pack_way way, uint32_t bytes, struct wire_packed *out)
{
    const struct iovec all = {data, bytes};

    return pack(packer, way, &all, 1, bytes, out);
}

static void what_is_packed_comes_out_as_it_was(void **state)
{
    static const uint32_t sizes[] = {PAGE, 2 * PAGE, 9 * PAGE, SLOT / 2, SLOT};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;

    (void)state;
    fill_tame(SLOT);
    for (size_t way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            assert_true(pack_all(ways[way], sizes[i], &packed));
            assert_int_equal(packed.packing, ways[way].packing);
            assert_true(packed.bytes > 0 && packed.bytes < sizes[i] / 2);
            memset(back, 0xee, sizeof back);
            assert_int_equal(unpack(packer, &packed, back, sizes[i], &err), 0);
            assert_memory_equal(back, data, sizes[i]);
            assert_int_equal(back[sizes[i]], 0xee);
        }
    }
}

static void parts_that_lie_apart_are_packed_in_their_order(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct iovec parts[3] = {{data + 8 * PAGE, PAGE}, {data, 2 * PAGE}, {data + 40 * PAGE, PAGE}};
    struct wire_packed packed;

    (void)state;
    fill_tame(SLOT);
    data[8 * PAGE] = 1;
    data[0] = 2;
    data[40 * PAGE] = 3;
    assert_true(pack(packer, ways[0], parts, 3, 4 * PAGE, &packed));
    assert_int_equal(unpack(packer, &packed, back, 4 * PAGE, &err), 0);
    assert_memory_equal(back, data + 8 * PAGE, PAGE);
    assert_memory_equal(back + PAGE, data, 2 * PAGE);
    assert_memory_equal(back + 3 * PAGE, data + 40 * PAGE, PAGE);
}

static void what_gets_no_smaller_is_left_as_it_is(void **state)
{
    struct wire_packed packed;

    (void)state;
    fill_wild(SLOT);
    for (size_t way = 0; way < WAYS; way++) {
        assert_false(pack_all(ways[way], SLOT, &packed));
        assert_false(pack_all(ways[way], PAGE, &packed));
    }
    assert_false(pack_all((struct pack_way){WIRE_PLAIN, 0}, SLOT, &packed));
    fill_tame(SLOT / 16); /* a sixteenth of it would */
    assert_false(pack_all(ways[0], SLOT, &packed));
}

static void another_size_than_was_packed_is_refused(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;

    (void)state;
    fill_tame(SLOT);
    for (size_t way = 0; way < WAYS; way++) {
        assert_true(pack_all(ways[way], 8 * PAGE, &packed));
        assert_int_equal(unpack(packer, &packed, back, 7 * PAGE, &err), -1);
        assert_int_equal(err.code, VF_FAILED);
        assert_int_equal(unpack(packer, &packed, back, 9 * PAGE, &err), -1);
    }
}

/* Nothing is written beyond the room, whatever was changed (the address sanitizer's build sees
 * reads as well). */
static void changed_bytes_never_leave_their_room(void **state)
{
    uint64_t seed = 9;
    unsigned refused = 0;

    (void)state;
    fill_tame(SLOT);
    for (unsigned i = 0; i < 3000; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct wire_packed packed;
        uint8_t *copy;

        assert_true(pack_all(ways[i % WAYS], 8 * PAGE, &packed));
        copy = malloc(packed.bytes);
        assert_non_null(copy);
        memcpy(copy, packed.data, packed.bytes);
        for (unsigned k = 0; k <= i % 3; k++)
            copy[chance_bits(&seed) % packed.bytes] ^= (uint8_t)(1u << chance_bits(&seed) % 8);
        packed.data = copy;
        if (i % 5 == 0)
            packed.bytes = chance_bits(&seed) % packed.bytes;
        memset(back + 8 * PAGE, 0xee, 64);
        refused += unpack(packer, &packed, back, 8 * PAGE, &err) != 0;
        for (unsigned k = 0; k < 64; k++)
            assert_int_equal(back[8 * PAGE + k], 0xee);
        free(copy);
    }
    assert_true(refused > 500);
}

/* Decoders of Zstandard take many frames, empty ones, and formats of old. */
static void zstandard_is_one_frame_of_today_that_says_its_size(void **state)
{
    static const uint8_t empty[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0};
    static const uint8_t skipped[] = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;
    uint8_t *copy = malloc(SLOT);

    (void)state;
    assert_non_null(copy);
    fill_tame(SLOT);
    assert_true(pack_all(ways[1], 8 * PAGE, &packed));
    memcpy(copy, packed.data, packed.bytes);
    packed.data = copy;
    assert_int_equal(unpack(packer, &packed, back, 8 * PAGE, &err), 0);
    memcpy(copy + packed.bytes, empty, sizeof empty);
    packed.bytes += (uint32_t)sizeof empty;
    assert_int_equal(unpack(packer, &packed, back, 8 * PAGE, &err), -1);
    memcpy(copy + packed.bytes - sizeof empty, skipped, sizeof skipped);
    assert_int_equal(unpack(packer, &packed, back, 8 * PAGE, &err), -1);
    packed.bytes -= (uint32_t)sizeof skipped;
    copy[0] = 0x27; /* version 0.7 */
    assert_int_equal(unpack(packer, &packed, back, 8 * PAGE, &err), -1);
    free(copy);
}

/* ---- frames ---- */

static const struct wire_geometry geometry = {
    .page_bytes = PAGE, .pages_total = 5000, .slot_bytes = SLOT};

struct sender {
    struct tp *tp;
    struct frames_out out;
    struct wire_frame frame;
    uint64_t sent;
    bool packed;
};

static void *send_it(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct wire_packed packed;

    frames_out_begin(&s->out, false);
    s->packed = frames_out_pack(&s->out, &s->frame, data, &geometry, &packed);
    return frames_out_send(&s->out, s->tp, &s->frame, data, s->packed ? &packed : NULL, &geometry,
                           &s->sent, &err) == 0
               ? NULL
               : s;
}

/* Pages 3, 5, 7 … of the slot, a zero page among them; back as `back`. */
static void carry(enum pack_wish wish, bool packed)
{
    static struct sender s;
    struct vf_error err = VF_ERROR_INIT;
    struct frames_in in = {NULL};
    struct wire_header header;
    struct wire_packed how;
    struct wire_frame frame;
    struct tp *ends[2];
    pthread_t thread;
    void *bad;

    assert_int_equal(tp_pipe(ends, &err), 0);
    s = (struct sender){.tp = ends[0]};
    assert_int_equal(frames_out_init(&s.out, wish, SLOT, &err), 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_true(wire_frame_add(&s.frame, 10 + i, i, i == 50, 2 * i + 3, PAGE));
    assert_int_equal(pthread_create(&thread, NULL, send_it, &s), 0);
    assert_int_equal(wire_recv_header(ends[1], &header, TP_NEVER, &err), 0);
    assert_int_equal(header.tag, packed ? WIRE_PACKED : WIRE_PAGES);
    assert_int_equal(
        wire_recv_frame_head(ends[1], &header, &frame, &how, &geometry, TP_NEVER, &err), 0);
    assert_int_equal(frames_in_take(&in, ends[1], &frame, &how, back, &geometry, &err), 0);
    assert_int_equal(pthread_join(thread, &bad), 0);
    assert_null(bad);
    assert_int_equal(s.packed, packed);
    assert_int_equal(s.sent, WIRE_HEADER_BYTES + header.length);
    assert_int_equal(frame.count, 100);
    for (uint32_t i = 0; i < 100; i++) {
        if (i != 50)
            assert_memory_equal(back + frame.place[i] * PAGE, data + (2 * i + 3) * PAGE, PAGE);
    }
    frames_in_free(&in);
    frames_out_free(&s.out);
    tp_close(ends[0]);
    tp_close(ends[1]);
}

static void a_frame_arrives_the_same_packed_or_not(void **state)
{
    (void)state;
    fill_tame(SLOT);
    carry(PACK_NONE, false);
    carry(PACK_LZ4, true);
    carry(PACK_ZSTD, true);
    carry(PACK_AUTO, false); /* nothing is known of the link yet */
    fill_wild(SLOT);
    carry(PACK_ZSTD, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_packed_comes_out_as_it_was),
        TEST(parts_that_lie_apart_are_packed_in_their_order),
        TEST(what_gets_no_smaller_is_left_as_it_is),
        TEST(another_size_than_was_packed_is_refused),
        TEST(changed_bytes_never_leave_their_room),
        TEST(zstandard_is_one_frame_of_today_that_says_its_size),
        TEST(a_frame_arrives_the_same_packed_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
