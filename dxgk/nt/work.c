// SPDX-License-Identifier: Apache-2.0
/*
 * Work items: routines that a thread of the system runs at PASSIVE_LEVEL, one after the other. The
 * thread starts with the first item and stays as long as the process, since what is queued must
 * run: a driver waits for it when it stops, and then holds up an update.
 */
#include "dxgk/nt/internal.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"

#include <pthread.h>
#include <sys/prctl.h>

struct _IO_WORKITEM {
    PDEVICE_OBJECT device; /* fixed */
    /* Guarded by `lock`: */
    PIO_WORKITEM_ROUTINE routine; /* NULL = not queued */
    PVOID context;
    struct _IO_WORKITEM *next;
};

static pthread_mutex_t lock = VF_LOCK_INITIALIZER;       /* guards what follows and the items */
static pthread_cond_t queued = PTHREAD_COND_INITIALIZER; /* `first` is no longer NULL */
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;   /* nothing is queued, nothing runs */
static struct _IO_WORKITEM *first, **last = &first;
static bool started; /* the thread is there */
static bool running; /* it runs a routine */

static void run(PIO_WORKITEM_ROUTINE routine, PDEVICE_OBJECT device, PVOID context)
{
    routine(device, context);
    if (nt_irql() != PASSIVE_LEVEL || nt_locks_held() != 0) {
        nt_report(NT_MISUSE_IRQL, "a work item's routine returned at IRQL %u with %u spin locks",
                  nt_irql(), nt_locks_held());
        (void)nt_irql_set(PASSIVE_LEVEL);
    }
}

/* `lock` is held, but not while the routine runs. */
static void run_first(void)
{
    struct _IO_WORKITEM *item = first;
    PIO_WORKITEM_ROUTINE routine = item->routine;
    PVOID context = item->context;
    PDEVICE_OBJECT device = item->device;

    first = item->next;
    if (first == NULL)
        last = &first;
    item->routine = NULL; /* from here on it may be queued again, or freed */
    running = true;
    vf_unlock(&lock);
    run(routine, device, context);
    vf_lock(&lock);
    running = false;
}

static void *work_thread(void *unused)
{
    (void)unused;
    (void)prctl(PR_SET_NAME, "work items");
    vf_lock(&lock);
    for (;;) {
        while (first != NULL)
            run_first();
        vf_cond_broadcast(&idle);
        vf_cond_wait(&queued, &lock);
    }
    return NULL;
}

/* False when the system gives no thread. */
static bool have_thread(void)
{
    pthread_t thread;
    bool there;

    vf_lock(&lock);
    if (!started && pthread_create(&thread, NULL, work_thread, NULL) == 0) {
        (void)pthread_detach(thread);
        started = true;
    }
    there = started;
    vf_unlock(&lock);
    return there;
}

PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT device)
{
    PIO_WORKITEM item;

    (void)nt_irql_check(DISPATCH_LEVEL, "IoAllocateWorkItem");
    if (!have_thread()) {
        log_error("a driver gets no work item: " VF_NO_THREAD);
        return NULL;
    }
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
    bool busy;

    (void)nt_irql_check(DISPATCH_LEVEL, "IoFreeWorkItem");
    if (!is_item(item)) {
        nt_report(NT_MISUSE_WORK, "IoFreeWorkItem of %p, which is no work item", (void *)item);
        return;
    }
    vf_lock(&lock);
    busy = item->routine != NULL;
    vf_unlock(&lock);
    if (busy)
        nt_report(NT_MISUSE_WORK, "IoFreeWorkItem of an item that is queued: it is kept");
    else
        (void)nt_block_free(item, 1u << NT_MEMORY_POOL, NULL);
}

void IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE queue,
                     PVOID context)
{
    bool busy;

    (void)queue; /* one thread serves all priorities */
    (void)nt_irql_check(DISPATCH_LEVEL, "IoQueueWorkItem");
    if (!is_item(item) || routine == NULL) {
        nt_report(NT_MISUSE_WORK, "IoQueueWorkItem of %p, which is no work item, or no routine",
                  (void *)item);
        return;
    }
    vf_lock(&lock);
    busy = item->routine != NULL;
    if (!busy) {
        item->routine = routine;
        item->context = context;
        item->next = NULL;
        *last = item;
        last = &item->next;
        vf_cond_signal(&queued);
    }
    vf_unlock(&lock);
    if (busy)
        nt_report(NT_MISUSE_WORK, "IoQueueWorkItem of an item that is queued already: ignored");
}

void nt_work_drain(void)
{
    vf_lock(&lock);
    while (first != NULL || running)
        vf_cond_wait(&idle, &lock);
    vf_unlock(&lock);
}
