// SPDX-License-Identifier: Apache-2.0
/* A partition's clock, and a device that has none. */
#include "dxgk/internal.h"
#include "dxgk/tests/rig/moverig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static const char *const one[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K", NULL};

static uint64_t runtime_of(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_clock clock;

    must(dxgk_partition_clock(rig->dxgk, id, &clock, &error), &error);
    return clock.runtime_ns;
}

static void engine_time_of_a_device_without_a_clock_is_unknown_and_not_none(void **unused)
{
    const struct vf_device_ops *whole;
    struct vf_device_ops less;
    struct rig rig;
    uint64_t idle, busy;

    (void)unused;
    rig_open(&rig, one, NULL);
    idle = rig_create(&rig, "idle", 0, 16, false);
    busy = rig_create(&rig, "busy", 0, 16, false);
    rig_run(&rig, busy, 16 * MIB, 1, 100);
    rig_wait(&rig, busy, 100);
    assert_int_equal(runtime_of(&rig, idle), 0);
    assert_in_range(runtime_of(&rig, busy), 1, VF_RUNTIME_UNKNOWN - 1);
    whole = rig.dxgk->adapters[0]->ops;
    less = *whole;
    less.function_clock = NULL;
    rig.dxgk->adapters[0]->ops = &less;
    assert_true(runtime_of(&rig, idle) == VF_RUNTIME_UNKNOWN);
    assert_true(runtime_of(&rig, busy) == VF_RUNTIME_UNKNOWN);
    rig.dxgk->adapters[0]->ops = whole;
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_time_of_a_device_without_a_clock_is_unknown_and_not_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
