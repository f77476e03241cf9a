// SPDX-License-Identifier: Apache-2.0
/* See spare_fd.h. */
#define LOG_ROOM "limits"
#include "base/spare_fd.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

void vf_spare_open(struct vf_spare_fd *spare)
{
    spare->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool vf_spare_restock(struct vf_spare_fd *spare)
{
    if (spare->fd < 0)
        vf_spare_open(spare);
    return spare->fd >= 0;
}

void vf_spare_close(struct vf_spare_fd *spare)
{
    if (spare->fd >= 0)
        (void)close(vf_take_fd(&spare->fd));
}

int vf_spare_accept(struct vf_spare_fd *spare, int listen_fd, int errnum, const char *whose)
{
    int fd = -1;

    if (spare->withdrawn++ == 0)
        log_warn("%s: a connection cannot be served: %s; told again when there is room", whose,
                 strerrordesc_np(errnum));
    if (errnum != EMFILE && errnum != ENFILE)
        return -1;
    if (spare->fd >= 0) {
        (void)close(vf_take_fd(&spare->fd));
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd < 0)
        vf_spare_open(spare);
    return fd;
}

void vf_spare_done(struct vf_spare_fd *spare, int fd)
{
    (void)close(fd);
    vf_spare_open(spare);
}

void vf_spare_roomy(struct vf_spare_fd *spare, const char *whose)
{
    if (spare->withdrawn > 0)
        log_warn("%s: connections are served again; %" PRIu64 " could not be", whose,
                 spare->withdrawn);
    spare->withdrawn = 0;
    (void)vf_spare_restock(spare);
}
