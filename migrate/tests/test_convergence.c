// SPDX-License-Identifier: Apache-2.0
/* Convergence: the edges of every rule, and a simulated link and dirtier with which every move
 * comes to an end. */
#include "migrate/convergence.h"

#include "base/tests/chance.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MS 1000000ull
#define SECOND 1000000000ull
#define MIB (1ull << 20)

/* 1 GB/s, dirties 100 MB/s, 750 ms allowed: a pause fits below 600 MB left. */
static struct convergence_input typical(void)
{
    return (struct convergence_input){
        .rate_bytes_per_s = 1000000000,
        .dirty_bytes_per_s = 100000000,
        .max_blackout_ns = 750 * MS,
    };
}

static void pauses_exactly_up_to_the_margin(void **state)
{
    struct convergence_input in = typical();
    struct convergence_decision out;

    (void)state;
    in.dirty_bytes_per_s = in.rate_bytes_per_s; /* another round would better nothing */
    in.bytes_left = 600000000; /* 600 ms = 80 % of 750 ms */
    out = convergence_decide(&in);
    assert_int_equal(out.action, CONVERGENCE_PAUSE);
    assert_int_equal(out.predicted_blackout_ns, 600 * MS);
    in.bytes_left++;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void fixed_cost_and_full_verify_count_into_the_prediction(void **state)
{
    struct convergence_input in = typical();
    struct convergence_decision out;

    (void)state;
    in.dirty_bytes_per_s = in.rate_bytes_per_s;
    in.bytes_left = 400000000;
    in.fixed_blackout_ns = 150 * MS;
    in.verify_full_ns = 50 * MS;
    out = convergence_decide(&in);
    assert_int_equal(out.action, CONVERGENCE_PAUSE);
    assert_int_equal(out.predicted_blackout_ns, 600 * MS);
    in.verify_full_ns++;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void a_pause_that_fits_waits_for_a_round_that_pays(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    in.bytes_left = 100000000; /* 100 ms, and 10 ms after another round */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    in.dirty_bytes_per_s = 750000000; /* 75 ms */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    in.dirty_bytes_per_s = 751000000;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in = typical();
    in.bytes_left = 500000; /* 0.5 ms: nobody feels what a round would save */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.bytes_left = 600000;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    in.fixed_blackout_ns = 6 * MS; /* and nobody feels a tenth of what stays */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
}

static void no_round_is_waited_for_after_one_that_bettered_nothing(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    convergence_note_round(&in, 100000000);
    convergence_note_round(&in, 80000000); /* a fifth less, where a tenth was to be left */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    convergence_note_round(&in, 50000000);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    convergence_note_round(&in, 200000000);
    convergence_note_round(&in, 60000000); /* less than before, but it was better once */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
}

static void no_round_is_waited_for_beyond_max_time(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    in.bytes_left = 100000000;
    in.max_time_ns = 10 * SECOND;
    in.elapsed_ns = 10 * SECOND - 100 * MS;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.elapsed_ns--;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void unknown_rate_asks_for_a_round(void **state)
{
    struct convergence_input in = typical();
    struct convergence_decision out;

    (void)state;
    in.rate_bytes_per_s = 0;
    in.bytes_left = 1;
    out = convergence_decide(&in);
    assert_int_equal(out.action, CONVERGENCE_ROUND);
    assert_int_equal(out.predicted_blackout_ns, UINT64_MAX);
    assert_int_equal(out.eta_ns, 0);
}

static void idle_and_clean_pauses_whatever_it_costs(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    in.rate_bytes_per_s = 0; /* nothing was ever sent: an untouched reserve */
    in.dirty_bytes_per_s = 0;
    in.fixed_blackout_ns = 10 * SECOND;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.dirty_bytes_per_s = 1;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void gives_up_when_the_time_is_over(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    in.bytes_left = 1;
    in.max_time_ns = 10 * SECOND;
    in.elapsed_ns = 10 * SECOND - 1;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.elapsed_ns++;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_GIVE_UP);
}

static void gives_up_after_the_last_round_unless_it_fits(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    for (uint32_t i = 0; i < CONVERGENCE_MAX_ROUNDS - 1; i++)
        convergence_note_round(&in,
                               (100 - i) * 1000 * MIB); /* slow, but always better than before */
    in.history[0] = UINT64_MAX;                         /* whatever the early verdict would say */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    convergence_note_round(&in, 1000 * MIB);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_GIVE_UP);
    in.bytes_left = MIB;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
    in.bytes_left = 1000 * MIB;
    in.max_rounds = CONVERGENCE_MAX_ROUNDS + 1;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void early_verdict_waits_for_five_rounds(void **state)
{
    struct convergence_input in = typical();
    struct convergence_decision out;

    (void)state;
    for (uint32_t i = 1; i < CONVERGENCE_EARLY_ROUNDS; i++) {
        convergence_note_round(&in, 1000000000);
        assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
    }
    convergence_note_round(&in, 1000000000);
    out = convergence_decide(&in);
    assert_int_equal(out.action, CONVERGENCE_GIVE_UP);
    assert_int_equal(out.eta_ns, 0);
    /* 1 GB at 1 GB/s = 1000 ms, which is 80 % of 1250 ms; the next whole millisecond is safe. */
    assert_string_equal(
        out.why,
        "will not converge: dirties 95.4 MiB/s, sends 953.7 MiB/s; allow --max-blackout 1251");
}

static void the_limit_it_names_would_have_been_enough(void **state)
{
    struct convergence_input in = typical();
    struct convergence_decision out;
    const char *number;

    (void)state;
    for (uint32_t i = 0; i < CONVERGENCE_EARLY_ROUNDS; i++)
        convergence_note_round(&in, 1234567891);
    out = convergence_decide(&in);
    number = strstr(out.why, "--max-blackout ");
    assert_non_null(number);
    in.max_blackout_ns = strtoull(number + strlen("--max-blackout "), NULL, 10) * MS;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_PAUSE);
}

static void progress_of_five_percent_is_progress(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    for (uint32_t i = 0; i < CONVERGENCE_EARLY_ROUNDS - 1; i++)
        convergence_note_round(&in, 2000000000);
    convergence_note_round(&in,
                           1900000000); /* exactly 5 % is still standing still: it must be better */
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_GIVE_UP);
    in.history[CONVERGENCE_HISTORY - 1] = in.bytes_left = in.smallest_left = 1899999999;
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void a_moment_that_fitted_once_is_waited_for_again(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    convergence_note_round(&in, 600000000); /* fitted; say the pause failed for another reason */
    for (uint32_t i = 0; i < CONVERGENCE_EARLY_ROUNDS; i++)
        convergence_note_round(&in, 2000000000);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_ROUND);
}

static void eta_follows_the_gap_between_the_rates(void **state)
{
    struct convergence_input in = typical();

    (void)state;
    in.bytes_left = 1800000000;
    in.fixed_blackout_ns = 10 * MS;
    /* 1.8 GB at 1.0 - 0.1 GB/s. */
    assert_int_equal(convergence_decide(&in).eta_ns, 2 * SECOND + 10 * MS);
    in.dirty_bytes_per_s = in.rate_bytes_per_s;
    assert_int_equal(convergence_decide(&in).eta_ns, 0);
    /* Nearly as fast: 50 hours by the book, and nothing that anybody could rely on. */
    in.dirty_bytes_per_s = in.rate_bytes_per_s - 10000;
    assert_int_equal(convergence_decide(&in).eta_ns, 0);
}

static void extreme_numbers_saturate(void **state)
{
    struct convergence_input in = {
        .bytes_left = UINT64_MAX,
        .rate_bytes_per_s = 1,
        .dirty_bytes_per_s = UINT64_MAX,
        .fixed_blackout_ns = UINT64_MAX,
        .verify_full_ns = UINT64_MAX,
        .max_blackout_ns = UINT64_MAX,
    };
    struct convergence_decision out = convergence_decide(&in);

    (void)state;
    assert_int_equal(out.predicted_blackout_ns, UINT64_MAX);
    assert_int_equal(out.action, CONVERGENCE_ROUND);
    for (uint32_t i = 0; i < CONVERGENCE_EARLY_ROUNDS; i++)
        convergence_note_round(&in, UINT64_MAX);
    assert_int_equal(convergence_decide(&in).action, CONVERGENCE_GIVE_UP);
}

static void note_round_keeps_the_last_and_the_least(void **state)
{
    struct convergence_input in = {0};

    (void)state;
    convergence_note_round(&in, 50);
    convergence_note_round(&in, 20);
    convergence_note_round(&in, 30);
    convergence_note_round(&in, 40);
    assert_int_equal(in.rounds_done, 4);
    assert_int_equal(in.bytes_left, 40);
    assert_int_equal(in.smallest_left, 20);
    assert_int_equal(in.history[0], 20);
    assert_int_equal(in.history[1], 30);
    assert_int_equal(in.history[2], 40);
}

/* Steady, and dirtying at most half of what is sent: there is always an end, and no verdict may
 * come before it. */
static void what_converges_is_never_given_up(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        const uint64_t rate = 1000000 + chance_below(&seed, 10000000000);
        const uint64_t dirty = chance_below(&seed, rate / 2);
        struct convergence_input in = {.bytes_left = chance_below(&seed, 64ull << 30),
                                       .max_blackout_ns = 10 * MS,
                                       .max_rounds = 64};
        struct convergence_decision out;

        while ((out = convergence_decide(&in)).action == CONVERGENCE_ROUND) {
            in.rate_bytes_per_s = rate;
            in.dirty_bytes_per_s = dirty;
            convergence_note_round(
                &in, (uint64_t)((double)in.bytes_left / (double)rate * (double)dirty));
        }
        assert_int_equal(out.action, CONVERGENCE_PAUSE);
    }
}

static bool fits_now(const struct convergence_input *in)
{
    struct convergence_input alone = *in;

    alone.dirty_bytes_per_s = alone.rate_bytes_per_s; /* nothing to wait for */
    return convergence_decide(&alone).action == CONVERGENCE_PAUSE;
}

/* Steady: what is waited for comes, and takes no longer than it may. */
static void waiting_makes_the_pause_shorter_in_bounded_time(void **state)
{
    uint64_t seed = 7, better = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        const uint64_t rate = 1000000 + chance_below(&seed, 10000000000);
        const uint64_t dirty = chance_below(&seed, rate);
        struct convergence_input in = {.bytes_left = chance_below(&seed, 64ull << 30),
                                       .max_blackout_ns = 1 * MS + chance_below(&seed, SECOND),
                                       .fixed_blackout_ns = chance_below(&seed, MS)};
        struct convergence_decision out;
        uint64_t first = 0, extra = 0;

        while ((out = convergence_decide(&in)).action == CONVERGENCE_ROUND) {
            const uint64_t took = (uint64_t)((double)in.bytes_left / (double)rate * 1e9);

            if (first != 0 || (in.rate_bytes_per_s != 0 && fits_now(&in))) {
                first = first != 0 ? first : out.predicted_blackout_ns;
                extra += took;
            }
            in.elapsed_ns += took;
            in.rate_bytes_per_s = rate;
            in.dirty_bytes_per_s = dirty;
            convergence_note_round(&in, (uint64_t)((double)took / 1e9 * (double)dirty));
        }
        if (first == 0 || out.action != CONVERGENCE_PAUSE)
            continue;
        assert_true(out.predicted_blackout_ns <= first);
        assert_true(extra <= 4 * in.max_blackout_ns);
        better += out.predicted_blackout_ns < first / 2;
    }
    assert_true(better > 5000); /* of 20000; it is no matter of chance */
}

/* A partition of `size` dirtying at a rate that wobbles, over a link whose rate wobbles. Returns
 * the rounds it took. */
static uint32_t simulate(uint64_t seed)
{
    const uint64_t size = 1 + chance_below(&seed, 64ull << 30);
    const uint64_t rate = 1 + chance_below(&seed, 10000000000);
    const uint64_t dirty = chance_below(&seed, 4) == 0 ? 0 : chance_below(&seed, 2 * rate);
    struct convergence_input in = {
        .bytes_left = size,
        .fixed_blackout_ns = chance_below(&seed, 400 * MS),
        .max_blackout_ns = 1 + chance_below(&seed, 2 * SECOND),
        .max_time_ns = chance_below(&seed, 2) == 0 ? 0 : chance_below(&seed, 100 * SECOND),
    };

    for (;;) {
        const struct convergence_decision out = convergence_decide(&in);
        uint64_t took, sent_rate, left;

        assert_in_range(in.rounds_done, 0, CONVERGENCE_MAX_ROUNDS);
        assert_non_null(memchr(out.why, '\0', sizeof out.why));
        assert_true(out.why[0] != '\0');
        if (out.action == CONVERGENCE_PAUSE)
            assert_true((in.bytes_left == 0 && in.dirty_bytes_per_s == 0) ||
                        out.predicted_blackout_ns <= in.max_blackout_ns / 100 * 80 + 80);
        if (out.action != CONVERGENCE_ROUND)
            return in.rounds_done;
        sent_rate = 1 + rate / 100 * (80 + chance_below(&seed, 41));
        took = (uint64_t)((double)in.bytes_left / (double)sent_rate * 1e9);
        left = (uint64_t)((double)dirty * ((double)took / 1e9) *
                          (double)(80 + chance_below(&seed, 41)) / 100.0);
        in.elapsed_ns += took;
        in.rate_bytes_per_s = sent_rate;
        in.dirty_bytes_per_s = took > 0 ? dirty : 0;
        convergence_note_round(&in, left < size ? left : size);
    }
}

static void every_simulated_move_ends(void **state)
{
    const uint64_t seed = chance_seed();

    (void)state;
    for (uint64_t i = 0; i < 20000; i++)
        (void)simulate(seed + i * 0x9e3779b97f4a7c15ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_exactly_up_to_the_margin),
        cmocka_unit_test(fixed_cost_and_full_verify_count_into_the_prediction),
        cmocka_unit_test(a_pause_that_fits_waits_for_a_round_that_pays),
        cmocka_unit_test(no_round_is_waited_for_after_one_that_bettered_nothing),
        cmocka_unit_test(no_round_is_waited_for_beyond_max_time),
        cmocka_unit_test(unknown_rate_asks_for_a_round),
        cmocka_unit_test(idle_and_clean_pauses_whatever_it_costs),
        cmocka_unit_test(gives_up_when_the_time_is_over),
        cmocka_unit_test(gives_up_after_the_last_round_unless_it_fits),
        cmocka_unit_test(early_verdict_waits_for_five_rounds),
        cmocka_unit_test(the_limit_it_names_would_have_been_enough),
        cmocka_unit_test(progress_of_five_percent_is_progress),
        cmocka_unit_test(a_moment_that_fitted_once_is_waited_for_again),
        cmocka_unit_test(eta_follows_the_gap_between_the_rates),
        cmocka_unit_test(extreme_numbers_saturate),
        cmocka_unit_test(note_round_keeps_the_last_and_the_least),
        cmocka_unit_test(what_converges_is_never_given_up),
        cmocka_unit_test(waiting_makes_the_pause_shorter_in_bounded_time),
        cmocka_unit_test(every_simulated_move_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
