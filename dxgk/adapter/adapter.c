// SPDX-License-Identifier: Apache-2.0
/* See adapter.h. */
#define LOG_ROOM "adapter"
#include "dxgk/adapter/adapter.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/callbacks.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/adapter/device.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/adapter/loader.h"
#include "dxgk/paging/paging.h"
#include "dxgk/vram/vram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct dxgk_adapter *adapter_new(struct dxgk *dxgk, uint32_t index, const char *spec)
{
    struct dxgk_adapter *adapter = calloc(1, sizeof *adapter);

    if (adapter == NULL)
        return NULL;
    adapter->dxgk = dxgk;
    adapter->index = index;
    adapter->luid = dxgk_luid_new();
    (void)snprintf(adapter->spec, sizeof adapter->spec, "%s", spec);
    vf_rw_init(&adapter->gate);
    vf_lock_init(&adapter->gpup_lock);
    vf_lock_init(&adapter->lock);
    vf_lock_init(&adapter->triage_lock);
    return adapter;
}

static int load_driver(struct dxgk_adapter *adapter, const char *driver_dir, const char *driver,
                       struct vf_error *err)
{
    char path[4096];
    int length;

    if (driver != NULL) {
        length = snprintf(path, sizeof path, "%s", driver);
    } else {
        if (adapter->ops->default_driver == NULL)
            return vf_fail(err, VF_USAGE, "device %s names no driver of its own; give one",
                           adapter->ops->name);
        length = snprintf(path, sizeof path, "%s/%s.so", driver_dir, adapter->ops->default_driver);
    }
    if (length < 0 || (size_t)length >= sizeof path)
        return vf_fail(err, VF_USAGE, "path of the driver is too long");
    if (dxgk_image_get(path, &adapter->image, err) != 0)
        return -1;
    adapter->ddi = *dxgk_image_ddi(adapter->image);
    return 0;
}

/* Paging may be missing: the adapter then has partitions no more than it has live migration, since
 * VRAM cannot be zero-filled. */
static int start_memory(struct dxgk_adapter *adapter, bool scrub, struct vf_error *err)
{
    if (!adapter->caps.partitionable)
        return 0;
    if (dxgk_vram_create(adapter, err) != 0 || dxgk_paging_start(adapter, NULL, err) != 0)
        return -1;
    if (scrub)
        dxgk_vram_background_start(adapter);
    return 0;
}

int dxgk_adapter_start(struct dxgk *dxgk, uint32_t index, const struct dxgk_config *config,
                       const char *spec, const char *driver, struct dxgk_adapter **out,
                       struct vf_error *err)
{
    struct dxgk_adapter *adapter = adapter_new(dxgk, index, spec);

    if (adapter == NULL)
        return vf_fail(err, VF_FAILED, "adapter %u: " VF_NO_MEMORY, index);
    if (dxgk_device_open(adapter, spec, config->device_dir, err) != 0 ||
        load_driver(adapter, config->driver_dir, driver, err) != 0 ||
        dxgk_callbacks_start(adapter, err) != 0 || dxgk_ddi_add_device(adapter, err) != 0 ||
        dxgk_interrupts_start(adapter, err) != 0 || dxgk_ddi_start_device(adapter, err) != 0 ||
        dxgk_caps_query(adapter, err) != 0 || start_memory(adapter, config->scrub, err) != 0) {
        dxgk_adapter_stop(adapter);
        return vf_context(err, "adapter %u (%s)", index, spec);
    }
    log_info("adapter %u: %s with driver %s, %u VFs%s%s", index, spec,
             dxgk_image_path(adapter->image), adapter->caps.vf_count,
             adapter->caps.live_migration ? ", live migration" : "",
             adapter->caps.scatter ? ", scattered reserves" : "");
    *out = adapter;
    return 0;
}

void dxgk_adapter_judge_rest(struct dxgk_adapter *adapter, const struct dxgk_image_rest *rest)
{
    if (rest->mdls != 0)
        dxgk_report(adapter, "HOT-4",
                    "the driver leaked %" PRIu64
                    " MDLs: what it was given at a restore it must free",
                    rest->mdls);
    if (rest->allocations != 0)
        dxgk_report(adapter, "CAP-7",
                    "the driver left %" PRIu64 " pool allocations behind at its unload",
                    rest->allocations);
    if (rest->stays)
        dxgk_report(adapter, "HOT-1", "the driver's code cannot be unloaded");
}

void dxgk_adapter_stop(struct dxgk_adapter *adapter)
{
    struct dxgk_image_rest rest;

    if (adapter == NULL)
        return;
    dxgk_vram_background_stop(adapter);
    dxgk_paging_stop(adapter);
    dxgk_caps_release(adapter);
    dxgk_ddi_stop_device(adapter);
    dxgk_interrupts_stop(adapter);
    dxgk_ddi_remove_device(adapter);
    dxgk_callbacks_stop(adapter);
    dxgk_image_put(adapter->image, &rest);
    dxgk_adapter_judge_rest(adapter, &rest);
    dxgk_device_close(adapter);
    dxgk_vram_destroy(adapter);
    vf_lock_fini(&adapter->triage_lock);
    vf_lock_fini(&adapter->lock);
    vf_lock_fini(&adapter->gpup_lock);
    vf_rw_fini(&adapter->gate);
    free(adapter);
}
