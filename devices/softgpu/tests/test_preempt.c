// SPDX-License-Identifier: Apache-2.0
/* Where a preemption falls never shows in a result: programs interrupted at random moments, and
 * moved to another card in the middle of commands, end with the same memory bit for bit as programs
 * left alone. */
#include "rig.h"
#include "base/tests/tool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPTIONS "vram=64M,vfs=1"
#define A (2 * MIB)
#define B (6 * MIB)
#define C (10 * MIB)
#define D (14 * MIB)
#define COUNTER (18 * MIB)
#define COPY_A (20 * MIB)
#define COPY_B (24 * MIB)

/* How often each queue does its commands; a pause falls anywhere in either. */
#if TEST_TOOL_FACTOR > 1
#define TURNS 2
#define COPY_TURNS 3u
#else
#define TURNS 6
#define COPY_TURNS 12u
#endif

/* Every command with steps, with sizes that end in the middle of one. */
static void write_program(struct rig *r, uint64_t seed)
{
    struct sg_cmd again = rig_cmd(SG_OP_JUMP_IF, COUNTER, TURNS, RIG_RING(0), 0, 0);

    again.flags = SG_COND_LT;
    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, A, 3 * MIB + 40, seed, 1, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_SCATTER, B, 3, MIB + 24, seed, COUNTER));
    rig_add(r, 0, 0, rig_cmd(SG_OP_STENCIL, C, A, 700, 1000, 3));
    rig_add(r, 0, 0, rig_cmd(SG_OP_STENCIL, D, C, 17001, 40, 2));
    rig_add(r, 0, 0, rig_cmd(SG_OP_GEMM, C, A, D, 331, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_HASH, COUNTER + 8, A, 4 * MIB, seed, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_FILL, B + 512, 2 * MIB - 1024, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_COPY, D + 8, A, 3 * MIB, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, COUNTER, 1, 0, 0, 0));
    rig_add(r, 0, 0, again);
    rig_add(r, 0, 0, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    for (unsigned i = 0; i < COPY_TURNS; i++) {
        rig_add(r, 0, 1, rig_cmd(SG_OP_RANDOM, COPY_A, 4 * MIB - 8, seed, 10 + i, 0));
        rig_add(r, 0, 1, rig_cmd(SG_OP_COPY, COPY_B, COPY_A, 4 * MIB, 0, 0));
        rig_add(r, 0, 1, rig_cmd(SG_OP_HASH, COUNTER + 64 + 8 * i, COPY_B, 4 * MIB, 0, 0));
        rig_add(r, 0, 1, rig_cmd(SG_OP_FILL, COPY_B, 3 * MIB + 8, i % 2, 0, 0));
    }
    rig_add(r, 0, 1, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
}

static bool running(struct rig *r)
{
    return rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_STATUS, 4) == SG_Q_RUNNING ||
           rig_vf_read(r, 0, SG_VF_QUEUE(1) + SG_Q_STATUS, 4) == SG_Q_RUNNING;
}

static uint8_t *contents(struct rig *r)
{
    uint8_t *all = malloc(RIG_RESERVE);

    assert_non_null(all);
    rig_load(r, 0, 0, all, RIG_RESERVE);
    return all;
}

static uint8_t *run_alone(uint64_t seed)
{
    struct rig r;
    uint8_t *all;

    rig_open(&r, OPTIONS);
    rig_power(&r, 0);
    write_program(&r, seed);
    rig_start(&r, 0, 0);
    rig_start(&r, 0, 1);
    assert_int_equal(rig_wait(&r, 0, 0), SG_Q_HALTED);
    assert_int_equal(rig_wait(&r, 0, 1), SG_Q_HALTED);
    all = contents(&r);
    rig_close(&r);
    return all;
}

/* What a migration does, without its machinery; the source is dropped. */
static void move(struct rig *from, struct rig *to)
{
    struct sg_vf_state s;
    uint8_t *all = contents(from);

    rig_save_state(from, 0, &s);
    rig_open(to, OPTIONS);
    rig_power(to, 0);
    rig_pause(to, 0);
    rig_store(to, 0, 0, all, RIG_RESERVE);
    assert_int_equal(rig_load_state(to, 0, &s), 0);
    rig_close(from);
    free(all);
}

/* For as much work as is done in that time without a tool. */
static void let_run(uint64_t *seed, uint64_t below_ns)
{
    struct timespec t = {.tv_nsec = (long)rig_choose(seed, below_ns * TEST_TOOL_FACTOR)};

    (void)nanosleep(&t, NULL);
}

static void interrupted_programs_end_alike(void **state)
{
    uint64_t seed = rig_seed("interrupted_programs"), program = seed;
    uint8_t *want = run_alone(program), *got;
    struct rig r[2];
    unsigned at = 0, pauses = 0, moves = 0, middles = 0;

    (void)state;
    rig_open(&r[0], OPTIONS);
    rig_power(&r[0], 0);
    write_program(&r[0], program);
    rig_start(&r[0], 0, 0);
    rig_start(&r[0], 0, 1);
    while (running(&r[at])) {
        struct sg_vf_state s;

        let_run(&seed, 1500000);
        rig_pause(&r[at], 0);
        pauses++;
        rig_save_state(&r[at], 0, &s);
        middles += s.queue[0].progress || s.queue[1].progress;
        if (rig_choose(&seed, 4) == 0) {
            move(&r[at], &r[!at]);
            at = !at;
            moves++;
        }
        rig_resume(&r[at], 0);
    }
    print_message("# %u pauses, %u of them within a command, %u moves\n", pauses, middles, moves);
    assert_true(middles > 0); /* else this has shown nothing */
    got = contents(&r[at]);
    assert_memory_equal(got, want, RIG_RESERVE);
    rig_close(&r[at]);
    free(want);
    free(got);
}

static void hash_carries_its_sum_to_another_card(void **state)
{
    const uint64_t bytes = 24 * MIB;
    struct rig a, b;
    struct sg_vf_state s;
    uint64_t *all, h = 5;

    (void)state;
    rig_open(&a, OPTIONS);
    rig_power(&a, 0);
    rig_add(&a, 0, 0, rig_cmd(SG_OP_RANDOM, A, bytes, 1, 1, 0));
    assert_int_equal(rig_run(&a, 0, 0), SG_Q_HALTED);
    rig_add(&a, 0, 0, rig_cmd(SG_OP_HASH, 28 * MIB, A, bytes, 5, 0));
    rig_add(&a, 0, 0, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    rig_start(&a, 0, 0);
    do {
        rig_resume(&a, 0);
        rig_pause(&a, 0);
        rig_save_state(&a, 0, &s);
    } while (!s.queue[0].progress && s.queue[0].status == SG_Q_RUNNING);
    assert_true(s.queue[0].progress > 0 && s.queue[0].progress < bytes / SG_STEP_BYTES);
    move(&a, &b);
    rig_resume(&b, 0);
    assert_int_equal(rig_wait(&b, 0, 0), SG_Q_HALTED);
    all = malloc(bytes);
    rig_load(&b, 0, A, all, bytes);
    for (uint64_t i = 0; i < bytes / 8; i++)
        h = oracle_mix(h ^ all[i]);
    assert_int_equal(rig_word(&b, 0, 28 * MIB), h);
    free(all);
    rig_close(&b);
}

/* DBT-10 */
static void paused_means_nothing_changes(void **state)
{
    struct rig r;
    uint8_t *before, *after;

    (void)state;
    rig_open(&r, OPTIONS);
    rig_power(&r, 0);
    rig_add(&r, 0, 0, rig_cmd(SG_OP_ADD, A, 1, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_SCATTER, B, 512, 4096, 1, A));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(&r, 0, 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t seed = i;

        let_run(&seed, 2000000);
        rig_pause(&r, 0);
        before = contents(&r);
        let_run(&seed, 2000000);
        after = contents(&r);
        assert_memory_equal(before, after, RIG_RESERVE);
        free(before);
        free(after);
        rig_resume(&r, 0);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_programs_end_alike),
        cmocka_unit_test(hash_carries_its_sum_to_another_card),
        cmocka_unit_test(paused_means_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
