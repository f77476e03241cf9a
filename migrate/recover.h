// SPDX-License-Identifier: Apache-2.0
/* What a new daemon finds: partitions in the middle of a move, and the journal that tells how far
 * it had come. */
#ifndef MIGRATE_RECOVER_H
#define MIGRATE_RECOVER_H

#include "migrate/mig.h"

/* Brings every partition whose move has no COMMIT to its right end as far as one side alone can
 * know; lists jobs of the journal. */
int mig_recover(struct mig *mig, struct vf_error *err);

#endif
