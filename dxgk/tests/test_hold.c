// SPDX-License-Identifier: Apache-2.0
/* Who keeps a partition from running (partition/hold.h): each takes away its own hold and no other.
 * The driver's calls stand or fail where a test wants it (drivers/gated.c). */
#include "dxgk/tests/rig/gates.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static const char *const one[] = {"softgpu,vram=64M,vfs=4,dirty-page=4K", NULL};

static struct rig rig;
static uint64_t p; /* runs; 16 MiB behind a hole of 8 */

static int set_up(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t gap;

    (void)unused;
    gates_open();
    rig_open(&rig, one, "gated.so");
    gap = rig_create(&rig, "gap", 0, 8, false);
    p = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_partition_destroy(rig.dxgk, gap, &error), &error);
    rig_run(&rig, p, 16 * MIB, 1, 0);
    rig_wait(&rig, p, 10);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    rig_close(&rig);
    gates_close();
    return 0;
}

static struct vf_partition_info info(void)
{
    struct vf_partition_info now;
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_info(rig.dxgk, p, &now, &error), &error);
    return now;
}

static void is(enum vf_partition_state state, uint32_t holders)
{
    assert_int_equal(info().state, state);
    assert_int_equal(info().holders, holders);
}

static void is_at_work(void)
{
    is(VF_PARTITION_RUNNING, 0);
    rig_wait(&rig, p, rig_counter(&rig, p) + 10);
}

static void pause_it(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_pause(rig.dxgk, p, &error), &error);
}

static void resume_it(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_resume(rig.dxgk, p, &error), &error);
}

static void prepare_it(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_migration_prepare(rig.dxgk, p, DXGK_SOURCE, 1, &error), &error);
}

static void end_it(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_migration_end(rig.dxgk, p, &error), &error);
}

static void a_person_s_pause_outlasts_that_of_a_move(void **unused)
{
    (void)unused;
    pause_it();
    pause_it(); /* once more is no more */
    is(VF_PARTITION_PAUSED, VF_HOLD_PERSON);
    prepare_it();
    pause_it();
    is(VF_PARTITION_OUTGOING_PAUSED, VF_HOLD_PERSON | VF_HOLD_MOVE);
    resume_it();
    is(VF_PARTITION_OUTGOING_PAUSED, VF_HOLD_PERSON);
    end_it();
    is(VF_PARTITION_PAUSED, VF_HOLD_PERSON);
    resume_it();
    is_at_work();
    resume_it();
    is_at_work();
}

static void what_a_move_left_paused_a_person_resumes(void **unused)
{
    (void)unused;
    prepare_it();
    is(VF_PARTITION_OUTGOING, 0);
    pause_it();
    is(VF_PARTITION_OUTGOING_PAUSED, VF_HOLD_MOVE);
    end_it();
    is(VF_PARTITION_PAUSED, VF_HOLD_MOVE);
    resume_it();
    is_at_work();
}

/* ---- the driver fails ---- */

static void a_resume_that_fails_once_is_tried_again(void **unused)
{
    (void)unused;
    pause_it();
    gates_put("resume.fail.1");
    resume_it();
    is_at_work();
    assert_false(rig_expect(&rig, "state", ""));
}

static void what_the_driver_cannot_resume_stands_and_is_told(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    pause_it();
    gates_put("resume.fails");
    assert_int_equal(dxgk_partition_resume(rig.dxgk, p, &error), -1);
    assert_int_equal(error.code, VF_STANDS);
    assert_non_null(strstr(error.text, "partition p stands here paused: the driver cannot resume"));
    assert_non_null(strstr(vf_remedy(&error), "vferry partition resume p"));
    is(VF_PARTITION_PAUSED, VF_HOLD_FAULT);
    assert_true(rig_expect(&rig, "state", "partition p stands here paused"));
    gates_take("resume.fails");
    resume_it();
    is_at_work();
}

static void a_pause_that_fails_leaves_it_at_work(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    gates_put("pause.fail.1");
    assert_int_equal(dxgk_partition_pause(rig.dxgk, p, &error), -1);
    assert_int_equal(error.code, VF_FAILED);
    is_at_work();
}

/* ---- a defragmentation that stands in its copy ---- */

static struct vf_defrag moved;
static struct vf_error failed;

static void *defrag(void *result)
{
    *(int *)result = dxgk_defrag(rig.dxgk, 0, false, &moved, &failed);
    return NULL;
}

/* Returns once it stands. */
static void begin_defrag(pthread_t *thread, int *result)
{
    failed = (struct vf_error)VF_ERROR_INIT;
    gates_shut("copy");
    assert_int_equal(pthread_create(thread, NULL, defrag, result), 0);
    gates_await_put("copy.at");
}

static void *pause_too(void *result)
{
    struct vf_error error = VF_ERROR_INIT;

    *(int *)result = dxgk_partition_pause(rig.dxgk, p, &error);
    return NULL;
}

static void *resume_too(void *result)
{
    struct vf_error error = VF_ERROR_INIT;

    *(int *)result = dxgk_partition_resume(rig.dxgk, p, &error);
    return NULL;
}

static void *write_too(void *result)
{
    const uint64_t value = 42;
    struct vf_error error = VF_ERROR_INIT;

    *(int *)result = dxgk_partition_bar_write(rig.dxgk, p, SG_VF_BAR_VRAM, 15 * MIB, &value,
                                              sizeof value, &error);
    return NULL;
}

/* Said while the reserve moves, by a call that must succeed. */
static void beside_a_defrag(void *(*call)(void *), uint32_t holders)
{
    int defragged = 1, said = 1;
    pthread_t mover, caller;

    begin_defrag(&mover, &defragged);
    is(VF_PARTITION_PAUSED, holders | VF_HOLD_DEFRAG);
    assert_int_equal(pthread_create(&caller, NULL, call, &said), 0);
    gates_lift("copy");
    assert_int_equal(pthread_join(mover, NULL), 0);
    assert_int_equal(pthread_join(caller, NULL), 0);
    must(defragged, &failed);
    assert_int_equal(moved.moves[0].outcome, VF_DEFRAG_MOVED);
    assert_int_equal(said, 0);
}

static void a_pause_said_while_the_reserve_moves_stays(void **unused)
{
    (void)unused;
    beside_a_defrag(pause_too, 0);
    is(VF_PARTITION_PAUSED, VF_HOLD_PERSON);
}

static void a_resume_said_while_the_reserve_moves_takes_away_the_person_s_hold(void **unused)
{
    (void)unused;
    pause_it();
    beside_a_defrag(resume_too, VF_HOLD_PERSON);
    is_at_work();
}

static void a_guest_s_write_waits_while_the_reserve_moves(void **unused)
{
    uint64_t value = 0;
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    beside_a_defrag(write_too, 0);
    must(dxgk_partition_bar_read(rig.dxgk, p, SG_VF_BAR_VRAM, 15 * MIB, &value, sizeof value,
                                 &error),
         &error);
    is_at_work();
}

static void a_defrag_that_leaves_one_standing_says_that_first(void **unused)
{
    (void)unused;
    gates_put("resume.fails");
    assert_int_equal(dxgk_defrag(rig.dxgk, 0, false, &moved, &failed), -1);
    assert_int_equal(failed.code, VF_STANDS);
    assert_int_equal(moved.moves[0].outcome, VF_DEFRAG_MOVED);
    assert_non_null(strstr(moved.moves[0].why, "stands here paused"));
    is(VF_PARTITION_PAUSED, VF_HOLD_FAULT);
    assert_true(rig_expect(&rig, "state", "partition p stands here paused"));
    gates_take("resume.fails");
    resume_it();
    is_at_work();
}

static void a_defrag_s_resume_that_fails_once_is_tried_again(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    gates_put("resume.fail.1");
    must(dxgk_defrag(rig.dxgk, 0, false, &moved, &error), &error);
    assert_true(moved.moves[0].pause_ns > 0);
    is_at_work();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_person_s_pause_outlasts_that_of_a_move),
        TEST(what_a_move_left_paused_a_person_resumes),
        TEST(a_resume_that_fails_once_is_tried_again),
        TEST(what_the_driver_cannot_resume_stands_and_is_told),
        TEST(a_pause_that_fails_leaves_it_at_work),
        TEST(a_pause_said_while_the_reserve_moves_stays),
        TEST(a_resume_said_while_the_reserve_moves_takes_away_the_person_s_hold),
        TEST(a_guest_s_write_waits_while_the_reserve_moves),
        TEST(a_defrag_that_leaves_one_standing_says_that_first),
        TEST(a_defrag_s_resume_that_fails_once_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
