// SPDX-License-Identifier: Apache-2.0
/* Verbs about the host as a whole: host, adapter, driver, events. */
#define LOG_ROOM "host"
#include "base/log.h"
#include "base/size.h"
#include "daemon/kernel_process.h"
#include "daemon/protocol.h"
#include "daemon/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_END_MS 30000 /* giving back all VRAM of a large host takes a while */
#define JOB_END_NS 30000000000ull
#define FOLLOW_MS 100

int verb_host_show(struct request *request, struct vf_error *err)
{
    const struct daemon *daemon = request->daemon;
    struct kc_host host;
    struct kc *kc;

    if (request_kc(request, &kc, err) != 0 || kc_host(kc, &host, err) != 0)
        return -1;
    request->result = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "schema", "vferry.host/1", "name", daemon->name,
                                "pid", (int)getpid(), "kernel_pid", host.kernel_pid, "listen", daemon->listen, "version", VFERRY_VERSION,
                                "kernel_version", host.version, "adapters", (int)host.adapters, "partitions", (int)host.partitions,
                                "kernel", json_text(host.specs), "state", json_text(daemon->state_dir));
    return request->result != NULL ? 0 : vf_fail(err, VF_FAILED, "host show: out of memory");
}

/* Asks every running job to end and waits for it: forcing the host down is no reason to leave a peer in the dark. */
static void end_jobs(struct request *request)
{
    struct mig *mig = request->daemon->mig;
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
        (void)mig_job_cancel(job, NULL); /* one that has committed ends by itself */
        (void)mig_job_wait(job, deadline, UINT64_MAX);
        mig_job_put(job);
    }
    json_decref(list);
}

int verb_host_stop(struct request *request, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    struct kc_host host;
    struct kc *kc;
    bool force;

    if (request_flag(request, "force", &force, err) != 0 || request_kc(request, &kc, err) != 0 || kc_host(kc, &host, err) != 0)
        return -1;
    if (!force && host.partitions > 0)
        return vf_fail(err, VF_FAILED, "host stop: %u partition%s would be lost; migrate or remove %s first, or say --force", host.partitions,
                       host.partitions == 1 ? "" : "s", host.partitions == 1 ? "it" : "them");
    if (force)
        end_jobs(request);
    atomic_store(&daemon->kernel_ending, true);
    if (kc_shutdown(kc, force, err) != 0) {
        atomic_store(&daemon->kernel_ending, false);
        return -1;
    }
    if (kernel_process_wait(daemon, KERNEL_END_MS) != 0)
        log_warn("the kernel side, pid %d, was told to end and has not yet", daemon->kernel_pid);
    log_info("host stop%s: %u partitions dropped", force ? " --force" : "", host.partitions);
    request->result = json_pack("{s:s, s:s, s:i, s:i, s:i}", "schema", "vferry.stop/1", "name", daemon->name, "pid", (int)getpid(),
                                "kernel_pid", host.kernel_pid, "partitions_dropped", (int)host.partitions);
    daemon_stop(daemon);
    return 0;
}

static json_t *adapter_object(const struct vf_adapter_info *info)
{
    char luid[32];

    (void)snprintf(luid, sizeof luid, "0x%08" PRIx32 ":%08" PRIx32, (uint32_t)info->luid.high, info->luid.low);
    return json_pack("{s:i, s:s, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:b}", "adapter",
                     (int)info->index, "luid", luid, "device", json_text(info->device), "driver", json_text(info->driver), "description",
                     json_text(info->description), "vf_count", (int)info->vf_count, "vf_free", (int)info->vf_free, "vram_bytes",
                     json_number(info->vram_bytes), "vram_free_bytes", json_number(info->vram_free_bytes), "vram_largest_bytes",
                     json_number(info->vram_largest_bytes), "dirty_page_bytes", json_number(info->dirty_page_bytes),
                     "scatter_page_bytes", json_number(info->scatter_page_bytes), "alignment_bytes", json_number(info->alignment_bytes),
                     "live_migration", info->live_migration, "hot_driver_update", info->hot_driver_update, "hibernation",
                     info->hibernation, "performant", info->performant, "scatter", info->scatter);
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
        if (result == 0)
            (void)json_array_append_new(list, adapter_object(&info));
    }
    if (result == 0)
        request->result = json_pack("{s:s, s:O}", "schema", "vferry.adapters/1", "adapters", list);
    json_decref(list);
    return result;
}

static int adapter_of(struct request *request, struct vf_adapter_info *info, struct vf_error *err)
{
    uint64_t adapter;
    struct kc *kc;

    if (request_number(request, "adapter", &adapter, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    return kc_adapter_info(kc, adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter, info, err);
}

int verb_adapter_show(struct request *request, struct vf_error *err)
{
    struct vf_adapter_info info;

    if (adapter_of(request, &info, err) != 0)
        return -1;
    request->result = adapter_object(&info);
    return json_object_set_new(request->result, "schema", json_string("vferry.adapter/1")) == 0
               ? 0 : vf_fail(err, VF_FAILED, "adapter show: out of memory");
}

int verb_driver_show(struct request *request, struct vf_error *err)
{
    struct vf_adapter_info info;

    if (adapter_of(request, &info, err) != 0)
        return -1;
    request->result = json_pack("{s:s, s:i, s:o, s:o, s:o, s:b, s:b, s:b}", "schema", "vferry.driver/1", "adapter", (int)info.index, "driver",
                                json_text(info.driver), "device", json_text(info.device), "description", json_text(info.description),
                                "live_migration", info.live_migration, "hot_driver_update", info.hot_driver_update, "hibernation",
                                info.hibernation);
    return request->result != NULL ? 0 : vf_fail(err, VF_FAILED, "driver show: out of memory");
}

static json_t *event_object(const struct event *event)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:o}", "schema", "vferry.event/1", "number", json_number(event->number), "time_ns",
                     json_number(event->time_ns), "kind", event->kind, "text", json_text(event->text));
}

/* Sends what is new as progress, until the client leaves. The kernel side gives no wake-up: it is asked ten times a second. */
static int follow(struct request *request, struct kc *kc, struct event *room, struct vf_error *err)
{
    struct events *events = &request->daemon->events;
    uint64_t seen = 0;
    bool reads = true;

    while (reads) {
        size_t count;

        if (events_fetch(events, kc, err) != 0)
            return -1;
        count = events_read(events, seen, room, EVENTS_KEPT);
        for (size_t i = 0; i < count && reads; i++) {
            json_t *line = json_pack("{s:o}", "progress", event_object(&room[i]));

            /* An event is not dropped as a number that the next one replaces: a slow reader is waited for, on this thread. */
            reads = line != NULL && ctl_send(request->socket, line, -1, CTL_SEND_MS) == 0;
            json_decref(line);
            seen = room[i].number;
        }
        reads = reads && !request_abandoned(request, FOLLOW_MS);
    }
    request->result = json_pack("{s:s, s:[]}", "schema", "vferry.events/1", "events");
    return 0;
}

int verb_events(struct request *request, struct vf_error *err)
{
    struct event *room;
    json_t *list;
    struct kc *kc;
    bool wants_more;
    size_t count;
    int result;

    if (request_flag(request, "follow", &wants_more, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    room = calloc(EVENTS_KEPT, sizeof *room);
    if (room == NULL)
        return vf_fail(err, VF_FAILED, "events: out of memory");
    if (wants_more) {
        result = follow(request, kc, room, err);
        free(room);
        return result;
    }
    result = events_fetch(&request->daemon->events, kc, err);
    count = result == 0 ? events_read(&request->daemon->events, 0, room, EVENTS_KEPT) : 0;
    list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, event_object(&room[i]));
    free(room);
    if (result == 0)
        request->result = json_pack("{s:s, s:O}", "schema", "vferry.events/1", "events", list);
    json_decref(list);
    return result;
}
