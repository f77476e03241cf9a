// SPDX-License-Identifier: Apache-2.0
/*
 * The target's side of a move, for the files that make it up: target.c (its line of phases, its
 * end), acceptor.c (who connects), admit.c (may it come?), streams.c (data streams), handoff.c
 * (READY to DONE), ending.c (what the hand-off's core asks for), redial.c (a source that comes
 * back), resume.c (its pre-copy goes on).
 */
#ifndef MIGRATE_TARGET_TARGET_H
#define MIGRATE_TARGET_TARGET_H

#include "kernel/client.h"
#include "migrate/handoff/shell.h"
#include "migrate/stream/stream.h"
#include "migrate/net/control.h"
#include "migrate/mig.h"

/* Who sends nothing holds VF and VRAM no longer, whatever he says of his time or of his turn. */
#define TARGET_KEPT_NS 3600000000000ull

/* What the data streams do. */
enum target_streams {
    STREAMS_IDLE,    /* none is invited, or all pages are in: one that ends now is no failure */
    STREAMS_INVITED, /* they may attach */
    STREAMS_RUN,     /* all are here */
    STREAMS_FAILED,  /* one of them, by a failure here: stream_error */
    STREAMS_LOST,    /* one broke, or did not come: the source may come back */
    TARGET_STREAMS
};

/* The control connection, and whether the source may come back on another one. */
enum target_link {
    LINK_NONE,       /* no connection is started */
    LINK_FIRST,      /* the one that the job began with; the source has no token yet */
    LINK_UP,         /* the source may come back on a new one, which ends this one */
    LINK_AWAITED,    /* lost before STATE: the job waits for a new one, or for a new move instead */
    LINK_OWED,       /* lost in the hand-off: the job waits for a new one, and for nothing else */
    LINK_SUPERSEDED, /* the source came for a new move of the same partition instead */
    LINK_STARTS,     /* the source is back: the new connection is being started */
    LINK_DOWN,       /* the source did not come back; nothing more can be said on this one */
    LINK_CLOSED,     /* the job is over: nobody may come back to it */
    TARGET_LINKS
};

struct target {
    struct mig_job *job;
    uint16_t version; /* of the protocol, agreed with the source */
    struct kc *kc;
    struct control control;
    struct vf_partition_info partition; /* id 0 = nothing was created */
    bool prepared;                      /* Prepare(TARGET) needs its End */
    uint32_t rounds;  /* announced, numbered from 0 */
    uint32_t proven;  /* by all streams, when the link was last lost */
    bool resumed;     /* and no round was announced since: the paused one may come again */
    uint32_t passing; /* so many of the reasons against it may be gone later: the host is full */
    bool queued;      /* the source said that its pages come later; until its first round */
    struct digest_table *table;
    uint8_t digest_key[DIGEST_KEY_BYTES]; /* the source's; zeros: it is too old for one */
    struct stream_plan plan;
    uint8_t token[WIRE_ID_BYTES];
    struct wire_message ready; /* READY, as it is or was sent */
    uint64_t verified_ns;      /* when the pages were proven */
    /* How it ends (ending.c). */
    struct vf_error cause; /* the bare cause, which the source hears; VF_OK = nothing is wrong */
    struct vf_error why;   /* the whole, which the job shows */
    bool done_heard;
    enum job_state
        end; /* how the core has ended it, and the job's error is told; no end: not yet */

    pthread_mutex_t lock;   /* guards what follows; taken under mig's lock and the job's; no lock is
                               taken under it but the control channel's */
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    struct receive_stream stream[STREAM_MAX];
    uint32_t attached;
    bool known;            /* a stream came once: the source has the token, and can come back */
    struct job_round open; /* announced, under way; its figures as they were then */
    bool opened;           /* there is one */
    struct vf_fsm streams; /* enum target_streams */
    struct vf_error stream_error; /* with STREAMS_FAILED and STREAMS_LOST: the first of any stream;
                                     VF_OK: none came */
    struct vf_fsm link;           /* enum target_link */
    struct tp *again;             /* the source came back on this one; owned */
    struct wire_message said;     /* with `again`: what it said there first */
    bool woken;                 /* target_wake was called */
    struct kc *maker;           /* the creation that the job's thread waits for; NULL = none */
    struct target *next;        /* mig's list of those, guarded by mig's lock */
};

/* Every reason why the partition cannot come, by the real sequence on the best adapter (TGT-1,
 * TGT-2). Without reasons and unless check_only, t->partition is the prepared partition; otherwise
 * nothing is left of the trial; t->passing tells how many of the reasons may pass. -1 only when the
 * asking itself broke. */
int target_admit(struct target *t, const struct wire_admit *admit, struct vf_reasons *reasons,
                 struct vf_error *err);

/* The same on one adapter; needs no more of t than job and kc. */
int target_admit_on(struct target *t, uint32_t adapter, const struct wire_admit *admit,
                    struct vf_reasons *reasons, struct vf_error *err);
/* Undoes what target_admit left. -1: the partition is still there, which is logged. */
int target_discard(struct target *t);
/* After COMMITTED: it runs here, unless a person had paused it. */
int target_start(struct target *t, struct vf_error *err);
/* A cancel, or the source is gone: a creation under way is called off, another does not begin.
 * Under t->lock. */
void target_call_off(struct target *t);

/* Fills *err for a cancel here: a person's, or this daemon's end, which is a failure to the source.
 * Returns -1. */
int target_cancelled(const struct target *t, struct vf_error *err);

/* Before any other thread sees t: STREAMS_IDLE, LINK_NONE. */
void target_init_streams(struct target *t);
void target_init_link(struct target *t);
/* Data streams may attach, and what ended those before them is forgotten. Under t->lock. */
void target_invite_streams(struct target *t, const char *why);

/* What the source will be known by, whichever connection it comes on. */
int target_make_token(struct target *t, struct vf_error *err);
/* Invites the data streams and waits until all are there. */
int target_open_streams(struct target *t, struct vf_error *err);
/* The round that was announced last is all in. */
void target_round_done(struct target *t);
/* All pages are in, by the streams' own account: every round acknowledged, a full verify done. From
 * here they no longer matter. */
int target_close_pages(struct target *t, struct vf_error *err);
/* Waits for the data streams that were invited, and starts them. */
int target_start_streams(struct target *t, struct vf_error *err);
/* Nothing reaches VRAM from here on. -1: it may hold something else than the table says, or a
 * stream had failed. */
int target_stop_streams(struct target *t, struct vf_error *err);

/* All pages are here: digests equal, state restored, interrupts replayed, End done (TGT-4).
 * `whose` the digest must be: "source's". *root: of what lies here. */
int target_restore_state(struct target *t, const struct wire_state *state, const char *whose,
                         uint8_t root[DIGEST_ROOT_BYTES], struct vf_error *err);
/* STATE to READY: proof, mutable state, PREPARED. */
int target_prepare(struct target *t, const struct wire_state *state, struct vf_error *err);
/* COMMIT, unpause, RUNNING; waits for a source that redials. -1: t->end is an end, or COMMIT did
 * not come. */
int target_take_over(struct target *t, struct vf_error *err);
/* The partition runs here whatever happens now; this only tells the source when it first ran, and
 * closes the books. */
void target_close_books(struct target *t);
int target_say_running(struct target *t, struct vf_error *err);

/* This has happened to the copy: what follows is carried out (handoff/shell.h). -1: an action
 * failed, *err says why. The job's thread. */
int target_tell(struct target *t, enum handoff_event_kind kind, enum handoff_copy copy,
                struct vf_error *err);
/* The arrival cannot go on, for that reason: what is here goes, or stays for the source's
 * word (t->end). */
void target_give_up(struct target *t, const struct vf_error *err);

/* The connection that the job began with is started. The job's thread, before others know of t. */
void target_first_link(struct target *t);
/* From here on the source may come back on a new connection. */
void target_welcome_back(struct target *t);
/* The link is gone: waits for the source on a new one, until the deadline, as LINK_AWAITED or
 * LINK_OWED. -1: it did not come back in time, or began a new move (t->link says so), or the daemon
 * ends, or, where it may, a cancel came. */
int target_relink(struct target *t, enum target_link as, uint64_t deadline_ns,
                  struct vf_error *err);
/* Is the control channel started? Then it may be cut and woken. Under t->lock. */
bool target_linked(const struct target *t);
/* How long a hand-off that has begun waits for its source. */
uint64_t target_redial_deadline(const struct target *t);
/* Pages were being received and something failed: was it the link or a stream that was lost? */
bool target_lost(struct target *t, struct vf_error *err);
/* A new move of the partition from that host: one that waits for its source to come back need not
 * wait any more. */
void target_supersede(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES], const char *source);
/* Then: the partition waits for its source, which goes on where it was. -1: it is over. */
int target_resume(struct target *t, struct vf_error *err);
/* The job is over: nobody may come back to it; who has come is sent away to try again. */
void target_close_link(struct target *t);
/* A control connection whose HELLO has a token: gives it, with the first word said there, to the
 * hand-off that it is about, or has it answered (handoff/reply.h). Takes tp over. */
void target_redialled(struct mig *mig, struct tp *tp, const struct mig_peer *peer);

/* job_set_wake's: a cancel, or the daemon ends. */
void target_wake(void *ctx);
/* stand_set_note's, and control_on_note's. */
void target_note(void *ctx, const char *text);
void target_hear_note(void *ctx, const char *text);
/* control_start's. */
void target_control_down(void *ctx);

/* Serves a control connection from its HELLO on; takes tp over. Runs in the caller's thread until
 * the job is over. */
void target_serve(struct mig *mig, struct tp *tp, const struct wire_hello *hello, uint16_t version);
/* Gives a data stream to the job that its token names. False: nobody wants it (the caller
 * closes it). */
bool target_attach(struct mig *mig, struct tp *tp, const struct wire_hello *hello);
/* A data stream cannot be served, for want of what `why` says; the caller closes it. The move that
 * waits for it fails with that, unless it was under way already: then its source comes again. */
void target_refuse_stream(struct mig *mig, const struct tp *tp, const struct wire_hello *hello,
                          const struct vf_error *why);

#endif
