// SPDX-License-Identifier: Apache-2.0
/*
 * The plain facts that dxgk, the call interface, the daemon and host programs exchange: adapters,
 * partitions, reasons. No pointers inside, so that every struct crosses the process line as it is.
 * Text fields are always terminated.
 */
#ifndef VFERRY_VFERRY_H
#define VFERRY_VFERRY_H

#include <stdbool.h>
#include <stdint.h>

#define VF_NAME_BYTES 64u /* of hosts and partitions, terminated: [A-Za-z0-9][A-Za-z0-9._-]* */
#define VF_UUID_BYTES 16u
#define VF_UUID_TEXT 37u /* lower case, with terminator */
#define VF_TEXT_BYTES 128u
#define VF_MAX_ADAPTERS 16u
#define VF_MAX_PARTITIONS 512u
#define VF_MAX_REASONS 24u
#define VF_MAX_VECTORS 64u
/* Largest immutable or mutable blob accepted from a driver or a peer. */
#define VF_MAX_MIGRATION_BLOB (1u << 20)

struct vf_luid {
    uint32_t low;
    int32_t high;
};

/* Life of a partition as the outside names it (contract: source and target states). */
enum vf_partition_state {
    VF_PARTITION_BUILDING, /* vGPU being created, zero-filled */
    VF_PARTITION_RUNNING,
    VF_PARTITION_PAUSED,          /* held by somebody: see enum vf_holder */
    VF_PARTITION_OUTGOING,        /* live migration, source: prepared and running */
    VF_PARTITION_OUTGOING_PAUSED, /* source: paused for its blackout */
    VF_PARTITION_INCOMING,        /* target: prepared, paused, pages arrive */
    VF_PARTITION_READY,   /* target: mutable state restored, End done: only the unpause is left */
    VF_PARTITION_FAULTED, /* a command hung and the VF was reset: waits for a reset or removal; or
                           * half its state is lost: waits for removal */
    VF_PARTITION_DYING,
    VF_PARTITION_STATES,
};

/* Who keeps a partition from running, one bit each: it runs only when nobody is left. */
enum vf_holder {
    VF_HOLD_PERSON = 1 << 0, /* partition pause; goes along with a move or an image */
    VF_HOLD_MOVE = 1 << 1,   /* a move or a save in its blackout; an arrival */
    VF_HOLD_DEFRAG = 1 << 2, /* its reserve moves inside VRAM */
    VF_HOLD_FAULT = 1 << 3,  /* it stands: the driver could not resume it, or a command hung */
};

extern const char *const vf_partition_states[VF_PARTITION_STATES];  /* "running", … */
const char *vf_partition_state_name(enum vf_partition_state state); /* the same; "?" for none */

struct vf_adapter_info {
    uint32_t index;
    struct vf_luid luid;
    char device[VF_TEXT_BYTES]; /* the SPEC it was started with */
    char driver[256];           /* path of the KMD image */
    char description[VF_TEXT_BYTES];
    uint32_t vf_count;
    uint32_t vf_free;
    uint64_t vram_bytes; /* all that partitions may get */
    uint64_t vram_free_bytes;
    uint64_t vram_largest_bytes; /* largest partition that fits now (contiguous without scatter) */
    uint64_t vram_unproven_bytes; /* of those free, not proven to be zero yet */
    uint64_t dirty_page_bytes;   /* 0 = no tracking */
    uint64_t scatter_page_bytes; /* 0 = contiguous reserves */
    uint64_t alignment_bytes;    /* partition sizes are multiples of it */
    bool live_migration, hot_driver_update, hibernation, performant, scatter;
};

/* The KMD image that drives an adapter. */
struct vf_driver_info {
    uint32_t adapter;
    uint32_t interface_version;      /* DXGKDDI_INTERFACE_VERSION it registered with */
    char path[256];
    char digest[48];                 /* of the image's bytes: "xxh3-128:HEX" */
    uint64_t updates;                /* that succeeded since the adapter started */
    uint64_t last_gap_ns;            /* of the last one: time without a driver */
    uint32_t shared;                 /* bit n: adapter n is served by the same image */
    bool hot_update;                 /* it can be replaced at work */
    bool lost;                       /* an update failed for good: there is no driver */
};

/* What a driver update did. */
struct vf_driver_update {
    uint32_t adapters;               /* bit n: adapter n was part of it */
    uint32_t blocks;                 /* the old driver saved */
    uint64_t bytes;                  /* in them */
    uint64_t trial_ns;               /* trying the new one in a process of its own */
    uint64_t held_ns;                /* calls that need the driver had to wait */
    uint64_t gap_ns;                 /* no driver was loaded */
    uint64_t total_ns;
    bool dry_run, rolled_back, lost;
    char before[256];                /* paths of the images */
    char after[256];
};

/* Percent of the time that a partition can be made to stand while it runs. */
#define VF_THROTTLE_MOST 99u

struct vf_partition_info {
    uint64_t id; /* kernel's handle, never reused while the kernel lives; 0 = none */
    char name[VF_NAME_BYTES];
    uint8_t uuid[VF_UUID_BYTES];
    uint32_t adapter;
    uint32_t vf_index;
    struct vf_luid luid;
    uint64_t vram_bytes;
    uint64_t page_bytes; /* dirty page size = the page a move works in */
    uint64_t epoch;
    uint32_t state;      /* enum vf_partition_state */
    uint32_t holders;    /* bits of enum vf_holder; 0 = it runs, or is still being made */
    uint64_t interrupts; /* messages delivered to the guest since creation */
    uint64_t job;        /* the move it belongs to, 0 = none; given at prepare */
    uint64_t throttled_ns;     /* for how long that move's throttle has let it stand so far */
    uint32_t throttle_percent; /* of the time, at present, VF_THROTTLE_MOST at most; 0 = it is not
                                  slowed */
    uint32_t reserved;
};

/* What the OS needs to create the same partition elsewhere (TGT-1: creation parameters travel with
 * the OS, not the driver). */
struct vf_partition_params {
    char name[VF_NAME_BYTES];
    uint8_t uuid[VF_UUID_BYTES];
    uint32_t adapter;
    uint32_t reserved;
    uint64_t vram_bytes;
    uint64_t epoch;
    uint8_t umed_class[16]; /* class id of its UMED, all zero = the driver's own */
};

/* One reason why a move cannot be: a field, both hosts' values, what to do. */
struct vf_reason {
    char field[48];
    char source[96];
    char target[96];
    char remedy[192];
};

struct vf_reasons {
    uint32_t count;
    struct vf_reason list[VF_MAX_REASONS];
};

/* Adds a reason; one more than VF_MAX_REASONS is dropped. */
void vf_reason_add(struct vf_reasons *reasons, const char *field, const char *source,
                   const char *target, const char *remedy);

/* Defragmentation of an adapter's VRAM (contiguous reserves only). */
#define VF_MAX_DEFRAG_MOVES 32u /* partitions one adapter can have */

enum vf_defrag_outcome {
    VF_DEFRAG_PLANNED, /* a dry run: would be moved */
    VF_DEFRAG_MOVED,
    VF_DEFRAG_SKIPPED, /* cannot be moved now, or what it should move to was taken meanwhile */
    VF_DEFRAG_FAILED,  /* the move failed; `why` says where its content is */
};

struct vf_defrag_move {
    char partition[VF_NAME_BYTES];
    uint64_t from_bytes;             /* place in VRAM */
    uint64_t to_bytes;
    uint64_t bytes;
    uint64_t pause_ns;               /* 0 = it was not paused, or was so before */
    uint32_t outcome;                /* enum vf_defrag_outcome */
    uint32_t reserved;
    char why[2 * VF_TEXT_BYTES];     /* of a skip or failure */
};

struct vf_defrag {
    uint32_t adapter;
    uint32_t count;
    uint64_t largest_before_bytes;   /* largest hole: what the largest new partition could have */
    uint64_t largest_after_bytes;    /* with dry_run: what is planned */
    uint64_t moved_bytes;            /* with dry_run: what would be */
    bool dry_run, scatter; /* scatter: reserves need not be contiguous, nothing is ever moved */
    struct vf_defrag_move moves[VF_MAX_DEFRAG_MOVES]; /* in the order done */
};

#define VF_RUNTIME_UNKNOWN UINT64_MAX

/* Moments of a partition's schedule in CLOCK_MONOTONIC nanoseconds, for measuring a blackout. 0 =
 * unknown or never. */
struct vf_partition_clock {
    uint64_t last_run_ns;
    uint64_t first_run_ns; /* since the last unpause */
    uint64_t runtime_ns;   /* engine time since it came to be here, all engines added;
                              VF_RUNTIME_UNKNOWN: the device has no clock, or the VF is not its */
};

/* Text of a UUID, and back: 0 or -1. */
void vf_uuid_format(const uint8_t uuid[VF_UUID_BYTES], char text[VF_UUID_TEXT]);
int vf_uuid_parse(const char *text, uint8_t uuid[VF_UUID_BYTES]);
/* A random (version 4) UUID. 0 or -1 when the system gives no random bytes. */
int vf_uuid_random(uint8_t uuid[VF_UUID_BYTES]);

/* Is `name` a legal partition or host name? */
bool vf_name_valid(const char *name);

#endif
