// SPDX-License-Identifier: Apache-2.0
/* See throttle.h. One thread for each partition that is slowed; it ends with the throttle. */
#define LOG_ROOM "throttle"
#include "dxgk/partition/throttle.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/trace.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/partition.h"

#include <inttypes.h>
#include <sys/prctl.h>

#define BEAT_NS 5000000ull
/* So much longer it runs for a guest's access that has not passed the door yet. */
#define GUEST_NS 1000000ull
/* What a driver's call may take when the host closes. */
#define CLOSE_NS 10000000000ull
/* A driver that cannot pause it so many beats in turn will not pause it. */
#define FAILURES_MOST 20u
/* A sleep of some 50 us is longer than that by as much, unless the thread asks for better. */
#define TIMER_SLACK_NS 1000ul

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

/* True: it needs a thread, which is the caller's to start. */
static bool set(struct dxgk_partition *partition, uint32_t percent)
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
    (void)set(partition, 0);
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

/* ---- the thread ---- */

static void say_stands(struct dxgk_throttle *throttle, bool stands)
{
    vf_lock(&throttle->lock);
    throttle->stands = stands;
    vf_cond_broadcast(&throttle->changed);
    vf_unlock(&throttle->lock);
}

/* It stands until then, as long as the throttle is the same and nobody wants the lock. */
static void stand_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns)
{
    const uint64_t begin = vf_now_ns();

    vf_lock(&throttle->lock);
    while (throttle->percent == percent && throttle->waiting == 0 &&
           vf_cond_wait_until(&throttle->changed, &throttle->lock, until_ns))
        continue;
    throttle->stood_ns += vf_now_ns() - begin;
    vf_unlock(&throttle->lock);
}

/* It runs until then, and for guests that wait a little longer, as long as the throttle is the
 * same. */
static void run_until(struct dxgk_throttle *throttle, uint32_t percent, uint64_t until_ns)
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

/* partition->lock is held. False: it cannot be slowed any more. */
static bool stand(struct dxgk_partition *partition, uint32_t percent, uint32_t *failures)
{
    struct dxgk_throttle *throttle = &partition->throttle;
    struct vf_error err = VF_ERROR_INIT;
    bool goes_on = true;

    say_stands(throttle, true);
    if (dxgk_stand(partition, &err) == 0) {
        *failures = 0;
        stand_until(throttle, percent, vf_now_ns() + BEAT_NS * percent / 100);
        goes_on = dxgk_stand_over(partition, &err) == 0;
    } else if (++*failures >= FAILURES_MOST) {
        log_warn("partition %s: is not slowed: %s", partition->params.name, err.text);
        goes_on = false;
    }
    say_stands(throttle, false);
    return goes_on;
}

/* One beat. False: it is not moving any more, or gone. */
static bool beat(struct dxgk_partition *partition, uint32_t percent, uint32_t *failures)
{
    struct dxgk_throttle *throttle = &partition->throttle;
    struct vf_error err = VF_ERROR_INIT;
    bool goes_on;

    if (dxgk_partition_lock_slowly(partition->adapter->dxgk, partition->id, &err) == NULL)
        return false;
    /* Who took the throttle back held the lock meanwhile. */
    if (vf_locked(&throttle->lock, throttle->percent != percent))
        goes_on = true;
    else
        goes_on = dxgk_partition_state(partition) == VF_PARTITION_OUTGOING &&
                  stand(partition, percent, failures);
    dxgk_partition_unlock(partition);
    if (goes_on)
        run_until(throttle, percent, vf_now_ns() + BEAT_NS * (100 - percent) / 100);
    return goes_on;
}

/* The throttle's percent; 0: this thread is over, another may start. Unless it `goes_on`, what was
 * asked for and served as `percent` is over; what was asked for since is not. */
static uint32_t next(struct dxgk_throttle *throttle, uint32_t percent, bool goes_on)
{
    vf_lock(&throttle->lock);
    if (!goes_on && throttle->percent == percent)
        throttle->percent = 0;
    percent = throttle->percent;
    throttle->runs = percent != 0;
    vf_unlock(&throttle->lock);
    return percent;
}

static void thread_over(struct dxgk *dxgk)
{
    vf_lock(&dxgk->lock);
    dxgk->throttles--;
    vf_cond_broadcast(&dxgk->throttle_over);
    vf_unlock(&dxgk->lock);
}

static void *throttle_main(void *arg)
{
    struct dxgk_partition *partition = arg;
    struct dxgk *dxgk = partition->adapter->dxgk;
    uint32_t percent = 0, failures = 0;
    bool goes_on = true;

    (void)prctl(PR_SET_NAME, "throttle");
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    while ((percent = next(&partition->throttle, percent, goes_on)) != 0)
        goes_on = beat(partition, percent, &failures);
    dxgk_partition_put(partition);
    thread_over(dxgk);
    return NULL;
}

static int start(struct dxgk_partition *partition, uint32_t percent, struct vf_error *err)
{
    struct dxgk *dxgk = partition->adapter->dxgk;
    int failed;

    vf_lock(&dxgk->lock);
    dxgk->throttles++;
    vf_unlock(&dxgk->lock);
    atomic_fetch_add(&partition->refs, 1);
    failed = vf_thread_detached(throttle_main, partition);
    if (failed == 0)
        return 0;
    (void)next(&partition->throttle, percent, false);
    dxgk_partition_put(partition);
    thread_over(dxgk);
    return vf_fail_errno(err, VF_FAILED, failed, "partition %s: no thread to slow it",
                         partition->params.name);
}

bool dxgk_throttles_wait(struct dxgk *dxgk)
{
    const uint64_t until = vf_now_ns() + CLOSE_NS;
    bool in_time = true;

    vf_lock(&dxgk->lock);
    while (dxgk->throttles != 0 && in_time)
        in_time = vf_cond_wait_until(&dxgk->throttle_over, &dxgk->lock, until);
    in_time = dxgk->throttles == 0;
    vf_unlock(&dxgk->lock);
    return in_time;
}

/* ---- for the management side ---- */

static int throttle(struct dxgk_partition *partition, uint32_t percent, struct vf_error *err)
{
    if (percent > DXGK_THROTTLE_MOST)
        return vf_fail(err, VF_USAGE, "partition %s: a throttle of %" PRIu32 " %%; at most %u",
                       partition->params.name, percent, DXGK_THROTTLE_MOST);
    if (percent != 0 && dxgk_partition_state(partition) != VF_PARTITION_OUTGOING)
        return dxgk_partition_wrong_state(partition, "only one that runs and moves is slowed", err);
    return set(partition, percent) ? start(partition, percent, err) : 0;
}

int dxgk_partition_throttle(struct dxgk *dxgk, uint64_t id, uint32_t percent, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    int result;

    if (partition == NULL)
        return -1;
    result = throttle(partition, percent, err);
    dxgk_partition_unlock(partition);
    return result;
}
