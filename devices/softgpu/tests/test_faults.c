// SPDX-License-Identifier: Apache-2.0
/* Whatever a guest writes into rings and tables, also while they are being walked, stays its
 * own misfortune. */
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define A (4 * MIB)
#define OTHER 1u

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=128M,vfs=2");
    rig_power(r, 0);
    rig_power(r, OTHER);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* A neighbour that counts without end. */
static void start_neighbour(struct rig *r)
{
    rig_add(r, OTHER, 0, rig_cmd(SG_OP_ADD, A, 1, 0, 0, 0));
    rig_add(r, OTHER, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, OTHER, 0);
}

static void expect_neighbour_counts(struct rig *r)
{
    uint64_t was = rig_word(r, OTHER, A);

    while (rig_word(r, OTHER, A) == was) /* the test's time limit is the judge */
        ;
    assert_int_equal(rig_vf_read(r, OTHER, SG_VF_QUEUE(0) + SG_Q_STATUS, 4), SG_Q_RUNNING);
}

static void expect_fault(struct rig *r, unsigned q, struct sg_cmd cmd)
{
    rig_add(r, 0, q, cmd);
    assert_int_equal(rig_run(r, 0, q), SG_Q_FAULT);
    assert_true(rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4) & SG_VFC_STATUS_FAULT);
    assert_true(rig_pf_read(r, SG_PF_INT_STATUS, 4) & SG_INT_VF_FAULT);
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_VF_FAULT);
    /* Stays at the culprit. */
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(q) + SG_Q_IP64, 8), RIG_RING(q));
    rig_vf_write(r, 0, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 0);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(q) + SG_Q_STATUS, 4), SG_Q_HALTED);
}

static void bad_commands_fault_alone(void **state)
{
    struct rig *r = *state;
    struct sg_cmd flagged = rig_cmd(SG_OP_NOP, 0, 0, 0, 0, 0),
                  odd_cond = rig_cmd(SG_OP_JUMP_IF, A, 0, 0, 0, 0);
    const uint64_t nowhere = 100ull << 30;

    flagged.flags = 1;
    odd_cond.flags = 4;
    start_neighbour(r);
    expect_fault(r, 0, rig_cmd(99, 0, 0, 0, 0, 0));
    expect_fault(r, 0, rig_cmd(~0u, 0, 0, 0, 0, 0));
    expect_fault(r, 0, flagged);
    expect_fault(r, 0, odd_cond);
    expect_fault(r, 0, rig_cmd(SG_OP_FLUSH_TLB, 0, 0, 0, 0, 0));
    expect_fault(r, 1, rig_cmd(SG_OP_STENCIL, A, A, 8, 8, 3));
    expect_fault(r, 1, rig_cmd(SG_OP_GEMM, A, A, A, 8, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_INTERRUPT, SG_MSIX_VECTORS, 0, 0, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_FILL, nowhere, 8, 1, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_FILL, A + 4, 8, 1, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_FILL, A, 12, 1, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_FILL, ~0ull - 7, 64, 1, 0, 0));
    /* Runs out of the reserve. */
    expect_fault(r, 1, rig_cmd(SG_OP_COPY, A, RIG_RESERVE - 8, 16, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_SCATTER, A, 0, 4096, 1, A));
    expect_fault(r, 0, rig_cmd(SG_OP_SCATTER, A, ~0ull, 4096, 1, A));
    expect_fault(r, 0, rig_cmd(SG_OP_STENCIL, A, A, 8, 8, 1));
    expect_fault(r, 0, rig_cmd(SG_OP_STENCIL, A, A, 8, 8, 1ull << 32 | 3));
    expect_fault(r, 0, rig_cmd(SG_OP_STENCIL, A, A, 1ull << 40, 1ull << 40, 3));
    expect_fault(r, 0, rig_cmd(SG_OP_GEMM, A, A, A, ~0ull, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_ADD, A + 1, 1, 0, 0, 0));
    expect_fault(r, 0, rig_cmd(SG_OP_PACE, nowhere, 1, 0, 0, 0));
    expect_neighbour_counts(r);
}

static void fault_names_its_address(void **state)
{
    struct rig *r = *state;

    expect_fault(r, 0, rig_cmd(SG_OP_FENCE, 5ull << 30, 1, 0, 0, 0));
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_FAULT_VA64), 8), 5ull << 30);
}

static void bad_tables_fault(void **state)
{
    static const uint64_t level1 = RIG_TABLES + 0x1000, level0 = RIG_TABLES + 0x2000, va = 20 * MIB;
    static const struct {
        uint64_t upper, leaf;
    } bad[] = {
        {0, 0},
        /* Table outside the reserve. */
        {SG_PTE_VALID | (RIG_RESERVE + 0x1000), 0},
        /* Far outside. */
        {SG_PTE_VALID | SG_PTE_ADDRESS, 0},
        /* Large leaf misaligned. */
        {SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE | (2 * MIB + 4096), 0},
        /* Read only. */
        {SG_PTE_VALID | SG_PTE_LARGE | 2 * MIB, 0},
        /* Not in a VF. */
        {SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE | SG_PTE_SYSTEM | 2 * MIB, 0},
        /* Leaf not valid. */
        {SG_PTE_VALID | level0, 0},
        /* Leaf read only. */
        {SG_PTE_VALID | level0, SG_PTE_VALID | A},
        /* Not in a VF. */
        {SG_PTE_VALID | level0, SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_SYSTEM | A},
        /* One page behind the reserve. */
        {SG_PTE_VALID | level0, SG_PTE_VALID | SG_PTE_WRITE | RIG_RESERVE},
        {SG_PTE_VALID | level0, SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_ADDRESS},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig_set_word(r, 0, level1 + va / (2 * MIB) * 8, bad[i].upper);
        rig_set_word(r, 0, level0, bad[i].leaf);
        rig_vf_write(r, 0, SG_VF_ROOT64, 8, RIG_TABLES);
        expect_fault(r, 0, rig_cmd(SG_OP_FENCE, va, 1, 0, 0, 0));
        assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_FAULT_VA64), 8), va);
    }
    /* And the same made good again. */
    rig_set_word(r, 0, level1 + va / (2 * MIB) * 8, SG_PTE_VALID | level0);
    rig_set_word(r, 0, level0, SG_PTE_VALID | SG_PTE_WRITE | A);
    rig_vf_write(r, 0, SG_VF_ROOT64, 8, RIG_TABLES);
    rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, va, 77, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_word(r, 0, A), 77);
}

static void small_leaves_are_never_stale(void **state)
{
    const uint64_t level1 = RIG_TABLES + 0x1000, level0 = RIG_TABLES + 0x2000, va = 20 * MIB;
    struct rig *r = *state;

    rig_set_word(r, 0, level1 + va / (2 * MIB) * 8, SG_PTE_VALID | level0);
    for (uint64_t i = 0; i < 4; i++) {
        rig_set_word(r, 0, level0, SG_PTE_VALID | SG_PTE_WRITE | (A + i * 4096));
        rig_add(r, 0, 0, rig_cmd(SG_OP_FENCE, va, i + 1, 0, 0, 0));
        assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
        assert_int_equal(rig_word(r, 0, A + i * 4096), i + 1);
    }
}

static void jump_to_itself_can_be_paused_and_reset(void **state)
{
    struct rig *r = *state;

    rig_add(r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, 0, 0);
    rig_pause(r, 0);
    assert_true(rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4) & SG_VFC_STATUS_BUSY);
    rig_resume(r, 0);
    rig_pf_write(r, SG_VFC(0, SG_VFC_RESET), 4, 1);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_STATUS, 4), SG_Q_HALTED);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_ROOT64, 8), 0);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_VRAM_BYTES64, 8), RIG_RESERVE); /* the map stays */
}

/* ---- random rings and tables, rewritten while they are walked ---- */
struct vandal {
    struct rig *r;
    uint64_t seed;
    _Atomic bool stop;
};

static struct sg_cmd random_command(uint64_t *seed)
{
    struct sg_cmd cmd = {.op = (uint32_t)rig_choose(seed, 17),
                         .flags = (uint32_t)rig_choose(seed, 20) / 19};

    for (unsigned i = 0; i < 7; i++) {
        switch (rig_choose(seed, 4)) {
        case 0:
            cmd.a[i] = rig_choose(seed, RIG_RESERVE) & ~7ull;
            break;
        case 1:
            cmd.a[i] = rig_choose(seed, 4096) & ~7ull;
            break;
        case 2:
            cmd.a[i] = RIG_RING(0) + rig_choose(seed, 64) * 64;
            break;
        default:
            cmd.a[i] = oracle_mix(*seed) >> rig_choose(seed, 64);
        }
    }
    return cmd;
}

static void *vandalise(void *arg)
{
    struct vandal *v = arg;

    while (!atomic_load(&v->stop)) {
        uint64_t at = rig_choose(&v->seed, 64) * 64, entry = rig_choose(&v->seed, 1024) * 8;
        struct sg_cmd cmd = random_command(&v->seed);

        rig_store(v->r, 0, RIG_RING(0) + at, &cmd, sizeof cmd);
        rig_store(v->r, 0, RIG_RING(1) + at, &cmd, sizeof cmd);
        if (!rig_choose(&v->seed, 4)) {
            uint64_t pte = rig_choose(&v->seed, 2)
                               ? oracle_mix(v->seed)
                               : (rig_choose(&v->seed, RIG_RESERVE) & ~0x1fffffull) | 0xb;

            rig_set_word(v->r, 0, RIG_TABLES + entry, pte);
        }
    }
    return NULL;
}

static void let_run(uint64_t *seed)
{
    struct timespec t = {.tv_nsec = (long)rig_choose(seed, 300000)};

    (void)nanosleep(&t, NULL);
}

/* VF-6 */
static void vandals_harm_nobody_else(void **state)
{
    struct rig *r = *state;
    struct vandal v = {.r = r, .seed = rig_seed("vandals")};
    uint64_t seed = v.seed + 1, *before = malloc(RIG_RESERVE), *after = malloc(RIG_RESERVE);
    unsigned faults = 0;
    pthread_t thread;

    rig_add(r, OTHER, 1, rig_cmd(SG_OP_RANDOM, A, 16 * MIB, 1, 1, 0));
    assert_int_equal(rig_run(r, OTHER, 1), SG_Q_HALTED);
    rig_load(r, OTHER, 0, before, RIG_RESERVE);
    assert_int_equal(pthread_create(&thread, NULL, vandalise, &v), 0);
    for (unsigned i = 0; i < 300; i++) {
        unsigned q = (unsigned)rig_choose(&seed, 2);

        if (!rig_choose(&seed, 8)) { /* give it working tables again */
            rig_pause(r, 0);
            rig_tables(r, 0);
            rig_resume(r, 0);
        }
        let_run(&seed);
        faults += rig_vf_read(r, 0, SG_VF_QUEUE(q) + SG_Q_STATUS, 4) == SG_Q_FAULT;
        rig_vf_write(r, 0, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 0);
        rig_vf_write(r, 0, SG_VF_QUEUE(q) + SG_Q_IP64, 8, RIG_RING(q) + rig_choose(&seed, 64) * 64);
        rig_vf_write(r, 0, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 1);
        if (!rig_choose(&seed, 3)) {
            rig_pause(r, 0);
            rig_resume(r, 0);
        }
    }
    atomic_store(&v.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_pf_write(r, SG_VFC(0, SG_VFC_RESET), 4, 1);
    rig_load(r, OTHER, 0, after, RIG_RESERVE);
    assert_memory_equal(before, after, RIG_RESERVE);
    print_message("# saw %u faults\n", faults);
    assert_true(faults > 0); /* else the vandal was too tame to show anything */
    start_neighbour(r);
    expect_neighbour_counts(r);
    free(before);
    free(after);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bad_commands_fault_alone),
        T(fault_names_its_address),
        T(bad_tables_fault),
        T(small_leaves_are_never_stale),
        T(jump_to_itself_can_be_paused_and_reset),
        T(vandals_harm_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
