// SPDX-License-Identifier: Apache-2.0
/* See partition_out.h. */
#define LOG_ROOM "migrate"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "migrate/handoff/copy.h"
#include "migrate/job/stand.h"
#include "migrate/mig.h"
#include "migrate/stream/stream.h"

#include <inttypes.h>
#include <string.h>

int partition_out_open(struct mig_job *job, const char *what, struct kc **kc,
                       struct vf_partition_info *p, struct vf_error *err)
{
    struct vf_partition_params params;
    uint64_t journalled;

    if (kc_connect(job->mig->kernel_socket, kc, err) != 0 ||
        kc_partition_find(*kc, job->partition, p, err) != 0 ||
        mig_refuse_unsettled(job->mig, p, err) != 0 ||
        kc_partition_params(*kc, p->id, &params, err) != 0)
        return -1;
    job->stays_paused = (p->holders & VF_HOLD_PERSON) != 0;
    if (p->state != VF_PARTITION_RUNNING && p->state != VF_PARTITION_PAUSED)
        return vf_fail(err, VF_FAILED, "partition %s: is %s; only a running or paused one can %s",
                       job->partition, vf_partition_state_name((enum vf_partition_state)p->state),
                       what);
    stand_driver(job, *kc, p->adapter);
    journalled = journal_epoch(job->mig->journal, p->uuid);
    job_set_partition(job, p->uuid, (params.epoch > journalled ? params.epoch : journalled) + 1,
                      p->vram_bytes, p->page_bytes);
    return 0;
}

int partition_out_describe(const struct mig_job *job, struct kc *kc,
                           const struct vf_partition_info *p, struct wire_admit *out,
                           struct vf_error *err)
{
    if (kc_partition_params(kc, p->id, &out->params, err) != 0)
        return -1;
    out->page_bytes = p->page_bytes;
    out->slot_bytes = stream_slot_bytes(p->page_bytes);
    out->stay_paused = job->stays_paused;
    out->epoch = job->epoch;
    return 0;
}

int partition_out_prepare(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                          bool *prepared, struct kc_blob *kmd, struct kc_blob *umed,
                          struct vf_error *err)
{
    int result;

    stand_calls(job, "DxgkDdiPrepareLiveMigration");
    result = kc_prepare(kc, p->id, KC_SOURCE, job->id, err);
    *prepared = result == 0;
    if (result == 0) {
        job_update(job, job->t.prepared = vf_now_ns());
        stand_calls(job, "DxgkDdiSaveImmutableMigrationData");
        result = kc_save_immutable(kc, p->id, kmd, umed, err);
    }
    stand_calls(job, NULL);
    return result;
}

int partition_out_pause(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                        bool *paused, struct vf_error *err)
{
    struct vf_partition_clock clock;
    uint64_t asked = vf_now_ns();

    if (!job->stays_paused) {
        int result;

        stand_begins(job, asked);
        stand_calls(job, "DxgkDdiSetVirtualFunctionPauseState");
        result = kc_partition_pause(kc, p->id, err);
        stand_calls(job, NULL);
        if (result != 0)
            return -1;
        *paused = true;
    }
    /* The VF cannot have run after this moment, and the device says when it really ran last. */
    if (kc_partition_clock(kc, p->id, &clock, err) != 0)
        return -1;
    asked = clock.last_run_ns > asked ? clock.last_run_ns : asked;
    job_update(job, job->t.last_run = asked);
    if (!job->stays_paused)
        stand_begins(job, asked);
    return 0;
}

int partition_out_state(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                        uint64_t deadline_ns, struct partition_out_state *out, struct vf_error *err)
{
    static const char ddi[] = "DxgkDdiSaveMutableMigrationData";
    uint64_t asked = vf_now_ns();
    char time[32];
    int result;

    *out = (struct partition_out_state){.kmd = {0}};
    stand_calls(job, ddi);
    result = kc_save_mutable(kc, p->id, &out->kmd, &out->msix, &out->umed, err);
    stand_calls(job, NULL);
    if (result != 0)
        return -1;
    out->state = (struct wire_state){.pages_total_sent = job->pages_sent,
                                     .kmd = {out->kmd.data, (uint32_t)out->kmd.bytes},
                                     .msix = {out->msix.data, (uint32_t)out->msix.bytes},
                                     .umed = {out->umed.data, (uint32_t)out->umed.bytes}};
    if (vf_now_ns() <= deadline_ns)
        return 0;
    partition_out_state_free(out);
    if (stand_was_mute(job, asked, err))
        return -1;
    return vf_fail(err, VF_FAILED,
                   "the blackout would exceed --max-blackout: DDI %s of driver %s at host %s took "
                   "%s" VF_REMEDY "allow more, or have the driver mended",
                   ddi, job->stand.driver, job->host_name,
                   vf_time_format(vf_now_ns() - asked, time, sizeof time));
}

void partition_out_state_free(struct partition_out_state *state)
{
    kc_blob_free(&state->kmd);
    kc_blob_free(&state->msix);
    kc_blob_free(&state->umed);
}

int partition_out_run_on(struct mig_job *job, struct kc *kc, const struct vf_partition_info *p,
                         bool paused, struct vf_error *err)
{
    struct vf_partition_info now = *p;
    struct vf_error why = VF_ERROR_INIT;
    int result;

    stand_calls(job, paused ? "DxgkDdiSetVirtualFunctionPauseState" : "DxgkDdiEndLiveMigration");
    /* By us, or one that stood already and may go now. */
    now.state = paused || (now.holders & VF_HOLD_FAULT) != 0 ? VF_PARTITION_OUTGOING_PAUSED
                                                             : VF_PARTITION_OUTGOING;
    result = copy_run_on(kc, &now, job->stays_paused, &why);
    if (result != 0) {
        log_warn("job %" PRIu64 ": partition %s: %s", job->id, job->partition, why.text);
        *err = why;
        if (why.code == VF_STANDS)
            mig_event(job->mig, job->id, vf_realtime_ns(), "job %" PRIu64 ": %s", job->id,
                      why.text);
        else
            vf_fail(err, VF_FAILED, "partition %s could not be brought back to work (%s)",
                    job->partition, why.text);
    }
    stand_calls(job, NULL);
    stand_ends(job);
    return result;
}
