// SPDX-License-Identifier: Apache-2.0
/* See reserve.h. Two bits a granule: taken; not proven to be zero. */
#include "dxgk/vram/reserve.h"

#include "base/cleanup.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdlib.h>

struct dxgk_reserve {
    uint64_t granule;
    uint64_t count; /* granules */
    uint64_t taken;
    bool scatter;
    uint64_t *unproven; /* behind used[]; the bits behind `count` are clear */
    uint64_t used[];    /* the bits behind `count` are set, so that no run crosses the end */
};

/* A run of free granules. */
struct run {
    uint64_t first, count;
};

static void put_bits(uint64_t *bits, struct run run, bool value)
{
    for (uint64_t at = run.first; at < run.first + run.count; at++) {
        uint64_t bit = 1ull << (at % 64);

        if (value)
            bits[at / 64] |= bit;
        else
            bits[at / 64] &= ~bit;
    }
}

struct dxgk_reserve *dxgk_reserve_create(uint64_t bytes, uint64_t granule, bool scatter)
{
    uint64_t count = bytes / granule;
    uint64_t words = count / 64 + 1;
    struct dxgk_reserve *reserve = calloc(1, sizeof *reserve + 2 * words * sizeof reserve->used[0]);

    if (reserve == NULL)
        return NULL;
    reserve->granule = granule;
    reserve->count = count;
    reserve->scatter = scatter;
    reserve->used[count / 64] = ~0ull << (count % 64);
    reserve->unproven = reserve->used + words;
    put_bits(reserve->unproven, (struct run){0, count}, true);
    return reserve;
}

void dxgk_reserve_destroy(struct dxgk_reserve *reserve)
{
    free(reserve);
}

/* The bits in which granules of the given word are what is looked for. */
typedef uint64_t bits_of(const struct dxgk_reserve *reserve, uint64_t word);

static uint64_t taken_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return reserve->used[word];
}

static uint64_t free_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return ~reserve->used[word];
}

static uint64_t unproven_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return reserve->unproven[word];
}

static uint64_t proven_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return ~reserve->unproven[word];
}

static uint64_t work_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return reserve->unproven[word] & ~reserve->used[word];
}

static uint64_t no_work_bits(const struct dxgk_reserve *reserve, uint64_t word)
{
    return ~work_bits(reserve, word);
}

/* First such granule at or after `from`; count when there is none. */
static uint64_t find(const struct dxgk_reserve *reserve, uint64_t from, bits_of *wanted)
{
    uint64_t word = from / 64;
    uint64_t mask = ~0ull << (from % 64);

    for (; word <= reserve->count / 64; word++, mask = ~0ull) {
        uint64_t bits = wanted(reserve, word) & mask;

        if (bits != 0) {
            uint64_t at = word * 64 + (uint64_t)__builtin_ctzll(bits);

            return at < reserve->count ? at : reserve->count;
        }
    }
    return reserve->count;
}

/* The next free run at or after `from`, cut at `end`; false when there is none. */
static bool next_run(const struct dxgk_reserve *reserve, uint64_t from, uint64_t end,
                     struct run *run)
{
    uint64_t first = from < end ? find(reserve, from, free_bits) : end;
    uint64_t last;

    if (first >= end)
        return false;
    last = find(reserve, first, taken_bits);
    run->first = first;
    run->count = (last < end ? last : end) - first;
    return true;
}

static void mark(struct dxgk_reserve *reserve, struct run run, bool taken)
{
    put_bits(reserve->used, run, taken);
    reserve->taken = taken ? reserve->taken + run.count : reserve->taken - run.count;
}

static DXGK_MEMORYRANGE range_of(const struct dxgk_reserve *reserve, struct run run)
{
    return (DXGK_MEMORYRANGE){.SegmentOffset = run.first * reserve->granule,
                              .SizeInBytes = run.count * reserve->granule};
}

static struct run run_of(const struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range)
{
    return (struct run){range->SegmentOffset / reserve->granule,
                        range->SizeInBytes / reserve->granule};
}

/* Too little in all, in pieces too small, or not where the driver wants it: each has its
 * own mend. */
static int no_room(const struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                   struct vf_error *err)
{
    char asked[32];
    char all[32];
    char largest[32];

    (void)vf_size_format(want->bytes, asked, sizeof asked);
    (void)vf_size_format(dxgk_reserve_free(reserve), all, sizeof all);
    (void)vf_size_format(dxgk_reserve_largest(reserve), largest, sizeof largest);
    if (dxgk_reserve_free(reserve) < want->bytes)
        return vf_fail(err, VF_FAILED,
                       "adapter %u has %s of VRAM free; %s do not fit" VF_REMEDY
                       "ask for less, or remove or move a partition",
                       want->adapter, all, asked);
    if (dxgk_reserve_largest(reserve) < want->bytes)
        return vf_fail(err, VF_FAILED,
                       "adapter %u has %s of VRAM free, but in pieces: the largest partition that "
                       "fits is %s, not %s" VF_REMEDY
                       "bring the free pieces together with \"vferry adapter defrag %u\", or ask "
                       "for less",
                       want->adapter, all, largest, asked, want->adapter);
    return vf_fail(err, VF_FAILED,
                   "adapter %u has %s of VRAM free, but not where its driver wants %s" VF_REMEDY
                   "ask for less, or remove or move a partition",
                   want->adapter, all, asked);
}

int dxgk_reserve_check(const struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                       struct vf_error *err)
{
    return want->bytes <= dxgk_reserve_largest(reserve) ? 0 : no_room(reserve, want, err);
}

static int take_contiguous(struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                           uint64_t low, uint64_t high, DXGK_MEMORYRANGE **ranges, uint32_t *count,
                           struct vf_error *err)
{
    uint64_t need = want->bytes / reserve->granule;
    uint64_t align = want->align > reserve->granule ? want->align / reserve->granule : 1;
    struct run run;

    for (uint64_t from = low; next_run(reserve, from, high, &run); from = run.first + run.count) {
        uint64_t skip = (align - run.first % align) % align;

        if (skip > run.count || run.count - skip < need)
            continue;
        *ranges = malloc(sizeof **ranges);
        if (*ranges == NULL)
            return vf_fail(err, VF_FAILED, "the list of VRAM ranges: " VF_NO_MEMORY);
        run = (struct run){run.first + skip, need};
        mark(reserve, run, true);
        (*ranges)[0] = range_of(reserve, run);
        *count = 1;
        return 0;
    }
    return no_room(reserve, want, err);
}

/* Shortest first; equal ones by place, so that the outcome depends on the map alone. */
static int by_length(const void *a, const void *b)
{
    const struct run *left = a;
    const struct run *right = b;

    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    return left->first < right->first ? -1 : 1;
}

static int take_scattered(struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                          uint64_t low, uint64_t high, DXGK_MEMORYRANGE **ranges, uint32_t *count,
                          struct vf_error *err)
{
    uint64_t need = want->bytes / reserve->granule;
    uint64_t found = 0;
    uint64_t runs = 0;
    uint64_t used = 0;
    cleanup_free struct run *list = NULL;
    struct run run;

    for (uint64_t from = low; next_run(reserve, from, high, &run); from = run.first + run.count) {
        runs++;
        found += run.count;
    }
    if (found < need)
        return no_room(reserve, want, err);
    list = calloc(runs, sizeof *list);
    if (list == NULL)
        return vf_fail(err, VF_FAILED, "the list of VRAM ranges: " VF_NO_MEMORY);
    runs = 0;
    for (uint64_t from = low; next_run(reserve, from, high, &run); from = run.first + run.count)
        list[runs++] = run;
    qsort(list, runs, sizeof *list, by_length);
    for (uint64_t left = need; left > 0; used++) {
        if (list[used].count > left)
            list[used].count = left;
        left -= list[used].count;
    }
    if (used > DXGK_MAX_RANGES)
        return vf_fail(err, VF_FAILED,
                       "free VRAM is in %" PRIu64 " pieces, %u can be used; remove a partition",
                       used, DXGK_MAX_RANGES);
    *ranges = calloc(used, sizeof **ranges);
    if (*ranges == NULL)
        return vf_fail(err, VF_FAILED, "the list of VRAM ranges: " VF_NO_MEMORY);
    for (uint64_t i = 0; i < used; i++) {
        mark(reserve, list[i], true);
        (*ranges)[i] = range_of(reserve, list[i]);
    }
    *count = (uint32_t)used;
    return 0;
}

int dxgk_reserve_take(struct dxgk_reserve *reserve, const struct dxgk_reserve_want *want,
                      DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err)
{
    uint64_t low = want->low / reserve->granule + (want->low % reserve->granule != 0);
    uint64_t high = want->high == 0 ? reserve->count : want->high / reserve->granule;

    if (high > reserve->count)
        high = reserve->count;
    if (want->bytes == 0 || want->bytes % reserve->granule != 0)
        return vf_fail(err, VF_USAGE,
                       "a VRAM reserve is a multiple of %" PRIu64 " bytes, not %" PRIu64,
                       reserve->granule, want->bytes);
    return (reserve->scatter ? take_scattered : take_contiguous)(reserve, want, low, high, ranges,
                                                                 count, err);
}

void dxgk_reserve_give(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mark(reserve, run_of(reserve, &ranges[i]), false);
}

bool dxgk_reserve_claim(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range)
{
    struct run run = run_of(reserve, range);

    if (run.first > reserve->count || run.count > reserve->count - run.first ||
        (run.count > 0 && find(reserve, run.first, taken_bits) < run.first + run.count))
        return false;
    mark(reserve, run, true);
    return true;
}

bool dxgk_reserve_taken(const struct dxgk_reserve *reserve, uint64_t from, DXGK_MEMORYRANGE *run)
{
    uint64_t first = from / reserve->granule;

    if (first >= reserve->count || (first = find(reserve, first, taken_bits)) == reserve->count)
        return false;
    *run = range_of(reserve, (struct run){first, find(reserve, first, free_bits) - first});
    return true;
}

void dxgk_reserve_prove(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range)
{
    put_bits(reserve->unproven, run_of(reserve, range), false);
}

void dxgk_reserve_soil(struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_bits(reserve->unproven, run_of(reserve, &ranges[i]), true);
}

/* The first run of granules that are `wanted` in [from, end), which one that is `other` ends. */
static bool cut_run(const struct dxgk_reserve *reserve, struct run in, uint64_t most,
                    bits_of *wanted, bits_of *other, DXGK_MEMORYRANGE *run)
{
    const uint64_t end = in.first + in.count;
    const uint64_t most_granules = most / reserve->granule > 0 ? most / reserve->granule : 1;
    uint64_t first = in.first < end ? find(reserve, in.first, wanted) : end, last;

    if (first >= end)
        return false;
    last = find(reserve, first, other);
    last = last < end ? last : end;
    if (last - first > most_granules)
        last = first + most_granules;
    *run = range_of(reserve, (struct run){first, last - first});
    return true;
}

bool dxgk_reserve_unproven(const struct dxgk_reserve *reserve, const DXGK_MEMORYRANGE *range,
                           uint64_t most, DXGK_MEMORYRANGE *run)
{
    return cut_run(reserve, run_of(reserve, range), most, unproven_bits, proven_bits, run);
}

bool dxgk_reserve_unproven_free(const struct dxgk_reserve *reserve, uint64_t from, uint64_t most,
                                DXGK_MEMORYRANGE *run)
{
    const uint64_t first = from / reserve->granule;

    return first < reserve->count && cut_run(reserve, (struct run){first, reserve->count - first},
                                             most, work_bits, no_work_bits, run);
}

uint64_t dxgk_reserve_unproven_bytes(const struct dxgk_reserve *reserve)
{
    uint64_t granules = 0;

    for (uint64_t word = 0; word <= reserve->count / 64; word++)
        granules += (uint64_t)__builtin_popcountll(work_bits(reserve, word));
    return granules * reserve->granule;
}

uint64_t dxgk_reserve_total(const struct dxgk_reserve *reserve)
{
    return reserve->count * reserve->granule;
}

uint64_t dxgk_reserve_free(const struct dxgk_reserve *reserve)
{
    return (reserve->count - reserve->taken) * reserve->granule;
}

uint64_t dxgk_reserve_largest(const struct dxgk_reserve *reserve)
{
    uint64_t largest = 0;
    struct run run;

    if (reserve->scatter)
        return dxgk_reserve_free(reserve);
    for (uint64_t from = 0; next_run(reserve, from, reserve->count, &run);
         from = run.first + run.count) {
        if (run.count > largest)
            largest = run.count;
    }
    return largest * reserve->granule;
}
