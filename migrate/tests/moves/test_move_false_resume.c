// SPDX-License-Identifier: Apache-2.0
/*
 * A source whose link was lost, or who says so, against a real target: it goes on exactly where it
 * was, and who is not that source, or not on its newest connection, gets nothing.
 */
#include "migrate/tests/rig/liar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_message resume_of(const struct liar *liar, uint32_t generation, uint32_t round)
{
    struct wire_message message = {
        .tag = WIRE_RESUME,
        .resume = {.id.epoch = liar->admit.epoch, .generation = generation, .next_round = round}};

    memcpy(message.resume.id.job, liar->hello.job, sizeof message.resume.id.job);
    memcpy(message.resume.id.uuid, liar->admit.params.uuid, sizeof message.resume.id.uuid);
    return message;
}

/* A new control connection that says this first. */
static struct tp *come_back(const struct liar *liar, const struct wire_message *word)
{
    struct wire_message message = {.tag = WIRE_HELLO, .hello = liar->hello};
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    if (tp_tcp_connect(right.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    say(tp, &message);
    hear(tp, WIRE_HELLO, &message);
    wire_message_free(&message);
    say(tp, word);
    return tp;
}

static struct tp *open_data(const struct liar *liar, uint32_t generation)
{
    struct wire_message message = {.tag = WIRE_HELLO, .hello = liar->hello};
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    if (tp_tcp_connect(right.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    message.hello.role = WIRE_DATA;
    message.hello.generation = generation;
    say(tp, &message);
    return tp;
}

/* RESUMED, and a table of nothing but zero pages and what page 0 is known to be. */
static void hear_resumed(struct tp *tp, uint32_t generation, uint64_t page_0)
{
    struct wire_message message;
    uint64_t next = 0;

    hear(tp, WIRE_RESUMED, &message);
    assert_int_equal(message.resume.generation, generation);
    wire_message_free(&message);
    while (next < VRAM / PAGE) {
        hear(tp, WIRE_TABLE, &message);
        assert_int_equal(message.table.first, next);
        if (next == 0)
            assert_true(wire_table_digest(&message.table, 0) == page_0);
        next += message.table.count;
        wire_message_free(&message);
    }
    assert_int_equal(next, VRAM / PAGE);
}

static void resume(struct liar *liar, uint32_t generation, uint32_t round, uint64_t page_0)
{
    struct wire_message word = resume_of(liar, generation, round);

    tp_close(liar->control);
    tp_close(liar->data);
    liar->control = come_back(liar, &word);
    hear_resumed(liar->control, generation, page_0);
    liar->data = open_data(liar, generation);
    liar->generation = generation;
}

/* Nothing but a closed door, or an ABORT. */
static void expect_nothing(struct tp *tp)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    if (wire_hear(tp, &message, soon(), &err) == 0) {
        assert_int_equal(message.tag, WIRE_ABORT);
        wire_message_free(&message);
    } else if (!tp_lost(tp)) {
        die("where a closed door was due", &err);
    }
    tp_close(tp);
}

static uint64_t digest_of_slot(void)
{
    return digest_page(page_slot, PAGE);
}

/* What arrived before is in the table; an open round may come again, with the rest. */
static void a_lost_source_may_go_on(void **state)
{
    struct wire_message message;
    struct digest_table *table;
    uint8_t root[DIGEST_ROOT_BYTES];
    struct vf_error err = VF_ERROR_INIT;
    struct liar liar;
    uint64_t zero;

    (void)state;
    assert_int_equal(digest_table_new(VRAM / PAGE, PAGE, &table, &err), 0);
    zero = digest_table_zero(table);
    get_in(&liar);
    resume(&liar, 1, 0, zero);
    say_round(&liar, 0, 1, false);
    send_page(&liar, 0, digest_of_slot(), false);
    message = (struct wire_message){.tag = WIRE_ROUND_END, .count = {.frames = 1, .pages = 1}};
    say(liar.data, &message);
    hear(liar.data, WIRE_ACK, &message);
    wire_message_free(&message);
    resume(&liar, 7, 1, digest_of_slot());
    say_round(&liar, 1, 0, true);
    resume(&liar, 8, 1, digest_of_slot());
    say_round(&liar, 1, 0, true);
    message = (struct wire_message){.tag = WIRE_ROUND_END, .count = {.round = 1}};
    say(liar.data, &message);
    hear(liar.data, WIRE_ACK, &message);
    wire_message_free(&message);
    digest_set(table, 0, digest_of_slot());
    digest_root(table, root, NULL);
    digest_table_free(table);
    say_state(&liar, root);
    expect_abort(&liar,
                 ""); /* the pages were believed, the nonsense of the driver's state is not */
}

static void a_resume_with_a_wrong_token_gets_nothing(void **state)
{
    struct liar liar, thief;
    struct wire_message word;

    (void)state;
    get_in(&liar);
    thief = liar;
    word = resume_of(&thief, 1, 0);
    thief.hello.token[7] ^= 1;
    expect_nothing(come_back(&thief, &word));
    thief = liar;
    thief.hello.job[7] ^= 1;
    expect_nothing(come_back(&thief, &word));
    pass_round(&liar); /* it was not disturbed */
    leave(&liar);
}

static void a_resume_of_an_old_connection_disturbs_nothing(void **state)
{
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;
    struct liar liar;

    (void)state;
    assert_int_equal(digest_table_new(VRAM / PAGE, PAGE, &table, &err), 0);
    get_in(&liar);
    resume(&liar, 3, 0, digest_table_zero(table));
    for (uint32_t old = 1; old <= 3; old++) {
        struct wire_message word = resume_of(&liar, old, 0);

        expect_nothing(come_back(&liar, &word));
    }
    expect_nothing(open_data(&liar, 2));
    pass_round(&liar);
    digest_table_free(table);
    leave(&liar);
}

static void a_resume_of_another_round_or_hand_off_ends_it(void **state)
{
    static const struct {
        uint32_t round;
        uint64_t epoch;
        const char *words;
    } wrong[] = {{1, 0, "round 1"}, {UINT32_MAX, 0, "round"}, {0, 1, "another hand-off"}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct wire_message word;
        struct tp *old;
        struct liar liar;

        get_in(&liar);
        word = resume_of(&liar, 1, wrong[i].round);
        word.resume.id.epoch += wrong[i].epoch;
        old = liar.control;
        liar.control = come_back(&liar, &word);
        expect_abort(&liar, wrong[i].words);
        tp_close(old);
    }
}

/* And the target has heard it: the close that follows could destroy it on its way. */
static void say_paused_round(struct liar *liar)
{
    struct mig_job *job;

    say_round(liar, 0, 0, true);
    job = mig_job_get(right.mig, mig_job_of(right.mig, liar->admit.params.name));
    assert_non_null(job);
    await_phase(job, "last-round");
    mig_job_put(job);
}

static void a_paused_round_that_was_lost_cannot_be_skipped(void **state)
{
    uint8_t root[DIGEST_ROOT_BYTES];
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;
    struct liar liar;

    (void)state;
    assert_int_equal(digest_table_new(VRAM / PAGE, PAGE, &table, &err), 0);
    digest_root(table, root, NULL);
    get_in(&liar);
    say_paused_round(&liar);
    resume(&liar, 1, 0, digest_table_zero(table));
    say_state(&liar, root);
    expect_abort(&liar, "without a paused round");
    get_in(&liar);
    say_paused_round(&liar);
    resume(&liar, 1, 0, digest_table_zero(table));
    say_round(&liar, 0, 0, false);
    expect_abort(&liar, "out of turn");
    digest_table_free(table);
}

/* The frame of an earlier connection, on whatever stream it comes. */
static void a_frame_of_another_generation_is_refused(void **state)
{
    struct digest_table *table;
    struct vf_error err = VF_ERROR_INIT;
    struct liar liar;

    (void)state;
    assert_int_equal(digest_table_new(VRAM / PAGE, PAGE, &table, &err), 0);
    get_in(&liar);
    resume(&liar, 2, 0, digest_table_zero(table));
    say_round(&liar, 0, 1, false);
    liar.generation = 1;
    send_page(&liar, 0, digest_of_slot(), false);
    expect_abort(&liar, "generation");
    digest_table_free(table);
}

/* It need not wait until the target has given the old move up. */
static void a_source_that_begins_anew_is_let_in(void **state)
{
    struct liar first, second;
    uint8_t uuid[VF_UUID_BYTES];

    (void)state;
    get_in(&first);
    memcpy(uuid, first.admit.params.uuid, sizeof uuid);
    tp_close(first.control);
    tp_close(first.data);
    lie(&second);
    memcpy(second.admit.params.uuid, uuid, sizeof uuid);
    second.admit.epoch++;
    walk_in(&second);
    pass_round(&second);
    leave(&second);
}

static void a_source_of_version_1_is_not_waited_for(void **state)
{
    struct wire_message word;
    struct liar liar;

    (void)state;
    lie_in(&liar, 1, 1);
    walk_in(&liar);
    tp_close(liar.control);
    tp_close(liar.data);
    word = resume_of(&liar, 1, 0);
    expect_nothing(come_back(&liar, &word));
    expect_empty(&right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_source_may_go_on),
        cmocka_unit_test(a_resume_with_a_wrong_token_gets_nothing),
        cmocka_unit_test(a_resume_of_an_old_connection_disturbs_nothing),
        cmocka_unit_test(a_resume_of_another_round_or_hand_off_ends_it),
        cmocka_unit_test(a_paused_round_that_was_lost_cannot_be_skipped),
        cmocka_unit_test(a_frame_of_another_generation_is_refused),
        cmocka_unit_test(a_source_that_begins_anew_is_let_in),
        cmocka_unit_test(a_source_of_version_1_is_not_waited_for),
    };

    return cmocka_run_group_tests_name("move-false-resume", tests, liar_setup, liar_teardown);
}
