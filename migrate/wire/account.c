// SPDX-License-Identifier: Apache-2.0
/* What a journal says, on its way to the other host: ACCOUNT's codec. What its numbers mean on a
 * host: handoff/account.h. */
#include "migrate/wire/internal.h"

#include <stdio.h>

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
