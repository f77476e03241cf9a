// SPDX-License-Identifier: Apache-2.0
/* The call checker's core, and the DDIs of device start behind it. See internal.h and ddi.h. */
#define LOG_ROOM "ddi"
#include "dxgk/ddi/ddi.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "dxgk/handles.h"
#include "dxgk/nt/nt.h"
#include "dxgk/waits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY_BYTES 64u
#define POISON 0xa5u

bool dxgk_call_enter(struct dxgk_call *call, struct dxgk_adapter *adapter, const char *name,
                     KIRQL max_irql)
{
    *call = (struct dxgk_call){.adapter = adapter,
                               .name = name,
                               .irql = nt_irql(),
                               .locks = nt_locks_held(),
                               .start_ns = vf_now_ns()};
    if (adapter->dead)
        return false;
    if (call->irql <= max_irql) {
        dxgk_waits_call(call);
        vf_trace(ddi_enter, adapter->index, name, dxgk_waits_partition());
        return true;
    }
    dxgk_report(adapter, "IRQL", "%s called at IRQL %u, it is for %u and below", name, call->irql,
                max_irql);
    return false;
}

NTSTATUS dxgk_call_leave(const struct dxgk_call *call, NTSTATUS status)
{
    uint64_t took_ns = vf_now_ns() - call->start_ns;
    KIRQL now = nt_irql();

    dxgk_waits_returned(call);
    vf_trace(ddi_leave, call->adapter->index, call->name, dxgk_waits_partition(), status, took_ns);
    log_debug("adapter %u: %s -> %s 0x%x, %" PRIu64 " ns", call->adapter->index, call->name,
              vf_status_name(status), (uint32_t)status, took_ns);
    if (nt_locks_held() != call->locks) {
        dxgk_report(call->adapter, "IRQL",
                    "%s returned with %u spin locks held, it was called with %u", call->name,
                    nt_locks_held(), call->locks);
        status = STATUS_UNSUCCESSFUL;
    }
    if (now != call->irql) {
        dxgk_report(call->adapter, "IRQL", "%s was called at IRQL %u and returned at %u",
                    call->name, call->irql, now);
        (void)nt_irql_set(call->irql);
        status = STATUS_UNSUCCESSFUL;
    }
    return status;
}

void *dxgk_guarded_alloc(size_t bytes)
{
    uint8_t *buffer = bytes <= SIZE_MAX - CANARY_BYTES ? calloc(1, bytes + CANARY_BYTES) : NULL;

    if (buffer != NULL)
        memset(buffer + bytes, POISON, CANARY_BYTES);
    return buffer;
}

bool dxgk_guarded_intact(const void *buffer, size_t bytes)
{
    const uint8_t *canary = (const uint8_t *)buffer + bytes;

    for (size_t i = 0; i < CANARY_BYTES; i++) {
        if (canary[i] != POISON)
            return false;
    }
    return true;
}

void dxgk_guarded_free(void *buffer)
{
    free(buffer);
}

int dxgk_refuse(struct dxgk_adapter *adapter, const char *rule, struct vf_error *err,
                const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dxgk_report(adapter, rule, "%s", text);
    return vf_fail(err, VF_FAILED, "refused by %s: %s", rule, text);
}

/* ---- device start ---- */

int dxgk_ddi_add_device(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_call call;
    PVOID context = NULL;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiAddDevice", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DxgkDdiAddDevice at a raised IRQL");
    /* The driver passes the physical device object back at most: the adapter's address serves. */
    status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiAddDevice((PDEVICE_OBJECT)(void *)adapter, &context));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver refuses the device (DxgkDdiAddDevice)");
    if (context == NULL)
        return dxgk_refuse(adapter, "CAP-7", err,
                           "DxgkDdiAddDevice succeeded without a device context");
    dxgk_adapter_set_context(adapter, context);
    adapter->added = true;
    return 0;
}

int dxgk_ddi_start_device(struct dxgk_adapter *adapter, struct vf_error *err)
{
    DXGK_START_INFO info = {.RequiredDmaQueueEntry = 32,
                            .AdapterLuid = {adapter->luid.low, adapter->luid.high}};
    /* The table does not outlive the call: a driver that keeps the pointer instead of a copy is
     * caught by memory tools. */
    DXGKRNL_INTERFACE callbacks = adapter->callbacks;
    struct dxgk_call call;
    ULONG sources = 0;
    ULONG children = 0;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiStartDevice", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DxgkDdiStartDevice at a raised IRQL");
    status = dxgk_call_leave(&call, adapter->ddi.DxgkDdiStartDevice(
                                        adapter->hAdapter, &info, &callbacks, &sources, &children));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status,
                              "the driver cannot start the device (DxgkDdiStartDevice)");
    adapter->started = true;
    return 0;
}

static void end_device(struct dxgk_adapter *adapter, const char *name, NTSTATUS (*ddi)(PVOID))
{
    struct dxgk_call call;
    NTSTATUS status;

    if (!dxgk_call_enter(&call, adapter, name, PASSIVE_LEVEL))
        return;
    status = dxgk_call_leave(&call, ddi(adapter->hAdapter));
    if (!NT_SUCCESS(status))
        dxgk_report(adapter, "CAP-7", "%s failed with 0x%x", name, (uint32_t)status);
}

void dxgk_ddi_stop_device(struct dxgk_adapter *adapter)
{
    if (adapter->started)
        end_device(adapter, "DxgkDdiStopDevice", adapter->ddi.DxgkDdiStopDevice);
    adapter->started = false;
    /* The driver waits for its work items, but its code must stay until they have returned. */
    nt_work_drain();
}

void dxgk_ddi_remove_device(struct dxgk_adapter *adapter)
{
    if (adapter->added)
        end_device(adapter, "DxgkDdiRemoveDevice", adapter->ddi.DxgkDdiRemoveDevice);
    adapter->added = false;
    dxgk_adapter_set_context(adapter, NULL);
}

/* ---- questions ---- */

static NTSTATUS ask(struct dxgk_adapter *adapter, const DXGKARG_QUERYADAPTERINFO *arg)
{
    struct dxgk_call call;

    if (!dxgk_call_enter(&call, adapter, "DxgkDdiQueryAdapterInfo", PASSIVE_LEVEL))
        return STATUS_INVALID_DEVICE_STATE;
    return dxgk_call_leave(&call, adapter->ddi.DxgkDdiQueryAdapterInfo(adapter->hAdapter, arg));
}

static bool all_poison(const uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        if (data[i] != POISON)
            return false;
    }
    return true;
}

NTSTATUS dxgk_ddi_query_adapter_info(struct dxgk_adapter *adapter, DXGK_QUERYADAPTERINFOTYPE type,
                                     void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
                                     bool in_out)
{
    uint8_t *buffer = dxgk_guarded_alloc(out_bytes);
    DXGKARG_QUERYADAPTERINFO arg = {.Type = type,
                                    .pInputData = in,
                                    .InputDataSize = in_bytes,
                                    .pOutputData = buffer,
                                    .OutputDataSize = out_bytes};
    NTSTATUS status;

    if (buffer == NULL)
        return STATUS_NO_MEMORY;
    if (in_out)
        memcpy(buffer, out, out_bytes);
    else
        memset(buffer, POISON, out_bytes);
    status = ask(adapter, &arg);
    if (!dxgk_guarded_intact(buffer, out_bytes)) {
        dxgk_report(adapter, "CAP-1",
                    "DxgkDdiQueryAdapterInfo of type %d wrote behind its output of %u bytes", type,
                    out_bytes);
        status = STATUS_UNSUCCESSFUL;
    }
    if (NT_SUCCESS(status) && !in_out && all_poison(buffer, out_bytes)) {
        dxgk_report(adapter, "CAP-1",
                    "DxgkDdiQueryAdapterInfo of type %d succeeded and set nothing", type);
        status = STATUS_UNSUCCESSFUL;
    }
    if (NT_SUCCESS(status))
        memcpy(out, buffer, out_bytes);
    dxgk_guarded_free(buffer);
    return status;
}

NTSTATUS dxgk_ddi_query_interface(struct dxgk_adapter *adapter, const GUID *guid, uint16_t version,
                                  void *out, uint16_t size)
{
    INTERFACE *buffer = dxgk_guarded_alloc(size);
    QUERY_INTERFACE query = {
        .InterfaceType = guid, .Size = size, .Version = version, .Interface = buffer};
    struct dxgk_call call;
    NTSTATUS status;

    if (buffer == NULL ||
        !dxgk_call_enter(&call, adapter, "DxgkDdiQueryInterface", PASSIVE_LEVEL)) {
        dxgk_guarded_free(buffer);
        return STATUS_NO_MEMORY;
    }
    status = dxgk_call_leave(&call, adapter->ddi.DxgkDdiQueryInterface(adapter->hAdapter, &query));
    if (!dxgk_guarded_intact(buffer, size)) {
        dxgk_report(adapter, "CAP-7", "DxgkDdiQueryInterface wrote behind its output of %u bytes",
                    size);
        status = STATUS_UNSUCCESSFUL;
    }
    if (NT_SUCCESS(status) &&
        (buffer->Size < sizeof *buffer || buffer->Size > size || buffer->Version != version)) {
        dxgk_report(
            adapter, "CAP-7",
            "DxgkDdiQueryInterface succeeded with size %u and version %u, asked were %u and %u",
            buffer->Size, buffer->Version, size, version);
        status = STATUS_UNSUCCESSFUL;
    }
    if (NT_SUCCESS(status))
        memcpy(out, buffer, size);
    dxgk_guarded_free(buffer);
    return status;
}
