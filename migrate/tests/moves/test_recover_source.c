// SPDX-License-Identifier: Apache-2.0
/* A source whose daemon died: it runs on, or waits for its target's word, and tells it what
 * it owes. */
#include "migrate/handoff/restart.h"
#include "migrate/tests/rig/pasts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void says(const char *text, const char *word)
{
    if (strstr(text, word) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", text, word);
}

static void a_source_without_commit_runs_on_and_tells_the_target(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_OPEN}, 2};
    const struct wire_message gone = {.tag = WIRE_CLOSE};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(mig_job_result(job, &err), -1);
    says(err.text, "in the blackout, before COMMIT: the daemon of host left ended during the move; "
                   "partition p runs on at host left; move it again");
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    answer(job, WIRE_ABORT, &gone);
    AWAIT(redial_owed(job) == SAY_NOTHING);
    mig_job_put(job);
    drop(&p);
}

static void what_was_told_is_not_told_again_after_a_restart(void **state)
{
    const struct past told = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2};
    const struct past owed = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2, .owed = true};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &told);
    assert_int_equal(redial_owed(job), SAY_NOTHING);
    mig_job_put(job);
    job = come_back(&p, &owed);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(redial_owed(job) == SAY_NOTHING);
    mig_job_put(job);
    mig_close(host.mig);
    open_again();
    job = mig_job_get(host.mig, next_id - 1);
    assert_int_equal(redial_owed(job), SAY_NOTHING);
    mig_job_put(job);
    drop(&p);
}

/* A host without the record has no copy; one that cannot answer now may have. */
static void a_target_that_knows_of_no_such_job_need_not_be_told(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2, .owed = true};
    const struct wire_message later = {.tag = WIRE_ABORT,
                                       .abort = {.code = VF_FAILED, .text = "try again"}};
    const struct wire_message unheard = {.tag = WIRE_ABORT,
                                         .abort = {.code = VF_INCOMPATIBLE, .text = "no record"}};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    answer(job, WIRE_ABORT, &later);
    answer(job, WIRE_ABORT, &unheard);
    AWAIT(redial_owed(job) == SAY_NOTHING);
    assert_int_equal(status_of(job), MIG_FAILED);
    mig_job_put(job);
    drop(&p);
}

static void a_move_that_a_person_had_paused_stays_paused(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN}, 1, .stays_paused = true};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(state_of(&p), VF_PARTITION_PAUSED);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(redial_owed(job) == SAY_NOTHING);
    mig_job_put(job);
    drop(&p);
}

/* Of a check nothing is written: the partition itself says how it was. */
static void a_check_that_was_cut_off_leaves_what_was_paused_paused(void **state)
{
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        create(&host, "p", VRAM, &p);
        if (paused)
            assert_int_equal(kc_partition_pause(host.kc, p.id, &err), 0);
        assert_int_equal(kc_prepare(host.kc, p.id, KC_SOURCE, next_id, &err), 0);
        mig_close(host.mig);
        open_again();
        assert_int_equal(state_of(&p), paused ? VF_PARTITION_PAUSED : VF_PARTITION_RUNNING);
        drop(&p);
    }
}

static void a_commit_is_completed_when_it_runs_there(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
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

static void a_move_that_cannot_be_started_over_says_what_became_of_it(void **state)
{
    const struct past past = {MIG_SOURCE,
                              {JOURNAL_OPEN, JOURNAL_ABORTED},
                              2,
                              .text = "ended",
                              .restart = {.wanted = true, .max_blackout_ns = 1, .streams = 1}};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    drop(&p); /* what a crash of the kernel side does */
    job = come_back(&p, &past);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_string_equal(err.text,
                        "the daemon of host left was ended during the move; the kernel side of "
                        "host left has lost partition p too; create it anew, or restore an image "
                        "of it");
    mig_job_put(job);
}

/* So many jobs of a partition that is not there end at once. */
static void end_many(size_t count, bool dry_run)
{
    struct mig_options options;

    mig_options_init(&options);
    options.dry_run = dry_run;
    while (count-- > 0) {
        struct mig_job *job = start_move(&host, peer_address, "nothing", &options);

        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        mig_job_put(job);
    }
}

static bool listed(const struct mig_job *job)
{
    struct mig_job *found = mig_job_get(host.mig, mig_job_id(job));

    mig_job_put(found);
    return found != NULL;
}

static void checks_push_no_move_out_and_the_journal_knows_where_it_went(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT, JOURNAL_DONE}, 3};
    struct vf_partition_info p;
    struct mig_job *job;
    char to[256] = "";

    (void)state;
    begin_move(&p);
    drop(&p);
    job = come_back(&p, &past);
    assert_true(mig_job_recalled(job));
    end_many(MIG_KEPT_JOBS + MIG_KEPT_CHECKS + 1, true);
    assert_true(listed(job));
    end_many(MIG_KEPT_JOBS, false);
    assert_false(listed(job));
    assert_int_equal(mig_moved_to(host.mig, "p", to, sizeof to), 1);
    assert_string_equal(to, peer_address);
    assert_int_equal(mig_moved_to(host.mig, "nothing", to, sizeof to), 0);
    mig_job_put(job);
}

static void a_commit_comes_back_when_it_never_ran_there(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message never = {.tag = WIRE_NEVER_RAN};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    never.handoff = handoff_of(job);
    assert_int_equal(mig_job_result(job, &err), -1);
    says(err.text,
         "in the hand-off, after COMMIT: the daemon of host left ended before RUNNING came; "
         "partition p stays paused at host left until it is known whether host 127.");
    says(err.text, "if that never comes back: \"vferry job resolve");
    answer(job, WIRE_COMMIT, &never);
    AWAIT(status_of(job) == MIG_FAILED);
    assert_int_equal(mig_job_result(job, &err), -1);
    says(err.text, "in the hand-off, after COMMIT: host 127.");
    says(err.text, "never ran it; partition p runs on at host left");
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    assert_int_equal(redial_owed(job), SAY_NOTHING);
    assert_int_equal(mig_unsettled(host.mig, &p), 0);
    mig_job_put(job);
    drop(&p);
}

/* Wrong answers and refusals change nothing; it goes on asking. */
static void a_commit_stays_unknown_until_the_right_answer_comes(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    const struct wire_message refusals[] = {
        {.tag = WIRE_ABORT, .abort = {.code = VF_FAILED, .text = "try again"}},
        {.tag = WIRE_ABORT, .abort = {.code = VF_INCOMPATIBLE, .text = "no record"}},
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

        if (i == 5) { /* of an earlier epoch */
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
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_FAILED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    answer(job, WIRE_ABORT, &(struct wire_message){.tag = WIRE_CLOSE});
    AWAIT(redial_owed(job) == SAY_NOTHING);
    mig_job_put(job);
    drop(&p);
}

/* Killed between End and destroy. */
static void a_copy_that_was_ended_is_held_until_the_target_answers(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
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
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
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
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
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
/* It took its last steps: what is here of the same partition is none of its business. */
static void a_move_that_is_done_touches_no_copy(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_COMMIT, JOURNAL_DONE}, 2};
    struct vf_partition_info p;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    job = come_back(&p, &past);
    assert_int_equal(status_of(job), MIG_COMPLETED);
    assert_int_equal(state_of(&p), VF_PARTITION_RUNNING);
    mig_job_put(job);
    drop(&p);
}

static void an_older_jobs_end_does_not_wake_a_newer_ones_partition(void **state)
{
    const struct past olders[] = {
        {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_ABORTED}, 2},
        {MIG_SOURCE, {JOURNAL_COMMIT, JOURNAL_SETTLED}, 2, .runs = MIG_SOURCE},
    };
    const struct past newer = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
    struct wire_message running = {.tag = WIRE_RUNNING};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create(&host, "p", VRAM, &p);
    for (size_t i = 0; i < sizeof olders / sizeof *olders; i++)
        mig_job_put(come_back(&p, &olders[i]));
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
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2, .no_token = true};
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_move(&p);
    job = come_back(&p, &past);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_int_equal(err.code, VF_UNKNOWN);
    assert_non_null(strstr(err.text, "only a person"));
    assert_int_equal(redial_owed(job), SAY_NOTHING);
    mig_job_put(job);
    drop(&p);
}

static void closing_does_not_wait_for_a_peer_that_says_nothing(void **state)
{
    const struct past past = {MIG_SOURCE, {JOURNAL_OPEN, JOURNAL_COMMIT}, 2};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_without_commit_runs_on_and_tells_the_target),
        cmocka_unit_test(what_was_told_is_not_told_again_after_a_restart),
        cmocka_unit_test(a_target_that_knows_of_no_such_job_need_not_be_told),
        cmocka_unit_test(a_move_that_a_person_had_paused_stays_paused),
        cmocka_unit_test(a_check_that_was_cut_off_leaves_what_was_paused_paused),
        cmocka_unit_test(a_commit_is_completed_when_it_runs_there),
        cmocka_unit_test(a_move_that_cannot_be_started_over_says_what_became_of_it),
        cmocka_unit_test(checks_push_no_move_out_and_the_journal_knows_where_it_went),
        cmocka_unit_test(a_commit_comes_back_when_it_never_ran_there),
        cmocka_unit_test(a_commit_stays_unknown_until_the_right_answer_comes),
        cmocka_unit_test(a_partition_that_runs_beside_a_commit_was_never_committed),
        cmocka_unit_test(a_copy_that_was_ended_is_held_until_the_target_answers),
        cmocka_unit_test(a_commit_whose_copy_is_lost_still_asks),
        cmocka_unit_test(a_copy_of_a_later_epoch_is_left_alone),
        cmocka_unit_test(a_move_that_is_done_touches_no_copy),
        cmocka_unit_test(an_older_jobs_end_does_not_wake_a_newer_ones_partition),
        cmocka_unit_test(closing_does_not_wait_for_a_peer_that_says_nothing),
        cmocka_unit_test(a_journal_of_an_older_version_leaves_it_to_a_person), /* it stays so */
    };

    return cmocka_run_group_tests(tests, past_setup, past_teardown);
}
