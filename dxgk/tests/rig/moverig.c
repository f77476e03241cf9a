// SPDX-License-Identifier: Apache-2.0
/* See moverig.h. */
#include "dxgk/tests/rig/moverig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define SLOT (2u << 20) /* the largest dirty page */

void must(int result, const struct vf_error *error)
{
    if (result != 0)
        fail_msg("%s", error->text);
}

enum vf_partition_state state_of(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    return (enum vf_partition_state)info.state;
}

void blob_free(struct dxgk_blob *blob)
{
    free(blob->data);
    *blob = (struct dxgk_blob){0};
}

/* ---- lanes ---- */

static void lane_done(void *ctx, uint64_t cookie, int status)
{
    struct lane *lane = ctx;

    (void)cookie;
    lane->status = status;
    (void)sem_post(&lane->done);
}

void lane_open(struct lane *lane, struct rig *rig, uint64_t id)
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

void lane_close(struct lane *lane)
{
    (void)munmap(lane->memory, SLOT);
    dxgk_channel_close(lane->channel);
    (void)sem_destroy(&lane->done);
}

void lane_run(struct lane *lane, enum dxgk_transfer op, const uint64_t *pages, uint32_t count)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_channel_submit(lane->channel, op, 0, pages, count, 0, &error), &error);
    while (sem_wait(&lane->done) != 0)
        ;
    assert_int_equal(lane->status, 0);
}

/* ---- a move ---- */

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
    struct dxgk_blob kmd, msix, umed;

    must(dxgk_migration_save_mutable(move->rig->dxgk, move->source, &kmd, &msix, &umed, &error),
         &error);
    must(dxgk_migration_restore_mutable(move->rig->dxgk, move->target, &kmd, &msix, &umed, &error),
         &error);
    blob_free(&kmd);
    blob_free(&msix);
    blob_free(&umed);
}

void move_begin(struct move *move, struct rig *rig, uint64_t source, uint32_t adapter,
                const char *name)
{
    struct vf_partition_params params;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct dxgk *dxgk = rig->dxgk;

    must(dxgk_partition_params(dxgk, source, &params, &error), &error);
    params.adapter = adapter;
    (void)snprintf(params.name, sizeof params.name, "%s", name);
    memset(params.uuid, 0, sizeof params.uuid);
    must(dxgk_partition_create(dxgk, &params, true, &info, &error), &error);
    assert_int_equal(info.state, VF_PARTITION_INCOMING);
    *move = (struct move){.rig = rig,
                          .source = source,
                          .target = info.id,
                          .bytes = params.vram_bytes,
                          .page_bytes = info.page_bytes};
    must(dxgk_migration_prepare(dxgk, source, DXGK_SOURCE, 9, &error), &error);
    must(dxgk_migration_prepare(dxgk, move->target, DXGK_TARGET, 9, &error), &error);
    assert_int_equal(state_of(rig, source), VF_PARTITION_OUTGOING);
    move_immutable(move);
    lane_open(&move->out, rig, source);
    lane_open(&move->in, rig, move->target);
}

uint64_t move_round(struct move *move)
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

void move_pause(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_pause(move->rig->dxgk, move->source, &error), &error);
    (void)move_round(move);
    assert_int_equal(move_round(move), 0);
}

uint64_t move_finish(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk *dxgk = move->rig->dxgk;

    move_mutable(move);
    lane_close(&move->out);
    lane_close(&move->in);
    must(dxgk_migration_end(dxgk, move->target, &error), &error);
    assert_int_equal(state_of(move->rig, move->target), VF_PARTITION_READY);
    must(dxgk_migration_end(dxgk, move->source, &error), &error);
    assert_int_equal(state_of(move->rig, move->source), VF_PARTITION_PAUSED);
    must(dxgk_partition_destroy(dxgk, move->source, &error), &error);
    must(dxgk_partition_resume(dxgk, move->target, &error), &error);
    assert_int_equal(state_of(move->rig, move->target), VF_PARTITION_RUNNING);
    return move->target;
}

void move_drop(struct move *move)
{
    struct vf_error error = VF_ERROR_INIT;
    struct dxgk *dxgk = move->rig->dxgk;

    lane_close(&move->out);
    lane_close(&move->in);
    must(dxgk_migration_end(dxgk, move->target, &error), &error);
    must(dxgk_partition_destroy(dxgk, move->target, &error), &error);
    if (state_of(move->rig, move->source) == VF_PARTITION_OUTGOING_PAUSED)
        must(dxgk_partition_resume(dxgk, move->source, &error), &error);
    must(dxgk_migration_end(dxgk, move->source, &error), &error);
}

void move_cancel(struct move *move)
{
    move_drop(move);
    assert_int_equal(state_of(move->rig, move->source), VF_PARTITION_RUNNING);
}
