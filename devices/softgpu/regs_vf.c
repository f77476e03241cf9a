// SPDX-License-Identifier: Apache-2.0
/* The registers a guest sees. */
#include "softgpu.h"

#include <errno.h>

#define QUEUES_AT SG_VF_QUEUE(0)
#define QUEUE_STRIDE (SG_VF_QUEUE(1) - SG_VF_QUEUE(0))
#define QUEUES_END SG_VF_QUEUE(SG_QUEUES)

static bool is_wide(uint32_t offset)
{
    if (offset >= QUEUES_AT && offset < QUEUES_END) {
        uint32_t reg = (offset - QUEUES_AT) % QUEUE_STRIDE;

        return reg == SG_Q_IP64 || reg == SG_Q_RETIRED64;
    }
    return offset == SG_VF_VRAM_BYTES64 || offset == SG_VF_ROOT64 || offset == SG_VF_MSIX_PBA;
}

static uint64_t read_queue(const struct sg_queue *q, uint32_t reg)
{
    switch (reg) {
    case SG_Q_IP64:
        return atomic_load(&q->x.ip);
    case SG_Q_STATUS:
        return atomic_load(&q->status);
    case SG_Q_RETIRED64:
        return atomic_load(&q->x.retired);
    default:
        return 0;
    }
}

static uint64_t read_pending(struct sg_vf *vf)
{
    uint64_t pending;

    pthread_mutex_lock(&vf->dev->irq.lock);
    pending = vf->msix.pending;
    pthread_mutex_unlock(&vf->dev->irq.lock);
    return pending;
}

/* Device lock held. What the manual does not name reads as zero and ignores writes. */
static uint64_t read_one(struct sg_vf *vf, uint32_t offset)
{
    if (offset >= QUEUES_AT && offset < QUEUES_END)
        return read_queue(&vf->queue[(offset - QUEUES_AT) / QUEUE_STRIDE],
                          (offset - QUEUES_AT) % QUEUE_STRIDE);
    switch (offset) {
    case SG_VF_ID:
        return SG_ID_VALUE;
    case SG_VF_VRAM_BYTES64:
        return vf->map.bytes; /* changes under the device lock too */
    case SG_VF_ROOT64:
        return atomic_load(&vf->root);
    case SG_VF_MSIX_PBA:
        return read_pending(vf);
    default:
        return 0;
    }
}

static void write_queue(struct sg_queue *q, uint32_t reg, uint64_t value)
{
    if (reg == SG_Q_CTRL) {
        sg_queue_control(q, (uint32_t)value);
    } else if (reg == SG_Q_IP64 && atomic_load(&q->status) == SG_Q_HALTED) {
        atomic_store(&q->x.ip, value);
        sg_context_rewind(&q->x); /* a command halted half way is given up */
    }
}

static void write_one(struct sg_vf *vf, uint32_t offset, uint64_t value)
{
    if (offset >= QUEUES_AT && offset < QUEUES_END) {
        write_queue(&vf->queue[(offset - QUEUES_AT) / QUEUE_STRIDE],
                    (offset - QUEUES_AT) % QUEUE_STRIDE, value);
    } else if (offset == SG_VF_ROOT64) {
        atomic_store(&vf->root, value);
        atomic_fetch_add(&vf->flushes, 1);
    }
}

int sg_vf_reg_read(struct sg_vf *vf, uint32_t offset, unsigned width, uint64_t *value)
{
    if (width == 4 && is_wide(offset & ~7u))
        return -EINVAL;
    pthread_mutex_lock(&vf->dev->lock);
    *value = read_one(vf, offset);
    if (width == 8 && !is_wide(offset))
        *value = (*value & UINT32_MAX) | read_one(vf, offset + 4) << 32;
    pthread_mutex_unlock(&vf->dev->lock);
    return 0;
}

int sg_vf_reg_write(struct sg_vf *vf, uint32_t offset, unsigned width, uint64_t value)
{
    if (width == 4 && is_wide(offset & ~7u))
        return -EINVAL;
    pthread_mutex_lock(&vf->dev->lock);
    if (width == 8 && !is_wide(offset)) {
        write_one(vf, offset, value & UINT32_MAX);
        write_one(vf, offset + 4, value >> 32);
    } else {
        write_one(vf, offset, value);
    }
    pthread_mutex_unlock(&vf->dev->lock);
    return 0;
}
