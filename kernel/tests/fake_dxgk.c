// SPDX-License-Identifier: Apache-2.0
/* See fake_dxgk.h: partitions. Keeps the rules of dxgk.h that the call interface leans on. */
#include "kernel/tests/fake_impl.h"

#include "base/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

void fake_enter(struct dxgk *dxgk)
{
    vf_lock(&dxgk->lock);
}

int fake_leave(struct dxgk *dxgk, int result)
{
    vf_unlock(&dxgk->lock);
    return result;
}

struct partition *fake_find(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    for (unsigned i = 0; id != 0 && i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == id)
            return &dxgk->partition[i];
    }
    (void)vf_fail(err, VF_FAILED, "no partition with id %" PRIu64, id);
    return NULL;
}

/* Found and entered, or NULL and not entered. */
static struct partition *enter_partition(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct partition *partition;

    fake_enter(dxgk);
    partition = fake_find(dxgk, id, err);
    if (partition == NULL)
        (void)fake_leave(dxgk, -1);
    return partition;
}

uint64_t fake_pages(const struct partition *partition)
{
    return partition->info.vram_bytes / FAKE_PAGE;
}

/* ---- dxgk.h ---- */

int dxgk_open(const struct dxgk_config *config, struct dxgk **out, struct vf_error *err)
{
    struct dxgk *dxgk = calloc(1, sizeof *dxgk);

    if (dxgk == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    dxgk->config = *config;
    dxgk->end = &dxgk->first;
    vf_lock_init(&dxgk->lock);
    vf_cond_init(&dxgk->changed);
    if (pthread_create(&dxgk->worker, NULL, fake_worker, dxgk) != 0) {
        free(dxgk);
        return vf_fail(err, VF_FAILED, "no thread");
    }
    *out = dxgk;
    return 0;
}

static void drop(struct partition *partition)
{
    (void)munmap(partition->vram, partition->info.vram_bytes);
    free(partition->bits);
    *partition = (struct partition){0};
}

void dxgk_close(struct dxgk *dxgk)
{
    fake_enter(dxgk);
    dxgk->stop = true;
    vf_cond_broadcast(&dxgk->changed);
    (void)fake_leave(dxgk, 0);
    (void)pthread_join(dxgk->worker, NULL);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id != 0)
            drop(&dxgk->partition[i]);
    }
    vf_cond_fini(&dxgk->changed);
    vf_lock_fini(&dxgk->lock);
    free(dxgk);
}

size_t dxgk_adapter_count(const struct dxgk *dxgk)
{
    (void)dxgk;
    return 2;
}

void dxgk_longest_call(struct dxgk_driver_call *out)
{
    *out = (struct dxgk_driver_call){
        .ns = 5, .adapter = 1, .ddi = "DxgkDdiStopDevice", .driver = "/fake.so"};
}

static _Thread_local uint32_t serves;

void dxgk_serve(uint32_t connection)
{
    serves = connection;
}

/* As if whoever asks waited himself. */
size_t dxgk_waiters(struct dxgk_waiter *out, size_t capacity)
{
    if (capacity == 0)
        return 0;
    *out = (struct dxgk_waiter){.connection = serves, .partition = "p"};
    dxgk_longest_call(&out->call);
    return 1;
}

int dxgk_driver_info(struct dxgk *dxgk, uint32_t index, struct vf_driver_info *out,
                     struct vf_error *err)
{
    (void)dxgk;
    if (index >= 2)
        return vf_fail(err, VF_FAILED, "no adapter %u", index);
    *out = (struct vf_driver_info){.adapter = index, .updates = 3, .shared = 3};
    (void)snprintf(out->path, sizeof out->path, "/old.so");
    return 0;
}

int dxgk_driver_update(struct dxgk *dxgk, uint32_t adapter, const char *path, bool dry_run,
                       struct vf_driver_update *out, struct vf_error *err)
{
    (void)dxgk;
    *out = (struct vf_driver_update){.adapters = 1u << adapter, .blocks = 7, .dry_run = dry_run};
    (void)snprintf(out->after, sizeof out->after, "%s", path);
    if (strcmp(path, "/bad.so") != 0)
        return 0;
    out->rolled_back = true;
    return vf_fail(err, VF_FAILED, "the old driver is back");
}

int dxgk_defrag(struct dxgk *dxgk, uint32_t index, bool dry_run, struct vf_defrag *out,
                struct vf_error *err)
{
    (void)dxgk;
    *out = (struct vf_defrag){.adapter = index, .count = 1, .dry_run = dry_run};
    (void)snprintf(out->moves[0].partition, sizeof out->moves[0].partition, "p");
    out->moves[0].outcome = index == 0 ? VF_DEFRAG_MOVED : VF_DEFRAG_FAILED;
    return index == 0 ? 0 : vf_fail(err, VF_FAILED, "p could not be moved");
}

int dxgk_adapter_info(struct dxgk *dxgk, uint32_t index, struct vf_adapter_info *out,
                      struct vf_error *err)
{
    (void)dxgk;
    if (index >= 2)
        return vf_fail(err, VF_FAILED, "no adapter %u", index);
    *out = (struct vf_adapter_info){.index = index,
                                    .vf_count = PARTITIONS,
                                    .dirty_page_bytes = FAKE_PAGE,
                                    .live_migration = true};
    (void)snprintf(out->description, sizeof out->description, "fake");
    return 0;
}

int dxgk_partition_create(struct dxgk *dxgk, const struct vf_partition_params *params,
                          bool incoming, struct vf_partition_info *out, struct vf_error *err)
{
    struct partition *partition = NULL;

    fake_enter(dxgk);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == 0)
            partition = &dxgk->partition[i];
        else if (strcmp(dxgk->partition[i].info.name, params->name) == 0)
            return fake_leave(dxgk,
                              vf_fail(err, VF_INCOMPATIBLE, "partition %s exists", params->name));
    }
    if (partition == NULL || params->adapter >= 2 || params->vram_bytes == 0 ||
        params->vram_bytes % FAKE_PAGE != 0 || params->vram_bytes > 8ull << 30)
        return fake_leave(dxgk, vf_fail(err, VF_USAGE, "partition %s cannot be", params->name));
    partition->vram = mmap(NULL, params->vram_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    partition->bits = calloc(params->vram_bytes / FAKE_PAGE / 64 + 1, 8);
    if (partition->vram == MAP_FAILED || partition->bits == NULL)
        return fake_leave(dxgk, vf_fail(err, VF_FAILED, "out of memory"));
    partition->params = *params;
    partition->info = (struct vf_partition_info){.id = ++dxgk->last_id,
                                                 .adapter = params->adapter,
                                                 .vram_bytes = params->vram_bytes,
                                                 .page_bytes = FAKE_PAGE,
                                                 .epoch = params->epoch,
                                                 .state = incoming ? VF_PARTITION_INCOMING
                                                                   : VF_PARTITION_RUNNING};
    memcpy(partition->info.name, params->name, sizeof params->name);
    memcpy(partition->info.uuid, params->uuid, sizeof params->uuid);
    *out = partition->info;
    return fake_leave(dxgk, 0);
}

static bool held(struct dxgk *dxgk)
{
    bool hold;

    fake_enter(dxgk);
    hold = dxgk->hold;
    return fake_leave(dxgk, 0) == 0 && hold;
}

void fake_await_filling(struct dxgk *dxgk)
{
    fake_enter(dxgk);
    while (!dxgk->filling)
        vf_cond_wait(&dxgk->changed, &dxgk->lock);
    (void)fake_leave(dxgk, 0);
}

int dxgk_partition_await(struct dxgk *dxgk, const struct vf_partition_params *params,
                         const struct dxgk_wanted *wanted, struct vf_partition_info *out,
                         struct vf_error *err)
{
    static const struct timespec piece = {.tv_nsec = 1000000};

    while (held(dxgk)) {
        fake_enter(dxgk);
        dxgk->filling = true;
        vf_cond_broadcast(&dxgk->changed);
        (void)fake_leave(dxgk, 0);
        if (!wanted->ask(wanted->ctx))
            return vf_fail(err, VF_CANCELLED, "not wanted any more");
        (void)nanosleep(&piece, NULL);
    }
    return dxgk_partition_create(dxgk, params, true, out, err);
}

int dxgk_partition_destroy(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (partition->channels > 0)
        return fake_leave(dxgk,
                          vf_fail(err, VF_FAILED, "partition is busy: a transfer channel is open"));
    drop(partition);
    return fake_leave(dxgk, 0);
}

int dxgk_partition_info(struct dxgk *dxgk, uint64_t id, struct vf_partition_info *out,
                        struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = partition->info;
    return fake_leave(dxgk, 0);
}

int dxgk_partition_list(struct dxgk *dxgk, struct vf_partition_info *out, size_t capacity,
                        size_t *count, struct vf_error *err)
{
    (void)err;
    *count = 0;
    fake_enter(dxgk);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == 0)
            continue;
        if (*count < capacity)
            out[*count] = dxgk->partition[i].info;
        (*count)++;
    }
    return fake_leave(dxgk, 0);
}

int dxgk_partition_params(struct dxgk *dxgk, uint64_t id, struct vf_partition_params *out,
                          struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = partition->params;
    return fake_leave(dxgk, 0);
}

static int move_state(struct dxgk *dxgk, uint64_t id, enum vf_partition_state from,
                      enum vf_partition_state to, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (partition->info.state != (uint32_t)from)
        return fake_leave(
            dxgk, vf_fail_status(
                      err, VF_FAILED, (int32_t)0xc0000184u, "partition is %s",
                      vf_partition_state_name((enum vf_partition_state)partition->info.state)));
    partition->info.state = (uint32_t)to;
    return fake_leave(dxgk, 0);
}

int dxgk_partition_pause(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_RUNNING, VF_PARTITION_PAUSED, err);
}

int dxgk_partition_resume(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_PAUSED, VF_PARTITION_RUNNING, err);
}

static bool exists(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return enter_partition(dxgk, id, err) != NULL && fake_leave(dxgk, 0) == 0;
}

int dxgk_partition_watch(struct dxgk *dxgk, uint64_t id, int *fd, struct vf_error *err)
{
    *fd = -1;
    if (!exists(dxgk, id, err))
        return -1;
    *fd = eventfd(1, EFD_CLOEXEC);
    return *fd >= 0 ? 0 : vf_fail(err, VF_FAILED, "no descriptor");
}

int dxgk_partition_reset(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return exists(dxgk, id, err) ? 0 : -1;
}

int dxgk_partition_clock(struct dxgk *dxgk, uint64_t id, struct vf_partition_clock *out,
                         struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = (struct vf_partition_clock){11, 22, 33};
    return fake_leave(dxgk, 0);
}

int dxgk_partition_throttle(struct dxgk *dxgk, uint64_t id, uint32_t percent, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    partition->info.throttle_percent = percent;
    return fake_leave(dxgk, 0);
}

int dxgk_partition_set_epoch(struct dxgk *dxgk, uint64_t id, uint64_t epoch, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (epoch < partition->info.epoch)
        return fake_leave(dxgk, vf_fail(err, VF_FAILED, "epochs only grow"));
    partition->info.epoch = epoch;
    return fake_leave(dxgk, 0);
}

static unsigned char *bar_range(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                                uint64_t bytes, bool write, struct vf_error *err)
{
    struct partition *partition = fake_find(dxgk, id, err);

    if (partition == NULL)
        return NULL;
    if (bar != FAKE_VRAM_BAR || offset > partition->info.vram_bytes ||
        bytes > partition->info.vram_bytes - offset) {
        (void)vf_fail(err, VF_USAGE, "outside the BAR");
        return NULL;
    }
    for (uint64_t page = offset / FAKE_PAGE; write && page <= (offset + bytes - 1) / FAKE_PAGE;
         page++)
        partition->bits[page / 64] |= 1ull << page % 64;
    return partition->vram + offset;
}

int dxgk_partition_bar_read(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                            void *data, uint64_t bytes, struct vf_error *err)
{
    unsigned char *at;

    fake_enter(dxgk);
    at = bar_range(dxgk, id, bar, offset, bytes, false, err);
    if (at != NULL)
        memcpy(data, at, bytes);
    return fake_leave(dxgk, at != NULL ? 0 : -1);
}

int dxgk_partition_bar_write(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                             const void *data, uint64_t bytes, struct vf_error *err)
{
    unsigned char *at;

    fake_enter(dxgk);
    at = bar_range(dxgk, id, bar, offset, bytes, true, err);
    if (at != NULL)
        memcpy(at, data, bytes);
    return fake_leave(dxgk, at != NULL ? 0 : -1);
}

int dxgk_migration_prepare(struct dxgk *dxgk, uint64_t id, enum dxgk_side side, uint64_t job,
                           struct vf_error *err)
{
    int result = side == DXGK_SOURCE
                     ? move_state(dxgk, id, VF_PARTITION_RUNNING, VF_PARTITION_OUTGOING, err)
                     : move_state(dxgk, id, VF_PARTITION_INCOMING, VF_PARTITION_INCOMING, err);

    fake_enter(dxgk);
    if (result == 0)
        fake_find(dxgk, id, err)->info.job = job;
    return fake_leave(dxgk, result);
}

static void fill(struct dxgk_blob *blob, size_t bytes, unsigned seed)
{
    unsigned char *data = malloc(bytes);

    *blob = (struct dxgk_blob){data, data != NULL ? bytes : 0};
    for (size_t i = 0; i < blob->bytes; i++)
        data[i] = (unsigned char)(i * 7 + i / 251 + seed);
}

static bool same(const struct dxgk_blob *blob, size_t bytes, unsigned seed)
{
    struct dxgk_blob expected;
    bool equal;

    fill(&expected, bytes, seed);
    equal = blob->bytes == bytes && memcmp(blob->data, expected.data, bytes) == 0;
    free(expected.data);
    return equal;
}

int dxgk_migration_save_immutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                  struct dxgk_blob *umed, struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    fill(kmd, FAKE_KMD_BYTES, 1);
    fill(umed, FAKE_UMED_BYTES, 2);
    return 0;
}

int dxgk_migration_restore_immutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                     const struct dxgk_blob *umed, struct vf_reasons *reasons,
                                     struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    if (same(kmd, FAKE_KMD_BYTES, 1) && same(umed, FAKE_UMED_BYTES, 2))
        return 0;
    vf_reason_add(reasons, "firmware", "1.2", "1.1", "update it");
    vf_reason_add(reasons, "driver", "7", "6", "hot update");
    return vf_fail_status(err, VF_INCOMPATIBLE, (int32_t)0xc0000024u, "restore");
}

int dxgk_migration_query_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                               uint64_t *dirty, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);
    size_t bytes;

    if (partition == NULL)
        return -1;
    bytes = (size_t)(fake_pages(partition) + 7) / 8;
    if (bits_bytes < bytes)
        return fake_leave(dxgk, vf_fail(err, VF_USAGE, "too little room"));
    *dirty = 0;
    for (uint64_t page = 0; page < fake_pages(partition); page++)
        *dirty += partition->bits[page / 64] >> page % 64 & 1;
    memcpy(bits, partition->bits, bytes);
    memset(partition->bits, 0, bytes);
    return fake_leave(dxgk, 0);
}

int dxgk_partition_sample_dirty(struct dxgk *dxgk, uint64_t id, void *bits, size_t bits_bytes,
                                struct dxgk_sample *sample, struct vf_error *err)
{
    *sample = (struct dxgk_sample){.touched = 3};
    return dxgk_migration_query_dirty(dxgk, id, bits, bits_bytes, &sample->dirty, err);
}

int dxgk_migration_save_mutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                struct dxgk_blob *msix, struct dxgk_blob *umed,
                                struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    fill(kmd, VF_MAX_MIGRATION_BLOB, 3);
    *msix = (struct dxgk_blob){NULL, 0};
    fill(umed, FAKE_UMED_BYTES, 4);
    return 0;
}

int dxgk_migration_restore_mutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                   const struct dxgk_blob *msix, const struct dxgk_blob *umed,
                                   struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    if (!same(kmd, VF_MAX_MIGRATION_BLOB, 3) || msix->bytes != 0 ||
        (umed->bytes != 0 && !same(umed, FAKE_UMED_BYTES, 4)))
        return vf_fail(err, VF_FAILED, "other mutable data");
    return 0;
}

int dxgk_migration_end(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_OUTGOING, VF_PARTITION_RUNNING, err);
}
