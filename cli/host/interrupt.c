// SPDX-License-Identifier: Apache-2.0
/* See interrupt.h. */
#include "cli/host/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

int interrupt_take(int *fd, struct vf_error *err)
{
    sigset_t set;

    *fd = -1;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        *fd = signalfd(-1, &set, SFD_CLOEXEC);
    return *fd >= 0 ? 0 : vf_fail_errno(err, VF_FAILED, errno, "take signals");
}
