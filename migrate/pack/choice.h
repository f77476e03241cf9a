// SPDX-License-Identifier: Apache-2.0
/*
 * Which way a stream packs its next frame. With --compress auto it is found by measuring: ways
 * stand in a row from none to the hardest. Now and then a harder one is tried, if the stream waits
 * for the link, or an easier one, for 8 MiB at a time, and kept when bytes of content then go
 * noticeably faster. A pure function of what is noted: no clock.
 */
#ifndef MIGRATE_PACK_CHOICE_H
#define MIGRATE_PACK_CHOICE_H

#include "migrate/pack/pack.h"
#include "migrate/pack/wish.h"

#define PACK_WAYS 4u              /* none, lz4, zstd 1, zstd 3 */
#define PACK_TRY_BYTES (8u << 20) /* of content by which a way is judged */
#define PACK_TRY_AGAIN 32u /* so many times that after a way that was no better; doubled ... */
#define PACK_TRY_AGAIN_MOST 256u /* ... to this */
#define PACK_BETTER_PERCENT 5u   /* that a way must be faster by */
#define PACK_WAITS_PERCENT 25u   /* of the time, in sending: the link is what is waited for */
#define PACK_SLOW_PERCENT 150u   /* of the time without: too slow for a harder way to be better */

struct pack_choice {
    enum pack_wish wish;
    unsigned at;    /* the way in use */
    unsigned kept;  /* the one to go back to; == at: nothing is being tried */
    double kept_ns; /* a byte of content takes there; 0 = not measured yet */
    unsigned step;  /* how far up the next trial goes: a way that gains nothing hides none */
    bool steady;    /* nothing is tried */
    /* Judgements until a harder and until an easier way is tried, and what they become after the
     * next failure. */
    unsigned rest_up, rest_down, again_up, again_down;
    /* Since the last judgement. */
    uint64_t bytes, packed_bytes, took_ns, waited_ns;
};

/* A frame that was sent. */
struct pack_note {
    uint32_t bytes;     /* of payload */
    bool packed;        /* as wished; false: it was not worth it */
    uint64_t took_ns;   /* since the frame before, all in all */
    uint64_t waited_ns; /* of that, in sending it */
};

void pack_choice_init(struct pack_choice *choice, enum pack_wish wish);
/* A round begins. `steady`: until the next one nothing is tried. */
void pack_choice_begin(struct pack_choice *choice, bool steady);
struct pack_way pack_choice_next(const struct pack_choice *choice);
void pack_choice_note(struct pack_choice *choice, const struct pack_note *note);

#endif
