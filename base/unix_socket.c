// SPDX-License-Identifier: Apache-2.0
/* See unix_socket.h. */
#include "base/unix_socket.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>

int vf_socket_address(const char *path, struct sockaddr_un *address, int *dir_fd)
{
    const size_t length = strlen(path);
    char directory[PATH_MAX];
    char file[PATH_MAX];
    int written;

    *dir_fd = -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    if (length < sizeof address->sun_path) {
        memcpy(address->sun_path, path, length + 1);
        return 0;
    }
    memcpy(directory, path, length + 1);
    memcpy(file, path, length + 1);
    *dir_fd = open(dirname(directory), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return -errno;
    written = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *dir_fd,
                       basename(file));
    if (written > 0 && (size_t)written < sizeof address->sun_path)
        return 0;
    (void)close(vf_take_fd(dir_fd));
    return -ENAMETOOLONG;
}

int vf_socket_listen(const char *what, const char *path, int type, int backlog, int *fd,
                     struct vf_error *err)
{
    struct sockaddr_un address;
    cleanup_close int dir_fd = -1;
    int failed = vf_socket_address(path, &address, &dir_fd);

    *fd = -1;
    if (failed != 0)
        return vf_fail_errno(err, VF_FAILED, -failed, "%s %s", what, path);
    *fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a socket");
    if (unlink(path) != 0 && errno != ENOENT)
        return vf_fail_errno(err, VF_FAILED, errno, "remove the stale %s", path);
    /* The file gets its mode with bind: no moment in which others could connect. */
    if (fchmod(*fd, 0600) != 0 ||
        bind(*fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(*fd, backlog) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "listen on %s", path);
    return 0;
}

bool vf_socket_peer(int fd, struct ucred *peer)
{
    socklen_t bytes = sizeof *peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &bytes) == 0;
}

bool vf_socket_own_user(const struct ucred *peer)
{
    return peer->uid == geteuid() || peer->uid == 0;
}

void vf_fd_attach(struct msghdr *message, union vf_fd_room *room, int fd)
{
    struct cmsghdr *header;

    memset(room, 0, sizeof *room);
    message->msg_control = room;
    message->msg_controllen = sizeof room->space;
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

int vf_fd_take(struct msghdr *message)
{
    int fd = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        size_t count = c->cmsg_len >= CMSG_LEN(0) ? (c->cmsg_len - CMSG_LEN(0)) / sizeof fd : 0;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            if (fd >= 0)
                (void)close(fd);
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        }
    }
    return fd < 0 && (message->msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : fd;
}
