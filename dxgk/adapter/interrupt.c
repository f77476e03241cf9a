// SPDX-License-Identifier: Apache-2.0
/* Interrupts of one adapter: message thread, interrupt lock, DPC thread. See interrupt.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/adapter/interrupt.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/handles.h"
#include "dxgk/nt/nt.h"
#include "dxgk/paging/paging.h"
#include "dxgk/waits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STORM 10000u /* interrupts in a row that the driver disowned before that is told */

struct dxgk_interrupts {
    struct dxgk_adapter *adapter;
    int epoll_fd, stop_fd;
    int pf_fd[DXGK_PF_VECTORS];
    pthread_t thread, dpc_thread;

    /* The interrupt lock: what Windows holds at DIRQL while the interrupt routine or a synchronised
     * routine runs. */
    pthread_mutex_t lock;
    struct dxgk_paging *paging; /* guarded by lock, as the next two */
    bool held;                  /* a driver update: nothing of the driver's is called */
    uint32_t missed;            /* messages that came meanwhile, one bit each */
    uint64_t disowned;          /* the message thread's alone */

    /* Held while sources fire, so that a removed one never does. */
    pthread_mutex_t sources_lock;

    /* Guards what follows; may be taken under `lock`, never the other way round. */
    pthread_mutex_t dpc_lock;
    pthread_cond_t dpc_cond; /* queued, stopping, or the DPC went idle */
    bool dpc_queued, dpc_running, stopping;
};

/* ---- message thread ---- */

static void run_interrupt_routine(struct dxgk_interrupts *irq, uint32_t message)
{
    struct dxgk_adapter *adapter = irq->adapter;
    struct dxgk_call call;
    BOOLEAN ours = FALSE;

    KIRQL before = nt_irql_set(DEVICE_LEVEL);
    vf_lock(&irq->lock);
    if (irq->held) {
        irq->missed |= 1u << message;
        ours = TRUE; /* nobody was asked */
    } else if (dxgk_call_enter(&call, adapter, "DxgkDdiInterruptRoutine", DEVICE_LEVEL)) {
        dxgk_waits_holds(&adapter->interrupts); /* transfers end by it */
        ours = adapter->ddi.DxgkDdiInterruptRoutine(adapter->hAdapter, message);
        dxgk_waits_lets_go(&adapter->interrupts);
        (void)dxgk_call_leave(&call, STATUS_SUCCESS);
    }
    vf_unlock(&irq->lock);
    (void)nt_irql_set(before);
    if (ours) {
        irq->disowned = 0;
    } else if (++irq->disowned == STORM) {
        dxgk_event(adapter->dxgk, "interrupt-storm",
                   "adapter %u: %u interrupts in a row that its driver does not know; "
                   "look at the driver's interrupt routine",
                   adapter->index, STORM);
    }
}

/* Handles what is signalled now; true when it is time to stop. Asking epoll again under the
 * lock leaves no stale pointer: a removed source is out of the set before its owner gets the
 * lock back. */
static bool take_events(struct dxgk_interrupts *irq)
{
    struct epoll_event events[32];
    uint32_t pf = 0;
    bool stop = false;

    vf_lock(&irq->sources_lock);
    int count = epoll_wait(irq->epoll_fd, events, 32, 0);
    for (int i = 0; i < count; i++) {
        struct dxgk_irq_source *source = events[i].data.ptr;
        uint64_t messages = 0;

        if (source == NULL) {
            stop = true;
        } else if ((void *)source >= (void *)irq->pf_fd &&
                   (void *)source < (void *)(irq->pf_fd + DXGK_PF_VECTORS)) {
            int *fd = (int *)(void *)source;

            if (read(*fd, &messages, sizeof messages) == (ssize_t)sizeof messages)
                pf |= 1u << (fd - irq->pf_fd);
        } else if (read(source->fd, &messages, sizeof messages) == (ssize_t)sizeof messages) {
            source->fire(source, messages);
        }
    }
    vf_unlock(&irq->sources_lock);
    for (uint32_t message = 0; message < DXGK_PF_VECTORS; message++)
        if (pf & (1u << message))
            run_interrupt_routine(irq, message);
    return stop;
}

static void *message_thread(void *arg)
{
    struct dxgk_interrupts *irq = arg;
    struct pollfd wait = {.fd = irq->epoll_fd, .events = POLLIN};

    do {
        if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
            log_error("adapter %u: interrupts: %s", irq->adapter->index, strerror(errno));
            break;
        }
    } while (!take_events(irq));
    return NULL;
}

/* ---- DPC thread ---- */

static void run_dpc_routine(struct dxgk_adapter *adapter)
{
    struct dxgk_call call;
    KIRQL before = nt_irql_set(DISPATCH_LEVEL);

    if (adapter->ddi.DxgkDdiDpcRoutine != NULL &&
        dxgk_call_enter(&call, adapter, "DxgkDdiDpcRoutine", DISPATCH_LEVEL)) {
        dxgk_waits_holds(&adapter->interrupts); /* as above */
        adapter->ddi.DxgkDdiDpcRoutine(adapter->hAdapter);
        dxgk_waits_lets_go(&adapter->interrupts);
        (void)dxgk_call_leave(&call, STATUS_SUCCESS);
    }
    (void)nt_irql_set(before);
}

static void *dpc_thread(void *arg)
{
    struct dxgk_interrupts *irq = arg;

    vf_lock(&irq->dpc_lock);
    for (;;) {
        while (!irq->dpc_queued && !irq->stopping)
            vf_cond_wait(&irq->dpc_cond, &irq->dpc_lock);
        if (!irq->dpc_queued)
            break;
        /* Cleared first: an interrupt that comes while the DPC runs queues it again. */
        irq->dpc_queued = false;
        irq->dpc_running = true;
        vf_unlock(&irq->dpc_lock);
        run_dpc_routine(irq->adapter);
        vf_lock(&irq->dpc_lock);
        irq->dpc_running = false;
        vf_cond_broadcast(&irq->dpc_cond);
    }
    vf_unlock(&irq->dpc_lock);
    return NULL;
}

/* ---- start and stop ---- */

static int watch(struct dxgk_interrupts *irq, int fd, void *ptr)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = ptr};

    return epoll_ctl(irq->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_fds(struct dxgk_interrupts *irq, struct vf_error *err)
{
    struct dxgk_adapter *adapter = irq->adapter;

    irq->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    irq->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (irq->epoll_fd < 0 || irq->stop_fd < 0 || watch(irq, irq->stop_fd, NULL) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "interrupts");
    if (adapter->ddi.DxgkDdiInterruptRoutine == NULL)
        return 0; /* nothing of the PF's is connected; VF messages still are */
    for (uint32_t vector = 0; vector < DXGK_PF_VECTORS; vector++) {
        irq->pf_fd[vector] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (irq->pf_fd[vector] < 0 || watch(irq, irq->pf_fd[vector], &irq->pf_fd[vector]) != 0)
            return vf_fail_errno(err, VF_FAILED, errno, "interrupts");
        int rc = adapter->ops->pf_irq(adapter->dev, vector, irq->pf_fd[vector]);
        if (rc != 0)
            return vf_fail_errno(err, VF_FAILED, -rc, "interrupts: the device has no vector %u",
                                 vector);
    }
    return 0;
}

static void release(struct dxgk_interrupts *irq)
{
    for (uint32_t vector = 0; vector < DXGK_PF_VECTORS; vector++)
        if (irq->pf_fd[vector] >= 0) {
            (void)irq->adapter->ops->pf_irq(irq->adapter->dev, vector, -1);
            (void)close(irq->pf_fd[vector]);
        }
    if (irq->stop_fd >= 0)
        (void)close(irq->stop_fd);
    if (irq->epoll_fd >= 0)
        (void)close(irq->epoll_fd);
    vf_lock_fini(&irq->lock);
    vf_lock_fini(&irq->sources_lock);
    vf_lock_fini(&irq->dpc_lock);
    vf_cond_fini(&irq->dpc_cond);
    free(irq);
}

static void stop_dpc_thread(struct dxgk_interrupts *irq)
{
    vf_lock(&irq->dpc_lock);
    irq->stopping = true;
    vf_cond_broadcast(&irq->dpc_cond);
    vf_unlock(&irq->dpc_lock);
    (void)pthread_join(irq->dpc_thread, NULL);
}

int dxgk_interrupts_start(struct dxgk_adapter *adapter, struct vf_error *err)
{
    struct dxgk_interrupts *irq = calloc(1, sizeof *irq);

    if (irq == NULL)
        return vf_fail(err, VF_FAILED, "interrupts: " VF_NO_MEMORY);
    irq->adapter = adapter;
    irq->epoll_fd = irq->stop_fd = -1;
    for (uint32_t vector = 0; vector < DXGK_PF_VECTORS; vector++)
        irq->pf_fd[vector] = -1;
    vf_lock_init(&irq->lock);
    vf_lock_init(&irq->sources_lock);
    vf_lock_init(&irq->dpc_lock);
    vf_cond_init(&irq->dpc_cond);
    if (open_fds(irq, err) != 0)
        goto fail;
    /* Before the threads: the first thing an interrupt routine does may be a callback that
     * looks here. */
    adapter->interrupts = irq;
    int rc = pthread_create(&irq->dpc_thread, NULL, dpc_thread, irq);
    if (rc != 0) {
        (void)vf_fail_errno(err, VF_FAILED, rc, "interrupts: no DPC thread");
        goto fail;
    }
    rc = pthread_create(&irq->thread, NULL, message_thread, irq);
    if (rc != 0) {
        (void)vf_fail_errno(err, VF_FAILED, rc, "interrupts: no message thread");
        stop_dpc_thread(irq);
        goto fail;
    }
    return 0;
fail:
    adapter->interrupts = NULL;
    release(irq);
    return -1;
}

void dxgk_interrupts_stop(struct dxgk_adapter *adapter)
{
    struct dxgk_interrupts *irq = adapter->interrupts;
    uint64_t one = 1;

    if (irq == NULL)
        return;
    if (write(irq->stop_fd, &one, sizeof one) != (ssize_t)sizeof one)
        log_error("adapter %u: stopping interrupts: %s", adapter->index, strerror(errno));
    (void)pthread_join(irq->thread, NULL);
    stop_dpc_thread(irq);
    adapter->interrupts = NULL;
    release(irq);
}

int dxgk_interrupts_add(struct dxgk_adapter *adapter, struct dxgk_irq_source *source,
                        struct vf_error *err)
{
    if (watch(adapter->interrupts, source->fd, source) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "interrupts: message source");
    return 0;
}

/* sources_lock is held. */
static void deliver(struct dxgk_irq_source *source)
{
    uint64_t messages;

    if (read(source->fd, &messages, sizeof messages) == (ssize_t)sizeof messages)
        source->fire(source, messages);
}

void dxgk_interrupts_drain(struct dxgk_adapter *adapter, struct dxgk_irq_source *source)
{
    struct dxgk_interrupts *irq = adapter->interrupts;

    vf_lock(&irq->sources_lock);
    deliver(source);
    vf_unlock(&irq->sources_lock);
}

void dxgk_interrupts_remove(struct dxgk_adapter *adapter, struct dxgk_irq_source *source)
{
    struct dxgk_interrupts *irq = adapter->interrupts;

    vf_lock(&irq->sources_lock);
    (void)epoll_ctl(irq->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    deliver(source);
    vf_unlock(&irq->sources_lock);
}

void dxgk_interrupts_hold(struct dxgk_adapter *adapter)
{
    struct dxgk_interrupts *irq = adapter->interrupts;

    vf_lock(&irq->lock);
    irq->held = true;
    vf_unlock(&irq->lock);
    /* Only the interrupt routine queues DPCs: those queued are the last ones. */
    vf_lock(&irq->dpc_lock);
    while (irq->dpc_queued || irq->dpc_running)
        vf_cond_wait(&irq->dpc_cond, &irq->dpc_lock);
    vf_unlock(&irq->dpc_lock);
}

void dxgk_interrupts_release(struct dxgk_adapter *adapter)
{
    struct dxgk_interrupts *irq = adapter->interrupts;

    vf_lock(&irq->lock);
    irq->held = false;
    vf_unlock(&irq->lock);
}

void dxgk_interrupts_replay(struct dxgk_adapter *adapter)
{
    struct dxgk_interrupts *irq = adapter->interrupts;
    uint64_t one = 1;
    uint32_t missed;

    vf_lock(&irq->lock);
    missed = irq->missed;
    irq->missed = 0;
    vf_unlock(&irq->lock);
    /* By the way every message comes: on the message thread, at the device's level. */
    for (uint32_t vector = 0; vector < DXGK_PF_VECTORS; vector++)
        if ((missed & 1u << vector) != 0 &&
            write(irq->pf_fd[vector], &one, sizeof one) != (ssize_t)sizeof one)
            log_error("adapter %u: interrupt %u: %s", adapter->index, vector, strerror(errno));
}

void dxgk_interrupts_attach(struct dxgk_adapter *adapter, struct dxgk_paging *paging)
{
    struct dxgk_interrupts *irq = adapter->interrupts;

    vf_lock(&irq->lock);
    irq->paging = paging;
    vf_unlock(&irq->lock);
    /* A DPC that runs now may have taken the pointer before: let it end. */
    vf_lock(&irq->dpc_lock);
    while (irq->dpc_running)
        vf_cond_wait(&irq->dpc_cond, &irq->dpc_lock);
    vf_unlock(&irq->dpc_lock);
}

/* ---- callbacks ---- */

void dxgk_cb_notify_interrupt(HANDLE handle, const DXGKARGCB_NOTIFY_INTERRUPT_DATA *data)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || data == NULL || adapter->interrupts == NULL)
        return;
    if (nt_irql() < DEVICE_LEVEL) {
        dxgk_report(adapter, "PAG-3",
                    "DxgkCbNotifyInterrupt at IRQL %u, outside the interrupt lock: ignored",
                    nt_irql());
        return;
    }
    /* At this level the thread holds the interrupt lock. */
    struct dxgk_paging *paging = adapter->interrupts->paging;
    if (paging == NULL)
        return;
    switch (data->InterruptType) {
    case DXGK_INTERRUPT_DMA_COMPLETED:
        dxgk_paging_note_done(paging, data->DmaCompleted.SubmissionFenceId);
        break;
    case DXGK_INTERRUPT_DMA_FAULTED:
        dxgk_paging_note_fault(paging, data->DmaFaulted.FaultedFenceId, data->DmaFaulted.Status);
        break;
    case DXGK_INTERRUPT_DMA_PAGE_FAULTED:
        dxgk_paging_note_fault(paging, data->DmaPageFaulted.FaultedFenceId,
                               STATUS_ACCESS_VIOLATION);
        break;
    default:
        log_debug("adapter %u: interrupt of type %u is nothing to paging", adapter->index,
                  (unsigned)data->InterruptType);
        break;
    }
}

BOOLEAN dxgk_cb_queue_dpc(HANDLE handle)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || adapter->interrupts == NULL)
        return FALSE;
    struct dxgk_interrupts *irq = adapter->interrupts;
    vf_lock(&irq->dpc_lock);
    BOOLEAN fresh = !irq->dpc_queued;
    irq->dpc_queued = true;
    if (fresh)
        vf_cond_broadcast(&irq->dpc_cond);
    vf_unlock(&irq->dpc_lock);
    return fresh;
}

void dxgk_cb_notify_dpc(HANDLE handle)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || adapter->interrupts == NULL)
        return;
    struct dxgk_interrupts *irq = adapter->interrupts;
    if (nt_irql() != DISPATCH_LEVEL || !pthread_equal(pthread_self(), irq->dpc_thread)) {
        dxgk_report(adapter, "PAG-3", "DxgkCbNotifyDpc outside the DPC routine (IRQL %u): ignored",
                    nt_irql());
        return;
    }
    vf_lock(&irq->lock);
    struct dxgk_paging *paging = irq->paging;
    vf_unlock(&irq->lock);
    if (paging != NULL)
        dxgk_paging_dpc(paging);
}

NTSTATUS dxgk_cb_synchronize_execution(HANDLE handle, PKSYNCHRONIZE_ROUTINE routine, PVOID context,
                                       ULONG message, BOOLEAN *result)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || routine == NULL || result == NULL || adapter->interrupts == NULL ||
        message >= DXGK_PF_VECTORS)
        return STATUS_INVALID_PARAMETER;
    if (nt_irql() > DISPATCH_LEVEL) {
        /* The lock is not recursive: on Windows this is where the machine would hang. */
        dxgk_report(adapter, "PAG-3", "DxgkCbSynchronizeExecution at IRQL %u", nt_irql());
        return STATUS_INVALID_DEVICE_STATE;
    }
    struct dxgk_interrupts *irq = adapter->interrupts;
    KIRQL before = nt_irql_set(DEVICE_LEVEL);
    vf_lock(&irq->lock);
    *result = routine(context);
    vf_unlock(&irq->lock);
    (void)nt_irql_set(before);
    return STATUS_SUCCESS;
}
