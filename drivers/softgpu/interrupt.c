// SPDX-License-Identifier: Apache-2.0
/*
 * The PF's interrupt: completions and faults of the paging engine, faults and hangs of VFs. The
 * routine does what needs the interrupt lock; the DPC tells the OS that there is news.
 *
 * DXGK_INTERRUPT_GPU_ENGINE_TIMEOUT is not for a VF's hang: it names a node and an engine of the
 * PF, and no partition.
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
    if (status & (SG_INT_VF_FAULT | SG_INT_VF_HANG))
        (void)InterlockedExchange(&adapter->vf_news, 1);
    (void)adapter->dxgkrnl.DxgkCbQueueDpc(adapter->dxgkrnl.DeviceHandle);
    return TRUE;
}

_Use_decl_annotations_
void sgk_dpc_routine(PVOID MiniportDeviceContext)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;

    if (!adapter || !adapter->regs)
        return;
    if (InterlockedExchange(&adapter->vf_news, 0))
        sgk_news_queue(adapter);
    adapter->dxgkrnl.DxgkCbNotifyDpc(adapter->dxgkrnl.DeviceHandle);
}
