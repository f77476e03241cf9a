// SPDX-License-Identifier: Apache-2.0
/*
 * Reading the bitplane (DBT-4 to DBT-7). Hardware has one bit per dirty page of VRAM; a query
 * gathers the bits of a basis' ranges, packed, LSB first. A word is read and cleared in one step by
 * the card, so no write falls in between (DBT-5).
 */
#include "softgpu_kmd.h"

#define SGK_BLOCK_WORDS 128u /* words per block read: 1 KiB of kernel stack */
#define SGK_WORD_BITS 64u

static void sgk_bits_or(PUCHAR bits, ULONG64 at, ULONG64 word, ULONG count)
{
    PUCHAR byte = bits + (at >> 3);
    ULONG shift = (ULONG)(at & 7);

    if (count < SGK_WORD_BITS)
        word &= (1ull << count) - 1;
    if (shift == 0 && count == SGK_WORD_BITS) {
        ULONG64 old;

        RtlCopyMemory(&old, byte, sizeof(old));
        old |= word;
        RtlCopyMemory(byte, &old, sizeof(old));
        return;
    }
    if (word)
        *byte |= (UCHAR)(word << shift);
    /* Only bytes with a bit to set are touched: the last one needed may be the buffer's last. */
    for (word >>= 8 - shift; word; word >>= 8)
        *++byte |= (UCHAR)word;
}

/* `count` bits, 64 at most, from bit `at` on. */
static ULONG64 sgk_bits_get(const UCHAR *bits, ULONG64 at, ULONG count)
{
    ULONG64 word = 0;

    /* A whole word inside the basis, as almost always. */
    if ((at & 7) == 0 && count == SGK_WORD_BITS) {
        RtlCopyMemory(&word, bits + (at >> 3), sizeof(word));
        return word;
    }
    for (ULONG i = 0; i < count; i++)
        word |= ((ULONG64)bits[(at + i) >> 3] >> ((at + i) & 7) & 1u) << i;
    return word;
}

static void sgk_bits_clear(PUCHAR bits, ULONG64 at, ULONG64 count)
{
    for (; count && (at & 7); at++, count--)
        bits[at >> 3] &= (UCHAR) ~(1u << (at & 7));
    RtlZeroMemory(bits + (at >> 3), count >> 3);
    at += count & ~7ull;
    for (count &= 7; count; at++, count--)
        bits[at >> 3] &= (UCHAR) ~(1u << (at & 7));
}

/* Hands `word`, the bits of pages from `page` on, to every basis but `taker` that tracks any of
 * them (DBT-3). */
static void sgk_dirty_hand_over(struct sgk_adapter *adapter, const struct sgk_basis *taker,
                                ULONG64 page, ULONG64 word)
{
    for (PLIST_ENTRY entry = adapter->bases.Flink; entry != &adapter->bases; entry = entry->Flink) {
        struct sgk_basis *other = CONTAINING_RECORD(entry, struct sgk_basis, entry);
        ULONG64 base = 0;

        if (other == taker || !other->pending)
            continue;
        for (SIZE_T i = 0; i < other->range_count; i++) {
            ULONG64 first = other->ranges[i].SegmentOffset >> adapter->dirty_shift;
            ULONG64 count = other->ranges[i].SizeInBytes >> adapter->dirty_shift;
            ULONG64 low = first > page ? first : page;
            ULONG64 high =
                first + count < page + SGK_WORD_BITS ? first + count : page + SGK_WORD_BITS;

            if (low < high)
                sgk_bits_or(other->pending, base + (low - first), word >> (low - page),
                            (ULONG)(high - low));
            base += count;
        }
    }
}

/* Does any other tracked basis cover a page of [page, end)? Almost never: the slow path of the
 * reader hangs on it. */
static BOOLEAN sgk_dirty_shared(struct sgk_adapter *adapter, const struct sgk_basis *taker,
                                ULONG64 page, ULONG64 end)
{
    for (PLIST_ENTRY entry = adapter->bases.Flink; entry != &adapter->bases; entry = entry->Flink) {
        struct sgk_basis *other = CONTAINING_RECORD(entry, struct sgk_basis, entry);

        if (other == taker || !other->pending)
            continue;
        for (SIZE_T i = 0; i < other->range_count; i++) {
            ULONG64 first = other->ranges[i].SegmentOffset >> adapter->dirty_shift;

            if (first < end &&
                page < first + (other->ranges[i].SizeInBytes >> adapter->dirty_shift))
                return TRUE;
        }
    }
    return FALSE;
}

/*
 * Reads `count` words of the plane from word `index` on. Partial words at a range's edges come one
 * at a time with a mask, so that an exchange leaves the neighbour's bits alone (DBT-7); the mask
 * register is all ones otherwise.
 */
static void sgk_plane_read(struct sgk_adapter *adapter, ULONG64 index, ULONG count, ULONG64 mask,
                           BOOLEAN clear, PULONG64 words)
{
    ULONG64 window = clear ? SG_DIRTY_WINDOW_BYTES : 0;
    volatile ULONG64 *reg =
        (volatile ULONG64 *)(PVOID)(adapter->dirty + window + index * sizeof(ULONG64));

    if (mask == ~0ull) {
        READ_REGISTER_BUFFER_ULONG64(reg, words, count);
        return;
    }
    if (clear)
        sgk_write64(adapter, SG_PF_DIRTY_MASK64, mask);
    words[0] = READ_REGISTER_ULONG64(reg) & mask;
    if (clear)
        sgk_write64(adapter, SG_PF_DIRTY_MASK64, ~0ull);
}

/* The next piece of [page, end): a partial word with its mask, or a run of whole words. */
static ULONG sgk_plane_piece(ULONG64 page, ULONG64 end, PULONG64 mask)
{
    ULONG skip = (ULONG)(page % SGK_WORD_BITS);
    ULONG64 left = end - page;

    *mask = ~0ull;
    if (skip == 0 && left >= SGK_WORD_BITS)
        return (ULONG)(left / SGK_WORD_BITS < SGK_BLOCK_WORDS ? left / SGK_WORD_BITS
                                                              : SGK_BLOCK_WORDS);
    *mask <<= skip;
    if (left < SGK_WORD_BITS - skip)
        *mask &= (1ull << (skip + left)) - 1;
    return 1;
}

/* Bits of one span of a range into `bits` from bit `out` on, as sgk_dirty_read_all. `first` is the
 * span's first bit in the basis. */
static void sgk_dirty_read(struct sgk_adapter *adapter, struct sgk_basis *basis,
                           const DXGK_MEMORYRANGE *span, ULONG64 first, BOOLEAN clear, PUCHAR bits,
                           ULONG64 out)
{
    ULONG64 begin = span->SegmentOffset >> adapter->dirty_shift;
    ULONG64 end = begin + (span->SizeInBytes >> adapter->dirty_shift);
    BOOLEAN shared = clear && sgk_dirty_shared(adapter, basis, begin, end);
    ULONG64 words[SGK_BLOCK_WORDS];

    for (ULONG64 page = begin; page < end;) {
        ULONG skip = (ULONG)(page % SGK_WORD_BITS), width;
        ULONG64 mask;
        ULONG count = sgk_plane_piece(page, end, &mask);

        sgk_plane_read(adapter, page / SGK_WORD_BITS, count, mask, clear, words);
        for (ULONG i = 0; i < count; i++, page += width) {
            ULONG64 word = words[i] >> skip;

            width = SGK_WORD_BITS - skip;
            if (width > end - page)
                width = (ULONG)(end - page);
            if (shared && word)
                sgk_dirty_hand_over(adapter, basis, page, word);
            if (bits) {
                word |= sgk_bits_get(basis->pending, first + (page - begin), width);
                if (word)
                    sgk_bits_or(bits, out + (page - begin), word, width);
            }
        }
    }
    if (clear)
        sgk_bits_clear(basis->pending, first, end - begin);
}

/* A sub-range query: one range, or a part of it (DBT-4). */
static NTSTATUS sgk_query_subrange(struct sgk_adapter *adapter, struct sgk_basis *basis,
                                   DXGKARG_QUERYDIRTYBITDATA *args, BOOLEAN clear)
{
    ULONG64 page_bytes = 1ull << adapter->dirty_shift;
    DXGK_MEMORYRANGE span;
    ULONG64 first = 0, pages;

    if (args->SubrangeIndex >= basis->range_count)
        return STATUS_INVALID_PARAMETER;
    span = basis->ranges[args->SubrangeIndex];
    if (((args->SubrangeOffset | args->SubrangeSize) & (page_bytes - 1)) ||
        args->SubrangeOffset > span.SizeInBytes ||
        args->SubrangeSize > span.SizeInBytes - args->SubrangeOffset)
        return STATUS_INVALID_PARAMETER;
    pages = args->SubrangeSize >> adapter->dirty_shift;
    if (args->BufferSize < (pages + 7) / 8)
        return STATUS_BUFFER_TOO_SMALL;

    for (SIZE_T i = 0; i < args->SubrangeIndex; i++)
        first += basis->ranges[i].SizeInBytes >> adapter->dirty_shift;
    first += args->SubrangeOffset >> adapter->dirty_shift;
    span.SegmentOffset += args->SubrangeOffset;
    span.SizeInBytes = args->SubrangeSize;
    RtlZeroMemory(args->Buffer, (pages + 7) / 8);
    sgk_dirty_read(adapter, basis, &span, first, clear, args->Buffer, 0);
    return STATUS_SUCCESS;
}

void sgk_dirty_read_all(struct sgk_adapter *adapter, struct sgk_basis *basis, BOOLEAN clear,
                        PUCHAR bits)
{
    ULONG64 first = 0;

    for (SIZE_T i = 0; i < basis->range_count; i++) {
        sgk_dirty_read(adapter, basis, &basis->ranges[i], first, clear, bits, first);
        first += basis->ranges[i].SizeInBytes >> adapter->dirty_shift;
    }
}

static NTSTATUS sgk_query_whole(struct sgk_adapter *adapter, struct sgk_basis *basis,
                                DXGKARG_QUERYDIRTYBITDATA *args, BOOLEAN clear)
{
    if (args->BufferSize < (basis->pages + 7) / 8)
        return STATUS_BUFFER_TOO_SMALL;
    RtlZeroMemory(args->Buffer, (basis->pages + 7) / 8);
    sgk_dirty_read_all(adapter, basis, clear, args->Buffer);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS sgk_query_dirty_bit_data(HANDLE hAdapter, DXGKARG_QUERYDIRTYBITDATA *pArgs)
{
    struct sgk_adapter *adapter = hAdapter;
    struct sgk_basis *basis;
    NTSTATUS status;
    BOOLEAN clear;

    PAGED_CODE();
    if (!adapter || !pArgs || !pArgs->Buffer)
        return STATUS_INVALID_PARAMETER;
    clear = (pArgs->Flags & DXGKARG_QUERYDIRTYBITDATAFLAGS_CLEARDATA) != 0;

    ExAcquireFastMutex(&adapter->basis_lock);
    basis = sgk_basis_find(adapter, pArgs->MemoryBasis);
    if (!basis)
        status = STATUS_INVALID_HANDLE;
    else if (!basis->pending)
        status = STATUS_INVALID_DEVICE_STATE;
    else if (pArgs->SubrangeSize)
        status = sgk_query_subrange(adapter, basis, pArgs, clear);
    else
        status = sgk_query_whole(adapter, basis, pArgs, clear);
    ExReleaseFastMutex(&adapter->basis_lock);
    return status;
}
