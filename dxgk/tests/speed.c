// SPDX-License-Identifier: Apache-2.0
/*
 * How fast pages go through the whole stack: channel, page tables, paging buffers by the driver,
 * engine, interrupt, DPC. Beside devices/softgpu/tests/speed.c, which has the engine alone, it
 * shows what the OS side and the driver cost.
 */
#include "dxgk/tests/rig/pagerig.h"

#include "base/clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (256 * MIB)
#define SLOT (2 * MIB)
#define TURNS 4u

/* Every page of the reserve TURNS times, in a scattered order, RIG_SLOTS submissions in flight. */
static void measure(const char *what, struct rig_channel *channel, enum dxgk_transfer op,
                    const uint64_t *pages, uint64_t total, uint64_t page_bytes)
{
    uint32_t each = (uint32_t)(SLOT / page_bytes);
    uint64_t start = vf_now_ns(), done = 0;
    uint32_t next = 0;

    for (; done < TURNS * total; done += each, next++) {
        if (next >= RIG_SLOTS)
            assert_int_equal(rig_wait(channel, next % RIG_SLOTS), 0);
        rig_submit(channel, op, next % RIG_SLOTS, pages + done % total, each);
    }
    for (uint32_t slot = 0; slot < RIG_SLOTS && slot < next; slot++)
        assert_int_equal(rig_wait(channel, slot), 0);
    double seconds = (double)(vf_now_ns() - start) / 1e9;
    print_message("  %-28s %7.2f GB/s  %6.0f ns a page\n", what,
                  (double)(done * page_bytes) / 1e9 / seconds, seconds * 1e9 / (double)done);
}

static void speed_of(const char *spec, uint64_t page_bytes)
{
    struct rig rig;
    struct rig_channel channel;
    uint64_t state = 1, total = RESERVE / page_bytes;
    uint64_t *pages = calloc(total, sizeof *pages);

    assert_non_null(pages);
    print_message("%s\n", spec);
    rig_open(&rig, spec);
    uint64_t id = rig_partition(&rig, "p", RESERVE, true);
    rig_channel_open(&rig, id, SLOT, &channel);
    memset(channel.memory, 0x5a, RIG_SLOTS * SLOT);
    rig_pick_pages(&state, total, pages, (uint32_t)total);
    measure("scatter to untouched VRAM", &channel, DXGK_SCATTER, pages, total, page_bytes);
    measure("scatter", &channel, DXGK_SCATTER, pages, total, page_bytes);
    measure("gather", &channel, DXGK_GATHER, pages, total, page_bytes);
    measure("zero", &channel, DXGK_ZERO, pages, total, page_bytes);
    measure("gather of holes", &channel, DXGK_GATHER, pages, total, page_bytes);
    rig_channel_close(&channel);
    rig_close(&rig);
    free(pages);
}

/* What a query in the blackout costs, as found by nothing and by everything dirty. */
static void queries(const char *spec, uint64_t reserve, uint64_t page_bytes)
{
    struct vf_error err = VF_ERROR_INIT;
    size_t bytes = (size_t)(reserve / page_bytes / 8);
    uint8_t *bits = calloc(1, bytes);
    uint64_t dirty = 0, start;
    struct rig rig;

    assert_non_null(bits);
    print_message("%s, a partition of %" PRIu64 " MiB\n", spec, (uint64_t)(reserve / MIB));
    rig_open(&rig, spec);
    uint64_t id = rig_partition(&rig, "p", reserve, false);
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &err), 0);
    for (int turn = 0; turn < 3; turn++) {
        start = vf_now_ns();
        assert_int_equal(dxgk_migration_query_dirty(rig.dxgk, id, bits, bytes, &dirty, &err), 0);
        print_message("  query, %8" PRIu64 " pages dirty      %7.0f us\n", dirty,
                      (double)(vf_now_ns() - start) / 1e3);
    }
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &err), 0);
    rig_close(&rig);
    free(bits);
}

static void dirty_bits_through_the_stack(void **unused)
{
    (void)unused;
    queries("softgpu,vram=8G,vfs=1,dirty-page=4K,performant=off", 8192 * MIB, 4096);
    queries("softgpu,vram=8G,vfs=8,dirty-page=64K,performant=off", 8192 * MIB, 65536);
}

static void pages_through_the_stack(void **unused)
{
    (void)unused;
    speed_of("softgpu,vram=512M,vfs=1,dirty-page=4K", 4096);
    speed_of("softgpu,vram=512M,vfs=1,dirty-page=64K", 65536);
    speed_of("softgpu,vram=512M,vfs=1,dirty-page=2M", SLOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_through_the_stack),
                                       cmocka_unit_test(dirty_bits_through_the_stack)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
