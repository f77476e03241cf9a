// SPDX-License-Identifier: Apache-2.0
/*
 * Address translation: page tables of a guest (in VRAM, through the second stage) and of the paging
 * process (in system memory). A table is read afresh word by word and every address in it is
 * checked: its owner may be rewriting it right now.
 */
#include "softgpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES SG_PAGE_BYTES
#define TABLE_INDEX(va, level)                                                                     \
    ((va) >> (SG_PAGE_SHIFT + (level)*SG_LEVEL_BITS) & ((1u << SG_LEVEL_BITS) - 1))

bool sg_map_find(const struct sg_map *m, uint64_t gpa, uint64_t *phys, uint64_t *bytes,
                 size_t *hint)
{
    const struct sg_extent *e;

    if (gpa >= m->bytes)
        return false;
    if (*hint >= m->count || gpa < m->extent[*hint].gpa ||
        gpa - m->extent[*hint].gpa >= m->extent[*hint].bytes) {
        size_t low = 0, high = m->count - 1;

        while (low < high) { /* the last extent that starts at or before gpa */
            size_t middle = low + (high - low + 1) / 2;

            if (m->extent[middle].gpa <= gpa)
                low = middle;
            else
                high = middle - 1;
        }
        *hint = low;
    }
    e = &m->extent[*hint];
    *phys = e->phys + (gpa - e->gpa);
    *bytes = e->bytes - (gpa - e->gpa);
    return true;
}

int sg_map_add(struct sg_map *m, uint64_t gpa, uint64_t phys, uint64_t bytes)
{
    if (m->count == m->room) {
        size_t room = m->room ? m->room * 2 : 16;
        struct sg_extent *grown = reallocarray(m->extent, room, sizeof *grown);

        if (!grown)
            return -ENOMEM;
        m->extent = grown;
        m->room = room;
    }
    m->extent[m->count++] = (struct sg_extent){gpa, phys, bytes};
    m->bytes += bytes;
    return 0;
}

void sg_space_flush(struct sg_space *s)
{
    memset(s->tlb, 0, sizeof s->tlb);
}

void sg_space_refresh(struct sg_space *s, uint64_t root, uint64_t generation)
{
    if (s->root == root && s->generation == generation)
        return;
    s->root = root;
    s->generation = generation;
    sg_space_flush(s);
}

/* Where the table at `address` (of its owner's world) can be read. */
static bool find_table(struct sg_space *s, uint64_t address, uint64_t *table)
{
    uint64_t bytes;

    if (s->vf)
        return sg_map_find(&s->vf->map, address, table, &bytes, &s->hint) && bytes >= TABLE_BYTES;
    *table = (uint64_t)(uintptr_t)sg_dma_find(&s->dev->dma, address, &bytes, &s->hint);
    return *table && bytes >= TABLE_BYTES;
}

static uint64_t load_entry(struct sg_space *s, uint64_t table, uint64_t index)
{
    if (s->vf)
        return sg_vram_load64(&s->dev->vram, table + index * 8);
    return __atomic_load_n((const uint64_t *)(uintptr_t)table + index, __ATOMIC_ACQUIRE);
}

/* The upper two levels, cached per 2 MiB. Leaves of 4 KiB are not cached at all: reading them costs
 * one load. */
static const struct sg_tlb_entry *upper_levels(struct sg_space *s, uint64_t va)
{
    uint64_t tag = va / SG_BLOCK_BYTES + 1, table, entry;
    struct sg_tlb_entry *e = &s->tlb[tag % SG_TLB_ENTRIES];

    if (e->tag == tag)
        return e;
    if (!find_table(s, s->root & SG_PTE_ADDRESS, &table))
        return NULL;
    entry = load_entry(s, table, TABLE_INDEX(va, 2));
    if (!(entry & SG_PTE_VALID) || !find_table(s, entry & SG_PTE_ADDRESS, &table))
        return NULL;
    entry = load_entry(s, table, TABLE_INDEX(va, 1));
    if (!(entry & SG_PTE_VALID))
        return NULL;
    if (entry & SG_PTE_LARGE) {
        *e = (struct sg_tlb_entry){.tag = tag, .large = entry};
        return e;
    }
    if (!find_table(s, entry & SG_PTE_ADDRESS, &table))
        return NULL;
    *e = (struct sg_tlb_entry){.tag = tag, .table = table};
    return e;
}

/* What one leaf, or the part of it in one extent or DMA range, maps from `va` on. */
static bool translate_leaf(struct sg_space *s, uint64_t va, bool write, struct sg_span *out)
{
    const struct sg_tlb_entry *e = va >> SG_VA_BITS ? NULL : upper_levels(s, va);
    uint64_t leaf, size, address, bytes;

    if (!e)
        return false;
    leaf = e->large ? e->large : load_entry(s, e->table, TABLE_INDEX(va, 0));
    size = e->large ? SG_BLOCK_BYTES : SG_PAGE_BYTES;
    address = leaf & SG_PTE_ADDRESS;
    if (!(leaf & SG_PTE_VALID) || (write && !(leaf & SG_PTE_WRITE)) || address % size)
        return false;
    address += va % size;
    *out = (struct sg_span){.phys = address, .bytes = size - va % size};
    if (s->vf) {
        if (leaf & SG_PTE_SYSTEM ||
            !sg_map_find(&s->vf->map, address, &out->phys, &bytes, &s->hint))
            return false;
    } else if (leaf & SG_PTE_SYSTEM) {
        out->system = sg_dma_find(&s->dev->dma, address, &bytes, &s->hint);
        if (!out->system)
            return false;
    } else {
        if (address >= s->dev->vram.bytes)
            return false;
        bytes = s->dev->vram.bytes - address;
    }
    out->bytes = sg_min(out->bytes, bytes);
    return true;
}

bool sg_translate(struct sg_space *s, uint64_t va, uint64_t bytes, bool write, struct sg_span *out)
{
    if (!translate_leaf(s, va, write, out)) {
        s->fault_va = va;
        return false;
    }
    while (out->bytes < bytes) { /* merge what follows without a gap, so that one memcpy moves it */
        struct sg_span next;

        if (!translate_leaf(s, va + out->bytes, write, &next) || !next.system != !out->system)
            break;
        if (out->system ? next.system != out->system + out->bytes
                        : next.phys != out->phys + out->bytes)
            break;
        out->bytes += next.bytes;
    }
    out->bytes = sg_min(out->bytes, bytes);
    return true;
}

bool sg_va_read(struct sg_space *s, uint64_t va, void *to, uint64_t bytes)
{
    uint8_t *at = to;

    while (bytes) {
        struct sg_span span;

        if (!sg_translate(s, va, bytes, false, &span))
            return false;
        if (span.system)
            sg_raw_copy(at, span.system, span.bytes);
        else
            sg_vram_read(&s->dev->vram, span.phys, at, span.bytes);
        at += span.bytes;
        va += span.bytes;
        bytes -= span.bytes;
    }
    return true;
}

bool sg_va_write(struct sg_space *s, uint64_t va, const void *from, uint64_t bytes)
{
    const uint8_t *at = from;

    while (bytes) {
        struct sg_span span;

        if (!sg_translate(s, va, bytes, true, &span))
            return false;
        if (span.system)
            sg_raw_copy(span.system, at, span.bytes);
        else
            sg_vram_write(&s->dev->vram, span.phys, at, span.bytes);
        at += span.bytes;
        va += span.bytes;
        bytes -= span.bytes;
    }
    return true;
}

static bool translate_word(struct sg_space *s, uint64_t va, bool write, struct sg_span *span)
{
    if (va % 8) {
        s->fault_va = va;
        return false;
    }
    return sg_translate(s, va, 8, write, span);
}

bool sg_va_load64(struct sg_space *s, uint64_t va, uint64_t *value)
{
    struct sg_span span;

    if (!translate_word(s, va, false, &span))
        return false;
    *value = span.system ? __atomic_load_n((uint64_t *)(uintptr_t)span.system, __ATOMIC_ACQUIRE)
                         : sg_vram_load64(&s->dev->vram, span.phys);
    return true;
}

bool sg_va_store64(struct sg_space *s, uint64_t va, uint64_t value)
{
    struct sg_span span;

    if (!translate_word(s, va, true, &span))
        return false;
    if (span.system)
        __atomic_store_n((uint64_t *)(uintptr_t)span.system, value, __ATOMIC_RELEASE);
    else
        sg_vram_store64(&s->dev->vram, span.phys, value);
    return true;
}

bool sg_va_add64(struct sg_space *s, uint64_t va, uint64_t value)
{
    struct sg_span span;

    if (!translate_word(s, va, true, &span))
        return false;
    if (span.system)
        (void)__atomic_fetch_add((uint64_t *)(uintptr_t)span.system, value, __ATOMIC_ACQ_REL);
    else
        sg_vram_add64(&s->dev->vram, span.phys, value);
    return true;
}
