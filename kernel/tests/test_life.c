// SPDX-License-Identifier: Apache-2.0
/* When a kernel may start and when it ends: lock, stale socket, idleness, signals, the
 * shutdown call. */
#include "kernel/tests/harness.h"

#include "base/clock.h"
#include "base/tests/folder.h"
#include "base/unix_socket.h"
#include "kernel/client_impl.h"
#include "kernel/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_lives_on(struct harness *harness, unsigned ms)
{
    struct timespec end;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &end), 0);
    end.tv_sec += (end.tv_nsec + (long)ms * 1000000) / 1000000000;
    end.tv_nsec = (end.tv_nsec + (long)ms * 1000000) % 1000000000;
    assert_int_equal(pthread_timedjoin_np(harness->thread, NULL, &end), ETIMEDOUT);
}

static void a_second_kernel_is_refused(void **state)
{
    struct harness *harness = *state;
    struct ks_config config = {.state_dir = harness->dir, .idle_ms = 1000, .signal_fd = -1};
    struct vf_error err = VF_ERROR_INIT;
    struct ks_server *second = NULL;

    assert_int_equal(ks_open(&config, &second, &err), -1);
    assert_non_null(strstr(err.text, "another vferry-kernel"));
    kc_close(harness_connect(harness)); /* and the first one's socket is still there */
}

struct creation {
    struct kc *kc;
    struct vf_error err;
    int result;
};

static void *create_incoming(void *arg)
{
    struct creation *creation = arg;
    const struct vf_partition_params params = {.vram_bytes = 1u << 20, .name = "arrival"};
    struct vf_partition_info info;

    creation->result = kc_partition_create(creation->kc, &params, true, &info, &creation->err);
    return NULL;
}

/* Its zero-fill would never end. */
static void an_arrival_that_is_called_off_ends_and_leaves_nothing(void **state)
{
    struct harness *harness = *state;
    struct creation creation = {.kc = harness_connect(harness)};
    struct kc *kc = harness_connect(harness);
    struct vf_partition_info *list;
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;
    size_t count;

    fake_hold(harness->dxgk, true);
    assert_int_equal(pthread_create(&thread, NULL, create_incoming, &creation), 0);
    fake_await_filling(harness->dxgk);
    kc_call_off(creation.kc);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(creation.result, -1);
    assert_int_equal(creation.err.code, VF_CANCELLED);
    fake_hold(harness->dxgk, false);
    assert_int_equal(kc_partition_list(kc, &list, &count, &err), 0);
    assert_int_equal(count, 0);
    free(list);
    kc_close(creation.kc);
    kc_close(kc);
}

static void a_dead_kernels_socket_is_replaced(void **state)
{
    struct ks_config config = {.idle_ms = 1000, .signal_fd = -1};
    char dir[TEST_PATH_BYTES];
    char path[TEST_PATH_BYTES + 16];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct vf_error err = VF_ERROR_INIT;
    struct ks_server *server = NULL;
    int stale = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    (void)state;
    test_template(dir, "vferry-kernel-test");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/%s", dir, KS_SOCKET_NAME);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(stale, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(stale);
    config.state_dir = dir;
    if (ks_open(&config, &server, &err) != 0)
        fail_msg("%s", err.text);
    ks_close(server);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof path, "%s/%s", dir, KS_LOCK_NAME);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void nobody_listens(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc = NULL;

    (void)state;
    assert_int_equal(kc_connect("/tmp/vferry-kernel-test-nowhere/kernel.sock", &kc, &err), -1);
    assert_int_equal(err.code, VF_UNREACHABLE);
}

/* sockaddr_un holds 107 bytes; a state directory may lie deeper. */
static void a_long_path_works(void **state)
{
    struct ks_config config = {.idle_ms = 1000, .signal_fd = -1};
    char top[TEST_PATH_BYTES];
    char dir[300];
    char path[400];
    struct vf_error err = VF_ERROR_INIT;
    struct sockaddr_un address;
    struct ks_server *server = NULL;
    int dir_fd = -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    (void)state;
    test_template(top, "vferry-kernel-test");
    assert_non_null(mkdtemp(top));
    (void)snprintf(dir, sizeof dir, "%s/%0200d", top, 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    config.state_dir = dir;
    if (ks_open(&config, &server, &err) != 0)
        fail_msg("%s", err.text);
    (void)snprintf(path, sizeof path, "%s/%s", dir, KS_SOCKET_NAME);
    assert_int_equal(vf_socket_address(path, &address, &dir_fd), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    (void)close(dir_fd);
    ks_close(server);
    (void)snprintf(path, sizeof path, "%s/%s", dir, KS_LOCK_NAME);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(top), 0);
}

static void an_unused_kernel_ends(void **state)
{
    struct harness *harness = harness_start(30, -1);

    harness_await_end(harness);
    *state = harness;
}

static void a_client_or_a_partition_keeps_it(void **state)
{
    struct harness *harness = harness_start(60, -1);
    struct kc *kc = harness_connect(harness);
    struct vf_error err = VF_ERROR_INIT;
    uint64_t id;

    *state = harness;
    assert_lives_on(harness, 150); /* a client alone */
    id = harness_partition(kc, "a", 4096, false);
    kc_close(kc);
    assert_lives_on(harness, 150); /* a partition alone */
    kc = harness_connect(harness);
    assert_int_equal(kc_partition_destroy(kc, id, &err), 0);
    kc_close(kc);
    harness_await_end(harness);
}

static void *end_it(void *arg)
{
    harness_await_end(arg);
    return NULL;
}

static void shutdown_needs_force_while_partitions_live(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct kc *other = harness_connect(harness);
    struct ks_config config = {.state_dir = harness->dir, .idle_ms = 1000, .signal_fd = -1};
    struct ks_server *next = NULL;
    struct vf_error err = VF_ERROR_INIT;
    struct kc_host host;
    pthread_t thread;

    harness_partition(kc, "a", 4096, false);
    assert_int_equal(kc_shutdown_begin(kc, false, &err), -1);
    assert_non_null(strstr(err.text, "--force"));
    assert_int_equal(kc_host(kc, &host, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_it, harness), 0);
    assert_int_equal(kc_shutdown_begin(kc, true, &err), 0);
    assert_int_equal(kc_shutdown_wait(kc, &err), 0);
    /* When the call returns everything is let go: another kernel may start at once. */
    if (ks_open(&config, &next, &err) != 0)
        fail_msg("%s", err.text);
    ks_close(next);
    (void)pthread_join(thread, NULL);
    assert_int_equal(kc_host(other, &host, &err), -1);
    assert_non_null(strstr(err.text, "the kernel side is gone"));
    assert_int_equal(kc_host(kc, &host, &err), -1);
    kc_close(kc);
    kc_close(other);
}

static void an_empty_kernel_shuts_down(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, end_it, harness), 0);
    assert_int_equal(kc_shutdown_begin(kc, false, &err), 0);
    assert_int_equal(kc_shutdown_wait(kc, &err), 0);
    (void)pthread_join(thread, NULL);
    kc_close(kc);
}

static void await_taken(int signal)
{
    sigset_t pending;

    do {
        assert_int_equal(sigpending(&pending), 0);
    } while (sigismember(&pending, signal) == 1);
}

static void a_signal_ends_an_empty_kernel_only(void **state)
{
    sigset_t set;
    struct harness *harness;
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc;
    uint64_t id;
    int fd;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    *state = harness = harness_start(60000, fd);
    kc = harness_connect(harness);
    id = harness_partition(kc, "a", 4096, false);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    await_taken(SIGTERM);
    assert_lives_on(harness, 50);
    assert_int_equal(kc_partition_destroy(kc, id, &err), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    harness_await_end(harness);
    kc_close(kc);
    (void)close(fd);
}

/* The process is client and server in one: the client's socket is made before descriptors end. */
static void a_client_is_answered_when_no_descriptor_is_left(void **state)
{
    struct harness *harness = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 20};
    struct rlimit before, few;
    struct kc *kc;
    char answer[2000];
    ssize_t bytes;
    int held[128], count = 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    /* It is up; open until the end, so that the server gets no descriptor back meanwhile. */
    kc = harness_connect(harness);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", harness->socket);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 128 && (held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    assert_in_range(count, 1, 127);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    bytes = recv(fd, answer, sizeof answer, 0);
    while (count > 0)
        (void)close(held[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(bytes > 0);
    assert_non_null(memmem(answer, (size_t)bytes, "no descriptor is left", 21));
    (void)close(fd);
    kc_close(kc);
    kc_close(harness_connect(harness)); /* it serves again */
}

static void assert_no_answer(const char *path)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc = NULL;
    uint64_t began = vf_now_ns();

    assert_int_equal(kc_connect_within(path, 300, &kc, &err), -1);
    assert_in_range(vf_now_ns() - began, 250000000u, 20000000000u);
    assert_int_equal(err.code, VF_FAILED); /* "unreachable" would have another one started */
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "did not answer within 0.3 s"));
    assert_non_null(vf_remedy(&err));
}

struct waiter {
    struct kc *kc;
    unsigned asked; /* while a call waited */
    uint64_t waited_ns; /* as it was told last */
};

static int three_times(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    struct waiter *waiter = ctx;

    assert_true(waited_ns >= waiter->waited_ns);
    waiter->waited_ns = waited_ns;
    return ++waiter->asked < 3 ? 0 : vf_fail(err, VF_FAILED, "it is silent" VF_REMEDY "wait");
}

/* A kernel side that says hello to the one that comes, and then nothing any more. */
struct silent {
    char dir[32];
    struct sockaddr_un address;
    int listen_fd;
    uint32_t version; /* that it says it speaks */
    pthread_t thread;
};

static void *hello_then_silence(void *arg)
{
    const struct silent *silent = arg;
    struct kcall_hello_result result = {.version = silent->version};
    struct kcall_head head;
    struct kw_buffer body = {0};
    size_t have;
    int fd = accept(silent->listen_fd, NULL, NULL);

    assert_true(fd >= 0);
    assert_int_equal(kw_recv_head(fd, KCALL_MAGIC_CALL, &head, &body, &have, NULL), 0);
    head = (struct kcall_head){KCALL_MAGIC_REPLY, head.op, head.tag, sizeof result, VF_OK, 0};
    assert_int_equal(kw_send(fd, &head, &result, -1), 0);
    while (kw_recv_head(fd, KCALL_MAGIC_CALL, &head, &body, &have, NULL) == 0)
        continue;
    (void)close(fd);
    kw_buffer_free(&body);
    return NULL;
}

static void silent_start(struct silent *silent, uint32_t version)
{
    *silent = (struct silent){.dir = "/tmp/vferry-kernel-test-XXXXXX",
                              .address = {.sun_family = AF_UNIX},
                              .listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
                              .version = version};
    assert_non_null(mkdtemp(silent->dir));
    (void)snprintf(silent->address.sun_path, sizeof silent->address.sun_path, "%s/kernel.sock",
                   silent->dir);
    assert_int_equal(
        bind(silent->listen_fd, (const struct sockaddr *)&silent->address, sizeof silent->address),
        0);
    assert_int_equal(listen(silent->listen_fd, 1), 0);
    assert_int_equal(pthread_create(&silent->thread, NULL, hello_then_silence, silent), 0);
}

/* Its client has closed. */
static void silent_stop(struct silent *silent)
{
    assert_int_equal(pthread_join(silent->thread, NULL), 0);
    (void)close(silent->listen_fd);
    assert_int_equal(unlink(silent->address.sun_path), 0);
    assert_int_equal(rmdir(silent->dir), 0);
}

static void a_kernel_side_of_another_version_is_refused(void **state)
{
    static const uint32_t others[] = {0, KCALL_VERSION - 1, KCALL_VERSION + 1};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct silent silent;
        struct kc *kc = NULL;

        silent_start(&silent, others[i]);
        assert_int_equal(kc_connect(silent.address.sun_path, &kc, &err), -1);
        assert_null(kc);
        assert_int_equal(err.code, VF_INCOMPATIBLE);
        assert_non_null(vf_remedy(&err));
        silent_stop(&silent);
    }
}

/* A call that is not answered ends when its caller says so, and the connection with it. */
static void a_call_ends_with_its_callers_patience(void **state)
{
    struct waiter waiter = {0};
    struct vf_error err = VF_ERROR_INIT;
    struct silent silent;
    struct kc_host host;

    (void)state;
    silent_start(&silent, KCALL_VERSION);
    assert_int_equal(kc_connect(silent.address.sun_path, &waiter.kc, &err), 0);
    kc_set_patience(waiter.kc, three_times, &waiter);
    assert_int_equal(kc_host(waiter.kc, &host, &err), -1);
    assert_int_equal(waiter.asked, 3);
    assert_string_equal(err.text, "ask the kernel side about itself: it is silent; wait");
    assert_string_equal(vf_remedy(&err), "wait");
    assert_int_equal(kc_host(waiter.kc, &host, &err), -1);
    assert_non_null(strstr(err.text, "did not answer the call before"));
    assert_int_equal(waiter.asked, 3);
    kc_close(waiter.kc);
    silent_stop(&silent);
}

/* One that is answered asks nobody. */
static void an_answered_call_needs_no_patience(void **state)
{
    struct harness *harness = *state;
    struct waiter waiter = {.kc = harness_connect(harness)};
    struct vf_error err = VF_ERROR_INIT;
    struct kc_host host;

    kc_set_patience(waiter.kc, three_times, &waiter);
    for (int i = 0; i < 100; i++)
        assert_int_equal(kc_host(waiter.kc, &host, &err), 0);
    assert_true(waiter.asked < 3);
    kc_close(waiter.kc);
}

/* Somebody listens, as a stopped process does: first the hello gets no answer; with the queue full
 * the connection itself is not taken. */
static void a_kernel_that_does_not_answer_is_named(void **state)
{
    char dir[TEST_PATH_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int queued = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)state;
    test_template(dir, "vferry-kernel-test");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/kernel.sock", dir);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_no_answer(address.sun_path); /* closed, it stays in the queue, which holds one */
    assert_int_equal(connect(queued, (const struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, EAGAIN); /* full indeed */
    assert_no_answer(address.sun_path);
    (void)close(queued);
    (void)close(fd);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void a_connection_without_hello_is_closed(void **state)
{
    struct harness *harness = harness_start_with(60000, -1, 200);
    struct kc *kc = harness_connect(harness);
    const struct timespec longer = {.tv_nsec = 600000000};
    struct kc_host host;
    char answer[2000];
    int fd = harness_socket(harness);
    ssize_t bytes;

    *state = harness;
    bytes = recv(fd, answer, sizeof answer, 0);
    assert_true(bytes > 0);
    assert_non_null(memmem(answer, (size_t)bytes, "no hello came in time", 21));
    assert_int_equal(recv(fd, answer, sizeof answer, 0), 0);
    (void)close(fd);
    (void)nanosleep(&longer, NULL); /* the silence itself: whoever said hello may keep it */
    assert_int_equal(kc_host(kc, &host, NULL), 0);
    kc_close(kc);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
#define OWN(name) cmocka_unit_test_teardown(name, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_second_kernel_is_refused),
        cmocka_unit_test(a_dead_kernels_socket_is_replaced),
        CASE(an_arrival_that_is_called_off_ends_and_leaves_nothing),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_long_path_works),
        OWN(an_unused_kernel_ends),
        OWN(a_client_or_a_partition_keeps_it),
        CASE(a_client_is_answered_when_no_descriptor_is_left),
        cmocka_unit_test(a_kernel_that_does_not_answer_is_named),
        cmocka_unit_test(a_kernel_side_of_another_version_is_refused),
        cmocka_unit_test(a_call_ends_with_its_callers_patience),
        cmocka_unit_test_setup_teardown(an_answered_call_needs_no_patience, harness_setup,
                                        harness_teardown),
        OWN(a_connection_without_hello_is_closed),
        CASE(shutdown_needs_force_while_partitions_live),
        CASE(an_empty_kernel_shuts_down),
        OWN(a_signal_ends_an_empty_kernel_only),
    };

    return cmocka_run_group_tests_name("kernel: start and end", tests, NULL, NULL);
}
