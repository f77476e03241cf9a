// SPDX-License-Identifier: Apache-2.0
/* Which end of a hand-off, for the wire, the journal, the core and jobs alike. */
#ifndef MIGRATE_SIDE_H
#define MIGRATE_SIDE_H

/* The wire's numbers (ACCOUNT), so they stay. A journal has the two words. */
enum mig_side { MIG_SOURCE = 0, MIG_TARGET = 1, MIG_SIDES };

#endif
