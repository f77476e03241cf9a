// SPDX-License-Identifier: Apache-2.0
/* The pool: what a driver allocates by tag. Bookkeeping lies in blocks.c. */
#include "dxgk/nt/internal.h"

#include <inttypes.h>

#define KNOWN_FLAGS \
    (POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SESSION | POOL_FLAG_CACHE_ALIGNED | \
     POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)
#define KIND_FLAGS (POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)

PVOID ExAllocatePool2(POOL_FLAGS flags, SIZE_T bytes, ULONG tag)
{
    POOL_FLAGS kind = flags & KIND_FLAGS;

    if ((flags & ~KNOWN_FLAGS) != 0 || kind == 0 || (kind & (kind - 1)) != 0 || tag == 0) {
        nt_report(NT_MISUSE_POOL_FLAGS,
                  "ExAllocatePool2 with flags 0x%" PRIx64
                  " and tag 0x%x: one kind of pool and a tag are needed",
                  flags, tag);
        return NULL;
    }
    if (!nt_irql_check(kind == POOL_FLAG_PAGED ? APC_LEVEL : DISPATCH_LEVEL, "ExAllocatePool2"))
        return NULL;
    return nt_block_alloc(NT_MEMORY_POOL, bytes, tag, flags, __builtin_return_address(0));
}

void ExFreePoolWithTag(PVOID p, ULONG tag)
{
    struct nt_block freed;

    (void)nt_irql_check(DISPATCH_LEVEL, "ExFreePool");
    if (!nt_block_free(p, 1u << NT_MEMORY_POOL | 1u << NT_MEMORY_MDL, &freed)) {
        nt_report(NT_MISUSE_POOL_FREE, "ExFreePool of %p, which %s", p,
                  nt_block_was_freed(p) ? "was freed before" : "is no pool allocation");
        return;
    }
    if (tag != 0 && tag != freed.tag)
        nt_report(NT_MISUSE_POOL_TAG, "ExFreePoolWithTag of %p with tag %.4s, it has %.4s", p,
                  (const char *)&tag, (const char *)&freed.tag);
}

void ExFreePool(PVOID p)
{
    ExFreePoolWithTag(p, 0);
}
