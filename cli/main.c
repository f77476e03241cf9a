// SPDX-License-Identifier: Apache-2.0
/* vferry: the command line of a vferry host. */
#include "cli/completion/complete.h"
#include "cli/host/peer_name.h"
#include "cli/show.h"
#include "cli/syntax/args.h"
#include "cli/syntax/help.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int run(struct command *command, enum args_action action, const char *group,
               struct vf_error *err)
{
    switch (action) {
    case ARGS_HELP:
        help_print(command->verb, group);
        return 0;
    case ARGS_VERSION:
        (void)printf("vferry " VFERRY_VERSION "\n");
        return 0;
    case ARGS_RUN:
    default:
        return peer_names_resolve(command, err) != 0 ? -1 : command->verb->run(command, err);
    }
}

/* A stdin, stdout or stderr that we were started without is opened so that its use fails: else the
 * next socket would get its number, and what is meant for a person would be written to a daemon. */
static void fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* Is what the command prints all that it does? Anything else has its own end, printed or not. */
static bool only_shows(const struct command *command, enum args_action action)
{
    return action != ARGS_RUN || command->verb->shows ||
           json_is_true(json_object_get(command->args, "dry_run")) ||
           json_is_true(json_object_get(command->args, "dry-run"));
}

/* Whoever read our stdout may leave early, as "head" does: no error to speak of. */
static bool reader_left(void)
{
    struct pollfd look = {.fd = STDOUT_FILENO};

    return poll(&look, 1, 0) > 0 && (look.revents & (POLLERR | POLLHUP)) != 0;
}

/* Writes out what a command that went well has printed. A move that is made stays made when nobody
 * could be told of it: only for a command that merely shows is that a failure. The exit code. */
static int end_well(bool shows)
{
    const char *why = "not all of it was taken";

    errno = 0;
    if (fflush(stdout) != 0 && errno != 0)
        why = strerrordesc_np(errno);
    else if (!ferror(stdout))
        return VF_OK;
    if (!reader_left())
        (void)fprintf(stderr, "vferry: write to stdout: %s%s\n", why,
                      shows ? "" : "; what was asked for is done all the same");
    return shows ? VF_FAILED : VF_OK;
}

/* Was an object asked for? Also by a command line that could not be understood. */
static bool wants_object(int argc, char **argv, const struct command *command)
{
    bool wanted = command->json;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        wanted = wanted || strcmp(argv[i], "--json") == 0;
    return wanted;
}

int main(int argc, char **argv)
{
    struct vf_error err = VF_ERROR_INIT;
    struct command command;
    enum args_action action;
    const char *group;
    bool shows = true;
    int status;

    fill_standard();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader who leaves is an error of writing; see end_well */
    status = completion_command(argc, argv);
    if (status >= 0)
        return status == VF_OK ? end_well(true) : status;
    status = args_parse(argc, argv, &command, &action, &group, &err);
    if (status == 0)
        status = run(&command, action, group, &err);
    if (status == 0)
        shows = only_shows(&command, action);
    if (status != 0 && wants_object(argc, argv, &command))
        show_error(&err);
    args_free(&command);
    if (status == 0)
        return end_well(shows);
    (void)fflush(stdout); /* what was said comes before why it failed */
    (void)fprintf(stderr, "vferry: %s\n", err.text);
    return err.code == VF_OK ? VF_FAILED : (int)err.code;
}
