// SPDX-License-Identifier: Apache-2.0
/*
 * Named trace points (USDT probes, provider "vferry") that bpftrace, perf and gdb attach to while
 * the program runs. docs/tracing.md lists them all; a test holds the list against the programs.
 *
 *     vf_trace(round_begin, job->id, s->round, dirty);
 *
 * `name` is a bare word; 1 to 12 arguments follow, each an integer or a pointer to a text that ends
 * with a zero byte and stays valid during the statement. The arguments are evaluated whether or not
 * anybody watches: pass what is at hand, compute nothing for it. Any thread, also with locks held.
 * Nobody watching, a trace point is one instruction that does nothing.
 *
 * Built where sys/sdt.h is absent, or with -Dtracing=disabled, it leaves no code behind.
 */
#ifndef VF_BASE_TRACE_H
#define VF_BASE_TRACE_H

#ifdef VF_TRACING

#define SDT_USE_VARIADIC 1 /* sys/sdt.h: STAP_PROBEV, which counts its arguments */
#include <sys/sdt.h>

#define vf_trace(name, ...) STAP_PROBEV(vferry, name, __VA_ARGS__)

#else

/* Never called: it keeps the arguments' types checked, and variables that only a trace point reads
 * in use. */
static inline void vf_trace_nothing(int unused, ...)
{
    (void)unused;
}

#define vf_trace(name, ...)                                                                        \
    do {                                                                                           \
        if (0)                                                                                     \
            vf_trace_nothing(0, __VA_ARGS__);                                                      \
    } while (0)

#endif
#endif
