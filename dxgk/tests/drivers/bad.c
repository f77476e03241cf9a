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
static PDXGKDDI_DESTROYVIRTUALGPU real_destroy;

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
    if (is("caps-overrun") && args->Type == DXGKQAITYPE_GPUPCAPS)
        ((uint8_t *)args->pOutputData)[args->OutputDataSize] = 0;
    return status;
}

static NTSTATUS destroy_virtual_gpu(HANDLE context, DXGKARG_DESTROYVIRTUALGPU *args)
{
    return is("destroy") ? STATUS_DEVICE_BUSY : real_destroy(context, args);
}

static NTSTATUS query_interface(PVOID context, PQUERY_INTERFACE query)
{
    NTSTATUS status = real.DxgkDdiQueryInterface(context, query);

    if (NT_SUCCESS(status) &&
        IsEqualGUID(query->InterfaceType, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE)) {
        DXGKDDI_GPU_PARTITION_INTERFACE *table =
            (DXGKDDI_GPU_PARTITION_INTERFACE *)(void *)query->Interface;

        real_destroy = table->DxgkDdiDestroyVirtualGpu;
        table->DxgkDdiDestroyVirtualGpu = destroy_virtual_gpu;
        if (is("no-create"))
            table->DxgkDdiCreateVirtualGpu = NULL;
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
    return status;
}

static NTSTATUS save_mutable(HANDLE adapter, DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA *args)
{
    NTSTATUS status = real.DxgkDdiSaveMutableMigrationData(adapter, args);

    if (is("overrun") && args->Data != NULL)
        args->Data[*args->DataSize] = 0;
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

static NTSTATUS end_live_migration(HANDLE adapter, UINT vf)
{
    NTSTATUS status = real.DxgkDdiEndLiveMigration(adapter, vf);

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
    table.DxgkDdiEndLiveMigration = end_live_migration;
    table.DxgkDdiStopDevice = stop_device;
    if (is("leak") && ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0x6b61654cu) == NULL)
        return STATUS_NO_MEMORY;
    if (is("old-version"))
        table.Version = DXGKDDI_INTERFACE_VERSION_WDDM3_1;
    if (is("no-start"))
        table.DxgkDdiStartDevice = NULL;
    return __real_DxgkInitialize(object, path, &table);
}
