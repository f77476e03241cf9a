// SPDX-License-Identifier: Apache-2.0
/* Versions: the highest common one counts, what an older one does not have is not missed, and what
 * version 2 adds is heard as it was said. */
#include "base/size.h"
#include "migrate/handoff/account.h"
#include "migrate/wire/internal.h"
#include "transport/tests/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int make_pipe(void **state)
{
    static struct tp *ends[2];
    struct vf_error err;

    if (tp_pipe(ends, &err) != 0)
        return -1;
    *state = ends;
    return 0;
}

static int drop_pipe(void **state)
{
    struct tp **ends = *state;

    tp_close(ends[0]);
    tp_close(ends[1]);
    return 0;
}

/* Says `in` at one end and hears it at the other. */
static void carry(struct tp **ends, const struct wire_message *in, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_say(ends[0], in, TP_NEVER, &err) != 0 || wire_hear(ends[1], out, TP_NEVER, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(out->tag, in->tag);
}

static void versions_and_features_must_agree(void **state)
{
    struct wire_hello peer = {
        .version_min = 1, .version_max = 9, .features_mandatory = 1, .host_name = "b"};
    struct wire_hello ours;
    struct vf_error err = VF_ERROR_INIT;
    uint16_t version = 0;

    (void)state;
    wire_hello_init(&ours);
    memcpy(ours.host_name, "a", sizeof "a");
    assert_int_equal(wire_hello_agree(&peer, &ours, 3, &version, &err), 0);
    assert_int_equal(version, WIRE_VERSION);
    peer.version_max = 1;
    assert_int_equal(wire_hello_agree(&peer, &ours, 3, &version, &err), 0);
    assert_int_equal(version, 1);
    peer.version_max = 9;
    assert_int_equal(wire_hello_agree(&peer, &ours, 2, &version, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_non_null(strstr(err.text, "features 0x1"));
    peer.version_min = WIRE_VERSION + 1;
    assert_int_equal(wire_hello_agree(&peer, &ours, 3, &version, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    /* The same on both hosts: who reads it may be on either. */
    assert_non_null(strstr(err.text, "host a speaks versions 1 to 2 of the migration protocol, "
                                     "host b 3 to 9"));
    assert_string_equal(vf_remedy(&err), "update vferry on the host with the lower ones");
    assert_int_equal(wire_hello_agree(&ours, &peer, 3, &version, &err), -1);
    assert_non_null(strstr(err.text, "host b speaks versions 3 to 9 of the migration protocol, "
                                     "host a 1 to 2"));
    assert_string_equal(vf_remedy(&err), "update vferry on the host with the lower ones");
    peer.version_min = peer.version_max = 0;
    assert_int_equal(wire_hello_agree(&peer, &ours, 3, &version, &err), -1);
}

/* What version 1 sends ends with its last field. */
static void an_admit_of_version_1_has_no_time_limit(void **state)
{
    const struct wire_message in = {.tag = WIRE_ADMIT,
                                    .admit = {.params = {.name = "vm", .vram_bytes = 1u << 30},
                                              .page_bytes = 65536,
                                              .slot_bytes = 1u << 20,
                                              .streams = 1,
                                              .epoch = 5,
                                              .umed = {"umed", 4},
                                              .max_time_ns = 60000000000}};
    struct wire_writer w;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    for (size_t missing = 9; missing > 1; missing--) {
        struct wire_record record = {.tag = WIRE_ADMIT};

        wire_writer_init(&w);
        assert_int_equal(wire_encode(&in, &w, &err), 0);
        record.payload = w.data;
        record.bytes = (uint32_t)(w.bytes - missing);
        assert_int_equal(wire_decode(&record, &out, &err), 0);
        assert_int_equal(out.admit.max_time_ns, 0);
        assert_int_equal(out.admit.umed.bytes, 4);
        wire_message_free(&out);
    }
}

static void resume_is_heard_as_said(void **state)
{
    const struct wire_message in[] = {
        {.tag = WIRE_RESUME, .resume = {.id.epoch = 4, .generation = 2, .next_round = 5}},
        {.tag = WIRE_RESUMED, .resume = {.id = {.job = {1}, .epoch = 4}, .generation = 2}},
    };

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct wire_message out;

        carry(*state, &in[i], &out);
        assert_memory_equal(&out.resume, &in[i].resume, sizeof out.resume);
        wire_message_free(&out);
    }
}

static void questions_about_a_hand_off_are_heard_as_said(void **state)
{
    const struct wire_handoff id = {.job = {1}, .uuid = {2}, .epoch = 3};
    const struct wire_message in[] = {
        {.tag = WIRE_INQUIRE, .handoff = id},
        {.tag = WIRE_NEVER_RAN, .handoff = id},
        {.tag = WIRE_ACCOUNT,
         .account = {.id = id,
                     .record = WIRE_JOURNAL_SETTLED,
                     .side = MIG_TARGET,
                     .held = WIRE_COPY_DYING,
                     .job_running = 1,
                     .time_ns = 1ull << 60,
                     .text = "resolved: the source runs it"}},
    };

    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        struct wire_message out;

        carry(*state, &in[i], &out);
        if (in[i].tag == WIRE_ACCOUNT) {
            assert_memory_equal(&out.account.id, &id, sizeof id);
            assert_int_equal(out.account.record, WIRE_JOURNAL_SETTLED);
            assert_int_equal(out.account.side, MIG_TARGET);
            assert_int_equal(out.account.runs, MIG_SOURCE);
            assert_int_equal(out.account.held, WIRE_COPY_DYING);
            assert_int_equal(out.account.job_running, 1);
            assert_int_equal(out.account.time_ns, 1ull << 60);
            assert_string_equal(out.account.text, in[i].account.text);
        } else {
            assert_memory_equal(&out.handoff, &in[i].handoff, sizeof out.handoff);
        }
        wire_message_free(&out);
    }
}

static void an_account_of_what_no_journal_has_is_refused(void **state)
{
    const struct wire_account accounts[] = {{.record = WIRE_JOURNAL_END},
                                            {.side = MIG_SIDES},
                                            {.held = WIRE_COPY_END},
                                            {.job_running = 2}};
    struct tp **ends = *state;

    for (size_t i = 0; i < sizeof accounts / sizeof *accounts; i++) {
        const struct wire_message in = {.tag = WIRE_ACCOUNT, .account = accounts[i]};
        struct wire_message out;
        struct vf_error err = VF_ERROR_INIT;

        assert_int_equal(wire_say(ends[0], &in, TP_NEVER, &err), 0);
        assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
        assert_non_null(strstr(err.text, "ACCOUNT: "));
    }
}

/* Hosts from before have no other way to say or to hear it. */
static void who_runs_it_is_said_however_the_text_is_worded(void **state)
{
    static const struct {
        enum mig_side runs;
        const char *text, *said;
    } rows[] = {
        {MIG_SOURCE, "", ""},
        {MIG_SOURCE, "reworded", "reworded"},
        {MIG_SOURCE, "resolved: the source runs it; by X", "resolved: the source runs it; by X"},
        {MIG_SOURCE, "resolved: the target runs it",
         "resolved: the source runs it; resolved: the target runs it"},
        {MIG_TARGET, "", "resolved: the target runs it; "},
        {MIG_TARGET, "reworded", "resolved: the target runs it; reworded"},
        {MIG_TARGET, "resolved: the target runs it; by X", "resolved: the target runs it; by X"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wire_message in = {.tag = WIRE_ACCOUNT}, out;

        in.account.record = WIRE_JOURNAL_SETTLED;
        in.account.runs = rows[i].runs;
        (void)snprintf(in.account.text, sizeof in.account.text, "%s", rows[i].text);
        carry(*state, &in, &out);
        assert_int_equal(out.account.runs, rows[i].runs);
        assert_string_equal(out.account.text, rows[i].said);
        wire_message_free(&out);
        in.account.record = WIRE_JOURNAL_ABORTED; /* then it says nothing */
        carry(*state, &in, &out);
        assert_int_equal(out.account.runs, MIG_SOURCE);
        assert_string_equal(out.account.text, rows[i].text);
        wire_message_free(&out);
    }
}

/* docs/wire-format.md. A partition state or a record that is inserted must not move them. */
static void the_wires_numbers_are_what_they_always_were(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN,      JOURNAL_PREPARED, JOURNAL_COMMIT,
                                              JOURNAL_COMMITTED, JOURNAL_DONE,     JOURNAL_ABORTED,
                                              JOURNAL_SETTLED};
    static const enum vf_partition_state states[] = {
        VF_PARTITION_BUILDING, VF_PARTITION_RUNNING,         VF_PARTITION_PAUSED,
        VF_PARTITION_OUTGOING, VF_PARTITION_OUTGOING_PAUSED, VF_PARTITION_INCOMING,
        VF_PARTITION_READY,    VF_PARTITION_FAULTED,         VF_PARTITION_DYING};
    enum journal_kind kind = JOURNAL_DONE;

    (void)state;
    assert_int_equal(sizeof kinds / sizeof *kinds, JOURNAL_KINDS);
    assert_int_equal(sizeof states / sizeof *states, VF_PARTITION_STATES);
    for (unsigned i = 0; i < JOURNAL_KINDS; i++) {
        assert_int_equal(wire_journal_of(kinds[i]), i + 1);
        assert_true(wire_journal_kind((enum wire_journal)(i + 1), &kind));
        assert_int_equal(kind, kinds[i]);
    }
    assert_false(wire_journal_kind(WIRE_JOURNAL_NONE, &kind));
    for (unsigned i = 0; i < VF_PARTITION_STATES; i++)
        assert_int_equal(wire_copy_of(states[i]), i + 1);
    for (int code = VF_OK; code <= VF_REFUSED_NOW; code++)
        assert_int_equal(wire_code_of((enum vf_code)code), code);
    assert_int_equal(wire_code_of(VF_STANDS), 61);
    assert_int_equal(WIRE_CODE_NO_RECORD, 3);
    assert_int_equal(WIRE_CODE_COMMITTED, 6);
    assert_int_equal(MIG_SOURCE, 0);
    assert_int_equal(MIG_TARGET, 1);
}

/* The connection that ADMIT came on is 0 for ever. */
static void a_resume_of_generation_0_is_refused(void **state)
{
    const struct wire_message in = {.tag = WIRE_RESUME, .resume = {.id.epoch = 4}};
    struct tp **ends = *state;
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(wire_say(ends[0], &in, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "RESUME: the first connection"));
}

static void a_table_is_heard_as_said(void **state)
{
    uint64_t digests[WIRE_TABLE_DIGESTS];
    struct wire_message in = {
        .tag = WIRE_TABLE,
        .table = {.first = 1ull << 40, .count = WIRE_TABLE_DIGESTS, .digests = digests}};
    struct wire_message out;

    for (uint32_t i = 0; i < WIRE_TABLE_DIGESTS; i++)
        digests[i] = htole64(i * 0x0102030405060708ull);
    carry(*state, &in, &out);
    assert_int_equal(out.table.first, 1ull << 40);
    assert_int_equal(out.table.count, WIRE_TABLE_DIGESTS);
    for (uint32_t i = 0; i < WIRE_TABLE_DIGESTS; i++)
        assert_int_equal(wire_table_digest(&out.table, i), i * 0x0102030405060708ull);
    wire_message_free(&out);
}

static void a_table_of_no_or_too_many_digests_is_refused(void **state)
{
    struct tp **ends = *state;

    for (uint32_t i = 0; i < 2; i++) {
        struct wire_writer w;
        struct wire_message out;
        struct vf_error err = VF_ERROR_INIT;

        wire_writer_init(&w);
        wire_put_u64(&w, 0);
        wire_put_u32(&w, i == 0 ? 0 : WIRE_TABLE_DIGESTS + 1);
        for (uint32_t k = 0; k <= WIRE_TABLE_DIGESTS; k++)
            wire_put_u64(&w, k);
        assert_int_equal(wire_send(ends[0], WIRE_TABLE, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
        assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), -1);
        assert_non_null(strstr(err.text, "TABLE: an impossible number"));
        wire_writer_free(&w);
    }
}

static void note(void *ctx, const char *text)
{
    char *told = ctx;

    (void)snprintf(told + strlen(told), 3 * WIRE_PING_TEXT - strlen(told), "[%s]", text);
}

/* An older host says them empty, without even a text. */
static void what_pings_say_is_heard_by_who_wants_to_and_by_nobody_else(void **state)
{
    struct tp **ends = *state;
    const struct wire_message commit = {.tag = WIRE_COMMIT, .handoff.epoch = 7};
    char told[3 * WIRE_PING_TEXT] = "", large[2 * WIRE_PING_TEXT];
    struct wire_pings pings = {note, told};
    struct wire_message out;
    struct vf_error err = VF_ERROR_INIT;

    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_say_ping(ends[0], "DDI X\n", TP_NEVER, &err), 0);
        assert_int_equal(wire_send(ends[0], WIRE_PING, 0, NULL, TP_NEVER, &err), 0);
        assert_int_equal(wire_say_ping(ends[0], i == 0 ? large : "", TP_NEVER, &err), 0);
        assert_int_equal(wire_say(ends[0], &commit, TP_NEVER, &err), 0);
        assert_int_equal(wire_hear_and_pings(ends[1], &out, i == 0 ? &pings : NULL, TP_NEVER, &err),
                         0);
        assert_int_equal(out.tag, WIRE_COMMIT);
        wire_message_free(&out);
    }
    large[WIRE_PING_TEXT - 1] = '\0';
    assert_int_equal(strncmp(told, "[DDI X?][][xxx", 14), 0);
    assert_int_equal(strlen(told), strlen("[DDI X?][][]") + strlen(large));
}

/* An older host reads the code alone. */
static void a_refusal_for_now_is_one_for_good_to_an_older_host(void **state)
{
    const struct wire_message refused = {.tag = WIRE_REFUSED,
                                         .verdict = {.code = VF_REFUSED_NOW, .text = "full"}};
    struct tp **ends = *state;
    struct wire_message out;
    struct wire_writer w;
    struct vf_error err = VF_ERROR_INIT;
    uint32_t code;

    wire_writer_init(&w);
    assert_int_equal(wire_encode(&refused, &w, &err), 0);
    memcpy(&code, w.data + 4, sizeof code);
    assert_int_equal(le32toh(code), VF_INCOMPATIBLE);
    assert_int_equal(wire_send(ends[0], WIRE_REFUSED, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), 0);
    assert_int_equal(out.verdict.code, VF_REFUSED_NOW);
    wire_message_free(&out);
    w.bytes--; /* what an older host says ends before that */
    assert_int_equal(wire_send(ends[0], WIRE_REFUSED, WIRE_MANDATORY, &w, TP_NEVER, &err), 0);
    assert_int_equal(wire_hear(ends[1], &out, TP_NEVER, &err), 0);
    assert_int_equal(out.verdict.code, VF_INCOMPATIBLE);
    wire_message_free(&out);
    wire_writer_free(&w);
}

#define WITH_PIPE(f) cmocka_unit_test_setup_teardown(f, make_pipe, drop_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_and_features_must_agree),
        cmocka_unit_test(an_admit_of_version_1_has_no_time_limit),
        WITH_PIPE(resume_is_heard_as_said),
        WITH_PIPE(questions_about_a_hand_off_are_heard_as_said),
        WITH_PIPE(an_account_of_what_no_journal_has_is_refused),
        WITH_PIPE(who_runs_it_is_said_however_the_text_is_worded),
        cmocka_unit_test(the_wires_numbers_are_what_they_always_were),
        WITH_PIPE(a_resume_of_generation_0_is_refused),
        WITH_PIPE(a_table_is_heard_as_said),
        WITH_PIPE(a_refusal_for_now_is_one_for_good_to_an_older_host),
        WITH_PIPE(what_pings_say_is_heard_by_who_wants_to_and_by_nobody_else),
        WITH_PIPE(a_table_of_no_or_too_many_digests_is_refused),
    };

    return cmocka_run_group_tests_name("wire-version", tests, NULL, NULL);
}
