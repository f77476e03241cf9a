// SPDX-License-Identifier: Apache-2.0
/*
 * The control connection of a job: records in order, pings in both directions, and a reader that
 * notices at once when the peer aborts, dies or falls silent, even while the job works on its
 * lanes.
 */
#ifndef MIGRATE_NET_CONTROL_H
#define MIGRATE_NET_CONTROL_H

#include "migrate/wire/wire.h"
#include "transport/transport.h"

#include <pthread.h>
#include <stdbool.h>

#define LINK_SILENCE_NS 5000000000ull /* unless the host's configuration says otherwise */
#define LINK_EXPLAIN_NS 1000000000ull

struct link_entry;

struct link {
    struct tp *tp; /* owned */
    pthread_t reader, pinger;
    bool reading, pinging;   /* threads to join; the job's thread only */
    uint64_t silence_ns;     /* constant */
    void (*down)(void *ctx); /* called once, by the reader, when the link ends for whatever reason;
                                must not block */
    void *down_ctx;
    pthread_mutex_t lock;            /* guards what follows */
    pthread_cond_t changed;          /* CLOCK_MONOTONIC */
    struct link_entry *heard;        /* before it started; the reader's */
    struct link_entry *first, *last; /* messages not yet taken, in order */
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
int link_start(struct link *link, struct tp *tp, uint64_t silence_ns, void (*down)(void *ctx),
               void *ctx, struct vf_error *err);
/* The same for the link that a job begins with, at its target: without a thread the peer hears so,
 * by an ABORT. */
int link_start_new(struct link *link, struct tp *tp, uint64_t silence_ns, void (*down)(void *ctx),
                   void *ctx, struct vf_error *err);
/* The same, with a record that was heard on tp already, as the first (taken over). */
int link_start_heard(struct link *link, struct tp *tp, struct wire_message *heard,
                     uint64_t silence_ns, void (*down)(void *ctx), void *ctx, struct vf_error *err);
/* Stops both threads and closes. Safe on a zeroed link. */
void link_stop(struct link *link);

/* Tells the peer at once, by a ping, what this side is in for long ("" = nothing any more). Does
 * not wait. Any thread while the link is started. */
void link_note(struct link *link, const char *text);
/* From here on noted(ctx of link_start, text) is called when the peer tells such; the reader's
 * thread. */
void link_on_note(struct link *link, void (*noted)(void *ctx, const char *text));
int link_say(struct link *link, const struct wire_message *message, uint64_t deadline_ns,
             struct vf_error *err);
/* Tells the peer why we stop; whether it arrives is nobody's business any more. Waits that follow
 * are for the peer's answer: an earlier link_wake does not end them. */
void link_abort(struct link *link, const struct vf_error *why);
/* Next message, which must have tag `want` (or `other`, when not 0). The caller frees it by
 * wire_message_free. An ABORT of the peer becomes the error, with the peer's code and text.
 * VF_CANCELLED after link_wake. */
int link_expect(struct link *link, enum wire_tag want, enum wire_tag other, uint64_t deadline_ns,
                struct wire_message *out, struct vf_error *err);
/* A stream broke: why the link ended, if it has or does until the deadline, is the better
 * explanation, most of all the peer's ABORT. True when *err was replaced. */
bool link_explain(struct link *link, uint64_t deadline_ns, struct vf_error *err);
/* Waits until the peer has closed: a close of ours on top of unread pings could destroy our last
 * record on its way. */
void link_linger(struct link *link, uint64_t deadline_ns);
bool link_ended(struct link *link);
/* Was the end the peer's own word? */
bool link_aborted(struct link *link);
/* Did it break (tp_lost), rather than end by anybody's word or mistake? */
bool link_lost(struct link *link);
/* Ends the waits of this side (a cancel). */
void link_wake(struct link *link);
/* Breaks the connection; the reader ends. Any thread while the link is started. */
void link_cut(struct link *link);

#endif
