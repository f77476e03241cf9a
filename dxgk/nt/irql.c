// SPDX-License-Identifier: Apache-2.0
/*
 * IRQL as a property of the calling thread. It masks nothing: it says what the thread may call, and
 * dxgk gives each of its threads the level Windows would run it at.
 */
#include "dxgk/nt/internal.h"

#include <unistd.h>

static _Thread_local KIRQL current_irql;
static _Thread_local unsigned locks_held;

KIRQL nt_irql(void)
{
    return current_irql;
}

KIRQL nt_irql_set(KIRQL irql)
{
    KIRQL old = current_irql;

    current_irql = irql;
    return old;
}

bool nt_irql_check(KIRQL max, const char *what)
{
    if (current_irql <= max)
        return true;
    nt_report(NT_MISUSE_IRQL, "%s called at IRQL %u, it is for %u and below", what, current_irql,
              max);
    return false;
}

unsigned nt_locks_held(void)
{
    return locks_held;
}

void nt_locks_count(int step)
{
    locks_held = (unsigned)((int)locks_held + step);
}

uint32_t nt_thread_id(void)
{
    static _Thread_local uint32_t id;

    if (id == 0)
        id = (uint32_t)gettid();
    return id;
}

KIRQL KeGetCurrentIrql(void)
{
    return current_irql;
}

void KeRaiseIrql(KIRQL new_irql, PKIRQL old_irql)
{
    *old_irql = current_irql;
    if (new_irql > HIGH_LEVEL || new_irql < current_irql) {
        nt_report(NT_MISUSE_IRQL, "KeRaiseIrql from %u to %u: it only raises, up to %u",
                  current_irql, new_irql, HIGH_LEVEL);
        return;
    }
    current_irql = new_irql;
}

void KeLowerIrql(KIRQL new_irql)
{
    if (new_irql > current_irql) {
        nt_report(NT_MISUSE_IRQL, "KeLowerIrql from %u to %u: it only lowers", current_irql,
                  new_irql);
        return;
    }
    if (new_irql < DISPATCH_LEVEL && locks_held > 0)
        nt_report(NT_MISUSE_IRQL, "KeLowerIrql to %u with %u spin locks held", new_irql,
                  locks_held);
    current_irql = new_irql;
}
