// SPDX-License-Identifier: Apache-2.0
/* The source's rounds (SRC-4…6): query and clear, send, ask the policy; pause and last round. */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <string.h>

/* Below this a round's rate says more about waiting than about the link. */
#define MEANINGFUL_BYTES (8u << 20)

/* Reads and clears the dirty bits into `bits`; what they cover is owed until the round's ACK. */
static int query(struct source *s, uint64_t *bits, uint64_t *dirty, struct vf_error *err)
{
    int result;

    stand_calls(s->job, "DxgkDdiQueryDirtyBitData");
    result = kc_query_dirty(s->kc, s->partition.id, bits, s->words, dirty, err);
    stand_calls(s->job, NULL);
    return result;
}

static void measure_rate(struct source *s, const struct job_round *round)
{
    uint64_t rate = round->duration_ns == 0
                        ? 0
                        : (uint64_t)((double)round->bytes * 1e9 / (double)round->duration_ns);

    /* Time spent on pages that were not sent tells nothing of the link. */
    if (rate != 0 && ((round->bytes >= MEANINGFUL_BYTES && round->known < round->pages) ||
                      s->convergence.rate_bytes_per_s < rate))
        s->convergence.rate_bytes_per_s = rate;
}

/* Asks the policy, and shows what it thinks. */
static struct convergence_decision decide(struct source *s, uint64_t dirty)
{
    struct mig_job *job = s->job;
    const struct mig_options limits = source_limits(s);
    struct convergence_decision decision;

    s->convergence.bytes_left = dirty * s->partition.page_bytes;
    s->convergence.max_blackout_ns = limits.max_blackout_ns;
    s->convergence.max_time_ns = limits.max_time_ns;
    s->convergence.elapsed_ns = vf_now_ns() - job->t.start;
    if (job->options.verify == MIG_VERIFY_FULL && s->convergence.rate_bytes_per_s != 0) {
        /* A rehash gathers and hashes; a round does that on both sides and also sends, receives and
         * scatters: less than half. */
        s->convergence.verify_full_ns =
            (uint64_t)((double)s->first_pages * (double)s->partition.page_bytes * 1e9 /
                       (double)s->convergence.rate_bytes_per_s / 2.0);
    }
    decision = convergence_decide(&s->convergence);
    job_update(job, {
        job->left_bytes = s->convergence.bytes_left;
        job->rate = s->convergence.rate_bytes_per_s;
        job->dirty_rate = s->convergence.dirty_bytes_per_s;
        if (decision.predicted_blackout_ns != UINT64_MAX)
            job->predicted_ns = decision.predicted_blackout_ns;
        job->arrival_ns = decision.eta_ns != 0 ? vf_now_ns() + decision.eta_ns : 0;
    });
    log_debug("job %" PRIu64 ": %s", job->id, decision.why);
    return decision;
}

/* A round that is sent again after its link was lost is one round in the books. */
static void add_attempts(const struct source *s, struct job_round *round)
{
    round->pages += s->attempts.pages;
    round->known += s->attempts.known;
    round->bytes += s->attempts.bytes;
    round->duration_ns += s->attempts.duration_ns;
}

/* Sends the pages of s->bits as round s->round. After -1 they are owed still. */
static int run_round(struct source *s, uint64_t dirty, bool paused,
                     const struct stream_group_limit *limit, struct vf_error *err)
{
    struct wire_message message = {.tag = WIRE_ROUND,
                                   .round = {.round = s->round, .pages = dirty, .paused = paused}};
    struct job_round round = {.dirty_pages = dirty};
    uint64_t start = vf_now_ns();

    vf_trace(round_begin, s->job->id, s->job->side == MIG_SOURCE, s->round, dirty, paused);
    if (control_say(&s->control, &message, limit->deadline_ns, err) != 0)
        return -1;
    if (stream_group_round(&s->group, s->round, s->bits, limit, &round, err) != 0) {
        stream_group_count(&s->group, &round);
        round.duration_ns = vf_now_ns() - start;
        add_attempts(s, &round);
        s->attempts = round;
        return -1;
    }
    if (round.pages + round.known != dirty)
        return vf_fail(err, VF_FAILED, "round %u: sent %" PRIu64 " pages of %" PRIu64, s->round,
                       round.pages + round.known, dirty);
    vf_trace(round_end, s->job->id, s->job->side == MIG_SOURCE, s->round, dirty, round.pages,
             round.bytes);
    measure_rate(s, &round);
    add_attempts(s, &round);
    s->attempts = (struct job_round){0};
    job_round_done(s->job, &round);
    source_progressed(s);
    return 0;
}

/* After a resumption: what was written meanwhile joins what is owed. How many pages that is. */
static int query_owed(struct source *s, uint64_t *dirty, struct vf_error *err)
{
    s->queried_ns = vf_now_ns();
    if (query(s, s->more, dirty, err) != 0)
        return -1;
    *dirty = 0;
    for (size_t i = 0; i < s->words; i++) {
        s->bits[i] |= s->more[i];
        *dirty += (uint64_t)__builtin_popcountll(s->bits[i]);
    }
    return 0;
}

/* New dirty pages since the last query, and how fast they come. */
static int query_next(struct source *s, uint64_t *dirty, struct vf_error *err)
{
    uint64_t before = s->queried_ns;

    s->queried_ns = vf_now_ns();
    if (query(s, s->bits, dirty, err) != 0)
        return -1;
    s->convergence.dirty_bytes_per_s = (uint64_t)((double)*dirty * (double)s->partition.page_bytes *
                                                  1e9 / (double)(s->queried_ns - before + 1));
    convergence_note_round(&s->convergence, *dirty * s->partition.page_bytes);
    return 0;
}

int source_rounds(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct stream_group_limit limit = {
        .deadline_ns = TP_NEVER,
        .code = VF_CANCELLED,
        .text = "not converged: --max-time passed; allow more time, or a longer --max-blackout"};
    uint64_t dirty;

    s->convergence.page_bytes = s->partition.page_bytes;
    s->convergence.max_rounds = MIG_MAX_ROUNDS - 2;
    s->queried_ns = vf_now_ns();
    if (query(s, s->bits, &dirty, err) != 0)
        return -1;
    s->first_pages = dirty;
    for (;;) {
        struct convergence_decision decision = decide(s, dirty);
        int result;

        limit.deadline_ns =
            s->convergence.max_time_ns != 0 ? job->t.start + s->convergence.max_time_ns : TP_NEVER;

        if (decision.action == CONVERGENCE_GIVE_UP)
            return vf_fail(err, VF_CANCELLED, "not converged: %s", decision.why);
        if (decision.action == CONVERGENCE_PAUSE)
            return 0; /* s->bits is owed: the last round sends it */
        if (run_round(s, dirty, false, &limit, err) == 0) {
            s->round++;
            result = query_next(s, &dirty, err);
        } else {
            result = source_resume(s, err);
            if (result == 0)
                result = query_owed(s, &dirty, err);
        }
        if (result != 0)
            return -1;
    }
}

/* The last round, and with --verify full the whole reserve compared. */
static int prove(struct source *s, uint64_t dirty, const struct stream_group_limit *limit,
                 struct vf_error *err)
{
    struct mig_job *job = s->job;

    job_update(job, job->left_bytes = dirty * s->partition.page_bytes);
    job_enter(job, JOB_PAUSED, "last-round");
    if (run_round(s, dirty, true, limit, err) != 0)
        return -1;
    job_update(job, {
        job->t.pages = vf_now_ns();
        job->t.verify_ns = 0;
    });
    if (job->options.verify != MIG_VERIFY_FULL)
        return 0;
    job_enter(job, JOB_PAUSED, "compare");
    if (stream_group_rehash(&s->group, limit, err) != 0)
        return -1;
    job_update(job, job->t.verify_ns = vf_now_ns() - job->t.pages);
    return 0;
}

int source_pause(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct stream_group_limit limit = {
        .code = VF_FAILED,
        .text = "the blackout would exceed --max-blackout; allow more, or move when the "
                "partition writes less"};
    uint64_t dirty = 0;

    s->deadline_ns = vf_now_ns() + source_limits(s).max_blackout_ns;
    limit.deadline_ns = s->deadline_ns;
    if (partition_out_pause(job, s->kc, &s->partition, &s->paused, err) != 0 ||
        query_owed(s, &dirty, err) != 0)
        return -1;
    job_update(job, job->t.quiet = vf_now_ns());
    while (prove(s, dirty, &limit, err) != 0) {
        /* Nothing is written any more: what the query finds now is what the target lacks. */
        if (source_resume(s, err) != 0 || query_owed(s, &dirty, err) != 0)
            return -1;
    }
    return 0;
}
