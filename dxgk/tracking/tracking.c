// SPDX-License-Identifier: Apache-2.0
/* Dirty tracking of one partition and the history the hardware forgets. See tracking.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/tracking/tracking.h"

#include "base/log.h"
#include "dxgk/ddi/basis.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 4096u /* buffer of a piecewise query: 32768 pages each */

struct dxgk_tracking {
    struct dxgk_basis basis;
    uint64_t pages;
    size_t bits_bytes; /* pages / 8 rounded up */
    uint8_t *touched;  /* every bit ever read: what CLEARDATA took out of hardware (DBT-9) */
    bool all;          /* history is unknown: the next query gives every page */
    bool first;        /* the next query is a move's first */
    bool moving;
    size_t limit; /* bytes a query's buffer may have, 0 = any */
};

/* ---- bits ---- */

/* Sets the bits behind the last page to 0: buffers end on whole bytes. */
static void trim(uint8_t *bits, uint64_t pages)
{
    if (pages % 8 != 0)
        bits[pages / 8] &= (uint8_t)((1u << (pages % 8)) - 1);
}

/* Ors `count` bits of `from` into `to` at bit `at`: pieces of a basis are packed without
 * padding (DBT-10). */
static void or_bits(uint8_t *to, uint64_t at, const uint8_t *from, uint64_t count)
{
    unsigned shift = (unsigned)(at % 8);
    uint8_t *out = to + at / 8;

    for (uint64_t i = 0; i < (count + 7) / 8; i++) {
        unsigned byte = from[i];

        if (count - i * 8 < 8)
            byte &= (1u << (count - i * 8)) - 1;
        out[i] |= (uint8_t)(byte << shift);
        /* The next byte is touched only for a bit that is there: it may be the one behind
         * the end. */
        if (shift != 0 && byte >> (8 - shift) != 0)
            out[i + 1] |= (uint8_t)(byte >> (8 - shift));
    }
}

static uint64_t count_bits(const uint8_t *bits, size_t bytes)
{
    uint64_t count = 0;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;

        memcpy(&word, bits + i, sizeof word);
        count += (uint64_t)__builtin_popcountll(word);
    }
    for (; i < bytes; i++)
        count += (uint64_t)__builtin_popcount(bits[i]);
    return count;
}

/* ---- life ---- */

int dxgk_tracking_create(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;

    if (!adapter->caps.tracking)
        return vf_fail(err, VF_FAILED, "dirty tracking: the driver has none");
    struct dxgk_tracking *tracking = calloc(1, sizeof *tracking);
    if (tracking == NULL)
        return vf_fail(err, VF_FAILED, "dirty tracking: " VF_NO_MEMORY);
    if (dxgk_ddi_create_memory_basis(adapter, partition->segment, partition->page_bytes,
                                     partition->ranges, partition->range_count, &tracking->basis,
                                     err) != 0)
        goto fail;
    tracking->pages = tracking->basis.pages;
    tracking->bits_bytes = (size_t)((tracking->pages + 7) / 8);
    tracking->touched = calloc(1, tracking->bits_bytes);
    if (tracking->touched == NULL) {
        (void)vf_fail(err, VF_FAILED, "dirty tracking: " VF_NO_MEMORY);
        goto fail_basis;
    }
    if (adapter->caps.performant &&
        dxgk_ddi_start_dirty_tracking(adapter, &tracking->basis, err) != 0)
        goto fail_basis;
    tracking->all = !adapter->caps.performant;
    partition->tracking = tracking;
    return 0;
fail_basis:
    dxgk_ddi_destroy_memory_basis(adapter, &tracking->basis);
fail:
    free(tracking->touched);
    free(tracking);
    return -1;
}

void dxgk_tracking_destroy(struct dxgk_partition *partition)
{
    struct dxgk_tracking *tracking = partition->tracking;
    struct vf_error err = VF_ERROR_INIT;

    if (tracking == NULL)
        return;
    if (tracking->basis.tracked &&
        dxgk_ddi_stop_dirty_tracking(partition->adapter, &tracking->basis, &err) != 0)
        log_error("partition %s: %s", partition->params.name, err.text);
    dxgk_ddi_destroy_memory_basis(partition->adapter, &tracking->basis);
    free(tracking->touched);
    free(tracking);
    partition->tracking = NULL;
}

int dxgk_tracking_begin_move(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_tracking *tracking = partition->tracking;

    if (tracking == NULL)
        return vf_fail(err, VF_FAILED, "dirty tracking: this partition is not tracked");
    if (!tracking->basis.tracked) {
        /* CAP-4, SRC-8: what was written before nobody knows, so the first round is everything. */
        if (dxgk_ddi_start_dirty_tracking(partition->adapter, &tracking->basis, err) != 0)
            return -1;
        tracking->all = true;
    }
    tracking->first = true;
    tracking->moving = true;
    return 0;
}

void dxgk_tracking_end_move(struct dxgk_partition *partition)
{
    struct dxgk_tracking *tracking = partition->tracking;
    struct vf_error err = VF_ERROR_INIT;

    if (tracking == NULL || !tracking->moving)
        return;
    tracking->moving = false;
    tracking->first = false;
    if (partition->adapter->caps.performant)
        return;
    if (dxgk_ddi_stop_dirty_tracking(partition->adapter, &tracking->basis, &err) != 0)
        log_error("partition %s: %s", partition->params.name, err.text);
    tracking->all = true;
}

/* Out of hardware, into `touched`. */
static void collect(struct dxgk_partition *partition)
{
    struct dxgk_tracking *tracking = partition->tracking;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t *bits = malloc(tracking->bits_bytes);
    uint64_t dirty;

    if (bits == NULL ||
        dxgk_tracking_query(partition, bits, tracking->bits_bytes, &dirty, &err) != 0)
        tracking->all = true;
    free(bits);
}

int dxgk_tracking_prepare_place(struct dxgk_partition *partition, const DXGK_MEMORYRANGE *ranges,
                                uint32_t count, struct dxgk_basis *basis, struct vf_error *err)
{
    *basis = (struct dxgk_basis){0};
    if (partition->tracking == NULL)
        return 0;
    if (partition->tracking->basis.tracked)
        collect(partition);
    return dxgk_ddi_create_memory_basis(partition->adapter, partition->segment,
                                        partition->page_bytes, ranges, count, basis, err);
}

void dxgk_tracking_drop_place(struct dxgk_partition *partition, struct dxgk_basis *basis)
{
    if (basis->handle != NULL)
        dxgk_ddi_destroy_memory_basis(partition->adapter, basis);
}

void dxgk_tracking_change_place(struct dxgk_partition *partition, const struct dxgk_basis *basis)
{
    struct dxgk_tracking *tracking = partition->tracking;
    struct vf_error err = VF_ERROR_INIT;
    bool tracked;

    if (tracking == NULL)
        return;
    tracked = tracking->basis.tracked;
    if (tracked && dxgk_ddi_stop_dirty_tracking(partition->adapter, &tracking->basis, &err) != 0)
        log_error("partition %s: %s", partition->params.name, err.text);
    dxgk_ddi_destroy_memory_basis(partition->adapter, &tracking->basis);
    tracking->basis = *basis;
    /* Should it fail, the next move starts it and takes all as dirty. */
    if (tracked && dxgk_ddi_start_dirty_tracking(partition->adapter, &tracking->basis, &err) != 0)
        log_error("partition %s: %s", partition->params.name, err.text);
}

int dxgk_tracking_take_over(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_adapter *adapter = partition->adapter;
    struct dxgk_tracking *tracking = partition->tracking;

    if (tracking == NULL)
        return 0;
    /* Not by the basis' own flag: that one is gone after a take-over that failed. */
    bool tracked = adapter->caps.performant || tracking->moving;
    tracking->basis = (struct dxgk_basis){0};
    tracking->all = true;
    if (dxgk_ddi_create_memory_basis(adapter, partition->segment, partition->page_bytes,
                                     partition->ranges, partition->range_count, &tracking->basis,
                                     err) != 0)
        return -1;
    return tracked ? dxgk_ddi_start_dirty_tracking(adapter, &tracking->basis, err) : 0;
}

void dxgk_tracking_limit_buffer(struct dxgk_partition *partition, size_t bytes)
{
    if (partition->tracking != NULL)
        partition->tracking->limit = bytes;
}

/* ---- queries ---- */

/* One query for the whole basis. 1 when there is no memory for it. */
static int query_whole(struct dxgk_adapter *adapter, struct dxgk_tracking *tracking, uint8_t *bits,
                       struct vf_error *err)
{
    if (tracking->limit != 0 && tracking->bits_bytes > tracking->limit)
        return 1;
    uint8_t *buffer = dxgk_guarded_alloc(tracking->bits_bytes);
    if (buffer == NULL)
        return 1;
    int rc = dxgk_ddi_query_dirty_bits(adapter, &tracking->basis, 0, 0, 0, buffer,
                                       tracking->bits_bytes, err);
    if (rc == 0)
        memcpy(bits, buffer, tracking->bits_bytes);
    dxgk_guarded_free(buffer);
    return rc;
}

/* Range by range, piece by piece, through a small buffer (DBT-4: low memory). Each piece is atomic
 * for itself; a write between two pieces lands in a bit that one of them or a later query sees, so
 * none is lost (DBT-6). */
static int query_pieces(struct dxgk_adapter *adapter, struct dxgk_tracking *tracking, uint8_t *bits,
                        struct vf_error *err)
{
    size_t piece_bytes = tracking->limit != 0 && tracking->limit < PIECE_BYTES ? tracking->limit
                                                                               : PIECE_BYTES;
    uint64_t most = (uint64_t)piece_bytes * 8 * tracking->basis.page_bytes, at = 0;
    uint8_t *buffer = dxgk_guarded_alloc(piece_bytes);
    int rc = 0;

    if (buffer == NULL)
        return vf_fail(err, VF_FAILED, "dirty bits: " VF_NO_MEMORY);
    memset(bits, 0, tracking->bits_bytes);
    for (uint32_t range = 0; range < tracking->basis.range_count && rc == 0; range++) {
        uint64_t left = tracking->basis.ranges[range].SizeInBytes;

        for (uint64_t offset = 0; left > 0 && rc == 0;) {
            uint64_t bytes = left < most ? left : most, count = bytes / tracking->basis.page_bytes;

            memset(buffer, 0, piece_bytes);
            rc = dxgk_ddi_query_dirty_bits(adapter, &tracking->basis, range, offset, bytes, buffer,
                                           piece_bytes, err);
            if (rc == 0)
                or_bits(bits, at, buffer, count);
            at += count;
            offset += bytes;
            left -= bytes;
        }
    }
    dxgk_guarded_free(buffer);
    return rc;
}

/* As dxgk_tracking_query; *everything = the bits say nothing, and so all are set. */
static int query(struct dxgk_partition *partition, void *bits, size_t bytes, uint64_t *dirty,
                 bool *everything, struct vf_error *err)
{
    struct dxgk_tracking *tracking = partition->tracking;
    struct dxgk_adapter *adapter = partition->adapter;
    struct vf_error why = VF_ERROR_INIT;

    if (tracking == NULL || !tracking->basis.tracked)
        return vf_fail(err, VF_FAILED,
                       "dirty bits: this partition is not tracked now; prepare a move first");
    if (bytes < tracking->bits_bytes)
        return vf_fail(err, VF_FAILED, "dirty bits: %zu bytes hold no %" PRIu64 " bits", bytes,
                       tracking->pages);
    uint8_t *fresh = bits;
    int rc = query_whole(adapter, tracking, fresh, &why);
    if (rc == 1)
        rc = query_pieces(adapter, tracking, fresh, &why);
    *everything = rc != 0 || tracking->all;
    if (rc != 0) {
        /* Bits may be gone from hardware without having reached us: from here on nothing is
         * known (DBT-9). */
        dxgk_report(adapter, "DBT-9", "partition %s: %s; all pages count as dirty",
                    partition->params.name, why.text);
        tracking->all = true;
    }
    if (*everything)
        memset(fresh, 0xff, tracking->bits_bytes);
    trim(fresh, tracking->pages);
    for (size_t i = 0; i < tracking->bits_bytes; i++)
        tracking->touched[i] |= fresh[i]; /* NOLINT: 0 means that all of fresh is filled */
    if (tracking->first && !*everything)
        memcpy(fresh, tracking->touched, tracking->bits_bytes);
    /* All bits are in `touched` now and stay there: a later move's first round is everything again,
     * without the flag. */
    if (*everything)
        tracking->all = false;
    tracking->first = false;
    *dirty = count_bits(fresh, tracking->bits_bytes);
    return 0;
}

int dxgk_tracking_query(struct dxgk_partition *partition, void *bits, size_t bytes, uint64_t *dirty,
                        struct vf_error *err)
{
    bool everything;

    return query(partition, bits, bytes, dirty, &everything, err);
}

int dxgk_tracking_sample(struct dxgk_partition *partition, void *bits, size_t bytes,
                         struct dxgk_sample *sample, struct vf_error *err)
{
    struct dxgk_tracking *tracking = partition->tracking;

    if (tracking != NULL && !tracking->basis.tracked && partition->adapter->caps.performant)
        return vf_fail(err, VF_FAILED,
                       "partition %s: is not tracked now, as its driver could not start that; the "
                       "next move tries again",
                       partition->params.name);
    if (tracking == NULL || !tracking->basis.tracked)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "partition %s: its adapter tracks what is written only while it "
                       "moves" VF_REMEDY "say how much that is (--write-rate)",
                       partition->params.name);
    if (query(partition, bits, bytes, &sample->dirty, &sample->everything, err) != 0)
        return -1;
    sample->touched = count_bits(tracking->touched, tracking->bits_bytes);
    return 0;
}
