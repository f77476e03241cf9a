// SPDX-License-Identifier: Apache-2.0
/* What the server's own files share: the server, a connection, a call on its way. Not for
 * anyone else. */
#ifndef KERNEL_SERVER_IMPL_H
#define KERNEL_SERVER_IMPL_H

#include "base/fsm.h"
#include "base/spare_fd.h"
#include "kernel/events.h"
#include "kernel/server.h"
#include "kernel/wire.h"

#include <pthread.h>
#include <stdbool.h>

enum ks_state { KS_NEW, KS_CALLS, KS_CHANNEL, KS_CLOSED, KS_STATES };

struct ks_conn {
    struct ks_server *server;
    struct ks_conn *next; /* server->lock */
    pthread_t thread;
    uint32_t number; /* constant: counts up, from 1 */
    int fd; /* open until the connection is reaped */
    struct vf_fsm state;
    uint64_t slows;       /* own thread: the partition that it last set a throttle for, 0 = none */
    struct kw_buffer in;  /* own thread: a call's body */
    struct kw_buffer out; /* own thread: room for a failure, then the result */
    uint64_t channel_of;  /* server->lock: partition whose page channel this is, 0 = none */
    bool farewell; /* server->lock: asked for the shutdown; its fd stays open until the server is
                      gone */
    bool finished; /* server->lock: its thread is about to end */
};

struct ks_server {
    struct dxgk *dxgk; /* from ks_run on */
    char specs[sizeof((struct kc_host *)0)->specs];
    char *socket_path;
    int lock_fd;
    int listen_fd;
    int wake_fd; /* eventfd: something for the accepting thread to look at */
    int signal_fd;
    int farewell_fd;   /* lock: closed last */
    struct vf_spare_fd spare; /* accepting thread: to answer with when no other is left */
    bool accept_pause;        /* accepting thread: the queue is not looked at for a moment */
    int idle_ms;
    unsigned hello_ms; /* constant: a new connection has to speak within */
    struct ks_events events;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a connection finished or closed its channel */
    struct ks_conn *conns;  /* lock */
    unsigned conn_count;    /* lock: in the list, finished ones too */
    unsigned creating;      /* lock: partition creations under way; keeps the kernel alive */
    bool ending;            /* lock: no more partitions are created */
    bool stop;              /* lock: ks_run is to return */
};

/* A call on its way through the table. */
struct ks_call {
    struct ks_server *server;
    struct ks_conn *conn;
    const void *args;          /* the op's argument struct, whole */
    const unsigned char *tail; /* tail_bytes, at most the op's tail_max */
    size_t tail_bytes;
    size_t result_bytes;        /* set by ks_result */
    bool result_on_failure;     /* the result goes out with a failure as well */
    int pass_fd;                /* goes out with the reply; stays the handler's ... */
    bool pass_owned;            /* ... or is closed once the reply is out */
    bool stop_after;            /* the kernel ends once the reply is out */
    struct ks_channel *channel; /* the connection becomes this page channel once the reply is out */
};

struct ks_op {
    const char *name;
    uint32_t args_bytes;
    uint32_t tail_max;
    int (*handler)(struct ks_call *call, struct vf_error *err);
};

/* ---- server_life.c ---- */

/* Makes the accepting thread look at what is new. */
void ks_wake(struct ks_server *server);
/* How many partitions there are; SIZE_MAX when dxgk cannot say, for then nothing may be
 * thrown away. */
size_t ks_partition_count(struct ks_server *server);
/* Sees to it that nobody creates a partition any more; false when there are some (or one is being
 * made) and not `force`. */
bool ks_begin_end(struct ks_server *server, bool force, size_t *partitions);
/* Brackets a creation; false once the kernel is ending. */
bool ks_create_begin(struct ks_server *server);
void ks_create_end(struct ks_server *server);
/* Has the other end of the connection closed, or said that no more calls will come? */
bool ks_peer_hung_up(int fd);
/* Waits until channels on the partition whose client has gone are closed: a client may close and
 * then destroy. */
void ks_await_abandoned_channels(struct ks_server *server, uint64_t id);

/* ---- server_call.c: for handlers ---- */

#define KS_RESULT_AT sizeof(struct kcall_failure) /* a failure's text goes before the result */

/* Room for the result, zeroed; once per call. NULL with *err filled when there is no memory. */
void *ks_result(struct ks_call *call, size_t bytes, struct vf_error *err);
/* 0 when the call's tail has exactly so many bytes; else -1 and VF_USAGE, which begins
 * with `what`. */
int ks_exact(const struct ks_call *call, const char *what, size_t tail_bytes, struct vf_error *err);
/* Is it a partition's name? VF_USAGE when not. */
int ks_check_name(const char *name, struct vf_error *err);

/* ---- handlers: server_create.c, server_drivers.c, server_migration.c, channel_server.c ---- */

int ks_partition_create(struct ks_call *call, struct vf_error *err);

int ks_call_driver_info(struct ks_call *call, struct vf_error *err);
int ks_call_driver_update(struct ks_call *call, struct vf_error *err);
int ks_call_driver_call(struct ks_call *call, struct vf_error *err);
int ks_call_waiters(struct ks_call *call, struct vf_error *err);
int ks_call_defrag(struct ks_call *call, struct vf_error *err);

int ks_call_prepare(struct ks_call *call, struct vf_error *err);
int ks_call_save_immutable(struct ks_call *call, struct vf_error *err);
int ks_call_save_mutable(struct ks_call *call, struct vf_error *err);
int ks_call_restore_immutable(struct ks_call *call, struct vf_error *err);
int ks_call_restore_mutable(struct ks_call *call, struct vf_error *err);
int ks_call_query_dirty(struct ks_call *call, struct vf_error *err);
int ks_call_sample_dirty(struct ks_call *call, struct vf_error *err);
int ks_call_throttle(struct ks_call *call, struct vf_error *err);
/* The connection goes: what it has slowed runs at its own speed again. Its own thread. */
void ks_throttle_over(struct ks_conn *conn);
int ks_call_end(struct ks_call *call, struct vf_error *err);

int ks_channel_open(struct ks_call *call, struct vf_error *err);
/* Serves the channel until its client goes; closes it. */
void ks_channel_serve(struct ks_channel *channel);
void ks_channel_close(struct ks_channel *channel); /* NULL is allowed */

/* ---- server_calls.c: the table ---- */

/* NULL when there is no such op. */
const struct ks_op *ks_op_find(uint32_t op);

/* ---- server_conn.c ---- */

/* Body of a connection's thread. */
void ks_conn_serve(struct ks_conn *conn);

#endif
