// SPDX-License-Identifier: Apache-2.0
/* Memory bases and dirty tracking: DBT-1 to DBT-8 as the driver answers for them. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAGE_BYTES 4096ull
#define CARD "vram=64M,vfs=4,dirty-page=4K"

static DXGK_MEMORYRANGE pages(ULONG64 first, ULONG64 count)
{
    return (DXGK_MEMORYRANGE){first * PAGE_BYTES, count * PAGE_BYTES};
}

static void dirty(struct fake *fake, ULONG64 page)
{
    const ULONG64 word = page + 1;

    fake_vram_write(fake, page * PAGE_BYTES + 8, &word, sizeof word);
}

static HANDLE tracked(struct fake *fake, const DXGK_MEMORYRANGE *ranges, ULONG count)
{
    HANDLE basis = fake_basis(fake, ranges, count);

    assert_non_null(basis);
    assert_int_equal(fake->ddi.DxgkDdiStartDirtyTracking(fake->adapter, basis), STATUS_SUCCESS);
    return basis;
}

static BOOLEAN bit(const UCHAR *bits, ULONG64 at)
{
    return bits[at / 8] >> (at % 8) & 1;
}

/* DBT-5 */
static void a_write_shows_until_it_is_cleared(void **state)
{
    const DXGK_MEMORYRANGE range = pages(64, 64);
    UCHAR bits[8];
    struct fake fake;
    HANDLE basis;

    (void)state;
    fake_start(&fake, CARD);
    basis = tracked(&fake, &range, 1);
    dirty(&fake, 64 + 5);
    dirty(&fake, 63);
    dirty(&fake, 128);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fake_query(&fake, basis, 0, 0, 0, i == 2, bits, sizeof bits),
                         STATUS_SUCCESS);
        assert_memory_equal(bits, ((UCHAR[8]){1 << 5}), sizeof bits);
    }
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, TRUE, bits, sizeof bits), STATUS_SUCCESS);
    assert_memory_equal(bits, ((UCHAR[8]){0}), sizeof bits);
    fake_stop(&fake);
}

/* DBT-2 */
static void tracking_starts_all_zero(void **state)
{
    const DXGK_MEMORYRANGE range = pages(3, 200);
    UCHAR bits[25];
    struct fake fake;
    HANDLE basis;

    (void)state;
    fake_start(&fake, CARD);
    for (ULONG64 page = 0; page < 300; page++)
        dirty(&fake, page);
    basis = tracked(&fake, &range, 1);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, FALSE, bits, sizeof bits), STATUS_SUCCESS);
    for (ULONG64 i = 0; i < 200; i++)
        assert_false(bit(bits, i));
    fake_stop(&fake);
}

/* DBT-7 */
static void a_subrange_query_leaves_all_other_bits(void **state)
{
    const DXGK_MEMORYRANGE ranges[2] = {pages(100, 40), pages(10, 40)};
    UCHAR bits[10], part[2];
    struct fake fake;
    HANDLE basis;

    (void)state;
    fake_start(&fake, CARD);
    basis = tracked(&fake, ranges, 2);
    for (ULONG64 i = 0; i < 40; i++) {
        dirty(&fake, 100 + i);
        dirty(&fake, 10 + i);
    }
    /* 10 pages of the second range, from its 7th on: neighbours share words with them on
     * both sides. */
    assert_int_equal(
        fake_query(&fake, basis, 1, 7 * PAGE_BYTES, 10 * PAGE_BYTES, TRUE, part, sizeof part),
        STATUS_SUCCESS);
    assert_memory_equal(part, ((UCHAR[2]){0xff, 0x03}), sizeof part);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, FALSE, bits, sizeof bits), STATUS_SUCCESS);
    for (ULONG64 i = 0; i < 80; i++)
        assert_int_equal(bit(bits, i), i < 47 || i >= 57);
    fake_stop(&fake);
}

/* DBT-3 */
static void overlapping_bases_keep_each_others_bits(void **state)
{
    const DXGK_MEMORYRANGE left = pages(0, 100), right[2] = {pages(90, 70), pages(50, 3)};
    UCHAR a[13], b[10];
    struct fake fake;
    HANDLE first, second;

    (void)state;
    fake_start(&fake, CARD);
    first = tracked(&fake, &left, 1);
    second = tracked(&fake, right, 2);
    dirty(&fake, 95);
    dirty(&fake, 51);
    dirty(&fake, 7);
    dirty(&fake, 130);
    assert_int_equal(fake_query(&fake, first, 0, 0, 0, TRUE, a, sizeof a), STATUS_SUCCESS);
    assert_true(bit(a, 95) && bit(a, 51) && bit(a, 7));
    assert_int_equal(fake_query(&fake, second, 0, 0, 0, TRUE, b, sizeof b), STATUS_SUCCESS);
    assert_true(bit(b, 5) && bit(b, 70 + 1) && bit(b, 40));
    assert_int_equal(fake_query(&fake, first, 0, 0, 0, TRUE, a, sizeof a), STATUS_SUCCESS);
    assert_false(bit(a, 95) || bit(a, 51) || bit(a, 7));
    fake_stop(&fake);
}

/* DBT-3 */
static void a_start_hands_old_bits_to_whoever_tracks_them(void **state)
{
    const DXGK_MEMORYRANGE wide = pages(0, 64), narrow = pages(8, 8);
    UCHAR bits[8], few[1];
    struct fake fake;
    HANDLE old, fresh;

    (void)state;
    fake_start(&fake, CARD);
    old = tracked(&fake, &wide, 1);
    dirty(&fake, 10);
    fresh = tracked(&fake, &narrow, 1);
    assert_int_equal(fake_query(&fake, fresh, 0, 0, 0, TRUE, few, sizeof few), STATUS_SUCCESS);
    assert_int_equal(few[0], 0);
    assert_int_equal(fake_query(&fake, old, 0, 0, 0, TRUE, bits, sizeof bits), STATUS_SUCCESS);
    assert_true(bit(bits, 10));
    fake_stop(&fake);
}

/* DBT-2 */
static void start_and_stop_out_of_order_are_refused(void **state)
{
    const DXGK_MEMORYRANGE range = pages(0, 8);
    UCHAR bits[1];
    struct fake fake;
    HANDLE basis;
    int stranger;

    (void)state;
    fake_start(&fake, CARD);
    basis = fake_basis(&fake, &range, 1);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, TRUE, bits, sizeof bits),
                     STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(fake.ddi.DxgkDdiStopDirtyTracking(fake.adapter, basis),
                     STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(fake.ddi.DxgkDdiStartDirtyTracking(fake.adapter, basis), STATUS_SUCCESS);
    assert_int_equal(fake.ddi.DxgkDdiStartDirtyTracking(fake.adapter, basis),
                     STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(fake.ddi.DxgkDdiStartDirtyTracking(fake.adapter, &stranger),
                     STATUS_INVALID_HANDLE);
    assert_int_equal(fake.ddi.DxgkDdiDestroyMemoryBasis(fake.adapter, basis), STATUS_SUCCESS);
    assert_int_equal(fake.ddi.DxgkDdiDestroyMemoryBasis(fake.adapter, basis),
                     STATUS_INVALID_HANDLE);
    fake_stop(&fake);
}

/* DBT-1 */
static void bases_that_cannot_be_tracked_are_refused(void **state)
{
    static const struct {
        DXGK_MEMORYRANGE ranges[2];
        ULONG count;
    } bad[] = {
        {{{0, 0}}, 1},                                            /* empty */
        {{{1, PAGE_BYTES}}, 1},                                   /* not aligned */
        {{{0, PAGE_BYTES + 8}}, 1},                               /* not a multiple */
        {{{64 * MIB, PAGE_BYTES}}, 1},                            /* behind the segment */
        {{{0, 65 * MIB}}, 1},                                     /* longer than it */
        {{{~0ull << 12, 2 * PAGE_BYTES}}, 1},                     /* wraps */
        {{{0, 4 * PAGE_BYTES}, {3 * PAGE_BYTES, PAGE_BYTES}}, 2}, /* overlap */
    };
    DXGKARG_CREATEMEMORYBASIS other = {
        .SegmentId = 0, .RangeCount = 1, .Ranges = {{0, PAGE_BYTES}}};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(fake_basis(&fake, bad[i].ranges, bad[i].count));
    assert_null(fake.ddi.DxgkDdiCreateMemoryBasis(fake.adapter, &other));
    other.SegmentId = 1;
    other.RangeCount = 0;
    assert_null(fake.ddi.DxgkDdiCreateMemoryBasis(fake.adapter, &other));
    other.RangeCount = ~0ull / sizeof(DXGK_MEMORYRANGE);
    assert_null(fake.ddi.DxgkDdiCreateMemoryBasis(fake.adapter, &other));
    fake_stop(&fake);
}

/* DBT-4 */
static void queries_beyond_what_is_tracked_change_nothing(void **state)
{
    const DXGK_MEMORYRANGE range = pages(0, 16);
    UCHAR bits[2];
    struct fake fake;
    HANDLE basis;

    (void)state;
    fake_start(&fake, CARD);
    basis = tracked(&fake, &range, 1);
    dirty(&fake, 15);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, TRUE, bits, 1), STATUS_BUFFER_TOO_SMALL);
    assert_int_equal(fake_query(&fake, basis, 1, 0, PAGE_BYTES, TRUE, bits, 2),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 17 * PAGE_BYTES, TRUE, bits, 2),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_query(&fake, basis, 0, 16 * PAGE_BYTES, PAGE_BYTES, TRUE, bits, 2),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_query(&fake, basis, 0, 8, PAGE_BYTES, TRUE, bits, 2),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_query(&fake, basis, 0, ~0ull << 12, PAGE_BYTES, TRUE, bits, 2),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_query(&fake, basis, 0, 0, 0, TRUE, bits, 2), STATUS_SUCCESS);
    assert_true(bit(bits, 15));
    fake_stop(&fake);
}

/* DBT-3 */
static void costly_tracking_stays_on_while_anyone_needs_it(void **state)
{
    const DXGK_MEMORYRANGE left = pages(0, 8), right = pages(8, 8);
    UCHAR bits[1];
    struct fake fake;
    HANDLE a, b;

    (void)state;
    fake_start(&fake, CARD ",performant=off");
    assert_int_equal(fake_register(&fake, SG_PF_DIRTY_ENABLE), 0);
    a = tracked(&fake, &left, 1);
    b = tracked(&fake, &right, 1);
    assert_int_equal(fake.ddi.DxgkDdiStopDirtyTracking(fake.adapter, a), STATUS_SUCCESS);
    dirty(&fake, 9);
    assert_int_equal(fake_query(&fake, b, 0, 0, 0, TRUE, bits, sizeof bits), STATUS_SUCCESS);
    assert_int_equal(bits[0], 1 << 1);
    assert_int_equal(fake.ddi.DxgkDdiDestroyMemoryBasis(fake.adapter, b),
                     STATUS_SUCCESS); /* stops it as well */
    assert_int_equal(fake_register(&fake, SG_PF_DIRTY_ENABLE), 0);
    fake_stop(&fake);
}

/* Random bases over one plane against a model that keeps a bitmap per basis. */
enum { BASES = 3, MODEL_PAGES = 2048, RANGES = 4 };

struct model {
    DXGK_MEMORYRANGE ranges[RANGES];
    ULONG count;
    ULONG64 pages;
    HANDLE handle;
    UCHAR set[MODEL_PAGES]; /* by VRAM page */
};

static void random_basis(struct fake *fake, struct model *m, ULONG64 *seed)
{
    ULONG64 at = fake_random(seed) % 100;

    memset(m, 0, sizeof *m);
    m->count = 1 + (ULONG)(fake_random(seed) % RANGES);
    for (ULONG i = 0; i < m->count; i++) {
        ULONG64 length = 1 + fake_random(seed) % 300;

        m->ranges[i] = pages(at, length);
        m->pages += length;
        at += length + fake_random(seed) % 150;
    }
    for (ULONG i = m->count - 1; i > 0; i--) { /* in no promised order */
        ULONG k = (ULONG)(fake_random(seed) % (i + 1));
        DXGK_MEMORYRANGE swap = m->ranges[i];

        m->ranges[i] = m->ranges[k];
        m->ranges[k] = swap;
    }
    m->handle = tracked(fake, m->ranges, m->count);
}

static void check_piece(struct fake *fake, struct model *m, ULONG range, ULONG64 first,
                        ULONG64 count, BOOLEAN clear)
{
    UCHAR bits[MODEL_PAGES / 8];
    ULONG64 page = m->ranges[range].SegmentOffset / PAGE_BYTES + first;

    assert_int_equal(fake_query(fake, m->handle, range, first * PAGE_BYTES, count * PAGE_BYTES,
                                clear, bits, (count + 7) / 8),
                     STATUS_SUCCESS);
    for (ULONG64 i = 0; i < count; i++) {
        assert_int_equal(bit(bits, i), m->set[page + i]);
        if (clear)
            m->set[page + i] = 0;
    }
}

static void check_whole(struct fake *fake, struct model *m, BOOLEAN clear)
{
    UCHAR bits[MODEL_PAGES / 8 + 1];
    ULONG64 at = 0;

    bits[(m->pages + 7) / 8] = 0x5a;
    assert_int_equal(fake_query(fake, m->handle, 0, 0, 0, clear, bits, (m->pages + 7) / 8),
                     STATUS_SUCCESS);
    assert_int_equal(bits[(m->pages + 7) / 8], 0x5a);
    for (ULONG r = 0; r < m->count; r++) {
        ULONG64 page = m->ranges[r].SegmentOffset / PAGE_BYTES,
                count = m->ranges[r].SizeInBytes / PAGE_BYTES;

        for (ULONG64 i = 0; i < count; i++, at++) {
            assert_int_equal(bit(bits, at), m->set[page + i]);
            if (clear)
                m->set[page + i] = 0;
        }
    }
}

/* DBT-3 */
static void random_bases_agree_with_a_model(void **state)
{
    const char *given = getenv("VF_SEED");
    ULONG64 seed = given ? strtoull(given, NULL, 0) : (ULONG64)time(NULL) * 2654435761u + 1;
    static struct model models[BASES];
    struct fake fake;

    (void)state;
    print_message("# VF_SEED=%llu\n", (unsigned long long)seed);
    fake_start(&fake, CARD);
    for (ULONG i = 0; i < BASES; i++)
        random_basis(&fake, &models[i], &seed);
    for (int step = 0; step < 3000; step++) {
        struct model *m = &models[fake_random(&seed) % BASES];
        ULONG64 page = fake_random(&seed) % MODEL_PAGES, choice = fake_random(&seed) % 8;

        if (choice < 4) {
            dirty(&fake, page);
            for (ULONG i = 0; i < BASES; i++)
                models[i].set[page] = 1;
        } else if (choice < 6) {
            check_whole(&fake, m, choice == 4);
        } else {
            ULONG range = (ULONG)(fake_random(&seed) % m->count);
            ULONG64 count = m->ranges[range].SizeInBytes / PAGE_BYTES,
                    first = fake_random(&seed) % count;

            check_piece(&fake, m, range, first, 1 + fake_random(&seed) % (count - first),
                        choice == 6);
        }
    }
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_shows_until_it_is_cleared),
        cmocka_unit_test(tracking_starts_all_zero),
        cmocka_unit_test(a_subrange_query_leaves_all_other_bits),
        cmocka_unit_test(overlapping_bases_keep_each_others_bits),
        cmocka_unit_test(a_start_hands_old_bits_to_whoever_tracks_them),
        cmocka_unit_test(start_and_stop_out_of_order_are_refused),
        cmocka_unit_test(bases_that_cannot_be_tracked_are_refused),
        cmocka_unit_test(queries_beyond_what_is_tracked_change_nothing),
        cmocka_unit_test(costly_tracking_stays_on_while_anyone_needs_it),
        cmocka_unit_test(random_bases_agree_with_a_model),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-dirty", tests, NULL, NULL);

    fake_unload();
    return failed;
}
