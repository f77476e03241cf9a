// SPDX-License-Identifier: Apache-2.0
/* See service.h. */
#include "base/service.h"

#include "base/clock.h"
#include "base/limits.h"

#include <sys/prctl.h>

static void *named(void *arg)
{
    struct vf_service *service = arg;

    (void)prctl(PR_SET_NAME, service->name);
    return service->main(service->arg);
}

static void discard(struct vf_service *service)
{
    vf_cond_fini(&service->wake);
    vf_lock_fini(&service->lock);
    *service = (struct vf_service){.name = NULL};
}

int vf_service_start(struct vf_service *service, const char *name, void *(*main)(void *arg),
                     void *arg, struct vf_error *err)
{
    *service = (struct vf_service){.name = name, .main = main, .arg = arg};
    vf_lock_init(&service->lock);
    vf_cond_init(&service->wake);
    if (pthread_create(&service->thread, NULL, named, service) == 0)
        return 0;
    discard(service);
    return vf_fail(err, VF_FAILED, "thread %s: " VF_NO_THREAD, name);
}

void vf_service_stop(struct vf_service *service)
{
    if (service->name == NULL)
        return;
    vf_lock(&service->lock);
    service->ending = true;
    vf_cond_broadcast(&service->wake);
    vf_unlock(&service->lock);
    (void)pthread_join(service->thread, NULL);
    discard(service);
}

bool vf_service_nap(struct vf_service *service, uint64_t ns)
{
    const uint64_t until_ns = vf_now_ns() + ns;
    bool ending;

    vf_lock(&service->lock);
    while (!service->ending && vf_cond_wait_until(&service->wake, &service->lock, until_ns))
        continue;
    ending = service->ending;
    vf_unlock(&service->lock);
    return !ending;
}
