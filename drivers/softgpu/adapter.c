// SPDX-License-Identifier: Apache-2.0
/*
 * An adapter from AddDevice to RemoveDevice: BARs, what the card says of itself, and the interfaces
 * it offers.
 */
#include "softgpu_kmd.h"

_Use_decl_annotations_
NTSTATUS sgk_add_device(PDEVICE_OBJECT PhysicalDeviceObject, PVOID *MiniportDeviceContext)
{
    struct sgk_adapter *adapter;

    PAGED_CODE();
    if (!MiniportDeviceContext)
        return STATUS_INVALID_PARAMETER;
    adapter = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*adapter), SGK_TAG_ADAPTER);
    if (!adapter)
        return STATUS_NO_MEMORY;

    adapter->pdo = PhysicalDeviceObject;
    ExInitializeFastMutex(&adapter->partition_lock);
    ExInitializeFastMutex(&adapter->basis_lock);
    for (ULONG i = 0; i < SG_MAX_VFS; i++)
        ExInitializeFastMutex(&adapter->vgpus[i].lock);
    InitializeListHead(&adapter->bases);
    *MiniportDeviceContext = adapter;
    return STATUS_SUCCESS;
}

static ULONG64 sgk_resource_bytes(const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource)
{
    if (resource->Type == CmResourceTypeMemory)
        return resource->u.Memory.Length;
    if (!(resource->Flags & (SGK_MEMORY_LARGE_40 | SGK_MEMORY_LARGE_48 | SGK_MEMORY_LARGE_64)))
        return 0;
    /* Large memory counts in units of 2^8, 2^16 or 2^32 bytes, as its flag says. */
    if (resource->Flags & SGK_MEMORY_LARGE_40)
        return (ULONG64)resource->u.Memory.Length << 8;
    if (resource->Flags & SGK_MEMORY_LARGE_48)
        return (ULONG64)resource->u.Memory.Length << 16;
    return (ULONG64)resource->u.Memory.Length << 32;
}

/* The nth memory resource: BARs come in their order, the registers first, then VRAM, then
 * the bitplane. */
static const CM_PARTIAL_RESOURCE_DESCRIPTOR *sgk_find_bar(const CM_RESOURCE_LIST *list, ULONG nth)
{
    const CM_PARTIAL_RESOURCE_LIST *partial;

    if (!list || list->Count == 0)
        return NULL;
    partial = &list->List[0].PartialResourceList;
    for (ULONG i = 0; i < partial->Count; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource = &partial->PartialDescriptors[i];

        if (resource->Type != CmResourceTypeMemory && resource->Type != CmResourceTypeMemoryLarge)
            continue;
        if (nth-- == 0)
            return resource;
    }
    return NULL;
}

static NTSTATUS sgk_map_bar(struct sgk_adapter *adapter, const CM_RESOURCE_LIST *list, ULONG nth,
                            ULONG64 bytes, PUCHAR *va)
{
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource = sgk_find_bar(list, nth);
    PVOID mapped = NULL;
    NTSTATUS status;

    if (!resource || sgk_resource_bytes(resource) < bytes)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    status =
        adapter->dxgkrnl.DxgkCbMapMemory(adapter->dxgkrnl.DeviceHandle, resource->u.Memory.Start,
                                         (ULONG)bytes, FALSE, FALSE, MmNonCached, &mapped);
    if (NT_SUCCESS(status))
        *va = mapped;
    return status;
}

static void sgk_unmap_bar(struct sgk_adapter *adapter, PUCHAR *va)
{
    if (!*va)
        return;
    (void)adapter->dxgkrnl.DxgkCbUnmapMemory(adapter->dxgkrnl.DeviceHandle, *va);
    *va = NULL;
}

/* Reads what the card says of itself and refuses what this driver would have to guess about. */
static NTSTATUS sgk_identify(struct sgk_adapter *adapter)
{
    if (sgk_read(adapter, SG_PF_ID) != SG_ID_VALUE)
        return STATUS_NO_SUCH_DEVICE;
    adapter->hw_version = sgk_read(adapter, SG_PF_HW_VERSION);
    adapter->fw_version = sgk_read(adapter, SG_PF_FW_VERSION);
    adapter->vf_count = sgk_read(adapter, SG_PF_VF_COUNT);
    adapter->features = sgk_read(adapter, SG_PF_FEATURES);
    adapter->dirty_shift = sgk_read(adapter, SG_PF_DIRTY_PAGE_SHIFT);
    adapter->scatter_shift = sgk_read(adapter, SG_PF_SCATTER_PAGE_SHIFT);
    adapter->vram_bytes = sgk_read64(adapter, SG_PF_VRAM_BYTES64);

    if (adapter->vf_count == 0 || adapter->vf_count > SG_MAX_VFS ||
        adapter->dirty_shift < SG_PAGE_SHIFT || adapter->dirty_shift > 21 ||
        adapter->scatter_shift < adapter->dirty_shift || adapter->scatter_shift > 21 ||
        adapter->vram_bytes < SG_MIN_VRAM ||
        (adapter->vram_bytes >> adapter->dirty_shift) / 8 > SG_DIRTY_WINDOW_BYTES) {
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                   "softgpu: odd card: %u VFs, dirty page 2^%u, scatter page 2^%u, %llu bytes\n",
                   adapter->vf_count, adapter->dirty_shift, adapter->scatter_shift,
                   (unsigned long long)adapter->vram_bytes);
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    return STATUS_SUCCESS;
}

static void sgk_release_hardware(struct sgk_adapter *adapter)
{
    if (adapter->regs)
        sgk_write(adapter, SG_PF_INT_ENABLE, 0);
    sgk_news_close(adapter);
    sgk_unmap_bar(adapter, &adapter->dirty);
    sgk_unmap_bar(adapter, &adapter->regs);
    if (adapter->ring.entries)
        ExFreePoolWithTag(adapter->ring.entries, SGK_TAG_RING);
    RtlZeroMemory(&adapter->ring, sizeof(adapter->ring));
}

static NTSTATUS sgk_acquire_hardware(struct sgk_adapter *adapter)
{
    DXGK_DEVICE_INFO info = {0};
    ULONG64 plane; /* bytes of a bitplane window that matter */
    NTSTATUS status;

    status = adapter->dxgkrnl.DxgkCbGetDeviceInformation(adapter->dxgkrnl.DeviceHandle, &info);
    if (!NT_SUCCESS(status))
        return status;
    status = sgk_map_bar(adapter, info.TranslatedResourceList, 0, SG_PF_REGS_BYTES, &adapter->regs);
    if (!NT_SUCCESS(status))
        return status;
    status = sgk_identify(adapter);
    if (!NT_SUCCESS(status))
        return status;
    plane = ALIGN_UP_BY((adapter->vram_bytes >> adapter->dirty_shift) / 8, PAGE_SIZE);
    status = sgk_map_bar(adapter, info.TranslatedResourceList, 2, SG_DIRTY_WINDOW_BYTES + plane,
                         &adapter->dirty);
    if (!NT_SUCCESS(status))
        return status;
    adapter->ring.entries = ExAllocatePool2(
        POOL_FLAG_NON_PAGED, SGK_RING_ENTRIES * sizeof(*adapter->ring.entries), SGK_TAG_RING);
    return adapter->ring.entries ? sgk_news_open(adapter) : STATUS_NO_MEMORY;
}

/* The card may have been left anywhere by whoever drove it before. */
static void sgk_reset_hardware(struct sgk_adapter *adapter)
{
    sgk_write(adapter, SG_PF_PAGING_RESET, 1);
    sgk_write64(adapter, SG_PF_DIRTY_MASK64, ~0ull);
    sgk_write(adapter, SG_PF_DIRTY_ENABLE, sgk_performant(adapter));
    sgk_write(adapter, SG_PF_INT_STATUS, ~0u);
}

/* Interrupt lock held: what the interrupt routine finds is all set up. What is pending is raised by
 * the enable. */
static BOOLEAN sgk_enable_interrupts(PVOID context)
{
    sgk_write(context, SG_PF_INT_ENABLE, SGK_INTERRUPTS);
    return TRUE;
}

_Use_decl_annotations_
NTSTATUS sgk_start_device(PVOID MiniportDeviceContext, PDXGK_START_INFO DxgkStartInfo,
                          PDXGKRNL_INTERFACE DxgkInterface, PULONG NumberOfVideoPresentSources,
                          PULONG NumberOfChildren)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;
    BOOLEAN enabled = FALSE;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !DxgkStartInfo || !DxgkInterface || !NumberOfVideoPresentSources ||
        !NumberOfChildren)
        return STATUS_INVALID_PARAMETER;
    if (adapter->started)
        return STATUS_INVALID_DEVICE_STATE;

    adapter->dxgkrnl = *DxgkInterface; /* the OS's table does not outlive the call */
    status = sgk_acquire_hardware(adapter);
    if (!NT_SUCCESS(status)) {
        sgk_release_hardware(adapter);
        return status;
    }

    if (adapter->update == SGK_UPDATE_RESTORING) {
        status = sgk_take_over(adapter);
        if (!NT_SUCCESS(status)) {
            sgk_partition_forget_all(adapter);
            sgk_release_hardware(adapter);
            return status;
        }
    } else {
        sgk_reset_hardware(adapter);
        adapter->partition_count = adapter->vf_count;
    }
    adapter->started = TRUE;
    (void)adapter->dxgkrnl.DxgkCbSynchronizeExecution(
        adapter->dxgkrnl.DeviceHandle, sgk_enable_interrupts, adapter, 0, &enabled);
    *NumberOfVideoPresentSources = 0; /* a render device: no displays */
    *NumberOfChildren = 0;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_stop_device(PVOID MiniportDeviceContext)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    if (!adapter->started)
        return STATUS_SUCCESS;

    /* HOT-1: in an update the VFs belong to another driver from here on. */
    if (adapter->update != SGK_UPDATE_NONE) {
        sgk_partition_forget_all(adapter);
        sgk_basis_drop_all(adapter, FALSE);
        sgk_saved_forget(adapter);
    } else {
        sgk_partition_drop_all(adapter);
        sgk_basis_drop_all(adapter, TRUE);
    }
    sgk_release_hardware(adapter);
    adapter->started = FALSE;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_remove_device(PVOID MiniportDeviceContext)
{
    PAGED_CODE();
    if (!MiniportDeviceContext)
        return STATUS_INVALID_PARAMETER;
    sgk_staged_drop(MiniportDeviceContext);
    ExFreePoolWithTag(MiniportDeviceContext, SGK_TAG_ADAPTER);
    return STATUS_SUCCESS;
}

void sgk_interface_reference(PVOID context)
{
    struct sgk_adapter *adapter = context;

    (void)InterlockedIncrement(&adapter->references);
}

void sgk_interface_dereference(PVOID context)
{
    struct sgk_adapter *adapter = context;

    (void)InterlockedDecrement(&adapter->references);
}

_Use_decl_annotations_
NTSTATUS sgk_query_interface(PVOID MiniportDeviceContext, PQUERY_INTERFACE QueryInterface)
{
    struct sgk_adapter *adapter = MiniportDeviceContext;

    PAGED_CODE();
    if (!adapter || !QueryInterface || !QueryInterface->InterfaceType || !QueryInterface->Interface)
        return STATUS_INVALID_PARAMETER;
    if (IsEqualGUID(QueryInterface->InterfaceType, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE))
        return sgk_partition_interface(adapter, QueryInterface);
    if (IsEqualGUID(QueryInterface->InterfaceType, &GUID_DXGKDDI_SRIOV_INTERFACE))
        return sgk_sriov_interface(adapter, QueryInterface);
    if (IsEqualGUID(QueryInterface->InterfaceType, &GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE))
        return sgk_mitigable_interface(adapter, QueryInterface);
    return STATUS_NOT_SUPPORTED; /* CAP-7 */
}
