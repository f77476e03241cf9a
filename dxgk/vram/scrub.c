// SPDX-License-Identifier: Apache-2.0
/*
 * See scrub.h. A fill that a driver or a card only claims to have done would hand one tenant's
 * bytes to the next, and would make "never sent, so zero" of a move a lie: what a partition gets is
 * therefore read back, all of it, once for each tenant.
 */
#include "dxgk/vram/scrub.h"

#include "base/cleanup.h"
#include "dxgk/paging/paging.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One transfer: small, so that what is read back is still in the CPU's cache when it is
 * looked at. */
#define CHUNK (1ull << 20)
#define POISON 0xa5

struct proof {
    struct dxgk_paging_work work;
    struct dxgk_adapter *adapter;
    const struct dxgk_wanted *wanted;
    struct dxgk_dma memory;
    struct dxgk_window vram, system;
    DXGK_PTE *entries;
};

static bool all_zero(const uint8_t *bytes, uint64_t count)
{
    const uint64_t *word = (const uint64_t *)(const void *)bytes;
    uint64_t any = 0;

    for (uint64_t i = 0; i < count / sizeof *word; i++)
        any |= word[i];
    return any == 0;
}

/* Gathers one piece into the poisoned buffer: a transfer that did not happen proves nothing. */
static int read_piece(struct proof *proof, uint64_t offset, uint64_t bytes, struct vf_error *err)
{
    const struct dxgk_caps *caps = &proof->adapter->caps;

    proof->work.entry_count = bytes >> 12;
    proof->work.bytes = bytes;
    dxgk_pte_fill(proof->entries, proof->work.entry_count,
                  dxgk_pte(caps->segments[caps->vram].id, offset, false));
    memset(proof->memory.cpu, POISON, bytes);
    if (dxgk_paging_run(proof->adapter->paging, &proof->work, err) != 0)
        return vf_context(err, "reading back 0x%" PRIx64 " + 0x%" PRIx64 " of VRAM", offset, bytes);
    return 0;
}

static int look_at_range(struct proof *proof, const DXGK_MEMORYRANGE *range, bool *zero,
                         struct vf_error *err)
{
    const uint64_t bytes = range->SizeInBytes;

    for (uint64_t at = 0, piece; at < bytes && *zero; at += piece) {
        piece = bytes - at < CHUNK ? bytes - at : CHUNK;
        if (dxgk_still_wanted(proof->wanted, err) != 0)
            return -1;
        if (read_piece(proof, range->SegmentOffset + at, piece, err) != 0)
            return DXGK_ENGINE_FAILED;
        *zero = all_zero(proof->memory.cpu, piece);
    }
    return 0;
}

int dxgk_look(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
              const struct dxgk_wanted *wanted, bool *zero, struct vf_error *err)
{
    struct proof proof = {.adapter = adapter, .wanted = wanted};
    struct dxgk_paging *paging = adapter->paging;
    cleanup_free DXGK_PTE *entries = calloc(CHUNK >> 12, sizeof *entries);
    int result = -1;

    *zero = true;
    if (entries == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    proof.entries = entries;
    if (dxgk_dma_alloc(dxgk_paging_space(paging), "vferry-scrub", CHUNK, &proof.memory, err) != 0)
        return -1;
    if (dxgk_paging_window_open(paging, CHUNK, &proof.system, err) != 0)
        goto free_memory;
    if (dxgk_paging_window_map_dma(paging, &proof.system, &proof.memory, err) != 0 ||
        dxgk_paging_window_open(paging, CHUNK, &proof.vram, err) != 0)
        goto close_system;
    proof.work.op = DXGK_PAGING_GATHER;
    proof.work.vram = &proof.vram;
    proof.work.system = &proof.system;
    proof.work.entries = entries;
    result = look_at_range(&proof, range, zero, err);
    dxgk_paging_window_close(paging, &proof.vram);
close_system:
    dxgk_paging_window_close(paging, &proof.system);
free_memory:
    dxgk_dma_free(dxgk_paging_space(paging), &proof.memory);
    return result;
}

int dxgk_scrub(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
               const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err)
{
    bool zero;
    int result;

    *dirty = false;
    result = dxgk_paging_zero(adapter, range, 1, wanted, err);
    if (result == 0)
        result = dxgk_look(adapter, range, wanted, &zero, err);
    if (result != 0 || zero)
        return result;
    *dirty = true;
    (void)vf_fail(err, VF_FAILED,
                  "VRAM at 0x%" PRIx64 " + 0x%" PRIx64
                  " was zero-filled and is not zero: driver or card do not do what they say",
                  (uint64_t)range->SegmentOffset, (uint64_t)range->SizeInBytes);
    return DXGK_ENGINE_FAILED;
}
