// SPDX-License-Identifier: Apache-2.0
/* What dxgk needs to know of transfer channels besides their public functions in dxgk.h. */
#ifndef DXGK_PAGING_CHANNEL_H
#define DXGK_PAGING_CHANNEL_H

#include "dxgk/internal.h"

#define DXGK_MAX_CHANNELS 16u /* open at once on one partition */
#define DXGK_MAX_SLOTS 64u
#define DXGK_MAX_SLOT_BYTES (4ull << 20)

#endif
