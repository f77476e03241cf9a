// SPDX-License-Identifier: Apache-2.0
/*
 * The target's side of a move, for the files that make it up: target.c (its line of phases, its
 * ends), target_admit.c (may it come?), target_lanes.c (data streams), target_handoff.c (READY to
 * DONE), target_redial.c (a source that comes back).
 */
#ifndef MIGRATE_TARGET_H
#define MIGRATE_TARGET_H

#include "kernel/client.h"
#include "migrate/lane.h"
#include "migrate/link.h"
#include "migrate/mig.h"

struct target {
    struct mig_job *job;
    uint16_t version; /* of the protocol, agreed with the source */
    struct kc *kc;
    struct link link;
    struct vf_partition_info partition; /* id 0 = nothing was created */
    bool prepared;                      /* Prepare(TARGET) needs its End */
    bool journalled;
    uint32_t rounds; /* announced, numbered from 0 */
    struct digest_table *table;
    struct lane_plan plan;
    uint8_t token[WIRE_ID_BYTES];

    pthread_mutex_t lock;   /* guards what follows; taken under mig's lock and the job's, no lock is
                               taken under it but a   link's */
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    struct lane_target lane[LANE_MAX];
    uint32_t attached;
    bool attaching;             /* data streams are welcome */
    bool lanes_idle;            /* all pages are in: a lane that ends now is no failure */
    bool lanes_lost;            /* one ended because its stream broke */
    struct vf_error lane_error; /* the first of any lane */
    bool woken;                 /* target_wake was called */
    bool linked;                /* t->link is started: it may be cut */
    bool redial;      /* the hand-off has begun: the source may come back on a new connection */
    struct tp *again; /* it has, on this one; owned */
    struct wire_message word; /* with `again`: what it said there first */
    struct target *next;      /* mig's list of those, guarded by mig's lock */
};

/* Every reason why the partition cannot come, by the real sequence on the best adapter (TGT-1,
 * TGT-2). Without reasons and unless check_only, t->partition is the prepared partition; otherwise
 * nothing is left of the trial. -1 only when the asking itself broke. */
int target_admit(struct target *t, const struct wire_admit *admit, struct vf_reasons *reasons,
                 struct vf_error *err);

/* The same on one adapter; needs no more of t than job and kc. */
int target_admit_on(struct target *t, uint32_t adapter, const struct wire_admit *admit,
                    struct vf_reasons *reasons, struct vf_error *err);
/* Undoes what target_admit left. */
void target_discard(struct target *t);

/* Fills *err for a cancel here: a person's, or this daemon's end, which is a failure to the source.
 * Returns -1. */
int target_cancelled(const struct target *t, struct vf_error *err);

/* What the source will be known by, whichever connection it comes on. */
int target_make_token(struct target *t, struct vf_error *err);
/* Invites the data streams and waits until all are there. */
int target_open_lanes(struct target *t, struct vf_error *err);
/* All pages are in, by the lanes' own account: every round acknowledged, a full verify done. From
 * here they no longer matter. */
int target_close_pages(struct target *t, struct vf_error *err);
void target_stop_lanes(struct target *t);

/* STATE to READY: proof, mutable state, PREPARED (TGT-4). */
int target_prepare(struct target *t, const struct wire_state *state, struct vf_error *err);
/* COMMIT, unpause, RUNNING; waits for a source that redials. *committed: the partition is ours now.
 */
int target_take_over(struct target *t, bool *committed, struct vf_error *err);
/* The partition runs here whatever happens now; this only tells the source when it first ran, and
 * closes the books. */
void target_close_books(struct target *t);

/* The link is gone: waits for the source on a new one. -1: it did not come back in time, or the
 * daemon ends. */
int target_relink(struct target *t, struct vf_error *err);
/* No redial is welcome any more; one that has come is sent away to try again. */
void target_end_redial(struct target *t);
/* A control connection whose HELLO has a token: gives it, with the first word said there, to the
 * hand-off that it is about, or has it answered (answer.h). Takes tp over. */
void target_redialled(struct mig *mig, struct tp *tp, const struct mig_peer *peer);

/* job_set_wake's: a cancel, or the daemon ends. */
void target_wake(void *ctx);
/* link_start's. */
void target_link_down(void *ctx);

/* Serves a control connection from its HELLO on; takes tp over. Runs in the caller's thread until
 * the job is over. */
void target_serve(struct mig *mig, struct tp *tp, const struct wire_hello *hello, uint16_t version);
/* Gives a data stream to the job that its token names. False: nobody wants it (the caller closes
 * it). */
bool target_attach(struct mig *mig, struct tp *tp, const struct wire_hello *hello);

#endif
