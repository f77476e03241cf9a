// SPDX-License-Identifier: Apache-2.0
/*
 * The OS side of the contract (Dxgkrnl's role): what vferry-kernel calls. Everything below it,
 * devices and drivers, is reached only through the contract's own tables. All functions are
 * thread-safe and run at PASSIVE_LEVEL unless said otherwise; they return 0 or -1 with *err filled
 * (err->status keeps the driver's NTSTATUS). Partition ids come from strangers: an unknown id is
 * refused, never followed.
 */
#ifndef DXGK_DXGK_H
#define DXGK_DXGK_H

#include "base/error.h"
#include "vferry/vferry.h"

#include <stddef.h>
#include <stdint.h>

struct dxgk;

struct dxgk_config {
    const char *const *devices; /* SPECs: "softgpu,vram=4G,vfs=8" */
    size_t device_count;
    const char *const *drivers; /* paths; the k-th drives the k-th device, the last repeats; none:
                                 * the device's own */
    size_t driver_count;
    const char *device_dir;  /* where NAME.so of a device is found */
    const char *driver_dir;  /* where a device's own driver is found */
    const char *umed_worker; /* the program that holds a UMED; NULL = vferry-umed beside this
                                program or above driver_dir */
    /* A triage event, an interrupt storm, a broken contract, a crashed emulation ("umed"): told as
     * it happens, any thread, short. May be NULL. */
    void (*event)(void *ctx, const char *kind, const char *text);
    void *event_ctx;
    /* The program's main() begins with dxgk_trial_main: it can try a new driver in a process of its
     * own. Without it driver updates are refused. */
    bool trial;
    /* Free VRAM is zero-filled and proven in the background, from the start on; else when somebody
     * is to get it. */
    bool scrub;
};

/* Loads devices and drivers, starts every adapter (CAP-1…7). On failure nothing stays. */
int dxgk_open(const struct dxgk_config *config, struct dxgk **out, struct vf_error *err);
/* Destroys all partitions, stops adapters, unloads drivers and devices. */
void dxgk_close(struct dxgk *dxgk);

/* How many adapters there are, and one of them by its number from 0 (VF_USAGE: there is none).
 * Constant as long as `dxgk` is open, but for what partitions take. */
size_t dxgk_adapter_count(const struct dxgk *dxgk);
int dxgk_adapter_info(struct dxgk *dxgk, uint32_t index, struct vf_adapter_info *out,
                      struct vf_error *err);

/* ---- drivers at work (HOT-1…6) ---- */

/* The driver that serves an adapter. Waits while an update is under way. */
int dxgk_driver_info(struct dxgk *dxgk, uint32_t index, struct vf_driver_info *out,
                     struct vf_error *err);
/* A call of a driver that has not come back yet. */
struct dxgk_driver_call {
    uint64_t ns; /* for so long; 0 = no driver is in a call */
    uint32_t adapter;
    char ddi[48];
    char driver[256]; /* path of its image; "" = not known */
};
/* The call, of all adapters' drivers, that has been under way for longest. Waits for no driver. */
void dxgk_longest_call(struct dxgk_driver_call *out);

/* Whom the calling thread works for in the calls that follow: a number that is its client's alone,
 * or 0. */
void dxgk_serve(uint32_t connection);
/* A thread that works for somebody and is in a driver's call, or waits for a thread that is. */
struct dxgk_waiter {
    uint32_t connection;           /* as given to dxgk_serve */
    char partition[VF_NAME_BYTES]; /* that it works on; "" = none in particular */
    struct dxgk_driver_call call;  /* the longest of those that it waits for */
};
/* Up to `capacity` of them; returns how many. Waits for no driver. */
size_t dxgk_waiters(struct dxgk_waiter *out, size_t capacity);

/* Replaces the driver image of `adapter`, and of every adapter the same image serves, by the one at
 * `path`, while their partitions run on. All calls that need the driver wait meanwhile.
 * VF_INCOMPATIBLE: the new driver was refused before anything was taken down. VF_REFUSED_NOW: nor
 * was anything, there is no room for a way back. VF_FAILED with out->rolled_back: it failed later,
 * the old one is back. VF_FAILED with out->lost: not even that; those adapters have no driver any
 * more. `dry_run` does everything up to the point where the old driver would go, and cancels. *out
 * is filled as far as it came, on failure too. */
int dxgk_driver_update(struct dxgk *dxgk, uint32_t adapter, const char *path, bool dry_run,
                       struct vf_driver_update *out, struct vf_error *err);
/* First thing in main(): tries a driver and exits when this process was started for that, else
 * returns at once. */
void dxgk_trial_main(int argc, char **argv);

/* ---- defragmentation (VF-4, CAP-5) ---- */

/* Moves as few bytes of reserves as it takes to make the largest hole in VRAM as large as sliding
 * can (defrag/plan.h). Each partition that moves is paused for as long as its own move takes;
 * all others run on. Partitions in a migration are not moved. -1 when some move failed: *out says
 * which; its content is where it was unless `why` says otherwise. With ScatterMapReserve there is
 * nothing to do. */
int dxgk_defrag(struct dxgk *dxgk, uint32_t index, bool dry_run, struct vf_defrag *out,
                struct vf_error *err);

/* ---- life of a partition (VF-1…6) ---- */

/* Creates a vGPU, gives it zero-filled VRAM, starts tracking when performant (CAP-4), D0; running
 * unless `incoming`, which leaves it paused in VF_PARTITION_INCOMING for a target-side
 * dxgk_migration_prepare (TGT-1, TGT-5). params->uuid all zero asks for a new one. A name or UUID
 * that exists: VF_INCOMPATIBLE. */
int dxgk_partition_create(struct dxgk *dxgk, const struct vf_partition_params *params,
                          bool incoming, struct vf_partition_info *out, struct vf_error *err);
/* Is what takes long still wanted? Asked on the thread that does it, many times a second. */
struct dxgk_wanted {
    bool (*ask)(void *ctx);
    void *ctx;
};
/* The same for an incoming one, whose VRAM is filled and proven only as long as it is wanted. When
 * it is not any more: VF_CANCELLED, and nothing is left of it. */
int dxgk_partition_await(struct dxgk *dxgk, const struct vf_partition_params *params,
                         const struct dxgk_wanted *wanted, struct vf_partition_info *out,
                         struct vf_error *err);
/* Destroys the partition; its VRAM is zero-filled before it is given to another. Fails while a
 * transfer channel on it is open, or another call works on it ("busy"). */
int dxgk_partition_destroy(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
/* What the partition is and does now. VF_FAILED when there is none of this id, as in all calls that
 * take an id. */
int dxgk_partition_info(struct dxgk *dxgk, uint64_t id, struct vf_partition_info *out,
                        struct vf_error *err);
/* Up to `capacity` partitions, any adapter; *count = how many there are. */
int dxgk_partition_list(struct dxgk *dxgk, struct vf_partition_info *out, size_t capacity,
                        size_t *count, struct vf_error *err);
/* Creation parameters as a peer needs them. */
int dxgk_partition_params(struct dxgk *dxgk, uint64_t id, struct vf_partition_params *out,
                          struct vf_error *err);
/* RUNNING <-> PAUSED, OUTGOING <-> OUTGOING_PAUSED, READY -> RUNNING (the target's unpause) or, by
 * pause, READY -> PAUSED (it was paused when it left). A pause returns when the VF is quiet:
 * no store awaits its dirty bit (DBT-10), vCPU access is shut (SRC-5). */
int dxgk_partition_pause(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
int dxgk_partition_resume(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
/* When its VF last and first ran, and for how long in all. runtime_ns is VF_RUNTIME_UNKNOWN where
 * the device has no clock, or the VF is not the partition's yet or any more. */
int dxgk_partition_clock(struct dxgk *dxgk, uint64_t id, struct vf_partition_clock *out,
                         struct vf_error *err);
/* The durable hand-off number, set by the management side. Only grows. */
int dxgk_partition_set_epoch(struct dxgk *dxgk, uint64_t id, uint64_t epoch, struct vf_error *err);

/* An eventfd, the caller's to close, that is written whenever the partition got an interrupt, runs
 * again or is removed. It is shared by all who watch: nobody reads it, epoll's EPOLLET tells of
 * each write. */
int dxgk_partition_watch(struct dxgk *dxgk, uint64_t id, int *fd, struct vf_error *err);
/* Function level reset, as a guest's firmware or a person asks for it: the VF's queues, registers,
 * interrupts and config space are as after power-on, VRAM and emulated pages stay, no other VF
 * notices (VF-6). RUNNING and PAUSED stay what they are; FAULTED by a hung command -> RUNNING.
 * Refused in a move. */
int dxgk_partition_reset(struct dxgk *dxgk, uint64_t id, struct vf_error *err);

/* ---- the vCPU's view: a VF's BARs ---- */

/* bar: the VF's BAR number. MSI-X table pages are answered from the OS's own copy (INT-3), other
 * mitigated pages by the partition's UMED. Writes are refused while the partition is not running
 * (SRC-5: vCPUs stand still too); reads of VRAM always work. */
int dxgk_partition_bar_read(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                            void *data, uint64_t bytes, struct vf_error *err);
int dxgk_partition_bar_write(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                             const void *data, uint64_t bytes, struct vf_error *err);

/* ---- live migration (SRC-1…9, TGT-1…6): the order is enforced by the call checker ---- */

enum dxgk_side { DXGK_SOURCE, DXGK_TARGET };

/* Prepare(SOURCE): RUNNING -> OUTGOING (or PAUSED -> OUTGOING_PAUSED); tracking starts here when
 * not performant. Prepare(TARGET): stays INCOMING. `job` is remembered in the partition's info. */
int dxgk_migration_prepare(struct dxgk *dxgk, uint64_t id, enum dxgk_side side, uint64_t job,
                           struct vf_error *err);

/* Slows a partition that moves: its VF and vCPUs stand for so many percent of the time, in beats of
 * 5 ms, so that it dirties pages more slowly; no other VF notices (VF-6). 0 lets it run at its own
 * speed again, as does whatever pauses it or ends the move. Refused for one that is not OUTGOING.
 * vf_partition_info tells what it costs. */
int dxgk_partition_throttle(struct dxgk *dxgk, uint64_t id, uint32_t percent,
                            struct vf_error *err);

struct dxgk_blob {
    void *data; /* malloc'ed; owner frees */
    size_t bytes;
};

/* KMD's and UMED's immutable data (SRC-2, SRC-3). umed->bytes is 0 when the UMED has no
 * IGPUPMigration. */
int dxgk_migration_save_immutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                  struct dxgk_blob *umed, struct vf_error *err);
/* TGT-2. On STATUS_OBJECT_TYPE_MISMATCH: VF_INCOMPATIBLE, and every triage event the driver logged
 * is a reason. */
int dxgk_migration_restore_immutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                     const struct dxgk_blob *umed, struct vf_reasons *reasons,
                                     struct vf_error *err);

/* Bits of the whole reserve, one a page, LSB first; query and clear are one step (DBT-5). The first
 * query after a prepare returns touched ∪ new (DBT-9), or everything when tracking began with this
 * move or a query ever failed. bits_bytes ≥ pages / 8 rounded up. *dirty = number of set bits. */
int dxgk_migration_query_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                               uint64_t *dirty, struct vf_error *err);

struct dxgk_sample {  /* pages */
    uint64_t dirty;   /* since the last query */
    uint64_t touched; /* ever, or since nobody knows more */
    bool everything;  /* a driver update, or a query that failed: all counts as dirty */
};
/* What a partition writes while it does not move; the bits as above. A later move sends all of it:
 * the history keeps what a query takes. VF_REFUSED_NOW in a move, VF_INCOMPATIBLE where tracking
 * begins with one. */
int dxgk_partition_sample_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                                struct dxgk_sample *sample, struct vf_error *err);

/* SRC-6: paused VF only. `kmd` = driver's data, `msix` = interrupt table in guest terms (INT-3),
 * `umed` = the emulation's state; the latter two are empty when there is none. */
int dxgk_migration_save_mutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                struct dxgk_blob *msix, struct dxgk_blob *umed,
                                struct vf_error *err);
/* TGT-4, once. Replays the interrupt table with this host's addresses. */
int dxgk_migration_restore_mutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                   const struct dxgk_blob *msix, const struct dxgk_blob *umed,
                                   struct vf_error *err);

/* SRC-7/TGT-4. Source: OUTGOING -> RUNNING; OUTGOING_PAUSED stays paused with tracking as before (a
 * resume or destroy follows). Target: INCOMING -> READY once mutable data is restored. Safe to call
 * on any path: brackets the Prepare. */
int dxgk_migration_end(struct dxgk *dxgk, uint64_t id, struct vf_error *err);

/* ---- page transfers: shared slots, filled and emptied by the paging engine (PAG-1…4) ---- */

struct dxgk_channel;
enum dxgk_transfer { DXGK_GATHER, DXGK_SCATTER, DXGK_ZERO, DXGK_SCATTER_READ };

struct dxgk_channel_config {
    uint32_t slots;      /* 1..64 */
    uint64_t slot_bytes; /* multiple of page_bytes, at most 4 MiB */
    uint64_t page_bytes; /* what a submission's list counts in: a power of two from 4096 that makes
                          * up the partition's page_bytes; 0 = those */
    /* One call per submission, from the DPC at DISPATCH_LEVEL, in any order: status 0 or negative
     * errno. Must not block. */
    void (*done)(void *ctx, uint64_t cookie, int status);
    void *ctx;
};

/* Opens a channel on a partition; the memfd holds slots * slot_bytes and is the caller's to map
 * (dup it). At most 16 per partition. */
int dxgk_channel_open(struct dxgk *dxgk, uint64_t id, const struct dxgk_channel_config *config,
                      struct dxgk_channel **out, int *memfd, struct vf_error *err);
/* Waits for what is in flight, then frees the channel. NULL is allowed. */
void dxgk_channel_close(struct dxgk_channel *channel);
/* Gathers `count` pages (indices of the channel's page_bytes of the reserve, in this order) into
 * the slot, scatters them out of it, or zeroes them (slot unused for data but occupied).
 * DXGK_SCATTER_READ scatters them and then gathers the same pages from VRAM into the next slot,
 * which it occupies too. Returns at once; `done` follows for every submission that returned 0. One
 * submission per slot at a time. All but a gather need INCOMING; a gather works in every state. */
int dxgk_channel_submit(struct dxgk_channel *channel, enum dxgk_transfer op, uint32_t slot,
                        const uint64_t *pages, uint32_t count, uint64_t cookie,
                        struct vf_error *err);

/* Takes the signals of crashes (SIGSEGV, SIGABRT, …) for the whole process, until the first one:
 * it is told on stderr, then does what it would have done. Before any other thread. Does nothing
 * under a sanitizer, which tells more. */
void dxgk_crash_install(void);

#endif
