// SPDX-License-Identifier: Apache-2.0
/*
 * The softgpu's UMED with one fault put in its IGPUPMigration, named by the file bad-umed.fault
 * beside it: its worker has no environment, and no files any more once it is shut in. It is linked
 * from the real one's objects with the device's creation wrapped.
 */
#include "igpupvdev.h"
#include "wdm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

HRESULT __real_umed_device_create(REFIID riid, void **out);
HRESULT __wrap_umed_device_create(REFIID riid, void **out);

static char fault[32];
/* Written whenever a device is made, with the same values while a worker lives. */
static IGPUPMitigationDeviceVtbl mitigation;
static IGPUPMigrationVtbl migration;
static const IGPUPMitigationDeviceVtbl *real_mitigation;
static const IGPUPMigrationVtbl *real_migration;

/* While the DLL is loaded. */
__attribute__((constructor)) static void read_fault(void)
{
    char path[1024];
    Dl_info self;
    FILE *file;

    if (dladdr(fault, &self) == 0 ||
        snprintf(path, sizeof path, "%.*s.fault", (int)strlen(self.dli_fname) - 3,
                 self.dli_fname) >= (int)sizeof path)
        return;
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(fault, sizeof fault, file) == NULL)
        fault[0] = '\0';
    (void)fclose(file);
}

static bool is(const char *name)
{
    return strcmp(fault, name) == 0;
}

static HRESULT STDMETHODCALLTYPE query_interface(IGPUPMitigationDevice *This, REFIID riid,
                                                 void **out)
{
    if (is("umed-none") && IsEqualGUID(riid, &IID_IGPUPMigration)) {
        *out = NULL;
        return E_NOINTERFACE;
    }
    return real_mitigation->QueryInterface(This, riid, out);
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
    if (is("umed-none-given") && data != NULL)
        *length = 0;
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
    HRESULT result = __real_umed_device_create(&IID_IGPUPMitigationDevice, out);
    IGPUPMigration *interface = NULL;
    IGPUPMitigationDevice *object = *out;

    UNREFERENCED_PARAMETER(riid); /* IUnknown or IGPUPMitigationDevice: the same pointer */
    if (FAILED(result))
        return result;
    if (SUCCEEDED(
            object->lpVtbl->QueryInterface(object, &IID_IGPUPMigration, (void **)&interface))) {
        real_migration = interface->lpVtbl;
        migration = *real_migration;
        migration.SaveImmutableGpup = save;
        migration.RestoreImmutableGpup = restore;
        interface->lpVtbl = &migration;
        (void)interface->lpVtbl->Release(interface);
    }
    real_mitigation = object->lpVtbl;
    mitigation = *real_mitigation;
    mitigation.QueryInterface = query_interface;
    object->lpVtbl = &mitigation;
    return result;
}
