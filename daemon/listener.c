// SPDX-License-Identifier: Apache-2.0
/* See listener.h. */
#define LOG_ROOM "listener"
#include "daemon/listener.h"

#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* "10.0.0.2:4711", "[::1]:4711". */
static void name_peer(const struct sockaddr *address, socklen_t length, char *text, size_t bytes)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getnameinfo(address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        (void)snprintf(text, bytes, "a stranger");
    else
        (void)snprintf(text, bytes, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                       port);
}

/* False: it waits. Another host that gets no answer tries again. */
static bool accept_failed(int errnum)
{
    if (vf_accept_withdrawn(errnum))
        return true;
    log_warn("a connection has to wait: %s", strerrordesc_np(errnum));
    return false;
}

bool listener_accept(struct daemon *daemon, int listen_fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char peer[NI_MAXHOST + NI_MAXSERV + 4];
    int fd = accept4(listen_fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);

    if (fd < 0)
        return accept_failed(errno);
    name_peer((const struct sockaddr *)&address, length, peer, sizeof peer);
    mig_accept(daemon->mig, fd, peer);
    return true;
}
