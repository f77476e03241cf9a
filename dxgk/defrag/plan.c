// SPDX-License-Identifier: Apache-2.0
/* See plan.h. */
#include "dxgk/defrag/plan.h"

/* Blocks [first, end) between two fixed ones or the ends of VRAM, which leave them [low, high). */
struct zone {
    uint32_t first, end;
    uint64_t low, high;
};

/* One way to slide a zone: blocks below `split` down, the others up. */
struct option {
    uint32_t split;
    uint64_t hole;  /* largest in the zone then */
    uint64_t bytes; /* moved */
};

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Where a block comes to lie when all below `cursor` is taken: never above its present place. */
static uint64_t slide_down(const struct dxgk_defrag_block *block, uint64_t cursor)
{
    uint64_t align = block->align == 0 ? 1 : block->align;
    uint64_t to = max(cursor, block->low);

    to += (align - to % align) % align;
    return to < block->offset ? to : block->offset;
}

/* The same upwards; `cursor` is where the next block starts. */
static uint64_t slide_up(const struct dxgk_defrag_block *block, uint64_t cursor)
{
    uint64_t align = block->align == 0 ? 1 : block->align;
    uint64_t end = block->high != 0 && block->high < cursor ? block->high : cursor;
    uint64_t to;

    if (end < block->offset + block->bytes)
        return block->offset;
    to = (end - block->bytes) / align * align;
    return max(to, block->offset);
}

static struct option evaluate(const struct dxgk_defrag_block *blocks, const struct zone *zone,
                              uint32_t split)
{
    struct option option = {.split = split};
    uint64_t low = zone->low, high = zone->high;

    for (uint32_t i = zone->first; i < split; i++) {
        uint64_t to = slide_down(&blocks[i], low);

        option.bytes += to != blocks[i].offset ? blocks[i].bytes : 0;
        option.hole = max(option.hole, to - low);
        low = to + blocks[i].bytes;
    }
    for (uint32_t i = zone->end; i > split; i--) {
        uint64_t to = slide_up(&blocks[i - 1], high);

        option.bytes += to != blocks[i - 1].offset ? blocks[i - 1].bytes : 0;
        option.hole = max(option.hole, high - to - blocks[i - 1].bytes);
        high = to;
    }
    option.hole = max(option.hole, high - low);
    return option;
}

static bool better(const struct option *a, const struct option *b)
{
    return a->hole != b->hole ? a->hole > b->hole : a->bytes < b->bytes;
}

static uint64_t largest_hole(const struct dxgk_defrag_block *blocks, uint32_t count, uint64_t total)
{
    uint64_t largest = 0, end = 0;

    for (uint32_t i = 0; i < count; i++) {
        largest = max(largest, blocks[i].offset - end);
        end = blocks[i].offset + blocks[i].bytes;
    }
    return max(largest, total - end);
}

static void add_step(struct dxgk_defrag_plan *plan, const struct dxgk_defrag_block *blocks,
                     uint32_t block, uint64_t to)
{
    if (to == blocks[block].offset)
        return;
    plan->steps[plan->count++] = (struct dxgk_defrag_step){block, to};
    plan->bytes += blocks[block].bytes;
}

static void carry_out(const struct dxgk_defrag_block *blocks, const struct zone *zone,
                      uint32_t split, struct dxgk_defrag_plan *plan)
{
    uint64_t low = zone->low, high = zone->high;

    /* Outermost first: each finds its way free of the others. */
    for (uint32_t i = zone->first; i < split; i++) {
        uint64_t to = slide_down(&blocks[i], low);

        add_step(plan, blocks, i, to);
        low = to + blocks[i].bytes;
    }
    for (uint32_t i = zone->end; i > split; i--) {
        uint64_t to = slide_up(&blocks[i - 1], high);

        add_step(plan, blocks, i - 1, to);
        high = to;
    }
}

/* The zone that starts with block `first`: up to the next fixed one, or to the end. */
static struct zone zone_at(const struct dxgk_defrag_block *blocks, uint32_t count, uint64_t total,
                           uint32_t first)
{
    struct zone zone = {.first = first, .end = first, .high = total};

    if (first > 0)
        zone.low = blocks[first - 1].offset + blocks[first - 1].bytes;
    while (zone.end < count && !blocks[zone.end].fixed)
        zone.end++;
    if (zone.end < count)
        zone.high = blocks[zone.end].offset;
    return zone;
}

void dxgk_defrag_plan(const struct dxgk_defrag_block *blocks, uint32_t count, uint64_t total,
                      struct dxgk_defrag_plan *plan)
{
    struct option best = {.hole = largest_hole(blocks, count, total)};
    struct zone in = {0};
    bool found = false;

    plan->count = 0;
    plan->bytes = 0;
    plan->largest_before = plan->largest_after = best.hole;
    for (uint32_t first = 0; first <= count;) {
        struct zone zone = zone_at(blocks, count, total, first);

        for (uint32_t split = zone.end + 1; split > zone.first; split--) {
            struct option option = evaluate(blocks, &zone, split - 1);

            if (found ? better(&option, &best) : option.hole > best.hole) {
                best = option;
                in = zone;
                found = true;
            }
        }
        first = zone.end + 1;
    }
    if (!found)
        return;
    plan->largest_after = best.hole;
    carry_out(blocks, &in, best.split, plan);
}
