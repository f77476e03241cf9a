// SPDX-License-Identifier: Apache-2.0
/* Paging through the driver: tables, commands, passes, submissions and faults (PAG-1 to PAG-4). */
#include "fixture.h"

static void fill_random(UCHAR *at, ULONG64 bytes, ULONG64 seed)
{
    for (ULONG64 i = 0; i < bytes; i += 8) {
        ULONG64 word = fake_random(&seed);

        memcpy(at + i, &word, 8);
    }
}

static DXGKARG_BUILDPAGINGBUFFER transfer(ULONG64 from, ULONG64 to, ULONG64 bytes)
{
    DXGKARG_BUILDPAGINGBUFFER args = {.Operation = DXGK_OPERATION_VIRTUAL_TRANSFER};

    args.TransferVirtual.SourceVirtualAddress = from;
    args.TransferVirtual.DestinationVirtualAddress = to;
    args.TransferVirtual.TransferSizeInBytes = bytes;
    return args;
}

/* PAG-1 */
static void transfers_land_where_the_tables_say(void **state)
{
    static const ULONG64 scattered[4] = {9 * MIB, 1 * MIB + 0x3000, 63 * MIB, 5 * MIB};
    DXGKARG_BUILDPAGINGBUFFER args;
    UCHAR page[4096];
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    for (ULONG i = 0; i < 4; i++)
        fake_map_vram(&fake, FAKE_VA_VRAM + i * PAGE_SIZE, scattered[i], PAGE_SIZE);
    fill_random(fake.paging + FAKE_DATA, 4 * PAGE_SIZE, 11);
    args = transfer(FAKE_VA_MEMORY + FAKE_DATA, FAKE_VA_VRAM, 4 * PAGE_SIZE);
    args.TransferVirtual.TransferDirection = DXGK_MEMORY_TRANSFER_SYSTEM_TO_LOCAL;
    fake_page(&fake, &args, 4096);
    for (ULONG i = 0; i < 4; i++) {
        fake_vram_read(&fake, scattered[i], page, sizeof page);
        assert_memory_equal(page, fake.paging + FAKE_DATA + i * PAGE_SIZE, sizeof page);
    }
    args = transfer(FAKE_VA_VRAM, FAKE_VA_MEMORY + FAKE_DATA + MIB, 4 * PAGE_SIZE);
    fake_page(&fake, &args, 4096);
    assert_memory_equal(fake.paging + FAKE_DATA + MIB, fake.paging + FAKE_DATA, 4 * PAGE_SIZE);
    assert_true(fake.dpcs > 0);
    fake_stop(&fake);
}

static void fill_zeroes_and_fills_patterns(void **state)
{
    DXGKARG_BUILDPAGINGBUFFER args = {.Operation = DXGK_OPERATION_VIRTUAL_FILL};
    UCHAR page[4096];
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 2 * MIB, 2 * PAGE_SIZE);
    args.FillVirtual.DestinationVirtualAddress = FAKE_VA_VRAM;
    args.FillVirtual.FillSizeInBytes = 2 * PAGE_SIZE;
    args.FillVirtual.FillPattern = 0xdeadbeef;
    fake_page(&fake, &args, 4096);
    fake_vram_read(&fake, 2 * MIB + PAGE_SIZE, page, sizeof page);
    for (ULONG i = 0; i < sizeof page; i += 4)
        assert_memory_equal(page + i, "\xef\xbe\xad\xde", 4);
    args.FillVirtual.FillPattern = 0;
    args.FillVirtual.FillSizeInBytes = PAGE_SIZE;
    fake_page(&fake, &args, 4096);
    fake_vram_read(&fake, 2 * MIB, page, sizeof page);
    for (ULONG i = 0; i < sizeof page; i++)
        assert_int_equal(page[i], 0);
    fake_vram_read(&fake, 2 * MIB + PAGE_SIZE, page, 4);
    assert_memory_equal(page, "\xef\xbe\xad\xde", 4);
    fake_stop(&fake);
}

/* PAG-2 */
static void a_short_buffer_is_asked_for_again_and_goes_on(void **state)
{
    const ULONG64 bytes = 22 * MIB;
    DXGKARG_BUILDPAGINGBUFFER args = transfer(FAKE_VA_MEMORY + FAKE_DATA, FAKE_VA_VRAM, bytes);
    UCHAR *back;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 8 * MIB, bytes);
    fill_random(fake.paging + FAKE_DATA, bytes, 12);
    fake_page(&fake, &args, 2 * SG_CMD_BYTES);
    assert_true(fake.completions >= 3); /* 22 MiB are six commands, two fit at a time */
    back = test_malloc(bytes);
    fake_vram_read(&fake, 8 * MIB, back, bytes);
    assert_memory_equal(back, fake.paging + FAKE_DATA, bytes);
    test_free(back);
    fake_stop(&fake);
}

static void a_buffer_without_room_is_left_alone(void **state)
{
    DXGKARG_BUILDPAGINGBUFFER args = transfer(FAKE_VA_MEMORY + FAKE_DATA, FAKE_VA_VRAM, PAGE_SIZE);
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    memset(fake.paging + FAKE_COMMANDS, 0xee, SG_CMD_BYTES);
    args.pDmaBuffer = fake.paging + FAKE_COMMANDS;
    args.DmaSize = SG_CMD_BYTES - 1;
    assert_int_equal(fake.ddi.DxgkDdiBuildPagingBuffer(fake.adapter, &args),
                     STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER);
    assert_ptr_equal(args.pDmaBuffer, fake.paging + FAKE_COMMANDS);
    assert_int_equal(args.MultipassOffset, 0);
    for (ULONG i = 0; i < SG_CMD_BYTES; i++)
        assert_int_equal(fake.paging[FAKE_COMMANDS + i], 0xee);
    fake_stop(&fake);
}

static NTSTATUS one_entry(struct fake *fake, ULONG level, const DXGK_PTE *pte, ULONG index,
                          ULONG count)
{
    DXGKARG_BUILDPAGINGBUFFER args = {.Operation = DXGK_OPERATION_UPDATE_PAGE_TABLE};

    args.UpdatePageTable.PageTableLevel = level;
    args.UpdatePageTable.PageTableAddress.CpuVirtual = fake->paging + FAKE_DATA;
    args.UpdatePageTable.pPageTableEntries = (DXGK_PTE *)(uintptr_t)pte;
    args.UpdatePageTable.StartIndex = index;
    args.UpdatePageTable.NumPageTableEntries = count;
    args.UpdatePageTable.Flags.Repeat = 1;
    return fake->ddi.DxgkDdiBuildPagingBuffer(fake->adapter, &args);
}

/* PAG-1 */
static void entries_the_card_cannot_hold_are_refused(void **state)
{
    DXGK_PTE pte = {0};
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    pte.Valid = 1;
    pte.Segment = 1;
    pte.PageAddress = 64 * MIB >> SG_PAGE_SHIFT; /* behind VRAM */
    assert_int_equal(one_entry(&fake, 0, &pte, 0, 1), STATUS_INVALID_PARAMETER);
    pte.PageAddress--;
    assert_int_equal(one_entry(&fake, 0, &pte, 0, 1), STATUS_SUCCESS);
    assert_int_equal(one_entry(&fake, 0, &pte, 511, 2), STATUS_INVALID_PARAMETER);
    assert_int_equal(one_entry(&fake, 3, &pte, 0, 1), STATUS_INVALID_PARAMETER);
    assert_int_equal(one_entry(&fake, 1, &pte, 0, 1),
                     STATUS_INVALID_PARAMETER); /* a table in VRAM */
    pte.Segment = 2;
    assert_int_equal(one_entry(&fake, 0, &pte, 0, 1), STATUS_INVALID_PARAMETER);
    pte.Segment = 1;
    pte.LargePage = 1;
    pte.PageAddress = 1;
    assert_int_equal(one_entry(&fake, 1, &pte, 0, 1), STATUS_INVALID_PARAMETER); /* not aligned */
    fake_stop(&fake);
}

/* PAG-1 */
static void invalid_entries_are_written_as_zero_and_repeats_fill(void **state)
{
    ULONG64 entries[4];
    DXGK_PTE pte = {.PageAddress = 5};
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    pte.Valid = 1;
    pte.Segment = 1;
    pte.ReadOnly = 1;
    assert_int_equal(one_entry(&fake, 0, &pte, 1, 2), STATUS_SUCCESS);
    pte.Valid = 0;
    assert_int_equal(one_entry(&fake, 0, &pte, 2, 1), STATUS_SUCCESS);
    memcpy(entries, fake.paging + FAKE_DATA, sizeof entries);
    assert_int_equal(entries[0], 0);
    assert_int_equal(entries[1], 5 << SG_PAGE_SHIFT | SG_PTE_VALID);
    assert_int_equal(entries[2], 0);
    fake_stop(&fake);
}

/* PAG-3 */
static void a_fault_takes_only_its_own_submission_along(void **state)
{
    struct sg_cmd *commands;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 0, PAGE_SIZE);
    commands = (struct sg_cmd *)(void *)(fake.paging + FAKE_COMMANDS);
    commands[0] = (struct sg_cmd){.op = SG_OP_FENCE, .a = {FAKE_VA_VRAM, 1}};
    commands[1] =
        (struct sg_cmd){.op = SG_OP_FENCE, .a = {1ull << 38, 2}}; /* nothing is mapped there */
    commands[2] = (struct sg_cmd){.op = SG_OP_FENCE, .a = {FAKE_VA_VRAM + 8, 3}};
    for (ULONG i = 0; i < 3; i++)
        assert_int_equal(
            fake_submit(&fake, FAKE_COMMANDS + i * SG_CMD_BYTES, SG_CMD_BYTES, 100 + i),
            STATUS_SUCCESS);
    assert_true(fake_wait(&fake, 102));
    assert_int_equal(fake.faulted, 101);
    ULONG64 words[2];
    fake_vram_read(&fake, 0, words, sizeof words);
    assert_int_equal(words[0], 1);
    assert_int_equal(words[1], 3);
    fake_stop(&fake);
}

/* PAG-3 */
static void more_submissions_than_the_card_holds_run_in_order(void **state)
{
    enum { COUNT = 3 * SG_PAGING_DEPTH };
    ULONG64 word;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 0, PAGE_SIZE);
    for (ULONG i = 0; i < COUNT; i++) {
        struct sg_cmd *command = (struct sg_cmd *)(void *)(fake.paging + FAKE_COMMANDS) + i;

        *command = (struct sg_cmd){.op = SG_OP_FENCE, .a = {FAKE_VA_VRAM, i + 1}};
    }
    for (ULONG i = 0; i < COUNT; i++)
        assert_int_equal(fake_submit(&fake, FAKE_COMMANDS + i * SG_CMD_BYTES, SG_CMD_BYTES, i + 1),
                         STATUS_SUCCESS);
    assert_true(fake_wait(&fake, COUNT));
    fake_vram_read(&fake, 0, &word, sizeof word);
    assert_int_equal(word, COUNT);
    fake_stop(&fake);
}

static void submissions_the_card_cannot_run_are_refused(void **state)
{
    DXGKARG_SUBMITCOMMANDVIRTUAL args = {.DmaBufferVirtualAddress = FAKE_COMMANDS,
                                         .DmaBufferSize = SG_CMD_BYTES,
                                         .SubmissionFenceId = 1,
                                         .NodeOrdinal = 1};
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    assert_int_equal(fake.ddi.DxgkDdiSubmitCommandVirtual(fake.adapter, &args),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS, 0, 1), STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS, SG_CMD_BYTES + 8, 1),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS + 8, SG_CMD_BYTES, 1),
                     STATUS_INVALID_PARAMETER);
    fake_stop(&fake);
}

static void an_engine_reset_drops_what_is_queued_and_says_how_far(void **state)
{
    DXGKARG_RESETENGINE reset = {0};
    struct sg_cmd *commands;
    struct fake fake;

    (void)state;
    fake_start(&fake, "vram=64M,vfs=4");
    fake_paging_setup(&fake);
    fake_map_vram(&fake, FAKE_VA_VRAM, 0, PAGE_SIZE);
    commands = (struct sg_cmd *)(void *)(fake.paging + FAKE_COMMANDS);
    /* A fault stops the engine; the interrupt is not taken, so the rest waits behind it. */
    commands[0] = (struct sg_cmd){.op = SG_OP_FENCE, .a = {1ull << 38, 2}};
    commands[1] = (struct sg_cmd){.op = SG_OP_FENCE, .a = {FAKE_VA_VRAM, 7}};
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS, SG_CMD_BYTES, 1), STATUS_SUCCESS);
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS + SG_CMD_BYTES, SG_CMD_BYTES, 2),
                     STATUS_SUCCESS);
    assert_int_equal(fake.ddi.DxgkDdiResetEngine(fake.adapter, &reset), STATUS_SUCCESS);
    assert_int_equal(reset.LastAbortedFenceId, 2);
    assert_int_equal(fake_submit(&fake, FAKE_COMMANDS + SG_CMD_BYTES, SG_CMD_BYTES, 3),
                     STATUS_SUCCESS);
    assert_true(fake_wait(&fake, 3));
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_land_where_the_tables_say),
        cmocka_unit_test(fill_zeroes_and_fills_patterns),
        cmocka_unit_test(a_short_buffer_is_asked_for_again_and_goes_on),
        cmocka_unit_test(a_buffer_without_room_is_left_alone),
        cmocka_unit_test(entries_the_card_cannot_hold_are_refused),
        cmocka_unit_test(invalid_entries_are_written_as_zero_and_repeats_fill),
        cmocka_unit_test(a_fault_takes_only_its_own_submission_along),
        cmocka_unit_test(more_submissions_than_the_card_holds_run_in_order),
        cmocka_unit_test(submissions_the_card_cannot_run_are_refused),
        cmocka_unit_test(an_engine_reset_drops_what_is_queued_and_says_how_far),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-paging", tests, NULL, NULL);

    fake_unload();
    return failed;
}
