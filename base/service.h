// SPDX-License-Identifier: Apache-2.0
/*
 * A thread that works for its owner until it is told to end, and the lock and the condition by
 * which the two meet. A struct vf_service of zeros is none.
 */
#ifndef VF_BASE_SERVICE_H
#define VF_BASE_SERVICE_H

#include "base/error.h"
#include "base/thread.h"

struct vf_service {
    pthread_mutex_t lock; /* guards `ending`, and what its owner says */
    pthread_cond_t wake;  /* `ending` was set, or what its owner says has changed */
    bool ending;          /* the thread is to return */
    const char *name;     /* NULL = none; for who lists threads, 15 letters at most */
    void *(*main)(void *arg);
    void *arg;
    pthread_t thread;
};

/* Starts main(arg) in a thread of that name. After -1 there is none, and nothing to undo. */
int vf_service_start(struct vf_service *service, const char *name, void *(*main)(void *arg),
                     void *arg, struct vf_error *err);
/* Tells the thread to end and waits until it has. What it waits for beside `wake` is the caller's
 * to end before. */
void vf_service_stop(struct vf_service *service);

/* The thread, without the lock: sleeps so long. False once it is to end. */
bool vf_service_nap(struct vf_service *service, uint64_t ns);

#endif
