// SPDX-License-Identifier: Apache-2.0
/*
 * A move in thought: rounds over a link of a known rate, of a partition that writes at a known
 * rate, decided on by the very policy that decides in a move (migrate/convergence.h). No clock, no
 * I/O, no allocation.
 *
 * What is assumed: the partition writes blocks of 4 KiB, each as likely as any other of its working
 * set, which lies anywhere in what is touched; a throttle takes its part of the writes away; a move
 * has two streams; nothing is packed.
 */
#ifndef CLI_PLAN_SIMULATE_H
#define CLI_PLAN_SIMULATE_H

#include "migrate/convergence.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is compared and sent, whatever a dirty bit covers. */
#define PLAN_BLOCK_BYTES 4096u
/* As many as a move makes before its pause; the test holds it against migrate/. */
#define PLAN_MAX_ROUNDS 62u
#define PLAN_MAX_BLACKOUT_NS 750000000ull /* as migrate's, unless it is told another */
/* Pages that are read before they are sent: the slots of two streams. What is written to a page
 * that was not read yet travels with it. */
#define PLAN_AHEAD_BYTES (2u * 8u << 20)
/* Medians of moves between two hosts on one machine of 2 cores. A move beside its rounds and its
 * pause: connecting, admission, the end at the source. A round beside its bytes: the query of dirty
 * bits, the barrier. A pause beside its bytes: state, three fsyncs, the start; see
 * --fixed-blackout. */
#define PLAN_SETUP_NS 80000000ull
#define PLAN_ROUND_NS 400000ull
#define PLAN_FIXED_BLACKOUT_NS 5000000ull

/* How fast it writes, interval by interval, and over again. */
struct plan_trace {
    uint64_t interval_ns;
    const double *bytes_per_s;
    size_t count;
};

struct plan_move {
    uint64_t touched_bytes;     /* written at all: the first round */
    uint64_t working_set_bytes; /* written again and again */
    uint64_t write_bytes_per_s;
    const struct plan_trace *trace; /* in place of that rate; or NULL */
    uint64_t page_bytes;            /* what a dirty bit covers; at least a block */
    uint64_t link_bytes_per_s;
    uint64_t host_bytes_per_s; /* dirty pages that both hosts can read and compare; 0 = any */
    uint64_t fixed_blackout_ns;
    uint64_t max_blackout_ns, max_time_ns; /* no time: 0 */
    uint32_t throttle_most;
    bool verify_full;
};

struct plan_round {
    uint64_t dirty_bytes; /* of dirty pages */
    uint64_t sent_bytes;  /* of their blocks that were written */
    uint64_t duration_ns;
    uint32_t throttle; /* percent */
};

struct plan_outcome {
    bool completes;                                /* else it is given up */
    struct plan_round rounds[PLAN_MAX_ROUNDS + 1]; /* the last one happens in the pause */
    uint32_t round_count;
    uint64_t total_ns;    /* until it runs at the target, or was given up */
    uint64_t blackout_ns; /* as the policy sees it when it pauses; UINT64_MAX where it gives up */
    uint64_t sent_bytes;
    uint32_t throttle_max;
    uint64_t throttled_ns;
    char why[sizeof((struct convergence_decision *)0)->why]; /* the policy's last word */
};

/* The link's rate, the page and the blackout's limit must not be 0, nor a trace's parts. */
void plan_simulate(const struct plan_move *move, struct plan_outcome *outcome);

#endif
