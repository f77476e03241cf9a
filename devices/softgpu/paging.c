// SPDX-License-Identifier: Apache-2.0
/*
 * The PF's paging engine: a queue of submissions, run in order by a thread of its own.
 * The engine: IDLE → RUNNING (submission) → IDLE | FAULT; FAULT → IDLE (RESET only, which also
 * drops the queue).
 */
#include "softgpu.h"

bool sg_paging_busy(const struct sg_device *dev)
{
    return dev->paging.count && !dev->paging.faulted;
}

static void submit(struct sg_device *dev, uint32_t fence)
{
    struct sg_paging *p = &dev->paging;

    if (p->count == SG_PAGING_DEPTH) /* the manual: the driver reads FREE first */
        return;
    p->queue[(p->head + p->count) % SG_PAGING_DEPTH] = (struct sg_submission){p->root, p->va,
                                                                              p->bytes, fence};
    p->count++;
    pthread_cond_signal(&p->wake);
}

static void reset(struct sg_device *dev)
{
    struct sg_paging *p = &dev->paging;

    p->resets++;
    atomic_store(&p->x.preempt, true);
    while (p->on_engine)
        pthread_cond_wait(&p->left, &dev->lock);
    p->resets--;
    p->count = 0;
    p->faulted = false;
    p->fault_va = 0;
    p->fault_fence = 0;
    sg_context_rewind(&p->x);
    sg_engines_kick(dev); /* whoever stood still for paging need not any more */
    pthread_cond_broadcast(&p->wake);
}

bool sg_paging_read(struct sg_device *dev, uint32_t reg, uint64_t *value)
{
    struct sg_paging *p = &dev->paging;

    switch (reg) {
    case SG_PF_PAGING_ROOT64:
        *value = p->root;
        return true;
    case SG_PF_PAGING_VA64:
        *value = p->va;
        return true;
    case SG_PF_PAGING_BYTES:
        *value = p->bytes;
        return true;
    case SG_PF_PAGING_DONE:
        *value = p->done;
        return true;
    case SG_PF_PAGING_FREE:
        *value = SG_PAGING_DEPTH - p->count;
        return true;
    case SG_PF_PAGING_FAULT_VA64:
        *value = p->fault_va;
        return true;
    case SG_PF_PAGING_FAULT_FENCE:
        *value = p->fault_fence;
        return true;
    default:
        return false;
    }
}

bool sg_paging_write(struct sg_device *dev, uint32_t reg, uint64_t value)
{
    struct sg_paging *p = &dev->paging;

    switch (reg) {
    case SG_PF_PAGING_ROOT64:
        p->root = value;
        atomic_fetch_add(&p->flushes, 1);
        return true;
    case SG_PF_PAGING_VA64:
        p->va = value;
        return true;
    case SG_PF_PAGING_BYTES:
        p->bytes = (uint32_t)value;
        return true;
    case SG_PF_PAGING_FENCE:
        submit(dev, (uint32_t)value);
        return true;
    case SG_PF_PAGING_RESET:
        if (value == 1)
            reset(dev);
        return true;
    default:
        return false;
    }
}

/* Runs the submission at the head to its end, a fault or a reset. Device lock held before and
 * after, not meanwhile. */
static void run_head(struct sg_device *dev)
{
    struct sg_paging *p = &dev->paging;
    struct sg_submission sub = p->queue[p->head];
    uint64_t start = sg_now(), end;
    enum sg_stop stop = SG_STOP_FAULT;

    p->on_engine = true;
    if (!p->first_run_ns)
        p->first_run_ns = start;
    atomic_store(&p->x.ip, sub.va);
    sg_context_rewind(&p->x);
    atomic_store(&p->x.preempt, dev->stop || p->resets);
    p->x.space.fault_va = sub.va;
    if (!(sub.bytes % SG_CMD_BYTES) && !__builtin_add_overflow(sub.va, sub.bytes, &end)) {
        pthread_mutex_unlock(&dev->lock);
        sg_space_refresh(&p->x.space, sub.root, p->x.space.generation);
        stop = sg_execute(&p->x, end, UINT64_MAX);
        pthread_mutex_lock(&dev->lock);
    }
    end = sg_now();
    p->on_engine = false;
    p->runtime_ns += end - start;
    p->last_run_ns = end;
    pthread_cond_broadcast(&p->left);
    if (p->resets || stop == SG_STOP_PREEMPTED)
        return; /* the reset, or the end of the device, drops it */
    if (stop == SG_STOP_FAULT) {
        p->faulted = true;
        p->fault_va = p->x.space.fault_va;
        p->fault_fence = sub.fence;
        sg_irq_raise(dev, SG_INT_PAGING_FAULT);
    } else {
        p->head = (p->head + 1) % SG_PAGING_DEPTH;
        p->count--;
        p->done = sub.fence;
        sg_irq_raise(dev, SG_INT_PAGING);
    }
    if (!sg_paging_busy(dev))
        sg_engines_kick(dev);
}

void *sg_paging_main(void *arg)
{
    struct sg_device *dev = arg;
    struct sg_paging *p = &dev->paging;

    pthread_mutex_lock(&dev->lock);
    while (!dev->stop) {
        if (sg_paging_busy(dev) && !p->resets)
            run_head(dev);
        else
            pthread_cond_wait(&p->wake, &dev->lock);
    }
    pthread_mutex_unlock(&dev->lock);
    return NULL;
}
