// SPDX-License-Identifier: Apache-2.0
/* The DDIs of memory bases and dirty tracking (DBT-1..8) behind the call checker. See basis.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/ddi/basis.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_ranges(const void *left, const void *right)
{
    const DXGK_MEMORYRANGE *a = left, *b = right;

    return a->SegmentOffset < b->SegmentOffset ? -1 : a->SegmentOffset > b->SegmentOffset;
}

/* DBT-1, our side of it. *pages gets the sum. */
static int check_ranges(const struct dxgk_segment *segment, uint64_t page_bytes,
                        const DXGK_MEMORYRANGE *ranges, uint32_t count, uint64_t *pages,
                        struct vf_error *err)
{
    cleanup_free DXGK_MEMORYRANGE *sorted = NULL;

    if (count == 0 || count > DXGK_MAX_RANGES || page_bytes == 0)
        return vf_fail(err, VF_FAILED, "DBT-1: a memory basis of %u ranges cannot be", count);
    sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL)
        return vf_fail(err, VF_FAILED, "memory basis: " VF_NO_MEMORY);
    memcpy(sorted, ranges, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_ranges);
    uint64_t end = 0;
    *pages = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = sorted[i].SegmentOffset, bytes = sorted[i].SizeInBytes;

        if (bytes == 0 || offset % page_bytes != 0 || bytes % page_bytes != 0 ||
            offset > segment->bytes || bytes > segment->bytes - offset || offset < end)
            return vf_fail(err, VF_FAILED,
                           "DBT-1: range 0x%" PRIx64 " + 0x%" PRIx64
                           " overlaps, is not aligned or leaves the segment",
                           offset, bytes);
        end = offset + bytes;
        *pages += bytes / page_bytes;
    }
    return 0;
}

static const struct dxgk_segment *find_segment(const struct dxgk_adapter *adapter, uint32_t id)
{
    for (uint32_t i = 0; i < adapter->caps.segment_count; i++)
        if (adapter->caps.segments[i].id == id)
            return &adapter->caps.segments[i];
    return NULL;
}

int dxgk_ddi_create_memory_basis(struct dxgk_adapter *adapter, uint32_t segment,
                                 uint64_t page_bytes, const DXGK_MEMORYRANGE *ranges,
                                 uint32_t count, struct dxgk_basis *out, struct vf_error *err)
{
    const struct dxgk_segment *where = find_segment(adapter, segment);
    cleanup_free DXGKARG_CREATEMEMORYBASIS *args = NULL;
    struct dxgk_call call;
    uint64_t pages = 0;

    *out = (struct dxgk_basis){0};
    if (where == NULL || adapter->ddi.DxgkDdiCreateMemoryBasis == NULL)
        return vf_fail(err, VF_FAILED,
                       "memory basis: the driver has no segment %u with memory bases", segment);
    if (check_ranges(where, page_bytes, ranges, count, &pages, err) != 0)
        return -1;
    args = calloc(1, sizeof *args + count * sizeof *ranges);
    if (args == NULL)
        return vf_fail(err, VF_FAILED, "memory basis: " VF_NO_MEMORY);
    args->SegmentId = segment;
    args->RangeCount = count;
    memcpy((uint8_t *)args + offsetof(DXGKARG_CREATEMEMORYBASIS, Ranges), ranges,
           count * sizeof *ranges);
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiCreateMemoryBasis", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "memory basis: called at the wrong level");
    HANDLE handle = adapter->ddi.DxgkDdiCreateMemoryBasis(adapter->hAdapter, args);
    NTSTATUS status = dxgk_call_leave(&call, handle != NULL ? STATUS_SUCCESS
                                                            : STATUS_INSUFFICIENT_RESOURCES);
    if (handle == NULL)
        return vf_fail(err, VF_FAILED, "memory basis of %u ranges: the driver gave none", count);
    *out = (struct dxgk_basis){.handle = handle,
                               .segment = segment,
                               .page_bytes = page_bytes,
                               .pages = pages,
                               .ranges = ranges,
                               .range_count = count};
    if (!NT_SUCCESS(status)) {
        dxgk_ddi_destroy_memory_basis(adapter, out);
        return vf_fail_status(err, VF_FAILED, status, "memory basis of %u ranges", count);
    }
    return 0;
}

void dxgk_ddi_destroy_memory_basis(struct dxgk_adapter *adapter, struct dxgk_basis *basis)
{
    struct dxgk_call call;

    if (basis->handle == NULL)
        return;
    if (basis->tracked)
        dxgk_report(adapter, "DBT-3", "a memory basis is destroyed while it is tracked");
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiDestroyMemoryBasis", PASSIVE_LEVEL))
        return;
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiDestroyMemoryBasis(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status))
        dxgk_report(adapter, "DBT-8",
                    "DestroyMemoryBasis failed on a live handle (0x%x): a broken invariant, "
                    "restart the host",
                    (unsigned)status);
    *basis = (struct dxgk_basis){0};
}

int dxgk_ddi_start_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                  struct vf_error *err)
{
    struct dxgk_call call;

    if (basis->handle == NULL || basis->tracked) {
        dxgk_report(adapter, "DBT-2", "StartDirtyTracking of a basis that is %s",
                    basis->tracked ? "tracked already" : "gone");
        return vf_fail(err, VF_FAILED, "DBT-2: tracking of this basis cannot start");
    }
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiStartDirtyTracking", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-2: StartDirtyTracking at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiStartDirtyTracking(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "dirty tracking could not start");
    basis->tracked = true;
    return 0;
}

int dxgk_ddi_stop_dirty_tracking(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                                 struct vf_error *err)
{
    struct dxgk_call call;

    if (basis->handle == NULL || !basis->tracked) {
        dxgk_report(adapter, "DBT-3", "StopDirtyTracking of a basis that is not tracked");
        return vf_fail(err, VF_FAILED, "DBT-3: tracking of this basis did not start");
    }
    basis->tracked = false;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiStopDirtyTracking", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-3: StopDirtyTracking at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiStopDirtyTracking(adapter->hAdapter, basis->handle));
    if (!NT_SUCCESS(status)) {
        dxgk_report(adapter, "DBT-3", "StopDirtyTracking failed (0x%x)", (unsigned)status);
        return vf_fail_status(err, VF_FAILED, status, "dirty tracking could not stop");
    }
    return 0;
}

int dxgk_ddi_query_dirty_bits(struct dxgk_adapter *adapter, struct dxgk_basis *basis,
                              uint64_t range, uint64_t offset, uint64_t bytes, void *bits,
                              size_t bits_bytes, struct vf_error *err)
{
    DXGKARG_QUERYDIRTYBITDATA args = {0};
    struct dxgk_call call;
    uint64_t pages = bytes == 0 ? basis->pages : bytes / basis->page_bytes;

    if (basis->handle == NULL || !basis->tracked)
        return vf_fail(err, VF_FAILED, "DBT-4: a basis that is not tracked has no dirty bits");
    if (bytes != 0 &&
        (range >= basis->range_count || offset % basis->page_bytes != 0 ||
         bytes % basis->page_bytes != 0 || offset > basis->ranges[range].SizeInBytes ||
         bytes > basis->ranges[range].SizeInBytes - offset))
        return vf_fail(err, VF_FAILED,
                       "DBT-4: sub-range 0x%" PRIx64 " + 0x%" PRIx64 " of range %" PRIu64
                       " is not tracked",
                       offset, bytes, range);
    if (bits_bytes < (pages + 7) / 8)
        return vf_fail(err, VF_FAILED, "DBT-4: %zu bytes hold no %" PRIu64 " bits", bits_bytes,
                       pages);
    args.MemoryBasis = basis->handle;
    args.SubrangeIndex = range;
    args.SubrangeOffset = offset;
    args.SubrangeSize = bytes;
    args.Buffer = bits;
    args.BufferSize = bits_bytes;
    args.Flags = DXGKARG_QUERYDIRTYBITDATAFLAGS_CLEARDATA;
    if (!dxgk_call_enter(&call, adapter, "DxgkDdiQueryDirtyBitData", PASSIVE_LEVEL))
        return vf_fail(err, VF_FAILED, "DBT-4: QueryDirtyBitData at the wrong level");
    NTSTATUS status = dxgk_call_leave(
        &call, adapter->ddi.DxgkDdiQueryDirtyBitData(adapter->hAdapter, &args));
    if (!dxgk_guarded_intact(bits, bits_bytes)) {
        dxgk_report(adapter, "DBT-4", "QueryDirtyBitData wrote behind its buffer of %zu bytes",
                    bits_bytes);
        status = STATUS_UNSUCCESSFUL;
    }
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_FAILED, status, "dirty bits could not be read");
    return 0;
}
