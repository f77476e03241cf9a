// SPDX-License-Identifier: Apache-2.0
/*
 * A driver shares the kernel side's process, as on Windows: when it crashes the host has crashed.
 * What stays is one line in the log: the signal, the thread, and the DDI it was in. And when it
 * never comes back, whoever waits is told which call that is (dxgk_longest_call).
 */
#ifndef DXGK_CRASH_H
#define DXGK_CRASH_H

struct dxgk_call;

/* Around each DDI, on its thread; nest. `call` stays valid between the two. */
void dxgk_crash_enter(struct dxgk_call *call);
void dxgk_crash_leave(const struct dxgk_call *call);

#endif
