// SPDX-License-Identifier: Apache-2.0
/*
 * A saved partition as a file (docs/image-format.md): a head, the records and frames that a move
 * with no active round would send (ADMIT, PAGES…, ROUND_END, STATE), a trailer with a checksum over
 * all of it. Needs neither daemon nor device. A writer or reader belongs to one thread;
 * image_*_abort may come from any.
 */
#ifndef MIGRATE_IMAGE_IMAGE_H
#define MIGRATE_IMAGE_IMAGE_H

#include "migrate/digest/digest.h"
#include "migrate/pack/wish.h"
#include "migrate/wire/wire.h"

#define IMAGE_VERSION 1u
#define IMAGE_TRAILER_BYTES 64u
/* Bounds what a hostile image makes its reader allocate: 8 bytes a page. */
#define IMAGE_MAX_PAGES (1ull << 26)

/* Where and when it was saved: for people, nothing is decided by it. */
struct image_origin {
    uint64_t saved_ns;         /* CLOCK_REALTIME */
    uint8_t id[WIRE_ID_BYTES]; /* the save's job; on every frame */
    char host_name[VF_NAME_BYTES];
    char version[VF_TEXT_BYTES]; /* of vferry */
    char device[VF_TEXT_BYTES];
    char driver[256];
    char description[VF_TEXT_BYTES];
    bool kept;   /* the partition ran on there: a restore makes a second one of it */
    bool packed; /* its frames may be packed: a vferry that cannot unpack refuses it */
};

struct image_trailer {
    uint64_t file_bytes; /* the trailer among them */
    uint64_t frames, pages;
    uint8_t root[DIGEST_ROOT_BYTES];
    uint8_t sum[16]; /* XXH3_128 of every byte before it, canonical */
};

/* ---- writing ---- */

struct image_writer;

/* Starts an image in an empty file: head and ADMIT. Takes over fd, also on failure. `name` is
 * for messages. Its frames are packed as `compress` wishes. */
int image_create(int fd, const char *name, const struct image_origin *origin,
                 const struct wire_admit *admit, enum pack_wish compress, struct image_writer **out,
                 struct vf_error *err);
/* Appends a frame; job, epoch, round and sequence are filled here. A frame of no pages is none. */
int image_add(struct image_writer *writer, struct wire_frame *frame, const void *slot,
              uint64_t *written, struct vf_error *err);
/* After the last frame. */
int image_add_state(struct image_writer *writer, const struct wire_state *state,
                    struct vf_error *err);
/* The trailer; all of it is on disk when this returns 0. */
int image_seal(struct image_writer *writer, const uint8_t root[DIGEST_ROOT_BYTES],
               struct vf_error *err);
/* Its stream: what waits for the paging engine ends with its abort. */
struct tp *image_writer_tp(struct image_writer *writer);
void image_writer_free(struct image_writer *writer); /* NULL is allowed */

/* ---- reading ---- */

struct image_reader;

/* What head, ADMIT and trailer say; each is checked in itself, the whole only by image_verify. */
struct image_facts {
    uint32_t version;
    struct image_origin origin;
    struct wire_admit admit; /* blobs: borrowed from the reader */
    struct wire_geometry geometry;
    struct image_trailer trailer;
};

/* Takes over fd, also on failure. VF_INCOMPATIBLE: from the future. VF_FAILED: cut, changed, or no
 * image; the text says where. */
int image_open(int fd, const char *name, struct image_reader **out, struct vf_error *err);
const struct image_facts *image_facts(const struct image_reader *reader);

/* Told now and then during a verify; any thread-safe thing may be done here. */
typedef void image_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
/* Reads all of it and checks everything there is to check. Its state is held from here on, whatever
 * becomes of the file. */
int image_verify(struct image_reader *reader, image_progress *progress, void *ctx,
                 struct vf_error *err);
/* The state that image_verify read; blobs: borrowed. */
const struct wire_state *image_state(const struct image_reader *reader);

/* From the first frame on again. */
void image_rewind(struct image_reader *reader);
/* Next frame, its payload into slot (geometry.slot_bytes large). *end: there was none left. The
 * payload is compared with nothing: whoever uses it has the digests. */
int image_next(struct image_reader *reader, struct wire_frame *frame, void *slot, bool *end,
               struct vf_error *err);
struct tp *image_reader_tp(struct image_reader *reader);
void image_reader_free(struct image_reader *reader); /* NULL is allowed */

#endif
