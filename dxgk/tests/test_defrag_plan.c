// SPDX-License-Identifier: Apache-2.0
/* Plans of a defragmentation against a plain map of VRAM: every step has room, nobody is overrun,
 * the hole is as large and the way as short as any other way of sliding makes it. */
#include "dxgk/defrag/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TOTAL 64u
#define MOST 16u

struct vram {
    struct dxgk_defrag_block block[MOST];
    uint32_t count;
};

static uint64_t largest(const struct vram *vram)
{
    uint8_t used[TOTAL] = {0};
    uint64_t best = 0, run = 0;

    for (uint32_t i = 0; i < vram->count; i++)
        memset(used + vram->block[i].offset, 1, vram->block[i].bytes);
    for (unsigned at = 0; at < TOTAL; at++) {
        run = used[at] ? 0 : run + 1;
        best = run > best ? run : best;
    }
    return best;
}

/* Does a step as a move does it: into free room and its own old place only. */
static void do_step(struct vram *vram, const struct dxgk_defrag_step *step)
{
    struct dxgk_defrag_block *moved = &vram->block[step->block];

    assert_true(step->block < vram->count);
    assert_false(moved->fixed);
    assert_true(step->to + moved->bytes <= TOTAL);
    assert_true(moved->align == 0 || step->to % moved->align == 0);
    assert_true(step->to >= moved->low);
    assert_true(moved->high == 0 || step->to + moved->bytes <= moved->high);
    for (uint32_t i = 0; i < vram->count; i++) {
        const struct dxgk_defrag_block *other = &vram->block[i];

        assert_true(i == step->block || step->to + moved->bytes <= other->offset ||
                    other->offset + other->bytes <= step->to);
    }
    moved->offset = step->to;
}

/* The best that any plain sliding of one zone reaches, without alignment or windows. */
static void best_of_all(const struct vram *vram, uint64_t *hole, uint64_t *bytes)
{
    *hole = largest(vram);
    *bytes = 0;
    for (uint32_t first = 0; first <= vram->count; first++) {
        uint32_t end = first;

        if (first > 0 && !vram->block[first - 1].fixed)
            continue;
        while (end < vram->count && !vram->block[end].fixed)
            end++;
        for (uint32_t split = first; split <= end; split++) {
            struct vram slid = *vram;
            uint64_t low =
                first == 0 ? 0 : vram->block[first - 1].offset + vram->block[first - 1].bytes;
            uint64_t high = end == vram->count ? TOTAL : vram->block[end].offset;
            uint64_t moved = 0, after;

            for (uint32_t i = first; i < split; low += slid.block[i++].bytes)
                slid.block[i].offset = low;
            for (uint32_t i = end; i-- > split;)
                slid.block[i].offset = high -= slid.block[i].bytes;
            for (uint32_t i = first; i < end; i++)
                moved += slid.block[i].offset != vram->block[i].offset ? slid.block[i].bytes : 0;
            after = largest(&slid);
            if (after > *hole || (after == *hole && *bytes != 0 && moved < *bytes)) {
                *hole = after;
                *bytes = moved;
            }
        }
    }
}

static void make(struct vram *vram, unsigned *seed, bool demands)
{
    uint64_t at = 0;

    *vram = (struct vram){.count = 0};
    while (vram->count < MOST) {
        struct dxgk_defrag_block *block = &vram->block[vram->count];

        at += (unsigned)rand_r(seed) % 5;
        block->bytes = 1 + (unsigned)rand_r(seed) % 9;
        if (at + block->bytes > TOTAL)
            return;
        block->offset = at;
        block->fixed = rand_r(seed) % 6 == 0;
        if (demands) {
            block->align = at % 4 == 0 ? 4 : at % 2 == 0 ? 2 : 1;
            block->low = rand_r(seed) % 4 == 0 ? at - at / 3 : 0;
            block->high = rand_r(seed) % 4 == 0 ? at + block->bytes + 2 : 0;
        }
        at += block->bytes;
        vram->count++;
    }
}

static void random_plans(bool demands)
{
    unsigned seed = (unsigned)time(NULL);

    print_message("# seed %u\n", seed);
    for (unsigned round = 0; round < 20000; round++) {
        struct dxgk_defrag_step steps[MOST];
        struct dxgk_defrag_plan plan = {.steps = steps};
        struct vram vram, before;
        uint64_t moved = 0, hole, bytes;

        make(&vram, &seed, demands);
        before = vram;
        dxgk_defrag_plan(vram.block, vram.count, TOTAL, &plan);
        assert_int_equal(plan.largest_before, largest(&vram));
        for (uint32_t i = 0; i < plan.count; i++) {
            assert_int_not_equal(vram.block[steps[i].block].offset, steps[i].to);
            moved += vram.block[steps[i].block].bytes;
            do_step(&vram, &steps[i]);
        }
        assert_int_equal(plan.bytes, moved);
        assert_int_equal(plan.largest_after, largest(&vram));
        assert_true(plan.count == 0 || plan.largest_after > plan.largest_before);
        if (demands)
            continue;
        best_of_all(&before, &hole, &bytes);
        assert_int_equal(plan.largest_after, hole);
        assert_int_equal(plan.bytes, bytes);
    }
}

static void every_step_has_room_and_no_other_way_is_better(void **unused)
{
    (void)unused;
    random_plans(false);
}

static void alignment_and_windows_are_kept(void **unused)
{
    (void)unused;
    random_plans(true);
}

static void nothing_moves_when_no_hole_would_grow(void **unused)
{
    const struct dxgk_defrag_block blocks[] = {{.offset = 0, .bytes = 10},
                                               {.offset = 10, .bytes = 6}};
    struct dxgk_defrag_step steps[2];
    struct dxgk_defrag_plan plan = {.steps = steps};

    (void)unused;
    dxgk_defrag_plan(blocks, 2, TOTAL, &plan);
    assert_int_equal(plan.count, 0);
    assert_int_equal(plan.largest_after, TOTAL - 16);
    dxgk_defrag_plan(NULL, 0, TOTAL, &plan);
    assert_int_equal(plan.count, 0);
    assert_int_equal(plan.largest_after, TOTAL);
}

static void the_shorter_way_is_taken_and_who_need_not_move_stays(void **unused)
{
    /* 20 free, a: 30, 4 free, b: 5, 5 free: b goes up, a stays. */
    const struct dxgk_defrag_block blocks[] = {{.offset = 20, .bytes = 30},
                                               {.offset = 54, .bytes = 5}};
    /* The same with a large one in front: it fills its place already. */
    const struct dxgk_defrag_block front[] = {
        {.offset = 0, .bytes = 20}, {.offset = 30, .bytes = 2}, {.offset = 40, .bytes = 4}};
    struct dxgk_defrag_step steps[3];
    struct dxgk_defrag_plan plan = {.steps = steps};

    (void)unused;
    dxgk_defrag_plan(front, 3, TOTAL, &plan);
    assert_int_equal(plan.largest_after, TOTAL - 26);
    assert_int_equal(plan.bytes, 6);
    assert_int_equal(plan.count, 2);
    assert_int_equal(steps[0].block, 1);
    assert_int_equal(steps[0].to, 20);
    dxgk_defrag_plan(blocks, 2, TOTAL, &plan);
    assert_int_equal(plan.largest_after, TOTAL - 35);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_has_room_and_no_other_way_is_better),
        cmocka_unit_test(alignment_and_windows_are_kept),
        cmocka_unit_test(nothing_moves_when_no_hole_would_grow),
        cmocka_unit_test(the_shorter_way_is_taken_and_who_need_not_move_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
