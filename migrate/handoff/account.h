// SPDX-License-Identifier: Apache-2.0
/* ACCOUNT's numbers are the wire's own (wire.h); here is what they mean on a host. Pure functions;
 * any thread. */
#ifndef MIGRATE_HANDOFF_ACCOUNT_H
#define MIGRATE_HANDOFF_ACCOUNT_H

#include "migrate/journal/journal.h"
#include "migrate/wire/wire.h"

enum wire_journal wire_journal_of(enum journal_kind kind);
/* The other way. False: the journal has no record of it, and *kind is left alone. */
bool wire_journal_kind(enum wire_journal record, enum journal_kind *kind);
enum wire_copy wire_copy_of(enum vf_partition_state state);

#endif
