// SPDX-License-Identifier: Apache-2.0
/* See startup.h. */
#define LOG_ROOM "daemon"
#include "daemon/startup.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct startup {
    struct daemon *daemon;
    int signal_fd;
    int over_fd; /* eventfd: the start is over */
    bool hup;    /* own thread; main after its end */
    pthread_t thread;
};

/* What recovery has not done is in the journal, as after kill -9. A kernel side of this start alone
 * holds no partition: no verb was ever served. */
static _Noreturn void end_hard(const struct daemon *daemon)
{
    const pid_t child = atomic_load(&daemon->kernel_child);

    log_warn("ended in the middle of the start, of which a step hangs%s; the next vferryd does "
             "again what it owes",
             child > 0 ? "" : "; the kernel side stays with its partitions");
    if (child > 0)
        (void)kill(child, SIGKILL);
    _exit(VF_OK);
}

static void take_signal(struct startup *startup, uint64_t *end_ns)
{
    struct signalfd_siginfo info;

    if (read(startup->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        startup->hup = true;
        return;
    }
    log_info("signal %s during the start: ending", sigabbrev_np((int)info.ssi_signo));
    if (*end_ns == 0)
        *end_ns = vf_now_ns() + STARTUP_END_NS;
    daemon_stop(startup->daemon);
}

static void *watch(void *arg)
{
    struct startup *startup = arg;
    uint64_t end_ns = 0; /* 0 = nobody has told it to end */

    (void)prctl(PR_SET_NAME, "startup");
    for (;;) {
        struct pollfd fds[] = {{.fd = startup->over_fd, .events = POLLIN},
                               {.fd = startup->signal_fd, .events = POLLIN}};
        const uint64_t now = vf_now_ns();

        if (end_ns != 0 && now >= end_ns)
            end_hard(startup->daemon);
        if (poll(fds, 2, end_ns == 0 ? -1 : (int)((end_ns - now) / 1000000u) + 1) < 0)
            continue;
        if (fds[0].revents != 0)
            return NULL;
        if (fds[1].revents != 0)
            take_signal(startup, &end_ns);
    }
}

int startup_watch(struct daemon *daemon, int signal_fd, struct vf_error *err)
{
    struct startup *startup = calloc(1, sizeof *startup);
    int failed = ENOMEM;

    if (startup != NULL) {
        *startup = (struct startup){.daemon = daemon, .signal_fd = signal_fd};
        startup->over_fd = eventfd(0, EFD_CLOEXEC);
        failed =
            startup->over_fd < 0 ? errno : pthread_create(&startup->thread, NULL, watch, startup);
    }
    if (failed == 0) {
        daemon->startup = startup;
        return 0;
    }
    if (startup != NULL && startup->over_fd >= 0)
        (void)close(startup->over_fd);
    free(startup);
    return vf_fail_errno(err, VF_FAILED, failed, "read signals during the start");
}

void startup_over(struct daemon *daemon)
{
    struct startup *startup = vf_take_ptr(daemon->startup);

    if (startup == NULL)
        return;
    (void)eventfd_write(startup->over_fd, 1); /* its first: there is room */
    (void)pthread_join(startup->thread, NULL);
    if (startup->hup)
        (void)kill(getpid(), SIGHUP);
    (void)close(startup->over_fd);
    free(startup);
}
