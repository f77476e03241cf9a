// SPDX-License-Identifier: Apache-2.0
/* The calls about drivers at work and the VRAM of an adapter. See server_impl.h. */
#include "kernel/server_impl.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int ks_call_driver_info(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_adapter *args = call->args;
    struct vf_driver_info *info = ks_result(call, sizeof *info, err);

    return info == NULL ? -1 : dxgk_driver_info(call->server->dxgk, args->adapter, info, err);
}

int ks_call_driver_update(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_driver_update *args = call->args;
    struct vf_driver_update *update;
    char path[KCALL_MAX_PATH] = "";

    if (args->dry_run > 1 || call->tail_bytes == 0 || call->tail_bytes >= sizeof path ||
        memchr(call->tail, '\0', call->tail_bytes) != NULL || call->tail[0] != '/')
        return vf_fail(err, VF_USAGE,
                       "driver update: give the absolute path of a driver, %zu bytes at most",
                       sizeof path - 1);
    memcpy(path, call->tail, call->tail_bytes);
    update = ks_result(call, sizeof *update, err);
    if (update == NULL)
        return -1;
    call->result_on_failure = true;
    return dxgk_driver_update(call->server->dxgk, args->adapter, path, args->dry_run == 1, update,
                              err);
}

int ks_call_defrag(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_defrag *args = call->args;
    struct vf_defrag *done;

    if (args->dry_run > 1)
        return vf_fail(err, VF_USAGE, "defragment: dry_run is 0 or 1");
    done = ks_result(call, sizeof *done, err);
    if (done == NULL)
        return -1;
    call->result_on_failure = true;
    return dxgk_defrag(call->server->dxgk, args->adapter, args->dry_run == 1, done, err);
}

static void copy_call(struct kc_driver_call *out, const struct dxgk_driver_call *call)
{
    out->ns = call->ns;
    out->adapter = call->adapter;
    memcpy(out->ddi, call->ddi, sizeof out->ddi);
    memcpy(out->driver, call->driver, sizeof out->driver);
}

int ks_call_driver_call(struct ks_call *call, struct vf_error *err)
{
    struct kc_driver_call *out = ks_result(call, sizeof *out, err);
    struct dxgk_driver_call longest;

    if (out == NULL)
        return -1;
    dxgk_longest_call(&longest);
    copy_call(out, &longest);
    return 0;
}

int ks_call_waiters(struct ks_call *call, struct vf_error *err)
{
    cleanup_free struct dxgk_waiter *waiters = calloc(KC_WAITERS, sizeof *waiters);
    struct kc_waiter *out;
    size_t count;

    if (waiters == NULL)
        return vf_fail(err, VF_FAILED, "who waits for drivers: " VF_NO_MEMORY);
    count = dxgk_waiters(waiters, KC_WAITERS);
    out = ks_result(call, count * sizeof *out, err);
    if (out == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        out[i].connection = waiters[i].connection;
        memcpy(out[i].partition, waiters[i].partition, sizeof out[i].partition);
        copy_call(&out[i].call, &waiters[i].call);
    }
    return 0;
}
