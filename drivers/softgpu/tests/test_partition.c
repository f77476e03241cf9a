// SPDX-License-Identifier: Apache-2.0
/* Partitions: counts, profiles, reserves, power and pause, config space, interrupts (VF-1 to VF-6,
 * INT-1, INT-2). */
#include "fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CARD "vram=64M,vfs=4"

/* VF-1 */
static void partition_info_tells_the_needed_count(void **state)
{
    DXGKARG_GETGPUPARTITIONINFO args = {0};
    USHORT options[8];
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=6");
    assert_int_equal(fake.gpup.DxgkDdiGetGpuPartitionInfo(fake.gpup.Context, &args),
                     STATUS_BUFFER_TOO_SMALL);
    assert_int_equal(args.NumGpuPartitionOptions, 4);
    args.pGpuPartitionOptions = options;
    assert_int_equal(fake.gpup.DxgkDdiGetGpuPartitionInfo(fake.gpup.Context, &args),
                     STATUS_SUCCESS);
    assert_memory_equal(options, ((USHORT[4]){1, 2, 4, 6}), 8);
    assert_int_equal(args.CurrentGpuPartitionCount, 6);
    fake_stop(&fake);
}

/* VF-1 */
static void the_count_changes_only_while_no_vgpu_exists(void **state)
{
    DXGKARG_SETGPUPARTITIONCOUNT args = {.PartitionCount = 2};
    DXGKARG_DESTROYVIRTUALGPU destroy = {.PartitionId = 3};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    assert_int_equal(fake_create_only(&fake, 3, 2 * MIB), STATUS_SUCCESS);
    assert_int_equal(fake.gpup.DxgkDdiSetGpuPartitionCount(fake.gpup.Context, &args),
                     STATUS_DEVICE_BUSY);
    assert_int_equal(fake.gpup.DxgkDdiDestroyVirtualGpu(fake.gpup.Context, &destroy),
                     STATUS_SUCCESS);
    assert_int_equal(fake.gpup.DxgkDdiSetGpuPartitionCount(fake.gpup.Context, &args),
                     STATUS_SUCCESS);
    assert_int_equal(fake_create_only(&fake, 3, 2 * MIB), STATUS_INVALID_PARAMETER);
    args.PartitionCount = 3;
    assert_int_equal(fake.gpup.DxgkDdiSetGpuPartitionCount(fake.gpup.Context, &args),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* VF-1 */
static void the_profile_counts_what_is_promised(void **state)
{
    DXGKARG_GETVIRTUALGPUPROFILE args = {.PartitionCount = 4};
    const DXGK_VGPU_PROFILE_CAPABILITY *memory =
        &args.ProfileCapability[DXGK_VGPU_CAPABILITY_MEMORY];
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 10 * MIB);
    assert_int_equal(fake.gpup.DxgkDdiGetVirtualGpuProfile(fake.gpup.Context, &args),
                     STATUS_SUCCESS);
    assert_int_equal(memory->TotalValue, 64 * MIB);
    assert_int_equal(memory->AvailableValue, 54 * MIB);
    assert_int_equal(memory->OptimalPartitionValue, 16 * MIB);
    args.PartitionCount = 0;
    assert_int_equal(fake.gpup.DxgkDdiGetVirtualGpuProfile(fake.gpup.Context, &args),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* VF-2 */
static void create_names_segment_size_and_alignment(void **state)
{
    DXGKARG_CREATEVIRTUALGPU args = {.PartitionId = 2, .VirtualGpuLuid = {5, 6}};
    LUID luid = {0};
    DXGKARG_QUERYVIRTUALFUNCTIONLUID query = {.VirtualFunctionIndex = 2, .pLuid = &luid};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD ",dirty-page=2M");
    args.Profile.Capability[DXGK_VGPU_CAPABILITY_MEMORY].OptimalValue = 4 * MIB;
    assert_int_equal(fake.gpup.DxgkDdiCreateVirtualGpu(fake.gpup.Context, &args), STATUS_SUCCESS);
    assert_int_equal(args.NumMemorySegments, 1);
    assert_int_equal(args.SegmentInfo[0].DriverSegmentId, 1);
    assert_int_equal(args.SegmentInfo[0].Size, 4 * MIB);
    assert_int_equal(args.SegmentInfo[0].Alignment, 2 * MIB);
    assert_int_equal(fake.gpup.DxgkDdiCreateVirtualGpu(fake.gpup.Context, &args),
                     STATUS_OBJECT_NAME_COLLISION);
    fake.sriov.DxgkDdiQueryVirtualFunctionLuid(fake.sriov.Context, &query);
    assert_int_equal(luid.LowPart, 5);
    assert_int_equal(luid.HighPart, 6);
    fake_stop(&fake);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    assert_int_equal(fake_create_only(&fake, 0, 0), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_create_only(&fake, 0, MIB + 4096), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_create_only(&fake, 0, 65 * MIB), STATUS_GRAPHICS_NO_VIDEO_MEMORY);
    assert_int_equal(fake_create_only(&fake, 4, MIB), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_create_only(&fake, ~0u, MIB), STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* VF-2 */
static void reserves_are_checked_against_card_promise_and_neighbours(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 8 * MIB, 4 * MIB);
    assert_int_equal(fake_create_only(&fake, 1, 4 * MIB), STATUS_SUCCESS);
    assert_int_equal(fake_power(&fake, 1, PowerDeviceD0),
                     STATUS_INVALID_DEVICE_STATE); /* no VRAM yet */
    assert_int_equal(fake_assign(&fake, 1, 6 * MIB, 4 * MIB), STATUS_CONFLICTING_ADDRESSES);
    assert_int_equal(fake_assign(&fake, 1, 11 * MIB, 4 * MIB), STATUS_CONFLICTING_ADDRESSES);
    assert_int_equal(fake_assign(&fake, 1, 62 * MIB, 4 * MIB), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_assign(&fake, 1, 0 - 2 * MIB, 4 * MIB), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_assign(&fake, 1, 4 * MIB, 2 * MIB), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_assign(&fake, 1, 4 * MIB, 4 * MIB), STATUS_SUCCESS);
    assert_int_equal(fake_assign(&fake, 1, 16 * MIB, 4 * MIB),
                     STATUS_INVALID_DEVICE_STATE); /* once */
    assert_int_equal(fake_assign(&fake, 2, 16 * MIB, 4 * MIB),
                     STATUS_INVALID_PARAMETER); /* no such vGPU */
    fake_stop(&fake);
}

/* VF-2 */
static void a_scattered_reserve_is_its_ranges_in_order(void **state)
{
    static const DXGK_MEMORYRANGE ranges[3] = {
        {40 * MIB, MIB}, {2 * MIB, 2 * MIB}, {20 * MIB, MIB}};
    static const struct {
        ULONG64 guest, vram;
    } places[] = {{0, 40 * MIB},
                  {MIB, 2 * MIB},
                  {2 * MIB + 8, 3 * MIB + 8},
                  {3 * MIB, 20 * MIB},
                  {4 * MIB - 8, 21 * MIB - 8}};
    DXGKARG_SETVIRTUALGPURESOURCES2 args = {.vfIndex = 1, .SegmentCount = 1};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD ",scatter=on");
    assert_int_equal(fake_create_only(&fake, 1, 4 * MIB), STATUS_SUCCESS);
    args.SegmentDescriptors[0].MemoryBasis = &args;
    assert_int_equal(fake.ddi.DxgkDdiSetVirtualGpuResources2(fake.adapter, &args),
                     STATUS_INVALID_HANDLE);
    args.SegmentDescriptors[0].MemoryBasis = fake_basis(&fake, ranges, 3);
    assert_non_null(args.SegmentDescriptors[0].MemoryBasis);
    assert_int_equal(fake.ddi.DxgkDdiSetVirtualGpuResources2(fake.adapter, &args), STATUS_SUCCESS);
    /* The reserve outlives the handle that described it. */
    assert_int_equal(
        fake.ddi.DxgkDdiDestroyMemoryBasis(fake.adapter, args.SegmentDescriptors[0].MemoryBasis),
        STATUS_SUCCESS);
    assert_int_equal(fake_power(&fake, 1, PowerDeviceD0), STATUS_SUCCESS);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const ULONG64 word = 0x1234 + i;

        fake_vram_write(&fake, places[i].vram, &word, sizeof word);
        assert_int_equal(fake_guest_word(&fake, 1, places[i].guest), word);
    }
    fake_stop(&fake);
}

/* VF-2, VF-6: two guest addresses of one page would let a store show up under the wrong one. */
static void a_reserve_that_meets_itself_is_refused(void **state)
{
    static const DXGK_MEMORYRANGE first = {2 * MIB, 2 * MIB}, second = {3 * MIB, 2 * MIB};
    /* Both end in an array of which the structure declares one element. */
    DXGKARG_SETVIRTUALGPURESOURCES2 *bases = calloc(2, sizeof *bases);
    DXGKARG_SETVIRTUALGPURESOURCES *flat = calloc(2, sizeof *flat);
    struct fake fake;

    (void)state;
    assert_non_null(bases);
    assert_non_null(flat);
    fake_start(&fake, CARD ",scatter=on");
    assert_int_equal(fake_create_only(&fake, 0, 4 * MIB), STATUS_SUCCESS);
    bases->SegmentCount = 2;
    bases->SegmentDescriptors[0].MemoryBasis = fake_basis(&fake, &first, 1);
    bases->SegmentDescriptors[1].MemoryBasis = fake_basis(&fake, &second, 1);
    assert_int_equal(fake.ddi.DxgkDdiSetVirtualGpuResources2(fake.adapter, bases),
                     STATUS_CONFLICTING_ADDRESSES);
    bases->SegmentDescriptors[1] = bases->SegmentDescriptors[0];
    assert_int_equal(fake.ddi.DxgkDdiSetVirtualGpuResources2(fake.adapter, bases),
                     STATUS_CONFLICTING_ADDRESSES);
    flat->NumMemoryAllocations = 2;
    for (ULONG64 i = 0; i < 2; i++) {
        flat->MemoryInfo[i].AllocationAddress.MemorySegmentId = 1;
        flat->MemoryInfo[i].AllocationAddress.MemorySegmentOffset = (8 + i) * MIB;
        flat->MemoryInfo[i].AllocationSize = 2 * MIB;
    }
    assert_int_equal(fake.gpup.DxgkDdiSetVirtualGpuResources(fake.gpup.Context, flat),
                     STATUS_CONFLICTING_ADDRESSES);
    flat->MemoryInfo[1].AllocationAddress.MemorySegmentOffset = 10 * MIB;
    assert_int_equal(fake.gpup.DxgkDdiSetVirtualGpuResources(fake.gpup.Context, flat),
                     STATUS_SUCCESS);
    fake_stop(&fake);
    free(bases);
    free(flat);
}

static void a_flat_card_refuses_scattered_reserves(void **state)
{
    const DXGK_MEMORYRANGE range = {0, MIB};
    DXGKARG_SETVIRTUALGPURESOURCES2 args = {.vfIndex = 0, .SegmentCount = 1};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    assert_int_equal(fake_create_only(&fake, 0, MIB), STATUS_SUCCESS);
    args.SegmentDescriptors[0].MemoryBasis = fake_basis(&fake, &range, 1);
    assert_int_equal(fake.ddi.DxgkDdiSetVirtualGpuResources2(fake.adapter, &args),
                     STATUS_NOT_SUPPORTED);
    fake_stop(&fake);
}

/* A loop that counts for ever at 0x8000 of the guest's space. */
static void start_counter(struct fake *fake, ULONG id)
{
    const struct sg_cmd loop[2] = {{.op = SG_OP_ADD, .a = {0x8000, 1}},
                                   {.op = SG_OP_JUMP, .a = {0x10000}}};

    fake_guest_setup(fake, id);
    fake_guest_start(fake, id, 0x10000, loop, 2);
}

static ULONG64 counter(struct fake *fake)
{
    return fake_guest_word(fake, 0, 0x8000);
}

/* Ends when it moves; the harness' timeout ends a test in which it does not. */
static void wait_for_progress(struct fake *fake)
{
    const ULONG64 before = counter(fake);

    while (counter(fake) == before)
        ;
}

/* VF-4 */
static void a_pause_stops_the_vf_and_its_end_lets_it_go_on(void **state)
{
    ULONG64 still;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 4 * MIB);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    start_counter(&fake, 0);
    wait_for_progress(&fake);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_true(fake_register(&fake, SG_VFC(0, SG_VFC_STATUS)) & SG_VFC_STATUS_QUIET);
    still = counter(&fake);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(counter(&fake), still);
    assert_int_equal(fake_pause(&fake, 0, FALSE), STATUS_SUCCESS);
    wait_for_progress(&fake);
    fake_stop(&fake);
}

/* VF-4, VF-2 */
static void a_paused_vf_gets_a_new_place_and_keeps_its_own_when_refused(void **state)
{
    const ULONG64 here = 0x1111, there = 0x2222;
    ULONG64 word = 0;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 4 * MIB);
    fake_create(&fake, 1, 16 * MIB, 4 * MIB);
    fake_vram_write(&fake, 0, &here, 8);
    fake_vram_write(&fake, 2 * MIB, &there, 8);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    /* Not while it runs. */
    assert_int_equal(fake_assign(&fake, 0, 2 * MIB, 4 * MIB), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    /* Not into a neighbour's VRAM, not with another size: then it is where it was. */
    assert_int_equal(fake_assign(&fake, 0, 14 * MIB, 4 * MIB), STATUS_CONFLICTING_ADDRESSES);
    assert_int_equal(fake_assign(&fake, 0, 2 * MIB, 2 * MIB), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake.ops->bar_read(fake.dev, VF_FUNCTION_VF(0), SG_VF_BAR_VRAM, 0, &word, 8),
                     0);
    assert_int_equal(word, here);
    /* A place that overlaps the old one is as good as any. */
    assert_int_equal(fake_assign(&fake, 0, 2 * MIB, 4 * MIB), STATUS_SUCCESS);
    assert_int_equal(fake.ops->bar_read(fake.dev, VF_FUNCTION_VF(0), SG_VF_BAR_VRAM, 0, &word, 8),
                     0);
    assert_int_equal(word, there);
    /* What it left is free for others. */
    fake_create(&fake, 2, 0, 2 * MIB);
    fake_stop(&fake);
}

static void a_vf_in_d3_stays_stopped_when_its_pause_ends(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 4 * MIB);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    start_counter(&fake, 0);
    wait_for_progress(&fake);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD3), STATUS_SUCCESS);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(fake_pause(&fake, 0, FALSE), STATUS_SUCCESS);
    assert_int_equal(fake_register(&fake, SG_VFC(0, SG_VFC_CTRL)), 0);
    const ULONG64 still = counter(&fake);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(counter(&fake), still);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    wait_for_progress(&fake);
    fake_stop(&fake);
}

static void vf_indices_that_do_not_exist_are_refused(void **state)
{
    static const ULONG indices[] = {1, 4, 32, ~0u};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, MIB);
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        DXGKARG_DESTROYVIRTUALGPU destroy = {.PartitionId = indices[i]};
        DXGKARG_RESETVIRTUALFUNCTION reset = {.VirtualFunctionIndex = indices[i]};
        DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX msix = {.vfIndex = indices[i]};

        assert_int_equal(fake_pause(&fake, indices[i], TRUE), STATUS_INVALID_PARAMETER);
        assert_int_equal(fake_power(&fake, indices[i], PowerDeviceD0), STATUS_INVALID_PARAMETER);
        assert_int_equal(fake.gpup.DxgkDdiDestroyVirtualGpu(fake.gpup.Context, &destroy),
                         STATUS_INVALID_PARAMETER);
        assert_int_equal(fake.sriov.DxgkDdiResetVirtualFunction(fake.sriov.Context, &reset),
                         STATUS_INVALID_PARAMETER);
        assert_int_equal(fake.ddi.DxgkDdiWriteVirtualizedInterrupt(fake.adapter, &msix),
                         STATUS_INVALID_PARAMETER);
        assert_int_equal(fake.ddi.DxgkDdiEndLiveMigration(fake.adapter, indices[i]),
                         STATUS_INVALID_PARAMETER);
    }
    fake_stop(&fake);
}

static NTSTATUS config(struct fake *fake, BOOLEAN write, ULONG offset, void *data, ULONG length)
{
    DXGKARG_READVIRTUALFUNCTIONCONFIG in = {.Data = data, .Offset = offset, .Length = length};
    DXGKARG_WRITEVIRTUALFUNCTIONCONFIG out = {.Data = data, .Offset = offset, .Length = length};

    return write ? fake->sriov.DxgkDdiWriteVirtualFunctionConfig(fake->sriov.Context, &out)
                 : fake->sriov.DxgkDdiReadVirtualFunctionConfig(fake->sriov.Context, &in);
}

static void config_space_is_read_by_bytes_and_ends_at_256(void **state)
{
    UCHAR whole[256], some[7];
    USHORT ids[2];
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, MIB);
    assert_int_equal(config(&fake, FALSE, 0, whole, sizeof whole), STATUS_SUCCESS);
    memcpy(ids, whole, sizeof ids);
    assert_int_equal(ids[0], SG_PCI_VENDOR);
    assert_int_equal(ids[1], SG_PCI_VF_DEVICE);
    assert_int_equal(config(&fake, FALSE, 0x3d, some, sizeof some), STATUS_SUCCESS);
    assert_memory_equal(some, whole + 0x3d, sizeof some);
    assert_int_equal(config(&fake, FALSE, 250, some, sizeof some), STATUS_INVALID_PARAMETER);
    assert_int_equal(config(&fake, FALSE, ~0u, some, 2), STATUS_INVALID_PARAMETER);
    assert_int_equal(config(&fake, TRUE, 256, some, 1), STATUS_INVALID_PARAMETER);
    assert_int_equal(config(&fake, TRUE, 0, some, 0), STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* VF-5 */
static void config_writes_change_only_what_a_guest_may(void **state)
{
    UCHAR before[256], after[256], ones[256];
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, MIB);
    assert_int_equal(config(&fake, FALSE, 0, before, sizeof before), STATUS_SUCCESS);
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(config(&fake, TRUE, 0, ones, sizeof ones), STATUS_SUCCESS);
    assert_int_equal(config(&fake, FALSE, 0, after, sizeof after), STATUS_SUCCESS);
    assert_int_equal(after[4] | after[5] << 8, 0x0406);
    assert_memory_equal(before, after, 4);
    assert_memory_equal(before + 0x10, after + 0x10, 24); /* BARs are the OS's */
    const UCHAR msix = before[0x34];
    assert_int_equal(before[msix], 0x11);
    assert_int_equal(after[msix + 3] & 0xc0, 0xc0);
    assert_int_equal(after[msix + 2], before[msix + 2]);
    fake_stop(&fake);
}

/* VF-5 */
static void probed_bars_have_the_sizes_of_the_card(void **state)
{
    ULONG bars[PCI_TYPE0_ADDRESSES];
    DXGKARG_QUERYPROBEDBARS args = {.BaseRegisterValues = bars};
    UCHAR before[24], after[24];
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, MIB);
    assert_int_equal(config(&fake, FALSE, 0x10, before, sizeof before), STATUS_SUCCESS);
    fake.sriov.DxgkDdiQueryProbedBars(fake.sriov.Context, &args);
    assert_int_equal(bars[SG_VF_BAR_REGS] & ~0xfu, ~(SG_VF_REGS_BYTES - 1));
    assert_true((bars[SG_VF_BAR_VRAM] & ~0xfu) != 0);
    assert_int_equal(config(&fake, FALSE, 0x10, after, sizeof after), STATUS_SUCCESS);
    assert_memory_equal(before, after, sizeof before);
    fake_stop(&fake);
}

/* VF-5, INT-1 */
static void the_interrupt_table_and_the_platform_page_are_mitigated(void **state)
{
    DXGKARG_QUERYMITIGATEDRANGECOUNT count = {0};
    DXGK_MITIGATEDRANGEINFO range[2];
    DXGKARG_QUERYMITIGATEDRANGES ranges = {.NumRanges = 1, .pMitigatedRange = range};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake.mitigable.DxgkDdiQueryMitigatedRangeCount(fake.mitigable.Context, &count);
    assert_memory_equal(count.RangeCount, ((ULONG[6]){2}), sizeof count.RangeCount);
    assert_int_equal(fake.mitigable.DxgkDdiQueryMitigatedRanges(fake.mitigable.Context, &ranges),
                     STATUS_BUFFER_TOO_SMALL);
    ranges.NumRanges = 2;
    assert_int_equal(fake.mitigable.DxgkDdiQueryMitigatedRanges(fake.mitigable.Context, &ranges),
                     STATUS_SUCCESS);
    assert_int_equal(range[0].BasePageNumber << PAGE_SHIFT, SG_VF_MSIX_TABLE);
    assert_int_equal(range[0].PageCount, 1);
    assert_int_equal(range[1].BasePageNumber << PAGE_SHIFT, SG_VF_PLATFORM);
    assert_int_equal(range[1].PageCount, 1);
    ranges.BarIndex = 2;
    assert_int_equal(fake.mitigable.DxgkDdiQueryMitigatedRanges(fake.mitigable.Context, &ranges),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

/* INT-2 */
static void a_written_interrupt_reaches_its_address(void **state)
{
    const struct sg_cmd commands[2] = {{.op = SG_OP_INTERRUPT, .a = {5}}, {.op = SG_OP_HALT}};
    DXGKARG_GPUP_WRITE_VIRTUALIZED_MSIX msix = {
        .InterruptTableIndex = 5, .WriteValue = {.MessageAddress = 0xfee00000, .MessageData = 77}};
    const int fd = eventfd(0, EFD_CLOEXEC);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 4 * MIB);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    assert_int_equal(fake.ops->msi_route(fake.dev, 0xfee00000, 77, fd), 0);
    assert_int_equal(fake.ddi.DxgkDdiWriteVirtualizedInterrupt(fake.adapter, &msix),
                     STATUS_SUCCESS);
    fake_guest_setup(&fake, 0);
    fake_guest_start(&fake, 0, 0x10000, commands, 2);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    msix.InterruptTableIndex = SG_MSIX_VECTORS;
    assert_int_equal(fake.ddi.DxgkDdiWriteVirtualizedInterrupt(fake.adapter, &msix),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake.ops->msi_route(fake.dev, 0xfee00000, 77, -1), 0);
    (void)close(fd);
    fake_stop(&fake);
}

/* VF-3 */
static void a_destroyed_vgpu_leaves_a_clean_vf(void **state)
{
    DXGKARG_DESTROYVIRTUALGPU destroy = {.PartitionId = 0};
    struct fake fake;
    ULONG64 word;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 4 * MIB);
    assert_int_equal(fake_power(&fake, 0, PowerDeviceD0), STATUS_SUCCESS);
    start_counter(&fake, 0);
    wait_for_progress(&fake);
    assert_int_equal(fake.gpup.DxgkDdiDestroyVirtualGpu(fake.gpup.Context, &destroy),
                     STATUS_SUCCESS);
    assert_int_equal(fake_register(&fake, SG_VFC(0, SG_VFC_CTRL)), 0);
    assert_false(fake_register(&fake, SG_VFC(0, SG_VFC_STATUS)) & SG_VFC_STATUS_BUSY);
    assert_true(fake.ops->bar_read(fake.dev, VF_FUNCTION_VF(0), SG_VF_BAR_VRAM, 0, &word, 8) <
                0); /* no map any more */
    fake_create(&fake, 0, 8 * MIB, 4 * MIB);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partition_info_tells_the_needed_count),
        cmocka_unit_test(the_count_changes_only_while_no_vgpu_exists),
        cmocka_unit_test(the_profile_counts_what_is_promised),
        cmocka_unit_test(create_names_segment_size_and_alignment),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(reserves_are_checked_against_card_promise_and_neighbours),
        cmocka_unit_test(a_scattered_reserve_is_its_ranges_in_order),
        cmocka_unit_test(a_reserve_that_meets_itself_is_refused),
        cmocka_unit_test(a_flat_card_refuses_scattered_reserves),
        cmocka_unit_test(a_pause_stops_the_vf_and_its_end_lets_it_go_on),
        cmocka_unit_test(a_paused_vf_gets_a_new_place_and_keeps_its_own_when_refused),
        cmocka_unit_test(a_vf_in_d3_stays_stopped_when_its_pause_ends),
        cmocka_unit_test(vf_indices_that_do_not_exist_are_refused),
        cmocka_unit_test(config_space_is_read_by_bytes_and_ends_at_256),
        cmocka_unit_test(config_writes_change_only_what_a_guest_may),
        cmocka_unit_test(probed_bars_have_the_sizes_of_the_card),
        cmocka_unit_test(the_interrupt_table_and_the_platform_page_are_mitigated),
        cmocka_unit_test(a_written_interrupt_reaches_its_address),
        cmocka_unit_test(a_destroyed_vgpu_leaves_a_clean_vf),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-partition", tests, NULL, NULL);

    fake_unload();
    return failed;
}
