// SPDX-License-Identifier: Apache-2.0
/*
 * A look at a host by somebody who must not be kept waiting: a shell that completes, a live screen.
 * Nothing here waits, and nothing is said but to the caller; what may be waited for, and is spoken
 * of, goes by client.h.
 */
#ifndef CLI_GLANCE_H
#define CLI_GLANCE_H

#include "base/error.h"
#include "daemon/control/protocol.h"

#include <jansson.h>

struct glance {
    int fd; /* to poll for POLLIN; -1 = not connected */
    struct ctl_reader reader;
};

#define GLANCE_INIT                                                                                \
    {                                                                                              \
        .fd = -1, .reader = {.fd = -1, .passed_fd = -1 }                                           \
    }

/* Connects to a host, as find_host understands it. Its errors, and VF_UNREACHABLE when nobody takes
 * the connection at once. glance_close is due in any case. */
int glance_open(struct glance *glance, const char *host, struct vf_error *err);
void glance_close(struct glance *glance);
/* Sends a verb that takes no arguments. -1 when the host takes nothing. */
int glance_ask(struct glance *glance, const char *verb, struct vf_error *err);
/* The answer, if it has come within timeout_ms: 1 with *result, 0 when not yet, -1 when the host is
 * lost or refuses. One answer for each question, in their order. */
int glance_answer(struct glance *glance, int timeout_ms, json_t **result, struct vf_error *err);

#endif
