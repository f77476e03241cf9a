// SPDX-License-Identifier: Apache-2.0
/* A card with one VF and no engine threads: a target runs commands and walks tables itself, so that
 * an input does the same each time, thousands of times a second. */
#ifndef FUZZ_CARD_H
#define FUZZ_CARD_H

#include "fuzz/target.h"
#include "softgpu.h"

#define CARD_EXTENT 65536ull
#define CARD_EXTENTS 6u /* of the VF; every other one of VRAM, the last one among them */
#define CARD_VRAM (2 * CARD_EXTENTS * CARD_EXTENT)
#define CARD_RESERVE (CARD_EXTENTS * CARD_EXTENT)
#define CARD_TABLES 0x1000ull /* root, then level 1, then the leaves: one to one, small pages */

struct card {
    struct sg_device dev;
    struct sg_vf vf;
    uint8_t work[SG_WORK_BYTES];
    uint64_t now; /* what sg_now gives, a little more each time */
    uint8_t foreign;
};

/* A card as new, of two at most: foreign VRAM and the engines' own memory are full of `foreign`,
 * the VF's reserve is zero but for its tables, nothing is dirty. */
struct card *card_new(uint8_t foreign);
uint64_t card_phys(uint64_t gpa);
/* Is the VRAM address in the VF's reserve? */
bool card_owns(uint64_t phys);
/* Foreign VRAM is as it was made, and has no dirty bit; every page of the VF's that differs from
 * `before` (CARD_RESERVE bytes, or NULL) has one (VF-6, DBT-6). */
void card_check(struct card *card, const uint8_t *before);
void card_load(struct card *card, uint64_t gpa, void *to, uint64_t bytes);
void card_store(struct card *card, uint64_t gpa, const void *from, uint64_t bytes);

/* A number of eight random bytes is hardly ever a good address: the first byte chooses its kind. */
uint64_t card_operand(struct fuzz_input *in);

#endif
