// SPDX-License-Identifier: Apache-2.0
/* A connection to a host's vferryd: one request after the other, replies as they come. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/error.h"
#include "daemon/protocol.h"

#include <jansson.h>

struct client {
    int fd; /* -1 = not connected */
    struct ctl_reader reader;
};

#define CLIENT_INIT                                      \
    {                                                    \
        .fd = -1, .reader = {.fd = -1, .passed_fd = -1 } \
    }

/* `host`: path of the control socket. VF_USAGE when it is NULL, VF_UNREACHABLE when nobody answers
 * there. */
int client_open(struct client *client, const char *host, struct vf_error *err);
void client_close(struct client *client);
/* Sends the request; `args` is borrowed, `file` passed along unless -1. */
int client_send(struct client *client, const char *verb, json_t *args, int file,
                struct vf_error *err);

enum client_reply {
    CLIENT_PROGRESS, /* *object: the progress */
    CLIENT_RESULT,   /* *object: the result */
    CLIENT_ERROR,    /* *err is what the daemon says; *object: the result beside it, or NULL */
    CLIENT_NOTHING,  /* within timeout_ms */
    CLIENT_LOST,     /* *err: VF_UNREACHABLE */
};
/* Next reply. *object is a new reference. */
enum client_reply client_next(struct client *client, int timeout_ms, json_t **object,
                              struct vf_error *err);

/* The whole exchange, progress thrown away: 0 with *result; -1 with *err, and *result when the
 * daemon gave one nevertheless. */
int client_ask(const char *host, const char *verb, json_t *args, int file, json_t **result,
               struct vf_error *err);

#endif
