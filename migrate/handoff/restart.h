// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that is told to end (an update of vferryd, say) ends its moves as failed, but they were
 * wanted: the journal keeps what was asked, and the next daemon starts them over. A daemon that
 * was killed leaves no such wish; its moves end as failed and the partitions run on.
 */
#ifndef MIGRATE_HANDOFF_RESTART_H
#define MIGRATE_HANDOFF_RESTART_H

#include "migrate/mig.h"

/* The job's ABORTED, which is about to be written, will say how the next daemon is to start it
 * over. The job's own thread. */
void restart_wish(struct mig_job *job);
/* Does its last record say so? Then its options are filled. While the job is recovered. */
bool restart_wanted(struct mig_job *job);
/* Starts over every recovered job that is marked `start_over`, each once. */
void restart_moves(struct mig *mig);

#endif
