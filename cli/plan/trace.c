// SPDX-License-Identifier: Apache-2.0
/* See trace.h. */
#include "cli/plan/trace.h"

#include "base/cleanup.h"
#include "base/plain.h"
#include "cli/plan/check.h"
#include "cli/plan/reading.h"

#include <math.h>
#include <stdio.h>

#define MISSING UINT64_MAX /* a member that must be there */
/* Of a set that was written whole nobody knows how often: it counts as if so small a part were
 * missing. */
#define LEFT_OUT 1e-6
#define HALVINGS 60u
#define MOST_RATE 9e18 /* bytes a second, that an integer holds */

double trace_writes(double dirty, double set)
{
    const double part = set <= 0 ? 0 : dirty / set;

    return -set * log1p(-(part < 1 - LEFT_OUT ? part : 1 - LEFT_OUT));
}

/* How much of a set these samples reach together. */
static double reached(const double *dirty, size_t count, double set)
{
    double writes = 0;

    for (size_t i = 0; i < count; i++)
        writes += trace_writes(dirty[i], set);
    return -set * expm1(-writes / set);
}

double trace_set(const double *dirty, size_t count, double seen, double most)
{
    double low = seen, high = most;

    if (seen <= 0)
        return 0;
    /* A larger set would have been seen more of: it is halved until nothing is left to choose. */
    for (uint32_t i = 0; i < HALVINGS && high > low; i++) {
        const double middle = low + (high - low) / 2;

        if (reached(dirty, count, middle) < seen)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct samples {
    double *dirty, *seconds;
    size_t count;
};

static int read_samples(struct reading *r, const json_t *list, uint64_t most,
                        struct samples *samples)
{
    static const char *const members[] = {"duration_ns", "dirty_bytes", NULL};
    size_t index;
    json_t *item;

    json_array_foreach(list, index, item) {
        uint64_t ns = MISSING, bytes = MISSING;

        (void)snprintf(r->place, sizeof r->place, "samples[%zu]", index);
        if (reading_members(r, item, members) != 0 ||
            reading_amount(r, item, "duration_ns", READING_NUMBER, 1, &ns) != 0 ||
            reading_amount(r, item, "dirty_bytes", READING_SIZE, 0, &bytes) != 0)
            return -1;
        if (bytes > most)
            return vf_fail(r->err, VF_USAGE,
                           "%s: %s: dirty_bytes: is more than working_set_bytes" VF_REMEDY
                           "record it again",
                           VF_SHOWN(r->file), r->place);
        samples->dirty[samples->count] = (double)bytes;
        samples->seconds[samples->count++] = (double)ns / 1e9;
    }
    r->place[0] = '\0';
    return 0;
}

/* From pages that got dirty to blocks that were written: one block of a page each time. */
static void make_rates(struct trace_file *file, const struct samples *samples)
{
    const double blocks = PLAN_BLOCK_BYTES / (double)file->page_bytes;
    const double set = trace_set(samples->dirty, samples->count, (double)file->working_set_bytes,
                                 (double)file->touched_bytes);
    double seconds = 0, bytes = 0;

    for (size_t i = 0; i < samples->count; i++) {
        const double wrote = trace_writes(samples->dirty[i], set) * blocks;

        file->rates[i] = wrote / samples->seconds[i];
        seconds += samples->seconds[i];
        bytes += wrote;
    }
    /* A double may round up what an integer held. */
    if (set < (double)file->touched_bytes)
        file->working_set_bytes = (uint64_t)set;
    else
        file->working_set_bytes = file->touched_bytes;
    file->mean_bytes_per_s =
        bytes / seconds < MOST_RATE ? (uint64_t)(bytes / seconds) : (uint64_t)MOST_RATE;
    file->trace.bytes_per_s = file->rates;
    file->trace.count = samples->count;
}

static int read_sizes(const struct reading *r, const json_t *json, struct trace_file *file)
{
    static const struct plan_words words = {"touched_bytes", "working_set_bytes", "page_bytes"};
    struct plan_move move = {0};
    char where[VF_SHOWN_BYTES + 8];

    *file = (struct trace_file){MISSING, MISSING, MISSING, MISSING};
    file->trace.interval_ns = MISSING;
    if (reading_amount(r, json, "vram_bytes", READING_SIZE, PLAN_BLOCK_BYTES, &file->vram_bytes) !=
            0 ||
        reading_amount(r, json, "touched_bytes", READING_SIZE, 0, &file->touched_bytes) != 0 ||
        reading_amount(r, json, "working_set_bytes", READING_SIZE, 0, &file->working_set_bytes) !=
            0 ||
        reading_amount(r, json, "page_bytes", READING_SIZE, PLAN_BLOCK_BYTES, &file->page_bytes) !=
            0 ||
        reading_amount(r, json, "interval_ns", READING_NUMBER, 1, &file->trace.interval_ns) != 0)
        return -1;
    move.touched_bytes = file->touched_bytes;
    move.working_set_bytes = file->working_set_bytes;
    move.page_bytes = file->page_bytes;
    (void)snprintf(where, sizeof where, "%s: ", VF_SHOWN(r->file));
    return plan_check(&move, file->vram_bytes, where, &words, r->err);
}

static int read_all(struct reading *r, const json_t *json, struct trace_file *file)
{
    static const char *const members[] = {
        "schema",        "partition",         "started_unix_ns", "vram_bytes", "page_bytes",
        "touched_bytes", "working_set_bytes", "interval_ns",     "samples",    NULL};
    cleanup_free double *dirty = calloc(TRACE_MAX_SAMPLES, sizeof *dirty);
    cleanup_free double *seconds = calloc(TRACE_MAX_SAMPLES, sizeof *seconds);
    struct samples samples = {dirty, seconds, 0};
    const json_t *list;

    if (reading_members(r, json, members) != 0 || read_sizes(r, json, file) != 0 ||
        reading_list(r, json, "samples", 1, TRACE_MAX_SAMPLES, &list) != 0)
        return -1;
    file->rates = calloc(TRACE_MAX_SAMPLES, sizeof *file->rates);
    if (dirty == NULL || seconds == NULL || file->rates == NULL)
        return vf_fail(r->err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(r->file));
    if (read_samples(r, list, file->working_set_bytes, &samples) != 0)
        return -1;
    make_rates(file, &samples);
    return 0;
}

int trace_read(const char *text, size_t bytes, const char *name, struct trace_file *file,
               struct vf_error *err)
{
    struct reading r = {.file = name, .err = err};
    json_t *json = NULL;
    int status;

    *file = (struct trace_file){0};
    status = reading_object(&r, text, bytes, "vferry.trace/1", &json);
    if (status == 0)
        status = read_all(&r, json, file);
    json_decref(json);
    return status;
}

void trace_free(struct trace_file *file)
{
    free(file->rates);
    *file = (struct trace_file){0};
}
