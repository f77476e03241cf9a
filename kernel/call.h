// SPDX-License-Identifier: Apache-2.0
/*
 * The call interface between vferryd and vferry-kernel, like an ioctl table: operations, their
 * fixed arguments and results.
 *
 * A message is a head and a body, cut into SEQPACKET packets: the first carries the head and up to
 * KCALL_PACKET_BODY bytes of body, each further one as much of the rest. Every length follows from
 * the head, so any other length is broken framing. A call's body is its argument struct, then its
 * tail; a reply's is its result struct, then its tail. A failed call's reply starts with struct
 * kcall_failure instead. Both ends are on one host: numbers are in its byte order.
 *
 * Both ends speak the same KCALL_VERSION, or the kernel side refuses the hello: a package may have
 * brought another vferryd while it ran. Any change below, or of the structs of vferry.h and
 * client.h that cross here, is a new KCALL_VERSION; that of the hello itself never changes.
 */
#ifndef KERNEL_CALL_H
#define KERNEL_CALL_H

#include "base/error.h"
#include "kernel/client.h"
#include "vferry/vferry.h"

#include <stdint.h>

#define KCALL_VERSION 11u

#define KCALL_MAGIC_CALL 0x43664b56u  /* "VKfC" */
#define KCALL_MAGIC_REPLY 0x52664b56u /* "VKfR" */

/* A whole BAR chunk and its arguments travel in one packet. */
#define KCALL_BAR_CHUNK 65536u
#define KCALL_PACKET_BODY (KCALL_BAR_CHUNK + 512u)

#define KCALL_MAX_SLOTS 64u
#define KCALL_MAX_SLOT_BYTES (4u << 20)
#define KCALL_MIN_PAGE 4096u
#define KCALL_MAX_EVENTS 1024u
#define KCALL_MAX_PATH 4096u
/* One bit a page: 1 TiB of VRAM in 4 KiB pages. */
#define KCALL_MAX_DIRTY_BYTES (32u << 20)

enum kcall_op {
    KCALL_HELLO = 1, /* first on every connection; its layout never changes */
    KCALL_HOST,
    KCALL_SHUTDOWN,
    KCALL_ADAPTER_INFO,
    KCALL_PARTITION_CREATE,
    KCALL_PARTITION_DESTROY,
    KCALL_PARTITION_INFO,
    KCALL_PARTITION_LIST,
    KCALL_PARTITION_PARAMS,
    KCALL_PARTITION_FIND,
    KCALL_PARTITION_PAUSE,
    KCALL_PARTITION_RESUME,
    KCALL_PARTITION_CLOCK,
    KCALL_PARTITION_SET_EPOCH,
    KCALL_BAR_READ,
    KCALL_BAR_WRITE,
    KCALL_PREPARE,
    KCALL_SAVE_IMMUTABLE,
    KCALL_RESTORE_IMMUTABLE,
    KCALL_QUERY_DIRTY,
    KCALL_SAVE_MUTABLE,
    KCALL_RESTORE_MUTABLE,
    KCALL_END,
    KCALL_CHANNEL_OPEN, /* from here the connection is a page channel */
    KCALL_EVENTS,
    KCALL_PARTITION_WATCH, /* the eventfd comes along by SCM_RIGHTS */
    KCALL_PARTITION_RESET,
    KCALL_DRIVER_INFO,
    KCALL_DRIVER_UPDATE,
    KCALL_DEFRAG,
    KCALL_DRIVER_CALL,
    KCALL_WAITERS,
    KCALL_THROTTLE, /* ends with the connection that set it, too */
    KCALL_SAMPLE_DIRTY,
    KCALL_OPS,
    KCALL_SUBMIT = 0x100, /* page channels only; answered by struct kcall_done, not by a reply */
};

struct kcall_head {
    uint32_t magic;
    uint32_t op;  /* a reply repeats its call's */
    uint32_t tag; /* a reply repeats its call's; 0 = about the connection, which is then closed */
    uint32_t body_bytes; /* of the whole message */
    uint32_t code;       /* replies: enum vf_code */
    int32_t status;      /* replies: the driver's NTSTATUS, or 0 */
};

struct kcall_failure {
    char text[sizeof((struct vf_error *)0)->text];
    uint8_t reserved[8];
};

struct kcall_hello { /* the versions that the daemon speaks */
    uint32_t min;
    uint32_t max;
};
struct kcall_hello_result {
    uint32_t version;
    uint32_t connection; /* its number, never 0 */
};

struct kcall_none {
    uint64_t reserved;
};
/* KCALL_HOST: struct kc_host. */
struct kcall_shutdown {
    uint32_t force;
    uint32_t reserved;
};
struct kcall_adapter {
    uint32_t adapter;
    uint32_t reserved;
};
struct kcall_partition { /* every call that needs no more than a partition */
    uint64_t id;
};
struct kcall_create {
    struct vf_partition_params params;
    uint32_t incoming;
    uint32_t reserved;
};
/* KCALL_PARTITION_LIST: a tail of struct vf_partition_info, at most VF_MAX_PARTITIONS. */
struct kcall_find {
    char name[VF_NAME_BYTES];
};
struct kcall_epoch {
    uint64_t id;
    uint64_t epoch;
};
struct kcall_bar {
    uint64_t id;
    uint64_t offset;
    uint32_t bar;
    uint32_t bytes; /* at most KCALL_BAR_CHUNK; a write's tail, a read's result */
};
struct kcall_throttle {
    uint64_t id;
    uint32_t percent;
    uint32_t reserved;
};
struct kcall_prepare {
    uint64_t id;
    uint64_t job;
    uint32_t side; /* enum kc_side */
    uint32_t reserved;
};
/* KCALL_SAVE_* results and KCALL_RESTORE_* arguments: tail = the KMD's blob, the MSI-X table (of
 * mutable data alone), the UMED's blob. */
struct kcall_blobs {
    uint64_t id;
    uint32_t kmd_bytes;
    uint32_t msix_bytes;
    uint32_t umed_bytes;
    uint32_t reserved;
};
/* KCALL_RESTORE_IMMUTABLE: struct vf_reasons, on failure too. */
struct kcall_query_dirty {
    uint64_t id;
    uint64_t bits_bytes; /* room the caller has; checked before the query, which clears */
};
struct kcall_dirty_result { /* tail: the bits in whole 64-bit words */
    uint64_t dirty;
};
/* KCALL_SAMPLE_DIRTY: struct kcall_query_dirty. */
struct kcall_sample_result { /* tail: the bits in whole 64-bit words */
    uint64_t dirty;
    uint64_t touched;
    uint32_t everything;
    uint32_t reserved;
};
struct kcall_channel_open {
    uint64_t id;
    uint64_t slot_bytes;
    uint64_t page_bytes; /* 0 = the partition's */
    uint32_t slots;
    uint32_t reserved;
};
struct kcall_channel_result { /* the slots' memfd comes along by SCM_RIGHTS */
    uint64_t slot_bytes;
    uint64_t page_bytes;
    uint32_t slots;
    uint32_t reserved;
};
struct kcall_events {
    uint64_t after;
    uint32_t capacity;
    uint32_t reserved;
};
/* KCALL_EVENTS: a tail of struct kc_event. */
/* KCALL_DRIVER_INFO: struct kcall_adapter; struct vf_driver_info. */
struct kcall_driver_update { /* tail: the path, without a terminator; at most KCALL_MAX_PATH - 1 */
    uint32_t adapter;
    uint32_t dry_run; /* 0 or 1 */
};
/* KCALL_DRIVER_UPDATE: struct vf_driver_update, on failure too. */
struct kcall_defrag {
    uint32_t adapter;
    uint32_t dry_run; /* 0 or 1 */
};
/* KCALL_DEFRAG: struct vf_defrag, on failure too. */
/* KCALL_DRIVER_CALL: struct kcall_none; struct kc_driver_call. */
/* KCALL_WAITERS: struct kcall_none; a tail of struct kc_waiter, at most KC_WAITERS. */

struct kcall_submit {  /* tail: `count` page indices, 64 bits each */
    uint32_t transfer; /* enum kc_transfer */
    uint32_t slot;
    uint32_t count;
    uint32_t reserved;
};
struct kcall_done { /* a packet of its own, without head */
    uint32_t slot;
    int32_t status;
};

_Static_assert(sizeof(struct kcall_head) == 24, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_failure) == 608, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_create) == 120 + 8, "KCALL_VERSION");
_Static_assert(sizeof(struct vf_partition_info) == 168, "KCALL_VERSION");
_Static_assert(sizeof(struct vf_reasons) == 4 + VF_MAX_REASONS * 432, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_bar) == 24, "KCALL_VERSION");
_Static_assert(sizeof(struct vf_defrag) == 40 + VF_MAX_DEFRAG_MOVES * 360, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_blobs) == 24, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_submit) == 16, "KCALL_VERSION");
_Static_assert(sizeof(struct kcall_done) == 8, "KCALL_VERSION");
_Static_assert(sizeof(struct kc_host) == 12 + VF_TEXT_BYTES + 1024, "KCALL_VERSION");
_Static_assert(sizeof(struct kc_event) == 528, "KCALL_VERSION");
_Static_assert(sizeof(struct kc_driver_call) == 320, "KCALL_VERSION");
_Static_assert(sizeof(struct vf_driver_info) == 336, "KCALL_VERSION");
_Static_assert(sizeof(struct vf_driver_update) == 568, "KCALL_VERSION");

#endif
