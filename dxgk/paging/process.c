// SPDX-License-Identifier: Apache-2.0
/* The paging process, its system device and context. See process.h. */
#include "dxgk/paging/process.h"

/* What the DDI gave. The OS' handle that went in as `ours` is none of the driver's own. */
static int take_handle(const char *ddi, NTSTATUS status, HANDLE given, const void *ours,
                       HANDLE *out, struct vf_error *err)
{
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "paging process: %s", ddi);
    if (given == NULL || given == ours)
        return vf_fail(err, VF_FAILED, "paging process: %s succeeded without a handle", ddi);
    *out = given;
    return 0;
}

static int create_process(struct dxgk_adapter *adapter, struct dxgk_process *out,
                          struct vf_error *err)
{
    DXGKARG_CREATEPROCESS args = {.hDxgkProcess = adapter};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiCreateProcess == NULL || adapter->ddi.DxgkDdiDestroyProcess == NULL)
        return 0;
    args.Flags.SystemProcess = 1;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateProcess", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "paging process: CreateProcess at the wrong level");
    NTSTATUS status = dxgk_call_leave(&call,
                                      adapter->ddi.DxgkDdiCreateProcess(adapter->hAdapter, &args));
    return take_handle("CreateProcess", status, args.hKmdProcess, NULL, &out->process, err);
}

static int create_device(struct dxgk_adapter *adapter, struct dxgk_process *out,
                         struct vf_error *err)
{
    DXGKARG_CREATEDEVICE args = {.hDevice = adapter, .hKmdProcess = out->process};
    struct dxgk_call call;

    if (adapter->ddi.DxgkDdiCreateDevice == NULL || adapter->ddi.DxgkDdiDestroyDevice == NULL)
        return 0;
    args.Flags.SystemDevice = 1;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateDevice", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "paging process: CreateDevice at the wrong level");
    NTSTATUS status = dxgk_call_leave(&call,
                                      adapter->ddi.DxgkDdiCreateDevice(adapter->hAdapter, &args));
    return take_handle("CreateDevice", status, args.hDevice, adapter, &out->device, err);
}

static int create_context(struct dxgk_adapter *adapter, uint32_t node, struct dxgk_process *out,
                          struct vf_error *err)
{
    DXGKARG_CREATECONTEXT args = {.hContext = adapter, .NodeOrdinal = node, .EngineAffinity = 1};
    struct dxgk_call call;

    if (out->device == NULL || adapter->ddi.DxgkDdiCreateContext == NULL ||
        adapter->ddi.DxgkDdiDestroyContext == NULL)
        return 0;
    args.Flags.SystemContext = 1;
    args.Flags.VirtualAddressing = 1;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateContext", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "paging process: CreateContext at the wrong level");
    NTSTATUS status = dxgk_call_leave(&call, adapter->ddi.DxgkDdiCreateContext(out->device, &args));
    return take_handle("CreateContext", status, args.hContext, adapter, &out->context, err);
}

int dxgk_process_create(struct dxgk_adapter *adapter, uint32_t node, struct dxgk_process *out,
                        struct vf_error *err)
{
    *out = (struct dxgk_process){0};
    if (create_process(adapter, out, err) == 0 && create_device(adapter, out, err) == 0 &&
        create_context(adapter, node, out, err) == 0)
        return 0;
    dxgk_process_destroy(adapter, out);
    return -1;
}

static void judge(struct dxgk_adapter *adapter, const char *name, NTSTATUS status)
{
    if (!NT_SUCCESS(status))
        dxgk_report(adapter, "CAP-6", "%s failed on a live handle (0x%x)", name, (unsigned)status);
}

void dxgk_process_destroy(struct dxgk_adapter *adapter, struct dxgk_process *process)
{
    struct dxgk_call call;

    if (process->context != NULL &&
        dxgk_call_enter(&call, adapter, "DxgkDdiDestroyContext", PASSIVE_LEVEL))
        judge(adapter, call.name,
              dxgk_call_leave(&call, adapter->ddi.DxgkDdiDestroyContext(process->context)));
    if (process->device != NULL &&
        dxgk_call_enter(&call, adapter, "DxgkDdiDestroyDevice", PASSIVE_LEVEL))
        judge(adapter, call.name,
              dxgk_call_leave(&call, adapter->ddi.DxgkDdiDestroyDevice(process->device)));
    if (process->process != NULL &&
        dxgk_call_enter(&call, adapter, "DxgkDdiDestroyProcess", PASSIVE_LEVEL))
        judge(adapter, call.name,
              dxgk_call_leave(&call, adapter->ddi.DxgkDdiDestroyProcess(adapter->hAdapter,
                                                                        process->process)));
    *process = (struct dxgk_process){0};
}
