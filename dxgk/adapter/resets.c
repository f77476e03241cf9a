// SPDX-License-Identifier: Apache-2.0
/* See resets.h. */
#define LOG_ROOM "tdr"
#include "dxgk/adapter/resets.h"

#include "base/log.h"
#include "base/thread.h"

#include <stdlib.h>

struct dxgk_resets {
    pthread_mutex_t lock; /* a leaf; guards what follows */
    pthread_cond_t asked;
    uint32_t wanted[VF_MAX_ADAPTERS]; /* bit n: VF n */
    bool ended;
};

int dxgk_resets_open(struct dxgk *dxgk, struct vf_error *err)
{
    dxgk->resets = calloc(1, sizeof *dxgk->resets);
    if (dxgk->resets == NULL)
        return vf_fail(err, VF_FAILED, "watching for hangs: " VF_NO_MEMORY);
    vf_lock_init(&dxgk->resets->lock);
    vf_cond_init(&dxgk->resets->asked);
    return 0;
}

void dxgk_resets_close(struct dxgk *dxgk)
{
    if (dxgk->resets == NULL)
        return;
    vf_cond_fini(&dxgk->resets->asked);
    vf_lock_fini(&dxgk->resets->lock);
    free(dxgk->resets);
    dxgk->resets = NULL;
}

void dxgk_resets_ask(struct dxgk_adapter *adapter, uint32_t vf)
{
    struct dxgk_resets *resets = adapter->dxgk->resets;

    if (vf >= 32 || vf >= adapter->caps.vf_count || resets == NULL) {
        log_warn("adapter %u: reset of VF %u asked for; there is no such VF", adapter->index, vf);
        return;
    }
    vf_lock(&resets->lock);
    resets->wanted[adapter->index] |= 1u << vf;
    vf_cond_signal(&resets->asked);
    vf_unlock(&resets->lock);
}

void dxgk_resets_forget(struct dxgk_adapter *adapter, uint32_t vf)
{
    struct dxgk_resets *resets = adapter->dxgk->resets;

    if (resets == NULL)
        return;
    vf_lock(&resets->lock);
    resets->wanted[adapter->index] &= ~(1u << vf);
    vf_unlock(&resets->lock);
}

/* The lock is held; false = there is none. */
static bool next_wanted(struct dxgk_resets *resets, uint32_t *adapter, uint32_t *vf)
{
    for (*adapter = 0; *adapter < VF_MAX_ADAPTERS; ++*adapter) {
        if (resets->wanted[*adapter] == 0)
            continue;
        *vf = (uint32_t)__builtin_ctz(resets->wanted[*adapter]);
        resets->wanted[*adapter] &= ~(1u << *vf);
        return true;
    }
    return false;
}

bool dxgk_resets_take(struct dxgk *dxgk, uint32_t *adapter, uint32_t *vf)
{
    struct dxgk_resets *resets = dxgk->resets;
    bool taken = false;

    vf_lock(&resets->lock);
    while (!resets->ended && !(taken = next_wanted(resets, adapter, vf)))
        vf_cond_wait(&resets->asked, &resets->lock);
    vf_unlock(&resets->lock);
    return taken;
}

void dxgk_resets_end(struct dxgk *dxgk)
{
    vf_lock(&dxgk->resets->lock);
    dxgk->resets->ended = true;
    vf_cond_signal(&dxgk->resets->asked);
    vf_unlock(&dxgk->resets->lock);
}
