// SPDX-License-Identifier: Apache-2.0
/*
 * What both ends say of a move whose link is cut for good, at every record: in which phase that
 * was, whom it was to, where the partition is now, for how long it stood.
 */
#include "migrate/tests/rig/fault_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct place {
    struct proxy_fault at;
    const char *source; /* phase that the source names */
    const char *target; /* and the target; NULL = it knows of no move yet */
    bool stood;         /* the partition had stopped by then */
};

#define HELD(way, tag, skip, paused)                                                               \
    {                                                                                              \
        way, tag, skip, PROXY_HOLD, 0, paused                                                      \
    }

static const struct place places[] = {
    {HELD(TO_TARGET, WIRE_HELLO, 0, false), "on connecting", NULL, false},
    {HELD(TO_SOURCE, WIRE_HELLO, 0, false), "on connecting", NULL, false},
    {HELD(TO_TARGET, WIRE_ADMIT, 0, false), "on admission", NULL, false},
    {HELD(TO_SOURCE, WIRE_ADMITTED, 0, false), "on admission", "in round 1", false},
    {HELD(TO_TARGET, WIRE_ROUND, 0, false), "in round 1", "in round 1", false},
    {HELD(TO_TARGET, WIRE_PAGES, 1, false), "in round 1", "in round 1", false},
    {HELD(TO_TARGET, WIRE_ROUND_END, 0, false), "in round 1", "in round 1", false},
    {HELD(TO_SOURCE, WIRE_ACK, 0, false), "in round 1", "in round 1", false},
    {HELD(TO_TARGET, WIRE_ROUND_END, 0, true), "in the last round", "in the last round", true},
    {HELD(TO_SOURCE, WIRE_ACK, 0, true), "in the last round", "in the last round", true},
    {HELD(TO_TARGET, WIRE_STATE, 0, false), "in the hand-off, before READY", "in the last round",
     true},
    {HELD(TO_SOURCE, WIRE_READY, 0, false), "in the hand-off, before READY",
     "in the hand-off, before COMMIT", true},
};

static void says(const char *label, const char *who, const char *text, const char *word)
{
    if (strstr(text, word) == NULL)
        fail_msg("%s: the %s says \"%s\", and nothing of \"%s\"", label, who, text, word);
}

/* The newest job of the host about this partition, over; NULL = none. */
static struct mig_job *newest(struct host *host)
{
    json_t *list = mig_jobs(host->mig);
    struct mig_job *job = NULL;
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry) {
        if (job == NULL &&
            strcmp(json_string_value(json_object_get(entry, "partition")), NAME) == 0)
            job =
                mig_job_get(host->mig, (uint64_t)json_integer_value(json_object_get(entry, "job")));
    }
    json_decref(list);
    return job;
}

static struct footprint at_rest;

static struct mig_job *cut_at(const struct proxy_fault *fault, struct footprint *before)
{
    struct vf_partition_info p;
    struct mig_options options;
    struct mig_job *job;

    options_of(&options);
    options.max_blackout_ns = 4 * SILENCE_NS;
    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    /* Of the hosts at rest: after the place before this one its last threads may just be ending. */
    if (at_rest.threads == 0)
        at_rest = footprint();
    *before = at_rest;
    proxy_arm(proxy, fault);
    job = start_move(&left, through, NAME, &options);
    if (!proxy_await_hold(proxy))
        fail_msg("%s: the record never came", name_fault(fault));
    proxy_refuse(proxy, true);
    proxy_cut_held(proxy);
    proxy_cut_all(proxy);
    return job;
}

static uint64_t stood_ns(struct mig_job *job)
{
    json_t *report = mig_job_report(job);
    uint64_t ns = (uint64_t)json_integer_value(json_object_get(report, "stood_ns"));

    json_decref(report);
    return ns;
}

static void check_source(const char *label, const struct place *place, struct mig_job *job)
{
    uint64_t stood = 0;
    struct vf_error err = VF_ERROR_INIT;

    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    stood = stood_ns(job);
    (void)mig_job_result(job, &err);
    mig_job_put(job);
    if (err.code != VF_FAILED)
        fail_msg("%s: code %d: %s", label, (int)err.code, err.text);
    says(label, "source", err.text, place->source);
    says(label, "source", err.text, "partition " NAME " runs on at host left");
    if (strstr(err.text, "peer left") != NULL || strstr(err.text, "at host right,") != NULL)
        fail_msg("%s: the source names the wrong host: %s", label, err.text);
    if (place->stood)
        says(label, "source", err.text, "it stood for");
    if (place->stood != (stood != 0))
        fail_msg("%s: stood_ns is %" PRIu64, label, stood);
}

static void check_target(const char *label, const struct place *place)
{
    struct mig_job *job = newest(&right);
    struct vf_error err = VF_ERROR_INIT;

    if (place->target == NULL) {
        mig_job_put(job); /* an earlier place's */
        return;
    }
    assert_non_null(job);
    assert_true(mig_job_wait(job, vf_now_ns() + PATIENCE_NS, UINT64_MAX) ||
                mig_job_wait(job, vf_now_ns() + PATIENCE_NS, UINT64_MAX - 1));
    (void)mig_job_result(job, &err);
    mig_job_put(job);
    says(label, "target", err.text, place->target);
    if (strstr(err.text, "runs on at its source, host left") == NULL &&
        strstr(err.text, "stays paused at host right until host left") == NULL)
        fail_msg("%s: the target does not say where it is: %s", label, err.text);
    if (strstr(err.text, "peer right") != NULL)
        fail_msg("%s: the target names the wrong host: %s", label, err.text);
}

static void a_link_cut_for_good_is_told_in_full_wherever_that_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const struct place *place = &places[i];
        const char *label = name_fault(&place->at);
        struct footprint before;

        check_source(label, place, cut_at(&place->at, &before));
        check_target(label, place);
        expect_state(label, &left, VF_PARTITION_RUNNING);
        proxy_refuse(proxy, false);
        expect_never_happened(label, &before);
    }
}

static void a_link_cut_after_commit_is_told_as_unknown_with_both_hosts(void **state)
{
    const struct proxy_fault fault = HELD(TO_TARGET, WIRE_COMMIT, 0, false);
    const char *label = "COMMIT";
    struct footprint before;
    struct mig_job *job, *there;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    job = cut_at(&fault, &before);
    err = end(job);
    assert_int_equal(err.code, VF_UNKNOWN);
    says(label, "source", err.text, "in the hand-off, after COMMIT");
    says(label, "source", err.text,
         "stays paused at host left until it is known whether host right");
    there = newest(&right);
    err = end(there);
    assert_int_equal(err.code, VF_UNKNOWN);
    says(label, "target", err.text, "in the hand-off, before COMMIT: the link to host left");
    says(label, "target", err.text, "stays paused at host right until host left");
    proxy_refuse(proxy, false);
    AWAIT(partitions(&left) == 0, "the source never heard that it runs there");
    expect_footprint(label, &before);
    expect_digest(label, &right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_cut_for_good_is_told_in_full_wherever_that_was),
        cmocka_unit_test(a_link_cut_after_commit_is_told_as_unknown_with_both_hosts),
    };

    return cmocka_run_group_tests_name("move-texts", tests, rig_setup, rig_teardown);
}
