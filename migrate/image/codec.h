// SPDX-License-Identifier: Apache-2.0
/* Head and trailer of an image as bytes; for write.c and read.c only. */
#ifndef MIGRATE_IMAGE_CODEC_H
#define MIGRATE_IMAGE_CODEC_H

#include "migrate/image/image.h"

#define IMAGE_FIXED_BYTES 32u /* of the head: the same in every version */
#define IMAGE_MAX_HEAD_BYTES 4096u
#define IMAGE_SUMMED_TRAILER_BYTES 48u /* of the trailer: what its checksum covers too */

/* The whole head. w->failed when it cannot be. */
void image_head_encode(const struct image_origin *origin, struct wire_writer *w);
/* Length of the whole head, from its first IMAGE_FIXED_BYTES. -1: no image, or damaged. */
int image_head_length(const uint8_t fixed[IMAGE_FIXED_BYTES], uint32_t *bytes,
                      struct vf_error *err);
/* From the whole head; VF_INCOMPATIBLE when it is sound and from the future. */
int image_head_decode(const uint8_t *head, uint32_t bytes, uint32_t *version,
                      struct image_origin *out, struct vf_error *err);

/* Without `sum`, which comes behind it. */
void image_trailer_encode(const struct image_trailer *trailer,
                          uint8_t out[IMAGE_SUMMED_TRAILER_BYTES]);
/* False: no trailer. */
bool image_trailer_decode(const uint8_t bytes[IMAGE_TRAILER_BYTES], struct image_trailer *out);

/* Puts the image's name and the place in front of what a stream said of itself as of a peer. */
int image_fault(const struct tp *tp, const char *name, uint64_t at, struct vf_error *err);

#endif
