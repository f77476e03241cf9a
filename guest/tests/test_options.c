// SPDX-License-Identifier: Apache-2.0
/* Options: what people type becomes a request, or one line that tells what is wrong. */
#include "guest/tests/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PAIRS 5

struct wish {
    const char *workload;
    struct guest_pair pairs[PAIRS];
};

static int parse(const struct wish *wish, struct guest_options *options, struct vf_error *err)
{
    size_t count = 0;

    while (count < PAIRS && wish->pairs[count].key != NULL)
        count++;
    return guest_options_parse(wish->workload, wish->pairs, count, options, err);
}

static void parse_takes_every_option_of_churn(void **state)
{
    const struct wish wish = {
        "churn", {{"size", "64M"}, {"hot", "8K"}, {"rate", "1G"}, {"steps", "12"}, {"seed", "3"}}};
    struct guest_options options;

    (void)state;
    assert_int_equal(parse(&wish, &options, NULL), 0);
    assert_int_equal(options.workload, GUEST_CHURN);
    assert_int_equal(options.size, 64 << 20);
    assert_int_equal(options.hot, 8192);
    assert_int_equal(options.rate, 1 << 30);
    assert_int_equal(options.steps, 12);
    assert_int_equal(options.seed, 3);
    assert_int_equal(guest_options_check(&options, NULL), 0);
}

static void parse_refuses(void **state)
{
    static const struct {
        struct wish wish;
        const char *why;
    } bad[] = {
        {{"mine", {{0}}}, "no such workload"},
        {{"none", {{0}}}, "no such workload"},
        {{"gemm", {{"size", "1M"}}}, "no option --size"},
        {{"gemm", {{"", "1"}}}, "no option"},
        {{"gemm", {{"n steps", "1"}}}, "no option"},
        {{"gemm", {{"n", "12x"}}}, "whole number"},
        {{"gemm", {{"n", ""}}}, "whole number"},
        {{"gemm", {{"n", "-1"}}}, "whole number"},
        {{"gemm", {{"n", "8"}, {"n", "8"}}}, "twice"},
        {{"gemm", {{"n", "0"}}}, "must not be 0"},
        {{"fill", {{"size", "99999999999G"}}}, "too large"},
        {{"fill", {{"steps", "2"}}}, "no option --steps"},
        {{"churn", {{"rate", "0"}}}, "must not be 0"},
        {{"diffuse", {{"seed", "1"}}}, "no option --seed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct guest_options options;

        assert_int_equal(parse(&bad[i].wish, &options, &err), -1);
        assert_int_equal(err.code, VF_USAGE);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("case %zu was refused with \"%s\"", i, err.text);
    }
}

static void check_refuses(void **state)
{
    static const struct {
        struct guest_options options;
        const char *why;
    } bad[] = {
        {{.workload = GUEST_NONE}, "no workload"},
        {{.workload = (enum guest_workload)77}, "no workload"},
        {{.workload = GUEST_DIFFUSE, .steps = 1}, "--input is missing"},
        {{.workload = GUEST_DIFFUSE, .input = "P5 1 1 255 x", .input_bytes = 12},
         "--steps is missing"},
        {{.workload = GUEST_GEMM, .n = 4}, "--steps is missing"},
        {{.workload = GUEST_GEMM, .steps = 4}, "--n is missing"},
        {{.workload = GUEST_GEMM, .n = 65537, .steps = 4}, "too large"},
        {{.workload = GUEST_GEMM, .n = UINT64_MAX, .steps = 4}, "too large"},
        {{.workload = GUEST_CHURN, .steps = 4}, "--size is missing"},
        {{.workload = GUEST_CHURN, .size = 4096}, "--steps is missing"},
        {{.workload = GUEST_CHURN, .size = 4097, .steps = 1}, "whole number of pages"},
        {{.workload = GUEST_CHURN, .size = 8192, .hot = 100, .steps = 1}, "whole number of pages"},
        {{.workload = GUEST_CHURN, .size = 4096, .hot = 8192, .steps = 1}, "more than --size"},
        {{.workload = GUEST_CHURN, .size = UINT64_MAX & ~4095ull, .steps = 1}, "larger than any"},
        {{.workload = GUEST_CHURN, .size = 4096, .steps = UINT64_MAX, .rate = 1}, "500 years"},
        {{.workload = GUEST_FILL}, "--size is missing"},
        {{.workload = GUEST_FILL, .size = 128ull << 30}, "needs more VRAM"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;

        assert_int_equal(guest_options_check(&bad[i].options, &err), -1);
        assert_int_equal(err.code, VF_USAGE);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("case %zu was refused with \"%s\"", i, err.text);
        assert_true(guest_vram_needed(&bad[i].options) == UINT64_MAX);
    }
}

static void vram_needed_is_exactly_enough(void **state)
{
    static const struct guest_options wishes[] = {
        {.workload = GUEST_GEMM, .n = 33, .steps = 1},
        {.workload = GUEST_CHURN, .size = 8192, .steps = 1},
        {.workload = GUEST_FILL, .size = 4096},
        {.workload = GUEST_DIFFUSE, .input = "P5 1 3 255 abc", .input_bytes = 14, .steps = 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        uint64_t needed = guest_vram_needed(&wishes[i]);
        struct vf_error err = VF_ERROR_INIT;
        struct plain plain;

        plain_open(&plain, needed);
        assert_int_equal(guest_start(&wishes[i], &plain.memory, &err), 0);
        plain.memory.bytes = needed - 1;
        assert_int_equal(guest_start(&wishes[i], &plain.memory, &err), -1);
        assert_int_equal(err.code, VF_FAILED);
        assert_non_null(strstr(err.text, "of VRAM"));
        assert_non_null(strstr(err.text, "--vram"));
        plain_close(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_takes_every_option_of_churn),
        cmocka_unit_test(parse_refuses),
        cmocka_unit_test(check_refuses),
        cmocka_unit_test(vram_needed_is_exactly_enough),
    };

    return cmocka_run_group_tests_name("guest options", tests, NULL, NULL);
}
