// SPDX-License-Identifier: Apache-2.0
/* Saving and loading what a quiet VF is beyond its VRAM. The contents come from another host: LOAD
 * believes nothing. */
#include "softgpu.h"

#include <string.h>

#define RESULT_GOOD 0u
#define RESULT_NOT_QUIET 1u
#define RESULT_BAD 2u

_Static_assert(sizeof(struct sg_vf_state) <= SG_STATE_WINDOW, "the state fits into its window");

static void save(struct sg_vf *vf)
{
    struct sg_vf_state s = {
        .version = SG_VF_STATE_VERSION, .bytes = sizeof s, .fault_va = vf->fault_va};

    s.root = atomic_load(&vf->root);
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        const struct sg_queue *q = &vf->queue[i];

        s.queue[i].ip = atomic_load(&q->x.ip);
        s.queue[i].retired = atomic_load(&q->x.retired);
        s.queue[i].progress = q->x.progress;
        memcpy(s.queue[i].scratch, q->x.scratch, sizeof s.queue[i].scratch);
        s.queue[i].status = atomic_load(&q->status);
    }
    pthread_mutex_lock(&vf->dev->irq.lock);
    s.msix_pending = vf->msix.pending;
    s.interrupts_raised = vf->msix.raised;
    pthread_mutex_unlock(&vf->dev->irq.lock);
    memset(vf->window, 0, sizeof vf->window);
    memcpy(vf->window, &s, sizeof s);
}

static bool good(const struct sg_vf_state *s)
{
    if (s->version != SG_VF_STATE_VERSION || s->bytes != sizeof *s ||
        s->msix_pending >> SG_MSIX_VECTORS)
        return false;
    for (unsigned i = 0; i < SG_QUEUES; i++)
        if (s->queue[i].status > SG_Q_FAULT || s->queue[i].reserved ||
            s->queue[i].ip % SG_CMD_BYTES)
            return false;
    /* Progress, roots and addresses are checked where they are used, as those of a guest are. */
    return true;
}

static void load_interrupts(struct sg_vf *vf, const struct sg_vf_state *s)
{
    struct sg_msix_entry entry[SG_MSIX_VECTORS];

    pthread_mutex_lock(&vf->dev->irq.lock);
    vf->msix.pending = s->msix_pending;
    vf->msix.raised = s->interrupts_raised;
    memcpy(entry, vf->msix.entry, sizeof entry);
    pthread_mutex_unlock(&vf->dev->irq.lock);
    /* Committed again: an unmasked one delivers what was pending. */
    for (unsigned i = 0; i < SG_MSIX_VECTORS; i++)
        sg_msix_commit(vf, i, &entry[i]);
}

static bool load(struct sg_vf *vf)
{
    struct sg_vf_state s;

    memcpy(&s, vf->window, sizeof s);
    if (!good(&s))
        return false;
    atomic_store(&vf->root, s.root);
    atomic_fetch_add(&vf->flushes, 1);
    atomic_fetch_add(&vf->pace_epoch, 1);
    vf->fault_va = s.fault_va;
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        struct sg_queue *q = &vf->queue[i];

        atomic_store(&q->x.ip, s.queue[i].ip);
        atomic_store(&q->x.retired, s.queue[i].retired);
        q->x.progress = s.queue[i].progress;
        memcpy(q->x.scratch, s.queue[i].scratch, sizeof q->x.scratch);
        q->x.wake_ns = 0;
        q->stuck_ns = 0;
        q->hung = false;
        atomic_store(&q->status, s.queue[i].status);
    }
    load_interrupts(vf, &s);
    return true;
}

void sg_vf_state_command(struct sg_vf *vf, uint32_t command)
{
    vf->state_result = RESULT_GOOD;
    if (!sg_vf_quiet(vf))
        vf->state_result = RESULT_NOT_QUIET;
    else if (command == SG_STATE_CMD_SAVE)
        save(vf);
    else if (command != SG_STATE_CMD_LOAD || !load(vf))
        vf->state_result = RESULT_BAD;
}
