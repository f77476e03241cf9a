// SPDX-License-Identifier: Apache-2.0
/* See spare_thread.h. */
#include "base/spare_thread.h"

#include "base/clock.h"
#include "base/service.h"

#include <stdlib.h>

struct vf_spare_thread {
    struct vf_service service; /* its lock guards what follows; not held while it works */
    void (*work)(void *arg);   /* NULL = idle */
    void *arg;
};

static void *spare_main(void *arg)
{
    struct vf_spare_thread *spare = arg;

    vf_lock(&spare->service.lock);
    while (spare->work != NULL || !spare->service.ending) {
        if (spare->work == NULL) {
            vf_cond_wait(&spare->service.wake, &spare->service.lock);
            continue;
        }
        vf_unlock(&spare->service.lock);
        spare->work(spare->arg); /* stays as it is until it is idle again */
        vf_lock(&spare->service.lock);
        spare->work = NULL;
        vf_cond_broadcast(&spare->service.wake);
    }
    vf_unlock(&spare->service.lock);
    return NULL;
}

int vf_spare_thread_open(struct vf_spare_thread **out, struct vf_error *err)
{
    struct vf_spare_thread *spare = calloc(1, sizeof *spare);

    if (spare == NULL)
        return vf_fail(err, VF_FAILED, "spare thread: " VF_NO_MEMORY);
    if (vf_service_start(&spare->service, "spare", spare_main, spare, err) != 0) {
        free(spare);
        return -1;
    }
    *out = spare;
    return 0;
}

void vf_spare_thread_close(struct vf_spare_thread *spare)
{
    if (spare == NULL)
        return;
    vf_service_stop(&spare->service);
    free(spare);
}

bool vf_spare_thread_give(struct vf_spare_thread *spare, unsigned patience_ms,
                          void (*work)(void *arg), void *arg)
{
    const uint64_t until_ns = vf_now_ns() + patience_ms * 1000000ull;
    bool taken;

    vf_lock(&spare->service.lock);
    while (spare->work != NULL && !spare->service.ending &&
           vf_cond_wait_until(&spare->service.wake, &spare->service.lock, until_ns))
        continue;
    taken = spare->work == NULL && !spare->service.ending;
    if (taken) {
        spare->work = work;
        spare->arg = arg;
        vf_cond_broadcast(&spare->service.wake);
    }
    vf_unlock(&spare->service.lock);
    return taken;
}
