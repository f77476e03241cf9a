// SPDX-License-Identifier: Apache-2.0
/*
 * The table of calls and what each does, but for those of a live migration (server_migration.c):
 * checks of what the client sent, the dxgk function, its result. A handler finds its argument
 * struct whole and its tail no longer than the table allows; everything inside both is still a
 * stranger's word.
 */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/log.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- host, adapters, events ---- */

static int call_host(struct ks_call *call, struct vf_error *err)
{
    struct ks_server *server = call->server;
    struct kc_host *host = ks_result(call, sizeof *host, err);
    struct vf_partition_info none;
    size_t count = 0;

    if (host == NULL || dxgk_partition_list(server->dxgk, &none, 0, &count, err) != 0)
        return -1;
    host->kernel_pid = getpid();
    host->adapters = (uint32_t)dxgk_adapter_count(server->dxgk);
    host->partitions = (uint32_t)count;
    (void)snprintf(host->version, sizeof host->version, "%s", VFERRY_VERSION);
    (void)snprintf(host->specs, sizeof host->specs, "%s", server->specs);
    return 0;
}

static int call_shutdown(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_shutdown *args = call->args;
    struct ks_server *server = call->server;
    size_t partitions;

    if (!ks_begin_end(server, args->force != 0, &partitions))
        return vf_fail(err, VF_FAILED,
                       "end of the kernel side: it has partitions (%zu, or one being made); "
                       "remove them or use --force, which drops them",
                       partitions);
    if (partitions > 0)
        log_warn("forced end: %zu partitions are dropped", partitions);
    vf_lock(&server->lock);
    if (server->farewell_fd < 0) {
        server->farewell_fd = dup(call->conn->fd);
        call->conn->farewell = server->farewell_fd >= 0;
    }
    vf_unlock(&server->lock);
    call->stop_after = true;
    return 0;
}

static int call_adapter_info(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_adapter *args = call->args;
    struct vf_adapter_info *info = ks_result(call, sizeof *info, err);

    return info == NULL ? -1 : dxgk_adapter_info(call->server->dxgk, args->adapter, info, err);
}

static int call_events(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_events *args = call->args;
    uint32_t capacity = args->capacity < KCALL_MAX_EVENTS ? args->capacity : KCALL_MAX_EVENTS;
    struct kc_event *events = ks_result(call, capacity * sizeof *events, err);

    if (events == NULL)
        return -1;
    call->result_bytes =
        ks_events_read(&call->server->events, args->after, events, capacity) * sizeof *events;
    return 0;
}

/* ---- partitions ---- */

static int call_destroy(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_partition *args = call->args;

    ks_await_abandoned_channels(call->server, args->id);
    return dxgk_partition_destroy(call->server->dxgk, args->id, err);
}

static int call_info(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_partition *args = call->args;
    struct vf_partition_info *info = ks_result(call, sizeof *info, err);

    return info == NULL ? -1 : dxgk_partition_info(call->server->dxgk, args->id, info, err);
}

static int call_list(struct ks_call *call, struct vf_error *err)
{
    struct vf_partition_info *list = ks_result(call, VF_MAX_PARTITIONS * sizeof *list, err);
    size_t count = 0;

    if (list == NULL ||
        dxgk_partition_list(call->server->dxgk, list, VF_MAX_PARTITIONS, &count, err) != 0)
        return -1;
    call->result_bytes = (count < VF_MAX_PARTITIONS ? count : VF_MAX_PARTITIONS) * sizeof *list;
    return 0;
}

static int call_params(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_partition *args = call->args;
    struct vf_partition_params *params = ks_result(call, sizeof *params, err);

    return params == NULL ? -1 : dxgk_partition_params(call->server->dxgk, args->id, params, err);
}

static int call_find(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_find *args = call->args;
    struct vf_partition_info *list;
    size_t count = 0;

    if (ks_check_name(args->name, err) != 0 || call_list(call, err) != 0)
        return -1;
    list = (struct vf_partition_info *)(void *)(call->conn->out.data + KS_RESULT_AT);
    count = call->result_bytes / sizeof *list;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(list[i].name, args->name, sizeof list[i].name) == 0) {
            list[0] = list[i];
            call->result_bytes = sizeof *list;
            return 0;
        }
    }
    return vf_fail(err, VF_FAILED,
                   "no partition %s" VF_REMEDY "\"vferry partition list\" shows them", args->name);
}

static int call_pause(struct ks_call *call, struct vf_error *err)
{
    return dxgk_partition_pause(call->server->dxgk,
                                ((const struct kcall_partition *)call->args)->id, err);
}

static int call_resume(struct ks_call *call, struct vf_error *err)
{
    return dxgk_partition_resume(call->server->dxgk,
                                 ((const struct kcall_partition *)call->args)->id, err);
}

static int call_clock(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_partition *args = call->args;
    struct vf_partition_clock *moments = ks_result(call, sizeof *moments, err);

    return moments == NULL ? -1 : dxgk_partition_clock(call->server->dxgk, args->id, moments, err);
}

static int call_set_epoch(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_epoch *args = call->args;

    return dxgk_partition_set_epoch(call->server->dxgk, args->id, args->epoch, err);
}

static int call_watch(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_partition *args = call->args;

    if (dxgk_partition_watch(call->server->dxgk, args->id, &call->pass_fd, err) != 0)
        return -1;
    call->pass_owned = true;
    return 0;
}

static int call_reset(struct ks_call *call, struct vf_error *err)
{
    return dxgk_partition_reset(call->server->dxgk,
                                ((const struct kcall_partition *)call->args)->id, err);
}

static int check_bar(const struct kcall_bar *args, struct vf_error *err)
{
    if (args->bytes == 0 || args->bytes > KCALL_BAR_CHUNK ||
        args->offset > UINT64_MAX - args->bytes)
        return vf_fail(err, VF_USAGE,
                       "BAR %" PRIu32 ": %" PRIu32 " bytes at 0x%" PRIx64
                       ": 1 to %u bytes at a time, inside the BAR",
                       args->bar, args->bytes, args->offset, KCALL_BAR_CHUNK);
    return 0;
}

static int call_bar_read(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_bar *args = call->args;
    void *data;

    if (check_bar(args, err) != 0)
        return -1;
    data = ks_result(call, args->bytes, err);
    if (data == NULL)
        return -1;
    return dxgk_partition_bar_read(call->server->dxgk, args->id, args->bar, args->offset, data,
                                   args->bytes, err);
}

static int call_bar_write(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_bar *args = call->args;

    if (check_bar(args, err) != 0 || ks_exact(call, "BAR write", args->bytes, err) != 0)
        return -1;
    return dxgk_partition_bar_write(call->server->dxgk, args->id, args->bar, args->offset,
                                    call->tail, args->bytes, err);
}

#define NONE sizeof(struct kcall_none)
#define PARTITION sizeof(struct kcall_partition)

static const struct ks_op ops[KCALL_OPS] = {
    /* KCALL_HELLO is the connection's own. */
    [KCALL_HOST] = {"host", NONE, 0, call_host},
    [KCALL_SHUTDOWN] = {"shutdown", sizeof(struct kcall_shutdown), 0, call_shutdown},
    [KCALL_ADAPTER_INFO] = {"adapter-info", sizeof(struct kcall_adapter), 0, call_adapter_info},
    [KCALL_PARTITION_CREATE] = {"partition-create", sizeof(struct kcall_create), 0,
                                ks_partition_create},
    [KCALL_PARTITION_DESTROY] = {"partition-destroy", PARTITION, 0, call_destroy},
    [KCALL_PARTITION_INFO] = {"partition-info", PARTITION, 0, call_info},
    [KCALL_PARTITION_LIST] = {"partition-list", NONE, 0, call_list},
    [KCALL_PARTITION_PARAMS] = {"partition-params", PARTITION, 0, call_params},
    [KCALL_PARTITION_FIND] = {"partition-find", sizeof(struct kcall_find), 0, call_find},
    [KCALL_PARTITION_PAUSE] = {"partition-pause", PARTITION, 0, call_pause},
    [KCALL_PARTITION_RESUME] = {"partition-resume", PARTITION, 0, call_resume},
    [KCALL_PARTITION_CLOCK] = {"partition-clock", PARTITION, 0, call_clock},
    [KCALL_PARTITION_SET_EPOCH] = {"partition-set-epoch", sizeof(struct kcall_epoch), 0,
                                   call_set_epoch},
    [KCALL_BAR_READ] = {"bar-read", sizeof(struct kcall_bar), 0, call_bar_read},
    [KCALL_BAR_WRITE] = {"bar-write", sizeof(struct kcall_bar), KCALL_BAR_CHUNK, call_bar_write},
    [KCALL_PREPARE] = {"prepare", sizeof(struct kcall_prepare), 0, ks_call_prepare},
    [KCALL_SAVE_IMMUTABLE] = {"save-immutable", PARTITION, 0, ks_call_save_immutable},
    [KCALL_RESTORE_IMMUTABLE] = {"restore-immutable", sizeof(struct kcall_blobs),
                                 3 * VF_MAX_MIGRATION_BLOB, ks_call_restore_immutable},
    [KCALL_QUERY_DIRTY] = {"query-dirty", sizeof(struct kcall_query_dirty), 0, ks_call_query_dirty},
    [KCALL_SAMPLE_DIRTY] = {"sample-dirty", sizeof(struct kcall_query_dirty), 0,
                            ks_call_sample_dirty},
    [KCALL_SAVE_MUTABLE] = {"save-mutable", PARTITION, 0, ks_call_save_mutable},
    [KCALL_RESTORE_MUTABLE] = {"restore-mutable", sizeof(struct kcall_blobs),
                               3 * VF_MAX_MIGRATION_BLOB, ks_call_restore_mutable},
    [KCALL_END] = {"end", PARTITION, 0, ks_call_end},
    [KCALL_THROTTLE] = {"throttle", sizeof(struct kcall_throttle), 0, ks_call_throttle},
    [KCALL_CHANNEL_OPEN] = {"channel-open", sizeof(struct kcall_channel_open), 0, ks_channel_open},
    [KCALL_EVENTS] = {"events", sizeof(struct kcall_events), 0, call_events},
    [KCALL_DRIVER_INFO] = {"driver-info", sizeof(struct kcall_adapter), 0, ks_call_driver_info},
    [KCALL_DRIVER_UPDATE] = {"driver-update", sizeof(struct kcall_driver_update),
                             KCALL_MAX_PATH - 1, ks_call_driver_update},
    [KCALL_DEFRAG] = {"defrag", sizeof(struct kcall_defrag), 0, ks_call_defrag},
    [KCALL_DRIVER_CALL] = {"driver-call", NONE, 0, ks_call_driver_call},
    [KCALL_WAITERS] = {"waiters", NONE, 0, ks_call_waiters},
    [KCALL_PARTITION_WATCH] = {"partition-watch", PARTITION, 0, call_watch},
    [KCALL_PARTITION_RESET] = {"partition-reset", PARTITION, 0, call_reset},
};

const struct ks_op *ks_op_find(uint32_t op)
{
    return op < KCALL_OPS && ops[op].handler != NULL ? &ops[op] : NULL;
}
