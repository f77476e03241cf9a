// SPDX-License-Identifier: Apache-2.0
/*
 * What runs inside a partition: workloads for the software GPU that keep working with no CPU behind
 * them, the way to find and read their results in VRAM wherever the partition has moved, and the
 * same work done by the CPU.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A partition as its own CPU sees it. The caller implements it (over the kernel client, a device,
 * plain memory) and owns it. guest/ checks every range against `bytes` before it calls, calls from
 * the caller's thread only, and never trusts what it reads. Two threads may use one partition if
 * the implementation allows it and neither runs guest_start.
 */
struct guest_memory {
    void *ctx;
    uint64_t bytes; /* the VRAM reserve: guest physical addresses 0 .. bytes - 1 */
    int (*read)(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err);
    int (*write)(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err);
    /* VF registers (BAR 0), see include/softgpu/hw.h. `width` is 4 or 8 bytes. */
    int (*reg_write)(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                     struct vf_error *err);
    int (*reg_read)(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                    struct vf_error *err);
};

enum guest_workload {
    GUEST_NONE = 0,    /* no workload was started, or VRAM holds no description of one */
    GUEST_DIFFUSE = 1, /* heat diffusion over an image */
    GUEST_GEMM = 2,    /* X = A x X, steps times, modulo 2^32 */
    GUEST_CHURN = 3,   /* random content, then one random 4 KiB page rewritten a step */
    GUEST_FILL = 4,    /* random content, then idle */
};

/* "diffuse", "gemm", "churn", "fill", "none". Static text. */
const char *guest_workload_name(enum guest_workload workload);

/* One "--key value" of the command line, without the dashes. */
struct guest_pair {
    const char *key;
    const char *value;
};

/*
 * What to run. Filled by guest_options_parse or by hand; guest_start and guest_reference
 * check it themselves.
 */
struct guest_options {
    enum guest_workload workload;
    const void *input; /* diffuse: a PGM file's bytes; borrowed, must outlive the options' use */
    size_t input_bytes;
    uint64_t steps; /* diffuse, gemm, churn: at least 1; fill: always 1 */
    uint64_t n;     /* gemm: rows and columns, 1..GUEST_GEMM_MAX_N */
    uint64_t seed;  /* gemm, churn, fill; 0 unless given */
    uint64_t size;  /* churn, fill: bytes, multiple of GUEST_PAGE_BYTES */
    uint64_t hot;   /* churn: bytes from the start that are rewritten, whole pages; 0 = size */
    uint64_t rate;  /* churn: bytes a second, paces only; 0 = as fast as it goes */
};

#define GUEST_PAGE_BYTES 4096u
#define GUEST_GEMM_MAX_N 65536u

/*
 * Fills *options from a workload's name and its options. Keys: input steps n seed size hot rate.
 * Sizes and rates take K/M/G. The value of "input" (a path) is not read: the caller sets input and
 * input_bytes from the file's content. Refuses unknown workloads, keys that the workload does not
 * have, keys given twice and values that are no numbers (VF_USAGE). Whether the whole makes sense
 * is guest_options_check's business.
 */
int guest_options_parse(const char *workload, const struct guest_pair *pairs, size_t count,
                        struct guest_options *options, struct vf_error *err);

/*
 * Refuses what cannot run, with one line: what, why, what to do (VF_USAGE; a bad PGM is VF_FAILED).
 * Reads all of input.
 */
int guest_options_check(const struct guest_options *options, struct vf_error *err);

/*
 * VRAM in bytes that a partition needs for it; UINT64_MAX when that exceeds 64 bits or the options
 * fail the check.
 */
uint64_t guest_vram_needed(const struct guest_options *options);

/*
 * Lays out page tables, ring, description and data in VRAM and starts the compute queue; returns
 * once it is started. Afterwards the partition needs nobody: all that is needed to find and read
 * the result lies in VRAM. Fails with VF_FAILED when a workload still runs or the partition is too
 * small (and says how much it needs), VF_USAGE as guest_options_check. On failure the partition
 * runs nothing and guest_status says GUEST_NONE, unless an earlier workload was still running: that
 * one is left alone. MSI-X is the caller's (guest_listen): the end of the work raises vector 0.
 */
int guest_start(const struct guest_options *options, const struct guest_memory *memory,
                struct vf_error *err);

/*
 * Sets up MSI-X vector 0 as a guest's driver would, so that the end of a workload is delivered as
 * an interrupt. Before guest_start.
 */
int guest_listen(const struct guest_memory *memory, struct vf_error *err);

enum guest_state {
    GUEST_IDLE,    /* no workload */
    GUEST_RUNNING, /* also while the partition is paused */
    GUEST_DONE,    /* the result is complete */
    GUEST_FAULT,   /* the engine faulted: the result will never come */
    GUEST_STOPPED, /* the queue was halted or reset before the end */
};

/* "idle", "running", "done", "fault", "stopped". Static text. */
const char *guest_state_name(enum guest_state state);

struct guest_status {
    enum guest_workload workload;
    enum guest_state state;
    uint64_t steps_done; /* never more than steps_wanted */
    uint64_t steps_wanted;
    uint64_t result_bytes; /* what guest_result would write; 0 with GUEST_NONE */
};

/*
 * Reads what the partition is doing. Garbage in VRAM is "no workload", never an error: it fails
 * only when memory does.
 */
int guest_status(const struct guest_memory *memory, struct guest_status *status,
                 struct vf_error *err);

/* Takes the next `n` (> 0) bytes of a result. -1 with *err filled stops the stream. */
typedef int guest_sink(void *ctx, const void *bytes, size_t n, struct vf_error *err);

#define GUEST_DIGEST_BYTES 64u /* "xxh3-128:" and 32 lower-case hex digits, terminated */

/*
 * Streams the result of a finished workload. diffuse: a PGM of the input's size and maxval; gemm:
 * n x n little-endian uint32, row-major; churn, fill: the bytes of the region. VF_FAILED when there
 * is none or it is not done.
 */
int guest_result(const struct guest_memory *memory, guest_sink *sink, void *ctx,
                 struct vf_error *err);

/*
 * Streams the picture of a diffuse that is at work as guest_result streams a finished one, and
 * tells in *steps after how many steps it looks so. The GPU does not wait for the reader: VF_FAILED
 * when it made a step meanwhile (what was streamed is worthless then; a paused partition never
 * does), and for workloads that overwrite what they have, whose middle nobody can read.
 */
int guest_present(const struct guest_memory *memory, guest_sink *sink, void *ctx, uint64_t *steps,
                  struct vf_error *err);

/* XXH3-128 over exactly the bytes that guest_result streams. */
int guest_digest(const struct guest_memory *memory, char digest[GUEST_DIGEST_BYTES],
                 struct vf_error *err);

/*
 * The same result by independent CPU code. `sink` or `digest` may be NULL. Needs host memory of the
 * order of the result (gemm: three matrices; churn: 8 bytes a hot page; fill: none).
 */
int guest_reference(const struct guest_options *options, guest_sink *sink, void *ctx, char *digest,
                    struct vf_error *err);

#endif
