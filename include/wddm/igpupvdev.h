// SPDX-License-Identifier: Apache-2.0
/*
 * What a user-mode emulation DLL (UMED) implements: COM classes in plain C, found through
 * DllGetClassObject. IGPUPMigration is the optional interface of live migration (SRC-3, TGT-2).
 */
#ifndef WDDM_IGPUPVDEV_H
#define WDDM_IGPUPVDEV_H

#include "ntdef.h"
#include "ntstatus.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef UINT64 GUEST_PHYSICAL_ADDRESS;

typedef enum VGPU_BAR_SELECTOR {
    BAR0 = 0,
    BAR1 = 1,
    BAR2 = 2,
    BAR3 = 3,
    BAR4 = 4,
    BAR5 = 5,
    ROMBAR = 6,
    CONFIG = 7
} VGPU_BAR_SELECTOR;

typedef enum GPUP_POWER_DEVICE_STATE {
    GpupPowerDeviceInvalid = 0,
    GpupPowerDeviceD0 = 1,
    GpupPowerDeviceD1 = 2,
    GpupPowerDeviceD2 = 3,
    GpupPowerDeviceD3 = 4,
    GpupPowerDeviceD3Final = 5,
    GpupPowerDevicePrepareForHibernation = 6,
    GpupPowerDeviceMaximum = 7
} GPUP_POWER_DEVICE_STATE;

/* Kits before 10.0.22621 lack the last value. */
typedef enum GPUP_SAVE_RESTORE_PAUSE_STATE {
    GpupSaveInvalid = 0,
    GpupSavePartitionPersist = 1,
    GpupSaveMaximum = 2,
    GpupPauseResumeGuestRunning = 3
} GPUP_SAVE_RESTORE_PAUSE_STATE;

DEFINE_GUID(IID_IUnknown, 0x00000000, 0x0000, 0x0000, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x46);
DEFINE_GUID(IID_IClassFactory, 0x00000001, 0x0000, 0x0000, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x46);
DEFINE_GUID(IID_IGPUPVDev, 0x0f4ddc9b, 0xd683, 0x46fb, 0xa7, 0xe9, 0x93, 0x5d, 0xfe, 0x0b, 0x61,
            0x7f);
DEFINE_GUID(IID_IGPUPMitigationDevice, 0xd6f70a58, 0xe039, 0x42b3, 0x96, 0xdb, 0xef, 0xe0, 0x33,
            0xbc, 0x2e, 0xac);
DEFINE_GUID(IID_IVmGPUPGuestMemoryAccess, 0x15df23e2, 0x05cf, 0x48d1, 0xae, 0x3a, 0x38, 0x26, 0xfc,
            0xb6, 0x04, 0x1c);
DEFINE_GUID(IID_IVmGPUPGuestMsiAccess, 0x72469f11, 0x9256, 0x419a, 0xae, 0xa5, 0x38, 0xde, 0x47,
            0x01, 0xb2, 0xee);
/*
 * This IID is ours: the documentation names the interface but no public source gives its IID. A
 * UMED built against Microsoft's own header will answer to another one; only this line then
 * changes.
 */
DEFINE_GUID(IID_IGPUPMigration, 0x5b6bd0f2, 0x0c5f, 0x4a57, 0x9b, 0x0e, 0x76, 0x66, 0x65, 0x72,
            0x72, 0x79);

typedef struct IUnknown IUnknown;
typedef struct IClassFactory IClassFactory;
typedef struct IGPUPVDev IGPUPVDev;
typedef struct IGPUPMitigationDevice IGPUPMitigationDevice;
typedef struct IGPUPMigration IGPUPMigration;
typedef struct IVmGPUPGuestMemoryAccess IVmGPUPGuestMemoryAccess;
typedef struct IVmGPUPGuestMsiAccess IVmGPUPGuestMsiAccess;

/*
 * The three IUnknown slots every vtable starts with. QueryInterface hands out a new reference in
 * *ppvObject or E_NOINTERFACE and NULL. Counts are atomic: any thread may call.
 */
#define WDDM_IUNKNOWN_SLOTS(self) \
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(self * This, REFIID riid, void **ppvObject); \
    ULONG(STDMETHODCALLTYPE *AddRef)(self * This); \
    ULONG(STDMETHODCALLTYPE *Release)(self * This)

typedef struct IUnknownVtbl {
    WDDM_IUNKNOWN_SLOTS(IUnknown);
} IUnknownVtbl;

struct IUnknown {
    const IUnknownVtbl *lpVtbl;
};

typedef struct IClassFactoryVtbl {
    WDDM_IUNKNOWN_SLOTS(IClassFactory);
    /* pUnkOuter is NULL: no class here aggregates (CLASS_E_NOAGGREGATION otherwise). */
    HRESULT(STDMETHODCALLTYPE *CreateInstance)
    (IClassFactory *This, IUnknown *pUnkOuter, REFIID riid, void **ppvObject);
    HRESULT(STDMETHODCALLTYPE *LockServer)(IClassFactory *This, BOOL fLock);
} IClassFactoryVtbl;

struct IClassFactory {
    const IClassFactoryVtbl *lpVtbl;
};

typedef struct IGPUPVDevVtbl {
    WDDM_IUNKNOWN_SLOTS(IGPUPVDev);
    HRESULT(STDMETHODCALLTYPE *GetDeviceLuid)(IGPUPVDev *This, PLUID DeviceLUID);
} IGPUPVDevVtbl;

struct IGPUPVDev {
    const IGPUPVDevVtbl *lpVtbl;
};

/*
 * The slots' order and the arguments' types are those of the WDK's header (10.0.22621); the pages
 * document neither. What the calls of saving and restoring mean together is inferred here:
 * - A device is paused before it is saved or restored, and resumed after.
 * - SaveGpupBegin with *Length 0 and no buffer starts a save and gives the state's whole size.
 *   SaveGpupContinue then fills *Length bytes at most; it gives in *Length how many it wrote and in
 *   *RequestedLength how many are still to come.
 * - RestoreGpup brings the bytes Offset .. Offset + Length - 1 of TotalLength, in rising order; the
 *   last piece makes the state the device's.
 * - Flags: GpupSavePartitionPersist is the only one the pages explain for a save.
 * The host makes one call at a time on one device; counts of references are atomic all the same.
 */
typedef struct IGPUPMitigationDeviceVtbl {
    WDDM_IUNKNOWN_SLOTS(IGPUPMitigationDevice);
    /* GpupServices can be queried for IGPUPVDev, IVmGPUPGuestMemoryAccess, IVmGPUPGuestMsiAccess,
     * as far as the host has them. */
    HRESULT(STDMETHODCALLTYPE *Initialize)
    (IGPUPMitigationDevice *This, GUID *VmGuid, PLUID DeviceLuid, HANDLE DeviceHandle,
     HANDLE VmBusHandle, IUnknown *GpupServices);
    HRESULT(STDMETHODCALLTYPE *PowerTransitionComplete)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_POWER_DEVICE_STATE GpupPowerState);
    /* Guest access to a mitigated range. Offset and Length are bytes within the BAR. */
    HRESULT(STDMETHODCALLTYPE *ReadInterceptedGpup)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
     ULONG64 Length, BYTE *ValueRead);
    HRESULT(STDMETHODCALLTYPE *WriteInterceptedGpup)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
     ULONG64 Length, const BYTE WriteValue[]);
    HRESULT(STDMETHODCALLTYPE *PauseGpup)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_SAVE_RESTORE_PAUSE_STATE Flags);
    HRESULT(STDMETHODCALLTYPE *ResumeGpup)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_SAVE_RESTORE_PAUSE_STATE Flags);
    HRESULT(STDMETHODCALLTYPE *SaveGpupBegin)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
     ULONG *Length, BYTE SaveBuffer[]);
    HRESULT(STDMETHODCALLTYPE *SaveGpupContinue)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
     ULONG *Length, ULONG *RequestedLength, BYTE SaveBuffer[]);
    HRESULT(STDMETHODCALLTYPE *RestoreGpup)
    (IGPUPMitigationDevice *This, PLUID DeviceLuid, GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
     ULONG Length, ULONG Offset, ULONG TotalLength, BYTE RestoreBuffer[]);
} IGPUPMitigationDeviceVtbl;

struct IGPUPMitigationDevice {
    const IGPUPMitigationDeviceVtbl *lpVtbl;
};

/* Its page puts a member `b` first: BEGIN_INTERFACE, which is nothing on Windows x64. */
typedef struct IGPUPMigrationVtbl {
    WDDM_IUNKNOWN_SLOTS(IGPUPMigration);
    /*
     * Two calls: SaveBuffer NULL and *Length 0 asks for the size, then *Length is that size and
     * SaveBuffer the caller's buffer. S_OK, E_INVALIDARG, E_OUTOFMEMORY.
     */
    HRESULT(STDMETHODCALLTYPE *SaveImmutableGpup)
    (IGPUPMigration *This, PLUID DeviceLuid, UINT64 *Length, BYTE *SaveBuffer);
    /* The method's page describes Length as a pointer, its prototype there passes it by value. */
    HRESULT(STDMETHODCALLTYPE *RestoreImmutableGpup)
    (IGPUPMigration *This, PLUID DeviceLuid, UINT64 Length, BYTE *RestoreBuffer);
} IGPUPMigrationVtbl;

struct IGPUPMigration {
    const IGPUPMigrationVtbl *lpVtbl;
};

typedef struct IVmGPUPGuestMemoryAccessVtbl {
    WDDM_IUNKNOWN_SLOTS(IVmGPUPGuestMemoryAccess);
    HRESULT(STDMETHODCALLTYPE *CreateRamApertureFromByteRange)
    (IVmGPUPGuestMemoryAccess *This, UINT64 StartGpaAddress, UINT64 ByteCount, BOOL WriteProtected,
     PVOID *MapAddress, IUnknown **Aperture);
    HRESULT(STDMETHODCALLTYPE *ReadRamBytes)
    (IVmGPUPGuestMemoryAccess *This, GUEST_PHYSICAL_ADDRESS StartAddress, UINT64 ByteCount,
     BYTE ClientBuffer[]);
    HRESULT(STDMETHODCALLTYPE *WriteRamBytes)
    (IVmGPUPGuestMemoryAccess *This, GUEST_PHYSICAL_ADDRESS StartAddress, UINT64 ByteCount,
     const BYTE ClientBuffer[]);
} IVmGPUPGuestMemoryAccessVtbl;

struct IVmGPUPGuestMemoryAccess {
    const IVmGPUPGuestMemoryAccessVtbl *lpVtbl;
};

typedef struct IVmGPUPGuestMsiAccessVtbl {
    WDDM_IUNKNOWN_SLOTS(IVmGPUPGuestMsiAccess);
    HRESULT(STDMETHODCALLTYPE *DeliverInterrupt)
    (IVmGPUPGuestMsiAccess *This, UINT32 DestAddr, UINT32 Data);
} IVmGPUPGuestMsiAccessVtbl;

struct IVmGPUPGuestMsiAccess {
    const IVmGPUPGuestMsiAccessVtbl *lpVtbl;
};

/* Exported by a UMED. *ppv gets a class factory for rclsid, or CLASS_E_CLASSNOTAVAILABLE and NULL.
 */
typedef HRESULT(STDAPICALLTYPE *PFN_DLLGETCLASSOBJECT)(REFCLSID rclsid, REFIID riid, void **ppv);
DECLSPEC_EXPORT HRESULT STDAPICALLTYPE DllGetClassObject(REFCLSID rclsid, REFIID riid, void **ppv);
/* S_OK when no object of this DLL is alive, else S_FALSE. */
DECLSPEC_EXPORT HRESULT STDAPICALLTYPE DllCanUnloadNow(void);

#ifdef __cplusplus
}
#endif

#endif
