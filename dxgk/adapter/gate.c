// SPDX-License-Identifier: Apache-2.0
/* The gate between whoever calls a driver and its update: see internal.h. */
#include "dxgk/internal.h"

#include "base/thread.h"
#include "dxgk/waits.h"

void dxgk_gate_enter(struct dxgk_adapter *adapter)
{
    dxgk_waits_for(&adapter->gate);
    vf_read_lock(&adapter->gate);
    dxgk_waits_holds(&adapter->gate);
}

void dxgk_gate_leave(struct dxgk_adapter *adapter)
{
    vf_rw_unlock(&adapter->gate);
    dxgk_waits_lets_go(&adapter->gate);
}

int dxgk_gate_alive(const struct dxgk_adapter *adapter, struct vf_error *err)
{
    if (!adapter->dead)
        return 0;
    return vf_fail(err, VF_FAILED,
                   "adapter %u lost its driver in an update; its partitions run on but cannot be "
                   "managed; when their work is done, restart the host",
                   adapter->index);
}
