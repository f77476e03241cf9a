// SPDX-License-Identifier: Apache-2.0
/*
 * The paging engine as the OS drives it (PAG-1..4): paging buffers built by the driver, fences,
 * completions from the DPC, a watchdog for what never completes. One per adapter.
 */
#ifndef DXGK_PAGING_PAGING_H
#define DXGK_PAGING_PAGING_H

#include "dxgk/internal.h"
#include "dxgk/paging/vaspace.h"

struct dxgk_paging_limits {
    uint32_t buffer_bytes; /* of one paging buffer; multiple of 64 */
    uint32_t in_flight;    /* submissions handed to the driver at once, and buffers there are */
    uint64_t tdr_ns;       /* TDR: longest time at the engine's head */
};

/* Creates the paging process, its root table and paging buffers, and the watchdog thread. After
 * StartDevice. With an mmu that is not usable: fails with its reason. `limits` NULL = the defaults
 * (64 KiB or the driver's wish, 32, 2 s). PASSIVE_LEVEL. */
int dxgk_paging_start(struct dxgk_adapter *adapter, const struct dxgk_paging_limits *limits,
                      struct vf_error *err);
/* Waits for what is in flight (the watchdog bounds that), frees all. Before
 * StopDevice. NULL-safe. */
void dxgk_paging_stop(struct dxgk_adapter *adapter);

/* ---- a driver update; the adapter's gate is held exclusively, so nothing new is submitted ---- */

/* Waits until nothing is in flight. Fails when the engine hangs for good: its driver stays. */
int dxgk_paging_quiesce(struct dxgk_adapter *adapter, struct vf_error *err);
/* Gives the paging process' handles back to the driver that goes. Address space, tables, windows
 * and paging buffers stay. */
void dxgk_paging_let_go(struct dxgk_adapter *adapter);
/* New handles from the driver that came, and the old root table. NULL-safe, all three. */
int dxgk_paging_take_over(struct dxgk_adapter *adapter, struct vf_error *err);

/* What dxgk_paging_zero, dxgk_look and dxgk_scrub return where driver or engine fail on VRAM, and
 * not this host that is short of something. */
#define DXGK_ENGINE_FAILED (-2)
/* Zero-fills ranges of the segment partitions live in, by VIRTUAL_FILL; returns when done, -1 with
 * VF_CANCELLED when it is not wanted any more (NULL: it is), -1 or DXGK_ENGINE_FAILED when it
 * cannot. PASSIVE_LEVEL. */
int dxgk_paging_zero(struct dxgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges, uint32_t count,
                     const struct dxgk_wanted *wanted, struct vf_error *err);
/* Between two pieces of such work. -1 with VF_CANCELLED when it is not wanted any more. */
int dxgk_still_wanted(const struct dxgk_wanted *wanted, struct vf_error *err);

/* ---- for channel.c ---- */

/* Moves `bytes` of the segment partitions live in from one place to another that may overlap it, by
 * local-to-local VIRTUAL_TRANSFERs of pieces that do not; returns when done. On failure the first
 * (to < from) or last (to > from) *done bytes lie at their new place, and the same call the other
 * way round for these brings them back. PASSIVE_LEVEL. */
int dxgk_paging_slide(struct dxgk_adapter *adapter, uint64_t from, uint64_t to, uint64_t bytes,
                      uint64_t *done, struct vf_error *err);

enum dxgk_paging_op {
    DXGK_PAGING_GATHER,
    DXGK_PAGING_SCATTER,
    DXGK_PAGING_ZERO,
    DXGK_PAGING_COPY, /* from another window over VRAM */
};

/* One operation, owned by the caller, untouched by it between submit and `complete`. */
struct dxgk_paging_work {
    enum dxgk_paging_op op;
    const struct dxgk_window *vram;   /* the VRAM side; [0, bytes) of it takes part */
    const struct dxgk_window
        *system; /* the other side, from system_offset on; unused with ZERO and COPY */
    uint64_t system_offset;
    const struct dxgk_window *from; /* COPY: the side read, [0, bytes) of it */
    const DXGK_PTE *from_entries;   /* entry_count of them */
    const DXGK_PTE *entries; /* what the VRAM side maps from its page 0 on */
    uint64_t entry_count;
    uint64_t bytes; /* multiple of 4096 */
    /* SCATTER: what was written comes back into the system side, from read_back_offset on, before
     * the work is complete. */
    bool read_back;
    uint64_t read_back_offset;
    /* At DISPATCH_LEVEL, from the DPC or the watchdog; status 0 or negative errno. The work may be
     * reused inside. */
    void (*complete)(struct dxgk_paging_work *work, int status);
    /* paging.c's, guarded by its queue lock: */
    int status;                    /* first failure of any of its buffers */
    uint32_t live;                 /* buffers handed over and not retired */
    bool building;                 /* more buffers may follow */
    struct dxgk_paging_work *next; /* list of those to complete */
};

/* Maps, builds and hands over. -1: refused, `complete` will not come. PASSIVE_LEVEL; waits only
 * while all buffers are in use. */
int dxgk_paging_submit(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                       struct vf_error *err);
/* As _submit, and returns when it is done: 0, or -1 when it was refused or failed. `work` needs no
 * `complete`; it is copied, so the caller's may serve again. */
int dxgk_paging_run(struct dxgk_paging *paging, const struct dxgk_paging_work *work,
                    struct vf_error *err);

/* Windows and memory, serialised with submissions. */
int dxgk_paging_window_open(struct dxgk_paging *paging, uint64_t bytes, struct dxgk_window *out,
                            struct vf_error *err);
void dxgk_paging_window_close(struct dxgk_paging *paging, struct dxgk_window *window);
int dxgk_paging_window_map_dma(struct dxgk_paging *paging, const struct dxgk_window *window,
                               const struct dxgk_dma *dma, struct vf_error *err);
struct dxgk_vaspace *dxgk_paging_space(struct dxgk_paging *paging);
/* How many submissions there have been so far, whoever made them; wraps. Any thread. */
uint32_t dxgk_paging_submissions(const struct dxgk_paging *paging);

/* ---- for adapter/interrupt.c ---- */

/* DIRQL, under the interrupt lock (note_done: any thread). */
void dxgk_paging_note_done(struct dxgk_paging *paging, uint32_t fence);
void dxgk_paging_note_fault(struct dxgk_paging *paging, uint32_t fence, NTSTATUS status);
/* DPC, DISPATCH_LEVEL: completes what the notes said. */
void dxgk_paging_dpc(struct dxgk_paging *paging);

#endif
