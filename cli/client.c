// SPDX-License-Identifier: Apache-2.0
/* See client.h. */
#include "cli/client.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int client_open(struct client *client, const char *host, struct vf_error *err)
{
    struct sockaddr_un address;
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    int failed;

    *client = (struct client)CLIENT_INIT;
    if (host == NULL || host[0] == '\0')
        return vf_fail(err, VF_USAGE,
                       "which host? give --host DIR/control.sock or set VFERRY_HOST");
    failed = ctl_address(host, &address, &dir_fd);
    if (failed != 0)
        return vf_fail_errno(err, VF_UNREACHABLE, -failed, "host %s", host);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        const char *remedy = errno == EACCES || errno == EPERM ? "use the user that vferryd runs as"
                                                               : "is vferryd running there?";

        return vf_fail(err, VF_UNREACHABLE, "host %s: %s; %s", host, strerrordesc_np(errno),
                       remedy);
    }
    client->fd = vf_take_fd(&fd);
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

int client_send(struct client *client, const char *verb, json_t *args, int file,
                struct vf_error *err)
{
    json_t *request = json_pack("{s:s, s:O}", "verb", verb, "args", args);
    int sent = request == NULL ? -ENOMEM : ctl_send(client->fd, request, file, CTL_SEND_MS);

    json_decref(request);
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

enum client_reply client_next(struct client *client, int timeout_ms, json_t **object,
                              struct vf_error *err)
{
    enum client_reply kind;
    json_t *reply;
    char *line;
    size_t bytes;

    *object = NULL;
    switch (ctl_read_line(&client->reader, &line, &bytes, timeout_ms)) {
    case CTL_LINE:
        break;
    case CTL_TIMEOUT:
        return CLIENT_NOTHING;
    case CTL_END:
        return lost(err, "has closed the connection before it answered, and may have done what was "
                         "asked");
    case CTL_TOO_LONG:
        return lost(err, "sends a line that is too long");
    case CTL_BROKEN:
    default:
        return lost(err, "cannot be read");
    }
    reply = json_loadb(line, bytes, 0, NULL);
    if (reply == NULL)
        return lost(err, "answers what is no JSON");
    kind = understand(reply, object, err);
    json_decref(reply);
    return kind;
}

int client_ask(const char *host, const char *verb, json_t *args, int file, json_t **result,
               struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    enum client_reply kind = CLIENT_LOST;

    *result = NULL;
    if (client_open(&client, host, err) == 0 && client_send(&client, verb, args, file, err) == 0) {
        while ((kind = client_next(&client, -1, result, err)) == CLIENT_PROGRESS)
            json_decref(*result);
    }
    client_close(&client);
    return kind == CLIENT_RESULT ? 0 : -1;
}
