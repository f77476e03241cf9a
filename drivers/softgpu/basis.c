// SPDX-License-Identifier: Apache-2.0
/*
 * Memory bases and the start and stop of their tracking (DBT-1, DBT-2, DBT-3, DBT-8). The card has
 * one bitplane for all of VRAM; a basis is a view of it, kept whole by the bits pended for it.
 */
#include "softgpu_kmd.h"

/* More ranges than the largest card has scatter pages make no sense. */
#define SGK_MAX_RANGES (1ull << 20)

/* Are the ranges inside VRAM and aligned? */
static BOOLEAN sgk_ranges_valid(const struct sgk_adapter *adapter, const DXGK_MEMORYRANGE *ranges,
                                SIZE_T count)
{
    ULONG64 mask = (1ull << adapter->dirty_shift) - 1;

    for (SIZE_T i = 0; i < count; i++) {
        ULONG64 offset = ranges[i].SegmentOffset, bytes = ranges[i].SizeInBytes;

        if (bytes == 0 || ((offset | bytes) & mask))
            return FALSE;
        if (offset > adapter->vram_bytes || bytes > adapter->vram_bytes - offset)
            return FALSE;
    }
    return TRUE;
}

/*
 * Ranges are pairwise disjoint, in no promised order (DBT-1). Marking each page once in a scratch
 * plane is linear, where comparing all pairs of a scattered reserve is not.
 */
static NTSTATUS sgk_ranges_disjoint(const struct sgk_adapter *adapter,
                                    const DXGK_MEMORYRANGE *ranges, SIZE_T count)
{
    ULONG64 pages = adapter->vram_bytes >> adapter->dirty_shift;
    PUCHAR plane;
    NTSTATUS status = STATUS_SUCCESS;

    if (count < 2)
        return STATUS_SUCCESS;
    plane = ExAllocatePool2(POOL_FLAG_PAGED, (pages + 7) / 8, SGK_TAG_PENDING);
    if (!plane)
        return STATUS_NO_MEMORY;
    for (SIZE_T i = 0; i < count && NT_SUCCESS(status); i++) {
        ULONG64 page = ranges[i].SegmentOffset >> adapter->dirty_shift;
        ULONG64 end = page + (ranges[i].SizeInBytes >> adapter->dirty_shift);

        for (; page < end; page++) {
            UCHAR bit = (UCHAR)(1u << (page & 7));

            if (plane[page >> 3] & bit)
                status = STATUS_CONFLICTING_ADDRESSES;
            plane[page >> 3] |= bit;
        }
    }
    ExFreePoolWithTag(plane, SGK_TAG_PENDING);
    return status;
}

_Use_decl_annotations_
HANDLE sgk_create_memory_basis(HANDLE hAdapter, const DXGKARG_CREATEMEMORYBASIS *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_basis *basis;
    SIZE_T count;

    PAGED_CODE();
    if (!adapter || !pArgs || pArgs->SegmentId != SGK_SEGMENT_VRAM)
        return NULL;
    count = pArgs->RangeCount;
    if (count == 0 || count > SGK_MAX_RANGES || !sgk_ranges_valid(adapter, pArgs->Ranges, count) ||
        !NT_SUCCESS(sgk_ranges_disjoint(adapter, pArgs->Ranges, count)))
        return NULL;

    basis = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(*basis) + count * sizeof(basis->ranges[0]),
                            SGK_TAG_BASIS);
    if (!basis)
        return NULL;
    basis->range_count = count;
    RtlCopyMemory(basis->ranges, pArgs->Ranges, count * sizeof(basis->ranges[0]));
    for (SIZE_T i = 0; i < count; i++)
        basis->pages += basis->ranges[i].SizeInBytes >> adapter->dirty_shift;

    ExAcquireFastMutex(&adapter->basis_lock);
    InsertTailList(&adapter->bases, &basis->entry);
    ExReleaseFastMutex(&adapter->basis_lock);
    return basis;
}

struct sgk_basis *sgk_basis_find(struct sgk_adapter *adapter, HANDLE handle)
{
    for (PLIST_ENTRY entry = adapter->bases.Flink; entry != &adapter->bases; entry = entry->Flink) {
        struct sgk_basis *basis = CONTAINING_RECORD(entry, struct sgk_basis, entry);

        if (basis == handle)
            return basis;
    }
    return NULL;
}

void sgk_tracking_hold(struct sgk_adapter *adapter)
{
    if (adapter->tracking_count++ == 0 && !sgk_performant(adapter))
        sgk_write(adapter, SG_PF_DIRTY_ENABLE, 1);
}

void sgk_tracking_drop(struct sgk_adapter *adapter)
{
    if (--adapter->tracking_count == 0 && !sgk_performant(adapter))
        sgk_write(adapter, SG_PF_DIRTY_ENABLE, 0);
}

static void sgk_basis_stop(struct sgk_adapter *adapter, struct sgk_basis *basis)
{
    ExFreePoolWithTag(basis->pending, SGK_TAG_PENDING);
    basis->pending = NULL;
    sgk_tracking_drop(adapter);
}

_Use_decl_annotations_
NTSTATUS sgk_destroy_memory_basis(HANDLE hAdapter, HANDLE hMemoryBasis)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_basis *basis;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->basis_lock);
    basis = sgk_basis_find(adapter, hMemoryBasis);
    if (basis) {
        /* DBT-8: a live handle is always destroyed, tracked or not. A reserve holds a copy of
         * its ranges. */
        if (basis->pending)
            sgk_basis_stop(adapter, basis);
        (void)RemoveEntryList(&basis->entry);
    }
    ExReleaseFastMutex(&adapter->basis_lock);
    if (!basis)
        return STATUS_INVALID_HANDLE;
    ExFreePoolWithTag(basis, SGK_TAG_BASIS);
    return STATUS_SUCCESS;
}

/* Empties the plane under the basis. What it held belongs to whoever else tracks these
 * pages (DBT-3). */
static void sgk_basis_clear(struct sgk_adapter *adapter, struct sgk_basis *basis)
{
    sgk_dirty_read_all(adapter, basis, TRUE, NULL);
    RtlZeroMemory(basis->pending, (basis->pages + 7) / 8);
}

_Use_decl_annotations_
NTSTATUS sgk_start_dirty_tracking(HANDLE hAdapter, HANDLE hMemoryBasis)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_basis *basis;
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->basis_lock);
    basis = sgk_basis_find(adapter, hMemoryBasis);
    if (!basis) {
        status = STATUS_INVALID_HANDLE;
    } else if (basis->pending) {
        status = STATUS_INVALID_DEVICE_STATE;
    } else {
        basis->pending =
            ExAllocatePool2(POOL_FLAG_NON_PAGED, (basis->pages + 7) / 8, SGK_TAG_PENDING);
        if (!basis->pending) {
            status = STATUS_NO_MEMORY;
        } else {
            /* Setting bits comes before clearing them: a write in between may then show up, but is
             * never lost (DBT-6). */
            sgk_tracking_hold(adapter);
            sgk_basis_clear(adapter, basis);
        }
    }
    ExReleaseFastMutex(&adapter->basis_lock);
    return status;
}

_Use_decl_annotations_
NTSTATUS sgk_stop_dirty_tracking(HANDLE hAdapter, HANDLE hMemoryBasis)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_basis *basis;
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();
    if (!adapter)
        return STATUS_INVALID_PARAMETER;
    ExAcquireFastMutex(&adapter->basis_lock);
    basis = sgk_basis_find(adapter, hMemoryBasis);
    if (!basis)
        status = STATUS_INVALID_HANDLE;
    else if (!basis->pending)
        status = STATUS_INVALID_DEVICE_STATE;
    else
        sgk_basis_stop(adapter, basis);
    ExReleaseFastMutex(&adapter->basis_lock);
    return status;
}

void sgk_basis_drop_all(struct sgk_adapter *adapter, BOOLEAN touch)
{
    while (!IsListEmpty(&adapter->bases)) {
        struct sgk_basis *basis =
            CONTAINING_RECORD(RemoveHeadList(&adapter->bases), struct sgk_basis, entry);

        if (basis->pending && touch)
            sgk_basis_stop(adapter, basis);
        else if (basis->pending)
            ExFreePoolWithTag(basis->pending, SGK_TAG_PENDING);
        ExFreePoolWithTag(basis, SGK_TAG_BASIS);
    }
}
