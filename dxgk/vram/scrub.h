// SPDX-License-Identifier: Apache-2.0
/* VRAM between two tenants (VF-2, VF-3): zero-filled, and seen to be zero before anyone gets it. */
#ifndef DXGK_VRAM_SCRUB_H
#define DXGK_VRAM_SCRUB_H

#include "dxgk/internal.h"

/* Zero-fills ranges of the segment partitions live in, then reads every byte of them back through
 * the paging engine. -1 when a byte is not zero, or cannot be read: *dirty then tells whether the
 * fill said that it was done and was not, so that nobody may get that VRAM. -1 with VF_CANCELLED
 * when it is not wanted any more (NULL: it is). PASSIVE_LEVEL. */
int dxgk_scrub(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
               const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err);

#endif
