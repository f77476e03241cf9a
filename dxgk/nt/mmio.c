// SPDX-License-Identifier: Apache-2.0
/*
 * Device registers behind addresses. A mapping is inaccessible address space; the register
 * functions find it by address and call the device. The table is an array sorted by address; each
 * thread remembers where it hit last.
 */
#include "dxgk/nt/internal.h"

#include "base/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct mapping {
    uintptr_t va; /* what the driver was given */
    uint64_t length;
    uintptr_t base; /* what was reserved: whole pages */
    uint64_t span;
    const struct nt_mmio_ops *ops;
    void *ctx;
    uint32_t bar;
    uint64_t offset; /* of va, in the BAR */
};

/*
 * Held shared for a whole register access, so that an unmap, which holds it alone, returns when
 * none is under way. Writers come first: else a driver that polls a register could keep an unmap
 * out for ever. Register accesses do not nest.
 */
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static struct mapping *table; /* sorted by va; guarded by table_lock, like all that follow */
static size_t table_count;
static size_t table_capacity;
static uint64_t table_generation =
    1; /* grows with each change: an index a thread remembers is then stale */

/* Address space that nt_mmio_keep keeps; guarded by table_lock. What finds no place here is given
 * back: 16 adapters with four mappings each do. */
static struct {
    uintptr_t base;
    uint64_t span;
} kept[64];
static size_t kept_count;
static bool keeping;

static _Thread_local struct {
    uint64_t generation;
    size_t index;
} last_hit;

/* Index of the first mapping whose va is above `va`. */
static size_t upper_bound(uintptr_t va)
{
    size_t low = 0;
    size_t high = table_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table[middle].va <= va)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool inside(const struct mapping *mapping, uintptr_t va, uint64_t bytes)
{
    return va >= mapping->va && va - mapping->va < mapping->length &&
           bytes <= mapping->length - (va - mapping->va);
}

/* The mapping that holds [va, va + bytes), or NULL. table_lock is held. */
static const struct mapping *find(uintptr_t va, uint64_t bytes)
{
    size_t index;

    if (last_hit.generation == table_generation && inside(&table[last_hit.index], va, bytes))
        return &table[last_hit.index];
    index = upper_bound(va);
    if (index == 0 || !inside(&table[index - 1], va, bytes))
        return NULL;
    last_hit.generation = table_generation;
    last_hit.index = index - 1;
    return &table[index - 1];
}

static int table_insert(const struct mapping *mapping)
{
    size_t index;

    if (table_count == table_capacity) {
        size_t capacity = table_capacity != 0 ? table_capacity * 2 : 16;
        struct mapping *grown = reallocarray(table, capacity, sizeof *table);

        if (grown == NULL)
            return -1;
        table = grown;
        table_capacity = capacity;
    }
    index = upper_bound(mapping->va);
    memmove(&table[index + 1], &table[index], (table_count - index) * sizeof *table);
    table[index] = *mapping;
    table_count++;
    table_generation++;
    return 0;
}

/* Address space for a mapping: kept, or new. MAP_FAILED with errno set. */
static void *reserve(uint64_t span)
{
    void *base = NULL;

    vf_write_lock(&table_lock);
    for (size_t i = 0; i < kept_count && base == NULL; i++) {
        if (kept[i].span != span)
            continue;
        base = (void *)kept[i].base;
        kept[i] = kept[--kept_count];
    }
    vf_rw_unlock(&table_lock);
    if (base != NULL)
        return base;
    return mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void give_back(const struct mapping *mapping)
{
    bool keep;

    vf_write_lock(&table_lock);
    keep = keeping && kept_count < sizeof kept / sizeof *kept;
    if (keep) {
        kept[kept_count].base = mapping->base;
        kept[kept_count++].span = mapping->span;
    }
    vf_rw_unlock(&table_lock);
    if (!keep)
        (void)munmap((void *)mapping->base, mapping->span);
}

void nt_mmio_keep(bool on)
{
    vf_write_lock(&table_lock);
    keeping = on;
    while (!on && kept_count > 0) {
        kept_count--;
        (void)munmap((void *)kept[kept_count].base, kept[kept_count].span);
    }
    vf_rw_unlock(&table_lock);
}

int nt_mmio_map(const struct nt_mmio_ops *ops, void *ctx, uint32_t bar, uint64_t offset,
                uint64_t length, PVOID *va, struct vf_error *err)
{
    struct mapping mapping = {
        .ops = ops, .ctx = ctx, .bar = bar, .offset = offset, .length = length};
    void *base;
    int failed;

    if (length == 0 || length > UINT64_C(1) << 46 || offset > UINT64_MAX - length)
        return vf_fail(err, VF_FAILED,
                       "cannot map %" PRIu64 " bytes of BAR %u at %" PRIu64 ": not a range", length,
                       bar, offset);
    mapping.span = ROUND_TO_PAGES(BYTE_OFFSET(offset) + length);
    base = reserve(mapping.span);
    if (base == MAP_FAILED)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "no address space for %" PRIu64 " bytes of BAR %u", length, bar);
    mapping.base = (uintptr_t)base;
    mapping.va = mapping.base + BYTE_OFFSET(offset);

    vf_write_lock(&table_lock);
    failed = table_insert(&mapping);
    vf_rw_unlock(&table_lock);
    if (failed != 0) {
        give_back(&mapping);
        return vf_fail_errno(err, VF_FAILED, ENOMEM, "BAR %u cannot be mapped", bar);
    }
    *va = (PVOID)mapping.va;
    return 0;
}

int nt_mmio_unmap(PVOID va, struct vf_error *err)
{
    struct mapping mapping;
    size_t index;

    vf_write_lock(&table_lock);
    index = upper_bound((uintptr_t)va);
    if (index == 0 || table[index - 1].va != (uintptr_t)va) {
        vf_rw_unlock(&table_lock);
        return vf_fail(err, VF_FAILED, "%p is not mapped device memory", va);
    }
    mapping = table[index - 1];
    memmove(&table[index - 1], &table[index], (table_count - index) * sizeof *table);
    table_count--;
    table_generation++;
    if (table_count == 0) {
        free(table);
        table = NULL;
        table_capacity = 0;
    }
    vf_rw_unlock(&table_lock);
    give_back(&mapping);
    return 0;
}

uint64_t nt_mmio_count(void)
{
    uint64_t count;

    vf_read_lock(&table_lock);
    count = table_count;
    vf_rw_unlock(&table_lock);
    return count;
}

/* ---- accesses ---- */

/* Says what went wrong; the caller has let go of table_lock. */
static void report_access(const char *what, uintptr_t va, uint64_t bytes, int error)
{
    if (error == -ENXIO)
        nt_report(NT_MISUSE_MMIO,
                  "%s of %" PRIu64 " bytes at %#" PRIx64 ": not mapped device memory", what, bytes,
                  va);
    else
        nt_report(NT_MISUSE_MMIO,
                  "%s of %" PRIu64 " bytes at %#" PRIx64 ": the device refuses it (%s)", what,
                  bytes, va, strerrordesc_np(-error));
}

static uint64_t read_register(uintptr_t va, uint32_t width)
{
    const struct mapping *mapping;
    uint64_t value = UINT64_MAX;
    int error = -ENXIO;

    vf_read_lock(&table_lock);
    mapping = va % width == 0 ? find(va, width) : NULL;
    if (mapping != NULL)
        error = mapping->ops->read(mapping->ctx, mapping->bar, mapping->offset + (va - mapping->va),
                                   width, &value);
    vf_rw_unlock(&table_lock);
    if (error == 0)
        return value;
    report_access("read", va, width, error);
    return UINT64_MAX; /* what a bus gives when nobody answers */
}

static void write_register(uintptr_t va, uint32_t width, uint64_t value)
{
    const struct mapping *mapping;
    int error = -ENXIO;

    vf_read_lock(&table_lock);
    mapping = va % width == 0 ? find(va, width) : NULL;
    if (mapping != NULL)
        error = mapping->ops->write(mapping->ctx, mapping->bar,
                                    mapping->offset + (va - mapping->va), width, value);
    vf_rw_unlock(&table_lock);
    if (error != 0)
        report_access("write", va, width, error);
}

/* Item by item. Little-endian, as all machines this runs on. */
static int read_items(const struct mapping *mapping, uint64_t offset, uint32_t width,
                      unsigned char *data, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes; done += width) {
        uint64_t value = 0;
        int error = mapping->ops->read(mapping->ctx, mapping->bar, offset + done, width, &value);

        if (error != 0)
            return error;
        memcpy(data + done, &value, width);
    }
    return 0;
}

static int write_items(const struct mapping *mapping, uint64_t offset, uint32_t width,
                       const unsigned char *data, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes; done += width) {
        uint64_t value = 0;
        int error;

        memcpy(&value, data + done, width);
        error = mapping->ops->write(mapping->ctx, mapping->bar, offset + done, width, value);
        if (error != 0)
            return error;
    }
    return 0;
}

static void read_buffer(uintptr_t va, uint32_t width, void *data, uint64_t count)
{
    const struct mapping *mapping;
    uint64_t bytes = count * width;
    int error = -ENXIO;

    if (count == 0)
        return;
    vf_read_lock(&table_lock);
    mapping = va % width == 0 ? find(va, bytes) : NULL;
    if (mapping != NULL) {
        uint64_t offset = mapping->offset + (va - mapping->va);

        error = width == 8
                    ? mapping->ops->read_block(mapping->ctx, mapping->bar, offset, data, bytes)
                    : read_items(mapping, offset, width, data, bytes);
    }
    vf_rw_unlock(&table_lock);
    if (error == 0)
        return;
    memset(data, 0xff, bytes);
    report_access("read", va, bytes, error);
}

static void write_buffer(uintptr_t va, uint32_t width, const void *data, uint64_t count)
{
    const struct mapping *mapping;
    uint64_t bytes = count * width;
    int error = -ENXIO;

    if (count == 0)
        return;
    vf_read_lock(&table_lock);
    mapping = va % width == 0 ? find(va, bytes) : NULL;
    if (mapping != NULL) {
        uint64_t offset = mapping->offset + (va - mapping->va);

        error = width == 8
                    ? mapping->ops->write_block(mapping->ctx, mapping->bar, offset, data, bytes)
                    : write_items(mapping, offset, width, data, bytes);
    }
    vf_rw_unlock(&table_lock);
    if (error != 0)
        report_access("write", va, bytes, error);
}

/* The twelve names differ in width only. */
#define REGISTER_FUNCTIONS(NAME, TYPE) \
    TYPE READ_REGISTER_##NAME(volatile TYPE *reg) \
    { \
        return (TYPE)read_register((uintptr_t)reg, sizeof(TYPE)); \
    } \
    void WRITE_REGISTER_##NAME(volatile TYPE *reg, TYPE value) \
    { \
        write_register((uintptr_t)reg, sizeof(TYPE), value); \
    }
#define BUFFER_FUNCTIONS(NAME, TYPE) \
    void READ_REGISTER_BUFFER_##NAME(volatile TYPE *reg, TYPE *buffer, ULONG count) \
    { \
        read_buffer((uintptr_t)reg, sizeof(TYPE), buffer, count); \
    } \
    void WRITE_REGISTER_BUFFER_##NAME(volatile TYPE *reg, TYPE *buffer, ULONG count) \
    { \
        write_buffer((uintptr_t)reg, sizeof(TYPE), buffer, count); \
    }

REGISTER_FUNCTIONS(UCHAR, UCHAR)
REGISTER_FUNCTIONS(USHORT, USHORT)
REGISTER_FUNCTIONS(ULONG, ULONG)
REGISTER_FUNCTIONS(ULONG64, ULONG64)
BUFFER_FUNCTIONS(UCHAR, UCHAR)
BUFFER_FUNCTIONS(ULONG, ULONG)
BUFFER_FUNCTIONS(ULONG64, ULONG64)
