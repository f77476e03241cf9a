// SPDX-License-Identifier: Apache-2.0
/*
 * The miniport side of the display port: the two big tables (the driver's and the OS's), device
 * start, and the GPU partition, SR-IOV, mitigable-device and flexible-I/O interfaces. Interface
 * version WDDM 3.2 only.
 */
#ifndef WDDM_DISPMPRT_H
#define WDDM_DISPMPRT_H

#include "d3dkmddi.h"
#include "wdm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DXGK_MAX_VIRTUAL_GPU_ALLOCATIONS 32
#define DXGK_MAX_NUM_PCI_BARS 6
#define DXGKDDI_MAX_FLEXIOV_RESOURCES 32
#define DXGK_MMIO_RANGES_EMULATED_PAGE 0xFFFFFFFFFFFFFFFFULL

/* Bits of DXGKARG_GETVIRTUALGPUPROFILE.VirtualizationFlags. */
#define DXGK_VIRTUALIZED_ACS_CAPABLE 0x80
#define DXGK_VIRTUALIZED_UNIQUE_RID 0x100
#define DXGK_VIRTUALIZED_PARAVIRTUALIZED 0x400
#define DXGK_VIRTUALIZED_HOST_VIRTUAL_DEVICE 0x800

/* DataType of DxgkCbReadDeviceSpace and DxgkCbWriteDeviceSpace. */
#define DXGK_WHICHSPACE_CONFIG 0x0
#define DXGK_WHICHSPACE_ROM 0x52696350
#define DXGK_WHICHSPACE_MCH 0x80000000u
#define DXGK_WHICHSPACE_BRIDGE 0x80000001u

/* Interfaces a driver hands out in DxgkDdiQueryInterface; an unknown GUID gets STATUS_NOT_SUPPORTED
 * (CAP-7). */
DEFINE_GUID(GUID_DXGKDDI_GPU_PARTITION_INTERFACE, 0x462bc153, 0x40eb, 0x484a, 0x81, 0x68, 0x99,
            0x72, 0xe3, 0xcd, 0x5a, 0xef);
DEFINE_GUID(GUID_DXGKDDI_SRIOV_INTERFACE, 0xd7172248, 0xf296, 0x4c50, 0xa6, 0xf5, 0xd2, 0x5d, 0x80,
            0x73, 0x06, 0x3a);
DEFINE_GUID(GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE, 0x1387f270, 0x121a, 0x4a4a, 0xb2, 0x5e, 0x3b,
            0x15, 0x89, 0x97, 0x6c, 0x61);
DEFINE_GUID(GUID_DXGKDDI_FLEXIOV_DEVICE_INTERFACE, 0x7b73a997, 0x48e8, 0x4cab, 0x9f, 0xab, 0xe0,
            0x77, 0x4b, 0x44, 0xf5, 0x99);
#define DXGKDDI_GPU_PARTITION_INTERFACE_VERSION 1
#define DXGKDDI_SRIOV_INTERFACE_VERSION 1
#define DXGKDDI_MITIGABLE_DEVICE_INTERFACE_VERSION 1
#define DXGKDDI_FLEXIOV_DEVICE_INTERFACE_VERSION 1

/* ---- Device start */

typedef enum {
    DockStateUnsupported = 0,
    DockStateUnDocked = 1,
    DockStateDocked = 2,
    DockStateUnknown = 3
} DOCKING_STATE;

typedef enum _DXGK_EVENT_TYPE {
    DxgkUndefinedEvent = 0,
    DxgkAcpiEvent = 1,
    DxgkPowerStateEvent = 2,
    DxgkDockingEvent = 3,
    DxgkChainedAcpiEvent = 4
} DXGK_EVENT_TYPE;

typedef enum {
    DxgkServicesAgp = 0,
    DxgkServicesDebugReport = 1,
    DxgkServicesTimedOperation = 2,
    DxgkServicesSPB = 3,
    DxgkServicesBDD = 4,
    DxgkServicesFirmwareTable = 5,
    DxgkServicesIDD = 6,
    DxgkServicesFeature = 7
} DXGK_SERVICES;

typedef struct _DXGK_START_INFO {
    ULONG RequiredDmaQueueEntry;
    GUID AdapterGuid;
    LUID AdapterLuid;
} DXGK_START_INFO, *PDXGK_START_INFO;

typedef struct _DXGK_DEVICE_INFO {
    PVOID MiniportDeviceContext;
    PDEVICE_OBJECT PhysicalDeviceObject;
    UNICODE_STRING DeviceRegistryPath;
    PCM_RESOURCE_LIST TranslatedResourceList;
    LARGE_INTEGER SystemMemorySize; /* bytes */
    PHYSICAL_ADDRESS HighestPhysicalAddress;
    PHYSICAL_ADDRESS AgpApertureBase;
    SIZE_T AgpApertureSize;
    DOCKING_STATE DockingState;
} DXGK_DEVICE_INFO, *PDXGK_DEVICE_INFO;

typedef struct _QUERY_INTERFACE {
    const GUID *InterfaceType;
    USHORT Size; /* bytes at Interface */
    USHORT Version;
    PINTERFACE Interface; /* the driver fills it, header included, and counts a reference */
    PVOID InterfaceSpecificData;
    ULONG DeviceUid;
} QUERY_INTERFACE, *PQUERY_INTERFACE;

/* Display children and I/O requests: a partitioned render device has none, so they stay opaque. */
typedef struct _DXGK_CHILD_DESCRIPTOR *PDXGK_CHILD_DESCRIPTOR;
typedef struct _DXGK_CHILD_STATUS *PDXGK_CHILD_STATUS;
typedef struct _DXGK_DEVICE_DESCRIPTOR *PDXGK_DEVICE_DESCRIPTOR;
typedef struct _VIDEO_REQUEST_PACKET *PVIDEO_REQUEST_PACKET;

/* ---- Callbacks of the OS. DeviceHandle and hAdapter are DXGKRNL_INTERFACE.DeviceHandle. */

/* PASSIVE_LEVEL, from StartDevice on. Pointers in *DeviceInfo stay valid until StopDevice returns.
 */
typedef NTSTATUS(APIENTRY *DXGKCB_GET_DEVICE_INFORMATION)(HANDLE DeviceHandle,
                                                          PDXGK_DEVICE_INFO DeviceInfo);
/*
 * TranslatedAddress and Length lie in one memory resource of the device. The address returned is
 * for READ_REGISTER_* and WRITE_REGISTER_* only. MapToUserMode is not supported. PASSIVE_LEVEL.
 */
typedef NTSTATUS(APIENTRY *DXGKCB_MAP_MEMORY)(HANDLE DeviceHandle,
                                              PHYSICAL_ADDRESS TranslatedAddress, ULONG Length,
                                              BOOLEAN InIoSpace, BOOLEAN MapToUserMode,
                                              MEMORY_CACHING_TYPE CacheType, PVOID *VirtualAddress);
typedef NTSTATUS(APIENTRY *DXGKCB_UNMAP_MEMORY)(HANDLE DeviceHandle, PVOID VirtualAddress);
/* TRUE when the DPC was not queued yet. Any IRQL. */
typedef BOOLEAN(APIENTRY *DXGKCB_QUEUE_DPC)(HANDLE DeviceHandle);
typedef NTSTATUS(APIENTRY *DXGKCB_QUERY_SERVICES)(HANDLE DeviceHandle, DXGK_SERVICES ServicesType,
                                                  PINTERFACE Interface);
/* DataType is DXGK_WHICHSPACE_*; short counts are possible at the end of the space. PASSIVE_LEVEL.
 */
typedef NTSTATUS(APIENTRY *DXGKCB_READ_DEVICE_SPACE)(HANDLE DeviceHandle, ULONG DataType,
                                                     PVOID Buffer, ULONG Offset, ULONG Length,
                                                     PULONG BytesRead);
typedef NTSTATUS(APIENTRY *DXGKCB_WRITE_DEVICE_SPACE)(HANDLE DeviceHandle, ULONG DataType,
                                                      PVOID Buffer, ULONG Offset, ULONG Length,
                                                      PULONG BytesWritten);
/* Runs the routine with the device's interrupt of MessageNumber held off. IRQL <= device IRQL. */
typedef NTSTATUS(APIENTRY *DXGKCB_SYNCHRONIZE_EXECUTION)(HANDLE DeviceHandle,
                                                         PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                                         PVOID Context, ULONG MessageNumber,
                                                         PBOOLEAN ReturnValue);
/* Any IRQL up to 256 bytes, PASSIVE_LEVEL above. */
typedef void(APIENTRY *DXGKCB_LOG_ETW_EVENT)(const GUID *EventGuid, UCHAR Type,
                                             USHORT EventBufferSize, PVOID EventBuffer);
/* The driver's mitigated ranges changed: the OS asks for them again. */
typedef void(APIENTRY *DXGKCB_MITIGATEDRANGEUPDATE)(HANDLE hAdapter, ULONG VirtualFunctionIndex);

/* Slots of display, power and IOMMU services this OS side has no use for are plain pointers, and
 * NULL. */
typedef struct _DXGKRNL_INTERFACE {
    ULONG Size;
    ULONG Version;
    HANDLE DeviceHandle;
    PVOID DxgkCbEvalAcpiMethod;
    DXGKCB_GET_DEVICE_INFORMATION DxgkCbGetDeviceInformation;
    PVOID DxgkCbIndicateChildStatus;
    DXGKCB_MAP_MEMORY DxgkCbMapMemory;
    DXGKCB_QUEUE_DPC DxgkCbQueueDpc;
    DXGKCB_QUERY_SERVICES DxgkCbQueryServices;
    DXGKCB_READ_DEVICE_SPACE DxgkCbReadDeviceSpace;
    DXGKCB_SYNCHRONIZE_EXECUTION DxgkCbSynchronizeExecution;
    DXGKCB_UNMAP_MEMORY DxgkCbUnmapMemory;
    DXGKCB_WRITE_DEVICE_SPACE DxgkCbWriteDeviceSpace;
    PVOID DxgkCbIsDevicePresent;
    PVOID DxgkCbGetHandleData;
    PVOID DxgkCbGetHandleParent;
    PVOID DxgkCbEnumHandleChildren;
    DXGKCB_NOTIFY_INTERRUPT DxgkCbNotifyInterrupt;
    DXGKCB_NOTIFY_DPC DxgkCbNotifyDpc;
    PVOID DxgkCbQueryVidPnInterface;
    PVOID DxgkCbQueryMonitorInterface;
    PVOID DxgkCbGetCaptureAddress;
    DXGKCB_LOG_ETW_EVENT DxgkCbLogEtwEvent;
    PVOID DxgkCbExcludeAdapterAccess;
    PVOID DxgkCbCreateContextAllocation;
    PVOID DxgkCbDestroyContextAllocation;
    PVOID DxgkCbSetPowerComponentActive;
    PVOID DxgkCbSetPowerComponentIdle;
    PVOID DxgkCbAcquirePostDisplayOwnership;
    PVOID DxgkCbPowerRuntimeControlRequest;
    PVOID DxgkCbSetPowerComponentLatency;
    PVOID DxgkCbSetPowerComponentResidency;
    PVOID DxgkCbCompleteFStateTransition;
    PVOID DxgkCbCompletePStateTransition;
    PVOID DxgkCbMapContextAllocation;
    PVOID DxgkCbUpdateContextAllocation;
    PVOID DxgkCbReserveGpuVirtualAddressRange;
    PVOID DxgkCbAcquireHandleData;
    PVOID DxgkCbReleaseHandleData;
    PVOID DxgkCbHardwareContentProtectionTeardown;
    PVOID DxgkCbMultiPlaneOverlayDisabled;
    DXGKCB_MITIGATEDRANGEUPDATE DxgkCbMitigatedRangeUpdate;
    PVOID DxgkCbInvalidateHwContext;
    PVOID DxgkCbIndicateConnectorChange;
    PVOID DxgkCbUnblockUEFIFrameBufferRanges;
    PVOID DxgkCbAcquirePostDisplayOwnership2;
    PVOID DxgkCbSetProtectedSessionStatus;
    PVOID DxgkCbAllocateContiguousMemory;
    PVOID DxgkCbFreeContiguousMemory;
    DXGKCB_ALLOCATEPAGESFORMDL DxgkCbAllocatePagesForMdl;
    DXGKCB_FREEPAGESFROMMDL DxgkCbFreePagesFromMdl;
    PVOID DxgkCbPinFrameBufferForSave;
    PVOID DxgkCbUnpinFrameBufferForSave;
    PVOID DxgkCbMapFrameBufferPointer;
    PVOID DxgkCbUnmapFrameBufferPointer;
    DXGKCB_MAPMDLTOIOMMU DxgkCbMapMdlToIoMmu;
    DXGKCB_UNMAPMDLFROMIOMMU DxgkCbUnmapMdlFromIoMmu;
    PVOID DxgkCbReportDiagnostic;
    PVOID DxgkCbSignalEvent;
    PVOID DxgkCbIsFeatureEnabled;
    DXGKCB_SAVEMEMORYFORHOTUPDATE DxgkCbSaveMemoryForHotUpdate;
    PVOID DxgkCbNotifyCursorSupportChange;
    PVOID DxgkCbQueryFeatureSupport;
    PVOID DxgkCbCreatePhysicalMemoryObject;
    PVOID DxgkCbDestroyPhysicalMemoryObject;
    PVOID DxgkCbMapPhysicalMemory;
    PVOID DxgkCbUnmapPhysicalMemory;
    PVOID DxgkCbAllocateAdl;
    PVOID DxgkCbFreeAdl;
    PVOID DxgkCbOpenPhysicalMemoryObject;
    PVOID DxgkCbClosePhysicalMemoryObject;
    PVOID DxgkCbPinFrameBufferForSave2;
    PVOID DxgkCbDisconnectDoorbell;
} DXGKRNL_INTERFACE, *PDXGKRNL_INTERFACE;

/* ---- Entry points of the driver */

typedef NTSTATUS APIENTRY DXGKDDI_ADD_DEVICE(PDEVICE_OBJECT PhysicalDeviceObject,
                                             PVOID *MiniportDeviceContext);
/* DxgkInterface is copied by the driver: it does not outlive the call. */
typedef NTSTATUS APIENTRY DXGKDDI_START_DEVICE(PVOID MiniportDeviceContext,
                                               PDXGK_START_INFO DxgkStartInfo,
                                               PDXGKRNL_INTERFACE DxgkInterface,
                                               PULONG NumberOfVideoPresentSources,
                                               PULONG NumberOfChildren);
typedef NTSTATUS APIENTRY DXGKDDI_STOP_DEVICE(PVOID MiniportDeviceContext);
typedef NTSTATUS APIENTRY DXGKDDI_REMOVE_DEVICE(PVOID MiniportDeviceContext);
typedef NTSTATUS APIENTRY DXGKDDI_DISPATCH_IO_REQUEST(PVOID MiniportDeviceContext,
                                                      ULONG VidPnSourceId,
                                                      PVIDEO_REQUEST_PACKET VideoRequestPacket);
/* Device IRQL. TRUE when the interrupt was the device's. */
typedef BOOLEAN APIENTRY DXGKDDI_INTERRUPT_ROUTINE(PVOID MiniportDeviceContext,
                                                   ULONG MessageNumber);
/* DISPATCH_LEVEL. */
typedef void APIENTRY DXGKDDI_DPC_ROUTINE(PVOID MiniportDeviceContext);
typedef NTSTATUS APIENTRY DXGKDDI_QUERY_CHILD_RELATIONS(PVOID MiniportDeviceContext,
                                                        PDXGK_CHILD_DESCRIPTOR ChildRelations,
                                                        ULONG ChildRelationsSize);
typedef NTSTATUS APIENTRY DXGKDDI_QUERY_CHILD_STATUS(PVOID MiniportDeviceContext,
                                                     PDXGK_CHILD_STATUS ChildStatus,
                                                     BOOLEAN NonDestructiveOnly);
typedef NTSTATUS APIENTRY DXGKDDI_QUERY_DEVICE_DESCRIPTOR(PVOID MiniportDeviceContext,
                                                          ULONG ChildUid,
                                                          PDXGK_DEVICE_DESCRIPTOR DeviceDescriptor);
typedef NTSTATUS APIENTRY DXGKDDI_SET_POWER_STATE(PVOID MiniportDeviceContext, ULONG DeviceUid,
                                                  DEVICE_POWER_STATE DevicePowerState,
                                                  POWER_ACTION ActionType);
typedef NTSTATUS APIENTRY DXGKDDI_NOTIFY_ACPI_EVENT(PVOID MiniportDeviceContext,
                                                    DXGK_EVENT_TYPE EventType, ULONG Event,
                                                    PVOID Argument, PULONG AcpiFlags);
typedef void APIENTRY DXGKDDI_RESET_DEVICE(PVOID MiniportDeviceContext);
typedef void APIENTRY DXGKDDI_UNLOAD(void);
typedef NTSTATUS APIENTRY DXGKDDI_QUERY_INTERFACE(PVOID MiniportDeviceContext,
                                                  PQUERY_INTERFACE QueryInterface);
typedef void APIENTRY DXGKDDI_CONTROL_ETW_LOGGING(BOOLEAN Enable, ULONG Flags, UCHAR Level);

typedef DXGKDDI_ADD_DEVICE *PDXGKDDI_ADD_DEVICE;
typedef DXGKDDI_START_DEVICE *PDXGKDDI_START_DEVICE;
typedef DXGKDDI_STOP_DEVICE *PDXGKDDI_STOP_DEVICE;
typedef DXGKDDI_REMOVE_DEVICE *PDXGKDDI_REMOVE_DEVICE;
typedef DXGKDDI_DISPATCH_IO_REQUEST *PDXGKDDI_DISPATCH_IO_REQUEST;
typedef DXGKDDI_INTERRUPT_ROUTINE *PDXGKDDI_INTERRUPT_ROUTINE;
typedef DXGKDDI_DPC_ROUTINE *PDXGKDDI_DPC_ROUTINE;
typedef DXGKDDI_QUERY_CHILD_RELATIONS *PDXGKDDI_QUERY_CHILD_RELATIONS;
typedef DXGKDDI_QUERY_CHILD_STATUS *PDXGKDDI_QUERY_CHILD_STATUS;
typedef DXGKDDI_QUERY_DEVICE_DESCRIPTOR *PDXGKDDI_QUERY_DEVICE_DESCRIPTOR;
typedef DXGKDDI_SET_POWER_STATE *PDXGKDDI_SET_POWER_STATE;
typedef DXGKDDI_NOTIFY_ACPI_EVENT *PDXGKDDI_NOTIFY_ACPI_EVENT;
typedef DXGKDDI_RESET_DEVICE *PDXGKDDI_RESET_DEVICE;
typedef DXGKDDI_UNLOAD *PDXGKDDI_UNLOAD;
typedef DXGKDDI_QUERY_INTERFACE *PDXGKDDI_QUERY_INTERFACE;
typedef DXGKDDI_CONTROL_ETW_LOGGING *PDXGKDDI_CONTROL_ETW_LOGGING;

/* The whole WDDM 3.2 table. Slots outside rendering, paging and partitions are plain pointers. */
typedef struct _DRIVER_INITIALIZATION_DATA {
    ULONG Version; /* DXGKDDI_INTERFACE_VERSION */
    PDXGKDDI_ADD_DEVICE DxgkDdiAddDevice;
    PDXGKDDI_START_DEVICE DxgkDdiStartDevice;
    PDXGKDDI_STOP_DEVICE DxgkDdiStopDevice;
    PDXGKDDI_REMOVE_DEVICE DxgkDdiRemoveDevice;
    PDXGKDDI_DISPATCH_IO_REQUEST DxgkDdiDispatchIoRequest;
    PDXGKDDI_INTERRUPT_ROUTINE DxgkDdiInterruptRoutine;
    PDXGKDDI_DPC_ROUTINE DxgkDdiDpcRoutine;
    PDXGKDDI_QUERY_CHILD_RELATIONS DxgkDdiQueryChildRelations;
    PDXGKDDI_QUERY_CHILD_STATUS DxgkDdiQueryChildStatus;
    PDXGKDDI_QUERY_DEVICE_DESCRIPTOR DxgkDdiQueryDeviceDescriptor;
    PDXGKDDI_SET_POWER_STATE DxgkDdiSetPowerState;
    PDXGKDDI_NOTIFY_ACPI_EVENT DxgkDdiNotifyAcpiEvent;
    PDXGKDDI_RESET_DEVICE DxgkDdiResetDevice;
    PDXGKDDI_UNLOAD DxgkDdiUnload;
    PDXGKDDI_QUERY_INTERFACE DxgkDdiQueryInterface;
    PDXGKDDI_CONTROL_ETW_LOGGING DxgkDdiControlEtwLogging;
    PDXGKDDI_QUERYADAPTERINFO DxgkDdiQueryAdapterInfo;
    PDXGKDDI_CREATEDEVICE DxgkDdiCreateDevice;
    PVOID DxgkDdiCreateAllocation;
    PVOID DxgkDdiDestroyAllocation;
    PVOID DxgkDdiDescribeAllocation;
    PVOID DxgkDdiGetStandardAllocationDriverData;
    PVOID DxgkDdiAcquireSwizzlingRange;
    PVOID DxgkDdiReleaseSwizzlingRange;
    PVOID DxgkDdiPatch;
    PVOID DxgkDdiSubmitCommand;
    PDXGKDDI_PREEMPTCOMMAND DxgkDdiPreemptCommand;
    PDXGKDDI_BUILDPAGINGBUFFER DxgkDdiBuildPagingBuffer;
    PVOID DxgkDdiSetPalette;
    PVOID DxgkDdiSetPointerPosition;
    PVOID DxgkDdiSetPointerShape;
    PDXGKDDI_RESETFROMTIMEOUT DxgkDdiResetFromTimeout;
    PDXGKDDI_RESTARTFROMTIMEOUT DxgkDdiRestartFromTimeout;
    PVOID DxgkDdiEscape;
    PDXGKDDI_COLLECTDBGINFO DxgkDdiCollectDbgInfo;
    PDXGKDDI_QUERYCURRENTFENCE DxgkDdiQueryCurrentFence;
    PVOID DxgkDdiIsSupportedVidPn;
    PVOID DxgkDdiRecommendFunctionalVidPn;
    PVOID DxgkDdiEnumVidPnCofuncModality;
    PVOID DxgkDdiSetVidPnSourceAddress;
    PVOID DxgkDdiSetVidPnSourceVisibility;
    PVOID DxgkDdiCommitVidPn;
    PVOID DxgkDdiUpdateActiveVidPnPresentPath;
    PVOID DxgkDdiRecommendMonitorModes;
    PVOID DxgkDdiRecommendVidPnTopology;
    PVOID DxgkDdiGetScanLine;
    PVOID DxgkDdiStopCapture;
    PDXGKDDI_CONTROLINTERRUPT DxgkDdiControlInterrupt;
    PVOID DxgkDdiCreateOverlay;
    PDXGKDDI_DESTROYDEVICE DxgkDdiDestroyDevice;
    PVOID DxgkDdiOpenAllocation;
    PVOID DxgkDdiCloseAllocation;
    PVOID DxgkDdiRender;
    PVOID DxgkDdiPresent;
    PVOID DxgkDdiUpdateOverlay;
    PVOID DxgkDdiFlipOverlay;
    PVOID DxgkDdiDestroyOverlay;
    PDXGKDDI_CREATECONTEXT DxgkDdiCreateContext;
    PDXGKDDI_DESTROYCONTEXT DxgkDdiDestroyContext;
    PVOID DxgkDdiLinkDevice;
    PVOID DxgkDdiSetDisplayPrivateDriverFormat;
    PVOID DxgkDdiDescribePageTable;
    PVOID DxgkDdiUpdatePageTable;
    PVOID DxgkDdiUpdatePageDirectory;
    PVOID DxgkDdiMovePageDirectory;
    PVOID DxgkDdiSubmitRender;
    PVOID DxgkDdiCreateAllocation2;
    PVOID DxgkDdiRenderKm;
    PVOID Reserved;
    PVOID DxgkDdiQueryVidPnHWCapability;
    PVOID DxgkDdiSetPowerComponentFState;
    PDXGKDDI_QUERYDEPENDENTENGINEGROUP DxgkDdiQueryDependentEngineGroup;
    PDXGKDDI_QUERYENGINESTATUS DxgkDdiQueryEngineStatus;
    PDXGKDDI_RESETENGINE DxgkDdiResetEngine;
    PVOID DxgkDdiStopDeviceAndReleasePostDisplayOwnership;
    PVOID DxgkDdiSystemDisplayEnable;
    PVOID DxgkDdiSystemDisplayWrite;
    PVOID DxgkDdiCancelCommand;
    PVOID DxgkDdiGetChildContainerId;
    PVOID DxgkDdiPowerRuntimeControlRequest;
    PVOID DxgkDdiSetVidPnSourceAddressWithMultiPlaneOverlay;
    PVOID DxgkDdiNotifySurpriseRemoval;
    PDXGKDDI_GETNODEMETADATA DxgkDdiGetNodeMetadata;
    PVOID DxgkDdiSetPowerPState;
    PVOID DxgkDdiControlInterrupt2;
    PVOID DxgkDdiCheckMultiPlaneOverlaySupport;
    PVOID DxgkDdiCalibrateGpuClock;
    PVOID DxgkDdiFormatHistoryBuffer;
    PVOID DxgkDdiRenderGdi;
    PDXGKDDI_SUBMITCOMMANDVIRTUAL DxgkDdiSubmitCommandVirtual;
    PDXGKDDI_SETROOTPAGETABLE DxgkDdiSetRootPageTable;
    PDXGKDDI_GETROOTPAGETABLESIZE DxgkDdiGetRootPageTableSize;
    PVOID DxgkDdiMapCpuHostAperture;
    PVOID DxgkDdiUnmapCpuHostAperture;
    PVOID DxgkDdiCheckMultiPlaneOverlaySupport2;
    PDXGKDDI_CREATEPROCESS DxgkDdiCreateProcess;
    PDXGKDDI_DESTROYPROCESS DxgkDdiDestroyProcess;
    PVOID DxgkDdiSetVidPnSourceAddressWithMultiPlaneOverlay2;
    PVOID Reserved1;
    PVOID Reserved2;
    PVOID DxgkDdiPowerRuntimeSetDeviceHandle;
    PVOID DxgkDdiSetStablePowerState;
    PVOID DxgkDdiSetVideoProtectedRegion;
    PVOID DxgkDdiCheckMultiPlaneOverlaySupport3;
    PVOID DxgkDdiSetVidPnSourceAddressWithMultiPlaneOverlay3;
    PVOID DxgkDdiPostMultiPlaneOverlayPresent;
    PVOID DxgkDdiValidateUpdateAllocationProperty;
    PVOID DxgkDdiControlModeBehavior;
    PVOID DxgkDdiUpdateMonitorLinkInfo;
    PVOID DxgkDdiCreateHwContext;
    PVOID DxgkDdiDestroyHwContext;
    PVOID DxgkDdiCreateHwQueue;
    PVOID DxgkDdiDestroyHwQueue;
    PVOID DxgkDdiSubmitCommandToHwQueue;
    PVOID DxgkDdiSwitchToHwContextList;
    PVOID DxgkDdiResetHwEngine;
    PVOID DxgkDdiCreatePeriodicFrameNotification;
    PVOID DxgkDdiDestroyPeriodicFrameNotification;
    PVOID DxgkDdiSetTimingsFromVidPn;
    PVOID DxgkDdiSetTargetGamma;
    PVOID DxgkDdiSetTargetContentType;
    PVOID DxgkDdiSetTargetAnalogCopyProtection;
    PVOID DxgkDdiSetTargetAdjustedColorimetry;
    PVOID DxgkDdiDisplayDetectControl;
    PVOID DxgkDdiQueryConnectionChange;
    PVOID DxgkDdiExchangePreStartInfo;
    PVOID DxgkDdiGetMultiPlaneOverlayCaps;
    PVOID DxgkDdiGetPostCompositionCaps;
    PVOID DxgkDdiUpdateHwContextState;
    PVOID DxgkDdiCreateProtectedSession;
    PVOID DxgkDdiDestroyProtectedSession;
    PVOID DxgkDdiSetSchedulingLogBuffer;
    PVOID DxgkDdiSetupPriorityBands;
    PVOID DxgkDdiNotifyFocusPresent;
    PVOID DxgkDdiSetContextSchedulingProperties;
    PVOID DxgkDdiSuspendContext;
    PVOID DxgkDdiResumeContext;
    PVOID DxgkDdiSetVirtualMachineData;
    PVOID DxgkDdiBeginExclusiveAccess;
    PVOID DxgkDdiEndExclusiveAccess;
    PVOID DxgkDdiQueryDiagnosticTypesSupport;
    PVOID DxgkDdiControlDiagnosticReporting;
    PVOID DxgkDdiResumeHwEngine;
    PVOID DxgkDdiSignalMonitoredFence;
    PVOID DxgkDdiPresentToHwQueue;
    PVOID DxgkDdiValidateSubmitCommand;
    PVOID DxgkDdiSetTargetAdjustedColorimetry2;
    PVOID DxgkDdiSetTrackedWorkloadPowerLevel;
    PDXGKDDI_SAVEMEMORYFORHOTUPDATE DxgkDdiSaveMemoryForHotUpdate;
    PDXGKDDI_RESTOREMEMORYFORHOTUPDATE DxgkDdiRestoreMemoryForHotUpdate;
    PVOID DxgkDdiCollectDiagnosticInfo;
    PVOID Reserved3;
    PVOID DxgkDdiControlInterrupt3;
    PVOID DxgkDdiSetFlipQueueLogBuffer;
    PVOID DxgkDdiUpdateFlipQueueLog;
    PVOID DxgkDdiCancelQueuedFlips;
    PVOID DxgkDdiSetInterruptTargetPresentId;
    PVOID DxgkDdiSetAllocationBackingStore;
    PVOID DxgkDdiCreateCpuEvent;
    PVOID DxgkDdiDestroyCpuEvent;
    PVOID DxgkDdiCancelFlips;
    PVOID DxgkDdiCreateNativeFence;
    PVOID DxgkDdiDestroyNativeFence;
    PVOID DxgkDdiUpdateMonitoredValues;
    PVOID DxgkDdiUpdateCurrentValuesFromCpu; /* older kits: DxgkDdiNotifyCurrentValueUpdates */
    PVOID DxgkDdiCreateDoorbell;
    PVOID DxgkDdiConnectDoorbell;
    PVOID DxgkDdiDisconnectDoorbell;
    PVOID DxgkDdiDestroyDoorbell;
    PVOID DxgkDdiNotifyWorkSubmission;
    PVOID Reserved4; /* older kits: DxgkDdiFlushHwQueue */
    PDXGKDDI_CREATEMEMORYBASIS DxgkDdiCreateMemoryBasis;
    PDXGKDDI_DESTROYMEMORYBASIS DxgkDdiDestroyMemoryBasis;
    PDXGKDDI_STARTDIRTYTRACKING DxgkDdiStartDirtyTracking;
    PDXGKDDI_STOPDIRTYTRACKING DxgkDdiStopDirtyTracking;
    PDXGKDDI_QUERYDIRTYBITDATA DxgkDdiQueryDirtyBitData;
    PDXGKDDI_PREPARELIVEMIGRATION DxgkDdiPrepareLiveMigration;
    PDXGKDDI_SAVEIMMUTABLEMIGRATIONDATA DxgkDdiSaveImmutableMigrationData;
    PDXGKDDI_SAVEMUTABLEMIGRATIONDATA DxgkDdiSaveMutableMigrationData;
    PDXGKDDI_ENDLIVEMIGRATION DxgkDdiEndLiveMigration;
    PDXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA DxgkDdiRestoreImmutableMigrationData;
    PDXGKDDI_RESTOREMUTABLEMIGRATIONDATA DxgkDdiRestoreMutableMigrationData;
    PDXGKDDI_WRITEVIRTUALIZEDINTERRUPT DxgkDdiWriteVirtualizedInterrupt;
    PDXGKDDI_SETVIRTUALGPURESOURCES2 DxgkDdiSetVirtualGpuResources2;
    PDXGKDDI_SETVIRTUALFUNCTIONPAUSESTATE DxgkDdiSetVirtualFunctionPauseState;
    PVOID DxgkDdiOpenNativeFence;
    PVOID DxgkDdiCloseNativeFence;
    PVOID DxgkDdiSetNativeFenceLogBuffer;
    PVOID DxgkDdiUpdateNativeFenceLogs;
    PVOID DxgkDdiCollectDbgInfo2;
    PVOID DxgkDdiNotifyContextPriorityChange;
    PVOID DxgkDdiResetDisplayEngine;
} DRIVER_INITIALIZATION_DATA, *PDRIVER_INITIALIZATION_DATA;

/* CAP-7: called by DriverEntry. The table is copied. PASSIVE_LEVEL. */
NTKERNELAPI NTSTATUS DxgkInitialize(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath,
                                    PDRIVER_INITIALIZATION_DATA DriverInitializationData);
NTKERNELAPI NTSTATUS DxgkUnInitialize(PDRIVER_OBJECT DriverObject);

/* ---- GPU partition interface. Context is the INTERFACE's; PASSIVE_LEVEL throughout. */

typedef enum _DXGK_VGPU_CAPABILITY_TYPE {
    DXGK_VGPU_CAPABILITY_MEMORY = 0, /* bytes */
    DXGK_VGPU_CAPABILITY_ENCODE = 1, /* 540p60 units */
    DXGK_VGPU_CAPABILITY_DECODE = 2, /* 540p60 units */
    DXGK_VGPU_CAPABILITY_COMPUTE = 3, /* GFLOPS, fp16 */
    DXGK_VGPU_CAPABILITY_MAX = 4
} DXGK_VGPU_CAPABILITY_TYPE;

/* VF-1: STATUS_BUFFER_TOO_SMALL with the needed count when the array is short. */
typedef struct _DXGKARG_GETGPUPARTITIONINFO {
    ULONG NumGpuPartitionOptions;
    USHORT *pGpuPartitionOptions;
    USHORT CurrentGpuPartitionCount;
} DXGKARG_GETGPUPARTITIONINFO, *PDXGKARG_GETGPUPARTITIONINFO;

typedef struct _DXGKARG_SETGPUPARTITIONCOUNT {
    ULONG PartitionCount;
} DXGKARG_SETGPUPARTITIONCOUNT, *PDXGKARG_SETGPUPARTITIONCOUNT;

typedef struct _DXGK_GPUENGINE {
    DXGK_ENGINE_TYPE EngineType;
    WCHAR Name[DXGK_MAX_METADATA_NAME_LENGTH];
    ULONG NumPartitionUnits;
} DXGK_GPUENGINE, *PDXGK_GPUENGINE;

/* EngineInfo has NumEngines entries. */
typedef struct _DXGKARG_GETGPUENGINES {
    ULONG NumEngines;
    DXGK_GPUENGINE EngineInfo[1];
} DXGKARG_GETGPUENGINES, *PDXGKARG_GETGPUENGINES;

typedef struct _DXGK_VGPU_PROFILE_CAPABILITY {
    UINT64 TotalValue;
    UINT64 AvailableValue;
    UINT64 MinPartitionValue;
    UINT64 MaxPartitionValue;
    UINT64 OptimalPartitionValue;
} DXGK_VGPU_PROFILE_CAPABILITY, *PDXGK_VGPU_PROFILE_CAPABILITY;

typedef struct _DXGKARG_GETVIRTUALGPUPROFILE {
    ULONG PartitionCount;
    ULONG VirtualizationFlags;
    DXGK_VGPU_PROFILE_CAPABILITY ProfileCapability[DXGK_VGPU_CAPABILITY_MAX];
} DXGKARG_GETVIRTUALGPUPROFILE, *PDXGKARG_GETVIRTUALGPUPROFILE;

typedef struct _DXGK_VIRTUALGPUCAPABILITY {
    UINT64 MinValue;
    UINT64 MaxValue;
    UINT64 OptimalValue;
} DXGK_VIRTUALGPUCAPABILITY, *PDXGK_VIRTUALGPUCAPABILITY;

typedef struct _DXGK_VIRTUALGPUPROFILE {
    DXGK_VIRTUALGPUCAPABILITY Capability[DXGK_VGPU_CAPABILITY_MAX];
} DXGK_VIRTUALGPUPROFILE, *PDXGK_VIRTUALGPUPROFILE;

typedef struct _DXGK_VIRTUALGPUSEGMENTINFO {
    ULONG DriverSegmentId;
    UINT64 Size; /* bytes */
    ULONG Alignment; /* bytes: a multiple of 4096, or 0 */
    UINT64 MinSegmentOffset;
    UINT64 MaxSegmentOffset;
    ULONG PrivateDriverData;
} DXGK_VIRTUALGPUSEGMENTINFO, *PDXGK_VIRTUALGPUSEGMENTINFO;

typedef struct _DXGK_VIRTUALGPUENGINEINFO {
    ULONG MinPartitionUnits;
    ULONG MaxPartitionUnits;
    ULONG EngineId;
} DXGK_VIRTUALGPUENGINEINFO, *PDXGK_VIRTUALGPUENGINEINFO;

/* PartitionId and Profile come in, all later members go out (its page marks the whole as input). */
typedef struct _DXGKARG_CREATEVIRTUALGPU {
    ULONG PartitionId;
    DXGK_VIRTUALGPUPROFILE Profile;
    GUID UserModeVirtualDeviceProvider;
    LUID VirtualGpuLuid;
    ULONG NumMemorySegments;
    DXGK_VIRTUALGPUSEGMENTINFO SegmentInfo[DXGK_MAX_VIRTUAL_GPU_ALLOCATIONS];
    ULONG NumEngines;
    DXGK_VIRTUALGPUENGINEINFO EngineInfo[DXGK_MAX_ASYMETRICAL_PROCESSING_NODES];
} DXGKARG_CREATEVIRTUALGPU, *PDXGKARG_CREATEVIRTUALGPU;

typedef struct _DXGK_VGPU_CAPABILITY {
    UINT64 MinValue;
    UINT64 MaxValue;
    UINT64 CurrentValue;
} DXGK_VGPU_CAPABILITY, *PDXGK_VGPU_CAPABILITY;

typedef struct _DXGKARG_GETVIRTUALGPUINFO {
    ULONG PartitionId;
    DXGK_VGPU_CAPABILITY Capability[DXGK_VGPU_CAPABILITY_MAX];
} DXGKARG_GETVIRTUALGPUINFO, *PDXGKARG_GETVIRTUALGPUINFO;

typedef struct _DXGK_GPU_PHYSICAL_ADDRESS {
    ULONG MemorySegmentId;
    UINT64 MemorySegmentOffset;
} DXGK_GPU_PHYSICAL_ADDRESS, *PDXGK_GPU_PHYSICAL_ADDRESS;

typedef struct _DXGK_VIRTUALGPUMEMORYRESOURCE {
    HANDLE DriverAllocationHandle;
    DXGK_GPU_PHYSICAL_ADDRESS AllocationAddress;
    UINT64 AllocationSize;
} DXGK_VIRTUALGPUMEMORYRESOURCE, *PDXGK_VIRTUALGPUMEMORYRESOURCE;

/* MemoryInfo has NumMemoryAllocations entries. */
typedef struct _DXGKARG_SETVIRTUALGPURESOURCES {
    ULONG PartitionId;
    ULONG NumMemoryAllocations;
    DXGK_VIRTUALGPUMEMORYRESOURCE MemoryInfo[1];
} DXGKARG_SETVIRTUALGPURESOURCES, *PDXGKARG_SETVIRTUALGPURESOURCES;

typedef struct _DXGKARG_DESTROYVIRTUALGPU {
    ULONG PartitionId;
} DXGKARG_DESTROYVIRTUALGPU, *PDXGKARG_DESTROYVIRTUALGPU;

/* Never called (VF-2); only their slots matter. */
typedef struct _DXGKARG_SUSPENDVIRTUALGPU {
    ULONG PartitionId;
} DXGKARG_SUSPENDVIRTUALGPU, *PDXGKARG_SUSPENDVIRTUALGPU;

typedef struct _DXGKARG_RESUMEVIRTUALGPU {
    ULONG PartitionId;
} DXGKARG_RESUMEVIRTUALGPU, *PDXGKARG_RESUMEVIRTUALGPU;

typedef struct _DXGK_VIRTUALGPUDRIVERESCAPE {
    ULONG PartitionId;
    ULONG InputBufferSize;
    ULONG OutputBufferSize;
    PVOID pInputBuffer;
    PVOID pOutputBuffer;
} DXGK_VIRTUALGPUDRIVERESCAPE, *PDXGK_VIRTUALGPUDRIVERESCAPE;

typedef struct _DXGKARG_SETVIRTUALGPUVMBUS {
    ULONG VirtualGpuIndex;
    HANDLE VmBusHandle;
} DXGKARG_SETVIRTUALGPUVMBUS, *PDXGKARG_SETVIRTUALGPUVMBUS;

typedef NTSTATUS APIENTRY DXGKDDI_GETGPUPARTITIONINFO(HANDLE Context,
                                                      DXGKARG_GETGPUPARTITIONINFO *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SETGPUPARTITIONCOUNT(HANDLE Context,
                                                       DXGKARG_SETGPUPARTITIONCOUNT *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_GETGPUENGINES(HANDLE Context, DXGKARG_GETGPUENGINES *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_GETVIRTUALGPUPROFILE(HANDLE Context,
                                                       DXGKARG_GETVIRTUALGPUPROFILE *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_CREATEVIRTUALGPU(HANDLE Context, DXGKARG_CREATEVIRTUALGPU *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_GETVIRTUALGPUINFO(HANDLE Context,
                                                    DXGKARG_GETVIRTUALGPUINFO *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SETVIRTUALGPURESOURCES(HANDLE Context,
                                                         DXGKARG_SETVIRTUALGPURESOURCES *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_DESTROYVIRTUALGPU(HANDLE Context,
                                                    DXGKARG_DESTROYVIRTUALGPU *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SUSPENDVIRTUALGPU(HANDLE Context,
                                                    DXGKARG_SUSPENDVIRTUALGPU *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_RESUMEVIRTUALGPU(HANDLE Context, DXGKARG_RESUMEVIRTUALGPU *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_VIRTUALGPUDRIVERESCAPE(HANDLE Context,
                                                         PDXGK_VIRTUALGPUDRIVERESCAPE pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_SETVIRTUALGPUVMBUS(HANDLE Context,
                                                     DXGKARG_SETVIRTUALGPUVMBUS *pArgs);

typedef DXGKDDI_GETGPUPARTITIONINFO *PDXGKDDI_GETGPUPARTITIONINFO;
typedef DXGKDDI_SETGPUPARTITIONCOUNT *PDXGKDDI_SETGPUPARTITIONCOUNT;
typedef DXGKDDI_GETGPUENGINES *PDXGKDDI_GETGPUENGINES;
typedef DXGKDDI_GETVIRTUALGPUPROFILE *PDXGKDDI_GETVIRTUALGPUPROFILE;
typedef DXGKDDI_CREATEVIRTUALGPU *PDXGKDDI_CREATEVIRTUALGPU;
typedef DXGKDDI_GETVIRTUALGPUINFO *PDXGKDDI_GETVIRTUALGPUINFO;
typedef DXGKDDI_SETVIRTUALGPURESOURCES *PDXGKDDI_SETVIRTUALGPURESOURCES;
typedef DXGKDDI_DESTROYVIRTUALGPU *PDXGKDDI_DESTROYVIRTUALGPU;
typedef DXGKDDI_SUSPENDVIRTUALGPU *PDXGKDDI_SUSPENDVIRTUALGPU;
typedef DXGKDDI_RESUMEVIRTUALGPU *PDXGKDDI_RESUMEVIRTUALGPU;
typedef DXGKDDI_VIRTUALGPUDRIVERESCAPE *PDXGKDDI_VIRTUALGPUDRIVERESCAPE;
typedef DXGKDDI_SETVIRTUALGPUVMBUS *PDXGKDDI_SETVIRTUALGPUVMBUS;

/* The header every interface starts with, member for member an INTERFACE. */
#define WDDM_INTERFACE_HEADER \
    USHORT Size; \
    USHORT Version; \
    PVOID Context; \
    PINTERFACE_REFERENCE InterfaceReference; \
    PINTERFACE_DEREFERENCE InterfaceDereference

typedef struct _DXGKDDI_GPU_PARTITION_INTERFACE {
    WDDM_INTERFACE_HEADER;
    PDXGKDDI_GETGPUPARTITIONINFO DxgkDdiGetGpuPartitionInfo;
    PDXGKDDI_SETGPUPARTITIONCOUNT DxgkDdiSetGpuPartitionCount;
    PDXGKDDI_GETGPUENGINES DxgkDdiGetGpuEngines;
    PDXGKDDI_GETVIRTUALGPUPROFILE DxgkDdiGetVirtualGpuProfile;
    PDXGKDDI_CREATEVIRTUALGPU DxgkDdiCreateVirtualGpu;
    PDXGKDDI_GETVIRTUALGPUINFO DxgkDdiGetVirtualGpuInfo;
    PDXGKDDI_SETVIRTUALGPURESOURCES DxgkDdiSetVirtualGpuResources;
    PDXGKDDI_DESTROYVIRTUALGPU DxgkDdiDestroyVirtualGpu;
    PDXGKDDI_SUSPENDVIRTUALGPU DxgkDdiSuspendVirtualGpu;
    PDXGKDDI_RESUMEVIRTUALGPU DxgkDdiResumeVirtualGpu;
    PDXGKDDI_VIRTUALGPUDRIVERESCAPE DxgkDdiVirtualGpuDriverEscape;
    PDXGKDDI_SETVIRTUALGPUVMBUS DxgkDdiSetVirtualGpuVmBus;
} DXGKDDI_GPU_PARTITION_INTERFACE, *PDXGKDDI_GPU_PARTITION_INTERFACE;

/* ---- SR-IOV interface (VF-5) */

typedef struct _DXGKARG_READVIRTUALFUNCTIONCONFIG {
    PVOID Data;
    ULONG VirtualFunctionIndex;
    ULONG Offset; /* bytes */
    ULONG Length; /* bytes */
} DXGKARG_READVIRTUALFUNCTIONCONFIG, *PDXGKARG_READVIRTUALFUNCTIONCONFIG;

typedef struct _DXGKARG_WRITEVIRTUALFUNCTIONCONFIG {
    PVOID Data;
    ULONG VirtualFunctionIndex;
    ULONG Offset;
    ULONG Length;
} DXGKARG_WRITEVIRTUALFUNCTIONCONFIG, *PDXGKARG_WRITEVIRTUALFUNCTIONCONFIG;

typedef struct _DXGKARG_READVIRTUALFUNCTIONCONFIGBLOCK {
    PVOID Data;
    ULONG VirtualFunctionIndex;
    ULONG BlockId;
    ULONG Length;
} DXGKARG_READVIRTUALFUNCTIONCONFIGBLOCK, *PDXGKARG_READVIRTUALFUNCTIONCONFIGBLOCK;

typedef struct _DXGKARG_WRITEVIRTUALFUNCTIONCONFIGBLOCK {
    PVOID Data;
    ULONG VirtualFunctionIndex;
    ULONG BlockId;
    ULONG Length;
} DXGKARG_WRITEVIRTUALFUNCTIONCONFIGBLOCK, *PDXGKARG_WRITEVIRTUALFUNCTIONCONFIGBLOCK;

/* BaseRegisterValues has PCI_TYPE0_ADDRESSES entries. */
typedef struct _DXGKARG_QUERYPROBEDBARS {
    ULONG VirtualFunctionIndex;
    ULONG *BaseRegisterValues;
} DXGKARG_QUERYPROBEDBARS, *PDXGKARG_QUERYPROBEDBARS;

typedef struct _DXGKARG_GETVENDORANDDEVICE {
    ULONG VirtualFunctionIndex;
    USHORT VendorId;
    USHORT DeviceId;
} DXGKARG_GETVENDORANDDEVICE, *PDXGKARG_GETVENDORANDDEVICE;

typedef struct _DXGKARG_GETDEVICELOCATION {
    ULONG VirtualFunctionIndex;
    ULONG SegmentNumber;
    ULONG BusNumber;
    ULONG FunctionNumber;
} DXGKARG_GETDEVICELOCATION, *PDXGKARG_GETDEVICELOCATION;

typedef struct _DXGKARG_RESETVIRTUALFUNCTION {
    ULONG VirtualFunctionIndex;
} DXGKARG_RESETVIRTUALFUNCTION, *PDXGKARG_RESETVIRTUALFUNCTION;

typedef struct _DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE {
    ULONG VirtualFunctionIndex;
    DEVICE_POWER_STATE PowerState;
    BOOLEAN Wake;
} DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE, *PDXGKARG_SETVIRTUALFUNCTIONPOWERSTATE;

typedef struct _DXGKARG_GETRESOURCEFORBAR {
    ULONG VirtualFunctionIndex;
    ULONG BarIndex;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR pResource;
} DXGKARG_GETRESOURCEFORBAR, *PDXGKARG_GETRESOURCEFORBAR;

typedef struct _DXGKARG_QUERYVIRTUALFUNCTIONLUID {
    ULONG VirtualFunctionIndex;
    PLUID pLuid;
} DXGKARG_QUERYVIRTUALFUNCTIONLUID, *PDXGKARG_QUERYVIRTUALFUNCTIONLUID;

typedef NTSTATUS APIENTRY
DXGKDDI_READVIRTUALFUNCTIONCONFIG(HANDLE Context, DXGKARG_READVIRTUALFUNCTIONCONFIG *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_WRITEVIRTUALFUNCTIONCONFIG(HANDLE Context, DXGKARG_WRITEVIRTUALFUNCTIONCONFIG *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_READVIRTUALFUNCTIONCONFIGBLOCK(
    HANDLE Context, DXGKARG_READVIRTUALFUNCTIONCONFIGBLOCK *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_WRITEVIRTUALFUNCTIONCONFIGBLOCK(
    HANDLE Context, DXGKARG_WRITEVIRTUALFUNCTIONCONFIGBLOCK *pArgs);
typedef void APIENTRY DXGKDDI_QUERYPROBEDBARS(HANDLE Context, DXGKARG_QUERYPROBEDBARS *pArgs);
typedef void APIENTRY DXGKDDI_GETVENDORANDDEVICE(HANDLE Context, DXGKARG_GETVENDORANDDEVICE *pArgs);
typedef void APIENTRY DXGKDDI_GETDEVICELOCATION(HANDLE Context, DXGKARG_GETDEVICELOCATION *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_RESETVIRTUALFUNCTION(HANDLE Context,
                                                       DXGKARG_RESETVIRTUALFUNCTION *pArgs);
typedef NTSTATUS APIENTRY
DXGKDDI_SETVIRTUALFUNCTIONPOWERSTATE(HANDLE Context, DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_GETRESOURCEFORBAR(HANDLE Context,
                                                    DXGKARG_GETRESOURCEFORBAR *pArgs);
typedef void APIENTRY DXGKDDI_QUERYVIRTUALFUNCTIONLUID(HANDLE Context,
                                                       DXGKARG_QUERYVIRTUALFUNCTIONLUID *pArgs);

typedef DXGKDDI_READVIRTUALFUNCTIONCONFIG *PDXGKDDI_READVIRTUALFUNCTIONCONFIG;
typedef DXGKDDI_WRITEVIRTUALFUNCTIONCONFIG *PDXGKDDI_WRITEVIRTUALFUNCTIONCONFIG;
typedef DXGKDDI_READVIRTUALFUNCTIONCONFIGBLOCK *PDXGKDDI_READVIRTUALFUNCTIONCONFIGBLOCK;
typedef DXGKDDI_WRITEVIRTUALFUNCTIONCONFIGBLOCK *PDXGKDDI_WRITEVIRTUALFUNCTIONCONFIGBLOCK;
typedef DXGKDDI_QUERYPROBEDBARS *PDXGKDDI_QUERYPROBEDBARS;
typedef DXGKDDI_GETVENDORANDDEVICE *PDXGKDDI_GETVENDORANDDEVICE;
typedef DXGKDDI_GETDEVICELOCATION *PDXGKDDI_GETDEVICELOCATION;
typedef DXGKDDI_RESETVIRTUALFUNCTION *PDXGKDDI_RESETVIRTUALFUNCTION;
typedef DXGKDDI_SETVIRTUALFUNCTIONPOWERSTATE *PDXGKDDI_SETVIRTUALFUNCTIONPOWERSTATE;
typedef DXGKDDI_GETRESOURCEFORBAR *PDXGKDDI_GETRESOURCEFORBAR;
typedef DXGKDDI_QUERYVIRTUALFUNCTIONLUID *PDXGKDDI_QUERYVIRTUALFUNCTIONLUID;

typedef struct _DXGKDDI_SRIOV_INTERFACE {
    WDDM_INTERFACE_HEADER;
    PDXGKDDI_READVIRTUALFUNCTIONCONFIG DxgkDdiReadVirtualFunctionConfig;
    PDXGKDDI_WRITEVIRTUALFUNCTIONCONFIG DxgkDdiWriteVirtualFunctionConfig;
    PDXGKDDI_READVIRTUALFUNCTIONCONFIGBLOCK DxgkDdiReadVirtualFunctionConfigBlock;
    PDXGKDDI_WRITEVIRTUALFUNCTIONCONFIGBLOCK DxgkDdiWriteVirtualFunctionConfigBlock;
    PDXGKDDI_QUERYPROBEDBARS DxgkDdiQueryProbedBars;
    PDXGKDDI_GETVENDORANDDEVICE DxgkDdiGetVendorAndDevice;
    PDXGKDDI_GETDEVICELOCATION DxgkDdiGetDeviceLocation;
    PDXGKDDI_RESETVIRTUALFUNCTION DxgkDdiResetVirtualFunction;
    PDXGKDDI_SETVIRTUALFUNCTIONPOWERSTATE DxgkDdiSetVirtualFunctionPowerState;
    PDXGKDDI_GETRESOURCEFORBAR DxgkDdiGetResourceForBar;
    PDXGKDDI_QUERYVIRTUALFUNCTIONLUID DxgkDdiQueryVirtualFunctionLuid;
} DXGKDDI_SRIOV_INTERFACE, *PDXGKDDI_SRIOV_INTERFACE;

/* ---- Mitigable-device interface (VF-5, INT-1) */

typedef struct _DXGK_MITIGATEDRANGEINFO {
    ULONGLONG BasePageNumber; /* 4 KiB pages from the start of the BAR */
    ULONG PageCount;
    BOOLEAN InterceptReads;
    BOOLEAN InterceptWrites;
} DXGK_MITIGATEDRANGEINFO, *PDXGK_MITIGATEDRANGEINFO;

typedef struct _DXGKARG_QUERYMITIGATEDRANGECOUNT {
    ULONG VirtualFunctionIndex;
    ULONG RangeCount[DXGK_MAX_NUM_PCI_BARS];
} DXGKARG_QUERYMITIGATEDRANGECOUNT, *PDXGKARG_QUERYMITIGATEDRANGECOUNT;

typedef struct _DXGKARG_QUERYMITIGATEDRANGES {
    ULONG VirtualFunctionIndex;
    ULONG BarIndex;
    ULONG NumRanges;
    PDXGK_MITIGATEDRANGEINFO pMitigatedRange;
} DXGKARG_QUERYMITIGATEDRANGES, *PDXGKARG_QUERYMITIGATEDRANGES;

typedef void APIENTRY DXGKDDI_QUERYMITIGATEDRANGECOUNT(HANDLE Context,
                                                       DXGKARG_QUERYMITIGATEDRANGECOUNT *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_QUERYMITIGATEDRANGES(HANDLE Context,
                                                       DXGKARG_QUERYMITIGATEDRANGES *pArgs);
typedef DXGKDDI_QUERYMITIGATEDRANGECOUNT *PDXGKDDI_QUERYMITIGATEDRANGECOUNT;
typedef DXGKDDI_QUERYMITIGATEDRANGES *PDXGKDDI_QUERYMITIGATEDRANGES;

typedef struct _DXGKDDI_MITIGABLE_DEVICE_INTERFACE {
    WDDM_INTERFACE_HEADER;
    PDXGKDDI_QUERYMITIGATEDRANGECOUNT DxgkDdiQueryMitigatedRangeCount;
    PDXGKDDI_QUERYMITIGATEDRANGES DxgkDdiQueryMitigatedRanges;
} DXGKDDI_MITIGABLE_DEVICE_INTERFACE, *PDXGKDDI_MITIGABLE_DEVICE_INTERFACE;

/* ---- Flexible-I/O interface: declared for completeness, never asked for here */

typedef struct _DXGKARG_GETBACKINGRESOURCE {
    ULONG VirtualFunctionIndex;
    USHORT ResourceIndex;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource;
    PMDL pMdl;
} DXGKARG_GETBACKINGRESOURCE, *PDXGKARG_GETBACKINGRESOURCE;

typedef struct _DXGKARG_GETMMIORANGECOUNT {
    ULONG VirtualFunctionIndex;
    ULONG RangeCount[DXGK_MAX_NUM_PCI_BARS];
} DXGKARG_GETMMIORANGECOUNT, *PDXGKARG_GETMMIORANGECOUNT;

typedef struct _DXGK_MMIORANGEINFO {
    ULONGLONG BasePageNumber;
    ULONGLONG BasePhysicalPageNumber;
    UCHAR BasePhysicalResourceNumber;
    BOOLEAN InterceptReads;
    BOOLEAN InterceptWrites;
    ULONG PageCount;
} DXGK_MMIORANGEINFO, *PDXGK_MMIORANGEINFO;

typedef struct _DXGKARG_GETMMIORANGES {
    ULONG VirtualFunctionIndex;
    ULONG BarIndex;
    ULONG NumRanges;
    PDXGK_MMIORANGEINFO pMmioRanges;
} DXGKARG_GETMMIORANGES, *PDXGKARG_GETMMIORANGES;

typedef NTSTATUS APIENTRY DXGKDDI_GETBACKINGRESOURCE(HANDLE Context,
                                                     DXGKARG_GETBACKINGRESOURCE *pArgs);
typedef void APIENTRY DXGKDDI_GETMMIORANGECOUNT(HANDLE Context, DXGKARG_GETMMIORANGECOUNT *pArgs);
typedef NTSTATUS APIENTRY DXGKDDI_GETMMIORANGES(HANDLE Context, DXGKARG_GETMMIORANGES *pArgs);
typedef DXGKDDI_GETBACKINGRESOURCE *PDXGKDDI_GETBACKINGRESOURCE;
typedef DXGKDDI_GETMMIORANGECOUNT *PDXGKDDI_GETMMIORANGECOUNT;
typedef DXGKDDI_GETMMIORANGES *PDXGKDDI_GETMMIORANGES;

typedef struct _DXGKDDI_FLEXIOV_DEVICE_INTERFACE {
    WDDM_INTERFACE_HEADER;
    PDXGKDDI_GETBACKINGRESOURCE DxgkDdiGetBackingResource;
    PDXGKDDI_GETMMIORANGECOUNT DxgkDdiGetMmioRangeCount;
    PDXGKDDI_GETMMIORANGES DxgkDdiGetMmioRanges;
} DXGKDDI_FLEXIOV_DEVICE_INTERFACE, *PDXGKDDI_FLEXIOV_DEVICE_INTERFACE;

#ifdef __cplusplus
}
#endif

#endif
