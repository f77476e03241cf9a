// SPDX-License-Identifier: Apache-2.0
/* See client.h. */
#include "cli/host/client.h"

#include "base/cleanup.h"
#include "base/unix_socket.h"
#include "cli/host/find.h"
#include "cli/host/interrupt.h"
#include "cli/output/plain_json.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_MS 200 /* how long one try to connect may stand in a full queue */
#define PROBE_MS 3000
#define LOOK_MS 50 /* how often it is looked for a host that comes up */

static int make_socket(struct vf_error *err)
{
    const struct timeval wait = {.tv_usec = CONNECT_MS * 1000};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* It bounds connect(), which else waits for a place in the queue without end. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a socket");
    return vf_take_fd(&fd);
}

static bool interrupted(const struct client *client)
{
    struct pollfd look = {.fd = client->interrupt_fd, .events = POLLIN};

    return client->interrupt_fd >= 0 && poll(&look, 1, 0) > 0;
}

/* What became of a try to connect. */
enum dialled { DIALLED, DIALLED_NOBODY, DIALLED_FAILED };

static enum dialled connect_to(struct client *client, int fd, struct vf_error *err)
{
    struct patience *patience = &client->patience;
    cleanup_close int dir_fd = -1;
    struct sockaddr_un address;
    int failed = -vf_socket_address(patience->host, &address, &dir_fd);

    while (failed == 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        failed = errno == EAGAIN || errno == EINTR ? 0 : errno;
        if (failed != 0)
            break;
        /* Its queue is full. */
        if (interrupted(client)) {
            (void)patience_given_up(patience, err);
            return DIALLED_FAILED;
        }
        if (patience_check(patience, err) != 0)
            return DIALLED_FAILED;
    }
    if (failed == 0)
        return DIALLED;
    (void)vf_fail(err, VF_UNREACHABLE, "host %s: %s" VF_REMEDY "%s", patience->host,
                  strerrordesc_np(failed),
                  failed == EACCES || failed == EPERM ? "use the user that vferryd runs as"
                                                      : "is vferryd running there?");
    return failed == ENOENT || failed == ECONNREFUSED ? DIALLED_NOBODY : DIALLED_FAILED;
}

static pid_t peer_of(int fd)
{
    struct ucred peer;

    return vf_socket_peer(fd, &peer) ? peer.pid : 0;
}

/* One try: DIALLED_NOBODY when nobody is there, who may come. */
static enum dialled dial(struct client *client, const char *host, struct vf_error *err)
{
    cleanup_close int fd = -1;
    enum dialled dialled;

    if (find_host(host, client->patience.host, err) != 0)
        return err->code == VF_UNREACHABLE ? DIALLED_NOBODY : DIALLED_FAILED;
    fd = make_socket(err);
    if (fd < 0)
        return DIALLED_FAILED;
    dialled = connect_to(client, fd, err);
    if (dialled == DIALLED)
        client->fd = vf_take_fd(&fd);
    return dialled;
}

int client_open(struct client *client, const struct command *command, const struct cli_verb *verb,
                struct vf_error *err)
{
    struct host_wait wait = {.limit_ns = command->timeout_ns};
    enum dialled dialled;

    client->verbatim = command->json;
    patience_begin(&client->patience, command, verb);
    while ((dialled = dial(client, command->host, err)) == DIALLED_NOBODY) {
        struct pollfd look = {.fd = client->interrupt_fd, .events = POLLIN};

        if (!host_may_come(&wait, command->host, client->patience.host, err))
            return -1;
        if (poll(&look, 1, LOOK_MS) > 0)
            return patience_given_up(&client->patience, err);
        patience_begin(&client->patience, command, verb);
    }
    if (dialled != DIALLED)
        return -1;
    client->patience.pid = peer_of(client->fd);
    ctl_reader_init(&client->reader, client->fd, CTL_MAX_REPLY);
    return 0;
}

void client_close(struct client *client)
{
    if (client->fd >= 0) {
        ctl_reader_fini(&client->reader);
        (void)close(client->fd);
    }
    client->fd = -1;
}

int client_send(struct client *client, json_t *args, int file, struct vf_error *err)
{
    json_t *request = json_pack("{s:s, s:O, s:b}", "verb", client->patience.verb->words, "args",
                                args, "alive", 1);
    int sent = request == NULL ? -ENOMEM : ctl_send(client->fd, request, file, CTL_SEND_MS);

    json_decref(request);
    client->patience.asked = true;
    /* A daemon that refuses a connection says why and hangs up: its line is still there to read. */
    if (sent == 0 || sent == -EPIPE || sent == -ECONNRESET)
        return 0;
    return vf_fail_errno(err, sent == -ENOMEM ? VF_FAILED : VF_UNREACHABLE, -sent,
                         "vferryd takes no request");
}

static enum client_reply lost(struct vf_error *err, const char *why)
{
    (void)vf_fail(err, VF_UNREACHABLE, "vferryd %s" VF_REMEDY "see whether it still runs", why);
    return CLIENT_LOST;
}

static enum client_reply understand(json_t *reply, json_t **object, struct vf_error *err)
{
    json_t *error = json_object_get(reply, "error");
    json_t *progress = json_object_get(reply, "progress");
    json_t *result = json_object_get(reply, "result");

    *object = json_incref(progress != NULL ? progress : result);
    if (error != NULL) {
        json_int_t code = json_integer_value(json_object_get(error, "code"));
        const char *text = json_string_value(json_object_get(error, "text"));

        (void)vf_fail(err, vf_code_from(code), "%s", text != NULL ? text : "failed");
        vf_remedy_is(err, json_string_value(json_object_get(error, "remedy")));
        return CLIENT_ERROR;
    }
    if (*object == NULL)
        return lost(err, "answers what is no reply");
    return progress != NULL ? CLIENT_PROGRESS : CLIENT_RESULT;
}

/* A line that is there: true when it was a reply, false when it was a sign of life. */
static bool take_line(struct client *client, const char *line, size_t bytes,
                      enum client_reply *kind, json_t **object, struct vf_error *err)
{
    json_t *reply = json_loadb(line, bytes, 0, NULL);
    const json_t *alive = json_object_get(reply, "alive");

    if (alive != NULL) {
        patience_alive(&client->patience, json_string_value(json_object_get(alive, "stuck")),
                       json_string_value(json_object_get(alive, "waits")));
        json_decref(reply);
        return false;
    }
    patience_heard(&client->patience);
    *kind = reply != NULL ? understand(reply, object, err) : lost(err, "answers what is no JSON");
    if (!client->verbatim)
        plain_json(*object);
    json_decref(reply);
    return true;
}

enum client_reply client_poll(struct client *client, json_t **object, struct vf_error *err)
{
    enum client_reply kind = CLIENT_LOST;
    char *line;
    size_t bytes;

    *object = NULL;
    for (;;) {
        switch (ctl_read_line(&client->reader, &line, &bytes, 0)) {
        case CTL_LINE:
            if (take_line(client, line, bytes, &kind, object, err))
                return kind;
            continue;
        case CTL_TIMEOUT:
            return CLIENT_NOTHING;
        case CTL_END:
            return lost(err, "has closed the connection before it answered, and may have done what "
                             "was asked");
        case CTL_TOO_LONG:
            return lost(err, "sends a line that is too long");
        case CTL_BROKEN:
        default:
            return lost(err, "cannot be read");
        }
    }
}

/* Does the vferryd there answer at all? Every build answers a verb that it does not know. */
static bool answers(const char *host)
{
    json_t *ping = json_pack("{s:s}", "verb", "ping");
    struct ctl_reader reader;
    struct sockaddr_un address;
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    bool answered = false;
    size_t bytes;
    char *line;

    if (ping != NULL && vf_socket_address(host, &address, &dir_fd) == 0 &&
        (fd = make_socket(NULL)) >= 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        ctl_send(fd, ping, -1, PROBE_MS) == 0) {
        ctl_reader_init(&reader, fd, CTL_MAX_REPLY);
        answered = ctl_read_line(&reader, &line, &bytes, PROBE_MS) == CTL_LINE;
        ctl_reader_fini(&reader);
    }
    json_decref(ping);
    return answered;
}

int client_ms(const struct client *client)
{
    return patience_ms(&client->patience);
}

int client_overdue(struct client *client, struct vf_error *err)
{
    if (patience_doubts(&client->patience) && answers(client->patience.host))
        client->patience.limit_ns = 0; /* an older build at work: it gives no signs of life */
    return patience_check(&client->patience, err);
}

/* Until something can be read. */
static int await(struct client *client, struct vf_error *err)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = client->fd, .events = POLLIN},
                               {.fd = client->interrupt_fd, .events = POLLIN}};

        if (poll(fds, 2, client_ms(client)) < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "poll");
        if (fds[1].revents != 0)
            return patience_given_up(&client->patience, err);
        if (fds[0].revents != 0)
            return 0;
        if (client_overdue(client, err) != 0)
            return -1;
    }
}

enum client_reply client_next(struct client *client, json_t **object, struct vf_error *err)
{
    enum client_reply reply;

    while ((reply = client_poll(client, object, err)) == CLIENT_NOTHING) {
        if (await(client, err) != 0)
            return CLIENT_LOST;
    }
    return reply;
}

int client_ask(const struct command *command, int file, json_t **result, struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    cleanup_close int interrupt_fd = -1;
    enum client_reply reply = CLIENT_LOST;

    *result = NULL;
    /* What only shows ends by Ctrl-C as anything does. */
    if (!command->verb->shows && interrupt_take(&interrupt_fd, err) != 0)
        return -1;
    client.interrupt_fd = interrupt_fd;
    if (client_open(&client, command, command->verb, err) == 0 &&
        client_send(&client, command->args, file, err) == 0) {
        while ((reply = client_next(&client, result, err)) == CLIENT_PROGRESS)
            json_decref(*result);
    }
    client_close(&client);
    return reply == CLIENT_RESULT ? 0 : -1;
}

int client_ask_verb(const struct command *command, const char *verb, json_t *args, json_t **result,
                    struct vf_error *err)
{
    struct command other = *command;

    other.verb = cli_verb_named(verb);
    other.args = args;
    return client_ask(&other, -1, result, err);
}
