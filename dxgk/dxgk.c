// SPDX-License-Identifier: Apache-2.0
/* Opening and closing the OS side, and what it knows of its adapters. See dxgk.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/dxgk.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/adapter.h"
#include "dxgk/adapter/loader.h"
#include "dxgk/adapter/resets.h"
#include "dxgk/handles.h"
#include "dxgk/nt/nt.h"
#include "dxgk/partition/beats.h"
#include "dxgk/partition/partition.h"
#include "dxgk/partition/tdr.h"
#include "dxgk/umed/umed.h"
#include "dxgk/vram/reserve.h"

#include <stdio.h>
#include <stdlib.h>

/* The k-th driver drives the k-th device, the last repeats, none means the device's own. */
static const char *driver_for(const struct dxgk_config *config, size_t device)
{
    if (config->driver_count == 0)
        return NULL;
    return config->drivers[device < config->driver_count ? device : config->driver_count - 1];
}

/* Any IRQL, a driver's spin lock may be held: told at once, no lock of ours taken. */
static void driver_misuse(void *ctx, enum nt_misuse kind, const char *text)
{
    struct dxgk *dxgk = ctx;

    log_error("driver misuse %d: %s", (int)kind, text);
    dxgk_event(dxgk, "contract", "NT: %s", text);
}

static void stop_adapters(struct dxgk *dxgk)
{
    while (dxgk->adapter_count > 0)
        dxgk_adapter_stop(dxgk->adapters[--dxgk->adapter_count]);
}

int dxgk_open(const struct dxgk_config *config, struct dxgk **out, struct vf_error *err)
{
    struct dxgk *dxgk;

    if (config->device_count == 0 || config->device_count > VF_MAX_ADAPTERS ||
        config->driver_count > config->device_count)
        return vf_fail(
            err, VF_USAGE,
            "%zu devices and %zu drivers; give 1 to %u devices and no more drivers than devices",
            config->device_count, config->driver_count, VF_MAX_ADAPTERS);
    dxgk = calloc(1, sizeof *dxgk);
    if (dxgk == NULL)
        return vf_fail(err, VF_FAILED, "the host's kernel side: " VF_NO_MEMORY);
    dxgk->config.event = config->event;
    dxgk->config.event_ctx = config->event_ctx;
    dxgk->config.trial = config->trial;
    vf_lock_init(&dxgk->lock);
    vf_cond_init(&dxgk->throttle_over);
    dxgk_umed_find_worker(config, dxgk->umed_worker, sizeof dxgk->umed_worker);
    vf_lock_init(&dxgk->update_lock);
    nt_set_report(driver_misuse,
                  dxgk); /* of all drivers of the process: the last host opened hears them */
    if (dxgk_tdr_start(dxgk, err) != 0) {
        dxgk_close(dxgk);
        return -1;
    }
    for (size_t i = 0; i < config->device_count; i++) {
        if (dxgk_adapter_start(dxgk, (uint32_t)i, config, config->devices[i], driver_for(config, i),
                               &dxgk->adapters[i], err) != 0) {
            dxgk_close(dxgk);
            return -1;
        }
        dxgk->adapter_count++;
    }
    *out = dxgk;
    return 0;
}

static void close_partitions(struct dxgk *dxgk)
{
    struct dxgk_partition *partition;

    while ((partition = dxgk->partitions) != NULL) {
        struct vf_error error = VF_ERROR_INIT;

        if (dxgk_partition_destroy(dxgk, partition->id, &error) != 0)
            log_error("%s", error.text);
        /* Still there: the host program left a channel open, which is its bug; leaking beats using
         * freed memory. */
        if (dxgk->partitions == partition) {
            log_error("partition %s is left behind", partition->params.name);
            dxgk->partitions = partition->next;
        }
    }
}

void dxgk_close(struct dxgk *dxgk)
{
    bool stays;

    if (dxgk == NULL)
        return;
    dxgk_tdr_stop(dxgk);
    close_partitions(dxgk);
    stays = !dxgk_throttles_wait(dxgk);
    stop_adapters(dxgk);
    dxgk_resets_close(dxgk);
    nt_set_report(NULL, NULL);
    if (stays) {
        log_error("a driver's pause or resume does not come back: its thread is left behind");
        return;
    }
    vf_lock_fini(&dxgk->update_lock);
    vf_cond_fini(&dxgk->throttle_over);
    vf_lock_fini(&dxgk->lock);
    free(dxgk);
}

size_t dxgk_adapter_count(const struct dxgk *dxgk)
{
    return dxgk->adapter_count;
}

int dxgk_adapter_info(struct dxgk *dxgk, uint32_t index, struct vf_adapter_info *out,
                      struct vf_error *err)
{
    struct dxgk_adapter *adapter = dxgk_adapter_find(dxgk, index, err);
    const struct dxgk_caps *caps;
    const struct dxgk_segment *vram;

    if (adapter == NULL)
        return -1;
    dxgk_gate_enter(adapter);
    caps = &adapter->caps;
    vram = caps->vram >= 0 ? &caps->segments[caps->vram] : NULL;
    *out = (struct vf_adapter_info){
        .index = index,
        .luid = adapter->luid,
        .vf_count = caps->vf_count,
        .dirty_page_bytes = vram != NULL ? vram->dirty_page : 0,
        .scatter_page_bytes = vram != NULL ? vram->scatter_page : 0,
        .alignment_bytes = caps->granule,
        .live_migration = caps->live_migration,
        .hot_driver_update = caps->hot_update,
        .hibernation = caps->hibernation,
        .performant = caps->performant,
        .scatter = caps->scatter,
    };
    (void)snprintf(out->device, sizeof out->device, "%s", adapter->spec);
    (void)snprintf(out->driver, sizeof out->driver, "%s",
                   adapter->image != NULL ? dxgk_image_path(adapter->image) : "");
    (void)snprintf(out->description, sizeof out->description, "%.24s%s%.80s", adapter->ops->name,
                   caps->migration_off[0] != '\0' ? "; no live migration: " : "",
                   caps->migration_off);
    vf_lock(&adapter->lock);
    out->vf_free = caps->vf_count - (uint32_t)__builtin_popcount(adapter->vf_used);
    if (adapter->reserve != NULL) {
        out->vram_bytes = dxgk_reserve_total(adapter->reserve);
        out->vram_free_bytes = dxgk_reserve_free(adapter->reserve);
        out->vram_largest_bytes = dxgk_reserve_largest(adapter->reserve);
        out->vram_unproven_bytes = dxgk_reserve_unproven_bytes(adapter->reserve);
    }
    vf_unlock(&adapter->lock);
    dxgk_gate_leave(adapter);
    return 0;
}
