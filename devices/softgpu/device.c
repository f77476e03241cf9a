// SPDX-License-Identifier: Apache-2.0
/* The card as the host sees it: opening, closing, and the operations of vferry/device.h. */
#include "softgpu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* vf_device_ops speaks of struct vf_device; ours is the same object. */
static struct sg_device *own(struct vf_device *dev)
{
    return (struct sg_device *)(void *)dev;
}

static void say(const struct sg_device *dev, enum vf_device_log level, const char *text)
{
    if (dev->host && dev->host->log)
        dev->host->log(dev->host->ctx, level, text);
}

static int start_threads(struct sg_device *dev, unsigned *started)
{
    int rc;

    for (*started = 0; *started < SG_QUEUES; ++*started) {
        struct sg_engine *e = &dev->engine[*started];

        rc = pthread_create(&e->thread, NULL, sg_engine_main, e);
        if (rc)
            return -rc;
    }
    rc = pthread_create(&dev->paging.thread, NULL, sg_paging_main, dev);
    if (rc)
        return -rc;
    ++*started;
    return 0;
}

static void stop_threads(struct sg_device *dev, unsigned started)
{
    pthread_mutex_lock(&dev->lock);
    dev->stop = true;
    for (uint32_t i = 0; i < dev->options.vfs; i++)
        for (unsigned q = 0; q < SG_QUEUES; q++)
            atomic_store(&dev->vf[i].queue[q].x.preempt, true);
    atomic_store(&dev->paging.x.preempt, true);
    sg_engines_kick(dev);
    pthread_cond_broadcast(&dev->paging.wake);
    pthread_mutex_unlock(&dev->lock);
    for (unsigned i = 0; i < SG_QUEUES && i < started; i++)
        pthread_join(dev->engine[i].thread, NULL);
    if (started > SG_QUEUES)
        pthread_join(dev->paging.thread, NULL);
}

static int init_sync(struct sg_device *dev)
{
    int rc = -pthread_mutex_init(&dev->lock, NULL);

    if (!rc)
        rc = sg_cond_init(&dev->quiet);
    if (!rc)
        rc = sg_cond_init(&dev->paging.wake);
    if (!rc)
        rc = sg_cond_init(&dev->paging.left);
    for (unsigned i = 0; i < SG_QUEUES && !rc; i++)
        rc = sg_cond_init(&dev->engine[i].wake);
    return rc; /* none of these holds anything that a failure here would leak */
}

static void close_sync(struct sg_device *dev)
{
    for (unsigned i = 0; i < SG_QUEUES; i++)
        pthread_cond_destroy(&dev->engine[i].wake);
    pthread_cond_destroy(&dev->paging.left);
    pthread_cond_destroy(&dev->paging.wake);
    pthread_cond_destroy(&dev->quiet);
    pthread_mutex_destroy(&dev->lock);
}

static void init_parts(struct sg_device *dev)
{
    uint32_t dirty_shift = (uint32_t)__builtin_ctzll(dev->options.dirty_page_bytes);

    dev->scatter_shift = dirty_shift > 16 ? dirty_shift : 16;
    atomic_store(&dev->dirty_mask, ~0ull);
    sg_config_init(&dev->config, false, dev->options.vram_bytes, 2 * SG_DIRTY_WINDOW_BYTES);
    for (unsigned i = 0; i < SG_QUEUES; i++) {
        dev->engine[i].dev = dev;
        dev->engine[i].index = i;
    }
    dev->paging.x.dev = dev;
    dev->paging.x.engine = SG_ENGINE_PAGING;
    dev->paging.x.work = dev->paging.work;
    dev->paging.x.space.dev = dev;
}

static void free_device(struct sg_device *dev, uint32_t vfs)
{
    while (vfs--)
        sg_vf_close(&dev->vf[vfs]);
    free(dev->vf);
    sg_irq_close(&dev->irq);
    sg_dma_close(&dev->dma);
    sg_vram_close(&dev->vram);
    close_sync(dev);
    free(dev);
}

static int open_parts(struct sg_device *dev, char *why, size_t why_bytes)
{
    uint32_t vfs = 0;
    unsigned started = 0;
    int rc = init_sync(dev);

    if (rc)
        goto failed_early;
    rc = sg_vram_open(&dev->vram, &dev->options, why, why_bytes);
    if (rc)
        goto failed_vram;
    rc = sg_dma_open(&dev->dma);
    if (rc)
        goto failed_dma;
    rc = sg_irq_open(&dev->irq);
    if (rc)
        goto failed_irq;
    init_parts(dev);
    dev->vf = calloc(dev->options.vfs, sizeof *dev->vf);
    rc = dev->vf ? 0 : -ENOMEM;
    for (; !rc && vfs < dev->options.vfs; vfs++)
        rc = sg_vf_open(&dev->vf[vfs], dev, vfs);
    if (!rc)
        rc = start_threads(dev, &started);
    if (!rc)
        return 0;
    stop_threads(dev, started);
    (void)snprintf(why, why_bytes, "starting the device failed: %s; free memory or threads",
                   strerror(-rc));
    free_device(dev, vfs);
    return rc;
failed_irq:
    sg_dma_close(&dev->dma);
failed_dma:
    sg_vram_close(&dev->vram);
    (void)snprintf(why, why_bytes, "starting the device failed: %s; free memory", strerror(-rc));
failed_vram:
    close_sync(dev);
failed_early:
    free(dev);
    return rc;
}

static int device_open(const struct vf_device_option *options, size_t count,
                       const struct vf_device_host *host, struct vf_device **out, char *why,
                       size_t why_bytes)
{
    struct sg_options o;
    struct sg_device *dev;
    int rc = sg_options_parse(&o, options, count, why, why_bytes);

    if (rc)
        return rc;
    dev = aligned_alloc(64, (sizeof *dev + 63) / 64 * 64);
    if (!dev) {
        (void)snprintf(why, why_bytes, "allocating the device failed: out of memory; free some");
        return -ENOMEM;
    }
    memset(dev, 0, sizeof *dev);
    dev->options = o;
    dev->host = host;
    rc = open_parts(dev, why, why_bytes);
    if (!rc)
        *out = (struct vf_device *)(void *)dev;
    return rc;
}

static void device_close(struct vf_device *device)
{
    struct sg_device *dev = own(device);

    stop_threads(dev, SG_QUEUES + 1);
    if (dev->irq.dropped) {
        char text[96];

        (void)snprintf(text, sizeof text,
                       "softgpu: %" PRIu64 " messages went to addresses with no route",
                       dev->irq.dropped);
        say(dev, VF_DEVICE_LOG_INFO, text);
    }
    free_device(dev, dev->options.vfs);
}

static struct sg_config *find_config(struct sg_device *dev, vf_function fn, uint32_t offset,
                                     uint32_t bytes)
{
    if (fn > dev->options.vfs || offset > SG_CONFIG_BYTES || bytes > SG_CONFIG_BYTES - offset)
        return NULL;
    return fn == VF_FUNCTION_PF ? &dev->config : &dev->vf[fn - 1].config;
}

static int config_read(struct vf_device *device, vf_function fn, uint32_t offset, void *data,
                       uint32_t bytes)
{
    struct sg_device *dev = own(device);
    const struct sg_config *c = find_config(dev, fn, offset, bytes);

    if (!c)
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    sg_config_read(c, offset, data, bytes);
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

static int config_write(struct vf_device *device, vf_function fn, uint32_t offset, const void *data,
                        uint32_t bytes)
{
    struct sg_device *dev = own(device);
    struct sg_config *c = find_config(dev, fn, offset, bytes);

    if (!c)
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    sg_config_write(c, offset, data, bytes);
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

static int bar_info(struct vf_device *dev, vf_function fn, uint32_t bar, struct vf_bar_info *out)
{
    return sg_bar_info(own(dev), fn, bar, out);
}

static int bar_read(struct vf_device *dev, vf_function fn, uint32_t bar, uint64_t offset,
                    void *data, uint64_t bytes)
{
    return sg_bar_access(own(dev), fn, bar, offset, data, NULL, bytes);
}

static int bar_write(struct vf_device *dev, vf_function fn, uint32_t bar, uint64_t offset,
                     const void *data, uint64_t bytes)
{
    return sg_bar_access(own(dev), fn, bar, offset, NULL, data, bytes);
}

static int dma_map(struct vf_device *dev, uint64_t iova, uint64_t bytes, int fd, uint64_t fd_offset)
{
    return sg_dma_map(&own(dev)->dma, iova, bytes, fd, fd_offset);
}

static int dma_unmap(struct vf_device *dev, uint64_t iova, uint64_t bytes)
{
    return sg_dma_unmap(&own(dev)->dma, iova, bytes);
}

static int pf_irq(struct vf_device *dev, uint32_t vector, int eventfd)
{
    return sg_irq_pf(own(dev), vector, eventfd);
}

static int msi_route(struct vf_device *dev, uint64_t address, uint32_t data, int eventfd)
{
    return sg_irq_route(own(dev), address, data, eventfd);
}

static int function_clock(struct vf_device *device, vf_function fn, struct vf_function_clock *out)
{
    struct sg_device *dev = own(device);
    bool running;

    if (fn > dev->options.vfs)
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    if (fn == VF_FUNCTION_PF) {
        const struct sg_paging *p = &dev->paging;

        *out = (struct vf_function_clock){p->last_run_ns, p->first_run_ns, p->runtime_ns, 0};
        running = p->on_engine;
    } else {
        const struct sg_vf *vf = &dev->vf[fn - 1];

        *out = (struct vf_function_clock){vf->last_run_ns, vf->first_run_ns, vf->runtime_ns,
                                          vf->lent_ns};
        running = vf->active;
    }
    if (running)
        out->last_run_ns = sg_now();
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

static const struct vf_device_ops device_ops = {
    .size = sizeof device_ops,
    .abi = VF_DEVICE_ABI,
    .name = "softgpu",
    .default_driver = "softgpu",
    .options_help = "vram=SIZE vfs=N dirty-page=SIZE performant=on|off scatter=on|off "
                    "prealloc=on|off fw=MAJOR.MINOR fault=drop-dirty:N",
    .open = device_open,
    .close = device_close,
    .config_read = config_read,
    .config_write = config_write,
    .bar_info = bar_info,
    .bar_read = bar_read,
    .bar_write = bar_write,
    .dma_map = dma_map,
    .dma_unmap = dma_unmap,
    .pf_irq = pf_irq,
    .msi_route = msi_route,
    .function_clock = function_clock,
};

__attribute__((visibility("default"))) const struct vf_device_ops *vf_device_entry(uint32_t abi)
{
    return abi == VF_DEVICE_ABI ? &device_ops : NULL;
}
