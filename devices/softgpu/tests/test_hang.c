// SPDX-License-Identifier: Apache-2.0
/* A command that never ends is told after its limit of engine time, one that is only long is not,
 * and nobody but its VF feels it. */
#include "rig.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORD (4 * MIB)
#define LIMIT_NS 20000000ull
#define OTHER 1u
#define PATIENCE_MS 30000
#define SPANS 10u

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    *state = r;
    rig_open(r, "vram=128M,vfs=2");
    rig_power(r, 0);
    rig_power(r, OTHER);
    rig_pf_write(r, SG_VFC(0, SG_VFC_HANG_NS64), 8, LIMIT_NS);
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, SG_INT_VF_HANG);
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static uint32_t status(struct rig *r, unsigned vf)
{
    return (uint32_t)rig_pf_read(r, SG_VFC(vf, SG_VFC_STATUS), 4);
}

static struct sg_cmd wait_for(uint64_t word, uint64_t value, uint32_t cond)
{
    struct sg_cmd cmd = rig_cmd(SG_OP_WAIT, word, value, 0, 0, 0);

    cmd.flags = cond;
    return cmd;
}

static void start_hang(struct rig *r, unsigned q)
{
    rig_add(r, 0, q, wait_for(WORD, 1, SG_COND_EQ));
    rig_add(r, 0, q, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    rig_start(r, 0, q);
}

/* Waits for the PF's message; true when it came for a hang. */
static bool told(struct rig *r, int timeout_ms)
{
    struct pollfd wait = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
    bool hang;

    assert_true(wait.fd >= 0);
    assert_int_equal(r->ops->pf_irq(r->dev, 0, wait.fd), 0);
    hang = poll(&wait, 1, timeout_ms) == 1 && rig_pf_read(r, SG_PF_INT_STATUS, 4) & SG_INT_VF_HANG;
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_VF_HANG);
    assert_int_equal(r->ops->pf_irq(r->dev, 0, -1), 0);
    close(wait.fd);
    return hang;
}

static uint64_t runtime(struct rig *r, unsigned vf)
{
    return rig_pf_read(r, SG_VFC(vf, SG_VFC_RUNTIME_NS64), 8);
}

static void await_runtime(struct rig *r, unsigned vf, uint64_t ns)
{
    while (runtime(r, vf) < ns)
        ;
}

static void a_wait_without_end_is_told_after_its_limit_of_engine_time(void **state)
{
    struct rig *r = *state;

    start_hang(r, 0);
    assert_true(told(r, PATIENCE_MS));
    assert_true(runtime(r, 0) >= LIMIT_NS);
    assert_true(status(r, 0) & SG_VFC_STATUS_HANG);
    assert_false(status(r, OTHER) & SG_VFC_STATUS_HANG);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_STATUS, 4), SG_Q_RUNNING);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8), 0);
    /* Once a hang, not once a slot. */
    await_runtime(r, 0, 4 * LIMIT_NS);
    assert_false(rig_pf_read(r, SG_PF_INT_STATUS, 4) & SG_INT_VF_HANG);
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_HANGS), 4), 1);
    assert_int_equal(rig_pf_read(r, SG_VFC(OTHER, SG_VFC_HANGS), 4), 0);
}

static void the_limit_is_two_seconds_after_a_start_and_none_when_zero(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_pf_read(r, SG_VFC(OTHER, SG_VFC_HANG_NS64), 8), 2000000000);
    rig_pf_write(r, SG_VFC(0, SG_VFC_HANG_NS64), 8, 0);
    start_hang(r, 0);
    await_runtime(r, 0, 4 * LIMIT_NS);
    assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
}

static void a_wait_ends_with_the_word_it_waits_for(void **state)
{
    struct rig *r = *state;

    start_hang(r, 1); /* the copy engine knows it too */
    assert_true(told(r, PATIENCE_MS));
    rig_set_word(r, 0, WORD, 1);
    assert_int_equal(rig_wait(r, 0, 1), SG_Q_HALTED);
    assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(1) + SG_Q_RETIRED64, 8), 2);
}

static void a_wait_compares_as_a_conditional_jump_does(void **state)
{
    struct rig *r = *state;

    rig_set_word(r, 0, WORD, 7);
    rig_add(r, 0, 0, wait_for(WORD, 8, SG_COND_LT));
    rig_add(r, 0, 0, wait_for(WORD, 7, SG_COND_GE));
    rig_add(r, 0, 0, wait_for(WORD, 7, SG_COND_EQ));
    rig_add(r, 0, 0, wait_for(WORD, 6, SG_COND_NE));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    rig_add(r, 0, 0, wait_for(WORD, 7, 4));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_FAULT);
}

static void a_long_loop_and_a_long_command_are_no_hang(void **state)
{
    struct rig *r = *state;

    rig_add(r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, 0, 0);
    await_runtime(r, 0, 5 * LIMIT_NS);
    assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
    rig_vf_write(r, 0, SG_VF_QUEUE(0) + SG_Q_CTRL, 4, 0);
    assert_int_equal(rig_wait(r, 0, 0), SG_Q_HALTED);
    rig_empty(r, 0, 0);
    /* n = 1024: 3 matrices of 4 MiB, one command of 10^9 products. */
    rig_add(r, 0, 0, rig_cmd(SG_OP_GEMM, 8 * MIB, 12 * MIB, 16 * MIB, 1024, 0));
    rig_start(r, 0, 0);
    while (rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8) == 0 &&
           runtime(r, 0) < 20 * LIMIT_NS)
        assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
    assert_false(rig_pf_read(r, SG_PF_INT_STATUS, 4) & SG_INT_VF_HANG);
}

static void a_paced_queue_is_no_hang(void **state)
{
    struct rig *r = *state;

    /* The second count is due in a year. */
    rig_add(r, 0, 0, rig_cmd(SG_OP_PACE, WORD, 31536000000000000ull, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_ADD, WORD, 1, 0, 0, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, 0, 0);
    assert_false(told(r, 200));
    assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
}

static void a_pause_is_complete_and_ends_no_hang(void **state)
{
    struct rig *r = *state;

    start_hang(r, 0);
    assert_true(told(r, PATIENCE_MS));
    rig_pause(r, 0);
    assert_false(status(r, 0) & SG_VFC_STATUS_HANG);
    rig_resume(r, 0);
    assert_true(told(r, PATIENCE_MS));
}

/* As a move that slows the VF makes them. */
static void many_short_pauses_hide_no_hang(void **state)
{
    struct rig *r = *state;
    bool found = false;

    start_hang(r, 0);
    for (int i = 0; i < PATIENCE_MS && !found; i++) {
        rig_pause(r, 0);
        rig_resume(r, 0);
        found = told(r, 1);
    }
    assert_true(found);
}

static void a_reset_ends_the_hang_and_touches_nobody_else(void **state)
{
    struct rig *r = *state;
    uint64_t was;

    rig_add(r, OTHER, 0, rig_cmd(SG_OP_ADD, WORD, 1, 0, 0, 0));
    rig_add(r, OTHER, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, OTHER, 0);
    rig_set_word(r, 0, WORD + 8, 42);
    start_hang(r, 0);
    assert_true(told(r, PATIENCE_MS));
    was = rig_word(r, OTHER, WORD);
    rig_pf_write(r, SG_VFC(0, SG_VFC_RESET), 4, 1);
    assert_int_equal(status(r, 0) & (SG_VFC_STATUS_HANG | SG_VFC_STATUS_BUSY), 0);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_STATUS, 4), SG_Q_HALTED);
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_HANG_NS64), 8), LIMIT_NS);
    assert_int_equal(rig_word(r, 0, WORD + 8), 42);
    while (rig_word(r, OTHER, WORD) == was) /* the test's time limit is the judge */
        ;
    assert_int_equal(rig_vf_read(r, OTHER, SG_VF_QUEUE(0) + SG_Q_STATUS, 4), SG_Q_RUNNING);
}

/* On a machine that has other things to do a slot lasts while its engine lacks the processor: there
 * are some spans to show the share. What is wrong stays wrong. */
static void a_hang_takes_no_more_than_its_share(void **state)
{
    struct rig *r = *state;
    uint64_t hung = 0;

    rig_add(r, OTHER, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, OTHER, 0);
    start_hang(r, 0);
    for (unsigned span = 0; span < SPANS; span++) {
        uint64_t before = runtime(r, 0);

        await_runtime(r, OTHER, runtime(r, OTHER) + 10 * LIMIT_NS);
        hung = runtime(r, 0) - before;
        if (hung >= 7 * LIMIT_NS && hung <= 13 * LIMIT_NS)
            break;
    }
    assert_in_range(hung, 7 * LIMIT_NS, 13 * LIMIT_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(a_wait_without_end_is_told_after_its_limit_of_engine_time),
        TEST(the_limit_is_two_seconds_after_a_start_and_none_when_zero),
        TEST(a_wait_ends_with_the_word_it_waits_for),
        TEST(a_wait_compares_as_a_conditional_jump_does),
        TEST(a_long_loop_and_a_long_command_are_no_hang),
        TEST(a_paced_queue_is_no_hang),
        TEST(a_pause_is_complete_and_ends_no_hang),
        TEST(many_short_pauses_hide_no_hang),
        TEST(a_reset_ends_the_hang_and_touches_nobody_else),
        TEST(a_hang_takes_no_more_than_its_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
