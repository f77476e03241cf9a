// SPDX-License-Identifier: Apache-2.0
/*
 * The softgpu miniport with one fault put in, named by the environment variable VF_BAD_DRIVER when
 * it is loaded: proof that the call checker finds each. It is linked from the real driver's objects
 * with DxgkInitialize wrapped.
 */
#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"

#include <stdlib.h>
#include <string.h>

NTSTATUS __real_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);
NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);

static char fault[32];                  /* set once, before any other call */
static DRIVER_INITIALIZATION_DATA real; /* likewise */
static DXGKDDI_GPU_PARTITION_INTERFACE real_gpup;
static DXGKDDI_MITIGABLE_DEVICE_INTERFACE real_mitigable;

static bool is(const char *name)
{
    return strcmp(fault, name) == 0;
}

static NTSTATUS query_adapter_info(HANDLE adapter, const DXGKARG_QUERYADAPTERINFO *args)
{
    NTSTATUS status;

    if (is("unset") && args->Type == DXGKQAITYPE_DIRTYBITTRACKINGCAPS)
        return STATUS_SUCCESS;
    if (is("untracked") && args->Type == DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS)
        return STATUS_NOT_IMPLEMENTED;
    status = real.DxgkDdiQueryAdapterInfo(adapter, args);
    if (is("no-tracking") && args->Type == DXGKQAITYPE_DIRTYBITTRACKINGCAPS)
        ((DXGK_DIRTY_BIT_TRACKING_CAPS *)args->pOutputData)->Value = 0;
    if (is("page-3000") && args->Type == DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS)
        ((DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS *)args->pOutputData)->PageSize = 3000;
    if (is("gpu-tables") && args->Type == DXGKQAITYPE_GPUMMUCAPS)
        ((DXGK_GPUMMUCAPS *)args->pOutputData)->PageTableUpdateMode =
            DXGK_PAGETABLEUPDATE_GPU_VIRTUAL;
    if (is("scatter-page") && args->Type == DXGKQAITYPE_SCATTER_RESERVE)
        ((DXGK_QUERYSCATTERRESERVEOUT *)args->pOutputData)->SetVGPUResourcesPageSize = 5000;
    if (is("caps-overrun") && args->Type == DXGKQAITYPE_GPUPCAPS)
        ((uint8_t *)args->pOutputData)[args->OutputDataSize] = 0;
    return status;
}

static NTSTATUS get_gpu_partition_info(HANDLE context, DXGKARG_GETGPUPARTITIONINFO *args)
{
    NTSTATUS status = real_gpup.DxgkDdiGetGpuPartitionInfo(context, args);

    if (is("no-count") && status == STATUS_BUFFER_TOO_SMALL)
        args->NumGpuPartitionOptions = 0;
    return status;
}

static NTSTATUS get_virtual_gpu_profile(HANDLE context, DXGKARG_GETVIRTUALGPUPROFILE *args)
{
    NTSTATUS status = real_gpup.DxgkDdiGetVirtualGpuProfile(context, args);

    if (is("too-much"))
        args->ProfileCapability[DXGK_VGPU_CAPABILITY_MEMORY].TotalValue = 1ull << 60;
    return status;
}

static NTSTATUS create_virtual_gpu(HANDLE context, DXGKARG_CREATEVIRTUALGPU *args)
{
    NTSTATUS status = real_gpup.DxgkDdiCreateVirtualGpu(context, args);

    if (is("alignment"))
        args->SegmentInfo[0].Alignment = 1000;
    if (is("other-size"))
        args->SegmentInfo[0].Size *= 2;
    if (is("other-segment"))
        args->SegmentInfo[0].DriverSegmentId++;
    return status;
}

static uint32_t
    placed; /* bit n: PartitionId n has a place; calls about one adapter are serialised */

static NTSTATUS destroy_virtual_gpu(HANDLE context, DXGKARG_DESTROYVIRTUALGPU *args)
{
    placed &= ~(1u << args->PartitionId);
    return is("destroy") ? STATUS_DEVICE_BUSY : real_gpup.DxgkDdiDestroyVirtualGpu(context, args);
}

static NTSTATUS query_mitigated_ranges(HANDLE context, DXGKARG_QUERYMITIGATEDRANGES *args)
{
    NTSTATUS status = real_mitigable.DxgkDdiQueryMitigatedRanges(context, args);

    if (is("empty-range"))
        args->pMitigatedRange[0].PageCount = 0;
    if (is("endless-range"))
        args->pMitigatedRange[0].PageCount = (2u << 30) / 4096 + 1;
    if (is("other-range"))
        args->pMitigatedRange[0].BasePageNumber += 7;
    return status;
}

/* Only a partition that is moved gets a place twice. */
static NTSTATUS set_virtual_gpu_resources(HANDLE context, DXGKARG_SETVIRTUALGPURESOURCES *args)
{
    uint32_t bit = 1u << args->PartitionId;

    if (is("move-place") && (placed & bit) != 0)
        return STATUS_INSUFFICIENT_RESOURCES;
    placed |= bit;
    return real_gpup.DxgkDdiSetVirtualGpuResources(context, args);
}

/* The second local-to-local transfer fails, or all from the second on. */
static NTSTATUS build_paging_buffer(HANDLE adapter, DXGKARG_BUILDPAGINGBUFFER *args)
{
    static unsigned transfers; /* the OS builds one at a time */

    if (args->Operation == DXGK_OPERATION_VIRTUAL_TRANSFER &&
        args->TransferVirtual.TransferDirection == DXGK_MEMORY_TRANSFER_LOCAL_TO_LOCAL) {
        transfers++;
        if ((is("move-copy") && transfers == 2) || (is("move-back") && transfers >= 2))
            return STATUS_UNSUCCESSFUL;
    }
    if (is("half-zero") && args->Operation == DXGK_OPERATION_VIRTUAL_FILL &&
        args->FillVirtual.FillSizeInBytes > 4096)
        args->FillVirtual.FillSizeInBytes /= 2;
    return real.DxgkDdiBuildPagingBuffer(adapter, args);
}

static NTSTATUS query_interface(PVOID context, PQUERY_INTERFACE query)
{
    NTSTATUS status = real.DxgkDdiQueryInterface(context, query);

    if (NT_SUCCESS(status) &&
        IsEqualGUID(query->InterfaceType, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE)) {
        DXGKDDI_GPU_PARTITION_INTERFACE *table =
            (DXGKDDI_GPU_PARTITION_INTERFACE *)(void *)query->Interface;

        real_gpup = *table;
        table->DxgkDdiGetGpuPartitionInfo = get_gpu_partition_info;
        table->DxgkDdiGetVirtualGpuProfile = get_virtual_gpu_profile;
        table->DxgkDdiCreateVirtualGpu = create_virtual_gpu;
        table->DxgkDdiDestroyVirtualGpu = destroy_virtual_gpu;
        table->DxgkDdiSetVirtualGpuResources = set_virtual_gpu_resources;
        if (is("no-create"))
            table->DxgkDdiCreateVirtualGpu = NULL;
    }
    if (NT_SUCCESS(status) &&
        IsEqualGUID(query->InterfaceType, &GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE)) {
        DXGKDDI_MITIGABLE_DEVICE_INTERFACE *table =
            (DXGKDDI_MITIGABLE_DEVICE_INTERFACE *)(void *)query->Interface;

        real_mitigable = *table;
        table->DxgkDdiQueryMitigatedRanges = query_mitigated_ranges;
    }
    return status;
}

static NTSTATUS save_immutable(HANDLE adapter, DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA *args)
{
    bool second = args->Data != NULL;
    NTSTATUS status;

    if (is("no-size") && !second)
        return STATUS_SUCCESS;
    status = real.DxgkDdiSaveImmutableMigrationData(adapter, args);
    if (is("huge") && !second)
        *args->DataSize = 1ull << 40;
    if (is("grows") && second)
        *args->DataSize += 8;
    if (is("none-given") && second)
        *args->DataSize = 0;
    return status;
}

static NTSTATUS save_mutable(HANDLE adapter, DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA *args)
{
    NTSTATUS status = real.DxgkDdiSaveMutableMigrationData(adapter, args);

    if (is("overrun") && args->Data != NULL)
        args->Data[*args->DataSize] = 0;
    if (is("state-grows") && args->Data != NULL)
        *args->DataSize += 8;
    if (is("state-none-given") && args->Data != NULL)
        *args->DataSize = 0;
    return status;
}

static NTSTATUS restore_immutable(HANDLE adapter,
                                  const DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA *args)
{
    return is("silent") ? STATUS_OBJECT_TYPE_MISMATCH
                        : real.DxgkDdiRestoreImmutableMigrationData(adapter, args);
}

static NTSTATUS set_pause_state(HANDLE adapter, const DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE *args)
{
    static KSPIN_LOCK lock;
    static KIRQL before;
    NTSTATUS status = real.DxgkDdiSetVirtualFunctionPauseState(adapter, args);
    KIRQL old;

    if (is("irql") && args->bPause)
        KeRaiseIrql(DISPATCH_LEVEL, &old);
    if (is("lock") && args->bPause)
        KeAcquireSpinLock(&lock, &before);
    else if (is("lock"))
        KeReleaseSpinLock(&lock, before);
    return status;
}

static NTSTATUS prepare_live_migration(HANDLE adapter,
                                       const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION *args)
{
    return is("prepare") ? STATUS_DEVICE_BUSY : real.DxgkDdiPrepareLiveMigration(adapter, args);
}

static NTSTATUS start_dirty_tracking(HANDLE adapter, HANDLE basis)
{
    static unsigned starts; /* calls about one adapter are serialised, and only one is used */

    if (is("tracking-once") && ++starts == 2)
        return STATUS_DEVICE_BUSY;
    return is("tracking") ? STATUS_DEVICE_BUSY : real.DxgkDdiStartDirtyTracking(adapter, basis);
}

static NTSTATUS end_live_migration(HANDLE adapter, UINT vf)
{
    static unsigned ends; /* as starts, above */
    NTSTATUS status;

    if (is("end-once") && ++ends == 1)
        return STATUS_DEVICE_BUSY;
    status = is("end-never") ? STATUS_DEVICE_BUSY : real.DxgkDdiEndLiveMigration(adapter, vf);
    return is("end") ? STATUS_UNSUCCESSFUL : status;
}

static NTSTATUS stop_device(PVOID context)
{
    NTSTATUS status = real.DxgkDdiStopDevice(context);

    return is("stop") ? STATUS_UNSUCCESSFUL : status;
}

NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data)
{
    const char *name = getenv("VF_BAD_DRIVER");
    DRIVER_INITIALIZATION_DATA table = *data;

    (void)strncpy(fault, name != NULL ? name : "", sizeof fault - 1);
    real = *data;
    table.DxgkDdiQueryAdapterInfo = query_adapter_info;
    table.DxgkDdiQueryInterface = query_interface;
    table.DxgkDdiSaveImmutableMigrationData = save_immutable;
    table.DxgkDdiSaveMutableMigrationData = save_mutable;
    table.DxgkDdiRestoreImmutableMigrationData = restore_immutable;
    table.DxgkDdiSetVirtualFunctionPauseState = set_pause_state;
    table.DxgkDdiPrepareLiveMigration = prepare_live_migration;
    table.DxgkDdiStartDirtyTracking = start_dirty_tracking;
    table.DxgkDdiEndLiveMigration = end_live_migration;
    table.DxgkDdiStopDevice = stop_device;
    table.DxgkDdiBuildPagingBuffer = build_paging_buffer;
    if (is("leak") && ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0x6b61654cu) == NULL)
        return STATUS_NO_MEMORY;
    if (is("old-version"))
        table.Version = DXGKDDI_INTERFACE_VERSION_WDDM3_1;
    if (is("no-start"))
        table.DxgkDdiStartDevice = NULL;
    if (is("no-resources2"))
        table.DxgkDdiSetVirtualGpuResources2 = NULL;
    return __real_DxgkInitialize(object, path, &table);
}
