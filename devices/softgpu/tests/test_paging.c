// SPDX-License-Identifier: Apache-2.0
/* The paging engine: gathers, scatters, fills, faults, resets, and reaches only what is mapped. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ull
#define PAGES 512u

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=128M,vfs=1,dirty-page=4K");
    rig_paging_open(r, 8 * MIB);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void vram(struct rig *r, uint64_t at, void *to, uint64_t bytes)
{
    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, at, to, bytes), 0);
}

static void vram_write(struct rig *r, uint64_t at, const void *from, uint64_t bytes)
{
    assert_int_equal(r->ops->bar_write(r->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, at, from, bytes), 0);
}

/* The VA window of the contract: virtual pages in a row, physical pages anywhere. Uses a level-0
 * table of its own. */
#define WINDOW_VA (5ull << 30)
static void map_window(struct rig *r, const uint64_t *phys, unsigned pages)
{
    uint64_t *root = (uint64_t *)(void *)r->system,
             *level1 = (uint64_t *)(void *)(r->system + 0x80000);

    memset(level1, 0, PAGE);
    root[WINDOW_VA >> 30] = (RIG_IOVA + 0x80000) | SG_PTE_VALID;
    for (unsigned i = 0; i < pages; i++) {
        uint64_t *level0 = (uint64_t *)(void *)(r->system + 0x81000 + i / 512 * PAGE);

        level1[i / 512] = (RIG_IOVA + 0x81000 + i / 512 * PAGE) | SG_PTE_VALID;
        level0[i % 512] = phys[i] | SG_PTE_VALID | SG_PTE_WRITE;
    }
}

static void shuffle(uint64_t *phys, unsigned pages, uint64_t *seed)
{
    for (unsigned i = 0; i < pages; i++)
        phys[i] = i * 3 * PAGE; /* holes between them */
    for (unsigned i = pages; i > 1; i--) {
        unsigned j = (unsigned)rig_choose(seed, i);
        uint64_t swap = phys[i - 1];

        phys[i - 1] = phys[j];
        phys[j] = swap;
    }
}

/* SRC-4 */
static void scattered_pages_come_back_as_they_went(void **state)
{
    struct rig *r = *state;
    uint64_t seed = rig_seed("scattered_pages"), phys[PAGES];
    uint8_t *want = malloc(PAGES * PAGE), page[PAGE];
    struct sg_cmd scatter[] = {
        rig_cmd(SG_OP_FLUSH_TLB, 0, 0, 0, 0, 0),
        rig_cmd(SG_OP_COPY, WINDOW_VA, RIG_VA_SYSTEM + RIG_SYSTEM_DATA, PAGES * PAGE, 0, 0)};
    struct sg_cmd gather = rig_cmd(SG_OP_COPY, RIG_VA_SYSTEM + RIG_SYSTEM_DATA, WINDOW_VA,
                                   PAGES * PAGE, 0, 0);

    shuffle(phys, PAGES, &seed);
    map_window(r, phys, PAGES);
    for (uint64_t i = 0; i < PAGES * PAGE; i++)
        want[i] = (uint8_t)oracle_random(seed, 1, i);
    memcpy(rig_system(r, 0), want, PAGES * PAGE);
    assert_true(rig_page_wait(r, rig_page(r, scatter, 2)));
    for (unsigned i = 0; i < PAGES; i++) {
        vram(r, phys[i], page, PAGE);
        assert_memory_equal(page, want + i * PAGE, PAGE);
    }
    memset(rig_system(r, 0), 0xee, PAGES * PAGE);
    assert_true(rig_page_wait(r, rig_page(r, &gather, 1)));
    assert_memory_equal(rig_system(r, 0), want, PAGES * PAGE);
    free(want);
}

static void gathering_a_hole_gives_zeros_and_costs_nothing(void **state)
{
    struct rig *r = *state;
    struct sg_cmd gather = rig_cmd(SG_OP_COPY, RIG_VA_SYSTEM + RIG_SYSTEM_DATA,
                                   RIG_VA_VRAM + 64 * MIB, 4 * MIB, 0, 0);

    memset(rig_system(r, 0), 0xee, 4 * MIB);
    assert_true(rig_page_wait(r, rig_page(r, &gather, 1)));
    for (uint64_t i = 0; i < 4 * MIB; i++)
        assert_int_equal(rig_system(r, 0)[i], 0);
    assert_int_equal(rig_blocks(r), 0);
}

static void submissions_run_in_order_and_tell_their_fence(void **state)
{
    struct rig *r = *state;
    uint64_t word;
    uint32_t last = 0;

    for (uint64_t i = 1; i <= 8; i++) {
        struct sg_cmd cmd[] = {rig_cmd(SG_OP_ADD, RIG_VA_VRAM, i, 0, 0, 0),
                               rig_cmd(SG_OP_COPY, RIG_VA_VRAM + 8 * i, RIG_VA_VRAM, 8, 0, 0)};

        last = rig_page(r, cmd, 2);
    }
    assert_true(rig_page_wait(r, last));
    for (uint64_t i = 1; i <= 8; i++) {
        vram(r, 8 * i, &word, 8);
        assert_int_equal(word, i * (i + 1) / 2);
    }
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FREE, 4), SG_PAGING_DEPTH);
}

static void fault_stops_the_engine_until_reset(void **state)
{
    struct rig *r = *state;
    struct sg_cmd bad = rig_cmd(SG_OP_FILL, 100ull << 30, 4096, 1, 0, 0);
    struct sg_cmd good = rig_cmd(SG_OP_FENCE, RIG_VA_VRAM, 42, 0, 0, 0);
    uint64_t word = 7;
    uint32_t fence = rig_page(r, &bad, 1);

    (void)rig_page(r, &good, 1);
    assert_false(rig_page_wait(r, fence));
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FAULT_VA64, 8), 100ull << 30);
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FAULT_FENCE, 4), fence);
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FREE, 4), SG_PAGING_DEPTH - 2);
    rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_PAGING_FAULT);
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FREE, 4), SG_PAGING_DEPTH);
    vram(r, 0, &word, 8);
    assert_int_equal(word, 0); /* what was queued behind the fault was dropped */
    assert_true(rig_page_wait(r, rig_page(r, &good, 1)));
    vram(r, 0, &word, 8);
    assert_int_equal(word, 42);
}

static void guest_commands_fault_on_the_paging_engine(void **state)
{
    static const uint32_t op[] = {SG_OP_JUMP,    SG_OP_JUMP_IF, SG_OP_PACE, SG_OP_INTERRUPT,
                                  SG_OP_STENCIL, SG_OP_GEMM,    16,         ~0u};
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof op / sizeof op[0]; i++) {
        struct sg_cmd cmd = rig_cmd(op[i], 0, 0, 0, 0, 2);

        assert_false(rig_page_wait(r, rig_page(r, &cmd, 1)));
        rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
        rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_PAGING_FAULT);
    }
}

static void reset_drops_a_long_queue(void **state)
{
    struct rig *r = *state;
    struct sg_cmd fill[8];

    for (unsigned i = 0; i < 8; i++)
        fill[i] = rig_cmd(SG_OP_FILL, RIG_VA_VRAM, 128 * MIB, i + 1, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        (void)rig_page(r, fill, 8);
    rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
    assert_int_equal(rig_pf_read(r, SG_PF_PAGING_FREE, 4), SG_PAGING_DEPTH);
    fill[0] = rig_cmd(SG_OP_NOP, 0, 0, 0, 0, 0);
    assert_true(rig_page_wait(r, rig_page(r, fill, 1)));
}

static void dma_reaches_only_what_is_mapped(void **state)
{
    struct rig *r = *state;
    struct sg_cmd copy = rig_cmd(SG_OP_COPY, RIG_VA_VRAM, RIG_VA_SYSTEM + RIG_SYSTEM_DATA, 4096, 0,
                                 0);

    assert_int_equal(
        r->ops->dma_map(r->dev, RIG_IOVA + r->system_bytes - 4096, 8192, r->system_fd, 0), -EEXIST);
    /* Behind the file. */
    assert_int_equal(r->ops->dma_map(r->dev, 0, 4096, r->system_fd, r->system_bytes), -EINVAL);
    assert_int_equal(r->ops->dma_map(r->dev, 0, 4095, r->system_fd, 0), -EINVAL);
    assert_int_equal(r->ops->dma_map(r->dev, ~0ull << 12, 8192, r->system_fd, 0), -EINVAL);
    assert_int_equal(r->ops->dma_unmap(r->dev, RIG_IOVA, 4096), -ENOENT);
    assert_true(rig_page_wait(r, rig_page(r, &copy, 1)));
    assert_int_equal(r->ops->dma_unmap(r->dev, RIG_IOVA, r->system_bytes), 0);
    assert_false(rig_page_wait(r, rig_page(r, &copy, 1)));
    rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
}

static void unmapping_under_a_running_copy_faults_it(void **state)
{
    struct rig *r = *state;
    struct sg_cmd copy[128];
    uint32_t fence;

    for (unsigned i = 0; i < 128; i++)
        copy[i] = rig_cmd(SG_OP_COPY, RIG_VA_VRAM, RIG_VA_SYSTEM + RIG_SYSTEM_DATA, 8 * MIB, 0, 0);
    fence = rig_page(r, copy, 128);
    assert_int_equal(r->ops->dma_unmap(r->dev, RIG_IOVA, r->system_bytes), 0);
    assert_false(rig_page_wait(r, fence));
    rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
}

/* DBT-11 */
static void paging_writes_mark_dirty(void **state)
{
    struct rig *r = *state;
    struct sg_cmd copy = rig_cmd(SG_OP_COPY, RIG_VA_VRAM + 8 * MIB, RIG_VA_SYSTEM + RIG_SYSTEM_DATA,
                                 3 * PAGE, 0, 0);
    uint64_t word = ~0ull, one = 1;

    assert_true(rig_page_wait(r, rig_page(r, &copy, 1)));
    vram_write(r, 8 * MIB + 5 * PAGE + 8, &one, 8);
    assert_int_equal(
        r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY, 8 * MIB / PAGE / 8, &word, 8), 0);
    assert_int_equal(word, 0x27);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(scattered_pages_come_back_as_they_went),
        T(gathering_a_hole_gives_zeros_and_costs_nothing),
        T(submissions_run_in_order_and_tell_their_fence),
        T(fault_stops_the_engine_until_reset),
        T(guest_commands_fault_on_the_paging_engine),
        T(reset_drops_a_long_queue),
        T(dma_reaches_only_what_is_mapped),
        T(unmapping_under_a_running_copy_faults_it),
        T(paging_writes_mark_dirty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
