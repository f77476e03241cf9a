// SPDX-License-Identifier: Apache-2.0
/* The platform page that the UMED emulates, as the card's manual (hw.h) describes it, and its state
 * as it moves. */
#include "umed.h"

#define PLATFORM_MAGIC 0x504d4753u /* "SGMP" */
#define PLATFORM_VERSION 1u
#define PAGE_BYTES 0x1000u

#pragma pack(push, 1)
struct umed_mutable {
    UINT32 magic;
    UINT32 version;
    UINT32 bytes; /* sizeof(struct umed_mutable) */
    UINT32 indicator;
    UINT64 stores;
    UINT64 sum;
    BYTE notes[SG_PLAT_NOTES_BYTES];
};
#pragma pack(pop)
C_ASSERT(sizeof(struct umed_mutable) == 32 + SG_PLAT_NOTES_BYTES);

static BOOL access_good(ULONG64 offset, ULONG64 length)
{
    return (length == 4 || length == 8) && offset % length == 0 && offset < PAGE_BYTES;
}

static UINT64 mix(UINT64 z)
{
    z = (z ^ z >> 30) * SG_MIX_1;
    z = (z ^ z >> 27) * SG_MIX_2;
    return z ^ z >> 31;
}

/* The page's 8 bytes at `at`, a multiple of 8. */
static UINT64 word_at(const struct umed_platform *platform, ULONG64 at)
{
    UINT64 word = 0;

    if (at == SG_PLAT_ID)
        return SG_PLAT_ID_VALUE | (UINT64)platform->indicator << 32;
    if (at == SG_PLAT_STORES64)
        return platform->stores;
    if (at == SG_PLAT_SUM64)
        return platform->sum;
    if (at >= SG_PLAT_NOTES)
        RtlCopyMemory(&word, &platform->notes[at - SG_PLAT_NOTES], sizeof(word));
    return word;
}

BOOL umed_platform_read(const struct umed_platform *platform, ULONG64 offset, ULONG64 length,
                        BYTE *value)
{
    UINT64 word;

    if (!access_good(offset, length))
        return FALSE;
    word = word_at(platform, offset & ~7ull) >> offset % 8 * 8;
    RtlCopyMemory(value, &word, length);
    return TRUE;
}

BOOL umed_platform_write(struct umed_platform *platform, ULONG64 offset, ULONG64 length,
                         const BYTE *value)
{
    UINT64 word = 0;

    if (!access_good(offset, length) || (offset < SG_PLAT_NOTES && offset != SG_PLAT_INDICATOR))
        return FALSE;
    RtlCopyMemory(&word, value, length);
    if (offset == SG_PLAT_INDICATOR)
        platform->indicator = (ULONG)word; /* 4 bytes: it is not aligned for 8 */
    else
        RtlCopyMemory(&platform->notes[offset - SG_PLAT_NOTES], value, length);
    platform->stores++;
    platform->sum = mix(mix(platform->sum ^ offset) ^ word);
    return TRUE;
}

ULONG umed_platform_state_bytes(void)
{
    return sizeof(struct umed_mutable);
}

void umed_platform_save(const struct umed_platform *platform, BYTE *out)
{
    struct umed_mutable state = {
        .magic = PLATFORM_MAGIC,
        .version = PLATFORM_VERSION,
        .bytes = sizeof(state),
        .indicator = platform->indicator,
        .stores = platform->stores,
        .sum = platform->sum,
    };

    RtlCopyMemory(state.notes, platform->notes, sizeof(state.notes));
    RtlCopyMemory(out, &state, sizeof(state));
}

BOOL umed_platform_restore(struct umed_platform *platform, const BYTE *data, ULONG bytes)
{
    struct umed_mutable state;

    if (bytes != sizeof(state))
        return FALSE;
    RtlCopyMemory(&state, data, sizeof(state));
    if (state.magic != PLATFORM_MAGIC || state.version != PLATFORM_VERSION ||
        state.bytes != sizeof(state))
        return FALSE;
    platform->indicator = state.indicator;
    platform->stores = state.stores;
    platform->sum = state.sum;
    RtlCopyMemory(platform->notes, state.notes, sizeof(state.notes));
    return TRUE;
}
