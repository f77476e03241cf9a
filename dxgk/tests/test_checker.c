// SPDX-License-Identifier: Apache-2.0
/* The call checker: faults of a driver and wrong orders of the OS side are refused, each by its
 * rule's name. */
#include "dxgk/tests/rig/moverig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD "bad.so"
#define MIB (1ull << 20)

static const char *const two[] = {"softgpu,vram=64M,vfs=2,dirty-page=4K",
                                  "softgpu,vram=64M,vfs=2,dirty-page=4K", NULL};

static const char *const scattered[] = {"softgpu,vram=64M,vfs=2,scatter=on", NULL};
static const char *const lazy[] = {"softgpu,vram=64M,vfs=2,performant=off", NULL};

/* Names the fault to the driver, by its environment, and to its UMED, by a file beside it. */
static void choose(const char *fault)
{
    char path[1024];
    FILE *file;

    assert_int_equal(setenv("VF_BAD_DRIVER", fault, 1), 0);
    (void)snprintf(path, sizeof path, "%s/bad-umed.fault", getenv("VF_TEST_DRIVER_DIR"));
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(fault, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void open_bad_on(struct rig *rig, const char *const *devices, const char *fault)
{
    choose(fault);
    rig_open(rig, devices, BAD);
}

static void open_bad(struct rig *rig, const char *fault)
{
    open_bad_on(rig, two, fault);
}

/* A host of `devices` with `fault` does not start: the error has `text`, a contract event has
 * `rule` (NULL = none comes). */
static void does_not_start_on(const char *const *devices, const char *fault, const char *text,
                              const char *rule)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;

    choose(fault);
    assert_int_equal(rig_try(&rig, devices, BAD, &error), -1);
    if (strstr(error.text, text) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", fault, text, error.text);
    if (rule != NULL)
        assert_true(rig_expect(&rig, "contract", rule));
}

static void does_not_start(const char *fault, const char *text, const char *rule)
{
    does_not_start_on(two, fault, text, rule);
}

/* CAP-2, CAP-3, CAP-5, CAP-6, VF-1 */
static void an_invalid_driver_does_not_start(void **unused)
{
    (void)unused;
    does_not_start("no-tracking", "CAP-2", "CAP-2");
    does_not_start("unset", "CAP-2", "CAP-1");
    does_not_start("page-3000", "3000", "CAP-3");
    does_not_start("no-create", "CAP-7", "CAP-7");
    does_not_start("no-start", "DxgkDdiStartDevice is missing", NULL);
    does_not_start("old-version", "DxgkInitialize refused", NULL);
    does_not_start("gpu-tables", "CPU_VIRTUAL", NULL);
    does_not_start_on(scattered, "scatter-page", "5000", "CAP-5");
    does_not_start_on(scattered, "no-resources2", "DxgkDdiSetVirtualGpuResources2", "CAP-5");
    does_not_start("no-count", "0 partition counts", "VF-1");
    does_not_start("too-much", "1152921504606846976", "VF-1");
}

/* VF-2, VF-5, INT-1: a driver that describes a new VF wrongly gets none, and nothing stays. */
static void a_wrongly_described_vf_is_not_created(void **unused)
{
    static const struct {
        const char *fault, *rule;
    } faults[] = {{"alignment", "VF-2"},   {"other-size", "VF-2"},    {"other-segment", "VF-2"},
                  {"empty-range", "VF-5"}, {"endless-range", "VF-5"}, {"other-range", "INT-1"}};
    struct vf_partition_params params = {.name = "p", .vram_bytes = 16 * MIB};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info before, after;
    struct vf_partition_info info;
    struct rig rig;

    (void)unused;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        open_bad(&rig, faults[i].fault);
        must(dxgk_adapter_info(rig.dxgk, 0, &before, &error), &error);
        assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
        if (!rig_expect(&rig, "contract", faults[i].rule))
            fail_msg("%s: no breach of %s", faults[i].fault, faults[i].rule);
        must(dxgk_adapter_info(rig.dxgk, 0, &after, &error), &error);
        assert_memory_equal(&before, &after, sizeof before);
        rig_close(&rig);
    }
}

/* SRC-1, CAP-4: a Prepare that fails, or succeeds and tracking then does not start, leaves a
 * running partition that the next attempt may prepare again. */
static void a_failed_prepare_leaves_the_source_as_it_was(void **unused)
{
    static const char *const faults[] = {"prepare", "tracking"};

    (void)unused;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct rig rig;
        uint64_t id;

        open_bad_on(&rig, lazy, faults[i]);
        id = rig_create(&rig, "p", 0, 16, false);
        rig_run(&rig, id, 16 * MIB, 1, 0);
        for (int attempt = 0; attempt < 2; attempt++) {
            assert_int_equal(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), -1);
            assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
            rig_wait(&rig, id, rig_counter(&rig, id) + 100);
        }
        rig_close(&rig); /* no breach: the bracket was closed each time */
    }
}

/* CAP-3 */
static void an_untracked_segment_turns_live_migration_off(void **unused)
{
    struct vf_partition_params params = {.name = "t", .vram_bytes = 16 * MIB};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info partition;
    struct vf_adapter_info info;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "untracked");
    must(dxgk_adapter_info(rig.dxgk, 0, &info, &error), &error);
    assert_false(info.live_migration);
    assert_non_null(strstr(info.description, "CAP-3"));
    id = rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, true, &partition, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    rig_close(&rig);
}

/* CAP-7: The smallest driver has no GPU partition interface: it starts, and takes no partition. */
static void a_driver_without_partitions_takes_none(void **unused)
{
    struct vf_partition_params params = {.name = "p", .vram_bytes = 16 * MIB};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info partition;
    struct vf_adapter_info info;
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, "../../drivers/null.so");
    must(dxgk_adapter_info(rig.dxgk, 1, &info, &error), &error);
    assert_int_equal(info.vf_count, 0);
    assert_false(info.live_migration);
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &partition, &error), -1);
    assert_non_null(strstr(error.text, "cannot be partitioned"));
    rig_close(&rig);
}

/* CAP-1 */
static void an_output_overrun_is_caught(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info info;
    struct rig rig;

    (void)unused;
    open_bad(&rig, "caps-overrun");
    must(dxgk_adapter_info(rig.dxgk, 0, &info, &error), &error);
    assert_false(info.live_migration); /* an answer that breaks the buffer is no answer */
    assert_true(rig_expect(&rig, "contract", "CAP-1"));
    rig_close(&rig);
}

/* Saving immutable data with `fault` fails with `text` under `rule`; the partition lives on. */
static void save_is_refused(const char *fault, const char *rule, const char *text)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_blob kmd, other, third;
    struct rig rig;
    uint64_t id;
    int result;

    open_bad(&rig, fault);
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    result = dxgk_migration_save_immutable(rig.dxgk, id, &kmd, &other, &error);
    if (result == 0) {
        free(kmd.data);
        free(other.data);
        must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
        result = dxgk_migration_save_mutable(rig.dxgk, id, &kmd, &other, &third, &error);
    }
    assert_int_equal(result, -1);
    assert_null(kmd.data);
    if (strstr(error.text, text) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", fault, text, error.text);
    assert_true(rig_expect(&rig, "contract", rule));
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

/* SRC-2, SRC-3, SRC-6 */
static void bad_save_calls_are_refused(void **unused)
{
    (void)unused;
    save_is_refused("grows", "SRC-2", "grew");
    save_is_refused("huge", "SRC-2", "at most");
    save_is_refused("no-size", "SRC-2", "unset");
    save_is_refused("overrun", "SRC-6", "behind its buffer");
    save_is_refused("state-grows", "SRC-6", "grew");
    save_is_refused("none-given", "SRC-2", "DxgkDdiSaveImmutableMigrationData of VF 0 announced");
    save_is_refused("state-none-given", "SRC-6",
                    "DxgkDdiSaveMutableMigrationData of VF 0 announced");
    save_is_refused("umed-none-given", "SRC-3", "cannot save its immutable data");
    save_is_refused("umed-grows", "SRC-3", "cannot save its immutable data");
    save_is_refused("umed-overrun", "SRC-3", "cannot save its immutable data");
    save_is_refused("umed-huge", "SRC-3", "cannot save its immutable data");
    save_is_refused("umed-no-size", "SRC-3", "cannot save its immutable data");
}

/* SRC-3: one of the method's documented answers, so no breach; the KMD's half is not kept. */
static void a_umed_that_cannot_save_ends_the_move(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_blob kmd, umed;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "umed-fails");
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(dxgk_migration_save_immutable(rig.dxgk, id, &kmd, &umed, &error), -1);
    assert_null(kmd.data);
    assert_null(umed.data);
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

/* TGT-2: "UMED likewise": its refusal is a reason, and after half an acceptance no mutable data
 * is taken. */
static void a_umed_that_refuses_is_a_reason(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    struct dxgk_blob kmd, umed, mutable, msix, emulated;
    uint64_t source, target;
    struct rig rig;

    (void)unused;
    open_bad(&rig, "umed-refuses");
    source = rig_create(&rig, "s", 0, 16, false);
    target = rig_create(&rig, "t", 1, 16, true);
    must(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), &error);
    must(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error), &error);
    assert_true(umed.bytes > 0);
    assert_int_equal(
        dxgk_migration_restore_immutable(rig.dxgk, target, &kmd, &umed, &reasons, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    assert_int_equal(reasons.count, 1);
    assert_string_equal(reasons.list[0].field, "umed");
    must(dxgk_partition_pause(rig.dxgk, source, &error), &error);
    must(dxgk_migration_save_mutable(rig.dxgk, source, &mutable, &msix, &emulated, &error), &error);
    assert_int_equal(
        dxgk_migration_restore_mutable(rig.dxgk, target, &mutable, &msix, &emulated, &error), -1);
    assert_true(rig_expect(&rig, "contract", "TGT-4"));
    blob_free(&kmd);
    blob_free(&umed);
    blob_free(&mutable);
    blob_free(&msix);
    blob_free(&emulated);
    rig_close(&rig);
}

/* SRC-3: the interface is optional. */
static void a_umed_need_not_migrate(void **unused)
{
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "umed-none");
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, 16 * MIB, 1, 0);
    rig_wait(&rig, id, 100);
    move_begin(&move, &rig, id, 1, "t");
    (void)move_round(&move);
    move_pause(&move);
    id = move_finish(&move);
    rig_wait(&rig, id, rig_counter(&rig, id) + 100);
    rig_close(&rig);
}

/* VF-4 */
static void a_leaked_irql_or_lock_is_reported_and_put_right(void **unused)
{
    static const char *const faults[] = {"irql", "lock"};

    (void)unused;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct vf_partition_info info;
        struct rig rig;
        uint64_t id;

        open_bad(&rig, faults[i]);
        id = rig_create(&rig, "p", 0, 16, false);
        rig_run(&rig, id, 16 * MIB, 1, 0);
        assert_int_equal(dxgk_partition_pause(rig.dxgk, id, &error), -1);
        assert_true(rig_expect(&rig, "contract", "IRQL"));
        must(dxgk_partition_info(rig.dxgk, id, &info, &error), &error);
        assert_int_equal(info.state, VF_PARTITION_RUNNING);
        rig_wait(&rig, id, rig_counter(&rig, id) + 100); /* a pause that failed holds nobody */
        assert_int_equal(dxgk_partition_destroy(rig.dxgk, id, &error), 0);
        assert_true(rig_expect(&rig, "contract", "IRQL"));
        /* The lock comes back when the pause is taken back, at a level put right meanwhile:
         * breaches too. */
        (void)rig_expect(&rig, "contract", "NT: ");
        (void)rig_expect(&rig, "contract", "VF-4");
        rig_close(&rig);
    }
}

/* VF-3 */
static void what_the_driver_will_not_let_go_is_never_handed_out(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info before, after;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "destroy");
    must(dxgk_adapter_info(rig.dxgk, 0, &before, &error), &error);
    id = rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, id, &error), -1);
    assert_true(rig_expect(&rig, "contract", "VF-3"));
    must(dxgk_adapter_info(rig.dxgk, 0, &after, &error), &error);
    assert_int_equal(after.vf_free, before.vf_free - 1);
    assert_int_equal(after.vram_free_bytes, before.vram_free_bytes - 16 * MIB);
    (void)rig_create(&rig, "p", 0, 16, false);
    (void)dxgk_partition_destroy(rig.dxgk, id + 1, &error);
    assert_true(rig_expect(&rig, "contract", "VF-3"));
    rig_close(&rig);
}

/* SRC-7 */
static void a_failing_end_is_reported_and_closes_the_bracket(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "end");
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &error), -1);
    assert_true(rig_expect(&rig, "contract", "SRC-7"));
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 2, &error), &error);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, id, &error), 0); /* ends it itself */
    assert_true(rig_expect(&rig, "contract", "SRC-7"));
    rig_close(&rig);
}

/* SRC-7: the driver did not end it; the partition stays movable. */
static void an_end_that_failed_is_repeated_before_the_next_prepare(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "end-once");
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &error), -1);
    assert_true(rig_expect(&rig, "contract", "SRC-7"));
    for (uint64_t job = 2; job < 4; job++) {
        must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, job, &error), &error);
        must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    }
    rig_close(&rig);
}

/* SRC-7: one that never ends is refused with its cause and a way out. */
static void an_end_that_never_succeeds_is_named_by_the_next_prepare(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    open_bad(&rig, "end-never");
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &error), -1);
    assert_true(rig_expect(&rig, "contract", "SRC-7"));
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 2, &error), -1);
    assert_non_null(strstr(error.text, "could not end the one before"));
    assert_non_null(vf_remedy(&error));
    rig_close(&rig);
}

/* TGT-2 */
static void a_refusal_without_a_reason_is_a_breach(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    struct dxgk_blob kmd, umed;
    uint64_t source, target;
    struct rig rig;

    (void)unused;
    open_bad(&rig, "silent");
    source = rig_create(&rig, "s", 0, 16, false);
    target = rig_create(&rig, "t", 1, 16, true);
    must(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), &error);
    must(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error), &error);
    assert_int_equal(
        dxgk_migration_restore_immutable(rig.dxgk, target, &kmd, &umed, &reasons, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    assert_int_equal(reasons.count, 1);
    assert_string_equal(reasons.list[0].field, "driver");
    assert_true(rig_expect(&rig, "contract", "TGT-2"));
    free(kmd.data);
    free(umed.data);
    rig_close(&rig);
}

/* DBT-11, TGT-5: The driver never sees these: the checker refuses the OS side. */
static void wrong_orders_are_refused(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    struct dxgk_blob kmd, umed, mutable, msix, state;
    uint64_t source, target, dirty;
    uint8_t bits[16 * MIB / 4096 / 8];
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    source = rig_create(&rig, "s", 0, 16, false);
    target = rig_create(&rig, "t", 1, 16, true);

    assert_int_equal(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error),
                     -1); /* not prepared */
    assert_true(rig_expect(&rig, "contract", "SRC-2"));
    must(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), &error);
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), -1);
    must(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), &error);
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), -1);
    assert_true(rig_expect(&rig, "contract", "SRC-7"));
    must(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error), &error);
    assert_int_equal(dxgk_migration_save_mutable(rig.dxgk, source, &mutable, &msix, &state, &error),
                     -1); /* it runs */
    assert_true(rig_expect(&rig, "contract", "SRC-6"));
    must(dxgk_partition_pause(rig.dxgk, source, &error), &error);
    must(dxgk_migration_save_mutable(rig.dxgk, source, &mutable, &msix, &state, &error), &error);

    assert_int_equal(
        dxgk_migration_restore_mutable(rig.dxgk, target, &mutable, &msix, &state, &error),
        -1); /* immutable first */
    assert_true(rig_expect(&rig, "contract", "TGT-4"));
    must(dxgk_migration_restore_immutable(rig.dxgk, target, &kmd, &umed, &reasons, &error), &error);
    /* DBT-11: a target is not asked for dirty bits. */
    assert_int_equal(
        dxgk_migration_query_dirty(rig.dxgk, target, bits, sizeof bits, &dirty, &error), -1);
    must(dxgk_migration_query_dirty(rig.dxgk, source, bits, sizeof bits, &dirty, &error), &error);
    assert_int_equal(
        dxgk_migration_restore_immutable(rig.dxgk, target, &kmd, &umed, &reasons, &error),
        -1); /* once */
    assert_true(rig_expect(&rig, "contract", "TGT-2"));
    must(dxgk_migration_restore_mutable(rig.dxgk, target, &mutable, &msix, &state, &error), &error);
    assert_int_equal(
        dxgk_migration_restore_mutable(rig.dxgk, target, &mutable, &msix, &state, &error), -1);
    assert_true(rig_expect(&rig, "contract", "TGT-4"));
    assert_int_equal(dxgk_partition_resume(rig.dxgk, target, &error), -1); /* not before End */
    must(dxgk_migration_end(rig.dxgk, target, &error), &error);
    must(dxgk_partition_resume(rig.dxgk, target, &error), &error);
    free(kmd.data);
    free(umed.data);
    free(mutable.data);
    free(msix.data);
    free(state.data);
    rig_close(&rig);
}

/* CAP-7 */
static void a_driver_that_fails_to_stop_is_reported(void **unused)
{
    struct rig rig;

    (void)unused;
    open_bad(&rig, "stop");
    dxgk_close(rig.dxgk);
    rig.dxgk = NULL;
    assert_true(rig_expect(&rig, "contract", "DxgkDdiStopDevice"));
    rig_close(&rig);
}

static void a_driver_that_leaks_pool_is_reported(void **unused)
{
    struct rig rig;

    (void)unused;
    open_bad(&rig, "leak");
    dxgk_close(rig.dxgk);
    rig.dxgk = NULL;
    assert_true(rig_expect(&rig, "contract", "1 pool allocations"));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_invalid_driver_does_not_start),
        cmocka_unit_test(a_wrongly_described_vf_is_not_created),
        cmocka_unit_test(a_failed_prepare_leaves_the_source_as_it_was),
        cmocka_unit_test(an_untracked_segment_turns_live_migration_off),
        cmocka_unit_test(a_driver_without_partitions_takes_none),
        cmocka_unit_test(an_output_overrun_is_caught),
        cmocka_unit_test(bad_save_calls_are_refused),
        cmocka_unit_test(a_umed_that_cannot_save_ends_the_move),
        cmocka_unit_test(a_umed_that_refuses_is_a_reason),
        cmocka_unit_test(a_umed_need_not_migrate),
        cmocka_unit_test(what_the_driver_will_not_let_go_is_never_handed_out),
        cmocka_unit_test(a_failing_end_is_reported_and_closes_the_bracket),
        cmocka_unit_test(an_end_that_failed_is_repeated_before_the_next_prepare),
        cmocka_unit_test(an_end_that_never_succeeds_is_named_by_the_next_prepare),
        cmocka_unit_test(a_refusal_without_a_reason_is_a_breach),
        cmocka_unit_test(wrong_orders_are_refused),
        cmocka_unit_test(a_driver_that_fails_to_stop_is_reported),
        cmocka_unit_test(a_driver_that_leaks_pool_is_reported),
        cmocka_unit_test(a_leaked_irql_or_lock_is_reported_and_put_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
