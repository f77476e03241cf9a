// SPDX-License-Identifier: Apache-2.0
/* KMD images: DriverEntry once per image, however many adapters it serves (CAP-7). */
#ifndef DXGK_LOADER_H
#define DXGK_LOADER_H

#include "dxgk/internal.h"

/* Loads the image at `path`, or counts one more user of it. The table it registered is complete for
 * what dxgk always calls. PASSIVE_LEVEL, any thread. */
int dxgk_image_get(const char *path, struct dxgk_image **out, struct vf_error *err);
/* The last user's put calls DxgkDdiUnload and unloads the image. Returns how many pool allocations
 * the driver then left behind; they are freed for it. NULL is allowed. */
uint64_t dxgk_image_put(struct dxgk_image *image);

const DRIVER_INITIALIZATION_DATA *dxgk_image_ddi(const struct dxgk_image *image);
PDRIVER_OBJECT dxgk_image_object(struct dxgk_image *image);
/* Resolved path of the file. */
const char *dxgk_image_path(const struct dxgk_image *image);

#endif
