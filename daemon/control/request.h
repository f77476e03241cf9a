// SPDX-License-Identifier: Apache-2.0
/* One request on the control socket, as the verbs see it. Lives on its connection's thread. */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

#include "daemon/daemon.h"

#include <jansson.h>
#include <stdbool.h>

#define FILTER_MOST 10000u /* entries that one answer has */

struct request {
    struct daemon *daemon;
    int socket;     /* the client's */
    struct pulse_beat *beat; /* its `sending` is held while a line is sent there */
    json_t *args;   /* an object; borrowed */
    int file;       /* came along, -1 or CTL_FILE_LOST; the connection closes it */
    struct kc *kc;  /* request_kc */
    json_t *result; /* the verb's answer; also beside an error */
    struct mig_hold hold; /* keep_from_moves */
};

struct verb {
    const char *words; /* "partition show" */
    int (*run)(struct request *request, struct vf_error *err);
};
/* The verb of these words, NULL when there is none. The verbs give it to control_open.
 * Any thread. */
typedef const struct verb *verb_finder(const char *words);

/* Arguments. VF_USAGE when missing or of another type; the _or forms take a default instead
 * of missing. */
int request_text(const struct request *request, const char *key, const char **value,
                 struct vf_error *err);
int request_number(const struct request *request, const char *key, uint64_t *value,
                   struct vf_error *err);
int request_text_or(const struct request *request, const char *key, const char *otherwise,
                    const char **value, struct vf_error *err);
int request_number_or(const struct request *request, const char *key, uint64_t otherwise,
                      uint64_t *value, struct vf_error *err);
int request_flag(const struct request *request, const char *key, bool *value, struct vf_error *err);
/* The arguments since_ns, until_ns, partition, kind and limit, each of which may be missing: then
 * any, and the newest `limit`. */
int request_filter(const struct request *request, uint64_t limit, struct history_filter *filter,
                   struct vf_error *err);
/* The argument "name", for a partition to be made; VF_USAGE also for what is no name. */
int request_new_name(const struct request *request, const char **name, struct vf_error *err);

/* The regular file that came along; VF_USAGE without one. */
int request_file(const struct request *request, int *fd, struct vf_error *err);

/* The directory that came along; VF_USAGE without one. */
int request_directory(const struct request *request, int *fd, struct vf_error *err);

/* A connection to the kernel side of this request's own, so that no other waits behind it;
 * opened at the first call. Its calls end with an error when the kernel side answers nothing any
 * more (watchdog_patience). */
int request_kc(struct request *request, struct kc **kc, struct vf_error *err);

/* Has the client left, or does the daemon end? Waits up to timeout_ms for the client to leave. */
bool request_abandoned(const struct request *request, int timeout_ms);

/* Waits up to timeout_ms for `fd` to become readable or for the client to leave; true when it
 * was `fd`. */
bool request_told(const struct request *request, int fd, int timeout_ms);

/* Sends a line (stolen; NULL is -ENOMEM) as ctl_send does. */
int request_send(const struct request *request, json_t *line, int timeout_ms);

/* Sends {"progress": object} (stolen) unless the client is behind with reading; false when it
 * has left. */
bool request_progress(const struct request *request, json_t *object);

/* Answers a parsed request object (borrowed) that came on the beat's socket, by the verb that
 * `find` knows: the reply to send, never NULL but without memory. The client has signs of life
 * meanwhile if it wants them. */
json_t *request_reply(struct daemon *daemon, verb_finder *find, struct pulse_beat *beat,
                      json_t *object, int file);

#endif
