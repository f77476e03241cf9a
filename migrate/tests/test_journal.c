// SPDX-License-Identifier: Apache-2.0
/* The journal: what was recorded comes back, a torn end is forgiven, any other damage is refused, a
 * full disk loses nothing. */
#include "migrate/journal/journal.h"

#include "base/tests/folder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#define MAX_FILE 16384

struct place {
    char dir[64];
    char file[80];
};

static int make_place(void **state)
{
    static struct place place;

    test_template_in_memory(place.dir, "vferry-journal");
    if (mkdtemp(place.dir) == NULL)
        return -1;
    (void)snprintf(place.file, sizeof place.file, "%s/journal", place.dir);
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
    struct journal *journal;
    struct vf_error err = VF_ERROR_INIT;

    if (journal_open(place->dir, &journal, &err) != 0)
        fail_msg("%s", err.text);
    return journal;
}

static struct journal_record record_of(uint64_t id, enum journal_kind kind, uint8_t uuid,
                                       uint64_t epoch)
{
    struct journal_record record = {.id = id,
                                    .kind = kind,
                                    .side = MIG_TARGET,
                                    .epoch = epoch,
                                    .partition = "vm-1",
                                    .peer = "192.0.2.1:7001",
                                    .text = "because"};

    memset(record.uuid, uuid, sizeof record.uuid);
    memset(record.job, (int)id, sizeof record.job);
    return record;
}

static void write_ok(struct journal *journal, const struct journal_record *record)
{
    struct vf_error err = VF_ERROR_INIT;

    if (journal_write(journal, record, &err) != 0)
        fail_msg("%s", err.text);
}

static size_t slurp(const struct place *place, char data[MAX_FILE])
{
    FILE *file = fopen(place->file, "rb");
    size_t bytes;

    assert_non_null(file);
    bytes = fread(data, 1, MAX_FILE, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void spill(const struct place *place, const char *data, size_t bytes)
{
    FILE *file = fopen(place->file, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

struct seen {
    struct journal_record list[64];
    size_t count;
};

static void see(void *ctx, const struct journal_record *last)
{
    struct seen *seen = ctx;

    assert_in_range(seen->count, 0, 63);
    seen->list[seen->count++] = *last;
}

static struct seen look(struct journal *journal)
{
    struct seen seen = {.count = 0};

    journal_each(journal, see, &seen);
    return seen;
}

static void every_field_comes_back(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(7, JOURNAL_COMMITTED, 0xab, 3);
    struct seen seen;

    record.time_ns = 1234567890123456789;
    (void)snprintf(record.text, sizeof record.text,
                   "quote \" backslash \\ newline \n tab \t umlaut \xc3\xbc");
    write_ok(journal, &record);
    journal_close(journal);
    journal = open_ok(place);
    seen = look(journal);
    assert_int_equal(seen.count, 1);
    assert_memory_equal(seen.list[0].job, record.job, sizeof record.job);
    assert_memory_equal(seen.list[0].uuid, record.uuid, sizeof record.uuid);
    assert_int_equal(seen.list[0].id, 7);
    assert_int_equal(seen.list[0].kind, JOURNAL_COMMITTED);
    assert_int_equal(seen.list[0].side, MIG_TARGET);
    assert_int_equal(seen.list[0].epoch, 3);
    assert_int_equal(seen.list[0].time_ns, record.time_ns);
    assert_string_equal(seen.list[0].partition, record.partition);
    assert_string_equal(seen.list[0].peer, record.peer);
    assert_string_equal(seen.list[0].text, record.text);
    journal_close(journal);
}

static void what_came_later_comes_back_too(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(1, JOURNAL_ABORTED, 1, 1);
    struct seen seen;

    for (int i = 0; i < 16; i++)
        record.token[i] = (uint8_t)(0xf3 - 17 * i);
    record.owed = true;
    record.stays_paused = true;
    (void)snprintf(record.identity, sizeof record.identity, "host-b.example");
    write_ok(journal, &record);
    record = record_of(2, JOURNAL_OPEN, 1, 1);
    write_ok(journal, &record);
    journal_close(journal);
    journal = open_ok(place);
    seen = look(journal);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(seen.list[0].token[i], (uint8_t)(0xf3 - 17 * i));
        assert_int_equal(seen.list[1].token[i], 0);
    }
    assert_string_equal(seen.list[0].identity, "host-b.example");
    assert_string_equal(seen.list[1].identity, "");
    assert_true(seen.list[0].owed && seen.list[0].stays_paused);
    assert_false(seen.list[1].owed || seen.list[1].stays_paused);
    journal_close(journal);
}

#define OLD_LINE                                                                                   \
    "{\"v\":1,\"kind\":\"OPEN\",\"time_ns\":5,\"id\":3,"                                           \
    "\"job\":\"01000000-0000-0000-0000-000000000000\",\"side\":\"source\","                        \
    "\"partition\":\"p\",\"uuid\":\"02000000-0000-0000-0000-000000000000\",\"epoch\":4,"           \
    "\"peer\":\"10.0.0.2:7001\",\"text\":\"stays paused\""

static void spill_line(const struct place *place, const char *line)
{
    char data[700];
    const int bytes = snprintf(data, sizeof data, "%s,\"sum\":\"%016" PRIx64 "\"}\n", line,
                               (uint64_t)XXH3_64bits(line, strlen(line)));

    assert_in_range(bytes, 1, sizeof data - 1);
    spill(place, data, (size_t)bytes);
}

/* As it was written before there were tokens. */
static void a_journal_of_an_older_version_is_read(void **state)
{
    const struct place *place = *state;
    struct journal *journal;
    struct seen seen;

    spill_line(place, OLD_LINE);
    journal = open_ok(place);
    seen = look(journal);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.list[0].epoch, 4);
    assert_true(seen.list[0].stays_paused);
    assert_false(seen.list[0].owed);
    assert_int_equal(seen.list[0].token[0], 0);
    journal_close(journal);
}

static void a_token_that_is_none_is_damage(void **state)
{
    static const char *const lines[] = {
        OLD_LINE ",\"token\":\"\"", OLD_LINE ",\"token\":\"00\"", OLD_LINE ",\"token\":7",
        OLD_LINE ",\"token\":\"0102030405060708090a0b0c0d0e0f1G\"",
        OLD_LINE ",\"token\":\"0102030405060708090a0b0c0d0e0f1011\""};
    const struct place *place = *state;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct journal *journal;

        spill_line(place, lines[i]);
        assert_int_equal(journal_open(place->dir, &journal, &err), -1);
    }
}

static void longest_text_of_any_bytes_can_be_written(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(1, JOURNAL_OPEN, 1, 1);

    memset(record.text, 0x01, sizeof record.text - 1); /* six characters each in JSON */
    memset(record.peer, 0x02, sizeof record.peer - 1);
    write_ok(journal, &record);
    memset(record.text, 0xff, sizeof record.text - 1); /* no UTF-8 */
    record.kind = JOURNAL_DONE;
    write_ok(journal, &record);
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(look(journal).list[0].kind, JOURNAL_DONE);
    assert_int_equal(look(journal).list[0].text[0], '?');
    journal_close(journal);
}

static void each_job_shows_its_last_state_by_rising_id(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    const struct journal_record records[] = {
        record_of(2, JOURNAL_OPEN, 1, 1),     record_of(1, JOURNAL_OPEN, 2, 1),
        record_of(3, JOURNAL_OPEN, 3, 1),     record_of(1, JOURNAL_DONE, 2, 1),
        record_of(2, JOURNAL_PREPARED, 1, 1),
    };

    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        write_ok(journal, &records[i]);
    for (int again = 0; again < 2; again++) {
        const struct seen seen = look(journal);

        assert_int_equal(seen.count, 3);
        assert_int_equal(seen.list[0].id, 1);
        assert_int_equal(seen.list[0].kind, JOURNAL_DONE);
        assert_int_equal(seen.list[1].id, 2);
        assert_int_equal(seen.list[1].kind, JOURNAL_PREPARED);
        assert_int_equal(seen.list[2].id, 3);
        journal_close(journal);
        journal = open_ok(place);
    }
    journal_close(journal);
}

static void epoch_is_the_highest_ever_even_of_aborted_moves(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    const struct journal_record records[] = {
        record_of(1, JOURNAL_DONE, 1, 5), record_of(2, JOURNAL_ABORTED, 1, 9),
        record_of(3, JOURNAL_OPEN, 1, 6), record_of(4, JOURNAL_OPEN, 2, 2)};
    uint8_t uuid[VF_UUID_BYTES];

    for (size_t i = 0; i < 4; i++)
        write_ok(journal, &records[i]);
    journal_close(journal);
    journal = open_ok(place);
    memset(uuid, 1, sizeof uuid);
    assert_int_equal(journal_epoch(journal, uuid), 9);
    memset(uuid, 2, sizeof uuid);
    assert_int_equal(journal_epoch(journal, uuid), 2);
    memset(uuid, 3, sizeof uuid);
    assert_int_equal(journal_epoch(journal, uuid), 0);
    journal_close(journal);
}

static void ids_are_never_given_twice(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record;

    assert_int_equal(journal_take_id(journal), 1);
    assert_int_equal(journal_take_id(journal), 2);
    record = record_of(2, JOURNAL_OPEN, 1, 1);
    write_ok(journal, &record);
    assert_int_equal(journal_take_id(journal), 3);
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(journal_take_id(journal), 3);
    journal_close(journal);
}

static void file_is_private(void **state)
{
    const struct place *place = *state;
    struct stat stat_;

    journal_close(open_ok(place));
    assert_int_equal(stat(place->file, &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0600);
}

static void what_cannot_be_written_leaves_no_trace(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(0, JOURNAL_OPEN, 1, 1);
    struct vf_error err = VF_ERROR_INIT;
    char data[MAX_FILE];

    assert_int_equal(journal_write(journal, &record, &err), -1);
    record = record_of(1, JOURNAL_KINDS, 1, 1);
    assert_int_equal(journal_write(journal, &record, &err), -1);
    record = record_of(1, JOURNAL_OPEN, 1, UINT64_MAX);
    assert_int_equal(journal_write(journal, &record, &err), -1);
    assert_int_equal(look(journal).count, 0);
    journal_close(journal);
    assert_int_equal(slurp(place, data), 0);
}

/* Three records; data and size of the file, and where the last line starts. */
static size_t three_lines(const struct place *place, char data[MAX_FILE], size_t *last)
{
    struct journal *journal = open_ok(place);
    size_t bytes;

    for (uint64_t id = 1; id <= 3; id++) {
        const struct journal_record record = record_of(id, JOURNAL_OPEN, (uint8_t)id, id);

        write_ok(journal, &record);
    }
    journal_close(journal);
    bytes = slurp(place, data);
    *last = bytes - 1;
    while (data[*last - 1] != '\n')
        (*last)--;
    return bytes;
}

static void cut_anywhere_in_the_last_line_is_forgiven(void **state)
{
    const struct place *place = *state;
    char data[MAX_FILE], after[MAX_FILE];
    size_t last;
    const size_t bytes = three_lines(place, data, &last);

    for (size_t cut = last; cut < bytes; cut++) {
        const struct journal_record record = record_of(9, JOURNAL_OPEN, 9, 9);
        struct journal *journal;

        spill(place, data, cut);
        journal = open_ok(place);
        assert_int_equal(look(journal).count, 2);
        assert_int_equal(slurp(place, after), last);
        write_ok(journal, &record); /* and goes on as if nothing had been */
        journal_close(journal);
        journal = open_ok(place);
        assert_int_equal(look(journal).count, 3);
        journal_close(journal);
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    const struct place *place = *state;
    char data[MAX_FILE];
    size_t last;
    const size_t bytes = three_lines(place, data, &last);

    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        struct vf_error err = VF_ERROR_INIT;
        struct journal *journal;

        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
        spill(place, data, bytes);
        if (journal_open(place->dir, &journal, &err) == 0)
            fail_msg("bit %zu of byte %zu: taken", bit % 8, bit / 8);
        assert_non_null(strstr(err.text, "is damaged"));
        assert_null(journal);
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
    }
}

static void endless_line_is_refused(void **state)
{
    const struct place *place = *state;
    static char data[MAX_FILE];
    struct journal *journal;
    struct vf_error err = VF_ERROR_INIT;

    memset(data, 'x', sizeof data);
    spill(place, data, sizeof data);
    assert_int_equal(journal_open(place->dir, &journal, &err), -1);
    assert_non_null(strstr(err.text, "line 1 is damaged"));
}

static void refusal_names_the_line(void **state)
{
    const struct place *place = *state;
    char data[MAX_FILE];
    size_t last;
    const size_t bytes = three_lines(place, data, &last);
    struct journal *journal;
    struct vf_error err = VF_ERROR_INIT;

    data[last - 5] = 'x';
    spill(place, data, bytes);
    assert_int_equal(journal_open(place->dir, &journal, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "line 2 is damaged"));
}

static void missing_directory_is_an_error(void **state)
{
    struct journal *journal;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(journal_open("/nonexistent/vferry", &journal, &err), -1);
    assert_null(journal);
    assert_int_equal(err.code, VF_FAILED);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk is full at every point of the next line in turn; the limit makes write(2) stop short
 * just as a full disk does. */
static void full_disk_takes_the_line_back(void **state)
{
    const struct place *place = *state;
    char data[MAX_FILE], after[MAX_FILE];
    size_t last;
    const size_t bytes = three_lines(place, data, &last);
    const struct journal_record record = record_of(4, JOURNAL_COMMIT, 4, 4);
    struct journal *journal = open_ok(place);

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    for (size_t room = 0; room < bytes - last; room += 7) {
        struct vf_error err = VF_ERROR_INIT;
        int rc;

        limit_file_size(bytes + room);
        rc = journal_write(journal, &record, &err);
        limit_file_size(RLIM_INFINITY);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, VF_FAILED);
        assert_non_null(strstr(err.text, "journal: cannot be written"));
        assert_int_equal(slurp(place, after), bytes);
        assert_memory_equal(data, after, bytes);
        assert_int_equal(look(journal).count, 3);
    }
    write_ok(journal, &record); /* there is room again */
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(look(journal).count, 4);
    journal_close(journal);
}

static void a_journal_that_was_removed_records_nothing(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(1, JOURNAL_COMMIT, 1, 1);
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(journal_write(journal, &record, &err), -1);
    assert_non_null(strstr(err.text, "removed from the state directory"));
    assert_non_null(vf_remedy(&err));
    assert_int_equal(journal_epoch(journal, record.uuid), 0);
    journal_close(journal);
}

static void a_journal_that_was_replaced_records_nothing(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    struct journal_record record = record_of(1, JOURNAL_COMMITTED, 1, 1);
    struct vf_error err = VF_ERROR_INIT;
    char there[MAX_FILE];

    assert_int_equal(unlink(place->file), 0);
    spill(place, "", 0);
    assert_int_equal(journal_write(journal, &record, &err), -1);
    assert_int_equal(slurp(place, there), 0);
    journal_close(journal);
}

static void *write_fifteen(void *arg)
{
    struct journal *journal = arg;

    for (int i = 0; i < 15; i++) {
        const struct journal_record record =
            record_of(journal_take_id(journal), JOURNAL_OPEN, 1, 1);
        struct vf_error err;

        if (journal_write(journal, &record, &err) != 0)
            return journal;
    }
    return NULL;
}

static void threads_write_whole_lines(void **state)
{
    const struct place *place = *state;
    struct journal *journal = open_ok(place);
    pthread_t threads[4];
    void *bad;

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_fifteen, journal), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    journal_close(journal);
    journal = open_ok(place);
    assert_int_equal(look(journal).count, 60);
    journal_close(journal);
}

#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(every_field_comes_back),
        IN_PLACE(what_came_later_comes_back_too),
        IN_PLACE(a_journal_of_an_older_version_is_read),
        IN_PLACE(a_token_that_is_none_is_damage),
        IN_PLACE(longest_text_of_any_bytes_can_be_written),
        IN_PLACE(each_job_shows_its_last_state_by_rising_id),
        IN_PLACE(epoch_is_the_highest_ever_even_of_aborted_moves),
        IN_PLACE(ids_are_never_given_twice),
        IN_PLACE(file_is_private),
        IN_PLACE(what_cannot_be_written_leaves_no_trace),
        IN_PLACE(cut_anywhere_in_the_last_line_is_forgiven),
        IN_PLACE(every_flipped_bit_is_refused),
        IN_PLACE(endless_line_is_refused),
        IN_PLACE(refusal_names_the_line),
        IN_PLACE(a_journal_that_was_removed_records_nothing),
        IN_PLACE(a_journal_that_was_replaced_records_nothing),
        cmocka_unit_test(missing_directory_is_an_error),
        IN_PLACE(full_disk_takes_the_line_back),
        IN_PLACE(threads_write_whole_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
