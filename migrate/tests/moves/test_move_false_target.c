// SPDX-License-Identifier: Apache-2.0
/*
 * A target that speaks the wire format perfectly and lies, against a real source: the partition
 * runs on, and what it says about time upsets no sum.
 */
#include "migrate/digest/digest.h"
#include "migrate/tests/rig/hosts.h"
#include "migrate/wire/wire.h"

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

#define SILENCE_NS 1500000000ull
#define PATIENCE_NS 20000000000ull
#define VRAM (8u << 20)
#define PAGE 65536u
#define SLOT (1u << 20)

static struct host left;
static struct vf_partition_info honest; /* what the traps are set for */

static int setup(void **state)
{
    (void)state;
    host_start(&left, "left", SILENCE_NS, 1000000000ull);
    create(&left, "honest", VRAM, &honest);
    assert_int_equal(honest.page_bytes, PAGE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&left);
    return 0;
}

static uint32_t lacks; /* feature bits that a trap does not offer, though it echoes the source */

struct trap {
    int listener;
    char address[64];
    pthread_t thread;
    void (*spring)(struct trap *trap);
    uint16_t version; /* the only one it speaks; 0 = as the source */
    struct tp *control;
    struct wire_admit admit; /* without its blobs */
    uint8_t job[WIRE_ID_BYTES];
};

static struct tp *next_stream(struct trap *trap, struct wire_hello *hello)
{
    struct pollfd look = {.fd = trap->listener, .events = POLLIN};
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;
    int fd;

    assert_int_equal(poll(&look, 1, (int)(PATIENCE_NS / 1000000u)), 1);
    fd = accept4(trap->listener, NULL, NULL, SOCK_CLOEXEC);
    if (tp_from_fd(fd, "source", &tp, &err) != 0)
        die("accept", &err);
    hear(tp, WIRE_HELLO, &message);
    *hello = message.hello;
    wire_message_free(&message);
    return tp;
}

static void *trap_loop(void *arg)
{
    struct trap *trap = arg;
    struct wire_message message;
    struct wire_hello hello;

    trap->control = next_stream(trap, &hello);
    memcpy(trap->job, hello.job, sizeof trap->job);
    message = (struct wire_message){.tag = WIRE_HELLO,
                                    .hello = hello}; /* the same boot id: one clock, it claims */
    message.hello.features_optional &= ~lacks;
    if (trap->version != 0)
        message.hello.version_min = message.hello.version_max = trap->version;
    say(trap->control, &message);
    if (trap->spring == NULL) {
        tp_close(trap->control);
        return NULL;
    }
    hear(trap->control, WIRE_ADMIT, &message);
    trap->admit = message.admit;
    wire_message_free(&message);
    trap->spring(trap);
    tp_close(trap->control);
    return NULL;
}

/* The honest partition goes into the trap: the job's error, and its report. */
static struct vf_error fall_into(void (*spring)(struct trap *trap), uint16_t version, bool dry_run,
                                 json_t **report)
{
    struct trap trap = {.spring = spring, .version = version};
    struct vf_error err = VF_ERROR_INIT;
    struct mig_options options;
    struct mig_job *job;

    mig_options_init(&options);
    options.streams = 1;
    options.dry_run = dry_run;
    options.max_blackout_ns = PATIENCE_NS / 4; /* for so long it asks a silent one again */
    assert_int_equal(
        tp_tcp_listen("127.0.0.1:0", &trap.listener, trap.address, sizeof trap.address, &err), 0);
    assert_int_equal(pthread_create(&trap.thread, NULL, trap_loop, &trap), 0);
    job = start_move(&left, trap.address, "honest", &options);
    (void)pthread_join(trap.thread, NULL);
    (void)close(trap.listener);
    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    (void)mig_job_result(job, &err);
    if (report != NULL)
        *report = mig_job_report(job);
    mig_job_put(job);
    return err;
}

static void expect_ended(void (*spring)(struct trap *trap), bool dry_run, enum vf_code code,
                         const char *words)
{
    struct vf_error err = fall_into(spring, 0, dry_run, NULL);
    struct vf_partition_info p;

    if (err.code != code)
        fail_msg("code %d (%s)", (int)err.code, err.text);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
    if (kc_partition_info(left.kc, honest.id, &p, &err) != 0)
        die("the honest partition", &err);
    assert_int_equal(p.state, VF_PARTITION_RUNNING);
}

static void expect_failed(void (*spring)(struct trap *trap), bool dry_run, const char *words)
{
    expect_ended(spring, dry_run, VF_FAILED, words);
}

static void refuse_without_reason(struct trap *trap)
{
    const struct wire_message message = {.tag = WIRE_REFUSED};

    say(trap->control, &message);
}

static void contradict(struct trap *trap)
{
    const struct wire_message message = {.tag = WIRE_VERDICT, .verdict = {.code = VF_INCOMPATIBLE}};

    say(trap->control, &message);
}

static void admit(struct trap *trap, uint64_t slot_bytes)
{
    const struct wire_message message = {.tag = WIRE_ADMITTED,
                                         .admitted = {.token = {9}, .slot_bytes = slot_bytes}};

    say(trap->control, &message);
}

static void admit_without_token(struct trap *trap)
{
    const struct wire_message message = {.tag = WIRE_ADMITTED, .admitted = {.slot_bytes = SLOT}};

    say(trap->control, &message);
}

static void admit_other_slots(struct trap *trap)
{
    admit(trap, SLOT / 2);
}

static void admit_other_pages(struct trap *trap)
{
    const struct wire_message message = {
        .tag = WIRE_ADMITTED,
        .admitted = {.token = {9}, .slot_bytes = SLOT, .sent_page_bytes = 8192}};

    assert_int_equal(trap->admit.page_bytes, PAGE);
    assert_int_equal(trap->admit.sent_page_bytes, 4096);
    say(trap->control, &message);
}

static bool has_key(const struct trap *trap)
{
    static const uint8_t none[WIRE_ID_BYTES];

    return memcmp(trap->admit.key, none, sizeof none) != 0;
}

static void expect_a_key(struct trap *trap)
{
    assert_true(has_key(trap));
    refuse_without_reason(trap);
}

static void expect_no_key(struct trap *trap)
{
    assert_false(has_key(trap));
    refuse_without_reason(trap);
}

static void never_read(struct trap *trap)
{
    struct pollfd look = {.events = POLLRDHUP};
    struct wire_hello hello;
    struct tp *data;

    admit(trap, SLOT);
    data = next_stream(trap, &hello);
    look.fd = tp_fd(trap->control);
    (void)poll(&look, 1, (int)(PATIENCE_NS / 1000000u)); /* until the source has had enough */
    tp_close(data);
}

/* Cancelled there while the data stream was on its way: the source hears on the stream that nobody
 * waits for it, ends its streams, and only then hears on the control connection why. */
static void cancel_behind_the_stream(struct trap *trap)
{
    struct vf_error why = VF_ERROR_INIT;
    struct wire_hello hello;
    struct tp *data;
    char waste[4096];

    admit(trap, SLOT);
    data = next_stream(trap, &hello);
    vf_fail(&why, VF_FAILED, "no job here waits for this data stream");
    wire_say_abort(data, &why);
    while (recv(tp_fd(data), waste, sizeof waste, 0) > 0)
        continue;
    tp_close(data);
    vf_fail(&why, VF_CANCELLED, "cancelled on admission");
    wire_say_abort(trap->control, &why);
    while (recv(tp_fd(trap->control), waste, sizeof waste, 0) > 0)
        continue;
}

/* Takes all pages without a look, until STATE is on the control stream; its root. It is older and
 * knows no pages but what a dirty bit covers. */
static void swallow(struct trap *trap, struct tp *data, uint8_t root[DIGEST_ROOT_BYTES])
{
    static uint8_t slot[SLOT];
    struct wire_geometry geometry = {
        .page_bytes = PAGE, .pages_total = VRAM / PAGE, .slot_bytes = SLOT};
    struct wire_frame *frame = calloc(1, sizeof *frame);
    struct wire_message message = {.tag = WIRE_ROUND};
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(frame);
    while (message.tag == WIRE_ROUND) {
        struct wire_message ack = {.tag = WIRE_ACK};
        struct wire_header header = {.tag = WIRE_PAGES};
        struct wire_packed packed;

        wire_message_free(&message);
        if (wire_hear(trap->control, &message, soon(), &err) != 0)
            die("rounds", &err);
        while (message.tag == WIRE_ROUND && header.tag == WIRE_PAGES) {
            assert_int_equal(wire_recv_header(data, &header, soon(), &err), 0);
            if (header.tag == WIRE_PAGES &&
                (wire_recv_frame_head(data, &header, frame, &packed, &geometry, soon(), &err) !=
                     0 ||
                 wire_recv_frame_payload(data, frame, slot, &geometry, soon(), &err) != 0))
                die("frame", &err);
        }
        if (message.tag == WIRE_ROUND) {
            struct wire_message end;

            assert_int_equal(wire_hear_body(data, &header, &end, soon(), &err), 0);
            ack.count = end.count;
            wire_message_free(&end);
            say(data, &ack);
        }
    }
    assert_int_equal(message.tag, WIRE_STATE);
    memcpy(root, message.state.root, DIGEST_ROOT_BYTES);
    wire_message_free(&message);
    free(frame);
}

static struct wire_handoff handoff_of(const struct trap *trap, uint64_t epoch)
{
    struct wire_handoff id = {.epoch = epoch};

    memcpy(id.job, trap->job, sizeof id.job);
    memcpy(id.uuid, trap->admit.params.uuid, sizeof id.uuid);
    return id;
}

static void get_ready(struct trap *trap, uint64_t epoch)
{
    struct wire_message message = {.tag = WIRE_READY};
    struct wire_hello hello;
    struct tp *data;

    admit(trap, SLOT);
    data = next_stream(trap, &hello);
    swallow(trap, data, message.ready.root);
    message.ready.id = handoff_of(trap, epoch);
    message.ready.verify_ns = UINT64_MAX;
    say(trap->control, &message);
    tp_close(data);
}

static void ready_for_another_epoch(struct trap *trap)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    get_ready(trap, trap->admit.epoch + 1);
    assert_int_equal(wire_hear(trap->control, &message, soon(), &err), 0);
    assert_int_equal(message.tag, WIRE_ABORT);
    wire_message_free(&message);
    message = (struct wire_message){.tag = WIRE_CLOSE};
    say(trap->control, &message);
}

static void run_at_impossible_moments(struct trap *trap)
{
    struct wire_message message;

    get_ready(trap, trap->admit.epoch);
    hear(trap->control, WIRE_COMMIT, &message);
    wire_message_free(&message);
    message = (struct wire_message){.tag = WIRE_RUNNING,
                                    .running = {.id = handoff_of(trap, trap->admit.epoch),
                                                .resume_ns = 1,
                                                .first_run_ns = UINT64_MAX}};
    say(trap->control, &message);
    hear(trap->control, WIRE_DONE, &message);
    wire_message_free(&message);
    message = (struct wire_message){.tag = WIRE_CLOSE, .close = {.first_run_ns = 2}};
    say(trap->control, &message);
}

static void a_false_target_gets_nothing(void **state)
{
    (void)state;
    expect_failed(refuse_without_reason, false, "names no reason");
    expect_failed(contradict, true, "makes no sense");
    expect_failed(admit_other_slots, false, "slots");
    expect_failed(admit_other_pages, false, "pages of 8192 bytes");
    expect_failed(admit_without_token, false, "without a token");
    expect_failed(never_read, false, "silent");
    expect_failed(ready_for_another_epoch, false, "something else");
}

static void a_stream_turned_away_hears_from_the_control_connection_why(void **state)
{
    (void)state;
    expect_ended(cancel_behind_the_stream, false, VF_CANCELLED, "cancelled on admission");
}

static void a_target_of_an_unknown_version_is_left(void **state)
{
    struct vf_error err = fall_into(NULL, WIRE_VERSION + 1, false, NULL);

    (void)state;
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_non_null(strstr(err.text, "update vferry on the host with the lower ones"));
}

/* Last: it takes the honest partition. In the words of version 1, which it may well speak. */
static void impossible_moments_do_not_upset_the_sums(void **state)
{
    static const char *const pieces[] = {"pause_ns",  "pages_ns",  "state_ns",
                                         "verify_ns", "commit_ns", "start_ns"};
    json_t *report;
    json_int_t sum = 0;

    (void)state;
    assert_int_equal(fall_into(run_at_impossible_moments, 1, false, &report).code, VF_OK);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        sum += json_integer_value(json_object_get(json_object_get(report, "blackout"), pieces[i]));
    assert_int_equal(sum, json_integer_value(json_object_get(report, "blackout_ns")));
    assert_true(sum > 0 && (uint64_t)sum < PATIENCE_NS);
    assert_string_equal(json_string_value(json_object_get(report, "blackout_clock")), "bound");
    json_decref(report);
    expect_empty(&left);
}

/* A target that is older takes digests without a key: one that it does not know of would have every
 * page refused. */
static void only_who_knows_of_keys_is_given_one(void **state)
{
    (void)state;
    expect_failed(expect_a_key, false, "names no reason");
    lacks = WIRE_FEATURE_KEYED;
    expect_failed(expect_no_key, false, "names no reason");
    lacks = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_knows_of_keys_is_given_one),
        cmocka_unit_test(a_false_target_gets_nothing),
        cmocka_unit_test(a_stream_turned_away_hears_from_the_control_connection_why),
        cmocka_unit_test(a_target_of_an_unknown_version_is_left),
        cmocka_unit_test(impossible_moments_do_not_upset_the_sums),
    };

    return cmocka_run_group_tests_name("move-false-target", tests, setup, teardown);
}
