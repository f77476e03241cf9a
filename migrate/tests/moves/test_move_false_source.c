// SPDX-License-Identifier: Apache-2.0
/*
 * A source that speaks the wire format perfectly and lies, against a real target: it gets a
 * REFUSED, an ABORT or a closed door, and the host keeps nothing of it.
 */
#include "migrate/tests/rig/liar.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static void expect_refused(struct liar *liar, const char *field)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    bool found = false;

    ask(liar);
    if (wire_hear(liar->control, &message, soon(), &err) != 0)
        die("where REFUSED was due", &err);
    assert_int_equal(message.tag, WIRE_REFUSED);
    for (uint32_t i = 0; i < message.verdict.reasons.count; i++)
        found = found || strcmp(message.verdict.reasons.list[i].field, field) == 0;
    if (!found)
        fail_msg("refused, but not for its %s: %s", field, message.verdict.text);
    wire_message_free(&message);
    leave(liar);
}

static void impossible_partitions_are_refused(void **state)
{
    struct liar liar;

    (void)state;
    lie(&liar);
    liar.admit.params.vram_bytes = 0;
    expect_refused(&liar, "vram");
    lie(&liar);
    liar.admit.params.vram_bytes = 1ull << 60;
    expect_refused(&liar, "vram");
    lie(&liar);
    liar.admit.params.vram_bytes = VRAM + 1;
    expect_refused(&liar, "create");
    lie(&liar);
    liar.admit.page_bytes = 4096;
    expect_refused(&liar, "dirty-page");
    lie(&liar);
    liar.admit.slot_bytes = PAGE;
    expect_refused(&liar, "slot");
    lie(&liar);
    liar.admit.streams = 64;
    expect_refused(&liar, "streams");
    lie(&liar);
    liar.admit.kmd = (struct wire_blob){"nonsense", 8};
    expect_refused(&liar, "driver");
}

static void an_epoch_without_a_successor_is_refused(void **state)
{
    struct liar liar;

    (void)state;
    lie(&liar);
    liar.admit.epoch = UINT64_MAX;
    ask(&liar);
    expect_abort(&liar, "epoch");
}

static void a_data_stream_without_a_job_is_sent_away(void **state)
{
    struct wire_message message;
    struct liar liar;
    struct vf_error err = VF_ERROR_INIT;
    struct tp *handshake;

    (void)state;
    get_in(&liar);
    if (tp_tcp_connect(right.address, soon(), &handshake, &err) != 0)
        die("connect", &err);
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = liar.hello};
    message.hello.role = WIRE_DATA;
    message.hello.token[3] ^= 1;
    say(handshake, &message);
    assert_int_equal(wire_hear(handshake, &message, soon(), &err), 0);
    assert_int_equal(message.tag, WIRE_ABORT);
    wire_message_free(&message);
    tp_close(handshake);
    leave(&liar);
}

static void a_source_of_every_version_we_speak_is_served(void **state)
{
    (void)state;
    for (uint16_t version = WIRE_VERSION_MIN; version <= WIRE_VERSION; version++) {
        struct liar liar;

        lie_in(&liar, version, version);
        walk_in(&liar);
        pass_round(&liar);
        leave(&liar);
    }
}

static void a_source_of_an_unknown_version_is_refused(void **state)
{
    static const uint16_t versions[][2] = {{0, 0}, {WIRE_VERSION + 1, UINT16_MAX}};

    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct wire_message message;
        struct vf_error err = VF_ERROR_INIT;
        struct liar liar;

        say_hello(&liar, versions[i][0], versions[i][1]);
        if (wire_hear(liar.control, &message, soon(), &err) != 0)
            die("where an ABORT was due", &err);
        assert_int_equal(message.tag, WIRE_ABORT);
        assert_int_equal(message.abort.code, VF_INCOMPATIBLE);
        assert_non_null(
            strstr(message.abort.text, "update vferry on the host with the lower ones"));
        wire_message_free(&message);
        leave(&liar);
    }
}

static void records_out_of_order_end_it(void **state)
{
    struct liar liar;

    (void)state;
    get_in(&liar);
    say_state(&liar, NULL);
    expect_abort(&liar, "without a paused round");
    get_in(&liar);
    say_round(&liar, 1, 0, false);
    expect_abort(&liar, "out of turn");
    get_in(&liar);
    say_round(&liar, 0, VRAM / PAGE + 1, false);
    expect_abort(&liar, "out of turn");
    get_in(&liar);
    say_round(&liar, 0, 0, true);
    say_round(&liar, 1, 0, true);
    expect_abort(&liar, "out of turn");
    get_in(&liar);
    say_round(&liar, 0, 0, true);
    say_state(&liar, NULL);
    expect_abort(&liar, "before all its pages are proven");
    get_in(&liar);
    for (uint32_t i = 0; i <= 64; i++)
        say_round(&liar, i, 0, false);
    expect_abort(&liar,
                 "o"); /* out of turn, or more than anyone asked for: whichever is noticed first */
}

static void a_full_verify_cannot_be_skipped(void **state)
{
    struct liar liar;
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    lie(&liar);
    liar.admit.verify = 1;
    ask(&liar);
    hear(liar.control, WIRE_ADMITTED, &message);
    memcpy(liar.hello.token, message.admitted.token, sizeof liar.hello.token);
    wire_message_free(&message);
    if (tp_tcp_connect(right.address, soon(), &liar.data, &err) != 0)
        die("connect", &err);
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = liar.hello};
    message.hello.role = WIRE_DATA;
    say(liar.data, &message);
    pass_round(&liar);
    say_state(&liar, NULL);
    expect_abort(&liar, "before all its pages are proven");
}

static void pages_that_lie_end_it(void **state)
{
    struct liar liar;

    (void)state;
    get_in(&liar);
    say_round(&liar, 0, 1, false);
    send_page(&liar, 0, 4711, false);
    expect_abort(&liar, "is not the one the source announced");
    get_in(&liar);
    say_round(&liar, 0, 1, false);
    send_page(&liar, VRAM / PAGE, 4711, false);
    expect_abort(&liar, "frame: page");
    get_in(&liar);
    say_round(&liar, 0, 1, false);
    send_page(&liar, 0, 4711, true);
    expect_abort(&liar, "announced as zero");
}

static void a_false_proof_or_state_is_refused(void **state)
{
    uint8_t root[DIGEST_ROOT_BYTES];
    struct liar liar;

    (void)state;
    get_in(&liar);
    pass_round(&liar);
    say_state(&liar, NULL);
    expect_abort(&liar, "proof");
    get_in(&liar);
    pass_round(&liar);
    empty_root(root);
    say_state(&liar, root);
    expect_abort(&liar, ""); /* the driver's words */
}

/* An ABORT is no lost link, after which it would wait for its source's word. */
static void a_prepared_target_that_is_called_off_lets_go_at_once(void **state)
{
    const struct vf_error why = {VF_FAILED, 0, "enough"};
    struct wire_message message;
    struct liar liar;

    (void)state;
    get_in(&liar);
    pass_round(&liar);
    say_true_state(&liar);
    hear(liar.control, WIRE_READY, &message);
    wire_message_free(&message);
    wire_say_abort(liar.control, &why);
    hear(liar.control, WIRE_CLOSE, &message);
    wire_message_free(&message);
    tp_close(liar.control);
    tp_close(liar.data);
    expect_empty(&right);
}

static void fill_disk(const struct host *host, bool full)
{
    struct rlimit limit;
    struct stat journal;
    char path[96];

    (void)snprintf(path, sizeof path, "%s/journal", host->dir);
    assert_int_equal(stat(path, &journal), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = full ? (rlim_t)journal.st_size : RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* CLOSE is what a source may resume on that had said COMMIT. */
static void a_target_that_cannot_record_its_end_does_not_say_close(void **state)
{
    const struct vf_error why = {VF_FAILED, 0, "enough"};
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    struct liar liar;

    (void)state;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    get_in(&liar);
    pass_round(&liar);
    say_true_state(&liar);
    hear(liar.control, WIRE_READY, &message);
    wire_message_free(&message);
    fill_disk(&right, true);
    wire_say_abort(liar.control, &why);
    assert_int_equal(wire_hear(liar.control, &message, soon(), &err), -1);
    fill_disk(&right, false);
    tp_close(liar.control);
    tp_close(liar.data);
    /* Once there is room, whoever asks again hears it. */
    if (tp_tcp_connect(right.address, soon(), &liar.control, &err) != 0)
        die("connect", &err);
    say(liar.control, &(struct wire_message){.tag = WIRE_HELLO, .hello = liar.hello});
    hear(liar.control, WIRE_HELLO, &message);
    wire_message_free(&message);
    wire_say_abort(liar.control, &why);
    hear(liar.control, WIRE_CLOSE, &message);
    wire_message_free(&message);
    tp_close(liar.control);
    expect_empty(&right);
}

static void a_flood_of_records_is_cut_off(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message message = {.tag = WIRE_STATE};
    uint8_t *blob = calloc(1, VF_MAX_MIGRATION_BLOB);
    struct liar liar;
    unsigned sent = 0;

    (void)state;
    assert_non_null(blob);
    lie(&liar);
    ask(&liar); /* the target is busy with this one while the rest comes */
    message.state.kmd = (struct wire_blob){blob, VF_MAX_MIGRATION_BLOB};
    while (sent < 1000 && wire_say(liar.control, &message, soon(), &err) == 0)
        sent++;
    assert_true(sent < 1000);
    free(blob);
    leave(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_partitions_are_refused),
        cmocka_unit_test(an_epoch_without_a_successor_is_refused),
        cmocka_unit_test(a_data_stream_without_a_job_is_sent_away),
        cmocka_unit_test(a_source_of_every_version_we_speak_is_served),
        cmocka_unit_test(a_source_of_an_unknown_version_is_refused),
        cmocka_unit_test(records_out_of_order_end_it),
        cmocka_unit_test(a_full_verify_cannot_be_skipped),
        cmocka_unit_test(pages_that_lie_end_it),
        cmocka_unit_test(a_false_proof_or_state_is_refused),
        cmocka_unit_test(a_prepared_target_that_is_called_off_lets_go_at_once),
        cmocka_unit_test(a_target_that_cannot_record_its_end_does_not_say_close),
        cmocka_unit_test(a_flood_of_records_is_cut_off),
    };

    return cmocka_run_group_tests_name("move-false-source", tests, liar_setup, liar_teardown);
}
