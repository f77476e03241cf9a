// SPDX-License-Identifier: Apache-2.0
/* Verbs about a partition's life. */
#define LOG_ROOM "partition"
#include "base/log.h"
#include "daemon/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its VRAM holds nothing that could be understood: still being made, or half arrived. */
static bool unreadable(const struct vf_partition_info *info)
{
    return info->state == VF_PARTITION_BUILDING || info->state == VF_PARTITION_INCOMING || info->state == VF_PARTITION_DYING;
}

static json_t *partition_object(struct request *request, const struct vf_partition_info *info)
{
    struct guest_status status = {.workload = GUEST_NONE};
    char uuid[VF_UUID_TEXT];
    char luid[32];
    struct guest_view view;
    struct guest_memory memory;

    /* What cannot be read counts as no workload: the partition itself is still worth showing. */
    memory = guest_view_of(&view, request->kc, info);
    if (unreadable(info) || guest_status(&memory, &status, NULL) != 0)
        status = (struct guest_status){.workload = GUEST_NONE};
    vf_uuid_format(info->uuid, uuid);
    (void)snprintf(luid, sizeof luid, "0x%08" PRIx32 ":%08" PRIx32, (uint32_t)info->luid.high, info->luid.low);
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "name", info->name, "uuid", uuid,
                     "adapter", (int)info->adapter, "vf_index", (int)info->vf_index, "luid", luid, "vram_bytes",
                     json_number(info->vram_bytes), "state", vf_partition_state_name((enum vf_partition_state)info->state), "steps",
                     json_number(status.steps_done), "steps_wanted", json_number(status.steps_wanted), "epoch", json_number(info->epoch),
                     "workload", guest_workload_name(status.workload), "workload_state", guest_state_name(status.state), "page_bytes",
                     json_number(info->page_bytes), "interrupts", json_number(info->interrupts), "job",
                     json_number(mig_job_of(request->daemon->mig, info->name)));
}

static int answer(struct request *request, const struct vf_partition_info *info, struct vf_error *err)
{
    request->result = partition_object(request, info);
    if (json_object_set_new(request->result, "schema", json_string("vferry.partition/1")) == 0)
        return 0;
    return vf_fail(err, VF_FAILED, "partition %s: out of memory", info->name);
}

int verb_partition_create(struct request *request, struct vf_error *err)
{
    struct vf_partition_params params = {0};
    struct vf_partition_info info;
    const char *name;
    uint64_t adapter;
    struct kc *kc;

    if (request_text(request, "name", &name, err) != 0 || request_number(request, "adapter", &adapter, err) != 0 ||
        request_number(request, "vram", &params.vram_bytes, err) != 0)
        return -1;
    if (!vf_name_valid(name))
        return vf_fail(err, VF_USAGE, "partition \"%.40s\": a name is a letter or digit, then up to %u letters, digits and . _ -", name,
                       VF_NAME_BYTES - 2);
    if (request_kc(request, &kc, err) != 0)
        return -1;
    memcpy(params.name, name, strlen(name) + 1);
    params.adapter = adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter;
    params.epoch = 1;
    if (kc_partition_create(kc, &params, false, &info, err) != 0) {
        /* Exit code 3 is for moves that cannot be. */
        err->code = err->code == VF_INCOMPATIBLE ? VF_FAILED : err->code;
        return -1;
    }
    log_info("partition %s: created on adapter %u, VF %u", info.name, info.adapter, info.vf_index);
    return answer(request, &info, err);
}

int verb_partition_list(struct request *request, struct vf_error *err)
{
    struct vf_partition_info *list;
    json_t *array;
    struct kc *kc;
    size_t count;

    if (request_kc(request, &kc, err) != 0 || kc_partition_list(kc, &list, &count, err) != 0)
        return -1;
    array = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(array, partition_object(request, &list[i]));
    free(list);
    request->result = json_pack("{s:s, s:o}", "schema", "vferry.partitions/1", "partitions", array);
    return request->result != NULL ? 0 : vf_fail(err, VF_FAILED, "partition list: out of memory");
}

int verb_partition_show(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;

    return find_partition(request, &info, err) != 0 ? -1 : answer(request, &info, err);
}

/* Pausing what is paused and resuming what runs is done already, not wrong. */
static int set_paused(struct request *request, bool paused, struct vf_error *err)
{
    const enum vf_partition_state wanted = paused ? VF_PARTITION_PAUSED : VF_PARTITION_RUNNING;
    struct vf_partition_info info;

    if (find_partition(request, &info, err) != 0 || not_in_a_move(request, &info, paused ? "pause" : "resume", err) != 0)
        return -1;
    if (info.state != wanted &&
        ((paused ? kc_partition_pause : kc_partition_resume)(request->kc, info.id, err) != 0 ||
         kc_partition_info(request->kc, info.id, &info, err) != 0))
        return -1;
    return answer(request, &info, err);
}

int verb_partition_pause(struct request *request, struct vf_error *err)
{
    return set_paused(request, true, err);
}

int verb_partition_resume(struct request *request, struct vf_error *err)
{
    return set_paused(request, false, err);
}

int verb_partition_remove(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;
    char uuid[VF_UUID_TEXT];

    if (find_partition(request, &info, err) != 0 || not_in_a_move(request, &info, "remove it", err) != 0 ||
        kc_partition_destroy(request->kc, info.id, err) != 0)
        return -1;
    log_info("partition %s: removed", info.name);
    vf_uuid_format(info.uuid, uuid);
    request->result = json_pack("{s:s, s:s, s:s}", "schema", "vferry.removed/1", "name", info.name, "uuid", uuid);
    return 0;
}
