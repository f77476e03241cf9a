// SPDX-License-Identifier: Apache-2.0
/* What the server's threads tell each other: events, when it may end, whose client has gone.
 * See server_impl.h. */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/log.h"
#include "base/thread.h"

#include <poll.h>
#include <sys/eventfd.h>

void ks_event(void *server, const char *kind, const char *text)
{
    ks_events_add(&((struct ks_server *)server)->events, kind, text);
}

void ks_wake(struct ks_server *server)
{
    /* Fails only when the counter is full, and then the thread is awake anyway. */
    (void)eventfd_write(server->wake_fd, 1);
}

size_t ks_partition_count(struct ks_server *server)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info none;
    size_t count = 0;

    if (dxgk_partition_list(server->dxgk, &none, 0, &count, &err) != 0) {
        log_error("cannot count the partitions: %s", err.text);
        return SIZE_MAX;
    }
    return count;
}

bool ks_begin_end(struct ks_server *server, bool force, size_t *partitions)
{
    bool may;

    vf_lock(&server->lock);
    *partitions = ks_partition_count(server);
    may = force || (*partitions == 0 && server->creating == 0);
    if (may)
        server->ending = true;
    vf_unlock(&server->lock);
    return may;
}

bool ks_create_begin(struct ks_server *server)
{
    bool may;

    vf_lock(&server->lock);
    may = !server->ending;
    if (may)
        server->creating++;
    vf_unlock(&server->lock);
    return may;
}

void ks_create_end(struct ks_server *server)
{
    vf_lock(&server->lock);
    server->creating--;
    vf_unlock(&server->lock);
}

void ks_stop(struct ks_server *server)
{
    vf_lock(&server->lock);
    server->stop = true;
    server->ending = true;
    vf_unlock(&server->lock);
    ks_wake(server);
}

bool ks_peer_hung_up(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};

    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

void ks_await_abandoned_channels(struct ks_server *server, uint64_t id)
{
    bool again = id != 0; /* 0 is what connections have that are no channels */

    vf_lock(&server->lock);
    while (again) {
        again = false;
        for (struct ks_conn *conn = server->conns; conn != NULL; conn = conn->next) {
            if (conn->channel_of == id && ks_peer_hung_up(conn->fd))
                again = true;
        }
        if (again)
            vf_cond_wait(&server->changed, &server->lock);
    }
    vf_unlock(&server->lock);
}
