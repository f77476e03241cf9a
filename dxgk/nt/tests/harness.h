// SPDX-License-Identifier: Apache-2.0
/* What nt's tests share: a hook that remembers the misuse reported last, and reports in all. */
#ifndef DXGK_NT_TESTS_HARNESS_H
#define DXGK_NT_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dxgk/nt/nt.h"

#include <stdatomic.h>

struct seen {
    _Atomic int count;
    _Atomic int last; /* enum nt_misuse */
};

static struct seen seen;

static void remember(void *ctx, enum nt_misuse kind, const char *text)
{
    struct seen *to = ctx;

    (void)text;
    atomic_store(&to->last, (int)kind);
    atomic_fetch_add(&to->count, 1);
}

/* Before each test: nothing reported, PASSIVE_LEVEL. */
static int fresh(void **state)
{
    (void)state;
    atomic_store(&seen.count, 0);
    nt_set_report(remember, &seen);
    (void)nt_irql_set(PASSIVE_LEVEL);
    return 0;
}

/* After each test: no lock, no level and no memory left behind. */
static int clean(void **state)
{
    (void)state;
    nt_set_report(NULL, NULL);
    return nt_locks_held() == 0 && nt_irql() == PASSIVE_LEVEL && nt_pool_live().allocations == 0 &&
                   nt_mmio_count() == 0
               ? 0
               : -1;
}

#define assert_no_misuse() assert_int_equal(atomic_load(&seen.count), 0)
/* Exactly one report of this kind since the last look. */
#define assert_misuse(kind) \
    do { \
        assert_int_equal(atomic_exchange(&seen.count, 0), 1); \
        assert_int_equal(atomic_load(&seen.last), kind); \
    } while (0)

#define nt_test(function) cmocka_unit_test_setup_teardown(function, fresh, clean)

#endif
