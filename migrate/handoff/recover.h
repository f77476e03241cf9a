// SPDX-License-Identifier: Apache-2.0
/* What a new daemon finds: partitions in the middle of a move, and the journal that tells how far
 * it had come. */
#ifndef MIGRATE_HANDOFF_RECOVER_H
#define MIGRATE_HANDOFF_RECOVER_H

#include "migrate/mig.h"

/* Brings every partition whose move has no COMMIT to its right end as far as one side alone can
 * know; lists jobs of the journal. */
int mig_recover(struct mig *mig, struct vf_error *err);
/* A target's job that is over and that the list has forgotten, from the journal: to answer its
 * source with, for the caller alone. NULL = there is none. Any thread, without mig's lock. */
struct mig_job *mig_remember(struct mig *mig, const uint8_t uuid[16], const uint8_t token[16]);

#endif
