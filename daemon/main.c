// SPDX-License-Identifier: Apache-2.0
/* vferryd: opens what a host needs in order, runs the main loop, and takes it down in reverse. */
#define LOG_ROOM "daemon"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/privacy.h"
#include "daemon/background.h"
#include "daemon/config.h"
#include "daemon/control/control.h"
#include "daemon/control/protocol.h"
#include "daemon/control/registry.h"
#include "daemon/cordon.h"
#include "daemon/jobs.h"
#include "daemon/kernel/end.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/watchdog.h"
#include "daemon/listener.h"
#include "daemon/startup.h"
#include "daemon/state_dir.h"
#include "daemon/verbs/verbs.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* Open files of each process: what a host takes at rest, one partition and one move of it, and what
 * each adapter adds. */
#define HOST_OPEN_FILES 32u
#define ADAPTER_OPEN_FILES 8u

void daemon_stop(struct daemon *daemon)
{
    atomic_store(&daemon->stop, true);
    /* Fails only when the counter is full, and then the loop is awake anyway. */
    (void)eventfd_write(daemon->wake_fd, 1);
}

/* Before any thread, so that all inherit it: signals reach the main loop only, a vanished client or
 * terminal nobody. */
static int take_signals(struct vf_error *err)
{
    sigset_t set;
    int fd;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* the journal answers for a full disk itself */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 ||
        (fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "take signals");
    return fd;
}

/* What this host is to others, and until when. */
static void tell_tls(const struct config *config, const struct tp_tls *tls)
{
    const time_t until = tp_tls_until(tls);
    struct tm tm;
    char when[32] = "?";

    if (gmtime_r(&until, &tm) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
    if (config->tls_peer_count == 0)
        log_info("TLS: this host is %s until %s, and talks to any that its CA knows",
                 tp_tls_name(tls), when);
    else
        log_info("TLS: this host is %s until %s, and talks to %zu by name", tp_tls_name(tls), when,
                 config->tls_peer_count);
}

static void tell_security(const struct config *config, const struct tp_tls *tls)
{
    if (tls != NULL)
        tell_tls(config, tls);
    else if (config->insecure)
        log_warn("--insecure: partitions move in plain; whoever is on the way can read, change and "
                 "send them");
}

/* Certificates end, and are exchanged while partitions work. */
static void reload(struct daemon *daemon, const struct config *config)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp_tls *tls;

    if (config_open_tls(config, &tls, &err) != 0) {
        log_warn("signal HUP: the certificates stay as they were: %s", err.text);
        return;
    }
    if (tls == NULL)
        return;
    mig_set_tls(daemon->mig, tls);
    tell_tls(config, tls);
    tp_tls_unref(tls);
}

static void on_signal(struct daemon *daemon, const struct config *config, int fd)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        reload(daemon, config);
        return;
    }
    log_info("signal %s: ending; the kernel side stays while it has partitions",
             sigabbrev_np((int)info.ssi_signo));
    atomic_store(&daemon->stop, true);
}

/* The host has crashed, as far as its partitions go. Started again, the daemon starts a new one and
 * tells what was lost. */
static int on_kernel_end(struct daemon *daemon, struct vf_error *err)
{
    atomic_store(&daemon->stop, true);
    return atomic_load(&daemon->kernel_ending) ? 0 : kernel_end_fail(daemon, err);
}

enum { POLL_SIGNAL, POLL_WAKE, POLL_KERNEL, POLL_CONTROL, POLL_LISTEN, POLLS };

static int run(struct daemon *daemon, const struct config *config, struct control *control,
               int listen_fd, int signal_fd, struct vf_error *err)
{
    struct pollfd fds[POLLS] = {
        [POLL_SIGNAL] = {.fd = signal_fd, .events = POLLIN},
        [POLL_WAKE] = {.fd = daemon->wake_fd, .events = POLLIN},
        [POLL_KERNEL] = {.fd = daemon->kernel_pidfd, .events = POLLIN},
        [POLL_CONTROL] = {.fd = control_fd(control), .events = POLLIN},
        [POLL_LISTEN] = {.fd = listen_fd, .events = POLLIN}, /* -1 is skipped */
    };
    bool roomy = true;
    int result = 0;
    int wait_ms;

    while (result == 0 && !atomic_load(&daemon->stop)) {
        /* A connection that cannot be taken stays readable: not to be looked at for a while. */
        fds[POLL_CONTROL].events = fds[POLL_LISTEN].events = roomy ? POLLIN : 0;
        wait_ms = listener_restock(daemon) && roomy ? -1 : VF_ACCEPT_PAUSE_MS;
        if (poll(fds, POLLS, wait_ms) < 0) {
            if (errno != EINTR)
                return vf_fail_errno(err, VF_FAILED, errno, "poll");
            continue;
        }
        roomy = true;
        if (fds[POLL_SIGNAL].revents != 0)
            on_signal(daemon, config, signal_fd);
        if (fds[POLL_KERNEL].revents != 0 && !atomic_load(&daemon->kernel_ending))
            result = on_kernel_end(daemon, err);
        else if (fds[POLL_KERNEL].revents != 0)
            fds[POLL_KERNEL].fd = -1; /* host stop answers its client first, then stops us */
        if (fds[POLL_CONTROL].revents != 0)
            roomy = control_accept(control);
        if (fds[POLL_LISTEN].revents != 0)
            roomy = listener_accept(daemon, listen_fd) && roomy;
    }
    return result;
}

static int socket_of(const struct daemon *daemon, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/" CTL_SOCKET_NAME, daemon->state_dir);

    return length > 0 && length < PATH_MAX ? 0 : -1;
}

/* So that "vferry --host NAME" finds it. A host without is a host all the same. */
static void enter_name(const struct daemon *daemon)
{
    struct vf_error err = VF_ERROR_INIT;
    char path[PATH_MAX];

    if (socket_of(daemon, path) == 0 && registry_enter(daemon->name, path, &err) != 0)
        log_info("its name finds another host or none (%s); reach it with \"vferry --host %s\"",
                 err.text, daemon->state_dir);
}

static void leave_name(const struct daemon *daemon)
{
    char path[PATH_MAX];

    if (socket_of(daemon, path) == 0)
        registry_leave(daemon->name, path);
}

/* Everything is open: tells so, and serves until the host's end. */
static int run_ready(struct daemon *daemon, const struct config *config, struct control *control,
                     int listen_fd, int signal_fd, struct vf_error *err)
{
    int result;

    startup_over(daemon);
    log_info("%s: ready%s%s", daemon->name,
             daemon->listen[0] != '\0' ? ", partitions may arrive at " : "", daemon->listen);
    (void)sd_notifyf(0, "READY=1\nSTATUS=host %s, kernel side pid %d", daemon->name,
                     daemon->kernel_pid);
    atomic_store(&daemon->kernel_child, 0); /* it is the host's from here on */
    listener_open(daemon);
    result = run(daemon, config, control, listen_fd, signal_fd, err);
    listener_close(daemon);
    return result;
}

static int open_moves(struct daemon *daemon, const struct mig_config *config, struct vf_error *err)
{
    if (mig_open(config, &daemon->mig, err) != 0)
        return -1;
    jobs_recall(daemon);
    cordon_load(daemon);
    return 0;
}

static int serve(struct daemon *daemon, const struct config *config, struct tp_tls *tls,
                 int listen_fd, int signal_fd, struct vf_error *err)
{
    struct mig_config mig = {.host_name = daemon->name,
                             .kernel_socket = daemon->kernel_socket,
                             .state_dir = daemon->state_dir,
                             .listen = daemon->listen,
                             .moves_at_once = config->moves_at_once,
                             .tls = tls,
                             .insecure = config->insecure,
                             .silence_ns = config->silence_ns,
                             .redial_ns = config->redial_ns,
                             .event = events_mig,
                             .event_ctx = &daemon->events,
                             .ended = jobs_ended,
                             .ended_ctx = daemon,
                             .kernel_mute_ns = watchdog_mute_ns,
                             .kernel_mute_ctx = daemon,
                             .last_id = history_last_job(daemon->history)};
    struct control *control = NULL;
    struct events_collector *collector = NULL;
    int result = -1;

    /* The watchdog first: recovery calls the kernel side too. */
    if (pulse_open(&daemon->pulse, err) == 0 && watchdog_start(daemon, err) == 0 &&
        open_moves(daemon, &mig, err) == 0 &&
        events_collect(&daemon->events, daemon->kernel_socket, daemon->kernel_pid, &collector,
                       err) == 0 &&
        control_open(daemon, verb_find, &control, err) == 0) {
        enter_name(daemon); /* before anybody is told that it is ready */
        if (background_ready(daemon->name, daemon->state_dir, err) == 0)
            result = run_ready(daemon, config, control, listen_fd, signal_fd, err);
        leave_name(daemon);
        (void)sd_notify(0, "STOPPING=1");
        watchdog_ending(daemon);
        mig_end_jobs(daemon->mig); /* watchers hear of it before the connections close */
    }
    control_close(control);
    events_collect_stop(collector);
    if (daemon->mig != NULL)
        mig_close(daemon->mig);
    watchdog_stop(daemon); /* it tells the pulse */
    pulse_close(daemon->pulse);
    return result;
}

/* What this host remembers of itself; every event goes there from here on. It can do without. */
static void open_history(struct daemon *daemon, const struct config *config)
{
    const struct history_limits limits = {config->history_days, config->history_bytes};
    struct vf_error err = VF_ERROR_INIT;

    if (config->history_days == 0)
        return;
    if (history_open(daemon->state_dir, &limits, &daemon->history, &err) != 0)
        log_warn("no history is kept: %s", err.text);
    else
        events_keep(&daemon->events, daemon->history);
}

static void close_history(struct daemon *daemon)
{
    events_keep(&daemon->events, NULL);
    history_close(daemon->history);
    daemon->history = NULL;
}

/* A host that could only say that it has no descriptor left is none: each of the two processes has
 * what it takes to answer, and to move one partition. */
static int enough_open_files(const struct config *config, struct vf_error *err)
{
    char who[64];

    (void)snprintf(who, sizeof who, "a host with %zu adapter%s", config->device_count,
                   config->device_count == 1 ? "" : "s");
    return vf_need_open_files(HOST_OPEN_FILES + ADAPTER_OPEN_FILES * (unsigned)config->device_count,
                              who, err);
}

/* The address before the kernel side: one that is taken is found out before anything is started. */
static int start_and_serve(struct daemon *daemon, const struct config *config, struct tp_tls *tls,
                           int signal_fd, struct vf_error *err)
{
    cleanup_close int listen_fd = -1;
    int result = -1;

    if (enough_open_files(config, err) != 0 || state_dir_open(daemon, config->state, err) != 0 ||
        background_log(daemon->state_dir, daemon->state_fd, err) != 0)
        return -1;
    tell_security(config, tls);
    if (config->listen[0] != '\0' &&
        tp_tcp_listen(config->listen, &listen_fd, daemon->listen, sizeof daemon->listen, err) != 0)
        return -1;
    open_history(daemon, config);
    if (kernel_process_find_or_start(daemon, config, err) == 0)
        result = serve(daemon, config, tls, listen_fd, signal_fd, err);
    if (result != 0)
        kernel_process_end_started(daemon);
    close_history(daemon);
    return result;
}

static int open_and_serve(const struct config *config, struct tp_tls *tls, struct vf_error *err)
{
    struct daemon daemon = {.state_fd = -1, .lock_fd = -1, .kernel_pidfd = -1, .wake_fd = -1};
    cleanup_close int signal_fd = -1;
    int result = -1;

    memcpy(daemon.name, config->name, sizeof daemon.name);
    daemon.group_access = config->socket_group[0] != '\0';
    daemon.socket_gid = config->socket_gid;
    if (events_init(&daemon.events) != 0)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    vf_log_tap(events_log_tap, &daemon.events);
    daemon.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    signal_fd = take_signals(err);
    if (signal_fd >= 0 && daemon.wake_fd >= 0 && startup_watch(&daemon, signal_fd, err) == 0)
        result = start_and_serve(&daemon, config, tls, signal_fd, err);
    startup_over(&daemon);
    kc_close(daemon.kc);
    vf_log_tap(NULL, NULL);
    events_fini(&daemon.events);
    /* The lock goes last: whoever gets it next finds everything let go. */
    for (size_t i = 0; i < 4; i++) {
        int fd = (int[]){daemon.kernel_pidfd, daemon.wake_fd, daemon.lock_fd, daemon.state_fd}[i];

        if (fd >= 0)
            (void)close(fd);
    }
    return result;
}

/*
 * A thread a job, a stream and a connection, and a job's few kilobytes stay for as long as it is
 * listed: glibc's 8 arenas a processor would each keep 2 MiB of holes between them. Pages go
 * through shared slots: no thread allocates often enough to wait for another.
 */
static void few_arenas(void)
{
    if (mallopt(M_ARENA_MAX, 2) != 1)
        log_debug("the heap keeps as many arenas as it likes");
}

int main(int argc, char **argv)
{
    static struct config config; /* too large for a stack */
    struct vf_error err = VF_ERROR_INIT;
    struct tp_tls *tls = NULL;
    int result = config_parse(argc, argv, &config, &err);

    if (result == 0 && config.action != CONFIG_RUN) {
        result = printf("%s", config.action == CONFIG_HELP ? config_usage
                                                           : "vferryd " VFERRY_VERSION "\n") < 0
                     ? 1
                     : fflush(stdout);
        return result == 0 ? VF_OK : VF_FAILED;
    }
    vf_log_init("vferryd", VF_LOG_INFO);
    vf_process_private();
    vf_raise_open_files();
    few_arenas();
    (void)umask(077); /* whatever it was started with, of which the kernel side inherits the rest */
    if (result == 0 && config.background)
        result = background_start(&err);
    if (result == 0)
        result = config_finish(&config, &err);
    if (result == 0)
        result = config_open_tls(&config, &tls, &err);
    if (result == 0)
        result = open_and_serve(&config, tls, &err);
    tp_tls_unref(tls);
    vf_log_end();
    if (result != 0) {
        if (err.code != VF_USAGE)
            err.code = VF_FAILED; /* vferryd(8): what a verb tells apart is one thing here */
        if (!background_failed(&err))
            (void)fprintf(stderr, "vferryd: %s\n", err.text);
        return (int)err.code;
    }
    log_info("ended");
    return VF_OK;
}
