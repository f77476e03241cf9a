// SPDX-License-Identifier: Apache-2.0
/* The client library: the calls about host, drivers and partitions. See client.h. */
#define LOG_ROOM "kernel-client"
#include "kernel/client_impl.h"

#include "base/cleanup.h"
#include "base/plain.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- host and adapters ---- */

int kc_host(struct kc *kc, struct kc_host *out, struct vf_error *err)
{
    struct kcall_none args = {0};
    struct kc_call call = {.op = KCALL_HOST,
                           .what = "ask the kernel side about itself",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    if (kc_call(kc, &call, err) != 0)
        return -1;
    out->version[sizeof out->version - 1] = '\0';
    out->specs[sizeof out->specs - 1] = '\0';
    return 0;
}

int kc_specs(const char *const *devices, size_t device_count, const char *const *drivers,
             size_t driver_count, char *out, size_t out_bytes, struct vf_error *err)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < device_count + driver_count; i++) {
        bool device = i < device_count;
        int length =
            snprintf(out + used, out_bytes - used, "%s--%s %s", used > 0 ? " " : "",
                     device ? "device" : "driver", device ? devices[i] : drivers[i - device_count]);

        if (length < 0 || (size_t)length >= out_bytes - used)
            return vf_fail(err, VF_USAGE,
                           "devices and drivers: %zu bytes of options at most; use shorter paths",
                           out_bytes - 1);
        used += (size_t)length;
    }
    return 0;
}

int kc_shutdown_begin(struct kc *kc, bool force, struct vf_error *err)
{
    struct kcall_shutdown args = {.force = force};
    struct kc_call call = {
        .op = KCALL_SHUTDOWN, .what = "end the kernel side", .in = {{&args, sizeof args}}};

    return kc_call(kc, &call, err);
}

int kc_shutdown_wait(struct kc *kc, struct vf_error *err)
{
    char byte;
    int result;

    /* This connection is the last thing the kernel side lets go of: its end is the end of
     * everything there. */
    vf_lock(&kc->lock);
    do {
        errno = 0;
        result = kc_await(kc, "end the kernel side", err);
    } while (result == 0 && (recv(kc->fd, &byte, sizeof byte, 0) > 0 || errno == EINTR));
    kc->gone = true;
    vf_unlock(&kc->lock);
    return result;
}

int kc_adapter_info(struct kc *kc, uint32_t adapter, struct vf_adapter_info *out,
                    struct vf_error *err)
{
    struct kcall_adapter args = {.adapter = adapter};
    struct kc_call call = {.op = KCALL_ADAPTER_INFO,
                           .what = "show adapter",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    return kc_call(kc, &call, err);
}

/* ---- drivers ---- */

int kc_driver_info(struct kc *kc, uint32_t adapter, struct vf_driver_info *out,
                   struct vf_error *err)
{
    struct kcall_adapter args = {.adapter = adapter};
    struct kc_call call = {.op = KCALL_DRIVER_INFO,
                           .what = "show driver",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    if (kc_call(kc, &call, err) != 0)
        return -1;
    out->path[sizeof out->path - 1] = '\0';
    out->digest[sizeof out->digest - 1] = '\0';
    return 0;
}

int kc_driver_update(struct kc *kc, uint32_t adapter, const char *path, bool dry_run,
                     struct vf_driver_update *out, struct vf_error *err)
{
    struct kcall_driver_update args = {.adapter = adapter, .dry_run = dry_run};
    struct kc_call call = {.op = KCALL_DRIVER_UPDATE,
                           .what = "update driver",
                           .in = {{&args, sizeof args}, {path, strlen(path)}},
                           .result = out,
                           .result_bytes = sizeof *out,
                           .result_on_failure = true};
    int result;

    *out = (struct vf_driver_update){0};
    result = kc_call(kc, &call, err);
    out->before[sizeof out->before - 1] = '\0';
    out->after[sizeof out->after - 1] = '\0';
    return result;
}

int kc_driver_call(struct kc *kc, struct kc_driver_call *out, struct vf_error *err)
{
    struct kcall_none args = {0};
    struct kc_call call = {.op = KCALL_DRIVER_CALL,
                           .what = "ask what drivers do",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    *out = (struct kc_driver_call){0};
    if (kc_call(kc, &call, err) != 0)
        return -1;
    out->ddi[sizeof out->ddi - 1] = '\0';
    out->driver[sizeof out->driver - 1] = '\0';
    return 0;
}

int kc_waiters(struct kc *kc, struct kc_waiter *out, size_t *count, struct vf_error *err)
{
    struct kcall_none args = {0};
    struct kc_call call = {.op = KCALL_WAITERS,
                           .what = "ask who waits for drivers",
                           .in = {{&args, sizeof args}},
                           .tail_max = KC_WAITERS * sizeof *out,
                           .tail = out};

    *count = 0;
    if (kc_call(kc, &call, err) != 0)
        return -1;
    *count = call.tail_bytes / sizeof *out;
    for (size_t i = 0; i < *count; i++) {
        out[i].partition[sizeof out[i].partition - 1] = '\0';
        out[i].call.ddi[sizeof out[i].call.ddi - 1] = '\0';
        out[i].call.driver[sizeof out[i].call.driver - 1] = '\0';
    }
    return 0;
}

uint32_t kc_connection(const struct kc *kc)
{
    return kc->connection;
}

int kc_defrag(struct kc *kc, uint32_t adapter, bool dry_run, struct vf_defrag *out,
              struct vf_error *err)
{
    struct kcall_defrag args = {.adapter = adapter, .dry_run = dry_run};
    struct kc_call call = {.op = KCALL_DEFRAG,
                           .what = "defragment",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out,
                           .result_on_failure = true};
    int result;

    *out = (struct vf_defrag){0};
    result = kc_call(kc, &call, err);
    if (out->count > VF_MAX_DEFRAG_MOVES)
        out->count = VF_MAX_DEFRAG_MOVES;
    for (uint32_t i = 0; i < out->count; i++) {
        out->moves[i].partition[sizeof out->moves[i].partition - 1] = '\0';
        out->moves[i].why[sizeof out->moves[i].why - 1] = '\0';
    }
    return result;
}

/* ---- partitions ---- */

int kc_partition_create(struct kc *kc, const struct vf_partition_params *params, bool incoming,
                        struct vf_partition_info *out, struct vf_error *err)
{
    struct kcall_create args = {.params = *params, .incoming = incoming};
    struct kc_call call = {.op = KCALL_PARTITION_CREATE,
                           .what = "create partition",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    return kc_call(kc, &call, err);
}

int kc_partition_destroy(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_PARTITION_DESTROY, "remove partition", id, err);
}

int kc_partition_info(struct kc *kc, uint64_t id, struct vf_partition_info *out,
                      struct vf_error *err)
{
    return kc_ask_partition(kc, KCALL_PARTITION_INFO, "show partition", id, out, sizeof *out, err);
}

int kc_partition_list(struct kc *kc, struct vf_partition_info **list, size_t *count,
                      struct vf_error *err)
{
    struct kcall_none args = {0};
    void *tail = NULL;
    struct kc_call call = {.op = KCALL_PARTITION_LIST,
                           .what = "list partitions",
                           .in = {{&args, sizeof args}},
                           .tail_max = VF_MAX_PARTITIONS * sizeof **list,
                           .tail_copy = &tail};

    *list = NULL;
    *count = 0;
    if (kc_call(kc, &call, err) != 0)
        return -1;
    *list = tail;
    *count = call.tail_bytes / sizeof **list;
    return 0;
}

int kc_partition_params(struct kc *kc, uint64_t id, struct vf_partition_params *out,
                        struct vf_error *err)
{
    return kc_ask_partition(kc, KCALL_PARTITION_PARAMS, "creation parameters of a partition", id,
                            out, sizeof *out, err);
}

int kc_partition_find(struct kc *kc, const char *name, struct vf_partition_info *out,
                      struct vf_error *err)
{
    struct kcall_find args = {0};
    struct kc_call call = {.op = KCALL_PARTITION_FIND,
                           .what = "find partition",
                           .in = {{&args, sizeof args}},
                           .result = out,
                           .result_bytes = sizeof *out};

    if (!vf_name_valid(name)) /* nor could the call carry it */
        return vf_fail(err, VF_FAILED,
                       "no partition %s" VF_REMEDY "\"vferry partition list\" shows them",
                       VF_SHOWN(name));
    memcpy(args.name, name, strlen(name));
    return kc_call(kc, &call, err);
}

int kc_partition_pause(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_PARTITION_PAUSE, "pause partition", id, err);
}

int kc_partition_resume(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_PARTITION_RESUME, "resume partition", id, err);
}

int kc_partition_clock(struct kc *kc, uint64_t id, struct vf_partition_clock *out,
                       struct vf_error *err)
{
    return kc_ask_partition(kc, KCALL_PARTITION_CLOCK, "clock of a partition", id, out, sizeof *out,
                            err);
}

int kc_partition_watch(struct kc *kc, uint64_t id, int *fd, struct vf_error *err)
{
    struct kcall_partition args = {id};
    struct kc_call call = {.op = KCALL_PARTITION_WATCH,
                           .what = "watch partition",
                           .in = {{&args, sizeof args}},
                           .passed_fd = fd};

    *fd = -1;
    if (kc_call(kc, &call, err) != 0)
        return -1;
    return *fd >= 0 ? 0
                    : vf_fail(err, VF_FAILED,
                              "watch partition: no descriptor came along; restart "
                              "the host");
}

int kc_partition_reset(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_PARTITION_RESET, "reset partition", id, err);
}

int kc_partition_set_epoch(struct kc *kc, uint64_t id, uint64_t epoch, struct vf_error *err)
{
    struct kcall_epoch args = {id, epoch};
    struct kc_call call = {
        .op = KCALL_PARTITION_SET_EPOCH, .what = "set epoch", .in = {{&args, sizeof args}}};

    return kc_call(kc, &call, err);
}
