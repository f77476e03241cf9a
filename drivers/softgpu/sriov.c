// SPDX-License-Identifier: Apache-2.0
/*
 * The SR-IOV interface: a VF's config space as the guest may see and change it (VF-5), its reset,
 * power and place.
 */
#include "softgpu_kmd.h"

#define SGK_CONFIG_BYTES 256u
#define SGK_PCI_COMMAND 0x04u
#define SGK_PCI_COMMAND_MASK 0x0406u /* memory space, bus master, interrupt disable */
#define SGK_PCI_CACHE_LINE 0x0cu
#define SGK_PCI_BAR0 0x10u
#define SGK_PCI_CAPABILITIES 0x34u
#define SGK_PCI_INTERRUPT_LINE 0x3cu
#define SGK_PCI_CAP_MSIX 0x11u
#define SGK_PCI_MSIX_CONTROL_MASK 0xc000u /* enable, function mask */

static ULONG sgk_config_dword(const struct sgk_adapter *adapter, ULONG index, ULONG offset)
{
    return sgk_read(adapter, SG_VFC(index, SG_VFC_CONFIG) + offset);
}

static BOOLEAN sgk_config_range(ULONG offset, ULONG length)
{
    return length != 0 && offset < SGK_CONFIG_BYTES && length <= SGK_CONFIG_BYTES - offset;
}

static NTSTATUS sgk_read_virtual_function_config(HANDLE context,
                                                 DXGKARG_READVIRTUALFUNCTIONCONFIG *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;
    PUCHAR data;

    PAGED_CODE();
    if (!adapter || !args || !args->Data || !sgk_config_range(args->Offset, args->Length))
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    data = args->Data;
    for (ULONG i = 0; i < args->Length; i++) {
        ULONG at = args->Offset + i;

        data[i] = (UCHAR)(sgk_config_dword(adapter, args->VirtualFunctionIndex, at & ~3u) >>
                          (at & 3) * 8);
    }
    sgk_vgpu_release(vgpu);
    return STATUS_SUCCESS;
}

/* Where the MSI-X capability lies, 0 when there is none. The list is the card's; a loop in it ends
 * after 48 steps. */
static ULONG sgk_config_find_msix(const struct sgk_adapter *adapter, ULONG index)
{
    ULONG at = sgk_config_dword(adapter, index, SGK_PCI_CAPABILITIES) & 0xfcu;

    for (ULONG steps = 0; at >= 0x40u && steps < 48; steps++) {
        ULONG header = sgk_config_dword(adapter, index, at);

        if ((header & 0xffu) == SGK_PCI_CAP_MSIX)
            return at;
        at = header >> 8 & 0xfcu;
    }
    return 0;
}

/* Which bits of the dword at `offset` the guest may change; all others keep what they are. */
static ULONG sgk_config_writable(ULONG offset, ULONG msix)
{
    switch (offset) {
    case SGK_PCI_COMMAND:
        return SGK_PCI_COMMAND_MASK;
    case SGK_PCI_CACHE_LINE:
    case SGK_PCI_INTERRUPT_LINE:
        return 0xffu;
    default:
        return msix && offset == msix ? SGK_PCI_MSIX_CONTROL_MASK << 16 : 0;
    }
}

static NTSTATUS sgk_write_virtual_function_config(HANDLE context,
                                                  DXGKARG_WRITEVIRTUALFUNCTIONCONFIG *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;
    const UCHAR *data;
    ULONG msix, end;

    PAGED_CODE();
    if (!adapter || !args || !args->Data || !sgk_config_range(args->Offset, args->Length))
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    data = args->Data;
    end = args->Offset + args->Length;
    msix = sgk_config_find_msix(adapter, args->VirtualFunctionIndex);
    for (ULONG at = args->Offset & ~3u; at < end; at += 4) {
        ULONG value = 0, touched = 0;

        for (ULONG byte = 0; byte < 4; byte++) {
            if (at + byte < args->Offset || at + byte >= end)
                continue;
            value |= (ULONG)data[at + byte - args->Offset] << byte * 8;
            touched |= 0xffu << byte * 8;
        }
        touched &= sgk_config_writable(at, msix);
        if (touched) {
            ULONG old = sgk_config_dword(adapter, args->VirtualFunctionIndex, at);

            sgk_write(adapter, SG_VFC(args->VirtualFunctionIndex, SG_VFC_CONFIG) + at,
                      (old & ~touched) | (value & touched));
        }
    }
    sgk_vgpu_release(vgpu);
    return STATUS_SUCCESS;
}

/* The card has no config blocks: a block is an agreement between a PF and a VF driver, and ours
 * have none. */
static NTSTATUS sgk_read_virtual_function_config_block(
    HANDLE context, DXGKARG_READVIRTUALFUNCTIONCONFIGBLOCK *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS sgk_write_virtual_function_config_block(
    HANDLE context, DXGKARG_WRITEVIRTUALFUNCTIONCONFIGBLOCK *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

/* What the card answers to the sizing dance: all ones written, read, and the old value put back. */
static void sgk_query_probed_bars(HANDLE context, DXGKARG_QUERYPROBEDBARS *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;

    PAGED_CODE();
    if (!adapter || !args || !args->BaseRegisterValues)
        return;
    for (ULONG i = 0; i < PCI_TYPE0_ADDRESSES; i++)
        args->BaseRegisterValues[i] = 0;
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return;
    for (ULONG i = 0; i < PCI_TYPE0_ADDRESSES; i++) {
        ULONG at = SGK_PCI_BAR0 + i * 4;
        ULONG before = sgk_config_dword(adapter, args->VirtualFunctionIndex, at);

        sgk_write(adapter, SG_VFC(args->VirtualFunctionIndex, SG_VFC_CONFIG) + at, ~0u);
        args->BaseRegisterValues[i] = sgk_config_dword(adapter, args->VirtualFunctionIndex, at);
        sgk_write(adapter, SG_VFC(args->VirtualFunctionIndex, SG_VFC_CONFIG) + at, before);
    }
    sgk_vgpu_release(vgpu);
}

static void sgk_get_vendor_and_device(HANDLE context, DXGKARG_GETVENDORANDDEVICE *args)
{
    UNREFERENCED_PARAMETER(context);
    if (!args)
        return;
    args->VendorId = SG_PCI_VENDOR;
    args->DeviceId = SG_PCI_VF_DEVICE;
}

static void sgk_get_device_location(HANDLE context, DXGKARG_GETDEVICELOCATION *args)
{
    UNREFERENCED_PARAMETER(context);
    if (!args)
        return;
    args->SegmentNumber = 0;
    args->BusNumber = 0;
    args->FunctionNumber = args->VirtualFunctionIndex + 1; /* function 0 is the PF */
}

static NTSTATUS sgk_reset_virtual_function(HANDLE context, DXGKARG_RESETVIRTUALFUNCTION *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    /* Complete when the write returns; a VF that is not stopped takes new work at once. */
    sgk_write(adapter, SG_VFC(args->VirtualFunctionIndex, SG_VFC_RESET), 1);
    sgk_schedule_apply(adapter, args->VirtualFunctionIndex,
                       vgpu); /* power and pause are the OS's, not the reset's */
    sgk_vgpu_release(vgpu);
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_set_virtual_function_power_state(HANDLE context,
                                                     DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!adapter || !args ||
        (args->PowerState != PowerDeviceD0 && args->PowerState != PowerDeviceD3))
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (args->PowerState == PowerDeviceD0 && !vgpu->extents) {
        status = STATUS_INVALID_DEVICE_STATE; /* VF-2: VRAM first */
    } else {
        vgpu->powered = args->PowerState == PowerDeviceD0;
        sgk_schedule_apply(adapter, args->VirtualFunctionIndex, vgpu);
        if (!vgpu->powered)
            status = sgk_schedule_wait_quiet(adapter, args->VirtualFunctionIndex);
    }
    sgk_vgpu_release(vgpu);
    return status;
}

/* A VF's BARs are reached through the bus of the model, not at addresses of the PF's resources. */
static NTSTATUS sgk_get_resource_for_bar(HANDLE context, DXGKARG_GETRESOURCEFORBAR *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

static void sgk_query_virtual_function_luid(HANDLE context, DXGKARG_QUERYVIRTUALFUNCTIONLUID *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;

    PAGED_CODE();
    if (!adapter || !args || !args->pLuid)
        return;
    RtlZeroMemory(args->pLuid, sizeof(*args->pLuid));
    vgpu = sgk_vgpu_acquire(adapter, args->VirtualFunctionIndex);
    if (!vgpu)
        return;
    *args->pLuid = vgpu->luid;
    sgk_vgpu_release(vgpu);
}

NTSTATUS sgk_sriov_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query)
{
    DXGKDDI_SRIOV_INTERFACE *table = (DXGKDDI_SRIOV_INTERFACE *)(PVOID)query->Interface;

    if (query->Version != DXGKDDI_SRIOV_INTERFACE_VERSION)
        return STATUS_NOT_SUPPORTED;
    if (query->Size < sizeof(*table))
        return STATUS_INVALID_PARAMETER;
    *table = (DXGKDDI_SRIOV_INTERFACE){
        .Size = sizeof(*table),
        .Version = DXGKDDI_SRIOV_INTERFACE_VERSION,
        .Context = adapter,
        .InterfaceReference = sgk_interface_reference,
        .InterfaceDereference = sgk_interface_dereference,
        .DxgkDdiReadVirtualFunctionConfig = sgk_read_virtual_function_config,
        .DxgkDdiWriteVirtualFunctionConfig = sgk_write_virtual_function_config,
        .DxgkDdiReadVirtualFunctionConfigBlock = sgk_read_virtual_function_config_block,
        .DxgkDdiWriteVirtualFunctionConfigBlock = sgk_write_virtual_function_config_block,
        .DxgkDdiQueryProbedBars = sgk_query_probed_bars,
        .DxgkDdiGetVendorAndDevice = sgk_get_vendor_and_device,
        .DxgkDdiGetDeviceLocation = sgk_get_device_location,
        .DxgkDdiResetVirtualFunction = sgk_reset_virtual_function,
        .DxgkDdiSetVirtualFunctionPowerState = sgk_set_virtual_function_power_state,
        .DxgkDdiGetResourceForBar = sgk_get_resource_for_bar,
        .DxgkDdiQueryVirtualFunctionLuid = sgk_query_virtual_function_luid,
    };
    sgk_interface_reference(adapter);
    return STATUS_SUCCESS;
}
