// SPDX-License-Identifier: Apache-2.0
/* See umed.h. */
#define LOG_ROOM "umed"
#include "dxgk/umed.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "dxgk/ddi.h"
#include "dxgk/loader.h"
#include "igpupvdev.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dxgk_umed {
    void *handle;
    IUnknown *object;
    IGPUPMigration *migration; /* NULL when it has none */
};

/* "/x/softgpu.so" -> "/x/softgpu-umed.so" */
static int umed_path(const char *kmd, char *path, size_t bytes)
{
    size_t length = strlen(kmd);
    int written;

    if (length > 3 && strcmp(kmd + length - 3, ".so") == 0)
        length -= 3;
    written = snprintf(path, bytes, "%.*s-umed.so", (int)length, kmd);
    return written > 0 && (size_t)written < bytes ? 0 : -1;
}

static int create_object(struct dxgk_umed *umed, const char *path, const GUID *class_id,
                         struct vf_error *err)
{
    PFN_DLLGETCLASSOBJECT get_class;
    IClassFactory *factory = NULL;
    HRESULT result;

    *(void **)&get_class = dlsym(umed->handle, "DllGetClassObject");
    if (get_class == NULL)
        return vf_fail(err, VF_FAILED, "%s is no UMED: it exports no DllGetClassObject", path);
    result = get_class(class_id, &IID_IClassFactory, (void **)&factory);
    if (FAILED(result) || factory == NULL)
        return vf_fail(err, VF_FAILED, "%s has no class that the driver names (0x%x)", path,
                       (uint32_t)result);
    result = factory->lpVtbl->CreateInstance(factory, NULL, &IID_IUnknown, (void **)&umed->object);
    (void)factory->lpVtbl->Release(factory);
    if (FAILED(result) || umed->object == NULL)
        return vf_fail(err, VF_FAILED, "%s cannot create its object (0x%x)", path,
                       (uint32_t)result);
    result = umed->object->lpVtbl->QueryInterface(umed->object, &IID_IGPUPMigration,
                                                  (void **)&umed->migration);
    if (FAILED(result))
        umed->migration = NULL;
    return 0;
}

int dxgk_umed_create(struct dxgk_partition *partition, const GUID *class_id, struct dxgk_umed **out,
                     struct vf_error *err)
{
    static const GUID own; /* all zero: the UMED's own class */
    struct dxgk_umed *umed;
    char path[4096];

    *out = NULL;
    if (umed_path(dxgk_image_path(partition->adapter->image), path, sizeof path) != 0)
        return vf_fail(err, VF_FAILED, "path of the UMED is too long");
    if (access(path, F_OK) != 0) {
        if (!IsEqualGUID(class_id, &own))
            log_warn("partition %s names a UMED class, but there is no %s", partition->params.name,
                     path);
        return 0;
    }
    umed = calloc(1, sizeof *umed);
    if (umed == NULL)
        return vf_fail(err, VF_FAILED, "no memory for the UMED");
    umed->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (umed->handle == NULL) {
        free(umed);
        return vf_fail(err, VF_FAILED, "cannot load UMED: %s", dlerror());
    }
    if (create_object(umed, path, class_id, err) != 0) {
        dxgk_umed_destroy(umed);
        return -1;
    }
    *out = umed;
    return 0;
}

void dxgk_umed_destroy(struct dxgk_umed *umed)
{
    if (umed == NULL)
        return;
    if (umed->migration != NULL)
        (void)umed->migration->lpVtbl->Release(umed->migration);
    if (umed->object != NULL)
        (void)umed->object->lpVtbl->Release(umed->object);
    (void)dlclose(umed->handle);
    free(umed);
}

bool dxgk_umed_migrates(const struct dxgk_umed *umed)
{
    return umed != NULL && umed->migration != NULL;
}

int dxgk_umed_save(struct dxgk_partition *partition, struct dxgk_blob *blob, struct vf_error *err)
{
    IGPUPMigration *migration = partition->umed->migration;
    LUID luid = {partition->luid.low, partition->luid.high};
    UINT64 asked = 0;
    UINT64 size;
    HRESULT result = migration->lpVtbl->SaveImmutableGpup(migration, &luid, &asked, NULL);
    BYTE *data;

    if (result != S_OK)
        return vf_fail(err, VF_FAILED, "the UMED gives no size for its immutable data (0x%x)",
                       (uint32_t)result);
    if (asked == 0 || asked > VF_MAX_MIGRATION_BLOB)
        return dxgk_refuse(partition->adapter, "SRC-3", err,
                           "SaveImmutableGpup wants %llu bytes, 1 to %u are taken",
                           (unsigned long long)asked, VF_MAX_MIGRATION_BLOB);
    data = dxgk_guarded_alloc(asked);
    if (data == NULL)
        return vf_fail(err, VF_FAILED, "no memory for the UMED's immutable data");
    size = asked;
    result = migration->lpVtbl->SaveImmutableGpup(migration, &luid, &size, data);
    if (result != S_OK || size > asked || !dxgk_guarded_intact(data, asked)) {
        dxgk_guarded_free(data);
        if (result == S_OK)
            return dxgk_refuse(
                partition->adapter, "SRC-3", err,
                "SaveImmutableGpup grew from %llu to %llu bytes or wrote behind its buffer",
                (unsigned long long)asked, (unsigned long long)size);
        return vf_fail(err, VF_FAILED, "the UMED cannot save its immutable data (0x%x)",
                       (uint32_t)result);
    }
    *blob = (struct dxgk_blob){.data = data, .bytes = size};
    return 0;
}

int dxgk_umed_restore(struct dxgk_partition *partition, const struct dxgk_blob *blob,
                      struct vf_reasons *reasons, struct vf_error *err)
{
    LUID luid = {partition->luid.low, partition->luid.high};
    IGPUPMigration *migration;
    HRESULT result;
    char code[32];

    if (blob->bytes > VF_MAX_MIGRATION_BLOB)
        return vf_fail(err, VF_FAILED, "UMED data of %zu bytes: at most %u are taken", blob->bytes,
                       VF_MAX_MIGRATION_BLOB);
    if (!dxgk_umed_migrates(partition->umed)) {
        vf_reason_add(reasons, "umed", "present", "none",
                      "install the driver's UMED beside it on the target");
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the source has UMED data, the target has no UMED that takes it");
    }
    migration = partition->umed->migration;
    result = migration->lpVtbl->RestoreImmutableGpup(migration, &luid, blob->bytes, blob->data);
    if (result == S_OK)
        return 0;
    if (result == E_OUTOFMEMORY)
        return vf_fail(err, VF_FAILED, "the UMED has no memory for its immutable data");
    (void)snprintf(code, sizeof code, "refuses it (0x%x)", (uint32_t)result);
    vf_reason_add(reasons, "umed", "its data", code, "use the same UMED version on both hosts");
    return vf_fail(err, VF_INCOMPATIBLE, "the target's UMED refuses the source's data (0x%x)",
                   (uint32_t)result);
}
