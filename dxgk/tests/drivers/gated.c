// SPDX-License-Identifier: Apache-2.0
/*
 * The softgpu miniport with gates: a test has a call of the OS stand in the driver for as long as
 * it likes, fail as often as it likes, or crash. The directory VF_GATES says how, CALL being one
 * below:
 *
 * - CALL, a FIFO: the call makes CALL.at, then stands until somebody opens the FIFO to write, and
 *   takes CALL.at away.
 * - CALL.fail.N, a file, N = 1..9: the call takes one away and fails.
 * - CALL.fails, a file: the call fails as long as it is there.
 * - CALL.crashes, a file: the call writes to nowhere.
 * - CALL.lacks, a file, when the driver is loaded: its table lacks the call (live migration only).
 * - LiveMigration.lacks, likewise: its caps lack the bit.
 *
 * Linked as bad.c is.
 */
#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

NTSTATUS __real_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);
NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data);

static const char *gates;               /* set once, before any other call */
static DRIVER_INITIALIZATION_DATA real; /* likewise */
static DXGKDDI_GPU_PARTITION_INTERFACE real_gpup;

static bool there(const char *name, const char *suffix, char path[4096])
{
    if (gates == NULL)
        return false;
    (void)snprintf(path, 4096, "%s/%s%s", gates, name, suffix);
    return access(path, F_OK) == 0;
}

static char *volatile nowhere; /* what a driver's mistake writes to */

static bool fails(const char *name)
{
    char path[4096];
    char suffix[] = ".fail.1";

    for (; suffix[6] <= '9'; suffix[6]++)
        if (there(name, suffix, path) && unlink(path) == 0)
            return true;
    return there(name, ".fails", path);
}

/* False: the call shall fail. */
static bool pass(const char *name)
{
    char path[4096], at[4096];
    int fd;

    if (there(name, "", path)) {
        (void)there(name, ".at", at);
        fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            (void)close(fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            (void)close(fd);
        (void)unlink(at); /* it goes on, also when the gate was taken away before it stood there */
    }
    if (there(name, ".crashes", path))
        *(volatile char *)nowhere = 0;
    return !fails(name);
}

#define GATED(name, field, type)                                                                   \
    static NTSTATUS field(HANDLE context, type args)                                               \
    {                                                                                              \
        return pass(name) ? real.DxgkDdi##field(context, args) : STATUS_DEVICE_BUSY;               \
    }

GATED("prepare", PrepareLiveMigration, const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION *)
GATED("save-immutable", SaveImmutableMigrationData, DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA *)
GATED("save-mutable", SaveMutableMigrationData, DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA *)
GATED("restore-immutable", RestoreImmutableMigrationData,
      const DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA *)
GATED("restore-mutable", RestoreMutableMigrationData,
      const DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA *)
GATED("end", EndLiveMigration, UINT)

static NTSTATUS set_pause_state(HANDLE adapter, const DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE *args)
{
    return pass(args->bPause ? "pause" : "resume")
               ? real.DxgkDdiSetVirtualFunctionPauseState(adapter, args)
               : STATUS_DEVICE_BUSY;
}

static NTSTATUS build_paging_buffer(HANDLE adapter, DXGKARG_BUILDPAGINGBUFFER *args)
{
    if (args->Operation == DXGK_OPERATION_VIRTUAL_TRANSFER &&
        args->TransferVirtual.TransferDirection == DXGK_MEMORY_TRANSFER_LOCAL_TO_LOCAL &&
        !pass("copy"))
        return STATUS_UNSUCCESSFUL;
    if (args->Operation == DXGK_OPERATION_VIRTUAL_FILL && !pass("fill"))
        return STATUS_UNSUCCESSFUL;
    return real.DxgkDdiBuildPagingBuffer(adapter, args);
}

static NTSTATUS set_virtual_gpu_resources(HANDLE context, DXGKARG_SETVIRTUALGPURESOURCES *args)
{
    return pass("place") ? real_gpup.DxgkDdiSetVirtualGpuResources(context, args)
                         : STATUS_DEVICE_BUSY;
}

static NTSTATUS destroy_virtual_gpu(HANDLE context, DXGKARG_DESTROYVIRTUALGPU *args)
{
    return pass("destroy") ? real_gpup.DxgkDdiDestroyVirtualGpu(context, args) : STATUS_DEVICE_BUSY;
}

static NTSTATUS save_memory(HANDLE adapter, const DXGKARG_SAVEMEMORYFORHOTUPDATE *args)
{
    return pass("save-memory") ? real.DxgkDdiSaveMemoryForHotUpdate(adapter, args)
                               : STATUS_DEVICE_BUSY;
}

static NTSTATUS query_adapter_info(HANDLE adapter, const DXGKARG_QUERYADAPTERINFO *args)
{
    NTSTATUS status = real.DxgkDdiQueryAdapterInfo(adapter, args);
    char path[4096];

    if (args->Type == DXGKQAITYPE_GPUPCAPS && !pass("caps"))
        return STATUS_DEVICE_BUSY;
    if (args->Type == DXGKQAITYPE_GPUPCAPS && there("LiveMigration", ".lacks", path))
        ((DXGK_GPUPCAPS *)args->pOutputData)->Caps.LiveMigration = 0;
    return status;
}

static NTSTATUS query_interface(PVOID context, PQUERY_INTERFACE query)
{
    NTSTATUS status = real.DxgkDdiQueryInterface(context, query);

    if (NT_SUCCESS(status) &&
        IsEqualGUID(query->InterfaceType, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE)) {
        DXGKDDI_GPU_PARTITION_INTERFACE *table =
            (DXGKDDI_GPU_PARTITION_INTERFACE *)(void *)query->Interface;

        real_gpup = *table;
        table->DxgkDdiSetVirtualGpuResources = set_virtual_gpu_resources;
        table->DxgkDdiDestroyVirtualGpu = destroy_virtual_gpu;
    }
    return status;
}

#define MIGRATES(name, field) data->DxgkDdi##field = there(name, ".lacks", path) ? NULL : field

static void gate_migration(DRIVER_INITIALIZATION_DATA *data)
{
    char path[4096];

    MIGRATES("prepare", PrepareLiveMigration);
    MIGRATES("save-immutable", SaveImmutableMigrationData);
    MIGRATES("save-mutable", SaveMutableMigrationData);
    MIGRATES("restore-immutable", RestoreImmutableMigrationData);
    MIGRATES("restore-mutable", RestoreMutableMigrationData);
    MIGRATES("end", EndLiveMigration);
}

NTSTATUS __wrap_DxgkInitialize(PDRIVER_OBJECT object, PUNICODE_STRING path,
                               PDRIVER_INITIALIZATION_DATA data)
{
    DRIVER_INITIALIZATION_DATA table = *data;

    gates = getenv("VF_GATES");
    real = *data;
    gate_migration(&table);
    table.DxgkDdiQueryAdapterInfo = query_adapter_info;
    table.DxgkDdiQueryInterface = query_interface;
    table.DxgkDdiSetVirtualFunctionPauseState = set_pause_state;
    table.DxgkDdiBuildPagingBuffer = build_paging_buffer;
    table.DxgkDdiSaveMemoryForHotUpdate = save_memory;
    return __real_DxgkInitialize(object, path, &table);
}
