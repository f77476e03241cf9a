// SPDX-License-Identifier: Apache-2.0
/*
 * Driver hot update (HOT-1 to HOT-6): saving this driver's state for its successor, and taking over
 * from its predecessor. The VFs' own state lies in the card and is not touched.
 *
 *   NONE --Save--> SAVED --Stop, Remove: the card is left as it is--> gone
 *     ^              |
 *     +---Cancel-----+
 *
 *   NONE --Restore, each block--> RESTORING --Start: takes over--> RESTORING --Complete--> NONE
 *                                     +--Stop, Remove: the card is left as it is--> gone
 *
 * What a block holds is in saved.h and saved.c.
 */
#include "saved.h"

#include "softgpu_kmd.h"

/* ---- saving ---- */

static void sgk_saved_drop(struct sgk_adapter *adapter)
{
    for (ULONG i = 0; i < adapter->saved_count; i++) {
        struct sgk_saved_memory *saved = &adapter->saved[i];

        if (saved->mdl) {
            MmFreePagesFromMdl(saved->mdl);
            ExFreePool(saved->mdl);
        }
        if (saved->pages)
            ExFreePoolWithTag(saved->pages, SGK_TAG_SAVED);
    }
    RtlZeroMemory(adapter->saved, sizeof(adapter->saved));
    adapter->saved_count = 0;
}

void sgk_saved_forget(struct sgk_adapter *adapter)
{
    /* MDLs that were saved belong to the OS now, pages were read when Save returned (HOT-5). */
    for (ULONG i = 0; i < adapter->saved_count; i++)
        adapter->saved[i].mdl = NULL;
    sgk_saved_drop(adapter);
}

/* Pages of the pool need not lie in one piece: as many ranges as it takes. */
static NTSTATUS sgk_save_pages(struct sgk_adapter *adapter, PUCHAR pages, ULONG count,
                               DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args)
{
    DXGK_KSR_MEMORY_RANGE *ranges =
        ExAllocatePool2(POOL_FLAG_PAGED, count * sizeof(*ranges), SGK_TAG_SAVED);
    ULONG64 first = 0, run = 0;
    NTSTATUS status;

    if (!ranges)
        return STATUS_NO_MEMORY;
    for (ULONG i = 0; i < count; i++) {
        ULONG64 page =
            (ULONG64)MmGetPhysicalAddress(pages + (SIZE_T)i * PAGE_SIZE).QuadPart >> PAGE_SHIFT;

        if (run == 0 || page != first + run) {
            first = page;
            run = 0;
            args->NumDataMemoryRanges++;
        }
        ranges[args->NumDataMemoryRanges - 1].MemoryRangeDesc =
            DXGK_KSR_MEMORY_RANGE_MAKE(first, ++run);
    }
    args->pDataMemoryRanges = ranges;
    status =
        adapter->dxgkrnl.DxgkCbSaveMemoryForHotUpdate(adapter->dxgkrnl.DeviceHandle, args);
    ExFreePoolWithTag(ranges, SGK_TAG_SAVED);
    return status;
}

/* One block: the form depends on its kind, so that all three are in use. */
static NTSTATUS sgk_save_block(struct sgk_adapter *adapter, ULONG format, enum sgk_saved_kind kind)
{
    struct sgk_saved_header header = sgk_saved_header(adapter, format, kind);
    DXGKARGCB_SAVEMEMORYFORHOTUPDATE args = {.MetaDataSize = sizeof(header), .pMetaData = &header};
    PHYSICAL_ADDRESS low = {.QuadPart = 0}, high = {.QuadPart = -1};
    struct sgk_saved_memory *saved = &adapter->saved[adapter->saved_count];
    SIZE_T span = ROUND_TO_PAGES(header.bytes);
    PVOID data;

    if (header.bytes == 0)
        return STATUS_SUCCESS;
    if (kind == SGK_SAVED_VGPUS) {
        saved->mdl = MmAllocatePagesForMdlEx(low, high, low, header.bytes, MmCached, 0);
        data = saved->mdl ? MmMapLockedPagesSpecifyCache(saved->mdl, KernelMode, MmCached, NULL,
                                                         FALSE, NormalPagePriority)
                          : NULL;
        args.pDataMdl = saved->mdl;
    } else {
        saved->pages = ExAllocatePool2(POOL_FLAG_NON_PAGED, span, SGK_TAG_SAVED);
        data = saved->pages;
    }
    adapter->saved_count++;
    if (!data)
        return STATUS_NO_MEMORY;
    sgk_saved_fill(adapter, &header, data);
    if (kind == SGK_SAVED_EXTENTS)
        return sgk_save_pages(adapter, data, (ULONG)(span >> PAGE_SHIFT), &args);
    if (kind == SGK_SAVED_ADAPTER) {
        args.pData = data;
        args.DataSize = header.bytes;
    }
    return adapter->dxgkrnl.DxgkCbSaveMemoryForHotUpdate(adapter->dxgkrnl.DeviceHandle, &args);
}

/* In every format this driver knows: a successor takes the newest that it knows itself, so that a
 * downgrade is an update like any other. */
static NTSTATUS sgk_save_all(struct sgk_adapter *adapter)
{
    NTSTATUS status = STATUS_SUCCESS;

    for (ULONG format = SGK_SAVED_FORMAT; format >= 1 && NT_SUCCESS(status); format--)
        for (ULONG kind = 0; kind < SGK_SAVED_KINDS && NT_SUCCESS(status); kind++)
            status = sgk_save_block(adapter, format, (enum sgk_saved_kind)kind);
    return status;
}

_Use_decl_annotations_
NTSTATUS sgk_save_memory_for_hot_update(HANDLE hContext,
                                        const DXGKARG_SAVEMEMORYFORHOTUPDATE *pArgs)
{
    struct sgk_adapter *adapter = hContext;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    if (pArgs->Flags.CancelHotUpdate) {
        if (adapter->update == SGK_UPDATE_SAVED)
            adapter->update = SGK_UPDATE_NONE;
        sgk_saved_drop(adapter);
        return STATUS_SUCCESS;
    }
    if (!adapter->started || adapter->update != SGK_UPDATE_NONE)
        return STATUS_INVALID_DEVICE_STATE;
    /* The OS calls nothing else meanwhile (HOT-2): no lock, which the callback's level forbids. */
    status = sgk_save_all(adapter);
    if (NT_SUCCESS(status))
        adapter->update = SGK_UPDATE_SAVED;
    return status;
}

/* ---- restoring ---- */

static void sgk_mdl_free(PMDL mdl)
{
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
}

void sgk_staged_drop(struct sgk_adapter *adapter)
{
    for (ULONG kind = 0; kind < SGK_SAVED_KINDS; kind++)
        if (adapter->staged.mdl[kind])
            sgk_mdl_free(adapter->staged.mdl[kind]);
    RtlZeroMemory(&adapter->staged, sizeof(adapter->staged));
}

/* Keeps the newest format that comes; what is older, or newer than this driver, is not needed. */
static NTSTATUS sgk_stage(struct sgk_adapter *adapter, const struct sgk_saved_header *header,
                          PMDL mdl)
{
    struct sgk_staged *staged = &adapter->staged;
    NTSTATUS status;

    if (header->format > SGK_SAVED_FORMAT || header->format < staged->format) {
        sgk_mdl_free(mdl);
        return STATUS_SUCCESS;
    }
    if (header->format > staged->format) {
        sgk_staged_drop(adapter);
        staged->format = header->format;
    }
    if (staged->mdl[header->kind])
        return STATUS_INVALID_PARAMETER; /* the same part twice */
    staged->mdl[header->kind] = mdl;
    staged->bytes[header->kind] = header->bytes;
    status = sgk_saved_check(staged);
    if (!NT_SUCCESS(status))
        staged->mdl[header->kind] = NULL; /* refused: it stays the OS's */
    return status;
}

_Use_decl_annotations_
NTSTATUS sgk_restore_memory_for_hot_update(HANDLE hContext,
                                           const DXGKARG_RESTOREMEMORYFORHOTUPDATE *pArgs)
{
    struct sgk_adapter *adapter = hContext;
    struct sgk_saved_header header;

    PAGED_CODE();
    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    if (pArgs->Flags.RestoreComplete) {
        if (!adapter->started || adapter->update != SGK_UPDATE_RESTORING)
            return STATUS_INVALID_DEVICE_STATE;
        adapter->update = SGK_UPDATE_NONE;
        return STATUS_SUCCESS;
    }
    if (adapter->started || !pArgs->pDataMdl || !pArgs->pMetaData ||
        pArgs->MetaDataSize != sizeof(header))
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(&header, pArgs->pMetaData, sizeof(header));
    if (header.magic != SGK_SAVED_MAGIC || header.format == 0 || header.kind >= SGK_SAVED_KINDS ||
        header.bytes == 0 || header.bytes > MmGetMdlByteCount(pArgs->pDataMdl))
        return STATUS_INVALID_PARAMETER;
    adapter->update = SGK_UPDATE_RESTORING;
    return sgk_stage(adapter, &header, pArgs->pDataMdl);
}

_Use_decl_annotations_
NTSTATUS sgk_take_over(struct sgk_adapter *adapter)
{
    NTSTATUS status = sgk_saved_apply(adapter);

    if (!NT_SUCCESS(status))
        return status;
    sgk_staged_drop(adapter);
    /* The ring is empty, as the predecessor left it; the card's last fence is history. */
    adapter->ring.last_fence = sgk_read(adapter, SG_PF_PAGING_DONE);
    return STATUS_SUCCESS;
}
