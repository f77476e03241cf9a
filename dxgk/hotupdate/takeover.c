// SPDX-License-Identifier: Apache-2.0
/* See takeover.h. */
#define LOG_ROOM "hotupdate"
#include "dxgk/hotupdate/takeover.h"

#include "base/thread.h"
#include "dxgk/adapter/adapter.h"
#include "dxgk/ddi/hotupdate.h"
#include "dxgk/ddi/basis.h"
#include "dxgk/paging/paging.h"
#include "dxgk/tracking/tracking.h"
#include "dxgk/vram/vram.h"
#include "dxgk/waits.h"

/* The next partition of the adapter behind `after` (NULL = the first), with a reference; gives back
 * that of `after`. Those of this adapter stay while its gate is shut. */
static struct dxgk_partition *next_of(struct dxgk_adapter *adapter, struct dxgk_partition *after)
{
    struct dxgk *dxgk = adapter->dxgk;
    struct dxgk_partition *partition;

    vf_lock(&dxgk->lock);
    partition = after != NULL ? after->next : dxgk->partitions;
    while (partition != NULL && partition->adapter != adapter)
        partition = partition->next;
    if (partition != NULL)
        atomic_fetch_add(&partition->refs, 1);
    vf_unlock(&dxgk->lock);
    if (after != NULL)
        dxgk_partition_put(after);
    return partition;
}

bool dxgk_has_partitions(struct dxgk_adapter *adapter)
{
    struct dxgk_partition *partition = next_of(adapter, NULL);

    if (partition == NULL)
        return false;
    dxgk_partition_put(partition);
    return true;
}

static int take_over_partition(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    const struct dxgk_segment *vram = &adapter->caps.segments[adapter->caps.vram];

    if (!partition->check.created)
        return 0;
    if (partition->check.prepared && !adapter->caps.live_migration)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the new driver has no live migration, and partition %s is on the move",
                       partition->params.name);
    if (dxgk_ddi_knows_vgpu(adapter, partition->vf, partition->params.vram_bytes, err) != 0)
        return -1;
    if (partition->reserve_basis != NULL) {
        *partition->reserve_basis = (struct dxgk_basis){0};
        if (dxgk_ddi_create_memory_basis(adapter, vram->id, vram->scatter_page, partition->ranges,
                                         partition->range_count, partition->reserve_basis,
                                         err) != 0)
            return -1;
    }
    return dxgk_tracking_take_over(partition, err);
}

int dxgk_take_over(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_partition *partition = NULL;
    int result;

    dxgk_vram_forget(adapter);
    if (dxgk_caps_take_over(adapter, err) != 0 || dxgk_paging_take_over(adapter, err) != 0)
        return -1;
    while ((partition = next_of(adapter, partition)) != NULL) {
        dxgk_lock(&partition->lock);
        result = take_over_partition(partition, err);
        dxgk_unlock(&partition->lock);
        if (result != 0) {
            (void)vf_context(err, "partition %s", partition->params.name);
            dxgk_partition_put(partition);
            return -1;
        }
    }
    return 0;
}
