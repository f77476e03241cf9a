// SPDX-License-Identifier: Apache-2.0
/*
 * Driver hot update (HOT-1..6): the sequence. VFs work on in hardware all the time; what needs the
 * driver waits at the adapters' gates.
 *
 *   trial: load -> gates shut -> Save -> trial: restore -> Stop, Remove, Unload -> load the new one
 *          |                      |         |                -> Restore, Start, take over, complete
 *          v                      v         v                    | any failure
 *       refused                  Cancel: as before               v
 *                                                   take it down, load the old one the same way
 *                                                                | any failure
 *                                                                v
 *                                                   lost: no driver, VFs work on unmanaged
 *
 * What the way back takes is kept for it before the old driver goes (dxgk/hotupdate/way_back.h).
 */
#define LOG_ROOM "hotupdate"
#include "dxgk/adapter/adapter.h"
#include "dxgk/adapter/callbacks.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/adapter/loader.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/ddi/hotupdate.h"
#include "dxgk/handles.h"
#include "dxgk/hotupdate/takeover.h"
#include "dxgk/hotupdate/trial.h"
#include "dxgk/hotupdate/way_back.h"
#include "dxgk/paging/paging.h"
#include "dxgk/waits.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct update {
    struct dxgk *dxgk;
    struct vf_driver_update *out;
    uint32_t count;
    struct dxgk_adapter *adapters[VF_MAX_ADAPTERS]; /* served by one image, in rising order */
    bool complete[VF_MAX_ADAPTERS];                 /* RestoreComplete was called */
    struct dxgk_ksr *stores[VF_MAX_ADAPTERS];       /* NULL = its driver was not asked to save */
    struct dxgk_ksr_set *set;
    struct dxgk_driver_file *old, *new;
    uint64_t needs; /* slots of the old driver's table */
    struct dxgk_trial *trial;
    struct dxgk_way_back way;
    uint64_t gap_start;
};

/* For who follows an update from outside (docs/tracing.md). */
static void trace_phase(const struct update *update, const char *phase)
{
    vf_trace(hotupdate_phase, update->out->adapters, phase);
}

/* ---- taking a driver down without touching VFs ---- */

/* A driver that has taken over fully counts the VFs as its own: only a Save makes its stop a hot
 * one. Its state is not wanted. */
static void announce_stop(struct dxgk_adapter *adapter, struct dxgk_ksr_set **scratch,
                          struct dxgk_ksr **store)
{
    struct vf_error err = VF_ERROR_INIT;

    if (dxgk_ksr_set_new(scratch, &err) != 0 ||
        dxgk_ddi_save_memory(adapter, *scratch, store, &err) != 0)
        log_error("adapter %u: %s", adapter->index, err.text);
}

static void detach(struct dxgk_adapter *adapter)
{
    dxgk_interrupts_hold(adapter);
    dxgk_paging_let_go(adapter);
    dxgk_caps_release(adapter);
    dxgk_ddi_stop_device(adapter);
    dxgk_ddi_remove_device(adapter);
    dxgk_callbacks_unmap(adapter);
}

/* Also of an update that came only half way: each step asks what there is to undo. */
static void take_down(struct update *update)
{
    struct dxgk_ksr_set *scratch[VF_MAX_ADAPTERS] = {NULL};
    struct dxgk_ksr *store[VF_MAX_ADAPTERS] = {NULL};

    trace_phase(update, "take down");
    for (uint32_t i = 0; i < update->count; i++) {
        if (update->complete[i])
            announce_stop(update->adapters[i], &scratch[i], &store[i]);
        update->complete[i] = false;
    }
    for (uint32_t i = 0; i < update->count; i++)
        detach(update->adapters[i]);
    for (uint32_t i = 0; i < update->count; i++) {
        struct dxgk_adapter *adapter = update->adapters[i];
        struct dxgk_image *image = adapter->image;
        struct dxgk_image_rest rest;

        adapter->image = NULL;
        adapter->ddi = (DRIVER_INITIALIZATION_DATA){0};
        dxgk_image_put(image, &rest);
        dxgk_adapter_judge_rest(adapter, &rest);
    }
    for (uint32_t i = 0; i < update->count; i++) {
        if (store[i] != NULL)
            dxgk_ksr_settle(store[i]);
        dxgk_ksr_set_free(scratch[i]);
    }
}

/* ---- bringing one up over VFs at work ---- */

static int attach(struct update *update, struct dxgk_adapter *adapter, struct dxgk_ksr *store,
                  struct dxgk_driver_file *file, struct vf_error *err)
{
    const char *missing;

    if (dxgk_image_load(file, &adapter->image, err) != 0)
        return -1;
    adapter->ddi = *dxgk_image_ddi(adapter->image);
    missing = dxgk_trial_missing(update->needs, dxgk_trial_slots(&adapter->ddi));
    if (missing != NULL)
        return vf_fail(err, VF_INCOMPATIBLE, "the new driver's table lacks %s", missing);
    if (dxgk_ddi_add_device(adapter, err) != 0 || dxgk_ddi_restore_memory(adapter, store, err) != 0)
        return -1;
    dxgk_interrupts_release(adapter);
    if (dxgk_ddi_start_device(adapter, err) != 0)
        return -1;
    dxgk_interrupts_replay(adapter);
    return 0;
}

static int bring_up(struct update *update, struct dxgk_driver_file *file, struct vf_error *err)
{
    trace_phase(update, "load");
    for (uint32_t i = 0; i < update->count; i++) {
        if (attach(update, update->adapters[i], update->stores[i], file, err) != 0)
            return -1;
    }
    update->out->gap_ns += vf_now_ns() - update->gap_start;
    trace_phase(update, "take over");
    for (uint32_t i = 0; i < update->count; i++) {
        if (dxgk_take_over(update->adapters[i], err) != 0)
            return vf_context(err, "adapter %u", update->adapters[i]->index);
    }
    for (uint32_t i = 0; i < update->count; i++) {
        update->complete[i] = true;
        if (dxgk_ddi_restore_complete(update->adapters[i], err) != 0)
            return -1;
    }
    return 0;
}

static int lose(struct update *update, const struct vf_error *first, const struct vf_error *second,
                struct vf_error *err)
{
    take_down(update);
    trace_phase(update, "lost");
    update->out->lost = true;
    for (uint32_t i = 0; i < update->count; i++) {
        struct dxgk_adapter *adapter = update->adapters[i];

        adapter->dead = true;
        log_error("adapter %u has lost its driver: %s; then the old one: %s", adapter->index,
                  first->text, second->text);
        dxgk_event(update->dxgk, "driver",
                   "adapter %u has NO DRIVER: its partitions run on but cannot be managed; when "
                   "their work is done, restart the host (%s)",
                   adapter->index, second->text);
    }
    return vf_fail(err, VF_FAILED,
                   "driver update: %.200s; and the old driver did not come back: %.200s; the "
                   "partitions run on but cannot be managed" VF_REMEDY
                   "restart the host when they are done",
                   first->text, second->text);
}

/* With what was kept for this, part by part: what the first try found too little of, the next one
 * may find. */
static int bring_back(struct update *update, struct vf_error *err)
{
    while (dxgk_way_back_take(&update->way)) {
        trace_phase(update, "go back");
        take_down(update);
        if (bring_up(update, update->old, err) == 0)
            return 0;
        log_error("driver update: %s does not come back: %s", update->old->path, err->text);
    }
    return -1;
}

/* The update's error: why the new driver failed, and what may be done about that. */
static int taken_back(const struct vf_error *first, struct vf_error *err)
{
    const char *remedy = vf_remedy(first);

    return vf_fail(err, VF_FAILED,
                   "driver update: %.*s; the old driver is back with its own saved state%s%s",
                   vf_bare_bytes(first), first->text, remedy != NULL ? VF_REMEDY : "",
                   remedy != NULL ? remedy : "");
}

/* From here on there is no way but through: forwards, or back by the same door. */
static int replace(struct update *update, struct vf_error *err)
{
    struct vf_error first = VF_ERROR_INIT, second = VF_ERROR_INIT;

    update->gap_start = vf_now_ns();
    take_down(update);
    for (uint32_t i = 0; i < update->count; i++)
        dxgk_ksr_settle(update->stores[i]);
    if (bring_up(update, update->new, &first) == 0)
        return 0;
    log_error("driver update: %s; going back to %s", first.text, update->old->path);
    if (update->out->gap_ns != 0)
        update->gap_start = vf_now_ns();
    if (bring_back(update, &second) != 0)
        return lose(update, &first, &second, err);
    update->out->rolled_back = true;
    dxgk_event(update->dxgk, "driver", "update to %s failed: %s; the old driver is back",
               update->new->path, first.text);
    return taken_back(&first, err);
}

/* ---- up to the point of no return ---- */

static int collect(struct update *update, uint32_t index, struct vf_error *err)
{
    struct dxgk *dxgk = update->dxgk;
    struct dxgk_adapter *named = dxgk_adapter_find(dxgk, index, err);

    if (named == NULL)
        return -1;
    /* Only updates change this, one at a time: no gate. */
    if (dxgk_gate_alive(named, err) != 0)
        return -1;
    for (uint32_t i = 0; i < dxgk->adapter_count; i++) {
        if (dxgk->adapters[i]->image != named->image)
            continue;
        if (dxgk_ddi_hot_update_possible(dxgk->adapters[i], err) != 0)
            return -1;
        update->adapters[update->count++] = dxgk->adapters[i];
        update->out->adapters |= 1u << i;
    }
    update->old = dxgk_driver_file_get(dxgk_image_file(named->image));
    update->needs = dxgk_trial_slots(&named->ddi);
    return 0;
}

static int save(struct update *update, struct vf_error *err)
{
    for (uint32_t i = 0; i < update->count; i++) {
        struct dxgk_adapter *adapter = update->adapters[i];

        if (dxgk_paging_quiesce(adapter, err) != 0 ||
            dxgk_ddi_save_memory(adapter, update->set, &update->stores[i], err) != 0)
            return -1;
        /* HOT-3 */
        if (dxgk_ksr_blocks(update->stores[i]) == 0 && dxgk_has_partitions(adapter))
            return vf_fail(err, VF_INCOMPATIBLE,
                           "the driver of adapter %u saves nothing, but has partitions (HOT-3)",
                           adapter->index);
    }
    return 0;
}

static void cancel(struct update *update)
{
    trace_phase(update, "cancel");
    for (uint32_t i = 0; i < update->count; i++) {
        if (update->stores[i] == NULL)
            continue;
        dxgk_ksr_cancel(update->stores[i]); /* the MDLs are the driver's again, to free in there */
        dxgk_ddi_cancel_hot_update(update->adapters[i]);
    }
}

/* The gates are shut. */
static int save_and_replace(struct update *update, bool dry_run, struct vf_error *err)
{
    uint64_t start;
    int result;

    trace_phase(update, "save");
    result = save(update, err);
    update->out->blocks = dxgk_ksr_set_blocks(update->set);
    update->out->bytes = dxgk_ksr_set_bytes(update->set);
    start = vf_now_ns();
    if (result == 0) {
        trace_phase(update, "try restore");
        result = dxgk_trial_restore(update->trial, update->set, err);
    }
    update->out->trial_ns += vf_now_ns() - start;
    if (result == 0 && !dry_run)
        result = dxgk_way_back_open(&update->way, update->out->bytes, err);
    if (result != 0 || dry_run) {
        cancel(update);
        return result;
    }
    result = replace(update, err);
    dxgk_way_back_close(&update->way);
    return result;
}

static int run(struct update *update, const char *path, bool dry_run, struct vf_error *err)
{
    uint64_t start = vf_now_ns();
    int result;

    if (!update->dxgk->config.trial)
        return vf_fail(err, VF_FAILED,
                       "this program cannot try drivers (dxgk_config.trial): no hot update");
    trace_phase(update, "try load");
    if (dxgk_driver_file_open(path, &update->new, err) != 0)
        return -1;
    (void)snprintf(update->out->after, sizeof update->out->after, "%s", update->new->path);
    if (dxgk_ksr_set_new(&update->set, err) != 0 ||
        dxgk_trial_start(update->new, update->set, update->count, update->needs, &update->trial,
                         err) != 0)
        return -1;
    update->out->trial_ns = vf_now_ns() - start;
    start = vf_now_ns();
    trace_phase(update, "shut gates");
    for (uint32_t i = 0; i < update->count; i++) {
        dxgk_waits_for(&update->adapters[i]->gate);
        vf_write_lock(&update->adapters[i]->gate);
        dxgk_waits_holds(&update->adapters[i]->gate);
    }
    result = save_and_replace(update, dry_run, err);
    for (uint32_t i = 0; i < update->count && result == 0 && !dry_run; i++) {
        update->adapters[i]->updates++;
        update->adapters[i]->last_gap_ns = update->out->gap_ns;
    }
    for (uint32_t i = update->count; i-- > 0;)
        dxgk_gate_leave(update->adapters[i]);
    update->out->held_ns = vf_now_ns() - start;
    return result;
}

int dxgk_driver_update(struct dxgk *dxgk, uint32_t adapter, const char *path, bool dry_run,
                       struct vf_driver_update *out, struct vf_error *err)
{
    struct update update = {.dxgk = dxgk, .out = out};
    uint64_t start = vf_now_ns();
    int result;

    *out = (struct vf_driver_update){.dry_run = dry_run};
    dxgk_lock(&dxgk->update_lock);
    result = collect(&update, adapter, err);
    if (result == 0) {
        (void)snprintf(out->before, sizeof out->before, "%s", update.old->path);
        vf_trace(hotupdate_begin, out->adapters, update.old->path, path, dry_run);
        result = run(&update, path, dry_run, err);
    }
    dxgk_unlock(&dxgk->update_lock);
    out->total_ns = vf_now_ns() - start;
    vf_trace(hotupdate_end, out->adapters, result, out->gap_ns, out->held_ns);
    if (result == 0 && !dry_run) {
        log_info("driver %s replaced by %s: %u blocks, %" PRIu64 " bytes; %" PRIu64
                 " us without a driver",
                 out->before, out->after, out->blocks, out->bytes, out->gap_ns / 1000u);
        dxgk_event(dxgk, "driver", "adapter %u: %s replaced by %s", adapter, out->before,
                   out->after);
    }
    dxgk_trial_end(update.trial);
    dxgk_ksr_set_free(update.set);
    dxgk_driver_file_put(update.new);
    dxgk_driver_file_put(update.old);
    return result;
}

int dxgk_driver_info(struct dxgk *dxgk, uint32_t index, struct vf_driver_info *out,
                     struct vf_error *err)
{
    struct dxgk_adapter *adapter = dxgk_adapter_find(dxgk, index, err);

    if (adapter == NULL)
        return -1;
    dxgk_gate_enter(adapter);
    *out = (struct vf_driver_info){.adapter = index,
                                   .interface_version = adapter->ddi.Version,
                                   .updates = adapter->updates,
                                   .last_gap_ns = adapter->last_gap_ns,
                                   .hot_update = adapter->caps.hot_update,
                                   .lost = adapter->dead};
    if (adapter->image != NULL) {
        (void)snprintf(out->path, sizeof out->path, "%s", dxgk_image_path(adapter->image));
        (void)snprintf(out->digest, sizeof out->digest, "%s",
                       dxgk_image_file(adapter->image)->digest);
    }
    for (uint32_t i = 0; i < dxgk->adapter_count; i++) {
        if (adapter->image != NULL && dxgk->adapters[i]->image == adapter->image)
            out->shared |= 1u << i;
    }
    dxgk_gate_leave(adapter);
    return 0;
}
