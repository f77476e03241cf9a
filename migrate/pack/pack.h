// SPDX-License-Identifier: Apache-2.0
/*
 * A frame's payload made smaller for the wire or an image, and large again. What comes out is
 * proven by the pages' digests as all content is; here only its size is.
 */
#ifndef MIGRATE_PACK_PACK_H
#define MIGRATE_PACK_PACK_H

#include "migrate/wire/wire.h"

#include <sys/uio.h>

/* How, and how hard: level is zstd's own, 0 elsewhere. */
struct pack_way {
    enum wire_packing packing;
    int level;
};

/* What one thread packs or unpacks with. */
struct packer;

/* For payloads of so many bytes at most (WIRE_MAX_SLOT_BYTES). -1: no memory, *out is NULL. The
 * caller frees it. */
int packer_new(uint64_t most_bytes, struct packer **out, struct vf_error *err);
void packer_free(struct packer *packer); /* NULL is allowed */

/* Packs the parts, `bytes` in all and at most the packer's most. True: *out is smaller, and valid
 * until the next call with this packer. False: it would not be worth it, send it as it is; data
 * that does not get smaller is noticed by samples, so trying costs little. */
bool pack(struct packer *packer, struct pack_way way, const struct iovec *parts, int count,
          uint32_t bytes, struct wire_packed *out);

/* Where a packed payload of so many bytes (checked by wire_recv_frame_head: less than the payload)
 * is to be received. Valid until the next call of this or of pack. */
void *packer_room(struct packer *packer, uint32_t bytes);

/* `in` into to[0 … bytes). -1, VF_FAILED: it does not unpack, or not to exactly so many bytes;
 * `to` may hold anything then. */
int unpack(struct packer *packer, const struct wire_packed *in, void *to, uint32_t bytes,
           struct vf_error *err);

#endif
