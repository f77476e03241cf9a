// SPDX-License-Identifier: Apache-2.0
/* See registry.h. */
#include "daemon/control/registry.h"

#include "base/cleanup.h"
#include "base/unix_socket.h"
#include "daemon/control/protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PLACES 2u

/* Where the directory may be, the better place first. */
static int place(unsigned which, char path[PATH_MAX])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *temporary = getenv("TMPDIR");
    int length;

    if (which == 0 && (runtime == NULL || runtime[0] != '/'))
        return -1;
    length = which == 0 ? snprintf(path, PATH_MAX, "%s/vferry", runtime)
                        : snprintf(path, PATH_MAX, "%s/vferry-%u",
                                   temporary != NULL && temporary[0] == '/' ? temporary : "/tmp",
                                   (unsigned)geteuid());
    return length > 0 && length < PATH_MAX ? 0 : -1;
}

/* In a directory that others may write, anybody could lead us to a socket of theirs: it must be a
 * directory, no link, ours, and closed to all others. */
static int open_place(const char *path, struct vf_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "directory of the running hosts: %s", path);
    if (info.st_uid != geteuid() || (info.st_mode & 077) != 0)
        return vf_fail(err, VF_FAILED,
                       "directory of the running hosts: %s is not this user's alone" VF_REMEDY
                       "remove it, or name hosts by --host DIR",
                       path);
    return vf_take_fd(&fd);
}

static int make_place(struct vf_error *err)
{
    char path[PATH_MAX] = "";
    struct vf_error why; /* of the last place */
    int fd = vf_fail(&why, VF_FAILED,
                     "directory of the running hosts: its path is too long" VF_REMEDY
                     "set XDG_RUNTIME_DIR or TMPDIR to a shorter one");

    for (unsigned which = 0; which < PLACES && fd < 0; which++) {
        if (place(which, path) != 0)
            continue;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            (void)vf_fail_errno(&why, VF_FAILED, errno,
                                "directory of the running hosts: make %s" VF_REMEDY
                                "name hosts by --host DIR",
                                path);
        else
            fd = open_place(path, &why);
    }
    if (fd < 0)
        *err = why;
    return fd;
}

static int read_entry(int fd, const char *name, char socket[PATH_MAX])
{
    ssize_t length = readlinkat(fd, name, socket, PATH_MAX - 1);

    if (length <= 0)
        return -1;
    socket[length] = '\0';
    return socket[0] == '/' ? 0 : -1;
}

/* Is somebody listening? A queue that is full is somebody's. */
static bool listens(const char *path)
{
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cleanup_close int dir_fd = -1;
    struct sockaddr_un address;

    return fd >= 0 && vf_socket_address(path, &address, &dir_fd) == 0 &&
           (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
            errno == EAGAIN || errno == EACCES);
}

int registry_enter(const char *name, const char *socket, struct vf_error *err)
{
    cleanup_close int fd = make_place(err);
    char there[PATH_MAX];
    char fresh[VF_NAME_BYTES + 32];

    if (fd < 0)
        return -1;
    if (read_entry(fd, name, there) == 0 && strcmp(there, socket) != 0 && listens(there))
        return vf_fail(err, VF_FAILED,
                       "host %s: another one of this name runs, %s",
                       name, there);
    (void)snprintf(fresh, sizeof fresh, ".%s.%d", name, (int)getpid());
    (void)unlinkat(fd, fresh, 0);
    if (symlinkat(socket, fd, fresh) != 0 || renameat(fd, fresh, fd, name) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "host %s: enter it among the running hosts",
                             name);
    return 0;
}

void registry_leave(const char *name, const char *socket)
{
    for (unsigned which = 0; which < PLACES; which++) {
        char path[PATH_MAX];
        char there[PATH_MAX];
        cleanup_close int fd = place(which, path) == 0 ? open_place(path, NULL) : -1;

        if (fd >= 0 && read_entry(fd, name, there) == 0 && strcmp(there, socket) == 0)
            (void)unlinkat(fd, name, 0);
    }
}

/* Adds one entry, or removes it when nobody is there any more. */
static size_t look_at(int fd, const char *name, struct registry_entry *out)
{
    if (!vf_name_valid(name) || read_entry(fd, name, out->socket) != 0)
        return 0;
    if (!listens(out->socket)) {
        (void)unlinkat(fd, name, 0);
        return 0;
    }
    memcpy(out->name, name, strlen(name) + 1);
    return 1;
}

static int by_name(const void *left, const void *right)
{
    const struct registry_entry *a = left;
    const struct registry_entry *b = right;

    return strcmp(a->name, b->name);
}

size_t registry_list(struct registry_entry *out, size_t capacity)
{
    size_t count = 0;

    for (unsigned which = 0; which < PLACES; which++) {
        char path[PATH_MAX];
        int fd = place(which, path) == 0 ? open_place(path, NULL) : -1;
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *entry;

        if (fd >= 0 && dir == NULL)
            (void)close(fd);
        while (dir != NULL && count < capacity && (entry = readdir(dir)) != NULL)
            count += look_at(dirfd(dir), entry->d_name, &out[count]);
        if (dir != NULL)
            (void)closedir(dir);
    }
    qsort(out, count, sizeof *out, by_name);
    return count;
}
