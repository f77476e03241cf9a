// SPDX-License-Identifier: Apache-2.0
/* What a driver can do, asked after StartDevice and held against CAP-1..7. See adapter.h. */
#define LOG_ROOM "caps"
#include "dxgk/adapter/adapter.h"

#include "base/log.h"
#include "dxgk/ddi/ddi.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_PAGE 4096u
#define DEFAULT_PAGING_BUFFER 65536u
/* Bytes. A driver tells its alignment per vGPU only; this is what WDDM's large pages need. */
#define CONTIGUOUS_GRANULE 65536u

static bool power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Live migration is off though the driver names it; the first reason stays. */
static void __attribute__((format(printf, 2, 3)))
migration_off(struct dxgk_adapter *adapter, const char *format, ...)
{
    va_list args;

    adapter->caps.live_migration = false;
    if (adapter->caps.migration_off[0] != '\0')
        return;
    va_start(args, format);
    (void)vsnprintf(adapter->caps.migration_off, sizeof adapter->caps.migration_off, format, args);
    va_end(args);
    log_warn("adapter %u: no live migration: %s", adapter->index, adapter->caps.migration_off);
}

/* ---- interfaces (CAP-7) ---- */

static bool partition_interface_complete(const DXGKDDI_GPU_PARTITION_INTERFACE *gpup)
{
    return gpup->DxgkDdiGetGpuPartitionInfo != NULL && gpup->DxgkDdiSetGpuPartitionCount != NULL &&
           gpup->DxgkDdiGetVirtualGpuProfile != NULL && gpup->DxgkDdiCreateVirtualGpu != NULL &&
           gpup->DxgkDdiSetVirtualGpuResources != NULL && gpup->DxgkDdiDestroyVirtualGpu != NULL;
}

static bool sriov_interface_complete(const DXGKDDI_SRIOV_INTERFACE *sriov)
{
    return sriov->DxgkDdiReadVirtualFunctionConfig != NULL &&
           sriov->DxgkDdiResetVirtualFunction != NULL &&
           sriov->DxgkDdiSetVirtualFunctionPowerState != NULL;
}

static int query_interfaces(struct dxgk_adapter *adapter, struct vf_error *err)
{
    NTSTATUS gpup = dxgk_ddi_query_interface(adapter, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE,
                                             DXGKDDI_GPU_PARTITION_INTERFACE_VERSION,
                                             &adapter->gpup, sizeof adapter->gpup);
    NTSTATUS sriov = dxgk_ddi_query_interface(adapter, &GUID_DXGKDDI_SRIOV_INTERFACE,
                                              DXGKDDI_SRIOV_INTERFACE_VERSION, &adapter->sriov,
                                              sizeof adapter->sriov);
    NTSTATUS mitigable = dxgk_ddi_query_interface(adapter, &GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE,
                                                  DXGKDDI_MITIGABLE_DEVICE_INTERFACE_VERSION,
                                                  &adapter->mitigable, sizeof adapter->mitigable);

    if (NT_SUCCESS(gpup) && !partition_interface_complete(&adapter->gpup))
        return dxgk_refuse(adapter, "CAP-7", err, "the GPU partition interface lacks functions");
    if (NT_SUCCESS(sriov) && !sriov_interface_complete(&adapter->sriov))
        return dxgk_refuse(adapter, "CAP-7", err, "the SR-IOV interface lacks functions");
    adapter->caps.partitionable = NT_SUCCESS(gpup) && NT_SUCCESS(sriov);
    adapter->has_mitigable = NT_SUCCESS(mitigable) &&
                             adapter->mitigable.DxgkDdiQueryMitigatedRangeCount != NULL &&
                             adapter->mitigable.DxgkDdiQueryMitigatedRanges != NULL;
    return 0;
}

static void release_interface(INTERFACE *header)
{
    if (header->InterfaceDereference != NULL)
        header->InterfaceDereference(header->Context);
    header->InterfaceDereference = NULL;
}

void dxgk_caps_release(struct dxgk_adapter *adapter)
{
    /* Every interface starts with the members of INTERFACE. */
    release_interface((INTERFACE *)(void *)&adapter->mitigable);
    release_interface((INTERFACE *)(void *)&adapter->sriov);
    release_interface((INTERFACE *)(void *)&adapter->gpup);
}

/* ---- memory segments (CAP-3, CAP-5, CAP-6) ---- */

static int query_segments(struct dxgk_adapter *adapter, struct vf_error *err)
{
    DXGK_QUERYSEGMENTIN4 in = {.PhysicalAdapterIndex = 0};
    DXGK_QUERYSEGMENTOUT4 out = {.SegmentDescriptorStride = sizeof(DXGK_SEGMENTDESCRIPTOR4)};
    DXGK_SEGMENTDESCRIPTOR4 *descriptors;
    struct dxgk_caps *caps = &adapter->caps;
    NTSTATUS status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_QUERYSEGMENT4, &in,
                                                  sizeof in, &out, sizeof out, true);
    uint32_t count = out.NbSegment;

    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver does not describe its segments (QUERYSEGMENT4)");
    if (count == 0 || count > DXGK_MAX_SEGMENTS)
        return dxgk_refuse(adapter, "CAP-6", err, "%u memory segments; 1 to %u are served", count,
                           DXGK_MAX_SEGMENTS);
    descriptors = dxgk_guarded_alloc(count * sizeof *descriptors);
    if (descriptors == NULL)
        return vf_fail(err, VF_FAILED, "segment descriptors: " VF_NO_MEMORY);
    out.pSegmentDescriptor = (BYTE *)descriptors;
    out.SegmentDescriptorStride = sizeof *descriptors;
    status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_QUERYSEGMENT4, &in, sizeof in, &out,
                                         sizeof out, true);
    if (!NT_SUCCESS(status) || out.NbSegment != count ||
        !dxgk_guarded_intact(descriptors, count * sizeof *descriptors)) {
        dxgk_guarded_free(descriptors);
        return dxgk_refuse(
            adapter, "CAP-6", err,
            "second QUERYSEGMENT4 call failed, changed the count or wrote behind its buffer");
    }
    for (uint32_t i = 0; i < count; i++) {
        const DXGK_SEGMENTDESCRIPTOR4 *from = &descriptors[i];

        caps->segments[i] = (struct dxgk_segment){
            .id = i + 1,
            .local = !from->Flags.Aperture && !from->Flags.PopulatedFromSystemMemory &&
                     !from->Flags.ReservedSysMem,
            .base = from->BaseAddress,
            .bytes = from->Size,
        };
    }
    caps->segment_count = count;
    adapter->mmu.paging_buffer_segment = out.PagingBufferSegmentId;
    adapter->mmu.paging_buffer_bytes =
        out.PagingBufferSize != 0 ? out.PagingBufferSize : DEFAULT_PAGING_BUFFER;
    adapter->mmu.paging_private_bytes = out.PagingBufferPrivateDataSize;
    dxgk_guarded_free(descriptors);
    return 0;
}

/* CAP-3: STATUS_NOT_IMPLEMENTED means "no bitplane here" and the output is ignored. */
static int query_dirty_page(struct dxgk_adapter *adapter, struct dxgk_segment *segment,
                            struct vf_error *err)
{
    DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS out = {0};
    UINT id = segment->id;
    NTSTATUS status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS,
                                                  &id, sizeof id, &out, sizeof out, false);

    if (status == STATUS_NOT_IMPLEMENTED) {
        if (segment->local)
            migration_off(adapter, "CAP-3: local segment %u has no dirty bitplane", segment->id);
        return 0;
    }
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver does not say how segment %u is tracked", segment->id);
    if (!power_of_two(out.PageSize) || out.PageSize < MIN_PAGE)
        return dxgk_refuse(adapter, "CAP-3", err,
                           "dirty page size %u of segment %u is no power of two from %u on",
                           out.PageSize, segment->id, MIN_PAGE);
    segment->tracked = true;
    segment->dirty_page = out.PageSize;
    return 0;
}

static int query_scatter_page(struct dxgk_adapter *adapter, struct dxgk_segment *segment,
                              struct vf_error *err)
{
    DXGK_QUERYSCATTERRESERVEIN in = {.SegmentId = segment->id};
    DXGK_QUERYSCATTERRESERVEOUT out = {0};
    NTSTATUS status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_SCATTER_RESERVE, &in,
                                                  sizeof in, &out, sizeof out, false);

    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver names no scatter page size for segment %u (CAP-5)",
                              segment->id);
    if (!power_of_two(out.SetVGPUResourcesPageSize) || out.SetVGPUResourcesPageSize < MIN_PAGE)
        return dxgk_refuse(adapter, "CAP-5", err,
                           "scatter page size %" PRIu64
                           " of segment %u is no power of two from %u on",
                           out.SetVGPUResourcesPageSize, segment->id, MIN_PAGE);
    segment->scatter_page = out.SetVGPUResourcesPageSize;
    return 0;
}

/* ---- the paging process' MMU (CAP-6) ---- */

static void __attribute__((format(printf, 2, 3)))
mmu_off(struct dxgk_mmu *mmu, const char *format, ...)
{
    va_list args;

    mmu->usable = false;
    va_start(args, format);
    (void)vsnprintf(mmu->why_not, sizeof mmu->why_not, format, args);
    va_end(args);
}

static void query_mmu(struct dxgk_adapter *adapter)
{
    struct dxgk_mmu *mmu = &adapter->mmu;
    DXGK_GPUMMUCAPS out = {.Value = 0};
    NTSTATUS status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_GPUMMUCAPS, NULL, 0, &out,
                                                  sizeof out, false);

    if (!NT_SUCCESS(status)) {
        mmu_off(mmu, "the driver describes no GPU MMU (GPUMMUCAPS: %s)", vf_status_name(status));
        return;
    }
    mmu->update_mode = out.PageTableUpdateMode;
    mmu->va_bits = out.VirtualAddressBitCount;
    mmu->level_count = out.PageTableLevelCount;
    if (out.PageTableUpdateMode != DXGK_PAGETABLEUPDATE_CPU_VIRTUAL) {
        mmu_off(mmu, "page table update mode %d; only DXGK_PAGETABLEUPDATE_CPU_VIRTUAL is served",
                out.PageTableUpdateMode);
        return;
    }
    if (mmu->level_count < 2 || mmu->level_count > DXGK_MAX_LEVELS || mmu->va_bits < 32 ||
        mmu->va_bits > 57) {
        mmu_off(mmu,
                "%u page table levels over %u address bits; 2 to %u levels over 32 to 57 bits are "
                "served",
                mmu->level_count, mmu->va_bits, DXGK_MAX_LEVELS);
        return;
    }
    mmu->usable = true;
    for (UINT level = 0; level < mmu->level_count && mmu->usable; level++) {
        DXGK_PAGE_TABLE_LEVEL_DESC desc = {0};

        status = dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_PAGETABLELEVELDESC, &level,
                                             sizeof level, &desc, sizeof desc, false);
        mmu->level[level].index_bits = desc.PageTableIndexBitCount;
        mmu->level[level].segment = desc.PageTableSegmentId;
        mmu->level[level].table_bytes = desc.PageTableSizeInBytes;
        mmu->level[level].alignment = desc.PageTableAlignmentInBytes;
        mmu->paging_tables_segment = desc.PagingProcessPageTableSegmentId;
        if (!NT_SUCCESS(status))
            mmu_off(mmu, "the driver does not describe page table level %u", level);
        else if (desc.PagingProcessPageTableSegmentId != DXGK_SYSTEM_SEGMENT)
            mmu_off(mmu,
                    "page tables of the paging process in segment %u; only system memory is served",
                    desc.PagingProcessPageTableSegmentId);
        else if (desc.PageTableIndexBitCount == 0 || desc.PageTableIndexBitCount > 16 ||
                 desc.PageTableSizeInBytes == 0)
            mmu_off(mmu, "page table level %u has %u index bits and %u bytes", level,
                    desc.PageTableIndexBitCount, desc.PageTableSizeInBytes);
    }
    if (mmu->usable && mmu->paging_buffer_segment != DXGK_SYSTEM_SEGMENT)
        mmu_off(mmu, "paging buffers in segment %u; only system memory is served",
                mmu->paging_buffer_segment);
}

/* ---- what it adds up to ---- */

/* CAP-1, CAP-2. */
static int query_flags(struct dxgk_adapter *adapter, struct vf_error *err)
{
    DXGK_GPUPCAPS gpup = {.Caps.Value = 0};
    DXGK_DIRTY_BIT_TRACKING_CAPS dirty = {.Value = 0};
    struct dxgk_caps *caps = &adapter->caps;

    if (!NT_SUCCESS(dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_GPUPCAPS, NULL, 0, &gpup,
                                                sizeof gpup, false)))
        gpup.Caps.Value = 0;
    if (!NT_SUCCESS(dxgk_ddi_query_adapter_info(adapter, DXGKQAITYPE_DIRTYBITTRACKINGCAPS, NULL, 0,
                                                &dirty, sizeof dirty, false)))
        dirty.Value = 0;
    caps->hibernation = gpup.Caps.VirtualMachineHibernation;
    caps->hot_update = gpup.Caps.HotDriverUpdate;
    caps->live_migration = gpup.Caps.LiveMigration;
    caps->scatter = gpup.Caps.ScatterMapReserve;
    caps->tracking = dirty.DirtyBitTrackingSupported;
    caps->performant = dirty.DirtyBitTrackingSupported && dirty.DirtyBitTrackingPerformant;
    if (caps->live_migration && !caps->tracking)
        return dxgk_refuse(adapter, "CAP-2", err,
                           "the driver names LiveMigration without DirtyBitTrackingSupported");
    if (caps->scatter && adapter->ddi.DxgkDdiSetVirtualGpuResources2 == NULL)
        return dxgk_refuse(
            adapter, "CAP-5", err,
            "the driver names ScatterMapReserve without DxgkDdiSetVirtualGpuResources2");
    return 0;
}

/* Names of the DDIs of live migration that the table lacks, as many as there is room for; ""
 * = none. */
static void lacking(const DRIVER_INITIALIZATION_DATA *ddi, char *out, size_t bytes)
{
#define DDI(name)                                                                                  \
    {                                                                                              \
#name, ddi->name != NULL                                                                   \
    }
    const struct {
        const char *name;
        bool there;
    } needed[] = {
        DDI(DxgkDdiPrepareLiveMigration),
        DDI(DxgkDdiEndLiveMigration),
        DDI(DxgkDdiSaveImmutableMigrationData),
        DDI(DxgkDdiSaveMutableMigrationData),
        DDI(DxgkDdiRestoreImmutableMigrationData),
        DDI(DxgkDdiRestoreMutableMigrationData),
        DDI(DxgkDdiCreateMemoryBasis),
        DDI(DxgkDdiDestroyMemoryBasis),
        DDI(DxgkDdiStartDirtyTracking),
        DDI(DxgkDdiStopDirtyTracking),
        DDI(DxgkDdiQueryDirtyBitData),
        DDI(DxgkDdiWriteVirtualizedInterrupt),
        DDI(DxgkDdiSetVirtualFunctionPauseState),
    };
#undef DDI
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < RTL_NUMBER_OF(needed) && used < bytes; i++) {
        if (!needed[i].there)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used != 0 ? ", " : "",
                                     needed[i].name);
    }
}

/* Partitions live in the one local segment; several would need a split the contract does
 * not describe. */
static int choose_vram(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_caps *caps = &adapter->caps;

    caps->vram = -1;
    for (uint32_t i = 0; i < caps->segment_count; i++) {
        struct dxgk_segment *segment = &caps->segments[i];

        if (caps->tracking && query_dirty_page(adapter, segment, err) != 0)
            return -1;
        if (!segment->local)
            continue;
        if (caps->scatter && query_scatter_page(adapter, segment, err) != 0)
            return -1;
        if (caps->vram < 0)
            caps->vram = (int)i;
        else
            migration_off(adapter, "it has several local segments; one is served");
    }
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* VF-1: as many partitions as the driver allows; their size is chosen one by one. */
static int query_partitions(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_caps *caps = &adapter->caps;
    const struct dxgk_segment *vram = &caps->segments[caps->vram];
    uint32_t count;

    if (dxgk_ddi_largest_partition_count(adapter, &count, err) != 0)
        return -1;
    if (count > RTL_NUMBER_OF(adapter->capture))
        count = RTL_NUMBER_OF(adapter->capture);
    if (count == 0) {
        caps->partitionable = false;
        return 0;
    }
    if (dxgk_ddi_set_partition_count(adapter, count, err) != 0 ||
        dxgk_ddi_vgpu_profile(adapter, count, caps->profile, err) != 0)
        return -1;
    caps->vf_count = count;
    caps->vram_bytes = caps->profile[DXGK_VGPU_CAPABILITY_MEMORY].TotalValue;
    if (caps->vram_bytes == 0 || caps->vram_bytes > vram->bytes)
        return dxgk_refuse(adapter, "VF-1", err,
                           "%" PRIu64 " bytes for partitions in a segment of %" PRIu64,
                           caps->vram_bytes, vram->bytes);
    caps->granule = larger(caps->scatter ? vram->scatter_page : CONTIGUOUS_GRANULE,
                           larger(MIN_PAGE, vram->dirty_page));
    return 0;
}

/* All but what depends on the partitions there are. */
static int query_all(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_caps *caps = &adapter->caps;
    char missing[160];

    caps->vram = -1;
    if (query_interfaces(adapter, err) != 0)
        return -1;
    if (!caps->partitionable) {
        log_info("adapter %u cannot be partitioned", adapter->index);
        return 0;
    }
    if (query_flags(adapter, err) != 0 || query_segments(adapter, err) != 0 ||
        choose_vram(adapter, err) != 0)
        return -1;
    if (caps->vram < 0)
        return vf_fail(err, VF_FAILED, "no segment of local VRAM to give to partitions");
    query_mmu(adapter);
    if (!adapter->mmu.usable)
        return vf_fail(err, VF_FAILED, "VRAM of partitions cannot be zero-filled or moved: %s",
                       adapter->mmu.why_not);
    lacking(&adapter->ddi, missing, sizeof missing);
    if (caps->live_migration && missing[0] != '\0')
        migration_off(adapter, "its driver's table lacks %s", missing);
    return 0;
}

int dxgk_caps_query(struct dxgk_adapter *adapter, struct vf_error *err)
{
    if (query_all(adapter, err) != 0)
        return -1;
    return adapter->caps.partitionable ? query_partitions(adapter, err) : 0;
}

/* ---- a driver update ---- */

static bool same_segments(const struct dxgk_caps *a, const struct dxgk_caps *b)
{
    for (uint32_t i = 0; i < a->segment_count; i++) {
        const struct dxgk_segment *x = &a->segments[i], *y = &b->segments[i];

        if (x->id != y->id || x->local != y->local || x->tracked != y->tracked ||
            x->base != y->base || x->bytes != y->bytes || x->dirty_page != y->dirty_page ||
            x->scatter_page != y->scatter_page)
            return false;
    }
    return a->segment_count == b->segment_count && a->vram == b->vram;
}

static bool same_mmu(const struct dxgk_mmu *a, const struct dxgk_mmu *b)
{
    for (uint32_t i = 0; i < a->level_count && a->level_count == b->level_count; i++) {
        if (a->level[i].index_bits != b->level[i].index_bits ||
            a->level[i].segment != b->level[i].segment ||
            a->level[i].table_bytes != b->level[i].table_bytes ||
            a->level[i].alignment != b->level[i].alignment)
            return false;
    }
    return a->usable == b->usable && a->va_bits == b->va_bits && a->level_count == b->level_count &&
           a->update_mode == b->update_mode &&
           a->paging_tables_segment == b->paging_tables_segment &&
           a->paging_buffer_segment == b->paging_buffer_segment &&
           a->paging_private_bytes == b->paging_private_bytes;
}

/* What partitions, page tables and the map of VRAM rest on. NULL when it is as it was. */
static const char *changed(const struct dxgk_adapter *adapter, const struct dxgk_caps *before,
                           const struct dxgk_mmu *mmu)
{
    const struct dxgk_caps *now = &adapter->caps;

    if (now->partitionable != before->partitionable)
        return "the GPU partition interfaces";
    if (!now->partitionable)
        return NULL;
    if (!same_segments(now, before))
        return "the memory segments";
    if (now->scatter != before->scatter)
        return "ScatterMapReserve";
    if (now->tracking != before->tracking || now->performant != before->performant)
        return "dirty bit tracking";
    if (!same_mmu(&adapter->mmu, mmu))
        return "the GPU MMU";
    return NULL;
}

/* Partitions exist: their count cannot be set (VF-1), so it is only asked for. */
static int same_partitions(struct dxgk_adapter *adapter, const struct dxgk_caps *before,
                           struct vf_error *err)
{
    DXGK_VGPU_PROFILE_CAPABILITY profile[DXGK_VGPU_CAPABILITY_MAX];
    uint32_t count;

    if (dxgk_ddi_largest_partition_count(adapter, &count, err) != 0 ||
        dxgk_ddi_vgpu_profile(adapter, before->vf_count, profile, err) != 0)
        return -1;
    if (count < before->vf_count ||
        profile[DXGK_VGPU_CAPABILITY_MEMORY].TotalValue != before->vram_bytes)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the new driver serves %u VFs and %" PRIu64
                       " bytes of VRAM, the old one %u and %" PRIu64,
                       count, profile[DXGK_VGPU_CAPABILITY_MEMORY].TotalValue, before->vf_count,
                       before->vram_bytes);
    adapter->caps.vf_count = before->vf_count;
    adapter->caps.vram_bytes = before->vram_bytes;
    adapter->caps.granule = before->granule;
    memcpy(adapter->caps.profile, before->profile, sizeof before->profile);
    return 0;
}

int dxgk_caps_take_over(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_caps before = adapter->caps;
    struct dxgk_mmu mmu = adapter->mmu;
    const char *what = NULL;
    int result;

    adapter->caps = (struct dxgk_caps){0};
    adapter->mmu = (struct dxgk_mmu){0};
    result = query_all(adapter, err);
    if (result == 0)
        what = changed(adapter, &before, &mmu);
    if (what != NULL)
        result = vf_fail(err, VF_INCOMPATIBLE,
                         "the new driver changes %s: partitions at work cannot follow", what);
    if (result == 0 && before.partitionable)
        result = same_partitions(adapter, &before, err);
    if (result != 0)
        adapter->caps = before;
    adapter->mmu = mmu; /* what the page tables in use were made by */
    return result;
}
