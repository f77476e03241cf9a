// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets in the file system, and descriptors that pass over them: for both lines between
 * processes, the control protocol (vferry to vferryd) and the kernel's calls (vferryd to
 * vferry-kernel). Any thread; no function keeps anything.
 */
#ifndef VF_BASE_UNIX_SOCKET_H
#define VF_BASE_UNIX_SOCKET_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Address of a socket file. A path that is too long for sockaddr_un goes through *dir_fd (else -1),
 * which the caller keeps open over bind or connect, and closes. 0 or a negative errno. */
int vf_socket_address(const char *path, struct sockaddr_un *address, int *dir_fd);

/* Makes a socket of that type (SOCK_STREAM, SOCK_SEQPACKET) listen at `path`, for this user only;
 * it does not block. A file that lies there already is removed: the caller holds the lock of the
 * directory, so whoever made it is dead. `what` is how an error names it. *fd is the caller's to
 * close, also after -1 (then -1 where there is none). */
int vf_socket_listen(const char *what, const char *path, int type, int backlog, int *fd,
                     struct vf_error *err);

/* Who connected; false = that is not known. */
bool vf_socket_peer(int fd, struct ucred *peer);
/* Is it this program's own user, or root? */
bool vf_socket_own_user(const struct ucred *peer);

/* Room for one descriptor beside a message. */
union vf_fd_room {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

/* sendmsg will pass `fd` along with the message; `room` lives until then. */
void vf_fd_attach(struct msghdr *message, union vf_fd_room *room, int fd);
/* After recvmsg: the newest descriptor that came along, the caller's to close; others are closed.
 * -1 = none did; -EMFILE = this process had none left to take it with. */
int vf_fd_take(struct msghdr *message);

#endif
