// SPDX-License-Identifier: Apache-2.0
/* A partition that is slowed while it moves (partition/beats.h): it does less, everybody else
 * finds it as if it ran, and every way out of it ends with the partition at its own speed. */
#include "dxgk/tests/rig/gates.h"
#include "dxgk/tests/rig/hotrig.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (16 * MIB)
#define SPAN_NS 300000000ull

static const char *const one[] = {"softgpu,vram=64M,vfs=4,dirty-page=4K", NULL};

static struct rig rig;
static struct rig *host; /* that p is on */
static uint64_t p;

static int set_up(void **unused)
{
    (void)unused;
    gates_open();
    host = &rig;
    rig_open(host, one, "gated.so");
    p = rig_create(host, "p", 0, RESERVE / MIB, false);
    rig_run(host, p, RESERVE, 1, 0);
    rig_wait(host, p, 10);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    rig_close(host);
    gates_close();
    return 0;
}

static struct vf_partition_info info(void)
{
    struct vf_partition_info now;
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_info(host->dxgk, p, &now, &error), &error);
    return now;
}

static void moment(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void prepare(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_migration_prepare(host->dxgk, p, DXGK_SOURCE, 1, &error), &error);
}

static void end(void)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_migration_end(host->dxgk, p, &error), &error);
}

static void slow(uint32_t percent)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_throttle(host->dxgk, p, percent, &error), &error);
}

/* Slowed, and it has stood already. */
static void begin(uint32_t percent)
{
    prepare();
    slow(percent);
    while (info().throttled_ns == 0)
        moment();
}

/* Nothing slows it, and it stands no more. */
static void is_free(void)
{
    const uint64_t stood = info().throttled_ns;

    assert_int_equal(info().throttle_percent, 0);
    rig_wait(host, p, rig_counter(host, p) + 10);
    assert_int_equal(info().throttled_ns, stood);
}

static void await_free(void)
{
    for (int i = 0; info().throttle_percent != 0; i++) {
        assert_true(i < 30000);
        moment();
    }
}

static void a_slowed_partition_stands_for_its_part_of_the_time(void **unused)
{
    static const uint32_t percents[] = {25, 50, 90};

    (void)unused;
    begin(1);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        uint64_t start, stood;
        double part;

        slow(percents[i]);
        start = vf_now_ns();
        stood = info().throttled_ns;
        while (vf_now_ns() - start < SPAN_NS)
            moment();
        part = (double)(info().throttled_ns - stood) / (double)(vf_now_ns() - start);
        print_message("# of %u %%: %.1f %%\n", percents[i], part * 100);
        /* The host may keep the processor from the thread that lets it stand, or go on. */
        assert_true(part > percents[i] / 300.0 && part < (100 + 2 * percents[i]) / 300.0);
    }
    end();
    is_free();
}

static void it_does_less_while_it_is_slowed(void **unused)
{
    double steps[2];

    (void)unused;
    prepare();
    for (int i = 0; i < 2; i++) {
        uint64_t before, start;

        slow(i == 0 ? 0 : 90);
        before = rig_counter(host, p);
        start = vf_now_ns();
        while (vf_now_ns() - start < SPAN_NS)
            moment();
        steps[i] = (double)(rig_counter(host, p) - before) / (double)(vf_now_ns() - start);
    }
    print_message("# slowed by 90 %%: %.1f %% of the steps\n", 100 * steps[1] / steps[0]);
    assert_true(steps[1] < steps[0] * 0.6);
    end();
    is_free();
}

static void others_find_it_as_if_it_ran(void **unused)
{
    (void)unused;
    begin(90);
    for (int i = 0; i < 200; i++) {
        struct vf_partition_info now = info();

        assert_int_equal(now.state, VF_PARTITION_OUTGOING);
        assert_int_equal(now.holders, 0);
        assert_int_equal(now.throttle_percent, 90);
        moment();
    }
    end();
    assert_int_equal(info().state, VF_PARTITION_RUNNING);
    is_free();
}

static void a_guest_s_write_waits_for_the_end_of_a_stand(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    begin(95);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t value = 0;

        must(
            dxgk_partition_bar_write(host->dxgk, p, SG_VF_BAR_VRAM, 15 * MIB, &i, sizeof i, &error),
            &error);
        must(dxgk_partition_bar_read(host->dxgk, p, SG_VF_BAR_VRAM, 15 * MIB, &value, sizeof value,
                                     &error),
             &error);
    }
    end();
    is_free();
}

/* Calls that need the partition's lock, hundreds of them: none waits for a whole stand. */
static void whoever_wants_the_partition_ends_a_stand(void **unused)
{
    static uint64_t bits[RESERVE / 4096 / 64];
    struct vf_error error = VF_ERROR_INIT;
    uint64_t dirty, start, took;

    (void)unused;
    begin(99);
    start = vf_now_ns();
    for (int i = 0; i < 300; i++)
        must(dxgk_migration_query_dirty(host->dxgk, p, bits, sizeof bits, &dirty, &error), &error);
    took = vf_now_ns() - start;
    print_message("# 300 queries in %.1f ms\n", (double)took / 1e6);
    assert_true(took < 300 * 4900000ull); /* a stand of 99 % lasts 4.95 ms */
    assert_int_equal(info().throttle_percent, 99);
    end();
    is_free();
}

static void a_pause_ends_it(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    begin(50);
    must(dxgk_partition_pause(host->dxgk, p, &error), &error);
    assert_int_equal(info().state, VF_PARTITION_OUTGOING_PAUSED);
    assert_int_equal(info().holders, VF_HOLD_MOVE);
    await_free();
    assert_int_equal(info().state, VF_PARTITION_OUTGOING_PAUSED);
    must(dxgk_partition_resume(host->dxgk, p, &error), &error);
    is_free();
    slow(50); /* the pause did not fit, say: another round */
    end();
    is_free();
}

static void a_move_begins_with_no_time_stood(void **unused)
{
    (void)unused;
    begin(50);
    end();
    assert_true(info().throttled_ns > 0);
    prepare();
    assert_int_equal(info().throttled_ns, 0);
    end();
}

static void it_may_be_removed_and_the_host_closed(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    begin(99);
    must(dxgk_partition_destroy(host->dxgk, p, &error), &error);
    p = rig_create(host, "p", 0, RESERVE / MIB, false);
    rig_run(host, p, RESERVE, 1, 0);
    begin(99); /* tear_down closes it so */
}

/* The thread may wait for the very lock under which the throttle is taken back. */
static void one_that_is_slowed_no_more_can_be_removed_at_once(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    for (int i = 0; i < 30; i++) {
        begin(99);
        slow(0);
        must(dxgk_partition_destroy(host->dxgk, p, &error), &error);
        p = rig_create(host, "p", 0, RESERVE / MIB, false);
        rig_run(host, p, RESERVE, 1, 0);
    }
}

static void what_is_no_throttle_is_refused(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    assert_int_equal(dxgk_partition_throttle(host->dxgk, p, 50, &error), -1);
    assert_int_equal(error.code, VF_FAILED);
    assert_non_null(strstr(error.text, "only one that runs and moves is slowed"));
    slow(0);
    prepare();
    assert_int_equal(dxgk_partition_throttle(host->dxgk, p, 100, &error), -1);
    assert_int_equal(error.code, VF_USAGE);
    assert_int_equal(dxgk_partition_throttle(host->dxgk, p + 1, 50, &error), -1);
    assert_int_equal(error.code, VF_FAILED);
    end();
    is_free();
}

/* ---- the driver fails ---- */

static void what_the_driver_cannot_pause_is_not_slowed(void **unused)
{
    (void)unused;
    prepare();
    gates_put("pause.fails");
    slow(50);
    await_free();
    assert_int_equal(info().state, VF_PARTITION_OUTGOING);
    gates_take("pause.fails");
    is_free();
    end();
}

/* The driver has failed, and the partition is slowed still. */
static void fails_once(const char *gate)
{
    begin(50);
    gates_put(gate);
    gates_await_taken(gate);
    assert_int_equal(info().throttle_percent, 50);
    assert_int_equal(info().state, VF_PARTITION_OUTGOING);
    end();
    is_free();
}

static void a_pause_that_fails_once_is_tried_again(void **unused)
{
    (void)unused;
    fails_once("pause.fail.1");
}

static void what_the_driver_cannot_resume_stands_and_is_told(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    begin(50);
    gates_put("resume.fails");
    await_free();
    assert_int_equal(info().state, VF_PARTITION_OUTGOING_PAUSED);
    assert_int_equal(info().holders, VF_HOLD_FAULT);
    assert_true(rig_expect(host, "state", "partition p stands here paused"));
    gates_take("resume.fails");
    end();
    must(dxgk_partition_resume(host->dxgk, p, &error), &error);
    is_free();
}

static void a_resume_that_fails_once_is_tried_again(void **unused)
{
    (void)unused;
    fails_once("resume.fail.1");
}

/* ---- beside a driver update ---- */

static void a_driver_is_replaced_beside_it(void **unused)
{
    struct vf_driver_update update;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    host = &work.rig;
    p = work.id;
    begin(90);
    hot_must_update(&work.rig, "softgpu-v2.so", &update);
    hot_must_update(&work.rig, "softgpu.so", &update);
    assert_int_equal(info().throttle_percent, 90);
    end();
    is_free();
    hot_work_goes_on(&work);
    hot_work_end(&work);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_slowed_partition_stands_for_its_part_of_the_time),
        TEST(it_does_less_while_it_is_slowed),
        TEST(others_find_it_as_if_it_ran),
        TEST(a_guest_s_write_waits_for_the_end_of_a_stand),
        TEST(whoever_wants_the_partition_ends_a_stand),
        TEST(a_pause_ends_it),
        TEST(a_move_begins_with_no_time_stood),
        TEST(it_may_be_removed_and_the_host_closed),
        TEST(one_that_is_slowed_no_more_can_be_removed_at_once),
        TEST(what_is_no_throttle_is_refused),
        TEST(what_the_driver_cannot_pause_is_not_slowed),
        TEST(a_pause_that_fails_once_is_tried_again),
        TEST(what_the_driver_cannot_resume_stands_and_is_told),
        TEST(a_resume_that_fails_once_is_tried_again),
        cmocka_unit_test(a_driver_is_replaced_beside_it),
    };

    dxgk_trial_main(argc, argv);
    rig_trials = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
