// SPDX-License-Identifier: Apache-2.0
/* Names of objects that no other object of this boot has. */
#include "dxgk/internal.h"

#include <time.h>

struct vf_luid dxgk_luid_new(void)
{
    static _Atomic uint32_t next = 1;
    static _Atomic int32_t high;
    int32_t seen = atomic_load(&high);

    /* The moment of the first call since boot tells this process' LUIDs from those of one
     * before it. */
    if (seen == 0) {
        struct timespec now = {0};
        int32_t mine;

        (void)clock_gettime(CLOCK_BOOTTIME, &now);
        mine = (int32_t)(((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u) &
                         INT32_MAX) |
               1;
        if (atomic_compare_exchange_strong(&high, &seen, mine))
            seen = mine;
    }
    return (struct vf_luid){.low = atomic_fetch_add(&next, 1), .high = seen};
}
