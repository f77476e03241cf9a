// SPDX-License-Identifier: Apache-2.0
/* Which RESUME is followed, and what two tables of digests say is owed. */
#include "migrate/digest/difference.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE 65536u
#define PAGES (WIRE_TABLE_DIGESTS + 904u) /* neither whole tables nor whole words */

static const struct resume_point point = {
    .id = {.job = {1}, .uuid = {2}, .epoch = 3}, .generation = 4, .rounds = 6, .proven = 5};

static struct wire_resume right(void)
{
    return (struct wire_resume){.id = point.id, .generation = 5, .next_round = 5};
}

static void expect_refused(const struct resume_point *at, const struct wire_resume *asked,
                           const char *words)
{
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(resume_check(at, asked, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
}

static void the_interrupted_round_may_come_again(void **state)
{
    struct wire_resume asked = right();
    struct vf_error err;

    (void)state;
    assert_int_equal(resume_check(&point, &asked, &err), 0);
    asked.generation = UINT32_MAX;
    assert_int_equal(resume_check(&point, &asked, &err), 0);
}

/* The ACKs of round 5 came through, or they did not. */
static void after_the_last_ack_either_round_may_come(void **state)
{
    struct resume_point at = point;
    struct wire_resume asked = right();
    struct vf_error err;

    (void)state;
    at.proven = 6;
    assert_int_equal(resume_check(&at, &asked, &err), 0);
    asked.next_round = 6;
    assert_int_equal(resume_check(&at, &asked, &err), 0);
    asked.next_round = 7;
    expect_refused(&at, &asked, "round 7");
    asked.next_round = 4;
    expect_refused(&at, &asked, "round 4");
}

static void a_link_lost_before_the_first_round_resumes_with_it(void **state)
{
    struct resume_point at = point;
    struct wire_resume asked = right();
    struct vf_error err;

    (void)state;
    at.rounds = at.proven = 0;
    asked.next_round = 0;
    assert_int_equal(resume_check(&at, &asked, &err), 0);
    asked.next_round = 1;
    expect_refused(&at, &asked, "round 1");
    asked.next_round = UINT32_MAX;
    expect_refused(&at, &asked, "round");
}

static void a_round_that_is_not_proven_is_not_passed_over(void **state)
{
    struct wire_resume asked = right();

    (void)state;
    asked.next_round = 6;
    expect_refused(&point, &asked, "5 are proven");
}

static void an_old_connection_is_refused(void **state)
{
    struct wire_resume asked = right();

    (void)state;
    for (asked.generation = 0; asked.generation <= point.generation; asked.generation++)
        expect_refused(&point, &asked, "was there already");
}

static void another_hand_off_is_refused(void **state)
{
    struct wire_resume asked = right();

    (void)state;
    asked.id.job[15] ^= 1;
    expect_refused(&point, &asked, "another hand-off");
    asked = right();
    asked.id.uuid[0] ^= 1;
    expect_refused(&point, &asked, "another hand-off");
    asked = right();
    asked.id.epoch++;
    expect_refused(&point, &asked, "another hand-off");
}

struct tables {
    struct digest_table *ours, *theirs;
    uint64_t bits[PAGES / 64 + 1];
    uint64_t digests[WIRE_TABLE_DIGESTS];
};

static int make_tables(void **state)
{
    struct tables *t = calloc(1, sizeof *t);
    struct vf_error err;

    *state = t;
    return t == NULL || digest_table_new(PAGES, PAGE, &t->ours, &err) != 0 ||
                   digest_table_new(PAGES, PAGE, &t->theirs, &err) != 0
               ? -1
               : 0;
}

static int drop_tables(void **state)
{
    struct tables *t = *state;

    digest_table_free(t->ours);
    digest_table_free(t->theirs);
    free(t);
    return 0;
}

static bool owed(const struct tables *t, uint64_t page)
{
    return (t->bits[page / 64] >> (page % 64) & 1) != 0;
}

/* All of their table, as TABLE records would carry it. */
static void exchange(struct tables *t)
{
    uint64_t next = 0;
    struct vf_error err = VF_ERROR_INIT;

    while (next < PAGES) {
        struct wire_table told = {.first = next, .digests = t->digests};

        told.count = resume_tell(t->theirs, next, t->digests);
        assert_int_equal(told.count, next == 0 ? WIRE_TABLE_DIGESTS : PAGES - WIRE_TABLE_DIGESTS);
        if (resume_take(t->ours, &told, &next, t->bits, &err) != 0)
            fail_msg("%s", err.text);
    }
    assert_int_equal(next, PAGES);
    assert_int_equal(resume_tell(t->theirs, next, t->digests), 0);
}

static void only_pages_that_differ_are_owed(void **state)
{
    static const uint64_t differing[] = {
        0, 63, 64, WIRE_TABLE_DIGESTS - 1, WIRE_TABLE_DIGESTS, PAGES - 1};
    struct tables *t = *state;
    uint64_t count = 0;

    for (uint64_t page = 0; page < PAGES; page++) {
        digest_set(t->ours, page, page * 7919 + 1);
        digest_set(t->theirs, page, page * 7919 + 1);
    }
    for (size_t i = 0; i < sizeof differing / sizeof *differing; i++)
        digest_set(t->theirs, differing[i], 4711);
    t->bits[1] = 1ull << 5; /* of the interrupted round: stays */
    exchange(t);
    for (uint64_t page = 0; page < PAGES; page++)
        count += owed(t, page);
    assert_int_equal(count, sizeof differing / sizeof *differing + 1);
    for (size_t i = 0; i < sizeof differing / sizeof *differing; i++)
        assert_true(owed(t, differing[i]));
    assert_true(owed(t, 69));
}

/* What was sent and never arrived must not pass for known when the page is gathered again. */
static void their_digests_become_ours(void **state)
{
    struct tables *t = *state;
    uint8_t ours[DIGEST_ROOT_BYTES], theirs[DIGEST_ROOT_BYTES];

    for (uint64_t page = 0; page < PAGES; page += 3)
        digest_set(t->ours, page, page + 1);
    for (uint64_t page = 0; page < PAGES; page += 6)
        digest_set(t->theirs, page, page + 1);
    digest_root(t->ours, ours, NULL);
    exchange(t);
    for (uint64_t page = 0; page < PAGES; page++) {
        assert_true(digest_get(t->ours, page) == digest_get(t->theirs, page));
        assert_int_equal(owed(t, page), page % 6 == 3);
    }
    digest_root(t->ours, ours, NULL);
    digest_root(t->theirs, theirs, NULL);
    assert_memory_equal(ours, theirs, sizeof ours);
}

/* Never sent = proven zero: both tables begin so, and nothing of them is owed. */
static void pages_never_sent_are_not_owed(void **state)
{
    struct tables *t = *state;

    exchange(t);
    for (uint64_t page = 0; page < PAGES; page++)
        assert_false(owed(t, page));
}

static void a_table_with_gaps_or_beyond_the_end_is_refused(void **state)
{
    struct tables *t = *state;
    static const struct {
        uint64_t next, first;
        uint32_t count;
    } bad[] = {{0, 1, 1},         {5, 4, 1},          {PAGES - 1, PAGES - 1, 2},
               {PAGES, PAGES, 1}, {0, UINT64_MAX, 1}, {UINT64_MAX, UINT64_MAX, 1}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wire_table told = {bad[i].first, bad[i].count, t->digests};
        uint64_t next = bad[i].next;
        struct vf_error err = VF_ERROR_INIT;

        assert_int_equal(resume_take(t->ours, &told, &next, t->bits, &err), -1);
        assert_true(next == bad[i].next);
        assert_non_null(strstr(err.text, "its table"));
    }
    for (uint64_t page = 0; page < PAGES; page++)
        assert_false(owed(t, page));
}

#define WITH_TABLES(f) cmocka_unit_test_setup_teardown(f, make_tables, drop_tables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interrupted_round_may_come_again),
        cmocka_unit_test(after_the_last_ack_either_round_may_come),
        cmocka_unit_test(a_link_lost_before_the_first_round_resumes_with_it),
        cmocka_unit_test(a_round_that_is_not_proven_is_not_passed_over),
        cmocka_unit_test(an_old_connection_is_refused),
        cmocka_unit_test(another_hand_off_is_refused),
        WITH_TABLES(only_pages_that_differ_are_owed),
        WITH_TABLES(their_digests_become_ours),
        WITH_TABLES(pages_never_sent_are_not_owed),
        WITH_TABLES(a_table_with_gaps_or_beyond_the_end_is_refused),
    };

    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
