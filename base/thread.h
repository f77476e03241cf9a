// SPDX-License-Identifier: Apache-2.0
/*
 * Locks and conditions, for all that runs threads. A lock that cannot be taken, or that is given
 * back by a thread that does not hold it, is a bug: the program says so and ends (abort), for what
 * the lock guards can no longer be trusted. So none of these calls has an error for a result.
 */
#ifndef VF_BASE_THREAD_H
#define VF_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* For locks that are there before the program starts. */
#define VF_LOCK_INITIALIZER PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP

/* Says which call failed with which errno, and ends the program. */
void vf_thread_bug(const char *call, int error) __attribute__((noreturn, cold));

/* A lock that knows its owner: taking it twice, and giving back another thread's, are found. */
void vf_lock_init(pthread_mutex_t *lock);
/* A lock of many readers; a writer that waits does not starve behind readers that keep coming, so
 * no thread may read-lock it twice. */
void vf_rw_init(pthread_rwlock_t *lock);
/* A condition whose timed waits go by CLOCK_MONOTONIC. */
void vf_cond_init(pthread_cond_t *cond);

/* A thread that nobody joins. 0, or the errno of pthread_create. */
int vf_thread_detached(void *(*main)(void *arg), void *arg);

#define VF_THREAD_CALL(name, call, type)                                                           \
    static inline void name(type *object)                                                          \
    {                                                                                              \
        int error = call(object);                                                                  \
                                                                                                   \
        if (__builtin_expect(error != 0, 0))                                                       \
            vf_thread_bug(#call, error);                                                           \
    }

VF_THREAD_CALL(vf_lock, pthread_mutex_lock, pthread_mutex_t)
VF_THREAD_CALL(vf_unlock, pthread_mutex_unlock, pthread_mutex_t)
VF_THREAD_CALL(vf_lock_fini, pthread_mutex_destroy, pthread_mutex_t)
VF_THREAD_CALL(vf_read_lock, pthread_rwlock_rdlock, pthread_rwlock_t)
VF_THREAD_CALL(vf_write_lock, pthread_rwlock_wrlock, pthread_rwlock_t)
VF_THREAD_CALL(vf_rw_unlock, pthread_rwlock_unlock, pthread_rwlock_t)
VF_THREAD_CALL(vf_rw_fini, pthread_rwlock_destroy, pthread_rwlock_t)
VF_THREAD_CALL(vf_cond_broadcast, pthread_cond_broadcast, pthread_cond_t)
VF_THREAD_CALL(vf_cond_signal, pthread_cond_signal, pthread_cond_t)
VF_THREAD_CALL(vf_cond_fini, pthread_cond_destroy, pthread_cond_t)

/* The value of an expression, found under that lock. */
#define vf_locked(lock, value)                                                                     \
    __extension__({                                                                                \
        vf_lock(lock);                                                                             \
        __typeof__(value) found_ = (value);                                                        \
        vf_unlock(lock);                                                                           \
        found_;                                                                                    \
    })

static inline void vf_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    int error = pthread_cond_wait(cond, lock);

    if (__builtin_expect(error != 0, 0))
        vf_thread_bug("pthread_cond_wait", error);
}

/* Waits for a signal until that moment of CLOCK_MONOTONIC, UINT64_MAX = without end. False: it
 * has passed. The condition is vf_cond_init's. */
bool vf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);

#endif
