// SPDX-License-Identifier: Apache-2.0
/*
 * What paging.c (building, handing over, retiring), watchdog.c (TDR), start.c and run.c share.
 *
 *   free --take--> being built --hand over--> flying --fence done--> free
 *                                              |  ^
 *                       fence late, no reset   |  | reset: a new fence
 *                                              v  |
 *                                          abandoned --its fence after all--> free
 */
#ifndef DXGK_PAGING_PRIVATE_H
#define DXGK_PAGING_PRIVATE_H

#include "dxgk/paging/paging.h"
#include "dxgk/paging/process.h"

#define DXGK_PAGING_MAX_IN_FLIGHT 64u
#define DXGK_PAGING_NODE 0u /* a decision of this house: the PF's one node */

struct dxgk_paging_buffer {
    uint8_t *cpu;
    uint64_t va;
    uint8_t *private_data;
    uint32_t used;
    uint32_t fence;
    struct dxgk_paging_work *work;   /* NULL while free or abandoned */
    bool submitted;                  /* the driver has it, under `fence` */
    bool failed;                     /* faulted, or refused when handed over late */
    struct dxgk_paging_buffer *next; /* in its list */
};

struct dxgk_paging {
    struct dxgk_adapter *adapter;
    struct dxgk_paging_limits limits;

    /* One thread builds at a time, as the video memory manager's paging thread does; guards space
     * and windows too. Order: build > queue > interrupt lock. */
    pthread_mutex_t build;
    struct dxgk_process process; /* the paging process, to the driver */
    struct dxgk_vaspace *space;
    struct dxgk_dma memory;
    struct dxgk_window window;
    struct dxgk_paging_buffer *buffers;
    uint8_t *private_data;

    /* Guards what follows; DISPATCH_LEVEL in spirit: nothing waits for paging under it. */
    pthread_mutex_t queue;
    pthread_cond_t returned;      /* a buffer is free, or was abandoned, or nothing flies */
    pthread_cond_t watchdog_cond; /* CLOCK_MONOTONIC */
    struct dxgk_paging_buffer *free;
    struct dxgk_paging_buffer *flying, **flying_tail; /* in fence order */
    uint32_t abandoned;                               /* of those flying */
    _Atomic uint32_t last_fence; /* submitted; written under queue, read by the interrupt routine */
    uint64_t head_since_ns;      /* when the first of those flying became first */
    bool resetting;              /* hand-overs queue up and are submitted after the reset */
    bool stopping, watchdog_idle;
    pthread_t watchdog;

    /* Written by the interrupt routine and the watchdog, read by the DPC. */
    _Atomic uint32_t noted_done;
    /* Written under the interrupt lock, read under queue. */
    _Atomic uint32_t fault_head, fault_tail;    /* counters of faults[]: written head, read tail */
    uint32_t faults[DXGK_PAGING_MAX_IN_FLIGHT]; /* published by fault_head */
};

/* ---- the queue lock is held; works to complete gather in *finished ---- */

/* Retires what the interrupt routine noted. */
void dxgk_paging_retire(struct dxgk_paging *paging, struct dxgk_paging_work **finished);
/* Takes the buffer out of its work, which has then failed unless status is 0. */
void dxgk_paging_drop(struct dxgk_paging_buffer *buffer, int status,
                      struct dxgk_paging_work **finished);
void dxgk_paging_give_back(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer);
/* Hands a buffer to the driver under the next fence. */
NTSTATUS dxgk_paging_submit_buffer(struct dxgk_paging *paging, struct dxgk_paging_buffer *buffer,
                                   bool again);

/* ---- without it ---- */

/* Calls back at DISPATCH_LEVEL. */
void dxgk_paging_complete(struct dxgk_paging_work *finished);
/* The watchdog's thread (arg: struct dxgk_paging); ends once `stopping` is set and
 * watchdog_cond signalled. */
void *dxgk_paging_watchdog(void *arg);

#endif
