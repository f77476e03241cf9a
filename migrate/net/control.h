// SPDX-License-Identifier: Apache-2.0
/*
 * The control connection of a job: records in order, pings in both directions, and a reader
 * that notices at once when the peer aborts, dies or falls silent, even while the job works
 * on its streams.
 */
#ifndef MIGRATE_NET_CONTROL_H
#define MIGRATE_NET_CONTROL_H

#include "migrate/wire/wire.h"
#include "transport/transport.h"

#include <pthread.h>
#include <stdbool.h>

#define CONTROL_SILENCE_NS 5000000000ull /* unless the host's configuration says otherwise */
#define CONTROL_EXPLAIN_NS 1000000000ull

struct control_entry;

struct control {
    struct tp *tp; /* owned */
    pthread_t reader, pinger;
    bool reading, pinging;   /* threads to join; the job's thread only */
    uint64_t silence_ns;     /* constant */
    void (*down)(void *ctx); /* called once, by the reader, when the link ends for whatever reason;
                                must not block */
    void *down_ctx;
    pthread_mutex_t lock;            /* guards what follows */
    pthread_cond_t changed;          /* CLOCK_MONOTONIC */
    struct control_entry *heard;     /* before it started; the reader's */
    struct control_entry *first, *last; /* messages not yet taken, in order */
    unsigned waiting;                /* how many, and how large: a peer that floods is cut off */
    size_t waiting_bytes;
    bool sending;              /* somebody's record is on its way out: one at a time */
    char note[WIRE_PING_TEXT]; /* what this side is in: the next ping says it */
    bool note_due;
    void (*noted)(void *ctx, const char *text); /* hears what the peer says so; NULL = nobody */
    bool ended, aborted, woken, stopping;
    bool lost;             /* it ended because the connection broke */
    struct vf_error error; /* why it ended; the peer's own words when `aborted` */
};

/* Takes tp over (also on failure) and starts reading and pinging, five pings a silence. */
int control_start(struct control *control, struct tp *tp, uint64_t silence_ns,
                  void (*down)(void *ctx), void *ctx, struct vf_error *err);
/* The same for the link that a job begins with, at its target: without a thread the peer hears so,
 * by an ABORT. */
int control_start_new(struct control *control, struct tp *tp, uint64_t silence_ns,
                      void (*down)(void *ctx), void *ctx, struct vf_error *err);
/* The same, with a record that was heard on tp already, as the first (taken over). */
int control_start_heard(struct control *control, struct tp *tp, struct wire_message *heard,
                        uint64_t silence_ns, void (*down)(void *ctx), void *ctx,
                        struct vf_error *err);
/* Stops both threads and closes. Safe on a zeroed link. */
void control_stop(struct control *control);

/* Tells the peer at once, by a ping, what this side is in for long ("" = nothing any more). Does
 * not wait. Any thread while the link is started. */
void control_note(struct control *control, const char *text);
/* From here on noted(ctx of control_start, text) is called when the peer tells such; the
 * reader's thread. */
void control_on_note(struct control *control, void (*noted)(void *ctx, const char *text));
int control_say(struct control *control, const struct wire_message *message, uint64_t deadline_ns,
                struct vf_error *err);
/* Tells the peer why we stop; whether it arrives is nobody's business any more. Waits that follow
 * are for the peer's answer: an earlier control_wake does not end them. */
void control_abort(struct control *control, const struct vf_error *why);
/* Next message, which must have tag `want` (or `other`, when not 0). The caller frees it by
 * wire_message_free. An ABORT of the peer becomes the error, with the peer's code and text.
 * VF_CANCELLED after control_wake. */
int control_expect(struct control *control, enum wire_tag want, enum wire_tag other,
                   uint64_t deadline_ns, struct wire_message *out, struct vf_error *err);
/* A stream broke: why the link ended, if it has or does until the deadline, is the better
 * explanation, most of all the peer's ABORT. True when *err was replaced. */
bool control_explain(struct control *control, uint64_t deadline_ns, struct vf_error *err);
/* Waits until the peer has closed: a close of ours on top of unread pings could destroy our last
 * record on its way. */
void control_linger(struct control *control, uint64_t deadline_ns);
bool control_ended(struct control *control);
/* Was the end the peer's own word? */
bool control_aborted(struct control *control);
/* Did it break (tp_lost), rather than end by anybody's word or mistake? */
bool control_lost(struct control *control);
/* Ends the waits of this side (a cancel). */
void control_wake(struct control *control);
/* Breaks the connection; the reader ends. Any thread while the link is started. */
void control_cut(struct control *control);

#endif
