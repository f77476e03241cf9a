// SPDX-License-Identifier: Apache-2.0
/*
 * The schedule of the compute and the copy engine. Each gives slots of about 2 ms to the busy queue
 * that has used least time for its weight; slots of idle VFs thus fall to the busy ones by weight.
 *
 * LEND: a VF that lends stands still within its own slots: the slot's time is charged to it, the
 * engine idles meanwhile, so the paging engine gets the host CPU and no neighbour gains or loses a
 * moment.
 *
 * A queue: HALTED → RUNNING (start) → HALTED (HALT, stop) | FAULT; FAULT → HALTED (stop,
 * reset); reset and LOAD set anything. Only a RUNNING queue of a VF that is not stopped is ever
 * put on an engine.
 */
#include "softgpu.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define LEND_WHOLE 1024u
/* A wake-up that came late is made good, within reason. */
#define MAX_CREDIT_NS ((int64_t)(4 * SG_SLICE_NS))
/* A queue is stopped inside its commands: longer slots are the host's doing. */
#define MAX_CHARGE_NS (4 * SG_SLICE_NS)

uint64_t sg_now(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_MONOTONIC, &t))
        return 0; /* cannot fail with this clock */
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int sg_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc)
        return -rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!rc)
        rc = pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
    return -rc;
}

void sg_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t when)
{
    struct timespec t = {.tv_sec = (time_t)(when / NS_PER_S), .tv_nsec = (long)(when % NS_PER_S)};

    if (when == UINT64_MAX)
        pthread_cond_wait(c, lock);
    else
        /* The caller looks at its condition and the clock either way. */
        (void)pthread_cond_timedwait(c, lock, &t);
}

void sg_engines_kick(struct sg_device *dev)
{
    for (unsigned i = 0; i < SG_QUEUES; i++)
        pthread_cond_broadcast(&dev->engine[i].wake);
}

static bool runnable(const struct sg_queue *q)
{
    return atomic_load(&q->status) == SG_Q_RUNNING && !sg_vf_stopped(q->x.vf);
}

/* The runnable queue with the least virtual time; none: `wake` is when the first of those that PACE
 * holds is due. */
static struct sg_queue *pick(struct sg_engine *e, uint64_t *wake)
{
    struct sg_device *dev = e->dev;
    struct sg_queue *best = NULL;
    uint64_t now = sg_now();

    *wake = UINT64_MAX;
    for (uint32_t i = 0; i < dev->options.vfs; i++) {
        struct sg_queue *q = &dev->vf[i].queue[e->index];

        if (!runnable(q))
            continue;
        if (q->x.wake_ns > now) {
            *wake = sg_min(*wake, q->x.wake_ns);
            continue;
        }
        /* Idle time earns nothing. Who was waiting for its turn is not behind vtime, so this
         * changes nothing for it. */
        if ((int64_t)(q->pass - e->vtime) < 0)
            q->pass = e->vtime;
        if (!best || (int64_t)(q->pass - best->pass) < 0)
            best = q;
    }
    return best;
}

/* Lets `ns` of the queue's slot pass while paging has work; returns what has passed. */
static uint64_t stand_still(struct sg_engine *e, struct sg_queue *q, uint64_t ns)
{
    uint64_t start = sg_now(), now = start;

    while (now - start < ns && sg_paging_busy(e->dev) && runnable(q) && q->x.vf->lend &&
           !e->dev->stop) {
        sg_cond_wait_until(&e->wake, &e->dev->lock, start + ns);
        now = sg_now();
    }
    return now - start;
}

/* Runs the queue for up to `ns`; device lock held before and after, not meanwhile. Returns the
 * time used. */
static uint64_t run_queue(struct sg_engine *e, struct sg_queue *q, uint64_t ns)
{
    struct sg_device *dev = e->dev;
    struct sg_vf *vf = q->x.vf;
    uint64_t start = sg_now(), end;
    enum sg_stop stop;

    q->on_engine = true;
    vf->active++;
    if (!vf->first_run_ns)
        vf->first_run_ns = start;
    q->x.work = e->work;
    q->x.wake_ns = 0;
    q->x.stepped = false;
    atomic_store(&q->x.preempt, false);
    pthread_mutex_unlock(&dev->lock);
    stop = sg_execute(&q->x, UINT64_MAX, start + ns);
    end = sg_now();
    pthread_mutex_lock(&dev->lock);
    q->on_engine = false;
    vf->active--;
    vf->runtime_ns += end - start;
    vf->last_run_ns = sg_max(vf->last_run_ns, end);
    if (stop == SG_STOP_FAULT)
        sg_vf_fault(vf, q);
    else if (stop == SG_STOP_HALTED || q->halt_requested)
        atomic_store(&q->status, SG_Q_HALTED);
    q->halt_requested = false;
    sg_queue_watch(q, stop, end - start);
    if (sg_vf_stopped(vf)) {
        q->x.wake_ns = 0; /* a pause starts PACE afresh */
        pthread_cond_broadcast(&dev->quiet);
    }
    return end - start;
}

static void give_slot(struct sg_engine *e, struct sg_queue *q)
{
    struct sg_vf *vf = q->x.vf;
    uint64_t still = 0, used = 0, run = SG_SLICE_NS, lend = vf->lend;

    e->vtime = q->pass;
    if (lend && sg_paging_busy(e->dev)) {
        int64_t owed = lend == LEND_WHOLE ? (int64_t)SG_SLICE_NS : q->debt_ns;

        if (owed > 0)
            still = stand_still(e, q, sg_min((uint64_t)owed, SG_SLICE_NS));
        q->debt_ns -= (int64_t)still;
        if (q->debt_ns < -MAX_CREDIT_NS)
            q->debt_ns = -MAX_CREDIT_NS;
        if (lend == LEND_WHOLE)
            q->debt_ns = 0;
        vf->lent_ns += still;
        run = SG_SLICE_NS * (LEND_WHOLE - lend) / LEND_WHOLE;
    }
    if (!lend || !sg_paging_busy(e->dev))
        q->debt_ns = 0;
    if (run && runnable(q) && !e->dev->stop)
        used = run_queue(e, q, run);
    /* Owed for exactly what it ran, however soon it gave up. */
    if (lend && lend < LEND_WHOLE && sg_paging_busy(e->dev))
        q->debt_ns += (int64_t)(used * lend / (LEND_WHOLE - lend));
    /* The host may take the processor away in the middle of a slot. Charged in full, that moment
     * would be paid back by a wait as many times as long as there are neighbours. */
    q->pass += (still + sg_min(used, MAX_CHARGE_NS)) * 1024 / vf->weight;
}

void *sg_engine_main(void *engine)
{
    struct sg_engine *e = engine;
    struct sg_device *dev = e->dev;

    pthread_mutex_lock(&dev->lock);
    while (!dev->stop) {
        uint64_t wake;
        struct sg_queue *q = pick(e, &wake);

        if (q)
            give_slot(e, q);
        else
            sg_cond_wait_until(&e->wake, &dev->lock, wake);
    }
    pthread_mutex_unlock(&dev->lock);
    return NULL;
}
