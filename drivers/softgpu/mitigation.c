// SPDX-License-Identifier: Apache-2.0
/*
 * Pages that trap: the MSI-X table's, which the OS answers itself and whose real entries it writes
 * through DxgkDdiWriteVirtualizedInterrupt (INT-1, INT-2), and the platform page, the UMED's.
 */
#include "softgpu_kmd.h"

static const ULONG sgk_mitigated_pages[] = {SG_VF_MSIX_TABLE, SG_VF_PLATFORM};

static void sgk_query_mitigated_range_count(HANDLE context, DXGKARG_QUERYMITIGATEDRANGECOUNT *args)
{
    UNREFERENCED_PARAMETER(context);
    if (!args)
        return;
    RtlZeroMemory(args->RangeCount, sizeof(args->RangeCount));
    args->RangeCount[SG_VF_BAR_REGS] = RTL_NUMBER_OF(sgk_mitigated_pages);
}

static NTSTATUS sgk_query_mitigated_ranges(HANDLE context, DXGKARG_QUERYMITIGATEDRANGES *args)
{
    struct sgk_adapter *adapter = context;

    if (!adapter || !args || args->VirtualFunctionIndex >= adapter->vf_count ||
        args->BarIndex != SG_VF_BAR_REGS || !args->pMitigatedRange)
        return STATUS_INVALID_PARAMETER;
    if (args->NumRanges < RTL_NUMBER_OF(sgk_mitigated_pages))
        return STATUS_BUFFER_TOO_SMALL;
    args->NumRanges = RTL_NUMBER_OF(sgk_mitigated_pages);
    for (ULONG i = 0; i < args->NumRanges; i++)
        args->pMitigatedRange[i] = (DXGK_MITIGATEDRANGEINFO){
            .BasePageNumber = sgk_mitigated_pages[i] >> PAGE_SHIFT,
            .PageCount = 1,
            .InterceptReads = TRUE,
            .InterceptWrites = TRUE,
        };
    return STATUS_SUCCESS;
}

NTSTATUS sgk_mitigable_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query)
{
    DXGKDDI_MITIGABLE_DEVICE_INTERFACE *table =
        (DXGKDDI_MITIGABLE_DEVICE_INTERFACE *)(PVOID)query->Interface;

    if (query->Version != DXGKDDI_MITIGABLE_DEVICE_INTERFACE_VERSION)
        return STATUS_NOT_SUPPORTED;
    if (query->Size < sizeof(*table))
        return STATUS_INVALID_PARAMETER;
    *table = (DXGKDDI_MITIGABLE_DEVICE_INTERFACE){
        .Size = sizeof(*table),
        .Version = DXGKDDI_MITIGABLE_DEVICE_INTERFACE_VERSION,
        .Context = adapter,
        .InterfaceReference = sgk_interface_reference,
        .InterfaceDereference = sgk_interface_dereference,
        .DxgkDdiQueryMitigatedRangeCount = sgk_query_mitigated_range_count,
        .DxgkDdiQueryMitigatedRanges = sgk_query_mitigated_ranges,
    };
    sgk_interface_reference(adapter);
    return STATUS_SUCCESS;
}

void sgk_msix_write(struct sgk_adapter *adapter, ULONG index, ULONG vector, ULONG64 address,
                    ULONG data, BOOLEAN masked)
{
    sgk_write(adapter, SG_VFC(index, SG_VFC_MSIX_INDEX), vector);
    sgk_write64(adapter, SG_VFC(index, SG_VFC_MSIX_ADDR64), address);
    sgk_write(adapter, SG_VFC(index, SG_VFC_MSIX_DATA), data);
    sgk_write(adapter, SG_VFC(index, SG_VFC_MSIX_CTRL), masked ? 1 : 0); /* commits the entry */
}

_Use_decl_annotations_
NTSTATUS sgk_write_virtualized_interrupt(HANDLE hAdapter,
                                         const DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;

    PAGED_CODE();
    if (!adapter || !pArgs || pArgs->InterruptTableIndex >= SG_MSIX_VECTORS)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    sgk_msix_write(adapter, pArgs->vfIndex, pArgs->InterruptTableIndex,
                   pArgs->WriteValue.MessageAddress, pArgs->WriteValue.MessageData,
                   (pArgs->WriteValue.VectorControl & 1u) != 0);
    sgk_vgpu_release(vgpu);
    return STATUS_SUCCESS;
}
