// SPDX-License-Identifier: Apache-2.0
/* The mechanism itself: each fault does what it says, at the record and the place that it names,
 * and says that it did. VFERRY_FAULT is read once, so every test has a process of its own. */
#include "transport/tests/pipe.h"
#include "base/clock.h"
#include "base/fault.h"
#include "transport/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define READY 13u
#define COMMIT 14u
#define HEADER 16u
#define PAYLOAD 100u
#define RECORD (HEADER + PAYLOAD)
#define SOON_NS 300000000ull

static char folder[] = "/tmp/vferry-fault-XXXXXX";
static char told[64];

/* Runs `body` in a process with that fault; answers its exit status, 128 + signal when it
 * was killed. */
static int with_fault(const char *fault, void (*body)(void))
{
    char text[512];
    int status = 0;
    pid_t pid;

    (void)unlink(told);
    assert_true(snprintf(text, sizeof text, "log=%s;%s", told, fault) < (int)sizeof text);
    assert_return_code(setenv("VFERRY_FAULT", text, 1), errno);
    pid = fork();
    assert_return_code(pid, errno);
    if (pid == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child a failed check ends it with its line. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static bool was_told(const char *text)
{
    char line[4096] = "";
    FILE *file = fopen(told, "r");
    size_t got;

    if (file == NULL)
        return false;
    got = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[got] = '\0';
    return strstr(line, text) != NULL;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void make_record(uint8_t record[RECORD], uint32_t tag, uint8_t fill)
{
    memset(record, fill, RECORD);
    put_u32(record, tag);
    put_u32(record + 4, 1);
    put_u32(record + 8, PAYLOAD);
}

static struct tp *ends[2];

static void open_pipe(void)
{
    struct vf_error err = VF_ERROR_INIT;

    CHECK(tp_pipe(ends, &err) == 0);
}

static int say(uint32_t tag, uint8_t fill)
{
    uint8_t record[RECORD];
    struct iovec iov[2] = {{record, HEADER}, {record + HEADER, PAYLOAD}};

    make_record(record, tag, fill);
    return tp_send(ends[0], iov, 2, vf_now_ns() + SOON_NS, NULL);
}

static int take(uint8_t record[RECORD])
{
    struct vf_error err = VF_ERROR_INIT;

    return tp_recv(ends[1], record, RECORD, vf_now_ns() + SOON_NS, &err);
}

/* The next record is that one, to the bit. */
static bool comes(uint32_t tag, uint8_t fill)
{
    uint8_t want[RECORD], got[RECORD];

    make_record(want, tag, fill);
    return take(got) == 0 && memcmp(want, got, RECORD) == 0;
}

static bool nothing_comes(void)
{
    struct vf_error err = VF_ERROR_INIT;

    return tp_wait_readable(ends[1], vf_now_ns() + SOON_NS / 3, &err) == 0;
}

/* ---- streams ---- */

static void all_pass(void)
{
    open_pipe();
    CHECK(say(READY, 1) == 0 && say(COMMIT, 2) == 0);
    CHECK(comes(READY, 1) && comes(COMMIT, 2));
}

static void test_other_records_pass(void **state)
{
    (void)state;
    assert_int_equal(
        with_fault("msg=17:cut;msg=14,dir=send,nth=2:cut;msg=13,role=data:cut", all_pass), 0);
    assert_false(was_told("fired"));
}

static void test_a_trace_names_each_record_at_both_ends(void **state)
{
    (void)state;
    assert_int_equal(with_fault("trace", all_pass), 0);
    assert_true(was_told("\tmsg\t13\t\tsend\t"));
    assert_true(was_told("\tmsg\t14\t\trecv\t"));
}

static void cut_before_commit(void)
{
    uint8_t record[RECORD];

    open_pipe();
    CHECK(say(READY, 1) == 0 && say(COMMIT, 2) != 0 && say(READY, 3) != 0);
    CHECK(comes(READY, 1) && take(record) != 0 && tp_lost(ends[1]));
}

static void test_a_cut_ends_the_connection_before_the_record(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=14:cut", cut_before_commit), 0);
    assert_true(was_told("fired\tmsg=14"));
}

static void received_until_commit(void)
{
    uint8_t record[RECORD];

    open_pipe();
    CHECK(say(READY, 1) == 0 && say(COMMIT, 2) == 0);
    CHECK(comes(READY, 1) && take(record) != 0);
}

static void test_a_cut_may_come_when_the_record_is_received(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=14,dir=recv:cut", received_until_commit), 0);
}

static void half_a_commit(void)
{
    uint8_t record[RECORD];
    struct vf_error err = VF_ERROR_INIT;

    open_pipe();
    CHECK(say(COMMIT, 2) != 0);
    CHECK(tp_recv(ends[1], record, RECORD / 2, vf_now_ns() + SOON_NS, &err) == 0);
    CHECK(tp_recv(ends[1], record, 1, vf_now_ns() + SOON_NS, &err) != 0);
}

static void test_a_record_is_truncated(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=14:half", half_a_commit), 0);
}

static void twice(void)
{
    open_pipe();
    CHECK(say(READY, 1) == 0 && say(COMMIT, 2) == 0);
    CHECK(comes(READY, 1) && comes(READY, 1) && comes(COMMIT, 2) && nothing_comes());
}

static void test_a_record_passes_twice(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:dup", twice), 0);
    assert_int_equal(with_fault("msg=13,dir=recv:dup", twice), 0);
}

static void one_bit(void)
{
    uint8_t want[RECORD], got[RECORD];
    unsigned wrong = 0;

    open_pipe();
    make_record(want, READY, 1);
    CHECK(say(READY, 1) == 0 && take(got) == 0);
    for (size_t i = 0; i < RECORD; i++)
        wrong += (unsigned)__builtin_popcount(want[i] ^ got[i]);
    CHECK(wrong == 1 && (want[25] ^ got[25]) == 8);
    CHECK(say(READY, 1) == 0 && comes(READY, 1));
}

static void test_exactly_one_bit_is_flipped_once(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:flip=203", one_bit), 0);
    assert_int_equal(with_fault("msg=13,dir=recv:flip=203", one_bit), 0);
}

static void test_a_record_in_single_bytes_arrives_whole(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:short;msg=14,dir=recv:short", all_pass), 0);
    assert_true(was_told("fired\tmsg=13") && was_told("fired\tmsg=14"));
}

static void out_of_time(void)
{
    open_pipe();
    CHECK(say(READY, 1) != 0 && nothing_comes());
}

static void test_a_stalled_sender_runs_out_of_time(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:stall", out_of_time), 0);
}

static void late(void)
{
    const uint64_t begun = vf_now_ns();

    open_pipe();
    CHECK(say(READY, 1) == 0 && comes(READY, 1) && vf_now_ns() - begun >= 50000000u);
    CHECK(say(COMMIT, 2) == 0 && comes(COMMIT, 2));
}

static void test_a_delayed_record_comes_late_and_others_after_it(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:stall=50", late), 0);
    assert_int_equal(with_fault("msg=13,dir=recv:stall=50", late), 0);
    assert_int_equal(with_fault("msg=13,dir=recv:freeze=50", late), 0);
}

static void nobody_hears(void)
{
    open_pipe();
    CHECK(say(READY, 1) == 0 && say(COMMIT, 2) == 0 && nothing_comes());
}

static void test_a_silent_connection_takes_all_and_gives_nothing(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:silent", nobody_hears), 0);
}

static void outage(void)
{
    struct tp *first[2];

    open_pipe();
    CHECK(say(READY, 1) != 0);
    memcpy(first, ends, sizeof first);
    open_pipe();
    CHECK(say(COMMIT, 2) != 0); /* a new connection does not help */
    while (poll(NULL, 0, 60) != 0)
        continue;
    open_pipe();
    CHECK(say(COMMIT, 2) == 0 && comes(COMMIT, 2));
}

static void test_an_outage_hits_every_connection_and_ends(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:down=50", outage), 0);
}

static void test_a_process_dies_before_or_after_a_record(void **state)
{
    (void)state;
    assert_int_equal(with_fault("msg=13,dir=send:kill", all_pass), 128 + SIGKILL);
    assert_int_equal(with_fault("msg=14,dir=send:after-kill;trace", all_pass), 128 + SIGKILL);
    assert_true(was_told("\tmsg\t14\t\tsend\t"));
    assert_false(was_told("\tmsg\t13\t\trecv\t"));
    assert_int_equal(with_fault("msg=13,dir=recv:after-kill;trace", all_pass), 128 + SIGKILL);
    assert_false(was_told("\tmsg\t14\t\trecv\t"));
}

/* ---- points ---- */

static void pass_points(void)
{
    size_t bytes = 10;

    CHECK(vf_fault_errno("a", "x") == 0 && vf_fault_errno("a", "y") == EIO);
    CHECK(vf_fault_errno("a", "y") == 0);
    CHECK(vf_fault_write("w", "", &bytes) == 0 && bytes == 3);
    CHECK(vf_fault_write("w", "", &bytes) == ENOSPC && vf_fault_write("w", "", &bytes) == ENOSPC);
}

static void test_points_give_errors_where_they_are_named(void **state)
{
    (void)state;
    assert_int_equal(
        with_fault("point=a,of=y:EIO;point=w:short=3;point=w,nth=2+:ENOSPC", pass_points), 0);
}

static void lose_power(void)
{
    char path[80];
    int fd;

    (void)snprintf(path, sizeof path, "%s/disk", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, "synced lost", 11) == 11);
    vf_fault_synced(fd, 3);
    vf_fault_synced(fd, 7);
    VF_FAULT_POINT("now", "");
}

static void test_a_power_cut_drops_what_was_not_synced(void **state)
{
    char path[80];
    struct stat info;

    (void)state;
    assert_int_equal(with_fault("point=now:power", lose_power), 128 + SIGKILL);
    (void)snprintf(path, sizeof path, "%s/disk", folder);
    assert_return_code(stat(path, &info), errno);
    assert_int_equal(info.st_size, 7);
    (void)unlink(path);
}

static void use_it(void)
{
    (void)vf_fault_active();
}

static void test_a_text_that_is_not_understood_ends_the_process(void **state)
{
    static const char *const wrong[] = {"msg=READY:explode", "msg=READY",      "point=a,nth=0:kill",
                                        "point=a,of:kill",   "dir=send:kill;", "point=a:stall=x",
                                        "nonsense"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(with_fault(wrong[i], use_it), 2);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    return snprintf(told, sizeof told, "%s/told", folder) < (int)sizeof told ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    (void)unlink(told);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_records_pass),
        cmocka_unit_test(test_a_trace_names_each_record_at_both_ends),
        cmocka_unit_test(test_a_cut_ends_the_connection_before_the_record),
        cmocka_unit_test(test_a_cut_may_come_when_the_record_is_received),
        cmocka_unit_test(test_a_record_is_truncated),
        cmocka_unit_test(test_a_record_passes_twice),
        cmocka_unit_test(test_exactly_one_bit_is_flipped_once),
        cmocka_unit_test(test_a_record_in_single_bytes_arrives_whole),
        cmocka_unit_test(test_a_stalled_sender_runs_out_of_time),
        cmocka_unit_test(test_a_delayed_record_comes_late_and_others_after_it),
        cmocka_unit_test(test_a_silent_connection_takes_all_and_gives_nothing),
        cmocka_unit_test(test_an_outage_hits_every_connection_and_ends),
        cmocka_unit_test(test_a_process_dies_before_or_after_a_record),
        cmocka_unit_test(test_points_give_errors_where_they_are_named),
        cmocka_unit_test(test_a_power_cut_drops_what_was_not_synced),
        cmocka_unit_test(test_a_text_that_is_not_understood_ends_the_process),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
