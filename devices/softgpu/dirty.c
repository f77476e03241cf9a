// SPDX-License-Identifier: Apache-2.0
/*
 * The dirty bitplane: one bit per dirty page of VRAM, set after the store it tells of, cleared by
 * an atomic exchange.
 */
#include "softgpu.h"

#include <errno.h>
#include <stdlib.h>

int sg_dirty_open(struct sg_dirty *d, uint64_t vram_bytes, const struct sg_options *o)
{
    int rc;

    d->page_shift = (uint32_t)__builtin_ctzll(o->dirty_page_bytes);
    d->pages = vram_bytes / o->dirty_page_bytes;
    d->words = (d->pages + 63) / 64;
    d->drop_every = o->drop_dirty;
    atomic_init(&d->enable, o->performant ? 1u : 0u);
    rc = pthread_mutex_init(&d->drop_lock, NULL);
    if (rc)
        return -rc;
    d->word = calloc(d->words, sizeof *d->word);
    if (!d->word) {
        pthread_mutex_destroy(&d->drop_lock);
        return -ENOMEM;
    }
    return 0;
}

void sg_dirty_close(struct sg_dirty *d)
{
    free(d->word);
    pthread_mutex_destroy(&d->drop_lock);
}

/* The faulty device (fault=drop-dirty:N): each N-th setting of a bit that was clear gets lost.
 * Counted under a lock, so that the same stores always lose the same bits. */
static void set_dropping(struct sg_dirty *d, uint64_t first, uint64_t end)
{
    pthread_mutex_lock(&d->drop_lock);
    for (uint64_t page = first; page < end; page++) {
        uint64_t bit = 1ull << (page % 64);

        if (atomic_load(&d->word[page / 64]) & bit)
            continue;
        if (++d->settings % d->drop_every)
            atomic_fetch_or(&d->word[page / 64], bit);
    }
    pthread_mutex_unlock(&d->drop_lock);
}

/*
 * Why no store is lost (DBT-5, DBT-6):
 *
 * - The bit is or-ed in unconditionally, with release order. Looking first and skipping the RMW
 *   when the bit is there would need a full fence: the look could be done before the store is
 *   visible, a query could clear the bit in between, gather the old contents, and nobody would tell
 *   of the store. An RMW a word covers 64 dirty pages: nothing to save there. If the exchange
 *   comes before our RMW, the bit stays for the next query; if it comes after, the exchange
 *   (acquire) reads our release, and the gather that follows it sees the store.
 * - `enable` may be switched on between the store and our look at it. The caller (sg_vram_stored)
 *   has just done a seq_cst RMW on `populated` after the store, and whoever reads VRAM looks at
 *   `populated` with seq_cst first. So when we read enable == 0 here, our RMW precedes the switch
 *   in the one order of all seq_cst operations, hence precedes the look of any reader that starts
 *   after the switch: the full first round, which must follow it, sees the store.
 */
void sg_dirty_set(struct sg_dirty *d, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset >> d->page_shift, end = ((offset + bytes - 1) >> d->page_shift) + 1;

    if (!atomic_load_explicit(&d->enable, memory_order_seq_cst))
        return;
    if (d->drop_every) {
        set_dropping(d, first, end);
        return;
    }
    for (uint64_t w = first / 64; w <= (end - 1) / 64; w++)
        atomic_fetch_or_explicit(&d->word[w], sg_bits(w, first, end), memory_order_release);
}

uint64_t sg_dirty_read(struct sg_dirty *d, uint64_t word)
{
    return word < d->words ? atomic_load_explicit(&d->word[word], memory_order_acquire) : 0;
}

uint64_t sg_dirty_exchange(struct sg_dirty *d, uint64_t word, uint64_t mask)
{
    if (word >= d->words || !mask)
        return 0;
    return atomic_fetch_and_explicit(&d->word[word], ~mask, memory_order_acq_rel) & mask;
}

void sg_dirty_or(struct sg_dirty *d, uint64_t word, uint64_t bits)
{
    if (word < d->words) /* the last word may have bits that no page stands behind */
        atomic_fetch_or_explicit(&d->word[word], bits & sg_bits(word, 0, d->pages),
                                 memory_order_release);
}
