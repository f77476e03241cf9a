// SPDX-License-Identifier: Apache-2.0
/* See fake_dxgk.h: page channels, the thread behind them, and what tests hold and watch. */
#include "kernel/tests/fake_impl.h"

#include "base/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void run_job(const struct job *job)
{
    struct dxgk_channel *channel = job->channel;
    unsigned char *slot = channel->ring + job->slot * channel->config.slot_bytes;

    for (uint32_t i = 0; i < job->count; i++) {
        unsigned char *page = channel->partition->vram + job->pages[i] * FAKE_PAGE;

        if (job->op == DXGK_GATHER)
            memcpy(slot + (size_t)i * FAKE_PAGE, page, FAKE_PAGE);
        else if (job->op == DXGK_SCATTER || job->op == DXGK_SCATTER_READ)
            memcpy(page, slot + (size_t)i * FAKE_PAGE, FAKE_PAGE);
        else
            memset(page, 0, FAKE_PAGE);
        if (job->op == DXGK_SCATTER_READ)
            memcpy(slot + channel->config.slot_bytes + (size_t)i * FAKE_PAGE, page, FAKE_PAGE);
    }
}

void *fake_worker(void *arg)
{
    struct dxgk *dxgk = arg;

    fake_enter(dxgk);
    for (;;) {
        struct job *job = dxgk->first;
        struct dxgk_channel *channel;

        if (job == NULL && dxgk->stop)
            break;
        if (job == NULL || dxgk->hold) {
            vf_cond_wait(&dxgk->changed, &dxgk->lock);
            continue;
        }
        dxgk->first = job->next;
        if (dxgk->first == NULL)
            dxgk->end = &dxgk->first;
        channel = job->channel;
        run_job(job);
        channel->busy &= ~(1ull << job->slot);
        (void)fake_leave(dxgk, 0);
        channel->config.done(channel->config.ctx, job->cookie, 0);
        fake_enter(dxgk);
        free(job);
        channel->flying--;
        dxgk->flying--;
        vf_cond_broadcast(&dxgk->changed);
    }
    (void)fake_leave(dxgk, 0);
    return NULL;
}

void fake_hold(struct dxgk *dxgk, bool hold)
{
    fake_enter(dxgk);
    dxgk->hold = hold;
    vf_cond_broadcast(&dxgk->changed);
    (void)fake_leave(dxgk, 0);
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

    fake_enter(dxgk);
    count = channels_locked(dxgk);
    (void)fake_leave(dxgk, 0);
    return count;
}

void fake_await_channels(struct dxgk *dxgk, unsigned channels)
{
    fake_enter(dxgk);
    while (channels_locked(dxgk) != channels)
        vf_cond_wait(&dxgk->changed, &dxgk->lock);
    (void)fake_leave(dxgk, 0);
}

void fake_await_flying(struct dxgk *dxgk, unsigned flying)
{
    fake_enter(dxgk);
    while (dxgk->flying != flying)
        vf_cond_wait(&dxgk->changed, &dxgk->lock);
    (void)fake_leave(dxgk, 0);
}

unsigned fake_flying(struct dxgk *dxgk)
{
    unsigned flying;

    fake_enter(dxgk);
    flying = dxgk->flying;
    (void)fake_leave(dxgk, 0);
    return flying;
}

void fake_event(struct dxgk *dxgk, const char *kind, const char *text)
{
    dxgk->config.event(dxgk->config.event_ctx, kind, text);
}

void fake_unsealable(struct dxgk *dxgk, bool unsealable)
{
    fake_enter(dxgk);
    dxgk->unsealable = unsealable;
    (void)fake_leave(dxgk, 0);
}

/* ---- dxgk.h ---- */

int dxgk_channel_open(struct dxgk *dxgk, uint64_t id, const struct dxgk_channel_config *config,
                      struct dxgk_channel **out, int *memfd, struct vf_error *err)
{
    struct dxgk_channel *channel = calloc(1, sizeof *channel);
    size_t bytes = config->slots * config->slot_bytes;

    if (channel == NULL)
        return vf_fail(err, VF_FAILED, "out of memory");
    fake_enter(dxgk);
    channel->dxgk = dxgk;
    channel->config = *config;
    channel->partition = fake_find(dxgk, id, err);
    if (channel->partition == NULL) {
        free(channel);
        return fake_leave(dxgk, -1);
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
    return fake_leave(dxgk, 0);
}

void dxgk_channel_close(struct dxgk_channel *channel)
{
    struct dxgk *dxgk = channel->dxgk;

    fake_enter(dxgk);
    while (channel->flying > 0)
        vf_cond_wait(&dxgk->changed, &dxgk->lock);
    channel->partition->channels--;
    vf_cond_broadcast(&dxgk->changed);
    (void)fake_leave(dxgk, 0);
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
    fake_enter(dxgk);
    for (uint32_t i = 0; i < count; i++) {
        if (pages[i] >= fake_pages(channel->partition)) {
            free(job);
            return fake_leave(dxgk, vf_fail(err, VF_USAGE, "no page %" PRIu64, pages[i]));
        }
    }
    if ((channel->busy & (1ull << slot)) != 0)
        abort(); /* the server must not let this happen */
    channel->busy |= 1ull << slot;
    channel->flying++;
    dxgk->flying++;
    *dxgk->end = job;
    dxgk->end = &job->next;
    vf_cond_broadcast(&dxgk->changed);
    return fake_leave(dxgk, 0);
}
