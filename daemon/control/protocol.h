// SPDX-License-Identifier: Apache-2.0
/*
 * The control protocol between vferry and vferryd, over DIR/control.sock (UNIX stream): one JSON
 * object a line.
 *
 *   request: {"verb": "partition show", "args": {"name": "p1"}}
 *            at most 64 KiB with its LF; a file goes along as a descriptor (SCM_RIGHTS)
 *            "alive": true wants signs of life, once a second while the request is worked on
 *   reply:   any number of {"progress": {...}} and {"alive": {"stuck": TEXT or null}}, then one of
 *            {"result": {...}} and {"error": {"code": N, "text": "..."}}; a move that failed and a
 *            check that says no have both members
 *
 * "stuck" says what the host waits for that ought to have answered. Older builds of vferryd give no
 * signs of life.
 *
 * Requests on a connection are answered one after the other. N is the exit code (base/error.h).
 */
#ifndef DAEMON_PROTOCOL_H
#define DAEMON_PROTOCOL_H

#include "base/error.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_SOCKET_NAME "control.sock"
#define CTL_MAX_REQUEST 65536u    /* a request's line with its LF */
#define CTL_MAX_REPLY (16u << 20) /* a reply's */
#define CTL_SEND_MS 10000         /* who reads nothing for so long is given up */

/* ctl_reader.passed_fd: a descriptor came along, and this process had no number left for it. */
#define CTL_FILE_LOST (-EMFILE)

/* Cuts what arrives on a socket into lines; keeps the descriptor that came along. One thread. */
struct ctl_reader {
    int fd;     /* the socket; the owner's */
    size_t max; /* longest line with its LF */
    char *data; /* what was received and not yet given out, from `start` */
    size_t capacity, start, have;
    /* The newest descriptor received, -1, or CTL_FILE_LOST. Whoever takes it sets -1; what is here
     * when the next one comes, or at the end, is closed. */
    int passed_fd;
};

enum ctl_read {
    CTL_LINE, /* *line is filled: terminated, without its LF, valid until the next call */
    CTL_END,  /* the peer closed; half a line is dropped */
    CTL_TOO_LONG,
    CTL_BROKEN, /* the socket failed, or no memory */
    CTL_TIMEOUT,
};

/* `fd` stays the caller's, and must stay open until ctl_reader_fini; `max` bytes with the LF. */
void ctl_reader_init(struct ctl_reader *reader, int fd, size_t max);
/* Frees what was received and closes passed_fd, not the socket. */
void ctl_reader_fini(struct ctl_reader *reader);
/* Next line; waits up to timeout_ms for more bytes each time (-1 = for ever). */
enum ctl_read ctl_read_line(struct ctl_reader *reader, char **line, size_t *bytes, int timeout_ms);

/* Sends `object` as one line, with pass_fd unless it is -1. 0, or -errno: -ETIMEDOUT when the peer
 * reads nothing for timeout_ms. With timeout_ms 0 an object is dropped (-EAGAIN) when the socket
 * has no room for its first byte. */
int ctl_send(int fd, const json_t *object, int pass_fd, int timeout_ms);

/* A reply with "error", and with "result" beside it unless `result` (stolen) is NULL. A new
 * reference; NULL without memory. */
json_t *ctl_error(const struct vf_error *err, json_t *result);

#endif
