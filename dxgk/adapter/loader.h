// SPDX-License-Identifier: Apache-2.0
/* KMD images: DriverEntry once per image, however many adapters it serves (CAP-7). */
#ifndef DXGK_ADAPTER_LOADER_H
#define DXGK_ADAPTER_LOADER_H

#include "dxgk/adapter/driver_file.h"
#include "dxgk/internal.h"

/* Loads the image in `file`, or counts one more user of one with the same path and bytes. The table
 * it registered is complete for what dxgk always calls. PASSIVE_LEVEL, any thread. */
int dxgk_image_load(struct dxgk_driver_file *file, struct dxgk_image **out, struct vf_error *err);
/* dxgk_driver_file_open and dxgk_image_load. */
int dxgk_image_get(const char *path, struct dxgk_image **out, struct vf_error *err);

/* What an image left behind when its last user let it go. */
struct dxgk_image_rest {
    uint64_t allocations; /* in the pool, all kinds; they are freed for it */
    uint64_t mdls;        /* of these: MDLs */
    bool stays;           /* its code is still mapped: something in it forbids unloading */
};

/* The last user's put calls DxgkDdiUnload and unloads the image. NULL is allowed. */
void dxgk_image_put(struct dxgk_image *image, struct dxgk_image_rest *rest);

const DRIVER_INITIALIZATION_DATA *dxgk_image_ddi(const struct dxgk_image *image);
/* The file it was loaded from; counted by the image. */
struct dxgk_driver_file *dxgk_image_file(const struct dxgk_image *image);
/* Resolved path of the file. */
const char *dxgk_image_path(const struct dxgk_image *image);

#endif
