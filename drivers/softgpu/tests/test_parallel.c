// SPDX-License-Identifier: Apache-2.0
/*
 * DDIs of different partitions at the same time: synchronisation level 0 means that the driver
 * locks for itself. A thread each pauses and prepares a VF, queries dirty bits, builds and destroys
 * a vGPU, and pages; what each may rely on must hold whatever the others do. Worth most under TSan.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>

#define ROUNDS 300

static struct fake fake;
static atomic_int wrong; /* cmocka's asserts belong to the main thread */

#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition);                \
            atomic_fetch_add(&wrong, 1);                                                           \
        }                                                                                          \
    } while (0)

static ULONG lend(ULONG id)
{
    ULONG value = ~0u;

    (void)fake.ops->bar_read(fake.dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, SG_VFC(id, SG_VFC_LEND),
                             &value, sizeof value);
    return value;
}

static void *migrates(void *arg)
{
    const ULONG id = *(const ULONG *)arg;
    const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION args = {id, DXGK_GPUP_MIGRATIONTYPE_SOURCE};

    for (int i = 0; i < ROUNDS; i++) {
        DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA save = {id, &(UINT64){512}, (BYTE[512]){0}};

        expect(fake.ddi.DxgkDdiPrepareLiveMigration(fake.adapter, &args) == STATUS_SUCCESS);
        expect(lend(id) == 512);
        expect(fake_pause(&fake, id, TRUE) == STATUS_SUCCESS);
        expect(fake.ddi.DxgkDdiSaveMutableMigrationData(fake.adapter, &save) == STATUS_SUCCESS);
        expect(fake.ddi.DxgkDdiEndLiveMigration(fake.adapter, id) == STATUS_SUCCESS);
        expect(lend(id) == 0);
        expect(fake_pause(&fake, id, FALSE) == STATUS_SUCCESS);
    }
    return NULL;
}

/* Every page this thread writes must show in its own basis, though another basis covers it too. */
static void *tracks(void *arg)
{
    const DXGK_MEMORYRANGE *range = arg;
    HANDLE basis = fake_basis(&fake, range, 1);
    const ULONG64 pages = range->SizeInBytes / 4096;
    ULONG64 seed = range->SegmentOffset + 1;
    UCHAR bits[64];

    expect(fake.ddi.DxgkDdiStartDirtyTracking(fake.adapter, basis) == STATUS_SUCCESS);
    for (int i = 0; i < ROUNDS * 4; i++) {
        const ULONG64 page = fake_random(&seed) % pages, at = range->SegmentOffset + page * 4096;

        expect(fake.ops->bar_write(fake.dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, at, &seed, 8) == 0);
        expect(fake_query(&fake, basis, 0, 0, 0, TRUE, bits, sizeof bits) == STATUS_SUCCESS);
        expect(bits[page / 8] >> (page % 8) & 1);
    }
    expect(fake.ddi.DxgkDdiDestroyMemoryBasis(fake.adapter, basis) == STATUS_SUCCESS);
    return NULL;
}

static void *comes_and_goes(void *arg)
{
    DXGKARG_DESTROYVIRTUALGPU destroy = {.PartitionId = 3};

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        expect(fake_create_only(&fake, 3, 2 * MIB) == STATUS_SUCCESS);
        expect(fake_assign(&fake, 3, 40 * MIB, 2 * MIB) == STATUS_SUCCESS);
        expect(fake_power(&fake, 3, PowerDeviceD0) == STATUS_SUCCESS);
        expect(fake.gpup.DxgkDdiDestroyVirtualGpu(fake.gpup.Context, &destroy) == STATUS_SUCCESS);
    }
    return NULL;
}

static void partitions_work_at_the_same_time(void **state)
{
    static const ULONG ids[2] = {0, 1};
    static const DXGK_MEMORYRANGE ranges[2] = {{48 * MIB, 400 * 4096},
                                               {48 * MIB + 40960, 512 * 4096}};
    pthread_t threads[5];

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4,dirty-page=4K");
    fake_create(&fake, 0, 0, 4 * MIB);
    fake_create(&fake, 1, 8 * MIB, 4 * MIB);
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 60 * MIB, PAGE_SIZE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fake_power(&fake, ids[i], PowerDeviceD0), STATUS_SUCCESS);
        assert_int_equal(pthread_create(&threads[i], NULL, migrates, (void *)(uintptr_t)&ids[i]),
                         0);
        assert_int_equal(
            pthread_create(&threads[2 + i], NULL, tracks, (void *)(uintptr_t)&ranges[i]), 0);
    }
    assert_int_equal(pthread_create(&threads[4], NULL, comes_and_goes, NULL), 0);
    for (ULONG i = 1; i <= ROUNDS; i++) {
        *(struct sg_cmd *)(void *)(fake.paging + FAKE_COMMANDS) =
            (struct sg_cmd){.op = SG_OP_FENCE, .a = {FAKE_VA_VRAM, i}};
        assert_int_equal(fake_submit(&fake, FAKE_COMMANDS, SG_CMD_BYTES, i), STATUS_SUCCESS);
        assert_true(fake_wait(&fake, i));
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_work_at_the_same_time),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-parallel", tests, NULL, NULL);

    fake_unload();
    return failed;
}
