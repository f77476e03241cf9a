// SPDX-License-Identifier: Apache-2.0
/* See glance.h. */
#include "cli/host/glance.h"

#include "base/cleanup.h"
#include "base/unix_socket.h"
#include "cli/host/find.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int glance_open(struct glance *glance, const char *host, struct vf_error *err)
{
    struct sockaddr_un address;
    char place[PATH_MAX];
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    int failed;

    *glance = (struct glance)GLANCE_INIT;
    if (find_host(host, place, err) != 0)
        return -1;
    failed = vf_socket_address(place, &address, &dir_fd);
    if (failed != 0)
        return vf_fail_errno(err, VF_UNREACHABLE, -failed, "connect");
    /* Not blocking: a daemon that stands has a full queue one day. */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "make a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return vf_fail_errno(err, VF_UNREACHABLE, errno, "connect");
    glance->fd = vf_take_fd(&fd);
    ctl_reader_init(&glance->reader, glance->fd, CTL_MAX_REPLY);
    return 0;
}

void glance_close(struct glance *glance)
{
    if (glance->fd >= 0) {
        ctl_reader_fini(&glance->reader);
        (void)close(glance->fd);
    }
    glance->fd = -1;
}

int glance_ask(struct glance *glance, const char *verb, struct vf_error *err)
{
    json_t *request = json_pack("{s:s, s:{}}", "verb", verb, "args");
    int sent = request == NULL ? -ENOMEM : ctl_send(glance->fd, request, -1, 0);

    json_decref(request);
    return sent == 0 ? 0 : vf_fail_errno(err, VF_UNREACHABLE, -sent, "vferryd takes no request");
}

static int understand(const char *line, size_t bytes, json_t **result, struct vf_error *err)
{
    json_t *reply = json_loadb(line, bytes, 0, NULL);
    const char *refusal =
        json_string_value(json_object_get(json_object_get(reply, "error"), "text"));

    *result = json_incref(json_object_get(reply, "result"));
    json_decref(reply);
    if (*result != NULL)
        return 1;
    return vf_fail(err, VF_FAILED, "%s", refusal != NULL ? refusal : "vferryd gives no answer");
}

int glance_answer(struct glance *glance, int timeout_ms, json_t **result, struct vf_error *err)
{
    char *line;
    size_t bytes;

    *result = NULL;
    switch (ctl_read_line(&glance->reader, &line, &bytes, timeout_ms)) {
    case CTL_LINE:
        return understand(line, bytes, result, err);
    case CTL_TIMEOUT:
        return 0;
    case CTL_END:
        return vf_fail(err, VF_UNREACHABLE, "vferryd has closed the connection");
    case CTL_TOO_LONG:
    case CTL_BROKEN:
    default:
        return vf_fail(err, VF_UNREACHABLE, "vferryd cannot be read");
    }
}
