// SPDX-License-Identifier: Apache-2.0
/* MDLs: pages come and go with the MDL that owns them, and page numbers lead back to memory only
 * while it lives. */
#include "harness.h"

#include <string.h>

static const PHYSICAL_ADDRESS any_low = {.QuadPart = 0};
static const PHYSICAL_ADDRESS any_high = {.QuadPart = -1};

static PMDL pages(uint64_t bytes)
{
    return MmAllocatePagesForMdlEx(any_low, any_high, any_low, bytes, MmCached,
                                   MM_ALLOCATE_FULLY_REQUIRED);
}

static void pages_are_zeroed_mapped_and_numbered(void **state)
{
    PMDL mdl = pages(3 * PAGE_SIZE);
    char zero[PAGE_SIZE] = {0};
    char *va;

    (void)state;
    assert_non_null(mdl);
    assert_int_equal(MmGetMdlByteCount(mdl), 3 * PAGE_SIZE);
    assert_int_equal(MmGetMdlByteOffset(mdl), 0);
    va = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | MdlMappingNoExecute);
    assert_non_null(va);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(va + i * PAGE_SIZE, zero, PAGE_SIZE);
        assert_ptr_equal(nt_pages_va(MmGetMdlPfnArray(mdl)[i], 1), va + i * PAGE_SIZE);
        assert_int_equal(MmGetPhysicalAddress(va + i * PAGE_SIZE).QuadPart >> PAGE_SHIFT,
                         MmGetMdlPfnArray(mdl)[i]);
    }
    assert_ptr_equal(nt_mdl_va(mdl), va);
    MmFreePagesFromMdl(mdl);
    assert_null(nt_mdl_va(mdl));
    ExFreePool(mdl);
    assert_no_misuse();
}

static void freed_pages_are_nobodys(void **state)
{
    PMDL mdl = pages(PAGE_SIZE);
    PFN_NUMBER page = MmGetMdlPfnArray(mdl)[0];

    (void)state;
    MmFreePagesFromMdl(mdl);
    assert_null(nt_pages_va(page, 1));
    ExFreePool(mdl);
}

static void freeing_pages_twice_is_reported(void **state)
{
    PMDL mdl = pages(PAGE_SIZE);

    (void)state;
    MmFreePagesFromMdl(mdl);
    MmFreePagesFromMdl(mdl);
    assert_misuse(NT_MISUSE_MDL);
    IoFreeMdl(mdl);
    IoFreeMdl(mdl);
    assert_misuse(NT_MISUSE_MDL);
}

static void mdl_over_pool_describes_an_unaligned_buffer(void **state)
{
    char *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, 0x74736574);
    PMDL mdl = IoAllocateMdl(buffer + 100, PAGE_SIZE, FALSE, FALSE, NULL);

    (void)state;
    assert_non_null(mdl);
    MmBuildMdlForNonPagedPool(mdl);
    assert_ptr_equal(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority), buffer + 100);
    assert_int_equal(MmGetMdlByteOffset(mdl), 100);
    assert_int_equal(ADDRESS_AND_SIZE_TO_SPAN_PAGES(buffer + 100, PAGE_SIZE), 2);
    assert_int_equal(MmGetMdlPfnArray(mdl)[1], MmGetMdlPfnArray(mdl)[0] + 1);
    assert_ptr_equal(nt_mdl_va(mdl), buffer + 100);
    MmFreePagesFromMdl(mdl); /* the pool's pages are not its own */
    assert_misuse(NT_MISUSE_MDL);
    IoFreeMdl(mdl);
    ExFreePool(buffer);
    assert_no_misuse();
}

static void mdl_over_foreign_memory_is_reported(void **state)
{
    char on_stack[64];
    PMDL mdl = IoAllocateMdl(on_stack, sizeof on_stack, FALSE, FALSE, NULL);

    (void)state;
    MmBuildMdlForNonPagedPool(mdl);
    assert_misuse(NT_MISUSE_MDL);
    assert_null(
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority));
    assert_misuse(NT_MISUSE_MDL);
    IoFreeMdl(mdl);
}

static void forged_mdl_fields_lead_nowhere(void **state)
{
    PMDL mdl = pages(PAGE_SIZE);
    PVOID va = mdl->StartVa;

    (void)state;
    mdl->StartVa = (PVOID)(uintptr_t)0x1000;
    assert_null(nt_mdl_va(mdl));
    mdl->StartVa = va;
    mdl->ByteCount = 2 * PAGE_SIZE;
    assert_null(nt_mdl_va(mdl));
    MmFreePagesFromMdl(mdl);
    IoFreeMdl(mdl);
}

static void page_numbers_out_of_the_address_space_lead_nowhere(void **state)
{
    (void)state;
    assert_null(nt_pages_va(UINT64_MAX, 1));
    assert_null(nt_pages_va(1, UINT64_MAX));
    assert_null(nt_pages_va((UINT64_C(1) << 52) - 1, 2));
    assert_null(nt_pages_va(0, 1));
    assert_null(nt_pages_va(5, 0));
}

static void hot_update_mdl_has_the_exact_length(void **state)
{
    PMDL mdl = nt_mdl_alloc(5000);

    (void)state;
    assert_int_equal(MmGetMdlByteCount(mdl), 5000);
    memset(nt_mdl_va(mdl), 1, 5000);
    MmFreePagesFromMdl(mdl); /* as a driver frees it (HOT-4) */
    ExFreePool(mdl);
    assert_null(nt_mdl_alloc(0));
    assert_null(nt_mdl_alloc(UINT64_C(1) << 32));
    assert_no_misuse();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        nt_test(pages_are_zeroed_mapped_and_numbered),
        nt_test(freed_pages_are_nobodys),
        nt_test(freeing_pages_twice_is_reported),
        nt_test(mdl_over_pool_describes_an_unaligned_buffer),
        nt_test(mdl_over_foreign_memory_is_reported),
        nt_test(forged_mdl_fields_lead_nowhere),
        nt_test(page_numbers_out_of_the_address_space_lead_nowhere),
        nt_test(hot_update_mdl_has_the_exact_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
