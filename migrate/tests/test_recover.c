// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon died at a certain record of its journal and is started again: the partition, the job and
 * what the peer is told. The peer is played by the test; the kernel side lived on, unless a test
 * says otherwise.
 */
#include "migrate/handoff.h"
#include "migrate/mig.h"
#include "migrate/tests/hosts.h"
#include "migrate/word.h"

#include "base/size.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define EPOCH (100u + next_id) /* no hand-off of a partition has another one's */
#define VRAM (32u << 20)
#define SILENCE_NS 3000000000ull
#define PATIENCE_MS 20000

static struct host host;
static uint64_t next_id = 1; /* of the next job that comes back */
static const uint8_t token[WIRE_ID_BYTES] = {7, 7, 7};
/* The peer: an address where a host once was, with or without somebody there. */
static int peer = -1;
static char peer_address[64];

static int setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&host, "left", SILENCE_NS, 0);
    if (tp_tcp_listen("127.0.0.1:0", &peer, peer_address, sizeof peer_address, &err) != 0)
        die("listen", &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&host);
    (void)close(peer);
    return 0;
}

/* ---- the daemon's death ---- */

struct past {
    enum journal_side side;
    enum journal_kind kinds[4]; /* the last one counts */
    size_t count;
    bool owed, stays_paused, no_token;
    const char *text;
};

static void open_again(void)
{
    struct mig_config config = {.host_name = "left",
                                .kernel_socket = host.socket,
                                .state_dir = host.dir,
                                .listen = host.address,
                                .silence_ns = SILENCE_NS};
    struct vf_error err = VF_ERROR_INIT;

    if (mig_open(&config, &host.mig, &err) != 0)
        die("mig_open", &err);
}

/* The daemon died with that in its journal about this partition, and comes back: the job as it sees
 * it now, which is the caller's to put. */
static struct mig_job *come_back(const struct vf_partition_info *p, const struct past *past)
{
    struct journal_record record = {.side = past->side,
                                    .epoch = EPOCH,
                                    .owed = past->owed,
                                    .stays_paused = past->stays_paused};
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;
    struct mig_job *job;

    mig_close(host.mig);
    assert_int_equal(journal_open(host.dir, &journal, &err), 0);
    record.id = journal_take_id(journal);
    assert_int_equal(record.id, next_id);
    next_id++;
    record.job[0] = (uint8_t)record.id;
    if (!past->no_token)
        memcpy(record.token, token, sizeof record.token);
    (void)snprintf(record.partition, sizeof record.partition, "%s", p->name);
    (void)snprintf(record.peer, sizeof record.peer, "%s", peer_address);
    (void)snprintf(record.text, sizeof record.text, "%s", past->text != NULL ? past->text : "");
    memcpy(record.uuid, p->uuid, sizeof record.uuid);
    for (size_t i = 0; i < past->count; i++) {
        record.kind = past->kinds[i];
        assert_int_equal(journal_write(journal, &record, &err), 0);
    }
    journal_close(journal);
    open_again();
    job = mig_job_get(host.mig, record.id);
    assert_non_null(job);
    assert_true(mig_job_wait(job, 0, UINT64_MAX));
    return job;
}

static uint32_t state_of(const struct vf_partition_info *p)
{
    struct vf_partition_info now;

    return kc_partition_info(host.kc, p->id, &now, NULL) == 0 ? now.state : VF_PARTITION_STATES;
}

/* In the blackout of a move. */
static void begin_move(struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    create(&host, "p", VRAM, p);
    if (kc_prepare(host.kc, p->id, KC_SOURCE, next_id, &err) != 0 ||
        kc_partition_pause(host.kc, p->id, &err) != 0)
        die("begin", &err);
}

static void drop(const struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_destroy(host.kc, p->id, &err) != 0)
        die("destroy", &err);
}

/* What happens in the daemon's own threads; there is nothing else to wait on. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t end_ = soon();                                                                    \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (vf_now_ns() > end_)                                                                \
                fail_msg("never: %s", #condition);                                                 \
            (void)poll(NULL, 0, 2);                                                                \
        }                                                                                          \
    } while (0)

static enum mig_status status_of(struct mig_job *job)
{
    struct mig_progress progress;

    mig_job_progress(job, &progress);
    return progress.status;
}

/* ---- the target, played ---- */

/* The host comes with a word about this job. */
static struct tp *take_call(const struct mig_job *job, struct wire_message *word)
{
    struct pollfd look = {.fd = peer, .events = POLLIN};
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;
    int fd;

    assert_int_equal(poll(&look, 1, PATIENCE_MS), 1);
    fd = accept4(peer, NULL, NULL, SOCK_CLOEXEC);
    if (tp_from_fd(fd, "source", &tp, &err) != 0)
        die("accept", &err);
    hear(tp, WIRE_HELLO, &message);
    assert_memory_equal(message.hello.token, token, sizeof token);
    assert_memory_equal(message.hello.job, job->uuid, sizeof job->uuid);
    say(tp, &message); /* its own back: all that counts is there */
    if (wire_hear(tp, word, soon(), &err) != 0)
        die("word", &err);
    return tp;
}

static void answer(struct mig_job *job, enum wire_tag due, const struct wire_message *with)
{
    struct wire_message word;
    struct tp *tp = take_call(job, &word);

    assert_int_equal(word.tag, due);
    if (due == WIRE_COMMIT)
        assert_true(handoff_same(job, &word.handoff));
    wire_message_free(&word);
    say(tp, with);
    if (with->tag == WIRE_RUNNING) {
        struct wire_message close_ = {.tag = WIRE_CLOSE};

        hear(tp, WIRE_DONE, &word);
        wire_message_free(&word);
        say(tp, &close_);
    }
    tp_close(tp);
}

static void a_source_without_commit_runs_on_and_tells_the_target(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_OPEN}, 2};
    const struct wire_message gone = {.tag = WIRE_CLOSE};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_string_equal(err.text, "the daemon ended during the move; the partition runs on here");
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    answer(job, WIRE_ABORT, &gone);
    AWAIT(word_owed(job) == WORD_NONE);
    mig_job_put(job);
    drop(&p);
}

static void what_was_told_is_not_told_again_after_a_restart(void **state)
{
    const struct past told = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2};
    const struct past owed = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2, .owed = true};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &told);
    assert_int_equal(word_owed(job), WORD_NONE);
    mig_job_put(job);
    job = come_back(&p, &owed);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(word_owed(job) == WORD_NONE);
    mig_job_put(job);
    mig_close(host.mig);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    assert_int_equal(word_owed(job), WORD_NONE);
    mig_job_put(job);
    drop(&p);
}

static void a_move_that_a_person_had_paused_stays_paused(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN}, 1, .stays_paused = true};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(state_of(&p), VF_PARTITION_PAUSED);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(word_owed(job) == WORD_NONE);
    mig_job_put(job);
    drop(&p);
}

static void a_commit_is_completed_when_it_runs_there(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;
    char to[256];

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(&p), VF_PARTITION_OUTGOING_PAUSED);
    assert_int_equal(mig_unsettled(host.mig, &p), mig_job_id(job));
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    assert_int_equal(mig_job_result(job, &err), 0);
    assert_int_equal(state_of(&p), VF_PARTITION_STATES);
    assert_true(mig_moved_to(host.mig, "p", to, sizeof to));
    assert_string_equal(to, peer_address);
    mig_job_put(job);
}

static void a_commit_comes_back_when_it_never_ran_there(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message never = {.tag = WIRE_NEVER_RAN};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    never.handoff = handoff_of(job);
    answer(job, WIRE_COMMIT, &never);
    AWAIT(status_of(job) == MIG_FAILED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    assert_int_equal(word_owed(job), WORD_NONE);
    assert_int_equal(mig_unsettled(host.mig, &p), 0);
    mig_job_put(job);
    drop(&p);
}

/* Wrong answers and refusals change nothing; it goes on asking. */
static void a_commit_stays_unknown_until_the_right_answer_comes(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    const struct wire_message refusals[] = {
        {.tag = WIRE_ABORT, .abort = {.code = VF_FAILED, .text = "no record of that job"}},
        {.tag = WIRE_ABORT, .abort = {.code = VF_UNKNOWN, .text = "committed and lost"}},
        {.tag = WIRE_CLOSE},
        {.tag = WIRE_NEVER_RAN}, /* of no hand-off */
        {.tag = WIRE_NEVER_RAN},
    };
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct wire_message refusal = refusals[i];

        if (i == 4) { /* of an earlier epoch */
            refusal.handoff = handoff_of(job);
            refusal.handoff.epoch--;
        }
        answer(job, WIRE_COMMIT, &refusal);
        assert_int_equal(status_of(job), MIG_UNKNOWN);
        assert_int_equal(state_of(&p), VF_PARTITION_OUTGOING_PAUSED);
    }
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    assert_int_equal(state_of(&p), VF_PARTITION_STATES);
    mig_job_put(job);
}

/* Killed as it called the move off: what runs here was never committed. */
static void a_partition_that_runs_beside_a_commit_was_never_committed(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_FAILED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(word_owed(job) == WORD_NONE);
    mig_job_put(job);
    drop(&p);
}

/* Killed between End and destroy. */
static void a_copy_that_was_ended_is_held_until_the_target_answers(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct mig_options options;
    struct mig_job *job, *second;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    begin_move(&p);
    assert_int_equal(kc_end(host.kc, p.id, &err), 0);
    job = come_back(&p, &past);
    assert_int_equal(state_of(&p), VF_PARTITION_PAUSED);
    assert_int_equal(mig_unsettled(host.mig, &p), mig_job_id(job));
    mig_options_init(&options);
    (void)snprintf(options.to, sizeof options.to, "%s", "127.0.0.1:1");
    assert_int_equal(mig_source_start(host.mig, "p", &options, &second, &err), 0);
    assert_true(mig_job_wait(second, TP_NEVER, UINT64_MAX));
    assert_int_equal(mig_job_result(second, &err), -1);
    assert_non_null(strstr(err.text, "not known who runs it"));
    mig_job_put(second);
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    assert_int_equal(state_of(&p), VF_PARTITION_STATES);
    mig_job_put(job);
}

static void a_commit_whose_copy_is_lost_still_asks(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    drop(&p); /* what a crash of the kernel side does */
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    mig_job_put(job);
}

/* A later move brought it back meanwhile. */
static void a_copy_of_a_later_epoch_is_left_alone(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    assert_int_equal(kc_partition_set_epoch(host.kc, p.id, EPOCH + 1, &err), 0);
    p.epoch = EPOCH + 1;
    job = come_back(&p, &past);
    assert_int_equal(mig_unsettled(host.mig, &p), 0);
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    mig_job_put(job);
    drop(&p);
}

/* An older job of the same partition has nothing to say in a newer one's blackout. */
static void an_older_jobs_end_does_not_wake_a_newer_ones_partition(void **state)
{
    const struct past older = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2};
    const struct past newer = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    mig_job_put(come_back(&p, &older));
    if (kc_prepare(host.kc, p.id, KC_SOURCE, next_id, &err) != 0 ||
        kc_partition_pause(host.kc, p.id, &err) != 0)
        die("begin", &err);
    job = come_back(&p, &newer);
    assert_int_equal(state_of(&p), VF_PARTITION_OUTGOING_PAUSED);
    running.running.id = handoff_of(job);
    answer(job, WIRE_COMMIT, &running);
    AWAIT(status_of(job) == MIG_COMPLETED);
    mig_job_put(job);
}

static void a_journal_of_an_older_version_leaves_it_to_a_person(void **state)
{
    const struct past past = {
        JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2, .no_token = true};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_int_equal(err.code, VF_UNKNOWN);
    assert_non_null(strstr(err.text, "only a person"));
    assert_int_equal(word_owed(job), WORD_NONE);
    mig_job_put(job);
    drop(&p);
}

static void closing_does_not_wait_for_a_peer_that_says_nothing(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message word, never = {.tag = WIRE_NEVER_RAN};
    struct vf_partition_info p;
    struct mig_job *job;
    struct tp *tp;
    uint64_t began;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    tp = take_call(job, &word); /* and never answered */
    wire_message_free(&word);
    began = vf_now_ns();
    mig_close(host.mig);
    assert_in_range(vf_now_ns() - began, 0, SILENCE_NS / 2);
    mig_job_put(job);
    tp_close(tp);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    never.handoff = handoff_of(job);
    answer(job, WIRE_COMMIT, &never);
    AWAIT(status_of(job) == MIG_FAILED);
    mig_job_put(job);
    drop(&p);
}

/* ---- the source, played ---- */

static struct tp *call(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES])
{
    struct wire_message message = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    if (tp_tcp_connect(host.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    wire_hello_init(&message.hello);
    memcpy(message.hello.job, job->uuid, sizeof job->uuid);
    memcpy(message.hello.token, with, WIRE_ID_BYTES);
    say(tp, &message);
    hear(tp, WIRE_HELLO, &message);
    wire_message_free(&message);
    return tp;
}

/* Says the word and hears the answer, which must be of that kind; for an ABORT *err is what it
 * says. */
static void ask(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES],
                const struct wire_message *word, enum wire_tag due, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp = call(job, with);

    say(tp, word);
    if (wire_hear(tp, out, soon(), &err) != 0)
        die("answer", &err);
    if (out->tag != due)
        fail_msg("%s, not %s: %s", wire_tag_name(out->tag), wire_tag_name(due),
                 out->tag == WIRE_ABORT ? out->abort.text : "");
    if (due == WIRE_RUNNING) {
        struct wire_message done = {.tag = WIRE_DONE, .handoff = handoff_of(job)};

        say(tp, &done);
        hear(tp, WIRE_CLOSE, &done);
        wire_message_free(&done);
    }
    tp_close(tp);
}

static struct wire_message commit_of(const struct mig_job *job)
{
    return (struct wire_message){.tag = WIRE_COMMIT, .handoff = handoff_of(job)};
}

static const struct wire_message call_off = {.tag = WIRE_ABORT,
                                             .abort = {.code = VF_FAILED, .text = "it runs here"}};

static struct mig_job *prepared(struct vf_partition_info *p, bool stays_paused)
{
    const struct past past = {
        JOURNAL_TARGET, {JOURNAL_OPEN, JOURNAL_PREPARED}, 2, .stays_paused = stays_paused};
    struct mig_job *job;

    create_incoming(&host, next_id, p);
    make_ready(&host, p, EPOCH);
    job = come_back(p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(p), VF_PARTITION_READY);
    return job;
}

static void a_prepared_target_runs_it_when_the_commit_comes(void **state)
{
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    for (int again = 0; again < 2; again++) {
        ask(job, token, &commit, WIRE_RUNNING, &heard);
        assert_true(handoff_same(job, &heard.running.id));
        wire_message_free(&heard);
        assert_int_equal(status_of(job), MIG_COMPLETED);
        assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    }
    /* Now its source's ABORT comes too late: it is told so, and nothing stops. */
    ask(job, token, &call_off, WIRE_ABORT, &heard);
    assert_int_equal(heard.abort.code, VF_UNKNOWN);
    wire_message_free(&heard);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    mig_job_put(job);
    drop(&p);
}

static void what_was_paused_arrives_paused_after_a_restart(void **state)
{
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, true);
    struct wire_message commit = commit_of(job);

    (void)state;
    ask(job, token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    assert_int_equal(state_of(&p), VF_PARTITION_PAUSED);
    mig_job_put(job);
    drop(&p);
}

static void a_prepared_target_lets_go_when_it_is_called_off_and_refuses_the_commit(void **state)
{
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    for (int again = 0; again < 2; again++) {
        ask(job, token, &call_off, WIRE_CLOSE, &heard);
        wire_message_free(&heard);
        assert_int_equal(status_of(job), MIG_FAILED);
        assert_int_equal(state_of(&p), VF_PARTITION_STATES);
    }
    ask(job, token, &commit, WIRE_NEVER_RAN, &heard);
    assert_true(handoff_same(job, &heard.handoff));
    wire_message_free(&heard);
    /* Nor does another daemon forget it. */
    mig_job_put(job);
    mig_close(host.mig);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    ask(job, token, &commit, WIRE_NEVER_RAN, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void nobody_without_the_token_or_of_another_hand_off_is_believed(void **state)
{
    const uint8_t wrong[WIRE_ID_BYTES] = {7, 7, 8};
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    ask(job, wrong, &commit, WIRE_ABORT, &heard);
    assert_non_null(strstr(heard.abort.text, "no record of that job"));
    wire_message_free(&heard);
    ask(job, wrong, &call_off, WIRE_ABORT, &heard);
    wire_message_free(&heard);
    commit.handoff.epoch++;
    ask(job, token, &commit, WIRE_ABORT, &heard);
    assert_non_null(strstr(heard.abort.text, "another hand-off"));
    wire_message_free(&heard);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(&p), VF_PARTITION_READY);
    ask(job, token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void a_prepared_partition_that_the_kernel_side_lost_never_ran(void **state)
{
    const struct past past = {JOURNAL_TARGET, {JOURNAL_OPEN, JOURNAL_PREPARED}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_FAILED);
    commit = commit_of(job);
    ask(job, token, &commit, WIRE_NEVER_RAN, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void a_committed_target_rolls_forward_and_answers(void **state)
{
    const struct past past = {JOURNAL_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    make_ready(&host, &p, EPOCH);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_COMPLETED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    commit = commit_of(job);
    ask(job, token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
    drop(&p);
}

static void a_committed_partition_that_the_kernel_side_lost_is_unknown(void **state)
{
    const struct past past = {JOURNAL_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    commit = commit_of(job);
    ask(job, token, &commit, WIRE_ABORT, &heard);
    assert_int_equal(heard.abort.code, VF_UNKNOWN);
    wire_message_free(&heard);
    /* Its source's own word settles it: that side runs what was paused there. */
    ask(job, token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    assert_int_equal(status_of(job), MIG_FAILED);
    mig_job_put(job);
}

static void an_inquiry_is_answered_from_the_journal(void **state)
{
    const struct past past = {JOURNAL_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2, .text = "why"};
    struct wire_message heard, inquire = {.tag = WIRE_INQUIRE};
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);

    (void)state;
    inquire.handoff = handoff_of(job);
    ask(job, token, &inquire, WIRE_ACCOUNT, &heard);
    assert_true(handoff_same(job, &heard.account.id));
    assert_int_equal(heard.account.record, JOURNAL_PREPARED + 1);
    assert_int_equal(heard.account.side, JOURNAL_TARGET);
    assert_int_equal(heard.account.held, VF_PARTITION_READY + 1);
    assert_int_equal(heard.account.job_running, 0);
    assert_true(heard.account.time_ns > 0);
    wire_message_free(&heard);
    ask(job, token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_job_put(job);

    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    inquire.handoff = handoff_of(job);
    ask(job, token, &inquire, WIRE_ACCOUNT, &heard);
    assert_int_equal(heard.account.record, JOURNAL_ABORTED + 1);
    assert_int_equal(heard.account.side, JOURNAL_SOURCE);
    assert_int_equal(heard.account.held, VF_PARTITION_RUNNING + 1);
    assert_string_equal(heard.account.text, "why");
    wire_message_free(&heard);
    mig_job_put(job);
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_without_commit_runs_on_and_tells_the_target),
        cmocka_unit_test(what_was_told_is_not_told_again_after_a_restart),
        cmocka_unit_test(a_move_that_a_person_had_paused_stays_paused),
        cmocka_unit_test(a_commit_is_completed_when_it_runs_there),
        cmocka_unit_test(a_commit_comes_back_when_it_never_ran_there),
        cmocka_unit_test(a_commit_stays_unknown_until_the_right_answer_comes),
        cmocka_unit_test(a_partition_that_runs_beside_a_commit_was_never_committed),
        cmocka_unit_test(a_copy_that_was_ended_is_held_until_the_target_answers),
        cmocka_unit_test(a_commit_whose_copy_is_lost_still_asks),
        cmocka_unit_test(a_copy_of_a_later_epoch_is_left_alone),
        cmocka_unit_test(an_older_jobs_end_does_not_wake_a_newer_ones_partition),
        cmocka_unit_test(closing_does_not_wait_for_a_peer_that_says_nothing),
        cmocka_unit_test(a_prepared_target_runs_it_when_the_commit_comes),
        cmocka_unit_test(what_was_paused_arrives_paused_after_a_restart),
        cmocka_unit_test(a_prepared_target_lets_go_when_it_is_called_off_and_refuses_the_commit),
        cmocka_unit_test(nobody_without_the_token_or_of_another_hand_off_is_believed),
        cmocka_unit_test(a_prepared_partition_that_the_kernel_side_lost_never_ran),
        cmocka_unit_test(a_committed_target_rolls_forward_and_answers),
        cmocka_unit_test(a_committed_partition_that_the_kernel_side_lost_is_unknown),
        cmocka_unit_test(an_inquiry_is_answered_from_the_journal),
        cmocka_unit_test(a_journal_of_an_older_version_leaves_it_to_a_person),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
