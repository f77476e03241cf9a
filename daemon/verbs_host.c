// SPDX-License-Identifier: Apache-2.0
/* Verbs about the host as a whole: host, adapter. */
#define LOG_ROOM "host"
#include "base/log.h"
#include "base/size.h"
#include "daemon/kernel_process.h"
#include "daemon/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_END_MS 30000 /* giving back all VRAM of a large host takes a while */
#define JOB_END_NS 30000000000ull

int verb_host_show(struct request *request, struct vf_error *err)
{
    const struct daemon *daemon = request->daemon;
    struct kc_host host;
    struct kc *kc;

    if (request_kc(request, &kc, err) != 0 || kc_host(kc, &host, err) != 0)
        return -1;
    request->result = new_result("vferry.host/1");
    put_text(request->result, "name", daemon->name);
    put_number(request->result, "pid", (uint64_t)getpid());
    put_number(request->result, "kernel_pid", (uint64_t)host.kernel_pid);
    put_text(request->result, "listen", daemon->listen);
    put_text(request->result, "security", mig_security(daemon->mig));
    put_text(request->result, "version", VFERRY_VERSION);
    put_text(request->result, "kernel_version", host.version);
    put_text(request->result, "kernel", host.specs);
    put_number(request->result, "adapters", host.adapters);
    put_number(request->result, "partitions", host.partitions);
    put_text(request->result, "state", daemon->state_dir);
    return 0;
}

/* Waits for the jobs to end, which mig_stop_begin has asked for: forcing the host down is no reason
 * to leave a peer in the dark. */
static void await_jobs(struct mig *mig)
{
    json_t *list = mig_jobs(mig);
    uint64_t deadline = vf_now_ns() + JOB_END_NS;
    size_t index;
    json_t *entry;

    json_array_foreach(list, index, entry) {
        struct mig_job *job;

        if (strcmp(json_string_value(json_object_get(entry, "status")), "running") != 0)
            continue;
        job = mig_job_get(mig, (uint64_t)json_integer_value(json_object_get(entry, "job")));
        if (job == NULL)
            continue;
        while (!mig_job_wait(job, deadline, UINT64_MAX) && vf_now_ns() < deadline)
            continue;
        mig_job_put(job);
    }
    json_decref(list);
}

/* Ends the kernel side. With force no COMMIT is honoured from here on, and what was honoured before
 * is among the partitions that `host` counts. */
static int end_kernel(struct request *request, struct kc *kc, bool force, struct kc_host *host,
                      struct vf_error *err)
{
    struct daemon *daemon = request->daemon;

    if (force) {
        mig_stop_begin(daemon->mig);
        await_jobs(daemon->mig);
    }
    atomic_store(&daemon->kernel_ending, true);
    if ((!force || kc_host(kc, host, err) == 0) && kc_shutdown(kc, force, err) == 0)
        return 0;
    atomic_store(&daemon->kernel_ending, false);
    if (force)
        mig_stop_undo(daemon->mig);
    return -1;
}

int verb_host_stop(struct request *request, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    struct kc_host host;
    struct kc *kc;
    bool force;

    if (request_flag(request, "force", &force, err) != 0 || request_kc(request, &kc, err) != 0 ||
        kc_host(kc, &host, err) != 0)
        return -1;
    if (!force && host.partitions > 0)
        return vf_fail(
            err, VF_FAILED,
            "host stop: %u partition%s would be lost; migrate or remove %s first, or say --force",
            host.partitions, host.partitions == 1 ? "" : "s", host.partitions == 1 ? "it" : "them");
    if (end_kernel(request, kc, force, &host, err) != 0)
        return -1;
    if (kernel_process_wait(daemon, KERNEL_END_MS) != 0)
        log_warn("the kernel side, pid %d, was told to end and has not yet", daemon->kernel_pid);
    log_info("host stop%s: %u partitions dropped", force ? " --force" : "", host.partitions);
    request->result = new_result("vferry.stop/1");
    put_text(request->result, "name", daemon->name);
    put_number(request->result, "pid", (uint64_t)getpid());
    put_number(request->result, "kernel_pid", (uint64_t)host.kernel_pid);
    put_number(request->result, "partitions_dropped", host.partitions);
    daemon_stop(daemon);
    return 0;
}

static void put_adapter(json_t *object, const struct vf_adapter_info *info)
{
    char luid[32];

    put_driver(object, info);
    (void)snprintf(luid, sizeof luid, "0x%08" PRIx32 ":%08" PRIx32, (uint32_t)info->luid.high,
                   info->luid.low);
    put_text(object, "luid", luid);
    put_text(object, "description", info->description);
    put_number(object, "vf_count", info->vf_count);
    put_number(object, "vf_free", info->vf_free);
    put_number(object, "vram_bytes", info->vram_bytes);
    put_number(object, "vram_free_bytes", info->vram_free_bytes);
    put_number(object, "vram_largest_bytes", info->vram_largest_bytes);
    put_number(object, "dirty_page_bytes", info->dirty_page_bytes);
    put_number(object, "scatter_page_bytes", info->scatter_page_bytes);
    put_number(object, "alignment_bytes", info->alignment_bytes);
    put_flag(object, "performant", info->performant);
    put_flag(object, "scatter", info->scatter);
}

int verb_adapter_list(struct request *request, struct vf_error *err)
{
    json_t *list = json_array();
    struct kc_host host;
    struct kc *kc;
    int result = request_kc(request, &kc, err) != 0 ? -1 : kc_host(kc, &host, err);

    for (uint32_t i = 0; result == 0 && i < host.adapters; i++) {
        struct vf_adapter_info info;

        result = kc_adapter_info(kc, i, &info, err);
        if (result == 0) {
            json_t *object = json_object();

            put_adapter(object, &info);
            (void)json_array_append_new(list, object);
        }
    }
    if (result == 0) {
        request->result = new_result("vferry.adapters/1");
        (void)json_object_set(request->result, "adapters", list);
    }
    json_decref(list);
    return result;
}

static int adapter_of(struct request *request, struct vf_adapter_info *info, struct vf_error *err)
{
    uint64_t adapter;
    struct kc *kc;

    if (request_number(request, "adapter", &adapter, err) != 0 ||
        request_kc(request, &kc, err) != 0)
        return -1;
    return kc_adapter_info(kc, adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter, info, err);
}

int verb_adapter_show(struct request *request, struct vf_error *err)
{
    struct vf_adapter_info info;

    if (adapter_of(request, &info, err) != 0)
        return -1;
    request->result = new_result("vferry.adapter/1");
    put_adapter(request->result, &info);
    return 0;
}
