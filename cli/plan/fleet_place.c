// SPDX-License-Identifier: Apache-2.0
/* Which partition goes where. See fleet.h. */
#include "cli/plan/fleet.h"

#include "base/cleanup.h"

struct room {
    uint64_t vram, vfs;
};

/* Does it fit better on this host than on the best so far? */
static bool better(const struct room *room, const struct room *best, bool spread)
{
    if (room->vram != best->vram)
        return spread ? room->vram > best->vram : room->vram < best->vram;
    return spread ? room->vfs > best->vfs : room->vfs < best->vfs;
}

static size_t choose(const struct fleet *fleet, const struct room *rooms, uint64_t vram_bytes,
                     bool spread)
{
    size_t best = FLEET_NOWHERE;

    for (size_t i = 0; i < fleet->host_count; i++) {
        if (fleet->hosts[i].takes && rooms[i].vfs > 0 && rooms[i].vram >= vram_bytes &&
            (best == FLEET_NOWHERE || better(&rooms[i], &rooms[best], spread)))
            best = i;
    }
    return best;
}

static int largest_first(const void *a, const void *b, void *ctx)
{
    const struct fleet_partition *all = ctx;
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (all[i].vram_bytes != all[j].vram_bytes)
        return all[i].vram_bytes > all[j].vram_bytes ? -1 : 1;
    return i < j ? -1 : i > j;
}

long fleet_place(const struct fleet *fleet, const struct fleet_wish *wish, struct fleet_move *moves)
{
    cleanup_free struct room *rooms = calloc(fleet->host_count + 1, sizeof *rooms);
    cleanup_free size_t *order = calloc(fleet->partition_count + 1, sizeof *order);
    size_t count = 0;
    long nowhere = 0;

    if (rooms == NULL || order == NULL)
        return -1;
    for (size_t i = 0; i < fleet->host_count; i++)
        rooms[i] = (struct room){fleet->hosts[i].vram_free_bytes, fleet->hosts[i].vf_free};
    for (size_t i = 0; i < fleet->partition_count; i++) {
        moves[i] = (struct fleet_move){.to = FLEET_NOWHERE};
        moves[i].leaves = fleet->hosts[fleet->partitions[i].host].evacuate;
        if (moves[i].leaves)
            order[count++] = i;
    }
    qsort_r(order, count, sizeof *order, largest_first, fleet->partitions);
    for (size_t n = 0; n < count; n++) {
        const uint64_t vram = fleet->partitions[order[n]].vram_bytes;
        const size_t to = choose(fleet, rooms, vram, wish->spread);

        moves[order[n]].to = to;
        if (to == FLEET_NOWHERE) {
            nowhere++;
            continue;
        }
        rooms[to].vram -= vram;
        rooms[to].vfs--;
    }
    return nowhere;
}
