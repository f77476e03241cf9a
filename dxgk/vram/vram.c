// SPDX-License-Identifier: Apache-2.0
/* See vram.h. */
#define LOG_ROOM "vram"
#include "dxgk/vram/vram.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/paging/paging.h"
#include "dxgk/vram/scrub.h"
#include "dxgk/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What somebody waits for, and what is proven again where an arrival is called off in it. */
#define DEMAND_PIECE (32ull << 20)
/* What whoever takes VRAM may have to wait for: a few milliseconds. */
#define BACKGROUND_PIECE (4ull << 20)
/* The thread rests so many times as long as it works: where nobody else pages, and where somebody
 * does. */
#define REST_ALONE 1u
#define REST_BESIDE_OTHERS 19u
#define REST_MOST_NS 200000000ull
/* After so many pieces in a row that cannot be proven the engine is at fault, and left alone until
 * something is given back. */
#define MOST_FAILED 3u

struct dxgk_vram {
    struct dxgk_adapter *adapter;
    pthread_t thread;
    bool started; /* fixed between start and stop, which one thread calls */
    /* Guarded by adapter->lock: */
    pthread_cond_t changed; /* the piece is done, something was given back, the end */
    DXGK_MEMORYRANGE piece; /* that the thread looks at or fills; no bytes = none */
    uint64_t low, high;     /* the driver lets partitions lie in between; high 0: it named none */
    uint64_t from;   /* the thread goes on here: what is before it is proven, or cannot be now */
    unsigned failed; /* pieces in a row */
    bool again;      /* something was given back, or may be filled now: from the start */
    bool stopping;
};

int dxgk_vram_create(struct dxgk_adapter *adapter, struct vf_error *err)
{
    const struct dxgk_caps *caps = &adapter->caps;

    adapter->reserve = dxgk_reserve_create(caps->vram_bytes, caps->granule, caps->scatter);
    adapter->vram = calloc(1, sizeof *adapter->vram);
    if (adapter->reserve == NULL || adapter->vram == NULL) {
        free(adapter->vram);
        adapter->vram = NULL;
        return vf_fail(err, VF_FAILED, "the map of VRAM: " VF_NO_MEMORY);
    }
    adapter->vram->adapter = adapter;
    vf_cond_init(&adapter->vram->changed);
    return 0;
}

void dxgk_vram_destroy(struct dxgk_adapter *adapter)
{
    dxgk_reserve_destroy(adapter->reserve);
    adapter->reserve = NULL;
    if (adapter->vram == NULL)
        return;
    vf_cond_fini(&adapter->vram->changed);
    free(adapter->vram);
    adapter->vram = NULL;
}

/* ---- who takes and gives ---- */

static bool overlap(const DXGK_MEMORYRANGE *a, const DXGK_MEMORYRANGE *b)
{
    return a->SegmentOffset < b->SegmentOffset + b->SizeInBytes &&
           b->SegmentOffset < a->SegmentOffset + a->SizeInBytes;
}

static bool is_being_proven(const struct dxgk_vram *vram, const DXGK_MEMORYRANGE *ranges,
                            uint32_t count)
{
    if (vram->piece.SizeInBytes == 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (overlap(&ranges[i], &vram->piece))
            return true;
    return false;
}

/* adapter->lock is held; the ranges are taken, so the thread will not begin with them again. */
static void await_piece(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges,
                        uint32_t count)
{
    struct dxgk_vram *vram = adapter->vram;

    dxgk_waits_for(&vram->piece);
    while (is_being_proven(vram, ranges, count))
        vf_cond_wait(&vram->changed, &adapter->lock);
    dxgk_waits_for(NULL);
}

int dxgk_vram_check(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                    struct vf_error *err)
{
    return vf_locked(&adapter->lock, dxgk_reserve_check(adapter->reserve, want, err));
}

/* Between all that the driver has named so far. adapter->lock is held. */
static void learn_window(struct dxgk_vram *vram, const struct dxgk_reserve_want *want)
{
    const uint64_t granule = vram->adapter->caps.granule;
    const uint64_t total = dxgk_reserve_total(vram->adapter->reserve);
    const uint64_t low = (want->low + granule - 1) / granule * granule;
    const uint64_t high = (want->high != 0 ? want->high : total) / granule * granule;

    if (vram->high != 0 && vram->low <= low && vram->high >= high)
        return;
    vram->low = vram->high == 0 || low < vram->low ? low : vram->low;
    vram->high = high > vram->high ? high : vram->high;
    vram->again = true;
    vf_cond_broadcast(&vram->changed);
}

int dxgk_vram_take(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                   DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err)
{
    struct dxgk_vram *vram = adapter->vram;
    int result;

    vf_lock(&adapter->lock);
    result = dxgk_reserve_take(adapter->reserve, want, ranges, count, err);
    if (result == 0) {
        learn_window(vram, want);
        await_piece(adapter, *ranges, *count);
    }
    vf_unlock(&adapter->lock);
    return result;
}

bool dxgk_vram_claim(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range)
{
    bool claimed;

    vf_lock(&adapter->lock);
    claimed = dxgk_reserve_claim(adapter->reserve, range);
    if (claimed)
        await_piece(adapter, range, 1);
    vf_unlock(&adapter->lock);
    return claimed;
}

void dxgk_vram_give(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const DXGK_MEMORYRANGE *bad)
{
    vf_lock(&adapter->lock);
    dxgk_reserve_soil(adapter->reserve, ranges, count);
    dxgk_reserve_give(adapter->reserve, ranges, count);
    if (bad != NULL && !dxgk_reserve_claim(adapter->reserve, bad))
        log_error("bug: VRAM that cannot be proven was not part of what is given back");
    adapter->vram->again = true;
    vf_cond_broadcast(&adapter->vram->changed);
    vf_unlock(&adapter->lock);
}

void dxgk_vram_forget(struct dxgk_adapter *adapter)
{
    struct dxgk_vram *vram = adapter->vram;
    DXGK_MEMORYRANGE all = {0};

    if (vram == NULL)
        return;
    vf_lock(&adapter->lock);
    all.SizeInBytes = dxgk_reserve_total(adapter->reserve);
    dxgk_reserve_soil(adapter->reserve, &all, 1);
    vram->low = vram->high = 0;
    vram->again = true;
    vf_cond_broadcast(&vram->changed);
    vf_unlock(&adapter->lock);
}

/* ---- proof ---- */

/* How a piece ended. */
enum end {
    END_ZERO,
    END_LEFT,    /* it is not zero, and may not be filled: the driver may have it for itself */
    END_NOT_NOW, /* the host is short of something, or it is not wanted any more */
    END_FAILED,  /* driver or engine did */
    END_DIRTY,   /* it says that it is zero and is not */
};

/* Fills only what is not zero: to look is enough for the rest. Inside the gate, no lock held. */
static enum end prove(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *piece, bool may_fill,
                      const struct dxgk_wanted *wanted, struct vf_error *err)
{
    bool zero, dirty = false;
    int result = dxgk_look(adapter, piece, wanted, &zero, err);

    if (result == 0 && !zero && !may_fill)
        return END_LEFT;
    if (result == 0 && !zero)
        result = dxgk_scrub(adapter, piece, wanted, &dirty, err);
    if (result == 0)
        return END_ZERO;
    return dirty ? END_DIRTY : result == DXGK_ENGINE_FAILED ? END_FAILED : END_NOT_NOW;
}

/* ---- proof when it is wanted ---- */

static int clean_range(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
                       const struct dxgk_wanted *wanted, DXGK_MEMORYRANGE *bad,
                       struct vf_error *err)
{
    DXGK_MEMORYRANGE piece;

    while (vf_locked(&adapter->lock,
                     dxgk_reserve_unproven(adapter->reserve, range, DEMAND_PIECE, &piece))) {
        enum end end = prove(adapter, &piece, true, wanted, err);

        if (end == END_FAILED)
            end = prove(adapter, &piece, true, wanted, err);
        if (end == END_FAILED || end == END_DIRTY)
            *bad = piece;
        if (end != END_ZERO)
            return -1;
        vf_lock(&adapter->lock);
        dxgk_reserve_prove(adapter->reserve, &piece);
        vf_unlock(&adapter->lock);
    }
    return 0;
}

int dxgk_vram_clean(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const struct dxgk_wanted *wanted, DXGK_MEMORYRANGE *bad, struct vf_error *err)
{
    bad->SizeInBytes = 0;
    if (dxgk_still_wanted(wanted, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (clean_range(adapter, &ranges[i], wanted, bad, err) != 0)
            return -1;
    return 0;
}

/* ---- proof in the background ---- */

/* adapter->lock is held. True: nobody gets the piece any more, unless somebody has taken a part of
 * it meanwhile, who then proves it himself. */
static bool settle_piece(struct dxgk_adapter *adapter, enum end end)
{
    struct dxgk_vram *vram = adapter->vram;
    bool locked_up = end == END_DIRTY && dxgk_reserve_claim(adapter->reserve, &vram->piece);

    if (end == END_ZERO)
        dxgk_reserve_prove(adapter->reserve, &vram->piece);
    vram->failed = end == END_FAILED || end == END_NOT_NOW ? vram->failed + 1 : 0;
    vram->from = vram->piece.SegmentOffset + vram->piece.SizeInBytes;
    vram->piece.SizeInBytes = 0;
    dxgk_waits_lets_go(&vram->piece);
    vf_cond_broadcast(&vram->changed);
    return locked_up;
}

/* No piece lies on both sides of a window's end: the thread fills it or does not. */
static void cut(DXGK_MEMORYRANGE *piece, uint64_t at)
{
    if (piece->SegmentOffset < at && piece->SegmentOffset + piece->SizeInBytes > at)
        piece->SizeInBytes = at - piece->SegmentOffset;
}

/* adapter->lock is held. */
static bool find_piece(struct dxgk_adapter *adapter, DXGK_MEMORYRANGE *piece)
{
    struct dxgk_vram *vram = adapter->vram;

    if (vram->again) {
        vram->from = 0;
        vram->failed = 0;
    }
    vram->again = false;
    if (vram->failed >= MOST_FAILED ||
        !dxgk_reserve_unproven_free(adapter->reserve, vram->from, BACKGROUND_PIECE, piece))
        return false;
    cut(piece, vram->low);
    cut(piece, vram->high);
    return true;
}

/* Inside the gate, without the lock. */
static void work_on(struct dxgk_adapter *adapter, bool may_fill)
{
    struct vf_error error = VF_ERROR_INIT;
    const DXGK_MEMORYRANGE piece = adapter->vram->piece;
    const enum end end = prove(adapter, &piece, may_fill, NULL, &error);
    bool locked_up;

    vf_lock(&adapter->lock);
    locked_up = settle_piece(adapter, end);
    vf_unlock(&adapter->lock);
    if (locked_up)
        dxgk_report(adapter, "VF-3", "%s; nobody gets it, it stays locked up", error.text);
    else if (end == END_FAILED || end == END_NOT_NOW)
        log_warn("adapter %u: free VRAM at 0x%" PRIx64
                 " cannot be proven to be zero now, and is when it is wanted: %s",
                 adapter->index, (uint64_t)piece.SegmentOffset, error.text);
}

/* One piece, or none: a driver update may have come between, or a taker. Gives the time that it
 * worked. */
static uint64_t work(struct dxgk_adapter *adapter)
{
    struct dxgk_vram *vram = adapter->vram;
    struct vf_error error = VF_ERROR_INIT;
    bool found, may_fill;
    uint64_t begun;

    dxgk_gate_enter(adapter);
    begun = vf_now_ns();
    vf_lock(&adapter->lock);
    found = dxgk_gate_alive(adapter, &error) == 0 && find_piece(adapter, &vram->piece);
    if (found)
        dxgk_waits_holds(&vram->piece);
    else
        vram->from = UINT64_MAX;
    may_fill = vram->piece.SegmentOffset >= vram->low &&
               vram->piece.SegmentOffset + vram->piece.SizeInBytes <= vram->high;
    vf_unlock(&adapter->lock);
    if (found)
        work_on(adapter, may_fill);
    dxgk_gate_leave(adapter);
    return vf_now_ns() - begun;
}

/* adapter->lock is held and held again on return. */
static void rest(struct dxgk_vram *vram, uint64_t ns)
{
    const uint64_t until_ns = vf_now_ns() + ns;

    while (!vram->stopping && vf_cond_wait_until(&vram->changed, &vram->adapter->lock, until_ns))
        continue;
}

static void *background(void *arg)
{
    struct dxgk_vram *vram = arg;
    struct dxgk_adapter *adapter = vram->adapter;
    uint32_t paged = dxgk_paging_submissions(adapter->paging);
    DXGK_MEMORYRANGE piece;

    vf_lock(&adapter->lock);
    while (!vram->stopping) {
        bool alone = paged == dxgk_paging_submissions(adapter->paging);
        uint64_t ns;

        if (!find_piece(adapter, &piece)) {
            vf_cond_wait(&vram->changed, &adapter->lock);
            continue;
        }
        vf_unlock(&adapter->lock);
        ns = work(adapter) * (alone ? REST_ALONE : REST_BESIDE_OTHERS);
        paged = dxgk_paging_submissions(adapter->paging);
        vf_lock(&adapter->lock);
        rest(vram, ns < REST_MOST_NS ? ns : REST_MOST_NS);
    }
    vf_unlock(&adapter->lock);
    return NULL;
}

void dxgk_vram_background_start(struct dxgk_adapter *adapter)
{
    int error;

    if (adapter->paging == NULL || adapter->vram == NULL)
        return;
    error = pthread_create(&adapter->vram->thread, NULL, background, adapter->vram);
    adapter->vram->started = error == 0;
    if (error != 0)
        log_warn("adapter %u: no thread zero-fills free VRAM, so creations wait for it: %s",
                 adapter->index, strerror(error));
}

void dxgk_vram_background_stop(struct dxgk_adapter *adapter)
{
    struct dxgk_vram *vram = adapter->vram;

    if (vram == NULL || !vram->started)
        return;
    vf_lock(&adapter->lock);
    vram->stopping = true;
    vf_cond_broadcast(&vram->changed);
    vf_unlock(&adapter->lock);
    (void)pthread_join(vram->thread, NULL);
    vram->started = false;
}
