// SPDX-License-Identifier: Apache-2.0
/* Partitions on the real device and driver: their life, isolation, and a whole move between two
 * adapters of one process. */
#include "dxgk/tests/rig.h"
#include "softgpu/hw.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static const char *const one[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K", NULL};
static const char *const two[] = {"softgpu,vram=256M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=2,dirty-page=4K", NULL};
static const char *const lazy[] = {"softgpu,vram=128M,vfs=2,dirty-page=64K,performant=off",
                                   "softgpu,vram=128M,vfs=2,dirty-page=64K,performant=off", NULL};
static const char *const scattered[] = {"softgpu,vram=128M,vfs=8,dirty-page=4K,scatter=on", NULL};

static void must(int result, const struct vf_error *error)
{
    if (result != 0)
        fail_msg("%s", error->text);
}

static enum vf_partition_state state_of(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    return (enum vf_partition_state)info.state;
}

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
    assert_int_equal(dxgk_partition_pause(rig.dxgk, id, &error), -1);
    at = rig_counter(&rig, id);
    must(dxgk_partition_resume(rig.dxgk, id, &error), &error);
    rig_wait(&rig, id, at + 100);
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    rig_close(&rig);
}

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

/* Fill with small ones, free every second, and ask for more than any hole holds. */
static void a_scattered_reserve_uses_the_holes(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_adapter_info info;
    uint64_t ids[8], neighbour, id;
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
    for (unsigned i = 0; i < 8; i += 2)
        must(dxgk_partition_destroy(rig.dxgk, ids[i], &error), &error);
    neighbour = rig_digest(&rig, ids[1], 16 * MIB);
    id = rig_create(&rig, "holes", 0, 64, false);
    rig_run(&rig, id, 64 * MIB, 3, 5000);
    rig_wait(&rig, id, 5000);
    for (unsigned i = 1; i < 8; i += 2)
        assert_int_equal(rig_digest(&rig, ids[i], 16 * MIB), neighbour);
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

/* SRC-5: once a pause has returned, no vCPU's store lands any more. */
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

/* ---- a move ---- */

struct lane {
    struct dxgk_channel *channel;
    uint8_t *memory;
    sem_t done;
    _Atomic int status;
};

#define SLOT (1u << 20)

static void lane_done(void *ctx, uint64_t cookie, int status)
{
    struct lane *lane = ctx;

    (void)cookie;
    lane->status = status;
    (void)sem_post(&lane->done);
}

static void lane_open(struct lane *lane, struct rig *rig, uint64_t id)
{
    struct dxgk_channel_config config = {
        .slots = 1, .slot_bytes = SLOT, .done = lane_done, .ctx = lane};
    struct vf_error error = VF_ERROR_INIT;
    int fd;

    (void)sem_init(&lane->done, 0, 0);
    must(dxgk_channel_open(rig->dxgk, id, &config, &lane->channel, &fd, &error), &error);
    lane->memory = mmap(NULL, SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(lane->memory, MAP_FAILED);
}

static void lane_close(struct lane *lane)
{
    (void)munmap(lane->memory, SLOT);
    dxgk_channel_close(lane->channel);
    (void)sem_destroy(&lane->done);
}

static void lane_run(struct lane *lane, enum dxgk_transfer op, const uint64_t *pages,
                     uint32_t count)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_channel_submit(lane->channel, op, 0, pages, count, 0, &error), &error);
    while (sem_wait(&lane->done) != 0)
        ;
    assert_int_equal(lane->status, 0);
}

struct move {
    struct rig *rig;
    uint64_t source, target, bytes, page_bytes;
    struct lane out, in;
};

/* One round: query, gather, "send", scatter. Returns the pages it moved. */
static uint64_t move_round(struct move *move)
{
    uint64_t pages = move->bytes / move->page_bytes;
    uint8_t *bits = calloc(1, (pages + 7) / 8);
    uint64_t *list = calloc(SLOT / move->page_bytes, sizeof *list);
    struct vf_error error = VF_ERROR_INIT;
    uint64_t dirty = 0;
    uint32_t count = 0;

    assert_non_null(bits);
    assert_non_null(list);
    must(dxgk_migration_query_dirty(move->rig->dxgk, move->source, bits, (pages + 7) / 8, &dirty,
                                    &error),
         &error);
    for (uint64_t page = 0; page < pages; page++) {
        if (bits[page / 8] & 1u << page % 8)
            list[count++] = page;
        if (count == SLOT / move->page_bytes || (page + 1 == pages && count > 0)) {
            lane_run(&move->out, DXGK_GATHER, list, count);
            memcpy(move->in.memory, move->out.memory, count * move->page_bytes);
            lane_run(&move->in, DXGK_SCATTER, list, count);
            count = 0;
        }
    }
    free(list);
    free(bits);
    return dirty;
}

static void blob_free(struct dxgk_blob *blob)
{
    free(blob->data);
    *blob = (struct dxgk_blob){0};
}

static void move_immutable(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    struct dxgk_blob kmd, umed;

    must(dxgk_migration_save_immutable(move->rig->dxgk, move->source, &kmd, &umed, &error), &error);
    must(dxgk_migration_restore_immutable(move->rig->dxgk, move->target, &kmd, &umed, &reasons,
                                          &error),
         &error);
    assert_int_equal(reasons.count, 0);
    blob_free(&kmd);
    blob_free(&umed);
}

static void move_mutable(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk_blob kmd, msix;

    must(dxgk_migration_save_mutable(move->rig->dxgk, move->source, &kmd, &msix, &error), &error);
    must(dxgk_migration_restore_mutable(move->rig->dxgk, move->target, &kmd, &msix, &error),
         &error);
    blob_free(&kmd);
    blob_free(&msix);
}

/* Moves the partition to adapter 1 while it works on `steps`, and returns the target's id; the
 * source is removed. */
static uint64_t move_all(struct rig *rig, uint64_t source, uint64_t bytes, uint64_t steps)
{
    struct move move = {.rig = rig, .source = source, .bytes = bytes};
    struct vf_partition_params params;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct dxgk *dxgk = rig->dxgk;

    must(dxgk_partition_params(dxgk, source, &params, &error), &error);
    params.adapter = 1;
    (void)snprintf(params.name, sizeof params.name, "moved");
    memset(params.uuid, 0,
           sizeof params.uuid); /* both ends live in one process: the UUID is taken */
    must(dxgk_partition_create(dxgk, &params, true, &info, &error), &error);
    move.target = info.id;
    move.page_bytes = info.page_bytes;
    assert_int_equal(info.state, VF_PARTITION_INCOMING);

    must(dxgk_migration_prepare(dxgk, source, DXGK_SOURCE, 9, &error), &error);
    must(dxgk_migration_prepare(dxgk, move.target, DXGK_TARGET, 9, &error), &error);
    assert_int_equal(state_of(rig, source), VF_PARTITION_OUTGOING);
    move_immutable(&move);
    lane_open(&move.out, rig, source);
    lane_open(&move.in, rig, move.target);
    assert_int_equal(dxgk_partition_destroy(dxgk, source, &error), -1); /* busy */
    for (int round = 0; round < 3; round++)
        (void)move_round(&move);
    must(dxgk_partition_pause(dxgk, source, &error), &error);
    (void)move_round(&move);
    assert_int_equal(move_round(&move), 0);
    assert_true(rig_counter(rig, source) < steps); /* it was moved in its work, not after it */
    assert_int_equal(rig_digest(rig, source, bytes), rig_digest(rig, move.target, bytes));
    move_mutable(&move);
    lane_close(&move.out);
    lane_close(&move.in);
    must(dxgk_migration_end(dxgk, move.target, &error), &error);
    assert_int_equal(state_of(rig, move.target), VF_PARTITION_READY);
    must(dxgk_migration_end(dxgk, source, &error), &error);
    assert_int_equal(state_of(rig, source), VF_PARTITION_PAUSED);
    must(dxgk_partition_destroy(dxgk, source, &error), &error);
    must(dxgk_partition_resume(dxgk, move.target, &error), &error);
    assert_int_equal(state_of(rig, move.target), VF_PARTITION_RUNNING);
    return move.target;
}

static void moved_ends_like_unmoved(const char *const *devices, uint64_t steps)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t stays, goes, expected;
    struct rig rig;

    rig_open(&rig, devices, NULL);
    stays = rig_create(&rig, "stays", 0, 32, false);
    rig_run(&rig, stays, 32 * MIB, 11, steps);
    rig_wait(&rig, stays, steps);
    expected = rig_digest(&rig, stays, 32 * MIB);
    must(dxgk_partition_destroy(rig.dxgk, stays, &error), &error);

    goes = rig_create(&rig, "goes", 0, 32, false);
    rig_run(&rig, goes, 32 * MIB, 11, steps);
    rig_wait(&rig, goes, steps / 1000);
    rig_unmask(&rig, goes);
    goes = move_all(&rig, goes, 32 * MIB, steps);
    rig_wait(&rig, goes, steps);
    rig_wait_interrupts(&rig, goes,
                        1); /* the table moved along: its last command's message arrives here */
    assert_int_equal(rig_digest(&rig, goes, 32 * MIB), expected);
    rig_close(&rig);
}

static void a_moved_partition_ends_like_one_that_was_not(void **unused)
{
    (void)unused;
    moved_ends_like_unmoved(two, 200000);
}

static void a_move_without_performant_tracking_ends_alike(void **unused)
{
    (void)unused;
    moved_ends_like_unmoved(lazy, 200000);
}

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

/* What a peer sends is untrusted: cut, bent and foreign data is refused, and the host lives on
 * (TGT-6). */
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
        cmocka_unit_test(a_paused_partition_stands_still_and_a_resumed_one_goes_on),
        cmocka_unit_test(the_next_tenant_finds_zeroes),
        cmocka_unit_test(a_name_or_uuid_is_taken_once),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(strangers_reach_nothing),
        cmocka_unit_test(a_scattered_reserve_uses_the_holes),
        cmocka_unit_test(many_partitions_live_side_by_side),
        cmocka_unit_test(a_pause_shuts_the_cpu_out),
        cmocka_unit_test(a_moved_partition_ends_like_one_that_was_not),
        cmocka_unit_test(a_move_without_performant_tracking_ends_alike),
        cmocka_unit_test(a_given_up_move_leaves_the_source_running),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_mismatch_names_the_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
