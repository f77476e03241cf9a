// SPDX-License-Identifier: Apache-2.0
/*
 * The paging engine's watchdog (TDR, SRC-9). A submission that takes too long at the engine's head
 * fails; with a driver that can reset its engine the others are submitted again, without one the
 * buffer stays out until its fence passes after all.
 */
#define LOG_ROOM "dxgk"
#include "dxgk/paging/private.h"

#include "base/clock.h"
#include "base/thread.h"
#include "dxgk/ddi/paging.h"

#include <errno.h>
#include <inttypes.h>

#define STEP_NS 100000000ull

static struct dxgk_paging_buffer *oldest(struct dxgk_paging *paging)
{
    struct dxgk_paging_buffer *buffer = paging->flying;

    while (buffer != NULL && buffer->work == NULL)
        buffer = buffer->next;
    return buffer;
}

/* The driver cannot reset: the submission's user gets its error now, the buffer stays out until its
 * fence passes, if ever. */
static void abandon(struct dxgk_paging *paging, struct dxgk_paging_work *work,
                    struct dxgk_paging_work **finished)
{
    for (struct dxgk_paging_buffer *buffer = paging->flying; buffer != NULL; buffer = buffer->next)
        if (buffer->work == work) {
            paging->abandoned++;
            dxgk_paging_drop(buffer, -EIO, finished);
        }
    vf_cond_broadcast(&paging->returned);
}

/* After a reset nothing flies any more: the offender fails, the others go in again under
 * new fences. */
static void resubmit(struct dxgk_paging *paging, struct dxgk_paging_buffer *offender,
                     struct dxgk_paging_work **finished)
{
    struct dxgk_paging_buffer *again = paging->flying;

    paging->flying = NULL;
    paging->flying_tail = &paging->flying;
    while (again != NULL) {
        struct dxgk_paging_buffer *buffer = again;

        again = buffer->next;
        buffer->next = NULL;
        if (buffer->work == NULL) {
            paging->abandoned--;
            dxgk_paging_give_back(paging, buffer);
        } else if (buffer == offender ||
                   !NT_SUCCESS(dxgk_paging_submit_buffer(paging, buffer, true))) {
            dxgk_paging_drop(buffer, -EIO, finished);
            dxgk_paging_give_back(paging, buffer);
        } else {
            *paging->flying_tail = buffer;
            paging->flying_tail = &buffer->next;
        }
    }
}

static bool flies(const struct dxgk_paging *paging, const struct dxgk_paging_buffer *offender,
                  uint32_t fence)
{
    for (const struct dxgk_paging_buffer *buffer = paging->flying; buffer != NULL;
         buffer = buffer->next)
        if (buffer == offender && buffer->fence == fence)
            return true;
    return false;
}

/* A submission that is late may be done and its interrupt or DPC lost: nobody is reset for that.
 * The queue lock is held and held again on return. */
static bool was_lost(struct dxgk_paging *paging, const struct dxgk_paging_buffer *offender,
                     uint32_t fence, struct dxgk_paging_work **finished)
{
    const char *what = "its DPC";
    uint32_t current;

    dxgk_paging_retire(paging, finished);
    if (flies(paging, offender, fence)) {
        vf_unlock(&paging->queue);
        if (dxgk_ddi_query_current_fence(paging->adapter, DXGK_PAGING_NODE, &current))
            dxgk_paging_note_done(paging, current);
        vf_lock(&paging->queue);
        what = "its interrupt";
        dxgk_paging_retire(paging, finished);
    }
    if (flies(paging, offender, fence))
        return false;
    dxgk_report(paging->adapter, "PAG-3", "paging submission %u was done, but %s never came", fence,
                what);
    return true;
}

/* As was_lost. */
static void recover(struct dxgk_paging *paging, struct dxgk_paging_buffer *offender, uint32_t fence,
                    struct dxgk_paging_work **finished)
{
    uint32_t last = 0;

    paging->resetting = true;
    vf_unlock(&paging->queue);
    dxgk_report(paging->adapter, "PAG-3",
                "paging submission %u did not complete within %" PRIu64 " ms", fence,
                paging->limits.tdr_ns / 1000000);
    NTSTATUS status = dxgk_ddi_reset_engine(paging->adapter, DXGK_PAGING_NODE, &last);
    vf_lock(&paging->queue);
    paging->resetting = false;
    dxgk_paging_retire(paging, finished); /* it may have ended meanwhile */
    bool late = flies(paging, offender, fence);
    if (NT_SUCCESS(status)) {
        resubmit(paging, late ? offender : NULL, finished);
        return;
    }
    if (late && offender->work != NULL)
        abandon(paging, offender->work, finished);
    /* What was handed over during the attempt has not reached the driver yet. */
    for (struct dxgk_paging_buffer *buffer = paging->flying; buffer != NULL; buffer = buffer->next)
        if (!buffer->submitted && !NT_SUCCESS(dxgk_paging_submit_buffer(paging, buffer, false)))
            buffer->failed = true;
}

/* The queue lock is held and held again on return. */
static void time_out(struct dxgk_paging *paging, struct dxgk_paging_buffer *offender)
{
    struct dxgk_paging_work *finished = NULL;
    uint32_t fence = offender->fence;

    if (!was_lost(paging, offender, fence, &finished))
        recover(paging, offender, fence, &finished);
    paging->head_since_ns = vf_now_ns();
    vf_unlock(&paging->queue);
    dxgk_paging_complete(finished);
    vf_lock(&paging->queue);
}

/* In short steps: one that takes far longer than it should means that the whole process stood
 * (SIGSTOP, a debugger), the engine with it, and such time is not held against a submission. */
static void nap(struct dxgk_paging *paging, uint64_t deadline)
{
    uint64_t begin = vf_now_ns();
    uint64_t end = deadline < begin + STEP_NS ? deadline : begin + STEP_NS;
    uint64_t now;

    (void)vf_cond_wait_until(&paging->watchdog_cond, &paging->queue, end);
    now = vf_now_ns();
    if (now > end + STEP_NS)
        paging->head_since_ns += now - end;
}

void *dxgk_paging_watchdog(void *arg)
{
    struct dxgk_paging *paging = arg;

    vf_lock(&paging->queue);
    while (!paging->stopping) {
        struct dxgk_paging_buffer *head = oldest(paging);

        if (head == NULL) {
            paging->watchdog_idle = true;
            vf_cond_wait(&paging->watchdog_cond, &paging->queue);
            paging->watchdog_idle = false;
            continue;
        }
        uint64_t deadline = paging->head_since_ns + paging->limits.tdr_ns;
        if (vf_now_ns() >= deadline) {
            time_out(paging, head);
            continue;
        }
        nap(paging, deadline);
    }
    vf_unlock(&paging->queue);
    return NULL;
}
