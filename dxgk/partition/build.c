// SPDX-License-Identifier: Apache-2.0
/* Making and unmaking a partition with its driver (VF-2, VF-3, TGT-5): VF, vGPU, VRAM, tracking,
 * interrupts, power. */
#define LOG_ROOM "partition"
#include "dxgk/partition/partition.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/resets.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/ddi/basis.h"
#include "dxgk/partition/mitigated.h"
#include "dxgk/partition/msix.h"
#include "dxgk/paging/paging.h"
#include "dxgk/vram/vram.h"
#include "dxgk/tracking/tracking.h"
#include "dxgk/umed/umed.h"
#include "dxgk/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int take_vf(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    int result = vf_fail(err, VF_FAILED, "all %u VFs of adapter %u are taken; remove a partition",
                         adapter->caps.vf_count, adapter->index);

    vf_lock(&adapter->lock);
    for (uint32_t vf = 0; vf < adapter->caps.vf_count; vf++) {
        if ((adapter->vf_used & 1u << vf) == 0) {
            adapter->vf_used |= 1u << vf;
            partition->vf = vf;
            result = 0;
            break;
        }
    }
    vf_unlock(&adapter->lock);
    return result;
}

static void give_vf(struct dxgk_partition *partition)
{
    struct dxgk_adapter *adapter = partition->adapter;

    if (partition->vf == DXGK_NO_VF)
        return;
    vf_lock(&adapter->lock);
    adapter->vf_used &= ~(1u << partition->vf);
    vf_unlock(&adapter->lock);
    partition->vf = DXGK_NO_VF;
}

static int take_vram(struct dxgk_partition *partition, const DXGK_VIRTUALGPUSEGMENTINFO *segment,
                     struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    struct dxgk_reserve_want want = {
        .bytes = partition->params.vram_bytes,
        .align = segment->Alignment,
        .low = segment->MinSegmentOffset,
        .high = segment->MaxSegmentOffset,
        .adapter = adapter->index,
    };

    partition->place.align = want.align;
    partition->place.low = want.low;
    partition->place.high = want.high;
    return dxgk_vram_take(adapter, &want, &partition->ranges, &partition->range_count, err);
}

/* Before the driver is asked: it would only say that it has too little, not how much. */
static int check_vram(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    struct dxgk_reserve_want want = {.bytes = partition->params.vram_bytes,
                                     .adapter = adapter->index};

    return dxgk_vram_check(adapter, &want, err);
}

/* VF-2: scattered reserves are named by a memory basis. */
static int make_reserve_basis(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    const struct dxgk_segment *vram = &adapter->caps.segments[adapter->caps.vram];

    if (!adapter->caps.scatter)
        return 0;
    partition->reserve_basis = calloc(1, sizeof *partition->reserve_basis);
    if (partition->reserve_basis == NULL)
        return vf_fail(err, VF_FAILED, "a memory basis: " VF_NO_MEMORY);
    return dxgk_ddi_create_memory_basis(adapter, vram->id, vram->scatter_page, partition->ranges,
                                        partition->range_count, partition->reserve_basis, err);
}

static void drop_reserve_basis(struct dxgk_partition *partition)
{
    if (partition->reserve_basis != NULL && partition->reserve_basis->handle != NULL)
        dxgk_ddi_destroy_memory_basis(partition->adapter, partition->reserve_basis);
    free(partition->reserve_basis);
    partition->reserve_basis = NULL;
}

/* What the vGPU shall get: exactly the VRAM asked for, of the rest what the driver finds best. */
static void fill_profile(const struct dxgk_partition *partition, DXGK_VIRTUALGPUPROFILE *profile)
{
    const DXGK_VGPU_PROFILE_CAPABILITY *from = partition->adapter->caps.profile;
    uint64_t vram = partition->params.vram_bytes;

    for (int i = 0; i < DXGK_VGPU_CAPABILITY_MAX; i++) {
        profile->Capability[i].MinValue = from[i].MinPartitionValue;
        profile->Capability[i].MaxValue = from[i].MaxPartitionValue;
        profile->Capability[i].OptimalValue = from[i].OptimalPartitionValue;
    }
    profile->Capability[DXGK_VGPU_CAPABILITY_MEMORY] =
        (DXGK_VIRTUALGPUCAPABILITY){vram, vram, vram};
}

/* CreateVirtualGpu, VRAM, SetVirtualGpuResources(2): one partition of an adapter at a time. */
static int make_vgpu(struct dxgk_partition *partition, GUID *umed_class, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_CREATEVIRTUALGPU arg = {.PartitionId = partition->vf,
                                    .VirtualGpuLuid = {partition->luid.low, partition->luid.high}};
    int result;

    memcpy(&arg.UserModeVirtualDeviceProvider, partition->params.umed_class,
           sizeof arg.UserModeVirtualDeviceProvider);
    fill_profile(partition, &arg.Profile);
    dxgk_lock(&adapter->gpup_lock);
    result = check_vram(partition, err);
    if (result == 0)
        result = dxgk_ddi_create_vgpu(partition, &arg, err);
    if (result == 0)
        result = take_vram(partition, &arg.SegmentInfo[0], err);
    if (result == 0)
        result = make_reserve_basis(partition, err);
    if (result == 0)
        result = dxgk_ddi_set_resources(partition, err);
    dxgk_unlock(&adapter->gpup_lock);
    *umed_class = arg.UserModeVirtualDeviceProvider;
    return result;
}

static int make_interrupts(struct dxgk_partition *partition, struct vf_error *err)
{
    if (dxgk_mitigated_find(partition, err) != 0)
        return -1;
    if (partition->msix_bytes == 0 ||
        partition->adapter->ddi.DxgkDdiWriteVirtualizedInterrupt == NULL)
        return 0;
    return dxgk_msix_create(partition, err);
}

/* TGT-5: [pause; zero-fill; start tracking if performant; D0], where the fill is of what was not
 * proven to be zero before the partition took it. A partition that is not incoming
 * skips the pause: with nothing in its queues it runs on nothing. */
static int bring_up(struct dxgk_partition *partition, bool incoming, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;

    if (incoming && dxgk_ddi_set_pause(partition, true, err) != 0)
        return -1;
    if (dxgk_vram_clean(adapter, partition->ranges, partition->range_count, partition->wanted,
                        &partition->bad, err) != 0)
        return vf_context(err, "cannot zero-fill the VRAM of a new partition");
    if (adapter->caps.tracking && adapter->caps.segments[adapter->caps.vram].tracked &&
        dxgk_tracking_create(partition, err) != 0)
        return -1;
    return dxgk_ddi_set_power(partition, true, err);
}

int dxgk_partition_build(struct dxgk_partition *partition, bool incoming, struct vf_error *err)
{
    GUID umed_class;

    if (take_vf(partition, err) != 0)
        return -1;
    partition->built_ns = vf_now_ns();
    dxgk_resets_forget(partition->adapter, partition->vf);
    if (make_vgpu(partition, &umed_class, err) != 0 || dxgk_ddi_reset_vf(partition, err) != 0 ||
        make_interrupts(partition, err) != 0 ||
        dxgk_umed_create(partition, &umed_class, &partition->umed, err) != 0 ||
        bring_up(partition, incoming, err) != 0) {
        struct vf_error second = VF_ERROR_INIT;

        if (dxgk_partition_dismantle(partition, &second) != 0)
            log_error("while undoing partition %s: %s", partition->params.name, second.text);
        return -1;
    }
    return 0;
}

/* Out of schedule and power, tracking and interrupts gone. Failures are told but do not stop the
 * way down: DestroyVirtualGpu decides whether the driver lets go. */
static void bring_down(struct dxgk_partition *partition)
{
    struct vf_error error = VF_ERROR_INIT;

    if (partition->check.prepared) {
        dxgk_tracking_end_move(partition);
        if (dxgk_ddi_end(partition, &error) != 0)
            log_error("%s: %s", partition->params.name, error.text);
    }
    if (partition->check.powered) {
        if (dxgk_ddi_set_pause(partition, true, &error) != 0)
            log_error("%s: %s", partition->params.name, error.text);
        if (dxgk_ddi_set_power(partition, false, &error) != 0)
            log_error("%s: %s", partition->params.name, error.text);
    }
    /* In D3 the VF stays stopped (VF-4); the next tenant finds no pause in effect. */
    if (partition->check.created && !partition->check.powered &&
        dxgk_ddi_set_pause(partition, false, &error) != 0)
        log_error("%s: %s", partition->params.name, error.text);
    dxgk_tracking_destroy(partition);
    dxgk_msix_destroy(partition);
    dxgk_umed_destroy(partition->umed);
    partition->umed = NULL;
}

/* VF-3: the next tenant gets it once it is proven to be zero. What cannot be is not handed out
 * again. */
static void give_vram(struct dxgk_partition *partition)
{
    const DXGK_MEMORYRANGE *bad = partition->bad.SizeInBytes != 0 ? &partition->bad : NULL;

    if (bad != NULL)
        dxgk_report(partition->adapter, "VF-3",
                    "VRAM at 0x%" PRIx64 " + 0x%" PRIx64
                    " cannot be proven to be zero; nobody gets it, it stays locked up",
                    (uint64_t)bad->SegmentOffset, (uint64_t)bad->SizeInBytes);
    dxgk_vram_give(partition->adapter, partition->ranges, partition->range_count, bad);
}

int dxgk_partition_dismantle(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    int result = 0;

    bring_down(partition);
    dxgk_lock(&adapter->gpup_lock);
    if (partition->check.created)
        result = dxgk_ddi_destroy_vgpu(partition, err);
    if (result == 0)
        drop_reserve_basis(partition);
    dxgk_unlock(&adapter->gpup_lock);
    if (result != 0)
        return -1; /* VF, VRAM and basis stay with the driver: nobody else may get them (VF-3) */
    if (partition->ranges != NULL)
        give_vram(partition);
    free(partition->ranges);
    partition->ranges = NULL;
    partition->range_count = 0;
    give_vf(partition);
    return result;
}
