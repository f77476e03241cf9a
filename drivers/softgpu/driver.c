// SPDX-License-Identifier: Apache-2.0
/*
 * DriverEntry: the table of the softgpu miniport, each group under the file it lives in. The DDIs
 * that go by interface are in partition.c, sriov.c and mitigation.c. All state belongs to adapters;
 * the image itself has only constants.
 */
#include "softgpu_kmd.h"

static void sgk_unload(void)
{
    /* Nothing image-wide to free: every adapter went with its RemoveDevice. */
}

_Use_decl_annotations_
NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DRIVER_INITIALIZATION_DATA init = {0};

    init.Version = DXGKDDI_INTERFACE_VERSION;

    /* adapter.c */
    init.DxgkDdiAddDevice = sgk_add_device;
    init.DxgkDdiStartDevice = sgk_start_device;
    init.DxgkDdiStopDevice = sgk_stop_device;
    init.DxgkDdiRemoveDevice = sgk_remove_device;
    init.DxgkDdiQueryInterface = sgk_query_interface;

    /* here */
    init.DxgkDdiUnload = sgk_unload;

    /* caps.c */
    init.DxgkDdiQueryAdapterInfo = sgk_query_adapter_info;

    /* interrupt.c */
    init.DxgkDdiInterruptRoutine = sgk_interrupt_routine;
    init.DxgkDdiDpcRoutine = sgk_dpc_routine;

    /* context.c */
    init.DxgkDdiCreateProcess = sgk_create_process;
    init.DxgkDdiDestroyProcess = sgk_destroy_process;
    init.DxgkDdiCreateDevice = sgk_create_device;
    init.DxgkDdiDestroyDevice = sgk_destroy_device;
    init.DxgkDdiCreateContext = sgk_create_context;
    init.DxgkDdiDestroyContext = sgk_destroy_context;
    init.DxgkDdiGetNodeMetadata = sgk_get_node_metadata;

    /* paging.c */
    init.DxgkDdiBuildPagingBuffer = sgk_build_paging_buffer;
    init.DxgkDdiSetRootPageTable = sgk_set_root_page_table;
    init.DxgkDdiGetRootPageTableSize = sgk_get_root_page_table_size;

    /* submit.c */
    init.DxgkDdiSubmitCommandVirtual = sgk_submit_command_virtual;
    init.DxgkDdiQueryCurrentFence = sgk_query_current_fence;
    init.DxgkDdiResetEngine = sgk_reset_engine;

    /* basis.c */
    init.DxgkDdiCreateMemoryBasis = sgk_create_memory_basis;
    init.DxgkDdiDestroyMemoryBasis = sgk_destroy_memory_basis;
    init.DxgkDdiStartDirtyTracking = sgk_start_dirty_tracking;
    init.DxgkDdiStopDirtyTracking = sgk_stop_dirty_tracking;

    /* dirty.c */
    init.DxgkDdiQueryDirtyBitData = sgk_query_dirty_bit_data;

    /* migration.c */
    init.DxgkDdiPrepareLiveMigration = sgk_prepare_live_migration;
    init.DxgkDdiSaveImmutableMigrationData = sgk_save_immutable_migration_data;
    init.DxgkDdiSaveMutableMigrationData = sgk_save_mutable_migration_data;
    init.DxgkDdiEndLiveMigration = sgk_end_live_migration;
    init.DxgkDdiRestoreImmutableMigrationData = sgk_restore_immutable_migration_data;
    init.DxgkDdiRestoreMutableMigrationData = sgk_restore_mutable_migration_data;

    /* mitigation.c */
    init.DxgkDdiWriteVirtualizedInterrupt = sgk_write_virtualized_interrupt;

    /* reserve.c */
    init.DxgkDdiSetVirtualGpuResources2 = sgk_set_virtual_gpu_resources2;

    /* schedule.c */
    init.DxgkDdiSetVirtualFunctionPauseState = sgk_set_virtual_function_pause_state;
    init.DxgkDdiSaveMemoryForHotUpdate = sgk_save_memory_for_hot_update;
    init.DxgkDdiRestoreMemoryForHotUpdate = sgk_restore_memory_for_hot_update;

    return DxgkInitialize(DriverObject, RegistryPath, &init);
}
