// SPDX-License-Identifier: Apache-2.0
/*
 * Function level resets of VFs: asked for by a person (dxgk_partition_reset) or by the driver,
 * whose triage event says that a command hangs (see tdr.h). A reset clears queues, registers, MSI-X
 * and config space of that VF alone; VRAM, dirty bits and all other VFs stay as they are (VF-6).
 *
 * After a hang the partition is FAULTED: its guest's work is gone and nobody told the guest. It is
 * left to a person whether it is reset, and so runs again, or removed. A move of it fails at its
 * next step, because a FAULTED partition is neither paused nor asked for dirty pages.
 */
#define LOG_ROOM "tdr"
#include "dxgk/partition/tdr.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/resets.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/msix.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/vcpu.h"

/* ---- the reset itself: partition->lock is held ---- */

/* Leaves the vCPU's door shut. */
static int reset(struct dxgk_partition *partition, struct vf_error *err)
{
    /* No guest access between the reset of the hardware's table and of the OS' copy. */
    dxgk_vcpu_shut(partition);
    if (dxgk_ddi_reset_vf(partition, err) != 0)
        return -1;
    return partition->msix != NULL ? dxgk_msix_reset(partition, err) : 0;
}

/* A VF that cannot be reset must not go on using its slots. */
static void reset_failed(struct dxgk_partition *partition, const struct vf_error *why)
{
    struct vf_error second = VF_ERROR_INIT;

    dxgk_report(partition->adapter, "SRC-9", "VF %u hangs and cannot be reset: %s", partition->vf,
                why->text);
    if (dxgk_ddi_set_pause(partition, true, &second) != 0)
        log_error("%s: %s", partition->params.name, second.text);
}

static void end_hang(struct dxgk_partition *partition)
{
    enum vf_partition_state state = dxgk_partition_state(partition);
    struct vf_error error = VF_ERROR_INIT;

    /* Paused meanwhile: nothing hangs any more, and the card counts afresh once it runs. */
    if (state != VF_PARTITION_RUNNING && state != VF_PARTITION_OUTGOING)
        return;
    if (vf_now_ns() - partition->built_ns < DXGK_TDR_TOO_YOUNG_NS) {
        log_info("partition %s: is too young to hang; whoever had VF %u before it did",
                 partition->params.name, partition->vf);
        return;
    }
    partition->hung = true;
    dxgk_holders_set(partition, VF_HOLD_FAULT);
    if (reset(partition, &error) != 0)
        reset_failed(partition, &error);
    (void)vf_fsm_set(&partition->fsm, VF_PARTITION_FAULTED, "a command hung");
    log_warn("partition %s: a command hung; VF %u was reset", partition->params.name,
             partition->vf);
    dxgk_event(
        partition->adapter->dxgk, "tdr",
        "adapter %u VF %u: partition %s: a command hung, the VF was reset%s; its VRAM and all "
        "other partitions are as they were; let it run again with \"vferry partition reset "
        "%s\"",
        partition->adapter->index, partition->vf, partition->params.name,
        state == VF_PARTITION_OUTGOING ? ", its move fails" : "", partition->params.name);
    dxgk_partition_signal(partition);
}

int dxgk_partition_reset(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    enum vf_partition_state state;
    int result;

    if (partition == NULL)
        return -1;
    state = dxgk_partition_state(partition);
    if (partition->check.prepared ||
        (state != VF_PARTITION_RUNNING && state != VF_PARTITION_PAUSED &&
         !(state == VF_PARTITION_FAULTED && partition->hung))) {
        result = dxgk_partition_wrong_state(
            partition, "one that runs, is paused or hung can be reset, in no move", err);
        goto unlock;
    }
    result = reset(partition, err);
    if (result == 0 && state == VF_PARTITION_FAULTED) {
        /* Out of a pause that reset_failed may have put it in. */
        result = dxgk_release(partition, VF_HOLD_FAULT, "reset", err);
        partition->hung = result != 0;
    }
    if (dxgk_partition_state(partition) == VF_PARTITION_RUNNING) {
        dxgk_vcpu_open(partition);
        dxgk_partition_signal(partition);
    }
unlock:
    dxgk_partition_unlock(partition);
    return result;
}

/* ---- the thread ---- */

/* The id of the partition that has the VF, 0 = none. */
static uint64_t tenant_of(struct dxgk *dxgk, uint32_t adapter, uint32_t vf)
{
    uint64_t id = 0;

    vf_lock(&dxgk->lock);
    for (struct dxgk_partition *p = dxgk->partitions; p != NULL && id == 0; p = p->next)
        if (p->adapter->index == adapter && p->vf == vf)
            id = p->id;
    vf_unlock(&dxgk->lock);
    return id;
}

static void handle(struct dxgk *dxgk, uint32_t adapter, uint32_t vf)
{
    uint64_t id = tenant_of(dxgk, adapter, vf);
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_partition *partition = id == 0 ? NULL : dxgk_partition_lock(dxgk, id, &error);

    if (partition == NULL) {
        log_debug("adapter %u VF %u hung and has no partition any more: %s", adapter, vf,
                  error.text);
        return;
    }
    end_hang(partition);
    dxgk_partition_unlock(partition);
}

static void *tdr_thread(void *arg)
{
    struct dxgk *dxgk = arg;
    uint32_t adapter, vf;

    while (dxgk_resets_take(dxgk, &adapter, &vf))
        handle(dxgk, adapter, vf);
    return NULL;
}

int dxgk_tdr_start(struct dxgk *dxgk, struct vf_error *err)
{
    int failed;

    if (dxgk_resets_open(dxgk, err) != 0)
        return -1;
    failed = pthread_create(&dxgk->tdr_thread, NULL, tdr_thread, dxgk);
    if (failed == 0)
        return 0;
    dxgk_resets_close(dxgk);
    return vf_fail_errno(err, VF_FAILED, failed, "no thread to watch for hangs");
}

void dxgk_tdr_stop(struct dxgk *dxgk)
{
    if (dxgk->resets == NULL)
        return;
    dxgk_resets_end(dxgk);
    (void)pthread_join(dxgk->tdr_thread, NULL);
}
