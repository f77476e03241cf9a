// SPDX-License-Identifier: Apache-2.0
/* See resolve.h. Where the peer can be asked the normal words of the hand-off do it, so that both
 * ends agree; else it is done on this side alone, and told to the peer when it comes back. */
#define LOG_ROOM "migrate"
#include "migrate/handoff/resolve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/handoff/reply.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/copy.h"
#include "migrate/mig.h"
#include "migrate/handoff/retry.h"
#include "migrate/handoff/redial.h"
#include "migrate/handoff/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The peer's account. False: it cannot be had, *err says why. */
static bool inquire(struct mig_job *job, struct wire_account *out, struct vf_error *err)
{
    const struct wire_message ask = {.tag = WIRE_INQUIRE, .handoff = handoff_of(job)};
    uint64_t deadline = vf_now_ns() + job->mig->silence_ns;
    struct wire_message answer;
    uint16_t version;
    struct tp *tp;
    bool known = false;

    if (!job_has_token(job)) {
        vf_fail(err, VF_FAILED, "an older version began the move, which left nothing to ask with");
        return false;
    }
    if (redial_call(job, &version, &tp, err) != 0)
        return false;
    if (version < WIRE_VERSION_RESUME) {
        vf_fail(err, VF_FAILED, "peer %s: its vferryd is too old to be asked", job->peer);
    } else if (wire_say(tp, &ask, deadline, err) == 0 &&
               wire_expect(tp, WIRE_ACCOUNT, &answer, deadline, err) == 0) {
        known = handoff_same(job, &answer.account.id) && answer.account.side != job->side;
        *out = answer.account;
        wire_message_free(&answer);
        if (!known)
            vf_fail(err, VF_FAILED, "peer %s: speaks of another hand-off", job->peer);
    }
    redial_hang_up(job, tp);
    return known;
}

static int look(struct mig_job *job, struct kc *kc, struct resolve_view *view,
                struct vf_error *why_not, struct vf_error *err)
{
    struct vf_partition_info copy;
    int found = handoff_copy(job, kc, &copy, err);

    if (found < 0)
        return -1;
    *view = (struct resolve_view){.side = job->side,
                                  .mine = job->last_kind,
                                  .held = found > 0,
                                  .partition = job->partition,
                                  .host = job->host_name,
                                  .other = ending_peer(job)};
    view->peer_known = inquire(job, &view->peer, why_not);
    /* A source that is still at it will bring its word itself; a target that waits takes ours. */
    if (view->peer_known && view->peer.job_running && job->side == MIG_TARGET)
        return vf_fail(err, VF_FAILED,
                       "host %s, its source, still works on it" VF_REMEDY "wait for that",
                       ending_peer(job));
    return 0;
}

/* ---- the peer was asked, and does not object ---- */

static int agree(struct mig_job *job, struct kc *kc, enum mig_side runs, struct vf_error *err)
{
    enum handoff_event_kind kind = runs == MIG_SOURCE ? EVENT_AGREE_SOURCE : EVENT_AGREE_TARGET;
    enum job_state end;

    /* A source brings it to its target; a target does it. */
    if ((job->side == MIG_SOURCE ? redial_try : reply_act)(job, kc, kind, &end, err) != 0)
        return -1;
    job_outcome_known(job, end, end == JOB_FAILED ? err : NULL);
    if ((end == JOB_FAILED) != (runs == MIG_SOURCE))
        return vf_fail(err, VF_FAILED,
                       "it was settled otherwise meanwhile: the job is %s" VF_REMEDY
                       "see \"vferry job show %" PRIu64 "\"",
                       vf_fsm_name(&job->fsm), job->id);
    return 0;
}

/* ---- nobody could be asked ---- */

static void text(struct handoff_run *run, enum handoff_record record, char out[JOURNAL_TEXT_BYTES])
{
    const struct vf_error *says = run->ctx;

    (void)record;
    (void)snprintf(out, JOURNAL_TEXT_BYTES, "%s", says->text);
}

/* On disk first: should this daemon die, the next one carries it out. */
static int resolve_here(struct mig_job *job, struct kc *kc, enum mig_side runs,
                        const struct vf_error *why, char warning[MIG_WARNING_BYTES],
                        struct vf_error *err)
{
    static const struct handoff_ops ops = {.text = text};
    struct vf_error says = VF_ERROR_INIT; /* the journal and the job */
    char where[ENDING_WHERE];
    struct handoff_run run;

    handoff_run_init(&run, job, kc, &ops, &says);
    if (handoff_run_look(&run, err) != 0)
        return -1;
    vf_fail(&says, VF_FAILED, "resolved: the %s runs it; host %s could not be asked: %.200s",
            runs == MIG_SOURCE ? "source" : "target", ending_peer(job), why->text);
    ending_tell_in(job, "",
                   job->side == MIG_SOURCE ? ending_stays(job, where) : ending_there(job, where),
                   &says);
    (void)handoff_tell(&run, runs == MIG_SOURCE ? EVENT_RESOLVE_SOURCE : EVENT_RESOLVE_TARGET);
    if (!run.reported) {
        *err = run.why;
        return -1;
    }
    if (run.failed != HANDOFF_NOTHING) {
        log_error("job %" PRIu64 ": %s", job->id, run.why.text);
        if (run.why.code == VF_STANDS)
            copy_stands(&says, &run.why);
        else
            (void)snprintf(
                warning + strlen(warning), MIG_WARNING_BYTES - strlen(warning),
                "; and the copy at host %s could not be brought to that (%.200s): restart "
                "the vferryd of host %s, which tries it again",
                job->host_name, run.why.text, job->host_name);
    }
    job_outcome_known(job, runs == MIG_SOURCE ? JOB_FAILED : JOB_COMPLETED, &says);
    retry_kick(job->mig);
    return 0;
}

static int resolve_alone(struct mig_job *job, struct kc *kc, enum mig_side runs,
                         const struct vf_error *why, char warning[MIG_WARNING_BYTES],
                         struct vf_error *err)
{
    int result;

    if (mig_commit_begin(job->mig, err) != 0)
        return -1;
    result = resolve_here(job, kc, runs, why, warning, err);
    mig_commit_end(job->mig);
    return result;
}

static int resolve(struct mig_job *job, struct kc *kc, enum mig_side runs,
                   char warning[MIG_WARNING_BYTES], struct vf_error *err)
{
    struct vf_error why_not = VF_ERROR_INIT;
    struct resolve_view view;

    if (look(job, kc, &view, &why_not, err) != 0 || resolve_allows(&view, runs, err) != 0)
        return -1;
    (void)resolve_warning(&view, runs, warning);
    if (!view.peer_known)
        return resolve_alone(job, kc, runs, &why_not, warning, err);
    return agree(job, kc, runs, err);
}

static int check(struct mig_job *job, struct vf_error *err)
{
    if (job_with_file(job))
        return vf_fail(err, VF_FAILED,
                       "it is a %s, there is no other host that could run it" VF_REMEDY
                       "restart vferryd, which tries to finish it",
                       job_kind(job));
    if (job_unsure(job))
        return vf_fail(err, VF_FAILED,
                       "its journal may already tell" VF_REMEDY
                       "restart the vferryd of host %s, which reads it",
                       job->host_name);
    if (job_status(job) != MIG_UNKNOWN)
        return vf_fail(err, VF_FAILED,
                       "is %s; only an unknown outcome can be resolved" VF_REMEDY
                       "see \"vferry job show %" PRIu64 "\"",
                       mig_job_wait(job, 0, UINT64_MAX) ? vf_fsm_name(&job->fsm) : "running",
                       job->id);
    return 0;
}

static int may_forget(struct mig_job *job, struct vf_error *err)
{
    if (!mig_job_wait(job, 0, UINT64_MAX))
        return vf_fail(err, VF_FAILED,
                       "is at work" VF_REMEDY "end it with \"vferry job cancel %" PRIu64 "\"",
                       job->id);
    if (job_status(job) == MIG_UNKNOWN)
        return vf_fail(err, VF_FAILED,
                       "its outcome is unknown, which cannot be forgotten" VF_REMEDY
                       "say who runs it with \"vferry job resolve %" PRIu64
                       "\" and --source-runs or --target-runs",
                       job->id);
    if (redial_owed(job) == SAY_NOTHING)
        return vf_fail(err, VF_FAILED, "owes host %s nothing" VF_REMEDY "leave it",
                       ending_peer(job));
    return 0;
}

/* What a peer that was never told may have. */
static void warn_untold(struct mig_job *job, char warning[MIG_WARNING_BYTES])
{
    const char *peer = ending_peer(job);

    if (handoff_owner_of(job) == OWNER_TARGET)
        (void)snprintf(warning, MIG_WARNING_BYTES,
                       "host %s is not told that it runs partition %s: if it comes back it keeps "
                       "its copy paused, until its job is resolved there with --target-runs",
                       peer, job->partition);
    else
        (void)snprintf(warning, MIG_WARNING_BYTES,
                       "host %s is not told that partition %s stayed at host %s: if it comes back "
                       "with a copy, that stays paused, until its job is resolved there with "
                       "--source-runs",
                       peer, job->partition, job->host_name);
}

int mig_job_forget(struct mig_job *job, char warning[MIG_WARNING_BYTES], struct vf_error *err)
{
    int result = may_forget(job, err);

    warning[0] = '\0';
    if (result == 0 && !job_claim(job, vf_now_ns() + 2 * job->mig->silence_ns))
        result = vf_fail(err, VF_FAILED,
                         "host %s is being told at this moment" VF_REMEDY "see it again",
                         ending_peer(job));
    else if (result == 0) {
        result = may_forget(job, err);
        if (result == 0) {
            warn_untold(job, warning);
            result = redial_forget(job, err);
        }
        job_unclaim(job);
    }
    if (result != 0) {
        err->code = VF_FAILED; /* nothing was changed by it */
        return vf_context(err, "job %" PRIu64, job->id);
    }
    return 0;
}

/* It is settled, but that the partition does not run comes first. */
static int tell_standing(struct mig_job *job, struct vf_error *err)
{
    int result = 0;

    vf_lock(&job->lock);
    if (job->error.code == VF_STANDS) {
        *err = job->error;
        result = -1;
    }
    vf_unlock(&job->lock);
    return result;
}

int mig_job_resolve(struct mig_job *job, enum mig_side runs, char warning[MIG_WARNING_BYTES],
                    struct vf_error *err)
{
    struct kc *kc = NULL;
    int result = check(job, err);

    warning[0] = '\0';
    /* A try of the retry thread's is under way, and may just settle it. */
    if (result == 0 && !job_claim(job, vf_now_ns() + 2 * job->mig->silence_ns))
        result =
            vf_fail(err, VF_FAILED, "is being settled at this moment" VF_REMEDY "see it again");
    else if (result == 0) {
        result = check(job, err);
        if (result == 0)
            result = kc_connect(job->mig->kernel_socket, &kc, err);
        if (result == 0)
            result = resolve(job, kc, runs, warning, err);
        kc_close(kc);
        job_unclaim(job);
    }
    if (result != 0) {
        err->code = VF_FAILED; /* nothing was changed by it */
        return vf_context(err, "job %" PRIu64, job->id);
    }
    return tell_standing(job, err);
}
