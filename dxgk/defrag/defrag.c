// SPDX-License-Identifier: Apache-2.0
/*
 * Moving reserves inside VRAM, so that contiguous room comes together (VF-4, CAP-5). One partition
 * at a time, under its lock:
 *
 *   claim the new place -> pause -> copy, SetVirtualGpuResources, new memory basis (no vCPU access)
 *   -> resume -> give the old place back
 *
 * The places may overlap: what of the new one is not the old one is claimed first, what of the old
 * one is not the new one is given back last, so that no other partition ever gets either.
 */
#define LOG_ROOM "defrag"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/ddi/basis.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/defrag/plan.h"
#include "dxgk/handles.h"
#include "dxgk/paging/paging.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/partition.h"
#include "dxgk/tracking/tracking.h"
#include "dxgk/vram/vram.h"
#include "dxgk/waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is where ---- */

/* A block and whose it is. */
struct owned {
    struct dxgk_defrag_block block;
    uint64_t id; /* 0: of nobody that can be asked */
    char name[VF_NAME_BYTES];
    char why[VF_TEXT_BYTES]; /* why it cannot be moved, or "" */
};

struct map {
    struct owned *owned; /* by rising offset */
    uint32_t count, room;
    uint64_t total;
    struct vf_error stands; /* of the first partition that moved and could not be resumed */
};

static int map_add(struct map *map, const struct owned *owned, struct vf_error *err)
{
    if (map->count == map->room) {
        uint32_t room = map->room == 0 ? 64 : map->room * 2;
        struct owned *grown = reallocarray(map->owned, room, sizeof *grown);

        if (grown == NULL)
            return vf_fail(err, VF_FAILED, "defragmentation: " VF_NO_MEMORY);
        map->owned = grown;
        map->room = room;
    }
    map->owned[map->count++] = *owned;
    return 0;
}

/* "" when it can move. partition->lock is held. */
static const char *why_fixed(const struct dxgk_partition *partition)
{
    enum vf_partition_state state = dxgk_partition_state(partition);

    if (partition->check.prepared || partition->channels != 0 ||
        atomic_load(&partition->writes) != 0)
        return "it is in a migration";
    if (state != VF_PARTITION_RUNNING && state != VF_PARTITION_PAUSED)
        return "it neither runs nor is paused";
    if (partition->range_count != 1 || partition->reserve_basis != NULL)
        return "its reserve is scattered";
    return "";
}

static void describe(struct dxgk_partition *partition, struct owned *owned)
{
    *owned = (struct owned){.id = partition->id};
    memcpy(owned->name, partition->params.name, sizeof owned->name);
    (void)snprintf(owned->why, sizeof owned->why, "%s", why_fixed(partition));
    owned->block = (struct dxgk_defrag_block){.align = partition->place.align,
                                              .low = partition->place.low,
                                              .high = partition->place.high,
                                              .fixed = owned->why[0] != '\0'};
    if (partition->range_count == 1) {
        owned->block.offset = partition->ranges[0].SegmentOffset;
        owned->block.bytes = partition->ranges[0].SizeInBytes;
    }
}

/* Partitions of the adapter that can be asked now. One that another call works on cannot, and is a
 * piece of taken VRAM like any other. */
static int add_partitions(struct dxgk *dxgk, uint32_t adapter, struct map *map,
                          struct vf_error *err)
{
    int result = 0;

    vf_lock(&dxgk->lock);
    for (struct dxgk_partition *p = dxgk->partitions; p != NULL && result == 0; p = p->next) {
        struct owned owned;

        /* Only tried: this order is the wrong way round. */
        if (p->adapter->index != adapter || pthread_mutex_trylock(&p->lock) != 0)
            continue;
        describe(p, &owned);
        vf_unlock(&p->lock);
        if (owned.block.bytes != 0)
            result = map_add(map, &owned, err);
    }
    vf_unlock(&dxgk->lock);
    return result;
}

static int by_offset(const void *a, const void *b)
{
    const struct owned *x = a;
    const struct owned *y = b;

    return x->block.offset < y->block.offset ? -1 : x->block.offset > y->block.offset;
}

/* A taken run less what is known of it: VRAM that is locked up, or of partitions just coming
 * and going. */
static int add_rest_of(struct map *map, uint32_t known, const DXGK_MEMORYRANGE *run,
                       struct vf_error *err)
{
    uint64_t at = run->SegmentOffset, end = at + run->SizeInBytes;

    for (uint32_t i = 0; i <= known && at < end; i++) {
        uint64_t next = i < known ? map->owned[i].block.offset : end;
        struct owned rest = {.block = {.offset = at, .fixed = true}};

        if (i < known && next + map->owned[i].block.bytes <= at)
            continue;
        next = next < end ? next : end;
        rest.block.bytes = next > at ? next - at : 0;
        if (rest.block.bytes != 0 && map_add(map, &rest, err) != 0)
            return -1;
        if (i < known && next < end)
            at = next + map->owned[i].block.bytes;
    }
    return 0;
}

static int add_rest(struct dxgk_adapter *adapter, struct map *map, struct vf_error *err)
{
    uint32_t known = map->count;
    uint64_t from = 0;
    DXGK_MEMORYRANGE run;
    int result = 0;

    vf_lock(&adapter->lock);
    map->total = dxgk_reserve_total(adapter->reserve);
    while (result == 0 && dxgk_reserve_taken(adapter->reserve, from, &run)) {
        result = add_rest_of(map, known, &run, err);
        from = run.SegmentOffset + run.SizeInBytes;
    }
    vf_unlock(&adapter->lock);
    return result;
}

/* Inside the gate: a driver that is being replaced says nothing true of VRAM. */
static int look(struct dxgk *dxgk, struct dxgk_adapter *adapter, struct map *map,
                struct vf_defrag *out, struct vf_error *err)
{
    if (dxgk_gate_alive(adapter, err) != 0)
        return -1;
    if (adapter->reserve == NULL)
        return vf_fail(err, VF_FAILED, "adapter %u has no VRAM for partitions", adapter->index);
    out->scatter = adapter->caps.scatter;
    if (add_partitions(dxgk, adapter->index, map, err) != 0)
        return -1;
    if (map->count > 1)
        qsort(map->owned, map->count, sizeof *map->owned, by_offset);
    if (add_rest(adapter, map, err) != 0)
        return -1;
    if (map->count > 1)
        qsort(map->owned, map->count, sizeof *map->owned, by_offset);
    return 0;
}

/* ---- one partition ---- */

/* A move under way; partition->lock is held. */
struct moving {
    struct dxgk_partition *partition;
    DXGK_MEMORYRANGE from, to;
    DXGK_MEMORYRANGE claimed; /* of `to`, what is not `from` */
    DXGK_MEMORYRANGE left;    /* of `from`, what is not `to` */
    DXGK_MEMORYRANGE *ranges; /* the partition's list once it has moved */
    struct dxgk_basis basis;
    bool lost; /* the content is neither here nor there */
    struct vf_error stands; /* VF_STANDS: it could not be resumed */
};

static DXGK_MEMORYRANGE range(uint64_t start, uint64_t end)
{
    return (DXGK_MEMORYRANGE){.SegmentOffset = start, .SizeInBytes = end > start ? end - start : 0};
}

/* `a` less `b`, both equally long: one piece at most. */
static DXGK_MEMORYRANGE less(const DXGK_MEMORYRANGE *a, const DXGK_MEMORYRANGE *b)
{
    uint64_t a_end = a->SegmentOffset + a->SizeInBytes, b_end = b->SegmentOffset + b->SizeInBytes;

    if (a->SegmentOffset < b->SegmentOffset)
        return range(a->SegmentOffset, a_end < b->SegmentOffset ? a_end : b->SegmentOffset);
    return range(a->SegmentOffset > b_end ? a->SegmentOffset : b_end, a_end);
}

/* Brings `done` bytes back. */
static void slide_back(struct moving *moving, uint64_t done)
{
    uint64_t bytes = moving->from.SizeInBytes, back;
    bool down = moving->to.SegmentOffset < moving->from.SegmentOffset;
    uint64_t at = down ? 0 : bytes - done;
    struct vf_error error = VF_ERROR_INIT;

    if (dxgk_paging_slide(moving->partition->adapter, moving->to.SegmentOffset + at,
                          moving->from.SegmentOffset + at, done, &back, &error) == 0)
        return;
    log_error("partition %s: %s", moving->partition->params.name, error.text);
    moving->lost = true;
}

static int set_place(struct moving *moving, struct vf_error *err)
{
    struct dxgk_partition *partition = moving->partition;
    DXGK_MEMORYRANGE *before = partition->ranges;
    int result;

    partition->ranges = moving->ranges;
    dxgk_lock(&partition->adapter->gpup_lock);
    result = dxgk_ddi_set_resources(partition, err);
    dxgk_unlock(&partition->adapter->gpup_lock);
    if (result != 0)
        partition->ranges = before;
    else
        moving->ranges = before;
    return result;
}

/* Content and map; the VF is quiet. Guest reads wait: they would see half of each place. */
static int relocate(struct moving *moving, struct vf_error *err)
{
    struct dxgk_partition *partition = moving->partition;
    uint64_t done = 0;
    int result;

    vf_write_lock(&partition->vcpu);
    result = dxgk_paging_slide(partition->adapter, moving->from.SegmentOffset,
                               moving->to.SegmentOffset, moving->from.SizeInBytes, &done, err);
    if (result == 0)
        result = set_place(moving, err);
    if (result != 0)
        slide_back(moving, done);
    vf_rw_unlock(&partition->vcpu);
    return result;
}

/* Paused on entry and exit. */
static int move_paused(struct moving *moving, struct vf_error *err)
{
    struct dxgk_partition *partition = moving->partition;

    if (dxgk_tracking_prepare_place(partition, moving->ranges, 1, &moving->basis, err) != 0)
        return -1;
    if (relocate(moving, err) != 0) {
        dxgk_tracking_drop_place(partition, &moving->basis);
        return -1;
    }
    dxgk_tracking_change_place(partition, &moving->basis);
    return 0;
}

/* The pause around it (SRC-5), whoever else holds it. `stands` = it has moved, or is where it was,
 * but could not be resumed. */
static int move_with_pause(struct moving *moving, uint64_t *pause_ns, struct vf_error *err)
{
    struct dxgk_partition *partition = moving->partition;
    bool runs = dxgk_partition_state(partition) == VF_PARTITION_RUNNING;
    uint64_t start = vf_now_ns();
    int result;

    if (dxgk_hold(partition, VF_HOLD_DEFRAG, "its reserve moves", err) != 0)
        return -1;
    result = move_paused(moving, err);
    if (moving->lost) {
        dxgk_holders_set(partition, VF_HOLD_FAULT);
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_FAULTED, "its content was lost");
        return -1;
    }
    if (dxgk_release(partition, VF_HOLD_DEFRAG, "its reserve has moved", &moving->stands) == 0 &&
        runs)
        *pause_ns = vf_now_ns() - start;
    return result;
}

/* partition->lock is held. 1: skipped, *err says why. */
static int move_locked(struct moving *moving, uint64_t *pause_ns, struct vf_error *err)
{
    struct dxgk_partition *partition = moving->partition;
    const char *fixed = why_fixed(partition);
    int result;

    if (fixed[0] != '\0') {
        (void)vf_fail(err, VF_FAILED, "%s", fixed);
        return 1;
    }
    moving->claimed = less(&moving->to, &moving->from);
    moving->left = less(&moving->from, &moving->to);
    if (partition->ranges[0].SegmentOffset != moving->from.SegmentOffset ||
        !dxgk_vram_claim(partition->adapter, &moving->claimed)) {
        (void)vf_fail(err, VF_FAILED, "VRAM was given out meanwhile; plan again");
        return 1;
    }
    moving->ranges = malloc(sizeof *moving->ranges);
    if (moving->ranges == NULL) {
        result = vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    } else {
        *moving->ranges = moving->to;
        result = move_with_pause(moving, pause_ns, err);
    }
    free(moving->ranges); /* the list that is not the partition's (any more) */
    dxgk_vram_give(partition->adapter, result == 0 ? &moving->left : &moving->claimed, 1, NULL);
    return result;
}

static void move_one(struct dxgk *dxgk, uint64_t id, struct vf_defrag_move *move,
                     struct vf_error *stands)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, &error);
    struct moving moving = {.partition = partition,
                            .from = range(move->from_bytes, move->from_bytes + move->bytes),
                            .to = range(move->to_bytes, move->to_bytes + move->bytes)};
    int result = 1;

    if (partition != NULL) {
        result = move_locked(&moving, &move->pause_ns, &error);
        dxgk_partition_unlock(partition);
    }
    move->outcome = result == 0  ? VF_DEFRAG_MOVED
                    : result > 0 ? VF_DEFRAG_SKIPPED
                                 : VF_DEFRAG_FAILED;
    if (moving.stands.code != VF_OK && stands->code == VF_OK)
        *stands = moving.stands;
    if (result == 0) {
        (void)snprintf(move->why, sizeof move->why, "%.250s", moving.stands.text);
        return;
    }
    (void)snprintf(move->why, sizeof move->why, "%.200s%s", error.text,
                   moving.lost                   ? "; its content is lost: remove it"
                   : moving.stands.code != VF_OK ? "; it is where it was, and stands paused"
                   : result < 0                  ? "; it is where it was"
                                                 : "");
}

/* ---- all of them ---- */

static struct vf_defrag_move *add_move(struct vf_defrag *out, const struct owned *owned,
                                       uint64_t to)
{
    struct vf_defrag_move *move = &out->moves[out->count];

    if (out->count == VF_MAX_DEFRAG_MOVES)
        return NULL;
    out->count++;
    *move = (struct vf_defrag_move){.from_bytes = owned->block.offset,
                                    .to_bytes = to,
                                    .bytes = owned->block.bytes,
                                    .outcome = VF_DEFRAG_PLANNED};
    memcpy(move->partition, owned->name, sizeof move->partition);
    return move;
}

static void add_skipped(struct vf_defrag *out, const struct map *map)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct owned *owned = &map->owned[i];
        struct vf_defrag_move *move;

        if (owned->id == 0 || owned->why[0] == '\0')
            continue;
        move = add_move(out, owned, owned->block.offset);
        if (move == NULL)
            return;
        move->outcome = VF_DEFRAG_SKIPPED;
        (void)snprintf(move->why, sizeof move->why, "%s", owned->why);
    }
}

static void carry_out(struct dxgk *dxgk, struct map *map, const struct dxgk_defrag_plan *plan,
                      struct vf_defrag *out)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct owned *owned = &map->owned[plan->steps[i].block];
        struct vf_defrag_move *move = add_move(out, owned, plan->steps[i].to);

        if (move == NULL)
            return;
        if (!out->dry_run)
            move_one(dxgk, owned->id, move, &map->stands);
        if (out->dry_run || move->outcome == VF_DEFRAG_MOVED)
            out->moved_bytes += move->bytes;
    }
}

static int plan_and_move(struct dxgk *dxgk, struct map *map, struct vf_defrag *out,
                         struct vf_error *err)
{
    struct dxgk_defrag_block *blocks = calloc(map->count + 1, sizeof *blocks);
    struct dxgk_defrag_plan plan = {.steps = calloc(map->count + 1, sizeof *plan.steps)};
    int result = 0;

    if (blocks == NULL || plan.steps == NULL) {
        result = vf_fail(err, VF_FAILED, "defragmentation: " VF_NO_MEMORY);
    } else {
        for (uint32_t i = 0; i < map->count; i++)
            blocks[i] = map->owned[i].block;
        dxgk_defrag_plan(blocks, map->count, map->total, &plan);
        out->largest_before_bytes = plan.largest_before;
        out->largest_after_bytes = plan.largest_after;
        add_skipped(out, map);
        carry_out(dxgk, map, &plan, out);
    }
    free(blocks);
    free(plan.steps);
    return result;
}

/* A partition that does not run is the first thing to say. */
static int judge(const struct vf_defrag *out, const struct vf_error *stands, struct vf_error *err)
{
    if (stands->code != VF_OK) {
        if (err != NULL)
            *err = *stands;
        return -1;
    }
    for (uint32_t i = 0; i < out->count; i++)
        if (out->moves[i].outcome == VF_DEFRAG_FAILED)
            return vf_fail(err, VF_FAILED, "partition %s could not be moved: %s",
                           out->moves[i].partition, out->moves[i].why);
    return 0;
}

int dxgk_defrag(struct dxgk *dxgk, uint32_t index, bool dry_run, struct vf_defrag *out,
                struct vf_error *err)
{
    struct dxgk_adapter *adapter = dxgk_adapter_find(dxgk, index, err);
    struct map map = {0};
    int result;

    *out = (struct vf_defrag){.adapter = index, .dry_run = dry_run};
    if (adapter == NULL)
        return -1;
    dxgk_gate_enter(adapter);
    result = look(dxgk, adapter, &map, out, err);
    dxgk_gate_leave(adapter);
    if (result == 0 && !out->scatter) /* CAP-5: with it any free page serves any partition */
        result = plan_and_move(dxgk, &map, out, err);
    free(map.owned);
    if (result != 0 || (dry_run && !out->scatter))
        return result;
    vf_lock(&adapter->lock);
    out->largest_after_bytes = dxgk_reserve_largest(adapter->reserve);
    vf_unlock(&adapter->lock);
    if (out->scatter)
        out->largest_before_bytes = out->largest_after_bytes;
    return judge(out, &map.stands, err);
}
