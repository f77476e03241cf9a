// SPDX-License-Identifier: Apache-2.0
/*
 * The source's line of phases (SRC-8): connect, Prepare, SaveImmutable, admission, rounds, pause,
 * hand-off, teardown; and the one way back that every failure before COMMIT takes.
 */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/job/ending.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/restart.h"
#include "migrate/job/stand.h"
#include "migrate/handoff/redial.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/prctl.h>

/* The target creates a vGPU and zero-fills its reserve meanwhile. */
#define ADMIT_NS 30000000000ull
#define DONE_NS 5000000000ull
#define DESTROY_TRIES 5u
#define DESTROY_WAIT_NS 100000000ull

/* A cancel. */
static void wake(void *ctx)
{
    struct source *s = ctx;

    stream_group_abort(&s->group);
    source_hang_up(s);
    send_slots_wake(&s->job->mig->send_slots);
    if (s->linked)
        control_wake(&s->control);
}

/* What this side is in for long; under the job's lock. */
static void note(void *ctx, const char *text)
{
    struct source *s = ctx;

    if (s->linked)
        control_note(&s->control, text);
}

/* A check writes nothing: whether a move could is told as one of its reasons. */
static int check_journal(struct source *s, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    char what[sizeof why.text];
    const char *remedy;

    if (journal_usable(s->job->mig->journal, &why) == 0)
        return 0;
    remedy = vf_remedy(&why);
    (void)snprintf(what, sizeof what, "%.*s", vf_bare_bytes(&why), why.text);
    job_update(s->job, {
        vf_reason_add(&s->job->reasons, "state-directory", what, "-",
                      remedy != NULL ? remedy : "see its log");
        s->job->judged = true;
    });
    *err = why;
    err->code = VF_REFUSED_NOW;
    return -1;
}

/* Opens what the move needs of this host, and says in the journal that it began. */
static int open_partition(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    if (partition_out_open(job, "move", &s->kc, &s->partition, err) != 0)
        return -1;
    s->found = true;
    if (s->partition.page_bytes == 0)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "partition %s: its adapter has no dirty tracking, so it cannot move live",
                       job->partition);
    if (job->options.dry_run)
        return check_journal(s, err);
    s->queried_ns = vf_now_ns();
    if (mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    s->convergence.fixed_blackout_ns = SOURCE_FSYNCS * (vf_now_ns() - s->queried_ns);
    return 0;
}

int source_late(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    char peer[sizeof job->stand.peer];
    struct vf_error late = *err;

    vf_lock(&job->lock);
    memcpy(peer, job->stand.peer, sizeof peer);
    vf_unlock(&job->lock);
    if (peer[0] == '\0' || late.code != VF_FAILED || control_ended(&s->control))
        return -1;
    return vf_fail(err, VF_FAILED, "%.300s: it was still in %s", late.text, peer);
}

static int take_reasons(struct source *s, const struct wire_verdict *verdict, struct vf_error *err)
{
    /* A verdict that contradicts itself is none. */
    if ((verdict->code == WIRE_CODE_OK) != (verdict->reasons.count == 0))
        return vf_fail(err, VF_FAILED, "peer %s: its verdict makes no sense (code %u, %u reasons)",
                       s->job->peer, verdict->code, verdict->reasons.count);
    job_judged(s->job, &verdict->reasons);
    if (verdict->code == WIRE_CODE_OK)
        return 0;
    return vf_fail(err, wire_error_code(verdict->code), "%s", verdict->text);
}

static bool slot_in_vain(void *ctx)
{
    struct source *s = ctx;

    return job_cancel_asked(s->job) || control_ended(&s->control) || atomic_load(&s->retuned);
}

/* May it send at once? A move with --bandwidth was told how much of the host it may have, and takes
 * no turn. */
static bool slot_is_ours(struct source *s)
{
    return source_limits(s).bandwidth != 0 ||
           send_slots_take(&s->job->mig->send_slots, &s->slot, 0, slot_in_vain, s);
}

/* All that the target is told but for the driver's data. */
static int ask_for(struct source *s, struct wire_admit *ask, struct vf_error *err)
{
    const struct mig_job *job = s->job;

    if (partition_out_describe(job, s->kc, &s->partition, ask, err) != 0)
        return -1;
    ask->streams = job->options.streams;
    ask->check_only = job->options.dry_run;
    ask->verify = (uint8_t)job->options.verify;
    ask->max_blackout_ns = job->options.max_blackout_ns;
    ask->max_time_ns = job->options.max_time_ns;
    if ((s->peer.features_optional & WIRE_FEATURE_KEYED) != 0 &&
        getrandom(s->digest_key, sizeof s->digest_key, 0) != (ssize_t)sizeof s->digest_key)
        return vf_fail(err, VF_FAILED, "no random bytes for the key of its digests");
    memcpy(ask->key, s->digest_key, sizeof ask->key);
    return 0;
}

#define LIVE_MIGRATION "live-migration" /* as the target names it (target/admit.c) */

/* What the target said without having the driver's data (`theirs`, NULL = nothing), and that the
 * source's adapter cannot migrate: "adapter 0 cannot migrate: REASON; REMEDY". */
static void reasons_without_data(const struct vf_reasons *theirs, const struct vf_error *why,
                                 struct vf_reasons *out)
{
    static const char *const need_data[] = {"driver", "umed", "prepare", LIVE_MIGRATION};
    const char *remedy = vf_remedy(why);
    const char *begin = strstr(why->text, ": ");
    const char *end = why->text + vf_bare_bytes(why);
    const char *target = theirs != NULL ? "yes" : "not known";
    char source[sizeof out->list[0].source];

    begin = begin != NULL && begin < end ? begin + 2 : why->text;
    (void)snprintf(source, sizeof source, "no: %.*s", (int)(end - begin), begin);
    for (uint32_t i = 0; theirs != NULL && i < theirs->count; i++) {
        const struct vf_reason *reason = &theirs->list[i];
        bool needs = false;

        for (size_t j = 0; j < sizeof need_data / sizeof need_data[0]; j++)
            needs = needs || strcmp(reason->field, need_data[j]) == 0;
        if (strcmp(reason->field, LIVE_MIGRATION) == 0)
            target = "no";
        if (!needs)
            vf_reason_add(out, reason->field, reason->source, reason->target, reason->remedy);
    }
    vf_reason_add(out, LIVE_MIGRATION, source, target, remedy != NULL ? remedy : "");
}

/* The source's adapter cannot migrate, `why` says so. A check tells every reason at once: the
 * target is asked what it can say without the driver's data, and so both values are known. */
static int ask_all_the_same(struct source *s, const struct vf_error *why)
{
    struct wire_message ask = {.tag = WIRE_ADMIT};
    struct wire_message answer = {0};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_reasons reasons = {0};
    uint64_t until = vf_now_ns() + ADMIT_NS;

    if (ask_for(s, &ask.admit, &err) == 0 && control_say(&s->control, &ask, until, &err) == 0 &&
        control_expect(&s->control, WIRE_VERDICT, 0, until, &answer, &err) == 0) {
        reasons_without_data(&answer.verdict.reasons, why, &reasons);
        wire_message_free(&answer);
    } else {
        log_debug("job %" PRIu64 ": %s", s->job->id, err.text);
        reasons_without_data(NULL, why, &reasons);
    }
    job_judged(s->job, &reasons);
    return -1;
}

static int agree_on_pages(struct source *s, uint64_t theirs, struct vf_error *err)
{
    if (theirs != 0 && theirs != STREAM_PAGE_BYTES)
        return vf_fail(err, VF_FAILED, "peer %s: wants pages of %" PRIu64 " bytes", s->job->peer,
                       theirs);
    s->page_bytes = theirs != 0 ? theirs : s->partition.page_bytes;
    job_update(s->job, s->job->page_bytes = s->page_bytes);
    return 0;
}

/* Prepare, SaveImmutable, and the target's answer (SRC-1…3, TGT-1, TGT-2). */
static int admit(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct wire_message ask = {.tag = WIRE_ADMIT};
    struct wire_message answer = {0};
    struct kc_blob kmd = {0};
    struct kc_blob umed = {0};
    uint64_t asked;
    int result = -1;

    if (partition_out_prepare(job, s->kc, &s->partition, &s->prepared, &kmd, &umed, err) != 0 ||
        ask_for(s, &ask.admit, err) != 0) {
        if (!s->prepared && job->options.dry_run && err->code == VF_INCOMPATIBLE)
            result = ask_all_the_same(s, err);
        goto out;
    }
    ask.admit.sent_page_bytes = STREAM_PAGE_BYTES;
    ask.admit.queued = !job->options.dry_run && !slot_is_ours(s);
    ask.admit.kmd = (struct wire_blob){kmd.data, (uint32_t)kmd.bytes};
    ask.admit.umed = (struct wire_blob){umed.data, (uint32_t)umed.bytes};
    asked = vf_now_ns();
    stand_waits(job, "host %s to make room for it", job->peer_name);
    if (control_say(&s->control, &ask, asked + ADMIT_NS, err) != 0 ||
        control_expect(&s->control, job->options.dry_run ? WIRE_VERDICT : WIRE_ADMITTED,
                       job->options.dry_run ? 0 : WIRE_REFUSED, asked + ADMIT_NS, &answer,
                       err) != 0) {
        result = source_late(s, err);
        goto out;
    }
    if (answer.tag == WIRE_ADMITTED) {
        memcpy(s->hello.token, answer.admitted.token, sizeof s->hello.token);
        job_update(job, memcpy(job->token, answer.admitted.token, sizeof job->token));
        /* Should this daemon die, the next one can still speak for this move. */
        result = job_has_token(job)
                     ? mig_journal(job, JOURNAL_OPEN, "", err)
                     : vf_fail(err, VF_FAILED, "peer %s: admits without a token", job->peer);
        if (result == 0 && answer.admitted.slot_bytes != ask.admit.slot_bytes)
            result = vf_fail(err, VF_FAILED, "peer %s: wants slots of %" PRIu64 " bytes", job->peer,
                             answer.admitted.slot_bytes);
        if (result == 0)
            result = agree_on_pages(s, answer.admitted.sent_page_bytes, err);
    } else {
        result = take_reasons(s, &answer.verdict, err);
        if (result == 0 && answer.tag == WIRE_REFUSED)
            result = vf_fail(err, VF_FAILED, "peer %s: refuses, and names no reason", job->peer);
    }
    wire_message_free(&answer);
out:
    stand_calls(job, NULL);
    kc_blob_free(&kmd);
    kc_blob_free(&umed);
    return result;
}

static int open_streams(struct source *s, struct vf_error *err)
{
    const struct stream_plan plan =
        stream_plan_of(s->job, &s->partition, s->job->options.streams, s->page_bytes);

    s->bits = calloc((plan.geometry.pages_total + 63) / 64, sizeof *s->bits);
    s->plane = calloc(source_plane_words(s), sizeof *s->plane);
    if (s->bits == NULL || s->plane == NULL)
        return vf_fail(err, VF_FAILED, "the dirty bitplane: " VF_NO_MEMORY);
    if (digest_table_new_keyed(plan.geometry.pages_total, plan.geometry.page_bytes, s->digest_key,
                               &s->table, err) != 0)
        return -1;
    s->job->packs_nothing = (s->peer.features_optional & WIRE_FEATURE_PACKED) == 0;
    s->group.compress = s->job->packs_nothing ? PACK_NONE : s->job->options.compress;
    return stream_group_open(&s->group, &plan, s->table, &s->hello, s->job->options.to, TP_NEVER,
                             err);
}

static int begin_sending(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct send_slots *slots = &job->mig->send_slots;

    do {
        uint64_t limit = source_limits(s).max_time_ns;

        atomic_store(&s->retuned, false);
        if (slot_is_ours(s))
            return 0;
        job_update(job, (void)snprintf(job->phase, sizeof job->phase, "queued"));
        if (send_slots_take(slots, &s->slot, limit != 0 ? job->t.start + limit : TP_NEVER,
                            slot_in_vain, s)) {
            job_enter(job, JOB_ROUNDS, "round");
            return 0;
        }
    } while (atomic_load(&s->retuned));
    return vf_fail(err, VF_CANCELLED,
                   "not converged: --max-time passed while other moves of this host had their "
                   "turn; allow more time, or move fewer at once");
}

/* A limit that passed because the kernel side was silent is not the partition's doing. */
static int pause_in_time(struct source *s, struct vf_error *err)
{
    uint64_t asked = vf_now_ns();

    if (source_pause(s, err) == 0)
        return 0;
    if (err->code == VF_FAILED && vf_now_ns() > s->deadline_ns)
        (void)stand_was_mute(s->job, asked, err);
    return -1;
}

/* All phases up to the commit; 0 = the partition runs on the target, or a check came to
 * its verdict. */
static int run(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    job_enter(job, JOB_CONNECT, "connect");
    if (open_partition(s, err) != 0 || source_connect(s, err) != 0)
        return -1;
    if (job_cancel_asked(job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    job_enter(job, JOB_ADMIT, "admit");
    if (admit(s, err) != 0)
        return -1;
    if (job->options.dry_run)
        return 0;
    if (open_streams(s, err) != 0)
        return -1;
    job_enter(job, JOB_ROUNDS, "round");
    while (begin_sending(s, err) != 0) {
        if (source_resume(s, err) != 0)
            return -1;
    }
    if (source_rounds(s, err) != 0)
        return -1;
    if (job_cancel_asked(job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    job_enter(job, JOB_PAUSED, "pause");
    if (pause_in_time(s, err) != 0)
        return -1;
    job_enter(job, JOB_STATE, "state");
    return source_handoff(s, err);
}

/* After RUNNING: the copy here goes, then the job is done on paper too. A copy that does not go
 * could be resumed by mistake: then nothing is done, and the retry thread tries on. */
static enum job_state tear_down(struct source *s, struct vf_error *err)
{
    struct wire_message done = {.tag = WIRE_DONE, .handoff = handoff_of(s->job)};
    struct vf_error also = VF_ERROR_INIT;
    enum job_state end;
    int result;

    stream_group_stop(&s->group);
    result = redial_heard(s->job, s->kc, EVENT_RUNNING, &end, err);
    for (unsigned i = 0;
         result != 0 && i < DESTROY_TRIES && job_sleep(s->job, vf_now_ns() + DESTROY_WAIT_NS); i++)
        result = redial_heard(s->job, s->kc, EVENT_RUNNING, &end, err);
    if (result != 0) {
        err->code = VF_UNKNOWN;
        (void)job_fail(s->job, err);
        return JOB_UNKNOWN;
    }
    if (control_say(&s->control, &done, vf_now_ns() + DONE_NS, &also) != 0 ||
        control_expect(&s->control, WIRE_CLOSE, 0, vf_now_ns() + DONE_NS, &done, &also) != 0) {
        log_debug("job %" PRIu64 ": after DONE: %s", s->job->id, also.text);
        return JOB_COMPLETED;
    }
    handoff_take_close(s->job, &done.close);
    wire_message_free(&done);
    return JOB_COMPLETED;
}

static void release(struct source *s)
{
    source_unwatch(s);
    send_slots_give(&s->job->mig->send_slots, &s->slot);
    stream_group_stop(&s->group);
    if (s->linked)
        control_stop(&s->control);
    stream_group_close(&s->group); /* the link's end looked at them */
    digest_table_free(s->table);
    free(s->bits);
    free(s->plane);
    if (s->kc != NULL)
        kc_close(s->kc);
}

static enum job_state finish(struct source *s, int result, struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    if (result == 0 && s->job->options.dry_run) {
        (void)source_bring_back(s, &also);
        return JOB_COMPLETED;
    }
    if (result == 0)
        return tear_down(s, err);
    if (!job_state_ends(s->end) && job_committed(s->job))
        return source_recommit(s, err);
    if (!job_state_ends(s->end))
        source_give_up(s, err);
    if (s->recall)
        source_recall(s, &s->cause);
    return source_end(s);
}

void *source_main(void *arg)
{
    struct mig_job *job = arg;
    struct source *s = calloc(1, sizeof *s);
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end = JOB_FAILED;

    (void)prctl(PR_SET_NAME, "job-source");
    if (s == NULL) {
        vf_fail(&err, VF_FAILED, VF_NO_MEMORY);
        (void)job_fail(job, &err);
    } else {
        int result;

        s->job = job;
        stream_group_init(&s->group, job, job->options.bandwidth);
        job_set_wake(job, wake, s);
        stand_set_note(job, note, s);
        job_update(job, job->retune = source_retune);
        result = run(s, &err);
        end = finish(s, result, &err);
        release(s);
        free(s);
    }
    mig_job_thread_over(job, end);
    return NULL;
}
