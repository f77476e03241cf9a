// SPDX-License-Identifier: Apache-2.0
/* A connection to a host's vferryd: one request after the other, replies as they come. Nothing is
 * waited for longer than patience.h allows. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/host/patience.h"
#include "daemon/control/protocol.h"

struct client {
    int fd;           /* -1 = not connected */
    int interrupt_fd; /* the caller's: readable = the person gives up; -1 = signals do as usual */
    struct ctl_reader reader;
    struct patience patience;
    bool verbatim; /* what comes goes on as JSON; else it is made fit for a terminal */
};

#define CLIENT_INIT                                                                                \
    {                                                                                              \
        .fd = -1, .interrupt_fd = -1, .reader = {.fd = -1, .passed_fd = -1 }                       \
    }

/* Connects to the command's host, to ask for `verb`. VF_USAGE when none is named, VF_UNREACHABLE
 * when nobody answers there. `interrupt_fd` may be set before. */
int client_open(struct client *client, const struct command *command, const struct cli_verb *verb,
                struct vf_error *err);
/* Closes the connection; harmless when there is none. */
void client_close(struct client *client);
/* Sends the request for the verb; `args` is borrowed, `file` passed along unless -1. */
int client_send(struct client *client, json_t *args, int file, struct vf_error *err);

enum client_reply {
    CLIENT_PROGRESS, /* *object: the progress */
    CLIENT_RESULT,   /* *object: the result */
    CLIENT_ERROR,    /* *err is what the daemon says; *object: the result beside it, or NULL */
    CLIENT_NOTHING,  /* client_poll: nothing has come */
    CLIENT_LOST,     /* *err: VF_UNREACHABLE, or VF_INTERRUPTED: the person gave up */
};
/* Next reply, waited for. *object is a new reference. */
enum client_reply client_next(struct client *client, json_t **object, struct vf_error *err);
/* The next reply if it is there already, else CLIENT_NOTHING. For callers that poll client->fd
 * beside other descriptors: they wait client_ms at most, then call client_overdue. */
enum client_reply client_poll(struct client *client, json_t **object, struct vf_error *err);
/* Milliseconds until client_overdue has something to do; -1 = never. */
int client_ms(const struct client *client);
/* Writes a line about what is waited for if it is time for that; -1 and VF_UNREACHABLE when it is
 * time to give up. */
int client_overdue(struct client *client, struct vf_error *err);

/* The command's whole exchange, progress thrown away: 0 with *result; -1 with *err, and *result
 * when the daemon gave one nevertheless. */
int client_ask(const struct command *command, int file, json_t **result, struct vf_error *err);
/* Asks the command's host another verb than the command's own; `args` is borrowed. As
 * client_ask. */
int client_ask_verb(const struct command *command, const char *verb, json_t *args, json_t **result,
                    struct vf_error *err);

#endif
