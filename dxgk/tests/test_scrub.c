// SPDX-License-Identifier: Apache-2.0
/* Free VRAM is zero-filled and read back in the background (vram/vram.h): whoever takes what is
 * proven waits for nothing, and nobody gets what is not. */
#include "dxgk/tests/rig/gates.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define VRAM (64 * MIB)

static const char *const one[] = {"softgpu,vram=64M,vfs=4,dirty-page=4K", NULL};

static struct rig rig;

static int set_up(void **unused)
{
    (void)unused;
    gates_open();
    rig_scrub = true;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    rig_close(&rig);
    gates_take("fill.at");
    gates_close();
    rig_scrub = false;
    return 0;
}

static void remove_it(uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
}

static bool so_often(void *left)
{
    return --*(int *)left >= 0;
}

static int create(const char *name, uint64_t mib, struct vf_error *error)
{
    struct vf_partition_params params = {.vram_bytes = mib * MIB};
    struct vf_partition_info info;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    return dxgk_partition_create(rig.dxgk, &params, false, &info, error);
}

/* Its work has written everywhere. */
static uint64_t tenant(uint64_t mib)
{
    uint64_t id = rig_create(&rig, "tenant", 0, mib, false);

    rig_run(&rig, id, mib * MIB, 1, 1000);
    rig_wait(&rig, id, 1000);
    return id;
}

/* Digest of so many MiB of zeros, by way of a partition. */
static uint64_t digest_of_new(uint64_t mib)
{
    uint64_t id = rig_create(&rig, "new", 0, mib, false);
    uint64_t digest = rig_digest(&rig, id, mib * MIB);

    remove_it(id);
    return digest;
}

static void all_of_it_is_proven_from_the_start(void **unused)
{
    (void)unused;
    rig_open(&rig, one, "gated.so");
    rig_await_proven(&rig, 0);
    (void)rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(rig_unproven(&rig, 0), 0);
}

/* No fill of a new partition's would get through. */
static void what_is_proven_is_had_at_once(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    rig_open(&rig, one, "gated.so");
    rig_await_proven(&rig, 0);
    gates_put("fill.fails");
    must(create("p", 64, &error), &error);
    gates_take("fill.fails");
}

/* VF-3 */
static void what_a_partition_leaves_is_proven_again(void **unused)
{
    uint64_t fresh;

    (void)unused;
    rig_open(&rig, one, "gated.so");
    fresh = digest_of_new(64);
    rig_await_proven(&rig, 0);
    remove_it(tenant(64));
    rig_await_proven(&rig, 0);
    assert_int_equal(digest_of_new(64), fresh);
}

/* VF-3 */
static void what_only_seems_zero_is_locked_up(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info info;

    (void)unused;
    assert_int_equal(setenv("VF_BAD_DRIVER", "half-zero", 1), 0);
    rig_open(&rig, one, "bad.so");
    assert_int_equal(unsetenv("VF_BAD_DRIVER"), 0);
    rig_await_proven(&rig, 0); /* the card comes zeroed, so half a fill does */
    remove_it(tenant(4)); /* one of the thread's pieces: it is told of once, when it is locked up */
    for (int i = 0; !rig_expect(&rig, "contract", "stays locked up"); i++) {
        assert_true(i < 30000);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    must(dxgk_adapter_info(rig.dxgk, 0, &info, &error), &error);
    assert_int_equal(info.vram_free_bytes, VRAM - 4 * MIB);
    assert_int_equal(create("all", 64, &error), -1);
    (void)rig_create(&rig, "rest", 0, 16, false); /* and the rest of the card serves on */
}

/* VF-3 */
static void what_cannot_be_filled_is_locked_up_and_the_rest_serves_on(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info info;
    uint64_t id, fresh;

    (void)unused;
    rig_open(&rig, one, "gated.so");
    fresh = digest_of_new(32);
    id = tenant(64);
    gates_put("fill.fails");
    remove_it(id);
    assert_int_equal(create("p", 64, &error), -1);
    assert_non_null(strstr(error.text, "cannot zero-fill the VRAM of a new partition"));
    gates_take("fill.fails");
    assert_true(rig_expect(&rig, "contract", "stays locked up"));
    must(dxgk_adapter_info(rig.dxgk, 0, &info, &error), &error);
    assert_int_equal(info.vram_free_bytes, 32 * MIB); /* all but the piece that was asked for */
    assert_int_equal(digest_of_new(32), fresh);
    rig_await_proven(&rig, 0); /* what was given back has the thread try again */
}

/* What was read of it was read before the driver let a VF go that had it. */
static void an_arrival_called_off_leaves_nothing_that_counts_as_proven(void **unused)
{
    struct vf_partition_params params = {.vram_bytes = VRAM, .name = "unwanted"};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    int left = 40; /* 32 reads for each half of it */
    const struct dxgk_wanted wanted = {so_often, &left};

    (void)unused;
    rig_scrub = false;
    rig_open(&rig, one, "gated.so");
    assert_int_equal(dxgk_partition_await(rig.dxgk, &params, &wanted, &info, &error), -1);
    assert_int_equal(error.code, VF_CANCELLED);
    assert_int_equal(rig_unproven(&rig, 0), VRAM);
}

/* Creations, removals and moves inside VRAM beside it, with content that is looked at. */
static void it_disturbs_nobody_who_comes_and_goes(void **unused)
{
    struct vf_defrag moved;
    struct vf_error error = VF_ERROR_INIT;
    uint64_t fresh, gap, id, before;

    (void)unused;
    rig_open(&rig, one, "gated.so");
    fresh = digest_of_new(16);
    for (int i = 0; i < 20; i++) {
        gap = rig_create(&rig, "gap", 0, 8, false);
        id = tenant(16);
        before = rig_digest(&rig, id, 16 * MIB);
        remove_it(gap);
        must(dxgk_defrag(rig.dxgk, 0, false, &moved, &error), &error);
        assert_int_equal(moved.moves[0].outcome, VF_DEFRAG_MOVED);
        assert_int_equal(rig_digest(&rig, id, 16 * MIB), before);
        assert_int_equal(digest_of_new(16), fresh);
        remove_it(id);
    }
}

static void a_driver_is_replaced_beside_it(void **unused)
{
    static const char *const large[] = {"softgpu,vram=512M,vfs=4,dirty-page=4K", NULL};
    struct vf_driver_update update;
    struct vf_error error = VF_ERROR_INIT;
    char path[4096];

    (void)unused;
    rig_trials = true;
    rig_open(&rig, large, NULL);
    (void)snprintf(path, sizeof path, "%s/softgpu-v2.so", getenv("VF_DRIVER_DIR"));
    must(dxgk_driver_update(rig.dxgk, 0, path, false, &update, &error), &error);
    rig_await_proven(&rig, 0);
    rig_trials = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(all_of_it_is_proven_from_the_start),
        TEST(what_is_proven_is_had_at_once),
        TEST(what_a_partition_leaves_is_proven_again),
        TEST(what_only_seems_zero_is_locked_up),
        TEST(what_cannot_be_filled_is_locked_up_and_the_rest_serves_on),
        TEST(an_arrival_called_off_leaves_nothing_that_counts_as_proven),
        TEST(it_disturbs_nobody_who_comes_and_goes),
        TEST(a_driver_is_replaced_beside_it),
    };

    dxgk_trial_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
