// SPDX-License-Identifier: Apache-2.0
/*
 * The softgpu miniport with one fault of hot update put in, named by its service, which is its
 * file's name: a test copies this image to "leaks-mdl.so" and updates to it. Linked as bad.c is.
 */
#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

NTSTATUS __real_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);
NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);

#define TAG 0x42746f48u /* "HotB" */

static char fault[64];                  /* set once, before any other call */
static DRIVER_INITIALIZATION_DATA real; /* likewise */
static DXGKRNL_INTERFACE os;
static BOOLEAN restored; /* a state came: this is an update, not a first start */
static PMDL lent;        /* saved, so the OS's */

static bool is(const char *name)
{
    return strcmp(fault, name) == 0;
}

/* The trial's process is told apart by its command line: for faults that only show at work. */
static bool in_trial(void)
{
    char line[4096] = "";
    FILE *file = fopen("/proc/self/cmdline", "rb");
    size_t bytes = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;

    if (file != NULL)
        (void)fclose(file);
    for (size_t i = 0; i < bytes; i += strlen(line + i) + 1)
        if (strcmp(line + i, "--try-driver") == 0)
            return true;
    return false;
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void crash(void)
{
    __builtin_trap();
}

static void free_mdl(PMDL mdl)
{
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
}

/* ---- saving in odd ways: the status of the odd block is not looked at ---- */

static void save_block(DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args)
{
    (void)os.DxgkCbSaveMemoryForHotUpdate(os.DeviceHandle, args);
}

static PMDL new_mdl(void)
{
    PHYSICAL_ADDRESS low = {.QuadPart = 0}, high = {.QuadPart = -1};

    return MmAllocatePagesForMdlEx(low, high, low, 8192, MmCached, 0);
}

static void save_oddly(void)
{
    static char data[64];
    static DXGK_KSR_MEMORY_RANGE ranges[2];
    DXGKARGCB_SAVEMEMORYFORHOTUPDATE args = {0};
    char *pages = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4 * PAGE_SIZE, TAG);
    ULONG64 first = (ULONG64)MmGetPhysicalAddress(pages).QuadPart >> PAGE_SHIFT;

    if (is("zero-buffer")) {
        args.pData = data;
    } else if (is("zero-ranges")) {
        args.pDataMemoryRanges = ranges;
    } else if (is("empty-range")) {
        ranges[0].MemoryRangeDesc = DXGK_KSR_MEMORY_RANGE_MAKE(first, 0);
        args.pDataMemoryRanges = ranges;
        args.NumDataMemoryRanges = 1;
    } else if (is("two-forms")) {
        args.pData = data;
        args.DataSize = sizeof data;
        ranges[0].MemoryRangeDesc = DXGK_KSR_MEMORY_RANGE_MAKE(first, 1);
        args.pDataMemoryRanges = ranges;
        args.NumDataMemoryRanges = 1;
    } else if (is("overlap")) {
        ranges[0].MemoryRangeDesc = DXGK_KSR_MEMORY_RANGE_MAKE(first, 3);
        ranges[1].MemoryRangeDesc = DXGK_KSR_MEMORY_RANGE_MAKE(first + 2, 2);
        args.pDataMemoryRanges = ranges;
        args.NumDataMemoryRanges = 2;
    } else if (is("foreign-pages")) {
        ranges[0].MemoryRangeDesc = DXGK_KSR_MEMORY_RANGE_MAKE(first, 9);
        args.pDataMemoryRanges = ranges;
        args.NumDataMemoryRanges = 1;
    } else if (is("wild-buffer")) {
        args.pData = (void *)0x10; /* nothing is mapped there */
        args.DataSize = sizeof data;
    } else if (is("too-much")) {
        args.pData = data;
        args.DataSize = 300u << 20;
    } else if (is("much-metadata")) {
        args.pData = data;
        args.DataSize = sizeof data;
        args.pMetaData = data;
        args.MetaDataSize = 1u << 20;
    } else if (is("mdl-twice")) {
        args.pDataMdl = lent = new_mdl();
        save_block(&args);
    }
    save_block(&args);
    ExFreePoolWithTag(pages, TAG);
}

static const char *const odd[] = {"zero-buffer", "zero-ranges", "empty-range", "two-forms",
                                  "overlap", "foreign-pages", "wild-buffer", "too-much",
                                  "much-metadata", "mdl-twice", "no-form"};

static NTSTATUS save_memory(HANDLE context, const DXGKARG_SAVEMEMORYFORHOTUPDATE *args)
{
    DXGKARGCB_SAVEMEMORYFORHOTUPDATE block = {0};
    NTSTATUS status;

    if (is("wants-passive") && KeGetCurrentIrql() != PASSIVE_LEVEL)
        return STATUS_INVALID_DEVICE_STATE;
    if (args->Flags.CancelHotUpdate && lent != NULL) {
        free_mdl(lent);
        lent = NULL;
    }
    if (!args->Flags.CancelHotUpdate && is("saves-nothing"))
        return STATUS_SUCCESS;
    if (!args->Flags.CancelHotUpdate && is("cannot-save"))
        return STATUS_DEVICE_BUSY;
    status = real.DxgkDdiSaveMemoryForHotUpdate(context, args);
    if (args->Flags.CancelHotUpdate || !NT_SUCCESS(status))
        return status;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        if (is(odd[i]))
            save_oddly();
    if (is("frees-what-it-saved")) {
        /* Metadata of a format from the future: successors let it be. */
        static ULONG metadata[6] = {0x55484753u, 99, 0, 8, 0, 0};

        block.pDataMdl = lent = new_mdl();
        block.pMetaData = metadata;
        block.MetaDataSize = sizeof metadata;
        save_block(&block);
    }
    return status;
}

/* ---- restoring wrongly ---- */

static NTSTATUS restore_block(HANDLE context, const DXGKARG_RESTOREMEMORYFORHOTUPDATE *args)
{
    if (is("refuses"))
        return STATUS_REVISION_MISMATCH;
    if (is("refuses-late") && !in_trial())
        return STATUS_REVISION_MISMATCH;
    if (is("crashes-in-restore"))
        crash();
    if (is("hangs-in-restore"))
        sleep_ms(60000);
    if (is("leaks-mdl"))
        return STATUS_SUCCESS; /* and keeps it for ever */
    if (is("leaks-late") && !in_trial())
        (void)new_mdl();
    if (is("frees-and-refuses")) {
        free_mdl(args->pDataMdl);
        return STATUS_REVISION_MISMATCH;
    }
    if (is("frees-twice")) {
        MmFreePagesFromMdl(args->pDataMdl);
        MmFreePagesFromMdl(args->pDataMdl);
        ExFreePool(args->pDataMdl);
        return STATUS_SUCCESS;
    }
    return real.DxgkDdiRestoreMemoryForHotUpdate(context, args);
}

static NTSTATUS restore_memory(HANDLE context, const DXGKARG_RESTOREMEMORYFORHOTUPDATE *args)
{
    restored = TRUE;
    if (is("wants-passive") && KeGetCurrentIrql() != PASSIVE_LEVEL)
        return STATUS_INVALID_DEVICE_STATE;
    if (!args->Flags.RestoreComplete)
        return restore_block(context, args);
    return is("fails-to-complete") ? STATUS_UNSUCCESSFUL
                                   : real.DxgkDdiRestoreMemoryForHotUpdate(context, args);
}

static NTSTATUS start_device(PVOID context, PDXGK_START_INFO info, PDXGKRNL_INTERFACE interface,
                             PULONG sources, PULONG children)
{
    DXGKARGCB_SAVEMEMORYFORHOTUPDATE block = {.pData = fault, .DataSize = 1};
    NTSTATUS status;

    os = *interface;
    if (is("starts-slowly") && restored)
        sleep_ms(400);
    if (is("does-not-start") && restored)
        return STATUS_DEVICE_BUSY;
    status = real.DxgkDdiStartDevice(context, info, interface, sources, children);
    if (is("saves-outside"))
        save_block(&block);
    return status;
}

static NTSTATUS stop_device(PVOID context)
{
    if (is("frees-what-it-saved") && lent != NULL)
        free_mdl(lent);
    lent = NULL;
    return real.DxgkDdiStopDevice(context);
}

static NTSTATUS query_adapter_info(HANDLE adapter, const DXGKARG_QUERYADAPTERINFO *args)
{
    NTSTATUS status = real.DxgkDdiQueryAdapterInfo(adapter, args);

    if (is("changes-caps") && args->Type == DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS)
        ((DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS *)args->pOutputData)->PageSize *= 2;
    if (is("stops-migrating") && args->Type == DXGKQAITYPE_GPUPCAPS)
        ((DXGK_GPUPCAPS *)args->pOutputData)->Caps.LiveMigration = 0;
    if (is("is-the-last") && args->Type == DXGKQAITYPE_GPUPCAPS)
        ((DXGK_GPUPCAPS *)args->pOutputData)->Caps.HotDriverUpdate = 0;
    return status;
}

static NTSTATUS get_virtual_gpu_info(HANDLE context, DXGKARG_GETVIRTUALGPUINFO *args)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(args);
    return STATUS_INVALID_PARAMETER;
}

static NTSTATUS query_interface(PVOID context, PQUERY_INTERFACE query)
{
    NTSTATUS status = real.DxgkDdiQueryInterface(context, query);

    if (NT_SUCCESS(status) && is("forgets-its-vfs") &&
        IsEqualGUID(query->InterfaceType, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE)) {
        DXGKDDI_GPU_PARTITION_INTERFACE *table =
            (DXGKDDI_GPU_PARTITION_INTERFACE *)(void *)query->Interface;

        table->DxgkDdiGetVirtualGpuInfo = get_virtual_gpu_info;
    }
    return status;
}

static void name_fault(const UNICODE_STRING *path)
{
    USHORT length = path->Length / sizeof(WCHAR), start = length;

    while (start > 0 && path->Buffer[start - 1] != '\\')
        start--;
    for (USHORT i = start; i < length && i - start < (int)sizeof fault - 1; i++)
        fault[i - start] = (char)path->Buffer[i];
}

NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data)
{
    DRIVER_INITIALIZATION_DATA table = *data;

    name_fault(path);
    real = *data;
    table.DxgkDdiStartDevice = start_device;
    table.DxgkDdiStopDevice = stop_device;
    table.DxgkDdiQueryAdapterInfo = query_adapter_info;
    table.DxgkDdiQueryInterface = query_interface;
    table.DxgkDdiSaveMemoryForHotUpdate = save_memory;
    table.DxgkDdiRestoreMemoryForHotUpdate = restore_memory;
    if (is("crashes-at-entry"))
        crash();
    if (is("other-version"))
        table.Version = DXGKDDI_INTERFACE_VERSION_WDDM3_1;
    if (is("cannot-pause"))
        table.DxgkDdiSetVirtualFunctionPauseState = NULL;
    return __real_DxgkInitialize(object, path, &table);
}
