// SPDX-License-Identifier: Apache-2.0
/* Verbs about a partition's life. */
#include "base/clock.h"
#include "daemon/cordon.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its VRAM holds nothing that could be understood: still being made, or half arrived. */
static bool unreadable(const struct vf_partition_info *info)
{
    return info->state == VF_PARTITION_BUILDING || info->state == VF_PARTITION_INCOMING ||
           info->state == VF_PARTITION_DYING;
}

/* Its workload. While its reserve moves nobody can look at it, and a list must not wait for that:
 * the members are null. What cannot be read counts as no workload: the partition itself is still
 * worth showing. */
static void put_work(json_t *object, const struct request *request,
                     const struct vf_partition_info *info)
{
    static const char *const keys[] = {"steps", "steps_wanted", "workload", "workload_state"};
    struct guest_status status = {.workload = GUEST_NONE};
    struct vf_error ignored;
    struct guest_view view;
    struct guest_memory memory = guest_view_of(&view, request->kc, info);

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        (void)json_object_set_new(object, keys[i], json_null());
    if ((info->holders & VF_HOLD_DEFRAG) != 0)
        return;
    if (unreadable(info) || work_status(&memory, info, &status, &ignored) != 0)
        status = (struct guest_status){.workload = GUEST_NONE};
    put_number(object, "steps", status.steps_done);
    put_number(object, "steps_wanted", status.steps_wanted);
    put_text(object, "workload", guest_workload_name(status.workload));
    put_text(object, "workload_state", guest_state_name(status.state));
}

/* Engine time so far, and when that was read: who looks twice knows the share. Like the work null
 * while its reserve moves; without a reading the partition is still worth showing. */
static void put_engine_time(json_t *object, const struct request *request,
                            const struct vf_partition_info *info)
{
    struct vf_partition_clock clock;
    struct vf_error ignored;

    (void)json_object_set_new(object, "gpu_ns", json_null());
    (void)json_object_set_new(object, "gpu_read_ns", json_null());
    if ((info->holders & VF_HOLD_DEFRAG) != 0 ||
        kc_partition_clock(request->kc, info->id, &clock, &ignored) != 0 ||
        clock.runtime_ns == VF_RUNTIME_UNKNOWN)
        return;
    put_number(object, "gpu_ns", clock.runtime_ns);
    put_number(object, "gpu_read_ns", vf_now_ns());
}

/* What keeps it from running beside a person's own wish; null: nothing does. */
static void put_holder(json_t *object, uint32_t holders)
{
    const char *name = (holders & VF_HOLD_DEFRAG) != 0  ? "defrag"
                       : (holders & VF_HOLD_MOVE) != 0  ? "move"
                       : (holders & VF_HOLD_FAULT) != 0 ? "fault"
                                                        : NULL;

    (void)json_object_set_new(object, "held_by", name != NULL ? json_string(name) : json_null());
    put_flag(object, "paused_by_person", (holders & VF_HOLD_PERSON) != 0);
}

static void put_partition(json_t *object, const struct request *request,
                          const struct vf_partition_info *info)
{
    char uuid[VF_UUID_TEXT];
    char luid[32];

    vf_uuid_format(info->uuid, uuid);
    (void)snprintf(luid, sizeof luid, "0x%08" PRIx32 ":%08" PRIx32, (uint32_t)info->luid.high,
                   info->luid.low);
    put_text(object, "name", info->name);
    put_text(object, "uuid", uuid);
    put_number(object, "adapter", info->adapter);
    put_number(object, "vf_index", info->vf_index);
    put_text(object, "luid", luid);
    put_number(object, "vram_bytes", info->vram_bytes);
    put_text(object, "state", vf_partition_state_name((enum vf_partition_state)info->state));
    put_holder(object, info->holders);
    (void)json_object_set_new(object, "throttle",
                              json_real((double)info->throttle_percent / 100.0));
    put_work(object, request, info);
    put_engine_time(object, request, info);
    put_number(object, "epoch", info->epoch);
    put_number(object, "page_bytes", info->page_bytes);
    put_number(object, "interrupts", info->interrupts);
    put_number(object, "job", mig_job_of(request->daemon->mig, info->name));
}

static int answer(struct request *request, const struct vf_partition_info *info)
{
    request->result = new_result("vferry.partition/1");
    put_partition(request->result, request, info);
    return 0;
}

/* A forced stop either counts it among what it drops, or it is not made any more. */
static int create(struct request *request, const struct vf_partition_params *params,
                  struct vf_partition_info *info, struct vf_error *err)
{
    struct mig *mig = request->daemon->mig;
    int result;

    if (mig_commit_begin(mig, err) != 0)
        return -1;
    result = kc_partition_create(request->kc, params, false, info, err);
    mig_commit_end(mig);
    return result;
}

int verb_partition_create(struct request *request, struct vf_error *err)
{
    struct vf_partition_params params = {0};
    struct vf_partition_info info;
    const char *name;
    uint64_t adapter;
    struct kc *kc;

    if (request_new_name(request, &name, err) != 0 ||
        request_number(request, "adapter", &adapter, err) != 0 ||
        request_number(request, "vram", &params.vram_bytes, err) != 0)
        return -1;
    if (cordon_refuse(request->daemon, "partition create", err) != 0 ||
        request_kc(request, &kc, err) != 0)
        return -1;
    memcpy(params.name, name, strlen(name) + 1);
    params.adapter = adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter;
    params.epoch = 1;
    if (create(request, &params, &info, err) != 0) {
        /* Exit code 3 is for moves that cannot be. */
        err->code = err->code == VF_INCOMPATIBLE ? VF_FAILED : err->code;
        return -1;
    }
    tell(request, "partition", 0, "partition %s: created on adapter %u, VF %u", info.name,
         info.adapter, info.vf_index);
    return answer(request, &info);
}

static int by_age(const void *a, const void *b)
{
    const struct vf_partition_info *x = a;
    const struct vf_partition_info *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

int verb_partition_list(struct request *request, struct vf_error *err)
{
    struct vf_partition_info *list;
    json_t *array;
    struct kc *kc;
    size_t count;

    if (request_kc(request, &kc, err) != 0 || kc_partition_list(kc, &list, &count, err) != 0)
        return -1;
    if (count > 1)
        qsort(list, count, sizeof *list, by_age);
    array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();

        put_partition(object, request, &list[i]);
        (void)json_array_append_new(array, object);
    }
    free(list);
    request->result = new_result("vferry.partitions/1");
    (void)json_object_set_new(request->result, "partitions", array);
    return 0;
}

int verb_partition_show(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;

    return find_partition(request, &info, err) != 0 ? -1 : answer(request, &info);
}

/* Pausing what a person has paused and resuming what runs is done already, not wrong. */
static bool is_done(const struct vf_partition_info *info, bool paused)
{
    return paused ? info->state == VF_PARTITION_PAUSED && (info->holders & VF_HOLD_PERSON) != 0
                  : info->state == VF_PARTITION_RUNNING && info->holders == 0;
}

static int set_paused(struct request *request, bool paused, struct vf_error *err)
{
    struct vf_partition_info info;

    if (find_partition(request, &info, err) != 0 ||
        keep_from_moves(request, &info, paused ? "pause" : "resume", err) != 0)
        return -1;
    if (is_done(&info, paused))
        return answer(request, &info);
    if ((paused ? kc_partition_pause : kc_partition_resume)(request->kc, info.id, err) != 0 ||
        kc_partition_info(request->kc, info.id, &info, err) != 0)
        return -1;
    tell(request, "partition", 0, "partition %s: %s", info.name, paused ? "paused" : "resumed");
    return answer(request, &info);
}

int verb_partition_pause(struct request *request, struct vf_error *err)
{
    return set_paused(request, true, err);
}

int verb_partition_resume(struct request *request, struct vf_error *err)
{
    return set_paused(request, false, err);
}

/* Also brings back one whose command hung. */
int verb_partition_reset(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;

    if (find_partition(request, &info, err) != 0 ||
        keep_from_moves(request, &info, "reset it", err) != 0 ||
        kc_partition_reset(request->kc, info.id, err) != 0 ||
        kc_partition_info(request->kc, info.id, &info, err) != 0)
        return -1;
    log_info("partition %s: its VF was reset", info.name);
    return answer(request, &info);
}

int verb_partition_remove(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;
    char uuid[VF_UUID_TEXT];

    if (find_partition(request, &info, err) != 0 ||
        keep_from_moves(request, &info, "remove it", err) != 0 ||
        kc_partition_destroy(request->kc, info.id, err) != 0)
        return -1;
    tell(request, "partition", 0, "partition %s: removed", info.name);
    vf_uuid_format(info.uuid, uuid);
    request->result = new_result("vferry.removed/1");
    put_text(request->result, "name", info.name);
    put_text(request->result, "uuid", uuid);
    return 0;
}
