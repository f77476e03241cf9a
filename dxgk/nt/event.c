// SPDX-License-Identifier: Apache-2.0
/*
 * KEVENT and FAST_MUTEX. A set of a synchronisation event goes straight to a waiter when there is
 * one, as on Windows: two sets release two waiters, however late these run. That rules out a bare
 * futex on the state word.
 */
#include "dxgk/nt/internal.h"

#include "base/thread.h"
#include "dxgk/nt/clock.h"

#include <pthread.h>
#include <time.h>

#define EVENT_WORDS (sizeof(KEVENT) / sizeof(LONG)) /* what Windows keeps in Header.Size */
#define BUCKETS 16u

/* One sleeping thread, on its stack. All members are guarded by the bucket's lock. */
struct wait_block {
    LIST_ENTRY link;
    pthread_cond_t wake;
    bool released;
};

/* The state and the wait list of an event are guarded by the lock its address hashes to: a KEVENT
 * has no room for one, and a driver may forget an event without telling anyone. */
static pthread_mutex_t buckets[BUCKETS] = {
    VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER,
    VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER,
    VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER,
    VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER, VF_LOCK_INITIALIZER,
};

static pthread_mutex_t *bucket_of(const KEVENT *event)
{
    return &buckets[((uintptr_t)event >> 4) % BUCKETS];
}

static bool is_event(const KEVENT *event)
{
    return event->Header.Size == EVENT_WORDS && event->Header.Type <= SynchronizationEvent;
}

void KeInitializeEvent(PRKEVENT event, EVENT_TYPE type, BOOLEAN state)
{
    *event = (KEVENT){
        .Header = {.Type = (UCHAR)type, .Size = EVENT_WORDS, .SignalState = state != FALSE}};
    InitializeListHead(&event->Header.WaitListHead);
}

static void release_waiter(struct wait_block *block)
{
    (void)RemoveEntryList(&block->link);
    block->released = true;
    /* Under the lock: the block is gone as soon as its thread has it. */
    vf_cond_signal(&block->wake);
}

LONG KeSetEvent(PRKEVENT event, KPRIORITY increment, BOOLEAN wait)
{
    LIST_ENTRY *waiters = &event->Header.WaitListHead;
    LONG before;

    (void)increment;
    (void)nt_irql_check(wait ? APC_LEVEL : DISPATCH_LEVEL, "KeSetEvent");
    if (!is_event(event)) {
        nt_report(NT_MISUSE_WAIT, "KeSetEvent on %p, which is no initialised event", (void *)event);
        return 0;
    }
    vf_lock(bucket_of(event));
    before = event->Header.SignalState;
    if (event->Header.Type == SynchronizationEvent && !IsListEmpty(waiters)) {
        release_waiter(CONTAINING_RECORD(waiters->Flink, struct wait_block, link));
    } else {
        event->Header.SignalState = 1;
        while (!IsListEmpty(waiters))
            release_waiter(CONTAINING_RECORD(waiters->Flink, struct wait_block, link));
    }
    vf_unlock(bucket_of(event));
    return before;
}

LONG KeResetEvent(PRKEVENT event)
{
    LONG before;

    vf_lock(bucket_of(event));
    before = event->Header.SignalState;
    event->Header.SignalState = 0;
    vf_unlock(bucket_of(event));
    return before;
}

void KeClearEvent(PRKEVENT event)
{
    (void)KeResetEvent(event);
}

LONG KeReadStateEvent(PRKEVENT event)
{
    LONG state;

    vf_lock(bucket_of(event));
    state = event->Header.SignalState;
    vf_unlock(bucket_of(event));
    return state;
}

/* Sleeps until released or `deadline` (CLOCK_MONOTONIC; NULL = for ever). The bucket's lock
 * is held. */
static NTSTATUS sleep_on(PRKEVENT event, const struct timespec *deadline)
{
    struct wait_block block = {.wake = PTHREAD_COND_INITIALIZER, .released = false};
    pthread_mutex_t *lock = bucket_of(event);
    int late = 0;

    InsertTailList(&event->Header.WaitListHead, &block.link);
    while (!block.released && late == 0)
        late = deadline == NULL
                   ? pthread_cond_wait(&block.wake, lock)
                   : pthread_cond_clockwait(&block.wake, lock, CLOCK_MONOTONIC, deadline);
    if (!block.released)
        (void)RemoveEntryList(&block.link);
    vf_cond_fini(&block.wake);
    return block.released ? STATUS_SUCCESS : STATUS_TIMEOUT;
}

NTSTATUS KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                               BOOLEAN alertable, PLARGE_INTEGER timeout)
{
    PRKEVENT event = object;
    bool poll = timeout != NULL && timeout->QuadPart == 0;
    struct timespec deadline;
    NTSTATUS status;

    (void)reason;
    (void)mode;
    (void)alertable;
    if (!is_event(event)) {
        nt_report(NT_MISUSE_WAIT, "KeWaitForSingleObject on %p, which is no initialised event",
                  object);
        return STATUS_INVALID_PARAMETER;
    }
    if (nt_irql() > (poll ? DISPATCH_LEVEL : APC_LEVEL)) {
        /* Refused rather than waited: at DISPATCH_LEVEL the one who would set it may be waiting for
         * this thread. */
        nt_report(NT_MISUSE_WAIT, "KeWaitForSingleObject at IRQL %u", nt_irql());
        return STATUS_UNSUCCESSFUL;
    }
    if (timeout != NULL && !poll)
        deadline = nt_deadline(timeout->QuadPart);

    vf_lock(bucket_of(event));
    if (event->Header.SignalState != 0) {
        if (event->Header.Type == SynchronizationEvent)
            event->Header.SignalState = 0;
        status = STATUS_SUCCESS;
    } else if (poll) {
        status = STATUS_TIMEOUT;
    } else {
        status = sleep_on(event, timeout != NULL ? &deadline : NULL);
    }
    vf_unlock(bucket_of(event));
    return status;
}

/* Never a real address: only compared with itself. */
static PVOID this_thread(void)
{
    return (PVOID)(uintptr_t)nt_thread_id();
}

void ExInitializeFastMutex(PFAST_MUTEX mutex)
{
    *mutex = (FAST_MUTEX){.Count = 1};
    KeInitializeEvent(&mutex->Event, SynchronizationEvent, FALSE);
}

static void own(PFAST_MUTEX mutex, KIRQL old)
{
    __atomic_store_n(&mutex->Owner, this_thread(), __ATOMIC_RELAXED);
    mutex->OldIrql = old;
}

/* Count is 1 when free, 0 when held, 0 - n with n waiters; a release hands the mutex on through
 * the event. */
void ExAcquireFastMutex(PFAST_MUTEX mutex)
{
    KIRQL old = nt_irql();

    if (!nt_irql_check(APC_LEVEL, "ExAcquireFastMutex"))
        return;
    if (__atomic_load_n(&mutex->Owner, __ATOMIC_RELAXED) == this_thread()) {
        nt_report(NT_MISUSE_LOCK, "fast mutex %p acquired twice by one thread", (void *)mutex);
        return;
    }
    if (InterlockedDecrement(&mutex->Count) < 0) {
        (void)__atomic_add_fetch(&mutex->Contention, 1, __ATOMIC_RELAXED);
        (void)KeWaitForSingleObject(&mutex->Event, Executive, KernelMode, FALSE, NULL);
    }
    (void)nt_irql_set(APC_LEVEL);
    own(mutex, old);
}

BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX mutex)
{
    KIRQL old = nt_irql();

    if (!nt_irql_check(APC_LEVEL, "ExTryToAcquireFastMutex") ||
        InterlockedCompareExchange(&mutex->Count, 0, 1) != 1)
        return FALSE;
    (void)nt_irql_set(APC_LEVEL);
    own(mutex, old);
    return TRUE;
}

void ExReleaseFastMutex(PFAST_MUTEX mutex)
{
    KIRQL old = (KIRQL)mutex->OldIrql;

    if (__atomic_load_n(&mutex->Owner, __ATOMIC_RELAXED) != this_thread()) {
        nt_report(NT_MISUSE_LOCK, "fast mutex %p released by a thread that does not hold it",
                  (void *)mutex);
        return;
    }
    __atomic_store_n(&mutex->Owner, NULL, __ATOMIC_RELAXED);
    if (InterlockedIncrement(&mutex->Count) <= 0)
        (void)KeSetEvent(&mutex->Event, IO_NO_INCREMENT, FALSE);
    (void)nt_irql_set(old);
}
