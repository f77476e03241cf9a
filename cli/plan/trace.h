// SPDX-License-Identifier: Apache-2.0
/* What `trace record` has seen of a partition, as a workload to plan with. */
#ifndef CLI_PLAN_TRACE_H
#define CLI_PLAN_TRACE_H

#include "base/error.h"
#include "cli/plan/simulate.h"

#define TRACE_MAX_SAMPLES 4096u

struct trace_file {
    uint64_t vram_bytes, touched_bytes, working_set_bytes, page_bytes;
    uint64_t mean_bytes_per_s;
    double *rates; /* of writes, interval by interval; owned */
    struct plan_trace trace;
};

/* Reads "vferry.trace/1"; `name` is what it is called in errors, all of which are VF_USAGE.
 * trace_free in any case. */
int trace_read(const char *text, size_t bytes, const char *name, struct trace_file *file,
               struct vf_error *err);
void trace_free(struct trace_file *file);

/*
 * Dirty bits tell which pages were written, not how often. If each write may hit any of `set`
 * bytes, so many were made when `dirty` bytes got dirty; in the same unit.
 */
double trace_writes(double dirty, double set);
/* The set of which `seen` bytes were written in all while these samples (bytes each) were taken: at
 * least what was seen, at most `most`. */
double trace_set(const double *dirty, size_t count, double seen, double most);

#endif
