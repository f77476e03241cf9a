// SPDX-License-Identifier: Apache-2.0
/*
 * vferryd's way to its vferry-kernel: the client library of the call interface. A `struct kc` is
 * one connection (UNIX SOCK_SEQPACKET); calls on it are serialised by its own lock, so any thread
 * may use it, and a job that must not wait for others opens its own. Calls return 0 or -1 with *err
 * filled; a dead kernel gives VF_FAILED "the kernel side is gone …". Nothing here blocks longer
 * than the call it makes, or than its caller has patience (kc_set_patience).
 */
#ifndef KERNEL_CLIENT_H
#define KERNEL_CLIENT_H

#include "base/error.h"
#include "vferry/vferry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kc;

struct kc_host {
    int32_t kernel_pid;
    uint32_t adapters;
    uint32_t partitions;
    char version[VF_TEXT_BYTES];
    char specs[1024]; /* devices and drivers it runs with, as one line, to compare with what a
                         daemon asks for */
};

/* Connects. VF_UNREACHABLE when nobody listens there, VF_INCOMPATIBLE when the kernel side speaks
 * another version of the call interface. */
int kc_connect(const char *socket_path, struct kc **out, struct vf_error *err);
/* Closes the connection; no thread may be in a call. NULL is allowed. */
void kc_close(struct kc *kc);
/* Ends a call that another thread waits in, and every later one: they fail. Any thread,
 * before kc_close. */
void kc_abort(struct kc *kc);
/*
 * Calls off the creation of an incoming partition that another thread waits for: it soon fails with
 * VF_CANCELLED and has left nothing, or is done. The connection is of no more use afterwards. Any
 * thread, before kc_close.
 */
void kc_call_off(struct kc *kc);
/*
 * Whether a call that has waited for so long is to be waited for any longer: 0, or -1 with *err
 * saying why not. Asked twice a second, on the calling thread. On -1 the call fails with that text
 * and the connection is of no more use; the kernel side may still do what was asked for when it
 * goes on, so that nobody may conclude from the failure that it did not happen. NULL, as after
 * kc_connect: a call takes what it takes. Not while a call is under way.
 */
typedef int (*kc_patience)(void *ctx, uint64_t waited_ns, struct vf_error *err);
void kc_set_patience(struct kc *kc, kc_patience patience, void *ctx);
/* What the kernel side is: version, devices, how much it holds. */
int kc_host(struct kc *kc, struct kc_host *out, struct vf_error *err);
/* The line a kernel started with these has in kc_host.specs: "--device SPEC ... --driver FILE ...".
 * VF_USAGE when it does not fit. */
int kc_specs(const char *const *devices, size_t device_count, const char *const *drivers,
             size_t driver_count, char *out, size_t out_bytes, struct vf_error *err);
/* Ends the kernel process: once _begin gives 0 it makes no partition any more, when _wait returns
 * it has ended. Refused while it has partitions unless `force`, which drops them. */
int kc_shutdown_begin(struct kc *kc, bool force, struct vf_error *err);
/* The second half: waits until it has ended. */
int kc_shutdown_wait(struct kc *kc, struct vf_error *err);

/* One adapter, by its number from 0; VF_USAGE when there is none. */
int kc_adapter_info(struct kc *kc, uint32_t adapter, struct vf_adapter_info *out,
                    struct vf_error *err);

/* Drivers at work: same meaning as dxgk_driver_info and dxgk_driver_update. `path` is absolute;
 * *out is filled on failure too. */
int kc_driver_info(struct kc *kc, uint32_t adapter, struct vf_driver_info *out,
                   struct vf_error *err);
int kc_driver_update(struct kc *kc, uint32_t adapter, const char *path, bool dry_run,
                     struct vf_driver_update *out, struct vf_error *err);

/* As dxgk_longest_call. */
struct kc_driver_call {
    uint64_t ns; /* 0 = no driver is in a call */
    uint32_t adapter;
    uint32_t reserved;
    char ddi[48];
    char driver[256];
};
int kc_driver_call(struct kc *kc, struct kc_driver_call *out, struct vf_error *err);

/* As dxgk_waiters: whose call waits for which driver's. */
#define KC_WAITERS 256u
struct kc_waiter {
    uint32_t connection; /* kc_connection of who waits */
    uint32_t reserved;
    char partition[VF_NAME_BYTES];
    struct kc_driver_call call;
};
/* `out` has room for KC_WAITERS. */
int kc_waiters(struct kc *kc, struct kc_waiter *out, size_t *count, struct vf_error *err);
/* Its number over there, which no other connection has; never 0. */
uint32_t kc_connection(const struct kc *kc);

/* As dxgk_defrag; *out is filled on failure too, as far as it came. */
int kc_defrag(struct kc *kc, uint32_t adapter, bool dry_run, struct vf_defrag *out,
              struct vf_error *err);

/* Partitions: same meaning as the dxgk_partition_* functions. */
int kc_partition_create(struct kc *kc, const struct vf_partition_params *params, bool incoming,
                        struct vf_partition_info *out, struct vf_error *err);
int kc_partition_destroy(struct kc *kc, uint64_t id, struct vf_error *err);
int kc_partition_info(struct kc *kc, uint64_t id, struct vf_partition_info *out,
                      struct vf_error *err);
/* *list is malloc'ed (NULL when empty), owner frees. */
int kc_partition_list(struct kc *kc, struct vf_partition_info **list, size_t *count,
                      struct vf_error *err);
int kc_partition_params(struct kc *kc, uint64_t id, struct vf_partition_params *out,
                        struct vf_error *err);
/* By name; VF_FAILED "no partition NAME" when there is none. */
int kc_partition_find(struct kc *kc, const char *name, struct vf_partition_info *out,
                      struct vf_error *err);
int kc_partition_pause(struct kc *kc, uint64_t id, struct vf_error *err);
int kc_partition_resume(struct kc *kc, uint64_t id, struct vf_error *err);
int kc_partition_clock(struct kc *kc, uint64_t id, struct vf_partition_clock *out,
                       struct vf_error *err);
/* An eventfd, the caller's: see dxgk_partition_watch. VF_FAILED when the kernel side is too old. */
int kc_partition_watch(struct kc *kc, uint64_t id, int *fd, struct vf_error *err);
int kc_partition_reset(struct kc *kc, uint64_t id, struct vf_error *err);
int kc_partition_set_epoch(struct kc *kc, uint64_t id, uint64_t epoch, struct vf_error *err);

/* The vCPU's view; any length, split inside. */
int kc_bar_read(struct kc *kc, uint64_t id, uint32_t bar, uint64_t offset, void *data,
                uint64_t bytes, struct vf_error *err);
int kc_bar_write(struct kc *kc, uint64_t id, uint32_t bar, uint64_t offset, const void *data,
                 uint64_t bytes, struct vf_error *err);

/* Live migration: same meaning as the dxgk_migration_* functions. */
enum kc_side { KC_SOURCE, KC_TARGET };
struct kc_blob {
    void *data; /* malloc'ed; kc_blob_free */
    size_t bytes;
};
void kc_blob_free(struct kc_blob *blob);
int kc_prepare(struct kc *kc, uint64_t id, enum kc_side side, uint64_t job, struct vf_error *err);
int kc_save_immutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *umed,
                      struct vf_error *err);
int kc_restore_immutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                         const struct kc_blob *umed, struct vf_reasons *reasons,
                         struct vf_error *err);
/* `bits` holds (pages + 63) / 64 words; page i = bit i % 64 of word i / 64. */
int kc_query_dirty(struct kc *kc, uint64_t id, uint64_t *bits, size_t words, uint64_t *dirty,
                   struct vf_error *err);
struct kc_sample { /* pages */
    uint64_t dirty, touched;
    bool everything;
};
/* The same of a partition that does not move; see dxgk_partition_sample_dirty. */
int kc_sample_dirty(struct kc *kc, uint64_t id, uint64_t *bits, size_t words,
                    struct kc_sample *sample, struct vf_error *err);
/* A throttle that this connection set ends when the connection does. */
int kc_throttle(struct kc *kc, uint64_t id, uint32_t percent, struct vf_error *err);
int kc_save_mutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *msix,
                    struct kc_blob *umed, struct vf_error *err);
int kc_restore_mutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                       const struct kc_blob *msix, const struct kc_blob *umed,
                       struct vf_error *err);
int kc_end(struct kc *kc, uint64_t id, struct vf_error *err);

/* ---- page channels ---- */

enum kc_transfer { KC_GATHER, KC_SCATTER, KC_ZERO, KC_SCATTER_READ };

/* A connection of its own with slots of memory that both sides share; one thread at a time. */
struct kc_channel;

struct kc_done {
    uint32_t slot;
    int32_t status; /* 0 or negative errno */
};

/* Opens a channel on partition `id` with so many slots (1..64) of slot_bytes each, a multiple of
 * page_bytes, at most 4 MiB. Its lists count in page_bytes: a power of two from 4096 that makes up
 * the partition's, or 0 for those. The caller closes it. Errors as dxgk_channel_open. */
int kc_channel_open(const char *socket_path, uint64_t id, uint32_t slots, uint64_t slot_bytes,
                    uint64_t page_bytes, struct kc_channel **out, struct vf_error *err);
/* Returns at once: the kernel side finishes what is in flight, and nobody hears of it. NULL
 * is allowed. */
void kc_channel_close(struct kc_channel *channel);
/* The slot's memory, slot_bytes long. While a submission on it is in flight it belongs to the
 * paging engine. */
void *kc_channel_slot(struct kc_channel *channel, uint32_t slot);
/* Has the paging engine copy these pages of the partition into the slot, or out of it, or zero
 * them; KC_SCATTER_READ copies them out of it and then from VRAM into the next slot, which is the
 * paging engine's too meanwhile. `pages` are 1 to slot_bytes / page_bytes page indices, read before
 * it returns. 0: it is under way, and kc_channel_wait will tell its end. As dxgk_channel_submit. */
int kc_channel_submit(struct kc_channel *channel, enum kc_transfer op, uint32_t slot,
                      const uint64_t *pages, uint32_t count, struct vf_error *err);
/* Next completion: 1 = *out filled, 0 = none within timeout_ms (0 = do not wait, -1 = for ever), -1
 * = error. */
int kc_channel_wait(struct kc_channel *channel, int timeout_ms, struct kc_done *out,
                    struct vf_error *err);
/* Readable when a completion may be there: for poll() beside a socket. The channel's own. */
int kc_channel_fd(const struct kc_channel *channel);

/* ---- events of the kernel side (triage events, breached rules, faults) ---- */

struct kc_event {
    uint64_t number;  /* counts up; a gap means some were dropped */
    uint64_t time_ns; /* CLOCK_REALTIME of when it happened */
    char kind[32];
    char text[480];
};
/* Events with number > after, oldest first, up to capacity; *count filled. Does not block. */
int kc_events(struct kc *kc, uint64_t after, struct kc_event *out, size_t capacity, size_t *count,
              struct vf_error *err);

#endif
