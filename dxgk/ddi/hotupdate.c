// SPDX-License-Identifier: Apache-2.0
/* See hotupdate.h. */
#define LOG_ROOM "ddi"
#include "dxgk/ddi/hotupdate.h"

#include "dxgk/ddi/ddi.h"
#include "dxgk/nt/nt.h"

#include <inttypes.h>

int dxgk_ddi_hot_update_possible(const struct dxgk_adapter *adapter, struct vf_error *err)
{
    if (!adapter->caps.hot_update)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the driver of adapter %u does not name HotDriverUpdate (HOT-1): stop the "
                       "host to replace it",
                       adapter->index);
    if (adapter->ddi.DxgkDdiSaveMemoryForHotUpdate == NULL ||
        adapter->ddi.DxgkDdiRestoreMemoryForHotUpdate == NULL)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the driver of adapter %u names HotDriverUpdate, but its table lacks "
                       "SaveMemoryForHotUpdate or RestoreMemoryForHotUpdate",
                       adapter->index);
    return 0;
}

static NTSTATUS call_save(struct dxgk_adapter *adapter, bool cancel)
{
    DXGKARG_SAVEMEMORYFORHOTUPDATE args = {.Flags.CancelHotUpdate = cancel};
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiSaveMemoryForHotUpdate", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(&call,
                           adapter->ddi.DxgkDdiSaveMemoryForHotUpdate(adapter->hAdapter, &args));
}

int dxgk_ddi_save_memory(struct dxgk_adapter *adapter, struct dxgk_ksr_set *set,
                         struct dxgk_ksr **out, struct vf_error *err)
{
    if (dxgk_ksr_begin(set, adapter, out, err) != 0)
        return -1;
    return dxgk_ksr_end(*out, call_save(adapter, false), err);
}

void dxgk_ddi_cancel_hot_update(struct dxgk_adapter *adapter)
{
    NTSTATUS status = call_save(adapter, true);

    if (!NT_SUCCESS(status))
        dxgk_report(adapter, "HOT-3",
                    "SaveMemoryForHotUpdate with CancelHotUpdate failed with %s 0x%x",
                    vf_status_name(status), (uint32_t)status);
}

static NTSTATUS call_restore(struct dxgk_adapter *adapter,
                             const DXGKARG_RESTOREMEMORYFORHOTUPDATE *args)
{
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiRestoreMemoryForHotUpdate", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(&call,
                           adapter->ddi.DxgkDdiRestoreMemoryForHotUpdate(adapter->hAdapter, args));
}

static int restore_block(struct dxgk_adapter *adapter, const struct dxgk_ksr *ksr, uint32_t block,
                         struct vf_error *err)
{
    struct dxgk_ksr_restored restored;
    DXGKARG_RESTOREMEMORYFORHOTUPDATE args = {0};
    NTSTATUS status;

    if (dxgk_ksr_read(ksr, block, &restored, err) != 0)
        return -1;
    args.pDataMdl = restored.mdl;
    args.MetaDataSize = restored.metadata_bytes;
    args.pMetaData = restored.metadata;
    /* Before the call: the driver may free it inside. */
    nt_mdl_give(restored.mdl,
                (const void *)(uintptr_t)adapter->ddi.DxgkDdiRestoreMemoryForHotUpdate);
    status = call_restore(adapter, &args);
    if (restored.metadata != NULL &&
        !dxgk_guarded_intact(restored.metadata, restored.metadata_bytes))
        dxgk_report(adapter, "HOT-4",
                    "RestoreMemoryForHotUpdate wrote behind the metadata of block %u", block);
    dxgk_guarded_free(restored.metadata);
    if (NT_SUCCESS(status))
        return 0;
    /* What the driver refuses stays the OS's; one that freed it all the same is reported by nt. */
    nt_mdl_free(restored.mdl);
    return vf_fail_status(err, VF_INCOMPATIBLE, status,
                          "the new driver refuses the saved state (block %u of %u, adapter %u)",
                          block + 1, dxgk_ksr_blocks(ksr), adapter->index);
}

int dxgk_ddi_restore_memory(struct dxgk_adapter *adapter, const struct dxgk_ksr *ksr,
                            struct vf_error *err)
{
    if (adapter->started || adapter->ddi.DxgkDdiRestoreMemoryForHotUpdate == NULL)
        return dxgk_refuse(adapter, "HOT-4", err,
                           "blocks are restored before StartDevice, by a driver that can");
    for (uint32_t i = 0; i < dxgk_ksr_blocks(ksr); i++) {
        if (restore_block(adapter, ksr, i, err) != 0)
            return -1;
    }
    return 0;
}

int dxgk_ddi_restore_complete(struct dxgk_adapter *adapter, struct vf_error *err)
{
    DXGKARG_RESTOREMEMORYFORHOTUPDATE args = {.Flags.RestoreComplete = 1};
    NTSTATUS status = call_restore(adapter, &args);

    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the new driver of adapter %u fails at RestoreComplete",
                              adapter->index);
    return 0;
}

int dxgk_ddi_knows_vgpu(struct dxgk_adapter *adapter, uint32_t vf, uint64_t vram_bytes,
                        struct vf_error *err)
{
    DXGKARG_GETVIRTUALGPUINFO args = {.PartitionId = vf};
    struct dxgk_call call;
    NTSTATUS status;

    if (adapter->gpup.DxgkDdiGetVirtualGpuInfo == NULL)
        return 0; /* an older interface: there is nothing to ask */
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiGetVirtualGpuInfo", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DxgkDdiGetVirtualGpuInfo at a raised IRQL");
    status = dxgk_call_leave(
        &call, adapter->gpup.DxgkDdiGetVirtualGpuInfo(adapter->gpup.Context, &args));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "the new driver does not know VF %u (HOT-3)",
                              vf);
    if (args.Capability[DXGK_VGPU_CAPABILITY_MEMORY].CurrentValue != vram_bytes)
        return vf_fail(err, VF_FAILED,
                       "the new driver knows VF %u with %" PRIu64 " bytes of VRAM, it has %" PRIu64
                       " (HOT-3)",
                       vf, args.Capability[DXGK_VGPU_CAPABILITY_MEMORY].CurrentValue, vram_bytes);
    return 0;
}
