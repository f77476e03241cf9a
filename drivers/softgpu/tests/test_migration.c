// SPDX-License-Identifier: Apache-2.0
/* Live migration as the driver answers for it: schedule, order, blobs, mismatches (SRC-1 to SRC-8,
 * TGT-1 to TGT-6). */
#include "fixture.h"

#include <stdlib.h>
#include <time.h>

#define CARD "vram=64M,vfs=4"
#define RESERVE (4 * MIB)

/* Where the fields of the blobs lie: what a peer can send. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_BYTES = 8,
    AT_DEVICE = 12,
    AT_HARDWARE = 16,
    AT_FIRMWARE = 20,
    AT_DRIVER = 24,
    AT_SEGMENTS = 32,
    AT_DIRTY_PAGE = 36,
    AT_SCATTER_PAGE = 40,
    AT_RESERVE = 48,
    AT_RESERVED = 12, /* of the mutable blob, as the next */
    AT_STATE_BYTES = 20,
};

static void power_up(struct fake *fake, ULONG id, ULONG64 offset)
{
    fake_create(fake, id, offset, RESERVE);
    assert_int_equal(fake_power(fake, id, PowerDeviceD0), STATUS_SUCCESS);
}

static NTSTATUS prepare(struct fake *fake, ULONG id, DXGK_GPUP_MIGRATIONTYPE type)
{
    const DXGKARG_GPUP_PREPARE_LIVE_MIGRATION args = {id, type};

    return fake->ddi.DxgkDdiPrepareLiveMigration(fake->adapter, &args);
}

static NTSTATUS end(struct fake *fake, ULONG id)
{
    return fake->ddi.DxgkDdiEndLiveMigration(fake->adapter, id);
}

static NTSTATUS save(struct fake *fake, BOOLEAN mutable_data, ULONG id, UINT64 *bytes, BYTE *data)
{
    DXGKARG_GPUP_SAVE_MUTABLE_MIGRATION_DATA m = {id, bytes, data};
    DXGKARG_GPUP_SAVE_IMMUTABLE_MIGRATION_DATA i = {id, bytes, data};

    return mutable_data ? fake->ddi.DxgkDdiSaveMutableMigrationData(fake->adapter, &m)
                        : fake->ddi.DxgkDdiSaveImmutableMigrationData(fake->adapter, &i);
}

static NTSTATUS restore(struct fake *fake, BOOLEAN mutable_data, ULONG id, BYTE *data, UINT64 bytes)
{
    const DXGKARG_GPUP_RESTORE_MUTABLE_MIGRATION_DATA m = {id, bytes, data};
    const DXGKARG_GPUP_RESTORE_IMMUTABLE_MIGRATION_DATA i = {id, bytes, data};

    return mutable_data ? fake->ddi.DxgkDdiRestoreMutableMigrationData(fake->adapter, &m)
                        : fake->ddi.DxgkDdiRestoreImmutableMigrationData(fake->adapter, &i);
}

/* Both calls; the blob is the caller's to test_free. */
static BYTE *saved(struct fake *fake, BOOLEAN mutable_data, ULONG id, UINT64 *bytes)
{
    BYTE *data;

    *bytes = 0;
    assert_int_equal(save(fake, mutable_data, id, bytes, NULL), STATUS_SUCCESS);
    assert_true(*bytes > 0);
    data = test_malloc(*bytes);
    assert_int_equal(save(fake, mutable_data, id, bytes, data), STATUS_SUCCESS);
    return data;
}

static ULONG lend(struct fake *fake, ULONG id)
{
    return fake_register(fake, SG_VFC(id, SG_VFC_LEND));
}

/* A VF ready for RestoreImmutable. */
static void await_restore(struct fake *fake, ULONG id, ULONG64 offset)
{
    power_up(fake, id, offset);
    assert_int_equal(fake_pause(fake, id, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(fake, id, DXGK_GPUP_MIGRATIONTYPE_TARGET), STATUS_SUCCESS);
}

/* VF-6, SRC-1 */
static void the_schedule_changes_for_the_move_and_comes_back(void **state)
{
    const ULONG odd = 17;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    power_up(&fake, 1, 8 * MIB);
    assert_int_equal(fake.ops->bar_write(fake.dev, VF_FUNCTION_PF, SG_PF_BAR_REGS,
                                         SG_VFC(0, SG_VFC_LEND), &odd, 4),
                     0);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    assert_int_equal(lend(&fake, 0), 512);
    assert_int_equal(lend(&fake, 1), 0); /* VF-6 */
    assert_int_equal(fake_register(&fake, SG_VFC(0, SG_VFC_WEIGHT)),
                     fake_register(&fake, SG_VFC(1, SG_VFC_WEIGHT)));
    assert_int_equal(end(&fake, 0), STATUS_SUCCESS);
    assert_int_equal(lend(&fake, 0), odd);
    assert_int_equal(fake_pause(&fake, 1, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 1, DXGK_GPUP_MIGRATIONTYPE_TARGET), STATUS_SUCCESS);
    assert_int_equal(lend(&fake, 1), 1024);
    assert_int_equal(end(&fake, 1), STATUS_SUCCESS);
    assert_int_equal(lend(&fake, 1), 0);
    fake_stop(&fake);
}

/* SRC-7 */
static void prepare_and_end_bracket_each_move(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    assert_int_equal(fake_create_only(&fake, 0, RESERVE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE),
                     STATUS_INVALID_DEVICE_STATE); /* no VRAM */
    assert_int_equal(fake_assign(&fake, 0, 0, RESERVE), STATUS_SUCCESS);
    assert_int_equal(end(&fake, 0), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_TARGET),
                     STATUS_INVALID_DEVICE_STATE); /* not paused */
    assert_int_equal(prepare(&fake, 0, (DXGK_GPUP_MIGRATIONTYPE)2), STATUS_INVALID_PARAMETER);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE),
                     STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(end(&fake, 0), STATUS_SUCCESS);
    assert_int_equal(end(&fake, 0), STATUS_INVALID_DEVICE_STATE);
    fake_stop(&fake);
}

/* CAP-4 */
static void a_costly_card_tracks_from_prepare_to_end(void **state)
{
    DXGKARG_DESTROYVIRTUALGPU destroy = {.PartitionId = 0};
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD ",performant=off");
    power_up(&fake, 0, 0);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    assert_int_equal(fake_register(&fake, SG_PF_DIRTY_ENABLE), 1);
    assert_int_equal(end(&fake, 0), STATUS_SUCCESS);
    assert_int_equal(fake_register(&fake, SG_PF_DIRTY_ENABLE), 0);
    /* Destroyed in the middle, a move takes nothing along. */
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    assert_int_equal(fake.gpup.DxgkDdiDestroyVirtualGpu(fake.gpup.Context, &destroy),
                     STATUS_SUCCESS);
    assert_int_equal(fake_register(&fake, SG_PF_DIRTY_ENABLE), 0);
    assert_int_equal(lend(&fake, 0), 0);
    fake_stop(&fake);
}

/* SRC-2 */
static void saves_ask_for_a_size_first(void **state)
{
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    for (int kind = 0; kind < 2; kind++) {
        UINT64 bytes = 0, needed, longer;
        BYTE *data = saved(&fake, kind == 1, 0, &bytes);
        BYTE *guarded = test_malloc(bytes + 8);

        needed = bytes;
        bytes = 5;
        assert_int_equal(save(&fake, kind == 1, 0, &bytes, NULL), STATUS_INVALID_PARAMETER);
        bytes = needed - 1;
        assert_int_equal(save(&fake, kind == 1, 0, &bytes, data), STATUS_BUFFER_TOO_SMALL);
        assert_int_equal(bytes, needed);
        memset(guarded, 0x5a, needed + 8);
        longer = needed + 8;
        assert_int_equal(save(&fake, kind == 1, 0, &longer, guarded), STATUS_SUCCESS);
        assert_int_equal(longer, needed);
        assert_memory_equal(guarded, data, needed);
        assert_memory_equal(guarded + needed, "\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a", 8);
        assert_int_equal(save(&fake, kind == 1, 0, NULL, data), STATUS_INVALID_PARAMETER);
        test_free(data);
        test_free(guarded);
    }
    fake_stop(&fake);
}

/* SRC-6 */
static void saves_need_a_prepared_source_and_mutable_a_paused_one(void **state)
{
    UINT64 bytes = 0;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(save(&fake, FALSE, 0, &bytes, NULL), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    assert_int_equal(save(&fake, TRUE, 0, &bytes, NULL),
                     STATUS_INVALID_DEVICE_STATE); /* SRC-6: it runs */
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(save(&fake, TRUE, 0, &bytes, NULL), STATUS_SUCCESS);
    fake_stop(&fake);
}

/* TGT-4 */
static void restores_have_an_order_and_come_once(void **state)
{
    UINT64 fixed_bytes, state_bytes;
    BYTE *fixed, *vf_state;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    fixed = saved(&fake, FALSE, 0, &fixed_bytes);
    vf_state = saved(&fake, TRUE, 0, &state_bytes);
    assert_int_equal(restore(&fake, FALSE, 0, fixed, fixed_bytes),
                     STATUS_INVALID_DEVICE_STATE); /* a source */
    await_restore(&fake, 1, 8 * MIB);
    assert_int_equal(restore(&fake, TRUE, 1, vf_state, state_bytes),
                     STATUS_INVALID_DEVICE_STATE); /* immutable first */
    assert_int_equal(restore(&fake, FALSE, 1, fixed, fixed_bytes), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, FALSE, 1, fixed, fixed_bytes), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(fake_pause(&fake, 1, FALSE), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, TRUE, 1, vf_state, state_bytes),
                     STATUS_INVALID_DEVICE_STATE); /* TGT-4: paused only */
    assert_int_equal(fake_pause(&fake, 1, TRUE), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, TRUE, 1, vf_state, state_bytes), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, TRUE, 1, vf_state, state_bytes), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(end(&fake, 1), STATUS_SUCCESS);
    assert_int_equal(fake.event_count, 0);
    test_free(fixed);
    test_free(vf_state);
    fake_stop(&fake);
}

/* TGT-2 */
static void each_mismatch_is_told_by_field_values_and_remedy(void **state)
{
    static const struct {
        size_t at;
        ULONG value;
        const char *text; /* up to the remedy, of which there must be one */
    } cases[] = {
        {AT_DEVICE, 0x10de2236, "device: source 10de:2236, target 1af4:5f01; "},
        {AT_HARDWARE, 2u << 16 | 7, "hardware: source 2.7, target 1.0; "},
        {AT_FIRMWARE, 1u << 16 | 3, "firmware: source 1.3, target 1.2; "},
        {AT_DRIVER, 2u << 16, "driver: source 2.0, target 1.0; "},
        {AT_DRIVER, 1u << 16 | 9, "driver: source 1.9, target 1.0; "},
        {AT_SEGMENTS, 2, "vram: source 2, target 1; "},
        {AT_RESERVE, 4096 * 3, "vram: source 12K, target 64K; "},
        {AT_DIRTY_PAGE, 0x1000, "dirty-page: source 4K, target 64K; "},
        {AT_SCATTER_PAGE, 0x200000, "scatter-page: source 2M, target 64K; "},
    };
    UINT64 bytes;
    BYTE *good, *bad;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD ",scatter=on");
    assert_int_equal(fake_register(&fake, SG_PF_SCATTER_PAGE_SHIFT), 16);
    power_up(&fake, 0, 0);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    good = saved(&fake, FALSE, 0, &bytes);
    bad = test_malloc(bytes);
    await_restore(&fake, 3, 8 * MIB);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bad, good, bytes);
        memcpy(bad + cases[i].at, &cases[i].value, sizeof cases[i].value);
        fake.event_count = 0;
        assert_int_equal(restore(&fake, FALSE, 3, bad, bytes), STATUS_OBJECT_TYPE_MISMATCH);
        assert_int_equal(fake.event_count, 1);
        assert_int_equal(fake.event_partition, 3);
        assert_memory_equal(fake.events[0], cases[i].text, strlen(cases[i].text));
        assert_true(strlen(fake.events[0]) > strlen(cases[i].text) + 10);
    }
    assert_int_equal(restore(&fake, FALSE, 3, good, bytes),
                     STATUS_SUCCESS); /* a refusal uses nothing up */
    test_free(good);
    test_free(bad);
    fake_stop(&fake);
}

/* TGT-2 */
static void two_cards_that_differ_tell_every_reason_at_once(void **state)
{
    UINT64 bytes;
    BYTE *data;
    struct fake source, target;

    (void)state;
    fake_start(&source, CARD ",fw=1.3,dirty-page=128K");
    fake_start(&target, CARD);
    power_up(&source, 0, 0);
    assert_int_equal(prepare(&source, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    data = saved(&source, FALSE, 0, &bytes);
    await_restore(&target, 0, 0);
    assert_int_equal(restore(&target, FALSE, 0, data, bytes), STATUS_OBJECT_TYPE_MISMATCH);
    assert_int_equal(target.event_count, 2);
    assert_memory_equal(target.events[0], "firmware: ", 10);
    assert_memory_equal(target.events[1], "dirty-page: source 128K, target 64K; ", 37);
    assert_int_equal(source.event_count, 0);
    test_free(data);
    fake_stop(&source);
    fake_stop(&target);
}

static void a_smaller_trial_reserve_is_no_mismatch(void **state)
{
    UINT64 bytes;
    BYTE *data;
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    fake_create(&fake, 0, 0, 32 * MIB);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    data = saved(&fake, FALSE, 0, &bytes);
    await_restore(&fake, 1, 40 * MIB);
    assert_int_equal(restore(&fake, FALSE, 1, data, bytes), STATUS_SUCCESS);
    test_free(data);
    fake_stop(&fake);
}

/* TGT-6 */
static void garbage_is_refused_whatever_its_size(void **state)
{
    const char *given = getenv("VF_SEED");
    ULONG64 seed = given ? strtoull(given, NULL, 0) : (ULONG64)time(NULL) * 2654435761u + 1;
    UINT64 bytes[2];
    BYTE *blob[2];
    struct fake fake;

    (void)state;
    print_message("# VF_SEED=%llu\n", (unsigned long long)seed);
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    blob[0] = saved(&fake, FALSE, 0, &bytes[0]);
    blob[1] = saved(&fake, TRUE, 0, &bytes[1]);
    await_restore(&fake, 1, 8 * MIB);
    await_restore(&fake, 2, 16 * MIB);
    assert_int_equal(restore(&fake, FALSE, 2, blob[0], bytes[0]), STATUS_SUCCESS);
    for (int kind = 0; kind < 2; kind++) {
        const ULONG id = kind == 0 ? 1 : 2; /* VF 2 has its immutable data and awaits the mutable */

        for (UINT64 cut = 0; cut < bytes[kind];
             cut++) { /* exact buffers, so that a sanitizer sees the byte behind */
            BYTE *part = malloc(cut ? cut : 1);

            assert_non_null(part);
            memcpy(part, blob[kind], cut);
            assert_int_equal(restore(&fake, kind == 1, id, part, cut), STATUS_INVALID_PARAMETER);
            free(part);
        }
        for (int i = 0; i < 300; i++) {
            BYTE *noise = malloc(bytes[kind]);

            assert_non_null(noise);
            for (UINT64 k = 0; k < bytes[kind]; k++)
                noise[k] = (BYTE)fake_random(&seed);
            assert_int_equal(restore(&fake, kind == 1, id, noise, bytes[kind]),
                             STATUS_INVALID_PARAMETER);
            free(noise);
        }
        ULONG next = 2;
        memcpy(blob[kind] + AT_VERSION, &next, sizeof next);
        assert_int_equal(restore(&fake, kind == 1, id, blob[kind], bytes[kind]),
                         kind == 0 ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_REVISION_MISMATCH);
        assert_int_equal(restore(&fake, kind == 1, id, NULL, bytes[kind]),
                         STATUS_INVALID_PARAMETER);
    }
    /* TGT-2: data of another version is told of as every other mismatch is; garbage is not. */
    assert_int_equal(fake.event_count, 1);
    assert_string_equal(fake.events[0],
                        "driver-data: source 2, target 1; update the older host's driver");
    test_free(blob[0]);
    test_free(blob[1]);
    fake_stop(&fake);
}

/* TGT-6 */
static void a_header_that_lies_is_refused(void **state)
{
    static const struct {
        BOOLEAN mutable_data;
        size_t at;
    } lies[] = {{FALSE, AT_MAGIC}, {FALSE, AT_BYTES},   {TRUE, AT_MAGIC},
                {TRUE, AT_BYTES},  {TRUE, AT_RESERVED}, {TRUE, AT_STATE_BYTES}};
    UINT64 bytes[2];
    BYTE *blob[2];
    struct fake fake;

    (void)state;
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    blob[0] = saved(&fake, FALSE, 0, &bytes[0]);
    blob[1] = saved(&fake, TRUE, 0, &bytes[1]);
    await_restore(&fake, 1, 8 * MIB);
    await_restore(&fake, 2, 16 * MIB);
    assert_int_equal(restore(&fake, FALSE, 2, blob[0], bytes[0]), STATUS_SUCCESS);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const int kind = lies[i].mutable_data;

        blob[kind][lies[i].at] ^= 8;
        assert_int_equal(restore(&fake, kind == 1, kind ? 2 : 1, blob[kind], bytes[kind]),
                         STATUS_INVALID_PARAMETER);
        blob[kind][lies[i].at] ^= 8;
    }
    assert_int_equal(restore(&fake, FALSE, 1, blob[0], bytes[0]), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, TRUE, 2, blob[1], bytes[1]), STATUS_SUCCESS);
    assert_int_equal(fake.event_count, 0);
    test_free(blob[0]);
    test_free(blob[1]);
    fake_stop(&fake);
}

/* TGT-6 */
static void a_state_of_noise_never_leaves_the_card_unusable(void **state)
{
    const char *given = getenv("VF_SEED");
    ULONG64 seed = given ? strtoull(given, NULL, 0) : (ULONG64)time(NULL) * 2654435761u + 1;
    UINT64 fixed_bytes, state_bytes;
    BYTE *fixed, *good, *bad;
    struct fake fake;

    (void)state;
    print_message("# VF_SEED=%llu\n", (unsigned long long)seed);
    fake_start(&fake, CARD);
    power_up(&fake, 0, 0);
    assert_int_equal(fake_pause(&fake, 0, TRUE), STATUS_SUCCESS);
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    fixed = saved(&fake, FALSE, 0, &fixed_bytes);
    good = saved(&fake, TRUE, 0, &state_bytes);
    bad = test_malloc(state_bytes);
    assert_int_equal(end(&fake, 0), STATUS_SUCCESS);
    for (int i = 0; i < 200; i++) {
        NTSTATUS status;

        assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_TARGET), STATUS_SUCCESS);
        assert_int_equal(restore(&fake, FALSE, 0, fixed, fixed_bytes), STATUS_SUCCESS);
        memcpy(bad, good, state_bytes);
        for (ULONG k = 0; k < 1 + fake_random(&seed) % 20;
             k++) /* the headers, 24 bytes, stay good */
            bad[24 + fake_random(&seed) % (state_bytes - 24)] = (BYTE)fake_random(&seed);
        status = restore(&fake, TRUE, 0, bad, state_bytes);
        assert_true(status == STATUS_SUCCESS || status == STATUS_INVALID_PARAMETER);
        assert_int_equal(end(&fake, 0), STATUS_SUCCESS);
    }
    assert_int_equal(prepare(&fake, 0, DXGK_GPUP_MIGRATIONTYPE_TARGET), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, FALSE, 0, fixed, fixed_bytes), STATUS_SUCCESS);
    assert_int_equal(restore(&fake, TRUE, 0, good, state_bytes), STATUS_SUCCESS);
    test_free(fixed);
    test_free(good);
    test_free(bad);
    fake_stop(&fake);
}

static void a_running_loop_goes_on_where_it_was_on_another_card(void **state)
{
    const struct sg_cmd loop[2] = {{.op = SG_OP_ADD, .a = {0x8000, 1}},
                                   {.op = SG_OP_JUMP, .a = {0x10000}}};
    UINT64 fixed_bytes, state_bytes;
    BYTE *fixed, *vf_state, *memory = test_malloc(RESERVE);
    ULONG64 reached;
    struct fake source, target;

    (void)state;
    fake_start(&source, CARD);
    fake_start(&target, CARD);
    power_up(&source, 0, 0);
    fake_guest_setup(&source, 0);
    fake_guest_start(&source, 0, 0x10000, loop, 2);
    while (fake_guest_word(&source, 0, 0x8000) < 100)
        ;
    assert_int_equal(prepare(&source, 0, DXGK_GPUP_MIGRATIONTYPE_SOURCE), STATUS_SUCCESS);
    fixed = saved(&source, FALSE, 0, &fixed_bytes);
    assert_int_equal(fake_pause(&source, 0, TRUE), STATUS_SUCCESS);
    vf_state = saved(&source, TRUE, 0, &state_bytes);
    fake_vram_read(&source, 0, memory, RESERVE);
    reached = fake_guest_word(&source, 0, 0x8000);

    await_restore(&target, 2, 20 * MIB);
    assert_int_equal(restore(&target, FALSE, 2, fixed, fixed_bytes), STATUS_SUCCESS);
    fake_vram_write(&target, 20 * MIB, memory, RESERVE);
    assert_int_equal(restore(&target, TRUE, 2, vf_state, state_bytes), STATUS_SUCCESS);
    assert_int_equal(end(&target, 2), STATUS_SUCCESS);
    assert_int_equal(fake_guest_word(&target, 2, 0x8000),
                     reached); /* paused until told otherwise */
    assert_int_equal(fake_pause(&target, 2, FALSE), STATUS_SUCCESS);
    while (fake_guest_word(&target, 2, 0x8000) < reached + 100)
        ;
    assert_int_equal(end(&source, 0), STATUS_SUCCESS);
    assert_int_equal(fake_guest_word(&source, 0, 0x8000), reached);
    test_free(fixed);
    test_free(vf_state);
    test_free(memory);
    fake_stop(&source);
    fake_stop(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schedule_changes_for_the_move_and_comes_back),
        cmocka_unit_test(prepare_and_end_bracket_each_move),
        cmocka_unit_test(a_costly_card_tracks_from_prepare_to_end),
        cmocka_unit_test(saves_ask_for_a_size_first),
        cmocka_unit_test(saves_need_a_prepared_source_and_mutable_a_paused_one),
        cmocka_unit_test(restores_have_an_order_and_come_once),
        cmocka_unit_test(each_mismatch_is_told_by_field_values_and_remedy),
        cmocka_unit_test(two_cards_that_differ_tell_every_reason_at_once),
        cmocka_unit_test(a_smaller_trial_reserve_is_no_mismatch),
        cmocka_unit_test(garbage_is_refused_whatever_its_size),
        cmocka_unit_test(a_header_that_lies_is_refused),
        cmocka_unit_test(a_state_of_noise_never_leaves_the_card_unusable),
        cmocka_unit_test(a_running_loop_goes_on_where_it_was_on_another_card),
    };
    int failed = cmocka_run_group_tests_name("softgpu-kmd-migration", tests, NULL, NULL);

    fake_unload();
    return failed;
}
