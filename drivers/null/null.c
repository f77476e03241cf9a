// SPDX-License-Identifier: Apache-2.0
/*
 * The smallest driver that loads and starts: a start to copy. It claims no partitions, so a host
 * shows its adapter and offers nothing on it. The comments say what the next step of a real driver
 * would be.
 */
#include "wdm.h"

#include "dispmprt.h"

#include "d3dkmddi.h"

#define NULL_TAG_ADAPTER 0x6c6c756eu /* "null", in memory order */

/* All a driver knows of one adapter. One image may serve several: keep nothing in globals. */
struct null_adapter {
    PDEVICE_OBJECT pdo;
    DXGKRNL_INTERFACE dxgkrnl; /* the OS's services, from StartDevice on */
    BOOLEAN started;
};

/* PASSIVE_LEVEL. No hardware is touched yet: it is not known where it is. */
static NTSTATUS null_add_device(PDEVICE_OBJECT PhysicalDeviceObject, PVOID *MiniportDeviceContext)
{
    struct null_adapter *adapter;

    PAGED_CODE();
    if (!MiniportDeviceContext)
        return STATUS_INVALID_PARAMETER;
    /* Nonpaged: the interrupt routine will use it. The OS zeroes what ExAllocatePool2 gives. */
    adapter = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*adapter), NULL_TAG_ADAPTER);
    if (!adapter)
        return STATUS_NO_MEMORY;
    adapter->pdo = PhysicalDeviceObject;
    *MiniportDeviceContext = adapter; /* comes back as the first argument of every DDI */
    return STATUS_SUCCESS;
}

/*
 * Next: DxgkCbGetDeviceInformation for the resources, DxgkCbMapMemory for the BARs,
 * READ_REGISTER_ULONG to find out whether the card is the expected one, and last its interrupts on.
 */
static NTSTATUS null_start_device(PVOID MiniportDeviceContext, PDXGK_START_INFO DxgkStartInfo,
                                  PDXGKRNL_INTERFACE DxgkInterface,
                                  PULONG NumberOfVideoPresentSources, PULONG NumberOfChildren)
{
    struct null_adapter *adapter = MiniportDeviceContext;

    PAGED_CODE();
    if (!adapter || !DxgkStartInfo || !DxgkInterface || !NumberOfVideoPresentSources ||
        !NumberOfChildren)
        return STATUS_INVALID_PARAMETER;
    if (adapter->started)
        return STATUS_INVALID_DEVICE_STATE;
    adapter->dxgkrnl = *DxgkInterface; /* a copy: the OS's table does not outlive the call */
    adapter->started = TRUE;
    *NumberOfVideoPresentSources = 0; /* a device without displays */
    *NumberOfChildren = 0;
    return STATUS_SUCCESS;
}

/* The reverse of StartDevice: interrupts off, BARs unmapped, pool of the started device freed. */
static NTSTATUS null_stop_device(PVOID MiniportDeviceContext)
{
    struct null_adapter *adapter = MiniportDeviceContext;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    adapter->started = FALSE;
    return STATUS_SUCCESS;
}

static NTSTATUS null_remove_device(PVOID MiniportDeviceContext)
{
    PAGED_CODE();
    if (!MiniportDeviceContext)
        return STATUS_INVALID_PARAMETER;
    ExFreePoolWithTag(MiniportDeviceContext, NULL_TAG_ADAPTER);
    return STATUS_SUCCESS;
}

static void null_unload(void)
{
}

/*
 * A driver with partitions answers GUID_DXGKDDI_GPU_PARTITION_INTERFACE,
 * GUID_DXGKDDI_SRIOV_INTERFACE and GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE here, and refuses all
 * else just so (CAP-7).
 */
static NTSTATUS null_query_interface(PVOID MiniportDeviceContext, PQUERY_INTERFACE QueryInterface)
{
    PAGED_CODE();
    if (!MiniportDeviceContext || !QueryInterface)
        return STATUS_INVALID_PARAMETER;
    return STATUS_NOT_SUPPORTED;
}

/*
 * The least an adapter says of itself. DXGKQAITYPE_GPUPCAPS (CAP-1) is answered only by
 * adapters that can be partitioned; with LiveMigration in it the tracking and paging caps
 * follow (CAP-2 to CAP-6).
 */
static NTSTATUS null_query_adapter_info(HANDLE hAdapter, const DXGKARG_QUERYADAPTERINFO *pArgs)
{
    DXGK_DRIVERCAPS *caps;

    PAGED_CODE();
    if (!hAdapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    if (pArgs->Type != DXGKQAITYPE_DRIVERCAPS)
        return STATUS_NOT_SUPPORTED;
    if (!pArgs->pOutputData || pArgs->OutputDataSize < sizeof(*caps))
        return STATUS_BUFFER_TOO_SMALL; /* never write beyond what the OS gave */
    caps = pArgs->pOutputData;
    RtlZeroMemory(caps, sizeof(*caps));
    caps->HighestAcceptableAddress.QuadPart = -1;
    caps->WDDMVersion = DXGKDDI_WDDMv3_2;
    caps->SupportNonVGA = TRUE;
    return STATUS_SUCCESS;
}

/* Device IRQL: say whether the interrupt is this card's, acknowledge it,
 * DxgkCbNotifyInterrupt, DxgkCbQueueDpc. */
static BOOLEAN null_interrupt_routine(PVOID MiniportDeviceContext, ULONG MessageNumber)
{
    UNREFERENCED_PARAMETER(MiniportDeviceContext);
    UNREFERENCED_PARAMETER(MessageNumber);
    return FALSE;
}

/* DISPATCH_LEVEL: DxgkCbNotifyDpc, after which the OS completes what the routine above told of. */
static void null_dpc_routine(PVOID MiniportDeviceContext)
{
    struct null_adapter *adapter = MiniportDeviceContext;

    adapter->dxgkrnl.DxgkCbNotifyDpc(adapter->dxgkrnl.DeviceHandle);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DRIVER_INITIALIZATION_DATA init = {0}; /* slots left NULL are DDIs the driver does not have */

    init.Version = DXGKDDI_INTERFACE_VERSION;
    init.DxgkDdiAddDevice = null_add_device;
    init.DxgkDdiStartDevice = null_start_device;
    init.DxgkDdiStopDevice = null_stop_device;
    init.DxgkDdiRemoveDevice = null_remove_device;
    init.DxgkDdiUnload = null_unload;
    init.DxgkDdiQueryInterface = null_query_interface;
    init.DxgkDdiQueryAdapterInfo = null_query_adapter_info;
    init.DxgkDdiInterruptRoutine = null_interrupt_routine;
    init.DxgkDdiDpcRoutine = null_dpc_routine;
    return DxgkInitialize(DriverObject, RegistryPath, &init);
}
