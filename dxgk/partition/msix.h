// SPDX-License-Identifier: Apache-2.0
/*
 * A partition's MSI-X table in guest terms (INT-1..3): the OS' copy answers reads; writes
 * reach hardware with this host's addresses by DxgkDdiWriteVirtualizedInterrupt; the copy
 * moves with the partition.
 */
#ifndef DXGK_PARTITION_MSIX_H
#define DXGK_PARTITION_MSIX_H

#include "dxgk/internal.h"

/* Makes the table, all vectors masked, and sets partition->msix. The VF exists. PASSIVE_LEVEL. */
int dxgk_msix_create(struct dxgk_partition *partition, struct vf_error *err);
/* Takes the routes away. No guest access runs. NULL-safe. PASSIVE_LEVEL. */
void dxgk_msix_destroy(struct dxgk_partition *partition);

/* A guest's access at `offset` from the table's start: 4 or 8 bytes, naturally aligned, inside the
 * mitigated range; others are refused. Behind the last vector reads give 0 and writes do nothing.
 * Any thread, PASSIVE_LEVEL, under partition->vcpu. */
int dxgk_msix_read(struct dxgk_partition *partition, uint64_t offset, void *data, uint64_t bytes,
                   struct vf_error *err);
int dxgk_msix_write(struct dxgk_partition *partition, uint64_t offset, const void *data,
                    uint64_t bytes, struct vf_error *err);

/* After a function level reset: all vectors masked, addresses gone. PASSIVE_LEVEL. */
int dxgk_msix_reset(struct dxgk_partition *partition, struct vf_error *err);

/* The table in guest terms, versioned; blob->data is malloc'ed. The partition is paused. */
int dxgk_msix_save(struct dxgk_partition *partition, struct dxgk_blob *blob, struct vf_error *err);
/* Takes a peer's table and replays it with this host's addresses. Untrusted: every field is checked
 * before anything changes. */
int dxgk_msix_restore(struct dxgk_partition *partition, const struct dxgk_blob *blob,
                      struct vf_error *err);

#endif
