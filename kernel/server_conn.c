// SPDX-License-Identifier: Apache-2.0
/*
 * One connection's thread: hello, then calls through the table until the client goes or
 * breaks the framing. Nothing that a client sends does more than fail its own call or close
 * its own connection.
 */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static int reply(struct ks_conn *conn, const struct kcall_head *head, const struct ks_call *call,
                 int result, const struct vf_error *err)
{
    struct kcall_head answer = {
        KCALL_MAGIC_REPLY, head->op, head->tag, (uint32_t)call->result_bytes, VF_OK, 0};
    struct kcall_failure failure = {0};

    if (result == 0)
        return kw_send(conn->fd, &answer, conn->out.data + KS_RESULT_AT, call->pass_fd);
    answer.code = err->code == VF_OK ? VF_FAILED : (uint32_t)err->code;
    answer.status = err->status;
    answer.body_bytes =
        sizeof failure + (call->result_on_failure ? (uint32_t)call->result_bytes : 0);
    vf_error_pack(err, failure.text, sizeof failure.text);
    memcpy(conn->out.data, &failure, sizeof failure);
    return kw_send(conn->fd, &answer, conn->out.data, -1);
}

/* How long a receive waits for the client; 0 = for ever. */
static void set_silence(int fd, unsigned ms)
{
    const struct timeval wait = {.tv_sec = ms / 1000u, .tv_usec = (ms % 1000u) * 1000u};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

static int hello(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_hello *args = call->args;
    struct kcall_hello_result *result;

    if (args->min > KCALL_VERSION || args->max < KCALL_VERSION)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "call interface: the daemon speaks %" PRIu32 "..%" PRIu32
                       ", the kernel side %u" VF_REMEDY
                       "start the vferryd of its version %s, or end it with \"kill %d\", which "
                       "works while it has no partitions",
                       args->min, args->max, KCALL_VERSION, VFERRY_VERSION, (int)getpid());
    if (vf_fsm_get(&call->conn->state) != KS_NEW)
        return vf_fail(err, VF_USAGE, "call interface: hello comes once, as the first call");
    result = ks_result(call, sizeof *result, err);
    if (result == NULL)
        return -1;
    result->version = KCALL_VERSION;
    result->connection = call->conn->number;
    set_silence(call->conn->fd, 0); /* from here on it may be silent as long as it likes */
    (void)vf_fsm_set(&call->conn->state, KS_CALLS, "hello");
    return 0;
}

static const struct ks_op hello_op = {"hello", sizeof(struct kcall_hello), 0, hello};

/* The op behind a head whose order and length are right; NULL with *err filled otherwise. */
static const struct ks_op *check_head(const struct ks_conn *conn, const struct kcall_head *head,
                                      struct vf_error *err)
{
    bool is_hello = head->op == KCALL_HELLO;
    const struct ks_op *op = is_hello ? &hello_op : ks_op_find(head->op);

    if (!is_hello && vf_fsm_get(&conn->state) == KS_NEW) {
        (void)vf_fail(err, VF_USAGE, "call interface: hello has to come first");
        return NULL;
    }
    if (op == NULL) {
        (void)vf_fail(err, VF_USAGE, "call %" PRIu32 ": there is none of this number", head->op);
        return NULL;
    }
    if (head->body_bytes < op->args_bytes || head->body_bytes - op->args_bytes > op->tail_max) {
        (void)vf_fail(err, VF_USAGE,
                      "call %s: %" PRIu32 " bytes given, %" PRIu32 " to %" PRIu32 " expected",
                      op->name, head->body_bytes, op->args_bytes, op->args_bytes + op->tail_max);
        return NULL;
    }
    return op;
}

/* Runs one call. Returns 0 to go on, -1 when the connection is at its end. */
static int serve_call(struct ks_conn *conn, const struct kcall_head *head, size_t have)
{
    struct vf_error err = VF_ERROR_INIT;
    struct ks_call call = {.server = conn->server, .conn = conn, .pass_fd = -1};
    const struct ks_op *op = check_head(conn, head, &err);
    int result = -1;
    int sent;

    if (op == NULL && head->body_bytes > have) {
        /* Packets of a body that nobody wants follow: there is no way to the next message. */
        (void)reply(conn, head, &call, -1, &err);
        return -1;
    }
    if (op != NULL) {
        if (kw_recv_rest(conn->fd, head, &conn->in, have) != 0)
            return -1;
        call.args = conn->in.data;
        call.tail = conn->in.data + op->args_bytes;
        call.tail_bytes = head->body_bytes - op->args_bytes;
        dxgk_serve(conn->number);
        result = op->handler(&call, &err);
        if (result != 0)
            log_debug("call %s: %s", op->name, err.text);
    }
    sent = reply(conn, head, &call, result, &err);
    if (call.pass_owned)
        (void)close(call.pass_fd);
    if (call.channel != NULL) {
        if (sent == 0)
            ks_channel_serve(call.channel);
        ks_channel_close(call.channel);
        return -1;
    }
    if (call.stop_after)
        ks_stop(conn->server);
    return sent == 0 && !call.stop_after ? 0 : -1;
}

/* Tells the client why its connection ends; tag 0 = about the connection. */
static void say_farewell(struct ks_conn *conn, const char *why)
{
    static const struct kcall_head none = {0};
    struct vf_error err = VF_ERROR_INIT;
    struct ks_call call = {.pass_fd = -1};

    (void)vf_fail(&err, VF_USAGE, "call interface: %s; this connection is closed", why);
    (void)reply(conn, &none, &call, -1, &err);
    log_warn("%s: %s", conn->state.id, err.text);
}

void ks_conn_serve(struct ks_conn *conn)
{
    const char *why = "a reply has no room";
    /* A failure can always be told: its room is there before the first call. */
    int failed = kw_buffer_reserve(&conn->out, KS_RESULT_AT);

    set_silence(conn->fd, conn->server->hello_ms);
    while (failed == 0) {
        struct kcall_head head;
        size_t have;

        why = "client gone";
        failed = kw_recv_head(conn->fd, KCALL_MAGIC_CALL, &head, &conn->in, &have, NULL);
        if (failed == -EPROTO) {
            why = "broken framing";
            say_farewell(conn, "broken framing");
        } else if (failed == -EAGAIN) {
            /* Before the hello only. Its descriptor and thread are wanted by others. */
            why = "no hello";
            say_farewell(conn, "no hello came in time");
        } else if (failed == 0) {
            failed = serve_call(conn, &head, have);
        }
    }
    ks_throttle_over(conn);
    (void)vf_fsm_set(&conn->state, KS_CLOSED, why);
}
