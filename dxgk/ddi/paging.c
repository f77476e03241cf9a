// SPDX-License-Identifier: Apache-2.0
/* The DDIs of paging (PAG-1..4) behind the call checker. See paging.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/ddi/paging.h"

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
