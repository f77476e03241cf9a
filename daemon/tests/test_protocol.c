// SPDX-License-Identifier: Apache-2.0
/* Lines over a socket: however they are cut, whoever sends them, whatever comes along. */
#include "daemon/control/protocol.h"

#include "base/clock.h"
#include "base/unix_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct ends {
    int near, far;
    struct ctl_reader reader; /* of far */
};

static void open_ends(struct ends *ends, size_t max)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ends->near = fds[0];
    ends->far = fds[1];
    ctl_reader_init(&ends->reader, ends->far, max);
}

static void close_ends(struct ends *ends)
{
    ctl_reader_fini(&ends->reader);
    if (ends->near >= 0)
        (void)close(ends->near);
    (void)close(ends->far);
}

static void put(struct ends *ends, const char *text, size_t bytes)
{
    assert_int_equal(send(ends->near, text, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* Property: any text, cut anywhere, comes out as its lines. */
static void lines_survive_any_cut(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("# seed %u\n", seed);
    for (int run = 0; run < 200; run++) {
        struct ends ends;
        char text[4000];
        size_t bytes = 1 + (size_t)rand_r(&seed) % (sizeof text - 1);
        size_t sent = 0;
        size_t got = 0;
        char *line;
        size_t length;

        for (size_t i = 0; i < bytes; i++)
            text[i] = (char)(rand_r(&seed) % 7 == 0 ? '\n' : rand_r(&seed) % 256);
        text[bytes - 1] = '\n';
        open_ends(&ends, sizeof text);
        while (got < bytes) {
            enum ctl_read read = ctl_read_line(&ends.reader, &line, &length, 0);
            size_t part = 1 + (size_t)rand_r(&seed) % 300;

            if (read == CTL_LINE) {
                assert_memory_equal(line, text + got, length);
                assert_int_equal(text[got + length], '\n');
                got += length + 1;
                continue;
            }
            assert_int_equal(read, CTL_TIMEOUT);
            part = part < bytes - sent ? part : bytes - sent;
            assert_true(part > 0);
            put(&ends, text + sent, part);
            sent += part;
        }
        close_ends(&ends);
    }
}

static void a_line_of_the_longest_length_is_taken_and_a_longer_one_refused(void **state)
{
    char text[64];
    struct ends ends;
    char *line;
    size_t length;

    (void)state;
    memset(text, 'x', sizeof text);
    text[31] = '\n';
    open_ends(&ends, 32);
    put(&ends, text, 32);
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_LINE);
    assert_int_equal(length, 31);
    put(&ends, text + 32, 32);
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_TOO_LONG);
    close_ends(&ends);
}

static void half_a_line_at_the_end_is_dropped(void **state)
{
    struct ends ends;
    char *line;
    size_t length;

    (void)state;
    open_ends(&ends, 4096);
    put(&ends, "whole\nhalf", 10);
    (void)close(ends.near);
    ends.near = -1;
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_LINE);
    assert_string_equal(line, "whole");
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_END);
    close_ends(&ends);
}

static void silence_is_a_timeout(void **state)
{
    struct ends ends;
    char *line;
    size_t length;

    (void)state;
    open_ends(&ends, 4096);
    put(&ends, "half", 4);
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 20), CTL_TIMEOUT);
    close_ends(&ends);
}

static void an_object_arrives_as_it_was_sent_with_its_descriptor(void **state)
{
    json_t *object = json_pack("{s:s, s:i}", "verb", "read", "n", 7);
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    struct ends ends;
    char *line;
    size_t length;
    char content[16];

    (void)state;
    open_ends(&ends, 4096);
    assert_int_equal(ctl_send(ends.near, object, file, 1000), 0);
    (void)close(file);
    assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_LINE);
    assert_string_equal(line, "{\"verb\":\"read\",\"n\":7}");
    assert_true(ends.reader.passed_fd >= 0);
    assert_true(fcntl(ends.reader.passed_fd, F_GETFD) & FD_CLOEXEC);
    assert_true(read(ends.reader.passed_fd, content, sizeof content) > 0);
    json_decref(object);
    close_ends(&ends);
}

static void descriptors_nobody_asked_for_do_not_pile_up(void **state)
{
    json_t *object = json_object();
    unsigned before;
    struct ends ends;
    char *line;
    size_t length;

    (void)state;
    open_ends(&ends, 4096);
    before = open_descriptors();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ctl_send(ends.near, object, STDERR_FILENO, 1000), 0);
        assert_int_equal(ctl_read_line(&ends.reader, &line, &length, 1000), CTL_LINE);
    }
    assert_int_equal(open_descriptors(), before + 1);
    ctl_reader_fini(&ends.reader);
    assert_int_equal(open_descriptors(), before);
    json_decref(object);
    close_ends(&ends);
}

static void progress_to_who_does_not_read_is_dropped_at_once(void **state)
{
    json_t *object =
        json_pack("{s:s}", "progress", "of a line that is long enough to fill a socket");
    struct ends ends;
    uint64_t begin = vf_now_ns();
    int sent = 0;

    (void)state;
    open_ends(&ends, 4096);
    while ((sent = ctl_send(ends.near, object, -1, 0)) == 0)
        continue;
    assert_int_equal(sent, -EAGAIN);
    assert_true(vf_now_ns() - begin < 5000000000u);
    json_decref(object);
    close_ends(&ends);
}

static void an_answer_to_who_does_not_read_is_given_up(void **state)
{
    json_t *object = json_pack("{s:s}", "result", "of a line that is long enough to fill a socket");
    struct ends ends;
    int sent = 0;

    (void)state;
    open_ends(&ends, 4096);
    while ((sent = ctl_send(ends.near, object, -1, 20)) == 0)
        continue;
    assert_int_equal(sent, -ETIMEDOUT);
    json_decref(object);
    close_ends(&ends);
}

static void an_answer_to_who_left_is_an_error_and_no_signal(void **state)
{
    json_t *object = json_object();
    struct ends ends;

    (void)state;
    open_ends(&ends, 4096);
    (void)shutdown(ends.far, SHUT_RDWR);
    assert_int_equal(ctl_send(ends.near, object, -1, 1000), -EPIPE);
    json_decref(object);
    close_ends(&ends);
}

static void an_error_that_is_no_text_is_still_an_error(void **state)
{
    struct vf_error err = {.code = VF_INCOMPATIBLE};
    json_t *line;
    json_t *error;

    (void)state;
    (void)snprintf(err.text, sizeof err.text, "file \xff\xfe: no such file");
    line = ctl_error(&err, json_string("verdict"));
    error = json_object_get(line, "error");
    assert_int_equal(json_integer_value(json_object_get(error, "code")), 3);
    assert_true(json_string_length(json_object_get(error, "text")) > 0);
    assert_string_equal(json_string_value(json_object_get(line, "result")), "verdict");
    json_decref(line);
}

static void a_path_of_any_length_has_an_address(void **state)
{
    struct sockaddr_un address;
    char path[300];
    int dir_fd;

    (void)state;
    assert_int_equal(vf_socket_address("/tmp/control.sock", &address, &dir_fd), 0);
    assert_string_equal(address.sun_path, "/tmp/control.sock");
    assert_int_equal(dir_fd, -1);
    (void)strcpy(path, "/tmp");
    for (int i = 0; i < 60; i++)
        (void)strcat(path, "/.");
    (void)strcat(path, "/control.sock");
    assert_int_equal(vf_socket_address(path, &address, &dir_fd), 0);
    assert_true(dir_fd >= 0);
    (void)close(dir_fd);
    (void)strcpy(path + 4, "/no-such-directory");
    memset(path + strlen(path), 'x', 150);
    path[180] = '\0';
    (void)strcat(path, "/control.sock");
    assert_true(vf_socket_address(path, &address, &dir_fd) < 0);
    assert_int_equal(dir_fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_survive_any_cut),
        cmocka_unit_test(a_line_of_the_longest_length_is_taken_and_a_longer_one_refused),
        cmocka_unit_test(half_a_line_at_the_end_is_dropped),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(an_object_arrives_as_it_was_sent_with_its_descriptor),
        cmocka_unit_test(descriptors_nobody_asked_for_do_not_pile_up),
        cmocka_unit_test(progress_to_who_does_not_read_is_dropped_at_once),
        cmocka_unit_test(an_answer_to_who_does_not_read_is_given_up),
        cmocka_unit_test(an_answer_to_who_left_is_an_error_and_no_signal),
        cmocka_unit_test(an_error_that_is_no_text_is_still_an_error),
        cmocka_unit_test(a_path_of_any_length_has_an_address),
    };

    return cmocka_run_group_tests_name("control protocol", tests, NULL, NULL);
}
