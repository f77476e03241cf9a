// SPDX-License-Identifier: Apache-2.0
/*
 * The softgpu's UMED with one fault put in its IGPUPMigration, named by VF_BAD_DRIVER when a device
 * is made. It is linked from the real one's objects with the device's creation wrapped.
 */
#include "igpupvdev.h"
#include "wdm.h"

#include <stdlib.h>
#include <string.h>

HRESULT __real_umed_device_create(REFIID riid, void **out);
HRESULT __wrap_umed_device_create(REFIID riid, void **out);

/* Written whenever a device is made, with the same values while a host lives. */
static char fault[32];
static IUnknownVtbl unknown;
static IGPUPMigrationVtbl migration;
static const IUnknownVtbl *real_unknown;
static const IGPUPMigrationVtbl *real_migration;

static bool is(const char *name)
{
    return strcmp(fault, name) == 0;
}

static HRESULT STDMETHODCALLTYPE query_interface(IUnknown *This, REFIID riid, void **out)
{
    if (is("umed-none") && IsEqualGUID(riid, &IID_IGPUPMigration)) {
        *out = NULL;
        return E_NOINTERFACE;
    }
    return real_unknown->QueryInterface(This, riid, out);
}

static HRESULT STDMETHODCALLTYPE save(IGPUPMigration *This, PLUID luid, UINT64 *length, BYTE *data)
{
    HRESULT result = real_migration->SaveImmutableGpup(This, luid, length, data);

    if (is("umed-fails"))
        return E_OUTOFMEMORY;
    if (is("umed-huge") && data == NULL)
        *length = 1ull << 40;
    if (is("umed-no-size") && data == NULL)
        *length = 0;
    if (is("umed-grows") && data != NULL)
        *length += 8;
    if (is("umed-overrun") && data != NULL)
        data[*length] = 0;
    return result;
}

static HRESULT STDMETHODCALLTYPE restore(IGPUPMigration *This, PLUID luid, UINT64 length,
                                         BYTE *data)
{
    return is("umed-refuses") ? E_INVALIDARG
                              : real_migration->RestoreImmutableGpup(This, luid, length, data);
}

HRESULT __wrap_umed_device_create(REFIID riid, void **out)
{
    HRESULT result = __real_umed_device_create(&IID_IUnknown, out);
    const char *name = getenv("VF_BAD_DRIVER");
    IGPUPMigration *interface = NULL;
    IUnknown *object = *out;

    UNREFERENCED_PARAMETER(riid); /* the OS side asks for IUnknown */
    if (FAILED(result))
        return result;
    (void)strncpy(fault, name != NULL ? name : "", sizeof fault - 1);
    if (SUCCEEDED(object->lpVtbl->QueryInterface(object, &IID_IGPUPMigration,
                                                 (void **)&interface))) {
        real_migration = interface->lpVtbl;
        migration = *real_migration;
        migration.SaveImmutableGpup = save;
        migration.RestoreImmutableGpup = restore;
        interface->lpVtbl = &migration;
        (void)interface->lpVtbl->Release(interface);
    }
    real_unknown = object->lpVtbl;
    unknown = *real_unknown;
    unknown.QueryInterface = query_interface;
    object->lpVtbl = &unknown;
    return result;
}
