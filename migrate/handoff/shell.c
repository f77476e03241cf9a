// SPDX-License-Identifier: Apache-2.0
/* See shell.h. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/shell.h"

#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/copy.h"
#include "migrate/mig.h"

#include <inttypes.h>
#include <stdio.h>

void handoff_run_init(struct handoff_run *run, struct mig_job *job, struct kc *kc,
                      const struct handoff_ops *ops, void *ctx)
{
    *run = (struct handoff_run){.job = job, .kc = kc, .ops = ops, .ctx = ctx};
    handoff_state(job, &run->core);
}

int handoff_run_look(struct handoff_run *run, struct vf_error *err)
{
    int found = handoff_copy(run->job, run->kc, &run->copy, err);

    run->core.copy = handoff_copy_state(run->job, found, &run->copy);
    return found < 0 ? -1 : 0;
}

/* ---- the actions ---- */

static enum handoff_event_kind ended(struct handoff_run *run, const struct handoff_action *action,
                                     int result, const struct vf_error *err)
{
    if (result == 0)
        return EVENT_DID;
    if (run->failed == HANDOFF_NOTHING) {
        run->failed = action->kind;
        run->why = *err;
    }
    if (action->kind == HANDOFF_JOURNAL)
        log_warn("job %" PRIu64 ": %s not recorded: %s", run->job->id,
                 handoff_record_name(action->record), err->text);
    return job_unsure(run->job) ? EVENT_UNSURE : EVENT_FAILED;
}

/* Who watches the job is woken only if it changes. */
static void set_owes(struct mig_job *job, bool owes)
{
    if (vf_locked(&job->lock, job->owes) != owes)
        job_update(job, job->owes = owes);
}

static int put_record(struct mig_job *job, enum handoff_record record, const char *text,
                      struct vf_error *err)
{
    if (record == RECORD_SOURCE_RUNS || record == RECORD_TARGET_RUNS)
        return mig_journal_settled(job, record == RECORD_TARGET_RUNS ? MIG_TARGET : MIG_SOURCE,
                                   text, err);
    return mig_journal(job, handoff_journal_kind(record), text, err);
}

static enum handoff_event_kind write_record(struct handoff_run *run,
                                            const struct handoff_action *action)
{
    struct mig_job *job = run->job;
    struct vf_error err = VF_ERROR_INIT;
    char text[JOURNAL_TEXT_BYTES] = "";
    int result;

    if (action->record == run->core.record) {
        vf_lock(&job->lock);
        (void)snprintf(text, sizeof text, "%s", job->last_text);
        vf_unlock(&job->lock);
    }
    if (run->ops->text != NULL)
        run->ops->text(run, action->record, text);
    set_owes(job, action->owed);
    result = put_record(job, action->record, text, &err);
    if (result == 0 && action->record == RECORD_COMMIT && run->ops->committed != NULL)
        return run->ops->committed(run);
    return ended(run, action, result, &err);
}

static int call(struct handoff_run *run, enum handoff_action_kind kind, struct vf_error *err)
{
    const struct handoff_ops *ops = run->ops;
    bool stays_paused = run->job->stays_paused;

    switch (kind) {
    case HANDOFF_RESUME:
        return ops->resume != NULL ? ops->resume(run, err)
                                   : copy_run_on(run->kc, &run->copy, stays_paused, err);
    case HANDOFF_START:
        return ops->start != NULL ? ops->start(run, err)
                                  : copy_start(run->kc, &run->copy, stays_paused, err);
    case HANDOFF_DESTROY:
    default:
        return ops->destroy != NULL ? ops->destroy(run, err)
                                    : copy_destroy(run->kc, &run->copy, err);
    }
}

static enum handoff_event_kind carry_out(struct handoff_run *run,
                                         const struct handoff_action *action)
{
    struct vf_error err = VF_ERROR_INIT;

    log_debug("job %" PRIu64 ": hand-off: %s", run->job->id, handoff_action_name(action->kind));
    switch (action->kind) {
    case HANDOFF_JOURNAL:
        return write_record(run, action);
    case HANDOFF_RESUME:
    case HANDOFF_START:
    case HANDOFF_DESTROY:
        return ended(run, action, call(run, action->kind, &err), &err);
    case HANDOFF_SEND:
        if (run->ops->send == NULL)
            return EVENT_DID;
        return ended(run, action, run->ops->send(run, action->message, &err), &err);
    case HANDOFF_REPORT:
        run->reported = true;
        run->outcome = action->outcome;
        if (run->ops->report != NULL)
            run->ops->report(run, action->outcome);
        return EVENT_DID;
    case HANDOFF_RETRY: /* the retry thread asks what is owed (handoff_owes) */
    case HANDOFF_ASK:
    case HANDOFF_NOTHING:
        break;
    }
    return EVENT_DID;
}

struct handoff_action handoff_tell(struct handoff_run *run, enum handoff_event_kind kind)
{
    struct handoff_action action;

    run->failed = HANDOFF_NOTHING;
    run->reported = false;
    log_debug("job %" PRIu64 ": hand-off: %s (record %s, copy %s)", run->job->id,
              handoff_event_name(kind), handoff_record_name(run->core.record),
              handoff_copy_name(run->core.copy));
    action = handoff_step(&run->core, (struct handoff_event){kind, COPY_AS_KNOWN});
    while (action.kind != HANDOFF_NOTHING && action.kind != HANDOFF_ASK) {
        enum handoff_event_kind result = carry_out(run, &action);

        action = handoff_step(&run->core, (struct handoff_event){result, COPY_AS_KNOWN});
    }
    /* A COMMIT is owed by being the last record. */
    set_owes(run->job, run->core.owed && run->core.record != RECORD_COMMIT);
    return action;
}
