// SPDX-License-Identifier: Apache-2.0
/*
 * The virtual device's object: one reference count behind two interfaces, IGPUPMitigationDevice and
 * IGPUPMigration. Its emulated page is platform.c's.
 */
#include "umed.h"

struct umed_device {
    IGPUPMitigationDevice mitigation;
    IGPUPMigration migration;
    LONG references; /* atomic */
    BOOL initialized;
    LUID luid; /* of the virtual device, from Initialize on */
    BOOL paused;
    struct umed_platform platform;
    /* One save or restore on its way: umed_platform_state_bytes() bytes, NULL when there
     * is none. */
    BYTE *transfer;
    ULONG transferred;
    BOOL saving;
};

static HRESULT device_query(struct umed_device *device, REFIID riid, void **out)
{
    if (!out)
        return E_POINTER;
    *out = NULL;
    if (!riid)
        return E_INVALIDARG;
    /* One answer to IUnknown whichever interface is asked: identity is compared by it. */
    if (IsEqualIID(riid, &IID_IUnknown) || IsEqualIID(riid, &IID_IGPUPMitigationDevice))
        *out = &device->mitigation;
    else if (IsEqualIID(riid, &IID_IGPUPMigration))
        *out = &device->migration;
    else
        return E_NOINTERFACE;
    (void)InterlockedIncrement(&device->references);
    return S_OK;
}

static ULONG device_release(struct umed_device *device)
{
    LONG left = InterlockedDecrement(&device->references);

    if (left == 0) {
        umed_free(device->transfer);
        umed_free(device);
        umed_module_drop();
    }
    return (ULONG)left;
}

/* Once initialised, a call that names another device is a mix-up of the caller's. */
static BOOL device_is(const struct umed_device *device, const LUID *luid)
{
    return luid && (!device->initialized || (device->luid.LowPart == luid->LowPart &&
                                             device->luid.HighPart == luid->HighPart));
}

/* ---- IGPUPMitigationDevice ---- */

static struct umed_device *of_mitigation(IGPUPMitigationDevice *This)
{
    return CONTAINING_RECORD(This, struct umed_device, mitigation);
}

static HRESULT STDMETHODCALLTYPE mitigation_query_interface(IGPUPMitigationDevice *This,
                                                            REFIID riid, void **ppvObject)
{
    return device_query(of_mitigation(This), riid, ppvObject);
}

static ULONG STDMETHODCALLTYPE mitigation_add_ref(IGPUPMitigationDevice *This)
{
    return (ULONG)InterlockedIncrement(&of_mitigation(This)->references);
}

static ULONG STDMETHODCALLTYPE mitigation_release(IGPUPMitigationDevice *This)
{
    return device_release(of_mitigation(This));
}

static HRESULT STDMETHODCALLTYPE mitigation_initialize(IGPUPMitigationDevice *This, GUID *VmGuid,
                                                       PLUID DeviceLuid, HANDLE DeviceHandle,
                                                       HANDLE VmBusHandle, IUnknown *GpupServices)
{
    struct umed_device *device = of_mitigation(This);

    UNREFERENCED_PARAMETER(VmGuid);
    UNREFERENCED_PARAMETER(DeviceHandle);
    UNREFERENCED_PARAMETER(VmBusHandle);
    UNREFERENCED_PARAMETER(GpupServices); /* the page needs neither guest memory nor messages */
    if (!DeviceLuid)
        return E_INVALIDARG;
    if (device->initialized)
        return E_UNEXPECTED;
    device->luid = *DeviceLuid;
    device->initialized = TRUE;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE mitigation_power(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                  GPUP_POWER_DEVICE_STATE GpupPowerState)
{
    if (!device_is(of_mitigation(This), DeviceLuid) || GpupPowerState <= GpupPowerDeviceInvalid ||
        GpupPowerState >= GpupPowerDeviceMaximum)
        return E_INVALIDARG;
    return S_OK;
}

/* The page's offset of an intercepted access; FALSE when it is not the platform page's. */
static BOOL on_page(struct umed_device *device, const LUID *luid, VGPU_BAR_SELECTOR bar,
                    ULONG64 offset, ULONG64 *at)
{
    if (!device->initialized || !device_is(device, luid) || bar != (int)SG_VF_BAR_REGS ||
        offset < SG_VF_PLATFORM)
        return FALSE;
    *at = offset - SG_VF_PLATFORM;
    return TRUE;
}

static HRESULT STDMETHODCALLTYPE mitigation_read(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                 VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
                                                 ULONG64 Length, BYTE *ValueRead)
{
    struct umed_device *device = of_mitigation(This);
    ULONG64 at;

    if (!ValueRead || !on_page(device, DeviceLuid, BarIndex, Offset, &at) ||
        !umed_platform_read(&device->platform, at, Length, ValueRead))
        return E_INVALIDARG;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE mitigation_write(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                  VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
                                                  ULONG64 Length, const BYTE WriteValue[])
{
    struct umed_device *device = of_mitigation(This);
    ULONG64 at;

    if (!WriteValue || !on_page(device, DeviceLuid, BarIndex, Offset, &at))
        return E_INVALIDARG;
    if (device->paused)
        return E_UNEXPECTED; /* a store now would miss the state that is being saved */
    return umed_platform_write(&device->platform, at, Length, WriteValue) ? S_OK : E_INVALIDARG;
}

/* ---- saving and restoring ---- */

static HRESULT STDMETHODCALLTYPE mitigation_pause(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                  GPUP_SAVE_RESTORE_PAUSE_STATE Flags)
{
    struct umed_device *device = of_mitigation(This);

    if (!device_is(device, DeviceLuid) ||
        (Flags != GpupSavePartitionPersist && Flags != GpupPauseResumeGuestRunning))
        return E_INVALIDARG;
    if (!device->initialized || device->paused)
        return E_UNEXPECTED;
    device->paused = TRUE;
    return S_OK;
}

static void end_transfer(struct umed_device *device)
{
    umed_free(device->transfer);
    device->transfer = NULL;
    device->transferred = 0;
}

static HRESULT STDMETHODCALLTYPE mitigation_resume(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                   GPUP_SAVE_RESTORE_PAUSE_STATE Flags)
{
    struct umed_device *device = of_mitigation(This);

    if (!device_is(device, DeviceLuid) ||
        (Flags != GpupSavePartitionPersist && Flags != GpupPauseResumeGuestRunning))
        return E_INVALIDARG;
    if (!device->paused)
        return E_UNEXPECTED;
    end_transfer(device); /* what was not completed is given up */
    device->paused = FALSE;
    return S_OK;
}

static BOOL transfer_allowed(struct umed_device *device, const LUID *luid,
                             GPUP_SAVE_RESTORE_PAUSE_STATE flags)
{
    return device->paused && device_is(device, luid) && flags == GpupSavePartitionPersist;
}

static HRESULT STDMETHODCALLTYPE mitigation_save_begin(IGPUPMitigationDevice *This,
                                                       PLUID DeviceLuid,
                                                       GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
                                                       ULONG *Length, BYTE SaveBuffer[])
{
    struct umed_device *device = of_mitigation(This);

    if (!transfer_allowed(device, DeviceLuid, Flags) || !Length || *Length || SaveBuffer)
        return E_INVALIDARG;
    end_transfer(device);
    device->transfer = umed_alloc(umed_platform_state_bytes());
    if (!device->transfer)
        return E_OUTOFMEMORY;
    device->saving = TRUE;
    umed_platform_save(&device->platform, device->transfer);
    *Length = umed_platform_state_bytes();
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE mitigation_save_continue(IGPUPMitigationDevice *This,
                                                          PLUID DeviceLuid,
                                                          GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
                                                          ULONG *Length, ULONG *RequestedLength,
                                                          BYTE SaveBuffer[])
{
    struct umed_device *device = of_mitigation(This);
    ULONG left;

    if (!transfer_allowed(device, DeviceLuid, Flags) || !device->transfer || !device->saving ||
        !Length || !RequestedLength || !SaveBuffer)
        return E_INVALIDARG;
    left = umed_platform_state_bytes() - device->transferred;
    if (*Length > left)
        *Length = left;
    RtlCopyMemory(SaveBuffer, device->transfer + device->transferred, *Length);
    device->transferred += *Length;
    *RequestedLength = left - *Length;
    if (!*RequestedLength)
        end_transfer(device);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE mitigation_restore(IGPUPMitigationDevice *This, PLUID DeviceLuid,
                                                    GPUP_SAVE_RESTORE_PAUSE_STATE Flags,
                                                    ULONG Length, ULONG Offset, ULONG TotalLength,
                                                    BYTE RestoreBuffer[])
{
    struct umed_device *device = of_mitigation(This);
    BOOL good = TRUE;

    if (!transfer_allowed(device, DeviceLuid, Flags) || !RestoreBuffer ||
        TotalLength != umed_platform_state_bytes() || Offset > TotalLength || !Length ||
        Length > TotalLength - Offset)
        return E_INVALIDARG;
    if (Offset == 0) {
        end_transfer(device);
        device->transfer = umed_alloc(TotalLength);
        if (!device->transfer)
            return E_OUTOFMEMORY;
        device->saving = FALSE;
    }
    if (!device->transfer || device->saving || Offset != device->transferred)
        return E_INVALIDARG; /* a hole, or a piece that comes twice */
    RtlCopyMemory(device->transfer + Offset, RestoreBuffer, Length);
    device->transferred += Length;
    if (device->transferred == TotalLength) {
        good = umed_platform_restore(&device->platform, device->transfer, TotalLength);
        end_transfer(device);
    }
    return good ? S_OK : E_INVALIDARG;
}

static const IGPUPMitigationDeviceVtbl mitigation_vtbl = {
    .QueryInterface = mitigation_query_interface,
    .AddRef = mitigation_add_ref,
    .Release = mitigation_release,
    .Initialize = mitigation_initialize,
    .PowerTransitionComplete = mitigation_power,
    .ReadInterceptedGpup = mitigation_read,
    .WriteInterceptedGpup = mitigation_write,
    .PauseGpup = mitigation_pause,
    .ResumeGpup = mitigation_resume,
    .SaveGpupBegin = mitigation_save_begin,
    .SaveGpupContinue = mitigation_save_continue,
    .RestoreGpup = mitigation_restore,
};

/* ---- IGPUPMigration ---- */

static struct umed_device *of_migration(IGPUPMigration *This)
{
    return CONTAINING_RECORD(This, struct umed_device, migration);
}

static HRESULT STDMETHODCALLTYPE migration_query_interface(IGPUPMigration *This, REFIID riid,
                                                           void **ppvObject)
{
    return device_query(of_migration(This), riid, ppvObject);
}

static ULONG STDMETHODCALLTYPE migration_add_ref(IGPUPMigration *This)
{
    return (ULONG)InterlockedIncrement(&of_migration(This)->references);
}

static ULONG STDMETHODCALLTYPE migration_release(IGPUPMigration *This)
{
    return device_release(of_migration(This));
}

/* SRC-3: the size first, the bytes second. */
static HRESULT STDMETHODCALLTYPE immutable_save(IGPUPMigration *This, PLUID DeviceLuid,
                                                UINT64 *Length, BYTE *SaveBuffer)
{
    UINT64 bytes = umed_immutable_bytes();

    if (!device_is(of_migration(This), DeviceLuid) || !Length)
        return E_INVALIDARG;
    if (!SaveBuffer) {
        if (*Length)
            return E_INVALIDARG; /* a length without a buffer is neither call */
        *Length = bytes;
        return S_OK;
    }
    if (*Length < bytes) {
        *Length = bytes;
        return E_INVALIDARG;
    }
    umed_immutable_fill(SaveBuffer);
    *Length = bytes;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE immutable_restore(IGPUPMigration *This, PLUID DeviceLuid,
                                                   UINT64 Length, BYTE *RestoreBuffer)
{
    if (!device_is(of_migration(This), DeviceLuid) || !RestoreBuffer)
        return E_INVALIDARG;
    return umed_immutable_check(RestoreBuffer, Length);
}

static const IGPUPMigrationVtbl migration_vtbl = {
    .QueryInterface = migration_query_interface,
    .AddRef = migration_add_ref,
    .Release = migration_release,
    .SaveImmutableGpup = immutable_save,
    .RestoreImmutableGpup = immutable_restore,
};

HRESULT umed_device_create(REFIID riid, void **out)
{
    struct umed_device *device = umed_alloc(sizeof(*device));
    HRESULT result;

    if (!device)
        return E_OUTOFMEMORY;
    device->mitigation.lpVtbl = &mitigation_vtbl;
    device->migration.lpVtbl = &migration_vtbl;
    device->references = 1;
    umed_module_hold();
    result = device_query(device, riid, out);
    (void)device_release(device); /* only the query's reference stays, or nothing */
    return result;
}
