// SPDX-License-Identifier: Apache-2.0
/* See background.h. */
#include "daemon/background.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LOG_NAME "vferryd.log"

/* What the child tells, in one write to a pipe: it comes whole. */
struct word {
    uint32_t code;
    char text[700];
};

/* Main thread: where the parent waits for the word; -1 = none does. */
static int report_fd = -1;

static int parent_fails(pid_t child)
{
    int status = 0;

    if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
        (void)fprintf(stderr, "vferryd: was ended by SIG%s before it was ready\n",
                      sigabbrev_np(WTERMSIG(status)));
    else
        (void)fprintf(stderr, "vferryd: ended without a word before it was ready\n");
    return VF_FAILED;
}

static int await_word(int fd, pid_t child)
{
    struct word word;
    ssize_t got;

    do {
        got = read(fd, &word, sizeof word);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof word)
        return parent_fails(child);
    word.text[sizeof word.text - 1] = '\0';
    if (word.code != VF_OK)
        (void)fprintf(stderr, "vferryd: %s\n", word.text);
    else if (printf("%s\n", word.text) < 0 || fflush(stdout) != 0)
        (void)fprintf(stderr, "vferryd: cannot write to stdout; %s\n", word.text);
    return (int)word.code;
}

/* stderr stays: it is the log until there is a file for it. */
static int detach(struct vf_error *err)
{
    cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--background: /dev/null");
    if (setsid() < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--background: a session of its own");
    return 0;
}

/* Descriptors 0 to 2 that the starter closed would be taken by the next files to be opened. */
static int fill_standard(struct vf_error *err)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return vf_fail_errno(err, VF_FAILED, errno, "--background: /dev/null");
        if (fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) != 0)
            return vf_fail_errno(err, VF_FAILED, errno, "--background: /dev/null");
    } while (fd <= STDERR_FILENO);
    (void)close(fd);
    return 0;
}

int background_start(struct vf_error *err)
{
    int ends[2];
    pid_t child;

    if (fill_standard(err) != 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--background: make a pipe");
    child = fork();
    if (child > 0) {
        (void)close(ends[1]);
        _exit(await_word(ends[0], child));
    }
    (void)close(ends[0]);
    if (child == 0) {
        report_fd = ends[1];
        return detach(err);
    }
    (void)close(ends[1]);
    return vf_fail_errno(err, VF_FAILED, errno, "--background: make a process");
}

int background_log(const char *state_dir, int state_fd, struct vf_error *err)
{
    cleanup_close int fd = -1;

    if (report_fd < 0)
        return 0;
    fd = openat(state_fd, LOG_NAME, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "open %s/" LOG_NAME, state_dir);
    return 0;
}

/* False: nobody waits for it. */
static bool tell(const struct word *word)
{
    ssize_t sent = report_fd < 0 ? -1 : write(report_fd, word, sizeof *word);

    if (report_fd >= 0)
        (void)close(report_fd);
    report_fd = -1;
    return sent == (ssize_t)sizeof *word;
}

int background_ready(const char *host, const char *state_dir, struct vf_error *err)
{
    struct word word = {.code = VF_OK};

    if (report_fd < 0)
        return 0;
    (void)snprintf(word.text, sizeof word.text, "host %s is ready, pid %d, log %s/" LOG_NAME, host,
                   (int)getpid(), state_dir);
    return tell(&word) ? 0
                       : vf_fail(err, VF_FAILED,
                                 "--background: whoever started this daemon has ended meanwhile");
}

bool background_failed(const struct vf_error *why)
{
    struct word word = {.code = why->code == VF_OK ? VF_FAILED : why->code};

    (void)snprintf(word.text, sizeof word.text, "%s", why->text);
    return tell(&word);
}
