// SPDX-License-Identifier: Apache-2.0
/*
 * A thread kept back, for when the system gives no other: whoever cannot be served is told why
 * by it. It does one thing at a time.
 */
#ifndef VF_BASE_SPARE_THREAD_H
#define VF_BASE_SPARE_THREAD_H

#include "base/error.h"

#include <stdbool.h>

struct vf_spare_thread;

/* Starts the thread, idle. The caller closes *out. */
int vf_spare_thread_open(struct vf_spare_thread **out, struct vf_error *err);
/* Waits until its work is done, and ends it. NULL is allowed. */
void vf_spare_thread_close(struct vf_spare_thread *spare);

/* Has the spare thread do work(arg), and does not wait for the end of that. False: it was busy all
 * through `patience_ms`, and work will not be called. Any thread. */
bool vf_spare_thread_give(struct vf_spare_thread *spare, unsigned patience_ms,
                          void (*work)(void *arg), void *arg);

#endif
