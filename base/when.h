// SPDX-License-Identifier: Apache-2.0
/* A moment as people write it, for --since and --until. */
#ifndef VF_BASE_WHEN_H
#define VF_BASE_WHEN_H

#include <stdint.h>

/* What vf_when_parse takes, for the line that refuses anything else. */
#define VF_WHEN_FORMS                                                                              \
    "give an age (90s, 15m, 2h, 3d), local time (\"2026-11-29 04:00\") or RFC 3339 "               \
    "(2026-11-29T04:00:00Z)"

/*
 * Nanoseconds since 1970 (CLOCK_REALTIME) of
 *
 *   90s, 15m, 2h, 3d              so long before `now_ns`, but not before 1970
 *   2026-11-29 04:00[:00[.5]]     the time of the caller's time zone; T for the blank is the same
 *   2026-11-29T04:00:00Z, +01:00  RFC 3339
 *
 * 0, or -1 for anything else, *ns untouched. Any thread.
 */
int vf_when_parse(const char *text, uint64_t now_ns, uint64_t *ns);

#endif
