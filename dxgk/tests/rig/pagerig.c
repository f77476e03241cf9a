// SPDX-License-Identifier: Apache-2.0
/* See pagerig.h. */
#include "dxgk/tests/rig/pagerig.h"

#include "base/clock.h"
#include "base/thread.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

static void on_event(void *ctx, const char *kind, const char *text)
{
    struct rig *rig = ctx;

    if (strcmp(kind, "paging-fault") == 0)
        (void)atomic_fetch_add(&rig->faults, 1);
    if (strcmp(kind, "contract") != 0)
        return;
    vf_lock(&rig->lock);
    (void)snprintf(rig->last, sizeof rig->last, "%s", text);
    vf_unlock(&rig->lock);
    (void)atomic_fetch_add(&rig->contract, 1);
}

static const char *directory(const char *variable)
{
    const char *value = getenv(variable);

    if (value == NULL)
        fail_msg("%s is not set; run through meson test", variable);
    return value;
}

void rig_open(struct rig *rig, const char *spec)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *specs[] = {spec};

    memset(rig, 0, sizeof *rig);
    vf_lock_init(&rig->lock);
    struct dxgk_config config = {.devices = specs,
                                 .device_count = 1,
                                 .device_dir = directory("VF_DEVICE_DIR"),
                                 .driver_dir = directory("VF_DRIVER_DIR"),
                                 .event = on_event,
                                 .event_ctx = rig};
    if (dxgk_open(&config, &rig->dxgk, &err) != 0)
        fail_msg("%s", err.text);
    rig->adapter = rig->dxgk->adapters[0];
}

void rig_close(struct rig *rig)
{
    dxgk_close(rig->dxgk);
    vf_lock_fini(&rig->lock);
}

uint64_t rig_partition(struct rig *rig, const char *name, uint64_t bytes, bool incoming)
{
    struct vf_partition_params params = {.vram_bytes = bytes};
    struct vf_partition_info info;
    struct vf_error err = VF_ERROR_INIT;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (dxgk_partition_create(rig->dxgk, &params, incoming, &info, &err) != 0)
        fail_msg("%s", err.text);
    return info.id;
}

struct dxgk_partition *rig_inside(struct rig *rig, uint64_t id)
{
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_partition *partition = dxgk_partition_get(rig->dxgk, id, &err);

    assert_non_null(partition);
    dxgk_partition_put(partition); /* the table's reference keeps it */
    return partition;
}

static void on_done(void *ctx, uint64_t cookie, int status)
{
    struct rig_channel *channel = ctx;

    vf_lock(&channel->lock);
    channel->done[cookie] = true;
    channel->status[cookie] = status;
    vf_cond_broadcast(&channel->cond);
    vf_unlock(&channel->lock);
}

void rig_channel_open(struct rig *rig, uint64_t id, uint64_t slot_bytes, struct rig_channel *out)
{
    rig_channel_open_pages(rig, id, slot_bytes, 0, out);
}

void rig_channel_open_pages(struct rig *rig, uint64_t id, uint64_t slot_bytes, uint64_t page_bytes,
                            struct rig_channel *out)
{
    struct dxgk_channel_config config = {.slots = RIG_SLOTS,
                                         .slot_bytes = slot_bytes,
                                         .page_bytes = page_bytes,
                                         .done = on_done,
                                         .ctx = out};
    struct vf_error err = VF_ERROR_INIT;
    int fd;

    memset(out, 0, sizeof *out);
    vf_lock_init(&out->lock);
    vf_cond_init(&out->cond);
    out->slot_bytes = slot_bytes;
    if (dxgk_channel_open(rig->dxgk, id, &config, &out->channel, &fd, &err) != 0)
        fail_msg("%s", err.text);
    out->memory = mmap(NULL, RIG_SLOTS * slot_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(out->memory, MAP_FAILED);
}

void rig_channel_close(struct rig_channel *channel)
{
    dxgk_channel_close(channel->channel);
    assert_int_equal(munmap(channel->memory, RIG_SLOTS * channel->slot_bytes), 0);
    vf_lock_fini(&channel->lock);
    vf_cond_fini(&channel->cond);
}

void rig_submit(struct rig_channel *channel, enum dxgk_transfer op, uint32_t slot,
                const uint64_t *pages, uint32_t count)
{
    struct vf_error err = VF_ERROR_INIT;

    vf_lock(&channel->lock);
    channel->done[slot] = false;
    vf_unlock(&channel->lock);
    if (dxgk_channel_submit(channel->channel, op, slot, pages, count, slot, &err) != 0)
        fail_msg("%s", err.text);
}

int rig_wait(struct rig_channel *channel, uint32_t slot)
{
    const uint64_t until_ns = vf_now_ns() + 60000000000ull;

    vf_lock(&channel->lock);
    while (!channel->done[slot] && vf_cond_wait_until(&channel->cond, &channel->lock, until_ns))
        continue;
    bool done = channel->done[slot];
    int status = channel->status[slot];
    vf_unlock(&channel->lock);
    assert_true(done);
    return status;
}

uint8_t *rig_slot(const struct rig_channel *channel, uint32_t slot)
{
    return channel->memory + slot * channel->slot_bytes;
}

uint64_t rig_seed(const char *test)
{
    const char *given = getenv("VFERRY_SEED");
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
                                  : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    print_message("# %s: VFERRY_SEED=0x%" PRIx64 "\n", test, seed);
    return seed;
}

uint64_t rig_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

void rig_pick_pages(uint64_t *state, uint64_t total, uint64_t *pages, uint32_t count)
{
    uint64_t *all = malloc(total * sizeof *all);

    assert_non_null(all);
    for (uint64_t i = 0; i < total; i++)
        all[i] = i;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t j = i + rig_random(state) % (total - i), page = all[j];

        all[j] = all[i];
        all[i] = page;
        pages[i] = page;
    }
    free(all);
}
