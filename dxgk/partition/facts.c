// SPDX-License-Identifier: Apache-2.0
/* What is told of partitions. No call here takes partition->lock, so that all of them answer while
 * a long call works on the partition. */
#define LOG_ROOM "partition"
#include "dxgk/partition/partition.h"

#include "base/thread.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int dxgk_partition_wrong_state(const struct dxgk_partition *partition, const char *what,
                               struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "partition %s is %s%s; %s", partition->params.name,
                   vf_fsm_name(&partition->fsm),
                   partition->hung ? ", as a command hung and its VF was reset" : "", what);
}

void dxgk_partition_describe(struct dxgk_partition *partition, struct vf_partition_info *out)
{
    *out = (struct vf_partition_info){
        .id = partition->id,
        .adapter = partition->adapter->index,
        .vf_index = partition->vf,
        .luid = partition->luid,
        .vram_bytes = partition->params.vram_bytes,
        .page_bytes = partition->page_bytes,
        .epoch = atomic_load(&partition->epoch),
        .state = dxgk_partition_state(partition),
        .holders = dxgk_holders(partition) & ~DXGK_HOLD_STAND,
        .interrupts = atomic_load(&partition->interrupts),
        .job = atomic_load(&partition->job),
    };
    dxgk_throttle_tell(partition, &out->throttle_percent, &out->throttled_ns);
    memcpy(out->name, partition->params.name, sizeof out->name);
    memcpy(out->uuid, partition->params.uuid, sizeof out->uuid);
}

int dxgk_partition_info(struct dxgk *dxgk, uint64_t id, struct vf_partition_info *out,
                        struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);

    if (partition == NULL)
        return -1;
    dxgk_partition_describe(partition, out);
    dxgk_partition_put(partition);
    return 0;
}

int dxgk_partition_watch(struct dxgk *dxgk, uint64_t id, int *fd, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);

    *fd = -1;
    if (partition == NULL)
        return -1;
    *fd = fcntl(partition->watch_fd, F_DUPFD_CLOEXEC, 0);
    dxgk_partition_put(partition);
    return *fd >= 0 ? 0 : vf_fail_errno(err, VF_FAILED, errno, "watch a partition");
}

int dxgk_partition_list(struct dxgk *dxgk, struct vf_partition_info *out, size_t capacity,
                        size_t *count, struct vf_error *err)
{
    struct dxgk_partition *partition;

    if (out == NULL && capacity != 0)
        return vf_fail(err, VF_USAGE, "no room for the list of partitions");
    *count = 0;
    vf_lock(&dxgk->lock);
    for (partition = dxgk->partitions; partition != NULL; partition = partition->next) {
        if (*count < capacity)
            dxgk_partition_describe(partition, &out[*count]);
        ++*count;
    }
    vf_unlock(&dxgk->lock);
    return 0;
}

int dxgk_partition_params(struct dxgk *dxgk, uint64_t id, struct vf_partition_params *out,
                          struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = partition->params;
    out->epoch = atomic_load(&partition->epoch);
    dxgk_partition_put(partition);
    return 0;
}

int dxgk_partition_clock(struct dxgk *dxgk, uint64_t id, struct vf_partition_clock *out,
                         struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);
    const struct dxgk_adapter *adapter;
    struct vf_function_clock clock = {0};

    if (partition == NULL)
        return -1;
    adapter = partition->adapter;
    *out = (struct vf_partition_clock){.runtime_ns = VF_RUNTIME_UNKNOWN};
    vf_read_lock(&partition->vcpu);
    if (!partition->vcpu_gone && adapter->ops->function_clock != NULL &&
        adapter->ops->function_clock(adapter->dev, VF_FUNCTION_VF(partition->vf), &clock) == 0) {
        out->last_run_ns = clock.last_run_ns;
        out->first_run_ns = clock.first_run_ns;
        out->runtime_ns = clock.runtime_ns;
    }
    vf_rw_unlock(&partition->vcpu);
    dxgk_partition_put(partition);
    return 0;
}
