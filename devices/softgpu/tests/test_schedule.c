// SPDX-License-Identifier: Apache-2.0
/* Shares of engine time: by weight among the busy, and lent time comes out of the lender's slots
 * alone. Ratios only, with wide tolerances: the machine that runs the tests may be loaded. */
#include "rig.h"

#include <stdlib.h>
#include <time.h>

#define A (2 * MIB)
#define SPAN_NS 600000000ull /* 300 slots */
#define SPANS 6u

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=128M,vfs=4");
    for (unsigned vf = 0; vf < 3; vf++)
        rig_power(r, vf);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void spin(struct rig *r, unsigned vf)
{
    rig_add(r, vf, 0, rig_cmd(SG_OP_RANDOM, A, MIB, 1, 1, 0));
    rig_add(r, vf, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, vf, 0);
}

static void let_pass(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

    (void)nanosleep(&t, NULL);
}

struct share {
    double ran[3], lent[3]; /* of the time that passed */
};

static struct share measure(struct rig *r, uint64_t ns)
{
    struct vf_function_clock before[3], after[3];
    struct share s;
    uint64_t start = rig_now(), passed;

    for (unsigned vf = 0; vf < 3; vf++)
        assert_int_equal(r->ops->function_clock(r->dev, VF_FUNCTION_VF(vf), &before[vf]), 0);
    let_pass(ns);
    for (unsigned vf = 0; vf < 3; vf++)
        assert_int_equal(r->ops->function_clock(r->dev, VF_FUNCTION_VF(vf), &after[vf]), 0);
    passed = rig_now() - start;
    for (unsigned vf = 0; vf < 3; vf++) {
        s.ran[vf] = (double)(after[vf].runtime_ns - before[vf].runtime_ns) / (double)passed;
        s.lent[vf] = (double)(after[vf].lent_ns - before[vf].lent_ns) / (double)passed;
        print_message("# vf %u ran %.3f lent %.3f\n", vf, s.ran[vf], s.lent[vf]);
    }
    return s;
}

static bool near(double got, double want)
{
    return got > want - 0.1 && got < want + 0.1;
}

/* The shares the schedule is to give. On a machine that has other things to do an engine may lack
 * its processor for a moment: they have some spans to show. What is wrong stays wrong. */
static struct share expect(struct rig *r, uint64_t ns, struct share want)
{
    struct share s = {0};

    for (unsigned span = 0; span < SPANS; span++) {
        bool good = true;

        s = measure(r, ns);
        for (unsigned vf = 0; vf < 3; vf++)
            good &= near(s.ran[vf], want.ran[vf]) && near(s.lent[vf], want.lent[vf]);
        if (good)
            return s;
    }
    fail_msg("the shares are not %.2f, %.2f and %.2f", want.ran[0], want.ran[1], want.ran[2]);
    return s;
}

static void weights_divide_the_engine(void **state)
{
    struct rig *r = *state;

    for (unsigned vf = 0; vf < 3; vf++) {
        rig_pf_write(r, SG_VFC(vf, SG_VFC_WEIGHT), 4, 64u << vf);
        spin(r, vf);
    }
    (void)expect(r, SPAN_NS, (struct share){.ran = {1.0 / 7, 2.0 / 7, 4.0 / 7}});
}

static void idle_slots_fall_to_the_busy(void **state)
{
    struct rig *r = *state;
    struct share s;

    rig_pf_write(r, SG_VFC(2, SG_VFC_WEIGHT), 4, 1024);
    spin(r, 0);
    spin(r, 1);
    (void)expect(r, SPAN_NS / 2, (struct share){.ran = {0.5, 0.5}});
    rig_pause(r, 1);
    s = expect(r, SPAN_NS / 2, (struct share){.ran = {1.0}});
    assert_true(s.ran[1] == 0);
}

/* Work for several seconds at least; RESET drops what is left of it. */
static void keep_paging_busy(struct rig *r)
{
    struct sg_cmd fill[128];

    for (unsigned i = 0; i < 128; i++)
        fill[i] = rig_cmd(SG_OP_FILL, RIG_VA_VRAM + 96 * MIB, 32 * MIB, 1 + i, 0, 0);
    for (unsigned i = 0; i < 8; i++)
        (void)rig_page(r, fill, 128);
}

static void stop_paging(struct rig *r)
{
    /* It was busy all the time. */
    assert_true(rig_pf_read(r, SG_PF_PAGING_FREE, 4) < SG_PAGING_DEPTH);
    rig_pf_write(r, SG_PF_PAGING_RESET, 4, 1);
}

/* VF-6, SRC-1 */
static void lending_leaves_the_neighbour_its_share(void **state)
{
    struct rig *r = *state;
    struct share s;

    rig_paging_open(r, 0);
    spin(r, 0);
    spin(r, 1);
    rig_pf_write(r, SG_VFC(0, SG_VFC_LEND), 4, 512);
    s = expect(r, SPAN_NS, (struct share){.ran = {0.5, 0.5}});
    assert_true(s.lent[0] == 0); /* the paging engine had nothing to do */
    keep_paging_busy(r);
    s = expect(r, SPAN_NS, (struct share){.ran = {0.25, 0.5}, .lent = {0.25}});
    assert_true(s.lent[1] == 0);
    stop_paging(r);
    (void)expect(r, SPAN_NS, (struct share){.ran = {0.5, 0.5}});
}

/* TGT-1 */
static void lending_all_stands_still_until_paging_ends(void **state)
{
    struct rig *r = *state;
    uint64_t ran;

    rig_paging_open(r, 0);
    spin(r, 0);
    rig_pf_write(r, SG_VFC(0, SG_VFC_LEND), 4, 1024);
    keep_paging_busy(r);
    (void)expect(r, SPAN_NS / 2, (struct share){.lent = {1.0}});
    stop_paging(r);
    ran = rig_pf_read(r, SG_VFC(0, SG_VFC_RUNTIME_NS64), 8);
    /* It runs again; the time limit judges. */
    while (rig_pf_read(r, SG_VFC(0, SG_VFC_RUNTIME_NS64), 8) == ran)
        let_pass(1000000);
}

static void paused_vf_gets_no_time_and_the_clock_says_when(void **state)
{
    struct rig *r = *state;
    struct vf_function_clock clock, later;
    uint64_t paused_at;

    spin(r, 0);
    let_pass(10000000);
    rig_pause(r, 0);
    paused_at = rig_now();
    assert_int_equal(r->ops->function_clock(r->dev, VF_FUNCTION_VF(0), &clock), 0);
    assert_true(clock.last_run_ns && clock.last_run_ns <= paused_at);
    let_pass(10000000);
    assert_int_equal(r->ops->function_clock(r->dev, VF_FUNCTION_VF(0), &later), 0);
    assert_int_equal(later.runtime_ns, clock.runtime_ns);
    assert_int_equal(later.last_run_ns, clock.last_run_ns);
    paused_at = rig_now();
    rig_resume(r, 0);
    do
        assert_int_equal(r->ops->function_clock(r->dev, VF_FUNCTION_VF(0), &later), 0);
    while (!later.first_run_ns);
    assert_true(later.first_run_ns >= paused_at);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(weights_divide_the_engine),
        T(idle_slots_fall_to_the_busy),
        T(lending_leaves_the_neighbour_its_share),
        T(lending_all_stands_still_until_paging_ends),
        T(paused_vf_gets_no_time_and_the_clock_says_when),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
