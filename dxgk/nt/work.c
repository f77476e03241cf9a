// SPDX-License-Identifier: Apache-2.0
/*
 * Work items: routines that a thread of the system runs at PASSIVE_LEVEL, one after the other. The
 * thread is there while there is work and ends with it.
 */
#include "dxgk/nt/internal.h"

#include "base/log.h"

#include <pthread.h>
#include <string.h>

struct _IO_WORKITEM {
    PDEVICE_OBJECT device; /* fixed */
    /* Guarded by `lock`: */
    PIO_WORKITEM_ROUTINE routine; /* NULL = not queued */
    PVOID context;
    struct _IO_WORKITEM *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and the items */
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;   /* `working` became false */
static struct _IO_WORKITEM *first, **last = &first;
static bool working; /* the thread is there */

PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT device)
{
    PIO_WORKITEM item;

    (void)nt_irql_check(DISPATCH_LEVEL, "IoAllocateWorkItem");
    item = nt_block_alloc(NT_MEMORY_POOL, sizeof *item, NT_TAG_WORK, POOL_FLAG_NON_PAGED,
                          __builtin_return_address(0));
    if (item != NULL)
        item->device = device;
    return item;
}

static bool is_item(const struct _IO_WORKITEM *item)
{
    struct nt_block block;

    return nt_block_find(item, sizeof *item, &block) && block.tag == NT_TAG_WORK;
}

void IoFreeWorkItem(PIO_WORKITEM item)
{
    bool queued;

    (void)nt_irql_check(DISPATCH_LEVEL, "IoFreeWorkItem");
    if (!is_item(item)) {
        nt_report(NT_MISUSE_WORK, "IoFreeWorkItem of %p, which is no work item", (void *)item);
        return;
    }
    (void)pthread_mutex_lock(&lock);
    queued = item->routine != NULL;
    (void)pthread_mutex_unlock(&lock);
    if (queued)
        nt_report(NT_MISUSE_WORK, "IoFreeWorkItem of an item that is queued: it is kept");
    else
        (void)nt_block_free(item, 1u << NT_MEMORY_POOL, NULL);
}

static void run(PIO_WORKITEM_ROUTINE routine, PDEVICE_OBJECT device, PVOID context)
{
    routine(device, context);
    if (nt_irql() != PASSIVE_LEVEL || nt_locks_held() != 0) {
        nt_report(NT_MISUSE_IRQL, "a work item's routine returned at IRQL %u with %u spin locks",
                  nt_irql(), nt_locks_held());
        (void)nt_irql_set(PASSIVE_LEVEL);
    }
}

static void *work_thread(void *unused)
{
    (void)unused;
    (void)pthread_mutex_lock(&lock);
    while (first != NULL) {
        struct _IO_WORKITEM *item = first;
        PIO_WORKITEM_ROUTINE routine = item->routine;
        PVOID context = item->context;
        PDEVICE_OBJECT device = item->device;

        first = item->next;
        if (first == NULL)
            last = &first;
        item->routine = NULL; /* from here on it may be queued again, or freed */
        (void)pthread_mutex_unlock(&lock);
        run(routine, device, context);
        (void)pthread_mutex_lock(&lock);
    }
    working = false;
    (void)pthread_cond_broadcast(&idle);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

/* `lock` is held. */
static void need_thread(void)
{
    pthread_t thread;
    int failed;

    if (working)
        return;
    failed = pthread_create(&thread, NULL, work_thread, NULL);
    if (failed != 0) {
        /* It stays queued: the next one tries again. */
        log_error("work items: no thread: %s", strerror(failed));
        return;
    }
    (void)pthread_detach(thread);
    working = true;
}

void IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE queue,
                     PVOID context)
{
    bool queued;

    (void)queue; /* one thread serves all priorities */
    (void)nt_irql_check(DISPATCH_LEVEL, "IoQueueWorkItem");
    if (!is_item(item) || routine == NULL) {
        nt_report(NT_MISUSE_WORK, "IoQueueWorkItem of %p, which is no work item, or no routine",
                  (void *)item);
        return;
    }
    (void)pthread_mutex_lock(&lock);
    queued = item->routine != NULL;
    if (!queued) {
        item->routine = routine;
        item->context = context;
        item->next = NULL;
        *last = item;
        last = &item->next;
        need_thread();
    }
    (void)pthread_mutex_unlock(&lock);
    if (queued)
        nt_report(NT_MISUSE_WORK, "IoQueueWorkItem of an item that is queued already: ignored");
}

void nt_work_drain(void)
{
    (void)pthread_mutex_lock(&lock);
    while (working)
        (void)pthread_cond_wait(&idle, &lock);
    (void)pthread_mutex_unlock(&lock);
}
