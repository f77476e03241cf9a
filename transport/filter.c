// SPDX-License-Identifier: Apache-2.0
/*
 * Test builds only: follows the records of every connection (docs/wire-format.md: a header of tag,
 * flags, length, check) and does to them what VFERRY_FAULT asks for (docs/faults.md). Each
 * direction is its one thread's; what streams share lies in `all`.
 */
#include "transport/filter.h"

#include "base/clock.h"
#include "base/bytes.h"
#include "base/fault.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HEADER 16u
#define HEAD_MAX 512u /* of a record that is looked into: more than a HELLO's fields */
#define COPY_MAX (8u << 20)
#define IOV_MOST 128
#define ID 16u
#define PATIENCE_NS 2000000000ull

/* Numbers and places of docs/wire-format.md. */
enum { HELLO = 1, PING = 2, ROUND = 7, PAGES = 8, ROUND_END = 9, ACK = 10, REHASH = 11 };
#define HELLO_ROLE 40u
#define ROUND_PAUSED 36u

struct way {
    const char *name;
    int timer_fd;           /* readable when it stands no longer, or holds bytes for the reader */
    uint8_t head[HEAD_MAX]; /* the record's first bytes */
    size_t have;            /* of them; receiving only */
    uint64_t at, total;     /* of the present record; total 0 = between two */
    struct vf_fault_action action, after;
    uint64_t until_ns; /* stands so long */
    uint8_t *copy;     /* of a record that passes twice */
    size_t copied, again;
};

struct filter {
    struct filter *next;
    struct tp *tp;
    struct way send, recv;
    bool greeted; /* HELLO has passed: what follows is known */
    const char *role;
    uint32_t stream;
    uint8_t job[ID];
    _Atomic bool silent, cut;
    _Atomic bool due; /* what comes after the record that was received last */
};

static void settle_due(struct filter *f)
{
    if (!atomic_exchange(&f->due, false))
        return;
    vf_fault_do(&f->recv.after);
    f->recv.after.act = VF_FAULT_NONE;
}

/* What the control connection of a job has announced, for the records of its data streams. */
struct announced {
    uint8_t job[ID];
    uint32_t rounds;
    bool paused; /* the last of them */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* announcements; CLOCK_REALTIME, it only bounds a wait */
    struct filter *filters;
    struct announced jobs[64];
    size_t job_count;
    _Atomic uint64_t down_until_ns, freeze_until_ns;
} all = {.lock = VF_LOCK_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

const char *(*filter_tag_name)(uint32_t tag);

/* ---- streams ---- */

int filter_init(struct tp *tp)
{
    struct filter *f;

    tp->filter = NULL;
    if (!vf_fault_active() || strcmp(tp->ops->name, "file") == 0)
        return 0;
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return -1;
    f->tp = tp;
    f->role = "";
    f->send.name = "send";
    f->recv.name = "recv";
    f->send.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    f->recv.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    tp->filter = f;
    vf_lock(&all.lock);
    f->next = all.filters;
    all.filters = f;
    vf_unlock(&all.lock);
    return 0;
}

void filter_fini(struct tp *tp)
{
    struct filter *f = tp->filter;
    struct filter **at = &all.filters;

    if (f == NULL)
        return;
    settle_due(f);
    vf_lock(&all.lock);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    vf_unlock(&all.lock);
    (void)close(f->send.timer_fd);
    (void)close(f->recv.timer_fd);
    free(f->send.copy);
    free(f->recv.copy);
    free(f);
}

static void cut(struct filter *f)
{
    f->cut = true;
    f->tp->ops->shutdown(f->tp);
}

static void cut_all(uint64_t until_ns)
{
    all.down_until_ns = until_ns;
    vf_lock(&all.lock);
    for (struct filter *f = all.filters; f != NULL; f = f->next)
        cut(f);
    vf_unlock(&all.lock);
}

static bool is_cut(struct filter *f)
{
    if (!f->cut && vf_now_ns() < all.down_until_ns)
        cut(f);
    return f->cut;
}

static uint64_t stands_until(const struct filter *f, const struct way *way)
{
    const uint64_t frozen = all.freeze_until_ns;

    if (f->silent)
        return TP_NEVER;
    return way->until_ns > frozen ? way->until_ns : frozen;
}

static bool stands(const struct filter *f, const struct way *way)
{
    return stands_until(f, way) > vf_now_ns();
}

struct pollfd filter_pollfd(const struct tp *tp, short direction, short events)
{
    struct filter *f = tp->filter;
    struct pollfd real = {.fd = tp->ops->fd(tp), .events = events};
    struct itimerspec timer = {0};
    struct way *way;
    uint64_t end;
    bool held;

    if (f == NULL)
        return real;
    way = direction == POLLIN ? &f->recv : &f->send;
    end = stands_until(f, way);
    /* What is held here between two records the reader must come for. */
    held = way->total == 0 && way->copied > 0;
    if (f->cut || (end <= vf_now_ns() && !held))
        return real;
    if (end == 0)
        end = 1;
    if (end != TP_NEVER)
        timer.it_value = (struct timespec){.tv_sec = (time_t)(end / 1000000000u),
                                           .tv_nsec = (long)(end % 1000000000u)};
    (void)timerfd_settime(way->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
    return (struct pollfd){.fd = way->timer_fd, .events = POLLIN};
}

int filter_fd(const struct tp *tp)
{
    const bool follows = tp->filter != NULL && tp->filter->greeted;

    return follows ? filter_pollfd(tp, POLLIN, POLLIN).fd : tp->ops->fd(tp);
}

/* ---- records ---- */

static void take_hello(struct filter *f, const uint8_t *head, size_t bytes)
{
    size_t at = HELLO_ROLE + 3;

    if (f->greeted || bytes < at)
        return;
    f->greeted = true;
    f->role = head[HELLO_ROLE] == 0 ? "control" : "data";
    at += (size_t)head[HELLO_ROLE + 1] + 256u * head[HELLO_ROLE + 2] + ID; /* name, boot id */
    if (bytes < at + 2 * ID + 4)
        return;
    memcpy(f->job, head + at, ID);
    f->stream = vf_load_u32(head + at + 2 * ID);
}

static struct announced *announced(const struct filter *f)
{
    size_t i = 0;

    while (i < all.job_count && memcmp(all.jobs[i].job, f->job, ID) != 0)
        i++;
    if (i == all.job_count) {
        if (i == sizeof all.jobs / sizeof all.jobs[0])
            i = all.job_count = 0; /* the oldest have long gone */
        all.jobs[i] = (struct announced){.rounds = 0};
        memcpy(all.jobs[i].job, f->job, ID);
        all.job_count++;
    }
    return &all.jobs[i];
}

/* Does the partition stand when this record passes? A data stream names its round, which the
 * control connection announced, but may not have delivered yet. */
static bool is_paused(const struct filter *f, uint32_t tag, const uint8_t *head)
{
    const uint32_t round = vf_load_u32(head + (tag == PAGES ? 52 : 24));
    const bool names_round = tag == PAGES || tag == ROUND_END || tag == ACK || tag == REHASH;
    struct announced *job;
    struct timespec until;
    bool paused;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(PATIENCE_NS / 1000000000u);
    vf_lock(&all.lock);
    job = announced(f);
    if (tag == ROUND) {
        job->rounds = round + 1;
        job->paused = head[ROUND_PAUSED] != 0;
        vf_cond_broadcast(&all.changed);
    }
    while (names_round && job->rounds <= round &&
           pthread_cond_timedwait(&all.changed, &all.lock, &until) == 0)
        continue;
    paused = job->paused && (!names_round || round + 1 == job->rounds);
    vf_unlock(&all.lock);
    return paused;
}

/* How much of a record must be seen before it is judged. */
static size_t wanted(const uint8_t head[HEADER])
{
    const uint32_t tag = vf_load_u32(head);
    const uint32_t length = vf_load_u32(head + 8);

    if (tag != HELLO && tag != ROUND && tag != PAGES && tag != ROUND_END && tag != ACK &&
        tag != REHASH)
        return HEADER;
    return HEADER + (length < HEAD_MAX - HEADER ? length : HEAD_MAX - HEADER);
}

static void start(struct filter *f, struct way *way, const struct vf_fault_action *action)
{
    const uint64_t end =
        action->value == 0 ? TP_NEVER : vf_now_ns() + action->value * 1000000u; /* ms */

    switch (action->act) {
    case VF_FAULT_STALL:
        way->until_ns = end;
        break;
    case VF_FAULT_FREEZE:
        all.freeze_until_ns = end;
        break;
    case VF_FAULT_DOWN:
        cut_all(end);
        break;
    case VF_FAULT_CUT:
        cut(f);
        break;
    case VF_FAULT_SILENT:
        f->silent = true;
        break;
    case VF_FAULT_HALF:
    case VF_FAULT_SHORT:
    case VF_FAULT_FLIP:
    case VF_FAULT_DUPLICATE:
        way->action = *action;
        break;
    default:
        vf_fault_do(action);
    }
}

/* A record begins, of which `bytes` are in the way's head. */
static void begin(struct filter *f, struct way *way, size_t bytes)
{
    const uint32_t tag = vf_load_u32(way->head);
    struct vf_fault_event event = {.kind = "msg", .of = "", .way = way->name};
    struct vf_fault_action action;
    char number[16];

    way->at = 0;
    way->total = HEADER + (uint64_t)vf_load_u32(way->head + 8);
    way->action.act = VF_FAULT_NONE;
    if (tag == PING)
        return;
    if (tag == HELLO)
        take_hello(f, way->head, bytes);
    (void)snprintf(number, sizeof number, "%u", tag);
    event.name = filter_tag_name != NULL ? filter_tag_name(tag) : number;
    event.role = f->role;
    event.stream = f->stream;
    event.paused = is_paused(f, tag, way->head);
    action = vf_fault_judge(&event);
    if (action.after)
        way->after = action;
    else
        start(f, way, &action);
}

static uint64_t flipped_byte(const struct way *way)
{
    return way->action.value / 8 % way->total;
}

/* How many bytes may pass now; 0 = the record ends here, before its time. */
static uint64_t allowed(const struct way *way)
{
    const uint64_t left = way->total - way->at;
    const uint64_t byte = flipped_byte(way);

    switch (way->action.act) {
    case VF_FAULT_HALF:
        return way->at < way->total / 2 ? way->total / 2 - way->at : 0;
    case VF_FAULT_SHORT:
        return way->action.value < left ? way->action.value : left;
    case VF_FAULT_FLIP:
        return way->at < byte ? byte - way->at : way->at == byte ? 1 : left;
    default:
        return left;
    }
}

static bool flips(const struct way *way)
{
    return way->action.act == VF_FAULT_FLIP && way->at == flipped_byte(way);
}

static uint8_t flip_mask(const struct way *way)
{
    return (uint8_t)(1u << (way->action.value % 8));
}

static void keep(struct way *way, const void *data, size_t bytes)
{
    if (way->action.act != VF_FAULT_DUPLICATE)
        return;
    if (way->copy == NULL && way->total <= COPY_MAX)
        way->copy = malloc(way->total);
    if (way->copy == NULL)
        abort(); /* the test would pass for want of its fault */
    memcpy(way->copy + way->copied, data, bytes);
    way->copied += bytes;
}

static void forget_copy(struct way *way)
{
    free(way->copy);
    way->copy = NULL;
    way->copied = way->again = 0;
}

/* ---- sending ---- */

static size_t flatten(uint8_t *to, size_t most, const struct iovec *iov, int count)
{
    size_t have = 0;

    for (int i = 0; i < count && have < most; i++) {
        const size_t part = iov[i].iov_len < most - have ? iov[i].iov_len : most - have;

        if (part > 0) /* an empty one may have no address */
            memcpy(to + have, iov[i].iov_base, part);
        have += part;
    }
    return have;
}

static long send_again(struct filter *f)
{
    struct way *way = &f->send;
    const uint64_t deadline = vf_now_ns() + PATIENCE_NS;

    while (way->again < way->copied && vf_now_ns() < deadline) {
        const struct iovec rest = {way->copy + way->again, way->copied - way->again};
        struct pollfd fd = {.fd = f->tp->ops->fd(f->tp), .events = POLLOUT};
        const long done = f->tp->ops->send(f->tp, &rest, 1);

        if (done < 0)
            return done;
        way->again += (size_t)done;
        if (done == 0)
            (void)poll(&fd, 1, (int)(PATIENCE_NS / 1000000u));
    }
    forget_copy(way);
    return 0;
}

/* Up to `most` bytes of the iovecs, with the bit that is to be wrong. */
static long send_some(struct filter *f, const struct iovec *iov, int count, uint64_t most)
{
    struct way *way = &f->send;
    struct iovec part[IOV_MOST];
    uint8_t wrong = 0;
    int parts = 0;
    long done;

    for (; parts < count && parts < IOV_MOST && most > 0; parts++) {
        part[parts] = iov[parts];
        if (part[parts].iov_len > most)
            part[parts].iov_len = most;
        most -= part[parts].iov_len;
    }
    if (flips(way)) {
        (void)flatten(&wrong, 1, iov, count);
        wrong ^= flip_mask(way);
        part[0] = (struct iovec){&wrong, 1};
        parts = 1;
    }
    done = f->tp->ops->send(f->tp, part, parts);
    for (long left = done, i = 0; left > 0; i++) {
        const size_t bytes = part[i].iov_len < (size_t)left ? part[i].iov_len : (size_t)left;

        keep(way, part[i].iov_base, bytes);
        left -= (long)bytes;
    }
    return done;
}

long filter_send(struct tp *tp, const struct iovec *iov, int count)
{
    struct filter *f = tp->filter;
    struct way *way;
    uint64_t most;
    long done;

    if (f == NULL)
        return tp->ops->send(tp, iov, count);
    way = &f->send;
    settle_due(f);
    if (way->total == 0 && !is_cut(f)) {
        const size_t bytes = flatten(way->head, HEAD_MAX, iov, count);

        if (bytes < HEADER)
            return tp->ops->send(tp, iov, count); /* no record of ours */
        begin(f, way, bytes);
    }
    if (is_cut(f))
        return -ECONNRESET;
    if (f->silent) {
        done = 0;
        for (int i = 0; i < count; i++)
            done += (long)iov[i].iov_len;
        return done;
    }
    if (stands(f, way))
        return 0;
    most = allowed(way);
    if (most == 0) {
        cut(f);
        return -ECONNRESET;
    }
    done = send_some(f, iov, count, most);
    if (done <= 0)
        return done;
    way->at += (uint64_t)done;
    if (way->at < way->total)
        return done;
    way->total = 0;
    if (way->copied > 0 && send_again(f) != 0)
        return -ECONNRESET;
    vf_fault_do(&way->after);
    way->after.act = VF_FAULT_NONE;
    return done;
}

/* ---- receiving ---- */

/* Reads what must be seen of the next record and judges it. > 0, or as ops->recv. */
static long receive_head(struct filter *f)
{
    struct way *way = &f->recv;

    for (;;) {
        const size_t want = way->have < HEADER ? HEADER : wanted(way->head);
        long done;

        if (way->have == want)
            break;
        done = f->tp->ops->recv(f->tp, way->head + way->have, want - way->have);
        if (done <= 0)
            return done;
        way->have += (size_t)done;
    }
    begin(f, way, way->have);
    return 1;
}

static long receive_again(struct way *way, void *data, size_t bytes)
{
    const size_t left = way->copied - way->again;
    const size_t part = bytes < left ? bytes : left;

    memcpy(data, way->copy + way->again, part);
    way->again += part;
    if (way->again == way->copied)
        forget_copy(way);
    return (long)part;
}

static long receive_some(struct filter *f, uint8_t *data, size_t bytes)
{
    struct way *way = &f->recv;
    long done;

    if (way->at < way->have) {
        done = (long)(bytes < way->have - way->at ? bytes : way->have - way->at);
        memcpy(data, way->head + way->at, (size_t)done);
    } else {
        done = f->tp->ops->recv(f->tp, data, bytes);
    }
    if (done > 0 && flips(way))
        data[0] ^= flip_mask(way);
    if (done > 0)
        keep(way, data, (size_t)done);
    return done;
}

long filter_recv(struct tp *tp, void *data, size_t bytes)
{
    struct filter *f = tp->filter;
    struct way *way;
    uint64_t most;
    long done;

    if (f == NULL)
        return tp->ops->recv(tp, data, bytes);
    way = &f->recv;
    if (is_cut(f))
        return -ECONNRESET;
    if (stands(f, way))
        return -EAGAIN;
    if (way->total == 0) {
        settle_due(f);
        if (way->copied > 0)
            return receive_again(way, data, bytes);
        done = receive_head(f);
        if (done <= 0)
            return done;
        if (is_cut(f))
            return -ECONNRESET;
        if (stands(f, way))
            return -EAGAIN;
    }
    most = allowed(way);
    if (most == 0) {
        cut(f);
        return 0;
    }
    done = receive_some(f, data, bytes < most ? bytes : (size_t)most);
    if (done <= 0)
        return done;
    way->at += (uint64_t)done;
    if (way->at == way->total) {
        way->total = way->have = 0;
        /* Whoever took it does something next: comes for another, sends, or closes. */
        f->due = way->after.act != VF_FAULT_NONE;
    }
    return done;
}
