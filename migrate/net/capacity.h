// SPDX-License-Identifier: Apache-2.0
/* What is free on another host, asked before partitions are sent there; and the answer of this one.
 * The asking side is mig_ask_capacity (migrate.h). */
#ifndef MIGRATE_NET_CAPACITY_H
#define MIGRATE_NET_CAPACITY_H

#include "migrate/mig.h"

/* HELLOs are said, and the peer has no job: hears its question and answers. Takes tp over. */
void capacity_reply(struct mig *mig, struct tp *tp, uint64_t deadline_ns);

#endif
