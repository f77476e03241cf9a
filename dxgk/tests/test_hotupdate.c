// SPDX-License-Identifier: Apache-2.0
/* Driver hot update with real drivers over the real card: partitions work on, move and end as if
 * nothing had happened; a driver that does wrong is refused or taken back (HOT-1..6). */
#include "dxgk/tests/rig/hotrig.h"

#include "base/clock.h"
#include "base/tests/tool.h"
#include "base/thread.h"
#include "softgpu/hw.h"

#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (16 * MIB)
#define STEPS TEST_SHARE(400000u)
#define FEW_STEPS TEST_SHARE(20000u)

static const char *const one[] = {"softgpu,vram=256M,vfs=8,dirty-page=4K", NULL};
static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};
static const char *const lazy[] = {"softgpu,vram=128M,vfs=4,dirty-page=64K,performant=off",
                                   "softgpu,vram=128M,vfs=4,dirty-page=64K,performant=off", NULL};
static const char *const scattered[] = {"softgpu,vram=64M,vfs=8,dirty-page=64K,scatter=on", NULL};

static uint64_t undisturbed(struct rig *rig, uint64_t seed)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id = rig_create(rig, "stays", 0, RESERVE / MIB, false), digest;

    rig_run(rig, id, RESERVE, seed, STEPS);
    rig_wait(rig, id, STEPS);
    digest = rig_digest(rig, id, RESERVE);
    must(dxgk_partition_destroy(rig->dxgk, id, &error), &error);
    return digest;
}

/* HOT-1: up and down again under partitions at work; the code that went is gone from the process,
 * the guests' steps and interrupts went on, and they end as if nobody had touched them. */
static void hot_1_partitions_work_through_updates_and_downgrades(void **unused)
{
    struct vf_driver_update out;
    uint64_t expected, id[4];
    struct rig rig;
    char name[16];

    (void)unused;
    rig_open(&rig, one, NULL);
    expected = undisturbed(&rig, 21);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "p%u", i);
        id[i] = rig_create(&rig, name, 0, RESERVE / MIB, false);
        rig_run(&rig, id[i], RESERVE, 21, STEPS);
        rig_unmask(&rig, id[i]);
    }
    for (unsigned turn = 0; turn < 6; turn++) {
        bool up = turn % 2 == 0;

        hot_must_update(&rig, up ? "softgpu-v2.so" : "softgpu.so", &out);
        assert_int_equal(hot_mapped("softgpu-v2.so"), up);
        assert_int_equal(hot_mapped("softgpu.so"), !up);
        assert_int_equal(out.adapters, 1);
        assert_int_equal(out.blocks, up ? 3 : 6);
        assert_int_equal(hot_driver_of(&rig, 0).updates, turn + 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        rig_wait(&rig, id[i], STEPS);
        rig_wait_interrupts(&rig, id[i], 1);
        assert_int_equal(rig_digest(&rig, id[i], RESERVE), expected);
    }
    rig_close(&rig);
}

/* HOT-1: one image that serves two adapters goes for both. */
static void hot_1_an_image_is_replaced_for_all_its_adapters(void **unused)
{
    struct vf_driver_update out;
    uint64_t id[2];
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        id[i] = rig_create(&rig, i == 0 ? "a" : "b", i, RESERVE / MIB, false);
        rig_run(&rig, id[i], RESERVE, 5, FEW_STEPS);
    }
    assert_int_equal(hot_driver_of(&rig, 1).shared, 3);
    hot_must_update(&rig, "softgpu-v2.so", &out);
    assert_int_equal(out.adapters, 3);
    assert_string_equal(hot_driver_of(&rig, 0).digest, hot_driver_of(&rig, 1).digest);
    assert_false(hot_mapped("softgpu.so"));
    for (uint32_t i = 0; i < 2; i++)
        rig_wait(&rig, id[i], FEW_STEPS);
    assert_int_equal(rig_digest(&rig, id[0], RESERVE), rig_digest(&rig, id[1], RESERVE));
    rig_close(&rig);
}

/* HOT-3: a dry run is the same sequence up to the cancel, and changes nothing. */
static void hot_3_a_dry_run_cancels_and_changes_nothing(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct vf_driver_info before;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 3, FEW_STEPS);
    before = hot_driver_of(&rig, 0);
    for (unsigned i = 0; i < 3; i++)
        must(hot_update(&rig, "softgpu-v2.so", true, &out, &error), &error);
    assert_true(out.dry_run);
    assert_int_equal(out.blocks, 3);
    assert_int_equal(out.gap_ns, 0);
    assert_string_equal(hot_driver_of(&rig, 0).digest, before.digest);
    rig_wait(&rig, id, FEW_STEPS);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

/* ---- moves (HOT-5): no bit is lost, whenever the driver goes ---- */

static void updated_at_every_step(const char *const *devices, uint64_t seed)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    uint64_t expected, id;
    struct rig rig;
    struct move move;
    bool up = true;

#define UPDATE (hot_must_update(&rig, up ? "softgpu-v2.so" : "softgpu.so", &out), up = !up)
    rig_open(&rig, devices, NULL);
    expected = undisturbed(&rig, seed);
    id = rig_create(&rig, "goes", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, seed, STEPS);
    rig_unmask(&rig, id);
    UPDATE;
    move_begin(&move, &rig, id, 1, "moved");
    UPDATE;
    (void)move_round(&move);
    UPDATE;
    /* Handles died with the driver: the reserve counts as all dirty. */
    assert_int_equal(move_round(&move), RESERVE / move.page_bytes);
    UPDATE;
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    UPDATE;
    (void)move_round(&move);
    assert_int_equal(move_round(&move), 0);
    UPDATE;
    (void)move_round(&move);
    assert_int_equal(rig_digest(&rig, id, RESERVE), rig_digest(&rig, move.target, RESERVE));
    id = move_finish(&move);
    UPDATE;
    rig_wait(&rig, id, STEPS);
    rig_wait_interrupts(&rig, id, 1);
    assert_int_equal(rig_digest(&rig, id, RESERVE), expected);
    rig_close(&rig);
#undef UPDATE
}

static void hot_5_a_move_goes_on_through_updates_at_every_step(void **unused)
{
    (void)unused;
    updated_at_every_step(two, 31);
}

static void hot_5_a_move_without_performant_tracking_goes_on_as_well(void **unused)
{
    (void)unused;
    updated_at_every_step(lazy, 32);
}

/* HOT-3: a reserve of many pieces, a paused partition and one on the move are all in what
 * is saved. */
static void hot_3_every_state_of_a_partition_survives(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    uint64_t id[8], paused, before;
    struct rig rig;
    char name[16];

    (void)unused;
    rig_open(&rig, scattered, NULL);
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        id[i] = rig_create(&rig, name, 0, 4, false);
    }
    for (unsigned i = 0; i < 8; i += 2)
        must(dxgk_partition_destroy(rig.dxgk, id[i], &error), &error);
    paused = rig_create(&rig, "pieces", 0, 12, false);
    rig_run(&rig, paused, 12 * MIB, 7, 0);
    rig_wait(&rig, paused, 10);
    must(dxgk_partition_pause(rig.dxgk, paused, &error), &error);
    before = rig_digest(&rig, paused, 12 * MIB);
    must(dxgk_migration_prepare(rig.dxgk, id[1], DXGK_SOURCE, 4, &error), &error);
    hot_must_update(&rig, "softgpu-v2.so", &out);
    hot_must_update(&rig, "softgpu.so", &out);
    assert_int_equal(state_of(&rig, paused), VF_PARTITION_PAUSED);
    assert_int_equal(rig_digest(&rig, paused, 12 * MIB), before);
    must(dxgk_partition_resume(rig.dxgk, paused, &error), &error);
    rig_wait(&rig, paused, rig_counter(&rig, paused) + 10);
    assert_int_equal(state_of(&rig, id[1]), VF_PARTITION_OUTGOING);
    must(dxgk_migration_end(rig.dxgk, id[1], &error), &error);
    for (unsigned i = 1; i < 8; i += 2)
        must(dxgk_partition_destroy(rig.dxgk, id[i], &error), &error);
    rig_close(&rig);
}

/* ---- drivers that do wrong ---- */

/* The trial finds it: nothing was taken down. */
static void hot_4_a_bad_driver_is_found_in_its_trial(void **unused)
{
    static const struct {
        const char *fault, *says;
    } drivers[] = {
        {"crashes-at-entry", "crashed in DriverEntry"},
        {"other-version", "DxgkInitialize refused its table"},
        {"cannot-pause", "lacks DxgkDdiSetVirtualFunctionPauseState"},
        {"refuses", "refuses the saved state (block 1 of 3"},
        {"crashes-in-restore", "crashed in DxgkDdiRestoreMemoryForHotUpdate"},
        {"hangs-in-restore", "hung in DxgkDdiRestoreMemoryForHotUpdate"},
        {"leaks-mdl", "HOT-4: adapter 0: the driver leaked 3 MDLs"},
        {"frees-twice", "MmFreePagesFromMdl on"},
        {"frees-and-refuses", "refuses the saved state"},
    };
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct vf_driver_update out;

        assert_int_equal(hot_update_bad(&work.rig, drivers[i].fault, &out, &error), -1);
        if (strstr(error.text, drivers[i].says) == NULL)
            fail_msg("%s: %s", drivers[i].fault, error.text);
        assert_int_equal(error.code, VF_INCOMPATIBLE);
        assert_false(out.rolled_back);
        assert_int_equal(out.gap_ns, 0);
        assert_int_equal(hot_driver_of(&work.rig, 0).updates, 0);
        hot_work_goes_on(&work);
    }
    hot_work_end(&work);
}

/* What shows at work only: the old driver comes back with its own saved state. */
static void hot_4_a_driver_that_fails_at_work_is_taken_back(void **unused)
{
    static const struct {
        const char *fault, *says;
    } drivers[] = {
        {"refuses-late", "refuses the saved state"},
        {"does-not-start", "cannot start the device"},
        {"changes-caps", "changes the memory segments"},
        {"forgets-its-vfs", "does not know VF 0"},
        {"fails-to-complete", "fails at RestoreComplete"},
    };
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct vf_driver_update out;

        assert_int_equal(hot_update_bad(&work.rig, drivers[i].fault, &out, &error), -1);
        if (strstr(error.text, drivers[i].says) == NULL ||
            strstr(error.text, "the old driver is back") == NULL)
            fail_msg("%s: %s", drivers[i].fault, error.text);
        assert_true(out.rolled_back);
        assert_false(out.lost);
        assert_true(rig_expect(&work.rig, "driver", "the old driver is back"));
        assert_true(hot_mapped("softgpu.so"));
        assert_int_equal(hot_driver_of(&work.rig, 0).updates, 0);
        hot_work_goes_on(&work);
    }
    hot_work_end(&work);
}

#if TEST_TOOL_FACTOR == 1 /* sanitizers map more than any limit allows */
static uint64_t address_space(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    uint64_t pages = 0;

    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%" SCNu64, &pages), 1);
    (void)fclose(statm);
    return pages * 4096;
}

/* Whatever little memory there is: another driver, or the old one; never none. */
static void hot_4_without_memory_the_old_driver_stays_or_comes_back(void **unused)
{
    struct rlimit before, less;
    unsigned done = 0, refused = 0;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    /* A heap of a thread takes 64 MiB at once. */
    for (uint64_t more = 0; more <= 84 * MIB; more += more < 12 * MIB ? MIB / 2 : 4 * MIB) {
        struct vf_error error = VF_ERROR_INIT;
        struct vf_driver_update out;
        int result;

        less = (struct rlimit){address_space() + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_AS, &less), 0);
        result = hot_update(&work.rig, "softgpu-v2.so", false, &out, &error);
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
        if (result != 0 && (out.lost || !error.scarce || vf_remedy(&error) == NULL))
            fail_msg("%" PRIu64 " KiB: %s", more >> 10, error.text);
        done += result == 0;
        refused += result != 0;
        hot_work_goes_on(&work);
    }
    assert_true(done > 0 && refused > 0);
    hot_work_end(&work);
}
#endif

/* HOT-5: a driver that cannot move partitions does not take over one on the move. */
static void hot_5_a_driver_without_migration_does_not_take_a_move_over(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(dxgk_migration_prepare(work.rig.dxgk, work.id, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(hot_update_bad(&work.rig, "stops-migrating", &out, &error), -1);
    assert_true(out.rolled_back);
    must(dxgk_migration_end(work.rig.dxgk, work.id, &error), &error);
    hot_work_end(&work);
}

/* HOT-2: what the store refuses, by name; the driver itself does not mind and is kept all
 * the same. */
static void hot_2_a_driver_that_saves_oddly_stays(void **unused)
{
    static const struct {
        const char *fault, *says;
    } drivers[] = {
        {"saves-nothing", "saves nothing, but has partitions"},
        {"cannot-save", "cannot save its state"},
        {"no-form", "none of page ranges, MDL and buffer is set"},
        {"two-forms", "2 forms are set (page ranges, buffer)"},
        {"zero-buffer", "a buffer of zero bytes"},
        {"zero-ranges", "zero page ranges"},
        {"empty-range", "page range 0 has no pages"},
        {"overlap", "a page is saved twice"},
        {"mdl-twice", "a page of its MDL is saved twice"},
        {"foreign-pages", "is not memory of the driver"},
        {"wild-buffer", "cannot be read"},
        {"too-much", "are the most one update may save"},
        {"much-metadata", "bytes of metadata; at most"},
    };
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct vf_driver_update out;

        must(hot_update_bad(&work.rig, drivers[i].fault, &out, &error), &error);
        assert_int_equal(hot_update(&work.rig, "softgpu.so", false, &out, &error), -1);
        if (strstr(error.text, drivers[i].says) == NULL)
            fail_msg("%s: %s", drivers[i].fault, error.text);
        assert_int_equal(error.code, VF_INCOMPATIBLE);
        assert_int_equal(out.gap_ns, 0);
        if (i >= 2)
            assert_true(rig_expect(&work.rig, "contract", "HOT-2"));
        hot_work_goes_on(&work);
        /* The only way out of a driver that cannot save is the end of the host. */
        rig_close(&work.rig);
        hot_work_begin(&work);
    }
    hot_work_end(&work);
}

static void hot_2_saving_outside_of_save_is_refused(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(hot_update_bad(&work.rig, "saves-outside", &out, &error), &error);
    assert_true(
        rig_expect(&work.rig, "contract", "HOT-2: adapter 0: DxgkCbSaveMemoryForHotUpdate"));
    hot_work_end(&work);
}

/* HOT-5: an MDL that was saved is the OS's. A driver that frees it is told of; the update
 * goes on. */
static void hot_5_a_saved_mdl_that_its_driver_frees_is_reported(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(hot_update_bad(&work.rig, "frees-what-it-saved", &out, &error), &error);
    must(hot_update(&work.rig, "softgpu.so", false, &out, &error), &error);
    assert_true(rig_expect(&work.rig, "contract", "NT: MmFreePagesFromMdl"));
    assert_true(rig_expect(&work.rig, "contract", "NT: IoFreeMdl"));
    hot_work_end(&work);
}

/* HOT-4: what a driver was given and never freed is counted when it goes. */
static void hot_4_a_leaked_mdl_is_reported_at_the_unload(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(hot_update_bad(&work.rig, "leaks-late", &out, &error), &error);
    must(hot_update(&work.rig, "softgpu.so", false, &out, &error), &error);
    assert_true(rig_expect(&work.rig, "contract", "HOT-4: adapter 0: the driver leaked"));
    assert_true(rig_expect(&work.rig, "contract", "CAP-7: adapter 0: the driver left"));
    hot_work_end(&work);
}

/* HOT-1: a driver that is not for it says so. */
static void hot_1_without_the_cap_there_is_no_update(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(hot_update_bad(&work.rig, "is-the-last", &out, &error), &error);
    assert_false(hot_driver_of(&work.rig, 0).hot_update);
    assert_int_equal(hot_update(&work.rig, "softgpu.so", false, &out, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "HotDriverUpdate"));
    hot_work_goes_on(&work);
    rig_close(&work.rig);
}

/* HOT-1: while the card has no driver the guests' steps advance and their interrupts arrive; who
 * needs the driver waits. */
static void hot_1_guests_work_while_there_is_no_driver(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    uint64_t before, after;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    before = rig_counter(&work.rig, work.id);
    must(hot_update_bad(&work.rig, "starts-slowly", &out, &error), &error);
    after = rig_counter(&work.rig, work.id);
    print_message("# without a driver for %" PRIu64 " us: %" PRIu64 " steps\n", out.gap_ns / 1000,
                  after - before);
    assert_true(out.gap_ns >= 400000000ull);
    assert_true(after - before > 1000);
    hot_work_end(&work);
}

static void *update_slowly(void *arg)
{
    struct hot_work *work = arg;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;

    return hot_update_bad(&work->rig, "starts-slowly", &out, &error) == 0 ? NULL : work;
}

static unsigned faults_told(struct rig *rig)
{
    unsigned count = 0;

    vf_lock(&rig->lock);
    for (unsigned i = 0; i < rig->events; i++)
        count += strcmp(rig->kind[i], "triage") == 0 &&
                 strstr(rig->text[i], "a command faulted") != NULL;
    vf_unlock(&rig->lock);
    return count;
}

/* HOT-1: a VF faults while there is no driver: the guest can do that by itself, and the PF's
 * interrupt of it is delivered, once, to the driver that comes. */
static void hot_1_the_pfs_interrupts_wait_and_come_once(void **unused)
{
    const uint64_t nowhere = 0x7000000000ull;
    const uint32_t start = 1;
    struct vf_error error = VF_ERROR_INIT;
    uint64_t deadline, faults, queue = SG_VF_QUEUE(SG_QUEUE_COPY);
    struct vf_driver_update out;
    struct hot_work work;
    pthread_t thread;
    void *failed;

    (void)unused;
    hot_work_begin(&work);
    faults = rig_create(&work.rig, "faults", 0, RESERVE / MIB, false);
    assert_int_equal(pthread_create(&thread, NULL, update_slowly, &work), 0);
    /* The old code goes first, then the new driver takes its time. */
    deadline = vf_now_ns() + 10000000000ull;
    while (hot_mapped("softgpu.so") && vf_now_ns() < deadline)
        (void)usleep(1000);
    must(dxgk_partition_bar_write(work.rig.dxgk, faults, SG_VF_BAR_REGS, queue + SG_Q_IP64,
                                  &nowhere, sizeof nowhere, &error),
         &error);
    must(dxgk_partition_bar_write(work.rig.dxgk, faults, SG_VF_BAR_REGS, queue + SG_Q_CTRL, &start,
                                  sizeof start, &error),
         &error);
    assert_int_equal(faults_told(&work.rig), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    deadline = vf_now_ns() + 10000000000ull;
    while (faults_told(&work.rig) == 0 && vf_now_ns() < deadline)
        (void)usleep(1000);
    must(hot_update(&work.rig, "softgpu-v2.so", false, &out, &error), &error);
    hot_work_goes_on(&work);
    assert_int_equal(faults_told(&work.rig), 1); /* and not again */
    rig_close(&work.rig);
}

/* HOT-6 */
static void hot_6_both_ddis_come_at_passive_level(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_update out;
    struct hot_work work;

    (void)unused;
    hot_work_begin(&work);
    must(hot_update_bad(&work.rig, "wants-passive", &out, &error), &error);
    must(hot_update(&work.rig, "softgpu.so", false, &out, &error), &error);
    hot_work_end(&work);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_1_partitions_work_through_updates_and_downgrades),
        cmocka_unit_test(hot_1_an_image_is_replaced_for_all_its_adapters),
        cmocka_unit_test(hot_1_without_the_cap_there_is_no_update),
        cmocka_unit_test(hot_1_guests_work_while_there_is_no_driver),
        cmocka_unit_test(hot_1_the_pfs_interrupts_wait_and_come_once),
        cmocka_unit_test(hot_2_a_driver_that_saves_oddly_stays),
        cmocka_unit_test(hot_2_saving_outside_of_save_is_refused),
        cmocka_unit_test(hot_3_a_dry_run_cancels_and_changes_nothing),
        cmocka_unit_test(hot_3_every_state_of_a_partition_survives),
        cmocka_unit_test(hot_4_a_bad_driver_is_found_in_its_trial),
        cmocka_unit_test(hot_4_a_driver_that_fails_at_work_is_taken_back),
#if TEST_TOOL_FACTOR == 1
        cmocka_unit_test(hot_4_without_memory_the_old_driver_stays_or_comes_back),
#endif
        cmocka_unit_test(hot_4_a_leaked_mdl_is_reported_at_the_unload),
        cmocka_unit_test(hot_5_a_move_goes_on_through_updates_at_every_step),
        cmocka_unit_test(hot_5_a_move_without_performant_tracking_goes_on_as_well),
        cmocka_unit_test(hot_5_a_driver_without_migration_does_not_take_a_move_over),
        cmocka_unit_test(hot_5_a_saved_mdl_that_its_driver_frees_is_reported),
        cmocka_unit_test(hot_6_both_ddis_come_at_passive_level),
    };

    dxgk_trial_main(argc, argv);
    rig_trials = true;
    return cmocka_run_group_tests(tests, NULL, hot_remove_bad_drivers);
}
