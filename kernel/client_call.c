// SPDX-License-Identifier: Apache-2.0
/* The client library: one call over a connection, from its first byte to its answer's last.
 * See client_impl.h. */
#define LOG_ROOM "kernel-client"
#include "kernel/client_impl.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* How often a call that waits asks whether to go on. */
#define LOOK_MS 500

int kc_await(struct kc *kc, const char *what, struct vf_error *err)
{
    struct pollfd look = {.fd = kc->fd, .events = POLLIN};
    const uint64_t begin = vf_now_ns();

    while (kc->patience != NULL && poll(&look, 1, LOOK_MS) <= 0) {
        if (kc->patience(kc->patience_ctx, vf_now_ns() - begin, err) != 0) {
            kc->gone = kc->given_up = true;
            return vf_context(err, "%s", what);
        }
    }
    return 0;
}

/* A message that began and came to no end. Always -1. */
static int stalled(struct kc *kc, const char *what, struct vf_error *err)
{
    kc->gone = kc->given_up = true;
    if (kc->patience(kc->patience_ctx, KC_STALL_MS * 1000000ull, err) != 0)
        return vf_context(err, "%s", what);
    return vf_fail(err, VF_FAILED, "%s: the kernel side stopped in the middle of a message", what);
}

static int protocol_error(struct kc *kc, const struct kc_call *call, struct vf_error *err)
{
    kc->gone = true;
    return vf_fail(err, VF_FAILED, "%s: the kernel side broke the call protocol; restart the host",
                   call->what);
}

static int gather_body(struct kc *kc, const struct kc_call *call, uint32_t *bytes)
{
    size_t total = 0;

    for (size_t i = 0; i < KC_PARTS; i++)
        total += call->in[i].bytes;
    if (kw_buffer_reserve(&kc->body, total) != 0)
        return -1;
    total = 0;
    for (size_t i = 0; i < KC_PARTS; i++) {
        if (call->in[i].bytes > 0)
            memcpy(kc->body.data + total, call->in[i].data, call->in[i].bytes);
        total += call->in[i].bytes;
    }
    *bytes = (uint32_t)total;
    return 0;
}

/* What the other side said about why it failed. */
static int take_failure(struct kc *kc, struct kc_call *call, const struct kcall_head *head,
                        struct vf_error *err)
{
    struct kcall_failure failure;
    enum vf_code code = head->code == VF_OK ? VF_OK : vf_code_from((int64_t)head->code);
    size_t rest;

    if (head->body_bytes < sizeof failure)
        return protocol_error(kc, call, err);
    memcpy(&failure, kc->body.data, sizeof failure);
    failure.text[sizeof failure.text - 1] = '\0';
    rest = head->body_bytes - sizeof failure;
    if (call->result_on_failure && rest == call->result_bytes)
        memcpy(call->result, kc->body.data + sizeof failure, rest);
    (void)vf_fail(err, code, "%s", failure.text);
    if (err != NULL)
        err->status = head->status;
    return -1;
}

static int take_result(struct kc *kc, struct kc_call *call, const struct kcall_head *head,
                       struct vf_error *err)
{
    const unsigned char *tail = kc->body.data + call->result_bytes;

    if (head->body_bytes < call->result_bytes ||
        head->body_bytes - call->result_bytes > call->tail_max)
        return protocol_error(kc, call, err);
    if (call->result_bytes > 0)
        memcpy(call->result, kc->body.data, call->result_bytes);
    call->tail_bytes = head->body_bytes - call->result_bytes;
    if (call->tail_bytes == 0)
        return 0;
    if (call->tail_copy != NULL) {
        *call->tail_copy = malloc(call->tail_bytes);
        if (*call->tail_copy == NULL)
            return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, call->what);
        memcpy(*call->tail_copy, tail, call->tail_bytes);
    } else {
        memcpy(call->tail, tail, call->tail_bytes);
    }
    return 0;
}

static int call_locked(struct kc *kc, struct kc_call *call, struct vf_error *err)
{
    struct kcall_head head = {.magic = KCALL_MAGIC_CALL, .op = call->op};
    size_t limit = sizeof(struct kcall_failure) + call->result_bytes + call->tail_max;
    size_t have = 0;
    int failed;

    if (kc->gone)
        return vf_fail(err, VF_FAILED, "%s: %s", call->what, kc->given_up ? KC_GIVEN_UP : KC_GONE);
    if (gather_body(kc, call, &head.body_bytes) != 0)
        return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, call->what);
    if (++kc->tag == 0)
        kc->tag = 1;
    head.tag = kc->tag;
    failed = kw_send(kc->fd, &head, kc->body.data, -1);
    /* A send that failed may have left a last word behind: "too many connections". */
    if (failed == 0 && kc_await(kc, call->what, err) != 0)
        return -1;
    if (failed == 0 || failed == -EPIPE)
        failed = kw_recv_head(kc->fd, KCALL_MAGIC_REPLY, &head, &kc->body, &have, call->passed_fd);
    if (failed == -EPROTO ||
        (failed == 0 && (head.body_bytes > limit || (head.tag != kc->tag && head.tag != 0))))
        return protocol_error(kc, call, err);
    if (failed == 0)
        failed = kw_recv_rest(kc->fd, &head, &kc->body, have);
    if (failed != 0) {
        kc->gone = true;
        kc->timed_out = failed == -EAGAIN;
        if (kc->timed_out && kc->patience != NULL)
            return stalled(kc, call->what, err);
        if (failed == -ENODATA || failed == -EPIPE)
            return vf_fail(err, call->op == KCALL_HELLO ? VF_UNREACHABLE : VF_FAILED,
                           "%s: " KC_GONE, call->what);
        return vf_fail_errno(err, VF_FAILED, -failed, "%s: call to the kernel side", call->what);
    }
    if (head.tag == 0)
        kc->gone = true;
    return head.code == VF_OK && head.tag != 0 ? take_result(kc, call, &head, err)
                                               : take_failure(kc, call, &head, err);
}

int kc_call(struct kc *kc, struct kc_call *call, struct vf_error *err)
{
    int result;

    call->tail_bytes = 0;
    if (call->passed_fd != NULL)
        *call->passed_fd = -1;
    result = VF_FAULT_ERRNO("kernel.call", call->what);
    if (result != 0)
        return vf_fail_errno(err, VF_FAILED, result, "%s", call->what);
    vf_lock(&kc->lock);
    result = call_locked(kc, call, err);
    vf_unlock(&kc->lock);
    VF_FAULT_POINT("kernel.answer", call->what);
    if (result != 0 && call->passed_fd != NULL && *call->passed_fd >= 0)
        (void)close(vf_take_fd(call->passed_fd));
    return result;
}

int kc_ask_partition(struct kc *kc, uint32_t op, const char *what, uint64_t id, void *out,
                     size_t bytes, struct vf_error *err)
{
    struct kcall_partition args = {id};
    struct kc_call call = {
        .op = op, .what = what, .in = {{&args, sizeof args}}, .result = out, .result_bytes = bytes};

    return kc_call(kc, &call, err);
}

int kc_call_partition(struct kc *kc, uint32_t op, const char *what, uint64_t id,
                      struct vf_error *err)
{
    return kc_ask_partition(kc, op, what, id, NULL, 0, err);
}
