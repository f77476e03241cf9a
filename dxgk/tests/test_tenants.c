// SPDX-License-Identifier: Apache-2.0
/*
 * One tenant after the other on the same VF and the same VRAM (VF-3): the first leaves traces
 * wherever a guest can, goes in each of the ways there are, and the second looks for them through
 * everything it can read. It must find what the very first tenant of a new card finds.
 */
#include "base/clock.h"
#include "dxgk/tests/rig/hotrig.h"
#include "softgpu/hw.h"

#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define CHUNK (1u << 20)
#define SECRET 0x5ec2e75ec2e75ec2ull
#define PATIENCE_NS 20000000000ull
#define FAULTING (SG_VF_QUEUE(SG_QUEUE_COPY))
#define WORKING (SG_VF_QUEUE(SG_QUEUE_COMPUTE))

/* One VF a card, and reserves as large as the card: whoever comes next gets the same. */
static const char *const two[] = {"softgpu,vram=64M,vfs=1,dirty-page=4K",
                                  "softgpu,vram=64M,vfs=1,dirty-page=4K", NULL};

static void poke(struct rig *rig, uint64_t id, uint32_t bar, uint64_t at, const void *data,
                 uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_bar_write(rig->dxgk, id, bar, at, data, bytes, &error), &error);
}

static uint64_t peek(struct rig *rig, uint64_t id, uint64_t at, unsigned width)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t value = 0;

    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_REGS, at, &value, width, &error), &error);
    return value;
}

static uint64_t bytes_of(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    return info.vram_bytes;
}

static void destroy(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;

    must(dxgk_partition_destroy(rig->dxgk, id, &error), &error);
}

/* ---- the first tenant ---- */

/* Every byte of VRAM, its tables and ring on top; the hash is what a command carries between
 * its steps. */
static void leave_bytes(struct rig *rig, uint64_t id)
{
    static uint64_t secret[CHUNK / 8];
    const uint64_t bytes = bytes_of(rig, id);
    const struct sg_cmd ring[] = {
        {.op = SG_OP_FILL, .a = {RIG_HEAP, bytes - RIG_HEAP, SECRET}},
        {.op = SG_OP_INTERRUPT, .a = {3}},
        {.op = SG_OP_ADD, .a = {RIG_COUNTER, 1}},
        {.op = SG_OP_HASH, .a = {RIG_COUNTER + 8, RIG_HEAP, bytes - RIG_HEAP, SECRET}},
        {.op = SG_OP_JUMP, .a = {RIG_RING + 2 * SG_CMD_BYTES}},
    };
    const uint64_t nowhere = 1ull << SG_VA_BITS;
    const uint64_t until = vf_now_ns() + PATIENCE_NS;
    const uint32_t start = 1;

    for (unsigned i = 0; i < CHUNK / 8; i++)
        secret[i] = SECRET ^ i;
    for (uint64_t at = 0; at < bytes; at += CHUNK)
        poke(rig, id, SG_VF_BAR_VRAM, at, secret, CHUNK);
    memset(secret, 0, 8);
    poke(rig, id, SG_VF_BAR_VRAM, RIG_COUNTER, secret, 8);
    rig_start(rig, id, bytes, ring, sizeof ring / sizeof ring[0]);
    poke(rig, id, SG_VF_BAR_REGS, FAULTING + SG_Q_IP64, &nowhere, 8);
    poke(rig, id, SG_VF_BAR_REGS, FAULTING + SG_Q_CTRL, &start, 4);
    rig_wait(rig, id, 1);
    /* Each engine gets to its queue in its own time. */
    while (peek(rig, id, FAULTING + SG_Q_STATUS, 4) == SG_Q_RUNNING) {
        assert_true(vf_now_ns() < until);
        (void)sched_yield();
    }
}

/* Interrupts, one of them pending behind its mask, and all that the platform page keeps. */
static void leave_traces(struct rig *rig, uint64_t id)
{
    const uint32_t lights = 0xffffffffu;

    leave_bytes(rig, id);
    rig_unmask(rig, id);
    for (uint64_t at = 0; at < SG_PLAT_NOTES_BYTES; at += 8)
        poke(rig, id, SG_VF_BAR_REGS, SG_VF_PLATFORM + SG_PLAT_NOTES + at, &(uint64_t){SECRET}, 8);
    poke(rig, id, SG_VF_BAR_REGS, SG_VF_PLATFORM + SG_PLAT_INDICATOR, &lights, 4);
    assert_int_not_equal(peek(rig, id, SG_VF_MSIX_PBA, 8), 0);
    assert_int_equal(peek(rig, id, WORKING + SG_Q_STATUS, 4), SG_Q_RUNNING);
    assert_int_equal(peek(rig, id, FAULTING + SG_Q_STATUS, 4), SG_Q_FAULT);
}

static uint64_t first_tenant(struct rig *rig)
{
    uint64_t id = rig_create(rig, "first", 0, 64, false);

    leave_traces(rig, id);
    return id;
}

/* ---- the second ---- */

static void assert_zeros(const uint8_t *bytes, uint64_t count, const char *where, uint64_t at)
{
    if (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0)
        return; /* each is as the one before it */
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            fail_msg("%s: 0x%02x at 0x%" PRIx64, where, bytes[i], at + i);
}

static void look_through_aperture(struct rig *rig, uint64_t id)
{
    static uint8_t buffer[CHUNK];
    const uint64_t bytes = bytes_of(rig, id);
    struct vf_error error = VF_ERROR_INIT;

    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        memset(buffer, 0xff, sizeof buffer);
        must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, at, buffer, CHUNK, &error),
             &error);
        assert_zeros(buffer, CHUNK, "the VRAM BAR", at);
    }
    assert_int_equal(
        dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, bytes, buffer, 1, &error), -1);
    assert_int_equal(
        dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, bytes - 1, buffer, 2, &error), -1);
    assert_int_equal(
        dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, ~0ull - 3, buffer, 8, &error), -1);
}

static void look_at_registers(struct rig *rig, uint64_t id)
{
    static const uint32_t registers[] = {SG_VF_ROOT64,
                                         SG_VF_MSIX_PBA,
                                         WORKING + SG_Q_IP64,
                                         WORKING + SG_Q_RETIRED64,
                                         FAULTING + SG_Q_IP64,
                                         FAULTING + SG_Q_RETIRED64,
                                         SG_VF_PLATFORM + SG_PLAT_STORES64,
                                         SG_VF_PLATFORM + SG_PLAT_SUM64};

    for (unsigned i = 0; i < sizeof registers / sizeof registers[0]; i++)
        if (peek(rig, id, registers[i], 8) != 0)
            fail_msg("register 0x%x: 0x%" PRIx64, registers[i], peek(rig, id, registers[i], 8));
    assert_int_equal(peek(rig, id, WORKING + SG_Q_STATUS, 4), SG_Q_HALTED);
    assert_int_equal(peek(rig, id, FAULTING + SG_Q_STATUS, 4), SG_Q_HALTED);
    assert_int_equal(peek(rig, id, SG_VF_PLATFORM + SG_PLAT_INDICATOR, 4), 0);
    for (uint64_t at = 0; at < SG_PLAT_NOTES_BYTES; at += 8)
        assert_int_equal(peek(rig, id, SG_VF_PLATFORM + SG_PLAT_NOTES + at, 8), 0);
    for (unsigned vector = 0; vector < SG_MSIX_VECTORS; vector++) {
        assert_int_equal(peek(rig, id, SG_VF_MSIX_TABLE + vector * 16, 8), 0);
        assert_int_equal(peek(rig, id, SG_VF_MSIX_TABLE + vector * 16 + 8, 4), 0);
        assert_int_equal(peek(rig, id, SG_VF_MSIX_TABLE + vector * 16 + 12, 4), 1);
    }
}

static void look_at_info(struct rig *rig, uint64_t id, uint64_t since_ns)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct vf_partition_clock clock;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    assert_int_equal(info.interrupts, 0);
    assert_int_equal(info.epoch, 0);
    must(dxgk_partition_clock(rig->dxgk, id, &clock, &error), &error);
    assert_int_equal(clock.runtime_ns, 0);
    /* When the last tenant ran is nobody's business. */
    assert_true(clock.last_run_ns == 0 || clock.last_run_ns >= since_ns);
    assert_true(clock.first_run_ns == 0 || clock.first_run_ns >= since_ns);
}

/* A slot that was poisoned, after the gather of a run of pages into it. */
static void look_through_paging(struct rig *rig, uint64_t id, uint64_t page_bytes)
{
    struct vf_error error = VF_ERROR_INIT;
    const uint32_t at_once = (uint32_t)((2 * MIB) / page_bytes);
    const uint64_t pages = bytes_of(rig, id) / page_bytes;
    uint64_t *list = calloc(at_once, sizeof *list);
    struct lane lane;

    assert_non_null(list);
    lane_open(&lane, rig, id);
    assert_zeros(lane.memory, 2 * MIB, "a new channel's memory", 0);
    for (uint64_t page = 0; page < pages; page += at_once) {
        for (uint32_t i = 0; i < at_once; i++)
            list[i] = page + i;
        memset(lane.memory, 0xff, 2 * MIB);
        lane_run(&lane, DXGK_GATHER, list, at_once);
        assert_zeros(lane.memory, 2 * MIB, "a gather", page * page_bytes);
    }
    list[0] = pages;
    assert_int_equal(dxgk_channel_submit(lane.channel, DXGK_GATHER, 0, list, 1, 0, &error), -1);
    lane_close(&lane);
    free(list);
}

/* What a tenant is to a migration: dirty bits and saved state. */
struct saved {
    struct dxgk_blob kmd, msix, umed;
    uint64_t dirty;
};

static struct saved save(struct rig *rig, uint64_t id, bool and_read)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct dxgk_blob kmd, umed;
    struct saved saved = {0};
    uint8_t *bits;

    must(dxgk_partition_info(rig->dxgk, id, &info, &error), &error);
    bits = calloc(1, info.vram_bytes / info.page_bytes / 8 + 1);
    assert_non_null(bits);
    must(dxgk_migration_prepare(rig->dxgk, id, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_migration_save_immutable(rig->dxgk, id, &kmd, &umed, &error), &error);
    blob_free(&kmd);
    blob_free(&umed);
    must(dxgk_migration_query_dirty(rig->dxgk, id, bits, info.vram_bytes / info.page_bytes / 8 + 1,
                                    &saved.dirty, &error),
         &error);
    if (and_read)
        look_through_paging(rig, id, info.page_bytes);
    must(dxgk_partition_pause(rig->dxgk, id, &error), &error);
    must(dxgk_migration_save_mutable(rig->dxgk, id, &saved.kmd, &saved.msix, &saved.umed, &error),
         &error);
    must(dxgk_partition_resume(rig->dxgk, id, &error), &error);
    must(dxgk_migration_end(rig->dxgk, id, &error), &error);
    free(bits);
    return saved;
}

static void free_saved(struct saved *saved)
{
    blob_free(&saved->kmd);
    blob_free(&saved->msix);
    blob_free(&saved->umed);
}

static void assert_same(const struct dxgk_blob *first, const struct dxgk_blob *second)
{
    assert_int_equal(first->bytes, second->bytes);
    assert_memory_equal(first->data, second->data, first->bytes);
}

/* As the manual has it, over zeros. */
static uint64_t hash_of_zeros(uint64_t bytes)
{
    uint64_t h = 1;

    for (uint64_t i = 0; i < bytes / 8; i++) {
        h = (h ^ (h >> 30)) * SG_MIX_1;
        h = (h ^ (h >> 27)) * SG_MIX_2;
        h ^= h >> 31;
    }
    return h;
}

/* What the engines see, and what they hand on. */
static void look_through_engines(struct rig *rig, uint64_t id)
{
    static uint8_t buffer[CHUNK];
    const uint64_t bytes = bytes_of(rig, id), half = RIG_HEAP + (bytes - RIG_HEAP) / 2;
    const struct sg_cmd ring[] = {
        {.op = SG_OP_HASH, .a = {RIG_COUNTER + 8, RIG_HEAP, bytes - RIG_HEAP, 1}},
        {.op = SG_OP_FILL, .a = {half, CHUNK, SECRET}},
        {.op = SG_OP_COPY, .a = {half, RIG_HEAP, CHUNK}},
        {.op = SG_OP_ADD, .a = {RIG_COUNTER, 1}},
        {.op = SG_OP_HALT},
    };
    struct vf_error error = VF_ERROR_INIT;
    uint64_t h;

    rig_start(rig, id, bytes, ring, sizeof ring / sizeof ring[0]);
    rig_wait(rig, id, 1);
    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, RIG_COUNTER + 8, &h, 8, &error),
         &error);
    assert_true(h == hash_of_zeros(bytes - RIG_HEAP));
    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, half, buffer, CHUNK, &error),
         &error);
    assert_zeros(buffer, CHUNK, "what the copy engine read", half);
}

/* The second tenant comes to `adapter`, looks, and goes. */
static void second_tenant_finds_nothing(struct rig *rig, uint32_t adapter, uint64_t mib)
{
    uint64_t since = vf_now_ns(), id = rig_create(rig, "second", adapter, mib, false), clean_id;
    struct saved found, clean;
    struct rig unused;

    look_at_info(rig, id, since);
    look_at_registers(rig, id);
    look_through_aperture(rig, id);
    found = save(rig, id, true);
    assert_int_equal(found.dirty, 0);
    rig_open(&unused, two, NULL);
    clean_id = rig_create(&unused, "second", 0, 64, false);
    clean = save(&unused, clean_id, false);
    rig_close(&unused);
    assert_same(&found.kmd, &clean.kmd);
    assert_same(&found.msix, &clean.msix);
    assert_same(&found.umed, &clean.umed);
    free_saved(&found);
    free_saved(&clean);
    look_through_engines(rig, id);
    destroy(rig, id);
}

/* ---- how the first one goes ---- */

/* VF-3 */
static void after_a_removal(void **unused)
{
    struct rig rig;

    (void)unused;
    rig_open(&rig, two, NULL);
    destroy(&rig, first_tenant(&rig));
    second_tenant_finds_nothing(&rig, 0, 64);
    rig_close(&rig);
}

static void after_a_removal_while_paused_or_reset(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = first_tenant(&rig);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    destroy(&rig, id);
    second_tenant_finds_nothing(&rig, 0, 64);
    id = first_tenant(&rig);
    must(dxgk_partition_reset(rig.dxgk, id, &error), &error);
    destroy(&rig, id);
    second_tenant_finds_nothing(&rig, 0, 64);
    rig_close(&rig);
}

/* VF-3 */
static void after_a_move_and_after_one_given_up(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = first_tenant(&rig);
    move_begin(&move, &rig, id, 1, "given-up");
    (void)move_round(&move);
    move_cancel(&move);
    second_tenant_finds_nothing(&rig, 1, 64);
    move_begin(&move, &rig, id, 1, "moved");
    (void)move_round(&move);
    move_pause(&move);
    id = move_finish(&move);
    second_tenant_finds_nothing(&rig, 0, 64);
    /* A save without --keep: prepared, paused, saved, destroyed. */
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 2, &error), &error);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    destroy(&rig, id);
    second_tenant_finds_nothing(&rig, 1, 64);
    rig_close(&rig);
}

/* A target whose pages are there and whose state is refused. */
static void after_a_state_that_was_refused(void **unused)
{
    const struct dxgk_blob nonsense = {(char[]){"nonsense"}, 8}, none = {0};
    struct vf_error error = VF_ERROR_INIT;
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = first_tenant(&rig);
    move_begin(&move, &rig, id, 1, "refused");
    (void)move_round(&move);
    assert_int_equal(
        dxgk_migration_restore_mutable(rig.dxgk, move.target, &nonsense, &none, &none, &error), -1);
    move_drop(&move);
    second_tenant_finds_nothing(&rig, 1, 64);
    rig_close(&rig);
}

static void after_a_driver_update(void **unused)
{
    struct vf_driver_update out;
    struct dirent *entry;
    struct rig rig;
    uint64_t id;
    DIR *fds;

    (void)unused;
    rig_open(&rig, two, NULL);
    id = first_tenant(&rig);
    hot_must_update(&rig, "softgpu-v2.so", &out);
    hot_must_update(&rig, "softgpu.so", &out);
    /* What the drivers saved for one another is gone with the updates. */
    fds = opendir("/proc/self/fd");
    assert_non_null(fds);
    while ((entry = readdir(fds)) != NULL) {
        char target[256] = "";

        if (readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1) > 0 &&
            strstr(target, "saved-driver-state") != NULL)
            fail_msg("still open: %s", target);
    }
    (void)closedir(fds);
    destroy(&rig, id);
    second_tenant_finds_nothing(&rig, 0, 64);
    rig_close(&rig);
}

/* A partition that comes as far as its tracking, where the driver fails it. */
static void after_a_creation_that_failed(void **unused)
{
    struct vf_partition_params params = {.vram_bytes = 64 * MIB, .name = "failed"};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct rig rig;

    (void)unused;
    assert_int_equal(setenv("VF_BAD_DRIVER", "tracking-once", 1), 0);
    rig_open(&rig, two, "bad.so");
    destroy(&rig, first_tenant(&rig));
    assert_int_equal(dxgk_partition_create(rig.dxgk, &params, true, &info, &error), -1);
    second_tenant_finds_nothing(&rig, 0, 64);
    rig_close(&rig);
    assert_int_equal(unsetenv("VF_BAD_DRIVER"), 0);
}

/* The place that a partition moved out of, next to the one it is in now. */
static void after_a_move_inside_vram(void **unused)
{
    static const char *const one[] = {"softgpu,vram=192M,vfs=2,dirty-page=4K", NULL};
    struct vf_error error = VF_ERROR_INIT;
    struct vf_defrag out;
    uint64_t gap, id, digest;
    struct rig rig;

    (void)unused;
    rig_open(&rig, one, NULL);
    gap = rig_create(&rig, "gap", 0, 64, false);
    id = rig_create(&rig, "first", 0, 64, false);
    leave_traces(&rig, id);
    must(dxgk_partition_pause(rig.dxgk, id, &error), &error);
    digest = rig_digest(&rig, id, 64 * MIB);
    destroy(&rig, gap);
    must(dxgk_defrag(rig.dxgk, 0, false, &out, &error), &error);
    assert_int_equal(out.moved_bytes, 64 * MIB);
    second_tenant_finds_nothing(&rig, 0, 64);
    assert_true(digest == rig_digest(&rig, id, 64 * MIB));
    rig_close(&rig);
}

/* Cards of every kind zero and track in their own ways. */
static void on_every_kind_of_card(void **unused)
{
    static const char *const kinds[] = {"softgpu,vram=64M,vfs=1,dirty-page=2M",
                                        "softgpu,vram=64M,vfs=1,dirty-page=64K,scatter=on",
                                        "softgpu,vram=64M,vfs=1,dirty-page=4K,prealloc=on"};

    (void)unused;
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *const devices[] = {kinds[i], NULL};
        struct rig rig;

        rig_open(&rig, devices, NULL);
        destroy(&rig, first_tenant(&rig));
        second_tenant_finds_nothing(&rig, 0, 64);
        rig_close(&rig);
    }
}

/* Without performant tracking the bits are looked at by hand: tracking starts with the move. */
static void old_dirty_bits_do_not_survive_where_tracking_starts_late(void **unused)
{
    static const char *const lazy[] = {"softgpu,vram=64M,vfs=1,dirty-page=4K,performant=off", NULL};
    struct vf_error error = VF_ERROR_INIT;
    uint8_t *bits = calloc(1, 64 * MIB / 4096 / 8);
    uint64_t id, dirty;
    struct rig rig;

    (void)unused;
    assert_non_null(bits);
    rig_open(&rig, lazy, NULL);
    id = first_tenant(&rig);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    rig_wait(&rig, id, rig_counter(&rig, id) + 2); /* dirties while it is tracked */
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    destroy(&rig, id);
    id = rig_create(&rig, "second", 0, 64, false);
    must(dxgk_migration_prepare(rig.dxgk, id, DXGK_SOURCE, 1, &error), &error);
    for (unsigned round = 0; round < 2; round++)
        must(dxgk_migration_query_dirty(rig.dxgk, id, bits, 64 * MIB / 4096 / 8, &dirty, &error),
             &error);
    assert_int_equal(dirty, 0); /* the first is everything by definition */
    must(dxgk_migration_end(rig.dxgk, id, &error), &error);
    rig_close(&rig);
    free(bits);
}

/* ---- proof before it is handed out ---- */

static int create(struct rig *rig, const char *name, struct vf_error *error)
{
    struct vf_partition_params params = {.vram_bytes = 16 * MIB};
    struct vf_partition_info info;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    return dxgk_partition_create(rig->dxgk, &params, false, &info, error);
}

/* VF-2, VF-3 */
static void vram_that_only_seems_zeroed_is_given_to_nobody(void **unused)
{
    static const char *const one[] = {"softgpu,vram=64M,vfs=4,dirty-page=4K", NULL};
    struct vf_error error = VF_ERROR_INIT;
    uint64_t id;
    struct rig rig;

    (void)unused;
    assert_int_equal(setenv("VF_BAD_DRIVER", "half-zero", 1), 0);
    rig_open(&rig, one, "bad.so");
    id = rig_create(&rig, "first", 0, 16, false);
    leave_traces(&rig, id);
    destroy(&rig, id);
    assert_int_equal(create(&rig, "second", &error), -1);
    assert_non_null(strstr(error.text, "is not zero"));
    assert_true(rig_expect(&rig, "contract", "stays locked up"));
    /* It stays locked up, the rest of the card serves on. */
    id = rig_create(&rig, "third", 0, 16, false);
    look_through_aperture(&rig, id);
    rig_close(&rig);
    assert_int_equal(unsetenv("VF_BAD_DRIVER"), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_removal),
        cmocka_unit_test(after_a_removal_while_paused_or_reset),
        cmocka_unit_test(after_a_move_and_after_one_given_up),
        cmocka_unit_test(after_a_state_that_was_refused),
        cmocka_unit_test(after_a_driver_update),
        cmocka_unit_test(after_a_creation_that_failed),
        cmocka_unit_test(after_a_move_inside_vram),
        cmocka_unit_test(on_every_kind_of_card),
        cmocka_unit_test(old_dirty_bits_do_not_survive_where_tracking_starts_late),
        cmocka_unit_test(vram_that_only_seems_zeroed_is_given_to_nobody),
    };

    dxgk_trial_main(argc, argv);
    rig_trials = true;
    return cmocka_run_group_tests_name("tenants", tests, NULL, hot_remove_bad_drivers);
}
