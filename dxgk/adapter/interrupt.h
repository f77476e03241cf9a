// SPDX-License-Identifier: Apache-2.0
/*
 * Interrupts of one adapter: the thread that waits for the device's messages, the interrupt lock
 * (DIRQL), the DPC thread, and the callbacks a driver uses from both. VF messages of guests are
 * counted by the same thread.
 */
#ifndef DXGK_ADAPTER_INTERRUPT_H
#define DXGK_ADAPTER_INTERRUPT_H

#include "dxgk/internal.h"

/* Message numbers the PF has; the miniport's interrupt routine gets them as MessageNumber. */
#define DXGK_PF_VECTORS 1u

/* Connects the PF's vectors and starts the two threads. After AddDevice (hAdapter is set), before
 * StartDevice: a driver may be interrupted before its StartDevice returns. PASSIVE_LEVEL. */
int dxgk_interrupts_start(struct dxgk_adapter *adapter, struct vf_error *err);
/* Disconnects, lets a running interrupt routine and DPC end, joins the threads. After
 * StopDevice; NULL-safe. */
void dxgk_interrupts_stop(struct dxgk_adapter *adapter);

/* ---- a driver update: the PF's interrupts wait, those of VFs go on (HOT-1) ---- */

/* When it returns neither interrupt routine nor DPC runs or will run; what was queued has run. The
 * driver's paging engine is idle. PASSIVE_LEVEL. */
void dxgk_interrupts_hold(struct dxgk_adapter *adapter);
/* Interrupts reach the driver in adapter->ddi again: before StartDevice, as at a start. */
void dxgk_interrupts_release(struct dxgk_adapter *adapter);
/* Delivers, once, what came while they were held: after StartDevice, when the driver can
 * hear it. */
void dxgk_interrupts_replay(struct dxgk_adapter *adapter);

/* Routes an eventfd: `fire` runs on the interrupt thread at PASSIVE_LEVEL with the number of
 * messages since the last call. */
struct dxgk_irq_source {
    int fd; /* eventfd, owned by the caller */
    void (*fire)(struct dxgk_irq_source *source, uint64_t count);
};
int dxgk_interrupts_add(struct dxgk_adapter *adapter, struct dxgk_irq_source *source,
                        struct vf_error *err);
/* Delivers what the source was signalled before this call, if the interrupt thread has not yet. */
void dxgk_interrupts_drain(struct dxgk_adapter *adapter, struct dxgk_irq_source *source);
/* When it returns `fire` does not run and will not run any more. What was signalled before is
 * delivered first. Not from within `fire`. */
void dxgk_interrupts_remove(struct dxgk_adapter *adapter, struct dxgk_irq_source *source);

/* Names the paging engine the notifications are for, or NULL. When it returns no DPC uses the one
 * before. PASSIVE_LEVEL. */
void dxgk_interrupts_attach(struct dxgk_adapter *adapter, struct dxgk_paging *paging);

/* ---- DXGKRNL_INTERFACE slots; `handle` is the DeviceHandle or the miniport's context ---- */

/* DIRQL (or under SynchronizeExecution). Remembers what the engine reported; NotifyDpc acts
 * on it. */
void dxgk_cb_notify_interrupt(HANDLE handle, const DXGKARGCB_NOTIFY_INTERRUPT_DATA *data);
/* Any IRQL. TRUE when the DPC was not queued yet. */
BOOLEAN dxgk_cb_queue_dpc(HANDLE handle);
/* From the DPC routine, DISPATCH_LEVEL: completes fences. */
void dxgk_cb_notify_dpc(HANDLE handle);
/* Runs `routine` at DIRQL with the interrupt lock held: never beside the interrupt
 * routine. PASSIVE..DISPATCH. */
NTSTATUS dxgk_cb_synchronize_execution(HANDLE handle, PKSYNCHRONIZE_ROUTINE routine, PVOID context,
                                       ULONG message, BOOLEAN *result);

#endif
