// SPDX-License-Identifier: Apache-2.0
/* The VRAM allocator against a plain model: random takes and gives, nothing handed out twice,
 * nothing lost. */
#include "base/tests/chance.h"
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

/* ---- what is proven to be zero ---- */

struct model {
    bool taken[GRANULES], proven[GRANULES];
};

/* The first run that the model finds, [first, first + count); count 0 = there is none. */
static void model_run(const struct model *model, uint64_t from, uint64_t end, uint64_t most,
                      bool free_only, uint64_t *first, uint64_t *count)
{
    *first = *count = 0;
    for (uint64_t at = from; at < end && *count < most; at++) {
        const bool wanted = !model->proven[at] && !(free_only && model->taken[at]);

        if (wanted && *count == 0)
            *first = at;
        if (!wanted && *count > 0)
            break;
        *count += wanted;
    }
}

static void expect_run(const struct model *model, const struct dxgk_reserve *reserve, uint64_t from,
                       uint64_t end, uint64_t most, bool free_only)
{
    const DXGK_MEMORYRANGE in = {.SegmentOffset = from * GRANULE,
                                 .SizeInBytes = (end - from) * GRANULE};
    DXGK_MEMORYRANGE run;
    uint64_t first, count;
    bool found = free_only
                     ? dxgk_reserve_unproven_free(reserve, in.SegmentOffset, most * GRANULE, &run)
                     : dxgk_reserve_unproven(reserve, &in, most * GRANULE, &run);

    model_run(model, from, end, most, free_only, &first, &count);
    assert_int_equal(found, count > 0);
    if (!found)
        return;
    assert_int_equal(run.SegmentOffset, first * GRANULE);
    assert_int_equal(run.SizeInBytes, count * GRANULE);
}

static void change(struct model *model, struct dxgk_reserve *reserve, uint64_t *seed)
{
    const uint64_t first = chance_below(seed, GRANULES);
    const uint64_t most = GRANULES - first < 90 ? GRANULES - first : 90;
    const uint64_t count = 1 + chance_below(seed, most);
    const DXGK_MEMORYRANGE range = {.SegmentOffset = first * GRANULE,
                                    .SizeInBytes = count * GRANULE};
    const uint64_t what = chance_below(seed, 3);
    bool free = true;

    for (uint64_t at = first; at < first + count; at++)
        free = free && !model->taken[at];
    if (what == 2 && !free) {
        for (uint64_t at = first; at < first + count; at++)
            if (model->taken[at])
                dxgk_reserve_give(
                    reserve,
                    &(DXGK_MEMORYRANGE){.SegmentOffset = at * GRANULE, .SizeInBytes = GRANULE}, 1);
    }
    if (what == 0)
        dxgk_reserve_prove(reserve, &range);
    else if (what == 1)
        dxgk_reserve_soil(reserve, &range, 1);
    else if (free)
        assert_true(dxgk_reserve_claim(reserve, &range));
    for (uint64_t at = first; at < first + count; at++) {
        if (what == 2)
            model->taken[at] = free;
        else
            model->proven[at] = what == 0;
    }
}

static void what_is_proven_stays_so_until_somebody_uses_it(void **unused)
{
    struct dxgk_reserve *reserve = dxgk_reserve_create(GRANULES * GRANULE + 100, GRANULE, true);
    uint64_t seed = chance_seed();
    struct model model = {0};

    (void)unused;
    assert_non_null(reserve);
    for (unsigned step = 0; step < 3000; step++) {
        uint64_t bytes = 0, from = chance_below(&seed, GRANULES);
        const uint64_t end = from + 1 + chance_below(&seed, GRANULES - from);
        const uint64_t most = 1 + chance_below(&seed, 200);

        for (uint64_t at = 0; at < GRANULES; at++)
            bytes += model.taken[at] || model.proven[at] ? 0 : GRANULE;
        assert_int_equal(dxgk_reserve_unproven_bytes(reserve), bytes);
        expect_run(&model, reserve, from, end, most, false);
        expect_run(&model, reserve, from, GRANULES, most, true);
        change(&model, reserve, &seed);
    }
    dxgk_reserve_destroy(reserve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contiguous_reserves_never_overlap),
        cmocka_unit_test(scattered_reserves_never_overlap),
        cmocka_unit_test(a_contiguous_reserve_keeps_alignment_and_window),
        cmocka_unit_test(scattered_reserves_fill_the_smallest_holes_first),
        cmocka_unit_test(what_is_proven_stays_so_until_somebody_uses_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
