// SPDX-License-Identifier: Apache-2.0
/* VRAM between two tenants (VF-2, VF-3): zero-filled, and seen to be zero before anyone gets it. */
#ifndef DXGK_VRAM_SCRUB_H
#define DXGK_VRAM_SCRUB_H

#include "dxgk/internal.h"

/* Reads every byte of a range of the segment partitions live in through the paging engine, up to
 * the first that is not zero; *zero: there is none. DXGK_ENGINE_FAILED: it cannot be read. -1: the
 * host is short of something, or, with VF_CANCELLED, it is not wanted any more (NULL: it is).
 * Writes nothing. PASSIVE_LEVEL. */
int dxgk_look(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
              const struct dxgk_wanted *wanted, bool *zero, struct vf_error *err);
/* Zero-fills the range and looks at it, likewise. DXGK_ENGINE_FAILED also when it is not zero then:
 * *dirty tells that the fill said that it was done and was not. */
int dxgk_scrub(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
               const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err);

#endif
