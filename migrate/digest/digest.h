// SPDX-License-Identifier: Apache-2.0
/*
 * The proof of a move: 8 bytes of digest a page (XXH3_64 of its content) and a tree over them,
 * nodes of 512 pages, so that the root in the blackout costs only the nodes that changed. Both
 * sides keep one; equal roots = equal VRAM as far as every change was reported. All pages begin as
 * the zero page, as a fresh reserve is; only what was set costs memory.
 *
 * The digests of a move depend on a key of its own, so that no guest can write pages which differ
 * and have one digest. Those of an image depend on none.
 */
#ifndef MIGRATE_STREAM_DIGEST_H
#define MIGRATE_STREAM_DIGEST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_ROOT_BYTES 16u
#define DIGEST_TEXT 42u /* "xxh3-128:" + 32 hex digits + terminator */
#define DIGEST_NODE_PAGES 512u
#define DIGEST_KEY_BYTES 16u

struct digest_table;

/* page_bytes: multiple of 64, at most 2 GiB; pages at least 1. */
int digest_table_new(uint64_t pages, uint64_t page_bytes, struct digest_table **out,
                     struct vf_error *err);
/* The same with a key of DIGEST_KEY_BYTES; all zeros: none. */
int digest_table_new_keyed(uint64_t pages, uint64_t page_bytes, const uint8_t *key,
                           struct digest_table **out, struct vf_error *err);
void digest_table_free(struct digest_table *table); /* NULL is allowed */
uint64_t digest_table_pages(const struct digest_table *table);
/* Digest of a zero page of this table's size. */
uint64_t digest_table_zero(const struct digest_table *table);

/* Any thread; different threads may set different pages at once. page < pages, else a bug: ignored
 * / 0, logged. */
void digest_set(struct digest_table *table, uint64_t page, uint64_t digest);
uint64_t digest_get(const struct digest_table *table, uint64_t page);

/* Root over all pages and the geometry; covers every digest_set that happened before the call
 * (joined, locked, …). One thread at a time. Only nodes changed since the last call are hashed;
 * *hashed (may be NULL) tells how many. */
void digest_root(struct digest_table *table, uint8_t root[DIGEST_ROOT_BYTES], uint64_t *hashed);
/* "xxh3-128:HEX". */
void digest_format(const uint8_t root[DIGEST_ROOT_BYTES], char text[DIGEST_TEXT]);

/* Digest of a page of this table's size; one of zeros, which *zero tells (may be NULL), is looked
 * up and not hashed. */
uint64_t digest_of(const struct digest_table *table, const void *page, bool *zero);
/* Without a key. */
uint64_t digest_page(const void *page, size_t bytes);
/* Is every byte zero? bytes > 0. Stops at the first that is not. */
bool digest_is_zero_page(const void *page, size_t bytes);

#endif
