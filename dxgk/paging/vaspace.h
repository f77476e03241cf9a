// SPDX-License-Identifier: Apache-2.0
/*
 * The paging process' address space: OS memory the device can reach (DMA), page tables in it, and
 * windows of virtual addresses. Entries are only ever written by the driver (PAG-1); this room
 * knows where tables lie, not what is in them.
 */
#ifndef DXGK_PAGING_VASPACE_H
#define DXGK_PAGING_VASPACE_H

#include "dxgk/internal.h"

/* Zeroed host memory mapped for the device. Filled by dxgk_dma_alloc. */
struct dxgk_dma {
    int fd;         /* memfd, owned */
    uint8_t *cpu;   /* bytes bytes, shared mapping of fd */
    uint64_t bytes; /* multiple of 4096 */
    uint64_t iova;  /* bus address */
};

struct dxgk_vaspace;

/* The leaf entry of the 4 KiB page at `offset` bytes of a segment, as the driver numbers it. */
static inline DXGK_PTE dxgk_pte(uint32_t segment, uint64_t offset, bool writable)
{
    DXGK_PTE entry = {0};

    entry.Valid = 1;
    entry.ReadOnly = writable ? 0 : 1;
    entry.Segment = segment & 31u;
    entry.PageAddress = offset >> 12;
    return entry;
}

/* The entries of `count` pages in a row, the first of which `entry` maps. */
static inline void dxgk_pte_fill(DXGK_PTE *entries, uint64_t count, DXGK_PTE entry)
{
    for (uint64_t i = 0; i < count; i++, entry.PageAddress++)
        entries[i] = entry;
}

/* A run of virtual addresses whose leaf tables belong to it alone. */
struct dxgk_window {
    uint64_t va;     /* start, aligned to what one leaf table covers; never 0 */
    uint64_t bytes;  /* as asked, multiple of 4096 */
    uint64_t first;  /* first leaf table, in units of what one covers */
    uint64_t tables; /* leaf tables it owns; 0 = not open */
};

/* Makes the root table; `process` is the driver's handle the tables belong to, or NULL. The
 * adapter's mmu must be usable. PASSIVE_LEVEL; frees nothing of it on failure. */
int dxgk_vaspace_create(struct dxgk_adapter *adapter, HANDLE process, struct dxgk_vaspace **out,
                        struct vf_error *err);
/* All windows are closed and the device no longer uses the root. */
void dxgk_vaspace_destroy(struct dxgk_vaspace *space);
/* The handle that further tables belong to: a driver update gives a new one. Serialised as _map. */
void dxgk_vaspace_set_process(struct dxgk_vaspace *space, HANDLE process);
/* Bus address of the root and how many entries it has. */
uint64_t dxgk_vaspace_root(const struct dxgk_vaspace *space, uint32_t *entries);

/* `bytes` is rounded up to 4096. `name` shows in /proc. Freed with _free, after which the device
 * cannot reach it. */
int dxgk_dma_alloc(struct dxgk_vaspace *space, const char *name, uint64_t bytes,
                   struct dxgk_dma *out, struct vf_error *err);
void dxgk_dma_free(struct dxgk_vaspace *space, struct dxgk_dma *dma);

/* Finds addresses and has the tables on the way built. Calls BuildPagingBuffer: PASSIVE_LEVEL,
 * caller serialises with _map. */
int dxgk_window_open(struct dxgk_vaspace *space, uint64_t bytes, struct dxgk_window *out,
                     struct vf_error *err);
/* Invalidates its entries. Nothing that uses it may be in flight; the next user flushes the TLB
 * before its first access. */
void dxgk_window_close(struct dxgk_vaspace *space, struct dxgk_window *window);
/* Has the driver write `count` leaf entries from page `first` of the window on. As _open; count
 * is checked. */
int dxgk_window_map(struct dxgk_vaspace *space, const struct dxgk_window *window, uint64_t first,
                    const DXGK_PTE *entries, uint64_t count, struct vf_error *err);
/* Maps [0, dma->bytes) or the window, whichever is less, to the DMA memory, writable. */
int dxgk_window_map_dma(struct dxgk_vaspace *space, const struct dxgk_window *window,
                        const struct dxgk_dma *dma, struct vf_error *err);

#endif
