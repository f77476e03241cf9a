// SPDX-License-Identifier: Apache-2.0
/* What a journal says, on its way to the other host: ACCOUNT's codec. See account.h. */
#include "migrate/wire/account.h"

#include "migrate/wire/internal.h"

#include <stdio.h>

/* ---- the wire's numbers and ours ---- */

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

/* ---- who runs it, in the text ---- */

/* ACCOUNT has no number for it: a SETTLED whose text begins with the second says that the
 * target runs it, any other that the source does. Part of the format for ever, whatever is told
 * to people. */
static const char *const runs_texts[MIG_SIDES] = {
    [MIG_SOURCE] = "resolved: the source runs it",
    [MIG_TARGET] = "resolved: the target runs it",
};

static enum mig_side runs_by(const char *text)
{
    const char *target = runs_texts[MIG_TARGET];

    return strncmp(text, target, strlen(target)) == 0 ? MIG_TARGET : MIG_SOURCE;
}

/* The text as it is, or behind what says the same as account->runs. */
static void put_text(struct wire_writer *w, const struct wire_account *account)
{
    char text[sizeof account->text];

    if (account->record != WIRE_JOURNAL_SETTLED || runs_by(account->text) == account->runs) {
        wire_put_text(w, account->text);
        return;
    }
    (void)snprintf(text, sizeof text, "%s; %.500s", runs_texts[account->runs], account->text);
    wire_put_text(w, text);
}

/* ---- the codec ---- */

void wire_put_account(struct wire_writer *w, const struct wire_message *m)
{
    const struct wire_account *account = &m->account;

    wire_put_id(w, &account->id);
    wire_put_u8(w, (uint8_t)account->record);
    wire_put_u8(w, (uint8_t)account->side);
    wire_put_u8(w, (uint8_t)account->held);
    wire_put_u8(w, account->job_running);
    wire_put_u64(w, account->time_ns);
    put_text(w, account);
}

const char *wire_get_account(struct wire_reader *r, struct wire_message *m)
{
    struct wire_account *account = &m->account;
    uint8_t record, side, held;

    wire_get_id(r, &account->id);
    record = wire_get_u8(r);
    side = wire_get_u8(r);
    held = wire_get_u8(r);
    account->job_running = wire_get_u8(r);
    account->time_ns = wire_get_u64(r);
    wire_get_text(r, account->text, sizeof account->text);
    if (record >= WIRE_JOURNAL_END || side >= MIG_SIDES)
        return "a record of a kind that no journal has";
    if (held >= WIRE_COPY_END || account->job_running > 1)
        return "an unknown state";
    account->record = (enum wire_journal)record;
    account->side = (enum mig_side)side;
    account->held = (enum wire_copy)held;
    if (account->record == WIRE_JOURNAL_SETTLED)
        account->runs = runs_by(account->text);
    return NULL;
}
