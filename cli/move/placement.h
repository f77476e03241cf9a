// SPDX-License-Identifier: Apache-2.0
/* Where partitions go that leave a host: by what the others say is free (`peer show`), less what
 * was sent there since. No I/O, no allocation. */
#ifndef CLI_PLACEMENT_H
#define CLI_PLACEMENT_H

#include "vferry/vferry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACE_MAX_HOSTS 64u
#define PLACE_NONE SIZE_MAX

struct place_adapter {
    uint64_t vf_free, vram_free_bytes, vram_largest_bytes;
};

struct place_host {
    const char *address; /* HOST:PORT; borrowed */
    bool known;          /* it has said what is free: the rest is its word */
    bool takes;
    /* By its words it is the host that is asked to move; believed only of one that
     * takes nothing. */
    bool itself;
    struct place_adapter adapters[VF_MAX_ADAPTERS];
    size_t count;
};

/* The host that has most VRAM left beside this partition; of those that could not be asked the
 * first, when no other fits. Hosts whose bit is set in `tried` are left out. PLACE_NONE when none
 * is left. */
size_t place_choose(const struct place_host *hosts, size_t count, uint64_t vram_bytes,
                    uint64_t tried);
/* Takes a partition's VRAM and VF from what `host` has free, since the partition goes there: on the
 * first adapter that has the room, as a target chooses. */
void place_take(struct place_host *host, uint64_t vram_bytes);

#endif
