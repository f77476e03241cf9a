// SPDX-License-Identifier: Apache-2.0
/* The BAR pages of a VF that trap (VF-5): the MSI-X table's, which the OS answers (INT-1), and
 * those that the UMED emulates. */
#ifndef DXGK_PARTITION_MITIGATED_H
#define DXGK_PARTITION_MITIGATED_H

#include "dxgk/internal.h"

enum dxgk_trap { DXGK_TRAP_NONE, DXGK_TRAP_MSIX, DXGK_TRAP_UMED };

struct dxgk_mitigated {
    uint32_t bar;
    enum dxgk_trap trap;
    uint64_t first, bytes; /* in the BAR */
    bool reads, writes;    /* the MSI-X table's: always both */
};

/* Asks the driver for all BARs and fills partition->mitigated and msix_*. The VF exists.
 * PASSIVE_LEVEL. */
int dxgk_mitigated_find(struct dxgk_partition *partition, struct vf_error *err);
void dxgk_mitigated_drop(struct dxgk_partition *partition);

/* Who answers an access at `offset`, and for how many of its `bytes` that is so (at least 1). */
enum dxgk_trap dxgk_mitigated_at(const struct dxgk_partition *partition, uint32_t bar,
                                 uint64_t offset, bool write, uint64_t *bytes);

#endif
