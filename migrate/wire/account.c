// SPDX-License-Identifier: Apache-2.0
/* What a journal says, on its way to the other host: ACCOUNT's codec. */
#include "migrate/journal/journal.h"
#include "migrate/wire/internal.h"

void wire_put_account(struct wire_writer *w, const struct wire_message *m)
{
    const struct wire_account *account = &m->account;

    wire_put_id(w, &account->id);
    wire_put_u8(w, account->record);
    wire_put_u8(w, account->side);
    wire_put_u8(w, account->held);
    wire_put_u8(w, account->job_running);
    wire_put_u64(w, account->time_ns);
    wire_put_text(w, account->text);
}

const char *wire_get_account(struct wire_reader *r, struct wire_message *m)
{
    struct wire_account *account = &m->account;

    wire_get_id(r, &account->id);
    account->record = wire_get_u8(r);
    account->side = wire_get_u8(r);
    account->held = wire_get_u8(r);
    account->job_running = wire_get_u8(r);
    account->time_ns = wire_get_u64(r);
    wire_get_text(r, account->text, sizeof account->text);
    if (account->record > JOURNAL_KINDS || account->side >= JOURNAL_SIDES)
        return "a record of a kind that no journal has";
    return account->held <= VF_PARTITION_STATES && account->job_running <= 1 ? NULL
                                                                             : "an unknown state";
}
