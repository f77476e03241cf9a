// SPDX-License-Identifier: Apache-2.0
/* Formats 1 and 2 of the saved state: written, checked, taken over. See saved.h. */
#include "saved.h"

C_ASSERT(SGK_SAVED_FORMAT <= 2);

/* Both formats: what the card was, and how many of the rest there are. */
struct sgk_saved_adapter {
    ULONG hw_version, vf_count, dirty_shift, scatter_shift;
    ULONG64 vram_bytes;
    ULONG partition_count;
    ULONG vgpus;
    ULONG extents;
    ULONG reserved;
};

/* Format 1: a vGPU as driver 1.0 has it, flag by flag; its extents in bytes. */
struct sgk_saved_vgpu1 {
    ULONG index;
    ULONG extent_count;
    UCHAR powered, paused, migration, holds_tracking;
    UCHAR immutable_done, mutable_done;
    UCHAR reserved[2];
    ULONG lend_before;
    ULONG64 reserve_bytes;
    GUID umed_class;
    LUID luid;
};

/* Format 2: flags in one word, extents in pages, and what 1.1 counts of a VF's life. */
#define SGK_SAVED_POWERED 0x1u
#define SGK_SAVED_PAUSED 0x2u
#define SGK_SAVED_HOLDS_TRACKING 0x4u
#define SGK_SAVED_IMMUTABLE_DONE 0x8u
#define SGK_SAVED_MUTABLE_DONE 0x10u
#define SGK_SAVED_FLAGS 0x1fu

struct sgk_saved_vgpu2 {
    LUID luid;
    GUID umed_class;
    ULONG flags; /* SGK_SAVED_* */
    ULONG migration;
    ULONG lend_before;
    ULONG index;
    ULONG64 reserve_pages;
    ULONG extent_count;
    ULONG pauses, moves, updates; /* struct sgk_history */
};

struct sgk_saved_extent2 {
    ULONG first, count; /* 4 KiB pages */
};

/* A vGPU of either format. */
struct sgk_saved_vgpu {
    ULONG index, extent_count;
    ULONG64 reserve_bytes;
    ULONG migration, lend_before;
    BOOLEAN powered, paused, holds_tracking, immutable_done, mutable_done;
    GUID umed_class;
    LUID luid;
    struct sgk_history history;
};

static ULONG sgk_vgpu_bytes(ULONG format)
{
    return format == 1 ? sizeof(struct sgk_saved_vgpu1) : sizeof(struct sgk_saved_vgpu2);
}

static ULONG sgk_extent_bytes(ULONG format)
{
    return format == 1 ? sizeof(struct sgk_extent) : sizeof(struct sgk_saved_extent2);
}

/* ---- writing ---- */

static void sgk_saved_count(const struct sgk_adapter *adapter, PULONG vgpus, PULONG extents)
{
    *vgpus = *extents = 0;
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        if (!adapter->vgpus[i].exists)
            continue;
        (*vgpus)++;
        *extents += adapter->vgpus[i].extent_count;
    }
}

struct sgk_saved_header sgk_saved_header(const struct sgk_adapter *adapter, ULONG format,
                                         enum sgk_saved_kind kind)
{
    struct sgk_saved_header header = {.magic = SGK_SAVED_MAGIC,
                                      .format = format,
                                      .kind = (ULONG)kind,
                                      .driver_version = SGK_DRIVER_MAJOR << 16 | SGK_DRIVER_MINOR};
    ULONG vgpus, extents;

    sgk_saved_count(adapter, &vgpus, &extents);
    if (kind == SGK_SAVED_ADAPTER)
        header.bytes = sizeof(struct sgk_saved_adapter);
    else
        header.bytes = kind == SGK_SAVED_VGPUS ? vgpus * sgk_vgpu_bytes(format)
                                               : extents * sgk_extent_bytes(format);
    return header;
}

static void sgk_fill_adapter(const struct sgk_adapter *adapter, PVOID data)
{
    struct sgk_saved_adapter out = {
        .hw_version = adapter->hw_version,
        .vf_count = adapter->vf_count,
        .dirty_shift = adapter->dirty_shift,
        .scatter_shift = adapter->scatter_shift,
        .vram_bytes = adapter->vram_bytes,
        .partition_count = adapter->partition_count,
    };

    sgk_saved_count(adapter, &out.vgpus, &out.extents);
    RtlCopyMemory(data, &out, sizeof(out));
}

static void sgk_fill_vgpu1(const struct sgk_vgpu *vgpu, ULONG index, PVOID data)
{
    struct sgk_saved_vgpu1 out = {
        .index = index,
        .extent_count = vgpu->extent_count,
        .powered = vgpu->powered,
        .paused = vgpu->paused,
        .migration = (UCHAR)vgpu->migration,
        .holds_tracking = vgpu->holds_tracking,
        .immutable_done = vgpu->immutable_done,
        .mutable_done = vgpu->mutable_done,
        .lend_before = vgpu->lend_before,
        .reserve_bytes = vgpu->reserve_bytes,
        .umed_class = vgpu->umed_class,
        .luid = vgpu->luid,
    };

    RtlCopyMemory(data, &out, sizeof(out));
}

static void sgk_fill_vgpu2(const struct sgk_vgpu *vgpu, ULONG index, PVOID data)
{
    struct sgk_history history = sgk_history_of(vgpu);
    struct sgk_saved_vgpu2 out = {
        .luid = vgpu->luid,
        .umed_class = vgpu->umed_class,
        .flags = (vgpu->powered ? SGK_SAVED_POWERED : 0) | (vgpu->paused ? SGK_SAVED_PAUSED : 0) |
                 (vgpu->holds_tracking ? SGK_SAVED_HOLDS_TRACKING : 0) |
                 (vgpu->immutable_done ? SGK_SAVED_IMMUTABLE_DONE : 0) |
                 (vgpu->mutable_done ? SGK_SAVED_MUTABLE_DONE : 0),
        .migration = (ULONG)vgpu->migration,
        .lend_before = vgpu->lend_before,
        .index = index,
        .reserve_pages = vgpu->reserve_bytes >> SG_PAGE_SHIFT,
        .extent_count = vgpu->extent_count,
        .pauses = history.pauses,
        .moves = history.moves,
        .updates = history.updates,
    };

    RtlCopyMemory(data, &out, sizeof(out));
}

static void sgk_fill_extents(const struct sgk_vgpu *vgpu, ULONG format, PUCHAR data)
{
    for (ULONG i = 0; i < vgpu->extent_count; i++, data += sgk_extent_bytes(format)) {
        struct sgk_saved_extent2 pages = {(ULONG)(vgpu->extents[i].offset >> SG_PAGE_SHIFT),
                                          (ULONG)(vgpu->extents[i].bytes >> SG_PAGE_SHIFT)};

        if (format == 1)
            RtlCopyMemory(data, &vgpu->extents[i], sizeof(vgpu->extents[i]));
        else
            RtlCopyMemory(data, &pages, sizeof(pages));
    }
}

void sgk_saved_fill(const struct sgk_adapter *adapter, const struct sgk_saved_header *header,
                    PVOID data)
{
    PUCHAR next = data;

    if (header->kind == SGK_SAVED_ADAPTER) {
        sgk_fill_adapter(adapter, data);
        return;
    }
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        const struct sgk_vgpu *vgpu = &adapter->vgpus[i];

        if (!vgpu->exists)
            continue;
        if (header->kind == SGK_SAVED_EXTENTS) {
            sgk_fill_extents(vgpu, header->format, next);
            next += vgpu->extent_count * sgk_extent_bytes(header->format);
            continue;
        }
        if (header->format == 1)
            sgk_fill_vgpu1(vgpu, i, next);
        else
            sgk_fill_vgpu2(vgpu, i, next);
        next += sgk_vgpu_bytes(header->format);
    }
}

/* ---- reading ---- */

static const UCHAR *sgk_staged_data(const struct sgk_staged *staged, enum sgk_saved_kind kind)
{
    return MmMapLockedPagesSpecifyCache(staged->mdl[kind], KernelMode, MmCached, NULL, FALSE,
                                        NormalPagePriority);
}

static void sgk_read_vgpu1(const UCHAR *data, struct sgk_saved_vgpu *out)
{
    struct sgk_saved_vgpu1 in;

    RtlCopyMemory(&in, data, sizeof(in));
    *out = (struct sgk_saved_vgpu){
        .index = in.index,
        .extent_count = in.extent_count,
        .reserve_bytes = in.reserve_bytes,
        .migration = in.migration,
        .lend_before = in.lend_before,
        .powered = in.powered != 0,
        .paused = in.paused != 0,
        .holds_tracking = in.holds_tracking != 0,
        .immutable_done = in.immutable_done != 0,
        .mutable_done = in.mutable_done != 0,
        .umed_class = in.umed_class,
        .luid = in.luid,
    };
}

static void sgk_read_vgpu2(const UCHAR *data, struct sgk_saved_vgpu *out)
{
    struct sgk_saved_vgpu2 in;

    RtlCopyMemory(&in, data, sizeof(in));
    *out = (struct sgk_saved_vgpu){
        .index = in.index,
        .extent_count = in.extent_count,
        .reserve_bytes = in.reserve_pages << SG_PAGE_SHIFT,
        /* Flags nobody knows make the record one that nobody knows. */
        .migration = in.flags & ~SGK_SAVED_FLAGS ? ~0u : in.migration,
        .lend_before = in.lend_before,
        .powered = (in.flags & SGK_SAVED_POWERED) != 0,
        .paused = (in.flags & SGK_SAVED_PAUSED) != 0,
        .holds_tracking = (in.flags & SGK_SAVED_HOLDS_TRACKING) != 0,
        .immutable_done = (in.flags & SGK_SAVED_IMMUTABLE_DONE) != 0,
        .mutable_done = (in.flags & SGK_SAVED_MUTABLE_DONE) != 0,
        .umed_class = in.umed_class,
        .luid = in.luid,
        .history = {in.pauses, in.moves, in.updates},
    };
}

static void sgk_read_vgpu(const UCHAR *vgpus, ULONG format, ULONG nth, struct sgk_saved_vgpu *out)
{
    if (format == 1)
        sgk_read_vgpu1(vgpus + nth * sgk_vgpu_bytes(1), out);
    else
        sgk_read_vgpu2(vgpus + nth * sgk_vgpu_bytes(2), out);
}

static void sgk_read_extent(const UCHAR *extents, ULONG format, ULONG nth, struct sgk_extent *out)
{
    struct sgk_saved_extent2 pages;

    if (format == 1) {
        RtlCopyMemory(out, extents + nth * sgk_extent_bytes(1), sizeof(*out));
        return;
    }
    RtlCopyMemory(&pages, extents + nth * sgk_extent_bytes(2), sizeof(pages));
    out->offset = (ULONG64)pages.first << SG_PAGE_SHIFT;
    out->bytes = (ULONG64)pages.count << SG_PAGE_SHIFT;
}

/* A reserve is whole and inside VRAM; `first` is its first extent. */
static BOOLEAN sgk_saved_reserve_valid(const struct sgk_staged *staged,
                                       const struct sgk_saved_adapter *adapter,
                                       const struct sgk_saved_vgpu *vgpu, ULONG first)
{
    const UCHAR *extents;
    ULONG64 total = 0;

    if (vgpu->extent_count == 0)
        return TRUE; /* before SetVirtualGpuResources */
    extents = sgk_staged_data(staged, SGK_SAVED_EXTENTS);
    for (ULONG i = 0; i < vgpu->extent_count; i++) {
        struct sgk_extent extent;

        sgk_read_extent(extents, staged->format, first + i, &extent);
        if (extent.bytes == 0 || extent.offset > adapter->vram_bytes ||
            extent.bytes > adapter->vram_bytes - extent.offset)
            return FALSE;
        total += extent.bytes;
    }
    return total == vgpu->reserve_bytes;
}

static NTSTATUS sgk_check_vgpus(const struct sgk_staged *staged,
                                const struct sgk_saved_adapter *adapter)
{
    const UCHAR *vgpus = sgk_staged_data(staged, SGK_SAVED_VGPUS);
    ULONG extents = 0, seen = 0;

    for (ULONG i = 0; i < adapter->vgpus; i++) {
        struct sgk_saved_vgpu vgpu;

        sgk_read_vgpu(vgpus, staged->format, i, &vgpu);
        if (vgpu.index >= adapter->vf_count || (seen & 1u << vgpu.index) ||
            vgpu.migration > SGK_MIGRATION_TARGET ||
            vgpu.extent_count > adapter->extents - extents ||
            !sgk_saved_reserve_valid(staged, adapter, &vgpu, extents))
            return STATUS_INVALID_PARAMETER;
        seen |= 1u << vgpu.index;
        extents += vgpu.extent_count;
    }
    return extents == adapter->extents ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

NTSTATUS sgk_saved_check(const struct sgk_staged *staged)
{
    struct sgk_saved_adapter adapter;

    if (!staged->mdl[SGK_SAVED_ADAPTER])
        return STATUS_SUCCESS;
    if (staged->bytes[SGK_SAVED_ADAPTER] != sizeof(adapter))
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(&adapter, sgk_staged_data(staged, SGK_SAVED_ADAPTER), sizeof(adapter));
    if (adapter.vf_count == 0 || adapter.vf_count > SG_MAX_VFS ||
        adapter.vgpus > adapter.vf_count || adapter.extents > adapter.vram_bytes >> SG_PAGE_SHIFT)
        return STATUS_INVALID_PARAMETER;
    if ((adapter.vgpus && !staged->mdl[SGK_SAVED_VGPUS]) ||
        (adapter.extents && !staged->mdl[SGK_SAVED_EXTENTS]))
        return STATUS_SUCCESS; /* more is to come */
    if (staged->bytes[SGK_SAVED_VGPUS] !=
            (ULONG64)adapter.vgpus * sgk_vgpu_bytes(staged->format) ||
        staged->bytes[SGK_SAVED_EXTENTS] !=
            (ULONG64)adapter.extents * sgk_extent_bytes(staged->format))
        return STATUS_INVALID_PARAMETER;
    return adapter.vgpus ? sgk_check_vgpus(staged, &adapter) : STATUS_SUCCESS;
}

/* ---- taking over ---- */

static NTSTATUS sgk_apply_vgpu(struct sgk_adapter *adapter, const struct sgk_staged *staged,
                               const struct sgk_saved_vgpu *in, ULONG first)
{
    struct sgk_vgpu *vgpu = &adapter->vgpus[in->index];

    if (in->extent_count) {
        vgpu->extents = ExAllocatePool2(
            POOL_FLAG_PAGED, in->extent_count * sizeof(*vgpu->extents), SGK_TAG_EXTENTS);
        if (!vgpu->extents)
            return STATUS_NO_MEMORY;
        for (ULONG i = 0; i < in->extent_count; i++)
            sgk_read_extent(sgk_staged_data(staged, SGK_SAVED_EXTENTS), staged->format, first + i,
                            &vgpu->extents[i]);
    }
    vgpu->exists = TRUE;
    vgpu->powered = in->powered;
    vgpu->paused = in->paused;
    vgpu->umed_class = in->umed_class;
    vgpu->luid = in->luid;
    vgpu->reserve_bytes = in->reserve_bytes;
    vgpu->extent_count = in->extent_count;
    vgpu->migration = (enum sgk_migration)in->migration;
    vgpu->lend_before = in->lend_before;
    vgpu->holds_tracking = in->holds_tracking;
    vgpu->immutable_done = in->immutable_done;
    vgpu->mutable_done = in->mutable_done;
    sgk_history_set(vgpu, &in->history);
    SGK_COUNT(vgpu, updates);
    /* The card goes on setting bits: only the count is new. */
    if (vgpu->holds_tracking)
        adapter->tracking_count++;
    return STATUS_SUCCESS;
}

NTSTATUS sgk_saved_apply(struct sgk_adapter *adapter)
{
    const struct sgk_staged *staged = &adapter->staged;
    struct sgk_saved_adapter in;
    ULONG first = 0;

    if (!staged->mdl[SGK_SAVED_ADAPTER])
        return STATUS_INVALID_DEVICE_STATE;
    RtlCopyMemory(&in, sgk_staged_data(staged, SGK_SAVED_ADAPTER), sizeof(in));
    if ((in.vgpus && !staged->mdl[SGK_SAVED_VGPUS]) ||
        (in.extents && !staged->mdl[SGK_SAVED_EXTENTS]))
        return STATUS_INVALID_DEVICE_STATE; /* a part never came */
    if (in.hw_version != adapter->hw_version || in.vf_count != adapter->vf_count ||
        in.dirty_shift != adapter->dirty_shift || in.scatter_shift != adapter->scatter_shift ||
        in.vram_bytes != adapter->vram_bytes)
        return STATUS_DEVICE_CONFIGURATION_ERROR; /* another card's state */
    adapter->partition_count = in.partition_count;
    for (ULONG i = 0; i < in.vgpus; i++) {
        struct sgk_saved_vgpu vgpu;
        NTSTATUS status;

        sgk_read_vgpu(sgk_staged_data(staged, SGK_SAVED_VGPUS), staged->format, i, &vgpu);
        status = sgk_apply_vgpu(adapter, staged, &vgpu, first);
        if (!NT_SUCCESS(status))
            return status;
        first += vgpu.extent_count;
    }
    return STATUS_SUCCESS;
}
