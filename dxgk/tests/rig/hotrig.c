// SPDX-License-Identifier: Apache-2.0
/* See hotrig.h. */
#include "dxgk/tests/rig/hotrig.h"

#include "base/tests/folder.h"

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

static const char *const devices[] = {"softgpu,vram=256M,vfs=8,dirty-page=4K", NULL};

static const char *driver_path(const char *name, char path[PATH_MAX])
{
    const char *dir = getenv("VF_DRIVER_DIR");

    assert_non_null(dir);
    (void)snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return path;
}

int hot_update(struct rig *rig, const char *name, bool dry_run, struct vf_driver_update *out,
               struct vf_error *error)
{
    char path[PATH_MAX];

    return dxgk_driver_update(rig->dxgk, 0, driver_path(name, path), dry_run, out, error);
}

void hot_must_update(struct rig *rig, const char *name, struct vf_driver_update *out)
{
    struct vf_error error = VF_ERROR_INIT;

    if (hot_update(rig, name, false, out, &error) != 0)
        fail_msg("%s", error.text);
}

bool hot_mapped(const char *name)
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

struct vf_driver_info hot_driver_of(struct rig *rig, uint32_t adapter)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_driver_info info;

    must(dxgk_driver_info(rig->dxgk, adapter, &info, &error), &error);
    return info;
}

static const char *bad_driver(const char *fault, char path[PATH_MAX])
{
    static char dir[TEST_PATH_BYTES];
    const char *from = getenv("VF_TEST_DRIVER_DIR");
    char command[3 * PATH_MAX];

    assert_non_null(from);
    if (dir[0] == '\0') {
        test_template(dir, "vferry-hotbad");
        assert_non_null(mkdtemp(dir));
    }
    (void)snprintf(path, PATH_MAX, "%s/%s.so", dir, fault);
    (void)snprintf(command, sizeof command, "cp %s/hotbad.so %s", from, path);
    assert_int_equal(system(command), 0);
    return path;
}

int hot_remove_bad_drivers(void **unused)
{
    char path[PATH_MAX], command[PATH_MAX + 16];

    (void)unused;
    (void)bad_driver("last", path);
    *strrchr(path, '/') = '\0';
    (void)snprintf(command, sizeof command, "rm -r %s", path);
    return system(command);
}

int hot_update_bad(struct rig *rig, const char *fault, struct vf_driver_update *out,
                   struct vf_error *error)
{
    char path[PATH_MAX];

    return dxgk_driver_update(rig->dxgk, 0, bad_driver(fault, path), false, out, error);
}

void hot_work_begin(struct hot_work *work)
{
    rig_open(&work->rig, devices, NULL);
    work->id = rig_create(&work->rig, "works", 0, RESERVE / MIB, false);
    rig_run(&work->rig, work->id, RESERVE, 9, 0);
    rig_wait(&work->rig, work->id, 10);
}

void hot_work_goes_on(struct hot_work *work)
{
    struct vf_error error = VF_ERROR_INIT;

    rig_wait(&work->rig, work->id, rig_counter(&work->rig, work->id) + 10);
    must(dxgk_partition_pause(work->rig.dxgk, work->id, &error), &error);
    must(dxgk_partition_resume(work->rig.dxgk, work->id, &error), &error);
    must(dxgk_migration_prepare(work->rig.dxgk, work->id, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_end(work->rig.dxgk, work->id, &error), &error);
}

void hot_work_end(struct hot_work *work)
{
    struct vf_driver_update out;

    hot_work_goes_on(work);
    hot_must_update(&work->rig, "softgpu-v2.so", &out); /* nothing is stuck */
    hot_work_goes_on(work);
    rig_close(&work->rig);
}
