// SPDX-License-Identifier: Apache-2.0
/*
 * What the adapter can do (CAP-1 to CAP-6). Every answer checks the buffer the OS gives for it.
 */
#include "softgpu_kmd.h"

BOOLEAN sgk_scatters(const struct sgk_adapter *adapter)
{
    return (adapter->features & SG_FEATURE_SCATTER) != 0;
}

BOOLEAN sgk_performant(const struct sgk_adapter *adapter)
{
    return (adapter->features & SG_FEATURE_DIRTY_PERFORMANT) != 0;
}

ULONG sgk_reserve_alignment(const struct sgk_adapter *adapter)
{
    ULONG dirty = 1u << adapter->dirty_shift;

    if (sgk_scatters(adapter))
        return 1u << adapter->scatter_shift;
    return dirty > 0x10000u ? dirty : 0x10000u; /* 64 KiB: what the copy engines like best */
}

/* The output buffer as a zeroed struct, or NULL when it is too small for one. */
static PVOID sgk_output(const DXGKARG_QUERYADAPTERINFO *args, SIZE_T bytes)
{
    if (!args->pOutputData || args->OutputDataSize < bytes)
        return NULL;
    RtlZeroMemory(args->pOutputData, bytes);
    return args->pOutputData;
}

/* The input as a 32-bit number: a segment id, a level, an adapter index. */
static BOOLEAN sgk_input(const DXGKARG_QUERYADAPTERINFO *args, PULONG value)
{
    if (!args->pInputData || args->InputDataSize < sizeof(*value))
        return FALSE;
    RtlCopyMemory(value, args->pInputData, sizeof(*value));
    return TRUE;
}

static NTSTATUS sgk_driver_caps(const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_DRIVERCAPS *caps = sgk_output(args, sizeof(*caps));

    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->HighestAcceptableAddress.QuadPart = -1;
    caps->WDDMVersion = DXGKDDI_WDDMv3_2;
    caps->SchedulingCaps.MultiEngineAware = 1;
    caps->SchedulingCaps.PreemptionAware = 1;
    caps->SchedulingCaps.NoDmaPatching = 1;
    caps->MemoryManagementCaps.DedicatedPagingEngine = 1;
    caps->MemoryManagementCaps.VirtualAddressingSupported = 1;
    caps->MemoryManagementCaps.GpuMmuSupported = 1;
    caps->MemoryManagementCaps.PagingNode = SGK_NODE_PAGING;
    caps->GpuEngineTopology.NbAsymetricProcessingNodes = 1;
    caps->PreemptionCaps.GraphicsPreemptionGranularity =
        D3DKMDT_GRAPHICS_PREEMPTION_DMA_BUFFER_BOUNDARY;
    caps->PreemptionCaps.ComputePreemptionGranularity =
        D3DKMDT_COMPUTE_PREEMPTION_DMA_BUFFER_BOUNDARY;
    caps->SupportNonVGA = TRUE;
    caps->SupportPerEngineTDR = TRUE;
    caps->MiscCaps.ComputeOnly = 1;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_query_segment4(const struct sgk_adapter *adapter,
                                   const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_QUERYSEGMENTOUT4 *out = args->pOutputData;
    DXGK_SEGMENTDESCRIPTOR4 *segment;

    if (!out || args->OutputDataSize < sizeof(*out))
        return STATUS_BUFFER_TOO_SMALL;
    if (out->pSegmentDescriptor) {
        if (out->NbSegment < 1 || out->SegmentDescriptorStride < sizeof(*segment))
            return STATUS_BUFFER_TOO_SMALL;
        segment = (DXGK_SEGMENTDESCRIPTOR4 *)(PVOID)out->pSegmentDescriptor;
        RtlZeroMemory(segment, sizeof(*segment));
        segment->Size = adapter->vram_bytes;
        segment->CommitLimit = adapter->vram_bytes;
        segment->Flags.PreservedDuringStandby = 1;
    }
    out->NbSegment = 1;
    out->PagingBufferSegmentId = SGK_SEGMENT_SYSTEM; /* all of VRAM can go to partitions */
    out->PagingBufferSize = SGK_PAGING_BUFFER_BYTES;
    out->PagingBufferPrivateDataSize = 0;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_gpu_mmu_caps(const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_GPUMMUCAPS *caps = sgk_output(args, sizeof(*caps));

    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->ReadOnlyMemorySupported = 1;
    caps->ExplicitPageTableInvalidation = 1; /* entries are cached until FLUSH_TLB */
    caps->LargePageSupported = 1;
    caps->PageTableUpdateMode = DXGK_PAGETABLEUPDATE_CPU_VIRTUAL;
    caps->VirtualAddressBitCount = SG_VA_BITS;
    caps->PageTableLevelCount = SG_LEVELS;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_page_table_level(const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_PAGE_TABLE_LEVEL_DESC *desc;
    ULONG level;

    if (!sgk_input(args, &level) || level >= SG_LEVELS)
        return STATUS_INVALID_PARAMETER;
    desc = sgk_output(args, sizeof(*desc));
    if (!desc)
        return STATUS_BUFFER_TOO_SMALL;
    desc->PageTableIndexBitCount = SG_LEVEL_BITS;
    desc->PageTableSegmentId = SGK_SEGMENT_SYSTEM;
    desc->PagingProcessPageTableSegmentId = SGK_SEGMENT_SYSTEM;
    desc->PageTableSizeInBytes = sizeof(ULONG64) << SG_LEVEL_BITS;
    desc->PageTableAlignmentInBytes = PAGE_SIZE;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_physical_adapter_caps(const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_PHYSICALADAPTERCAPS *caps = sgk_output(args, sizeof(*caps));

    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->NumExecutionNodes = 1;
    caps->PagingNodeIndex = SGK_NODE_PAGING;
    caps->Flags.GpuMmuSupported = 1;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_gpup_caps(const struct sgk_adapter *adapter,
                              const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_GPUPCAPS *caps = sgk_output(args, sizeof(*caps));

    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->Caps.HotDriverUpdate = 1;
    caps->Caps.LiveMigration = 1;
    caps->Caps.ScatterMapReserve = sgk_scatters(adapter) ? 1 : 0;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_tracking_caps(const struct sgk_adapter *adapter,
                                  const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_DIRTY_BIT_TRACKING_CAPS *caps = sgk_output(args, sizeof(*caps));

    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->DirtyBitTrackingSupported = 1;
    caps->DirtyBitTrackingPerformant = sgk_performant(adapter) ? 1 : 0;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_tracking_segment_caps(const struct sgk_adapter *adapter,
                                          const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS *caps;
    ULONG segment;

    if (!sgk_input(args, &segment))
        return STATUS_INVALID_PARAMETER;
    if (segment != SGK_SEGMENT_VRAM)
        return STATUS_NOT_IMPLEMENTED; /* CAP-3: no bitplane there */
    caps = sgk_output(args, sizeof(*caps));
    if (!caps)
        return STATUS_BUFFER_TOO_SMALL;
    caps->PageSize = 1u << adapter->dirty_shift;
    return STATUS_SUCCESS;
}

static NTSTATUS sgk_scatter_reserve(const struct sgk_adapter *adapter,
                                    const DXGKARG_QUERYADAPTERINFO *args)
{
    DXGK_QUERYSCATTERRESERVEOUT *out;
    ULONG segment;

    if (!sgk_scatters(adapter))
        return STATUS_NOT_SUPPORTED;
    if (!sgk_input(args, &segment) || segment != SGK_SEGMENT_VRAM)
        return STATUS_INVALID_PARAMETER;
    out = sgk_output(args, sizeof(*out));
    if (!out)
        return STATUS_BUFFER_TOO_SMALL;
    out->SetVGPUResourcesPageSize = 1ull << adapter->scatter_shift;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_query_adapter_info(HANDLE hAdapter, const DXGKARG_QUERYADAPTERINFO *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;

    PAGED_CODE();
    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    switch (pArgs->Type) {
    case DXGKQAITYPE_DRIVERCAPS:
        return sgk_driver_caps(pArgs);
    case DXGKQAITYPE_QUERYSEGMENT4:
        return sgk_query_segment4(adapter, pArgs);
    case DXGKQAITYPE_GPUMMUCAPS:
        return sgk_gpu_mmu_caps(pArgs);
    case DXGKQAITYPE_PAGETABLELEVELDESC:
        return sgk_page_table_level(pArgs);
    case DXGKQAITYPE_PHYSICALADAPTERCAPS:
        return sgk_physical_adapter_caps(pArgs);
    case DXGKQAITYPE_GPUPCAPS:
        return sgk_gpup_caps(adapter, pArgs);
    case DXGKQAITYPE_DIRTYBITTRACKINGCAPS:
        return sgk_tracking_caps(adapter, pArgs);
    case DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS:
        return sgk_tracking_segment_caps(adapter, pArgs);
    case DXGKQAITYPE_SCATTER_RESERVE:
        return sgk_scatter_reserve(adapter, pArgs);
    default:
        return STATUS_NOT_SUPPORTED;
    }
}
