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

/* Opens the spare descriptor, and closes it. Without a free one, vf_spare_open leaves none. */
void vf_spare_open(struct vf_spare_fd *spare);
/* Opens it again if it is gone; true = it is there. */
bool vf_spare_restock(struct vf_spare_fd *spare);
void vf_spare_close(struct vf_spare_fd *spare);

/*
 * To call after an accept on `listen_fd` failed with `errnum` for want of room. Accepts the
 * connection by means of the spare descriptor, and says in the log that there was no room (once
 * until vf_spare_roomy; `whose` names the socket there). Returns the connection, which the caller
 * tells why it is not served and gives to vf_spare_done; or -1: it stays in the queue, which the
 * caller must not look at for VF_ACCEPT_PAUSE_MS.
 */
int vf_spare_accept(struct vf_spare_fd *spare, int listen_fd, int errnum, const char *whose);
/* Closes that connection, and keeps its descriptor back for the next one. */
void vf_spare_done(struct vf_spare_fd *spare, int fd);

/* An accept succeeded: says how many could not be served, if any. */
void vf_spare_roomy(struct vf_spare_fd *spare, const char *whose);

#endif
