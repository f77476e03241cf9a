// SPDX-License-Identifier: Apache-2.0
/* A move in thought: it always ends, keeps to what it was told, and grows as it must. */
#include "cli/plan/simulate.h"

#include "base/tests/chance.h"
#include "migrate/job/job.h"
#include "migrate/stream/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define MS 1000000ull

static struct plan_move steady(void)
{
    return (struct plan_move){.touched_bytes = GIB,
                              .working_set_bytes = GIB,
                              .write_bytes_per_s = 10 * MIB,
                              .page_bytes = 4096,
                              .link_bytes_per_s = 1000 * MIB,
                              .fixed_blackout_ns = PLAN_FIXED_BLACKOUT_NS,
                              .max_blackout_ns = PLAN_MAX_BLACKOUT_NS,
                              .throttle_most = 99};
}

static struct plan_move any_move(uint64_t *seed)
{
    struct plan_move move = {
        .touched_bytes = (uint64_t)chance_magnitude(seed, 1, 1e13),
        .write_bytes_per_s = (uint64_t)chance_magnitude(seed, 1, 1e12),
        .page_bytes = 4096ull << chance_below(seed, 10),
        .link_bytes_per_s = (uint64_t)chance_magnitude(seed, 1, 1e11),
        .host_bytes_per_s = chance(seed) < 0.5 ? 0 : (uint64_t)chance_magnitude(seed, 1e6, 1e11),
        .fixed_blackout_ns = (uint64_t)chance_magnitude(seed, 1, 1e10),
        .max_blackout_ns = (uint64_t)chance_magnitude(seed, 1, 1e11),
        .max_time_ns = chance(seed) < 0.5 ? 0 : (uint64_t)chance_magnitude(seed, 1, 1e13),
        .throttle_most = (uint32_t)chance_below(seed, 100),
        .verify_full = chance(seed) < 0.3,
    };

    move.working_set_bytes = (uint64_t)((double)move.touched_bytes * chance(seed));
    if (chance(seed) < 0.05)
        move.touched_bytes = move.working_set_bytes = 0;
    if (chance(seed) < 0.05)
        move.write_bytes_per_s = 0;
    return move;
}

static void check_rounds(const struct plan_move *move, const struct plan_outcome *out)
{
    uint64_t sent = 0;
    uint32_t throttle = 0;

    for (uint32_t i = 0; i < out->round_count; i++) {
        const struct plan_round *round = &out->rounds[i];

        assert_true(round->sent_bytes <= round->dirty_bytes + PLAN_BLOCK_BYTES);
        assert_true(round->throttle <= move->throttle_most);
        if (round->throttle > throttle)
            throttle = round->throttle;
        sent += round->sent_bytes;
    }
    assert_int_equal(sent, out->sent_bytes);
    assert_int_equal(throttle, out->throttle_max);
}

static void every_plan_ends_and_adds_up(void **state)
{
    const uint64_t first = chance_seed();

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        const struct plan_move move = any_move(&seed);
        struct plan_outcome out;

        plan_simulate(&move, &out);
        assert_true(out.round_count <= PLAN_MAX_ROUNDS + 1);
        assert_true(out.why[0] != '\0');
        check_rounds(&move, &out);
        if (out.completes) {
            assert_true(out.blackout_ns <= move.max_blackout_ns);
            assert_true(out.blackout_ns >= move.fixed_blackout_ns);
            assert_true(out.total_ns >= out.blackout_ns);
        } else {
            assert_true(out.blackout_ns == UINT64_MAX);
            if (move.max_time_ns > PLAN_SETUP_NS)
                assert_true(out.total_ns <= move.max_time_ns);
        }
    }
}

static void what_a_move_has_is_what_is_planned(void **state)
{
    (void)state;
    assert_int_equal(PLAN_MAX_ROUNDS, MIG_MAX_ROUNDS - 2);
    assert_int_equal(PLAN_BLOCK_BYTES, STREAM_PAGE_BYTES);
    assert_int_equal(PLAN_AHEAD_BYTES, 2 * STREAM_SLOTS * STREAM_SLOT_BYTES);
    assert_true(2 * (STREAM_SLOTS * STREAM_SLOT_BYTES) <= STREAM_BUFFER_BYTES);
}

static void one_that_writes_nothing_is_sent_once(void **state)
{
    struct plan_move move = steady();
    struct plan_outcome out;

    (void)state;
    move.write_bytes_per_s = 0;
    plan_simulate(&move, &out);
    assert_true(out.completes);
    assert_int_equal(out.sent_bytes, GIB);
    assert_int_equal(out.blackout_ns, PLAN_FIXED_BLACKOUT_NS);
    assert_int_equal(out.throttle_max, 0);
}

static void nothing_touched_is_a_pause_alone(void **state)
{
    struct plan_move move = steady();
    struct plan_outcome out;

    (void)state;
    move.touched_bytes = move.working_set_bytes = move.write_bytes_per_s = 0;
    plan_simulate(&move, &out);
    assert_true(out.completes);
    assert_int_equal(out.sent_bytes, 0);
    assert_int_equal(out.total_ns, PLAN_SETUP_NS + PLAN_FIXED_BLACKOUT_NS);
}

static void a_faster_link_never_takes_longer(void **state)
{
    uint64_t last = UINT64_MAX;

    (void)state;
    for (uint64_t rate = 20 * MIB; rate < 10 * GIB; rate *= 2) {
        struct plan_move move = steady();
        struct plan_outcome out;

        move.link_bytes_per_s = rate;
        plan_simulate(&move, &out);
        assert_true(out.completes);
        assert_true(out.total_ns < last);
        last = out.total_ns;
    }
}

/* 5 MB/s in blocks of 4 KiB over a link of 20 MB/s: each costs a dirty page of 64 KiB to read, and
 * a block to send. */
static void coarse_pages_cost_no_more_of_the_link(void **state)
{
    struct plan_move move = steady();
    struct plan_outcome fine, coarse;

    (void)state;
    move.write_bytes_per_s = 5000000;
    move.link_bytes_per_s = 20000000;
    plan_simulate(&move, &fine);
    move.page_bytes = 65536;
    plan_simulate(&move, &coarse);
    assert_true(fine.completes && coarse.completes);
    assert_true(coarse.sent_bytes < fine.sent_bytes + fine.sent_bytes / 10);
    assert_true(coarse.rounds[1].dirty_bytes > 2 * fine.rounds[1].dirty_bytes);
}

static void
one_that_writes_too_fast_is_slowed_or_given_up_with_the_limit_that_would_do(void **state)
{
    struct plan_move move = steady();
    struct plan_outcome out;
    const char *limit;

    (void)state;
    move.write_bytes_per_s = 5 * GIB;
    plan_simulate(&move, &out);
    assert_true(out.completes && out.throttle_max > 0 && out.throttled_ns > 0);
    move.throttle_most = 0;
    move.max_blackout_ns = 100 * MS;
    plan_simulate(&move, &out);
    assert_false(out.completes);
    limit = strstr(out.why, "--max-blackout ");
    assert_non_null(limit);
    move.max_blackout_ns = strtoull(limit + strlen("--max-blackout "), NULL, 10) * MS;
    plan_simulate(&move, &out);
    assert_true(out.completes);
}

static void a_trace_of_one_rate_is_that_rate(void **state)
{
    const double rates[] = {10.0 * MIB, 10.0 * MIB, 10.0 * MIB};
    const struct plan_trace trace = {.interval_ns = 100 * MS, .bytes_per_s = rates, .count = 3};
    struct plan_move move = steady();
    struct plan_outcome told, recorded;

    (void)state;
    plan_simulate(&move, &told);
    move.trace = &trace;
    move.write_bytes_per_s = 0;
    plan_simulate(&move, &recorded);
    assert_int_equal(told.round_count, recorded.round_count);
    assert_true(told.total_ns / 1000 == recorded.total_ns / 1000);
}

/* It writes for a second and rests for nine: whoever moves it in the rest has next to nothing to
 * send again. */
static void a_trace_tells_bursts(void **state)
{
    double rates[10] = {500.0 * MIB};
    const struct plan_trace trace = {.interval_ns = 1000 * MS, .bytes_per_s = rates, .count = 10};
    struct plan_move move = steady();
    struct plan_outcome out;

    (void)state;
    move.trace = &trace;
    plan_simulate(&move, &out);
    assert_true(out.completes);
    assert_true(out.rounds[1].dirty_bytes > 100 * MIB);
    assert_true(out.rounds[2].dirty_bytes == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_plan_ends_and_adds_up),
        cmocka_unit_test(what_a_move_has_is_what_is_planned),
        cmocka_unit_test(one_that_writes_nothing_is_sent_once),
        cmocka_unit_test(nothing_touched_is_a_pause_alone),
        cmocka_unit_test(a_faster_link_never_takes_longer),
        cmocka_unit_test(coarse_pages_cost_no_more_of_the_link),
        cmocka_unit_test(
            one_that_writes_too_fast_is_slowed_or_given_up_with_the_limit_that_would_do),
        cmocka_unit_test(a_trace_of_one_rate_is_that_rate),
        cmocka_unit_test(a_trace_tells_bursts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
