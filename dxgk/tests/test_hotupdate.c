// SPDX-License-Identifier: Apache-2.0
/* Driver hot update with real drivers over the real card: partitions work on, move and end as if
 * nothing had happened; a driver that does wrong is refused or taken back (HOT-1..6). */
#include "dxgk/tests/moverig.h"

#include "base/size.h"
#include "softgpu/hw.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (16 * MIB)
#define STEPS 400000u

static const char *const one[] = {"softgpu,vram=256M,vfs=8,dirty-page=4K", NULL};
static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};
static const char *const lazy[] = {"softgpu,vram=128M,vfs=4,dirty-page=64K,performant=off",
                                   "softgpu,vram=128M,vfs=4,dirty-page=64K,performant=off", NULL};
static const char *const scattered[] = {"softgpu,vram=64M,vfs=8,dirty-page=64K,scatter=on", NULL};

static const char *driver_path(const char *name, char path[PATH_MAX])
{
    const char *dir = getenv("VF_DRIVER_DIR");

    assert_non_null(dir);
    (void)snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return path;
}

static int update(struct rig *rig, const char *name, bool dry_run, struct vf_driver_update *out,
                  struct vf_error *error)
{
    char path[PATH_MAX];

    return dxgk_driver_update(rig->dxgk, 0, driver_path(name, path), dry_run, out, error);
}

static void must_update(struct rig *rig, const char *name, struct vf_driver_update *out)
{
    struct vf_error error = VF_ERROR_INIT;

    if (update(rig, name, false, out, &error) != 0)
        fail_msg("%s", error.text);
}

static bool mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[PATH_MAX + 128], file[128];
    bool found = false;

    assert_non_null(maps);
    (void)snprintf(file, sizeof file, "memfd:%s ", name);
    while (fgets(line, sizeof line, maps) != NULL)
        found = found || strstr(line, file) != NULL;
    (void)fclose(maps);
    return found;
}

static struct vf_driver_info driver_of(struct rig *rig, uint32_t adapter)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_info info;

    must(dxgk_driver_info(rig->dxgk, adapter, &info, &error), &error);
    return info;
}

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

        must_update(&rig, up ? "softgpu-v2.so" : "softgpu.so", &out);
        assert_int_equal(mapped("softgpu-v2.so"), up);
        assert_int_equal(mapped("softgpu.so"), !up);
        assert_int_equal(out.adapters, 1);
        assert_int_equal(out.blocks, up ? 3 : 6);
        assert_int_equal(driver_of(&rig, 0).updates, turn + 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        rig_wait(&rig, id[i], STEPS);
        rig_wait_interrupts(&rig, id[i], 1);
        assert_int_equal(rig_digest(&rig, id[i], RESERVE), expected);
    }
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_1_partitions_work_through_updates_and_downgrades),
    };

    dxgk_trial_main(argc, argv);
    rig_trials = true;
    (void)two, (void)lazy, (void)scattered;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
