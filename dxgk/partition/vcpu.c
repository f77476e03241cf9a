// SPDX-License-Identifier: Apache-2.0
/* See vcpu.h. */
#include "dxgk/partition/vcpu.h"

#include "base/thread.h"

void dxgk_vcpu_shut(struct dxgk_partition *partition)
{
    vf_write_lock(&partition->vcpu);
    partition->vcpu_shut = true;
    vf_rw_unlock(&partition->vcpu);
}

void dxgk_vcpu_open(struct dxgk_partition *partition)
{
    vf_write_lock(&partition->vcpu);
    partition->vcpu_shut = false;
    vf_rw_unlock(&partition->vcpu);
}

void dxgk_vcpu_set_gone(struct dxgk_partition *partition, bool gone)
{
    vf_write_lock(&partition->vcpu);
    partition->vcpu_gone = gone;
    vf_rw_unlock(&partition->vcpu);
}
