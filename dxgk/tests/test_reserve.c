// SPDX-License-Identifier: Apache-2.0
/* The VRAM allocator against a plain model: random takes and gives, nothing handed out twice,
 * nothing lost. */
#include "dxgk/vram/reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define GRANULE 65536ull
#define GRANULES 1000u
#define HOLDERS 40u

struct holder {
    DXGK_MEMORYRANGE *ranges;
    uint32_t count;
    uint64_t bytes;
};

static void own(uint8_t *map, const struct holder *holder, bool taken)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < holder->count; i++) {
        uint64_t first = holder->ranges[i].SegmentOffset / GRANULE;
        uint64_t count = holder->ranges[i].SizeInBytes / GRANULE;

        assert_int_equal(holder->ranges[i].SegmentOffset % GRANULE, 0);
        assert_true(first + count <= GRANULES);
        for (uint64_t at = first; at < first + count; at++) {
            assert_int_equal(map[at], !taken);
            map[at] = taken;
        }
        sum += count * GRANULE;
    }
    assert_int_equal(sum, holder->bytes);
}

static void random_life(bool scatter)
{
    struct dxgk_reserve *reserve = dxgk_reserve_create(GRANULES * GRANULE + 100, GRANULE, scatter);
    struct holder holders[HOLDERS] = {{0}};
    unsigned seed = (unsigned)time(NULL);
    uint8_t map[GRANULES] = {0};
    uint64_t free_bytes = GRANULES * GRANULE;

    assert_non_null(reserve);
    print_message("# seed %u\n", seed);
    for (unsigned step = 0; step < 20000; step++) {
        struct holder *holder = &holders[(unsigned)rand_r(&seed) % HOLDERS];

        if (holder->count == 0) {
            struct dxgk_reserve_want want = {.bytes =
                                                 (1 + (uint64_t)rand_r(&seed) % 120) * GRANULE};
            uint64_t largest = dxgk_reserve_largest(reserve);
            struct vf_error error = VF_ERROR_INIT;
            int result = dxgk_reserve_take(reserve, &want, &holder->ranges, &holder->count, &error);

            assert_int_equal(result, want.bytes <= largest ? 0 : -1);
            if (result != 0)
                continue;
            assert_true(scatter || holder->count == 1);
            holder->bytes = want.bytes;
            free_bytes -= want.bytes;
            own(map, holder, true);
        } else {
            own(map, holder, false);
            dxgk_reserve_give(reserve, holder->ranges, holder->count);
            free_bytes += holder->bytes;
            free(holder->ranges);
            *holder = (struct holder){0};
        }
        assert_int_equal(dxgk_reserve_free(reserve), free_bytes);
    }
    for (unsigned i = 0; i < HOLDERS; i++)
        free(holders[i].ranges);
    dxgk_reserve_destroy(reserve);
}

static void contiguous_reserves_never_overlap(void **unused)
{
    (void)unused;
    random_life(false);
}

static void scattered_reserves_never_overlap(void **unused)
{
    (void)unused;
    random_life(true);
}

static void a_contiguous_reserve_keeps_alignment_and_window(void **unused)
{
    struct dxgk_reserve *reserve = dxgk_reserve_create(64 * GRANULE, GRANULE, false);
    struct dxgk_reserve_want first = {.bytes = GRANULE};
    struct dxgk_reserve_want aligned = {.bytes = 2 * GRANULE, .align = 8 * GRANULE};
    struct dxgk_reserve_want window = {
        .bytes = 4 * GRANULE, .low = 30 * GRANULE + 1, .high = 35 * GRANULE};
    struct vf_error error = VF_ERROR_INIT;
    DXGK_MEMORYRANGE *a, *b, *c, *d;
    uint32_t count;

    (void)unused;
    assert_non_null(reserve);
    assert_int_equal(dxgk_reserve_take(reserve, &first, &a, &count, &error), 0);
    assert_int_equal(dxgk_reserve_take(reserve, &aligned, &b, &count, &error), 0);
    assert_int_equal(b->SegmentOffset, 8 * GRANULE);
    assert_int_equal(dxgk_reserve_take(reserve, &window, &c, &count, &error), 0);
    assert_int_equal(c->SegmentOffset, 31 * GRANULE);
    assert_int_equal(dxgk_reserve_take(reserve, &window, &d, &count, &error), -1);
    free(a);
    free(b);
    free(c);
    dxgk_reserve_destroy(reserve);
}

static void scattered_reserves_fill_the_smallest_holes_first(void **unused)
{
    struct dxgk_reserve *reserve = dxgk_reserve_create(64 * GRANULE, GRANULE, true);
    struct dxgk_reserve_want want = {.bytes = 8 * GRANULE};
    DXGK_MEMORYRANGE hole = {.SegmentOffset = 2 * GRANULE, .SizeInBytes = 3 * GRANULE};
    struct vf_error error = VF_ERROR_INIT;
    DXGK_MEMORYRANGE *a, *b;
    uint32_t count;

    (void)unused;
    assert_non_null(reserve);
    assert_int_equal(dxgk_reserve_take(reserve, &want, &a, &count, &error), 0);
    dxgk_reserve_give(reserve, &hole, 1);
    assert_int_equal(dxgk_reserve_take(reserve, &want, &b, &count, &error), 0);
    assert_int_equal(count, 2);
    assert_int_equal(b[0].SegmentOffset, hole.SegmentOffset);
    assert_int_equal(b[0].SizeInBytes, hole.SizeInBytes);
    free(a);
    free(b);
    dxgk_reserve_destroy(reserve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contiguous_reserves_never_overlap),
        cmocka_unit_test(scattered_reserves_never_overlap),
        cmocka_unit_test(a_contiguous_reserve_keeps_alignment_and_window),
        cmocka_unit_test(scattered_reserves_fill_the_smallest_holes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
