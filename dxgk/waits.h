// SPDX-License-Identifier: Apache-2.0
/*
 * A record of what each thread does: which call of a driver it is in, which resources it holds that
 * other threads wait for, and which resource it waits for itself. From these the kernel side tells
 * a client that waits for a driver's call which call that is (dxgk_waiters), and troubles no client
 * with a call that it does not wait for.
 *
 * A resource is named by an address: that of a lock, a gate, or of anything else that threads hold
 * one at a time or together. Any thread may call all of these; each takes one short lock.
 */
#ifndef DXGK_WAITS_H
#define DXGK_WAITS_H

#include <pthread.h>

struct dxgk_call;

/* The calling thread enters a DDI, and has come back from it. `call` must stay valid between the
 * two; calls may nest. */
void dxgk_waits_call(struct dxgk_call *call);
void dxgk_waits_returned(const struct dxgk_call *call);
/* The innermost DDI that the calling thread is in; NULL = none. Async-signal-safe. */
const struct dxgk_call *dxgk_waits_current(void);

/* The calling thread waits for this resource from now on; NULL: it waits for none. */
void dxgk_waits_for(const void *what);
/* The calling thread has got the resource and waits no longer; and has given it back. To be called
 * in pairs. */
void dxgk_waits_holds(const void *what);
void dxgk_waits_lets_go(const void *what);
/* Lock and unlock a mutex that is held during DDIs, and record that as above. */
void dxgk_lock(pthread_mutex_t *lock);
void dxgk_unlock(pthread_mutex_t *lock);

/* The name of the partition that the calling thread works on, until the next dxgk_serve. Copied. */
void dxgk_waits_about(const char *partition);
/* The name given by dxgk_waits_about; "" = none. Valid until the thread's next dxgk_waits_about
 * or dxgk_serve. */
const char *dxgk_waits_partition(void);

#endif
