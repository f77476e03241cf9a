// SPDX-License-Identifier: Apache-2.0
/*
 * Processes, devices and contexts: the paging process needs the handles, and the card keeps nothing
 * per handle. Only system contexts are served: user rendering on the PF does not exist.
 */
#include "softgpu_kmd.h"

#define SGK_KIND_PROCESS 0x50u
#define SGK_KIND_DEVICE 0x44u
#define SGK_KIND_CONTEXT 0x43u

struct sgk_object {
    ULONG kind; /* SGK_KIND_*; 0 once destroyed */
    struct sgk_adapter *adapter;
};

static HANDLE sgk_object_create(struct sgk_adapter *adapter, ULONG kind)
{
    struct sgk_object *object =
        ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*object), SGK_TAG_OBJECT);

    if (object) {
        object->kind = kind;
        object->adapter = adapter;
    }
    return object;
}

static NTSTATUS sgk_object_destroy(HANDLE handle, ULONG kind)
{
    struct sgk_object *object = handle;

    if (!object || object->kind != kind)
        return STATUS_INVALID_HANDLE;
    object->kind = 0;
    ExFreePoolWithTag(object, SGK_TAG_OBJECT);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_create_process(HANDLE hAdapter, DXGKARG_CREATEPROCESS *pArgs)
{
    PAGED_CODE();
    if (!hAdapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    pArgs->hKmdProcess = sgk_object_create(hAdapter, SGK_KIND_PROCESS);
    return pArgs->hKmdProcess ? STATUS_SUCCESS : STATUS_NO_MEMORY;
}

_Use_decl_annotations_
NTSTATUS sgk_destroy_process(HANDLE hAdapter, HANDLE hKmdProcess)
{
    PAGED_CODE();
    UNREFERENCED_PARAMETER(hAdapter);
    return sgk_object_destroy(hKmdProcess, SGK_KIND_PROCESS);
}

_Use_decl_annotations_
NTSTATUS sgk_create_device(HANDLE hAdapter, DXGKARG_CREATEDEVICE *pArgs)
{
    HANDLE device;

    PAGED_CODE();
    if (!hAdapter || !pArgs)
        return STATUS_INVALID_PARAMETER;
    if (!pArgs->Flags.SystemDevice)
        return STATUS_NOT_SUPPORTED;
    device = sgk_object_create(hAdapter, SGK_KIND_DEVICE);
    if (!device)
        return STATUS_NO_MEMORY;
    pArgs->hDevice = device;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_destroy_device(HANDLE hDevice)
{
    PAGED_CODE();
    return sgk_object_destroy(hDevice, SGK_KIND_DEVICE);
}

_Use_decl_annotations_
NTSTATUS sgk_create_context(HANDLE hDevice, DXGKARG_CREATECONTEXT *pArgs)
{
    struct sgk_object *device = hDevice;
    HANDLE context;

    PAGED_CODE();
    if (!device || device->kind != SGK_KIND_DEVICE || !pArgs ||
        pArgs->NodeOrdinal != SGK_NODE_PAGING)
        return STATUS_INVALID_PARAMETER;
    if (!pArgs->Flags.SystemContext)
        return STATUS_NOT_SUPPORTED;
    context = sgk_object_create(device->adapter, SGK_KIND_CONTEXT);
    if (!context)
        return STATUS_NO_MEMORY;
    pArgs->hContext = context;
    RtlZeroMemory(&pArgs->ContextInfo, sizeof(pArgs->ContextInfo));
    pArgs->ContextInfo.DmaBufferSize = SGK_PAGING_BUFFER_BYTES;
    pArgs->ContextInfo.Caps.NoPatchingRequired = 1;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_destroy_context(HANDLE hContext)
{
    PAGED_CODE();
    return sgk_object_destroy(hContext, SGK_KIND_CONTEXT);
}

_Use_decl_annotations_
NTSTATUS sgk_get_node_metadata(HANDLE hAdapter, UINT NodeOrdinalAndAdapterIndex,
                               DXGKARG_GETNODEMETADATA *pArgs)
{
    static const WCHAR name[] = L"Paging";

    PAGED_CODE();
    if (!hAdapter || !pArgs || NodeOrdinalAndAdapterIndex != SGK_NODE_PAGING)
        return STATUS_INVALID_PARAMETER;
    RtlZeroMemory(pArgs, sizeof(*pArgs));
    pArgs->EngineType = DXGK_ENGINE_TYPE_COPY;
    RtlCopyMemory(pArgs->FriendlyName, name, sizeof(name));
    pArgs->GpuMmuSupported = TRUE;
    return STATUS_SUCCESS;
}
