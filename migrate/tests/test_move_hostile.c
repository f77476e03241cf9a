// SPDX-License-Identifier: Apache-2.0
/*
 * Peers that speak the wire format perfectly and lie: a false source against a real target, a false target against a real source.
 * The liar gets an ABORT or a closed door; the host keeps nothing of it, and what ran runs on.
 */
#include "migrate/digest.h"
#include "migrate/tests/hosts.h"
#include "migrate/wire.h"

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

static struct host left, right;
static struct vf_partition_info honest; /* a partition on the left: what the false source claims to have */
static struct kc_blob kmd, umed;        /* its true immutable data, which opens the door */

static int setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&left, "left", SILENCE_NS, 1000000000ull);
    host_start(&right, "right", SILENCE_NS, 1000000000ull);
    create(&left, "honest", VRAM, &honest);
    if (kc_prepare(left.kc, honest.id, KC_SOURCE, 1, &err) != 0 || kc_save_immutable(left.kc, honest.id, &kmd, &umed, &err) != 0 ||
        kc_end(left.kc, honest.id, &err) != 0)
        die("immutable data", &err);
    assert_int_equal(honest.page_bytes, PAGE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kc_blob_free(&kmd);
    kc_blob_free(&umed);
    host_stop(&left);
    host_stop(&right);
    return 0;
}

static uint64_t soon(void)
{
    return vf_now_ns() + PATIENCE_NS;
}

static void expect_empty(struct host *host)
{
    uint64_t end = soon();
    size_t count = 1;

    /* The host clears up after its last word to us: there is no other sign of it. */
    while (count != 0) {
        struct vf_partition_info *list = NULL;
        struct vf_error err = VF_ERROR_INIT;

        if (kc_partition_list(host->kc, &list, &count, &err) != 0)
            die("list", &err);
        free(list);
        if (count != 0 && vf_now_ns() > end)
            fail_msg("%zu partitions are left", count);
        (void)poll(NULL, 0, count != 0 ? 2 : 0);
    }
}

/* ---- a false source ---- */

struct liar {
    struct tp *control;
    struct tp *data;
    struct wire_hello hello;
    struct wire_admit admit;
};

static void say(struct tp *tp, const struct wire_message *message)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_say(tp, message, soon(), &err) != 0)
        die("say", &err);
}

static void hear(struct tp *tp, enum wire_tag tag, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_expect(tp, tag, out, soon(), &err) != 0)
        die(wire_tag_name(tag), &err);
}

static void lie(struct liar *liar)
{
    struct wire_message message = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;
    uint8_t boot_id[16] = {1};

    memset(liar, 0, sizeof *liar);
    liar->hello.version_min = liar->hello.version_max = WIRE_VERSION;
    (void)snprintf(liar->hello.host_name, sizeof liar->hello.host_name, "liar");
    memcpy(liar->hello.boot_id, boot_id, sizeof boot_id);
    assert_int_equal(vf_uuid_random(liar->hello.job), 0);
    liar->admit = (struct wire_admit){.params = {.name = "lie", .vram_bytes = VRAM},
                                      .page_bytes = PAGE, .slot_bytes = SLOT, .streams = 1, .epoch = 7, .max_blackout_ns = UINT64_MAX,
                                      .kmd = {kmd.data, (uint32_t)kmd.bytes}, .umed = {umed.data, (uint32_t)umed.bytes}};
    assert_int_equal(vf_uuid_random(liar->admit.params.uuid), 0);
    if (tp_tcp_connect(right.address, soon(), &liar->control, &err) != 0)
        die("connect", &err);
    message.hello = liar->hello;
    say(liar->control, &message);
    hear(liar->control, WIRE_HELLO, &message);
    wire_message_free(&message);
}

static void ask(struct liar *liar)
{
    struct wire_message message = {.tag = WIRE_ADMIT, .admit = liar->admit};

    say(liar->control, &message);
}

/* Through the door, with one data stream. */
static void get_in(struct liar *liar)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    lie(liar);
    ask(liar);
    hear(liar->control, WIRE_ADMITTED, &message);
    memcpy(liar->hello.token, message.admitted.token, sizeof liar->hello.token);
    wire_message_free(&message);
    if (tp_tcp_connect(right.address, soon(), &liar->data, &err) != 0)
        die("connect", &err);
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = liar->hello};
    message.hello.role = WIRE_DATA;
    say(liar->data, &message);
}

static void leave(struct liar *liar)
{
    tp_close(liar->control);
    tp_close(liar->data);
    expect_empty(&right);
}

/* The target says ABORT, with these words in it, and keeps nothing. */
static void expect_abort(struct liar *liar, const char *words)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    if (wire_hear(liar->control, &message, soon(), &err) != 0)
        die("where an ABORT was due", &err);
    if (message.tag != WIRE_ABORT || strstr(message.abort.text, words) == NULL)
        fail_msg("%s \"%s\", not an ABORT about \"%s\"", wire_tag_name(message.tag),
                 message.tag == WIRE_ABORT ? message.abort.text : "", words);
    wire_message_free(&message);
    leave(liar);
}

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

static void say_round(struct liar *liar, uint32_t number, uint64_t pages, bool paused)
{
    struct wire_message message = {.tag = WIRE_ROUND, .round = {.round = number, .pages = pages, .paused = paused}};

    say(liar->control, &message);
}

static void say_state(struct liar *liar, const uint8_t root[DIGEST_ROOT_BYTES])
{
    struct wire_message message = {.tag = WIRE_STATE, .state = {.kmd = {"nonsense", 8}}};

    if (root != NULL)
        memcpy(message.state.root, root, DIGEST_ROOT_BYTES);
    say(liar->control, &message);
}

/* An empty paused round, proven. */
static void pass_round(struct liar *liar)
{
    struct wire_message message = {.tag = WIRE_ROUND_END};

    say_round(liar, 0, 0, true);
    say(liar->data, &message);
    hear(liar->data, WIRE_ACK, &message);
    wire_message_free(&message);
}

static void send_page(struct liar *liar, uint64_t page, uint64_t digest, bool zero)
{
    static const uint8_t slot[SLOT] = {1};
    struct wire_geometry anything = {.page_bytes = PAGE, .pages_total = 1ull << 40, .slot_bytes = SLOT};
    struct wire_frame *frame = calloc(1, sizeof *frame);
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(frame);
    memcpy(frame->job, liar->hello.job, sizeof frame->job);
    frame->epoch = liar->admit.epoch;
    assert_true(wire_frame_add(frame, page, digest, zero, 0, PAGE));
    if (wire_send_frame(liar->data, frame, slot, &anything, NULL, soon(), &err) != 0)
        die("frame", &err);
    free(frame);
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
    struct tp *stranger;

    (void)state;
    get_in(&liar);
    if (tp_tcp_connect(right.address, soon(), &stranger, &err) != 0)
        die("connect", &err);
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = liar.hello};
    message.hello.role = WIRE_DATA;
    message.hello.token[3] ^= 1;
    say(stranger, &message);
    assert_int_equal(wire_hear(stranger, &message, soon(), &err), 0);
    assert_int_equal(message.tag, WIRE_ABORT);
    wire_message_free(&message);
    tp_close(stranger);
    leave(&liar);
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
    expect_abort(&liar, "o"); /* out of turn, or more than anyone asked for: whichever is noticed first */
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
    struct digest_table *table;
    struct liar liar;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    get_in(&liar);
    pass_round(&liar);
    say_state(&liar, NULL);
    expect_abort(&liar, "proof");
    get_in(&liar);
    pass_round(&liar);
    assert_int_equal(digest_table_new(VRAM / PAGE, PAGE, &table, &err), 0);
    digest_root(table, root, NULL);
    digest_table_free(table);
    say_state(&liar, root);
    expect_abort(&liar, ""); /* the driver's words */
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

/* ---- a false target ---- */

struct trap {
    int listener;
    char address[64];
    pthread_t thread;
    void (*spring)(struct trap *trap);
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
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = hello}; /* the same boot id: one clock, it claims */
    say(trap->control, &message);
    hear(trap->control, WIRE_ADMIT, &message);
    trap->admit = message.admit;
    wire_message_free(&message);
    trap->spring(trap);
    tp_close(trap->control);
    return NULL;
}

/* The honest partition goes into the trap: the job's error, and its report. */
static struct vf_error fall_into(void (*spring)(struct trap *trap), bool dry_run, json_t **report)
{
    struct trap trap = {.spring = spring};
    struct vf_error err = VF_ERROR_INIT;
    struct mig_options options;
    struct mig_job *job;

    mig_options_init(&options);
    options.streams = 1;
    options.dry_run = dry_run;
    options.max_blackout_ns = PATIENCE_NS;
    assert_int_equal(tp_tcp_listen("127.0.0.1:0", &trap.listener, trap.address, sizeof trap.address, &err), 0);
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

static void expect_failed(void (*spring)(struct trap *trap), bool dry_run, const char *words)
{
    struct vf_error err = fall_into(spring, dry_run, NULL);
    struct vf_partition_info p;

    assert_int_equal(err.code, VF_FAILED);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
    if (kc_partition_info(left.kc, honest.id, &p, &err) != 0)
        die("the honest partition", &err);
    assert_int_equal(p.state, VF_PARTITION_RUNNING);
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
    const struct wire_message message = {.tag = WIRE_ADMITTED, .admitted = {.token = {9}, .slot_bytes = slot_bytes}};

    say(trap->control, &message);
}

static void admit_other_slots(struct trap *trap)
{
    admit(trap, SLOT / 2);
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

/* Takes all pages without a look, until STATE is on the control stream; its root. */
static void swallow(struct trap *trap, struct tp *data, uint8_t root[DIGEST_ROOT_BYTES])
{
    static uint8_t slot[SLOT];
    struct wire_geometry geometry = {.page_bytes = PAGE, .pages_total = VRAM / PAGE, .slot_bytes = SLOT};
    struct wire_frame *frame = calloc(1, sizeof *frame);
    struct wire_message message = {.tag = WIRE_ROUND};
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(frame);
    while (message.tag == WIRE_ROUND) {
        struct wire_message ack = {.tag = WIRE_ACK};
        struct wire_header header = {.tag = WIRE_PAGES};

        wire_message_free(&message);
        if (wire_hear(trap->control, &message, soon(), &err) != 0)
            die("rounds", &err);
        while (message.tag == WIRE_ROUND && header.tag == WIRE_PAGES) {
            assert_int_equal(wire_recv_header(data, &header, soon(), &err), 0);
            if (header.tag == WIRE_PAGES && (wire_recv_frame_head(data, &header, frame, &geometry, soon(), &err) != 0 ||
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
                                    .running = {.id = handoff_of(trap, trap->admit.epoch), .resume_ns = 1, .first_run_ns = UINT64_MAX}};
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
    expect_failed(never_read, false, "silent");
    expect_failed(ready_for_another_epoch, false, "something else");
}

/* Last: it takes the honest partition. */
static void impossible_moments_do_not_upset_the_sums(void **state)
{
    static const char *const pieces[] = {"pause_ns", "pages_ns", "state_ns", "verify_ns", "commit_ns", "start_ns"};
    json_t *report;
    json_int_t sum = 0;

    (void)state;
    assert_int_equal(fall_into(run_at_impossible_moments, false, &report).code, VF_OK);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        sum += json_integer_value(json_object_get(json_object_get(report, "blackout"), pieces[i]));
    assert_int_equal(sum, json_integer_value(json_object_get(report, "blackout_ns")));
    assert_true(sum > 0 && (uint64_t)sum < PATIENCE_NS);
    assert_string_equal(json_string_value(json_object_get(report, "blackout_clock")), "bound");
    json_decref(report);
    expect_empty(&left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_partitions_are_refused),
        cmocka_unit_test(an_epoch_without_a_successor_is_refused),
        cmocka_unit_test(a_data_stream_without_a_job_is_sent_away),
        cmocka_unit_test(records_out_of_order_end_it),
        cmocka_unit_test(a_full_verify_cannot_be_skipped),
        cmocka_unit_test(pages_that_lie_end_it),
        cmocka_unit_test(a_false_proof_or_state_is_refused),
        cmocka_unit_test(a_flood_of_records_is_cut_off),
        cmocka_unit_test(a_false_target_gets_nothing),
        cmocka_unit_test(impossible_moments_do_not_upset_the_sums),
    };

    return cmocka_run_group_tests_name("move-hostile", tests, setup, teardown);
}
