// SPDX-License-Identifier: Apache-2.0
/*
 * A VF's place in the schedule: powered or not, paused or not, and waiting until it
 * has really stopped.
 */
#include "softgpu_kmd.h"

/* A step of a command takes well under a millisecond: a VF that is not quiet after this is broken.
 * 100 ns units. */
#define SGK_QUIET_LIMIT (1000ull * 10000ull)

void sgk_schedule_apply(struct sgk_adapter *adapter, ULONG index, const struct sgk_vgpu *vgpu)
{
    ULONG ctrl = 0;

    if (vgpu->powered)
        ctrl |= SG_VFC_CTRL_ENABLE;
    if (vgpu->paused)
        ctrl |= SG_VFC_CTRL_PAUSE;
    sgk_write(adapter, SG_VFC(index, SG_VFC_CTRL), ctrl);
}

NTSTATUS sgk_schedule_wait_quiet(struct sgk_adapter *adapter, ULONG index)
{
    ULONGLONG limit = KeQueryInterruptTime() + SGK_QUIET_LIMIT;

    /* Quiet is: no command runs, no store awaits its dirty bit (DBT-10). The card holds the status
     * read of a stopping VF back until then or for 2 ms: this does not spin. */
    for (;;) {
        if (sgk_read(adapter, SG_VFC(index, SG_VFC_STATUS)) & SG_VFC_STATUS_QUIET)
            return STATUS_SUCCESS;
        if (KeQueryInterruptTime() >= limit)
            return STATUS_IO_TIMEOUT;
    }
}

_Use_decl_annotations_
NTSTATUS sgk_set_virtual_function_pause_state(HANDLE hAdapter,
                                              const DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_vgpu *vgpu;
    NTSTATUS status = STATUS_SUCCESS;
    BOOLEAN before;

    PAGED_CODE();
    if (!adapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    vgpu = sgk_vgpu_acquire(adapter, pArgs->vfIndex);
    if (!vgpu)
        return STATUS_INVALID_PARAMETER;

    before = vgpu->paused;
    vgpu->paused =
        pArgs->bPause != 0; /* VF-4: FALSE only takes this effect away; a VF in D3 stays stopped */
    sgk_schedule_apply(adapter, pArgs->vfIndex, vgpu);
    if (vgpu->paused) {
        SGK_COUNT(vgpu, pauses);
        status = sgk_schedule_wait_quiet(adapter, pArgs->vfIndex);
        if (!NT_SUCCESS(status)) {
            vgpu->paused = before;
            sgk_schedule_apply(adapter, pArgs->vfIndex, vgpu);
        }
    }
    sgk_vgpu_release(vgpu);
    return status;
}
