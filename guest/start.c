// SPDX-License-Identifier: Apache-2.0
/*
 * Starts a workload: contents first, the description last but for the doorbell, so that whoever
 * looks in between finds "no workload" and never half of one.
 */
#include "base/clock.h"
#include "base/size.h"
#include "guest/internal.h"

#include <inttypes.h>

#define HALT_LIMIT_NS 1000000000ull
/* In the guest's terms: its first CPU, the first vector that is free for devices. */
#define MESSAGE_ADDRESS 0xfee00000u
#define MESSAGE_DATA 0x20u

static int queue_status(const struct guest_memory *memory, unsigned queue, uint64_t *status,
                        struct vf_error *err)
{
    return memory->reg_read(memory->ctx, SG_VF_QUEUE(queue) + SG_Q_STATUS, status, 4, err);
}

/*
 * Takes a queue out of FAULT, or out of the few commands behind its done word. The manual bounds
 * the stop by one step and a register has nothing to wait on: it is read until then, not for ever.
 */
static int halt_queue(const struct guest_memory *memory, unsigned queue, struct vf_error *err)
{
    uint64_t deadline_ns = vf_now_ns() + HALT_LIMIT_NS;
    uint64_t status;

    if (memory->reg_write(memory->ctx, SG_VF_QUEUE(queue) + SG_Q_CTRL, 0, 4, err) != 0)
        return -1;
    do {
        if (queue_status(memory, queue, &status, err) != 0)
            return -1;
        if (status == SG_Q_HALTED)
            return 0;
    } while (vf_now_ns() < deadline_ns);
    return vf_fail(err, VF_FAILED,
                   "queue %u of the partition does not halt (status %" PRIu64
                   "): remove the partition and create it again",
                   queue, status);
}

/*
 * A queue that runs is somebody's work and is left alone, unless that work is done: between its
 * done word, which ends a wait, and its HALT it still counts as running.
 */
static int claim_queue(const struct guest_memory *memory, unsigned queue, struct vf_error *err)
{
    struct guest_status last;
    uint64_t status;

    if (queue_status(memory, queue, &status, err) != 0)
        return -1;
    if (status == SG_Q_HALTED)
        return 0;
    if (status == SG_Q_RUNNING) {
        if (guest_status(memory, &last, err) != 0)
            return -1;
        if (last.state != GUEST_DONE)
            return vf_fail(err, VF_FAILED,
                           "a workload still runs in the partition: wait for its end, or remove "
                           "the partition and create it again");
    }
    return halt_queue(memory, queue, err);
}

static int claim(const struct guest_memory *memory, struct vf_error *err)
{
    uint64_t id;

    if (memory->reg_read(memory->ctx, SG_VF_ID, &id, 4, err) != 0)
        return -1;
    if (id != SG_ID_VALUE)
        return vf_fail(err, VF_FAILED,
                       "the partition's registers read 0x%" PRIx64
                       ", not a powered software GPU: workloads run on softgpu partitions only",
                       id);
    for (unsigned queue = 0; queue < SG_QUEUES; queue++) {
        if (claim_queue(memory, queue, err) != 0)
            return -1;
    }
    return 0;
}

static int lay_out(const struct guest_job *job, const struct guest_workload_ops *ops,
                   const struct guest_memory *memory, struct vf_error *err)
{
    const struct guest_counters zero = {0, 0};
    struct guest_ring ring = {.count = 0};

    if (guest_write_description(memory, NULL, err) != 0 ||
        guest_write(memory, GUEST_COUNTERS_GPA, &zero, sizeof zero, err) != 0 ||
        guest_write_tables(memory, err) != 0)
        return -1;
    ops->build(job, &ring);
    if (guest_write(memory, GUEST_RING_GPA, ring.cmd, ring.count * sizeof ring.cmd[0], err) != 0)
        return -1;
    return ops->push != NULL ? ops->push(job, memory, err) : 0;
}

static int ring_doorbell(const struct guest_job *job, const struct guest_workload_ops *ops,
                         const struct guest_memory *memory, struct vf_error *err)
{
    uint64_t queue = SG_VF_QUEUE(SG_QUEUE_COMPUTE);
    struct guest_description description = {.workload = (uint32_t)job->options.workload,
                                            .steps = job->options.steps};

    ops->describe(job, &description);
    if (memory->reg_write(memory->ctx, SG_VF_ROOT64, GUEST_ROOT_GPA, 8, err) != 0 ||
        memory->reg_write(memory->ctx, queue + SG_Q_IP64, GUEST_RING_GPA, 8, err) != 0 ||
        guest_write_description(memory, &description, err) != 0)
        return -1;
    if (memory->reg_write(memory->ctx, queue + SG_Q_CTRL, 1, 4, err) != 0) {
        (void)guest_write_description(memory, NULL, NULL); /* the first error is the one to tell */
        return -1;
    }
    return 0;
}

int guest_start(const struct guest_options *options, const struct guest_memory *memory,
                struct vf_error *err)
{
    const struct guest_workload_ops *ops;
    struct guest_job job;
    uint64_t needed;
    char want[32], have[32];

    if (guest_job_init(&job, options, err) != 0)
        return -1;
    ops = guest_workload_ops((uint32_t)options->workload);
    needed = GUEST_DATA_GPA + ops->data_bytes(&job);
    if (needed > memory->bytes)
        return vf_fail(err, VF_FAILED,
                       "%s needs %s of VRAM (%" PRIu64 " bytes), the partition has %s" VF_REMEDY
                       "create one with at least --vram %" PRIu64 "M, or give a smaller problem",
                       ops->name, vf_size_format(needed, want, sizeof want), needed,
                       vf_size_format(memory->bytes, have, sizeof have),
                       (needed + (1u << 20) - 1) >> 20);
    if (claim(memory, err) != 0 || lay_out(&job, ops, memory, err) != 0 ||
        ring_doorbell(&job, ops, memory, err) != 0)
        return vf_context(err, "start %s", ops->name);
    return 0;
}

int guest_listen(const struct guest_memory *memory, struct vf_error *err)
{
    if (memory->reg_write(memory->ctx, SG_VF_MSIX_TABLE, MESSAGE_ADDRESS, 8, err) != 0 ||
        memory->reg_write(memory->ctx, SG_VF_MSIX_TABLE + 8, MESSAGE_DATA, 4, err) != 0 ||
        memory->reg_write(memory->ctx, SG_VF_MSIX_TABLE + 12, 0, 4, err) != 0)
        return vf_context(err, "set up interrupt vector 0");
    return 0;
}
