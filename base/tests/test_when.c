// SPDX-License-Identifier: Apache-2.0
/* Moments as people write them. */
#include "base/when.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NOW 1764388800000000123ull /* 2025-11-29T04:00:00Z and 123 ns */
#define SECOND 1000000000ull

static uint64_t when(const char *text)
{
    uint64_t ns = 0;

    if (vf_when_parse(text, NOW, &ns) != 0)
        fail_msg("\"%s\" was refused", text);
    return ns;
}

static void an_age_counts_back_from_now(void **state)
{
    (void)state;
    assert_int_equal(when("0s"), NOW);
    assert_int_equal(when("90s"), NOW - 90 * SECOND);
    assert_int_equal(when("15m"), NOW - 15 * 60 * SECOND);
    assert_int_equal(when("2h"), NOW - 2 * 3600 * SECOND);
    assert_int_equal(when("3d"), NOW - 3 * 86400 * SECOND);
    assert_int_equal(when("9999999999d"), 0);
}

static void rfc_3339_says_its_zone(void **state)
{
    const uint64_t hour = 1764388800ull * SECOND;

    (void)state;
    assert_int_equal(when("2025-11-29T04:00:00Z"), hour);
    assert_int_equal(when("2025-11-29t04:00:00z"), hour);
    assert_int_equal(when("2025-11-29 04:00:00Z"), hour);
    assert_int_equal(when("2025-11-29T05:30:00+01:30"), hour);
    assert_int_equal(when("2025-11-28T23:00:00-05:00"), hour);
    assert_int_equal(when("2025-11-29T04:00:00.25Z"), hour + SECOND / 4);
    assert_int_equal(when("2025-11-29T04:00:00.000000000999Z"), hour);
    assert_int_equal(when("2024-02-29T00:00:00Z"), 1709164800ull * SECOND);
}

static void without_a_zone_it_is_local_time(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "XST-3", 1), 0); /* three hours east */
    tzset();
    assert_int_equal(when("2025-11-29 07:00"), 1764388800ull * SECOND);
    assert_int_equal(when("2025-11-29 07:00:05"), 1764388805ull * SECOND);
    assert_int_equal(when("2025-11-29T07:00:05.5"), 1764388805ull * SECOND + SECOND / 2);
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "s",
        "5",
        "-5m",
        "+5m",
        "5 m",
        "5w",
        "5mm",
        "1.5h",
        "99999999999d",
        "yesterday",
        "2025-11-29",
        "2025-11-29T",
        "2025-11-29 4:00",
        "2025-13-01 00:00",
        "2025-00-01 00:00",
        "2025-02-29 00:00",
        "2025-04-31 00:00",
        "2025-11-29 24:00",
        "2025-11-29 23:60",
        "2025-11-29 23:59:61",
        "2025-11-29 23:59:",
        "2025-11-29 23:59:00.",
        "2025-11-29T23:59:00+1:00",
        "2025-11-29T23:59:00+01",
        "2025-11-29T23:59:00Z ",
        "1969-12-31 23:59",
        "1970-01-01T00:00:00+01:00",
        "9999-12-31T00:00:00Z",
        "29.11.2025 04:00",
    };
    uint64_t ns = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (vf_when_parse(bad[i], NOW, &ns) == 0)
            fail_msg("\"%s\" was taken as %" PRIu64, bad[i], ns);
        assert_int_equal(ns, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_age_counts_back_from_now),
        cmocka_unit_test(rfc_3339_says_its_zone),
        cmocka_unit_test(without_a_zone_it_is_local_time),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
