// SPDX-License-Identifier: Apache-2.0
/* Starting and stopping the paging engine, its driver's update, and its windows. See paging.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/paging/private.h"

#include "base/thread.h"
#include "dxgk/ddi/paging.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/waits.h"

#include <stdlib.h>

#define BUFFER_BYTES (64u << 10)
#define IN_FLIGHT 32u
#define TDR_NS 2000000000ull /* SRC-9: Windows' timeout */

/* ---- start ---- */

static void choose_limits(struct dxgk_paging *paging, const struct dxgk_paging_limits *limits)
{
    const struct dxgk_mmu *mmu = &paging->adapter->mmu;

    paging->limits = (struct dxgk_paging_limits){BUFFER_BYTES, IN_FLIGHT, TDR_NS};
    if (mmu->paging_buffer_bytes >= 4096 && mmu->paging_buffer_bytes <= (1u << 20))
        paging->limits.buffer_bytes = (mmu->paging_buffer_bytes + 63) & ~63u;
    if (limits != NULL)
        paging->limits = *limits;
    if (paging->limits.in_flight == 0 || paging->limits.in_flight > DXGK_PAGING_MAX_IN_FLIGHT)
        paging->limits.in_flight = IN_FLIGHT;
}

/* Paging buffers: OS memory, seen by the engine through a window of their own. */
static int make_buffers(struct dxgk_paging *paging, struct vf_error *err)
{
    uint64_t bytes = paging->limits.buffer_bytes, count = paging->limits.in_flight;
    uint64_t private_bytes = paging->adapter->mmu.paging_private_bytes;

    if (dxgk_dma_alloc(paging->space, "vferry-paging-buffers", bytes * count, &paging->memory,
                       err) != 0 ||
        dxgk_window_open(paging->space, paging->memory.bytes, &paging->window, err) != 0 ||
        dxgk_window_map_dma(paging->space, &paging->window, &paging->memory, err) != 0)
        return vf_context(err, "paging buffers");
    paging->buffers = calloc(count, sizeof *paging->buffers);
    if (private_bytes != 0)
        paging->private_data = calloc(count, private_bytes);
    if (paging->buffers == NULL || (private_bytes != 0 && paging->private_data == NULL))
        return vf_fail(err, VF_FAILED, "paging buffers: " VF_NO_MEMORY);
    for (uint64_t i = 0; i < count; i++) {
        struct dxgk_paging_buffer *buffer = &paging->buffers[i];

        buffer->cpu = paging->memory.cpu + i * bytes;
        buffer->va = paging->window.va + i * bytes;
        buffer->private_data = private_bytes != 0 ? paging->private_data + i * private_bytes : NULL;
        dxgk_paging_give_back(paging, buffer);
    }
    return 0;
}

static void init_locks(struct dxgk_paging *paging)
{
    vf_lock_init(&paging->build);
    vf_lock_init(&paging->queue);
    vf_cond_init(&paging->returned);
    vf_cond_init(&paging->watchdog_cond);
}

static void release(struct dxgk_paging *paging)
{
    if (paging->space != NULL) {
        dxgk_dma_free(paging->space, &paging->memory);
        dxgk_vaspace_destroy(paging->space);
    }
    dxgk_process_destroy(paging->adapter, &paging->process);
    free(paging->buffers);
    free(paging->private_data);
    vf_lock_fini(&paging->build);
    vf_lock_fini(&paging->queue);
    vf_cond_fini(&paging->returned);
    vf_cond_fini(&paging->watchdog_cond);
    free(paging);
}

static int check_driver(const struct dxgk_adapter *adapter, struct vf_error *err)
{
    if (!adapter->mmu.usable)
        return vf_fail(err, VF_FAILED, "paging: %s", adapter->mmu.why_not);
    if (adapter->ddi.DxgkDdiBuildPagingBuffer == NULL ||
        adapter->ddi.DxgkDdiSubmitCommandVirtual == NULL ||
        adapter->ddi.DxgkDdiSetRootPageTable == NULL)
        return vf_fail(
            err, VF_FAILED,
            "paging: the driver lacks BuildPagingBuffer, SubmitCommandVirtual or SetRootPageTable");
    if (adapter->ops->dma_map == NULL || adapter->ops->dma_unmap == NULL ||
        adapter->interrupts == NULL)
        return vf_fail(err, VF_FAILED, "paging: the device has no DMA or no interrupts");
    return 0;
}

int dxgk_paging_start(struct dxgk_adapter *adapter, const struct dxgk_paging_limits *limits,
                      struct vf_error *err)
{
    uint32_t entries;

    if (check_driver(adapter, err) != 0)
        return -1;
    struct dxgk_paging *paging = calloc(1, sizeof *paging);
    if (paging == NULL)
        return vf_fail(err, VF_FAILED, "paging: " VF_NO_MEMORY);
    paging->adapter = adapter;
    paging->flying_tail = &paging->flying;
    init_locks(paging);
    choose_limits(paging, limits);
    if (dxgk_process_create(adapter, DXGK_PAGING_NODE, &paging->process, err) != 0 ||
        dxgk_vaspace_create(adapter, paging->process.process, &paging->space, err) != 0 ||
        make_buffers(paging, err) != 0)
        goto fail;
    uint64_t root = dxgk_vaspace_root(paging->space, &entries);
    if (dxgk_ddi_set_root_page_table(adapter, paging->process.context, root, entries, err) != 0)
        goto fail;
    int rc = pthread_create(&paging->watchdog, NULL, dxgk_paging_watchdog, paging);
    if (rc != 0) {
        (void)vf_fail_errno(err, VF_FAILED, rc, "paging: no watchdog thread");
        goto fail;
    }
    dxgk_interrupts_attach(adapter, paging);
    adapter->paging = paging;
    return 0;
fail:
    release(paging);
    return -1;
}

void dxgk_paging_stop(struct dxgk_adapter *adapter)
{
    struct dxgk_paging *paging = adapter->paging;

    if (paging == NULL)
        return;
    vf_lock(&paging->queue);
    /* The watchdog ends each submission one way or the other: nothing but what it abandoned flies
     * for long. */
    for (;;) {
        uint32_t flying = 0;

        for (struct dxgk_paging_buffer *buffer = paging->flying; buffer != NULL;
             buffer = buffer->next)
            flying++;
        if (flying <= paging->abandoned)
            break;
        vf_cond_wait(&paging->returned, &paging->queue);
    }
    paging->stopping = true;
    vf_cond_broadcast(&paging->watchdog_cond);
    vf_unlock(&paging->queue);
    (void)pthread_join(paging->watchdog, NULL);
    dxgk_interrupts_attach(adapter, NULL);
    adapter->paging = NULL;
    release(paging);
}

/* ---- a driver update ---- */

int dxgk_paging_quiesce(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_paging *paging = adapter->paging;
    uint32_t abandoned;

    if (paging == NULL)
        return 0;
    vf_lock(&paging->queue);
    /* As in a stop, the watchdog bounds this. */
    dxgk_waits_for(&adapter->interrupts);
    while (paging->flying != NULL && paging->abandoned == 0)
        vf_cond_wait(&paging->returned, &paging->queue);
    dxgk_waits_for(NULL);
    abandoned = paging->abandoned;
    vf_unlock(&paging->queue);
    if (abandoned != 0)
        return vf_fail(err, VF_FAILED,
                       "adapter %u: %u submissions hang in the paging engine, which its driver "
                       "cannot reset; restart the host",
                       adapter->index, abandoned);
    return 0;
}

void dxgk_paging_let_go(struct dxgk_adapter *adapter)
{
    struct dxgk_paging *paging = adapter->paging;

    if (paging == NULL)
        return;
    dxgk_lock(&paging->build);
    dxgk_vaspace_set_process(paging->space, NULL);
    dxgk_process_destroy(adapter, &paging->process);
    dxgk_unlock(&paging->build);
}

int dxgk_paging_take_over(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_paging *paging = adapter->paging;
    uint32_t entries;
    uint64_t root;
    int rc;

    if (paging == NULL)
        return 0;
    dxgk_lock(&paging->build);
    rc = check_driver(adapter, err);
    if (rc == 0)
        rc = dxgk_process_create(adapter, DXGK_PAGING_NODE, &paging->process, err);
    if (rc == 0) {
        dxgk_vaspace_set_process(paging->space, paging->process.process);
        root = dxgk_vaspace_root(paging->space, &entries);
        rc = dxgk_ddi_set_root_page_table(adapter, paging->process.context, root, entries, err);
    }
    dxgk_unlock(&paging->build);
    return rc;
}

/* ---- windows, serialised with building ---- */

int dxgk_paging_window_open(struct dxgk_paging *paging, uint64_t bytes, struct dxgk_window *out,
                            struct vf_error *err)
{
    dxgk_lock(&paging->build);
    int rc = dxgk_window_open(paging->space, bytes, out, err);
    dxgk_unlock(&paging->build);
    return rc;
}

void dxgk_paging_window_close(struct dxgk_paging *paging, struct dxgk_window *window)
{
    dxgk_lock(&paging->build);
    dxgk_window_close(paging->space, window);
    dxgk_unlock(&paging->build);
}

int dxgk_paging_window_map_dma(struct dxgk_paging *paging, const struct dxgk_window *window,
                               const struct dxgk_dma *dma, struct vf_error *err)
{
    dxgk_lock(&paging->build);
    int rc = dxgk_window_map_dma(paging->space, window, dma, err);
    dxgk_unlock(&paging->build);
    return rc;
}

struct dxgk_vaspace *dxgk_paging_space(struct dxgk_paging *paging)
{
    return paging->space;
}
