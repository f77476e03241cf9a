// SPDX-License-Identifier: Apache-2.0
/*
 * A VF's VRAM: extents checked against the card, the other VFs and the vGPU's promise, then
 * written into the card's second translation stage. The guest physical space is the extents one
 * after the other.
 */
#include "softgpu_kmd.h"

/* Inside VRAM and aligned. */
static BOOLEAN sgk_extent_valid(const struct sgk_adapter *adapter, const struct sgk_extent *extent)
{
    ULONG64 mask = sgk_reserve_alignment(adapter) - 1;

    return extent->bytes != 0 && !((extent->offset | extent->bytes) & mask) &&
           extent->offset <= adapter->vram_bytes &&
           extent->bytes <= adapter->vram_bytes - extent->offset;
}

/* Marks the extent's granules of `bytes` each in the plane; FALSE when one is marked already. */
static BOOLEAN sgk_extent_mark(PUCHAR plane, ULONG bytes, const struct sgk_extent *extent)
{
    ULONG64 granule = extent->offset / bytes, end = granule + extent->bytes / bytes;

    for (; granule < end; granule++) {
        UCHAR bit = (UCHAR)(1u << (granule & 7));

        if (plane[granule >> 3] & bit)
            return FALSE;
        plane[granule >> 3] |= bit;
    }
    return TRUE;
}

/*
 * Owned by nobody else (VF-6), met by no other extent of the same reserve: two guest addresses of
 * one page would make a page list lie. A plane of granules keeps this linear however scattered all
 * reserves are.
 */
static NTSTATUS sgk_extents_disjoint(const struct sgk_adapter *adapter,
                                     const struct sgk_vgpu *owner,
                                     const struct sgk_extent *extents, ULONG count)
{
    ULONG bytes = sgk_reserve_alignment(adapter);
    PUCHAR plane = ExAllocatePool2(POOL_FLAG_PAGED, adapter->vram_bytes / bytes / 8 + 1,
                                   SGK_TAG_EXTENTS);
    NTSTATUS status = STATUS_SUCCESS;

    if (!plane)
        return STATUS_NO_MEMORY;
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        const struct sgk_vgpu *other = &adapter->vgpus[i];

        if (!other->exists || other == owner)
            continue;
        for (ULONG k = 0; k < other->extent_count; k++)
            (void)sgk_extent_mark(plane, bytes, &other->extents[k]);
    }
    for (ULONG i = 0; i < count && NT_SUCCESS(status); i++)
        if (!sgk_extent_mark(plane, bytes, &extents[i]))
            status = STATUS_CONFLICTING_ADDRESSES;
    ExFreePoolWithTag(plane, SGK_TAG_EXTENTS);
    return status;
}

/* Joins an extent that begins where the one before ends: the card's map has few places
 * without scatter. */
static ULONG sgk_extents_merge(struct sgk_extent *extents, ULONG count)
{
    ULONG kept = 0;

    for (ULONG i = 1; i < count; i++) {
        if (extents[kept].offset + extents[kept].bytes == extents[i].offset)
            extents[kept].bytes += extents[i].bytes;
        else
            extents[++kept] = extents[i];
    }
    return kept + 1;
}

static NTSTATUS sgk_extents_check(const struct sgk_adapter *adapter, const struct sgk_vgpu *vgpu,
                                  const struct sgk_extent *extents, ULONG count)
{
    ULONG64 total = 0;

    for (ULONG i = 0; i < count; i++) {
        if (!sgk_extent_valid(adapter, &extents[i]) ||
            extents[i].bytes > vgpu->reserve_bytes - total)
            return STATUS_INVALID_PARAMETER;
        total += extents[i].bytes;
    }
    if (total != vgpu->reserve_bytes)
        return STATUS_INVALID_PARAMETER;
    return sgk_extents_disjoint(adapter, vgpu, extents, count);
}

static NTSTATUS sgk_map_command(const struct sgk_adapter *adapter, ULONG index, ULONG command)
{
    sgk_write(adapter, SG_VFC(index, SG_VFC_MAP_CMD), command);
    switch (sgk_read(adapter, SG_VFC(index, SG_VFC_MAP_RESULT))) {
    case 0:
        return STATUS_SUCCESS;
    case SG_MAP_BAD_RUNNING:
        return STATUS_INVALID_DEVICE_STATE;
    case SG_MAP_BAD_COUNT:
        return STATUS_INSUFFICIENT_RESOURCES;
    case SG_MAP_BAD_ALIGN:
    case SG_MAP_BAD_RANGE:
        return STATUS_INVALID_PARAMETER;
    default:
        return STATUS_IO_DEVICE_ERROR;
    }
}

static NTSTATUS sgk_map_program(const struct sgk_adapter *adapter, ULONG index,
                                const struct sgk_extent *extents, ULONG count)
{
    ULONG64 gpa = 0;
    NTSTATUS status = sgk_map_command(adapter, index, SG_MAP_CMD_CLEAR);

    for (ULONG i = 0; i < count && NT_SUCCESS(status); i++) {
        sgk_write64(adapter, SG_VFC(index, SG_VFC_MAP_GPA64), gpa);
        sgk_write64(adapter, SG_VFC(index, SG_VFC_MAP_PHYS64), extents[i].offset);
        sgk_write64(adapter, SG_VFC(index, SG_VFC_MAP_BYTES64), extents[i].bytes);
        status = sgk_map_command(adapter, index, SG_MAP_CMD_ADD);
        gpa += extents[i].bytes;
    }
    return status;
}

/* VF-2: before the first power-on; later only a reserve that the OS moves (VF-4): paused, so that
 * no command meets a map that is half of one place and half of another, and in no migration. */
static BOOLEAN sgk_reserve_may_change(const struct sgk_vgpu *vgpu)
{
    if (!vgpu->powered && !vgpu->extents)
        return TRUE;
    return vgpu->extents && vgpu->paused && vgpu->migration == SGK_MIGRATION_NONE;
}

/* Takes `extents` over on success; else the VF is where it was. Both locks are held. */
static NTSTATUS sgk_reserve_assign(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu,
                                   struct sgk_extent *extents, ULONG count)
{
    NTSTATUS status;

    if (!sgk_reserve_may_change(vgpu))
        return STATUS_INVALID_DEVICE_STATE;
    status = sgk_extents_check(adapter, vgpu, extents, count);
    if (!NT_SUCCESS(status))
        return status;
    count = sgk_extents_merge(extents, count);
    status = sgk_map_program(adapter, index, extents, count);
    if (!NT_SUCCESS(status)) {
        /* What the card took before it takes again. */
        if (sgk_map_program(adapter, index, vgpu->extents, vgpu->extent_count) != STATUS_SUCCESS)
            DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                       "softgpu: VF %u has lost its map\n", index);
        return status;
    }
    if (vgpu->extents)
        ExFreePoolWithTag(vgpu->extents, SGK_TAG_EXTENTS);
    vgpu->extents = extents;
    vgpu->extent_count = count;
    return STATUS_SUCCESS;
}

void sgk_reserve_drop(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu)
{
    NTSTATUS status = sgk_map_command(adapter, index, SG_MAP_CMD_CLEAR);

    if (!NT_SUCCESS(status))
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                   "softgpu: VF %u keeps its map: status 0x%08x\n", index, (unsigned)status);
    if (vgpu->extents)
        ExFreePoolWithTag(vgpu->extents, SGK_TAG_EXTENTS);
    vgpu->extents = NULL;
    vgpu->extent_count = 0;
}

/* Assigns under both locks and frees what was not taken over. */
static NTSTATUS sgk_reserve_set(struct sgk_adapter *adapter, ULONG index,
                                struct sgk_extent *extents, ULONG count)
{
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_INVALID_PARAMETER;

    ExAcquireFastMutex(&adapter->partition_lock);
    vgpu = sgk_vgpu_acquire(adapter, index);
    if (vgpu) {
        status = sgk_reserve_assign(adapter, index, vgpu, extents, count);
        sgk_vgpu_release(vgpu);
    }
    ExReleaseFastMutex(&adapter->partition_lock);
    if (!NT_SUCCESS(status))
        ExFreePoolWithTag(extents, SGK_TAG_EXTENTS);
    return status;
}

_Use_decl_annotations_
NTSTATUS sgk_set_virtual_gpu_resources(HANDLE Context, DXGKARG_SETVIRTUALGPURESOURCES *pArgs)
{
    struct sgk_adapter *adapter = Context;
    struct sgk_extent *extents;
    ULONG count;

    PAGED_CODE();
    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    count = pArgs->NumMemoryAllocations;
    if (count == 0 || count > DXGK_MAX_VIRTUAL_GPU_ALLOCATIONS)
        return STATUS_INVALID_PARAMETER;
    for (ULONG i = 0; i < count; i++)
        if (pArgs->MemoryInfo[i].AllocationAddress.MemorySegmentId != SGK_SEGMENT_VRAM)
            return STATUS_INVALID_PARAMETER;

    extents = ExAllocatePool2(POOL_FLAG_PAGED, count * sizeof(*extents), SGK_TAG_EXTENTS);
    if (!extents)
        return STATUS_NO_MEMORY;
    for (ULONG i = 0; i < count; i++) {
        extents[i].offset = pArgs->MemoryInfo[i].AllocationAddress.MemorySegmentOffset;
        extents[i].bytes = pArgs->MemoryInfo[i].AllocationSize;
    }
    return sgk_reserve_set(adapter, pArgs->PartitionId, extents, count);
}

/* The ranges of all named bases, one after the other. basis_lock is held. */
static NTSTATUS sgk_extents_of_bases(struct sgk_adapter *adapter,
                                     const DXGKARG_SETVIRTUALGPURESOURCES2 *args,
                                     struct sgk_extent **extents, PULONG count)
{
    SIZE_T total = 0, next = 0;

    for (ULONG i = 0; i < args->SegmentCount; i++) {
        const struct sgk_basis *basis =
            sgk_basis_find(adapter, args->SegmentDescriptors[i].MemoryBasis);

        if (!basis)
            return STATUS_INVALID_HANDLE;
        total += basis->range_count;
    }
    if (total > adapter->vram_bytes >> adapter->scatter_shift)
        return STATUS_INVALID_PARAMETER; /* more ranges than granules: some must overlap */
    *extents = ExAllocatePool2(POOL_FLAG_PAGED, total * sizeof(**extents), SGK_TAG_EXTENTS);
    if (!*extents)
        return STATUS_NO_MEMORY;
    for (ULONG i = 0; i < args->SegmentCount; i++) {
        const struct sgk_basis *basis =
            sgk_basis_find(adapter, args->SegmentDescriptors[i].MemoryBasis);

        for (SIZE_T k = 0; k < basis->range_count; k++, next++) {
            (*extents)[next].offset = basis->ranges[k].SegmentOffset;
            (*extents)[next].bytes = basis->ranges[k].SizeInBytes;
        }
    }
    *count = (ULONG)total;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_set_virtual_gpu_resources2(HANDLE hAdapter,
                                        const DXGKARG_SETVIRTUALGPURESOURCES2 *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_extent *extents = NULL;
    ULONG count = 0;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs || pArgs->SegmentCount == 0 ||
        pArgs->SegmentCount > DXGK_MAX_VIRTUAL_GPU_ALLOCATIONS)
        return STATUS_INVALID_PARAMETER;
    if (!sgk_scatters(adapter))
        return STATUS_NOT_SUPPORTED;
    ExAcquireFastMutex(&adapter->basis_lock);
    status = sgk_extents_of_bases(adapter, pArgs, &extents, &count);
    ExReleaseFastMutex(&adapter->basis_lock);
    if (!NT_SUCCESS(status))
        return status;
    return sgk_reserve_set(adapter, pArgs->vfIndex, extents, count);
}
