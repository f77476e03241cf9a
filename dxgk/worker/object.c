// SPDX-License-Identifier: Apache-2.0
/* A UMED's object, reached through DllGetClassObject and vtables alone; and the services the object
 * may ask for. */
#include "dxgk/worker/worker.h"

#include <stdlib.h>
#include <string.h>

#define CANARY_BYTES 16u
#define CANARY 0xa5
/* A save and a restore of mutable state go in pieces of this many bytes. */
#define PIECE_BYTES 1024u

/* ---- GpupServices, which Initialize gets ---- */

/* It has the device's LUID only: a partition has no guest RAM outside its VRAM, and its messages
 * are the hardware's, so there are no other interfaces. */

struct services {
    IGPUPVDev device; /* also its IUnknown */
    LONG references;
    LUID luid;
};

static HRESULT STDMETHODCALLTYPE services_query(IGPUPVDev *This, REFIID riid, void **ppvObject)
{
    if (ppvObject == NULL)
        return E_POINTER;
    *ppvObject = NULL;
    if (riid == NULL)
        return E_INVALIDARG;
    if (!IsEqualIID(riid, &IID_IUnknown) && !IsEqualIID(riid, &IID_IGPUPVDev))
        return E_NOINTERFACE;
    *ppvObject = This;
    (void)This->lpVtbl->AddRef(This);
    return S_OK;
}

static ULONG STDMETHODCALLTYPE services_add_ref(IGPUPVDev *This)
{
    return (ULONG)InterlockedIncrement(
        &CONTAINING_RECORD(This, struct services, device)->references);
}

static ULONG STDMETHODCALLTYPE services_release(IGPUPVDev *This)
{
    return (ULONG)InterlockedDecrement(
        &CONTAINING_RECORD(This, struct services, device)->references);
}

static HRESULT STDMETHODCALLTYPE services_luid(IGPUPVDev *This, PLUID DeviceLUID)
{
    if (DeviceLUID == NULL)
        return E_INVALIDARG;
    *DeviceLUID = CONTAINING_RECORD(This, struct services, device)->luid;
    return S_OK;
}

static const IGPUPVDevVtbl services_vtbl = {
    .QueryInterface = services_query,
    .AddRef = services_add_ref,
    .Release = services_release,
    .GetDeviceLuid = services_luid,
};

/* Lives as long as the worker: one device. */
static struct services services = {.device = {&services_vtbl}, .references = 1};

/* ---- life ---- */

HRESULT object_create(struct object *object, const struct umed_create *args, const char **what)
{
    IClassFactory *factory = NULL;
    void *found = NULL;
    GUID class_id, vm;
    HRESULT result;

    memcpy(&class_id, &args->class_id, sizeof class_id);
    memcpy(&vm, &args->vm, sizeof vm);
    object->luid = (LUID){args->luid_low, args->luid_high};
    services.luid = object->luid;
    *what = "DllGetClassObject";
    result = object->get_class(&class_id, &IID_IClassFactory, (void **)&factory);
    if (FAILED(result) || factory == NULL)
        return FAILED(result) ? result : E_POINTER;
    *what = "CreateInstance";
    result =
        factory->lpVtbl->CreateInstance(factory, NULL, &IID_IUnknown, (void **)&object->unknown);
    (void)factory->lpVtbl->Release(factory);
    if (FAILED(result) || object->unknown == NULL)
        return FAILED(result) ? result : E_POINTER;
    if (SUCCEEDED(
            object->unknown->lpVtbl->QueryInterface(object->unknown, &IID_IGPUPMigration, &found)))
        object->migration = found;
    found = NULL;
    if (FAILED(object->unknown->lpVtbl->QueryInterface(object->unknown, &IID_IGPUPMitigationDevice,
                                                       &found)))
        return S_OK;
    object->mitigation = found;
    *what = "Initialize";
    return object->mitigation->lpVtbl->Initialize(object->mitigation, &vm, &object->luid, NULL,
                                                  NULL, (IUnknown *)(void *)&services.device);
}

void object_release(struct object *object)
{
    if (object->migration != NULL)
        (void)object->migration->lpVtbl->Release(object->migration);
    if (object->mitigation != NULL)
        (void)object->mitigation->lpVtbl->Release(object->mitigation);
    if (object->unknown != NULL)
        (void)object->unknown->lpVtbl->Release(object->unknown);
    *object = (struct object){.get_class = object->get_class};
}

/* ---- records ---- */

static uint8_t *record_alloc(uint32_t bytes)
{
    uint8_t *data = calloc(1, (size_t)bytes + CANARY_BYTES);

    if (data != NULL)
        memset(data + bytes, CANARY, CANARY_BYTES);
    return data;
}

static bool intact(const uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < CANARY_BYTES; i++) {
        if (data[bytes + i] != CANARY)
            return false;
    }
    return true;
}

static HRESULT breach(struct record *record, enum umed_breach how)
{
    free(record->data);
    *record = (struct record){.breach = how};
    return E_UNEXPECTED;
}

static HRESULT no_record(struct record *record, HRESULT result)
{
    free(record->data);
    *record = (struct record){0};
    return result;
}

/* SRC-3: the size first, then the bytes. */
HRESULT object_save_immutable(struct object *object, struct record *record)
{
    IGPUPMigration *migration = object->migration;
    UINT64 asked = 0, bytes;
    HRESULT result;

    *record = (struct record){0};
    if (migration == NULL)
        return E_NOINTERFACE;
    result = migration->lpVtbl->SaveImmutableGpup(migration, &object->luid, &asked, NULL);
    if (result != S_OK)
        return FAILED(result) ? result : E_UNEXPECTED;
    if (asked == 0 || asked > UMED_CALL_MAX_BLOB)
        return breach(record, UMED_SIZE);
    record->bytes = (uint32_t)asked;
    record->data = record_alloc(record->bytes);
    if (record->data == NULL)
        return no_record(record, E_OUTOFMEMORY);
    bytes = asked;
    result = migration->lpVtbl->SaveImmutableGpup(migration, &object->luid, &bytes, record->data);
    if (!intact(record->data, record->bytes))
        return breach(record, UMED_OVERRAN);
    if (bytes > asked)
        return breach(record, UMED_GREW);
    if (result != S_OK)
        return no_record(record, FAILED(result) ? result : E_UNEXPECTED);
    if (bytes == 0) /* it announced some */
        return breach(record, UMED_GREW);
    record->bytes = (uint32_t)bytes;
    return S_OK;
}

HRESULT object_restore_immutable(struct object *object, uint8_t *data, uint32_t bytes)
{
    IGPUPMigration *migration = object->migration;

    return migration == NULL
               ? E_NOINTERFACE
               : migration->lpVtbl->RestoreImmutableGpup(migration, &object->luid, bytes, data);
}

/* ---- mutable state ---- */

static HRESULT save_pieces(struct object *object, struct record *record)
{
    IGPUPMitigationDevice *device = object->mitigation;
    ULONG left = record->bytes;
    uint32_t at = 0;

    while (left > 0) {
        ULONG room = left < PIECE_BYTES ? left : PIECE_BYTES;
        ULONG wrote = room, requested = 0;
        HRESULT result = device->lpVtbl->SaveGpupContinue(
            device, &object->luid, GpupSavePartitionPersist, &wrote, &requested, record->data + at);

        if (result != S_OK)
            return no_record(record, FAILED(result) ? result : E_UNEXPECTED);
        if (!intact(record->data, record->bytes))
            return breach(record, UMED_OVERRAN);
        if (wrote == 0 || wrote > room || requested != left - wrote)
            return breach(record, UMED_GREW);
        at += wrote;
        left -= wrote;
    }
    return S_OK;
}

static HRESULT save_paused(struct object *object, struct record *record)
{
    IGPUPMitigationDevice *device = object->mitigation;
    ULONG asked = 0;
    HRESULT result = device->lpVtbl->SaveGpupBegin(device, &object->luid, GpupSavePartitionPersist,
                                                   &asked, NULL);

    if (result != S_OK)
        return FAILED(result) ? result : E_UNEXPECTED;
    if (asked == 0 || asked > UMED_CALL_MAX_BLOB)
        return breach(record, UMED_SIZE);
    record->bytes = asked;
    record->data = record_alloc(asked);
    return record->data == NULL ? no_record(record, E_OUTOFMEMORY) : save_pieces(object, record);
}

/* The VF stands still or the caller has the guest wait: PartitionPersist either way. */
static HRESULT pause_device(struct object *object)
{
    IGPUPMitigationDevice *device = object->mitigation;

    return device->lpVtbl->PauseGpup(device, &object->luid, GpupSavePartitionPersist);
}

static HRESULT resume_device(struct object *object)
{
    IGPUPMitigationDevice *device = object->mitigation;

    return device->lpVtbl->ResumeGpup(device, &object->luid, GpupSavePartitionPersist);
}

HRESULT object_save(struct object *object, struct record *record)
{
    HRESULT result, resumed;

    *record = (struct record){0};
    if (object->mitigation == NULL)
        return E_NOINTERFACE;
    result = pause_device(object);
    if (result != S_OK)
        return result;
    result = save_paused(object, record);
    resumed = resume_device(object);
    return result == S_OK && resumed != S_OK ? no_record(record, resumed) : result;
}

static HRESULT restore_pieces(struct object *object, uint8_t *data, uint32_t bytes)
{
    IGPUPMitigationDevice *device = object->mitigation;
    HRESULT result = S_OK;

    for (uint32_t at = 0; at < bytes && result == S_OK; at += PIECE_BYTES) {
        ULONG piece = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;

        result = device->lpVtbl->RestoreGpup(device, &object->luid, GpupSavePartitionPersist, piece,
                                             at, bytes, data + at);
    }
    return result;
}

HRESULT object_restore(struct object *object, uint8_t *data, uint32_t bytes)
{
    HRESULT result, resumed;

    if (object->mitigation == NULL)
        return E_NOINTERFACE;
    result = pause_device(object);
    if (result != S_OK)
        return result;
    result = restore_pieces(object, data, bytes);
    resumed = resume_device(object);
    return result == S_OK ? resumed : result;
}

/* ---- intercepted accesses ---- */

HRESULT object_read(struct object *object, const struct umed_access *access, uint8_t value[8])
{
    IGPUPMitigationDevice *device = object->mitigation;

    if (device == NULL)
        return E_NOINTERFACE;
    return device->lpVtbl->ReadInterceptedGpup(device, &object->luid,
                                               (VGPU_BAR_SELECTOR)access->bar, access->offset,
                                               access->length, value);
}

HRESULT object_write(struct object *object, const struct umed_access *access)
{
    IGPUPMitigationDevice *device = object->mitigation;

    if (device == NULL)
        return E_NOINTERFACE;
    return device->lpVtbl->WriteInterceptedGpup(device, &object->luid,
                                                (VGPU_BAR_SELECTOR)access->bar, access->offset,
                                                access->length, access->value);
}

HRESULT object_power(struct object *object, uint32_t state)
{
    IGPUPMitigationDevice *device = object->mitigation;

    return device == NULL ? S_OK
                          : device->lpVtbl->PowerTransitionComplete(device, &object->luid,
                                                                    (GPUP_POWER_DEVICE_STATE)state);
}
