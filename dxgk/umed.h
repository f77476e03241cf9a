// SPDX-License-Identifier: Apache-2.0
/*
 * The user-mode emulation DLL of a partition: reached only through DllGetClassObject and vtables,
 * with calls that could be sent to another process. IGPUPMigration is optional (SRC-3).
 */
#ifndef DXGK_UMED_H
#define DXGK_UMED_H

#include "dxgk/internal.h"

/* Loads NAME-umed.so beside the KMD NAME.so and creates the class (all zero = its own); *out is
 * NULL when there is no such file. PASSIVE_LEVEL. */
int dxgk_umed_create(struct dxgk_partition *partition, const GUID *class_id, struct dxgk_umed **out,
                     struct vf_error *err);
void dxgk_umed_destroy(struct dxgk_umed *umed);

/* False when the UMED is NULL or has no IGPUPMigration. */
bool dxgk_umed_migrates(const struct dxgk_umed *umed);
/* SRC-3, two calls; blob->data is malloc'ed. */
int dxgk_umed_save(struct dxgk_partition *partition, struct dxgk_blob *blob, struct vf_error *err);
/* TGT-2. A refusal adds a reason of field "umed" and is VF_INCOMPATIBLE. */
int dxgk_umed_restore(struct dxgk_partition *partition, const struct dxgk_blob *blob,
                      struct vf_reasons *reasons, struct vf_error *err);

#endif
