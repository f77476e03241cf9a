// SPDX-License-Identifier: Apache-2.0
/* See beats.h. */
#define LOG_ROOM "throttle"
#include "dxgk/partition/beats.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/partition/hold.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/throttle.h"

#include <inttypes.h>
#include <sys/prctl.h>

#define BEAT_NS 5000000ull
/* What a driver's call may take when the host closes. */
#define CLOSE_NS 10000000000ull
/* A driver that cannot pause it so many beats in turn will not pause it. */
#define FAILURES_MOST 20u
/* A sleep of some 50 us is longer than that by as much, unless the thread asks for better. */
#define TIMER_SLACK_NS 1000ul

/* partition->lock is held. False: it cannot be slowed any more. */
static bool stand(struct dxgk_partition *partition, uint32_t percent, uint32_t *failures)
{
    struct dxgk_throttle *throttle = &partition->throttle;
    struct vf_error err = VF_ERROR_INIT;
    bool goes_on = true;

    dxgk_throttle_say_stands(throttle, true);
    if (dxgk_stand(partition, &err) == 0) {
        *failures = 0;
        dxgk_throttle_stand_until(throttle, percent, vf_now_ns() + BEAT_NS * percent / 100);
        goes_on = dxgk_stand_over(partition, &err) == 0;
    } else if (++*failures >= FAILURES_MOST) {
        log_warn("partition %s: is not slowed: %s", partition->params.name, err.text);
        goes_on = false;
    }
    dxgk_throttle_say_stands(throttle, false);
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
        dxgk_throttle_run_until(throttle, percent, vf_now_ns() + BEAT_NS * (100 - percent) / 100);
    return goes_on;
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
    while ((percent = dxgk_throttle_next(&partition->throttle, percent, goes_on)) != 0)
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
    (void)dxgk_throttle_next(&partition->throttle, percent, false);
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
    if (percent > VF_THROTTLE_MOST)
        return vf_fail(err, VF_USAGE, "partition %s: a throttle of %" PRIu32 " %%; at most %u",
                       partition->params.name, percent, VF_THROTTLE_MOST);
    if (percent != 0 && dxgk_partition_state(partition) != VF_PARTITION_OUTGOING)
        return dxgk_partition_wrong_state(partition, "only one that runs and moves is slowed", err);
    return dxgk_throttle_set(partition, percent) ? start(partition, percent, err) : 0;
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
