// SPDX-License-Identifier: Apache-2.0
/* Finding and starting vferry-kernel. See process.h. */
#define LOG_ROOM "kernel"
#include "daemon/kernel/process.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process_state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Loading drivers and bringing adapters up takes far less. */
#define START_NS 60000000000ull
#define DEFAULT_DEVICE "softgpu"
#define READY_FD 3

/* Beside vferryd in a build tree. Once installed under the library directory, which is found from
 * vferryd's own: an installed tree may be moved as a whole. */
struct places {
    char program[PATH_MAX];
    char devices[PATH_MAX];
    char drivers[PATH_MAX];
};

static void place(char *path, const char *beside, const char *what)
{
    struct stat info;
    int length = snprintf(path, PATH_MAX, "%s/%s", beside, what);

    if (length < PATH_MAX && stat(path, &info) == 0)
        return;
    if (VFERRY_LIBDIR[0] == '/')
        (void)snprintf(path, PATH_MAX, "%s/%s", VFERRY_LIBDIR, what);
    else
        (void)snprintf(path, PATH_MAX, "%s/%s/%s", beside, VFERRY_LIBDIR, what);
}

static int find_places(struct places *places, struct vf_error *err)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *beside;

    if (length < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "find the own program (/proc/self/exe)");
    self[length] = '\0';
    beside = dirname(self);
    place(places->program, beside, "vferry-kernel");
    place(places->devices, beside, "devices");
    place(places->drivers, beside, "drivers");
    if (access(places->program, X_OK) != 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "vferry-kernel: not found beside vferryd (%s) nor as %s", beside,
                             places->program);
    return 0;
}

/* What the config asks for, as argument lists. */
struct wish {
    const char *devices[VF_MAX_ADAPTERS];
    const char *drivers[VF_MAX_ADAPTERS];
    size_t device_count, driver_count;
    bool scrub_on_demand;
    char specs[sizeof((struct kc_host *)0)->specs];
};

static int make_wish(const struct config *config, struct wish *wish, struct vf_error *err)
{
    *wish = (struct wish){.device_count = config->device_count,
                          .driver_count = config->driver_count,
                          .scrub_on_demand = config->scrub_on_demand};
    for (size_t i = 0; i < config->device_count; i++)
        wish->devices[i] = config->devices[i];
    for (size_t i = 0; i < config->driver_count; i++)
        wish->drivers[i] = config->drivers[i];
    if (wish->device_count == 0)
        wish->devices[wish->device_count++] = DEFAULT_DEVICE;
    return kc_specs(wish->devices, wish->device_count, wish->drivers, wish->driver_count,
                    wish->specs, sizeof wish->specs, err);
}

/* In the child: only async-signal-safe calls. */
static _Noreturn void become_kernel(char *const argv[], int log_fd, int ready_fd)
{
    static const char failed[] = "vferry-kernel cannot be executed\n";
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR);
    ssize_t ignored;

    (void)setsid(); /* Ctrl-C at the daemon's terminal is not for the kernel side */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 && dup2(log_fd, STDOUT_FILENO) >= 0 &&
        dup2(log_fd, STDERR_FILENO) >= 0) {
        /* dup2 onto itself would keep close-on-exec. */
        if (ready_fd == READY_FD ? fcntl(ready_fd, F_SETFD, 0) == 0 : dup2(ready_fd, READY_FD) >= 0)
            (void)execv(argv[0], argv);
    }
    ignored = write(ready_fd, failed, sizeof failed - 1);
    (void)ignored;
    _exit(127);
}

static int spawn_kernel(const struct daemon *daemon, const struct wish *wish, int ready_fd,
                        pid_t *pid, struct vf_error *err)
{
    struct places places;
    const char *argv[13 + 4 * VF_MAX_ADAPTERS];
    size_t n = 0;
    cleanup_close int log_fd = -1;

    if (find_places(&places, err) != 0)
        return -1;
    argv[n++] = places.program;
    argv[n++] = "--state";
    argv[n++] = daemon->state_dir;
    argv[n++] = "--device-dir";
    argv[n++] = places.devices;
    argv[n++] = "--driver-dir";
    argv[n++] = places.drivers;
    argv[n++] = "--ready-fd";
    argv[n++] = "3";
    if (wish->scrub_on_demand)
        argv[n++] = "--scrub-on-demand";
    for (size_t i = 0; i < wish->device_count; i++) {
        argv[n++] = "--device";
        argv[n++] = wish->devices[i];
    }
    for (size_t i = 0; i < wish->driver_count; i++) {
        argv[n++] = "--driver";
        argv[n++] = wish->drivers[i];
    }
    argv[n] = NULL;
    log_fd = openat(daemon->state_fd, "kernel.log",
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "open %s/kernel.log", daemon->state_dir);
    *pid = fork();
    if (*pid < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "start vferry-kernel");
    if (*pid == 0)
        become_kernel((char *const *)(uintptr_t)argv, log_fd, ready_fd);
    return 0;
}

/* Its one line: "ready", or why not. */
static int await_ready(const struct daemon *daemon, int fd, struct vf_error *err)
{
    uint64_t deadline = vf_now_ns() + START_NS;
    char answer[800];
    size_t have = 0;
    ssize_t got = 1;

    while (got > 0 && have < sizeof answer - 1 && memchr(answer, '\n', have) == NULL) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t now = vf_now_ns();
        int ready = now >= deadline ? 0 : poll(&wait, 1, (int)((deadline - now) / 1000000u) + 1);

        if (ready == 0)
            return vf_fail(err, VF_FAILED, "vferry-kernel: not up within 60 s; see %s/kernel.log",
                           daemon->state_dir);
        got = ready < 0 ? -1 : read(fd, answer + have, sizeof answer - 1 - have);
        if (got > 0)
            have += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    answer[have] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, "ready") == 0)
        return 0;
    return vf_fail(
        err, VF_FAILED, "kernel side: %s",
        answer[0] != '\0' ? answer : "ended without a word; see kernel.log in the state directory");
}

static int start_kernel(struct daemon *daemon, const struct wish *wish, struct vf_error *err)
{
    int ends[2];
    pid_t pid = -1;
    int result;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a pipe");
    result = spawn_kernel(daemon, wish, ends[1], &pid, err);
    (void)close(ends[1]);
    if (result == 0) {
        atomic_store(&daemon->kernel_child, pid);
        result = await_ready(daemon, ends[0], err);
    }
    (void)close(ends[0]);
    if (result != 0 && pid > 0) {
        atomic_store(&daemon->kernel_child, 0);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    if (result == 0) {
        daemon->kernel_pid = (int32_t)pid;
        log_info("started the kernel side, pid %d: %s", (int)pid, wish->specs);
    }
    return result;
}

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;

    return strcmp(a, b) == 0 || (stat(a, &one) == 0 && stat(b, &other) == 0 &&
                                 one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

/* Does each adapter now run with the driver that is asked for? An update may have replaced the one
 * that the kernel side was started with, and whoever updates changes the options to match. */
static bool runs_asked_drivers(struct daemon *daemon, const struct kc_host *host,
                               const struct wish *wish)
{
    struct vf_error none = VF_ERROR_INIT;
    struct vf_adapter_info info;
    char devices[sizeof host->specs];
    size_t length;

    if (wish->driver_count == 0 || wish->device_count != host->adapters ||
        kc_specs(wish->devices, wish->device_count, NULL, 0, devices, sizeof devices, &none) != 0)
        return false;
    length = strlen(devices);
    if (strncmp(host->specs, devices, length) != 0 ||
        (host->specs[length] != '\0' && strncmp(host->specs + length, " --driver ", 10) != 0))
        return false;
    for (size_t i = 0; i < wish->device_count; i++) {
        size_t k = i < wish->driver_count ? i : wish->driver_count - 1;

        if (kc_adapter_info(daemon->kc, (uint32_t)i, &info, &none) != 0 ||
            !same_file(info.driver, wish->drivers[k]))
            return false;
    }
    return true;
}

/* May a kernel side that was found there be used? */
static int check_found(struct daemon *daemon, const struct config *config, const struct wish *wish,
                       struct vf_error *err)
{
    struct kc_host host;

    if (kc_host(daemon->kc, &host, err) != 0)
        return -1;
    if ((config->device_count > 0 || config->driver_count > 0) &&
        strcmp(host.specs, wish->specs) != 0 && !runs_asked_drivers(daemon, &host, wish))
        return vf_fail(
            err, VF_FAILED,
            "kernel side, pid %d: runs with \"%.200s\", asked for is \"%.200s\"" VF_REMEDY
            "start without --device and --driver to use it as it is; then \"vferry "
            "host stop\" ends both",
            host.kernel_pid, host.specs, wish->specs);
    log_info("found the kernel side, pid %d, partitions in it: %u, %s", host.kernel_pid,
             host.partitions, host.specs);
    return 0;
}

int kernel_process_find_or_start(struct daemon *daemon, const struct config *config,
                                 struct vf_error *err)
{
    struct wish wish;
    struct kc_host host;

    if (make_wish(config, &wish, err) != 0)
        return -1;
    if (kc_connect(daemon->kernel_socket, &daemon->kc, err) == 0) {
        if (check_found(daemon, config, &wish, err) != 0)
            return -1;
    } else if (err->code != VF_UNREACHABLE || start_kernel(daemon, &wish, err) != 0 ||
               kc_connect(daemon->kernel_socket, &daemon->kc, err) != 0) {
        return -1;
    }
    *err = (struct vf_error)VF_ERROR_INIT;
    if (kc_host(daemon->kc, &host, err) != 0)
        return -1;
    daemon->kernel_pid = host.kernel_pid;
    daemon->kernel_pidfd = pidfd_open(host.kernel_pid, 0);
    if (daemon->kernel_pidfd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "watch the kernel side, pid %d",
                             host.kernel_pid);
    return 0;
}

#define END_STARTED_MS 30000

/* A kc_patience; ctx is when it ends. */
static int until_then(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    const uint64_t *until_ns = ctx;

    (void)waited_ns;
    return vf_now_ns() < *until_ns
               ? 0
               : vf_fail(err, VF_FAILED, "no end within %d s", END_STARTED_MS / 1000);
}

/* It has said that it ends, so it has no partition: it may be killed when it does not. */
static void await_started_end(struct daemon *daemon)
{
    struct vf_error err = VF_ERROR_INIT;

    if (kc_shutdown_wait(daemon->kc, &err) == 0 && daemon->kernel_pidfd >= 0 &&
        kernel_process_wait(daemon, END_STARTED_MS) == 0) {
        (void)waitpid(daemon->kernel_pid, NULL, WNOHANG);
    } else {
        log_warn("the kernel side, pid %d, was told to end and has not: killed",
                 daemon->kernel_pid);
        (void)kill(daemon->kernel_pid, SIGKILL); /* this process' child: the pid is its own */
    }
}

void kernel_process_end_started(struct daemon *daemon)
{
    uint64_t until_ns = vf_now_ns() + END_STARTED_MS * 1000000ull;
    struct vf_error err = VF_ERROR_INIT;

    if (atomic_load(&daemon->kernel_child) == 0)
        return;
    if (daemon->kernel_pidfd < 0)
        daemon->kernel_pidfd = pidfd_open(daemon->kernel_pid, 0);
    if (daemon->kc == NULL && kc_connect(daemon->kernel_socket, &daemon->kc, &err) != 0) {
        log_warn("the kernel side, pid %d, cannot be told to end: %s", daemon->kernel_pid,
                 err.text);
        return;
    }
    kc_set_patience(daemon->kc, until_then, &until_ns);
    if (kc_shutdown_begin(daemon->kc, false, &err) != 0)
        log_warn("the kernel side, pid %d, stays: %s", daemon->kernel_pid, err.text);
    else
        await_started_end(daemon);
    kc_set_patience(daemon->kc, NULL, NULL);
}

int kernel_process_wait(const struct daemon *daemon, int timeout_ms)
{
    struct pollfd wait = {.fd = daemon->kernel_pidfd, .events = POLLIN};
    int ready;

    do {
        ready = poll(&wait, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 ? 0 : -1;
}

#define TERM_MS 1000 /* a stopped process takes no SIGTERM, and one with partitions ignores it */
#define KILL_MS 10000

int kernel_process_kill(const struct daemon *daemon, struct vf_error *err)
{
    static const struct {
        int number, wait_ms;
    } signals[] = {{SIGTERM, TERM_MS}, {SIGKILL, KILL_MS}};
    char state[VF_PROCESS_STATE_BYTES];

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (pidfd_send_signal(daemon->kernel_pidfd, signals[i].number, NULL, 0) != 0 &&
            errno != ESRCH)
            return vf_fail_errno(err, VF_FAILED, errno, "kill the kernel side, pid %d",
                                 daemon->kernel_pid);
        if (kernel_process_wait(daemon, signals[i].wait_ms) == 0)
            return 0;
    }
    return vf_fail(
        err, VF_FAILED,
        "the kernel side, pid %d, was killed and has not ended within %d s (%s)" VF_REMEDY
        "say \"vferry host stop --force\" again when what it waits for is over",
        daemon->kernel_pid, KILL_MS / 1000,
        vf_process_state(daemon->kernel_pid, state, sizeof state));
}
