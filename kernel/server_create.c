// SPDX-License-Identifier: Apache-2.0
/* The call that takes as long as VRAM is large: creation of a partition, for as long as whoever
 * asked for it wants it. */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/log.h"

static bool still_there(void *conn)
{
    return !ks_peer_hung_up(((const struct ks_conn *)conn)->fd);
}

/* Its daemon calls it off (kc_call_off), or died while VRAM was being cleaned: the next one looked
 * for what was left behind, and saw at most a partition that is being built. */
static int create_incoming(struct ks_call *call, struct vf_partition_info *info,
                           struct vf_error *err)
{
    const struct kcall_create *args = call->args;
    const struct dxgk_wanted wanted = {still_there, call->conn};
    int result = dxgk_partition_await(call->server->dxgk, &args->params, &wanted, info, err);

    if (result == 0 && !still_there(call->conn))
        result = dxgk_partition_destroy(call->server->dxgk, info->id, err) != 0
                     ? -1
                     : vf_fail(err, VF_CANCELLED, "create partition: whoever asked for it is gone");
    if (result != 0 && err->code == VF_CANCELLED)
        log_info("partition %s: %s", args->params.name, err->text);
    return result;
}

int ks_partition_create(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_create *args = call->args;
    struct vf_partition_info *info;
    int result;

    if (ks_check_name(args->params.name, err) != 0)
        return -1;
    if (args->incoming > 1)
        return vf_fail(err, VF_USAGE, "create partition: incoming is 0 or 1");
    info = ks_result(call, sizeof *info, err);
    if (info == NULL)
        return -1;
    if (!ks_create_begin(call->server))
        return vf_fail(err, VF_FAILED,
                       "create partition: the kernel side is ending; start the host again");
    result = args->incoming == 1 ? create_incoming(call, info, err)
                                 : dxgk_partition_create(call->server->dxgk, &args->params, false,
                                                         info, err);
    ks_create_end(call->server);
    return result;
}
