// SPDX-License-Identifier: Apache-2.0
/* Page digests: the tree gives one root for one content, whatever the order, the threads and what
 * was hashed before. */
#include "migrate/digest/digest.h"

#include "base/tests/chance.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PAGE 4096u

static struct digest_table *table_of(uint64_t pages)
{
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(digest_table_new(pages, PAGE, &table, &err), 0);
    return table;
}

static void all_pages_begin_as_zero_pages(void **state)
{
    const uint8_t *zeros = calloc(1, PAGE);
    struct digest_table *table = table_of(1000);

    (void)state;
    assert_non_null(zeros);
    assert_int_equal(digest_table_pages(table), 1000);
    assert_int_equal(digest_table_zero(table), digest_page(zeros, PAGE));
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(digest_get(table, i), digest_table_zero(table));
    digest_table_free(table);
    free((void *)(uintptr_t)zeros);
}

/* The zero page of 1 MiB is hashed piecewise; it must equal the hash of the whole. */
static void zero_digest_of_a_large_page_is_that_of_its_bytes(void **state)
{
    const size_t bytes = 1u << 20;
    void *zeros = calloc(1, bytes);
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_non_null(zeros);
    assert_int_equal(digest_table_new(3, bytes, &table, &err), 0);
    assert_int_equal(digest_table_zero(table), digest_page(zeros, bytes));
    digest_table_free(table);
    free(zeros);
}

static void root_hashes_only_changed_nodes(void **state)
{
    struct digest_table *table = table_of(10 * DIGEST_NODE_PAGES + 1);
    uint8_t root[DIGEST_ROOT_BYTES];
    uint64_t hashed;

    (void)state;
    digest_root(table, root, &hashed);
    assert_int_equal(hashed, 0);
    digest_set(table, 0, 1);
    digest_set(table, DIGEST_NODE_PAGES - 1, 2);
    digest_set(table, 10 * DIGEST_NODE_PAGES, 3);
    digest_root(table, root, &hashed);
    assert_int_equal(hashed, 2);
    digest_root(table, root, &hashed);
    assert_int_equal(hashed, 0);
    digest_table_free(table);
}

static void every_page_counts_into_the_root(void **state)
{
    const uint64_t pages = 2 * DIGEST_NODE_PAGES + 5;
    struct digest_table *table = table_of(pages);
    uint8_t clean[DIGEST_ROOT_BYTES], root[DIGEST_ROOT_BYTES];

    (void)state;
    digest_root(table, clean, NULL);
    for (uint64_t i = 0; i < pages; i++) {
        digest_set(table, i, 0x1234);
        digest_root(table, root, NULL);
        assert_memory_not_equal(root, clean, sizeof root);
        digest_set(table, i, digest_table_zero(table));
        digest_root(table, root, NULL);
        assert_memory_equal(root, clean, sizeof root);
    }
    digest_table_free(table);
}

static void geometry_counts_into_the_root(void **state)
{
    uint8_t roots[3][DIGEST_ROOT_BYTES];
    const struct {
        uint64_t pages, page_bytes;
    } shapes[3] = {{512, 4096}, {513, 4096}, {512, 8192}};
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct digest_table *table;

        assert_int_equal(digest_table_new(shapes[i].pages, shapes[i].page_bytes, &table, &err), 0);
        for (uint64_t page = 0; page < shapes[i].pages; page++)
            digest_set(table, page, 7); /* alike: only the shape differs */
        digest_root(table, roots[i], NULL);
        digest_table_free(table);
    }
    assert_memory_not_equal(roots[0], roots[1], DIGEST_ROOT_BYTES);
    assert_memory_not_equal(roots[0], roots[2], DIGEST_ROOT_BYTES);
}

static void impossible_shapes_are_refused(void **state)
{
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(digest_table_new(0, PAGE, &table, &err), -1);
    assert_int_equal(digest_table_new(1, 0, &table, &err), -1);
    assert_int_equal(digest_table_new(1, 100, &table, &err), -1);
    assert_int_equal(digest_table_new(UINT64_MAX, PAGE, &table, &err), -1);
    assert_null(table);
}

static void page_out_of_range_changes_nothing(void **state)
{
    struct digest_table *table = table_of(100);
    uint8_t before[DIGEST_ROOT_BYTES], after[DIGEST_ROOT_BYTES];

    (void)state;
    digest_root(table, before, NULL);
    digest_set(table, 100, 1);
    digest_set(table, UINT64_MAX, 1);
    assert_int_equal(digest_get(table, 100), 0);
    digest_root(table, after, NULL);
    assert_memory_equal(before, after, sizeof before);
    digest_table_free(table);
}

enum { THREADS = 4, THREAD_PAGES = 20000 };

struct setter {
    struct digest_table *table;
    uint64_t start;
};

/* Pages of all threads share nodes, so that the nodes' flags are really contended. */
static void *set_every_fourth(void *arg)
{
    const struct setter *setter = arg;

    for (uint64_t page = setter->start; page < THREAD_PAGES; page += THREADS)
        digest_set(setter->table, page, page * 0x9e3779b97f4a7c15ull);
    return NULL;
}

static void threads_may_set_different_pages_at_once(void **state)
{
    struct digest_table *shared = table_of(THREAD_PAGES), *alone = table_of(THREAD_PAGES);
    uint8_t shared_root[DIGEST_ROOT_BYTES], alone_root[DIGEST_ROOT_BYTES];
    struct setter setters[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    for (uint64_t i = 0; i < THREADS; i++) {
        setters[i] = (struct setter){shared, i};
        assert_int_equal(pthread_create(&threads[i], NULL, set_every_fourth, &setters[i]), 0);
    }
    for (int i = 0; i < 50; i++)
        digest_root(shared, shared_root, NULL); /* takes flags meanwhile: none may get lost */
    for (uint64_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        set_every_fourth(&(struct setter){alone, i});
    }
    digest_root(shared, shared_root, NULL);
    digest_root(alone, alone_root, NULL);
    assert_memory_equal(shared_root, alone_root, DIGEST_ROOT_BYTES);
    digest_table_free(shared);
    digest_table_free(alone);
}

static void incremental_root_equals_the_one_from_scratch(void **state)
{
    uint64_t seed = chance_seed();
    struct digest_table *table = table_of(5000);
    uint8_t root[DIGEST_ROOT_BYTES], fresh_root[DIGEST_ROOT_BYTES];

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct digest_table *fresh = table_of(5000);

        for (int k = (int)chance_below(&seed, 20); k > 0; k--)
            digest_set(table, chance_below(&seed, 5000), chance_bits(&seed));
        for (uint64_t page = 0; page < 5000; page++)
            digest_set(fresh, page, digest_get(table, page));
        digest_root(table, root, NULL);
        digest_root(fresh, fresh_root, NULL);
        assert_memory_equal(root, fresh_root, sizeof root);
        digest_table_free(fresh);
    }
    digest_table_free(table);
}

static uint64_t digest_by(const uint8_t *key, const uint8_t *page, uint8_t root[DIGEST_ROOT_BYTES])
{
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t digest;

    assert_int_equal(digest_table_new_keyed(1000, PAGE, key, &table, &err), 0);
    digest = digest_of(table, page, NULL);
    assert_int_equal(digest_get(table, 999), digest_table_zero(table));
    digest_set(table, 7, digest);
    assert_int_equal(digest_get(table, 7), digest);
    digest_root(table, root, NULL);
    digest_table_free(table);
    return digest;
}

/* Both hosts of a move come to the same, and a guest cannot know what they come to. */
static void digests_depend_on_the_key(void **state)
{
    static const uint8_t keys[][DIGEST_KEY_BYTES] = {{0}, {1}, {2}, {[15] = 1}};
    static const uint8_t zeros[PAGE];
    uint8_t root[4][DIGEST_ROOT_BYTES], again[DIGEST_ROOT_BYTES];
    uint64_t digest[4], zero[4], seed = 3;
    uint8_t page[PAGE];

    (void)state;
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)chance_bits(&seed);
    for (unsigned i = 0; i < 4; i++) {
        zero[i] = digest_by(keys[i], zeros, again);
        digest[i] = digest_by(keys[i], page, root[i]);
        assert_int_equal(digest_by(keys[i], page, again), digest[i]);
        assert_memory_equal(root[i], again, sizeof again);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(digest[k], digest[i]);
            assert_int_not_equal(zero[k], zero[i]);
            assert_memory_not_equal(root[k], root[i], sizeof again);
        }
    }
    assert_int_equal(digest[0], digest_page(page, sizeof page));
}

static void zero_page_test_sees_every_byte(void **state)
{
    uint8_t *page = calloc(1, PAGE);

    (void)state;
    assert_non_null(page);
    assert_true(digest_is_zero_page(page, PAGE));
    for (size_t bytes = 1; bytes < 200; bytes++)
        assert_true(digest_is_zero_page(page, bytes));
    for (size_t i = 0; i < PAGE; i++) {
        page[i] = 1;
        assert_false(digest_is_zero_page(page, PAGE));
        if (i < 200)
            assert_true(i == 0 || digest_is_zero_page(page, i));
        page[i] = 0;
    }
    free(page);
}

static void text_form_names_its_algorithm(void **state)
{
    uint8_t root[DIGEST_ROOT_BYTES];
    char text[DIGEST_TEXT];

    (void)state;
    for (unsigned i = 0; i < DIGEST_ROOT_BYTES; i++)
        root[i] = (uint8_t)(i * 17);
    digest_format(root, text);
    assert_string_equal(text, "xxh3-128:00112233445566778899aabbccddeeff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pages_begin_as_zero_pages),
        cmocka_unit_test(zero_digest_of_a_large_page_is_that_of_its_bytes),
        cmocka_unit_test(root_hashes_only_changed_nodes),
        cmocka_unit_test(every_page_counts_into_the_root),
        cmocka_unit_test(geometry_counts_into_the_root),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(page_out_of_range_changes_nothing),
        cmocka_unit_test(threads_may_set_different_pages_at_once),
        cmocka_unit_test(incremental_root_equals_the_one_from_scratch),
        cmocka_unit_test(digests_depend_on_the_key),
        cmocka_unit_test(zero_page_test_sees_every_byte),
        cmocka_unit_test(text_form_names_its_algorithm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
