// SPDX-License-Identifier: Apache-2.0
/*
 * The GPU partition interface: how many partitions, what one may get, their creation and end (VF-1
 * to VF-3). A partition's id is its VF's index.
 */
#include "softgpu_kmd.h"

#define SGK_ENGINES 2u /* compute and copy, as SG_QUEUES */

struct sgk_vgpu *sgk_vgpu_acquire(struct sgk_adapter *adapter, ULONG index)
{
    struct sgk_vgpu *vgpu;

    if (index >= adapter->vf_count)
        return NULL;
    vgpu = &adapter->vgpus[index];
    ExAcquireFastMutex(&vgpu->lock);
    if (vgpu->exists)
        return vgpu;
    ExReleaseFastMutex(&vgpu->lock);
    return NULL;
}

void sgk_vgpu_release(struct sgk_vgpu *vgpu)
{
    ExReleaseFastMutex(&vgpu->lock);
}

/* Powers of two up to the card's VFs, and that number itself. Gives how many, fills `room`. */
static ULONG sgk_partition_options(const struct sgk_adapter *adapter, PUSHORT options, ULONG room)
{
    ULONG count = 0, n = 1;

    for (;;) {
        if (count < room)
            options[count] = (USHORT)n;
        count++;
        if (n == adapter->vf_count)
            return count;
        n = n * 2 < adapter->vf_count ? n * 2 : adapter->vf_count;
    }
}

static NTSTATUS sgk_get_gpu_partition_info(HANDLE context, DXGKARG_GETGPUPARTITIONINFO *args)
{
    struct sgk_adapter *adapter = context;
    ULONG room, needed;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    room = args->pGpuPartitionOptions ? args->NumGpuPartitionOptions : 0;
    needed = sgk_partition_options(adapter, args->pGpuPartitionOptions, room);
    args->NumGpuPartitionOptions = needed;
    ExAcquireFastMutex(&adapter->partition_lock);
    args->CurrentGpuPartitionCount = (USHORT)adapter->partition_count;
    ExReleaseFastMutex(&adapter->partition_lock);
    return room < needed ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;
}

/* VRAM promised to vGPUs, in bytes, and how many there are. partition_lock is held. */
static ULONG64 sgk_promised(const struct sgk_adapter *adapter, PULONG existing)
{
    ULONG64 bytes = 0;

    *existing = 0;
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        if (!adapter->vgpus[i].exists)
            continue;
        bytes += adapter->vgpus[i].reserve_bytes;
        (*existing)++;
    }
    return bytes;
}

static NTSTATUS sgk_set_gpu_partition_count(HANDLE context, DXGKARG_SETGPUPARTITIONCOUNT *args)
{
    struct sgk_adapter *adapter = context;
    USHORT options[SG_MAX_VFS];
    ULONG count, existing, i;
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    count = sgk_partition_options(adapter, options, SG_MAX_VFS);
    for (i = 0; i < count && options[i] != args->PartitionCount; i++)
        ;
    if (i == count)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->partition_lock);
    (void)sgk_promised(adapter, &existing);
    if (existing)
        status = STATUS_DEVICE_BUSY; /* VF-1 */
    else
        adapter->partition_count = args->PartitionCount;
    ExReleaseFastMutex(&adapter->partition_lock);
    return status;
}

static const struct {
    DXGK_ENGINE_TYPE type;
    const WCHAR *name;
} sgk_engines[SGK_ENGINES] = {
    [SG_QUEUE_COMPUTE] = {DXGK_ENGINE_TYPE_OTHER, L"Compute"},
    [SG_QUEUE_COPY] = {DXGK_ENGINE_TYPE_COPY, L"Copy"},
};

static NTSTATUS sgk_get_gpu_engines(HANDLE context, DXGKARG_GETGPUENGINES *args)
{
    struct sgk_adapter *adapter = context;
    ULONG room;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    room = args->NumEngines;
    args->NumEngines = SGK_ENGINES;
    if (room < SGK_ENGINES)
        return STATUS_BUFFER_TOO_SMALL;
    for (ULONG i = 0; i < SGK_ENGINES; i++) {
        DXGK_GPUENGINE *engine = &args->EngineInfo[i];

        RtlZeroMemory(engine, sizeof(*engine));
        engine->EngineType = sgk_engines[i].type;
        for (ULONG c = 0; sgk_engines[i].name[c]; c++)
            engine->Name[c] = sgk_engines[i].name[c];
        engine->NumPartitionUnits = adapter->vf_count;
    }
    return STATUS_SUCCESS;
}

/* Only memory is divided by amount. The engines have no codecs and no floating point: those
 * stay zero. */
static NTSTATUS sgk_get_virtual_gpu_profile(HANDLE context, DXGKARG_GETVIRTUALGPUPROFILE *args)
{
    struct sgk_adapter *adapter = context;
    DXGK_VGPU_PROFILE_CAPABILITY *memory;
    ULONG64 alignment, promised;
    ULONG existing;

    PAGED_CODE();
    if (!adapter || !args || args->PartitionCount == 0 || args->PartitionCount > adapter->vf_count)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->partition_lock);
    promised = sgk_promised(adapter, &existing);
    ExReleaseFastMutex(&adapter->partition_lock);

    alignment = sgk_reserve_alignment(adapter);
    args->VirtualizationFlags = 0;
    RtlZeroMemory(args->ProfileCapability, sizeof(args->ProfileCapability));
    memory = &args->ProfileCapability[DXGK_VGPU_CAPABILITY_MEMORY];
    memory->TotalValue = adapter->vram_bytes;
    memory->AvailableValue = adapter->vram_bytes - promised;
    memory->MinPartitionValue = alignment;
    memory->MaxPartitionValue = ALIGN_DOWN_BY(adapter->vram_bytes, alignment);
    memory->OptimalPartitionValue =
        ALIGN_DOWN_BY(adapter->vram_bytes / args->PartitionCount, alignment);
    return STATUS_SUCCESS;
}

static void sgk_describe_resources(const struct sgk_adapter *adapter, const struct sgk_vgpu *vgpu,
                                   DXGKARG_CREATEVIRTUALGPU *args)
{
    DXGK_VIRTUALGPUSEGMENTINFO *segment = &args->SegmentInfo[0];

    RtlZeroMemory(args->SegmentInfo, sizeof(args->SegmentInfo));
    RtlZeroMemory(args->EngineInfo, sizeof(args->EngineInfo));
    args->NumMemorySegments = 1;
    segment->DriverSegmentId = SGK_SEGMENT_VRAM;
    segment->Size = vgpu->reserve_bytes;
    segment->Alignment = sgk_reserve_alignment(adapter);
    segment->MaxSegmentOffset = adapter->vram_bytes;
    args->NumEngines = SGK_ENGINES;
    for (ULONG i = 0; i < SGK_ENGINES; i++) {
        args->EngineInfo[i].MinPartitionUnits = 1;
        args->EngineInfo[i].MaxPartitionUnits = adapter->vf_count;
        args->EngineInfo[i].EngineId = i;
    }
}

/* The VF as a tenant must find it: reset, unmapped, out of the schedule. */
static NTSTATUS sgk_vf_clean(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu)
{
    NTSTATUS status;

    vgpu->powered = FALSE;
    vgpu->paused = FALSE;
    sgk_schedule_apply(adapter, index, vgpu);
    status = sgk_schedule_wait_quiet(adapter, index);
    sgk_write(adapter, SG_VFC(index, SG_VFC_RESET), 1);
    sgk_write(adapter, SG_VFC(index, SG_VFC_LEND), 0);
    sgk_write(adapter, SG_VFC(index, SG_VFC_WEIGHT), SGK_DEFAULT_WEIGHT);
    for (ULONG vector = 0; vector < SG_MSIX_VECTORS; vector++)
        sgk_msix_write(adapter, index, vector, 0, 0, TRUE);
    return status;
}

static NTSTATUS sgk_create_virtual_gpu(HANDLE context, DXGKARG_CREATEVIRTUALGPU *args)
{
    struct sgk_adapter *adapter = context;
    const DXGK_VIRTUALGPUCAPABILITY *memory;
    struct sgk_vgpu *vgpu;
    ULONG64 bytes, promised;
    ULONG existing;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    memory = &args->Profile.Capability[DXGK_VGPU_CAPABILITY_MEMORY];
    bytes = memory->OptimalValue ? memory->OptimalValue : memory->MinValue;
    if (bytes == 0 || bytes % sgk_reserve_alignment(adapter))
        return STATUS_INVALID_PARAMETER;

    ExAcquireFastMutex(&adapter->partition_lock);
    promised = sgk_promised(adapter, &existing);
    if (args->PartitionId >= adapter->partition_count) {
        status = STATUS_INVALID_PARAMETER;
    } else if (adapter->vgpus[args->PartitionId].exists) {
        status = STATUS_OBJECT_NAME_COLLISION;
    } else if (bytes > adapter->vram_bytes - promised) {
        status = STATUS_GRAPHICS_NO_VIDEO_MEMORY;
    } else {
        vgpu = &adapter->vgpus[args->PartitionId];
        ExAcquireFastMutex(&vgpu->lock);
        status = sgk_vf_clean(adapter, args->PartitionId, vgpu);
        if (NT_SUCCESS(status)) {
            vgpu->exists = TRUE;
            sgk_history_set(vgpu, &(struct sgk_history){0});
            vgpu->reserve_bytes = bytes;
            vgpu->umed_class = args->UserModeVirtualDeviceProvider;
            vgpu->luid = args->VirtualGpuLuid;
            sgk_describe_resources(adapter, vgpu, args);
        }
        ExReleaseFastMutex(&vgpu->lock);
    }
    ExReleaseFastMutex(&adapter->partition_lock);
    return status;
}

static NTSTATUS sgk_get_virtual_gpu_info(HANDLE context, DXGKARG_GETVIRTUALGPUINFO *args)
{
    struct sgk_adapter *adapter = context;
    DXGK_VGPU_CAPABILITY *memory;
    struct sgk_vgpu *vgpu;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, args->PartitionId);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    RtlZeroMemory(args->Capability, sizeof(args->Capability));
    memory = &args->Capability[DXGK_VGPU_CAPABILITY_MEMORY];
    memory->MinValue = vgpu->reserve_bytes; /* a reserve is fixed for life */
    memory->MaxValue = vgpu->reserve_bytes;
    memory->CurrentValue = vgpu->reserve_bytes;
    sgk_vgpu_release(vgpu);
    return STATUS_SUCCESS;
}

/* Both locks are held. The VF stops before its memory goes; what the memory held is the OS's to
 * wipe (VF-3). */
static NTSTATUS sgk_vgpu_destroy(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu)
{
    NTSTATUS status;

    sgk_migration_release(adapter, index, vgpu);
    status = sgk_vf_clean(adapter, index, vgpu);
    if (!NT_SUCCESS(status))
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                   "softgpu: VF %u did not stop before its reset\n", index);
    sgk_reserve_drop(adapter, index, vgpu);
    vgpu->exists = FALSE;
    vgpu->reserve_bytes = 0;
    RtlZeroMemory(&vgpu->umed_class, sizeof(vgpu->umed_class));
    RtlZeroMemory(&vgpu->luid, sizeof(vgpu->luid));
    return STATUS_SUCCESS; /* the reset stopped it for good: nothing of it runs any more */
}

static NTSTATUS sgk_destroy_virtual_gpu(HANDLE context, DXGKARG_DESTROYVIRTUALGPU *args)
{
    struct sgk_adapter *adapter = context;
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_INVALID_PARAMETER;

    PAGED_CODE();
    if (!adapter || !args)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->partition_lock);
    vgpu = sgk_vgpu_acquire(adapter, args->PartitionId);
    if (vgpu) {
        status = sgk_vgpu_destroy(adapter, args->PartitionId, vgpu);
        sgk_vgpu_release(vgpu);
    }
    ExReleaseFastMutex(&adapter->partition_lock);
    return status;
}

void sgk_partition_drop_all(struct sgk_adapter *adapter)
{
    ExAcquireFastMutex(&adapter->partition_lock);
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        struct sgk_vgpu *vgpu = sgk_vgpu_acquire(adapter, i);

        if (!vgpu)
            continue;
        (void)sgk_vgpu_destroy(adapter, i, vgpu);
        sgk_vgpu_release(vgpu);
    }
    ExReleaseFastMutex(&adapter->partition_lock);
}

void sgk_partition_forget_all(struct sgk_adapter *adapter)
{
    for (ULONG i = 0; i < adapter->vf_count; i++) {
        struct sgk_vgpu *vgpu = &adapter->vgpus[i];

        if (vgpu->extents)
            ExFreePoolWithTag(vgpu->extents, SGK_TAG_EXTENTS);
        vgpu->extents = NULL;
        vgpu->extent_count = 0;
        vgpu->exists = FALSE;
    }
}

/* VF-2: the OS never calls these two. */
static NTSTATUS sgk_suspend_virtual_gpu(HANDLE context, DXGKARG_SUSPENDVIRTUALGPU *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS sgk_resume_virtual_gpu(HANDLE context, DXGKARG_RESUMEVIRTUALGPU *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

static NTSTATUS sgk_virtual_gpu_driver_escape(HANDLE context, PDXGK_VIRTUALGPUDRIVERESCAPE args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

/* A partition is driven through its BARs alone: there is no side channel to the guest. */
static NTSTATUS sgk_set_virtual_gpu_vm_bus(HANDLE context, DXGKARG_SETVIRTUALGPUVMBUS *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_NOT_SUPPORTED;
}

NTSTATUS sgk_partition_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query)
{
    DXGKDDI_GPU_PARTITION_INTERFACE *table =
        (DXGKDDI_GPU_PARTITION_INTERFACE *)(PVOID)query->Interface;

    if (query->Version != DXGKDDI_GPU_PARTITION_INTERFACE_VERSION)
        return STATUS_NOT_SUPPORTED;
    if (query->Size < sizeof(*table))
        return STATUS_INVALID_PARAMETER;
    *table = (DXGKDDI_GPU_PARTITION_INTERFACE){
        .Size = sizeof(*table),
        .Version = DXGKDDI_GPU_PARTITION_INTERFACE_VERSION,
        .Context = adapter,
        .InterfaceReference = sgk_interface_reference,
        .InterfaceDereference = sgk_interface_dereference,
        .DxgkDdiGetGpuPartitionInfo = sgk_get_gpu_partition_info,
        .DxgkDdiSetGpuPartitionCount = sgk_set_gpu_partition_count,
        .DxgkDdiGetGpuEngines = sgk_get_gpu_engines,
        .DxgkDdiGetVirtualGpuProfile = sgk_get_virtual_gpu_profile,
        .DxgkDdiCreateVirtualGpu = sgk_create_virtual_gpu,
        .DxgkDdiGetVirtualGpuInfo = sgk_get_virtual_gpu_info,
        .DxgkDdiSetVirtualGpuResources = sgk_set_virtual_gpu_resources,
        .DxgkDdiDestroyVirtualGpu = sgk_destroy_virtual_gpu,
        .DxgkDdiSuspendVirtualGpu = sgk_suspend_virtual_gpu,
        .DxgkDdiResumeVirtualGpu = sgk_resume_virtual_gpu,
        .DxgkDdiVirtualGpuDriverEscape = sgk_virtual_gpu_driver_escape,
        .DxgkDdiSetVirtualGpuVmBus = sgk_set_virtual_gpu_vm_bus,
    };
    sgk_interface_reference(adapter);
    return STATUS_SUCCESS;
}
