// SPDX-License-Identifier: Apache-2.0
/* Moves between two real kernel processes, with both daemons' migration sides in this one: whole
 * path, real pages. */
#include "migrate/tests/rig/hosts.h"

#include "base/clock.h"

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

static struct host left, right;

static int setup(void **state)
{
    (void)state;
    host_start(&left, "left", 0, 0);
    host_start(&right, "right", 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&left);
    host_stop(&right);
    return 0;
}

/* Moves while it writes, there and back and there again; the content ends as if it never had. */
static void churn_moves_back_and_forth(void **state)
{
    struct guest_options work = {
        .workload = GUEST_CHURN, .size = 32u << 20, .steps = 60000, .seed = 11, .rate = 200000000};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    create(&left, "churn", 64u << 20, &p);
    run_workload(&left, &p, &work);
    expect_moved(move(&left, &right, "churn", &options));
    expect_moved(move(&right, &left, "churn", &options));
    expect_moved(move(&left, &right, "churn", &options));
    if (kc_partition_find(right.kc, "churn", &p, &err) != 0)
        die("find", &err);
    assert_int_equal(p.epoch, 3);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void full_verify_agrees(void **state)
{
    struct guest_options work = {.workload = GUEST_FILL, .size = 40u << 20, .steps = 1, .seed = 3};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    options.verify = MIG_VERIFY_FULL;
    options.max_blackout_ns = 60000000000ull;
    options.streams = 3;
    create(&left, "full", 64u << 20, &p);
    run_workload(&left, &p, &work);
    await_done(&left, &p, got);
    expect_moved(move(&left, &right, "full", &options));
    if (kc_partition_find(right.kc, "full", &p, &err) != 0)
        die("find", &err);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void a_paused_partition_moves_and_arrives_paused(void **state)
{
    struct guest_options work = {
        .workload = GUEST_CHURN, .size = 8u << 20, .steps = 20000, .seed = 5, .rate = 100000000};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    create(&left, "paused", 64u << 20, &p);
    run_workload(&left, &p, &work);
    assert_int_equal(kc_partition_pause(left.kc, p.id, &err), 0);
    expect_moved(move(&left, &right, "paused", &options));
    if (kc_partition_find(right.kc, "paused", &p, &err) != 0)
        die("find", &err);
    assert_int_equal(p.state, VF_PARTITION_PAUSED);
    assert_int_equal(kc_partition_resume(right.kc, p.id, &err), 0);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void a_move_to_itself_is_refused_and_the_partition_runs_on(void **state)
{
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    mig_options_init(&options);
    create(&left, "self", 64u << 20, &p);
    job = move(&left, &left, "self", &options);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    mig_job_put(job);
    assert_int_equal(kc_partition_info(left.kc, p.id, &p, &err), 0);
    assert_int_equal(p.state, VF_PARTITION_RUNNING);
    assert_int_equal(kc_partition_destroy(left.kc, p.id, &err), 0);
}

/* As soon as it runs there it may be said to come back, while the other host still takes its
 * last steps. */
static void it_moves_to_and_fro_without_a_pause_between(void **state)
{
    struct guest_options work = {
        .workload = GUEST_CHURN, .size = 1u << 20, .steps = 4000000, .seed = 5, .rate = 20000000};
    struct host *from = &left, *to = &right;
    struct mig_job *jobs[30];
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    mig_options_init(&options);
    options.max_blackout_ns = 10000000000ull;
    create(&left, "shuttle", 8u << 20, &p);
    run_workload(&left, &p, &work);
    for (int i = 0; i < 30; i++) {
        struct host *next = from;
        uint64_t until = soon();

        jobs[i] = start_move(from, to->address, "shuttle", &options);
        while (kc_partition_find(to->kc, "shuttle", &p, &err) != 0 ||
               p.state != VF_PARTITION_RUNNING) {
            if (vf_now_ns() > until || mig_job_result(jobs[i], &err) != 0)
                fail_msg("move %d: %s", i, err.text);
        }
        from = to;
        to = next;
    }
    for (int i = 0; i < 30; i++) {
        assert_true(mig_job_wait(jobs[i], TP_NEVER, UINT64_MAX));
        expect_moved(jobs[i]);
    }
    assert_int_equal(p.epoch, 30);
    assert_int_equal(kc_partition_destroy(from->kc, p.id, &err), 0);
    expect_empty(to);
}

struct begin {
    _Atomic bool asked;
    struct mig_job *_Atomic job;
};

static void *begin_held(void *arg)
{
    struct begin *begin = arg;
    struct mig_options options;

    mig_options_init(&options);
    atomic_store(&begin->asked, true);
    atomic_store(&begin->job, start_move(&left, right.address, "held", &options));
    return NULL;
}

/* Between a command's look at a partition and what it does then. */
static void a_move_waits_for_who_holds_the_partition(void **state)
{
    struct begin begin = {0};
    struct vf_partition_info p;
    struct mig_hold hold;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t until;
    pthread_t thread;

    (void)state;
    create(&left, "held", 8u << 20, &p);
    assert_int_equal(mig_hold(left.mig, "held", &hold, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, begin_held, &begin), 0);
    while (!atomic_load(&begin.asked))
        (void)sched_yield();
    until = vf_now_ns() + 100000000u;
    while (vf_now_ns() < until) {
        assert_int_equal(mig_job_of(left.mig, "held"), 0);
        (void)poll(NULL, 0, 2);
    }
    assert_null(atomic_load(&begin.job));
    mig_release(left.mig, &hold);
    mig_release(left.mig, &hold);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(mig_job_wait(begin.job, TP_NEVER, UINT64_MAX));
    expect_moved(begin.job);
    if (kc_partition_find(right.kc, "held", &p, &err) != 0)
        die("find", &err);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(churn_moves_back_and_forth),
        cmocka_unit_test(full_verify_agrees),
        cmocka_unit_test(it_moves_to_and_fro_without_a_pause_between),
        cmocka_unit_test(a_paused_partition_moves_and_arrives_paused),
        cmocka_unit_test(a_move_to_itself_is_refused_and_the_partition_runs_on),
        cmocka_unit_test(a_move_waits_for_who_holds_the_partition),
    };

    return cmocka_run_group_tests_name("move", tests, setup, teardown);
}
