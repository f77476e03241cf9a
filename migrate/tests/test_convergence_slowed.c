// SPDX-License-Identifier: Apache-2.0
/*
 * Convergence with a throttle: a simulated partition writes as many thousand different workloads do
 * and stands for as much of the time as the policy says. Every move ends; those that slowing can
 * help complete, and in a short pause.
 */
#include "migrate/convergence.h"

#include "base/tests/chance.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MS 1000000ull
#define SECOND 1000000000ull
#define MIB (1ull << 20)

/* Writes at random to so many pages, and to the hot ones among them more often. */
struct workload {
    double page_bytes, pages, hot_pages; /* the hot ones are some of `pages` */
    double writes_per_s;                 /* of a partition that runs all the time */
    double wants_per_s; /* it writes no faster than that, and makes up for the time it stood */
    double hot_share;   /* of the writes */
    double rate;        /* bytes of dirty pages a second that rounds deal with */
    double wobble;      /* of that rate, up and down */
    double round_s;     /* what a round takes beside its bytes */
};

struct end {
    struct convergence_decision decision;
    struct convergence_input in;
    double chosen_s; /* time that it stood though a pause would have fitted */
};

static double different(double pages, double writes)
{
    return pages <= 0 ? 0 : pages * (1 - exp(-writes / pages));
}

static double dirtied(const struct workload *w, double seconds, double share)
{
    const double can = w->writes_per_s * share;
    const double writes = (can < w->wants_per_s ? can : w->wants_per_s) * seconds;
    const double hot = different(w->hot_pages, writes * w->hot_share);
    const double all = hot + different(w->pages - w->hot_pages, writes * (1 - w->hot_share));

    return all * w->page_bytes;
}

static struct end move(const struct workload *w, struct convergence_input in, uint64_t *seed)
{
    struct end end = {0};

    in.bytes_left = (uint64_t)(w->pages * w->page_bytes);
    for (;;) {
        const struct convergence_decision out = convergence_decide(&in);
        double rate, took, left;

        assert_in_range(in.rounds_done, 0, CONVERGENCE_MAX_ROUNDS);
        assert_true(out.throttle >= in.throttle && out.throttle <= in.throttle_most);
        assert_true(in.rounds_done >= CONVERGENCE_FREE_ROUNDS || out.throttle == 0);
        if (out.action != CONVERGENCE_ROUND) {
            end.decision = out;
            end.in = in;
            return end;
        }
        rate = w->rate * (1 + w->wobble * (2 * chance(seed) - 1));
        took = (double)in.bytes_left / rate + w->round_s;
        in.throttle = out.throttle;
        left = dirtied(w, took, 1 - in.throttle / 100.0);
        if (out.predicted_blackout_ns <= in.max_blackout_ns / 100 * CONVERGENCE_MARGIN_PERCENT)
            end.chosen_s += took * in.throttle / 100.0;
        in.elapsed_ns += (uint64_t)(took * 1e9);
        in.rate_bytes_per_s = (uint64_t)rate;
        in.dirty_bytes_per_s = (uint64_t)(left / took);
        convergence_note_round(&in, (uint64_t)left);
    }
}

static struct workload any_workload(uint64_t *seed)
{
    const double page = chance(seed) < 0.5 ? 4096 : 65536;
    const double bytes = chance_magnitude(seed, 1e6, 64e9);
    struct workload w = {.page_bytes = page,
                         .pages = 1 + bytes / page,
                         .writes_per_s = chance_magnitude(seed, 1, 1e6),
                         .wants_per_s = 1e12,
                         .hot_share = chance(seed),
                         .rate = chance_magnitude(seed, 1e6, 1e10),
                         .wobble = 0.3 * chance(seed),
                         .round_s = chance_magnitude(seed, 1e-4, 1e-2)};

    w.hot_pages = w.pages * chance_magnitude(seed, 1e-4, 1);
    if (chance(seed) < 0.5)
        w.wants_per_s = w.writes_per_s * chance_magnitude(seed, 1e-3, 1);
    return w;
}

static void every_slowed_move_ends(void **state)
{
    const uint64_t first = chance_seed();

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        const struct workload w = any_workload(&seed);
        const struct convergence_input in = {
            .fixed_blackout_ns = (uint64_t)chance_magnitude(&seed, 1e5, 1e8),
            .max_blackout_ns = (uint64_t)chance_magnitude(&seed, 1e6, 2e9),
            .max_time_ns = chance(&seed) < 0.5 ? 0 : (uint64_t)chance_magnitude(&seed, 1e9, 1e12),
            .throttle_most = (uint32_t)(99 * chance(&seed))};

        (void)move(&w, in, &seed);
    }
}

/* What the slowest it can be dirties of its pages in a second is half of what is sent meanwhile:
 * then no limit that the fixed part fits is refused. */
static void what_slowing_can_help_is_never_given_up(void **state)
{
    const uint64_t first = chance_seed();
    uint64_t helped = 0;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        struct workload w = any_workload(&seed);
        struct convergence_input in = {.fixed_blackout_ns = 500000,
                                       .max_blackout_ns =
                                           (uint64_t)chance_magnitude(&seed, 20e6, 2e9),
                                       .throttle_most = 99};
        struct end slowed, free;

        if (w.writes_per_s * 0.01 * w.page_bytes > w.rate / 2 ||
            w.writes_per_s * 0.01 * w.page_bytes * w.round_s > w.rate * 0.01)
            continue;
        slowed = move(&w, in, &seed);
        if (slowed.decision.action != CONVERGENCE_PAUSE)
            fail_msg("move %" PRIu64 ": %s (round %u, throttle %u)", i, slowed.decision.why,
                     slowed.in.rounds_done, slowed.in.throttle);
        in.throttle_most = 0;
        free = move(&w, in, &seed);
        helped += free.decision.action != CONVERGENCE_PAUSE;
    }
    print_message("# %" PRIu64 " of them would have been given up\n", helped);
    assert_true(helped > 1000); /* of 20000; it is no matter of chance */
}

static void slowing_makes_the_pause_short_for_little_time(void **state)
{
    const uint64_t first = chance_seed();
    uint64_t all = 0, aimed = 0;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        struct workload w = any_workload(&seed);
        struct convergence_input in = {
            .fixed_blackout_ns = 500000, .max_blackout_ns = 750 * MS, .throttle_most = 99};
        struct end slowed, free;

        if (w.writes_per_s * 0.01 * w.page_bytes > w.rate / 2 || w.round_s > 2e-3)
            continue;
        in.throttle_most = 0;
        free = move(&w, in, &seed);
        if (free.decision.action != CONVERGENCE_PAUSE)
            continue; /* the test before this one */
        in.throttle_most = 99;
        slowed = move(&w, in, &seed);
        assert_int_equal(slowed.decision.action, CONVERGENCE_PAUSE);
        assert_true(slowed.chosen_s <= CONVERGENCE_SLOW_ROUNDS * 0.75 * 1.5);
        all++;
        aimed += slowed.decision.predicted_blackout_ns <= 10 * MS;
    }
    print_message("# %" PRIu64 " of %" PRIu64 " in a pause of at most 10 ms\n", aimed, all);
    assert_true(aimed * 100 >= all * 98);
}

static void a_partition_that_converges_by_itself_is_not_slowed(void **state)
{
    const struct workload w = {.page_bytes = 4096,
                               .pages = 262144,
                               .hot_pages = 0,
                               .writes_per_s = 12000, /* 50 MB/s */
                               .wants_per_s = 1e12,
                               .rate = 500e6,
                               .round_s = 1e-3};
    const struct convergence_input in = {
        .fixed_blackout_ns = 500000, .max_blackout_ns = 750 * MS, .throttle_most = 99};
    uint64_t seed = 1;
    struct end end = move(&w, in, &seed);

    (void)state;
    assert_int_equal(end.decision.action, CONVERGENCE_PAUSE);
    assert_int_equal(end.in.throttle, 0);
}

static void a_limit_that_no_throttle_could_keep_is_refused_early(void **state)
{
    struct convergence_input in = {.rate_bytes_per_s = 1000000000,
                                   .dirty_bytes_per_s = 2000000000,
                                   .fixed_blackout_ns = 5 * MS,
                                   .verify_full_ns = 300 * MS,
                                   .max_blackout_ns = 300 * MS,
                                   .throttle_most = 99};
    struct convergence_decision out;

    (void)state;
    convergence_note_round(&in, 1000000000);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND); /* by one round's word */
    convergence_note_round(&in, 1000000000);
    out = convergence_decide(&in);
    assert_int_equal(out.action, CONVERGENCE_GIVE_UP);
    assert_non_null(strstr(out.why, "no pause is so short"));
    assert_non_null(strstr(out.why, "allow --max-blackout 382")); /* 305 ms are 80 % of it */
    in.max_blackout_ns = 382 * MS;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    in = (struct convergence_input){.rate_bytes_per_s = 1000000000,
                                    .dirty_bytes_per_s = 2000000000,
                                    .fixed_blackout_ns = 81 * MS,
                                    .max_blackout_ns = 100 * MS};
    convergence_note_round(&in, 1000000000);
    convergence_note_round(&in, 1000000000);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_GIVE_UP);
    in.fixed_blackout_ns = 80 * MS;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

/* A slow disk under the journal, or a full verification: what no round shortens. */
static void nobody_is_slowed_for_what_no_round_shortens(void **state)
{
    struct convergence_input in = {.rate_bytes_per_s = 1000000000,
                                   .fixed_blackout_ns = 50 * MS,
                                   .verify_full_ns = 100 * MS,
                                   .max_blackout_ns = 750 * MS,
                                   .throttle_most = 99};

    (void)state;
    convergence_note_round(&in, 0);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    convergence_note_round(&in, 0);
    convergence_note_round(&in, 0);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.dirty_bytes_per_s = 900000000;
    convergence_note_round(&in, 15000000); /* 15 ms of 165: a tenth of the fixed part */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    convergence_note_round(&in, 300000000);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    assert_true(convergence_decide(&in).throttle > 0);
}

static void no_step_leaves_less_than_a_quarter_of_its_time(void **state)
{
    struct convergence_input in = {.rate_bytes_per_s = 1000000000,
                                   .dirty_bytes_per_s = 64000000000, /* all dirty, all the time */
                                   .max_blackout_ns = 750 * MS,
                                   .throttle_most = 99};

    (void)state;
    convergence_note_round(&in, 4000000000);
    assert_int_equal(convergence_decide(&in).throttle, 0);
    convergence_note_round(&in, 4000000000);
    assert_int_equal(convergence_decide(&in).throttle, 75);
    in.throttle = 75;
    convergence_note_round(&in, 4000000000);
    assert_int_equal(convergence_decide(&in).throttle, 94);
    in.throttle = 94;
    convergence_note_round(&in, 4000000000);
    assert_int_equal(convergence_decide(&in).throttle, 99);
    in.throttle_most = 95;
    assert_int_equal(convergence_decide(&in).throttle, 95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slowed_move_ends),
        cmocka_unit_test(what_slowing_can_help_is_never_given_up),
        cmocka_unit_test(slowing_makes_the_pause_short_for_little_time),
        cmocka_unit_test(a_partition_that_converges_by_itself_is_not_slowed),
        cmocka_unit_test(a_limit_that_no_throttle_could_keep_is_refused_early),
        cmocka_unit_test(nobody_is_slowed_for_what_no_round_shortens),
        cmocka_unit_test(no_step_leaves_less_than_a_quarter_of_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
