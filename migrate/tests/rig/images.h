// SPDX-License-Identifier: Apache-2.0
/* Small images for the tests and the fuzzer: one that is right, and the means to make it wrong in a
 * way that its checksums do not tell. */
#ifndef MIGRATE_TESTS_IMAGES_H
#define MIGRATE_TESTS_IMAGES_H

#include "migrate/image/codec.h"

#define IMAGES_PAGE 4096u
#define IMAGES_VRAM (1u << 20)
#define IMAGES_SLOT_PAGES 4u

/* Admission data of a partition "vm" with IMAGES_VRAM in pages of IMAGES_PAGE. */
struct wire_admit images_admit(void);
/* Fills a page with what follows from its number and the seed; never zero. */
void images_fill(uint8_t *page, uint64_t number, uint64_t seed);
/* A complete image of pages[0 … count) (rising), frame by frame of up to IMAGES_SLOT_PAGES; a
 * memfd. -1 with *err. */
int images_make(const uint64_t *pages, uint32_t count, uint64_t seed, struct vf_error *err);

/* All of a file; the caller frees. */
uint8_t *images_load(int fd, size_t *bytes);
/* A memfd with these bytes. */
int images_store(const void *data, size_t bytes);
/* Makes the checksum over all of it right again. `bytes` must hold a trailer. */
void images_reseal(uint8_t *data, size_t bytes);

#endif
