// SPDX-License-Identifier: Apache-2.0
/* See loader.h. Also DxgkInitialize, which a DriverEntry calls to hand over its table. */
#define LOG_ROOM "loader"
#include "dxgk/adapter/loader.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/nt/nt.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dxgk_image {
    struct dxgk_driver_file *file; /* counted */
    char name_in_memory[64];       /* what dlopen knows the copy by; unique while the fd is open */
    void *handle;
    unsigned refs;      /* guarded by images_lock */
    bool registered;    /* DxgkInitialize was called, once */
    bool misregistered; /* it was called wrongly; the reason is in the log */
    DRIVER_OBJECT object;
    DRIVER_INITIALIZATION_DATA ddi;
    WCHAR name[256];
    struct dxgk_image *next;
};

/* Held across DriverEntry: images load one after the other. */
static pthread_mutex_t images_lock = VF_LOCK_INITIALIZER;
static struct dxgk_image *images;

/* Called inside DriverEntry, on its thread, so images_lock is held. Exported to drivers. */
NTSTATUS DxgkInitialize(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath,
                        PDRIVER_INITIALIZATION_DATA DriverInitializationData)
{
    const DRIVER_INITIALIZATION_DATA *data = DriverInitializationData;
    struct dxgk_image *image = images;

    while (image != NULL && &image->object != DriverObject)
        image = image->next;
    if (image == NULL || RegistryPath == NULL || data == NULL || image->registered) {
        log_error("DxgkInitialize: %s", image == NULL
                                            ? "not the driver object that DriverEntry was given"
                                            : "missing argument or second call");
        if (image != NULL)
            image->misregistered = true;
        return STATUS_INVALID_PARAMETER;
    }
    /* The table's length depends on its version; only this layout is known. Later 3.2 kits count
     * one higher. */
    if (data->Version != DXGKDDI_INTERFACE_VERSION_WDDM3_2 &&
        data->Version != DXGKDDI_INTERFACE_VERSION_WDDM3_2 + 1) {
        log_error("%s: interface version 0x%x, only WDDM 3.2 (0x%x) is served", image->file->path,
                  data->Version, DXGKDDI_INTERFACE_VERSION_WDDM3_2);
        image->misregistered = true;
        return STATUS_REVISION_MISMATCH;
    }
    image->ddi = *data;
    image->registered = true;
    return STATUS_SUCCESS;
}

/* For a driver that takes itself back in its Unload; the image goes right after. Exported
 * to drivers. */
NTSTATUS DxgkUnInitialize(PDRIVER_OBJECT DriverObject)
{
    for (const struct dxgk_image *image = images; image != NULL; image = image->next) {
        if (&image->object == DriverObject)
            return STATUS_SUCCESS;
    }
    return STATUS_INVALID_PARAMETER;
}

/* The slot that dxgk calls on every adapter and that is missing, or NULL. */
static const char *missing_slot(const DRIVER_INITIALIZATION_DATA *ddi)
{
    const struct {
        const char *name;
        bool present;
    } slots[] = {
        {"DxgkDdiAddDevice", ddi->DxgkDdiAddDevice != NULL},
        {"DxgkDdiStartDevice", ddi->DxgkDdiStartDevice != NULL},
        {"DxgkDdiStopDevice", ddi->DxgkDdiStopDevice != NULL},
        {"DxgkDdiRemoveDevice", ddi->DxgkDdiRemoveDevice != NULL},
        {"DxgkDdiUnload", ddi->DxgkDdiUnload != NULL},
        {"DxgkDdiQueryInterface", ddi->DxgkDdiQueryInterface != NULL},
        {"DxgkDdiQueryAdapterInfo", ddi->DxgkDdiQueryAdapterInfo != NULL},
    };

    for (size_t i = 0; i < RTL_NUMBER_OF(slots); i++) {
        if (!slots[i].present)
            return slots[i].name;
    }
    return NULL;
}

static NTSTATUS call_driver_entry(struct dxgk_image *image, PDRIVER_INITIALIZE entry)
{
    static const char root[] = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\";
    const char *base = strrchr(image->file->path, '/');
    UNICODE_STRING registry;
    size_t length = 0;

    base = base != NULL ? base + 1 : image->file->path;
    for (const char *c = root; *c != '\0'; c++)
        image->name[length++] = (WCHAR)*c;
    for (const char *c = base; *c != '\0' && *c != '.' && length < RTL_NUMBER_OF(image->name) - 1;
         c++)
        image->name[length++] = (WCHAR)(unsigned char)*c;
    registry = (UNICODE_STRING){.Length = (USHORT)(length * sizeof(WCHAR)),
                                .MaximumLength = sizeof image->name,
                                .Buffer = image->name};
    image->object.Size = sizeof image->object;
    image->object.DriverInit = entry;
    return entry(&image->object, &registry);
}

/* What dlerror() says, without the name in memory: nobody gave the file that name. */
static int cannot_load(const struct dxgk_image *image, struct vf_error *err)
{
    const char *why = dlerror();
    const size_t length = strlen(image->name_in_memory);

    if (why == NULL)
        why = "no reason is known";
    if (strncmp(why, image->name_in_memory, length) == 0 && why[length] == ':')
        why += length + strspn(why + length, ": ");
    return vf_fail(err, VF_FAILED,
                   "cannot load driver %s: %s" VF_REMEDY
                   "give a driver, which is a shared library for this machine",
                   image->file->path, why);
}

/* Loads and initialises; images_lock is held and the image is in the list, so that DxgkInitialize
 * finds it. */
static int load(struct dxgk_image *image, struct vf_error *err)
{
    const char *path = image->file->path;
    PDRIVER_INITIALIZE entry;
    const char *missing;
    NTSTATUS status;

    /* By process id, not "self": debuggers and symbolizers follow it too. */
    (void)snprintf(image->name_in_memory, sizeof image->name_in_memory, "/proc/%d/fd/%d",
                   (int)getpid(), image->file->fd);
    image->handle = dlopen(image->name_in_memory, RTLD_NOW | RTLD_LOCAL);
    if (image->handle == NULL)
        return cannot_load(image, err);
    *(void **)&entry = dlsym(image->handle, "DriverEntry");
    if (entry == NULL) {
        (void)vf_fail(err, VF_FAILED, "%s is no driver: it exports no DriverEntry", path);
        goto unload;
    }
    status = call_driver_entry(image, entry);
    if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
        (void)nt_irql_set(PASSIVE_LEVEL);
        (void)vf_fail(err, VF_FAILED,
                      "driver %s breaks IRQL: DriverEntry returned above PASSIVE_LEVEL", path);
        goto unload;
    }
    if (!NT_SUCCESS(status)) {
        (void)vf_fail_status(err, VF_FAILED, status, "DriverEntry of %s failed%s", path,
                             image->misregistered ? " (DxgkInitialize refused its table)" : "");
        goto unload;
    }
    missing = image->registered ? missing_slot(&image->ddi) : "DxgkInitialize";
    if (missing != NULL) {
        (void)vf_fail(err, VF_FAILED, "driver %s breaks CAP-7: %s is missing", path, missing);
        goto unload;
    }
    log_info("loaded driver %s, interface version 0x%x", path, image->ddi.Version);
    return 0;

unload:
    (void)dlclose(image->handle);
    return -1;
}

static void unlink_image(struct dxgk_image *image)
{
    struct dxgk_image **link = &images;

    while (*link != image)
        link = &(*link)->next;
    *link = image->next;
    dxgk_driver_file_put(image->file);
    free(image);
}

int dxgk_image_load(struct dxgk_driver_file *file, struct dxgk_image **out, struct vf_error *err)
{
    struct dxgk_image *image;
    int result = 0;

    vf_lock(&images_lock);
    for (image = images; image != NULL; image = image->next) {
        if (strcmp(image->file->path, file->path) == 0 &&
            strcmp(image->file->digest, file->digest) == 0)
            break;
    }
    if (image != NULL) {
        image->refs++;
        *out = image;
        goto unlock;
    }
    image = calloc(1, sizeof *image);
    if (image == NULL) {
        result = vf_fail(err, VF_FAILED, "driver %s: " VF_NO_MEMORY, file->path);
        goto unlock;
    }
    image->file = dxgk_driver_file_get(file);
    image->refs = 1;
    image->next = images;
    images = image;
    result = load(image, err);
    if (result != 0)
        unlink_image(image);
    else
        *out = image;
unlock:
    vf_unlock(&images_lock);
    return result;
}

int dxgk_image_get(const char *path, struct dxgk_image **out, struct vf_error *err)
{
    struct dxgk_driver_file *file;
    int result;

    if (dxgk_driver_file_open(path, &file, err) != 0)
        return -1;
    result = dxgk_image_load(file, out, err);
    dxgk_driver_file_put(file); /* the image has its own reference */
    return result;
}

struct text_range {
    uintptr_t inside; /* in: an address of the image */
    uintptr_t low, high;
};

static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct text_range *range = ctx;
    uintptr_t low = UINTPTR_MAX;
    uintptr_t high = 0;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        low = start < low ? start : low;
        high =
            start + info->dlpi_phdr[i].p_memsz > high ? start + info->dlpi_phdr[i].p_memsz : high;
    }
    if (range->inside < low || range->inside >= high)
        return 0;
    range->low = low;
    range->high = high;
    return 1;
}

/* A driver frees in Unload what it still holds; what it forgets would call back into nothing. */
static void reclaim_pool(const struct dxgk_image *image, struct dxgk_image_rest *rest)
{
    struct text_range range = {.inside = (uintptr_t)image->object.DriverInit};

    if (dl_iterate_phdr(find_text, &range) == 0)
        return;
    rest->mdls = nt_mdl_live_from((const void *)range.low, (const void *)range.high);
    rest->allocations = nt_pool_reclaim_from((const void *)range.low, (const void *)range.high);
}

static int is_loaded(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    return strcmp(info->dlpi_name, (const char *)ctx) == 0;
}

static void unload(struct dxgk_image *image, struct dxgk_image_rest *rest)
{
    image->ddi.DxgkDdiUnload();
    if (KeGetCurrentIrql() != PASSIVE_LEVEL) {
        log_error("driver %s breaks IRQL: DxgkDdiUnload returned above PASSIVE_LEVEL",
                  image->file->path);
        (void)nt_irql_set(PASSIVE_LEVEL);
    }
    reclaim_pool(image, rest);
    (void)dlclose(image->handle);
    /* The loader keeps an image that says so (-z nodelete), or one that something else
     * still uses. */
    rest->stays = dl_iterate_phdr(is_loaded, image->name_in_memory) != 0;
    if (rest->stays)
        log_error("driver %s cannot be unloaded: its code stays until the host ends",
                  image->file->path);
}

void dxgk_image_put(struct dxgk_image *image, struct dxgk_image_rest *rest)
{
    *rest = (struct dxgk_image_rest){0};
    if (image == NULL)
        return;
    vf_lock(&images_lock);
    if (--image->refs == 0) {
        unload(image, rest);
        if (rest->stays)
            (void)dxgk_driver_file_get(image->file); /* for ever: its fd is its name */
        unlink_image(image);
    }
    vf_unlock(&images_lock);
}

const DRIVER_INITIALIZATION_DATA *dxgk_image_ddi(const struct dxgk_image *image)
{
    return &image->ddi;
}

struct dxgk_driver_file *dxgk_image_file(const struct dxgk_image *image)
{
    return image->file;
}

const char *dxgk_image_path(const struct dxgk_image *image)
{
    return image->file->path;
}
