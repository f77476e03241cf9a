// SPDX-License-Identifier: Apache-2.0
/* How a move begins, on the wire: HELLO, what wants to come (ADMIT), and the answers to it. */
#include "migrate/wire/internal.h"

#define MAX_STREAMS 64u

void wire_put_hello(struct wire_writer *w, const struct wire_message *m)
{
    const struct wire_hello *hello = &m->hello;

    wire_put_u32(w, WIRE_MAGIC);
    wire_put_u16(w, hello->version_min);
    wire_put_u16(w, hello->version_max);
    wire_put_u32(w, hello->features_mandatory);
    wire_put_u32(w, hello->features_optional);
    wire_put_u8(w, hello->role);
    wire_put_text(w, hello->host_name);
    wire_put_bytes(w, hello->boot_id, sizeof hello->boot_id);
    wire_put_bytes(w, hello->job, sizeof hello->job);
    wire_put_bytes(w, hello->token, sizeof hello->token);
    wire_put_u32(w, hello->stream_index);
    wire_put_text(w, hello->listen_address);
    wire_put_u32(w, hello->generation);
}

const char *wire_get_hello(struct wire_reader *r, struct wire_message *m)
{
    struct wire_hello *hello = &m->hello;

    hello->magic = wire_get_u32(r);
    hello->version_min = wire_get_u16(r);
    hello->version_max = wire_get_u16(r);
    hello->features_mandatory = wire_get_u32(r);
    hello->features_optional = wire_get_u32(r);
    hello->role = wire_get_u8(r);
    wire_get_text(r, hello->host_name, sizeof hello->host_name);
    wire_get_bytes(r, hello->boot_id, sizeof hello->boot_id);
    wire_get_bytes(r, hello->job, sizeof hello->job);
    wire_get_bytes(r, hello->token, sizeof hello->token);
    hello->stream_index = wire_get_u32(r);
    wire_get_text(r, hello->listen_address, sizeof hello->listen_address);
    if (wire_get_left(r) >= sizeof hello->generation) /* appended with version 2 */
        hello->generation = wire_get_u32(r);
    if (hello->magic != WIRE_MAGIC)
        return "not a vferry peer";
    if (hello->version_min > hello->version_max)
        return "its version range is empty";
    return hello->role <= WIRE_DATA ? NULL : "unknown role";
}

static void put_params(struct wire_writer *w, const struct vf_partition_params *params)
{
    wire_put_text(w, params->name);
    wire_put_bytes(w, params->uuid, sizeof params->uuid);
    wire_put_u32(w, params->adapter);
    wire_put_u64(w, params->vram_bytes);
    wire_put_u64(w, params->epoch);
    wire_put_bytes(w, params->umed_class, sizeof params->umed_class);
}

static void get_params(struct wire_reader *r, struct vf_partition_params *params)
{
    wire_get_text(r, params->name, sizeof params->name);
    wire_get_bytes(r, params->uuid, sizeof params->uuid);
    params->adapter = wire_get_u32(r);
    params->vram_bytes = wire_get_u64(r);
    params->epoch = wire_get_u64(r);
    wire_get_bytes(r, params->umed_class, sizeof params->umed_class);
}

void wire_put_admit(struct wire_writer *w, const struct wire_message *m)
{
    const struct wire_admit *admit = &m->admit;

    put_params(w, &admit->params);
    wire_put_u64(w, admit->page_bytes);
    wire_put_u64(w, admit->slot_bytes);
    wire_put_u32(w, admit->streams);
    wire_put_u8(w, admit->check_only);
    wire_put_u8(w, admit->verify);
    wire_put_u8(w, admit->stay_paused);
    wire_put_u64(w, admit->epoch);
    wire_put_u64(w, admit->max_blackout_ns);
    wire_put_blob(w, admit->kmd.data, admit->kmd.bytes);
    wire_put_blob(w, admit->umed.data, admit->umed.bytes);
    wire_put_u64(w, admit->max_time_ns);
    wire_put_u8(w, admit->queued);
    if (admit->sent_page_bytes == 0) /* an image has none, and no key */
        return;
    wire_put_u64(w, admit->sent_page_bytes);
    wire_put_bytes(w, admit->key, sizeof admit->key);
}

void wire_get_a_blob(struct wire_reader *r, struct wire_blob *blob)
{
    wire_get_blob(r, &blob->data, &blob->bytes, VF_MAX_MIGRATION_BLOB);
}

/* Only what this format itself cannot carry is an error here; whether the partition fits is the
 * target's verdict. */
static const char *check_admit(const struct wire_admit *admit)
{
    const uint64_t page = admit->page_bytes;
    const uint64_t sent = admit->sent_page_bytes;

    if (!vf_name_valid(admit->params.name))
        return "not a partition's name";
    if (page < 4096 || page > WIRE_MAX_SLOT_BYTES || (page & (page - 1)) != 0)
        return "a page size that cannot be moved";
    if (sent < 4096 || sent > page || (sent & (sent - 1)) != 0)
        return "pages that do not make up what a dirty bit covers";
    if (admit->slot_bytes < page || admit->slot_bytes > WIRE_MAX_SLOT_BYTES ||
        admit->slot_bytes % page != 0)
        return "a slot size that does not fit its pages";
    if (admit->streams == 0 || admit->streams > MAX_STREAMS)
        return "an impossible number of streams";
    /* The next one must exist too, and the journal's integers are signed. */
    if (admit->epoch == 0 || admit->epoch >= INT64_MAX)
        return "an impossible epoch";
    return admit->check_only <= 1 && admit->verify <= 1 && admit->stay_paused <= 1
               ? NULL
               : "an unknown mode";
}

const char *wire_get_admit(struct wire_reader *r, struct wire_message *m)
{
    struct wire_admit *admit = &m->admit;

    get_params(r, &admit->params);
    admit->page_bytes = wire_get_u64(r);
    admit->slot_bytes = wire_get_u64(r);
    admit->streams = wire_get_u32(r);
    admit->check_only = wire_get_u8(r);
    admit->verify = wire_get_u8(r);
    admit->stay_paused = wire_get_u8(r);
    admit->epoch = wire_get_u64(r);
    admit->max_blackout_ns = wire_get_u64(r);
    wire_get_a_blob(r, &admit->kmd);
    wire_get_a_blob(r, &admit->umed);
    if (wire_get_left(r) >= sizeof admit->max_time_ns) /* appended with version 2 */
        admit->max_time_ns = wire_get_u64(r);
    if (wire_get_left(r) >= sizeof admit->queued)
        admit->queued = wire_get_u8(r);
    if (wire_get_left(r) >= sizeof admit->sent_page_bytes)
        admit->sent_page_bytes = wire_get_u64(r);
    if (wire_get_left(r) >= sizeof admit->key)
        wire_get_bytes(r, admit->key, sizeof admit->key);
    if (admit->sent_page_bytes == 0)
        admit->sent_page_bytes = admit->page_bytes;
    return check_admit(admit);
}

void wire_put_admitted(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_bytes(w, m->admitted.token, sizeof m->admitted.token);
    wire_put_u64(w, m->admitted.slot_bytes);
    wire_put_u64(w, m->admitted.sent_page_bytes);
}

const char *wire_get_admitted(struct wire_reader *r, struct wire_message *m)
{
    wire_get_bytes(r, m->admitted.token, sizeof m->admitted.token);
    m->admitted.slot_bytes = wire_get_u64(r);
    if (wire_get_left(r) >= sizeof m->admitted.sent_page_bytes)
        m->admitted.sent_page_bytes = wire_get_u64(r);
    return NULL;
}

void wire_put_verdict(struct wire_writer *w, const struct wire_message *m)
{
    const struct vf_reasons *reasons = &m->verdict.reasons;

    if (reasons->count > VF_MAX_REASONS)
        w->failed = true;
    wire_put_u32(w, reasons->count);
    for (uint32_t i = 0; i < reasons->count && !w->failed; i++) {
        wire_put_text(w, reasons->list[i].field);
        wire_put_text(w, reasons->list[i].source);
        wire_put_text(w, reasons->list[i].target);
        wire_put_text(w, reasons->list[i].remedy);
    }
    /* An older host knows no refusal but for good. */
    wire_put_u32(w, m->verdict.code == WIRE_CODE_REFUSED_NOW ? WIRE_CODE_INCOMPATIBLE
                                                             : m->verdict.code);
    wire_put_text(w, m->verdict.text);
    wire_put_u8(w, m->verdict.code == WIRE_CODE_REFUSED_NOW);
}

const char *wire_get_verdict(struct wire_reader *r, struct wire_message *m)
{
    struct vf_reasons *reasons = &m->verdict.reasons;
    const uint32_t count = wire_get_u32(r);

    if (count > VF_MAX_REASONS)
        return "too many reasons";
    for (uint32_t i = 0; i < count; i++) {
        wire_get_text(r, reasons->list[i].field, sizeof reasons->list[i].field);
        wire_get_text(r, reasons->list[i].source, sizeof reasons->list[i].source);
        wire_get_text(r, reasons->list[i].target, sizeof reasons->list[i].target);
        wire_get_text(r, reasons->list[i].remedy, sizeof reasons->list[i].remedy);
    }
    reasons->count = count;
    m->verdict.code = wire_get_u32(r);
    wire_get_text(r, m->verdict.text, sizeof m->verdict.text);
    if (m->verdict.code != WIRE_CODE_OK)
        m->verdict.code = wire_code_of_peer(m->verdict.code);
    if (wire_get_left(r) >= 1 && wire_get_u8(r) == 1 && m->verdict.code == WIRE_CODE_INCOMPATIBLE)
        m->verdict.code = WIRE_CODE_REFUSED_NOW;
    return NULL;
}
