// SPDX-License-Identifier: Apache-2.0
/*
 * The virtual device's object: one reference count behind two interfaces, IGPUPMitigationDevice and
 * IGPUPMigration.
 */
#include "umed.h"

struct umed_device {
    IGPUPMitigationDevice mitigation;
    IGPUPMigration migration;
    LONG references; /* atomic */
    BOOL initialized;
    LUID luid; /* of the virtual device, from Initialize on */
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

static HRESULT STDMETHODCALLTYPE mitigation_initialize(IGPUPMitigationDevice *This,
                                                       PLUID deviceLUID, HANDLE deviceHandle,
                                                       HANDLE vmBusHandle, IUnknown *gpupServices)
{
    struct umed_device *device = of_mitigation(This);

    UNREFERENCED_PARAMETER(deviceHandle);
    UNREFERENCED_PARAMETER(vmBusHandle);
    UNREFERENCED_PARAMETER(
        gpupServices); /* nothing is emulated, so no guest memory and no MSI are needed */
    if (!deviceLUID)
        return E_INVALIDARG;
    if (device->initialized)
        return E_UNEXPECTED;
    device->luid = *deviceLUID;
    device->initialized = TRUE;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE mitigation_power(IGPUPMitigationDevice *This, PLUID deviceLUID,
                                                  GPUP_POWER_DEVICE_STATE gpupPowerState)
{
    if (!device_is(of_mitigation(This), deviceLUID) || gpupPowerState <= GpupPowerDeviceInvalid ||
        gpupPowerState >= GpupPowerDeviceMaximum)
        return E_INVALIDARG;
    return S_OK;
}

/* The only mitigated page is the MSI-X table's, which never comes here (INT-1): any access is a
 * mistake. */
static HRESULT STDMETHODCALLTYPE mitigation_read(IGPUPMitigationDevice *This, PLUID deviceLUID,
                                                 VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
                                                 ULONG64 Length, BYTE *ValueRead)
{
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(deviceLUID);
    UNREFERENCED_PARAMETER(BarIndex);
    UNREFERENCED_PARAMETER(Offset);
    UNREFERENCED_PARAMETER(Length);
    UNREFERENCED_PARAMETER(ValueRead);
    return E_INVALIDARG;
}

static HRESULT STDMETHODCALLTYPE mitigation_write(IGPUPMitigationDevice *This, PLUID deviceLUID,
                                                  VGPU_BAR_SELECTOR BarIndex, ULONG64 Offset,
                                                  ULONG64 Length, const BYTE WriteValue[])
{
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(deviceLUID);
    UNREFERENCED_PARAMETER(BarIndex);
    UNREFERENCED_PARAMETER(Offset);
    UNREFERENCED_PARAMETER(Length);
    UNREFERENCED_PARAMETER(WriteValue);
    return E_INVALIDARG;
}

static const IGPUPMitigationDeviceVtbl mitigation_vtbl = {
    .QueryInterface = mitigation_query_interface,
    .AddRef = mitigation_add_ref,
    .Release = mitigation_release,
    .Initialize = mitigation_initialize,
    .PowerTransitionComplete = mitigation_power,
    .ReadInterceptedGPUP = mitigation_read,
    .WriteInterceptedGPUP = mitigation_write,
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
static HRESULT STDMETHODCALLTYPE migration_save(IGPUPMigration *This, PLUID DeviceLuid,
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

static HRESULT STDMETHODCALLTYPE migration_restore(IGPUPMigration *This, PLUID DeviceLuid,
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
    .SaveImmutableGpup = migration_save,
    .RestoreImmutableGpup = migration_restore,
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
