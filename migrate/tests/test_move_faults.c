// SPDX-License-Identifier: Apache-2.0
/*
 * Moves over a network that breaks, falls silent, cuts records in half and flips bits, at every
 * record of a move: before COMMIT the partition runs on at its source and nothing is left on the
 * target, after COMMIT it runs on the target; never two, never none.
 */
#include "migrate/tests/hosts.h"
#include "migrate/tests/proxy.h"

#include "base/size.h"

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SILENCE_NS 2000000000ull
#else
#define SILENCE_NS 700000000ull
#endif
#define REDIAL_NS (2 * SILENCE_NS + 1000000000ull)
#define PATIENCE_NS 20000000000ull
#define NAME "ferry"

static struct host left, right;
static struct proxy *proxy;
static char through[64]; /* right's address, behind the proxy */
static char want[GUEST_DIGEST_BYTES];
static const struct guest_options work = {
    .workload = GUEST_CHURN, .size = 4u << 20, .steps = 2000, .seed = 21, .rate = 40000000};

static int setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&left, "left", SILENCE_NS, REDIAL_NS);
    host_start(&right, "right", SILENCE_NS, REDIAL_NS);
    proxy = proxy_open(right.address, through);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    proxy_close(proxy);
    host_stop(&left);
    host_stop(&right);
    return 0;
}

/* ---- what must be so afterwards ---- */

static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

struct footprint {
    unsigned threads, fds;
};

static struct footprint footprint(void)
{
    return (struct footprint){entries("/proc/self/task"), entries("/proc/self/fd")};
}

/* The other side's threads end after the job that a test waits for: there is nothing to wait on but
 * their absence. */
#define AWAIT(condition, what)                                                                     \
    do {                                                                                           \
        uint64_t end_ = vf_now_ns() + PATIENCE_NS;                                                 \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (vf_now_ns() > end_)                                                                \
                fail_msg("%s: %s", label, what);                                                   \
            (void)poll(NULL, 0, 2);                                                                \
        }                                                                                          \
    } while (0)

static size_t partitions(struct host *host)
{
    struct vf_partition_info *list = NULL;
    struct vf_error err = VF_ERROR_INIT;
    size_t count = 0;

    if (kc_partition_list(host->kc, &list, &count, &err) != 0)
        die("list", &err);
    free(list);
    return count;
}

static uint32_t state_of(struct host *host)
{
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;

    return kc_partition_find(host->kc, NAME, &p, &err) == 0 ? p.state : VF_PARTITION_STATES;
}

static void expect_state(const char *label, struct host *host, uint32_t state)
{
    uint32_t is = state_of(host);

    if (is != state)
        fail_msg("%s: the partition is %s, not %s", label,
                 vf_partition_state_name((enum vf_partition_state)is),
                 vf_partition_state_name((enum vf_partition_state)state));
}

static void expect_footprint(const char *label, const struct footprint *before)
{
    /* The source may still tell the target how it ended, on a connection of its own. */
    AWAIT(proxy_calm(proxy) && footprint().threads == before->threads, "threads are left over");
    AWAIT(proxy_calm(proxy) && footprint().fds == before->fds, "file descriptors are left over");
}

static void expect_digest(const char *label, struct host *host)
{
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];

    if (kc_partition_find(host->kc, NAME, &p, &err) != 0)
        die(label, &err);
    await_done(host, &p, got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: digest %s, not %s", label, got, want);
    if (kc_partition_destroy(host->kc, p.id, &err) != 0)
        die(label, &err);
}

/* ---- one move with one fault ---- */

static void options_of(struct mig_options *options)
{
    mig_options_init(options);
    options->max_blackout_ns = 10000000000ull;
}

static struct mig_job *begin(struct footprint *before, const struct proxy_fault *fault)
{
    struct vf_partition_info p;
    struct mig_options options;

    options_of(&options);
    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    *before = footprint();
    proxy_arm(proxy, fault);
    return start_move(&left, through, NAME, &options);
}

/* The job's error; it is put. */
static struct vf_error end(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    (void)mig_job_result(job, &err);
    mig_job_put(job);
    return err;
}

/* It never happened: the source runs, the target is empty, and the same move succeeds. */
static void expect_never_happened(const char *label, const struct footprint *before)
{
    struct mig_options options;

    expect_state(label, &left, VF_PARTITION_RUNNING);
    AWAIT(partitions(&right) == 0, "something is left on the target");
    expect_footprint(label, before);
    options_of(&options);
    expect_moved(move(&left, &right, NAME, &options));
    assert_int_equal(partitions(&left), 0);
    expect_digest(label, &right);
}

static const char *name_fault(const struct proxy_fault *fault)
{
    static char label[96];

    (void)snprintf(label, sizeof label, "%s at %s %u to the %s", proxy_act_name(fault->act),
                   wire_tag_name(fault->tag), fault->skip,
                   fault->way == TO_TARGET ? "target" : "source");
    return label;
}

static void break_before_commit(enum proxy_way way, enum wire_tag tag, unsigned skip,
                                enum proxy_act act)
{
    struct proxy_fault fault = {way, tag, skip, act};
    const char *label = name_fault(&fault);
    struct footprint before;
    struct vf_error err = end(begin(&before, &fault));

    if (!proxy_fired(proxy))
        fail_msg("%s: the record never came", label);
    if (err.code != VF_FAILED)
        fail_msg("%s: code %d (%s)", label, (int)err.code, err.text);
    expect_never_happened(label, &before);
}

struct point {
    enum proxy_way way;
    enum wire_tag tag;
    unsigned skip;
};

static const struct point before_commit[] = {
    {TO_TARGET, WIRE_HELLO, 0},     {TO_SOURCE, WIRE_HELLO, 0}, {TO_TARGET, WIRE_ADMIT, 0},
    {TO_SOURCE, WIRE_ADMITTED, 0},  {TO_TARGET, WIRE_HELLO, 1}, {TO_TARGET, WIRE_ROUND, 0},
    {TO_TARGET, WIRE_PAGES, 0},     {TO_TARGET, WIRE_PAGES, 3}, {TO_SOURCE, WIRE_ACK, 0},
    {TO_TARGET, WIRE_ROUND_END, 0}, {TO_TARGET, WIRE_ROUND, 1}, {TO_TARGET, WIRE_ROUND_END, 2},
    {TO_SOURCE, WIRE_ACK, 2},       {TO_TARGET, WIRE_STATE, 0}, {TO_SOURCE, WIRE_READY, 0},
};

static void break_everywhere(enum proxy_act act)
{
    for (size_t i = 0; i < sizeof before_commit / sizeof *before_commit; i++)
        break_before_commit(before_commit[i].way, before_commit[i].tag, before_commit[i].skip, act);
}

static void a_cut_before_commit_never_happened(void **state)
{
    (void)state;
    break_everywhere(PROXY_CUT);
}

static void a_record_cut_in_half_never_happened(void **state)
{
    (void)state;
    break_everywhere(PROXY_TRUNCATE);
}

static void a_flipped_bit_never_happened(void **state)
{
    (void)state;
    break_everywhere(PROXY_FLIP);
}

static void silence_before_commit_never_happened(void **state)
{
    (void)state;
    break_everywhere(PROXY_SILENCE);
}

static void a_broken_hand_off_after_commit_completes(void **state)
{
    static const struct point points[] = {{TO_TARGET, WIRE_COMMIT, 0},
                                          {TO_SOURCE, WIRE_RUNNING, 0},
                                          {TO_TARGET, WIRE_DONE, 0},
                                          {TO_SOURCE, WIRE_CLOSE, 0}};
    static const enum proxy_act acts[] = {PROXY_CUT, PROXY_TRUNCATE, PROXY_FLIP, PROXY_SILENCE};

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        struct proxy_fault fault = {points[i / 4].way, points[i / 4].tag, 0, acts[i % 4]};
        const char *label = name_fault(&fault);
        struct footprint before;
        struct mig_job *job = begin(&before, &fault);

        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        if (!proxy_fired(proxy))
            fail_msg("%s: the record never came", label);
        expect_moved(job);
        assert_int_equal(partitions(&left), 0);
        expect_state(label, &right, VF_PARTITION_RUNNING);
        expect_footprint(label, &before);
        expect_digest(label, &right);
    }
}

/* ---- cancels ---- */

/* The job on that side, while the record is held. */
static struct mig_job *job_at(struct host *host, struct mig_job *source_job)
{
    return host == &left ? mig_job_get(left.mig, mig_job_id(source_job))
                         : mig_job_get(right.mig, mig_job_of(right.mig, NAME));
}

/* Cancels on that side while the record is on its way; 0 or what mig_job_cancel said. */
static int cancel_at(const struct point *point, struct host *host, struct footprint *before,
                     struct mig_job **job)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, PROXY_HOLD};
    struct mig_job *here;
    int result;

    *job = begin(before, &fault);
    if (!proxy_await_hold(proxy))
        fail_msg("%s: the record never came", name_fault(&fault));
    here = job_at(host, *job);
    assert_non_null(here);
    result = mig_job_cancel(here, NULL);
    mig_job_put(here);
    proxy_release(proxy);
    return result;
}

static void expect_cancelled(const struct point *point, struct host *host)
{
    struct proxy_fault fault = {point->way, point->tag, point->skip, PROXY_HOLD};
    const char *label = name_fault(&fault);
    struct footprint before;
    struct mig_job *job;
    struct vf_error err;

    if (cancel_at(point, host, &before, &job) != 0)
        fail_msg("%s: the cancel was refused", label);
    err = end(job);
    if (err.code != VF_CANCELLED)
        fail_msg("%s: code %d (%s)", label, (int)err.code, err.text);
    expect_never_happened(label, &before);
}

static void a_cancel_at_the_source_never_happened(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof before_commit / sizeof *before_commit; i++)
        expect_cancelled(&before_commit[i], &left);
}

static void a_cancel_at_the_target_never_happened(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof before_commit / sizeof *before_commit; i++) {
        /* Its job is known from ADMITTED to READY. */
        if (before_commit[i].tag != WIRE_HELLO && before_commit[i].tag != WIRE_ADMIT &&
            before_commit[i].tag != WIRE_READY)
            expect_cancelled(&before_commit[i], &right);
    }
}

static void a_cancel_that_comes_too_late_is_refused(void **state)
{
    static const struct {
        struct point point;
        struct host *host;
    } late[] = {{{TO_SOURCE, WIRE_READY, 0}, &right},
                {{TO_TARGET, WIRE_COMMIT, 0}, &left},
                {{TO_TARGET, WIRE_COMMIT, 0}, &right}};

    (void)state;
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        struct footprint before;
        struct mig_job *job;

        assert_int_equal(cancel_at(&late[i].point, late[i].host, &before, &job), -1);
        assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
        expect_moved(job);
        expect_footprint("late cancel", &before);
        expect_digest("late cancel", &right);
    }
}

/* ---- limits and unknown outcomes ---- */

static void silence_in_the_blackout_costs_no_more_than_its_limit(void **state)
{
    struct proxy_fault fault = {TO_TARGET, WIRE_STATE, 0, PROXY_SILENCE};
    const char *label = "blackout";
    struct vf_partition_info p;
    struct mig_options options;
    struct footprint before;
    struct vf_error err;

    (void)state;
    options_of(&options);
    options.max_blackout_ns = SILENCE_NS / 2;
    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    before = footprint();
    proxy_arm(proxy, &fault);
    err = end(start_move(&left, through, NAME, &options));
    assert_true(proxy_fired(proxy));
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "--max-blackout"));
    expect_never_happened(label, &before);
}

static enum mig_status newest_status(struct host *host)
{
    json_t *list = mig_jobs(host->mig);
    struct mig_job *job = mig_job_get(
        host->mig, (uint64_t)json_integer_value(json_object_get(json_array_get(list, 0), "job")));
    struct mig_progress progress;

    assert_non_null(job);
    mig_job_progress(job, &progress);
    mig_job_put(job);
    json_decref(list);
    return progress.status;
}

static void drop(struct host *host)
{
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_find(host->kc, NAME, &p, &err) != 0 ||
        kc_partition_destroy(host->kc, p.id, &err) != 0)
        die("drop", &err);
}

/* The network stays away after the fault. */
static struct vf_error end_alone(enum proxy_way way, enum wire_tag tag, struct footprint *before)
{
    struct proxy_fault fault = {way, tag, 0, PROXY_HOLD};
    struct mig_job *job = begin(before, &fault);

    assert_true(proxy_await_hold(proxy));
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    return end(job);
}

static void a_prepared_target_that_is_never_told_is_unknown(void **state)
{
    const char *label = "never told";
    struct footprint before;
    struct vf_error err;

    (void)state;
    err = end_alone(TO_SOURCE, WIRE_READY, &before);
    assert_int_equal(err.code, VF_FAILED);
    expect_state(label, &left, VF_PARTITION_RUNNING);
    AWAIT(newest_status(&right) != MIG_RUNNING, "the target waits for ever");
    assert_int_equal(newest_status(&right), MIG_UNKNOWN);
    expect_state(label, &right, VF_PARTITION_READY);
    expect_footprint(label, &before);
    proxy_refuse(proxy, false);
    drop(&right);
    expect_digest(label, &left);
}

static void a_commit_that_nobody_answers_is_unknown_and_resumes_nowhere(void **state)
{
    const char *label = "unanswered";
    struct footprint before;
    struct vf_error err;

    (void)state;
    err = end_alone(TO_TARGET, WIRE_COMMIT, &before);
    assert_int_equal(err.code, VF_UNKNOWN);
    expect_state(label, &left, VF_PARTITION_OUTGOING_PAUSED);
    AWAIT(newest_status(&right) != MIG_RUNNING, "the target waits for ever");
    assert_int_equal(newest_status(&right), MIG_UNKNOWN);
    expect_state(label, &right, VF_PARTITION_READY);
    expect_footprint(label, &before);
    proxy_refuse(proxy, false);
    drop(&left);
    drop(&right);
}

/* A daemon that ends need not wait for a peer that was lost. */
static void closing_ends_the_wait_of_a_prepared_target(void **state)
{
    struct proxy_fault fault = {TO_TARGET, WIRE_COMMIT, 0, PROXY_HOLD};
    struct host third;
    struct proxy *own = proxy;
    struct footprint before;
    struct mig_job *job;
    uint64_t asked;

    (void)state;
    host_start(&third, "third", 60000000000ull, 600000000000ull);
    proxy = proxy_open(third.address, through);
    job = begin(&before, &fault);
    assert_true(proxy_await_hold(proxy));
    asked = vf_now_ns();
    host_stop(&third);
    assert_true(vf_now_ns() - asked < PATIENCE_NS);
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    assert_int_equal(end(job).code, VF_UNKNOWN);
    proxy_close(proxy);
    proxy = own;
    (void)snprintf(through, sizeof through, "%s", proxy_address(proxy));
    drop(&left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_before_commit_never_happened),
        cmocka_unit_test(a_record_cut_in_half_never_happened),
        cmocka_unit_test(a_flipped_bit_never_happened),
        cmocka_unit_test(silence_before_commit_never_happened),
        cmocka_unit_test(a_broken_hand_off_after_commit_completes),
        cmocka_unit_test(a_cancel_at_the_source_never_happened),
        cmocka_unit_test(a_cancel_at_the_target_never_happened),
        cmocka_unit_test(a_cancel_that_comes_too_late_is_refused),
        cmocka_unit_test(silence_in_the_blackout_costs_no_more_than_its_limit),
        cmocka_unit_test(a_prepared_target_that_is_never_told_is_unknown),
        cmocka_unit_test(a_commit_that_nobody_answers_is_unknown_and_resumes_nowhere),
        cmocka_unit_test(closing_ends_the_wait_of_a_prepared_target),
    };

    return cmocka_run_group_tests_name("move-faults", tests, setup, teardown);
}
