// SPDX-License-Identifier: Apache-2.0
/*
 * The retry thread: one a host, that brings to their peers the words that jobs still owe when
 * their own threads have ended or a daemon was started again (redial.h), less and less often, for
 * as long as it takes. So an unknown outcome becomes known by itself once the hosts can talk.
 */
#ifndef MIGRATE_HANDOFF_RETRY_H
#define MIGRATE_HANDOFF_RETRY_H

#include "migrate/mig.h"

/* Before anything that may end with the end of mig->retry_due. */
void retry_init(struct mig *mig);
/* Starts the thread, counted among mig's; it ends when the host closes. */
int retry_start(struct mig *mig, struct vf_error *err);
/* As job_over; what the job still owes its peer is brought from now on. */
void retry_job_over(struct mig_job *job, enum job_state state);
/* A job may owe something now. Any thread, without mig's lock. */
void retry_kick(struct mig *mig);
void retry_kick_locked(struct mig *mig);
/* That host has just been heard of: what it is owed is tried at once. */
void retry_peer_is_back(struct mig *mig, const char *address);

#endif
