// SPDX-License-Identifier: Apache-2.0
/*
 * PGM files: good ones are read to the sample, anything else is refused, and no byte
 * string does harm.
 */
#include "guest/tests/plain.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int parse_text(const char *text, size_t n, struct guest_image *image, struct vf_error *err)
{
    /* A heap copy of exactly n bytes, so that a sanitizer sees a read behind the end. */
    uint8_t *copy = malloc(n > 0 ? n : 1);
    int result;

    assert_non_null(copy);
    memcpy(copy, text, n);
    result = guest_pgm_parse(copy, n, image, err);
    free(copy);
    image->samples = NULL;
    return result;
}

static void reads_eight_bit_samples(void **state)
{
    static const char file[] = "P5\n3 2\n255\n\x01\x02\x03\x04\x05\xff";
    struct guest_image image;

    (void)state;
    assert_int_equal(guest_pgm_parse(file, sizeof file - 1, &image, NULL), 0);
    assert_int_equal(image.width, 3);
    assert_int_equal(image.height, 2);
    assert_int_equal(guest_pgm_sample(&image, 4), 5);
    assert_int_equal(guest_pgm_sample(&image, 5), 255);
}

static void reads_sixteen_bit_samples_big_endian(void **state)
{
    static const char file[] = "P5 2 1 65535 \x12\x34\xff\xff";
    struct guest_image image;

    (void)state;
    assert_int_equal(guest_pgm_parse(file, sizeof file - 1, &image, NULL), 0);
    assert_int_equal(guest_pgm_sample(&image, 0), 0x1234);
    assert_int_equal(guest_pgm_sample(&image, 1), 0xffff);
}

static void reads_comments_between_the_numbers(void **state)
{
    static const char file[] = "P5# a\n#b\n 1#9\n\t1 \r\n # 7 7\n7\n\x07";
    struct guest_image image;

    (void)state;
    assert_int_equal(guest_pgm_parse(file, sizeof file - 1, &image, NULL), 0);
    assert_int_equal(image.maxval, 7);
    assert_int_equal(guest_pgm_sample(&image, 0), 7);
}

static void first_sample_may_look_like_white_space(void **state)
{
    static const char file[] = "P5 1 1 255\n\n";
    struct guest_image image;

    (void)state;
    assert_int_equal(guest_pgm_parse(file, sizeof file - 1, &image, NULL), 0);
    assert_int_equal(guest_pgm_sample(&image, 0), '\n');
}

static void refuses_what_is_no_picture(void **state)
{
    static const struct {
        const char *file;
        const char *why;
    } bad[] = {
        {"", "P5"},
        {"P", "P5"},
        {"P2 1 1 255 0", "P5"},
        {"P5", "width"},
        {"P51 1 255 x", "width"},
        {"P5 1", "height"},
        {"P5 -1 1 255 x", "width"},
        {"P5 0 1 255 x", "width"},
        {"P5 1 1 0 x", "maximum"},
        {"P5 1 1 65536 xx", "maximum"},
        {"P5 99999999999999999999 1 255 x", "width"},
        {"P5 1 1 255", "white space"},
        {"P5 1 1 255#\n", "white space"},
        {"P5 2147483647 2147483647 65535 x", "truncated"},
        {"P5 2 2 255 abc", "truncated"},
        {"P5 2 2 255 abcde", "longer"},
        {"P5 1 1 5 x", "above"},
        {"P5 1 1 300 xx", "above"},
        {"P5 # never ends", "width"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct guest_image image;

        assert_int_equal(parse_text(bad[i].file, strlen(bad[i].file), &image, &err), -1);
        assert_int_equal(err.code, VF_FAILED);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("\"%s\" was refused with \"%s\"", bad[i].file, err.text);
        assert_null(strchr(err.text, '\n'));
    }
}

static void any_damage_is_survived(void **state)
{
    uint64_t seed = (uint64_t)time(NULL);
    size_t n;
    uint8_t *file = noise_picture(9, 7, 1000, 5, &n);

    (void)state;
    print_message("# seed %" PRIu64 "\n", seed);
    for (uint64_t round = 0; round < 20000; round++) {
        uint64_t r = sg_random(seed, 0, round);
        size_t length = (size_t)(r % (n + 1));
        uint8_t *copy = malloc(n);
        struct guest_image image;

        assert_non_null(copy);
        memcpy(copy, file, n);
        copy[(r >> 20) % 24] = (uint8_t)(r >> 40);
        copy[(r >> 32) % n] = (uint8_t)(r >> 48);
        copy = realloc(copy, length > 0 ? length : 1);
        assert_non_null(copy);
        if (guest_pgm_parse(copy, length, &image, NULL) == 0) {
            uint64_t count = (uint64_t)image.width * image.height;

            assert_in_range(guest_pgm_sample(&image, count - 1), 0, image.maxval);
            assert_ptr_equal(image.samples + count * guest_pgm_sample_bytes(image.maxval),
                             copy + length);
        }
        free(copy);
    }
    free(file);
}

static void what_is_written_is_read_again(void **state)
{
    static const uint32_t maxima[] = {1, 255, 256, 65535};

    (void)state;
    for (size_t m = 0; m < 4; m++) {
        char header[GUEST_PGM_HEADER_BYTES];
        uint8_t file[GUEST_PGM_HEADER_BYTES + 8];
        struct guest_image image;
        size_t n = guest_pgm_header(header, 2, 2, maxima[m]);
        uint8_t *at = file + n;

        memcpy(file, header, n);
        for (uint32_t i = 0; i < 4; i++)
            at = guest_pgm_put(at, maxima[m] * i / 3, maxima[m]);
        assert_int_equal(guest_pgm_parse(file, (size_t)(at - file), &image, NULL), 0);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(guest_pgm_sample(&image, i), maxima[m] * i / 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_eight_bit_samples),
        cmocka_unit_test(reads_sixteen_bit_samples_big_endian),
        cmocka_unit_test(reads_comments_between_the_numbers),
        cmocka_unit_test(first_sample_may_look_like_white_space),
        cmocka_unit_test(refuses_what_is_no_picture),
        cmocka_unit_test(any_damage_is_survived),
        cmocka_unit_test(what_is_written_is_read_again),
    };

    return cmocka_run_group_tests_name("guest pgm", tests, NULL, NULL);
}
