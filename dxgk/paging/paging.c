// SPDX-License-Identifier: Apache-2.0
/* The paging queue: buffers built by the driver, handed over under growing fences, retired from the
 * DPC. See paging.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/paging/private.h"

#include "base/clock.h"
#include "base/thread.h"
#include "dxgk/ddi/paging.h"
#include "dxgk/nt/nt.h"
#include "dxgk/waits.h"

#include <errno.h>

#define MAX_PASSES 100000u /* buffers one operation may want: a driver beyond that loops */

static bool fence_reached(uint32_t fence, uint32_t done)
{
    return (int32_t)(done - fence) >= 0;
}

/* ---- retiring. The queue lock is held; works to complete gather in *finished. ---- */

static void finish_later(struct dxgk_paging_work *work, struct dxgk_paging_work **finished)
{
    work->next = *finished;
    *finished = work;
}

void dxgk_paging_drop(struct dxgk_paging_buffer *buffer, int status,
                      struct dxgk_paging_work **finished)
{
    struct dxgk_paging_work *work = buffer->work;

    if (work == NULL)
        return;
    buffer->work = NULL;
    if (status != 0 && work->status == 0)
        work->status = status;
    if (--work->live == 0 && !work->building)
        finish_later(work, finished);
}

void dxgk_paging_give_back(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer)
{
    buffer->work = NULL;
    buffer->used = 0;
    buffer->submitted = false;
    buffer->failed = false;
    buffer->next = paging->free;
    paging->free = buffer;
    vf_cond_broadcast(&paging->returned);
}

static void retire_head(struct dxgk_paging *paging, struct dxgk_paging_work **finished)
{
    struct dxgk_paging_buffer *buffer = paging->flying;

    paging->flying = buffer->next;
    if (paging->flying == NULL)
        paging->flying_tail = &paging->flying;
    paging->head_since_ns = vf_now_ns();
    if (buffer->work == NULL)
        paging->abandoned--;
    dxgk_paging_drop(buffer, buffer->failed ? -EIO : 0, finished);
    dxgk_paging_give_back(paging, buffer);
}

/* Marks a faulted submission; false when it is none of ours. */
static bool mark_fault(struct dxgk_paging *paging, uint32_t fence)
{
    for (struct dxgk_paging_buffer *buffer = paging->flying; buffer != NULL; buffer = buffer->next)
        if (buffer->submitted && buffer->fence == fence) {
            buffer->failed = true;
            return true;
        }
    return false;
}

/* Acts on what the interrupt routine noted. The engine runs in order: a fence done or faulted says
 * the same of all before it. */
void dxgk_paging_retire(struct dxgk_paging *paging, struct dxgk_paging_work **finished)
{
    uint32_t done = atomic_load_explicit(&paging->noted_done, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&paging->fault_tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&paging->fault_head, memory_order_acquire);

    for (; tail != head; tail++) {
        uint32_t fence = paging->faults[tail % DXGK_PAGING_MAX_IN_FLIGHT];

        if (!mark_fault(paging, fence)) {
            dxgk_report(paging->adapter, "PAG-3",
                        "fence %u reported as faulted, but it is not in flight", fence);
            continue;
        }
        dxgk_event(paging->adapter->dxgk, "paging-fault",
                   "adapter %u: the paging engine faulted at fence %u; its transfer fails",
                   paging->adapter->index, fence);
        if (fence_reached(done, fence))
            done = fence;
    }
    atomic_store_explicit(&paging->fault_tail, tail, memory_order_release);
    while (paging->flying != NULL && paging->flying->submitted &&
           fence_reached(paging->flying->fence, done))
        retire_head(paging, finished);
}

/* Without the queue lock: completions may submit to other rooms. */
void dxgk_paging_complete(struct dxgk_paging_work *finished)
{
    if (finished == NULL)
        return;
    KIRQL before = nt_irql_set(DISPATCH_LEVEL);
    while (finished != NULL) {
        struct dxgk_paging_work *work = finished;

        finished = work->next;
        work->complete(work, work->status);
    }
    (void)nt_irql_set(before);
}

void dxgk_paging_note_done(struct dxgk_paging *paging, uint32_t fence)
{
    uint32_t last = atomic_load_explicit(&paging->last_fence, memory_order_relaxed);
    uint32_t noted = atomic_load_explicit(&paging->noted_done, memory_order_relaxed);

    if (!fence_reached(fence, last)) {
        dxgk_report(paging->adapter, "PAG-3",
                    "fence %u reported complete, but the last one submitted is %u", fence, last);
        return;
    }
    while (fence_reached(noted, fence) &&
           !atomic_compare_exchange_weak_explicit(&paging->noted_done, &noted, fence,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

void dxgk_paging_note_fault(struct dxgk_paging *paging, uint32_t fence, NTSTATUS status)
{
    uint32_t head = atomic_load_explicit(&paging->fault_head, memory_order_relaxed);

    if (head - atomic_load_explicit(&paging->fault_tail, memory_order_acquire) >=
        DXGK_PAGING_MAX_IN_FLIGHT) {
        dxgk_report(paging->adapter, "PAG-3",
                    "more faults reported than submissions can be in flight (fence %u, 0x%x)",
                    fence, (unsigned)status);
        return;
    }
    paging->faults[head % DXGK_PAGING_MAX_IN_FLIGHT] = fence;
    atomic_store_explicit(&paging->fault_head, head + 1, memory_order_release);
}

void dxgk_paging_dpc(struct dxgk_paging *paging)
{
    struct dxgk_paging_work *finished = NULL;

    vf_lock(&paging->queue);
    dxgk_paging_retire(paging, &finished);
    vf_unlock(&paging->queue);
    dxgk_paging_complete(finished);
}

/* ---- handing over ---- */

/* The queue lock is held: it is what orders the fences. */
NTSTATUS dxgk_paging_submit_buffer(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer,
                                   bool again)
{
    DXGKARG_SUBMITCOMMANDVIRTUAL args = {0};

    buffer->fence = atomic_fetch_add(&paging->last_fence, 1) + 1;
    buffer->submitted = true;
    args.hContext = paging->process.context;
    args.DmaBufferVirtualAddress = buffer->va;
    args.DmaBufferSize = buffer->used;
    args.pDmaBufferPrivateData = buffer->private_data;
    args.DmaBufferPrivateDataSize = paging->adapter->mmu.paging_private_bytes;
    args.SubmissionFenceId = buffer->fence;
    args.Flags.Paging = 1;
    args.Flags.Resubmission = again ? 1 : 0;
    args.NodeOrdinal = DXGK_PAGING_NODE;
    KIRQL before = nt_irql_set(DISPATCH_LEVEL);
    NTSTATUS status = dxgk_ddi_submit_command_virtual(paging->adapter, &args);
    (void)nt_irql_set(before);
    return status;
}

/* Queues a built buffer; `final`: the work has no more. -1: the driver refused it, the buffer is
 * still the caller's. */
static int hand_over(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer,
                     struct dxgk_paging_work *work, bool final, struct vf_error *err)
{
    vf_lock(&paging->queue);
    bool first = paging->flying == NULL;
    struct dxgk_paging_buffer **link = paging->flying_tail;

    buffer->work = work;
    buffer->next = NULL;
    *link = buffer;
    paging->flying_tail = &buffer->next;
    if (first)
        paging->head_since_ns = vf_now_ns();
    work->live++;
    if (final)
        work->building = false;
    NTSTATUS status = paging->resetting ? STATUS_SUCCESS
                                        : dxgk_paging_submit_buffer(paging, buffer, false);
    if (!NT_SUCCESS(status)) {
        *link = NULL;
        paging->flying_tail = link;
        work->live--;
        work->building = true;
        buffer->work = NULL;
        buffer->submitted = false;
    } else if (paging->watchdog_idle) {
        vf_cond_signal(&paging->watchdog_cond);
    }
    vf_unlock(&paging->queue);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "paging: the driver refused the submission");
    return 0;
}

/* A free buffer, or NULL with *err when the engine hangs for good: waiting would be for ever. */
static struct dxgk_paging_buffer *take_buffer(struct dxgk_paging *paging, struct vf_error *err)
{
    vf_lock(&paging->queue);
    dxgk_waits_for(&paging->adapter->interrupts);
    while (paging->free == NULL && paging->abandoned < paging->limits.in_flight)
        vf_cond_wait(&paging->returned, &paging->queue);
    dxgk_waits_for(NULL);
    struct dxgk_paging_buffer *buffer = paging->free;
    if (buffer != NULL)
        paging->free = buffer->next;
    vf_unlock(&paging->queue);
    if (buffer == NULL)
        (void)vf_fail(
            err, VF_FAILED,
            "paging: the engine hangs and none of its %u submissions ends; restart the host",
            paging->limits.in_flight);
    return buffer;
}

static void put_buffer(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer)
{
    vf_lock(&paging->queue);
    dxgk_paging_give_back(paging, buffer);
    vf_unlock(&paging->queue);
}

/* Has one operation built into *buffer, going on in fresh ones as often as the driver
 * asks (PAG-2). */
static int build_operation(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                           struct dxgk_paging_buffer **buffer, DXGKARG_BUILDPAGINGBUFFER *args,
                           struct vf_error *err)
{
    args->MultipassOffset = 0;
    for (uint32_t pass = 0; pass < MAX_PASSES; pass++) {
        if (*buffer == NULL && (*buffer = take_buffer(paging, err)) == NULL)
            return -1;
        struct dxgk_paging_buffer *now = *buffer;

        args->pDmaBuffer = now->cpu + now->used;
        args->DmaSize = paging->limits.buffer_bytes - now->used;
        args->pDmaBufferPrivateData = now->private_data;
        args->DmaBufferPrivateDataSize = paging->adapter->mmu.paging_private_bytes;
        args->hSystemContext = paging->process.context;
        args->DmaBufferGpuVirtualAddress = now->va;
        args->DmaBufferWriteOffset = now->used;
        NTSTATUS status = dxgk_ddi_build_paging_buffer(paging->adapter, args);
        if (NT_SUCCESS(status) || status == STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER)
            now->used = (uint32_t)((uint8_t *)args->pDmaBuffer - now->cpu);
        if (NT_SUCCESS(status))
            return 0;
        if (status != STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER)
            return vf_fail_status(err, VF_FAILED, status, "paging: operation %u could not be built",
                                  (unsigned)args->Operation);
        if (now->used == 0)
            continue; /* nothing to submit, but MultipassOffset moved */
        if (hand_over(paging, now, work, false, err) != 0)
            return -1;
        *buffer = NULL;
    }
    dxgk_report(paging->adapter, "PAG-2",
                "BuildPagingBuffer asks for ever more buffers (operation %u)",
                (unsigned)args->Operation);
    return vf_fail(err, VF_FAILED, "paging: operation %u has no end", (unsigned)args->Operation);
}

static void describe_transfer(const struct dxgk_paging_work *work, bool gather, uint64_t offset,
                              DXGKARG_BUILDPAGINGBUFFER *args)
{
    const uint64_t system = work->system->va + offset;

    *args = (DXGKARG_BUILDPAGINGBUFFER){.Operation = DXGK_OPERATION_VIRTUAL_TRANSFER};
    args->TransferVirtual.TransferSizeInBytes = work->bytes;
    args->TransferVirtual.SourceVirtualAddress = gather ? work->vram->va : system;
    args->TransferVirtual.DestinationVirtualAddress = gather ? system : work->vram->va;
    args->TransferVirtual.TransferDirection =
        gather ? DXGK_MEMORY_TRANSFER_LOCAL_TO_SYSTEM : DXGK_MEMORY_TRANSFER_SYSTEM_TO_LOCAL;
}

static void describe_operation(const struct dxgk_paging_work *work, DXGKARG_BUILDPAGINGBUFFER *args)
{
    *args = (DXGKARG_BUILDPAGINGBUFFER){0};
    if (work->op == DXGK_PAGING_ZERO) {
        args->Operation = DXGK_OPERATION_VIRTUAL_FILL;
        args->FillVirtual.FillSizeInBytes = work->bytes;
        args->FillVirtual.DestinationVirtualAddress = work->vram->va;
        return;
    }
    if (work->op == DXGK_PAGING_COPY) {
        args->Operation = DXGK_OPERATION_VIRTUAL_TRANSFER;
        args->TransferVirtual.TransferSizeInBytes = work->bytes;
        args->TransferVirtual.SourceVirtualAddress = work->from->va;
        args->TransferVirtual.DestinationVirtualAddress = work->vram->va;
        args->TransferVirtual.TransferDirection = DXGK_MEMORY_TRANSFER_LOCAL_TO_LOCAL;
        return;
    }
    describe_transfer(work, work->op == DXGK_PAGING_GATHER, work->system_offset, args);
}

/* Entries were written over old ones: no engine may use what it cached of them. */
static int build_flush(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                       struct dxgk_paging_buffer **buffer, const struct dxgk_window *window,
                       struct vf_error *err)
{
    DXGKARG_BUILDPAGINGBUFFER args = {0};
    uint32_t root_entries;

    args.Operation = DXGK_OPERATION_FLUSH_TLB;
    args.FlushTlb.RootPageTableAddress.SegmentOffset = dxgk_vaspace_root(paging->space,
                                                                         &root_entries);
    args.FlushTlb.hProcess = paging->process.process;
    args.FlushTlb.StartVirtualAddress = window->va;
    args.FlushTlb.EndVirtualAddress = window->va + work->bytes;
    return build_operation(paging, work, buffer, &args, err);
}

/* The build lock is held. */
static int build_work(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                      struct dxgk_paging_buffer **buffer, struct vf_error *err)
{
    DXGKARG_BUILDPAGINGBUFFER args = {0};
    bool copy = work->op == DXGK_PAGING_COPY;

    if (dxgk_window_map(paging->space, work->vram, 0, work->entries, work->entry_count, err) != 0 ||
        (copy && dxgk_window_map(paging->space, work->from, 0, work->from_entries,
                                 work->entry_count, err) != 0) ||
        build_flush(paging, work, buffer, work->vram, err) != 0 ||
        (copy && build_flush(paging, work, buffer, work->from, err) != 0))
        return -1;
    describe_operation(work, &args);
    if (build_operation(paging, work, buffer, &args, err) != 0)
        return -1;
    if (work->read_back) {
        describe_transfer(work, true, work->read_back_offset, &args);
        if (build_operation(paging, work, buffer, &args, err) != 0)
            return -1;
    }
    if (*buffer == NULL || (*buffer)->used == 0) {
        dxgk_report(paging->adapter, "PAG-2", "BuildPagingBuffer wrote nothing for operation %u",
                    (unsigned)args.Operation);
        return vf_fail(err, VF_FAILED, "paging: the driver built nothing");
    }
    if (hand_over(paging, *buffer, work, true, err) != 0)
        return -1;
    *buffer = NULL;
    return 0;
}

int dxgk_paging_submit(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                       struct vf_error *err)
{
    struct dxgk_paging_buffer *buffer = NULL;
    bool refused = false;

    work->status = 0;
    work->live = 0;
    work->building = true;
    work->next = NULL;
    dxgk_lock(&paging->build);
    int rc = build_work(paging, work, &buffer, err);
    if (buffer != NULL)
        put_buffer(paging, buffer);
    if (rc != 0) {
        /* What was handed over before runs on and ends the work, which then has failed. */
        vf_lock(&paging->queue);
        work->building = false;
        work->status = -EIO;
        refused = work->live == 0;
        vf_unlock(&paging->queue);
    }
    dxgk_unlock(&paging->build);
    return refused ? -1 : 0;
}

uint32_t dxgk_paging_submissions(const struct dxgk_paging *paging)
{
    return atomic_load_explicit(&paging->last_fence, memory_order_relaxed);
}
