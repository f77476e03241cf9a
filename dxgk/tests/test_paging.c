// SPDX-License-Identifier: Apache-2.0
/* Transfers through the paging engine: right bytes in the right pages, many in flight, and every
 * way it can go wrong. */
#include "dxgk/paging/paging.h"
#include "dxgk/tests/rig/pagerig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SMALL "softgpu,vram=128M,vfs=4,dirty-page=4K"
#define PAGES 64u

static void fill_random(uint64_t *state, uint8_t *to, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t word = rig_random(state);

        memcpy(to + i, &word, 8);
    }
}

static void read_page(struct rig *rig, uint64_t id, uint64_t page, uint64_t page_bytes, uint8_t *to)
{
    struct vf_error err = VF_ERROR_INIT;

    if (dxgk_partition_bar_read(rig->dxgk, id, 2, page * page_bytes, to, page_bytes, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- bytes ---- */

static void round_trip(const char *spec, uint64_t page_bytes)
{
    uint64_t state = rig_seed("round trip");
    struct rig rig;
    struct rig_channel channel;
    uint64_t pages[PAGES], order[PAGES];
    uint8_t *model = calloc(1, 32 * MIB), *page = malloc(page_bytes);

    rig_open(&rig, spec);
    uint64_t id = rig_partition(&rig, "p", 32 * MIB, true), total = 32 * MIB / page_bytes;
    rig_channel_open_pages(&rig, id, PAGES * page_bytes, page_bytes, &channel);
    for (int turn = 0; turn < 40; turn++) {
        uint32_t slot = (uint32_t)(rig_random(&state) % RIG_SLOTS), other = (slot + 1) % RIG_SLOTS;
        uint32_t count = 1 + (uint32_t)(rig_random(&state) % PAGES);
        bool zero = rig_random(&state) % 4 == 0;

        rig_pick_pages(&state, total, pages, count);
        fill_random(&state, rig_slot(&channel, slot), count * page_bytes);
        rig_submit(&channel, zero ? DXGK_ZERO : DXGK_SCATTER, slot, pages, count);
        assert_int_equal(rig_wait(&channel, slot), 0);
        for (uint32_t i = 0; i < count; i++)
            memcpy(model + pages[i] * page_bytes,
                   zero ? memset(page, 0, page_bytes) : rig_slot(&channel, slot) + i * page_bytes,
                   page_bytes);
        rig_pick_pages(&state, total, order, PAGES);
        rig_submit(&channel, DXGK_GATHER, other, order, PAGES);
        assert_int_equal(rig_wait(&channel, other), 0);
        for (uint32_t i = 0; i < PAGES; i++)
            assert_memory_equal(rig_slot(&channel, other) + i * page_bytes,
                                model + order[i] * page_bytes, page_bytes);
        read_page(&rig, id, pages[0], page_bytes, page);
        assert_memory_equal(page, model + pages[0] * page_bytes, page_bytes);
    }
    rig_channel_close(&channel);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
    free(model);
    free(page);
}

/* SRC-4, TGT-3 */
static void pages_land_where_the_list_says(void **state)
{
    (void)state;
    round_trip(SMALL, 4096);
}

/* SRC-4 */
static void large_pages_land_where_the_list_says(void **state)
{
    (void)state;
    round_trip("softgpu,vram=128M,vfs=4,dirty-page=64K", 65536);
}

/* SRC-4: what is moved may be less than what a dirty bit covers. */
static void parts_of_large_pages_land_where_the_list_says(void **state)
{
    (void)state;
    round_trip("softgpu,vram=128M,vfs=4,dirty-page=64K", 4096);
    round_trip("softgpu,vram=128M,vfs=4,dirty-page=64K", 16384);
}

/* Holes in VRAM make the reserve of a third partition consist of several ranges (VF-2, PAG-4). */
static void a_scattered_reserve_is_one_run_of_pages(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t state = rig_seed("scattered reserve"), ids[4], pages[PAGES];
    uint8_t page[4096];

    (void)unused;
    rig_open(&rig, "softgpu,vram=128M,vfs=4,dirty-page=4K,scatter=on");
    for (int i = 0; i < 4; i++)
        ids[i] = rig_partition(&rig, (const char *[]){"a", "b", "c", "d"}[i], 24 * MIB, false);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, ids[0], &err), 0);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, ids[2], &err), 0);
    uint64_t id = rig_partition(&rig, "wide", 56 * MIB, true);
    assert_true(rig_inside(&rig, id)->range_count > 1);
    rig_channel_open(&rig, id, PAGES * 4096, &channel);
    for (int turn = 0; turn < 10; turn++) {
        rig_pick_pages(&state, 56 * MIB / 4096, pages, PAGES);
        fill_random(&state, rig_slot(&channel, 0), PAGES * 4096);
        rig_submit(&channel, DXGK_SCATTER, 0, pages, PAGES);
        assert_int_equal(rig_wait(&channel, 0), 0);
        for (uint32_t i = 0; i < PAGES; i++) {
            read_page(&rig, id, pages[i], 4096, page);
            assert_memory_equal(page, rig_slot(&channel, 0) + i * 4096, 4096);
        }
    }
    rig_channel_close(&channel);
    rig_close(&rig);
}

/* VF-2 */
static void a_partition_starts_zeroed_where_another_was(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t state = rig_seed("zeroed"), pages[PAGES];

    (void)unused;
    rig_open(&rig, SMALL);
    for (int turn = 0; turn < 3; turn++) {
        uint64_t id = rig_partition(&rig, "tenant", 96 * MIB, true);

        rig_channel_open(&rig, id, PAGES * 4096, &channel);
        for (int look = 0; look < 20; look++) {
            rig_pick_pages(&state, 96 * MIB / 4096, pages, PAGES);
            rig_submit(&channel, DXGK_GATHER, 1, pages, PAGES);
            assert_int_equal(rig_wait(&channel, 1), 0);
            for (uint64_t i = 0; i < PAGES * 4096; i++)
                assert_int_equal(rig_slot(&channel, 1)[i], 0);
        }
        for (uint64_t first = 0; first < 96 * MIB / 4096; first += PAGES) {
            for (uint32_t i = 0; i < PAGES; i++)
                pages[i] = first + i;
            memset(rig_slot(&channel, 0), 0xa5, PAGES * 4096);
            rig_submit(&channel, DXGK_SCATTER, 0, pages, PAGES);
            assert_int_equal(rig_wait(&channel, 0), 0);
        }
        rig_channel_close(&channel);
        assert_int_equal(dxgk_partition_destroy(rig.dxgk, id, &err), 0);
    }
    rig_close(&rig);
}

/* ---- many at once ---- */

struct worker {
    struct rig *rig;
    uint64_t id, seed;
};

/* Every slot carries its own pages: what slot s scatters it gathers again, all slots in flight. */
static void *work_all_slots(void *arg)
{
    struct worker *worker = arg;
    struct rig_channel channel;
    uint64_t state = worker->seed;

    rig_channel_open(worker->rig, worker->id, PAGES * 4096, &channel);
    for (int turn = 0; turn < 30; turn++) {
        uint64_t pages[RIG_SLOTS * PAGES];
        uint8_t mark = (uint8_t)(1 + rig_random(&state) % 255);

        rig_pick_pages(&state, 8 * MIB / 4096, pages, RIG_SLOTS * PAGES);
        for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
            memset(rig_slot(&channel, slot), mark ^ (int)slot, PAGES * 4096);
            rig_submit(&channel, DXGK_SCATTER, slot, pages + slot * PAGES, PAGES);
        }
        for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
            assert_int_equal(rig_wait(&channel, slot), 0);
            memset(rig_slot(&channel, slot), 0, PAGES * 4096);
            rig_submit(&channel, DXGK_GATHER, slot, pages + slot * PAGES, PAGES);
        }
        for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
            assert_int_equal(rig_wait(&channel, slot), 0);
            for (uint32_t i = 0; i < PAGES * 4096; i += 512)
                assert_int_equal(rig_slot(&channel, slot)[i], mark ^ (int)slot);
        }
    }
    rig_channel_close(&channel);
    return NULL;
}

/* PAG-3 */
static void channels_of_several_partitions_work_at_once(void **unused)
{
    struct rig rig;
    struct worker workers[4];
    pthread_t threads[4];
    uint64_t state = rig_seed("several channels");

    (void)unused;
    rig_open(&rig, SMALL);
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){
            &rig, rig_partition(&rig, (const char *[]){"a", "b", "c", "d"}[i], 8 * MIB, true),
            rig_random(&state)};
        assert_int_equal(pthread_create(&threads[i], NULL, work_all_slots, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

/* TGT-3: one submission that writes and reads back, beside others, many times over. */
static void what_is_scattered_comes_back_in_the_next_slot(void **unused)
{
    uint64_t state = rig_seed("read back");
    uint64_t pages[PAGES];
    struct rig_channel channel;
    struct rig rig;
    uint8_t page[4096];

    (void)unused;
    rig_open(&rig, SMALL);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, true);
    rig_channel_open(&rig, id, PAGES * 4096, &channel);
    for (int turn = 0; turn < 50; turn++) {
        uint32_t count = 1 + (uint32_t)(rig_random(&state) % PAGES);

        rig_pick_pages(&state, 8 * MIB / 4096, pages, count);
        fill_random(&state, rig_slot(&channel, 0), count * 4096ull);
        memset(rig_slot(&channel, 1), 0xa5, count * 4096ull);
        rig_submit(&channel, DXGK_SCATTER_READ, 0, pages, count);
        assert_int_equal(rig_wait(&channel, 0), 0);
        assert_memory_equal(rig_slot(&channel, 1), rig_slot(&channel, 0), count * 4096ull);
        read_page(&rig, id, pages[0], 4096, page);
        assert_memory_equal(page, rig_slot(&channel, 0), 4096);
    }
    rig_channel_close(&channel);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

/* ---- refusals ---- */

/* TGT-6 */
static void what_is_out_of_bounds_is_refused(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t total = 8 * MIB / 4096, pages[PAGES + 1] = {0};

    (void)unused;
    rig_open(&rig, SMALL);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, true);
    rig_channel_open(&rig, id, PAGES * 4096, &channel);
    const uint64_t bad[] = {total, total + 1, UINT64_MAX, UINT64_MAX / 4096, 1ull << 40};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pages[1] = bad[i];
        assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_SCATTER, 0, pages, 2, 0, &err),
                         -1);
        assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages, 2, 0, &err),
                         -1);
    }
    pages[1] = 1;
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages, 0, 0, &err), -1);
    assert_int_equal(
        dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages, PAGES + 1, 0, &err), -1);
    assert_int_equal(
        dxgk_channel_submit(channel.channel, DXGK_GATHER, RIG_SLOTS, pages, 1, 0, &err), -1);
    assert_int_equal(
        dxgk_channel_submit(channel.channel, DXGK_SCATTER_READ, RIG_SLOTS - 1, pages, 1, 0, &err),
        -1);
    assert_int_equal(
        dxgk_channel_submit(channel.channel, (enum dxgk_transfer)7, 0, pages, 1, 0, &err), -1);
    assert_int_equal(rig_inside(&rig, id)->writes, 0);
    rig_submit(&channel, DXGK_GATHER, 0, pages, 2);
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, id, &err), -1); /* a channel is open */
    rig_channel_close(&channel);
    rig_close(&rig);
}

static void channels_of_impossible_shape_are_refused(void **unused)
{
    struct rig rig;
    struct rig_channel good;
    struct dxgk_channel *channel;
    struct vf_error err = VF_ERROR_INIT;
    int fd;

    (void)unused;
    rig_open(&rig, "softgpu,vram=128M,vfs=4,dirty-page=64K");
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false);
    rig_channel_open(&rig, id, 65536, &good);
    const struct dxgk_channel_config bad[] = {
        {.slots = 0, .slot_bytes = 65536},
        {.slots = 65, .slot_bytes = 65536},
        {.slots = 1, .slot_bytes = 0},
        {.slots = 1, .slot_bytes = 4096}, /* less than a page of the partition */
        {.slots = 1, .slot_bytes = 8 * MIB},
        {.slots = 1, .slot_bytes = 65536, .page_bytes = 2048},
        {.slots = 1, .slot_bytes = 12288, .page_bytes = 12288},
        {.slots = 1, .slot_bytes = 131072, .page_bytes = 131072},
        {.slots = 1, .slot_bytes = 65536}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dxgk_channel_config config = bad[i];

        /* The last one is wrong in nothing but the missing callback. */
        if (i + 1 < sizeof bad / sizeof bad[0])
            config.done = (void (*)(void *, uint64_t, int))(void *)free;
        assert_int_equal(dxgk_channel_open(rig.dxgk, id, &config, &channel, &fd, &err), -1);
    }
    rig_channel_close(&good);
    rig_close(&rig);
}

/* TGT-3 */
static void only_an_incoming_partition_takes_pages(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t page = 3;

    (void)unused;
    rig_open(&rig, SMALL);
    uint64_t id = rig_partition(&rig, "runs", 8 * MIB, false);
    rig_channel_open(&rig, id, 4096, &channel);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_SCATTER, 0, &page, 1, 0, &err), -1);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_ZERO, 0, &page, 1, 0, &err), -1);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_SCATTER_READ, 0, &page, 1, 0, &err),
                     -1);
    rig_submit(&channel, DXGK_GATHER, 0, &page, 1);
    assert_int_equal(rig_wait(&channel, 0), 0);
    rig_channel_close(&channel);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_land_where_the_list_says),
        cmocka_unit_test(large_pages_land_where_the_list_says),
        cmocka_unit_test(parts_of_large_pages_land_where_the_list_says),
        cmocka_unit_test(what_is_scattered_comes_back_in_the_next_slot),
        cmocka_unit_test(a_scattered_reserve_is_one_run_of_pages),
        cmocka_unit_test(a_partition_starts_zeroed_where_another_was),
        cmocka_unit_test(channels_of_several_partitions_work_at_once),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(channels_of_impossible_shape_are_refused),
        cmocka_unit_test(only_an_incoming_partition_takes_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
