// SPDX-License-Identifier: Apache-2.0
/* Function level resets, hangs and faults of a VF through device, driver and OS (SRC-9, VF-6). */
#include "base/clock.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define VRAM (16 * MIB)
#define QUEUE SG_VF_QUEUE(SG_QUEUE_COMPUTE)

static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};

static void poke(struct rig *rig, uint64_t id, uint32_t bar, uint64_t at, const void *data,
                 uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_bar_write(rig->dxgk, id, bar, at, data, bytes, &error), &error);
}

static uint64_t peek(struct rig *rig, uint64_t id, uint32_t bar, uint64_t at, unsigned width)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t value = 0;

    must(dxgk_partition_bar_read(rig->dxgk, id, bar, at, &value, width, &error), &error);
    return value;
}

/* Puts a command in the place of the loop's first, on the way: the next round of it meets this. */
static void replace_command(struct rig *rig, uint64_t id, struct sg_cmd cmd)
{
    poke(rig, id, SG_VF_BAR_VRAM, RIG_RING, &cmd, sizeof cmd);
}

/* RIG_COUNTER never becomes 0 again. */
static const struct sg_cmd never = {.op = SG_OP_WAIT, .flags = SG_COND_EQ, .a = {RIG_COUNTER, 0}};

static void await_event(struct rig *rig, const char *kind, const char *part)
{
    uint64_t deadline = vf_now_ns() + 60000000000ull;

    while (!rig_expect(rig, kind, part)) {
        if (vf_now_ns() > deadline)
            fail_msg("no event %s with \"%s\" within a minute", kind, part);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* SRC-9, VF-6 */
static void a_hang_is_found_told_and_ended_and_neighbours_work_on(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id, other, at, counter;
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    other = rig_create(&rig, "other", 0, 16, false);
    id = rig_create(&rig, "hangs", 0, 16, false);
    rig_run(&rig, other, VRAM, 1, 0);
    rig_run(&rig, id, VRAM, 2, 0);
    rig_wait(&rig, id, 100);
    replace_command(&rig, id, never);
    await_event(&rig, "triage", "VF 1: a command hangs: no step within 2000 ms");
    await_event(&rig, "tdr", "partition hangs: a command hung, the VF was reset");
    assert_int_equal(state_of(&rig, id), VF_PARTITION_FAULTED);
    assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, QUEUE + SG_Q_STATUS, 4), SG_Q_HALTED);
    assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, SG_VF_ROOT64, 8), 0);
    assert_true(rig_counter(&rig, id) >= 100); /* its VRAM is as it was */
    assert_int_equal(dxgk_partition_pause(rig.dxgk, id, &error), -1);
    assert_non_null(strstr(error.text, "a command hung"));
    at = rig_counter(&rig, other);
    rig_wait(&rig, other, at + 100);
    assert_int_equal(state_of(&rig, other), VF_PARTITION_RUNNING);
    /* A reset by hand lets it work again. */
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
    counter = rig_counter(&rig, id);
    rig_run(&rig, id, VRAM, 2, 0);
    rig_wait(&rig, id, counter + 100);
    rig_close(&rig);
}

/* VF-6 */
static void a_reset_clears_one_vf_and_its_interrupts_alone(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id, other, at;
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "reset", 0, 16, false);
    other = rig_create(&rig, "other", 0, 16, false);
    rig_run(&rig, id, VRAM, 1, 0);
    rig_run(&rig, other, VRAM, 2, 0);
    rig_unmask(&rig, id);
    rig_unmask(&rig, other);
    rig_wait(&rig, id, 100);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
    assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, QUEUE + SG_Q_RETIRED64, 8), 0);
    assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE, 8), 0);
    assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE + 12, 4), 1);
    assert_int_equal(peek(&rig, other, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE + 12, 4), 0);
    assert_true(rig_counter(&rig, id) >= 100);
    at = rig_counter(&rig, other);
    rig_wait(&rig, other, at + 100);
    /* Interrupts of the VF reach its guest again once it has set them up again. */
    rig_unmask(&rig, id);
    at = rig_counter(&rig, id);
    rig_run(&rig, id, VRAM, 1, at + 100);
    rig_wait_interrupts(&rig, id, 1);
    rig_close(&rig);
}

static void a_paused_partition_stays_paused_and_one_in_a_move_is_not_reset(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, VRAM, 1, 0);
    rig_wait(&rig, id, 100);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_PAUSED);
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    move_begin(&move, &rig, id, 1, "copy");
    assert_int_equal(dxgk_partition_reset(rig.dxgk, id, &error), -1);
    assert_int_equal(dxgk_partition_reset(rig.dxgk, move.target, &error), -1);
    move_cancel(&move);
    rig_close(&rig);
}

/* SRC-9 */
static void a_hang_in_a_move_fails_the_move_and_leaves_nothing_of_it(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint8_t bits[VRAM / 4096 / 8];
    struct move move;
    struct rig rig;
    uint64_t id, dirty;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, VRAM, 1, 0);
    rig_wait(&rig, id, 100);
    move_begin(&move, &rig, id, 1, "copy");
    replace_command(&rig, id, never);
    (void)move_round(&move);
    await_event(&rig, "tdr", "its move fails");
    assert_int_equal(dxgk_migration_query_dirty(rig.dxgk, id, bits, sizeof bits, &dirty, &error),
                     -1);
    assert_non_null(strstr(error.text, "a command hung"));
    assert_int_equal(dxgk_partition_pause(rig.dxgk, id, &error), -1);
    move_drop(&move);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_FAULTED);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    /* Nothing of the move is left: another one can begin. */
    move_begin(&move, &rig, id, 1, "copy");
    move_cancel(&move);
    rig_close(&rig);
}

/* SRC-9 */
static void a_paused_hang_is_found_once_it_runs_again(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, VRAM, 1, 0);
    rig_wait(&rig, id, 100);
    replace_command(&rig, id, never);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    /* Longer than the limit: a paused VF uses no engine time. */
    (void)nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_PAUSED);
    assert_false(rig_expect(&rig, "tdr", ""));
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    await_event(&rig, "tdr", "a command hung");
    rig_close(&rig);
}

static uint64_t runtime(struct rig *rig, uint64_t id)
{
    struct vf_partition_clock clock;
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_clock(rig->dxgk, id, &clock, &error), &error);
    return clock.runtime_ns;
}

/* SRC-9, HOT-1: found by the old driver, by the new one, or by the card while there is none. */
static void a_hang_is_not_lost_while_drivers_are_exchanged(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update done;
    char path[1024];
    struct rig rig;
    uint64_t id, since;
    unsigned updates = 0;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, VRAM, 1, 0);
    rig_wait(&rig, id, 100);
    replace_command(&rig, id, never);
    since = runtime(&rig, id);
    while (runtime(&rig, id) - since < 1800000000ull)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (; updates < 20 && !rig_expect(&rig, "tdr", "a command hung"); updates++) {
        (void)snprintf(path, sizeof path, "%s/softgpu%s.so", getenv("VF_DRIVER_DIR"),
                       updates % 2 == 0 ? "-v2" : "");
        must(dxgk_driver_update(rig.dxgk, 0, path, false, &done, &error), &error);
    }
    if (updates == 20)
        await_event(&rig, "tdr", "a command hung");
    assert_true(updates > 0);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_FAULTED);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    rig_run(&rig, id, VRAM, 1, 0);
    since = rig_counter(&rig, id);
    rig_wait(&rig, id, since + 100);
    rig_close(&rig);
}

/* A fault is the guest's own: nobody resets it. */
static void a_fault_is_told_and_the_partition_can_go_on(void **unused)
{
    const struct sg_cmd bad = {.op = SG_OP_ADD, .a = {1ull << 38, 1}};
    struct rig rig;
    uint64_t id, at;

    (void)unused;
    rig_open(&rig, two, NULL);
    for (unsigned round = 0; round < 2; round++) {
        char name[8];

        (void)snprintf(name, sizeof name, "p%u", round);
        id = rig_create(&rig, name, 0, 16, false);
        rig_run(&rig, id, VRAM, 1, 0);
        rig_wait(&rig, id, 100);
        replace_command(&rig, id, bad);
        /* Each fault once, though the other VF still stands in its own. */
        await_event(&rig, "triage", "a command faulted at address 0x4000000000");
        assert_false(rig_expect(&rig, "triage", ""));
        assert_int_equal(peek(&rig, id, SG_VF_BAR_REGS, QUEUE + SG_Q_STATUS, 4), SG_Q_FAULT);
        assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
        poke(&rig, id, SG_VF_BAR_REGS, QUEUE + SG_Q_CTRL, &(uint32_t){0}, 4);
        at = rig_counter(&rig, id);
        rig_run(&rig, id, VRAM, 1, 0);
        rig_wait(&rig, id, at + 100);
        replace_command(&rig, id, bad);
        await_event(&rig, "triage", "a command faulted at address 0x4000000000");
    }
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    dxgk_trial_main(argc, argv);
    rig_trials = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hang_is_found_told_and_ended_and_neighbours_work_on),
        cmocka_unit_test(a_reset_clears_one_vf_and_its_interrupts_alone),
        cmocka_unit_test(a_paused_partition_stays_paused_and_one_in_a_move_is_not_reset),
        cmocka_unit_test(a_hang_in_a_move_fails_the_move_and_leaves_nothing_of_it),
        cmocka_unit_test(a_paused_hang_is_found_once_it_runs_again),
        cmocka_unit_test(a_hang_is_not_lost_while_drivers_are_exchanged),
        cmocka_unit_test(a_fault_is_told_and_the_partition_can_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
