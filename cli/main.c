// SPDX-License-Identifier: Apache-2.0
/* vferry: the command line of a vferry host. */
#include "cli/args.h"
#include "cli/help.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, enum args_action action, const char *group,
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
        return command->verb->run(command, err);
    }
}

int main(int argc, char **argv)
{
    struct vf_error err = VF_ERROR_INIT;
    struct command command;
    enum args_action action;
    const char *group;
    bool acts;
    int status;

    (void)signal(SIGPIPE, SIG_IGN); /* a reader who leaves is an error of writing, told below */
    status = args_parse(argc, argv, &command, &action, &group, &err);
    if (status == 0)
        status = run(&command, action, group, &err);
    acts = status == 0 && action == ARGS_RUN && command.verb->acts;
    args_free(&command);
    if (status == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        if (acts)
            (void)fputs("vferry: done, but stdout could not be written\n", stderr);
        else
            status = vf_fail_errno(&err, VF_FAILED, errno, "write to stdout");
    }
    if (status == 0)
        return VF_OK;
    (void)fflush(stdout); /* what was said comes before why it failed */
    (void)fprintf(stderr, "vferry: %s\n", err.text);
    return err.code == VF_OK ? VF_FAILED : (int)err.code;
}
