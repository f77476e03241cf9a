// SPDX-License-Identifier: Apache-2.0
/* The target's side of a move, for the files that make it up: target.c (its line of phases), target_admit.c (may it come?). */
#ifndef MIGRATE_TARGET_H
#define MIGRATE_TARGET_H

#include "kernel/client.h"
#include "migrate/lane.h"
#include "migrate/link.h"
#include "migrate/mig.h"

#include <stdatomic.h>

struct target {
    struct mig_job *job;
    struct kc *kc;
    struct link link;
    struct wire_hello hello;        /* the peer's */
    struct vf_partition_info partition; /* id 0 = nothing was created */
    bool prepared;                  /* Prepare(TARGET) needs its End */
    bool journalled;
    bool stay_paused;               /* it was paused when it left */
    struct digest_table *table;
    struct lane_plan plan;
    uint8_t token[WIRE_ID_BYTES];
    _Atomic bool lanes_idle;        /* all pages are in: a lane that ends now is no failure */

    pthread_mutex_t lock;           /* guards the lanes' attachment */
    pthread_cond_t changed;         /* CLOCK_MONOTONIC */
    struct lane_target lane[LANE_MAX];
    uint32_t attached;
    bool attaching;                 /* data streams are welcome */
    struct target *next;            /* mig's list of those, guarded by mig's lock */
};

/* Every reason why the partition cannot come, by the real sequence on the best adapter (TGT-1, TGT-2). Without reasons and unless
 * check_only, t->partition is the prepared partition; otherwise nothing is left of the trial. -1 only when the asking itself broke. */
int target_admit(struct target *t, const struct wire_admit *admit, struct vf_reasons *reasons, struct vf_error *err);

/* Undoes what target_admit left. */
void target_discard(struct target *t);

/* Serves a control connection from its HELLO on; takes tp over. Runs in the caller's thread until the job is over. */
void target_serve(struct mig *mig, struct tp *tp, const struct wire_hello *hello);
/* Gives a data stream to the job that its token names. False: nobody wants it (the caller closes it). */
bool target_attach(struct mig *mig, struct tp *tp, const struct wire_hello *hello);

#endif
