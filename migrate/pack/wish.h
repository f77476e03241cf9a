// SPDX-License-Identifier: Apache-2.0
/* What a person says with --compress. */
#ifndef MIGRATE_PACK_WISH_H
#define MIGRATE_PACK_WISH_H

enum pack_wish { PACK_NONE, PACK_LZ4, PACK_ZSTD, PACK_AUTO, PACK_WISHES };

/* "none", "lz4", "zstd", "auto", and back; -1 for other words. */
const char *pack_wish_name(enum pack_wish wish);
int pack_wish_of(const char *name);

#endif
