// SPDX-License-Identifier: Apache-2.0
/*
 * The paging engine's queue. The card holds few submissions; the ring keeps all that are not
 * complete, in order, so that more may be in flight and a faulted one does not take those behind it
 * along (PAG-3).
 *
 * Every function that touches the ring runs under the interrupt lock: in the interrupt routine, or
 * through DxgkCbSynchronizeExecution.
 */
#include "softgpu_kmd.h"

#define SGK_RING_MASK (SGK_RING_ENTRIES - 1)

/* Gives the card what it has room for. Interrupt lock held. */
static void sgk_ring_feed(struct sgk_adapter *adapter)
{
    struct sgk_paging_ring *ring = &adapter->ring;
    ULONG room;

    if (ring->hardware == ring->tail)
        return;
    for (room = sgk_read(adapter, SG_PF_PAGING_FREE); room && ring->hardware != ring->tail;
         room--, ring->hardware++) {
        const struct sgk_submission *next = &ring->entries[ring->hardware & SGK_RING_MASK];

        sgk_write64(adapter, SG_PF_PAGING_VA64, next->va);
        sgk_write(adapter, SG_PF_PAGING_BYTES, next->bytes);
        sgk_write(adapter, SG_PF_PAGING_FENCE, next->fence);
    }
}

static void sgk_notify_completed(struct sgk_adapter *adapter, ULONG fence)
{
    DXGKARGCB_NOTIFY_INTERRUPT_DATA data = {0};

    data.InterruptType = DXGK_INTERRUPT_DMA_COMPLETED;
    data.DmaCompleted.SubmissionFenceId = fence;
    data.DmaCompleted.NodeOrdinal = SGK_NODE_PAGING;
    adapter->ring.last_fence = fence;
    adapter->dxgkrnl.DxgkCbNotifyInterrupt(adapter->dxgkrnl.DeviceHandle, &data);
}

/* Drops what is complete from the ring and tells of the last, which stands for all before it. */
static void sgk_ring_retire(struct sgk_adapter *adapter)
{
    struct sgk_paging_ring *ring = &adapter->ring;
    ULONG done = sgk_read(adapter, SG_PF_PAGING_DONE), head = ring->head;

    /* The card completes in order, and its done fence is stale until the first of ours is through:
     * search, then drop. */
    for (ULONG i = head; i != ring->hardware; i++) {
        if (ring->entries[i & SGK_RING_MASK].fence == done) {
            ring->head = i + 1;
            break;
        }
    }
    if (ring->head != head)
        sgk_notify_completed(adapter, done);
}

void sgk_ring_completed(struct sgk_adapter *adapter)
{
    sgk_ring_retire(adapter);
    sgk_ring_feed(adapter);
}

void sgk_ring_faulted(struct sgk_adapter *adapter)
{
    struct sgk_paging_ring *ring = &adapter->ring;
    ULONG fence = sgk_read(adapter, SG_PF_PAGING_FAULT_FENCE);
    DXGKARGCB_NOTIFY_INTERRUPT_DATA data = {0};

    sgk_ring_retire(adapter); /* those before it are good */
    DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
               "softgpu: paging fence %u faulted at 0x%llx\n", fence,
               (unsigned long long)sgk_read64(adapter, SG_PF_PAGING_FAULT_VA64));
    sgk_write(adapter, SG_PF_PAGING_RESET, 1);
    if (ring->head != ring->hardware && ring->entries[ring->head & SGK_RING_MASK].fence == fence) {
        ring->head++;
        data.InterruptType = DXGK_INTERRUPT_DMA_FAULTED;
        data.DmaFaulted.FaultedFenceId = fence;
        data.DmaFaulted.Status = STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE;
        data.DmaFaulted.NodeOrdinal = SGK_NODE_PAGING;
        adapter->dxgkrnl.DxgkCbNotifyInterrupt(adapter->dxgkrnl.DeviceHandle, &data);
    }
    ring->hardware = ring->head; /* the reset dropped the rest: they are given again, in order */
    sgk_ring_feed(adapter);
}

struct sgk_ring_call {
    struct sgk_adapter *adapter;
    struct sgk_submission submission;
    ULONG aborted; /* out: last fence a reset dropped */
};

static BOOLEAN sgk_ring_push(PVOID context)
{
    struct sgk_ring_call *call = context;
    struct sgk_paging_ring *ring = &call->adapter->ring;

    if (ring->tail - ring->head == SGK_RING_ENTRIES)
        return FALSE;
    ring->entries[ring->tail++ & SGK_RING_MASK] = call->submission;
    sgk_ring_feed(call->adapter);
    return TRUE;
}

_Use_decl_annotations_
NTSTATUS sgk_submit_command_virtual(HANDLE hAdapter, const DXGKARG_SUBMITCOMMANDVIRTUAL *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_ring_call call = {.adapter = adapter};
    BOOLEAN queued = FALSE;
    NTSTATUS status;

    if (!adapter || !pArgs || pArgs->NodeOrdinal != SGK_NODE_PAGING || pArgs->EngineOrdinal != 0 ||
        pArgs->DmaBufferSize == 0 || pArgs->DmaBufferSize % SG_CMD_BYTES ||
        pArgs->DmaBufferVirtualAddress % SG_CMD_BYTES)
        return STATUS_INVALID_PARAMETER;
    call.submission.va = pArgs->DmaBufferVirtualAddress;
    call.submission.bytes = pArgs->DmaBufferSize;
    call.submission.fence = pArgs->SubmissionFenceId;
    status = adapter->dxgkrnl.DxgkCbSynchronizeExecution(adapter->dxgkrnl.DeviceHandle,
                                                         sgk_ring_push, &call, 0, &queued);
    if (!NT_SUCCESS(status))
        return status;
    return queued ? STATUS_SUCCESS : STATUS_DEVICE_BUSY;
}

_Use_decl_annotations_
NTSTATUS sgk_query_current_fence(HANDLE hAdapter, DXGKARG_QUERYCURRENTFENCE *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;

    if (!adapter || !pArgs || pArgs->NodeOrdinal != SGK_NODE_PAGING || pArgs->EngineOrdinal != 0)
        return STATUS_INVALID_PARAMETER;
    pArgs->CurrentFence = sgk_read(adapter, SG_PF_PAGING_DONE);
    return STATUS_SUCCESS;
}

static BOOLEAN sgk_ring_abort(PVOID context)
{
    struct sgk_ring_call *call = context;
    struct sgk_paging_ring *ring = &call->adapter->ring;

    sgk_ring_retire(call->adapter);
    call->aborted = ring->last_fence;
    if (ring->head != ring->tail)
        call->aborted = ring->entries[(ring->tail - 1) & SGK_RING_MASK].fence;
    sgk_write(call->adapter, SG_PF_PAGING_RESET, 1);
    ring->head = ring->hardware = ring->tail;
    return TRUE;
}

/* A hung engine (TDR): all that is queued is dropped, none of it is reported complete. */
_Use_decl_annotations_
NTSTATUS sgk_reset_engine(HANDLE hAdapter, DXGKARG_RESETENGINE *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_ring_call call = {.adapter = adapter};
    BOOLEAN done = FALSE;
    NTSTATUS status;

    if (!adapter || !pArgs || pArgs->NodeOrdinal != SGK_NODE_PAGING || pArgs->EngineOrdinal != 0)
        return STATUS_INVALID_PARAMETER;
    status = adapter->dxgkrnl.DxgkCbSynchronizeExecution(adapter->dxgkrnl.DeviceHandle,
                                                         sgk_ring_abort, &call, 0, &done);
    if (NT_SUCCESS(status))
        pArgs->LastAbortedFenceId = call.aborted;
    return status;
}
