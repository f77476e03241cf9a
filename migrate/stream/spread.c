// SPDX-License-Identifier: Apache-2.0
/* See spread.h. */
#include "migrate/stream/spread.h"

static void set_bits(uint64_t *bits, uint64_t first, uint64_t count)
{
    for (uint64_t at = first; at < first + count;) {
        const uint64_t skip = at % 64;
        const uint64_t here = first + count - at < 64 - skip ? first + count - at : 64 - skip;

        bits[at / 64] |= (here == 64 ? UINT64_MAX : (1ull << here) - 1) << skip;
        at += here;
    }
}

uint64_t stream_spread_dirty(const uint64_t *dirty, uint64_t dirty_pages, uint64_t pages,
                             uint64_t *bits)
{
    uint64_t set = 0;

    for (uint64_t word = 0; word < (dirty_pages + 63) / 64; word++) {
        for (uint64_t left = dirty[word]; left != 0; left &= left - 1) {
            const uint64_t page = word * 64 + (uint64_t)__builtin_ctzll(left);

            if (page < dirty_pages)
                set_bits(bits, page * pages, pages);
        }
    }
    for (uint64_t word = 0; word < (dirty_pages * pages + 63) / 64; word++)
        set += (uint64_t)__builtin_popcountll(bits[word]);
    return set;
}
