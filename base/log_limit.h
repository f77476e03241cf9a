// SPDX-License-Identifier: Apache-2.0
/*
 * How often one text may be told: some times in a period, after which it is only counted. The
 * periods of a text that goes on and on grow, so that no storm of it fills a disk; other texts are
 * told as before. Pure: no clock and no lock of its own, so one thread at a time.
 */
#ifndef VF_BASE_LOG_LIMIT_H
#define VF_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VF_LIMIT_BURST 20u                /* of one text in a period are told */
#define VF_LIMIT_PERIOD_NS 10000000000ull /* the first one; doubled as long as it goes on ... */
#define VF_LIMIT_MOST_NS 3600000000000ull /* ... to this */
#define VF_LIMIT_TEXTS 128u               /* that are remembered; the one silent longest goes */
#define VF_LIMIT_SAMPLE 200u

struct vf_limit_text {
    uint64_t key; /* 0 = free */
    uint64_t begin_ns, last_ns, period_ns;
    uint64_t told, left_out; /* in this period */
    int level;               /* the caller's, as the next */
    char room[16];
    char sample[VF_LIMIT_SAMPLE];
};

struct vf_limit {
    struct vf_limit_text texts[VF_LIMIT_TEXTS];
};

/* What was left out: `left_out` like `sample` in `span_ns`. */
struct vf_limit_summary {
    uint64_t left_out, span_ns;
    int level;
    char room[16];
    char sample[VF_LIMIT_SAMPLE];
};

/* The key under which a text is counted. Texts that differ in nothing but words with a digit in
 * them (numbers, addresses) share a key, unless `exact`. Never 0. */
uint64_t vf_limit_key(int level, const char *room, const char *text, bool exact);

/* May the text with this key be told at now_ns (any clock that never goes back)? False: it
 * is counted, and told later with vf_limit_due. `level`, `room` and `text` are for that
 * line; copied. */
bool vf_limit_take(struct vf_limit *limit, uint64_t key, uint64_t now_ns, int level,
                   const char *room, const char *text);

/* Was a text left out in a period that is over (with `all`: in any period)? True: *out is to be
 * told now, and is forgotten here; ask again for the next one. */
bool vf_limit_due(struct vf_limit *limit, uint64_t now_ns, bool all, struct vf_limit_summary *out);

#endif
