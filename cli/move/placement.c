// SPDX-License-Identifier: Apache-2.0
/* See placement.h. */
#include "cli/move/placement.h"

/* Index of the first adapter that has room for it; the host's count = none has. */
static size_t adapter_for(const struct place_host *host, uint64_t vram_bytes)
{
    for (size_t i = 0; host->takes && i < host->count; i++) {
        const struct place_adapter *adapter = &host->adapters[i];

        if (adapter->vf_free > 0 && adapter->vram_free_bytes >= vram_bytes &&
            adapter->vram_largest_bytes >= vram_bytes)
            return i;
    }
    return host->count;
}

size_t place_choose(const struct place_host *hosts, size_t count, uint64_t vram_bytes,
                    uint64_t tried)
{
    size_t best = PLACE_NONE;
    uint64_t best_left = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t left;
        size_t at;

        if ((tried & 1ull << i) != 0 || !hosts[i].known)
            continue;
        at = adapter_for(&hosts[i], vram_bytes);
        if (at == hosts[i].count)
            continue;
        left = hosts[i].adapters[at].vram_free_bytes - vram_bytes;
        if (best == PLACE_NONE || left > best_left) {
            best = i;
            best_left = left;
        }
    }
    for (size_t i = 0; best == PLACE_NONE && i < count; i++) {
        if ((tried & 1ull << i) == 0 && !hosts[i].known)
            best = i;
    }
    return best;
}

void place_take(struct place_host *host, uint64_t vram_bytes)
{
    const size_t at = adapter_for(host, vram_bytes);
    struct place_adapter *adapter;

    if (at == host->count)
        return;
    adapter = &host->adapters[at];
    adapter->vf_free--;
    adapter->vram_free_bytes -= vram_bytes;
    /* What it is cut from is the largest, or not: a later "does not fit" is the target's to say. */
    if (adapter->vram_largest_bytes > adapter->vram_free_bytes)
        adapter->vram_largest_bytes = adapter->vram_free_bytes;
}
