// SPDX-License-Identifier: Apache-2.0
/* See ending.h. */
#include "migrate/job/ending.h"

#include "base/size.h"
#include "base/thread.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *round_phase(struct mig_job *job, char *out, size_t bytes)
{
    vf_lock(&job->lock);
    if (strcmp(job->phase, "queued") == 0)
        (void)snprintf(out, bytes, "before its turn came");
    else
        (void)snprintf(out, bytes, "in round %u", (unsigned)job->round_count + 1);
    vf_unlock(&job->lock);
    return out;
}

static const char *const save_phases[JOB_STATES] = {
    [JOB_CONNECT] = "before it was prepared",
    [JOB_ADMIT] = "while it was prepared",
    [JOB_ROUNDS] = "before the blackout",
    [JOB_PAUSED] = "in the blackout, while its pages were saved",
    [JOB_STATE] = "while its state was saved",
    [JOB_PREPARED] = "before the image had its name",
    [JOB_COMMITTED] = "after the image had its name",
};

static const char *const restore_phases[JOB_STATES] = {
    [JOB_CONNECT] = "while the image was checked",  [JOB_ADMIT] = "on admission",
    [JOB_ROUNDS] = "while its pages were restored", [JOB_PAUSED] = "while its state was restored",
    [JOB_STATE] = "while its state was restored",   [JOB_PREPARED] = "before it was to run here",
    [JOB_COMMITTED] = "when it was to run here",
};

const char *ending_peer(const struct mig_job *job)
{
    return job->peer_name[0] != '\0' ? job->peer_name : job->peer;
}

const char *ending_phase(struct mig_job *job, char *out, size_t bytes)
{
    static const char *const names[JOB_STATES] = {
        [JOB_CONNECT] = "on connecting",
        [JOB_ADMIT] = "on admission",
        [JOB_PAUSED] = "in the last round, while it stood",
        [JOB_STATE] = "in the hand-off, before READY",
        [JOB_PREPARED] = "in the hand-off, before COMMIT",
        [JOB_COMMITTED] = "in the hand-off, after COMMIT",
    };
    enum job_state state = (enum job_state)vf_fsm_get(&job->fsm);

    const char *const *phases = !job_with_file(job)       ? names
                                : job->side == MIG_SOURCE ? save_phases
                                                          : restore_phases;

    if (state == JOB_ROUNDS && !job_with_file(job))
        return round_phase(job, out, bytes);
    (void)snprintf(out, bytes, "%s", phases[state] != NULL ? phases[state] : "");
    return out;
}

const char *ending_here(const struct mig_job *job, struct kc *kc, uint64_t id,
                        char out[ENDING_WHERE])
{
    struct vf_partition_info now;
    const char *is = "";
    const char *does = "is where only its kernel side knows,";

    if (kc != NULL && kc_partition_info(kc, id, &now, NULL) == 0) {
        switch (now.state) {
        case VF_PARTITION_RUNNING:
        case VF_PARTITION_OUTGOING:
            does = "runs on";
            break;
        case VF_PARTITION_PAUSED:
        case VF_PARTITION_OUTGOING_PAUSED:
            does = "stays paused";
            break;
        default:
            is = "is ";
            does = vf_partition_state_name((enum vf_partition_state)now.state);
        }
    }
    (void)snprintf(out, ENDING_WHERE, "partition %s %s%s at host %s", job->partition, is, does,
                   job->host_name);
    return out;
}

const char *ending_stays(const struct mig_job *job, char out[ENDING_WHERE])
{
    (void)snprintf(out, ENDING_WHERE, "partition %s %s at host %s", job->partition,
                   job->stays_paused ? "stays paused" : "runs on", job->host_name);
    return out;
}

const char *ending_there(const struct mig_job *job, char out[ENDING_WHERE])
{
    out[0] = '\0'; /* it may have ended before it said what wants to come */
    if (job->partition[0] != '\0')
        (void)snprintf(out, ENDING_WHERE, "partition %s %s at its source, host %.63s",
                       job->partition, job->stays_paused ? "stays paused" : "runs on",
                       ending_peer(job));
    return out;
}

int ending_called_off(const struct mig_job *job, bool again, struct vf_error *err)
{
    const char *kind = job_kind(job);

    if (!job_interrupted(job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    if (again)
        return vf_fail(err, VF_FAILED,
                       "the daemon of host %s was ended during the move" VF_REMEDY
                       "start it again within %u min, and it starts the move over by itself",
                       job->host_name, (unsigned)(RESTART_WITHIN_NS / 60000000000ull));
    return vf_fail(err, VF_FAILED,
                   "the daemon of host %s was ended during the %s" VF_REMEDY
                   "start it again, then repeat the %s",
                   job->host_name, kind, kind);
}

/* "phase: cause", or "cancelled phase"; what a peer refuses and what does not converge says by
 * itself when that was. */
static void add_phase(const char *phase, enum vf_code code, const char *cause, size_t length,
                      char *out, size_t bytes)
{
    int cut = (int)length;

    if (phase[0] == '\0' || code == VF_INCOMPATIBLE || code == VF_REFUSED_NOW ||
        strncmp(cause, "not converged", 13) == 0)
        (void)snprintf(out, bytes, "%.*s", cut, cause);
    else if (code == VF_CANCELLED)
        (void)snprintf(out, bytes, "%.*s %s", cut, cause, phase);
    else
        (void)snprintf(out, bytes, "%s: %.*s", phase, cut, cause);
}

void ending_tell(struct mig_job *job, const char *where, struct vf_error *err)
{
    char phase[80];

    ending_tell_in(job, ending_phase(job, phase, sizeof phase), where, err);
}

void ending_tell_in(struct mig_job *job, const char *phase, const char *where, struct vf_error *err)
{
    struct vf_error cause = *err;
    const char *remedy = vf_remedy(&cause);
    char start[sizeof cause.text], end[ENDING_WHERE + 200] = "", time[32];
    size_t length = (size_t)vf_bare_bytes(&cause);
    char told[ENDING_WHERE];
    const char *again;
    size_t room;
    uint64_t stood;

    if (cause.code == VF_STANDS || job->options.dry_run)
        return;
    /* A peer whose job is over says where it is as well. */
    (void)snprintf(told, sizeof told, "; partition %s ", job->partition);
    again = strstr(cause.text, told);
    if (again != NULL && (size_t)(again - cause.text) < length)
        length = (size_t)(again - cause.text);
    vf_lock(&job->lock);
    stood = job->side == MIG_SOURCE ? stand_ns(job) : 0; /* a target does not know when it ran on */
    vf_unlock(&job->lock);
    if (stood != 0 && where[0] != '\0')
        (void)snprintf(end, sizeof end, "; %s, it stood for %s", where,
                       vf_time_format(stood, time, sizeof time));
    else if (where[0] != '\0')
        (void)snprintf(end, sizeof end, "; %s", where);
    /* Where it is and what to do must never be what is cut off. */
    room = strlen(end) + (remedy != NULL ? strlen(remedy) + 2 : 0) + 1;
    room = room < sizeof err->text - 120 ? sizeof err->text - room : 120;
    add_phase(phase, cause.code, cause.text, length, start, room);
    if (remedy != NULL)
        vf_fail(err, cause.code, "%s%s" VF_REMEDY "%s", start, end, remedy);
    else
        vf_fail(err, cause.code, "%s%s", start, end);
    err->status = cause.status;
}

void ending_add(struct vf_error *err, const char *more)
{
    struct vf_error told = *err;
    const char *remedy = vf_remedy(&told);
    size_t length = (size_t)vf_bare_bytes(&told);
    size_t room = sizeof err->text - 120;

    length = length < room ? length : room;
    if (remedy != NULL)
        vf_fail(err, told.code, "%.*s; %s" VF_REMEDY "%s", (int)length, told.text, more, remedy);
    else
        vf_fail(err, told.code, "%.*s; %s", (int)length, told.text, more);
    err->status = told.status;
}

/* Who keeps what until when, as long as nobody here knows who runs it. */
static void unknown_where(const struct mig_job *job, bool held, char *out, size_t bytes)
{
    const char *peer = ending_peer(job);

    if (held && job->side == MIG_SOURCE)
        (void)snprintf(out, bytes,
                       "partition %s stays paused at host %s until it is known whether host %s "
                       "runs it",
                       job->partition, job->host_name, peer);
    else if (held)
        (void)snprintf(out, bytes,
                       "partition %s stays paused at host %s until host %s says how it ended",
                       job->partition, job->host_name, peer);
    else
        (void)snprintf(out, bytes,
                       "the kernel side of host %s has lost partition %s since, host %s may %s",
                       job->host_name, job->partition, peer,
                       job->side == MIG_SOURCE ? "run it" : "still keep it paused");
}

int ending_unknown(struct mig_job *job, const char *phase, const char *cause, bool held,
                   struct vf_error *err)
{
    char where[ENDING_WHERE + 64];

    unknown_where(job, held, where, sizeof where);
    if (!job_has_token(job))
        return vf_fail(err, VF_UNKNOWN,
                       "%s: %.120s; %s" VF_REMEDY "an older version began it, so that only a "
                       "person can settle it: \"vferry job resolve %" PRIu64 "\"",
                       phase, cause, where, job->id);
    return vf_fail(err, VF_UNKNOWN,
                   "%s: %.120s; %s" VF_REMEDY "it is settled as soon as host %s can be asked; if "
                   "that never comes back: \"vferry job resolve %" PRIu64 "\"",
                   phase, cause, where, ending_peer(job), job->id);
}

void ending_unsure(struct mig_job *job, const char *phase, struct vf_error *err)
{
    struct vf_error cause = *err;
    int bytes = vf_bare_bytes(&cause);

    (void)vf_fail(err, VF_UNKNOWN,
                  "%s: %.*s; whether the record is in it is not known, so partition %s stays as it "
                  "is at host %s, paused, and host %s is told nothing" VF_REMEDY
                  "restart the vferryd of host %s, which reads its journal and goes on from there",
                  phase, bytes < 300 ? bytes : 300, cause.text, job->partition, job->host_name,
                  ending_peer(job), job->host_name);
}
