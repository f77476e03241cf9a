// SPDX-License-Identifier: Apache-2.0
/*
 * Memory descriptor lists. A page's physical address is its address in this process (nt.h), so an
 * MDL's pages are always mapped: mapping only records the fact that Windows drivers must ask for.
 */
#include "dxgk/nt/internal.h"

#define MDL_MAX_BYTES 0xfffff000u /* ByteCount has 32 bits */

static bool is_mdl(PMDL mdl, const char *what)
{
    struct nt_block block;

    if (nt_block_find(mdl, sizeof *mdl, &block) && block.kind == NT_MEMORY_MDL &&
        block.va == (uintptr_t)mdl)
        return true;
    nt_report(NT_MISUSE_MDL, "%s on %p, which %s", what, (void *)mdl,
              nt_block_was_freed(mdl) ? "was freed before" : "is no MDL");
    return false;
}

/* An MDL for `bytes` at `va`, with room for its page numbers. */
static PMDL mdl_new(const void *va, uint64_t bytes, const void *caller)
{
    uint64_t pages = (BYTE_OFFSET(va) + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    uint64_t size = sizeof(MDL) + pages * sizeof(PFN_NUMBER);
    PMDL mdl = nt_block_alloc(NT_MEMORY_MDL, size, NT_TAG_MDL, POOL_FLAG_NON_PAGED, caller);

    if (mdl == NULL)
        return NULL;
    mdl->Size =
        (CSHORT)(size <= INT16_MAX
                     ? size
                     : INT16_MAX); /* the field is too short for large MDLs on Windows as well */
    mdl->StartVa = PAGE_ALIGN(va);
    mdl->ByteOffset = BYTE_OFFSET(va);
    mdl->ByteCount = (ULONG)bytes;
    return mdl;
}

static void fill_pages(PMDL mdl)
{
    uint64_t pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);
    PFN_NUMBER first = (uintptr_t)mdl->StartVa >> PAGE_SHIFT;

    for (uint64_t i = 0; i < pages; i++)
        MmGetMdlPfnArray(mdl)[i] = first + i;
}

static PMDL pages_and_mdl(uint64_t bytes, const void *caller)
{
    void *pages;
    PMDL mdl;

    if (bytes == 0 || bytes > MDL_MAX_BYTES)
        return NULL;
    bytes = ROUND_TO_PAGES(bytes);
    pages = nt_block_alloc(NT_MEMORY_PAGES, bytes, NT_TAG_PAGES, POOL_FLAG_NON_PAGED, caller);
    if (pages == NULL)
        return NULL;
    mdl = mdl_new(pages, bytes, caller);
    if (mdl == NULL) {
        (void)nt_block_free(pages, 1u << NT_MEMORY_PAGES, NULL);
        return NULL;
    }
    fill_pages(mdl);
    mdl->MdlFlags = MDL_PAGES_LOCKED;
    return mdl;
}

PMDL MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high, PHYSICAL_ADDRESS skip,
                             SIZE_T bytes, MEMORY_CACHING_TYPE cache, ULONG flags)
{
    (void)low;
    (void)high;
    (void)skip;
    (void)cache;
    (void)flags;
    if (!nt_irql_check(APC_LEVEL, "MmAllocatePagesForMdlEx"))
        return NULL;
    return pages_and_mdl(bytes, __builtin_return_address(0));
}

PMDL MmAllocatePagesForMdl(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high, PHYSICAL_ADDRESS skip,
                           SIZE_T bytes)
{
    (void)low;
    (void)high;
    (void)skip;
    if (!nt_irql_check(APC_LEVEL, "MmAllocatePagesForMdl"))
        return NULL;
    return pages_and_mdl(bytes, __builtin_return_address(0));
}

void MmFreePagesFromMdl(PMDL mdl)
{
    (void)nt_irql_check(APC_LEVEL, "MmFreePagesFromMdl");
    if (!is_mdl(mdl, "MmFreePagesFromMdl"))
        return;
    if ((mdl->MdlFlags & MDL_PAGES_LOCKED) == 0 ||
        !nt_block_free(mdl->StartVa, 1u << NT_MEMORY_PAGES, NULL)) {
        nt_report(NT_MISUSE_MDL, "MmFreePagesFromMdl on %p, which has no pages of its own",
                  (void *)mdl);
        return;
    }
    mdl->MdlFlags = 0;
    mdl->StartVa = NULL;
    mdl->MappedSystemVa = NULL;
    mdl->ByteCount = 0;
}

PMDL IoAllocateMdl(PVOID va, ULONG length, BOOLEAN secondary, BOOLEAN charge_quota, PVOID irp)
{
    (void)charge_quota;
    (void)nt_irql_check(DISPATCH_LEVEL, "IoAllocateMdl");
    if (secondary || irp != NULL || length == 0) {
        nt_report(NT_MISUSE_MDL,
                  "IoAllocateMdl for an IRP or for no bytes: a display driver has neither");
        return NULL;
    }
    return mdl_new(va, length, __builtin_return_address(0));
}

void IoFreeMdl(PMDL mdl)
{
    (void)nt_irql_check(DISPATCH_LEVEL, "IoFreeMdl");
    if (is_mdl(mdl, "IoFreeMdl"))
        (void)nt_block_free(mdl, 1u << NT_MEMORY_MDL, NULL);
}

void MmBuildMdlForNonPagedPool(PMDL mdl)
{
    struct nt_block block;

    (void)nt_irql_check(DISPATCH_LEVEL, "MmBuildMdlForNonPagedPool");
    if (!is_mdl(mdl, "MmBuildMdlForNonPagedPool"))
        return;
    if (!nt_block_find(MmGetMdlVirtualAddress(mdl), mdl->ByteCount, &block) ||
        (block.flags & POOL_FLAG_PAGED) != 0) {
        nt_report(NT_MISUSE_MDL,
                  "MmBuildMdlForNonPagedPool for %u bytes at %p, which do not lie in nonpaged pool",
                  mdl->ByteCount, MmGetMdlVirtualAddress(mdl));
        return;
    }
    fill_pages(mdl);
    mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
    mdl->MdlFlags = (CSHORT)(mdl->MdlFlags | MDL_SOURCE_IS_NONPAGED_POOL);
}

PVOID MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE cache,
                                   PVOID requested, ULONG bug_check_on_failure, ULONG priority)
{
    (void)cache;
    (void)bug_check_on_failure;
    (void)priority;
    if (!nt_irql_check(DISPATCH_LEVEL, "MmMapLockedPagesSpecifyCache") ||
        !is_mdl(mdl, "MmMapLockedPagesSpecifyCache"))
        return NULL;
    if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL)) == 0 ||
        mode != KernelMode || requested != NULL) {
        nt_report(
            NT_MISUSE_MDL,
            "MmMapLockedPagesSpecifyCache on %p: it has no pages, or a user mapping was asked for",
            (void *)mdl);
        return NULL;
    }
    mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
    mdl->MdlFlags = (CSHORT)(mdl->MdlFlags | MDL_MAPPED_TO_SYSTEM_VA);
    return mdl->MappedSystemVa;
}

void MmUnmapLockedPages(PVOID va, PMDL mdl)
{
    (void)nt_irql_check(DISPATCH_LEVEL, "MmUnmapLockedPages");
    if (!is_mdl(mdl, "MmUnmapLockedPages"))
        return;
    if ((mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) == 0 || va != mdl->MappedSystemVa) {
        nt_report(NT_MISUSE_MDL, "MmUnmapLockedPages of %p, which is not where MDL %p is mapped",
                  va, (void *)mdl);
        return;
    }
    mdl->MdlFlags = (CSHORT)(mdl->MdlFlags & ~MDL_MAPPED_TO_SYSTEM_VA);
    if ((mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL) == 0)
        mdl->MappedSystemVa = NULL;
}

PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID va)
{
    if (!nt_memory_owned(va, 1)) {
        nt_report(NT_MISUSE_MDL, "MmGetPhysicalAddress of %p, which is neither pool nor MDL pages",
                  va);
        return (PHYSICAL_ADDRESS){.QuadPart = 0};
    }
    return (PHYSICAL_ADDRESS){.QuadPart = (LONGLONG)(uintptr_t)va};
}

PMDL nt_mdl_alloc(uint64_t bytes)
{
    PMDL mdl = pages_and_mdl(bytes, __builtin_return_address(0));

    if (mdl != NULL)
        mdl->ByteCount = (ULONG)bytes;
    return mdl;
}

void nt_mdl_free(PMDL mdl)
{
    MmFreePagesFromMdl(mdl);
    IoFreeMdl(mdl);
}

bool nt_mdl_has_pages(PMDL mdl)
{
    struct nt_block block;

    return nt_block_find(mdl, sizeof *mdl, &block) && block.kind == NT_MEMORY_MDL &&
           block.va == (uintptr_t)mdl && (mdl->MdlFlags & MDL_PAGES_LOCKED) != 0 &&
           nt_block_find(mdl->StartVa, 1, &block) && block.kind == NT_MEMORY_PAGES &&
           block.va == (uintptr_t)mdl->StartVa;
}

void nt_mdl_give(PMDL mdl, const void *owner)
{
    if (nt_mdl_has_pages(mdl) && nt_block_give(mdl, 1u << NT_MEMORY_MDL, owner))
        (void)nt_block_give(mdl->StartVa, 1u << NT_MEMORY_PAGES, owner);
}

void *nt_mdl_va(PMDL mdl)
{
    struct nt_block block;

    if (!nt_block_find(mdl, sizeof *mdl, &block) || block.kind != NT_MEMORY_MDL ||
        block.va != (uintptr_t)mdl)
        return NULL;
    if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL)) == 0)
        return NULL;
    /* A driver may have written into its MDL: only what is really its memory counts. */
    return nt_memory_owned(MmGetMdlVirtualAddress(mdl), mdl->ByteCount)
               ? MmGetMdlVirtualAddress(mdl)
               : NULL;
}
