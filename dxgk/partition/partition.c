// SPDX-License-Identifier: Apache-2.0
/*
 * Partitions as the host program sees them: the state machine, create, destroy, pause, resume. The
 * table of them is in table.c, what happens with the driver in build.c and ddi/, what is told of
 * them in facts.c.
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
 *   PAUSED -> FAULTED: its reserve was lost while it was moved inside VRAM (defrag/defrag.c).
 *   FAULTED -> RUNNING: a reset that a person asks for.
 *   Any state -> DYING -> gone.
 */
#define LOG_ROOM "partition"
#include "dxgk/partition/partition.h"

#include "base/thread.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/handles.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/throttle.h"
#include "dxgk/partition/vcpu.h"
#include "dxgk/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

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
                       "partition %s: its VRAM cannot be %" PRIu64 " bytes" VF_REMEDY
                       "give a multiple of %" PRIu64,
                       params->name, params->vram_bytes, caps->granule);
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
    vf_rw_init(&partition->vcpu);
    dxgk_throttle_init(&partition->throttle);
    if (partition->watch_fd < 0 || (memcmp(params->uuid, no_uuid, sizeof no_uuid) == 0 &&
                                    vf_uuid_random(partition->params.uuid) != 0)) {
        dxgk_partition_put(partition);
        return NULL;
    }
    return partition;
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
    struct dxgk_adapter *adapter = dxgk_adapter_find(dxgk, params->adapter, err);
    struct dxgk_partition *partition;
    int result;

    if (adapter == NULL)
        return -1;
    dxgk_waits_about(params->name);
    dxgk_gate_enter(adapter);
    if (make(dxgk, params, incoming, &partition, err) != 0) {
        dxgk_gate_leave(adapter);
        return -1;
    }
    if (dxgk_partition_enter(dxgk, partition, err) != 0) {
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
        dxgk_vcpu_set_gone(partition, false);
        if (incoming)
            dxgk_holders_set(partition, VF_HOLD_MOVE);
        else
            dxgk_vcpu_open(partition);
        dxgk_partition_describe(partition, out);
    } else {
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_DYING, "creation failed");
        dxgk_partition_leave(dxgk, partition);
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
    dxgk_vcpu_set_gone(partition, true);
    return dxgk_partition_dismantle(partition, err);
}

int dxgk_partition_destroy(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock_to_remove(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    if (partition->channels != 0) {
        (void)vf_fail(err, VF_FAILED, "partition %s is busy: a page transfer is open",
                      partition->params.name);
        dxgk_partition_unlock(partition);
        return -1;
    }
    result = take_down(partition, err);
    /* The partition is gone for people either way; what the driver kept stays locked up with
     * its adapter. */
    dxgk_partition_leave(dxgk, partition);
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
        result = vf_fail(err, VF_FAILED,
                         "epoch %" PRIu64 " of partition %s is behind %" PRIu64 ": it only grows",
                         epoch, partition->params.name, atomic_load(&partition->epoch));
    else
        atomic_store(&partition->epoch, epoch);
    dxgk_partition_unlock(partition);
    return result;
}
