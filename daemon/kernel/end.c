// SPDX-License-Identifier: Apache-2.0
/* See end.h. */
#include "daemon/kernel/end.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TAIL_BYTES 8192
#define WHERE_BYTES 280

/* The end of DIR/kernel.log as text; "" when there is none. */
static void read_tail(const struct daemon *daemon, char text[TAIL_BYTES + 1])
{
    cleanup_close int fd =
        openat(daemon->state_fd, "kernel.log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    ssize_t got = -1;

    if (fd >= 0 && fstat(fd, &info) == 0)
        got =
            pread(fd, text, TAIL_BYTES, info.st_size > TAIL_BYTES ? info.st_size - TAIL_BYTES : 0);
    text[got > 0 ? got : 0] = '\0';
}

/* What the crash handler of this very process (dxgk/crash.c) wrote of the place, or "". A driver
 * may have written next to it: control characters become blanks. */
static void find_crash(const struct daemon *daemon, char where[WHERE_BYTES])
{
    char text[TAIL_BYTES + 1];
    char mark[64];
    const char *found = NULL;
    size_t length;

    read_tail(daemon, text);
    where[0] = '\0';
    (void)snprintf(mark, sizeof mark, "vferry-kernel[%d] error crash: ", daemon->kernel_pid);
    for (const char *at = strstr(text, mark); at != NULL; at = strstr(at + 1, mark))
        found = at + strlen(mark);
    if (found == NULL)
        return;
    length = strcspn(found, ";\n");
    length = length < WHERE_BYTES ? length : WHERE_BYTES - 1;
    memcpy(where, found, length);
    where[length] = '\0';
    for (char *c = where; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = ' ';
    }
}

/* As far as can be known: only a child's status can. */
static void tell_status(pid_t pid, char *how, size_t bytes)
{
    int status;

    if (waitpid(pid, &status, WNOHANG) != pid)
        (void)snprintf(how, bytes, "has ended unasked (started by an earlier vferryd)");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        (void)snprintf(how, bytes,
                       "was killed by SIGKILL, by somebody or for want of memory (dmesg tells)");
    else if (WIFSIGNALED(status))
        (void)snprintf(how, bytes, "was ended by SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        (void)snprintf(how, bytes,
                       "has ended unasked with exit status %d (the end of its kernel.log may tell)",
                       WEXITSTATUS(status));
}

int kernel_end_fail(const struct daemon *daemon, struct vf_error *err)
{
    char how[128];
    char where[WHERE_BYTES];

    tell_status(daemon->kernel_pid, how, sizeof how);
    find_crash(daemon, where);
    if (where[0] != '\0')
        return vf_fail(err, VF_FAILED,
                       "the kernel side, pid %d, crashed: %s; its partitions are lost with "
                       "it" VF_REMEDY "start vferryd again; %s",
                       daemon->kernel_pid, where,
                       strstr(where, "the driver's") != NULL ? "the fault is the driver's"
                                                             : "report it with kernel.log");
    return vf_fail(err, VF_FAILED,
                   "the kernel side, pid %d, %s, and its partitions are lost with it" VF_REMEDY
                   "start vferryd again",
                   daemon->kernel_pid, how);
}
