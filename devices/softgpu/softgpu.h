// SPDX-License-Identifier: Apache-2.0
/*
 * What the concerns of the software GPU share. Lock order: device lock → map lock of a VF → irq
 * lock; the DMA lock and the drop lock are leaves. Engines run commands without any lock: what they
 * touch meanwhile is theirs (on_engine).
 */
#ifndef SOFTGPU_H
#define SOFTGPU_H

#include "softgpu/hw.h"
#include "vferry/device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SG_PAGE_BYTES (1ull << SG_PAGE_SHIFT)
#define SG_BLOCK_BYTES (2ull << 20) /* a large page of the MMU and of the host */
#define SG_SLICE_NS 2000000ull      /* an engine's slot */
#define SG_QUIET_WAIT_NS 2000000ull /* how long a read of SG_VFC_STATUS waits for QUIET */
#define SG_WORK_BYTES (256u << 10)  /* an engine's own memory for intermediate results */
#define SG_TLB_ENTRIES 64u
#define SG_STATE_WINDOW 0x1000u
#define SG_CONFIG_BYTES 256u

/* VRAM's contents race by nature, as in hardware: only the few functions marked so may touch
 * them unordered. */
#define SG_RACES_AS_HARDWARE __attribute__((no_sanitize("thread"), noinline))

static inline uint64_t sg_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t sg_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The bits of bitmap word `word` that lie in [first, end); the word must meet that range. */
static inline uint64_t sg_bits(uint64_t word, uint64_t first, uint64_t end)
{
    uint64_t low = word * 64, mask = ~0ull;

    if (first > low)
        mask &= ~0ull << (first - low);
    if (end < low + 64)
        mask &= ~(~0ull << (end - low));
    return mask;
}

/* ---- options.c ---- */
struct sg_options {
    uint64_t vram_bytes, dirty_page_bytes, drop_dirty;
    uint32_t vfs, fw_version;
    bool performant, scatter, prealloc;
};
/* -EINVAL and one line in `why`: what, why, what to do. */
int sg_options_parse(struct sg_options *o, const struct vf_device_option *option, size_t count,
                     char *why, size_t why_bytes);

/* ---- dirty.c: the bitplane ---- */
struct sg_dirty {
    _Atomic uint64_t *word;
    uint64_t words, pages;
    uint32_t page_shift;
    _Atomic uint32_t enable;
    uint64_t drop_every; /* test option: each n-th setting of a clear bit gets lost; 0 = none */
    pthread_mutex_t drop_lock;
    uint64_t settings; /* under drop_lock */
};
int sg_dirty_open(struct sg_dirty *d, uint64_t vram_bytes, const struct sg_options *o);
void sg_dirty_close(struct sg_dirty *d);
/* After the store; bytes > 0. */
void sg_dirty_set(struct sg_dirty *d, uint64_t offset, uint64_t bytes);
uint64_t sg_dirty_read(struct sg_dirty *d, uint64_t word);
uint64_t sg_dirty_exchange(struct sg_dirty *d, uint64_t word, uint64_t mask);
void sg_dirty_or(struct sg_dirty *d, uint64_t word, uint64_t bits);

/* ---- vram.c: one memfd that costs only what was written ----
 * Offsets are VRAM physical addresses, already checked. Any thread. */
struct sg_vram {
    int fd;
    uint8_t *reservation, *base; /* base is SG_BLOCK_BYTES aligned */
    /* The same memory advised for huge pages; NULL where the kernel has none for it. */
    uint8_t *wide;
    uint64_t bytes;
    bool prealloc; /* all memory is there from the start and stays; zeroing stores zeros */
    /* A bit per 4 KiB: without it the page is a hole, or about to be one. */
    _Atomic uint64_t *populated;
    struct sg_dirty dirty;
};
int sg_vram_open(struct sg_vram *v, const struct sg_options *o, char *why, size_t why_bytes);
void sg_vram_close(struct sg_vram *v);
/* How much of [offset, +bytes) from its start on is in one state, and in which. */
uint64_t sg_vram_run(struct sg_vram *v, uint64_t offset, uint64_t bytes, bool *populated);
/* Before a write that will cover [offset, +bytes): gets its memory cheaper than by one page fault
 * each. Optional. */
void sg_vram_prepare_write(struct sg_vram *v, uint64_t offset, uint64_t bytes);
/* After every store: the page holds something, and is dirty. */
void sg_vram_stored(struct sg_vram *v, uint64_t offset, uint64_t bytes);
void sg_vram_read(struct sg_vram *v, uint64_t offset, void *to, uint64_t bytes);
void sg_vram_write(struct sg_vram *v, uint64_t offset, const void *from, uint64_t bytes);
void sg_vram_copy(struct sg_vram *v, uint64_t to, uint64_t from, uint64_t bytes);
void sg_vram_zero(struct sg_vram *v, uint64_t offset, uint64_t bytes);
uint64_t sg_vram_load64(struct sg_vram *v, uint64_t offset);
void sg_vram_store64(struct sg_vram *v, uint64_t offset, uint64_t value);
void sg_vram_add64(struct sg_vram *v, uint64_t offset, uint64_t value);
void sg_raw_copy(void *to, const void *from, uint64_t bytes); /* memmove that may race */
void sg_raw_zero(void *to, uint64_t bytes);

/* ---- dma.c: host memory the paging engine may reach ---- */
struct sg_dma_range {
    uint64_t iova, bytes;
    uint8_t *at;
};
struct sg_dma {
    pthread_rwlock_t lock;      /* all below; the paging engine holds it shared for one step */
    struct sg_dma_range *range; /* by rising iova */
    size_t count;
    uint64_t generation;
};
int sg_dma_open(struct sg_dma *d);
void sg_dma_close(struct sg_dma *d);
int sg_dma_map(struct sg_dma *d, uint64_t iova, uint64_t bytes, int fd, uint64_t fd_offset);
int sg_dma_unmap(struct sg_dma *d, uint64_t iova, uint64_t bytes);
/* With d->lock held: where `iova` lies and how much follows it; NULL = nowhere. `hint` speeds up
 * the next call. */
uint8_t *sg_dma_find(const struct sg_dma *d, uint64_t iova, uint64_t *bytes, size_t *hint);

/* ---- mmu.c ---- */
struct sg_extent {
    uint64_t gpa, phys, bytes;
};
struct sg_map {               /* second stage of a VF */
    struct sg_extent *extent; /* by rising gpa, no gaps */
    size_t count, room;
    uint64_t bytes;
};
/* VRAM address of `gpa` and how much is contiguous from there; false = outside the map. */
bool sg_map_find(const struct sg_map *m, uint64_t gpa, uint64_t *phys, uint64_t *bytes,
                 size_t *hint);
int sg_map_add(struct sg_map *m, uint64_t gpa, uint64_t phys, uint64_t bytes);

struct sg_tlb_entry {
    uint64_t tag;   /* virtual address / 2 MiB + 1; 0 = empty */
    uint64_t large; /* the large leaf, or 0 */
    uint64_t table; /* else the level-0 table: VRAM address (VF) or host address (paging process) */
};
struct sg_device;
struct sg_vf;
struct sg_space { /* an address space as one engine sees it; owned by who runs the context */
    struct sg_device *dev;
    struct sg_vf *vf; /* NULL: the paging process */
    uint64_t root, generation;
    size_t hint; /* last extent or DMA range */
    uint64_t fault_va;
    struct sg_tlb_entry tlb[SG_TLB_ENTRIES];
};
struct sg_span {
    uint64_t phys;
    uint8_t *system; /* NULL: VRAM at phys */
    uint64_t bytes;
};
/* Adopts a root and drops cached entries when the root or the generation changed. */
void sg_space_refresh(struct sg_space *s, uint64_t root, uint64_t generation);
void sg_space_flush(struct sg_space *s);
/* The longest contiguous span, at most `bytes`, that starts at `va`. False = fault, s->fault_va
 * says where. */
bool sg_translate(struct sg_space *s, uint64_t va, uint64_t bytes, bool write, struct sg_span *out);
bool sg_va_read(struct sg_space *s, uint64_t va, void *to, uint64_t bytes);
bool sg_va_write(struct sg_space *s, uint64_t va, const void *from, uint64_t bytes);
/* These three fault on misalignment. */
bool sg_va_load64(struct sg_space *s, uint64_t va, uint64_t *value);
bool sg_va_store64(struct sg_space *s, uint64_t va, uint64_t value);
bool sg_va_add64(struct sg_space *s, uint64_t va, uint64_t value);

/* ---- kernels.c: arithmetic without addresses ---- */
void sg_kernel_fill(uint64_t *to, uint64_t words, uint64_t pattern);
void sg_kernel_random(uint64_t *to, uint64_t words, uint64_t seed, uint64_t stream, uint64_t first);
uint64_t sg_kernel_random_word(uint64_t seed, uint64_t stream, uint64_t index);
uint64_t sg_kernel_hash(const uint64_t *from, uint64_t words, uint64_t h);
/* One row segment: `mid` points at its first cell and has a neighbour cell before and behind. */
void sg_kernel_stencil(int32_t *to, const int32_t *up, const int32_t *mid, const int32_t *down,
                       uint32_t cells, uint32_t shift);
/* c[rows][SG_GEMM_COLS] += a[rows][SG_GEMM_DEPTH] x b[SG_GEMM_DEPTH][SG_GEMM_COLS], the first
 * `depth` and `cols` of them. */
void sg_kernel_gemm(uint32_t *c, const uint32_t *a, const uint32_t *b, uint32_t rows,
                    uint32_t depth, uint32_t cols);

/* ---- engine.c, commands.c, compute.c: running commands ---- */
enum sg_engine_kind { SG_ENGINE_COMPUTE, SG_ENGINE_COPY, SG_ENGINE_PAGING };

/* What runs on an engine; owned by the engine while on it, else under the device lock. */
struct sg_context {
    struct sg_device *dev;
    struct sg_vf *vf; /* NULL: paging */
    enum sg_engine_kind engine;
    _Atomic uint64_t ip, retired; /* written by the owner, read by anyone */
    uint64_t progress, scratch[4];
    _Atomic bool preempt; /* asks the engine to stop before the next step */
    bool stepped;         /* some command has come on since this was cleared */
    uint64_t wake_ns;     /* PACE: not before */
    bool pacing;
    uint64_t pace_epoch, pace_count, pace_start_ns;
    uint8_t *work; /* SG_WORK_BYTES of the engine */
    struct sg_space space;
};
enum sg_step {
    SG_STEP_DONE,
    SG_STEP_MORE,
    SG_STEP_JUMPED,
    SG_STEP_HALT, /* up to here: the command has come on */
    SG_STEP_HOLD, /* it has not, and keeps the engine */
    SG_STEP_WAIT, /* it has not, and leaves the engine until wake_ns */
    SG_STEP_FAULT
};
enum sg_stop {
    SG_STOP_PREEMPTED,
    SG_STOP_SLICE,
    SG_STOP_HALTED,
    SG_STOP_WAIT,
    SG_STOP_FAULT,
    SG_STOP_END
};
/* Runs commands until something stops it; a paging submission ends at `end`, a ring has no end. No
 * lock held. */
enum sg_stop sg_execute(struct sg_context *x, uint64_t end, uint64_t deadline_ns);
/* Forgets how far the command at ip has come. */
void sg_context_rewind(struct sg_context *x);
/* For a command of `total` bytes: where its next step of SG_STEP_BYTES starts; false = progress
 * lies behind the end. */
bool sg_step_offset(const struct sg_context *x, uint64_t total, uint64_t *offset);
enum sg_step sg_fault(struct sg_context *x, uint64_t va);
enum sg_step sg_step_fill(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_copy(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_random(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_scatter(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_hash(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_stencil(struct sg_context *x, const struct sg_cmd *cmd);
enum sg_step sg_step_gemm(struct sg_context *x, const struct sg_cmd *cmd);

/* ---- sched.c ---- */
struct sg_queue {
    struct sg_context x;
    _Atomic uint32_t status; /* SG_Q_*; written under the device lock */
    bool on_engine, halt_requested;
    bool hung;        /* stuck_ns has reached the VF's limit, and the PF was told */
    uint64_t stuck_ns; /* engine time since the command's last step, in whole slots */
    uint64_t pass; /* virtual time it has used: ns x 1024 / weight, compared by difference */
    /* Time it still has to stand still for what it ran (LEND); negative: it stood too long. */
    int64_t debt_ns;
};
struct sg_engine {
    struct sg_device *dev;
    unsigned index; /* = the queue index it serves */
    pthread_t thread;
    pthread_cond_t wake;
    uint64_t vtime; /* pass of the queue that got the last slot */
    uint8_t work[SG_WORK_BYTES] __attribute__((aligned(64)));
};
/* CLOCK_MONOTONIC, ns */
uint64_t sg_now(void);
/* On that clock. */
int sg_cond_init(pthread_cond_t *c);
/* UINT64_MAX = for ever */
void sg_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t when);
void *sg_engine_main(void *engine);
/* Something about who may run has changed; device lock held. */
void sg_engines_kick(struct sg_device *dev);

/* ---- paging.c ---- */
struct sg_submission {
    uint64_t root, va;
    uint32_t bytes, fence;
};
struct sg_paging { /* under the device lock, the context as told there */
    pthread_t thread;
    pthread_cond_t wake, left; /* work or reset; the engine has left a submission */
    struct sg_context x;
    uint64_t root, va;
    uint32_t bytes, done, fault_fence;
    uint64_t fault_va;
    _Atomic uint64_t flushes; /* writes of ROOT */
    struct sg_submission queue[SG_PAGING_DEPTH];
    uint32_t head, count;
    bool on_engine, faulted;
    unsigned resets; /* resets that wait for the engine to leave */
    uint64_t runtime_ns, first_run_ns, last_run_ns;
    uint8_t work[SG_WORK_BYTES] __attribute__((aligned(64)));
};
void *sg_paging_main(void *arg); /* the struct sg_device */
bool sg_paging_busy(const struct sg_device *dev); /* device lock held */
/* Device lock held; false = not mine. */
bool sg_paging_read(struct sg_device *dev, uint32_t reg, uint64_t *value);
bool sg_paging_write(struct sg_device *dev, uint32_t reg, uint64_t value);

/* ---- irq.c: everything here under the irq lock ---- */
struct sg_msix_entry {
    uint64_t address;
    uint32_t data, control; /* control bit 0: masked */
};
struct sg_msi_route {
    uint64_t address;
    uint32_t data;
    int fd;
};
struct sg_irq {
    pthread_mutex_t lock;
    uint32_t status, enable;
    int pf_fd;
    struct sg_msi_route *route;
    size_t routes;
    uint64_t dropped; /* messages nobody was routed for */
};
struct sg_msix { /* of one VF */
    struct sg_msix_entry entry[SG_MSIX_VECTORS];
    uint64_t pending, raised;
};
int sg_irq_open(struct sg_irq *q);
void sg_irq_close(struct sg_irq *q);
void sg_irq_raise(struct sg_device *dev, uint32_t bits);
void sg_irq_clear(struct sg_device *dev, uint32_t bits);
void sg_irq_enable(struct sg_device *dev, uint32_t bits);
int sg_irq_pf(struct sg_device *dev, uint32_t vector, int eventfd);
int sg_irq_route(struct sg_device *dev, uint64_t address, uint32_t data, int eventfd);
void sg_msix_raise(struct sg_vf *vf, unsigned vector);
void sg_msix_commit(struct sg_vf *vf, unsigned vector, const struct sg_msix_entry *entry);
void sg_msix_reset(struct sg_vf *vf);

/* ---- config.c: PCI config space, under the device lock ---- */
struct sg_config {
    uint8_t value[SG_CONFIG_BYTES], writable[SG_CONFIG_BYTES];
};
void sg_config_init(struct sg_config *c, bool vf, uint64_t vram_bytes, uint64_t dirty_bytes);
/* In range. */
void sg_config_read(const struct sg_config *c, uint32_t offset, void *to, uint32_t bytes);
void sg_config_write(struct sg_config *c, uint32_t offset, const void *from, uint32_t bytes);

/* ---- vf.c, state.c, regs_pf.c, regs_vf.c ---- */
struct sg_vf {
    struct sg_device *dev;
    unsigned index;
    /* Under the device lock. */
    uint32_t ctrl, weight, lend;
    bool resetting;
    unsigned active;     /* its queues that are on an engine */
    unsigned cpu_stores; /* writes through its VRAM BAR that have not set their dirty bits yet */
    uint64_t hang_ns; /* SG_VFC_HANG_NS64 */
    uint32_t faults, hangs;
    uint64_t fault_va, runtime_ns, lent_ns, first_run_ns, last_run_ns;
    uint64_t map_gpa, map_phys, map_bytes;
    uint32_t map_result, msix_index, state_result;
    struct sg_msix_entry msix_next; /* written, not committed */
    struct sg_config config;
    uint8_t window[SG_STATE_WINDOW] __attribute__((aligned(8)));
    struct sg_queue queue[SG_QUEUES];

    _Atomic uint64_t root, flushes; /* `flushes` counts what makes its TLBs stale */
    _Atomic uint64_t pace_epoch;    /* counts what starts a PACE afresh */

    /* The map, for the BAR; engines read it without: it changes only while QUIET. */
    pthread_rwlock_t map_lock;
    struct sg_map map;
    struct sg_msix msix; /* irq lock */
};
int sg_vf_open(struct sg_vf *vf, struct sg_device *dev, unsigned index);
void sg_vf_close(struct sg_vf *vf);
bool sg_vf_stopped(const struct sg_vf *vf); /* device lock held: it may not be scheduled */
/* Device lock held: stopped, and the stop is complete. */
bool sg_vf_quiet(const struct sg_vf *vf);
/* Device lock held; waits up to SG_QUIET_WAIT_NS for QUIET. */
uint32_t sg_vf_status(struct sg_vf *vf);
void sg_vf_control(struct sg_vf *vf, uint32_t ctrl);
void sg_vf_reset(struct sg_vf *vf);
void sg_vf_map_command(struct sg_vf *vf, uint32_t command);
void sg_vf_state_command(struct sg_vf *vf, uint32_t command);
void sg_vf_fault(struct sg_vf *vf, struct sg_queue *q);
/* The queue's last slot took `ns`: told when its command hangs. Device lock held. */
void sg_queue_watch(struct sg_queue *q, enum sg_stop stop, uint64_t ns);
void sg_queue_control(struct sg_queue *q, uint32_t value);
int sg_vf_bar(struct sg_vf *vf, uint64_t offset, void *to, const void *from, uint64_t bytes);
/* One access of 4 or 8 bytes, aligned; -EINVAL for half a 64-bit register. */
int sg_pf_reg_read(struct sg_device *dev, uint32_t offset, unsigned width, uint64_t *value);
int sg_pf_reg_write(struct sg_device *dev, uint32_t offset, unsigned width, uint64_t value);
int sg_vf_reg_read(struct sg_vf *vf, uint32_t offset, unsigned width, uint64_t *value);
int sg_vf_reg_write(struct sg_vf *vf, uint32_t offset, unsigned width, uint64_t value);

/* ---- device.c ---- */
struct sg_device {
    const struct vf_device_host *host;
    struct sg_options options;
    uint32_t scatter_shift;
    struct sg_vram vram;
    struct sg_dma dma;
    struct sg_irq irq;
    pthread_mutex_t lock;
    pthread_cond_t quiet;        /* some VF's stop may have become complete */
    bool stop;                   /* under lock: threads end */
    _Atomic uint64_t dirty_mask; /* SG_PF_DIRTY_MASK64 */
    struct sg_config config;
    struct sg_paging paging;
    struct sg_engine engine[SG_QUEUES];
    struct sg_vf *vf; /* options.vfs of them */
};
int sg_bar_info(struct sg_device *dev, vf_function fn, uint32_t bar, struct vf_bar_info *out);
int sg_bar_access(struct sg_device *dev, vf_function fn, uint32_t bar, uint64_t offset, void *to,
                  const void *from, uint64_t bytes);
const struct vf_device_ops *vf_device_entry(uint32_t abi);

#endif
