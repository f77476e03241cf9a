// SPDX-License-Identifier: Apache-2.0
/* A target whose daemon died: it waits for its source's word, and answers from its journal. */
#include "migrate/tests/rig/pasts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_prepared_target_runs_it_when_the_commit_comes(void **state)
{
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    for (int again = 0; again < 2; again++) {
        ask(job, past_token, &commit, WIRE_RUNNING, &heard);
        assert_true(handoff_same(job, &heard.running.id));
        wire_message_free(&heard);
        assert_int_equal(status_of(job), MIG_COMPLETED);
        assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    }
    /* Now its source's ABORT comes too late: it is told so, and nothing stops. */
    ask(job, past_token, &call_off, WIRE_ABORT, &heard);
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
    ask(job, past_token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    assert_int_equal(state_of(&p), VF_PARTITION_PAUSED);
    mig_job_put(job);
    drop(&p);
}

static void a_prepared_target_lets_go_when_it_is_called_off_and_refuses_the_commit(void **state)
{
    struct wire_message heard;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_non_null(strstr(err.text,
                           "in the hand-off, before COMMIT: the daemon of host left ended "
                           "before COMMIT came; partition p stays paused at host left "
                           "until host 127."));
    assert_non_null(vf_remedy(&err));
    for (int again = 0; again < 2; again++) {
        ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
        wire_message_free(&heard);
        assert_int_equal(status_of(job), MIG_FAILED);
        assert_int_equal(state_of(&p), VF_PARTITION_STATES);
        assert_int_equal(mig_job_result(job, &err), -1);
        assert_non_null(strstr(err.text, "called off by its source: it runs here; partition p runs "
                                         "on at its source, host 127."));
    }
    ask(job, past_token, &commit, WIRE_NEVER_RAN, &heard);
    assert_true(handoff_same(job, &heard.handoff));
    wire_message_free(&heard);
    /* Nor does another daemon forget it. */
    mig_job_put(job);
    mig_close(host.mig);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    ask(job, past_token, &commit, WIRE_NEVER_RAN, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

/* What is taken over then would be dropped with the host, and its source has let go of it. */
static void a_commit_that_comes_while_the_host_is_stopped_by_force_starts_nothing(void **state)
{
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    mig_stop_begin(host.mig, soon());
    ask(job, past_token, &commit, WIRE_ABORT, &heard);
    assert_non_null(strstr(heard.abort.text, "is being stopped"));
    wire_message_free(&heard);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(&p), VF_PARTITION_READY);
    mig_stop_undo(host.mig);
    ask(job, past_token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
    drop(&p);
}

/* Its last line may or may not be on the disk: a restart tells, and nothing is promised before. */
static void nobody_is_answered_from_a_journal_that_is_unsure(void **state)
{
    const enum wire_tag words[] = {WIRE_COMMIT, WIRE_ABORT};
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    const struct wire_message commit = commit_of(job);

    (void)state;
    vf_lock(&job->lock);
    job->journal = JOB_UNSURE;
    vf_unlock(&job->lock);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ask(job, past_token, words[i] == WIRE_COMMIT ? &commit : &call_off, WIRE_ABORT, &heard);
        assert_non_null(strstr(heard.abort.text, "until its vferryd is restarted"));
        wire_message_free(&heard);
        assert_int_equal(status_of(job), MIG_UNKNOWN);
        assert_int_equal(state_of(&p), VF_PARTITION_READY);
    }
    mig_job_put(job);
    mig_close(host.mig);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
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
    assert_int_equal(heard.abort.code, VF_INCOMPATIBLE);
    wire_message_free(&heard);
    ask(job, wrong, &call_off, WIRE_ABORT, &heard);
    wire_message_free(&heard);
    commit.handoff.epoch++;
    ask(job, past_token, &commit, WIRE_ABORT, &heard);
    assert_non_null(strstr(heard.abort.text, "another hand-off"));
    wire_message_free(&heard);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    assert_int_equal(state_of(&p), VF_PARTITION_READY);
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

/* The list is for people and ends; the journal is for the peers. */
static void what_the_list_of_jobs_forgets_is_answered_from_the_journal(void **state)
{
    struct mig_options options;
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_options_init(&options);
    for (size_t i = 0; i <= MIG_KEPT_JOBS; i++) {
        struct mig_job *other = start_move(&host, "127.0.0.1:1", "nothing", &options);

        assert_true(mig_job_wait(other, TP_NEVER, UINT64_MAX));
        mig_job_put(other);
    }
    assert_null(mig_job_get(host.mig, mig_job_id(job)));
    ask(job, past_token, &commit, WIRE_NEVER_RAN, &heard);
    wire_message_free(&heard);
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void who_comes_back_finds_a_place_however_many_arrive(void **state)
{
    static const uint8_t none[WIRE_ID_BYTES];
    struct tp *arrivals[MIG_MAX_INBOUND];
    struct wire_message heard;
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);
    struct wire_message commit = commit_of(job);

    (void)state;
    for (size_t i = 0; i < MIG_MAX_INBOUND; i++)
        arrivals[i] = come_in(job, none);
    ask(job, past_token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    for (size_t i = 0; i < MIG_MAX_INBOUND; i++)
        tp_close(arrivals[i]);
    mig_job_put(job);
    drop(&p);
}

static void a_prepared_partition_that_the_kernel_side_lost_never_ran(void **state)
{
    const struct past past = {MIG_TARGET, {JOURNAL_OPEN, JOURNAL_PREPARED}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_FAILED);
    commit = commit_of(job);
    ask(job, past_token, &commit, WIRE_NEVER_RAN, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void a_committed_target_rolls_forward_and_answers(void **state)
{
    const struct past past = {MIG_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
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
    ask(job, past_token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
    drop(&p);
}

/* It ran, was told so, and was then lost with its host. */
static void a_committed_partition_that_is_lost_is_done_when_the_source_is(void **state)
{
    const struct past past = {MIG_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
    struct wire_message account = {.tag = WIRE_ACCOUNT};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    account.account = (struct wire_account){
        .id = handoff_of(job), .record = WIRE_JOURNAL_COMMIT, .side = MIG_SOURCE};
    answer(job, WIRE_INQUIRE, &account);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    account.account.record = WIRE_JOURNAL_DONE;
    answer(job, WIRE_INQUIRE, &account);
    AWAIT(status_of(job) == MIG_COMPLETED);
    mig_job_put(job);
}

static void a_committed_partition_that_the_kernel_side_lost_is_unknown(void **state)
{
    const struct past past = {MIG_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    commit = commit_of(job);
    ask(job, past_token, &commit, WIRE_ABORT, &heard);
    assert_int_equal(heard.abort.code, VF_UNKNOWN);
    wire_message_free(&heard);
    /* Its source's own word settles it: that side runs what was paused there. */
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    assert_int_equal(status_of(job), MIG_FAILED);
    mig_job_put(job);
}

/* Its daemon died before the arrival's books were closed, and after the partition had moved on. */
static void a_committed_partition_that_moved_on_from_here_did_run_here(void **state)
{
    const struct past arrival = {MIG_TARGET, {JOURNAL_PREPARED, JOURNAL_COMMITTED}, 2};
    const struct past leave = {MIG_SOURCE, {JOURNAL_COMMIT, JOURNAL_DONE}, 2};
    struct wire_message heard, commit;
    struct vf_partition_info p;
    struct mig_job *job, *later;

    (void)state;
    create_incoming(&host, next_id, &p);
    drop(&p);
    job = come_back(&p, &arrival);
    assert_int_equal(status_of(job), MIG_UNKNOWN);
    mig_job_put(job);
    later = come_back(&p, &leave);
    assert_int_equal(status_of(later), MIG_COMPLETED);
    mig_job_put(later);
    job = mig_job_get(host.mig, next_id - 2);
    assert_int_equal(status_of(job), MIG_COMPLETED);
    commit = commit_of(job);
    ask(job, past_token, &commit, WIRE_RUNNING, &heard);
    wire_message_free(&heard);
    mig_job_put(job);
}

static void an_inquiry_is_answered_from_the_journal(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2, .text = "why"};
    struct wire_message heard, inquire = {.tag = WIRE_INQUIRE};
    struct vf_partition_info p;
    struct mig_job *job = prepared(&p, false);

    (void)state;
    inquire.handoff = handoff_of(job);
    ask(job, past_token, &inquire, WIRE_ACCOUNT, &heard);
    assert_true(handoff_same(job, &heard.account.id));
    assert_int_equal(heard.account.record, WIRE_JOURNAL_PREPARED);
    assert_int_equal(heard.account.side, MIG_TARGET);
    assert_int_equal(heard.account.held, WIRE_COPY_READY);
    assert_int_equal(heard.account.job_running, 0);
    assert_true(heard.account.time_ns > 0);
    wire_message_free(&heard);
    ask(job, past_token, &call_off, WIRE_CLOSE, &heard);
    wire_message_free(&heard);
    mig_job_put(job);

    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    inquire.handoff = handoff_of(job);
    ask(job, past_token, &inquire, WIRE_ACCOUNT, &heard);
    assert_int_equal(heard.account.record, WIRE_JOURNAL_ABORTED);
    assert_int_equal(heard.account.side, MIG_SOURCE);
    assert_int_equal(heard.account.held, WIRE_COPY_RUNNING);
    assert_string_equal(heard.account.text, "why");
    wire_message_free(&heard);
    mig_job_put(job);
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prepared_target_runs_it_when_the_commit_comes),
        cmocka_unit_test(what_was_paused_arrives_paused_after_a_restart),
        cmocka_unit_test(a_prepared_target_lets_go_when_it_is_called_off_and_refuses_the_commit),
        cmocka_unit_test(a_commit_that_comes_while_the_host_is_stopped_by_force_starts_nothing),
        cmocka_unit_test(nobody_is_answered_from_a_journal_that_is_unsure),
        cmocka_unit_test(nobody_without_the_token_or_of_another_hand_off_is_believed),
        cmocka_unit_test(who_comes_back_finds_a_place_however_many_arrive),
        cmocka_unit_test(what_the_list_of_jobs_forgets_is_answered_from_the_journal),
        cmocka_unit_test(a_prepared_partition_that_the_kernel_side_lost_never_ran),
        cmocka_unit_test(a_committed_target_rolls_forward_and_answers),
        cmocka_unit_test(a_committed_partition_that_is_lost_is_done_when_the_source_is),
        cmocka_unit_test(a_committed_partition_that_moved_on_from_here_did_run_here),
        cmocka_unit_test(an_inquiry_is_answered_from_the_journal),
        /* Its host calls in vain. */
        cmocka_unit_test(a_committed_partition_that_the_kernel_side_lost_is_unknown),
    };

    return cmocka_run_group_tests(tests, past_setup, past_teardown);
}
