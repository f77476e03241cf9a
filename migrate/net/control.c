// SPDX-License-Identifier: Apache-2.0
/* See control.h. */
#define LOG_ROOM "migrate"
#include "migrate/net/control.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* An honest peer is never ahead by more than a few records, of which one may carry state. */
#define LINK_MAX_WAITING 64u
#define LINK_MAX_WAITING_BYTES (4u << 20)
#define PINGS_A_SILENCE 5u
#define SAY_EXPLAIN_NS 100000000ull

struct link_entry {
    struct link_entry *next;
    struct wire_message message;
};

/* Under link->lock: until something changes or the deadline. False = deadline. */
static bool wait_change(struct link *link, uint64_t deadline_ns)
{
    struct timespec until;

    if (deadline_ns == TP_NEVER)
        return pthread_cond_wait(&link->changed, &link->lock) == 0;
    until = vf_timespec(deadline_ns);
    return pthread_cond_timedwait(&link->changed, &link->lock, &until) == 0;
}

static void end(struct link *link, const struct vf_error *why, bool aborted)
{
    (void)pthread_mutex_lock(&link->lock);
    link->ended = true;
    link->aborted = aborted;
    link->lost = !aborted && tp_lost(link->tp);
    link->error = *why;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
    link->down(link->down_ctx);
}

/* False when the peer sends more than anyone will take. */
static bool enqueue(struct link *link, struct link_entry *entry)
{
    bool room;

    (void)pthread_mutex_lock(&link->lock);
    room = link->waiting < LINK_MAX_WAITING &&
           entry->message.record.bytes <= LINK_MAX_WAITING_BYTES - link->waiting_bytes;
    if (room) {
        link->waiting++;
        link->waiting_bytes += entry->message.record.bytes;
        if (link->last != NULL)
            link->last->next = entry;
        else
            link->first = entry;
        link->last = entry;
        (void)pthread_cond_broadcast(&link->changed);
    }
    (void)pthread_mutex_unlock(&link->lock);
    return room;
}

/* A record came. False: the link has ended by it. Takes the entry over. */
static bool deliver(struct link *link, struct link_entry *entry)
{
    struct vf_error err = VF_ERROR_INIT;
    bool aborted = entry->message.tag == WIRE_ABORT;

    if (!aborted && enqueue(link, entry))
        return true;
    if (aborted) {
        vf_fail(&err, (enum vf_code)entry->message.abort.code, "%s", entry->message.abort.text);
        vf_context(&err, "peer %s", link->tp->peer);
    } else {
        vf_fail(&err, VF_FAILED, "peer %s: sends control records that nobody asked for",
                link->tp->peer);
    }
    wire_message_free(&entry->message);
    free(entry);
    end(link, &err, aborted);
    return false;
}

/* A ping came. */
static void hear_note(void *ctx, const char *text)
{
    struct link *link = ctx;
    void (*noted)(void *ctx, const char *text);

    (void)pthread_mutex_lock(&link->lock);
    noted = link->noted;
    (void)pthread_mutex_unlock(&link->lock);
    if (noted != NULL)
        noted(link->down_ctx, text);
}

static void *read_loop(void *arg)
{
    struct link *link = arg;
    const struct wire_pings pings = {hear_note, link};
    struct vf_error err = VF_ERROR_INIT;
    struct link_entry *entry = link->heard;

    (void)prctl(PR_SET_NAME, "link-read");
    link->heard = NULL;
    if (entry != NULL && !deliver(link, entry))
        return NULL;
    for (;;) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            vf_fail(&err, VF_FAILED, "control connection: out of memory");
            break;
        }
        if (wire_hear_and_pings(link->tp, &entry->message, &pings, TP_NEVER, &err) != 0) {
            free(entry);
            break;
        }
        if (!deliver(link, entry))
            return NULL;
    }
    end(link, &err, false);
    return NULL;
}

/* Under link->lock: the turn to send, or false. A peer that does not read may hold up a ping, but
 * no record beyond its own deadline: the blackout waits for some. */
static bool take_turn(struct link *link, uint64_t deadline_ns)
{
    while (link->sending && !link->ended && wait_change(link, deadline_ns))
        continue;
    if (link->sending)
        return false;
    link->sending = true;
    return true;
}

static void give_turn(struct link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    link->sending = false;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
}

static void ping(struct link *link, const char *note)
{
    struct vf_error err = VF_ERROR_INIT;

    /* A ping that cannot be sent means that the reader is about to learn the same. */
    if (wire_say_ping(link->tp, note, vf_now_ns() + link->silence_ns, &err) != 0)
        log_debug("ping: %s", err.text);
    give_turn(link);
}

static void *ping_loop(void *arg)
{
    struct link *link = arg;
    uint64_t next = vf_now_ns() + link->silence_ns / PINGS_A_SILENCE;

    (void)prctl(PR_SET_NAME, "link-ping");
    (void)pthread_mutex_lock(&link->lock);
    while (!link->stopping && !link->ended) {
        char note[sizeof link->note];

        if (!(link->note_due && !link->sending) && wait_change(link, next))
            continue;
        next = vf_now_ns() + link->silence_ns / PINGS_A_SILENCE;
        if (link->sending)
            continue; /* what is being sent ends the silence as well */
        link->sending = true;
        link->note_due = false;
        memcpy(note, link->note, sizeof note);
        (void)pthread_mutex_unlock(&link->lock);
        ping(link, note);
        (void)pthread_mutex_lock(&link->lock);
    }
    (void)pthread_mutex_unlock(&link->lock);
    return NULL;
}

static void free_entry(struct link_entry *entry)
{
    if (entry != NULL)
        wire_message_free(&entry->message);
    free(entry);
}

/* No thread: a peer whose job begins with this link hears why. One that comes back may not: to it
 * an ABORT would be the end of the job. */
static int fail_start(struct link *link, bool tell, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    vf_fail(&why, tell ? VF_REFUSED_NOW : VF_FAILED, "control connection: " VF_NO_THREAD);
    if (tell && link->reading)
        wire_say_abort(link->tp, &why); /* the reader takes what comes */
    else if (tell)
        wire_refuse(link->tp, &why);
    link_stop(link);
    *err = why;
    return -1;
}

static int start(struct link *link, struct tp *tp, struct link_entry *heard, uint64_t silence_ns,
                 void (*down)(void *ctx), void *ctx)
{
    memset(link, 0, sizeof *link);
    link->heard = heard;
    link->tp = tp;
    link->down = down;
    link->down_ctx = ctx;
    link->silence_ns = silence_ns;
    tp_set_silence(tp, silence_ns);
    (void)pthread_mutex_init(&link->lock, NULL);
    vf_cond_init(&link->changed);
    link->reading = pthread_create(&link->reader, NULL, read_loop, link) == 0;
    link->pinging = link->reading && pthread_create(&link->pinger, NULL, ping_loop, link) == 0;
    return link->pinging ? 0 : -1;
}

int link_start(struct link *link, struct tp *tp, uint64_t silence_ns, void (*down)(void *ctx),
               void *ctx, struct vf_error *err)
{
    return start(link, tp, NULL, silence_ns, down, ctx) == 0 ? 0 : fail_start(link, false, err);
}

int link_start_new(struct link *link, struct tp *tp, uint64_t silence_ns, void (*down)(void *ctx),
                   void *ctx, struct vf_error *err)
{
    return start(link, tp, NULL, silence_ns, down, ctx) == 0 ? 0 : fail_start(link, true, err);
}

int link_start_heard(struct link *link, struct tp *tp, struct wire_message *heard,
                     uint64_t silence_ns, void (*down)(void *ctx), void *ctx, struct vf_error *err)
{
    struct link_entry *first = calloc(1, sizeof *first);

    if (first == NULL) {
        memset(link, 0, sizeof *link);
        wire_message_free(heard);
        tp_close(tp);
        return vf_fail(err, VF_FAILED, "control connection: out of memory");
    }
    first->message = *heard;
    return start(link, tp, first, silence_ns, down, ctx) == 0 ? 0 : fail_start(link, false, err);
}

void link_stop(struct link *link)
{
    if (link->tp == NULL)
        return;
    (void)pthread_mutex_lock(&link->lock);
    link->stopping = true;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
    tp_abort(link->tp);
    if (link->pinging)
        (void)pthread_join(link->pinger, NULL);
    if (link->reading)
        (void)pthread_join(link->reader, NULL);
    while (link->first != NULL) {
        struct link_entry *entry = link->first;

        link->first = entry->next;
        free_entry(entry);
    }
    free_entry(link->heard);
    tp_close(link->tp);
    (void)pthread_cond_destroy(&link->changed);
    (void)pthread_mutex_destroy(&link->lock);
    memset(link, 0, sizeof *link);
}

int link_say(struct link *link, const struct wire_message *message, uint64_t deadline_ns,
             struct vf_error *err)
{
    bool turn;
    int result;

    (void)pthread_mutex_lock(&link->lock);
    turn = take_turn(link, deadline_ns);
    (void)pthread_mutex_unlock(&link->lock);
    if (!turn)
        return vf_fail(err, VF_FAILED, "peer %s: does not take what it is sent", link->tp->peer);
    result = wire_say(link->tp, message, deadline_ns, err);
    give_turn(link);
    if (result != 0 && err != NULL && tp_lost(link->tp)) {
        uint64_t until = vf_now_ns() + SAY_EXPLAIN_NS;

        /* A peer that aborts closes: its last word is on the way in, or here. */
        (void)link_explain(link, until < deadline_ns ? until : deadline_ns, err);
    }
    return result;
}

void link_note(struct link *link, const char *text)
{
    (void)pthread_mutex_lock(&link->lock);
    (void)snprintf(link->note, sizeof link->note, "%s", text);
    link->note_due = true;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
}

void link_on_note(struct link *link, void (*noted)(void *ctx, const char *text))
{
    (void)pthread_mutex_lock(&link->lock);
    link->noted = noted;
    (void)pthread_mutex_unlock(&link->lock);
}

void link_abort(struct link *link, const struct vf_error *why)
{
    bool turn;

    if (link->tp == NULL)
        return;
    (void)pthread_mutex_lock(&link->lock);
    link->woken = false;
    /* Also when this side's reader gave up on damaged records: the way out may be whole. */
    turn = !link->aborted && take_turn(link, vf_now_ns() + LINK_EXPLAIN_NS);
    (void)pthread_mutex_unlock(&link->lock);
    if (!turn)
        return;
    wire_say_abort(link->tp, why);
    give_turn(link);
}

static struct link_entry *take(struct link *link)
{
    struct link_entry *entry = link->first;

    if (entry != NULL) {
        link->first = entry->next;
        if (link->first == NULL)
            link->last = NULL;
        link->waiting--;
        link->waiting_bytes -= entry->message.record.bytes;
    }
    return entry;
}

int link_expect(struct link *link, enum wire_tag want, enum wire_tag other, uint64_t deadline_ns,
                struct wire_message *out, struct vf_error *err)
{
    struct link_entry *entry = NULL;
    enum { GOT, ENDED, WOKEN, LATE } how = GOT;

    memset(out, 0, sizeof *out);
    (void)pthread_mutex_lock(&link->lock);
    while ((entry = take(link)) == NULL) {
        if (link->woken)
            how = WOKEN;
        else if (link->ended)
            how = ENDED;
        else if (!wait_change(link, deadline_ns))
            how = LATE;
        if (how != GOT)
            break;
    }
    if (how == ENDED && err != NULL)
        *err = link->error;
    (void)pthread_mutex_unlock(&link->lock);

    if (how == WOKEN)
        return vf_fail(err, VF_CANCELLED, "cancelled");
    if (how == LATE)
        return vf_fail(err, VF_FAILED, "peer %s: no %s in time", link->tp->peer,
                       wire_tag_name(want));
    if (how == ENDED)
        return -1;
    *out = entry->message;
    free(entry);
    if (out->tag != want && (other == 0 || out->tag != other)) {
        vf_fail(err, VF_FAILED, "peer %s: sent %s where %s was due", link->tp->peer,
                wire_tag_name(out->tag), wire_tag_name(want));
        wire_message_free(out);
        return -1;
    }
    return 0;
}

bool link_explain(struct link *link, uint64_t deadline_ns, struct vf_error *err)
{
    bool replaced;

    (void)pthread_mutex_lock(&link->lock);
    while (!link->ended && wait_change(link, deadline_ns))
        continue;
    replaced = link->ended;
    if (replaced)
        *err = link->error;
    (void)pthread_mutex_unlock(&link->lock);
    return replaced;
}

void link_linger(struct link *link, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&link->lock);
    while (!link->ended && wait_change(link, deadline_ns))
        continue;
    (void)pthread_mutex_unlock(&link->lock);
}

bool link_ended(struct link *link)
{
    bool ended;

    (void)pthread_mutex_lock(&link->lock);
    ended = link->ended;
    (void)pthread_mutex_unlock(&link->lock);
    return ended;
}

void link_wake(struct link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    link->woken = true;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
}

bool link_aborted(struct link *link)
{
    bool aborted;

    (void)pthread_mutex_lock(&link->lock);
    aborted = link->aborted;
    (void)pthread_mutex_unlock(&link->lock);
    return aborted;
}

bool link_lost(struct link *link)
{
    bool lost;

    (void)pthread_mutex_lock(&link->lock);
    lost = link->lost;
    (void)pthread_mutex_unlock(&link->lock);
    return lost;
}

void link_cut(struct link *link)
{
    tp_abort(link->tp);
}
