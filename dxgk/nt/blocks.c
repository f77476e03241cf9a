// SPDX-License-Identifier: Apache-2.0
/*
 * The map of all memory that drivers hold: pool, MDLs and MDL pages, ordered by address. It answers
 * whose an address is without touching memory that may not be there, so that a wild free or a wild
 * page number is found, not followed.
 */
#include "dxgk/nt/internal.h"

#include "base/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes behind a pool allocation that must stay as they were. The address sanitizer sees writes
 * there at once, if we keep out. */
static const size_t canary_bytes = NT_HAVE_ASAN ? 0 : 16;
#define CANARY 0xb7
#define RECENT 256u

static pthread_mutex_t map_lock = VF_LOCK_INITIALIZER; /* guards everything below */
static void *map; /* tsearch tree of struct nt_block, by address */
static struct nt_pool_stats live;
static uintptr_t recent[RECENT]; /* addresses freed last, a ring */
static unsigned recent_next;

/* Blocks never overlap, so "overlaps" is a fine equality: it finds the block an address lies in. */
static int by_address(const void *left, const void *right)
{
    const struct nt_block *a = left;
    const struct nt_block *b = right;

    if (a->va + a->span <= b->va)
        return -1;
    return a->va >= b->va + b->span;
}

/* The lock is held. */
static struct nt_block *block_at(uintptr_t va, uint64_t bytes)
{
    struct nt_block key = {.va = va, .span = bytes != 0 ? bytes : 1};
    struct nt_block **node;

    if (va == 0 || key.span > UINTPTR_MAX - va)
        return NULL;
    node = tfind(&key, &map, by_address);
    if (node == NULL || va < (*node)->va || (*node)->span - (va - (*node)->va) < key.span)
        return NULL;
    return *node;
}

static void *memory_get(struct nt_block *block)
{
    void *va = NULL;
    size_t alignment = (block->flags & POOL_FLAG_CACHE_ALIGNED) != 0 ? 64 : 16;

    if (block->kind == NT_MEMORY_PAGES) {
        va = mmap(NULL, block->span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return va != MAP_FAILED ? va : NULL;
    }
    if (block->bytes >= PAGE_SIZE)
        alignment = PAGE_SIZE;
    if (posix_memalign(&va, alignment, block->span + canary_bytes) != 0)
        return NULL;
    if ((block->flags & POOL_FLAG_UNINITIALIZED) == 0)
        memset(va, 0, block->span);
    memset((char *)va + block->bytes, CANARY, canary_bytes);
    return va;
}

static void memory_put(const struct nt_block *block)
{
    if (block->kind == NT_MEMORY_PAGES)
        (void)munmap((void *)block->va, block->span);
    else
        free((void *)block->va);
}

void *nt_block_alloc(enum nt_memory kind, uint64_t bytes, ULONG tag, POOL_FLAGS flags,
                     const void *caller)
{
    struct nt_block *block;
    void *va = NULL;

    /* A driver that asks for more than an address space holds gets what Windows gives
     * it: nothing. */
    if (bytes > UINT64_C(1) << 46)
        return NULL;
    block = malloc(sizeof *block);
    if (block == NULL)
        return NULL;
    *block = (struct nt_block){.bytes = bytes != 0 ? bytes : 1,
                               .kind = kind,
                               .tag = tag,
                               .flags = flags,
                               .caller = (uintptr_t)caller};
    block->span = kind == NT_MEMORY_PAGES || block->bytes >= PAGE_SIZE
                      ? ROUND_TO_PAGES(block->bytes)
                      : block->bytes;
    va = memory_get(block);
    if (va == NULL)
        goto no_memory;
    block->va = (uintptr_t)va;

    vf_lock(&map_lock);
    if (tsearch(block, &map, by_address) == NULL) {
        vf_unlock(&map_lock);
        goto no_node;
    }
    live.allocations++;
    live.bytes += block->bytes;
    vf_unlock(&map_lock);
    return va;

no_node:
    memory_put(block);
no_memory:
    free(block);
    return NULL;
}

/* Out of the map; the lock is held. */
static void take_out(struct nt_block *block)
{
    (void)tdelete(block, &map, by_address);
    live.allocations--;
    live.bytes -= block->bytes;
    recent[recent_next++ % RECENT] = block->va;
}

static bool overrun(const struct nt_block *block)
{
    const unsigned char *behind = (const unsigned char *)block->va + block->bytes;

    if (block->kind == NT_MEMORY_PAGES)
        return false;
    for (size_t i = 0; i < canary_bytes; i++) {
        if (behind[i] != CANARY)
            return true;
    }
    return false;
}

static void check_and_free(struct nt_block *block)
{
    if (overrun(block))
        nt_report(NT_MISUSE_POOL_BOUNDS,
                  "bytes behind %p, %" PRIu64 " bytes with tag %.4s, were overwritten",
                  (void *)block->va, block->bytes, (const char *)&block->tag);
    memory_put(block);
    free(block);
}

bool nt_block_free(const void *va, unsigned kinds, struct nt_block *freed)
{
    struct nt_block *block;

    vf_lock(&map_lock);
    block = block_at((uintptr_t)va, 1);
    if (block == NULL || block->va != (uintptr_t)va || (kinds & 1u << block->kind) == 0) {
        vf_unlock(&map_lock);
        return false;
    }
    take_out(block);
    vf_unlock(&map_lock);
    if (freed != NULL)
        *freed = *block;
    check_and_free(block);
    return true;
}

bool nt_block_give(const void *va, unsigned kinds, const void *caller)
{
    struct nt_block *block;
    bool live_one;

    vf_lock(&map_lock);
    block = block_at((uintptr_t)va, 1);
    live_one = block != NULL && block->va == (uintptr_t)va && (kinds & 1u << block->kind) != 0;
    if (live_one)
        block->caller = (uintptr_t)caller;
    vf_unlock(&map_lock);
    return live_one;
}

bool nt_block_find(const void *va, uint64_t bytes, struct nt_block *found)
{
    struct nt_block *block;

    vf_lock(&map_lock);
    block = block_at((uintptr_t)va, bytes);
    if (block != NULL && found != NULL)
        *found = *block;
    vf_unlock(&map_lock);
    return block != NULL;
}

bool nt_block_was_freed(const void *va)
{
    bool found = false;

    vf_lock(&map_lock);
    for (unsigned i = 0; i < RECENT && !found; i++)
        found = recent[i] == (uintptr_t)va;
    vf_unlock(&map_lock);
    return found && va != NULL;
}

bool nt_memory_owned(const void *va, uint64_t bytes)
{
    return nt_block_find(va, bytes, NULL);
}

void *nt_pages_va(PFN_NUMBER first, uint64_t count)
{
    if (count == 0 || first > UINTPTR_MAX >> PAGE_SHIFT || count > UINTPTR_MAX >> PAGE_SHIFT)
        return NULL;
    return nt_memory_owned((void *)(first << PAGE_SHIFT), count << PAGE_SHIFT)
               ? (void *)(first << PAGE_SHIFT)
               : NULL;
}

/* ---- counting ---- */

struct census {
    unsigned kinds; /* mask of 1 << enum nt_memory; 0 = any */
    uintptr_t low, high; /* callers that count */
    struct nt_pool_stats stats;
    uintptr_t *found; /* where the addresses go, or NULL */
};

static void count_block(const void *node, VISIT visit, void *arg)
{
    const struct nt_block *block = *(struct nt_block *const *)node;
    struct census *census = arg;

    if (visit != postorder && visit != leaf)
        return;
    if ((census->kinds != 0 && (census->kinds & 1u << block->kind) == 0) ||
        block->caller < census->low || block->caller >= census->high)
        return;
    if (census->found != NULL)
        census->found[census->stats.allocations] = block->va;
    census->stats.allocations++;
    census->stats.bytes += block->bytes;
}

static struct nt_pool_stats take_census(struct census *census)
{
    vf_lock(&map_lock);
    twalk_r(map, count_block, census);
    vf_unlock(&map_lock);
    return census->stats;
}

struct nt_pool_stats nt_pool_live(void)
{
    struct nt_pool_stats now;

    vf_lock(&map_lock);
    now = live;
    vf_unlock(&map_lock);
    return now;
}

uint64_t nt_mdl_live_from(const void *low, const void *high)
{
    struct census census = {.kinds = 1u << NT_MEMORY_MDL,
                            .low = (uintptr_t)low,
                            .high = (uintptr_t)high};

    return take_census(&census).allocations;
}

uint64_t nt_pool_reclaim_from(const void *low, const void *high)
{
    struct census census = {.low = (uintptr_t)low, .high = (uintptr_t)high};
    uint64_t freed = 0;

    vf_lock(&map_lock);
    census.found = calloc(live.allocations + 1, sizeof *census.found);
    if (census.found != NULL)
        twalk_r(map, count_block, &census);
    vf_unlock(&map_lock);
    for (uint64_t i = 0; i < census.stats.allocations; i++)
        freed += nt_block_free((const void *)census.found[i], ~0u, NULL);
    free(census.found);
    return freed;
}
