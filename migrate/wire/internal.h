// SPDX-License-Identifier: Apache-2.0
/* Shared by the files of the wire format only. */
#ifndef MIGRATE_WIRE_INTERNAL_H
#define MIGRATE_WIRE_INTERNAL_H

#include "base/bytes.h"
#include "migrate/wire/wire.h"

void wire_put_id(struct wire_writer *w, const struct wire_handoff *id);
void wire_get_id(struct wire_reader *r, struct wire_handoff *id);
/* One of a driver's: no larger than those may be. */
void wire_get_a_blob(struct wire_reader *r, struct wire_blob *blob);
/* A number that came, as one of those that mean something to us. */
enum wire_code wire_code_of_peer(uint32_t code);
void wire_put_hello(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_hello(struct wire_reader *r, struct wire_message *m);
void wire_put_admit(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_admit(struct wire_reader *r, struct wire_message *m);
void wire_put_admitted(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_admitted(struct wire_reader *r, struct wire_message *m);
void wire_put_verdict(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_verdict(struct wire_reader *r, struct wire_message *m);
void wire_put_account(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_account(struct wire_reader *r, struct wire_message *m);
void wire_put_capacity(struct wire_writer *w, const struct wire_message *m);
const char *wire_get_capacity(struct wire_reader *r, struct wire_message *m);

void wire_header_encode(uint8_t out[WIRE_HEADER_BYTES], uint32_t tag, uint32_t flags,
                        uint32_t length);

#endif
