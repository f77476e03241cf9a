// SPDX-License-Identifier: Apache-2.0
/* A journal that is started anew forgets what is over, and nothing that matters: open jobs,
 * epochs, numbers. */
#include "migrate/journal/journal.h"

#include "base/tests/folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MOVES 4000u
#define BYTES_ENOUGH (1u << 20) /* a tenth of what so many moves would take */

struct place {
    char dir[64];
    char file[80];
    char new_file[80];
};

static int make_place(void **state)
{
    static struct place place;

    test_template_in_memory(place.dir, "vferry-journal");
    if (mkdtemp(place.dir) == NULL)
        return -1;
    (void)snprintf(place.file, sizeof place.file, "%s/journal", place.dir);
    (void)snprintf(place.new_file, sizeof place.new_file, "%s/journal.new", place.dir);
    *state = &place;
    return 0;
}

static int drop_place(void **state)
{
    const struct place *place = *state;

    (void)unlink(place->file);
    return rmdir(place->dir);
}

static struct journal *open_ok(const struct place *place)
{
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;

    if (journal_open(place->dir, &journal, &err) != 0)
        fail_msg("%s", err.text);
    return journal;
}

static void write_owing(struct journal *journal, uint64_t id, enum journal_kind kind, uint8_t uuid,
                        uint64_t epoch, bool owed)
{
    struct journal_record record = {.id = id,
                                    .kind = kind,
                                    .side = MIG_TARGET,
                                    .epoch = epoch,
                                    .partition = "vm-1",
                                    .peer = "192.0.2.1:7001",
                                    .owed = owed,
                                    .text = "because"};
    struct vf_error err = VF_ERROR_INIT;

    memset(record.uuid, uuid, sizeof record.uuid);
    memset(record.job, (int)id, sizeof record.job);
    if (journal_write(journal, &record, &err) != 0)
        fail_msg("%s", err.text);
}

static void write_ok(struct journal *journal, uint64_t id, enum journal_kind kind, uint8_t uuid,
                     uint64_t epoch)
{
    write_owing(journal, id, kind, uuid, epoch, false);
}

/* So many moves that are over, of one partition. */
static void move_often(struct journal *journal, unsigned moves, uint8_t uuid, uint64_t *epoch)
{
    for (unsigned i = 0; i < moves; i++) {
        uint64_t id = journal_take_id(journal);

        (*epoch)++;
        write_ok(journal, id, JOURNAL_OPEN, uuid, *epoch);
        write_ok(journal, id, i % 2 == 0 ? JOURNAL_DONE : JOURNAL_ABORTED, uuid, *epoch);
    }
}

static uint64_t epoch_of(struct journal *journal, uint8_t uuid)
{
    uint8_t bytes[VF_UUID_BYTES];

    memset(bytes, uuid, sizeof bytes);
    return journal_epoch(journal, bytes);
}

struct found {
    uint64_t id;
    enum journal_kind kind;
    size_t count, of_id;
};

static void look(void *ctx, const struct journal_record *last)
{
    struct found *found = ctx;

    found->count++;
    if (last->id == found->id) {
        found->of_id++;
        found->kind = last->kind;
    }
}

static struct found find(struct journal *journal, uint64_t id)
{
    struct found found = {.id = id};

    journal_each(journal, look, &found);
    return found;
}

static off_t size_of(const struct place *place)
{
    struct stat info;

    assert_int_equal(stat(place->file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    return info.st_size;
}

static void what_is_over_is_forgotten_in_file_and_memory(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    uint64_t epoch = 0;
    uint64_t next;

    move_often(journal, MOVES, 1, &epoch);
    assert_in_range(size_of(place), 1, BYTES_ENOUGH);
    assert_in_range(find(journal, 0).count, 256, 256 + 1024);
    next = journal_take_id(journal);
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(epoch_of(journal, 1), epoch);
    assert_int_equal(journal_take_id(journal), next);
    assert_int_equal(find(journal, next - 1).of_id, 1); /* the newest job */
    assert_int_equal(find(journal, 1).of_id, 0);
    journal_close(journal);
}

static void an_open_job_is_kept_however_old(void **state)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_PREPARED, JOURNAL_COMMIT,
                                              JOURNAL_COMMITTED};
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    uint64_t ids[4];
    uint64_t epoch = 100;

    for (size_t i = 0; i < 4; i++) {
        ids[i] = journal_take_id(journal);
        write_ok(journal, ids[i], kinds[i], 1, i + 1); /* of old epochs, too */
    }
    move_often(journal, MOVES, 1, &epoch);
    for (unsigned again = 0; again < 2; again++) {
        for (size_t i = 0; i < 4; i++) {
            struct found found = find(journal, ids[i]);

            assert_int_equal(found.of_id, 1);
            assert_int_equal(found.kind, kinds[i]);
        }
        journal_close(journal);
        journal = open_ok(place);
    }
    journal_close(journal);
}

static void a_job_whose_peer_has_to_be_told_is_kept_however_old(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    uint64_t epoch = 100;
    uint64_t aborted = journal_take_id(journal);
    uint64_t settled = journal_take_id(journal);
    uint64_t told = journal_take_id(journal);

    write_owing(journal, aborted, JOURNAL_ABORTED, 1, 1, true);
    write_owing(journal, settled, JOURNAL_SETTLED, 1, 2, true);
    write_owing(journal, told, JOURNAL_ABORTED, 1, 3, true);
    write_ok(journal, told, JOURNAL_ABORTED, 1, 3);
    move_often(journal, MOVES, 1, &epoch);
    assert_int_equal(find(journal, aborted).of_id, 1);
    assert_int_equal(find(journal, settled).of_id, 1);
    assert_int_equal(find(journal, told).of_id, 0);
    journal_close(journal);
}

/* Whoever asks about a partition's last hand-off gets its answer, for ever. */
static void each_partitions_last_hand_off_is_kept(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    uint64_t epoch = 0;
    uint64_t id = journal_take_id(journal);

    write_ok(journal, id, JOURNAL_OPEN, 9, 7);
    write_ok(journal, id, JOURNAL_ABORTED, 9, 7);
    move_often(journal, MOVES, 1, &epoch);
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(epoch_of(journal, 9), 7);
    assert_int_equal(find(journal, id).kind, JOURNAL_ABORTED);
    journal_close(journal);
}

static void a_file_that_a_crash_left_is_cleared_away(void **state)
{
    const struct place *place = *state;
    struct journal *journal;
    uint64_t epoch = 0;
    int fd = open(place->new_file, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "half a li", 9), 9);
    (void)close(fd);
    journal = open_ok(place);
    move_often(journal, MOVES, 1, &epoch);
    assert_int_equal(access(place->new_file, F_OK), -1);
    assert_in_range(size_of(place), 1, BYTES_ENOUGH);
    journal_close(journal);
}

/* Something is in the way of the new file: the old one serves on, and nothing is lost. */
static void a_failure_leaves_the_old_file(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    uint64_t epoch = 0;

    assert_int_equal(mkdir(place->new_file, 0700), 0);
    move_often(journal, MOVES, 1, &epoch);
    assert_true(size_of(place) > BYTES_ENOUGH);
    journal_close(journal);
    assert_int_equal(rmdir(place->new_file), 0);
    journal = open_ok(place); /* an opening makes up for it */
    assert_in_range(size_of(place), 1, BYTES_ENOUGH);
    assert_int_equal(epoch_of(journal, 1), epoch);
    move_often(journal, 10, 1, &epoch);
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(epoch_of(journal, 1), epoch);
    journal_close(journal);
}

#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(what_is_over_is_forgotten_in_file_and_memory),
        IN_PLACE(an_open_job_is_kept_however_old),
        IN_PLACE(a_job_whose_peer_has_to_be_told_is_kept_however_old),
        IN_PLACE(each_partitions_last_hand_off_is_kept),
        IN_PLACE(a_file_that_a_crash_left_is_cleared_away),
        IN_PLACE(a_failure_leaves_the_old_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
