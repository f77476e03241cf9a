// SPDX-License-Identifier: Apache-2.0
/* What the control records say: one put and one get beside each other for every record, and a table
 * by tag. */
#include "migrate/wire/internal.h"

#include "base/clock.h"

#include <stdio.h>

#define ABORT_PATIENCE_NS 1000000000ull

enum wire_code wire_code_of(enum vf_code code)
{
    switch (code) {
    case VF_OK:
        return WIRE_CODE_OK;
    case VF_USAGE:
        return WIRE_CODE_USAGE;
    case VF_INCOMPATIBLE:
        return WIRE_CODE_INCOMPATIBLE;
    case VF_CANCELLED:
        return WIRE_CODE_CANCELLED;
    case VF_UNREACHABLE:
        return WIRE_CODE_UNREACHABLE;
    case VF_UNKNOWN:
        return WIRE_CODE_UNKNOWN;
    case VF_REFUSED_NOW:
        return WIRE_CODE_REFUSED_NOW;
    case VF_STANDS:
        return WIRE_CODE_STANDS;
    case VF_FAILED:
    case VF_INTERRUPTED:
        break;
    }
    return WIRE_CODE_FAILED;
}

/* What a peer's failure is to us. That its daemon or its words were at fault is its own affair:
 * "own daemon unreachable" said here would be a lie. */
enum vf_code wire_error_code(uint32_t code)
{
    switch (code) {
    case WIRE_CODE_INCOMPATIBLE:
        return VF_INCOMPATIBLE;
    case WIRE_CODE_CANCELLED:
        return VF_CANCELLED;
    case WIRE_CODE_UNKNOWN:
        return VF_UNKNOWN;
    case WIRE_CODE_REFUSED_NOW:
        return VF_REFUSED_NOW;
    default:
        return VF_FAILED;
    }
}

enum wire_code wire_code_of_peer(uint32_t code)
{
    return wire_code_of(wire_error_code(code));
}

static void put_round(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_u32(w, m->round.round);
    wire_put_u64(w, m->round.pages);
    wire_put_u8(w, m->round.paused);
}

static const char *get_round(struct wire_reader *r, struct wire_message *m)
{
    m->round.round = wire_get_u32(r);
    m->round.pages = wire_get_u64(r);
    m->round.paused = wire_get_u8(r);
    return m->round.paused <= 1 ? NULL : "an unknown mode";
}

static void put_count(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_u32(w, m->count.round);
    wire_put_u64(w, m->count.frames);
    wire_put_u64(w, m->count.pages);
}

static const char *get_count(struct wire_reader *r, struct wire_message *m)
{
    m->count.round = wire_get_u32(r);
    m->count.frames = wire_get_u64(r);
    m->count.pages = wire_get_u64(r);
    return NULL;
}

static void put_rehash(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_u32(w, m->rehash.round);
}

static const char *get_rehash(struct wire_reader *r, struct wire_message *m)
{
    m->rehash.round = wire_get_u32(r);
    return NULL;
}

static void put_state(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_blob(w, m->state.kmd.data, m->state.kmd.bytes);
    wire_put_blob(w, m->state.msix.data, m->state.msix.bytes);
    wire_put_bytes(w, m->state.root, sizeof m->state.root);
    wire_put_u64(w, m->state.pages_total_sent);
    wire_put_blob(w, m->state.umed.data, m->state.umed.bytes);
}

static const char *get_state(struct wire_reader *r, struct wire_message *m)
{
    wire_get_a_blob(r, &m->state.kmd);
    wire_get_a_blob(r, &m->state.msix);
    wire_get_bytes(r, m->state.root, sizeof m->state.root);
    m->state.pages_total_sent = wire_get_u64(r);
    wire_get_a_blob(r, &m->state.umed);
    return NULL;
}

void wire_put_id(struct wire_writer *w, const struct wire_handoff *id)
{
    wire_put_bytes(w, id->job, sizeof id->job);
    wire_put_bytes(w, id->uuid, sizeof id->uuid);
    wire_put_u64(w, id->epoch);
}

void wire_get_id(struct wire_reader *r, struct wire_handoff *id)
{
    wire_get_bytes(r, id->job, sizeof id->job);
    wire_get_bytes(r, id->uuid, sizeof id->uuid);
    id->epoch = wire_get_u64(r);
}

static void put_handoff(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_id(w, &m->handoff);
}

static const char *get_handoff(struct wire_reader *r, struct wire_message *m)
{
    wire_get_id(r, &m->handoff);
    return NULL;
}

static void put_ready(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_id(w, &m->ready.id);
    wire_put_bytes(w, m->ready.root, sizeof m->ready.root);
    wire_put_u64(w, m->ready.verify_ns);
    wire_put_u64(w, m->ready.state_ns);
}

static const char *get_ready(struct wire_reader *r, struct wire_message *m)
{
    wire_get_id(r, &m->ready.id);
    wire_get_bytes(r, m->ready.root, sizeof m->ready.root);
    m->ready.verify_ns = wire_get_u64(r);
    m->ready.state_ns = wire_get_u64(r);
    return NULL;
}

static void put_running(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_id(w, &m->running.id);
    wire_put_u64(w, m->running.resume_ns);
    wire_put_u64(w, m->running.first_run_ns);
}

static const char *get_running(struct wire_reader *r, struct wire_message *m)
{
    wire_get_id(r, &m->running.id);
    m->running.resume_ns = wire_get_u64(r);
    m->running.first_run_ns = wire_get_u64(r);
    return NULL;
}

static void put_close(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_u64(w, m->close.first_run_ns);
}

static const char *get_close(struct wire_reader *r, struct wire_message *m)
{
    m->close.first_run_ns = wire_get_u64(r);
    return NULL;
}

static void put_abort(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_u32(w, m->abort.code);
    wire_put_text(w, m->abort.text);
}

static const char *get_abort(struct wire_reader *r, struct wire_message *m)
{
    m->abort.code = wire_get_u32(r);
    wire_get_text(r, m->abort.text, sizeof m->abort.text);
    m->abort.code = wire_code_of_peer(m->abort.code);
    return NULL;
}

static void put_resume(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_id(w, &m->resume.id);
    wire_put_u32(w, m->resume.generation);
    wire_put_u32(w, m->resume.next_round);
}

static const char *get_resume(struct wire_reader *r, struct wire_message *m)
{
    wire_get_id(r, &m->resume.id);
    m->resume.generation = wire_get_u32(r);
    m->resume.next_round = wire_get_u32(r);
    return m->resume.generation != 0 ? NULL : "the first connection cannot be a later one";
}

static void put_resumed(struct wire_writer *w, const struct wire_message *m)
{
    wire_put_id(w, &m->resume.id);
    wire_put_u32(w, m->resume.generation);
}

static const char *get_resumed(struct wire_reader *r, struct wire_message *m)
{
    wire_get_id(r, &m->resume.id);
    m->resume.generation = wire_get_u32(r);
    return NULL;
}

static void put_table(struct wire_writer *w, const struct wire_message *m)
{
    if (m->table.count > WIRE_TABLE_DIGESTS)
        w->failed = true;
    wire_put_u64(w, m->table.first);
    wire_put_u32(w, m->table.count);
    if (!w->failed)
        wire_put_bytes(w, m->table.digests, m->table.count * sizeof(uint64_t));
}

static const char *get_table(struct wire_reader *r, struct wire_message *m)
{
    m->table.first = wire_get_u64(r);
    m->table.count = wire_get_u32(r);
    if (m->table.count == 0 || m->table.count > WIRE_TABLE_DIGESTS)
        return "an impossible number of digests";
    m->table.digests = wire_get_span(r, m->table.count * sizeof(uint64_t));
    return NULL;
}

uint64_t wire_table_digest(const struct wire_table *table, uint32_t i)
{
    return vf_load_u64((const uint8_t *)table->digests + i * sizeof(uint64_t));
}

static void put_nothing(struct wire_writer *w, const struct wire_message *m)
{
    (void)w;
    (void)m;
}

static const char *get_nothing(struct wire_reader *r, struct wire_message *m)
{
    (void)r;
    (void)m;
    return NULL;
}

/* get returns what is wrong with the values, or NULL; overruns are found by wire_reader_end. */
static const struct codec {
    void (*put)(struct wire_writer *w, const struct wire_message *m);
    const char *(*get)(struct wire_reader *r, struct wire_message *m);
    uint32_t flags;
} codecs[WIRE_TAG_END] = {
    [WIRE_HELLO] = {wire_put_hello, wire_get_hello, WIRE_MANDATORY},
    [WIRE_PING] = {put_nothing, get_nothing, 0},
    [WIRE_ADMIT] = {wire_put_admit, wire_get_admit, WIRE_MANDATORY},
    [WIRE_ADMITTED] = {wire_put_admitted, wire_get_admitted, WIRE_MANDATORY},
    [WIRE_REFUSED] = {wire_put_verdict, wire_get_verdict, WIRE_MANDATORY},
    [WIRE_VERDICT] = {wire_put_verdict, wire_get_verdict, WIRE_MANDATORY},
    [WIRE_ROUND] = {put_round, get_round, WIRE_MANDATORY},
    [WIRE_ROUND_END] = {put_count, get_count, WIRE_MANDATORY},
    [WIRE_ACK] = {put_count, get_count, WIRE_MANDATORY},
    [WIRE_REHASH] = {put_rehash, get_rehash, WIRE_MANDATORY},
    [WIRE_STATE] = {put_state, get_state, WIRE_MANDATORY},
    [WIRE_READY] = {put_ready, get_ready, WIRE_MANDATORY},
    [WIRE_COMMIT] = {put_handoff, get_handoff, WIRE_MANDATORY},
    [WIRE_RUNNING] = {put_running, get_running, WIRE_MANDATORY},
    [WIRE_DONE] = {put_handoff, get_handoff, WIRE_MANDATORY},
    [WIRE_CLOSE] = {put_close, get_close, WIRE_MANDATORY},
    [WIRE_ABORT] = {put_abort, get_abort, WIRE_MANDATORY},
    [WIRE_INQUIRE] = {put_handoff, get_handoff, WIRE_MANDATORY},
    [WIRE_ACCOUNT] = {wire_put_account, wire_get_account, WIRE_MANDATORY},
    [WIRE_NEVER_RAN] = {put_handoff, get_handoff, WIRE_MANDATORY},
    [WIRE_RESUME] = {put_resume, get_resume, WIRE_MANDATORY},
    [WIRE_RESUMED] = {put_resumed, get_resumed, WIRE_MANDATORY},
    [WIRE_TABLE] = {put_table, get_table, WIRE_MANDATORY},
    [WIRE_ASK_CAPACITY] = {put_nothing, get_nothing, WIRE_MANDATORY},
    [WIRE_CAPACITY] = {wire_put_capacity, wire_get_capacity, WIRE_MANDATORY},
};

static const struct codec *codec_of(uint32_t tag)
{
    return tag < WIRE_TAG_END && codecs[tag].put != NULL ? &codecs[tag] : NULL;
}

int wire_encode(const struct wire_message *message, struct wire_writer *w, struct vf_error *err)
{
    const struct codec *codec = codec_of(message->tag);

    if (codec == NULL)
        return vf_fail(err, VF_FAILED, "%s is no control record", wire_tag_name(message->tag));
    codec->put(w, message);
    if (w->failed)
        return vf_fail(err, VF_FAILED,
                       "%s: too large to be sent, or no memory" VF_REMEDY VF_MORE_MEMORY,
                       wire_tag_name(message->tag));
    return 0;
}

int wire_decode(struct wire_record *record, struct wire_message *out, struct vf_error *err)
{
    const struct codec *codec = codec_of(record->tag);
    const char *name = wire_tag_name(record->tag);
    struct wire_reader reader;
    const char *wrong;

    memset(out, 0, sizeof *out);
    out->tag = (enum wire_tag)record->tag;
    out->record = *record;
    *record = (struct wire_record){0};
    if (codec == NULL) {
        wire_message_free(out);
        return vf_fail(err, VF_FAILED, "%s is no control record", name);
    }
    wire_reader_init(&reader, out->record.payload, out->record.bytes);
    wrong = codec->get(&reader, out);
    /* First: after an overrun the values mean nothing. */
    if (wire_reader_end(&reader, name, err) != 0) {
        wire_message_free(out);
        return -1;
    }
    if (wrong != NULL) {
        wire_message_free(out);
        return vf_fail(err, VF_FAILED, "%s: %s", name, wrong);
    }
    return 0;
}

void wire_message_free(struct wire_message *message)
{
    wire_record_free(&message->record);
    memset(message, 0, sizeof *message); /* the blobs pointed into it */
}

void wire_hello_init(struct wire_hello *hello)
{
    *hello = (struct wire_hello){.version_min = WIRE_VERSION_MIN,
                                 .version_max = WIRE_VERSION,
                                 .features_optional = WIRE_FEATURES};
}

/* Either side may be the one that says it, and the other's person reads it: both are named. */
int wire_hello_agree(const struct wire_hello *peer, const struct wire_hello *ours,
                     uint32_t known_features, uint16_t *version, struct vf_error *err)
{
    if (peer->version_min > ours->version_max || peer->version_max < ours->version_min)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "host %s speaks versions %u to %u of the migration protocol, host %s %u to "
                       "%u" VF_REMEDY "update vferry on the host with the lower ones",
                       ours->host_name, (unsigned)ours->version_min, (unsigned)ours->version_max,
                       peer->host_name, (unsigned)peer->version_min, (unsigned)peer->version_max);
    if ((peer->features_mandatory & ~known_features) != 0)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "host %s demands features 0x%x that host %s lacks" VF_REMEDY
                       "update vferry on the host that lacks them",
                       peer->host_name, (unsigned)(peer->features_mandatory & ~known_features),
                       ours->host_name);
    *version = peer->version_max < ours->version_max ? peer->version_max : ours->version_max;
    return 0;
}

int wire_say(struct tp *tp, const struct wire_message *message, uint64_t deadline_ns,
             struct vf_error *err)
{
    struct wire_writer w;
    int rc;

    wire_writer_init(&w);
    rc = wire_encode(message, &w, err);
    if (rc == 0)
        rc = wire_send(tp, message->tag, codecs[message->tag].flags, &w, deadline_ns, err);
    wire_writer_free(&w);
    return rc;
}

int wire_hear_body(struct tp *tp, const struct wire_header *header, struct wire_message *out,
                   uint64_t deadline_ns, struct vf_error *err)
{
    struct wire_record record;

    memset(out, 0, sizeof *out);
    if (wire_recv_body(tp, header, &record, deadline_ns, err) != 0)
        return -1;
    return wire_decode(&record, out, err) != 0 ? vf_context(err, "peer %s", tp->peer) : 0;
}

int wire_hear_and_pings(struct tp *tp, struct wire_message *out, const struct wire_pings *pings,
                        uint64_t deadline_ns, struct vf_error *err)
{
    struct wire_header header;

    memset(out, 0, sizeof *out);
    if (wire_recv_header_and_pings(tp, &header, pings, deadline_ns, err) != 0)
        return -1;
    return wire_hear_body(tp, &header, out, deadline_ns, err);
}

int wire_hear(struct tp *tp, struct wire_message *out, uint64_t deadline_ns, struct vf_error *err)
{
    return wire_hear_and_pings(tp, out, NULL, deadline_ns, err);
}

int wire_say_ping(struct tp *tp, const char *text, uint64_t deadline_ns, struct vf_error *err)
{
    char cut[WIRE_PING_TEXT];
    struct wire_writer w;
    int rc;

    (void)snprintf(cut, sizeof cut, "%s", text);
    wire_writer_init(&w);
    wire_put_text(&w, cut);
    rc = wire_send(tp, WIRE_PING, 0, &w, deadline_ns, err);
    wire_writer_free(&w);
    return rc;
}

static int fail_unexpected(const struct tp *tp, enum wire_tag due, const struct wire_message *got,
                           struct vf_error *err)
{
    if (got->tag == WIRE_ABORT)
        return vf_fail(err, wire_error_code(got->abort.code), "peer %s: %s", tp->peer,
                       got->abort.text);
    if (got->tag == WIRE_REFUSED)
        return vf_fail(err,
                       got->verdict.code != WIRE_CODE_OK ? wire_error_code(got->verdict.code)
                                                         : VF_INCOMPATIBLE,
                       "peer %s: %s", tp->peer, got->verdict.text);
    return vf_fail(err, VF_FAILED, "peer %s sent %s where %s was due", tp->peer,
                   wire_tag_name(got->tag), wire_tag_name(due));
}

int wire_expect(struct tp *tp, enum wire_tag tag, struct wire_message *out, uint64_t deadline_ns,
                struct vf_error *err)
{
    enum wire_tag got;

    if (wire_hear(tp, out, deadline_ns, err) != 0)
        return -1;
    if (out->tag == tag)
        return 0;
    got = out->tag;
    (void)fail_unexpected(tp, tag, out, err);
    wire_message_free(out);
    out->tag = got;
    return -1;
}

void wire_say_abort_as(struct tp *tp, enum wire_code code, const char *text)
{
    struct wire_message message = {.tag = WIRE_ABORT, .abort.code = code};
    struct vf_error ignored; /* the stream may be broken already: just what would be told */

    (void)snprintf(message.abort.text, sizeof message.abort.text, "%s", text);
    (void)wire_say(tp, &message, vf_now_ns() + ABORT_PATIENCE_NS, &ignored);
}

void wire_say_abort(struct tp *tp, const struct vf_error *why)
{
    wire_say_abort_as(tp, wire_code_of(why->code), why->text);
}

void wire_refuse(struct tp *tp, const struct vf_error *why)
{
    char waste[4096];

    wire_say_abort(tp, why);
    for (int i = 0; i < 16 && tp->ops->recv(tp, waste, sizeof waste) > 0; i++)
        continue;
}
