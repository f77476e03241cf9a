// SPDX-License-Identifier: Apache-2.0
/* From a dirty bitplane to the pages that are sent, of which a dirty bit covers several. */
#include "migrate/stream/spread.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DIRTY 200u /* no multiple of 64 */
#define MOST 1024u

static bool bit(const uint64_t *bits, uint64_t at)
{
    return (bits[at / 64] >> (at % 64) & 1) != 0;
}

static void set(uint64_t *bits, uint64_t at)
{
    bits[at / 64] |= 1ull << (at % 64);
}

static void each_dirty_bit_owes_all_that_it_covers(void **state)
{
    static uint64_t dirty[(DIRTY + 63) / 64], bits[DIRTY * MOST / 64], model[DIRTY * MOST / 64];
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("# SEED=%u\n", seed);
    for (uint64_t pages = 1; pages <= MOST; pages *= 2) {
        uint64_t expected = 0;

        memset(dirty, 0, sizeof dirty);
        memset(bits, 0, sizeof bits);
        memset(model, 0, sizeof model);
        for (unsigned i = 0; i < 40; i++) { /* owed from before */
            uint64_t at = (uint64_t)rand_r(&seed) % (DIRTY * pages);

            set(bits, at);
            set(model, at);
        }
        for (unsigned i = 0; i < 60; i++) {
            uint64_t at = i == 0 ? 0 : i == 1 ? DIRTY - 1 : (uint64_t)rand_r(&seed) % DIRTY;

            set(dirty, at);
            for (uint64_t page = 0; page < pages; page++)
                set(model, at * pages + page);
        }
        for (uint64_t at = 0; at < DIRTY * pages; at++)
            expected += bit(model, at);
        assert_int_equal(stream_spread_dirty(dirty, DIRTY, pages, bits), expected);
        assert_memory_equal(bits, model, sizeof bits);
    }
}

/* What a driver sets behind the last page is none. */
static void bits_behind_the_last_page_owe_nothing(void **state)
{
    const uint64_t dirty[] = {UINT64_MAX};
    uint64_t bits[2] = {0};

    (void)state;
    assert_int_equal(stream_spread_dirty(dirty, 3, 16, bits), 48);
    assert_int_equal(bits[0], (1ull << 48) - 1);
    assert_int_equal(bits[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dirty_bit_owes_all_that_it_covers),
        cmocka_unit_test(bits_behind_the_last_page_owe_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
