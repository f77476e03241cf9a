// SPDX-License-Identifier: Apache-2.0
/* See copy.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/copy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/mig.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define RESUME_TRIES 5u
#define RESUME_WAIT_MS 10 /* before the second try, doubled: 300 ms in all */

enum handoff_record handoff_record_of(enum journal_kind kind, enum mig_side runs)
{
    switch (kind) {
    case JOURNAL_OPEN:
        return RECORD_OPEN;
    case JOURNAL_PREPARED:
        return RECORD_PREPARED;
    case JOURNAL_COMMIT:
        return RECORD_COMMIT;
    case JOURNAL_COMMITTED:
        return RECORD_COMMITTED;
    case JOURNAL_DONE:
        return RECORD_DONE;
    case JOURNAL_ABORTED:
        return RECORD_ABORTED;
    case JOURNAL_SETTLED:
        return runs == MIG_TARGET ? RECORD_TARGET_RUNS : RECORD_SOURCE_RUNS;
    case JOURNAL_KINDS:
        break;
    }
    return RECORD_NONE;
}

enum journal_kind handoff_journal_kind(enum handoff_record record)
{
    switch (record) {
    case RECORD_OPEN:
        return JOURNAL_OPEN;
    case RECORD_PREPARED:
        return JOURNAL_PREPARED;
    case RECORD_COMMIT:
        return JOURNAL_COMMIT;
    case RECORD_COMMITTED:
        return JOURNAL_COMMITTED;
    case RECORD_DONE:
        return JOURNAL_DONE;
    case RECORD_SOURCE_RUNS:
    case RECORD_TARGET_RUNS:
        return JOURNAL_SETTLED;
    case RECORD_ABORTED:
    case RECORD_NONE: /* the core writes neither of these three */
    case RECORD_UNSURE:
    case HANDOFF_RECORDS:
        break;
    }
    return JOURNAL_ABORTED;
}

void handoff_state(struct mig_job *job, struct handoff *out)
{
    *out = (struct handoff){.side = job->side,
                            .with_file = job_with_file(job),
                            .admitted = job_has_token(job),
                            .record = RECORD_NONE,
                            .copy = COPY_UNSEEN};
    vf_lock(&job->lock);
    out->owed = job->owes;
    if (job->journal == JOB_UNSURE)
        out->record = RECORD_UNSURE;
    else if (job->journal == JOB_RECORDED)
        out->record = handoff_record_of(job->last_kind, job->last_runs);
    vf_unlock(&job->lock);
}

enum handoff_copy handoff_copy_state(struct mig_job *job, int found,
                                     const struct vf_partition_info *copy)
{
    if (found < 0)
        return COPY_UNSEEN;
    if (found == 0)
        return job->side == MIG_TARGET && handoff_went_on(job) ? COPY_WENT_ON : COPY_GONE;
    switch (copy->state) {
    case VF_PARTITION_INCOMING:
        return COPY_PARTIAL;
    case VF_PARTITION_READY:
    case VF_PARTITION_OUTGOING_PAUSED:
        return COPY_PAUSED;
    case VF_PARTITION_RUNNING:
    case VF_PARTITION_OUTGOING:
        return COPY_RUNS;
    default: /* paused by a person, as it stays at the target; or faulted */
        return job->side == MIG_SOURCE ? COPY_PAUSED : COPY_RUNS;
    }
}

enum handoff_owner handoff_owner_of(struct mig_job *job)
{
    struct handoff state;

    handoff_state(job, &state);
    return handoff_owner(state.record);
}

struct wire_handoff handoff_of(const struct mig_job *job)
{
    struct wire_handoff id = {.epoch = job->epoch};

    memcpy(id.job, job->uuid, sizeof id.job);
    memcpy(id.uuid, job->partition_uuid, sizeof id.uuid);
    return id;
}

bool handoff_same(const struct mig_job *job, const struct wire_handoff *id)
{
    return memcmp(id->job, job->uuid, sizeof job->uuid) == 0 &&
           memcmp(id->uuid, job->partition_uuid, sizeof job->partition_uuid) == 0 &&
           id->epoch == job->epoch;
}

void handoff_take_running(struct mig_job *job, const struct wire_running *running)
{
    uint64_t now = vf_now_ns();
    bool shared = job->shared_clock && running->resume_ns >= job->t.ready &&
                  running->first_run_ns >= running->resume_ns && running->first_run_ns <= now;

    job_update(job, {
        job->shared_clock = shared;
        job->t.resume = shared ? running->resume_ns : now;
        job->t.first_run = shared ? running->first_run_ns : now;
    });
}

void handoff_take_close(struct mig_job *job, const struct wire_close *close)
{
    /* Only a moment that can be: after the unpause, before it was told. */
    if (close->first_run_ns >= job->t.resume && close->first_run_ns <= vf_now_ns() &&
        job->shared_clock)
        job_update(job, job->t.first_run = close->first_run_ns);
}

struct wire_message handoff_running(const struct mig_job *job)
{
    return (struct wire_message){.tag = WIRE_RUNNING,
                                 .running = {.id = handoff_of(job),
                                             .resume_ns = job->t.resume,
                                             .first_run_ns = job->t.first_run}};
}

struct wire_message handoff_ended(const struct mig_job *job, struct kc *kc, uint64_t id)
{
    struct wire_message message = {.tag = WIRE_CLOSE};
    struct vf_partition_clock clock;

    /* The unpause's return, which RUNNING told, is an upper bound. */
    if (job->t.resume != 0 && kc_partition_clock(kc, id, &clock, NULL) == 0 &&
        clock.first_run_ns >= job->t.resume)
        message.close.first_run_ns = clock.first_run_ns;
    return message;
}

bool handoff_is_copy(const struct mig_job *job, const struct vf_partition_info *p)
{
    return memcmp(p->uuid, job->partition_uuid, VF_UUID_BYTES) == 0 &&
           p->state != VF_PARTITION_DYING &&
           (job->side == MIG_SOURCE ? p->epoch < job->epoch : p->epoch == job->epoch);
}

int handoff_copy(const struct mig_job *job, struct kc *kc, struct vf_partition_info *out,
                 struct vf_error *err)
{
    struct vf_partition_info *list = NULL;
    size_t count = 0;
    int found = 0;

    if (kc_partition_list(kc, &list, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count && found == 0; i++) {
        found = handoff_is_copy(job, &list[i]);
        if (found)
            *out = list[i];
    }
    free(list);
    return found;
}

bool handoff_went_on(struct mig_job *job)
{
    struct mig *mig = job->mig;
    const struct mig_job *next = NULL;

    vf_lock(&mig->lock);
    for (struct mig_job *other = mig->jobs; other != NULL; other = other->next) {
        vf_lock(&other->lock);
        if (other->journal != JOB_UNRECORDED && other->epoch > job->epoch &&
            (next == NULL || other->epoch < next->epoch) &&
            memcmp(other->partition_uuid, job->partition_uuid, VF_UUID_BYTES) == 0)
            next = other;
        vf_unlock(&other->lock);
    }
    vf_unlock(&mig->lock);
    return next != NULL && next->side == MIG_SOURCE;
}

/* The kernel side asks a driver that fails again (dxgk/partition/hold.h); whatever else keeps the
 * call from being made is tried again here. What still stands is told with a code of its own. */
static int resume(struct kc *kc, const struct vf_partition_info *p, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_partition_info now;

    for (unsigned i = 0; i < RESUME_TRIES; i++) {
        if (i != 0)
            (void)poll(NULL, 0, RESUME_WAIT_MS << i);
        if (kc_partition_resume(kc, p->id, &why) == 0)
            return 0;
        if (why.code == VF_STANDS)
            break;
        if (kc_partition_info(kc, p->id, &now, NULL) != 0 ||
            (now.state != VF_PARTITION_OUTGOING_PAUSED && now.state != VF_PARTITION_PAUSED))
            return vf_fail(err, why.code, "%s", why.text); /* gone or faulted: it does not stand */
        log_warn("partition %s: not resumed: %s", p->name, why.text);
    }
    if (why.code == VF_STANDS) {
        if (err != NULL)
            *err = why;
        return -1;
    }
    return vf_fail(err, VF_STANDS,
                   "partition %s stands here paused: %.250s" VF_REMEDY
                   "let it run with \"vferry partition resume %s\"",
                   p->name, why.text, p->name);
}

void copy_stands(struct vf_error *err, const struct vf_error *stands)
{
    struct vf_error cause = *err;
    const char *remedy = vf_remedy(stands);

    vf_fail(err, VF_STANDS, "%.*s (%.150s)%s%s", vf_bare_bytes(stands), stands->text, cause.text,
            remedy != NULL ? VF_REMEDY : "", remedy != NULL ? remedy : "");
}

int copy_run_on(struct kc *kc, const struct vf_partition_info *p, bool stays_paused,
                struct vf_error *err)
{
    bool paused = p->state == VF_PARTITION_OUTGOING_PAUSED || p->state == VF_PARTITION_PAUSED;
    int result = paused && !stays_paused ? resume(kc, p, err) : 0;

    return kc_end(kc, p->id, result == 0 ? err : NULL) != 0 ? -1 : result;
}

int copy_start(struct kc *kc, const struct vf_partition_info *p, bool stays_paused,
               struct vf_error *err)
{
    if (p->state != VF_PARTITION_READY)
        return 0;
    return stays_paused ? kc_partition_pause(kc, p->id, err) : kc_partition_resume(kc, p->id, err);
}

int copy_destroy(struct kc *kc, const struct vf_partition_info *p, struct vf_error *err)
{
    struct vf_error end = VF_ERROR_INIT;
    /* What cannot be ended goes all the same, and an incoming one may not have been prepared. */
    int ended = kc_end(kc, p->id, &end);

    if (kc_partition_destroy(kc, p->id, err) == 0)
        return 0;
    return ended == 0 ? -1 : vf_context(err, "%s", end.text);
}
