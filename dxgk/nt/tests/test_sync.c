// SPDX-License-Identifier: Apache-2.0
/* IRQL, spin locks, events, fast mutexes, clocks: they exclude, wake and time out, and misuse is
 * told and survived. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>

/* ---- IRQL ---- */

static void irql_is_raised_and_lowered_per_thread(void **state)
{
    KIRQL old;

    (void)state;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    assert_int_equal(old, PASSIVE_LEVEL);
    assert_int_equal(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(old);
    assert_int_equal(KeGetCurrentIrql(), PASSIVE_LEVEL);
    assert_no_misuse();
}

static void raising_down_and_lowering_up_are_reported(void **state)
{
    KIRQL old;

    (void)state;
    (void)nt_irql_set(DISPATCH_LEVEL);
    KeRaiseIrql(APC_LEVEL, &old);
    assert_misuse(NT_MISUSE_IRQL);
    assert_int_equal(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(DEVICE_LEVEL);
    assert_misuse(NT_MISUSE_IRQL);
    (void)nt_irql_set(PASSIVE_LEVEL);
}

/* ---- spin locks ---- */

static void spin_lock_raises_to_dispatch_level(void **state)
{
    KSPIN_LOCK lock;
    KIRQL old;

    (void)state;
    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &old);
    assert_int_equal(KeGetCurrentIrql(), DISPATCH_LEVEL);
    assert_int_equal(nt_locks_held(), 1);
    KeReleaseSpinLock(&lock, old);
    assert_int_equal(KeGetCurrentIrql(), PASSIVE_LEVEL);
    assert_int_equal(nt_locks_held(), 0);
    assert_int_equal(lock, 0);
    assert_no_misuse();
}

struct shared {
    KSPIN_LOCK lock;
    FAST_MUTEX mutex;
    uint64_t counter; /* guarded by either */
    KEVENT event;
    _Atomic int done;
};

static void *count_under_spin_lock(void *arg)
{
    struct shared *shared = arg;

    for (int i = 0; i < 20000; i++) {
        KIRQL old;

        KeAcquireSpinLock(&shared->lock, &old);
        shared->counter++;
        KeReleaseSpinLock(&shared->lock, old);
    }
    return NULL;
}

static void *count_under_fast_mutex(void *arg)
{
    struct shared *shared = arg;

    for (int i = 0; i < 5000; i++) {
        ExAcquireFastMutex(&shared->mutex);
        shared->counter++;
        ExReleaseFastMutex(&shared->mutex);
    }
    return NULL;
}

static void run_threads(int count, void *(*body)(void *), void *arg)
{
    pthread_t threads[8];

    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, arg), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void spin_lock_excludes(void **state)
{
    struct shared shared = {0};

    (void)state;
    run_threads(4, count_under_spin_lock, &shared);
    assert_int_equal(shared.counter, 80000);
    assert_no_misuse();
}

static void spin_lock_taken_twice_is_reported_not_hung(void **state)
{
    KSPIN_LOCK lock = 0;

    (void)state;
    (void)nt_irql_set(DISPATCH_LEVEL);
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeAcquireSpinLockAtDpcLevel(&lock);
    assert_misuse(NT_MISUSE_LOCK);
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&lock);
    assert_misuse(NT_MISUSE_LOCK);
    (void)nt_irql_set(PASSIVE_LEVEL);
}

static void *release_foreign(void *arg)
{
    (void)nt_irql_set(DISPATCH_LEVEL);
    KeReleaseSpinLockFromDpcLevel(arg);
    return NULL;
}

static void foreign_release_is_reported_and_the_lock_stays_held(void **state)
{
    KSPIN_LOCK lock = 0;

    (void)state;
    (void)nt_irql_set(DISPATCH_LEVEL);
    KeAcquireSpinLockAtDpcLevel(&lock);
    run_threads(1, release_foreign, &lock);
    assert_misuse(NT_MISUSE_LOCK);
    assert_false(KeTryToAcquireSpinLockAtDpcLevel(&lock));
    KeReleaseSpinLockFromDpcLevel(&lock);
    assert_true(KeTryToAcquireSpinLockAtDpcLevel(&lock));
    KeReleaseSpinLockFromDpcLevel(&lock);
    (void)nt_irql_set(PASSIVE_LEVEL);
    assert_no_misuse();
}

static void dpc_level_functions_below_dispatch_are_reported(void **state)
{
    KSPIN_LOCK lock = 0;

    (void)state;
    KeAcquireSpinLockAtDpcLevel(&lock);
    assert_misuse(NT_MISUSE_IRQL);
    KeReleaseSpinLockFromDpcLevel(&lock);
    assert_misuse(NT_MISUSE_IRQL);
}

/* ---- events ---- */

static void synchronisation_event_lets_one_through(void **state)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KEVENT event;

    (void)state;
    KeInitializeEvent(&event, SynchronizationEvent, TRUE);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero),
                     STATUS_SUCCESS);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero),
                     STATUS_TIMEOUT);
    assert_int_equal(KeSetEvent(&event, IO_NO_INCREMENT, FALSE), 0);
    assert_int_equal(KeSetEvent(&event, IO_NO_INCREMENT, FALSE), 1);
    assert_int_equal(KeReadStateEvent(&event), 1);
}

static void notification_event_lets_all_through_until_reset(void **state)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KEVENT event;

    (void)state;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero),
                         STATUS_SUCCESS);
    assert_int_equal(KeResetEvent(&event), 1);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &zero),
                     STATUS_TIMEOUT);
}

static void *wait_for_event(void *arg)
{
    struct shared *shared = arg;

    if (KeWaitForSingleObject(&shared->event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS)
        atomic_fetch_add(&shared->done, 1);
    return NULL;
}

static void every_set_releases_one_waiter(void **state)
{
    struct shared shared = {0};
    pthread_t threads[4];

    (void)state;
    KeInitializeEvent(&shared.event, SynchronizationEvent, FALSE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_event, &shared), 0);
    /* A set that finds no waiter yet leaves the event signalled, and the next would be lost: wait
     * until it was consumed. */
    for (int sets = 1; sets <= 4; sets++) {
        (void)KeSetEvent(&shared.event, IO_NO_INCREMENT, FALSE);
        while (atomic_load(&shared.done) < sets)
            (void)sched_yield();
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(KeReadStateEvent(&shared.event), 0);
}

static void one_set_of_a_notification_event_releases_all(void **state)
{
    struct shared shared = {0};
    pthread_t threads[4];

    (void)state;
    KeInitializeEvent(&shared.event, NotificationEvent, FALSE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_event, &shared), 0);
    (void)KeSetEvent(&shared.event, IO_NO_INCREMENT, FALSE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&shared.done), 4);
}

static void wait_times_out_in_its_time(void **state)
{
    LARGE_INTEGER timeout = {.QuadPart = -20000}; /* 2 ms */
    LARGE_INTEGER past = {.QuadPart = 1}; /* the year 1601 */
    LARGE_INTEGER before = KeQueryPerformanceCounter(NULL);
    KEVENT event;

    (void)state;
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout),
                     STATUS_TIMEOUT);
    assert_true(KeQueryPerformanceCounter(NULL).QuadPart - before.QuadPart >= 20000);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &past),
                     STATUS_TIMEOUT);
    assert_true(IsListEmpty(&event.Header.WaitListHead));
}

static void wait_at_dispatch_level_or_on_no_event_is_refused(void **state)
{
    struct {
        KEVENT event;
    } garbage = {.event = {.Header = {.Type = 77}}};
    KEVENT event;

    (void)state;
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    (void)nt_irql_set(DISPATCH_LEVEL);
    assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL),
                     STATUS_UNSUCCESSFUL);
    assert_misuse(NT_MISUSE_WAIT);
    (void)nt_irql_set(PASSIVE_LEVEL);
    assert_int_equal(KeWaitForSingleObject(&garbage, Executive, KernelMode, FALSE, NULL),
                     STATUS_INVALID_PARAMETER);
    assert_misuse(NT_MISUSE_WAIT);
}

/* ---- fast mutexes ---- */

static void fast_mutex_excludes(void **state)
{
    struct shared shared = {0};

    (void)state;
    ExInitializeFastMutex(&shared.mutex);
    run_threads(4, count_under_fast_mutex, &shared);
    assert_int_equal(shared.counter, 20000);
    assert_int_equal(shared.mutex.Count, 1);
    assert_no_misuse();
}

static void fast_mutex_runs_its_owner_at_apc_level(void **state)
{
    FAST_MUTEX mutex;

    (void)state;
    ExInitializeFastMutex(&mutex);
    assert_true(ExTryToAcquireFastMutex(&mutex));
    assert_int_equal(KeGetCurrentIrql(), APC_LEVEL);
    assert_false(ExTryToAcquireFastMutex(&mutex));
    ExAcquireFastMutex(&mutex);
    assert_misuse(NT_MISUSE_LOCK);
    ExReleaseFastMutex(&mutex);
    assert_int_equal(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ExReleaseFastMutex(&mutex);
    assert_misuse(NT_MISUSE_LOCK);
}

/* ---- clocks ---- */

static void clocks_agree_on_100_ns(void **state)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER before = KeQueryPerformanceCounter(&frequency);

    (void)state;
    assert_int_equal(frequency.QuadPart, 10000000);
    KeStallExecutionProcessor(30);
    assert_true(KeQueryPerformanceCounter(NULL).QuadPart - before.QuadPart >= 300);
    assert_true(KeQueryInterruptTime() >= (ULONGLONG)before.QuadPart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        nt_test(irql_is_raised_and_lowered_per_thread),
        nt_test(raising_down_and_lowering_up_are_reported),
        nt_test(spin_lock_raises_to_dispatch_level),
        nt_test(spin_lock_excludes),
        nt_test(spin_lock_taken_twice_is_reported_not_hung),
        nt_test(foreign_release_is_reported_and_the_lock_stays_held),
        nt_test(dpc_level_functions_below_dispatch_are_reported),
        nt_test(synchronisation_event_lets_one_through),
        nt_test(notification_event_lets_all_through_until_reset),
        nt_test(every_set_releases_one_waiter),
        nt_test(one_set_of_a_notification_event_releases_all),
        nt_test(wait_times_out_in_its_time),
        nt_test(wait_at_dispatch_level_or_on_no_event_is_refused),
        nt_test(fast_mutex_excludes),
        nt_test(fast_mutex_runs_its_owner_at_apc_level),
        nt_test(clocks_agree_on_100_ns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
