// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that is told to end (an update of vferryd, say) ends its moves as failed, but they were
 * wanted: the journal keeps what was asked, and the next daemon starts them over. A daemon that
 * was killed leaves no such wish; its moves end as failed and the partitions run on.
 */
#ifndef MIGRATE_HANDOFF_RESTART_H
#define MIGRATE_HANDOFF_RESTART_H

#include "migrate/mig.h"

/* Later than this after the interruption nobody expects the move any more. */
#define RESTART_WITHIN_NS 600000000000ull

/* The wish as text of the ABORTED record. */
void restart_note(const struct mig_options *options, char *text, size_t bytes);
/* True when `text` is such a wish: *options filled but for `to`. */
bool restart_wanted(const char *text, struct mig_options *options);
/* Starts over every recovered job that is marked `start_over`, each once. */
void restart_moves(struct mig *mig);

#endif
