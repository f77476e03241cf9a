// SPDX-License-Identifier: Apache-2.0
/*
 * Convergence: a pure function of measurements to a decision, asked after every round (and before
 * the first). No clock, no network.
 */
#ifndef MIGRATE_CONVERGENCE_H
#define MIGRATE_CONVERGENCE_H

#include <stdint.h>

#define POLICY_HISTORY 3u
#define POLICY_MAX_ROUNDS 40u
#define POLICY_EARLY_ROUNDS 5u    /* no early verdict before so many rounds */
#define POLICY_MARGIN_PERCENT 80u /* pause only when the prediction fits this part of the limit */
#define POLICY_ETA_PERCENT                                                                         \
    80u /* no estimate when pages get dirty faster than this part of the rate */
#define POLICY_PROGRESS_PERCENT 5u /* shrinking by less counts as standing still */

/* Start with {0}, set the limits, then policy_note_round after each round. */
struct policy_input {
    uint64_t bytes_left; /* dirty now */
    uint64_t page_bytes;
    uint64_t rate_bytes_per_s; /* sent; 0 = not known yet */
    uint64_t dirty_bytes_per_s;
    uint32_t rounds_done;
    uint64_t elapsed_ns;        /* since the job began */
    uint64_t fixed_blackout_ns; /* estimate: state, delta verify, commit, start */
    uint64_t verify_full_ns; /* estimate of rehashing both paused reserves; 0 with --verify delta */
    uint64_t max_blackout_ns;
    uint64_t max_time_ns; /* 0 = none */
    uint32_t max_rounds;  /* 0 = POLICY_MAX_ROUNDS */
    /* Both by policy_note_round: bytes left after the last rounds, newest last; and the least ever.
     */
    uint64_t history[POLICY_HISTORY];
    uint64_t smallest_left;
};

enum policy_action { POLICY_ROUND, POLICY_PAUSE, POLICY_GIVE_UP };

struct policy_decision {
    enum policy_action action;
    uint64_t predicted_blackout_ns; /* of a pause now; UINT64_MAX when the rate is not known */
    uint64_t eta_ns;                /* until the partition runs on the target; 0 = unknown */
    char why[160];                  /* one line; for GIVE_UP: what, why, what to do */
};

/* A round ended with `bytes_left` dirty: counts it and keeps the history. */
void policy_note_round(struct policy_input *input, uint64_t bytes_left);
struct policy_decision policy_decide(const struct policy_input *input);

#endif
