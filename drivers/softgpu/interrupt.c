// SPDX-License-Identifier: Apache-2.0
/*
 * The PF's interrupt: completions and faults of the paging engine, faults of VFs. The routine does
 * what needs the interrupt lock; the DPC tells the OS that there is news.
 */
#include "softgpu_kmd.h"

_Use_decl_annotations_
BOOLEAN sgk_interrupt_routine(PVOID MiniportDeviceContext, ULONG MessageNumber)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;
    ULONG status;

    UNREFERENCED_PARAMETER(MessageNumber);
    if (!adapter || !adapter->regs)
        return FALSE;
    status = sgk_read(adapter, SG_PF_INT_STATUS);
    if (!status)
        return FALSE;
    /* Acknowledge first, look second: what completes in between raises the interrupt again. */
    sgk_write(adapter, SG_PF_INT_STATUS, status);
    if (status & SG_INT_PAGING)
        sgk_ring_completed(adapter);
    if (status & SG_INT_PAGING_FAULT)
        sgk_ring_faulted(adapter);
    if (status & SG_INT_VF_FAULT)
        (void)InterlockedExchange(&adapter->vf_fault, 1);
    (void)adapter->dxgkrnl.DxgkCbQueueDpc(adapter->dxgkrnl.DeviceHandle);
    return TRUE;
}

static void sgk_report_vf_faults(const struct sgk_adapter *adapter)
{
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        if (!(sgk_read(adapter, SG_VFC(i, SG_VFC_STATUS)) & SG_VFC_STATUS_FAULT))
            continue;
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_WARNING_LEVEL,
                   "softgpu: VF %u faulted at 0x%llx and halted\n", i,
                   (unsigned long long)sgk_read64(adapter, SG_VFC(i, SG_VFC_FAULT_VA64)));
    }
}

_Use_decl_annotations_
void sgk_dpc_routine(PVOID MiniportDeviceContext)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;

    if (!adapter || !adapter->regs)
        return;
    if (InterlockedExchange(&adapter->vf_fault, 0))
        sgk_report_vf_faults(adapter);
    adapter->dxgkrnl.DxgkCbNotifyDpc(adapter->dxgkrnl.DeviceHandle);
}
