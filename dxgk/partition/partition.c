// SPDX-License-Identifier: Apache-2.0
/*
 * Partitions as the host program sees them: the table, the state machine, create, destroy, pause,
 * resume. What happens with the driver is in build.c and ddi/, what is told of them in facts.c.
 *
 *   BUILDING --create--> RUNNING <--- prepare, end ---> OUTGOING
 *      |                 ^   ^                             ^
 *      | create          |   | pause, resume               | pause, resume
 *      | (incoming)      |   v                             v
 *      |                 |  PAUSED <--- prepare, end ---> OUTGOING_PAUSED
 *      v                 | resume
 *   INCOMING --end--> READY              (end: once mutable data is restored)
 *                     READY --pause--> PAUSED (it was paused when it left)
 *
 *   INCOMING -> FAULTED: a restore of mutable data failed; half a state must never run.
 *   RUNNING, OUTGOING -> FAULTED: a command hung and the VF was reset (tdr.c).
 *   PAUSED -> FAULTED: its reserve was lost while it was moved inside VRAM (vram/defrag.c).
 *   FAULTED -> RUNNING: a reset that a person asks for.
 *   Any state -> DYING -> gone.
 */
#define LOG_ROOM "partition"
#include "dxgk/partition/partition.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/adapter.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/mitigated.h"
#include "dxgk/partition/msix.h"
#include "dxgk/waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFRAG_PATIENCE_NS 10000000000ull

#define DYING VF_ARC(VF_PARTITION_DYING)

static const uint64_t state_arcs[VF_PARTITION_STATES] = {
    [VF_PARTITION_BUILDING] = VF_ARC(VF_PARTITION_RUNNING) | VF_ARC(VF_PARTITION_INCOMING) | DYING,
    [VF_PARTITION_RUNNING] = VF_ARC(VF_PARTITION_PAUSED) | VF_ARC(VF_PARTITION_OUTGOING) |
                             VF_ARC(VF_PARTITION_FAULTED) | DYING,
    [VF_PARTITION_PAUSED] = VF_ARC(VF_PARTITION_RUNNING) | VF_ARC(VF_PARTITION_OUTGOING_PAUSED) |
                            VF_ARC(VF_PARTITION_FAULTED) | DYING,
    [VF_PARTITION_OUTGOING] =
        VF_ARC(VF_PARTITION_RUNNING) | VF_ARC(VF_PARTITION_OUTGOING_PAUSED) |
        VF_ARC(VF_PARTITION_FAULTED) | DYING,
    [VF_PARTITION_OUTGOING_PAUSED] =
        VF_ARC(VF_PARTITION_OUTGOING) | VF_ARC(VF_PARTITION_PAUSED) | DYING,
    [VF_PARTITION_INCOMING] = VF_ARC(VF_PARTITION_READY) | VF_ARC(VF_PARTITION_FAULTED) | DYING,
    [VF_PARTITION_READY] = VF_ARC(VF_PARTITION_RUNNING) | VF_ARC(VF_PARTITION_PAUSED) | DYING,
    [VF_PARTITION_FAULTED] = VF_ARC(VF_PARTITION_RUNNING) | DYING,
    [VF_PARTITION_DYING] = 0,
};

static const struct vf_fsm_table partition_states = {
    .name = "partition",
    .states = vf_partition_states,
    .arcs = state_arcs,
    .count = VF_PARTITION_STATES,
};

int dxgk_partition_wrong_state(const struct dxgk_partition *partition, const char *what,
                               struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "partition %s is %s%s; %s", partition->params.name,
                   vf_fsm_name(&partition->fsm),
                   partition->hung ? ", as a command hung and its VF was reset" : "", what);
}

/* ---- the table ---- */

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
        (void)vf_fail(err, VF_FAILED, "there is no partition with id %llu", (unsigned long long)id);
    return partition;
}

void dxgk_partition_put(struct dxgk_partition *partition)
{
    if (atomic_fetch_sub(&partition->refs, 1) != 1)
        return;
    if (partition->watch_fd >= 0)
        (void)close(partition->watch_fd);
    (void)pthread_rwlock_destroy(&partition->vcpu);
    vf_lock_fini(&partition->lock);
    dxgk_mitigated_drop(partition);
    free(partition->ranges);
    free(partition);
}

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

struct dxgk_partition *dxgk_partition_lock(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);

    if (partition == NULL)
        return NULL;
    dxgk_waits_about(partition->params.name);
    dxgk_gate_enter(partition->adapter);
    if (lock_patiently(partition, err) != 0) {
        dxgk_gate_leave(partition->adapter);
        dxgk_partition_put(partition);
        return NULL;
    }
    if (partition->gone)
        (void)vf_fail(err, VF_FAILED, "partition %s has just been removed",
                      partition->params.name);
    else if (dxgk_gate_alive(partition->adapter, err) == 0)
        return partition;
    dxgk_partition_unlock(partition);
    return NULL;
}

void dxgk_partition_unlock(struct dxgk_partition *partition)
{
    dxgk_unlock(&partition->lock);
    dxgk_gate_leave(partition->adapter);
    dxgk_partition_put(partition);
}

/* The name and UUID belong to the partition from here on; the table holds one reference. */
static int enter(struct dxgk *dxgk, struct dxgk_partition *partition, struct vf_error *err)
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

/* Takes it out of the table; the caller still holds its own reference and partition->lock. */
static void leave(struct dxgk *dxgk, struct dxgk_partition *partition)
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

/* ---- create ---- */

static int check_params(const struct dxgk_adapter *adapter,
                        const struct vf_partition_params *params, bool incoming,
                        struct vf_error *err)
{
    const struct dxgk_caps *caps = &adapter->caps;

    if (!vf_name_valid(params->name))
        return vf_fail(err, VF_USAGE,
                       "a partition's name is 1 to %u letters, digits, dots, dashes, underscores, "
                       "the first a letter or digit",
                       VF_NAME_BYTES - 1);
    if (!caps->partitionable)
        return vf_fail(
            err, VF_FAILED,
            "adapter %u cannot be partitioned; its driver has no GPU partition interface",
            params->adapter);
    if (params->vram_bytes == 0 || params->vram_bytes % caps->granule != 0)
        return vf_fail(err, VF_USAGE,
                       "partition %s: its VRAM cannot be %llu bytes" VF_REMEDY
                       "give a multiple of %llu",
                       params->name, (unsigned long long)params->vram_bytes,
                       (unsigned long long)caps->granule);
    if (incoming && !caps->live_migration)
        return vf_fail(err, VF_INCOMPATIBLE, "adapter %u takes no incoming partition: %s",
                       params->adapter,
                       caps->migration_off[0] != '\0' ? caps->migration_off
                                                      : "its driver lacks live migration");
    return dxgk_gate_alive(adapter, err);
}

static struct dxgk_partition *partition_new(struct dxgk *dxgk,
                                            const struct vf_partition_params *params)
{
    struct dxgk_partition *partition = calloc(1, sizeof *partition);
    static const uint8_t no_uuid[VF_UUID_BYTES];
    pthread_rwlockattr_t attr;
    const struct dxgk_segment *vram;

    if (partition == NULL)
        return NULL;
    partition->adapter = dxgk->adapters[params->adapter];
    vram = &partition->adapter->caps.segments[partition->adapter->caps.vram];
    partition->params = *params;
    partition->luid = dxgk_luid_new();
    partition->vf = DXGK_NO_VF;
    partition->watch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    partition->segment = vram->id;
    partition->page_bytes = vram->dirty_page != 0 ? vram->dirty_page : 4096;
    partition->vcpu_shut = partition->vcpu_gone = true; /* no guest before it is built */
    atomic_init(&partition->epoch, params->epoch);
    atomic_init(&partition->refs, 1);
    vf_fsm_init(&partition->fsm, &partition_states, params->name, VF_PARTITION_BUILDING);
    vf_lock_init(&partition->lock);
    /* A pause must not starve behind guest accesses that keep coming. */
    (void)pthread_rwlockattr_init(&attr);
    (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&partition->vcpu, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    if (partition->watch_fd < 0 || (memcmp(params->uuid, no_uuid, sizeof no_uuid) == 0 &&
                                    vf_uuid_random(partition->params.uuid) != 0)) {
        dxgk_partition_put(partition);
        return NULL;
    }
    return partition;
}

static void set_gone(struct dxgk_partition *partition, bool gone)
{
    vf_write_lock(&partition->vcpu);
    partition->vcpu_gone = gone;
    vf_rw_unlock(&partition->vcpu);
}

/* Inside the adapter's gate. On success *out is locked and has a reference for the caller. */
static int make(struct dxgk *dxgk, const struct vf_partition_params *params, bool incoming,
                struct dxgk_partition **out, struct vf_error *err)
{
    if (check_params(dxgk->adapters[params->adapter], params, incoming, err) != 0)
        return -1;
    *out = partition_new(dxgk, params);
    if (*out == NULL)
        return vf_fail(err, VF_REFUSED_NOW,
                       "no memory, descriptor or random numbers for a partition" VF_REMEDY
                       "give the host more memory (MemoryMax=) and open files (LimitNOFILE=)");
    dxgk_lock(&(*out)->lock);
    return 0;
}

static int create(struct dxgk *dxgk, const struct vf_partition_params *params, bool incoming,
                  const struct dxgk_wanted *wanted, struct vf_partition_info *out,
                  struct vf_error *err)
{
    struct dxgk_partition *partition;
    int result;

    if (params->adapter >= dxgk->adapter_count)
        return vf_fail(err, VF_USAGE,
                       "there is no adapter %u" VF_REMEDY "see \"vferry adapter list\"",
                       params->adapter);
    dxgk_waits_about(params->name);
    dxgk_gate_enter(dxgk->adapters[params->adapter]);
    if (make(dxgk, params, incoming, &partition, err) != 0) {
        dxgk_gate_leave(dxgk->adapters[params->adapter]);
        return -1;
    }
    if (enter(dxgk, partition, err) != 0) {
        dxgk_partition_unlock(partition);
        return -1;
    }
    atomic_fetch_add(&partition->refs, 1); /* ours, beside the table's */
    partition->wanted = wanted;
    result = dxgk_partition_build(partition, incoming, err);
    partition->wanted = NULL;
    if (result == 0) {
        (void)vf_fsm_set(&partition->fsm, incoming ? VF_PARTITION_INCOMING : VF_PARTITION_RUNNING,
                         "created");
        set_gone(partition, false);
        if (incoming)
            dxgk_holders_set(partition, VF_HOLD_MOVE);
        else
            dxgk_vcpu_open(partition);
        dxgk_partition_describe(partition, out);
    } else {
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_DYING, "creation failed");
        leave(dxgk, partition);
        (void)vf_context(err, "cannot create partition %s", params->name);
        if (err->scarce) /* there may be more later */
            err->code = VF_REFUSED_NOW;
    }
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_partition_create(struct dxgk *dxgk, const struct vf_partition_params *params,
                          bool incoming, struct vf_partition_info *out, struct vf_error *err)
{
    return create(dxgk, params, incoming, NULL, out, err);
}

int dxgk_partition_await(struct dxgk *dxgk, const struct vf_partition_params *params,
                         const struct dxgk_wanted *wanted, struct vf_partition_info *out,
                         struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT; /* its code tells a call-off from a failure */
    int result = create(dxgk, params, true, wanted, out, &why);

    if (result != 0 && err != NULL)
        *err = why;
    return result;
}

/* ---- destroy ---- */

static int take_down(struct dxgk_partition *partition, struct vf_error *err)
{
    (void)vf_fsm_set(&partition->fsm, VF_PARTITION_DYING, "removal");
    dxgk_vcpu_shut(partition);
    set_gone(partition, true);
    return dxgk_partition_dismantle(partition, err);
}

/* A call that never comes back must not keep a partition from being removed in vain. */
static int lock_to_remove(struct dxgk_partition *partition, struct vf_error *err)
{
    if (dxgk_gate_alive(partition->adapter, err) != 0)
        return -1;
    if (pthread_mutex_trylock(&partition->lock) == 0) {
        dxgk_waits_holds(&partition->lock);
        return 0;
    }
    if ((dxgk_holders(partition) & VF_HOLD_DEFRAG) != 0)
        return lock_patiently(partition, err);
    return vf_fail(err, VF_FAILED, "partition %s is busy with another call; try again",
                   partition->params.name);
}

int dxgk_partition_destroy(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    dxgk_waits_about(partition->params.name);
    dxgk_gate_enter(partition->adapter);
    if (lock_to_remove(partition, err) != 0) {
        dxgk_gate_leave(partition->adapter);
        dxgk_partition_put(partition);
        return -1;
    }
    if (partition->gone || partition->channels != 0) {
        (void)vf_fail(err, VF_FAILED,
                      partition->gone ? "partition %s has just been removed"
                                      : "partition %s is busy: a page transfer is open",
                      partition->params.name);
        dxgk_partition_unlock(partition);
        return -1;
    }
    result = take_down(partition, err);
    /* The partition is gone for people either way; what the driver kept stays locked up with its
     * adapter. */
    leave(dxgk, partition);
    dxgk_partition_unlock(partition);
    return result;
}

/* ---- pause and resume ---- */

/* It came paused and stays so: VF and vCPUs stand still already. */
static void keep_paused(struct dxgk_partition *partition)
{
    dxgk_holders_set(partition, VF_HOLD_PERSON);
    (void)vf_fsm_set(&partition->fsm, VF_PARTITION_PAUSED, "pause");
    atomic_store(&partition->job, 0);
}

int dxgk_partition_pause(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result = 0;

    if (partition == NULL)
        return -1;
    switch (dxgk_partition_state(partition)) {
    case VF_PARTITION_READY:
        keep_paused(partition);
        break;
    case VF_PARTITION_RUNNING:
    case VF_PARTITION_PAUSED:
        result = dxgk_hold(partition, VF_HOLD_PERSON, "pause", err);
        break;
    case VF_PARTITION_OUTGOING:
    case VF_PARTITION_OUTGOING_PAUSED:
        result = dxgk_hold(partition, VF_HOLD_MOVE, "pause", err);
        break;
    default:
        result = dxgk_partition_wrong_state(partition, "only a running one can be paused", err);
    }
    dxgk_partition_unlock(partition);
    return result;
}

/* A partition that stands (VF_HOLD_FAULT) is tried again with either. */
int dxgk_partition_resume(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    const uint32_t move = VF_HOLD_MOVE | VF_HOLD_FAULT;
    int result = 0;

    if (partition == NULL)
        return -1;
    switch (dxgk_partition_state(partition)) {
    case VF_PARTITION_RUNNING:
        break; /* as it is wanted */
    case VF_PARTITION_PAUSED:
        result = dxgk_release(partition, move | VF_HOLD_PERSON, "resume", err);
        break;
    case VF_PARTITION_OUTGOING_PAUSED:
    case VF_PARTITION_READY:
        result = dxgk_release(partition, move, "resume", err);
        break;
    default:
        result =
            dxgk_partition_wrong_state(partition, "only a paused or ready one can be resumed", err);
    }
    if (dxgk_partition_state(partition) == VF_PARTITION_RUNNING)
        atomic_store(&partition->job, 0);
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_partition_set_epoch(struct dxgk *dxgk, uint64_t id, uint64_t epoch, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result = 0;

    if (partition == NULL)
        return -1;
    if (epoch < atomic_load(&partition->epoch))
        result = vf_fail(err, VF_FAILED, "epoch %llu of partition %s is behind %llu: it only grows",
                         (unsigned long long)epoch, partition->params.name,
                         (unsigned long long)atomic_load(&partition->epoch));
    else
        atomic_store(&partition->epoch, epoch);
    dxgk_partition_unlock(partition);
    return result;
}
