// SPDX-License-Identifier: Apache-2.0
/*
 * The source's line of phases (SRC-8): connect, Prepare, SaveImmutable, admission, rounds, pause, hand-off, teardown; and the one
 * way back that every failure before COMMIT takes.
 */
#define LOG_ROOM "migrate"
#include "migrate/source.h"

#include "base/log.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define CONNECT_NS 5000000000ull
#define ADMIT_NS 30000000000ull /* the target creates a vGPU and zero-fills its reserve meanwhile */

/* The link ended or a cancel was asked: nobody waits for pages any more. Any thread. */
static void stop_lanes(void *ctx)
{
    lanes_abort(&((struct source *)ctx)->lanes);
}

static void wake(void *ctx)
{
    struct source *s = ctx;

    lanes_abort(&s->lanes);
    if (s->linked)
        link_wake(&s->link);
}

static void fill_hello(const struct mig *mig, const struct mig_job *job, struct wire_hello *hello)
{
    memset(hello, 0, sizeof *hello);
    hello->version_min = hello->version_max = WIRE_VERSION;
    hello->role = WIRE_CONTROL;
    memcpy(hello->host_name, mig->host_name, sizeof hello->host_name);
    memcpy(hello->boot_id, mig->boot_id, sizeof hello->boot_id);
    memcpy(hello->job, job->uuid, sizeof hello->job);
    memcpy(hello->listen_address, mig->listen, sizeof hello->listen_address);
}

static int connect_peer(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct wire_message message = {.tag = WIRE_HELLO};
    uint64_t deadline = vf_now_ns() + CONNECT_NS;
    struct tp *tp;
    uint16_t version;

    fill_hello(job->mig, job, &s->hello);
    if (tp_tcp_connect(job->options.to, deadline, &tp, err) != 0)
        return -1;
    tp_set_silence(tp, LINK_SILENCE_NS);
    message.hello = s->hello;
    if (wire_say(tp, &message, deadline, err) != 0 || wire_expect(tp, WIRE_HELLO, &message, deadline, err) != 0) {
        tp_close(tp);
        return -1;
    }
    s->peer = message.hello;
    wire_message_free(&message);
    if (wire_hello_agree(&s->peer, 0, &version, err) != 0) {
        tp_close(tp);
        return -1;
    }
    if (link_start(&s->link, tp, stop_lanes, s, err) != 0)
        return -1;
    job_update(job, {
        memcpy(job->peer_name, s->peer.host_name, sizeof job->peer_name);
        job->shared_clock = memcmp(s->peer.boot_id, job->mig->boot_id, sizeof job->mig->boot_id) == 0;
    });
    /* From here a cancel also ends waits on the link; one that came earlier is seen by the caller. */
    (void)pthread_mutex_lock(&job->lock);
    s->linked = true;
    (void)pthread_mutex_unlock(&job->lock);
    return 0;
}

/* Opens what the move needs of this host, and says in the journal that it began. */
static int open_partition(struct source *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct vf_partition_params params;
    uint64_t journalled;

    if (kc_connect(job->mig->kernel_socket, &s->kc, err) != 0 ||
        kc_partition_find(s->kc, job->partition, &s->partition, err) != 0 ||
        kc_partition_params(s->kc, s->partition.id, &params, err) != 0)
        return -1;
    s->stay_paused = s->partition.state == VF_PARTITION_PAUSED;
    if (s->partition.state != VF_PARTITION_RUNNING && !s->stay_paused)
        return vf_fail(err, VF_FAILED, "partition %s: is %s; only a running or paused one can move", job->partition,
                       vf_partition_state_name((enum vf_partition_state)s->partition.state));
    journalled = journal_epoch(job->mig->journal, s->partition.uuid);
    job_update(job, {
        memcpy(job->partition_uuid, s->partition.uuid, sizeof job->partition_uuid);
        job->epoch = (params.epoch > journalled ? params.epoch : journalled) + 1;
        job->vram_bytes = s->partition.vram_bytes;
        job->page_bytes = s->partition.page_bytes;
    });
    if (s->partition.page_bytes == 0)
        return vf_fail(err, VF_INCOMPATIBLE, "partition %s: its adapter has no dirty tracking, so it cannot move live",
                       job->partition);
    if (job->options.dry_run)
        return 0;
    s->queried_ns = vf_now_ns();
    if (mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    s->journalled = true;
    /* What one fsync costs here, three of which lie in the blackout (PREPARED, COMMIT, COMMITTED). */
    s->policy.fixed_blackout_ns = 3 * (vf_now_ns() - s->queried_ns);
    return 0;
}

static int take_reasons(struct source *s, const struct wire_verdict *verdict, struct vf_error *err)
{
    job_update(s->job, {
        s->job->reasons = verdict->reasons;
        s->job->judged = true;
    });
    if (verdict->code == VF_OK)
        return 0;
    return vf_fail(err, (enum vf_code)verdict->code, "%s", verdict->text);
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

    if (kc_prepare(s->kc, s->partition.id, KC_SOURCE, job->id, err) != 0)
        return -1;
    s->prepared = true;
    job_update(job, job->t.prepared = vf_now_ns());
    if (kc_save_immutable(s->kc, s->partition.id, &kmd, &umed, err) != 0 ||
        kc_partition_params(s->kc, s->partition.id, &ask.admit.params, err) != 0)
        goto out;
    ask.admit.page_bytes = s->partition.page_bytes;
    ask.admit.slot_bytes = lane_slot_bytes(s->partition.page_bytes);
    ask.admit.streams = job->options.streams;
    ask.admit.check_only = job->options.dry_run;
    ask.admit.verify = (uint8_t)job->options.verify;
    ask.admit.stay_paused = s->stay_paused;
    ask.admit.epoch = job->epoch;
    ask.admit.max_blackout_ns = job->options.max_blackout_ns;
    ask.admit.kmd = (struct wire_blob){kmd.data, (uint32_t)kmd.bytes};
    ask.admit.umed = (struct wire_blob){umed.data, (uint32_t)umed.bytes};
    asked = vf_now_ns();
    if (link_say(&s->link, &ask, asked + ADMIT_NS, err) != 0 ||
        link_expect(&s->link, job->options.dry_run ? WIRE_VERDICT : WIRE_ADMITTED, job->options.dry_run ? 0 : WIRE_REFUSED,
                    asked + ADMIT_NS, &answer, err) != 0)
        goto out;
    if (answer.tag == WIRE_ADMITTED) {
        memcpy(s->hello.token, answer.admitted.token, sizeof s->hello.token);
        result = 0;
        if (answer.admitted.slot_bytes != ask.admit.slot_bytes)
            result = vf_fail(err, VF_FAILED, "peer %s: wants slots of %llu bytes", job->peer,
                             (unsigned long long)answer.admitted.slot_bytes);
    } else {
        result = take_reasons(s, &answer.verdict, err);
    }
    wire_message_free(&answer);
out:
    kc_blob_free(&kmd);
    kc_blob_free(&umed);
    return result;
}

static int open_lanes(struct source *s, struct vf_error *err)
{
    struct lane_plan plan = {
        .geometry = {.page_bytes = s->partition.page_bytes,
                     .pages_total = s->partition.vram_bytes / s->partition.page_bytes,
                     .slot_bytes = lane_slot_bytes(s->partition.page_bytes)},
        .lanes = s->job->options.streams,
        .epoch = s->job->epoch,
        .partition = s->partition.id,
        .kernel_socket = s->job->mig->kernel_socket,
    };

    memcpy(plan.job, s->job->uuid, sizeof plan.job);
    s->words = (plan.geometry.pages_total + 63) / 64;
    s->bits = calloc(s->words, sizeof *s->bits);
    s->more = calloc(s->words, sizeof *s->more);
    if (s->bits == NULL || s->more == NULL)
        return vf_fail(err, VF_FAILED, "out of memory for the dirty bitplane");
    if (digest_table_new(plan.geometry.pages_total, plan.geometry.page_bytes, &s->table, err) != 0)
        return -1;
    return lanes_open(&s->lanes, &plan, s->table, &s->hello, s->job->options.to, err);
}

/* All phases up to the commit; 0 = the partition runs on the target, or a check came to its verdict. */
static int run(struct source *s, bool *committed, struct vf_error *err)
{
    struct mig_job *job = s->job;

    job_enter(job, JOB_CONNECT, "connect");
    if (open_partition(s, err) != 0 || connect_peer(s, err) != 0)
        return -1;
    if (job_cancel_asked(job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    job_enter(job, JOB_ADMIT, "admit");
    if (admit(s, err) != 0)
        return -1;
    if (job->options.dry_run)
        return 0;
    if (open_lanes(s, err) != 0)
        return -1;
    job_enter(job, JOB_ROUNDS, "round");
    if (source_rounds(s, err) != 0)
        return -1;
    job_enter(job, JOB_PAUSED, "pause");
    if (source_pause(s, err) != 0)
        return -1;
    job_enter(job, JOB_STATE, "state");
    return source_handoff(s, committed, err);
}

/* Back to "never happened" (SRC-7): the VF runs again before anybody is told. */
static void resume_partition(struct source *s)
{
    struct vf_error err = VF_ERROR_INIT;

    lanes_abort(&s->lanes);
    if (s->prepared && kc_end(s->kc, s->partition.id, &err) != 0)
        log_error("job %llu: EndLiveMigration: %s", (unsigned long long)s->job->id, err.text);
    if (s->paused && kc_partition_resume(s->kc, s->partition.id, &err) != 0)
        log_error("job %llu: partition %s stays paused: %s", (unsigned long long)s->job->id, s->job->partition, err.text);
}

static void tell_failure(struct source *s, struct vf_error *why)
{
    struct vf_error err = VF_ERROR_INIT;

    /* The link's end stops the lanes, which then know no more than that: it was no cancel of ours. */
    if (s->linked && why->code == VF_CANCELLED && !job_cancel_asked(s->job))
        (void)link_why(&s->link, why);
    if (s->linked && why->code != VF_CANCELLED && why->code != VF_INCOMPATIBLE)
        (void)link_explain(&s->link, vf_now_ns() + LINK_PING_NS, why);
    if (job_cancel_asked(s->job))
        vf_fail(why, VF_CANCELLED, "cancelled; the partition runs on here");
    if (s->linked)
        link_abort(&s->link, why);
    if (s->journalled && mig_journal(s->job, JOURNAL_ABORTED, why->text, &err) != 0)
        log_error("job %llu: %s", (unsigned long long)s->job->id, err.text);
}

/* After RUNNING: the copy here is a stale one; it goes, then the job is done on paper too. */
static void tear_down(struct source *s)
{
    struct wire_message done = {.tag = WIRE_DONE};
    struct wire_message last;
    struct vf_error err = VF_ERROR_INIT;

    lanes_close(&s->lanes);
    if (kc_end(s->kc, s->partition.id, &err) != 0 || kc_partition_destroy(s->kc, s->partition.id, &err) != 0)
        log_error("job %llu: the moved partition's old copy stays, paused: %s", (unsigned long long)s->job->id, err.text);
    if (mig_journal(s->job, JOURNAL_DONE, "", &err) != 0)
        log_error("job %llu: %s", (unsigned long long)s->job->id, err.text);
    memcpy(done.handoff.job, s->job->uuid, sizeof done.handoff.job);
    memcpy(done.handoff.uuid, s->job->partition_uuid, sizeof done.handoff.uuid);
    done.handoff.epoch = s->job->epoch;
    if (link_say(&s->link, &done, vf_now_ns() + CONNECT_NS, &err) != 0 ||
        link_expect(&s->link, WIRE_CLOSE, 0, vf_now_ns() + CONNECT_NS, &last, &err) != 0) {
        log_debug("job %llu: after DONE: %s", (unsigned long long)s->job->id, err.text);
        return;
    }
    if (last.close.first_run_ns != 0 && s->job->shared_clock)
        job_update(s->job, s->job->t.first_run = last.close.first_run_ns);
    wire_message_free(&last);
}

static void release(struct source *s)
{
    job_set_wake(s->job, NULL, NULL);
    lanes_close(&s->lanes);
    if (s->linked)
        link_stop(&s->link);
    digest_table_free(s->table);
    free(s->bits);
    free(s->more);
    if (s->kc != NULL)
        kc_close(s->kc);
}

static enum job_state finish(struct source *s, int result, bool committed, struct vf_error *err)
{
    if (result == 0 && !s->job->options.dry_run) {
        tear_down(s);
        return JOB_COMPLETED;
    }
    if (committed) {
        (void)job_fail(s->job, err);
        return JOB_UNKNOWN;
    }
    resume_partition(s);
    if (result == 0)
        return JOB_COMPLETED;
    tell_failure(s, err);
    (void)job_fail(s->job, err);
    return err->code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

void *source_main(void *arg)
{
    struct mig_job *job = arg;
    struct source *s = calloc(1, sizeof *s);
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end = JOB_FAILED;
    bool committed = false;
    struct mig *mig;

    (void)prctl(PR_SET_NAME, "job-source");
    if (s == NULL) {
        vf_fail(&err, VF_FAILED, "out of memory");
        (void)job_fail(job, &err);
    } else {
        int result;

        s->job = job;
        lanes_init(&s->lanes, job, job->options.bandwidth);
        job_set_wake(job, wake, s);
        result = run(s, &committed, &err);
        end = finish(s, result, committed, &err);
        release(s);
        free(s);
    }
    job_over(job, end);
    mig = job->mig;
    mig_job_put(job);
    mig_thread_over(mig);
    return NULL;
}
