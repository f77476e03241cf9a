// SPDX-License-Identifier: Apache-2.0
/* TCP addresses: taking "HOST:PORT" apart, connecting within a deadline, listening, and what counts
 * as loopback. */
#include "transport/transport.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/plain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 64

struct endpoint {
    char host[NI_MAXHOST];
    char port[8];
};

static int bad_address(const char *address, const char *why, struct vf_error *err)
{
    return vf_fail(err, VF_USAGE, "address '%s': %s" VF_REMEDY "write HOST:PORT or [V6]:PORT",
                   VF_SHOWN(address), why);
}

/* Plain decimal: what else a number may look like is a slip of the hand in a port. */
static bool parse_port(const char *text, bool any, unsigned *port)
{
    const size_t digits = strspn(text, "0123456789");

    *port = 0;
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        *port = *port * 10u + (unsigned)(text[i] - '0');
    return *port <= 65535 && (any || *port != 0);
}

/* The colon before the port, NULL with *why. */
static const char *find_port(const char *address, const char **why)
{
    const char *colon = strrchr(address, ':');
    const char *bracket = address[0] == '[' ? strchr(address, ']') : NULL;

    *why = "no port";
    if (bracket != NULL)
        return bracket[1] == ':' ? bracket + 1 : NULL;
    if (colon != NULL && memchr(address, ':', (size_t)(colon - address)) != NULL) {
        *why = "an IPv6 address needs brackets";
        return NULL;
    }
    return colon;
}

/* `any`: port 0 is one too, as to listen. */
static int split(const char *address, bool any, struct endpoint *out, struct vf_error *err)
{
    const char *why;
    const char *colon = find_port(address, &why);
    const char *host = address;
    size_t length;
    unsigned port;

    if (colon == NULL)
        return bad_address(address, why, err);
    length = (size_t)(colon - address);
    if (address[0] == '[') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof out->host)
        return bad_address(address, length == 0 ? "no host" : "the host is too long", err);
    if (!parse_port(colon + 1, any, &port))
        return bad_address(address,
                           any ? "the port is no decimal number from 0 to 65535"
                               : "the port is no decimal number from 1 to 65535",
                           err);
    memcpy(out->host, host, length);
    out->host[length] = '\0';
    (void)snprintf(out->port, sizeof out->port, "%u", port);
    return 0;
}

int tp_address_host(const char *address, char host[TP_NAME_BYTES], struct vf_error *err)
{
    struct endpoint endpoint;

    if (split(address, false, &endpoint, err) != 0)
        return -1;
    if (strlen(endpoint.host) >= TP_NAME_BYTES)
        return bad_address(address, "the host is too long", err);
    memcpy(host, endpoint.host, strlen(endpoint.host) + 1);
    return 0;
}

static void cleanup_addresses(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
}

static int resolve(const char *address, bool passive, struct addrinfo **list, struct vf_error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0),
    };
    struct endpoint endpoint;
    int rc;

    *list = NULL;
    if (split(address, passive, &endpoint, err) != 0)
        return -1;
    rc = getaddrinfo(endpoint.host, endpoint.port, &hints, list);
    if (rc == EAI_SYSTEM)
        return vf_fail_errno(err, VF_FAILED, errno, "address '%s'", VF_SHOWN(address));
    if (rc != 0)
        return vf_fail(err, VF_FAILED,
                       "address '%s': %s" VF_REMEDY
                       "give a name that this host can resolve, or a numeric address",
                       VF_SHOWN(address), gai_strerror(rc));
    return 0;
}

/* Waits for a connect() under way; 0 or an errno value. */
static int wait_connected(int fd, uint64_t deadline_ns)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t bytes = sizeof error;

    for (;;) {
        const uint64_t now = vf_now_ns();
        const uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000u),
                                         .tv_nsec = (long)(left % 1000000000u)};
        const int n = ppoll(&pollfd, 1, deadline_ns == TP_NEVER ? NULL : &timeout, NULL);

        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0 && left == 0)
            return ETIMEDOUT;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? error : errno;
}

/* With nobody listening, a local port of the ephemeral range can be connected to itself
 * (simultaneous open). */
static bool connected_to_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_bytes = sizeof here, there_bytes = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_bytes) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_bytes) == 0 &&
           here_bytes == there_bytes && memcmp(&here, &there, here_bytes) == 0;
}

/* A connected socket, or -errno. */
static int connect_one(const struct addrinfo *address, uint64_t deadline_ns)
{
    cleanup_close int fd =
        socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        error = errno == EINPROGRESS || errno == EINTR ? wait_connected(fd, deadline_ns) : errno;
    if (error == 0 && connected_to_itself(fd))
        error = ECONNREFUSED;
    return error != 0 ? -error : vf_take_fd(&fd);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;

        return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) && in->sin6_addr.s6_addr[12] == 127);
    }
    return false;
}

/* Only if every address behind the name is: a guard must not be lax. */
static bool all_loopback(const struct addrinfo *list)
{
    bool all = true;

    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        all = all && is_loopback(at->ai_addr);
    return all;
}

/* Where to connect to, if it may be tried at all. */
static int resolve_peer(const char *address, bool loopback, struct addrinfo **list,
                        struct vf_error *err)
{
    if (resolve(address, false, list, err) != 0)
        return -1;
    if (!loopback || all_loopback(*list))
        return 0;
    return vf_fail(err, VF_FAILED,
                   "peer %s: is beyond loopback, where plain TCP is refused: anybody on the way "
                   "could read and change the partition" VF_REMEDY
                   "give both hosts certificates (--tls-cert, --tls-key, --tls-ca) or say "
                   "--insecure",
                   address);
}

int tp_tcp_may_try(const char *address, bool loopback, struct vf_error *err)
{
    __attribute__((cleanup(cleanup_addresses))) struct addrinfo *list = NULL;

    return resolve_peer(address, loopback, &list, err);
}

static int tcp_connect(const char *address, bool loopback, uint64_t deadline_ns, struct tp **out,
                       struct vf_error *err)
{
    __attribute__((cleanup(cleanup_addresses))) struct addrinfo *list = NULL;
    int fd = -ECONNREFUSED;

    *out = NULL;
    if (resolve_peer(address, loopback, &list, err) != 0)
        return -1;
    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next)
        fd = connect_one(at, deadline_ns);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, -fd,
                             "peer %s: cannot connect (is vferryd listening there?)", address);
    return tp_from_fd(fd, address, out, err);
}

int tp_tcp_connect(const char *address, uint64_t deadline_ns, struct tp **out, struct vf_error *err)
{
    return tcp_connect(address, false, deadline_ns, out, err);
}

int tp_tcp_connect_loopback(const char *address, uint64_t deadline_ns, struct tp **out,
                            struct vf_error *err)
{
    return tcp_connect(address, true, deadline_ns, out, err);
}

int tp_address_format(const struct sockaddr_storage *address, socklen_t length, char *text,
                      size_t bytes)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    int n;

    if (getnameinfo((const struct sockaddr *)address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return EADDRNOTAVAIL;
    n = snprintf(text, bytes, address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return n < 0 || (size_t)n >= bytes ? ENAMETOOLONG : 0;
}

static int format_bound(int fd, char *bound, size_t bound_bytes)
{
    struct sockaddr_storage address = {0};
    socklen_t bytes = sizeof address;

    return getsockname(fd, (struct sockaddr *)&address, &bytes) != 0
               ? errno
               : tp_address_format(&address, bytes, bound, bound_bytes);
}

int tp_tcp_listen(const char *address, int *fd, char *bound, size_t bound_bytes,
                  struct vf_error *err)
{
    __attribute__((cleanup(cleanup_addresses))) struct addrinfo *list = NULL;
    int error = EADDRNOTAVAIL;

    *fd = -1;
    if (resolve(address, true, &list, err) != 0)
        return -1;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        cleanup_close int one =
            socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const int on = 1;

        if (one < 0 || setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
            bind(one, at->ai_addr, at->ai_addrlen) != 0 || listen(one, BACKLOG) != 0) {
            error = errno;
            continue;
        }
        error = format_bound(one, bound, bound_bytes);
        if (error == 0) {
            *fd = vf_take_fd(&one);
            return 0;
        }
    }
    return vf_fail_errno(err, VF_FAILED, error, "cannot listen on %s", address);
}

int tp_is_loopback(const char *address, bool *loopback, struct vf_error *err)
{
    __attribute__((cleanup(cleanup_addresses))) struct addrinfo *list = NULL;

    if (resolve(address, true, &list, err) != 0)
        return -1;
    *loopback = all_loopback(list);
    return 0;
}

static bool peer_address(const struct tp *tp, struct sockaddr_storage *out)
{
    socklen_t bytes = sizeof *out;

    memset(out, 0, sizeof *out);
    return getpeername(tp_fd(tp), (struct sockaddr *)out, &bytes) == 0;
}

bool tp_peer_is_loopback(const struct tp *tp)
{
    struct sockaddr_storage address;

    return peer_address(tp, &address) &&
           (address.ss_family == AF_UNIX || is_loopback((const struct sockaddr *)&address));
}

void tp_peer_listens(const struct tp *tp, const char *listen, char *out, size_t bytes)
{
    const bool any = strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
    struct sockaddr_storage address;
    char host[NI_MAXHOST];

    (void)snprintf(out, bytes, "%s", listen);
    if (!any || !peer_address(tp, &address) || address.ss_family == AF_UNIX ||
        getnameinfo((const struct sockaddr *)&address, sizeof address, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return;
    (void)snprintf(out, bytes, strchr(host, ':') != NULL ? "[%s]%s" : "%s%s", host,
                   strrchr(listen, ':'));
}

uint64_t tp_peer_network(const struct tp *tp)
{
    struct sockaddr_storage address;
    uint64_t network = 0;

    if (!peer_address(tp, &address))
        return 0;
    if (address.ss_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)&address)->sin_addr.s_addr;
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address;
        const uint8_t *bytes = in6->sin6_addr.s6_addr;

        memcpy(&network, IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? bytes + 8 : bytes, 8);
    }
    return network;
}
