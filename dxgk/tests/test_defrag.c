// SPDX-License-Identifier: Apache-2.0
/* Reserves that move inside VRAM while their partitions work (VF-4, CAP-5): content, history
 * and neighbours. */
#include "base/tests/tool.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define STEPS TEST_SHARE(30000u)

static const char *const one[] = {"softgpu,vram=128M,vfs=8,dirty-page=4K", NULL};
static const char *const slow[] = {"softgpu,vram=128M,vfs=8,dirty-page=64K,performant=off", NULL};
static const char *const scattered[] = {"softgpu,vram=128M,vfs=8,dirty-page=4K,scatter=on", NULL};
static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};

static struct vf_partition_clock clock_of(struct rig *rig, uint64_t id)
{
    struct vf_partition_clock clock;
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_clock(rig->dxgk, id, &clock, &error), &error);
    return clock;
}

static void remove_partition(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_destroy(rig->dxgk, id, &error), &error);
}

static void defrag(struct rig *rig, bool dry_run, struct vf_defrag *out)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_defrag(rig->dxgk, 0, dry_run, out, &error), &error);
}

static bool fits(struct rig *rig, uint64_t mib, uint64_t *id)
{
    struct vf_partition_params params = {.vram_bytes = mib << 20, .name = "new"};
    struct vf_partition_info info = {0};
    struct vf_error error = VF_ERROR_INIT;
    bool made = dxgk_partition_create(rig->dxgk, &params, false, &info, &error) == 0;

    *id = info.id;
    return made;
}

/* What the same work leaves behind where nothing ever moves. */
static uint64_t reference(uint64_t mib, uint64_t seed)
{
    struct rig rig;
    uint64_t id, digest;

    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "reference", 0, mib, false);
    rig_run(&rig, id, mib << 20, seed, STEPS);
    rig_wait(&rig, id, STEPS);
    digest = rig_digest(&rig, id, mib << 20);
    rig_close(&rig);
    return digest;
}

struct holes {
    struct rig rig;
    uint64_t low, mid, high; /* 24, 32, 24 MiB; at 0, 40, 88 MiB */
};

/* [low 24][16 free][mid 32][16 free][high 24][16 free], all at work; `fault` as in drivers/bad.c,
 * or NULL. */
static void make_holes_with(struct holes *h, const char *const *devices, const char *fault)
{
    uint64_t gap[2];

    if (fault != NULL)
        assert_int_equal(setenv("VF_BAD_DRIVER", fault, 1), 0);
    rig_open(&h->rig, devices, fault != NULL ? "bad.so" : NULL);
    h->low = rig_create(&h->rig, "low", 0, 24, false);
    gap[0] = rig_create(&h->rig, "gap0", 0, 16, false);
    h->mid = rig_create(&h->rig, "mid", 0, 32, false);
    gap[1] = rig_create(&h->rig, "gap1", 0, 16, false);
    h->high = rig_create(&h->rig, "high", 0, 24, false);
    remove_partition(&h->rig, gap[0]);
    remove_partition(&h->rig, gap[1]);
    rig_run(&h->rig, h->low, 24 * MIB, 1, STEPS);
    rig_run(&h->rig, h->mid, 32 * MIB, 2, STEPS);
    rig_run(&h->rig, h->high, 24 * MIB, 3, STEPS);
    rig_wait(&h->rig, h->mid, STEPS / 300);
    rig_wait(&h->rig, h->high, STEPS / 300);
}

static void make_holes(struct holes *h, const char *const *devices)
{
    make_holes_with(h, devices, NULL);
}

/* VF-4 */
static void what_did_not_fit_fits_and_all_content_is_right(void **unused)
{
    uint64_t want_low = reference(24, 1), want_mid = reference(32, 2), want_high = want_low;
    struct vf_defrag done;
    struct holes h;
    uint64_t id;

    (void)unused;
    want_high = reference(24, 3);
    make_holes(&h, one);
    assert_false(fits(&h.rig, 48, &id));
    defrag(&h.rig, false, &done);
    assert_int_equal(done.largest_before_bytes, 16 * MIB);
    assert_int_equal(done.largest_after_bytes, 48 * MIB);
    assert_true(fits(&h.rig, 48, &id));
    assert_int_equal(rig_counter(&h.rig, id), 0);
    rig_wait(&h.rig, h.low, STEPS);
    rig_wait(&h.rig, h.mid, STEPS);
    rig_wait(&h.rig, h.high, STEPS);
    assert_int_equal(rig_digest(&h.rig, h.low, 24 * MIB), want_low);
    assert_int_equal(rig_digest(&h.rig, h.mid, 32 * MIB), want_mid);
    assert_int_equal(rig_digest(&h.rig, h.high, 24 * MIB), want_high);
    rig_close(&h.rig);
}

/* VF-3: the room that came together holds nothing of whoever moved out of it. */
static void the_old_place_is_zero_for_its_next_tenant(void **unused)
{
    struct vf_defrag done;
    struct holes h;
    uint64_t id, empty;

    (void)unused;
    rig_open(&h.rig, one, NULL);
    id = rig_create(&h.rig, "empty", 0, 48, false);
    empty = rig_digest(&h.rig, id, 48 * MIB);
    rig_close(&h.rig);
    make_holes(&h, one);
    defrag(&h.rig, false, &done);
    assert_true(fits(&h.rig, 48, &id));
    assert_int_equal(rig_digest(&h.rig, id, 48 * MIB), empty);
    rig_close(&h.rig);
}

/* VF-4, VF-6 */
static void only_who_moves_is_paused_and_its_pause_is_told(void **unused)
{
    struct vf_partition_clock before, after;
    struct vf_defrag done;
    struct holes h;

    (void)unused;
    make_holes(&h, one);
    rig_wait(&h.rig, h.low, STEPS / 300);
    before = clock_of(&h.rig, h.low);
    defrag(&h.rig, false, &done);
    after = clock_of(&h.rig, h.low);
    assert_int_equal(before.first_run_ns, after.first_run_ns); /* set anew by an unpause */
    assert_int_equal(state_of(&h.rig, h.low), VF_PARTITION_RUNNING);
    assert_int_equal(done.count, 2);
    for (uint32_t i = 0; i < done.count; i++) {
        assert_string_not_equal(done.moves[i].partition, "low");
        assert_int_equal(done.moves[i].outcome, VF_DEFRAG_MOVED);
        assert_in_range(done.moves[i].pause_ns, 1, 30000000000ull);
    }
    assert_int_equal(done.moved_bytes, 56 * MIB);
    assert_int_equal(state_of(&h.rig, h.mid), VF_PARTITION_RUNNING);
    rig_close(&h.rig);
}

static void a_dry_run_tells_and_changes_nothing(void **unused)
{
    struct vf_partition_clock before, after;
    struct vf_defrag plan, done;
    struct holes h;
    uint64_t id;

    (void)unused;
    make_holes(&h, one);
    before = clock_of(&h.rig, h.mid);
    defrag(&h.rig, true, &plan);
    after = clock_of(&h.rig, h.mid);
    assert_int_equal(before.first_run_ns, after.first_run_ns);
    assert_false(fits(&h.rig, 48, &id));
    defrag(&h.rig, false, &done);
    assert_int_equal(plan.largest_after_bytes, done.largest_after_bytes);
    assert_int_equal(plan.moved_bytes, done.moved_bytes);
    assert_int_equal(plan.count, done.count);
    for (uint32_t i = 0; i < plan.count; i++) {
        assert_int_equal(plan.moves[i].outcome, VF_DEFRAG_PLANNED);
        assert_int_equal(plan.moves[i].pause_ns, 0);
        assert_string_equal(plan.moves[i].partition, done.moves[i].partition);
        assert_int_equal(plan.moves[i].to_bytes, done.moves[i].to_bytes);
    }
    rig_close(&h.rig);
}

static void a_person_s_pause_outlasts_the_move(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_defrag done;
    struct holes h;
    uint64_t digest;

    (void)unused;
    make_holes(&h, one);
    must(dxgk_partition_pause(h.rig.dxgk, h.mid, &error), &error);
    digest = rig_digest(&h.rig, h.mid, 32 * MIB);
    defrag(&h.rig, false, &done);
    assert_int_equal(done.largest_after_bytes, 48 * MIB);
    assert_int_equal(state_of(&h.rig, h.mid), VF_PARTITION_PAUSED);
    assert_int_equal(rig_digest(&h.rig, h.mid, 32 * MIB), digest);
    must(dxgk_partition_resume(h.rig.dxgk, h.mid, &error), &error);
    rig_wait(&h.rig, h.mid, STEPS);
    rig_close(&h.rig);
}

/* Nothing written before, during or after is lost to a later move, and pages that no guest wrote
 * need not be sent. */
static void move_after(const char *const *devices, bool sparse)
{
    struct vf_defrag done;
    struct holes h;
    struct move move;
    uint64_t first, id, digest;

    make_holes(&h, devices);
    rig_wait(&h.rig, h.mid, STEPS / 15);
    defrag(&h.rig, false, &done);
    assert_int_equal(done.moves[0].outcome, VF_DEFRAG_MOVED);
    move_begin(&move, &h.rig, h.mid, 0, "copy");
    first = move_round(&move);
    if (sparse)
        assert_true(first < 32 * MIB / move.page_bytes);
    rig_wait(&h.rig, h.mid, STEPS);
    (void)move_round(&move);
    move_pause(&move);
    digest = rig_digest(&h.rig, h.mid, 32 * MIB);
    id = move_finish(&move);
    assert_int_equal(rig_digest(&h.rig, id, 32 * MIB), digest);
    assert_int_equal(digest, reference(32, 2));
    rig_close(&h.rig);
}

/* DBT-6, DBT-9 */
static void a_later_move_takes_everything_that_was_ever_written(void **unused)
{
    (void)unused;
    move_after(one, true);
}

static void so_it_does_where_tracking_starts_with_the_move(void **unused)
{
    (void)unused;
    move_after(slow, false);
}

static void a_partition_in_a_migration_stays_and_is_named(void **unused)
{
    struct vf_defrag done;
    struct move move;
    struct rig rig;
    uint64_t gap, id, digest;

    (void)unused;
    rig_open(&rig, two, NULL);
    gap = rig_create(&rig, "gap", 0, 16, false);
    id = rig_create(&rig, "moving", 0, 32, false);
    rig_run(&rig, id, 32 * MIB, 2, STEPS);
    remove_partition(&rig, gap);
    move_begin(&move, &rig, id, 1, "copy");
    (void)move_round(&move);
    defrag(&rig, false, &done);
    assert_int_equal(done.count, 1);
    assert_int_equal(done.moves[0].outcome, VF_DEFRAG_SKIPPED);
    assert_string_equal(done.moves[0].partition, "moving");
    assert_non_null(strstr(done.moves[0].why, "migration"));
    rig_wait(&rig, id, STEPS);
    (void)move_round(&move);
    move_pause(&move);
    digest = rig_digest(&rig, id, 32 * MIB);
    assert_int_equal(rig_digest(&rig, move_finish(&move), 32 * MIB), digest);
    rig_close(&rig);
}

/* Fails at `fault`; what was moved by then lies where it was, works on, and so does everybody. */
static void a_move_that_fails(const char *fault)
{
    uint64_t want_mid = reference(32, 2), want_high = reference(24, 3), id;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_defrag done;
    struct holes h;

    make_holes_with(&h, one, fault);
    assert_int_equal(dxgk_defrag(h.rig.dxgk, 0, false, &done, &error), -1);
    assert_int_equal(done.moves[0].outcome, VF_DEFRAG_FAILED);
    assert_non_null(strstr(done.moves[0].why, "it is where it was"));
    assert_non_null(strstr(error.text, done.moves[0].partition));
    assert_int_equal(state_of(&h.rig, h.mid), VF_PARTITION_RUNNING);
    assert_int_equal(state_of(&h.rig, h.high), VF_PARTITION_RUNNING);
    rig_wait(&h.rig, h.mid, STEPS);
    rig_wait(&h.rig, h.high, STEPS);
    assert_int_equal(rig_digest(&h.rig, h.mid, 32 * MIB), want_mid);
    assert_int_equal(rig_digest(&h.rig, h.high, 24 * MIB), want_high);
    /* The room that was claimed for it is free again, and clean. */
    assert_true(fits(&h.rig, 16, &id));
    assert_int_equal(rig_counter(&h.rig, id), 0);
    rig_close(&h.rig);
}

/* VF-4 */
static void a_transfer_that_fails_is_taken_back(void **unused)
{
    (void)unused;
    a_move_that_fails("move-copy");
}

static void a_place_that_the_driver_refuses_is_taken_back(void **unused)
{
    (void)unused;
    a_move_that_fails("move-place");
}

static void a_partition_whose_content_is_lost_never_runs_again(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_defrag done;
    struct holes h;

    (void)unused;
    make_holes_with(&h, one, "move-back");
    assert_int_equal(dxgk_defrag(h.rig.dxgk, 0, false, &done, &error), -1);
    assert_non_null(strstr(done.moves[0].why, "its content is lost"));
    assert_string_equal(done.moves[0].partition, "mid");
    assert_int_equal(state_of(&h.rig, h.mid), VF_PARTITION_FAULTED);
    assert_int_equal(dxgk_partition_reset(h.rig.dxgk, h.mid, &error), -1);
    assert_int_equal(dxgk_partition_resume(h.rig.dxgk, h.mid, &error), -1);
    assert_int_equal(state_of(&h.rig, h.low), VF_PARTITION_RUNNING);
    remove_partition(&h.rig, h.mid);
    rig_close(&h.rig);
}

/* CAP-5 */
static void scattered_reserves_need_no_defragmentation(void **unused)
{
    struct vf_defrag done;
    struct holes h;
    uint64_t id;

    (void)unused;
    make_holes(&h, scattered);
    defrag(&h.rig, false, &done);
    assert_true(done.scatter);
    assert_int_equal(done.count, 0);
    /* 48 MiB in three holes of 16 MiB: a reserve made of scattered pages, and it works. */
    assert_true(fits(&h.rig, 48, &id));
    rig_run(&h.rig, id, 48 * MIB, 9, STEPS / 6);
    rig_wait(&h.rig, id, STEPS / 6);
    rig_wait(&h.rig, h.mid, STEPS);
    assert_int_equal(rig_digest(&h.rig, h.mid, 32 * MIB), reference(32, 2));
    rig_close(&h.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_did_not_fit_fits_and_all_content_is_right),
        cmocka_unit_test(the_old_place_is_zero_for_its_next_tenant),
        cmocka_unit_test(only_who_moves_is_paused_and_its_pause_is_told),
        cmocka_unit_test(a_dry_run_tells_and_changes_nothing),
        cmocka_unit_test(a_person_s_pause_outlasts_the_move),
        cmocka_unit_test(a_later_move_takes_everything_that_was_ever_written),
        cmocka_unit_test(so_it_does_where_tracking_starts_with_the_move),
        cmocka_unit_test(a_partition_in_a_migration_stays_and_is_named),
        cmocka_unit_test(a_transfer_that_fails_is_taken_back),
        cmocka_unit_test(a_place_that_the_driver_refuses_is_taken_back),
        cmocka_unit_test(a_partition_whose_content_is_lost_never_runs_again),
        cmocka_unit_test(scattered_reserves_need_no_defragmentation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
