// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the softgpu miniport share. One image serves several adapters: all state hangs
 * off struct sgk_adapter, the MiniportDeviceContext of every DDI.
 *
 * Lock order: partition_lock > vgpu.lock > basis_lock, all fast mutexes of PASSIVE DDIs. The paging
 * ring is guarded by the interrupt lock (DxgkCbSynchronizeExecution) alone, so that the interrupt
 * routine may use it.
 */
#ifndef SOFTGPU_KMD_H
#define SOFTGPU_KMD_H

#include "wdm.h"

#include "dispmprt.h"

#include "d3dkmddi.h"

#include <softgpu/hw.h>

#define SGK_DRIVER_MAJOR 1u
/* The build sets 1 for softgpu-v2.so. 1.1 counts what happens to a VF and saves in format 2. */
#ifndef SGK_DRIVER_MINOR
#define SGK_DRIVER_MINOR 0u
#endif
/* Newest format of saved state that this driver knows; it writes all of them (saved.h). */
#define SGK_SAVED_FORMAT (SGK_DRIVER_MINOR + 1u)

/* Pool tags, read in memory order. */
#define SGK_TAG_ADAPTER 0x41676753u /* SggA */
#define SGK_TAG_EXTENTS 0x45676753u /* SggE */
#define SGK_TAG_BASIS 0x42676753u   /* SggB */
#define SGK_TAG_PENDING 0x50676753u /* SggP */
#define SGK_TAG_EVENT 0x54676753u   /* SggT */
#define SGK_TAG_RING 0x52676753u    /* SggR */
#define SGK_TAG_OBJECT 0x4f676753u  /* SggO */
#define SGK_TAG_SAVED 0x53676753u   /* SggS */

/* Flags of a CmResourceTypeMemoryLarge: the unit its length counts in. */
#define SGK_MEMORY_LARGE_40 0x0200u
#define SGK_MEMORY_LARGE_48 0x0400u
#define SGK_MEMORY_LARGE_64 0x0800u

#define SGK_SEGMENT_SYSTEM 0u  /* of a DXGK_PTE: bus addresses */
#define SGK_SEGMENT_VRAM 1u    /* the only memory segment */
#define SGK_NODE_PAGING 0u     /* the PF's one node: the paging engine */
#define SGK_DEFAULT_WEIGHT 64u /* every VF's slot in the schedule */
#define SGK_TDR_NS 2000000000ull /* SRC-9: a command without a step for so long hangs */
#define SGK_PAGING_BUFFER_BYTES 0x10000u
#define SGK_INTERRUPTS (SG_INT_PAGING | SG_INT_PAGING_FAULT | SG_INT_VF_FAULT | SG_INT_VF_HANG)
#define SGK_RING_ENTRIES 4096u /* power of two: submissions waiting in software and in hardware */

/* Parts of 1024 of the migrating VF's own slots that go to paging while paging has work (SRC-1). */
#define SGK_LEND_SOURCE 512u  /* the guest keeps half: it still runs */
#define SGK_LEND_TARGET 1024u /* the VF is paused all the way (TGT-1) */

enum sgk_migration { SGK_MIGRATION_NONE, SGK_MIGRATION_SOURCE, SGK_MIGRATION_TARGET };

struct sgk_extent {
    ULONG64 offset; /* bytes in the VRAM segment */
    ULONG64 bytes;
};

/* What happened to a VF since its creation: 1.1 counts, 1.0 does not. */
struct sgk_history {
    ULONG pauses, moves, updates;
};

struct sgk_vgpu {
#if SGK_DRIVER_MINOR >= 1
    struct sgk_history history;
#endif
    FAST_MUTEX lock; /* guards the VF's control block and all below */
    BOOLEAN exists;  /* this and the reserve change under partition_lock as well */
    BOOLEAN powered; /* D0 */
    BOOLEAN paused;
    GUID umed_class;
    LUID luid;
    ULONG64 reserve_bytes; /* promised by CreateVirtualGpu */
    struct sgk_extent
        *extents; /* the reserve in guest physical order; NULL before SetVirtualGpuResources */
    ULONG extent_count;
    enum sgk_migration migration;
    ULONG lend_before;      /* LEND as Prepare found it */
    BOOLEAN holds_tracking; /* Prepare holds a count of DIRTY_ENABLE */
    BOOLEAN immutable_done; /* restored since Prepare */
    BOOLEAN mutable_done;
};

/* One tracked or trackable set of VRAM ranges; its address is the OS's handle. */
struct sgk_basis {
    LIST_ENTRY entry; /* adapter->bases */
    ULONG64 pages;    /* of the dirty page size, all ranges */
    PUCHAR pending; /* while tracked: bits another basis's exchange took out of hardware (DBT-3) */
    SIZE_T range_count;
    DXGK_MEMORYRANGE ranges[];
};

struct sgk_submission {
    ULONG64 va;
    ULONG bytes;
    ULONG fence;
};

/* Submissions in order: [head, hardware) are with the engine, [hardware, tail) wait for a free
 * place. Counters run freely and are masked on use. Guarded by the interrupt lock. */
struct sgk_paging_ring {
    struct sgk_submission *entries;
    ULONG head, hardware, tail;
    ULONG last_fence; /* last one reported complete */
};

/* Where a hot update is (hotupdate.c). Anything but NONE: a stop leaves the card as it is. */
enum sgk_update { SGK_UPDATE_NONE, SGK_UPDATE_SAVED, SGK_UPDATE_RESTORING };

enum sgk_saved_kind { SGK_SAVED_ADAPTER, SGK_SAVED_VGPUS, SGK_SAVED_EXTENTS, SGK_SAVED_KINDS };

/* Memory of one saved block: ours until the OS says what became of the update. */
struct sgk_saved_memory {
    PMDL mdl;
    PVOID pages;
};

/* Blocks of a predecessor, not taken over yet: all of one format. */
struct sgk_staged {
    ULONG format; /* 0 = none */
    PMDL mdl[SGK_SAVED_KINDS];
    ULONG bytes[SGK_SAVED_KINDS]; /* of the data in each */
};

struct sgk_adapter {
    PDEVICE_OBJECT pdo;
    DXGKRNL_INTERFACE dxgkrnl;
    BOOLEAN started;
    enum sgk_update update;
    ULONG saved_count;
    struct sgk_saved_memory saved[SGK_SAVED_FORMAT * SGK_SAVED_KINDS];
    struct sgk_staged staged;
    LONG references; /* of the interfaces handed out; atomic */

    PUCHAR regs;  /* SG_PF_BAR_REGS, SG_PF_REGS_BYTES */
    PUCHAR dirty; /* SG_PF_BAR_DIRTY */

    /* Read once at start; the card does not change them. */
    ULONG hw_version, fw_version, features, vf_count;
    ULONG dirty_shift, scatter_shift;
    ULONG64 vram_bytes;

    FAST_MUTEX partition_lock; /* partition count, who exists, who owns which VRAM */
    ULONG partition_count;
    struct sgk_vgpu vgpus[SG_MAX_VFS];

    FAST_MUTEX basis_lock; /* bases, the mask register, DIRTY_ENABLE */
    LIST_ENTRY bases;
    ULONG tracking_count; /* who needs DIRTY_ENABLE, when it costs the VFs */

    struct sgk_paging_ring ring;

    /* News of VFs on its way from the DPC to PASSIVE_LEVEL (news.c). */
    LONG vf_news; /* set by the interrupt routine, taken by the DPC; atomic */
    PIO_WORKITEM news_item;
    KSPIN_LOCK news_lock;   /* guards the next three */
    BOOLEAN news_queued;    /* the item is queued, its routine has not begun */
    BOOLEAN news_closed;    /* it is not queued any more */
    KEVENT news_idle;       /* set: neither queued nor running */
    ULONG faults_told[SG_MAX_VFS]; /* the card's counts as last told; the routine's alone */
    ULONG hangs_told[SG_MAX_VFS];
};

/* ---- registers. Any IRQL. ---- */

FORCEINLINE ULONG sgk_read(const struct sgk_adapter *adapter, ULONG reg)
{
    return READ_REGISTER_ULONG((volatile ULONG *)(PVOID)(adapter->regs + reg));
}

FORCEINLINE ULONG64 sgk_read64(const struct sgk_adapter *adapter, ULONG reg)
{
    return READ_REGISTER_ULONG64((volatile ULONG64 *)(PVOID)(adapter->regs + reg));
}

FORCEINLINE void sgk_write(const struct sgk_adapter *adapter, ULONG reg, ULONG value)
{
    WRITE_REGISTER_ULONG((volatile ULONG *)(PVOID)(adapter->regs + reg), value);
}

FORCEINLINE void sgk_write64(const struct sgk_adapter *adapter, ULONG reg, ULONG64 value)
{
    WRITE_REGISTER_ULONG64((volatile ULONG64 *)(PVOID)(adapter->regs + reg), value);
}

/* ---- adapter.c ---- */

DXGKDDI_ADD_DEVICE sgk_add_device;
DXGKDDI_START_DEVICE sgk_start_device;
DXGKDDI_STOP_DEVICE sgk_stop_device;
DXGKDDI_REMOVE_DEVICE sgk_remove_device;
DXGKDDI_QUERY_INTERFACE sgk_query_interface;
/* INTERFACE's pair: counts the interface tables the OS holds. */
void sgk_interface_reference(PVOID context);
void sgk_interface_dereference(PVOID context);

/* ---- caps.c ---- */

DXGKDDI_QUERYADAPTERINFO sgk_query_adapter_info;
/* Granule of a reserve in bytes: what sizes and offsets of VRAM allocations are multiples of. */
ULONG sgk_reserve_alignment(const struct sgk_adapter *adapter);
/* TRUE when reserves consist of any number of extents (CAP-5). */
BOOLEAN sgk_scatters(const struct sgk_adapter *adapter);
/* TRUE when tracking may always be on (CAP-4). */
BOOLEAN sgk_performant(const struct sgk_adapter *adapter);

/* ---- partition.c: the GPU partition interface ---- */

/* Fills the table for QueryInterface; STATUS_INVALID_PARAMETER when the OS's table is too small. */
NTSTATUS sgk_partition_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query);
/*
 * The vGPU at a VF index, its lock held (release with sgk_vgpu_release), or NULL when the index is
 * out of range or no vGPU lives there. PASSIVE_LEVEL.
 */
struct sgk_vgpu *sgk_vgpu_acquire(struct sgk_adapter *adapter, ULONG index);
void sgk_vgpu_release(struct sgk_vgpu *vgpu);
/* Destroys every vGPU the OS left behind. */
void sgk_partition_drop_all(struct sgk_adapter *adapter);
/* Frees what this driver keeps of vGPUs, and lets them work on: a successor has them. No DDI runs
 * any more. */
void sgk_partition_forget_all(struct sgk_adapter *adapter);

/* ---- reserve.c: a VF's VRAM. Callers hold partition_lock and the vGPU's lock. ---- */

DXGKDDI_SETVIRTUALGPURESOURCES2 sgk_set_virtual_gpu_resources2;
DXGKDDI_SETVIRTUALGPURESOURCES sgk_set_virtual_gpu_resources;
/* Unmaps the VF's reserve and forgets it. */
void sgk_reserve_drop(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu);

/* ---- sriov.c, mitigation.c: interfaces of the same kind ---- */

NTSTATUS sgk_sriov_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query);
NTSTATUS sgk_mitigable_interface(struct sgk_adapter *adapter, PQUERY_INTERFACE query);
DXGKDDI_WRITEVIRTUALIZEDINTERRUPT sgk_write_virtualized_interrupt;
/* Writes one entry of the VF's hardware table. The vGPU's lock is held; the vector was checked. */
void sgk_msix_write(struct sgk_adapter *adapter, ULONG index, ULONG vector, ULONG64 address,
                    ULONG data, BOOLEAN masked);

/* ---- schedule.c. The vGPU's lock is held. ---- */

DXGKDDI_SETVIRTUALFUNCTIONPAUSESTATE sgk_set_virtual_function_pause_state;
/* Makes the VF's control register say what powered and paused say. */
void sgk_schedule_apply(struct sgk_adapter *adapter, ULONG index, const struct sgk_vgpu *vgpu);
/* Waits until no command of a stopped VF runs and no store awaits its dirty bit
 * (DBT-10); STATUS_IO_TIMEOUT. */
NTSTATUS sgk_schedule_wait_quiet(struct sgk_adapter *adapter, ULONG index);

/* ---- basis.c, dirty.c ---- */

DXGKDDI_CREATEMEMORYBASIS sgk_create_memory_basis;
DXGKDDI_DESTROYMEMORYBASIS sgk_destroy_memory_basis;
DXGKDDI_STARTDIRTYTRACKING sgk_start_dirty_tracking;
DXGKDDI_STOPDIRTYTRACKING sgk_stop_dirty_tracking;
DXGKDDI_QUERYDIRTYBITDATA sgk_query_dirty_bit_data;
/* The basis behind an OS handle, or NULL. basis_lock is held. */
struct sgk_basis *sgk_basis_find(struct sgk_adapter *adapter, HANDLE handle);
/* Counts who needs the hardware to set bits; nothing to do on performant hardware. basis_lock
 * is held. */
void sgk_tracking_hold(struct sgk_adapter *adapter);
void sgk_tracking_drop(struct sgk_adapter *adapter);
/* Frees bases the OS left behind. No DDI runs any more. `touch`: and stops the hardware's tracking;
 * without it the card goes on as it is. */
void sgk_basis_drop_all(struct sgk_adapter *adapter, BOOLEAN touch);
/* The bits of the whole basis into `bits` (or-ed in; NULL: nowhere), taken out of hardware when
 * `clear`: what is taken is handed to every other tracked basis (DBT-3). basis_lock is held. */
void sgk_dirty_read_all(struct sgk_adapter *adapter, struct sgk_basis *basis, BOOLEAN clear,
                        PUCHAR bits);

/* ---- paging.c builds, submit.c queues ---- */

DXGKDDI_BUILDPAGINGBUFFER sgk_build_paging_buffer;
DXGKDDI_SETROOTPAGETABLE sgk_set_root_page_table;
DXGKDDI_GETROOTPAGETABLESIZE sgk_get_root_page_table_size;
DXGKDDI_SUBMITCOMMANDVIRTUAL sgk_submit_command_virtual;
DXGKDDI_QUERYCURRENTFENCE sgk_query_current_fence;
/* Interrupt lock held: reports what the engine has completed and gives it what waits. */
void sgk_ring_completed(struct sgk_adapter *adapter);
/* Interrupt lock held: reports the submission that faulted, restarts the engine with those
 * behind it. */
void sgk_ring_faulted(struct sgk_adapter *adapter);

DXGKDDI_RESETENGINE sgk_reset_engine;

/* ---- context.c: the handles of the paging process ---- */

DXGKDDI_CREATEPROCESS sgk_create_process;
DXGKDDI_DESTROYPROCESS sgk_destroy_process;
DXGKDDI_CREATEDEVICE sgk_create_device;
DXGKDDI_DESTROYDEVICE sgk_destroy_device;
DXGKDDI_CREATECONTEXT sgk_create_context;
DXGKDDI_DESTROYCONTEXT sgk_destroy_context;
DXGKDDI_GETNODEMETADATA sgk_get_node_metadata;

/* ---- interrupt.c ---- */

DXGKDDI_INTERRUPT_ROUTINE sgk_interrupt_routine;
DXGKDDI_DPC_ROUTINE sgk_dpc_routine;

/* ---- hotupdate.c ---- */

DXGKDDI_SAVEMEMORYFORHOTUPDATE sgk_save_memory_for_hot_update;
DXGKDDI_RESTOREMEMORYFORHOTUPDATE sgk_restore_memory_for_hot_update;
/* StartDevice of a driver that was given a predecessor's state: takes it over, with the hardware at
 * hand. The card is only read. */
NTSTATUS sgk_take_over(struct sgk_adapter *adapter);
/* After a hot stop: frees what of the saved memory is not the OS's. */
void sgk_saved_forget(struct sgk_adapter *adapter);
/* Frees blocks that were restored and not taken over. */
void sgk_staged_drop(struct sgk_adapter *adapter);

/* A VF's history, of a driver that keeps one. The vGPU's lock is held. */
#if SGK_DRIVER_MINOR >= 1
#define SGK_COUNT(vgpu, member) ((void)(vgpu)->history.member++)
#else
#define SGK_COUNT(vgpu, member) ((void)(vgpu))
#endif
FORCEINLINE struct sgk_history sgk_history_of(const struct sgk_vgpu *vgpu)
{
#if SGK_DRIVER_MINOR >= 1
    return vgpu->history;
#else
    UNREFERENCED_PARAMETER(vgpu);
    return (struct sgk_history){0};
#endif
}
FORCEINLINE void sgk_history_set(struct sgk_vgpu *vgpu, const struct sgk_history *history)
{
#if SGK_DRIVER_MINOR >= 1
    vgpu->history = *history;
#else
    UNREFERENCED_PARAMETER(vgpu);
    UNREFERENCED_PARAMETER(history);
#endif
}

/* ---- news.c: faults and hangs of VFs ---- */

/* Nothing of a VF is lost between two drivers of the card: what is still pending will be told. The
 * registers are mapped. */
NTSTATUS sgk_news_open(struct sgk_adapter *adapter);
/* When it returns no routine of ours runs or will run. After the card's interrupts are
 * off. PASSIVE_LEVEL. */
void sgk_news_close(struct sgk_adapter *adapter);
/* There is something to tell. DISPATCH_LEVEL. */
void sgk_news_queue(struct sgk_adapter *adapter);

/* ---- migration.c ---- */

DXGKDDI_PREPARELIVEMIGRATION sgk_prepare_live_migration;
DXGKDDI_ENDLIVEMIGRATION sgk_end_live_migration;
DXGKDDI_SAVEIMMUTABLEMIGRATIONDATA sgk_save_immutable_migration_data;
DXGKDDI_RESTOREIMMUTABLEMIGRATIONDATA sgk_restore_immutable_migration_data;
DXGKDDI_SAVEMUTABLEMIGRATIONDATA sgk_save_mutable_migration_data;
DXGKDDI_RESTOREMUTABLEMIGRATIONDATA sgk_restore_mutable_migration_data;
/* Puts the schedule back as Prepare found it. The vGPU's lock is held. */
void sgk_migration_release(struct sgk_adapter *adapter, ULONG index, struct sgk_vgpu *vgpu);

/* ---- immutable.c: what the target must agree to ---- */

/* Bytes of the immutable data, and the data of this adapter and vGPU. */
SIZE_T sgk_immutable_bytes(void);
void sgk_immutable_fill(const struct sgk_adapter *adapter, const struct sgk_vgpu *vgpu, PVOID data);
/*
 * Compares a peer's data with this adapter, one triage event for each field that fails (TGT-2).
 * STATUS_OBJECT_TYPE_MISMATCH then; STATUS_INVALID_PARAMETER for what is no such data.
 */
NTSTATUS sgk_immutable_check(struct sgk_adapter *adapter, ULONG index, const void *data,
                             SIZE_T bytes);

/* ---- triage.c ---- */

/* Values of a mismatch event, as text. */
enum sgk_format { SGK_HEX_PAIR, SGK_VERSION, SGK_BYTES, SGK_NUMBER };
/*
 * Logs "FIELD: source VALUE, target VALUE; REMEDY" as a partitioning event of the VF: what the OS
 * splits into a reason. Text beyond the event's 255 characters is cut. PASSIVE_LEVEL (the event is
 * longer than 256 bytes).
 */
void sgk_triage_mismatch(struct sgk_adapter *adapter, ULONG index, PCSTR field,
                         enum sgk_format format, ULONG64 source, ULONG64 target, PCSTR remedy);
/* A VF's queue met an address or a command it cannot execute and stands still. Information: the
 * guest can start it again. PASSIVE_LEVEL. */
void sgk_triage_fault(struct sgk_adapter *adapter, ULONG index, ULONG64 va);
/* A VF's command hangs. The event's type asks for what ends that: a function level reset, which is
 * the OS's to do. PASSIVE_LEVEL. */
void sgk_triage_hang(struct sgk_adapter *adapter, ULONG index, ULONG64 limit_ns);

#endif
