// SPDX-License-Identifier: Apache-2.0
/* Live migration as the host program drives it (SRC-1..9, TGT-1..6): states here, order and buffers
 * in ddi/migration.c. */
#define LOG_ROOM "migration"
#include "base/log.h"
#include "dxgk/adapter/triage.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/partition/msix.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/throttle.h"
#include "dxgk/tracking/tracking.h"
#include "dxgk/umed/umed.h"

#include <inttypes.h>
#include <stdlib.h>

static void blob_drop(struct dxgk_blob *blob)
{
    free(blob->data);
    *blob = (struct dxgk_blob){0};
}

static int prepare_source(struct dxgk_partition *partition, struct vf_error *err)
{
    enum vf_partition_state state = dxgk_partition_state(partition);

    if (state != VF_PARTITION_RUNNING && state != VF_PARTITION_PAUSED)
        return dxgk_partition_wrong_state(partition, "only a running or paused one can move", err);
    if (partition->adapter->caps.live_migration && dxgk_umed_is_blocked(partition->umed))
        return vf_fail(err, VF_INCOMPATIBLE,
                       "partition %s cannot move: it was made under a driver without live "
                       "migration, which kept no state of its emulation" VF_REMEDY
                       "create it anew under the present driver",
                       partition->params.name);
    if (partition->tracking == NULL && partition->adapter->caps.live_migration)
        return vf_fail(err, VF_INCOMPATIBLE, "partition %s cannot move: its VRAM is not tracked",
                       partition->params.name);
    if (dxgk_ddi_prepare(partition, false, err) != 0)
        return -1;
    /* SRC-8: Prepare, then tracking if it did not run all the time. */
    if (dxgk_tracking_begin_move(partition, err) != 0) {
        struct vf_error second = VF_ERROR_INIT;

        if (dxgk_ddi_end(partition, &second) != 0)
            log_error("%s: %s", partition->params.name, second.text);
        return -1;
    }
    (void)vf_fsm_set(&partition->fsm,
                     state == VF_PARTITION_RUNNING ? VF_PARTITION_OUTGOING
                                                   : VF_PARTITION_OUTGOING_PAUSED,
                     "prepare");
    return 0;
}

static int prepare_target(struct dxgk_partition *partition, struct vf_error *err)
{
    if (dxgk_partition_state(partition) != VF_PARTITION_INCOMING)
        return dxgk_partition_wrong_state(partition, "only an incoming one can be a target", err);
    return dxgk_ddi_prepare(partition, true, err);
}

int dxgk_migration_prepare(struct dxgk *dxgk, uint64_t id, enum dxgk_side side, uint64_t job,
                           struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    result = side == DXGK_SOURCE ? prepare_source(partition, err) : prepare_target(partition, err);
    if (result == 0) {
        atomic_store(&partition->job, job);
        dxgk_throttle_begin_move(partition);
    }
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_migration_save_immutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                  struct dxgk_blob *umed, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    *kmd = *umed = (struct dxgk_blob){0};
    if (partition == NULL)
        return -1;
    result = dxgk_ddi_save(partition, DXGK_IMMUTABLE, kmd, err);
    if (result == 0 && dxgk_umed_migrates(partition->umed))
        result = dxgk_umed_save(partition->umed, umed, err);
    if (result != 0)
        blob_drop(kmd);
    dxgk_partition_unlock(partition);
    return result;
}

/* TGT-2: a mismatch comes with at least one triage event that says exactly what failed. */
static int restore_kmd(struct dxgk_partition *partition, const struct dxgk_blob *kmd,
                       struct vf_reasons *reasons, struct vf_error *err)
{
    uint32_t before = reasons->count;
    int result;

    dxgk_triage_begin(partition->adapter, partition->vf, reasons);
    result = dxgk_ddi_restore(partition, DXGK_IMMUTABLE, kmd, err);
    dxgk_triage_end(partition->adapter, partition->vf);
    if (result != 0 && err != NULL && err->code == VF_INCOMPATIBLE && reasons->count == before) {
        dxgk_report(partition->adapter, "TGT-2",
                    "RestoreImmutableMigrationData refused VF %u without a triage event",
                    partition->vf);
        vf_reason_add(reasons, "driver", "its immutable data", "refused without a reason",
                      "compare driver and firmware versions of both hosts");
    }
    return result;
}

int dxgk_migration_restore_immutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                     const struct dxgk_blob *umed, struct vf_reasons *reasons,
                                     struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    struct vf_error local = VF_ERROR_INIT;
    struct vf_error second = VF_ERROR_INIT;
    int result;

    if (partition == NULL)
        return -1;
    result = restore_kmd(partition, kmd, reasons, &local);
    /* Every reason at once: the UMED is asked even where the KMD found the source incompatible. */
    if ((result == 0 || local.code == VF_INCOMPATIBLE) && umed->bytes != 0 &&
        dxgk_umed_restore(partition->umed, umed, reasons, &second) != 0 && result == 0) {
        local = second;
        result = -1;
        /* Half an acceptance is none: no mutable data after this. */
        partition->check.immutable_done = false;
    }
    if (result != 0 && err != NULL)
        *err = local;
    dxgk_partition_unlock(partition);
    return result;
}

/* Is there room for the partition's dirty bits? */
static int check_bits(const struct dxgk_partition *partition, size_t bytes, struct vf_error *err)
{
    const uint64_t pages = dxgk_partition_pages(partition);

    if (bytes >= (pages + 7) / 8)
        return 0;
    return vf_fail(err, VF_USAGE, "%zu bytes for the dirty bits of %" PRIu64 " pages", bytes,
                   pages);
}

int dxgk_migration_query_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                               uint64_t *dirty, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    /* DBT-11: the target is never asked for dirty bits during the receive. */
    if (!partition->check.prepared || partition->check.target ||
        dxgk_partition_state(partition) == VF_PARTITION_FAULTED)
        result = dxgk_partition_wrong_state(
            partition, "dirty pages are asked for between Prepare and End at the source", err);
    else
        result = check_bits(partition, bits_bytes, err) != 0
                     ? -1
                     : dxgk_tracking_query(partition, bits, bits_bytes, dirty, err);
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_partition_sample_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                                struct dxgk_sample *sample, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    if (partition->check.prepared)
        result = vf_fail(err, VF_REFUSED_NOW,
                         "partition %s: moves, or is saved" VF_REMEDY "record it before or after",
                         partition->params.name);
    else
        result = check_bits(partition, bits_bytes, err) != 0
                     ? -1
                     : dxgk_tracking_sample(partition, bits, bits_bytes, sample, err);
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_migration_save_mutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                struct dxgk_blob *msix, struct dxgk_blob *umed,
                                struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    *kmd = *msix = *umed = (struct dxgk_blob){0};
    if (partition == NULL)
        return -1;
    result = dxgk_ddi_save(partition, DXGK_MUTABLE, kmd, err);
    if (result == 0 && partition->msix != NULL)
        result = dxgk_msix_save(partition, msix, err);
    if (result == 0)
        result = dxgk_umed_save_mutable(partition->umed, umed, err);
    if (result != 0) {
        blob_drop(kmd);
        blob_drop(msix);
    }
    dxgk_partition_unlock(partition);
    return result;
}

/* The UMED first: the interrupts' replay may deliver one at once, and the guest then looks. */
static int restore_os_data(struct dxgk_partition *partition, const struct dxgk_blob *msix,
                           const struct dxgk_blob *umed, struct vf_error *err)
{
    if (dxgk_umed_restore_mutable(partition->umed, umed, err) != 0)
        return -1;
    if (msix->bytes == 0)
        return 0;
    if (partition->msix == NULL)
        return vf_fail(err, VF_INCOMPATIBLE, "the source has MSI-X, the target's VF has none");
    return dxgk_msix_restore(partition, msix, err);
}

int dxgk_migration_restore_mutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                   const struct dxgk_blob *msix, const struct dxgk_blob *umed,
                                   struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    bool tried;
    int result;

    if (partition == NULL)
        return -1;
    tried = partition->check.mutable_tried;
    result = dxgk_ddi_restore(partition, DXGK_MUTABLE, kmd, err);
    if (result == 0)
        result = restore_os_data(partition, msix, umed, err);
    /* Half a state must never run; a call that the checker refused changed nothing. */
    if (result != 0 && !tried && partition->check.mutable_tried) {
        partition->check.mutable_done = false;
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_FAULTED, "restore of mutable data failed");
    }
    dxgk_partition_unlock(partition);
    return result;
}

int dxgk_migration_end(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    enum vf_partition_state state;
    int result = 0;

    if (partition == NULL)
        return -1;
    /* Safe on any path: nothing to end is no error. */
    if (!partition->check.prepared)
        goto unlock;
    state = dxgk_partition_state(partition);
    /* A page that lands after the unpause would be an old copy on top of a newer one. */
    if (partition->check.mutable_done && atomic_load(&partition->writes) != 0) {
        result = dxgk_partition_wrong_state(partition, "its page transfers are not done yet", err);
        goto unlock;
    }
    dxgk_throttle_end_move(partition);
    if (!partition->check.target)
        dxgk_tracking_end_move(partition);
    result = dxgk_ddi_end(partition, err);
    if (state == VF_PARTITION_FAULTED && !partition->check.target) {
        atomic_store(&partition->job, 0);
    } else if (state == VF_PARTITION_OUTGOING) {
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_RUNNING, "end");
        atomic_store(&partition->job, 0);
    } else if (state == VF_PARTITION_OUTGOING_PAUSED) {
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_PAUSED, "end");
    } else if (state == VF_PARTITION_INCOMING && partition->check.mutable_done && result == 0) {
        (void)vf_fsm_set(&partition->fsm, VF_PARTITION_READY, "end");
    }
unlock:
    dxgk_partition_unlock(partition);
    return result;
}
