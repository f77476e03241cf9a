// SPDX-License-Identifier: Apache-2.0
/* See shadow.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/shadow.h"

#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/copy.h"
#include "migrate/job/job.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic unsigned differences;

unsigned shadow_differences(void)
{
    return atomic_load(&differences);
}

static void differs(struct mig_job *job, const char *does)
{
    const struct shadow *s = &job->shadow;
    unsigned what = s->due.kind == HANDOFF_JOURNAL ? (unsigned)s->due.record : 0;

    log_error("job %" PRIu64 ": the hand-off's core disagrees: %s, where %s%s%s%s was due "
              "(record %s, copy %s)",
              job->id, does, handoff_action_name(s->due.kind), what != 0 ? " " : "",
              what != 0 ? handoff_record_name(s->due.record) : "", s->due.owed ? " owed" : "",
              handoff_record_name(s->core.record), handoff_copy_name(s->core.copy));
    (void)atomic_fetch_add(&differences, 1u);
#ifdef VF_FAULTS
    abort();
#endif
    job->shadow = (struct shadow){.due.kind = HANDOFF_NOTHING};
}

static enum handoff_record record_of(struct mig_job *job)
{
    if (job->unsure)
        return RECORD_UNSURE;
    return job->recorded ? handoff_record_of(job->last_kind, job->last_runs) : RECORD_NONE;
}

enum handoff_copy shadow_copy(struct mig_job *job, int found, const struct vf_partition_info *copy)
{
    if (found < 0)
        return COPY_UNSEEN;
    if (found == 0)
        return !job->source && handoff_went_on(job) ? COPY_WENT_ON : COPY_GONE;
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
        return job->source ? COPY_PAUSED : COPY_RUNS;
    }
}

/* What nobody reports: messages that are answers or courtesy, retries, and what the job shows. */
static void skip_talk(struct shadow *s)
{
    const struct handoff_event did = {EVENT_DID, COPY_AS_KNOWN};

    while (s->due.kind == HANDOFF_RETRY || s->due.kind == HANDOFF_REPORT ||
           (s->due.kind == HANDOFF_SEND && s->due.message != SAY_READY))
        s->due = handoff_step(&s->core, did);
}

static void go_on(struct shadow *s, enum handoff_event_kind kind, enum handoff_copy copy)
{
    s->due = handoff_step(&s->core, (struct handoff_event){kind, copy});
    skip_talk(s);
}

void shadow_event(struct mig_job *job, enum handoff_event_kind kind, enum handoff_copy copy)
{
    struct shadow *s = &job->shadow;

    if (s->due.kind != HANDOFF_NOTHING && s->due.kind != HANDOFF_ASK)
        return;
    s->core = (struct handoff){.side = job->source ? HANDOFF_SOURCE : HANDOFF_TARGET,
                               .with_file = job_with_file(job),
                               .admitted = job_has_token(job),
                               .copy = COPY_UNSEEN};
    vf_lock(&job->lock);
    s->core.owed = job->owes;
    s->core.record = record_of(job);
    vf_unlock(&job->lock);
    go_on(s, kind, copy);
}

void shadow_called(struct mig_job *job, enum handoff_action_kind kind, bool done)
{
    if (job->shadow.due.kind != kind)
        differs(job, handoff_action_name(kind));
    else
        go_on(&job->shadow, done ? EVENT_DID : EVENT_FAILED, COPY_AS_KNOWN);
}

void shadow_sent(struct mig_job *job, enum handoff_message message, bool done)
{
    if (job->shadow.due.kind != HANDOFF_SEND || job->shadow.due.message != message)
        differs(job, handoff_message_name(message));
    else
        go_on(&job->shadow, done ? EVENT_DID : EVENT_FAILED, COPY_AS_KNOWN);
}

void shadow_asks(struct mig_job *job, enum handoff_message message)
{
    if (job->shadow.due.kind != HANDOFF_ASK || job->shadow.due.message != message)
        differs(job, handoff_message_name(message));
}

/* Nothing was asked for: a record that changes nobody's owner says the same once more. */
static bool says_the_same(struct mig_job *job, enum handoff_record record, bool owed)
{
    bool same;

    vf_lock(&job->lock);
    same = handoff_owner(record) == handoff_owner(record_of(job)) && (!owed || job->owes);
    vf_unlock(&job->lock);
    return same || record == RECORD_OPEN;
}

void shadow_journal(struct mig_job *job, enum handoff_record record, bool owed,
                    enum handoff_event_kind result)
{
    struct shadow *s = &job->shadow;
    char does[64];

    if (s->due.kind == HANDOFF_NOTHING && (job_with_file(job) || says_the_same(job, record, owed)))
        return;
    if (s->due.kind != HANDOFF_JOURNAL || s->due.record != record || s->due.owed != owed) {
        (void)snprintf(does, sizeof does, "JOURNAL %s%s", handoff_record_name(record),
                       owed ? " owed" : "");
        differs(job, does);
    } else if (result != EVENT_DID || record != RECORD_COMMIT) { /* COMMIT: shadow_committed */
        go_on(s, result, COPY_AS_KNOWN);
    }
}

void shadow_committed(struct mig_job *job, bool late, bool here)
{
    go_on(&job->shadow, late ? EVENT_DID_LATE : EVENT_DID, here ? COPY_PAUSED : COPY_GONE);
}
