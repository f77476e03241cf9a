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

struct dxgk_vram {
    struct dxgk_adapter *adapter;
    pthread_t thread;
    bool started; /* fixed between start and stop, which one thread calls */
    /* Guarded by adapter->lock: */
    pthread_cond_t changed; /* the piece is done, something was given back, the end */
    DXGK_MEMORYRANGE piece; /* that the thread fills and reads; no bytes = none */
    bool stopping;
    bool failed; /* the last piece could not be proven: not tried again until something changes */
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

int dxgk_vram_take(struct dxgk_adapter *adapter, const struct dxgk_reserve_want *want,
                   DXGK_MEMORYRANGE **ranges, uint32_t *count, struct vf_error *err)
{
    int result;

    vf_lock(&adapter->lock);
    result = dxgk_reserve_take(adapter->reserve, want, ranges, count, err);
    if (result == 0)
        await_piece(adapter, *ranges, *count);
    vf_unlock(&adapter->lock);
    return result;
}

bool dxgk_vram_claim(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range)
{
    bool claimed;

    vf_lock(&adapter->lock);
    claimed = dxgk_reserve_claim(adapter->reserve, range);
    if (claimed) {
        await_piece(adapter, range, 1);
        dxgk_reserve_soil(adapter->reserve, range, 1);
    }
    vf_unlock(&adapter->lock);
    return claimed;
}

void dxgk_vram_use(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count)
{
    vf_lock(&adapter->lock);
    dxgk_reserve_soil(adapter->reserve, ranges, count);
    vf_unlock(&adapter->lock);
}

void dxgk_vram_give(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count)
{
    vf_lock(&adapter->lock);
    dxgk_reserve_give(adapter->reserve, ranges, count);
    adapter->vram->failed = false;
    vf_cond_broadcast(&adapter->vram->changed);
    vf_unlock(&adapter->lock);
}

/* ---- proof when it is wanted ---- */

static int clean_range(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *range,
                       const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err)
{
    DXGK_MEMORYRANGE piece;

    while (vf_locked(&adapter->lock,
                     dxgk_reserve_unproven(adapter->reserve, range, DEMAND_PIECE, &piece))) {
        if (dxgk_scrub(adapter, &piece, 1, wanted, dirty, err) != 0)
            return -1;
        vf_lock(&adapter->lock);
        dxgk_reserve_prove(adapter->reserve, &piece);
        vf_unlock(&adapter->lock);
    }
    return 0;
}

int dxgk_vram_clean(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                    const struct dxgk_wanted *wanted, bool *dirty, struct vf_error *err)
{
    *dirty = false;
    if (dxgk_still_wanted(wanted, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (clean_range(adapter, &ranges[i], wanted, dirty, err) != 0)
            return -1;
    return 0;
}

/* ---- proof in the background ---- */

/* adapter->lock is held. Where it says that it is zero and is not, and nobody has taken it
 * meanwhile, nobody gets it any more. */
static bool settle_piece(struct dxgk_adapter *adapter, int result, bool dirty)
{
    struct dxgk_vram *vram = adapter->vram;
    bool locked_up = false;

    if (result == 0)
        dxgk_reserve_prove(adapter->reserve, &vram->piece);
    else if (dirty)
        locked_up = dxgk_reserve_claim(adapter->reserve, &vram->piece);
    vram->failed = result != 0 && !locked_up;
    vram->piece.SizeInBytes = 0;
    dxgk_waits_lets_go(&vram->piece);
    vf_cond_broadcast(&vram->changed);
    return locked_up;
}

/* Inside the gate, without the lock. */
static void prove_piece(struct dxgk_adapter *adapter)
{
    struct dxgk_vram *vram = adapter->vram;
    struct vf_error error = VF_ERROR_INIT;
    const DXGK_MEMORYRANGE piece = vram->piece;
    bool dirty = false, locked_up;
    int result = dxgk_scrub(adapter, &piece, 1, NULL, &dirty, &error);

    vf_lock(&adapter->lock);
    locked_up = settle_piece(adapter, result, dirty);
    vf_unlock(&adapter->lock);
    if (locked_up)
        dxgk_report(adapter, "VF-3", "%s; %" PRIu64 " bytes stay locked up", error.text,
                    (uint64_t)piece.SizeInBytes);
    else if (result != 0)
        log_warn("adapter %u: free VRAM cannot be zero-filled now, and is when it is wanted: %s",
                 adapter->index, error.text);
}

/* One piece, or none: a driver update may have come between, or a taker. */
static void work(struct dxgk_adapter *adapter)
{
    struct dxgk_vram *vram = adapter->vram;
    struct vf_error error = VF_ERROR_INIT;
    bool found;

    dxgk_gate_enter(adapter);
    vf_lock(&adapter->lock);
    vram->failed = dxgk_gate_alive(adapter, &error) != 0;
    found = !vram->failed &&
            dxgk_reserve_unproven_free(adapter->reserve, 0, BACKGROUND_PIECE, &vram->piece);
    if (found)
        dxgk_waits_holds(&vram->piece);
    vf_unlock(&adapter->lock);
    if (found)
        prove_piece(adapter);
    dxgk_gate_leave(adapter);
}

/* adapter->lock is held and held again on return. */
static void rest(struct dxgk_vram *vram, uint64_t ns)
{
    const uint64_t until_ns = vf_now_ns() + ns;

    while (!vram->stopping && vf_cond_wait_until(&vram->changed, &vram->adapter->lock, until_ns))
        continue;
}

static bool has_work(const struct dxgk_vram *vram)
{
    DXGK_MEMORYRANGE piece;

    return !vram->failed &&
           dxgk_reserve_unproven_free(vram->adapter->reserve, 0, BACKGROUND_PIECE, &piece);
}

static void *background(void *arg)
{
    struct dxgk_vram *vram = arg;
    struct dxgk_adapter *adapter = vram->adapter;
    uint32_t paged = dxgk_paging_submissions(adapter->paging);

    vf_lock(&adapter->lock);
    while (!vram->stopping) {
        uint64_t begun = vf_now_ns();
        bool alone = paged == dxgk_paging_submissions(adapter->paging);

        if (!has_work(vram)) {
            vf_cond_wait(&vram->changed, &adapter->lock);
            continue;
        }
        vf_unlock(&adapter->lock);
        work(adapter);
        paged = dxgk_paging_submissions(adapter->paging);
        vf_lock(&adapter->lock);
        rest(vram, (vf_now_ns() - begun) * (alone ? REST_ALONE : REST_BESIDE_OTHERS));
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
