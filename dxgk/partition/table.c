// SPDX-License-Identifier: Apache-2.0
/* The table of partitions: who is in it, references to them and their locks. See internal.h
 * and partition.h. */
#define LOG_ROOM "partition"
#include "dxgk/partition/partition.h"

#include "base/clock.h"
#include "base/thread.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/mitigated.h"
#include "dxgk/partition/throttle.h"
#include "dxgk/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFRAG_PATIENCE_NS 10000000000ull
#define STAND_PATIENCE_NS 1000000000ull

struct dxgk_partition *dxgk_partition_get(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition;

    vf_lock(&dxgk->lock);
    for (partition = dxgk->partitions; partition != NULL; partition = partition->next) {
        if (partition->id == id)
            break;
    }
    if (partition != NULL)
        atomic_fetch_add(&partition->refs, 1);
    vf_unlock(&dxgk->lock);
    if (partition == NULL)
        (void)vf_fail(err, VF_FAILED, "there is no partition with id %" PRIu64, id);
    return partition;
}

void dxgk_partition_put(struct dxgk_partition *partition)
{
    if (atomic_fetch_sub(&partition->refs, 1) != 1)
        return;
    if (partition->watch_fd >= 0)
        (void)close(partition->watch_fd);
    dxgk_throttle_fini(&partition->throttle);
    vf_rw_fini(&partition->vcpu);
    vf_lock_fini(&partition->lock);
    dxgk_mitigated_drop(partition);
    free(partition->ranges);
    free(partition);
}

/* ---- locks ---- */

/* Takes the lock. Other calls on the partition are waited for; while its reserve moves, which takes
 * as long as its VRAM is large, only for so long that whoever asked can be told. */
static int lock_patiently(struct dxgk_partition *partition, struct vf_error *err)
{
    uint64_t until = vf_realtime_ns() + DEFRAG_PATIENCE_NS;
    const struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000u),
                                      .tv_nsec = (long)(until % 1000000000u)};

    dxgk_waits_for(&partition->lock);
    if (pthread_mutex_timedlock(&partition->lock, &deadline) == 0) {
        dxgk_waits_holds(&partition->lock);
        return 0;
    }
    dxgk_waits_for(NULL);
    if ((dxgk_holders(partition) & VF_HOLD_DEFRAG) != 0)
        return vf_fail(err, VF_REFUSED_NOW,
                       "partition %s is moving inside VRAM" VF_REMEDY
                       "wait for the end of its adapter's defragmentation, then try again",
                       partition->params.name);
    dxgk_lock(&partition->lock);
    return 0;
}

/* As lock_patiently; no stand of its throttle is waited for. */
static int lock_at_once(struct dxgk_partition *partition, struct vf_error *err)
{
    int result;

    dxgk_throttle_yield(partition);
    result = lock_patiently(partition, err);
    dxgk_throttle_yielded(partition);
    return result;
}

/* Its throttle has the lock for a moment, or its driver's call does not come back: false. */
static bool lock_from_throttle(struct dxgk_partition *partition)
{
    const uint64_t until = vf_realtime_ns() + STAND_PATIENCE_NS;
    const struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000u),
                                      .tv_nsec = (long)(until % 1000000000u)};
    bool locked;

    dxgk_throttle_yield(partition);
    dxgk_waits_for(&partition->lock);
    locked = pthread_mutex_timedlock(&partition->lock, &deadline) == 0;
    if (locked)
        dxgk_waits_holds(&partition->lock);
    else
        dxgk_waits_for(NULL);
    dxgk_throttle_yielded(partition);
    return locked;
}

/* As lock_patiently, but another call is not waited for: one that never comes back must not keep a
 * partition from being removed in vain. */
static int lock_to_remove(struct dxgk_partition *partition, struct vf_error *err)
{
    if (pthread_mutex_trylock(&partition->lock) == 0) {
        dxgk_waits_holds(&partition->lock);
        return 0;
    }
    if ((dxgk_holders(partition) & VF_HOLD_DEFRAG) != 0)
        return lock_patiently(partition, err);
    if (dxgk_throttle_runs(partition) && lock_from_throttle(partition))
        return 0;
    return vf_fail(err, VF_FAILED, "partition %s is busy with another call; try again",
                   partition->params.name);
}

static struct dxgk_partition *
find_and_lock(struct dxgk *dxgk, uint64_t id,
              int (*take_lock)(struct dxgk_partition *partition, struct vf_error *err),
              struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);

    if (partition == NULL)
        return NULL;
    dxgk_waits_about(partition->params.name);
    dxgk_gate_enter(partition->adapter);
    if (dxgk_gate_alive(partition->adapter, err) != 0 || take_lock(partition, err) != 0) {
        dxgk_gate_leave(partition->adapter);
        dxgk_partition_put(partition);
        return NULL;
    }
    if (!partition->gone)
        return partition;
    (void)vf_fail(err, VF_FAILED, "partition %s has just been removed", partition->params.name);
    dxgk_partition_unlock(partition);
    return NULL;
}

struct dxgk_partition *dxgk_partition_lock(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return find_and_lock(dxgk, id, lock_at_once, err);
}

struct dxgk_partition *dxgk_partition_lock_slowly(struct dxgk *dxgk, uint64_t id,
                                                  struct vf_error *err)
{
    return find_and_lock(dxgk, id, lock_patiently, err);
}

struct dxgk_partition *dxgk_partition_lock_to_remove(struct dxgk *dxgk, uint64_t id,
                                                     struct vf_error *err)
{
    return find_and_lock(dxgk, id, lock_to_remove, err);
}

void dxgk_partition_unlock(struct dxgk_partition *partition)
{
    dxgk_unlock(&partition->lock);
    dxgk_gate_leave(partition->adapter);
    dxgk_partition_put(partition);
}

/* ---- coming and going ---- */

int dxgk_partition_enter(struct dxgk *dxgk, struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_partition *other;
    int result = 0;

    vf_lock(&dxgk->lock);
    for (other = dxgk->partitions; other != NULL && result == 0; other = other->next) {
        if (strcmp(other->params.name, partition->params.name) == 0)
            result = vf_fail(err, VF_INCOMPATIBLE,
                             "partition %s: there is one of this name already" VF_REMEDY
                             "choose another name",
                             partition->params.name);
        else if (memcmp(other->params.uuid, partition->params.uuid, VF_UUID_BYTES) == 0)
            result = vf_fail(err, VF_INCOMPATIBLE,
                             "partition %s has the same UUID; remove it first", other->params.name);
    }
    if (result == 0 && dxgk->partition_count >= VF_MAX_PARTITIONS)
        result =
            vf_fail(err, VF_FAILED, "there are %u partitions already, the most one host serves",
                    VF_MAX_PARTITIONS);
    if (result == 0) {
        partition->id = ++dxgk->next_id;
        partition->next = dxgk->partitions;
        dxgk->partitions = partition;
        dxgk->partition_count++;
    }
    vf_unlock(&dxgk->lock);
    return result;
}

void dxgk_partition_signal(struct dxgk_partition *partition)
{
    /* Full is as good as written: whoever watches has not been woken since. */
    (void)eventfd_write(partition->watch_fd, 1);
}

void dxgk_partition_leave(struct dxgk *dxgk, struct dxgk_partition *partition)
{
    struct dxgk_partition **link = &dxgk->partitions;

    partition->gone = true;
    vf_lock(&dxgk->lock);
    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    dxgk->partition_count--;
    vf_unlock(&dxgk->lock);
    dxgk_partition_signal(partition);
    dxgk_partition_put(partition); /* the table's */
}
