// SPDX-License-Identifier: Apache-2.0
/* VRAM zero-filled by the paging engine (VF-3): see dxgk_paging_zero in paging.h. */
#include "dxgk/paging/paging.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK (32ull << 20) /* one fill: short against the TDR time */

/* One piece, waited for; `window` and `entries` have room for it. */
static int zero_piece(struct dxgk_paging *paging, const struct dxgk_window *window,
                      DXGK_PTE *entries, uint32_t segment, uint64_t offset, uint64_t bytes,
                      struct vf_error *err)
{
    const struct dxgk_paging_work work = {.op = DXGK_PAGING_ZERO,
                                          .vram = window,
                                          .entries = entries,
                                          .entry_count = bytes >> 12,
                                          .bytes = bytes};

    dxgk_pte_fill(entries, work.entry_count, dxgk_pte(segment, offset, true));
    if (dxgk_paging_run(paging, &work, err) != 0)
        return vf_context(err, "zero-fill of 0x%" PRIx64 " + 0x%" PRIx64, offset, bytes);
    return 0;
}

int dxgk_still_wanted(const struct dxgk_wanted *wanted, struct vf_error *err)
{
    if (wanted == NULL || wanted->ask(wanted->ctx))
        return 0;
    return vf_fail(err, VF_CANCELLED, "whoever asked for it wants it no more");
}

static int zero_ranges(struct dxgk_adapter *adapter, const struct dxgk_window *window,
                       DXGK_PTE *entries, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                       const struct dxgk_wanted *wanted, struct vf_error *err)
{
    const struct dxgk_segment *segment = &adapter->caps.segments[adapter->caps.vram];

    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = ranges[i].SegmentOffset, left = ranges[i].SizeInBytes;

        if (offset % 4096 != 0 || left % 4096 != 0 || offset > segment->bytes ||
            left > segment->bytes - offset)
            return vf_fail(err, VF_FAILED,
                           "zero-fill: 0x%" PRIx64 " + 0x%" PRIx64 " is not inside segment %u",
                           offset, left, segment->id);
        while (left > 0) {
            uint64_t bytes = left < CHUNK ? left : CHUNK;

            if (dxgk_still_wanted(wanted, err) != 0)
                return -1;
            if (zero_piece(adapter->paging, window, entries, segment->id, offset, bytes, err) != 0)
                return DXGK_ENGINE_FAILED;
            offset += bytes;
            left -= bytes;
        }
    }
    return 0;
}

int dxgk_paging_zero(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                     const struct dxgk_wanted *wanted, struct vf_error *err)
{
    cleanup_free DXGK_PTE *entries = NULL;
    struct dxgk_window window;
    uint64_t room = 4096;

    if (adapter->paging == NULL || adapter->caps.vram < 0)
        return vf_fail(err, VF_FAILED, "zero-fill: the adapter has no paging path or no VRAM");
    for (uint32_t i = 0; i < count; i++)
        room = ranges[i].SizeInBytes > room ? ranges[i].SizeInBytes : room;
    room = room < CHUNK ? room : CHUNK;
    entries = malloc((room >> 12) * sizeof *entries);
    if (entries == NULL)
        return vf_fail(err, VF_FAILED, "zero-fill: " VF_NO_MEMORY);
    if (dxgk_paging_window_open(adapter->paging, room, &window, err) != 0)
        return -1;
    int rc = zero_ranges(adapter, &window, entries, ranges, count, wanted, err);
    dxgk_paging_window_close(adapter->paging, &window);
    return rc;
}
