// SPDX-License-Identifier: Apache-2.0
/* See convergence.h. Times and amounts saturate at UINT64_MAX, which then reads as "never fits". */
#include "migrate/convergence.h"

#include "base/size.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t divisor)
{
    const unsigned __int128 value = (unsigned __int128)a * b / divisor;

    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

/* Blackout of a pause with `bytes` left to send; without anything left the rate does not matter. */
static uint64_t predict(const struct convergence_input *in, uint64_t bytes)
{
    const uint64_t fixed = add(in->fixed_blackout_ns, in->verify_full_ns);

    if (bytes == 0)
        return fixed;
    if (in->rate_bytes_per_s == 0)
        return UINT64_MAX;
    return add(mul_div(bytes, NS_PER_S, in->rate_bytes_per_s), fixed);
}

static bool fits(const struct convergence_input *in, uint64_t predicted)
{
    return predicted != UINT64_MAX &&
           predicted <= mul_div(in->max_blackout_ns, CONVERGENCE_MARGIN_PERCENT, 100);
}

/* Would another round make the pause shorter by something worth its time? Not when the last one
 * was thought to and did not (pages get dirty faster than the measured rate says), and only at the
 * best moment so far: whoever waited once for a better one, and got a worse, takes what fits. */
static bool pays(const struct convergence_input *in, uint64_t predicted)
{
    const uint32_t done = in->rounds_done;
    uint64_t most = mul_div(in->bytes_left, 100 - CONVERGENCE_SHRINK_PERCENT, 100);
    uint64_t worth = mul_div(predicted, CONVERGENCE_WORTH_PERCENT, 100);
    uint64_t round_ns, left;

    if (in->rate_bytes_per_s == 0 || in->bytes_left == 0 ||
        (done > 0 && in->bytes_left > in->smallest_left))
        return false;
    if (done >= 2 && in->bytes_left > mul_div(in->history[CONVERGENCE_HISTORY - 2],
                                              100 - CONVERGENCE_SHRINK_PERCENT, 100))
        return false;
    round_ns = mul_div(in->bytes_left, NS_PER_S, in->rate_bytes_per_s);
    if (in->max_time_ns != 0 && add(in->elapsed_ns, round_ns) >= in->max_time_ns)
        return false;
    left = mul_div(in->dirty_bytes_per_s, round_ns, NS_PER_S);
    worth = worth > CONVERGENCE_WORTH_NS ? worth : CONVERGENCE_WORTH_NS;
    return left <= most && mul_div(in->bytes_left - left, NS_PER_S, in->rate_bytes_per_s) >= worth;
}

/* The part of a pause that no round shortens. */
static uint64_t fixed_part(const struct convergence_input *in)
{
    return add(in->fixed_blackout_ns, in->verify_full_ns);
}

/* The longest pause that is short enough not to slow a partition for a shorter one: the fixed part
 * and a few milliseconds, or a tenth of it where that is more. */
static uint64_t aim(const struct convergence_input *in)
{
    const uint64_t limit = mul_div(in->max_blackout_ns, CONVERGENCE_MARGIN_PERCENT, 100);
    const uint64_t fixed = fixed_part(in);
    const uint64_t more = mul_div(fixed, CONVERGENCE_WORTH_PERCENT, 100);
    const uint64_t wanted = add(fixed, more > CONVERGENCE_AIM_NS ? more : CONVERGENCE_AIM_NS);

    return limit < wanted ? limit : wanted;
}

/* Has the last round left clearly less than the one before it? */
static bool shrinks(const struct convergence_input *in)
{
    return in->rounds_done >= 2 && in->bytes_left < in->history[CONVERGENCE_HISTORY - 2] &&
           in->bytes_left <=
               mul_div(in->history[CONVERGENCE_HISTORY - 2], 100 - CONVERGENCE_SHRINK_PERCENT, 100);
}

/* Had the round before the last one? One that did not shrink may have been a hiccup. */
static bool has_shrunk(const struct convergence_input *in)
{
    return in->rounds_done >= CONVERGENCE_HISTORY &&
           in->history[1] <= mul_div(in->history[0], 100 - CONVERGENCE_SHRINK_PERCENT, 100);
}

/* The throttle that the next round needs to leave a quarter of the bytes, or what the aim leaves:
 * how much gets dirty in it goes by the partition's share of the time. */
static uint32_t throttle_for(const struct convergence_input *in)
{
    const uint64_t share = 100 - in->throttle, least = 100 - in->throttle_most;
    const uint64_t fixed = fixed_part(in);
    const uint64_t room = aim(in) > fixed ? aim(in) - fixed : 0;
    uint64_t leave = mul_div(in->bytes_left, CONVERGENCE_SLOW_PERCENT, 100);
    uint64_t wanted;

    if (in->bytes_left == 0 || in->dirty_bytes_per_s == 0)
        return in->throttle;
    if (leave < mul_div(room, in->rate_bytes_per_s, NS_PER_S))
        leave = mul_div(room, in->rate_bytes_per_s, NS_PER_S);
    /* Bytes a second that leave so much while all the others are sent. */
    wanted = mul_div(leave, in->rate_bytes_per_s, in->bytes_left);
    wanted = mul_div(share, wanted, in->dirty_bytes_per_s);
    if (wanted < mul_div(share, CONVERGENCE_SLOW_PERCENT, 100))
        wanted = mul_div(share, CONVERGENCE_SLOW_PERCENT, 100);
    if (wanted < least)
        wanted = least;
    return wanted < share ? (uint32_t)(100 - wanted) : in->throttle;
}

/* The pause fits. Is it worth a round in which the partition is slowed, or still is? */
static bool slowing_pays(const struct convergence_input *in, uint64_t predicted, uint32_t next)
{
    uint64_t round_ns;

    if (in->throttle_most == 0 || in->rate_bytes_per_s == 0 || in->bytes_left == 0 ||
        predicted <= aim(in))
        return false;
    round_ns = mul_div(in->bytes_left, NS_PER_S, in->rate_bytes_per_s);
    if (in->slow_rounds >= CONVERGENCE_SLOW_ROUNDS ||
        (in->max_time_ns != 0 && add(in->elapsed_ns, round_ns) >= in->max_time_ns))
        return false;
    return in->rounds_done < CONVERGENCE_FREE_ROUNDS || next > in->throttle || shrinks(in) ||
           has_shrunk(in);
}

/* Neither of the last two rounds left clearly less than the one before them. */
static bool stands_still(const struct convergence_input *in)
{
    const uint64_t bar = mul_div(in->history[0], 100 - CONVERGENCE_PROGRESS_PERCENT, 100);

    return in->rounds_done >= CONVERGENCE_HISTORY && in->history[1] >= bar && in->history[2] >= bar;
}

/* Rounds shrink by dirty rate : rate, so the whole of them is a geometric series. */
static uint64_t eta(const struct convergence_input *in, uint64_t predicted)
{
    const uint64_t rate = in->rate_bytes_per_s;

    if (in->bytes_left == 0)
        return predicted;
    /* Near the rate the estimate is all noise: hours now, seconds at the next look. */
    if (in->dirty_bytes_per_s >= mul_div(rate, CONVERGENCE_ETA_PERCENT, 100))
        return 0;
    return add(mul_div(in->bytes_left, NS_PER_S, rate - in->dirty_bytes_per_s),
               add(in->fixed_blackout_ns, in->verify_full_ns));
}

/* Smallest limit that the best moment so far would have fitted, in whole milliseconds. */
static uint64_t needed_ms(uint64_t best)
{
    return add(mul_div(best, 100, CONVERGENCE_MARGIN_PERCENT * NS_PER_MS), 1);
}

static void explain_hopeless(const struct convergence_input *in, uint64_t best, const char *what,
                             char *why, size_t bytes)
{
    char dirty[32], rate[32];

    (void)vf_size_format(in->dirty_bytes_per_s, dirty, sizeof dirty);
    (void)vf_size_format(in->rate_bytes_per_s, rate, sizeof rate);
    if (best == UINT64_MAX)
        (void)snprintf(why, bytes, "%s: dirties %s/s, nothing could be sent; check the link", what,
                       dirty);
    else
        (void)snprintf(why, bytes, "%s: dirties %s/s, sends %s/s; allow --max-blackout %" PRIu64,
                       what, dirty, rate, needed_ms(best));
}

static void explain_fit(const struct convergence_input *in,
                        const struct convergence_decision *decision, char *why, size_t bytes)
{
    char predicted[32], limit[32];

    (void)vf_time_format(decision->predicted_blackout_ns, predicted, sizeof predicted);
    (void)vf_time_format(in->max_blackout_ns, limit, sizeof limit);
    if (decision->predicted_blackout_ns == UINT64_MAX)
        (void)snprintf(why, bytes, "the rate is not known yet");
    else
        (void)snprintf(why, bytes, "a pause now would take %s of %s", predicted, limit);
}

void convergence_note_round(struct convergence_input *input, uint64_t bytes_left)
{
    input->slow_rounds += input->throttle != 0;
    memmove(input->history, input->history + 1, sizeof input->history - sizeof *input->history);
    input->history[CONVERGENCE_HISTORY - 1] = bytes_left;
    if (input->rounds_done == 0 || bytes_left < input->smallest_left)
        input->smallest_left = bytes_left;
    input->bytes_left = bytes_left;
    input->rounds_done++;
}

/* The pause fits. Another round all the same, slowed or not? */
static void decide_fitting(const struct convergence_input *in, struct convergence_decision *out)
{
    const uint32_t next = throttle_for(in);

    if (in->throttle == 0 && pays(in, out->predicted_blackout_ns))
        return;
    if (slowing_pays(in, out->predicted_blackout_ns, next)) {
        if (in->rounds_done >= CONVERGENCE_FREE_ROUNDS)
            out->throttle = next;
        return;
    }
    out->action = CONVERGENCE_PAUSE;
}

/* The fixed part alone does not fit, by more than the first look at it. */
static bool hopeless(const struct convergence_input *in)
{
    return in->rounds_done >= CONVERGENCE_FREE_ROUNDS && !fits(in, fixed_part(in));
}

/* The pause does not fit. Will it ever? */
static void decide_waiting(const struct convergence_input *in, uint64_t best,
                           struct convergence_decision *out)
{
    const uint32_t next = throttle_for(in);

    if (in->rate_bytes_per_s == 0)
        return;
    if (hopeless(in)) {
        out->action = CONVERGENCE_GIVE_UP;
        explain_hopeless(in, predict(in, 0), "no pause is so short", out->why, sizeof out->why);
    } else if (in->throttle_most != 0 && in->rounds_done >= CONVERGENCE_FREE_ROUNDS &&
               next > in->throttle) {
        if (!shrinks(in))
            out->throttle = next;
    } else if (in->rounds_done >= CONVERGENCE_EARLY_ROUNDS && stands_still(in) && !fits(in, best)) {
        out->action = CONVERGENCE_GIVE_UP;
        explain_hopeless(in, best, "will not converge", out->why, sizeof out->why);
    }
}

/* In the order of what wins: time is up, it fits and no round would better it, nothing more can be
 * gained, hopeless, another round. */
struct convergence_decision convergence_decide(const struct convergence_input *in)
{
    const uint32_t max_rounds = in->max_rounds != 0 ? in->max_rounds : CONVERGENCE_MAX_ROUNDS;
    const uint64_t best = predict(in, in->rounds_done > 0 ? in->smallest_left : in->bytes_left);
    struct convergence_decision out = {.action = CONVERGENCE_ROUND,
                                       .throttle = in->throttle,
                                       .predicted_blackout_ns = predict(in, in->bytes_left)};
    const bool fitting = fits(in, out.predicted_blackout_ns) ||
                         (in->bytes_left == 0 && in->dirty_bytes_per_s == 0);

    out.eta_ns = eta(in, out.predicted_blackout_ns);
    explain_fit(in, &out, out.why, sizeof out.why);
    if (in->max_time_ns != 0 && in->elapsed_ns >= in->max_time_ns) {
        out.action = CONVERGENCE_GIVE_UP;
        explain_hopeless(in, best, "not converged within --max-time", out.why, sizeof out.why);
    } else if (fitting && in->rounds_done >= max_rounds) {
        out.action = CONVERGENCE_PAUSE;
    } else if (fitting) {
        decide_fitting(in, &out);
    } else if (in->rounds_done >= max_rounds) {
        out.action = CONVERGENCE_GIVE_UP;
        explain_hopeless(in, best, "not converged within the rounds allowed", out.why,
                         sizeof out.why);
    } else {
        decide_waiting(in, best, &out);
    }
    if (out.action == CONVERGENCE_GIVE_UP)
        out.eta_ns = 0;
    return out;
}
