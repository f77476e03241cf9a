// SPDX-License-Identifier: Apache-2.0
/* Payloads: the bounded writer and the reader that never runs past its end. Everything is
 * little endian. */
#include "migrate/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#define WRITER_LIMIT (4u << 20) /* above every control record's cap */

void wire_writer_init(struct wire_writer *w)
{
    *w = (struct wire_writer){0};
}

void wire_writer_free(struct wire_writer *w)
{
    free(w->data);
    wire_writer_init(w);
}

/* Room for `bytes` more, or NULL. */
static uint8_t *grow(struct wire_writer *w, size_t bytes)
{
    if (w->failed || bytes > WRITER_LIMIT - w->bytes) {
        w->failed = true;
        return NULL;
    }
    if (bytes > w->capacity - w->bytes) {
        const size_t needed = w->bytes + bytes;
        const size_t capacity = needed > 2 * w->capacity ? needed + 256 : 2 * w->capacity;
        uint8_t *data = realloc(w->data, capacity);

        if (data == NULL) {
            w->failed = true;
            return NULL;
        }
        w->data = data;
        w->capacity = capacity;
    }
    w->bytes += bytes;
    return w->data + w->bytes - bytes;
}

static void put_number(struct wire_writer *w, uint64_t value, unsigned bytes)
{
    uint8_t *to = grow(w, bytes);

    for (unsigned i = 0; to != NULL && i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

void wire_put_u8(struct wire_writer *w, uint8_t value)
{
    put_number(w, value, 1);
}

void wire_put_u16(struct wire_writer *w, uint16_t value)
{
    put_number(w, value, 2);
}

void wire_put_u32(struct wire_writer *w, uint32_t value)
{
    put_number(w, value, 4);
}

void wire_put_u64(struct wire_writer *w, uint64_t value)
{
    put_number(w, value, 8);
}

void wire_put_bytes(struct wire_writer *w, const void *data, size_t bytes)
{
    uint8_t *to = grow(w, bytes);

    if (to != NULL && bytes > 0)
        memcpy(to, data, bytes);
}

void wire_put_text(struct wire_writer *w, const char *text)
{
    const size_t length = strlen(text);

    if (length > UINT16_MAX) {
        w->failed = true;
        return;
    }
    wire_put_u16(w, (uint16_t)length);
    wire_put_bytes(w, text, length);
}

void wire_put_blob(struct wire_writer *w, const void *data, uint32_t bytes)
{
    wire_put_u32(w, bytes);
    wire_put_bytes(w, data, bytes);
}

void wire_reader_init(struct wire_reader *r, const void *data, size_t bytes)
{
    *r = (struct wire_reader){.data = data, .bytes = bytes};
}

/* The next `bytes`, or NULL and bad for good: what follows an overrun has no meaning. */
static const uint8_t *take(struct wire_reader *r, size_t bytes)
{
    if (r->bad || bytes > r->bytes - r->at) {
        r->bad = true;
        return NULL;
    }
    r->at += bytes;
    return r->data + r->at - bytes;
}

static uint64_t get_number(struct wire_reader *r, unsigned bytes)
{
    const uint8_t *from = take(r, bytes);
    uint64_t value = 0;

    for (unsigned i = 0; from != NULL && i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
    return (uint8_t)get_number(r, 1);
}

uint16_t wire_get_u16(struct wire_reader *r)
{
    return (uint16_t)get_number(r, 2);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
    return (uint32_t)get_number(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
    return get_number(r, 8);
}

void wire_get_bytes(struct wire_reader *r, void *data, size_t bytes)
{
    const uint8_t *from = take(r, bytes);

    if (from != NULL)
        memcpy(data, from, bytes);
    else
        memset(data, 0, bytes);
}

void wire_get_text(struct wire_reader *r, char *text, size_t capacity)
{
    const size_t length = wire_get_u16(r);
    const uint8_t *from = NULL;

    text[0] = '\0';
    if (length >= capacity)
        r->bad = true;
    else
        from = take(r, length);
    if (from == NULL)
        return;
    for (size_t i = 0; i < length; i++)
        text[i] = from[i] < 0x20 || from[i] == 0x7f ? '?' : (char)from[i];
    text[length] = '\0';
}

void wire_get_blob(struct wire_reader *r, const void **data, uint32_t *bytes, uint32_t cap)
{
    const uint32_t length = wire_get_u32(r);

    if (length > cap)
        r->bad = true;
    *data = take(r, length);
    *bytes = *data != NULL ? length : 0;
}

size_t wire_get_left(const struct wire_reader *r)
{
    return r->bad ? 0 : r->bytes - r->at;
}

const void *wire_get_span(struct wire_reader *r, size_t bytes)
{
    return take(r, bytes);
}

int wire_reader_end(const struct wire_reader *r, const char *what, struct vf_error *err)
{
    if (r->bad)
        return vf_fail(err, VF_FAILED, "%s: too short, or a field in it too long", what);
    return 0;
}
