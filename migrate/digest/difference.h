// SPDX-License-Identifier: Apache-2.0
/*
 * A pre-copy that goes on after its link was lost, the part without a network: which RESUME is
 * followed, and what the two tables of digests say is still owed.
 */
#ifndef MIGRATE_STREAM_DIFFERENCE_H
#define MIGRATE_STREAM_DIFFERENCE_H

#include "migrate/digest/digest.h"
#include "migrate/wire/wire.h"

/* Where a target stands when its link is lost. */
struct resume_point {
    struct wire_handoff id;
    uint32_t generation; /* of the connection that was lost */
    uint32_t rounds;     /* announced; they are numbered from 0 */
    uint32_t proven;     /* acknowledged on every data stream */
};

/* The same hand-off, a later connection, and its first round the one that was interrupted or the
 * next; else -1. */
int resume_check(const struct resume_point *at, const struct wire_resume *asked,
                 struct vf_error *err);

/* The digests from page `first` on, as TABLE carries them; how many, at most WIRE_TABLE_DIGESTS. */
uint32_t resume_tell(const struct digest_table *table, uint64_t first,
                     uint64_t digests[WIRE_TABLE_DIGESTS]);

/* Their digests, which have to begin at *next, against ours: where they differ the page's
 * bit is set, and theirs becomes ours. *next goes behind them. No other thread uses the
 * table meanwhile. */
int resume_take(struct digest_table *ours, const struct wire_table *theirs, uint64_t *next,
                uint64_t *bits, struct vf_error *err);

#endif
