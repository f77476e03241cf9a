// SPDX-License-Identifier: Apache-2.0
/* See hold.h. */
#define LOG_ROOM "hold"
#include "dxgk/partition/hold.h"

#include "base/log.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/vcpu.h"

#include <time.h>

#define RESUME_TRIES 5u
#define RESUME_WAIT_NS 10000000l /* before the second try, doubled: 150 ms in all */

void dxgk_holders_set(struct dxgk_partition *partition, uint32_t holders)
{
    atomic_store(&partition->holders, holders);
}

static enum vf_partition_state standing(enum vf_partition_state state)
{
    return state == VF_PARTITION_OUTGOING ? VF_PARTITION_OUTGOING_PAUSED : VF_PARTITION_PAUSED;
}

static enum vf_partition_state going(enum vf_partition_state state)
{
    return state == VF_PARTITION_OUTGOING_PAUSED ? VF_PARTITION_OUTGOING : VF_PARTITION_RUNNING;
}

int dxgk_hold(struct dxgk_partition *partition, enum vf_holder who, const char *why,
              struct vf_error *err)
{
    enum vf_partition_state state = dxgk_partition_state(partition);
    uint32_t before = dxgk_holders(partition);

    dxgk_holders_set(partition, before | who);
    if (state != VF_PARTITION_RUNNING && state != VF_PARTITION_OUTGOING)
        return 0;
    /* First the vCPUs, so that no store comes behind the VF's last. */
    dxgk_vcpu_shut(partition);
    if (dxgk_ddi_set_pause(partition, true, err) != 0) {
        dxgk_vcpu_open(partition);
        dxgk_holders_set(partition, before);
        return -1;
    }
    (void)vf_fsm_set(&partition->fsm, standing(state), why);
    return 0;
}

int dxgk_stand(struct dxgk_partition *partition, struct vf_error *err)
{
    dxgk_holders_set(partition, DXGK_HOLD_STAND);
    dxgk_vcpu_shut(partition);
    if (dxgk_ddi_set_pause(partition, true, err) == 0)
        return 0;
    dxgk_vcpu_open(partition);
    dxgk_holders_set(partition, 0);
    return -1;
}

static void wait_before(unsigned attempt)
{
    struct timespec wait = {.tv_nsec = RESUME_WAIT_NS << (attempt - 1)};

    /* A signal only brings the next try forward. */
    (void)nanosleep(&wait, NULL);
}

static int resume(struct dxgk_partition *partition, struct vf_error *err)
{
    for (unsigned i = 0; i < RESUME_TRIES; i++) {
        if (i != 0)
            wait_before(i);
        if (dxgk_ddi_set_pause(partition, false, err) == 0)
            return 0;
        log_warn("partition %s: not resumed: %s", partition->params.name, err->text);
    }
    return -1;
}

/* It is whole, and nobody but the driver keeps it. */
static int stands(struct dxgk_partition *partition, uint32_t rest, const struct vf_error *why,
                  struct vf_error *err)
{
    const char *name = partition->params.name;
    /* What hung is reset, which resumes it. */
    const char *verb = dxgk_partition_state(partition) == VF_PARTITION_FAULTED ? "reset" : "resume";

    dxgk_holders_set(partition, rest | VF_HOLD_FAULT);
    dxgk_event(partition->adapter->dxgk, "state",
               "partition %s stands here paused: %s; let it run with \"vferry partition %s %s\"",
               name, why->text, verb, name);
    (void)vf_fail(err, VF_STANDS,
                  "partition %s stands here paused: %.250s" VF_REMEDY
                  "let it run with \"vferry partition %s %s\"",
                  name, why->text, verb, name);
    if (err != NULL)
        err->status = why->status;
    return -1;
}

int dxgk_release(struct dxgk_partition *partition, uint32_t who, const char *why,
                 struct vf_error *err)
{
    enum vf_partition_state state = dxgk_partition_state(partition);
    uint32_t rest = dxgk_holders(partition) & ~who;
    struct vf_error failed = VF_ERROR_INIT;

    if (rest != 0 || state == VF_PARTITION_RUNNING || state == VF_PARTITION_OUTGOING) {
        dxgk_holders_set(partition, rest);
        return 0;
    }
    if (resume(partition, &failed) != 0) {
        if (state != VF_PARTITION_READY)
            return stands(partition, rest, &failed, err);
        if (err != NULL)
            *err = failed;
        return -1;
    }
    (void)vf_fsm_set(&partition->fsm, going(state), why);
    dxgk_vcpu_open(partition);
    dxgk_holders_set(partition, 0);
    dxgk_partition_signal(partition);
    return 0;
}

int dxgk_stand_over(struct dxgk_partition *partition, struct vf_error *err)
{
    struct vf_error failed = VF_ERROR_INIT;

    if (resume(partition, &failed) != 0) {
        (void)vf_fsm_set(&partition->fsm, standing(dxgk_partition_state(partition)),
                         "not resumed after a stand");
        return stands(partition, 0, &failed, err);
    }
    dxgk_vcpu_open(partition);
    dxgk_holders_set(partition, 0);
    return 0;
}
