// SPDX-License-Identifier: Apache-2.0
/* See listener.h. */
#include "daemon/listener.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PEER_BYTES (NI_MAXHOST + NI_MAXSERV + 4)

static void name_peer(const struct sockaddr_storage *address, socklen_t length,
                      char peer[PEER_BYTES])
{
    if (tp_address_format(address, length, peer, PEER_BYTES) != 0)
        (void)snprintf(peer, PEER_BYTES, "a stranger");
}

void listener_open(struct daemon *daemon)
{
    vf_spare_open(&daemon->listen_spare);
    vf_spare_open(&daemon->listen_spare_stream);
}

void listener_close(struct daemon *daemon)
{
    vf_spare_close(&daemon->listen_spare);
    vf_spare_close(&daemon->listen_spare_stream);
}

bool listener_restock(struct daemon *daemon)
{
    const bool whole = vf_spare_restock(&daemon->listen_spare);

    return vf_spare_restock(&daemon->listen_spare_stream) && whole;
}

/* A connection takes more than its own descriptor. */
static bool one_more(void)
{
    cleanup_close int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);

    return probe >= 0;
}

static bool turn_away(struct daemon *daemon, int listen_fd, int errnum)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char peer[PEER_BYTES] = "a stranger";
    int fd;

    if (vf_accept_withdrawn(errnum))
        return true;
    fd = vf_spare_accept(&daemon->listen_spare, listen_fd, errnum, "migration port");
    if (fd < 0)
        return false;
    if (getpeername(fd, (struct sockaddr *)&address, &length) == 0)
        name_peer(&address, length, peer);
    vf_spare_close(&daemon->listen_spare_stream);
    mig_refuse(daemon->mig, fd, peer);
    return true;
}

bool listener_accept(struct daemon *daemon, int listen_fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char peer[PEER_BYTES];
    bool room;
    int fd;

    /* Spares are gone until the one before has been told: then this one waits for its turn. */
    if (!listener_restock(daemon))
        return false;
    fd = accept4(listen_fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    if (fd < 0)
        return turn_away(daemon, listen_fd, errno);
    name_peer(&address, length, peer);
    room = one_more();
    /* With room too: another thread may take what there is before the connection does. */
    vf_spare_close(&daemon->listen_spare_stream);
    if (room) {
        vf_spare_roomy(&daemon->listen_spare, "migration port");
        mig_accept(daemon->mig, fd, peer);
    } else {
        mig_refuse(daemon->mig, fd, peer);
    }
    return true;
}
