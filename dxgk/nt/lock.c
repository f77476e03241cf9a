// SPDX-License-Identifier: Apache-2.0
/*
 * Spin locks for drivers. A driver's spin lock is held by a thread the host may preempt, so it
 * spins briefly and then sleeps in the kernel; the lock word also remembers its owner, which is
 * what finds double and foreign releases.
 */
#include "dxgk/nt/internal.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS_BEFORE_SLEEP 200

enum { FREE, HELD, HELD_WITH_WAITERS };

/* How the 8 bytes of a KSPIN_LOCK are used; zero is a free lock. */
struct spin {
    _Atomic uint32_t state; /* the futex word */
    _Atomic uint32_t owner; /* thread id, 0 when free; written by the owner only */
};
_Static_assert(sizeof(struct spin) == sizeof(KSPIN_LOCK),
               "a KSPIN_LOCK holds the lock and its owner");

static bool try_lock(struct spin *spin)
{
    uint32_t expected = FREE;

    return atomic_compare_exchange_strong_explicit(&spin->state, &expected, HELD,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void lock_slowly(struct spin *spin)
{
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        YieldProcessor();
        if (atomic_load_explicit(&spin->state, memory_order_relaxed) == FREE && try_lock(spin))
            return;
    }
    /* From here the lock counts as waited for, also when we get it: one needless wake is the price
     * of no lost one. */
    while (atomic_exchange_explicit(&spin->state, HELD_WITH_WAITERS, memory_order_acquire) != FREE)
        (void)syscall(SYS_futex, &spin->state, FUTEX_WAIT_PRIVATE, HELD_WITH_WAITERS, NULL, NULL,
                      0);
}

static void acquire(PKSPIN_LOCK lock)
{
    struct spin *spin = (struct spin *)lock;

    if (atomic_load_explicit(&spin->owner, memory_order_relaxed) == nt_thread_id()) {
        /* Windows would hang here for ever. Going on keeps the host alive; the release will be
         * reported too. */
        nt_report(NT_MISUSE_LOCK, "spin lock %p acquired twice by one thread", (void *)lock);
        return;
    }
    if (!try_lock(spin))
        lock_slowly(spin);
    atomic_store_explicit(&spin->owner, nt_thread_id(), memory_order_relaxed);
    nt_locks_count(1);
}

static void release(PKSPIN_LOCK lock)
{
    struct spin *spin = (struct spin *)lock;
    uint32_t owner = atomic_load_explicit(&spin->owner, memory_order_relaxed);

    if (owner != nt_thread_id()) {
        nt_report(NT_MISUSE_LOCK, "spin lock %p released by a thread that does not hold it%s",
                  (void *)lock, owner == 0 ? " (nobody does)" : "");
        return;
    }
    atomic_store_explicit(&spin->owner, 0, memory_order_relaxed);
    if (atomic_exchange_explicit(&spin->state, FREE, memory_order_release) == HELD_WITH_WAITERS)
        (void)syscall(SYS_futex, &spin->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    nt_locks_count(-1);
}

void KeInitializeSpinLock(PKSPIN_LOCK lock)
{
    struct spin *spin = (struct spin *)lock;

    atomic_init(&spin->state, FREE);
    atomic_init(&spin->owner, 0);
}

KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock)
{
    KIRQL old = nt_irql();

    if (nt_irql_check(DISPATCH_LEVEL, "KeAcquireSpinLock"))
        (void)nt_irql_set(DISPATCH_LEVEL);
    acquire(lock);
    return old;
}

void KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL new_irql)
{
    if (nt_irql() != DISPATCH_LEVEL)
        nt_report(NT_MISUSE_IRQL, "KeReleaseSpinLock at IRQL %u, the lock was taken at %u",
                  nt_irql(), DISPATCH_LEVEL);
    release(lock);
    if (new_irql <= nt_irql())
        (void)nt_irql_set(new_irql);
    else
        nt_report(NT_MISUSE_IRQL, "KeReleaseSpinLock to IRQL %u, above the present %u", new_irql,
                  nt_irql());
}

static void check_dispatch(const char *what)
{
    if (nt_irql() < DISPATCH_LEVEL)
        nt_report(NT_MISUSE_IRQL, "%s at IRQL %u, it is for %u and above", what, nt_irql(),
                  DISPATCH_LEVEL);
}

void KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
    check_dispatch("KeAcquireSpinLockAtDpcLevel");
    acquire(lock);
}

void KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock)
{
    check_dispatch("KeReleaseSpinLockFromDpcLevel");
    release(lock);
}

BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
    struct spin *spin = (struct spin *)lock;

    check_dispatch("KeTryToAcquireSpinLockAtDpcLevel");
    if (!try_lock(spin))
        return FALSE;
    atomic_store_explicit(&spin->owner, nt_thread_id(), memory_order_relaxed);
    nt_locks_count(1);
    return TRUE;
}
