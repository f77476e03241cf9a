// SPDX-License-Identifier: Apache-2.0
/* What nt's own files share: the memory map of all that drivers allocated, and the lock count. */
#ifndef DXGK_NT_INTERNAL_H
#define DXGK_NT_INTERNAL_H

#include "dxgk/nt/nt.h"

#define NT_TAG_MDL 0x206c644du /* 'Mdl ' */
#define NT_TAG_PAGES 0x67506d4du /* 'MmPg' */
#define NT_TAG_WORK 0x6b577049u  /* 'IpWk' */

#if defined(__SANITIZE_ADDRESS__)
#define NT_HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NT_HAVE_ASAN 1
#endif
#endif
#ifndef NT_HAVE_ASAN
#define NT_HAVE_ASAN 0
#endif

enum nt_memory { NT_MEMORY_POOL, NT_MEMORY_MDL, NT_MEMORY_PAGES };

/* One live allocation. */
struct nt_block {
    uintptr_t va;
    uint64_t bytes; /* as asked for, at least 1 */
    uint64_t span; /* bytes of it that are the driver's: whole pages from a page upwards */
    enum nt_memory kind;
    ULONG tag;
    POOL_FLAGS flags;
    uintptr_t caller; /* the code that allocated */
};

/* Allocates memory of any kind and enters it. Zeroed unless `flags` has POOL_FLAG_UNINITIALIZED.
 * NULL when out of memory. */
void *nt_block_alloc(enum nt_memory kind, uint64_t bytes, ULONG tag, POOL_FLAGS flags,
                     const void *caller);
/*
 * Takes the block that starts at `va` out of the map and frees it; a copy of its record goes to
 * *freed (may be NULL). `kinds` is a mask of 1 << enum nt_memory. False, with nothing freed, when
 * no such block is live.
 */
bool nt_block_free(const void *va, unsigned kinds, struct nt_block *freed);
/* Sets who allocated the block that starts at `va`; false when no such block is live. */
bool nt_block_give(const void *va, unsigned kinds, const void *caller);
/* The live block that holds all of [va, va + bytes). */
bool nt_block_find(const void *va, uint64_t bytes, struct nt_block *found);
/* True when `va` started a block that was freed not long ago: only for better words in a report. */
bool nt_block_was_freed(const void *va);

/* Called by lock.c with the lock held or just released. */
void nt_locks_count(int step);
/* The calling thread, never 0. */
uint32_t nt_thread_id(void);

#endif
