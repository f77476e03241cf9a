// SPDX-License-Identifier: Apache-2.0
/*
 * The real vferry-kernel with the software GPU: it starts and says so, pages cross the line through
 * the paging engine, and clients and kernel die without taking the other along.
 */
#include "kernel/client.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/tests/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define VRAM_BAR 2u
#define VRAM_BYTES (64ull << 20)

struct process {
    char dir[64];
    char socket[96];
    pid_t pid;
};

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        fail_msg("%s is not set; run this by meson test", name);
    return value;
}

/* Starts a kernel on DIR and returns the line it says when it is up, or why it is not. */
static pid_t start_kernel(const char *dir, const char *device, char *line, size_t line_bytes)
{
    int ends[2];
    ssize_t got;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], 9);
        (void)execl(environment("VF_KERNEL"), "vferry-kernel", "--state", dir, "--device", device,
                    "--device-dir", environment("VF_DEVICE_DIR"), "--driver-dir",
                    environment("VF_DRIVER_DIR"), "--ready-fd", "9", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    got = read(ends[0], line, line_bytes - 1);
    (void)close(ends[0]);
    line[got > 0 ? got : 0] = '\0';
    return pid;
}

static int setup(void **state)
{
    struct process *process = calloc(1, sizeof *process);
    char line[700];

    if (process == NULL)
        return -1;
    test_template(process->dir, "vferry-kernel-test");
    if (mkdtemp(process->dir) == NULL)
        return -1;
    (void)snprintf(process->socket, sizeof process->socket, "%s/kernel.sock", process->dir);
    process->pid = start_kernel(process->dir, environment("VF_TEST_DEVICE"), line, sizeof line);
    *state = process;
    if (strcmp(line, "ready\n") == 0)
        return 0;
    print_error("vferry-kernel: %s\n", line);
    return -1;
}

static int teardown(void **state)
{
    struct process *process = *state;
    char lock[96];

    if (process->pid > 0) {
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
    }
    (void)snprintf(lock, sizeof lock, "%s/kernel.lock", process->dir);
    (void)unlink(lock);
    (void)unlink(process->socket);
    (void)rmdir(process->dir);
    free(process);
    return 0;
}

static struct kc *join(struct process *process)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc = NULL;

    if (kc_connect(process->socket, &kc, &err) != 0)
        fail_msg("%s", err.text);
    return kc;
}

static struct vf_partition_info make_partition(struct kc *kc, const char *name, bool incoming)
{
    struct vf_partition_params params = {.vram_bytes = VRAM_BYTES};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (kc_partition_create(kc, &params, incoming, &info, &err) != 0)
        fail_msg("%s", err.text);
    return info;
}

static void end_kernel(struct process *process, struct kc *kc, bool force)
{
    struct vf_error err = VF_ERROR_INIT;
    int status = -1;

    if (kc_shutdown_begin(kc, force, &err) != 0 || kc_shutdown_wait(kc, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    process->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(access(process->socket, F_OK), -1);
}

static void it_starts_answers_and_ends(void **state)
{
    struct process *process = *state;
    struct kc *kc = join(process);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_adapter_info adapter;
    struct kc_host host;

    assert_int_equal(kc_host(kc, &host, &err), 0);
    assert_int_equal(host.kernel_pid, process->pid);
    assert_int_equal(host.adapters, 1);
    assert_non_null(strstr(host.specs, environment("VF_TEST_DEVICE")));
    assert_int_equal(kc_adapter_info(kc, 0, &adapter, &err), 0);
    assert_true(adapter.live_migration);
    end_kernel(process, kc, false);
    kc_close(kc);
}

static void why_it_cannot_start_is_told(void **state)
{
    struct process *process = *state;
    char line[700];
    char dir[TEST_PATH_BYTES];
    char lock[TEST_PATH_BYTES + 16];
    int status = 0;
    pid_t pid = start_kernel(process->dir, environment("VF_TEST_DEVICE"), line, sizeof line);

    assert_non_null(strstr(line, "another vferry-kernel"));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), VF_FAILED);
    test_template(dir, "vferry-kernel-test");
    assert_non_null(mkdtemp(dir));
    pid = start_kernel(dir, "nosuchdevice", line, sizeof line);
    assert_non_null(strstr(line, "nosuchdevice"));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_not_equal(WEXITSTATUS(status), 0);
    (void)snprintf(lock, sizeof lock, "%s/kernel.lock", dir);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(dir), 0); /* and no socket stayed */
}

static void transfer(struct kc_channel *channel, enum kc_transfer op, uint32_t slot,
                     const uint64_t *pages, uint32_t count)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;

    if (kc_channel_submit(channel, op, slot, pages, count, &err) != 0 ||
        kc_channel_wait(channel, 10000, &done, &err) != 1)
        fail_msg("%s", err.text);
    assert_int_equal(done.slot, slot);
    assert_int_equal(done.status, 0);
}

/* Source's pages -> slot -> other slot -> target's pages, all by the paging engine. */
static void pages_cross_through_the_paging_engine(void **state)
{
    static const uint64_t pages[] = {7, 3, 11, 0};
    struct process *process = *state;
    struct kc *kc = join(process);
    struct vf_partition_info from = make_partition(kc, "from", false);
    struct vf_partition_info to = make_partition(kc, "to", true);
    struct kc_channel *out = NULL;
    struct kc_channel *in = NULL;
    struct vf_error err = VF_ERROR_INIT;

    for (uint64_t i = 0; i < 4; i++) {
        uint64_t mark = 0x1000 + pages[i];

        assert_int_equal(
            kc_bar_write(kc, from.id, VRAM_BAR, pages[i] * from.page_bytes, &mark, 8, &err), 0);
    }
    assert_int_equal(kc_prepare(kc, to.id, KC_TARGET, 1, &err), 0);
    assert_int_equal(
        kc_channel_open(process->socket, from.id, 2, 16 * from.page_bytes, 0, &out, &err), 0);
    assert_int_equal(kc_channel_open(process->socket, to.id, 2, 16 * to.page_bytes, 0, &in, &err),
                     0);
    transfer(out, KC_GATHER, 1, pages, 4);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t mark;

        memcpy(&mark, (char *)kc_channel_slot(out, 1) + i * from.page_bytes, 8);
        assert_int_equal(mark, 0x1000 + pages[i]);
    }
    memcpy(kc_channel_slot(in, 0), kc_channel_slot(out, 1), 4 * from.page_bytes);
    transfer(in, KC_SCATTER, 0, pages, 4);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t mark = 0;

        assert_int_equal(
            kc_bar_read(kc, to.id, VRAM_BAR, pages[i] * to.page_bytes, &mark, 8, &err), 0);
        assert_int_equal(mark, 0x1000 + pages[i]);
    }
    kc_channel_close(out);
    kc_channel_close(in);
    if (kc_partition_destroy(kc, from.id, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(kc_end(kc, to.id, &err), 0);
    if (kc_partition_destroy(kc, to.id, &err) != 0)
        fail_msg("%s", err.text);
    end_kernel(process, kc, false);
    kc_close(kc);
}

/* A client of its own process that keeps every slot in flight until it is killed. */
static pid_t start_mover(struct process *process, uint64_t id, uint64_t slot_bytes, int started)
{
    pid_t pid = fork();
    uint64_t pages[16];
    struct kc_channel *channel = NULL;

    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    for (uint64_t i = 0; i < 16; i++)
        pages[i] = i * 3;
    if (kc_channel_open(process->socket, id, 16, slot_bytes, 0, &channel, NULL) != 0)
        _exit(1);
    for (uint32_t slot = 0; slot < 16; slot++) {
        if (kc_channel_submit(channel, KC_GATHER, slot, pages, 16, NULL) != 0)
            _exit(1);
    }
    for (uint64_t count = 0;; count++) {
        struct kc_done done;

        if (kc_channel_wait(channel, -1, &done, NULL) != 1 || done.status != 0 ||
            kc_channel_submit(channel, KC_GATHER, done.slot, pages, 16, NULL) != 0)
            _exit(1);
        if (count == 100 && write(started, "x", 1) != 1)
            _exit(1);
    }
}

static void a_killed_clients_partition_stays_and_can_go(void **state)
{
    struct process *process = *state;
    struct kc *kc = join(process);
    struct vf_partition_info info = make_partition(kc, "a", false);
    struct vf_error err = VF_ERROR_INIT;
    int ends[2];
    int status;
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (unsigned i = 0; i < 5; i++) {
        pid_t pid = start_mover(process, info.id, 16 * info.page_bytes, ends[1]);

        assert_int_equal(read(ends[0], &byte, 1), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(kc_partition_info(kc, info.id, &info, &err), 0);
        assert_int_equal(info.state, VF_PARTITION_RUNNING);
    }
    if (kc_partition_destroy(kc, info.id, &err) != 0)
        fail_msg("%s", err.text);
    (void)close(ends[0]);
    (void)close(ends[1]);
    end_kernel(process, kc, false);
    kc_close(kc);
}

static void sigterm_does_not_end_a_host_with_partitions(void **state)
{
    struct process *process = *state;
    struct kc *kc = join(process);
    struct vf_partition_info info = make_partition(kc, "a", false);
    struct vf_error err = VF_ERROR_INIT;
    int status;

    assert_int_equal(kill(process->pid, SIGTERM), 0);
    assert_int_equal(kc_partition_pause(kc, info.id, &err), 0);
    assert_int_equal(kc_partition_resume(kc, info.id, &err), 0);
    assert_int_equal(waitpid(process->pid, &status, WNOHANG), 0);
    assert_int_equal(kc_shutdown_begin(kc, false, &err), -1);
    end_kernel(process, kc, true);
    kc_close(kc);
}

static void a_killed_kernel_is_noticed_and_replaced(void **state)
{
    struct process *process = *state;
    struct kc *kc = join(process);
    struct vf_partition_info info = make_partition(kc, "a", false);
    struct kc_channel *channel = NULL;
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;
    char line[700];

    assert_int_equal(
        kc_channel_open(process->socket, info.id, 1, info.page_bytes, 0, &channel, &err), 0);
    assert_int_equal(kill(process->pid, SIGKILL), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), -1);
    assert_non_null(strstr(err.text, "the kernel side is gone"));
    assert_int_equal(kc_partition_info(kc, info.id, &info, &err), -1);
    assert_non_null(strstr(err.text, "the kernel side is gone"));
    kc_channel_close(channel);
    kc_close(kc);
    assert_int_equal(waitpid(process->pid, NULL, 0), process->pid);
    process->pid = start_kernel(process->dir, environment("VF_TEST_DEVICE"), line, sizeof line);
    assert_string_equal(line, "ready\n");
    kc = join(process);
    end_kernel(process, kc, false);
    kc_close(kc);
}

/* What vferry-kernel says on stderr with these words, and its exit code. */
static int kernel_says(const char *word, const char *value, char *text, size_t text_bytes)
{
    size_t have = 0;
    int status = 0;
    int ends[2];
    ssize_t got;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execl(environment("VF_KERNEL"), "vferry-kernel", word, value, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], text + have, text_bytes - 1 - have)) > 0)
        have += (size_t)got;
    text[have] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void words_it_does_not_know_are_named(void **unused)
{
    char text[2000];

    (void)unused;
    assert_int_equal(kernel_says("--ready-fd", "seven", text, sizeof text), VF_USAGE);
    assert_non_null(strstr(text, "--ready-fd seven: is no descriptor"));
    assert_int_equal(kernel_says("--state", "/tmp", text, sizeof text), VF_USAGE);
    assert_non_null(strstr(text, "--device-dir and --driver-dir are needed"));
    assert_int_equal(kernel_says("more", "words", text, sizeof text), VF_USAGE);
    assert_non_null(strstr(text, "more: is no option"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A daemon that only asks for an incoming partition, and is killed over it. */
static pid_t start_asking(struct process *process, unsigned number)
{
    struct vf_partition_params params = {.vram_bytes = 3 * VRAM_BYTES};
    struct vf_partition_info info;
    struct vf_error err = VF_ERROR_INIT;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct kc *kc;

        (void)snprintf(params.name, sizeof params.name, "asked-%u", number);
        if (kc_connect(process->socket, &kc, &err) == 0)
            (void)kc_partition_create(kc, &params, true, &info, &err);
        (void)pause();
        _exit(0);
    }
    return pid;
}

/* What the first partition is doing, or -1 when there is none. */
static int state_of_first(struct kc *kc)
{
    struct vf_partition_info *list = NULL;
    struct vf_error err = VF_ERROR_INIT;
    size_t count = 0;
    int state;

    if (kc_partition_list(kc, &list, &count, &err) != 0)
        fail_msg("%s", err.text);
    state = count > 0 ? (int)list[0].state : -1;
    free(list);
    return state;
}

/* Until it is gone: "busy" is what the kernel side says while it removes it itself. */
static void remove_asked(struct kc *kc, unsigned number)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;
    char name[VF_NAME_BYTES];

    (void)snprintf(name, sizeof name, "asked-%u", number);
    while (kc_partition_find(kc, name, &info, &err) == 0) {
        if (kc_partition_destroy(kc, info.id, &err) != 0)
            (void)poll(NULL, 0, 1);
    }
}

/* The next daemon looks once its predecessor is dead. What is there then it removes; what is still
 * being built goes by itself. */
static void an_arrival_whose_daemon_dies_while_it_is_built_does_not_stay(void **state)
{
    struct process *process = *state;
    struct kc *kc = join(process);
    unsigned caught = 0;

    for (unsigned i = 0; caught < 3; i++) {
        pid_t pid = start_asking(process, i);

        assert_true(i < 1000);
        while (state_of_first(kc) == -1)
            continue; /* it takes some milliseconds to build: there is nothing else to wait for */
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        if (state_of_first(kc) != VF_PARTITION_BUILDING) {
            remove_asked(kc, i);
            continue;
        }
        caught++;
        while (state_of_first(kc) != -1)
            (void)poll(NULL, 0, 1);
    }
    kc_close(kc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_it_does_not_know_are_named),
        CASE(it_starts_answers_and_ends),
        CASE(why_it_cannot_start_is_told),
        CASE(pages_cross_through_the_paging_engine),
        CASE(a_killed_clients_partition_stays_and_can_go),
        CASE(an_arrival_whose_daemon_dies_while_it_is_built_does_not_stay),
        CASE(sigterm_does_not_end_a_host_with_partitions),
        CASE(a_killed_kernel_is_noticed_and_replaced),
    };

    return cmocka_run_group_tests_name("kernel: the process", tests, NULL, NULL);
}
