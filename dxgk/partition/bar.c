// SPDX-License-Identifier: Apache-2.0
/*
 * The vCPU's view of a VF: its BARs by the device, its MSI-X table by the OS' own copy (INT-1..3),
 * its emulated pages by the UMED (VF-5).
 * Every access holds the partition's vcpu lock for reading, so that a pause (SRC-5) and a removal
 * can shut the door and be sure nobody is inside.
 */
#define LOG_ROOM "bar"
#include "dxgk/partition/hold.h"
#include "base/thread.h"
#include "dxgk/partition/mitigated.h"
#include "dxgk/partition/msix.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/throttle.h"
#include "dxgk/umed/umed.h"

#include <errno.h>
#include <inttypes.h>

struct access {
    struct dxgk_partition *partition;
    uint32_t bar;
    uint64_t offset, bytes;
    uint8_t *in;        /* a read */
    const uint8_t *out; /* a write */
};

static int through_device(const struct access *access, struct vf_error *err)
{
    const struct dxgk_adapter *adapter = access->partition->adapter;
    vf_function fn = VF_FUNCTION_VF(access->partition->vf);
    int result = access->out != NULL
                     ? adapter->ops->bar_write(adapter->dev, fn, access->bar, access->offset,
                                               access->out, access->bytes)
                     : adapter->ops->bar_read(adapter->dev, fn, access->bar, access->offset,
                                              access->in, access->bytes);

    if (result != 0)
        return vf_fail_errno(
            err, VF_FAILED, -result, "cannot %s %" PRIu64 " bytes at 0x%" PRIx64 " of BAR %u",
            access->out != NULL ? "write" : "read", access->bytes, access->offset, access->bar);
    return 0;
}

static int through_msix(const struct access *access, struct vf_error *err)
{
    uint64_t at = access->offset - access->partition->msix_offset;

    if (access->partition->msix == NULL)
        return vf_fail(err, VF_FAILED, "the VF has no MSI-X table");
    return access->out != NULL
               ? dxgk_msix_write(access->partition, at, access->out, access->bytes, err)
               : dxgk_msix_read(access->partition, at, access->in, access->bytes, err);
}

static int through_umed(const struct access *access, struct vf_error *err)
{
    struct dxgk_umed *umed = access->partition->umed;

    if ((access->bytes != 4 && access->bytes != 8) || access->offset % access->bytes != 0)
        return vf_fail(err, VF_USAGE,
                       "emulated pages are read and written in aligned 4 or 8 bytes");
    return access->out != NULL ? dxgk_umed_write(umed, access->bar, access->offset, access->out,
                                                 (uint32_t)access->bytes, err)
                               : dxgk_umed_read(umed, access->bar, access->offset, access->in,
                                                (uint32_t)access->bytes, err);
}

static int go(const struct access *access, enum dxgk_trap trap, struct vf_error *err)
{
    switch (trap) {
    case DXGK_TRAP_MSIX:
        return through_msix(access, err);
    case DXGK_TRAP_UMED:
        return through_umed(access, err);
    case DXGK_TRAP_NONE:
        break;
    }
    return through_device(access, err);
}

static int run(struct access access, struct vf_error *err)
{
    const struct dxgk_adapter *adapter = access.partition->adapter;
    struct vf_bar_info info = {.kind = VF_BAR_NONE};

    if (access.bar >= DXGK_BARS ||
        adapter->ops->bar_info(adapter->dev, VF_FUNCTION_VF(access.partition->vf), access.bar,
                               &info) != 0 ||
        info.kind == VF_BAR_NONE)
        return vf_fail(err, VF_USAGE, "a VF has no BAR %u", access.bar);
    if (access.offset > info.bytes || access.bytes > info.bytes - access.offset)
        return vf_fail(err, VF_USAGE,
                       "0x%" PRIx64 " bytes at 0x%" PRIx64 " reach beyond BAR %u of 0x%" PRIx64
                       " bytes",
                       access.bytes, access.offset, access.bar, info.bytes);
    while (access.bytes > 0) {
        struct access part = access;
        enum dxgk_trap trap = dxgk_mitigated_at(access.partition, access.bar, access.offset,
                                                access.out != NULL, &part.bytes);

        if (info.kind == VF_BAR_REGISTERS && (part.bytes % 4 != 0 || part.offset % 4 != 0))
            return vf_fail(err, VF_USAGE, "registers are read and written in aligned 4 or 8 bytes");
        if (info.kind == VF_BAR_REGISTERS && part.bytes > 4)
            part.bytes = part.offset % 8 == 0 && part.bytes >= 8 ? 8 : 4;
        if (go(&part, trap, err) != 0)
            return -1;
        access.offset += part.bytes;
        access.bytes -= part.bytes;
        access.in = access.in != NULL ? access.in + part.bytes : NULL;
        access.out = access.out != NULL ? access.out + part.bytes : NULL;
    }
    return 0;
}

int dxgk_partition_bar_read(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                            void *data, uint64_t bytes, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    vf_read_lock(&partition->vcpu);
    if (partition->vcpu_gone)
        result =
            vf_fail(err, VF_FAILED, "partition %s has no VF (any more)", partition->params.name);
    else
        result = run((struct access){partition, bar, offset, bytes, data, NULL}, err);
    vf_rw_unlock(&partition->vcpu);
    dxgk_partition_put(partition);
    return result;
}

static bool meets_table(const struct dxgk_partition *partition, uint32_t bar, uint64_t offset,
                        uint64_t bytes)
{
    return bar == partition->msix_bar && offset < partition->msix_offset + partition->msix_bytes &&
           (offset >= partition->msix_offset || bytes > partition->msix_offset - offset);
}

static void leave_door(struct dxgk_partition *partition, bool gated)
{
    vf_rw_unlock(&partition->vcpu);
    if (gated)
        dxgk_gate_leave(partition->adapter);
}

/* Until its reserve has moved; 0, or -1 when that takes too long. */
static int await_defrag(const struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_partition *moved =
        dxgk_partition_lock(partition->adapter->dxgk, partition->id, err);

    if (moved == NULL)
        return -1;
    dxgk_partition_unlock(moved);
    return 0;
}

/* Whatever `holders` says that shuts the door for a while. -1: it stays shut. */
static int await_door(struct dxgk_partition *partition, uint32_t holders, struct vf_error *err)
{
    if ((holders & DXGK_HOLD_STAND) != 0) {
        dxgk_throttle_await(partition);
        return 0;
    }
    if ((holders & VF_HOLD_DEFRAG) != 0)
        return await_defrag(partition, err);
    return dxgk_partition_wrong_state(partition, "its CPU is stopped too; resume it first", err);
}

/* Tries once: true when it is open, with vcpu held for reading and the gate when *gated. */
static bool try_door(struct dxgk_partition *partition, uint32_t bar, uint64_t offset,
                     uint64_t bytes, bool *gated, uint32_t *holders)
{
    vf_read_lock(&partition->vcpu);
    *gated = !partition->vcpu_gone && meets_table(partition, bar, offset, bytes);
    if (*gated) {
        vf_rw_unlock(&partition->vcpu);
        dxgk_gate_enter(partition->adapter);
        vf_read_lock(&partition->vcpu);
    }
    if (!partition->vcpu_gone && !partition->vcpu_shut)
        return true;
    *holders = dxgk_holders(partition); /* who shut it is among them until it is open again */
    leave_door(partition, *gated);
    return false;
}

/* For a write. 0: vcpu is held for reading, and the gate when *gated: the one write that becomes a
 * DDI call needs it, and the gate comes before vcpu; all others go on while a driver is replaced.
 * A CPU that stands only while its reserve moves, or for a throttle, notices nothing of it: it
 * waits. */
static int enter_door(struct dxgk_partition *partition, uint32_t bar, uint64_t offset,
                      uint64_t bytes, bool *gated, struct vf_error *err)
{
    uint32_t holders;
    int result = 0;

    if (try_door(partition, bar, offset, bytes, gated, &holders))
        return 0;
    dxgk_throttle_guest_waits(partition);
    do
        result = await_door(partition, holders, err);
    while (result == 0 && !try_door(partition, bar, offset, bytes, gated, &holders));
    dxgk_throttle_guest_passed(partition);
    return result;
}

int dxgk_partition_bar_write(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                             const void *data, uint64_t bytes, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_get(dxgk, id, err);
    bool gated;
    int result;

    if (partition == NULL)
        return -1;
    result = enter_door(partition, bar, offset, bytes, &gated, err);
    if (result == 0) {
        result = run((struct access){partition, bar, offset, bytes, NULL, data}, err);
        leave_door(partition, gated);
    }
    dxgk_partition_put(partition);
    return result;
}
