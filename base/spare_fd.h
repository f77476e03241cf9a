// SPDX-License-Identifier: Apache-2.0
/*
 * A descriptor kept back, to take a connection with when no other is left: whoever connects hears
 * why it is not served, instead of waiting for ever. One thread at a time.
 */
#ifndef VF_BASE_SPARE_FD_H
#define VF_BASE_SPARE_FD_H

#include <stdbool.h>
#include <stdint.h>

struct vf_spare_fd {
    int fd;             /* -1 = none: another thread was faster to take it */
    uint64_t withdrawn; /* connections that could not be served since the log said so */
};

void vf_spare_open(struct vf_spare_fd *spare);
/* Opens it again if it is gone; true = it is there. */
bool vf_spare_restock(struct vf_spare_fd *spare);
void vf_spare_close(struct vf_spare_fd *spare);

/*
 * After an accept on `listen_fd` that failed with `errnum` for want of room. Says so in the log,
 * once until vf_spare_roomy. The connection, to be told why and given to vf_spare_done; or -1: it
 * stays in the queue, which is not to be looked at for VF_ACCEPT_PAUSE_MS. `whose` names the socket
 * in the log.
 */
int vf_spare_accept(struct vf_spare_fd *spare, int listen_fd, int errnum, const char *whose);
void vf_spare_done(struct vf_spare_fd *spare, int fd);

/* An accept succeeded: says how many could not be served, if any. */
void vf_spare_roomy(struct vf_spare_fd *spare, const char *whose);

#endif
