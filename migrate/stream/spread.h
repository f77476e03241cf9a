// SPDX-License-Identifier: Apache-2.0
/* From a dirty bitplane to the pages that are sent, of which a dirty bit covers several. */
#ifndef MIGRATE_STREAM_SPREAD_H
#define MIGRATE_STREAM_SPREAD_H

#include <stdint.h>

/* Sets `pages` bits for each bit of a dirty bitplane of `dirty_pages` bits, each of which covers so
 * many pages of the plan; bits that are set already stay. How many are set in the end, in the
 * bitplane of dirty_pages * pages bits. */
uint64_t stream_spread_dirty(const uint64_t *dirty, uint64_t dirty_pages, uint64_t pages,
                             uint64_t *bits);

#endif
