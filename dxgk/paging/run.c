// SPDX-License-Identifier: Apache-2.0
/* One paging operation whose caller waits for its end. See dxgk_paging_run in paging.h. */
#include "dxgk/paging/private.h"

#include "base/thread.h"
#include "dxgk/waits.h"

struct run {
    struct dxgk_paging_work work; /* first: run_ended() gets from it to the run */
    pthread_mutex_t lock;         /* guards what follows */
    pthread_cond_t ended;
    bool done;
    int status;
};

static void run_ended(struct dxgk_paging_work *work, int status)
{
    struct run *run = (struct run *)(void *)work;

    vf_lock(&run->lock);
    run->done = true;
    run->status = status;
    vf_cond_signal(&run->ended);
    vf_unlock(&run->lock);
}

int dxgk_paging_run(struct dxgk_paging *paging, const struct dxgk_paging_work *work,
                    struct vf_error *err)
{
    struct run run = {
        .work = *work, .lock = VF_LOCK_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

    run.work.complete = run_ended;
    if (dxgk_paging_submit(paging, &run.work, err) != 0)
        return -1;
    vf_lock(&run.lock);
    dxgk_waits_for(&paging->adapter->interrupts);
    while (!run.done)
        vf_cond_wait(&run.ended, &run.lock);
    dxgk_waits_for(NULL);
    int status = run.status;
    vf_unlock(&run.lock);
    if (status != 0)
        return vf_fail_errno(err, VF_FAILED, -status, "the paging engine failed");
    return 0;
}
