// SPDX-License-Identifier: Apache-2.0
/* Whom this host talks to (docs/security.md): TLS where it has certificates, plain TCP on loopback
 * or where --insecure was said, and that the connections of one job come from one peer. */
#ifndef MIGRATE_NET_PEER_H
#define MIGRATE_NET_PEER_H

#include "migrate/mig.h"

/* This host's certificates, with a reference; NULL = none. Any thread. */
struct tp_tls *mig_tls(struct mig *mig);
/* Looks at how a connection begins, without taking a byte of it: 0 with *tls (a reference) when it
 * is to be wrapped, NULL when plain is right. -1: say so, in plain, and close; *tls may be set. */
int mig_look(struct mig *mig, struct tp *tp, uint64_t deadline_ns, struct tp_tls **tls,
             struct vf_error *err);
/* Is the connection from whom the job is with? To be asked of whoever shows the job's token. The
 * job's peer is known; any lock. */
bool mig_same_peer(const struct mig_job *job, const struct tp *tp);
/* As mig_dial, to the peer of a job that has met it: whom it met must answer, by whatever address
 * (what a source says of itself in HELLO need not be in its certificate). Any thread. */
int mig_dial_again(struct mig_job *job, uint64_t deadline_ns, struct tp **out,
                   struct vf_error *err);
/* A connection that the source's job dialled: its first one says whom the job is with, later ones
 * must be to the same. The job's own thread. */
int mig_know_peer(struct mig_job *job, const struct tp *tp, struct vf_error *err);

#endif
