// SPDX-License-Identifier: Apache-2.0
/*
 * A lost link does not lose the work: cut once, many times, in the rounds or in the blackout, the
 * move goes on where it was and arrives whole; what does not come back is given up in time, and
 * whoever is asked to stop does so at once.
 */
#include "migrate/tests/rig/fault_rig.h"

#include "base/tests/chance.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NEVER_NS 600000000000ull /* longer than any test lives */

static struct mig_job *begin_with(struct footprint *before, const struct proxy_fault *fault,
                                  const struct mig_options *options)
{
    struct vf_partition_info p;

    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    *before = footprint();
    proxy_arm(proxy, fault);
    return start_move(&left, through, NAME, options);
}

static void expect_fired(const char *label)
{
    if (!proxy_fired(proxy))
        fail_msg("%s: the record never came", label);
}

/* ---- it goes on ---- */

static void cuts_at_random_moments_lose_nothing(void **state)
{
    static const struct {
        enum proxy_way way;
        enum wire_tag tag;
    } records[] = {{TO_TARGET, WIRE_ROUND},     {TO_TARGET, WIRE_PAGES}, {TO_TARGET, WIRE_PAGES},
                   {TO_TARGET, WIRE_ROUND_END}, {TO_SOURCE, WIRE_ACK},   {TO_SOURCE, WIRE_RESUMED},
                   {TO_TARGET, WIRE_RESUME},    {TO_SOURCE, WIRE_TABLE}};
    static const enum proxy_act acts[] = {PROXY_CUT, PROXY_CUT, PROXY_TRUNCATE, PROXY_SILENCE};
    uint64_t seed = chance_seed();

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        unsigned record = (unsigned)chance_below(&seed, sizeof records / sizeof *records);
        struct proxy_fault fault = {.way = records[record].way,
                                    .tag = records[record].tag,
                                    .skip = (unsigned)chance_below(&seed, 5),
                                    .act = acts[chance_below(&seed, 4)],
                                    .again = (unsigned)chance_below(&seed, 3)};
        struct footprint before;
        struct mig_job *job = begin(&before, &fault);

        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        (void)proxy_fired(proxy);
        expect_arrived(name_fault(&fault), job, &before);
    }
}

/* The way back is broken too, while source and target agree on what is owed. */
static void a_resumption_that_is_cut_is_tried_again(void **state)
{
    static const struct proxy_fault second[] = {
        {TO_TARGET, WIRE_RESUME, 0, PROXY_CUT, 1, false},
        {TO_SOURCE, WIRE_RESUMED, 0, PROXY_CUT, 1, false},
        {TO_SOURCE, WIRE_TABLE, 0, PROXY_TRUNCATE, 1, false},
        {TO_TARGET, WIRE_RESUME, 0, PROXY_SILENCE, 0, false}};

    (void)state;
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        const struct proxy_fault hold = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
        const char *label = name_fault(&second[i]);
        struct footprint before;
        struct mig_job *job = begin(&before, &hold);

        assert_true(proxy_await_hold(proxy));
        proxy_arm(proxy, &second[i]);
        proxy_cut_held(proxy);
        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        expect_fired(label);
        assert_int_equal(reconnects(job), 1);
        expect_arrived(label, job, &before);
    }
}

static void all_connections_at_once_may_break(void **state)
{
    const struct proxy_fault hold = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
    struct footprint before;
    struct mig_job *job;

    (void)state;
    job = begin(&before, &hold);
    assert_true(proxy_await_hold(proxy));
    proxy_cut_all(proxy);
    proxy_cut_held(proxy);
    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    assert_int_equal(reconnects(job), 1);
    expect_arrived("all at once", job, &before);
}

/* A large reserve through a link that breaks after every few frames. */
static void a_link_that_is_cut_again_and_again_still_carries_a_move(void **state)
{
    static const struct guest_options large = {
        .workload = GUEST_FILL, .size = 56u << 20, .seed = 3};
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 6, PROXY_CUT, 1000, false};
    const char *label = "again and again";
    char small[GUEST_DIGEST_BYTES];
    struct vf_partition_info p;
    struct mig_options options;
    struct footprint before;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    memcpy(small, want, sizeof small);
    assert_int_equal(guest_reference(&large, NULL, NULL, want, &err), 0);
    options_of(&options);
    create(&left, NAME, 64u << 20, &p);
    run_workload(&left, &p, &large);
    before = footprint();
    proxy_arm(proxy, &fault);
    job = start_move(&left, through, NAME, &options);
    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    expect_fired(label);
    if (reconnects(job) < 4)
        fail_msg("%" PRIu64 " reconnects", reconnects(job));
    expect_arrived(label, job, &before);
    memcpy(want, small, sizeof small);
}

static void a_link_lost_in_the_blackout_comes_back_within_its_limit(void **state)
{
    static const struct proxy_fault faults[] = {{TO_TARGET, WIRE_ROUND_END, 0, PROXY_CUT, 0, true},
                                                {TO_TARGET, WIRE_ROUND_END, 1, PROXY_CUT, 2, true},
                                                {TO_SOURCE, WIRE_ACK, 0, PROXY_TRUNCATE, 0, true},
                                                {TO_SOURCE, WIRE_ACK, 1, PROXY_SILENCE, 0, true},
                                                {TO_TARGET, WIRE_REHASH, 0, PROXY_CUT, 0, true}};

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *label = name_fault(&faults[i]);
        struct mig_options options;
        struct footprint before;
        struct mig_job *job;

        options_of(&options);
        options.verify = faults[i].tag == WIRE_REHASH ? MIG_VERIFY_FULL : MIG_VERIFY_DELTA;
        job = begin_with(&before, &faults[i], &options);
        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        expect_fired(label);
        assert_int_equal(reconnects(job), 1 + faults[i].again);
        expect_arrived(label, job, &before);
    }
}

/* ---- it does not come back ---- */

/* The move, with the network gone since that record. */
static struct mig_job *begin_alone(const struct proxy_fault *fault,
                                   const struct mig_options *options, struct footprint *before)
{
    struct mig_job *job = begin_with(before, fault, options);

    if (!proxy_await_hold(proxy))
        fail_msg("%s: the record never came", name_fault(fault));
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    return job;
}

static void expect_given_up(const struct proxy_fault *fault, const struct mig_options *options,
                            const char *words)
{
    const char *label = name_fault(fault);
    struct footprint before;
    struct vf_error err = end(begin_alone(fault, options, &before));

    assert_int_equal(err.code, VF_FAILED);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
    expect_state(label, &left, VF_PARTITION_RUNNING);
    proxy_refuse(proxy, false);
    expect_never_happened(label, &before);
}

static void a_network_that_stays_away_is_given_up(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
    struct mig_options options;

    (void)state;
    options_of(&options);
    expect_given_up(&fault, &options, "--redial");
    options.max_time_ns = REDIAL_NS / 2;
    expect_given_up(&fault, &options, "--max-time");
}

static void a_network_that_stays_away_costs_no_more_than_the_allowed_blackout(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_ROUND_END, 0, PROXY_HOLD, 0, true};
    struct mig_options options;

    (void)state;
    options_of(&options);
    options.max_blackout_ns = 1000000000ull * TEST_TOOL_FACTOR; /* a slow build has to fit it */
    expect_given_up(&fault, &options, "--max-blackout");
}

/* Handshakes get through, and nothing else: as behind a path that drops large packets. */
static void a_link_that_comes_back_in_vain_is_given_up(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 0, PROXY_CUT, UINT32_MAX, false};
    struct footprint before;
    struct vf_error err;

    (void)state;
    err = end(begin(&before, &fault));
    expect_fired("in vain");
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "--redial"));
    expect_never_happened("in vain", &before);
}

/* ---- somebody stops it ---- */

static void a_cancel_ends_a_reconnect_at_once(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
    struct mig_options options;
    struct footprint before;
    struct mig_job *job;

    (void)state;
    options_of(&options);
    options.max_time_ns = NEVER_NS;
    job = begin_alone(&fault, &options, &before);
    await_phase(job, "reconnect");
    assert_int_equal(mig_job_cancel(job, NULL), 0);
    assert_int_equal(end(job).code, VF_CANCELLED);
    expect_state("cancelled", &left, VF_PARTITION_RUNNING);
    proxy_refuse(proxy, false);
    expect_never_happened("cancelled", &before);
}

static void a_target_that_is_told_to_stop_waiting_says_so(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
    struct mig_options options;
    struct footprint before;
    struct mig_job *job, *there;
    struct vf_error err;

    (void)state;
    options_of(&options);
    options.max_time_ns = NEVER_NS;
    job = begin_alone(&fault, &options, &before);
    there = mig_job_get(right.mig, mig_job_of(right.mig, NAME));
    assert_non_null(there);
    await_phase(there, "link-lost");
    assert_int_equal(mig_job_cancel(there, NULL), 0);
    assert_int_equal(end(there).code, VF_CANCELLED);
    expect_empty(&right);
    proxy_refuse(proxy, false);
    err = end(job);
    assert_int_equal(err.code, VF_CANCELLED);
    if (strstr(err.text, "is over on host right: cancelled at host right") == NULL)
        fail_msg("\"%s\"", err.text);
    expect_never_happened("cancelled there", &before);
}

static void a_daemon_that_ends_does_not_wait_for_the_network(void **state)
{
    const struct proxy_fault fault = {TO_TARGET, WIRE_PAGES, 2, PROXY_HOLD, 0, false};
    struct vf_partition_info p;
    struct mig_options options;
    struct mig_job *job;
    struct host third;

    (void)state;
    options_of(&options);
    host_start(&third, "third", SILENCE_NS, NEVER_NS);
    create(&third, NAME, 16u << 20, &p);
    run_workload(&third, &p, &work);
    proxy_arm(proxy, &fault);
    job = start_move(&third, through, NAME, &options);
    assert_true(proxy_await_hold(proxy));
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    await_phase(job, "reconnect");
    host_stop(&third);
    assert_int_equal(end(job).code, VF_FAILED); /* no person called it off */
    proxy_refuse(proxy, false);
    /* Nobody is left who could tell it: it has its own bound. */
    expect_empty(&right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_at_random_moments_lose_nothing),
        cmocka_unit_test(a_resumption_that_is_cut_is_tried_again),
        cmocka_unit_test(all_connections_at_once_may_break),
        cmocka_unit_test(a_link_that_is_cut_again_and_again_still_carries_a_move),
        cmocka_unit_test(a_link_lost_in_the_blackout_comes_back_within_its_limit),
        cmocka_unit_test(a_network_that_stays_away_is_given_up),
        cmocka_unit_test(a_network_that_stays_away_costs_no_more_than_the_allowed_blackout),
        cmocka_unit_test(a_link_that_comes_back_in_vain_is_given_up),
        cmocka_unit_test(a_cancel_ends_a_reconnect_at_once),
        cmocka_unit_test(a_target_that_is_told_to_stop_waiting_says_so),
        cmocka_unit_test(a_daemon_that_ends_does_not_wait_for_the_network),
    };

    return cmocka_run_group_tests_name("move-resume", tests, rig_setup, rig_teardown);
}
