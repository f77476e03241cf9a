// SPDX-License-Identifier: Apache-2.0
/* The control socket with real clients: garbage, half lines, crowds, silence; and what it costs
 * nobody else. No kernel side. */
#include "daemon/control/control.h"

#include "base/size.h"
#include "base/tests/folder.h"
#include "daemon/control/protocol.h"
#include "daemon/state_dir.h"
#include "daemon/verbs/verbs.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CROWD 400
#define PATIENCE_MS 5000

void daemon_stop(struct daemon *daemon)
{
    atomic_store(&daemon->stop, true);
    (void)eventfd_write(daemon->wake_fd, 1);
}

struct bench {
    struct daemon daemon;
    struct control *control;
    char dir[64];
    pthread_t acceptor;
};

/* The daemon's main loop, as far as the control socket goes. */
static void *accept_loop(void *arg)
{
    struct bench *bench = arg;
    struct pollfd fds[] = {{.fd = control_fd(bench->control), .events = POLLIN},
                           {.fd = bench->daemon.wake_fd, .events = POLLIN}};

    while (!atomic_load(&bench->daemon.stop)) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
            control_accept(bench->control);
    }
    return NULL;
}

static int set_up_for(void **state, bool group_access)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(bench);
    bench->daemon.group_access = group_access;
    bench->daemon.socket_gid = getegid();
    test_template(bench->dir, "vferry-control");
    assert_non_null(mkdtemp(bench->dir));
    bench->daemon.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(state_dir_open(&bench->daemon, bench->dir, &err), 0);
    assert_int_equal(events_init(&bench->daemon.events), 0);
    assert_int_equal(control_open(&bench->daemon, verb_find, &bench->control, &err), 0);
    assert_int_equal(pthread_create(&bench->acceptor, NULL, accept_loop, bench), 0);
    *state = bench;
    return 0;
}

static int set_up(void **state)
{
    return set_up_for(state, false);
}

/* A person's umask must neither open nor close what others may do. */
static int set_up_for_a_group(void **state)
{
    mode_t mask = umask(0777);
    int result = set_up_for(state, true);

    (void)umask(mask);
    return result;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    char command[128];

    daemon_stop(&bench->daemon);
    (void)pthread_join(bench->acceptor, NULL);
    control_close(bench->control);
    events_fini(&bench->daemon.events);
    (void)close(bench->daemon.lock_fd);
    (void)close(bench->daemon.state_fd);
    (void)close(bench->daemon.wake_fd);
    (void)snprintf(command, sizeof command, "rm -rf %s", bench->dir);
    assert_int_equal(system(command), 0);
    free(bench);
    return 0;
}

static int dial(const struct bench *bench)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", bench->dir, CTL_SOCKET_NAME);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text, size_t bytes)
{
    assert_int_equal(send(fd, text, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

/* The next reply must be an error of this code. */
static void expect_error(struct ctl_reader *reader, int code)
{
    json_t *reply;
    char *line;
    size_t bytes;

    assert_int_equal(ctl_read_line(reader, &line, &bytes, PATIENCE_MS), CTL_LINE);
    reply = json_loadb(line, bytes, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "error"), "code")),
                     code);
    assert_true(json_string_length(json_object_get(json_object_get(reply, "error"), "text")) > 0);
    json_decref(reply);
}

static void expect_answer(const struct bench *bench)
{
    struct ctl_reader reader;
    int fd = dial(bench);

    ctl_reader_init(&reader, fd, CTL_MAX_REPLY);
    say(fd, "{\"verb\":\"nix\"}\n", 15);
    expect_error(&reader, 2);
    ctl_reader_fini(&reader);
    (void)close(fd);
}

static void the_socket_is_its_owners_only(void **state)
{
    struct bench *bench = *state;
    struct stat info;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", bench->dir, CTL_SOCKET_NAME);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[128];
    struct stat info;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, getegid());
    return info.st_mode & 0777;
}

static void a_group_gets_to_the_socket_and_to_nothing_else(void **state)
{
    struct bench *bench = *state;
    int fd;

    assert_int_equal(mode_of(bench->dir, "."), 0710);
    assert_int_equal(mode_of(bench->dir, CTL_SOCKET_NAME), 0660);
    assert_int_equal(mode_of(bench->dir, "lock") & 077, 0);
    fd = dial(bench);
    say(fd, "{}\n", 3);
    (void)close(fd);
}

static void each_line_of_garbage_is_one_error(void **state)
{
    static const char *const garbage[] = {
        "\n",
        "{\n",
        "[]\n",
        "1\n",
        "nonsense\n",
        "{\"verb\":1}\n",
        "{\"verb\":\"nix\"}\n",
        "{\"verb\":\"wait\"}\n",
        "{\"verb\":\"wait\",\"args\":[]}\n",
        "{\"verb\":\"wait\",\"args\":{\"name\":1}}\n",
        "{\"verb\":\"job show\",\"args\":{\"job\":-1}}\n",
        "{\"verb\":\"job show\",\"args\":{\"job\":1.5}}\n",
        "{\"verb\":\"read\",\"args\":{\"name\":\"p\"}}\n",
        "{\"verb\":\"run\",\"args\":{\"name\":\"p\"}}\n",
        "{\"verb\":\"a\",\"verb\":\"b\"}\n",
        "\xff\xfe\n",
    };
    struct ctl_reader reader;
    int fd = dial(*state);

    ctl_reader_init(&reader, fd, CTL_MAX_REPLY);
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        say(fd, garbage[i], strlen(garbage[i]));
        expect_error(&reader, 2);
    }
    say(fd, "{\"verb\":\"a\0b\"}\n", 15);
    expect_error(&reader, 2);
    ctl_reader_fini(&reader);
    (void)close(fd);
}

static void many_requests_in_one_packet_are_answered_in_order(void **state)
{
    struct ctl_reader reader;
    int fd = dial(*state);

    ctl_reader_init(&reader, fd, CTL_MAX_REPLY);
    say(fd, "{\"verb\":\"x\"}\n{\"verb\":\"y\"}\n{\"verb\":\"z\"}\n", 39);
    for (int i = 0; i < 3; i++) {
        char name[] = {"\"x\""};
        char *line;
        size_t bytes;

        name[1] = (char)('x' + i);
        assert_int_equal(ctl_read_line(&reader, &line, &bytes, PATIENCE_MS), CTL_LINE);
        assert_non_null(strchr(line, name[1]));
    }
    ctl_reader_fini(&reader);
    (void)close(fd);
}

static void a_line_that_never_ends_is_refused_and_hung_up_on(void **state)
{
    static char text[CTL_MAX_REQUEST];
    struct ctl_reader reader;
    char *line;
    size_t bytes;
    int fd = dial(*state);

    memset(text, ' ', sizeof text);
    ctl_reader_init(&reader, fd, CTL_MAX_REPLY);
    say(fd, text, sizeof text);
    expect_error(&reader, 2);
    assert_int_equal(ctl_read_line(&reader, &line, &bytes, PATIENCE_MS), CTL_END);
    ctl_reader_fini(&reader);
    (void)close(fd);
    expect_answer(*state);
}

static unsigned threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

static void a_silent_crowd_keeps_nobody_out(void **state)
{
    static int crowd[CROWD];

    for (int i = 0; i < CROWD; i++) {
        crowd[i] = dial(*state);
        (void)send(crowd[i], "{\"half", 6, MSG_NOSIGNAL);
    }
    expect_answer(*state);
    assert_in_range(threads(), 0, 2 * CONTROL_MAX + 3); /* ours, its own, the one kept back */
    for (int i = 0; i < CROWD; i++)
        (void)close(crowd[i]);
    expect_answer(*state);
}

static void ask_nothing(const struct bench *bench, int *fd)
{
    *fd = dial(bench);
    say(*fd, "{\"verb\":\"nix\"}\n", 15);
}

/* A connection that was pushed out learns it by the end of its stream, not by waiting. */
static void the_connection_silent_longest_gives_its_place(void **state)
{
    static int crowd[CONTROL_MAX + 16];
    size_t count = 0;
    enum ctl_read got = CTL_TIMEOUT;
    struct ctl_reader reader;
    char *line;
    size_t bytes;
    int first = dial(*state);

    ctl_reader_init(&reader, first, CTL_MAX_REPLY);
    say(first, "{\"verb\":\"nix\"}\n", 15);
    expect_error(&reader, 2);
    while (count < CONTROL_MAX)
        ask_nothing(*state, &crowd[count++]);
    /* On a busy machine its thread may not have seen that it is idle when the place was wanted. */
    while (got == CTL_TIMEOUT && count < sizeof crowd / sizeof *crowd) {
        got = ctl_read_line(&reader, &line, &bytes, PATIENCE_MS / 20);
        if (got == CTL_TIMEOUT)
            ask_nothing(*state, &crowd[count++]);
    }
    assert_int_equal(got, CTL_END);
    ctl_reader_fini(&reader);
    (void)close(first);
    for (size_t i = 0; i < count; i++)
        (void)close(crowd[i]);
}

static void expect_line(int fd, const char *word, bool last)
{
    struct ctl_reader reader;
    char *line;
    size_t bytes;

    ctl_reader_init(&reader, fd, CTL_MAX_REQUEST);
    assert_int_equal(ctl_read_line(&reader, &line, &bytes, PATIENCE_MS), CTL_LINE);
    assert_non_null(strstr(line, word));
    if (last)
        assert_int_equal(ctl_read_line(&reader, &line, &bytes, PATIENCE_MS), CTL_END);
    ctl_reader_fini(&reader);
}

/* Of those who come when no descriptor is left one is served, the next hears why, and later ones
 * are served. */
static void without_descriptors_one_client_is_served_and_the_next_hears_why(void **state)
{
    struct bench *bench = *state;
    struct rlimit before;
    struct rlimit few;
    int held[256];
    size_t count = 0;
    int fd;
    int fds[2] = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                  socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", bench->dir, CTL_SOCKET_NAME);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 120, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 256 && (held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    assert_in_range(count, 1, 255);
    assert_int_equal(connect(fds[0], (const struct sockaddr *)&address, sizeof address), 0);
    say(fds[0], "{\"verb\":\"nix\"}\n", 15);
    expect_line(fds[0], "no such verb", false);
    assert_int_equal(connect(fds[1], (const struct sockaddr *)&address, sizeof address), 0);
    expect_line(fds[1], "no descriptor left", true);
    for (size_t i = 0; i < 2; i++)
        (void)close(fds[i]);
    while (count > 0)
        (void)close(held[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fd = dial(bench);
    say(fd, "{\"verb\":\"nix\"}\n", 15);
    expect_line(fd, "no such verb", false);
    (void)close(fd);
}

static void a_second_daemon_on_the_directory_is_refused_with_the_first_ones_pid(void **state)
{
    struct bench *bench = *state;
    static struct daemon second;
    struct vf_error err = VF_ERROR_INIT;
    char pid[32];

    second = (struct daemon){.state_fd = -1, .lock_fd = -1};
    assert_int_equal(state_dir_open(&second, bench->dir, &err), -1);
    (void)snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    (void)close(second.lock_fd);
    (void)close(second.state_fd);
}

static void a_directory_that_others_may_write_is_refused_and_left_alone(void **state)
{
    char dir[TEST_PATH_BYTES];
    static struct daemon daemon;
    struct vf_error err = VF_ERROR_INIT;
    struct stat info;

    (void)state;
    daemon = (struct daemon){.state_fd = -1, .lock_fd = -1};
    test_template(dir, "vferry-control");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(state_dir_open(&daemon, dir, &err), -1);
    assert_int_equal(stat(dir, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0777);
    (void)close(daemon.state_fd);
    assert_int_equal(rmdir(dir), 0);
}

static void events_are_kept_in_order_and_the_oldest_go(void **state)
{
    struct bench *bench = *state;
    static struct event list[EVENTS_KEPT];
    char text[32];

    for (int i = 1; i <= 3000; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        events_add(&bench->daemon.events, "vferryd", "test", 0, text);
    }
    assert_int_equal(events_read(&bench->daemon.events, 0, list, EVENTS_KEPT), EVENTS_KEPT);
    for (size_t i = 0; i < EVENTS_KEPT; i++) {
        assert_int_equal(list[i].number, 3000 - EVENTS_KEPT + 1 + i);
        assert_int_equal(strtoull(list[i].text, NULL, 10), list[i].number);
    }
    assert_int_equal(events_read(&bench->daemon.events, 2998, list, EVENTS_KEPT), 2);
    assert_int_equal(events_read(&bench->daemon.events, 3000, list, EVENTS_KEPT), 0);
    assert_int_equal(events_read(&bench->daemon.events, UINT64_MAX - 1, list, EVENTS_KEPT), 0);
}

#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(the_socket_is_its_owners_only),
        cmocka_unit_test_setup_teardown(a_group_gets_to_the_socket_and_to_nothing_else,
                                        set_up_for_a_group, tear_down),
        ON_A_BENCH(each_line_of_garbage_is_one_error),
        ON_A_BENCH(many_requests_in_one_packet_are_answered_in_order),
        ON_A_BENCH(a_line_that_never_ends_is_refused_and_hung_up_on),
        ON_A_BENCH(a_silent_crowd_keeps_nobody_out),
        ON_A_BENCH(the_connection_silent_longest_gives_its_place),
        ON_A_BENCH(a_second_daemon_on_the_directory_is_refused_with_the_first_ones_pid),
        ON_A_BENCH(without_descriptors_one_client_is_served_and_the_next_hears_why),
        cmocka_unit_test(a_directory_that_others_may_write_is_refused_and_left_alone),
        ON_A_BENCH(events_are_kept_in_order_and_the_oldest_go),
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
