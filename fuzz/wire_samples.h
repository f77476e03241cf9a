// SPDX-License-Identifier: Apache-2.0
/* One valid control message of every kind, with something in every field: the wire
 * targets' seeds. */
#ifndef FUZZ_WIRE_SAMPLES_H
#define FUZZ_WIRE_SAMPLES_H

#include "migrate/wire/wire.h"

/* PAGES is no control message: false. Borrowed blobs are static. */
bool wire_sample(enum wire_tag tag, struct wire_message *out);
/* Its payload, without the checksum, into out[0 … capacity); the length. */
size_t wire_sample_payload(enum wire_tag tag, uint8_t *out, size_t capacity);

#endif
