// SPDX-License-Identifier: Apache-2.0
/* Two streams that are each other's other end. */
#ifndef TRANSPORT_TESTS_PIPE_H
#define TRANSPORT_TESTS_PIPE_H

#include "transport/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* The caller closes both; -1 = there is none. */
static inline int tp_pipe(struct tp *ends[2], struct vf_error *err)
{
    int fds[2];

    ends[0] = ends[1] = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "no socket pair");
    if (tp_from_fd(fds[0], "pipe:0", &ends[0], err) != 0) {
        (void)close(fds[1]);
        return -1;
    }
    if (tp_from_fd(fds[1], "pipe:1", &ends[1], err) != 0) {
        tp_close(ends[0]);
        ends[0] = NULL;
        return -1;
    }
    return 0;
}

#endif
