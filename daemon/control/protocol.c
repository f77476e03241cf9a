// SPDX-License-Identifier: Apache-2.0
/* Lines of JSON over a UNIX socket. See protocol.h. */
#include "daemon/control/protocol.h"

#include "base/cleanup.h"
#include "base/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define CHUNK 4096u

void ctl_reader_init(struct ctl_reader *reader, int fd, size_t max)
{
    *reader = (struct ctl_reader){.fd = fd, .max = max, .passed_fd = -1};
}

void ctl_reader_fini(struct ctl_reader *reader)
{
    if (reader->passed_fd >= 0)
        (void)close(reader->passed_fd);
    free(reader->data);
    *reader = (struct ctl_reader){.fd = -1, .passed_fd = -1};
}

/* Keeps the newest of the descriptors that came, and closes the one before. */
static void take_descriptor(struct ctl_reader *reader, struct msghdr *message)
{
    int fd = vf_fd_take(message);

    if (fd == -1 || (fd == CTL_FILE_LOST && reader->passed_fd >= 0))
        return;
    if (reader->passed_fd >= 0)
        (void)close(reader->passed_fd);
    reader->passed_fd = fd;
}

/* Room for at least one more byte, never more than a line and a chunk. */
static bool make_room(struct ctl_reader *reader)
{
    size_t wanted;
    char *data;

    if (reader->start > 0) {
        memmove(reader->data, reader->data + reader->start, reader->have);
        reader->start = 0;
    }
    if (reader->have < reader->capacity)
        return true;
    wanted = reader->capacity == 0 ? CHUNK : reader->capacity * 2;
    if (wanted > reader->max)
        wanted = reader->max;
    data = realloc(reader->data, wanted);
    if (data == NULL)
        return false;
    reader->data = data;
    reader->capacity = wanted;
    return true;
}

static enum ctl_read receive_more(struct ctl_reader *reader, int timeout_ms)
{
    struct pollfd wait = {.fd = reader->fd, .events = POLLIN};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec part = {reader->data + reader->have, reader->capacity - reader->have};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int ready;
    ssize_t got;

    do {
        ready = poll(&wait, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return CTL_TIMEOUT;
    got = ready < 0 ? -1 : recvmsg(reader->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? CTL_LINE
               : errno == ECONNRESET             ? CTL_END
                                                 : CTL_BROKEN;
    take_descriptor(reader, &message);
    if (got == 0)
        return CTL_END;
    reader->have += (size_t)got;
    return CTL_LINE;
}

enum ctl_read ctl_read_line(struct ctl_reader *reader, char **line, size_t *bytes, int timeout_ms)
{
    size_t searched = 0;

    for (;;) {
        char *from = reader->data == NULL ? NULL : reader->data + reader->start;
        char *end = from == NULL ? NULL : memchr(from + searched, '\n', reader->have - searched);
        enum ctl_read more;

        if (end != NULL) {
            *end = '\0';
            *line = from;
            *bytes = (size_t)(end - from);
            reader->start += *bytes + 1;
            reader->have -= *bytes + 1;
            return CTL_LINE;
        }
        searched = reader->have;
        if (reader->have >= reader->max)
            return CTL_TOO_LONG;
        if (!make_room(reader))
            return CTL_BROKEN;
        more = receive_more(reader, timeout_ms);
        if (more != CTL_LINE)
            return more;
    }
}

static ssize_t send_part(int fd, const char *data, size_t bytes, int pass_fd)
{
    union vf_fd_room room;
    struct iovec part = {(char *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (pass_fd >= 0)
        vf_fd_attach(&message, &room, pass_fd);
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int wait_writable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int ready;

    do {
        ready = poll(&wait, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 ? 0 : ready == 0 ? -ETIMEDOUT : -errno;
}

int ctl_send(int fd, const json_t *object, int pass_fd, int timeout_ms)
{
    cleanup_free char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    size_t bytes;
    size_t done = 0;

    if (text == NULL)
        return -ENOMEM;
    bytes = strlen(text);
    text[bytes++] = '\n'; /* in the terminator's place */
    while (done < bytes) {
        ssize_t sent = send_part(fd, text + done, bytes - done, pass_fd);

        if (sent > 0) {
            done += (size_t)sent;
            pass_fd = -1;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        if (timeout_ms == 0 && done == 0)
            return -EAGAIN;
        /* Half a line is out: it must be finished, or the connection is of no more use. */
        if (wait_writable(fd, timeout_ms == 0 ? CTL_SEND_MS : timeout_ms) != 0)
            return -ETIMEDOUT;
    }
    return 0;
}

json_t *ctl_error(const struct vf_error *err, json_t *result)
{
    json_t *object = json_pack("{s:{s:i, s:s, s:s?}}", "error", "code", (int)err->code, "text",
                               err->text, "remedy", vf_remedy(err));

    if (object == NULL) /* a file's or a driver's name in it is not UTF-8 */
        object = json_pack("{s:{s:i, s:s, s:n}}", "error", "code", (int)err->code, "text",
                           "the reason is no readable text; see the daemon's log", "remedy");
    if (object != NULL && result != NULL)
        (void)json_object_set_new(object, "result", result);
    else
        json_decref(result);
    return object;
}
