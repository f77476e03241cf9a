// SPDX-License-Identifier: Apache-2.0
/*
 * The user-mode emulation DLL of a partition, in a worker process of its own (worker.h): a
 * fault in it costs this partition's emulation and nothing else. A worker that is lost is told of
 * as event "umed" and replaced; the new one gets the state the old one had after its last accepted
 * store. A partition without UMED has partition->umed NULL: NULL is allowed everywhere.
 */
#ifndef DXGK_UMED_UMED_H
#define DXGK_UMED_UMED_H

#include "dxgk/internal.h"

/* The worker's program: config's, or vferry-umed beside this program or above the drivers; "" when
 * there is none. */
void dxgk_umed_find_worker(const struct dxgk_config *config, char *path, size_t bytes);

/* Starts a worker on NAME-umed.so beside the KMD NAME.so and has it create the class (all zero =
 * its own); *out is NULL when there is no such file. PASSIVE_LEVEL. */
int dxgk_umed_create(struct dxgk_partition *partition, const GUID *class_id, struct dxgk_umed **out,
                     struct vf_error *err);
void dxgk_umed_destroy(struct dxgk_umed *umed);

/* A guest's access to a mitigated page: 4 or 8 bytes, naturally aligned. Any thread, under
 * partition->vcpu; takes as long as a worker may (worker.h). Fails when the UMED refuses it
 * and when the worker is lost over it; whether a store that fails so has happened is not known, but
 * what the next access finds is one or the other. */
int dxgk_umed_read(struct dxgk_umed *umed, uint32_t bar, uint64_t offset, void *data,
                   uint32_t bytes, struct vf_error *err);
int dxgk_umed_write(struct dxgk_umed *umed, uint32_t bar, uint64_t offset, const void *data,
                    uint32_t bytes, struct vf_error *err);

/* Can the emulation's state not be saved, because the emulation was made under a KMD without
 * LiveMigration, which an update has replaced since? False without a UMED. */
bool dxgk_umed_is_blocked(const struct dxgk_umed *umed);
/* Has the UMED an IGPUPMigration, by which its immutable data moves? */
bool dxgk_umed_migrates(const struct dxgk_umed *umed);
/* SRC-3, two calls; blob->data is malloc'ed. */
int dxgk_umed_save(struct dxgk_umed *umed, struct dxgk_blob *blob, struct vf_error *err);
/* TGT-2. A refusal adds a reason of field "umed" and is VF_INCOMPATIBLE. */
int dxgk_umed_restore(struct dxgk_umed *umed, const struct dxgk_blob *blob,
                      struct vf_reasons *reasons, struct vf_error *err);
/* The emulation's state, by the save and restore of IGPUPMitigationDevice, which are open
 * only where the KMD reports LiveMigration. An empty blob when there is none. The partition
 * is paused. */
int dxgk_umed_save_mutable(struct dxgk_umed *umed, struct dxgk_blob *blob, struct vf_error *err);
int dxgk_umed_restore_mutable(struct dxgk_umed *umed, const struct dxgk_blob *blob,
                              struct vf_error *err);

#endif
