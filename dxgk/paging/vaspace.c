// SPDX-License-Identifier: Apache-2.0
/* The paging process' address space: DMA memory, page tables, windows. See vaspace.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/paging/vaspace.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "dxgk/ddi/paging.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (256u << 10) /* tables come in pieces of this */
#define FIRST_IOVA (1ull << 32)
#define LAST_IOVA (1ull << 51) /* bus addresses are not reused: 2^51 bytes outlast any host */
#define MAX_UNITS (1ull << 18) /* leaf tables the space has at most: 512 GiB with 2 MiB each */

struct table {
    uint64_t iova; /* 0 = not there yet */
    uint8_t *cpu;
};

struct arena {
    struct dxgk_dma dma;
    uint64_t used;
    struct arena *next;
};

/* Levels count from the leaves; a unit is what one leaf table covers. Tables stay for the life of
 * the space: a window that comes back finds them ready. */
struct dxgk_vaspace {
    struct dxgk_adapter *adapter;
    HANDLE process; /* the driver's */
    _Atomic uint64_t next_iova;
    struct arena *arenas;
    uint64_t units;
    uint8_t *unit_used; /* one byte a unit */
    uint32_t levels;
    uint32_t shift[DXGK_MAX_LEVELS]; /* unit >> shift[l] = which table of level l */
    struct table *tables[DXGK_MAX_LEVELS];
    DXGK_PTE *invalid; /* as many invalid entries as the largest table has */
};

/* ---- memory the device can reach ---- */

int dxgk_dma_alloc(struct dxgk_vaspace *space, const char *name, uint64_t bytes,
                   struct dxgk_dma *out, struct vf_error *err)
{
    struct dxgk_adapter *adapter = space->adapter;
    uint64_t rounded = (bytes + 4095) & ~4095ull;

    if (bytes == 0 || rounded < bytes || rounded > LAST_IOVA)
        return vf_fail(err, VF_FAILED, "DMA memory: %" PRIu64 " bytes cannot be had", bytes);
    /* One page between two ranges stays unmapped, so that running over an end faults. */
    uint64_t iova = atomic_fetch_add(&space->next_iova, rounded + 4096);
    if (iova > LAST_IOVA - rounded)
        return vf_fail(err, VF_FAILED, "DMA memory: out of bus addresses; restart the host");
    cleanup_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "DMA memory: no memfd");
    if (ftruncate(fd, (off_t)rounded) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "DMA memory: %" PRIu64 " bytes", rounded);
    /* Sealed: the fd may go to another process, which must not be able to shrink what the engine
     * writes to. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "DMA memory: sealing");
    uint8_t *cpu = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (cpu == MAP_FAILED)
        return vf_fail_errno(err, VF_FAILED, errno, "DMA memory: mapping %" PRIu64 " bytes",
                             rounded);
    int rc = adapter->ops->dma_map(adapter->dev, iova, rounded, fd, 0);
    if (rc != 0) {
        (void)munmap(cpu, rounded);
        return vf_fail_errno(err, VF_FAILED, -rc,
                             "DMA memory: the device refused %" PRIu64 " bytes", rounded);
    }
    *out = (struct dxgk_dma){.fd = vf_take_fd(&fd), .cpu = cpu, .bytes = rounded, .iova = iova};
    return 0;
}

void dxgk_dma_free(struct dxgk_vaspace *space, struct dxgk_dma *dma)
{
    if (dma->cpu == NULL)
        return;
    int rc = space->adapter->ops->dma_unmap(space->adapter->dev, dma->iova, dma->bytes);
    if (rc != 0)
        log_error("adapter %u: the device keeps DMA range 0x%" PRIx64 ": %s", space->adapter->index,
                  dma->iova, strerror(-rc));
    (void)munmap(dma->cpu, dma->bytes);
    (void)close(dma->fd);
    *dma = (struct dxgk_dma){.fd = -1};
}

/* ---- tables ---- */

static uint64_t table_entries(const struct dxgk_vaspace *space, uint32_t level)
{
    return 1ull << space->adapter->mmu.level[level].index_bits;
}

static int table_alloc(struct dxgk_vaspace *space, uint32_t level, struct table *out,
                       struct vf_error *err)
{
    uint64_t bytes = ((uint64_t)space->adapter->mmu.level[level].table_bytes + 4095) & ~4095ull;
    uint64_t align = space->adapter->mmu.level[level].alignment;

    if (align < 4096)
        align = 4096;
    struct arena *arena = space->arenas;
    uint64_t at = arena == NULL ? 0
                                : ((arena->dma.iova + arena->used + align - 1) & ~(align - 1)) -
                                      arena->dma.iova;
    if (arena == NULL || at > arena->dma.bytes || bytes > arena->dma.bytes - at) {
        uint64_t piece = bytes + align > ARENA_BYTES ? bytes + align : ARENA_BYTES;

        arena = calloc(1, sizeof *arena);
        if (arena == NULL)
            return vf_fail(err, VF_FAILED, "page tables: " VF_NO_MEMORY);
        if (dxgk_dma_alloc(space, "vferry-page-tables", piece, &arena->dma, err) != 0) {
            free(arena);
            return -1;
        }
        arena->next = space->arenas;
        space->arenas = arena;
        at = ((arena->dma.iova + align - 1) & ~(align - 1)) - arena->dma.iova;
    }
    arena->used = at + bytes;
    *out = (struct table){.iova = arena->dma.iova + at, .cpu = arena->dma.cpu + at};
    /* What an invalid entry looks like only the driver knows (PAG-1): a fresh table is filled by
     * it too. */
    return dxgk_ddi_update_page_table(space->adapter, space->process, level, out->cpu, 0,
                                      space->invalid, (uint32_t)table_entries(space, level), true,
                                      err);
}

/* The tables from the root down to unit's leaf exist when this returns 0. */
static int ensure_tables(struct dxgk_vaspace *space, uint64_t unit, struct vf_error *err)
{
    for (uint32_t level = space->levels - 1; level-- > 0;) {
        struct table *table = &space->tables[level][unit >> space->shift[level]];
        const struct table *parent = &space->tables[level + 1][unit >> space->shift[level + 1]];
        uint64_t index = (unit >> space->shift[level]) & (table_entries(space, level + 1) - 1);
        struct table fresh;

        if (table->iova != 0)
            continue;
        if (table_alloc(space, level, &fresh, err) != 0)
            return -1;
        DXGK_PTE entry = {0};
        entry.Valid = 1;
        entry.Segment = DXGK_SYSTEM_SEGMENT;
        entry.PageTableAddress = fresh.iova >> 12;
        if (dxgk_ddi_update_page_table(space->adapter, space->process, level + 1, parent->cpu,
                                       (uint32_t)index, &entry, 1, false, err) != 0)
            return -1;
        *table = fresh;
    }
    return 0;
}

/* ---- windows ---- */

static uint64_t unit_pages(const struct dxgk_vaspace *space)
{
    return table_entries(space, 0);
}

/* First run of `count` free units; 0 when there is none (unit 0 is never given out, so that VA 0
 * stays unmapped). */
static uint64_t find_units(const struct dxgk_vaspace *space, uint64_t count)
{
    uint64_t run = 0;

    for (uint64_t unit = 1; unit < space->units; unit++) {
        run = space->unit_used[unit] ? 0 : run + 1;
        if (run == count)
            return unit + 1 - count;
    }
    return 0;
}

int dxgk_window_open(struct dxgk_vaspace *space, uint64_t bytes, struct dxgk_window *out,
                     struct vf_error *err)
{
    uint64_t unit_bytes = unit_pages(space) << 12;

    *out = (struct dxgk_window){0};
    if (bytes == 0 || bytes % 4096 != 0 || bytes > space->units * unit_bytes)
        return vf_fail(err, VF_FAILED,
                       "paging window of %" PRIu64 " bytes: not a size one can have", bytes);
    uint64_t count = (bytes + unit_bytes - 1) / unit_bytes;
    uint64_t first = find_units(space, count);
    if (first == 0)
        return vf_fail(
            err, VF_FAILED,
            "paging window of %" PRIu64 " bytes: no addresses left; close channels first", bytes);
    for (uint64_t unit = first; unit < first + count; unit++)
        if (ensure_tables(space, unit, err) != 0)
            return -1;
    memset(space->unit_used + first, 1, count);
    *out = (struct dxgk_window){
        .va = first * unit_bytes, .bytes = bytes, .first = first, .tables = count};
    return 0;
}

void dxgk_window_close(struct dxgk_vaspace *space, struct dxgk_window *window)
{
    struct vf_error err = VF_ERROR_INIT;

    if (window->tables == 0)
        return;
    for (uint64_t unit = window->first; unit < window->first + window->tables; unit++)
        if (dxgk_ddi_update_page_table(space->adapter, space->process, 0,
                                       space->tables[0][unit].cpu, 0, space->invalid,
                                       (uint32_t)unit_pages(space), false, &err) != 0)
            log_error("adapter %u: closing a paging window: %s", space->adapter->index, err.text);
    memset(space->unit_used + window->first, 0, window->tables);
    *window = (struct dxgk_window){0};
}

int dxgk_window_map(struct dxgk_vaspace *space, const struct dxgk_window *window, uint64_t first,
                    const DXGK_PTE *entries, uint64_t count, struct vf_error *err)
{
    uint64_t pages = window->bytes >> 12;

    if (first > pages || count > pages - first)
        return vf_fail(err, VF_FAILED,
                       "paging window: %" PRIu64 " pages from %" PRIu64 " are more than it has",
                       count, first);
    while (count > 0) {
        uint64_t index = first % unit_pages(space);
        uint64_t here = unit_pages(space) - index;
        const struct table *table = &space->tables[0][window->first + first / unit_pages(space)];

        if (here > count)
            here = count;
        if (dxgk_ddi_update_page_table(space->adapter, space->process, 0, table->cpu,
                                       (uint32_t)index, entries, (uint32_t)here, false, err) != 0)
            return -1;
        first += here;
        entries += here;
        count -= here;
    }
    return 0;
}

int dxgk_window_map_dma(struct dxgk_vaspace *space, const struct dxgk_window *window,
                        const struct dxgk_dma *dma, struct vf_error *err)
{
    uint64_t pages = (window->bytes < dma->bytes ? window->bytes : dma->bytes) >> 12;
    DXGK_PTE entries[256];

    for (uint64_t page = 0; page < pages;) {
        uint64_t here = pages - page < 256 ? pages - page : 256;
        DXGK_PTE first = dxgk_pte(DXGK_SYSTEM_SEGMENT, dma->iova + (page << 12), true);

        first.CacheCoherent = 1;
        dxgk_pte_fill(entries, here, first);
        if (dxgk_window_map(space, window, page, entries, here, err) != 0)
            return -1;
        page += here;
    }
    return 0;
}

/* ---- the space itself ---- */

/* Works out the levels' shifts and makes room for their tables' descriptions. */
static int lay_out_levels(struct dxgk_vaspace *space, struct vf_error *err)
{
    const struct dxgk_mmu *mmu = &space->adapter->mmu;
    uint64_t most = 0;

    space->levels = mmu->level_count;
    if (space->levels < 2 || space->levels > DXGK_MAX_LEVELS)
        return vf_fail(err, VF_FAILED, "page tables of %u levels are not supported; 2 to %u are",
                       space->levels, DXGK_MAX_LEVELS);
    uint32_t bits = 12;
    for (uint32_t level = 0; level < space->levels; level++) {
        if (mmu->level[level].index_bits == 0 || mmu->level[level].index_bits > 20)
            return vf_fail(err, VF_FAILED,
                           "page table level %u has %u index bits; 1 to 20 are supported", level,
                           mmu->level[level].index_bits);
        space->shift[level] = level == 0 ? 0
                                         : space->shift[level - 1] + mmu->level[level].index_bits;
        bits += mmu->level[level].index_bits;
        if (table_entries(space, level) > most)
            most = table_entries(space, level);
    }
    uint32_t unit_bits = bits - 12 - mmu->level[0].index_bits;
    space->units = unit_bits >= 18 ? MAX_UNITS : 1ull << unit_bits;
    for (uint32_t level = 0; level < space->levels; level++) {
        uint64_t count = ((space->units - 1) >> space->shift[level]) + 1;

        space->tables[level] = calloc(count, sizeof *space->tables[level]);
        if (space->tables[level] == NULL)
            return vf_fail(err, VF_FAILED, "page tables: " VF_NO_MEMORY);
    }
    space->unit_used = calloc(space->units, 1);
    space->invalid = calloc(most, sizeof *space->invalid);
    if (space->unit_used == NULL || space->invalid == NULL)
        return vf_fail(err, VF_FAILED, "page tables: " VF_NO_MEMORY);
    return 0;
}

int dxgk_vaspace_create(struct dxgk_adapter *adapter, HANDLE process, struct dxgk_vaspace **out,
                        struct vf_error *err)
{
    struct dxgk_vaspace *space = calloc(1, sizeof *space);

    if (space == NULL)
        return vf_fail(err, VF_FAILED, "paging process: " VF_NO_MEMORY);
    space->adapter = adapter;
    space->process = process;
    atomic_store(&space->next_iova, FIRST_IOVA);
    if (lay_out_levels(space, err) != 0 ||
        table_alloc(space, space->levels - 1, &space->tables[space->levels - 1][0], err) != 0) {
        dxgk_vaspace_destroy(space);
        return vf_context(err, "paging process");
    }
    *out = space;
    return 0;
}

void dxgk_vaspace_destroy(struct dxgk_vaspace *space)
{
    if (space == NULL)
        return;
    while (space->arenas != NULL) {
        struct arena *arena = space->arenas;

        space->arenas = arena->next;
        dxgk_dma_free(space, &arena->dma);
        free(arena);
    }
    for (uint32_t level = 0; level < DXGK_MAX_LEVELS; level++)
        free(space->tables[level]);
    free(space->unit_used);
    free(space->invalid);
    free(space);
}

void dxgk_vaspace_set_process(struct dxgk_vaspace *space, HANDLE process)
{
    space->process = process;
}

uint64_t dxgk_vaspace_root(const struct dxgk_vaspace *space, uint32_t *entries)
{
    *entries = (uint32_t)table_entries(space, space->levels - 1);
    return space->tables[space->levels - 1][0].iova;
}
