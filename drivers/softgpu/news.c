// SPDX-License-Identifier: Apache-2.0
/*
 * Faults and hangs of VFs, told to the OS as triage events. An event is too long for the DPC's
 * level (256 bytes above PASSIVE_LEVEL), so that a work item carries the news. The card counts
 * them: the routine tells what is new since it last looked.
 */
#include "softgpu_kmd.h"

static void sgk_news_tell(struct sgk_adapter *adapter, ULONG index)
{
    ULONG faults = sgk_read(adapter, SG_VFC(index, SG_VFC_FAULTS));
    ULONG hangs = sgk_read(adapter, SG_VFC(index, SG_VFC_HANGS));

    if (faults != adapter->faults_told[index])
        sgk_triage_fault(adapter, index, sgk_read64(adapter, SG_VFC(index, SG_VFC_FAULT_VA64)));
    /* One that came on after all, or was stopped meanwhile, needs no reset any more. */
    if (hangs != adapter->hangs_told[index] &&
        (sgk_read(adapter, SG_VFC(index, SG_VFC_STATUS)) & SG_VFC_STATUS_HANG))
        sgk_triage_hang(adapter, index, sgk_read64(adapter, SG_VFC(index, SG_VFC_HANG_NS64)));
    adapter->faults_told[index] = faults;
    adapter->hangs_told[index] = hangs;
}

static void sgk_news_routine(PDEVICE_OBJECT device, PVOID context)
{
    struct sgk_adapter *adapter = context;
    KIRQL irql;

    UNREFERENCED_PARAMETER(device);
    KeAcquireSpinLock(&adapter->news_lock, &irql);
    adapter->news_queued = FALSE; /* first: what comes from here on queues it again */
    KeReleaseSpinLock(&adapter->news_lock, irql);
    for (ULONG i = 0; i < adapter->vf_count; i++)
        sgk_news_tell(adapter, i);
    KeAcquireSpinLock(&adapter->news_lock, &irql);
    if (!adapter->news_queued)
        (void)KeSetEvent(&adapter->news_idle, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&adapter->news_lock, irql);
}

void sgk_news_queue(struct sgk_adapter *adapter)
{
    KIRQL irql;

    KeAcquireSpinLock(&adapter->news_lock, &irql);
    if (!adapter->news_closed && !adapter->news_queued) {
        adapter->news_queued = TRUE;
        KeClearEvent(&adapter->news_idle);
        IoQueueWorkItem(adapter->news_item, sgk_news_routine, DelayedWorkQueue, adapter);
    }
    KeReleaseSpinLock(&adapter->news_lock, irql);
}

NTSTATUS sgk_news_open(struct sgk_adapter *adapter)
{
    ULONG pending = sgk_read(adapter, SG_PF_INT_STATUS);

    adapter->news_item = IoAllocateWorkItem(adapter->pdo);
    if (!adapter->news_item)
        return STATUS_NO_MEMORY;
    KeInitializeSpinLock(&adapter->news_lock);
    KeInitializeEvent(&adapter->news_idle, NotificationEvent, TRUE);
    adapter->news_queued = FALSE;
    adapter->news_closed = FALSE;
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        ULONG status = sgk_read(adapter, SG_VFC(i, SG_VFC_STATUS));

        adapter->faults_told[i] = sgk_read(adapter, SG_VFC(i, SG_VFC_FAULTS));
        adapter->hangs_told[i] = sgk_read(adapter, SG_VFC(i, SG_VFC_HANGS));
        /* Nobody has acknowledged the interrupt: nobody has told either. */
        if ((pending & SG_INT_VF_FAULT) && (status & SG_VFC_STATUS_FAULT))
            adapter->faults_told[i]--;
        if ((pending & SG_INT_VF_HANG) && (status & SG_VFC_STATUS_HANG))
            adapter->hangs_told[i]--;
        sgk_write64(adapter, SG_VFC(i, SG_VFC_HANG_NS64), SGK_TDR_NS);
    }
    return STATUS_SUCCESS;
}

void sgk_news_close(struct sgk_adapter *adapter)
{
    KIRQL irql;

    if (!adapter->news_item)
        return;
    KeAcquireSpinLock(&adapter->news_lock, &irql);
    adapter->news_closed = TRUE; /* a DPC may still run */
    KeReleaseSpinLock(&adapter->news_lock, irql);
    (void)KeWaitForSingleObject(&adapter->news_idle, Executive, KernelMode, FALSE, NULL);
    IoFreeWorkItem(adapter->news_item);
    adapter->news_item = NULL;
}
