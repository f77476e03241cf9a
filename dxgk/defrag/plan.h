// SPDX-License-Identifier: Apache-2.0
/*
 * Which reserves to move, and where, so that the largest hole in contiguous VRAM becomes as large
 * as sliding can make it. A pure function: bytes in, bytes out.
 */
#ifndef DXGK_VRAM_DEFRAG_PLAN_H
#define DXGK_VRAM_DEFRAG_PLAN_H

#include <stdbool.h>
#include <stdint.h>

/* A piece of VRAM that is taken. */
struct dxgk_defrag_block {
    uint64_t offset, bytes; /* bytes > 0 */
    uint64_t align; /* of its offset, a power of two or any number that divides offset; 0 = none */
    uint64_t low, high; /* it must lie in [low, high); high 0 = no limit */
    bool fixed;         /* it cannot be moved now */
};

struct dxgk_defrag_step {
    uint32_t block; /* index */
    uint64_t to;
};

struct dxgk_defrag_plan {
    uint64_t largest_before, largest_after; /* largest hole */
    uint64_t bytes;                         /* that are moved */
    uint32_t count;
    struct dxgk_defrag_step
        *steps; /* caller's, room for one a block; in the order they must be done */
};

/*
 * `blocks` by rising offset, pairwise disjoint, in [0, total). Between two fixed blocks all others
 * below some place slide down and all above it slide up, which gathers their holes into one; the
 * plan is the best such place of all: largest hole first, then least bytes moved, then lowest
 * blocks moved. No steps when no hole would become larger than the largest is. When a step is done
 * in order, its target lies in what is free then and in the block's own old place.
 */
void dxgk_defrag_plan(const struct dxgk_defrag_block *blocks, uint32_t count, uint64_t total,
                      struct dxgk_defrag_plan *plan);

#endif
