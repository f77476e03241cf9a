// SPDX-License-Identifier: Apache-2.0
/*
 * Live migration of a VF (SRC-1 to SRC-8, TGT-1 to TGT-6): the schedule while it lasts, and the
 * VF's execution state.
 *
 *            Prepare(SOURCE)                       Prepare(TARGET)
 *     NONE ------------------> SOURCE       NONE ------------------> TARGET
 *       ^   SaveImmutable x2     |            ^  RestoreImmutable      |
 *       |   SaveMutable x2       |            |  RestoreMutable        |
 *       +--------- End ----------+            +--------- End ----------+
 */
#include "softgpu_kmd.h"

#define SGK_MUTABLE_MAGIC 0x534d4753u /* "SGMS" */
#define SGK_MUTABLE_VERSION 1u

/* Mutable data: what a paused VF is beyond its VRAM. */
struct sgk_mutable {
    ULONG magic;
    ULONG version;
    ULONG bytes; /* sizeof(struct sgk_mutable) */
    ULONG reserved;
    struct sg_vf_state state;
};

C_ASSERT(sizeof(struct sg_vf_state) % sizeof(ULONG64) == 0);
C_ASSERT(sizeof(struct sg_vf_state) <= 0x1000);

static PULONG64 sgk_state_window(const struct sgk_adapter *adapter, ULONG index)
{
    return (PULONG64)(PVOID)(adapter->regs + SG_VFC(index, SG_VFC_STATE));
}

/* A VF is prepared when it has memory and no migration; a target is paused all along (TGT-1). */
static NTSTATUS sgk_migration_begin(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu,
                                    enum sgk_migration migration)
{
    if (vgpu->migration != SGK_MIGRATION_NONE || !vgpu->extents)
        return STATUS_INVALID_DEVICE_STATE;
    if (migration == SGK_MIGRATION_TARGET && !vgpu->paused)
        return STATUS_INVALID_DEVICE_STATE;

    SGK_COUNT(vgpu, moves);
    vgpu->migration = migration;
    vgpu->immutable_done = FALSE;
    vgpu->mutable_done = FALSE;
    /* SRC-1: time for paging is lent by this VF alone. Its weight, and so every other VF's
     * share, stays. */
    vgpu->lend_before = sgk_read(adapter, SG_VFC(index, SG_VFC_LEND));
    sgk_write(adapter, SG_VFC(index, SG_VFC_LEND),
              migration == SGK_MIGRATION_SOURCE ? SGK_LEND_SOURCE : SGK_LEND_TARGET);
    if (migration == SGK_MIGRATION_SOURCE && !sgk_performant(adapter)) {
        /* CAP-4: from here on writes set bits, though the OS's basis starts counting with
         * its StartDirtyTracking. */
        ExAcquireFastMutex(&adapter->basis_lock);
        sgk_tracking_hold(adapter);
        ExReleaseFastMutex(&adapter->basis_lock);
        vgpu->holds_tracking = TRUE;
    }
    return STATUS_SUCCESS;
}

void sgk_migration_release(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu)
{
    if (vgpu->migration == SGK_MIGRATION_NONE)
        return;
    sgk_write(adapter, SG_VFC(index, SG_VFC_LEND), vgpu->lend_before);
    if (vgpu->holds_tracking) {
        ExAcquireFastMutex(&adapter->basis_lock);
        sgk_tracking_drop(adapter);
        ExReleaseFastMutex(&adapter->basis_lock);
        vgpu->holds_tracking = FALSE;
    }
    vgpu->migration = SGK_MIGRATION_NONE;
}

_Use_decl_annotations_
NTSTATUS sgk_prepare_live_migration(HANDLE hAdapter,
                                    const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs ||
        (pArgs->MigrationType != DXGK_GPUP_MIGRATIONTYPE_SOURCE &&
         pArgs->MigrationType != DXGK_GPUP_MIGRATIONTYPE_TARGET))
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    status = sgk_migration_begin(adapter, pArgs->vfIndex, vgpu,
                                 pArgs->MigrationType == DXGK_GPUP_MIGRATIONTYPE_SOURCE
                                     ? SGK_MIGRATION_SOURCE
                                     : SGK_MIGRATION_TARGET);
    sgk_vgpu_release(vgpu);
    return status;
}

_Use_decl_annotations_
NTSTATUS sgk_end_live_migration(HANDLE hAdapter, UINT vfIndex)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (vgpu->migration == SGK_MIGRATION_NONE)
        status = STATUS_INVALID_DEVICE_STATE;
    else
        sgk_migration_release(adapter, vfIndex, vgpu);
    sgk_vgpu_release(vgpu);
    return status;
}

/*
 * The two-call pattern: TRUE when the caller brought a buffer that holds `bytes`, and *status is
 * then success; else *status is the call's answer.
 */
static BOOLEAN sgk_two_calls(PUINT64 size, const BYTE *data, SIZE_T bytes, NTSTATUS *status)
{
    *status = STATUS_SUCCESS;
    if (!data) {
        if (*size)
            *status = STATUS_INVALID_PARAMETER; /* a size without a buffer is neither call */
        else
            *size = bytes;
        return FALSE;
    }
    if (*size < bytes) {
        *size = bytes;
        *status = STATUS_BUFFER_TOO_SMALL;
        return FALSE;
    }
    *size = bytes;
    return TRUE;
}

_Use_decl_annotations_
NTSTATUS sgk_save_immutable_migration_data(HANDLE hAdapter,
                                           DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs || !pArgs->DataSize)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (vgpu->migration != SGK_MIGRATION_SOURCE)
        status = STATUS_INVALID_DEVICE_STATE;
    else if (sgk_two_calls(pArgs->DataSize, pArgs->Data, sgk_immutable_bytes(), &status))
        sgk_immutable_fill(adapter, vgpu, pArgs->Data);
    sgk_vgpu_release(vgpu);
    return status;
}

/* May the target's immutable data be restored now? One call, on a paused VF (TGT-2). */
static BOOLEAN sgk_awaits_immutable(const struct sgk_vgpu *vgpu)
{
    return vgpu->migration == SGK_MIGRATION_TARGET && vgpu->paused && !vgpu->immutable_done;
}

_Use_decl_annotations_
NTSTATUS sgk_restore_immutable_migration_data(
    HANDLE hAdapter, const DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_INVALID_DEVICE_STATE;

    PAGED_CODE();
    if (!adapter || !pArgs || !pArgs->Data)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (sgk_awaits_immutable(vgpu))
        status = STATUS_SUCCESS;
    sgk_vgpu_release(vgpu);
    if (!NT_SUCCESS(status))
        return status;

    /* Without the lock: a triage event is too long for any level but PASSIVE, and the comparison
     * needs nothing of the vGPU. */
    status = sgk_immutable_check(adapter, pArgs->vfIndex, pArgs->Data, pArgs->DataSize);
    if (!NT_SUCCESS(status))
        return status;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_DEVICE_STATE;
    if (sgk_awaits_immutable(vgpu))
        vgpu->immutable_done = TRUE;
    else
        status = STATUS_INVALID_DEVICE_STATE;
    sgk_vgpu_release(vgpu);
    return status;
}

static NTSTATUS sgk_state_save(struct sgk_adapter *adapter, ULONG index, struct sgk_mutable *out)
{
    RtlZeroMemory(out, sizeof(*out));
    out->magic = SGK_MUTABLE_MAGIC;
    out->version = SGK_MUTABLE_VERSION;
    out->bytes = sizeof(*out);
    sgk_write(adapter, SG_VFC(index, SG_VFC_STATE_CMD), SG_STATE_CMD_SAVE);
    if (sgk_read(adapter, SG_VFC(index, SG_VFC_STATE_RESULT)) != 0)
        return STATUS_DEVICE_NOT_READY;
    READ_REGISTER_BUFFER_ULONG64(sgk_state_window(adapter, index), (PULONG64)(PVOID)&out->state,
                                 sizeof(out->state) / sizeof(ULONG64));
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_save_mutable_migration_data(HANDLE hAdapter,
                                         DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_mutable data;
    struct sgk_vgpu *vgpu;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs || !pArgs->DataSize)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (vgpu->migration != SGK_MIGRATION_SOURCE || !vgpu->paused) {
        status = STATUS_INVALID_DEVICE_STATE; /* SRC-6 */
    } else if (sgk_two_calls(pArgs->DataSize, pArgs->Data, sizeof(data), &status)) {
        status = sgk_state_save(adapter, pArgs->vfIndex, &data);
        if (NT_SUCCESS(status))
            RtlCopyMemory(pArgs->Data, &data,
                          sizeof(data)); /* the OS's buffer promises no alignment */
    }
    sgk_vgpu_release(vgpu);
    return status;
}

/* TGT-6: header here, contents by the card, which refuses a state it does not know as a whole. */
static NTSTATUS sgk_state_load(struct sgk_adapter *adapter, ULONG index, const BYTE *data,
                               ULONG64 bytes)
{
    struct sgk_mutable in;

    if (bytes != sizeof(in))
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(&in, data, sizeof(in));
    if (in.magic != SGK_MUTABLE_MAGIC || in.bytes != sizeof(in) || in.reserved != 0)
        return STATUS_INVALID_PARAMETER;
    if (in.version != SGK_MUTABLE_VERSION || in.state.version != SG_VF_STATE_VERSION)
        return STATUS_REVISION_MISMATCH;
    if (in.state.bytes != sizeof(in.state))
        return STATUS_INVALID_PARAMETER;

    WRITE_REGISTER_BUFFER_ULONG64(sgk_state_window(adapter, index), (PULONG64)(PVOID)&in.state,
                                  sizeof(in.state) / sizeof(ULONG64));
    sgk_write(adapter, SG_VFC(index, SG_VFC_STATE_CMD), SG_STATE_CMD_LOAD);
    switch (sgk_read(adapter, SG_VFC(index, SG_VFC_STATE_RESULT))) {
    case 0:
        return STATUS_SUCCESS;
    case 1:
        return STATUS_DEVICE_NOT_READY;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

_Use_decl_annotations_
NTSTATUS sgk_restore_mutable_migration_data(
    HANDLE hAdapter, const DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status;

    PAGED_CODE();
    if (!adapter || !pArgs || !pArgs->Data)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;
    if (vgpu->migration != SGK_MIGRATION_TARGET || !vgpu->paused || !vgpu->immutable_done ||
        vgpu->mutable_done) {
        status =
            STATUS_INVALID_DEVICE_STATE; /* TGT-4: once, on a paused VF that was found to fit */
    } else {
        status = sgk_state_load(adapter, pArgs->vfIndex, pArgs->Data, pArgs->DataSize);
        vgpu->mutable_done = NT_SUCCESS(status);
    }
    sgk_vgpu_release(vgpu);
    return status;
}
