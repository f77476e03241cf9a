// SPDX-License-Identifier: Apache-2.0
/* The DDIs of a partition's life (VF-1..6) behind the call checker. See ddi.h. */
#define LOG_ROOM "ddi"
#include "dxgk/ddi/ddi.h"

#include "base/cleanup.h"
#include "dxgk/ddi/basis.h"

#include <inttypes.h>
#include <string.h>

#define MAX_PARTITION_OPTIONS 256u
#define MAX_MITIGATED_RANGES 64u
#define MAX_MITIGATED_BYTES (2ull << 30) /* VF-5 */

static int wrong_level(const char *name, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "%s at a raised IRQL", name);
}

int dxgk_ddi_largest_partition_count(struct dxgk_adapter *adapter, uint32_t *count,
                                     struct vf_error *err)
{
    USHORT options[MAX_PARTITION_OPTIONS] = {0};
    DXGKARG_GETGPUPARTITIONINFO arg = {0};
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiGetGpuPartitionInfo", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiGetGpuPartitionInfo", err);
    status = dxgk_call_leave(&call,
                             adapter->gpup.DxgkDdiGetGpuPartitionInfo(adapter->gpup.Context, &arg));
    if (status == STATUS_BUFFER_TOO_SMALL) {
        if (arg.NumGpuPartitionOptions == 0 || arg.NumGpuPartitionOptions > MAX_PARTITION_OPTIONS)
            return dxgk_refuse(adapter, "VF-1", err, "%u partition counts to choose from",
                               arg.NumGpuPartitionOptions);
        arg.pGpuPartitionOptions = options;
        if (!dxgk_call_enter(&call, adapter, "DxgkDdiGetGpuPartitionInfo", PASSIVE_LEVEL))
            return wrong_level("DxgkDdiGetGpuPartitionInfo", err);
        status = dxgk_call_leave(
            &call, adapter->gpup.DxgkDdiGetGpuPartitionInfo(adapter->gpup.Context, &arg));
    }
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver gives no partition counts (DxgkDdiGetGpuPartitionInfo)");
    if (arg.NumGpuPartitionOptions > MAX_PARTITION_OPTIONS)
        return dxgk_refuse(adapter, "VF-1", err, "the number of partition counts grew to %u",
                           arg.NumGpuPartitionOptions);
    *count = 0;
    for (ULONG i = 0; i < arg.NumGpuPartitionOptions; i++) {
        if (options[i] > *count)
            *count = options[i];
    }
    return 0;
}

int dxgk_ddi_set_partition_count(struct dxgk_adapter *adapter, uint32_t count, struct vf_error *err)
{
    DXGKARG_SETGPUPARTITIONCOUNT arg = {.PartitionCount = count};
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetGpuPartitionCount", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiSetGpuPartitionCount", err);
    status = dxgk_call_leave(
        &call, adapter->gpup.DxgkDdiSetGpuPartitionCount(adapter->gpup.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver refuses %u partitions (DxgkDdiSetGpuPartitionCount)",
                              count);
    return 0;
}

int dxgk_ddi_vgpu_profile(struct dxgk_adapter *adapter, uint32_t count,
                          DXGK_VGPU_PROFILE_CAPABILITY *profile, struct vf_error *err)
{
    DXGKARG_GETVIRTUALGPUPROFILE arg = {.PartitionCount = count};
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiGetVirtualGpuProfile", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiGetVirtualGpuProfile", err);
    status = dxgk_call_leave(
        &call, adapter->gpup.DxgkDdiGetVirtualGpuProfile(adapter->gpup.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(
            err, VF_FAILED, status,
            "the driver gives no profile of %u partitions (DxgkDdiGetVirtualGpuProfile)", count);
    memcpy(profile, arg.ProfileCapability, sizeof arg.ProfileCapability);
    return 0;
}

/* What the driver says its segments need. One memory segment per partition is served, the
 * adapter's VRAM. */
static int check_segments(struct dxgk_partition *partition, const DXGKARG_CREATEVIRTUALGPU *arg,
                          struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    const DXGK_VIRTUALGPUSEGMENTINFO *segment = &arg->SegmentInfo[0];

    if (arg->NumMemorySegments != 1)
        return dxgk_refuse(adapter, "VF-2", err,
                           "CreateVirtualGpu names %u memory segments, one is served",
                           arg->NumMemorySegments);
    if (segment->DriverSegmentId != partition->segment)
        return dxgk_refuse(adapter, "VF-2", err,
                           "CreateVirtualGpu names segment %u, VRAM is segment %u",
                           segment->DriverSegmentId, partition->segment);
    if (segment->Alignment % 4096 != 0)
        return dxgk_refuse(adapter, "VF-2", err,
                           "CreateVirtualGpu asks for alignment %u, no multiple of 4096",
                           segment->Alignment);
    if (segment->Size != partition->params.vram_bytes)
        return dxgk_refuse(adapter, "VF-2", err,
                           "CreateVirtualGpu names %" PRIu64
                           " bytes of VRAM, its profile says %" PRIu64,
                           segment->Size, partition->params.vram_bytes);
    return 0;
}

int dxgk_ddi_create_vgpu(struct dxgk_partition *partition, DXGKARG_CREATEVIRTUALGPU *arg,
                         struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_CREATEVIRTUALGPU *guarded;
    struct dxgk_call call;
    NTSTATUS status;
    bool intact;

    if (partition->check.created)
        return dxgk_refuse(adapter, "VF-2", err, "second CreateVirtualGpu for VF %u",
                           partition->vf);
    guarded = dxgk_guarded_alloc(sizeof *guarded);
    if (guarded == NULL)
        return vf_fail(err, VF_FAILED, "CreateVirtualGpu: " VF_NO_MEMORY);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateVirtualGpu", PASSIVE_LEVEL)) {
        dxgk_guarded_free(guarded);
        return vf_fail(err, VF_FAILED, "CreateVirtualGpu: called at raised IRQL");
    }
    *guarded = *arg;
    status = dxgk_call_leave(&call,
                             adapter->gpup.DxgkDdiCreateVirtualGpu(adapter->gpup.Context, guarded));
    intact = dxgk_guarded_intact(guarded, sizeof *guarded);
    *arg = *guarded;
    dxgk_guarded_free(guarded);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver cannot create a vGPU (DxgkDdiCreateVirtualGpu)");
    partition->check.created = true;
    if (!intact)
        (void)dxgk_refuse(adapter, "VF-2", err, "CreateVirtualGpu wrote behind its argument");
    if (!intact || check_segments(partition, arg, err) != 0) {
        struct vf_error ignored = VF_ERROR_INIT;

        (void)dxgk_ddi_destroy_vgpu(
            partition, &ignored); /* a failure is reported there; the VF then stays taken */
        return -1;
    }
    return 0;
}

/* VF-2: one contiguous allocation. */
static NTSTATUS set_contiguous(struct dxgk_partition *partition)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_SETVIRTUALGPURESOURCES arg = {.PartitionId = partition->vf, .NumMemoryAllocations = 1};
    struct dxgk_call call;

    arg.MemoryInfo[0].AllocationAddress.MemorySegmentId = partition->segment;
    arg.MemoryInfo[0].AllocationAddress.MemorySegmentOffset = partition->ranges[0].SegmentOffset;
    arg.MemoryInfo[0].AllocationSize = partition->ranges[0].SizeInBytes;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetVirtualGpuResources", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(
        &call, adapter->gpup.DxgkDdiSetVirtualGpuResources(adapter->gpup.Context, &arg));
}

/* VF-2 with ScatterMapReserve: a memory basis over the scattered ranges. */
static NTSTATUS set_scattered(struct dxgk_partition *partition)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_SETVIRTUALGPURESOURCES2 arg = {.vfIndex = partition->vf, .SegmentCount = 1};
    struct dxgk_call call;

    arg.SegmentDescriptors[0].MemoryBasis = partition->reserve_basis->handle;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetVirtualGpuResources2", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(&call,
                           adapter->ddi.DxgkDdiSetVirtualGpuResources2(adapter->hAdapter, &arg));
}

int dxgk_ddi_set_resources(struct dxgk_partition *partition, struct vf_error *err)
{
    NTSTATUS status;

    /* Beyond VF-2: a reserve that is moved (VF-4). The pages say neither that nor how a reserve
     * ever changes; a quiet VF in no migration is where nobody can see it. */
    bool moved = partition->check.resources && partition->check.paused &&
                 !partition->check.prepared;
    if (!partition->check.created || (partition->check.powered && !moved))
        return dxgk_refuse(partition->adapter, "VF-2", err,
                           "resources of VF %u are set after its creation and before its first "
                           "power-on, or while it is paused",
                           partition->vf);
    status =
        partition->reserve_basis != NULL ? set_scattered(partition) : set_contiguous(partition);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver refuses the VRAM it is given (SetVirtualGpuResources)");
    partition->check.resources = true;
    return 0;
}

int dxgk_ddi_destroy_vgpu(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_DESTROYVIRTUALGPU arg = {.PartitionId = partition->vf};
    struct dxgk_call call;
    NTSTATUS status;

    if (!partition->check.created)
        return 0;
    if (partition->check.prepared)
        return dxgk_refuse(adapter, "SRC-7", err, "VF %u is destroyed between Prepare and End",
                           partition->vf);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiDestroyVirtualGpu", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiDestroyVirtualGpu", err);
    status =
        dxgk_call_leave(&call, adapter->gpup.DxgkDdiDestroyVirtualGpu(adapter->gpup.Context, &arg));
    if (!NT_SUCCESS(status)) {
        dxgk_report(adapter, "VF-3",
                    "broken invariant: DestroyVirtualGpu of VF %u failed with %s 0x%x; the VF and "
                    "its VRAM stay locked up",
                    partition->vf, vf_status_name(status), (uint32_t)status);
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver cannot destroy VF %u; it and its VRAM stay locked up",
                              partition->vf);
    }
    partition->check = (struct dxgk_check){0};
    return 0;
}

int dxgk_ddi_reset_vf(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_RESETVIRTUALFUNCTION arg = {.VirtualFunctionIndex = partition->vf};
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiResetVirtualFunction", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiResetVirtualFunction", err);
    status = dxgk_call_leave(
        &call, adapter->sriov.DxgkDdiResetVirtualFunction(adapter->sriov.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "the driver cannot reset VF %u",
                              partition->vf);
    return 0;
}

int dxgk_ddi_set_power(struct dxgk_partition *partition, bool on, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE arg = {.VirtualFunctionIndex = partition->vf,
                                                .PowerState = on ? PowerDeviceD0 : PowerDeviceD3};
    struct dxgk_call call;
    NTSTATUS status;

    if (on && !partition->check.resources)
        return dxgk_refuse(adapter, "VF-2", err, "VF %u is powered on before it has VRAM",
                           partition->vf);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetVirtualFunctionPowerState", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiSetVirtualFunctionPowerState", err);
    status = dxgk_call_leave(
        &call, adapter->sriov.DxgkDdiSetVirtualFunctionPowerState(adapter->sriov.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "the driver cannot put VF %u into %s",
                              partition->vf, on ? "D0" : "D3");
    partition->check.powered = on;
    return 0;
}

static NTSTATUS call_pause(struct dxgk_partition *partition, bool pause)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE arg = {.vfIndex = partition->vf, .bPause = pause};
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetVirtualFunctionPauseState", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiSetVirtualFunctionPauseState(adapter->hAdapter, &arg));
}

int dxgk_ddi_set_pause(struct dxgk_partition *partition, bool pause, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    NTSTATUS status;

    if (partition->check.paused == pause)
        return 0;
    if (adapter->ddi.DxgkDdiSetVirtualFunctionPauseState == NULL)
        return vf_fail(err, VF_FAILED,
                       "the driver cannot pause a VF (no DxgkDdiSetVirtualFunctionPauseState)");
    status = call_pause(partition, pause);
    if (!NT_SUCCESS(status)) {
        /* A pause that failed may have taken hold all the same: the VF must run on. */
        if (pause && !NT_SUCCESS(call_pause(partition, false)))
            dxgk_report(adapter, "VF-4", "VF %u can neither be paused nor be taken out of a pause",
                        partition->vf);
        return vf_fail_status(err, VF_FAILED, status, "the driver cannot %s VF %u",
                              pause ? "pause" : "resume", partition->vf);
    }
    partition->check.paused = pause;
    return 0;
}

static int check_ranges(struct dxgk_adapter *adapter, const DXGK_MITIGATEDRANGEINFO *ranges,
                        uint32_t count, struct vf_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].PageCount == 0 || ranges[i].PageCount > MAX_MITIGATED_BYTES / 4096 ||
            ranges[i].BasePageNumber > UINT64_MAX / 8192)
            return dxgk_refuse(adapter, "VF-5", err,
                               "mitigated range of %u pages from page %" PRIu64 " on",
                               ranges[i].PageCount, ranges[i].BasePageNumber);
    }
    return 0;
}

int dxgk_ddi_mitigated_ranges(struct dxgk_partition *partition, uint32_t bar,
                              DXGK_MITIGATEDRANGEINFO **ranges, uint32_t *count,
                              struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_QUERYMITIGATEDRANGECOUNT counts = {.VirtualFunctionIndex = partition->vf};
    DXGKARG_QUERYMITIGATEDRANGES arg = {.VirtualFunctionIndex = partition->vf, .BarIndex = bar};
    cleanup_free DXGK_MITIGATEDRANGEINFO *list =
        NULL; /* guarded_alloc is plain memory for free() */
    struct dxgk_call call;
    NTSTATUS status;

    *ranges = NULL;
    *count = 0;
    if (!adapter->has_mitigable)
        return 0;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiQueryMitigatedRangeCount", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiQueryMitigatedRangeCount", err);
    adapter->mitigable.DxgkDdiQueryMitigatedRangeCount(adapter->mitigable.Context, &counts);
    status = dxgk_call_leave(&call, STATUS_SUCCESS);
    if (!NT_SUCCESS(status))
        return wrong_level("DxgkDdiQueryMitigatedRangeCount", err);
    if (counts.RangeCount[bar] == 0)
        return 0;
    if (counts.RangeCount[bar] > MAX_MITIGATED_RANGES)
        return dxgk_refuse(adapter, "VF-5", err, "%u mitigated ranges in BAR %u",
                           counts.RangeCount[bar], bar);
    arg.NumRanges = counts.RangeCount[bar];
    list = dxgk_guarded_alloc(arg.NumRanges * sizeof *list);
    if (list == NULL)
        return vf_fail(err, VF_FAILED, "mitigated ranges: " VF_NO_MEMORY);
    arg.pMitigatedRange = list;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiQueryMitigatedRanges", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiQueryMitigatedRanges", err);
    status = dxgk_call_leave(
        &call, adapter->mitigable.DxgkDdiQueryMitigatedRanges(adapter->mitigable.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver does not name its mitigated ranges");
    if (!dxgk_guarded_intact(list, counts.RangeCount[bar] * sizeof *list))
        return dxgk_refuse(adapter, "VF-5", err, "QueryMitigatedRanges wrote behind its output");
    if (check_ranges(adapter, list, counts.RangeCount[bar], err) != 0)
        return -1;
    *count = counts.RangeCount[bar];
    *ranges = vf_take_ptr(list);
    return 0;
}

int dxgk_ddi_read_config(struct dxgk_partition *partition, uint32_t offset, void *data,
                         uint32_t bytes, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_READVIRTUALFUNCTIONCONFIG arg = {
        .Data = data, .VirtualFunctionIndex = partition->vf, .Offset = offset, .Length = bytes};
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiReadVirtualFunctionConfig", PASSIVE_LEVEL))
        return wrong_level("DxgkDdiReadVirtualFunctionConfig", err);
    status = dxgk_call_leave(
        &call, adapter->sriov.DxgkDdiReadVirtualFunctionConfig(adapter->sriov.Context, &arg));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "config space of VF %u cannot be read at %u",
                              partition->vf, offset);
    return 0;
}

int dxgk_ddi_write_virtualized_interrupt(struct dxgk_adapter *adapter, uint32_t vf, uint16_t index,
                                         const DXGK_INTERRUPT_TABLE_ENTRY *entry,
                                         struct vf_error *err)
{
    DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX args = {.vfIndex = vf,
                                                .InterruptTableIndex = index,
                                                .WriteValue = *entry};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiWriteVirtualizedInterrupt == NULL)
        return vf_fail(err, VF_FAILED, "INT-2: the driver has no WriteVirtualizedInterrupt");
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiWriteVirtualizedInterrupt", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "INT-2: WriteVirtualizedInterrupt at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiWriteVirtualizedInterrupt(adapter->hAdapter, &args));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "interrupt vector %u of VF %u", index, vf);
    return 0;
}
