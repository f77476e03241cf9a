// SPDX-License-Identifier: Apache-2.0
/* The bitplane: no write is ever lost between a read-clear and the next, masks protect neighbours,
 * and the faulty device is really faulty. */
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ull
#define A (2 * MIB)
#define B (18 * MIB)

static uint64_t plane_read(struct rig *r, uint64_t word)
{
    uint64_t bits;

    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY, word * 8, &bits, 8),
                     0);
    return bits;
}

static uint64_t plane_exchange(struct rig *r, uint64_t word)
{
    uint64_t bits;

    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY,
                                      SG_DIRTY_WINDOW_BYTES + word * 8, &bits, 8),
                     0);
    return bits;
}

static void plane_or(struct rig *r, uint64_t word, uint64_t bits)
{
    assert_int_equal(r->ops->bar_write(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY,
                                       SG_DIRTY_WINDOW_BYTES + word * 8, &bits, 8),
                     0);
}

static unsigned count_bits(struct rig *r, uint64_t words)
{
    unsigned n = 0;

    for (uint64_t w = 0; w < words; w++)
        n += (unsigned)__builtin_popcountll(plane_read(r, w));
    return n;
}

/* DBT-5 */
static void masked_exchange_leaves_neighbours(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K");
    plane_or(&r, 3, 0xffff);
    rig_pf_write(&r, SG_PF_DIRTY_MASK64, 8, 0x0ff0);
    assert_int_equal(plane_exchange(&r, 3), 0x0ff0);
    assert_int_equal(plane_read(&r, 3), 0xf00f);
    rig_pf_write(&r, SG_PF_DIRTY_MASK64, 8, ~0ull);
    assert_int_equal(plane_exchange(&r, 3), 0xf00f);
    assert_int_equal(plane_read(&r, 3), 0);
    rig_close(&r);
}

static void half_words_and_blocks_read_alike(void **state)
{
    struct rig r;
    uint64_t two[2];
    uint32_t half;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K");
    plane_or(&r, 0, 0x1111111122222222ull);
    plane_or(&r, 1, 0x3333333344444444ull);
    assert_int_equal(r.ops->bar_read(r.dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY,
                                     SG_DIRTY_WINDOW_BYTES + 4, &half, 4),
                     0);
    assert_int_equal(half, 0x11111111);
    assert_int_equal(
        r.ops->bar_read(r.dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY, SG_DIRTY_WINDOW_BYTES, two, 16), 0);
    assert_int_equal(two[0], 0x22222222);
    assert_int_equal(two[1], 0x3333333344444444ull);
    assert_int_equal(count_bits(&r, 4), 0);
    rig_close(&r);
}

static void bits_beyond_vram_do_not_exist(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=2M"); /* 32 pages: half a word */
    plane_or(&r, 0, ~0ull);
    plane_or(&r, 1, ~0ull);
    assert_int_equal(plane_read(&r, 0), UINT32_MAX);
    assert_int_equal(plane_read(&r, 1), 0);
    rig_close(&r);
}

/* DBT-6 */
static void every_write_path_sets_its_bits(void **state)
{
    struct rig r;
    const uint64_t word = A / PAGE / 64;
    const uint8_t one = 1;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K");
    rig_power(&r, 0);
    rig_store(&r, 0, A + PAGE - 1, &one, 1);
    assert_int_equal(plane_exchange(&r, word), 1);
    rig_store(&r, 0, A + PAGE - 1, "12", 2);
    assert_int_equal(plane_exchange(&r, word), 3);
    assert_int_equal(r.ops->bar_write(r.dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, A + 2 * PAGE, &one, 1),
                     0);
    assert_int_equal(plane_exchange(&r, word), 4);
    rig_add(&r, 0, 0, rig_cmd(SG_OP_ADD, A, 1, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FENCE, A + 2 * PAGE, 1, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_HASH, A + 4 * PAGE, A, 8, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FILL, A + 6 * PAGE, PAGE, 9, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FILL, A + 8 * PAGE, PAGE, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_COPY, A + 10 * PAGE, A, 8, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_RANDOM, A + 12 * PAGE, 2 * PAGE, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_SCATTER, A + 15 * PAGE, 1, PAGE, 0, A));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_STENCIL, A + 17 * PAGE, A, 2, 1, 3));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_GEMM, A + 19 * PAGE, A, A, 1, 0));
    assert_int_equal(rig_run(&r, 0, 0), SG_Q_HALTED);
    assert_int_equal(plane_exchange(&r, word), 0xab555);
    rig_close(&r);
}

static void switched_off_sets_no_bits(void **state)
{
    struct rig r;
    const uint8_t one = 1;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K,performant=off");
    assert_int_equal(rig_pf_read(&r, SG_PF_DIRTY_ENABLE, 4), 0);
    assert_int_equal(rig_pf_read(&r, SG_PF_FEATURES, 4) & SG_FEATURE_DIRTY_PERFORMANT, 0);
    rig_power(&r, 0);
    rig_store(&r, 0, A, &one, 1);
    assert_int_equal(count_bits(&r, 256), 0);
    rig_pf_write(&r, SG_PF_DIRTY_ENABLE, 4, 1);
    rig_store(&r, 0, A, &one, 1);
    assert_int_equal(count_bits(&r, 256), 1);
    rig_close(&r);
}

static void drop_dirty_loses_every_nth(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K,fault=drop-dirty:3");
    rig_power(&r, 0);
    rig_pf_write(&r, SG_PF_DIRTY_MASK64, 8, ~0ull);
    for (uint64_t w = 0; w < 256; w++)
        (void)plane_exchange(&r, w);
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FILL, A, 30 * PAGE, 9, 0, 0));
    rig_store(&r, 0, RIG_RING(0) + 64, &(struct sg_cmd){.op = SG_OP_HALT}, 64);
    for (uint64_t w = 0; w < 256; w++)
        (void)plane_exchange(&r, w);
    assert_int_equal(rig_run(&r, 0, 0), SG_Q_HALTED);
    assert_int_equal(__builtin_popcountll(plane_read(&r, A / PAGE / 64)), 20);
    rig_close(&r);
}

/* ---- writers of every kind against a loop that clears, gathers, and clears again ---- */

struct cpu_writer {
    struct rig *r;
    _Atomic bool stop;
    uint64_t seed;
};

static void *write_by_cpu(void *arg)
{
    struct cpu_writer *w = arg;

    while (!atomic_load(&w->stop))
        rig_set_word(w->r, 0, B + rig_choose(&w->seed, 512) * PAGE + rig_choose(&w->seed, 512) * 8,
                     w->seed);
    return NULL;
}

/* One round of a move: what was dirty is copied into the shadow after its bit was cleared. */
static void gather(struct rig *r, uint8_t *shadow, uint64_t page_bytes)
{
    for (uint64_t w = 0; w < RIG_RESERVE / page_bytes / 64; w++)
        for (uint64_t bits = plane_exchange(r, w); bits; bits &= bits - 1) {
            uint64_t at = (w * 64 + (uint64_t)__builtin_ctzll(bits)) * page_bytes;

            assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, at,
                                              shadow + at, page_bytes),
                             0);
        }
}

static void start_writers(struct rig *r)
{
    for (unsigned q = 0; q < SG_QUEUES; q++) {
        uint64_t base = A + q * 4 * MIB, counter = base - 64 * 1024;

        rig_add(r, 0, q, rig_cmd(SG_OP_SCATTER, base, 1024, PAGE, 5 + q, counter));
        rig_add(r, 0, q, rig_cmd(SG_OP_ADD, counter, 1, 0, 0, 0));
        rig_add(r, 0, q, rig_cmd(SG_OP_FILL, base + 5 * PAGE, 40 * PAGE, 0, 0, 0));
        rig_add(r, 0, q, rig_cmd(SG_OP_COPY, base + 2 * MIB, base + MIB, 64 * PAGE, 0, 0));
        rig_add(r, 0, q, rig_cmd(SG_OP_JUMP, RIG_RING(q), 0, 0, 0, 0));
        rig_start(r, 0, q);
    }
}

static bool shadow_follows(const char *options, uint64_t page_bytes, unsigned rounds)
{
    struct rig r;
    struct cpu_writer w = {.r = &r, .seed = 1};
    uint8_t *shadow = calloc(1, RIG_RESERVE), *all = malloc(RIG_RESERVE);
    pthread_t thread;
    bool same;

    rig_open(&r, options);
    rig_power(&r, 0);
    start_writers(&r);
    assert_int_equal(pthread_create(&thread, NULL, write_by_cpu, &w), 0);
    for (unsigned i = 0; i < rounds; i++)
        gather(&r, shadow, page_bytes);
    atomic_store(&w.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_pause(&r, 0);
    gather(&r, shadow, page_bytes); /* the last round: after QUIET every bit is there */
    rig_load(&r, 0, 0, all, RIG_RESERVE);
    same = !memcmp(all, shadow, RIG_RESERVE);
    rig_close(&r);
    free(shadow);
    free(all);
    return same;
}

static void no_write_is_lost_at_4k(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_true(shadow_follows("vram=64M,vfs=1,dirty-page=4K", 4096, 30));
}

static void no_write_is_lost_at_64k(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_true(shadow_follows("vram=64M,vfs=1", 65536, 30));
}

static void dropped_bits_leave_the_shadow_behind(void **state)
{
    unsigned tries = 0;

    (void)state;
    /* On a busy machine the writers may not have had a turn. */
    while (shadow_follows("vram=64M,vfs=1,dirty-page=4K,fault=drop-dirty:2", 4096, 30))
        assert_true(++tries < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_exchange_leaves_neighbours),
        cmocka_unit_test(half_words_and_blocks_read_alike),
        cmocka_unit_test(bits_beyond_vram_do_not_exist),
        cmocka_unit_test(every_write_path_sets_its_bits),
        cmocka_unit_test(switched_off_sets_no_bits),
        cmocka_unit_test(drop_dirty_loses_every_nth),
        cmocka_unit_test(no_write_is_lost_at_4k),
        cmocka_unit_test(no_write_is_lost_at_64k),
        cmocka_unit_test(dropped_bits_leave_the_shadow_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
