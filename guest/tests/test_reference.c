// SPDX-License-Identifier: Apache-2.0
/*
 * The CPU's results against brute force: the manual's sentences, run step by step in
 * the plainest way.
 */
#include "guest/tests/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct bytes reference(const struct guest_options *options)
{
    char digest[GUEST_DIGEST_BYTES], expected[GUEST_DIGEST_BYTES], again[GUEST_DIGEST_BYTES];
    struct vf_error err = VF_ERROR_INIT;
    struct bytes bytes = {NULL, 0};

    if (guest_reference(options, bytes_sink, &bytes, digest, &err) != 0)
        fail_msg("reference: %s", err.text);
    digest_of(bytes.data, bytes.n, expected);
    assert_string_equal(digest, expected);
    assert_int_equal(guest_reference(options, NULL, NULL, again, NULL), 0);
    assert_string_equal(digest, again);
    return bytes;
}

static int64_t cell_at(const int64_t *grid, int64_t width, int64_t height, int64_t x, int64_t y,
                       int64_t self)
{
    return x < 0 || y < 0 || x >= width || y >= height ? self : grid[y * width + x];
}

static void diffuse_plainly(int64_t *grid, int64_t *next, int64_t width, int64_t height)
{
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++) {
            int64_t u = grid[y * width + x];
            int64_t n = cell_at(grid, width, height, x - 1, y, u) +
                        cell_at(grid, width, height, x + 1, y, u) +
                        cell_at(grid, width, height, x, y - 1, u) +
                        cell_at(grid, width, height, x, y + 1, u);

            next[y * width + x] = u + ((n - 4 * u) >> GUEST_STENCIL_SHIFT);
        }
    }
    memcpy(grid, next, (size_t)(width * height) * sizeof *grid);
}

static void check_diffuse(uint32_t width, uint32_t height, uint32_t maxval, uint64_t steps)
{
    struct guest_options options = {.workload = GUEST_DIFFUSE, .steps = steps};
    uint8_t *file = noise_picture(width, height, maxval, steps, &options.input_bytes);
    int64_t *grid = calloc((size_t)width * height, sizeof *grid);
    int64_t *next = calloc((size_t)width * height, sizeof *next);
    struct guest_image in, out;
    struct bytes bytes;

    assert_true(grid != NULL && next != NULL);
    options.input = file;
    assert_int_equal(guest_pgm_parse(file, options.input_bytes, &in, NULL), 0);
    for (uint64_t i = 0; i < (uint64_t)width * height; i++)
        grid[i] = (int64_t)guest_pgm_sample(&in, i) << GUEST_CELL_SHIFT;
    for (uint64_t step = 0; step < steps; step++)
        diffuse_plainly(grid, next, width, height);
    bytes = reference(&options);
    assert_int_equal(guest_pgm_parse(bytes.data, bytes.n, &out, NULL), 0);
    assert_int_equal(out.width, width);
    assert_int_equal(out.height, height);
    assert_int_equal(out.maxval, maxval);
    for (uint64_t i = 0; i < (uint64_t)width * height; i++)
        assert_int_equal(guest_pgm_sample(&out, i), grid[i] >> GUEST_CELL_SHIFT);
    free(bytes.data);
    free(next);
    free(grid);
    free(file);
}

static void diffuse_is_the_stencil_step_by_step(void **state)
{
    (void)state;
    check_diffuse(1, 1, 255, 3);
    check_diffuse(1, 9, 255, 4);
    check_diffuse(9, 1, 100, 5);
    check_diffuse(2, 2, 65535, 6);
    check_diffuse(31, 17, 65535, 40);
    check_diffuse(64, 50, 255, 33);
}

static void diffuse_keeps_a_flat_picture(void **state)
{
    struct guest_options options = {.workload = GUEST_DIFFUSE,
                                    .steps = 50,
                                    .input = "P5 3 2 9 \x07\x07\x07\x07\x07\x07",
                                    .input_bytes = 15};
    struct bytes bytes = reference(&options);

    (void)state;
    assert_memory_equal(bytes.data + bytes.n - 6, "\x07\x07\x07\x07\x07\x07", 6);
    free(bytes.data);
}

static uint32_t element(uint64_t seed, uint64_t stream, size_t i)
{
    return (uint32_t)(sg_random(seed, stream, i / 2) >> (i % 2 * 32));
}

static void check_gemm(size_t n, uint64_t steps, uint64_t seed)
{
    struct guest_options options = {.workload = GUEST_GEMM, .n = n, .steps = steps, .seed = seed};
    uint32_t *x = calloc(n * n, sizeof *x), *next = calloc(n * n, sizeof *next);
    struct bytes bytes = reference(&options);

    assert_true(x != NULL && next != NULL);
    for (size_t i = 0; i < n * n; i++)
        x[i] = element(seed, 1, i);
    for (uint64_t step = 0; step < steps; step++) {
        for (size_t row = 0; row < n; row++) {
            for (size_t column = 0; column < n; column++) {
                uint32_t sum = 0;

                for (size_t k = 0; k < n; k++)
                    sum += element(seed, 0, row * n + k) * x[k * n + column];
                next[row * n + column] = sum;
            }
        }
        memcpy(x, next, n * n * sizeof *x);
    }
    assert_int_equal(bytes.n, n * n * 4);
    assert_memory_equal(bytes.data, x, bytes.n);
    free(bytes.data);
    free(next);
    free(x);
}

static void gemm_is_the_product_step_by_step(void **state)
{
    (void)state;
    check_gemm(1, 1, 0);
    check_gemm(2, 7, 1);
    check_gemm(5, 12, UINT64_MAX);
    check_gemm(16, 4, 42);
    check_gemm(37, 5, 7);
}

static void check_churn(uint64_t size, uint64_t hot, uint64_t steps, uint64_t seed, uint64_t rate)
{
    struct guest_options options = {.workload = GUEST_CHURN,
                                    .size = size,
                                    .hot = hot,
                                    .steps = steps,
                                    .seed = seed,
                                    .rate = rate};
    uint64_t pages = (hot != 0 ? hot : size) / 4096;
    uint64_t *region = malloc(size);
    struct bytes bytes = reference(&options);

    assert_non_null(region);
    for (uint64_t i = 0; i < size / 8; i++)
        region[i] = sg_random(seed, 0, i);
    for (uint64_t c = 0; c < steps; c++) {
        uint64_t page = sg_random(GUEST_SCATTER_SEED(seed), c, 0) % pages;

        for (uint64_t j = 0; j < 512; j++)
            region[page * 512 + j] = sg_random(GUEST_SCATTER_SEED(seed), c, 1 + j);
    }
    assert_int_equal(bytes.n, size);
    assert_memory_equal(bytes.data, region, size);
    free(bytes.data);
    free(region);
}

static void churn_is_the_page_writes_in_order(void **state)
{
    (void)state;
    check_churn(4096, 0, 1, 0, 0);
    check_churn(64 << 10, 0, 40, 1, 0);
    check_churn(64 << 10, 8192, 3, 2, 0);
    check_churn(256 << 10, 128 << 10, 500, UINT64_MAX, 0);
}

static void churn_does_not_depend_on_its_rate(void **state)
{
    (void)state;
    check_churn(64 << 10, 0, 40, 1, 1 << 20);
}

static void fill_is_the_noise(void **state)
{
    struct guest_options options = {.workload = GUEST_FILL, .size = 12288, .seed = 9};
    struct bytes bytes = reference(&options);

    (void)state;
    assert_int_equal(bytes.n, 12288);
    for (size_t i = 0; i < bytes.n / 8; i++) {
        uint64_t word = sg_random(9, 0, i);

        assert_memory_equal(bytes.data + i * 8, &word, 8);
    }
    free(bytes.data);
}

static int full_sink(void *ctx, const void *data, size_t n, struct vf_error *err)
{
    (void)ctx;
    (void)data;
    (void)n;
    return vf_fail(err, VF_FAILED, "disk full");
}

static void a_sink_that_fails_stops_the_reference(void **state)
{
    struct guest_options options = {.workload = GUEST_FILL, .size = 12288, .seed = 9};
    struct vf_error err = VF_ERROR_INIT;
    char digest[GUEST_DIGEST_BYTES] = "";

    (void)state;
    assert_int_equal(guest_reference(&options, full_sink, NULL, digest, &err), -1);
    assert_string_equal(err.text, "disk full");
    assert_string_equal(digest, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diffuse_is_the_stencil_step_by_step),
        cmocka_unit_test(diffuse_keeps_a_flat_picture),
        cmocka_unit_test(gemm_is_the_product_step_by_step),
        cmocka_unit_test(churn_is_the_page_writes_in_order),
        cmocka_unit_test(churn_does_not_depend_on_its_rate),
        cmocka_unit_test(fill_is_the_noise),
        cmocka_unit_test(a_sink_that_fails_stops_the_reference),
    };

    return cmocka_run_group_tests_name("guest reference", tests, NULL, NULL);
}
