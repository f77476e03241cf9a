// SPDX-License-Identifier: Apache-2.0
/* What was recorded of a partition, as a workload: from which pages got dirty to how much is
 * written, and to how much of the VRAM. */
#include "cli/plan/trace.h"

#include "base/tests/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static double far(double a, double b)
{
    return fabs(a / b - 1);
}

/* Writes at random to the pages of a set, and records what its dirty bits would tell. */
static void a_rate_and_a_set_are_found_again(void **state)
{
    enum { SET = 16384, SAMPLES = 50, WRITES = 400 };
    static uint8_t ever[SET];
    double dirty[SAMPLES], seen = 0, made = 0, set;
    uint64_t seed = chance_seed();

    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        static uint8_t now[SET];

        memset(now, 0, sizeof now);
        dirty[i] = 0;
        for (size_t w = 0; w < WRITES; w++) {
            const uint64_t page = chance_below(&seed, SET);

            dirty[i] += !now[page];
            seen += !ever[page];
            now[page] = ever[page] = 1;
        }
    }
    assert_true(seen < SET * 0.9);
    set = trace_set(dirty, SAMPLES, seen, 1e12);
    for (size_t i = 0; i < SAMPLES; i++)
        made += trace_writes(dirty[i], set);
    assert_true(far(set, SET) < 0.1);
    assert_true(far(made, WRITES * SAMPLES) < 0.02);
}

static void nothing_and_everything_have_an_answer(void **state)
{
    const double none[] = {0, 0}, all[] = {64, 64};

    (void)state;
    assert_true(trace_set(none, 2, 0, 100) == 0);
    assert_true(trace_writes(0, 0) == 0);
    assert_true(trace_set(all, 2, 64, 64) == 64);
    assert_true(trace_writes(64, 64) > 64 && trace_writes(64, 64) < 64 * 20);
}

#define HEAD                                                                                       \
    "{\"schema\": \"vferry.trace/1\", \"partition\": \"p\", \"started_unix_ns\": 1, "              \
    "\"vram_bytes\": 1048576, \"page_bytes\": 65536, \"touched_bytes\": 524288, "                  \
    "\"working_set_bytes\": 262144, \"interval_ns\": 100000000, \"samples\": "

static void a_file_becomes_a_workload(void **state)
{
    static const char text[] = HEAD "[{\"duration_ns\": 100000000, \"dirty_bytes\": 131072},"
                                    "{\"duration_ns\": 200000000, \"dirty_bytes\": 0}]}";
    struct trace_file file;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(trace_read(text, strlen(text), "t", &file, &err), 0);
    assert_int_equal(file.trace.count, 2);
    assert_int_equal(file.touched_bytes, 524288);
    assert_true(file.working_set_bytes >= 262144 && file.working_set_bytes <= 524288);
    /* Two dirty pages at least two writes of a block, of which some hit the same page. */
    assert_true(file.rates[0] >= 2 * 4096 * 10 && file.rates[0] < 4 * 4096 * 10);
    assert_true(file.rates[1] == 0);
    trace_free(&file);
}

static void refused(const char *text, const char *names)
{
    struct vf_error err = VF_ERROR_INIT;
    struct trace_file file;

    if (trace_read(text, strlen(text), "t.json", &file, &err) == 0)
        fail_msg("taken: %s", text);
    if (err.code != VF_USAGE || strstr(err.text, names) == NULL || vf_remedy(&err) == NULL)
        fail_msg("%s\nsays: %s", text, err.text);
    trace_free(&file);
}

static void a_wrong_file_is_told_with_its_place(void **state)
{
    (void)state;
    refused("", "is no JSON");
    refused("{}", "vram_bytes: is missing");
    refused("{\"schema\": \"vferry.fleet/1\"}", "vferry.fleet/1");
    refused(HEAD "[]}", "samples: is empty");
    refused(HEAD "3}", "samples: is no list");
    refused(HEAD "[3]}", "samples[0]: is no object");
    refused(HEAD "[{\"duration_ns\": 0, \"dirty_bytes\": 1}]}", "duration_ns: is too small");
    refused(HEAD "[{\"duration_ns\": 1, \"dirty_bytes\": 1048576}]}",
            "more than working_set_bytes");
    refused(HEAD "[{\"duration_ns\": 1, \"dirty_bytes\": -1}]}", "dirty_bytes: is no size");
    refused(HEAD "[{\"duration_ns\": 1, \"dirty\": 1}]}", "did you mean \"dirty_bytes\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_and_a_set_are_found_again),
        cmocka_unit_test(nothing_and_everything_have_an_answer),
        cmocka_unit_test(a_file_becomes_a_workload),
        cmocka_unit_test(a_wrong_file_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
