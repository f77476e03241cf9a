// SPDX-License-Identifier: Apache-2.0
/* Partitions on the real device and driver: their life, their isolation (VF-1..6), and their vCPUs'
 * door (SRC-5). Moves are in test_move.c. */
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static const char *const one[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K", NULL};
static const char *const scattered[] = {"softgpu,vram=128M,vfs=8,dirty-page=4K,scatter=on", NULL};

/* VF-4 */
static void a_paused_partition_stands_still_and_a_resumed_one_goes_on(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t value = 0;
    struct rig rig;
    uint64_t id, at;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, 16 * MIB, 1, 0);
    rig_wait(&rig, id, 100);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    assert_int_equal(state_of(&rig, id), VF_PARTITION_PAUSED);
    at = rig_digest(&rig, id, 16 * MIB);
    assert_int_equal(rig_digest(&rig, id, 16 * MIB), at);
    assert_int_equal(
        dxgk_partition_bar_write(rig.dxgk, id, SG_VF_BAR_VRAM, 0, &value, sizeof value, &error),
        -1);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error); /* once more is no more */
    at = rig_counter(&rig, id);
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    rig_wait(&rig, id, at + 100);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

/* What is free is told, and what would help; the driver need not be asked. */
static void too_much_vram_is_refused_with_what_is_free(void **unused)
{
    struct vf_partition_params params = {.vram_bytes = 100ull << 30, .name = "big"};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct vf_adapter_info before, after;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, one, NULL);
    (void)rig_create(&rig, "first", 0, 64, false);
    id = rig_create(&rig, "middle", 0, 64, false);
    (void)rig_create(&rig, "last", 0, 64, false);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    must(dxgk_adapter_info(rig.dxgk, 0, &before, &error), &error);
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    assert_non_null(strstr(error.text, "of VRAM free; 100.0 GiB do not fit"));
    assert_null(strstr(error.text, "defrag"));
    assert_string_equal(vf_remedy(&error), "ask for less, or remove or move a partition");
    /* In all there is enough, in one piece there is not. */
    params.vram_bytes = before.vram_free_bytes;
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    assert_non_null(strstr(error.text, "largest partition that fits is"));
    assert_non_null(strstr(vf_remedy(&error), "vferry adapter defrag 0"));
    must(dxgk_adapter_info(rig.dxgk, 0, &after, &error), &error);
    assert_memory_equal(&before, &after, sizeof before);
    rig_close(&rig);
}

/* VF-3 */
static void the_next_tenant_finds_zeroes(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t empty, id;
    struct rig rig;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "first", 0, 32, false);
    empty = rig_digest(&rig, id, 32 * MIB);
    rig_run(&rig, id, 32 * MIB, 7, 500);
    rig_wait(&rig, id, 500);
    assert_int_not_equal(rig_digest(&rig, id, 32 * MIB), empty);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    id = rig_create(&rig, "second", 0, 32, false);
    assert_int_equal(rig_digest(&rig, id, 32 * MIB), empty);
    assert_int_equal(rig_counter(&rig, id), 0);
    rig_close(&rig);
}

static void a_name_or_uuid_is_taken_once(void **unused)
{
    struct vf_partition_params params;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    must(dxgk_partition_params(rig.dxgk, id, &params, &error), &error);
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, true, &info, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    (void)snprintf(params.name, sizeof params.name, "q");
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, true, &info, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "UUID"));
    memset(params.uuid, 0, sizeof params.uuid);
    must(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), &error);
    assert_int_not_equal(info.luid.low, 0);
    rig_close(&rig);
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **unused)
{
    struct vf_partition_params params = {.name = "big", .vram_bytes = 1024 * MIB};
    struct vf_adapter_info before, after;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    char name[16];
    struct rig rig;

    (void)unused;
    rig_open(&rig, one, NULL);
    must(dxgk_adapter_info(rig.dxgk, 0, &before, &error), &error);
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    params.vram_bytes = 16 * MIB + 1;
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    params.vram_bytes = 16 * MIB;
    params.adapter = 1;
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    params.adapter = 0;
    (void)snprintf(params.name, sizeof params.name, "../x");
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    must(dxgk_adapter_info(rig.dxgk, 0, &after, &error), &error);
    assert_memory_equal(&before, &after, sizeof before);
    for (uint32_t i = 0; i < before.vf_count; i++) {
        (void)snprintf(name, sizeof name, "p%u", i);
        (void)rig_create(&rig, name, 0, 16, false);
    }
    (void)snprintf(params.name, sizeof params.name, "more");
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, false, &info, &error), -1);
    assert_non_null(strstr(error.text, "VFs"));
    rig_close(&rig);
}

static void strangers_reach_nothing(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    uint64_t value = 0;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(dxgk_partition_info(rig.dxgk, id + 1, &info, &error), -1);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, 0, &error), -1);
    assert_int_equal(
        dxgk_partition_bar_read(rig.dxgk, id, SG_VF_BAR_VRAM, 16 * MIB, &value, 8, &error), -1);
    assert_int_equal(
        dxgk_partition_bar_read(rig.dxgk, id, SG_VF_BAR_VRAM, UINT64_MAX - 3, &value, 8, &error),
        -1);
    assert_int_equal(
        dxgk_partition_bar_write(rig.dxgk, id, SG_VF_BAR_VRAM, 16 * MIB - 4, &value, 8, &error),
        -1);
    assert_int_equal(dxgk_partition_bar_read(rig.dxgk, id, 1, 0, &value, 4, &error), -1);
    assert_int_equal(dxgk_partition_bar_read(rig.dxgk, id, UINT32_MAX, 0, &value, 4, &error), -1);
    assert_int_equal(dxgk_partition_bar_read(rig.dxgk, id, SG_VF_BAR_REGS, 2, &value, 4, &error),
                     -1);
    assert_int_equal(dxgk_partition_set_epoch(rig.dxgk, id, 5, &error), 0);
    assert_int_equal(dxgk_partition_set_epoch(rig.dxgk, id, 4, &error), -1);
    rig_close(&rig);
}

/* VF-2, VF-3: fill with small ones, use and free every second, and ask for more than any
 * hole holds. */
static void a_scattered_reserve_uses_the_holes(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info info;
    static const uint8_t zeros[65536];
    static uint8_t found[sizeof zeros];
    uint64_t ids[8], empty, id;
    char name[16];
    struct rig rig;

    (void)unused;
    rig_open(&rig, scattered, NULL);
    must(dxgk_adapter_info(rig.dxgk, 0, &info, &error), &error);
    assert_true(info.scatter);
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "p%u", i);
        ids[i] = rig_create(&rig, name, 0, 16, false);
    }
    empty = rig_digest(&rig, ids[1], 16 * MIB);
    for (unsigned i = 0; i < 8; i += 2) {
        rig_run(&rig, ids[i], 16 * MIB, i, 2000);
        rig_wait(&rig, ids[i], 2000);
        must(dxgk_partition_destroy(rig.dxgk, ids[i], &error), &error);
    }
    id = rig_create(&rig, "holes", 0, 64, false);
    for (uint64_t at = 0; at < 64 * MIB; at += sizeof zeros) { /* what its pieces held is gone */
        must(dxgk_partition_bar_read(rig.dxgk, id, SG_VF_BAR_VRAM, at, found, sizeof found, &error),
             &error);
        assert_memory_equal(found, zeros, sizeof zeros);
    }
    rig_run(&rig, id, 64 * MIB, 3, 5000);
    rig_wait(&rig, id, 5000);
    for (unsigned i = 1; i < 8; i += 2)
        assert_int_equal(rig_digest(&rig, ids[i], 16 * MIB), empty);
    rig_close(&rig);
}

/* ---- many at once ---- */

#define LIVES 4u

struct life {
    struct rig *rig;
    unsigned number;
    pthread_t thread;
};

/* Creates, works, pauses, resumes and removes its own partition, over and over. cmocka's checks
 * work on the main thread only: a failure is the return value. */
static void *live(void *arg)
{
    const struct life *life = arg;
    struct dxgk *dxgk = life->rig->dxgk;
    struct vf_partition_params params = {.vram_bytes = 16 * MIB};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    uint64_t value = life->number;
    uint64_t back;

    (void)snprintf(params.name, sizeof params.name, "life-%u", life->number);
    for (unsigned round = 0; round < 20; round++) {
        memset(params.uuid, 0, sizeof params.uuid);
        if (dxgk_partition_create(dxgk, &params, false, &info, &error) != 0 ||
            dxgk_partition_bar_read(dxgk, info.id, SG_VF_BAR_VRAM, RIG_HEAP, &back, 8, &error) !=
                0 ||
            back != 0 ||
            dxgk_partition_bar_write(dxgk, info.id, SG_VF_BAR_VRAM, RIG_HEAP, &value, 8, &error) !=
                0 ||
            dxgk_migration_prepare(dxgk, info.id, DXGK_SOURCE, 1, &error) != 0 ||
            dxgk_partition_pause(dxgk, info.id, &error) != 0 ||
            dxgk_migration_end(dxgk, info.id, &error) != 0 ||
            dxgk_partition_resume(dxgk, info.id, &error) != 0 ||
            dxgk_partition_bar_read(dxgk, info.id, SG_VF_BAR_VRAM, RIG_HEAP, &back, 8, &error) !=
                0 ||
            back != value || dxgk_partition_destroy(dxgk, info.id, &error) != 0)
            return (void *)-1;
    }
    return NULL;
}

static void many_partitions_live_side_by_side(void **unused)
{
    struct vf_partition_info list[LIVES];
    struct vf_adapter_info before, after;
    struct vf_error error = VF_ERROR_INIT;
    struct life lives[LIVES];
    struct rig rig;
    size_t count;

    (void)unused;
    rig_open(&rig, one, NULL);
    must(dxgk_adapter_info(rig.dxgk, 0, &before, &error), &error);
    for (unsigned i = 0; i < LIVES; i++) {
        lives[i] = (struct life){.rig = &rig, .number = i + 1};
        assert_int_equal(pthread_create(&lives[i].thread, NULL, live, &lives[i]), 0);
    }
    for (unsigned i = 0; i < 1000; i++) /* whoever looks meanwhile sees whole facts */
        must(dxgk_partition_list(rig.dxgk, list, LIVES, &count, &error), &error);
    for (unsigned i = 0; i < LIVES; i++) {
        void *result;

        assert_int_equal(pthread_join(lives[i].thread, &result), 0);
        assert_null(result);
    }
    must(dxgk_adapter_info(rig.dxgk, 0, &after, &error), &error);
    assert_memory_equal(&before, &after, sizeof before);
    rig_close(&rig);
}

struct writer {
    struct rig *rig;
    uint64_t id;
    _Atomic bool stop;
    _Atomic uint64_t last; /* the last value whose write was accepted */
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    struct vf_error error = VF_ERROR_INIT;

    for (uint64_t value = 1; !writer->stop; value++) {
        if (dxgk_partition_bar_write(writer->rig->dxgk, writer->id, SG_VF_BAR_VRAM, RIG_HEAP,
                                     &value, sizeof value, &error) == 0)
            writer->last = value;
    }
    return NULL;
}

/* DBT-10, SRC-5: once a pause has returned, no vCPU's store lands any more. */
static void a_pause_shuts_the_cpu_out(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct writer writer = {0};
    uint64_t first, second;
    pthread_t thread;
    struct rig rig;

    (void)unused;
    rig_open(&rig, one, NULL);
    writer.rig = &rig;
    writer.id = rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (unsigned i = 0; i < 50; i++) {
        must(dxgk_partition_pause(rig.dxgk, writer.id, &error), &error);
        must(dxgk_partition_bar_read(rig.dxgk, writer.id, SG_VF_BAR_VRAM, RIG_HEAP, &first, 8,
                                     &error),
             &error);
        sched_yield();
        must(dxgk_partition_bar_read(rig.dxgk, writer.id, SG_VF_BAR_VRAM, RIG_HEAP, &second, 8,
                                     &error),
             &error);
        assert_int_equal(first, second);
        must(dxgk_partition_resume(rig.dxgk, writer.id, &error), &error);
    }
    writer.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    must(dxgk_partition_bar_read(rig.dxgk, writer.id, SG_VF_BAR_VRAM, RIG_HEAP, &second, 8, &error),
         &error);
    assert_int_equal(second, writer.last);
    rig_close(&rig);
}

/* Wanted so often; the fill of 64 MiB asks twice, the proof after it 64 times. */
static bool wanted_no_more(void *left)
{
    return --*(int *)left >= 0;
}

/* VF-3: what another tenant had had before. */
static void an_arrival_that_is_called_off_leaves_nothing_and_its_vram_is_clean(void **unused)
{
    static const int asked[] = {0, 1, 2, 40};
    struct vf_partition_params params = {.vram_bytes = 64 * MIB, .name = "unwanted"};
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id, fresh;
    struct rig rig;
    size_t count;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "first", 0, 64, false);
    fresh = rig_digest(&rig, id, 64 * MIB);
    rig_run(&rig, id, 64 * MIB, 1, 1000);
    rig_wait(&rig, id, 1000);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        int left = asked[i];
        const struct dxgk_wanted wanted = {wanted_no_more, &left};
        struct vf_partition_info info;

        assert_int_equal(dxgk_partition_await(rig.dxgk, &params, &wanted, &info, &error), -1);
        assert_int_equal(error.code, VF_CANCELLED);
        assert_int_equal(left, -1); /* and no more was done */
        must(dxgk_partition_list(rig.dxgk, NULL, 0, &count, &error), &error);
        assert_int_equal(count, 0);
    }
    for (unsigned vf = 0; vf < 4; vf++) { /* all VFs and all VRAM are there again */
        char name[8];

        (void)snprintf(name, sizeof name, "p%u", vf);
        id = rig_create(&rig, name, 0, 64, false);
        assert_int_equal(rig_digest(&rig, id, 64 * MIB), fresh);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paused_partition_stands_still_and_a_resumed_one_goes_on),
        cmocka_unit_test(too_much_vram_is_refused_with_what_is_free),
        cmocka_unit_test(the_next_tenant_finds_zeroes),
        cmocka_unit_test(an_arrival_that_is_called_off_leaves_nothing_and_its_vram_is_clean),
        cmocka_unit_test(a_name_or_uuid_is_taken_once),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(strangers_reach_nothing),
        cmocka_unit_test(a_scattered_reserve_uses_the_holes),
        cmocka_unit_test(many_partitions_live_side_by_side),
        cmocka_unit_test(a_pause_shuts_the_cpu_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
