// SPDX-License-Identifier: Apache-2.0
/* See clock.h. */
#include "base/clock.h"

#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t vf_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t vf_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
