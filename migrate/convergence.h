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
    char why[160];                  /* one line; for GIVE_UP: what, why, what to do */
};

/* A round ended with `bytes_left` dirty: counts it and keeps the history. */
void convergence_note_round(struct convergence_input *input, uint64_t bytes_left);
struct convergence_decision convergence_decide(const struct convergence_input *input);

#endif
