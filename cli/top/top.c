// SPDX-License-Identifier: Apache-2.0
/* The command "vferry top". See top.h. */
#include "cli/top/top.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/host/find.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "cli/show.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define MAX_INTERVAL_S 3600u
#define CTRL_D 4

struct top {
    struct top_host hosts[CLI_MAX_HOSTS];
    size_t count;
    uint64_t interval_ns;
    struct top_screen screen;
    int signal_fd;
    bool over;
};

static json_t *snapshot(const struct top *top)
{
    json_t *object = json_pack("{s:s, s:I, s:[]}", "schema", "vferry.top/1", "time_unix_ns",
                               (json_int_t)vf_realtime_ns(), "hosts");

    for (size_t i = 0; i < top->count; i++)
        (void)json_array_append_new(json_object_get(object, "hosts"),
                                    top_host_object(&top->hosts[i]));
    return object;
}

/* The deadline, or the moment when a look becomes late if that is before. */
static uint64_t first_late(const struct top *top, uint64_t deadline_ns)
{
    for (size_t i = 0; i < top->count; i++) {
        const struct top_host *host = &top->hosts[i];

        if (host->looking && !host->again && host->asked_ns + TOP_LATE_NS < deadline_ns)
            deadline_ns = host->asked_ns + TOP_LATE_NS;
    }
    return deadline_ns;
}

/* Waits for what comes first: an answer, a key, a signal, or the deadline. Answers are
 * taken here. */
static int await(struct top *top, bool keys, uint64_t deadline_ns, struct pollfd events[2])
{
    struct pollfd fds[CLI_MAX_HOSTS + 2];
    uint64_t now = vf_now_ns();
    int wait_ms;

    deadline_ns = first_late(top, deadline_ns);
    wait_ms = deadline_ns > now ? (int)((deadline_ns - now) / 1000000u) + 1 : 0;
    fds[0] = (struct pollfd){.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = top->signal_fd, .events = POLLIN};
    for (size_t i = 0; i < top->count; i++)
        fds[i + 2] = (struct pollfd){.fd = top->hosts[i].looking ? top->hosts[i].glance.fd : -1,
                                     .events = POLLIN};
    if (poll(fds, top->count + 2, wait_ms) < 0)
        return errno == EINTR ? 0 : -1;
    for (size_t i = 0; i < top->count; i++) {
        if (fds[i + 2].revents != 0)
            top_host_hear(&top->hosts[i]);
        top_host_look_again(&top->hosts[i]);
    }
    memcpy(events, fds, 2 * sizeof *fds);
    return 0;
}

static bool any_looks(const struct top *top)
{
    for (size_t i = 0; i < top->count; i++) {
        if (top->hosts[i].looking)
            return true;
    }
    return false;
}

/* One look at all; who has not answered in time does not. */
static int look_once(struct top *top, struct vf_error *err)
{
    uint64_t end_ns = vf_now_ns() + TOP_LATE_NS + TOP_AGAIN_NS;
    struct pollfd events[2];

    for (size_t i = 0; i < top->count; i++)
        top_host_look(&top->hosts[i]);
    while (any_looks(top) && vf_now_ns() < end_ns) {
        if (await(top, false, end_ns, events) != 0)
            return vf_fail_errno(err, VF_FAILED, errno, "poll");
    }
    return 0;
}

static int nobody_answers(const struct top *top, struct vf_error *err)
{
    for (size_t i = 0; i < top->count; i++) {
        if (top->hosts[i].why[0] == '\0' && !top->hosts[i].looking)
            return 0;
    }
    return vf_fail(err, VF_UNREACHABLE, "host %s: %s" VF_REMEDY "is vferryd running there?",
                   top->hosts[0].path,
                   top->hosts[0].why[0] != '\0' ? top->hosts[0].why : "vferryd does not answer");
}

/* A snapshot: two looks, so that there is a pace to tell. They are a second apart, whatever the
 * interval of the screen is: nobody waits for what is said once. */
static int show_once(struct top *top, const struct command *command, struct vf_error *err)
{
    const struct timespec pause = {.tv_sec = 1};
    json_t *object;
    int status;

    if (look_once(top, err) != 0)
        return -1;
    if (nobody_answers(top, err) == 0 &&
        (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL) != 0 || look_once(top, err) != 0))
        return vf_fail(err, VF_FAILED, "top: was interrupted");
    status = nobody_answers(top, err);
    object = snapshot(top);
    show_outcome(command, status, object, true, err);
    json_decref(object);
    return status;
}

static void show(const struct top *top)
{
    json_t *object = snapshot(top);
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    char when[CELL_BYTES];

    if (to != NULL) {
        (void)fprintf(to, "vferry top  %s  q ends\n\n",
                      table_cell(object, CELL_WHEN, "time_unix_ns", when));
        top_view(to, object);
        if (fclose(to) == 0)
            top_screen_show(text);
    }
    free(text);
    json_decref(object);
}

/* Stands still as any program does that is put into the background, with the terminal
 * given back. */
static void stand_still(struct top *top)
{
    top_screen_end(&top->screen);
    (void)kill(getpid(), SIGSTOP);
    if (top_screen_begin(&top->screen) != 0)
        top->over = true;
}

static void on_signal(struct top *top)
{
    struct signalfd_siginfo info;

    if (read(top->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGTSTP)
        stand_still(top);
    else if (info.ssi_signo != SIGWINCH)
        top->over = true;
}

static void on_key(struct top *top)
{
    char key;

    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == CTRL_D)
        top->over = true;
}

/* Shows what there is whenever a look is due, a host has answered for the first time, or the window
 * has changed. */
static int follow(struct top *top, struct vf_error *err)
{
    uint64_t next_ns = vf_now_ns();

    while (!top->over) {
        struct pollfd events[2] = {{.fd = -1}, {.fd = -1}};
        bool looked = any_looks(top);

        if (vf_now_ns() >= next_ns) {
            next_ns = vf_now_ns() + top->interval_ns;
            for (size_t i = 0; i < top->count; i++)
                top_host_look(&top->hosts[i]);
            looked = true;
            if (!any_looks(top))
                show(top); /* all fail at once */
        }
        if (await(top, true, next_ns, events) != 0)
            return vf_fail_errno(err, VF_FAILED, errno, "poll");
        if (events[0].revents != 0)
            on_key(top);
        if (events[1].revents != 0)
            on_signal(top);
        /* Once all have answered, or it is time to look again though some have not. */
        if (!top->over &&
            (events[1].revents != 0 || (looked && !any_looks(top)) || vf_now_ns() >= next_ns))
            show(top);
        if (ferror(stdout))
            top->over = true;
    }
    return 0;
}

static int take_signals(struct vf_error *err)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    sigset_t set;
    int fd = -1;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        (void)sigaddset(&set, taken[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd >= 0 ? fd : vf_fail_errno(err, VF_FAILED, errno, "take signals");
}

static int take_interval(struct top *top, const struct command *command, struct vf_error *err)
{
    json_t *said = json_object_get(command->args, "interval");
    uint64_t seconds = said != NULL ? (uint64_t)json_integer_value(said) : 1;

    if (seconds == 0 || seconds > MAX_INTERVAL_S)
        return vf_fail(err, VF_USAGE,
                       "--interval: is no time from 1 s to an hour" VF_REMEDY
                       "give e.g. --interval 2");
    top->interval_ns = seconds * SECOND_NS;
    return 0;
}

static int run(struct top *top, const struct command *command, struct vf_error *err)
{
    cleanup_close int signal_fd = -1;
    int result;

    if (command->json || json_is_true(json_object_get(command->args, "once")))
        return show_once(top, command, err);
    signal_fd = take_signals(err);
    if (signal_fd < 0)
        return -1;
    if (top_screen_begin(&top->screen) != 0) {
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL); /* nobody reads them: they do as usual */
        return show_once(top, command, err);
    }
    top->signal_fd = signal_fd;
    result = follow(top, err);
    top_screen_end(&top->screen);
    return result;
}

int cmd_top(const struct command *command, struct vf_error *err)
{
    struct top *top = calloc(1, sizeof *top);
    char place[PATH_MAX]; /* of the host that is meant when none is named */
    int result;

    if (top == NULL)
        return vf_fail(err, VF_FAILED, "top: " VF_NO_MEMORY);
    top->signal_fd = -1;
    top->count = command->host_count > 0 ? command->host_count : 1;
    result = command->host == NULL ? find_host(NULL, place, err) : 0;
    for (size_t i = 0; i < top->count; i++)
        top_host_init(&top->hosts[i], command->host_count > 0 ? command->hosts[i]
                                      : command->host != NULL ? command->host
                                                              : place);
    if (result == 0)
        result = take_interval(top, command, err);
    if (result == 0)
        result = run(top, command, err);
    for (size_t i = 0; i < top->count; i++)
        top_host_fini(&top->hosts[i]);
    free(top);
    return result;
}

void print_top(const json_t *result)
{
    top_view(stdout, result);
}
