// SPDX-License-Identifier: Apache-2.0
/* Windows' units of time in nt's terms. */
#ifndef DXGK_NT_CLOCK_H
#define DXGK_NT_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A timeout as KeWaitForSingleObject takes it (negative: relative, positive: absolute since 1601;
 * 100 ns) as a CLOCK_MONOTONIC deadline. */
struct timespec nt_deadline(int64_t timeout);

#endif
