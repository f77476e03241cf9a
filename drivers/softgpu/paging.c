// SPDX-License-Identifier: Apache-2.0
/*
 * Paging operations turned into the card's commands and page-table entries (PAG-1 to PAG-4).
 * Transfers and fills go by virtual address in the paging process: nothing here knows what lies
 * behind one.
 */
#include "softgpu_kmd.h"

/* A command's share of a long transfer. Bounded, so that one operation may be split over several
 * paging buffers at any of its commands (PAG-2). */
#define SGK_CHUNK_BYTES (4ull << 20)

#define SGK_TABLE_ENTRIES (1u << SG_LEVEL_BITS)
#define SGK_LARGE_PAGES (1u << SG_LEVEL_BITS) /* 4 KiB pages in a large one */

/* The next command of the paging buffer, which ends at `end`; zeroed. NULL without room. */
static struct sg_cmd *sgk_command(DXGKARG_BUILDPAGINGBUFFER *args, const UCHAR *end, ULONG op)
{
    struct sg_cmd *command = args->pDmaBuffer;

    if ((SIZE_T)(end - (const UCHAR *)args->pDmaBuffer) < SG_CMD_BYTES)
        return NULL;
    RtlZeroMemory(command, sizeof(*command));
    command->op = op;
    args->pDmaBuffer = command + 1;
    return command;
}

/* Source is NULL for a fill. MultipassOffset counts the operation's commands already written. */
static NTSTATUS sgk_build_chunks(DXGKARG_BUILDPAGINGBUFFER *args, ULONG64 destination,
                                 const ULONG64 *source, ULONG64 bytes, ULONG64 pattern)
{
    const UCHAR *end = (const UCHAR *)args->pDmaBuffer + args->DmaSize;
    ULONG64 chunks = bytes / SGK_CHUNK_BYTES + (bytes % SGK_CHUNK_BYTES != 0);

    if (((destination | bytes | (source ? *source : 0)) & 7) || bytes == 0 ||
        chunks > 0xffffffffull || args->MultipassOffset >= chunks)
        return STATUS_INVALID_PARAMETER;
    for (; args->MultipassOffset < chunks; args->MultipassOffset++) {
        ULONG64 done = args->MultipassOffset * SGK_CHUNK_BYTES;
        ULONG64 part = bytes - done < SGK_CHUNK_BYTES ? bytes - done : SGK_CHUNK_BYTES;
        struct sg_cmd *command = sgk_command(args, end, source ? SG_OP_COPY : SG_OP_FILL);

        if (!command)
            return STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER;
        command->a[0] = destination + done;
        command->a[1] = source ? *source + done : part;
        command->a[2] = source ? part : pattern;
    }
    args->MultipassOffset = 0;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_build_transfer(DXGKARG_BUILDPAGINGBUFFER *args)
{
    const DXGK_BUILDPAGINGBUFFER_TRANSFERVIRTUAL *transfer = &args->TransferVirtual;
    ULONG64 source = transfer->SourceVirtualAddress;

    return sgk_build_chunks(args, transfer->DestinationVirtualAddress, &source,
                            transfer->TransferSizeInBytes, 0);
}

static NTSTATUS sgk_build_fill(DXGKARG_BUILDPAGINGBUFFER *args)
{
    const DXGK_BUILDPAGINGBUFFER_FILLVIRTUAL *fill = &args->FillVirtual;
    ULONG64 pattern = (ULONG64)fill->FillPattern << 32 | fill->FillPattern;

    return sgk_build_chunks(args, fill->DestinationVirtualAddress, NULL, fill->FillSizeInBytes,
                            pattern);
}

/* The card's TLB is small: it is flushed whole, whatever range is asked for. */
static NTSTATUS sgk_build_flush(DXGKARG_BUILDPAGINGBUFFER *args)
{
    const UCHAR *end = (const UCHAR *)args->pDmaBuffer + args->DmaSize;

    return sgk_command(args, end, SG_OP_FLUSH_TLB) ? STATUS_SUCCESS
                                                   : STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER;
}

/* One entry in the card's format. A segment or address the card does not have is refused,
 * never written. */
static NTSTATUS sgk_pte_convert(const struct sgk_adapter *adapter, const DXGK_PTE *pte, ULONG level,
                                PULONG64 entry)
{
    ULONG64 pages = 1;
    BOOLEAN leaf = level == 0 || pte->LargePage;

    *entry = 0;
    if (!pte->Valid)
        return STATUS_SUCCESS;
    if (pte->Zero || pte->PhysicalAdapterIndex || (pte->LargePage && level != 1) ||
        pte->PageAddress > SG_PTE_ADDRESS >> SG_PAGE_SHIFT)
        return STATUS_INVALID_PARAMETER;
    *entry = SG_PTE_VALID | pte->PageAddress << SG_PAGE_SHIFT;
    if (!leaf)
        return pte->Segment == SGK_SEGMENT_SYSTEM ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;

    if (pte->LargePage) {
        pages = SGK_LARGE_PAGES;
        if (pte->PageAddress & (pages - 1))
            return STATUS_INVALID_PARAMETER;
        *entry |= SG_PTE_LARGE;
    }
    if (!pte->ReadOnly)
        *entry |= SG_PTE_WRITE;
    if (pte->Segment == SGK_SEGMENT_SYSTEM)
        *entry |= SG_PTE_SYSTEM;
    else if (pte->Segment != SGK_SEGMENT_VRAM ||
             pte->PageAddress + pages > adapter->vram_bytes >> SG_PAGE_SHIFT)
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_update_page_table(const struct sgk_adapter *adapter,
                                      DXGKARG_BUILDPAGINGBUFFER *args)
{
    const DXGK_BUILDPAGINGBUFFER_UPDATEPAGETABLE *update = &args->UpdatePageTable;
    volatile ULONG64 *table = update->PageTableAddress.CpuVirtual;

    if (update->UpdateMode != DXGK_PAGETABLEUPDATE_CPU_VIRTUAL || update->Flags.Use64KBPages ||
        !table || !update->pPageTableEntries || update->PageTableLevel >= SG_LEVELS ||
        update->StartIndex >= SGK_TABLE_ENTRIES ||
        update->NumPageTableEntries > SGK_TABLE_ENTRIES - update->StartIndex)
        return STATUS_INVALID_PARAMETER;
    for (ULONG i = 0; i < update->NumPageTableEntries; i++) {
        const DXGK_PTE *pte = &update->pPageTableEntries[update->Flags.Repeat ? 0 : i];
        ULONG64 entry;
        NTSTATUS status = sgk_pte_convert(adapter, pte, update->PageTableLevel, &entry);

        if (!NT_SUCCESS(status))
            return status;
        table[update->StartIndex + i] =
            entry; /* one aligned store: the engine sees the old entry or the new */
    }
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_build_paging_buffer(HANDLE hAdapter, DXGKARG_BUILDPAGINGBUFFER *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;

    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    if (pArgs->Operation == DXGK_OPERATION_UPDATE_PAGE_TABLE)
        return sgk_update_page_table(adapter,
                                     pArgs); /* by the CPU, at once: nothing in the buffer */
    if (!pArgs->pDmaBuffer || (ULONG_PTR)pArgs->pDmaBuffer % SG_CMD_BYTES)
        return STATUS_INVALID_PARAMETER;
    switch (pArgs->Operation) {
    case DXGK_OPERATION_VIRTUAL_TRANSFER:
        return sgk_build_transfer(pArgs);
    case DXGK_OPERATION_VIRTUAL_FILL:
        return sgk_build_fill(pArgs);
    case DXGK_OPERATION_FLUSH_TLB:
        return sgk_build_flush(pArgs);
    default:
        return STATUS_NOT_SUPPORTED;
    }
}

_Use_decl_annotations_
SIZE_T sgk_get_root_page_table_size(HANDLE hAdapter, DXGKARG_GETROOTPAGETABLESIZE *pArgs)
{
    UNREFERENCED_PARAMETER(hAdapter);
    if (pArgs)
        pArgs->NumberOfPte = SGK_TABLE_ENTRIES;
    return SGK_TABLE_ENTRIES * sizeof(ULONG64);
}

/* Contexts of the paging process only: guests set their own roots through their VF's registers. */
_Use_decl_annotations_
void sgk_set_root_page_table(HANDLE hAdapter, const DXGKARG_SETROOTPAGETABLE *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;

    if (!adapter || !pArgs || pArgs->Address.SegmentId != SGK_SEGMENT_SYSTEM ||
        (pArgs->Address.SegmentOffset & (PAGE_SIZE - 1)))
        return;
    sgk_write64(adapter, SG_PF_PAGING_ROOT64, pArgs->Address.SegmentOffset);
}
