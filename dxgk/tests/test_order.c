// SPDX-License-Identifier: Apache-2.0
/*
 * The call checker at the DDI line: what the OS side must not do is refused by the rule's name
 * before the driver sees it. Each test breaks one rule; that the driver was not called shows in its
 * own state.
 */
#include "dxgk/ddi/basis.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/nt/nt.h"
#include "dxgk/partition/partition.h"
#include "dxgk/tests/rig/pagerig.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SPEC "softgpu,vram=128M,vfs=4,dirty-page=4K"
#define RESERVE (8 * MIB)

static struct {
    struct rig rig;
    uint64_t id;
    struct dxgk_partition *partition; /* locked */
} now;

/* A running partition, its lock held: the wrappers are called as dxgk's own files call them. */
static void begin(void)
{
    struct vf_error err = VF_ERROR_INIT;

    rig_open(&now.rig, SPEC);
    now.id = rig_partition(&now.rig, "p", RESERVE, false);
    now.partition = dxgk_partition_lock(now.rig.dxgk, now.id, &err);
    assert_non_null(now.partition);
}

static void end(void)
{
    dxgk_partition_unlock(now.partition);
    assert_int_equal(now.rig.contract, 0);
    rig_close(&now.rig);
}

/* The call failed, and the last breach told begins with `rule`; takes it away. */
static void broke(int result, const char *rule)
{
    assert_int_equal(result, -1);
    assert_true(now.rig.contract > 0);
    if (strncmp(now.rig.last, rule, strlen(rule)) != 0)
        fail_msg("\"%s\" is not %s", now.rig.last, rule);
    now.rig.contract = 0;
}

/* The call failed for `rule` without being a breach: input of ours that no driver may see. */
static void refused(int result, const char *rule, struct vf_error *err)
{
    assert_int_equal(result, -1);
    if (strstr(err->text, rule) == NULL)
        fail_msg("\"%s\" does not name %s", err->text, rule);
    *err = (struct vf_error)VF_ERROR_INIT;
}

static void must(int result, const struct vf_error *err)
{
    if (result != 0)
        fail_msg("%s", err->text);
}

/* ---- memory bases and tracking ---- */

static void dbt_1_ranges_of_a_basis_are_sound(void **unused)
{
    static const struct {
        DXGK_MEMORYRANGE ranges[2];
        uint32_t count;
    } bad[] = {
        {{{0, 4096}}, 0},                      /* none */
        {{{0, 0}}, 1},                         /* empty */
        {{{2048, 4096}}, 1},                   /* not aligned */
        {{{0, 6144}}, 1},                      /* likewise */
        {{{128 * MIB, 4096}}, 1},              /* outside */
        {{{128 * MIB - 4096, 8192}}, 1},       /* over the end */
        {{{0, 0xfffffffffffff000ull}}, 1},     /* a sum that wraps */
        {{{8192, 4096}, {4096, 8192}}, 2},     /* overlapping, in no order */
        {{{4096, 4096}, {4096, 4096}}, 2},     /* twice the same */
    };
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_basis basis;

    (void)unused;
    begin();
    for (size_t i = 0; i < RTL_NUMBER_OF(bad); i++)
        refused(dxgk_ddi_create_memory_basis(now.rig.adapter, 1, 4096, bad[i].ranges, bad[i].count,
                                             &basis, &err),
                "DBT-1", &err);
    assert_int_equal(
        dxgk_ddi_create_memory_basis(now.rig.adapter, 2, 4096, bad[0].ranges, 1, &basis, &err),
        -1); /* no such segment */
    end();
}

static void dbt_2_3_a_basis_starts_and_stops_once(void **unused)
{
    const DXGK_MEMORYRANGE range = {64 * MIB, MIB};
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_basis basis;

    (void)unused;
    begin();
    must(dxgk_ddi_create_memory_basis(now.rig.adapter, 1, 4096, &range, 1, &basis, &err), &err);
    broke(dxgk_ddi_stop_dirty_tracking(now.rig.adapter, &basis, &err), "DBT-3");
    must(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &basis, &err), &err);
    broke(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &basis, &err), "DBT-2");
    must(dxgk_ddi_stop_dirty_tracking(now.rig.adapter, &basis, &err), &err);
    must(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &basis, &err), &err);
    dxgk_ddi_destroy_memory_basis(now.rig.adapter, &basis); /* a breach, but it is destroyed */
    broke(-1, "DBT-3");
    broke(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &basis, &err), "DBT-2");
    end();
}

static void dbt_4_only_what_is_tracked_is_asked_for(void **unused)
{
    const DXGK_MEMORYRANGE ranges[] = {{64 * MIB, MIB}, {32 * MIB, 2 * MIB}};
    const uint64_t bad[][3] = {
        {2, 0, 4096},           /* no such range */
        {0, 2048, 4096},        /* not aligned */
        {0, 0, 2048},           /* likewise */
        {0, MIB, 4096},         /* behind the end */
        {0, 4096, MIB},         /* over the end */
        {1, 4096, ~0ull << 12}, /* a sum that wraps */
        {~0ull, 0, 4096},
    };
    uint8_t *bits = dxgk_guarded_alloc(96); /* one bit a page of both ranges */
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_basis basis;

    (void)unused;
    begin();
    must(dxgk_ddi_create_memory_basis(now.rig.adapter, 1, 4096, ranges, 2, &basis, &err), &err);
    refused(dxgk_ddi_query_dirty_bits(now.rig.adapter, &basis, 0, 0, 0, bits, 96, &err), "DBT-4",
            &err); /* not tracked */
    must(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &basis, &err), &err);
    for (size_t i = 0; i < RTL_NUMBER_OF(bad); i++)
        refused(dxgk_ddi_query_dirty_bits(now.rig.adapter, &basis, bad[i][0], bad[i][1], bad[i][2],
                                          bits, 96, &err),
                "DBT-4", &err);
    refused(dxgk_ddi_query_dirty_bits(now.rig.adapter, &basis, 0, 0, 0, bits, 95, &err), "DBT-4",
            &err);
    must(dxgk_ddi_query_dirty_bits(now.rig.adapter, &basis, 0, 0, 0, bits, 96, &err), &err);
    must(dxgk_ddi_query_dirty_bits(now.rig.adapter, &basis, 1, MIB, MIB, bits, 96, &err), &err);
    must(dxgk_ddi_stop_dirty_tracking(now.rig.adapter, &basis, &err), &err);
    dxgk_ddi_destroy_memory_basis(now.rig.adapter, &basis);
    dxgk_guarded_free(bits);
    end();
}

/* ---- life of a VF ---- */

static void vf_2_a_vf_has_memory_before_power_and_keeps_it(void **unused)
{
    DXGKARG_CREATEVIRTUALGPU arg = {.PartitionId = 0};
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_check check;

    (void)unused;
    begin();
    broke(dxgk_ddi_create_vgpu(now.partition, &arg, &err), "VF-2");     /* it lives already */
    broke(dxgk_ddi_set_resources(now.partition, &err), "VF-2");         /* it has power */
    check = now.partition->check;
    now.partition->check.powered = now.partition->check.resources = false;
    broke(dxgk_ddi_set_power(now.partition, true, &err), "VF-2"); /* it has no memory */
    now.partition->check = check;
    end();
}

/* ---- the bracket of a move ---- */

static void src_7_prepare_and_end_come_in_pairs(void **unused)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin();
    broke(dxgk_ddi_end(now.partition, &err), "SRC-7");
    must(dxgk_ddi_prepare(now.partition, false, &err), &err);
    broke(dxgk_ddi_prepare(now.partition, false, &err), "SRC-7");
    broke(dxgk_ddi_destroy_vgpu(now.partition, &err), "SRC-7");
    must(dxgk_ddi_end(now.partition, &err), &err);
    broke(dxgk_ddi_end(now.partition, &err), "SRC-7");
    end();
}

static void src_1_tgt_1_only_a_powered_vf_is_prepared_and_a_target_is_paused(void **unused)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin();
    broke(dxgk_ddi_prepare(now.partition, true, &err), "TGT-1"); /* it runs */
    must(dxgk_ddi_set_power(now.partition, false, &err), &err);
    broke(dxgk_ddi_prepare(now.partition, false, &err), "SRC-1");
    must(dxgk_ddi_set_power(now.partition, true, &err), &err);
    end();
}

static void src_2_6_8_saves_have_their_place(void **unused)
{
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_blob blob;

    (void)unused;
    begin();
    broke(dxgk_ddi_save(now.partition, DXGK_IMMUTABLE, &blob, &err), "SRC-2");
    broke(dxgk_ddi_save(now.partition, DXGK_MUTABLE, &blob, &err), "SRC-6");
    must(dxgk_ddi_prepare(now.partition, false, &err), &err);
    broke(dxgk_ddi_save(now.partition, DXGK_MUTABLE, &blob, &err), "SRC-6"); /* it runs */
    must(dxgk_ddi_set_pause(now.partition, true, &err), &err);
    broke(dxgk_ddi_save(now.partition, DXGK_MUTABLE, &blob, &err), "SRC-8"); /* immutable first */
    must(dxgk_ddi_save(now.partition, DXGK_IMMUTABLE, &blob, &err), &err);
    free(blob.data);
    must(dxgk_ddi_save(now.partition, DXGK_MUTABLE, &blob, &err), &err);
    free(blob.data);
    must(dxgk_ddi_end(now.partition, &err), &err);
    must(dxgk_ddi_set_pause(now.partition, false, &err), &err);
    end();
}

static void tgt_2_4_restores_come_once_into_a_paused_target(void **unused)
{
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_blob fixed, state;

    (void)unused;
    begin();
    must(dxgk_ddi_prepare(now.partition, false, &err), &err);
    must(dxgk_ddi_set_pause(now.partition, true, &err), &err);
    must(dxgk_ddi_save(now.partition, DXGK_IMMUTABLE, &fixed, &err), &err);
    must(dxgk_ddi_save(now.partition, DXGK_MUTABLE, &state, &err), &err);
    broke(dxgk_ddi_restore(now.partition, DXGK_IMMUTABLE, &fixed, &err), "TGT-2"); /* a source */
    must(dxgk_ddi_end(now.partition, &err), &err);
    must(dxgk_ddi_prepare(now.partition, true, &err), &err);
    broke(dxgk_ddi_save(now.partition, DXGK_IMMUTABLE, &fixed, &err), "SRC-2"); /* a target */
    broke(dxgk_ddi_restore(now.partition, DXGK_MUTABLE, &state, &err), "TGT-4"); /* too early */
    must(dxgk_ddi_set_pause(now.partition, false, &err), &err);
    broke(dxgk_ddi_restore(now.partition, DXGK_IMMUTABLE, &fixed, &err), "TGT-2"); /* it runs */
    must(dxgk_ddi_set_pause(now.partition, true, &err), &err);
    must(dxgk_ddi_restore(now.partition, DXGK_IMMUTABLE, &fixed, &err), &err);
    broke(dxgk_ddi_restore(now.partition, DXGK_IMMUTABLE, &fixed, &err), "TGT-2"); /* twice */
    must(dxgk_ddi_restore(now.partition, DXGK_MUTABLE, &state, &err), &err);
    broke(dxgk_ddi_restore(now.partition, DXGK_MUTABLE, &state, &err), "TGT-4"); /* twice */
    must(dxgk_ddi_end(now.partition, &err), &err);
    must(dxgk_ddi_set_pause(now.partition, false, &err), &err);
    free(fixed.data);
    free(state.data);
    end();
}

/* ---- level ---- */

/* Order and level: all migration DDIs are for PASSIVE_LEVEL. At DISPATCH_LEVEL none reaches the
 * driver, whose state is as before. */
static void irql_no_passive_ddi_is_called_at_a_raised_level(void **unused)
{
    const DXGK_MEMORYRANGE range = {64 * MIB, MIB};
    const DXGK_INTERRUPT_TABLE_ENTRY entry = {0};
    uint8_t *bits = dxgk_guarded_alloc(256);
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_basis basis, tracked;
    struct dxgk_blob blob;
    uint32_t vf;

    (void)unused;
    begin();
    vf = now.partition->vf;
    must(dxgk_ddi_create_memory_basis(now.rig.adapter, 1, 4096, &range, 1, &tracked, &err), &err);
    KIRQL before = nt_irql_set(DISPATCH_LEVEL);
    broke(dxgk_ddi_prepare(now.partition, false, &err), "IRQL");
    broke(dxgk_ddi_set_power(now.partition, false, &err), "IRQL");
    broke(dxgk_ddi_destroy_vgpu(now.partition, &err), "IRQL");
    broke(dxgk_ddi_create_memory_basis(now.rig.adapter, 1, 4096, &range, 1, &basis, &err), "IRQL");
    broke(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &tracked, &err), "IRQL");
    broke(dxgk_ddi_write_virtualized_interrupt(now.rig.adapter, vf, 0, &entry, &err), "IRQL");
    (void)nt_irql_set(before);
    must(dxgk_ddi_start_dirty_tracking(now.rig.adapter, &tracked, &err), &err);
    must(dxgk_ddi_prepare(now.partition, false, &err), &err);
    (void)nt_irql_set(DISPATCH_LEVEL);
    broke(dxgk_ddi_query_dirty_bits(now.rig.adapter, &tracked, 0, 0, 0, bits, 256, &err), "IRQL");
    broke(dxgk_ddi_save(now.partition, DXGK_IMMUTABLE, &blob, &err), "IRQL");
    broke(dxgk_ddi_end(now.partition, &err), "IRQL");
    (void)nt_irql_set(before);
    must(dxgk_ddi_end(now.partition, &err), &err); /* the bracket was still open */
    must(dxgk_ddi_stop_dirty_tracking(now.rig.adapter, &tracked, &err), &err);
    dxgk_ddi_destroy_memory_basis(now.rig.adapter, &tracked);
    dxgk_guarded_free(bits);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dbt_1_ranges_of_a_basis_are_sound),
        cmocka_unit_test(dbt_2_3_a_basis_starts_and_stops_once),
        cmocka_unit_test(dbt_4_only_what_is_tracked_is_asked_for),
        cmocka_unit_test(vf_2_a_vf_has_memory_before_power_and_keeps_it),
        cmocka_unit_test(src_7_prepare_and_end_come_in_pairs),
        cmocka_unit_test(src_1_tgt_1_only_a_powered_vf_is_prepared_and_a_target_is_paused),
        cmocka_unit_test(src_2_6_8_saves_have_their_place),
        cmocka_unit_test(tgt_2_4_restores_come_once_into_a_paused_target),
        cmocka_unit_test(irql_no_passive_ddi_is_called_at_a_raised_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
