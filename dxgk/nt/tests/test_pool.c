// SPDX-License-Identifier: Apache-2.0
/* Pool: what is allocated is counted, zeroed and aligned, and every wrong free is found
 * and survived. */
#include "harness.h"

#include "base/tests/chance.h"
#include "dxgk/nt/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAG_A 0x41414141u
#define TAG_B 0x42424242u

static void allocation_is_zeroed_and_counted(void **state)
{
    char *p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG_A);
    char zero[100] = {0};

    (void)state;
    assert_non_null(p);
    assert_memory_equal(p, zero, 100);
    assert_int_equal(nt_pool_live().bytes, 100);
    ExFreePoolWithTag(p, TAG_A);
    assert_int_equal(nt_pool_live().allocations, 0);
    assert_no_misuse();
}

static void allocation_of_a_page_is_page_aligned_and_whole(void **state)
{
    char *p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 5000, TAG_A);

    (void)state;
    assert_int_equal((uintptr_t)p % PAGE_SIZE, 0);
    assert_true(nt_memory_owned(p, 2 * PAGE_SIZE));
    assert_false(nt_memory_owned(p, 2 * PAGE_SIZE + 1));
    assert_ptr_equal(nt_pages_va((uintptr_t)p >> PAGE_SHIFT, 2), p);
    assert_null(nt_pages_va((uintptr_t)p >> PAGE_SHIFT, 3));
    ExFreePool(p);
    assert_false(nt_memory_owned(p, 1));
}

static void zero_bytes_still_give_an_address(void **state)
{
    void *p = ExAllocatePool2(POOL_FLAG_PAGED, 0, TAG_A);

    (void)state;
    assert_non_null(p);
    ExFreePool(p);
    assert_no_misuse();
}

static void absurd_size_gives_nothing(void **state)
{
    (void)state;
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, UINT64_MAX, TAG_A));
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, UINT64_MAX - PAGE_SIZE, TAG_A));
}

static void double_free_is_reported_and_ignored(void **state)
{
    void *p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG_A);

    (void)state;
    ExFreePool(p);
    ExFreePool(p);
    assert_misuse(NT_MISUSE_POOL_FREE);
}

static void foreign_free_is_reported_and_ignored(void **state)
{
    char *inside = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG_A);
    int on_stack;

    (void)state;
    ExFreePool(&on_stack);
    assert_misuse(NT_MISUSE_POOL_FREE);
    ExFreePool(inside + 16);
    assert_misuse(NT_MISUSE_POOL_FREE);
    ExFreePool(NULL);
    assert_misuse(NT_MISUSE_POOL_FREE);
    ExFreePool((void *)0x10); /* would fault if it were looked at */
    assert_misuse(NT_MISUSE_POOL_FREE);
    ExFreePool(inside);
    assert_no_misuse();
}

static void wrong_tag_is_reported_and_freed(void **state)
{
    void *p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG_A);

    (void)state;
    ExFreePoolWithTag(p, TAG_B);
    assert_misuse(NT_MISUSE_POOL_TAG);
    assert_int_equal(nt_pool_live().allocations, 0);
}

#if !NT_HAVE_ASAN /* the sanitizer ends the process at the write itself */
static void write_behind_the_end_is_reported(void **state)
{
    volatile char *p;

    (void)state;
    p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 33, TAG_A);
    p[33] = 1;
    ExFreePool((void *)p);
    assert_misuse(NT_MISUSE_POOL_BOUNDS);
}
#endif

static void flags_without_one_kind_of_pool_are_refused(void **state)
{
    (void)state;
    assert_null(ExAllocatePool2(0, 8, TAG_A));
    assert_misuse(NT_MISUSE_POOL_FLAGS);
    assert_null(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, 8, TAG_A));
    assert_misuse(NT_MISUSE_POOL_FLAGS);
    assert_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, 0));
    assert_misuse(NT_MISUSE_POOL_FLAGS);
}

static void paged_pool_is_refused_at_dispatch_level(void **state)
{
    void *p;

    (void)state;
    (void)nt_irql_set(DISPATCH_LEVEL);
    assert_null(ExAllocatePool2(POOL_FLAG_PAGED, 8, TAG_A));
    assert_misuse(NT_MISUSE_IRQL);
    p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, TAG_A);
    ExFreePool(p);
    assert_no_misuse();
    (void)nt_irql_set(PASSIVE_LEVEL);
}

static void leaks_are_found_by_code_and_reclaimed(void **state)
{
    const char *here =
        (const char *)__builtin_extract_return_addr((void *)leaks_are_found_by_code_and_reclaimed);

    (void)state;
    assert_non_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 10, TAG_A));
    assert_non_null(ExAllocatePool2(POOL_FLAG_NON_PAGED, 20, TAG_A));
    assert_non_null(ExAllocatePool2(POOL_FLAG_PAGED, 30, TAG_B));
    assert_int_equal(nt_pool_reclaim_from(here + 65536, here + 131072), 0);
    assert_int_equal(nt_pool_reclaim_from(here, here + 65536), 3);
    assert_int_equal(nt_pool_live().allocations, 0);
}

/* Against a plain array: any order of allocating and freeing, any size around the page, ownership
 * asked all along. */
static void random_sequences_keep_the_map_true(void **state)
{
    enum { SLOTS = 64, STEPS = 20000 };
    struct {
        char *p;
        uint64_t bytes;
    } slot[SLOTS] = {0};
    uint64_t seed = chance_seed();
    uint64_t live = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        unsigned i = chance_bits(&seed) % SLOTS;

        if (slot[i].p == NULL) {
            slot[i].bytes = 1 + chance_bits(&seed) % (3 * PAGE_SIZE);
            slot[i].p = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED,
                                        slot[i].bytes, TAG_A + i);
            assert_non_null(slot[i].p);
            memset(slot[i].p, (int)i, slot[i].bytes);
            live++;
        } else {
            uint64_t last = slot[i].bytes - 1;

            assert_int_equal(slot[i].p[last], (char)i);
            assert_true(nt_memory_owned(slot[i].p + last, 1));
            assert_true(nt_memory_owned(slot[i].p, slot[i].bytes));
            ExFreePoolWithTag(slot[i].p, TAG_A + i);
            slot[i].p = NULL;
            live--;
        }
        assert_int_equal(nt_pool_live().allocations, live);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slot[i].p != NULL)
            ExFreePool(slot[i].p);
    }
    assert_no_misuse();
}

static void *churn(void *arg)
{
    ULONG tag = *(const ULONG *)arg;

    for (int i = 0; i < 2000; i++) {
        void *p = ExAllocatePool2(POOL_FLAG_NON_PAGED, 48, tag);

        if (p != NULL)
            ExFreePoolWithTag(p, tag);
    }
    return NULL;
}

static void threads_share_the_pool(void **state)
{
    ULONG tags[2] = {TAG_A, TAG_B};
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &tags[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_no_misuse();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        nt_test(allocation_is_zeroed_and_counted),
        nt_test(allocation_of_a_page_is_page_aligned_and_whole),
        nt_test(zero_bytes_still_give_an_address),
        nt_test(absurd_size_gives_nothing),
        nt_test(double_free_is_reported_and_ignored),
        nt_test(foreign_free_is_reported_and_ignored),
        nt_test(wrong_tag_is_reported_and_freed),
#if !NT_HAVE_ASAN
        nt_test(write_behind_the_end_is_reported),
#endif
        nt_test(flags_without_one_kind_of_pool_are_refused),
        nt_test(paged_pool_is_refused_at_dispatch_level),
        nt_test(leaks_are_found_by_code_and_reclaimed),
        nt_test(random_sequences_keep_the_map_true),
        nt_test(threads_share_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
