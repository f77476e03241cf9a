// SPDX-License-Identifier: Apache-2.0
/*
 * What VRAM costs the host: an untouched partition next to nothing, whatever its size, and neither
 * reading all of it nor being told of its zeros populates a page. The kernel's own count of this
 * process' memory is the judge.
 */
#include "base/tests/tool.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define PAGE 65536ull
#define RESERVE TEST_SHARE(6 * GIB)
/* Bitplanes, page tables and slots are all that may grow; three in a thousand of the
 * whole reserve. */
#define ALLOWED (20 * MIB)

static const char *const spec[][2] = {
    {"softgpu,vram=8G,vfs=2,dirty-page=64K", NULL},
    {"softgpu,vram=8G,vfs=2,dirty-page=64K,performant=off", NULL},
};

/* A race detector's own memory grows with what it watches: VRAM's, a shared mapping, is counted
 * alone then. */
#ifdef __SANITIZE_THREAD__
#define COUNTED "RssShmem: %" SCNu64 " kB"
#else
#define COUNTED "VmRSS: %" SCNu64 " kB"
#endif

/* Resident bytes. */
static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    uint64_t kib = 0;
    bool found = false;
    char line[256];

    assert_non_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, COUNTED, &kib) == 1;
    (void)fclose(file);
    assert_true(found);
    return kib * 1024;
}

static void assert_grew_little(uint64_t before, const char *what)
{
    uint64_t now = resident();

    print_message("# %s: %" PRId64 " KiB more\n", what, ((int64_t)now - (int64_t)before) / 1024);
    if (now > before + ALLOWED)
        fail_msg("%s: %" PRIu64 " MiB more than before", what, (uint64_t)((now - before) / MIB));
}

/* Zeroes every page of the target as a peer's marks for pages of zeros do. */
static void zero_all(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t list[16];

    for (uint64_t page = 0; page < RESERVE / PAGE; page += 16) {
        for (uint64_t i = 0; i < 16; i++)
            list[i] = page + i;
        must(dxgk_channel_submit(move->in.channel, DXGK_ZERO, 0, list, 16, 0, &error), &error);
        while (sem_wait(&move->in.done) != 0)
            ;
        assert_int_equal(move->in.status, 0);
    }
}

/* Gathers every page and finds zeros. */
static void gather_all(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t list[16];

    for (uint64_t page = 0; page < RESERVE / PAGE; page += 16) {
        for (uint64_t i = 0; i < 16; i++)
            list[i] = page + i;
        must(dxgk_channel_submit(move->out.channel, DXGK_GATHER, 0, list, 16, 0, &error), &error);
        while (sem_wait(&move->out.done) != 0)
            ;
        assert_int_equal(move->out.status, 0);
        assert_int_equal(move->out.memory[page * 61 % MIB], 0);
    }
}

static void an_untouched_partition(const char *const *devices, uint64_t first_round)
{
    const char *const both[] = {devices[0], devices[0], NULL};
    uint8_t *bits = calloc(1, RESERVE / PAGE / 8);
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id, before, dirty;
    struct move move;
    struct rig rig;

    assert_non_null(bits);
    rig_open(&rig, both, NULL);
    before = resident();
    id = rig_create(&rig, "p", 0, RESERVE / MIB, false);
    assert_grew_little(before, "created");
    move_begin(&move, &rig, id, 1, "t");
    must(dxgk_migration_query_dirty(rig.dxgk, id, bits, RESERVE / PAGE / 8, &dirty, &error),
         &error);
    assert_int_equal(dirty, first_round);
    gather_all(&move);
    assert_grew_little(before, "all of it gathered");
    zero_all(&move);
    assert_grew_little(before, "all of the target zeroed");
    move_cancel(&move);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    assert_grew_little(before, "destroyed");
    rig_close(&rig);
    free(bits);
}

static void an_untouched_partition_costs_next_to_nothing(void **unused)
{
    (void)unused;
    an_untouched_partition(spec[0], 0);
}

/* CAP-4: here the first round is the whole reserve. */
static void a_whole_first_round_populates_nothing(void **unused)
{
    (void)unused;
    an_untouched_partition(spec[1], RESERVE / PAGE);
}

/* VF-3: what a tenant wrote is gone with it, from memory too. */
static void a_destroyed_partition_gives_its_memory_back(void **unused)
{
    static const char *const small[] = {"softgpu,vram=512M,vfs=2,dirty-page=64K", NULL};
    struct vf_error error = VF_ERROR_INIT;
    uint8_t *data = malloc(MIB);
    uint64_t before, id;
    struct rig rig;

    (void)unused;
    assert_non_null(data);
    memset(data, 0x5a, MIB);
    rig_scrub = true;
    rig_open(&rig, small, NULL);
    before = resident();
    id = rig_create(&rig, "p", 0, 256, false);
    for (uint64_t at = 0; at < 256 * MIB; at += MIB)
        must(dxgk_partition_bar_write(rig.dxgk, id, SG_VF_BAR_VRAM, at, data, MIB, &error), &error);
    assert_true(resident() > before + 200 * MIB); /* the judge sees VRAM */
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    rig_await_proven(&rig, 0);
    assert_grew_little(before, "destroyed");
    rig_close(&rig);
    rig_scrub = false;
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_partition_costs_next_to_nothing),
        cmocka_unit_test(a_whole_first_round_populates_nothing),
        cmocka_unit_test(a_destroyed_partition_gives_its_memory_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
