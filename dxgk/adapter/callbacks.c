// SPDX-License-Identifier: Apache-2.0
/*
 * See callbacks.h. The PF's BARs appear to the driver as a translated resource list with made-up
 * bus addresses; mapping one gives an address that only READ_/WRITE_REGISTER_* reach (dxgk/nt).
 */
#define LOG_ROOM "callback"
#include "dxgk/adapter/callbacks.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/adapter/triage.h"
#include "dxgk/handles.h"
#include "dxgk/ksr.h"
#include "dxgk/nt/nt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bus addresses of adapter 0's BARs and the step to the next adapter's; far from any iova, so that
 * a mix-up shows. */
#define BUS_BASE 0x100000000000ull
#define BUS_ADAPTER 0x10000000000ull
#define CONFIG_BYTES 256u
#define MAX_RESOURCES (DXGK_BARS + 1u)

/* A BAR range the driver mapped. In adapter->mappings, guarded by adapter->lock. */
struct dxgk_mapping {
    PVOID va;
    struct dxgk_mapping *next;
};

/* ---- registers: dxgk/nt calls these for every access of the driver ---- */

static int mmio_read(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t *value)
{
    const struct dxgk_adapter *adapter = ctx;

    *value = 0;
    return adapter->ops->bar_read(adapter->dev, VF_FUNCTION_PF, bar, offset, value, width);
}

static int mmio_write(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value)
{
    const struct dxgk_adapter *adapter = ctx;

    return adapter->ops->bar_write(adapter->dev, VF_FUNCTION_PF, bar, offset, &value, width);
}

static int mmio_read_block(void *ctx, uint32_t bar, uint64_t offset, void *data, uint64_t bytes)
{
    const struct dxgk_adapter *adapter = ctx;

    return adapter->ops->bar_read(adapter->dev, VF_FUNCTION_PF, bar, offset, data, bytes);
}

static int mmio_write_block(void *ctx, uint32_t bar, uint64_t offset, const void *data,
                            uint64_t bytes)
{
    const struct dxgk_adapter *adapter = ctx;

    return adapter->ops->bar_write(adapter->dev, VF_FUNCTION_PF, bar, offset, data, bytes);
}

static const struct nt_mmio_ops mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .read_block = mmio_read_block,
    .write_block = mmio_write_block,
};

/* ---- callbacks ---- */

static struct dxgk_adapter *caller(HANDLE handle, const char *name)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || handle != adapter) {
        log_error("%s with a handle that is no DeviceHandle", name);
        return NULL;
    }
    return nt_irql_check(PASSIVE_LEVEL, name) ? adapter : NULL;
}

/* A resource longer than 32 bits can say goes as memory-large with its length in units of 256 bytes
 * (wdm.h: Length40). */
static void describe_bar(CM_PARTIAL_RESOURCE_DESCRIPTOR *out, uint64_t bus, uint64_t bytes)
{
    *out = (CM_PARTIAL_RESOURCE_DESCRIPTOR){
        .Type = bytes <= UINT32_MAX ? CmResourceTypeMemory : CmResourceTypeMemoryLarge,
        .ShareDisposition = CmResourceShareDeviceExclusive,
        .Flags = CM_RESOURCE_MEMORY_READ_WRITE | (bytes <= UINT32_MAX ? 0 : 0x0200),
    };
    out->u.Memory.Start.QuadPart = (LONGLONG)bus;
    out->u.Memory.Length = (ULONG)(bytes <= UINT32_MAX ? bytes : bytes >> 8);
}

static NTSTATUS get_device_information(HANDLE handle, PDXGK_DEVICE_INFO info)
{
    struct dxgk_adapter *adapter = caller(handle, "DxgkCbGetDeviceInformation");
    struct dxgk_resources *resources;

    if (adapter == NULL || info == NULL)
        return STATUS_INVALID_PARAMETER;
    resources = adapter->resources;
    memset(info, 0, sizeof *info);
    info->MiniportDeviceContext = adapter->hAdapter;
    info->PhysicalDeviceObject = (PDEVICE_OBJECT)(void *)adapter;
    info->TranslatedResourceList = (PCM_RESOURCE_LIST)(void *)resources;
    info->HighestPhysicalAddress.QuadPart = INT64_MAX;
    info->DockingState = DockStateUnsupported;
    return STATUS_SUCCESS;
}

static NTSTATUS map_memory(HANDLE handle, PHYSICAL_ADDRESS address, ULONG length, BOOLEAN io_space,
                           BOOLEAN user_mode, MEMORY_CACHING_TYPE cache, PVOID *va)
{
    struct dxgk_adapter *adapter = caller(handle, "DxgkCbMapMemory");
    uint64_t bus = (uint64_t)address.QuadPart;
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_mapping *mapping;

    UNREFERENCED_PARAMETER(cache);
    if (adapter == NULL || va == NULL || length == 0 || io_space || user_mode)
        return STATUS_INVALID_PARAMETER;
    for (uint32_t bar = 0; bar < DXGK_BARS; bar++) {
        if (bus < adapter->bars[bar].bus ||
            bus - adapter->bars[bar].bus >= adapter->bars[bar].bytes ||
            length > adapter->bars[bar].bytes - (bus - adapter->bars[bar].bus))
            continue;
        mapping = calloc(1, sizeof *mapping);
        if (mapping == NULL)
            return STATUS_NO_MEMORY;
        if (nt_mmio_map(&mmio_ops, adapter, bar, bus - adapter->bars[bar].bus, length, &mapping->va,
                        &error) != 0) {
            log_error("adapter %u: cannot map BAR %u: %s", adapter->index, bar, error.text);
            free(mapping);
            return STATUS_NO_MEMORY;
        }
        *va = mapping->va;
        vf_lock(&adapter->lock);
        mapping->next = adapter->mappings;
        adapter->mappings = mapping;
        vf_unlock(&adapter->lock);
        return STATUS_SUCCESS;
    }
    dxgk_report(adapter, "CAP-7",
                "DxgkCbMapMemory of %u bytes at 0x%" PRIx64 ": in no resource of the device",
                length, bus);
    return STATUS_INVALID_PARAMETER;
}

/* Takes the mapping at va out of the list; any one with va NULL. NULL when there is none. */
static struct dxgk_mapping *take_mapping(struct dxgk_adapter *adapter, const void *va)
{
    struct dxgk_mapping **link = &adapter->mappings;
    struct dxgk_mapping *found;

    vf_lock(&adapter->lock);
    while (*link != NULL && va != NULL && (*link)->va != va)
        link = &(*link)->next;
    found = *link;
    if (found != NULL)
        *link = found->next;
    vf_unlock(&adapter->lock);
    return found;
}

static NTSTATUS unmap_memory(HANDLE handle, PVOID va)
{
    struct dxgk_adapter *adapter = caller(handle, "DxgkCbUnmapMemory");
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_mapping *mapping;

    if (adapter == NULL || va == NULL)
        return STATUS_INVALID_PARAMETER;
    mapping = take_mapping(adapter, va);
    if (mapping == NULL || nt_mmio_unmap(va, &error) != 0) {
        dxgk_report(adapter, "CAP-7", "DxgkCbUnmapMemory of an address that is not mapped");
        free(mapping);
        return STATUS_INVALID_PARAMETER;
    }
    free(mapping);
    return STATUS_SUCCESS;
}

/* Reads or writes what of [offset, offset + length) lies in config space; *bytes = how much. */
static NTSTATUS config_space(struct dxgk_adapter *adapter, bool write, ULONG type, PVOID buffer,
                             ULONG offset, ULONG length, PULONG bytes)
{
    ULONG room = offset < CONFIG_BYTES ? CONFIG_BYTES - offset : 0;
    ULONG count = length < room ? length : room;
    int failed = 0;

    if (adapter == NULL || buffer == NULL || bytes == NULL || type != DXGK_WHICHSPACE_CONFIG)
        return STATUS_INVALID_PARAMETER;
    *bytes = 0;
    if (count != 0)
        failed =
            write ? adapter->ops->config_write(adapter->dev, VF_FUNCTION_PF, offset, buffer, count)
                  : adapter->ops->config_read(adapter->dev, VF_FUNCTION_PF, offset, buffer, count);
    if (failed != 0)
        return STATUS_IO_DEVICE_ERROR;
    *bytes = count;
    return STATUS_SUCCESS;
}

static NTSTATUS read_device_space(HANDLE handle, ULONG type, PVOID buffer, ULONG offset,
                                  ULONG length, PULONG bytes)
{
    return config_space(caller(handle, "DxgkCbReadDeviceSpace"), false, type, buffer, offset,
                        length, bytes);
}

static NTSTATUS write_device_space(HANDLE handle, ULONG type, PVOID buffer, ULONG offset,
                                   ULONG length, PULONG bytes)
{
    return config_space(caller(handle, "DxgkCbWriteDeviceSpace"), true, type, buffer, offset,
                        length, bytes);
}

static NTSTATUS query_services(HANDLE handle, DXGK_SERVICES type, PINTERFACE services)
{
    UNREFERENCED_PARAMETER(handle);
    UNREFERENCED_PARAMETER(type);
    UNREFERENCED_PARAMETER(services);
    return STATUS_NOT_SUPPORTED;
}

/* The MSI-X page is all that is intercepted here, and it never moves: nothing to ask for again. */
static void mitigated_range_update(HANDLE handle, ULONG vf)
{
    if (caller(handle, "DxgkCbMitigatedRangeUpdate") != NULL)
        log_debug("mitigated ranges of VF %u changed", vf);
}

/* Pages for a driver, as MmAllocatePagesForMdl gives them; the handle is the MDL. */
static NTSTATUS allocate_pages_for_mdl(HANDLE handle, DXGKARGCB_ALLOCATEPAGESFORMDL *args)
{
    struct dxgk_adapter *adapter = caller(handle, "DxgkCbAllocatePagesForMdl");

    if (adapter == NULL || args == NULL)
        return STATUS_INVALID_PARAMETER;
    args->pMdl = nt_mdl_alloc(args->TotalBytes);
    args->hMemoryHandle = args->pMdl;
    if (args->pMdl == NULL)
        return STATUS_NO_MEMORY;
    nt_mdl_give(args->pMdl, __builtin_return_address(0));
    return STATUS_SUCCESS;
}

static NTSTATUS free_pages_from_mdl(HANDLE handle, const DXGKARGCB_FREEPAGESFROMMDL *args)
{
    struct dxgk_adapter *adapter = caller(handle, "DxgkCbFreePagesFromMdl");

    if (adapter == NULL || args == NULL)
        return STATUS_INVALID_PARAMETER;
    nt_mdl_free(args->hMemoryHandle); /* what is no MDL, or was freed before, is reported there */
    return STATUS_SUCCESS;
}

/* ---- start and stop ---- */

/* CM_RESOURCE_LIST with room for every BAR and the message interrupt; its tail array is packed to
 * 4 bytes. */
struct dxgk_resources {
    CM_RESOURCE_LIST list; /* holds the first descriptor */
    CM_PARTIAL_RESOURCE_DESCRIPTOR more[MAX_RESOURCES - 1];
};

static int describe_resources(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_resources *resources = calloc(1, sizeof *resources);
    CM_PARTIAL_RESOURCE_LIST *partial;
    CM_PARTIAL_RESOURCE_DESCRIPTOR *next;
    uint64_t bus = BUS_BASE + adapter->index * BUS_ADAPTER;

    if (resources == NULL)
        return vf_fail(err, VF_FAILED, "the resource list: " VF_NO_MEMORY);
    resources->list.Count = 1;
    resources->list.List[0].InterfaceType = PCIBus;
    partial = &resources->list.List[0].PartialResourceList;
    partial->Version = 1;
    partial->Revision = 1;
    next = partial->PartialDescriptors;
    for (uint32_t bar = 0; bar < DXGK_BARS; bar++) {
        struct vf_bar_info info = {.kind = VF_BAR_NONE};

        if (adapter->ops->bar_info(adapter->dev, VF_FUNCTION_PF, bar, &info) != 0 ||
            info.kind == VF_BAR_NONE || info.bytes == 0)
            continue;
        bus = (bus + info.bytes - 1) / info.bytes * info.bytes; /* a BAR is aligned to its size */
        adapter->bars[bar].bus = bus;
        adapter->bars[bar].bytes = info.bytes;
        adapter->bars[bar].kind = info.kind;
        describe_bar(next++, bus, info.bytes);
        partial->Count++;
        bus += info.bytes;
    }
    *next = (CM_PARTIAL_RESOURCE_DESCRIPTOR){
        .Type = CmResourceTypeInterrupt,
        .ShareDisposition = CmResourceShareDeviceExclusive,
        .Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE,
    };
    next->u.MessageInterrupt.Translated.Level = DEVICE_LEVEL;
    next->u.MessageInterrupt.Translated.Affinity = 1;
    partial->Count++;
    adapter->resources = resources;
    return 0;
}

int dxgk_callbacks_start(struct dxgk_adapter *adapter, struct vf_error *err)
{
    if (describe_resources(adapter, err) != 0)
        return -1;
    adapter->callbacks = (DXGKRNL_INTERFACE){
        .Size = sizeof adapter->callbacks,
        .Version = DXGKDDI_INTERFACE_VERSION_WDDM3_2,
        .DeviceHandle = adapter,
        .DxgkCbGetDeviceInformation = get_device_information,
        .DxgkCbMapMemory = map_memory,
        .DxgkCbUnmapMemory = unmap_memory,
        .DxgkCbQueueDpc = dxgk_cb_queue_dpc,
        .DxgkCbQueryServices = query_services,
        .DxgkCbReadDeviceSpace = read_device_space,
        .DxgkCbWriteDeviceSpace = write_device_space,
        .DxgkCbSynchronizeExecution = dxgk_cb_synchronize_execution,
        .DxgkCbNotifyInterrupt = dxgk_cb_notify_interrupt,
        .DxgkCbNotifyDpc = dxgk_cb_notify_dpc,
        .DxgkCbLogEtwEvent = dxgk_cb_log_etw_event,
        .DxgkCbMitigatedRangeUpdate = mitigated_range_update,
        .DxgkCbAllocatePagesForMdl = allocate_pages_for_mdl,
        .DxgkCbFreePagesFromMdl = free_pages_from_mdl,
        .DxgkCbSaveMemoryForHotUpdate = dxgk_cb_save_memory_for_hot_update,
    };
    if (dxgk_adapter_remember(adapter, err) != 0) {
        free(adapter->resources);
        adapter->resources = NULL;
        return -1;
    }
    return 0;
}

void dxgk_callbacks_unmap(struct dxgk_adapter *adapter)
{
    struct dxgk_mapping *mapping;

    while ((mapping = take_mapping(adapter, NULL)) != NULL) {
        struct vf_error error = VF_ERROR_INIT;

        dxgk_report(adapter, "CAP-7", "the driver left a register mapping behind");
        if (nt_mmio_unmap(mapping->va, &error) != 0)
            log_error("adapter %u: %s", adapter->index, error.text);
        free(mapping);
    }
}

void dxgk_callbacks_stop(struct dxgk_adapter *adapter)
{
    dxgk_adapter_forget(adapter);
    dxgk_callbacks_unmap(adapter);
    free(adapter->resources);
    adapter->resources = NULL;
}
