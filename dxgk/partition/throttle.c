// SPDX-License-Identifier: Apache-2.0
/* See throttle.h. */
#include "dxgk/partition/throttle.h"

#include "base/clock.h"
#include "base/thread.h"
#include "base/trace.h"

/* So much longer it runs for a guest's access that has not passed the door yet. */
#define GUEST_NS 1000000ull

void dxgk_throttle_init(struct dxgk_throttle *throttle)
{
    vf_lock_init(&throttle->lock);
    vf_cond_init(&throttle->changed);
}

void dxgk_throttle_fini(struct dxgk_throttle *throttle)
{
    vf_cond_fini(&throttle->changed);
    vf_lock_fini(&throttle->lock);
}

bool dxgk_throttle_set(struct dxgk_partition *partition, uint32_t percent)
{
    struct dxgk_throttle *throttle = &partition->throttle;
    bool start;

    vf_lock(&throttle->lock);
    if (throttle->percent != percent)
        vf_trace(throttle, partition->params.name, percent, throttle->stood_ns);
    throttle->percent = percent;
    start = percent != 0 && !throttle->runs;
    throttle->runs = throttle->runs || start;
    vf_cond_broadcast(&throttle->changed);
    vf_unlock(&throttle->lock);
    return start;
}

void dxgk_throttle_begin_move(struct dxgk_partition *partition)
{
    vf_lock(&partition->throttle.lock);
    partition->throttle.stood_ns = 0;
    vf_unlock(&partition->throttle.lock);
}

void dxgk_throttle_end_move(struct dxgk_partition *partition)
{
    (void)dxgk_throttle_set(partition, 0);
}

void dxgk_throttle_yield(struct dxgk_partition *partition)
{
    struct dxgk_throttle *throttle = &partition->throttle;

    vf_lock(&throttle->lock);
    throttle->waiting++;
    if (throttle->percent != 0)
        vf_cond_broadcast(&throttle->changed);
    vf_unlock(&throttle->lock);
}

void dxgk_throttle_yielded(struct dxgk_partition *partition)
{
    vf_lock(&partition->throttle.lock);
    partition->throttle.waiting--;
    vf_unlock(&partition->throttle.lock);
}

void dxgk_throttle_tell(struct dxgk_partition *partition, uint32_t *percent, uint64_t *stood_ns)
{
    vf_lock(&partition->throttle.lock);
    *percent = partition->throttle.percent;
    *stood_ns = partition->throttle.stood_ns;
    vf_unlock(&partition->throttle.lock);
}

bool dxgk_throttle_runs(struct dxgk_partition *partition)
{
    return vf_locked(&partition->throttle.lock, partition->throttle.runs);
}

/* ---- guests ---- */

void dxgk_throttle_guest_waits(struct dxgk_partition *partition)
{
    vf_lock(&partition->throttle.lock);
    partition->throttle.guests++;
    vf_unlock(&partition->throttle.lock);
}

void dxgk_throttle_guest_passed(struct dxgk_partition *partition)
{
    vf_lock(&partition->throttle.lock);
    partition->throttle.guests--;
    vf_cond_broadcast(&partition->throttle.changed);
    vf_unlock(&partition->throttle.lock);
}

void dxgk_throttle_await(struct dxgk_partition *partition)
{
    struct dxgk_throttle *throttle = &partition->throttle;

    vf_lock(&throttle->lock);
    while (throttle->stands)
        vf_cond_wait(&throttle->changed, &throttle->lock);
    vf_unlock(&throttle->lock);
}

/* ---- for its thread ---- */

void dxgk_throttle_say_stands(struct dxgk_throttle *throttle, bool stands)
{
    vf_lock(&throttle->lock);
    throttle->stands = stands;
    vf_cond_broadcast(&throttle->changed);
    vf_unlock(&throttle->lock);
}

void dxgk_throttle_stand_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns)
{
    const uint64_t begin = vf_now_ns();

    vf_lock(&throttle->lock);
    while (throttle->percent == percent && throttle->waiting == 0 &&
           vf_cond_wait_until(&throttle->changed, &throttle->lock, until_ns))
        continue;
    throttle->stood_ns += vf_now_ns() - begin;
    vf_unlock(&throttle->lock);
}

void dxgk_throttle_run_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns)
{
    bool in_time = true;

    vf_lock(&throttle->lock);
    while (throttle->percent == percent && in_time)
        in_time = vf_cond_wait_until(&throttle->changed, &throttle->lock, until_ns);
    in_time = true;
    while (throttle->percent == percent && throttle->guests != 0 && in_time)
        in_time = vf_cond_wait_until(&throttle->changed, &throttle->lock, until_ns + GUEST_NS);
    vf_unlock(&throttle->lock);
}

uint32_t dxgk_throttle_next(struct dxgk_throttle *throttle, uint32_t percent, bool goes_on)
{
    vf_lock(&throttle->lock);
    if (!goes_on && throttle->percent == percent)
        throttle->percent = 0;
    percent = throttle->percent;
    throttle->runs = percent != 0;
    vf_unlock(&throttle->lock);
    return percent;
}
