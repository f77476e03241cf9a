// SPDX-License-Identifier: Apache-2.0
/* See fault_rig.h. */
#include "migrate/tests/rig/fault_rig.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct host left, right;
struct proxy *proxy;
char through[64];
char want[GUEST_DIGEST_BYTES];
const struct guest_options work = {
    .workload = GUEST_CHURN, .size = 4u << 20, .steps = 2000, .seed = 21, .rate = 40000000};

int rig_setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&left, "left", SILENCE_NS, REDIAL_NS);
    host_start(&right, "right", SILENCE_NS, REDIAL_NS);
    proxy = proxy_open(right.address, through);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    return 0;
}

int rig_teardown(void **state)
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

struct footprint footprint(void)
{
    return (struct footprint){entries("/proc/self/task"), entries("/proc/self/fd")};
}

size_t partitions(struct host *host)
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

void expect_state(const char *label, struct host *host, uint32_t state)
{
    uint32_t is = state_of(host);

    if (is != state)
        fail_msg("%s: the partition is %s, not %s", label,
                 vf_partition_state_name((enum vf_partition_state)is),
                 vf_partition_state_name((enum vf_partition_state)state));
}

void expect_footprint(const char *label, const struct footprint *before)
{
    /* The source may still tell the target how it ended, on a connection of its own: also that of
     * the case before this one, so `before` may be more than there is now. */
    AWAIT(proxy_calm(proxy) && footprint().threads <= before->threads, "threads are left over");
    AWAIT(proxy_calm(proxy) && footprint().fds <= before->fds, "file descriptors are left over");
}

void expect_digest(const char *label, struct host *host)
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

void options_of(struct mig_options *options)
{
    mig_options_init(options);
    options->max_blackout_ns = 10000000000ull;
    options->throttle = 0; /* the last round is to have something to send */
}

struct mig_job *begin(struct footprint *before, const struct proxy_fault *fault)
{
    struct vf_partition_info p;
    struct mig_options options;

    options_of(&options);
    create(&left, NAME, 16u << 20, &p);
    run_workload(&left, &p, &work);
    *before = footprint();
    if (fault != NULL)
        proxy_arm(proxy, fault);
    return start_move(&left, through, NAME, &options);
}

struct vf_error end(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    (void)mig_job_result(job, &err);
    mig_job_put(job);
    return err;
}

void expect_never_happened(const char *label, const struct footprint *before)
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

const char *name_fault(const struct proxy_fault *fault)
{
    static char label[96];

    (void)snprintf(label, sizeof label, "%s at %s %u to the %s", proxy_act_name(fault->act),
                   wire_tag_name(fault->tag), fault->skip,
                   fault->way == TO_TARGET ? "target" : "source");
    return label;
}

uint64_t reconnects(struct mig_job *job)
{
    json_t *report = mig_job_report(job);
    uint64_t count = (uint64_t)json_integer_value(json_object_get(report, "reconnects"));

    json_decref(report);
    return count;
}

void clear_away(struct host *host)
{
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_find(host->kc, NAME, &p, &err) != 0 ||
        kc_partition_destroy(host->kc, p.id, &err) != 0)
        die("drop", &err);
}

void expect_arrived(const char *label, struct mig_job *job, const struct footprint *before)
{
    expect_moved(job);
    assert_int_equal(partitions(&left), 0);
    expect_state(label, &right, VF_PARTITION_RUNNING);
    expect_footprint(label, before);
    expect_digest(label, &right);
}
