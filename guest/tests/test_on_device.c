// SPDX-License-Identifier: Apache-2.0
/*
 * The workloads on the real device: digests equal to the CPU's, also after a move in mid-work to
 * another card.
 */
#include "base/tests/tool.h"
#include "guest/tests/card.h"
#include "guest/tests/plain.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static void start(const struct vf *vf, const struct guest_options *options)
{
    struct vf_error err = VF_ERROR_INIT;

    if (guest_start(options, &vf->memory, &err) != 0)
        fail_msg("start: %s", err.text);
}

/* Waits for the end and holds the digest against the CPU's. */
static void finish(const struct vf *vf, const struct guest_options *options)
{
    char on_gpu[GUEST_DIGEST_BYTES], on_cpu[GUEST_DIGEST_BYTES];
    struct vf_error err = VF_ERROR_INIT;
    struct guest_status status;
    bool ended = vf_wait_end(vf);

    assert_int_equal(guest_status(&vf->memory, &status, NULL), 0);
    if (!ended || status.state != GUEST_DONE)
        fail_msg("%s is %s after %" PRIu64 " of %" PRIu64 " steps",
                 guest_workload_name(options->workload), guest_state_name(status.state),
                 status.steps_done, status.steps_wanted);
    assert_true(status.steps_done == status.steps_wanted);
    if (guest_digest(&vf->memory, on_gpu, &err) != 0 ||
        guest_reference(options, NULL, NULL, on_cpu, &err) != 0)
        fail_msg("%s", err.text);
    if (strcmp(on_gpu, on_cpu) != 0)
        fail_msg("%s: %s on the device, %s by the CPU", guest_workload_name(options->workload),
                 on_gpu, on_cpu);
}

static void run_alone(const struct guest_options *options, unsigned pieces)
{
    struct card card;
    struct vf vf;

    card_open(&card, pieces > 1);
    vf_open(&vf, &card, 1, 16 * MIB, 16 * MIB, pieces);
    start(&vf, options);
    finish(&vf, options);
    vf_close(&vf);
    card_close(&card);
}

static void diffuse_equals_its_reference(void **state)
{
    static const struct {
        uint32_t width, height, maxval;
        uint64_t steps;
    } sizes[] = {{1, 1, 255, 1},
                 {3, 5, 255, 2},
                 {64, 64, 1000, 17},
                 {333, 127, 65535, 30},
                 {1024, 512, 255, 11}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guest_options options = {.workload = GUEST_DIFFUSE, .steps = sizes[i].steps};
        uint8_t *file = noise_picture(sizes[i].width, sizes[i].height, sizes[i].maxval, i,
                                      &options.input_bytes);

        options.input = file;
        run_alone(&options, 1);
        run_alone(&options, 4);
        free(file);
    }
}

static void gemm_equals_its_reference(void **state)
{
    static const struct {
        uint64_t n, steps, seed;
    } sizes[] = {{1, 1, 0}, {7, 3, 1}, {64, 8, 2}, {129, 5, UINT64_MAX}, {256, 3, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guest_options options = {.workload = GUEST_GEMM,
                                        .n = sizes[i].n,
                                        .steps = sizes[i].steps,
                                        .seed = sizes[i].seed};

        run_alone(&options, 1 + (unsigned)i % 2 * 7);
    }
}

static void churn_equals_its_reference(void **state)
{
    static const struct {
        uint64_t size, hot, rate, steps, seed;
    } sizes[] = {{4096, 0, 0, 3, 0},
                 {MIB, 0, 0, 1000, 1},
                 {8 * MIB, 64 << 10, 0, 5000, 2},
                 {MIB, 0, 64 * MIB, 500, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guest_options options = {.workload = GUEST_CHURN,
                                        .size = sizes[i].size,
                                        .hot = sizes[i].hot,
                                        .rate = sizes[i].rate,
                                        .steps = sizes[i].steps,
                                        .seed = sizes[i].seed};

        run_alone(&options, 1);
        run_alone(&options, 16);
    }
}

static void fill_equals_its_reference(void **state)
{
    static const uint64_t sizes[] = {4096, 5 * MIB, 15 * MIB};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct guest_options options = {.workload = GUEST_FILL, .size = sizes[i], .seed = i};

        run_alone(&options, 1);
    }
}

static void one_partition_runs_one_workload_after_another(void **state)
{
    const struct guest_options first = {.workload = GUEST_FILL, .size = 4 * MIB, .seed = 1};
    const struct guest_options second = {.workload = GUEST_GEMM, .n = 50, .steps = 6, .seed = 2};
    struct card card;
    struct vf vf;

    (void)state;
    card_open(&card, false);
    vf_open(&vf, &card, 0, 32 * MIB, 8 * MIB, 1);
    start(&vf, &first);
    finish(&vf, &first);
    start(&vf, &second);
    finish(&vf, &second);
    start(&vf, &second);
    finish(&vf, &second);
    vf_close(&vf);
    card_close(&card);
}

static void a_faulted_partition_starts_again(void **state)
{
    const struct guest_options options = {
        .workload = GUEST_CHURN, .size = MIB, .steps = 1ull << 40};
    const struct guest_options again = {.workload = GUEST_GEMM, .n = 20, .steps = 6, .seed = 2};
    const struct sg_cmd bad = {.op = 9999};
    struct guest_status status = {.state = GUEST_RUNNING};
    struct card card;
    struct vf vf;

    (void)state;
    card_open(&card, false);
    vf_open(&vf, &card, 0, 32 * MIB, 8 * MIB, 1);
    start(&vf, &options);
    vf_pause(&vf);
    for (uint64_t i = 0; i < GUEST_RING_COMMANDS; i++)
        assert_int_equal(
            vf.memory.write(&vf, GUEST_RING_GPA + i * sizeof bad, &bad, sizeof bad, NULL), 0);
    vf_resume(&vf);
    while (status.state ==
           GUEST_RUNNING) /* the test's time limit ends a device that never faults */
        assert_int_equal(guest_status(&vf.memory, &status, NULL), 0);
    assert_int_equal(status.state, GUEST_FAULT);
    start(&vf, &again);
    finish(&vf, &again);
    vf_close(&vf);
    card_close(&card);
}

static void two_partitions_do_not_disturb_each_other(void **state)
{
    const struct guest_options churn = {
        .workload = GUEST_CHURN, .size = 4 * MIB, .steps = 3000, .seed = 8};
    const struct guest_options gemm = {.workload = GUEST_GEMM, .n = 200, .steps = 5, .seed = 9};
    struct vf left, right;
    struct card card;

    (void)state;
    card_open(&card, false);
    vf_open(&left, &card, 0, 16 * MIB, 8 * MIB, 1);
    vf_open(&right, &card, 1, 24 * MIB, 8 * MIB, 1);
    start(&left, &churn);
    start(&right, &gemm);
    finish(&right, &gemm);
    finish(&left, &churn);
    vf_close(&left);
    vf_close(&right);
    card_close(&card);
}

/* Until some steps are done, so that the move falls into the work; false: it has ended already. */
static bool wait_for_step(const struct vf *vf, uint64_t step)
{
    struct guest_status status = {.state = GUEST_RUNNING};

    while (status.state == GUEST_RUNNING && status.steps_done < step)
        assert_int_equal(guest_status(&vf->memory, &status, NULL), 0);
    return status.state == GUEST_RUNNING;
}

static bool pause_in_mid_work(const struct vf *vf, uint64_t step)
{
    struct guest_status status;

    if (!wait_for_step(vf, step))
        return false;
    vf_pause(vf);
    assert_int_equal(guest_status(&vf->memory, &status, NULL), 0);
    if (status.state == GUEST_RUNNING)
        return true;
    vf_resume(vf);
    return false;
}

/*
 * To and fro between two cards while it works; VRAM and execution state are all that travels.
 * On a starved machine the work may end before the last moves: they are left out then, but
 * not the first.
 */
static void run_moving(const struct guest_options *options, unsigned moves)
{
    struct card cards[2];
    struct vf vfs[2];
    unsigned moved = 0;

    card_open(&cards[0], false);
    card_open(&cards[1], true);
    vf_open(&vfs[0], &cards[0], 0, 16 * MIB, 16 * MIB, 1);
    vf_open(&vfs[1], &cards[1], 1, 32 * MIB, 16 * MIB, 8);
    start(&vfs[0], options);
    while (moved < moves &&
           pause_in_mid_work(&vfs[moved % 2], options->steps * (moved + 1) / (moves * 4))) {
        const struct vf *from = &vfs[moved % 2], *to = &vfs[(moved + 1) % 2];

        vf_pause(to);
        vf_move(from, to);
        vf_resume(to);
        moved++;
    }
    assert_true(moved > 0);
    finish(&vfs[moved % 2], options);
    for (unsigned i = 0; i < 2; i++) {
        vf_close(&vfs[i]);
        card_close(&cards[i]);
    }
}

static void a_moved_workload_ends_like_one_that_stayed(void **state)
{
    struct guest_options diffuse = {.workload = GUEST_DIFFUSE, .steps = TEST_SHARE(400)};
    struct guest_options gemm = {
        .workload = GUEST_GEMM, .n = 300, .steps = TEST_SHARE(40), .seed = 4};
    struct guest_options churn = {.workload = GUEST_CHURN,
                                  .size = 8 * MIB,
                                  .steps = TEST_SHARE(20000),
                                  .seed = 5,
                                  .rate = 256 * MIB};
    uint8_t *file = noise_picture(800, 600, 255, 1, &diffuse.input_bytes);

    (void)state;
    diffuse.input = file;
    run_moving(&diffuse, 3);
    run_moving(&gemm, 3);
    run_moving(&churn, 3);
    free(file);
}

/* What a reader of a paused partition sees is what the CPU has after as many steps. */
static void a_paused_picture_is_that_of_its_step(void **state)
{
    struct guest_options options = {.workload = GUEST_DIFFUSE, .steps = TEST_SHARE(4000)};
    uint8_t *file = noise_picture(300, 200, 255, 6, &options.input_bytes);
    struct bytes got = {0};
    struct bytes want = {0};
    struct card card;
    struct vf vf;
    uint64_t steps;

    (void)state;
    options.input = file;
    card_open(&card, false);
    vf_open(&vf, &card, 0, 16 * MIB, 16 * MIB, 4);
    start(&vf, &options);
    assert_true(pause_in_mid_work(&vf, 3));
    assert_int_equal(guest_present(&vf.memory, bytes_sink, &got, &steps, NULL), 0);
    assert_in_range(steps, 3, options.steps - 1);
    vf_resume(&vf);
    finish(&vf, &options);
    options.steps = steps;
    assert_int_equal(guest_reference(&options, bytes_sink, &want, NULL, NULL), 0);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.data, want.data, want.n);
    free(got.data);
    free(want.data);
    free(file);
    vf_close(&vf);
    card_close(&card);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diffuse_equals_its_reference),
        cmocka_unit_test(gemm_equals_its_reference),
        cmocka_unit_test(churn_equals_its_reference),
        cmocka_unit_test(fill_equals_its_reference),
        cmocka_unit_test(one_partition_runs_one_workload_after_another),
        cmocka_unit_test(a_faulted_partition_starts_again),
        cmocka_unit_test(two_partitions_do_not_disturb_each_other),
        cmocka_unit_test(a_moved_workload_ends_like_one_that_stayed),
        cmocka_unit_test(a_paused_picture_is_that_of_its_step),
    };

    return cmocka_run_group_tests_name("guest on device", tests, NULL, NULL);
}
