// SPDX-License-Identifier: Apache-2.0
/* Paging, memory basis and interrupt DDIs in the call checker. See ddi_paging.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/ddi_paging.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* ---- paging ---- */

NTSTATUS dxgk_ddi_build_paging_buffer(struct dxgk_adapter *adapter, DXGKARG_BUILDPAGINGBUFFER *args)
{
    const uint8_t *before = args->pDmaBuffer;
    uint32_t room = args->DmaSize, pass = args->MultipassOffset;
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiBuildPagingBuffer", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiBuildPagingBuffer(adapter->hAdapter, args));
    const uint8_t *after = args->pDmaBuffer;

    if (before == NULL ? after != NULL : after < before || (size_t)(after - before) > room) {
        dxgk_report(adapter, "PAG-2",
                    "BuildPagingBuffer left its buffer of %u bytes (operation %u)", room,
                    (unsigned)args->Operation);
        return STATUS_UNSUCCESSFUL;
    }
    if (status == STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER && after == before &&
        pass == args->MultipassOffset && args->DmaBufferWriteOffset == 0) {
        dxgk_report(
            adapter, "PAG-2",
            "BuildPagingBuffer wants more than the empty buffer of %u bytes and got nowhere", room);
        return STATUS_UNSUCCESSFUL;
    }
    return status;
}

int dxgk_ddi_update_page_table(struct dxgk_adapter *adapter, HANDLE process, uint32_t level,
                               void *table, uint32_t index, const DXGK_PTE *entries, uint32_t count,
                               bool fresh, struct vf_error *err)
{
    DXGKARG_BUILDPAGINGBUFFER args = {0};

    if (level >= adapter->mmu.level_count || index > 1u << adapter->mmu.level[level].index_bits ||
        count > (1u << adapter->mmu.level[level].index_bits) - index)
        return vf_fail(err, VF_FAILED,
                       "page table update: entries %u + %u of level %u do not exist", index, count,
                       level);
    args.Operation = DXGK_OPERATION_UPDATE_PAGE_TABLE;
    args.UpdatePageTable.PageTableLevel = level;
    args.UpdatePageTable.hProcess = process;
    args.UpdatePageTable.PageTableAddress.CpuVirtual = table;
    /* The DDI's pointer is not const; the entries are the OS' to read again. */
    args.UpdatePageTable.pPageTableEntries = (DXGK_PTE *)(uintptr_t)entries;
    args.UpdatePageTable.StartIndex = index;
    args.UpdatePageTable.NumPageTableEntries = count;
    args.UpdatePageTable.Flags.InitialUpdate = fresh ? 1 : 0;
    args.UpdatePageTable.UpdateMode = DXGK_PAGETABLEUPDATE_CPU_VIRTUAL;
    NTSTATUS status = dxgk_ddi_build_paging_buffer(adapter, &args);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "page table update: %u entries of level %u",
                              count, level);
    return 0;
}

NTSTATUS dxgk_ddi_submit_command_virtual(struct dxgk_adapter *adapter,
                                         const DXGKARG_SUBMITCOMMANDVIRTUAL *args)
{
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSubmitCommandVirtual", DISPATCH_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiSubmitCommandVirtual(adapter->hAdapter, args));
    /* Its page: anything but these two ends in a bug check. */
    if (status != STATUS_SUCCESS && status != STATUS_INVALID_PARAMETER)
        dxgk_report(adapter, "PAG-3", "SubmitCommandVirtual of fence %u returned 0x%x",
                    args->SubmissionFenceId, (unsigned)status);
    return status;
}

int dxgk_ddi_set_root_page_table(struct dxgk_adapter *adapter, HANDLE context, uint64_t iova,
                                 uint32_t entries, struct vf_error *err)
{
    DXGKARG_SETROOTPAGETABLE args = {0};
    struct dxgk_call call;

    args.hContext = context;
    args.Address.SegmentId = DXGK_SYSTEM_SEGMENT;
    args.Address.SegmentOffset = iova;
    args.NumEntries = entries;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSetRootPageTable", DISPATCH_LEVEL))
        return vf_fail(err, VF_FAILED, "paging process: SetRootPageTable at the wrong level");
    adapter->ddi.DxgkDdiSetRootPageTable(adapter->hAdapter, &args);
    NTSTATUS status = dxgk_call_leave(&call, STATUS_SUCCESS);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "paging process: SetRootPageTable");
    return 0;
}

bool dxgk_ddi_query_current_fence(struct dxgk_adapter *adapter, uint32_t node, uint32_t *fence)
{
    DXGKARG_QUERYCURRENTFENCE args = {.NodeOrdinal = node};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiQueryCurrentFence == NULL ||
        !dxgk_call_enter(&call, adapter, "DxgkDdiQueryCurrentFence", PASSIVE_LEVEL))
        return false;
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiQueryCurrentFence(adapter->hAdapter, &args));
    *fence = args.CurrentFence;
    return NT_SUCCESS(status);
}

NTSTATUS dxgk_ddi_reset_engine(struct dxgk_adapter *adapter, uint32_t node, uint32_t *last)
{
    DXGKARG_RESETENGINE args = {.NodeOrdinal = node};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiResetEngine == NULL)
        return STATUS_NOT_SUPPORTED;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiResetEngine", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    NTSTATUS status = dxgk_call_leave(&call,
                                      adapter->ddi.DxgkDdiResetEngine(adapter->hAdapter, &args));
    *last = args.LastAbortedFenceId;
    return status;
}

/* ---- memory bases ---- */

static int compare_ranges(const void *left, const void *right)
{
    const DXGK_MEMORYRANGE *a = left, *b = right;

    return a->SegmentOffset < b->SegmentOffset ? -1 : a->SegmentOffset > b->SegmentOffset;
}

/* DBT-1, our side of it. *pages gets the sum. */
static int check_ranges(const struct dxgk_segment *segment, uint64_t page_bytes,
                        const DXGK_MEMORYRANGE *ranges, uint32_t count, uint64_t *pages,
                        struct vf_error *err)
{
    cleanup_free DXGK_MEMORYRANGE *sorted = NULL;

    if (count == 0 || count > DXGK_MAX_RANGES || page_bytes == 0)
        return vf_fail(err, VF_FAILED, "DBT-1: a memory basis of %u ranges cannot be", count);
    sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL)
        return vf_fail(err, VF_FAILED, "memory basis: out of memory");
    memcpy(sorted, ranges, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_ranges);
    uint64_t end = 0;
    *pages = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = sorted[i].SegmentOffset, bytes = sorted[i].SizeInBytes;

        if (bytes == 0 || offset % page_bytes != 0 || bytes % page_bytes != 0 ||
            offset > segment->bytes || bytes > segment->bytes - offset || offset < end)
            return vf_fail(
                err, VF_FAILED,
                "DBT-1: range 0x%llx + 0x%llx overlaps, is not aligned or leaves the segment",
                (unsigned long long)offset, (unsigned long long)bytes);
        end = offset + bytes;
        *pages += bytes / page_bytes;
    }
    return 0;
}

static const struct dxgk_segment *find_segment(const struct dxgk_adapter *adapter, uint32_t id)
{
    for (uint32_t i = 0; i < adapter->caps.segment_count; i++)
        if (adapter->caps.segments[i].id == id)
            return &adapter->caps.segments[i];
    return NULL;
}

int dxgk_ddi_create_memory_basis(struct dxgk_adapter *adapter, uint32_t segment,
                                 uint64_t page_bytes, const DXGK_MEMORYRANGE *ranges,
                                 uint32_t count, struct dxgk_basis *out, struct vf_error *err)
{
    const struct dxgk_segment *where = find_segment(adapter, segment);
    cleanup_free DXGKARG_CREATEMEMORYBASIS *args = NULL;
    struct dxgk_call call;
    uint64_t pages = 0;

    *out = (struct dxgk_basis){0};
    if (where == NULL || adapter->ddi.DxgkDdiCreateMemoryBasis == NULL)
        return vf_fail(err, VF_FAILED,
                       "memory basis: the driver has no segment %u with memory bases", segment);
    if (check_ranges(where, page_bytes, ranges, count, &pages, err) != 0)
        return -1;
    args = calloc(1, sizeof *args + count * sizeof *ranges);
    if (args == NULL)
        return vf_fail(err, VF_FAILED, "memory basis: out of memory");
    args->SegmentId = segment;
    args->RangeCount = count;
    memcpy((uint8_t *)args + offsetof(DXGKARG_CREATEMEMORYBASIS, Ranges), ranges,
           count * sizeof *ranges);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateMemoryBasis", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "memory basis: called at the wrong level");
    HANDLE handle = adapter->ddi.DxgkDdiCreateMemoryBasis(adapter->hAdapter, args);
    NTSTATUS status = dxgk_call_leave(&call, handle != NULL ? STATUS_SUCCESS
                                                            : STATUS_INSUFFICIENT_RESOURCES);
    if (handle == NULL)
        return vf_fail(err, VF_FAILED, "memory basis of %u ranges: the driver gave none", count);
    *out = (struct dxgk_basis){.handle = handle,
                               .segment = segment,
                               .page_bytes = page_bytes,
                               .pages = pages,
                               .ranges = ranges,
                               .range_count = count};
    if (!NT_SUCCESS(status)) {
        dxgk_ddi_destroy_memory_basis(adapter, out);
        return vf_fail_status(err, VF_FAILED, status, "memory basis of %u ranges", count);
    }
    return 0;
}

void dxgk_ddi_destroy_memory_basis(struct dxgk_adapter *adapter, struct dxgk_basis *basis)
{
    struct dxgk_call call;

    if (basis->handle == NULL)
        return;
    if (basis->tracked)
        dxgk_report(adapter, "DBT-3", "a memory basis is destroyed while it is tracked");
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiDestroyMemoryBasis", PASSIVE_LEVEL))
        return;
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiDestroyMemoryBasis(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status))
        dxgk_report(adapter, "DBT-8",
                    "DestroyMemoryBasis failed on a live handle (0x%x): a broken invariant, "
                    "restart the host",
                    (unsigned)status);
    *basis = (struct dxgk_basis){0};
}

int dxgk_ddi_start_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                  struct vf_error *err)
{
    struct dxgk_call call;

    if (basis->handle == NULL || basis->tracked) {
        dxgk_report(adapter, "DBT-2", "StartDirtyTracking of a basis that is %s",
                    basis->tracked ? "tracked already" : "gone");
        return vf_fail(err, VF_FAILED, "DBT-2: tracking of this basis cannot start");
    }
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiStartDirtyTracking", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-2: StartDirtyTracking at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiStartDirtyTracking(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "dirty tracking could not start");
    basis->tracked = true;
    return 0;
}

int dxgk_ddi_stop_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                 struct vf_error *err)
{
    struct dxgk_call call;

    if (basis->handle == NULL || !basis->tracked) {
        dxgk_report(adapter, "DBT-3", "StopDirtyTracking of a basis that is not tracked");
        return vf_fail(err, VF_FAILED, "DBT-3: tracking of this basis did not start");
    }
    basis->tracked = false;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiStopDirtyTracking", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-3: StopDirtyTracking at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiStopDirtyTracking(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status)) {
        dxgk_report(adapter, "DBT-3", "StopDirtyTracking failed (0x%x)", (unsigned)status);
        return vf_fail_status(err, VF_FAILED, status, "dirty tracking could not stop");
    }
    return 0;
}

int dxgk_ddi_query_dirty_bits(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                              uint64_t range, uint64_t offset, uint64_t bytes, void *bits,
                              size_t bits_bytes, struct vf_error *err)
{
    DXGKARG_QUERYDIRTYBITDATA args = {0};
    struct dxgk_call call;
    uint64_t pages = bytes == 0 ? basis->pages : bytes / basis->page_bytes;

    if (basis->handle == NULL || !basis->tracked)
        return vf_fail(err, VF_FAILED, "DBT-4: a basis that is not tracked has no dirty bits");
    if (bytes != 0 &&
        (range >= basis->range_count || offset % basis->page_bytes != 0 ||
         bytes % basis->page_bytes != 0 || offset > basis->ranges[range].SizeInBytes ||
         bytes > basis->ranges[range].SizeInBytes - offset))
        return vf_fail(err, VF_FAILED,
                       "DBT-4: sub-range 0x%llx + 0x%llx of range %llu is not tracked",
                       (unsigned long long)offset, (unsigned long long)bytes,
                       (unsigned long long)range);
    if (bits_bytes < (pages + 7) / 8)
        return vf_fail(err, VF_FAILED, "DBT-4: %zu bytes hold no %llu bits", bits_bytes,
                       (unsigned long long)pages);
    args.MemoryBasis = basis->handle;
    args.SubrangeIndex = range;
    args.SubrangeOffset = offset;
    args.SubrangeSize = bytes;
    args.Buffer = bits;
    args.BufferSize = bits_bytes;
    args.Flags = DXGKARG_QUERYDIRTYBITDATAFLAGS_CLEARDATA;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiQueryDirtyBitData", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-4: QueryDirtyBitData at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiQueryDirtyBitData(adapter->hAdapter, &args));
    if (!dxgk_guarded_intact(bits, bits_bytes)) {
        dxgk_report(adapter, "DBT-4", "QueryDirtyBitData wrote behind its buffer of %zu bytes",
                    bits_bytes);
        status = STATUS_UNSUCCESSFUL;
    }
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "dirty bits could not be read");
    return 0;
}

/* ---- interrupts ---- */

int dxgk_ddi_write_virtualized_interrupt(struct dxgk_adapter *adapter, uint32_t vf, uint16_t index,
                                         const DXGK_INTERRUPT_TABLE_ENTRY *entry,
                                         struct vf_error *err)
{
    DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX args = {.vfIndex = vf,
                                                .InterruptTableIndex = index,
                                                .WriteValue = *entry};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiWriteVirtualizedInterrupt == NULL)
        return vf_fail(err, VF_FAILED, "INT-2: the driver has no WriteVirtualizedInterrupt");
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiWriteVirtualizedInterrupt", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "INT-2: WriteVirtualizedInterrupt at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiWriteVirtualizedInterrupt(adapter->hAdapter, &args));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "interrupt vector %u of VF %u", index, vf);
    return 0;
}
