// SPDX-License-Identifier: Apache-2.0
/* What a daemon that comes back makes of saves and restores that an earlier one began:
 * the partition runs here, or its file is whole and it is gone; never both by accident,
 * never neither. */
#include "migrate/tests/rig/hosts.h"

#include "migrate/job/job.h"
#include "migrate/journal/journal.h"
#include "migrate/mig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATH "/somewhere/p.image"
#define EPOCH 7u /* of the jobs' hand-offs */

static struct host host;

static int setup(void **state)
{
    (void)state;
    host_start(&host, "left", 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&host);
    return 0;
}

static uint64_t next_id = 1; /* of the next job that comes back */

/* The daemon ends; what it had written of a job about this partition is `kinds`, the last one
 * first. Then it comes back: the job as it sees it now, which is the caller's to put. */
static struct mig_job *come_back(const struct vf_partition_info *p, enum mig_side side,
                                 const enum journal_kind *kinds, size_t count, bool stays_paused)
{
    struct mig_config config = {.host_name = "left",
                                .kernel_socket = host.socket,
                                .state_dir = host.dir,
                                .listen = host.address};
    struct journal_record record = {.job = {9, 9},
                                    .side = side,
                                    .operation =
                                        side == MIG_SOURCE ? JOURNAL_SAVE : JOURNAL_RESTORE,
                                    .epoch = EPOCH,
                                    .peer = "file:" PATH,
                                    .stays_paused = stays_paused};
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;
    struct mig_job *job;

    mig_close(host.mig);
    assert_int_equal(journal_open(host.dir, &journal, &err), 0);
    record.id = journal_take_id(journal);
    next_id = record.id + 1;
    (void)snprintf(record.partition, sizeof record.partition, "%s", p->name);
    memcpy(record.uuid, p->uuid, sizeof record.uuid);
    record.job[0] = (uint8_t)record.id;
    for (size_t i = 0; i < count; i++) {
        record.kind = kinds[i];
        assert_int_equal(journal_write(journal, &record, &err), 0);
    }
    journal_close(journal);
    if (mig_open(&config, &host.mig, &err) != 0)
        die("mig_open", &err);
    job = mig_job_get(host.mig, record.id);
    assert_non_null(job);
    assert_true(mig_job_wait(job, 0, UINT64_MAX));
    return job;
}

static bool is_here(const struct vf_partition_info *p, struct vf_partition_info *now)
{
    struct vf_error err = VF_ERROR_INIT;

    return kc_partition_info(host.kc, p->id, now, &err) == 0;
}

/* Paused in the middle of a save. */
static void begin_save(struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    create(&host, "p", 32u << 20, p);
    if (kc_prepare(host.kc, p->id, KC_SOURCE, next_id, &err) != 0 ||
        kc_partition_pause(host.kc, p->id, &err) != 0)
        die("begin", &err);
}

static void drop(const struct vf_partition_info *p)
{
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_destroy(host.kc, p->id, &err) != 0)
        die("destroy", &err);
}

static void a_save_without_commit_runs_on(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    begin_save(&p);
    job = come_back(&p, MIG_SOURCE, kinds, 1, false);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_string_equal(err.text,
                        "in the blackout: the daemon of host left ended during the save; partition "
                        "p runs on at host left and there is no image; save it again");
    mig_job_put(job);
    assert_true(is_here(&p, &now));
    assert_int_equal(now.state, VF_PARTITION_RUNNING);
    drop(&p);
}

static void a_partition_that_a_person_paused_is_not_woken(void **state)
{
    static const enum journal_kind opened[] = {JOURNAL_OPEN};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    begin_save(&p);
    mig_job_put(come_back(&p, MIG_SOURCE, opened, 1, true));
    assert_true(is_here(&p, &now));
    assert_int_equal(now.state, VF_PARTITION_PAUSED);
    assert_int_equal(kc_partition_resume(host.kc, p.id, &err), 0);
    drop(&p);
}

static void a_save_with_commit_is_finished(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_COMMIT};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;
    char to[256];

    (void)state;
    begin_save(&p);
    job = come_back(&p, MIG_SOURCE, kinds, 2, false);
    assert_int_equal(mig_job_result(job, &err), 0);
    mig_job_put(job);
    assert_false(is_here(&p, &now));
    assert_true(mig_moved_to(host.mig, "p", to, sizeof to));
    assert_string_equal(to, "file:" PATH);
    /* Had it been destroyed before the daemon died: the same. */
    job = come_back(&p, MIG_SOURCE, kinds, 2, false);
    assert_int_equal(mig_job_result(job, &err), 0);
    mig_job_put(job);
}

/* Between End and destroy it is an ordinary paused partition, that somebody could resume. */
static void a_save_with_commit_is_finished_from_any_state(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_COMMIT};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    begin_save(&p);
    assert_int_equal(kc_end(host.kc, p.id, &err), 0);
    mig_job_put(come_back(&p, MIG_SOURCE, kinds, 2, false));
    assert_false(is_here(&p, &now));
}

/* DONE could not be written, and the image was restored meanwhile. */
static void a_partition_restored_since_is_left_alone(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_COMMIT};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    create(&host, "p", 32u << 20, &p);
    assert_int_equal(kc_partition_set_epoch(host.kc, p.id, EPOCH + 1, &err), 0);
    mig_job_put(come_back(&p, MIG_SOURCE, kinds, 2, false));
    assert_true(is_here(&p, &now));
    assert_int_equal(now.state, VF_PARTITION_RUNNING);
    drop(&p);
}

static void a_restore_without_committed_leaves_nothing(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    job = come_back(&p, MIG_TARGET, kinds, 1, false);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_string_equal(err.text,
                        "while it was restored: the daemon of host left ended during the restore; "
                        "nothing is left of it at host left, the image is as it was; restore it "
                        "again");
    mig_job_put(job);
    assert_false(is_here(&p, &now));
}

static void a_restore_with_committed_runs(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_COMMITTED};
    struct vf_partition_info p, now;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    create_incoming(&host, next_id, &p);
    make_ready(&host, &p, EPOCH);
    job = come_back(&p, MIG_TARGET, kinds, 2, false);
    assert_int_equal(mig_job_result(job, &err), 0);
    mig_job_put(job);
    assert_true(is_here(&p, &now));
    assert_int_equal(now.state, VF_PARTITION_RUNNING);
    drop(&p);
}

/* It is what it was begun as, whatever its peer is called. */
static void a_file_is_told_from_a_host_of_that_name(void **state)
{
    static const struct {
        const char *peer;
        enum journal_operation operation;
        const char *kind;
    } cases[] = {{"file:/tmp/x", JOURNAL_SAVE, "save"},
                 {"10.0.0.1:7001", JOURNAL_RESTORE, "restore"},
                 {"file:/tmp/x", JOURNAL_MOVE, "move"},
                 {"file:7001", JOURNAL_MOVE, "move"}};
    const uint8_t uuid[16] = {1};
    struct mig_job *job = job_new(host.mig, 4711, uuid, MIG_SOURCE);

    (void)state;
    assert_non_null(job);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(job->peer, sizeof job->peer, "%s", cases[i].peer);
        job->operation = cases[i].operation;
        assert_int_equal(job_with_file(job), cases[i].operation != JOURNAL_MOVE);
        assert_string_equal(job_kind(job), cases[i].kind);
    }
    mig_job_put(job);
}

static void a_long_path_keeps_its_end(void **state)
{
    char path[1000];
    struct mig_job *job;

    (void)state;
    memset(path, 'd', sizeof path);
    path[0] = '/';
    (void)snprintf(path + 990, 10, "/p.image");
    job = mig_new_file_job(host.mig, "p", path, true);
    assert_non_null(job);
    assert_true(job_with_file(job));
    assert_int_equal(strlen(job->peer), sizeof job->peer - 1);
    assert_string_equal(job->peer + strlen(job->peer) - 8, "/p.image");
    mig_job_put(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_without_commit_runs_on),
        cmocka_unit_test(a_partition_that_a_person_paused_is_not_woken),
        cmocka_unit_test(a_save_with_commit_is_finished),
        cmocka_unit_test(a_save_with_commit_is_finished_from_any_state),
        cmocka_unit_test(a_partition_restored_since_is_left_alone),
        cmocka_unit_test(a_restore_without_committed_leaves_nothing),
        cmocka_unit_test(a_restore_with_committed_runs),
        cmocka_unit_test(a_file_is_told_from_a_host_of_that_name),
        cmocka_unit_test(a_long_path_keeps_its_end),
    };

    return cmocka_run_group_tests_name("save", tests, setup, teardown);
}
