// SPDX-License-Identifier: Apache-2.0
/* See spare_thread.h. */
#include "base/spare_thread.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct vf_spare_thread {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; not held while it works */
    pthread_cond_t changed;
    void (*work)(void *arg); /* NULL = idle */
    void *arg;
    bool closing;
};

static void *spare_main(void *arg)
{
    struct vf_spare_thread *spare = arg;

    (void)prctl(PR_SET_NAME, "spare");
    vf_lock(&spare->lock);
    while (spare->work != NULL || !spare->closing) {
        if (spare->work == NULL) {
            vf_cond_wait(&spare->changed, &spare->lock);
            continue;
        }
        vf_unlock(&spare->lock);
        spare->work(spare->arg); /* stays as it is until it is idle again */
        vf_lock(&spare->lock);
        spare->work = NULL;
        vf_cond_broadcast(&spare->changed);
    }
    vf_unlock(&spare->lock);
    return NULL;
}

int vf_spare_thread_open(struct vf_spare_thread **out, struct vf_error *err)
{
    struct vf_spare_thread *spare = calloc(1, sizeof *spare);

    if (spare == NULL)
        return vf_fail(err, VF_FAILED, "spare thread: " VF_NO_MEMORY);
    vf_lock_init(&spare->lock);
    vf_cond_init(&spare->changed);
    if (pthread_create(&spare->thread, NULL, spare_main, spare) != 0) {
        vf_cond_fini(&spare->changed);
        vf_lock_fini(&spare->lock);
        free(spare);
        return vf_fail(err, VF_FAILED, "spare thread: " VF_NO_THREAD);
    }
    *out = spare;
    return 0;
}

void vf_spare_thread_close(struct vf_spare_thread *spare)
{
    if (spare == NULL)
        return;
    vf_lock(&spare->lock);
    spare->closing = true;
    vf_cond_broadcast(&spare->changed);
    vf_unlock(&spare->lock);
    (void)pthread_join(spare->thread, NULL);
    vf_cond_fini(&spare->changed);
    vf_lock_fini(&spare->lock);
    free(spare);
}

bool vf_spare_thread_give(struct vf_spare_thread *spare, unsigned patience_ms,
                          void (*work)(void *arg), void *arg)
{
    const uint64_t until_ns = vf_now_ns() + patience_ms * 1000000ull;
    bool taken;

    vf_lock(&spare->lock);
    while (spare->work != NULL && !spare->closing &&
           vf_cond_wait_until(&spare->changed, &spare->lock, until_ns))
        continue;
    taken = spare->work == NULL && !spare->closing;
    if (taken) {
        spare->work = work;
        spare->arg = arg;
        vf_cond_broadcast(&spare->changed);
    }
    vf_unlock(&spare->lock);
    return taken;
}
