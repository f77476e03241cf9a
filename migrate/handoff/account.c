// SPDX-License-Identifier: Apache-2.0
/* See account.h. */
#include "migrate/handoff/account.h"

static const enum wire_journal records[JOURNAL_KINDS] = {
    [JOURNAL_OPEN] = WIRE_JOURNAL_OPEN,       [JOURNAL_PREPARED] = WIRE_JOURNAL_PREPARED,
    [JOURNAL_COMMIT] = WIRE_JOURNAL_COMMIT,   [JOURNAL_COMMITTED] = WIRE_JOURNAL_COMMITTED,
    [JOURNAL_DONE] = WIRE_JOURNAL_DONE,       [JOURNAL_ABORTED] = WIRE_JOURNAL_ABORTED,
    [JOURNAL_SETTLED] = WIRE_JOURNAL_SETTLED,
};

static const enum wire_copy copies[VF_PARTITION_STATES] = {
    [VF_PARTITION_BUILDING] = WIRE_COPY_BUILDING,
    [VF_PARTITION_RUNNING] = WIRE_COPY_RUNNING,
    [VF_PARTITION_PAUSED] = WIRE_COPY_PAUSED,
    [VF_PARTITION_OUTGOING] = WIRE_COPY_OUTGOING,
    [VF_PARTITION_OUTGOING_PAUSED] = WIRE_COPY_OUTGOING_PAUSED,
    [VF_PARTITION_INCOMING] = WIRE_COPY_INCOMING,
    [VF_PARTITION_READY] = WIRE_COPY_READY,
    [VF_PARTITION_FAULTED] = WIRE_COPY_FAULTED,
    [VF_PARTITION_DYING] = WIRE_COPY_DYING,
};

enum wire_journal wire_journal_of(enum journal_kind kind)
{
    return (unsigned)kind < JOURNAL_KINDS ? records[kind] : WIRE_JOURNAL_NONE;
}

bool wire_journal_kind(enum wire_journal record, enum journal_kind *kind)
{
    for (int i = 0; i < JOURNAL_KINDS; i++) {
        if (records[i] == record) {
            *kind = (enum journal_kind)i;
            return true;
        }
    }
    return false;
}

enum wire_copy wire_copy_of(enum vf_partition_state state)
{
    return (unsigned)state < VF_PARTITION_STATES ? copies[state] : WIRE_COPY_FAULTED;
}
