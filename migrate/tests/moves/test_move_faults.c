// SPDX-License-Identifier: Apache-2.0
/*
 * Moves over a network that breaks, falls silent, cuts records in half and flips bits, at every
 * record of a move: before COMMIT the partition runs on at its source and nothing is left on the
 * target, after COMMIT it runs on the target; never two, never none.
 */
#include "migrate/tests/rig/fault_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct point {
    enum proxy_way way;
    enum wire_tag tag;
    unsigned skip;
};

/* Before the first round and from STATE on, whatever breaks ends the move. */
static const struct point outside_rounds[] = {
    {TO_TARGET, WIRE_HELLO, 0},    {TO_SOURCE, WIRE_HELLO, 0}, {TO_TARGET, WIRE_ADMIT, 0},
    {TO_SOURCE, WIRE_ADMITTED, 0}, {TO_TARGET, WIRE_STATE, 0}, {TO_SOURCE, WIRE_READY, 0},
};

/* In between, a link that is lost is made anew. */
static const struct point in_rounds[] = {
    {TO_TARGET, WIRE_HELLO, 1}, {TO_TARGET, WIRE_ROUND, 0}, {TO_TARGET, WIRE_PAGES, 0},
    {TO_TARGET, WIRE_PAGES, 3}, {TO_SOURCE, WIRE_ACK, 0},   {TO_TARGET, WIRE_ROUND_END, 0},
    {TO_TARGET, WIRE_ROUND, 1}, {TO_SOURCE, WIRE_ACK, 2},   {TO_TARGET, WIRE_ROUND_END, 2},
};

#define COUNT(points) (sizeof(points) / sizeof *(points))

static void break_at(const struct point *point, enum proxy_act act)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, act};
    const char *label = name_fault(&fault);
    struct footprint before;
    struct vf_error err = end(begin(&before, &fault));

    if (!proxy_fired(proxy))
        fail_msg("%s: the record never came", label);
    if (err.code != VF_FAILED)
        fail_msg("%s: code %d (%s)", label, (int)err.code, err.text);
    expect_never_happened(label, &before);
}

/* The control connection alone falls silent while the pages still arrive: they may all be there,
 * and STATE on its way, before anybody can know. */
static bool may_be_late(const struct point *point, enum proxy_act act)
{
    return point->tag == WIRE_ROUND && act == PROXY_SILENCE;
}

static void interrupt_at(const struct point *point, enum proxy_act act)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, act};
    const char *label = name_fault(&fault);
    struct footprint before;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job = begin(&before, &fault);

    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    if (!proxy_fired(proxy))
        fail_msg("%s: the record never came", label);
    if (may_be_late(point, act) && mig_job_result(job, &err) != 0) {
        mig_job_put(job);
        assert_int_equal(err.code, VF_FAILED);
        expect_never_happened(label, &before);
        return;
    }
    if (reconnects(job) != 1)
        fail_msg("%s: %" PRIu64 " reconnects", label, reconnects(job));
    expect_arrived(label, job, &before);
}

static void lose_the_link_everywhere(enum proxy_act act)
{
    for (size_t i = 0; i < COUNT(outside_rounds); i++)
        break_at(&outside_rounds[i], act);
    for (size_t i = 0; i < COUNT(in_rounds); i++)
        interrupt_at(&in_rounds[i], act);
}

static void a_cut_before_commit_goes_on_or_never_happened(void **state)
{
    (void)state;
    lose_the_link_everywhere(PROXY_CUT);
}

static void a_record_cut_in_half_goes_on_or_never_happened(void **state)
{
    (void)state;
    lose_the_link_everywhere(PROXY_TRUNCATE);
}

static void silence_before_commit_goes_on_or_never_happened(void **state)
{
    (void)state;
    lose_the_link_everywhere(PROXY_SILENCE);
}

static void a_flipped_bit_never_happened(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(outside_rounds); i++)
        break_at(&outside_rounds[i], PROXY_FLIP);
    /* A data stream that is refused at its HELLO may look like one that was lost. */
    for (size_t i = 1; i < COUNT(in_rounds); i++)
        break_at(&in_rounds[i], PROXY_FLIP);
}

static void a_broken_hand_off_after_commit_completes(void **state)
{
    static const struct point points[] = {{TO_TARGET, WIRE_COMMIT, 0},
                                          {TO_SOURCE, WIRE_RUNNING, 0},
                                          {TO_TARGET, WIRE_DONE, 0},
                                          {TO_SOURCE, WIRE_CLOSE, 0}};
    static const enum proxy_act acts[] = {PROXY_CUT, PROXY_TRUNCATE, PROXY_FLIP, PROXY_SILENCE};

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        struct proxy_fault fault = {points[i / 4].way, points[i / 4].tag, 0, acts[i % 4]};
        const char *label = name_fault(&fault);
        struct footprint before;
        struct mig_job *job = begin(&before, &fault);

        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        if (!proxy_fired(proxy))
            fail_msg("%s: the record never came", label);
        expect_arrived(label, job, &before);
    }
}

/* ---- cancels ---- */

/* The job on that side, while the record is held. */
static struct mig_job *job_at(struct host *host, struct mig_job *source_job)
{
    return host == &left ? mig_job_get(left.mig, mig_job_id(source_job))
                         : mig_job_get(right.mig, mig_job_of(right.mig, NAME));
}

/* Cancels on that side while the record is on its way; 0 or what mig_job_cancel said. */
static int cancel_at(const struct point *point, struct host *host, struct footprint *before,
                     struct mig_job **job)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, PROXY_HOLD};
    struct mig_job *here;
    int result;

    *job = begin(before, &fault);
    if (!proxy_await_hold(proxy))
        fail_msg("%s: the record never came", name_fault(&fault));
    here = job_at(host, *job);
    assert_non_null(here);
    result = mig_job_cancel(here, NULL);
    mig_job_put(here);
    proxy_release(proxy);
    return result;
}

static void expect_cancelled(const struct point *point, struct host *host)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, PROXY_HOLD};
    const char *label = name_fault(&fault);
    struct footprint before;
    struct mig_job *job;
    struct vf_error err;

    if (cancel_at(point, host, &before, &job) != 0)
        fail_msg("%s: the cancel was refused", label);
    err = end(job);
    if (err.code != VF_CANCELLED)
        fail_msg("%s: code %d (%s)", label, (int)err.code, err.text);
    expect_never_happened(label, &before);
}

static void a_cancel_at_the_source_never_happened(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(outside_rounds); i++)
        expect_cancelled(&outside_rounds[i], &left);
    for (size_t i = 0; i < COUNT(in_rounds); i++)
        expect_cancelled(&in_rounds[i], &left);
}

static void a_cancel_at_the_target_never_happened(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(outside_rounds); i++) {
        enum wire_tag tag = outside_rounds[i].tag;

        /* Its job is known from ADMITTED to READY. */
        if (tag != WIRE_HELLO && tag != WIRE_ADMIT && tag != WIRE_READY)
            expect_cancelled(&outside_rounds[i], &right);
    }
    for (size_t i = 0; i < COUNT(in_rounds); i++)
        expect_cancelled(&in_rounds[i], &right);
}

static void a_cancel_that_comes_too_late_is_refused(void **state)
{
    static const struct {
        struct point point;
        struct host *host;
    } late[] = {{{TO_SOURCE, WIRE_READY, 0}, &right},
                {{TO_TARGET, WIRE_COMMIT, 0}, &left},
                {{TO_TARGET, WIRE_COMMIT, 0}, &right}};

    (void)state;
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        struct footprint before;
        struct mig_job *job;

        assert_int_equal(cancel_at(&late[i].point, late[i].host, &before, &job), -1);
        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        expect_moved(job);
        expect_footprint("late cancel", &before);
        expect_digest("late cancel", &right);
    }
}

/* ---- limits and unknown outcomes ---- */

static void silence_in_the_blackout_costs_no_more_than_its_limit(void **state)
{
    struct proxy_fault fault = {TO_TARGET, WIRE_STATE, 0, PROXY_SILENCE};
    const char *label = "blackout";
    struct vf_partition_info p;
    struct mig_options options;
    struct footprint before;
    struct vf_error err;

    (void)state;
    options_of(&options);
    options.max_blackout_ns = SILENCE_NS / 2;
    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    before = footprint();
    proxy_arm(proxy, &fault);
    err = end(start_move(&left, through, NAME, &options));
    assert_true(proxy_fired(proxy));
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "--max-blackout"));
    expect_never_happened(label, &before);
}

static enum mig_status newest_status(struct host *host)
{
    json_t *list = mig_jobs(host->mig);
    struct mig_job *job = mig_job_get(
        host->mig, (uint64_t)json_integer_value(json_object_get(json_array_get(list, 0), "job")));
    struct mig_progress progress;

    assert_non_null(job);
    mig_job_progress(job, &progress);
    mig_job_put(job);
    json_decref(list);
    return progress.status;
}

/* The network stays away after the fault. */
static struct vf_error end_alone(enum proxy_way way, enum wire_tag tag, struct footprint *before)
{
    struct proxy_fault fault = {way, tag, 0, PROXY_HOLD};
    struct mig_job *job = begin(before, &fault);

    assert_true(proxy_await_hold(proxy));
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    return end(job);
}

static void a_prepared_target_that_is_never_told_is_unknown(void **state)
{
    const char *label = "never told";
    struct footprint before;
    struct vf_error err;

    (void)state;
    err = end_alone(TO_SOURCE, WIRE_READY, &before);
    assert_int_equal(err.code, VF_FAILED);
    expect_state(label, &left, VF_PARTITION_RUNNING);
    AWAIT(newest_status(&right) != MIG_RUNNING, "the target waits for ever");
    assert_int_equal(newest_status(&right), MIG_UNKNOWN);
    expect_state(label, &right, VF_PARTITION_READY);
    expect_footprint(label, &before);
    proxy_refuse(proxy, false);
    clear_away(&right);
    expect_digest(label, &left);
}

static void a_commit_that_nobody_answers_is_unknown_and_resumes_nowhere(void **state)
{
    const char *label = "unanswered";
    struct footprint before;
    struct vf_error err;

    (void)state;
    err = end_alone(TO_TARGET, WIRE_COMMIT, &before);
    assert_int_equal(err.code, VF_UNKNOWN);
    expect_state(label, &left, VF_PARTITION_OUTGOING_PAUSED);
    AWAIT(newest_status(&right) != MIG_RUNNING, "the target waits for ever");
    assert_int_equal(newest_status(&right), MIG_UNKNOWN);
    expect_state(label, &right, VF_PARTITION_READY);
    expect_footprint(label, &before);
    proxy_refuse(proxy, false);
    clear_away(&left);
    clear_away(&right);
}

/* A daemon that ends need not wait for a peer that was lost. */
static void closing_ends_the_wait_of_a_prepared_target(void **state)
{
    struct proxy_fault fault = {TO_TARGET, WIRE_COMMIT, 0, PROXY_HOLD};
    struct host third;
    struct proxy *own = proxy;
    struct footprint before;
    struct mig_job *job;
    uint64_t asked;

    (void)state;
    host_start(&third, "third", 60000000000ull, 600000000000ull);
    proxy = proxy_open(third.address, through);
    job = begin(&before, &fault);
    assert_true(proxy_await_hold(proxy));
    asked = vf_now_ns();
    host_stop(&third);
    assert_true(vf_now_ns() - asked < PATIENCE_NS);
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    assert_int_equal(end(job).code, VF_UNKNOWN);
    proxy_close(proxy);
    proxy = own;
    (void)snprintf(through, sizeof through, "%s", proxy_address(proxy));
    clear_away(&left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_before_commit_goes_on_or_never_happened),
        cmocka_unit_test(a_record_cut_in_half_goes_on_or_never_happened),
        cmocka_unit_test(a_flipped_bit_never_happened),
        cmocka_unit_test(silence_before_commit_goes_on_or_never_happened),
        cmocka_unit_test(a_broken_hand_off_after_commit_completes),
        cmocka_unit_test(a_cancel_at_the_source_never_happened),
        cmocka_unit_test(a_cancel_at_the_target_never_happened),
        cmocka_unit_test(a_cancel_that_comes_too_late_is_refused),
        cmocka_unit_test(silence_in_the_blackout_costs_no_more_than_its_limit),
        cmocka_unit_test(a_prepared_target_that_is_never_told_is_unknown),
        cmocka_unit_test(a_commit_that_nobody_answers_is_unknown_and_resumes_nowhere),
        cmocka_unit_test(closing_ends_the_wait_of_a_prepared_target),
    };

    return cmocka_run_group_tests_name("move-faults", tests, rig_setup, rig_teardown);
}
