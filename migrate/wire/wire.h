// SPDX-License-Identifier: Apache-2.0
/*
 * The record format between two hosts (docs/wire-format.md): little endian, header {tag, flags,
 * length, check}, then a payload whose length is capped by its tag before anything is allocated.
 * Control records go as a struct wire_message (wire_say, wire_hear); page frames go straight
 * between the socket and the shared slots (wire_send_frame, wire_recv_frame_*). A stream has one
 * sending and one receiving thread at most (transport.h). Wrong data from the peer is VF_FAILED,
 * always final for the stream: after any error here, close it.
 */
#ifndef MIGRATE_WIRE_WIRE_H
#define MIGRATE_WIRE_WIRE_H

#include "base/error.h"
#include "migrate/side.h"
#include "transport/transport.h"
#include "vferry/vferry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define WIRE_MAGIC 0x59524656u /* the bytes "VFRY" */
/* The versions this host speaks, oldest and newest; what each is: docs/wire-format.md. */
#define WIRE_VERSION_MIN 1u
#define WIRE_VERSION 2u
#define WIRE_VERSION_RESUME 2u /* the first that knows RESUME, INQUIRE and their answers */
/* HELLO's feature bits: answers ASK_CAPACITY. */
#define WIRE_FEATURE_CAPACITY 1u
/* Takes PACKED in place of PAGES. */
#define WIRE_FEATURE_PACKED 2u
/* Digests by the key that ADMIT has. */
#define WIRE_FEATURE_KEYED 4u
/* All that this host offers. */
#define WIRE_FEATURES (WIRE_FEATURE_CAPACITY | WIRE_FEATURE_PACKED | WIRE_FEATURE_KEYED)
#define WIRE_HEADER_BYTES 16u
#define WIRE_MANDATORY 1u /* record flag: whoever does not know the tag must refuse */
#define WIRE_ID_BYTES 16u
#define WIRE_FRAME_PAGES 1024u /* most pages in one frame */
#define WIRE_FRAME_HEAD_BYTES 56u
#define WIRE_MAX_SLOT_BYTES (4u << 20)
#define WIRE_PAGE_ZERO (1ull << 63) /* in a frame's page list: all zero, no payload */

/* Numbers are for ever: append only. */
enum wire_tag {
    WIRE_HELLO = 1,
    WIRE_PING = 2,      /* optional: "I live", and what keeps me; wire_recv swallows it */
    WIRE_ADMIT = 3,     /* source: may this partition come (or, check_only, could it)? */
    WIRE_ADMITTED = 4,  /* target: yes, VF and VRAM are reserved; data streams need this token */
    WIRE_REFUSED = 5,   /* target: no, and every reason */
    WIRE_VERDICT = 6,   /* target: answer to a check */
    WIRE_ROUND = 7,     /* source, control: a round begins */
    WIRE_PAGES = 8,     /* source, data: one frame */
    WIRE_ROUND_END = 9, /* source, every data stream and control: that was the round */
    WIRE_ACK = 10,      /* target, control: the round is in VRAM, read back and compared */
    WIRE_REHASH = 11,   /* source, control: --verify full, hash the whole paused reserve again */
    WIRE_STATE = 12,
    WIRE_READY = 13,
    WIRE_COMMIT = 14,
    WIRE_RUNNING = 15,
    WIRE_DONE = 16,
    WIRE_CLOSE = 17,
    WIRE_ABORT = 18,
    /* From version 2 on. */
    WIRE_INQUIRE = 19,   /* either: what does your journal say of this hand-off? */
    WIRE_ACCOUNT = 20,   /* its answer */
    WIRE_NEVER_RAN = 21, /* target: ABORTED is in its journal, it never ran there and never will */
    WIRE_RESUME = 22,    /* source, first on a new connection: the pre-copy goes on */
    WIRE_RESUMED = 23,   /* target: yes; its table follows */
    WIRE_TABLE = 24,     /* target: digests of what it holds */
    /* From who offers WIRE_FEATURE_CAPACITY, to who does. */
    WIRE_ASK_CAPACITY = 25, /* whoever looks for a place: what is free on your host? */
    WIRE_CAPACITY = 26,     /* its answer */
    /* To who offers WIRE_FEATURE_PACKED, and in images. */
    WIRE_PACKED = 27, /* source, data: one frame, its payload packed */
    WIRE_TAG_END,
};

/* "HELLO", …; "tag ?" for others. Static text. */
const char *wire_tag_name(uint32_t tag);
/* Largest payload accepted for the tag; also the one for unknown optional tags. */
uint32_t wire_tag_cap(uint32_t tag);

/* ---- payloads being written ---- */

/* Grows up to 4 MiB; too much or no memory sets `failed`, which wire_send reports. Start
 * with {0} or wire_writer_init. */
struct wire_writer {
    uint8_t *data;
    size_t bytes, capacity;
    bool failed;
};

void wire_writer_init(struct wire_writer *w);
void wire_writer_free(struct wire_writer *w);
void wire_put_u8(struct wire_writer *w, uint8_t value);
void wire_put_u16(struct wire_writer *w, uint16_t value);
void wire_put_u32(struct wire_writer *w, uint32_t value);
void wire_put_u64(struct wire_writer *w, uint64_t value);
void wire_put_bytes(struct wire_writer *w, const void *data, size_t bytes);
/* A u16 or u32 length, then the bytes. */
void wire_put_text(struct wire_writer *w, const char *text);
void wire_put_blob(struct wire_writer *w, const void *data, uint32_t bytes);

/* ---- payloads being read ---- */

/* Every getter that would run past the end returns zeros and sets `bad`: read all fields, then ask
 * wire_reader_end once. */
struct wire_reader {
    const uint8_t *data;
    size_t bytes, at;
    bool bad;
};

void wire_reader_init(struct wire_reader *r, const void *data, size_t bytes);
uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_u16(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
void wire_get_bytes(struct wire_reader *r, void *data, size_t bytes);
/* Text longer than capacity - 1 is bad; control characters become '?' (it will reach a log or a
 * terminal). Terminated always. */
void wire_get_text(struct wire_reader *r, char *text, size_t capacity);
/* Points into the reader's data; longer than cap is bad (NULL, 0). */
void wire_get_blob(struct wire_reader *r, const void **data, uint32_t *bytes, uint32_t cap);
/* Bytes not yet got. */
size_t wire_get_left(const struct wire_reader *r);
/* `bytes` of them where they lie, or NULL. */
const void *wire_get_span(struct wire_reader *r, size_t bytes);
/* 0, or -1 when any getter overran. Bytes left over are fine: a newer peer appends fields. `what`
 * names the record. */
int wire_reader_end(const struct wire_reader *r, const char *what, struct vf_error *err);

/* ---- records ---- */

struct wire_header {
    uint32_t tag, flags, length; /* length: of the payload, already checked against the tag's cap */
};

/* A received control record. payload (malloc'ed) is without its 8 bytes of checksum, which
 * was right. */
struct wire_record {
    uint32_t tag, flags;
    uint8_t *payload;
    uint32_t bytes;
};

/* Sends a control record: header, checksum, payload. `w` NULL = empty. Does not free the writer. */
int wire_send(struct tp *tp, uint32_t tag, uint32_t flags, const struct wire_writer *w,
              uint64_t deadline_ns, struct vf_error *err);
/* Next header; skips PING and unknown optional records with their payload, refuses
 * unknown mandatory ones. The payload follows: take it by wire_recv_body, or for
 * WIRE_PAGES and WIRE_PACKED by wire_recv_frame_head. */
int wire_recv_header(struct tp *tp, struct wire_header *out, uint64_t deadline_ns,
                     struct vf_error *err);
/* What a PING may say: what its sender is in for long ("DDI X of driver Y"), cut to fit. Empty or
 * without text: nothing. */
#define WIRE_PING_TEXT 200u
/* Whoever wants to hear what PINGs say; called by the receiving thread. */
struct wire_pings {
    void (*heard)(void *ctx, const char *text);
    void *ctx;
};
/* As wire_recv_header; pings (NULL = nobody) hears of each PING meanwhile. */
int wire_recv_header_and_pings(struct tp *tp, struct wire_header *out,
                               const struct wire_pings *pings, uint64_t deadline_ns,
                               struct vf_error *err);
int wire_recv_body(struct tp *tp, const struct wire_header *header, struct wire_record *out,
                   uint64_t deadline_ns, struct vf_error *err);
/* Both; frames are refused (they belong on data streams). */
int wire_recv(struct tp *tp, struct wire_record *out, uint64_t deadline_ns, struct vf_error *err);
void wire_record_free(struct wire_record *record);

/* ---- what the control records say ---- */

enum wire_role { WIRE_CONTROL, WIRE_DATA };

struct wire_hello { /* first on every stream, both ways */
    uint32_t magic; /* filled by wire_say, checked by wire_hear */
    uint16_t version_min, version_max;
    uint32_t features_mandatory, features_optional;
    uint8_t role; /* enum wire_role */
    char host_name[VF_NAME_BYTES];
    uint8_t boot_id[WIRE_ID_BYTES];
    uint8_t job[WIRE_ID_BYTES];
    uint8_t token[WIRE_ID_BYTES]; /* data streams: as given by ADMITTED; else zero */
    uint32_t stream_index;
    char listen_address[256]; /* where others reach the sender, "" = nowhere */
    uint32_t generation;      /* data streams: of the connection they belong to; version 2 */
};

/* Ours, with the versions and nothing else filled in. */
void wire_hello_init(struct wire_hello *hello);
/* Version both speak: the highest common one. VF_INCOMPATIBLE when there is none, or when the peer
 * demands a feature outside `known_features`: in words that are right on either host. */
int wire_hello_agree(const struct wire_hello *peer, const struct wire_hello *ours,
                     uint32_t known_features, uint16_t *version, struct vf_error *err);

struct wire_blob { /* received: borrowed from the message, gone with wire_message_free */
    const void *data;
    uint32_t bytes;
};

struct wire_admit {
    struct vf_partition_params params; /* name checked on receipt; `adapter` is the source's */
    uint64_t page_bytes, slot_bytes;   /* what a dirty bit covers; the most that a frame carries */
    uint32_t streams;
    uint8_t check_only;
    uint8_t verify;      /* enum mig_verify */
    uint8_t stay_paused; /* a person had paused it: it arrives paused */
    uint64_t epoch;      /* the one this hand-off would give */
    uint64_t max_blackout_ns;
    struct wire_blob kmd, umed; /* immutable data; umed may be empty */
    uint64_t max_time_ns;       /* of the whole move; 0 = no limit, or not told (version 1) */
    uint8_t queued; /* other moves of the source's host have their turn: pages come later */
    /* The size of the pages to be sent, which make up page_bytes. Sent as 0: page_bytes, as of who
     * is older. */
    uint64_t sent_page_bytes;
    /* What the digests of this move depend on; all zeros: nothing, as with who is older. */
    uint8_t key[WIRE_ID_BYTES];
};

struct wire_admitted {
    uint8_t token[WIRE_ID_BYTES];
    uint64_t slot_bytes; /* ≤ the one asked for */
    uint64_t sent_page_bytes; /* the one asked for; 0: a dirty page, as of who is older */
};

/* Why, in ABORT, REFUSED and VERDICT. Numbers are for ever; received, one that is not known, or
 * that is the peer's own affair, is WIRE_CODE_FAILED. */
enum wire_code {
    WIRE_CODE_OK = 0, /* VERDICT: compatible */
    WIRE_CODE_FAILED = 1,
    WIRE_CODE_USAGE = 2, /* sent, and read as FAILED; so are the other two */
    WIRE_CODE_INCOMPATIBLE = 3,
    WIRE_CODE_CANCELLED = 4,
    WIRE_CODE_UNREACHABLE = 5,
    WIRE_CODE_UNKNOWN = 6,
    WIRE_CODE_REFUSED_NOW = 7, /* an ABORT's; REFUSED and VERDICT say it by full_now */
    WIRE_CODE_STANDS = 61,
    /* In an ABORT that answers COMMIT, ABORT or INQUIRE on a connection of its own: */
    WIRE_CODE_NOT_NOW = 1,   /* it cannot be served at present: ask again */
    WIRE_CODE_NO_RECORD = 3, /* the host knows of no such hand-off */
    WIRE_CODE_COMMITTED = 6, /* its last word: it was committed, and runs there or was lost since */
};
/* What an error of this host is called on the wire, and a peer's number here. */
enum wire_code wire_code_of(enum vf_code code);
enum vf_code wire_error_code(uint32_t code);

struct wire_verdict { /* VERDICT and REFUSED */
    struct vf_reasons reasons;
    uint32_t code; /* enum wire_code */
    char text[600];
};

struct wire_round {
    uint32_t round;
    uint64_t pages;
    uint8_t paused;
};

struct wire_count { /* ROUND_END and ACK: totals of the round (on a data stream: of that stream) */
    uint32_t round;
    uint64_t frames, pages;
};

struct wire_rehash {
    uint32_t round; /* the last one before it */
};

struct wire_state {
    struct wire_blob kmd, msix;
    uint8_t root[WIRE_ID_BYTES];
    uint64_t pages_total_sent;
    struct wire_blob umed; /* empty when the source has no emulation, or that no state */
};

struct wire_handoff { /* COMMIT, DONE, INQUIRE, NEVER_RAN, and the start of others */
    uint8_t job[WIRE_ID_BYTES];
    uint8_t uuid[VF_UUID_BYTES];
    uint64_t epoch;
};

struct wire_ready {
    struct wire_handoff id;
    uint8_t root[WIRE_ID_BYTES];
    uint64_t verify_ns, state_ns;
};

struct wire_running {
    struct wire_handoff id;
    uint64_t resume_ns, first_run_ns; /* the target's CLOCK_MONOTONIC; 0 = unknown */
};

struct wire_close {
    uint64_t first_run_ns;
};

/* Numbers are for ever: append only. What they mean on a host: handoff/account.h. */
enum wire_journal { /* the last record of a hand-off in a journal */
                    WIRE_JOURNAL_NONE = 0,
                    WIRE_JOURNAL_OPEN = 1,
                    WIRE_JOURNAL_PREPARED = 2,
                    WIRE_JOURNAL_COMMIT = 3,
                    WIRE_JOURNAL_COMMITTED = 4,
                    WIRE_JOURNAL_DONE = 5,
                    WIRE_JOURNAL_ABORTED = 6,
                    WIRE_JOURNAL_SETTLED = 7,
                    WIRE_JOURNAL_END,
};

enum wire_copy { /* what a kernel side has of the hand-off's partition, by its state */
                 WIRE_COPY_NONE = 0,
                 WIRE_COPY_BUILDING = 1,
                 WIRE_COPY_RUNNING = 2,
                 WIRE_COPY_PAUSED = 3,
                 WIRE_COPY_OUTGOING = 4,
                 WIRE_COPY_OUTGOING_PAUSED = 5,
                 WIRE_COPY_INCOMING = 6,
                 WIRE_COPY_READY = 7,
                 WIRE_COPY_FAULTED = 8,
                 WIRE_COPY_DYING = 9,
                 WIRE_COPY_END,
};

struct wire_account { /* what the journal of the host that says it has about a hand-off */
    struct wire_handoff id;
    enum wire_journal record;
    enum mig_side side;  /* its own */
    enum mig_side runs;  /* SETTLED: who runs the partition; on the wire it is in the text */
    enum wire_copy held; /* by its kernel side */
    uint8_t job_running; /* 1: its job has not ended yet, so that nothing is settled */
    uint64_t time_ns;    /* of the record, CLOCK_REALTIME */
    char text[600];      /* the record's */
};

struct wire_resume { /* RESUME; RESUMED has no next_round */
    struct wire_handoff id;
    uint32_t generation; /* of the connection: the first is 0, each later one is higher */
    uint32_t next_round; /* the first that this generation will announce */
};

/* What partitions may still get of one adapter; as struct vf_adapter_info. */
struct wire_adapter {
    char device[VF_TEXT_BYTES];
    uint32_t vf_count, vf_free;
    uint64_t vram_bytes, vram_free_bytes, vram_largest_bytes;
    uint8_t live_migration;
};

struct wire_capacity {
    char version[VF_TEXT_BYTES]; /* of its vferryd */
    uint8_t takes;               /* 1: partitions may arrive; 0: `why` says why not */
    char why[160];
    uint32_t partitions;
    uint32_t count;
    struct wire_adapter adapters[VF_MAX_ADAPTERS];
};

#define WIRE_TABLE_DIGESTS 4096u

struct wire_table { /* TABLE: the digests of pages first … first + count - 1 */
    uint64_t first;
    uint32_t count;      /* 1 to WIRE_TABLE_DIGESTS */
    const void *digests; /* count little endian u64s; received: borrowed as a blob is */
};

uint64_t wire_table_digest(const struct wire_table *table, uint32_t i);

struct wire_abort {
    uint32_t code; /* enum wire_code */
    char text[600];
};

struct wire_message {
    enum wire_tag tag;
    union {
        struct wire_hello hello;
        struct wire_admit admit;
        struct wire_admitted admitted;
        struct wire_verdict verdict; /* REFUSED, VERDICT */
        struct wire_round round;
        struct wire_count count; /* ROUND_END, ACK */
        struct wire_rehash rehash;
        struct wire_state state;
        struct wire_handoff handoff; /* COMMIT, DONE, INQUIRE, NEVER_RAN */
        struct wire_ready ready;
        struct wire_running running;
        struct wire_close close;
        struct wire_abort abort;
        struct wire_account account;
        struct wire_capacity capacity;
        struct wire_resume resume; /* RESUME, RESUMED */
        struct wire_table table;
    };
    struct wire_record record; /* received: owns what the blobs point into; zero when sending */
};

/* Payload of a message, and back. wire_decode takes over `record` (emptied, also on failure). */
int wire_encode(const struct wire_message *message, struct wire_writer *w, struct vf_error *err);
int wire_decode(struct wire_record *record, struct wire_message *out, struct vf_error *err);

/* Encode and send; receive and decode. A heard message is freed by wire_message_free (safe on a
 * zeroed or failed one too). */
int wire_say(struct tp *tp, const struct wire_message *message, uint64_t deadline_ns,
             struct vf_error *err);
int wire_hear(struct tp *tp, struct wire_message *out, uint64_t deadline_ns, struct vf_error *err);
int wire_hear_and_pings(struct tp *tp, struct wire_message *out, const struct wire_pings *pings,
                        uint64_t deadline_ns, struct vf_error *err);
/* A PING that says what this side is in for long; "" = nothing any more. */
int wire_say_ping(struct tp *tp, const char *text, uint64_t deadline_ns, struct vf_error *err);
/* As wire_hear, but only `tag` will do: an ABORT becomes the error it carries ("peer PEER: TEXT",
 * its code), a REFUSED likewise, anything else VF_FAILED "peer PEER sent X where Y was due"; then
 * out->tag says what came and out holds nothing else. */
int wire_expect(struct tp *tp, enum wire_tag tag, struct wire_message *out, uint64_t deadline_ns,
                struct vf_error *err);
/* As wire_hear for a header already received by wire_recv_header (data streams, where frames and
 * records mix). */
int wire_hear_body(struct tp *tp, const struct wire_header *header, struct wire_message *out,
                   uint64_t deadline_ns, struct vf_error *err);
void wire_message_free(struct wire_message *message);
/* Tells the peer why it is over, best effort, within a second. */
void wire_say_abort(struct tp *tp, const struct vf_error *why);
/* The same with a code that says more than an error's own. */
void wire_say_abort_as(struct tp *tp, enum wire_code code, const char *text);
/* The same to a peer that is about to be left, before a close: reads what it sends meanwhile, since
 * a close over unread bytes would be a reset, which may overtake the word. Nobody else may read. */
void wire_refuse(struct tp *tp, const struct vf_error *why);

/* ---- page frames ---- */

struct wire_frame {
    uint8_t job[WIRE_ID_BYTES];
    uint64_t epoch;
    uint32_t generation; /* of the connection: frames of an older one are dropped by the receiver */
    uint32_t round;
    uint64_t sequence; /* per stream, from 0 */
    uint32_t count;
    uint32_t payload_bytes;
    uint64_t pages[WIRE_FRAME_PAGES]; /* strictly rising; WIRE_PAGE_ZERO: without payload */
    uint64_t digests[WIRE_FRAME_PAGES];
    /* Not on the wire: where in the slot page i lies, in pages. Sending: set by wire_frame_add,
     * any order. Receiving: payload pages lie one after the other from the slot's start. Zero
     * pages have UINT32_MAX. */
    uint32_t place[WIRE_FRAME_PAGES];
};

/* What a frame must fit; agreed at admission. */
struct wire_geometry {
    uint64_t page_bytes;
    uint64_t pages_total;
    uint64_t slot_bytes;
};

/* Appends a page; `place` = its position in the gathered slot (ignored when zero). The caller keeps
 * count ≤ WIRE_FRAME_PAGES and indices rising; false when there is no room. Empty the frame by
 * count = payload_bytes = 0. */
bool wire_frame_add(struct wire_frame *frame, uint64_t page, uint64_t digest, bool zero,
                    uint32_t place, uint64_t page_bytes);

/* count, payload_bytes, indices: everything the frame says against the geometry. */
int wire_frame_check(const struct wire_frame *frame, const struct wire_geometry *geometry,
                     struct vf_error *err);

/* Sends head, lists and payload straight from the slot. *sent (may be NULL) = bytes on the wire. */
int wire_send_frame(struct tp *tp, const struct wire_frame *frame, const void *slot,
                    const struct wire_geometry *geometry, uint64_t *sent, uint64_t deadline_ns,
                    struct vf_error *err);
/* How a frame's payload is packed. Numbers are for ever: append only. */
enum wire_packing { WIRE_PLAIN = 0, WIRE_LZ4 = 1, WIRE_ZSTD = 2, WIRE_PACKINGS };

struct wire_packed { /* a payload as it travels */
    enum wire_packing packing;
    uint32_t bytes;   /* less than the frame's payload_bytes; 0 with WIRE_PLAIN */
    const void *data; /* sending */
};

/* As wire_send_frame, with the payload packed as `packed` says. */
int wire_send_packed(struct tp *tp, const struct wire_frame *frame,
                     const struct wire_packed *packed, const struct wire_geometry *geometry,
                     uint64_t *sent, uint64_t deadline_ns, struct vf_error *err);
/* What it takes on the wire, packed or (NULL) as it is. */
uint64_t wire_frame_bytes(const struct wire_frame *frame, const struct wire_packed *packed);
/* Where in the slot the frame's payload lies, parts that touch as one. Returns their number; -1: a
 * place outside the slot (a bug here). */
int wire_frame_parts(const struct wire_frame *frame, const void *slot,
                     const struct wire_geometry *geometry, struct iovec parts[WIRE_FRAME_PAGES]);

/* Is it a frame, plain or packed? */
static inline bool wire_is_frame(uint32_t tag)
{
    return tag == WIRE_PAGES || tag == WIRE_PACKED;
}

/* After wire_recv_header said WIRE_PAGES or WIRE_PACKED: head and lists, checked by sum and by
 * wire_frame_check. The payload must follow (also when the frame will be dropped): with
 * packed->packing WIRE_PLAIN by wire_recv_frame_payload, else packed->bytes of it by tp_recv. */
int wire_recv_frame_head(struct tp *tp, const struct wire_header *header, struct wire_frame *out,
                         struct wire_packed *packed, const struct wire_geometry *geometry,
                         uint64_t deadline_ns, struct vf_error *err);
/* Into slot[0 … payload_bytes); the slot has geometry->slot_bytes. Content is proven later by the
 * digests after read-back. */
int wire_recv_frame_payload(struct tp *tp, const struct wire_frame *frame, void *slot,
                            const struct wire_geometry *geometry, uint64_t deadline_ns,
                            struct vf_error *err);

#endif
