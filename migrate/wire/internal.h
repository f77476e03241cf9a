// SPDX-License-Identifier: Apache-2.0
/* Shared by the files of the wire format only: fixed-place numbers, and the record header's bytes.
 */
#ifndef MIGRATE_WIRE_INTERNAL_H
#define MIGRATE_WIRE_INTERNAL_H

#include "migrate/wire/wire.h"

#include <endian.h>
#include <string.h>

static inline void wire_store_u32(uint8_t *to, uint32_t value)
{
    const uint32_t le = htole32(value);

    memcpy(to, &le, sizeof le);
}

static inline void wire_store_u64(uint8_t *to, uint64_t value)
{
    const uint64_t le = htole64(value);

    memcpy(to, &le, sizeof le);
}

static inline uint32_t wire_load_u32(const uint8_t *from)
{
    uint32_t le;

    memcpy(&le, from, sizeof le);
    return le32toh(le);
}

static inline uint64_t wire_load_u64(const uint8_t *from)
{
    uint64_t le;

    memcpy(&le, from, sizeof le);
    return le64toh(le);
}

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
