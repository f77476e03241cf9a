// SPDX-License-Identifier: Apache-2.0
/*
 * Which granules of one adapter's VRAM are taken, and which are proven to be zero: a bitmap for
 * each. Giving back never allocates, so it cannot fail. Not thread-safe: the caller, which is
 * vram.c, holds adapter->lock.
 */
#ifndef DXGK_VRAM_RESERVE_H
#define DXGK_VRAM_RESERVE_H

#include "dxgk/internal.h"

struct dxgk_reserve_want {
    uint64_t bytes; /* > 0, multiple of the granule */
    uint64_t align; /* bytes, a multiple of the granule or 0; start of a contiguous reserve */
    uint64_t low,
        high;         /* segment offsets the reserve must lie between; high 0 = the segment's end */
    uint32_t adapter; /* whose VRAM it is, for the words of a refusal */
};

/* Manages segment offsets [0, bytes). `granule` is a multiple of 4096; a tail shorter than it is
 * never used. With `scatter` a reserve may consist of many ranges, else it is one. NULL when out
 * of memory. */
struct dxgk_reserve *dxgk_reserve_create(uint64_t bytes, uint64_t granule, bool scatter);
void dxgk_reserve_destroy(struct dxgk_reserve *reserve);

/* Contiguous: first fit. Scattered: the smallest free runs first, so that holes are used up and
 * large runs stay whole. *ranges is malloc'ed and the caller's, pairwise disjoint, its order is the
 * guest physical order. Takes nothing when it fails: VF_FAILED, the text says what is free. */
int dxgk_reserve_take(struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                      DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err);
/* Could a take of want->bytes find room, its place (align, low, high) left aside? For asking before
 * the driver is; fails as a take would. */
int dxgk_reserve_check(const struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                       struct vf_error *err);
/* Gives ranges back that one take returned. */
void dxgk_reserve_give(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *ranges,
                       uint32_t count);

/* Takes exactly this range (multiples of the granule); false, and nothing taken, unless all of it
 * is free. An empty range is free. What is known of its content stays known, as with a take. */
bool dxgk_reserve_claim(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range);
/* The first taken run at or after segment offset `from`; false when there is none. */
bool dxgk_reserve_taken(const struct dxgk_reserve *reserve, uint64_t from, DXGK_MEMORYRANGE *run);

/* ---- what is proven to be zero: nothing at first; taking and giving back change nothing ---- */

void dxgk_reserve_prove(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range);
/* Somebody may write there from now on. */
void dxgk_reserve_soil(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *ranges,
                       uint32_t count);
/* The first run inside `range` that is not proven, cut at `most` bytes (rounded down to granules,
 * one at least); false when all of it is. */
bool dxgk_reserve_unproven(const struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range,
                           uint64_t most, DXGK_MEMORYRANGE *run);
/* Likewise of all that is free and not proven, from segment offset `from` on. */
bool dxgk_reserve_unproven_free(const struct dxgk_reserve *reserve, uint64_t from, uint64_t most,
                                DXGK_MEMORYRANGE *run);
/* Bytes that are free and not proven. */
uint64_t dxgk_reserve_unproven_bytes(const struct dxgk_reserve *reserve);

uint64_t dxgk_reserve_total(const struct dxgk_reserve *reserve);
uint64_t dxgk_reserve_free(const struct dxgk_reserve *reserve);
/* Largest reserve that one take could return now. */
uint64_t dxgk_reserve_largest(const struct dxgk_reserve *reserve);

#endif
