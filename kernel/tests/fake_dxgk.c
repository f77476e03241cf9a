// SPDX-License-Identifier: Apache-2.0
/* See fake_dxgk.h. Keeps the rules of dxgk.h that the call interface leans on: unknown ids, states,
 * one job a slot. */
#include "kernel/tests/fake_dxgk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARTITIONS 64

struct partition {
    struct vf_partition_info info; /* id 0 = free */
    struct vf_partition_params params;
    unsigned char *vram;
    uint64_t *bits;
    unsigned channels;
};

struct dxgk_channel {
    struct dxgk *dxgk;
    struct partition *partition;
    struct dxgk_channel_config config;
    unsigned char *ring;
    int memfd;
    unsigned flying;
    uint64_t busy;
};

struct job {
    struct job *next;
    struct dxgk_channel *channel;
    enum dxgk_transfer op;
    uint32_t slot;
    uint32_t count;
    uint64_t cookie;
    uint64_t pages[];
};

struct dxgk {
    pthread_mutex_t lock; /* everything */
    pthread_cond_t changed;
    pthread_t worker;
    struct dxgk_config config;
    struct partition partition[PARTITIONS];
    uint64_t last_id;
    struct job *first;
    struct job **end;
    unsigned flying;
    bool hold;
    bool unsealable;
    bool stop;
};

static void enter(struct dxgk *dxgk)
{
    (void)pthread_mutex_lock(&dxgk->lock);
}

static int leave(struct dxgk *dxgk, int result)
{
    (void)pthread_mutex_unlock(&dxgk->lock);
    return result;
}

static struct partition *find(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    for (unsigned i = 0; id != 0 && i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == id)
            return &dxgk->partition[i];
    }
    (void)vf_fail(err, VF_FAILED, "no partition with id %llu", (unsigned long long)id);
    return NULL;
}

/* Found and entered, or NULL and not entered. */
static struct partition *enter_partition(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct partition *partition;

    enter(dxgk);
    partition = find(dxgk, id, err);
    if (partition == NULL)
        (void)leave(dxgk, -1);
    return partition;
}

static uint64_t pages_of(const struct partition *partition)
{
    return partition->info.vram_bytes / FAKE_PAGE;
}

static void run_job(const struct job *job)
{
    struct dxgk_channel *channel = job->channel;
    unsigned char *slot = channel->ring + job->slot * channel->config.slot_bytes;

    for (uint32_t i = 0; i < job->count; i++) {
        unsigned char *page = channel->partition->vram + job->pages[i] * FAKE_PAGE;

        if (job->op == DXGK_GATHER)
            memcpy(slot + (size_t)i * FAKE_PAGE, page, FAKE_PAGE);
        else if (job->op == DXGK_SCATTER)
            memcpy(page, slot + (size_t)i * FAKE_PAGE, FAKE_PAGE);
        else
            memset(page, 0, FAKE_PAGE);
    }
}

static void *worker(void *arg)
{
    struct dxgk *dxgk = arg;

    enter(dxgk);
    for (;;) {
        struct job *job = dxgk->first;
        struct dxgk_channel *channel;

        if (job == NULL && dxgk->stop)
            break;
        if (job == NULL || dxgk->hold) {
            (void)pthread_cond_wait(&dxgk->changed, &dxgk->lock);
            continue;
        }
        dxgk->first = job->next;
        if (dxgk->first == NULL)
            dxgk->end = &dxgk->first;
        channel = job->channel;
        run_job(job);
        channel->busy &= ~(1ull << job->slot);
        (void)leave(dxgk, 0);
        channel->config.done(channel->config.ctx, job->cookie, 0);
        enter(dxgk);
        free(job);
        channel->flying--;
        dxgk->flying--;
        (void)pthread_cond_broadcast(&dxgk->changed);
    }
    (void)leave(dxgk, 0);
    return NULL;
}

void fake_hold(struct dxgk *dxgk, bool hold)
{
    enter(dxgk);
    dxgk->hold = hold;
    (void)pthread_cond_broadcast(&dxgk->changed);
    (void)leave(dxgk, 0);
}

static unsigned channels_locked(const struct dxgk *dxgk)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PARTITIONS; i++)
        count += dxgk->partition[i].channels;
    return count;
}

unsigned fake_channels(struct dxgk *dxgk)
{
    unsigned count;

    enter(dxgk);
    count = channels_locked(dxgk);
    (void)leave(dxgk, 0);
    return count;
}

void fake_await_channels(struct dxgk *dxgk, unsigned channels)
{
    enter(dxgk);
    while (channels_locked(dxgk) != channels)
        (void)pthread_cond_wait(&dxgk->changed, &dxgk->lock);
    (void)leave(dxgk, 0);
}

void fake_await_flying(struct dxgk *dxgk, unsigned flying)
{
    enter(dxgk);
    while (dxgk->flying != flying)
        (void)pthread_cond_wait(&dxgk->changed, &dxgk->lock);
    (void)leave(dxgk, 0);
}

unsigned fake_flying(struct dxgk *dxgk)
{
    unsigned flying;

    enter(dxgk);
    flying = dxgk->flying;
    (void)leave(dxgk, 0);
    return flying;
}

void fake_event(struct dxgk *dxgk, const char *kind, const char *text)
{
    dxgk->config.event(dxgk->config.event_ctx, kind, text);
}

void fake_unsealable(struct dxgk *dxgk, bool unsealable)
{
    enter(dxgk);
    dxgk->unsealable = unsealable;
    (void)leave(dxgk, 0);
}

/* ---- dxgk.h ---- */

int dxgk_open(const struct dxgk_config *config, struct dxgk **out, struct vf_error *err)
{
    struct dxgk *dxgk = calloc(1, sizeof *dxgk);

    if (dxgk == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    dxgk->config = *config;
    dxgk->end = &dxgk->first;
    (void)pthread_mutex_init(&dxgk->lock, NULL);
    (void)pthread_cond_init(&dxgk->changed, NULL);
    if (pthread_create(&dxgk->worker, NULL, worker, dxgk) != 0) {
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
    enter(dxgk);
    dxgk->stop = true;
    (void)pthread_cond_broadcast(&dxgk->changed);
    (void)leave(dxgk, 0);
    (void)pthread_join(dxgk->worker, NULL);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id != 0)
            drop(&dxgk->partition[i]);
    }
    (void)pthread_cond_destroy(&dxgk->changed);
    (void)pthread_mutex_destroy(&dxgk->lock);
    free(dxgk);
}

size_t dxgk_adapter_count(const struct dxgk *dxgk)
{
    (void)dxgk;
    return 2;
}

int dxgk_adapter_info(struct dxgk *dxgk, uint32_t adapter, struct vf_adapter_info *out,
                      struct vf_error *err)
{
    (void)dxgk;
    if (adapter >= 2)
        return vf_fail(err, VF_FAILED, "no adapter %u", adapter);
    *out = (struct vf_adapter_info){.index = adapter,
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

    enter(dxgk);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == 0)
            partition = &dxgk->partition[i];
        else if (strcmp(dxgk->partition[i].info.name, params->name) == 0)
            return leave(dxgk, vf_fail(err, VF_INCOMPATIBLE, "partition %s exists", params->name));
    }
    if (partition == NULL || params->adapter >= 2 || params->vram_bytes == 0 ||
        params->vram_bytes % FAKE_PAGE != 0 || params->vram_bytes > 8ull << 30)
        return leave(dxgk, vf_fail(err, VF_USAGE, "partition %s cannot be", params->name));
    partition->vram = mmap(NULL, params->vram_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    partition->bits = calloc(params->vram_bytes / FAKE_PAGE / 64 + 1, 8);
    if (partition->vram == MAP_FAILED || partition->bits == NULL)
        return leave(dxgk, vf_fail(err, VF_FAILED, "out of memory"));
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
    return leave(dxgk, 0);
}

int dxgk_partition_destroy(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (partition->channels > 0)
        return leave(dxgk,
                     vf_fail(err, VF_FAILED, "partition is busy: a transfer channel is open"));
    drop(partition);
    return leave(dxgk, 0);
}

int dxgk_partition_info(struct dxgk *dxgk, uint64_t id, struct vf_partition_info *out,
                        struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = partition->info;
    return leave(dxgk, 0);
}

int dxgk_partition_list(struct dxgk *dxgk, struct vf_partition_info *out, size_t capacity,
                        size_t *count, struct vf_error *err)
{
    (void)err;
    *count = 0;
    enter(dxgk);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (dxgk->partition[i].info.id == 0)
            continue;
        if (*count < capacity)
            out[*count] = dxgk->partition[i].info;
        (*count)++;
    }
    return leave(dxgk, 0);
}

int dxgk_partition_params(struct dxgk *dxgk, uint64_t id, struct vf_partition_params *out,
                          struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = partition->params;
    return leave(dxgk, 0);
}

static int move_state(struct dxgk *dxgk, uint64_t id, enum vf_partition_state from,
                      enum vf_partition_state to, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (partition->info.state != (uint32_t)from)
        return leave(dxgk, vf_fail_status(err, VF_FAILED, (int32_t)0xc0000184u, "partition is %s",
                                          vf_partition_state_name(
                                              (enum vf_partition_state)partition->info.state)));
    partition->info.state = (uint32_t)to;
    return leave(dxgk, 0);
}

int dxgk_partition_pause(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_RUNNING, VF_PARTITION_PAUSED, err);
}

int dxgk_partition_resume(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_PAUSED, VF_PARTITION_RUNNING, err);
}

int dxgk_partition_clock(struct dxgk *dxgk, uint64_t id, struct vf_partition_clock *out,
                         struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    *out = (struct vf_partition_clock){11, 22, 33};
    return leave(dxgk, 0);
}

int dxgk_partition_set_epoch(struct dxgk *dxgk, uint64_t id, uint64_t epoch, struct vf_error *err)
{
    struct partition *partition = enter_partition(dxgk, id, err);

    if (partition == NULL)
        return -1;
    if (epoch < partition->info.epoch)
        return leave(dxgk, vf_fail(err, VF_FAILED, "epochs only grow"));
    partition->info.epoch = epoch;
    return leave(dxgk, 0);
}

static unsigned char *bar_range(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                                uint64_t bytes, bool write, struct vf_error *err)
{
    struct partition *partition = find(dxgk, id, err);

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

    enter(dxgk);
    at = bar_range(dxgk, id, bar, offset, bytes, false, err);
    if (at != NULL)
        memcpy(data, at, bytes);
    return leave(dxgk, at != NULL ? 0 : -1);
}

int dxgk_partition_bar_write(struct dxgk *dxgk, uint64_t id, uint32_t bar, uint64_t offset,
                             const void *data, uint64_t bytes, struct vf_error *err)
{
    unsigned char *at;

    enter(dxgk);
    at = bar_range(dxgk, id, bar, offset, bytes, true, err);
    if (at != NULL)
        memcpy(at, data, bytes);
    return leave(dxgk, at != NULL ? 0 : -1);
}

int dxgk_migration_prepare(struct dxgk *dxgk, uint64_t id, enum dxgk_side side, uint64_t job,
                           struct vf_error *err)
{
    int result = side == DXGK_SOURCE
                     ? move_state(dxgk, id, VF_PARTITION_RUNNING, VF_PARTITION_OUTGOING, err)
                     : move_state(dxgk, id, VF_PARTITION_INCOMING, VF_PARTITION_INCOMING, err);

    enter(dxgk);
    if (result == 0)
        find(dxgk, id, err)->info.job = job;
    return leave(dxgk, result);
}

static bool exists(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return enter_partition(dxgk, id, err) != NULL && leave(dxgk, 0) == 0;
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
    bytes = (size_t)(pages_of(partition) + 7) / 8;
    if (bits_bytes < bytes)
        return leave(dxgk, vf_fail(err, VF_USAGE, "too little room"));
    *dirty = 0;
    for (uint64_t page = 0; page < pages_of(partition); page++)
        *dirty += partition->bits[page / 64] >> page % 64 & 1;
    memcpy(bits, partition->bits, bytes);
    memset(partition->bits, 0, bytes);
    return leave(dxgk, 0);
}

int dxgk_migration_save_mutable(struct dxgk *dxgk, uint64_t id, struct dxgk_blob *kmd,
                                struct dxgk_blob *msix, struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    fill(kmd, VF_MAX_MIGRATION_BLOB, 3);
    *msix = (struct dxgk_blob){NULL, 0};
    return 0;
}

int dxgk_migration_restore_mutable(struct dxgk *dxgk, uint64_t id, const struct dxgk_blob *kmd,
                                   const struct dxgk_blob *msix, struct vf_error *err)
{
    if (!exists(dxgk, id, err))
        return -1;
    if (!same(kmd, VF_MAX_MIGRATION_BLOB, 3) || msix->bytes != 0)
        return vf_fail(err, VF_FAILED, "other mutable data");
    return 0;
}

int dxgk_migration_end(struct dxgk *dxgk, uint64_t id, struct vf_error *err)
{
    return move_state(dxgk, id, VF_PARTITION_OUTGOING, VF_PARTITION_RUNNING, err);
}

int dxgk_channel_open(struct dxgk *dxgk, uint64_t id, const struct dxgk_channel_config *config,
                      struct dxgk_channel **out, int *memfd, struct vf_error *err)
{
    struct dxgk_channel *channel = calloc(1, sizeof *channel);
    size_t bytes = config->slots * config->slot_bytes;

    if (channel == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    enter(dxgk);
    channel->dxgk = dxgk;
    channel->config = *config;
    channel->partition = find(dxgk, id, err);
    if (channel->partition == NULL) {
        free(channel);
        return leave(dxgk, -1);
    }
    channel->memfd = memfd_create("fake", MFD_CLOEXEC | (dxgk->unsealable ? 0 : MFD_ALLOW_SEALING));
    if (channel->memfd < 0 || ftruncate(channel->memfd, (off_t)bytes) != 0)
        abort();
    channel->ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, channel->memfd, 0);
    if (channel->ring == MAP_FAILED)
        abort();
    channel->partition->channels++;
    *memfd = channel->memfd;
    *out = channel;
    return leave(dxgk, 0);
}

void dxgk_channel_close(struct dxgk_channel *channel)
{
    struct dxgk *dxgk = channel->dxgk;

    enter(dxgk);
    while (channel->flying > 0)
        (void)pthread_cond_wait(&dxgk->changed, &dxgk->lock);
    channel->partition->channels--;
    (void)pthread_cond_broadcast(&dxgk->changed);
    (void)leave(dxgk, 0);
    (void)munmap(channel->ring, channel->config.slots * channel->config.slot_bytes);
    (void)close(channel->memfd);
    free(channel);
}

int dxgk_channel_submit(struct dxgk_channel *channel, enum dxgk_transfer op, uint32_t slot,
                        const uint64_t *pages, uint32_t count, uint64_t cookie,
                        struct vf_error *err)
{
    struct dxgk *dxgk = channel->dxgk;
    struct job *job = calloc(1, sizeof *job + count * sizeof *pages);

    if (job == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    *job = (struct job){NULL, channel, op, slot, count, cookie};
    memcpy(job->pages, pages, count * sizeof *pages);
    enter(dxgk);
    for (uint32_t i = 0; i < count; i++) {
        if (pages[i] >= pages_of(channel->partition)) {
            free(job);
            return leave(dxgk,
                         vf_fail(err, VF_USAGE, "no page %llu", (unsigned long long)pages[i]));
        }
    }
    if ((channel->busy & (1ull << slot)) != 0)
        abort(); /* the server must not let this happen */
    channel->busy |= 1ull << slot;
    channel->flying++;
    dxgk->flying++;
    *dxgk->end = job;
    dxgk->end = &job->next;
    (void)pthread_cond_broadcast(&dxgk->changed);
    return leave(dxgk, 0);
}
