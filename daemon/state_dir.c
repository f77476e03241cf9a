// SPDX-License-Identifier: Apache-2.0
/* See state_dir.h. */
#define LOG_ROOM "daemon"
#include "daemon/state_dir.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The group may pass through to the control socket, and sees nothing else: every file in there is
 * its owner's alone. */
static int admit_group(const struct daemon *daemon, const char *path, struct vf_error *err)
{
    if (fchown(daemon->state_fd, (uid_t)-1, daemon->socket_gid) != 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "state directory %s: cannot be given to group %u; run vferryd as a "
                             "member of the group",
                             path, (unsigned)daemon->socket_gid);
    if (fchmod(daemon->state_fd, 0710) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "state directory %s: set its mode", path);
    return 0;
}

/* Nothing can be started there; what runs in an earlier kernel side is not touched. */
static int fail_read_only(const char *path, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "state directory %s: its file system is read-only" VF_REMEDY
                   "make it writable again (mount -o remount,rw), or give --state another",
                   path);
}

static int make(struct daemon *daemon, const char *path, struct vf_error *err)
{
    struct stat info;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno == EROFS ? fail_read_only(path, err)
                              : vf_fail_errno(err, VF_FAILED, errno,
                                              "make the state directory %s" VF_REMEDY
                                              "give --state a directory that this user can make",
                                              path);
    if (realpath(path, daemon->state_dir) == NULL)
        return vf_fail_errno(err, VF_FAILED, errno, "state directory %s", path);
    daemon->state_fd = open(daemon->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (daemon->state_fd < 0 || fstat(daemon->state_fd, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "state directory %s", path);
    if (info.st_uid != geteuid())
        return vf_fail(err, VF_FAILED,
                       "state directory %s: belongs to user %u; give one of your own", path,
                       (unsigned)info.st_uid);
    if ((info.st_mode & 022) != 0)
        return vf_fail(err, VF_FAILED,
                       "state directory %s: others may write there; chmod 700 it or give another",
                       path);
    if (daemon->group_access)
        return admit_group(daemon, path, err);
    if ((info.st_mode & 077) != 0)
        log_warn("state directory %s: others may look into it; chmod 700 it", path);
    return 0;
}

/* The file keeps the holder's pid, for the one who is refused. It is never removed: that would let
 * two hold "the" lock. */
static int lock(struct daemon *daemon, struct vf_error *err)
{
    char pid[32] = "";
    int length;

    daemon->lock_fd =
        openat(daemon->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (daemon->lock_fd < 0 && errno == EROFS)
        return fail_read_only(daemon->state_dir, err);
    if (daemon->lock_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "open %s/lock", daemon->state_dir);
    if (flock(daemon->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return vf_fail_errno(err, VF_FAILED, errno, "lock %s/lock", daemon->state_dir);
        if (pread(daemon->lock_fd, pid, sizeof pid - 1, 0) < 0)
            pid[0] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return vf_fail(err, VF_FAILED,
                       "another vferryd runs on %s (pid %s); use it, or end it first",
                       daemon->state_dir, pid[0] != '\0' ? pid : "unknown");
    }
    length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(daemon->lock_fd, 0) != 0 ||
        pwrite(daemon->lock_fd, pid, (size_t)length, 0) != length)
        return vf_fail_errno(err, VF_FAILED, errno, "write %s/lock", daemon->state_dir);
    return 0;
}

int state_dir_open(struct daemon *daemon, const char *path, struct vf_error *err)
{
    int length;

    if (make(daemon, path, err) != 0 || lock(daemon, err) != 0)
        return -1;
    length = snprintf(daemon->kernel_socket, sizeof daemon->kernel_socket, "%s/kernel.sock",
                      daemon->state_dir);
    if (length < 0 || (size_t)length >= sizeof daemon->kernel_socket)
        (void)snprintf(daemon->kernel_socket, sizeof daemon->kernel_socket,
                       "/proc/self/fd/%d/kernel.sock", daemon->state_fd);
    return 0;
}
