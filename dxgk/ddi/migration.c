// SPDX-License-Identifier: Apache-2.0
/* The DDIs of live migration (SRC-1..8, TGT-1..5) behind the call checker: order, paused state, the
 * two-call pattern. See ddi.h. */
#define LOG_ROOM "ddi"
#include "base/log.h"
#include "dxgk/ddi/ddi.h"

#include <inttypes.h>
#include <stdlib.h>

static bool complete(const DRIVER_INITIALIZATION_DATA *ddi)
{
    return ddi->DxgkDdiPrepareLiveMigration != NULL && ddi->DxgkDdiEndLiveMigration != NULL &&
           ddi->DxgkDdiSaveImmutableMigrationData != NULL &&
           ddi->DxgkDdiSaveMutableMigrationData != NULL &&
           ddi->DxgkDdiRestoreImmutableMigrationData != NULL &&
           ddi->DxgkDdiRestoreMutableMigrationData != NULL;
}

/* False (reported): at a raised IRQL the driver is not called, and all is as before. */
static bool call_end(struct dxgk_partition *partition, NTSTATUS *status)
{
    struct dxgk_adapter *adapter = partition->adapter;
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiEndLiveMigration", PASSIVE_LEVEL))
        return false;
    *status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiEndLiveMigration(adapter->hAdapter, partition->vf));
    return true;
}

/* An End that failed is made up for before the next Prepare. The driver may have ended it all the
 * same, and then refuses this one: whether it is ready, its Prepare tells. */
static void end_again(struct dxgk_partition *partition)
{
    NTSTATUS status;

    if (!partition->check.end_failed || !call_end(partition, &status))
        return;
    if (NT_SUCCESS(status))
        partition->check.end_failed = false;
    else
        log_warn("%s: EndLiveMigration, which failed before, fails again: %s 0x%x",
                 partition->params.name, vf_status_name(status), (uint32_t)status);
}

static int cannot_migrate(const struct dxgk_adapter *adapter, struct vf_error *err)
{
    const char *why = adapter->caps.migration_off[0] != '\0'
                          ? adapter->caps.migration_off
                          : "its driver does not report LiveMigration";

    if (!adapter->caps.hot_update)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "adapter %u cannot migrate: %s" VF_REMEDY
                       "start the host anew with a --driver that can",
                       adapter->index, why);
    return vf_fail(err, VF_INCOMPATIBLE,
                   "adapter %u cannot migrate: %s" VF_REMEDY
                   "bring in a driver that can with \"vferry driver update %u --driver FILE\"",
                   adapter->index, why, adapter->index);
}

int dxgk_ddi_prepare(struct dxgk_partition *partition, bool target, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_GPUP_PREPARE_LIVE_MIGRATION arg = {
        .vfIndex = partition->vf,
        .MigrationType = target ? DXGK_GPUP_MIGRATIONTYPE_TARGET : DXGK_GPUP_MIGRATIONTYPE_SOURCE,
    };
    struct dxgk_check *check = &partition->check;
    struct dxgk_call call;
    NTSTATUS status;

    if (!adapter->caps.live_migration || !complete(&adapter->ddi))
        return cannot_migrate(adapter, err);
    if (check->prepared)
        return dxgk_refuse(adapter, "SRC-7", err, "second Prepare of VF %u without End",
                           partition->vf);
    if (!check->powered || (target && !check->paused))
        return dxgk_refuse(adapter, target ? "TGT-1" : "SRC-1", err,
                           "Prepare of VF %u, which is %s", partition->vf,
                           check->powered ? "not paused" : "not powered");
    end_again(partition);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiPrepareLiveMigration", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DxgkDdiPrepareLiveMigration at a raised IRQL");
    status =
        dxgk_call_leave(&call, adapter->ddi.DxgkDdiPrepareLiveMigration(adapter->hAdapter, &arg));
    if (!NT_SUCCESS(status) && check->end_failed)
        return vf_fail(err, VF_FAILED,
                       "the driver cannot prepare VF %u for live migration (%s 0x%x), for it could "
                       "not end the one before" VF_REMEDY "try again, or bring in a driver that "
                       "can with \"vferry driver update %u --driver FILE\"",
                       partition->vf, vf_status_name(status), (uint32_t)status, adapter->index);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver cannot prepare VF %u for live migration", partition->vf);
    check->end_failed = false;
    check->prepared = true;
    check->target = target;
    check->immutable_tried = check->immutable_done = false;
    check->mutable_tried = check->mutable_done = false;
    return 0;
}

int dxgk_ddi_end(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    NTSTATUS status;

    if (!partition->check.prepared)
        return dxgk_refuse(adapter, "SRC-7", err, "End of VF %u without Prepare", partition->vf);
    if (!call_end(partition, &status))
        return vf_fail(err, VF_FAILED, "DxgkDdiEndLiveMigration at a raised IRQL");
    /* Whatever it says, the bracket is closed; a second End comes before the next Prepare only. */
    partition->check.prepared = false;
    partition->check.end_failed = !NT_SUCCESS(status);
    if (!NT_SUCCESS(status)) {
        dxgk_report(adapter, "SRC-7", "EndLiveMigration of VF %u failed with %s 0x%x",
                    partition->vf, vf_status_name(status), (uint32_t)status);
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver cannot end the live migration of VF %u", partition->vf);
    }
    return 0;
}

static const char *save_name(enum dxgk_migration_data what)
{
    return what == DXGK_IMMUTABLE ? "DxgkDdiSaveImmutableMigrationData"
                                  : "DxgkDdiSaveMutableMigrationData";
}

static const char *save_rule(enum dxgk_migration_data what)
{
    return what == DXGK_IMMUTABLE ? "SRC-2" : "SRC-6";
}

/* One call of the pair. */
static NTSTATUS call_save(struct dxgk_partition *partition, enum dxgk_migration_data what,
                          UINT64 *size, BYTE *data)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA immutable = {
        .vfIndex = partition->vf, .DataSize = size, .Data = data};
    DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA mutable = {
        .vfIndex = partition->vf, .DataSize = size, .Data = data};
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, save_name(what), PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(
        &call, what == DXGK_IMMUTABLE
                   ? adapter->ddi.DxgkDdiSaveImmutableMigrationData(adapter->hAdapter, &immutable)
                   : adapter->ddi.DxgkDdiSaveMutableMigrationData(adapter->hAdapter, &mutable));
}

static int save_allowed(struct dxgk_partition *partition, enum dxgk_migration_data what,
                        struct vf_error *err)
{
    const struct dxgk_check *check = &partition->check;

    if (!check->prepared || check->target)
        return dxgk_refuse(partition->adapter, save_rule(what), err,
                           "%s of VF %u, which is not prepared as a source", save_name(what),
                           partition->vf);
    if (what == DXGK_MUTABLE && !check->paused)
        return dxgk_refuse(partition->adapter, "SRC-6", err,
                           "SaveMutableMigrationData of VF %u while it runs", partition->vf);
    if (what == DXGK_MUTABLE && !check->immutable_done)
        return dxgk_refuse(partition->adapter, "SRC-8", err,
                           "SaveMutableMigrationData of VF %u before its immutable data",
                           partition->vf);
    return 0;
}

int dxgk_ddi_save(struct dxgk_partition *partition, enum dxgk_migration_data what,
                  struct dxgk_blob *blob, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    const char *name = save_name(what);
    UINT64 asked = 0;
    UINT64 size;
    NTSTATUS status;
    BYTE *data;

    if (save_allowed(partition, what, err) != 0)
        return -1;
    status = call_save(partition, what, &asked, NULL);
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "%s of VF %u gives no size", name,
                              partition->vf);
    if (asked == 0)
        return dxgk_refuse(adapter, save_rule(what), err, "%s succeeded and left its size unset",
                           name);
    if (asked > VF_MAX_MIGRATION_BLOB)
        return dxgk_refuse(adapter, save_rule(what), err,
                           "%s wants %" PRIu64 " bytes, at most %u are taken", name, asked,
                           VF_MAX_MIGRATION_BLOB);
    data = dxgk_guarded_alloc(asked);
    if (data == NULL)
        return vf_fail(err, VF_FAILED, "%" PRIu64 " bytes of migration data: " VF_NO_MEMORY, asked);
    size = asked;
    status = call_save(partition, what, &size, data);
    if (!dxgk_guarded_intact(data, asked)) {
        (void)dxgk_refuse(adapter, save_rule(what), err,
                          "%s wrote behind its buffer of %" PRIu64 " bytes", name, asked);
        goto drop;
    }
    if (size > asked) {
        (void)dxgk_refuse(adapter, save_rule(what), err,
                          "%s: its size grew from %" PRIu64 " to %" PRIu64
                          " bytes between the two calls",
                          name, asked, size);
        goto drop;
    }
    if (!NT_SUCCESS(status)) {
        (void)vf_fail_status(err, VF_FAILED, status, "%s of VF %u failed", name, partition->vf);
        goto drop;
    }
    if (size == 0) {
        (void)dxgk_refuse(adapter, save_rule(what), err,
                          "%s of VF %u announced %" PRIu64 " bytes and then gave none", name,
                          partition->vf, asked);
        goto drop;
    }
    if (what == DXGK_IMMUTABLE)
        partition->check.immutable_done = true;
    else
        partition->check.mutable_done = true;
    /* Guarded memory is plain malloc memory: the owner frees it as it is. */
    *blob = (struct dxgk_blob){.data = data, .bytes = size};
    return 0;

drop:
    dxgk_guarded_free(data);
    return -1;
}

static int restore_allowed(struct dxgk_partition *partition, enum dxgk_migration_data what,
                           struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    const struct dxgk_check *check = &partition->check;
    const char *rule = what == DXGK_IMMUTABLE ? "TGT-2" : "TGT-4";

    if (!check->prepared || !check->target)
        return dxgk_refuse(adapter, rule, err,
                           "restore into VF %u, which is not prepared as a target", partition->vf);
    if (!check->paused)
        return dxgk_refuse(adapter, rule, err, "restore into VF %u while it runs", partition->vf);
    if (what == DXGK_IMMUTABLE ? check->immutable_tried : check->mutable_tried)
        return dxgk_refuse(adapter, rule, err, "second restore into VF %u: restore calls come once",
                           partition->vf);
    if (what == DXGK_MUTABLE && !check->immutable_done)
        return dxgk_refuse(adapter, rule, err, "mutable data for VF %u before its immutable data",
                           partition->vf);
    return 0;
}

int dxgk_ddi_restore(struct dxgk_partition *partition, enum dxgk_migration_data what,
                     const struct dxgk_blob *blob, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA immutable = {
        .vfIndex = partition->vf, .DataSize = blob->bytes, .Data = blob->data};
    DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA mutable = {
        .vfIndex = partition->vf, .DataSize = blob->bytes, .Data = blob->data};
    const char *name = what == DXGK_IMMUTABLE ? "DxgkDdiRestoreImmutableMigrationData"
                                              : "DxgkDdiRestoreMutableMigrationData";
    struct dxgk_call call;
    NTSTATUS status;

    if (blob->data == NULL || blob->bytes == 0 || blob->bytes > VF_MAX_MIGRATION_BLOB)
        return vf_fail(err, VF_FAILED, "migration data of %zu bytes: 1 to %u are taken",
                       blob->bytes, VF_MAX_MIGRATION_BLOB);
    if (restore_allowed(partition, what, err) != 0)
        return -1;
    if (!dxgk_call_enter(&call, adapter, name, PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "%s at a raised IRQL", name);
    status = dxgk_call_leave(
        &call,
        what == DXGK_IMMUTABLE
            ? adapter->ddi.DxgkDdiRestoreImmutableMigrationData(adapter->hAdapter, &immutable)
            : adapter->ddi.DxgkDdiRestoreMutableMigrationData(adapter->hAdapter, &mutable));
    /* Once means once: a restore that failed halfway is not tried again on the same vGPU. */
    if (what == DXGK_IMMUTABLE) {
        partition->check.immutable_tried = true;
        partition->check.immutable_done = NT_SUCCESS(status);
    } else {
        partition->check.mutable_tried = true;
        partition->check.mutable_done = NT_SUCCESS(status);
    }
    if (status == STATUS_OBJECT_TYPE_MISMATCH)
        return vf_fail_status(err, VF_INCOMPATIBLE, status,
                              "the driver finds the source incompatible");
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "%s of VF %u failed", name, partition->vf);
    return 0;
}
