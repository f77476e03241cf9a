// SPDX-License-Identifier: Apache-2.0
/* Hosts emptied in thought: every partition is placed once, no host gets more than it has room for,
 * no network more than its rate, and a large fleet takes seconds. */
#include "cli/plan/fleet.h"

#include "base/clock.h"
#include "base/tests/chance.h"
#include "base/tests/tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define S 1000000000ull

static const struct plan_move limits = {.page_bytes = 4096,
                                        .fixed_blackout_ns = PLAN_FIXED_BLACKOUT_NS,
                                        .max_blackout_ns = PLAN_MAX_BLACKOUT_NS,
                                        .throttle_most = 99};

/* ---- fleets made by chance ---- */

static void make_fleet(struct fleet *fleet, size_t hosts, size_t leaving, size_t partitions,
                       uint64_t *seed)
{
    *fleet = (struct fleet){.host_count = hosts, .partition_count = partitions};
    fleet->hosts = calloc(hosts, sizeof *fleet->hosts);
    fleet->links = calloc(hosts, sizeof *fleet->links);
    fleet->partitions = calloc(partitions, sizeof *fleet->partitions);
    assert_true(fleet->hosts != NULL && fleet->links != NULL && fleet->partitions != NULL);
    for (size_t i = 0; i < hosts; i++) {
        fleet->hosts[i] =
            (struct fleet_host){.name = "h",
                                .vram_free_bytes = (uint64_t)chance_magnitude(seed, 1e6, 1e12),
                                .vf_free = chance_below(seed, 65),
                                .nic_bytes_per_s = (uint64_t)chance_magnitude(seed, 1.1e6, 1e11),
                                .evacuate = i < leaving,
                                .takes = i >= leaving && chance(seed) < 0.9};
        /* To the next host: a and b rise, so they are sorted. */
        if (i + 1 < hosts && chance(seed) < 0.5)
            fleet->links[fleet->link_count++] =
                (struct fleet_link){i, i + 1, (uint64_t)chance_magnitude(seed, 1.1e6, 1e10)};
    }
    for (size_t i = 0; i < partitions; i++) {
        struct fleet_partition *p = &fleet->partitions[i];

        *p = (struct fleet_partition){.name = "p",
                                      .host = chance_below(seed, hosts),
                                      .vram_bytes = (uint64_t)chance_magnitude(seed, 4096, 1e11),
                                      .move = limits};
        p->move.touched_bytes = (uint64_t)((double)p->vram_bytes * chance(seed));
        p->move.working_set_bytes = (uint64_t)((double)p->move.touched_bytes * chance(seed));
        p->move.write_bytes_per_s = (uint64_t)chance_magnitude(seed, 1, 1e10);
    }
}

/* ---- what must hold ---- */

static void check_rooms(const struct fleet *fleet, const struct fleet_move *moves)
{
    uint64_t *vram = calloc(fleet->host_count, sizeof *vram);
    uint64_t *vfs = calloc(fleet->host_count, sizeof *vfs);

    assert_true(vram != NULL && vfs != NULL);
    for (size_t i = 0; i < fleet->partition_count; i++) {
        const size_t to = moves[i].to;

        assert_true(moves[i].leaves == fleet->hosts[fleet->partitions[i].host].evacuate);
        if (to == FLEET_NOWHERE)
            continue;
        assert_true(moves[i].leaves && fleet->hosts[to].takes);
        vram[to] += fleet->partitions[i].vram_bytes;
        vfs[to]++;
    }
    for (size_t i = 0; i < fleet->host_count; i++)
        assert_true(vram[i] <= fleet->hosts[i].vram_free_bytes &&
                    vfs[i] <= fleet->hosts[i].vf_free);
    /* What was left has indeed no room in what is over. */
    for (size_t i = 0; i < fleet->partition_count; i++) {
        if (!moves[i].leaves || moves[i].to != FLEET_NOWHERE)
            continue;
        for (size_t h = 0; h < fleet->host_count; h++)
            assert_false(fleet->hosts[h].takes && vfs[h] < fleet->hosts[h].vf_free &&
                         fleet->hosts[h].vram_free_bytes - vram[h] >=
                             fleet->partitions[i].vram_bytes);
    }
    free(vram);
    free(vfs);
}

struct moment {
    uint64_t ns;
    size_t move;
    bool begins;
};

/* Ends before beginnings, where both fall together. */
static int by_time(const void *a, const void *b)
{
    const struct moment *one = a, *two = b;

    if (one->ns != two->ns)
        return one->ns < two->ns ? -1 : 1;
    return (int)one->begins - (int)two->begins;
}

static size_t link_of(const struct fleet *fleet, size_t a, size_t b)
{
    for (size_t i = 0; i < fleet->link_count; i++) {
        if ((fleet->links[i].a == a && fleet->links[i].b == b) ||
            (fleet->links[i].a == b && fleet->links[i].b == a))
            return i;
    }
    return fleet->link_count;
}

static void check_moment(const struct fleet *fleet, const struct fleet_wish *wish,
                         const struct fleet_move *move, size_t from, bool begins, uint64_t *used,
                         uint32_t *running, uint64_t *link_used)
{
    const size_t ends[] = {from, move->to};
    const size_t link = link_of(fleet, from, move->to);

    for (size_t e = 0; e < 2; e++) {
        used[ends[e]] += begins ? move->bytes_per_s : -move->bytes_per_s;
        running[ends[e]] += begins ? 1 : -1u;
        assert_true(used[ends[e]] <= fleet->hosts[ends[e]].nic_bytes_per_s);
        assert_true(running[ends[e]] <= wish->at_once);
    }
    if (link < fleet->link_count) {
        link_used[link] += begins ? move->bytes_per_s : -move->bytes_per_s;
        assert_true(link_used[link] <= fleet->links[link].bytes_per_s);
    }
}

static void check_networks(const struct fleet *fleet, const struct fleet_wish *wish,
                           const struct fleet_move *moves)
{
    struct moment *moments = calloc(2 * fleet->partition_count + 1, sizeof *moments);
    uint64_t *used = calloc(fleet->host_count, sizeof *used);
    uint64_t *link_used = calloc(fleet->link_count + 1, sizeof *link_used);
    uint32_t *running = calloc(fleet->host_count, sizeof *running);
    size_t count = 0;

    assert_true(moments != NULL && used != NULL && link_used != NULL && running != NULL);
    for (size_t i = 0; i < fleet->partition_count; i++) {
        if (!moves[i].leaves || moves[i].to == FLEET_NOWHERE)
            continue;
        assert_true(moves[i].bytes_per_s >= FLEET_LEAST_RATE);
        assert_true(moves[i].end_ns > moves[i].start_ns);
        assert_true(moves[i].outcome.why[0] != '\0');
        moments[count++] = (struct moment){moves[i].start_ns, i, true};
        moments[count++] = (struct moment){moves[i].end_ns, i, false};
    }
    qsort(moments, count, sizeof *moments, by_time);
    for (size_t n = 0; n < count; n++)
        check_moment(fleet, wish, &moves[moments[n].move], fleet->partitions[moments[n].move].host,
                     moments[n].begins, used, running, link_used);
    free(moments);
    free(used);
    free(link_used);
    free(running);
}

static void plan(const struct fleet *fleet, const struct fleet_wish *wish, struct fleet_move *moves)
{
    assert_true(fleet_place(fleet, wish, moves) >= 0);
    assert_int_equal(fleet_schedule(fleet, wish, moves), 0);
    check_rooms(fleet, moves);
    check_networks(fleet, wish, moves);
}

static void thousands_of_fleets_keep_to_their_limits(void **state)
{
    const uint64_t first = chance_seed();

    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t seed = first + i * 0x9e3779b97f4a7c15ull;
        const size_t hosts = 1 + chance_below(&seed, 12), partitions = chance_below(&seed, 40);
        const struct fleet_wish wish = {.at_once = 1 + (uint32_t)chance_below(&seed, 5),
                                        .spread = chance(&seed) < 0.5};
        struct fleet_move *moves = calloc(partitions + 1, sizeof *moves);
        struct fleet fleet;

        assert_non_null(moves);
        make_fleet(&fleet, hosts, chance_below(&seed, hosts + 1), partitions, &seed);
        plan(&fleet, &wish, moves);
        fleet_free(&fleet);
        free(moves);
    }
}

static void a_large_fleet_takes_seconds(void **state)
{
    const size_t partitions = 10000;
    struct fleet_move *moves = calloc(partitions, sizeof *moves);
    uint64_t seed = chance_seed(), begin, took;
    struct fleet fleet;

    (void)state;
    assert_non_null(moves);
    for (uint32_t at_once = 1; at_once <= 4; at_once += 3) {
        const struct fleet_wish wish = {.at_once = at_once};

        make_fleet(&fleet, 1000, 300, partitions, &seed);
        begin = vf_now_ns();
        assert_true(fleet_place(&fleet, &wish, moves) >= 0);
        assert_int_equal(fleet_schedule(&fleet, &wish, moves), 0);
        took = vf_now_ns() - begin;
        (void)printf("# %zu partitions on 1000 hosts, %u at once: %.2f s\n", partitions, at_once,
                     (double)took / 1e9);
        assert_true(took < 5 * S * TEST_TOOL_FACTOR);
        check_rooms(&fleet, moves);
        check_networks(&fleet, &wish, moves);
        fleet_free(&fleet);
    }
    free(moves);
}

/* ---- what is chosen ---- */

#define TWO_TARGETS                                                                                \
    "{\"nic_bytes_per_s\": \"1G\", \"hosts\": ["                                                   \
    "{\"name\": \"old\", \"evacuate\": true},"                                                     \
    "{\"name\": \"small\", \"vram_free_bytes\": \"4G\", \"vf_free\": 4},"                          \
    "{\"name\": \"large\", \"vram_free_bytes\": \"16G\", \"vf_free\": 4}], \"partitions\": ["

static long place_text(const char *text, bool spread, struct fleet *fleet, struct fleet_move *moves)
{
    const struct fleet_wish wish = {.at_once = 2, .spread = spread};
    struct vf_error err = VF_ERROR_INIT;
    long nowhere;

    if (fleet_read(text, strlen(text), "f", &limits, fleet, &err) != 0)
        fail_msg("%s", err.text);
    nowhere = fleet_place(fleet, &wish, moves);
    assert_int_equal(fleet_schedule(fleet, &wish, moves), 0);
    return nowhere;
}

static void the_host_that_is_filled_best_takes_it(void **state)
{
    static const char text[] = TWO_TARGETS
        "{\"name\": \"p\", \"host\": \"old\", \"vram_bytes\": \"3G\", \"write_bytes_per_s\": 0},"
        "{\"name\": \"q\", \"host\": \"old\", \"vram_bytes\": \"3G\", \"write_bytes_per_s\": 0},"
        "{\"name\": \"stays\", \"host\": \"small\", \"vram_bytes\": \"1G\", "
        "\"write_bytes_per_s\": 0}]}";
    struct fleet_move moves[3];
    struct fleet fleet;

    (void)state;
    assert_int_equal(place_text(text, false, &fleet, moves), 0);
    assert_string_equal(fleet.hosts[moves[0].to].name, "small");
    assert_string_equal(fleet.hosts[moves[1].to].name, "large");
    assert_false(moves[2].leaves);
    /* Two at once share the network of the host that they leave, and keep what they got. */
    assert_int_equal(moves[0].start_ns, 0);
    assert_int_equal(moves[1].start_ns, 0);
    assert_int_equal(moves[0].bytes_per_s, GIB / 2);
    fleet_free(&fleet);
    assert_int_equal(place_text(text, true, &fleet, moves), 0);
    assert_string_equal(fleet.hosts[moves[0].to].name, "large");
    assert_string_equal(fleet.hosts[moves[1].to].name, "large");
    fleet_free(&fleet);
}

static void what_fits_nowhere_is_left(void **state)
{
    static const char text[] = TWO_TARGETS
        "{\"name\": \"p\", \"host\": \"old\", \"vram_bytes\": \"17G\", \"write_bytes_per_s\": 0},"
        "{\"name\": \"q\", \"host\": \"old\", \"vram_bytes\": \"16G\", \"write_bytes_per_s\": 0}]}";
    struct fleet_move moves[2];
    struct fleet fleet;

    (void)state;
    assert_int_equal(place_text(text, false, &fleet, moves), 1);
    assert_true(moves[0].to == FLEET_NOWHERE);
    assert_string_equal(fleet.hosts[moves[1].to].name, "large");
    fleet_free(&fleet);
}

/* ---- files ---- */

static void refused(const char *text, const char *names)
{
    struct vf_error err = VF_ERROR_INIT;
    struct fleet fleet;

    if (fleet_read(text, strlen(text), "f.json", &limits, &fleet, &err) == 0)
        fail_msg("taken: %s", text);
    if (err.code != VF_USAGE || strstr(err.text, names) == NULL || strchr(err.text, '\n') != NULL ||
        vf_remedy(&err) == NULL || strncmp(err.text, "f.json", 6) != 0)
        fail_msg("%s\nsays: %s", text, err.text);
    fleet_free(&fleet);
}

#define OLD "{\"nic_bytes_per_s\": \"1G\", \"hosts\": [{\"name\": \"old\", \"evacuate\": true}"
#define PARTITION(more) "{\"name\": \"p\", \"host\": \"old\", " more "}"

static void a_wrong_file_is_told_with_its_place(void **state)
{
    (void)state;
    refused("", "is no JSON");
    refused("{", "line 1: is no JSON");
    refused("[]", "is no object");
    refused("{\"schema\": \"vferry.job/1\"}", "vferry.job/1");
    refused("{\"hosts\": []}", "hosts: is empty");
    refused("{\"host\": []}", "did you mean \"hosts\"");
    refused("{}", "hosts: is missing");
    refused("{\"hosts\": {}}", "hosts: is no list");
    refused("{\"hosts\": [1], \"partitions\": [1]}", "hosts[0]: is no object");
    refused("{\"hosts\": [{}], \"partitions\": [1]}", "hosts[0]: name: is missing");
    refused("{\"hosts\": [{\"name\": \"a/b\"}], \"partitions\": [1]}", "\"a/b\" is no name");
    refused("{\"hosts\": [{\"name\": \"a\", \"vram_free_bytes\": \"much\"}], \"partitions\": [1]}",
            "\"much\" is no size");
    refused("{\"hosts\": [{\"name\": \"a\", \"vram_free_bytes\": -1}], \"partitions\": [1]}",
            "vram_free_bytes: is no size");
    refused("{\"hosts\": [{\"name\": \"a\", \"evacuate\": true}], \"partitions\": [1]}",
            "nic_bytes_per_s: is missing");
    refused("{\"hosts\": [{\"name\": \"a\", \"evacuate\": 1}], \"partitions\": [1]}",
            "neither true nor false");
    refused(OLD ", {\"name\": \"old\", \"cordoned\": true}], \"partitions\": [1]}", "two hosts");
    refused(OLD "], \"partitions\": [1]}", "partitions[0]: is no object");
    refused(OLD "], \"links\": [{\"a\": \"old\", \"b\": \"new\", \"bytes_per_s\": \"1G\"}], "
                "\"partitions\": [1]}",
            "no host \"new\"");
    refused(OLD "], \"links\": [{\"a\": \"old\", \"b\": \"old\", \"bytes_per_s\": \"1G\"}], "
                "\"partitions\": [1]}",
            "both its ends");
    refused(OLD "], \"partitions\": [" PARTITION("\"vram_bytes\": \"1G\"") "]}",
            "write_bytes_per_s: is missing");
    refused(OLD "], \"partitions\": [" PARTITION(
                "\"vram_bytes\": \"1G\", \"write_bytes_per_s\": 1, \"touched_bytes\": \"2G\"") "]}",
            "touched_bytes: 2.00 GiB is more");
    refused(OLD "], \"partitions\": [" PARTITION(
                "\"vram_bytes\": \"1G\", \"write_bytes_per_s\": 1, \"page_bytes\": 5000") "]}",
            "page_bytes");
    refused(OLD "], \"partitions\": [" PARTITION(
                "\"vram_bytes\": 99999999999999999999, \"write_bytes_per_s\": 1") "]}",
            "is no JSON");
    refused(OLD
            "], \"partitions\": [" PARTITION("\"vram_bytes\": \"1G\", \"write_bytes_per_s\": "
                                             "1") ", " PARTITION("\"vram_bytes\": \"1G\", "
                                                                 "\"write_bytes_per_s\": 1") "]}",
            "two partitions");
    refused("{\"nic_bytes_per_s\": \"1G\", \"hosts\": [{\"name\": \"old\", \"cordoned\": true}], "
            "\"partitions\": [" PARTITION("\"vram_bytes\": \"1G\", \"write_bytes_per_s\": 1") "]}",
            "no host is to be emptied");
}

static void too_many_are_refused_before_there_is_room_for_them(void **state)
{
    const size_t room = 3 * (FLEET_MAX_HOSTS + 2) + 64;
    char *text = malloc(room);
    size_t at;

    (void)state;
    assert_non_null(text);
    at = (size_t)snprintf(text, room, "{\"partitions\": [1], \"hosts\": [1");
    for (size_t i = 0; i < FLEET_MAX_HOSTS; i++)
        at += (size_t)snprintf(text + at, room - at, ",1");
    (void)snprintf(text + at, room - at, "]}");
    refused(text, "hosts: has 4097");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_fleets_keep_to_their_limits),
        cmocka_unit_test(a_large_fleet_takes_seconds),
        cmocka_unit_test(the_host_that_is_filled_best_takes_it),
        cmocka_unit_test(what_fits_nowhere_is_left),
        cmocka_unit_test(a_wrong_file_is_told_with_its_place),
        cmocka_unit_test(too_many_are_refused_before_there_is_room_for_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
