// SPDX-License-Identifier: Apache-2.0
/*
 * How often the same thing is said: of one text so many in a period, then a count. Whoever repeats
 * himself without end is told of less and less often, so that no storm fills a disk; other texts
 * are told as ever. Pure: no clock and no lock of its own.
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

/* The same for texts that differ in nothing but words with a digit in them: numbers, addresses.
 * With `exact` these count too. Never 0. */
uint64_t vf_limit_key(int level, const char *room, const char *text, bool exact);

/* A text is to be told at now_ns: may it? */
bool vf_limit_take(struct vf_limit *limit, uint64_t key, uint64_t now_ns, int level,
                   const char *room, const char *text);

/* Something was left out in a period that is over, or with `all` in any: true = *out is to be told,
 * once; ask again. */
bool vf_limit_due(struct vf_limit *limit, uint64_t now_ns, bool all, struct vf_limit_summary *out);

#endif
