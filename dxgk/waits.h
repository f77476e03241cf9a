// SPDX-License-Identifier: Apache-2.0
/*
 * What each thread is at: the driver's call that it is in, what it holds that others wait for, and
 * what it waits for itself. So whoever waits for a driver that never comes back can be told which
 * of its calls that is, and nobody is told of one that does not concern it.
 *
 * "What" is an address that stands for something only one of them has at a time, or that they have
 * together, as a lock. Any thread; nothing here waits for longer than a list is walked.
 */
#ifndef DXGK_WAITS_H
#define DXGK_WAITS_H

#include <pthread.h>

struct dxgk_call;

/* Around each DDI, on its thread; nest. `call` stays valid between the two. */
void dxgk_waits_call(struct dxgk_call *call);
void dxgk_waits_returned(const struct dxgk_call *call);
/* The innermost that the calling thread is in; NULL = none. Async-signal-safe. */
const struct dxgk_call *dxgk_waits_current(void);

/* From now on the calling thread waits for it; or, with NULL, for nothing any more. */
void dxgk_waits_for(const void *what);
/* It has it, and waits no longer; then no more. As often the one as the other. */
void dxgk_waits_holds(const void *what);
void dxgk_waits_lets_go(const void *what);
/* A mutex that is held over DDIs, taken and given back with that said. */
void dxgk_lock(pthread_mutex_t *lock);
void dxgk_unlock(pthread_mutex_t *lock);

/* The name of the partition that the calling thread works on, until the next dxgk_serve. Copied. */
void dxgk_waits_about(const char *partition);
/* That name; "" = none. It is the calling thread's, and stays valid until its next call of these
 * two. */
const char *dxgk_waits_partition(void);

#endif
