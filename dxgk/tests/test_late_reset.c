// SPDX-License-Identifier: Apache-2.0
/* A hang that the driver tells late: about a tenant who is gone, to one who has its VF now. */
#include "base/clock.h"
#include "dxgk/partition/partition.h"
#include "dxgk/adapter/resets.h"
#include "dxgk/partition/tdr.h"
#include "dxgk/tests/rig/pagerig.h"

#include <poll.h>
#include <setjmp.h>

#include <cmocka.h>

#define RESERVE (8ull << 20)
#define OLD_ENOUGH_NS (DXGK_TDR_TOO_YOUNG_NS + 50000000ull)
#define TURNS 50u

/* False where the machine was so slow that the next tenant was no longer young: that
 * says nothing. */
static bool asked_in_time(void)
{
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_partition *old, *next;
    uint64_t first, since;
    bool in_time;
    struct rig rig;

    rig_open(&rig, "softgpu,vram=128M,vfs=4,dirty-page=4K");
    first = rig_partition(&rig, "first", RESERVE, false);
    old = rig_inside(&rig, rig_partition(&rig, "old", RESERVE, false));
    since = vf_now_ns();
    while (vf_now_ns() - since < OLD_ENOUGH_NS)
        (void)poll(NULL, 0, 10); /* its age is what this is about */
    if (dxgk_partition_destroy(rig.dxgk, first, &err) != 0)
        fail_msg("%s", err.text);
    next = rig_inside(&rig, rig_partition(&rig, "next", RESERVE, false));
    assert_true(next->vf < old->vf);
    dxgk_resets_ask(rig.adapter, next->vf); /* seen to in the order of VFs */
    dxgk_resets_ask(rig.adapter, old->vf);
    while (dxgk_partition_state(old) != VF_PARTITION_FAULTED)
        (void)poll(NULL, 0, 1);
    in_time = vf_now_ns() - next->built_ns < DXGK_TDR_TOO_YOUNG_NS;
    if (in_time)
        assert_int_equal(dxgk_partition_state(next), VF_PARTITION_RUNNING);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
    return in_time;
}

/* SRC-9, VF-6 */
static void a_late_reset_does_not_meet_the_next_tenant(void **unused)
{
    unsigned turn = 0;

    (void)unused;
    while (!asked_in_time())
        assert_true(++turn < TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_reset_does_not_meet_the_next_tenant),
    };

    return cmocka_run_group_tests_name("late reset", tests, NULL, NULL);
}
