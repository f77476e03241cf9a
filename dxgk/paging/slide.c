// SPDX-License-Identifier: Apache-2.0
/* Content moved inside VRAM by the paging engine (VF-4): see dxgk_paging_slide in paging.h. */
#include "dxgk/paging/paging.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK (32ull << 20) /* one transfer: short against the TDR time */

struct slide {
    struct dxgk_paging_work work;
    struct dxgk_window to, from;
    DXGK_PTE *to_entries, *from_entries;
};

/* One piece that does not overlap itself, waited for. */
static int slide_piece(struct dxgk_adapter *adapter, struct slide *slide, uint64_t from,
                       uint64_t to, uint64_t bytes, struct vf_error *err)
{
    uint32_t segment = adapter->caps.segments[adapter->caps.vram].id;

    slide->work.entry_count = bytes >> 12;
    slide->work.bytes = bytes;
    dxgk_pte_fill(slide->from_entries, slide->work.entry_count, dxgk_pte(segment, from, false));
    dxgk_pte_fill(slide->to_entries, slide->work.entry_count, dxgk_pte(segment, to, true));
    if (dxgk_paging_run(adapter->paging, &slide->work, err) != 0)
        return vf_context(err, "moving 0x%" PRIx64 " bytes from 0x%" PRIx64 " to 0x%" PRIx64, bytes,
                          from, to);
    return 0;
}

/* In the order that reads each piece before another is written over it; pieces as long as
 * the way. */
static int slide_all(struct dxgk_adapter *adapter, struct slide *slide, uint64_t from, uint64_t to,
                     uint64_t bytes, uint64_t *done, struct vf_error *err)
{
    bool down = to < from;
    uint64_t way = down ? from - to : to - from;
    uint64_t most = way < CHUNK ? way : CHUNK;

    while (*done < bytes) {
        uint64_t piece = bytes - *done < most ? bytes - *done : most;
        uint64_t at = down ? *done : bytes - *done - piece;

        if (slide_piece(adapter, slide, from + at, to + at, piece, err) != 0)
            return -1;
        *done += piece;
    }
    return 0;
}

static int check(const struct dxgk_adapter *adapter, uint64_t from, uint64_t to, uint64_t bytes,
                 struct vf_error *err)
{
    const struct dxgk_segment *segment;

    if (adapter->paging == NULL || adapter->caps.vram < 0)
        return vf_fail(err, VF_FAILED, "the adapter has no paging path or no VRAM");
    segment = &adapter->caps.segments[adapter->caps.vram];
    if (from % 4096 != 0 || to % 4096 != 0 || bytes % 4096 != 0 || from > segment->bytes ||
        to > segment->bytes || bytes > segment->bytes - from || bytes > segment->bytes - to)
        return vf_fail(err, VF_FAILED,
                       "0x%" PRIx64 " bytes from 0x%" PRIx64 " to 0x%" PRIx64
                       " are not inside VRAM",
                       bytes, from, to);
    return 0;
}

int dxgk_paging_slide(struct dxgk_adapter *adapter, uint64_t from, uint64_t to, uint64_t bytes,
                      uint64_t *done, struct vf_error *err)
{
    struct slide slide = {0};
    cleanup_free DXGK_PTE *entries = NULL;
    int result = -1;

    *done = 0;
    if (check(adapter, from, to, bytes, err) != 0)
        return -1;
    if (from == to || bytes == 0)
        return 0;
    entries = calloc(2 * (CHUNK >> 12), sizeof *entries);
    if (entries == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    slide.to_entries = entries;
    slide.from_entries = entries + (CHUNK >> 12);
    if (dxgk_paging_window_open(adapter->paging, CHUNK, &slide.to, err) != 0)
        return -1;
    if (dxgk_paging_window_open(adapter->paging, CHUNK, &slide.from, err) != 0)
        goto close_to;
    slide.work.op = DXGK_PAGING_COPY;
    slide.work.vram = &slide.to;
    slide.work.entries = slide.to_entries;
    slide.work.from = &slide.from;
    slide.work.from_entries = slide.from_entries;
    result = slide_all(adapter, &slide, from, to, bytes, done, err);
    dxgk_paging_window_close(adapter->paging, &slide.from);
close_to:
    dxgk_paging_window_close(adapter->paging, &slide.to);
    return result;
}
