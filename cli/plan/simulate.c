// SPDX-License-Identifier: Apache-2.0
/* See simulate.h. */
#include "cli/plan/simulate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1e9

/* What one round works on. */
struct work {
    double dirty; /* bytes of dirty pages */
    double sent;  /* bytes of their blocks that were written */
};

struct state {
    const struct plan_move *move;
    struct convergence_input in;
    struct work work;  /* the next round's */
    double share;      /* of what the last round read that it sent */
    double elapsed_ns; /* in.elapsed_ns without its rounding */
};

static uint64_t whole(double value)
{
    return value < 0 ? 0 : value >= 9e18 ? 9000000000000000000ull : (uint64_t)value;
}

/* How many of `places` are hit by so many writes, each of which may hit any of them. */
static double different(double places, double writes)
{
    return places <= 0 ? 0 : -places * expm1(-writes / places);
}

/* Bytes a second that it writes, on average from `start` on, for so long. */
static double write_rate(const struct plan_move *move, double start, double seconds)
{
    const struct plan_trace *trace = move->trace;
    double interval, all = 0, done = 0;
    size_t steps = 0;

    if (trace == NULL)
        return (double)move->write_bytes_per_s;
    interval = (double)trace->interval_ns / NS_PER_S;
    for (size_t i = 0; i < trace->count; i++)
        all += trace->bytes_per_s[i] / (double)trace->count;
    /* Longer than the whole of it: what goes beyond its last whole turn hardly matters. */
    if (seconds >= interval * (double)trace->count)
        return all;
    start = fmod(start, interval * (double)trace->count);
    for (double at = start; at < start + seconds && steps <= trace->count + 1; steps++) {
        const double next = (floor(at / interval + 1e-9) + 1) * interval;
        const double until = next < start + seconds ? next : start + seconds;
        const size_t index = (size_t)(at / interval + 1e-9) % trace->count;

        done += trace->bytes_per_s[index] * (until - at);
        at = until;
    }
    return done / seconds;
}

/* How many of those blocks that were to be sent in a round, one after the other, were written after
 * they had been read; `hits` is how often each is written meanwhile, on average. What was written
 * before has travelled already. */
static double written_behind(double list_bytes, double hits)
{
    const double ahead = list_bytes > PLAN_AHEAD_BYTES ? PLAN_AHEAD_BYTES / list_bytes : 1;

    if (ahead >= 1)
        return different(1, hits);
    if (hits < 1e-4) /* nothing is written twice, and the formula below has no digits left */
        return hits * (ahead + (1 - ahead) * (1 + ahead) / 2);
    return ahead * different(1, hits) +
           (1 - ahead) * (1 - (exp(-hits * ahead) - exp(-hits)) / (hits * (1 - ahead)));
}

/* What a round leaves that takes so many seconds, while the partition has this share of its time
 * and pages are sent of which so many bytes were dirty. */
static struct work left_by(const struct state *s, double list_bytes, double seconds, double share)
{
    const struct plan_move *move = s->move;
    const double set = (double)move->working_set_bytes, page = (double)move->page_bytes;
    const double rate = write_rate(move, s->elapsed_ns / NS_PER_S, seconds);
    const double writes = rate * seconds * share / PLAN_BLOCK_BYTES;
    const double hits = set > 0 ? writes * PLAN_BLOCK_BYTES / set : 0;
    const double listed = set <= 0 ? 0 : list_bytes < set ? list_bytes / set : 1;
    const double dirty = different(set / page, writes) * page;
    const double sent =
        set * (listed * written_behind(list_bytes, hits) + (1 - listed) * different(1, hits));

    return (struct work){.dirty = dirty, .sent = sent < dirty ? sent : dirty};
}

/* Seconds that a round takes: the link's or the hosts', whichever are more. */
static double duration(const struct plan_move *move, const struct work *work)
{
    const double link = work->sent / (double)move->link_bytes_per_s;
    const double hosts =
        move->host_bytes_per_s != 0 ? work->dirty / (double)move->host_bytes_per_s : 0;

    return link > hosts ? link : hosts;
}

/* How fast dirty pages are dealt with, as a move measures it (migrate/source/rounds.c): what of
 * them is sent has to go over the link, and of the last two rounds the one that sent more counts.
 * The first round says nothing of that: all of it is sent. */
static void note_rate(struct state *s, const struct work *work)
{
    const struct plan_move *move = s->move;
    const uint32_t round = s->in.rounds_done;
    const double share = round == 0 || work->dirty <= 0 ? 1.0 : work->sent / work->dirty;
    const double most = round > 1 && s->share > share ? s->share : share;
    const double link =
        most > 0 ? (double)move->link_bytes_per_s / most : (double)move->link_bytes_per_s;
    const double hosts = (double)move->host_bytes_per_s;

    s->share = share;
    s->in.rate_bytes_per_s = whole(hosts > 0 && hosts < link ? hosts : link);
    if (s->in.rate_bytes_per_s == 0)
        s->in.rate_bytes_per_s = 1;
    if (move->verify_full)
        s->in.verify_full_ns =
            whole((double)move->touched_bytes * NS_PER_S / (double)s->in.rate_bytes_per_s / 2.0);
}

static void book(struct plan_outcome *out, const struct work *work, double ns, uint32_t throttle)
{
    struct plan_round *round = &out->rounds[out->round_count++];

    *round = (struct plan_round){.dirty_bytes = whole(work->dirty),
                                 .sent_bytes = whole(work->sent),
                                 .duration_ns = whole(ns),
                                 .throttle = throttle};
    out->sent_bytes = whole((double)out->sent_bytes + (double)round->sent_bytes);
    out->throttled_ns = whole((double)out->throttled_ns + ns * throttle / 100.0);
    if (throttle > out->throttle_max)
        out->throttle_max = throttle;
}

/* Sends what is dirty, and sees what got dirty meanwhile. */
static void run_round(struct state *s, uint32_t throttle, struct plan_outcome *out)
{
    const struct work work = s->work;
    const double seconds = duration(s->move, &work) + PLAN_ROUND_NS / NS_PER_S;

    s->in.throttle = throttle;
    book(out, &work, seconds * NS_PER_S, throttle);
    note_rate(s, &work);
    s->work = left_by(s, work.dirty, seconds, 1 - throttle / 100.0);
    s->elapsed_ns += seconds * NS_PER_S;
    s->in.elapsed_ns = whole(s->elapsed_ns);
    s->in.dirty_bytes_per_s = whole(s->work.dirty / seconds);
    convergence_note_round(&s->in, whole(s->work.dirty));
}

/* The time was over in the middle of the last round: what there was of it, and what a move says
 * then. */
static void cut(const struct state *s, struct plan_outcome *out)
{
    struct plan_round *round = out->round_count > 0 ? &out->rounds[out->round_count - 1] : NULL;
    const uint64_t over = out->total_ns - s->move->max_time_ns;

    out->total_ns = s->move->max_time_ns;
    (void)snprintf(out->why, sizeof out->why,
                   "--max-time passes; allow more time, or a longer --max-blackout");
    if (round == NULL || over >= round->duration_ns)
        return;
    out->sent_bytes -= round->sent_bytes;
    round->sent_bytes =
        whole((double)round->sent_bytes * (1 - (double)over / (double)round->duration_ns));
    round->duration_ns -= over;
    out->sent_bytes += round->sent_bytes;
}

static void end(struct state *s, const struct convergence_decision *decision,
                struct plan_outcome *out)
{
    /* With nothing left to send the policy pauses, whatever the limit; the pause then fails. */
    out->completes = decision->action == CONVERGENCE_PAUSE &&
                     decision->predicted_blackout_ns <= s->move->max_blackout_ns;
    (void)snprintf(out->why, sizeof out->why, "%s", decision->why);
    out->blackout_ns = UINT64_MAX;
    out->total_ns = s->in.elapsed_ns;
    if (out->completes) {
        out->blackout_ns = decision->predicted_blackout_ns;
        out->total_ns = whole(s->elapsed_ns + (double)out->blackout_ns);
        book(out, &s->work, duration(s->move, &s->work) * NS_PER_S, 0);
    } else if (s->move->max_time_ns != 0 && out->total_ns > s->move->max_time_ns) {
        cut(s, out);
    }
}

void plan_simulate(const struct plan_move *move, struct plan_outcome *outcome)
{
    struct state s = {.move = move,
                      .work = {(double)move->touched_bytes, (double)move->touched_bytes},
                      .elapsed_ns = PLAN_SETUP_NS,
                      .in = {.elapsed_ns = PLAN_SETUP_NS,
                             .bytes_left = move->touched_bytes,
                             .fixed_blackout_ns = move->fixed_blackout_ns,
                             .max_blackout_ns = move->max_blackout_ns,
                             .max_time_ns = move->max_time_ns,
                             .max_rounds = PLAN_MAX_ROUNDS,
                             .throttle_most = move->throttle_most}};
    struct convergence_decision decision;

    memset(outcome, 0, sizeof *outcome);
    for (;;) {
        decision = convergence_decide(&s.in);
        if (decision.action != CONVERGENCE_ROUND || outcome->round_count == PLAN_MAX_ROUNDS)
            break;
        run_round(&s, decision.throttle, outcome);
    }
    end(&s, &decision, outcome);
}
