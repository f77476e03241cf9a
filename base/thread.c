// SPDX-License-Identifier: Apache-2.0
/* See thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not by the log, which has a lock itself. */
void vf_thread_bug(const char *call, int error)
{
    char line[128];
    int length = snprintf(line, sizeof line, "bug: %s: %s\n", call, strerrordesc_np(error));

    if (length > 0)
        (void)!write(STDERR_FILENO, line, (size_t)length);
    abort();
}

void vf_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error == 0)
        error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    if (error == 0)
        error = pthread_mutex_init(lock, &attributes);
    if (error != 0)
        vf_thread_bug("pthread_mutex_init", error);
    (void)pthread_mutexattr_destroy(&attributes);
}

void vf_rw_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    int error = pthread_rwlockattr_init(&attributes);

    if (error == 0)
        error = pthread_rwlockattr_setkind_np(&attributes,
                                              PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (error == 0)
        error = pthread_rwlock_init(lock, &attributes);
    if (error != 0)
        vf_thread_bug("pthread_rwlock_init", error);
    (void)pthread_rwlockattr_destroy(&attributes);
}

void vf_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);

    if (error == 0)
        error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0)
        error = pthread_cond_init(cond, &attributes);
    if (error != 0)
        vf_thread_bug("pthread_cond_init", error);
    (void)pthread_condattr_destroy(&attributes);
}

bool vf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                                   .tv_nsec = (long)(until_ns % 1000000000u)};
    int error = until_ns == UINT64_MAX ? pthread_cond_wait(cond, lock)
                                       : pthread_cond_timedwait(cond, lock, &until);

    if (error != 0 && error != ETIMEDOUT)
        vf_thread_bug("pthread_cond_timedwait", error);
    return error == 0;
}

int vf_thread_detached(void *(*main)(void *arg), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);

    if (error != 0)
        return error;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, main, arg);
    (void)pthread_attr_destroy(&attributes);
    return error;
}
