// SPDX-License-Identifier: Apache-2.0
/* Verbs about drivers: what drives an adapter, and its replacement at work (HOT-1). */
#define LOG_ROOM "driver"
#include "base/log.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>

static int adapter_number(struct request *request, uint32_t *adapter, struct vf_error *err)
{
    uint64_t number;

    if (request_number(request, "adapter", &number, err) != 0)
        return -1;
    *adapter = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number; /* the kernel side refuses it */
    return 0;
}

static void put_adapters(json_t *object, const char *key, uint32_t mask)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < 32; i++) {
        if ((mask & 1u << i) != 0)
            (void)json_array_append_new(list, json_integer(i));
    }
    (void)json_object_set_new(object, key, list);
}

void put_driver(json_t *object, const struct vf_adapter_info *info)
{
    put_number(object, "adapter", info->index);
    put_text(object, "device", info->device);
    put_text(object, "driver", info->driver);
    put_flag(object, "live_migration", info->live_migration);
    put_flag(object, "hot_driver_update", info->hot_driver_update);
    put_flag(object, "hibernation", info->hibernation);
}

int verb_driver_show(struct request *request, struct vf_error *err)
{
    struct vf_adapter_info info;
    struct vf_driver_info driver;
    char version[32];
    uint32_t adapter;
    struct kc *kc;

    if (adapter_number(request, &adapter, err) != 0 || request_kc(request, &kc, err) != 0 ||
        kc_adapter_info(kc, adapter, &info, err) != 0 ||
        kc_driver_info(kc, adapter, &driver, err) != 0)
        return -1;
    request->result = new_result("vferry.driver/1");
    put_driver(request->result, &info);
    (void)snprintf(version, sizeof version, "0x%" PRIx32, driver.interface_version);
    put_text(request->result, "interface", version);
    put_text(request->result, "digest", driver.digest);
    put_adapters(request->result, "adapters", driver.shared);
    put_number(request->result, "updates", driver.updates);
    put_number(request->result, "last_gap_ns", driver.last_gap_ns);
    put_flag(request->result, "lost", driver.lost);
    return 0;
}

static const char *status_of(const struct vf_driver_update *update, bool done)
{
    if (done)
        return update->dry_run ? "would-replace" : "replaced";
    if (update->lost)
        return "lost";
    return update->rolled_back ? "rolled-back" : "refused";
}

static json_t *update_object(const struct vf_driver_update *update, bool done)
{
    json_t *object = new_result("vferry.driver-update/1");

    put_text(object, "status", status_of(update, done));
    put_adapters(object, "adapters", update->adapters);
    put_text(object, "before", update->before);
    put_text(object, "after", update->after);
    put_flag(object, "dry_run", update->dry_run);
    put_number(object, "blocks", update->blocks);
    put_number(object, "saved_bytes", update->bytes);
    put_number(object, "trial_ns", update->trial_ns);
    put_number(object, "held_ns", update->held_ns);
    put_number(object, "gap_ns", update->gap_ns);
    put_number(object, "total_ns", update->total_ns);
    return object;
}

int verb_driver_update(struct request *request, struct vf_error *err)
{
    struct vf_driver_update update;
    const char *path;
    uint32_t adapter;
    struct kc *kc;
    bool dry_run;
    int result;

    if (adapter_number(request, &adapter, err) != 0 ||
        request_text(request, "driver", &path, err) != 0 ||
        request_flag(request, "dry_run", &dry_run, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    result = kc_driver_update(kc, adapter, path, dry_run, &update, err);
    log_info("driver update of adapter %" PRIu32 " to %s%s: %s", adapter, path,
             dry_run ? " (dry run)" : "", result == 0 ? "done" : err->text);
    /* How far it came is told beside a failure, too; one that never began has nothing to tell. */
    if (result == 0 || update.adapters != 0)
        request->result = update_object(&update, result == 0);
    return result;
}
