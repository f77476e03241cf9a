// SPDX-License-Identifier: Apache-2.0
/*
 * The software GPU's hardware manual: PCI identity, registers, address translation, commands and
 * arithmetic. Everything a driver (PF side) or a guest (VF side) may rely on is here; nothing
 * else is. All registers are little endian; 32-bit registers take 4-byte, 64-bit registers (…64)
 * 8-byte aligned accesses.
 */
#ifndef SOFTGPU_HW_H
#define SOFTGPU_HW_H

#include <stdint.h>

#define SG_PCI_VENDOR 0x1af4u /* a vendor id without real GPUs behind it */
#define SG_PCI_DEVICE 0x5f00u
#define SG_PCI_VF_DEVICE 0x5f01u
#define SG_MAX_VFS 32u
#define SG_MIN_VRAM (64ull << 20) /* PF carve-out not included in what VFs can get */
#define SG_MAX_VRAM (64ull << 30)

/* ---- BARs ------------------------------------------------------------------------------------ */
#define SG_PF_BAR_REGS 0u  /* PF registers, SG_PF_REGS_BYTES */
#define SG_PF_BAR_VRAM 2u  /* all of VRAM by physical address */
#define SG_PF_BAR_DIRTY 4u /* dirty bitplane windows, see below */
#define SG_VF_BAR_REGS 0u  /* VF registers, SG_VF_REGS_BYTES */
#define SG_VF_BAR_VRAM 2u  /* the VF's guest physical space (its reserve) */

/* ---- PF registers (SG_PF_BAR_REGS) ----------------------------------------------------------- */
#define SG_PF_ID 0x0000u /* ro: SG_ID_VALUE */
#define SG_ID_VALUE 0x55504753u
#define SG_PF_HW_VERSION 0x0004u /* ro: major << 16 | minor */
#define SG_HW_VERSION (1u << 16 | 0u)
#define SG_PF_FW_VERSION 0x0008u /* ro: major << 16 | minor ("fw=1.2") */
#define SG_PF_VF_COUNT 0x000cu   /* ro: how many VFs the device has */
#define SG_PF_FEATURES 0x0010u   /* ro: SG_FEATURE_* */
#define SG_FEATURE_DIRTY_PERFORMANT (1u << 0) /* tracking costs the VF nothing that matters: may
                                               * be always on */
#define SG_FEATURE_SCATTER (1u << 1)          /* a VF's reserve may consist of any number of
                                               * extents */
#define SG_PF_DIRTY_PAGE_SHIFT 0x0014u   /* ro: 12..21 */
#define SG_PF_SCATTER_PAGE_SHIFT 0x0018u /* ro: granule of the second translation stage, ≥ dirty
                                          * page shift, 16..21 */
#define SG_PF_VRAM_BYTES64 0x0020u       /* ro */
#define SG_PF_INT_STATUS 0x0028u         /* w1c: SG_INT_*. Vector 0 is sent when STATUS & ENABLE
                                          * becomes non-zero, and after each write of STATUS that
                                          * leaves it non-zero. Acknowledge, then look. */
#define SG_PF_INT_ENABLE 0x002cu         /* rw: SG_INT_* that raise PF vector 0 */
#define SG_INT_PAGING (1u << 0)          /* SG_PF_PAGING_DONE moved */
#define SG_INT_PAGING_FAULT (1u << 1)    /* a paging submission faulted; the engine has stopped */
#define SG_INT_VF_FAULT (1u << 2)        /* some VF's engine faulted, see SG_VFC_STATUS */
#define SG_INT_VF_HANG (1u << 3)         /* some VF's command hangs, see SG_VFC_STATUS */

/* Paging engine: one queue of at most SG_PAGING_DEPTH submissions, run in order. Write VA,
 * BYTES, then FENCE: the write of FENCE submits. Fences grow by the driver's choice, never
 * repeat. A full queue sets no state: read SG_PF_PAGING_FREE first. */
#define SG_PAGING_DEPTH 64u
#define SG_PF_PAGING_ROOT64 0x0100u   /* rw: bus address (iova) of the paging process's root page
                                       * table */
#define SG_PF_PAGING_VA64 0x0108u     /* rw: virtual address of the commands */
#define SG_PF_PAGING_BYTES 0x0110u    /* rw: multiple of SG_CMD_BYTES */
#define SG_PF_PAGING_FENCE 0x0114u    /* wo: submits */
#define SG_PF_PAGING_DONE 0x0118u     /* ro: fence of the last submission that completed */
#define SG_PF_PAGING_FREE 0x011cu     /* ro: free places in the queue */
#define SG_PF_PAGING_FAULT_VA64 0x0120u
#define SG_PF_PAGING_FAULT_FENCE 0x0128u /* ro: the submission that faulted */
#define SG_PF_PAGING_RESET 0x012cu    /* wo: 1 drops all that is queued and clears a fault */

/* Masked access to the dirty bitplane, see SG_PF_BAR_DIRTY. */
#define SG_PF_DIRTY_MASK64 0x0140u  /* rw: which bits of a word an exchange may clear; all ones
                                     * after reset */
#define SG_PF_DIRTY_ENABLE 0x0148u  /* rw: 0/1; writes set no bits while 0. Performant devices
                                     * reset to 1. */

/* ---- one control block per VF, seen by the PF only ------------------------------------------- */
#define SG_PF_VF_BLOCK 0x10000u
#define SG_PF_VF_STRIDE 0x2000u
#define SG_PF_REGS_BYTES (SG_PF_VF_BLOCK + SG_MAX_VFS * SG_PF_VF_STRIDE)
#define SG_VFC(vf, reg) (SG_PF_VF_BLOCK + (uint32_t)(vf) * SG_PF_VF_STRIDE + (reg))

#define SG_VFC_CTRL 0x000u /* rw: SG_VFC_CTRL_* */
#define SG_VFC_CTRL_ENABLE (1u << 0) /* powered (D0); clearing it stops its engines and keeps
                                      * VRAM */
#define SG_VFC_CTRL_PAUSE (1u << 1)  /* out of scheduling; commands stop between two of their
                                      * steps */
#define SG_VFC_STATUS 0x004u /* ro: SG_VFC_STATUS_*. While a stop (PAUSE set or ENABLE clear) is
                              * not yet complete, a read takes up to 2 ms: it returns as soon as
                              * QUIET is set. Read again rather than stall. */
#define SG_VFC_STATUS_QUIET (1u << 0)  /* no command runs and no store awaits its dirty bit: a
                                        * pause is complete */
#define SG_VFC_STATUS_FAULT (1u << 1)  /* an engine of the VF faulted and halted */
#define SG_VFC_STATUS_BUSY (1u << 2)   /* some queue is running (paused or not) */
#define SG_VFC_STATUS_HANG (1u << 3)   /* a queue's command has used HANG_NS of engine time without
                                        * finishing a step. Its slots stay its own: others lose
                                        * nothing. Gone with its next step, stop or reset. */
#define SG_VFC_RESET 0x008u  /* wo: 1 = function level reset: queues, registers, MSI-X, config
                              * space, state; the map, CTRL, WEIGHT, LEND and HANG_NS stay.
                              * Complete when the write returns. */
#define SG_VFC_WEIGHT 0x00cu /* rw: its slot in the engines' schedule, 1..1024; reset 64. Slots
                              * of idle VFs are shared out among the busy ones by weight. */
#define SG_VFC_HANG_NS64 0x038u /* rw: engine time a command may use between two steps before it
                                 * counts as hung; 0 = no limit; reset 2 s. Counted in whole slots,
                                 * from its last step or the VF's last stop; PACE waits for a known
                                 * moment and never counts. Stays over a function level reset. */
#define SG_VFC_LEND 0x010u   /* rw: 0..1024: that part (in 1/1024) of the VF's own slots stands
                              * still while the paging engine has work, so that paging gets the
                              * time. Never taken from another VF. */
#define SG_VFC_FAULT_VA64 0x018u   /* ro: address of the last fault */
#define SG_VFC_RUNTIME_NS64 0x020u /* ro: engine time used since power on */

#define SG_VFC_FAULTS 0x028u /* ro: faults since the card was switched on; with SG_VFC_HANGS it
                              * tells what is news */
#define SG_VFC_HANGS 0x02cu  /* ro: hangs since then */

/* Second translation stage: extents of guest physical space, in scatter pages (without
 * SG_FEATURE_SCATTER, in dirty pages but at most SG_MAP_EXTENTS_FLAT extents). Only while paused
 * or not enabled. */
#define SG_MAP_EXTENTS_FLAT 32u
#define SG_VFC_MAP_GPA64 0x040u   /* rw: guest physical byte address; extents are added in rising
                                   * order, without gaps */
#define SG_VFC_MAP_PHYS64 0x048u  /* rw: VRAM byte address */
#define SG_VFC_MAP_BYTES64 0x050u /* rw */
#define SG_VFC_MAP_CMD 0x058u     /* wo: SG_MAP_CMD_*; result in SG_VFC_MAP_RESULT */
#define SG_MAP_CMD_CLEAR 1u
#define SG_MAP_CMD_ADD 2u
#define SG_VFC_MAP_RESULT 0x05cu /* ro: 0 = good, else SG_MAP_BAD_* */
#define SG_MAP_BAD_RUNNING 1u
#define SG_MAP_BAD_ALIGN 2u
#define SG_MAP_BAD_RANGE 3u
#define SG_MAP_BAD_COUNT 4u

/* MSI-X of the VF as the hardware holds it (host addresses). Write INDEX, ADDR, DATA, then CTRL:
 * CTRL commits. */
#define SG_MSIX_VECTORS 8u
#define SG_VFC_MSIX_INDEX 0x080u
#define SG_VFC_MSIX_ADDR64 0x088u
#define SG_VFC_MSIX_DATA 0x090u
#define SG_VFC_MSIX_CTRL 0x094u /* bit 0: masked */

/* Execution state of a quiet VF, for saving and restoring: SG_VFC_STATE_BYTES of
 * opaque-to-the-OS bytes whose layout is struct sg_vf_state. CMD SAVE latches the state into the
 * window; LOAD takes the window's bytes. */
#define SG_VFC_STATE_CMD 0x0a0u /* wo */
#define SG_STATE_CMD_SAVE 1u
#define SG_STATE_CMD_LOAD 2u
#define SG_VFC_STATE_RESULT 0x0a4u /* ro: 0 = good, 1 = not quiet, 2 = bad contents */
#define SG_VFC_CONFIG 0x400u /* 256 bytes: the VF's config space */
#define SG_VFC_STATE 0x1000u /* window, sizeof(struct sg_vf_state) rounded up to 8, at most
                              * 0x1000 */

/* ---- VF registers (SG_VF_BAR_REGS), seen by the guest ---------------------------------------- */
#define SG_VF_REGS_BYTES 0x4000u
#define SG_VF_ID 0x0000u             /* ro: SG_ID_VALUE */
#define SG_VF_VRAM_BYTES64 0x0008u   /* ro: size of its guest physical space */
#define SG_VF_ROOT64 0x0010u         /* rw: guest physical address of the root page table; a
                                      * write flushes the TLB */
#define SG_VF_QUEUE(q) (0x0100u + (uint32_t)(q) * 0x40u)
#define SG_QUEUES 2u         /* each an engine of its own */
#define SG_QUEUE_COMPUTE 0u  /* every command */
#define SG_QUEUE_COPY 1u     /* every command but STENCIL and GEMM */
#define SG_Q_IP64 0x00u      /* rw while halted: virtual address of the next command */
#define SG_Q_CTRL 0x08u      /* wo: 1 starts at IP, 0 halts after the current step; 0 also takes
                              * a queue out of FAULT. A command halted between its steps goes on
                              * at the next start unless IP is written. */
#define SG_Q_STATUS 0x0cu    /* ro: SG_Q_* state */
#define SG_Q_HALTED 0u
#define SG_Q_RUNNING 1u
#define SG_Q_FAULT 2u
#define SG_Q_RETIRED64 0x10u /* ro: commands completed since reset (moves with the VF) */
#define SG_VF_MSIX_TABLE 0x1000u /* one page: the OS intercepts it (mitigated range); hardware
                                  * reads as zero here */
#define SG_VF_MSIX_PBA 0x2000u   /* one page: pending bits, 64 bits used */
#define SG_VF_PLATFORM 0x3000u   /* one page, see SG_PLAT_*: host software emulates it (mitigated
                                  * range); hardware reads as zero here */

/* ---- platform page (offsets from SG_VF_PLATFORM) ----
 * What is around the card rather than on it. Its state is the emulation's alone: no reset of the VF
 * touches it, it moves with the VF. Stores to other offsets than the two rw ones are refused. */
#define SG_PLAT_ID 0x000u        /* ro: SG_PLAT_ID_VALUE */
#define SG_PLAT_ID_VALUE 0x544c5053u
#define SG_PLAT_INDICATOR 0x004u /* rw: lights of the slot, one bit each */
#define SG_PLAT_STORES64 0x008u  /* ro: stores accepted so far */
#define SG_PLAT_SUM64 0x010u     /* ro: h = SG_MIX(SG_MIX(h ^ offset) ^ value) over all of them in
                                  * order, from h = 0 on */
#define SG_PLAT_NOTES 0x800u     /* rw: SG_PLAT_NOTES_BYTES of memory that outlives resets, for the
                                  * guest's firmware */
#define SG_PLAT_NOTES_BYTES 0x800u

/* ---- address translation ------------------------------------------------------------------------
 * 39-bit virtual addresses, 4 KiB pages, three levels of 512 eight-byte entries: level 2 is the
 * root. A VF's tables lie in its VRAM and hold guest physical addresses, which the second stage
 * maps to VRAM. The paging process's tables lie in system memory and hold bus addresses of
 * tables; its leaf entries hold VRAM physical addresses, or bus addresses where SG_PTE_SYSTEM is
 * set. Translations of the upper two levels and large leaves may be cached; 4 KiB leaves are
 * read at each use. Caches are dropped by a write of ROOT (even of the same value), by map
 * changes and reset, on the paging side by FLUSH_TLB and dma_unmap. WRITE and SYSTEM count in
 * leaves only; entries of upper levels need VALID. */
#define SG_VA_BITS 39u
#define SG_PAGE_SHIFT 12u
#define SG_LEVELS 3u
#define SG_LEVEL_BITS 9u
#define SG_PTE_VALID (1ull << 0)
#define SG_PTE_WRITE (1ull << 1)
#define SG_PTE_SYSTEM (1ull << 2) /* paging process only; faults in a VF */
#define SG_PTE_LARGE (1ull << 3)  /* in a level-1 table: maps 2 MiB, address 2 MiB aligned */
#define SG_PTE_ADDRESS 0x000ffffffffff000ull

/* ---- dirty bitplane (SG_PF_BAR_DIRTY) -----------------------------------------------------------
 * One bit per dirty page of VRAM by physical address, LSB first, set after the store it tells of
 * (release order), by every write path: engines, paging, both VRAM BARs. Window 0 (offset 0)
 * reads. Window 1 (offset SG_DIRTY_WINDOW_BYTES) returns (word & mask) and clears those bits in
 * one atomic step; mask is SG_PF_DIRTY_MASK64. A write to window 1 sets bits (or-s). */
#define SG_DIRTY_WINDOW_BYTES (64ull << 20)

/* ---- commands -----------------------------------------------------------------------------------
 * 64 bytes, 64-byte aligned. All addresses are virtual and 8-byte aligned; sizes are bytes and
 * multiples of 8 (COPY and FILL with 4 KiB alignment and size are fast). Overlapping source and
 * destination is undefined. A command may be preempted between its steps and goes on where it
 * was, also on another device after a move. Each queue runs in order. The paging engine knows
 * NOP, HALT (ends the submission), FILL, COPY, RANDOM, HASH, ADD, FENCE and FLUSH_TLB. A command
 * that cannot be decoded, is misaligned or meets no translation faults: the queue keeps IP at it
 * and stops.
 *
 * Steps, as counted in struct sg_queue_state.progress: FILL, COPY, RANDOM, SCATTER, HASH:
 * SG_STEP_BYTES; STENCIL: up to SG_STENCIL_CELLS cells of one row, left to right, top to bottom;
 * GEMM: a tile SG_GEMM_ROWS x SG_GEMM_COLS of C gets SG_GEMM_DEPTH products more (depth
 * innermost, then columns, then rows; C holds partial sums meanwhile); others: one. */
#define SG_STEP_BYTES 65536ull
#define SG_STENCIL_CELLS 8192u
#define SG_GEMM_ROWS 8u
#define SG_GEMM_COLS 256u
#define SG_GEMM_DEPTH 64u
#define SG_CMD_BYTES 64u
struct sg_cmd {
    uint32_t op;
    uint32_t flags; /* zero unless the command says otherwise */
    uint64_t a[7];
};

enum sg_op {
    SG_OP_NOP = 0,
    SG_OP_HALT = 1,      /* the queue halts; IP points behind it */
    SG_OP_FILL = 2,      /* a0 dst, a1 bytes, a2 64-bit pattern. Zero gives whole pages back:
                          * they cost no memory */
    SG_OP_COPY = 3,      /* a0 dst, a1 src, a2 bytes */
    SG_OP_RANDOM = 4,    /* a0 dst, a1 bytes, a2 seed, a3 stream: word i = SG_RANDOM(a2, a3, i) */
    SG_OP_SCATTER = 5,   /* a0 base, a1 pages, a2 page bytes, a3 seed, a4 address of counter c:
                          * page p = SG_RANDOM(a3, c, 0) mod a1;
                          * its word j = SG_RANDOM(a3, c, 1 + j) */
    SG_OP_STENCIL = 6,   /* a0 dst, a1 src, a2 width, a3 height, a4 shift: see below */
    SG_OP_GEMM = 7,      /* a0 C, a1 A, a2 B, a3 n: C = A x B, n x n row-major uint32, modulo
                          * 2^32 */
    SG_OP_HASH = 8,      /* a0 dst (8 bytes), a1 src, a2 bytes, a3 seed: h = seed; for each word
                          * w: h = SG_MIX(h ^ w) */
    SG_OP_ADD = 9,       /* a0 dst, a1 value: 64-bit add, modulo 2^64 */
    SG_OP_FENCE = 10,    /* a0 dst, a1 value: 64-bit store, after all stores before it in the
                          * queue */
    SG_OP_INTERRUPT = 11, /* a0 MSI-X vector */
    SG_OP_JUMP = 12,     /* a0 target */
    SG_OP_JUMP_IF = 13,  /* a0 address of a 64-bit word, a1 value, a2 target, flags = enum
                          * sg_cond: unsigned word ? value */
    SG_OP_PACE = 14,     /* a0 address of counter c, a1 nanoseconds per count: holds the queue
                          * until (c - c0) * a1 ns have passed since its first PACE (count c0).
                          * Moves and pauses start it afresh. Changes no memory. */
    SG_OP_FLUSH_TLB = 15, /* paging engine only */
    SG_OP_WAIT = 16, /* a0 address of a 64-bit word, a1 value, flags = enum sg_cond: holds its
                      * engine, looking at the word again and again, until unsigned word ? value.
                      * The queue's slots stay as long as those of any command; a word that nobody
                      * ever writes is a hang, see SG_VFC_HANG_NS64 */
};

enum sg_cond { SG_COND_LT = 0, SG_COND_GE = 1, SG_COND_EQ = 2, SG_COND_NE = 3 };

/* ---- arithmetic (all unsigned, modulo 2^64) -----------------------------------------------------
 * SG_MIX(z):           z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27;
 *                      z *= 0x94d049bb133111eb; z ^= z >> 31
 * SG_RANDOM(s, t, i):  SG_MIX(SG_MIX(s + G * (t + 1)) + G * (i + 1)), G = 0x9e3779b97f4a7c15
 * STENCIL:             cells are int32, row-major. With u a cell and n the sum of its four
 *                      neighbours (a neighbour outside the grid counts as u itself):
 *                      dst = u + ((n - 4 * u) >> shift), two's complement modulo 2^32, the shift
 *                      arithmetic. shift is 2..16.
 */
#define SG_GOLDEN 0x9e3779b97f4a7c15ull
#define SG_MIX_1 0xbf58476d1ce4e5b9ull
#define SG_MIX_2 0x94d049bb133111ebull

/* ---- saved execution state ----------------------------------------------------------------------
 * What a quiet VF is, beyond its VRAM. Versioned; LOAD refuses what it does not know. */
#define SG_VF_STATE_VERSION 1u
struct sg_queue_state {
    uint64_t ip;       /* address of the command that runs or comes next */
    uint64_t retired;
    uint64_t progress; /* steps done of the command at ip; 0 = not begun */
    uint64_t scratch[4]; /* what the command carries between steps (HASH: the running h; SCATTER:
                          * the counter) */
    uint32_t status;   /* SG_Q_* */
    uint32_t reserved;
};
struct sg_vf_state {
    uint32_t version;
    uint32_t bytes; /* sizeof(struct sg_vf_state) */
    uint64_t root;
    uint64_t msix_pending; /* one bit a vector */
    uint64_t fault_va;
    struct sg_queue_state queue[SG_QUEUES];
    uint64_t interrupts_raised; /* since reset, all vectors */
};

#endif
