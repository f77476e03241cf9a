// SPDX-License-Identifier: Apache-2.0
/* Which of a host's partitions is the copy that a hand-off is about. */
#include "migrate/handoff/copy.h"
#include "migrate/job/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH 7u

static bool is_copy(enum mig_side side, uint64_t epoch, enum vf_partition_state state, uint8_t uuid)
{
    struct mig_job *job = calloc(1, sizeof *job);
    struct vf_partition_info p = {.epoch = epoch, .state = state};
    bool answer;

    assert_non_null(job);
    job->side = side;
    job->epoch = EPOCH;
    memset(job->partition_uuid, 1, sizeof job->partition_uuid);
    memset(p.uuid, uuid, sizeof p.uuid);
    answer = handoff_is_copy(job, &p);
    free(job);
    return answer;
}

/* The hand-off gives its epoch to the target's copy: one host may have both. */
static void the_sources_copy_is_older_than_its_hand_off(void **state)
{
    (void)state;
    assert_true(is_copy(MIG_SOURCE, EPOCH - 1, VF_PARTITION_PAUSED, 1));
    assert_true(is_copy(MIG_SOURCE, 1, VF_PARTITION_RUNNING, 1));
    assert_false(is_copy(MIG_SOURCE, EPOCH, VF_PARTITION_RUNNING, 1));
    assert_false(is_copy(MIG_SOURCE, EPOCH + 1, VF_PARTITION_RUNNING, 1));
}

/* A later hand-off may have brought the partition again. */
static void the_targets_copy_is_of_its_very_hand_off(void **state)
{
    (void)state;
    assert_true(is_copy(MIG_TARGET, EPOCH, VF_PARTITION_INCOMING, 1));
    assert_false(is_copy(MIG_TARGET, EPOCH - 1, VF_PARTITION_RUNNING, 1));
    assert_false(is_copy(MIG_TARGET, EPOCH + 1, VF_PARTITION_RUNNING, 1));
}

static void another_partition_or_one_that_goes_is_none(void **state)
{
    (void)state;
    assert_false(is_copy(MIG_SOURCE, EPOCH - 1, VF_PARTITION_PAUSED, 2));
    assert_false(is_copy(MIG_TARGET, EPOCH, VF_PARTITION_PAUSED, 2));
    assert_false(is_copy(MIG_SOURCE, EPOCH - 1, VF_PARTITION_DYING, 1));
    assert_false(is_copy(MIG_TARGET, EPOCH, VF_PARTITION_DYING, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sources_copy_is_older_than_its_hand_off),
        cmocka_unit_test(the_targets_copy_is_of_its_very_hand_off),
        cmocka_unit_test(another_partition_or_one_that_goes_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
