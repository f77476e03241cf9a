// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of dxgk share: adapter, partition, the call checker's core. Nobody outside dxgk/
 * includes it.
 *
 * Lock order, never taken backwards:
 *   dxgk.update_lock > adapter.gate > partition.lock > partition.vcpu > adapter.gpup_lock >
 *   dxgk.lock > adapter.lock, triage_lock
 *
 * adapter.gate: whoever calls a DDI holds it shared, a driver update holds it exclusively (HOT-1).
 * Nobody takes it twice: an update that waits keeps new readers out. Interrupt routine and DPC take
 * no gate; the update stops them (adapter/interrupt.h). Guest accesses that need no driver take
 * none.
 *
 * partition.lock serialises all that changes a partition, DDIs included; it is never held together
 * with another partition's, so two moves run in parallel. Whoever takes VRAM waits, with the locks
 * before it in hand, for the piece that is being proven (vram/vram.c), which comes after
 * adapter.gpup_lock and before the locks of paging. dxgk.lock, adapter.lock and triage_lock
 * are leaves: no DDI is called under them. The locks of paging, tracking and msix come after
 * partition.vcpu and call nothing back up here.
 */
#ifndef DXGK_INTERNAL_H
#define DXGK_INTERNAL_H

#include "base/error.h"
#include "base/fsm.h"
#include "dxgk/dxgk.h"
#include "vferry/device.h"
#include "vferry/vferry.h"

#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"

#include <pthread.h>
#include <stdatomic.h>

struct dxgk_image; /* adapter/loader.c: a KMD image, loaded once however many adapters it serves */
struct dxgk_device_lib; /* adapter/device.c: a hardware model's image */
struct dxgk_interrupts; /* adapter/interrupt.c */
struct dxgk_paging;     /* paging/paging.c */
struct dxgk_tracking;   /* tracking/tracking.c */
struct dxgk_msix;       /* partition/msix.c */
struct dxgk_umed;       /* umed/umed.c */
struct dxgk_mitigated;  /* partition/mitigated.h: a BAR range that traps */
struct dxgk_basis;      /* ddi/basis.h */
struct dxgk_resets;     /* adapter/resets.c: VFs that are to be reset */
struct dxgk_reserve;    /* vram/reserve.c: the map of one adapter's VRAM */
struct dxgk_vram;       /* vram/vram.c: who takes it, and what proves it to be zero */
struct dxgk_ksr;        /* hotupdate/ksr.h: what a driver saved for its successor */

#define DXGK_MAX_SEGMENTS 16u
#define DXGK_MAX_LEVELS 6u
#define DXGK_MAX_RANGES 65536u /* ranges one reserve may consist of */
#define DXGK_BARS 6u
#define DXGK_NO_VF UINT32_MAX
/* MemorySegmentId of system memory in a DXGK_PTE; its addresses are bus addresses. */
#define DXGK_SYSTEM_SEGMENT 0u

struct dxgk_segment {
    uint32_t id;           /* as the driver numbers it: 1 + index of its descriptor */
    bool local;            /* GPU-local memory: neither aperture nor filled from system memory */
    bool tracked;          /* has a bitplane (CAP-3) */
    uint64_t base, bytes;  /* BaseAddress and Size of the descriptor */
    uint64_t dirty_page;   /* bytes, 0 = not tracked */
    uint64_t scatter_page; /* bytes, 0 = no scatter reserve (CAP-5) */
};

/* What GPUMMUCAPS and PAGETABLELEVELDESC said, in plain numbers (CAP-6). `usable` is false, with
 * `why_not`, when the paging path of dxgk does not know the mode the driver asked for; live
 * migration is off then. */
struct dxgk_mmu {
    bool usable;
    char why_not[160];
    uint32_t va_bits;
    uint32_t level_count;
    struct {
        uint32_t index_bits;
        uint32_t segment;
        uint32_t table_bytes; /* PageTableSizeInBytes */
        uint32_t alignment;   /* bytes, 0 = none */
    } level[DXGK_MAX_LEVELS]; /* [0] holds the leaf entries */

    uint32_t update_mode;           /* DXGK_PAGETABLEUPDATEMODE */
    uint32_t paging_tables_segment; /* PagingProcessPageTableSegmentId; 0 = system memory */
    uint32_t paging_buffer_segment; /* QUERYSEGMENT4: PagingBufferSegmentId; 0 = system memory */
    uint32_t paging_buffer_bytes;   /* > 0 */
    uint32_t paging_private_bytes;  /* PagingBufferPrivateDataSize */
};

struct dxgk_caps {
    bool partitionable; /* the driver has the GPU partition and SR-IOV interfaces */
    bool hibernation, hot_update, live_migration, scatter;
    bool tracking, performant;
    char migration_off[200]; /* why live_migration is false though the driver names it, or "" */
    uint32_t segment_count;
    struct dxgk_segment segments[DXGK_MAX_SEGMENTS];
    int vram;            /* index of the segment partitions live in, -1 = none */
    uint32_t vf_count;   /* most partitions the driver allows */
    uint64_t vram_bytes; /* all that partitions may get, from GetVirtualGpuProfile */
    uint64_t granule;    /* bytes; sizes and places of reserves are multiples of it */
    /* Of one of vf_count partitions. */
    DXGK_VGPU_PROFILE_CAPABILITY profile[DXGK_VGPU_CAPABILITY_MAX];
};

struct dxgk_adapter {
    struct dxgk *dxgk;
    uint32_t index;
    struct vf_luid luid;
    char spec[VF_TEXT_BYTES];

    struct dxgk_device_lib *device_lib;
    struct vf_device *dev;
    const struct vf_device_ops *ops; /* padded to this host's size: a missing op is NULL */
    struct vf_device_host device_host;

    /* Driver and all that is its: replaced by a driver update, under the gate. */
    pthread_rwlock_t gate;
    bool dead; /* no driver came back from an update; no DDI is called any more. Under the gate */
    struct dxgk_ksr *ksr; /* during DxgkDdiSaveMemoryForHotUpdate, on its thread; else NULL */
    uint64_t updates;     /* that succeeded; under the gate, as the next */
    uint64_t last_gap_ns; /* how long the last one left the adapter without a driver */

    struct dxgk_image *image;
    DRIVER_INITIALIZATION_DATA ddi; /* the image's table */
    DXGKRNL_INTERFACE callbacks;    /* what StartDevice was given */
    HANDLE hAdapter;                /* MiniportDeviceContext: first argument of every DDI */
    bool added, started;
    DXGKDDI_GPU_PARTITION_INTERFACE gpup;
    DXGKDDI_SRIOV_INTERFACE sriov;
    DXGKDDI_MITIGABLE_DEVICE_INTERFACE mitigable;
    bool has_mitigable;

    struct dxgk_caps
        caps;            /* fixed once the adapter is started, but for what an update may change */
    struct dxgk_mmu mmu; /* fixed */

    struct dxgk_interrupts *interrupts; /* both set by their _start, before they can be used */
    struct dxgk_paging *paging;         /* NULL on an adapter that cannot be partitioned */
    struct dxgk_vram *vram;             /* likewise; fixed */

    /* Serialises Create-, SetResources and DestroyVirtualGpu; held across those DDIs. */
    pthread_mutex_t gpup_lock;

    pthread_mutex_t lock; /* guards these four */
    struct dxgk_reserve *reserve;
    uint32_t vf_used;              /* bit n = VF n taken; VF index == PartitionId */
    uint64_t breaches;             /* contract reports so far */
    struct dxgk_mapping *mappings; /* adapter/callbacks.c: what the driver mapped */

    pthread_mutex_t triage_lock; /* guards capture[]; DxgkCbLogEtwEvent takes it at any IRQL */
    /* Per PartitionId: where triage events go while a restore runs, or NULL. */
    struct vf_reasons *capture[32];

    /* The PF's BARs as resources (adapter/callbacks.c); fixed. bytes 0 = no such BAR. */
    struct {
        uint64_t bus, bytes;
        uint32_t kind; /* enum vf_bar_kind */
    } bars[DXGK_BARS];
    struct dxgk_resources *resources; /* adapter/callbacks.c: the translated resource list; fixed */
};

/* What the call checker remembers of one VF (ddi/ddi.c). Guarded by partition.lock. */
struct dxgk_check {
    bool created;    /* CreateVirtualGpu succeeded, DestroyVirtualGpu not yet */
    bool resources;  /* SetVirtualGpuResources(2) done */
    bool powered;    /* D0 */
    bool paused;     /* SetVirtualFunctionPauseState(TRUE) in effect */
    bool prepared;   /* between Prepare and End */
    bool end_failed; /* the last End: to be repeated before the next Prepare */
    bool target;     /* which side `prepared` is */
    /* A restore call was made since Prepare: there is no second one. */
    bool immutable_tried, mutable_tried;
    /* Saved or restored with success since Prepare. */
    bool immutable_done, mutable_done;
};

struct dxgk_throttle { /* partition/throttle.h */
    pthread_mutex_t lock;   /* a leaf; guards what follows */
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    uint32_t percent;       /* of each beat that the partition stands; 0 = there is none */
    uint32_t waiting;       /* threads that want partition->lock */
    uint32_t guests;        /* accesses that wait for the door, or have not passed it yet */
    bool stands;            /* the partition does, or is just coming to it */
    bool runs;              /* its thread lives, and will see a change of `percent` */
    uint64_t stood_ns;      /* since Prepare */
};

struct dxgk_partition {
    struct dxgk_adapter *adapter;
    uint64_t id;                       /* fixed */
    struct vf_partition_params params; /* fixed but for epoch, which lives in `epoch` */
    struct vf_luid luid;               /* fixed */
    _Atomic uint32_t vf; /* and PartitionId; fixed once built, DXGK_NO_VF before and after */
    uint64_t page_bytes; /* fixed: dirty page size of its segment (4096 when not tracked) */
    uint32_t segment;    /* fixed: driver's id of the segment the reserve lies in */
    /* The reserve in guest physical order. Changes only when the reserve is moved
     * (defrag/defrag.c): under lock, with no channel open. */
    DXGK_MEMORYRANGE *ranges;
    uint32_t range_count;
    struct {
        uint64_t align, low, high;    /* where it may lie: as in struct dxgk_reserve_want */
    } place;                          /* fixed once built */
    struct dxgk_basis *reserve_basis; /* of SetVirtualGpuResources2; NULL when contiguous */

    struct vf_fsm fsm;      /* enum vf_partition_state; set under lock, read by anyone */
    _Atomic uint32_t
        holders; /* partition/hold.h: who keeps it from running; set under lock, read by anyone */
    _Atomic uint64_t epoch; /* read by anyone, grows under lock */
    _Atomic uint64_t job;
    _Atomic uint64_t interrupts; /* messages delivered; the interrupt thread counts */
    int watch_fd;                /* fixed: eventfd, written on each delivery and change of state */
    _Atomic uint32_t refs;       /* dxgk_partition_get/put; the table holds one */

    pthread_mutex_t lock;    /* serialises calls and DDIs of this partition; guards what follows */
    bool gone;               /* destroyed: whoever waited for the lock must give up */
    bool hung;               /* FAULTED because a command hung: a reset lets it run again */
    uint64_t built_ns;       /* CLOCK_MONOTONIC, when it got its VF; fixed once built */
    DXGK_MEMORYRANGE bad;    /* of its VRAM: cannot be proven to be zero; no bytes = none (VF-3) */
    const struct dxgk_wanted *wanted; /* while it is built; NULL = in any case */
    uint32_t channels;       /* open transfer channels */
    _Atomic uint32_t writes; /* scatters and zeros in flight; grows under lock, falls without */
    struct dxgk_check check;
    struct dxgk_throttle throttle;  /* has its own lock */
    struct dxgk_tracking *tracking; /* NULL when the adapter does not track */
    struct dxgk_umed *umed;         /* NULL when the driver has none */

    pthread_rwlock_t vcpu; /* read side: a guest access; write side: shutting or opening the door */
    bool vcpu_shut;        /* guarded by vcpu: guest writes are refused */
    bool vcpu_gone;        /* guarded by vcpu: the VF is, or may soon be, another tenant's */
    struct dxgk_msix *msix; /* NULL without MSI-X; guest accesses reach it under vcpu only */
    struct dxgk_mitigated *mitigated; /* fixed: the BAR pages that trap */
    uint32_t mitigated_count;         /* fixed */
    uint32_t msix_bar; /* fixed: where the MSI-X table pages lie, by mitigated range */
    uint64_t msix_offset, msix_bytes; /* fixed; bytes 0 = none */

    struct dxgk_partition *next; /* dxgk.partitions, guarded by dxgk.lock */
};

struct dxgk {
    struct dxgk_config config;   /* event, event_ctx and trial only stay valid */
    pthread_mutex_t update_lock; /* one driver update at a time */
    char umed_worker[4096];      /* fixed: the program that holds UMEDs, "" = none was found */
    struct dxgk_resets *resets;  /* fixed between open and close, as the next */
    pthread_t tdr_thread;        /* partition/tdr.c */
    uint32_t adapter_count;
    struct dxgk_adapter *adapters[VF_MAX_ADAPTERS]; /* fixed between open and close */

    pthread_mutex_t lock; /* guards what follows */
    struct dxgk_partition *partitions;
    uint64_t next_id;
    uint32_t partition_count;
    uint32_t throttles; /* threads of partition/beats.c */
    pthread_cond_t throttle_over;
};

/* ---- the gate (adapter/gate.c) ---- */

/* Waits for a driver update to end. */
void dxgk_gate_enter(struct dxgk_adapter *adapter);
void dxgk_gate_leave(struct dxgk_adapter *adapter);
/* Inside: -1 when the adapter has lost its driver for good. */
int dxgk_gate_alive(const struct dxgk_adapter *adapter, struct vf_error *err);

/* ---- finding partitions (partition/table.c) ---- */

/* A counted reference, or NULL with *err filled: "no partition with id ...". Any thread. */
struct dxgk_partition *dxgk_partition_get(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
void dxgk_partition_put(struct dxgk_partition *partition);
/* As _get, enters its adapter's gate and holds partition->lock; fails when it is gone meanwhile or
 * the adapter has no driver. Undo with _unlock, which also leaves the gate and puts. */
struct dxgk_partition *dxgk_partition_lock(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
void dxgk_partition_unlock(struct dxgk_partition *partition);

static inline uint64_t dxgk_partition_pages(const struct dxgk_partition *partition)
{
    return partition->params.vram_bytes / partition->page_bytes;
}

/* A LUID no other object of this boot has (luid.c). Any thread. */
struct vf_luid dxgk_luid_new(void);

/* ---- telling (report.c) ---- */

/* config.event, if there is one. Any thread, no lock needed; the text is cut at 600 bytes. */
void dxgk_event(struct dxgk *dxgk, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A breach of the contract by either side: logged, counted, told as event "contract" with text
 * "RULE: ...". */
void dxgk_report(struct dxgk_adapter *adapter, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the call checker's core (ddi/ddi.c); ddi*.c wrap every DDI in it ---- */

struct dxgk_call {
    struct dxgk_adapter *adapter;
    const char *name;
    KIRQL irql;
    unsigned locks; /* spin locks the thread held */
    uint64_t start_ns;
    const struct dxgk_call *outer; /* waits.h: that this thread was in before, NULL = none */
};

/* Before a DDI: the calling thread's IRQL must be <= max_irql. False (reported): the driver must
 * not be called. */
bool dxgk_call_enter(struct dxgk_call *call, struct dxgk_adapter *adapter, const char *name,
                     KIRQL max_irql);
/* After it: the IRQL must be what it was (reported and put back otherwise); traces name, status and
 * time. Returns status, or STATUS_UNSUCCESSFUL when the driver broke the level. */
NTSTATUS dxgk_call_leave(const struct dxgk_call *call, NTSTATUS status);

/* Buffers a driver writes into: `bytes` zeroed bytes with a canary behind them. NULL when out
 * of memory. */
void *dxgk_guarded_alloc(size_t bytes);
/* True when the driver stayed inside. */
bool dxgk_guarded_intact(const void *buffer, size_t bytes);
void dxgk_guarded_free(void *buffer);

#endif
