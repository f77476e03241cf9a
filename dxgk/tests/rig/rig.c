// SPDX-License-Identifier: Apache-2.0
/* See rig.h. */
#include "dxgk/tests/rig/rig.h"

#include "base/clock.h"
#include "base/tests/tool.h"
#include "base/thread.h"
#include "softgpu/hw.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include <cmocka.h>

#define LARGE_PAGE (2ull << 20)
#define ROOT 0x1000ull
#define MIDDLE 0x2000ull
#define WAIT_NS (30ull * 1000000000ull)

bool rig_trials;
bool rig_scrub;

static void keep_event(void *ctx, const char *kind, const char *text)
{
    struct rig *rig = ctx;

    vf_lock(&rig->lock);
    if (rig->events < RIG_EVENTS) {
        (void)snprintf(rig->kind[rig->events], sizeof rig->kind[0], "%s", kind);
        (void)snprintf(rig->text[rig->events], sizeof rig->text[0], "%s", text);
        rig->events++;
    }
    vf_unlock(&rig->lock);
}

int rig_try(struct rig *rig, const char *const *devices, const char *driver, struct vf_error *err)
{
    const char *test_dir = getenv("VF_TEST_DRIVER_DIR");
    char path[4096];
    const char *drivers[1] = {path};
    struct dxgk_config config = {
        .devices = devices,
        .drivers = drivers,
        .driver_count = driver != NULL ? 1 : 0,
        .device_dir = getenv("VF_DEVICE_DIR"),
        .driver_dir = getenv("VF_DRIVER_DIR"),
        .event = keep_event,
        .event_ctx = rig,
        .trial = rig_trials,
        .scrub = rig_scrub,
    };

    assert_non_null(config.device_dir);
    assert_non_null(config.driver_dir);
    memset(rig, 0, sizeof *rig);
    vf_lock_init(&rig->lock);
    while (devices[config.device_count] != NULL)
        config.device_count++;
    if (driver != NULL) {
        assert_non_null(test_dir);
        (void)snprintf(path, sizeof path, "%s/%s", test_dir, driver);
    }
    return dxgk_open(&config, &rig->dxgk, err);
}

void rig_open(struct rig *rig, const char *const *devices, const char *driver)
{
    struct vf_error error = VF_ERROR_INIT;

    if (rig_try(rig, devices, driver, &error) != 0)
        fail_msg("%s", error.text);
}

bool rig_expect(struct rig *rig, const char *kind, const char *part)
{
    bool found = false;

    vf_lock(&rig->lock);
    for (unsigned i = 0; i < rig->events; i++) {
        if (strcmp(rig->kind[i], kind) == 0 && strstr(rig->text[i], part) != NULL) {
            found = true;
            rig->kind[i][0] = '\0';
        }
    }
    vf_unlock(&rig->lock);
    return found;
}

void rig_close(struct rig *rig)
{
    dxgk_close(rig->dxgk);
    rig->dxgk = NULL;
    for (unsigned i = 0; i < rig->events; i++) {
        if (strcmp(rig->kind[i], "contract") == 0)
            fail_msg("unexpected breach: %s", rig->text[i]);
    }
    vf_lock_fini(&rig->lock);
}

uint64_t rig_unproven(struct rig *rig, uint32_t adapter)
{
    struct vf_adapter_info info;
    struct vf_error error = VF_ERROR_INIT;

    if (dxgk_adapter_info(rig->dxgk, adapter, &info, &error) != 0)
        fail_msg("%s", error.text);
    return info.vram_unproven_bytes;
}

void rig_await_proven(struct rig *rig, uint32_t adapter)
{
    for (int i = 0; rig_unproven(rig, adapter) != 0; i++) {
        assert_true(i < 30000 * TEST_TOOL_FACTOR);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

uint64_t rig_create(struct rig *rig, const char *name, uint32_t adapter, uint64_t mib,
                    bool incoming)
{
    struct vf_partition_params params = {.adapter = adapter, .vram_bytes = mib << 20};
    struct vf_partition_info info = {0};
    struct vf_error error = VF_ERROR_INIT;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (dxgk_partition_create(rig->dxgk, &params, incoming, &info, &error) != 0)
        fail_msg("%s", error.text);
    return info.id;
}

/* ---- the guest ---- */

static void poke(struct rig *rig, uint64_t id, uint32_t bar, uint64_t at, const void *data,
                 uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;

    if (dxgk_partition_bar_write(rig->dxgk, id, bar, at, data, bytes, &error) != 0)
        fail_msg("%s", error.text);
}

static void poke64(struct rig *rig, uint64_t id, uint32_t bar, uint64_t at, uint64_t value)
{
    poke(rig, id, bar, at, &value, sizeof value);
}

void rig_start(struct rig *rig, uint64_t id, uint64_t vram_bytes, const struct sg_cmd *ring,
               size_t count)
{
    uint32_t start = 1;

    poke64(rig, id, SG_VF_BAR_VRAM, ROOT, MIDDLE | SG_PTE_VALID | SG_PTE_WRITE);
    for (uint64_t at = 0; at < vram_bytes; at += LARGE_PAGE)
        poke64(rig, id, SG_VF_BAR_VRAM, MIDDLE + at / LARGE_PAGE * 8,
               at | SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE);
    poke(rig, id, SG_VF_BAR_VRAM, RIG_RING, ring, count * sizeof *ring);
    poke64(rig, id, SG_VF_BAR_REGS, SG_VF_ROOT64, ROOT);
    poke64(rig, id, SG_VF_BAR_REGS, SG_VF_QUEUE(SG_QUEUE_COMPUTE) + SG_Q_IP64, RIG_RING);
    poke(rig, id, SG_VF_BAR_REGS, SG_VF_QUEUE(SG_QUEUE_COMPUTE) + SG_Q_CTRL, &start, sizeof start);
}

void rig_run(struct rig *rig, uint64_t id, uint64_t vram_bytes, uint64_t seed, uint64_t steps)
{
    uint64_t pages = (vram_bytes - RIG_HEAP) / 4096;
    const struct sg_cmd ring[] = {
        {.op = SG_OP_SCATTER, .a = {RIG_HEAP, pages, 4096, seed, RIG_COUNTER}},
        {.op = SG_OP_ADD, .a = {RIG_COUNTER, 1}},
        {.op = SG_OP_JUMP_IF,
         .flags = SG_COND_LT,
         .a = {RIG_COUNTER, steps != 0 ? steps : UINT64_MAX, RIG_RING}},
        {.op = SG_OP_INTERRUPT, .a = {0}},
        {.op = SG_OP_HALT},
    };

    rig_start(rig, id, vram_bytes, ring, sizeof ring / sizeof ring[0]);
}

uint64_t rig_counter(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t counter = 0;

    if (dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, RIG_COUNTER, &counter,
                                sizeof counter, &error) != 0)
        fail_msg("%s", error.text);
    return counter;
}

void rig_wait(struct rig *rig, uint64_t id, uint64_t steps)
{
    uint64_t deadline = vf_now_ns() + WAIT_NS, counter, before = 0;

    /* The counter in VRAM is all a guest shows of its progress: there is nothing to wait on
     * but looking. */
    while ((counter = rig_counter(rig, id)) < steps) {
        if (counter != before) /* slow is no failure, on a busy machine or under a sanitizer */
            deadline = vf_now_ns() + WAIT_NS;
        before = counter;
        if (vf_now_ns() > deadline)
            fail_msg("stands at step %" PRIu64 " of %" PRIu64, counter, steps);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

void rig_unmask(struct rig *rig, uint64_t id)
{
    uint32_t unmasked = 0;
    uint32_t data = 0x4021;

    poke64(rig, id, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE, 0xfee00000u);
    poke(rig, id, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE + 8, &data, sizeof data);
    poke(rig, id, SG_VF_BAR_REGS, SG_VF_MSIX_TABLE + 12, &unmasked, sizeof unmasked);
}

void rig_wait_pending(struct rig *rig, uint64_t id)
{
    uint64_t deadline = vf_now_ns() + WAIT_NS, pending = 0;
    struct vf_error error = VF_ERROR_INIT;

    while ((pending & 1) == 0) {
        if (dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_REGS, SG_VF_MSIX_PBA, &pending,
                                    sizeof pending, &error) != 0)
            fail_msg("%s", error.text);
        if (vf_now_ns() > deadline)
            fail_msg("no interrupt is pending");
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

void rig_wait_interrupts(struct rig *rig, uint64_t id, uint64_t count)
{
    uint64_t deadline = vf_now_ns() + WAIT_NS;
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_info info = {0};

    while (info.interrupts < count) {
        if (dxgk_partition_info(rig->dxgk, id, &info, &error) != 0)
            fail_msg("%s", error.text);
        if (vf_now_ns() > deadline)
            fail_msg("only %" PRIu64 " of %" PRIu64 " interrupts", info.interrupts, count);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

uint64_t rig_digest(struct rig *rig, uint64_t id, uint64_t vram_bytes)
{
    const uint64_t chunk = 1 << 20;
    void *buffer = malloc(chunk);
    XXH3_state_t *state = XXH3_createState();
    struct vf_error error = VF_ERROR_INIT;
    uint64_t digest;

    assert_non_null(buffer);
    assert_non_null(state);
    (void)XXH3_64bits_reset(state);
    for (uint64_t at = 0; at < vram_bytes; at += chunk) {
        if (dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_VRAM, at, buffer, chunk, &error) != 0)
            fail_msg("%s", error.text);
        (void)XXH3_64bits_update(state, buffer, chunk);
    }
    digest = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    free(buffer);
    return digest;
}
