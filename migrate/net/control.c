// SPDX-License-Identifier: Apache-2.0
/* See control.h. */
#define LOG_ROOM "migrate"
#include "migrate/net/control.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* An honest peer is never ahead by more than a few records, of which one may carry state. */
#define CONTROL_MAX_WAITING 64u
#define CONTROL_MAX_WAITING_BYTES (4u << 20)
#define PINGS_A_SILENCE 5u
#define SAY_EXPLAIN_NS 100000000ull

struct control_entry {
    struct control_entry *next;
    struct wire_message message;
};

/* Under control->lock: until something changes or the deadline. False = deadline. */
static bool wait_change(struct control *control, uint64_t deadline_ns)
{
    return vf_cond_wait_until(&control->changed, &control->lock, deadline_ns);
}

static void end(struct control *control, const struct vf_error *why, bool aborted)
{
    vf_lock(&control->lock);
    control->ended = true;
    control->aborted = aborted;
    control->lost = !aborted && tp_lost(control->tp);
    control->error = *why;
    vf_cond_broadcast(&control->changed);
    vf_unlock(&control->lock);
    control->down(control->down_ctx);
}

/* False when the peer sends more than anyone will take. */
static bool enqueue(struct control *control, struct control_entry *entry)
{
    bool room;

    vf_lock(&control->lock);
    room = control->waiting < CONTROL_MAX_WAITING &&
           entry->message.record.bytes <= CONTROL_MAX_WAITING_BYTES - control->waiting_bytes;
    if (room) {
        control->waiting++;
        control->waiting_bytes += entry->message.record.bytes;
        if (control->last != NULL)
            control->last->next = entry;
        else
            control->first = entry;
        control->last = entry;
        vf_cond_broadcast(&control->changed);
    }
    vf_unlock(&control->lock);
    return room;
}

/* A record came. False: the link has ended by it. Takes the entry over. */
static bool deliver(struct control *control, struct control_entry *entry)
{
    struct vf_error err = VF_ERROR_INIT;
    bool aborted = entry->message.tag == WIRE_ABORT;

    if (!aborted && enqueue(control, entry))
        return true;
    if (aborted) {
        vf_fail(&err, wire_error_code(entry->message.abort.code), "%s", entry->message.abort.text);
        vf_context(&err, "peer %s", control->tp->peer);
    } else {
        vf_fail(&err, VF_FAILED, "peer %s: sends control records that nobody asked for",
                control->tp->peer);
    }
    wire_message_free(&entry->message);
    free(entry);
    end(control, &err, aborted);
    return false;
}

/* A ping came. */
static void hear_note(void *ctx, const char *text)
{
    struct control *control = ctx;
    void (*noted)(void *ctx, const char *text);

    vf_lock(&control->lock);
    noted = control->noted;
    vf_unlock(&control->lock);
    if (noted != NULL)
        noted(control->down_ctx, text);
}

static void *read_loop(void *arg)
{
    struct control *control = arg;
    const struct wire_pings pings = {hear_note, control};
    struct vf_error err = VF_ERROR_INIT;
    struct control_entry *entry = control->heard;

    (void)prctl(PR_SET_NAME, "control-read");
    control->heard = NULL;
    if (entry != NULL && !deliver(control, entry))
        return NULL;
    for (;;) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            vf_fail(&err, VF_FAILED, "control connection: " VF_NO_MEMORY);
            break;
        }
        if (wire_hear_and_pings(control->tp, &entry->message, &pings, TP_NEVER, &err) != 0) {
            free(entry);
            break;
        }
        if (!deliver(control, entry))
            return NULL;
    }
    end(control, &err, false);
    return NULL;
}

/* Under link->lock: the turn to send, or false. A peer that does not read may hold up a ping, but
 * no record beyond its own deadline: the blackout waits for some. */
static bool begin_sending(struct control *control, uint64_t deadline_ns)
{
    while (control->sending && !control->ended && wait_change(control, deadline_ns))
        continue;
    if (control->sending)
        return false;
    control->sending = true;
    return true;
}

static void end_sending(struct control *control)
{
    vf_lock(&control->lock);
    control->sending = false;
    vf_cond_broadcast(&control->changed);
    vf_unlock(&control->lock);
}

static void ping(struct control *control, const char *note)
{
    struct vf_error err = VF_ERROR_INIT;

    /* A ping that cannot be sent means that the reader is about to learn the same. */
    if (wire_say_ping(control->tp, note, vf_now_ns() + control->silence_ns, &err) != 0)
        log_debug("ping: %s", err.text);
    end_sending(control);
}

static void *ping_loop(void *arg)
{
    struct control *control = arg;
    uint64_t next = vf_now_ns() + control->silence_ns / PINGS_A_SILENCE;

    (void)prctl(PR_SET_NAME, "control-ping");
    vf_lock(&control->lock);
    while (!control->stopping && !control->ended) {
        char note[sizeof control->note];

        if (!(control->note_due && !control->sending) && wait_change(control, next))
            continue;
        next = vf_now_ns() + control->silence_ns / PINGS_A_SILENCE;
        if (control->sending)
            continue; /* what is being sent ends the silence as well */
        control->sending = true;
        control->note_due = false;
        memcpy(note, control->note, sizeof note);
        vf_unlock(&control->lock);
        ping(control, note);
        vf_lock(&control->lock);
    }
    vf_unlock(&control->lock);
    return NULL;
}

static void free_entry(struct control_entry *entry)
{
    if (entry != NULL)
        wire_message_free(&entry->message);
    free(entry);
}

/* No thread: a peer whose job begins with this link hears why. One that comes back may not: to it
 * an ABORT would be the end of the job. */
static int fail_start(struct control *control, bool tell, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    vf_fail(&why, tell ? VF_REFUSED_NOW : VF_FAILED, "control connection: " VF_NO_THREAD);
    if (tell && control->reading)
        wire_say_abort(control->tp, &why); /* the reader takes what comes */
    else if (tell)
        wire_refuse(control->tp, &why);
    control_stop(control);
    *err = why;
    return -1;
}

static int start(struct control *control, struct tp *tp, struct control_entry *heard,
                 uint64_t silence_ns, void (*down)(void *ctx), void *ctx)
{
    memset(control, 0, sizeof *control);
    control->heard = heard;
    control->tp = tp;
    control->down = down;
    control->down_ctx = ctx;
    control->silence_ns = silence_ns;
    tp_set_silence(tp, silence_ns);
    vf_lock_init(&control->lock);
    vf_cond_init(&control->changed);
    control->reading = pthread_create(&control->reader, NULL, read_loop, control) == 0;
    control->pinging =
        control->reading && pthread_create(&control->pinger, NULL, ping_loop, control) == 0;
    return control->pinging ? 0 : -1;
}

int control_start(struct control *control, struct tp *tp, uint64_t silence_ns,
                  void (*down)(void *ctx), void *ctx, struct vf_error *err)
{
    return start(control, tp, NULL, silence_ns, down, ctx) == 0 ? 0
                                                                : fail_start(control, false, err);
}

int control_start_new(struct control *control, struct tp *tp, uint64_t silence_ns,
                      void (*down)(void *ctx), void *ctx, struct vf_error *err)
{
    return start(control, tp, NULL, silence_ns, down, ctx) == 0 ? 0
                                                                : fail_start(control, true, err);
}

int control_start_heard(struct control *control, struct tp *tp, struct wire_message *heard,
                        uint64_t silence_ns, void (*down)(void *ctx), void *ctx,
                        struct vf_error *err)
{
    struct control_entry *first = calloc(1, sizeof *first);

    if (first == NULL) {
        memset(control, 0, sizeof *control);
        wire_message_free(heard);
        tp_close(tp);
        return vf_fail(err, VF_FAILED, "control connection: " VF_NO_MEMORY);
    }
    first->message = *heard;
    return start(control, tp, first, silence_ns, down, ctx) == 0 ? 0
                                                                 : fail_start(control, false, err);
}

void control_stop(struct control *control)
{
    if (control->tp == NULL)
        return;
    vf_lock(&control->lock);
    control->stopping = true;
    vf_cond_broadcast(&control->changed);
    vf_unlock(&control->lock);
    tp_abort(control->tp);
    if (control->pinging)
        (void)pthread_join(control->pinger, NULL);
    if (control->reading)
        (void)pthread_join(control->reader, NULL);
    while (control->first != NULL) {
        struct control_entry *entry = control->first;

        control->first = entry->next;
        free_entry(entry);
    }
    free_entry(control->heard);
    tp_close(control->tp);
    vf_cond_fini(&control->changed);
    vf_lock_fini(&control->lock);
    memset(control, 0, sizeof *control);
}

int control_say(struct control *control, const struct wire_message *message, uint64_t deadline_ns,
                struct vf_error *err)
{
    bool turn;
    int result;

    vf_lock(&control->lock);
    turn = begin_sending(control, deadline_ns);
    vf_unlock(&control->lock);
    if (!turn)
        return vf_fail(err, VF_FAILED, "peer %s: does not take what it is sent", control->tp->peer);
    result = wire_say(control->tp, message, deadline_ns, err);
    end_sending(control);
    if (result != 0 && err != NULL && tp_lost(control->tp)) {
        uint64_t until = vf_now_ns() + SAY_EXPLAIN_NS;

        /* A peer that aborts closes: its last word is on the way in, or here. */
        (void)control_explain(control, until < deadline_ns ? until : deadline_ns, err);
    }
    return result;
}

void control_note(struct control *control, const char *text)
{
    vf_lock(&control->lock);
    (void)snprintf(control->note, sizeof control->note, "%s", text);
    control->note_due = true;
    vf_cond_broadcast(&control->changed);
    vf_unlock(&control->lock);
}

void control_on_note(struct control *control, void (*noted)(void *ctx, const char *text))
{
    vf_lock(&control->lock);
    control->noted = noted;
    vf_unlock(&control->lock);
}

void control_abort(struct control *control, const struct vf_error *why)
{
    bool turn;

    if (control->tp == NULL)
        return;
    vf_lock(&control->lock);
    control->woken = false;
    /* Also when this side's reader gave up on damaged records: the way out may be whole. */
    turn = !control->aborted && begin_sending(control, vf_now_ns() + CONTROL_EXPLAIN_NS);
    vf_unlock(&control->lock);
    if (!turn)
        return;
    wire_say_abort(control->tp, why);
    end_sending(control);
}

static struct control_entry *take(struct control *control)
{
    struct control_entry *entry = control->first;

    if (entry != NULL) {
        control->first = entry->next;
        if (control->first == NULL)
            control->last = NULL;
        control->waiting--;
        control->waiting_bytes -= entry->message.record.bytes;
    }
    return entry;
}

int control_expect(struct control *control, enum wire_tag want, enum wire_tag other,
                   uint64_t deadline_ns, struct wire_message *out, struct vf_error *err)
{
    struct control_entry *entry = NULL;
    enum { GOT, ENDED, WOKEN, LATE } how = GOT;

    memset(out, 0, sizeof *out);
    vf_lock(&control->lock);
    while ((entry = take(control)) == NULL) {
        if (control->woken)
            how = WOKEN;
        else if (control->ended)
            how = ENDED;
        else if (!wait_change(control, deadline_ns))
            how = LATE;
        if (how != GOT)
            break;
    }
    if (how == ENDED && err != NULL)
        *err = control->error;
    vf_unlock(&control->lock);

    if (how == WOKEN)
        return vf_fail(err, VF_CANCELLED, "cancelled");
    if (how == LATE)
        return vf_fail(err, VF_FAILED, "peer %s: no %s in time", control->tp->peer,
                       wire_tag_name(want));
    if (how == ENDED)
        return -1;
    *out = entry->message;
    free(entry);
    if (out->tag != want && (other == 0 || out->tag != other)) {
        vf_fail(err, VF_FAILED, "peer %s: sent %s where %s was due", control->tp->peer,
                wire_tag_name(out->tag), wire_tag_name(want));
        wire_message_free(out);
        return -1;
    }
    return 0;
}

bool control_explain(struct control *control, uint64_t deadline_ns, struct vf_error *err)
{
    bool replaced;

    vf_lock(&control->lock);
    while (!control->ended && wait_change(control, deadline_ns))
        continue;
    replaced = control->ended;
    if (replaced)
        *err = control->error;
    vf_unlock(&control->lock);
    return replaced;
}

void control_linger(struct control *control, uint64_t deadline_ns)
{
    vf_lock(&control->lock);
    while (!control->ended && wait_change(control, deadline_ns))
        continue;
    vf_unlock(&control->lock);
}

bool control_ended(struct control *control)
{
    return vf_locked(&control->lock, control->ended);
}

void control_wake(struct control *control)
{
    vf_lock(&control->lock);
    control->woken = true;
    vf_cond_broadcast(&control->changed);
    vf_unlock(&control->lock);
}

bool control_aborted(struct control *control)
{
    return vf_locked(&control->lock, control->aborted);
}

bool control_lost(struct control *control)
{
    return vf_locked(&control->lock, control->lost);
}

void control_cut(struct control *control)
{
    tp_abort(control->tp);
}
