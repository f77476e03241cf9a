// SPDX-License-Identifier: Apache-2.0
/* Host memory follows what was written: holes cost nothing, zeros give back, sparse writers do
 * not inflate. */
#include "rig.h"

#include "softgpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define A (4 * MIB)

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=64M,vfs=1");
    rig_power(r, 0);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void reading_holes_costs_nothing(void **state)
{
    struct rig *r = *state;
    uint64_t base = rig_blocks(r);
    uint8_t *all = malloc(8 * MIB);

    rig_load(r, 0, A, all, 8 * MIB);
    for (uint64_t i = 0; i < 8 * MIB; i++)
        assert_int_equal(all[i], 0);
    free(all);
    rig_add(r, 0, 0, rig_cmd(SG_OP_COPY, A + 8 * MIB, A, 8 * MIB, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 8 * MIB, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_HASH, RIG_RING(1), A, 8 * MIB, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_true(rig_blocks(r) <= base + 16 * 4096); /* the rings, and what the kernel rounds up */
}

static void zero_fill_gives_memory_back(void **state)
{
    struct rig *r = *state;
    uint64_t base = rig_blocks(r);

    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A, 16 * MIB, 1, 1, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_true(rig_blocks(r) >= base + 16 * MIB);
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 16 * MIB, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_true(rig_blocks(r) <= base + 16 * 4096);
    assert_int_equal(rig_word(r, 0, A), 0);
    assert_int_equal(rig_word(r, 0, A + 16 * MIB - 8), 0);
}

static void sparse_writes_cost_their_pages(void **state)
{
    struct rig *r = *state;
    uint64_t base = rig_blocks(r);

    for (unsigned i = 0; i < 200; i++)
        rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, A + i * 27 * 4096, i + 1, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_true(rig_blocks(r) <= base + 2 * 200 * 4096 + 16 * 4096);
}

static void a_page_given_back_starts_from_zero(void **state)
{
    struct rig *r = *state;

    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 4096, ~0ull, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 4096, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, A + 64, 1, 0, 0, 0)); /* must not bring the ones back */
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(r, 0, A), 0);
    assert_int_equal(rig_word(r, 0, A + 64), 1);
    assert_int_equal(rig_word(r, 0, A + 72), 0);
}

/* Two engines fight over the same pages, one by zero fills, one by stores: at rest a page is either
 * a hole that reads as zero and costs nothing, or its memory is what is read. A lost `populated`
 * bit would show as contents that reappear. */
static void punching_and_storing_never_disagree(void **state)
{
    struct rig *r = *state;
    struct sg_cmd again[2] = {rig_cmd(SG_OP_JUMP_IF, A - 64, 3000, RIG_RING(0), 0, 0),
                              rig_cmd(SG_OP_JUMP_IF, A - 128, 3000, RIG_RING(1), 0, 0)};
    uint8_t *seen = malloc(16 * 4096), *now = malloc(16 * 4096);

    again[0].flags = again[1].flags = SG_COND_LT;
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 16 * 4096, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, A - 64, 1, 0, 0, 0));
    rig_add(r, 0, 0, again[0]);
    rig_add(r, 0, 1, rig_cmd(SG_OP_SCATTER, A, 16, 4096, 1, A - 128));
    rig_add(r, 0, 1, rig_cmd(SG_OP_ADD, A - 128, 1, 0, 0, 0));
    rig_add(r, 0, 1, again[1]);
    rig_add(r, 0, 0, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    rig_add(r, 0, 1, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    rig_start(r, 0, 0);
    rig_start(r, 0, 1);
    assert_int_equal(rig_wait(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_wait(r, 0, 1), SG_Q_HALTED);
    rig_load(r, 0, A, seen, 16 * 4096);
    for (unsigned p = 0; p < 16; p++) /* touch each page: what the bitmap hid would come to light */
        rig_set_word(r, 0, A + p * 4096, *(uint64_t *)(void *)(seen + p * 4096));
    rig_load(r, 0, A, now, 16 * 4096);
    assert_memory_equal(seen, now, 16 * 4096);
    free(seen);
    free(now);
}

/* Memory got block by block, as on a machine whose setting allows huge pages: the same contents,
 * given back the same. */
static void memory_by_blocks_behaves_alike(void **state)
{
    struct rig *r = *state;
    struct sg_device *dev = (struct sg_device *)(void *)r->dev;
    uint8_t *mine = NULL;
    uint64_t base = rig_blocks(r);

    if (!dev->vram.wide) {
        mine = mmap(NULL, dev->vram.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dev->vram.fd, 0);
        assert_ptr_not_equal(mine, MAP_FAILED);
        dev->vram.wide = mine;
    }
    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A + 8, 7 * MIB, 1, 1, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_COPY, A + 8 * MIB, A + 8, 7 * MIB, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    for (uint64_t i = 0; i < 7 * MIB / 8; i += 509)
        assert_int_equal(rig_word(r, 0, A + 8 * MIB + i * 8), oracle_random(1, 1, i));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, 16 * MIB, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_true(rig_blocks(r) <= base + 16 * 4096);
    assert_int_equal(rig_word(r, 0, A + 8 * MIB), 0);
    if (mine) { /* no engine has work now */
        dev->vram.wide = NULL;
        munmap(mine, dev->vram.bytes);
    }
}

/* prealloc=on: all memory is there from the start; zeroing keeps it and still reads as zeros. */
static void preallocated_memory_stays_and_zeroes(void **state)
{
    struct rig r = {0};
    uint64_t base;

    (void)state;
    rig_open(&r, "vram=64M,vfs=1,prealloc=on");
    rig_power(&r, 0);
    base = rig_blocks(&r);
    assert_true(base >= 64 * MIB);
    rig_add(&r, 0, 0, rig_cmd(SG_OP_RANDOM, A, 4 * MIB, 1, 1, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FILL, A, 2 * MIB, 0, 0, 0));
    assert_int_equal(rig_run(&r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(&r, 0, A), 0);
    assert_int_equal(rig_word(&r, 0, A + 2 * MIB - 8), 0);
    assert_true(rig_word(&r, 0, A + 2 * MIB) != 0);
    assert_true(rig_blocks(&r) >= base);
    rig_close(&r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(preallocated_memory_stays_and_zeroes),
        T(reading_holes_costs_nothing),    T(zero_fill_gives_memory_back),
        T(sparse_writes_cost_their_pages), T(a_page_given_back_starts_from_zero),
        T(memory_by_blocks_behaves_alike), T(punching_and_storing_never_disagree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
