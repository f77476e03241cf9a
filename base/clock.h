// SPDX-License-Identifier: Apache-2.0
/* What time it is. Any thread. */
#ifndef VF_BASE_CLOCK_H
#define VF_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t vf_now_ns(void);
/* CLOCK_REALTIME in nanoseconds since 1970: for what people read, never for waiting. */
uint64_t vf_realtime_ns(void);
#endif
