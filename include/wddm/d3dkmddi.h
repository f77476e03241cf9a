// SPDX-License-Identifier: Apache-2.0
/*
 * The rendering, paging and live migration DDI of a display miniport, for interface version
 * WDDM 3.2 only. Layouts are those of Windows x64 and are held by tests/abi; rule ids are those of
 * the contract.
 */
#ifndef WDDM_D3DKMDDI_H
#define WDDM_D3DKMDDI_H

#include "wdm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DXGKDDI_INTERFACE_VERSION_WDDM2_0 0x5023
#define DXGKDDI_INTERFACE_VERSION_WDDM2_1 0x6003
#define DXGKDDI_INTERFACE_VERSION_WDDM2_2 0x700A
#define DXGKDDI_INTERFACE_VERSION_WDDM2_3 0x8001
#define DXGKDDI_INTERFACE_VERSION_WDDM2_4 0x9006
#define DXGKDDI_INTERFACE_VERSION_WDDM2_5 0xA00B
#define DXGKDDI_INTERFACE_VERSION_WDDM2_6 0xB004
#define DXGKDDI_INTERFACE_VERSION_WDDM2_7 0xC004
#define DXGKDDI_INTERFACE_VERSION_WDDM2_8 0xD001
#define DXGKDDI_INTERFACE_VERSION_WDDM2_9 0xE003
#define DXGKDDI_INTERFACE_VERSION_WDDM3_0 0xF003
#define DXGKDDI_INTERFACE_VERSION_WDDM3_1 0x10004
/* 0x11008 in later WDKs; the tables are the same. */
#define DXGKDDI_INTERFACE_VERSION_WDDM3_2 0x11007
#define DXGKDDI_INTERFACE_VERSION DXGKDDI_INTERFACE_VERSION_WDDM3_2

#define DXGK_MAX_ASYMETRICAL_PROCESSING_NODES 64
#define DXGK_MAX_METADATA_NAME_LENGTH 32
#define DXGKDDI_PARTITION_EVENT_DESCRIPTION_MAX 255

typedef UINT64 D3DGPU_VIRTUAL_ADDRESS;
typedef UINT64 D3DGPU_SIZE_T;
typedef UINT D3DDDI_VIDEO_PRESENT_SOURCE_ID;
typedef UINT D3DDDI_VIDEO_PRESENT_TARGET_ID;

typedef struct _D3DGPU_PHYSICAL_ADDRESS {
    UINT SegmentId; /* 0 is system memory */
    UINT Padding;
    UINT64 SegmentOffset;
} D3DGPU_PHYSICAL_ADDRESS;

typedef enum D3DDDI_FLIPINTERVAL_TYPE {
    D3DDDI_FLIPINTERVAL_IMMEDIATE = 0,
    D3DDDI_FLIPINTERVAL_ONE = 1,
    D3DDDI_FLIPINTERVAL_TWO = 2,
    D3DDDI_FLIPINTERVAL_THREE = 3,
    D3DDDI_FLIPINTERVAL_FOUR = 4,
    D3DDDI_FLIPINTERVAL_IMMEDIATE_ALLOW_TEARING = 5
} D3DDDI_FLIPINTERVAL_TYPE;

typedef enum _DXGK_MEMORY_CACHING_TYPE {
    DXGK_MEMORY_CACHING_TYPE_NON_CACHED = 0,
    DXGK_MEMORY_CACHING_TYPE_CACHED = 1,
    DXGK_MEMORY_CACHING_TYPE_WRITE_COMBINED = 2
} DXGK_MEMORY_CACHING_TYPE;

typedef enum DXGK_ENGINE_TYPE {
    DXGK_ENGINE_TYPE_OTHER = 0,
    DXGK_ENGINE_TYPE_3D = 1,
    DXGK_ENGINE_TYPE_VIDEO_DECODE = 2,
    DXGK_ENGINE_TYPE_VIDEO_ENCODE = 3,
    DXGK_ENGINE_TYPE_VIDEO_PROCESSING = 4,
    DXGK_ENGINE_TYPE_SCENE_ASSEMBLY = 5,
    DXGK_ENGINE_TYPE_COPY = 6,
    DXGK_ENGINE_TYPE_OVERLAY = 7,
    DXGK_ENGINE_TYPE_CRYPTO = 8,
    DXGK_ENGINE_TYPE_VIDEO_CODEC = 9,
    DXGK_ENGINE_TYPE_MAX = 10
} DXGK_ENGINE_TYPE;

/* ---- QueryAdapterInfo */

typedef enum _DXGK_QUERYADAPTERINFOTYPE {
    DXGKQAITYPE_UMDRIVERPRIVATE = 0,
    DXGKQAITYPE_DRIVERCAPS = 1,
    DXGKQAITYPE_QUERYSEGMENT = 2,
    DXGKQAITYPE_RESERVED = 3,
    DXGKQAITYPE_QUERYSEGMENT2 = 4,
    DXGKQAITYPE_QUERYSEGMENT3 = 5,
    DXGKQAITYPE_NUMPOWERCOMPONENTS = 6,
    DXGKQAITYPE_POWERCOMPONENTINFO = 7,
    DXGKQAITYPE_PREFERREDGPUNODE = 8,
    DXGKQAITYPE_POWERCOMPONENTPSTATEINFO = 9,
    DXGKQAITYPE_HISTORYBUFFERPRECISION = 10,
    DXGKQAITYPE_QUERYSEGMENT4 = 11,
    DXGKQAITYPE_SEGMENTMEMORYSTATE = 12,
    DXGKQAITYPE_GPUMMUCAPS = 13,
    DXGKQAITYPE_PAGETABLELEVELDESC = 14,
    DXGKQAITYPE_PHYSICALADAPTERCAPS = 15,
    DXGKQAITYPE_DISPLAY_DRIVERCAPS_EXTENSION = 16,
    DXGKQAITYPE_INTEGRATED_DISPLAY_DESCRIPTOR = 17,
    DXGKQAITYPE_UEFIFRAMEBUFFERRANGES = 18,
    DXGKQAITYPE_QUERYCOLORIMETRYOVERRIDES = 19,
    DXGKQAITYPE_DISPLAYID_DESCRIPTOR = 20,
    DXGKQAITYPE_FRAMEBUFFERSAVESIZE = 21,
    DXGKQAITYPE_HARDWARERESERVEDRANGES = 22,
    DXGKQAITYPE_INTEGRATED_DISPLAY_DESCRIPTOR2 = 23,
    DXGKQAITYPE_NODEPERFDATA = 24,
    DXGKQAITYPE_ADAPTERPERFDATA = 25,
    DXGKQAITYPE_ADAPTERPERFDATA_CAPS = 26,
    DXGKQAITYPE_GPUVERSION = 27,
    DXGKQAITYPE_DEVICE_TYPE_CAPS = 28,
    DXGKQAITYPE_WDDMDEVICECAPS = 29,
    DXGKQAITYPE_GPUPCAPS = 30,
    DXGKQAITYPE_QUERYTARGETGAMMACAPS = 31,
    DXGKQAITYPE_SCANOUT_CAPS = 33,
    DXGKQAITYPE_PHYSICAL_MEMORY_CAPS = 34,
    DXGKQAITYPE_IOMMU_CAPS = 35,
    DXGKQAITYPE_HARDWARERESERVEDRANGES2 = 36,
    DXGKQAITYPE_NATIVE_FENCE_CAPS = 37,
    DXGKQAITYPE_USERMODESUBMISSION_CAPS = 38,
    DXGKQAITYPE_DIRTYBITTRACKINGCAPS = 39,
    DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS = 40,
    DXGKQAITYPE_SCATTER_RESERVE = 41,
    DXGKQAITYPE_QUERYPAGINGBUFFERINFO = 42,
    DXGKQAITYPE_QUERYSEGMENTCOUNT = 43,
    DXGKQAITYPE_QUERYSEGMENT5 = 44,
    DXGKQAITYPE_QUERYMMUCOUNT = 45,
    DXGKQAITYPE_QUERYMMUS = 46,
    DXGKQAITYPE_64BITONLYCAPS = 47,
    DXGKQAITYPE_PAGINGPROCESSGPUVASIZE = 48
} DXGK_QUERYADAPTERINFOTYPE;

typedef struct _DXGK_QUERYADAPTERINFOFLAGS {
    union {
        struct {
            UINT VirtualMachineData : 1;
            UINT SecureVirtualMachine : 1;
            UINT Reserved : 30;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_QUERYADAPTERINFOFLAGS;

typedef struct _DXGKARG_QUERYADAPTERINFO {
    DXGK_QUERYADAPTERINFOTYPE Type;
    VOID *pInputData;
    UINT InputDataSize;
    VOID *pOutputData;
    UINT OutputDataSize;
    DXGK_QUERYADAPTERINFOFLAGS Flags;
    HANDLE hKmdProcessHandle;
} DXGKARG_QUERYADAPTERINFO;

/* CAP-1: output of DXGKQAITYPE_GPUPCAPS. Its page has a second arm, for kits before WDDM 3.2, in
 * which the last two bits are reserved. */
typedef struct _DXGK_GPUPCAPS {
    union {
        struct {
            UINT VirtualMachineHibernation : 1;
            UINT HotDriverUpdate : 1;
            UINT LiveMigration : 1;
            UINT ScatterMapReserve : 1;
            UINT Reserved : 28;
        } WDDM_BITS;
        UINT Value;
    } Caps;
} DXGK_GPUPCAPS;

/* CAP-2 */
typedef struct _DXGK_DIRTY_BIT_TRACKING_CAPS {
    union {
        struct {
            UINT DirtyBitTrackingSupported : 1;
            UINT DirtyBitTrackingPerformant : 1;
            UINT Reserved : 30;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_DIRTY_BIT_TRACKING_CAPS;

/*
 * CAP-3. The input is the segment id. Its width is not documented; it is a UINT here.
 */
typedef struct _DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS {
    UINT PageSize; /* bytes a dirty bit stands for: a power of two >= 4096 */
} DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS;

/* CAP-5 */
typedef struct _DXGK_QUERYSCATTERRESERVEIN {
    UINT SegmentId;
} DXGK_QUERYSCATTERRESERVEIN;

typedef struct _DXGK_QUERYSCATTERRESERVEOUT {
    UINT64 SetVGPUResourcesPageSize; /* bytes */
} DXGK_QUERYSCATTERRESERVEOUT;

typedef struct _DXGK_SEGMENTFLAGS {
    union {
        struct {
            UINT Aperture : 1;
            UINT Agp : 1;
            UINT CpuVisible : 1;
            UINT UseBanking : 1;
            UINT CacheCoherent : 1;
            UINT PitchAlignment : 1;
            UINT PopulatedFromSystemMemory : 1;
            UINT PreservedDuringStandby : 1;
            UINT PreservedDuringHibernate : 1;
            UINT PartiallyPreservedDuringHibernate : 1;
            UINT DirectFlip : 1;
            UINT Use64KBPages : 1;
            UINT ReservedSysMem : 1;
            UINT SupportsCpuHostAperture : 1;
            UINT SupportsCachedCpuHostAperture : 1;
            UINT ApplicationTarget : 1;
            UINT VprSupported : 1;
            UINT VprPreservedDuringStandby : 1;
            UINT EncryptedPagingSupported : 1;
            UINT LocalBudgetGroup : 1;
            UINT NonLocalBudgetGroup : 1;
            UINT PopulatedByReservedDDRByFirmware : 1;
            UINT Reserved : 10;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_SEGMENTFLAGS;

typedef struct _DXGK_CPUHOSTAPERTURE {
    PHYSICAL_ADDRESS PhysicalAddress;
    UINT32 SizeInPages;
} DXGK_CPUHOSTAPERTURE;

typedef struct _DXGK_MEMORYRANGE {
    UINT64 SegmentOffset; /* bytes */
    UINT64 SizeInBytes;
} DXGK_MEMORYRANGE;

typedef struct _DXGK_QUERYSEGMENTIN4 {
    UINT PhysicalAdapterIndex;
} DXGK_QUERYSEGMENTIN4;

/* The first call has pSegmentDescriptor NULL and asks for NbSegment; segment ids are 1-based. */
typedef struct _DXGK_SEGMENTDESCRIPTOR4 {
    DXGK_SEGMENTFLAGS Flags;
    D3DGPU_VIRTUAL_ADDRESS BaseAddress;
    SIZE_T Size;
    SIZE_T CommitLimit;
    SIZE_T SystemMemoryEndAddress;
    union {
        PHYSICAL_ADDRESS CpuTranslatedAddress;
        DXGK_CPUHOSTAPERTURE CpuHostAperture;
    };
    UINT NumInvalidMemoryRanges;
    SIZE_T VprRangeStartOffset;
    SIZE_T VprRangeSize;
    UINT VprAlignment;
    UINT NumVprSupported;
    UINT VprReserveSize;
    UINT NumUEFIFrameBufferRanges;
} DXGK_SEGMENTDESCRIPTOR4;

typedef struct _DXGK_QUERYSEGMENTOUT4 {
    UINT NbSegment;
    BYTE *pSegmentDescriptor; /* stride SegmentDescriptorStride */
    UINT PagingBufferSegmentId;
    UINT PagingBufferSize; /* bytes */
    UINT PagingBufferPrivateDataSize; /* bytes */
    SIZE_T SegmentDescriptorStride;
} DXGK_QUERYSEGMENTOUT4;

/* Its page names NumInvalidMemoryRanges a second time behind the union: the branch of an #if. */
typedef struct _DXGK_QUERYSEGMENTMEMORYSTATE {
    WORD DriverSegmentId;
    WORD PhysicalAdapterIndex;
    union {
        UINT NumInvalidMemoryRanges;
        UINT NumUEFIFrameBufferRanges;
    };
    DXGK_MEMORYRANGE *pMemoryRanges;
} DXGK_QUERYSEGMENTMEMORYSTATE;

typedef enum _DXGK_PAGETABLEUPDATEMODE {
    DXGK_PAGETABLEUPDATE_CPU_VIRTUAL = 0,
    DXGK_PAGETABLEUPDATE_GPU_VIRTUAL = 1,
    DXGK_PAGETABLEUPDATE_GPU_PHYSICAL = 2
} DXGK_PAGETABLEUPDATEMODE;

/* CAP-6: DXGKQAITYPE_GPUMMUCAPS, no input. */
typedef struct _DXGK_GPUMMUCAPS {
    union {
        struct {
            UINT ReadOnlyMemorySupported : 1;
            UINT NoExecuteMemorySupported : 1;
            UINT ZeroInPteSupported : 1;
            UINT ExplicitPageTableInvalidation : 1;
            UINT CacheCoherentMemorySupported : 1;
            UINT PageTableUpdateRequireAddressSpaceIdle : 1;
            UINT LargePageSupported : 1;
            UINT DualPteSupported : 1;
            UINT AllowNonAlignedLargePageAddress : 1;
            UINT SysMem64KBPageSupported : 1;
            UINT InvalidTlbEntriesNotCached : 1;
            UINT SysMemLargePageSupported : 1;
            UINT CachedPageTables : 1;
            UINT Reserved : 19;
        } WDDM_BITS;
        UINT Value;
    };
    DXGK_PAGETABLEUPDATEMODE PageTableUpdateMode;
    UINT VirtualAddressBitCount;
    UINT LeafPageTableSizeFor64KPagesInBytes;
    UINT PageTableLevelCount;
    struct {
        UINT SourcePageTableVaInTransfer : 1;
        UINT Reserved : 31;
    } WDDM_BITS LegacyBehaviors;
} DXGK_GPUMMUCAPS;

/* CAP-6: DXGKQAITYPE_PAGETABLELEVELDESC; the input is a UINT, the level, 0 being the leaf. */
typedef struct _DXGK_PAGE_TABLE_LEVEL_DESC {
    UINT PageTableIndexBitCount;
    UINT PageTableSegmentId; /* 0 is system memory */
    UINT PagingProcessPageTableSegmentId;
    UINT PageTableSizeInBytes;
    UINT PageTableAlignmentInBytes;
} DXGK_PAGE_TABLE_LEVEL_DESC;

typedef struct _DXGK_PHYSICALADAPTERFLAGS {
    union {
        struct {
            UINT IoMmuSupported : 1;
            UINT GpuMmuSupported : 1;
            UINT MovePagingSupported : 1;
            UINT VPRPagingContextRequired : 1;
            UINT AllowHardwareProtectedNoVpr : 1;
            UINT VirtualCopyEngineSupported : 1;
            UINT GpuVaIommuRequired : 1;
            UINT GpuVaIommuGlobalRequired : 1;
            UINT GpuVaIommuCacheCoherent : 1;
            UINT Reserved : 23;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_PHYSICALADAPTERFLAGS;

typedef struct _DXGK_PHYSICALADAPTERCAPS {
    WORD NumExecutionNodes;
    WORD PagingNodeIndex;
    HANDLE DxgkPhysicalAdapterHandle;
    DXGK_PHYSICALADAPTERFLAGS Flags;
    UINT VPRPagingNode;
    UINT VirtualCopyNodeIndex;
} DXGK_PHYSICALADAPTERCAPS;

/* Input of DXGKQAITYPE_GPUVERSION is a UINT, the physical adapter index. */
typedef struct _DXGK_GPUVERSION {
    WCHAR BiosVersion[32];
    WCHAR GpuArchitecture[32];
} DXGK_GPUVERSION;

/* ---- DXGKQAITYPE_DRIVERCAPS */

typedef enum _DXGK_WDDMVERSION {
    DXGKDDI_WDDMv1 = 0x1000,
    DXGKDDI_WDDMv1_2 = 0x1200,
    DXGKDDI_WDDMv1_3 = 0x1300,
    DXGKDDI_WDDMv2 = 0x2000,
    DXGKDDI_WDDMv2_1 = 0x2100,
    DXGKDDI_WDDMv2_2 = 0x2200,
    DXGKDDI_WDDMv2_3 = 0x2300,
    DXGKDDI_WDDMv2_4 = 0x2400,
    DXGKDDI_WDDMv2_5 = 0x2500,
    DXGKDDI_WDDMv2_6 = 0x2600,
    DXGKDDI_WDDMv2_7 = 0x2700,
    DXGKDDI_WDDMv2_8 = 0x2800,
    DXGKDDI_WDDMv2_9 = 0x2900,
    DXGKDDI_WDDMv3_0 = 0x3000,
    DXGKDDI_WDDMv3_1 = 0x3100,
    DXGKDDI_WDDMv3_2 = 0x3200
} DXGK_WDDMVERSION;

typedef enum _D3DKMDT_GRAPHICS_PREEMPTION_GRANULARITY {
    D3DKMDT_GRAPHICS_PREEMPTION_NONE = 0,
    D3DKMDT_GRAPHICS_PREEMPTION_DMA_BUFFER_BOUNDARY = 100,
    D3DKMDT_GRAPHICS_PREEMPTION_PRIMITIVE_BOUNDARY = 200,
    D3DKMDT_GRAPHICS_PREEMPTION_TRIANGLE_BOUNDARY = 300,
    D3DKMDT_GRAPHICS_PREEMPTION_PIXEL_BOUNDARY = 400,
    D3DKMDT_GRAPHICS_PREEMPTION_SHADER_BOUNDARY = 500
} D3DKMDT_GRAPHICS_PREEMPTION_GRANULARITY;

typedef enum _D3DKMDT_COMPUTE_PREEMPTION_GRANULARITY {
    D3DKMDT_COMPUTE_PREEMPTION_NONE = 0,
    D3DKMDT_COMPUTE_PREEMPTION_DMA_BUFFER_BOUNDARY = 100,
    D3DKMDT_COMPUTE_PREEMPTION_DISPATCH_BOUNDARY = 200,
    D3DKMDT_COMPUTE_PREEMPTION_THREAD_GROUP_BOUNDARY = 300,
    D3DKMDT_COMPUTE_PREEMPTION_THREAD_BOUNDARY = 400,
    D3DKMDT_COMPUTE_PREEMPTION_SHADER_BOUNDARY = 500
} D3DKMDT_COMPUTE_PREEMPTION_GRANULARITY;

typedef struct _D3DKMDT_PREEMPTION_CAPS {
    D3DKMDT_GRAPHICS_PREEMPTION_GRANULARITY GraphicsPreemptionGranularity;
    D3DKMDT_COMPUTE_PREEMPTION_GRANULARITY ComputePreemptionGranularity;
} D3DKMDT_PREEMPTION_CAPS;

typedef struct _DXGK_POINTERFLAGS {
    union {
        struct {
            UINT Monochrome : 1;
            UINT Color : 1;
            UINT MaskedColor : 1;
            UINT Reserved : 29;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_POINTERFLAGS;

typedef struct _DXGK_GAMMARAMPCAPS {
    union {
        struct {
            UINT Gamma_Rgb256x3x16 : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_GAMMARAMPCAPS;

typedef struct _DXGK_COLORTRANSFORMCAPS {
    union {
        struct {
            UINT Gamma_Rgb256x3x16 : 1;
            UINT Gamma_Dxgi1 : 1;
            UINT Transform_3x4Matrix : 1;
            UINT Transform_3x4Matrix_WideColor : 1;
            UINT Transform_3x4Matrix_HighColor : 1;
            UINT Transform_Matrix_V2 : 1;
            UINT Reserved : 26;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_COLORTRANSFORMCAPS;

typedef struct _DXGK_PRESENTATIONCAPS {
    union {
        struct {
            UINT NoScreenToScreenBlt : 1;
            UINT NoOverlapScreenBlt : 1;
            UINT SupportKernelModeCommandBuffer : 1;
            UINT NoSameBitmapAlphaBlend : 1;
            UINT NoSameBitmapStretchBlt : 1;
            UINT NoSameBitmapTransparentBlt : 1;
            UINT NoSameBitmapOverlappedAlphaBlend : 1;
            UINT NoSameBitmapOverlappedStretchBlt : 1;
            UINT DriverSupportsCddDwmInterop : 1;
            UINT Reserved0 : 1;
            UINT AlignmentShift : 4;
            UINT MaxTextureWidthShift : 3;
            UINT MaxTextureHeightShift : 3;
            UINT SupportAllBltRops : 1;
            UINT SupportMirrorStretchBlt : 1;
            UINT SupportMonoStretchBltModes : 1;
            UINT StagingRectStartPitchAligned : 1;
            UINT NoSameBitmapBitBlt : 1;
            UINT NoSameBitmapOverlappedBitBlt : 1;
            UINT Reserved1 : 1;
            UINT NoTempSurfaceForClearTypeBlend : 1;
            UINT SupportSoftwareDeviceBitmaps : 1;
            UINT NoCacheCoherentApertureMemory : 1;
            UINT SupportLinearHeap : 1;
            UINT Reserved : 1;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_PRESENTATIONCAPS;

typedef struct _DXGK_FLIPCAPS {
    union {
        struct {
            UINT FlipOnVSyncWithNoWait : 1;
            UINT FlipOnVSyncMmIo : 1;
            UINT FlipInterval : 1;
            UINT FlipImmediateMmIo : 1;
            UINT FlipIndependent : 1;
            UINT DdiPresentForIFlip : 1;
            UINT FlipImmediateOnHSync : 1;
            UINT Reserved : 25;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_FLIPCAPS;

typedef struct _DXGK_VIDSCHCAPS {
    union {
        struct {
            UINT MultiEngineAware : 1;
            UINT VSyncPowerSaveAware : 1;
            UINT PreemptionAware : 1;
            UINT NoDmaPatching : 1;
            UINT CancelCommandAware : 1;
            UINT No64BitAtomics : 1;
            UINT LowIrqlPreemptCommand : 1;
            UINT HwQueuePacketCap : 4;
            UINT NativeGpuFence : 1;
            UINT OptimizedNativeFenceSignaledInterrupt : 1;
            UINT Reserved : 19;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_VIDSCHCAPS;

typedef struct _DXGK_VIDMMCAPS {
    union {
        struct {
            UINT OutOfOrderLock : 1;
            UINT DedicatedPagingEngine : 1;
            UINT PagingEngineCanSwizzle : 1;
            UINT SectionBackedPrimary : 1;
            UINT CrossAdapterResource : 1;
            UINT VirtualAddressingSupported : 1;
            UINT GpuMmuSupported : 1;
            UINT IoMmuSupported : 1;
            UINT ReplicateGdiContent : 1;
            UINT NonCpuVisiblePrimary : 1;
            UINT ParavirtualizationSupported : 1;
            UINT IoMmuSecureModeSupported : 1;
            UINT DisableSelfRefreshVRAMInS3 : 1;
            UINT IoMmuSecureModeRequired : 1;
            UINT MapAperture2Supported : 1;
            UINT CrossAdapterResourceTexture : 1;
            UINT CrossAdapterResourceScanout : 1;
            UINT AlwaysPoweredVRAM : 1;
            UINT Reserved : 14;
        } WDDM_BITS;
        UINT Value;
    };
    UINT PagingNode;
} DXGK_VIDMMCAPS;

typedef struct _DXGK_GPUENGINETOPOLOGY {
    UINT NbAsymetricProcessingNodes;
    UINT Reserved[DXGK_MAX_ASYMETRICAL_PROCESSING_NODES];
} DXGK_GPUENGINETOPOLOGY;

typedef struct _DXGK_VIRTUALADDRESSCAPS_DEPRECATED {
    union {
        struct {
            UINT PrivilegedMemorySupported : 1;
            UINT ReadOnlyMemorySupported : 1;
            UINT Reserved : 30;
        } WDDM_BITS;
        UINT Value;
    };
    UINT VirtualAddressBitCount;
    UINT PageTableCoverageBitCount;
    UINT PageDirectoryEntrySize;
    UINT PageDirectorySegment;
    UINT PageTableSegment;
    UINT IdealGPUPageSize;
} DXGK_VIRTUALADDRESSCAPS_DEPRECATED;

typedef struct _DXGK_DMABUFFERCAPS_DEPRECATED {
    struct {
        UINT Size;
        UINT PrivateDriverDataSize;
        UINT SegmentId;
        UINT Reserved1;
        UINT Reserved[16];
    } PresentDmaBuffer, PagingDmaBuffer;
} DXGK_DMABUFFERCAPS_DEPRECATED;

typedef struct _DXGK_HWQUEUEDFLIP_CAPS {
    union {
        struct {
            UINT Reserved : 32;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_HWQUEUEDFLIP_CAPS;

typedef struct _DXGK_DRIVERCAPS {
    PHYSICAL_ADDRESS HighestAcceptableAddress;
    UINT MaxAllocationListSlotId;
    SIZE_T ApertureSegmentCommitLimit;
    UINT MaxPointerWidth;
    UINT MaxPointerHeight;
    DXGK_POINTERFLAGS PointerCaps;
    UINT InterruptMessageNumber;
    UINT NumberOfSwizzlingRanges;
    UINT MaxOverlays;
    union {
        DXGK_GAMMARAMPCAPS GammaRampCaps;
        DXGK_COLORTRANSFORMCAPS ColorTransformCaps;
    };
    DXGK_PRESENTATIONCAPS PresentationCaps;
    UINT MaxQueuedFlipOnVSync;
    DXGK_FLIPCAPS FlipCaps;
    DXGK_VIDSCHCAPS SchedulingCaps;
    DXGK_VIDMMCAPS MemoryManagementCaps;
    DXGK_GPUENGINETOPOLOGY GpuEngineTopology;
    DXGK_WDDMVERSION WDDMVersion;
    DXGK_VIRTUALADDRESSCAPS_DEPRECATED Reserved;
    DXGK_DMABUFFERCAPS_DEPRECATED Reserved1;
    D3DKMDT_PREEMPTION_CAPS PreemptionCaps;
    BOOLEAN SupportNonVGA;
    BOOLEAN SupportSmoothRotation;
    BOOLEAN SupportPerEngineTDR;
    BOOLEAN SupportDirectFlip;
    BOOLEAN SupportMultiPlaneOverlay;
    BOOLEAN SupportRuntimePowerManagement;
    BOOLEAN SupportSurpriseRemovalInHibernation;
    BOOLEAN HybridDiscrete;
    UINT MaxOverlayPlanes;
    BOOLEAN HybridIntegrated;
    D3DGPU_VIRTUAL_ADDRESS InternalGpuVirtualAddressRangeStart;
    D3DGPU_VIRTUAL_ADDRESS InternalGpuVirtualAddressRangeEnd;
    BOOLEAN SupportSurpriseRemoval;
    BOOLEAN SupportMultiPlaneOverlayImmediateFlip;
    BOOLEAN CursorScaledWithMultiPlaneOverlayPlane0;
    BOOLEAN HybridAcpiChainingRequired;
    UINT MaxQueuedMultiPlaneOverlayFlipVSync;
    union {
        struct {
            UINT SupportContextlessPresent : 1;
            UINT Detachable : 1;
            UINT VirtualGpuOnly : 1;
            UINT ComputeOnly : 1;
            UINT IndependentVidPnVSyncControl : 1;
            UINT NoHybridDiscreteDListDllSupport : 1;
            UINT DisplayableSupport : 1;
            UINT NoHybridDiscreteDListDllMuxSupport : 1;
            UINT CursorDoesNotSupportXorBlendWithMultiPlaneOverlay : 1;
            UINT Reserved : 23;
        } WDDM_BITS;
        UINT Value;
    } MiscCaps;
    UINT MaxHwQueuedFlips;
    DXGK_HWQUEUEDFLIP_CAPS HwQueuedFlipCaps;
} DXGK_DRIVERCAPS;

/* ---- Nodes and engines */

typedef struct _DXGK_NODEMETADATA_FLAGS {
    union {
        struct {
            UINT ContextSchedulingSupported : 1;
            UINT RingBufferFenceRelease : 1;
            UINT SupportTrackedWorkload : 1;
            UINT UserModeSubmission : 1;
            UINT SupportBuildTestCommandBuffer : 1;
            UINT Reserved : 11;
            UINT MaxInFlightHwQueueBuffers : 16;
        } WDDM_BITS;
        UINT32 Value;
    };
} DXGK_NODEMETADATA_FLAGS;

typedef struct _DXGK_NODEMETADATA {
    DXGK_ENGINE_TYPE EngineType;
    WCHAR FriendlyName[DXGK_MAX_METADATA_NAME_LENGTH];
    DXGK_NODEMETADATA_FLAGS Flags;
    BOOLEAN GpuMmuSupported;
    BOOLEAN IoMmuSupported;
} DXGK_NODEMETADATA;
typedef DXGK_NODEMETADATA DXGKARG_GETNODEMETADATA;

typedef struct _DXGKARG_QUERYCURRENTFENCE {
    UINT CurrentFence;
    UINT NodeOrdinal;
    UINT EngineOrdinal;
} DXGKARG_QUERYCURRENTFENCE;

typedef struct _DXGK_PREEMPTCOMMANDFLAGS {
    union {
        struct {
            UINT Reserved : 32;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_PREEMPTCOMMANDFLAGS;

typedef struct _DXGKARG_PREEMPTCOMMAND {
    UINT PreemptionFenceId;
    UINT NodeOrdinal;
    UINT EngineOrdinal;
    DXGK_PREEMPTCOMMANDFLAGS Flags;
} DXGKARG_PREEMPTCOMMAND;

typedef struct _DXGKARG_QUERYDEPENDENTENGINEGROUP {
    UINT NodeOrdinal;
    UINT EngineOrdinal;
    ULONGLONG DependentNodeOrdinalMask;
} DXGKARG_QUERYDEPENDENTENGINEGROUP;

typedef struct _DXGK_ENGINESTATUS {
    union {
        struct {
            UINT Responsive : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_ENGINESTATUS;

typedef struct _DXGKARG_QUERYENGINESTATUS {
    UINT NodeOrdinal;
    UINT EngineOrdinal;
    DXGK_ENGINESTATUS EngineStatus;
} DXGKARG_QUERYENGINESTATUS;

typedef struct _DXGKARG_RESETENGINE {
    UINT NodeOrdinal;
    UINT EngineOrdinal;
    UINT LastAbortedFenceId;
} DXGKARG_RESETENGINE;

typedef struct _DXGKARG_COLLECTDBGINFO_EXT {
    UINT BucketingKey;
    UINT CurrentDmaBufferOffset;
    UINT Reserved2;
    UINT Reserved3;
    UINT Reserved4;
    UINT Reserved5;
    UINT Reserved6;
    UINT Reserved7;
} DXGKARG_COLLECTDBGINFO_EXT;

typedef struct _DXGKARG_COLLECTDBGINFO {
    UINT Reason;
    VOID *pBuffer;
    SIZE_T BufferSize;
    DXGKARG_COLLECTDBGINFO_EXT *pExtension;
} DXGKARG_COLLECTDBGINFO;

/* ---- Processes, devices, contexts */

typedef struct _DXGK_CREATEPROCESSFLAGS {
    union {
        struct {
            UINT SystemProcess : 1; /* the paging process */
            UINT GdiProcess : 1;
            UINT VirtualMachineProcess : 1;
            UINT VirtualMachineWorkerProcess : 1;
            UINT SessionIsolatedContainer : 1;
            UINT Reserved : 27;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_CREATEPROCESSFLAGS;

typedef struct _DXGKARG_CREATEPROCESS {
    HANDLE hDxgkProcess; /* in */
    HANDLE hKmdProcess; /* out */
    DXGK_CREATEPROCESSFLAGS Flags;
    UINT NumPasid;
    ULONG *pPasid;
    HANDLE hKmdVmWorkerProcess;
    UINT ProcessNameLength;
    WCHAR *pProcessName;
} DXGKARG_CREATEPROCESS;

typedef struct _DXGK_CREATEDEVICEFLAGS {
    union {
        struct {
            UINT SystemDevice : 1;
            UINT GdiDevice : 1;
            UINT Reserved : 29;
            UINT DXGK_DEVICE_RESERVED0 : 1;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_CREATEDEVICEFLAGS;

typedef struct _DXGK_DEVICEINFOFLAGS {
    union {
        struct {
            UINT GuaranteedDmaBufferContract : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_DEVICEINFOFLAGS;

typedef struct _DXGK_DEVICEINFO {
    UINT DmaBufferSize;
    UINT DmaBufferSegmentSet;
    UINT DmaBufferPrivateDataSize;
    UINT AllocationListSize;
    UINT PatchLocationListSize;
    DXGK_DEVICEINFOFLAGS Flags;
} DXGK_DEVICEINFO;

typedef struct _DXGKARG_CREATEDEVICE {
    HANDLE hDevice; /* in: the OS's handle; out: the driver's */
    union {
        DXGK_CREATEDEVICEFLAGS Flags;
        DXGK_DEVICEINFO *pInfo;
    };
    ULONG Pasid;
    HANDLE hKmdProcess;
} DXGKARG_CREATEDEVICE;

typedef struct _DXGK_CREATECONTEXTFLAGS {
    union {
        struct {
            UINT SystemContext : 1;
            UINT GdiContext : 1;
            UINT VirtualAddressing : 1;
            UINT SystemProtectedContext : 1;
            UINT HwQueueSupported : 1;
            UINT TestContext : 1;
            UINT Reserved : 26;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_CREATECONTEXTFLAGS;

typedef struct _DXGK_CONTEXTINFO_CAPS {
    union {
        struct {
            UINT NoPatchingRequired : 1;
            UINT DriverManagesResidency : 1;
            UINT UseIoMmu : 1;
            UINT Reserved : 29;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_CONTEXTINFO_CAPS;

typedef struct _DXGK_CONTEXTINFO {
    UINT DmaBufferSize;
    UINT DmaBufferSegmentSet;
    UINT DmaBufferPrivateDataSize;
    UINT AllocationListSize;
    UINT PatchLocationListSize;
    UINT Reserved;
    DXGK_CONTEXTINFO_CAPS Caps;
    ULONG PagingCompanionNodeId;
} DXGK_CONTEXTINFO;

typedef struct _DXGKARG_CREATECONTEXT {
    HANDLE hContext; /* in: the OS's handle; out: the driver's */
    UINT NodeOrdinal;
    UINT EngineAffinity;
    DXGK_CREATECONTEXTFLAGS Flags;
    VOID *pPrivateDriverData;
    UINT PrivateDriverDataSize;
    DXGK_CONTEXTINFO ContextInfo;
} DXGKARG_CREATECONTEXT;

typedef struct _DXGKARG_SETROOTPAGETABLE {
    HANDLE hContext;
    D3DGPU_PHYSICAL_ADDRESS Address;
    UINT NumEntries;
} DXGKARG_SETROOTPAGETABLE;

typedef struct _DXGKARG_GETROOTPAGETABLESIZE {
    UINT NumberOfPte; /* in, and out: rounded up by the driver */
    UINT PhysicalAdapterIndex;
} DXGKARG_GETROOTPAGETABLESIZE;

/* ---- Submission */

typedef struct _DXGK_SUBMITCOMMANDFLAGS {
    union {
        struct {
            UINT Paging : 1;
            UINT Present : 1;
            UINT RedirectedPresent : 1;
            UINT NullRendering : 1;
            UINT Flip : 1;
            UINT FlipWithNoWait : 1;
            UINT ContextSwitch : 1;
            UINT Resubmission : 1;
            UINT VirtualMachineData : 1;
            UINT Reserved : 23;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_SUBMITCOMMANDFLAGS;

typedef struct _DXGKARG_SUBMITCOMMANDVIRTUAL {
    HANDLE hContext;
    D3DGPU_VIRTUAL_ADDRESS DmaBufferVirtualAddress;
    UINT DmaBufferSize;
    VOID *pDmaBufferPrivateData;
    UINT DmaBufferPrivateDataSize;
    UINT DmaBufferUmdPrivateDataSize;
    UINT SubmissionFenceId;
    D3DDDI_VIDEO_PRESENT_SOURCE_ID VidPnSourceId;
    D3DDDI_FLIPINTERVAL_TYPE FlipInterval;
    DXGK_SUBMITCOMMANDFLAGS Flags;
    UINT EngineOrdinal;
    UINT NodeOrdinal;
} DXGKARG_SUBMITCOMMANDVIRTUAL;

/* ---- Paging */

typedef enum _DXGK_PTE_PAGE_SIZE {
    DXGK_PTE_PAGE_TABLE_PAGE_4KB = 0,
    DXGK_PTE_PAGE_TABLE_PAGE_64KB = 1
} DXGK_PTE_PAGE_SIZE;

/* The OS's neutral entry; the driver turns it into the hardware's (PAG-1). */
typedef struct _DXGK_PTE {
    union {
        struct {
            ULONGLONG Valid : 1;
            ULONGLONG Zero : 1;
            ULONGLONG CacheCoherent : 1;
            ULONGLONG ReadOnly : 1;
            ULONGLONG NoExecute : 1;
            ULONGLONG Segment : 5; /* 0 is system memory */
            ULONGLONG LargePage : 1;
            ULONGLONG PhysicalAdapterIndex : 6;
            ULONGLONG PageTablePageSize : 2;
            ULONGLONG SystemReserved0 : 1;
            ULONGLONG Reserved : 44;
        } WDDM_BITS;
        ULONGLONG Flags;
    };
    union {
        ULONGLONG PageAddress; /* leaf: the 4 KiB page's number (address >> 12) */
        ULONGLONG PageTableAddress; /* else: the page table's number (address >> 12) */
    };
} DXGK_PTE;

typedef enum _DXGK_BUILDPAGINGBUFFER_OPERATION {
    DXGK_OPERATION_TRANSFER = 0,
    DXGK_OPERATION_FILL = 1,
    DXGK_OPERATION_DISCARD_CONTENT = 2,
    DXGK_OPERATION_READ_PHYSICAL = 3,
    DXGK_OPERATION_WRITE_PHYSICAL = 4,
    DXGK_OPERATION_MAP_APERTURE_SEGMENT = 5,
    DXGK_OPERATION_UNMAP_APERTURE_SEGMENT = 6,
    DXGK_OPERATION_SPECIAL_LOCK_TRANSFER = 7,
    DXGK_OPERATION_VIRTUAL_TRANSFER = 8,
    DXGK_OPERATION_VIRTUAL_FILL = 9,
    DXGK_OPERATION_INIT_CONTEXT_RESOURCE = 10,
    DXGK_OPERATION_UPDATE_PAGE_TABLE = 11,
    DXGK_OPERATION_FLUSH_TLB = 12,
    DXGK_OPERATION_UPDATE_CONTEXT_ALLOCATION = 13,
    DXGK_OPERATION_COPY_PAGE_TABLE_ENTRIES = 14,
    DXGK_OPERATION_NOTIFY_RESIDENCY = 15,
    DXGK_OPERATION_SIGNAL_MONITORED_FENCE = 16,
    DXGK_OPERATION_MAP_APERTURE_SEGMENT2 = 17,
    DXGK_OPERATION_NOTIFY_FENCE_RESIDENCY = 18,
    DXGK_OPERATION_MAP_MMU = 19,
    DXGK_OPERATION_UNMAP_MMU = 20,
    DXGK_OPERATION_NOTIFY_RESIDENCY2 = 21,
    DXGK_OPERATION_NOTIFY_ALLOC = 22
} DXGK_BUILDPAGINGBUFFER_OPERATION;

typedef enum _DXGK_MEMORY_TRANSFER_DIRECTION {
    DXGK_MEMORY_TRANSFER_LOCAL_TO_SYSTEM = 0,
    DXGK_MEMORY_TRANSFER_SYSTEM_TO_LOCAL = 1,
    DXGK_MEMORY_TRANSFER_LOCAL_TO_LOCAL = 2
} DXGK_MEMORY_TRANSFER_DIRECTION;

typedef struct _DXGK_TRANSFERFLAGS {
    union {
        struct {
            UINT Swizzle : 1;
            UINT Unswizzle : 1;
            UINT AllocationIsIdle : 1;
            UINT TransferStart : 1;
            UINT TransferEnd : 1;
            UINT Reserved : 27;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_TRANSFERFLAGS;

typedef struct _DXGK_DISCARDCONTENTFLAGS {
    union {
        struct {
            UINT AllocationIsIdle : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_DISCARDCONTENTFLAGS;

typedef struct _DXGK_TRANSFERVIRTUALFLAGS {
    union {
        struct {
            UINT Src64KBPages : 1;
            UINT Dst64KBPages : 1;
            UINT Reserved : 30;
        } WDDM_BITS;
        UINT Flags;
    };
} DXGK_TRANSFERVIRTUALFLAGS;

/* SRC-4, TGT-3, PAG-4. Addresses lie in the paging process; nothing behind them is contiguous. */
typedef struct _DXGK_BUILDPAGINGBUFFER_TRANSFERVIRTUAL {
    HANDLE hAllocation;
    UINT64 AllocationOffsetInBytes;
    UINT64 TransferSizeInBytes;
    D3DGPU_VIRTUAL_ADDRESS SourceVirtualAddress;
    D3DGPU_VIRTUAL_ADDRESS DestinationVirtualAddress;
    D3DGPU_VIRTUAL_ADDRESS SourcePageTable;
    DXGK_MEMORY_TRANSFER_DIRECTION TransferDirection;
    DXGK_TRANSFERVIRTUALFLAGS Flags;
    D3DGPU_VIRTUAL_ADDRESS DestinationPageTable;
} DXGK_BUILDPAGINGBUFFER_TRANSFERVIRTUAL;

typedef struct _DXGK_BUILDPAGINGBUFFER_FILLVIRTUAL {
    HANDLE hAllocation;
    UINT64 AllocationOffsetInBytes;
    UINT64 FillSizeInBytes;
    UINT FillPattern;
    D3DGPU_VIRTUAL_ADDRESS DestinationVirtualAddress;
} DXGK_BUILDPAGINGBUFFER_FILLVIRTUAL;

typedef struct _DXGK_PAGETABLEUPDATEADDRESS {
    union {
        PVOID CpuVirtual;
        D3DGPU_PHYSICAL_ADDRESS GpuPhysical;
        D3DGPU_VIRTUAL_ADDRESS GpuVirtual;
    };
} DXGK_PAGETABLEUPDATEADDRESS;

typedef struct _DXGK_UPDATEPAGETABLEFLAGS {
    UINT Repeat : 1; /* one entry stands for all */
    UINT InitialUpdate : 1;
    UINT NotifyEviction : 1;
    UINT Use64KBPages : 1;
    UINT NativeFence : 1;
    UINT Reserved : 27;
} WDDM_BITS DXGK_UPDATEPAGETABLEFLAGS;

typedef struct _DXGK_BUILDPAGINGBUFFER_UPDATEPAGETABLE {
    UINT PageTableLevel; /* 0 is the leaf */
    HANDLE hAllocation;
    DXGK_PAGETABLEUPDATEADDRESS PageTableAddress;
    DXGK_PTE *pPageTableEntries;
    UINT StartIndex;
    UINT NumPageTableEntries;
    UINT Reserved0;
    DXGK_UPDATEPAGETABLEFLAGS Flags;
    UINT64 DriverProtection;
    UINT64 AllocationOffsetInBytes;
    HANDLE hProcess;
    DXGK_PAGETABLEUPDATEMODE UpdateMode;
    DXGK_PTE *pPageTableEntries64KB;
    D3DGPU_VIRTUAL_ADDRESS FirstPteVirtualAddress;
} DXGK_BUILDPAGINGBUFFER_UPDATEPAGETABLE;

typedef struct _DXGK_BUILDPAGINGBUFFER_FLUSHTLB {
    D3DGPU_PHYSICAL_ADDRESS RootPageTableAddress;
    HANDLE hProcess;
    D3DGPU_VIRTUAL_ADDRESS StartVirtualAddress;
    D3DGPU_VIRTUAL_ADDRESS EndVirtualAddress;
} DXGK_BUILDPAGINGBUFFER_FLUSHTLB;

typedef struct _DXGK_BUILDPAGINGBUFFER_COPY_RANGE {
    UINT NumPageTableEntries;
    D3DGPU_VIRTUAL_ADDRESS SrcPageTableAddress;
    D3DGPU_VIRTUAL_ADDRESS DstPageTableAddress;
    UINT SrcStartPteIndex;
    UINT DstStartPteIndex;
} DXGK_BUILDPAGINGBUFFER_COPY_RANGE;

typedef struct _DXGK_BUILDPAGINGBUFFER_COPYPAGETABLEENTRIES {
    UINT NumRanges;
    DXGK_BUILDPAGINGBUFFER_COPY_RANGE *pRanges;
} DXGK_BUILDPAGINGBUFFER_COPYPAGETABLEENTRIES;

typedef struct _DXGK_BUILDPAGINGBUFFER_UPDATECONTEXTALLOCATION {
    D3DGPU_VIRTUAL_ADDRESS ContextAllocation;
    UINT64 ContextAllocationSize;
    PVOID pDriverPrivateData;
    UINT DriverPrivateDataSize;
} DXGK_BUILDPAGINGBUFFER_UPDATECONTEXTALLOCATION;

typedef struct _DXGK_BUILDPAGINGBUFFER_SIGNALMONITOREDFENCE {
    D3DGPU_VIRTUAL_ADDRESS MonitoredFenceGpuVa;
    UINT64 MonitoredFenceValue;
} DXGK_BUILDPAGINGBUFFER_SIGNALMONITOREDFENCE;

/*
 * The arms of operations that only display or IOMMU paging use are left to Reserved, which keeps
 * the documented 256 bytes.
 */
typedef struct _DXGKARG_BUILDPAGINGBUFFER {
    VOID *pDmaBuffer; /* inout: advanced past what was written */
    UINT DmaSize; /* bytes left from pDmaBuffer */
    VOID *pDmaBufferPrivateData;
    UINT DmaBufferPrivateDataSize;
    DXGK_BUILDPAGINGBUFFER_OPERATION Operation;
    UINT MultipassOffset; /* PAG-2: the driver's, kept between the calls of one operation */
    union {
        struct {
            HANDLE hAllocation;
            UINT TransferOffset;
            SIZE_T TransferSize;
            struct {
                UINT SegmentId;
                union {
                    LARGE_INTEGER SegmentAddress;
                    MDL *pMdl;
                };
            } Source;
            struct {
                UINT SegmentId;
                union {
                    LARGE_INTEGER SegmentAddress;
                    MDL *pMdl;
                };
            } Destination;
            DXGK_TRANSFERFLAGS Flags;
            UINT MdlOffset;
        } Transfer;
        struct {
            HANDLE hAllocation;
            SIZE_T FillSize;
            UINT FillPattern;
            struct {
                UINT SegmentId;
                LARGE_INTEGER SegmentAddress;
            } Destination;
        } Fill;
        struct {
            HANDLE hAllocation;
            DXGK_DISCARDCONTENTFLAGS Flags;
            UINT SegmentId;
            PHYSICAL_ADDRESS SegmentAddress;
        } DiscardContent;
        struct {
            UINT SegmentId;
            PHYSICAL_ADDRESS PhysicalAddress;
        } ReadPhysical;
        struct {
            UINT SegmentId;
            PHYSICAL_ADDRESS PhysicalAddress;
        } WritePhysical;
        DXGK_BUILDPAGINGBUFFER_TRANSFERVIRTUAL TransferVirtual;
        DXGK_BUILDPAGINGBUFFER_FILLVIRTUAL FillVirtual;
        DXGK_BUILDPAGINGBUFFER_UPDATEPAGETABLE UpdatePageTable;
        DXGK_BUILDPAGINGBUFFER_FLUSHTLB FlushTlb;
        DXGK_BUILDPAGINGBUFFER_COPYPAGETABLEENTRIES CopyPageTableEntries;
        DXGK_BUILDPAGINGBUFFER_UPDATECONTEXTALLOCATION UpdateContextAllocation;
        DXGK_BUILDPAGINGBUFFER_SIGNALMONITOREDFENCE SignalMonitoredFence;
        struct {
            UINT Reserved[64];
        } Reserved;
    };
    HANDLE hSystemContext;
    D3DGPU_VIRTUAL_ADDRESS DmaBufferGpuVirtualAddress;
    UINT DmaBufferWriteOffset;
} DXGKARG_BUILDPAGINGBUFFER;

/* ---- Interrupt notification (PAG-3) */

typedef enum _DXGK_INTERRUPT_TYPE {
    DXGK_INTERRUPT_DMA_COMPLETED = 1,
    DXGK_INTERRUPT_DMA_PREEMPTED = 2,
    DXGK_INTERRUPT_CRTC_VSYNC = 3,
    DXGK_INTERRUPT_DMA_FAULTED = 4,
    DXGK_INTERRUPT_DISPLAYONLY_VSYNC = 5,
    DXGK_INTERRUPT_DISPLAYONLY_PRESENT_PROGRESS = 6,
    DXGK_INTERRUPT_CRTC_VSYNC_WITH_MULTIPLANE_OVERLAY = 7,
    DXGK_INTERRUPT_MICACAST_CHUNK_PROCESSING_COMPLETE = 8,
    DXGK_INTERRUPT_DMA_PAGE_FAULTED = 9,
    DXGK_INTERRUPT_CRTC_VSYNC_WITH_MULTIPLANE_OVERLAY2 = 10,
    DXGK_INTERRUPT_MONITORED_FENCE_SIGNALED = 11,
    DXGK_INTERRUPT_HWQUEUE_PAGE_FAULTED = 12,
    DXGK_INTERRUPT_HWCONTEXTLIST_SWITCH_COMPLETED = 13,
    DXGK_INTERRUPT_PERIODIC_MONITORED_FENCE_SIGNALED = 14,
    DXGK_INTERRUPT_SCHEDULING_LOG_INTERRUPT = 15,
    DXGK_INTERRUPT_GPU_ENGINE_TIMEOUT = 16,
    DXGK_INTERRUPT_SUSPEND_CONTEXT_COMPLETED = 17,
    DXGK_INTERRUPT_CRTC_VSYNC_WITH_MULTIPLANE_OVERLAY3 = 18,
    DXGK_INTERRUPT_NATIVE_FENCE_SIGNALED = 19,
    DXGK_INTERRUPT_GPU_ENGINE_STATE_CHANGE = 20
} DXGK_INTERRUPT_TYPE;

typedef enum _DXGK_RENDER_PIPELINE_STAGE {
    DXGK_RENDER_PIPELINE_STAGE_UNKNOWN = 0,
    DXGK_RENDER_PIPELINE_STAGE_INPUT_ASSEMBLER = 1,
    DXGK_RENDER_PIPELINE_STAGE_VERTEX_SHADER = 2,
    DXGK_RENDER_PIPELINE_STAGE_GEOMETRY_SHADER = 3,
    DXGK_RENDER_PIPELINE_STAGE_STREAM_OUTPUT = 4,
    DXGK_RENDER_PIPELINE_STAGE_RASTERIZER = 5,
    DXGK_RENDER_PIPELINE_STAGE_PIXEL_SHADER = 6,
    DXGK_RENDER_PIPELINE_STAGE_OUTPUT_MERGER = 7
} DXGK_RENDER_PIPELINE_STAGE;

typedef enum _DXGK_PAGE_FAULT_FLAGS {
    DXGK_PAGE_FAULT_WRITE = 0x1,
    DXGK_PAGE_FAULT_FENCE_INVALID = 0x2,
    DXGK_PAGE_FAULT_ADAPTER_RESET_REQUIRED = 0x4,
    DXGK_PAGE_FAULT_ENGINE_RESET_REQUIRED = 0x8,
    DXGK_PAGE_FAULT_FATAL_HARDWARE_ERROR = 0x10,
    DXGK_PAGE_FAULT_IOMMU = 0x20,
    DXGK_PAGE_FAULT_HW_CONTEXT_VALID = 0x40,
    DXGK_PAGE_FAULT_PROCESS_HANDLE_VALID = 0x80
} DXGK_PAGE_FAULT_FLAGS;

typedef enum _DXGK_GENERAL_ERROR_CODE {
    DXGK_GENERAL_ERROR_PAGE_FAULT = 0,
    DXGK_GENERAL_ERROR_INVALID_INSTRUCTION = 1
} DXGK_GENERAL_ERROR_CODE;

typedef struct _DXGK_FAULT_ERROR_CODE {
    union {
        struct {
            UINT IsDeviceSpecificCode : 1;
            UINT GeneralErrorCode : 31; /* DXGK_GENERAL_ERROR_CODE */
        } WDDM_BITS;
        struct {
            UINT IsDeviceSpecificCodeReserved : 1;
            UINT DeviceSpecificCode : 31;
        } WDDM_BITS;
    };
} DXGK_FAULT_ERROR_CODE;

typedef struct _DXGKCB_NOTIFY_INTERRUPT_DATA_FLAGS {
    union {
        struct {
            UINT ValidPhysicalAdapterMask : 1;
            UINT HsyncFlipCompletion : 1;
            UINT EvaluateLegacyMonitoredFences : 1;
            UINT Reserved : 29;
        } WDDM_BITS;
        UINT Value;
    };
} DXGKCB_NOTIFY_INTERRUPT_DATA_FLAGS;

/* The display arms are left to Reserved. */
typedef struct _DXGKARGCB_NOTIFY_INTERRUPT_DATA {
    DXGK_INTERRUPT_TYPE InterruptType;
    union {
        struct {
            UINT SubmissionFenceId;
            UINT NodeOrdinal;
            UINT EngineOrdinal;
        } DmaCompleted;
        struct {
            UINT PreemptionFenceId;
            UINT LastCompletedFenceId;
            UINT NodeOrdinal;
            UINT EngineOrdinal;
        } DmaPreempted;
        struct {
            UINT FaultedFenceId;
            NTSTATUS Status;
            UINT NodeOrdinal;
            UINT EngineOrdinal;
        } DmaFaulted;
        struct {
            UINT FaultedFenceId;
            UINT64 FaultedPrimitiveAPISequenceNumber;
            DXGK_RENDER_PIPELINE_STAGE FaultedPipelineStage;
            UINT FaultedBindTableEntry;
            DXGK_PAGE_FAULT_FLAGS PageFaultFlags;
            D3DGPU_VIRTUAL_ADDRESS FaultedVirtualAddress;
            UINT NodeOrdinal;
            UINT EngineOrdinal;
            UINT PageTableLevel;
            DXGK_FAULT_ERROR_CODE FaultErrorCode;
            HANDLE FaultedProcessHandle;
        } DmaPageFaulted;
        struct {
            UINT NodeOrdinal;
            UINT EngineOrdinal;
        } MonitoredFenceSignaled;
        struct {
            UINT NodeOrdinal;
            UINT EngineOrdinal;
        } GpuEngineTimeout;
        struct {
            UINT Reserved[16];
        } Reserved;
    };
    DXGKCB_NOTIFY_INTERRUPT_DATA_FLAGS Flags;
} DXGKARGCB_NOTIFY_INTERRUPT_DATA;

/* ---- Dirty tracking */

/* DBT-1. Ranges has RangeCount entries. */
typedef struct _DXGKARG_CREATEMEMORYBASIS {
    UINT SegmentId;
    UINT64 RangeCount;
    DXGK_MEMORYRANGE Ranges[1];
} DXGKARG_CREATEMEMORYBASIS;

typedef enum _DXGKARG_QUERYDIRTYBITDATAFLAGS {
    DXGKARG_QUERYDIRTYBITDATAFLAGS_CLEARDATA = 1
} DXGKARG_QUERYDIRTYBITDATAFLAGS;

/* DBT-4. BufferSize is what the caller's Buffer holds (its page calls it an output). */
typedef struct _DXGKARG_QUERYDIRTYBITDATA {
    HANDLE MemoryBasis;
    UINT64 SubrangeIndex;
    UINT64 SubrangeOffset; /* bytes from the start of the range */
    UINT64 SubrangeSize; /* bytes; 0 asks for the whole basis */
    PVOID Buffer;
    SIZE_T BufferSize;
    UINT Flags;
} DXGKARG_QUERYDIRTYBITDATA;

/* ---- Live migration of a partition */

typedef enum _DXGK_GPUP_MIGRATIONTYPE {
    DXGK_GPUP_MIGRATIONTYPE_SOURCE = 0,
    DXGK_GPUP_MIGRATIONTYPE_TARGET = 1
} DXGK_GPUP_MIGRATIONTYPE;

typedef struct _DXGKARG_GPUP_PREPARE_LIVE_MIGRATION {
    UINT vfIndex;
    DXGK_GPUP_MIGRATIONTYPE MigrationType;
} DXGKARG_GPUP_PREPARE_LIVE_MIGRATION;

/* SRC-2: two calls, first *DataSize 0 and Data NULL. */
typedef struct _DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA {
    UINT vfIndex;
    UINT64 *DataSize;
    BYTE *Data;
} DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA;

typedef struct _DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA {
    UINT vfIndex;
    UINT64 *DataSize;
    BYTE *Data;
} DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA;

typedef struct _DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA {
    UINT vfIndex;
    UINT64 DataSize;
    BYTE *Data;
} DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA;

typedef struct _DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA {
    UINT vfIndex;
    UINT64 DataSize;
    BYTE *Data;
} DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA;

typedef struct _DXGK_INTERRUPT_TABLE_ENTRY {
    UINT64 MessageAddress;
    UINT32 MessageData;
    UINT32 VectorControl;
} DXGK_INTERRUPT_TABLE_ENTRY;

/* INT-2 */
typedef struct _DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX {
    UINT vfIndex;
    UINT16 InterruptTableIndex;
    DXGK_INTERRUPT_TABLE_ENTRY WriteValue;
} DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX;

/* VF-4: not on a published page; the withdrawn draft calls the member Pause. */
typedef struct _DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE {
    UINT vfIndex;
    BOOLEAN bPause;
} DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE;

/* VF-2: not on a published page. */
typedef struct _DXGK_GPU_PHYSICAL_RESERVE_DESCRIPTOR {
    HANDLE DriverAllocationHandle;
    HANDLE MemoryBasis;
} DXGK_GPU_PHYSICAL_RESERVE_DESCRIPTOR;

/* SegmentDescriptors has SegmentCount entries, inline (the draft has an array of pointers). */
typedef struct _DXGKARG_SETVIRTUALGPURESOURCES2 {
    UINT vfIndex;
    UINT SegmentCount;
    DXGK_GPU_PHYSICAL_RESERVE_DESCRIPTOR SegmentDescriptors[1];
} DXGKARG_SETVIRTUALGPURESOURCES2;

/* ---- Driver hot update */

/* The page of DXGKDDI_SAVEMEMORYFORHOTUPDATE names an interface DXGKDDI_DRIVERHOTUPDATE_INTERFACE,
 * which no page defines: the DDIs are slots of DRIVER_INITIALIZATION_DATA. It also says that the
 * driver calls it: its remarks, and its place in that table, say that the OS does. The pages of
 * both DDIs say IRQL <= APC_LEVEL, header annotations PASSIVE_LEVEL (HOT-6). */

/* HOT-5: the page of DXGKARG_SAVEMEMORYFORHOTUPDATE calls its flags reserved all the same. */

typedef struct _DXGK_SAVEMEMORYFORHOTUPDATEFLAGS {
    union {
        struct {
            UINT CancelHotUpdate : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_SAVEMEMORYFORHOTUPDATEFLAGS;

typedef struct _DXGKARG_SAVEMEMORYFORHOTUPDATE {
    DXGK_SAVEMEMORYFORHOTUPDATEFLAGS Flags;
} DXGKARG_SAVEMEMORYFORHOTUPDATE;

/* HOT-2: bits 0-39 first physical page number, bits 40-63 page count. */
typedef struct _DXGK_KSR_MEMORY_RANGE {
    UINT64 MemoryRangeDesc;
} DXGK_KSR_MEMORY_RANGE;

#define DXGK_KSR_MEMORY_RANGE_PAGE_BITS 40
#define DXGK_KSR_MEMORY_RANGE_MAKE(first_page, page_count) \
    (((UINT64)(first_page) & ((1ULL << DXGK_KSR_MEMORY_RANGE_PAGE_BITS) - 1)) | \
     (UINT64)(page_count) << DXGK_KSR_MEMORY_RANGE_PAGE_BITS)
#define DXGK_KSR_MEMORY_RANGE_PAGE(desc) ((desc) & ((1ULL << DXGK_KSR_MEMORY_RANGE_PAGE_BITS) - 1))
#define DXGK_KSR_MEMORY_RANGE_COUNT(desc) ((desc) >> DXGK_KSR_MEMORY_RANGE_PAGE_BITS)

/* Exactly one of the three forms: page ranges, MDL, buffer; metadata is optional. */
typedef struct _DXGKARGCB_SAVEMEMORYFORHOTUPDATE {
    UINT NumDataMemoryRanges;
    DXGK_KSR_MEMORY_RANGE *pDataMemoryRanges;
    PMDL pDataMdl;
    UINT DataSize; /* bytes */
    VOID *pData;
    UINT MetaDataSize; /* bytes */
    VOID *pMetaData;
} DXGKARGCB_SAVEMEMORYFORHOTUPDATE;

typedef struct _DXGK_RESTOREMEMORYFORHOTUPDATEFLAGS {
    union {
        struct {
            UINT RestoreComplete : 1;
            UINT Reserved : 31;
        } WDDM_BITS;
        UINT Value;
    };
} DXGK_RESTOREMEMORYFORHOTUPDATEFLAGS;

/* HOT-4: on success the driver owns the MDL and its pages. */
typedef struct _DXGKARG_RESTOREMEMORYFORHOTUPDATE {
    DXGK_RESTOREMEMORYFORHOTUPDATEFLAGS Flags;
    PMDL pDataMdl;
    UINT MetaDataSize;
    VOID *pMetaData;
} DXGKARG_RESTOREMEMORYFORHOTUPDATE;

/* ---- Partition events (TGT-2) */

/* The pages spell it DXGIDDI, so do we. */
typedef enum _DXGIDDI_PARTITIONING_EVENT_TYPE {
    DXGK_PARTITION_EVENT_FUNCTION_LEVEL_RESET = 0,
    DXGK_PARTITION_EVENT_FUNDAMENTAL_WARM_RESET = 1,
    DXGK_PARTITION_EVENT_DRIVER_INTERNAL = 2
} DXGIDDI_PARTITIONING_EVENT_TYPE;

typedef struct _DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION {
    HANDLE hAdapter;
    DXGIDDI_PARTITIONING_EVENT_TYPE EventType;
    UINT PartitionId;
    WCHAR EventDescription[DXGKDDI_PARTITION_EVENT_DESCRIPTION_MAX];
    UINT64 EventData1;
    UINT64 EventData2;
    UINT64 EventData3;
    UINT64 EventData4;
    UINT64 EventData5;
} DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION;

/* The page of DXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA spells it GUID_DxgkAzureTriageEvent, that of
 * DXGKCB_LOG_ETW_EVENT calls the structure above DXGKARG_PARTITIONING_EVENT_NOTIFICATION. */
DEFINE_GUID(GUID_DXGKDDI_AZURE_TRIAGE_EVENT, 0x45125f6f, 0x6132, 0x4082, 0xad, 0x17, 0xed, 0x27,
            0xf8, 0xdd, 0x02, 0xf9);

/* ---- Callbacks into the OS that carry arguments of this header */

typedef struct _DXGKARGCB_ALLOCATEPAGESFORMDL {
    PHYSICAL_ADDRESS LowAddress;
    PHYSICAL_ADDRESS HighAddress;
    PHYSICAL_ADDRESS SkipBytes;
    SIZE_T TotalBytes;
    DXGK_MEMORY_CACHING_TYPE CacheType;
    ULONG Flags;
    HANDLE hMemoryHandle; /* out */
    PMDL pMdl; /* out */
} DXGKARGCB_ALLOCATEPAGESFORMDL;

typedef struct _DXGKARGCB_FREEPAGESFROMMDL {
    HANDLE hMemoryHandle;
} DXGKARGCB_FREEPAGESFROMMDL;

typedef struct _DXGKARGCB_MAPMDLTOIOMMU {
    PMDL pMdl;
    HANDLE hMemoryHandle; /* out */
} DXGKARGCB_MAPMDLTOIOMMU;

typedef struct _DXGKARGCB_UNMAPMDLFROMIOMMU {
    HANDLE hMemoryHandle;
} DXGKARGCB_UNMAPMDLFROMIOMMU;

/* At the device's IRQL, from the interrupt routine or within DxgkCbSynchronizeExecution. */
typedef void(APIENTRY *DXGKCB_NOTIFY_INTERRUPT)(HANDLE hAdapter,
                                                const DXGKARGCB_NOTIFY_INTERRUPT_DATA *pData);
/* DISPATCH_LEVEL, from the DPC routine. */
typedef void(APIENTRY *DXGKCB_NOTIFY_DPC)(HANDLE hAdapter);
typedef NTSTATUS(APIENTRY *DXGKCB_ALLOCATEPAGESFORMDL)(HANDLE hAdapter,
                                                       DXGKARGCB_ALLOCATEPAGESFORMDL *pArgs);
typedef NTSTATUS(APIENTRY *DXGKCB_FREEPAGESFROMMDL)(HANDLE hAdapter,
                                                    const DXGKARGCB_FREEPAGESFROMMDL *pArgs);
typedef NTSTATUS(APIENTRY *DXGKCB_MAPMDLTOIOMMU)(HANDLE hAdapter, DXGKARGCB_MAPMDLTOIOMMU *pArgs);
typedef void(APIENTRY *DXGKCB_UNMAPMDLFROMIOMMU)(HANDLE hAdapter,
                                                 const DXGKARGCB_UNMAPMDLFROMIOMMU *pArgs);
/* HOT-2: only within DxgkDdiSaveMemoryForHotUpdate. PASSIVE_LEVEL. */
typedef NTSTATUS(APIENTRY *DXGKCB_SAVEMEMORYFORHOTUPDATE)(
    HANDLE hAdapter, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *pArgs);

/*
 * The driver's entry points. Each type is spelled PDXGKDDI_X as a pointer and DXGKDDI_X as a
 * function, so that a driver can declare its implementation with the latter.
 */
typedef NTSTATUS APIENTRY DXGKDDI_QUERYADAPTERINFO(HANDLE hAdapter,
                                                   const DXGKARG_QUERYADAPTERINFO *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_CREATEDEVICE(HANDLE hAdapter, DXGKARG_CREATEDEVICE *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_DESTROYDEVICE(HANDLE hDevice);
typedef NTSTATUS APIENTRY DXGKDDI_CREATECONTEXT(HANDLE hDevice, DXGKARG_CREATECONTEXT *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_DESTROYCONTEXT(HANDLE hContext);
typedef NTSTATUS APIENTRY DXGKDDI_CREATEPROCESS(HANDLE hAdapter, DXGKARG_CREATEPROCESS *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_DESTROYPROCESS(HANDLE hAdapter, HANDLE hKmdProcess);
/* May be called at DISPATCH_LEVEL on Windows; here always PASSIVE_LEVEL, one call at a time. */
typedef NTSTATUS APIENTRY DXGKDDI_BUILDPAGINGBUFFER(HANDLE hAdapter,
                                                    DXGKARG_BUILDPAGINGBUFFER *pArgs);
/* DISPATCH_LEVEL. */
typedef NTSTATUS APIENTRY DXGKDDI_SUBMITCOMMANDVIRTUAL(HANDLE hAdapter,
                                                       const DXGKARG_SUBMITCOMMANDVIRTUAL *pArgs);
/* DISPATCH_LEVEL. */
typedef NTSTATUS APIENTRY DXGKDDI_PREEMPTCOMMAND(HANDLE hAdapter,
                                                 const DXGKARG_PREEMPTCOMMAND *pArgs);
/* Device IRQL. */
typedef NTSTATUS APIENTRY DXGKDDI_QUERYCURRENTFENCE(HANDLE hAdapter,
                                                    DXGKARG_QUERYCURRENTFENCE *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_CONTROLINTERRUPT(HANDLE hAdapter, const DXGK_INTERRUPT_TYPE type,
                                                   BOOLEAN EnableInterrupt);
typedef void APIENTRY DXGKDDI_SETROOTPAGETABLE(HANDLE hAdapter,
                                               const DXGKARG_SETROOTPAGETABLE *pArgs);
typedef SIZE_T APIENTRY DXGKDDI_GETROOTPAGETABLESIZE(HANDLE hAdapter,
                                                     DXGKARG_GETROOTPAGETABLESIZE *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_RESETFROMTIMEOUT(HANDLE hAdapter);
typedef NTSTATUS APIENTRY DXGKDDI_RESTARTFROMTIMEOUT(HANDLE hAdapter);
typedef NTSTATUS APIENTRY DXGKDDI_COLLECTDBGINFO(HANDLE hAdapter,
                                                 const DXGKARG_COLLECTDBGINFO *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_QUERYDEPENDENTENGINEGROUP(HANDLE hAdapter, DXGKARG_QUERYDEPENDENTENGINEGROUP *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_QUERYENGINESTATUS(HANDLE hAdapter,
                                                    DXGKARG_QUERYENGINESTATUS *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_RESETENGINE(HANDLE hAdapter, DXGKARG_RESETENGINE *pArgs);
/* NodeOrdinalAndAdapterIndex: low 16 bits the node, high 16 bits the physical adapter. */
typedef NTSTATUS APIENTRY DXGKDDI_GETNODEMETADATA(HANDLE hAdapter, UINT NodeOrdinalAndAdapterIndex,
                                                  DXGKARG_GETNODEMETADATA *pArgs);

/* Gives the basis' handle, NULL on failure. PASSIVE_LEVEL, as are all that follow. */
typedef HANDLE APIENTRY DXGKDDI_CREATEMEMORYBASIS(HANDLE hAdapter,
                                                  const DXGKARG_CREATEMEMORYBASIS *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_DESTROYMEMORYBASIS(HANDLE hAdapter, HANDLE hMemoryBasis);
typedef NTSTATUS APIENTRY DXGKDDI_STARTDIRTYTRACKING(HANDLE hAdapter, HANDLE hMemoryBasis);
typedef NTSTATUS APIENTRY DXGKDDI_STOPDIRTYTRACKING(HANDLE hAdapter, HANDLE hMemoryBasis);
typedef NTSTATUS APIENTRY DXGKDDI_QUERYDIRTYBITDATA(HANDLE hAdapter,
                                                    DXGKARG_QUERYDIRTYBITDATA *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_PREPARELIVEMIGRATION(HANDLE hAdapter, const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SAVEIMMUTABLEMIGRATIONDATA(
    HANDLE hAdapter, DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_SAVEMUTABLEMIGRATIONDATA(HANDLE hAdapter, DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_ENDLIVEMIGRATION(HANDLE hAdapter, UINT vfIndex);
typedef NTSTATUS APIENTRY DXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA(
    HANDLE hAdapter, const DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_RESTOREMUTABLEMIGRATIONDATA(
    HANDLE hAdapter, const DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_WRITEVIRTUALIZEDINTERRUPT(
    HANDLE hAdapter, const DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_SETVIRTUALGPURESOURCES2(HANDLE hAdapter, const DXGKARG_SETVIRTUALGPURESOURCES2 *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SETVIRTUALFUNCTIONPAUSESTATE(
    HANDLE hAdapter, const DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE *pArgs);
/* HOT-6: the pages say <= APC_LEVEL, the annotations PASSIVE_LEVEL; called at PASSIVE_LEVEL. */
typedef NTSTATUS APIENTRY
DXGKDDI_SAVEMEMORYFORHOTUPDATE(HANDLE hContext, const DXGKARG_SAVEMEMORYFORHOTUPDATE *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_RESTOREMEMORYFORHOTUPDATE(HANDLE hContext, const DXGKARG_RESTOREMEMORYFORHOTUPDATE *pArgs);

typedef DXGKDDI_QUERYADAPTERINFO *PDXGKDDI_QUERYADAPTERINFO;
typedef DXGKDDI_CREATEDEVICE *PDXGKDDI_CREATEDEVICE;
typedef DXGKDDI_DESTROYDEVICE *PDXGKDDI_DESTROYDEVICE;
typedef DXGKDDI_CREATECONTEXT *PDXGKDDI_CREATECONTEXT;
typedef DXGKDDI_DESTROYCONTEXT *PDXGKDDI_DESTROYCONTEXT;
typedef DXGKDDI_CREATEPROCESS *PDXGKDDI_CREATEPROCESS;
typedef DXGKDDI_DESTROYPROCESS *PDXGKDDI_DESTROYPROCESS;
typedef DXGKDDI_BUILDPAGINGBUFFER *PDXGKDDI_BUILDPAGINGBUFFER;
typedef DXGKDDI_SUBMITCOMMANDVIRTUAL *PDXGKDDI_SUBMITCOMMANDVIRTUAL;
typedef DXGKDDI_PREEMPTCOMMAND *PDXGKDDI_PREEMPTCOMMAND;
typedef DXGKDDI_QUERYCURRENTFENCE *PDXGKDDI_QUERYCURRENTFENCE;
typedef DXGKDDI_CONTROLINTERRUPT *PDXGKDDI_CONTROLINTERRUPT;
typedef DXGKDDI_SETROOTPAGETABLE *PDXGKDDI_SETROOTPAGETABLE;
typedef DXGKDDI_GETROOTPAGETABLESIZE *PDXGKDDI_GETROOTPAGETABLESIZE;
typedef DXGKDDI_RESETFROMTIMEOUT *PDXGKDDI_RESETFROMTIMEOUT;
typedef DXGKDDI_RESTARTFROMTIMEOUT *PDXGKDDI_RESTARTFROMTIMEOUT;
typedef DXGKDDI_COLLECTDBGINFO *PDXGKDDI_COLLECTDBGINFO;
typedef DXGKDDI_QUERYDEPENDENTENGINEGROUP *PDXGKDDI_QUERYDEPENDENTENGINEGROUP;
typedef DXGKDDI_QUERYENGINESTATUS *PDXGKDDI_QUERYENGINESTATUS;
typedef DXGKDDI_RESETENGINE *PDXGKDDI_RESETENGINE;
typedef DXGKDDI_GETNODEMETADATA *PDXGKDDI_GETNODEMETADATA;
typedef DXGKDDI_CREATEMEMORYBASIS *PDXGKDDI_CREATEMEMORYBASIS;
typedef DXGKDDI_DESTROYMEMORYBASIS *PDXGKDDI_DESTROYMEMORYBASIS;
typedef DXGKDDI_STARTDIRTYTRACKING *PDXGKDDI_STARTDIRTYTRACKING;
typedef DXGKDDI_STOPDIRTYTRACKING *PDXGKDDI_STOPDIRTYTRACKING;
typedef DXGKDDI_QUERYDIRTYBITDATA *PDXGKDDI_QUERYDIRTYBITDATA;
typedef DXGKDDI_PREPARELIVEMIGRATION *PDXGKDDI_PREPARELIVEMIGRATION;
typedef DXGKDDI_SAVEIMMUTABLEMIGRATIONDATA *PDXGKDDI_SAVEIMMUTABLEMIGRATIONDATA;
typedef DXGKDDI_SAVEMUTABLEMIGRATIONDATA *PDXGKDDI_SAVEMUTABLEMIGRATIONDATA;
typedef DXGKDDI_ENDLIVEMIGRATION *PDXGKDDI_ENDLIVEMIGRATION;
typedef DXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA *PDXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA;
typedef DXGKDDI_RESTOREMUTABLEMIGRATIONDATA *PDXGKDDI_RESTOREMUTABLEMIGRATIONDATA;
typedef DXGKDDI_WRITEVIRTUALIZEDINTERRUPT *PDXGKDDI_WRITEVIRTUALIZEDINTERRUPT;
typedef DXGKDDI_SETVIRTUALGPURESOURCES2 *PDXGKDDI_SETVIRTUALGPURESOURCES2;
typedef DXGKDDI_SETVIRTUALFUNCTIONPAUSESTATE *PDXGKDDI_SETVIRTUALFUNCTIONPAUSESTATE;
typedef DXGKDDI_SAVEMEMORYFORHOTUPDATE *PDXGKDDI_SAVEMEMORYFORHOTUPDATE;
typedef DXGKDDI_RESTOREMEMORYFORHOTUPDATE *PDXGKDDI_RESTOREMEMORYFORHOTUPDATE;

#ifdef __cplusplus
}
#endif

#endif
