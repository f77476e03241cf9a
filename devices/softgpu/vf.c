// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual function: its power, pause, reset, second stage and CPU aperture.
 *
 * Power and pause: OFF (ENABLE clear), RUNNING, STOPPING (PAUSE set or ENABLE cleared, an engine
 * still finishes a step or a CPU store awaits its dirty bit), QUIET. RUNNING → STOPPING → QUIET →
 * RUNNING; STOPPING → RUNNING when PAUSE is taken back. The state is not stored but computed from
 * ctrl, active and cpu_stores, so it cannot disagree with them.
 */
#include "softgpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_RESET 64u
#define HANG_RESET_NS 2000000000ull
/* A longer CPU access is cut, so that a pause need not wait for all of it. */
#define CPU_CHUNK_BYTES (1ull << 20)

bool sg_vf_stopped(const struct sg_vf *vf)
{
    return !(vf->ctrl & SG_VFC_CTRL_ENABLE) || vf->ctrl & SG_VFC_CTRL_PAUSE || vf->resetting;
}

bool sg_vf_quiet(const struct sg_vf *vf)
{
    return sg_vf_stopped(vf) && !vf->active && !vf->cpu_stores;
}

uint32_t sg_vf_status(struct sg_vf *vf)
{
    uint64_t limit = sg_now() + SG_QUIET_WAIT_NS;
    uint32_t status = 0;

    while (sg_vf_stopped(vf) && !sg_vf_quiet(vf) && sg_now() < limit)
        sg_cond_wait_until(&vf->dev->quiet, &vf->dev->lock, limit);
    if (sg_vf_quiet(vf))
        status |= SG_VFC_STATUS_QUIET;
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        uint32_t q = atomic_load(&vf->queue[i].status);

        status |= q == SG_Q_RUNNING ? SG_VFC_STATUS_BUSY
                  : q == SG_Q_FAULT ? SG_VFC_STATUS_FAULT
                                    : 0;
        status |= vf->queue[i].hung ? SG_VFC_STATUS_HANG : 0;
    }
    return status;
}

static void forget_hang(struct sg_queue *q)
{
    q->stuck_ns = 0;
    q->hung = false;
}

void sg_queue_watch(struct sg_queue *q, enum sg_stop stop, uint64_t ns)
{
    struct sg_vf *vf = q->x.vf;

    if (q->x.stepped || stop == SG_STOP_WAIT || atomic_load(&q->status) != SG_Q_RUNNING) {
        forget_hang(q);
        return;
    }
    q->stuck_ns += ns; /* also of a slot that a pause cut: pauses may be many and short */
    if (sg_vf_stopped(vf) || q->hung || !vf->hang_ns || q->stuck_ns < vf->hang_ns)
        return;
    q->hung = true;
    vf->hangs++;
    sg_irq_raise(vf->dev, SG_INT_VF_HANG);
}

/* After something stopped the VF: asks its engines to leave it. */
static void leave_engines(struct sg_vf *vf)
{
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        vf->queue[i].hung = false; /* what still hangs once it runs again is told again */
        atomic_store(&vf->queue[i].x.preempt, true);
        if (!vf->queue[i].on_engine)
            vf->queue[i].x.wake_ns = 0; /* the PACE it is held by starts afresh */
    }
    atomic_fetch_add(&vf->pace_epoch, 1);
}

void sg_vf_control(struct sg_vf *vf, uint32_t ctrl)
{
    uint32_t old = vf->ctrl;
    bool ran = !sg_vf_stopped(vf);

    vf->ctrl = ctrl & (SG_VFC_CTRL_ENABLE | SG_VFC_CTRL_PAUSE);
    if (vf->ctrl & ~old &
        SG_VFC_CTRL_ENABLE) /* when the last tenant ran is no later one's business */
        vf->runtime_ns = vf->lent_ns = vf->last_run_ns = 0;
    if (!ran && !sg_vf_stopped(vf))
        vf->first_run_ns = 0;
    if (ran && sg_vf_stopped(vf))
        leave_engines(vf);
    sg_engines_kick(vf->dev);
    pthread_cond_broadcast(&vf->dev->quiet);
}

static void reset_queue(struct sg_queue *q)
{
    atomic_store(&q->status, SG_Q_HALTED);
    atomic_store(&q->x.ip, 0);
    atomic_store(&q->x.retired, 0);
    sg_context_rewind(&q->x);
    q->x.wake_ns = 0;
    q->x.pacing = false;
    q->halt_requested = false;
    q->debt_ns = 0;
    forget_hang(q);
}

void sg_vf_reset(struct sg_vf *vf)
{
    struct sg_device *dev = vf->dev;

    while (vf->resetting) /* one after the other */
        pthread_cond_wait(&dev->quiet, &dev->lock);
    vf->resetting = true;
    leave_engines(vf);
    sg_engines_kick(dev);
    while (vf->active)
        pthread_cond_wait(&dev->quiet, &dev->lock);
    for (unsigned i = 0; i < SG_QUEUES; i++)
        reset_queue(&vf->queue[i]);
    atomic_store(&vf->root, 0);
    atomic_fetch_add(&vf->flushes, 1);
    vf->fault_va = 0;
    vf->msix_next = (struct sg_msix_entry){0};
    vf->msix_index = 0;
    vf->state_result = 0;
    memset(vf->window, 0, sizeof vf->window);
    sg_config_init(&vf->config, true, dev->vram.bytes, 0);
    sg_msix_reset(vf);
    vf->resetting = false;
    sg_engines_kick(dev);
    pthread_cond_broadcast(&dev->quiet);
}

void sg_vf_fault(struct sg_vf *vf, struct sg_queue *q)
{
    atomic_store(&q->status, SG_Q_FAULT);
    vf->fault_va = q->x.space.fault_va;
    vf->faults++;
    sg_irq_raise(vf->dev, SG_INT_VF_FAULT);
}

void sg_queue_control(struct sg_queue *q, uint32_t value)
{
    uint32_t status = atomic_load(&q->status);

    if (value == 1) {
        q->halt_requested = false;
        if (status != SG_Q_HALTED)
            return;
        q->x.pacing = false;
        q->x.wake_ns = 0;
        atomic_store(&q->status, SG_Q_RUNNING);
        sg_engines_kick(q->x.dev);
    } else if (value == 0 && q->on_engine) {
        q->halt_requested = true;
        atomic_store(&q->x.preempt, true);
    } else if (value == 0) {
        atomic_store(&q->status, SG_Q_HALTED);
        q->x.wake_ns = 0;
        forget_hang(q);
    }
}

static uint32_t add_extent(struct sg_vf *vf)
{
    const struct sg_device *dev = vf->dev;
    uint64_t gpa = vf->map_gpa, phys = vf->map_phys, bytes = vf->map_bytes, vram = dev->vram.bytes;
    uint64_t granule =
        dev->options.scatter ? 1ull << dev->scatter_shift : dev->options.dirty_page_bytes;
    struct sg_extent *last = vf->map.count ? &vf->map.extent[vf->map.count - 1] : NULL;

    if ((gpa | phys | bytes) % granule)
        return SG_MAP_BAD_ALIGN;
    if (!bytes || bytes > vram || phys > vram - bytes || gpa != vf->map.bytes || gpa > vram - bytes)
        return SG_MAP_BAD_RANGE;
    if (last && last->phys + last->bytes == phys) {
        last->bytes += bytes;
        vf->map.bytes += bytes;
        return 0;
    }
    if (!dev->options.scatter && vf->map.count >= SG_MAP_EXTENTS_FLAT)
        return SG_MAP_BAD_COUNT;
    /* No host memory for one more. */
    return sg_map_add(&vf->map, gpa, phys, bytes) ? SG_MAP_BAD_COUNT : 0;
}

void sg_vf_map_command(struct sg_vf *vf, uint32_t command)
{
    if (!sg_vf_quiet(vf)) {
        vf->map_result = SG_MAP_BAD_RUNNING;
        return;
    }
    pthread_rwlock_wrlock(&vf->map_lock);
    if (command == SG_MAP_CMD_CLEAR) {
        free(vf->map.extent);
        vf->map = (struct sg_map){0};
        vf->map_result = 0;
    } else if (command == SG_MAP_CMD_ADD) {
        vf->map_result = add_extent(vf);
    } else {
        vf->map_result = SG_MAP_BAD_RANGE;
    }
    pthread_rwlock_unlock(&vf->map_lock);
    atomic_fetch_add(&vf->flushes, 1);
}

/* One piece of a CPU access; the map lock keeps the translation true. */
static int bar_piece(struct sg_vf *vf, uint64_t gpa, uint8_t *to, const uint8_t *from,
                     uint64_t bytes)
{
    struct sg_vram *vram = &vf->dev->vram;
    size_t hint = 0;
    int rc = 0;

    pthread_rwlock_rdlock(&vf->map_lock);
    if (gpa > vf->map.bytes || bytes > vf->map.bytes - gpa)
        rc = -EINVAL;
    for (uint64_t at = 0, n = 0, phys; !rc && at < bytes; at += n) {
        if (!sg_map_find(&vf->map, gpa + at, &phys, &n, &hint)) {
            rc = -EINVAL;
            break;
        }
        n = sg_min(n, bytes - at);
        if (from)
            sg_vram_write(vram, phys, from + at, n);
        else
            sg_vram_read(vram, phys, to + at, n);
    }
    pthread_rwlock_unlock(&vf->map_lock);
    return rc;
}

/* A store through the BAR counts as running until its dirty bit is set: QUIET waits for it. */
static void count_store(struct sg_vf *vf, bool begin)
{
    pthread_mutex_lock(&vf->dev->lock);
    if (begin) {
        vf->cpu_stores++;
    } else if (!--vf->cpu_stores && sg_vf_stopped(vf)) {
        pthread_cond_broadcast(&vf->dev->quiet);
    }
    pthread_mutex_unlock(&vf->dev->lock);
}

int sg_vf_bar(struct sg_vf *vf, uint64_t offset, void *to, const void *from, uint64_t bytes)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    uint64_t size;

    pthread_rwlock_rdlock(&vf->map_lock);
    size = vf->map.bytes;
    pthread_rwlock_unlock(&vf->map_lock);
    if (offset > size || bytes > size - offset) /* nothing is written when not all can be */
        return -EINVAL;
    for (uint64_t at = 0, n; at < bytes; at += n) {
        int rc;

        n = sg_min(bytes - at, CPU_CHUNK_BYTES);
        if (in)
            count_store(vf, true);
        rc = bar_piece(vf, offset + at, out ? out + at : NULL, in ? in + at : NULL, n);
        if (in)
            count_store(vf, false);
        if (rc)
            return rc;
    }
    return 0;
}

int sg_vf_open(struct sg_vf *vf, struct sg_device *dev, unsigned index)
{
    int rc;

    vf->dev = dev;
    vf->index = index;
    vf->weight = WEIGHT_RESET;
    vf->hang_ns = HANG_RESET_NS;
    rc = pthread_rwlock_init(&vf->map_lock, NULL);
    if (rc)
        return -rc;
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        struct sg_context *x = &vf->queue[i].x;

        x->dev = dev;
        x->vf = vf;
        x->engine = i == SG_QUEUE_COMPUTE ? SG_ENGINE_COMPUTE : SG_ENGINE_COPY;
        x->space.dev = dev;
        x->space.vf = vf;
        reset_queue(&vf->queue[i]);
    }
    sg_config_init(&vf->config, true, dev->vram.bytes, 0);
    sg_msix_reset(vf);
    return 0;
}

void sg_vf_close(struct sg_vf *vf)
{
    free(vf->map.extent);
    pthread_rwlock_destroy(&vf->map_lock);
}
