// SPDX-License-Identifier: Apache-2.0
/*
 * See pgm.h. The bytes come from a stranger: every number is bounded before it is used, lengths
 * against what is left.
 */
#include "guest/pgm.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

struct cursor {
    const uint8_t *at;
    size_t left;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void advance(struct cursor *cursor)
{
    cursor->at++;
    cursor->left--;
}

/*
 * White space and comments, a comment reaching to the end of its line. False when there is
 * none at all.
 */
static bool skip_space(struct cursor *cursor)
{
    size_t before = cursor->left;

    while (cursor->left > 0) {
        if (*cursor->at == '#') {
            while (cursor->left > 0 && *cursor->at != '\n' && *cursor->at != '\r')
                advance(cursor);
        } else if (is_space(*cursor->at)) {
            advance(cursor);
        } else {
            break;
        }
    }
    return cursor->left < before;
}

static int read_number(struct cursor *cursor, const char *what, uint32_t most, uint32_t *out,
                       struct vf_error *err)
{
    uint64_t value = 0;
    size_t digits = 0;

    if (!skip_space(cursor))
        return vf_fail(
            err, VF_FAILED,
            "PGM header: no white space before the %s: save the picture as binary PGM (P5)", what);
    for (; cursor->left > 0 && *cursor->at >= '0' && *cursor->at <= '9';
         digits++, advance(cursor)) {
        value = value * 10 + (uint64_t)(*cursor->at - '0');
        if (value > most)
            return vf_fail(err, VF_FAILED,
                           "PGM header: the %s is above %" PRIu32 ": scale the picture down", what,
                           most);
    }
    if (digits == 0)
        return vf_fail(err, VF_FAILED,
                       "PGM header: the %s is no number: save the picture as binary PGM (P5)",
                       what);
    if (value == 0)
        return vf_fail(err, VF_FAILED, "PGM header: the %s is 0: it must be at least 1", what);
    *out = (uint32_t)value;
    return 0;
}

static int check_samples(const struct guest_image *image, struct vf_error *err)
{
    uint64_t count = (uint64_t)image->width * image->height;

    if (image->maxval == 255 || image->maxval == 65535)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t sample = guest_pgm_sample(image, i);

        if (sample > image->maxval)
            return vf_fail(err, VF_FAILED,
                           "PGM picture: sample %" PRIu64 " is %" PRIu32
                           ", above the header's maximum %" PRIu32
                           ": the file is damaged, save it again",
                           i, sample, image->maxval);
    }
    return 0;
}

int guest_pgm_parse(const void *bytes, size_t n, struct guest_image *image, struct vf_error *err)
{
    struct cursor cursor = {bytes, n};
    uint64_t need;

    if (n < 2 || cursor.at[0] != 'P' || cursor.at[1] != '5')
        return vf_fail(
            err, VF_FAILED,
            "input: not a binary PGM, it does not begin with \"P5\": convert the picture to PGM");
    advance(&cursor);
    advance(&cursor);
    if (read_number(&cursor, "width", INT32_MAX, &image->width, err) != 0 ||
        read_number(&cursor, "height", INT32_MAX, &image->height, err) != 0 ||
        read_number(&cursor, "maximum value", 65535, &image->maxval, err) != 0)
        return -1;
    /* Exactly one byte: the first sample may look like white space. */
    if (cursor.left == 0 || !is_space(*cursor.at))
        return vf_fail(err, VF_FAILED,
                       "PGM header: no white space behind the maximum value: the file is damaged");
    advance(&cursor);
    /* Below 2^63: both sides are below 2^31 and a sample has at most two bytes. */
    need = (uint64_t)image->width * image->height * guest_pgm_sample_bytes(image->maxval);
    if (cursor.left != need)
        return vf_fail(err, VF_FAILED,
                       "PGM picture: %" PRIu32 " x %" PRIu32 " needs %" PRIu64
                       " bytes of samples, the file has %zu: it is %s, save it again",
                       image->width, image->height, need, cursor.left,
                       cursor.left < need ? "truncated" : "longer than one picture");
    image->samples = cursor.at;
    return check_samples(image, err);
}

uint32_t guest_pgm_sample(const struct guest_image *image, uint64_t i)
{
    const uint8_t *at;

    if (image->maxval < 256)
        return image->samples[i];
    at = image->samples + 2 * i;
    return (uint32_t)at[0] << 8 | at[1];
}

size_t guest_pgm_header(char header[GUEST_PGM_HEADER_BYTES], uint32_t width, uint32_t height,
                        uint32_t maxval)
{
    int length = snprintf(header, GUEST_PGM_HEADER_BYTES,
                          "P5\n%" PRIu32 " %" PRIu32 "\n%" PRIu32 "\n", width, height, maxval);

    return (size_t)length; /* three 32-bit numbers always fit */
}

uint8_t *guest_pgm_put(uint8_t *at, uint32_t sample, uint32_t maxval)
{
    if (guest_pgm_sample_bytes(maxval) == 2)
        *at++ = (uint8_t)(sample >> 8);
    *at++ = (uint8_t)sample;
    return at;
}
