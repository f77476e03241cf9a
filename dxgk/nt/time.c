// SPDX-License-Identifier: Apache-2.0
/* Clocks, stalls and delays. */
#include "dxgk/nt/clock.h"
#include "dxgk/nt/internal.h"

#include <errno.h>

#define TICKS_PER_SECOND 10000000LL /* 100 ns, the frequency Windows reports as well */
#define NS_PER_TICK 100LL
#define NS_PER_SECOND 1000000000LL
#define EPOCH_1601_TO_1970 11644473600LL /* seconds */

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

struct timespec nt_deadline(int64_t timeout)
{
    int64_t ticks;
    int64_t deadline;

    if (timeout < 0) {
        ticks = timeout == INT64_MIN ? INT64_MAX : -timeout;
    } else {
        ticks = timeout -
                (EPOCH_1601_TO_1970 * TICKS_PER_SECOND + now_ns(CLOCK_REALTIME) / NS_PER_TICK);
        if (ticks < 0)
            ticks = 0;
    }
    if (ticks > INT64_MAX / NS_PER_TICK ||
        __builtin_add_overflow(now_ns(CLOCK_MONOTONIC), ticks * NS_PER_TICK, &deadline))
        deadline = INT64_MAX; /* 292 years */
    return (struct timespec){.tv_sec = deadline / NS_PER_SECOND,
                             .tv_nsec = deadline % NS_PER_SECOND};
}

LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER frequency)
{
    if (frequency != NULL)
        frequency->QuadPart = TICKS_PER_SECOND;
    return (LARGE_INTEGER){.QuadPart = now_ns(CLOCK_MONOTONIC) / NS_PER_TICK};
}

ULONGLONG KeQueryInterruptTime(void)
{
    return (ULONGLONG)(now_ns(CLOCK_MONOTONIC) / NS_PER_TICK);
}

void KeStallExecutionProcessor(ULONG microseconds)
{
    int64_t end = now_ns(CLOCK_MONOTONIC) + (int64_t)microseconds * 1000;

    while (now_ns(CLOCK_MONOTONIC) < end)
        YieldProcessor();
}

NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER interval)
{
    struct timespec deadline = nt_deadline(interval->QuadPart);

    (void)mode;
    (void)alertable;
    if (nt_irql() > APC_LEVEL) {
        nt_report(NT_MISUSE_WAIT, "KeDelayExecutionThread at IRQL %u", nt_irql());
        return STATUS_UNSUCCESSFUL;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR)
        ;
    return STATUS_SUCCESS;
}
