// SPDX-License-Identifier: Apache-2.0
/*
 * Convergence: a pure function of measurements to a decision, asked after every round (and before
 * the first). No clock, no network.
 */
#ifndef MIGRATE_CONVERGENCE_H
#define MIGRATE_CONVERGENCE_H

#include <stdint.h>

#define CONVERGENCE_HISTORY 3u
#define CONVERGENCE_MAX_ROUNDS 40u
#define CONVERGENCE_EARLY_ROUNDS 5u /* no early verdict before so many rounds */
/* A pause is decided on only when its prediction fits this part of the limit. */
#define CONVERGENCE_MARGIN_PERCENT 80u
/* A pause that fits is put off for another round that shortens it by so much, of the time and of
 * the bytes left. Each such round takes less than --max-blackout, their sum four times as much. */
#define CONVERGENCE_WORTH_NS 500000u
#define CONVERGENCE_WORTH_PERCENT 10u
#define CONVERGENCE_SHRINK_PERCENT 25u
/* No estimate when pages get dirty faster than this part of the rate. */
#define CONVERGENCE_ETA_PERCENT 80u
#define CONVERGENCE_PROGRESS_PERCENT 5u /* shrinking by less counts as standing still */
/* A partition that may be slowed is slowed for a pause of which rounds could take away more than
 * this, once rounds alone do not. */
#define CONVERGENCE_AIM_NS 5000000u
/* Rounds before the first that slows: what the first one says of the rate holds for no other. */
#define CONVERGENCE_FREE_ROUNDS 2u
/* Rounds that may slow a partition whose pause fits: each takes less than --max-blackout. */
#define CONVERGENCE_SLOW_ROUNDS 12u
/* What a slowed round is to leave of the bytes, and the least that one step leaves of the
 * partition's share of the time: dirty pages that are written twice hide how fast it really
 * writes. */
#define CONVERGENCE_SLOW_PERCENT 25u

/* Start with {0}, set the limits, then convergence_note_round after each round. */
struct convergence_input {
    uint64_t bytes_left;       /* dirty now */
    uint64_t rate_bytes_per_s; /* sent; 0 = not known yet */
    uint64_t dirty_bytes_per_s;
    uint32_t rounds_done;
    uint64_t elapsed_ns;        /* since the job began */
    uint64_t fixed_blackout_ns; /* estimate: state, delta verify, commit, start */
    uint64_t verify_full_ns; /* estimate of rehashing both paused reserves; 0 with --verify delta */
    uint64_t max_blackout_ns;
    uint64_t max_time_ns; /* 0 = none */
    uint32_t max_rounds;  /* 0 = CONVERGENCE_MAX_ROUNDS */
    /* Percent of the time that the partition stands: at most, in which 0 = it must not be slowed;
     * and in the last round, which dirty_bytes_per_s was measured in. */
    uint32_t throttle_most;
    uint32_t throttle;
    uint32_t slow_rounds; /* by convergence_note_round: with a throttle */
    /* Both by convergence_note_round: bytes left after the last rounds, newest last; and the
     * least ever. */
    uint64_t history[CONVERGENCE_HISTORY];
    uint64_t smallest_left;
};

enum convergence_action { CONVERGENCE_ROUND, CONVERGENCE_PAUSE, CONVERGENCE_GIVE_UP };

struct convergence_decision {
    enum convergence_action action;
    uint64_t predicted_blackout_ns; /* of a pause now; UINT64_MAX when the rate is not known */
    uint64_t eta_ns;                /* until the partition runs on the target; 0 = unknown */
    uint32_t throttle;              /* percent, for the next round; never less than before */
    char why[160];                  /* one line; for GIVE_UP: what, why, what to do */
};

/* A round ended with `bytes_left` dirty: counts it and keeps the history. */
void convergence_note_round(struct convergence_input *input, uint64_t bytes_left);
struct convergence_decision convergence_decide(const struct convergence_input *input);

#endif
