// SPDX-License-Identifier: Apache-2.0
/*
 * Several moves of one host, begun and followed together: `migrate` of more than one partition, and
 * `host evacuate`. Each is a job of the daemon's, which orders what it sends; here they are started
 * a few at a time, sent to another target when the first one refuses, and told of as one result.
 */
#ifndef CLI_MOVE_SET_H
#define CLI_MOVE_SET_H

#include "cli/host/client.h"
#include "cli/move/placement.h"
#include "cli/syntax/verbs.h"

#include <jansson.h>

enum set_state { SET_WAITING, SET_MOVING, SET_OVER };

struct set_move {
    char name[VF_NAME_BYTES];
    uint64_t vram_bytes;
    uint64_t job; /* of the present try; not 0 before it begins: it is under way, and is followed */
    enum set_state state;
    uint64_t tried; /* bit n: host n has been tried */
    size_t host;    /* of the present or last try */
    struct client client;
    json_t *result;      /* the job's object, or NULL; of the last try */
    struct vf_error err; /* code VF_OK: it has moved */
};

/* --dry-run only asks whether each could move; --detach does not wait for those that have begun. */
enum set_how { SET_MOVES, SET_CHECKS, SET_BEGINS };

struct move_set {
    const struct command *command;
    enum set_how how;
    const char *what; /* "migrate", "host evacuate" */
    struct set_move *moves;
    size_t count;
    struct place_host hosts[PLACE_MAX_HOSTS];
    size_t host_count;
    json_t *options; /* of each migrate request; borrowed */
};

/* The partitions of the host whose names fit one of the patterns (NULL: all), with those named one
 * by one among them; the caller frees set->moves with move_set_free. VF_FAILED when a name is not
 * there or a pattern fits none. */
int move_set_choose(struct move_set *set, const json_t *names, const json_t *patterns, bool all,
                    struct vf_error *err);
/* Targets by address; the daemon asks each what is free. One that cannot be asked is used last. */
int move_set_targets(struct move_set *set, const json_t *addresses, struct vf_error *err);
/* Refused (VF_INCOMPATIBLE) when each target is the very host that the partitions are to leave. */
int move_set_leaves(const struct move_set *set, struct vf_error *err);
/* Moves all of them, largest first; prints progress and one result. -1: not all have moved; *err
 * has the worst code and a line that says what is left. Ctrl-C cancels those under way. */
int move_set_run(struct move_set *set, struct vf_error *err);
void move_set_free(struct move_set *set);

/* Which of two outcomes is told of as that of both. */
enum vf_code move_set_worse(enum vf_code a, enum vf_code b);

#endif
