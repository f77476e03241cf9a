// SPDX-License-Identifier: Apache-2.0
/*
 * The host's side of the kernel services in wdm.h: how vferry-kernel sees the drivers' allocations,
 * sets and checks the IRQL, puts a device's registers behind addresses, and hears of misuse.
 * Nothing here ends the process.
 */
#ifndef DXGK_NT_NT_H
#define DXGK_NT_NT_H

#include "base/error.h"

#include "wdm.h"

/* ---- misuse by a driver ---- */

enum nt_misuse {
    /* A service called at a level it forbids, or a level raised or lowered wrongly. */
    NT_MISUSE_IRQL,
    /* Pool freed twice, or never allocated; the free was ignored. */
    NT_MISUSE_POOL_FREE,
    /* Pool freed with another tag; it was freed all the same. */
    NT_MISUSE_POOL_TAG,
    /* Bytes behind a pool allocation were written. */
    NT_MISUSE_POOL_BOUNDS,
    /* ExAllocatePool2 with flags or a tag it forbids. */
    NT_MISUSE_POOL_FLAGS,
    /* A spin lock released by another thread, released unheld, or acquired twice by one thread. */
    NT_MISUSE_LOCK,
    /* Waited on something that is no event, or waited at DISPATCH_LEVEL. */
    NT_MISUSE_WAIT,
    /* Pages or an MDL freed twice, or used in a state it is not in. */
    NT_MISUSE_MDL,
    /* A work item queued twice, freed while queued, or none at all. */
    NT_MISUSE_WORK,
    /* A register access outside what is mapped; reads give all ones, writes are dropped. */
    NT_MISUSE_MMIO,
};

/* One line of text. Runs on the thread at fault, at its IRQL, possibly with a spin lock of the
 * driver held: must not block and must not call back into the driver. */
typedef void nt_report_fn(void *ctx, enum nt_misuse kind, const char *text);

/* Replaces the hook; NULL restores the default, an error line in the log. It may still be running
 * on another thread when this returns, unless no driver is loaded. Any thread. */
void nt_set_report(nt_report_fn *report, void *ctx);
/* Misuses since the process started. */
uint64_t nt_report_count(void);
/* For nt's own files and dxgk's callbacks that judge misuse in the same way. */
void nt_report(enum nt_misuse kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- IRQL of the calling thread ---- */

KIRQL nt_irql(void);
/* Sets the level without the checks of KeRaiseIrql and KeLowerIrql: for dxgk as it enters and
 * leaves a driver. Returns the old one. */
KIRQL nt_irql_set(KIRQL irql);
/* True when the calling thread's level is at most `max`; else reports "WHAT at IRQL n" and
 * returns false. */
bool nt_irql_check(KIRQL max, const char *what);
/* Spin locks this thread holds now; a driver must return with as many as it was called with. */
unsigned nt_locks_held(void);

/* ---- pool and pages ---- */

struct nt_pool_stats {
    uint64_t allocations; /* live */
    uint64_t bytes; /* live, as asked for */
};

/* All live pool allocations; MDLs and their pages count under the tags 'Mdl ' and 'MmPg'.
 * Any thread. */
struct nt_pool_stats nt_pool_live(void);
/* Frees what code in [low, high), a driver image's text, left behind, and gives how many. Only when
 * nothing of that image can run any more. An allocation made as the very last act of a function (a
 * tail call) counts for that function's caller. */
uint64_t nt_pool_reclaim_from(const void *low, const void *high);

/* True when [va, va + bytes) lies inside one live pool allocation or one live block of
 * MDL pages. */
bool nt_memory_owned(const void *va, uint64_t bytes);
/*
 * Physical addresses: a page's physical address here is its address in this process, so that a
 * page number fits the 40 bits of DXGK_KSR_MEMORY_RANGE and needs no table. NULL when one of the
 * `count` pages is not live driver memory (pages of several neighbouring allocations do not count
 * as one run).
 */
void *nt_pages_va(PFN_NUMBER first, uint64_t count);

/* An MDL with fresh zeroed pages and a ByteCount of exactly `bytes`: what RestoreMemoryForHotUpdate
 * hands over (HOT-4). The driver frees it with MmFreePagesFromMdl and ExFreePool. NULL when out of
 * memory, for 0 bytes, and from 4 GiB - 4 KiB upwards. */
PMDL nt_mdl_alloc(uint64_t bytes);
/* The reverse, for a driver that refused it: pages and MDL. */
void nt_mdl_free(PMDL mdl);
/* Lets the MDL and its pages count as allocated by the code at `owner`: whoever it was handed to.
 * NULL: the host's own, no image's leak. Nothing happens to what is no live MDL. */
void nt_mdl_give(PMDL mdl, const void *owner);
/* True when the MDL is live and has pages that belong to it alone: MmFreePagesFromMdl would
 * free them. */
bool nt_mdl_has_pages(PMDL mdl);
/* MDLs that count as allocated by code in [low, high). */
uint64_t nt_mdl_live_from(const void *low, const void *high);
/* Where the MDL's bytes lie. NULL when it has no pages (freed, or never built). */
void *nt_mdl_va(PMDL mdl);

/* ---- work items ---- */

/* Their thread starts with the first item, which is refused (NULL) when the system gives none, and
 * stays: whatever is queued runs. */
/* Returns once no work item's routine runs or will run of those queued before: after StopDevice, as
 * a driver's code must stay until then. PASSIVE_LEVEL. */
void nt_work_drain(void);

/* ---- device registers ---- */

/* `bar` as given to nt_mmio_map; offset from the start of the BAR; all return 0 or a negative errno
 * and may be called from any thread at any IRQL. `width` is 1, 2, 4 or 8 bytes, offset a multiple
 * of it. */
struct nt_mmio_ops {
    int (*read)(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t *value);
    int (*write)(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value);
    /* READ_ and WRITE_REGISTER_BUFFER_ULONG64: `bytes` in rising order, in items of 8. Buffers of
     * smaller items go item by item: a device splits long accesses into 8-byte ones. */
    int (*read_block)(void *ctx, uint32_t bar, uint64_t offset, void *data, uint64_t bytes);
    int (*write_block)(void *ctx, uint32_t bar, uint64_t offset, const void *data, uint64_t bytes);
};

/*
 * Reserves address space for `length` bytes of BAR `bar` from `offset` on; only the register
 * functions reach it, plain loads and stores fault. *va keeps offset's place within its 4 KiB page.
 * The same range may be mapped several times. `ops` and ctx must stay valid until the unmap. Any
 * thread, PASSIVE_LEVEL. 0, or -1 with *err filled.
 */
int nt_mmio_map(const struct nt_mmio_ops *ops, void *ctx, uint32_t bar, uint64_t offset,
                uint64_t length, PVOID *va, struct vf_error *err);
/* `va` as nt_mmio_map gave it. Returns once no access of another thread is under way in it; an
 * access that comes later is a reported misuse. 0, or -1 when va is not mapped. */
int nt_mmio_unmap(PVOID va, struct vf_error *err);
/*
 * While `on`, the address space of mappings that go is kept, and given to those that come with the
 * same size: a driver that replaces another finds room for its registers whatever else was mapped
 * meanwhile. Turning it off gives back what is kept. Calls do not nest.
 */
void nt_mmio_keep(bool on);
/* Mappings there are now. */
uint64_t nt_mmio_count(void);

#endif
