// SPDX-License-Identifier: Apache-2.0
/* Where partitions go, and what is told of several outcomes. */
#include "cli/move/set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GIB (1ull << 30)

static struct place_host host(uint64_t vf_free, uint64_t free_gib, uint64_t largest_gib)
{
    return (struct place_host){
        .known = true,
        .takes = true,
        .count = 1,
        .adapters = {{vf_free, free_gib * GIB, largest_gib * GIB}},
    };
}

static void the_host_with_most_vram_left_takes_it(void **state)
{
    struct place_host hosts[] = {host(4, 2, 2), host(4, 8, 8), host(4, 4, 4)};

    (void)state;
    assert_int_equal(place_choose(hosts, 3, GIB, 0), 1);
    assert_int_equal(place_choose(hosts, 3, GIB, 1u << 1), 2);
    assert_int_equal(place_choose(hosts, 3, GIB, 7), PLACE_NONE);
}

static void what_went_there_is_not_free_any_more(void **state)
{
    struct place_host hosts[] = {host(2, 4, 4), host(8, 3, 3)};
    size_t to[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        to[i] = place_choose(hosts, 2, 2 * GIB, 0);
        if (to[i] != PLACE_NONE)
            place_take(&hosts[to[i]], 2 * GIB);
    }
    assert_int_equal(to[0], 0);
    assert_int_equal(to[1], 1); /* 1 GiB left there, 0 here */
    assert_int_equal(to[2], 0);
    assert_int_equal(to[3], PLACE_NONE);
}

static void free_vfs_and_the_largest_hole_bind_as_well(void **state)
{
    struct place_host hosts[] = {host(0, 9, 9), host(4, 8, 1), host(4, 2, 2)};

    (void)state;
    assert_int_equal(place_choose(hosts, 3, 2 * GIB, 0), 2);
}

static void a_cordoned_host_gets_none(void **state)
{
    struct place_host hosts[] = {host(4, 9, 9), host(4, 2, 2)};

    (void)state;
    hosts[0].takes = false;
    assert_int_equal(place_choose(hosts, 2, GIB, 0), 1);
    assert_int_equal(place_choose(hosts, 1, GIB, 0), PLACE_NONE);
}

static void a_host_that_could_not_be_asked_is_tried_last(void **state)
{
    struct place_host hosts[] = {{.known = false}, host(4, 2, 2)};

    (void)state;
    assert_int_equal(place_choose(hosts, 2, GIB, 0), 1);
    assert_int_equal(place_choose(hosts, 2, GIB, 2), 0);
    assert_int_equal(place_choose(hosts, 2, 4 * GIB, 0), 0);
    assert_int_equal(place_choose(hosts, 2, 4 * GIB, 1), PLACE_NONE);
}

static void the_worst_outcome_is_told(void **state)
{
    static const enum vf_code order[] = {VF_OK,     VF_CANCELLED, VF_REFUSED_NOW, VF_INCOMPATIBLE,
                                         VF_FAILED, VF_STANDS,    VF_UNKNOWN};

    (void)state;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        for (size_t j = 0; j < sizeof order / sizeof *order; j++)
            assert_int_equal(move_set_worse(order[i], order[j]), order[i > j ? i : j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_with_most_vram_left_takes_it),
        cmocka_unit_test(what_went_there_is_not_free_any_more),
        cmocka_unit_test(free_vfs_and_the_largest_hole_bind_as_well),
        cmocka_unit_test(a_cordoned_host_gets_none),
        cmocka_unit_test(a_host_that_could_not_be_asked_is_tried_last),
        cmocka_unit_test(the_worst_outcome_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
