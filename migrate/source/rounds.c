// SPDX-License-Identifier: Apache-2.0
/* The source's rounds (SRC-4…6): query and clear, send, ask the policy; pause and last round. */
#define LOG_ROOM "migrate"
#include "migrate/source/source.h"
#include "migrate/source/partition_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "base/trace.h"
#include "migrate/journal/journal.h"
#include "migrate/job/stand.h"
#include "migrate/stream/spread.h"

#include <inttypes.h>
#include <string.h>

/* Below this a round's rate says more about waiting than about the link. */
#define MEANINGFUL_BYTES (8u << 20)
#define FIXED_PART_OF_LIMIT 5u

static uint64_t dirty_pages(const struct source *s)
{
    return s->partition.vram_bytes / s->partition.page_bytes;
}

size_t source_plane_words(const struct source *s)
{
    return (dirty_pages(s) + 63) / 64;
}

/* Reads and clears the dirty bits. What they cover joins s->bits, and is owed until the round's
 * ACK: *owed pages are it now, and *fresh (may be NULL) bytes were dirty. */
static int query(struct source *s, uint64_t *owed, uint64_t *fresh, struct vf_error *err)
{
    uint64_t dirty;
    int result;

    s->queried_ns = vf_now_ns();
    stand_calls(s->job, "DxgkDdiQueryDirtyBitData");
    result = kc_query_dirty(s->kc, s->partition.id, s->plane, source_plane_words(s), &dirty, err);
    stand_calls(s->job, NULL);
    if (result != 0)
        return -1;
    if (fresh != NULL)
        *fresh = dirty * s->partition.page_bytes;
    *owed = stream_spread_dirty(s->plane, dirty_pages(s), s->partition.page_bytes / s->page_bytes,
                                s->bits);
    return 0;
}

static uint64_t rate(uint64_t bytes, uint64_t duration_ns)
{
    return (uint64_t)((double)bytes * 1e9 / (double)duration_ns);
}

/* What is read of dirty pages costs the engine, what has changed of that costs the link: a rate
 * each, and of them how fast dirty bytes can be dealt with while such a share of them changes as in
 * the last two rounds. The first round is no measure of that: all of it is sent. */
static void measure_rate(struct source *s, const struct job_round *round)
{
    struct source_rates *rates = &s->rates;
    const uint64_t bytes_read = (round->pages + round->known) * s->page_bytes;
    const bool mostly_sent = round->content >= bytes_read / 2;
    uint64_t read, sent;
    double share, most;

    if (round->duration_ns == 0 || bytes_read == 0)
        return;
    read = rate(bytes_read, round->duration_ns);
    sent = rate(round->content, round->duration_ns);
    if ((mostly_sent && round->content >= MEANINGFUL_BYTES) || sent > rates->sent) {
        rates->sent = sent;
        rates->wire = rate(round->bytes, round->duration_ns);
    }
    if ((!mostly_sent && bytes_read >= MEANINGFUL_BYTES) || read > rates->read)
        rates->read = read;
    share = s->round == 0 ? 1.0 : (double)round->content / (double)bytes_read;
    most = s->round > 1 && rates->share > share ? rates->share : share;
    rates->share = share;
    s->convergence.rate_bytes_per_s = (double)rates->read * most <= (double)rates->sent
                                          ? rates->read
                                          : (uint64_t)((double)rates->sent / most);
}

/* How long the throttle has let it stand so far. One that the kernel side gave up is none. */
static void note_throttled(struct source *s)
{
    struct vf_partition_info now;

    if (s->job->throttle_max == 0 || kc_partition_info(s->kc, s->partition.id, &now, NULL) != 0)
        return;
    job_update(s->job, s->job->t.throttled = now.throttled_ns);
    if (now.state == VF_PARTITION_OUTGOING && now.throttle_percent != s->convergence.throttle) {
        log_warn("job %" PRIu64 ": the driver does not let it be slowed", s->job->id);
        s->cannot_slow = true;
        s->convergence.throttle = 0;
        job_update(s->job, s->job->throttle = 0);
    }
}

static void tell_throttle(const struct source *s, uint32_t percent)
{
    char writes[32];

    if (s->job->throttle_max != 0)
        return; /* once is enough: the job shows how far it goes */
    mig_event(s->job->mig, s->job->id, vf_realtime_ns(),
              "job %" PRIu64 " (partition %s): it writes faster than it can be sent (%s/s of dirty "
              "pages) and is slowed, by %" PRIu32 " %% to begin with",
              s->job->id, s->job->partition,
              vf_size_format(s->convergence.dirty_bytes_per_s, writes, sizeof writes), percent);
}

/* The kernel side lets it stand so many percent of the time; until the pause, the end of the move
 * or that of our connection. One that cannot be slowed moves as if it must not be. */
static void slow(struct source *s, uint32_t percent)
{
    struct vf_error err = VF_ERROR_INIT;

    if (percent == s->convergence.throttle)
        return;
    if (kc_throttle(s->kc, s->partition.id, percent, &err) != 0) {
        log_warn("job %" PRIu64 ": not slowed: %s", s->job->id, err.text);
        s->cannot_slow = true;
        percent = 0;
    } else if (percent != 0) {
        tell_throttle(s, percent);
    }
    s->convergence.throttle = percent;
    job_update(s->job, {
        s->job->throttle = percent;
        if (percent > s->job->throttle_max)
            s->job->throttle_max = percent;
    });
}

/* Without a throttle, and what was measured under one is what it would have been without. */
static void run_freely(struct source *s)
{
    const uint32_t was = s->convergence.throttle;

    slow(s, 0);
    s->convergence.dirty_bytes_per_s =
        (uint64_t)((double)s->convergence.dirty_bytes_per_s * 100.0 / (100.0 - (double)was));
}

/* One slow fsync, when the move began, shall not be the measure of what its blackout costs: where
 * that would be a good part of the limit it is measured again, after each round. */
static void measure_fixed(struct source *s)
{
    uint64_t *fixed = &s->convergence.fixed_blackout_ns, ns;

    if (s->convergence.rounds_done == 0 ||
        *fixed <= s->convergence.max_blackout_ns / FIXED_PART_OF_LIMIT)
        return;
    ns = journal_sync_ns(s->job->mig->journal);
    if (ns < *fixed / SOURCE_FSYNCS)
        *fixed = SOURCE_FSYNCS * ns;
}

/* Asks the policy, and shows what it thinks. */
static struct convergence_decision decide(struct source *s, uint64_t dirty)
{
    struct mig_job *job = s->job;
    const struct mig_options limits = source_limits(s);
    struct convergence_decision decision;

    s->convergence.bytes_left = dirty * s->page_bytes;
    s->convergence.max_blackout_ns = limits.max_blackout_ns;
    s->convergence.max_time_ns = limits.max_time_ns;
    s->convergence.throttle_most = s->cannot_slow ? 0 : limits.throttle;
    s->convergence.elapsed_ns = vf_now_ns() - job->t.start;
    measure_fixed(s);
    if (job->options.verify == MIG_VERIFY_FULL && s->convergence.rate_bytes_per_s != 0) {
        /* A rehash gathers and hashes; a round does that on both sides and also sends, receives and
         * scatters: less than half. */
        s->convergence.verify_full_ns =
            (uint64_t)((double)s->first_pages * (double)s->page_bytes * 1e9 /
                       (double)s->convergence.rate_bytes_per_s / 2.0);
    }
    decision = convergence_decide(&s->convergence);
    job_update(job, {
        job->left_bytes = s->convergence.bytes_left;
        job->rate = s->rates.wire;
        job->dirty_rate = s->convergence.dirty_bytes_per_s;
        if (decision.predicted_blackout_ns != UINT64_MAX)
            job->predicted_ns = decision.predicted_blackout_ns;
        job->arrival_ns = decision.eta_ns != 0 ? vf_now_ns() + decision.eta_ns : 0;
    });
    log_debug("job %" PRIu64 ": %s; throttle %" PRIu32 " %%", job->id, decision.why,
              decision.throttle);
    return decision;
}

/* A round that is sent again after its link was lost is one round in the books. */
static void add_attempts(const struct source *s, struct job_round *round)
{
    round->pages += s->attempts.pages;
    round->known += s->attempts.known;
    round->bytes += s->attempts.bytes;
    round->content += s->attempts.content;
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
    if (stream_group_round(&s->group, s->round, s->bits, paused, limit, &round, err) != 0) {
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

static size_t bits_bytes(const struct source *s)
{
    return (size_t)(s->group.plan.geometry.pages_total + 63) / 64 * sizeof *s->bits;
}

/* New dirty pages since the last query, and how fast they come. */
static int query_next(struct source *s, uint64_t *dirty, struct vf_error *err)
{
    uint64_t before = s->queried_ns;
    uint64_t fresh;

    memset(s->bits, 0, bits_bytes(s)); /* the target has what was owed */
    if (query(s, dirty, &fresh, err) != 0)
        return -1;
    s->convergence.dirty_bytes_per_s =
        (uint64_t)((double)fresh * 1e9 / (double)(s->queried_ns - before + 1));
    convergence_note_round(&s->convergence, fresh);
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

    s->convergence.max_rounds = MIG_MAX_ROUNDS - 2;
    if (query(s, &dirty, NULL, err) != 0)
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
        slow(s, decision.throttle);
        if (run_round(s, dirty, false, &limit, err) == 0) {
            s->round++;
            note_throttled(s);
            result = query_next(s, &dirty, err);
        } else {
            run_freely(s); /* nothing is sent meanwhile */
            result = source_resume(s, err);
            if (result == 0)
                result = query(s, &dirty, NULL, err);
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

    job_update(job, job->left_bytes = dirty * s->page_bytes);
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
        query(s, &dirty, NULL, err) != 0)
        return -1;
    note_throttled(s);
    job_update(job, {
        job->t.quiet = vf_now_ns();
        job->throttle = 0; /* the pause ended it */
    });
    while (prove(s, dirty, &limit, err) != 0) {
        /* Nothing is written any more: what the query finds now is what the target lacks. */
        if (source_resume(s, err) != 0 || query(s, &dirty, NULL, err) != 0)
            return -1;
    }
    return 0;
}
