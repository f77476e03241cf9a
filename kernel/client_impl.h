// SPDX-License-Identifier: Apache-2.0
/* What the client library's own files share: a connection, and one call over it. Not for
 * anyone else. */
#ifndef KERNEL_CLIENT_IMPL_H
#define KERNEL_CLIENT_IMPL_H

#include "kernel/client.h"
#include "kernel/wire.h"

#include <pthread.h>
#include <stdbool.h>

struct kc {
    int fd;
    uint32_t connection;   /* our number over there; constant after kc_connect */
    pthread_mutex_t lock;  /* held over a call: everything below, and the order of packets on fd */
    uint32_t tag;          /* lock: the last call's */
    bool gone;             /* lock: the connection broke; nothing more is sent */
    bool timed_out;        /* lock: ... because the other side did not answer the hello in time */
    bool given_up;         /* lock: ... because kc_set_patience's said so */
    kc_patience patience;  /* lock: asked while a call waits; NULL = it waits as long as it takes */
    void *patience_ctx;    /* lock */
    struct kw_buffer body; /* lock */
};

struct kc_part {
    const void *data;
    size_t bytes;
};

#define KC_PARTS 4u

/* A call: `in` parts one after the other; the answer is result_bytes of result, then a tail. */
struct kc_call {
    uint32_t op;
    const char *what; /* for error texts: "pause partition" */
    struct kc_part in[KC_PARTS];
    void *result;
    size_t result_bytes;
    size_t tail_max;   /* a longer tail breaks the protocol */
    void *tail;        /* buffer of tail_max bytes, or NULL: *tail_copy gets a malloc'ed copy */
    void **tail_copy;  /* NULL when the tail is empty; the caller frees */
    size_t tail_bytes; /* out */
    bool result_on_failure; /* result is filled on failure too, if the reply carried it */
    int *passed_fd;         /* out: descriptor that came along, or -1; NULL = none expected */
};

/* Makes the call. -1 with *err filled when it failed, on the way or over there. */
int kc_call(struct kc *kc, struct kc_call *call, struct vf_error *err);

/* Calls that need no more than a partition, and answer `bytes` into *out; or nothing. */
int kc_ask_partition(struct kc *kc, uint32_t op, const char *what, uint64_t id, void *out,
                     size_t bytes, struct vf_error *err);
int kc_call_partition(struct kc *kc, uint32_t op, const char *what, uint64_t id,
                      struct vf_error *err);

/* Under the lock: waits for the first of an answer, as long as the connection's patience goes. */
int kc_await(struct kc *kc, const char *what, struct vf_error *err);

/* A message that has begun to come or go and stalls for so long never ends. */
#define KC_STALL_MS 10000u
/* How long a kernel side may take to accept a connection and answer the hello. */
#define KC_PATIENCE_MS 10000u

/* A connected socket; VF_UNREACHABLE when nobody listens, VF_FAILED when somebody does and takes no
 * connection for so long. Sends and receives on it have this patience too. */
int kc_dial(const char *socket_path, unsigned patience_ms, int *fd, struct vf_error *err);
/* kc_connect with another patience. */
int kc_connect_within(const char *socket_path, unsigned patience_ms, struct kc **out,
                      struct vf_error *err);

#define KC_GIVEN_UP "the kernel side did not answer the call before"
#define KC_GONE                                                                                    \
    "the kernel side is gone; its log tells why, a new start of the host brings another one"

#endif
