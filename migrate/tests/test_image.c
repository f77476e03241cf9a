// SPDX-License-Identifier: Apache-2.0
/* Images: what was written reads back; whatever was cut, changed or comes from the future is
 * refused, by name and place, before anything is made of it (TGT-6). */
#include "migrate/tests/rig/images.h"
#include "migrate/wire/internal.h"

#include "base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

static const uint64_t some_pages[] = {0, 3, 4, 5, 17, 255};
#define SOME (sizeof some_pages / sizeof some_pages[0])

/* Given by VF_SEED, or drawn and told. */
static uint64_t the_seed(void)
{
    const char *given = getenv("VF_SEED");
    uint64_t seed = 0;

    if (given != NULL)
        assert_int_equal(vf_number_parse(given, &seed), 0);
    else
        assert_int_equal(getrandom(&seed, sizeof seed, 0), sizeof seed);
    printf("# VF_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static uint64_t next(uint64_t *seed)
{
    *seed = XXH64(seed, sizeof *seed, 1);
    return *seed;
}

static uint8_t *sample(size_t *bytes)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd = images_make(some_pages, SOME, 42, &err);
    uint8_t *data;

    if (fd < 0)
        fail_msg("%s", err.text);
    data = images_load(fd, bytes);
    assert_non_null(data);
    (void)close(fd);
    return data;
}

/* Opens and verifies these bytes: 0 or the error's code. */
static enum vf_code judge(const void *data, size_t bytes, struct vf_error *err)
{
    int fd = images_store(data, bytes);
    struct image_reader *image;
    int result;

    *err = (struct vf_error)VF_ERROR_INIT;
    assert_true(fd >= 0);
    if (image_open(fd, "some.image", &image, err) != 0) {
        assert_null(image);
        return err->code;
    }
    result = image_verify(image, NULL, NULL, err);
    image_reader_free(image);
    return result == 0 ? VF_OK : err->code;
}

static void expect_refused(const void *data, size_t bytes, enum vf_code code, const char *text)
{
    struct vf_error err;

    assert_int_equal(judge(data, bytes, &err), code);
    if (strstr(err.text, "image some.image") == NULL || strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* ---- what is right ---- */

static void an_image_says_what_was_saved(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd = images_make(some_pages, SOME, 42, &err);
    const struct image_facts *facts;
    struct image_reader *image;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(image_open(fd, "i", &image, &err), 0);
    facts = image_facts(image);
    assert_int_equal(facts->version, IMAGE_VERSION);
    assert_string_equal(facts->admit.params.name, "vm");
    assert_int_equal(facts->admit.params.vram_bytes, IMAGES_VRAM);
    assert_int_equal(facts->admit.epoch, 5);
    assert_string_equal(facts->origin.host_name, "left");
    assert_string_equal(facts->origin.description, "a card");
    assert_int_equal(facts->trailer.pages, SOME);
    assert_int_equal(facts->trailer.frames, (SOME + IMAGES_SLOT_PAGES - 1) / IMAGES_SLOT_PAGES);
    assert_int_equal(image_verify(image, NULL, NULL, &err), 0);
    assert_string_equal(image_state(image)->kmd.data, "registers, half done work");
    assert_string_equal(image_state(image)->msix.data, "vectors");
    image_reader_free(image);
}

/* Twice, because a restore reads after the check. */
static void every_page_reads_back_as_often_as_asked(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd = images_make(some_pages, SOME, 42, &err);
    struct wire_frame *frame = calloc(1, sizeof *frame);
    uint8_t slot[IMAGES_SLOT_PAGES * IMAGES_PAGE];
    uint8_t want[IMAGES_PAGE];
    struct image_reader *image;

    (void)state;
    assert_non_null(frame);
    assert_int_equal(image_open(fd, "i", &image, &err), 0);
    for (int pass = 0; pass < 2; pass++) {
        size_t seen = 0;
        bool end = false;

        if (pass == 1)
            assert_int_equal(image_verify(image, NULL, NULL, &err), 0);
        image_rewind(image);
        for (;;) {
            assert_int_equal(image_next(image, frame, slot, &end, &err), 0);
            if (end)
                break;
            for (uint32_t i = 0; i < frame->count; i++) {
                images_fill(want, frame->pages[i], 42);
                assert_int_equal(frame->pages[i], some_pages[seen++]);
                assert_memory_equal(slot + (size_t)frame->place[i] * IMAGES_PAGE, want,
                                    IMAGES_PAGE);
            }
        }
        assert_int_equal(seen, SOME);
    }
    image_reader_free(image);
    free(frame);
}

static void untouched_vram_takes_no_room(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd = images_make(NULL, 0, 0, &err);
    size_t bytes;
    uint8_t *data;

    (void)state;
    assert_true(fd >= 0);
    data = images_load(fd, &bytes);
    (void)close(fd);
    assert_true(bytes < 1024);
    assert_int_equal(judge(data, bytes, &err), VF_OK);
    free(data);
}

static void an_unknown_optional_record_is_passed_over(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    const uint8_t strange[WIRE_HEADER_BYTES + 8] = {0};
    size_t bytes, at;
    uint8_t *data = sample(&bytes);
    uint8_t *more = malloc(bytes + sizeof strange);
    struct image_trailer trailer;

    (void)state;
    assert_non_null(more);
    /* Behind ADMIT, in front of the first frame: found by its magic length. */
    at = 0;
    for (size_t i = 32; i + WIRE_HEADER_BYTES < bytes && at == 0; i++)
        if (vf_load_u32(data + i) == WIRE_PAGES && vf_load_u32(data + i + 4) == WIRE_MANDATORY &&
            vf_load_u32(data + i + 12) == (uint32_t)XXH3_64bits(data + i, 12))
            at = i;
    assert_true(at > 0);
    memcpy(more, data, at);
    wire_header_encode(more + at, 4711, 0, 8);
    memset(more + at + WIRE_HEADER_BYTES, 0xaa, 8);
    memcpy(more + at + sizeof strange, data + at, bytes - at);
    bytes += sizeof strange;
    assert_true(image_trailer_decode(more + bytes - IMAGE_TRAILER_BYTES, &trailer));
    trailer.file_bytes = bytes;
    image_trailer_encode(&trailer, more + bytes - IMAGE_TRAILER_BYTES);
    images_reseal(more, bytes);
    assert_int_equal(judge(more, bytes, &err), VF_OK);
    /* The same as a record that must be understood. */
    wire_header_encode(more + at, 4711, WIRE_MANDATORY, 8);
    images_reseal(more, bytes);
    expect_refused(more, bytes, VF_INCOMPATIBLE, "mandatory record of the unknown kind 4711");
    free(more);
    free(data);
}

/* ---- what is not ---- */

/* One bit of every byte, chosen by the seed; where `reseal`, the sum over all is made right again,
 * so that the inner checks must find it. */
static void flip_everywhere(bool reseal)
{
    struct vf_error err;
    uint64_t seed = the_seed();
    size_t bytes;
    uint8_t *data = sample(&bytes);
    size_t end = reseal ? bytes - 16 : bytes;

    for (size_t at = 0; at < end; at++) {
        /* Outside of pages every bit, in them one. */
        unsigned tries = at < 1024 || at > bytes - 1024 ? 8 : 1;

        for (unsigned i = 0; i < tries; i++) {
            unsigned bit = tries == 8 ? i : (unsigned)(next(&seed) % 8);

            data[at] ^= (uint8_t)(1u << bit);
            if (reseal)
                images_reseal(data, bytes);
            if (judge(data, bytes, &err) == VF_OK)
                fail_msg("byte %zu of %zu, bit %u: nobody saw it change", at, bytes, bit);
            assert_true(err.text[0] != '\0');
            data[at] ^= (uint8_t)(1u << bit);
            if (reseal)
                images_reseal(data, bytes);
        }
    }
    assert_int_equal(judge(data, bytes, &err), VF_OK);
    free(data);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    flip_everywhere(false);
}

static void every_flipped_bit_is_found_even_under_a_right_checksum(void **state)
{
    (void)state;
    flip_everywhere(true);
}

static void a_cut_at_every_place_is_found(void **state)
{
    struct vf_error err;
    size_t bytes;
    uint8_t *data = sample(&bytes);

    (void)state;
    for (size_t length = 0; length < bytes; length++) {
        if (judge(data, length, &err) != VF_FAILED)
            fail_msg("cut at %zu of %zu: code %d, \"%s\"", length, bytes, (int)err.code, err.text);
    }
    expect_refused(data, bytes - 1, VF_FAILED, "it was cut");
    free(data);
}

/* What a copy that stopped leaves when a file system had made room for all of it. */
static void a_tail_of_zeros_is_found(void **state)
{
    struct vf_error err;
    uint64_t seed = the_seed();
    size_t bytes;

    (void)state;
    for (int i = 0; i < 200; i++) {
        uint8_t *data = sample(&bytes);
        size_t length = (size_t)(next(&seed) % bytes);

        memset(data + length, 0, bytes - length);
        assert_int_equal(judge(data, bytes, &err), VF_FAILED);
        free(data);
    }
}

/* All that is left is a trailer that fits: the hole is found where it begins. */
static void a_piece_taken_out_of_the_middle_is_found(void **state)
{
    uint64_t seed = the_seed();
    size_t bytes;
    uint8_t *data = sample(&bytes);
    uint8_t *less = malloc(bytes);

    (void)state;
    assert_non_null(less);
    for (int i = 0; i < 500; i++) {
        size_t from = (size_t)(next(&seed) % (bytes - IMAGE_TRAILER_BYTES - 1));
        size_t gone = 1 + (size_t)(next(&seed) % (bytes - IMAGE_TRAILER_BYTES - from));
        size_t rest = bytes - gone;
        struct image_trailer trailer;
        struct vf_error err;

        if (rest < IMAGE_TRAILER_BYTES + IMAGE_FIXED_BYTES)
            continue;
        memcpy(less, data, from);
        memcpy(less + from, data + from + gone, bytes - from - gone);
        (void)image_trailer_decode(less + rest - IMAGE_TRAILER_BYTES, &trailer);
        trailer.file_bytes = rest;
        image_trailer_encode(&trailer, less + rest - IMAGE_TRAILER_BYTES);
        images_reseal(less, rest);
        if (judge(less, rest, &err) == VF_OK)
            fail_msg("%zu bytes at %zu: nobody missed them", gone, from);
    }
    free(less);
    free(data);
}

static void what_is_added_behind_is_found(void **state)
{
    size_t bytes;
    uint8_t *data = sample(&bytes);
    uint8_t *more = calloc(1, bytes + 100);

    (void)state;
    assert_non_null(more);
    memcpy(more, data, bytes);
    expect_refused(more, bytes + 100, VF_FAILED, "has no end");
    memcpy(more + bytes + 36, data + bytes - 64, 64);
    expect_refused(more, bytes + 100, VF_FAILED, "something is missing or was added");
    free(more);
    free(data);
}

/* The first 32 bytes of a head are the same in every version, so what comes later can be told from
 * what is damaged. */
static void from_the_future(size_t at, uint32_t value, const char *text)
{
    size_t bytes;
    uint8_t *data = sample(&bytes);
    uint32_t length = vf_load_u32(data + 12);
    uint64_t parts[2];

    vf_store_u32(data + at, value);
    parts[0] = htole64(XXH3_64bits(data, 24));
    parts[1] = htole64(XXH3_64bits(data + 32, length - 32));
    vf_store_u64(data + 24, XXH3_64bits(parts, sizeof parts));
    images_reseal(data, bytes);
    expect_refused(data, bytes, VF_INCOMPATIBLE, text);
    free(data);
}

static void an_image_from_the_future_is_refused_as_such(void **state)
{
    (void)state;
    from_the_future(8, IMAGE_VERSION + 1,
                    "from the future: format version 2, this vferry knows version 1");
    from_the_future(16, 0x80, "needs features 0x80");
}

static void what_is_no_image_is_called_so(void **state)
{
    static const char text[] = "P5\n# a picture, and long enough for a head and an end: "
                               "0123456789012345678901234567890123456789\n";
    int pipes[2];
    struct vf_error err = VF_ERROR_INIT;
    struct image_reader *image;

    (void)state;
    expect_refused("", 0, VF_FAILED, "has 0 bytes");
    expect_refused(text, sizeof text, VF_FAILED, "is no image of a partition");
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(image_open(pipes[0], "pipe", &image, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    (void)close(pipes[1]);
}

/* A head and an ADMIT that are right in themselves, an end that fits them, and nothing but claims
 * in them. */
static void claim(uint64_t vram, uint64_t page, const char *text)
{
    struct image_origin origin = {.saved_ns = 1};
    struct wire_message message = {.tag = WIRE_ADMIT, .admit = images_admit()};
    struct wire_writer head = {0};
    struct vf_error err = VF_ERROR_INIT;
    int fd = memfd_create("claim", MFD_CLOEXEC);
    struct image_trailer trailer = {0};
    uint8_t end[IMAGE_TRAILER_BYTES] = {0};
    uint8_t *data;
    size_t bytes;
    struct iovec iov;
    struct tp *tp;

    message.admit.params.vram_bytes = vram;
    message.admit.page_bytes = message.admit.slot_bytes = page;
    image_head_encode(&origin, &head);
    assert_int_equal(tp_file(dup(fd), "claim", NULL, NULL, &tp, &err), 0);
    iov = (struct iovec){head.data, head.bytes};
    assert_int_equal(tp_send(tp, &iov, 1, TP_NEVER, &err), 0);
    assert_int_equal(wire_say(tp, &message, TP_NEVER, &err), 0);
    trailer.file_bytes = tp_file_offset(tp) + sizeof end;
    image_trailer_encode(&trailer, end);
    iov = (struct iovec){end, sizeof end};
    assert_int_equal(tp_send(tp, &iov, 1, TP_NEVER, &err), 0);
    tp_close(tp);
    wire_writer_free(&head);
    data = images_load(fd, &bytes);
    (void)close(fd);
    assert_non_null(data);
    images_reseal(data, bytes);
    expect_refused(data, bytes, VF_FAILED, text);
    free(data);
}

static void impossible_sizes_are_refused_before_anything_is_allocated(void **state)
{
    struct rlimit before, small;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    small = before;
    small.rlim_cur = 512u << 20;
    assert_int_equal(setrlimit(RLIMIT_DATA, &small), 0);
    claim(1ull << 60, 4096, "cannot be");
    claim(UINT64_MAX - 4095, 4096, "cannot be");
    claim((IMAGE_MAX_PAGES + 1) * 4096, 4096, "cannot be");
    claim(4096 * 10 + 1, 4096, "cannot be");
    claim(0, 4096, "cannot be");
    claim(1u << 20, 5000, "a page size that cannot be moved");
    claim(1u << 20, 1u << 30, "a page size that cannot be moved");
    claim(1u << 20, 4096,
          "not a record"); /* possible, and nothing there: the trailer's bytes are none */
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}

static void stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    tp_abort(image_reader_tp(*(struct image_reader **)ctx));
}

static void an_abort_ends_a_check(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct image_reader *image;

    (void)state;
    assert_int_equal(image_open(images_make(some_pages, SOME, 42, &err), "i", &image, &err), 0);
    stop_at_once(&image, 0, 0);
    assert_int_equal(image_verify(image, NULL, NULL, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    image_reader_free(image);
}

/* ---- the file ---- */

static void a_full_disk_is_told_as_one(void **state)
{
    struct rlimit before, small;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t room = 0; room < 20000; room += 512) {
        small = before;
        small.rlim_cur = room;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_int_equal(images_make(some_pages, SOME, 42, &err), -1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (strstr(err.text, "cannot be written: File too large") == NULL)
            fail_msg("%zu bytes of room: %s", (size_t)room, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_says_what_was_saved),
        cmocka_unit_test(every_page_reads_back_as_often_as_asked),
        cmocka_unit_test(untouched_vram_takes_no_room),
        cmocka_unit_test(an_unknown_optional_record_is_passed_over),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_flipped_bit_is_found_even_under_a_right_checksum),
        cmocka_unit_test(a_cut_at_every_place_is_found),
        cmocka_unit_test(a_tail_of_zeros_is_found),
        cmocka_unit_test(a_piece_taken_out_of_the_middle_is_found),
        cmocka_unit_test(what_is_added_behind_is_found),
        cmocka_unit_test(an_image_from_the_future_is_refused_as_such),
        cmocka_unit_test(what_is_no_image_is_called_so),
        cmocka_unit_test(impossible_sizes_are_refused_before_anything_is_allocated),
        cmocka_unit_test(an_abort_ends_a_check),
        cmocka_unit_test(a_full_disk_is_told_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
