// SPDX-License-Identifier: Apache-2.0
/* Whole moves between two adapters of one process, under full-speed writers, through fragments,
 * back and forth, after one that was given up; and what a hostile peer or guest does to them. */
#include "base/tests/tool.h"
#include "dxgk/tests/rig/moverig.h"
#include "softgpu/hw.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (32 * MIB)

static const char *const one[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K", NULL};
static const char *const two[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=2,dirty-page=4K", NULL};
static const char *const lazy[] = {"softgpu,vram=128M,vfs=2,dirty-page=64K,performant=off",
                                   "softgpu,vram=128M,vfs=2,dirty-page=64K,performant=off", NULL};
static const char *const lazy_small[] = {"softgpu,vram=128M,vfs=2,dirty-page=4K,performant=off",
                                         "softgpu,vram=128M,vfs=2,dirty-page=4K,performant=off",
                                         NULL};

/* Digest of a run of `steps` that nobody disturbed, on adapter 0. */
static uint64_t undisturbed(struct rig *rig, uint64_t bytes, uint64_t seed, uint64_t steps)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id = rig_create(rig, "stays", 0, bytes / MIB, false), digest;

    rig_run(rig, id, bytes, seed, steps);
    rig_wait(rig, id, steps);
    digest = rig_digest(rig, id, bytes);
    must(dxgk_partition_destroy(rig->dxgk, id, &error), &error);
    return digest;
}

/* Moves to `adapter` in the middle of its work; both ends hold the same bytes in the pause. */
static uint64_t hop(struct rig *rig, uint64_t id, uint32_t adapter, const char *name)
{
    struct vf_error error = VF_ERROR_INIT;
    struct move move;

    move_begin(&move, rig, id, adapter, name);
    assert_int_equal(dxgk_partition_destroy(rig->dxgk, id, &error), -1); /* busy */
    for (int round = 0; round < 3; round++)
        (void)move_round(&move);
    move_pause(&move);
    assert_int_equal(rig_digest(rig, id, move.bytes), rig_digest(rig, move.target, move.bytes));
    return move_finish(&move);
}

static void moved_ends_like_unmoved(const char *const *devices)
{
    const uint64_t steps = TEST_SHARE(200000);
    uint64_t expected, id;
    struct rig rig;

    rig_open(&rig, devices, NULL);
    expected = undisturbed(&rig, RESERVE, 11, steps);
    id = rig_create(&rig, "goes", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 11, steps);
    rig_wait(&rig, id, steps / 1000);
    rig_unmask(&rig, id);
    id = hop(&rig, id, 1, "moved");
    rig_wait(&rig, id, steps);
    /* INT-3: the table moved along, its last command's message arrives here. */
    rig_wait_interrupts(&rig, id, 1);
    assert_int_equal(rig_digest(&rig, id, RESERVE), expected);
    rig_close(&rig);
}

/* SRC-8, TGT-5, INT-3 */
static void a_moved_partition_ends_like_one_that_was_not(void **unused)
{
    (void)unused;
    moved_ends_like_unmoved(two);
}

/* SRC-8 */
static void a_move_without_performant_tracking_ends_alike(void **unused)
{
    (void)unused;
    moved_ends_like_unmoved(lazy);
}

/* CAP-3: from 4 KiB to 2 MiB. */
static void a_move_by_large_pages_ends_alike(void **unused)
{
    static const char *const large[] = {"softgpu,vram=128M,vfs=2,dirty-page=2M",
                                        "softgpu,vram=128M,vfs=2,dirty-page=2M", NULL};
    static const char *const lazy_large[] = {"softgpu,vram=128M,vfs=2,dirty-page=2M,performant=off",
                                             "softgpu,vram=128M,vfs=2,dirty-page=2M", NULL};

    (void)unused;
    moved_ends_like_unmoved(large);
    moved_ends_like_unmoved(lazy_large);
}

/* INT-3: a message that came while its vector was masked is not lost on the way: it is delivered on
 * the target, once, when the guest unmasks there. */
static void a_pending_interrupt_arrives_with_its_partition(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 19, 100);
    rig_wait(&rig, id, 100);
    rig_wait_pending(&rig, id);
    id = hop(&rig, id, 1, "moved");
    rig_wait_pending(&rig, id);
    must(dxgk_partition_info(rig.dxgk, id, &info, &error), &error);
    assert_int_equal(info.interrupts, 0);
    rig_unmask(&rig, id);
    rig_wait_interrupts(&rig, id, 1);
    must(dxgk_partition_info(rig.dxgk, id, &info, &error), &error);
    assert_int_equal(info.interrupts, 1);
    rig_close(&rig);
}

/* Goes to and fro until the work is done, and ends like one that stayed; how many hops it took. */
static unsigned goes_back_and_forth(uint64_t steps)
{
    uint64_t expected, id;
    unsigned hops = 0;
    char name[16];
    struct rig rig;

    rig_open(&rig, two, NULL);
    expected = undisturbed(&rig, RESERVE, 12, steps);
    id = rig_create(&rig, "goes", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 12, steps);
    rig_wait(&rig, id, steps / 1000);
    for (; hops < 10 && rig_counter(&rig, id) < steps; hops++) {
        (void)snprintf(name, sizeof name, "hop-%u", hops);
        id = hop(&rig, id, 1 - hops % 2, name);
    }
    rig_wait(&rig, id, steps);
    assert_int_equal(rig_digest(&rig, id, RESERVE), expected);
    rig_close(&rig);
    return hops;
}

/* DBT-11: what paging wrote on arrival is in the bitplane of the next departure. */
static void back_and_forth_ends_like_staying(void **unused)
{
    uint64_t steps = TEST_SHARE(1000000);

    (void)unused;
    /* On a busy machine the work may be done before it could go back. */
    while (goes_back_and_forth(steps) < 2) {
        steps *= 2;
        assert_true(steps < 1u << 26);
    }
}

/* VF-6: three moves at once, one of them the other way, step by step among each other while all
 * three work; each ends like its own undisturbed run. */
static void moves_that_cross_end_alike(void **unused)
{
    static const char *const crossing[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K",
                                           "softgpu,vram=256M,vfs=4,dirty-page=4K,performant=off",
                                           NULL};
    static const char *const names[] = {"a", "b", "c"}, *const moved[] = {"A", "B", "C"};
    const uint64_t steps = TEST_SHARE(150000), bytes = 16 * MIB;
    uint64_t expected[3], ids[3];
    struct move moves[3];
    struct rig rig;

    (void)unused;
    rig_open(&rig, crossing, NULL);
    for (unsigned i = 0; i < 3; i++)
        expected[i] = undisturbed(&rig, bytes, 20 + i, steps);
    for (unsigned i = 0; i < 3; i++) {
        ids[i] = rig_create(&rig, names[i], i == 2, bytes / MIB, false);
        rig_run(&rig, ids[i], bytes, 20 + i, steps);
    }
    for (unsigned i = 0; i < 3; i++)
        move_begin(&moves[i], &rig, ids[i], i != 2, moved[i]);
    for (unsigned round = 0; round < 9; round++)
        (void)move_round(&moves[round % 3]);
    for (unsigned i = 0; i < 3; i++)
        move_pause(&moves[i]);
    for (unsigned i = 0; i < 3; i++)
        ids[i] = move_finish(&moves[i]);
    for (unsigned i = 0; i < 3; i++) {
        rig_wait(&rig, ids[i], steps);
        assert_int_equal(rig_digest(&rig, ids[i], bytes), expected[i]);
    }
    rig_close(&rig);
}

/* PAG-4, VF-2: no hole of the card is large enough, so SetVirtualGpuResources2 gets many ranges, on
 * both sides; the guest's addresses and the page list's must mean the same places. */
static void a_reserve_of_many_fragments_moves(void **unused)
{
    static const char *const scattered[] = {"softgpu,vram=64M,vfs=32,dirty-page=64K,scatter=on",
                                            "softgpu,vram=64M,vfs=32,dirty-page=64K,scatter=on",
                                            NULL};
    const uint64_t steps = TEST_SHARE(100000), bytes = 30 * MIB;
    struct vf_error error = VF_ERROR_INIT;
    uint64_t expected, id, ids[2][31];
    char name[16];
    struct rig rig;

    (void)unused;
    rig_open(&rig, scattered, NULL);
    expected = undisturbed(&rig, bytes, 13, steps);
    for (uint32_t adapter = 0; adapter < 2; adapter++) {
        for (unsigned i = 0; i < 31; i++) {
            (void)snprintf(name, sizeof name, "hole-%u-%u", adapter, i);
            ids[adapter][i] = rig_create(&rig, name, adapter, 2, false);
        }
        for (unsigned i = 0; i < 31; i += 2)
            must(dxgk_partition_destroy(rig.dxgk, ids[adapter][i], &error), &error);
    }
    id = rig_create(&rig, "wide", 0, bytes / MIB, false);
    rig_run(&rig, id, bytes, 13, steps);
    rig_wait(&rig, id, 100);
    id = hop(&rig, id, 1, "moved");
    rig_wait(&rig, id, steps);
    assert_int_equal(rig_digest(&rig, id, bytes), expected);
    for (unsigned i = 1; i < 31; i += 2) /* VF-6 */
        assert_int_equal(rig_counter(&rig, ids[1][i]), 0);
    rig_close(&rig);
}

/* ---- writers at full speed ---- */

struct writer {
    struct rig *rig;
    uint64_t id;
    _Atomic bool stop;
    _Atomic uint64_t written;
};

/* A vCPU that writes all over the heap, also into words the engine writes. */
static void *write_on(void *arg)
{
    struct writer *writer = arg;
    struct vf_error error = VF_ERROR_INIT;
    uint64_t x = 88172645463325252ull;

    while (!writer->stop) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (dxgk_partition_bar_write(writer->rig->dxgk, writer->id, SG_VF_BAR_VRAM,
                                     RIG_HEAP + x % ((RESERVE - RIG_HEAP) / 8) * 8, &x, sizeof x,
                                     &error) == 0)
            writer->written++;
    }
    return NULL;
}

/* DBT-5, DBT-6, DBT-9: engine and vCPU write as fast as they can through 30 rounds; a move given up
 * in the pause is followed by one that succeeds. Both times the ends are equal to the last bit. */
static void no_write_is_lost(const char *const *devices)
{
    struct vf_error error = VF_ERROR_INIT;
    struct writer writer = {0};
    pthread_t thread;
    struct move move;
    struct rig rig;
    uint64_t id, at;

    rig_open(&rig, devices, NULL);
    id = rig_create(&rig, "p", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 14, 0);
    writer = (struct writer){.rig = &rig, .id = id};
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        move_begin(&move, &rig, id, 1, attempt == 0 ? "first" : "second");
        for (unsigned round = 0; round < 30; round++) {
            rig_wait(&rig, id, rig_counter(&rig, id) + 20); /* so that no round is empty */
            assert_true(move_round(&move) > 0);
        }
        move_pause(&move);
        assert_int_equal(rig_digest(&rig, id, RESERVE), rig_digest(&rig, move.target, RESERVE));
        if (attempt == 0) {
            move_cancel(&move);
            at = rig_counter(&rig, id);
            rig_wait(&rig, id, at + 100);
        }
    }
    writer.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(writer.written > 1000);
    at = rig_counter(&rig, id);
    id = move_finish(&move);
    rig_wait(&rig, id, at + 100);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

/* DBT-5, DBT-6, DBT-9 */
static void no_write_is_lost_at_full_speed(void **unused)
{
    (void)unused;
    no_write_is_lost(two);
}

/* DBT-6, DBT-9 */
static void no_write_is_lost_without_performant_tracking(void **unused)
{
    (void)unused;
    no_write_is_lost(lazy_small);
}

/* ---- neighbours ---- */

/* VF-6: another VF's move changes nothing of its neighbour: memory, dirty bits, messages. */
static void a_move_leaves_its_neighbour_alone(void **unused)
{
    static const uint64_t touched[] = {3, 700, 4095};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info before, after;
    uint64_t id, other, digest, dirty, value = 1;
    uint8_t bits[RESERVE / 4096 / 8];
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "goes", 0, RESERVE / MIB, false);
    other = rig_create(&rig, "stays", 0, RESERVE / MIB, false);
    for (size_t i = 0; i < sizeof touched / sizeof touched[0]; i++)
        must(dxgk_partition_bar_write(rig.dxgk, other, SG_VF_BAR_VRAM, touched[i] * 4096, &value, 8,
                                      &error),
             &error);
    digest = rig_digest(&rig, other, RESERVE);
    must(dxgk_partition_info(rig.dxgk, other, &before, &error), &error);
    rig_unmask(&rig, id);
    rig_run(&rig, id, RESERVE, 15, 0);
    rig_wait(&rig, id, 1000);
    id = hop(&rig, id, 1, "moved");
    rig_wait(&rig, id, rig_counter(&rig, id) + 100);
    assert_int_equal(rig_digest(&rig, other, RESERVE), digest);
    must(dxgk_partition_info(rig.dxgk, other, &after, &error), &error);
    assert_memory_equal(&before, &after, sizeof before);
    must(dxgk_migration_prepare(rig.dxgk, other, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_query_dirty(rig.dxgk, other, bits, sizeof bits, &dirty, &error), &error);
    assert_int_equal(dirty, sizeof touched / sizeof touched[0]);
    for (size_t i = 0; i < sizeof touched / sizeof touched[0]; i++)
        assert_true(bits[touched[i] / 8] & 1u << touched[i] % 8);
    must(dxgk_migration_end(rig.dxgk, other, &error), &error);
    rig_close(&rig);
}

static uint32_t queue_status(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    uint32_t status = 0;

    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_REGS,
                                 SG_VF_QUEUE(SG_QUEUE_COPY) + SG_Q_STATUS, &status, sizeof status,
                                 &error),
         &error);
    return status;
}

/* Starts the copy queue on bytes that are no commands, and waits for its fault. */
static void run_garbage(struct rig *rig, uint64_t id)
{
    const struct sg_cmd garbage = {.op = 0xdeadbeef, .flags = 7, .a = {~0ull, ~0ull, ~0ull}};
    const uint64_t at = RIG_RING + 0x1000;
    const uint32_t start = 1;
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk *dxgk = rig->dxgk;

    must(dxgk_partition_bar_write(dxgk, id, SG_VF_BAR_VRAM, at, &garbage, sizeof garbage, &error),
         &error);
    must(dxgk_partition_bar_write(dxgk, id, SG_VF_BAR_REGS, SG_VF_QUEUE(SG_QUEUE_COPY) + SG_Q_IP64,
                                  &at, sizeof at, &error),
         &error);
    must(dxgk_partition_bar_write(dxgk, id, SG_VF_BAR_REGS, SG_VF_QUEUE(SG_QUEUE_COPY) + SG_Q_CTRL,
                                  &start, sizeof start, &error),
         &error);
    for (unsigned ms = 0; queue_status(rig, id) != SG_Q_FAULT; ms++) {
        assert_true(ms < 30000);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* VF-6: A guest's fault stops its queue and nothing else: not its other queue, not a neighbour, not
 * a move of either; and it moves along as what it is. */
static void a_faulted_queue_disturbs_nobody_and_moves_along(void **unused)
{
    uint64_t bad, good;
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    bad = rig_create(&rig, "bad", 0, RESERVE / MIB, false);
    good = rig_create(&rig, "good", 0, RESERVE / MIB, false);
    rig_run(&rig, good, RESERVE, 16, 0);
    rig_run(&rig, bad, RESERVE, 17, 0);
    run_garbage(&rig, bad);
    rig_wait(&rig, bad, rig_counter(&rig, bad) + 100);
    rig_wait(&rig, good, rig_counter(&rig, good) + 100);
    good = hop(&rig, good, 1, "good-moved");
    bad = hop(&rig, bad, 1, "bad-moved");
    assert_int_equal(queue_status(&rig, bad), SG_Q_FAULT);
    assert_int_equal(queue_status(&rig, good), SG_Q_HALTED);
    rig_wait(&rig, bad, rig_counter(&rig, bad) + 100);
    rig_wait(&rig, good, rig_counter(&rig, good) + 100);
    rig_close(&rig);
}

/* ---- what goes wrong ---- */

static void a_given_up_move_leaves_the_source_running(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id, at;

    (void)unused;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, 16 * MIB, 5, 0);
    for (int i = 0; i < 2; i++) {
        must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
        must(dxgk_migration_end(rig.dxgk, id, &error), &error);
        assert_int_equal(state_of(&rig, id), VF_PARTITION_RUNNING);
    }
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    at = rig_counter(&rig, id);
    rig_wait(&rig, id, at + 100);
    rig_close(&rig);
}

/* TGT-4, TGT-6: mutable data or an interrupt record that was bent leaves a target that never runs,
 * and a source that does. */
static void a_bent_mutable_state_never_runs(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p", 0, RESERVE / MIB, false);
    rig_run(&rig, id, RESERVE, 18, 0);
    for (unsigned bend = 0; bend < 6; bend++) {
        struct dxgk_blob kmd, msix, umed,
            *victim = bend < 2 ? &kmd : bend < 4 ? &msix : &umed;
        struct move move;
        uint64_t at;

        move_begin(&move, &rig, id, 1, "t");
        (void)move_round(&move);
        move_pause(&move);
        must(dxgk_migration_save_mutable(rig.dxgk, id, &kmd, &msix, &umed, &error), &error);
        if (bend % 2 == 0)
            ((uint8_t *)victim->data)[0] ^= 0xff;
        else
            victim->bytes--;
        assert_int_equal(
            dxgk_migration_restore_mutable(rig.dxgk, move.target, &kmd, &msix, &umed, &error), -1);
        assert_int_equal(state_of(&rig, move.target), VF_PARTITION_FAULTED);
        assert_int_equal(dxgk_partition_resume(rig.dxgk, move.target, &error), -1);
        blob_free(&kmd);
        blob_free(&msix);
        blob_free(&umed);
        move_cancel(&move);
        at = rig_counter(&rig, id);
        rig_wait(&rig, id, at + 100);
    }
    rig_close(&rig);
}

/* What a peer sends is untrusted: cut, bent and foreign data is refused, and the host lives
 * on (TGT-6). */
static void garbage_is_refused(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_blob kmd, umed, none = {0},
                                huge = {.data = (void *)"x", .bytes = VF_MAX_MIGRATION_BLOB + 1};
    struct rig rig;
    uint64_t source;

    (void)unused;
    rig_open(&rig, two, NULL);
    source = rig_create(&rig, "s", 0, 16, false);
    must(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error), &error);
    for (unsigned i = 0; i < 64; i++) {
        struct dxgk_blob bent = {.data = malloc(kmd.bytes),
                                 .bytes = kmd.bytes - (i % 2 != 0 ? i : 0)};
        struct vf_reasons reasons = {0};
        uint64_t target = rig_create(&rig, "t", 1, 16, true);

        assert_non_null(bent.data);
        memcpy(bent.data, kmd.data, kmd.bytes);
        ((uint8_t *)bent.data)[i % kmd.bytes] ^= 0xff;
        must(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), &error);
        if (i == 0) {
            assert_int_equal(
                dxgk_migration_restore_immutable(rig.dxgk, target, &none, &none, &reasons, &error),
                -1);
            assert_int_equal(
                dxgk_migration_restore_immutable(rig.dxgk, target, &huge, &none, &reasons, &error),
                -1);
        }
        (void)dxgk_migration_restore_immutable(rig.dxgk, target, &bent, &none, &reasons, &error);
        must(dxgk_migration_end(rig.dxgk, target, &error), &error);
        must(dxgk_partition_destroy(rig.dxgk, target, &error), &error);
        free(bent.data);
    }
    blob_free(&kmd);
    blob_free(&umed);
    rig_close(&rig);
}

/* TGT-2 */
static void a_mismatch_names_the_field(void **unused)
{
    static const char *const differ[] = {"softgpu,vram=128M,vfs=2,dirty-page=4K,fw=2.0",
                                         "softgpu,vram=128M,vfs=2,dirty-page=64K,fw=1.2", NULL};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    struct dxgk_blob kmd, umed;
    uint64_t source, target;
    bool firmware = false, page = false;
    struct rig rig;

    (void)unused;
    rig_open(&rig, differ, NULL);
    source = rig_create(&rig, "s", 0, 16, false);
    target = rig_create(&rig, "t", 1, 16, true);
    must(dxgk_migration_prepare(rig.dxgk, source, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_prepare(rig.dxgk, target, DXGK_TARGET, 1, &error), &error);
    must(dxgk_migration_save_immutable(rig.dxgk, source, &kmd, &umed, &error), &error);
    assert_int_equal(
        dxgk_migration_restore_immutable(rig.dxgk, target, &kmd, &umed, &reasons, &error), -1);
    assert_int_equal(error.code, VF_INCOMPATIBLE);
    for (uint32_t i = 0; i < reasons.count; i++) {
        firmware |= strcmp(reasons.list[i].field, "firmware") == 0 &&
                    strcmp(reasons.list[i].source, "2.0") == 0 &&
                    strcmp(reasons.list[i].target, "1.2") == 0;
        page |=
            strcmp(reasons.list[i].field, "dirty-page") == 0 && reasons.list[i].remedy[0] != '\0';
    }
    assert_true(firmware);
    assert_true(page);
    assert_true(rig_expect(&rig, "triage", "firmware"));
    blob_free(&kmd);
    blob_free(&umed);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moved_partition_ends_like_one_that_was_not),
        cmocka_unit_test(a_move_without_performant_tracking_ends_alike),
        cmocka_unit_test(a_move_by_large_pages_ends_alike),
        cmocka_unit_test(a_pending_interrupt_arrives_with_its_partition),
        cmocka_unit_test(back_and_forth_ends_like_staying),
        cmocka_unit_test(moves_that_cross_end_alike),
        cmocka_unit_test(a_reserve_of_many_fragments_moves),
        cmocka_unit_test(no_write_is_lost_at_full_speed),
        cmocka_unit_test(no_write_is_lost_without_performant_tracking),
        cmocka_unit_test(a_move_leaves_its_neighbour_alone),
        cmocka_unit_test(a_faulted_queue_disturbs_nobody_and_moves_along),
        cmocka_unit_test(a_given_up_move_leaves_the_source_running),
        cmocka_unit_test(a_bent_mutable_state_never_runs),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_mismatch_names_the_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
