// SPDX-License-Identifier: Apache-2.0
/* --compress auto: over thousands of simulated links, processors and contents it comes close to the
 * best of its ways, and costs next to nothing where none of them helps. */
#include "migrate/pack/choice.h"

#include "base/tests/chance.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define FRAME (1u << 20)
#define FRAMES 4096u /* 4 GiB */
#define NO_TIME 1e18

struct world {
    double link;     /* bytes a second */
    double gather;   /* of content, that can be read and hashed */
    double taken;    /* of content, that the target deals with */
    double speed[4]; /* packing, by way; [0]: takes no time */
    double ratio[4]; /* bytes that are left of one; [0] = 1 */
    double wobble;
};

static unsigned way_of(struct pack_way way)
{
    return way.packing == WIRE_PLAIN ? 0 : way.packing == WIRE_LZ4 ? 1 : way.level == 1 ? 2 : 3;
}

/* What a frame takes, and what of that in sending: reading, packing and sending overlap by what the
 * socket buffers, so the slowest of them is what counts. */
static double frame_s(const struct world *w, unsigned way, double *waited)
{
    const double work = FRAME / w->gather + FRAME / w->speed[way];
    const double wire = FRAME * w->ratio[way] / w->link, target = FRAME / w->taken;
    const double slowest = wire > target ? wire : target;
    const double all = work > slowest ? work : slowest;

    *waited = all - work;
    return all;
}

static double best(const struct world *w)
{
    double waited, least = frame_s(w, 0, &waited);

    for (unsigned way = 1; way < 4; way++)
        least = fmin(least, frame_s(w, way, &waited));
    return least;
}

static double run(const struct world *w, enum pack_wish wish, uint64_t *seed)
{
    struct pack_choice choice;
    double all = 0;

    pack_choice_init(&choice, wish);
    for (unsigned i = 0; i < FRAMES; i++) {
        const unsigned way = way_of(pack_choice_next(&choice));
        double waited, took = frame_s(w, way, &waited);

        took *= 1 + w->wobble * (2 * chance(seed) - 1);
        all += took;
        pack_choice_note(&choice, &(struct pack_note){.bytes = FRAME,
                                                      .packed = way > 0 && w->ratio[way] < 0.9,
                                                      .took_ns = (uint64_t)(took * 1e9),
                                                      .waited_ns = (uint64_t)(waited * 1e9)});
    }
    return all / FRAMES;
}

static struct world any_world(uint64_t *seed)
{
    struct world w = {.link = chance_magnitude(seed, 1e6, 1e10),
                      .gather = chance_magnitude(seed, 3e8, 5e9),
                      .taken = chance_magnitude(seed, 3e8, 5e9),
                      .ratio = {1},
                      .speed = {NO_TIME},
                      .wobble = 0.05 * chance(seed)};
    const double content = chance(seed) < 0.25 ? 1 : chance_magnitude(seed, 0.02, 1);

    w.speed[1] = chance_magnitude(seed, 2e8, 3e9);
    w.speed[2] = w.speed[1] * (0.3 + 0.4 * chance(seed));
    w.speed[3] = w.speed[2] * (0.4 + 0.5 * chance(seed));
    w.ratio[1] = content;
    w.ratio[2] = content < 1 ? content * (0.6 + 0.3 * chance(seed)) : 1;
    w.ratio[3] = content < 1 ? w.ratio[2] * (0.85 + 0.14 * chance(seed)) : 1;
    return w;
}

static void auto_comes_close_to_the_best_way(void **state)
{
    const uint64_t first = chance_seed();
    double worst = 1;
    unsigned close = 0;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        const struct world w = any_world(&seed);
        const double part = run(&w, PACK_AUTO, &seed) / best(&w);

        worst = fmax(worst, part);
        close += part <= 1.1;
    }
    print_message("# within 10 %% of the best: %u of 3000; worst: %.2f times as long\n", close,
                  worst);
    assert_true(close >= 2850 && worst < 1.6);
}

static void auto_costs_next_to_nothing_where_nothing_helps(void **state)
{
    const uint64_t first = chance_seed();
    double sum = 0, worst = 1;
    unsigned count = 0;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        const struct world w = any_world(&seed);
        double waited, plain = frame_s(&w, 0, &waited), part;

        if (best(&w) < plain * 0.97)
            continue;
        part = run(&w, PACK_AUTO, &seed) / plain;
        worst = fmax(worst, part);
        sum += part;
        count++;
    }
    print_message("# %u such: %.1f %% longer on average, %.1f %% at worst\n", count,
                  100 * (sum / count - 1), 100 * (worst - 1));
    assert_true(count > 300 && sum / count < 1.02 && worst < 1.25);
}

static void what_is_wished_is_done_whatever_it_costs(void **state)
{
    struct pack_choice choice;

    (void)state;
    for (enum pack_wish wish = PACK_NONE; wish < PACK_AUTO; wish++) {
        pack_choice_init(&choice, wish);
        for (unsigned i = 0; i < 100; i++)
            pack_choice_note(&choice, &(struct pack_note){.bytes = FRAME,
                                                          .packed = wish != PACK_NONE,
                                                          .took_ns = 1000000 * (i % 7),
                                                          .waited_ns = 500000 * (i % 3)});
        assert_int_equal(pack_choice_next(&choice).packing, wish == PACK_NONE  ? WIRE_PLAIN
                                                            : wish == PACK_LZ4 ? WIRE_LZ4
                                                                               : WIRE_ZSTD);
    }
}

static void content_that_changes_is_noticed(void **state)
{
    struct world w = {.link = 1e8,
                      .gather = 2e9,
                      .taken = 2e9,
                      .ratio = {1, 1, 1, 1},
                      .speed = {NO_TIME, 8e8, 4e8, 2e8}};
    struct pack_choice choice;
    unsigned packed = 0;

    (void)state;
    pack_choice_init(&choice, PACK_AUTO);
    for (unsigned i = 0; i < 2 * FRAMES; i++) {
        const unsigned way = way_of(pack_choice_next(&choice));
        double waited, took;

        if (i == FRAMES) /* noise first, tables then */
            w.ratio[1] = w.ratio[2] = w.ratio[3] = 0.2;
        took = frame_s(&w, way, &waited);
        packed += i >= FRAMES && way > 0;
        pack_choice_note(&choice, &(struct pack_note){.bytes = FRAME,
                                                      .packed = way > 0 && w.ratio[way] < 0.9,
                                                      .took_ns = (uint64_t)(took * 1e9),
                                                      .waited_ns = (uint64_t)(waited * 1e9)});
    }
    print_message("# %u of %u frames packed once that helped\n", packed, FRAMES);
    assert_true(packed > FRAMES / 3);
}

static void names_go_there_and_back(void **state)
{
    (void)state;
    for (int wish = 0; wish < PACK_WISHES; wish++)
        assert_int_equal(pack_wish_of(pack_wish_name((enum pack_wish)wish)), wish);
    assert_int_equal(pack_wish_of("gzip"), -1);
    assert_int_equal(pack_wish_of(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_comes_close_to_the_best_way),
        cmocka_unit_test(auto_costs_next_to_nothing_where_nothing_helps),
        cmocka_unit_test(what_is_wished_is_done_whatever_it_costs),
        cmocka_unit_test(content_that_changes_is_noticed),
        cmocka_unit_test(names_go_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
