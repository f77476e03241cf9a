// SPDX-License-Identifier: Apache-2.0
/* Interrupts of a partition that moves, is paused or reset (INT-1..3): none lost, none doubled. */
#include "base/clock.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RESERVE (16ull << 20)
#define MOVES 24u

static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};

static uint64_t entry_at(unsigned vector, unsigned field)
{
    return SG_VF_MSIX_TABLE + vector * 16u + field;
}

static void write_register(struct rig *rig, uint64_t id, uint64_t at, uint64_t value,
                           uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_bar_write(rig->dxgk, id, SG_VF_BAR_REGS, at, &value, bytes, &error),
         &error);
}

static uint64_t read_register(struct rig *rig, uint64_t id, uint64_t at, uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t value = 0;

    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_REGS, at, &value, bytes, &error), &error);
    return value;
}

static void program(struct rig *rig, uint64_t id, unsigned vector, bool masked)
{
    write_register(rig, id, entry_at(vector, 0), 0xfee00000u + vector * 4096u, 8);
    write_register(rig, id, entry_at(vector, 8), 0x30 + vector, 4);
    write_register(rig, id, entry_at(vector, 12), masked, 4);
}

static uint64_t delivered(struct rig *rig, uint64_t id)
{
    struct vf_partition_info info;
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    return info.interrupts;
}

/* Of a paused source: what its hardware says it raised since it was created. The count is the last
 * field of the hardware's state, which ends the driver's data. */
static uint64_t raised(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_blob kmd, msix, umed;
    struct sg_vf_state state;

    must(dxgk_migration_save_mutable(rig->dxgk, id, &kmd, &msix, &umed, &error), &error);
    assert_true(kmd.bytes > sizeof state);
    memcpy(&state, (uint8_t *)kmd.data + kmd.bytes - sizeof state, sizeof state);
    assert_int_equal(state.version, SG_VF_STATE_VERSION);
    blob_free(&kmd);
    blob_free(&msix);
    blob_free(&umed);
    return state.interrupts_raised;
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("VFERRY_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)vf_now_ns();

    print_message("# VFERRY_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += SG_GOLDEN;

    z = (z ^ z >> 30) * SG_MIX_1;
    z = (z ^ z >> 27) * SG_MIX_2;
    return z ^ z >> 31;
}

static void let_run(uint64_t *state)
{
    /* Random moments are the point: nothing here is waited for. */
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)(next_random(state) % 3000000)}, NULL);
}

/* INT-3: the guest raises vector 0 at every step, for ever, while it is moved to and fro. */
static void none_is_lost_or_doubled_over_moves_at_random_moments(void **state)
{
    const struct sg_cmd ring[] = {
        {.op = SG_OP_SCATTER, .a = {RIG_HEAP, 512, 4096, 7, RIG_COUNTER}},
        {.op = SG_OP_INTERRUPT, .a = {0}},
        {.op = SG_OP_ADD, .a = {RIG_COUNTER, 1}},
        {.op = SG_OP_JUMP, .a = {RIG_RING}},
    };
    uint64_t random = seed_of_run();
    uint64_t id, before = 0;
    struct rig rig;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p0", 0, RESERVE >> 20, false);
    program(&rig, id, 0, false);
    rig_start(&rig, id, RESERVE, ring, sizeof ring / sizeof ring[0]);
    for (unsigned i = 1; i <= MOVES; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct move move;
        uint64_t count, steps;
        char name[16];

        (void)snprintf(name, sizeof name, "p%u", i);
        let_run(&random);
        move_begin(&move, &rig, id, i % 2, name);
        (void)move_round(&move);
        let_run(&random);
        move_pause(&move);
        count = raised(&rig, id);
        /* Its save has drained what was on its way: exact, at once. */
        assert_int_equal(delivered(&rig, id), count);
        steps = rig_counter(&rig, id);
        assert_in_range(count - steps, 0, 1); /* between the interrupt and the count of its step */
        assert_true(count > before);
        before = count;
        if (next_random(&random) % 4 == 0) {
            move_cancel(&move); /* given up at the last moment: nothing of it counts twice either */
            rig_wait(&rig, id, steps + 10);
            must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
            must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
            continue;
        }
        id = move_finish(&move);
        rig_wait(&rig, id, steps + 10);
        assert_true(delivered(&rig, id) >= count);
    }
    rig_close(&rig);
}

static const struct sg_cmd raise_three[] = {
    {.op = SG_OP_INTERRUPT, .a = {1}},
    {.op = SG_OP_INTERRUPT, .a = {1}},
    {.op = SG_OP_INTERRUPT, .a = {3}},
    {.op = SG_OP_ADD, .a = {RIG_COUNTER, 1}},
    {.op = SG_OP_HALT},
};

/* INT-2, INT-3: pending while masked on the source, delivered after the unmask on the
 * target; once. */
static void a_pending_vector_moves_and_is_delivered_after_its_unmask(void **state)
{
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "from", 0, RESERVE >> 20, false);
    program(&rig, id, 1, true);
    program(&rig, id, 2, false);
    rig_start(&rig, id, RESERVE, raise_three, sizeof raise_three / sizeof raise_three[0]);
    rig_wait(&rig, id, 1);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0xa);
    move_begin(&move, &rig, id, 1, "to");
    (void)move_round(&move);
    move_pause(&move);
    id = move_finish(&move);
    assert_int_equal(delivered(&rig, id), 0);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0xa);
    assert_int_equal(read_register(&rig, id, entry_at(1, 0), 8), 0xfee01000u);
    assert_int_equal(read_register(&rig, id, entry_at(1, 12), 4), 1);
    assert_int_equal(read_register(&rig, id, entry_at(2, 12), 4), 0);
    write_register(&rig, id, entry_at(1, 12), 0, 4);
    rig_wait_interrupts(&rig, id, 1);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0x8);
    program(&rig, id, 3, false);
    rig_wait_interrupts(&rig, id, 2);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0);
    assert_int_equal(delivered(&rig, id), 2);
    rig_close(&rig);
}

/* INT-2, VF-6: a reset takes back one guest's table, the hardware's and the OS' copy, and
 * nobody else's. */
static void a_reset_masks_every_vector_of_that_vf_only(void **state)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id, other, before;
    struct rig rig;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, RESERVE >> 20, false);
    other = rig_create(&rig, "q", 0, RESERVE >> 20, false);
    for (unsigned vector = 0; vector < SG_MSIX_VECTORS; vector++) {
        program(&rig, id, vector, vector == 1);
        program(&rig, other, vector, false);
    }
    rig_run(&rig, other, RESERVE, 3, 0);
    rig_start(&rig, id, RESERVE, raise_three, sizeof raise_three / sizeof raise_three[0]);
    rig_wait_interrupts(&rig, id, 1);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0x2);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    for (unsigned vector = 0; vector < SG_MSIX_VECTORS; vector++) {
        assert_int_equal(read_register(&rig, id, entry_at(vector, 0), 8), 0);
        assert_int_equal(read_register(&rig, id, entry_at(vector, 8), 8), 1ull << 32);
        assert_int_equal(read_register(&rig, other, entry_at(vector, 12), 4), 0);
    }
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0);
    /* The hardware agrees: what is raised now waits for the guest. */
    before = rig_counter(&rig, id);
    rig_start(&rig, id, RESERVE, raise_three, sizeof raise_three / sizeof raise_three[0]);
    rig_wait(&rig, id, before + 1);
    assert_int_equal(read_register(&rig, id, SG_VF_MSIX_PBA, 8), 0xa);
    assert_int_equal(delivered(&rig, id), 1);
    rig_wait(&rig, other, rig_counter(&rig, other) + 100);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
    rig_close(&rig);
}

static void whoever_watches_is_told_of_interrupts_and_of_the_end(void **state)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct vf_error error = VF_ERROR_INIT;
    int watch, epoll[2];
    struct rig rig;
    uint64_t id;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, RESERVE >> 20, false);
    program(&rig, id, 0, false);
    must(dxgk_partition_watch(rig.dxgk, id, &watch, &error), &error);
    for (int i = 0; i < 2; i++) {
        epoll[i] = epoll_create1(EPOLL_CLOEXEC);
        assert_int_equal(epoll_ctl(epoll[i], EPOLL_CTL_ADD, watch, &event), 0);
        assert_int_equal(epoll_wait(epoll[i], &event, 1, 0), 0);
    }
    rig_run(&rig, id, RESERVE, 5, 10);
    for (int i = 0; i < 2; i++)
        assert_int_equal(epoll_wait(epoll[i], &event, 1, 20000), 1);
    rig_wait_interrupts(&rig, id, 1);
    assert_int_equal(epoll_wait(epoll[0], &event, 1, 0), 0);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(epoll_wait(epoll[i], &event, 1, 20000), 1);
        (void)close(epoll[i]);
    }
    (void)close(watch);
    assert_int_equal(dxgk_partition_watch(rig.dxgk, id, &watch, &error), -1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_lost_or_doubled_over_moves_at_random_moments),
        cmocka_unit_test(a_pending_vector_moves_and_is_delivered_after_its_unmask),
        cmocka_unit_test(a_reset_masks_every_vector_of_that_vf_only),
        cmocka_unit_test(whoever_watches_is_told_of_interrupts_and_of_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
