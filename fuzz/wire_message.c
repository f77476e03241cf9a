// SPDX-License-Identifier: Apache-2.0
/*
 * Control messages. Input: a tag, then the record's payload. What is accepted keeps the promises of
 * wire.h, and says the same once written and read again.
 */
#include "fuzz/target.h"
#include "fuzz/wire_samples.h"

#include <string.h>

static int decode(uint32_t tag, const uint8_t *data, size_t bytes, struct wire_message *out)
{
    struct wire_record record = {
        .tag = tag, .payload = malloc(bytes > 0 ? bytes : 1), .bytes = (uint32_t)bytes};
    struct vf_error err = VF_ERROR_INIT;
    int result;

    fuzz_must(record.payload != NULL);
    if (bytes > 0)
        memcpy(record.payload, data, bytes);
    result = wire_decode(&record, out, &err);
    fuzz_must(record.payload == NULL);
    fuzz_must(result == 0 || (out->record.payload == NULL && err.text[0] != '\0'));
    return result;
}

static bool inside(const struct wire_message *m, const struct wire_blob *blob)
{
    const uint8_t *start = blob->data;

    return blob->bytes <= VF_MAX_MIGRATION_BLOB &&
           (blob->bytes == 0 || (start >= m->record.payload &&
                                 start + blob->bytes <= m->record.payload + m->record.bytes));
}

static bool printable(const char *text, size_t capacity)
{
    size_t length = strnlen(text, capacity);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return length < capacity;
}

static void check_promises(const struct wire_message *m)
{
    switch (m->tag) {
    case WIRE_HELLO:
        fuzz_must(m->hello.version_min <= m->hello.version_max && m->hello.role <= WIRE_DATA);
        fuzz_must(printable(m->hello.host_name, sizeof m->hello.host_name));
        fuzz_must(printable(m->hello.listen_address, sizeof m->hello.listen_address));
        break;
    case WIRE_ADMIT:
        fuzz_must(vf_name_valid(m->admit.params.name) && m->admit.streams > 0);
        fuzz_must(inside(m, &m->admit.kmd) && inside(m, &m->admit.umed));
        fuzz_must(m->admit.page_bytes >= 4096 && m->admit.slot_bytes <= WIRE_MAX_SLOT_BYTES);
        fuzz_must(m->admit.slot_bytes % m->admit.page_bytes == 0 && m->admit.slot_bytes > 0);
        break;
    case WIRE_REFUSED:
    case WIRE_VERDICT:
        fuzz_must(m->verdict.reasons.count <= VF_MAX_REASONS && m->verdict.code <= VF_REFUSED_NOW);
        fuzz_must(printable(m->verdict.text, sizeof m->verdict.text));
        for (uint32_t i = 0; i < m->verdict.reasons.count; i++)
            fuzz_must(printable(m->verdict.reasons.list[i].remedy,
                                sizeof m->verdict.reasons.list[i].remedy));
        break;
    case WIRE_STATE:
        fuzz_must(inside(m, &m->state.kmd) && inside(m, &m->state.msix));
        break;
    case WIRE_ACCOUNT:
        fuzz_must(m->account.record < WIRE_JOURNAL_END && m->account.side < MIG_SIDES);
        fuzz_must(m->account.held < WIRE_COPY_END && m->account.job_running <= 1);
        fuzz_must(printable(m->account.text, sizeof m->account.text));
        break;
    case WIRE_RESUME:
        fuzz_must(m->resume.generation > 0);
        break;
    case WIRE_TABLE: {
        const struct wire_blob digests = {m->table.digests, 8 * m->table.count};

        fuzz_must(m->table.count > 0 && m->table.count <= WIRE_TABLE_DIGESTS);
        fuzz_must(inside(m, &digests));
        (void)wire_table_digest(&m->table, m->table.count - 1);
        break;
    }
    case WIRE_ABORT:
        fuzz_must(m->abort.code >= VF_FAILED && m->abort.code <= VF_REFUSED_NOW);
        fuzz_must(printable(m->abort.text, sizeof m->abort.text));
        break;
    default:
        break;
    }
}

/* Decoded, written, read and written again: the two writings are the same bytes. */
static void check_round_trip(const struct wire_message *first)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message second;
    struct wire_writer a, b;

    wire_writer_init(&a);
    wire_writer_init(&b);
    fuzz_must(wire_encode(first, &a, &err) == 0);
    fuzz_must(decode(first->tag, a.data, a.bytes, &second) == 0);
    fuzz_must(wire_encode(&second, &b, &err) == 0);
    fuzz_must(a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0));
    wire_message_free(&second);
    wire_writer_free(&a);
    wire_writer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint32_t tag = (uint32_t)fuzz_number(&in, 1);
    struct wire_message message;

    if (decode(tag, in.at, in.left, &message) == 0) {
        check_promises(&message);
        check_round_trip(&message);
        wire_message_free(&message);
    }
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    uint32_t tag = index + 1;

    if (tag >= WIRE_TAG_END)
        return 0;
    data[0] = (uint8_t)tag;
    return 1 + wire_sample_payload((enum wire_tag)tag, data + 1, FUZZ_MAX_BYTES - 1);
}
