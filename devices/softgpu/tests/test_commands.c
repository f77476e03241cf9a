// SPDX-License-Identifier: Apache-2.0
/* Each command's arithmetic against an independent computation, at sizes that do not divide evenly
 * into steps. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#define A (2 * MIB)
#define B (10 * MIB)
#define C (20 * MIB)

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=64M,vfs=2,dirty-page=4K");
    rig_power(r, 0);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void *load(struct rig *r, uint64_t gpa, uint64_t bytes)
{
    void *copy = malloc(bytes);

    assert_non_null(copy);
    rig_load(r, 0, gpa, copy, bytes);
    return copy;
}

static void fill_writes_pattern_and_nothing_beside(void **state)
{
    struct rig *r = *state;
    const uint64_t bytes = 3 * SG_STEP_BYTES + 4096 + 24;
    uint64_t *got;

    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A + 8, bytes, 0x1122334455667788ull, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    got = load(r, A, bytes + 16);
    assert_int_equal(got[0], 0);
    for (uint64_t i = 1; i <= bytes / 8; i++)
        assert_int_equal(got[i], 0x1122334455667788ull);
    assert_int_equal(got[bytes / 8 + 1], 0);
    free(got);
}

static void zero_fill_clears_exactly_its_range(void **state)
{
    struct rig *r = *state;
    const uint64_t first = 2 * MIB - 4096 * 3 + 40, bytes = 4 * MIB + 4096 * 5 + 16, all = 8 * MIB;
    uint64_t *got;

    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A, all, ~0ull, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, A + first, bytes, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    got = load(r, A, all);
    for (uint64_t i = 0; i < all / 8; i++)
        assert_int_equal(got[i], i * 8 >= first && i * 8 < first + bytes ? 0 : ~0ull);
    free(got);
}

static void random_follows_the_manual(void **state)
{
    struct rig *r = *state;
    const uint64_t bytes = 2 * SG_STEP_BYTES + 72;
    uint64_t *got;

    rig_add(r, 0, 1, rig_cmd(SG_OP_RANDOM, A + 4096 - 8, bytes, 77, 5, 0));
    assert_int_equal(rig_run(r, 0, 1), SG_Q_HALTED);
    got = load(r, A + 4096 - 8, bytes);
    for (uint64_t i = 0; i < bytes / 8; i++)
        assert_int_equal(got[i], oracle_random(77, 5, i));
    free(got);
}

static void copy_moves_data_and_holes(void **state)
{
    struct rig *r = *state;
    const uint64_t bytes = 5 * SG_STEP_BYTES + 8;
    uint64_t *from, *to;

    /* The source is a hole in its middle; the destination was full of ones. */
    rig_add(r, 0, 1, rig_cmd(SG_OP_RANDOM, A, SG_STEP_BYTES + 4096, 3, 0, 0));
    rig_add(r, 0, 1, rig_cmd(SG_OP_RANDOM, A + 4 * SG_STEP_BYTES, SG_STEP_BYTES + 8, 3, 1, 0));
    rig_add(r, 0, 1, rig_cmd(SG_OP_FILL, B, 6 * SG_STEP_BYTES, ~0ull, 0, 0));
    rig_add(r, 0, 1, rig_cmd(SG_OP_COPY, B + 16, A, bytes, 0, 0));
    assert_int_equal(rig_run(r, 0, 1), SG_Q_HALTED);
    from = load(r, A, bytes);
    to = load(r, B, bytes + 32);
    assert_int_equal(to[1], ~0ull);
    assert_memory_equal(to + 2, from, bytes);
    assert_int_equal(to[2 + bytes / 8], ~0ull);
    free(from);
    free(to);
}

static void scatter_picks_page_and_words_by_counter(void **state)
{
    struct rig *r = *state;
    const uint64_t pages = 37, page_bytes = 4096, count = 50;
    uint64_t *want = calloc(pages, page_bytes), *got;

    for (uint64_t c = 0; c < count; c++) {
        uint64_t p = oracle_random(9, c, 0) % pages;

        for (uint64_t j = 0; j < page_bytes / 8; j++)
            want[p * page_bytes / 8 + j] = oracle_random(9, c, 1 + j);
        rig_add(r, 0, 0, rig_cmd(SG_OP_SCATTER, A, pages, page_bytes, 9, B));
        rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, B, 1, 0, 0, 0));
    }
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    got = load(r, A, pages * page_bytes);
    assert_memory_equal(got, want, pages * page_bytes);
    assert_int_equal(rig_word(r, 0, B), count);
    free(want);
    free(got);
}

static int32_t cell(const int32_t *grid, int64_t w, int64_t h, int64_t x, int64_t y, int32_t own)
{
    return x < 0 || y < 0 || x >= w || y >= h ? own : grid[y * w + x];
}

static void check_stencil(struct rig *r, uint64_t w, uint64_t h, unsigned shift)
{
    int32_t *src, *got;

    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A, (w * h * 4 + 7) / 8 * 8, w, h, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_STENCIL, B, A, w, h, shift));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    src = load(r, A, w * h * 4);
    got = load(r, B, w * h * 4);
    for (int64_t y = 0; y < (int64_t)h; y++)
        for (int64_t x = 0; x < (int64_t)w; x++) {
            int32_t u = src[y * (int64_t)w + x];
            int64_t n = 0;

            n += cell(src, (int64_t)w, (int64_t)h, x - 1, y, u);
            n += cell(src, (int64_t)w, (int64_t)h, x + 1, y, u);
            n += cell(src, (int64_t)w, (int64_t)h, x, y - 1, u);
            n += cell(src, (int64_t)w, (int64_t)h, x, y + 1, u);
            n -= 4 * (int64_t)u;
            /* Modulo 2^32 before the shift, as the manual says. */
            assert_int_equal(got[y * (int64_t)w + x],
                             (int32_t)((uint32_t)u + (uint32_t)((int32_t)(uint32_t)n >> shift)));
        }
    free(src);
    free(got);
}

static void stencil_of_odd_shapes(void **state)
{
    static const uint64_t shape[][2] = {{1, 1},    {1, 300},  {300, 1},  {2, 2},     {17, 33},
                                        {515, 67}, {8192, 3}, {8193, 4}, {20001, 3}, {16384, 2}};

    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++)
        check_stencil(*state, shape[i][0], shape[i][1], 2 + (unsigned)i);
}

static void check_gemm(struct rig *r, uint64_t n)
{
    const uint64_t bytes = (n * n * 4 + 7) / 8 * 8;
    uint32_t *a, *b, *c;

    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A, bytes, n, 1, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, B, bytes, n, 2, 0));
    /* C's old contents must not matter */
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, C, bytes, ~0ull, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_GEMM, C, A, B, n, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    a = load(r, A, bytes);
    b = load(r, B, bytes);
    c = load(r, C, bytes);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < n; j++) {
            uint64_t sum = 0;

            for (uint64_t k = 0; k < n; k++)
                sum += (uint64_t)a[i * n + k] * b[k * n + j];
            assert_int_equal(c[i * n + j], (uint32_t)sum);
        }
    free(a);
    free(b);
    free(c);
}

static void gemm_of_odd_sizes(void **state)
{
    static const uint64_t n[] = {1, 2, 3, 8, 63, 64, 65, 130, 259};

    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        check_gemm(*state, n[i]);
}

static void hash_chains_over_words(void **state)
{
    struct rig *r = *state;
    const uint64_t bytes = 2 * SG_STEP_BYTES + 8 * 5;
    uint64_t *words, h = 1234;

    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A, SG_STEP_BYTES, 4, 4, 0)); /* behind it a hole */
    rig_add(r, 0, 0, rig_cmd(SG_OP_HASH, B, A, bytes, 1234, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_HASH, B + 8, A, 0, 99, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    words = load(r, A, bytes);
    for (uint64_t i = 0; i < bytes / 8; i++)
        h = oracle_mix(h ^ words[i]);
    assert_int_equal(rig_word(r, 0, B), h);
    assert_int_equal(rig_word(r, 0, B + 8), 99);
    free(words);
}

static void add_and_fence_store_words(void **state)
{
    struct rig *r = *state;

    rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, A, ~0ull, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, A, 3, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, A + 8, 7, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(r, 0, A), 2);
    assert_int_equal(rig_word(r, 0, A + 8), 7);
}

static void jump_if_compares_unsigned(void **state)
{
    static const struct {
        enum sg_cond cond;
        uint64_t word, value;
        bool taken;
    } with[] = {{SG_COND_LT, 1, 2, true}, {SG_COND_LT, 2, 2, false}, {SG_COND_LT, ~0ull, 2, false},
                {SG_COND_GE, 2, 2, true}, {SG_COND_GE, 1, 2, false}, {SG_COND_GE, ~0ull, 2, true},
                {SG_COND_EQ, 2, 2, true}, {SG_COND_EQ, 1, 2, false}, {SG_COND_NE, 1, 2, true},
                {SG_COND_NE, 2, 2, false}};
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++) {
        struct sg_cmd jump = rig_cmd(SG_OP_JUMP_IF, A, with[i].value, RIG_RING(0) + 3 * 64, 0, 0);

        jump.flags = with[i].cond;
        rig_set_word(r, 0, B, 0);
        rig_set_word(r, 0, A, with[i].word);
        rig_add(r, 0, 0, jump);
        rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, B, 1, 0, 0, 0)); /* not taken */
        rig_add(r, 0, 0, rig_cmd(SG_OP_NOP, 0, 0, 0, 0, 0));
        rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, B, 2, 0, 0, 0));
        assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
        assert_int_equal(rig_word(r, 0, B), with[i].taken ? 2 : 3);
    }
}

static void ring_can_loop_and_retires(void **state)
{
    struct rig *r = *state;
    struct sg_cmd back = rig_cmd(SG_OP_JUMP_IF, A, 1000, RIG_RING(0), 0, 0);
    uint64_t before = rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8);

    back.flags = SG_COND_LT;
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, A, 1, 0, 0, 0));
    rig_add(r, 0, 0, back);
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(r, 0, A), 1000);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8) - before, 2001);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_IP64, 8), RIG_RING(0) + 3 * 64);
}

static void pace_holds_the_queue_and_changes_nothing_else(void **state)
{
    const uint64_t ns = 3000000, counts = 5;
    struct rig *r = *state;
    struct sg_cmd back = rig_cmd(SG_OP_JUMP_IF, A, counts, RIG_RING(0), 0, 0);
    uint64_t start = rig_now();

    back.flags = SG_COND_LT;
    rig_add(r, 0, 0, rig_cmd(SG_OP_PACE, A, ns, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, A, 1, 0, 0, 0));
    rig_add(r, 0, 0, back);
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(r, 0, A), counts);
    assert_true(rig_now() - start >= (counts - 1) * ns); /* a lower bound is no matter of load */
}

/* A window of small pages whose physical pages run backwards with a stride: nothing is
 * contiguous anywhere. */
static void commands_work_across_scattered_small_pages(void **state)
{
    const uint64_t level1 = RIG_TABLES + 0x1000, level0 = RIG_TABLES + 0x2000, window = 1ull << 29,
                   pages = 300;
    struct rig *r = *state;
    uint64_t h = 6, words = pages * 4096 / 8 - 2;

    rig_set_word(r, 0, level1 + window / (2 * MIB) * 8, level0 | SG_PTE_VALID);
    for (uint64_t i = 0; i < pages; i++)
        rig_set_word(r, 0, level0 + i * 8,
                     (A + (pages - i) * 2 * 4096) | SG_PTE_VALID | SG_PTE_WRITE);
    rig_vf_write(r, 0, SG_VF_ROOT64, 8, RIG_TABLES);
    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, window + 8, words * 8, 21, 4, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_HASH, C, window + 8, words * 8, 6, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_COPY, B, window + 8, words * 8, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    for (uint64_t i = 0; i < words; i++)
        h = oracle_mix(h ^ oracle_random(21, 4, i));
    assert_int_equal(rig_word(r, 0, C), h);
    for (uint64_t i = 0; i < words; i += 97) {
        uint64_t at = 8 + i * 8;

        assert_int_equal(rig_word(r, 0, B + i * 8), oracle_random(21, 4, i));
        assert_int_equal(rig_word(r, 0, A + (pages - at / 4096) * 2 * 4096 + at % 4096),
                         oracle_random(21, 4, i));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fill_writes_pattern_and_nothing_beside),
        T(zero_fill_clears_exactly_its_range),
        T(random_follows_the_manual),
        T(copy_moves_data_and_holes),
        T(scatter_picks_page_and_words_by_counter),
        T(stencil_of_odd_shapes),
        T(gemm_of_odd_sizes),
        T(hash_chains_over_words),
        T(add_and_fence_store_words),
        T(jump_if_compares_unsigned),
        T(ring_can_loop_and_retires),
        T(commands_work_across_scattered_small_pages),
        T(pace_holds_the_queue_and_changes_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
