// SPDX-License-Identifier: Apache-2.0
/*
 * Shared inside guest/: where things lie in a partition's VRAM, the description block that makes a
 * moved partition readable, ring building, and the table of functions that makes a workload.
 */
#ifndef GUEST_INTERNAL_H
#define GUEST_INTERNAL_H

#include "guest/guest.h"
#include "guest/pgm.h"
#include "softgpu/hw.h"

#include <xxhash.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "VRAM words are little endian and copied as they are");

/* VRAM map: guest physical = virtual addresses, the whole reserve is mapped one to one. */
#define GUEST_DESCRIPTION_GPA 0x0ull /* struct guest_description */
#define GUEST_COUNTERS_GPA 0x1000ull /* struct guest_counters */
#define GUEST_ROOT_GPA 0x2000ull     /* level 2: one entry a GiB */
#define GUEST_TAIL_GPA 0x3000ull /* level 0: 4 KiB pages of a reserve's end that fills no 2 MiB */
#define GUEST_RING_GPA 0x4000ull
#define GUEST_RING_COMMANDS 64u
#define GUEST_TABLES_GPA 0x10000ull /* level 1: 2 MiB pages */
#define GUEST_TABLES 128u
#define GUEST_DATA_GPA 0x100000ull
/* Buffers start on 64 KiB, so that they share no dirty page of the default size with each other. */
#define GUEST_DATA_ALIGN 0x10000ull
#define GUEST_VRAM_MAX ((uint64_t)GUEST_TABLES << 30)

static inline uint64_t guest_align(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

/*
 * Written by the engine only, apart from the zeros of guest_start. Content in VRAM depends on
 * `steps` alone.
 */
struct guest_counters {
    uint64_t steps; /* completed steps */
    uint64_t done;  /* GUEST_DONE_VALUE after the last store of the workload */
};
#define GUEST_DONE_VALUE 1ull

/*
 * All that a reader of a moved partition has. Constant from start to end; a stranger's VRAM may
 * hold anything here.
 */
struct guest_description {
    uint64_t magic;
    uint32_t version;
    uint32_t workload; /* enum guest_workload */
    uint64_t steps;    /* wanted */
    uint64_t n;        /* as in struct guest_options, 0 where the workload has no such thing */
    uint64_t seed;
    uint64_t size;
    uint64_t hot;
    uint64_t rate;
    uint32_t width;
    uint32_t height;
    uint32_t maxval;
    uint32_t reserved;
    uint64_t result_gpa;
    uint64_t result_bytes; /* in VRAM; the result that people get may be encoded otherwise */
    uint64_t counters_gpa; /* struct guest_counters */
    uint64_t ring_gpa;
    uint64_t check; /* XXH3-64 of all before: tells noise from a description, not a forger */
};
#define GUEST_MAGIC 0x3174736575676676ull /* "vfguest1" */
#define GUEST_DESCRIPTION_VERSION 1u

/* A request that passed the check. */
struct guest_job {
    struct guest_options options; /* hot and steps filled in where they had their defaults */
    struct guest_image image;     /* diffuse */
};

/* Checks the options as guest_options_check and fills *job, which borrows their input. */
int guest_job_init(struct guest_job *job, const struct guest_options *options,
                   struct vf_error *err);

/* A command ring while it is built. */
struct guest_ring {
    struct sg_cmd cmd[GUEST_RING_COMMANDS];
    unsigned count;
};

/*
 * Appends a command; its place in the ring, for jumps. A full ring is a mistake in this
 * room and aborts.
 */
unsigned guest_emit(struct guest_ring *ring, enum sg_op op, uint64_t a0, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4);
/*
 * Opens the loop over the steps: leaves it once the counter is `steps`. Returns the
 * mark for guest_emit_end.
 */
unsigned guest_emit_loop(struct guest_ring *ring, uint64_t steps);
/* Within a loop: counts a step that is complete. */
void guest_emit_step(struct guest_ring *ring);
/* Closes the loop and appends what every workload ends with: done word, interrupt 0, halt. */
void guest_emit_end(struct guest_ring *ring, unsigned loop);

/* What one transfer to or from VRAM moves at most. */
#define GUEST_CHUNK_BYTES (1u << 20)

/* Range-checked access; both -1 with *err. */
int guest_read(const struct guest_memory *memory, uint64_t gpa, void *buf, uint64_t n,
               struct vf_error *err);
int guest_write(const struct guest_memory *memory, uint64_t gpa, const void *buf, uint64_t n,
                struct vf_error *err);
bool guest_range_ok(const struct guest_memory *memory, uint64_t gpa, uint64_t n);

/* Writes the page tables that map the whole reserve one to one. */
int guest_write_tables(const struct guest_memory *memory, struct vf_error *err);
/* Seals and writes the description; a NULL one erases it. */
int guest_write_description(const struct guest_memory *memory,
                            struct guest_description *description, struct vf_error *err);
/*
 * 0 and *found says whether VRAM holds a description whose every range and size has been checked;
 * -1: memory failed.
 */
int guest_read_description(const struct guest_memory *memory, struct guest_description *description,
                           bool *found, struct vf_error *err);

/* Where results go. */
struct guest_out {
    guest_sink *sink; /* or NULL */
    void *ctx;
    XXH3_state_t *hash; /* or NULL */
};

int guest_out_put(struct guest_out *out, const void *bytes, size_t n, struct vf_error *err);
/* Opens *out, with a hash when `digest` is wanted. */
int guest_out_open(struct guest_out *out, guest_sink *sink, void *ctx, bool digest,
                   struct vf_error *err);
/* Writes the digest where `digest` is not NULL, and frees. */
void guest_out_close(struct guest_out *out, char *digest);

/* A workload. */
struct guest_workload_ops {
    const char *name;
    const char *keys; /* its options, each between blanks */
    int (*check)(struct guest_job *job, struct vf_error *err);
    /* VRAM from GUEST_DATA_GPA on; UINT64_MAX: beyond any device. */
    uint64_t (*data_bytes)(const struct guest_job *job);
    /* Contents that only the CPU has; NULL: the GPU makes them all. */
    int (*push)(const struct guest_job *job, const struct guest_memory *memory,
                struct vf_error *err);
    void (*build)(const struct guest_job *job, struct guest_ring *ring);
    void (*describe)(const struct guest_job *job, struct guest_description *description);
    bool (*sane)(const struct guest_description *description); /* sizes agree with result_bytes */
    uint64_t (*result_bytes)(const struct guest_description *description); /* NULL: those in VRAM */
    /* Encodes the result; NULL: the bytes in VRAM are the result. */
    int (*stream)(const struct guest_description *description, const struct guest_memory *memory,
                  struct guest_out *out, struct vf_error *err);
    /* Where the result lies once `step` steps are done, until the next step is; NULL: steps work
     * in place. */
    uint64_t (*gpa_at)(const struct guest_description *description, uint64_t step);
    int (*reference)(const struct guest_job *job, struct guest_out *out, struct vf_error *err);
};

extern const struct guest_workload_ops guest_diffuse_ops, guest_gemm_ops, guest_churn_ops,
    guest_fill_ops;

/* NULL for GUEST_NONE and for numbers that name no workload. */
const struct guest_workload_ops *guest_workload_ops(uint32_t workload);

int guest_check_steps(const struct guest_job *job, struct vf_error *err);

/* A diffuse cell is the sample times 2^12: samples of 16 bits leave a sign bit and headroom. */
#define GUEST_CELL_SHIFT 12u
#define GUEST_STENCIL_SHIFT 3u

/*
 * What the pages of churn are rewritten with differs from their first content, which takes
 * the seed itself.
 */
#define GUEST_SCATTER_SEED(seed) ((seed) ^ 0x6368726e00000000ull)
#define GUEST_STREAM_A 0u /* gemm: the constant matrix */
#define GUEST_STREAM_X 1u /* gemm: the start value */

int guest_reference_diffuse(const struct guest_job *job, struct guest_out *out,
                            struct vf_error *err);
int guest_reference_gemm(const struct guest_job *job, struct guest_out *out, struct vf_error *err);
int guest_reference_churn(const struct guest_job *job, struct guest_out *out, struct vf_error *err);
int guest_reference_fill(const struct guest_job *job, struct guest_out *out, struct vf_error *err);

#endif
