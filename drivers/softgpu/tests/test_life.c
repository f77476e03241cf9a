// SPDX-License-Identifier: Apache-2.0
/* The miniport's life and what it says it can do: start, stop, capabilities, interfaces. */
#include "fixture.h"

static void stop_and_remove_free_all_pool_and_mappings(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_true(nt_pool_live().allocations > 0);
    assert_true(nt_mmio_count() > 0);
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
    assert_int_equal(nt_mmio_count(), 0);
}

static void stop_frees_partitions_and_bases_left_behind(void **state)
{
    const DXGK_MEMORYRANGE range = {0, 1 * MIB};
    struct fake fake;
    HANDLE basis;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_create(&fake, 1, 0, 2 * MIB);
    basis = fake_basis(&fake, &range, 1);
    assert_int_equal(fake.ddi.DxgkDdiStartDirtyTracking(fake.adapter, basis), STATUS_SUCCESS);
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
}

static void start_without_the_bitplane_bar_is_refused_and_leaves_nothing(void **state)
{
    struct fake fake;

    (void)state;
    fake_open(&fake, "softgpu", "vram=64M,vfs=4");
    fake.bars_shown = 2;
    assert_int_equal(fake_start_device(&fake), STATUS_DEVICE_CONFIGURATION_ERROR);
    assert_int_equal(nt_mmio_count(), 0);
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
}

static void second_start_is_refused(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(fake_start_device(&fake), STATUS_INVALID_DEVICE_STATE);
    fake.started = TRUE;
    fake_stop(&fake);
}

static void a_stopped_adapter_starts_again(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(fake.ddi.DxgkDdiStopDevice(fake.adapter), STATUS_SUCCESS);
    assert_int_equal(fake_start_device(&fake), STATUS_SUCCESS);
    fake_create(&fake, 0, 0, 2 * MIB);
    fake_stop(&fake);
}

static void one_image_serves_two_adapters_apart(void **state)
{
    struct fake a, b;

    (void)state;
    fake_start(&a, "vram=64M,vfs=4");
    fake_start(&b, "vram=128M,vfs=2");
    fake_create(&a, 3, 0, 2 * MIB);
    assert_int_equal(fake_create_only(&b, 3, 2 * MIB), STATUS_INVALID_PARAMETER);
    fake_create(&b, 1, 64 * MIB, 2 * MIB);
    fake_stop(&a);
    assert_int_equal(fake_power(&b, 1, PowerDeviceD0), STATUS_SUCCESS);
    fake_stop(&b);
}

static NTSTATUS ask(struct fake *fake, DXGK_QUERYADAPTERINFOTYPE type, const UINT *in, void *out,
                    UINT bytes)
{
    UINT input = in ? *in : 0;
    DXGKARG_QUERYADAPTERINFO args = {.Type = type, .pOutputData = out, .OutputDataSize = bytes};

    if (in) {
        args.pInputData = &input;
        args.InputDataSize = sizeof input;
    }
    return fake->ddi.DxgkDdiQueryAdapterInfo(fake->adapter, &args);
}

/* CAP-1, CAP-3, CAP-5 */
static void caps_follow_the_card(void **state)
{
    static const struct {
        const char *options;
        UINT scatter, performant, dirty_page;
    } cards[] = {{"vram=64M,vfs=4", 0, 1, 0x10000},
                 {"vram=64M,vfs=4,scatter=on,dirty-page=4K", 1, 1, 0x1000},
                 {"vram=64M,vfs=4,performant=off,dirty-page=2M", 0, 0, 0x200000}};

    (void)state;
    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++) {
        DXGK_DIRTY_BIT_TRACKING_SEGMENT_CAPS segment;
        DXGK_DIRTY_BIT_TRACKING_CAPS tracking;
        DXGK_QUERYSCATTERRESERVEOUT scatter;
        DXGK_GPUPCAPS gpup;
        const UINT vram = 1, none = 2;
        struct fake fake;

        fake_start(&fake, cards[i].options);
        assert_int_equal(ask(&fake, DXGKQAITYPE_GPUPCAPS, NULL, &gpup, sizeof gpup),
                         STATUS_SUCCESS);
        assert_int_equal(gpup.Caps.LiveMigration, 1);
        assert_int_equal(gpup.Caps.ScatterMapReserve, cards[i].scatter);
        assert_int_equal(gpup.Caps.HotDriverUpdate, 1);
        assert_int_equal(
            ask(&fake, DXGKQAITYPE_DIRTYBITTRACKINGCAPS, NULL, &tracking, sizeof tracking),
            STATUS_SUCCESS);
        assert_int_equal(tracking.DirtyBitTrackingSupported, 1);
        assert_int_equal(tracking.DirtyBitTrackingPerformant, cards[i].performant);
        assert_int_equal(
            ask(&fake, DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS, &vram, &segment, sizeof segment),
            STATUS_SUCCESS);
        assert_int_equal(segment.PageSize, cards[i].dirty_page);
        assert_int_equal(
            ask(&fake, DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS, &none, &segment, sizeof segment),
            STATUS_NOT_IMPLEMENTED);
        assert_int_equal(ask(&fake, DXGKQAITYPE_SCATTER_RESERVE, &vram, &scatter, sizeof scatter),
                         cards[i].scatter ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED);
        if (cards[i].scatter)
            assert_int_equal(scatter.SetVGPUResourcesPageSize,
                             1u << fake_register(&fake, SG_PF_SCATTER_PAGE_SHIFT));
        fake_stop(&fake);
    }
}

/* CAP-6 */
static void paging_caps_describe_the_cards_tables(void **state)
{
    DXGK_PAGE_TABLE_LEVEL_DESC level;
    DXGK_GPUMMUCAPS mmu;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(ask(&fake, DXGKQAITYPE_GPUMMUCAPS, NULL, &mmu, sizeof mmu), STATUS_SUCCESS);
    assert_int_equal(mmu.PageTableUpdateMode, DXGK_PAGETABLEUPDATE_CPU_VIRTUAL);
    assert_int_equal(mmu.VirtualAddressBitCount, 39);
    assert_int_equal(mmu.PageTableLevelCount, 3);
    for (UINT i = 0; i < 3; i++) {
        assert_int_equal(ask(&fake, DXGKQAITYPE_PAGETABLELEVELDESC, &i, &level, sizeof level),
                         STATUS_SUCCESS);
        assert_int_equal(level.PageTableIndexBitCount, 9);
        assert_int_equal(level.PageTableSizeInBytes, 4096);
        assert_int_equal(level.PagingProcessPageTableSegmentId, 0);
    }
    assert_int_equal(ask(&fake, DXGKQAITYPE_PAGETABLELEVELDESC, &(UINT){3}, &level, sizeof level),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* CAP-6 */
static void segments_are_counted_first_and_described_second(void **state)
{
    DXGK_SEGMENTDESCRIPTOR4 segment;
    DXGK_QUERYSEGMENTOUT4 out = {0};
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(ask(&fake, DXGKQAITYPE_QUERYSEGMENT4, NULL, &out, sizeof out), STATUS_SUCCESS);
    assert_int_equal(out.NbSegment, 1);
    assert_int_equal(out.PagingBufferSegmentId, 0);
    out.pSegmentDescriptor = (BYTE *)&segment;
    out.SegmentDescriptorStride = sizeof segment;
    assert_int_equal(ask(&fake, DXGKQAITYPE_QUERYSEGMENT4, NULL, &out, sizeof out), STATUS_SUCCESS);
    assert_int_equal(segment.Size, 64 * MIB);
    assert_int_equal(segment.Flags.CpuVisible, 0);
    out.SegmentDescriptorStride = sizeof segment - 1;
    assert_int_equal(ask(&fake, DXGKQAITYPE_QUERYSEGMENT4, NULL, &out, sizeof out),
                     STATUS_BUFFER_TOO_SMALL);
    fake_stop(&fake);
}

static void short_output_buffers_are_refused(void **state)
{
    static const DXGK_QUERYADAPTERINFOTYPE types[] = {DXGKQAITYPE_DRIVERCAPS,
                                                      DXGKQAITYPE_QUERYSEGMENT4,
                                                      DXGKQAITYPE_GPUMMUCAPS,
                                                      DXGKQAITYPE_PAGETABLELEVELDESC,
                                                      DXGKQAITYPE_PHYSICALADAPTERCAPS,
                                                      DXGKQAITYPE_GPUPCAPS,
                                                      DXGKQAITYPE_DIRTYBITTRACKINGCAPS,
                                                      DXGKQAITYPE_SCATTER_RESERVE,
                                                      DXGKQAITYPE_DIRTYBITTRACKINGSEGMENTCAPS};
    const UINT one = 1;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4,scatter=on");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        UCHAR byte[3] = {0xaa, 0xaa, 0xaa};

        assert_int_equal(ask(&fake, types[i], &one, byte, sizeof byte), STATUS_BUFFER_TOO_SMALL);
        assert_int_equal(byte[0], 0xaa);
    }
    assert_int_equal(ask(&fake, DXGKQAITYPE_NODEPERFDATA, NULL, NULL, 0), STATUS_NOT_SUPPORTED);
    fake_stop(&fake);
}

/* CAP-7 */
static void unknown_and_short_interfaces_are_refused(void **state)
{
    DXGKDDI_GPU_PARTITION_INTERFACE table;
    QUERY_INTERFACE query = {.InterfaceType = &GUID_DXGKDDI_FLEXIOV_DEVICE_INTERFACE,
                             .Size = sizeof table,
                             .Version = 1,
                             .Interface = (PINTERFACE)(void *)&table};
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(fake.ddi.DxgkDdiQueryInterface(fake.adapter, &query), STATUS_NOT_SUPPORTED);
    query.InterfaceType = &GUID_DXGKDDI_GPU_PARTITION_INTERFACE;
    query.Size = sizeof table - 8;
    assert_int_equal(fake.ddi.DxgkDdiQueryInterface(fake.adapter, &query),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* CAP-7 */
static void the_null_driver_starts_and_offers_nothing(void **state)
{
    QUERY_INTERFACE query = {.InterfaceType = &GUID_DXGKDDI_GPU_PARTITION_INTERFACE};
    DXGK_DRIVERCAPS caps;
    DXGK_GPUPCAPS gpup;
    struct fake fake;

    (void)state;
    fake_open(&fake, "null", "vram=64M,vfs=4");
    assert_int_equal(fake_start_device(&fake), STATUS_SUCCESS);
    assert_int_equal(ask(&fake, DXGKQAITYPE_DRIVERCAPS, NULL, &caps, sizeof caps), STATUS_SUCCESS);
    assert_int_equal(ask(&fake, DXGKQAITYPE_GPUPCAPS, NULL, &gpup, sizeof gpup),
                     STATUS_NOT_SUPPORTED);
    assert_int_equal(fake.ddi.DxgkDdiQueryInterface(fake.adapter, &query), STATUS_NOT_SUPPORTED);
    fake_stop(&fake);
    assert_int_equal(nt_pool_live().allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_and_remove_free_all_pool_and_mappings),
        cmocka_unit_test(stop_frees_partitions_and_bases_left_behind),
        cmocka_unit_test(start_without_the_bitplane_bar_is_refused_and_leaves_nothing),
        cmocka_unit_test(second_start_is_refused),
        cmocka_unit_test(a_stopped_adapter_starts_again),
        cmocka_unit_test(one_image_serves_two_adapters_apart),
        cmocka_unit_test(caps_follow_the_card),
        cmocka_unit_test(paging_caps_describe_the_cards_tables),
        cmocka_unit_test(segments_are_counted_first_and_described_second),
        cmocka_unit_test(short_output_buffers_are_refused),
        cmocka_unit_test(unknown_and_short_interfaces_are_refused),
        cmocka_unit_test(the_null_driver_starts_and_offers_nothing),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-life", tests, NULL, NULL);

    fake_unload();
    return failed;
}
